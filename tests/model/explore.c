/*
 * tests/model/explore.c - the explorer: views, choices, and coroutines that stop before every access.
 *
 * A run is a list of choices; the next run repeats all but the last that still has an alternative. What
 * happens between two stops is deterministic, so the list alone reproduces the run. The memory model is
 * described in the header. Bounds: the enum below; going past one is a failure, never silence.
 */
#include "tests/model/explore.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "base/assert.h"

enum {
    THREADS_MAX = 4,
    LOCATIONS_MAX = 48,
    STORES_MAX = 48, /* of one location in one run */
    PLAINS_MAX = 32,
    CHOICES_MAX = 2048,
    NAMES_MAX = 32,
    STEPS_MAX = 4096,
    STACK_BYTES = 64 * 1024,
};

struct clock {
    uint32_t at[THREADS_MAX];
};

/* How much of each location, and of each thread's past, is known. */
struct view {
    uint8_t oldest[LOCATIONS_MAX]; /* the oldest store that may still be read */
    struct clock clock;            /* happens-before, for plain data */
};

struct store {
    uint64_t value;
    struct view view; /* what an acquire load of it learns */
};

struct location {
    void *at;
    uint32_t bytes;
    uint32_t store_count;
    struct store stores[STORES_MAX];
};

struct plain {
    const void *at;
    struct clock written;
    struct clock read;
};

enum op_kind { OP_LOAD, OP_STORE, OP_RMW, OP_FENCE, OP_PAUSE, OP_PARK, OP_WAKE };

/* The access a thread is stopped before. */
struct op {
    enum op_kind kind;
    uint32_t location; /* or the parking place */
    enum explore_order order;
};

struct thread {
    struct view now;      /* the thread's own view */
    struct view acquired; /* what relaxed loads have seen, for an acquire fence */
    struct view released; /* the view at the last release fence */
    struct op op;
    uint32_t paused_at; /* stores in the run when it paused */
    bool forced;        /* paused, and let go on with everything in view */
    bool started;
    bool done;
    uint32_t wakes; /* not yet consumed by a park */
    struct clock wake_clock;
    ucontext_t context;
    jmp_buf stopped;
    char *stack;
};

struct step {
    uint32_t thread;
    struct op op;
    uint64_t value;
    uint32_t store;       /* which store was read or made */
    uint32_t store_count; /* of the location, then */
};

struct choice {
    uint16_t taken;
    uint16_t width;
};

static struct {
    const struct explore_model *model;
    struct thread threads[THREADS_MAX];
    struct location locations[LOCATIONS_MAX];
    uint32_t location_count;
    struct plain plains[PLAINS_MAX];
    uint32_t plain_count;
    uint8_t fence_view[LOCATIONS_MAX]; /* of all seq_cst fences */
    uint32_t store_count;              /* of the run */
    uint32_t current;                  /* thread that runs, or THREADS_MAX */
    const char *failure;
    struct choice choices[CHOICES_MAX];
    uint32_t choice_count; /* known from the run before */
    uint32_t choice_next;
    struct step steps[STEPS_MAX];
    uint32_t step_count;
    struct {
        const void *at;
        const char *name;
    } names[NAMES_MAX];
    uint32_t name_count;
    jmp_buf scheduler;
    ucontext_t scheduler_context;
} x;

static void fail(const char *why)
{
    if (x.failure == NULL)
        x.failure = why;
}

/* ---- Choices ------------------------------------------------------------------------------------- */

static uint32_t choose(uint32_t width)
{
    if (width <= 1)
        return 0;
    if (x.choice_next == CHOICES_MAX) {
        fail("more choices in one run than the explorer holds");
        return 0;
    }
    struct choice *choice = &x.choices[x.choice_next];
    if (x.choice_next++ == x.choice_count) {
        *choice = (struct choice){.width = (uint16_t)width};
        x.choice_count++;
    }
    if (choice->width != width)
        fail("the model does not repeat: it depends on something but its choices");
    return choice->taken;
}

