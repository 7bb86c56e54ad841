/*
 * Description: a limit that spans reactors - chunks, giving back, remembered refusals; then the
 * error bound, with random reactors on one thread and with two threads that hammer one pool.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "sched/lease.h"

static uint64_t chance(uint64_t *seed)
{
    *seed += 0x9e3779b97f4a7c15u;
    return weir_hash_u64(*seed, 1);
}

static struct weir_lease_terms terms_of(uint64_t tokens_per_s, uint64_t burst_tokens,
                                        uint32_t reactors)
{
    struct weir_lease_terms terms;
    assert_int_equal(weir_lease_terms_init(&terms, tokens_per_s, burst_tokens, reactors), 0);
    return terms;
}

static uint64_t pool_left(struct weir_lease_pool *pool, const struct weir_lease_terms *terms,
                          uint64_t now_ns)
{
    struct weir_bucket bucket = {.tat = weir_load(&pool->tat, relaxed)};
    return weir_bucket_left(&bucket, &terms->rate, now_ns);
}

static void a_chunk_is_a_millisecond_of_the_rate_within_bounds(void **state)
{
    (void)state;
    struct weir_lease_terms terms;
    assert_int_equal(terms_of(100000, 100000, 2).chunk_tokens, 100);
    assert_int_equal(terms_of(10, 1000, 2).chunk_tokens, 1);
    assert_int_equal(terms_of(1000000, 80, 2).chunk_tokens, 10); /* burst / (4 * reactors) */
    assert_int_equal(terms_of(1000000, 7, 2).chunk_tokens, 0);   /* too small to lend from */
    assert_int_equal(weir_lease_terms_init(&terms, 10, 10, 0), -EINVAL);
    assert_int_equal(weir_lease_terms_init(&terms, 0, 10, 1), -EINVAL);
}

static void one_borrow_pays_for_a_chunk_of_takes(void **state)
{
    (void)state;
    struct weir_lease_terms terms = terms_of(100000, 100000, 2);
    struct weir_lease_pool pool = {0};
    struct weir_lease lease = {0};
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(weir_lease_take(&lease, &terms, &pool, 5, 1), 0);
    assert_int_equal(lease.borrows, 10);
    assert_int_equal(pool_left(&pool, &terms, 5), 99000);
}

static void what_is_not_spent_goes_back(void **state)
{
    (void)state;
    struct weir_lease_terms terms = terms_of(100000, 100000, 2);
    struct weir_lease_pool pool = {0};
    struct weir_lease lease = {0};
    uint64_t now_ns = WEIR_S_NS;
    assert_int_equal(weir_lease_take(&lease, &terms, &pool, now_ns, 1), 0);
    assert_int_equal(pool_left(&pool, &terms, now_ns), 99900);
    weir_lease_give_back(&lease, &terms, &pool);
    assert_int_equal(pool_left(&pool, &terms, now_ns), 99999);
    assert_int_equal(weir_lease_take(&lease, &terms, &pool, now_ns, 1), 0);
    weir_lease_tick(&lease, &terms, &pool, now_ns + WEIR_LEASE_NS - 1);
    assert_int_equal(lease.left_tokens, 99);
    weir_lease_tick(&lease, &terms, &pool, now_ns + WEIR_LEASE_NS);
    assert_int_equal(lease.left_tokens, 0);
}

static void a_pool_too_low_for_a_chunk_still_gives_what_is_asked(void **state)
{
    (void)state;
    struct weir_lease_terms terms = terms_of(1000000, 80, 2);
    struct weir_lease_pool pool = {0};
    struct weir_lease a = {0}, b = {0};
    assert_int_equal(weir_lease_take(&a, &terms, &pool, 0, 75), 0);
    assert_int_equal(weir_lease_take(&b, &terms, &pool, 0, 1), 0);
    assert_int_equal(b.left_tokens, 0);
    assert_int_equal(weir_lease_take(&b, &terms, &pool, 0, 81), UINT64_MAX);
    assert_int_equal(weir_lease_wait(&b, &terms, &pool, 0, 81), UINT64_MAX);
    assert_int_equal(weir_lease_wait(&b, &terms, &pool, 0, 5), WEIR_US_NS);
    assert_int_equal(weir_lease_take(&b, &terms, &pool, 0, 5), WEIR_US_NS);
    assert_int_equal(weir_lease_take(&b, &terms, &pool, WEIR_US_NS, 5), 0);
}

static void a_refusal_is_remembered_but_for_smaller_takes(void **state)
{
    (void)state;
    struct weir_lease_terms terms = terms_of(1000, 8, 1);
    struct weir_lease_pool pool = {0};
    struct weir_lease lease = {0}, other = {0};
    assert_int_equal(weir_lease_take(&other, &terms, &pool, 0, 7), 0);
    weir_lease_give_back(&other, &terms, &pool);
    assert_int_equal(weir_lease_take(&lease, &terms, &pool, 0, 8), 7 * WEIR_MS_NS);
    uint64_t tat = weir_load(&pool.tat, relaxed);
    assert_int_equal(weir_lease_take(&lease, &terms, &pool, 1000, 8), 7 * WEIR_MS_NS - 1000);
    assert_int_equal(weir_lease_take(&lease, &terms, &pool, 1000, 1), 0);
    assert_true(weir_load(&pool.tat, relaxed) != tat);
    assert_int_equal(weir_lease_take(&lease, &terms, &pool, 8 * WEIR_MS_NS, 8), 0);
}

