/*
 * Description: one reactor's leases by key - each key its own limit, a full cache forgets nothing,
 * what is not used goes back in bounded helpings, keys without room share a pool.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "sched/lease_table.h"

enum { BURST = 3 };

struct bench {
    struct weir_lease_terms terms;
    struct weir_pool_table pools;
    struct weir_lease_table table;
};

static void open_with(struct bench *bench, uint64_t tokens_per_s, uint64_t burst, uint32_t entries,
                      uint32_t slots)
{
    assert_int_equal(weir_lease_terms_init(&bench->terms, tokens_per_s, burst, 1), 0);
    assert_int_equal(weir_pool_table_init(&bench->pools, entries), 0);
    assert_int_equal(weir_lease_table_init(&bench->table, &bench->terms, &bench->pools, 0, slots),
                     0);
}

static void end(struct bench *bench)
{
    weir_lease_table_deinit(&bench->table);
    for (uint64_t i = 0; i < (bench->pools.window_mask + 1) * WEIR_POOL_TABLE_WINDOW; i++)
        assert_int_equal(weir_load(&bench->pools.entries[i].word, relaxed) & 0xffff, 0);
    weir_pool_table_deinit(&bench->pools);
}

static struct weir_lease_slot *slot_of(struct bench *bench, uint64_t key, uint64_t now_ns)
{
    return weir_lease_table_find(&bench->table, weir_hash_u64(key, 9), now_ns);
}

static uint64_t take(struct bench *bench, uint64_t key, uint64_t now_ns)
{
    struct weir_lease_slot *slot = slot_of(bench, key, now_ns);
    return weir_lease_take(&slot->lease, &bench->terms, slot->pool, now_ns, 1);
}

static uint64_t left_in(struct bench *bench, struct weir_lease_pool *pool, uint64_t now_ns)
{
    struct weir_bucket bucket = {.tat = weir_load(&pool->tat, relaxed)};
    return weir_bucket_left(&bucket, &bench->terms.rate, now_ns);
}

static void a_size_that_is_no_power_of_two_is_refused(void **state)
{
    (void)state;
    struct weir_lease_terms terms;
    struct weir_pool_table pools;
    struct weir_lease_table table;
    assert_int_equal(weir_lease_terms_init(&terms, 10, BURST, 1), 0);
    assert_int_equal(weir_lease_table_init(&table, &terms, &pools, 0, 0), -EINVAL);
    assert_int_equal(weir_lease_table_init(&table, &terms, &pools, 0, 4), -EINVAL);
    assert_int_equal(weir_lease_table_init(&table, &terms, &pools, 0, 48), -EINVAL);
}

static void each_key_has_its_own_limit(void **state)
{
    (void)state;
    struct bench bench;
    open_with(&bench, 10, BURST, 1024, 1024);
    for (uint64_t key = 0; key < 100; key++)
        for (uint32_t i = 0; i < BURST; i++)
            assert_int_equal(take(&bench, key, 1000), 0);
    for (uint64_t key = 0; key < 100; key++)
        assert_true(take(&bench, key, 1000) > 0);
    assert_int_equal(bench.table.overflowed, 0);
    end(&bench);
}

static void a_hash_of_zero_is_a_key_like_any_other(void **state)
{
    (void)state;
    struct bench bench;
    open_with(&bench, 10, BURST, 8, 8);
    struct weir_lease_slot *slot = weir_lease_table_find(&bench.table, 0, 5);
    assert_ptr_equal(weir_lease_table_find(&bench.table, 0, 5), slot);
    assert_int_equal(bench.table.overflowed, 0);
    end(&bench);
}

static void a_key_that_loses_its_place_here_keeps_its_limit(void **state)
{
    (void)state;
    struct bench bench;
    open_with(&bench, 10000, 100, 1024, 8); /* eight places for a hundred keys */
    assert_int_equal(bench.terms.chunk_tokens, 10);
    uint32_t admitted[100] = {0};
    for (uint32_t i = 0; i < 200; i++)
        for (uint64_t key = 0; key < 100; key++)
            admitted[key] += take(&bench, key, 1000) == 0;
    for (uint64_t key = 0; key < 100; key++)
        assert_int_equal(admitted[key], 100);
    assert_int_equal(bench.table.overflowed, 0);
    end(&bench);
}

