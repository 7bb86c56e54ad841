/*
 * broker/producers_save.c - producers as bytes, for a checkpoint, and back.
 *
 *     head       0  4 version: 1      4  4 producers      8  4 aborted ranges     12  4 zero
 *     producer   0  8 id              8  8 noted, ms     16  8 open since         24  8 last end: first
 *               32  8 last end: at   40  8 epoch since   48  8 newest not kept    56  4 next sequence
 *               60  2 epoch          62  2 epoch before  64  4 batches            68  4 next before
 *     batch      0  8 base offset     8  4 first         12  4 last               16  2 epoch   18  6 zero
 *     aborted    0  8 producer        8  8 first offset  16  8 last offset
 *
 * Little-endian, as all our own formats. The longest idle producer comes first, so loading keeps the order. The bytes lie in a checkpoint
 * with its own CRC; they are checked again for what would break us, not for what would only be wrong.
 * Proof: tests/broker/producers_*.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/producers_own.h"

enum { VERSION = 1, HEAD_BYTES = 16, PRODUCER_BYTES = 72, BATCH_BYTES = 24, ABORTED_BYTES = 24 };

static uint8_t *put(uint8_t *at, uint64_t value, uint32_t byte_count)
{
    for (uint32_t i = 0; i < byte_count; i++)
        *at++ = (uint8_t)(value >> (8 * i));
    return at;
}

static uint64_t get(const uint8_t **at, uint32_t byte_count)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < byte_count; i++)
        value |= (uint64_t)*(*at)++ << (8 * i);
    return value;
}

static uint8_t *put_producer(uint8_t *at, const struct weir_producer *producer)
{
    at = put(at, (uint64_t)producer->id, 8);
    at = put(at, (uint64_t)producer->noted_ms, 8);
    at = put(at, producer->open_first, 8);
    at = put(at, producer->ended_first, 8);
    at = put(at, producer->ended_at, 8);
    at = put(at, producer->epoch_since, 8);
    at = put(at, producer->dropped_base, 8);
    at = put(at, (uint32_t)producer->next, 4);
    at = put(at, (uint16_t)producer->epoch, 2);
    at = put(at, (uint16_t)producer->epoch_before, 2);
    at = put(at, producer->batch_count, 4);
    at = put(at, (uint32_t)producer->next_before, 4);
    for (uint32_t i = 0; i < producer->batch_count; i++) {
        const struct weir_producer_batch *batch = &producer->batches[i];
        at = put(at, batch->base_offset, 8);
        at = put(at, (uint32_t)batch->first, 4);
        at = put(at, (uint32_t)batch->last, 4);
        at = put(at, (uint16_t)batch->epoch, 8);
    }
    return at;
}

static uint8_t *put_aborted(uint8_t *at, const struct weir_aborted_range *range)
{
    at = put(at, (uint64_t)range->producer_id, 8);
    at = put(at, range->first_offset, 8);
    return put(at, range->last_offset, 8);
}

void *weir_producers_save(const struct weir_producers *producers, uint64_t end_offset, size_t *byte_count_out)
{
    size_t room = HEAD_BYTES + (size_t)producers->count * (PRODUCER_BYTES + WEIR_PRODUCER_REMEMBERED * BATCH_BYTES) +
                  (size_t)producers->aborted_count * ABORTED_BYTES;
    *byte_count_out = 0;
    uint8_t *bytes = malloc(room);
    if (!bytes)
        return NULL;
    uint8_t *at = bytes + HEAD_BYTES;
    uint32_t producer_count = 0, aborted_count = 0;
    WEIR_LIST_EACH(node, &producers->recent)
    {
        struct weir_producer copy = *WEIR_CONTAINER(node, struct weir_producer, recent);
        if (weir_producer_rewind(&copy, end_offset)) {
            at = put_producer(at, &copy);
            producer_count++;
        }
    }
    for (uint32_t i = 0; i < producers->aborted_count; i++) {
        const struct weir_aborted_range *range = &producers->aborted[i].range;
        if (range->last_offset < end_offset) {
            at = put_aborted(at, range);
            aborted_count++;
        }
    }
    if (producer_count + aborted_count == 0) {
        free(bytes);
        return NULL;
    }
    put(put(put(put(bytes, VERSION, 4), producer_count, 4), aborted_count, 4), 0, 4);
    *byte_count_out = (size_t)(at - bytes);
    return bytes;
}

/* ---- Loading ------------------------------------------------------------------------------------- */

static bool batches_hold(const struct weir_producer *producer)
{
    for (uint32_t i = 0; i < producer->batch_count; i++) {
        const struct weir_producer_batch *batch = &producer->batches[i];
        if (batch->first < 0 || batch->last < 0 || (i > 0 && batch->base_offset <= batch[-1].base_offset))
            return false;
    }
    return true;
}

