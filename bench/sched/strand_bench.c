/*
 * bench/sched/strand_bench.c - posting to strands and running them, on a scheduler alone and with a thief.
 *
 * An iteration is a lot of 1,024 tasks. With a thief, the thief's thread steals what the owner shares, and strands go home
 * through a ring; tasks do 1 us of work, so the rate shows how well the second core is used: 2M/s is the limit, 1M/s is alone.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bench/kit/measure.h"
#include "bench/shim.h"
#include "ring/spsc.h"
#include "sched/strand.h"

enum { LOT = 1024, HOME_SLOTS = 1024 };

struct side {
    struct weir_sched *sched;
    struct weir_ring *home; /* strands on their way back to side 0 */
    struct weir_task *free_tasks;
    uint64_t released;
};

struct bench {
    struct weir_sched_hub *hub;
    struct side sides[2];
    struct weir_class class;
    struct weir_task tasks[LOT];
    atomic_bool over;
};

static uint64_t spin_cycles;

static enum weir_verdict execute(void *context, struct weir_task *task, void *on)
{
    (void)context;
    (void)task;
    (void)on;
    measure_spin(spin_cycles);
    return WEIR_TASK_DONE;
}

static uint64_t clock_ns(void *on)
{
    (void)on;
    return measure_now_ns();
}

static void take_back(void *on, struct weir_task *first, struct weir_task *last, uint32_t count)
{
    struct side *side = on;
    last->next = side->free_tasks;
    side->free_tasks = first;
    side->released += count;
}

static bool send_done(void *on, uint32_t home, struct weir_strand *strands)
{
    struct side *side = on;
    (void)home;
    return weir_ring_push_u64(side->home, (uint64_t)(uintptr_t)strands);
}

static struct weir_ring *ring_open(void)
{
    size_t bytes = (weir_ring_bytes(HOME_SLOTS, 8) + 127) / 128 * 128;
    struct weir_ring *ring = NULL;
    if (weir_ring_init(aligned_alloc(128, bytes), bytes, HOME_SLOTS, 8, &ring) != 0)
        abort();
    return ring;
}

static struct bench *bench_open(uint32_t reactor_count, bool stealable)
{
    struct bench *bench = aligned_alloc(128, (sizeof *bench + 127) / 128 * 128);
    struct weir_ring *home = ring_open();
    *bench = (struct bench){.class = {.execute = execute, .stealable = stealable}};
    bench->hub = aligned_alloc(128, sizeof *bench->hub);
    *bench->hub = (struct weir_sched_hub){0};
    for (uint32_t i = 0; i < reactor_count; i++) {
        struct side *side = &bench->sides[i];
        struct weir_sched_options options = {
            .hub = bench->hub, .reactor_index = i, .reactor_count = reactor_count, .stealing = reactor_count > 1, .on = side,
            .clock = clock_ns, .release = take_back, .send_done = send_done, .seed = i + 1};
        side->home = home;
        if (weir_sched_open(&options, &side->sched) != 0)
            abort();
    }
    weir_sched_class_init(bench->sides[0].sched, &bench->class);
    for (uint32_t i = 0; i < LOT; i++)
        take_back(&bench->sides[0], &bench->tasks[i], &bench->tasks[i], 0);
    return bench;
}

static void bench_close(struct bench *bench, uint32_t reactor_count)
{
    for (uint32_t i = 0; i < reactor_count; i++)
        weir_sched_close(bench->sides[i].sched);
    free(bench->sides[0].home);
    free(bench->hub);
    free(bench);
}

/* Post a lot and run until all of it has been released. key_count 0: no key. */
static void lot(struct bench *bench, uint64_t key_count)
{
    struct side *side = &bench->sides[0];
    uint64_t until = side->released + LOT, strands;
    for (uint64_t i = 0; i < LOT; i++) {
        struct weir_task *task = side->free_tasks;
        side->free_tasks = task->next;
        if ((key_count > 0 ? weir_sched_post_keyed(side->sched, &bench->class, i % key_count, task)
                           : weir_sched_post(side->sched, &bench->class, task)) != 0)
            abort();
    }
    while (side->released < until) {
        while (weir_ring_pop_u64(side->home, &strands))
            weir_sched_done(side->sched, (struct weir_strand *)(uintptr_t)strands);
        (void)weir_sched_run(side->sched, measure_now_ns());
    }
}

static void alone(struct shim_state *state, int64_t key_count)
{
    struct bench *bench = bench_open(1, true);
    spin_cycles = 0;
    while (shim_running(state))
        lot(bench, (uint64_t)key_count);
    shim_items(state, LOT);
    bench_close(bench, 1);
}
SHIM_BENCH("strand_post_run/keys", alone, 0, 16, 1000)

static void *steal(void *context)
{
    struct bench *bench = context;
    struct weir_sched *sched = bench->sides[1].sched;
    while (!atomic_load_explicit(&bench->over, memory_order_relaxed) || weir_sched_busy(sched)) {
        if (!weir_sched_busy(sched)) {
            (void)weir_sched_announce(sched, WEIR_SCHED_SEARCHING);
            if (weir_sched_steal(sched) == 0)
                continue;
        }
        (void)weir_sched_announce(sched, WEIR_SCHED_BUSY);
        (void)weir_sched_run(sched, measure_now_ns());
    }
    return NULL;
}

static void with_thief(struct shim_state *state, int64_t key_count)
{
    struct bench *bench = bench_open(2, true);
    pthread_t thread;
    spin_cycles = measure_cycles_per_us();
    if (pthread_create(&thread, NULL, steal, bench) != 0)
        abort();
    while (shim_running(state))
        lot(bench, (uint64_t)key_count);
    shim_items(state, LOT);
    atomic_store(&bench->over, true);
    pthread_join(thread, NULL);
    bench_close(bench, 2);
}
SHIM_BENCH("strand_steal_1us/cores:2/keys", with_thief, 0, 1000)
