/*
 * tests/wire/kafka/kafka_session_test.c - connections: frames however they are cut, answers in order, bounds, and what closes one.
 *
 * Each case runs on one reactor with epoll, and on two with whatever the machine has.
 */
#include "kafka_session_fixture.h"

enum { LONG_MS = 60000 };

static void say_versions(struct client *client, int16_t version)
{
    struct weir_kafka_api_versions_request *request = new_request(client, WEIR_KAFKA_API_VERSIONS);
    request->client_software_name = text("weir-test");
    request->client_software_version = text("1.0");
    say(client, WEIR_KAFKA_API_VERSIONS, version, request);
}

static void expect_alive(struct client *client)
{
    say_versions(client, 3);
    const struct weir_kafka_api_versions_response *answer = hear(client, WEIR_KAFKA_API_VERSIONS, 3);
    assert_int_equal(answer->error_code, WEIR_KAFKA_NONE);
    assert_int_equal(client->heard, client->sent);
}

/* A fetch of an empty partition: it waits. */
static void say_fetch_of(struct client *client, const char *topic, int32_t wait_ms, int32_t bytes_max)
{
    struct weir_kafka_fetch_request *request = new_request(client, WEIR_KAFKA_FETCH);
    struct weir_kafka_fetch_request_topic *asked = add_items(
        client, &weir_kafka_fetch_request_topic_message, 1, &request->topics);
    struct weir_kafka_fetch_request_partition *partition = add_items(
        client, &weir_kafka_fetch_request_partition_message, 1, &asked->partitions);
    asked->topic = text(topic);
    partition->partition_max_bytes = bytes_max;
    request->max_wait_ms = wait_ms;
    request->min_bytes = 1;
    say(client, WEIR_KAFKA_FETCH, 12, request);
}

static void say_fetch(struct client *client, const char *topic, int32_t wait_ms)
{
    say_fetch_of(client, topic, wait_ms, 1 << 20);
}

/* ---- ApiVersions ---- */

static const struct weir_kafka_api_versions_response_key *
find_key(const struct weir_kafka_api_versions_response *answer, int16_t key)
{
    const struct weir_kafka_api_versions_response_key *keys = answer->api_keys.items;
    for (uint32_t i = 0; i < answer->api_keys.count; i++)
        if (keys[i].api_key == key)
            return &keys[i];
    return NULL;
}

static void what_is_served_is_advertised(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    for (int16_t version = 0; version <= 4; version++) {
        say_versions(&client, version);
        const struct weir_kafka_api_versions_response *answer = hear(
            &client, WEIR_KAFKA_API_VERSIONS, version);
        assert_int_equal(answer->error_code, WEIR_KAFKA_NONE);
        assert_int_equal(find_key(answer, WEIR_KAFKA_PRODUCE)->min_version, 0);
        assert_int_equal(find_key(answer, WEIR_KAFKA_FETCH)->max_version, 12);
        assert_null(find_key(answer, WEIR_KAFKA_SASL_HANDSHAKE)); /* nobody can log in */
        assert_null(find_key(answer, 71)); /* telemetry: clients would push it */
        assert_int_equal(answer->finalized_features_epoch, -1);
    }
    client_close(&client);
    fixture_close(f);
}

static void a_version_to_come_is_answered_in_version_0_and_its_body_is_not_read(void **state)
{
    static const uint8_t request[] = {0, 0,    0,    17, 0, 18, 0, 99, 0, 0, 0,
                                      7, 0x7f, 0xff, 1,  2, 3,  4, 5,  6, 7};
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    say_bytes(&client, request, sizeof request);
    const struct weir_kafka_api_versions_response *answer = hear(&client, WEIR_KAFKA_API_VERSIONS,
                                                                 0);
    assert_int_equal(client.heard, 7);
    assert_int_equal(answer->error_code, WEIR_KAFKA_UNSUPPORTED_VERSION);
    assert_int_equal(find_key(answer, WEIR_KAFKA_API_VERSIONS)->max_version, 4);
    expect_alive(&client);
    client_close(&client);
    fixture_close(f);
}

