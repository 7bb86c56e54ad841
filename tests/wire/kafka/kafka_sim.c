/*
 * tests/wire/kafka/kafka_sim.c - producers and consumers over connections that break, with everything that delays them.
 *
 * Host 0 serves Kafka on several reactors and keeps a topic of three partitions on its simulated disk. On host 1 each producer sends numbered
 * batches, five in flight, as an idempotent producer: after a reset it connects again and sends what was not acknowledged once more,
 * with the same sequences. A consumer of each partition reads along with fetches that wait.
 *
 * In one scenario the server is killed, or loses its power, and starts again on what its disk has.
 *
 * Held: answers come in the order of requests; an acknowledged offset never changes; every batch of every producer is read, once, in its
 * producer's order and where it was acknowledged; a stop ends every connection.
 */
#include "tests/sim/sim.h"

#include <weir/tcp.h>
#include <weir/timer.h>

#include "log/batch.h"
#include "wire/kafka/kafka_messages.h"
#include "wire/kafka/kafka_request.h"

enum {
    PARTITIONS = 3,
    PRODUCERS_MAX = 5,
    BATCHES_MAX = 60,
    RECORDS = 3, /* of a batch */
    IN_FLIGHT = 5,
    VALUE_BYTES_MAX = 600,
    INPUT_BYTES_MAX = 1 << 20,
    FETCH_BYTES = 4000,
    ARENA_BYTES = 1 << 22,
    STEPS = 6000000,
    FETCH_WAIT_MS = 500,
    LIVES_MAX = 5,
};

struct world;

struct line { /* a connection of a client, again and again */
    struct world *world;
    struct weir_tcp *conn;
    struct weir_timer timer;
    int32_t sent;  /* requests on this connection */
    int32_t heard; /* and answers */
    uint32_t opens;
    uint32_t used;
    uint8_t *input;
    void (*begin)(struct line *line);
    void (*answered)(struct line *line, const uint8_t *body, size_t byte_count);
};

struct producer {
    struct line line;
    uint32_t number;
    uint32_t partition;
    uint32_t batch_count;
    uint32_t value_bytes;
    uint32_t acked;
    uint32_t sent; /* on this connection; from `acked` at its start */
    bool knows;    /* that the topic is there */
    int64_t offsets[BATCHES_MAX];
};

struct consumer {
    struct line line;
    uint32_t partition;
    int64_t offset;
    uint32_t batches;
    uint32_t expected;
};

struct life { /* of the server */
    struct weir_runtime *runtime;
    struct weir_broker *broker;
    struct weir_kafka_server *server;
    uint32_t started; /* reactors */
};

struct world {
    struct sim *sim;
    struct life lives[LIVES_MAX];
    uint32_t life_count;
    uint32_t acked_wanted; /* a goal */
    uint32_t producer_count;
    uint32_t open_count;
    bool stopping;
    struct producer producers[PRODUCERS_MAX];
    struct consumer consumers[PARTITIONS];
    uint32_t next[PRODUCERS_MAX]; /* of each producer, the batch that is read next */
    int64_t read_offsets[PRODUCERS_MAX][BATCHES_MAX];
};

/* ---- The server ---- */

static int serve(struct weir_reactor *reactor, void *context)
{
    struct life *life = context;
    struct weir_tcp_listener *listener;
    life->started++;
    int result = weir_part_open(life->broker, reactor);
    return result == 0 ? weir_kafka_listen(life->server, reactor, "*:9092", &listener) : result;
}

static void stop_serving(struct weir_reactor *reactor, void *context)
{
    (void)context;
    weir_part_close(reactor);
}

/* ---- Lines ---- */

static void say(struct line *line, int16_t key, int16_t version, const void *body,
                struct weir_kafka_arena *arena)
{
    struct weir_kafka_out out = {.arena = arena};
    SIM_EQUAL(line->world->sim,
              weir_kafka_encode_request(weir_kafka_api_find(key), version, ++line->sent, "sim",
                                        body, &out),
              0);
    SIM_EQUAL(line->world->sim,
              weir_tcp_write(line->conn, out.parts[0].bytes, out.parts[0].byte_count), 0);
}

static void *decode(struct line *line, int16_t key, int16_t version, const uint8_t *body,
                    size_t byte_count, struct weir_kafka_arena *arena)
{
    const struct weir_kafka_api *api = weir_kafka_api_find(key);
    bool flexible = version >= api->flexible_from;
    void *out = weir_kafka_arena_take(arena, weir_kafka_struct_bytes(api->response));
    SIM_EQUAL(line->world->sim,
              weir_kafka_decode(api->response, version, flexible, body + flexible,
                                byte_count - flexible, arena, out),
              0);
    return out;
}

