/*
 * log/recovery_segment.c - makes files what the partitions say: cut, written behind, synced, with their names.
 *
 * A file is cut to what is valid before anything is written behind it. Files that no segment is in are of no use to anybody,
 * for what was in them is in the journals or was never acknowledged; they go before a new segment could get their name.
 * Nothing here takes away what another recovery of the same run would need. Proof: tests/log/data_test.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/recovery.h"

int weir_found_path(const struct weir_recovery *recovery, const struct weir_found *found, uint64_t base_offset, const char *suffix,
                    char path[WEIR_RECOVERY_PATH_BYTES])
{
    return weir_data_path(path, WEIR_RECOVERY_PATH_BYTES, recovery->data->folder, &found->partition->topic,
                          found->partition->partition, base_offset, suffix);
}

int weir_found_folder(const struct weir_recovery *recovery, const struct weir_found *found, char path[WEIR_RECOVERY_PATH_BYTES])
{
    int result = weir_found_path(recovery, found, 0, "", path);
    if (result > 0)
        *strrchr(path, '/') = 0;
    return result < 0 ? result : 0;
}

/* ---- Names ---- */

static int make_folders(struct weir_recovery *recovery, struct weir_found *found)
{
    struct weir_disk *disk = recovery->data->disk;
    char path[WEIR_RECOVERY_PATH_BYTES];
    weir_recovery_topic_path(recovery, &found->partition->topic, path);
    int result = disk->table->mkdir(disk, path, 0755);
    if (result == 0 || result == -EEXIST) {
        weir_found_folder(recovery, found, path);
        result = disk->table->mkdir(disk, path, 0755);
    }
    found->renamed = true;
    found->topic->renamed = true;
    return result < 0 && result != -EEXIST ? weir_recovery_fail_at(recovery, result, "make", path) : 0;
}

static bool has_segment(const struct weir_found *found, uint64_t base)
{
    const struct weir_data_partition *partition = found->partition;
    for (uint32_t i = partition->segment_count; i-- > 0;)
        if (partition->segments[i].base_offset == base)
            return !(found->fresh && i == partition->segment_count - 1);
    return false;
}

static int unlink_base(struct weir_recovery *recovery, struct weir_found *found, uint64_t base, const char *suffix)
{
    struct weir_disk *disk = recovery->data->disk;
    char path[WEIR_RECOVERY_PATH_BYTES];
    weir_found_path(recovery, found, base, suffix, path);
    int result = disk->table->unlink(disk, path);
    if (result < 0 && result != -ENOENT)
        return weir_recovery_fail_at(recovery, result, "remove", path);
    found->renamed = true;
    return 0;
}

/* Files of no segment, and indexes of those and of the last one, which is changed now. */
static int remove_leftovers(struct weir_recovery *recovery, struct weir_found *found, const char *suffix, bool is_index)
{
    uint64_t *bases;
    uint32_t count;
    uint64_t last = weir_found_last(found)->base_offset;
    int result = weir_found_list(recovery, found, suffix, &bases, &count);
    if (result < 0)
        return result;
    for (uint32_t i = 0; i < count && result == 0; i++)
        if (!has_segment(found, bases[i]) || (is_index && bases[i] == last))
            result = unlink_base(recovery, found, bases[i], suffix);
    free(bases);
    return result;
}

/* ---- The last segment's file ---- */

static int cut(struct weir_recovery *recovery, struct weir_found *found, int fd, const char *path)
{
    struct weir_disk *disk = recovery->data->disk;
    int64_t byte_count = disk->table->byte_count(disk, fd);
    if (byte_count < 0)
        return weir_recovery_fail_at(recovery, (int)byte_count, "read", path);
    if ((uint64_t)byte_count < found->written_bytes)
        return weir_recovery_fail(recovery, -EBADMSG, "%s: %llu bytes of it were on the disk, and %lld are left", path,
                                  (unsigned long long)found->written_bytes, (long long)byte_count);
    if ((uint64_t)byte_count > found->written_bytes) {
        int result = disk->table->truncate(disk, fd, found->written_bytes);
        if (result < 0)
            return weir_recovery_fail_at(recovery, result, "cut", path);
        recovery->data->report.cut_bytes += (uint64_t)byte_count - found->written_bytes;
        recovery->data->report.cut_files++;
    }
    found->cut = true;
    return 0;
}

