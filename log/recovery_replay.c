/*
 * log/recovery_replay.c - reads the journals of the last run, twice.
 *
 * First for what the catalog and the starts are and which partitions have batches; then, when it is known which of those
 * are kept, and where the files of the others end, for the batches. A partition's batches are in one journal, in order. A batch
 * that begins before the end is there already. One that begins behind it stands behind batches that were appended when the
 * topic was not kept at `synced` and are lost; it was never acknowledged, for that waits until they are synced.
 *
 * Bounded by the journals; memory by the buffers. Proof: tests/log/data_test.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/journal.h"
#include "log/recovery.h"

enum { PROGRESS_BYTES = 16 << 20 };

static void tell_progress(struct weir_recovery *recovery)
{
    recovery->told_bytes = recovery->done_bytes;
    uint64_t all = recovery->all_bytes > recovery->done_bytes ? recovery->all_bytes : recovery->done_bytes;
    if (recovery->options->progress)
        recovery->options->progress(recovery->options->progress_context, recovery->done_bytes, all);
}

static void advance(struct weir_recovery *recovery, const struct weir_entry *entry)
{
    recovery->done_bytes += weir_entry_bytes(entry->body_bytes);
    if (recovery->done_bytes - recovery->told_bytes >= PROGRESS_BYTES)
        tell_progress(recovery);
}

/* ---- The first time ---- */

static int read_batch(struct weir_recovery *recovery, const struct weir_entry *entry, struct weir_batch *batch_out)
{
    if (weir_batch_read(entry->body, entry->body_bytes, batch_out) != WEIR_BATCH_FINE ||
        batch_out->byte_count != entry->body_bytes || batch_out->base_offset != entry->number)
        return weir_recovery_fail(recovery, -EBADMSG, "a journal holds a batch at offset %llu that is none",
                                  (unsigned long long)entry->number);
    return 0;
}

static uint64_t end_of(const struct weir_batch *batch)
{
    return batch->base_offset + batch->last_delta + 1;
}

/* Do its batches follow each other? */
static int note_batch(struct weir_recovery *recovery, const struct weir_entry *entry)
{
    struct weir_batch batch;
    int result = read_batch(recovery, entry, &batch);
    struct weir_found *found = result == 0 ? weir_recovery_partition(recovery, &entry->topic, entry->place) : NULL;
    if (!found)
        return result < 0 ? result : -ENOMEM;
    if (batch.base_offset < found->journal_end && end_of(&batch) > found->journal_end)
        return weir_recovery_fail(recovery, -EBADMSG, "partition %u: the batch at offset %llu overlaps what is before it",
                                  entry->place, (unsigned long long)batch.base_offset);
    found->gap |= batch.base_offset > found->journal_end;
    if (end_of(&batch) > found->journal_end)
        found->journal_end = end_of(&batch);
    return 0;
}

static int note_start(struct weir_recovery *recovery, const struct weir_entry *entry)
{
    struct weir_found *found = weir_recovery_partition(recovery, &entry->topic, entry->place);
    if (found && entry->number > found->partition->start_offset)
        found->partition->start_offset = entry->number;
    return found ? 0 : -ENOMEM;
}

static int note_drop(struct weir_recovery *recovery, const struct weir_entry *entry)
{
    struct weir_found_topic *topic = weir_recovery_topic(recovery, &entry->topic);
    if (topic)
        topic->dropped = true;
    return topic ? 0 : -ENOMEM;
}

static int on_first(void *context, const struct weir_entry *entry)
{
    struct weir_recovery *recovery = context;
    advance(recovery, entry);
    switch (entry->type) {
    case WEIR_ENTRY_BATCH:
        return note_batch(recovery, entry);
    case WEIR_ENTRY_START:
        return note_start(recovery, entry);
    case WEIR_ENTRY_DROP:
        return note_drop(recovery, entry);
    case WEIR_ENTRY_PUT:
        return weir_recovery_row(recovery, entry->place, entry->number, entry->body, entry->key_bytes,
                                 entry->body + entry->key_bytes, entry->body_bytes - entry->key_bytes);
    case WEIR_ENTRY_REMOVE:
        return weir_recovery_row(recovery, entry->place, entry->number, entry->body, entry->key_bytes, NULL, 0);
    default:
        return -EPROTO;
    }
}

static int read_journal(struct weir_recovery *recovery, uint32_t journal, int (*fn)(void *, const struct weir_entry *), bool counts)
{
    const struct weir_data *data = recovery->data;
    struct weir_data_report *report = &recovery->data->report;
    struct weir_journal_report read;
    char folder[WEIR_RECOVERY_PATH_BYTES];
    snprintf(folder, sizeof folder, "%s/journal", data->folder);
    int result = weir_journal_read(data->disk, folder, data->node, recovery->old_run, journal, recovery->first_sequences[journal], fn,
                                   recovery, &read);
    if (result == -EPROTO)
        return weir_recovery_fail(recovery, -ENOTSUP, "%s: a newer program has written here: %s", folder, read.cut_why);
    if (result < 0)
        return weir_recovery_fail(recovery, result, "%s, journal %u: %s", folder, journal,
                                  read.cut_why[0] ? read.cut_why : strerrordesc_np(-result));
    if (counts) {
        report->journal_frames += read.frames;
        report->journal_bytes += read.bytes;
        report->cut_bytes += read.cut_bytes;
        report->cut_files += read.cut_bytes > 0;
    }
    return 0;
}

