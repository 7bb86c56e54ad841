/*
 * bench/shim.h - benchmarks in C, run by Google Benchmark. shim.cc is the only C++ here.
 *
 * A benchmark is a function that does an operation while shim_running says so:
 *
 *     static void push_pop(struct shim_state *state, int64_t slot_bytes)
 *     {
 *         ... set up ...
 *         while (shim_running(state))
 *             ... one operation ...
 *         shim_items(state, operations in each iteration);
 *     }
 *     SHIM_BENCH("ring_push_pop/slot_bytes", push_pop, 8, 64)
 *
 * It is registered before main; its name gets the argument: ring_push_pop/slot_bytes:64.
 */
#ifndef WEIR_BENCH_SHIM_H
#define WEIR_BENCH_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct shim_state;
typedef void (*shim_fn)(struct shim_state *state, int64_t argument);

bool shim_running(struct shim_state *state); /* once before each iteration */
void shim_items(struct shim_state *state,
                uint64_t items_an_iteration); /* after the last one: also shows items a second */
void shim_bytes(struct shim_state *state, uint64_t bytes_an_iteration); /* likewise bytes a second */
void shim_skip(struct shim_state *state, const char *why);              /* and return at once */
void shim_register(const char *name, shim_fn fn, const int64_t *arguments, size_t argument_count);

#ifdef __cplusplus
}
#endif

#define SHIM_PASTE2(a, b) a##b
#define SHIM_PASTE(a, b) SHIM_PASTE2(a, b)
#define SHIM_BENCH(name, fn, ...)                                                  \
    __attribute__((constructor)) static void SHIM_PASTE(register_, __LINE__)(void) \
    {                                                                              \
        static const int64_t arguments[] = {__VA_ARGS__};                          \
        shim_register(name, fn, arguments, sizeof arguments / sizeof *arguments);  \
    }

#endif
