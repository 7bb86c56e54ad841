/*
 * tests/runtime/runtime_test.c - every promise of weir/runtime.h, on each io, on threads of its own and on the caller's. How it
 * ends: stop_test.c.
 */
#include "tests/runtime/live_fixture.h"

#include "base/atomic.h"

enum { REACTORS = 3 };

static void options_out_of_range_are_refused(void **state)
{
    struct weir_runtime *runtime;
    for (int i = 0; i < 6; i++) {
        struct weir_runtime_options options = options_of(state, 1);
        switch (i) {
        case 0: options.reactor_count = 129; break;
        case 1: options.io = 3; break;
        case 2: options.recorder_events = 1000; break;
        case 3: options.size = 2; break;
        case 4: options.size = 1 << 20; break;
        default: options.size = 0; break;
        }
        assert_int_equal(weir_runtime_open(&options, &runtime), -EINVAL);
    }
}

static void no_options_are_the_defaults(void **state)
{
    (void)state;
    struct weir_runtime *runtime;
    assert_int_equal(weir_runtime_open(NULL, &runtime), 0);
    uint32_t count = weir_runtime_reactor_count(runtime);
    assert_true(count >= 1 && count <= 128);
    assert_non_null(weir_runtime_reactor(runtime, count - 1));
    assert_null(weir_runtime_reactor(runtime, count));
    weir_runtime_close(runtime);
    weir_runtime_close(NULL);
}

/* A program built against a header that ended after `reactor_count`. */
static void an_older_programs_options_are_understood(void **state)
{
    (void)state;
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    struct weir_runtime *runtime;
    options.size = offsetof(struct weir_runtime_options, io);
    options.reactor_count = 3;
    options.io = 77; /* beyond its end: not looked at */
    options.recorder_events = 77;
    assert_int_equal(weir_runtime_open(&options, &runtime), 0);
    assert_int_equal(weir_runtime_reactor_count(runtime), 3);
    weir_runtime_close(runtime);
}

struct life {
    weir_atomic_u32 starts, stops, early;
    weir_atomic_u32 first_through; /* reactor 0's on_start has returned, or is about to */
    int fail_at; /* on_start of this reactor fails; -1: none */
    bool listen;
    uint16_t port;
};

static void drop_conn(struct weir_reactor *reactor, struct weir_tcp *conn, void *context)
{
    (void)reactor;
    (void)context;
    weir_tcp_abort(conn);
}

static int start_life(struct weir_reactor *reactor, void *context)
{
    struct life *life = context;
    uint32_t index = weir_reactor_index(reactor);
    struct weir_tcp_handlers handlers = WEIR_OPTIONS(struct weir_tcp_handlers);
    handlers.on_open = drop_conn;
    weir_fetch_add(&life->starts, 1, relaxed);
    if (index > 0 && !weir_load(&life->first_through, relaxed))
        weir_fetch_add(&life->early, 1, relaxed);
    if (life->listen && index == 0) {
        struct weir_tcp_listener *listener;
        assert_int_equal(weir_tcp_listen(reactor, "127.0.0.1:0", &handlers, NULL, NULL, &listener), 0);
        life->port = weir_tcp_listener_port(listener);
    }
    weir_store(&life->first_through, 1, relaxed);
    return (int)index == life->fail_at ? -EDOM : 0;
}

static void stop_life(struct weir_reactor *reactor, void *context)
{
    (void)reactor;
    struct life *life = context;
    weir_fetch_add(&life->stops, 1, relaxed);
}

/* Skips where io_uring is refused. */
static struct weir_runtime *start_or_skip(void **state, struct weir_runtime_options options)
{
    struct weir_runtime *runtime;
    assert_int_equal(weir_runtime_open(&options, &runtime), 0);
    int result = weir_runtime_start(runtime);
    if (is_refusal(result) && options.io == WEIR_IO_URING) {
        weir_runtime_close(runtime);
        skip();
    }
    (void)state;
    assert_int_equal(result, 0);
    return runtime;
}

static struct weir_runtime_options options_of_life(void **state, struct life *life)
{
    struct weir_runtime_options options = options_of(state, REACTORS);
    options.on_start = start_life;
    options.on_stop = stop_life;
    options.context = life;
    return options;
}

static void each_reactor_starts_and_stops_once_the_first_one_first(void **state)
{
    for (int i = 0; i < 20; i++) {
        struct life life = {.fail_at = -1};
        struct weir_runtime *runtime = start_or_skip(state, options_of_life(state, &life));
        assert_int_equal(weir_load(&life.starts, relaxed), REACTORS);
        assert_int_equal(weir_load(&life.early, relaxed), 0);
        assert_string_equal(weir_reactor_io_name(weir_runtime_reactor(runtime, 1)),
                            ((const struct variant *)*state)->io == WEIR_IO_URING ? "io_uring" : "epoll");
        weir_runtime_stop(runtime);
        assert_int_equal(weir_runtime_wait(runtime), 0);
        assert_int_equal(weir_load(&life.stops, relaxed), REACTORS);
        assert_int_equal(weir_runtime_wait(runtime), 0);
        weir_runtime_close(runtime);
    }
}