static int get_batches(const uint8_t **at, const uint8_t *end, struct weir_producer *producer, uint64_t batch_count)
{
    if (batch_count > WEIR_PRODUCER_REMEMBERED || (uint64_t)(end - *at) < batch_count * BATCH_BYTES)
        return -EBADMSG;
    producer->batch_count = (uint32_t)batch_count;
    for (uint32_t i = 0; i < producer->batch_count; i++) {
        struct weir_producer_batch *batch = &producer->batches[i];
        batch->base_offset = get(at, 8);
        batch->first = (int32_t)get(at, 4);
        batch->last = (int32_t)get(at, 4);
        batch->epoch = (int16_t)get(at, 8);
    }
    return batches_hold(producer) ? 0 : -EBADMSG;
}

static int get_producer(const uint8_t **at, const uint8_t *end, struct weir_producers *producers, uint64_t end_offset)
{
    if (end - *at < PRODUCER_BYTES)
        return -EBADMSG;
    int64_t id = (int64_t)get(at, 8);
    if (id < 0 || weir_producer_find(producers, id))
        return -EBADMSG;
    struct weir_producer *producer = weir_producer_make(producers, id);
    if (!producer)
        return -ENOMEM;
    producer->noted_ms = (int64_t)get(at, 8);
    producer->open_first = get(at, 8);
    producer->ended_first = get(at, 8);
    producer->ended_at = get(at, 8);
    producer->epoch_since = get(at, 8);
    producer->dropped_base = get(at, 8);
    producer->next = (int32_t)get(at, 4);
    producer->epoch = (int16_t)get(at, 2);
    producer->epoch_before = (int16_t)get(at, 2);
    uint64_t batch_count = get(at, 4);
    producer->next_before = (int32_t)get(at, 4);
    int result = get_batches(at, end, producer, batch_count);
    if (result < 0)
        return result;
    if (producer->next < WEIR_PRODUCER_ANY || producer->next_before < WEIR_PRODUCER_ANY || producer->epoch < 0)
        return -EBADMSG;
    if (weir_producer_rewind(producer, end_offset))
        weir_producer_relist(producers, producer);
    else
        weir_producer_drop(producers, producer);
    return 0;
}

static int get_aborted(const uint8_t **at, const uint8_t *end, struct weir_producers *producers, uint64_t end_offset)
{
    if (end - *at < ABORTED_BYTES)
        return -EBADMSG;
    struct weir_aborted_range range;
    range.producer_id = (int64_t)get(at, 8);
    range.first_offset = get(at, 8);
    range.last_offset = get(at, 8);
    if (range.first_offset > range.last_offset)
        return -EBADMSG;
    if (range.last_offset >= end_offset)
        return 0;
    weir_producers_add_aborted(producers, range);
    return 0;
}

static int load(struct weir_producers *producers, const uint8_t *at, const uint8_t *end, uint64_t end_offset)
{
    if (end - at < HEAD_BYTES || get(&at, 4) != VERSION)
        return -EBADMSG;
    uint32_t producer_count = (uint32_t)get(&at, 4);
    uint32_t aborted_count = (uint32_t)get(&at, 8);
    if ((uint64_t)(end - at) < (uint64_t)producer_count * PRODUCER_BYTES + (uint64_t)aborted_count * ABORTED_BYTES)
        return -EBADMSG; /* before memory is taken for them */
    if (weir_producers_reserve_aborted(producers, aborted_count + producer_count) < 0)
        return -ENOMEM;
    int result = 0;
    for (uint32_t i = 0; i < producer_count && result == 0; i++)
        result = get_producer(&at, end, producers, end_offset);
    for (uint32_t i = 0; i < aborted_count && result == 0; i++)
        result = get_aborted(&at, end, producers, end_offset);
    return result == 0 && at != end ? -EBADMSG : result;
}

static void clear(struct weir_producers *producers)
{
    WEIR_LIST_EACH_SAFE(node, &producers->recent)
        weir_producer_drop(producers, WEIR_CONTAINER(node, struct weir_producer, recent));
    producers->aborted_count = 0;
}

int weir_producers_load(struct weir_producers *producers, const void *bytes, size_t byte_count, uint64_t end_offset)
{
    clear(producers);
    if (byte_count == 0)
        return 0;
    int result = load(producers, bytes, (const uint8_t *)bytes + byte_count, end_offset);
    if (result < 0)
        clear(producers);
    else
        weir_producers_shrink(producers);
    return result;
}
