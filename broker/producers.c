/*
 * broker/producers.c - which batch a producer may append next.
 *
 * A producer's state is what its last batches leave behind, so it can be taken back as well: batches carry offset and epoch, and so does
 * what changed the epoch or ended a transaction. Taking back is how a failed append is forgotten, how a snapshot is cut to what is
 * durable, and how a recovered one is cut to what was found. It is exact as long as no more than five batches, one change of epoch and one
 * end of a transaction of a producer lie behind the cut; beyond that the next sequence is unknown, and the first that comes is taken.
 *
 * Bounded by producers_max and the transactions that are open. Proof: tests/broker/producers_*.c.
 */
#include "broker/producers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "broker/producers_own.h"

enum { TABLE_FIRST = 16 };

struct weir_producers *weir_producers_new(uint32_t producers_max)
{
    struct weir_producers *producers = calloc(1, sizeof *producers);
    if (!producers)
        return NULL;
    producers->table = calloc(TABLE_FIRST, sizeof *producers->table);
    if (!producers->table) {
        free(producers);
        return NULL;
    }
    producers->table_size = TABLE_FIRST;
    producers->count_max = producers_max > 0 ? producers_max : 1;
    producers->seed = (uintptr_t)producers; /* ids come from outside; the order of the table is nowhere seen */
    weir_list_init(&producers->recent);
    weir_list_init(&producers->open);
    weir_list_init(&producers->ending);
    return producers;
}

void weir_producers_free(struct weir_producers *producers)
{
    if (!producers)
        return;
    WEIR_LIST_EACH_SAFE(node, &producers->recent)
        free(WEIR_CONTAINER(node, struct weir_producer, recent));
    free(producers->aborted);
    free(producers->table);
    free(producers);
}

uint32_t weir_producers_count(const struct weir_producers *producers)
{
    return producers->count;
}

/* ---- The table ----------------------------------------------------------------------------------- */

static struct weir_producer **bucket(const struct weir_producers *producers, int64_t id)
{
    return &producers->table[weir_hash_u64((uint64_t)id, producers->seed) & (producers->table_size - 1)];
}

struct weir_producer *weir_producer_find(const struct weir_producers *producers, int64_t id)
{
    struct weir_producer *producer = *bucket(producers, id);
    while (producer && producer->id != id)
        producer = producer->chain;
    return producer;
}

/* Without memory it stays as it is, and chains grow longer. */
static void grow(struct weir_producers *producers)
{
    uint32_t size = producers->table_size * 2;
    struct weir_producer **table = calloc(size, sizeof *table);
    if (!table)
        return;
    free(producers->table);
    producers->table = table;
    producers->table_size = size;
    WEIR_LIST_EACH(node, &producers->recent)
    {
        struct weir_producer *producer = WEIR_CONTAINER(node, struct weir_producer, recent);
        struct weir_producer **place = bucket(producers, producer->id);
        producer->chain = *place;
        *place = producer;
    }
}

struct weir_producer *weir_producer_make(struct weir_producers *producers, int64_t id)
{
    struct weir_producer *producer = malloc(sizeof *producer);
    if (!producer)
        return NULL;
    *producer = (struct weir_producer){
        .id = id,
        .next = WEIR_PRODUCER_ANY,
        .next_before = WEIR_PRODUCER_ANY,
        .epoch = WEIR_PRODUCER_NO_EPOCH,
        .epoch_before = WEIR_PRODUCER_NO_EPOCH,
        .epoch_since = WEIR_PRODUCER_NOWHERE,
        .open_first = WEIR_PRODUCER_NOWHERE,
        .ended_first = WEIR_PRODUCER_NOWHERE,
        .ended_at = WEIR_PRODUCER_NOWHERE,
        .dropped_base = WEIR_PRODUCER_NOWHERE,
    };
    weir_list_init(&producer->recent);
    weir_list_init(&producer->open);
    weir_list_init(&producer->ending);
    if (producers->count == producers->table_size)
        grow(producers);
    struct weir_producer **place = bucket(producers, id);
    producer->chain = *place;
    *place = producer;
    weir_list_push_back(&producers->recent, &producer->recent);
    producers->count++;
    return producer;
}

void weir_producer_drop(struct weir_producers *producers, struct weir_producer *producer)
{
    struct weir_producer **place = bucket(producers, producer->id);
    while (*place != producer)
        place = &(*place)->chain;
    *place = producer->chain;
    weir_list_remove(&producer->recent);
    weir_list_remove(&producer->open);
    weir_list_remove(&producer->ending);
    producers->count--;
    free(producer);
}

static bool in_use(const struct weir_producer *producer)
{
    return producer->open_first != WEIR_PRODUCER_NOWHERE || !weir_list_empty(&producer->ending);
}

