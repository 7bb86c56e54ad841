/*
 * Description: strands that change reactor, stepped by hand on one thread - what is shared and
 * when, that a strand is in one place only, that everything comes home. strand_storm_test.c does it
 * with threads.
 */
#include "tests/sched/strand_kit.h"

/* Fill seat 0 with a backlog that stood long enough, and let seat 1 be hungry. */
static void make_backlog(struct bench *bench, struct weir_class *class, uint32_t keys, uint32_t each)
{
    for (uint32_t i = 0; i < keys * each; i++)
        post_keyed(bench, 0, class, i % keys);
    assert_true(weir_sched_announce(bench->seats[1].sched, WEIR_SCHED_SEARCHING));
    weir_sched_share(bench->seats[0].sched, bench->now_ns);
    bench->now_ns += 60000;
    weir_sched_share(bench->seats[0].sched, bench->now_ns);
}

static void nothing_is_shared_while_nobody_is_hungry_or_the_backlog_is_young(void **state)
{
    (void)state;
    struct bench *bench = bench_open(2);
    struct weir_class class;
    class_open(bench, 0, &class, true);
    for (uint32_t i = 0; i < 64; i++)
        post_keyed(bench, 0, &class, i);
    weir_sched_share(bench->seats[0].sched, bench->now_ns);
    weir_sched_share(bench->seats[0].sched, bench->now_ns + 1000000);
    assert_int_equal(counts(bench, 0).shared, 0); /* nobody is hungry */
    bench->task_ns = 1000;
    turn(bench, 0);
    assert_true(weir_sched_announce(bench->seats[1].sched, WEIR_SCHED_SEARCHING));
    for (uint32_t i = 0; i < 64; i++)
        post_keyed(bench, 0, &class, i);
    weir_sched_share(bench->seats[0].sched, bench->now_ns);
    weir_sched_share(bench->seats[0].sched, bench->now_ns + 9000);
    assert_int_equal(counts(bench, 0).shared, 0); /* young */
    weir_sched_share(bench->seats[0].sched, bench->now_ns + 10000);
    assert_int_equal(counts(bench, 0).shared, 32);
    bench_close(bench);
}

static void runs_that_cost_less_than_a_hand_over_are_not_shared(void **state)
{
    (void)state;
    for (uint32_t heavy = 0; heavy < 2; heavy++) {
        struct bench *bench = bench_open(2);
        struct weir_class class;
        class_open(bench, 0, &class, true);
        assert_true(weir_sched_announce(bench->seats[1].sched, WEIR_SCHED_SEARCHING));
        bench->task_ns = heavy ? 600 : 400;
        for (uint32_t i = 0; i < 1000; i++)
            post_keyed(bench, 0, &class, i);
        for (uint32_t i = 0; i < 4; i++)
            turn(bench, 0);
        assert_int_equal(counts(bench, 0).shared > 0, heavy);
        bench_close(bench);
    }
}

static void a_pinned_class_is_never_shared(void **state)
{
    (void)state;
    struct bench *bench = bench_open(2);
    struct weir_class pinned, stealable;
    class_open(bench, 0, &pinned, false);
    class_open(bench, 0, &stealable, true);
    for (uint32_t i = 0; i < 20; i++) {
        post_keyed(bench, 0, &pinned, i);
        post_keyed(bench, 0, &stealable, i);
    }
    make_backlog(bench, &stealable, 40, 1);
    weir_sched_steal(bench->seats[1].sched);
    weir_sched_announce(bench->seats[1].sched, WEIR_SCHED_BUSY);
    assert_true(turn(bench, 1) > 0);
    for (uint32_t i = 0; i < bench->log_count; i++)
        assert_ptr_equal(bench->log[i]->class, &stealable);
    deliver_done(bench, 0);
    bench_close(bench);
}

static void a_thief_takes_half_of_what_is_exposed(void **state)
{
    (void)state;
    struct bench *bench = bench_open(2);
    struct weir_class class;
    class_open(bench, 0, &class, true);
    make_backlog(bench, &class, 64, 2);
    assert_int_equal(counts(bench, 0).shared, 32);
    assert_int_equal(weir_sched_steal(bench->seats[1].sched), 16);
    assert_int_equal(counts(bench, 0).away_strands, 32);
    weir_sched_announce(bench->seats[1].sched, WEIR_SCHED_BUSY);
    assert_int_equal(turn(bench, 1), 32);
    assert_int_equal(bench->log[0]->ran_on, 1);
    deliver_done(bench, 0);
    assert_int_equal(counts(bench, 0).away_strands, 16);
    while (turn(bench, 0) > 0) /* and the owner takes the other half back */
        continue;
    assert_int_equal(bench->log_count, 128);
    assert_int_equal(counts(bench, 0).taken_back, 16);
    assert_int_equal(counts(bench, 0).live_strands, 0);
    assert_key_order(bench);
    bench_close(bench);
}

