/*
 * tests/runtime/queue_test.c - handlers that queue: keyed and stealable ones, on their own reactor and on a thief's.
 */
#include "tests/runtime/topic_fixture.h"

#include <sched.h>
#include <stdatomic.h>

#include <weir/work.h>

#include "runtime/handlers.h"

static struct weir_on_options queueing(bool stealable)
{
    struct weir_on_options options = WEIR_OPTIONS(struct weir_on_options);
    options.keyed = !stealable;
    options.stealable = stealable;
    return options;
}

/* ---- On one reactor, turned by hand ---- */

struct line {
    uint64_t keys[512];
    uint64_t bodies[512];
    uint32_t count;
    uint32_t removed;
    bool inside;
};

static void line_up(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    struct line *line = context;
    (void)on;
    assert_false(line->inside); /* never nested */
    assert_int_equal(line->removed, 0);
    line->inside = true;
    assert_true(line->count < 512);
    line->keys[line->count] = event->key;
    line->bodies[line->count] = 0;
    if (event->body_bytes == sizeof(uint64_t))
        memcpy(&line->bodies[line->count], event->body, sizeof(uint64_t));
    line->count++;
    line->inside = false;
}

static void line_removed(struct weir_reactor *on, void *context)
{
    (void)on;
    struct line *line = context;
    assert_false(line->inside);
    line->removed++;
}

static void a_keyed_handler_runs_in_a_turn_and_not_in_the_emit(void **state)
{
    (void)state;
    struct fixture fixture;
    static struct line line;
    memset(&line, 0, sizeof line);
    open_fixture(&fixture, 1);
    struct weir_topic topic = topic_of(&fixture, "t");
    struct trail trail = {0};
    struct mark mark = {&trail, 'a'};
    struct weir_on_options options = queueing(false);
    assert_int_equal(weir_on_with(fixture.reactor, "t", line_up, &line, &options, NULL), 0);
    assert_int_equal(weir_on(fixture.reactor, "t", leave_mark, &mark), 0);
    uint64_t body = 5;
    assert_int_equal(weir_emit_keyed(fixture.reactor, topic, 3, &body, sizeof body), 2);
    body = 6; /* it was copied */
    assert_string_equal(trail.text, "a");
    assert_int_equal(line.count, 0);
    settle(&fixture);
    assert_int_equal(line.count, 1);
    assert_int_equal(line.keys[0], 3);
    assert_int_equal(line.bodies[0], 5);
    close_fixture(&fixture);
}

static void events_of_one_key_run_in_order_through_posts_and_emits(void **state)
{
    (void)state;
    for (uint32_t stealable = 0; stealable < 2; stealable++) {
        struct fixture fixture;
        static struct line line;
        memset(&line, 0, sizeof line);
        open_fixture(&fixture, 1);
        struct weir_topic topic = topic_of(&fixture, "t");
        struct weir_on_options options = queueing(stealable == 1);
        assert_int_equal(weir_on_with(fixture.reactor, "t", line_up, &line, &options, NULL), 0);
        for (uint64_t i = 0; i < 300; i++) { /* posts that wait may not be overtaken by emits */
            if (i % 3 == 2)
                assert_int_equal(weir_emit_keyed(fixture.reactor, topic, i % 7, &i, sizeof i), 1);
            else
                assert_int_equal(weir_post_keyed(fixture.reactor, topic, WEIR_TO_HERE, i % 7, &i, sizeof i), 0);
            if (i % 50 == 49)
                turn(&fixture, 0);
        }
        settle(&fixture);
        assert_int_equal(line.count, 300);
        uint64_t next[7] = {0, 1, 2, 3, 4, 5, 6};
        for (uint32_t i = 0; i < 300; i++) {
            assert_int_equal(line.bodies[i], next[line.keys[i]]);
            next[line.keys[i]] += 7;
        }
        assert_int_equal(fixture.reactor->topics->events.live, 0);
        close_fixture(&fixture);
    }
}