void weir_producers_shrink(struct weir_producers *producers)
{
    WEIR_LIST_EACH_SAFE(node, &producers->recent)
    {
        if (producers->count <= producers->count_max)
            return;
        struct weir_producer *producer = WEIR_CONTAINER(node, struct weir_producer, recent);
        if (!in_use(producer))
            weir_producer_drop(producers, producer);
    }
}

void weir_producers_expire(struct weir_producers *producers, int64_t idle_since_ms)
{
    WEIR_LIST_EACH_SAFE(node, &producers->recent)
    {
        struct weir_producer *producer = WEIR_CONTAINER(node, struct weir_producer, recent);
        if (producer->noted_ms < idle_since_ms && !in_use(producer))
            weir_producer_drop(producers, producer);
    }
}

/* ---- What may come ------------------------------------------------------------------------------- */

/* Sequences are 0 .. 2^31 - 1, then 0 again. */
static int32_t sequence_after(int32_t sequence, uint32_t count)
{
    return (int32_t)(((uint32_t)sequence + count) & INT32_MAX);
}

static int32_t last_sequence(const struct weir_batch *batch)
{
    return sequence_after(batch->base_sequence, batch->last_delta);
}

static bool same_batch(const struct weir_producer_batch *remembered, const struct weir_batch *batch)
{
    return remembered->epoch == batch->producer_epoch && remembered->first == batch->base_sequence &&
           remembered->last == last_sequence(batch);
}

enum weir_producer_verdict weir_producers_check(struct weir_producers *producers, const struct weir_batch *batch, uint64_t *base_out)
{
    const struct weir_producer *producer = batch->producer_id < 0 ? NULL : weir_producer_find(producers, batch->producer_id);
    if (!producer)
        return WEIR_PRODUCER_APPEND;
    if (batch->producer_epoch < producer->epoch)
        return WEIR_PRODUCER_STALE;
    if (batch->control != WEIR_BATCH_CONTROL_NONE) /* has no sequence */
        return WEIR_PRODUCER_APPEND;
    if (batch->producer_epoch > producer->epoch)
        return batch->base_sequence == 0 ? WEIR_PRODUCER_APPEND : WEIR_PRODUCER_OUT_OF_ORDER;
    for (uint32_t i = 0; i < producer->batch_count; i++) {
        if (same_batch(&producer->batches[i], batch)) {
            *base_out = producer->batches[i].base_offset;
            return WEIR_PRODUCER_DUPLICATE;
        }
    }
    bool continues = producer->next == WEIR_PRODUCER_ANY || producer->next == batch->base_sequence;
    return continues ? WEIR_PRODUCER_APPEND : WEIR_PRODUCER_OUT_OF_ORDER;
}

/* ---- What came ----------------------------------------------------------------------------------- */

static void raise_epoch(struct weir_producer *producer, int16_t epoch, uint64_t base_offset)
{
    if (epoch <= producer->epoch)
        return;
    producer->epoch_before = producer->epoch;
    producer->next_before = producer->next;
    producer->epoch = epoch;
    producer->epoch_since = base_offset;
    producer->next = 0;
}

static void remember(struct weir_producer *producer, const struct weir_batch *batch, uint64_t base_offset)
{
    struct weir_producer_batch *batches = producer->batches;
    if (producer->batch_count == WEIR_PRODUCER_REMEMBERED) {
        producer->dropped_base = batches[0].base_offset;
        producer->batch_count--;
        memmove(batches, batches + 1, producer->batch_count * sizeof *batches);
    }
    batches[producer->batch_count++] = (struct weir_producer_batch){
        .base_offset = base_offset,
        .first = batch->base_sequence,
        .last = last_sequence(batch),
        .epoch = batch->producer_epoch,
    };
    producer->next = sequence_after(batch->base_sequence, batch->last_delta + 1);
}

static void note_data(struct weir_producers *producers, struct weir_producer *producer, const struct weir_batch *batch,
                      uint64_t base_offset)
{
    raise_epoch(producer, batch->producer_epoch, base_offset);
    if (batch->base_sequence >= 0 && batch->producer_epoch == producer->epoch)
        remember(producer, batch, base_offset);
    if (batch->attributes & WEIR_BATCH_TRANSACTIONAL && producer->open_first == WEIR_PRODUCER_NOWHERE)
        weir_producer_begin(producers, producer, base_offset);
}

static void note_control(struct weir_producers *producers, struct weir_producer *producer, const struct weir_batch *batch,
                         uint64_t base_offset)
{
    raise_epoch(producer, batch->producer_epoch, base_offset);
    bool ends = batch->control == WEIR_BATCH_CONTROL_COMMIT || batch->control == WEIR_BATCH_CONTROL_ABORT;
    if (ends && producer->open_first != WEIR_PRODUCER_NOWHERE)
        weir_producer_end(producers, producer, base_offset, batch->control == WEIR_BATCH_CONTROL_COMMIT);
}