static void a_stolen_strand_does_not_run_at_home_before_its_done_is_back(void **state)
{
    (void)state;
    struct bench *bench = bench_open(2);
    struct weir_class class;
    class_open(bench, 0, &class, true);
    make_backlog(bench, &class, 2, 1);
    assert_int_equal(weir_sched_steal(bench->seats[1].sched), 1);
    for (uint32_t i = 0; i < 6; i++)
        post_keyed(bench, 0, &class, i % 2); /* mail for the stolen key, too */
    while (turn(bench, 0) > 0)
        continue;
    assert_int_equal(bench->log_count, 4); /* the key that stayed */
    weir_sched_announce(bench->seats[1].sched, WEIR_SCHED_BUSY);
    assert_int_equal(turn(bench, 1), 1);
    assert_int_equal(turn(bench, 0), 0); /* executed, but not back */
    deliver_done(bench, 0);
    assert_int_equal(turn(bench, 0), 3);
    assert_key_order(bench);
    assert_int_equal(counts(bench, 0).live_strands, 0);
    bench_close(bench);
}

static void unkeyed_posts_do_not_wait_for_a_strand_that_is_away(void **state)
{
    (void)state;
    struct bench *bench = bench_open(2);
    struct weir_class class;
    class_open(bench, 0, &class, true);
    for (uint32_t i = 0; i < 16 + 3; i++)
        post(bench, 0, &class); /* one full strand, one that still gathers */
    make_backlog(bench, &class, 1, 0);
    assert_int_equal(weir_sched_steal(bench->seats[1].sched), 1);
    struct event *late = post(bench, 0, &class);
    while (turn(bench, 0) > 0)
        continue;
    assert_int_equal(late->ran, 1); /* the thief has not even begun */
    weir_sched_announce(bench->seats[1].sched, WEIR_SCHED_BUSY);
    assert_int_equal(turn(bench, 1), 3);
    deliver_done(bench, 0);
    bench_close(bench);
}

static void a_done_without_credit_is_sent_in_a_later_turn(void **state)
{
    (void)state;
    struct bench *bench = bench_open(2);
    struct weir_class class;
    class_open(bench, 0, &class, true);
    make_backlog(bench, &class, 8, 1);
    weir_sched_steal(bench->seats[1].sched);
    weir_sched_announce(bench->seats[1].sched, WEIR_SCHED_BUSY);
    bench->refuse_done = true;
    turn(bench, 1);
    assert_int_equal(bench->seats[0].done_count, 0);
    assert_true(weir_sched_busy(bench->seats[1].sched));
    bench->refuse_done = false;
    turn(bench, 1);
    assert_int_equal(bench->seats[0].done_count, 1); /* one chain for one home */
    assert_false(weir_sched_busy(bench->seats[1].sched));
    deliver_done(bench, 0);
    while (turn(bench, 0) > 0)
        continue;
    assert_int_equal(bench->log_count, 8);
    bench_close(bench);
}

static void a_class_closed_while_strands_are_away_ends_when_they_are_back(void **state)
{
    (void)state;
    struct bench *bench = bench_open(2);
    struct weir_class class = {
        .execute = bench_execute, .context = bench, .on_closed = note_closed, .stealable = true};
    weir_sched_class_init(bench->seats[0].sched, &class);
    make_backlog(bench, &class, 8, 4);
    weir_sched_steal(bench->seats[1].sched);
    assert_false(weir_sched_class_close(bench->seats[0].sched, &class));
    while (turn(bench, 0) > 0)
        continue;
    assert_int_equal(bench->closed_count, 0); /* two strands are still with the thief */
    weir_sched_announce(bench->seats[1].sched, WEIR_SCHED_BUSY);
    turn(bench, 1);
    assert_int_equal(bench->log_count, 0);
    assert_int_equal(bench->closed_count, 0);
    deliver_done(bench, 0);
    assert_int_equal(bench->closed_count, 1);
    bench_close(bench);
}

static void a_wake_is_asked_for_when_work_is_exposed_and_nobody_searches(void **state)
{
    (void)state;
    struct bench *bench = bench_open(2);
    struct weir_class class;
    class_open(bench, 0, &class, true);
    weir_sched_announce(bench->seats[1].sched, WEIR_SCHED_PARKED);
    bench->task_ns = 30000;
    for (uint32_t i = 0; i < 32; i++)
        post_keyed(bench, 0, &class, i);
    turn(bench, 0);
    assert_true(bench->seats[0].wakes_asked > 0);
    assert_true(weir_sched_announce(bench->seats[1].sched, WEIR_SCHED_SEARCHING));
    bench->seats[0].wakes_asked = 0;
    turn(bench, 0);
    assert_int_equal(bench->seats[0].wakes_asked, 0); /* the searcher will find it */
    bench_close(bench);
}

