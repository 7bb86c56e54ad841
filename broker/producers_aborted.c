/*
 * broker/producers_aborted.c - transactions of a partition: how far committed readers may read, and what they have to skip.
 *
 * An open transaction is found by its producer; those that are open are a list by first offset, whose head is the last stable offset. A
 * transaction that has ended still counts until its marker lies below the high watermark: before that the end may yet be lost.
 *
 * Aborted ranges are sorted by first offset and each knows the largest last offset up to it, so what overlaps [from, to) begins at a
 * place that is found by halving. Bounded by what the log keeps: weir_producers_prune. Proof: tests/broker/producers_*.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "broker/producers_own.h"

enum { ABORTED_FIRST = 8 };

/* ---- Open and ending ----------------------------------------------------------------------------- */

static void put_open(struct weir_producers *producers, struct weir_producer *producer)
{
    struct weir_list *before = producers->open.prev; /* nearly always the last one */
    while (before != &producers->open && WEIR_CONTAINER(before, struct weir_producer, open)->open_first > producer->open_first)
        before = before->prev;
    weir_list_push_front(before, &producer->open);
}

static void put_ending(struct weir_producers *producers, struct weir_producer *producer)
{
    struct weir_list *before = producers->ending.prev;
    while (before != &producers->ending && WEIR_CONTAINER(before, struct weir_producer, ending)->ended_at > producer->ended_at)
        before = before->prev;
    weir_list_push_front(before, &producer->ending);
}

void weir_producer_relist(struct weir_producers *producers, struct weir_producer *producer)
{
    weir_list_remove(&producer->open);
    if (producer->open_first != WEIR_PRODUCER_NOWHERE)
        put_open(producers, producer);
    if (producer->ended_at == WEIR_PRODUCER_NOWHERE)
        weir_list_remove(&producer->ending);
}

void weir_producer_begin(struct weir_producers *producers, struct weir_producer *producer, uint64_t first_offset)
{
    producer->open_first = first_offset;
    put_open(producers, producer);
}

void weir_producer_end(struct weir_producers *producers, struct weir_producer *producer, uint64_t marker_offset, bool commit)
{
    if (!commit)
        weir_producers_add_aborted(producers, (struct weir_aborted_range){.producer_id = producer->id,
                                                                          .first_offset = producer->open_first,
                                                                          .last_offset = marker_offset});
    producer->ended_first = producer->open_first;
    producer->ended_at = marker_offset;
    producer->open_first = WEIR_PRODUCER_NOWHERE;
    weir_list_remove(&producer->open);
    weir_list_remove(&producer->ending);
    put_ending(producers, producer);
}

uint64_t weir_producers_stable_offset(struct weir_producers *producers, uint64_t high_watermark)
{
    uint64_t stable = high_watermark;
    WEIR_LIST_EACH_SAFE(node, &producers->ending)
    {
        struct weir_producer *producer = WEIR_CONTAINER(node, struct weir_producer, ending);
        if (producer->ended_at < high_watermark)
            weir_list_remove(node);
        else if (producer->ended_first < stable)
            stable = producer->ended_first;
    }
    if (weir_list_empty(&producers->open))
        return stable;
    uint64_t first = WEIR_CONTAINER(producers->open.next, struct weir_producer, open)->open_first;
    return first < stable ? first : stable;
}

bool weir_producers_in_transaction(const struct weir_producers *producers, int64_t producer_id)
{
    const struct weir_producer *producer = weir_producer_find(producers, producer_id);
    return producer && producer->open_first != WEIR_PRODUCER_NOWHERE;
}

/* ---- Aborted ------------------------------------------------------------------------------------- */

int weir_producers_reserve_aborted(struct weir_producers *producers, uint32_t more)
{
    uint64_t wanted = (uint64_t)producers->aborted_count + more;
    if (wanted <= producers->aborted_room)
        return 0;
    uint64_t room = producers->aborted_room ? producers->aborted_room : ABORTED_FIRST;
    while (room < wanted)
        room *= 2;
    if (room > UINT32_MAX)
        return -ENOMEM;
    struct weir_producer_aborted *aborted = realloc(producers->aborted, room * sizeof *aborted);
    if (!aborted)
        return -ENOMEM;
    producers->aborted = aborted;
    producers->aborted_room = (uint32_t)room;
    return 0;
}

static void settle_from(struct weir_producers *producers, uint32_t from)
{
    for (uint32_t i = from; i < producers->aborted_count; i++) {
        uint64_t last = producers->aborted[i].range.last_offset;
        uint64_t before = i ? producers->aborted[i - 1].last_max : 0;
        producers->aborted[i].last_max = last > before ? last : before;
    }
}

void weir_producers_add_aborted(struct weir_producers *producers, struct weir_aborted_range range)
{
    WEIR_ASSERT(producers->aborted_count < producers->aborted_room);
    uint32_t place = producers->aborted_count++;
    struct weir_producer_aborted *aborted = producers->aborted;
    for (; place > 0 && aborted[place - 1].range.first_offset > range.first_offset; place--)
        aborted[place] = aborted[place - 1];
    aborted[place].range = range;
    settle_from(producers, place);
}

static void keep_where(struct weir_producers *producers, bool (*keep)(const struct weir_aborted_range *range, int64_t id, uint64_t offset),
                       int64_t id, uint64_t offset)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < producers->aborted_count; i++)
        if (keep(&producers->aborted[i].range, id, offset))
            producers->aborted[kept++] = producers->aborted[i];
    if (kept == producers->aborted_count)
        return;
    producers->aborted_count = kept;
    settle_from(producers, 0);
}

static bool other_or_before(const struct weir_aborted_range *range, int64_t id, uint64_t offset)
{
    return range->producer_id != id || range->last_offset < offset;
}

void weir_producers_remove_aborted(struct weir_producers *producers, int64_t id, uint64_t last_from)
{
    keep_where(producers, other_or_before, id, last_from);
}

static bool not_before(const struct weir_aborted_range *range, int64_t id, uint64_t offset)
{
    (void)id;
    return range->last_offset >= offset;
}

void weir_producers_prune(struct weir_producers *producers, uint64_t start_offset)
{
    keep_where(producers, not_before, 0, start_offset);
}

/* The first whose last_max reaches `from`: all before it end earlier. */
static uint32_t first_reaching(const struct weir_producers *producers, uint64_t from)
{
    uint32_t low = 0, high = producers->aborted_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (producers->aborted[middle].last_max < from)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t weir_producers_aborted(const struct weir_producers *producers, uint64_t from, uint64_t to, struct weir_aborted_range *ranges,
                                uint32_t room)
{
    uint32_t count = 0;
    for (uint32_t i = first_reaching(producers, from); i < producers->aborted_count; i++) {
        const struct weir_aborted_range *range = &producers->aborted[i].range;
        if (range->first_offset >= to)
            break;
        if (range->last_offset < from)
            continue;
        if (count < room)
            ranges[count] = *range;
        count++;
    }
    return count;
}
