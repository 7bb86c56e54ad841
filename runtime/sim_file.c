/*
 * runtime/sim_file.c - file operations: each takes its time and happens at one instant at the end of it.
 *
 * So operations that overlap take effect in any order. A sync makes durable what was written before it was submitted;
 * what is written while it runs stays pending. Proof: tests/runtime/sim_disk_test.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/sim_disk.h"

enum { WRITE_BYTES_MAX = 0x7ffff000 };

static void perform_later(struct weir_sim *sim, void *context, uint64_t value)
{
    struct weir_sim_op *op = context;
    (void)sim, (void)value;
    op->event = NULL;
    weir_sim_disk_perform(op);
}

void weir_sim_disk_submit(struct weir_sim_op *op)
{
    struct weir_sim *sim = op->io->sim;
    const struct weir_sim_faults *faults = &sim->faults;
    uint64_t delay_ns = weir_sim_between(sim, faults->disk_ns_min, faults->disk_ns_max);
    if (weir_sim_chance(sim, faults->disk_slow))
        delay_ns = weir_sim_between(sim, delay_ns, faults->disk_slow_ns_max);
    op->mark = op->io->disk->change_number;
    op->event = weir_sim_at(sim, sim->now_ns + delay_ns, perform_later, op, 0);
}

static int open_inode(struct weir_sim_disk *disk, const char *path, int flags, struct weir_sim_inode **inode_out)
{
    const char *name;
    struct weir_sim_inode *parent = weir_sim_inode_parent(disk, path, &name);
    if (parent == NULL)
        return -ENOENT;
    struct weir_sim_inode *inode = weir_sim_inode_find(disk, path);
    if (inode != NULL && (flags & O_CREAT) && (flags & O_EXCL))
        return -EEXIST;
    if (inode == NULL && !(flags & O_CREAT))
        return -ENOENT;
    if (inode != NULL && inode->directory && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT)))
        return -EISDIR;
    if (inode != NULL && !inode->directory && (flags & O_DIRECTORY))
        return -ENOTDIR;
    if (inode == NULL) {
        inode = weir_sim_inode_new(disk, false);
        weir_sim_change_link(disk, parent, name, inode);
    } else if ((flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY)
        weir_sim_change_size(disk, inode, 0);
    *inode_out = inode;
    return 0;
}

int weir_sim_file_open(struct weir_sim *sim, struct weir_sim_disk *disk, const char *path, int flags)
{
    struct weir_sim_inode *inode;
    int result = open_inode(disk, path, flags, &inode);
    if (result < 0)
        return result;
    struct weir_sim_file *file = weir_sim_alloc(sizeof(*file));
    *file = (struct weir_sim_file){weir_sim_disk_hold(disk), inode, flags};
    return weir_sim_fd_take(sim, WEIR_SIM_FD_FILE, file);
}

void weir_sim_file_free(struct weir_sim_file *file)
{
    if (file == NULL)
        return;
    if (file->inode->lock == file)
        file->inode->lock = NULL;
    weir_sim_disk_drop(file->disk);
    free(file);
}

void weir_sim_file_close(struct weir_sim *sim, struct weir_sim_file *file)
{
    (void)sim;
    weir_sim_file_free(file);
}

int weir_sim_file_read(struct weir_sim *sim, const struct weir_sim_file *file, const struct iovec *iov,
                       uint32_t iov_count, uint64_t offset)
{
    if ((file->flags & O_ACCMODE) == O_WRONLY)
        return -EBADF;
    if (file->inode->directory)
        return -EISDIR;
    if (weir_sim_chance(sim, sim->faults.read_error))
        return -EIO;
    uint64_t size = file->inode->now.size;
    uint64_t byte_count = weir_sim_iov_bytes(iov, iov_count);
    if (offset >= size || byte_count == 0)
        return 0;
    if (byte_count > size - offset)
        byte_count = size - offset;
    if (weir_sim_chance(sim, sim->faults.read_cut))
        byte_count = 1 + weir_sim_below(sim, byte_count);
    weir_sim_iov_write(iov, iov_count, file->inode->now.bytes + offset, byte_count);
    return (int)byte_count;
}

/* A failed one loses what it was to make durable, as a failed sync does. */
static int make_durable(struct weir_sim *sim, const struct weir_sim_file *file, int written)
{
    bool lost = weir_sim_chance(sim, sim->faults.sync_error);
    if (written > 0)
        weir_sim_inode_sync_last(file->inode, lost);
    return lost ? -EIO : written;
}

int weir_sim_file_write(struct weir_sim *sim, const struct weir_sim_file *file, const struct iovec *iov,
                        uint32_t iov_count, uint64_t offset, bool durable)
{
    struct weir_sim_disk *disk = file->disk;
    uint64_t byte_count = weir_sim_iov_bytes(iov, iov_count);
    if ((file->flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    if (weir_sim_chance(sim, sim->faults.write_error))
        return -EIO;
    if (byte_count > WRITE_BYTES_MAX)
        byte_count = WRITE_BYTES_MAX;
    if (file->flags & O_APPEND)
        offset = file->inode->now.size;
    uint64_t room = sim->faults.disk_bytes_max > disk->bytes_used
                        ? sim->faults.disk_bytes_max - disk->bytes_used
                        : 0;
    uint64_t end_max = file->inode->now.size + room;
    if (byte_count > 0 && (offset >= end_max || weir_sim_chance(sim, sim->faults.write_full)))
        return -ENOSPC;
    if (offset + byte_count > end_max)
        byte_count = end_max - offset;
    if (byte_count > 1 && weir_sim_chance(sim, sim->faults.write_cut))
        byte_count = 1 + weir_sim_below(sim, byte_count);
    weir_sim_change_bytes(disk, file->inode, offset, iov, iov_count, byte_count);
    if (file->flags & (O_DSYNC | O_SYNC))
        weir_sim_inode_sync(file->inode, disk->change_number, false);
    else if (durable)
        return make_durable(sim, file, (int)byte_count);
    return (int)byte_count;
}

int weir_sim_file_sync(struct weir_sim *sim, const struct weir_sim_file *file, uint64_t mark)
{
    bool lost = weir_sim_chance(sim, sim->faults.sync_error);
    weir_sim_inode_sync(file->inode, mark, lost);
    return lost ? -EIO : 0;
}

static int perform(struct weir_sim_op *op, const struct weir_sim_file *file)
{
    struct weir_sim *sim = op->io->sim;
    const struct weir_io_op *armed = op->op;
    switch (armed->kind) {
    case WEIR_IO_READ:
        return weir_sim_file_read(sim, file, armed->iov, armed->iov_count, armed->offset);
    case WEIR_IO_WRITE:
        return weir_sim_file_write(sim, file, armed->iov, armed->iov_count, armed->offset,
                                   armed->durable && !op->cut);
    case WEIR_IO_SYNC:
        return weir_sim_file_sync(sim, file, op->mark);
    case WEIR_IO_POLL:
        return 1;
    default:
        return -ENOTSOCK;
    }
}

void weir_sim_disk_perform(struct weir_sim_op *op)
{
    struct weir_sim_disk *disk = op->io->disk;
    if (disk->calls_left == 0) {
        weir_sim_op_finish(op, -EIO);
    } else if (op->op->kind == WEIR_IO_OPEN) {
        weir_sim_op_finish(op, weir_sim_file_open(op->io->sim, disk, op->op->path, op->op->open_flags));
    } else {
        WEIR_ASSERT(op->fd->object != NULL); /* not under a CLOSE */
        weir_sim_op_finish(op, perform(op, op->fd->object));
    }
}
