/*
 * tests/wire/kafka/kafka_session_fixture.h - a Kafka server over several reactors, stepped on the test's own thread, and clients that speak through
 * the codec.
 *
 * Each reactor listens on a port of its own, so a test says on which one a client lives. Topics are kept in a folder of its own, gone at the
 * end. What a test waits for is an answer, never a time: a step sleeps until something comes, and an answer that does not come within
 * ROUNDS_MAX steps fails.
 */
#ifndef TESTS_WIRE_KAFKA_KAFKA_SESSION_FIXTURE_H
#define TESTS_WIRE_KAFKA_KAFKA_SESSION_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log/batch.h"
#include "wire/kafka/kafka_messages.h"
#include "wire/kafka/kafka_request.h"

enum { REACTORS_MAX = 2, ROUNDS_MAX = 20000, STEP_NS = 200000, ARENA_BYTES = 64 << 20 };

struct world { /* what a case runs on: the parameter of each test */
    uint32_t reactor_count;
    uint32_t io;
    const char *name;
    uint64_t tail_bytes_max; /* of each reactor; 0: the default */
};

struct fixture {
    struct weir_runtime *runtime;
    struct weir_broker *broker;
    struct weir_kafka_server *server;
    struct weir_reactor *reactors[REACTORS_MAX];
    uint16_t ports[REACTORS_MAX];
    uint32_t reactor_count;
    uint32_t client_count;
    char folder[64];
    char log[512]; /* the last warning */
};

struct client {
    struct fixture *f;
    int fd;
    int32_t sent;  /* correlation id of the last request */
    int32_t heard; /* and of the last answer */
    struct weir_kafka_arena arena;
};

static inline int fixture_on_start(struct weir_reactor *reactor, void *context)
{
    struct fixture *f = context;
    struct weir_tcp_listener *listener;
    int result = weir_part_open(f->broker, reactor);
    if (result == 0)
        result = weir_kafka_listen(f->server, reactor, "127.0.0.1:0", &listener);
    if (result == 0)
        f->ports[weir_reactor_index(reactor)] = weir_tcp_listener_port(listener);
    return result;
}

static inline void fixture_on_stop(struct weir_reactor *reactor, void *context)
{
    (void)context;
    weir_part_close(reactor);
}

static inline void fixture_log(void *context, enum weir_log_level level, const char *line)
{
    struct fixture *f = context;
    if (level >= WEIR_LOG_WARN && !strstr(line, "budget"))
        snprintf(f->log, sizeof f->log, "%s", line);
}

static inline void step_all(struct fixture *f, uint64_t wait_ns)
{
    for (uint32_t i = 0; i < f->reactor_count; i++)
        assert_true(weir_reactor_run_once(f->reactors[i], wait_ns) >= 0);
}

static inline bool all_ready(struct fixture *f)
{
    for (uint32_t i = 0; i < f->reactor_count; i++)
        if (weir_kept_state(weir_part(f->reactors[i])) != WEIR_KEPT_DONE)
            return false;
    return true;
}

/* settings may be NULL. */
static inline struct fixture *fixture_open(const struct world *world,
                                           const struct weir_kafka_settings *settings,
                                           bool create_unknown)
{
    static const struct weir_kafka_settings no_settings;
    struct fixture *f = calloc(1, sizeof *f);
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    snprintf(f->folder, sizeof f->folder, "/tmp/weir-kafka-test-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    struct weir_broker_options broker = {.keep = {.folder = f->folder,
                                                  .extent_bytes = 1 << 20,
                                                  .tail_bytes_max = world->tail_bytes_max,
                                                  .create_unknown = create_unknown}};
    options.reactor_count = f->reactor_count = world->reactor_count;
    options.io = world->io;
    options.no_spin = true;
    options.on_start = fixture_on_start;
    options.on_stop = fixture_on_stop;
    options.context = options.log_context = f;
    options.log = fixture_log;
    assert_int_equal(weir_runtime_open(&options, &f->runtime), 0);
    assert_int_equal(weir_broker_open(f->runtime, &broker, &f->broker), 0);
    assert_int_equal(
        weir_kafka_server_open(f->runtime, settings ? settings : &no_settings, &f->server), 0);
    for (uint32_t i = 0; i < f->reactor_count; i++) {
        f->reactors[i] = weir_runtime_reactor(f->runtime, i);
        assert_true(weir_reactor_run_once(f->reactors[i], 0) >= 0);
    }
    for (int round = 0; round < ROUNDS_MAX && !all_ready(f); round++)
        step_all(f, STEP_NS);
    assert_true(all_ready(f));
    return f;
}

