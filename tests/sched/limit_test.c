/*
 * Description: process, client and topic limits together - from all or from none, who is named, the
 * three modes; each level over several reactors, with threads too.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "sched/limit.h"

enum { CLIENT_A = 11, CLIENT_B = 22, TOPIC_X = 33, TOPIC_Y = 44, REACTORS_MAX = 4 };

static struct weir_limit_shared *shared_with(struct weir_limit_rule client,
                                             struct weir_limit_rule topic,
                                             struct weir_limit_rule process, uint32_t reactor_count,
                                             uint32_t keys_max)
{
    struct weir_limit_rule rules[WEIR_LIMIT_LEVELS];
    rules[WEIR_LIMIT_CLIENT] = client;
    rules[WEIR_LIMIT_TOPIC] = topic;
    rules[WEIR_LIMIT_PROCESS] = process;
    struct weir_limit_shared *shared = aligned_alloc(WEIR_LINE_PAIR_BYTES, sizeof *shared);
    assert_non_null(shared);
    assert_int_equal(weir_limit_shared_init(shared, rules, reactor_count, keys_max), 0);
    return shared;
}

static struct weir_limit_shared *shared_of(struct weir_limit_rule client,
                                           struct weir_limit_rule topic,
                                           struct weir_limit_rule process)
{
    return shared_with(client, topic, process, 2, 1024);
}

static struct weir_limit *limit_at(struct weir_limit_shared *shared, uint32_t reactor_index)
{
    struct weir_limit *limit;
    assert_int_equal(weir_limit_open(shared, reactor_index, &limit), 0);
    return limit;
}

static struct weir_limit *limit_of(struct weir_limit_shared *shared)
{
    return limit_at(shared, 0);
}

static void limit_end(struct weir_limit *limit, struct weir_limit_shared *shared)
{
    weir_limit_close(limit);
    weir_limit_shared_deinit(shared);
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
    assert_int_equal(weir_limit_shared_init(shared, rules, 2, 1024), -EINVAL);
    rules[WEIR_LIMIT_PROCESS] = off;
    assert_int_equal(weir_limit_shared_init(shared, rules, 0, 1024), -EINVAL);
    rules[WEIR_LIMIT_TOPIC] = shape(1, 1);
    assert_int_equal(weir_limit_shared_init(shared, rules, 1, 1000), -EINVAL);
    rules[WEIR_LIMIT_TOPIC] = off;
    assert_int_equal(weir_limit_shared_init(shared, rules, 1, 1024), 0);
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

static bool admits(struct weir_limit *limit, uint64_t now_ns, uint64_t client, uint64_t topic)
{
    return weir_limit_take(limit, now_ns, client, topic, 1).action == WEIR_LIMIT_ADMIT;
}

static void open_all(struct weir_limit_shared *shared, struct weir_limit **limits, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        limits[i] = limit_at(shared, i);
}

static void close_all(struct weir_limit_shared *shared, struct weir_limit **limits, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        weir_limit_close(limits[i]);
    limit_end(limits[0], shared);
}

/* How many of many events get through at one instant, taken by the reactors in turn. */
static uint32_t burst_over(uint32_t level, struct weir_limit_rule rule, uint32_t reactors)
{
    struct weir_limit_rule rules[WEIR_LIMIT_LEVELS] = {off, off, off};
    struct weir_limit *limits[REACTORS_MAX];
    rules[level] = rule;
    struct weir_limit_shared *shared = shared_with(rules[WEIR_LIMIT_CLIENT], rules[WEIR_LIMIT_TOPIC],
                                                   rules[WEIR_LIMIT_PROCESS], reactors, 1024);
    open_all(shared, limits, reactors);
    uint32_t admitted = 0;
    for (uint32_t i = 0; i < 400; i++)
        admitted += admits(limits[i % reactors], 7, CLIENT_A, TOPIC_X);
    close_all(shared, limits, reactors);
    return admitted;
}

static void each_level_has_one_burst_however_many_reactors(void **state)
{
    (void)state;
    for (uint32_t level = 0; level < WEIR_LIMIT_LEVELS; level++) {
        for (uint32_t reactors = 1; reactors <= REACTORS_MAX; reactors *= 2) {
            assert_int_equal(burst_over(level, police(1, 5), reactors), 5);
            assert_int_equal(burst_over(level, police(1000, 80), reactors), 80); /* lent in chunks */
        }
    }
}

