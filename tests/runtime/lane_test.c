/* tests/runtime/lane_test.c - the way in for foreign threads, on each io: in order, nothing lost, full is said. */
#include <pthread.h>

#include "tests/runtime/live_fixture.h"

#include "base/atomic.h"

enum { THREADS = 4, POSTS = 3000, KEYS = 16, REACTORS = 2, LANES_OF_A_REACTOR = 64 };

struct body {
    uint32_t thread;
    uint32_t number;
    uint8_t more[80];
};

struct mailbox {
    uint32_t next[THREADS][KEYS]; /* each touched by one reactor */
    weir_atomic_u32 wrong;
    weir_atomic_u32 count;
};

static void on_post(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)on;
    struct mailbox *mailbox = context;
    const struct body *body = event->body;
    if (mailbox->next[body->thread][event->key]++ != body->number)
        weir_fetch_add(&mailbox->wrong, 1, relaxed);
    weir_fetch_add(&mailbox->count, 1, release);
}

struct poster {
    struct weir_runtime *runtime;
    struct weir_topic topic;
    uint32_t index;
    uint32_t to;
    pthread_t thread;
};

static void *post_many(void *context)
{
    struct poster *poster = context;
    struct weir_lane *lane;
    struct timespec pause = {0, 100000};
    uint32_t numbers[KEYS] = {0};
    if (weir_lane_open(poster->runtime, &lane) < 0)
        return NULL;
    for (uint32_t i = 0; i < POSTS; i++) {
        uint64_t key = i % KEYS;
        struct body body = {.thread = poster->index, .number = numbers[key]++};
        uint32_t to = poster->to == REACTORS ? (uint32_t)key % REACTORS : poster->to;
        uint32_t bytes = i % 3 ? offsetof(struct body, more) : sizeof body;
        int result;
        while ((result = weir_lane_post(lane, poster->topic, to, true, key, &body, bytes)) == -EAGAIN)
            nanosleep(&pause, NULL);
        if (result < 0)
            return NULL;
    }
    weir_lane_close(lane);
    return context;
}

static int install(struct weir_reactor *reactor, void *context)
{
    return weir_on(reactor, "outside", on_post, context);
}

/* Onto reactors by number, and onto the key's. */
static void threads_post_in_order_and_nothing_is_lost(void **state)
{
    for (uint32_t to = REACTORS; to <= REACTORS + 1; to++) {
        static struct mailbox mailbox;
        struct poster posters[THREADS];
        memset(&mailbox, 0, sizeof mailbox);
        struct weir_runtime_options options = options_of(state, REACTORS);
        struct weir_runtime *runtime;
        struct weir_topic topic;
        options.on_start = install;
        options.context = &mailbox;
        assert_int_equal(weir_runtime_open(&options, &runtime), 0);
        assert_int_equal(weir_topic_open(weir_runtime_reactor(runtime, 0), "outside", &topic), 0);
        int result = weir_runtime_start(runtime);
        if (is_refusal(result)) {
            weir_runtime_close(runtime);
            skip();
        }
        for (uint32_t i = 0; i < THREADS; i++) {
            posters[i] = (struct poster){runtime, topic, i, to == REACTORS ? REACTORS : WEIR_TO_KEY, 0};
            assert_int_equal(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]), 0);
        }
        for (uint32_t i = 0; i < THREADS; i++) {
            void *good;
            pthread_join(posters[i].thread, &good);
            assert_non_null(good);
        }
        uint64_t give_up_ns = clock_now_ns() + PATIENCE_NS;
        struct timespec pause = {0, 1000000};
        while (weir_load(&mailbox.count, acquire) < THREADS * POSTS && clock_now_ns() < give_up_ns)
            nanosleep(&pause, NULL);
        assert_int_equal(weir_load(&mailbox.count, acquire), THREADS * POSTS);
        assert_int_equal(weir_load(&mailbox.wrong, relaxed), 0);
        weir_runtime_close(runtime);
    }
}

static void count_post(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)on;
    (void)event;
    ++*(uint32_t *)context;
}

static void a_full_lane_says_so_and_goes_on(void **state)
{
    struct live live;
    struct weir_topic topic;
    struct weir_lane *lane;
    uint32_t count = 0, taken = 0;
    int result = 0;
    open_live(&live, state, 1);
    assert_int_equal(weir_on(live.reactor, "full", count_post, &count), 0);
    assert_int_equal(weir_topic_open(live.reactor, "full", &topic), 0);
    assert_int_equal(weir_lane_open(live.runtime, &lane), 0);
    static uint8_t large[100000];
    while (taken < 1 << 20 && (result = weir_lane_post(lane, topic, WEIR_TO_HERE, false, 0, large, taken % 2 ? 5 : 500)) == 0)
        taken++;
    assert_int_equal(result, -EAGAIN);
    TURN_UNTIL(&live, count == taken);
    assert_int_equal(weir_lane_post(lane, topic, 0, false, 0, large, sizeof large), 0);
    TURN_UNTIL(&live, count == taken + 1);
    weir_lane_close(lane);
    turn_a_while(&live);
    close_live(&live);
}

