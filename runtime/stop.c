/*
 * runtime/stop.c - how reactors end: together, and with nothing in their hands.
 *
 *     RUNNING --stop asked--> DRAINING --quiet everywhere--> closing --nothing left anywhere--> ENDED
 *
 * A drained reactor goes on turning, since the others may still send it mail; it ends when all have been counted and it
 * has nothing left. Who is counted last wakes the rest. Bounded by drain_timeout_ns: then connections are dropped.
 */
#include "runtime/stop.h"

#include "runtime/probe.h"
#include "runtime/runtime.h"
#include "runtime/tcp.h"
#include "runtime/topics.h"
#include "runtime/udp.h"

/* What came has been handled, as far as this reactor knows. */
static bool all_handled(const struct weir_reactor *reactor)
{
    return weir_list_empty(&reactor->hooks) && weir_list_empty(&reactor->late_hooks) &&
           weir_topics_idle(reactor) && !weir_sched_busy(reactor->sched) && reactor->waiting_count == 0 &&
           reactor->file_ops == 0 && reactor->work_jobs == 0;
}

/* And nothing more comes from outside, and the answers have left. */
static bool quiet_here(const struct weir_reactor *reactor)
{
    return all_handled(reactor) && weir_tcp_quiet(reactor);
}

static bool nothing_left(const struct weir_reactor *reactor)
{
    return all_handled(reactor) && weir_list_empty(&reactor->connections) && weir_list_empty(&reactor->listeners) &&
           weir_list_empty(&reactor->datagrams);
}

static void begin_draining(struct weir_reactor *reactor)
{
    uint64_t timeout_ns = reactor->runtime->options.drain_timeout_ns;
    reactor->state = WEIR_REACTOR_DRAINING;
    reactor->drain_deadline_ns = reactor->now_ns + timeout_ns;
    weir_wheel_arm(&reactor->wheel, &reactor->drain_timer, reactor->now_ns + timeout_ns / 2);
    weir_tcp_drain(reactor);
    weir_udp_drain(reactor);
}

static void wake_others(struct weir_reactor *reactor)
{
    for (uint32_t i = 0; i < reactor->count; i++)
        if (i != reactor->index && weir_load(&reactor->runtime->reactors[i]->begun, acquire))
            weir_io_wake_foreign(reactor->runtime->reactors[i]->io);
}

/*
 * Is nothing under way any more? Mattern's four counters: all `received` first, then all `sent`. A mail is in `sent`
 * before it can be seen, and in `received` only when what its handlers posted is in `sent`; so if the sums agree, nothing
 * was under way when the last `received` was read, and nothing can come any more.
 */
static bool nothing_under_way(struct weir_runtime *runtime, weir_atomic_u32 *counted)
{
    uint64_t received = 0, sent = 0;
    if (weir_load(counted, seq_cst) < weir_load(&runtime->running_count, seq_cst))
        return false;
    for (uint32_t i = 0; i < runtime->reactor_count; i++)
        received += weir_load(&runtime->reactors[i]->drain_received, seq_cst);
    for (uint32_t i = 0; i < runtime->reactor_count; i++)
        sent += weir_load(&runtime->reactors[i]->drain_sent, seq_cst);
    return received == sent;
}

/* Say what was received, now that all that came of it is over; the first time also that this reactor has got so far. */
static void count(struct weir_reactor *reactor, bool *counted, weir_atomic_u32 *counter)
{
    bool changed = weir_load(&reactor->drain_received, relaxed) != reactor->counters.mail_received || !*counted;
    weir_store(&reactor->drain_received, reactor->counters.mail_received, seq_cst);
    if (!*counted)
        weir_fetch_add(counter, 1, seq_cst);
    *counted = true;
    if (changed && nothing_under_way(reactor->runtime, counter))
        wake_others(reactor);
}

/* First all finish what was accepted, for half of the time there is; then connections close. Things done. */
static uint32_t finish_accepted(struct weir_reactor *reactor)
{
    struct weir_runtime *runtime = reactor->runtime;
    uint64_t half_ns = runtime->options.drain_timeout_ns / 2;
    if (quiet_here(reactor)) {
        count(reactor, &reactor->quiet, &runtime->quiet_count);
        if (nothing_under_way(runtime, &runtime->quiet_count))
            weir_store(&runtime->all_quiet, 1, relaxed); /* only says when: closing hands nothing over */
    }
    if (!weir_load(&runtime->all_quiet, relaxed) && reactor->now_ns + half_ns < reactor->drain_deadline_ns)
        return 0;
    reactor->drain_closing = true;
    weir_wheel_arm(&reactor->wheel, &reactor->drain_timer, reactor->drain_deadline_ns);
    weir_tcp_close_all(reactor);
    return 1;
}

uint32_t weir_stop_step(struct weir_reactor *reactor)
{
    if (reactor->state == WEIR_REACTOR_RUNNING) {
        begin_draining(reactor);
        return 1;
    }
    if (reactor->state != WEIR_REACTOR_DRAINING)
        return 0;
    if (!reactor->drain_closing)
        return finish_accepted(reactor);
    if (reactor->now_ns >= reactor->drain_deadline_ns)
        weir_tcp_abort_all(reactor);
    bool late = reactor->now_ns >= reactor->drain_deadline_ns + reactor->runtime->options.drain_timeout_ns / 4;
    if (!nothing_left(reactor) && !late)
        return 0;
    count(reactor, &reactor->drained, &reactor->runtime->drained_count);
    if (!nothing_under_way(reactor->runtime, &reactor->runtime->drained_count) && !late)
        return 0;
    reactor->state = WEIR_REACTOR_ENDED;
    return 1;
}
