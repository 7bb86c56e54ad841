/*
 * tests/wire/kafka/kafka_storm_test.c - well-formed nonsense and damaged requests: answered, parked or closed, and the others are served on.
 *
 * Every API in every version with values drawn from seeds (kafka_fill.h), and requests that mean something with some bytes changed. What is
 * answered must decode in its version. Under the address sanitizer this is also a search for what outlives its connection.
 */
#include "kafka_session_fixture.h"

#include "kafka_fill.h"

enum { SEEDS = 4, DAMAGES = 1500, PATIENCE = 20 };

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* An answer may come, now or never: what comes soon must be one. */
static void look_for_answer(struct client *client, int16_t key, int16_t version)
{
    char byte;
    for (int round = 0; round < PATIENCE; round++) {
        step_all(client->f, 0);
        ssize_t got = recv(client->fd, &byte, 1, MSG_PEEK);
        if (got > 0) {
            hear(client, key, version);
            assert_int_equal(client->heard, client->sent);
        }
        if (got >= 0 || errno != EAGAIN)
            return;
    }
}

static void expect_served(struct client *client)
{
    struct weir_kafka_metadata_request *request = new_request(client, WEIR_KAFKA_METADATA);
    const struct weir_kafka_metadata_response *answer = call(client, WEIR_KAFKA_METADATA, 12,
                                                             request);
    assert_int_equal(answer->brokers.count, 1);
    weir_kafka_arena_deinit(&client->arena);
    weir_kafka_arena_init(&client->arena, NULL, 0, ARENA_BYTES);
}

static void expect_all_gone(struct fixture *f, uint64_t clients)
{
    for (int round = 0; round < ROUNDS_MAX && counters(f).clients > clients; round++)
        step_all(f, STEP_NS);
    assert_int_equal(counters(f).clients, clients);
}

static void any_values_in_any_version_are_survived(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, true);
    struct client other = client_open(f);
    for (uint32_t i = 0; i < weir_kafka_api_count; i++) {
        const struct weir_kafka_api *api = &weir_kafka_apis[i];
        if (!weir_kafka_served(f->server, api->key))
            continue;
        for (int16_t version = api->version_min; version <= api->version_max; version++) {
            for (uint32_t seed = 0; seed < SEEDS; seed++) {
                struct client client = client_open(f);
                say(&client, api->key, version,
                    fill_message(&client.arena, api->request, version, seed, false));
                look_for_answer(&client, api->key, version);
                client_close(&client);
            }
        }
        expect_served(&other);
    }
    expect_all_gone(f, 1);
    client_close(&other);
    fixture_close(f);
}

/* ---- damage ---- */

struct sound { /* a request that means something */
    int16_t key;
    int16_t version;
    uint8_t bytes[1024];
    uint32_t byte_count;
};

static void keep_sound(struct client *client, struct sound *sound, int16_t key, int16_t version,
                       const void *body)
{
    struct weir_kafka_out out = encode_request(client, key, version, body);
    assert_in_range(out.byte_count, 1, sizeof sound->bytes);
    *sound = (struct sound){.key = key, .version = version, .byte_count = (uint32_t)out.byte_count};
    memcpy(sound->bytes, out.parts[0].bytes, out.byte_count);
}

static const void *a_fetch(struct client *client)
{
    struct weir_kafka_fetch_request *request = new_request(client, WEIR_KAFKA_FETCH);
    struct weir_kafka_fetch_request_topic *topic = add_items(
        client, &weir_kafka_fetch_request_topic_message, 1, &request->topics);
    struct weir_kafka_fetch_request_partition *partitions = add_items(
        client, &weir_kafka_fetch_request_partition_message, 2, &topic->partitions);
    topic->topic = text("t");
    partitions[1].partition = 1;
    partitions[0].partition_max_bytes = partitions[1].partition_max_bytes = 1000;
    request->max_wait_ms = 5;
    return request;
}

static const void *a_creation(struct client *client)
{
    struct weir_kafka_create_topics_request *request = new_request(client, WEIR_KAFKA_CREATE_TOPICS);
    struct weir_kafka_create_topics_request_topic *topic = add_items(
        client, &weir_kafka_create_topics_request_topic_message, 1, &request->topics);
    struct weir_kafka_create_topics_request_config *config = add_items(
        client, &weir_kafka_create_topics_request_config_message, 1, &topic->configs);
    topic->name = text("u");
    topic->num_partitions = 1;
    topic->replication_factor = 1;
    config->name = text("retention.ms");
    config->value = text("1000");
    return request;
}