/* Turn to the next run. False: that was the last. */
static bool next_run(void)
{
    while (x.choice_count > 0) {
        struct choice *last = &x.choices[x.choice_count - 1];
        if (last->taken + 1 < last->width) {
            last->taken++;
            return true;
        }
        x.choice_count--;
    }
    return false;
}

/* ---- Coroutines ---------------------------------------------------------------------------------- */

static bool in_thread(void)
{
    return x.current < THREADS_MAX;
}

static struct thread *self(void)
{
    return &x.threads[x.current];
}

/* Stop before `op`, until the scheduler picks this thread. */
static void stop_before(struct op op)
{
    struct thread *thread = self();
    thread->op = op;
    if (_setjmp(thread->stopped) == 0)
        _longjmp(x.scheduler, 1);
}

static void thread_main(void)
{
    x.model->thread(x.current);
    self()->done = true;
    _longjmp(x.scheduler, 1);
}

/* Let `thread` take its step and run to its next stop. */
static void resume(uint32_t thread)
{
    struct thread *t = &x.threads[thread];
    x.current = thread;
    if (_setjmp(x.scheduler) == 0) {
        if (t->started)
            _longjmp(t->stopped, 1);
        t->started = true;
        setcontext(&t->context);
    }
    x.current = THREADS_MAX;
}

__attribute__((noreturn)) static void abandon(void)
{
    _longjmp(x.scheduler, 1);
}

/* ---- Views --------------------------------------------------------------------------------------- */

static void join_clock(struct clock *into, const struct clock *from)
{
    for (uint32_t t = 0; t < THREADS_MAX; t++)
        if (from->at[t] > into->at[t])
            into->at[t] = from->at[t];
}

static void join_oldest(uint8_t *into, const uint8_t *from)
{
    for (uint32_t l = 0; l < x.location_count; l++)
        if (from[l] > into[l])
            into[l] = from[l];
}

static void join(struct view *into, const struct view *from)
{
    join_oldest(into->oldest, from->oldest);
    join_clock(&into->clock, &from->clock);
}

static bool acquires(enum explore_order order)
{
    return order == EXPLORE_acquire || order >= EXPLORE_acq_rel;
}

static bool releases(enum explore_order order)
{
    return order >= EXPLORE_release;
}

static uint64_t raw_read(const void *at, uint32_t bytes)
{
    uint64_t value = 0;
    memcpy(&value, at, bytes);
    return value;
}

static uint32_t location_of(const void *at, uint32_t bytes)
{
    for (uint32_t l = 0; l < x.location_count; l++)
        if (x.locations[l].at == at)
            return l;
    if (x.location_count == LOCATIONS_MAX) {
        fail("more atomic locations than the explorer holds");
        abandon();
    }
    struct location *location = &x.locations[x.location_count];
    location->at = (void *)(uintptr_t)at;
    location->bytes = bytes;
    location->store_count = 1;
    memset(&location->stores[0], 0, sizeof location->stores[0]);
    location->stores[0].value = raw_read(at, bytes);
    return x.location_count++;
}

static void record(struct op op, uint64_t value, uint32_t store)
{
    if (x.step_count == STEPS_MAX) {
        fail("a run longer than the explorer holds: does a loop lack explore_pause?");
        abandon();
    }
    uint32_t count = op.kind < OP_FENCE ? x.locations[op.location].store_count : 0;
    x.steps[x.step_count++] = (struct step){x.current, op, value, store, count};
}

/* The thread learns what `store` carries. */
static void learn(const struct store *store, enum explore_order order)
{
    join(acquires(order) ? &self()->now : &self()->acquired, &store->view);
}

static uint64_t read_from(uint32_t l, uint32_t store, enum explore_order order)
{
    struct thread *thread = self();
    thread->now.oldest[l] = (uint8_t)store;
    learn(&x.locations[l].stores[store], order);
    return x.locations[l].stores[store].value;
}

