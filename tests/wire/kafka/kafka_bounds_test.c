/*
 * tests/wire/kafka/kafka_bounds_test.c - requests that lie about their lengths, and what cannot be sent.
 *
 * Bodies are written by hand. Input ends where an unmapped page begins.
 */
#include "kafka_fixture.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(*(array)))

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
    assert_int_equal(read_head(*state, "0012 0063 0000002a ffffff", &head), 0);
    assert_int_equal(head.version, 99);
    assert_int_equal(head.correlation_id, 42);
    assert_int_equal(read_head(*state, "0012 0063 0000002a", &head), 0);
    assert_int_equal(head.correlation_id, 42);
    assert_null(head.client_id.bytes);
}

static void a_client_id_may_be_null_or_empty(void **state)
{
    struct weir_kafka_head head;
    assert_int_equal(read_head(*state, "0003 0001 00000001 ffff", &head), 0);
    assert_null(head.client_id.bytes);
    assert_int_equal(head.byte_count, 10);
    assert_int_equal(read_head(*state, "0003 0001 00000001 0000", &head), 0);
    assert_non_null(head.client_id.bytes);
    assert_int_equal(head.client_id.byte_count, 0);
    assert_int_equal(read_head(*state, "0003 0001 00000001 fffe", &head), -EBADMSG);
}

static void tags_of_a_head_are_skipped_by_size(void **state)
{
    struct weir_kafka_head head;
    assert_int_equal(read_head(*state, "0003 0009 00000001 000161 02 00 03 616263 05 00", &head), 0);
    assert_int_equal(head.byte_count, 19);
    assert_int_equal(read_head(*state, "0003 0009 00000001 000161 01 00 04 616263", &head),
                     -EBADMSG);
    assert_int_equal(read_head(*state, "0003 0009 00000001 000161 ffffffff7f", &head), -EBADMSG);
    assert_int_equal(read_head(*state, "0003 0009 00000001 000161 ffffffff0f", &head), -EBADMSG);
}

/* ---- hostile bodies ---- */

/* A body of a request of this key and version. */
static int decode_hex(struct fixture *fixture, int16_t key, int16_t version, const char *hex,
                      void **out)
{
    const struct weir_kafka_message *message = weir_kafka_api_find(key)->request;
    size_t count;
    const uint8_t *bytes = place(fixture, hex, &count);
    *out = weir_kafka_arena_take(&fixture->arena, message->struct_bytes);
    return weir_kafka_decode(message, version, weir_kafka_flexible(key, version), bytes, count,
                             &fixture->arena, *out);
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
    assert_int_equal(decode_hex(*state, 3, 9, "01 00 00 01 02 05 02 beef e807 00", &out), 0);
    struct weir_kafka_metadata_request *request = out;
    assert_non_null(request->topics.items);
    assert_false(request->allow_auto_topic_creation);
    assert_true(request->include_topic_authorized_operations);
}

static void a_known_tag_comes_once_and_fills_its_size(void **state)
{
    /* Fetch v12: cluster id is tag 0. */
#define FETCH_12 "ffffffff 00000000 00000000 00000000 00 00000000 00000000 01 01 01 "
    void *out;
    assert_int_equal(decode_hex(*state, 1, 12, FETCH_12 "01 00 03 036162", &out), 0);
    struct weir_kafka_fetch_request *request = out;
    assert_int_equal(request->cluster_id.byte_count, 2);
    assert_memory_equal(request->cluster_id.bytes, "ab", 2);
    expect_result(*state, 1, 12, FETCH_12 "00", 0);
    expect_result(*state, 1, 12, FETCH_12 "02 00 03 036162 00 03 036162", -EBADMSG);
    expect_result(*state, 1, 12, FETCH_12 "01 00 04 03616263", -EBADMSG);
    expect_result(*state, 1, 12, FETCH_12 "01 00 02 0361 62", -EBADMSG);
    expect_result(*state, 1, 12, FETCH_12 "01 00 05 036162", -EBADMSG);
    expect_result(*state, 1, 12, FETCH_12 "01 00 ffffffff0f", -EBADMSG);
    expect_result(*state, 1, 12, FETCH_12 "ffffffff0f", -EBADMSG);
#undef FETCH_12
}

static void a_number_above_32_bits_is_no_length(void **state)
{
    expect_result(*state, 3, 9, "8000 00 00 00 00", 0); /* null, in two bytes */
    expect_result(*state, 3, 9, "8100 00 00 00 00", 0); /* empty, in two bytes */
    expect_result(*state, 3, 9, "818080808000 00 00 00 00", -EBADMSG);
    expect_result(*state, 3, 9, "8180808010 00 00 00 00", -EBADMSG);
    expect_result(*state, 3, 9, "8180808000 00 00 00 00", 0);
}

static void an_array_longer_than_its_bytes_is_refused_before_it_is_made(void **state)
{
    struct fixture *fixture = *state;
    size_t before = fixture->arena.bytes_left;
    void *out;
    assert_int_equal(decode_hex(fixture, 3, 1, "7fffffff 0000", &out), -EMSGSIZE);
    assert_in_range(before - fixture->arena.bytes_left, 0, 128); /* the request's own struct */
    assert_int_equal(decode_hex(fixture, 3, 9, "ffffffff0f 00000000", &out), -EMSGSIZE);
    assert_in_range(before - fixture->arena.bytes_left, 0, 256);
    expect_result(*state, 3, 1, "00000002 0000", -EMSGSIZE); /* two names in two bytes */
    expect_result(*state, 3, 1, "00000001 0000", 0);
    expect_result(*state, 0, 3, "ffff ffff 00000000 00000002 000000000000", -EMSGSIZE);
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
    expect_result(*state, 42, 2, "00 00", -EBADMSG);
    expect_result(*state, 42, 2, "02 00 00", -EBADMSG); /* a name that is null */
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