static void a_client_software_without_a_name_is_told(void **state)
{
    static const char *const bad[] = {"", "-a", "a-", "a b", ".", "a\n"};
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct weir_kafka_api_versions_request *request = new_request(&client,
                                                                      WEIR_KAFKA_API_VERSIONS);
        request->client_software_name = text(bad[i]);
        request->client_software_version = text("1");
        const struct weir_kafka_api_versions_response *answer = call(
            &client, WEIR_KAFKA_API_VERSIONS, 3, request);
        assert_int_equal(answer->error_code, WEIR_KAFKA_INVALID_REQUEST);
    }
    expect_alive(&client);
    client_close(&client);
    fixture_close(f);
}

/* ---- frames ---- */

static void a_request_cut_anywhere_is_put_together(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    struct weir_kafka_metadata_request *request = new_request(&client, WEIR_KAFKA_METADATA);
    uint32_t count = encode_request(&client, WEIR_KAFKA_METADATA, 12, request).parts[0].byte_count;
    for (uint32_t cut = 0; cut <= count; cut++) {
        struct weir_kafka_out out = encode_request(&client, WEIR_KAFKA_METADATA, 12, request);
        say_bytes(&client, out.parts[0].bytes, cut);
        step_all(f, 0);
        step_all(f, 0);
        say_bytes(&client, out.parts[0].bytes + cut, count - cut);
        hear(&client, WEIR_KAFKA_METADATA, 12);
        assert_int_equal(client.heard, client.sent);
    }
    client_close(&client);
    fixture_close(f);
}

static void many_requests_in_one_piece_are_answered_one_by_one(void **state)
{
    enum { REQUESTS = 500 };
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    struct weir_kafka_metadata_request *request = new_request(&client, WEIR_KAFKA_METADATA);
    static uint8_t all[REQUESTS * 64];
    size_t used = 0;
    for (int i = 0; i < REQUESTS; i++) {
        struct weir_kafka_out out = encode_request(&client, WEIR_KAFKA_METADATA, 12, request);
        memcpy(all + used, out.parts[0].bytes, out.byte_count);
        used += out.byte_count;
    }
    say_bytes(&client, all, used);
    for (int i = 0; i < REQUESTS; i++) {
        hear(&client, WEIR_KAFKA_METADATA, 12);
        assert_int_equal(client.heard, i + 1);
    }
    client_close(&client);
    fixture_close(f);
}

static void expect_closed_by(const struct world *world, const void *bytes, size_t count,
                             const char *why)
{
    struct fixture *f = fixture_open(world, NULL, false);
    struct client client = client_open(f);
    struct client other = client_open(f);
    say_bytes(&client, bytes, count);
    assert_true(is_closed(&client));
    assert_non_null(strstr(f->log, why));
    assert_int_equal(counters(f).malformed, 1);
    expect_alive(&other);
    client_close(&client);
    client_close(&other);
    fixture_close(f);
}

static void a_size_that_cannot_be_closes(void **state)
{
    static const uint8_t sizes[][8] = {
        {0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0},    {0, 0, 0, 7},
        {'G', 'E', 'T', ' '},     {0x16, 3, 1, 2}, {0x06, 0x40, 0, 1},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        expect_closed_by(*state, sizes[i], 8, "size");
}

static void a_key_that_is_not_known_closes(void **state)
{
    static const uint8_t request[] = {0, 0, 0, 10, 0, 99, 0, 0, 0, 0, 0, 1, 0xff, 0xff};
    expect_closed_by(*state, request, sizeof request, "not known");
}

static void a_version_that_is_not_served_closes(void **state)
{
    static const uint8_t old[] = {0, 0, 0, 10, 0, 1, 0, 3, 0, 0, 0, 1, 0xff, 0xff};
    static const uint8_t new[] = {0, 0, 0, 10, 0, 3, 0, 13, 0, 0, 0, 1, 0xff, 0xff};
    expect_closed_by(*state, old, sizeof old, "version");
    expect_closed_by(*state, new, sizeof new, "version");
}

static void a_body_that_is_malformed_closes(void **state)
{
    static const uint8_t request[] = {0, 0, 0, 14,   0,    3,    0,    1,    0,
                                      0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff};
    expect_closed_by(*state, request, sizeof request, "malformed");
}

static uint64_t held_bytes(const struct fixture *f)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < f->reactor_count; i++)
        sum += weir_buffers_held_bytes(&f->reactors[i]->buffers);
    return sum;
}