/* Append a store; `before` is what a read-modify-write read, or NULL. */
static void append(uint32_t l, uint64_t value, enum explore_order order, const struct store *before)
{
    struct thread *thread = self();
    struct location *location = &x.locations[l];
    if (location->store_count == STORES_MAX) {
        fail("more stores to one location than the explorer holds");
        abandon();
    }
    uint32_t made = location->store_count++;
    struct store *store = &location->stores[made];
    thread->now.oldest[l] = (uint8_t)made;
    store->value = value;
    store->view = releases(order) ? thread->now : thread->released;
    store->view.oldest[l] = (uint8_t)made;
    if (before != NULL)
        join(&store->view, &before->view);
    memcpy(location->at, &value, location->bytes);
    thread->now.clock.at[x.current]++; /* what follows is not covered by this release */
    x.store_count++;
}

/* ---- Atomic accesses ----------------------------------------------------------------------------- */

static uint64_t mask_of(uint32_t bytes)
{
    return bytes == 8 ? ~(uint64_t)0 : ((uint64_t)1 << (bytes * 8)) - 1;
}

uint64_t explore_load(const void *at, uint32_t bytes, enum explore_order order)
{
    if (!in_thread())
        return raw_read(at, bytes);
    struct op op = {OP_LOAD, location_of(at, bytes), order};
    stop_before(op);
    struct location *location = &x.locations[op.location];
    uint32_t oldest = self()->now.oldest[op.location];
    /* The newest first: the first run is the ordinary one. */
    uint32_t store = location->store_count - 1 - choose(location->store_count - oldest);
    uint64_t value = read_from(op.location, store, order);
    record(op, value, store);
    return value;
}

void explore_store(void *at, uint32_t bytes, uint64_t value, enum explore_order order)
{
    if (!in_thread()) {
        memcpy(at, &value, bytes);
        return;
    }
    struct op op = {OP_STORE, location_of(at, bytes), order};
    stop_before(op);
    append(op.location, value & mask_of(bytes), order, NULL);
    record(op, value, x.locations[op.location].store_count - 1);
}

static uint64_t combine(enum explore_rmw kind, uint64_t old, uint64_t operand)
{
    switch (kind) {
    case EXPLORE_OR:
        return old | operand;
    case EXPLORE_AND:
        return old & operand;
    case EXPLORE_ADD:
        return old + operand;
    case EXPLORE_EXCHANGE:
    default:
        return operand;
    }
}

/* Read the newest store and append `value`. */
static uint64_t replace_newest(uint32_t l, uint64_t value, enum explore_order order)
{
    uint32_t newest = x.locations[l].store_count - 1;
    uint64_t old = read_from(l, newest, order);
    append(l, value, order, &x.locations[l].stores[newest]);
    return old;
}

uint64_t explore_rmw(void *at, uint32_t bytes, enum explore_rmw kind, uint64_t operand,
                     enum explore_order order)
{
    if (!in_thread()) {
        uint64_t old = raw_read(at, bytes);
        uint64_t value = combine(kind, old, operand);
        memcpy(at, &value, bytes);
        return old;
    }
    struct op op = {OP_RMW, location_of(at, bytes), order};
    stop_before(op);
    struct location *location = &x.locations[op.location];
    uint64_t newest = location->stores[location->store_count - 1].value;
    uint64_t value = combine(kind, newest, operand) & mask_of(bytes);
    replace_newest(op.location, value, order);
    record(op, value, location->store_count - 1);
    return newest;
}

/* The n-th store, newest first, that a failing compare-and-swap may read. Counts them if n is too big. */
static uint32_t failing_store(uint32_t l, uint64_t expected, uint32_t n, uint32_t *count_out)
{
    struct location *location = &x.locations[l];
    uint32_t oldest = self()->now.oldest[l];
    *count_out = 0;
    for (uint32_t s = location->store_count; s-- > oldest;)
        if (location->stores[s].value != expected && (*count_out)++ == n)
            return s;
    return STORES_MAX;
}

