/*
 * tests/wire/kafka/kafka_codec_test.c - frames byte for byte, and what is no frame.
 *
 * Expected bytes were made from Kafka's schemas by golden.py, an encoder of its own. Each frame must be what weir encodes, and decode
 * to the values it was made of; cut anywhere, or with a byte more, it must be refused. Input ends where an unmapped page begins.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "kafka_fill.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(*(array)))

enum { REGION_BYTES = 1 << 20, ARENA_BYTES = 64 << 20, SIZE_BYTES = 4, CORRELATION_BYTES = 4 };
enum side { REQUEST, RESPONSE };

static const int32_t CORRELATION_ID = 0x01020304;

struct frame {
    int16_t key;
    enum side side;
    int16_t version;
    uint32_t seed;
    const char *hex;
};

struct default_value {
    int16_t key;
    enum side side;
    const char *path;
    int64_t value;
};

struct flexible {
    int16_t key;
    int16_t from;
};

static const struct frame frames[] = {
#define FRAME(key, side, version, seed, hex) {key, side, version, seed, hex},
#define DEFAULT(key, side, path, value)
#define FLEXIBLE(key, from)
#include "golden.inc"
#undef FRAME
#undef DEFAULT
};

static const struct default_value default_values[] = {
#define FRAME(key, side, version, seed, hex)
#define DEFAULT(key, side, path, value) {key, side, path, value},
#include "golden.inc"
#undef DEFAULT
#undef FLEXIBLE
};

static const struct flexible flexibles[] = {
#define DEFAULT(key, side, path, value)
#define FLEXIBLE(key, from) {key, from},
#include "golden.inc"
#undef FRAME
#undef DEFAULT
#undef FLEXIBLE
};

struct fixture {
    uint8_t *end; /* of what may be read */
    struct weir_kafka_arena arena;
    struct weir_kafka_arena expected;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    uint8_t *region = mmap(NULL, REGION_BYTES + 65536, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(region, MAP_FAILED);
    assert_int_equal(mprotect(region + REGION_BYTES, 65536, PROT_NONE), 0);
    fixture->end = region + REGION_BYTES;
    weir_kafka_arena_init(&fixture->arena, NULL, 0, ARENA_BYTES);
    weir_kafka_arena_init(&fixture->expected, NULL, 0, ARENA_BYTES);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    weir_kafka_arena_deinit(&fixture->arena);
    weir_kafka_arena_deinit(&fixture->expected);
    munmap(fixture->end - REGION_BYTES, REGION_BYTES + 65536);
    free(fixture);
    return 0;
}

static void start_again(struct fixture *fixture)
{
    weir_kafka_arena_deinit(&fixture->arena);
    weir_kafka_arena_deinit(&fixture->expected);
    weir_kafka_arena_init(&fixture->arena, NULL, 0, ARENA_BYTES);
    weir_kafka_arena_init(&fixture->expected, NULL, 0, ARENA_BYTES);
}

/* ---- frames ---- */

static const struct weir_kafka_message *message_of(const struct frame *frame)
{
    const struct weir_kafka_api *api = weir_kafka_api_find(frame->key);
    assert_non_null(api);
    return frame->side == REQUEST ? api->request : api->response;
}

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t count = strlen(hex) / 2;
    for (size_t i = 0; i < count; i++) {
        unsigned value;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &value), 1);
        out[i] = (uint8_t)value;
    }
    return count;
}

/* The frame at the end of the readable region; its first byte. */
static const uint8_t *place(struct fixture *fixture, const char *hex, size_t *count_out)
{
    static uint8_t bytes[REGION_BYTES];
    *count_out = from_hex(hex, bytes);
    return memcpy(fixture->end - *count_out, bytes, *count_out);
}

/* How many bytes of the frame come before the body. */
static size_t head_bytes(const struct frame *frame, const uint8_t *bytes, size_t count)
{
    if (frame->side == REQUEST) {
        struct weir_kafka_head head;
        assert_int_equal(weir_kafka_head_read(bytes + SIZE_BYTES, count - SIZE_BYTES, &head), 0);
        assert_int_equal(head.key, frame->key);
        assert_int_equal(head.version, frame->version);
        assert_int_equal(head.correlation_id, CORRELATION_ID);
        assert_int_equal(head.client_id.byte_count, 6);
        assert_memory_equal(head.client_id.bytes, "golden", 6);
        return SIZE_BYTES + head.byte_count;
    }
    bool tags = frame->key != WEIR_KAFKA_API_VERSIONS &&
                weir_kafka_flexible(frame->key, frame->version);
    return SIZE_BYTES + CORRELATION_BYTES + (tags ? 1 : 0);
}

