/*
 * wire/resp/resp_codec.h - the Redis protocol as pure bytes: requests. Replies: resp_write.h.
 *
 * The caller keeps the input that is not consumed yet contiguous and shows all of it at each call;
 * it may have moved meanwhile. The parser remembers how far it has looked as offsets, so that the
 * work is proportional to the bytes received however they are cut. Arguments point into the
 * caller's bytes; only an inline word with quotes is copied (it has to be unquoted), into at most
 * 64 KiB. Nothing is allocated for what a length merely announces: the argument array grows with
 * arguments received, and the first WEIR_RESP_ARGS_INLINE live in the parser itself.
 *
 *     while ((consumed = weir_resp_parse(&parser, at, left, &command)) > 0) {
 *         if (command.arg_count > 0)
 *             run(&command);
 *         at += consumed, left -= consumed;
 *     }
 *     -EAGAIN: read at least command.more_bytes; -EPROTO: answer weir_resp_error(), close
 *
 * No state outside the structs; any thread, one at a time for each parser.
 */
#ifndef WEIR_WIRE_RESP_CODEC_H
#define WEIR_WIRE_RESP_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire/resp/resp_slice.h"
#include "wire/resp/resp_write.h"

enum {
    WEIR_RESP_ARGS_INLINE = 8,           /* arguments held without allocating */
    WEIR_RESP_ARGS_KEPT = 64,            /* a longer array is given back before the next command */
    WEIR_RESP_SCRATCH_BYTES_KEPT = 1024, /* the same for unquoted words */
    WEIR_RESP_ARGS_MAX = 1048576,        /* what `*N` may announce */
    WEIR_RESP_LINE_BYTES_MAX = 65536,    /* an inline command or a length, without its end */
    WEIR_RESP_BULK_BYTES_MAX = 512 << 20,
    WEIR_RESP_GUEST_ARGS_MAX = 10, /* before authentication */
    WEIR_RESP_GUEST_BULK_BYTES_MAX = 16384,
};

struct weir_resp_command {
    const struct weir_resp_slice *args; /* valid until the next parse, or until the input moves */
    uint32_t arg_count;                 /* 0: an empty line or array, to be ignored */
    size_t more_bytes; /* with -EAGAIN: no command can be complete before so many more bytes */
};

/*
 * Set by the caller at any time between two calls: `authenticated`. The two maxima may be lowered
 * after init. A length is judged when its line is read. The rest is the parser's.
 */
struct weir_resp_parser {
    bool authenticated;
    uint32_t args_max;
    size_t bulk_bytes_max;

    uint8_t _state;
    uint32_t _arg_count;
    uint32_t _arg_capacity;
    uint32_t _args_announced;
    size_t _at;                    /* offset of the element being read */
    size_t _scanned;               /* no line end between _at and here */
    size_t _bulk_bytes;            /* of the argument whose length line has been read */
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
 * Read one command at `bytes`: all input not consumed yet, `count` of them, beginning where the
 * last consumed command ended. The bytes already shown may not change, their address may.
 *
 * As Redis does, the byte after a length line's '\r' and the two bytes after a bulk are not looked
 * at.
 *
 * Returns  > 0      bytes of the command in command_out; the caller drops them when done with it
 *          -EAGAIN  incomplete; show the same bytes and at least command_out->more_bytes more
 *          -EPROTO  malformed; weir_resp_error() is the answer; stays so
 *          -ENOMEM  no memory for the arguments or for unquoting; the same call may be repeated
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

#endif
