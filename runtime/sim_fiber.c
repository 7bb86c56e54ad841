/*
 * runtime/sim_fiber.c - fibers, and who of them goes next.
 *
 * Each step the scheduler draws one of the fibers that can go on and gives it the thread until it waits or yields.
 * How it draws is itself drawn for each world: evenly, or with a liking for the one that ran last (long runs of one
 * reactor), or by ranks that change now and then (some reactor hardly ever runs). A livelock costs steps, never time:
 * weir_sim_run counts them. Proof: tests/runtime/sim_test.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "runtime/sim_world.h"

#if defined(__SANITIZE_ADDRESS__)
#define WEIR_SIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEIR_SIM_ASAN 1
#endif
#endif
#ifndef WEIR_SIM_ASAN
#define WEIR_SIM_ASAN 0
#endif

#if WEIR_SIM_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(__SANITIZE_THREAD__)
#define WEIR_SIM_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEIR_SIM_TSAN 1
#endif
#endif
#ifndef WEIR_SIM_TSAN
#define WEIR_SIM_TSAN 0
#endif

#if WEIR_SIM_TSAN
#include <sanitizer/tsan_interface.h>
#endif

enum { STACK_BYTES = 512 << 10, RANK_CHANGE = 2000, SPURIOUS_NS_MAX = 1000000 };

enum liking {
    LIKES_NONE,
    LIKES_LAST, /* nine times of ten */
    LIKES_RANK,
    LIKINGS,
};

struct weir_sim_fiber {
    struct weir_sim_fiber *next;
    struct weir_sim_scheduler *scheduler;
    const char *name;
    weir_sim_fn fn;
    void *fn_context;
    ucontext_t context;
    uint8_t *stack; /* lowest page is a guard */
    void *shadow_stack;
    void *race_fiber;
    struct weir_sim_io *io; /* waited for; NULL: none */
    uint64_t deadline_ns;   /* waits no longer than this; 0: can go on */
    uint64_t paused_until_ns;
    uint64_t rank;
    bool ended;
};

struct weir_sim_scheduler {
    struct weir_sim *sim;
    struct weir_sim_fiber *first; /* in order of their making */
    struct weir_sim_fiber **last;
    struct weir_sim_fiber *running; /* NULL: the scheduler itself */
    struct weir_sim_fiber *ran_last;
    enum liking liking;
    ucontext_t context;
    void *shadow_stack;
    void *race_fiber;
    const void *stack; /* of the thread, as the address sanitizer told */
    size_t stack_bytes;
};

/* ---- Switching ---- */

static void switch_to_fiber(struct weir_sim_fiber *fiber)
{
    struct weir_sim_scheduler *scheduler = fiber->scheduler;
    scheduler->running = fiber;
#if WEIR_SIM_ASAN
    __sanitizer_start_switch_fiber(&scheduler->shadow_stack, fiber->stack, STACK_BYTES);
#endif
#if WEIR_SIM_TSAN
    scheduler->race_fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(fiber->race_fiber, 0);
#endif
    swapcontext(&scheduler->context, &fiber->context);
#if WEIR_SIM_ASAN
    __sanitizer_finish_switch_fiber(scheduler->shadow_stack, NULL, NULL);
#endif
    scheduler->running = NULL;
}

static void switch_back(struct weir_sim_fiber *fiber)
{
    struct weir_sim_scheduler *scheduler = fiber->scheduler;
#if WEIR_SIM_ASAN
    __sanitizer_start_switch_fiber(fiber->ended ? NULL : &fiber->shadow_stack, scheduler->stack,
                                   scheduler->stack_bytes);
#endif
#if WEIR_SIM_TSAN
    __tsan_switch_to_fiber(scheduler->race_fiber, 0);
#endif
    swapcontext(&fiber->context, &scheduler->context);
#if WEIR_SIM_ASAN
    __sanitizer_finish_switch_fiber(fiber->shadow_stack, &scheduler->stack, &scheduler->stack_bytes);
#endif
}

/* makecontext passes ints only. */
static void fiber_main(unsigned int high, unsigned int low)
{
    struct weir_sim_fiber *fiber = (struct weir_sim_fiber *)(uintptr_t)((uint64_t)high << 32 | low);
#if WEIR_SIM_ASAN
    __sanitizer_finish_switch_fiber(NULL, &fiber->scheduler->stack, &fiber->scheduler->stack_bytes);
#endif
    fiber->fn(fiber->fn_context);
    fiber->ended = true;
    switch_back(fiber);
    WEIR_ASSERT(false);
}

static uint8_t *take_stack(void)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *memory = mmap(NULL, STACK_BYTES + page_bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    mprotect(memory, page_bytes, PROT_NONE);
    return memory + page_bytes;
}

