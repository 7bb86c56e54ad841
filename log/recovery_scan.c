/*
 * log/recovery_scan.c - finds the last valid batch of partitions that bypassed the journal.
 *
 * From the covered bytes on: the CRC is right and the base offset is the one expected; where a file ends with a whole
 * batch, the next file may go on with that offset. Also of a `synced` topic that was not before. Bounded by what no checkpoint
 * covers, and one open file for each partition. Proof: tests/log/data_test.c, tests/log/crash_sim.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "log/recovery.h"

enum { CHUNK_BYTES = 1 << 20, BASE_DIGITS = 20 };

/* ---- Files there are ---- */

struct bases {
    const char *suffix;
    uint64_t *bases;
    uint32_t count;
    uint32_t room;
    int error;
};

/* 20 digits and the suffix; leading zeros are no number to weir_bytes_parse_u64. */
static bool parse_base(const char *name, const char *suffix, uint64_t *base_out)
{
    if (strlen(name) != BASE_DIGITS + strlen(suffix) || strcmp(name + BASE_DIGITS, suffix) != 0)
        return false;
    size_t zeros = 0;
    while (zeros < BASE_DIGITS - 1 && name[zeros] == '0')
        zeros++;
    return weir_bytes_parse_u64(name + zeros, BASE_DIGITS - zeros, base_out);
}

static void keep_base(void *context, const char *name, bool is_directory)
{
    struct bases *bases = context;
    uint64_t base;
    if (is_directory || bases->error < 0 || !parse_base(name, bases->suffix, &base))
        return;
    if (bases->count == bases->room) {
        uint32_t room = bases->room ? bases->room * 2 : 16;
        uint64_t *more = realloc(bases->bases, room * sizeof *more);
        if (!more) {
            bases->error = -ENOMEM;
            return;
        }
        bases->bases = more;
        bases->room = room;
    }
    bases->bases[bases->count++] = base;
}

