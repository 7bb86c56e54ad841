/*
 * runtime/sim_disk.c - files, directories and the changes not yet on the medium.
 *
 * Every inode lives as long as its disk, so an open file, a durable name and a pending rename may point at the same
 * one without counting. Bounded by the disk's size in the faults. Proof: tests/runtime/sim_disk_test.c.
 */
#include "runtime/sim_disk.h"

#include <stdlib.h>
#include <string.h>

struct weir_sim_inode *weir_sim_inode_new(struct weir_sim_disk *disk, bool directory)
{
    struct weir_sim_inode *inode = weir_sim_alloc(sizeof(*inode));
    inode->directory = directory;
    weir_list_init(&inode->entries);
    weir_list_init(&inode->medium_entries);
    weir_list_init(&inode->changes);
    weir_list_push_back(&disk->inodes, &inode->node);
    return inode;
}

struct weir_sim_disk *weir_sim_disk_new(void)
{
    struct weir_sim_disk *disk = weir_sim_alloc(sizeof(*disk));
    disk->holders = 1;
    disk->calls_left = UINT64_MAX;
    weir_list_init(&disk->inodes);
    disk->root = weir_sim_inode_new(disk, true);
    return disk;
}

struct weir_sim_disk *weir_sim_disk_hold(struct weir_sim_disk *disk)
{
    disk->holders++;
    return disk;
}

static void free_entries(struct weir_list *entries)
{
    struct weir_list *node;
    while ((node = weir_list_pop_front(entries)) != NULL)
        free(WEIR_CONTAINER(node, struct weir_sim_entry, node));
}

static void free_inode(struct weir_sim_inode *inode)
{
    struct weir_list *node;
    while ((node = weir_list_pop_front(&inode->changes)) != NULL)
        free(WEIR_CONTAINER(node, struct weir_sim_change, node));
    free_entries(&inode->entries);
    free_entries(&inode->medium_entries);
    free(inode->now.bytes);
    free(inode->medium.bytes);
    free(inode);
}

void weir_sim_disk_drop(struct weir_sim_disk *disk)
{
    WEIR_ASSERT(disk->holders > 0);
    if (--disk->holders > 0)
        return;
    struct weir_list *node;
    while ((node = weir_list_pop_front(&disk->inodes)) != NULL)
        free_inode(WEIR_CONTAINER(node, struct weir_sim_inode, node));
    free(disk);
}

/* ---- Names ---- */

struct weir_sim_entry *weir_sim_entry_find(struct weir_list *entries, const char *name)
{
    WEIR_LIST_EACH(node, entries) {
        struct weir_sim_entry *entry = WEIR_CONTAINER(node, struct weir_sim_entry, node);
        if (strcmp(entry->name, name) == 0)
            return entry;
    }
    return NULL;
}

void weir_sim_entry_set(struct weir_list *entries, const char *name, struct weir_sim_inode *inode)
{
    struct weir_sim_entry *entry = weir_sim_entry_find(entries, name);
    if (entry != NULL && inode != NULL) {
        entry->inode = inode;
    } else if (entry != NULL) {
        weir_list_remove(&entry->node);
        free(entry);
    } else if (inode != NULL) {
        entry = weir_sim_alloc(sizeof(*entry) + strlen(name) + 1);
        entry->inode = inode;
        memcpy(entry->name, name, strlen(name) + 1);
        weir_list_push_back(entries, &entry->node);
    }
}

struct weir_sim_inode *weir_sim_inode_parent(struct weir_sim_disk *disk, const char *path,
                                             const char **name_out)
{
    struct weir_sim_inode *directory = disk->root;
    for (;;) {
        while (*path == '/')
            path++;
        const char *end = strchr(path, '/');
        if (end == NULL)
            break;
        char name[256];
        size_t name_bytes = (size_t)(end - path);
        if (name_bytes >= sizeof(name))
            return NULL;
        memcpy(name, path, name_bytes);
        name[name_bytes] = 0;
        struct weir_sim_entry *entry = weir_sim_entry_find(&directory->entries, name);
        if (entry == NULL || !entry->inode->directory)
            return NULL;
        directory = entry->inode;
        path = end;
    }
    *name_out = path;
    return directory;
}

