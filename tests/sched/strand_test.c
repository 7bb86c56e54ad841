/*
 * Description: strands of one reactor - order, fairness, budgets, priorities, closing classes,
 * memory.
 */
#include <errno.h>

#include "tests/sched/strand_kit.h"

static void options_that_cannot_work_are_refused(void **state)
{
    (void)state;
    struct weir_sched *sched;
    struct weir_sched_options options = {.clock = bench_clock, .release = bench_release};
    assert_int_equal(weir_sched_open(&(struct weir_sched_options){0}, &sched), -EINVAL);
    options.deque_cells = 100;
    assert_int_equal(weir_sched_open(&options, &sched), -EINVAL);
    options.deque_cells = 0;
    options.reactor_index = WEIR_SCHED_REACTORS_MAX;
    assert_int_equal(weir_sched_open(&options, &sched), -EINVAL);
    options.reactor_index = 0;
    assert_int_equal(weir_sched_open(&options, &sched), 0);
    assert_int_equal(weir_sched_run(sched, 1), 0);
    assert_false(weir_sched_busy(sched));
    weir_sched_close(sched);
}

static void tasks_of_one_key_run_in_the_order_posted(void **state)
{
    (void)state;
    struct bench *bench = bench_open(1);
    struct weir_class class;
    class_open(bench, 0, &class, true);
    for (uint32_t i = 0; i < 600; i++)
        post_keyed(bench, 0, &class, i * 7 % 13);
    while (turn(bench, 0) > 0)
        continue;
    assert_int_equal(bench->log_count, 600);
    assert_key_order(bench);
    bench_close(bench);
}

static void unkeyed_posts_to_a_pinned_class_are_first_in_first_out(void **state)
{
    (void)state;
    struct bench *bench = bench_open(1);
    struct weir_class class;
    class_open(bench, 0, &class, false);
    for (uint32_t i = 0; i < 300; i++)
        post(bench, 0, &class);
    assert_int_equal(counts(bench, 0).live_strands, 1);
    while (turn(bench, 0) > 0)
        continue;
    for (uint32_t i = 0; i < 300; i++)
        assert_int_equal(bench->log[i]->number, i);
    bench_close(bench);
}

static void unkeyed_posts_to_a_stealable_class_gather_into_strands_of_sixteen(void **state)
{
    (void)state;
    struct bench *bench = bench_open(1);
    struct weir_class class;
    class_open(bench, 0, &class, true);
    for (uint32_t i = 0; i < 16 * 4 + 1; i++)
        post(bench, 0, &class);
    assert_int_equal(counts(bench, 0).live_strands, 5);
    assert_int_equal(turn(bench, 0), 65);
    assert_int_equal(counts(bench, 0).live_strands, 0);
    bench_close(bench);
}

static void one_key_with_much_mail_does_not_hold_up_the_others(void **state)
{
    (void)state;
    struct bench *bench = bench_open(1);
    struct weir_class class;
    class_open(bench, 0, &class, true);
    for (uint32_t i = 0; i < 1000; i++)
        post_keyed(bench, 0, &class, 1);
    struct event *other = post_keyed(bench, 0, &class, 2);
    turn(bench, 0);
    assert_int_equal(other->ran, 1);
    assert_ptr_equal(bench->log[64], other); /* run_tasks of the first key, then its turn */
    bench_close(bench);
}

static void post_again(struct event *event)
{
    event->also = NULL;
    post_keyed(event->bench, 0, event->class, event->key);
}

static void a_task_posted_by_a_task_of_its_strand_runs_after_what_was_queued(void **state)
{
    (void)state;
    struct bench *bench = bench_open(1);
    struct weir_class class;
    class_open(bench, 0, &class, false);
    post_keyed(bench, 0, &class, 5)->also = post_again;
    post_keyed(bench, 0, &class, 5);
    while (turn(bench, 0) > 0)
        continue;
    assert_int_equal(bench->log_count, 3);
    assert_key_order(bench);
    bench_close(bench);
}

static void a_turn_ends_with_its_task_budget(void **state)
{
    (void)state;
    struct bench *bench = bench_open(1);
    struct weir_class class;
    class_open(bench, 0, &class, false);
    for (uint32_t i = 0; i < 300; i++)
        post_keyed(bench, 0, &class, i % 3);
    assert_int_equal(turn(bench, 0), 128);
    assert_int_equal(bench->log_count, 128);
    assert_true(weir_sched_busy(bench->seats[0].sched));
    bench_close(bench);
}

static void a_turn_ends_with_its_time_and_keeps_the_rest_in_order(void **state)
{
    (void)state;
    struct bench *bench = bench_open(1);
    struct weir_class class;
    class_open(bench, 0, &class, false);
    bench->task_ns = 100000;
    for (uint32_t i = 0; i < 40; i++)
        post_keyed(bench, 0, &class, i % 2);
    uint64_t start_ns = bench->now_ns;
    uint32_t ran = turn(bench, 0);
    assert_int_equal(ran, 5); /* 500 us in tasks of 100 us, looked at after each */
    assert_int_equal(bench->now_ns - start_ns, 500000);
    post_keyed(bench, 0, &class, 0);
    while (turn(bench, 0) > 0)
        continue;
    assert_int_equal(bench->log_count, 41);
    assert_key_order(bench);
    bench_close(bench);
}