static const void *a_search(struct client *client)
{
    struct weir_kafka_list_offsets_request *request = new_request(client, WEIR_KAFKA_LIST_OFFSETS);
    struct weir_kafka_list_offsets_request_topic *topic = add_items(
        client, &weir_kafka_list_offsets_request_topic_message, 1, &request->topics);
    topic->name = text("t");
    add_items(client, &weir_kafka_list_offsets_request_partition_message, 2, &topic->partitions);
    return request;
}

static const void *a_join(struct client *client)
{
    struct weir_kafka_join_group_request *request = new_request(client, WEIR_KAFKA_JOIN_GROUP);
    struct weir_kafka_join_group_request_protocol *protocol = add_items(
        client, &weir_kafka_join_group_request_protocol_message, 1, &request->protocols);
    request->group_id = text("g");
    request->protocol_type = text("consumer");
    request->session_timeout_ms = request->rebalance_timeout_ms = 10000;
    protocol->name = text("range");
    return request;
}

static const void *a_commit(struct client *client)
{
    struct weir_kafka_offset_commit_request *request = new_request(client, WEIR_KAFKA_OFFSET_COMMIT);
    struct weir_kafka_offset_commit_request_topic *topic = add_items(
        client, &weir_kafka_offset_commit_request_topic_message, 1, &request->topics);
    struct weir_kafka_offset_commit_request_partition *partition = add_items(
        client, &weir_kafka_offset_commit_request_partition_message, 1, &topic->partitions);
    request->group_id = text("h");
    topic->name = text("t");
    partition->committed_offset = 1;
    return request;
}

static void damaged_requests_are_survived(void **state)
{
    enum { SOUNDS = 7 };
    static struct sound sounds[SOUNDS];
    struct fixture *f = fixture_open(*state, NULL, true);
    struct client other = client_open(f);
    create_topic(&other, "t", 2);
    produce(&other, "t", 0, make_batch(&other, 3, 20, 1));
    keep_sound(&other, &sounds[0], WEIR_KAFKA_PRODUCE, 9,
               produce_request(&other, "t", 0, make_batch(&other, 2, 20, 1)));
    keep_sound(&other, &sounds[1], WEIR_KAFKA_FETCH, 12, a_fetch(&other));
    keep_sound(&other, &sounds[2], WEIR_KAFKA_CREATE_TOPICS, 7, a_creation(&other));
    keep_sound(&other, &sounds[3], WEIR_KAFKA_LIST_OFFSETS, 9, a_search(&other));
    keep_sound(&other, &sounds[4], WEIR_KAFKA_JOIN_GROUP, 9, a_join(&other));
    keep_sound(&other, &sounds[5], WEIR_KAFKA_OFFSET_COMMIT, 9, a_commit(&other));
    keep_sound(&other, &sounds[6], WEIR_KAFKA_PRODUCE, 3,
               produce_request(&other, "t", 1, make_batch(&other, 1, 5, 1)));
    uint64_t seed = 1;
    for (int i = 0; i < DAMAGES; i++) {
        struct sound damaged = sounds[next_random(&seed) % SOUNDS];
        struct client client = client_open(f);
        client.sent = damaged.bytes[8] << 24 | damaged.bytes[9] << 16 | damaged.bytes[10] << 8 |
                      damaged.bytes[11];
        for (uint64_t flips = 1 + next_random(&seed) % 3; flips > 0;
             flips--) /* behind size, key, version and number */
            damaged.bytes[12 + next_random(&seed) % (damaged.byte_count - 12)] ^=
                (uint8_t)(1 << next_random(&seed) % 8);
        say_bytes(&client, damaged.bytes, damaged.byte_count);
        look_for_answer(&client, damaged.key, damaged.version);
        client_close(&client);
        if (i % 100 == 0)
            expect_served(&other);
    }
    expect_served(&other);
    expect_all_gone(f, 1);
    client_close(&other);
    fixture_close(f);
}

int main(void)
{
    static struct world one_epoll = {1, WEIR_IO_EPOLL, "one_epoll", 0};
    static struct world two_auto = {2, WEIR_IO_AUTO, "two_auto", 0};
    const struct CMUnitTest tests[] = {
        {"any_values_in_any_version_are_survived on one_epoll",
         any_values_in_any_version_are_survived, NULL, NULL, &one_epoll},
        {"any_values_in_any_version_are_survived on two_auto",
         any_values_in_any_version_are_survived, NULL, NULL, &two_auto},
        {"damaged_requests_are_survived on one_epoll", damaged_requests_are_survived, NULL, NULL,
         &one_epoll},
        {"damaged_requests_are_survived on two_auto", damaged_requests_are_survived, NULL, NULL,
         &two_auto},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