static int decode(struct fixture *fixture, const struct frame *frame, const uint8_t *body,
                  size_t count, void **out)
{
    const struct weir_kafka_message *message = message_of(frame);
    *out = weir_kafka_arena_take(&fixture->arena, message->struct_bytes);
    return weir_kafka_decode(message, frame->version,
                             weir_kafka_flexible(frame->key, frame->version), body, count,
                             &fixture->arena, *out);
}

static int encode(struct fixture *fixture, const struct frame *frame, const void *body,
                  struct weir_kafka_out *out)
{
    const struct weir_kafka_api *api = weir_kafka_api_find(frame->key);
    *out = (struct weir_kafka_out){.arena = &fixture->arena};
    if (frame->side == REQUEST)
        return weir_kafka_encode_request(api, frame->version, CORRELATION_ID, "golden", body, out);
    return weir_kafka_encode(api, frame->version, CORRELATION_ID, body, out);
}

static void name_frame(const struct frame *frame)
{
    print_error("%s %s v%d seed %u\n", weir_kafka_api_find(frame->key)->name,
                frame->side == REQUEST ? "request" : "response", frame->version, frame->seed);
}

static void show_difference(const struct frame *frame, const char *got, const char *expected)
{
    name_frame(frame);
    size_t at = 0;
    for (size_t i = 0; got[i] && got[i] == expected[i]; i++)
        if (got[i] == '\n')
            at = i + 1;
    print_error("got      %.*s\nexpected %.*s\n", (int)strcspn(got + at, "\n"), got + at,
                (int)strcspn(expected + at, "\n"), expected + at);
}

static void expect_same(const struct frame *frame, const void *got, const void *expected)
{
    char *got_text = show_message(message_of(frame), got);
    char *expected_text = show_message(message_of(frame), expected);
    if (strcmp(got_text, expected_text) != 0) {
        show_difference(frame, got_text, expected_text);
        fail();
    }
    free(got_text);
    free(expected_text);
}

static void every_version_of_every_api_has_frames(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < weir_kafka_api_count; i++) {
        const struct weir_kafka_api *api = &weir_kafka_apis[i];
        for (int16_t version = api->version_min; version <= api->version_max; version++) {
            uint32_t found = 0;
            for (size_t j = 0; j < COUNT_OF(frames); j++)
                found += frames[j].key == api->key && frames[j].version == version;
            assert_int_equal(found, 6); /* three seeds, both sides */
        }
    }
}

static void every_frame_is_encoded_byte_for_byte(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(frames); i++) {
        const struct frame *frame = &frames[i];
        size_t count;
        const uint8_t *bytes = place(fixture, frame->hex, &count);
        const void *body = fill_message(&fixture->arena, message_of(frame), frame->version,
                                        frame->seed, true);
        struct weir_kafka_out out;
        assert_int_equal(encode(fixture, frame, body, &out), 0);
        if (out.byte_count != count || memcmp(out.parts[0].bytes, bytes, count) != 0)
            name_frame(frame);
        assert_int_equal(out.part_count, 1);
        assert_int_equal(out.byte_count, count);
        assert_int_equal(out.parts[0].byte_count, count);
        assert_memory_equal(out.parts[0].bytes, bytes, count);
        start_again(fixture);
    }
}

static void every_frame_is_decoded_to_what_it_was_made_of(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(frames); i++) {
        const struct frame *frame = &frames[i];
        size_t count;
        const uint8_t *bytes = place(fixture, frame->hex, &count);
        size_t head = head_bytes(frame, bytes, count);
        void *got;
        int result = decode(fixture, frame, bytes + head, count - head, &got);
        if (result < 0)
            name_frame(frame);
        assert_int_equal(result, 0);
        expect_same(frame, got,
                    fill_message(&fixture->expected, message_of(frame), frame->version, frame->seed,
                                 false));
        start_again(fixture);
    }
}