static void a_size_alone_takes_little_memory(void **state)
{
    enum { CLIENTS = 10, EACH = 160 << 10 };
    static const uint8_t begun[] = {0x06, 0x40, 0, 0, 0, 0, 0, 9}; /* 100 MiB, and a Produce is to come */
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client clients[CLIENTS];
    uint64_t before = held_bytes(f);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_open(f);
        say_bytes(&clients[i], begun, sizeof begun);
        assert_true(is_silent(&clients[i]));
    }
    assert_int_equal(counters(f).clients, CLIENTS);
    assert_in_range(held_bytes(f) - before, 1, CLIENTS * EACH);
    for (int i = 0; i < CLIENTS; i++)
        client_close(&clients[i]);
    for (int round = 0; round < ROUNDS_MAX && counters(f).clients > 0; round++)
        step_all(f, STEP_NS);
    assert_int_equal(held_bytes(f), before);
    fixture_close(f);
}

static void a_request_may_be_as_large_as_is_set(void **state)
{
    enum { LARGEST = (5 << 20) + 77 };
    static const uint8_t head[] = {0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff}; /* a version to come: what follows is not read */
    struct weir_kafka_settings settings = {.request_bytes_max = LARGEST};
    struct fixture *f = fixture_open(*state, &settings, false);
    struct client client = client_open(f);
    uint8_t *request = calloc(1, 4 + LARGEST);
    for (uint32_t more = 0; more < 2; more++) {
        uint32_t count = LARGEST + more;
        for (int i = 0; i < 4; i++)
            request[i] = (uint8_t)(count >> (24 - 8 * i));
        memcpy(request + 4, head, sizeof head);
        say_bytes(&client, request, more ? 4 : 4 + LARGEST);
        if (more)
            assert_true(is_closed(&client));
        else
            hear(&client, WEIR_KAFKA_API_VERSIONS, 0);
    }
    free(request);
    client_close(&client);
    fixture_close(f);
}

/* ---- order and bounds ---- */

static void an_answer_waits_for_those_before_it(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f), producer = client_open(f);
    create_topic(&client, "quiet", 1);
    int32_t first = client.sent + 1;
    say_fetch(&client, "quiet", LONG_MS);
    say_versions(&client, 3);
    say(&client, WEIR_KAFKA_METADATA, 12, new_request(&client, WEIR_KAFKA_METADATA));
    assert_true(is_silent(&client)); /* two answers are ready, and may not leave */
    produce(&producer, "quiet", 0, make_batch(&producer, 1, 10, 1));
    hear(&client, WEIR_KAFKA_FETCH, 12);
    assert_int_equal(client.heard, first);
    hear(&client, WEIR_KAFKA_API_VERSIONS, 3);
    assert_int_equal(client.heard, first + 1);
    hear(&client, WEIR_KAFKA_METADATA, 12);
    assert_int_equal(client.heard, first + 2);
    client_close(&client);
    client_close(&producer);
    fixture_close(f);
}

static void one_who_waits_does_not_hold_others_up(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client waiting = client_open(f), second = client_open(f), third = client_open(f);
    create_topic(&waiting, "quiet", 1);
    say_fetch(&waiting, "quiet", LONG_MS);
    expect_alive(&second);
    expect_alive(&third);
    assert_true(is_silent(&waiting));
    client_close(&waiting);
    client_close(&second);
    client_close(&third);
    fixture_close(f);
}

