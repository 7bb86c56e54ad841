/* tests/log/partition_test.c - levels, and what a partition remembers. */
#include "tests/log/store_fixture.h"

#define KIB 1024u

static void append_one(struct shop *shop, struct weir_partition *partition, struct shop_commit *commit)
{
    struct weir_partition_view view;
    uint64_t base;
    weir_partition_view(partition, &view);
    *commit = shop_commit(shop);
    assert_int_equal(append_at(partition, view.end_offset, 1, 500, 0, &commit->commit, &base), 0);
}

static uint64_t file_bytes(const struct shop *shop, uint32_t number, uint64_t base)
{
    char path[256];
    struct stat info;
    weir_data_path(path, sizeof path, shop->folder, &shop_topic, number, base, ".log");
    return stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

static void synced_is_in_the_journal_and_no_file_is_made_for_it(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){0});
    struct weir_partition *partition = open_partition(&shop, 0, shop_config);
    struct shop_commit commit;
    append_one(&shop, partition, &commit);
    TURN_UNTIL(&shop.live, commit.result == 0);
    assert_int_equal(weir_store_journal_counters(shop.store)->frames, 1);
    assert_int_equal(weir_store_counters(shop.store)->segment_write_bytes, 0);
    assert_int_equal(file_bytes(&shop, 0, 0), 0);
    close_shop(&shop);
}

static void written_is_in_the_file_when_it_is_told(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){0});
    shop.level = WEIR_LEVEL_WRITTEN;
    struct weir_partition *partition = open_partition(&shop, 0, shop_config);
    for (int i = 0; i < 10; i++) {
        struct shop_commit commit;
        struct weir_partition_view view;
        append_one(&shop, partition, &commit);
        TURN_UNTIL(&shop.live, commit.result == 0);
        weir_partition_view(partition, &view);
        assert_int_equal(file_bytes(&shop, 0, 0), view.byte_count);
    }
    assert_int_equal(weir_store_journal_counters(shop.store)->frames, 0);
    close_shop(&shop);
}

static void memory_is_told_at_the_end_of_the_turn(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){0});
    shop.level = WEIR_LEVEL_MEMORY;
    struct weir_partition *partition = open_partition(&shop, 0, shop_config);
    struct shop_commit commit;
    append_one(&shop, partition, &commit);
    assert_int_equal(commit.result, 1);
    turn_once(&shop.live, 0, 0);
    assert_int_equal(commit.result, 0);
    assert_int_equal(weir_store_journal_counters(shop.store)->frames, 0);
    close_shop(&shop);
}

/* A frame is worth nothing behind batches that only memory has. */
static void a_topic_made_synced_waits_for_a_checkpoint_of_what_was_not(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){0});
    shop.level = WEIR_LEVEL_MEMORY;
    struct weir_partition *partition = open_partition(&shop, 0, shop_config);
    struct shop_commit before, after;
    append_one(&shop, partition, &before);
    TURN_UNTIL(&shop.live, before.result == 0);
    struct weir_partition_config config = shop_config;
    config.level = WEIR_LEVEL_SYNCED;
    weir_partition_configure(partition, &config);
    append_one(&shop, partition, &after);
    while (after.result == 1) {
        assert_int_equal(weir_store_counters(shop.store)->checkpoints, 0);
        turn_all(&shop.live);
    }
    assert_int_equal(after.result, 0);
    assert_int_equal(weir_store_counters(shop.store)->checkpoints, 1);
    for (int i = 0; i < 10; i++) { /* and no other has to: at most one was asked for while the first was made */
        append_one(&shop, partition, &after);
        TURN_UNTIL(&shop.live, after.result == 0);
    }
    assert_true(weir_store_counters(shop.store)->checkpoints <= 2);
    close_shop(&shop);
}

static void *state_of(void *context, struct weir_partition *partition, size_t *byte_count_out)
{
    struct weir_partition_view view;
    (void)context;
    weir_partition_view(partition, &view);
    uint64_t *state = malloc(sizeof *state);
    assert_non_null(state);
    *state = view.end_offset * 3;
    *byte_count_out = sizeof *state;
    return state;
}