static void a_frame_cut_anywhere_is_refused(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(frames); i++) {
        const struct frame *frame = &frames[i];
        static uint8_t bytes[REGION_BYTES];
        size_t count = from_hex(frame->hex, bytes);
        size_t head = head_bytes(frame, bytes, count);
        for (size_t cut = 0; cut < count - head; cut++) {
            void *got;
            const uint8_t *body = memcpy(fixture->end - cut, bytes + head, cut);
            int result = decode(fixture, frame, body, cut, &got);
            assert_true(result == -EBADMSG || result == -EMSGSIZE);
            start_again(fixture);
        }
    }
}

static void a_head_cut_anywhere_is_refused(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(frames); i++) {
        static uint8_t bytes[REGION_BYTES];
        if (frames[i].side != REQUEST)
            continue;
        size_t count = from_hex(frames[i].hex, bytes);
        size_t head = head_bytes(&frames[i], bytes, count) - SIZE_BYTES;
        for (size_t cut = 0; cut < head; cut++) {
            struct weir_kafka_head got;
            const uint8_t *at = memcpy(fixture->end - cut, bytes + SIZE_BYTES, cut);
            assert_int_equal(weir_kafka_head_read(at, cut, &got), -EBADMSG);
        }
    }
}

static void a_byte_more_is_refused(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(frames); i++) {
        static uint8_t bytes[REGION_BYTES];
        size_t count = from_hex(frames[i].hex, bytes);
        size_t head = head_bytes(&frames[i], bytes, count);
        bytes[count] = 0;
        void *got;
        assert_int_equal(decode(fixture, &frames[i], bytes + head, count - head + 1, &got),
                         -EBADMSG);
        start_again(fixture);
    }
}

/* Seeds that golden.py did not see: what goes in comes out. */
static void a_round_trip_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(frames); i++) {
        struct frame frame = frames[i];
        for (frame.seed += 100; frame.seed < 120; frame.seed += 3) {
            struct weir_kafka_out out;
            const void *expected = fill_message(&fixture->expected, message_of(&frame),
                                                frame.version, frame.seed, false);
            assert_int_equal(encode(fixture, &frame, expected, &out), 0);
            size_t head = head_bytes(&frame, out.parts[0].bytes, out.parts[0].byte_count);
            void *got;
            assert_int_equal(decode(fixture, &frame, out.parts[0].bytes + head,
                                    out.parts[0].byte_count - head, &got),
                             0);
            expect_same(&frame, got, expected);
            start_again(fixture);
        }
    }
}

/* ---- tables ---- */

static const struct weir_kafka_field *find_field(const struct weir_kafka_message *message,
                                                 const char *path)
{
    size_t count = strcspn(path, ".");
    for (uint32_t i = 0; i < message->field_count; i++) {
        const struct weir_kafka_field *field = &message->fields[i];
        if (strlen(field->name) != count || memcmp(field->name, path, count) != 0)
            continue;
        return path[count] ? find_field(field->of, path + count + 1) : field;
    }
    return NULL;
}

static void defaults_are_those_of_the_schemas(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(default_values); i++) {
        const struct default_value *expected = &default_values[i];
        const struct weir_kafka_api *api = weir_kafka_api_find(expected->key);
        const struct weir_kafka_field *field = find_field(
            expected->side == REQUEST ? api->request : api->response, expected->path);
        if (!field || field->value != expected->value)
            print_error("%s %s\n", api->name, expected->path);
        assert_non_null(field);
        assert_int_equal(field->value, expected->value);
    }
}

static uint32_t count_fields(const struct weir_kafka_message *message)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < message->field_count; i++) {
        const struct weir_kafka_field *field = &message->fields[i];
        bool in_place = field->kind == WEIR_KAFKA_STRUCT || field->kind == WEIR_KAFKA_POINTER;
        count += in_place ? 0 : 1;
        count += field->of && field->of->fields ? count_fields(field->of) : 0;
    }
    return count;
}

static void there_is_no_field_that_the_schemas_do_not_have(void **state)
{
    (void)state;
    uint32_t count = 0;
    for (uint32_t i = 0; i < weir_kafka_api_count; i++)
        count += count_fields(weir_kafka_apis[i].request) +
                 count_fields(weir_kafka_apis[i].response);
    assert_int_equal(count, COUNT_OF(default_values));
}

static void tags_stand_last_and_ascending(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2 * weir_kafka_api_count; i++) {
        const struct weir_kafka_api *api = &weir_kafka_apis[i / 2];
        const struct weir_kafka_message *message = i % 2 ? api->request : api->response;
        int last = -1;
        for (uint32_t j = 0; j < message->field_count; j++) {
            assert_true(message->fields[j].tag >= 0 ? message->fields[j].tag > last : last < 0);
            last = message->fields[j].tag;
        }
    }
}

