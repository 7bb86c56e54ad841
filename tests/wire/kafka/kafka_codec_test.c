/*
 * tests/wire/kafka/kafka_codec_test.c - frames byte for byte, and what is no frame.
 *
 * Expected bytes were made from Kafka's schemas by golden.py, an encoder of its own. Each frame must be what weir encodes, and decode
 * to the values it was made of; cut anywhere, or with a byte more, it must be refused. Input ends where an unmapped page begins.
 */
#include "kafka_fixture.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(*(array)))

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
/* ---- frames ---- */

static const struct weir_kafka_message *message_of(const struct frame *frame)
{
    const struct weir_kafka_api *api = weir_kafka_api_find(frame->key);
    assert_non_null(api);
    return frame->side == REQUEST ? api->request : api->response;
}

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
