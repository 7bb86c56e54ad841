/*
 * sched/hotkeys.h - the most frequent keys of a stream, in fixed memory.
 *
 * Space-Saving: Metwally, Agrawal and El Abbadi, "Efficient Computation of Frequent and Top-k
 * Elements in Data Streams" (ICDT 2005). `entry_count` counters; a key without one takes over the
 * smallest, and inherits its count as its possible error. So for every key it reports: count -
 * error <= true count <= count; every key with more than total / entry_count occurrences is in it;
 * and no error is larger than total / entry_count.
 *
 * The caller's memory, one reactor's, no time: for "hot now", reset it at the start of each window.
 */
#ifndef WEIR_SCHED_HOTKEYS_H
#define WEIR_SCHED_HOTKEYS_H

#include <stdint.h>

enum { WEIR_HOTKEYS_MAX = 256, WEIR_HOTKEYS_INDEX = 4 * WEIR_HOTKEYS_MAX };

struct weir_hotkey {
    uint64_t key;
    uint64_t count;
    uint64_t error;
};

/* Private. Entries of one count form a group; groups are linked in order of count, so +1 is a
 * step to the next. */
struct weir_hotkeys {
    uint64_t total;
    uint64_t seed;
    uint16_t entry_count;
    uint16_t used;
    uint16_t group_free;
    uint16_t group_min;
    struct {
        uint64_t key;
        uint64_t error;
        uint16_t group;
        uint16_t prev;
        uint16_t next;
    } entries[WEIR_HOTKEYS_MAX];
    struct {
        uint64_t count;
        uint16_t first;
        uint16_t prev;
        uint16_t next;
    } groups[WEIR_HOTKEYS_MAX + 1];     /* one more while an entry moves */
    uint16_t index[WEIR_HOTKEYS_INDEX]; /* entry by key, open addressing */
};

/* entry_count: 1 .. WEIR_HOTKEYS_MAX. -EINVAL. The seed keeps outsiders from choosing keys that
 * collide. */
int weir_hotkeys_init(struct weir_hotkeys *hotkeys, uint32_t entry_count, uint64_t seed);
void weir_hotkeys_reset(struct weir_hotkeys *hotkeys);
/* One occurrence. O(1). */
void weir_hotkeys_note(struct weir_hotkeys *hotkeys, uint64_t key);
/* The largest first, at most `max` of them; returns how many. */
uint32_t weir_hotkeys_top(const struct weir_hotkeys *hotkeys, struct weir_hotkey *out, uint32_t max);

#endif
