/*
 * bench/counted/counted.c - one case, so many times, and nothing else: bench/count runs it twice under callgrind and divides the
 * difference of the instructions by the difference of the counts. What is set up, warmed and torn down cancels out.
 *
 * One thread, no clock, no chance: the same binary gives the same figure. Arguments: case, count. `--list` names the cases.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/weir.h>

#include "ring/spsc.h"
#include "sched/bucket.h"
#include "sched/lease.h"
#include "sched/strand.h"
#include "sched/wheel.h"

enum { BURST = 64 };

static void fail(const char *what)
{
    fprintf(stderr, "counted: %s\n", what);
    exit(1);
}

/* The loop that drives a case costs this much; it is in every figure. */
static void nothing(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        __asm__ volatile("" : : "r"(i) : "memory");
}

/* ---- rings: both ends on this thread ---- */

static struct weir_ring *ring_open(uint32_t slot_bytes)
{
    size_t bytes = (weir_ring_bytes(1024, slot_bytes) + 127) / 128 * 128;
    struct weir_ring *ring;
    if (weir_ring_init(aligned_alloc(128, bytes), bytes, 1024, slot_bytes, &ring) != 0)
        fail("no ring");
    return ring;
}

static void ring_push_pop(uint64_t count)
{
    struct weir_ring *ring = ring_open(8);
    uint64_t value = 0;
    for (uint64_t i = 0; i < count; i += BURST) {
        for (uint32_t k = 0; k < BURST; k++)
            if (!weir_ring_push_u64(ring, k))
                fail("full");
        for (uint32_t k = 0; k < BURST; k++)
            if (!weir_ring_pop_u64(ring, &value) || value != k)
                fail("order");
    }
    free(ring);
}

static void ring_burst_64(uint64_t count)
{
    struct weir_ring *ring = ring_open(64);
    for (uint64_t i = 0; i < count; i += BURST) {
        void *first;
        for (uint32_t done = 0; done < BURST;) {
            uint32_t got = weir_ring_reserve_many(ring, BURST - done, &first);
            for (uint32_t k = 0; k < got; k++)
                *(uint64_t *)((char *)first + (size_t)k * 64) = k;
            done += got;
        }
        weir_ring_publish(ring);
        for (uint32_t done = 0; done < BURST;) {
            uint32_t got = weir_ring_peek_many(ring, &first);
            weir_ring_release_many(ring, got);
            done += got;
        }
    }
    free(ring);
}

/* ---- strands: a reactor's scheduler alone ---- */

struct strands {
    struct weir_sched *sched;
    struct weir_class class;
    struct weir_task *free_tasks;
};

static enum weir_verdict execute(void *context, struct weir_task *task, void *on)
{
    (void)context;
    (void)task;
    (void)on;
    return WEIR_TASK_DONE;
}

static uint64_t no_clock(void *on)
{
    (void)on;
    return 1;
}

static void take_back(void *on, struct weir_class *class, struct weir_task *first, struct weir_task *last,
                      uint32_t count)
{
    struct strands *strands = on;
    (void)class;
    (void)count;
    last->next = strands->free_tasks;
    strands->free_tasks = first;
}

static bool no_thief(void *on, uint32_t home, struct weir_strand *chain)
{
    (void)on;
    (void)home;
    (void)chain;
    return false;
}

static void dispatch(uint64_t count, bool keyed, bool stealable)
{
    static struct weir_task tasks[BURST];
    static struct strands strands;
    struct weir_sched_options options = {.reactor_count = 1,
                                         .on = &strands,
                                         .clock = no_clock,
                                         .release = take_back,
                                         .send_done = no_thief,
                                         .seed = 1};
    strands.class = (struct weir_class){.execute = execute, .stealable = stealable};
    if (weir_sched_open(&options, &strands.sched) != 0)
        fail("no scheduler");
    weir_sched_class_init(strands.sched, &strands.class);
    for (uint32_t i = 0; i < BURST; i++)
        take_back(&strands, &strands.class, &tasks[i], &tasks[i], 1);
    for (uint64_t i = 0; i < count; i += BURST) {
        for (uint32_t k = 0; k < BURST; k++) {
            struct weir_task *task = strands.free_tasks;
            strands.free_tasks = task->next;
            if ((keyed ? weir_sched_post_keyed(strands.sched, &strands.class, k % 16, task)
                       : weir_sched_post(strands.sched, &strands.class, task)) != 0)
                fail("refused");
        }
        while (weir_sched_busy(strands.sched))
            weir_sched_run(strands.sched, 1);
    }
    weir_sched_close(strands.sched);
}

