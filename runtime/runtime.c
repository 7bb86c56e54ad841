/*
 * runtime/runtime.c - opening, starting, stopping and freeing a runtime.
 *
 * Memory of the reactors is laid out by the opener; each io is opened and closed by the thread that runs it, since an
 * io_uring belongs to one thread. It stays open until the runtime is closed: until then peers, lanes, pool threads and
 * weir_runtime_stop may still wake it. Nothing here is on an event's path.
 *
 *     reactor threads                            opener
 *     run, on_stop, count ended   ----------->   wait: all have ended
 *                                                close: no pool thread any more
 *     close the io, end           <-----------   closing
 *                                                join, free
 * Proof: tests/runtime/runtime_test.c.
 */
#include "runtime/runtime.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/cpus.h"
#include "runtime/host.h"
#include "runtime/lane.h"
#include "runtime/pool.h"
#include "runtime/tcp.h"
#include "runtime/topics.h"
#include "runtime/udp.h"
#include "runtime/watchdog.h"
#include "runtime/work.h"

enum {
    TOPICS_MAX_DEFAULT = 65536,
    RECORDER_EVENTS_DEFAULT = 16384,
    REACTOR_BITS = 8, /* of an event id */
};

static bool power_of_two(uint32_t value)
{
    return value > 0 && (value & (value - 1)) == 0;
}

static void fill_defaults(struct weir_runtime_options *options, uint32_t cpu_count)
{
    if (options->reactor_count == 0)
        options->reactor_count = cpu_count < WEIR_MESH_REACTORS_MAX ? cpu_count : WEIR_MESH_REACTORS_MAX;
    if (options->no_spin)
        options->spin_ns_max = 0;
    else if (options->spin_ns_max == 0 && options->reactor_count <= cpu_count)
        options->spin_ns_max = 50 * WEIR_US_NS;
    if (options->topics_max == 0)
        options->topics_max = TOPICS_MAX_DEFAULT;
    if (options->recorder_events == 0)
        options->recorder_events = RECORDER_EVENTS_DEFAULT;
    if (options->stall_budget_ns == 0)
        options->stall_budget_ns = 10 * WEIR_MS_NS;
    if (options->memory_bytes_max == 0)
        options->memory_bytes_max = (uint64_t)1 << 30;
    if (options->drain_timeout_ns == 0)
        options->drain_timeout_ns = 5 * WEIR_S_NS;
}

static int take_options(struct weir_runtime *runtime, const struct weir_runtime_options *given)
{
    struct weir_runtime_options *options = &runtime->options;
    if (given) {
        if (given->size < offsetof(struct weir_runtime_options, io) || given->size > 4096)
            return -EINVAL;
        memcpy(options, given, given->size < sizeof *options ? given->size : sizeof *options);
    }
    if (options->reactor_count > WEIR_MESH_REACTORS_MAX || options->io > WEIR_IO_EPOLL)
        return -EINVAL;
    if (options->recorder_events > 0 && !power_of_two(options->recorder_events))
        return -EINVAL;
    fill_defaults(options, runtime->cpu_count);
    runtime->reactor_count = options->reactor_count;
    return 0;
}

static int open_io(void *context, struct weir_reactor *reactor, const struct weir_io_options *options,
                   struct weir_io **io_out, char *why_out, size_t why_bytes)
{
    (void)context;
    (void)reactor;
    return weir_io_open(options, io_out, why_out, why_bytes);
}

/* A stolen run goes home as one slot; the reply lane keeps room for it. */
static bool send_done(void *on, uint32_t home, struct weir_strand *strands)
{
    struct weir_mail *mail = weir_mail_reserve(on, home, WEIR_MAIL_DONE, WEIR_LANE_REPLY);
    if (!mail)
        return false;
    mail->pointer = strands;
    return true;
}

static void on_done(struct weir_reactor *reactor, uint32_t from, const struct weir_mail *mail)
{
    (void)from;
    weir_sched_done(reactor->sched, mail->pointer);
}

static void on_call(struct weir_reactor *reactor, uint32_t from, const struct weir_mail *mail)
{
    (void)from;
    mail->call.fn(reactor, mail->call.context);
}

static uint64_t sched_clock(void *on)
{
    struct weir_reactor *reactor = on;
    return weir_io_now_ns(reactor->io);
}

