/*
 * runtime/reactor.c - the turn, and what a reactor does when there is nothing to do.
 *
 * A turn takes what has come in bounded helpings, runs what is due, and shows what it wrote once, at its end. Idle time
 * is spent in three steps: spin (while that has been paying), steal, park. The length of the spin adapts: it grows when
 * a park was cut short sooner than a spin would have ended, and shrinks when nothing came.
 * Proof: tests/runtime/reactor_test.c, the simulations, tests/ring/sleep_model.c for the park.
 */
#include "runtime/reactor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/host.h"
#include "runtime/lane.h"
#include "runtime/probe.h"
#include "runtime/runtime.h"
#include "runtime/stop.h"
#include "runtime/topics.h"
#include "runtime/watchdog.h"
#include "runtime/work.h"

enum {
    MAIL_BUDGET = 512,     /* slots of one turn in each lane: bounds how late io and timers can be */
    TIMER_BUDGET = 1024,
    HOOK_BUDGET = 256,     /* of a turn's own hooks, and as many that are late: most send, which is microseconds each */
    SPIN_NS_MIN = 1000,
};

uint64_t weir_reactor_event_id(struct weir_reactor *reactor)
{
    return weir_recorder_take(&reactor->recorder);
}

void weir_reactor_arm_hook(struct weir_reactor *reactor, struct weir_turn_hook *hook)
{
    if (weir_list_empty(&hook->node))
        weir_list_push_back(&reactor->hooks, &hook->node);
}

void weir_reactor_log(struct weir_reactor *reactor, enum weir_log_level level, const char *format, ...)
{
    const struct weir_runtime_options *options = &reactor->runtime->options;
    if (!options->log)
        return;
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    options->log(options->log_context, level, line);
}

/* Posts in runs, all else one by one. What is not taken stays in its slots, and with it the sender's credit. */
static uint32_t on_mail(void *context, uint32_t from, void *first, uint32_t count)
{
    struct weir_reactor *reactor = context;
    const struct weir_mail *mails = first;
    uint32_t taken = 0;
    while (taken < count) {
        const struct weir_mail *mail = &mails[taken];
        if (mail->type == WEIR_MAIL_POST) {
            uint32_t posts = weir_topics_on_posts(reactor, mail, count - taken);
            if (posts == 0)
                break; /* the queue here is full */
            taken += posts;
            continue;
        }
        WEIR_ASSERT(mail->type < WEIR_MAIL_TYPES);
        weir_mail_fn fn = reactor->runtime->mail_handlers[mail->type];
        WEIR_ASSERT(fn != NULL);
        fn(reactor, from, mail);
        taken++;
    }
    return taken;
}

static uint32_t run_some(struct weir_reactor *reactor, struct weir_list *hooks)
{
    uint32_t done = 0;
    for (struct weir_list *node; done < HOOK_BUDGET && (node = weir_list_pop_front(hooks)); done++) {
        struct weir_turn_hook *hook = WEIR_CONTAINER(node, struct weir_turn_hook, node);
        hook->fn(reactor, hook);
    }
    return done;
}

/*
 * Hooks that arm again while running have their turn in the next one. One event may arm as many as it has subscribers: what is over
 * the budget goes on in later turns, and those who do little meanwhile do not stand behind it.
 */
static uint32_t run_hooks(struct weir_reactor *reactor)
{
    struct weir_list now;
    weir_list_init(&now);
    weir_list_splice_back(&now, &reactor->hooks);
    uint32_t done = run_some(reactor, &now);
    done += run_some(reactor, &reactor->late_hooks);
    weir_list_splice_back(&reactor->late_hooks, &now);
    return done;
}

static void wake_reactor(void *context, uint32_t to)
{
    struct weir_reactor *reactor = context;
    reactor->counters.wakes_sent++;
    weir_record(&reactor->recorder, WEIR_RECORD_WAKE, 0, 0, to, 0);
    WEIR_PROBE2(wake, reactor->index, to);
    weir_io_wake(reactor->io, reactor->runtime->reactors[to]->io);
}

