/*
 * bench/kit/strands.h - a scheduler alone, or with a thief on a thread of its own: no reactor, no kernel, no events.
 *
 * The thief steals what the owner shares; executed strands go home through a ring. Tasks come from the owner's free list and go
 * back to it by release.
 */
#ifndef WEIR_BENCH_STRANDS_H
#define WEIR_BENCH_STRANDS_H

#include <stdatomic.h>
#include <stdlib.h>

#include "bench/kit/measure.h"
#include "ring/spsc.h"
#include "sched/strand.h"

enum { STRANDS_TASKS = 1024, STRANDS_HOME_SLOTS = 1024 };

struct strands_side {
    struct weir_sched *sched;
    struct weir_ring *home; /* strands on their way back to side 0 */
    struct weir_task *free_tasks;
    uint64_t released;
};

struct strands {
    struct weir_sched_hub *hub;
    struct strands_side sides[2];
    uint32_t side_count;
    uint64_t spin_cycles; /* a task's work */
    struct weir_class class;
    struct weir_task tasks[STRANDS_TASKS];
    atomic_bool over;
};

static inline enum weir_verdict strands_execute(void *context, struct weir_task *task, void *on)
{
    (void)task;
    (void)on;
    measure_spin(((struct strands *)context)->spin_cycles);
    return WEIR_TASK_DONE;
}

static inline uint64_t strands_clock_ns(void *on)
{
    (void)on;
    return measure_now_ns();
}

static inline void strands_take_back(void *on, struct weir_class *class, struct weir_task *first,
                                     struct weir_task *last, uint32_t count)
{
    struct strands_side *side = on;
    (void)class;
    last->next = side->free_tasks;
    side->free_tasks = first;
    side->released += count;
}

static inline bool strands_send_done(void *on, uint32_t home, struct weir_strand *strands)
{
    struct strands_side *side = on;
    (void)home;
    return weir_ring_push_u64(side->home, (uint64_t)(uintptr_t)strands);
}

static inline struct weir_ring *strands_ring_open(void)
{
    size_t bytes = (weir_ring_bytes(STRANDS_HOME_SLOTS, 8) + 127) / 128 * 128;
    struct weir_ring *ring = NULL;
    if (weir_ring_init(aligned_alloc(128, bytes), bytes, STRANDS_HOME_SLOTS, 8, &ring) != 0)
        abort();
    return ring;
}

/* side_count: 1 or 2. */
static inline struct strands *strands_open(uint32_t side_count, uint64_t spin_cycles)
{
    struct strands *strands = aligned_alloc(128, (sizeof *strands + 127) / 128 * 128);
    struct weir_ring *home = strands_ring_open();
    *strands = (struct strands){
        .side_count = side_count,
        .spin_cycles = spin_cycles,
        .class = {.execute = strands_execute, .context = strands, .stealable = true}};
    strands->hub = aligned_alloc(128, sizeof *strands->hub);
    *strands->hub = (struct weir_sched_hub){0};
    for (uint32_t i = 0; i < side_count; i++) {
        struct strands_side *side = &strands->sides[i];
        struct weir_sched_options options = {.hub = strands->hub,
                                             .reactor_index = i,
                                             .reactor_count = side_count,
                                             .stealing = side_count > 1,
                                             .on = side,
                                             .clock = strands_clock_ns,
                                             .release = strands_take_back,
                                             .send_done = strands_send_done,
                                             .seed = i + 1};
        side->home = home;
        if (weir_sched_open(&options, &side->sched) != 0)
            measure_fail("no scheduler");
    }
    weir_sched_class_init(strands->sides[0].sched, &strands->class);
    for (uint32_t i = 0; i < STRANDS_TASKS; i++)
        strands_take_back(&strands->sides[0], &strands->class, &strands->tasks[i],
                          &strands->tasks[i], 0);
    return strands;
}

static inline void strands_close(struct strands *strands)
{
    for (uint32_t i = 0; i < strands->side_count; i++)
        weir_sched_close(strands->sides[i].sched);
    free(strands->sides[0].home);
    free(strands->hub);
    free(strands);
}

/* The owner: post up to `count` tasks, as many as are free. key_count 0: no key. How many. */
static inline uint64_t strands_post(struct strands *strands, uint64_t count, uint64_t key_count)
{
    struct strands_side *side = &strands->sides[0];
    uint64_t i = 0;
    for (; i < count && side->free_tasks != NULL; i++) {
        struct weir_task *task = side->free_tasks;
        side->free_tasks = task->next;
        if ((key_count > 0 ? weir_sched_post_keyed(side->sched, &strands->class, i % key_count, task)
                           : weir_sched_post(side->sched, &strands->class, task)) != 0)
            measure_fail("a post failed");
    }
    return i;
}

/* The owner: a turn. */
static inline void strands_turn(struct strands *strands)
{
    struct strands_side *side = &strands->sides[0];
    uint64_t come_home;
    while (weir_ring_pop_u64(side->home, &come_home))
        weir_sched_done(side->sched, (struct weir_strand *)(uintptr_t)come_home);
    (void)weir_sched_run(side->sched, measure_now_ns());
}

/* The thief, until it is over and its hands are empty. */
static inline void strands_steal(struct strands *strands)
{
    struct weir_sched *sched = strands->sides[1].sched;
    while (!atomic_load_explicit(&strands->over, memory_order_relaxed) || weir_sched_busy(sched)) {
        if (!weir_sched_busy(sched)) {
            (void)weir_sched_announce(sched, WEIR_SCHED_SEARCHING);
            if (weir_sched_steal(sched) == 0)
                continue;
        }
        (void)weir_sched_announce(sched, WEIR_SCHED_BUSY);
        (void)weir_sched_run(sched, measure_now_ns());
    }
}

#endif