bool explore_compare_exchange(void *at, uint32_t bytes, uint64_t *expected, uint64_t desired,
                              enum explore_order order)
{
    if (!in_thread()) {
        uint64_t old = raw_read(at, bytes);
        bool same = old == *expected;
        if (same)
            memcpy(at, &desired, bytes);
        *expected = old;
        return same;
    }
    struct op op = {OP_RMW, location_of(at, bytes), order};
    stop_before(op);
    struct location *location = &x.locations[op.location];
    bool may_succeed = location->stores[location->store_count - 1].value == *expected;
    uint32_t ways_to_fail;
    failing_store(op.location, *expected, STORES_MAX, &ways_to_fail);
    uint32_t way = choose(ways_to_fail + (may_succeed ? 1 : 0));
    if (may_succeed && way == 0) {
        replace_newest(op.location, desired & mask_of(bytes), order);
        record(op, desired, location->store_count - 1);
        return true;
    }
    uint32_t store = failing_store(op.location, *expected, way - (may_succeed ? 1 : 0),
                                   &ways_to_fail);
    *expected = read_from(op.location, store, EXPLORE_relaxed);
    op.kind = OP_LOAD;
    record(op, *expected, store);
    return false;
}

void explore_fence(enum explore_order order)
{
    if (!in_thread())
        return;
    struct op op = {OP_FENCE, 0, order};
    stop_before(op);
    struct thread *thread = self();
    if (acquires(order))
        join(&thread->now, &thread->acquired);
    if (order == EXPLORE_seq_cst) {
        join_oldest(thread->now.oldest, x.fence_view);
        memcpy(x.fence_view, thread->now.oldest, sizeof x.fence_view);
    }
    if (releases(order)) {
        thread->released = thread->now;
        thread->now.clock.at[x.current]++;
    }
    record(op, 0, 0);
}

/* ---- Plain data ---------------------------------------------------------------------------------- */

static struct plain *plain_of(const void *at)
{
    for (uint32_t p = 0; p < x.plain_count; p++)
        if (x.plains[p].at == at)
            return &x.plains[p];
    if (x.plain_count == PLAINS_MAX) {
        fail("more plain data than the explorer holds");
        abandon();
    }
    x.plains[x.plain_count] = (struct plain){.at = at};
    return &x.plains[x.plain_count++];
}

/* Did everything in `past` by other threads happen before now? */
static bool known(const struct clock *past)
{
    for (uint32_t t = 0; t < THREADS_MAX; t++)
        if (t != x.current && past->at[t] > self()->now.clock.at[t])
            return false;
    return true;
}

void explore_plain(const void *at, bool is_write)
{
    if (!in_thread())
        return;
    struct plain *plain = plain_of(at);
    if (!known(&plain->written))
        fail(is_write ? "plain data written by two at once"
                      : "plain data read before it is written");
    if (is_write && !known(&plain->read))
        fail("plain data written while it may still be read");
    if (x.failure != NULL)
        abandon();
    uint32_t now = self()->now.clock.at[x.current];
    (is_write ? &plain->written : &plain->read)->at[x.current] = now;
}

/* ---- What a model calls -------------------------------------------------------------------------- */

void explore_check(bool holds, const char *promise)
{
    if (holds)
        return;
    fail(promise);
    if (in_thread())
        abandon();
}

/* The protocol's own assertions end a run as a failure. */
void weir_assert_fail(const char *file, int line, const char *condition)
{
    static char text[256];
    snprintf(text, sizeof text, "%s:%d: assertion failed: %s", file, line, condition);
    fail(text);
    if (in_thread())
        abandon();
    printf("FAILED: %s\n", text);
    abort();
}

void explore_pause(void)
{
    struct op op = {OP_PAUSE, 0, EXPLORE_relaxed};
    self()->paused_at = x.store_count;
    self()->forced = false;
    stop_before(op);
    record(op, 0, 0);
}

void explore_park(void)
{
    struct op op = {OP_PARK, x.current, EXPLORE_acquire};
    stop_before(op);
    self()->wakes = 0; /* as an eventfd: one read takes all */
    join_clock(&self()->now.clock, &self()->wake_clock);
    record(op, 0, 0);
}