/* Work was exposed: wake one sleeper, the next after us that is asleep. */
static void on_shared(void *on)
{
    struct weir_reactor *reactor = on;
    weir_record(&reactor->recorder, WEIR_RECORD_LENT, 0, 0, 0, 0);
    for (uint32_t step = 1; step < reactor->count; step++) {
        uint32_t other = (reactor->index + step) % reactor->count;
        if (!weir_load(&reactor->runtime->reactors[other]->begun, acquire))
            continue;
        if (!weir_mesh_wake_needed(reactor->mesh, other))
            continue;
        reactor->counters.wakes_sent++;
        weir_io_wake(reactor->io, reactor->runtime->reactors[other]->io);
        return;
    }
}

static int open_sched(struct weir_reactor *reactor)
{
    struct weir_sched_options options = {
        .hub = reactor->runtime->hub,
        .reactor_index = reactor->index,
        .reactor_count = reactor->count,
        .stealing = !reactor->runtime->options.no_steal && reactor->count > 1,
        .on = reactor,
        .clock = sched_clock,
        .release = weir_topics_release,
        .send_done = send_done,
        .on_shared = on_shared,
        .seed = reactor->index + 1,
    };
    return weir_sched_open(&options, &reactor->sched);
}

static int open_waiters(struct weir_reactor *reactor)
{
    uint32_t list_count = 2 * reactor->count; /* requests, and posts */
    reactor->waiters = calloc(list_count, sizeof *reactor->waiters);
    if (!reactor->waiters)
        return -ENOMEM;
    for (uint32_t i = 0; i < list_count; i++)
        reactor->waiters[i].next = reactor->waiters[i].prev = &reactor->waiters[i];
    return 0;
}

static void drain_timer_fired(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    (void)timer;
    (void)now_ns;
}

static int open_reactor(struct weir_runtime *runtime, uint32_t index, struct weir_reactor **reactor_out)
{
    struct weir_reactor *reactor = aligned_alloc(128, (sizeof *reactor + 127) & ~(size_t)127);
    if (!reactor)
        return -ENOMEM;
    memset(reactor, 0, sizeof *reactor);
    *reactor_out = reactor;
    reactor->runtime = runtime;
    reactor->mesh = runtime->mesh;
    reactor->index = index;
    reactor->count = runtime->reactor_count;
    weir_list_init(&reactor->hooks);
    weir_list_init(&reactor->late_hooks);
    weir_list_init(&reactor->connections);
    weir_list_init(&reactor->listeners);
    weir_list_init(&reactor->datagrams);
    weir_wheel_init(&reactor->wheel, 0);
    weir_wheel_timer_init(&reactor->drain_timer, drain_timer_fired);
    weir_wheel_timer_init(&reactor->flush_timer, drain_timer_fired); /* runtime/tcp.c says what it does */
    uint64_t share_bytes = runtime->options.memory_bytes_max / runtime->reactor_count;
    int result = weir_buffers_init(&reactor->buffers, reactor->count, share_bytes);
    if (result == 0)
        result = open_waiters(reactor);
    if (result == 0)
        result = weir_recorder_init(&reactor->recorder, runtime->options.recorder_events,
                                    ((uint64_t)(index + 1) << (64 - REACTOR_BITS)) + 1);
    if (result == 0)
        result = open_sched(reactor);
    if (result == 0)
        result = weir_topics_open(reactor, &reactor->topics);
    return result;
}

static void free_reactor(struct weir_reactor *reactor)
{
    if (!reactor)
        return;
    weir_host_free(reactor);
    weir_recorder_deinit(&reactor->recorder);
    weir_buffers_deinit(&reactor->buffers);
    free(reactor->waiters);
    free(reactor);
}

static void wake_nobody(void *context, uint32_t reactor)
{
    (void)context;
    (void)reactor;
}

/* Everybody has stopped: what is on its way home arrives. A return ring may hold less than waits for it, so in rounds. */
static void bring_buffers_home(struct weir_runtime *runtime)
{
    bool waiting = true;
    while (waiting) {
        waiting = false;
        for (uint32_t i = 0; i < runtime->reactor_count; i++) {
            weir_buffers_collect(runtime->reactors[i]);
            weir_mesh_flush(runtime->mesh, i, wake_nobody, NULL);
            waiting |= runtime->reactors[i]->buffers.returns_waiting;
        }
    }
    for (uint32_t i = 0; i < runtime->reactor_count; i++)
        weir_buffers_collect(runtime->reactors[i]);
}

