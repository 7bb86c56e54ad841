/*
 * log/checkpoint.c - checkpoints to bytes and back.
 *
 * One pass each way, little-endian words at fixed offsets. Reading believes no length before it has been compared with what
 * is left, and nothing at all before the checksum of the whole was right. Bounded by memory. Offsets: docs/log-format.md.
 * Proof: tests/log/checkpoint_test.c, tests/log/checkpoint_fuzz.c.
 */
#include "log/checkpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"

enum { FORMAT = 1, HEAD_BYTES = 72, CHECKED_FROM = 16, PARTITION_BYTES = 48, SEGMENT_BYTES = 32, ROW_BYTES = 24 };

static const uint8_t magic[8] = {'w', 'e', 'i', 'r', 'c', 'h', 'k', 'p'};

static void put64(uint8_t *at, uint64_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    memcpy(at, &value, sizeof value);
}

static void put32(uint8_t *at, uint32_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap32(value);
#endif
    memcpy(at, &value, sizeof value);
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap32(value);
#endif
    return value;
}

static uint64_t padded(uint64_t byte_count)
{
    return (byte_count + 7) & ~(uint64_t)7;
}

/* ---- Writing ---- */

static bool grow(struct weir_checkpoint_writer *writer, size_t byte_count)
{
    size_t room = writer->room ? writer->room : 4096;
    while (room - writer->used < byte_count)
        room *= 2;
    uint8_t *bytes = realloc(writer->bytes, room);
    if (!bytes) {
        writer->error = -ENOMEM;
        return false;
    }
    writer->bytes = bytes;
    writer->room = room;
    return true;
}

/* Zeroed room for what comes next; NULL: out of memory, now or before. */
static uint8_t *take(struct weir_checkpoint_writer *writer, uint64_t byte_count)
{
    if (writer->error < 0 || (writer->room - writer->used < byte_count && !grow(writer, byte_count)))
        return NULL;
    uint8_t *at = writer->bytes + writer->used;
    memset(at, 0, byte_count);
    writer->used += byte_count;
    return at;
}

void weir_checkpoint_begin(struct weir_checkpoint_writer *writer)
{
    *writer = (struct weir_checkpoint_writer){0};
    (void)take(writer, HEAD_BYTES); /* filled in by finish */
}

static void put_segments(uint8_t *at, const struct weir_checkpoint_partition *partition)
{
    for (uint32_t i = 0; i < partition->segment_count; i++, at += SEGMENT_BYTES) {
        const struct weir_checkpoint_segment *segment = &partition->segments[i];
        put64(at, segment->base_offset);
        put64(at + 8, segment->byte_count);
        put64(at + 16, (uint64_t)segment->timestamp_ms);
        put64(at + 24, (uint64_t)segment->created_ms);
    }
}

void weir_checkpoint_add_partition(struct weir_checkpoint_writer *writer, const struct weir_checkpoint_partition *partition)
{
    WEIR_ASSERT(writer->row_count == 0);
    uint64_t segments_bytes = (uint64_t)partition->segment_count * SEGMENT_BYTES;
    uint8_t *at = take(writer, PARTITION_BYTES + segments_bytes + padded(partition->state_bytes));
    if (!at)
        return;
    memcpy(at, partition->topic.bytes, sizeof partition->topic.bytes);
    put32(at + 16, partition->partition);
    put32(at + 20, partition->segment_count);
    put64(at + 24, partition->start_offset);
    put64(at + 32, partition->end_offset);
    put32(at + 40, partition->state_bytes);
    put_segments(at + PARTITION_BYTES, partition);
    if (partition->state_bytes > 0)
        memcpy(at + PARTITION_BYTES + segments_bytes, partition->state, partition->state_bytes);
    writer->partition_count++;
}

void weir_checkpoint_add_row(struct weir_checkpoint_writer *writer, const struct weir_checkpoint_row *row)
{
    uint8_t *at = take(writer, ROW_BYTES + padded((uint64_t)row->key_bytes + row->value_bytes));
    if (!at)
        return;
    put32(at, row->table);
    put32(at + 4, row->key_bytes);
    put32(at + 8, row->value_bytes);
    put64(at + 16, row->version);
    if (row->key_bytes > 0)
        memcpy(at + ROW_BYTES, row->key, row->key_bytes);
    if (row->value_bytes > 0)
        memcpy(at + ROW_BYTES + row->key_bytes, row->value, row->value_bytes);
    writer->row_count++;
}