static void no_more_is_read_than_may_be_in_flight(void **state)
{
    enum { IN_FLIGHT = 4, REQUESTS = 40 };
    struct weir_kafka_settings settings = {.in_flight_max = IN_FLIGHT};
    struct fixture *f = fixture_open(*state, &settings, false);
    struct client client = client_open(f);
    create_topic(&client, "quiet", 1);
    struct client producer = client_open(f);
    uint64_t before = counters(f).requests;
    int32_t first = client.sent + 1;
    for (int i = 0; i < REQUESTS; i++)
        say_fetch(&client, "quiet", LONG_MS);
    assert_true(is_silent(&client));
    assert_int_equal(counters(f).requests - before, IN_FLIGHT);
    produce(&producer, "quiet", 0,
            make_batch(&producer, 1, 10, 1)); /* from now on each is answered at once */
    for (int i = 0; i < REQUESTS; i++) {
        hear(&client, WEIR_KAFKA_FETCH, 12);
        assert_int_equal(client.heard, first + i);
    }
    assert_int_equal(counters(f).requests - before, REQUESTS + 1);
    client_close(&producer);
    client_close(&client);
    fixture_close(f);
}

static void no_more_is_read_than_answers_may_lie_here(void **state)
{
    enum { REQUESTS = 10, AT_ONCE = 2, EACH = 40 << 20 }; /* of 64 MiB, and the last may go over */
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f), producer = client_open(f);
    create_topic(&client, "quiet", 1);
    uint64_t before = counters(f).requests;
    for (int i = 0; i < REQUESTS; i++)
        say_fetch_of(&client, "quiet", LONG_MS, EACH);
    assert_true(is_silent(&client));
    assert_int_equal(counters(f).requests - before, AT_ONCE);
    produce(&producer, "quiet", 0, make_batch(&producer, 1, 10, 1));
    for (int i = 0; i < REQUESTS; i++)
        hear(&client, WEIR_KAFKA_FETCH, 12);
    expect_alive(&client);
    client_close(&producer);
    client_close(&client);
    fixture_close(f);
}

static void what_was_counted_is_given_back(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    create_topic(&client, "quiet", 1);
    for (int i = 0; i < 5; i++) {
        say_fetch(&client, "quiet", 20);
        say_versions(&client, 3);
        say(&client, WEIR_KAFKA_PRODUCE, 9, produce_request(&client, "quiet", 0, make_batch(&client, 1, 10, 1)));
    }
    for (int i = 0; i < 5; i++) {
        hear(&client, WEIR_KAFKA_FETCH, 12);
        hear(&client, WEIR_KAFKA_API_VERSIONS, 3);
        hear(&client, WEIR_KAFKA_PRODUCE, 9);
    }
    for (uint32_t i = 0; i < f->reactor_count; i++)
        WEIR_LIST_EACH(node, &f->server->locals[i]->sessions)
        {
            const struct weir_kafka_session *session = WEIR_CONTAINER(node, struct weir_kafka_session, node);
            assert_int_equal(session->request_count, 0);
            assert_int_equal(session->frame_bytes, 0);
            assert_int_equal(session->answer_bytes, 0);
        }
    client_close(&client);
    fixture_close(f);
}

/* Asks for answers of 13 KB until nothing is taken any more; how many were made. */
static uint64_t ask_without_reading(struct client *client, uint32_t requests)
{
    struct fixture *f = client->f;
    struct weir_kafka_metadata_request *request = new_request(client, WEIR_KAFKA_METADATA);
    request->topics.items = NULL;
    struct weir_kafka_out out = encode_request(client, WEIR_KAFKA_METADATA, 12, request);
    uint64_t before = counters(f).requests;
    size_t at = 0;
    for (int idle = 0; at < requests * out.byte_count && idle < 50; step_all(f, 0)) {
        size_t of_this = at % out.byte_count;
        ssize_t sent = send(client->fd, out.parts[0].bytes + of_this, out.byte_count - of_this, MSG_NOSIGNAL);
        idle = sent > 0 ? 0 : idle + 1;
        at += sent > 0 ? (size_t)sent : 0;
    }
    return counters(f).requests - before;
}

