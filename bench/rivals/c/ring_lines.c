/*
 * bench/rivals/c/ring_lines.c - what the machine itself allows a round trip: one cache line goes over and another comes back,
 * nothing else. No queue can be faster; a ring that also moves a slot and an index each way needs twice the lines.
 */
#include <stdatomic.h>

#include "bench/kit/measure.h"

struct lines {
    _Alignas(128) atomic_uint_fast64_t there;
    _Alignas(128) atomic_uint_fast64_t back;
};

static void send(uint64_t count, void *context)
{
    struct lines *lines = context;
    for (uint64_t i = 1; i <= count; i++) {
        atomic_store_explicit(&lines->there, i, memory_order_release);
        while (atomic_load_explicit(&lines->back, memory_order_acquire) != i)
            measure_wait();
    }
}

static void answer(uint64_t count, void *context)
{
    struct lines *lines = context;
    for (uint64_t i = 1; i <= count; i++) {
        while (atomic_load_explicit(&lines->there, memory_order_acquire) != i)
            measure_wait();
        atomic_store_explicit(&lines->back, i, memory_order_release);
    }
}

static double trip(uint64_t count, const void *nothing)
{
    static struct lines lines;
    (void)nothing;
    lines.there = lines.back = 0;
    return measure_two(send, answer, count, &lines);
}

int main(int argc, char **argv)
{
    static const struct measure_case cases[] = {{"ring.trip.8B", "ns", trip, NULL},
                                                {"ring.trip.64B", "ns", trip, NULL}};
    return measure_main(argc, argv, cases, 2);
}
