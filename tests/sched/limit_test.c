/*
 * Description: process, client and topic limits together - from all or from none, who is named, the
 * three modes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "sched/limit.h"

enum { CLIENT_A = 11, CLIENT_B = 22, TOPIC_X = 33, TOPIC_Y = 44 };

static struct weir_limit_shared *shared_of(struct weir_limit_rule client,
                                           struct weir_limit_rule topic,
                                           struct weir_limit_rule process)
{
    struct weir_limit_rule rules[WEIR_LIMIT_LEVELS];
    rules[WEIR_LIMIT_CLIENT] = client;
    rules[WEIR_LIMIT_TOPIC] = topic;
    rules[WEIR_LIMIT_PROCESS] = process;
    struct weir_limit_shared *shared = aligned_alloc(WEIR_LINE_PAIR_BYTES, sizeof *shared);
    assert_non_null(shared);
    assert_int_equal(weir_limit_shared_init(shared, rules, 2), 0);
    return shared;
}

static struct weir_limit *limit_with(struct weir_limit_shared *shared, uint32_t keys_max)
{
    struct weir_limit *limit;
    assert_int_equal(weir_limit_open(shared, keys_max, &limit), 0);
    return limit;
}

static struct weir_limit *limit_of(struct weir_limit_shared *shared)
{
    return limit_with(shared, 1024);
}

static void limit_end(struct weir_limit *limit, struct weir_limit_shared *shared)
{
    weir_limit_close(limit);
    free(shared);
}

static const struct weir_limit_rule off = {WEIR_LIMIT_OFF, 0, 0};

static struct weir_limit_rule shape(uint64_t tokens_per_s, uint64_t burst)
{
    return (struct weir_limit_rule){WEIR_LIMIT_SHAPE, tokens_per_s, burst};
}

static struct weir_limit_rule police(uint64_t tokens_per_s, uint64_t burst)
{
    return (struct weir_limit_rule){WEIR_LIMIT_POLICE, tokens_per_s, burst};
}

static void rules_without_a_rate_are_refused_unless_off(void **state)
{
    (void)state;
    struct weir_limit_shared *shared = aligned_alloc(WEIR_LINE_PAIR_BYTES, sizeof *shared);
    struct weir_limit_rule rules[WEIR_LIMIT_LEVELS] = {off, off, {WEIR_LIMIT_SHAPE, 0, 1}};
    assert_int_equal(weir_limit_shared_init(shared, rules, 2), -EINVAL);
    rules[WEIR_LIMIT_PROCESS] = off;
    assert_int_equal(weir_limit_shared_init(shared, rules, 0), -EINVAL);
    assert_int_equal(weir_limit_shared_init(shared, rules, 1), 0);
    struct weir_limit *limit = limit_of(shared);
    assert_int_equal(weir_limit_take(limit, 5, CLIENT_A, TOPIC_X, UINT64_MAX).action,
                     WEIR_LIMIT_ADMIT);
    limit_end(limit, shared);
}

static void a_client_over_its_rate_waits_and_others_do_not(void **state)
{
    (void)state;
    struct weir_limit_shared *shared = shared_of(shape(10, 2), off, off);
    struct weir_limit *limit = limit_of(shared);
    assert_int_equal(weir_limit_take(limit, 7, CLIENT_A, 0, 2).action, WEIR_LIMIT_ADMIT);
    struct weir_limit_verdict verdict = weir_limit_take(limit, 7, CLIENT_A, 0, 1);
    assert_int_equal(verdict.action, WEIR_LIMIT_DELAY);
    assert_int_equal(verdict.level, WEIR_LIMIT_CLIENT);
    assert_int_equal(verdict.wait_ns, 100 * WEIR_MS_NS);
    assert_int_equal(weir_limit_take(limit, 7, CLIENT_B, 0, 2).action, WEIR_LIMIT_ADMIT);
    assert_int_equal(weir_limit_take(limit, 7 + verdict.wait_ns, CLIENT_A, 0, 1).action,
                     WEIR_LIMIT_ADMIT);
    limit_end(limit, shared);
}

static void a_refusal_by_one_level_takes_from_none(void **state)
{
    (void)state;
    struct weir_limit_shared *shared = shared_of(shape(10, 5), shape(10, 1), shape(10, 100));
    struct weir_limit *limit = limit_of(shared);
    assert_int_equal(weir_limit_take(limit, 7, CLIENT_A, TOPIC_X, 1).action, WEIR_LIMIT_ADMIT);
    for (uint32_t i = 0; i < 200; i++) /* the topic is empty: must not drain client or process */
        assert_int_equal(weir_limit_take(limit, 7, CLIENT_A, TOPIC_X, 1).level, WEIR_LIMIT_TOPIC);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(weir_limit_take(limit, 7, CLIENT_A, weir_hash_u64(i, 1), 1).action,
                         WEIR_LIMIT_ADMIT);
    assert_int_equal(weir_limit_take(limit, 7, CLIENT_A, TOPIC_Y, 1).level, WEIR_LIMIT_CLIENT);
    for (uint32_t i = 0; i < 95; i++)
        assert_int_equal(
            weir_limit_take(limit, 7, weir_hash_u64(i, 2), weir_hash_u64(i, 3), 1).action,
            WEIR_LIMIT_ADMIT);
    assert_int_equal(weir_limit_take(limit, 7, CLIENT_B, TOPIC_Y, 1).level, WEIR_LIMIT_PROCESS);
    limit_end(limit, shared);
}