static void free_stack(struct weir_sim_fiber *fiber)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
#if WEIR_SIM_ASAN
    __asan_unpoison_memory_region(fiber->stack, STACK_BYTES);
#endif
    munmap(fiber->stack - page_bytes, STACK_BYTES + page_bytes);
#if WEIR_SIM_TSAN
    __tsan_destroy_fiber(fiber->race_fiber);
#endif
}

static struct weir_sim_scheduler *scheduler_of(struct weir_sim *sim)
{
    if (sim->scheduler == NULL) {
        sim->scheduler = weir_sim_alloc(sizeof(*sim->scheduler));
        sim->scheduler->sim = sim;
        sim->scheduler->last = &sim->scheduler->first;
        sim->scheduler->liking = (enum liking)weir_sim_below(sim, LIKINGS);
    }
    return sim->scheduler;
}

int weir_sim_spawn(struct weir_sim *sim, const char *name, weir_sim_fn fn, void *context)
{
    struct weir_sim_scheduler *scheduler = scheduler_of(sim);
    uint8_t *stack = take_stack();
    if (stack == NULL)
        return -ENOMEM;
    struct weir_sim_fiber *fiber = weir_sim_alloc(sizeof(*fiber));
    fiber->scheduler = scheduler;
    fiber->name = name;
    fiber->fn = fn;
    fiber->fn_context = context;
    fiber->stack = stack;
    fiber->rank = weir_sim_random(sim);
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = stack;
    fiber->context.uc_stack.ss_size = STACK_BYTES;
    fiber->context.uc_link = NULL;
    uint64_t bits = (uint64_t)(uintptr_t)fiber;
    makecontext(&fiber->context, (void (*)(void))(void *)fiber_main, 2, (unsigned int)(bits >> 32),
                (unsigned int)bits);
#if WEIR_SIM_TSAN
    fiber->race_fiber = __tsan_create_fiber(0);
#endif
    *scheduler->last = fiber;
    scheduler->last = &fiber->next;
    return 0;
}

void weir_sim_fibers_close(struct weir_sim *sim)
{
    if (sim->scheduler == NULL)
        return;
    struct weir_sim_fiber *next;
    for (struct weir_sim_fiber *fiber = sim->scheduler->first; fiber != NULL; fiber = next) {
        next = fiber->next;
        free_stack(fiber);
        free(fiber);
    }
    free(sim->scheduler);
    sim->scheduler = NULL;
}

/* ---- What fibers call ---- */

bool weir_sim_on_fiber(const struct weir_sim *sim)
{
    return sim->scheduler != NULL && sim->scheduler->running != NULL;
}

void weir_sim_fiber_wait(struct weir_sim *sim, struct weir_sim_io *io, uint64_t deadline_ns)
{
    struct weir_sim_fiber *fiber = sim->scheduler->running;
    if (io != NULL && deadline_ns > sim->now_ns && weir_sim_chance(sim, sim->faults.spurious_wake))
        deadline_ns = weir_sim_between(sim, sim->now_ns,
                                       deadline_ns < sim->now_ns + SPURIOUS_NS_MAX
                                           ? deadline_ns
                                           : sim->now_ns + SPURIOUS_NS_MAX);
    fiber->io = io;
    fiber->deadline_ns = deadline_ns;
    switch_back(fiber);
    fiber->io = NULL;
    fiber->deadline_ns = 0;
}

void weir_sim_yield(struct weir_sim *sim)
{
    if (weir_sim_on_fiber(sim) && weir_sim_chance(sim, sim->faults.preempt))
        weir_sim_fiber_wait(sim, NULL, 0);
}

void weir_sim_sleep(struct weir_sim *sim, uint64_t delay_ns)
{
    WEIR_ASSERT(weir_sim_on_fiber(sim));
    weir_sim_fiber_wait(sim, NULL, sim->now_ns + delay_ns);
}

/* ---- Scheduling ---- */

static bool has_something(const struct weir_sim_io *io)
{
    return io != NULL && (io->ready_count > 0 || io->woken);
}

static bool can_go(const struct weir_sim *sim, const struct weir_sim_fiber *fiber)
{
    if (fiber->ended || fiber->paused_until_ns > sim->now_ns)
        return false;
    return fiber->deadline_ns <= sim->now_ns || has_something(fiber->io);
}

/* When this fiber can go on if nothing else happens. */
static uint64_t goes_at_ns(const struct weir_sim_fiber *fiber)
{
    if (fiber->ended)
        return UINT64_MAX;
    uint64_t at_ns = has_something(fiber->io) ? 0 : fiber->deadline_ns;
    return at_ns > fiber->paused_until_ns ? at_ns : fiber->paused_until_ns;
}

