/* tests/log/store_test.c - a store on each io of the system, its promises one by one. Crashes are crash_sim.c's. */
#include "tests/log/store_fixture.h"

#define KIB 1024u

static void what_is_appended_is_read_from_the_tail(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){0});
    struct weir_partition *partition = open_partition(&shop, 0, shop_config);
    append_some(&shop, partition, 30, 3000);
    assert_true(read_all(&shop, partition, 10000) >= 10);
    assert_int_equal(weir_store_counters(shop.store)->reads_disk, 0);
    close_shop(&shop);
}

static void a_restart_finds_everything(void **state)
{
    for (int level = WEIR_LEVEL_SYNCED; level <= WEIR_LEVEL_MEMORY; level++) {
        struct shop shop;
        open_shop(&shop, state, (struct weir_store_options){0});
        shop.level = (enum weir_log_level_kind)level;
        struct weir_partition_config config = shop_config;
        config.segment_bytes = 16 * KIB;
        append_some(&shop, open_partition(&shop, 3, config), 50, 2000);
        assert_int_equal(weir_table_put(shop.store, WEIR_TABLE_USER, "key", 3, "value", 5, NULL), 0);
        shut_shop(&shop);
        open_shop_again(&shop);
        struct weir_partition *partition = open_partition(&shop, 3, config);
        struct weir_partition_view view;
        weir_partition_view(partition, &view);
        assert_int_equal(view.high_watermark, 50);
        assert_true(view.segment_count > 4);
        assert_int_equal(view.timestamp_ms, 49000);
        read_all(&shop, partition, 5000);
        assert_true(weir_store_counters(shop.store)->reads_disk > 0);
        uint32_t value_bytes = 0;
        assert_memory_equal(weir_table_get(shop.store, WEIR_TABLE_USER, "key", 3, &value_bytes), "value", 5);
        append_some(&shop, partition, 10, 2000);
        assert_int_equal(read_all(&shop, partition, 1 << 20) > 0, 1);
        close_shop(&shop);
    }
}

static void a_small_tail_lets_go_of_what_is_written(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){.tail_bytes_max = 256 * KIB});
    struct weir_partition *partition = open_partition(&shop, 0, shop_config);
    struct shop_commit commits[400];
    for (uint32_t i = 0; i < 400; i++) {
        uint64_t base;
        commits[i] = shop_commit(&shop);
        int result;
        while ((result = append_at(partition, i, 1, 5000, 0, &commits[i].commit, &base)) == -EAGAIN)
            turn_all(&shop.live);
        assert_int_equal(result, 0);
        assert_true(weir_store_counters(shop.store)->tail_bytes <= 256 * KIB);
    }
    TURN_UNTIL(&shop.live, shop.told == 400);
    read_all(&shop, partition, 30000);
    assert_true(weir_store_counters(shop.store)->reads_disk > 0);
    assert_true(weir_store_counters(shop.store)->reads_tail > 0);
    close_shop(&shop);
}

struct waiter {
    struct weir_tail_waiter tail;
    int result; /* 1: not called */
};

static void on_tail(struct weir_tail_waiter *tail, int result)
{
    struct waiter *waiter = WEIR_CONTAINER(tail, struct waiter, tail);
    assert_int_equal(waiter->result, 1);
    waiter->result = result;
}

static void who_waits_at_the_end_is_called_when_it_passes(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){0});
    struct weir_partition *partition = open_partition(&shop, 0, shop_config);
    struct waiter first = {{.offset = 0, .fn = on_tail}, 1}, second = {{.offset = 1, .fn = on_tail}, 1};
    struct waiter late = {{.offset = 0, .fn = on_tail}, 1}, cancelled = {{.offset = 0, .fn = on_tail}, 1};
    weir_partition_wait(partition, &first.tail);
    weir_partition_wait(partition, &second.tail);
    weir_partition_wait(partition, &cancelled.tail);
    weir_tail_wait_cancel(&cancelled.tail);
    append_some(&shop, partition, 1, 10);
    TURN_UNTIL(&shop.live, first.result == 0);
    assert_int_equal(second.result, 1);
    weir_partition_wait(partition, &late.tail);
    assert_int_equal(late.result, 1); /* not from within */
    TURN_UNTIL(&shop.live, late.result == 0);
    append_some(&shop, partition, 1, 10);
    TURN_UNTIL(&shop.live, second.result == 0);
    assert_int_equal(cancelled.result, 1);
    close_shop(&shop);
}