int weir_checkpoint_finish(struct weir_checkpoint_writer *writer, const struct weir_checkpoint_head *head)
{
    if (writer->error < 0)
        return writer->error;
    uint8_t *bytes = writer->bytes;
    memcpy(bytes, magic, sizeof magic);
    put32(bytes + 8, FORMAT);
    memcpy(bytes + 16, head->node.bytes, sizeof head->node.bytes);
    put64(bytes + 32, head->run);
    put32(bytes + 40, head->journal);
    put32(bytes + 44, writer->partition_count);
    put64(bytes + 48, head->first_sequence);
    put64(bytes + 56, writer->row_count);
    put64(bytes + 64, writer->used);
    put32(bytes + 12, weir_crc32c(0, bytes + CHECKED_FROM, writer->used - CHECKED_FROM));
    return 0;
}

/* ---- Reading ---- */

int weir_checkpoint_open(struct weir_checkpoint_reader *reader, const uint8_t *bytes, size_t byte_count)
{
    if (byte_count < HEAD_BYTES || memcmp(bytes, magic, sizeof magic) != 0 || get32(bytes + 8) != FORMAT ||
        get64(bytes + 64) != byte_count ||
        get32(bytes + 12) != weir_crc32c(0, bytes + CHECKED_FROM, byte_count - CHECKED_FROM))
        return -EBADMSG;
    *reader = (struct weir_checkpoint_reader){
        .head = {.run = get64(bytes + 32), .journal = get32(bytes + 40), .first_sequence = get64(bytes + 48)},
        .next = bytes + HEAD_BYTES,
        .end = bytes + byte_count,
        .partitions_left = get32(bytes + 44),
        .rows_left = get64(bytes + 56),
    };
    memcpy(reader->head.node.bytes, bytes + 16, sizeof reader->head.node.bytes);
    return 0;
}

int weir_checkpoint_next_partition(struct weir_checkpoint_reader *reader, struct weir_checkpoint_partition *partition_out)
{
    if (reader->partitions_left == 0)
        return 0;
    const uint8_t *at = reader->next;
    uint64_t left = (uint64_t)(reader->end - at);
    if (left < PARTITION_BYTES)
        return -EBADMSG;
    uint32_t segment_count = get32(at + 20);
    uint32_t state_bytes = get32(at + 40);
    uint64_t segments_bytes = (uint64_t)segment_count * SEGMENT_BYTES;
    uint64_t all_bytes = PARTITION_BYTES + segments_bytes + padded(state_bytes);
    if (all_bytes > left)
        return -EBADMSG;
    *partition_out = (struct weir_checkpoint_partition){
        .partition = get32(at + 16),
        .segment_count = segment_count,
        .start_offset = get64(at + 24),
        .end_offset = get64(at + 32),
        .segment_bytes = at + PARTITION_BYTES,
        .state = at + PARTITION_BYTES + segments_bytes,
        .state_bytes = state_bytes,
    };
    memcpy(partition_out->topic.bytes, at, sizeof partition_out->topic.bytes);
    reader->next = at + all_bytes;
    reader->partitions_left--;
    return 1;
}

int weir_checkpoint_next_row(struct weir_checkpoint_reader *reader, struct weir_checkpoint_row *row_out)
{
    WEIR_ASSERT(reader->partitions_left == 0);
    if (reader->rows_left == 0)
        return reader->next == reader->end ? 0 : -EBADMSG;
    const uint8_t *at = reader->next;
    uint64_t left = (uint64_t)(reader->end - at);
    if (left < ROW_BYTES)
        return -EBADMSG;
    uint32_t key_bytes = get32(at + 4);
    uint32_t value_bytes = get32(at + 8);
    uint64_t all_bytes = ROW_BYTES + padded((uint64_t)key_bytes + value_bytes);
    if (all_bytes > left)
        return -EBADMSG;
    *row_out = (struct weir_checkpoint_row){
        .table = get32(at),
        .version = get64(at + 16),
        .key = at + ROW_BYTES,
        .value = at + ROW_BYTES + key_bytes,
        .key_bytes = key_bytes,
        .value_bytes = value_bytes,
    };
    reader->next = at + all_bytes;
    reader->rows_left--;
    return 1;
}

void weir_checkpoint_segment_at(const struct weir_checkpoint_partition *partition, uint32_t index,
                                struct weir_checkpoint_segment *segment_out)
{
    WEIR_ASSERT(index < partition->segment_count);
    const uint8_t *at = partition->segment_bytes + (size_t)index * SEGMENT_BYTES;
    *segment_out = (struct weir_checkpoint_segment){
        .base_offset = get64(at),
        .byte_count = get64(at + 8),
        .timestamp_ms = (int64_t)get64(at + 16),
        .created_ms = (int64_t)get64(at + 24),
    };
}