static void a_handler_installed_after_an_emit_does_not_get_it_from_the_queue(void **state)
{
    (void)state;
    struct fixture fixture;
    static struct line early, late;
    memset(&early, 0, sizeof early);
    memset(&late, 0, sizeof late);
    open_fixture(&fixture, 1);
    struct weir_topic topic = topic_of(&fixture, "t"), other = topic_of(&fixture, "other");
    struct weir_on_options options = queueing(false);
    assert_int_equal(weir_on_with(fixture.reactor, "t", line_up, &early, &options, NULL), 0);
    assert_int_equal(weir_post(fixture.reactor, other, WEIR_TO_HERE, NULL, 0), 0); /* so that the emit lines up */
    assert_int_equal(weir_emit(fixture.reactor, topic, NULL, 0), 1);
    assert_int_equal(weir_on_with(fixture.reactor, "t", line_up, &late, &options, NULL), 0);
    settle(&fixture);
    assert_int_equal(early.count, 1);
    assert_int_equal(late.count, 0);
    close_fixture(&fixture);
}

static void times_of_a_queued_handler_count_what_is_queued(void **state)
{
    (void)state;
    struct fixture fixture;
    static struct line line;
    memset(&line, 0, sizeof line);
    open_fixture(&fixture, 1);
    struct weir_topic topic = topic_of(&fixture, "t");
    struct weir_on_options options = queueing(true);
    options.times = 3;
    options.on_removed = line_removed;
    assert_int_equal(weir_on_with(fixture.reactor, "t", line_up, &line, &options, NULL), 0);
    int told = 0;
    for (uint64_t i = 0; i < 5; i++)
        told += weir_emit_keyed(fixture.reactor, topic, i, &i, sizeof i);
    assert_int_equal(told, 3);
    assert_int_equal(weir_listener_count(fixture.reactor, topic), 0);
    assert_int_equal(line.removed, 0); /* what it was counted for has not run */
    settle(&fixture);
    assert_int_equal(line.count, 3);
    assert_int_equal(line.removed, 1);
    close_fixture(&fixture);
    assert_int_equal(line.removed, 1);
}

static void removing_a_queued_handler_drops_what_waits_for_it(void **state)
{
    (void)state;
    struct fixture fixture;
    static struct line line, other;
    memset(&line, 0, sizeof line);
    memset(&other, 0, sizeof other);
    open_fixture(&fixture, 1);
    struct weir_topic topic = topic_of(&fixture, "t");
    struct weir_on_options options = queueing(false);
    struct weir_subscription subscription;
    options.on_removed = line_removed;
    char body[100] = {0};
    assert_int_equal(weir_on_with(fixture.reactor, "t", line_up, &line, &options, &subscription), 0);
    assert_int_equal(weir_on_with(fixture.reactor, "*", line_up, &other, &options, NULL), 0);
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(weir_emit_keyed(fixture.reactor, topic, i % 3, body, sizeof body), 2);
    assert_int_equal(weir_off(fixture.reactor, subscription), 0);
    assert_int_equal(weir_off(fixture.reactor, subscription), -ENOENT);
    assert_int_equal(line.removed, 0); /* the scheduler still has its tasks */
    settle(&fixture);
    assert_int_equal(line.count, 0);
    assert_int_equal(line.removed, 1);
    assert_int_equal(other.count, 20);
    assert_int_equal(fixture.reactor->topics->events.live, 0);
    assert_int_equal(fixture.reactor->buffers.live_count, 0);
    close_fixture(&fixture);
}

struct leaver {
    struct weir_subscription self;
    uint32_t runs;
    uint32_t removed;
};

static void leave_now(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)event;
    struct leaver *leaver = context;
    leaver->runs++;
    assert_int_equal(weir_off(on, leaver->self), 0);
    assert_int_equal(leaver->removed, 0);
}

static void leaver_removed(struct weir_reactor *on, void *context)
{
    (void)on;
    struct leaver *leaver = context;
    leaver->removed++;
}

static void a_queued_handler_may_remove_itself(void **state)
{
    (void)state;
    struct fixture fixture;
    struct leaver leaver = {0};
    open_fixture(&fixture, 1);
    struct weir_on_options options = queueing(false);
    options.on_removed = leaver_removed;
    assert_int_equal(weir_on_with(fixture.reactor, "t", leave_now, &leaver, &options, &leaver.self), 0);
    struct weir_topic topic = topic_of(&fixture, "t");
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(weir_emit_keyed(fixture.reactor, topic, i % 2, NULL, 0), 1);
    settle(&fixture);
    assert_int_equal(leaver.runs, 1);
    assert_int_equal(leaver.removed, 1);
    close_fixture(&fixture);
}

