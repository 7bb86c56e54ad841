/*
 * tests/wire/kafka/kafka_codec_fuzz.c - any bytes as any message of any version.
 *
 * The first three bytes of an input choose API, version and side, the rest is the body. What is decoded points into the input and
 * no further, and encodes to bytes that decode to the same and encode to the same: the form that weir itself sends. The same
 * bytes are read as a request's head, too. Blocks are of exactly their size, so AddressSanitizer sees one byte too far.
 *
 * With libFuzzer: kafka_codec_fuzz DIRECTORY. Without (FUZZ_STAND_ALONE): kafka_codec_fuzz FILE...
 */
#include <errno.h>

#include "kafka_fill.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

/* Not an assert: it has to hold in each build. */
#define MUST(condition) ((condition) ? (void)0 : broken(__LINE__, #condition))

static void broken(int line, const char *condition)
{
    fprintf(stderr, "kafka_codec_fuzz.c:%d: %s\n", line, condition);
    abort();
}

enum { CHOICE_BYTES = 3, ARENA_BYTES = 8 << 20, SIZE_BYTES = 4, CORRELATION_BYTES = 4 };

struct choice {
    const struct weir_kafka_api *api;
    const struct weir_kafka_message *message;
    int16_t version;
    bool request;
    bool flexible;
};

static struct choice choose(const uint8_t *data)
{
    const struct weir_kafka_api *api = &weir_kafka_apis[data[0] % weir_kafka_api_count];
    int versions = api->version_max - api->version_min + 1;
    int16_t version = (int16_t)(api->version_min + data[1] % versions);
    bool request = data[2] & 1;
    return (struct choice){api, request ? api->request : api->response, version, request,
                           version >= api->flexible_from};
}

static struct weir_kafka_out encode(const struct choice *choice, const void *body,
                                    struct weir_kafka_arena *arena)
{
    struct weir_kafka_out out = {.arena = arena};
    int result = choice->request
                     ? weir_kafka_encode_request(choice->api, choice->version, 1, NULL, body, &out)
                     : weir_kafka_encode(choice->api, choice->version, 1, body, &out);
    MUST(result == 0);
    MUST(out.part_count == 1);
    MUST(out.byte_count == out.parts[0].byte_count);
    return out;
}

static size_t head_bytes(const struct choice *choice, const struct weir_kafka_out *out)
{
    if (choice->request) {
        struct weir_kafka_head head;
        MUST(weir_kafka_head_read(out->parts[0].bytes + SIZE_BYTES, out->byte_count - SIZE_BYTES,
                                  &head) == 0);
        MUST(head.key == choice->api->key && head.version == choice->version &&
             !head.client_id.bytes);
        return SIZE_BYTES + head.byte_count;
    }
    bool tags = choice->flexible && choice->api->key != WEIR_KAFKA_API_VERSIONS;
    return SIZE_BYTES + CORRELATION_BYTES + (tags ? 1 : 0);
}

static void check_back(const struct choice *choice, const void *body, struct weir_kafka_arena *arena)
{
    struct weir_kafka_out out = encode(choice, body, arena);
    size_t head = head_bytes(choice, &out);
    void *again = weir_kafka_arena_take(arena, choice->message->struct_bytes);
    MUST(weir_kafka_decode(choice->message, choice->version, choice->flexible,
                           out.parts[0].bytes + head, out.byte_count - head, arena, again) == 0);
    char *first = show_message(choice->message, body);
    char *second = show_message(choice->message, again);
    MUST(strcmp(first, second) == 0);
    free(first);
    free(second);
    struct weir_kafka_out twice = encode(choice, again, arena);
    MUST(twice.byte_count == out.byte_count);
    MUST(memcmp(twice.parts[0].bytes, out.parts[0].bytes, out.byte_count) == 0);
}

static void check_head(const uint8_t *bytes, size_t count)
{
    struct weir_kafka_head head;
    int result = weir_kafka_head_read(bytes, count, &head);
    MUST(result == 0 || result == -EBADMSG);
    if (result < 0)
        return;
    MUST(head.byte_count <= count);
    if (head.client_id.bytes)
        MUST((const uint8_t *)head.client_id.bytes + head.client_id.byte_count <= bytes + count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    if (count < CHOICE_BYTES)
        return 0;
    struct choice choice = choose(data);
    size_t body_bytes = count - CHOICE_BYTES;
    uint8_t *block = malloc(body_bytes + 1); /* never a block of nothing */
    uint8_t *bytes = block + 1;
    memcpy(bytes, data + CHOICE_BYTES, body_bytes);
    struct weir_kafka_arena arena;
    weir_kafka_arena_init(&arena, NULL, 0, ARENA_BYTES);
    void *body = weir_kafka_arena_take(&arena, choice.message->struct_bytes);
    int result = weir_kafka_decode(choice.message, choice.version, choice.flexible, bytes,
                                   body_bytes, &arena, body);
    MUST(result == 0 || result == -EBADMSG || result == -EMSGSIZE);
    if (result == 0 && arena.bytes_left > ARENA_BYTES * 7 / 8)
        check_back(&choice, body, &arena);
    weir_kafka_arena_deinit(&arena);
    check_head(bytes, body_bytes);
    free(block);
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