static void flush(struct weir_reactor *reactor)
{
    reactor->burst.ring = NULL;
    weir_mesh_flush(reactor->mesh, reactor->index, wake_reactor, reactor);
}

/* weir_io.on_woke: one look at the clock for each turn, after its wait and before anything of it happens. */
void weir_reactor_read_clock(void *context)
{
    struct weir_reactor *reactor = context;
    uint64_t now_ns = weir_io_now_ns(reactor->io);
    if (reactor->busy_turn && now_ns - reactor->now_ns > reactor->runtime->options.stall_budget_ns)
        weir_watchdog_on_stall(reactor, now_ns - reactor->now_ns);
    reactor->busy_turn = false;
    reactor->now_ns = now_ns;
    bool was_parked = weir_load(&reactor->turn_since_ns, relaxed) == 0; /* ours */
    weir_store(&reactor->turn_since_ns, now_ns, relaxed);
    if (was_parked)
        weir_watchdog_on_unpark(reactor->runtime);
}

static uint32_t drain_mail(struct weir_reactor *reactor, uint32_t budget)
{
    uint32_t received = weir_mesh_drain_runs(reactor->mesh, reactor->index, budget, on_mail, reactor);
    reactor->counters.mail_received += received;
    return received;
}

/*
 * All mail that has been shown. Before bytes of a client are handed over: whoever answered that client from another reactor
 * had shown its mail before the answer left, so what the client then asks here comes after it, as it would on one reactor.
 * An event that was counted is delivered before the unsubscribe that follows it.
 *
 * A drain may take no more than what an older look, cut short by its budget, had found; the next one then looks afresh.
 */
void weir_reactor_take_mail(struct weir_reactor *reactor)
{
    if (drain_mail(reactor, UINT32_MAX) > 0)
        drain_mail(reactor, UINT32_MAX);
}

/* All that may be waiting, each kind in a bounded helping. */
static uint32_t work(struct weir_reactor *reactor)
{
    bool more = false;
    uint32_t done = drain_mail(reactor, MAIL_BUDGET);
    weir_buffers_collect(reactor);
    uint32_t fired = weir_wheel_expire(&reactor->wheel, reactor->now_ns, TIMER_BUDGET);
    reactor->counters.timers_fired += fired;
    done += fired;
    done += weir_lanes_drain(reactor);
    done += weir_work_collect(reactor);
    done += weir_topics_run(reactor, &more);
    if (weir_sched_busy(reactor->sched)) {
        weir_sched_announce(reactor->sched, WEIR_SCHED_BUSY);
        done += weir_sched_run(reactor->sched, reactor->now_ns);
    }
    if (reactor->waiting_count > 0)
        done += weir_mail_resume(reactor);
    return done + more;
}

int weir_reactor_turn(struct weir_reactor *reactor, uint64_t wait_ns)
{
    int completed = weir_io_turn(reactor->io, wait_ns);
    if (completed < 0)
        return completed;
    reactor->counters.turns++;
    uint32_t done = (uint32_t)completed + work(reactor);
    done += run_hooks(reactor);
    if (weir_load(&reactor->stop_asked, relaxed)) { /* only says when to look: nothing is handed over */
        weir_store(&reactor->drain_sent, reactor->counters.mail_sent, seq_cst); /* before it is shown */
        flush(reactor);
        done += weir_stop_step(reactor);
    }
    flush(reactor);
    reactor->busy_turn = done > 0;
    weir_store(&reactor->handler_topic, 0, relaxed);
    if (done > 0)
        weir_record(&reactor->recorder, WEIR_RECORD_TURN, reactor->now_ns, 0, done, 0);
    return (int)done;
}

static bool may_park(struct weir_reactor *reactor)
{
    return weir_list_empty(&reactor->hooks) && weir_list_empty(&reactor->late_hooks) &&
           !weir_sched_busy(reactor->sched) && weir_topics_idle(reactor) &&
           reactor->state != WEIR_REACTOR_ENDED && !reactor->buffers.returns_waiting;
}