static void what_is_queued_when_the_runtime_closes_is_freed(void **state)
{
    (void)state;
    struct fixture fixture;
    static struct line line;
    memset(&line, 0, sizeof line);
    open_fixture(&fixture, 2);
    struct weir_topic topic = topic_of(&fixture, "t");
    struct weir_on_options options = queueing(true);
    options.on_removed = line_removed;
    char body[1000] = {0};
    assert_int_equal(weir_on_with(fixture.reactor, "t", line_up, &line, &options, NULL), 0);
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(weir_emit_keyed(fixture.reactor, topic, i, body, sizeof body), 1);
        assert_int_equal(weir_post_keyed(fixture.reactor, topic, WEIR_TO_HERE, i, body, sizeof body), 0);
    }
    close_fixture(&fixture); /* nothing was turned: under the address sanitizer a leak would show */
    assert_int_equal(line.removed, 1);
}

/* ---- With threads and thieves ---- */

enum { STORM_REACTORS = 3, STORM_KEYS = 97, STORM_BATCH = 64 };

struct storm {
    struct weir_runtime *runtime;
    struct weir_topic work, feed, stop;
    struct weir_subscription subscription;
    struct weir_waiter waiter;
    uint64_t posted[STORM_KEYS]; /* the home's */
    uint64_t run[STORM_KEYS];    /* of whoever runs the key's strand: handed on with it */
    uint64_t left;               /* the home's */
    uint64_t number;
    uint64_t feed_id;            /* the event whose handler posts */
    uint64_t work_rounds;
    atomic_uint_fast64_t done;
    atomic_uint_fast64_t foreign; /* runs that were not at home */
    atomic_int inside;
    atomic_int removed;
};

struct load {
    uint64_t key;
    uint64_t number;
    uint64_t spare[10]; /* past what fits into an event: a buffer */
};

static void spin_for(uint64_t rounds)
{
    for (volatile uint64_t i = 0; i < rounds; i++)
        ;
}

static void on_work(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    struct storm *storm = context;
    struct load load;
    atomic_fetch_add_explicit(&storm->inside, 1, memory_order_relaxed);
    assert_int_equal(atomic_load(&storm->removed), 0);
    memcpy(&load, event->body, sizeof load.key + sizeof load.number);
    assert_int_equal(event->key, load.key);
    assert_int_equal(storm->run[load.key]++, load.number); /* plain: a race would be the scheduler's */
    assert_true(event->cause_id != 0);
    spin_for(storm->work_rounds);
    if (weir_reactor_index(on) != 0)
        atomic_fetch_add_explicit(&storm->foreign, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&storm->inside, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&storm->done, 1, memory_order_release);
}

static void feed_on(struct weir_reactor *reactor, void *context)
{
    struct storm *storm = context;
    assert_int_equal(weir_post(reactor, storm->feed, WEIR_TO_HERE, NULL, 0), 0);
}

static void on_feed(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)event;
    struct storm *storm = context;
    for (uint32_t i = 0; i < STORM_BATCH && storm->left > 0; i++) {
        struct load load = {.key = storm->left % STORM_KEYS};
        load.number = storm->posted[load.key];
        uint32_t bytes = storm->left % 5 == 0 ? sizeof load : 16;
        int result = storm->left % 2 ? weir_post_keyed(on, storm->work, WEIR_TO_HERE, load.key, &load, bytes)
                                     : weir_emit_keyed(on, storm->work, load.key, &load, bytes);
        if (result == -EAGAIN)
            break;
        assert_true(result >= 0);
        storm->posted[load.key]++;
        storm->left--;
    }
    if (storm->left > 0 && weir_post(on, storm->feed, WEIR_TO_HERE, NULL, 0) < 0)
        weir_post_resume(on, WEIR_TO_HERE, &storm->waiter);
}

static void storm_removed(struct weir_reactor *on, void *context)
{
    struct storm *storm = context;
    assert_int_equal(weir_reactor_index(on), 0);
    assert_int_equal(atomic_load(&storm->inside), 0); /* nobody runs it, thieves neither */
    atomic_store(&storm->removed, 1);
}

static void on_stop(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)event;
    struct storm *storm = context;
    assert_int_equal(weir_off(on, storm->subscription), 0);
    storm->left = 0;
}