static void idle_strands_hold_no_memory(void **state)
{
    (void)state;
    struct bench *bench = bench_open_with(
        1, (struct weir_sched_options){.strands_warm = 4, .strands_max = 4});
    struct weir_class class;
    class_open(bench, 0, &class, true);
    for (uint64_t key = 0; key < 2000; key++) { /* would need 2,000 strands if one lingered */
        post_keyed(bench, 0, &class, key);
        assert_int_equal(turn(bench, 0), 1);
        assert_int_equal(counts(bench, 0).live_strands, 0);
    }
    bench_close(bench);
}

static void one_strand_more_than_the_maximum_is_refused_until_one_is_idle(void **state)
{
    (void)state;
    struct bench *bench = bench_open_with(
        1, (struct weir_sched_options){.strands_warm = 2, .strands_max = 5});
    struct weir_class class;
    class_open(bench, 0, &class, true);
    for (uint64_t key = 0; key < 5; key++)
        post_keyed(bench, 0, &class, key);
    struct event refused = {.bench = bench, .class = &class};
    assert_int_equal(weir_sched_post_keyed(bench->seats[0].sched, &class, 99, &refused.task),
                     -EAGAIN);
    assert_int_equal(weir_sched_post(bench->seats[0].sched, &class, &refused.task), -EAGAIN);
    post_keyed(bench, 0, &class, 3); /* a strand that is there takes mail */
    assert_int_equal(turn(bench, 0), 6);
    assert_int_equal(refused.ran, 0);
    post_keyed(bench, 0, &class, 99);
    bench_close(bench);
}

static void higher_priority_runs_first_but_lower_gets_its_eighth(void **state)
{
    (void)state;
    struct bench *bench = bench_open(1);
    struct weir_class high, low;
    high = (struct weir_class){.execute = bench_execute, .priority = 3};
    low = (struct weir_class){.execute = bench_execute, .priority = 0};
    weir_sched_class_init(bench->seats[0].sched, &high);
    weir_sched_class_init(bench->seats[0].sched, &low);
    for (uint32_t i = 0; i < 100; i++)
        post_keyed(bench, 0, &low, i);
    for (uint32_t i = 0; i < 500; i++)
        post_keyed(bench, 0, &high, i);
    turn(bench, 0);
    uint32_t low_ran = 0;
    for (uint32_t i = 0; i < bench->log_count; i++)
        low_ran += bench->log[i]->class == &low;
    assert_ptr_equal(bench->log[0]->class, &high);
    assert_int_equal(low_ran, 128 / 8);
    bench_close(bench);
}

static void closing_a_class_drops_what_is_pending_and_says_when_it_is_over(void **state)
{
    (void)state;
    struct bench *bench = bench_open(1);
    struct weir_class class = {.execute = bench_execute, .context = bench, .on_closed = note_closed};
    weir_sched_class_init(bench->seats[0].sched, &class);
    struct weir_class other;
    class_open(bench, 0, &other, false);
    for (uint32_t i = 0; i < 300; i++) {
        post_keyed(bench, 0, &class, i % 2);
        post_keyed(bench, 0, &other, i % 2);
    }
    assert_false(weir_sched_class_close(bench->seats[0].sched, &class));
    while (turn(bench, 0) > 0)
        continue;
    assert_int_equal(bench->closed_count, 1);
    assert_int_equal(bench->log_count, 300);
    for (uint32_t i = 0; i < bench->log_count; i++)
        assert_ptr_equal(bench->log[i]->class, &other);
    assert_int_equal(counts(bench, 0).dropped, 300);
    assert_int_equal(counts(bench, 0).queued_tasks, 0);
    assert_true(
        weir_sched_class_close(bench->seats[0].sched, &other)); /* nothing pending: at once */
    bench_close(bench);
}

static void close_own_class(struct event *event)
{
    struct bench *bench = event->bench;
    assert_false(weir_sched_class_close(bench->seats[0].sched, event->class));
    assert_int_equal(bench->closed_count, 0);
}

static void a_handler_may_close_its_own_class_and_does_not_run_again(void **state)
{
    (void)state;
    struct bench *bench = bench_open(1);
    struct weir_class class = {.execute = bench_execute, .context = bench, .on_closed = note_closed};
    weir_sched_class_init(bench->seats[0].sched, &class);
    post(bench, 0, &class)->also = close_own_class;
    for (uint32_t i = 0; i < 10; i++)
        post(bench, 0, &class);
    while (turn(bench, 0) > 0)
        continue;
    assert_int_equal(bench->log_count, 1);
    assert_int_equal(bench->closed_count, 1);
    bench_close(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_that_cannot_work_are_refused),
        cmocka_unit_test(tasks_of_one_key_run_in_the_order_posted),
        cmocka_unit_test(unkeyed_posts_to_a_pinned_class_are_first_in_first_out),
        cmocka_unit_test(unkeyed_posts_to_a_stealable_class_gather_into_strands_of_sixteen),
        cmocka_unit_test(one_key_with_much_mail_does_not_hold_up_the_others),
        cmocka_unit_test(a_task_posted_by_a_task_of_its_strand_runs_after_what_was_queued),
        cmocka_unit_test(a_turn_ends_with_its_task_budget),
        cmocka_unit_test(a_turn_ends_with_its_time_and_keeps_the_rest_in_order),
        cmocka_unit_test(idle_strands_hold_no_memory),
        cmocka_unit_test(one_strand_more_than_the_maximum_is_refused_until_one_is_idle),
        cmocka_unit_test(higher_priority_runs_first_but_lower_gets_its_eighth),
        cmocka_unit_test(closing_a_class_drops_what_is_pending_and_says_when_it_is_over),
        cmocka_unit_test(a_handler_may_close_its_own_class_and_does_not_run_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
