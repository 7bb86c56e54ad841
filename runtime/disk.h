/*
 * runtime/disk.h - files without a reactor: blocking calls for what is rare (start, new segments, checkpoints, tools).
 *
 * A table as io.h is one, with two implementations: the system's calls (runtime/disk.c, any thread) and the simulator's
 * disk (runtime/sim_disk_calls.c), where each call happens at once and the faults of the world apply. What it opens
 * may be given to weir_io_start on an io of the same world. Hot paths use io.h; a reactor calls this only from weir_work
 * jobs, because every call here may block.
 *
 * Results: 0 or more, or a negative errno.
 */
#ifndef WEIR_RUNTIME_DISK_H
#define WEIR_RUNTIME_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_io;
struct weir_sim;
struct weir_disk;

typedef void (*weir_disk_name_fn)(void *context, const char *name, bool is_directory);

struct weir_disk_table {
    int (*open)(struct weir_disk *disk, const char *path, int flags, uint32_t mode);
    int (*close)(struct weir_disk *disk, int fd);
    int64_t (*read)(struct weir_disk *disk, int fd, void *bytes, size_t byte_count, uint64_t offset);
    int64_t (*write)(struct weir_disk *disk, int fd, const void *bytes, size_t byte_count, uint64_t offset);
    int (*sync)(struct weir_disk *disk, int fd, bool data_only);
    /* Everything on the file system of `fd`, names too: for thousands of files, as one. Tells of what failed since `fd` was opened. */
    int (*sync_all)(struct weir_disk *disk, int fd);
    int (*truncate)(struct weir_disk *disk, int fd, uint64_t byte_count);
    int64_t (*byte_count)(struct weir_disk *disk, int fd);
    int (*mkdir)(struct weir_disk *disk, const char *path, uint32_t mode);
    int (*rename)(struct weir_disk *disk, const char *from, const char *to);
    int (*unlink)(struct weir_disk *disk, const char *path);
    int (*rmdir)(struct weir_disk *disk, const char *path);
    /* Without . and .., in no order; as it was when called, so `fn` may change the directory. */
    int (*list)(struct weir_disk *disk, const char *path, weir_disk_name_fn fn, void *context);
    int (*lock)(struct weir_disk *disk, int fd); /* flock, exclusive; -EWOULDBLOCK: another process has it */
    int64_t (*free_bytes)(struct weir_disk *disk, const char *path);
    int (*random)(struct weir_disk *disk, void *bytes, size_t byte_count);
    uint64_t (*wall_ms)(struct weir_disk *disk); /* CLOCK_REALTIME, or the world's */
};

struct weir_disk {
    const struct weir_disk_table *table;
};

/* The system's. Static, no state. */
struct weir_disk *weir_disk_system(void);
/* The disk that files opened through this io live on. Same life as the io. */
struct weir_disk *weir_io_disk(struct weir_io *io);

/* Made of the above: whole transfers, over short ones. -EIO: the file ends before (read_whole). */
int weir_disk_read_whole(struct weir_disk *disk, int fd, void *bytes, size_t byte_count, uint64_t offset);
int weir_disk_write_whole(struct weir_disk *disk, int fd, const void *bytes, size_t byte_count, uint64_t offset);
/* Open a directory, sync it, close it. */
int weir_disk_sync_directory(struct weir_disk *disk, const char *path);
/* PATH.new written, synced, renamed to PATH, its directory synced: afterwards PATH is the old or the new one, whole. */
int weir_disk_replace(struct weir_disk *disk, const char *path, const void *bytes, size_t byte_count);
/* A whole file in malloc'd memory; -ENOENT, -EFBIG (over byte_count_max), ... */
int weir_disk_load(struct weir_disk *disk, const char *path, size_t byte_count_max, void **bytes_out, size_t *byte_count_out);

#endif
