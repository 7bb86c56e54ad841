/*
 * runtime/sim_crash.c - what a disk holds after the power came back.
 *
 * The new disk is a copy: its present is the old medium plus what chance kept of each pending change. A write is
 * judged sector by sector: all kept, all dropped, or torn. Changes that are kept are made in their order, since the
 * page cache holds one latest state of each block; but any of them may be missing, so a later one may stand without an
 * earlier one. A file may keep the size that a dropped write gave it, filled with zeros. Names are judged one by one;
 * a rename is kept or dropped whole. Proof: tests/runtime/sim_disk_test.c.
 */
#include <string.h>

#include "runtime/sim_disk.h"

enum fate_of_disk { KEEPS_ALL, KEEPS_NONE, KEEPS_SOME, FATES };

struct judge {
    struct weir_sim *sim;
    enum fate_of_disk
        fate; /* of one file or directory: whole disks that keep or lose all are likely ones */
};

static bool keeps(const struct judge *judge)
{
    if (judge->fate != KEEPS_SOME)
        return judge->fate == KEEPS_ALL;
    return weir_sim_chance(judge->sim, 500000);
}

/* Each sector of a torn write by itself. */
static void tear(struct weir_sim *sim, struct weir_sim_inode *inode,
                 const struct weir_sim_change *change)
{
    for (uint64_t done = 0; done < change->byte_count;) {
        uint64_t at = change->offset + done;
        uint64_t some = WEIR_SIM_SECTOR_BYTES - at % WEIR_SIM_SECTOR_BYTES;
        if (some > change->byte_count - done)
            some = change->byte_count - done;
        if (weir_sim_chance(sim, 500000))
            weir_sim_content_write(&inode->medium, at, change->bytes + done, some);
        done += some;
    }
}

static void judge_change(const struct judge *judge, struct weir_sim_inode *inode,
                         const struct weir_sim_change *change)
{
    bool write = change->kind == WEIR_SIM_CHANGE_WRITE;
    if (write && judge->fate == KEEPS_SOME && weir_sim_chance(judge->sim, 300000))
        tear(judge->sim, inode, change);
    else if (keeps(judge))
        weir_sim_change_apply(inode, change);
    else if (write && judge->fate == KEEPS_SOME && weir_sim_chance(judge->sim, 200000) &&
             inode->medium.size < change->offset + change->byte_count)
        weir_sim_content_resize(
            &inode->medium, change->offset + change->byte_count); /* the size without the bytes */
}

/* ---- Copying ---- */

static void copy_content(struct weir_sim_content *to, const struct weir_sim_content *from)
{
    weir_sim_content_write(to, 0, from->bytes, from->size);
}

static void copy_entries(struct weir_list *to, const struct weir_list *from)
{
    WEIR_LIST_EACH(node, from) {
        const struct weir_sim_entry *entry = WEIR_CONTAINER(node, struct weir_sim_entry, node);
        weir_sim_entry_set(to, entry->name, entry->inode->copy);
    }
}

static void copy_changes(struct weir_sim_inode *to, const struct weir_sim_inode *from)
{
    WEIR_LIST_EACH(node, &from->changes) {
        const struct weir_sim_change *change = WEIR_CONTAINER(node, struct weir_sim_change, node);
        struct weir_sim_change *copy = weir_sim_alloc(sizeof(*copy) + change->byte_count);
        memcpy(copy, change, sizeof(*change) + change->byte_count);
        copy->inode = change->inode != NULL ? change->inode->copy : NULL;
        weir_list_push_back(&to->changes, &copy->node);
    }
}

static void copy_inodes(struct weir_sim_disk *to, struct weir_sim_disk *from)
{
    from->root->copy = to->root;
    WEIR_LIST_EACH(node, &from->inodes) {
        struct weir_sim_inode *inode = WEIR_CONTAINER(node, struct weir_sim_inode, node);
        if (inode != from->root)
            inode->copy = weir_sim_inode_new(to, inode->directory);
    }
    WEIR_LIST_EACH(node, &from->inodes) {
        const struct weir_sim_inode *inode = WEIR_CONTAINER(node, struct weir_sim_inode, node);
        copy_content(&inode->copy->now, &inode->now);
        copy_content(&inode->copy->medium, &inode->medium);
        copy_entries(&inode->copy->entries, &inode->entries);
        copy_entries(&inode->copy->medium_entries, &inode->medium_entries);
        copy_changes(inode->copy, inode);
    }
    to->change_number = from->change_number;
}

/* ---- The crash ---- */

static void lose_power(struct weir_sim *sim, struct weir_sim_inode *inode)
{
    struct judge judge = {sim, (enum fate_of_disk)weir_sim_below(sim, FATES)};
    WEIR_LIST_EACH(node, &inode->changes)
        judge_change(&judge, inode, WEIR_CONTAINER(node, struct weir_sim_change, node));
    weir_sim_inode_sync(inode, UINT64_MAX, true); /* judged */
    inode->now.size = 0;
    weir_sim_content_resize(&inode->now, 0);
    copy_content(&inode->now, &inode->medium);
    while (!weir_list_empty(&inode->entries)) {
        const struct weir_sim_entry *entry = WEIR_CONTAINER(inode->entries.next,
                                                            struct weir_sim_entry, node);
        weir_sim_entry_set(&inode->entries, entry->name, NULL);
    }
    WEIR_LIST_EACH(node, &inode->medium_entries) {
        const struct weir_sim_entry *entry = WEIR_CONTAINER(node, struct weir_sim_entry, node);
        weir_sim_entry_set(&inode->entries, entry->name, entry->inode);
    }
}

void weir_sim_disk_under_way(struct weir_sim_io *io)
{
    WEIR_LIST_EACH_SAFE(node, &io->waiting) {
        struct weir_sim_op *op = WEIR_CONTAINER(node, struct weir_sim_op, node);
        bool writes = op->op->kind == WEIR_IO_WRITE || op->op->kind == WEIR_IO_OPEN;
        if (!writes || op->event == NULL || !weir_sim_chance(io->sim, 500000))
            continue;
        op->event->fire = NULL;
        op->event = NULL;
        op->cut = true;
        weir_sim_disk_perform(op);
    }
}

struct weir_sim_disk *weir_sim_disk_after_crash(struct weir_sim *sim, struct weir_sim_disk *disk,
                                                enum weir_sim_crash_kind kind)
{
    struct weir_sim_disk *after = weir_sim_disk_new();
    copy_inodes(after, disk);
    WEIR_LIST_EACH(node, &after->inodes) {
        struct weir_sim_inode *inode = WEIR_CONTAINER(node, struct weir_sim_inode, node);
        if (kind == WEIR_SIM_POWER_LOSS)
            lose_power(sim, inode);
        after->bytes_used += inode->now.size;
    }
    return after;
}