static void free_runtime(struct weir_runtime *runtime)
{
    for (uint32_t i = 0; runtime->reactors && i < runtime->reactor_count; i++)
        if (runtime->reactors[i] && runtime->reactors[i]->sched)
            weir_sched_close(runtime->reactors[i]->sched); /* all, before any topic memory goes */
    for (uint32_t i = 0; runtime->reactors && i < runtime->reactor_count; i++)
        if (runtime->reactors[i] && runtime->reactors[i]->topics)
            weir_topics_close(runtime->reactors[i], runtime->reactors[i]->topics);
    weir_lanes_close(runtime);
    if (runtime->started)
        bring_buffers_home(runtime);
    for (uint32_t i = 0; runtime->reactors && i < runtime->reactor_count; i++)
        free_reactor(runtime->reactors[i]);
    if (runtime->mesh)
        weir_mesh_close(runtime->mesh);
    if (runtime->registry)
        weir_registry_close(runtime->registry);
    pthread_cond_destroy(&runtime->start_changed);
    pthread_mutex_destroy(&runtime->start_lock);
    free(runtime->hub);
    free(runtime->reactors);
    free(runtime->threads);
    free(runtime);
}

static int open_parts(struct weir_runtime *runtime)
{
    runtime->reactors = calloc(runtime->reactor_count, sizeof *runtime->reactors);
    runtime->threads = calloc(runtime->reactor_count, sizeof *runtime->threads);
    size_t hub_bytes = (sizeof *runtime->hub + 127) & ~(size_t)127;
    runtime->hub = aligned_alloc(128, hub_bytes);
    if (!runtime->reactors || !runtime->threads || !runtime->hub)
        return -ENOMEM;
    memset(runtime->hub, 0, hub_bytes);
    int result = weir_mesh_open(runtime->reactor_count, &runtime->mesh);
    if (result == 0)
        result = weir_registry_open(runtime->options.topics_max, &runtime->registry);
    if (result == 0)
        result = weir_lanes_open(runtime);
    for (uint32_t i = 0; result == 0 && i < runtime->reactor_count; i++)
        result = open_reactor(runtime, i, &runtime->reactors[i]);
    return result;
}

int weir_runtime_open(const struct weir_runtime_options *options, struct weir_runtime **runtime_out)
{
    struct weir_runtime *runtime = calloc(1, sizeof *runtime);
    if (!runtime)
        return -ENOMEM;
    runtime->cpu_count = weir_cpus_allowed();
    runtime->io_open = open_io;
    pthread_mutex_init(&runtime->start_lock, NULL);
    pthread_cond_init(&runtime->start_changed, NULL);
    int result = take_options(runtime, options);
    if (result == 0)
        result = open_parts(runtime);
    if (result < 0) {
        free_runtime(runtime);
        return result;
    }
    weir_mail_handle(runtime, WEIR_MAIL_DONE, on_done);
    weir_mail_handle(runtime, WEIR_MAIL_CALL, on_call);
    *runtime_out = runtime;
    return 0;
}

void weir_runtime_use_io(struct weir_runtime *runtime, weir_io_open_fn io_open, void *context)
{
    WEIR_ASSERT(!runtime->started);
    runtime->io_open = io_open;
    runtime->io_open_context = context;
}

static int open_reactor_io(struct weir_reactor *reactor)
{
    struct weir_runtime *runtime = reactor->runtime;
    struct weir_io_options options = {
        .choice = (enum weir_io_choice)runtime->options.io,
        .level = runtime->options.io_level,
    };
    char why[160] = "";
    int result = runtime->io_open(runtime->io_open_context, reactor, &options, &reactor->io, why, sizeof why);
    if (result < 0)
        weir_reactor_log(reactor, WEIR_LOG_ERROR, "msg=\"no io\" reactor=%u why=\"%s\"", reactor->index, why);
    else if (reactor->index == 0)
        weir_reactor_log(reactor, WEIR_LOG_INFO, "msg=io io=%s why=\"%s\"", reactor->io->table->name, why);
    return result;
}

