/*
 * tests/runtime/alloc_live_test.c - after warm-up nothing is allocated for an event, with sockets and thieves, on each io.
 */
#include "tests/runtime/counting.h"
#include "tests/runtime/live_fixture.h"

enum { WARM_ROUNDS = 300, ROUNDS = 300, BURST = 200, KEYS = 8, MESSAGE_BYTES = 3000 };

/* ---- an echo over tcp ---- */

struct echo {
    uint32_t opens;
};

static void on_open(struct weir_reactor *reactor, struct weir_tcp *conn, void *context)
{
    (void)reactor;
    (void)conn;
    ((struct echo *)context)->opens++;
}

static void on_data(struct weir_reactor *reactor, struct weir_tcp *conn, const void *bytes, size_t byte_count)
{
    (void)reactor;
    assert_int_equal(weir_tcp_write(conn, bytes, byte_count), 0);
}

static void send_and_hear(struct live *live, int fd)
{
    uint8_t bytes[MESSAGE_BYTES];
    size_t heard = 0;
    fill_bytes(bytes, sizeof bytes, 0);
    assert_int_equal(send(fd, bytes, sizeof bytes, 0), sizeof bytes);
    while (heard < sizeof bytes) {
        turn_once(live, 0, 1000000);
        ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        heard += got > 0 ? (size_t)got : 0;
    }
}

static void an_echo_allocates_nothing(void **state)
{
    struct live live;
    struct echo echo = {0};
    struct weir_tcp_handlers handlers = WEIR_OPTIONS(struct weir_tcp_handlers);
    struct weir_tcp_listener *listener;
    handlers.on_open = on_open;
    handlers.on_data = on_data;
    open_live(&live, state, 1);
    assert_int_equal(weir_tcp_listen(live.reactor, "127.0.0.1:0", &handlers, NULL, &echo, &listener), 0);
    int fd = dial(weir_tcp_listener_port(listener));
    TURN_UNTIL(&live, echo.opens == 1);
    for (int i = 0; i < WARM_ROUNDS; i++)
        send_and_hear(&live, fd);
    uint64_t before = allocations();
    for (int i = 0; i < ROUNDS; i++)
        send_and_hear(&live, fd);
    assert_int_equal(allocations() - before, 0);
    close(fd);
    close_live(&live);
}

/* ---- datagrams ---- */

static void on_datagram(struct weir_reactor *reactor, struct weir_udp *udp, const void *bytes, size_t byte_count,
                        const void *sender, void *context)
{
    (void)reactor;
    (void)udp;
    (void)bytes;
    (void)byte_count;
    (void)sender;
    ++*(uint32_t *)context;
}

static void a_datagram_allocates_nothing(void **state)
{
    struct live live;
    struct weir_udp *udp;
    char to[32];
    uint32_t count = 0;
    uint64_t before = 0;
    open_live(&live, state, 1);
    assert_int_equal(weir_udp_open(live.reactor, "127.0.0.1:0", on_datagram, NULL, &count, &udp), 0);
    snprintf(to, sizeof to, "127.0.0.1:%u", weir_udp_port(udp));
    for (uint32_t i = 0; i < WARM_ROUNDS + ROUNDS; i++) {
        if (i == WARM_ROUNDS)
            before = allocations();
        assert_int_equal(weir_udp_send(udp, to, "tick", 4), 0);
        while (count <= i)
            turn_once(&live, 0, 1000000);
    }
    assert_int_equal(allocations() - before, 0);
    close_live(&live);
}

/* ---- thieves ---- */

static void work_a_little(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)on;
    (void)event;
    for (int i = 0; i < 300; i++)
        weir_cpu_relax();
    weir_fetch_add((weir_atomic_u64 *)context, 1, release);
}

struct shop {
    weir_atomic_u64 runs;
    weir_atomic_u32 stop;
    struct weir_topic topic;
    struct weir_timer timer;
};

static void post_more(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    struct shop *shop = context;
    uint8_t body[100] = {0};
    for (uint64_t i = 0; i < BURST; i++) /* inline and in a buffer; a refusal is as good */
        (void)!weir_post_keyed(reactor, shop->topic, WEIR_TO_HERE, i % KEYS, body, i % 2 ? 8 : sizeof body);
    if (!weir_load(&shop->stop, relaxed))
        weir_timer_set(reactor, timer, 100000, post_more, shop);
}

static int open_shop(struct weir_reactor *reactor, void *context)
{
    struct shop *shop = context;
    struct weir_on_options options = WEIR_OPTIONS(struct weir_on_options);
    options.keyed = true;
    options.stealable = true;
    if (weir_reactor_index(reactor) != 0)
        return 0;
    int result = weir_on_with(reactor, "work", work_a_little, &shop->runs, &options, NULL);
    if (result == 0)
        result = weir_topic_open(reactor, "work", &shop->topic);
    if (result == 0)
        weir_timer_set(reactor, &shop->timer, 100000, post_more, shop);
    return result;
}

static void wait_for_runs(struct shop *shop, uint64_t count)
{
    struct timespec step = {0, 1000000};
    uint64_t until = weir_load(&shop->runs, acquire) + count, give_up_ns = clock_now_ns() + PATIENCE_NS;
    while (weir_load(&shop->runs, acquire) < until) {
        assert_true(clock_now_ns() < give_up_ns);
        nanosleep(&step, NULL);
    }
}

/* Memory grows to the most that ever waited at once; so the warm-up ends when a while has passed without growth. */
static void stolen_work_allocates_nothing(void **state)
{
    static struct shop shop;
    memset(&shop, 0, sizeof shop);
    struct weir_runtime_options options = options_of(state, 2);
    struct weir_runtime *runtime;
    struct weir_reactor_counters counters[2];
    options.on_start = open_shop;
    options.context = &shop;
    assert_int_equal(weir_runtime_open(&options, &runtime), 0);
    int result = weir_runtime_start(runtime);
    if (is_refusal(result)) {
        weir_runtime_close(runtime);
        skip();
    }
    uint64_t grown = 1;
    for (int i = 0; i < 50 && grown > 0; i++) {
        uint64_t before = allocations();
        wait_for_runs(&shop, BURST * 100);
        grown = allocations() - before;
    }
    assert_int_equal(grown, 0);
    weir_store(&shop.stop, 1, relaxed);
    weir_runtime_stop(runtime);
    assert_int_equal(weir_runtime_wait(runtime), 0);
    for (uint32_t i = 0; i < 2; i++)
        weir_reactor_counters_read(weir_runtime_reactor(runtime, i), &counters[i]);
    assert_true(counters[0].strands_stolen + counters[1].strands_stolen > 0);
    weir_runtime_close(runtime);
}

static void the_counter_counts(void **state)
{
    (void)state;
    uint64_t before = allocations();
    void *volatile memory = malloc(10);
    free(memory);
    assert_int_equal(allocations() - before, COUNTING);
}

int main(void)
{
    static const struct live_case cases[] = {
        LIVE_CASE(the_counter_counts),
        LIVE_CASE(an_echo_allocates_nothing),
        LIVE_CASE(a_datagram_allocates_nothing),
        LIVE_CASE(stolen_work_allocates_nothing),
    };
    return RUN_LIVE_CASES("runtime.alloc_live", cases);
}
