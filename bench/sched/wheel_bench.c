/* bench/sched/wheel_bench.c - timers: set and cancelled, moved, and left to fire, with so many others set. */
#include <stdlib.h>

#include "bench/shim.h"
#include "sched/wheel.h"

enum { LOT = 64 };

static void ignore(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    (void)timer;
    (void)now_ns;
}

struct bench {
    struct weir_wheel wheel;
    struct weir_wheel_timer mine[LOT];
    struct weir_wheel_timer others[];
};

/* The others lie an hour ahead and on, spread over the levels. */
static struct bench *bench_open(int64_t others)
{
    struct bench *bench = calloc(1, sizeof *bench + (size_t)others * sizeof bench->others[0]);
    if (bench == NULL)
        abort();
    weir_wheel_init(&bench->wheel, 0);
    for (int i = 0; i < LOT; i++)
        weir_wheel_timer_init(&bench->mine[i], ignore);
    for (int64_t i = 0; i < others; i++) {
        weir_wheel_timer_init(&bench->others[i], ignore);
        weir_wheel_arm(&bench->wheel, &bench->others[i],
                       (uint64_t)3600000000000 + (uint64_t)i * 7919000);
    }
    return bench;
}

static void arm_cancel(struct shim_state *state, int64_t others)
{
    struct bench *bench = bench_open(others);
    uint64_t i = 0;
    while (shim_running(state)) {
        weir_wheel_arm(&bench->wheel, &bench->mine[i % LOT], 1000000 + i % 1000 * 1000000);
        (void)weir_wheel_cancel(&bench->wheel, &bench->mine[i++ % LOT]);
    }
    shim_items(state, 1);
    free(bench);
}
SHIM_BENCH("timer_arm_cancel/others", arm_cancel, 0, 100000)

static void move(struct shim_state *state, int64_t others)
{
    struct bench *bench = bench_open(others);
    uint64_t i = 0;
    while (shim_running(state)) {
        weir_wheel_arm(&bench->wheel, &bench->mine[i % LOT], 1000000 + i % 1000 * 1000000);
        i++;
    }
    shim_items(state, 1);
    free(bench);
}
SHIM_BENCH("timer_move/others", move, 0, 100000)

static void expire(struct shim_state *state, int64_t others)
{
    struct bench *bench = bench_open(others);
    uint64_t now_ns = 0;
    while (shim_running(state)) {
        for (uint64_t k = 0; k < LOT; k++)
            weir_wheel_arm(&bench->wheel, &bench->mine[k], now_ns + k * WEIR_WHEEL_TICK_NS);
        now_ns += (uint64_t)(LOT + 2) * WEIR_WHEEL_TICK_NS;
        (void)weir_wheel_expire(&bench->wheel, now_ns, LOT);
    }
    shim_items(state, LOT);
    free(bench);
}
SHIM_BENCH("timer_expire/others", expire, 0, 1000)
