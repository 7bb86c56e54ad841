/*
 * Description: the timing wheel - single cases, then random arming, moving, cancelling and jumps of
 * time against a plain array of deadlines. A failure prints its seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "sched/wheel.h"

enum { TIMERS = 200 };

struct alarm {
    struct weir_wheel_timer timer;
    uint32_t fired;
    uint64_t fired_ns;
    struct weir_wheel *wheel;
    struct weir_wheel_timer *cancel;
    uint64_t again_ns; /* armed anew by its callback, at this deadline */
};

static uint64_t chance(uint64_t *seed)
{
    *seed += 0x9e3779b97f4a7c15u;
    return weir_hash_u64(*seed, 1);
}

static void ring(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    struct alarm *alarm = WEIR_CONTAINER(timer, struct alarm, timer);
    alarm->fired++;
    alarm->fired_ns = now_ns;
    if (alarm->cancel != NULL)
        weir_wheel_cancel(alarm->wheel, alarm->cancel);
    if (alarm->again_ns != 0)
        weir_wheel_arm(alarm->wheel, timer, alarm->again_ns);
}

static void setup(struct weir_wheel *wheel, uint64_t now_ns, struct alarm *alarms, uint32_t count)
{
    weir_wheel_init(wheel, now_ns);
    for (uint32_t i = 0; i < count; i++) {
        alarms[i] = (struct alarm){.wheel = wheel};
        weir_wheel_timer_init(&alarms[i].timer, ring);
    }
}

static void a_timer_fires_once_not_early_and_at_most_a_tick_late(void **state)
{
    (void)state;
    struct weir_wheel wheel;
    struct alarm alarm;
    setup(&wheel, 12345, &alarm, 1);
    weir_wheel_arm(&wheel, &alarm.timer, 5 * WEIR_MS_NS);
    assert_true(weir_wheel_armed(&alarm.timer));
    assert_int_equal(weir_wheel_expire(&wheel, 5 * WEIR_MS_NS - 1, 10), 0);
    assert_int_equal(weir_wheel_expire(&wheel, 5 * WEIR_MS_NS + WEIR_WHEEL_TICK_NS, 10), 1);
    assert_false(weir_wheel_armed(&alarm.timer));
    assert_int_equal(weir_wheel_expire(&wheel, WEIR_S_NS, 10), 0);
    assert_int_equal(alarm.fired, 1);
    assert_int_equal(wheel.armed_count, 0);
}

static void a_deadline_in_the_past_fires_at_the_next_expiry(void **state)
{
    (void)state;
    struct weir_wheel wheel;
    struct alarm alarm;
    setup(&wheel, 0, &alarm, 1);
    weir_wheel_expire(&wheel, WEIR_S_NS + 17, 10);
    weir_wheel_arm(&wheel, &alarm.timer, WEIR_S_NS + 3);
    assert_true(weir_wheel_next_ns(&wheel) <= WEIR_S_NS + 17);
    assert_int_equal(weir_wheel_expire(&wheel, WEIR_S_NS + 17, 10), 1); /* same instant, same tick */
}

static void a_cancelled_timer_does_not_fire(void **state)
{
    (void)state;
    struct weir_wheel wheel;
    struct alarm alarms[2];
    setup(&wheel, 0, alarms, 2);
    assert_false(weir_wheel_cancel(&wheel, &alarms[0].timer));
    weir_wheel_arm(&wheel, &alarms[0].timer, WEIR_S_NS);
    weir_wheel_arm(&wheel, &alarms[1].timer, WEIR_S_NS);
    assert_true(weir_wheel_cancel(&wheel, &alarms[0].timer));
    assert_int_equal(weir_wheel_expire(&wheel, 2 * WEIR_S_NS, 10), 1);
    assert_int_equal(alarms[0].fired, 0);
    assert_int_equal(weir_wheel_next_ns(&wheel), UINT64_MAX);
}

