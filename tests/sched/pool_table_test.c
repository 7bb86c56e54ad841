/*
 * Description: lease pools by key, shared - one entry a key, entries in use or in debt stay, a full
 * window says so; then threads that fight for few entries.
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
#include "sched/pool_table.h"

enum { BURST = 3, THREADS_MAX = 4, KEYS = 40, ROUNDS = 3000, TAKES = 40 };

static struct weir_lease_terms terms_of(uint32_t reactors)
{
    struct weir_lease_terms terms;
    assert_int_equal(weir_lease_terms_init(&terms, 10, BURST, reactors), 0);
    assert_int_equal(terms.chunk_tokens, 0);
    return terms;
}

static uint64_t take(struct weir_pool_entry *entry, const struct weir_lease_terms *terms,
                     uint64_t now_ns, uint64_t tokens)
{
    struct weir_lease lease = {0};
    return weir_lease_take(&lease, terms, &entry->pool, now_ns, tokens);
}

static void a_size_that_is_no_power_of_two_is_refused(void **state)
{
    (void)state;
    struct weir_pool_table table;
    assert_int_equal(weir_pool_table_init(&table, 0), -EINVAL);
    assert_int_equal(weir_pool_table_init(&table, 4), -EINVAL);
    assert_int_equal(weir_pool_table_init(&table, 48), -EINVAL);
}

static void a_key_has_one_entry_whoever_asks(void **state)
{
    (void)state;
    struct weir_lease_terms terms = terms_of(4);
    struct weir_pool_table table;
    assert_int_equal(weir_pool_table_init(&table, 1024), 0);
    for (uint64_t key = 0; key < 100; key++) { /* 0 is a key like any other */
        struct weir_pool_entry *entry = weir_pool_table_hold(&table, &terms.rate, 0, key, 5);
        assert_non_null(entry);
        for (uint32_t reactor = 1; reactor < 4; reactor++)
            assert_ptr_equal(weir_pool_table_hold(&table, &terms.rate, reactor, key, 5), entry);
        assert_int_equal(take(entry, &terms, 5, BURST), 0); /* nobody has used it before */
        for (uint32_t reactor = 0; reactor < 4; reactor++)
            weir_pool_table_let_go(entry);
        assert_ptr_equal(weir_pool_table_hold(&table, &terms.rate, 0, key, 5), entry);
    }
    weir_pool_table_deinit(&table);
}

static void a_held_entry_stays_though_its_pool_is_full(void **state)
{
    (void)state;
    struct weir_lease_terms terms = terms_of(1);
    struct weir_pool_table table;
    assert_int_equal(weir_pool_table_init(&table, 8), 0);
    struct weir_pool_entry *first = weir_pool_table_hold(&table, &terms.rate, 0, 1, 5);
    for (uint64_t key = 2; key <= 8; key++)
        assert_non_null(weir_pool_table_hold(&table, &terms.rate, 0, key, 5));
    assert_null(weir_pool_table_hold(&table, &terms.rate, 0, 9, WEIR_S_NS));
    weir_pool_table_let_go(first);
    assert_ptr_equal(weir_pool_table_hold(&table, &terms.rate, 0, 9, WEIR_S_NS), first);
    assert_null(weir_pool_table_hold(&table, &terms.rate, 0, 1, WEIR_S_NS));
    weir_pool_table_deinit(&table);
}

static void a_debt_is_remembered_until_it_is_paid_and_a_little_longer(void **state)
{
    (void)state;
    struct weir_lease_terms terms = terms_of(1);
    struct weir_pool_table table;
    assert_int_equal(weir_pool_table_init(&table, 8), 0);
    uint64_t now_ns = WEIR_S_NS;
    for (uint64_t key = 1; key <= 8; key++) {
        struct weir_pool_entry *entry = weir_pool_table_hold(&table, &terms.rate, 0, key, now_ns);
        assert_int_equal(take(entry, &terms, now_ns, BURST), 0);
        weir_pool_table_let_go(entry);
    }
    uint64_t paid_ns = now_ns + BURST * 100 * WEIR_MS_NS;
    assert_null(weir_pool_table_hold(&table, &terms.rate, 0, 9, now_ns));
    assert_null(weir_pool_table_hold(&table, &terms.rate, 0, 9, paid_ns));
    assert_null(
        weir_pool_table_hold(&table, &terms.rate, 0, 9, paid_ns + WEIR_POOL_TABLE_REST_NS - 1));
    struct weir_pool_entry *old = weir_pool_table_hold(&table, &terms.rate, 0, 3, now_ns);
    assert_true(take(old, &terms, now_ns, 1) > 0);
    weir_pool_table_let_go(old);
    assert_non_null(
        weir_pool_table_hold(&table, &terms.rate, 0, 9, paid_ns + WEIR_POOL_TABLE_REST_NS));
    weir_pool_table_deinit(&table);
}