void explore_wake(uint32_t thread)
{
    struct op op = {OP_WAKE, thread, EXPLORE_release};
    stop_before(op);
    x.threads[thread].wakes++;
    join_clock(&x.threads[thread].wake_clock, &self()->now.clock);
    self()->now.clock.at[x.current]++;
    record(op, 0, 0);
}

void explore_name(const void *at, const char *name)
{
    for (uint32_t n = 0; n < x.name_count; n++) {
        if (x.names[n].at == at) {
            x.names[n].name = name;
            return;
        }
    }
    if (x.name_count < NAMES_MAX) {
        x.names[x.name_count].at = at;
        x.names[x.name_count++].name = name;
    }
}

/* ---- The schedule -------------------------------------------------------------------------------- */

/* May two steps be swapped without either noticing? */
static bool independent(const struct op *a, const struct op *b)
{
    if (a->kind == OP_PAUSE || b->kind == OP_PAUSE)
        return a->kind == OP_LOAD || b->kind == OP_LOAD;
    if (a->kind == OP_FENCE || b->kind == OP_FENCE)
        return a->kind != b->kind;
    bool a_parks = a->kind == OP_PARK || a->kind == OP_WAKE;
    bool b_parks = b->kind == OP_PARK || b->kind == OP_WAKE;
    if (a_parks != b_parks || a->location != b->location)
        return true;
    return a->kind == OP_LOAD && b->kind == OP_LOAD;
}

static bool can_run(const struct thread *thread)
{
    if (thread->done)
        return false;
    if (thread->op.kind == OP_PAUSE)
        return thread->forced || thread->paused_at != x.store_count;
    return thread->op.kind != OP_PARK || thread->wakes > 0;
}

static uint32_t runnable(void)
{
    uint32_t threads = 0;
    for (uint32_t t = 0; t < x.model->thread_count; t++)
        if (can_run(&x.threads[t]))
            threads |= 1u << t;
    return threads;
}

/* Nobody can run: stores become visible in the end, so who waits in a loop looks once more. */
static uint32_t force_paused(void)
{
    for (uint32_t t = 0; t < x.model->thread_count; t++) {
        struct thread *thread = &x.threads[t];
        if (thread->done || thread->op.kind != OP_PAUSE)
            continue;
        bool stale = false;
        for (uint32_t l = 0; l < x.location_count; l++) {
            uint8_t newest = (uint8_t)(x.locations[l].store_count - 1);
            stale |= thread->now.oldest[l] != newest;
            thread->now.oldest[l] = newest;
        }
        thread->forced = stale;
    }
    return runnable();
}

static bool all_done(void)
{
    for (uint32_t t = 0; t < x.model->thread_count; t++)
        if (!x.threads[t].done)
            return false;
    return true;
}

/* Pick one of `candidates`, the one that ran last first; those it is picked before are in *passed_out. */
static uint32_t pick(uint32_t candidates, uint32_t last, uint32_t *passed_out)
{
    uint32_t n = choose((uint32_t)__builtin_popcount(candidates));
    *passed_out = 0;
    for (uint32_t i = 0; i < x.model->thread_count; i++) {
        uint32_t t = (last + i) % x.model->thread_count;
        if ((candidates & (1u << t)) == 0)
            continue;
        if (n-- == 0)
            return t;
        *passed_out |= 1u << t;
    }
    return last;
}

/* Of the threads asleep (their step was tried before, and nothing since touched it), who stays so? */
static uint32_t still_asleep(uint32_t asleep, const struct op *step)
{
    for (uint32_t t = 0; t < x.model->thread_count; t++)
        if ((asleep & (1u << t)) && !independent(&x.threads[t].op, step))
            asleep &= ~(1u << t);
    return asleep;
}

