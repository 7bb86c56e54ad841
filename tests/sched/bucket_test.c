/*
 * Description: the token bucket - known vectors, then random arrivals at many rates against the
 * promise "in any span of d no more than burst + rate * d", and against a bucket in exact rational
 * arithmetic.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "sched/bucket.h"

static uint64_t chance(uint64_t *seed)
{
    *seed += 0x9e3779b97f4a7c15u;
    return weir_hash_u64(*seed, 1);
}

static struct weir_bucket_rate rate_of(uint64_t tokens_per_s, uint64_t burst_tokens)
{
    struct weir_bucket_rate rate;
    assert_int_equal(weir_bucket_rate_init(&rate, tokens_per_s, burst_tokens), 0);
    return rate;
}

static void rates_that_mean_nothing_are_refused(void **state)
{
    (void)state;
    struct weir_bucket_rate rate;
    assert_int_equal(weir_bucket_rate_init(&rate, 0, 1), -EINVAL);
    assert_int_equal(weir_bucket_rate_init(&rate, 1, 0), -EINVAL);
    assert_int_equal(weir_bucket_rate_init(&rate, UINT64_MAX, 1), -EINVAL);
    assert_int_equal(weir_bucket_rate_init(&rate, 1, UINT64_MAX), -EINVAL);
    assert_int_equal(weir_bucket_rate_init(&rate, 1, 9300000000u), -EINVAL); /* 294 years */
    assert_int_equal(weir_bucket_rate_init(&rate, 1, 9200000000u), 0);       /* 291 years */
    assert_int_equal(weir_bucket_rate_init(&rate, 3, 9200000000u), 0);
    assert_int_equal(weir_bucket_rate_init(&rate, WEIR_S_NS, UINT32_MAX), 0);
}

static void three_a_second_with_a_burst_of_two_as_computed_by_hand(void **state)
{
    (void)state;
    static const struct {
        uint64_t now_ns, tokens, wait_ns;
    } steps[] = {
        {0, 1, 0},
        {0, 1, 0},
        {0, 1, 333333334},
        {333333333, 1, 1},
        {333333334, 1, 0},
        {666666667, 1, 0},
        {1000000000, 2, 333333334},
        {10000000000, 2, 0},
        {10000000000, 1, 333333334},
    };
    struct weir_bucket_rate rate = rate_of(3, 2);
    struct weir_bucket bucket = {0};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        assert_int_equal(weir_bucket_wait(&bucket, &rate, steps[i].now_ns, steps[i].tokens),
                         steps[i].wait_ns);
        assert_int_equal(weir_bucket_take(&bucket, &rate, steps[i].now_ns, steps[i].tokens),
                         steps[i].wait_ns);
    }
}

static void a_clock_that_goes_back_gives_nothing_away(void **state)
{
    (void)state;
    static const struct {
        uint64_t now_ns, wait_ns;
    } steps[] = {
        {1000000000, 0}, {500000000, 0}, {1000000000, 333333334}, {1333333333, 1}, {1333333334, 0}};
    struct weir_bucket_rate rate = rate_of(3, 2);
    struct weir_bucket bucket = {0};
    uint64_t seen_ns = 0;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        uint64_t now_ns = weir_bucket_now(&seen_ns, steps[i].now_ns);
        assert_int_equal(weir_bucket_take(&bucket, &rate, now_ns, 1), steps[i].wait_ns);
    }
    /* And without weir_bucket_now it errs towards waiting. */
    struct weir_bucket bare = {0};
    assert_int_equal(weir_bucket_take(&bare, &rate, WEIR_S_NS, 2), 0);
    assert_true(weir_bucket_take(&bare, &rate, WEIR_S_NS / 2, 1) >= 333333334);
}

static void nothing_is_free_and_more_than_the_burst_never_passes(void **state)
{
    (void)state;
    struct weir_bucket_rate rate = rate_of(1000, 10);
    struct weir_bucket bucket = {0};
    assert_int_equal(weir_bucket_take(&bucket, &rate, 5, 11), UINT64_MAX);
    assert_int_equal(weir_bucket_take(&bucket, &rate, 5, UINT64_MAX), UINT64_MAX);
    assert_int_equal(weir_bucket_take(&bucket, &rate, 5, 10), 0);
    assert_int_equal(weir_bucket_take(&bucket, &rate, 5, 0), 0); /* no tokens always pass */
    assert_int_equal(weir_bucket_take(&bucket, &rate, 5, 1), WEIR_MS_NS);
}

