/*
 * sched/hotkeys.c - the most frequent keys of a stream (Space-Saving, with the paper's
 * Stream-Summary).
 *
 * Counts only grow by one, so a counter only ever moves to the next group: O(1), no heap. The
 * smallest counter is any entry of the first group. Bound: entry_count keys, 16 KiB. Proof:
 * tests/sched/hotkeys_test.c, against exact counts.
 */
#include "sched/hotkeys.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"

enum { NONE = UINT16_MAX, INDEX_MASK = WEIR_HOTKEYS_INDEX - 1 };

int weir_hotkeys_init(struct weir_hotkeys *hotkeys, uint32_t entry_count, uint64_t seed)
{
    if (entry_count == 0 || entry_count > WEIR_HOTKEYS_MAX)
        return -EINVAL;
    hotkeys->entry_count = (uint16_t)entry_count;
    hotkeys->seed = seed;
    weir_hotkeys_reset(hotkeys);
    return 0;
}

void weir_hotkeys_reset(struct weir_hotkeys *hotkeys)
{
    hotkeys->total = 0;
    hotkeys->used = 0;
    hotkeys->group_min = NONE;
    memset(hotkeys->index, 0xff, sizeof hotkeys->index);
    for (uint32_t i = 0; i <= WEIR_HOTKEYS_MAX; i++)
        hotkeys->groups[i].next = i < WEIR_HOTKEYS_MAX ? (uint16_t)(i + 1) : NONE;
    hotkeys->group_free = 0;
}

static uint32_t ideal_slot(const struct weir_hotkeys *hotkeys, uint64_t key)
{
    return (uint32_t)weir_hash_u64(key, hotkeys->seed) & INDEX_MASK;
}

/* Where the key is, or the free slot where it belongs. */
static uint32_t find_slot(const struct weir_hotkeys *hotkeys, uint64_t key)
{
    uint32_t slot = ideal_slot(hotkeys, key);
    while (hotkeys->index[slot] != NONE && hotkeys->entries[hotkeys->index[slot]].key != key)
        slot = (slot + 1) & INDEX_MASK;
    return slot;
}

/* Linear probing without tombstones: whoever could not have its place moves up. */
static void unindex(struct weir_hotkeys *hotkeys, uint64_t key)
{
    uint32_t hole = find_slot(hotkeys, key);
    WEIR_ASSERT(hotkeys->index[hole] != NONE);
    for (uint32_t slot = (hole + 1) & INDEX_MASK; hotkeys->index[slot] != NONE;
         slot = (slot + 1) & INDEX_MASK) {
        uint32_t ideal = ideal_slot(hotkeys, hotkeys->entries[hotkeys->index[slot]].key);
        if (((slot - ideal) & INDEX_MASK) < ((slot - hole) & INDEX_MASK))
            continue; /* it would move before its ideal slot */
        hotkeys->index[hole] = hotkeys->index[slot];
        hole = slot;
    }
    hotkeys->index[hole] = NONE;
}

/* A new group of `count` after `before` (NONE: as the smallest). */
static uint16_t add_group(struct weir_hotkeys *hotkeys, uint64_t count, uint16_t before)
{
    uint16_t group = hotkeys->group_free;
    WEIR_ASSERT(group != NONE);
    hotkeys->group_free = hotkeys->groups[group].next;
    uint16_t after = before == NONE ? hotkeys->group_min : hotkeys->groups[before].next;
    hotkeys->groups[group].count = count;
    hotkeys->groups[group].first = NONE;
    hotkeys->groups[group].prev = before;
    hotkeys->groups[group].next = after;
    if (before == NONE)
        hotkeys->group_min = group;
    else
        hotkeys->groups[before].next = group;
    if (after != NONE)
        hotkeys->groups[after].prev = group;
    return group;
}

static void remove_group(struct weir_hotkeys *hotkeys, uint16_t group)
{
    uint16_t prev = hotkeys->groups[group].prev;
    uint16_t next = hotkeys->groups[group].next;
    if (prev == NONE)
        hotkeys->group_min = next;
    else
        hotkeys->groups[prev].next = next;
    if (next != NONE)
        hotkeys->groups[next].prev = prev;
    hotkeys->groups[group].next = hotkeys->group_free;
    hotkeys->group_free = group;
}

static void join(struct weir_hotkeys *hotkeys, uint16_t entry, uint16_t group)
{
    uint16_t first = hotkeys->groups[group].first;
    hotkeys->entries[entry].group = group;
    hotkeys->entries[entry].prev = NONE;
    hotkeys->entries[entry].next = first;
    if (first != NONE)
        hotkeys->entries[first].prev = entry;
    hotkeys->groups[group].first = entry;
}

static void leave(struct weir_hotkeys *hotkeys, uint16_t entry)
{
    uint16_t prev = hotkeys->entries[entry].prev;
    uint16_t next = hotkeys->entries[entry].next;
    if (prev == NONE)
        hotkeys->groups[hotkeys->entries[entry].group].first = next;
    else
        hotkeys->entries[prev].next = next;
    if (next != NONE)
        hotkeys->entries[next].prev = prev;
}

static void count_up(struct weir_hotkeys *hotkeys, uint16_t entry)
{
    uint16_t group = hotkeys->entries[entry].group;
    uint64_t count = hotkeys->groups[group].count + 1;
    uint16_t next = hotkeys->groups[group].next;
    leave(hotkeys, entry);
    if (next == NONE || hotkeys->groups[next].count != count)
        next = add_group(hotkeys, count, group);
    join(hotkeys, entry, next);
    if (hotkeys->groups[group].first == NONE)
        remove_group(hotkeys, group);
}

static void start_counting(struct weir_hotkeys *hotkeys, uint64_t key, uint32_t slot)
{
    uint16_t entry = hotkeys->used++;
    hotkeys->entries[entry].key = key;
    hotkeys->entries[entry].error = 0;
    hotkeys->index[slot] = entry;
    uint16_t group = hotkeys->group_min;
    if (group == NONE || hotkeys->groups[group].count != 1)
        group = add_group(hotkeys, 1, NONE);
    join(hotkeys, entry, group);
}

void weir_hotkeys_note(struct weir_hotkeys *hotkeys, uint64_t key)
{
    hotkeys->total++;
    uint32_t slot = find_slot(hotkeys, key);
    uint16_t entry = hotkeys->index[slot];
    if (entry == NONE && hotkeys->used < hotkeys->entry_count) {
        start_counting(hotkeys, key, slot);
        return;
    }
    if (entry == NONE) {
        entry = hotkeys->groups[hotkeys->group_min].first;
        unindex(hotkeys, hotkeys->entries[entry].key);
        hotkeys->entries[entry].key = key;
        hotkeys->entries[entry].error = hotkeys->groups[hotkeys->group_min].count;
        hotkeys->index[find_slot(hotkeys, key)] = entry;
    }
    count_up(hotkeys, entry);
}

uint32_t weir_hotkeys_top(const struct weir_hotkeys *hotkeys, struct weir_hotkey *out, uint32_t max)
{
    uint16_t group = hotkeys->group_min;
    while (group != NONE && hotkeys->groups[group].next != NONE)
        group = hotkeys->groups[group].next;
    uint32_t count = 0;
    for (; group != NONE; group = hotkeys->groups[group].prev) {
        for (uint16_t entry = hotkeys->groups[group].first; entry != NONE && count < max;
             entry = hotkeys->entries[entry].next)
            out[count++] = (struct weir_hotkey){.key = hotkeys->entries[entry].key,
                                                .count = hotkeys->groups[group].count,
                                                .error = hotkeys->entries[entry].error};
    }
    return count;
}
