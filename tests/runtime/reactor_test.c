/* tests/runtime/reactor_test.c - the turn, idling and being woken, on each io. The order of a park: tests/ring/sleep_model.c. */
#include <pthread.h>

#include "tests/runtime/live_fixture.h"

#include "base/atomic.h"
#include "runtime/reactor.h"

enum { ROUND_TRIPS = 2000, REACTORS = 3 };

struct court {
    weir_atomic_u32 trips;
    struct weir_topic topic;
};

/* The ball goes round; whoever does not have it sleeps. */
static void pass_on(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    struct court *court = context;
    uint32_t to = (weir_reactor_index(on) + 1) % REACTORS;
    if (weir_fetch_add(&court->trips, 1, relaxed) + 1 < ROUND_TRIPS)
        assert_int_equal(weir_post(on, event->topic, to, NULL, 0), 0);
    else
        weir_runtime_stop(weir_reactor_runtime(on));
}

static int open_court(struct weir_reactor *reactor, void *context)
{
    struct court *court = context;
    int result = weir_on(reactor, "ball", pass_on, court);
    if (result == 0 && weir_reactor_index(reactor) == 0)
        result = weir_topic_open(reactor, "ball", &court->topic);
    if (result == 0 && weir_reactor_index(reactor) == 0)
        result = weir_post(reactor, court->topic, 0, NULL, 0);
    return result;
}