static int ascending(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

int weir_found_list(struct weir_recovery *recovery, const struct weir_found *found, const char *suffix, uint64_t **bases_out,
                    uint32_t *count_out)
{
    char path[WEIR_RECOVERY_PATH_BYTES];
    struct bases bases = {.suffix = suffix};
    *bases_out = NULL;
    *count_out = 0;
    int result = weir_found_folder(recovery, found, path);
    if (result == 0)
        result = weir_recovery_calls(recovery)->list(recovery->data->disk, path, keep_base, &bases);
    if (result == -ENOENT)
        result = 0;
    if (result == 0)
        result = bases.error;
    if (result < 0) {
        free(bases.bases);
        return weir_recovery_fail_at(recovery, result, "list", path);
    }
    if (bases.count > 0)
        qsort(bases.bases, bases.count, sizeof *bases.bases, ascending);
    *bases_out = bases.bases;
    *count_out = bases.count;
    return 0;
}

/* ---- One file ---- */

static int make_room(struct weir_recovery *recovery, size_t byte_count)
{
    if (byte_count <= recovery->chunk_room)
        return 0;
    uint8_t *more = realloc(recovery->chunk, byte_count);
    if (!more)
        return -ENOMEM;
    recovery->chunk = more;
    recovery->chunk_room = byte_count;
    return 0;
}

static void take_batch(struct weir_found *found, const struct weir_batch *batch)
{
    struct weir_checkpoint_segment *last = weir_found_last(found);
    last->byte_count += batch->byte_count;
    found->written_bytes += batch->byte_count;
    if (batch->last_timestamp_ms > last->timestamp_ms)
        last->timestamp_ms = batch->last_timestamp_ms;
    found->partition->end_offset = batch->base_offset + batch->last_delta + 1;
}

/* The valid batches of a chunk. How many bytes of it they are; *wanted_out: what the next one needs, 0: it is none. */
static size_t take_chunk(struct weir_found *found, const uint8_t *bytes, size_t byte_count, uint64_t *wanted_out)
{
    size_t done = 0;
    struct weir_batch batch;
    *wanted_out = 0;
    for (;;) {
        size_t left = byte_count - done;
        if (left < WEIR_BATCH_HEAD_BYTES) {
            *wanted_out = WEIR_BATCH_HEAD_BYTES;
            return done;
        }
        enum weir_batch_fault fault = weir_batch_read(bytes + done, left, &batch);
        if (fault != WEIR_BATCH_FINE || batch.base_offset != found->partition->end_offset)
            return done;
        if (batch.byte_count > left) {
            *wanted_out = batch.byte_count;
            return done;
        }
        if (weir_batch_check(bytes + done, left, &batch) != WEIR_BATCH_FINE)
            return done;
        take_batch(found, &batch);
        done += batch.byte_count;
    }
}

/*
 * From written_bytes on. 1: valid to its end; 0: not. What is valid is written again, the same bytes to the same place: after a failed
 * sync of a run that was killed the page cache may show what the medium does not have, and no later sync would write it.
 */
static int scan_fd(struct weir_recovery *recovery, struct weir_found *found, int fd, uint64_t file_bytes)
{
    uint64_t wanted = CHUNK_BYTES;
    while (found->written_bytes < file_bytes) {
        uint64_t left = file_bytes - found->written_bytes;
        if (wanted > left && wanted != CHUNK_BYTES)
            return 0; /* torn */
        size_t byte_count = (size_t)(wanted > CHUNK_BYTES ? wanted : CHUNK_BYTES);
        byte_count = byte_count > left ? (size_t)left : byte_count;
        int result = make_room(recovery, byte_count);
        if (result == 0)
            result = weir_disk_read_whole(recovery->data->disk, fd, recovery->chunk, byte_count, found->written_bytes);
        if (result < 0)
            return result;
        uint64_t position = found->written_bytes;
        size_t done = take_chunk(found, recovery->chunk, byte_count, &wanted);
        if (done > 0 && !recovery->options->read_only)
            result = weir_disk_write_whole(recovery->data->disk, fd, recovery->chunk, done, position);
        if (result < 0)
            return result;
        if (done == 0 && wanted <= byte_count)
            return 0;
    }
    return 1;
}

static bool all_before_start(const struct weir_found *found)
{
    return found->partition->end_offset <= found->partition->start_offset;
}

static int scan_file(struct weir_recovery *recovery, struct weir_found *found)
{
    struct weir_disk *disk = recovery->data->disk;
    char path[WEIR_RECOVERY_PATH_BYTES];
    int fd = weir_found_path(recovery, found, weir_found_last(found)->base_offset, ".log", path);
    if (fd >= 0)
        fd = disk->table->open(disk, path, recovery->options->read_only ? O_RDONLY : O_RDWR, 0);
    if (fd == -ENOENT && (found->written_bytes == 0 || all_before_start(found)))
        return 0;
    if (fd < 0)
        return weir_recovery_fail_at(recovery, fd == -ENOENT ? -EBADMSG : fd, "read", path);
    int64_t file_bytes = disk->table->byte_count(disk, fd);
    uint64_t covered = found->written_bytes;
    int result = file_bytes < 0 ? (int)file_bytes : scan_fd(recovery, found, fd, (uint64_t)file_bytes);
    disk->table->close(disk, fd);
    if (result < 0)
        return weir_recovery_fail_at(recovery, result, "read", path);
    found->touched |= (uint64_t)file_bytes != covered; /* shorter ones are found out when they are cut */
    return result;
}

/* ---- Partitions ---- */

static bool contains(const uint64_t *bases, uint32_t count, uint64_t base)
{
    for (uint32_t i = 0; i < count; i++)
        if (bases[i] == base)
            return true;
    return false;
}

static int scan_files(struct weir_recovery *recovery, struct weir_found *found, const uint64_t *bases, uint32_t base_count)
{
    struct weir_data_partition *partition = found->partition;
    if (partition->segment_count == 0) { /* no checkpoint knows it */
        if (base_count == 0 || bases[0] > partition->start_offset)
            return 0;
        partition->end_offset = bases[0];
        int result = weir_found_add_segment(recovery, found, bases[0], recovery->now_ms);
        if (result < 0)
            return result;
        found->touched = true;
    }
    for (;;) {
        int result = scan_file(recovery, found);
        uint64_t end = partition->end_offset;
        if (result <= 0 || end == weir_found_last(found)->base_offset || !contains(bases, base_count, end))
            return result < 0 ? result : 0;
        result = weir_found_add_segment(recovery, found, end, recovery->now_ms);
        if (result < 0)
            return result;
        found->touched = true;
    }
}

/* Files behind a hole: the next run will come to their names with other bytes before them. */
static bool has_leftovers(const struct weir_found *found, const uint64_t *bases, uint32_t base_count)
{
    const struct weir_data_partition *partition = found->partition;
    for (uint32_t i = 0; i < base_count; i++) {
        bool used = false;
        for (uint32_t k = 0; k < partition->segment_count && !used; k++)
            used = partition->segments[k].base_offset == bases[i];
        if (!used)
            return true;
    }
    return false;
}

static int scan_partition(struct weir_recovery *recovery, struct weir_found *found)
{
    uint64_t *bases;
    uint32_t base_count;
    int result = weir_found_list(recovery, found, ".log", &bases, &base_count);
    if (result == 0) {
        result = scan_files(recovery, found, bases, base_count);
        bool leftovers = has_leftovers(found, bases, base_count);
        found->touched |= leftovers;
        free(bases);
        if (result == 0 && leftovers && found->partition->segment_count == 0)
            result = weir_found_begin_at(recovery, found, found->partition->start_offset);
    }
    return result;
}

/* ---- A last segment that was removed, since all of it is before the start ---- */

static int is_there(struct weir_recovery *recovery, const struct weir_found *found, uint64_t base)
{
    char path[WEIR_RECOVERY_PATH_BYTES];
    int fd = weir_found_path(recovery, found, base, ".log", path);
    if (fd >= 0)
        fd = weir_recovery_calls(recovery)->open(recovery->data->disk, path, O_RDONLY, 0);
    if (fd < 0)
        return fd == -ENOENT ? 0 : weir_recovery_fail_at(recovery, fd, "open", path);
    weir_recovery_calls(recovery)->close(recovery->data->disk, fd);
    return 1;
}

/* The file that has the start, of a topic that bypasses the journal. False: none. */
static bool find_start(const struct weir_found *found, const uint64_t *bases, uint32_t base_count, uint64_t *base_out)
{
    bool any = false;
    for (uint32_t i = 0; i < base_count; i++)
        if (bases[i] >= found->partition->end_offset && bases[i] <= found->partition->start_offset) {
            *base_out = bases[i];
            any = true;
        }
    return any;
}

/* What follows goes into a segment of its own, or is in one already. */
static int replace_removed(struct weir_recovery *recovery, struct weir_found *found)
{
    struct weir_data_partition *partition = found->partition;
    if (partition->segment_count == 0 || !all_before_start(found))
        return 0;
    int result = is_there(recovery, found, weir_found_last(found)->base_offset);
    if (result != 0)
        return result < 0 ? result : 0;
    uint64_t *bases;
    uint32_t base_count;
    uint64_t base;
    result = weir_found_list(recovery, found, ".log", &bases, &base_count);
    if (result < 0)
        return result;
    bool jumps = (found->topic->level != WEIR_LEVEL_SYNCED || found->gap) && find_start(found, bases, base_count, &base);
    free(bases);
    if (!jumps)
        return weir_found_begin_at(recovery, found, partition->end_offset);
    partition->segment_count = 0;
    partition->end_offset = base;
    found->first_unsynced = 0;
    found->touched = true;
    return weir_found_add_segment(recovery, found, base, recovery->now_ms);
}

/*
 * A topic that is `synced` now may not have been when it was appended to last: then its file is longer than what is covered, or another
 * follows it, and the journal has none of it. That its last file is there and long enough is seen at the same time.
 */
static int look_at_partition(struct weir_recovery *recovery, struct weir_found *found)
{
    const struct weir_data_partition *partition = found->partition;
    if (found->topic->level != WEIR_LEVEL_SYNCED || found->gap)
        return scan_partition(recovery, found);
    if (partition->segment_count == 0 || found->touched || found->journal_end > partition->end_offset)
        return 0;
    int result = scan_file(recovery, found);
    if (result == 1 && !found->touched)
        result = is_there(recovery, found, partition->end_offset);
    if (result >= 0)
        result = found->touched || result == 1 ? scan_partition(recovery, found) : 0;
    return result;
}

int weir_recovery_scan(struct weir_recovery *recovery)
{
    int result = 0;
    for (struct weir_found *found = recovery->first; found && result == 0; found = found->next) {
        if (found->topic->dropped)
            continue;
        result = replace_removed(recovery, found);
        if (result == 0)
            result = look_at_partition(recovery, found);
    }
    return result;
}
