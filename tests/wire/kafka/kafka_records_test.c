/*
 * tests/wire/kafka/kafka_records_test.c - records in and out: Produce, Fetch, ListOffsets, DeleteRecords, in the versions clients send.
 *
 * Each case runs on one reactor with epoll, and on two with whatever the machine has, where the partitions lie on both.
 */
#include "kafka_session_fixture.h"

enum { LONG_MS = 60000, COMMITTED = 1 };

/* ---- Produce ---- */

static const struct weir_kafka_produce_response_partition *
try_produce(struct client *client, int16_t version, const char *topic,
            struct weir_kafka_records records)
{
    return produced(
        call(client, WEIR_KAFKA_PRODUCE, version, produce_request(client, topic, 0, records)));
}

static void every_version_of_produce_is_answered_in_its_own(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    int64_t next = 0;
    create_topic(&client, "t", 1);
    for (int16_t version = 0; version < 3; version++) {
        const struct weir_kafka_produce_response_partition *answer = try_produce(
            &client, version, "t", make_batch(&client, 1, 10, 1));
        assert_int_not_equal(answer->error_code, WEIR_KAFKA_NONE);
        assert_int_equal(answer->base_offset, -1);
    }
    for (int16_t version = 3; version <= 11; version++, next += 3) {
        const struct weir_kafka_produce_response_partition *answer = try_produce(
            &client, version, "t", make_batch(&client, 3, 10, 1));
        assert_int_equal(answer->error_code, WEIR_KAFKA_NONE);
        assert_int_equal(answer->base_offset, next);
        assert_int_equal(answer->log_append_time_ms, -1);
        assert_int_equal(answer->log_start_offset, version >= 5 ? 0 : -1);
    }
    client_close(&client);
    fixture_close(f);
}