static void what_is_not_used_goes_back_and_the_entry_too(void **state)
{
    (void)state;
    struct bench bench;
    open_with(&bench, 10000, 100, 8, 8);
    uint64_t now_ns = WEIR_S_NS;
    assert_int_equal(weir_lease_table_tick(&bench.table, now_ns, false, 8), UINT64_MAX);
    assert_int_equal(take(&bench, 1, now_ns), 0);
    struct weir_pool_entry *entry = slot_of(&bench, 1, now_ns)->entry;
    assert_int_equal(left_in(&bench, &entry->pool, now_ns), 90);
    assert_int_equal(weir_lease_table_tick(&bench.table, now_ns + WEIR_LEASE_NS - 1, false, 8),
                     now_ns + WEIR_LEASE_NS);
    assert_int_equal(weir_load(&entry->word, relaxed) & 0xffff, 1);
    assert_int_equal(weir_lease_table_tick(&bench.table, now_ns + WEIR_LEASE_NS, false, 8),
                     UINT64_MAX);
    assert_int_equal(left_in(&bench, &entry->pool, now_ns), 99);
    assert_int_equal(weir_load(&entry->word, relaxed) & 0xffff, 0);
    end(&bench);
}

static void a_key_that_borrows_stays_until_it_does_not(void **state)
{
    (void)state;
    struct bench bench;
    open_with(&bench, 10000, 100, 8, 8);
    uint64_t now_ns = WEIR_S_NS, last_ns = now_ns + WEIR_LEASE_NS / 2;
    struct weir_lease_slot *slot = slot_of(&bench, 1, now_ns);
    for (uint32_t i = 0; i < 11; i++)
        assert_int_equal(take(&bench, 1, i < 10 ? now_ns : last_ns), 0);
    assert_int_equal(weir_lease_table_tick(&bench.table, now_ns + WEIR_LEASE_NS, false, 8),
                     last_ns + WEIR_LEASE_NS);
    assert_non_null(slot->entry);
    weir_lease_table_tick(&bench.table, last_ns + WEIR_LEASE_NS, false, 8);
    assert_null(slot->entry);
    end(&bench);
}

static void a_tick_looks_at_so_many_and_says_that_there_are_more(void **state)
{
    (void)state;
    struct bench bench;
    open_with(&bench, 10000, 100, 1024, 1024);
    for (uint64_t key = 0; key < 100; key++)
        assert_int_equal(take(&bench, key, 1000), 0);
    uint64_t due_ns = 1000 + WEIR_LEASE_NS;
    for (uint32_t i = 0; i < 9; i++)
        assert_int_equal(weir_lease_table_tick(&bench.table, due_ns, false, 10), due_ns);
    assert_int_equal(weir_lease_table_tick(&bench.table, 1000, true, 10), UINT64_MAX);
    end(&bench);
}

static void a_key_that_became_idle_makes_room(void **state)
{
    (void)state;
    struct bench bench;
    open_with(&bench, 10, BURST, 8, 64);
    for (uint64_t key = 0; key < 8000; key++) /* one at a time, each long after the one before */
        assert_int_equal(take(&bench, key, key * WEIR_S_NS), 0);
    assert_int_equal(bench.table.overflowed, 0);
    end(&bench);
}

static void keys_that_find_no_room_share_one_limit(void **state)
{
    (void)state;
    struct bench bench;
    open_with(&bench, 10, BURST, 8, 64);
    for (uint64_t key = 0; key < 8; key++)
        assert_int_equal(take(&bench, key, 1000), 0);
    uint32_t admitted = 0;
    for (uint64_t key = 100; key < 1100; key++)
        admitted += take(&bench, key, 1000) == 0;
    assert_int_equal(admitted, BURST); /* once, for all of them */
    assert_int_equal(bench.table.overflowed, 1000);
    for (uint64_t key = 0; key < 8; key++) /* and those inside are not disturbed */
        assert_int_equal(take(&bench, key, 1000), 0);
    end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_size_that_is_no_power_of_two_is_refused),
        cmocka_unit_test(each_key_has_its_own_limit),
        cmocka_unit_test(a_hash_of_zero_is_a_key_like_any_other),
        cmocka_unit_test(a_key_that_loses_its_place_here_keeps_its_limit),
        cmocka_unit_test(what_is_not_used_goes_back_and_the_entry_too),
        cmocka_unit_test(a_key_that_borrows_stays_until_it_does_not),
        cmocka_unit_test(a_tick_looks_at_so_many_and_says_that_there_are_more),
        cmocka_unit_test(a_key_that_became_idle_makes_room),
        cmocka_unit_test(keys_that_find_no_room_share_one_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
