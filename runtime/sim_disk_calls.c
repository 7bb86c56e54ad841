/*
 * runtime/sim_disk_calls.c - the calls of runtime/disk.h on a simulated disk.
 *
 * Each happens at once, with the faults of the world. On a fiber others may run before it, and a sync takes the time of
 * one; so work that blocks overlaps with its reactor, as threads would. Every call but those that cannot fail counts towards
 * weir_sim_disk_die_after. Bounded by the disk's size in the faults. Proof: tests/runtime/disk_test.c, disk_sim.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/sim_disk.h"

#define WALL_START_MS ((uint64_t)1767225600000) /* 2026-01-01 */

static struct weir_sim_io *io_of(struct weir_disk *disk)
{
    return WEIR_CONTAINER(disk, struct weir_sim_io, calls);
}

/* Count a call. False: the disk is dead. */
static bool lives(const struct weir_sim_io *io)
{
    weir_sim_yield(io->sim);
    if (io->disk->calls_left == 0)
        return false;
    if (io->disk->calls_left != UINT64_MAX)
        io->disk->calls_left--;
    return true;
}

static int64_t tell(struct weir_sim_io *io, const char *what, int fd, int64_t result)
{
    weir_sim_note(io->sim, io, what, fd, result, false);
    return result;
}

/* 0, and the open file; or why not. */
static int find(const struct weir_sim_io *io, int fd, struct weir_sim_file **file_out)
{
    if (!lives(io))
        return -EIO;
    const struct weir_sim_fd *found = weir_sim_fd_find(io->sim, fd);
    if (found == NULL || found->kind != WEIR_SIM_FD_FILE || found->object == NULL)
        return -EBADF;
    *file_out = found->object;
    return 0;
}

static int open_path(struct weir_disk *disk, const char *path, int flags, uint32_t mode)
{
    struct weir_sim_io *io = io_of(disk);
    (void)mode;
    int result = lives(io) ? weir_sim_file_open(io->sim, io->disk, path, flags) : -EIO;
    return (int)tell(io, "disk open", result, result);
}

static int close_fd(struct weir_disk *disk, int fd)
{
    struct weir_sim *sim = io_of(disk)->sim;
    const struct weir_sim_fd *found = weir_sim_fd_find(sim, fd);
    if (found == NULL || found->kind != WEIR_SIM_FD_FILE)
        return -EBADF;
    weir_sim_file_close(sim, found->object);
    weir_sim_fd_free(sim, fd);
    return 0;
}

static int64_t read_at(struct weir_disk *disk, int fd, void *bytes, size_t byte_count, uint64_t offset)
{
    struct weir_sim_io *io = io_of(disk);
    struct weir_sim_file *file;
    struct iovec iov = {bytes, byte_count};
    int result = find(io, fd, &file);
    return tell(io, "disk read", fd, result < 0 ? result : weir_sim_file_read(io->sim, file, &iov, 1, offset));
}

static int64_t write_at(struct weir_disk *disk, int fd, const void *bytes, size_t byte_count, uint64_t offset)
{
    struct weir_sim_io *io = io_of(disk);
    struct weir_sim_file *file;
    struct iovec iov = {(void *)(uintptr_t)bytes, byte_count};
    int result = find(io, fd, &file);
    return tell(io, "disk write", fd,
                result < 0 ? result : weir_sim_file_write(io->sim, file, &iov, 1, offset, false));
}

/* Durable is what was written before the call; what comes while it takes its time stays pending. */
static int sync_fd(struct weir_disk *disk, int fd, bool data_only)
{
    struct weir_sim_io *io = io_of(disk);
    struct weir_sim *sim = io->sim;
    struct weir_sim_file *file;
    uint64_t mark = io->disk->change_number;
    (void)data_only;
    if (weir_sim_on_fiber(sim))
        weir_sim_sleep(sim, weir_sim_between(sim, sim->faults.disk_ns_min, sim->faults.disk_ns_max));
    int result = find(io, fd, &file);
    return (int)tell(io, "disk sync", fd, result < 0 ? result : weir_sim_file_sync(sim, file, mark));
}

static int sync_inodes(const struct weir_sim_io *io, uint64_t mark)
{
    int result = 0;
    WEIR_LIST_EACH(node, &io->disk->inodes) {
        struct weir_sim_inode *inode = WEIR_CONTAINER(node, struct weir_sim_inode, node);
        bool lost = !weir_list_empty(&inode->changes) && weir_sim_chance(io->sim, io->sim->faults.sync_error);
        weir_sim_inode_sync(inode, mark, lost);
        if (lost)
            result = -EIO;
    }
    return result;
}

static int sync_all(struct weir_disk *disk, int fd)
{
    struct weir_sim_io *io = io_of(disk);
    struct weir_sim *sim = io->sim;
    struct weir_sim_file *file;
    uint64_t mark = io->disk->change_number;
    if (weir_sim_on_fiber(sim))
        weir_sim_sleep(sim, weir_sim_between(sim, sim->faults.disk_ns_min, sim->faults.disk_ns_max));
    int result = find(io, fd, &file);
    return (int)tell(io, "disk sync all", fd, result < 0 ? result : sync_inodes(io, mark));
}

static int resize(struct weir_sim *sim, const struct weir_sim_file *file, uint64_t byte_count)
{
    struct weir_sim_disk *disk = file->disk;
    uint64_t size = file->inode->now.size;
    if (file->inode->directory || (file->flags & O_ACCMODE) == O_RDONLY)
        return -EINVAL;
    if (weir_sim_chance(sim, sim->faults.write_error))
        return -EIO;
    if (byte_count > size && byte_count - size + disk->bytes_used > sim->faults.disk_bytes_max)
        return -ENOSPC;
    weir_sim_change_size(disk, file->inode, byte_count);
    return 0;
}

