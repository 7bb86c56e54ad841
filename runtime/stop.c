/*
 * runtime/stop.c - how reactors end: together, and with nothing in their hands.
 *
 *     RUNNING --stop asked--> DRAINING --nothing left here--> counted --all counted--> ENDED
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

static bool nothing_left(struct weir_reactor *reactor)
{
    return weir_list_empty(&reactor->connections) && weir_list_empty(&reactor->listeners) && weir_list_empty(&reactor->datagrams) &&
           weir_list_empty(&reactor->hooks) && weir_topics_idle(reactor) && !weir_sched_busy(reactor->sched) &&
           reactor->waiting_count == 0 && reactor->file_ops == 0 && reactor->work_jobs == 0;
}

static void begin_draining(struct weir_reactor *reactor)
{
    reactor->state = WEIR_REACTOR_DRAINING;
    reactor->drain_deadline_ns = reactor->now_ns + reactor->runtime->options.drain_timeout_ns;
    weir_wheel_arm(&reactor->wheel, &reactor->drain_timer, reactor->drain_deadline_ns);
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
static bool nothing_under_way(struct weir_runtime *runtime)
{
    uint64_t received = 0, sent = 0;
    if (weir_load(&runtime->drained_count, seq_cst) < weir_load(&runtime->running_count, seq_cst))
        return false;
    for (uint32_t i = 0; i < runtime->reactor_count; i++)
        received += weir_load(&runtime->reactors[i]->drain_received, seq_cst);
    for (uint32_t i = 0; i < runtime->reactor_count; i++)
        sent += weir_load(&runtime->reactors[i]->drain_sent, seq_cst);
    return received == sent;
}

static void count_drained(struct weir_reactor *reactor)
{
    bool changed = weir_load(&reactor->drain_received, relaxed) != reactor->counters.mail_received || !reactor->drained;
    weir_store(&reactor->drain_received, reactor->counters.mail_received, seq_cst);
    if (!reactor->drained)
        weir_fetch_add(&reactor->runtime->drained_count, 1, seq_cst);
    reactor->drained = true;
    if (changed && nothing_under_way(reactor->runtime))
        wake_others(reactor);
}

uint32_t weir_stop_step(struct weir_reactor *reactor)
{
    if (reactor->state == WEIR_REACTOR_RUNNING) {
        begin_draining(reactor);
        return 1;
    }
    if (reactor->state != WEIR_REACTOR_DRAINING)
        return 0;
    if (reactor->now_ns >= reactor->drain_deadline_ns)
        weir_tcp_abort_all(reactor);
    bool late = reactor->now_ns >= reactor->drain_deadline_ns + reactor->runtime->options.drain_timeout_ns / 4;
    if (!nothing_left(reactor) && !late)
        return 0;
    count_drained(reactor);
    if (!nothing_under_way(reactor->runtime) && !late)
        return 0;
    reactor->state = WEIR_REACTOR_ENDED;
    return 1;
}