static void versions_are_flexible_from_where_the_schemas_say(void **state)
{
    (void)state;
    assert_int_equal(COUNT_OF(flexibles), weir_kafka_api_count);
    for (size_t i = 0; i < COUNT_OF(flexibles); i++)
        assert_int_equal(weir_kafka_api_find(flexibles[i].key)->flexible_from, flexibles[i].from);
}

static void an_api_is_found_by_its_key(void **state)
{
    (void)state;
    for (int key = INT16_MIN; key <= INT16_MAX; key++) {
        const struct weir_kafka_api *expected = NULL;
        for (uint32_t i = 0; i < weir_kafka_api_count; i++)
            if (weir_kafka_apis[i].key == key)
                expected = &weir_kafka_apis[i];
        assert_ptr_equal(weir_kafka_api_find((int16_t)key), expected);
    }
}

static void minimums_that_old_clients_look_for_are_there(void **state)
{
    (void)state;
    static const int16_t contract[][2] = {{0, 0},  {1, 4},  {2, 1},  {8, 2},  {9, 1},
                                          {10, 0}, {11, 0}, {12, 0}, {13, 0}, {14, 0},
                                          {17, 0}, {18, 0}, {22, 0}, {36, 0}};
    for (size_t i = 0; i < COUNT_OF(contract); i++)
        assert_true(weir_kafka_api_find(contract[i][0])->version_min <= contract[i][1]);
}

/* ---- heads ---- */

static int read_head(struct fixture *fixture, const char *hex, struct weir_kafka_head *head)
{
    size_t count;
    const uint8_t *bytes = place(fixture, hex, &count);
    return weir_kafka_head_read(bytes, count, head);
}

static void a_version_of_api_versions_that_is_to_come_has_a_head(void **state)
{
    struct weir_kafka_head head;
    assert_int_equal(read_head(*state,
                               "0012"
                               "0063"
                               "0000002a"
                               "ffffff",
                               &head),
                     0);
    assert_int_equal(head.version, 99);
    assert_int_equal(head.correlation_id, 42);
    assert_int_equal(read_head(*state,
                               "0012"
                               "0063"
                               "0000002a",
                               &head),
                     0);
    assert_int_equal(head.correlation_id, 42);
    assert_null(head.client_id.bytes);
}

static void a_client_id_may_be_null_or_empty(void **state)
{
    struct weir_kafka_head head;
    assert_int_equal(read_head(*state,
                               "0003"
                               "0001"
                               "00000001"
                               "ffff",
                               &head),
                     0);
    assert_null(head.client_id.bytes);
    assert_int_equal(head.byte_count, 10);
    assert_int_equal(read_head(*state,
                               "0003"
                               "0001"
                               "00000001"
                               "0000",
                               &head),
                     0);
    assert_non_null(head.client_id.bytes);
    assert_int_equal(head.client_id.byte_count, 0);
    assert_int_equal(read_head(*state,
                               "0003"
                               "0001"
                               "00000001"
                               "fffe",
                               &head),
                     -EBADMSG);
}

static void tags_of_a_head_are_skipped_by_size(void **state)
{
    struct weir_kafka_head head;
    assert_int_equal(read_head(*state,
                               "0003"
                               "0009"
                               "00000001"
                               "000161"
                               "02"
                               "00"
                               "03"
                               "616263"
                               "05"
                               "00",
                               &head),
                     0);
    assert_int_equal(head.byte_count, 19);
    assert_int_equal(read_head(*state,
                               "0003"
                               "0009"
                               "00000001"
                               "000161"
                               "01"
                               "00"
                               "04"
                               "616263",
                               &head),
                     -EBADMSG);
    assert_int_equal(read_head(*state,
                               "0003"
                               "0009"
                               "00000001"
                               "000161"
                               "ffffffff7f",
                               &head),
                     -EBADMSG);
    assert_int_equal(read_head(*state,
                               "0003"
                               "0009"
                               "00000001"
                               "000161"
                               "ffffffff0f",
                               &head),
                     -EBADMSG);
}

/* ---- hostile bodies ---- */

