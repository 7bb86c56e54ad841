/*
 * wire/resp/resp_write.h - the Redis protocol as pure bytes: replies.
 *
 * A writer appends to a span of the caller's. What does not fit is counted and not written, so a
 * pass over an empty span measures, and one check at the end tells whether everything is there. The
 * writer knows the connection's protocol (2 or 3) and picks each type's form.
 *
 * No state outside the structs; any thread, one at a time for each writer.
 */
#ifndef WEIR_WIRE_RESP_WRITE_H
#define WEIR_WIRE_RESP_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/resp/resp_slice.h"

struct weir_resp_writer {
    char *bytes;
    size_t capacity;
    size_t count;     /* asked for so far; beyond capacity it is the size that would have done */
    uint8_t protocol; /* 2 or 3 */
};

/* Append to `bytes` (may be NULL when capacity is 0). The memory stays the caller's. */
void weir_resp_writer_init(struct weir_resp_writer *writer, char *bytes, size_t capacity,
                           uint8_t protocol);

/* Everything asked for was written. When false, whole elements up to the first misfit are there. */
static inline bool weir_resp_writer_fits(const struct weir_resp_writer *writer)
{
    return writer->count <= writer->capacity;
}

/* `+text` and `-text`; line ends inside become spaces, as they would end the reply early. */
void weir_resp_write_simple(struct weir_resp_writer *writer, const char *text, size_t count);
void weir_resp_write_error(struct weir_resp_writer *writer, const char *text, size_t count);
/* As above for C strings. */
void weir_resp_write_status(struct weir_resp_writer *writer, const char *text);
void weir_resp_write_failure(struct weir_resp_writer *writer, const char *text);
/* `-` and a printf format, cut at 1 KiB; line ends become spaces. */
__attribute__((format(printf, 2, 3))) void weir_resp_write_failuref(struct weir_resp_writer *writer,
                                                                    const char *format, ...);

void weir_resp_write_integer(struct weir_resp_writer *writer, int64_t value);
void weir_resp_write_bulk(struct weir_resp_writer *writer, const void *bytes, size_t count);
void weir_resp_write_bulk_text(struct weir_resp_writer *writer, const char *text);
/* `$count\r\n` alone: the caller sends the bytes and a line end after it. */
void weir_resp_write_bulk_head(struct weir_resp_writer *writer, size_t count);
void weir_resp_write_null(struct weir_resp_writer *writer);       /* `$-1` or `_` */
void weir_resp_write_null_array(struct weir_resp_writer *writer); /* `*-1` or `_` */

/* Heads: `count` elements follow (for a map, `count` pairs of key and value). */
void weir_resp_write_array(struct weir_resp_writer *writer, size_t count);
void weir_resp_write_map(struct weir_resp_writer *writer, size_t pair_count);
void weir_resp_write_set(struct weir_resp_writer *writer, size_t count);
void weir_resp_write_push(struct weir_resp_writer *writer, size_t count);

void weir_resp_write_bool(struct weir_resp_writer *writer, bool value);
/* As many digits as it takes to read back `value`; inf, -inf, nan. */
void weir_resp_write_double(struct weir_resp_writer *writer, double value);
/* A decimal number of any length, checked by the caller. */
void weir_resp_write_big_number(struct weir_resp_writer *writer, const char *digits, size_t count);
/* Text with a three-letter format, "txt" or "mkd"; RESP2 drops the format. */
void weir_resp_write_verbatim(struct weir_resp_writer *writer, const char format[3],
                              const char *text, size_t count);

enum weir_resp_message_kind {
    WEIR_RESP_MESSAGE,  /* message channel payload */
    WEIR_RESP_PMESSAGE, /* pmessage pattern channel payload */
    WEIR_RESP_SMESSAGE, /* smessage channel payload */
};

struct weir_resp_message {
    enum weir_resp_message_kind kind;
    struct weir_resp_slice pattern; /* WEIR_RESP_PMESSAGE only */
    struct weir_resp_slice channel;
    struct weir_resp_slice payload;
};

/*
 * A message delivered to a subscriber, measured and then written in one go. RESP2 and RESP3 differ
 * in the first byte only ('*' or '>'). The head is everything before the payload; after the payload
 * comes "\r\n": a fan-out that shares the payload sends the three pieces.
 *
 * _bytes gives the size; _encode fills exactly that many at `out` and returns it. `payload.bytes`
 * is not read for a head.
 */
size_t weir_resp_message_bytes(const struct weir_resp_message *message);
size_t weir_resp_message_encode(const struct weir_resp_message *message, uint8_t protocol,
                                char *out);
size_t weir_resp_message_head_bytes(const struct weir_resp_message *message);
size_t weir_resp_message_head_encode(const struct weir_resp_message *message, uint8_t protocol,
                                     char *out);

#endif