static void acknowledgements_come_in_order_and_in_a_later_turn(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){0});
    struct weir_partition *partition = open_partition(&shop, 0, shop_config);
    struct shop_commit commits[20];
    for (uint32_t i = 0; i < 20; i++) {
        uint64_t base;
        commits[i] = shop_commit(&shop);
        assert_int_equal(append_at(partition, i * 3, 3, 100, 0, &commits[i].commit, &base), 0);
        assert_int_equal(base, i * 3);
    }
    struct weir_partition_view view;
    weir_partition_view(partition, &view);
    assert_int_equal(view.high_watermark, 0);
    assert_int_equal(view.end_offset, 60);
    assert_int_equal(shop.told, 0);
    while (shop.told < 20) {
        turn_all(&shop.live);
        weir_partition_view(partition, &view);
        for (uint32_t i = 0; i < 20; i++)
            assert_int_equal(commits[i].result, i < shop.told ? 0 : 1);
        assert_int_equal(view.high_watermark, shop.told * 3);
    }
    close_shop(&shop);
}

static void reads_out_of_range_are_refused(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){0});
    struct weir_partition *partition = open_partition(&shop, 0, shop_config);
    append_some(&shop, partition, 5, 100);
    struct shop_commit commit = shop_commit(&shop);
    assert_int_equal(weir_partition_delete_before(partition, 6, NULL), -ERANGE);
    assert_int_equal(weir_partition_delete_before(partition, 2, &commit.commit), 0);
    TURN_UNTIL(&shop.live, commit.result == 0);
    struct shop_read own;
    read_at(&shop, partition, 1, 1000, &own);
    assert_int_equal(own.result, -ERANGE);
    read_at(&shop, partition, 6, 1000, &own);
    assert_int_equal(own.result, -ERANGE);
    read_at(&shop, partition, 5, 1000, &own);
    assert_int_equal(own.result, 1);
    assert_int_equal(own.read.byte_count, 0);
    read_at(&shop, partition, 2, 1, &own); /* one batch, however large */
    assert_int_equal(own.result, 1);
    assert_int_equal(check_read(&own), 3);
    weir_read_release(partition, &own.read);
    close_shop(&shop);
}

struct seek {
    struct weir_seek seek;
    int result;
};

static void on_seek(struct weir_seek *seek, int result)
{
    WEIR_CONTAINER(seek, struct seek, seek)->result = result;
}

static uint64_t seek_to(struct shop *shop, struct weir_partition *partition, int64_t timestamp_ms)
{
    struct seek seek = {.seek = {.timestamp_ms = timestamp_ms, .done = on_seek}};
    seek.result = weir_partition_seek(partition, &seek.seek);
    TURN_UNTIL(&shop->live, seek.result != 0);
    assert_int_equal(seek.result, 1);
    return seek.seek.offset;
}

static void a_time_is_found_in_the_tail_and_in_old_segments(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){0});
    struct weir_partition_config config = shop_config;
    config.segment_bytes = 60 * KIB;
    struct weir_partition *partition = open_partition(&shop, 0, config);
    append_some(&shop, partition, 100, 3000);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 100; i += 7) {
            assert_int_equal(seek_to(&shop, partition, (int64_t)i * 1000), i);
            assert_int_equal(seek_to(&shop, partition, (int64_t)i * 1000 - 999), i);
        }
        assert_int_equal(seek_to(&shop, partition, 99001), UINT64_MAX);
        shut_shop(&shop);
        open_shop_again(&shop);
        partition = open_partition(&shop, 0, config);
    }
    close_shop(&shop);
}

static bool is_there(const struct shop *shop, uint32_t number, uint64_t base)
{
    char path[256];
    weir_data_path(path, sizeof path, shop->folder, &shop_topic, number, base, ".log");
    return access(path, F_OK) == 0;
}

static void what_is_over_the_limit_goes_by_whole_segments(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){0});
    struct weir_partition_config config = shop_config;
    config.segment_bytes = 10 * KIB;
    config.delete_old = true;
    config.retention_bytes = 25 * KIB;
    struct weir_partition *partition = open_partition(&shop, 0, config);
    append_some(&shop, partition, 50, 2000);
    weir_store_checkpoint(shop.store);
    TURN_UNTIL(&shop.live, weir_store_counters(shop.store)->checkpoints > 0);
    assert_true(is_there(&shop, 0, 0));
    weir_store_clean(shop.store);
    TURN_UNTIL(&shop.live, weir_store_counters(shop.store)->segments_removed > 5);
    assert_false(is_there(&shop, 0, 0));
    struct weir_partition_view view;
    weir_partition_view(partition, &view);
    assert_true(view.byte_count >= 25 * KIB && view.byte_count < 36 * KIB);
    assert_true(view.start_offset > 30 && view.start_offset < 40);
    read_all(&shop, partition, 1 << 20);
    close_shop(&shop);
}

