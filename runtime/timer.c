/* runtime/timer.c - the public timer over sched's wheel. */
#include <weir/timer.h>

#include <string.h>

#include "runtime/reactor.h"

_Static_assert(sizeof(struct weir_wheel_timer) <= sizeof(((struct weir_timer *)0)->private_words),
               "the wheel's timer fits in the public one");

static struct weir_wheel_timer *wheel_timer(struct weir_timer *timer)
{
    return (struct weir_wheel_timer *)(void *)timer->private_words;
}

/* What lies beyond 64 bits of time never comes. */
static uint64_t after(uint64_t from_ns, uint64_t delay_ns)
{
    return from_ns + delay_ns < from_ns ? UINT64_MAX : from_ns + delay_ns;
}

static void on_expired(struct weir_wheel_timer *expired, uint64_t now_ns)
{
    struct weir_timer *timer = WEIR_CONTAINER(expired, struct weir_timer, private_words);
    if (timer->interval_ns > 0) {
        uint64_t next_ns = after(expired->deadline_ns, timer->interval_ns);
        if (next_ns <= now_ns) /* missed ones are not made up for; the beat stays */
            next_ns += (now_ns - next_ns) / timer->interval_ns * timer->interval_ns + timer->interval_ns;
        weir_wheel_arm(&timer->reactor->wheel, expired, next_ns);
    }
    timer->fn(timer->reactor, timer, timer->context);
}

static void set(struct weir_reactor *reactor, struct weir_timer *timer, uint64_t delay_ns, weir_timer_fn fn, void *context)
{
    struct weir_wheel_timer *wheel = wheel_timer(timer);
    if (!timer->reactor)
        weir_wheel_timer_init(wheel, on_expired);
    WEIR_ASSERT(!timer->reactor || timer->reactor == reactor);
    timer->reactor = reactor;
    timer->fn = fn;
    timer->context = context;
    uint64_t now_ns = reactor->io ? weir_io_now_ns(reactor->io) : reactor->now_ns;
    weir_wheel_arm(&reactor->wheel, wheel, after(now_ns, delay_ns));
}

void weir_timer_set(struct weir_reactor *reactor, struct weir_timer *timer, uint64_t delay_ns, weir_timer_fn fn, void *context)
{
    timer->interval_ns = 0;
    set(reactor, timer, delay_ns, fn, context);
}

void weir_timer_every(struct weir_reactor *reactor, struct weir_timer *timer, uint64_t interval_ns, weir_timer_fn fn,
                      void *context)
{
    timer->interval_ns = interval_ns ? interval_ns : 1;
    set(reactor, timer, interval_ns, fn, context);
}

bool weir_timer_cancel(struct weir_reactor *reactor, struct weir_timer *timer)
{
    return timer->reactor && weir_wheel_cancel(&reactor->wheel, wheel_timer(timer));
}