static void wrong_posts_are_refused(void **state)
{
    struct live live;
    struct weir_topic topic;
    struct weir_lane *lane;
    open_live(&live, state, 2);
    assert_int_equal(weir_topic_open(live.reactor, "wrong", &topic), 0);
    assert_int_equal(weir_lane_open(live.runtime, &lane), 0);
    assert_int_equal(weir_lane_post(lane, topic, 2, false, 0, "x", 1), -EINVAL);
    assert_int_equal(weir_lane_post(lane, topic, WEIR_TO_ALL, false, 0, "x", 1), -EINVAL);
    assert_int_equal(weir_lane_post(lane, topic, WEIR_TO_KEY, false, 0, "x", 1), -EINVAL); /* it has no key */
    assert_int_equal(weir_lane_post(lane, topic, 0, false, 0, "x", (16 << 20) + 1), -EINVAL);
    assert_int_equal(weir_lane_post(lane, topic, 0, false, 0, NULL, 0), 0);
    weir_lane_close(lane);
    turn_a_while(&live);
    close_live(&live);
}

static void what_was_posted_before_the_start_and_the_close_is_told(void **state)
{
    struct live live;
    struct weir_topic topic;
    struct weir_lane *lane;
    struct weir_runtime_options options = options_of(state, 1);
    uint32_t count = 0;
    assert_int_equal(weir_runtime_open(&options, &live.runtime), 0);
    live.reactor = weir_runtime_reactor(live.runtime, 0);
    live.count = 1;
    assert_int_equal(weir_on(live.reactor, "early", count_post, &count), 0);
    assert_int_equal(weir_topic_open(live.reactor, "early", &topic), 0);
    assert_int_equal(weir_lane_open(live.runtime, &lane), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(weir_lane_post(lane, topic, WEIR_TO_HERE, false, 0, "a body that needs memory of its own", 36), 0);
    weir_lane_close(lane);
    if (is_refusal(weir_reactor_run_once(live.reactor, 0))) {
        close_live(&live);
        skip();
    }
    TURN_UNTIL(&live, count == 100);
    close_live(&live);
}

/* A lane's place is free again once its home has seen it closed; a reactor has so many and no more. */
static void lanes_come_and_go(void **state)
{
    struct live live;
    struct weir_lane *lanes[LANES_OF_A_REACTOR + 1];
    open_live(&live, state, 1);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < LANES_OF_A_REACTOR; i++)
            assert_int_equal(weir_lane_open(live.runtime, &lanes[i]), 0);
        assert_int_equal(weir_lane_open(live.runtime, &lanes[LANES_OF_A_REACTOR]), -EAGAIN);
        for (int i = 0; i < LANES_OF_A_REACTOR; i++)
            weir_lane_close(lanes[i]);
        turn_once(&live, 0, 0);
    }
    close_live(&live);
}

static void *open_and_close(void *context)
{
    struct weir_lane *lane;
    for (int i = 0; i < 2000; i++)
        if (weir_lane_open(context, &lane) == 0)
            weir_lane_close(lane);
    return NULL;
}

/* From the moment a lane is closed its home may free it, while its thread is still on the way out. */
static void a_closed_lane_is_not_touched_any_more(void **state)
{
    struct weir_runtime_options options = options_of(state, REACTORS);
    struct weir_runtime *runtime;
    pthread_t threads[THREADS];
    assert_int_equal(weir_runtime_open(&options, &runtime), 0);
    int result = weir_runtime_start(runtime);
    if (is_refusal(result)) {
        weir_runtime_close(runtime);
        skip();
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, runtime), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    weir_runtime_close(runtime);
}

static void a_lane_that_was_not_closed_is_freed_with_the_runtime(void **state)
{
    struct live live;
    struct weir_topic topic;
    struct weir_lane *lane;
    open_live(&live, state, 1);
    assert_int_equal(weir_topic_open(live.reactor, "left", &topic), 0);
    assert_int_equal(weir_lane_open(live.runtime, &lane), 0);
    assert_int_equal(weir_lane_post(lane, topic, 0, false, 0, "a body that needs memory of its own", 36), 0);
    close_live(&live);
}

int main(void)
{
    static const struct live_case cases[] = {
        LIVE_CASE(threads_post_in_order_and_nothing_is_lost),
        LIVE_CASE(a_full_lane_says_so_and_goes_on),
        LIVE_CASE(wrong_posts_are_refused),
        LIVE_CASE(what_was_posted_before_the_start_and_the_close_is_told),
        LIVE_CASE(lanes_come_and_go),
        LIVE_CASE(a_closed_lane_is_not_touched_any_more),
        LIVE_CASE(a_lane_that_was_not_closed_is_freed_with_the_runtime),
    };
    return RUN_LIVE_CASES("runtime.lane", cases);
}