/* How a park ended tells what a spin would have been worth. */
static void learn_from_park(struct weir_reactor *reactor, uint64_t parked_ns)
{
    uint64_t most_ns = reactor->runtime->options.spin_ns_max;
    if (parked_ns < 2 * most_ns) /* waking up is in it, and takes as long as the longest spin */
        reactor->spin_ns = reactor->spin_ns ? reactor->spin_ns * 2 : SPIN_NS_MIN;
    else
        reactor->spin_ns /= 2;
    if (reactor->spin_ns > most_ns)
        reactor->spin_ns = most_ns;
    if (reactor->spin_ns < SPIN_NS_MIN)
        reactor->spin_ns = 0;
}

static bool steal_exposed(struct weir_reactor *reactor)
{
    uint32_t strands = weir_sched_steal(reactor->sched);
    if (strands == 0)
        return false;
    weir_record(&reactor->recorder, WEIR_RECORD_STEAL, 0, 0, 0, strands);
    WEIR_PROBE2(steal, reactor->index, strands);
    reactor->spin_ns = reactor->runtime->options.spin_ns_max; /* where there was a backlog there is more */
    return true;
}

static bool steal(struct weir_reactor *reactor)
{
    return weir_sched_announce(reactor->sched, WEIR_SCHED_SEARCHING) && steal_exposed(reactor);
}

/* Announce, look again, park: whoever publishes after the second look sees the announcement and wakes us. */
static int park(struct weir_reactor *reactor, uint64_t timeout_ns)
{
    weir_sched_announce(reactor->sched, WEIR_SCHED_PARKED);
    if (steal_exposed(reactor)) /* whoever exposed work before the announcement saw nobody to wake */
        return 1;
    if (!weir_mesh_prepare_sleep(reactor->mesh, reactor->index) || !weir_lanes_prepare_sleep(reactor)) {
        weir_mesh_awake(reactor->mesh, reactor->index);
        return 1;
    }
    uint64_t next_ns = weir_wheel_next_ns(&reactor->wheel);
    uint64_t from_ns = reactor->now_ns;
    reactor->busy_turn = false; /* the time asleep is no stall */
    uint64_t wait_ns = next_ns == UINT64_MAX ? UINT64_MAX : next_ns > from_ns ? next_ns - from_ns : 0;
    reactor->counters.parks++;
    weir_record(&reactor->recorder, WEIR_RECORD_PARK, 0, 0, 0, 0);
    WEIR_PROBE1(park, reactor->index);
    weir_store(&reactor->turn_since_ns, 0, relaxed); /* parked */
    int completed = weir_io_turn(reactor->io, wait_ns < timeout_ns ? wait_ns : timeout_ns);
    weir_mesh_awake(reactor->mesh, reactor->index);
    learn_from_park(reactor, reactor->now_ns - from_ns);
    if (completed < 0)
        return completed;
    int done = weir_reactor_turn(reactor, 0);
    return done < 0 ? done : done + completed;
}

/* Keep turning for as long as a spin has been worth; true when something came. */
static int spin(struct weir_reactor *reactor, uint64_t spin_ns)
{
    uint64_t until_ns = reactor->now_ns + spin_ns;
    while (reactor->now_ns < until_ns && reactor->state != WEIR_REACTOR_ENDED) {
        if (steal(reactor))
            return 1;
        weir_cpu_relax();
        int done = weir_reactor_turn(reactor, 0);
        if (done != 0) {
            reactor->counters.spins_hit++;
            return done;
        }
    }
    return 0;
}

int weir_reactor_idle(struct weir_reactor *reactor, uint64_t timeout_ns)
{
    if (!may_park(reactor))
        return 0;
    if (steal(reactor))
        return 1;
    uint64_t spin_ns = reactor->runtime->options.busy_poll ? WEIR_MS_NS : reactor->spin_ns;
    if (spin_ns > timeout_ns)
        spin_ns = timeout_ns;
    int done = spin_ns ? spin(reactor, spin_ns) : 0;
    if (done != 0 || reactor->runtime->options.busy_poll || !may_park(reactor))
        return done;
    return park(reactor, timeout_ns);
}