int weir_reactor_begin(struct weir_reactor *reactor)
{
    struct weir_runtime *runtime = reactor->runtime;
    if (!runtime->started) /* threads: weir_runtime_start has */
        runtime->started = true;
    if (runtime->options.pin_cpus && weir_cpus_pin(reactor->index % runtime->cpu_count) < 0)
        weir_reactor_log(reactor, WEIR_LOG_WARN, "msg=\"not pinned\" reactor=%u", reactor->index);
    int result = open_reactor_io(reactor);
    if (result < 0)
        return result;
    reactor->io->on_woke = weir_reactor_read_clock;
    reactor->io->on_woke_context = reactor;
    reactor->now_ns = weir_io_now_ns(reactor->io);
    weir_wheel_init(&reactor->wheel, reactor->now_ns);
    reactor->state = WEIR_REACTOR_RUNNING;
    weir_fetch_add(&runtime->running_count, 1, relaxed); /* start waits for all before a stop can count them */
    /* Either a stop sees that we have begun and wakes us, or our first turn sees the stop (seq_cst on both sides). */
    weir_store(&reactor->begun, 1, seq_cst);
    (void)weir_load(&reactor->stop_asked, seq_cst);
    result = weir_work_begin(reactor);
    if (result == 0 && runtime->options.on_start)
        result = runtime->options.on_start(reactor, runtime->options.context);
    return result;
}

void weir_reactor_end(struct weir_reactor *reactor)
{
    struct weir_runtime *runtime = reactor->runtime;
    if (!reactor->io)
        return;
    reactor->state = WEIR_REACTOR_ENDED; /* one whose start failed, too */
    weir_tcp_end_all(reactor); /* while what on_close needs is there */
    if (runtime->options.on_stop)
        runtime->options.on_stop(reactor, runtime->options.context);
    weir_store(&reactor->turn_since_ns, 0, relaxed);
}

/* Through the start, and whether it has failed by now. */
static bool pass_start(struct weir_runtime *runtime, uint32_t wait_for)
{
    pthread_mutex_lock(&runtime->start_lock);
    while (runtime->through_count < wait_for)
        pthread_cond_wait(&runtime->start_changed, &runtime->start_lock);
    bool failed = runtime->start_failed;
    pthread_mutex_unlock(&runtime->start_lock);
    return !failed;
}

static void count_through(struct weir_runtime *runtime, uint32_t count, bool failed)
{
    pthread_mutex_lock(&runtime->start_lock);
    runtime->through_count += count;
    runtime->start_failed |= failed;
    pthread_cond_broadcast(&runtime->start_changed);
    pthread_mutex_unlock(&runtime->start_lock);
}

/* The reactor has ended; its io is kept for who might wake it until nobody does. */
static void wait_for_closing(struct weir_runtime *runtime)
{
    pthread_mutex_lock(&runtime->start_lock);
    runtime->ended_count++;
    pthread_cond_broadcast(&runtime->start_changed);
    while (!runtime->closing)
        pthread_cond_wait(&runtime->start_changed, &runtime->start_lock);
    pthread_mutex_unlock(&runtime->start_lock);
}

static void close_io(struct weir_reactor *reactor)
{
    if (reactor->io)
        reactor->io->table->close(reactor->io);
    reactor->io = NULL;
}

static void *reactor_thread(void *context)
{
    struct weir_reactor *reactor = context;
    struct weir_runtime *runtime = reactor->runtime;
    reactor->error = weir_reactor_begin(reactor);
    count_through(runtime, 1, reactor->error < 0);
    if (pass_start(runtime, runtime->reactor_count))
        weir_reactor_run(reactor);
    weir_reactor_end(reactor);
    wait_for_closing(runtime);
    close_io(reactor);
    return NULL;
}

static void wait_for_ends(struct weir_runtime *runtime)
{
    pthread_mutex_lock(&runtime->start_lock);
    while (runtime->ended_count < runtime->threads_running)
        pthread_cond_wait(&runtime->start_changed, &runtime->start_lock);
    pthread_mutex_unlock(&runtime->start_lock);
    weir_watchdog_stop(runtime);
}