static void strand_pinned(uint64_t count)
{
    dispatch(count, false, false);
}

static void strand_stealable(uint64_t count)
{
    dispatch(count, false, true);
}

static void strand_keyed(uint64_t count)
{
    dispatch(count, true, true);
}

/* ---- buckets and timers ---- */

static void bucket_take(uint64_t count)
{
    struct weir_bucket_rate rate;
    struct weir_bucket bucket = {0};
    uint64_t admitted = 0;
    if (weir_bucket_rate_init(&rate, 1000000000, 1000000000) != 0)
        fail("no limit");
    struct weir_bucket_rate *opaque = &rate;
    __asm__ volatile("" : "+r"(opaque) : : "memory");
    for (uint64_t i = 0; i < count; i++) {
        admitted += weir_bucket_take(&bucket, opaque, i * 2 + 1, 1) == 0;
        __asm__ volatile("" : : : "memory");
    }
    if (admitted != count)
        fail("refused");
}

static void lease_take(uint64_t count)
{
    static struct weir_lease_pool pool;
    struct weir_lease lease = {0};
    struct weir_lease_terms terms;
    uint64_t admitted = 0;
    if (weir_lease_terms_init(&terms, 1000000000, 1000000000, 2) != 0)
        fail("no limit");
    for (uint64_t i = 0; i < count; i++)
        admitted += weir_lease_take(&lease, &terms, &pool, i * 2 + 1, 1) == 0;
    if (admitted != count)
        fail("refused");
}

static void fire(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    (void)timer;
    (void)now_ns;
}

static void timer_arm_cancel(uint64_t count)
{
    static struct weir_wheel wheel;
    static struct weir_wheel_timer timers[BURST];
    weir_wheel_init(&wheel, 0);
    for (uint32_t i = 0; i < BURST; i++)
        weir_wheel_timer_init(&timers[i], fire);
    for (uint64_t i = 0; i < count; i++) {
        struct weir_wheel_timer *timer = &timers[i % BURST];
        weir_wheel_arm(&wheel, timer, 1000000 + i % 1000 * 1000000);
        if (i % 2 == 0)
            weir_wheel_cancel(&wheel, timer);
    }
}

static void timer_expire(uint64_t count)
{
    static struct weir_wheel wheel;
    static struct weir_wheel_timer timers[BURST];
    uint64_t now_ns = 0;
    weir_wheel_init(&wheel, 0);
    for (uint32_t i = 0; i < BURST; i++)
        weir_wheel_timer_init(&timers[i], fire);
    for (uint64_t i = 0; i < count; i += BURST) {
        for (uint32_t k = 0; k < BURST; k++)
            weir_wheel_arm(&wheel, &timers[k], now_ns + (uint64_t)k * WEIR_WHEEL_TICK_NS);
        now_ns += (uint64_t)(BURST + 2) * WEIR_WHEEL_TICK_NS;
        if (weir_wheel_expire(&wheel, now_ns, BURST) != BURST)
            fail("a timer is late");
    }
}

/* ---- events: a runtime of one reactor on this thread, over epoll, which callgrind knows ---- */

static struct weir_runtime *runtime;

static struct weir_reactor *reactors_open(uint32_t count)
{
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = count;
    options.io = WEIR_IO_EPOLL;
    if (weir_runtime_open(&options, &runtime) != 0)
        fail("no runtime");
    for (uint32_t i = 0; i < count; i++)
        if (weir_reactor_run_once(weir_runtime_reactor(runtime, i), 0) < 0)
            fail("no turn");
    return weir_runtime_reactor(runtime, 0);
}

static struct weir_reactor *reactor_open(void)
{
    return reactors_open(1);
}

static void add(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)on;
    *(uint64_t *)context += *(const uint64_t *)event->body;
}

static void emit(uint64_t count, const char *pattern, uint32_t handler_count)
{
    static uint64_t sums[16];
    struct weir_reactor *reactor = reactor_open();
    struct weir_topic topic;
    if (weir_topic_open(reactor, "user.login", &topic) != 0)
        fail("no topic");
    for (uint32_t i = 0; i < handler_count; i++)
        if (weir_on(reactor, pattern, add, &sums[i]) != 0)
            fail("no handler");
    for (uint64_t i = 0; i < count; i++)
        (void)weir_emit(reactor, topic, &i, sizeof i);
    if (sums[handler_count - 1] != count * (count - 1) / 2)
        fail("events were lost");
    weir_runtime_close(runtime);
}

