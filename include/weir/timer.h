/*
 * weir/timer.h - timers of one reactor: set, move and cancel in O(1), never early.
 */
#ifndef WEIR_TIMER_H
#define WEIR_TIMER_H

#include <weir/base.h>

WEIR_BEGIN

struct weir_timer;
typedef void (*weir_timer_fn)(struct weir_reactor *reactor, struct weir_timer *timer, void *context);

/* The caller's memory, zeroed at first, kept while set. Fields are weir's. */
struct weir_timer {
    uint64_t private_words[8];
    struct weir_reactor *reactor;
    weir_timer_fn fn;
    void *context;
    uint64_t interval_ns;
};

/* Fire once, delay_ns from now (at least; up to 0.2 ms later). A timer that is set is moved. */
WEIR_API void weir_timer_set(struct weir_reactor *reactor, struct weir_timer *timer, uint64_t delay_ns,
                             weir_timer_fn fn, void *context);
/* Fire every interval_ns, without drift; missed firings are not made up for. */
WEIR_API void weir_timer_every(struct weir_reactor *reactor, struct weir_timer *timer, uint64_t interval_ns,
                               weir_timer_fn fn, void *context);
WEIR_API bool weir_timer_cancel(struct weir_reactor *reactor, struct weir_timer *timer); /* was it set? */

WEIR_END

#endif