/* A body of a request of this key and version. */
static int decode_hex(struct fixture *fixture, int16_t key, int16_t version, const char *hex,
                      void **out)
{
    struct frame frame = {.key = key, .version = version, .side = REQUEST};
    size_t count;
    const uint8_t *bytes = place(fixture, hex, &count);
    return decode(fixture, &frame, bytes, count, out);
}

static void expect_result(struct fixture *fixture, int16_t key, int16_t version, const char *hex,
                          int expected)
{
    void *out;
    int result = decode_hex(fixture, key, version, hex, &out);
    if (result != expected)
        print_error("key %d v%d %s\n", key, version, hex);
    assert_int_equal(result, expected);
    start_again(fixture);
}

static void unknown_tags_are_skipped(void **state)
{
    void *out;
    /* Metadata v9: no topics, three booleans, tags 5 and 1000. */
    assert_int_equal(decode_hex(*state, 3, 9,
                                "01"
                                "00"
                                "00"
                                "01"
                                "02"
                                "05"
                                "02"
                                "beef"
                                "e807"
                                "00",
                                &out),
                     0);
    struct weir_kafka_metadata_request *request = out;
    assert_non_null(request->topics.items);
    assert_false(request->allow_auto_topic_creation);
    assert_true(request->include_topic_authorized_operations);
}

static void a_known_tag_comes_once_and_fills_its_size(void **state)
{
    /* Fetch v12: cluster id is tag 0. */
#define FETCH_12 \
    "ffffffff"   \
    "00000000"   \
    "00000000"   \
    "00000000"   \
    "00"         \
    "00000000"   \
    "00000000"   \
    "01"         \
    "01"         \
    "01"
    void *out;
    assert_int_equal(decode_hex(*state, 1, 12,
                                FETCH_12 "01"
                                         "00"
                                         "03"
                                         "036162",
                                &out),
                     0);
    struct weir_kafka_fetch_request *request = out;
    assert_int_equal(request->cluster_id.byte_count, 2);
    assert_memory_equal(request->cluster_id.bytes, "ab", 2);
    expect_result(*state, 1, 12, FETCH_12 "00", 0);
    expect_result(*state, 1, 12,
                  FETCH_12 "02"
                           "00"
                           "03"
                           "036162"
                           "00"
                           "03"
                           "036162",
                  -EBADMSG);
    expect_result(*state, 1, 12,
                  FETCH_12 "01"
                           "00"
                           "04"
                           "03616263",
                  -EBADMSG);
    expect_result(*state, 1, 12,
                  FETCH_12 "01"
                           "00"
                           "02"
                           "0361"
                           "62",
                  -EBADMSG);
    expect_result(*state, 1, 12,
                  FETCH_12 "01"
                           "00"
                           "05"
                           "036162",
                  -EBADMSG);
    expect_result(*state, 1, 12,
                  FETCH_12 "01"
                           "00"
                           "ffffffff0f",
                  -EBADMSG);
    expect_result(*state, 1, 12, FETCH_12 "ffffffff0f", -EBADMSG);
#undef FETCH_12
}

static void a_number_above_32_bits_is_no_length(void **state)
{
    expect_result(*state, 3, 9,
                  "8000"
                  "00"
                  "00"
                  "00"
                  "00",
                  0); /* null, in two bytes */
    expect_result(*state, 3, 9,
                  "8100"
                  "00"
                  "00"
                  "00"
                  "00",
                  0); /* empty, in two bytes */
    expect_result(*state, 3, 9,
                  "818080808000"
                  "00"
                  "00"
                  "00"
                  "00",
                  -EBADMSG);
    expect_result(*state, 3, 9,
                  "8180808010"
                  "00"
                  "00"
                  "00"
                  "00",
                  -EBADMSG);
    expect_result(*state, 3, 9,
                  "8180808000"
                  "00"
                  "00"
                  "00"
                  "00",
                  0);
}

static void an_array_longer_than_its_bytes_is_refused_before_it_is_made(void **state)
{
    struct fixture *fixture = *state;
    size_t before = fixture->arena.bytes_left;
    void *out;
    assert_int_equal(decode_hex(fixture, 3, 1,
                                "7fffffff"
                                "0000",
                                &out),
                     -EMSGSIZE);
    assert_in_range(before - fixture->arena.bytes_left, 0, 128); /* the request's own struct */
    assert_int_equal(decode_hex(fixture, 3, 9,
                                "ffffffff0f"
                                "00000000",
                                &out),
                     -EMSGSIZE);
    assert_in_range(before - fixture->arena.bytes_left, 0, 256);
    expect_result(*state, 3, 1,
                  "00000002"
                  "0000",
                  -EMSGSIZE); /* two names in two bytes */
    expect_result(*state, 3, 1,
                  "00000001"
                  "0000",
                  0);
    expect_result(*state, 0, 3,
                  "ffff"
                  "ffff"
                  "00000000"
                  "00000002"
                  "000000000000",
                  -EMSGSIZE);
}