static void emit_1(uint64_t count)
{
    emit(count, "user.login", 1);
}

static void emit_10(uint64_t count)
{
    emit(count, "user.login", 10);
}

static void emit_wild(uint64_t count)
{
    emit(count, "user.*", 1);
}

/* Queued and run here; the turn's own cost is shared by 64 of them, less its system calls' kernel part. */
static void post_here(uint64_t count)
{
    static uint64_t sum;
    struct weir_reactor *reactor = reactor_open();
    struct weir_topic topic;
    if (weir_topic_open(reactor, "user.login", &topic) != 0 ||
        weir_on(reactor, "user.login", add, &sum) != 0)
        fail("no topic");
    for (uint64_t i = 0; i < count; i += BURST) {
        for (uint64_t k = 0; k < BURST; k++) {
            uint64_t value = i + k;
            if (weir_post(reactor, topic, WEIR_TO_HERE, &value, sizeof value) != 0)
                fail("refused");
        }
        (void)weir_reactor_run_once(reactor, 0);
    }
    for (int i = 0; i < 16; i++)
        (void)weir_reactor_run_once(reactor, 0);
    if (sum != count * (count - 1) / 2)
        fail("events were lost");
    weir_runtime_close(runtime);
}

/* To another reactor, whose turns are run here too. */
static void post_there(uint64_t count)
{
    static uint64_t sum;
    struct weir_reactor *reactor = reactors_open(2), *other = weir_runtime_reactor(runtime, 1);
    struct weir_topic topic;
    if (weir_topic_open(reactor, "user.login", &topic) != 0 || weir_on(other, "user.login", add, &sum) != 0)
        fail("no topic");
    for (uint64_t i = 0; i < count; i += BURST) {
        for (uint64_t k = 0; k < BURST; k++) {
            uint64_t value[3] = {i + k};
            if (weir_post(reactor, topic, 1, value, sizeof value) != 0)
                fail("refused");
        }
        (void)weir_reactor_run_once(reactor, 0);
        (void)weir_reactor_run_once(other, 0);
    }
    if (sum != count * (count - 1) / 2)
        fail("events were lost");
    weir_runtime_close(runtime);
}

/* Through strands. */
static void post_queued(uint64_t count, bool keyed)
{
    static uint64_t sum;
    struct weir_reactor *reactor = reactor_open();
    struct weir_on_options options = WEIR_OPTIONS(struct weir_on_options);
    struct weir_topic topic;
    options.stealable = true;
    if (weir_topic_open(reactor, "user.login", &topic) != 0 ||
        weir_on_with(reactor, "user.login", add, &sum, &options, NULL) != 0)
        fail("no topic");
    for (uint64_t i = 0; i < count; i += BURST) {
        for (uint64_t k = 0; k < BURST; k++) {
            uint64_t value = i + k;
            if ((keyed ? weir_post_keyed(reactor, topic, WEIR_TO_HERE, k % 16, &value, sizeof value)
                       : weir_post(reactor, topic, WEIR_TO_HERE, &value, sizeof value)) != 0)
                fail("refused");
        }
        (void)weir_reactor_run_once(reactor, 0);
    }
    for (int i = 0; i < 16; i++)
        (void)weir_reactor_run_once(reactor, 0);
    if (sum != count * (count - 1) / 2)
        fail("events were lost");
    weir_runtime_close(runtime);
}

static void post_stealable(uint64_t count)
{
    post_queued(count, false);
}

static void post_keyed(uint64_t count)
{
    post_queued(count, true);
}

static const struct {
    const char *name;
    void (*run)(uint64_t count);
} cases[] = {
    {"nothing", nothing},
    {"ring_push_pop", ring_push_pop},
    {"ring_burst_64", ring_burst_64},
    {"emit_1", emit_1},
    {"emit_10", emit_10},
    {"emit_wild", emit_wild},
    {"post_here", post_here},
    {"post_there", post_there},
    {"post_stealable", post_stealable},
    {"post_keyed", post_keyed},
    {"strand_pinned", strand_pinned},
    {"strand_stealable", strand_stealable},
    {"strand_keyed", strand_keyed},
    {"bucket_take", bucket_take},
    {"lease_take", lease_take},
    {"timer_arm_cancel", timer_arm_cancel},
    {"timer_expire", timer_expire},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (argc == 2 && strcmp(argv[1], "--list") == 0)
            puts(cases[i].name);
        if (argc == 3 && strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run(strtoull(argv[2], NULL, 10) / BURST * BURST);
            return 0;
        }
    }
    return argc == 2 ? 0 : 2;
}
