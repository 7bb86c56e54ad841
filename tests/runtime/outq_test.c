/*
 * tests/runtime/outq_test.c - what a connection has still to send, against a plain model: a string of bytes.
 *
 * Random copies, shares, reservations and sends of random lengths; after each the queue gathers exactly the model's next bytes.
 */
#include "tests/runtime/topic_fixture.h"

#include "runtime/outq.h"
#include "runtime/reactor.h"

enum { STEPS = 20000, MODEL_BYTES = 64 << 20, IOV = 6 };

struct queue {
    struct fixture fixture;
    struct weir_outq outq;
    uint8_t *model;
    size_t written, sent;
    uint64_t random;
};

static uint64_t next_random(struct queue *queue)
{
    queue->random ^= queue->random << 13;
    queue->random ^= queue->random >> 7;
    queue->random ^= queue->random << 17;
    return queue->random;
}

static void open_queue(struct queue *queue)
{
    *queue = (struct queue){.random = 88172645463325252u};
    open_fixture(&queue->fixture, 1);
    settle(&queue->fixture);
    queue->model = malloc(MODEL_BYTES);
    assert_non_null(queue->model);
    for (size_t i = 0; i < MODEL_BYTES; i++)
        queue->model[i] = (uint8_t)(i * 31 + (i >> 8) * 17 + (i >> 16) * 7);
}

static void close_queue(struct queue *queue)
{
    weir_outq_clear(queue->fixture.reactor, &queue->outq);
    assert_int_equal(queue->outq.byte_count, 0);
    assert_int_equal(queue->fixture.reactor->buffers.live_count, 0); /* every reference is back */
    free(queue->model);
    close_fixture(&queue->fixture);
}

static void add_copy(struct queue *queue, size_t bytes)
{
    assert_int_equal(weir_outq_copy(queue->fixture.reactor, &queue->outq, queue->model + queue->written, bytes), 0);
    queue->written += bytes;
}

/* In several runs of one buffer that lie side by side, as a fan-out gives them. */
static void add_shared(struct queue *queue, size_t bytes)
{
    struct weir_buffer *buffer = weir_buffer_take(queue->fixture.reactor, bytes + 1);
    memcpy(buffer->bytes, queue->model + queue->written, bytes);
    for (size_t at = 0; at < bytes;) {
        size_t part = 1 + next_random(queue) % bytes;
        part = part > bytes - at ? bytes - at : part;
        assert_int_equal(weir_outq_share(queue->fixture.reactor, &queue->outq, buffer, buffer->bytes + at, part), 0);
        at += part;
    }
    weir_buffer_drop(queue->fixture.reactor, buffer); /* the queue has its own */
    queue->written += bytes;
}

/* Each run with a reference of its own, as readers of a log hand them over. */
static void add_given(struct queue *queue, size_t bytes)
{
    struct weir_buffer *buffer = weir_buffer_take(queue->fixture.reactor, bytes + 1);
    memcpy(buffer->bytes, queue->model + queue->written, bytes);
    for (size_t at = 0; at < bytes;) {
        size_t part = 1 + next_random(queue) % bytes;
        part = part > bytes - at ? bytes - at : part;
        weir_buffer_hold(queue->fixture.reactor, buffer);
        assert_int_equal(weir_outq_give(queue->fixture.reactor, &queue->outq, buffer, buffer->bytes + at, part), 0);
        at += part;
    }
    assert_int_equal(weir_outq_give(queue->fixture.reactor, &queue->outq, buffer, buffer->bytes, 0), 0); /* ours goes */
    queue->written += bytes;
}

static void add_in_place(struct queue *queue, size_t bytes)
{
    size_t used = bytes / 2;
    uint8_t *at = weir_outq_reserve(queue->fixture.reactor, &queue->outq, bytes);
    assert_non_null(at);
    memset(at, 0, bytes);
    memcpy(at, queue->model + queue->written, used);
    if (used > 0)
        assert_int_equal(weir_outq_commit(queue->fixture.reactor, &queue->outq, used), 0);
    queue->written += used;
}