/* Schedule until all are done, something failed, or only steps are left that were tried elsewhere. */
static bool schedule(void)
{
    uint32_t asleep = 0, last = 0, preemptions = 0;
    uint32_t bound = x.model->preemptions_max;
    while (x.failure == NULL && !all_done()) {
        uint32_t able = runnable();
        if (able == 0 && (able = force_paused()) == 0) {
            fail("nobody can run: a wake-up was lost, or a wait is in vain");
            return true;
        }
        bool last_able = (able & (1u << last)) != 0;
        uint32_t candidates = able & ~asleep;
        if (bound != 0 && last_able && preemptions == bound)
            candidates &= 1u << last;
        if (candidates == 0)
            return false;
        uint32_t passed;
        uint32_t thread = pick(candidates, last, &passed);
        preemptions += last_able && thread != last;
        struct op step = x.threads[thread].op;
        if (bound == 0) /* with a bound, the other order of two steps may be out of bounds */
            asleep = still_asleep(asleep | passed, &step);
        last = thread;
        resume(thread);
    }
    return true;
}

static void start_threads(void)
{
    for (uint32_t t = 0; t < x.model->thread_count; t++) {
        struct thread *thread = &x.threads[t];
        char *stack = thread->stack ? thread->stack : malloc(STACK_BYTES);
        memset(thread, 0, sizeof *thread);
        thread->stack = stack;
        thread->now.clock.at[t] = 1;
        getcontext(&thread->context);
        thread->context.uc_stack.ss_sp = stack;
        thread->context.uc_stack.ss_size = STACK_BYTES;
        thread->context.uc_link = &x.scheduler_context;
        makecontext(&thread->context, thread_main, 0);
    }
    for (uint32_t t = 0; t < x.model->thread_count && x.failure == NULL; t++)
        resume(t); /* to the first stop: nothing shared happens before it */
}

/* True: complete; false: it turned into one that was explored before. */
static bool run_once(void)
{
    x.location_count = 0;
    x.plain_count = 0;
    x.store_count = 0;
    x.step_count = 0;
    x.choice_next = 0;
    memset(x.fence_view, 0, sizeof x.fence_view);
    x.current = THREADS_MAX;
    x.model->setup();
    start_threads();
    bool complete = schedule();
    if (complete && x.failure == NULL && x.model->finish != NULL)
        x.model->finish();
    return complete;
}

/* ---- Printing ------------------------------------------------------------------------------------ */

static const char *name_of(const void *at)
{
    static char unnamed[32];
    for (uint32_t n = 0; n < x.name_count; n++)
        if (x.names[n].at == at)
            return x.names[n].name;
    snprintf(unnamed, sizeof unnamed, "%p", at);
    return unnamed;
}

static void print_step(const struct step *step)
{
    static const char *const kinds[] = {"load", "store", "rmw", "fence", "pause", "park", "wake"};
    static const char *const orders[] = {"relaxed", "acquire", "release", "acq_rel", "seq_cst"};
    printf("  thread %u  %-5s ", step->thread, kinds[step->op.kind]);
    if (step->op.kind >= OP_PAUSE)
        printf("%s%u\n", step->op.kind == OP_WAKE ? "thread " : "", step->op.location);
    else if (step->op.kind == OP_FENCE)
        printf("%s\n", orders[step->op.order]);
    else
        printf("%s = %llu, %s%s\n", name_of(x.locations[step->op.location].at),
               (unsigned long long)step->value, orders[step->op.order],
               step->op.kind == OP_LOAD && step->store + 1 < step->store_count ? "   (stale)" : "");
}

bool explore_run(const struct explore_model *model)
{
    uint64_t complete = 0, cut = 0;
    x.model = model;
    x.failure = NULL;
    x.choice_count = 0;
    do {
        if (run_once())
            complete++;
        else
            cut++;
    } while (x.failure == NULL && next_run());
    printf("%s: %llu executions, %llu cut short as explored before", model->name,
           (unsigned long long)complete, (unsigned long long)cut);
    if (model->preemptions_max != 0)
        printf(", at most %u preemptions", model->preemptions_max);
    printf("\n");
    if (x.failure == NULL)
        return true;
    printf("FAILED: %s\n", x.failure);
    for (uint32_t s = 0; s < x.step_count; s++)
        print_step(&x.steps[s]);
    return false;
}
