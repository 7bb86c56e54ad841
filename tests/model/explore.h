/*
 * tests/model/explore.h - runs a small concurrent program in every order, with every stale read.
 *
 * A model includes a protocol's own source, compiled with WEIR_MODEL, so that each atomic access calls
 * this explorer. Threads are coroutines that stop before every atomic access; the explorer walks, depth
 * first, over who goes next and over which store each load reads.
 *
 * The memory model is an operational one with views, after Kang et al., "A Promising Semantics for
 * Relaxed-Memory Concurrency" (POPL 2017), without promises:
 * - Each location keeps all its stores in modification order. Each thread has a view: for each location,
 *   the oldest store it may still read (coherence). A load reads any store from there on.
 * - A store carries a view: a release store the thread's own, a relaxed one that of the thread's last
 *   release fence. An acquire load joins it; a relaxed load keeps it for the next acquire fence.
 * - A read-modify-write reads the newest store and continues its release sequence; a plain relaxed store
 *   does not (as in C++20, and weaker than C11). A compare-and-swap that fails may read an older value.
 * - A seq_cst fence joins the thread's view with one global view, both ways, and is acquire and release.
 * - seq_cst on an access is taken as acq_rel: what passes here needs no more than that.
 * - Plain data is checked with vector clocks: two accesses, one a write, not ordered by release and
 *   acquire, are a race. seq_cst fences do not order plain data unless an atomic is read across them.
 *
 * Left out: loads that read from stores executed later (load buffering), and stores that enter the
 * modification order before older ones of other threads. In ring/ each location has one thread that
 * stores, and all others only read or swap; there the second leaves out only a swap that falls before a
 * newer store which its thread has not seen, as if it had run earlier. The first is argued where an order
 * stands against it (ring/deque.c).
 *
 * Orders that differ only in independent steps are run once (sleep sets). A model may bound preemptions;
 * then it says so, and the count it prints is of the bounded search.
 */
#ifndef WEIR_TESTS_MODEL_EXPLORE_H
#define WEIR_TESTS_MODEL_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- What base/atomic.h is made of under WEIR_MODEL ---------------------------------------------- */

typedef struct {
    uint32_t value;
} weir_atomic_u32;
typedef struct {
    uint64_t value;
} weir_atomic_u64;
typedef struct {
    void *value;
} weir_atomic_ptr;

enum explore_order {
    EXPLORE_relaxed,
    EXPLORE_acquire,
    EXPLORE_release,
    EXPLORE_acq_rel,
    EXPLORE_seq_cst,
};

enum explore_rmw { EXPLORE_EXCHANGE, EXPLORE_OR, EXPLORE_AND, EXPLORE_ADD };

uint64_t explore_load(const void *at, uint32_t bytes, enum explore_order order);
void explore_store(void *at, uint32_t bytes, uint64_t value, enum explore_order order);
uint64_t explore_rmw(void *at, uint32_t bytes, enum explore_rmw kind, uint64_t operand,
                     enum explore_order order);
bool explore_compare_exchange(void *at, uint32_t bytes, uint64_t *expected, uint64_t desired,
                              enum explore_order order);
void explore_fence(enum explore_order order);
void explore_plain(const void *at, bool is_write);

#define EXPLORE_BYTES(at) ((uint32_t)sizeof((at)->value))
#define EXPLORE_TYPE(at) __typeof__((at)->value)
#define weir_load(at, order) \
    ((EXPLORE_TYPE(at))explore_load((at), EXPLORE_BYTES(at), EXPLORE_##order))
#define weir_store(at, to, order) \
    explore_store((at), EXPLORE_BYTES(at), (uint64_t)(EXPLORE_TYPE(at))(to), EXPLORE_##order)
#define EXPLORE_RMW(at, kind, by, order)                                                         \
    ({                                                                                           \
        EXPLORE_TYPE(at)                                                                         \
        explore_old = (EXPLORE_TYPE(at))explore_rmw(                                             \
            (at), EXPLORE_BYTES(at), (kind), (uint64_t)(EXPLORE_TYPE(at))(by), EXPLORE_##order); \
        explore_old;                                                                             \
    })
#define weir_exchange(at, to, order) EXPLORE_RMW(at, EXPLORE_EXCHANGE, to, order)
#define weir_fetch_or(at, bits, order) EXPLORE_RMW(at, EXPLORE_OR, bits, order)
#define weir_fetch_and(at, bits, order) EXPLORE_RMW(at, EXPLORE_AND, bits, order)
#define weir_fetch_add(at, by, order) EXPLORE_RMW(at, EXPLORE_ADD, by, order)
#define weir_compare_exchange(at, expected, desired, order)                                      \
    ({                                                                                           \
        uint64_t explore_expected = (uint64_t) * (expected);                                     \
        bool explore_done = explore_compare_exchange((at), EXPLORE_BYTES(at), &explore_expected, \
                                                     (uint64_t)(desired), EXPLORE_##order);      \
        *(expected) = (EXPLORE_TYPE(at))explore_expected;                                        \
        explore_done;                                                                            \
    })
#define weir_fence(order) explore_fence(EXPLORE_##order)
#define weir_plain_write(at, bytes) explore_plain((at), true)
#define weir_plain_read(at, bytes) explore_plain((at), false)

/* ---- What a model calls -------------------------------------------------------------------------- */

struct explore_model {
    const char *name;
    uint32_t thread_count;
    void (*setup)(void);         /* before each run; its accesses are nobody's */
    void (*thread)(uint32_t me); /* what each thread does */
    void (*finish)(void);        /* after each complete run; reads the newest values */
    uint32_t preemptions_max;    /* 0: no bound */
};

/* Explore; prints how many runs, or the failure and its schedule. True: nothing failed. */
bool explore_run(const struct explore_model *model);

/* A promise of the model; false ends the run as a failure. */
void explore_check(bool holds, const char *promise);

/*
 * For waiting loops: go on when another thread has stored something since. When nobody else can run, the
 * thread goes on once with every store in its view, for stores do become visible; if that was in vain
 * too, the model is stuck, which is a failure.
 */
void explore_pause(void);

/* A parking place for each thread: a wake that comes first makes the park return at once. Being parked
 * when nobody else can run is a failure: the lost wake-up. */
void explore_park(void);
void explore_wake(uint32_t thread);

/* What a location is called in a printed schedule. */
void explore_name(const void *at, const char *name);

#endif
