/*
 * tests/wire/kafka/kafka_alloc_test.c - after warm-up a produce and a fetch from the tail allocate nothing, from the socket to the log and back.
 *
 * The log itself grows now and then (an index, an extent): less than once in a hundred.
 */
#include "tests/runtime/counting.h"

#include "kafka_session_fixture.h"

/* Tails are filled to their bound in the warm-up. */
enum { WARM_ROUNDS = 1200, ROUNDS = 300, ANSWER_BYTES_MAX = 1 << 16, TAIL_BYTES_MAX = 256 << 10 };

struct frame { /* encoded once: the client's own memory does not count */
    uint8_t *bytes;
    uint32_t byte_count;
};

static struct frame keep_frame(struct client *client, int16_t key, int16_t version, const void *body)
{
    struct weir_kafka_out out = encode_request(client, key, version, body);
    struct frame frame = {malloc(out.byte_count), (uint32_t)out.byte_count};
    memcpy(frame.bytes, out.parts[0].bytes, out.byte_count);
    return frame;
}

static struct frame produce_frame(struct client *client, int32_t partition)
{
    return keep_frame(client, WEIR_KAFKA_PRODUCE, 9,
                      produce_request(client, "t", partition, make_batch(client, 2, 100, 1)));
}

/* Of the last batch, which is in memory. */
static struct frame fetch_frame(struct client *client, int32_t partition)
{
    struct weir_kafka_fetch_request *request = new_request(client, WEIR_KAFKA_FETCH);
    struct weir_kafka_fetch_request_topic *topic = add_items(
        client, &weir_kafka_fetch_request_topic_message, 1, &request->topics);
    struct weir_kafka_fetch_request_partition *asked = add_items(
        client, &weir_kafka_fetch_request_partition_message, 1, &topic->partitions);
    topic->topic = text("t");
    asked->partition = partition;
    asked->fetch_offset = 2 * (WARM_ROUNDS + ROUNDS) - 2;
    asked->partition_max_bytes = 1000;
    request->min_bytes = 1;
    return keep_frame(client, WEIR_KAFKA_FETCH, 12, request);
}

static void exchange(struct client *client, struct frame frame)
{
    static uint8_t answer[ANSWER_BYTES_MAX];
    uint8_t size[4];
    say_bytes(client, frame.bytes, frame.byte_count);
    assert_true(hear_bytes(client, size, sizeof size));
    uint32_t count = (uint32_t)size[2] << 8 | size[3];
    assert_true(hear_bytes(client, answer, count));
}

static uint64_t allocated_by(struct client *client, struct frame frame)
{
    for (int i = 0; i < WARM_ROUNDS; i++)
        exchange(client, frame);
    uint64_t before = allocations();
    for (int i = 0; i < ROUNDS; i++)
        exchange(client, frame);
    return allocations() - before;
}

static void producing_and_fetching_allocate_nothing(void **state)
{
    if (!COUNTING)
        skip();
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    create_topic(&client, "t", 2);
    for (int32_t partition = 0; partition < 2; partition++) {
        struct frame frames[] = {produce_frame(&client, partition), fetch_frame(&client, partition)};
        for (int i = 0; i < 2; i++) {
            assert_in_range(allocated_by(&client, frames[i]), 0, ROUNDS / 100);
            free(frames[i].bytes);
        }
    }
    client_close(&client);
    fixture_close(f);
}

int main(void)
{
    static struct world one_epoll = {1, WEIR_IO_EPOLL, "one_epoll", TAIL_BYTES_MAX};
    static struct world two_auto = {2, WEIR_IO_AUTO, "two_auto", TAIL_BYTES_MAX};
    const struct CMUnitTest tests[] = {
        {"producing_and_fetching_allocate_nothing on one_epoll",
         producing_and_fetching_allocate_nothing, NULL, NULL, &one_epoll},
        {"producing_and_fetching_allocate_nothing on two_auto",
         producing_and_fetching_allocate_nothing, NULL, NULL, &two_auto},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
