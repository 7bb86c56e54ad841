/*
 * runtime/disk.c - the system's calls behind runtime/disk.h, and what is made of any table's calls.
 *
 * Bounded by what the caller asks for; blocks as the calls do. Proof: tests/runtime/disk_test.c.
 */
#include "runtime/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "runtime/io.h"

static int64_t result_of(int64_t result)
{
    return result < 0 ? -errno : result;
}

/* A signal ends a call without a result: it is made again. */
#define AGAIN(result, call)                       \
    do                                            \
        (result) = (call);                        \
    while ((result) < 0 && errno == EINTR)

static int open_path(struct weir_disk *disk, const char *path, int flags, uint32_t mode)
{
    int fd;
    (void)disk;
    AGAIN(fd, open(path, flags | O_CLOEXEC, mode));
    return (int)result_of(fd);
}

static int close_fd(struct weir_disk *disk, int fd)
{
    (void)disk;
    return (int)result_of(close(fd)); /* never again: the fd is gone, whatever it says */
}

static int64_t read_at(struct weir_disk *disk, int fd, void *bytes, size_t byte_count, uint64_t offset)
{
    ssize_t result;
    (void)disk;
    AGAIN(result, pread(fd, bytes, byte_count, (off_t)offset));
    return result_of(result);
}

static int64_t write_at(struct weir_disk *disk, int fd, const void *bytes, size_t byte_count, uint64_t offset)
{
    ssize_t result;
    (void)disk;
    AGAIN(result, pwrite(fd, bytes, byte_count, (off_t)offset));
    return result_of(result);
}

static int sync_fd(struct weir_disk *disk, int fd, bool data_only)
{
    int result;
    (void)disk;
    AGAIN(result, data_only ? fdatasync(fd) : fsync(fd));
    return (int)result_of(result);
}

static int sync_all(struct weir_disk *disk, int fd)
{
    int result;
    (void)disk;
    AGAIN(result, syncfs(fd)); /* of a failed write-back it knows since Linux 5.8 */
    return (int)result_of(result);
}

static int truncate_fd(struct weir_disk *disk, int fd, uint64_t byte_count)
{
    int result;
    (void)disk;
    AGAIN(result, ftruncate(fd, (off_t)byte_count));
    return (int)result_of(result);
}

static int64_t size_of(struct weir_disk *disk, int fd)
{
    struct stat found;
    (void)disk;
    return fstat(fd, &found) < 0 ? -errno : (int64_t)found.st_size;
}

static int make_directory(struct weir_disk *disk, const char *path, uint32_t mode)
{
    (void)disk;
    return (int)result_of(mkdir(path, mode));
}

static int rename_path(struct weir_disk *disk, const char *from, const char *to)
{
    (void)disk;
    return (int)result_of(rename(from, to));
}

static int unlink_path(struct weir_disk *disk, const char *path)
{
    (void)disk;
    return (int)result_of(unlink(path));
}

static int remove_directory(struct weir_disk *disk, const char *path)
{
    (void)disk;
    return (int)result_of(rmdir(path));
}

static bool is_directory(const char *path, const struct dirent *entry)
{
    char whole[PATH_MAX];
    struct stat found;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    snprintf(whole, sizeof whole, "%s/%s", path, entry->d_name);
    return lstat(whole, &found) == 0 && S_ISDIR(found.st_mode);
}

static int list_path(struct weir_disk *disk, const char *path, weir_disk_name_fn fn, void *context)
{
    struct dirent **entries;
    (void)disk;
    int count = scandir(path, &entries, NULL, NULL);
    if (count < 0)
        return -errno;
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            fn(context, name, is_directory(path, entries[i]));
        free(entries[i]);
    }
    free(entries);
    return 0;
}

static int lock_fd(struct weir_disk *disk, int fd)
{
    int result;
    (void)disk;
    AGAIN(result, flock(fd, LOCK_EX | LOCK_NB));
    return (int)result_of(result);
}

static int64_t free_bytes(struct weir_disk *disk, const char *path)
{
    struct statvfs found;
    (void)disk;
    if (statvfs(path, &found) < 0)
        return -errno;
    return (int64_t)(found.f_bavail * found.f_frsize);
}