static int storm_start(struct weir_reactor *reactor, void *context)
{
    struct storm *storm = context;
    if (weir_reactor_index(reactor) != 0)
        return 0;
    struct weir_on_options options = queueing(true);
    options.on_removed = storm_removed;
    storm->waiter = (struct weir_waiter){.resume = feed_on, .context = storm};
    int result = weir_topic_open(reactor, "work", &storm->work);
    if (result == 0)
        result = weir_topic_open(reactor, "feed", &storm->feed);
    if (result == 0)
        result = weir_topic_open(reactor, "stop", &storm->stop);
    if (result == 0)
        result = weir_on_with(reactor, "work", on_work, storm, &options, &storm->subscription);
    if (result == 0)
        result = weir_on(reactor, "feed", on_feed, storm);
    if (result == 0)
        result = weir_on(reactor, "stop", on_stop, storm);
    return result == 0 ? weir_post(reactor, storm->feed, WEIR_TO_HERE, NULL, 0) : result;
}

static void open_storm(struct storm *storm, uint64_t events, uint64_t work_rounds)
{
    memset(storm, 0, sizeof *storm);
    storm->left = events;
    storm->work_rounds = work_rounds;
    struct weir_runtime_options options = plain_options(STORM_REACTORS);
    options.drain_timeout_ns = 0; /* the default: threads drain together */
    options.on_start = storm_start;
    options.context = storm;
    assert_int_equal(weir_runtime_open(&options, &storm->runtime), 0);
    assert_int_equal(weir_runtime_start(storm->runtime), 0);
}

static void stolen_strands_keep_the_order_of_each_key(void **state)
{
    (void)state;
    static struct storm storm;
    uint64_t foreign = 0;
    for (uint32_t round = 0; round < 50 && foreign == 0; round++) {
        const uint64_t events = 20000;
        open_storm(&storm, events, 1000);
        while (atomic_load_explicit(&storm.done, memory_order_acquire) < events)
            sched_yield();
        foreign = atomic_load(&storm.foreign);
        weir_runtime_close(storm.runtime);
        assert_int_equal(atomic_load(&storm.done), events);
        assert_int_equal(atomic_load(&storm.removed), 1);
        for (uint32_t key = 0; key < STORM_KEYS; key++)
            assert_int_equal(storm.run[key], storm.posted[key]);
    }
    if (foreign == 0) { /* order held; whether it does when strands travel could not be seen on so busy a machine */
        print_message("nothing was stolen in 50 rounds\n");
        skip();
    }
}

static void a_stop_runs_what_was_posted(void **state)
{
    (void)state;
    static struct storm storm;
    const uint64_t events = 5000;
    open_storm(&storm, events, 200);
    weir_runtime_close(storm.runtime); /* asks, drains, ends */
    assert_int_equal(atomic_load(&storm.done), events - storm.left);
    for (uint32_t key = 0; key < STORM_KEYS; key++)
        assert_int_equal(storm.run[key], storm.posted[key]);
}

static void a_handler_removed_while_its_strands_are_away_is_gone_when_they_are_back(void **state)
{
    (void)state;
    static struct storm storm;
    for (uint32_t round = 0; round < 10; round++) {
        open_storm(&storm, UINT64_MAX, 1000);
        while (atomic_load(&storm.done) < 2000)
            sched_yield();
        struct weir_lane *lane;
        assert_int_equal(weir_lane_open(storm.runtime, &lane), 0);
        while (weir_lane_post(lane, storm.stop, 0, false, 0, NULL, 0) == -EAGAIN)
            sched_yield();
        while (atomic_load(&storm.removed) == 0)
            sched_yield();
        weir_lane_close(lane);
        weir_runtime_close(storm.runtime);
        assert_int_equal(atomic_load(&storm.inside), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_keyed_handler_runs_in_a_turn_and_not_in_the_emit),
        cmocka_unit_test(events_of_one_key_run_in_order_through_posts_and_emits),
        cmocka_unit_test(a_handler_installed_after_an_emit_does_not_get_it_from_the_queue),
        cmocka_unit_test(times_of_a_queued_handler_count_what_is_queued),
        cmocka_unit_test(removing_a_queued_handler_drops_what_waits_for_it),
        cmocka_unit_test(a_queued_handler_may_remove_itself),
        cmocka_unit_test(what_is_queued_when_the_runtime_closes_is_freed),
        cmocka_unit_test(stolen_strands_keep_the_order_of_each_key),
        cmocka_unit_test(a_stop_runs_what_was_posted),
        cmocka_unit_test(a_handler_removed_while_its_strands_are_away_is_gone_when_they_are_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
