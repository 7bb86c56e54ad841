/*
 * runtime/sim_tree.c - names on the simulated disk: made, renamed, removed, listed; and a scenario's own way to them.
 *
 * All at once, without faults. Bounded by the disk's size in the faults. Proof: tests/runtime/sim_disk_test.c.
 */
#include <errno.h>
#include <string.h>

#include "runtime/sim_disk.h"

int weir_sim_tree_mkdir(struct weir_sim_disk *disk, const char *path)
{
    const char *name;
    struct weir_sim_inode *parent = weir_sim_inode_parent(disk, path, &name);
    if (parent == NULL)
        return -ENOENT;
    if (*name == 0 || weir_sim_entry_find(&parent->entries, name) != NULL)
        return -EEXIST;
    weir_sim_change_link(disk, parent, name, weir_sim_inode_new(disk, true));
    return 0;
}

int weir_sim_tree_unlink(struct weir_sim_disk *disk, const char *path)
{
    const char *name;
    struct weir_sim_inode *parent = weir_sim_inode_parent(disk, path, &name);
    struct weir_sim_entry *entry = parent != NULL ? weir_sim_entry_find(&parent->entries, name)
                                                  : NULL;
    if (entry == NULL)
        return -ENOENT;
    if (entry->inode->directory && !weir_list_empty(&entry->inode->entries))
        return -ENOTEMPTY;
    disk->bytes_used -= entry->inode->now.size;
    weir_sim_change_link(disk, parent, name, NULL);
    return 0;
}

/* Both names at once, in one directory; what had the new name is gone. */
static void move(struct weir_sim_disk *disk, struct weir_sim_inode *directory, struct weir_sim_inode *inode,
                 const char *old_name, const char *new_name)
{
    const struct weir_sim_entry *over = weir_sim_entry_find(&directory->entries, new_name);
    if (over != NULL && over->inode != inode)
        disk->bytes_used -= over->inode->now.size;
    weir_sim_change_rename(disk, directory, old_name, new_name, inode);
}

int weir_sim_tree_rename(struct weir_sim_disk *disk, const char *from, const char *to)
{
    const char *old_name;
    const char *new_name;
    struct weir_sim_inode *parent = weir_sim_inode_parent(disk, from, &old_name);
    struct weir_sim_inode *other = weir_sim_inode_parent(disk, to, &new_name);
    struct weir_sim_entry *entry = parent != NULL ? weir_sim_entry_find(&parent->entries, old_name)
                                                  : NULL;
    if (entry == NULL || other == NULL || *new_name == 0)
        return -ENOENT;
    if (parent != other)
        return -EXDEV;
    move(disk, parent, entry->inode, old_name, new_name);
    return 0;
}

/* ---- What io.h has no operation for ---- */

int weir_sim_disk_mkdir(struct weir_sim *sim, uint32_t host, const char *path)
{
    return weir_sim_tree_mkdir(sim->hosts[host].disk, path);
}

int weir_sim_disk_unlink(struct weir_sim *sim, uint32_t host, const char *path)
{
    return weir_sim_tree_unlink(sim->hosts[host].disk, path);
}

int weir_sim_disk_rename(struct weir_sim *sim, uint32_t host, const char *from, const char *to)
{
    return weir_sim_tree_rename(sim->hosts[host].disk, from, to);
}

int weir_sim_disk_truncate(struct weir_sim *sim, uint32_t host, const char *path,
                           uint64_t byte_count)
{
    struct weir_sim_disk *disk = sim->hosts[host].disk;
    struct weir_sim_inode *inode = weir_sim_inode_find(disk, path);
    if (inode == NULL)
        return -ENOENT;
    if (inode->directory)
        return -EISDIR;
    weir_sim_change_size(disk, inode, byte_count);
    return 0;
}

int weir_sim_disk_list(struct weir_sim *sim, uint32_t host, const char *path,
                       void (*each)(void *context, const char *name), void *context)
{
    struct weir_sim_inode *inode = weir_sim_inode_find(sim->hosts[host].disk, path);
    if (inode == NULL)
        return -ENOENT;
    if (!inode->directory)
        return -ENOTDIR;
    WEIR_LIST_EACH(node, &inode->entries)
        each(context, WEIR_CONTAINER(node, struct weir_sim_entry, node)->name);
    return 0;
}

void weir_sim_disk_settle(struct weir_sim *sim, uint32_t host)
{
    WEIR_LIST_EACH(node, &sim->hosts[host].disk->inodes)
        weir_sim_inode_sync(WEIR_CONTAINER(node, struct weir_sim_inode, node), UINT64_MAX, false);
}

void weir_sim_disk_die_after(struct weir_sim *sim, uint32_t host, uint64_t call_count)
{
    WEIR_ASSERT(host < sim->host_count);
    sim->hosts[host].disk->calls_left = call_count;
}

int64_t weir_sim_disk_peek(struct weir_sim *sim, uint32_t host, const char *path, uint64_t offset,
                           void *bytes, size_t byte_count)
{
    const struct weir_sim_inode *inode = weir_sim_inode_find(sim->hosts[host].disk, path);
    if (inode == NULL || inode->directory)
        return -ENOENT;
    if (offset >= inode->now.size)
        return 0;
    if (byte_count > inode->now.size - offset)
        byte_count = inode->now.size - offset;
    memcpy(bytes, inode->now.bytes + offset, byte_count);
    return (int64_t)byte_count;
}