static void a_refund_never_makes_a_lease_larger_than_a_chunk(void **state)
{
    (void)state;
    struct weir_lease_terms terms = terms_of(100000, 100000, 2);
    struct weir_lease_pool pool = {0};
    struct weir_lease lease = {0};
    assert_int_equal(weir_lease_take(&lease, &terms, &pool, 0, 500), 0);
    weir_lease_refund(&lease, &terms, &pool, 500);
    assert_int_equal(lease.left_tokens, 100);
    assert_int_equal(pool_left(&pool, &terms, 0), 99900);
}

/* admitted <= burst + rate * d + reactors * Q over every span; see bucket_test.c for the running
 * form. */
static void no_span_admits_more_than_the_bound_over_all_reactors(void **state)
{
    (void)state;
    for (uint64_t run = 1; run <= 100; run++) {
        uint64_t seed = run;
        uint64_t per_s = 1000 + chance(&seed) % 1000000, burst = 1 + chance(&seed) % 5000;
        uint32_t reactors = 1 + (uint32_t)(chance(&seed) % 4);
        struct weir_lease_terms terms = terms_of(per_s, burst, reactors);
        struct weir_lease_pool pool = {0};
        struct weir_lease leases[4] = {0};
        __int128 now_ns = 1000000, admitted = 0, lowest = INT64_MAX;
        __int128 limit = (__int128)(burst + reactors * terms.chunk_tokens) * (__int128)WEIR_S_NS;
        for (uint32_t step = 0; step < 20000; step++) {
            now_ns += (__int128)(chance(&seed) %
                                 (chance(&seed) % 500 == 0 ? 100 * WEIR_MS_NS : WEIR_S_NS / per_s));
            struct weir_lease *lease = &leases[chance(&seed) % reactors];
            __int128 before = admitted * (__int128)WEIR_S_NS - now_ns * (__int128)per_s;
            lowest = before < lowest ? before : lowest;
            uint64_t tokens = 1 + chance(&seed) % (chance(&seed) % 16 == 0 ? burst : 1);
            if (chance(&seed) % 32 == 0)
                weir_lease_give_back(lease, &terms, &pool);
            weir_lease_tick(lease, &terms, &pool, (uint64_t)now_ns);
            if (weir_lease_take(lease, &terms, &pool, (uint64_t)now_ns, tokens) != 0)
                continue;
            admitted += tokens;
            assert_true(lease->left_tokens <= terms.chunk_tokens);
            if (before + (__int128)tokens * (__int128)WEIR_S_NS - lowest > limit)
                fail_msg("seed %u step %u: more than the bound", (unsigned)run, step);
        }
    }
}

struct hammer {
    const struct weir_lease_terms *terms;
    struct weir_lease_pool *pool;
    struct weir_lease lease;
    uint64_t admitted;
    uint64_t seed;
    uint64_t end_ns;
    pthread_barrier_t *start;
};

/* Its own made-up clock, in steps: the two drift apart and the bound must hold for the later of
 * the two. */
static void *hammer_main(void *argument)
{
    struct hammer *hammer = argument;
    pthread_barrier_wait(hammer->start);
    for (uint64_t now_ns = 0; now_ns < hammer->end_ns; now_ns += chance(&hammer->seed) % 2000) {
        uint64_t tokens = 1 + chance(&hammer->seed) % 3;
        if (weir_lease_take(&hammer->lease, hammer->terms, hammer->pool, now_ns, tokens) == 0)
            hammer->admitted += tokens;
        weir_lease_tick(&hammer->lease, hammer->terms, hammer->pool, now_ns);
    }
    return NULL;
}

static void two_threads_on_one_pool_stay_within_the_bound_and_reach_the_rate(void **state)
{
    (void)state;
    for (uint64_t run = 1; run <= 5; run++) {
        struct weir_lease_terms terms = terms_of(500000, 4000, 2);
        struct weir_lease_pool pool = {0};
        pthread_barrier_t start;
        pthread_barrier_init(&start, NULL, 2);
        struct hammer hammers[2];
        pthread_t threads[2];
        for (uint32_t i = 0; i < 2; i++) {
            hammers[i] = (struct hammer){.terms = &terms,
                                         .pool = &pool,
                                         .seed = run * 2 + i,
                                         .end_ns = WEIR_S_NS / 2,
                                         .start = &start};
            assert_int_equal(pthread_create(&threads[i], NULL, hammer_main, &hammers[i]), 0);
        }
        for (uint32_t i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
        pthread_barrier_destroy(&start);
        uint64_t admitted = hammers[0].admitted + hammers[1].admitted;
        uint64_t given = 4000 + 500000 / 2;
        assert_true(admitted <= given + 2 * terms.chunk_tokens);
        assert_true(admitted >= given - given / 50); /* and the limit is used */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chunk_is_a_millisecond_of_the_rate_within_bounds),
        cmocka_unit_test(one_borrow_pays_for_a_chunk_of_takes),
        cmocka_unit_test(what_is_not_spent_goes_back),
        cmocka_unit_test(a_pool_too_low_for_a_chunk_still_gives_what_is_asked),
        cmocka_unit_test(a_refusal_is_remembered_but_for_smaller_takes),
        cmocka_unit_test(a_refund_never_makes_a_lease_larger_than_a_chunk),
        cmocka_unit_test(no_span_admits_more_than_the_bound_over_all_reactors),
        cmocka_unit_test(two_threads_on_one_pool_stay_within_the_bound_and_reach_the_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
