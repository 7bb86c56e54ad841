/* tests/runtime/timer_test.c - the corners of the public timer; its life under disturbance is in timer_sim.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <weir/weir.h>

static struct weir_runtime *runtime;
static struct weir_reactor *reactor;

static int set_up(void **state)
{
    (void)state;
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = 1;
    assert_int_equal(weir_runtime_open(&options, &runtime), 0);
    reactor = weir_runtime_reactor(runtime, 0);
    return weir_reactor_run_once(reactor, 0) < 0;
}

static int tear_down(void **state)
{
    (void)state;
    weir_runtime_close(runtime);
    return 0;
}

static void count(struct weir_reactor *on, struct weir_timer *timer, void *context)
{
    (void)on;
    (void)timer;
    ++*(int *)context;
}

/* Fires after all that was set before it: what is due sooner has fired by then. */
static void turns_until_later(void)
{
    struct weir_timer later = {0};
    int fired = 0;
    weir_timer_set(reactor, &later, 1000000, count, &fired);
    while (fired == 0)
        assert_true(weir_reactor_run_once(reactor, UINT64_MAX) >= 0);
}

static void the_longest_delay_is_never(void **state)
{
    (void)state;
    struct weir_timer never = {0};
    int fired = 0;
    weir_timer_set(reactor, &never, UINT64_MAX, count, &fired);
    turns_until_later();
    assert_int_equal(fired, 0);
    assert_true(weir_timer_cancel(reactor, &never));
}

static void the_longest_interval_is_never(void **state)
{
    (void)state;
    struct weir_timer never = {0};
    int fired = 0;
    weir_timer_every(reactor, &never, UINT64_MAX, count, &fired);
    turns_until_later();
    assert_int_equal(fired, 0);
    assert_true(weir_timer_cancel(reactor, &never));
}

static void set_again(struct weir_reactor *on, struct weir_timer *timer, void *context)
{
    int *left = context;
    if (--*left > 0)
        weir_timer_set(on, timer, 0, set_again, context);
}

static void a_timer_may_be_set_again_from_its_own_call(void **state)
{
    (void)state;
    struct weir_timer timer = {0};
    int left = 10;
    weir_timer_set(reactor, &timer, 0, set_again, &left);
    while (left > 0)
        assert_true(weir_reactor_run_once(reactor, UINT64_MAX) >= 0);
    assert_false(weir_timer_cancel(reactor, &timer));
}

static void stop_at_three(struct weir_reactor *on, struct weir_timer *timer, void *context)
{
    if (++*(int *)context == 3)
        assert_true(weir_timer_cancel(on, timer));
}

static void a_beat_may_be_cancelled_from_its_own_call(void **state)
{
    (void)state;
    struct weir_timer timer = {0};
    int fired = 0;
    weir_timer_every(reactor, &timer, 1000, stop_at_three, &fired);
    while (fired < 3)
        assert_true(weir_reactor_run_once(reactor, UINT64_MAX) >= 0);
    turns_until_later();
    assert_int_equal(fired, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_longest_delay_is_never, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_longest_interval_is_never, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_timer_may_be_set_again_from_its_own_call, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_beat_may_be_cancelled_from_its_own_call, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
