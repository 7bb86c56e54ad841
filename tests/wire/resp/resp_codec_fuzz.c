/*
 * tests/wire/resp/resp_codec_fuzz.c - any bytes, cut anywhere, give the same commands.
 *
 * The first eight bytes of an input are a seed for the cuts and a choice of settings, the rest is
 * the stream. It is parsed whole, and again in pieces, each shown in a block of exactly its size
 * (so that AddressSanitizer sees one byte too far) at a new address. Commands, consumed bytes and
 * the error must be the same. Commands are then written as replies are and must parse back;
 * messages must have the size they announced.
 *
 * With libFuzzer: resp_codec_fuzz DIRECTORY. Without (FUZZ_STAND_ALONE): resp_codec_fuzz FILE...
 */
#include "wire/resp/resp_codec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

/* Not an assert: it has to hold in each build. */
#define MUST(condition) ((condition) ? (void)0 : broken(__LINE__, #condition))

static void broken(int line, const char *condition)
{
    fprintf(stderr, "resp_codec_fuzz.c:%d: %s\n", line, condition);
    abort();
}

enum { SETTINGS_BYTES = 8, CONSUMED_MAX = 1 << 12 };

struct settings {
    uint64_t seed;
    bool authenticated;
    bool small_maxima;
    bool quiet_cuts; /* cuts far apart rather than a byte at a time */
};

/* What a reading saw: a running hash, and how far it came. */
struct reading {
    uint64_t hash;
    size_t consumed;
    size_t commands;
    bool failed;
    char error[128];
};

static void mix(struct reading *reading, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++)
        reading->hash = (reading->hash ^ at[i]) * 0x100000001b3u;
}