static void a_null_where_none_may_be_is_refused(void **state)
{
    expect_result(*state, 3, 0, "ffffffff", -EBADMSG);
    expect_result(*state, 3, 1, "ffffffff", 0);
    expect_result(*state, 3, 1, "fffffffe", -EBADMSG);
    expect_result(*state, 17, 0, "ffff", -EBADMSG);
    expect_result(*state, 17, 0, "fffe", -EBADMSG);
    expect_result(*state, 17, 0, "0000", 0);
    expect_result(*state, 36, 0, "ffffffff", -EBADMSG);
    expect_result(*state, 36, 0, "80000000", -EBADMSG);
    expect_result(*state, 42, 2,
                  "00"
                  "00",
                  -EBADMSG);
    expect_result(*state, 42, 2,
                  "02"
                  "00"
                  "00",
                  -EBADMSG); /* a name that is null */
}

static void a_compact_string_is_no_longer_than_others(void **state)
{
    static char hex[2 * (INT16_MAX + 16)];
    for (int over = 0; over < 2; over++) {
        int count = INT16_MAX + over;
        memset(hex, '0', sizeof(hex));
        snprintf(hex, 9, "02%02x%02x%02x", ((count + 1) & 0x7f) | 0x80,
                 ((count + 1) >> 7 & 0x7f) | 0x80, (count + 1) >> 14);
        hex[8] = '0';
        hex[8 + 2 * count + 2] = '\0';
        expect_result(*state, 42, 2, hex, over ? -EBADMSG : 0);
    }
}

static void what_the_arena_does_not_hold_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct weir_kafka_metadata_request request;
    static uint8_t body[4 + 2 * 1000];
    body[2] = 1000 >> 8;
    body[3] = 1000 & 255;
    struct weir_kafka_arena small;
    weir_kafka_arena_init(&small, NULL, 0,
                          1000 * sizeof(struct weir_kafka_metadata_request_topic) - 1);
    assert_int_equal(weir_kafka_decode(&weir_kafka_metadata_request_message, 0, false, body,
                                       sizeof(body), &small, &request),
                     -EMSGSIZE);
    weir_kafka_arena_deinit(&small);
    assert_int_equal(weir_kafka_decode(&weir_kafka_metadata_request_message, 0, false, body,
                                       sizeof(body), &fixture->arena, &request),
                     0);
    assert_int_equal(request.topics.count, 1000);
}

/* ---- records ---- */

static struct weir_kafka_fetch_response *fetched(struct fixture *fixture, uint32_t partitions)
{
    struct weir_kafka_fetch_response *response = weir_kafka_arena_take(&fixture->arena,
                                                                       sizeof(*response));
    weir_kafka_defaults(&weir_kafka_fetch_response_message, response);
    struct weir_kafka_fetch_response_topic *topic = weir_kafka_items(
        &fixture->arena, &weir_kafka_fetch_response_topic_message, 1, &response->responses);
    weir_kafka_items(&fixture->arena, &weir_kafka_fetch_response_partition_message, partitions,
                     &topic->partitions);
    return response;
}

static void records_are_sent_from_where_they_are(void **state)
{
    struct fixture *fixture = *state;
    struct weir_kafka_fetch_response *response = fetched(fixture, 2);
    struct weir_kafka_fetch_response_topic *topic = response->responses.items;
    struct weir_kafka_fetch_response_partition *partitions = topic->partitions.items;
    static const char first[] = "first";
    static const char second[] = "second";
    const void *pieces[] = {first, second};
    partitions[0].records = (struct weir_kafka_records){
        .byte_count = 300, .pieces = pieces, .piece_count = 2};
    struct weir_kafka_out out = {.arena = &fixture->arena};
    assert_int_equal(weir_kafka_encode(weir_kafka_api_find(1), 12, 7, response, &out), 0);
    assert_int_equal(out.part_count, 4);
    assert_ptr_equal(out.parts[1].piece, first);
    assert_ptr_equal(out.parts[2].piece, second);
    assert_null(out.parts[1].bytes);
    assert_null(out.parts[0].piece);
    assert_null(out.parts[3].piece);
    assert_int_equal(out.byte_count, 300 + out.parts[0].byte_count + out.parts[3].byte_count);
    const uint8_t *before = out.parts[0].bytes;
    assert_int_equal(before[2] << 8 | before[3], out.byte_count - SIZE_BYTES);
    const uint8_t *length = before + out.parts[0].byte_count - 2; /* 301, compact */
    assert_int_equal(length[0], 0xad);
    assert_int_equal(length[1], 0x02);
}