static void the_longest_wait_is_the_one_answered(void **state)
{
    (void)state;
    struct weir_limit_shared *shared = shared_of(shape(10, 1), shape(2, 1), shape(1000, 1));
    struct weir_limit *limit = limit_of(shared);
    weir_limit_take(limit, 7, CLIENT_A, TOPIC_X, 1);
    struct weir_limit_verdict verdict = weir_limit_take(limit, 7, CLIENT_A, TOPIC_X, 1);
    assert_int_equal(verdict.level, WEIR_LIMIT_TOPIC);
    assert_int_equal(verdict.wait_ns, 500 * WEIR_MS_NS);
    verdict = weir_limit_take(limit, 7, CLIENT_A, TOPIC_Y, 1);
    assert_int_equal(verdict.level, WEIR_LIMIT_CLIENT);
    assert_int_equal(verdict.wait_ns, 100 * WEIR_MS_NS);
    limit_end(limit, shared);
}

static void police_rejects_even_where_shape_would_wait_longer(void **state)
{
    (void)state;
    struct weir_limit_shared *shared = shared_of(police(10, 1), shape(1, 1), off);
    struct weir_limit *limit = limit_of(shared);
    weir_limit_take(limit, 7, CLIENT_A, TOPIC_X, 1);
    struct weir_limit_verdict verdict = weir_limit_take(limit, 7, CLIENT_A, TOPIC_X, 1);
    assert_int_equal(verdict.action, WEIR_LIMIT_REJECT);
    assert_int_equal(verdict.level, WEIR_LIMIT_CLIENT);
    assert_int_equal(verdict.wait_ns, WEIR_S_NS);
    limit_end(limit, shared);
}

static void more_than_a_burst_is_rejected_for_ever_by_shape_too(void **state)
{
    (void)state;
    struct weir_limit_shared *shared = shared_of(shape(10, 4), off, off);
    struct weir_limit *limit = limit_of(shared);
    struct weir_limit_verdict verdict = weir_limit_take(limit, 7, CLIENT_A, 0, 5);
    assert_int_equal(verdict.action, WEIR_LIMIT_REJECT);
    assert_int_equal(verdict.wait_ns, UINT64_MAX);
    limit_end(limit, shared);
}

