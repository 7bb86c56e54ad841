/*
 * Description: idempotent producers and transactions - random histories against a model that looks through the whole log each time.
 */
#include "tests/broker/producers_fixture.h"

#include "base/hash.h"

enum { DATA = 0, TXN = 1, ABORT = 2, COMMIT = 3 };

/* The whole log. A batch is out of memory once five newer ones of its producer have been there. */
enum { LOG_MAX = 400, IDS = 4 };
struct entry {
    struct weir_batch batch;
    uint64_t offset;
    int kind;
    bool out_of_memory;
};
struct model {
    struct entry entries[LOG_MAX];
    uint32_t count;
    uint64_t end;
    uint64_t random;
};

static uint32_t below(struct model *model, uint32_t limit)
{
    model->random += 0x9e3779b97f4a7c15u;
    return (uint32_t)(weir_hash_u64(model->random, 7) % limit);
}

static const struct entry *newest_of(const struct model *model, int64_t id, bool data)
{
    for (uint32_t i = model->count; i-- > 0;)
        if (model->entries[i].batch.producer_id == id && (!data || model->entries[i].kind <= TXN))
            return &model->entries[i];
    return NULL;
}

static int32_t next_of(const struct model *model, int64_t id, int16_t *epoch_out)
{
    const struct entry *newest = newest_of(model, id, false);
    const struct entry *data = newest_of(model, id, true);
    *epoch_out = newest ? newest->batch.producer_epoch : -1;
    if (!data || data->batch.producer_epoch != *epoch_out)
        return 0;
    return (int32_t)(((uint32_t)data->batch.base_sequence + data->batch.record_count) & INT32_MAX);
}

static enum weir_producer_verdict expected_verdict(const struct model *model, const struct weir_batch *batch, uint64_t *base_out)
{
    int16_t epoch;
    int32_t next = next_of(model, batch->producer_id, &epoch);
    if (epoch == -1)
        return WEIR_PRODUCER_APPEND;
    if (batch->producer_epoch < epoch)
        return WEIR_PRODUCER_STALE;
    if (batch->producer_epoch > epoch)
        return batch->base_sequence == 0 ? WEIR_PRODUCER_APPEND : WEIR_PRODUCER_OUT_OF_ORDER;
    for (uint32_t i = 0; i < model->count; i++) {
        const struct entry *entry = &model->entries[i];
        if (entry->kind <= TXN && !entry->out_of_memory && entry->batch.producer_id == batch->producer_id &&
            entry->batch.producer_epoch == batch->producer_epoch && entry->batch.base_sequence == batch->base_sequence &&
            entry->batch.record_count == batch->record_count) {
            *base_out = entry->offset;
            return WEIR_PRODUCER_DUPLICATE;
        }
    }
    return batch->base_sequence == next ? WEIR_PRODUCER_APPEND : WEIR_PRODUCER_OUT_OF_ORDER;
}

static void append(struct model *model, struct weir_producers *producers, struct weir_batch batch, int kind)
{
    uint32_t newer = 0;
    struct entry *entry = &model->entries[model->count++];
    *entry = (struct entry){.batch = batch, .offset = model->end, .kind = kind};
    for (uint32_t i = model->count; i-- > 0 && kind <= TXN;)
        if (model->entries[i].batch.producer_id == batch.producer_id && model->entries[i].kind <= TXN && newer++ >= 5)
            model->entries[i].out_of_memory = true;
    note(producers, batch, model->end);
    model->end += batch.last_delta + 1;
}

/* Where the open transaction of a producer began; UINT64_MAX: there is none. */
static uint64_t open_since(const struct model *model, int64_t id, uint32_t count)
{
    uint64_t since = UINT64_MAX;
    for (uint32_t i = 0; i < count; i++) {
        if (model->entries[i].batch.producer_id != id)
            continue;
        if (model->entries[i].kind == TXN && since == UINT64_MAX)
            since = model->entries[i].offset;
        if (model->entries[i].kind >= ABORT)
            since = UINT64_MAX;
    }
    return since;
}

static void compare_transactions(const struct model *model, struct weir_producers *producers)
{
    struct weir_aborted_range ranges[LOG_MAX];
    uint64_t stable = model->end;
    uint32_t aborted = 0;
    uint32_t count = weir_producers_aborted(producers, 0, model->end, ranges, LOG_MAX);
    for (int64_t id = 0; id < IDS; id++) {
        uint64_t since = open_since(model, id, model->count);
        stable = since < stable ? since : stable;
        assert_int_equal(weir_producers_in_transaction(producers, id), since != UINT64_MAX);
    }
    for (uint32_t i = 0; i < model->count; i++) {
        const struct entry *entry = &model->entries[i];
        uint64_t since = entry->kind == ABORT ? open_since(model, entry->batch.producer_id, i) : UINT64_MAX;
        if (since == UINT64_MAX)
            continue;
        bool found = false;
        for (uint32_t j = 0; j < count; j++)
            found |= ranges[j].producer_id == entry->batch.producer_id && ranges[j].first_offset == since &&
                     ranges[j].last_offset == entry->offset;
        assert_true(found);
        aborted++;
    }
    assert_int_equal(count, aborted);
    for (uint32_t j = 1; j < count; j++)
        assert_true(ranges[j - 1].first_offset <= ranges[j].first_offset);
    assert_int_equal(weir_producers_stable_offset(producers, model->end), stable);
}