static void what_a_reactor_does_not_use_another_gets_after_a_while(void **state)
{
    (void)state;
    struct weir_limit_shared *shared = shared_of(police(10000, 80), off, off);
    struct weir_limit *limits[2];
    open_all(shared, limits, 2);
    assert_true(admits(limits[0], 7, CLIENT_A, 0)); /* ten are lent to it */
    uint32_t admitted = 0;
    for (uint32_t i = 0; i < 100; i++)
        admitted += admits(limits[1], 7, CLIENT_A, 0);
    assert_int_equal(admitted, 70);
    assert_int_equal(weir_limit_tick(limits[0], 7, false), 7 + WEIR_LEASE_NS);
    assert_int_equal(weir_limit_tick(limits[0], 7, true), UINT64_MAX);
    for (uint32_t i = 0; i < 100; i++)
        admitted += admits(limits[1], 7 + WEIR_MS_NS, CLIENT_A, 0);
    assert_int_equal(admitted, 70 + 9 + 10); /* what was given back, and a millisecond's worth */
    close_all(shared, limits, 2);
}

static void a_client_that_goes_from_reactor_to_reactor_has_one_limit(void **state)
{
    (void)state;
    struct weir_limit_shared *shared = shared_with(police(100, 5), police(1000, 1000), off, 4, 1024);
    struct weir_limit *limits[REACTORS_MAX];
    open_all(shared, limits, 4);
    uint32_t admitted = 0;
    for (uint64_t now_ns = 0; now_ns <= 10 * WEIR_S_NS; now_ns += WEIR_MS_NS) {
        struct weir_limit *limit = limits[now_ns / (7 * WEIR_MS_NS) % 4];
        admitted += admits(limit, now_ns, CLIENT_A, TOPIC_X);
        for (uint32_t i = 0; i < 4; i++)
            weir_limit_tick(limits[i], now_ns, false);
    }
    assert_true(admitted <= 5 + 1000 && admitted >= 1000);
    close_all(shared, limits, 4);
}

/* ---- threads ---- */

struct storm {
    struct weir_limit_shared *shared;
    pthread_barrier_t barrier;
    weir_atomic_u32 admitted;
    uint32_t rounds;
    uint32_t takes;
};

struct stormer {
    struct storm *storm;
    struct weir_limit *limit;
    uint32_t index;
    uint32_t bad_rounds; /* of index 0 */
};

/* What the client's pool still has. All leases are exact here, so that nothing is lent. */
static uint64_t client_has_left(struct weir_limit_shared *shared, uint64_t now_ns)
{
    const struct weir_bucket_rate *rate = &shared->terms[WEIR_LIMIT_CLIENT].rate;
    struct weir_pool_entry *entry = weir_pool_table_hold(&shared->pools[WEIR_LIMIT_CLIENT], rate,
                                                         REACTORS_MAX, CLIENT_A, now_ns);
    assert_non_null(entry);
    struct weir_bucket bucket = {.tat = weir_load(&entry->pool.tat, relaxed)};
    weir_pool_table_let_go(entry);
    return weir_bucket_left(&bucket, rate, now_ns);
}

/* Time stands still in a round; the next is long after it. */
static void *storm_main(void *argument)
{
    struct stormer *stormer = argument;
    struct storm *storm = stormer->storm;
    for (uint64_t round = 1; round <= storm->rounds; round++) {
        uint64_t now_ns = round * 100 * WEIR_S_NS;
        pthread_barrier_wait(&storm->barrier);
        for (uint32_t i = 0; i < storm->takes; i++)
            if (admits(stormer->limit, now_ns, CLIENT_A, TOPIC_X))
                weir_fetch_add(&storm->admitted, 1, relaxed);
        pthread_barrier_wait(&storm->barrier);
        if (stormer->index != 0)
            continue;
        uint32_t admitted = weir_exchange(&storm->admitted, 0, relaxed);
        if (admitted > 5 || client_has_left(storm->shared, now_ns) != 7 - admitted)
            stormer->bad_rounds++;
    }
    return NULL;
}