struct weir_sim_inode *weir_sim_inode_find(struct weir_sim_disk *disk, const char *path)
{
    const char *name;
    struct weir_sim_inode *directory = weir_sim_inode_parent(disk, path, &name);
    if (directory == NULL || *name == 0 || strcmp(name, ".") == 0)
        return directory;
    struct weir_sim_entry *entry = weir_sim_entry_find(&directory->entries, name);
    return entry != NULL ? entry->inode : NULL;
}

/* ---- Bytes ---- */

void weir_sim_content_resize(struct weir_sim_content *content, uint64_t byte_count)
{
    if (byte_count > content->room) {
        content->room = byte_count + byte_count / 2 + 4096;
        content->bytes = realloc(content->bytes, content->room);
        WEIR_ASSERT(content->bytes != NULL);
    }
    if (byte_count > content->size)
        memset(content->bytes + content->size, 0, byte_count - content->size);
    content->size = byte_count;
}

void weir_sim_content_write(struct weir_sim_content *content, uint64_t offset, const void *bytes,
                            uint64_t byte_count)
{
    if (byte_count == 0)
        return;
    if (offset + byte_count > content->size)
        weir_sim_content_resize(content, offset + byte_count);
    memcpy(content->bytes + offset, bytes, byte_count);
}

/* ---- Changes ---- */

static struct weir_sim_change *new_change(struct weir_sim_disk *disk, struct weir_sim_inode *inode,
                                          enum weir_sim_change_kind kind, size_t byte_count)
{
    struct weir_sim_change *change = weir_sim_alloc(sizeof(*change) + byte_count);
    change->kind = kind;
    change->number = ++disk->change_number;
    change->byte_count = byte_count;
    weir_list_push_back(&inode->changes, &change->node);
    return change;
}

void weir_sim_change_bytes(struct weir_sim_disk *disk, struct weir_sim_inode *inode, uint64_t offset,
                           const struct iovec *iov, uint32_t iov_count, uint64_t byte_count)
{
    struct weir_sim_change *change = new_change(disk, inode, WEIR_SIM_CHANGE_WRITE, byte_count);
    change->offset = offset;
    weir_sim_iov_read(iov, iov_count, 0, change->bytes, byte_count);
    uint64_t size = inode->now.size;
    weir_sim_content_write(&inode->now, offset, change->bytes, byte_count);
    disk->bytes_used += inode->now.size - size;
}

void weir_sim_change_size(struct weir_sim_disk *disk, struct weir_sim_inode *inode,
                          uint64_t byte_count)
{
    struct weir_sim_change *change = new_change(disk, inode, WEIR_SIM_CHANGE_TRUNCATE, 0);
    change->offset = byte_count;
    disk->bytes_used += byte_count - inode->now.size;
    weir_sim_content_resize(&inode->now, byte_count);
}

void weir_sim_change_link(struct weir_sim_disk *disk, struct weir_sim_inode *directory,
                          const char *name, struct weir_sim_inode *inode)
{
    enum weir_sim_change_kind kind = inode != NULL ? WEIR_SIM_CHANGE_LINK : WEIR_SIM_CHANGE_UNLINK;
    struct weir_sim_change *change = new_change(disk, directory, kind, strlen(name) + 1);
    memcpy(change->bytes, name, strlen(name) + 1);
    change->inode = inode;
    weir_sim_entry_set(&directory->entries, name, inode);
}