/* What the others had opened is closed: the port that reactor 0 listened on is free again. */
static void a_failed_on_start_ends_the_start(void **state)
{
    for (int failing = 0; failing < REACTORS; failing++) {
        struct life life = {.fail_at = failing, .listen = true};
        struct weir_runtime_options options = options_of_life(state, &life);
        struct weir_runtime *runtime;
        assert_int_equal(weir_runtime_open(&options, &runtime), 0);
        int result = weir_runtime_start(runtime);
        if (is_refusal(result)) {
            weir_runtime_close(runtime);
            skip();
        }
        assert_int_equal(result, -EDOM);
        assert_int_equal(weir_load(&life.stops, relaxed), weir_load(&life.starts, relaxed));
        weir_runtime_close(runtime);
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(life.port)};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        int fd = plain_socket();
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
        close(fd);
    }
}

static int fail_start(struct weir_reactor *reactor, void *context)
{
    (void)reactor;
    (void)context;
    return -EDOM;
}

static void a_failed_on_start_on_the_callers_thread_ends_the_reactor(void **state)
{
    struct weir_runtime_options options = options_of(state, 1);
    struct weir_runtime *runtime;
    struct life life = {.fail_at = -1};
    options.on_start = fail_start;
    options.on_stop = stop_life;
    options.context = &life;
    assert_int_equal(weir_runtime_open(&options, &runtime), 0);
    struct weir_reactor *reactor = weir_runtime_reactor(runtime, 0);
    int result = weir_reactor_run_once(reactor, 0);
    if (!is_refusal(result)) {
        assert_int_equal(result, -EDOM);
        assert_int_equal(weir_reactor_run_once(reactor, 0), -ESHUTDOWN);
        assert_int_equal(weir_load(&life.stops, relaxed), 1);
    }
    weir_runtime_close(runtime);
}

static void count_event(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)on;
    (void)event;
    weir_fetch_add((weir_atomic_u32 *)context, 1, relaxed);
}

static void handlers_may_be_installed_before_the_start(void **state)
{
    struct weir_runtime_options options = options_of(state, 2);
    struct weir_runtime *runtime;
    struct weir_topic topic;
    weir_atomic_u32 runs = 0;
    assert_int_equal(weir_runtime_open(&options, &runtime), 0);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(weir_on(weir_runtime_reactor(runtime, i), "early", count_event, &runs), 0);
    assert_int_equal(weir_topic_open(weir_runtime_reactor(runtime, 0), "early", &topic), 0);
    assert_int_equal(weir_post(weir_runtime_reactor(runtime, 0), topic, WEIR_TO_ALL, "x", 1), 0);
    int result = weir_runtime_start(runtime);
    if (is_refusal(result)) {
        weir_runtime_close(runtime);
        skip();
    }
    weir_runtime_stop(runtime); /* what was posted is run first */
    assert_int_equal(weir_runtime_wait(runtime), 0);
    assert_int_equal(weir_load(&runs, relaxed), 2);
    weir_runtime_close(runtime);
}

static void note_timer(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    (void)reactor;
    (void)timer;
    ++*(uint32_t *)context;
}

static void run_once_waits_as_long_as_told(void **state)
{
    struct live live;
    struct weir_timer timer = {0};
    uint32_t fired = 0;
    open_live(&live, state, 1);
    turn_a_while(&live);
    uint64_t from_ns = 0;
    bool waited = false;
    for (uint32_t i = 0; i < 100 && !waited; i++) { /* what is left of the start, or a wake for nothing, ends a wait early */
        from_ns = clock_now_ns();
        waited = weir_reactor_run_once(live.reactor, 20000000) == 0 && clock_now_ns() - from_ns >= 20000000 - 100000;
    }
    assert_true(waited);
    weir_timer_set(live.reactor, &timer, 5000000, note_timer, &fired);
    from_ns = clock_now_ns();
    while (fired == 0)
        assert_true(weir_reactor_run_once(live.reactor, UINT64_MAX) >= 0);
    assert_true(clock_now_ns() - from_ns >= 5000000);
    uint64_t turn_ns = weir_reactor_now_ns(live.reactor);
    assert_true(turn_ns >= from_ns + 5000000 && turn_ns <= clock_now_ns());
    close_live(&live);
}