static struct weir_sim_fiber *draw(struct weir_sim *sim)
{
    struct weir_sim_scheduler *scheduler = sim->scheduler;
    struct weir_sim_fiber *highest = NULL;
    uint64_t count = 0;
    for (struct weir_sim_fiber *fiber = scheduler->first; fiber != NULL; fiber = fiber->next) {
        if (!can_go(sim, fiber))
            continue;
        count++;
        if (highest == NULL || fiber->rank > highest->rank)
            highest = fiber;
    }
    if (count == 0)
        return NULL;
    if (scheduler->liking == LIKES_RANK && !weir_sim_chance(sim, 100000)) {
        if (weir_sim_chance(sim, RANK_CHANGE))
            highest->rank = weir_sim_random(sim);
        return highest;
    }
    if (scheduler->liking == LIKES_LAST && scheduler->ran_last != NULL &&
        can_go(sim, scheduler->ran_last) && weir_sim_chance(sim, 900000))
        return scheduler->ran_last;
    uint64_t pick = weir_sim_below(sim, count);
    for (struct weir_sim_fiber *fiber = scheduler->first;; fiber = fiber->next)
        if (can_go(sim, fiber) && pick-- == 0)
            return fiber;
}

/* Nobody can go on: jump to whatever is next. False: nothing is. */
static bool jump(struct weir_sim *sim)
{
    uint64_t next_ns = weir_sim_next_event_ns(sim);
    for (struct weir_sim_fiber *fiber = sim->scheduler->first; fiber != NULL; fiber = fiber->next)
        if (goes_at_ns(fiber) < next_ns)
            next_ns = goes_at_ns(fiber);
    if (next_ns == UINT64_MAX)
        return false;
    if (next_ns > sim->now_ns)
        sim->now_ns = next_ns;
    weir_sim_fire_due(sim);
    return true;
}

static bool all_ended(const struct weir_sim *sim)
{
    for (const struct weir_sim_fiber *fiber = sim->scheduler->first; fiber != NULL;
         fiber = fiber->next)
        if (!fiber->ended)
            return false;
    return true;
}

/* Work comes and goes: what has ended is not looked at again. */
static void forget(struct weir_sim_scheduler *scheduler, struct weir_sim_fiber *fiber)
{
    struct weir_sim_fiber **at = &scheduler->first;
    while (*at != fiber)
        at = &(*at)->next;
    *at = fiber->next;
    if (scheduler->last == &fiber->next)
        scheduler->last = at;
    if (scheduler->ran_last == fiber)
        scheduler->ran_last = NULL;
    free_stack(fiber);
    free(fiber);
}

static void step(struct weir_sim *sim, struct weir_sim_fiber *fiber)
{
    sim->steps++;
    weir_sim_mix(sim, fiber->rank ^ sim->now_ns);
    sim->scheduler->ran_last = fiber;
    switch_to_fiber(fiber);
    if (weir_sim_chance(sim, sim->faults.pause))
        fiber->paused_until_ns = sim->now_ns + weir_sim_below(sim, sim->faults.pause_ns_max + 1);
    if (fiber->ended)
        forget(sim->scheduler, fiber);
    weir_sim_pass(sim, 50 + weir_sim_below(sim, sim->faults.step_ns_max + 1));
}

enum weir_sim_end weir_sim_run(struct weir_sim *sim, bool (*until)(void *context), void *context,
                               uint64_t steps_max)
{
    scheduler_of(sim);
    WEIR_ASSERT(!weir_sim_on_fiber(sim));
    for (uint64_t steps = 0; steps < steps_max;) {
        if (until != NULL && until(context))
            return WEIR_SIM_REACHED;
        weir_sim_fire_due(sim);
        struct weir_sim_fiber *fiber = draw(sim);
        if (fiber != NULL) {
            step(sim, fiber);
            steps++;
        } else if (all_ended(sim)) {
            return WEIR_SIM_ENDED;
        } else if (!jump(sim)) {
            return WEIR_SIM_STUCK;
        }
    }
    return WEIR_SIM_STEPS;
}

void weir_sim_fibers_dump(struct weir_sim *sim, int fd)
{
    if (sim->scheduler == NULL)
        return;
    for (struct weir_sim_fiber *fiber = sim->scheduler->first; fiber != NULL; fiber = fiber->next)
        dprintf(fd, "  fiber %s: %s, io %d%s, deadline %llu\n", fiber->name,
                fiber->ended ? "ended" : (can_go(sim, fiber) ? "can go" : "waits"),
                fiber->io != NULL ? (int)fiber->io->index : -1,
                has_something(fiber->io) ? " (has something)" : "",
                (unsigned long long)fiber->deadline_ns);
}
