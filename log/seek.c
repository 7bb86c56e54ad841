/*
 * log/seek.c - the first record at or after a time: by segment, by index entry, by batch, by record.
 *
 * Timestamps may go back and forth, so what is asked at each step is the largest so far: the first place where it
 * reaches the wanted time holds the answer. In a compressed batch the answer is its first record.
 * Proof: tests/log/store_test.c.
 */
#include <errno.h>

#include "log/store_own.h"

enum { SEEK_BYTES = 64 << 10 };

/* Which offset to look from, not before `from`. False: there is nothing so late. */
static bool next_place(const struct weir_partition *partition, int64_t timestamp_ms, uint64_t from, uint64_t *offset_out)
{
    for (uint32_t i = 0; i < partition->segment_count; i++) {
        const struct weir_segment *segment = partition->segments[i];
        if (segment->timestamp_ms < timestamp_ms || segment->end_offset <= from || segment->byte_count == 0)
            continue;
        struct weir_index_entry entry;
        weir_index_find_time(segment, timestamp_ms, &entry);
        *offset_out = entry.offset > from ? entry.offset : from;
        return *offset_out < partition->high_watermark;
    }
    return false;
}

static void found(struct weir_seek *seek, uint64_t offset, int64_t timestamp_ms)
{
    seek->offset = offset;
    seek->found_ms = timestamp_ms;
}

static void look_in_batch(struct weir_seek *seek, const uint8_t *bytes, size_t byte_count)
{
    struct weir_batch batch;
    struct weir_batch_walk walk;
    struct weir_batch_record record;
    uint64_t start = seek->read.partition->start_offset;
    if (weir_batch_read(bytes, byte_count, &batch) != WEIR_BATCH_FINE)
        return;
    if (!(batch.attributes & WEIR_BATCH_APPEND_TIME) && weir_batch_walk(&walk, bytes, &batch, NULL, 0) == 0) {
        while (weir_batch_next(&walk, &record) == 1)
            if (record.timestamp_ms >= seek->timestamp_ms && record.offset >= start) {
                found(seek, record.offset, record.timestamp_ms);
                return;
            }
        return;
    }
    bool first = !(batch.attributes & WEIR_BATCH_APPEND_TIME) && batch.first_timestamp_ms >= seek->timestamp_ms;
    found(seek, batch.base_offset > start ? batch.base_offset : start,
          first ? batch.first_timestamp_ms : batch.last_timestamp_ms);
}

static bool look(struct weir_seek *seek)
{
    struct weir_read *read = &seek->read;
    for (uint32_t i = 0; i < read->slice_count && seek->offset == UINT64_MAX; i++) {
        const uint8_t *at = read->slices[i].bytes;
        const uint8_t *end = at + read->slices[i].byte_count;
        for (; at < end && seek->offset == UINT64_MAX; at += weir_stored_bytes(at))
            if (weir_stored_timestamp(at) >= seek->timestamp_ms)
                look_in_batch(seek, at, (size_t)(end - at));
    }
    weir_read_release(read->partition, read);
    return seek->offset != UINT64_MAX;
}

/* 1: known; 0: a read is under way; negative. */
static int step(struct weir_partition *partition, struct weir_seek *seek, uint64_t from)
{
    for (;;) {
        if (from < partition->start_offset)
            from = partition->start_offset;
        if (!next_place(partition, seek->timestamp_ms, from, &seek->read.offset))
            return 1;
        int result = weir_partition_read(partition, &seek->read);
        if (result <= 0)
            return result;
        if (seek->read.byte_count == 0 || look(seek))
            return 1;
        from = seek->read.next_offset;
    }
}

static void on_read(struct weir_read *read, int result)
{
    struct weir_seek *seek = WEIR_CONTAINER(read, struct weir_seek, read);
    if (result == 1 && read->byte_count > 0 && !look(seek))
        result = step(read->partition, seek, read->next_offset);
    if (result != 0)
        seek->done(seek, result);
}

int weir_partition_seek(struct weir_partition *partition, struct weir_seek *seek)
{
    seek->offset = UINT64_MAX;
    seek->found_ms = -1;
    seek->read = (struct weir_read){.limit_offset = UINT64_MAX, .bytes_max = SEEK_BYTES, .done = on_read};
    return step(partition, seek, partition->start_offset);
}
