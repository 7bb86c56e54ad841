/*
 * log/frame.h - the bytes of a journal: extent headers, frames, entries. Pure; docs/log-format.md has the offsets.
 *
 * Proof: tests/log/frame_test.c, tests/log/frame_fuzz.c.
 */
#ifndef WEIR_LOG_FRAME_H
#define WEIR_LOG_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WEIR_FRAME_ALIGN = 4096,
    WEIR_FRAME_HEAD_BYTES = 48,
    WEIR_EXTENT_HEAD_BYTES = 64,
    WEIR_ENTRY_HEAD_BYTES = 40,
};

enum weir_entry_type {
    WEIR_ENTRY_BATCH = 1,
    WEIR_ENTRY_START = 2,
    WEIR_ENTRY_PUT = 3,
    WEIR_ENTRY_REMOVE = 4,
    WEIR_ENTRY_DROP = 5,
    WEIR_ENTRY_RESERVED_FIRST = 16,
    WEIR_ENTRY_RESERVED_LAST = 31,
};

struct weir_log_id { /* of a node, of a topic */
    uint8_t bytes[16];
};

struct weir_extent_head {
    struct weir_log_id node;
    uint64_t run;
    uint32_t journal;
    uint32_t salt; /* drawn for each use of an extent; its frames' checksums begin with it */
    uint64_t number;
    uint64_t first_sequence;
};

struct weir_frame_head {
    uint64_t sequence;
    uint32_t entry_bytes;
    uint32_t entry_count;
};

struct weir_entry {
    uint16_t type;
    struct weir_log_id topic;
    uint32_t place; /* partition or table */
    uint32_t key_bytes;
    uint64_t number; /* base offset, start, version */
    const uint8_t *body;
    uint32_t body_bytes;
};

enum { WEIR_ENTRY_BODY_BYTES_MAX = 1 << 30 }; /* so that no sum of lengths wraps */

static inline uint32_t weir_entry_bytes(uint32_t body_bytes) /* in a frame; of a body up to WEIR_ENTRY_BODY_BYTES_MAX */
{
    return (WEIR_ENTRY_HEAD_BYTES + body_bytes + 7u) & ~7u;
}
static inline uint64_t weir_frame_bytes(uint64_t entry_bytes) /* on the disk */
{
    return (WEIR_FRAME_HEAD_BYTES + entry_bytes + WEIR_FRAME_ALIGN - 1) & ~(uint64_t)(WEIR_FRAME_ALIGN - 1);
}

void weir_extent_write(uint8_t bytes[WEIR_EXTENT_HEAD_BYTES], const struct weir_extent_head *head);
bool weir_extent_read(const uint8_t bytes[WEIR_EXTENT_HEAD_BYTES], struct weir_extent_head *head_out);

/* The head of an entry whose body follows; WEIR_ENTRY_HEAD_BYTES. */
void weir_entry_write(uint8_t *bytes, const struct weir_entry *entry);
/* Head and CRC of a frame whose entries (head->entry_bytes) lie at bytes + WEIR_FRAME_HEAD_BYTES. */
void weir_frame_write(uint8_t *bytes, const struct weir_extent_head *extent, const struct weir_frame_head *head);
/* Is there a valid frame of this extent with this sequence at `bytes`? byte_count: what is left of the extent. */
bool weir_frame_read(const uint8_t *bytes, size_t byte_count, const struct weir_extent_head *extent, uint64_t sequence,
                     struct weir_frame_head *head_out);
/* Does what stands there look like a frame of this extent's node, run and journal? No length, sequence or checksum is looked at:
 * for finding out what a chain broke off at. */
bool weir_frame_peek(const uint8_t *bytes, size_t byte_count, const struct weir_extent_head *extent,
                     struct weir_frame_head *head_out);
/* The entry at *at of a valid frame, and on to the next. 1; 0: the end; -EBADMSG: what no program of ours wrote. */
int weir_entry_next(const uint8_t **at, const uint8_t *end, struct weir_entry *entry_out);

#endif