static void on_open(struct weir_reactor *reactor, struct weir_tcp *conn, void *context)
{
    struct line *line = context;
    (void)reactor;
    line->conn = conn;
    line->sent = line->heard = 0;
    line->used = 0;
    line->opens++;
    line->world->open_count++;
    line->begin(line);
}

static uint32_t number_at(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void on_data(struct weir_reactor *reactor, struct weir_tcp *conn, const void *bytes,
                    size_t byte_count)
{
    struct line *line = weir_tcp_context(conn);
    (void)reactor;
    SIM_CHECK(line->world->sim, line->used + byte_count <= INPUT_BYTES_MAX);
    memcpy(line->input + line->used, bytes, byte_count);
    line->used += (uint32_t)byte_count;
    while (line->conn && line->used >= 8 && line->used >= 4 + number_at(line->input)) {
        uint32_t count = 4 + number_at(line->input);
        SIM_EQUAL(line->world->sim, number_at(line->input + 4), ++line->heard); /* in order */
        line->answered(line, line->input + 8, count - 8);
        line->used -= count;
        memmove(line->input, line->input + count, line->used);
    }
}

static void connect_line(struct weir_reactor *reactor, struct weir_timer *timer, void *context);

static void on_close(struct weir_reactor *reactor, struct weir_tcp *conn, int error)
{
    struct line *line = weir_tcp_context(conn);
    (void)error;
    if (line->conn)
        line->world->open_count--;
    line->conn = NULL;
    if (!line->world->stopping)
        weir_timer_set(reactor, &line->timer,
                       WEIR_MS_NS + weir_sim_below(line->world->sim->world, 20 * WEIR_MS_NS),
                       connect_line, line);
}

static void connect_line(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    static const struct weir_tcp_handlers handlers = {
        .size = sizeof handlers, .on_open = on_open, .on_data = on_data, .on_close = on_close};
    struct line *line = context;
    struct weir_tcp *conn;
    (void)timer;
    if (line->world->stopping)
        return;
    SIM_EQUAL(line->world->sim,
              weir_tcp_connect(reactor, "10.0.0.1:9092", &handlers, NULL, line, &conn), 0);
}

/* ---- Producers ---- */

static struct weir_kafka_records make_batch(const struct producer *producer, uint32_t number,
                                            struct weir_kafka_arena *arena)
{
    size_t room = WEIR_BATCH_HEAD_BYTES + RECORDS * (VALUE_BYTES_MAX + 64);
    uint8_t *bytes = weir_kafka_arena_take(arena, room);
    uint8_t value[VALUE_BYTES_MAX];
    struct weir_batch_build build;
    memset(value, (int)(producer->number * 31 + number), sizeof value);
    weir_batch_begin(&build, bytes, room);
    build.producer_id = producer->number;
    build.producer_epoch = 0;
    build.base_sequence = (int32_t)(number * RECORDS);
    for (uint32_t i = 0; i < RECORDS; i++)
        weir_batch_add(&build, 1000 + number, NULL, -1, value, producer->value_bytes, NULL, 0);
    return (struct weir_kafka_records){.bytes = bytes,
                                       .byte_count = (uint32_t)weir_batch_finish(&build)};
}

static void say_batch(struct producer *producer, uint32_t number)
{
    struct weir_kafka_arena arena;
    struct weir_kafka_produce_request request;
    weir_kafka_arena_init(&arena, NULL, 0, ARENA_BYTES);
    weir_kafka_defaults(&weir_kafka_produce_request_message, &request);
    struct weir_kafka_produce_request_topic *topic = weir_kafka_items(
        &arena, &weir_kafka_produce_request_topic_message, 1, &request.topic_data);
    struct weir_kafka_produce_request_partition *partition = weir_kafka_items(
        &arena, &weir_kafka_produce_request_partition_message, 1, &topic->partition_data);
    request.acks = -1;
    topic->name = weir_kafka_text("t");
    partition->index = (int32_t)producer->partition;
    partition->records = make_batch(producer, number, &arena);
    say(&producer->line, WEIR_KAFKA_PRODUCE, 9, &request, &arena);
    weir_kafka_arena_deinit(&arena);
}

static void say_more(struct producer *producer)
{
    while (producer->sent < producer->batch_count && producer->sent < producer->acked + IN_FLIGHT)
        say_batch(producer, producer->sent++);
}

/* Metadata makes the topic. */
static void ask_for_topic(struct line *line)
{
    struct weir_kafka_arena arena;
    struct weir_kafka_metadata_request request;
    weir_kafka_arena_init(&arena, NULL, 0, ARENA_BYTES);
    weir_kafka_defaults(&weir_kafka_metadata_request_message, &request);
    struct weir_kafka_metadata_request_topic *topic = weir_kafka_items(
        &arena, &weir_kafka_metadata_request_topic_message, 1, &request.topics);
    topic->name = weir_kafka_text("t");
    say(line, WEIR_KAFKA_METADATA, 12, &request, &arena);
    weir_kafka_arena_deinit(&arena);
}

static void begin_producer(struct line *line)
{
    struct producer *producer = (struct producer *)line;
    producer->knows = false;
    producer->sent = producer->acked;
    ask_for_topic(line);
}

static void break_off(struct line *line)
{
    struct weir_tcp *conn = line->conn;
    line->world->open_count--;
    line->conn = NULL;
    weir_tcp_abort(conn);
}

static bool topic_is_there(struct line *line, const uint8_t *body, size_t byte_count,
                           struct weir_kafka_arena *arena)
{
    const struct weir_kafka_metadata_response *answer = decode(line, WEIR_KAFKA_METADATA, 12, body,
                                                               byte_count, arena);
    const struct weir_kafka_metadata_response_topic *topic = answer->topics.items;
    SIM_EQUAL(line->world->sim, answer->topics.count, 1);
    if (topic->error_code == WEIR_KAFKA_NONE)
        SIM_EQUAL(line->world->sim, topic->partitions.count, PARTITIONS);
    return topic->error_code == WEIR_KAFKA_NONE;
}

static void producer_answered(struct line *line, const uint8_t *body, size_t byte_count)
{
    struct producer *producer = (struct producer *)line;
    struct sim *sim = line->world->sim;
    struct weir_kafka_arena arena;
    weir_kafka_arena_init(&arena, NULL, 0, ARENA_BYTES);
    if (!producer->knows) {
        producer->knows = topic_is_there(line, body, byte_count, &arena);
        if (producer->knows)
            say_more(producer);
        else
            break_off(line);
        weir_kafka_arena_deinit(&arena);
        return;
    }
    const struct weir_kafka_produce_response *answer = decode(line, WEIR_KAFKA_PRODUCE, 9, body,
                                                              byte_count, &arena);
    const struct weir_kafka_produce_response_topic *topic = answer->responses.items;
    const struct weir_kafka_produce_response_partition *partition = topic->partition_responses.items;
    if (partition->error_code == WEIR_KAFKA_LEADER_NOT_AVAILABLE) { /* its owner is not ready yet */
        break_off(line);
        weir_kafka_arena_deinit(&arena);
        return;
    }
    SIM_EQUAL(sim, partition->error_code, WEIR_KAFKA_NONE);
    SIM_CHECK(sim, producer->acked < producer->sent);
    SIM_CHECK(sim, producer->acked == 0 ||
                       partition->base_offset > producer->offsets[producer->acked - 1]);
    producer->offsets[producer->acked++] = partition->base_offset;
    say_more(producer);
    weir_kafka_arena_deinit(&arena);
}

/* ---- Consumers ---- */

static void say_fetch(struct line *line)
{
    struct consumer *consumer = (struct consumer *)line;
    struct weir_kafka_arena arena;
    struct weir_kafka_fetch_request request;
    weir_kafka_arena_init(&arena, NULL, 0, ARENA_BYTES);
    weir_kafka_defaults(&weir_kafka_fetch_request_message, &request);
    struct weir_kafka_fetch_request_topic *topic = weir_kafka_items(
        &arena, &weir_kafka_fetch_request_topic_message, 1, &request.topics);
    struct weir_kafka_fetch_request_partition *partition = weir_kafka_items(
        &arena, &weir_kafka_fetch_request_partition_message, 1, &topic->partitions);
    request.max_wait_ms = FETCH_WAIT_MS;
    request.min_bytes = 1;
    topic->topic = weir_kafka_text("t");
    partition->partition = (int32_t)consumer->partition;
    partition->fetch_offset = consumer->offset;
    partition->partition_max_bytes = FETCH_BYTES;
    say(line, WEIR_KAFKA_FETCH, 12, &request, &arena);
    weir_kafka_arena_deinit(&arena);
}

static void read_batch(struct consumer *consumer, const struct weir_batch *batch)
{
    struct world *world = consumer->line.world;
    uint64_t number = (uint64_t)batch->producer_id;
    SIM_CHECK(world->sim, number < world->producer_count);
    SIM_EQUAL(world->sim, world->producers[number].partition, consumer->partition);
    SIM_EQUAL(world->sim, batch->base_offset, consumer->offset);
    SIM_EQUAL(world->sim, batch->base_sequence,
              world->next[number] * RECORDS); /* none twice, none left out */
    world->read_offsets[number][world->next[number]++] = consumer->offset;
    consumer->offset += RECORDS;
    consumer->batches++;
}

static void consumer_answered(struct line *line, const uint8_t *body, size_t byte_count)
{
    struct consumer *consumer = (struct consumer *)line;
    struct sim *sim = line->world->sim;
    struct weir_kafka_arena arena;
    weir_kafka_arena_init(&arena, NULL, 0, ARENA_BYTES);
    const struct weir_kafka_fetch_response *answer = decode(line, WEIR_KAFKA_FETCH, 12, body,
                                                            byte_count, &arena);
    const struct weir_kafka_fetch_response_topic *topic = answer->responses.items;
    const struct weir_kafka_fetch_response_partition *partition = topic->partitions.items;
    if (partition->error_code !=
        WEIR_KAFKA_NONE) { /* nobody has made it yet, or the server is not ready */
        SIM_CHECK(sim, consumer->offset == 0 ||
                           partition->error_code == WEIR_KAFKA_LEADER_NOT_AVAILABLE);
        break_off(line);
    } else {
        const uint8_t *at = partition->records.bytes;
        for (uint32_t left = partition->records.byte_count; left > 0;) {
            struct weir_batch batch;
            SIM_EQUAL(sim, weir_batch_check(at, left, &batch), WEIR_BATCH_FINE);
            read_batch(consumer, &batch);
            at += batch.byte_count;
            left -= batch.byte_count;
        }
        SIM_CHECK(sim, consumer->offset <= partition->high_watermark);
        say_fetch(line);
    }
    weir_kafka_arena_deinit(&arena);
}

/* ---- The world ---- */

static void open_line(struct weir_reactor *reactor, struct world *world, struct line *line,
                      void (*begin)(struct line *),
                      void (*answered)(struct line *, const uint8_t *, size_t))
{
    line->world = world;
    line->begin = begin;
    line->answered = answered;
    line->input = malloc(INPUT_BYTES_MAX);
    weir_timer_set(reactor, &line->timer, weir_sim_below(world->sim->world, 5 * WEIR_MS_NS),
                   connect_line, line);
}

static int begin_clients(struct weir_reactor *reactor, void *context)
{
    struct world *world = context;
    for (uint32_t i = 0; i < world->producer_count; i++)
        open_line(reactor, world, &world->producers[i].line, begin_producer, producer_answered);
    for (uint32_t i = 0; i < PARTITIONS; i++)
        open_line(reactor, world, &world->consumers[i].line, say_fetch, consumer_answered);
    return 0;
}

static struct weir_runtime_options small_options(void *context, uint32_t reactors,
                                                 weir_start_fn on_start)
{
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = reactors;
    options.recorder_events = 256;
    options.topics_max = 64;
    options.no_spin = true;
    options.drain_timeout_ns = 5 * WEIR_S_NS;
    options.on_start = on_start;
    options.context = context;
    return options;
}

static void begin_life(struct world *world)
{
    static const struct weir_kafka_settings settings;
    struct weir_broker_options broker = {.keep = {.folder = "/data",
                                                  .extent_bytes = 1 << 18,
                                                  .retention_ms = -1,
                                                  .partitions_default = PARTITIONS,
                                                  .create_unknown = true}};
    struct sim *sim = world->sim;
    struct life *life = &world->lives[world->life_count++];
    struct weir_runtime_options options = small_options(
        life, 1 + (uint32_t)weir_sim_below(sim->world, 3), serve);
    options.on_stop = stop_serving;
    life->runtime = sim_runtime(sim, 0, &options);
    SIM_EQUAL(sim, weir_broker_open(life->runtime, &broker, &life->broker), 0);
    SIM_EQUAL(sim, weir_kafka_server_open(life->runtime, &settings, &life->server), 0);
}

static struct world *open_world(struct sim *sim)
{
    struct world *world = calloc(1, sizeof *world);
    world->sim = sim;
    sim_open(sim, 2);
    begin_life(world);
    world->producer_count = 1 + (uint32_t)weir_sim_below(sim->world, PRODUCERS_MAX);
    for (uint32_t i = 0; i < PARTITIONS; i++)
        world->consumers[i].partition = i;
    for (uint32_t i = 0; i < world->producer_count; i++) {
        struct producer *producer = &world->producers[i];
        producer->number = i;
        producer->partition = (uint32_t)weir_sim_below(sim->world, PARTITIONS);
        producer->batch_count = 1 + (uint32_t)weir_sim_below(sim->world, BATCHES_MAX);
        producer->value_bytes = 1 + (uint32_t)weir_sim_below(sim->world, VALUE_BYTES_MAX);
        world->consumers[producer->partition].expected += producer->batch_count;
    }
    struct weir_runtime_options options = small_options(world, 1, begin_clients);
    sim_runtime(sim, 1, &options);
    return world;
}

static bool all_read(void *context)
{
    struct world *world = context;
    for (uint32_t i = 0; i < PARTITIONS; i++)
        if (world->consumers[i].batches < world->consumers[i].expected)
            return false;
    for (uint32_t i = 0; i < world->producer_count; i++)
        if (world->producers[i].acked < world->producers[i].batch_count)
            return false;
    return true;
}

static void close_world(struct world *world)
{
    struct sim *sim = world->sim;
    world->stopping = true;
    for (uint32_t i = 0; i < sim->runtime_count; i++)
        weir_runtime_stop(sim->runtimes[i]);
    sim_reach(sim, NULL, NULL, STEPS);
    for (uint32_t i = 0; i < sim->runtime_count; i++)
        weir_runtime_close(sim->runtimes[i]);
    for (uint32_t i = 0; i < world->life_count; i++) {
        weir_kafka_server_close(world->lives[i].server);
        weir_broker_close(world->lives[i].broker); /* the data directory is on the world's disk */
    }
    weir_sim_close(sim->world);
    sim->world = NULL;
    for (uint32_t i = 0; i < world->producer_count; i++)
        free(world->producers[i].line.input);
    for (uint32_t i = 0; i < PARTITIONS; i++)
        free(world->consumers[i].line.input);
    free(world);
}

static void run_to_the_end(struct world *world)
{
    struct sim *sim = world->sim;
    sim_reach(sim, all_read, world, STEPS);
    for (uint32_t i = 0; i < world->producer_count; i++)
        for (uint32_t j = 0; j < world->producers[i].batch_count; j++)
            SIM_EQUAL(sim, world->producers[i].offsets[j], world->read_offsets[i][j]);
    close_world(world);
}

/* ---- Scenarios ---- */

static void every_batch_is_read_once_and_in_order_on(struct sim *sim)
{
    run_to_the_end(open_world(sim));
}

static void over_connections_that_break_too_on(struct sim *sim)
{
    sim->faults.reset = 20000;
    sim->faults.half_open = 50000;
    sim->faults.connect_refused = 50000;
    run_to_the_end(open_world(sim));
}

static void on_a_slow_disk_too_on(struct sim *sim)
{
    sim->faults.disk_slow = 200000;
    sim->faults.disk_slow_ns_max = 50 * WEIR_MS_NS;
    sim->faults.reset = 5000;
    run_to_the_end(open_world(sim));
}

static bool enough_acked(void *context)
{
    const struct world *world = context;
    const struct life *life = &world->lives[world->life_count - 1];
    uint32_t acked = 0;
    if (life->started < weir_runtime_reactor_count(life->runtime))
        return false; /* what has no io yet cannot be cut off from it */
    for (uint32_t i = 0; i < world->producer_count; i++)
        acked += world->producers[i].acked;
    return acked >= world->acked_wanted;
}

/* The ghost of a life that was cut off ends by itself; nothing it does reaches anybody. */
static void over_crashes_of_the_server_too_on(struct sim *sim)
{
    struct world *world = open_world(sim);
    uint32_t batches = 0;
    for (uint32_t i = 0; i < PARTITIONS; i++)
        batches += world->consumers[i].expected;
    for (uint64_t crashes = 1 + weir_sim_below(sim->world, LIVES_MAX - 1); crashes > 0; crashes--) {
        world->acked_wanted += (uint32_t)weir_sim_below(sim->world,
                                                        batches - world->acked_wanted + 1);
        sim_reach(sim, enough_acked, world, STEPS);
        weir_sim_crash(sim->world, 0,
                       weir_sim_chance(sim->world, 500000) ? WEIR_SIM_POWER_LOSS : WEIR_SIM_KILL);
        weir_runtime_stop(world->lives[world->life_count - 1].runtime);
        begin_life(world);
    }
    run_to_the_end(world);
}

SIM_SCENARIO(every_batch_is_read_once_and_in_order)
SIM_SCENARIO(over_connections_that_break_too)
SIM_SCENARIO(on_a_slow_disk_too)
SIM_SCENARIO(over_crashes_of_the_server_too)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_batch_is_read_once_and_in_order),
        cmocka_unit_test(over_connections_that_break_too),
        cmocka_unit_test(on_a_slow_disk_too),
        cmocka_unit_test(over_crashes_of_the_server_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
