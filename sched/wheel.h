/*
 * sched/wheel.h - hierarchical timing wheel: insert, cancel and expire in O(1).
 *
 * After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (SOSP 1987). A timer never
 * fires early; it fires at most one tick (WEIR_WHEEL_TICK_NS) late by the wheel's own doing. The
 * timer is the caller's memory and must stay until it fired or was cancelled. Owned by one reactor;
 * time is an argument.
 */
#ifndef WEIR_SCHED_WHEEL_H
#define WEIR_SCHED_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct weir_wheel_timer;
typedef void (*weir_wheel_fn)(struct weir_wheel_timer *timer, uint64_t now_ns);

struct weir_wheel_timer {
    struct weir_list node; /* on no list: not armed */
    uint64_t deadline_ns;
    weir_wheel_fn fn;
    uint8_t level; /* the wheel's own */
    uint8_t slot;
};

enum {
    WEIR_WHEEL_TICK_NS = 1 << 17, /* 131 us */
    WEIR_WHEEL_SLOTS = 64,        /* a level; one bit each in its occupancy word */
    WEIR_WHEEL_LEVELS = 8,
};

struct weir_wheel {
    uint64_t now_ns; /* as of the last expiry */
    uint64_t tick;   /* expired up to and including this one */
    uint32_t armed_count;
    struct weir_list due; /* to fire at the next expiry, in order of tick */
    uint64_t occupied[WEIR_WHEEL_LEVELS];
    struct weir_list slots[WEIR_WHEEL_LEVELS][WEIR_WHEEL_SLOTS];
};

void weir_wheel_init(struct weir_wheel *wheel, uint64_t now_ns);
void weir_wheel_timer_init(struct weir_wheel_timer *timer, weir_wheel_fn fn);
/* Arm, or move if armed. A deadline in the past (not after the `now` of the last expiry) fires at
 * the next. */
void weir_wheel_arm(struct weir_wheel *wheel, struct weir_wheel_timer *timer, uint64_t deadline_ns);
bool weir_wheel_cancel(struct weir_wheel *wheel, struct weir_wheel_timer *timer); /* was it armed? */
bool weir_wheel_armed(const struct weir_wheel_timer *timer);
/* Fire what is due, at most `budget`; the rest stays due. A callback may arm, move and cancel any
 * timer, its own too; what it arms in the past waits for the next call, so this one ends. Returns
 * how many fired. */
uint32_t weir_wheel_expire(struct weir_wheel *wheel, uint64_t now_ns, uint32_t budget);
/* When to look next: a lower bound of the earliest deadline; UINT64_MAX when nothing is armed. */
uint64_t weir_wheel_next_ns(const struct weir_wheel *wheel);

#endif
