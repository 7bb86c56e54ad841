/*
 * log/checkpoint.h - the bytes of a checkpoint: where every partition and every row of a table stood. Pure.
 *
 * Offsets: docs/log-format.md. Proof: tests/log/checkpoint_test.c, tests/log/checkpoint_fuzz.c.
 */
#ifndef WEIR_LOG_CHECKPOINT_H
#define WEIR_LOG_CHECKPOINT_H

#include "log/frame.h"

struct weir_checkpoint_head {
    struct weir_log_id node;
    uint64_t run;
    uint32_t journal;
    uint64_t first_sequence; /* not covered */
};

struct weir_checkpoint_segment {
    uint64_t base_offset;
    uint64_t byte_count; /* synced */
    int64_t timestamp_ms; /* the largest */
    int64_t created_ms;   /* by the wall clock */
};

struct weir_checkpoint_partition {
    struct weir_log_id topic;
    uint32_t partition;
    uint32_t segment_count;
    uint64_t start_offset;
    uint64_t end_offset; /* covered */
    const struct weir_checkpoint_segment *segments; /* reading: not aligned to be cast; see weir_checkpoint_segment_at */
    const uint8_t *segment_bytes;
    const uint8_t *state; /* the offset from which batches are newer, 8 bytes; then the broker's; or nothing */
    uint32_t state_bytes;
};

struct weir_checkpoint_row {
    uint32_t table;
    uint64_t version;
    const uint8_t *key;
    const uint8_t *value;
    uint32_t key_bytes;
    uint32_t value_bytes;
};

/* Writing: into memory that grows. Errors are remembered and told by finish: -ENOMEM. */
struct weir_checkpoint_writer {
    uint8_t *bytes; /* malloc'd; the caller frees it */
    size_t used;
    size_t room;
    uint32_t partition_count;
    uint64_t row_count;
    int error;
};
void weir_checkpoint_begin(struct weir_checkpoint_writer *writer);
void weir_checkpoint_add_partition(struct weir_checkpoint_writer *writer, const struct weir_checkpoint_partition *partition);
void weir_checkpoint_add_row(struct weir_checkpoint_writer *writer, const struct weir_checkpoint_row *row); /* after all partitions */
int weir_checkpoint_finish(struct weir_checkpoint_writer *writer, const struct weir_checkpoint_head *head);

/* Reading: a whole file in memory. -EBADMSG: not a checkpoint, torn, or of another format. */
struct weir_checkpoint_reader {
    struct weir_checkpoint_head head;
    const uint8_t *next;
    const uint8_t *end;
    uint32_t partitions_left;
    uint64_t rows_left;
};
int weir_checkpoint_open(struct weir_checkpoint_reader *reader, const uint8_t *bytes, size_t byte_count);
int weir_checkpoint_next_partition(struct weir_checkpoint_reader *reader, struct weir_checkpoint_partition *partition_out); /* 1, 0, -EBADMSG */
int weir_checkpoint_next_row(struct weir_checkpoint_reader *reader, struct weir_checkpoint_row *row_out); /* after all partitions */
void weir_checkpoint_segment_at(const struct weir_checkpoint_partition *partition, uint32_t index,
                                struct weir_checkpoint_segment *segment_out);

#endif