static int read_all(struct weir_recovery *recovery, int (*fn)(void *, const struct weir_entry *), bool counts)
{
    int result = 0;
    for (uint32_t journal = 0; journal < recovery->old_journal_count && result == 0; journal++)
        result = read_journal(recovery, journal, fn, counts);
    return result;
}

static void add_size(void *context, const char *name, bool is_directory)
{
    struct weir_recovery *recovery = context;
    struct weir_disk *disk = recovery->data->disk;
    char path[WEIR_RECOVERY_PATH_BYTES + 256];
    snprintf(path, sizeof path, "%s/journal/%s", recovery->data->folder, name);
    int fd = is_directory ? -EISDIR : disk->table->open(disk, path, O_RDONLY, 0);
    int64_t byte_count = fd < 0 ? 0 : disk->table->byte_count(disk, fd);
    if (fd >= 0)
        disk->table->close(disk, fd);
    recovery->all_bytes += byte_count > 0 ? 2 * (uint64_t)byte_count : 0;
}

int weir_recovery_read_journals(struct weir_recovery *recovery)
{
    if (recovery->options->progress) {
        char folder[WEIR_RECOVERY_PATH_BYTES];
        snprintf(folder, sizeof folder, "%s/journal", recovery->data->folder);
        weir_recovery_calls(recovery)->list(recovery->data->disk, folder, add_size, recovery); /* only an estimate */
    }
    return read_all(recovery, on_first, true);
}

/* ---- The second time ---- */

static int flush_all(struct weir_recovery *recovery)
{
    int result = 0;
    for (struct weir_found *found = recovery->first; found && result == 0; found = found->next)
        if (found->buffer_used > 0)
            result = weir_found_flush(recovery, found);
    return result;
}

static int reserve(struct weir_found *found, size_t byte_count)
{
    size_t room = found->buffer_room ? found->buffer_room : 4096;
    while (room - found->buffer_used < byte_count)
        room *= 2;
    if (room == found->buffer_room)
        return 0;
    uint8_t *more = realloc(found->buffer, room);
    if (!more)
        return -ENOMEM;
    found->buffer = more;
    found->buffer_room = room;
    return 0;
}

static int append(struct weir_recovery *recovery, struct weir_found *found, const struct weir_batch *batch, const uint8_t *bytes)
{
    struct weir_data_partition *partition = found->partition;
    if (partition->segment_count == 0) {
        int result = weir_found_add_segment(recovery, found, partition->end_offset, recovery->now_ms);
        if (result < 0)
            return result;
        found->fresh = true;
    }
    if (reserve(found, batch->byte_count) < 0)
        return -ENOMEM;
    memcpy(found->buffer + found->buffer_used, bytes, batch->byte_count);
    found->buffer_used += batch->byte_count;
    found->touched = true;
    recovery->buffered_bytes += batch->byte_count;
    struct weir_checkpoint_segment *last = weir_found_last(found);
    last->byte_count += batch->byte_count;
    if (batch->last_timestamp_ms > last->timestamp_ms)
        last->timestamp_ms = batch->last_timestamp_ms;
    partition->end_offset = end_of(batch);
    recovery->data->report.batches_replayed++;
    if (recovery->options->read_only)
        return 0;
    if (found->buffer_used >= WEIR_RECOVERY_BUFFER_BYTES)
        return weir_found_flush(recovery, found);
    return recovery->buffered_bytes >= WEIR_RECOVERY_BUFFERS_BYTES_MAX ? flush_all(recovery) : 0;
}

static int on_second(void *context, const struct weir_entry *entry)
{
    struct weir_recovery *recovery = context;
    struct weir_batch batch;
    advance(recovery, entry);
    if (entry->type != WEIR_ENTRY_BATCH)
        return 0;
    struct weir_found *found = weir_recovery_find(recovery, &entry->topic, entry->place);
    int result = read_batch(recovery, entry, &batch);
    if (result < 0 || found->topic->dropped)
        return result;
    struct weir_data_partition *partition = found->partition;
    if (batch.base_offset < partition->end_offset) {
        recovery->data->report.batches_there_already++;
        return 0;
    }
    if (batch.base_offset > partition->end_offset) {
        if (batch.base_offset > partition->start_offset) {
            recovery->data->report.batches_left_out++;
            return 0;
        }
        result = weir_found_begin_at(recovery, found, batch.base_offset); /* what is missing is before the start anyway */
    }
    return result < 0 ? result : append(recovery, found, &batch, entry->body);
}

int weir_recovery_read_batches(struct weir_recovery *recovery)
{
    int result = read_all(recovery, on_second, false);
    recovery->all_bytes = recovery->done_bytes; /* it was an estimate */
    tell_progress(recovery);
    return result;
}
