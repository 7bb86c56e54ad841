/*
 * bench/weir/sched.c - the scheduler without its reactor: what a bare deque is to be compared with. Tasks made on one of two
 * threads; the other gets what it steals. As bench/weir/dispatch.c otherwise.
 */
#include "bench/kit/strands.h"

enum { BURST = 256 };

struct shape {
    bool work;
    bool burst;
};

struct bench {
    const struct shape *shape;
    struct strands *strands;
    double took;
};

static uint64_t cycles_per_us;

static void owner(uint64_t count, void *context)
{
    struct bench *bench = context;
    struct strands *strands = bench->strands;
    uint64_t made = 0;
    double from = measure_now_s();
    while (made < count) {
        uint64_t left = count - made, lot = bench->shape->burst ? BURST : STRANDS_TASKS;
        if (!bench->shape->burst || strands->sides[0].released == made)
            made += strands_post(strands, left < lot ? left : lot, 0);
        strands_turn(strands);
    }
    while (strands->sides[0].released < count)
        strands_turn(strands);
    bench->took = measure_now_s() - from;
    atomic_store(&strands->over, true);
}

static void thief(uint64_t count, void *context)
{
    (void)count;
    strands_steal(((struct bench *)context)->strands);
}

static double run(uint64_t count, const void *argument)
{
    struct bench bench = {.shape = argument};
    bench.strands = strands_open(2, bench.shape->work ? cycles_per_us : 0);
    (void)measure_two(owner, thief, count, &bench);
    strands_close(bench.strands);
    return bench.took;
}

int main(int argc, char **argv)
{
    static const struct shape backlog = {.work = true}, burst = {.work = true, .burst = true},
                              empty = {0};
    static const struct measure_case cases[] = {{"sched.backlog", "1/s", run, &backlog},
                                                {"sched.burst", "1/s", run, &burst},
                                                {"sched.empty", "1/s", run, &empty}};
    cycles_per_us = measure_cycles_per_us();
    return measure_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