void weir_sim_change_rename(struct weir_sim_disk *disk, struct weir_sim_inode *directory, const char *old_name,
                            const char *new_name, struct weir_sim_inode *inode)
{
    size_t old_bytes = strlen(old_name) + 1;
    size_t new_bytes = strlen(new_name) + 1;
    bool same = strcmp(old_name, new_name) == 0;
    struct weir_sim_change *change = new_change(disk, directory, WEIR_SIM_CHANGE_RENAME, old_bytes + new_bytes);
    memcpy(change->bytes, old_name, old_bytes);
    memcpy(change->bytes + old_bytes, new_name, new_bytes);
    change->inode = inode;
    weir_sim_entry_set(&directory->entries, new_name, inode);
    if (!same)
        weir_sim_entry_set(&directory->entries, old_name, NULL);
}

/* On the medium. */
void weir_sim_change_apply(struct weir_sim_inode *inode, const struct weir_sim_change *change)
{
    const char *name = (const char *)change->bytes;
    switch (change->kind) {
    case WEIR_SIM_CHANGE_WRITE:
        weir_sim_content_write(&inode->medium, change->offset, change->bytes, change->byte_count);
        break;
    case WEIR_SIM_CHANGE_TRUNCATE:
        weir_sim_content_resize(&inode->medium, change->offset);
        break;
    case WEIR_SIM_CHANGE_LINK:
    case WEIR_SIM_CHANGE_UNLINK:
        weir_sim_entry_set(&inode->medium_entries, name, change->inode);
        break;
    case WEIR_SIM_CHANGE_RENAME: /* both names at once */
        weir_sim_entry_set(&inode->medium_entries, name, NULL);
        weir_sim_entry_set(&inode->medium_entries, name + strlen(name) + 1, change->inode);
        break;
    }
}

void weir_sim_inode_sync(struct weir_sim_inode *inode, uint64_t mark, bool lost)
{
    WEIR_LIST_EACH_SAFE(node, &inode->changes) {
        struct weir_sim_change *change = WEIR_CONTAINER(node, struct weir_sim_change, node);
        if (change->number > mark)
            return;
        if (!lost)
            weir_sim_change_apply(inode, change);
        weir_list_remove(&change->node);
        free(change);
    }
}

/* ---- A durable write ---- */

enum { PAGE_BYTES = 4096 };

struct span {
    uint64_t begin;
    uint64_t end;
};

static bool touches(const struct span *span, const struct weir_sim_change *change)
{
    return change->offset < span->end && change->offset + change->byte_count > span->begin;
}

static void widen(struct span *span, const struct weir_sim_change *change)
{
    if (change->offset < span->begin)
        span->begin = change->offset;
    if (change->offset + change->byte_count > span->end)
        span->end = change->offset + change->byte_count;
}

/*
 * Walking back from the newest, a change that lies on the pages so far joins them, for it goes to the medium as they stand.
 * A size set before is metadata that a durable write commits too, and orders all before it.
 */
static void take_span(struct weir_sim_inode *inode, struct weir_list *taken)
{
    struct weir_sim_change *last = WEIR_CONTAINER(inode->changes.prev, struct weir_sim_change, node);
    struct span span = {last->offset / PAGE_BYTES * PAGE_BYTES,
                        (last->offset + last->byte_count + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES};
    bool all = false;
    for (struct weir_list *node = inode->changes.prev, *before; node != &inode->changes; node = before) {
        struct weir_sim_change *change = WEIR_CONTAINER(node, struct weir_sim_change, node);
        before = node->prev;
        all |= change->kind != WEIR_SIM_CHANGE_WRITE;
        if (!all && !touches(&span, change))
            continue;
        widen(&span, change);
        weir_list_remove(node);
        weir_list_push_front(taken, node);
    }
}

void weir_sim_inode_sync_last(struct weir_sim_inode *inode, bool lost)
{
    struct weir_list taken;
    weir_list_init(&taken);
    take_span(inode, &taken);
    struct weir_list *node;
    while ((node = weir_list_pop_front(&taken)) != NULL) {
        struct weir_sim_change *change = WEIR_CONTAINER(node, struct weir_sim_change, node);
        if (!lost)
            weir_sim_change_apply(inode, change);
        free(change);
    }
}
