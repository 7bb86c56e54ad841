/*
 * wire/resp/resp_codec.h - the Redis protocol as pure bytes: requests in, replies out.
 *
 * Requests. The caller keeps the input that is not consumed yet contiguous and shows all of it at each
 * call; it may have moved meanwhile. The parser remembers how far it has looked as offsets, so that the
 * work is proportional to the bytes received however they are cut. Arguments point into the caller's
 * bytes; only an inline word with quotes is copied (it has to be unquoted), into at most 64 KiB.
 * Nothing is allocated for what a length merely announces: the argument array grows with arguments
 * received, and the first WEIR_RESP_ARGS_INLINE live in the parser itself.
 *
 *     while ((consumed = weir_resp_parse(&parser, at, left, &command)) > 0) {
 *         if (command.arg_count > 0)
 *             run(&command);
 *         at += consumed, left -= consumed;
 *     }
 *     -EAGAIN: read at least command.more_bytes; -EPROTO: answer weir_resp_error(), close
 *
 * Replies. A writer appends to a span of the caller's. What does not fit is counted and not written, so
 * a pass over an empty span measures, and one check at the end tells whether everything is there.
 * The writer knows the connection's protocol (2 or 3) and picks the type's form.
 *
 * No state outside the structs; any thread, one at a time for each parser or writer.
 */
#ifndef WEIR_WIRE_RESP_CODEC_H
#define WEIR_WIRE_RESP_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    WEIR_RESP_ARGS_INLINE = 8,           /* arguments held without allocating */
    WEIR_RESP_ARGS_KEPT = 1024,          /* a longer array is given back before the next command */
    WEIR_RESP_ARGS_MAX = 1048576,        /* what `*N` may announce */
    WEIR_RESP_LINE_BYTES_MAX = 65536,    /* an inline command or a length line, before its line end */
    WEIR_RESP_BULK_BYTES_MAX = 512 << 20,
    WEIR_RESP_GUEST_ARGS_MAX = 10,       /* before authentication */
    WEIR_RESP_GUEST_BULK_BYTES_MAX = 16384,
};

/* Bytes that belong to somebody else. */
struct weir_resp_slice {
    const char *bytes;
    size_t count;
};

struct weir_resp_command {
    const struct weir_resp_slice *args; /* valid until the next parse, or until the input moves */
    uint32_t arg_count;                 /* 0: an empty line or array, to be ignored */
    size_t more_bytes; /* with -EAGAIN: no command can be complete before so many more bytes */
};

/*
 * Set by the caller at any time between two calls: `authenticated`. The two maxima may be lowered after
 * init. A length is judged when its line is read. The rest is the parser's.
 */
struct weir_resp_parser {
    bool authenticated;
    uint32_t args_max;
    size_t bulk_bytes_max;

    uint8_t _state;
    uint32_t _arg_count;
    uint32_t _arg_capacity;
    uint32_t _args_announced;
    size_t _at;         /* offset of the element being read */
    size_t _scanned;    /* no line end between _at and here */
    size_t _bulk_bytes; /* of the argument whose length line has been read */
    struct weir_resp_slice *_args; /* NULL while _inline suffices; holds offsets until complete */
    char *_scratch;                /* unquoted words of an inline command */
    size_t _scratch_bytes;
    union {
        struct weir_resp_slice args[WEIR_RESP_ARGS_INLINE];
        char error[WEIR_RESP_ARGS_INLINE * sizeof(struct weir_resp_slice)]; /* once failed */
    } _inline;
};

/* `parser` is the caller's memory; not authenticated, the maxima above. */
void weir_resp_parser_init(struct weir_resp_parser *parser);

/* Gives back what the parser allocated. The parser may be initialised again. */
void weir_resp_parser_close(struct weir_resp_parser *parser);

/*
 * Read one command at `bytes`: all input not consumed yet, `count` of them, beginning where the last
 * consumed command ended. The bytes already shown may not change, their address may.
 *
 * Returns  > 0      bytes of the command in command_out; the caller drops them when it is done with it
 *          -EAGAIN  incomplete; show the same bytes and at least command_out->more_bytes more
 *          -EPROTO  malformed; weir_resp_error() is the answer; stays so
 *          -ENOMEM  no memory for the argument array or for unquoting; the same call may be repeated
 */
ssize_t weir_resp_parse(struct weir_resp_parser *parser, const char *bytes, size_t count,
                        struct weir_resp_command *command_out);

/*
 * After -EPROTO: Redis's text without leading `-` and line end, "ERR Protocol error: ...". For
 * weir_resp_write_error; valid as long as the parser.
 */
const char *weir_resp_error(const struct weir_resp_parser *parser);

/* Bytes the parser holds on the heap at the moment, for the connection's budget. */
size_t weir_resp_parser_heap_bytes(const struct weir_resp_parser *parser);

/* A browser was talked into speaking to us (`POST` or `Host:`): close without an answer. */
bool weir_resp_command_is_http(const struct weir_resp_command *command);

/* ASCII case does not matter; `name` is a C string. */
bool weir_resp_slice_is(struct weir_resp_slice slice, const char *name);

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
__attribute__((format(printf, 2, 3))) void
weir_resp_write_failuref(struct weir_resp_writer *writer, const char *format, ...);

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
/* The shortest decimal that reads back as `value`; inf, -inf, nan. */
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
 * A message delivered to a subscriber, measured and then written in one go. RESP2 and RESP3 differ in
 * the first byte only ('*' or '>'). The head is everything before the payload; after the payload comes
 * "\r\n": a fan-out that shares the payload sends the three pieces.
 *
 * _bytes gives the size; _encode fills exactly that many at `out` and returns it. `payload.bytes` is
 * not read for a head.
 */
size_t weir_resp_message_bytes(const struct weir_resp_message *message);
size_t weir_resp_message_encode(const struct weir_resp_message *message, uint8_t protocol, char *out);
size_t weir_resp_message_head_bytes(const struct weir_resp_message *message);
size_t weir_resp_message_head_encode(const struct weir_resp_message *message, uint8_t protocol,
                                     char *out);

#endif