static void what_cannot_be_appended_is_named(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    create_topic(&client, "t", 1);
    struct weir_kafka_records batch = make_batch(&client, 2, 10, 1);
    assert_int_equal(try_produce(&client, 9, "none", batch)->error_code,
                     WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(
        produced(call(&client, WEIR_KAFKA_PRODUCE, 9, produce_request(&client, "t", 1, batch)))
            ->error_code,
        WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(
        produced(call(&client, WEIR_KAFKA_PRODUCE, 9, produce_request(&client, "t", -1, batch)))
            ->error_code,
        WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    struct weir_kafka_produce_request *acks = produce_request(&client, "t", 0, batch);
    acks->acks = 2;
    assert_int_equal(produced(call(&client, WEIR_KAFKA_PRODUCE, 9, acks))->error_code,
                     WEIR_KAFKA_INVALID_REQUIRED_ACKS);
    assert_int_equal(try_produce(&client, 9, "t", (struct weir_kafka_records){0})->error_code,
                     WEIR_KAFKA_INVALID_RECORD);
    struct weir_kafka_records two = make_batch(&client, 1, 10, 1); /* room for more lies behind it */
    uint8_t *both = weir_kafka_arena_take(&client.arena, 2 * (size_t)two.byte_count);
    memcpy(both, two.bytes, two.byte_count);
    memcpy(both + two.byte_count, two.bytes, two.byte_count);
    two = (struct weir_kafka_records){.bytes = both, .byte_count = 2 * two.byte_count};
    assert_int_equal(try_produce(&client, 9, "t", two)->error_code, WEIR_KAFKA_INVALID_RECORD);
    ((uint8_t *)(uintptr_t)batch.bytes)[batch.byte_count - 1] ^= 1;
    assert_int_equal(try_produce(&client, 9, "t", batch)->error_code, WEIR_KAFKA_CORRUPT_MESSAGE);
    assert_int_equal(try_produce(&client, 9, "t", make_batch(&client, 2, 600 << 10, 1))->error_code,
                     WEIR_KAFKA_MESSAGE_TOO_LARGE);
    batch = make_batch(&client, 1, 10, 1);
    ((uint8_t *)(uintptr_t)batch.bytes)[22] |= 4; /* zstd, which a client of version 6 does not know */
    weir_batch_seal((uint8_t *)(uintptr_t)batch.bytes);
    assert_int_equal(try_produce(&client, 6, "t", batch)->error_code,
                     WEIR_KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
    assert_int_equal(produce(&client, "t", 0, make_batch(&client, 1, 10, 1)), 0);
    client_close(&client);
    fixture_close(f);
}

static void acks_0_is_not_answered_and_an_error_closes(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    create_topic(&client, "t", 1);
    struct weir_kafka_produce_request *request = produce_request(&client, "t", 0,
                                                                 make_batch(&client, 5, 10, 1));
    request->acks = 0;
    say(&client, WEIR_KAFKA_PRODUCE, 9, request);
    assert_int_equal(produce(&client, "t", 0, make_batch(&client, 1, 10, 1)),
                     5); /* the next answer is this one's */
    request = produce_request(&client, "none", 0, make_batch(&client, 1, 10, 1));
    request->acks = 0;
    say(&client, WEIR_KAFKA_PRODUCE, 9, request);
    assert_true(is_closed(&client));
    client_close(&client);
    fixture_close(f);
}

static void a_batch_that_is_sent_again_is_not_there_twice(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    create_topic(&client, "t", 1);
    struct weir_kafka_records batches[2];
    for (int i = 0; i < 2; i++) {
        batches[i] = make_batch(&client, 4, 10, 1);
        uint8_t *bytes = (uint8_t *)(uintptr_t)batches[i].bytes;
        memset(bytes + 43, 0, 14); /* producer 7, epoch 0, from sequence 4 * i on */
        bytes[50] = 7;
        bytes[56] = (uint8_t)(4 * i);
        weir_batch_seal(bytes);
    }
    assert_int_equal(produce(&client, "t", 0, batches[0]), 0);
    assert_int_equal(produce(&client, "t", 0, batches[1]), 4);
    assert_int_equal(produce(&client, "t", 0, batches[0]), 0);
    assert_int_equal(produce(&client, "t", 0, batches[1]), 4);
    struct weir_kafka_records later = make_batch(&client, 1, 10, 1);
    uint8_t *bytes = (uint8_t *)(uintptr_t)later.bytes;
    memcpy(bytes + 43, batches[0].bytes + 43, 14);
    bytes[56] = 12; /* 8 is next */
    weir_batch_seal(bytes);
    assert_int_equal(try_produce(&client, 9, "t", later)->error_code,
                     WEIR_KAFKA_OUT_OF_ORDER_SEQUENCE);
    assert_int_equal(produce(&client, "t", 0, make_batch(&client, 1, 10, 1)), 8);
    client_close(&client);
    fixture_close(f);
}

/* ---- Fetch ---- */

struct place { /* of a partition, and what is wanted of it */
    const char *topic;
    int32_t partition;
    int64_t offset;
};

static struct weir_kafka_fetch_request *
fetch_request(struct client *client, const struct place *places, uint32_t count, int32_t wait_ms)
{
    struct weir_kafka_fetch_request *request = new_request(client, WEIR_KAFKA_FETCH);
    struct weir_kafka_fetch_request_topic *topics = add_items(
        client, &weir_kafka_fetch_request_topic_message, count, &request->topics);
    for (uint32_t i = 0; i < count; i++) {
        struct weir_kafka_fetch_request_partition *partition = add_items(
            client, &weir_kafka_fetch_request_partition_message, 1, &topics[i].partitions);
        topics[i].topic = text(places[i].topic);
        partition->partition = places[i].partition;
        partition->fetch_offset = places[i].offset;
        partition->partition_max_bytes = 1 << 20;
    }
    request->max_wait_ms = wait_ms;
    request->min_bytes = 1;
    return request;
}

/* The answer for the i-th of the places. */
static const struct weir_kafka_fetch_response_partition *
fetched(const struct weir_kafka_fetch_response *answer, uint32_t i)
{
    const struct weir_kafka_fetch_response_topic *topics = answer->responses.items;
    assert_int_equal(answer->error_code, WEIR_KAFKA_NONE);
    assert_true(i < answer->responses.count);
    assert_int_equal(topics[i].partitions.count, 1);
    return topics[i].partitions.items;
}

static const struct weir_kafka_fetch_response_partition *
fetch_one(struct client *client, int16_t version, struct place place, int32_t wait_ms)
{
    return fetched(
        call(client, WEIR_KAFKA_FETCH, version, fetch_request(client, &place, 1, wait_ms)), 0);
}

/* What was stored is what was sent, but for the base offset and the leader's epoch. */
static void expect_batch(const uint8_t *stored, struct weir_kafka_records sent, uint64_t base_offset)
{
    struct weir_batch batch;
    assert_int_equal(weir_batch_check(stored, sent.byte_count, &batch), WEIR_BATCH_FINE);
    assert_int_equal(batch.base_offset, base_offset);
    assert_int_equal(batch.byte_count, sent.byte_count);
    assert_memory_equal(stored + 8, sent.bytes + 8, 4);
    assert_memory_equal(stored + 16, sent.bytes + 16, sent.byte_count - 16);
}

static void what_was_produced_is_fetched_in_every_version(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f), reader = client_open(f);
    create_topic(&client, "t", 2);
    for (int32_t partition = 0; partition < 2; partition++) {
        struct weir_kafka_records first = make_batch(&client, 3, 100, 1000),
                                  second = make_batch(&client, 2, 50, 2000);
        produce(&client, "t", partition, first);
        produce(&client, "t", partition, second);
        for (int16_t version = 4; version <= 12; version++) {
            const struct weir_kafka_fetch_response_partition *all = fetch_one(
                &reader, version, (struct place){"t", partition, 0}, 0);
            assert_int_equal(all->error_code, WEIR_KAFKA_NONE);
            assert_int_equal(all->high_watermark, 5);
            assert_int_equal(all->last_stable_offset, 5);
            assert_int_equal(all->preferred_read_replica, -1);
            assert_null(all->aborted_transactions.items);
            assert_int_equal(all->records.byte_count, first.byte_count + second.byte_count);
            expect_batch(all->records.bytes, first, 0);
            expect_batch(all->records.bytes + first.byte_count, second, 3);
            const struct weir_kafka_fetch_response_partition *last = fetch_one(
                &reader, version, (struct place){"t", partition, 4}, 0);
            expect_batch(last->records.bytes, second, 3); /* the batch that holds it, whole */
        }
    }
    client_close(&client);
    client_close(&reader);
    fixture_close(f);
}

static void a_large_batch_comes_whole_even_above_the_bounds(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    create_topic(&client, "t", 1);
    struct weir_kafka_records large = make_batch(&client, 1, 1000 << 10, 1);
    assert_int_equal(produce(&client, "t", 0, large), 0);
    assert_int_equal(produce(&client, "t", 0, large), 1);
    struct place place = {"t", 0, 0};
    struct weir_kafka_fetch_request *request = fetch_request(&client, &place, 1, 0);
    struct weir_kafka_fetch_request_topic *topic = request->topics.items;
    ((struct weir_kafka_fetch_request_partition *)topic->partitions.items)->partition_max_bytes = 100;
    request->max_bytes = 10;
    const struct weir_kafka_fetch_response_partition *answer = fetched(
        call(&client, WEIR_KAFKA_FETCH, 11, request), 0);
    assert_int_equal(answer->records.byte_count, large.byte_count);
    expect_batch(answer->records.bytes, large, 0);
    client_close(&client);
    fixture_close(f);
}

/* Read on from where the last answer ended until all is read; how many answers that took. */
static uint32_t drain(struct client *client, struct place *places, uint32_t count, int64_t end,
                      int32_t max_bytes, uint32_t batch_bytes)
{
    uint32_t answers = 0;
    for (int64_t left = count * end; left > 0 && answers < 10000; answers++) {
        uint64_t bytes = 0;
        struct weir_kafka_fetch_request *request = fetch_request(client, places, count, 0);
        request->max_bytes = max_bytes;
        const struct weir_kafka_fetch_response *answer = call(client, WEIR_KAFKA_FETCH, 12, request);
        left = 0;
        for (uint32_t i = 0; i < count; i++) {
            const struct weir_kafka_fetch_response_partition *partition = fetched(answer, i);
            assert_int_equal(partition->error_code, WEIR_KAFKA_NONE);
            assert_int_equal(partition->records.byte_count % batch_bytes, 0);
            places[i].offset += partition->records.byte_count / batch_bytes;
            left += end - places[i].offset;
            bytes += partition->records.byte_count;
        }
        assert_in_range(bytes, 1,
                        (uint64_t)max_bytes > batch_bytes ? (uint64_t)max_bytes : batch_bytes);
    }
    return answers;
}

static void a_fetch_of_many_partitions_keeps_its_bound_and_comes_to_all(void **state)
{
    enum { PARTITIONS = 8, BATCHES = 5, VALUE_BYTES = 100 << 10 };
    static const int32_t bounds[] = {1, 250 << 10, 1 << 20, INT32_MAX};
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    create_topic(&client, "t", PARTITIONS);
    struct weir_kafka_records batch = make_batch(&client, 1, VALUE_BYTES, 1);
    for (int32_t i = 0; i < PARTITIONS * BATCHES; i++)
        produce(&client, "t", i % PARTITIONS, batch);
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        struct place places[PARTITIONS];
        for (int32_t j = 0; j < PARTITIONS; j++)
            places[j] = (struct place){"t", j, 0};
        uint32_t answers = drain(&client, places, PARTITIONS, BATCHES, bounds[i], batch.byte_count);
        assert_in_range(answers, 1, bounds[i] == INT32_MAX ? 1 : PARTITIONS * BATCHES);
    }
    client_close(&client);
    fixture_close(f);
}

static void at_the_end_a_fetch_waits_for_the_next_record(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client reader = client_open(f), writer = client_open(f);
    create_topic(&reader, "t", 2);
    for (int32_t partition = 0; partition < 2;
         partition++) { /* its owner is the reader's reactor, and another */
        struct place place = {"t", partition, 0};
        say(&reader, WEIR_KAFKA_FETCH, 12, fetch_request(&reader, &place, 1, LONG_MS));
        assert_true(is_silent(&reader));
        struct weir_kafka_records batch = make_batch(&writer, 1, 10, 1);
        produce(&writer, "t", partition, batch);
        expect_batch(fetched(hear(&reader, WEIR_KAFKA_FETCH, 12), 0)->records.bytes, batch, 0);
    }
    client_close(&reader);
    client_close(&writer);
    fixture_close(f);
}

static void of_several_partitions_the_first_that_has_something_wakes(void **state)
{
    static const struct place places[] = {{"t", 0, 0}, {"t", 1, 0}, {"t", 2, 0}, {"t", 3, 0}};
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client reader = client_open(f), writer = client_open(f);
    create_topic(&reader, "t", 4);
    say(&reader, WEIR_KAFKA_FETCH, 12, fetch_request(&reader, places, 4, LONG_MS));
    assert_true(is_silent(&reader));
    struct weir_kafka_records batch = make_batch(&writer, 1, 10, 1);
    produce(&writer, "t", 2, batch);
    const struct weir_kafka_fetch_response *answer = hear(&reader, WEIR_KAFKA_FETCH, 12);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(fetched(answer, i)->error_code, WEIR_KAFKA_NONE);
        assert_int_equal(fetched(answer, i)->records.byte_count, i == 2 ? batch.byte_count : 0);
        assert_non_null(fetched(answer, i)->records.bytes); /* empty, not null: librdkafka */
    }
    client_close(&reader);
    client_close(&writer);
    fixture_close(f);
}

static void an_error_is_not_waited_with(void **state)
{
    static const struct place places[] = {
        {"t", 0, 0}, {"t", 0, 1}, {"t", 7, 0}, {"none", 0, 0}, {"t", 0, -5}};
    static const int16_t errors[] = {
        WEIR_KAFKA_NONE, WEIR_KAFKA_OFFSET_OUT_OF_RANGE, WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
        WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION, WEIR_KAFKA_OFFSET_OUT_OF_RANGE};
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    create_topic(&client, "t", 1);
    for (uint32_t i = 1; i < 5; i++) {
        struct place both[] = {places[0], places[i]};
        const struct weir_kafka_fetch_response *answer = call(
            &client, WEIR_KAFKA_FETCH, 12, fetch_request(&client, both, 2, LONG_MS));
        assert_int_equal(fetched(answer, 0)->error_code, WEIR_KAFKA_NONE);
        assert_int_equal(fetched(answer, 1)->error_code, errors[i]);
        assert_int_equal(fetched(answer, 1)->high_watermark, -1);
    }
    client_close(&client);
    fixture_close(f);
}

static void a_fetch_session_is_never_opened(void **state)
{
    static const struct place place = {"t", 0, 0};
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    create_topic(&client, "t", 1);
    struct weir_kafka_fetch_request *request = fetch_request(&client, &place, 1, 0);
    request->session_epoch = 0; /* it would like one */
    const struct weir_kafka_fetch_response *answer = call(&client, WEIR_KAFKA_FETCH, 12, request);
    assert_int_equal(answer->session_id, 0);
    assert_int_equal(answer->responses.count, 1);
    request->session_id = 77;
    request->session_epoch = 1;
    answer = call(&client, WEIR_KAFKA_FETCH, 12, request);
    assert_int_equal(answer->error_code, WEIR_KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(answer->responses.count, 0);
    client_close(&client);
    fixture_close(f);
}

static void who_reads_committed_records_gets_a_list_of_the_aborted(void **state)
{
    static const struct place place = {"t", 0, 0};
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    create_topic(&client, "t", 1);
    produce(&client, "t", 0, make_batch(&client, 1, 10, 1));
    struct weir_kafka_fetch_request *request = fetch_request(&client, &place, 1, 0);
    request->isolation_level = COMMITTED;
    const struct weir_kafka_fetch_response_partition *answer = fetched(
        call(&client, WEIR_KAFKA_FETCH, 12, request), 0);
    assert_non_null(answer->aborted_transactions.items);
    assert_int_equal(answer->aborted_transactions.count, 0);
    assert_true(answer->records.byte_count > 0);
    client_close(&client);
    fixture_close(f);
}

/* ---- ListOffsets, OffsetForLeaderEpoch, DeleteRecords ---- */

static const struct weir_kafka_list_offsets_response_partition *
list_offset(struct client *client, int16_t version, struct place place, int64_t timestamp)
{
    struct weir_kafka_list_offsets_request *request = new_request(client, WEIR_KAFKA_LIST_OFFSETS);
    struct weir_kafka_list_offsets_request_topic *topic = add_items(
        client, &weir_kafka_list_offsets_request_topic_message, 1, &request->topics);
    struct weir_kafka_list_offsets_request_partition *partition = add_items(
        client, &weir_kafka_list_offsets_request_partition_message, 1, &topic->partitions);
    request->replica_id = -1;
    topic->name = text(place.topic);
    partition->partition_index = place.partition;
    partition->timestamp = timestamp;
    const struct weir_kafka_list_offsets_response *answer = call(client, WEIR_KAFKA_LIST_OFFSETS,
                                                                 version, request);
    const struct weir_kafka_list_offsets_response_topic *topics = answer->topics.items;
    assert_int_equal(answer->topics.count, 1);
    return topics->partitions.items;
}

static void expect_offset(struct client *client, int64_t timestamp, int64_t offset, int64_t found_ms)
{
    for (int16_t version = 1; version <= 9; version++) {
        const struct weir_kafka_list_offsets_response_partition *answer = list_offset(
            client, version, (struct place){"t", 1, 0}, timestamp);
        assert_int_equal(answer->error_code, WEIR_KAFKA_NONE);
        assert_int_equal(answer->offset, offset);
        assert_int_equal(answer->timestamp, found_ms);
        assert_int_equal(answer->leader_epoch, version >= 4 && offset >= 0 ? 0 : -1);
    }
}

static void places_are_found_by_name_and_by_time(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    create_topic(&client, "t", 2);
    expect_offset(&client, -1, 0, -1);
    expect_offset(&client, -3, -1, -1);
    expect_offset(&client, 0, -1, -1);
    produce(&client, "t", 1,
            make_batch(&client, 3, 10, 1000)); /* offsets 0 to 2, at 1000, 1001, 1002 */
    produce(&client, "t", 1, make_batch(&client, 2, 10, 5000)); /* 3 and 4 */
    produce(&client, "t", 1, make_batch(&client, 2, 10, 3000)); /* 5 and 6 */
    expect_offset(&client, -1, 7, -1);
    expect_offset(&client, -2, 0, -1);
    expect_offset(&client, -3, 4, 5001);
    expect_offset(&client, -4, 0, -1);
    expect_offset(&client, -5, -1, -1);
    expect_offset(&client, 0, 0, 1000);
    expect_offset(&client, 1002, 2, 1002);
    expect_offset(&client, 1003, 3, 5000);
    expect_offset(&client, 5001, 4, 5001);
    expect_offset(&client, 5002, -1, -1);
    client_close(&client);
    fixture_close(f);
}

static void a_place_that_there_is_not_is_an_error(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    create_topic(&client, "t", 2);
    assert_int_equal(list_offset(&client, 7, (struct place){"t", 2, 0}, -1)->error_code,
                     WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(list_offset(&client, 7, (struct place){"u", 0, 0}, -1)->error_code,
                     WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(list_offset(&client, 7, (struct place){"t", 0, 0}, -9)->error_code,
                     WEIR_KAFKA_UNSUPPORTED_VERSION);
    client_close(&client);
    fixture_close(f);
}

static void the_one_epoch_ends_where_the_log_does(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    create_topic(&client, "t", 1);
    produce(&client, "t", 0, make_batch(&client, 6, 10, 1));
    for (int16_t version = 2; version <= 4; version++) {
        struct weir_kafka_offset_for_leader_epoch_request *request = new_request(
            &client, WEIR_KAFKA_OFFSET_FOR_LEADER_EPOCH);
        struct weir_kafka_offset_for_leader_epoch_request_topic *topic = add_items(
            &client, &weir_kafka_offset_for_leader_epoch_request_topic_message, 1, &request->topics);
        struct weir_kafka_offset_for_leader_epoch_request_partition *partitions = add_items(
            &client, &weir_kafka_offset_for_leader_epoch_request_partition_message, 3,
            &topic->partitions);
        topic->topic = text("t");
        partitions[1].leader_epoch = 1;         /* there is none */
        partitions[2].current_leader_epoch = 1; /* it thinks that there is */
        const struct weir_kafka_offset_for_leader_epoch_response *answer = call(
            &client, WEIR_KAFKA_OFFSET_FOR_LEADER_EPOCH, version, request);
        const struct weir_kafka_offset_for_leader_epoch_response_topic *topics = answer->topics.items;
        const struct weir_kafka_offset_for_leader_epoch_response_partition *ends = topics->partitions
                                                                                       .items;
        assert_int_equal(ends[0].error_code, WEIR_KAFKA_NONE);
        assert_int_equal(ends[0].leader_epoch, 0);
        assert_int_equal(ends[0].end_offset, 6);
        assert_int_equal(ends[1].leader_epoch, -1);
        assert_int_equal(ends[1].end_offset, -1);
        assert_int_equal(ends[2].error_code, WEIR_KAFKA_UNKNOWN_LEADER_EPOCH);
    }
    client_close(&client);
    fixture_close(f);
}

static const struct weir_kafka_delete_records_response_partition *
delete_before(struct client *client, int16_t version, struct place place)
{
    struct weir_kafka_delete_records_request *request = new_request(client,
                                                                    WEIR_KAFKA_DELETE_RECORDS);
    struct weir_kafka_delete_records_request_topic *topic = add_items(
        client, &weir_kafka_delete_records_request_topic_message, 1, &request->topics);
    struct weir_kafka_delete_records_request_partition *partition = add_items(
        client, &weir_kafka_delete_records_request_partition_message, 1, &topic->partitions);
    topic->name = text(place.topic);
    partition->partition_index = place.partition;
    partition->offset = place.offset;
    const struct weir_kafka_delete_records_response *answer = call(
        client, WEIR_KAFKA_DELETE_RECORDS, version, request);
    const struct weir_kafka_delete_records_response_topic *topics = answer->topics.items;
    return topics->partitions.items;
}

static void records_are_deleted_up_to_an_offset(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    create_topic(&client, "t", 2);
    for (int i = 0; i < 4; i++)
        produce(&client, "t", 1, make_batch(&client, 5, 10, 1));
    assert_int_equal(delete_before(&client, 0, (struct place){"t", 1, 21})->error_code,
                     WEIR_KAFKA_OFFSET_OUT_OF_RANGE);
    assert_int_equal(delete_before(&client, 1, (struct place){"t", 1, -2})->error_code,
                     WEIR_KAFKA_OFFSET_OUT_OF_RANGE);
    assert_int_equal(delete_before(&client, 2, (struct place){"u", 1, 1})->error_code,
                     WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(delete_before(&client, 2, (struct place){"t", 1, 7})->low_watermark, 7);
    assert_int_equal(list_offset(&client, 7, (struct place){"t", 1, 0}, -2)->offset, 7);
    assert_int_equal(fetch_one(&client, 12, (struct place){"t", 1, 6}, LONG_MS)->error_code,
                     WEIR_KAFKA_OFFSET_OUT_OF_RANGE);
    const struct weir_kafka_fetch_response_partition *rest = fetch_one(
        &client, 12, (struct place){"t", 1, 7}, LONG_MS);
    assert_int_equal(rest->error_code, WEIR_KAFKA_NONE);
    assert_int_equal(rest->log_start_offset, 7);
    assert_int_equal(delete_before(&client, 2, (struct place){"t", 1, -1})->low_watermark,
                     20); /* all there is */
    assert_int_equal(produce(&client, "t", 1, make_batch(&client, 1, 10, 1)), 20);
    client_close(&client);
    fixture_close(f);
}

#define ON(test, world)                               \
    {                                                 \
#test " on " #world, test, NULL, NULL, &world \
    }
#define EVERYWHERE(test) ON(test, one_epoll), ON(test, two_auto)

int main(void)
{
    static struct world one_epoll = {1, WEIR_IO_EPOLL, "one_epoll", 0};
    static struct world two_auto = {2, WEIR_IO_AUTO, "two_auto", 0};
    const struct CMUnitTest tests[] = {
        EVERYWHERE(every_version_of_produce_is_answered_in_its_own),
        EVERYWHERE(what_cannot_be_appended_is_named),
        EVERYWHERE(acks_0_is_not_answered_and_an_error_closes),
        EVERYWHERE(a_batch_that_is_sent_again_is_not_there_twice),
        EVERYWHERE(what_was_produced_is_fetched_in_every_version),
        EVERYWHERE(a_large_batch_comes_whole_even_above_the_bounds),
        EVERYWHERE(a_fetch_of_many_partitions_keeps_its_bound_and_comes_to_all),
        EVERYWHERE(at_the_end_a_fetch_waits_for_the_next_record),
        EVERYWHERE(of_several_partitions_the_first_that_has_something_wakes),
        EVERYWHERE(an_error_is_not_waited_with),
        EVERYWHERE(a_fetch_session_is_never_opened),
        EVERYWHERE(who_reads_committed_records_gets_a_list_of_the_aborted),
        EVERYWHERE(places_are_found_by_name_and_by_time),
        EVERYWHERE(a_place_that_there_is_not_is_an_error),
        EVERYWHERE(the_one_epoch_ends_where_the_log_does),
        EVERYWHERE(records_are_deleted_up_to_an_offset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
