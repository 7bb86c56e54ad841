/*
 * base/atomic.h - C11 atomics by name, with the order always written out.
 *
 * One spelling for three worlds: production, ThreadSanitizer, and the explorer of interleavings
 * (tests/model/), which is chosen by WEIR_MODEL and sees each access. The order is a bare word, so that
 * a script can weaken one at a time: weir_load(&ring->tail, acquire).
 *
 * Plain memory that a protocol hands over is touched through weir_plain_write/read in ring/, so that the
 * explorer sees those too; in production they are nothing.
 */
#ifndef WEIR_BASE_ATOMIC_H
#define WEIR_BASE_ATOMIC_H

#include <stdint.h>

#ifdef WEIR_MODEL
#include "tests/model/explore.h"
#else
#include <stdatomic.h>

typedef _Atomic(uint32_t) weir_atomic_u32;
typedef _Atomic(uint64_t) weir_atomic_u64;
typedef _Atomic(void *) weir_atomic_ptr;

#define weir_load(at, order) atomic_load_explicit((at), memory_order_##order)
#define weir_store(at, value, order) atomic_store_explicit((at), (value), memory_order_##order)
#define weir_exchange(at, value, order)                                                            \
    atomic_exchange_explicit((at), (value), memory_order_##order)
#define weir_fetch_or(at, bits, order) atomic_fetch_or_explicit((at), (bits), memory_order_##order)
#define weir_fetch_and(at, bits, order)                                                            \
    atomic_fetch_and_explicit((at), (bits), memory_order_##order)
#define weir_fetch_add(at, value, order)                                                           \
    atomic_fetch_add_explicit((at), (value), memory_order_##order)
/* Strong; a failed exchange loads relaxed into *expected. */
#define weir_compare_exchange(at, expected, desired, order)                                        \
    atomic_compare_exchange_strong_explicit((at), (expected), (desired), memory_order_##order,     \
                                            memory_order_relaxed)
#define weir_fence(order) atomic_thread_fence(memory_order_##order)

#define weir_plain_write(at, bytes) ((void)0)
#define weir_plain_read(at, bytes) ((void)0)
#endif

/* One spin of a waiting loop: lets the other hardware thread run, and saves power. */
static inline void weir_cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

enum { WEIR_LINE_BYTES = 64, WEIR_LINE_PAIR_BYTES = 128 };

#endif
