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
 * Everything is big-endian. What is stored is what came, but for what is marked "ours", which the CRC does not cover.
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
};

enum weir_batch_fault {
    WEIR_BATCH_FINE,
    WEIR_BATCH_SHORT,     /* the bytes end inside it: more may come */
    WEIR_BATCH_BAD_MAGIC,
    WEIR_BATCH_BAD_LENGTH,
    WEIR_BATCH_BAD_CRC,
    WEIR_BATCH_BAD_COUNT, /* records, deltas, offsets do not agree */
    WEIR_BATCH_BAD_RECORD,
};

/* Decode the header at `bytes`. Looks at WEIR_BATCH_HEAD_BYTES at most; checks magic and length. */
enum weir_batch_fault weir_batch_read(const uint8_t *bytes, size_t byte_count, struct weir_batch *batch_out);
/* Header, length and CRC of one whole batch. */
enum weir_batch_fault weir_batch_check(const uint8_t *bytes, size_t byte_count, struct weir_batch *batch_out);
/* As a producer may send it: counts and deltas agree, and (where not compressed) every record is well formed. */
enum weir_batch_fault weir_batch_check_produced(const uint8_t *bytes, size_t byte_count, struct weir_batch *batch_out);
const char *weir_batch_fault_text(enum weir_batch_fault fault);

/* Write base offset and leader epoch into a stored batch. */
void weir_batch_place(uint8_t *bytes, uint64_t base_offset, uint32_t leader_epoch);
/* LogAppendTime: sets the bit and the largest timestamp, and does the CRC anew. */
void weir_batch_stamp(uint8_t *bytes, int64_t append_ms);

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
    uint32_t left;
};
/* Walk the records of a checked batch. -ENOTSUP: compressed (see log/codec.h: `block` is what came out of it; else NULL). */
int weir_batch_walk(struct weir_batch_walk *walk, const uint8_t *bytes, const struct weir_batch *batch, const uint8_t *block,
                    size_t block_bytes);
/* 1: a record; 0: the end; -EBADMSG. */
int weir_batch_next(struct weir_batch_walk *walk, struct weir_batch_record *record_out);
int weir_batch_header_next(const uint8_t **at, const uint8_t *end, struct weir_record_header *header_out);

/* Build a batch in caller's memory: begin, add records, finish. -ENOSPC: no room for that record (nothing was added). */
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
/* A control batch of one record that ends a transaction (KIP-98). `bytes` has room for 128. */
size_t weir_batch_control(uint8_t *bytes, int64_t producer_id, int16_t producer_epoch, bool commit, uint32_t coordinator_epoch,
                          int64_t timestamp_ms);

#endif
