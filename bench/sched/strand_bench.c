/*
 * bench/sched/strand_bench.c - posting to strands and running them, on a scheduler alone and with a thief.
 *
 * An iteration is a lot of 1,024 tasks. With a thief, tasks do 1 us of work, so the rate shows how well the second core is used:
 * 2M/s is the limit, 1M/s is alone.
 */
#include <pthread.h>

#include "bench/kit/strands.h"
#include "bench/shim.h"

/* Post a lot and run until all of it has been released. */
static void lot(struct strands *strands, int64_t key_count)
{
    uint64_t until = strands->sides[0].released + STRANDS_TASKS;
    (void)strands_post(strands, STRANDS_TASKS, (uint64_t)key_count);
    while (strands->sides[0].released < until)
        strands_turn(strands);
}

static void alone(struct shim_state *state, int64_t key_count)
{
    struct strands *strands = strands_open(1, 0);
    while (shim_running(state))
        lot(strands, key_count);
    shim_items(state, STRANDS_TASKS);
    strands_close(strands);
}
SHIM_BENCH("strand_post_run/keys", alone, 0, 16, 1000)

static void *thief(void *context)
{
    strands_steal(context);
    return NULL;
}

static void with_thief(struct shim_state *state, int64_t key_count)
{
    struct strands *strands = strands_open(2, measure_cycles_per_us());
    pthread_t thread;
    if (pthread_create(&thread, NULL, thief, strands) != 0)
        measure_fail("no thread");
    while (shim_running(state))
        lot(strands, key_count);
    shim_items(state, STRANDS_TASKS);
    atomic_store(&strands->over, true);
    pthread_join(thread, NULL);
    strands_close(strands);
}
SHIM_BENCH("strand_steal_1us/cores:2/keys", with_thief, 0, 1000)
