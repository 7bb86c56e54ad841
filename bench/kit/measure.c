/*
 * bench/kit/measure.c - finds how many operations fill the time asked for, once for each case, and keeps it.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/kit/measure.h"

enum { CASES_MAX = 64, COUNT_MIN = 1000 };

bool measure_pauses;

struct two {
    measure_side_fn side[2];
    uint64_t count;
    void *context;
    atomic_int ready;
    double from[2];
    double to[2];
};

struct two_side {
    struct two *two;
    int index;
};

double measure_now_s(void)
{
    return (double)measure_now_ns() / 1e9;
}

uint64_t measure_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void measure_pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

uint64_t measure_cycles_per_us(void)
{
    uint64_t cycles = measure_cycles();
    double from = measure_now_s(), to;
    while ((to = measure_now_s()) - from < 0.02)
        ;
    return (uint64_t)((double)(measure_cycles() - cycles) / (to - from) / 1e6);
}

void measure_fail(const char *what)
{
    fprintf(stderr, "measure: %s\n", what);
    exit(1);
}

static void *run_side(void *argument)
{
    struct two_side *mine = argument;
    struct two *two = mine->two;
    measure_pin(mine->index);
    atomic_fetch_add(&two->ready, 1);
    while (atomic_load(&two->ready) < 2)
        ;
    two->from[mine->index] = measure_now_s();
    two->side[mine->index](two->count, two->context);
    two->to[mine->index] = measure_now_s();
    return NULL;
}

double measure_two(measure_side_fn a, measure_side_fn b, uint64_t count, void *context)
{
    struct two two = {.side = {a, b}, .count = count, .context = context};
    struct two_side sides[2] = {{&two, 0}, {&two, 1}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, run_side, &sides[i]) != 0)
            measure_fail("no thread");
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    double from = two.from[0] < two.from[1] ? two.from[0] : two.from[1];
    double to = two.to[0] > two.to[1] ? two.to[0] : two.to[1];
    return to - from;
}

/* Operations that take about `seconds`; the runs that find it warm the case up. */
static uint64_t count_for(const struct measure_case *c, double seconds)
{
    uint64_t count = COUNT_MIN;
    double took;
    while ((took = c->run(count, c->argument)) < seconds / 8 && count < (uint64_t)1 << 36)
        count *= 4;
    uint64_t fits = (uint64_t)((double)count * seconds / took);
    return fits < COUNT_MIN ? COUNT_MIN : fits;
}

/* What is known of a case after its first look: how many operations, and how it waits best. */
struct known {
    uint64_t count;
    double seconds;
    bool pauses;
};

static void get_to_know(const struct measure_case *c, struct known *known, double seconds)
{
    double best_s = 0;
    known->seconds = seconds;
    for (int i = 0; i < 4; i++) {
        measure_pauses = i % 2 == 1;
        uint64_t count = i < 2 ? count_for(c, seconds) : known->count;
        double each_s = c->run(count, c->argument) / (double)count;
        if (i == 0 || each_s < best_s) {
            known->pauses = measure_pauses;
            known->count = count;
            best_s = each_s;
        }
    }
}

static int measure(const struct measure_case *cases, size_t case_count, const char *name,
                   double seconds)
{
    static struct known all[CASES_MAX];
    for (size_t i = 0; i < case_count && i < CASES_MAX; i++) {
        const struct measure_case *c = &cases[i];
        struct known *known = &all[i];
        if (strcmp(c->name, name) != 0)
            continue;
        if (known->count == 0 || known->seconds != seconds)
            get_to_know(c, known, seconds);
        measure_pauses = known->pauses;
        double took = c->run(known->count, c->argument);
        double value = strcmp(c->unit, "ns") == 0 ? took * 1e9 / (double)known->count
                                                  : (double)known->count / took;
        printf("%s %s %.6g\n", name, c->unit, value);
        fflush(stdout);
        return 0;
    }
    printf("%s none 0\n", name);
    fflush(stdout);
    return 1;
}

int measure_main(int argc, char **argv, const struct measure_case *cases, size_t case_count)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < case_count; i++)
            puts(cases[i].name);
        return 0;
    }
    if (argc >= 3)
        return measure(cases, case_count, argv[1], atof(argv[2]) / 1000);
    char name[128];
    double ms;
    while (scanf("%127s %lf", name, &ms) == 2)
        measure(cases, case_count, name, ms / 1000);
    return 0;
}
