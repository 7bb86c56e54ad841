/* tests/log/table_test.c - rows: seen at once, durable when told, on the reactor that owns them, and back after a restart. */
#include "tests/log/store_fixture.h"

static void put(struct shop *shop, uint32_t table, uint32_t key, uint64_t value)
{
    assert_int_equal(weir_table_put(shop->store, table, &key, sizeof key, &value, sizeof value, NULL), 0);
}

static uint64_t get(struct shop *shop, uint32_t table, uint32_t key)
{
    uint32_t value_bytes = 0;
    const void *value = weir_table_get(shop->store, table, &key, sizeof key, &value_bytes);
    uint64_t number;
    if (!value)
        return UINT64_MAX;
    assert_int_equal(value_bytes, sizeof number);
    memcpy(&number, value, sizeof number);
    return number;
}

static void a_put_is_seen_at_once_and_the_commit_comes_later(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){0});
    struct shop_commit commit = shop_commit(&shop);
    uint32_t value_bytes = 0;
    assert_null(weir_table_get(shop.store, WEIR_TABLE_USER, "a", 1, &value_bytes));
    assert_int_equal(weir_table_put(shop.store, WEIR_TABLE_USER, "a", 1, "first", 5, &commit.commit), 0);
    assert_memory_equal(weir_table_get(shop.store, WEIR_TABLE_USER, "a", 1, &value_bytes), "first", 5);
    assert_int_equal(value_bytes, 5);
    assert_null(weir_table_get(shop.store, WEIR_TABLE_USER + 1, "a", 1, &value_bytes));
    assert_int_equal(commit.result, 1);
    TURN_UNTIL(&shop.live, commit.result == 0);
    commit.result = 1;
    assert_int_equal(weir_table_remove(shop.store, WEIR_TABLE_USER, "a", 1, &commit.commit), 0);
    assert_null(weir_table_get(shop.store, WEIR_TABLE_USER, "a", 1, &value_bytes));
    TURN_UNTIL(&shop.live, commit.result == 0);
    assert_int_equal(weir_table_put(shop.store, WEIR_TABLE_USER, "empty", 5, NULL, 0, NULL), 0);
    assert_non_null(weir_table_get(shop.store, WEIR_TABLE_USER, "empty", 5, &value_bytes));
    assert_int_equal(value_bytes, 0);
    close_shop(&shop);
}

static void count_row(void *context, const void *key, uint32_t key_bytes, const void *value, uint32_t value_bytes)
{
    (void)key, (void)value;
    assert_int_equal(key_bytes, 4);
    assert_int_equal(value_bytes, 8);
    ++*(uint32_t *)context;
}

static void many_rows_come_back_as_they_were(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){0});
    for (uint32_t i = 0; i < 5000; i++)
        put(&shop, WEIR_TABLE_USER, i, i);
    for (uint32_t i = 0; i < 5000; i += 2)
        put(&shop, WEIR_TABLE_USER, i, i + 1000000);
    for (uint32_t i = 0; i < 5000; i += 5)
        assert_int_equal(weir_table_remove(shop.store, WEIR_TABLE_USER, &i, sizeof i, NULL), 0);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 5000; i++)
            assert_int_equal(get(&shop, WEIR_TABLE_USER, i), i % 5 == 0 ? UINT64_MAX : i % 2 == 0 ? i + 1000000ull : i);
        uint32_t count = 0;
        weir_table_each(shop.store, WEIR_TABLE_USER, count_row, &count);
        assert_int_equal(count, 4000);
        shut_shop(&shop);
        open_shop_again(&shop);
    }
    put(&shop, WEIR_TABLE_USER, 1, 77); /* newer than what was recovered */
    shut_shop(&shop);
    open_shop_again(&shop);
    assert_int_equal(get(&shop, WEIR_TABLE_USER, 1), 77);
    close_shop(&shop);
}

static void rows_of_a_group_are_together_and_the_catalog_is_the_first_reactors(void **state)
{
    (void)state;
    static const char *const topics[] = {"a", "b", "c", "some.longer.name"};
    for (uint32_t reactors = 1; reactors <= 8; reactors++)
        for (uint32_t group = 0; group < 50; group++) {
            char key[64];
            int name_bytes = snprintf(key, sizeof key, "group-%u", group);
            uint32_t owner = weir_table_owner(WEIR_TABLE_GROUPS, key, (uint32_t)name_bytes, reactors);
            assert_true(owner < reactors);
            for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
                int topic_bytes = snprintf(key + name_bytes + 1, sizeof key - (size_t)name_bytes - 1, "%s", topics[i]);
                assert_int_equal(weir_table_owner(WEIR_TABLE_COMMITS, key, (uint32_t)(name_bytes + 1 + topic_bytes), reactors),
                                 owner);
            }
            assert_int_equal(weir_table_owner(WEIR_TABLE_CATALOG, key, 10, reactors), 0);
            assert_int_equal(weir_table_owner(WEIR_TABLE_NUMBERS, key, 10, reactors), 0);
        }
}

static void groups_are_spread(void **state)
{
    (void)state;
    uint32_t counts[4] = {0};
    for (uint32_t group = 0; group < 4000; group++) {
        char key[64];
        int bytes = snprintf(key, sizeof key, "group-%u", group);
        counts[weir_table_owner(WEIR_TABLE_GROUPS, key, (uint32_t)bytes, 4)]++;
    }
    for (int i = 0; i < 4; i++)
        assert_in_range(counts[i], 800, 1200);
}

int main(void)
{
    static const struct live_case cases[] = {
        LIVE_CASE(a_put_is_seen_at_once_and_the_commit_comes_later),
        LIVE_CASE(many_rows_come_back_as_they_were),
        LIVE_CASE(rows_of_a_group_are_together_and_the_catalog_is_the_first_reactors),
        LIVE_CASE(groups_are_spread),
    };
    return RUN_LIVE_CASES("table", cases);
}