void weir_reactor_run(struct weir_reactor *reactor)
{
    while (reactor->state != WEIR_REACTOR_ENDED) {
        int done = weir_reactor_turn(reactor, 0);
        if (done == 0)
            done = weir_reactor_idle(reactor, UINT64_MAX);
        if (done < 0) {
            reactor->error = done;
            weir_reactor_log(reactor, WEIR_LOG_ERROR, "msg=\"reactor ends\" reactor=%u error=\"%s\"", reactor->index,
                             strerrordesc_np(-done));
            reactor->state = WEIR_REACTOR_ENDED;
        }
    }
}

/* A failed on_start ends the reactor; without an io it may be tried again. */
static int begin_on_callers_thread(struct weir_reactor *reactor)
{
    int result = weir_reactor_begin(reactor);
    if (result < 0 && reactor->io) {
        reactor->error = result;
        reactor->state = WEIR_REACTOR_ENDED;
        weir_reactor_end(reactor);
    }
    return result;
}

/* The host is about to poll: as park, but for the wait. What came meanwhile makes the fd readable. */
static void leave_to_host(struct weir_reactor *reactor)
{
    if (reactor->state == WEIR_REACTOR_ENDED)
        return;
    weir_host_set_timer(reactor);
    weir_sched_announce(reactor->sched, WEIR_SCHED_PARKED);
    bool quiet = !steal_exposed(reactor) && may_park(reactor) && weir_mesh_prepare_sleep(reactor->mesh, reactor->index) &&
                 weir_lanes_prepare_sleep(reactor);
    weir_store(&reactor->turn_since_ns, 0, relaxed); /* parked */
    reactor->busy_turn = false;
    if (!quiet)
        weir_io_wake_foreign(reactor->io);
}

int weir_reactor_run_once(struct weir_reactor *reactor, uint64_t timeout_ns)
{
    if (reactor->state == WEIR_REACTOR_NEW) {
        int result = begin_on_callers_thread(reactor);
        if (result < 0)
            return result;
    }
    if (reactor->state == WEIR_REACTOR_ENDED)
        return -ESHUTDOWN;
    if (reactor->host)
        weir_mesh_awake(reactor->mesh, reactor->index);
    int done = weir_reactor_turn(reactor, 0);
    if (done == 0 && timeout_ns > 0)
        done = weir_reactor_idle(reactor, timeout_ns);
    if (reactor->state == WEIR_REACTOR_ENDED)
        weir_reactor_end(reactor);
    else if (reactor->host && done >= 0)
        leave_to_host(reactor);
    return done;
}

int weir_reactor_fd(struct weir_reactor *reactor)
{
    if (reactor->state == WEIR_REACTOR_NEW) {
        int result = begin_on_callers_thread(reactor);
        if (result < 0)
            return result;
    }
    if (reactor->state == WEIR_REACTOR_ENDED)
        return -ESHUTDOWN;
    int result = weir_host_open(reactor);
    if (result < 0)
        return result;
    int fd = reactor->io->table->pollable(reactor->io);
    leave_to_host(reactor);
    return fd;
}

uint32_t weir_reactor_index(const struct weir_reactor *reactor)
{
    return reactor->index;
}

struct weir_runtime *weir_reactor_runtime(const struct weir_reactor *reactor)
{
    return reactor->runtime;
}

uint64_t weir_reactor_now_ns(const struct weir_reactor *reactor)
{
    return reactor->now_ns;
}

const char *weir_reactor_io_name(const struct weir_reactor *reactor)
{
    return reactor->io ? reactor->io->table->name : "none";
}

void weir_reactor_counters_read(const struct weir_reactor *reactor, struct weir_reactor_counters *counters_out)
{
    struct weir_sched_counts strands;
    weir_sched_counts(reactor->sched, &strands);
    *counters_out = reactor->counters;
    counters_out->events_emitted += weir_recorder_emits(&reactor->recorder);
    counters_out->strands_run = strands.executed;
    counters_out->strands_stolen = strands.stolen;
    counters_out->strands_lent = strands.shared - strands.taken_back;
    counters_out->buffers_bytes = reactor->buffers.bytes_used;
    if (reactor->io) {
        counters_out->io_enters = reactor->io->counters.enters;
        counters_out->recv_starved = reactor->io->counters.recv_starved;
    }
}
