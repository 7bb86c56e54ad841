/* tests/log/segment_test.c - segments and their indexes: rolled, found, made anew, and never believed. */
#include "tests/log/store_fixture.h"

#define KIB 1024u

static void path_of(const struct shop *shop, uint64_t base, const char *suffix, char path[256])
{
    assert_true(weir_data_path(path, 256, shop->folder, &shop_topic, 0, base, suffix) > 0);
}

/* Three segments and what is in the last; everything on the disk, nothing in memory. */
static struct weir_partition *fill(struct shop *shop, struct weir_partition_config *config)
{
    *config = shop_config;
    config->segment_bytes = 100 * KIB;
    struct weir_partition *partition = open_partition(shop, 0, *config);
    append_some(shop, partition, 100, 3000);
    shut_shop(shop);
    open_shop_again(shop);
    return open_partition(shop, 0, *config);
}

static void a_segment_is_rolled_when_it_would_be_too_large(void **state)
{
    struct shop shop;
    struct weir_partition_config config;
    open_shop(&shop, state, (struct weir_store_options){0});
    struct weir_partition *partition = fill(&shop, &config);
    struct weir_partition_view view;
    weir_partition_view(partition, &view);
    assert_int_equal(view.segment_count, 4);
    uint64_t bytes = 0;
    char path[256];
    for (uint64_t base = 0; base < 100; base++) {
        struct stat info;
        path_of(&shop, base, ".log", path);
        if (stat(path, &info) < 0)
            continue;
        assert_true(info.st_size <= 100 * KIB);
        bytes += (uint64_t)info.st_size;
    }
    assert_int_equal(bytes, view.byte_count);
    close_shop(&shop);
}

static void every_offset_is_found_from_the_disk(void **state)
{
    struct shop shop;
    struct weir_partition_config config;
    open_shop(&shop, state, (struct weir_store_options){0});
    struct weir_partition *partition = fill(&shop, &config);
    for (uint32_t i = 0; i < 100; i++) {
        struct shop_read own;
        read_at(&shop, partition, (i * 37) % 100, 1, &own);
        assert_int_equal(own.result, 1);
        assert_int_equal(check_read(&own), (i * 37) % 100 + 1);
        weir_read_release(partition, &own.read);
    }
    assert_int_equal(weir_store_counters(shop.store)->reads_tail, 0);
    close_shop(&shop);
}

static void damage(const char *path, size_t byte_count)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (size_t i = 0; i < byte_count; i++)
        fputc((int)(i * 7 % 251), file);
    fclose(file);
}

/* Entries in order, of a plausible size, that lead into the middle of batches. */
static void write_false_index(const char *path)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (uint64_t i = 1; i < 5; i++) {
        uint64_t entry[3] = {i * 5, i * 16400 + 11, 0};
        assert_int_equal(fwrite(entry, sizeof entry, 1, file), 1);
    }
    fclose(file);
}

static void an_index_that_is_missing_damaged_or_false_is_made_anew(void **state)
{
    for (int kind = 0; kind < 4; kind++) {
        struct shop shop;
        struct weir_partition_config config;
        open_shop(&shop, state, (struct weir_store_options){0});
        fill(&shop, &config);
        shut_shop(&shop);
        char path[256];
        path_of(&shop, 0, ".index", path);
        if (kind == 0)
            unlink(path);
        else if (kind == 1)
            damage(path, 24 * 5);
        else if (kind == 2)
            damage(path, 100);
        else
            write_false_index(path);
        open_shop_again(&shop);
        read_all(&shop, open_partition(&shop, 0, config), 2000);
        close_shop(&shop);
    }
}

static void a_batch_larger_than_a_read_comes_whole(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){0});
    append_some(&shop, open_partition(&shop, 0, shop_config), 5, 250000);
    shut_shop(&shop);
    open_shop_again(&shop);
    struct weir_partition *partition = open_partition(&shop, 0, shop_config);
    assert_int_equal(read_all(&shop, partition, 100), 5);
    assert_int_equal(weir_store_counters(shop.store)->reads_tail, 0);
    close_shop(&shop);
}

static void a_read_that_is_cancelled_is_not_told(void **state)
{
    struct shop shop;
    struct weir_partition_config config;
    open_shop(&shop, state, (struct weir_store_options){0});
    struct weir_partition *partition = fill(&shop, &config);
    struct shop_read own = {.read = {.offset = 50, .limit_offset = UINT64_MAX, .bytes_max = 1000, .done = on_shop_read}};
    assert_int_equal(weir_partition_read(partition, &own.read), 0);
    weir_read_cancel(&own.read);
    read_all(&shop, partition, 10000);
    assert_int_equal(own.result, 0);
    close_shop(&shop);
}

static void many_partitions_share_few_open_files(void **state)
{
    struct shop shop;
    open_shop(&shop, state, (struct weir_store_options){0});
    for (uint32_t i = 0; i < 400; i++) {
        uint64_t base;
        assert_int_equal(append_at(open_partition(&shop, i, shop_config), 0, 1, 100, 0, NULL, &base), 0);
    }
    weir_store_checkpoint(shop.store);
    TURN_UNTIL(&shop.live, weir_store_counters(shop.store)->checkpoints > 0);
    shut_shop(&shop);
    open_shop_again(&shop);
    for (uint32_t i = 0; i < 400; i++)
        read_all(&shop, open_partition(&shop, i, shop_config), 1000);
    assert_int_equal(weir_store_counters(shop.store)->reads_disk, 400);
    assert_true(weir_store_counters(shop.store)->open_files <= 257);
    close_shop(&shop);
}

int main(void)
{
    static const struct live_case cases[] = {
        LIVE_CASE(a_segment_is_rolled_when_it_would_be_too_large),
        LIVE_CASE(every_offset_is_found_from_the_disk),
        LIVE_CASE(an_index_that_is_missing_damaged_or_false_is_made_anew),
        LIVE_CASE(a_batch_larger_than_a_read_comes_whole),
        LIVE_CASE(a_read_that_is_cancelled_is_not_told),
        LIVE_CASE(many_partitions_share_few_open_files),
    };
    return RUN_LIVE_CASES("segment", cases);
}