static int truncate_fd(struct weir_disk *disk, int fd, uint64_t byte_count)
{
    struct weir_sim_io *io = io_of(disk);
    struct weir_sim_file *file;
    int result = find(io, fd, &file);
    return (int)tell(io, "disk truncate", fd, result < 0 ? result : resize(io->sim, file, byte_count));
}

static int64_t size_of(struct weir_disk *disk, int fd)
{
    struct weir_sim_file *file;
    int result = find(io_of(disk), fd, &file);
    return result < 0 ? result : (int64_t)file->inode->now.size;
}

/* May a name be changed now? 0, or the fault. */
static int change_name(const struct weir_sim_io *io, bool makes)
{
    const struct weir_sim_faults *faults = &io->sim->faults;
    if (!lives(io) || weir_sim_chance(io->sim, faults->write_error))
        return -EIO;
    return makes && weir_sim_chance(io->sim, faults->write_full) ? -ENOSPC : 0;
}

static int make_directory(struct weir_disk *disk, const char *path, uint32_t mode)
{
    struct weir_sim_io *io = io_of(disk);
    (void)mode;
    int result = change_name(io, true);
    return (int)tell(io, "disk mkdir", -1, result < 0 ? result : weir_sim_tree_mkdir(io->disk, path));
}

static int rename_path(struct weir_disk *disk, const char *from, const char *to)
{
    struct weir_sim_io *io = io_of(disk);
    int result = change_name(io, true);
    return (int)tell(io, "disk rename", -1, result < 0 ? result : weir_sim_tree_rename(io->disk, from, to));
}

static int remove_name(struct weir_sim_io *io, const char *path, bool directory)
{
    int result = change_name(io, false);
    const struct weir_sim_inode *inode = result == 0 ? weir_sim_inode_find(io->disk, path) : NULL;
    if (inode != NULL && inode->directory != directory)
        result = directory ? -ENOTDIR : -EISDIR;
    return (int)tell(io, "disk remove", -1, result < 0 ? result : weir_sim_tree_unlink(io->disk, path));
}

static int unlink_path(struct weir_disk *disk, const char *path)
{
    return remove_name(io_of(disk), path, false);
}

static int remove_directory(struct weir_disk *disk, const char *path)
{
    return remove_name(io_of(disk), path, true);
}

struct listed {
    char *name;
    bool is_directory;
};

/* As they are now: `fn` makes calls, under which others may change the directory. */
static struct listed *copy_names(const struct weir_sim_inode *directory, uint32_t *count_out)
{
    uint32_t count = 0;
    WEIR_LIST_EACH(node, &directory->entries)
        count++;
    struct listed *names = weir_sim_alloc(count * sizeof(*names));
    WEIR_LIST_EACH(node, &directory->entries) {
        const struct weir_sim_entry *entry = WEIR_CONTAINER(node, struct weir_sim_entry, node);
        size_t name_bytes = strlen(entry->name) + 1;
        struct listed *listed = &names[(*count_out)++];
        *listed = (struct listed){weir_sim_alloc(name_bytes), entry->inode->directory};
        memcpy(listed->name, entry->name, name_bytes);
    }
    return names;
}

static int list_path(struct weir_disk *disk, const char *path, weir_disk_name_fn fn, void *context)
{
    struct weir_sim_io *io = io_of(disk);
    if (!lives(io))
        return -EIO;
    struct weir_sim_inode *inode = weir_sim_inode_find(io->disk, path);
    if (inode == NULL)
        return -ENOENT;
    if (!inode->directory)
        return -ENOTDIR;
    uint32_t count = 0;
    struct listed *names = copy_names(inode, &count);
    for (uint32_t i = 0; i < count; i++) {
        fn(context, names[i].name, names[i].is_directory);
        free(names[i].name);
    }
    free(names);
    return 0;
}

static int lock_fd(struct weir_disk *disk, int fd)
{
    struct weir_sim_io *io = io_of(disk);
    struct weir_sim_file *file;
    int result = find(io, fd, &file);
    if (result == 0 && file->inode->lock != NULL && file->inode->lock != file)
        result = -EWOULDBLOCK;
    if (result == 0)
        file->inode->lock = file;
    return (int)tell(io, "disk lock", fd, result);
}

static int64_t free_bytes(struct weir_disk *disk, const char *path)
{
    const struct weir_sim_io *io = io_of(disk);
    uint64_t most = io->sim->faults.disk_bytes_max;
    (void)path;
    if (!lives(io))
        return -EIO;
    return io->disk->bytes_used < most ? (int64_t)(most - io->disk->bytes_used) : 0;
}

static int random_bytes(struct weir_disk *disk, void *bytes, size_t byte_count)
{
    uint8_t *at = bytes;
    while (byte_count > 0) {
        uint64_t word = weir_sim_random_next(&io_of(disk)->random);
        size_t some = byte_count < sizeof(word) ? byte_count : sizeof(word);
        memcpy(at, &word, some);
        at += some;
        byte_count -= some;
    }
    return 0;
}

static uint64_t wall_ms(struct weir_disk *disk)
{
    return WALL_START_MS + io_of(disk)->sim->now_ns / WEIR_MS_NS;
}

const struct weir_disk_table weir_sim_disk_table = {
    .open = open_path,
    .close = close_fd,
    .read = read_at,
    .write = write_at,
    .sync = sync_fd,
    .sync_all = sync_all,
    .truncate = truncate_fd,
    .byte_count = size_of,
    .mkdir = make_directory,
    .rename = rename_path,
    .unlink = unlink_path,
    .rmdir = remove_directory,
    .list = list_path,
    .lock = lock_fd,
    .free_bytes = free_bytes,
    .random = random_bytes,
    .wall_ms = wall_ms,
};