static void check_gathered(struct queue *queue)
{
    struct iovec iov[IOV];
    uint32_t count = weir_outq_gather(&queue->outq, iov, IOV);
    size_t at = queue->sent;
    for (uint32_t i = 0; i < count; i++) {
        assert_true(iov[i].iov_len > 0);
        assert_memory_equal(iov[i].iov_base, queue->model + at, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    assert_true(at <= queue->written);
    assert_true(count == IOV || at == queue->written);
    assert_int_equal(queue->outq.byte_count, queue->written - queue->sent);
}

static void send_some(struct queue *queue, size_t most)
{
    struct iovec iov[IOV];
    uint32_t count = weir_outq_gather(&queue->outq, iov, IOV);
    size_t all = 0;
    for (uint32_t i = 0; i < count; i++)
        all += iov[i].iov_len;
    size_t bytes = all < most ? all : most;
    weir_outq_sent(queue->fixture.reactor, &queue->outq, bytes);
    queue->sent += bytes;
}

static void it_sends_what_was_put_in_and_in_that_order(void **state)
{
    (void)state;
    static struct queue queue;
    open_queue(&queue);
    for (uint32_t step = 0; step < STEPS && queue.written < MODEL_BYTES - (1 << 19); step++) {
        size_t bytes = next_random(&queue) % (next_random(&queue) % 50 == 0 ? 200000 : 700);
        switch (next_random(&queue) % 7) {
        case 0: add_copy(&queue, bytes); break;
        case 1: add_shared(&queue, bytes); break;
        case 2: add_in_place(&queue, bytes % 16384); break;
        case 3: add_copy(&queue, bytes % 40); break;
        case 4: add_given(&queue, bytes); break;
        default: send_some(&queue, next_random(&queue) % 2000); break;
        }
        check_gathered(&queue);
    }
    while (queue.outq.byte_count > 0)
        send_some(&queue, SIZE_MAX);
    assert_int_equal(queue.sent, queue.written);
    close_queue(&queue);
}

static void small_copies_run_together(void **state)
{
    (void)state;
    static struct queue queue;
    struct iovec iov[IOV];
    open_queue(&queue);
    for (int i = 0; i < 50; i++)
        add_copy(&queue, 10);
    assert_int_equal(weir_outq_gather(&queue.outq, iov, IOV), 1);
    assert_int_equal(iov[0].iov_len, 500);
    close_queue(&queue);
}

static void a_run_beside_the_last_one_only_makes_it_longer(void **state)
{
    (void)state;
    static struct queue queue;
    struct iovec iov[IOV];
    open_queue(&queue);
    struct weir_buffer *page = weir_buffer_take(queue.fixture.reactor, 1000);
    for (int i = 0; i < 10; i++)
        assert_int_equal(weir_outq_share(queue.fixture.reactor, &queue.outq, page, page->bytes + i * 100, 100), 0);
    assert_int_equal(page->refs, 2); /* ours and the run's */
    assert_int_equal(weir_outq_gather(&queue.outq, iov, IOV), 1);
    weir_buffer_drop(queue.fixture.reactor, page);
    close_queue(&queue);
}

static void what_is_given_goes_home_when_it_is_sent(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct iovec iov[IOV];
    struct weir_outq outq = {0};
    open_fixture(&fixture, 2);
    settle(&fixture);
    struct weir_reactor *home = reactor_at(&fixture, 1);
    struct weir_buffer *buffer = weir_buffer_take(home, 1000);
    weir_buffer_hold(home, buffer);
    weir_buffer_hold(home, buffer); /* three runs, of which two run together */
    assert_int_equal(weir_outq_give(fixture.reactor, &outq, buffer, buffer->bytes, 100), 0);
    assert_int_equal(weir_outq_give(fixture.reactor, &outq, buffer, buffer->bytes + 100, 50), 0);
    assert_int_equal(weir_outq_give(fixture.reactor, &outq, buffer, buffer->bytes + 500, 50), 0);
    assert_int_equal(weir_outq_gather(&outq, iov, IOV), 2);
    settle(&fixture);
    assert_int_equal(buffer->refs, 2);
    weir_outq_sent(fixture.reactor, &outq, 160);
    settle(&fixture);
    assert_int_equal(buffer->refs, 1);
    assert_int_equal(home->buffers.live_count, 1);
    weir_outq_sent(fixture.reactor, &outq, 40);
    settle(&fixture);
    assert_int_equal(home->buffers.live_count, 0);
    assert_int_equal(fixture.reactor->buffers.live_count, 0);
    close_fixture(&fixture);
}

static void an_empty_queue_holds_no_memory(void **state)
{
    (void)state;
    static struct queue queue;
    open_queue(&queue);
    add_copy(&queue, 100);
    add_shared(&queue, 1000);
    while (queue.outq.byte_count > 0)
        send_some(&queue, 7);
    assert_int_equal(queue.fixture.reactor->buffers.live_count, 0);
    assert_int_equal(weir_outq_copy(queue.fixture.reactor, &queue.outq, "", 0), 0);
    assert_int_equal(queue.fixture.reactor->buffers.live_count, 0);
    close_queue(&queue);
}

static void without_memory_nothing_is_queued(void **state)
{
    (void)state;
    static struct fixture fixture;
    static uint8_t bytes[200000];
    struct weir_outq outq = {0};
    struct weir_runtime_options options = plain_options(1);
    options.memory_bytes_max = 100000;
    open_with(&fixture, options);
    settle(&fixture);
    assert_int_equal(weir_outq_copy(fixture.reactor, &outq, bytes, sizeof bytes), -ENOMEM);
    assert_int_equal(outq.byte_count, 0);
    size_t taken = 0;
    while (taken < sizeof bytes && weir_outq_copy(fixture.reactor, &outq, bytes, 1000) == 0)
        taken += 1000;
    assert_true(taken < sizeof bytes);
    assert_int_equal(outq.byte_count, taken);
    weir_outq_clear(fixture.reactor, &outq);
    close_fixture(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_sends_what_was_put_in_and_in_that_order),
        cmocka_unit_test(small_copies_run_together),
        cmocka_unit_test(a_run_beside_the_last_one_only_makes_it_longer),
        cmocka_unit_test(what_is_given_goes_home_when_it_is_sent),
        cmocka_unit_test(an_empty_queue_holds_no_memory),
        cmocka_unit_test(without_memory_nothing_is_queued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
