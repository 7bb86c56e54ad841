/*
 * Description: buckets by key in a fixed table - each key its own, idle ones forgotten, a full
 * table still limits.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "sched/bucket_table.h"

static struct weir_bucket_table table_of(uint32_t entry_count)
{
    struct weir_bucket_rate rate;
    struct weir_bucket_table table;
    assert_int_equal(weir_bucket_rate_init(&rate, 10, 3), 0);
    assert_int_equal(weir_bucket_table_init(&table, &rate, entry_count), 0);
    return table;
}

static uint64_t take(struct weir_bucket_table *table, uint64_t key, uint64_t now_ns)
{
    struct weir_bucket *bucket = weir_bucket_table_find(table, weir_hash_u64(key, 9), now_ns);
    return weir_bucket_take(bucket, &table->rate, now_ns, 1);
}

static void a_size_that_is_no_power_of_two_is_refused(void **state)
{
    (void)state;
    struct weir_bucket_rate rate;
    struct weir_bucket_table table;
    assert_int_equal(weir_bucket_rate_init(&rate, 10, 3), 0);
    assert_int_equal(weir_bucket_table_init(&table, &rate, 0), -EINVAL);
    assert_int_equal(weir_bucket_table_init(&table, &rate, 4), -EINVAL);
    assert_int_equal(weir_bucket_table_init(&table, &rate, 48), -EINVAL);
}

static void each_key_has_its_own_limit(void **state)
{
    (void)state;
    struct weir_bucket_table table = table_of(1024);
    for (uint64_t key = 0; key < 100; key++) {
        for (uint32_t i = 0; i < 3; i++)
            assert_int_equal(take(&table, key, 1000), 0);
    }
    for (uint64_t key = 0; key < 100; key++)
        assert_true(take(&table, key, 1000) > 0);
    assert_int_equal(table.overflowed, 0);
    weir_bucket_table_deinit(&table);
}

static void a_key_that_became_idle_makes_room(void **state)
{
    (void)state;
    struct weir_bucket_table table = table_of(8);
    for (uint64_t key = 0; key < 8000; key++) /* one at a time, each long after the one before */
        assert_int_equal(take(&table, key, key * WEIR_S_NS), 0);
    assert_int_equal(table.overflowed, 0);
    assert_true(table.evicted >= 7992);
    weir_bucket_table_deinit(&table);
}

static void keys_that_find_no_room_share_one_limit(void **state)
{
    (void)state;
    struct weir_bucket_table table = table_of(8);
    for (uint64_t key = 0; key < 8; key++)
        assert_int_equal(take(&table, key, 1000), 0);
    uint32_t admitted = 0;
    for (uint64_t key = 100; key < 1100; key++)
        admitted += take(&table, key, 1000) == 0;
    assert_int_equal(admitted, 3); /* the burst, once, for all of them */
    assert_int_equal(table.overflowed, 1000);
    for (uint64_t key = 0; key < 8; key++) /* and those inside are not disturbed */
        assert_int_equal(take(&table, key, 1000), 0);
    weir_bucket_table_deinit(&table);
}

static void a_hash_of_zero_is_a_key_like_any_other(void **state)
{
    (void)state;
    struct weir_bucket_table table = table_of(8);
    struct weir_bucket *bucket = weir_bucket_table_find(&table, 0, 5);
    assert_int_equal(weir_bucket_take(bucket, &table.rate, 5, 3), 0);
    assert_ptr_equal(weir_bucket_table_find(&table, 0, 5), bucket);
    weir_bucket_table_deinit(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_size_that_is_no_power_of_two_is_refused),
        cmocka_unit_test(each_key_has_its_own_limit),
        cmocka_unit_test(a_key_that_became_idle_makes_room),
        cmocka_unit_test(keys_that_find_no_room_share_one_limit),
        cmocka_unit_test(a_hash_of_zero_is_a_key_like_any_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