/* The process has 5 and the client 7; what the process refuses must not be missing from the client. */
static void threads_take_from_all_or_from_none(void **state)
{
    (void)state;
    for (uint32_t reactors = 2; reactors <= REACTORS_MAX; reactors *= 2) {
        struct storm storm = {.rounds = 2000, .takes = 6};
        struct weir_limit *limits[REACTORS_MAX];
        struct stormer stormers[REACTORS_MAX];
        pthread_t threads[REACTORS_MAX];
        storm.shared = shared_with(police(1, 7), off, police(1, 5), reactors, 8);
        open_all(storm.shared, limits, reactors);
        pthread_barrier_init(&storm.barrier, NULL, reactors);
        for (uint32_t i = 0; i < reactors; i++) {
            stormers[i] = (struct stormer){.storm = &storm, .limit = limits[i], .index = i};
            assert_int_equal(pthread_create(&threads[i], NULL, storm_main, &stormers[i]), 0);
        }
        for (uint32_t i = 0; i < reactors; i++)
            pthread_join(threads[i], NULL);
        pthread_barrier_destroy(&storm.barrier);
        assert_int_equal(stormers[0].bad_rounds, 0);
        close_all(storm.shared, limits, reactors);
    }
}

enum { HAMMERED = 3 };

struct hammer {
    struct weir_limit *limit;
    pthread_barrier_t *start;
    uint64_t seed;
    uint64_t end_ns;
    uint64_t admitted[HAMMERED];
};

/* As in lease_test.c: a made-up clock of its own, and the bound must hold for the later one. */
static void *hammer_main(void *argument)
{
    struct hammer *hammer = argument;
    pthread_barrier_wait(hammer->start);
    for (uint64_t now_ns = 0; now_ns < hammer->end_ns;) {
        uint64_t draw = weir_hash_u64(hammer->seed++, 5);
        uint64_t client = draw % HAMMERED;
        now_ns += (draw >> 32) % 1000;
        hammer->admitted[client] += admits(hammer->limit, now_ns, weir_hash_u64(client, 1), 0);
        if ((draw >> 16 & 0xff) == 0)
            weir_limit_tick(hammer->limit, now_ns, (draw >> 24 & 1) == 0);
    }
    return NULL;
}

static void threads_stay_within_the_bound_and_reach_the_rate(void **state)
{
    (void)state;
    for (uint32_t reactors = 2; reactors <= REACTORS_MAX; reactors *= 2) {
        struct weir_limit_shared *shared = shared_with(police(400000, 4000), off, off, reactors, 64);
        struct weir_limit *limits[REACTORS_MAX];
        struct hammer hammers[REACTORS_MAX];
        pthread_t threads[REACTORS_MAX];
        pthread_barrier_t start;
        open_all(shared, limits, reactors);
        pthread_barrier_init(&start, NULL, reactors);
        for (uint32_t i = 0; i < reactors; i++) {
            hammers[i] = (struct hammer){
                .limit = limits[i], .start = &start, .seed = i * 1000003, .end_ns = WEIR_S_NS / 4};
            assert_int_equal(pthread_create(&threads[i], NULL, hammer_main, &hammers[i]), 0);
        }
        for (uint32_t i = 0; i < reactors; i++)
            pthread_join(threads[i], NULL);
        pthread_barrier_destroy(&start);
        uint64_t given = 4000 + 400000 / 4;
        for (uint32_t client = 0; client < HAMMERED; client++) {
            uint64_t admitted = 0;
            for (uint32_t i = 0; i < reactors; i++)
                admitted += hammers[i].admitted[client];
            assert_true(admitted <=
                        given + reactors * shared->terms[WEIR_LIMIT_CLIENT].chunk_tokens);
            assert_true(admitted >= given - given / 50);
        }
        close_all(shared, limits, reactors);
    }
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
    struct weir_limit_shared *shared = shared_with(police(1, 1), off, off, 2, 64);
    struct weir_limit *limit = limit_of(shared);
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
        cmocka_unit_test(each_level_has_one_burst_however_many_reactors),
        cmocka_unit_test(what_a_reactor_does_not_use_another_gets_after_a_while),
        cmocka_unit_test(a_client_that_goes_from_reactor_to_reactor_has_one_limit),
        cmocka_unit_test(threads_take_from_all_or_from_none),
        cmocka_unit_test(threads_stay_within_the_bound_and_reach_the_rate),
        cmocka_unit_test(time_that_goes_back_gives_nothing_away),
        cmocka_unit_test(a_flood_of_clients_is_still_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