static int first_look(struct weir_recovery *recovery, struct weir_found *found)
{
    int result = found->fresh ? make_folders(recovery, found) : 0;
    if (result == 0)
        result = remove_leftovers(recovery, found, ".log", false);
    if (result == 0)
        result = remove_leftovers(recovery, found, ".index", true);
    return result;
}

/* Open, and as long as written_bytes. */
static int open_last(struct weir_recovery *recovery, struct weir_found *found, char path[WEIR_RECOVERY_PATH_BYTES])
{
    struct weir_disk *disk = recovery->data->disk;
    int result = found->cut ? 0 : first_look(recovery, found);
    if (result < 0)
        return result;
    weir_found_path(recovery, found, weir_found_last(found)->base_offset, ".log", path);
    int fd = found->fresh ? -ENOENT : disk->table->open(disk, path, O_RDWR, 0);
    if (fd == -ENOENT && found->written_bytes == 0) {
        fd = disk->table->open(disk, path, O_RDWR | O_CREAT | O_EXCL, 0644);
        found->renamed = true;
    }
    if (fd < 0)
        return weir_recovery_fail_at(recovery, fd == -ENOENT ? -EBADMSG : fd, "open", path);
    found->fresh = false;
    result = found->cut ? 0 : cut(recovery, found, fd, path);
    if (result < 0)
        disk->table->close(disk, fd);
    return result < 0 ? result : fd;
}

static int write_buffer(struct weir_recovery *recovery, struct weir_found *found, int fd, const char *path)
{
    int result = weir_disk_write_whole(recovery->data->disk, fd, found->buffer, found->buffer_used, found->written_bytes);
    if (result < 0)
        return weir_recovery_fail_at(recovery, result, "write", path);
    found->written_bytes += found->buffer_used;
    recovery->buffered_bytes -= found->buffer_used;
    found->buffer_used = 0;
    free(found->buffer); /* there may be thousands */
    found->buffer = NULL;
    found->buffer_room = 0;
    return 0;
}

int weir_found_flush(struct weir_recovery *recovery, struct weir_found *found)
{
    char path[WEIR_RECOVERY_PATH_BYTES];
    int fd = open_last(recovery, found, path);
    if (fd < 0)
        return fd;
    int result = write_buffer(recovery, found, fd, path);
    weir_recovery_calls(recovery)->close(recovery->data->disk, fd);
    return result;
}

/* ---- Everything on the medium ---- */

static int sync_file(struct weir_recovery *recovery, int fd, const char *path)
{
    int result = weir_recovery_calls(recovery)->sync(recovery->data->disk, fd, false);
    weir_recovery_calls(recovery)->close(recovery->data->disk, fd);
    return result < 0 ? weir_recovery_fail_at(recovery, result, "sync", path) : 0;
}

static int sync_last(struct weir_recovery *recovery, struct weir_found *found)
{
    char path[WEIR_RECOVERY_PATH_BYTES];
    int fd = open_last(recovery, found, path);
    if (fd < 0)
        return fd;
    int result = found->buffer_used > 0 ? write_buffer(recovery, found, fd, path) : 0;
    if (result < 0) {
        weir_recovery_calls(recovery)->close(recovery->data->disk, fd);
        return result;
    }
    return sync_file(recovery, fd, path);
}

static int sync_folder(struct weir_recovery *recovery, const char *path)
{
    int result = weir_disk_sync_directory(recovery->data->disk, path);
    return result < 0 ? weir_recovery_fail_at(recovery, result, "sync", path) : 0;
}

static int sync_found(struct weir_recovery *recovery, struct weir_found *found)
{
    const struct weir_data_partition *partition = found->partition;
    char path[WEIR_RECOVERY_PATH_BYTES];
    int result = sync_last(recovery, found);
    for (uint32_t i = found->first_unsynced; i + 1 < partition->segment_count && result == 0; i++) {
        weir_found_path(recovery, found, partition->segments[i].base_offset, ".log", path);
        int fd = weir_recovery_calls(recovery)->open(recovery->data->disk, path, O_RDWR, 0);
        result = fd < 0 ? weir_recovery_fail_at(recovery, fd, "open", path) : sync_file(recovery, fd, path);
    }
    if (result < 0 || !found->renamed) /* a name that a checkpoint speaks of is on the medium */
        return result;
    weir_found_folder(recovery, found, path);
    found->topic->renamed = true; /* a run may have made the folder and died before it synced its name */
    return sync_folder(recovery, path);
}

