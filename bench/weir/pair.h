/*
 * bench/weir/pair.h - two reactors on two threads of the program's own, each on its CPU.
 */
#ifndef WEIR_BENCH_PAIR_H
#define WEIR_BENCH_PAIR_H

#include <stdatomic.h>

#include <weir/weir.h>

#include "bench/kit/measure.h"

struct pair {
    struct weir_runtime *runtime;
    struct weir_reactor *reactors[2];
    void *context; /* the user's */
    uint64_t count;
    double took;      /* set by the side that can tell */
    atomic_int ready; /* sides whose reactor has begun */
    atomic_bool over;
};

static inline void pair_open(struct pair *pair, bool no_steal, weir_start_fn on_start, void *context)
{
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = 2;
    options.no_steal = no_steal;
    options.spin_ns_max = 50 * 1000; /* the default with a CPU for each; whoever opens is pinned to one and cannot see two */
    options.on_start = on_start;
    options.context = context;
    if (weir_runtime_open(&options, &pair->runtime) != 0)
        measure_fail("no runtime");
    for (uint32_t i = 0; i < 2; i++)
        pair->reactors[i] = weir_runtime_reactor(pair->runtime, i);
    pair->context = context;
}

/* The first thing each side does: its reactor is there when both are. */
static inline struct weir_reactor *pair_begin(struct pair *pair, int side)
{
    if (weir_reactor_run_once(pair->reactors[side], 0) < 0)
        measure_fail("a reactor does not turn");
    atomic_fetch_add(&pair->ready, 1);
    while (atomic_load(&pair->ready) < 2)
        ;
    return pair->reactors[side];
}

#endif