static inline int remove_entry(const char *path, const struct stat *status, int kind,
                               struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static inline void fixture_close(struct fixture *f)
{
    weir_runtime_stop(f->runtime);
    for (uint32_t ended = 0, round = 0; ended < f->reactor_count && round < ROUNDS_MAX; round++) {
        ended = 0;
        for (uint32_t i = 0; i < f->reactor_count; i++)
            ended += weir_reactor_run_once(f->reactors[i], STEP_NS) < 0;
    }
    weir_runtime_close(f->runtime);
    weir_kafka_server_close(f->server);
    weir_broker_close(f->broker);
    assert_int_equal(nftw(f->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(f);
}

static inline struct weir_kafka_counters counters(const struct fixture *f)
{
    struct weir_kafka_counters sum = {0};
    for (uint32_t i = 0; i < f->reactor_count; i++) {
        struct weir_kafka_counters one = weir_kafka_counters(f->server, f->reactors[i]);
        for (size_t j = 0; j < sizeof sum / sizeof(uint64_t); j++)
            ((uint64_t *)&sum)[j] += ((const uint64_t *)&one)[j];
    }
    return sum;
}

/* ---- clients ---- */

/* Clients take the reactors in turn. */
static inline struct client client_open(struct fixture *f)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(f->ports[f->client_count++ % f->reactor_count])};
    struct client client = {.f = f, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(client.fd >= 0);
    assert_int_equal(connect(client.fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(fcntl(client.fd, F_SETFL, O_NONBLOCK), 0);
    int on = 1;
    assert_int_equal(setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    weir_kafka_arena_init(&client.arena, NULL, 0, ARENA_BYTES);
    return client;
}

static inline void client_close(struct client *client)
{
    close(client->fd);
    weir_kafka_arena_deinit(&client->arena);
}

static inline void say_bytes(struct client *client, const void *bytes, size_t count)
{
    for (size_t at = 0; at < count;) {
        ssize_t sent = send(client->fd, (const char *)bytes + at, count - at, MSG_NOSIGNAL);
        if (sent > 0)
            at += (size_t)sent;
        else
            assert_int_equal(errno, EAGAIN);
        if (sent <= 0)
            step_all(client->f, 0);
    }
}

/* Exactly so many bytes; false: the connection ended before. */
static inline bool hear_bytes(struct client *client, void *bytes, size_t count)
{
    size_t have = 0;
    for (int round = 0; round < ROUNDS_MAX && have < count; round++) {
        ssize_t more = recv(client->fd, (char *)bytes + have, count - have, 0);
        if (more > 0) {
            have += (size_t)more;
            round = 0;
        } else if (more == 0 || errno != EAGAIN) {
            return false;
        } else {
            step_all(client->f, STEP_NS);
        }
    }
    assert_int_equal(have, count);
    return true;
}

static inline bool is_closed(struct client *client)
{
    char byte;
    return !hear_bytes(client, &byte, 1);
}

/* Whether anything is to be heard, after a while in which reactors had nothing left to do. */
static inline bool is_silent(struct client *client)
{
    char byte;
    for (int round = 0; round < 30; round++)
        step_all(client->f, 0);
    return recv(client->fd, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

/* A new body of this request, with defaults. */
static inline void *new_request(struct client *client, int16_t key)
{
    const struct weir_kafka_message *message = weir_kafka_api_find(key)->request;
    void *body = weir_kafka_arena_take(&client->arena, weir_kafka_struct_bytes(message));
    weir_kafka_defaults(message, body);
    return body;
}

static inline void *add_items(struct client *client, const struct weir_kafka_message *of,
                              uint32_t count, struct weir_kafka_array *array)
{
    void *items = weir_kafka_items(&client->arena, of, count, array);
    assert_non_null(items);
    return items;
}

static inline struct weir_kafka_out encode_request(struct client *client, int16_t key,
                                                   int16_t version, const void *body)
{
    struct weir_kafka_out out = {.arena = &client->arena};
    assert_int_equal(weir_kafka_encode_request(weir_kafka_api_find(key), version, ++client->sent,
                                               "test", body, &out),
                     0);
    assert_int_equal(out.part_count, 1);
    return out;
}

static inline void say(struct client *client, int16_t key, int16_t version, const void *body)
{
    struct weir_kafka_out out = encode_request(client, key, version, body);
    say_bytes(client, out.parts[0].bytes, out.parts[0].byte_count);
}

/* The next answer, which must be one to such a request. */
static inline void *hear(struct client *client, int16_t key, int16_t version)
{
    const struct weir_kafka_api *api = weir_kafka_api_find(key);
    uint8_t head[8];
    assert_true(hear_bytes(client, head, sizeof head));
    uint32_t count = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 |
                     head[3];
    client->heard = head[4] << 24 | head[5] << 16 | head[6] << 8 | head[7];
    uint8_t *bytes = weir_kafka_arena_take(&client->arena, count);
    assert_non_null(bytes);
    assert_true(hear_bytes(client, bytes, count - 4));
    bool flexible = version >= api->flexible_from;
    uint32_t tags = flexible && key != WEIR_KAFKA_API_VERSIONS;
    void *body = weir_kafka_arena_take(&client->arena, weir_kafka_struct_bytes(api->response));
    assert_int_equal(weir_kafka_decode(api->response, version, flexible, bytes + tags,
                                       count - 4 - tags, &client->arena, body),
                     0);
    return body;
}

static inline void *call(struct client *client, int16_t key, int16_t version, const void *body)
{
    say(client, key, version, body);
    void *answer = hear(client, key, version);
    assert_int_equal(client->heard, client->sent);
    return answer;
}

static inline struct weir_kafka_string text(const char *bytes)
{
    return (struct weir_kafka_string){bytes, (uint32_t)strlen(bytes)};
}

static inline void expect_text(struct weir_kafka_string string, const char *expected)
{
    assert_non_null(string.bytes);
    assert_int_equal(string.byte_count, strlen(expected));
    assert_memory_equal(string.bytes, expected, string.byte_count);
}

/* ---- topics ---- */

static inline void create_topic(struct client *client, const char *name, int32_t partitions)
{
    struct weir_kafka_create_topics_request *request = new_request(client, WEIR_KAFKA_CREATE_TOPICS);
    struct weir_kafka_create_topics_request_topic *topic = add_items(
        client, &weir_kafka_create_topics_request_topic_message, 1, &request->topics);
    topic->name = text(name);
    topic->num_partitions = partitions;
    topic->replication_factor = 1;
    struct weir_kafka_create_topics_response *answer = call(client, WEIR_KAFKA_CREATE_TOPICS, 7,
                                                            request);
    const struct weir_kafka_create_topics_response_topic *created = answer->topics.items;
    assert_int_equal(created->error_code, WEIR_KAFKA_NONE);
    assert_int_equal(created->num_partitions, partitions);
}

/* ---- records ---- */

/* A batch of `count` records, each with a value of so many bytes, at times from first_ms on. In the client's arena. */
static inline struct weir_kafka_records make_batch(struct client *client, uint32_t count,
                                                   uint32_t value_bytes, int64_t first_ms)
{
    size_t room = WEIR_BATCH_HEAD_BYTES + (size_t)count * (value_bytes + 64);
    uint8_t *bytes = weir_kafka_arena_take(&client->arena, room);
    uint8_t *value = weir_kafka_arena_take(&client->arena, value_bytes);
    struct weir_batch_build build;
    weir_batch_begin(&build, bytes, room);
    for (uint32_t i = 0; i < count; i++) {
        memset(value, 'a' + (int)(i % 26), value_bytes);
        assert_int_equal(
            weir_batch_add(&build, first_ms + i, NULL, -1, value, value_bytes, NULL, 0), 0);
    }
    size_t used = weir_batch_finish(&build);
    return (struct weir_kafka_records){.bytes = bytes, .byte_count = (uint32_t)used};
}

static inline struct weir_kafka_produce_request *produce_request(struct client *client,
                                                                 const char *topic,
                                                                 int32_t partition,
                                                                 struct weir_kafka_records records)
{
    struct weir_kafka_produce_request *request = new_request(client, WEIR_KAFKA_PRODUCE);
    struct weir_kafka_produce_request_topic *to = add_items(
        client, &weir_kafka_produce_request_topic_message, 1, &request->topic_data);
    struct weir_kafka_produce_request_partition *part = add_items(
        client, &weir_kafka_produce_request_partition_message, 1, &to->partition_data);
    request->acks = -1;
    request->timeout_ms = 1000;
    to->name = text(topic);
    part->index = partition;
    part->records = records;
    return request;
}

/* The answer for the one partition. */
static inline const struct weir_kafka_produce_response_partition *
produced(const struct weir_kafka_produce_response *answer)
{
    const struct weir_kafka_produce_response_topic *topic = answer->responses.items;
    assert_int_equal(answer->responses.count, 1);
    assert_int_equal(topic->partition_responses.count, 1);
    return topic->partition_responses.items;
}

static inline int64_t produce(struct client *client, const char *topic, int32_t partition,
                              struct weir_kafka_records records)
{
    const struct weir_kafka_produce_response_partition *answer = produced(
        call(client, WEIR_KAFKA_PRODUCE, 9, produce_request(client, topic, partition, records)));
    assert_int_equal(answer->error_code, WEIR_KAFKA_NONE);
    return answer->base_offset;
}

#endif
