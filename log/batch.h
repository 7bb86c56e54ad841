/*
 * log/batch.h - Kafka record batches, version 2: check, patch, walk, build. Pure bytes.
 *
 *     off size field                        off size field
 *       0   8  base offset        (ours)     35   8  largest timestamp
 *       8   4  bytes after this              43   8  producer id, -1: none
 *      12   4  leader epoch       (ours)     51   2  producer epoch
 *      16   1  magic: 2                      53   4  base sequence, -1: none
 *      17   4  CRC-32C of 21 to the end      57   4  records
 *      21   2  attributes                    61  ..  records, one block when compressed
 *      23   4  last offset delta
 *      27   8  first timestamp
 *
 * A record: its own size (varint, not counting itself), attributes (one byte, 0), timestamp delta (varlong), offset delta, key, value
 * (each a varint of its size, -1: absent, then the bytes), count of headers, each header's name and value likewise. Varints are zig-zag.
 *
 * Everything is big-endian. What is stored is what came, but for what is marked "ours", which the CRC does not cover.
 * Nothing here allocates, and nothing of it is asserted about bytes that came from outside. Any thread.
 * Source: Kafka's DefaultRecordBatch; KIP-98, KIP-32. Proof: tests/log/batch_test.c, tests/log/batch_fuzz.c.
 */
#ifndef WEIR_LOG_BATCH_H
#define WEIR_LOG_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WEIR_BATCH_HEAD_BYTES = 61,
    WEIR_BATCH_LENGTH_END = 12, /* total bytes = this + the length field */
    WEIR_BATCH_CODEC_MASK = 7,
    WEIR_BATCH_APPEND_TIME = 1 << 3,
    WEIR_BATCH_TRANSACTIONAL = 1 << 4,
    WEIR_BATCH_CONTROL = 1 << 5,
    WEIR_BATCH_CONTROL_BYTES_MAX = 128, /* of a control batch that we build */
};

enum weir_batch_control_kind {
    WEIR_BATCH_CONTROL_NONE,   /* data */
    WEIR_BATCH_CONTROL_UNREAD, /* a control batch of which only the header was there */
    WEIR_BATCH_CONTROL_ABORT,
    WEIR_BATCH_CONTROL_COMMIT,
    WEIR_BATCH_CONTROL_OTHER,
};

struct weir_batch { /* a header, decoded */
    uint64_t base_offset;
    uint32_t byte_count; /* of the whole batch */
    uint32_t crc;
    uint16_t attributes;
    uint32_t last_delta;
    int64_t first_timestamp_ms;
    int64_t last_timestamp_ms; /* the largest */
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    uint32_t record_count;
    uint8_t control; /* enum weir_batch_control_kind */
};

enum weir_batch_fault {
    WEIR_BATCH_FINE,
    WEIR_BATCH_SHORT,     /* the bytes end inside it: more may come */
    WEIR_BATCH_BAD_MAGIC,
    WEIR_BATCH_BAD_LENGTH,
    WEIR_BATCH_BAD_CRC,
    WEIR_BATCH_BAD_COUNT, /* records, deltas, offsets do not agree */
    WEIR_BATCH_BAD_RECORD,
    WEIR_BATCH_FORBIDDEN, /* a producer may not: a control batch, append time, a transaction or sequence without an id, an unknown codec */
};

/* Decode the header at `bytes` (which may end right behind it); checks magic and length, and that no count is negative. Of a control batch
 * that is there whole also tells what it says. Filled in but for SHORT, BAD_MAGIC and BAD_LENGTH. */
enum weir_batch_fault weir_batch_read(const uint8_t *bytes, size_t byte_count, struct weir_batch *batch_out);
/* Header, length and CRC of the batch at the start of `bytes`; more may follow it. */
enum weir_batch_fault weir_batch_check(const uint8_t *bytes, size_t byte_count, struct weir_batch *batch_out);
/* As a producer may send it: counts and deltas agree, and (where not compressed) every record is well formed and numbered 0, 1, 2 ...
 * What follows the batch is the caller's to refuse (byte_count against batch_out->byte_count). */
enum weir_batch_fault weir_batch_check_produced(const uint8_t *bytes, size_t byte_count, struct weir_batch *batch_out);
const char *weir_batch_fault_text(enum weir_batch_fault fault);

/* Write base offset and leader epoch into a stored batch. */
void weir_batch_place(uint8_t *bytes, uint64_t base_offset, uint32_t leader_epoch);
/* LogAppendTime: sets the bit and the largest timestamp, and does the CRC anew. */
void weir_batch_stamp(uint8_t *bytes, int64_t append_ms);
/* The CRC of a batch whose length is right, done anew. */
void weir_batch_seal(uint8_t *bytes);

/* One record, in place. key/value NULL: absent. */
struct weir_record_header {
    const uint8_t *name;
    const uint8_t *value;
    uint32_t name_bytes;
    uint32_t value_bytes;
};
struct weir_batch_record {
    uint64_t offset;
    int64_t timestamp_ms;
    const uint8_t *key;
    const uint8_t *value;
    uint32_t key_bytes;
    uint32_t value_bytes;
    const uint8_t *headers; /* encoded; walk with weir_batch_header_next */
    uint32_t header_count;
    const uint8_t *end;
};
struct weir_batch_walk {
    const uint8_t *next;
    const uint8_t *end;
    uint64_t base_offset;
    int64_t first_timestamp_ms;
    int64_t append_ms;
    uint32_t left;
    uint32_t delta_min; /* of the next record */
    uint32_t last_delta;
    bool appended; /* LogAppendTime: every record's timestamp is append_ms */
};
/* Walk the records of a checked batch. -ENOTSUP: compressed (see log/codec.h: `block` is what came out of it; else NULL). */
int weir_batch_walk(struct weir_batch_walk *walk, const uint8_t *bytes, const struct weir_batch *batch, const uint8_t *block,
                    size_t block_bytes);
/* 1: a record, all of it within its bytes, its offset above the last one's; 0: the end; -EBADMSG, also when bytes are left over. */
int weir_batch_next(struct weir_batch_walk *walk, struct weir_batch_record *record_out);
/* From record->headers to record->end: 1, 0 at the end, -EBADMSG (not of a record that weir_batch_next gave). */
int weir_batch_header_next(const uint8_t **at, const uint8_t *end, struct weir_record_header *header_out);

/*
 * Build a batch in caller's memory: begin, set attributes and producer if there are any, add one record or more, finish. A key or value
 * that is NULL, or has a negative size, is absent; so is a header's value that is NULL. -ENOSPC: no room for that record (nothing was
 * added).
 */
struct weir_batch_build {
    uint8_t *bytes;
    size_t room;
    size_t used;
    int64_t first_timestamp_ms;
    int64_t last_timestamp_ms;
    uint32_t record_count;
    uint16_t attributes;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
};
void weir_batch_begin(struct weir_batch_build *build, uint8_t *bytes, size_t room);
int weir_batch_add(struct weir_batch_build *build, int64_t timestamp_ms, const void *key, int64_t key_bytes, const void *value,
                   int64_t value_bytes, const struct weir_record_header *headers, uint32_t header_count);
size_t weir_batch_finish(struct weir_batch_build *build); /* total bytes; base offset 0 */
/* A control batch of one record that ends a transaction (KIP-98). `bytes` has room for WEIR_BATCH_CONTROL_BYTES_MAX. */
size_t weir_batch_control(uint8_t *bytes, int64_t producer_id, int16_t producer_epoch, bool commit, uint32_t coordinator_epoch,
                          int64_t timestamp_ms);

#endif
