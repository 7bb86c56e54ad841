/* bench/wire/resp_bench.c - the Redis codec: PUBLISH read, messages written, by the size of the payload. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/shim.h"
#include "wire/resp/resp_codec.h"

enum { PIPE = 64 };

/* 64 of them in one buffer, as a pipelining client sends them. */
static void parse(struct shim_state *state, int64_t payload_bytes)
{
    char *text = malloc((size_t)PIPE * ((size_t)payload_bytes + 64));
    size_t text_bytes = 0;
    for (int i = 0; i < PIPE; i++) {
        text_bytes += (size_t)sprintf(
            text + text_bytes, "*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$%d\r\n", (int)payload_bytes);
        memset(text + text_bytes, 'x', (size_t)payload_bytes);
        text_bytes += (size_t)payload_bytes;
        memcpy(text + text_bytes, "\r\n", 2);
        text_bytes += 2;
    }
    struct weir_resp_parser parser;
    weir_resp_parser_init(&parser);
    parser.authenticated = true;
    while (shim_running(state)) {
        struct weir_resp_command command;
        for (size_t at = 0; at < text_bytes;) {
            ssize_t taken = weir_resp_parse(&parser, text + at, text_bytes - at, &command);
            if (taken <= 0 || command.arg_count != 3)
                abort();
            at += (size_t)taken;
        }
    }
    shim_items(state, PIPE);
    shim_bytes(state, text_bytes);
    weir_resp_parser_close(&parser);
    free(text);
}
SHIM_BENCH("resp_parse_publish/payload_bytes", parse, 16, 100, 4096)

static void encode(struct shim_state *state, int64_t payload_bytes)
{
    char *payload = calloc(1, (size_t)payload_bytes), *out = malloc((size_t)payload_bytes + 128);
    struct weir_resp_message message = {.kind = WEIR_RESP_MESSAGE,
                                        .channel = {"news", 4},
                                        .payload = {payload, (size_t)payload_bytes}};
    size_t bytes = weir_resp_message_bytes(&message);
    while (shim_running(state))
        if (weir_resp_message_encode(&message, 2, out) != bytes)
            abort();
    shim_items(state, 1);
    shim_bytes(state, bytes);
    free(payload);
    free(out);
}
SHIM_BENCH("resp_message/payload_bytes", encode, 16, 100, 4096)
