/*
 * bench/weir/bucket.c - a token bucket's decision, always admitted.
 *
 * used: the public call, as a reactor makes it: the clock is read once a turn, here for every 64 decisions.
 * given: the decision itself; `now` is handed to it and moves 2 ns each time.
 */
#include <weir/weir.h>

#include "bench/kit/measure.h"
#include "sched/bucket.h"

enum { TURN = 64 };
static const uint64_t much = 1000000000;

static double used(uint64_t count, const void *nothing)
{
    struct weir_rate_limit limit;
    struct weir_rate_bucket bucket = {0};
    (void)nothing;
    if (weir_rate_limit_init(&limit, much, much) != 0)
        measure_fail("no limit");
    uint64_t admitted = 0, now_ns = 0;
    double from = measure_now_s();
    for (uint64_t i = 0; i < count; i++) {
        if (i % TURN == 0)
            now_ns = measure_now_ns();
        admitted += weir_rate_take(&bucket, &limit, now_ns, 1) == 0;
    }
    double took = measure_now_s() - from;
    if (admitted != count)
        measure_fail("refused");
    return took;
}

static double given(uint64_t count, const void *nothing)
{
    struct weir_bucket_rate rate;
    struct weir_bucket bucket = {0};
    (void)nothing;
    if (weir_bucket_rate_init(&rate, much, much) != 0)
        measure_fail("no limit");
    struct weir_bucket_rate *opaque = &rate;
    __asm__ volatile(""
                     : "+r"(opaque)
                     :
                     : "memory"); /* a limit is read from somewhere, not known at compile time */
    uint64_t admitted = 0;
    double from = measure_now_s();
    for (uint64_t i = 0; i < count; i++) {
        admitted += weir_bucket_take(&bucket, opaque, i * 2 + 1, 1) == 0;
        __asm__ volatile("" : : : "memory");
    }
    double took = measure_now_s() - from;
    if (admitted != count)
        measure_fail("refused");
    return took;
}

int main(int argc, char **argv)
{
    static const struct measure_case cases[] = {{"bucket.used", "1/s", used, NULL},
                                                {"bucket.given", "1/s", given, NULL}};
    measure_pin(0);
    return measure_main(argc, argv, cases, 2);
}
