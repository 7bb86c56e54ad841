/*
 * tests/log/store_fixture.h - a store on a folder of its own and a real runtime, batches of known bytes, and calls that wait.
 */
#ifndef WEIR_TESTS_STORE_FIXTURE_H
#define WEIR_TESTS_STORE_FIXTURE_H

#include <ftw.h>
#include <sys/stat.h>

#include "tests/runtime/live_fixture.h"

#include "log/batch.h"
#include "log/store.h"

enum { SHOP_BATCH_ROOM = 300000 };

struct shop {
    struct live live;
    struct weir_data *data;
    struct weir_store *store;
    struct weir_store_options options;
    enum weir_log_level_kind level; /* of all topics */
    char folder[64];
    uint32_t told, failed; /* commits */
    bool drained;
};

static const struct weir_log_id shop_topic = {{7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
static const struct weir_partition_config shop_config = {.retention_ms = -1, .retention_bytes = -1};

static inline bool know_all(void *context, const struct weir_data *data, const struct weir_log_id *topic,
                            struct weir_data_topic *topic_out)
{
    (void)data, (void)topic;
    topic_out->level = ((struct shop *)context)->level;
    return true;
}

static inline void open_shop_again(struct shop *shop)
{
    char why[256] = "";
    struct weir_data_options options = {.journal_count = 1, .topic = know_all, .topic_context = shop};
    int result = weir_data_open(weir_disk_system(), shop->folder, &options, &shop->data, why, sizeof why);
    if (result < 0)
        print_message("%s\n", why);
    assert_int_equal(result, 0);
    assert_int_equal(weir_data_share(shop->data), 0);
    assert_int_equal(weir_store_open(shop->data, shop->live.reactor, &shop->options, &shop->store), 0);
}

static inline void open_shop(struct shop *shop, void **state, struct weir_store_options options)
{
    memset(shop, 0, sizeof *shop);
    open_live(&shop->live, state, 1);
    snprintf(shop->folder, sizeof shop->folder, "/tmp/weir-store-test-XXXXXX");
    assert_non_null(mkdtemp(shop->folder));
    shop->options = options;
    if (shop->options.extent_bytes == 0)
        shop->options.extent_bytes = 1 << 20;
    open_shop_again(shop);
}

static inline void on_shop_drained(void *context)
{
    ((struct shop *)context)->drained = true;
}

static inline void shut_shop(struct shop *shop) /* and what is in it stays */
{
    shop->drained = false;
    weir_store_drain(shop->store, on_shop_drained, shop);
    TURN_UNTIL(&shop->live, shop->drained);
    weir_store_close(shop->store);
    weir_data_close(shop->data);
}

static inline int remove_name(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info, (void)kind, (void)place;
    return remove(path);
}

static inline void close_shop(struct shop *shop)
{
    shut_shop(shop);
    close_live(&shop->live);
    nftw(shop->folder, remove_name, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- Commits that wait ---- */

struct shop_commit {
    struct weir_commit commit;
    struct shop *shop;
    int result; /* 1: not told */
};

static inline void on_shop_commit(struct weir_commit *commit, int result)
{
    struct shop_commit *own = WEIR_CONTAINER(commit, struct shop_commit, commit);
    assert_int_equal(own->result, 1);
    own->result = result;
    own->shop->told++;
}

static inline struct shop_commit shop_commit(struct shop *shop)
{
    return (struct shop_commit){.commit = {.done = on_shop_commit}, .shop = shop, .result = 1};
}

/* ---- Batches: record i of a batch at base b has the value byte_at(b + i ...) ---- */

static inline size_t make_batch(uint8_t *bytes, uint64_t number, uint32_t record_count, uint32_t value_bytes, int64_t first_ms)
{
    static uint8_t value[SHOP_BATCH_ROOM];
    struct weir_batch_build build;
    weir_batch_begin(&build, bytes, SHOP_BATCH_ROOM);
    for (uint32_t i = 0; i < record_count; i++) {
        fill_bytes(value, value_bytes, (number + i) * 977);
        assert_int_equal(weir_batch_add(&build, first_ms + i, "k", 1, value, value_bytes, NULL, 0), 0);
    }
    return weir_batch_finish(&build);
}

static inline int append_at(struct weir_partition *partition, uint64_t number, uint32_t record_count, uint32_t value_bytes,
                            int64_t first_ms, struct weir_commit *commit, uint64_t *base_out)
{
    static uint8_t bytes[SHOP_BATCH_ROOM];
    struct weir_batch batch;
    size_t byte_count = make_batch(bytes, number, record_count, value_bytes, first_ms);
    assert_int_equal(weir_batch_check_produced(bytes, byte_count, &batch), WEIR_BATCH_FINE);
    return weir_partition_append(partition, bytes, &batch, commit, base_out);
}

static inline struct weir_partition *open_partition(struct shop *shop, uint32_t number, struct weir_partition_config config)
{
    struct weir_partition *partition;
    config.level = shop->level;
    assert_int_equal(weir_partition_open(shop->store, &shop_topic, number, &config, &partition), 0);
    return partition;
}

/* `count` batches of one record; each acknowledged before the next. Timestamps are 1000 times the offset. */
static inline void append_some(struct shop *shop, struct weir_partition *partition, uint32_t count, uint32_t value_bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        struct weir_partition_view view;
        weir_partition_view(partition, &view);
        struct shop_commit commit = shop_commit(shop);
        uint64_t base;
        assert_int_equal(append_at(partition, view.end_offset, 1, value_bytes, (int64_t)view.end_offset * 1000, &commit.commit, &base),
                         0);
        assert_int_equal(base, view.end_offset);
        TURN_UNTIL(&shop->live, commit.result != 1);
        assert_int_equal(commit.result, 0);
    }
}

/* ---- Reads that wait ---- */

struct shop_read {
    struct weir_read read; /* first */
    int result;
};

static inline void on_shop_read(struct weir_read *read, int result)
{
    ((struct shop_read *)read)->result = result;
}

static inline void read_at(struct shop *shop, struct weir_partition *partition, uint64_t offset, size_t bytes_max,
                           struct shop_read *own)
{
    *own = (struct shop_read){.read = {.offset = offset, .limit_offset = UINT64_MAX, .bytes_max = bytes_max, .done = on_shop_read}};
    own->result = weir_partition_read(partition, &own->read);
    TURN_UNTIL(&shop->live, own->result != 0);
}

static inline void check_record(const uint8_t *batch_bytes, const struct weir_batch *batch)
{
    struct weir_batch_walk walk;
    struct weir_batch_record record;
    assert_int_equal(weir_batch_walk(&walk, batch_bytes, batch, NULL, 0), 0);
    while (weir_batch_next(&walk, &record) == 1)
        assert_true(bytes_are(record.value, record.value_bytes, record.offset * 977));
}

/* Every batch that came, whole and right; the offsets without a gap. */
static inline uint64_t check_read(const struct shop_read *own)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < own->read.slice_count; i++) {
        const uint8_t *at = own->read.slices[i].bytes;
        const uint8_t *end = at + own->read.slices[i].byte_count;
        while (at < end) {
            struct weir_batch batch;
            assert_int_equal(weir_batch_check(at, (size_t)(end - at), &batch), WEIR_BATCH_FINE);
            if (next == UINT64_MAX)
                assert_true(batch.base_offset <= own->read.offset && batch.base_offset + batch.last_delta >= own->read.offset);
            else
                assert_int_equal(batch.base_offset, next);
            check_record(at, &batch);
            next = batch.base_offset + batch.last_delta + 1;
            at += batch.byte_count;
        }
    }
    assert_int_equal(next, own->read.next_offset);
    return next;
}

/* From start to high watermark. How many reads it took. */
static inline uint32_t read_all(struct shop *shop, struct weir_partition *partition, size_t bytes_max)
{
    struct weir_partition_view view;
    weir_partition_view(partition, &view);
    uint32_t reads = 0;
    for (uint64_t offset = view.start_offset; offset < view.high_watermark; reads++) {
        struct shop_read own;
        read_at(shop, partition, offset, bytes_max, &own);
        assert_int_equal(own.result, 1);
        offset = check_read(&own);
        weir_read_release(partition, &own.read);
    }
    return reads;
}

#endif