static void one_who_does_not_read_is_not_read(void **state)
{
    enum { REQUESTS = 20000 };
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    create_topic(&client, "wide", 500);
    uint64_t answered = ask_without_reading(&client, REQUESTS);
    assert_in_range(answered, 1, REQUESTS - 1); /* not all of them are made */
    for (uint64_t i = 0; i < answered; i++) {
        weir_kafka_arena_deinit(&client.arena);
        weir_kafka_arena_init(&client.arena, NULL, 0, ARENA_BYTES);
        hear(&client, WEIR_KAFKA_METADATA, 12);
    }
    client_close(&client);
    fixture_close(f);
}

static void one_who_never_reads_is_closed_and_who_reads_is_not(void **state)
{
    enum { REQUESTS = 20000 };
    struct weir_kafka_settings settings = {.stuck_ns_max = 50000000};
    struct fixture *f = fixture_open(*state, &settings, false);
    struct client client = client_open(f), reader = client_open(f);
    create_topic(&client, "wide", 500);
    expect_alive(&reader);
    ask_without_reading(&client, REQUESTS);
    for (int round = 0; round < ROUNDS_MAX && counters(f).clients == 2; round++)
        step_all(f, STEP_NS);
    assert_int_equal(counters(f).clients, 1);
    assert_non_null(strstr(f->log, "does not take its answers"));
    expect_alive(&reader);
    client_close(&client);
    client_close(&reader);
    fixture_close(f);
}

static void who_goes_while_a_request_is_away_leaves_nothing(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client stays = client_open(f), goes = client_open(f);
    create_topic(&stays, "quiet", 2);
    for (int i = 0; i < 3; i++)
        say_fetch(&goes, "quiet", LONG_MS);
    assert_true(is_silent(&goes));
    client_close(&goes);
    for (int round = 0; round < ROUNDS_MAX && counters(f).clients > 1; round++)
        step_all(f, STEP_NS);
    assert_int_equal(counters(f).clients, 1);
    expect_alive(&stays);
    client_close(&stays);
    fixture_close(f); /* and what is not given back is found by the leak checker */
}

static void more_clients_than_there_may_be_are_turned_away(void **state)
{
    struct weir_kafka_settings settings = {.clients_max = 1};
    const struct world *world = *state;
    struct fixture *f = fixture_open(world, &settings, false);
    struct client clients[2 * REACTORS_MAX];
    for (uint32_t i = 0; i < world->reactor_count; i++) {
        clients[i] = client_open(f);
        expect_alive(&clients[i]);
    }
    for (uint32_t i = world->reactor_count; i < 2 * world->reactor_count; i++) {
        clients[i] = client_open(f);
        assert_true(is_closed(&clients[i]));
    }
    assert_int_equal(counters(f).rejected, world->reactor_count);
    for (uint32_t i = 0; i < 2 * world->reactor_count; i++)
        client_close(&clients[i]);
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
        EVERYWHERE(what_is_served_is_advertised),
        EVERYWHERE(a_version_to_come_is_answered_in_version_0_and_its_body_is_not_read),
        EVERYWHERE(a_client_software_without_a_name_is_told),
        EVERYWHERE(a_request_cut_anywhere_is_put_together),
        EVERYWHERE(many_requests_in_one_piece_are_answered_one_by_one),
        EVERYWHERE(a_size_that_cannot_be_closes),
        EVERYWHERE(a_key_that_is_not_known_closes),
        EVERYWHERE(a_version_that_is_not_served_closes),
        EVERYWHERE(a_body_that_is_malformed_closes),
        EVERYWHERE(a_size_alone_takes_little_memory),
        EVERYWHERE(a_request_may_be_as_large_as_is_set),
        EVERYWHERE(an_answer_waits_for_those_before_it),
        EVERYWHERE(one_who_waits_does_not_hold_others_up),
        EVERYWHERE(no_more_is_read_than_may_be_in_flight),
        EVERYWHERE(no_more_is_read_than_answers_may_lie_here),
        EVERYWHERE(what_was_counted_is_given_back),
        EVERYWHERE(one_who_does_not_read_is_not_read),
        EVERYWHERE(one_who_never_reads_is_closed_and_who_reads_is_not),
        EVERYWHERE(who_goes_while_a_request_is_away_leaves_nothing),
        EVERYWHERE(more_clients_than_there_may_be_are_turned_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
