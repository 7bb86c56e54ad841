/*
 * bench/kit/measure.h - one repetition of one case, on demand.
 *
 * A measuring program is a table of cases. `PROGRAM CASE MS` measures one once; without arguments it reads such
 * lines from its input and answers each, so that whoever compares programs can keep them warm and take turns.
 * An answer is `name unit value`. `PROGRAM --list` names the cases.
 */
#ifndef WEIR_BENCH_MEASURE_H
#define WEIR_BENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Do `count` operations; seconds they took. */
typedef double (*measure_fn)(uint64_t count, const void *argument);

struct measure_case {
    const char *name;
    const char *unit; /* "1/s", or "ns": the time of one operation */
    measure_fn run;
    const void *argument;
};

int measure_main(int argc, char **argv, const struct measure_case *cases, size_t case_count);

double measure_now_s(void);
uint64_t measure_now_ns(void);
void measure_pin(int cpu); /* this thread; ignored where there is no such CPU */

/* Cycles of the time-stamp counter (or nanoseconds, where there is none) in a microsecond. */
uint64_t measure_cycles_per_us(void);

static inline uint64_t measure_cycles(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return measure_now_ns();
#endif
}

static inline void measure_spin(uint64_t cycles)
{
    uint64_t from = measure_cycles();
    while (cycles > 0 && measure_cycles() - from < cycles)
        ;
}

/*
 * Who polls and finds nothing calls this: it pauses the processor, or does nothing. Which of the two suits a case better is tried
 * before its first measurement, for weir and each rival alike.
 */
extern bool measure_pauses;
static inline void measure_wait(void)
{
    if (!measure_pauses)
        return;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

typedef void (*measure_side_fn)(uint64_t count, void *context);

/* Both sides start together, `a` on CPU 0, `b` on CPU 1; seconds until both have ended. */
double measure_two(measure_side_fn a, measure_side_fn b, uint64_t count, void *context);

/* Wrong results are not fast: name the program and end it. */
void measure_fail(const char *what) __attribute__((noreturn));

#ifdef __cplusplus
}
#endif

#endif