static void observe_counts_and_lets_through(void **state)
{
    (void)state;
    struct weir_limit_rule observed = {WEIR_LIMIT_OBSERVE, 10, 2};
    struct weir_limit_shared *shared = shared_of(observed, shape(10, 5), observed);
    struct weir_limit *limit = limit_of(shared);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(weir_limit_take(limit, 7, CLIENT_A, TOPIC_X, 1).action, WEIR_LIMIT_ADMIT);
    assert_int_equal(weir_limit_take(limit, 7, CLIENT_A, TOPIC_X, 1).action, WEIR_LIMIT_DELAY);
    struct weir_limit_counts counts;
    weir_limit_counts(limit, &counts);
    assert_int_equal(counts.allowed[WEIR_LIMIT_CLIENT], 2);
    assert_int_equal(counts.denied[WEIR_LIMIT_CLIENT], 4);
    assert_int_equal(counts.denied[WEIR_LIMIT_PROCESS], 4);
    assert_int_equal(counts.delayed[WEIR_LIMIT_CLIENT], 0);
    assert_int_equal(counts.allowed[WEIR_LIMIT_TOPIC], 5);
    assert_int_equal(counts.delayed[WEIR_LIMIT_TOPIC], 1);
    limit_end(limit, shared);
}

static void the_process_limit_spans_two_reactors(void **state)
{
    (void)state;
    struct weir_limit_shared *shared = shared_of(off, off, police(1000, 80));
    struct weir_limit *limits[2] = {limit_of(shared), limit_of(shared)};
    uint32_t admitted = 0;
    for (uint32_t i = 0; i < 400; i++)
        admitted += weir_limit_take(limits[i % 2], 7, CLIENT_A, TOPIC_X, 1).action ==
                    WEIR_LIMIT_ADMIT;
    assert_int_equal(admitted, 80); /* at one instant leases add nothing */
    weir_limit_tick(limits[0], 7, true);
    weir_limit_close(limits[1]);
    limit_end(limits[0], shared);
}

static void time_that_goes_back_gives_nothing_away(void **state)
{
    (void)state;
    struct weir_limit_shared *shared = shared_of(shape(3, 2), off, off);
    struct weir_limit *limit = limit_of(shared);
    assert_int_equal(weir_limit_take(limit, WEIR_S_NS, CLIENT_A, 0, 1).wait_ns, 0);
    assert_int_equal(weir_limit_take(limit, WEIR_S_NS / 2, CLIENT_A, 0, 1).wait_ns, 0);
    assert_int_equal(weir_limit_take(limit, WEIR_S_NS / 2, CLIENT_A, 0, 1).wait_ns, 333333334);
    limit_end(limit, shared);
}

/* More clients than the table has room for: all still limited, each by its own or by the shared
 * bucket. */
static void a_flood_of_clients_is_still_limited(void **state)
{
    (void)state;
    struct weir_limit_shared *shared = shared_of(police(1, 1), off, off);
    struct weir_limit *limit = limit_with(shared, 64);
    uint32_t admitted = 0;
    for (uint64_t i = 0; i < 10000; i++)
        admitted += weir_limit_take(limit, 7, weir_hash_u64(i, 3), 0, 1).action == WEIR_LIMIT_ADMIT;
    assert_int_equal(admitted, 64 + 1);
    struct weir_limit_counts counts;
    weir_limit_counts(limit, &counts);
    assert_int_equal(counts.overflowed[WEIR_LIMIT_CLIENT], 10000 - 64);
    limit_end(limit, shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_without_a_rate_are_refused_unless_off),
        cmocka_unit_test(a_client_over_its_rate_waits_and_others_do_not),
        cmocka_unit_test(a_refusal_by_one_level_takes_from_none),
        cmocka_unit_test(the_longest_wait_is_the_one_answered),
        cmocka_unit_test(police_rejects_even_where_shape_would_wait_longer),
        cmocka_unit_test(more_than_a_burst_is_rejected_for_ever_by_shape_too),
        cmocka_unit_test(observe_counts_and_lets_through),
        cmocka_unit_test(the_process_limit_spans_two_reactors),
        cmocka_unit_test(time_that_goes_back_gives_nothing_away),
        cmocka_unit_test(a_flood_of_clients_is_still_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