static void no_more_than_one_of_two_busy_reactors_worth_may_search(void **state)
{
    (void)state;
    struct bench *bench = bench_open(4);
    assert_true(weir_sched_announce(bench->seats[1].sched, WEIR_SCHED_SEARCHING));
    assert_false(
        weir_sched_announce(bench->seats[2].sched, WEIR_SCHED_SEARCHING)); /* 2 busy: 1 thief */
    weir_sched_announce(bench->seats[1].sched, WEIR_SCHED_BUSY);
    assert_true(weir_sched_announce(bench->seats[2].sched, WEIR_SCHED_SEARCHING));
    weir_sched_announce(bench->seats[2].sched, WEIR_SCHED_BUSY);
    assert_int_equal(weir_load(&bench->hub.hungry, relaxed), 0);
    assert_int_equal(weir_load(&bench->hub.searching, relaxed), 0);
    bench_close(bench);
}

static uint64_t chance(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* One random step of one seat, as a reactor would take it. */
static void random_step(struct bench *bench, struct weir_class *classes, uint64_t *seed)
{
    uint32_t seat = (uint32_t)(chance(seed) % 4);
    struct weir_sched *sched = bench->seats[seat].sched;
    uint64_t what = chance(seed) % 8;
    bench->now_ns += chance(seed) % 30000;
    bench->refuse_done = chance(seed) % 4 == 0;
    if (what < 2 && bench->event_count < EVENTS_MAX - 64) {
        for (uint64_t left = chance(seed) % 64; left > 0; left--)
            post_keyed(bench, seat, &classes[seat], chance(seed) % 20);
    } else if (what < 4) {
        deliver_done(bench, seat);
    } else if (what < 6 && !weir_sched_busy(sched)) {
        weir_sched_announce(sched, WEIR_SCHED_SEARCHING);
        weir_sched_steal(sched);
    } else {
        weir_sched_announce(sched, WEIR_SCHED_BUSY);
        turn(bench, seat);
    }
}

static void any_schedule_of_four_reactors_keeps_order_and_loses_nothing(void **state)
{
    (void)state;
    uint64_t stolen = 0;
    for (uint64_t run = 1; run <= 60; run++) {
        uint64_t seed = run * 0x9e3779b97f4a7c15u;
        struct bench *bench = bench_open_with(
            4, (struct weir_sched_options){.stealing = true,
                                           .seed = run,
                                           .run_tasks = 1 + (uint32_t)run % 9,
                                           .turn_tasks = 1 + (uint32_t)run % 37,
                                           .strands_warm = 2,
                                           .deque_cells = 2u << run % 6});
        struct weir_class classes[4];
        for (uint32_t i = 0; i < 4; i++)
            class_open(bench, i, &classes[i], true);
        bench->task_ns = run * 100;
        for (uint32_t step = 0; step < 1500; step++)
            random_step(bench, classes, &seed);
        bench->refuse_done = false;
        for (bool more = true; more;) {
            more = false;
            for (uint32_t i = 0; i < 4; i++) {
                weir_sched_announce(bench->seats[i].sched, WEIR_SCHED_BUSY);
                deliver_done(bench, i);
                turn(bench, i);
            }
            for (uint32_t i = 0; i < 4; i++)
                more |= weir_sched_busy(bench->seats[i].sched) || bench->seats[i].done_count > 0;
        }
        if (bench->log_count != bench->event_count)
            fail_msg("run %u: %u of %u events ran", (unsigned)run, bench->log_count,
                     bench->event_count);
        assert_key_order(bench);
        for (uint32_t i = 0; i < 4; i++) {
            assert_int_equal(counts(bench, i).live_strands, 0);
            stolen += counts(bench, i).stolen;
        }
        bench_close(bench);
    }
    assert_true(stolen > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_shared_while_nobody_is_hungry_or_the_backlog_is_young),
        cmocka_unit_test(runs_that_cost_less_than_a_hand_over_are_not_shared),
        cmocka_unit_test(a_pinned_class_is_never_shared),
        cmocka_unit_test(a_thief_takes_half_of_what_is_exposed),
        cmocka_unit_test(a_stolen_strand_does_not_run_at_home_before_its_done_is_back),
        cmocka_unit_test(unkeyed_posts_do_not_wait_for_a_strand_that_is_away),
        cmocka_unit_test(a_done_without_credit_is_sent_in_a_later_turn),
        cmocka_unit_test(a_class_closed_while_strands_are_away_ends_when_they_are_back),
        cmocka_unit_test(a_wake_is_asked_for_when_work_is_exposed_and_nobody_searches),
        cmocka_unit_test(no_more_than_one_of_two_busy_reactors_worth_may_search),
        cmocka_unit_test(any_schedule_of_four_reactors_keeps_order_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