/* ---- Segments that are wholly before the start ---- */

static int trim(struct weir_recovery *recovery, struct weir_found *found)
{
    struct weir_data_partition *partition = found->partition;
    if (partition->end_offset < partition->start_offset)
        return weir_found_begin_at(recovery, found, partition->start_offset);
    uint32_t gone = 0;
    while (gone + 1 < partition->segment_count && partition->segments[gone + 1].base_offset <= partition->start_offset)
        gone++;
    if (gone == 0)
        return 0;
    partition->segment_count -= gone;
    memmove(partition->segments, partition->segments + gone, partition->segment_count * sizeof *partition->segments);
    found->first_unsynced = found->first_unsynced > gone ? found->first_unsynced - gone : 0;
    found->touched = true;
    return 0;
}

/* A tool's: nothing is written, so what no segment has stays in memory. */
static int keep_tail(struct weir_recovery *recovery, struct weir_found *found)
{
    (void)recovery;
    struct weir_data_partition *partition = found->partition;
    partition->tail = found->buffer;
    partition->tail_bytes = found->buffer_used;
    if (partition->segment_count > 0)
        weir_found_last(found)->byte_count -= found->buffer_used;
    found->buffer = NULL;
    found->buffer_used = 0;
    return 0;
}

/* Of each that is kept, and touched if it is to be. */
static int each(struct weir_recovery *recovery, bool touched, int (*fn)(struct weir_recovery *, struct weir_found *))
{
    int result = 0;
    for (struct weir_found *found = recovery->first; found && result == 0; found = found->next)
        if (!found->topic->dropped && (found->touched || !touched))
            result = fn(recovery, found);
    return result;
}

/* Folders of topics, then the one they are in. */
static int settle_topics(struct weir_recovery *recovery, bool together)
{
    bool any = false;
    int result = 0;
    char path[WEIR_RECOVERY_PATH_BYTES];
    for (uint32_t i = 0; i < recovery->topics.bucket_count; i++)
        for (struct weir_chain *chain = recovery->topics.buckets[i]; chain && result == 0; chain = chain->next) {
            const struct weir_found_topic *topic = (const struct weir_found_topic *)chain;
            any |= topic->dropped || topic->renamed;
            if (topic->dropped) {
                result = weir_recovery_remove_topic(recovery, &topic->id);
            } else if (topic->renamed && !together) {
                weir_recovery_topic_path(recovery, &topic->id, path);
                result = sync_folder(recovery, path);
            }
        }
    if (result < 0 || !any || together)
        return result;
    snprintf(path, sizeof path, "%s/topics", recovery->data->folder);
    return sync_folder(recovery, path);
}

static int count(struct weir_recovery *recovery, struct weir_found *found)
{
    (void)found;
    recovery->touched_count++;
    return 0;
}

/* Thousands of syncs take minutes where one of everything takes a second. */
static int sync_everything(struct weir_recovery *recovery)
{
    const struct weir_data *data = recovery->data;
    int result = data->disk->table->sync_all(data->disk, data->lock_fd); /* open since before the first write */
    return result < 0 ? weir_recovery_fail_at(recovery, result, "sync", data->folder) : 0;
}

int weir_recovery_settle(struct weir_recovery *recovery)
{
    int result = each(recovery, false, trim);
    if (result < 0 || recovery->options->read_only)
        return result < 0 ? result : each(recovery, false, keep_tail);
    each(recovery, true, count);
    bool together = recovery->touched_count > WEIR_RECOVERY_SYNCS_MAX;
    result = each(recovery, true, together ? weir_found_flush : sync_found);
    if (result == 0)
        result = settle_topics(recovery, together);
    return result == 0 && together ? sync_everything(recovery) : result;
}