static void a_host_may_poll_the_reactors_fd(void **state)
{
    struct live live;
    struct weir_topic topic;
    weir_atomic_u32 runs = 0;
    struct weir_timer timer = {0};
    uint32_t fired = 0;
    open_live(&live, state, 2);
    struct weir_reactor *second = weir_runtime_reactor(live.runtime, 1);
    struct pollfd fds[2] = {{weir_reactor_fd(live.reactor), POLLIN, 0}, {weir_reactor_fd(second), POLLIN, 0}};
    assert_true(fds[0].fd >= 0 && fds[1].fd >= 0);
    assert_int_equal(weir_on(second, "polled", count_event, &runs), 0);
    assert_int_equal(weir_topic_open(live.reactor, "polled", &topic), 0);
    for (uint32_t i = 0; i < 200; i++) {
        while (weir_reactor_run_once(second, 0) > 0)
            ; /* nothing is left: from here on the host sleeps in poll */
        assert_int_equal(weir_post(live.reactor, topic, 1, "x", 1), 0);
        assert_true(weir_reactor_run_once(live.reactor, 0) >= 0);
        uint64_t give_up_ns = clock_now_ns() + PATIENCE_NS;
        while (weir_load(&runs, relaxed) <= i) {
            assert_int_equal(poll(&fds[1], 1, (int)(PATIENCE_NS / 1000000)), 1);
            assert_true(weir_reactor_run_once(second, 0) >= 0);
            assert_true(clock_now_ns() < give_up_ns);
        }
    }
    for (uint32_t i = 1; i <= 20; i++) { /* timers make it readable too */
        weir_timer_set(live.reactor, &timer, i * 100000, note_timer, &fired);
        while (weir_reactor_run_once(live.reactor, 0) > 0)
            ;
        while (fired < i) {
            assert_int_equal(poll(&fds[0], 1, (int)(PATIENCE_NS / 1000000)), 1);
            assert_true(weir_reactor_run_once(live.reactor, 0) >= 0);
        }
    }
    weir_runtime_stop(live.runtime); /* and so does a stop */
    assert_int_equal(poll(fds, 2, (int)(PATIENCE_NS / 1000000)), 2);
    close_live(&live);
}

static void counters_tell_what_was_done(void **state)
{
    struct live live;
    struct weir_topic topic;
    weir_atomic_u32 runs = 0;
    struct weir_reactor_counters first, second;
    open_live(&live, state, 2);
    assert_int_equal(weir_on(weir_runtime_reactor(live.runtime, 1), "counted", count_event, &runs), 0);
    assert_int_equal(weir_topic_open(live.reactor, "counted", &topic), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(weir_post(live.reactor, topic, 1, "x", 1), 0);
    TURN_UNTIL(&live, weir_load(&runs, relaxed) == 10);
    weir_reactor_counters_read(live.reactor, &first);
    weir_reactor_counters_read(weir_runtime_reactor(live.runtime, 1), &second);
    assert_int_equal(first.events_posted, 10);
    assert_int_equal(first.mail_sent, 10);
    assert_int_equal(second.mail_received, 10);
    assert_int_equal(second.events_dispatched, 10);
    assert_int_equal(first.events_dispatched, 0);
    assert_true(first.turns > 0 && first.io_enters > 0);
    assert_ptr_equal(weir_reactor_runtime(live.reactor), live.runtime);
    assert_int_equal(weir_reactor_index(weir_runtime_reactor(live.runtime, 1)), 1);
    close_live(&live);
}

static void pinned_reactors_run(void **state)
{
    struct life life = {.fail_at = -1};
    struct weir_runtime_options options = options_of_life(state, &life);
    options.pin_cpus = true;
    options.busy_poll = true;
    struct weir_runtime *runtime = start_or_skip(state, options);
    weir_runtime_stop(runtime);
    assert_int_equal(weir_runtime_wait(runtime), 0);
    weir_runtime_close(runtime);
    assert_int_equal(weir_load(&life.stops, relaxed), REACTORS);
}

int main(void)
{
    static const struct live_case cases[] = {
        LIVE_CASE(options_out_of_range_are_refused),
        LIVE_CASE(no_options_are_the_defaults),
        LIVE_CASE(an_older_programs_options_are_understood),
        LIVE_CASE(each_reactor_starts_and_stops_once_the_first_one_first),
        LIVE_CASE(a_failed_on_start_ends_the_start),
        LIVE_CASE(a_failed_on_start_on_the_callers_thread_ends_the_reactor),
        LIVE_CASE(handlers_may_be_installed_before_the_start),
        LIVE_CASE(run_once_waits_as_long_as_told),
        LIVE_CASE(a_host_may_poll_the_reactors_fd),
        LIVE_CASE(counters_tell_what_was_done),
        LIVE_CASE(pinned_reactors_run),
    };
    return RUN_LIVE_CASES("runtime.runtime", cases);
}
