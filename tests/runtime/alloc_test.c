/*
 * tests/runtime/alloc_test.c - after warm-up an event allocates nothing, whichever way it goes.
 *
 * Over hand-turned reactors; with threads, thieves and sockets: alloc_live_test.c.
 */
#include "tests/runtime/counting.h"
#include "tests/runtime/topic_fixture.h"

enum { WARM_ROUNDS = 50, ROUNDS = 200, BURST = 100 };

struct counts {
    uint64_t runs;
};

static void count_run(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)on;
    (void)event;
    struct counts *counts = context;
    counts->runs++;
}

/* One round of every way an event can go. `body` is as long as asked. */
struct ways {
    struct fixture fixture;
    struct counts counts;
    struct weir_topic pinned, keyed;
    uint32_t body_bytes;
    char body[4096];
};

static void open_ways(struct ways *ways, uint32_t body_bytes)
{
    memset(ways, 0, sizeof *ways);
    open_fixture(&ways->fixture, 2);
    ways->body_bytes = body_bytes;
    ways->pinned = topic_of(&ways->fixture, "pinned.x");
    ways->keyed = topic_of(&ways->fixture, "keyed");
    for (uint32_t i = 0; i < 2; i++) {
        struct weir_on_options options = WEIR_OPTIONS(struct weir_on_options);
        options.keyed = true;
        assert_int_equal(weir_on(reactor_at(&ways->fixture, i), "pinned.*", count_run, &ways->counts), 0);
        assert_int_equal(
            weir_on_with(reactor_at(&ways->fixture, i), "keyed", count_run, &ways->counts, &options, NULL), 0);
        options.stealable = true;
        assert_int_equal(
            weir_on_with(reactor_at(&ways->fixture, i), "keyed", count_run, &ways->counts, &options, NULL), 0);
    }
}

static void emit_round(struct ways *ways)
{
    for (uint32_t i = 0; i < BURST; i++) {
        assert_int_equal(weir_emit(ways->fixture.reactor, ways->pinned, ways->body, ways->body_bytes), 1);
        assert_int_equal(weir_emit_name(ways->fixture.reactor, "pinned.x", ways->body, ways->body_bytes), 1);
        assert_int_equal(weir_emit_keyed(ways->fixture.reactor, ways->keyed, i % 7, ways->body, ways->body_bytes), 2);
    }
}

static void post_round(struct ways *ways)
{
    for (uint32_t i = 0; i < BURST; i++) {
        struct weir_reactor *from = ways->fixture.reactor;
        for (uint32_t to = 0; to < 2; to++) {
            assert_int_equal(weir_post(from, ways->pinned, to, ways->body, ways->body_bytes), 0);
            assert_int_equal(weir_post_keyed(from, ways->keyed, to, i % 7, ways->body, ways->body_bytes), 0);
        }
        assert_int_equal(weir_post(from, ways->pinned, WEIR_TO_ALL, ways->body, ways->body_bytes), 0);
    }
}

/* A handler that is installed and used up each round: its memory is used again. */
static void once_round(struct ways *ways)
{
    assert_int_equal(weir_once(ways->fixture.reactor, "pinned.x", count_run, &ways->counts), 0);
    assert_int_equal(weir_emit(ways->fixture.reactor, ways->pinned, ways->body, ways->body_bytes), 2);
    assert_int_equal(weir_emit(ways->fixture.reactor, ways->pinned, ways->body, ways->body_bytes), 1);
}

static void measure(void (*round)(struct ways *ways), uint32_t body_bytes, uint64_t runs)
{
    static struct ways ways;
    open_ways(&ways, body_bytes);
    uint64_t before = 0, runs_before = 0;
    for (uint32_t i = 0; i < WARM_ROUNDS + ROUNDS; i++) {
        if (i == WARM_ROUNDS) {
            before = allocations();
            runs_before = ways.counts.runs;
        }
        round(&ways);
        settle(&ways.fixture);
    }
    assert_int_equal(ways.counts.runs - runs_before, ROUNDS * runs);
    if (COUNTING)
        assert_int_equal(allocations() - before, 0);
    close_fixture(&ways.fixture);
}

static void an_emit_allocates_nothing(void **state)
{
    (void)state;
    measure(emit_round, 16, BURST * 4);
    measure(emit_round, 1000, BURST * 4);
}

static void a_post_allocates_nothing(void **state)
{
    (void)state;
    measure(post_round, 16, BURST * (2 * 3 + 2));
    measure(post_round, 60, BURST * (2 * 3 + 2));
    measure(post_round, 1000, BURST * (2 * 3 + 2));
}

static void a_handler_that_is_used_up_leaves_its_memory_to_the_next(void **state)
{
    (void)state;
    measure(once_round, 16, 3);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_counter_counts),
        cmocka_unit_test(an_emit_allocates_nothing),
        cmocka_unit_test(a_post_allocates_nothing),
        cmocka_unit_test(a_handler_that_is_used_up_leaves_its_memory_to_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