/* Room for the end of every open transaction is there before it is open, so an end never fails; nor does one that was taken back. */
static int reserve(struct weir_producers *producers)
{
    uint32_t end_count = 1;
    WEIR_LIST_EACH(node, &producers->open)
        end_count++;
    WEIR_LIST_EACH(node, &producers->ending)
        end_count++;
    return weir_producers_reserve_aborted(producers, end_count);
}

int weir_producers_note(struct weir_producers *producers, const struct weir_batch *batch, uint64_t base_offset, int64_t now_ms)
{
    if (batch->producer_id < 0)
        return 0;
    if (batch->control == WEIR_BATCH_CONTROL_UNREAD)
        return -EINVAL;
    struct weir_producer *producer = weir_producer_find(producers, batch->producer_id);
    bool begins = batch->attributes & WEIR_BATCH_TRANSACTIONAL && batch->control == WEIR_BATCH_CONTROL_NONE &&
                  (!producer || producer->open_first == WEIR_PRODUCER_NOWHERE);
    if (begins && reserve(producers) < 0)
        return -ENOMEM;
    if (!producer && !(producer = weir_producer_make(producers, batch->producer_id)))
        return -ENOMEM;
    producer->noted_ms = now_ms;
    weir_list_remove(&producer->recent);
    weir_list_push_back(&producers->recent, &producer->recent);
    if (batch->control == WEIR_BATCH_CONTROL_NONE)
        note_data(producers, producer, batch, base_offset);
    else
        note_control(producers, producer, batch, base_offset);
    weir_producers_shrink(producers);
    return 0;
}

/* ---- What is taken back -------------------------------------------------------------------------- */

/* After the epoch: a batch that is taken back says what comes next only if it was of the epoch that holds now. */
static void rewind_batches(struct weir_producer *producer, uint64_t offset)
{
    uint32_t kept = producer->batch_count;
    while (kept > 0 && producer->batches[kept - 1].base_offset >= offset)
        kept--;
    if (kept == producer->batch_count)
        return;
    bool all_known = producer->dropped_base == WEIR_PRODUCER_NOWHERE || producer->dropped_base < offset;
    if (kept == 0 && !all_known)
        producer->next = WEIR_PRODUCER_ANY;
    else if (producer->batches[kept].epoch == producer->epoch)
        producer->next = producer->batches[kept].first;
    producer->batch_count = kept;
}

static void rewind_transactions(struct weir_producer *producer, uint64_t offset)
{
    if (producer->open_first != WEIR_PRODUCER_NOWHERE && producer->open_first >= offset)
        producer->open_first = WEIR_PRODUCER_NOWHERE;
    if (producer->ended_at == WEIR_PRODUCER_NOWHERE || producer->ended_at < offset)
        return;
    if (producer->ended_first < offset)
        producer->open_first = producer->ended_first;
    producer->ended_at = producer->ended_first = WEIR_PRODUCER_NOWHERE;
}

static void rewind_epoch(struct weir_producer *producer, uint64_t offset)
{
    if (producer->epoch_since == WEIR_PRODUCER_NOWHERE || producer->epoch_since < offset)
        return;
    producer->epoch = producer->epoch_before;
    producer->next = producer->next_before;
    producer->epoch_before = WEIR_PRODUCER_NO_EPOCH;
    producer->next_before = WEIR_PRODUCER_ANY;
    producer->epoch_since = WEIR_PRODUCER_NOWHERE;
}

bool weir_producer_rewind(struct weir_producer *producer, uint64_t offset)
{
    rewind_epoch(producer, offset);
    rewind_batches(producer, offset);
    rewind_transactions(producer, offset);
    return producer->epoch != WEIR_PRODUCER_NO_EPOCH;
}

static bool knows(const struct weir_producer *producer, const struct weir_batch *batch, uint64_t base_offset)
{
    if (batch->control != WEIR_BATCH_CONTROL_NONE)
        return producer->ended_at == base_offset || producer->epoch_since == base_offset;
    if (batch->base_sequence < 0)
        return producer->open_first == base_offset || producer->epoch_since == base_offset;
    for (uint32_t i = 0; i < producer->batch_count; i++)
        if (producer->batches[i].base_offset == base_offset && same_batch(&producer->batches[i], batch))
            return true;
    return false;
}

void weir_producers_forget(struct weir_producers *producers, const struct weir_batch *batch, uint64_t base_offset)
{
    struct weir_producer *producer = batch->producer_id < 0 ? NULL : weir_producer_find(producers, batch->producer_id);
    if (!producer || !knows(producer, batch, base_offset)) /* taken back with an earlier one */
        return;
    weir_producers_remove_aborted(producers, producer->id, base_offset);
    if (!weir_producer_rewind(producer, base_offset)) {
        weir_producer_drop(producers, producer);
        return;
    }
    weir_producer_relist(producers, producer);
}