/* Something a producer might send: mostly right, or nearly. */
static struct weir_batch some_batch(struct model *model)
{
    int64_t id = below(model, IDS);
    int16_t epoch;
    int32_t next = next_of(model, id, &epoch);
    int16_t sent = epoch < 0 ? 2 : (int16_t)(epoch + (below(model, 12) == 0) - (below(model, 12) == 0));
    uint32_t way = below(model, 8);
    int32_t size = 1 + (int32_t)below(model, 4);
    int32_t first = sent > epoch && epoch >= 0 ? 0 : next;
    if (epoch < 0 && way < 4) /* so that it wraps within the test */
        first = INT32_MAX - (int32_t)below(model, 20);
    if (epoch >= 0 && way == 0)
        first = (int32_t)((uint32_t)first + below(model, 5) - 2) & INT32_MAX;
    if (way == 1 && model->count > 0) {
        struct weir_batch again = model->entries[model->count - 1 - below(model, model->count < 30 ? model->count : 30)].batch;
        if (again.control == WEIR_BATCH_CONTROL_NONE)
            return again;
    }
    return batch_of(id, sent, first, (int32_t)(((uint32_t)first + (uint32_t)size - 1) & INT32_MAX));
}

static void step_data(struct model *model, struct weir_producers *producers)
{
    struct weir_batch batch = some_batch(model);
    if (below(model, 3) == 0 || open_since(model, batch.producer_id, model->count) != UINT64_MAX)
        batch = in_transaction(batch);
    uint64_t base, expected_base = UINT64_MAX;
    enum weir_producer_verdict expected = expected_verdict(model, &batch, &expected_base);
    assert_int_equal(verdict(producers, batch, &base), expected);
    assert_int_equal(base, expected_base);
    if (expected == WEIR_PRODUCER_APPEND)
        append(model, producers, batch, batch.attributes & WEIR_BATCH_TRANSACTIONAL ? TXN : DATA);
}

static void step_marker(struct model *model, struct weir_producers *producers)
{
    int64_t id = below(model, IDS);
    int16_t epoch;
    next_of(model, id, &epoch);
    if (epoch < 0)
        return;
    int kind = below(model, 2) ? COMMIT : ABORT;
    append(model, producers, marker_of(id, (int16_t)(epoch + (below(model, 4) == 0)), kind == COMMIT), kind);
}

/* The last append fails. */
static void step_back(struct model *model, struct weir_producers *producers)
{
    if (model->count == 0)
        return;
    const struct entry *last = &model->entries[--model->count];
    forget(producers, last->batch, last->offset);
    model->end = last->offset;
}

static struct weir_producers *step_restart(struct model *model, struct weir_producers *producers)
{
    struct weir_producers *loaded = reload(producers, model->end, model->end);
    weir_producers_free(producers);
    return loaded;
}

/* A state as of an earlier batch, and then what came since is read again. */
static struct weir_producers *step_rebuild(struct model *model, struct weir_producers *producers)
{
    uint32_t back = below(model, 2);
    uint32_t kept = model->count > back ? model->count - back : 0;
    uint64_t offset = kept < model->count ? model->entries[kept].offset : model->end;
    struct weir_producers *loaded = reload(producers, offset, model->end);
    for (uint32_t i = kept; i < model->count; i++)
        note(loaded, model->entries[i].batch, model->entries[i].offset);
    weir_producers_free(producers);
    return loaded;
}

static void random_histories_are_judged_as_by_reading_the_whole_log(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct model model = {.random = seed * 1000003};
        struct weir_producers *producers = weir_producers_new(PLENTY);
        bool may_step_back = false; /* one level of epochs and ends is remembered */
        while (model.count < LOG_MAX - 1) {
            uint32_t way = below(&model, 40);
            uint32_t count = model.count;
            if (way == 0)
                producers = step_restart(&model, producers);
            else if (way == 1 && may_step_back)
                producers = step_rebuild(&model, producers);
            else if (way < 4 && may_step_back)
                step_back(&model, producers);
            else if (way < 8)
                step_marker(&model, producers);
            else
                step_data(&model, producers);
            may_step_back = model.count > count;
            if (way < 10)
                compare_transactions(&model, producers);
        }
        weir_producers_free(producers);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_histories_are_judged_as_by_reading_the_whole_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