/* All have ended, and nobody else is left who could wake one. */
static void close_ios(struct weir_runtime *runtime)
{
    pthread_mutex_lock(&runtime->start_lock);
    runtime->closing = true;
    pthread_cond_broadcast(&runtime->start_changed);
    pthread_mutex_unlock(&runtime->start_lock);
    for (uint32_t i = 0; i < runtime->threads_running; i++)
        pthread_join(runtime->threads[i], NULL);
    runtime->threads_running = 0;
    for (uint32_t i = 0; runtime->reactors && i < runtime->reactor_count; i++)
        close_io(runtime->reactors[i]); /* of reactors that the caller has run */
}

/* Reactor 0 first, so that what its on_start found (a free port) is there for the others; these all at once. */
static int start_threads(struct weir_runtime *runtime)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the host's signals go to the host's threads */
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < runtime->reactor_count; i++) {
        result = -pthread_create(&runtime->threads[i], NULL, reactor_thread, runtime->reactors[i]);
        runtime->threads_running += result == 0;
        if (i == 0 && result == 0 && !pass_start(runtime, 1))
            break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (runtime->threads_running < runtime->reactor_count) /* those that run already are let through, to give up */
        count_through(runtime, runtime->reactor_count - runtime->threads_running, true);
    return result;
}

static int first_error(struct weir_runtime *runtime)
{
    for (uint32_t i = 0; i < runtime->reactor_count; i++)
        if (runtime->reactors[i]->error < 0)
            return runtime->reactors[i]->error;
    return 0;
}

int weir_runtime_start(struct weir_runtime *runtime)
{
    WEIR_ASSERT(!runtime->started);
    runtime->started = true;
    int result = start_threads(runtime);
    if (!pass_start(runtime, runtime->reactor_count)) {
        wait_for_ends(runtime);
        return result < 0 ? result : first_error(runtime);
    }
    result = weir_watchdog_start(runtime);
    if (result < 0) {
        weir_runtime_stop(runtime);
        wait_for_ends(runtime);
    }
    return result;
}

void weir_runtime_stop(struct weir_runtime *runtime)
{
    for (uint32_t i = 0; i < runtime->reactor_count; i++) {
        struct weir_reactor *reactor = runtime->reactors[i];
        weir_store(&reactor->stop_asked, 1, seq_cst); /* see weir_reactor_begin */
        if (weir_load(&reactor->begun, seq_cst))
            weir_io_wake_foreign(reactor->io);
    }
}

int weir_runtime_wait(struct weir_runtime *runtime)
{
    wait_for_ends(runtime);
    return first_error(runtime);
}

static bool is_running(const struct weir_reactor *reactor)
{
    return reactor->state == WEIR_REACTOR_RUNNING || reactor->state == WEIR_REACTOR_DRAINING;
}

/* They end together, so they are turned in rotation; a round in which none did anything waits a little. */
static void end_callers_reactors(struct weir_runtime *runtime)
{
    for (bool running = true, idle = false; running;) {
        bool waited = !idle;
        running = false;
        idle = true;
        for (uint32_t i = 0; i < runtime->reactor_count; i++) {
            struct weir_reactor *reactor = runtime->reactors[i];
            if (!is_running(reactor))
                continue;
            int done = weir_reactor_run_once(reactor, waited ? 0 : WEIR_MS_NS);
            waited = true;
            idle &= done == 0;
            running |= done >= 0 || done == -ESHUTDOWN;
        }
    }
}

void weir_runtime_close(struct weir_runtime *runtime)
{
    if (!runtime)
        return;
    bool threaded = runtime->threads_running > 0;
    weir_runtime_stop(runtime);
    weir_runtime_wait(runtime);
    if (!threaded)
        end_callers_reactors(runtime);
    weir_work_close(runtime); /* its threads wake reactors: before their io goes */
    close_ios(runtime);
    for (uint32_t i = 0; i < runtime->reactor_count; i++) {
        weir_tcp_free_all(runtime->reactors[i]); /* what the deadline cut off; the kernel has let go now */
        weir_udp_free_all(runtime->reactors[i]);
    }
    free_runtime(runtime);
}

uint32_t weir_runtime_reactor_count(const struct weir_runtime *runtime)
{
    return runtime->reactor_count;
}

struct weir_reactor *weir_runtime_reactor(struct weir_runtime *runtime, uint32_t index)
{
    return index < runtime->reactor_count ? runtime->reactors[index] : NULL;
}