static void a_callback_may_cancel_one_that_is_due_at_the_same_time(void **state)
{
    (void)state;
    struct weir_wheel wheel;
    struct alarm alarms[2];
    setup(&wheel, 0, alarms, 2);
    alarms[0].cancel = &alarms[1].timer;
    weir_wheel_arm(&wheel, &alarms[0].timer, WEIR_MS_NS);
    weir_wheel_arm(&wheel, &alarms[1].timer, WEIR_MS_NS);
    assert_int_equal(weir_wheel_expire(&wheel, WEIR_S_NS, 10), 1);
    assert_int_equal(alarms[1].fired, 0);
    assert_int_equal(wheel.armed_count, 0);
}

static void a_callback_that_arms_itself_in_the_past_does_not_hold_the_turn(void **state)
{
    (void)state;
    struct weir_wheel wheel;
    struct alarm alarm;
    setup(&wheel, 0, &alarm, 1);
    alarm.again_ns = 1;
    weir_wheel_arm(&wheel, &alarm.timer, 1);
    assert_int_equal(weir_wheel_expire(&wheel, WEIR_S_NS, 100), 1);
    assert_int_equal(weir_wheel_expire(&wheel, WEIR_S_NS, 100), 1);
    assert_true(weir_wheel_armed(&alarm.timer));
}

static void a_budget_leaves_the_rest_due_and_first(void **state)
{
    (void)state;
    struct weir_wheel wheel;
    struct alarm alarms[5];
    setup(&wheel, 0, alarms, 5);
    for (uint32_t i = 0; i < 5; i++)
        weir_wheel_arm(&wheel, &alarms[i].timer, WEIR_S_NS * (i + 1));
    alarms[0].again_ns = 1;
    assert_int_equal(weir_wheel_expire(&wheel, 10 * WEIR_S_NS, 3), 3);
    assert_int_equal(alarms[2].fired, 1);
    assert_int_equal(alarms[3].fired, 0);
    assert_true(weir_wheel_next_ns(&wheel) <= 10 * WEIR_S_NS);
    assert_int_equal(weir_wheel_expire(&wheel, 10 * WEIR_S_NS, 2), 2);
    assert_int_equal(alarms[4].fired, 1);
    assert_int_equal(alarms[0].fired, 1);
}

static void the_end_of_time_can_be_armed(void **state)
{
    (void)state;
    struct weir_wheel wheel;
    struct alarm alarm;
    setup(&wheel, 0, &alarm, 1);
    weir_wheel_arm(&wheel, &alarm.timer, UINT64_MAX);
    assert_int_equal(weir_wheel_expire(&wheel, (uint64_t)1 << 63, 10), 0);
    assert_int_equal(weir_wheel_expire(&wheel, UINT64_MAX - WEIR_S_NS, 10), 0);
    assert_true(weir_wheel_next_ns(&wheel) >= UINT64_MAX - WEIR_S_NS);
    setup(&wheel, UINT64_MAX - 5 * WEIR_S_NS, &alarm, 1);
    weir_wheel_arm(&wheel, &alarm.timer, UINT64_MAX - 4 * WEIR_S_NS);
    assert_int_equal(weir_wheel_expire(&wheel, UINT64_MAX - 3 * WEIR_S_NS, 10), 1);
}

/* The reference: what is armed, and for when. */
struct reference {
    uint64_t deadline_ns[TIMERS];
    bool armed[TIMERS];
    uint32_t fired[TIMERS];
};

static uint64_t random_span(uint64_t *seed)
{
    return chance(seed) >> (20 + chance(seed) % 44); /* of any size, up to 5 hours */
}