static void reactors_that_park_at_once_wake_each_other(void **state)
{
    for (int spins = 0; spins < 2; spins++) {
        struct court court = {0};
        struct weir_runtime_options options = options_of(state, REACTORS);
        struct weir_reactor_counters counters;
        struct weir_runtime *runtime;
        options.no_spin = spins == 0;
        options.spin_ns_max = 20000;
        options.on_start = open_court;
        options.context = &court;
        assert_int_equal(weir_runtime_open(&options, &runtime), 0);
        int result = weir_runtime_start(runtime);
        if (is_refusal(result)) {
            weir_runtime_close(runtime);
            skip();
        }
        assert_int_equal(weir_runtime_wait(runtime), 0); /* a lost wake-up would wait for ever */
        assert_int_equal(weir_load(&court.trips, relaxed), ROUND_TRIPS);
        weir_reactor_counters_read(weir_runtime_reactor(runtime, 1), &counters);
        assert_true(counters.mail_received >= ROUND_TRIPS / REACTORS);
        if (spins == 0)
            assert_int_equal(counters.spins_hit, 0);
        weir_runtime_close(runtime);
    }
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Parked is parked: the CPU time of an idle runtime, in a fifth of a second. One that spins takes as much for each reactor. */
static void idle_reactors_take_no_cpu(void **state)
{
    struct weir_runtime_options options = options_of(state, REACTORS);
    struct weir_runtime *runtime;
    struct timespec pause = {0, 200000000};
    options.spin_ns_max = 50000;
    assert_int_equal(weir_runtime_open(&options, &runtime), 0);
    int result = weir_runtime_start(runtime);
    if (is_refusal(result)) {
        weir_runtime_close(runtime);
        skip();
    }
    uint64_t from_ns = cpu_ns();
    nanosleep(&pause, NULL);
    assert_true(cpu_ns() - from_ns < 20000000);
    weir_runtime_close(runtime);
}

struct armed {
    struct weir_turn_hook hook;
    uint32_t runs;
    uint32_t again; /* how often it arms itself while it runs */
};

static void on_hook(struct weir_reactor *reactor, struct weir_turn_hook *hook)
{
    struct armed *armed = WEIR_CONTAINER(hook, struct armed, hook);
    armed->runs++;
    if (armed->again-- > 0)
        weir_reactor_arm_hook(reactor, hook);
}

enum { MANY = 2000 };

struct counted {
    struct weir_turn_hook hook;
    uint32_t *runs;
};

static void count_run(struct weir_reactor *reactor, struct weir_turn_hook *hook)
{
    (void)reactor;
    ++*WEIR_CONTAINER(hook, struct counted, hook)->runs;
}

static void arm_counted(struct live *live, struct counted *counted, uint32_t *runs)
{
    *counted = (struct counted){.hook = {.fn = count_run}, .runs = runs};
    weir_list_init(&counted->hook.node);
    weir_reactor_arm_hook(live->reactor, &counted->hook);
}

/* As when one event goes to very many connections. */
static void many_hooks_take_several_turns_and_nobody_waits_behind_them(void **state)
{
    struct live live;
    static struct counted many[MANY];
    struct counted one;
    uint32_t runs = 0, one_run = 0;
    open_live(&live, state, 1);
    for (int i = 0; i < MANY; i++)
        arm_counted(&live, &many[i], &runs);
    turn_once(&live, 0, 0);
    assert_true(runs > 0);
    assert_true(runs <= MANY / 2);
    arm_counted(&live, &one, &one_run);
    turn_once(&live, 0, 0);
    assert_int_equal(one_run, 1);
    assert_true(runs < MANY);
    for (uint32_t before = 0; before < runs && runs < MANY;) {
        before = runs;
        turn_once(&live, 0, UINT64_MAX); /* it does not park while some wait */
    }
    assert_int_equal(runs, MANY);
    close_live(&live);
}

static void a_hook_runs_once_in_each_turn_it_was_armed(void **state)
{
    struct live live;
    struct armed armed = {.again = 2};
    open_live(&live, state, 1);
    armed.hook.fn = on_hook;
    weir_list_init(&armed.hook.node);
    weir_reactor_arm_hook(live.reactor, &armed.hook);
    weir_reactor_arm_hook(live.reactor, &armed.hook);
    turn_once(&live, 0, 0);
    assert_int_equal(armed.runs, 1);
    turn_once(&live, 0, 0);
    assert_int_equal(armed.runs, 2);
    turn_once(&live, 0, 0);
    turn_once(&live, 0, 0);
    assert_int_equal(armed.runs, 3);
    close_live(&live);
}

static void ids_of_events_are_unique_in_the_runtime(void **state)
{
    struct live live;
    open_live(&live, state, 2);
    uint64_t first = weir_reactor_event_id(live.reactor), second = weir_reactor_event_id(weir_runtime_reactor(live.runtime, 1));
    assert_true(first != 0 && second != 0);
    assert_true(first >> 56 != second >> 56); /* the reactor is in it */
    assert_int_equal(weir_reactor_event_id(live.reactor), first + 1);
    close_live(&live);
}

static void note_time(struct weir_reactor *reactor, struct weir_tcp *conn, void *context)
{
    (void)conn;
    *(uint64_t *)context = weir_reactor_now_ns(reactor);
}

/* A callback of what ended a long sleep was told the time from before it. */
static void the_time_is_that_of_this_turn_after_a_sleep(void **state)
{
    struct live live;
    struct weir_tcp_handlers handlers = WEIR_OPTIONS(struct weir_tcp_handlers);
    struct weir_tcp_listener *listener;
    uint64_t opened_ns = 0;
    handlers.on_open = note_time;
    open_live(&live, state, 1);
    assert_int_equal(weir_tcp_listen(live.reactor, "127.0.0.1:0", &handlers, NULL, &opened_ns, &listener), 0);
    turn_a_while(&live);
    while (weir_reactor_run_once(live.reactor, 30000000) != 0)
        ;
    uint64_t from_ns = clock_now_ns();
    int fd = dial(weir_tcp_listener_port(listener));
    TURN_UNTIL(&live, opened_ns != 0);
    assert_true(opened_ns >= from_ns);
    assert_true(opened_ns <= clock_now_ns());
    close(fd);
    close_live(&live);
}

int main(void)
{
    static const struct live_case cases[] = {
        LIVE_CASE(reactors_that_park_at_once_wake_each_other),
        LIVE_CASE(idle_reactors_take_no_cpu),
        LIVE_CASE(a_hook_runs_once_in_each_turn_it_was_armed),
        LIVE_CASE(many_hooks_take_several_turns_and_nobody_waits_behind_them),
        LIVE_CASE(ids_of_events_are_unique_in_the_runtime),
        LIVE_CASE(the_time_is_that_of_this_turn_after_a_sleep),
    };
    return RUN_LIVE_CASES("runtime.reactor", cases);
}