static void mix_number(struct reading *reading, uint64_t number)
{
    mix(reading, &number, sizeof(number));
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

static void init_parser(struct weir_resp_parser *parser, const struct settings *settings)
{
    weir_resp_parser_init(parser);
    parser->authenticated = settings->authenticated;
    if (settings->small_maxima) {
        parser->args_max = 5;
        parser->bulk_bytes_max = 20;
    }
}

/* Arguments must lie in the input, but for unquoted words, which are shorter than it. */
static void record(struct reading *reading, const struct weir_resp_command *command, size_t consumed)
{
    mix_number(reading, command->arg_count);
    for (uint32_t i = 0; i < command->arg_count; i++) {
        MUST(command->args[i].count < consumed);
        mix_number(reading, command->args[i].count);
        mix(reading, command->args[i].bytes, command->args[i].count);
    }
    reading->consumed += consumed;
    reading->commands++;
    mix_number(reading, reading->consumed);
}

/* Write the command as an array of bulks, in a block of the size measured, and read it back. */
static void check_round_trip(const struct weir_resp_command *command)
{
    struct weir_resp_writer writer;
    struct weir_resp_parser parser;
    struct weir_resp_command back;
    char *block = NULL;
    size_t block_bytes = 0;
    for (int pass = 0; pass < 2; pass++) {
        weir_resp_writer_init(&writer, block, block_bytes, 2);
        weir_resp_write_array(&writer, command->arg_count);
        for (uint32_t i = 0; i < command->arg_count; i++)
            weir_resp_write_bulk(&writer, command->args[i].bytes, command->args[i].count);
        if (pass == 0) {
            block_bytes = writer.count;
            block = malloc(block_bytes);
        }
    }
    MUST(weir_resp_writer_fits(&writer) && writer.count == block_bytes);
    weir_resp_parser_init(&parser);
    parser.authenticated = true;
    MUST(weir_resp_parse(&parser, block, block_bytes, &back) == (ssize_t)block_bytes);
    MUST(back.arg_count == command->arg_count);
    for (uint32_t i = 0; i < back.arg_count; i++) {
        MUST(back.args[i].count == command->args[i].count);
        MUST(memcmp(back.args[i].bytes, command->args[i].bytes, back.args[i].count) == 0);
    }
    weir_resp_parser_close(&parser);
    free(block);
}

static void check_message(const struct weir_resp_command *command)
{
    const struct weir_resp_message message = {
        .kind = (enum weir_resp_message_kind)(command->args[0].count % 3),
        .pattern = command->args[0],
        .channel = command->args[1],
        .payload = command->args[2],
    };
    size_t count = weir_resp_message_bytes(&message);
    size_t head = weir_resp_message_head_bytes(&message);
    char *out = malloc(count);
    MUST(weir_resp_message_encode(&message, 2, out) == count);
    MUST(head + message.payload.count + 2 == count);
    struct weir_resp_parser parser;
    struct weir_resp_command back;
    weir_resp_parser_init(&parser);
    parser.authenticated = true;
    MUST(weir_resp_parse(&parser, out, count, &back) == (ssize_t)count);
    uint32_t last = back.arg_count - 1;
    MUST(last == (message.kind == WEIR_RESP_PMESSAGE ? 3u : 2u));
    MUST(back.args[last].count == message.payload.count);
    MUST(memcmp(back.args[last].bytes, message.payload.bytes, message.payload.count) == 0);
    weir_resp_parser_close(&parser);
    free(out);
}

static void check_replies(const struct weir_resp_command *command)
{
    check_round_trip(command);
    if (command->arg_count >= 3)
        check_message(command);
}

/* Parse what `have` bytes allow, each time from a new block. The hint, or 0 after an error. */
static size_t drain(struct weir_resp_parser *parser, struct reading *reading, const uint8_t *stream,
                    size_t have, bool reply)
{
    for (;;) {
        size_t left = have - reading->consumed;
        char *block = malloc(left + 1); /* never a block of nothing */
        char *at = block + 1;
        memcpy(at, stream + reading->consumed, left);
        struct weir_resp_command command;
        ssize_t result = weir_resp_parse(parser, at, left, &command);
        if (result > 0) {
            MUST((size_t)result <= left);
            if (reply && command.arg_count > 0)
                check_replies(&command);
            record(reading, &command, (size_t)result);
        }
        free(block);
        if (result == -EAGAIN) {
            MUST(command.more_bytes > 0);
            return command.more_bytes;
        }
        if (result < 0) {
            MUST(result == -EPROTO);
            reading->failed = true;
            snprintf(reading->error, sizeof(reading->error), "%s", weir_resp_error(parser));
            return 0;
        }
    }
}

static struct reading read_whole(const struct settings *settings, const uint8_t *stream,
                                 size_t count)
{
    struct reading reading = {.hash = 0xcbf29ce484222325u};
    struct weir_resp_parser parser;
    init_parser(&parser, settings);
    drain(&parser, &reading, stream, count, true);
    weir_resp_parser_close(&parser);
    return reading;
}

/* Also holds the hint to its word: no command and no error-free end before that many bytes came. */
static struct reading read_in_pieces(const struct settings *settings, const uint8_t *stream,
                                     size_t count)
{
    struct reading reading = {.hash = 0xcbf29ce484222325u};
    struct weir_resp_parser parser;
    uint64_t seed = settings->seed;
    size_t have = 0;
    init_parser(&parser, settings);
    for (;;) {
        size_t hint = drain(&parser, &reading, stream, have, false);
        if (hint == 0 || have == count)
            break;
        size_t span = settings->quiet_cuts ? 1 + count / 8 : 3;
        size_t step = 1 + next_random(&seed) % span;
        step = step < count - have ? step : count - have;
        size_t commands = reading.commands;
        have += step;
        if (step < hint) {
            hint = drain(&parser, &reading, stream, have, false);
            MUST(reading.commands == commands);
            if (hint == 0)
                break;
        }
    }
    weir_resp_parser_close(&parser);
    return reading;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    if (count < SETTINGS_BYTES)
        return 0;
    struct settings settings = {
        .authenticated = data[0] & 1,
        .small_maxima = data[0] & 2,
        .quiet_cuts = (data[0] & 4) || count > CONSUMED_MAX,
    };
    memcpy(&settings.seed, data, sizeof(settings.seed));
    const uint8_t *stream = data + SETTINGS_BYTES;
    struct reading whole = read_whole(&settings, stream, count - SETTINGS_BYTES);
    struct reading pieces = read_in_pieces(&settings, stream, count - SETTINGS_BYTES);
    MUST(whole.commands == pieces.commands);
    MUST(whole.consumed == pieces.consumed);
    MUST(whole.hash == pieces.hash);
    MUST(whole.failed == pieces.failed);
    MUST(strcmp(whole.error, pieces.error) == 0);
    return 0;
}

#ifdef FUZZ_STAND_ALONE
static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    static uint8_t data[1 << 20];
    if (file == NULL) {
        perror(path);
        return 1;
    }
    size_t count = fread(data, 1, sizeof(data), file);
    fclose(file);
    LLVMFuzzerTestOneInput(data, count);
    return 0;
}

int main(int count, char **paths)
{
    int result = count > 1 ? 0 : 2;
    for (int i = 1; i < count; i++)
        result |= run_file(paths[i]);
    printf("%d files\n", count - 1);
    return result;
}
#endif