static void a_dropped_topic_tells_who_waits_and_leaves_no_files(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){0});
    struct weir_partition *partition = open_partition(&shop, 2, shop_config);
    append_some(&shop, partition, 20, 5000);
    weir_store_checkpoint(shop.store);
    TURN_UNTIL(&shop.live, weir_store_counters(shop.store)->checkpoints > 0);
    assert_true(is_there(&shop, 2, 0));
    struct waiter waiter = {{.offset = 20, .fn = on_tail}, 1};
    weir_partition_wait(partition, &waiter.tail);
    struct shop_commit commit = shop_commit(&shop);
    assert_int_equal(weir_store_drop(shop.store, &shop_topic, &commit.commit), 0);
    uint64_t base;
    assert_int_equal(append_at(partition, 0, 1, 1, 0, NULL, &base), -ENOENT);
    TURN_UNTIL(&shop.live, commit.result == 0 && waiter.result == -ENOENT);
    TURN_UNTIL(&shop.live, !is_there(&shop, 2, 0));
    assert_int_equal(weir_store_counters(shop.store)->partitions, 0);
    partition = open_partition(&shop, 2, shop_config); /* another of this name begins at 0 */
    append_some(&shop, partition, 3, 100);
    close_shop(&shop);
}

static void a_full_journal_asks_for_patience_and_a_checkpoint_makes_room(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){.extent_bytes = 64 * KIB, .extents_max = 4});
    struct weir_partition *partition = open_partition(&shop, 0, shop_config);
    uint32_t refused = 0;
    for (uint32_t i = 0; i < 300; i++) {
        uint64_t base;
        int result;
        while ((result = append_at(partition, i, 1, 8000, 0, NULL, &base)) == -EAGAIN) {
            refused++;
            turn_all(&shop.live);
        }
        assert_int_equal(result, 0);
    }
    struct weir_partition_view view;
    TURN_UNTIL(&shop.live, (weir_partition_view(partition, &view), view.high_watermark == 300));
    assert_true(refused > 0);
    assert_true(weir_store_counters(shop.store)->checkpoints > 4);
    read_all(&shop, partition, 1 << 20);
    close_shop(&shop);
}

static void after_a_drain_nothing_is_taken(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){0});
    struct weir_partition *partition = open_partition(&shop, 0, shop_config);
    append_some(&shop, partition, 1, 10);
    weir_store_drain(shop.store, on_shop_drained, &shop);
    uint64_t base;
    assert_int_equal(append_at(partition, 1, 1, 1, 0, NULL, &base), -ESHUTDOWN);
    assert_int_equal(weir_table_put(shop.store, WEIR_TABLE_USER, "a", 1, "b", 1, NULL), -ESHUTDOWN);
    assert_false(shop.drained); /* in a later turn */
    TURN_UNTIL(&shop.live, shop.drained);
    assert_int_equal(weir_store_counters(shop.store)->checkpoints, 1);
    assert_int_equal(weir_store_counters(shop.store)->open_files, 0);
    weir_store_close(shop.store);
    weir_data_close(shop.data);
    open_shop_again(&shop);
    assert_int_equal(shop.data->report.journal_frames, 0); /* the checkpoint had it all */
    close_shop(&shop);
}

int main(void)
{
    static const struct live_case cases[] = {
        LIVE_CASE(what_is_appended_is_read_from_the_tail),
        LIVE_CASE(a_restart_finds_everything),
        LIVE_CASE(a_small_tail_lets_go_of_what_is_written),
        LIVE_CASE(who_waits_at_the_end_is_called_when_it_passes),
        LIVE_CASE(acknowledgements_come_in_order_and_in_a_later_turn),
        LIVE_CASE(reads_out_of_range_are_refused),
        LIVE_CASE(a_time_is_found_in_the_tail_and_in_old_segments),
        LIVE_CASE(what_is_over_the_limit_goes_by_whole_segments),
        LIVE_CASE(a_dropped_topic_tells_who_waits_and_leaves_no_files),
        LIVE_CASE(a_full_journal_asks_for_patience_and_a_checkpoint_makes_room),
        LIVE_CASE(after_a_drain_nothing_is_taken),
    };
    return RUN_LIVE_CASES("store", cases);
}
