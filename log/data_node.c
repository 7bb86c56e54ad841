/*
 * log/data_node.c - the file that says which run is the truth, the lock, and the folders beside it.
 *
 * A directory without `node` is new only when nothing lies in it that a run leaves behind: what a first start that was
 * cut had made is no reason to refuse. Proof: tests/log/data_test.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "log/recovery.h"

enum { NODE_BYTES = 64, CHECKED_FROM = 16, JOURNALS_MAX = 1 << 16 };

static const uint8_t magic[8] = {'w', 'e', 'i', 'r', 'n', 'o', 'd', 'e'};

static uint64_t get(const uint8_t *at, unsigned byte_count) /* little-endian */
{
    uint64_t value = 0;
    for (unsigned i = byte_count; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

static void put(uint8_t *at, unsigned byte_count, uint64_t value)
{
    for (unsigned i = 0; i < byte_count; i++, value >>= 8)
        at[i] = (uint8_t)value;
}

static void path_of(const struct weir_recovery *recovery, const char *name, char path[WEIR_RECOVERY_PATH_BYTES])
{
    snprintf(path, WEIR_RECOVERY_PATH_BYTES, "%s/%s", recovery->data->folder, name);
}

/* ---- node ---- */

static int decode(struct weir_recovery *recovery, const char *path, const uint8_t *bytes, size_t byte_count)
{
    if (byte_count < CHECKED_FROM || memcmp(bytes, magic, sizeof magic) != 0)
        return weir_recovery_fail(recovery, -EBADMSG, "%s: this is not a node's file", path);
    uint64_t format = get(bytes + 8, 4);
    if (format > WEIR_DATA_FORMAT)
        return weir_recovery_fail(recovery, -ENOTSUP, "%s: format %llu is newer than this program's, %d", path,
                                  (unsigned long long)format, WEIR_DATA_FORMAT);
    if (format == 0 || byte_count != NODE_BYTES ||
        get(bytes + 12, 4) != weir_crc32c(0, bytes + CHECKED_FROM, NODE_BYTES - CHECKED_FROM))
        return weir_recovery_fail(recovery, -EBADMSG, "%s: the checksum is wrong", path);
    memcpy(recovery->data->node.bytes, bytes + 16, sizeof recovery->data->node.bytes);
    recovery->old_run = get(bytes + 32, 8);
    recovery->old_journal_count = (uint32_t)get(bytes + 40, 4);
    if (recovery->old_run == 0 || recovery->old_journal_count == 0 || recovery->old_journal_count > JOURNALS_MAX)
        return weir_recovery_fail(recovery, -EBADMSG, "%s: run or journals are out of range", path);
    return 0;
}

struct looking {
    const struct weir_recovery *recovery;
    const char *found; /* what speaks against a new directory */
};

static void on_old_name(void *context, const char *name, bool is_directory)
{
    (void)name;
    (void)is_directory;
    ((struct looking *)context)->found = "something";
}

static void on_name(void *context, const char *name, bool is_directory)
{
    struct looking *looking = context;
    if (is_directory || strncmp(name, "checkpoint-", 11) != 0 || strncmp(name, "checkpoint-1-", 13) == 0)
        return;
    looking->found = "checkpoints";
}

/* 1: nothing but what a first start leaves that was cut. */
static int look_for_old(struct weir_recovery *recovery)
{
    static const char *const folders[] = {"journal", "topics"};
    const struct weir_disk_table *calls = weir_recovery_calls(recovery);
    struct looking looking = {recovery, NULL};
    int result = calls->list(recovery->data->disk, recovery->data->folder, on_name, &looking);
    if (result < 0)
        return weir_recovery_fail_at(recovery, result, "list", recovery->data->folder);
    for (size_t i = 0; i < 2 && !looking.found; i++) {
        char path[WEIR_RECOVERY_PATH_BYTES];
        path_of(recovery, folders[i], path);
        result = calls->list(recovery->data->disk, path, on_old_name, &looking);
        if (result < 0 && result != -ENOENT)
            return weir_recovery_fail_at(recovery, result, "list", path);
        if (looking.found)
            looking.found = folders[i];
    }
    if (looking.found)
        return weir_recovery_fail(recovery, -EBADMSG, "%s: there is no node file, but %s of some run", recovery->data->folder,
                                  looking.found);
    return 1;
}

int weir_node_read(struct weir_recovery *recovery)
{
    char path[WEIR_RECOVERY_PATH_BYTES];
    void *bytes;
    size_t byte_count;
    path_of(recovery, "node", path);
    int result = weir_disk_load(recovery->data->disk, path, 1 << 16, &bytes, &byte_count);
    if (result == -ENOENT)
        return look_for_old(recovery);
    if (result < 0)
        return weir_recovery_fail_at(recovery, result, "read", path);
    result = decode(recovery, path, bytes, byte_count);
    free(bytes);
    return result;
}

int weir_node_write(struct weir_recovery *recovery)
{
    const struct weir_data *data = recovery->data;
    char path[WEIR_RECOVERY_PATH_BYTES];
    uint8_t bytes[NODE_BYTES] = {0};
    memcpy(bytes, magic, sizeof magic);
    put(bytes + 8, 4, WEIR_DATA_FORMAT);
    memcpy(bytes + 16, data->node.bytes, sizeof data->node.bytes);
    put(bytes + 32, 8, data->run);
    put(bytes + 40, 4, data->journal_count);
    put(bytes + 12, 4, weir_crc32c(0, bytes + CHECKED_FROM, NODE_BYTES - CHECKED_FROM));
    path_of(recovery, "node", path);
    int result = weir_disk_replace(data->disk, path, bytes, sizeof bytes);
    return result < 0 ? weir_recovery_fail_at(recovery, result, "write", path) : 0;
}

/* ---- Folders and the lock ---- */

/* Also of one that was there: its name may be younger than the last loss of power. */
static int sync_name(struct weir_recovery *recovery, const char *path)
{
    char parent[WEIR_RECOVERY_PATH_BYTES];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash)
        slash[slash == parent] = 0;
    int result = weir_disk_sync_directory(recovery->data->disk, slash ? parent : ".");
    return result < 0 ? weir_recovery_fail_at(recovery, result, "sync the folder of", path) : 0;
}

static int make_folder(struct weir_recovery *recovery, const char *path)
{
    int result = weir_recovery_calls(recovery)->mkdir(recovery->data->disk, path, 0750);
    return result < 0 && result != -EEXIST ? weir_recovery_fail_at(recovery, result, "make", path) : 0;
}

int weir_node_make_folders(struct weir_recovery *recovery)
{
    char path[WEIR_RECOVERY_PATH_BYTES];
    path_of(recovery, "journal", path);
    int result = make_folder(recovery, path);
    if (result < 0)
        return result;
    path_of(recovery, "topics", path);
    result = make_folder(recovery, path); /* their names are synced with the checkpoints' */
    return result == 0 && recovery->data->report.fresh ? sync_name(recovery, recovery->data->folder) : result;
}

static int open_lock(struct weir_recovery *recovery, const char *path)
{
    struct weir_disk *disk = recovery->data->disk;
    if (recovery->options->read_only)
        return disk->table->open(disk, path, O_RDONLY, 0);
    return disk->table->open(disk, path, O_RDWR | O_CREAT, 0640);
}

int weir_node_lock(struct weir_recovery *recovery)
{
    struct weir_disk *disk = recovery->data->disk;
    char path[WEIR_RECOVERY_PATH_BYTES];
    path_of(recovery, "lock", path);
    int result = recovery->options->read_only ? 0 : make_folder(recovery, recovery->data->folder);
    if (result < 0)
        return result;
    int fd = open_lock(recovery, path);
    if (fd < 0)
        return weir_recovery_fail_at(recovery, fd, "open", path);
    result = disk->table->lock(disk, fd);
    if (result == 0) {
        recovery->data->lock_fd = fd;
        return 0;
    }
    disk->table->close(disk, fd);
    return result == -EWOULDBLOCK
               ? weir_recovery_fail(recovery, result, "%s: another process has this directory", recovery->data->folder)
               : weir_recovery_fail_at(recovery, result, "lock", path);
}