/* Everything at least a tick old fired, nothing that is not due did. */
static void compare(const struct weir_wheel *wheel, struct reference *reference,
                    const struct alarm *alarms, uint64_t now_ns, uint64_t seed)
{
    uint64_t earliest_ns = UINT64_MAX;
    uint32_t armed = 0;
    for (uint32_t i = 0; i < TIMERS; i++) {
        bool fired = alarms[i].fired != reference->fired[i];
        if (fired) {
            if (!reference->armed[i] || reference->deadline_ns[i] > now_ns ||
                alarms[i].fired != reference->fired[i] + 1)
                fail_msg("seed %u: timer %u fired early or twice", (unsigned)seed, i);
            reference->armed[i] = false;
            reference->fired[i]++;
        }
        if (!reference->armed[i])
            continue;
        armed++;
        if (now_ns - reference->deadline_ns[i] < (uint64_t)1 << 63 &&
            now_ns - reference->deadline_ns[i] >= WEIR_WHEEL_TICK_NS)
            fail_msg("seed %u: timer %u is more than a tick late", (unsigned)seed, i);
        if (reference->deadline_ns[i] < earliest_ns)
            earliest_ns = reference->deadline_ns[i];
    }
    assert_int_equal(wheel->armed_count, armed);
    uint64_t next_ns = weir_wheel_next_ns(wheel);
    if (armed == 0)
        assert_int_equal(next_ns, UINT64_MAX);
    else if (next_ns > earliest_ns + WEIR_WHEEL_TICK_NS)
        fail_msg("seed %u: next_ns is behind a deadline", (unsigned)seed);
}

static void random_timers_fire_as_a_sorted_list_says(void **state)
{
    (void)state;
    for (uint64_t run = 1; run <= 150; run++) {
        uint64_t seed = run;
        struct weir_wheel wheel;
        static struct alarm alarms[TIMERS];
        struct reference reference = {0};
        uint64_t now_ns = chance(&seed) >> (8 + chance(&seed) % 40);
        setup(&wheel, now_ns, alarms, TIMERS);
        for (uint32_t step = 0; step < 400; step++) {
            uint32_t i = (uint32_t)(chance(&seed) % TIMERS);
            if (chance(&seed) % 3 != 0) {
                reference.deadline_ns[i] = now_ns + random_span(&seed);
                reference.armed[i] = true;
                weir_wheel_arm(&wheel, &alarms[i].timer, reference.deadline_ns[i]);
            } else {
                assert_int_equal(weir_wheel_cancel(&wheel, &alarms[i].timer), reference.armed[i]);
                reference.armed[i] = false;
            }
            if (chance(&seed) % 4 == 0) {
                now_ns += random_span(&seed);
                weir_wheel_expire(&wheel, now_ns, UINT32_MAX);
                compare(&wheel, &reference, alarms, now_ns, run);
            }
        }
    }
}

/* A reactor that sleeps until next_ns each time must not spin: each wake fires or moves something
 * down. */
static void sleeping_until_next_reaches_a_far_timer_in_a_few_steps(void **state)
{
    (void)state;
    for (uint64_t run = 1; run <= 200; run++) {
        uint64_t seed = run;
        struct weir_wheel wheel;
        struct alarm alarm;
        uint64_t now_ns = chance(&seed) >> 10;
        setup(&wheel, now_ns, &alarm, 1);
        uint64_t deadline_ns = now_ns + random_span(&seed);
        weir_wheel_arm(&wheel, &alarm.timer, deadline_ns);
        uint32_t steps = 0;
        while (alarm.fired == 0) {
            uint64_t next_ns = weir_wheel_next_ns(&wheel);
            now_ns = next_ns > now_ns ? next_ns : now_ns;
            weir_wheel_expire(&wheel, now_ns, 10);
            steps++;
            assert_true(steps <= WEIR_WHEEL_LEVELS + 1);
        }
        assert_true(alarm.fired_ns >= deadline_ns);
        assert_true(alarm.fired_ns - deadline_ns < WEIR_WHEEL_TICK_NS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_fires_once_not_early_and_at_most_a_tick_late),
        cmocka_unit_test(a_deadline_in_the_past_fires_at_the_next_expiry),
        cmocka_unit_test(a_cancelled_timer_does_not_fire),
        cmocka_unit_test(a_callback_may_cancel_one_that_is_due_at_the_same_time),
        cmocka_unit_test(a_callback_that_arms_itself_in_the_past_does_not_hold_the_turn),
        cmocka_unit_test(a_budget_leaves_the_rest_due_and_first),
        cmocka_unit_test(the_end_of_time_can_be_armed),
        cmocka_unit_test(random_timers_fire_as_a_sorted_list_says),
        cmocka_unit_test(sleeping_until_next_reaches_a_far_timer_in_a_few_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