static int random_bytes(struct weir_disk *disk, void *bytes, size_t byte_count)
{
    uint8_t *at = bytes;
    (void)disk;
    while (byte_count > 0) {
        ssize_t result;
        AGAIN(result, getrandom(at, byte_count, 0));
        if (result < 0)
            return -errno;
        at += result;
        byte_count -= (size_t)result;
    }
    return 0;
}

static uint64_t wall_ms(struct weir_disk *disk)
{
    struct timespec now;
    (void)disk;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static const struct weir_disk_table system_table = {
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

struct weir_disk *weir_disk_system(void)
{
    static const struct weir_disk system_disk = {&system_table};
    return (struct weir_disk *)(uintptr_t)&system_disk; /* has nothing that could change */
}

struct weir_disk *weir_io_disk(struct weir_io *io)
{
    return io->table->disk ? io->table->disk(io) : weir_disk_system();
}

/* ---- Made of these ---- */

int weir_disk_read_whole(struct weir_disk *disk, int fd, void *bytes, size_t byte_count, uint64_t offset)
{
    for (uint8_t *at = bytes; byte_count > 0;) {
        int64_t result = disk->table->read(disk, fd, at, byte_count, offset);
        if (result <= 0)
            return result < 0 ? (int)result : -EIO;
        at += result;
        offset += (uint64_t)result;
        byte_count -= (size_t)result;
    }
    return 0;
}

int weir_disk_write_whole(struct weir_disk *disk, int fd, const void *bytes, size_t byte_count, uint64_t offset)
{
    for (const uint8_t *at = bytes; byte_count > 0;) {
        int64_t result = disk->table->write(disk, fd, at, byte_count, offset);
        if (result <= 0)
            return result < 0 ? (int)result : -EIO;
        at += result;
        offset += (uint64_t)result;
        byte_count -= (size_t)result;
    }
    return 0;
}

int weir_disk_sync_directory(struct weir_disk *disk, const char *path)
{
    int fd = disk->table->open(disk, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    int result = disk->table->sync(disk, fd, false);
    disk->table->close(disk, fd);
    return result;
}

static int sync_parent(struct weir_disk *disk, const char *path)
{
    char parent[PATH_MAX];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (!slash)
        return weir_disk_sync_directory(disk, ".");
    slash[slash == parent] = 0; /* "/name" lies in "/" */
    return weir_disk_sync_directory(disk, parent);
}

static int write_new(struct weir_disk *disk, const char *path, const void *bytes, size_t byte_count)
{
    int fd = disk->table->open(disk, path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    if (fd < 0)
        return fd;
    int result = weir_disk_write_whole(disk, fd, bytes, byte_count, 0);
    if (result == 0)
        result = disk->table->sync(disk, fd, false);
    disk->table->close(disk, fd);
    return result;
}

int weir_disk_replace(struct weir_disk *disk, const char *path, const void *bytes, size_t byte_count)
{
    char fresh[PATH_MAX];
    if ((size_t)snprintf(fresh, sizeof fresh, "%s.new", path) >= sizeof fresh)
        return -ENAMETOOLONG;
    int result = write_new(disk, fresh, bytes, byte_count);
    if (result == 0)
        result = disk->table->rename(disk, fresh, path);
    if (result < 0) {
        disk->table->unlink(disk, fresh); /* only to be tidy */
        return result;
    }
    return sync_parent(disk, path);
}

static int load_fd(struct weir_disk *disk, int fd, size_t byte_count_max, void **bytes_out, size_t *byte_count_out)
{
    int64_t byte_count = disk->table->byte_count(disk, fd);
    if (byte_count < 0)
        return (int)byte_count;
    if ((uint64_t)byte_count > byte_count_max)
        return -EFBIG;
    void *bytes = malloc((size_t)byte_count + 1); /* also of an empty file */
    int result = bytes ? weir_disk_read_whole(disk, fd, bytes, (size_t)byte_count, 0) : -ENOMEM;
    if (result < 0) {
        free(bytes);
        return result;
    }
    *bytes_out = bytes;
    *byte_count_out = (size_t)byte_count;
    return 0;
}

int weir_disk_load(struct weir_disk *disk, const char *path, size_t byte_count_max, void **bytes_out, size_t *byte_count_out)
{
    int fd = disk->table->open(disk, path, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    int result = load_fd(disk, fd, byte_count_max, bytes_out, byte_count_out);
    disk->table->close(disk, fd);
    return result;
}