static void a_cleared_bucket_is_full_at_any_time_of_any_clock(void **state)
{
    (void)state;
    static const uint64_t clocks_ns[] = {0,
                                         1,
                                         1u << 31,
                                         (uint64_t)1 << 57,
                                         (uint64_t)1 << 58,
                                         1764000000000000000u,
                                         UINT64_MAX / 3,
                                         UINT64_MAX / 2,
                                         UINT64_MAX - 5 * WEIR_S_NS};
    struct weir_bucket_rate rate = rate_of(3, 2);
    for (size_t i = 0; i < sizeof clocks_ns / sizeof clocks_ns[0]; i++) {
        struct weir_bucket bucket = {0};
        uint64_t now_ns = clocks_ns[i];
        assert_int_equal(weir_bucket_left(&bucket, &rate, now_ns), 2);
        assert_int_equal(weir_bucket_full_in(&bucket, &rate, now_ns), 0);
        assert_int_equal(weir_bucket_take(&bucket, &rate, now_ns, 2), 0);
        assert_int_equal(weir_bucket_take(&bucket, &rate, now_ns, 1), 333333334);
        assert_int_equal(weir_bucket_take(&bucket, &rate, now_ns + 333333333, 1), 1);
        assert_int_equal(weir_bucket_take(&bucket, &rate, now_ns + 333333334, 1), 0);
        assert_int_equal(weir_bucket_full_in(&bucket, &rate, now_ns + 333333334), 666666667);
    }
}

static void a_burst_of_centuries_works_in_whole_nanoseconds(void **state)
{
    (void)state;
    struct weir_bucket_rate rate = rate_of(1, 9000000000u);
    struct weir_bucket bucket = {0};
    assert_int_equal(weir_bucket_take(&bucket, &rate, 77, 9000000000u), 0);
    assert_int_equal(weir_bucket_take(&bucket, &rate, 77, 1), WEIR_S_NS);
    assert_int_equal(weir_bucket_take(&bucket, &rate, 77 + WEIR_S_NS, 1), 0);
}

static void a_charge_is_always_taken_and_says_how_long_to_rest(void **state)
{
    (void)state;
    struct weir_bucket_rate rate = rate_of(1000, 10);
    struct weir_bucket bucket = {0};
    assert_int_equal(weir_bucket_charge(&bucket, &rate, 0, 4), 0);
    assert_int_equal(weir_bucket_charge(&bucket, &rate, 0, 6), 0);
    assert_int_equal(weir_bucket_charge(&bucket, &rate, 0, 5000), 5 * WEIR_S_NS);
    assert_int_equal(weir_bucket_left(&bucket, &rate, 0), 0);
    assert_int_equal(weir_bucket_take(&bucket, &rate, 0, 1), 5 * WEIR_S_NS + WEIR_MS_NS);
    assert_int_equal(weir_bucket_take(&bucket, &rate, 5 * WEIR_S_NS + WEIR_MS_NS, 1), 0);
    /* A debt beyond what can be told apart stops growing. */
    uint64_t rest_ns = weir_bucket_charge(&bucket, &rate, 10, UINT64_MAX);
    assert_true(rest_ns > 3600 * 24 * 365 * WEIR_S_NS);
    assert_true(weir_bucket_charge(&bucket, &rate, 10, UINT64_MAX) >= rest_ns);
}

static void a_refund_undoes_a_take_and_never_more_than_fills(void **state)
{
    (void)state;
    struct weir_bucket_rate rate = rate_of(7, 5);
    struct weir_bucket bucket = {0};
    weir_bucket_refund(&bucket, &rate, 3);
    assert_int_equal(weir_bucket_left(&bucket, &rate, 100), 5);
    assert_int_equal(weir_bucket_take(&bucket, &rate, 100, 5), 0);
    weir_bucket_refund(&bucket, &rate, 2);
    assert_int_equal(weir_bucket_left(&bucket, &rate, 100), 2);
    weir_bucket_refund(&bucket, &rate, 5);
    assert_int_equal(weir_bucket_left(&bucket, &rate, 100), 5);
    assert_int_equal(weir_bucket_take(&bucket, &rate, 100, 5), 0);
    assert_true(weir_bucket_take(&bucket, &rate, 100, 1) > 0);
}

/* The exact bucket: time in units of 1/rate ns, so one token is 10^9 units. */
struct exact {
    unsigned __int128 tat;
};

static unsigned __int128 exact_over(struct exact *exact, uint64_t per_s, uint64_t burst,
                                    uint64_t now_ns, uint64_t tokens)
{
    unsigned __int128 now = (unsigned __int128)now_ns * per_s;
    unsigned __int128 after = (exact->tat > now ? exact->tat : now) +
                              (unsigned __int128)tokens * WEIR_S_NS;
    unsigned __int128 limit = now + (unsigned __int128)burst * WEIR_S_NS;
    if (after > limit)
        return after - limit;
    exact->tat = after;
    return 0;
}

/* Where 10^9 divides by the rate there is nothing to round: it must agree with the exact bucket,
 * always. */
static void rates_that_divide_a_second_agree_with_exact_arithmetic(void **state)
{
    (void)state;
    static const uint64_t rates[] = {1,     2,       5,        10,        1000,
                                     15625, 1000000, 10000000, 100000000, 1000000000};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        uint64_t seed = i + 1, now_ns = chance(&seed) >> 8, burst = 1 + chance(&seed) % 50;
        struct weir_bucket_rate rate = rate_of(rates[i], burst);
        struct weir_bucket bucket = {0};
        struct exact exact = {0};
        for (uint32_t step = 0; step < 20000; step++) {
            now_ns += chance(&seed) % (3 * WEIR_S_NS / rates[i] + 2);
            uint64_t tokens = chance(&seed) % 4 == 0 ? chance(&seed) % (burst + 1) : 1;
            unsigned __int128 over = exact_over(&exact, rates[i], burst, now_ns, tokens);
            uint64_t wait_ns = (uint64_t)((over + rates[i] - 1) / rates[i]);
            if (weir_bucket_take(&bucket, &rate, now_ns, tokens) != wait_ns)
                fail_msg("rate %u seed %u step %u", (unsigned)rates[i], (unsigned)i + 1, step);
        }
    }
}