static void empty_records_are_not_null(void **state)
{
    struct fixture *fixture = *state;
    struct weir_kafka_fetch_response *response = fetched(fixture, 1);
    struct weir_kafka_fetch_response_topic *topic = response->responses.items;
    struct weir_kafka_fetch_response_partition *partition = topic->partitions.items;
    struct weir_kafka_out out = {.arena = &fixture->arena};
    assert_int_equal(weir_kafka_encode(weir_kafka_api_find(1), 4, 7, response, &out), 0);
    assert_memory_equal(out.parts[0].bytes + out.byte_count - 4, "\0\0\0\0", 4);
    partition->records.bytes = NULL;
    assert_int_equal(weir_kafka_encode(weir_kafka_api_find(1), 4, 7, response, &out), 0);
    assert_memory_equal(out.parts[0].bytes + out.byte_count - 4, "\xff\xff\xff\xff", 4);
}

static void a_string_too_long_to_be_sent_is_said(void **state)
{
    struct fixture *fixture = *state;
    static char text[INT16_MAX + 1];
    struct weir_kafka_sasl_authenticate_response response;
    weir_kafka_defaults(&weir_kafka_sasl_authenticate_response_message, &response);
    for (int16_t version = 0; version <= 2; version++) {
        struct weir_kafka_out out = {.arena = &fixture->arena};
        response.error_message = (struct weir_kafka_string){text, INT16_MAX};
        assert_int_equal(weir_kafka_encode(weir_kafka_api_find(36), version, 7, &response, &out), 0);
        response.error_message.byte_count++;
        assert_int_equal(weir_kafka_encode(weir_kafka_api_find(36), version, 7, &response, &out),
                         -EMSGSIZE);
    }
}

static void an_answer_that_the_arena_does_not_hold_is_said(void **state)
{
    (void)state;
    uint8_t first[64];
    struct weir_kafka_arena small;
    struct weir_kafka_heartbeat_response response = {0};
    weir_kafka_arena_init(&small, first, sizeof(first), 24);
    struct weir_kafka_out out = {.arena = &small};
    assert_int_equal(weir_kafka_encode(weir_kafka_api_find(12), 4, 7, &response, &out), -ENOMEM);
    weir_kafka_arena_deinit(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_of_every_api_has_frames),
        cmocka_unit_test_setup_teardown(every_frame_is_encoded_byte_for_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_frame_is_decoded_to_what_it_was_made_of, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_frame_cut_anywhere_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_head_cut_anywhere_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_byte_more_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_round_trip_changes_nothing, set_up, tear_down),
        cmocka_unit_test(defaults_are_those_of_the_schemas),
        cmocka_unit_test(there_is_no_field_that_the_schemas_do_not_have),
        cmocka_unit_test(tags_stand_last_and_ascending),
        cmocka_unit_test(versions_are_flexible_from_where_the_schemas_say),
        cmocka_unit_test(an_api_is_found_by_its_key),
        cmocka_unit_test(minimums_that_old_clients_look_for_are_there),
        cmocka_unit_test_setup_teardown(a_version_of_api_versions_that_is_to_come_has_a_head,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_id_may_be_null_or_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tags_of_a_head_are_skipped_by_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unknown_tags_are_skipped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_known_tag_comes_once_and_fills_its_size, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_number_above_32_bits_is_no_length, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_array_longer_than_its_bytes_is_refused_before_it_is_made,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_null_where_none_may_be_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_compact_string_is_no_longer_than_others, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_the_arena_does_not_hold_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(records_are_sent_from_where_they_are, set_up, tear_down),
        cmocka_unit_test_setup_teardown(empty_records_are_not_null, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_string_too_long_to_be_sent_is_said, set_up, tear_down),
        cmocka_unit_test(an_answer_that_the_arena_does_not_hold_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