static void check_state(struct weir_partition *partition, uint64_t expected)
{
    size_t byte_count;
    uint64_t offset, value;
    const void *bytes = weir_partition_state(partition, &byte_count, &offset);
    assert_non_null(bytes);
    assert_int_equal(byte_count, sizeof value);
    memcpy(&value, bytes, sizeof value);
    assert_int_equal(offset, expected);
    assert_int_equal(value, expected * 3);
}

static void the_brokers_state_comes_back_with_its_offset(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){.state = state_of});
    struct weir_partition *partition = open_partition(&shop, 0, shop_config);
    size_t byte_count;
    uint64_t offset;
    assert_null(weir_partition_state(partition, &byte_count, &offset));
    append_some(&shop, partition, 7, 100);
    shut_shop(&shop);
    open_shop_again(&shop);
    shut_shop(&shop); /* a life in which nobody opened it */
    open_shop_again(&shop);
    check_state(open_partition(&shop, 0, shop_config), 7);
    close_shop(&shop);
}

static void a_state_is_never_newer_than_what_is_durable(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){.state = state_of});
    struct weir_partition *partition = open_partition(&shop, 0, shop_config);
    for (uint32_t i = 0; i < 200; i++) { /* something is always under way */
        uint64_t base;
        assert_int_equal(append_at(partition, i, 1, 100, 0, NULL, &base), 0);
        if (i % 20 == 0)
            weir_store_checkpoint(shop.store);
        turn_once(&shop.live, 0, 0);
        uint64_t offset;
        size_t byte_count;
        struct weir_partition_view view;
        weir_partition_view(partition, &view);
        if (weir_partition_state(partition, &byte_count, &offset))
            assert_true(offset <= view.high_watermark);
    }
    TURN_UNTIL(&shop.live, weir_store_counters(shop.store)->checkpoints > 1);
    close_shop(&shop);
}

static void small_partitions_hold_little_memory(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){0});
    for (uint32_t i = 0; i < 100; i++) {
        uint64_t base;
        assert_int_equal(append_at(open_partition(&shop, i, shop_config), 0, 1, 100, 0, NULL, &base), 0);
    }
    for (uint32_t i = 100; i < 1000; i++)
        open_partition(&shop, i, shop_config);
    assert_int_equal(weir_store_counters(shop.store)->tail_bytes, 100 * 4 * KIB);
    assert_int_equal(weir_store_counters(shop.store)->open_files, 0);
    close_shop(&shop);
}

struct patient {
    struct weir_store_waiter waiter;
    uint32_t number;
    uint32_t *called;
};

static void on_room(struct weir_store_waiter *waiter)
{
    struct patient *patient = WEIR_CONTAINER(waiter, struct patient, waiter);
    assert_int_equal(*patient->called, patient->number); /* in order */
    ++*patient->called;
}

static void who_waits_for_room_is_called_in_order(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){.extent_bytes = 64 * KIB, .extents_max = 4});
    struct weir_partition *partition = open_partition(&shop, 0, shop_config);
    uint64_t base;
    uint32_t called = 0, appended = 0;
    while (append_at(partition, appended, 1, 8000, 0, NULL, &base) == 0)
        appended++;
    struct patient patients[3];
    for (uint32_t i = 0; i < 3; i++) {
        patients[i] = (struct patient){{.fn = on_room}, i, &called};
        weir_store_wait(shop.store, &patients[i].waiter);
    }
    assert_int_equal(called, 0);
    TURN_UNTIL(&shop.live, called == 3);
    assert_int_equal(append_at(partition, appended, 1, 8000, 0, NULL, &base), 0);
    close_shop(&shop);
}

int main(void)
{
    static const struct live_case cases[] = {
        LIVE_CASE(synced_is_in_the_journal_and_no_file_is_made_for_it),
        LIVE_CASE(written_is_in_the_file_when_it_is_told),
        LIVE_CASE(memory_is_told_at_the_end_of_the_turn),
        LIVE_CASE(a_topic_made_synced_waits_for_a_checkpoint_of_what_was_not),
        LIVE_CASE(the_brokers_state_comes_back_with_its_offset),
        LIVE_CASE(a_state_is_never_newer_than_what_is_durable),
        LIVE_CASE(small_partitions_hold_little_memory),
        LIVE_CASE(who_waits_for_room_is_called_in_order),
    };
    return RUN_LIVE_CASES("partition", cases);
}