/* ---- threads: forty keys, eight or sixteen entries ---- */

struct fight {
    struct weir_pool_table table;
    struct weir_lease_terms terms;
    pthread_barrier_t barrier;
    weir_atomic_u32 admitted[KEYS];
    weir_atomic_u32 held;
    weir_atomic_u32 too_many;
};

struct fighter {
    struct fight *fight;
    uint32_t index;
    uint64_t seed;
};

static void fight_once(struct fighter *fighter, uint64_t now_ns)
{
    struct fight *fight = fighter->fight;
    uint64_t draw = weir_hash_u64(fighter->seed++, fighter->index);
    uint64_t key = draw % KEYS;
    struct weir_pool_entry *entry = weir_pool_table_hold(
        &fight->table, &fight->terms.rate, fighter->index, weir_hash_u64(key, 3), now_ns);
    if (entry == NULL)
        return;
    weir_fetch_add(&fight->held, 1, relaxed);
    struct weir_lease lease = {0};
    bool keeps = (draw >> 32 & 3) ==
                 0; /* else the tokens go back, and the entry may soon change hands */
    if (weir_lease_take(&lease, &fight->terms, &entry->pool, now_ns, 1) == 0) {
        if (keeps)
            weir_fetch_add(&fight->admitted[key], 1, relaxed);
        else
            weir_lease_refund(&lease, &fight->terms, &entry->pool, 1);
    }
    weir_pool_table_let_go(entry);
}

/* In each round time stands still, so a key has its burst and no more; before the next, all is paid. */
static void *fighter_main(void *argument)
{
    struct fighter *fighter = argument;
    struct fight *fight = fighter->fight;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        pthread_barrier_wait(&fight->barrier);
        for (uint32_t i = 0; i < TAKES; i++)
            fight_once(fighter, round * WEIR_S_NS);
        pthread_barrier_wait(&fight->barrier);
        for (uint32_t key = 0; fighter->index == 0 && key < KEYS; key++) {
            if (weir_load(&fight->admitted[key], relaxed) > BURST)
                weir_fetch_add(&fight->too_many, 1, relaxed);
            weir_store(&fight->admitted[key], 0, relaxed);
        }
    }
    return NULL;
}

static void fight_over(uint32_t entry_count, uint32_t thread_count)
{
    static struct fight fight;
    struct fighter fighters[THREADS_MAX];
    pthread_t threads[THREADS_MAX];
    memset(&fight, 0, sizeof fight);
    fight.terms = terms_of(thread_count);
    assert_int_equal(weir_pool_table_init(&fight.table, entry_count), 0);
    pthread_barrier_init(&fight.barrier, NULL, thread_count);
    for (uint32_t i = 0; i < thread_count; i++) {
        fighters[i] = (struct fighter){.fight = &fight, .index = i, .seed = entry_count};
        assert_int_equal(pthread_create(&threads[i], NULL, fighter_main, &fighters[i]), 0);
    }
    for (uint32_t i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&fight.barrier);
    assert_int_equal(weir_load(&fight.too_many, relaxed), 0);
    assert_true(weir_load(&fight.held, relaxed) >=
                ROUNDS); /* entries did change hands, in each round */
    for (uint32_t i = 0; i < entry_count;
         i++) /* and everybody has let go: the number is 0, no mark is left */
        assert_int_equal(weir_load(&fight.table.entries[i].word, relaxed) & 0xffff, 0);
    weir_pool_table_deinit(&fight.table);
}

static void no_key_has_more_than_its_burst_while_threads_fight_for_entries(void **state)
{
    (void)state;
    fight_over(8, 2);
    fight_over(8, THREADS_MAX);
    fight_over(16, THREADS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_size_that_is_no_power_of_two_is_refused),
        cmocka_unit_test(a_key_has_one_entry_whoever_asks),
        cmocka_unit_test(a_held_entry_stays_though_its_pool_is_full),
        cmocka_unit_test(a_debt_is_remembered_until_it_is_paid_and_a_little_longer),
        cmocka_unit_test(no_key_has_more_than_its_burst_while_threads_fight_for_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
