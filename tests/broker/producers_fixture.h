/*
 * tests/broker/producers_fixture.h - batches as headers, and what is expected of them.
 */
#ifndef WEIR_TESTS_BROKER_PRODUCERS_FIXTURE_H
#define WEIR_TESTS_BROKER_PRODUCERS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "broker/producers.h"

enum { PLENTY = 1000 };

/* Records `first` to `last` of a producer, wrapping. */
static inline struct weir_batch batch_of(int64_t id, int16_t epoch, int32_t first, int32_t last)
{
    return (struct weir_batch){
        .producer_id = id,
        .producer_epoch = epoch,
        .base_sequence = first,
        .last_delta = ((uint32_t)last - (uint32_t)first) & INT32_MAX,
        .record_count = (((uint32_t)last - (uint32_t)first) & INT32_MAX) + 1,
    };
}

static inline struct weir_batch in_transaction(struct weir_batch batch)
{
    batch.attributes |= WEIR_BATCH_TRANSACTIONAL;
    return batch;
}

/* As it is read from the log. */
static inline struct weir_batch marker_of(int64_t id, int16_t epoch, bool commit)
{
    uint8_t bytes[WEIR_BATCH_CONTROL_BYTES_MAX];
    struct weir_batch batch;
    size_t byte_count = weir_batch_control(bytes, id, epoch, commit, 0, 1000);
    assert_int_equal(weir_batch_check(bytes, byte_count, &batch), WEIR_BATCH_FINE);
    return batch;
}

static inline void note(struct weir_producers *producers, struct weir_batch batch, uint64_t offset)
{
    assert_int_equal(weir_producers_note(producers, &batch, offset, (int64_t)offset), 0);
}

static inline void forget(struct weir_producers *producers, struct weir_batch batch, uint64_t offset)
{
    weir_producers_forget(producers, &batch, offset);
}

static inline enum weir_producer_verdict verdict(struct weir_producers *producers, struct weir_batch batch, uint64_t *base_out)
{
    *base_out = UINT64_MAX;
    return weir_producers_check(producers, &batch, base_out);
}

static inline void expect(struct weir_producers *producers, struct weir_batch batch, enum weir_producer_verdict expected)
{
    uint64_t base;
    assert_int_equal(verdict(producers, batch, &base), expected);
    assert_int_equal(base == UINT64_MAX, expected != WEIR_PRODUCER_DUPLICATE);
}

static inline void expect_duplicate(struct weir_producers *producers, struct weir_batch batch, uint64_t offset)
{
    uint64_t base;
    assert_int_equal(verdict(producers, batch, &base), WEIR_PRODUCER_DUPLICATE);
    assert_int_equal(base, offset);
}

/* Saved as of one end, loaded as of another. */
static inline struct weir_producers *reload(const struct weir_producers *producers, uint64_t saved_end, uint64_t end)
{
    size_t byte_count;
    void *bytes = weir_producers_save(producers, saved_end, &byte_count);
    struct weir_producers *loaded = weir_producers_new(PLENTY);
    assert_int_equal(weir_producers_load(loaded, bytes, byte_count, end), 0);
    free(bytes);
    return loaded;
}

#endif