/* admitted * 10^9 <= burst * 10^9 + rate * d, from the start of every span: as one running
 * maximum, since the sum of (tokens - rate * d) over a span is a difference of prefix sums. Above
 * 10^7/s one whole ns is allowed for. */
static void no_span_admits_more_than_burst_and_rate(void **state)
{
    (void)state;
    for (uint64_t run = 1; run <= 200; run++) {
        uint64_t seed = run;
        uint64_t per_s = 1 + (chance(&seed) >> (34 + chance(&seed) % 30));
        uint64_t burst = 1 + chance(&seed) % 1000;
        struct weir_bucket_rate rate = rate_of(per_s, burst);
        struct weir_bucket bucket = {0};
        __int128 now_ns = 0, admitted = 0, lowest = 0;
        __int128 slack = per_s > 10000000 ? (__int128)per_s : 0;
        for (uint32_t step = 0; step < 5000; step++) {
            uint64_t gap = 1 + 2 * WEIR_S_NS / per_s;
            now_ns += (__int128)(chance(&seed) % 64 == 0 ? chance(&seed) % (gap * burst)
                                                         : chance(&seed) % gap);
            uint64_t tokens = 1 + chance(&seed) % (chance(&seed) % 8 == 0 ? burst : 1);
            __int128 before = admitted * (__int128)WEIR_S_NS - now_ns * (__int128)per_s;
            lowest = before < lowest ? before : lowest;
            if (weir_bucket_take(&bucket, &rate, (uint64_t)now_ns, tokens) != 0)
                continue;
            admitted += tokens;
            __int128 span = before + (__int128)tokens * (__int128)WEIR_S_NS - lowest;
            if (span > (__int128)burst * (__int128)WEIR_S_NS + slack)
                fail_msg("seed %u step %u: more than burst + rate * d", (unsigned)run, step);
        }
    }
}

/* And not much less: a source that always asks gets its rate, within the header's bound. */
static void a_greedy_source_gets_its_rate(void **state)
{
    (void)state;
    static const uint64_t rates[] = {3, 7, 999, 30001, 777777, 3000001, 9999991};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct weir_bucket_rate rate = rate_of(rates[i], 2);
        struct weir_bucket bucket = {0};
        uint64_t now_ns = 0, admitted = 0;
        while (admitted < 100000) {
            uint64_t wait_ns = weir_bucket_take(&bucket, &rate, now_ns, 1);
            admitted += wait_ns == 0;
            now_ns += wait_ns;
        }
        double ideal_ns = (double)(admitted - 2) * 1e9 / (double)rates[i];
        assert_true((double)now_ns >= ideal_ns);
        assert_true((double)now_ns <= ideal_ns * 1.00017 + 1);
    }
}

static void the_wait_is_exactly_as_long_as_said(void **state)
{
    (void)state;
    for (uint64_t run = 1; run <= 2000; run++) {
        uint64_t seed = run, now_ns = chance(&seed) >> 20;
        struct weir_bucket_rate rate = rate_of(1 + chance(&seed) % 5000000, 1 + chance(&seed) % 20);
        struct weir_bucket bucket = {0};
        uint64_t tokens = 1 + chance(&seed) % rate.burst_tokens;
        uint64_t wait_ns = 0;
        for (uint32_t i = 0; i < 50 && wait_ns == 0; i++)
            wait_ns = weir_bucket_take(&bucket, &rate, now_ns, tokens);
        assert_true(wait_ns > 0);
        assert_true(weir_bucket_wait(&bucket, &rate, now_ns + wait_ns - 1, tokens) == 1);
        assert_int_equal(weir_bucket_take(&bucket, &rate, now_ns + wait_ns, tokens), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_that_mean_nothing_are_refused),
        cmocka_unit_test(three_a_second_with_a_burst_of_two_as_computed_by_hand),
        cmocka_unit_test(a_clock_that_goes_back_gives_nothing_away),
        cmocka_unit_test(nothing_is_free_and_more_than_the_burst_never_passes),
        cmocka_unit_test(a_cleared_bucket_is_full_at_any_time_of_any_clock),
        cmocka_unit_test(a_burst_of_centuries_works_in_whole_nanoseconds),
        cmocka_unit_test(a_charge_is_always_taken_and_says_how_long_to_rest),
        cmocka_unit_test(a_refund_undoes_a_take_and_never_more_than_fills),
        cmocka_unit_test(rates_that_divide_a_second_agree_with_exact_arithmetic),
        cmocka_unit_test(no_span_admits_more_than_burst_and_rate),
        cmocka_unit_test(a_greedy_source_gets_its_rate),
        cmocka_unit_test(the_wait_is_exactly_as_long_as_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
