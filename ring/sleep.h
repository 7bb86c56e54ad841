/*
 * ring/sleep.h - sleep and wake: no wake-up is lost, and nobody is woken who does not sleep.
 *
 *     waiter                                      signaller
 *     asleep.store(1)                             show the work: a release store of its own protocol
 *     (W) fence(seq_cst)                          (S) fence(seq_cst), once for a whole batch
 *     look at every source of work again          asleep.load() for each waiter concerned
 *     none: park; some: withdraw                  if 1: exchange(0), and who got the 1 wakes the waiter
 *
 * The two fences are totally ordered. (S) before (W): the waiter's second look sees the work. (W) before
 * (S): the signaller sees asleep == 1. Without either fence, or without the second look, both may miss.
 * A seq_cst load in place of (S) is not enough: it does not order the work's own store before it.
 *
 * The fences order the flag only. The work is handed over by its own release and acquire, and parking
 * (an eventfd, a ring message, a futex) brings its own order; so each access to the flag is relaxed.
 *
 * Who may call: announce and end, the waiter alone; fence and take, anyone, at any time.
 *
 * Proof: tests/ring/sleep_model.c, and tests/model/sleep.pml for Spin.
 */
#ifndef WEIR_RING_SLEEP_H
#define WEIR_RING_SLEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

/* One for each waiter, on lines of its own: signallers read it all the time, the waiter writes rarely. */
struct weir_sleep {
    _Alignas(WEIR_LINE_PAIR_BYTES) weir_atomic_u32 asleep;
};

/* The waiter: say so, then look again at everything that could be work, then park. */
static inline void weir_sleep_announce(struct weir_sleep *sleep)
{
    weir_store(&sleep->asleep, 1, relaxed); /* ordered by (W) */
    weir_fence(seq_cst);                    /* (W) */
}

/* The waiter: up again, or did not park after all. A signaller that took it before wakes for nothing. */
static inline void weir_sleep_end(struct weir_sleep *sleep)
{
    weir_store(&sleep->asleep, 0, relaxed); /* ours to withdraw; orders nothing */
}

/* The signaller: after showing the work, before weir_sleep_take; one for a batch of both. */
static inline void weir_sleep_fence(void)
{
    weir_fence(seq_cst); /* (S) */
}

/* The signaller: true if the waiter sleeps and it falls to the caller to wake it. */
static inline bool weir_sleep_take(struct weir_sleep *sleep)
{
    if (weir_load(&sleep->asleep, relaxed) == 0) /* ordered by (S) */
        return false;
    return weir_exchange(&sleep->asleep, 0, relaxed) == 1;
}

/* Anyone: is it announced? A hint. */
static inline bool weir_sleep_announced(struct weir_sleep *sleep)
{
    return weir_load(&sleep->asleep, relaxed) != 0;
}

#endif
