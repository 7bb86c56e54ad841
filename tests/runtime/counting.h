/*
 * tests/runtime/counting.h - malloc and its kin are this program's own, and count. Not under a sanitizer, which brings its own.
 *
 * Included once in a program. Every thread counts.
 */
#ifndef WEIR_TESTS_COUNTING_H
#define WEIR_TESTS_COUNTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/atomic.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTING 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COUNTING 0
#endif
#endif
#ifndef COUNTING
#define COUNTING 1
#endif

static weir_atomic_u64 allocation_count;
static bool rings_refused; /* aligned memory, which is what rings are made of, is not to be had */

static inline uint64_t allocations(void)
{
    return weir_load(&allocation_count, seq_cst);
}

#if COUNTING
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes)
{
    weir_fetch_add(&allocation_count, 1, relaxed);
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    weir_fetch_add(&allocation_count, 1, relaxed);
    return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    weir_fetch_add(&allocation_count, 1, relaxed);
    return __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    weir_fetch_add(&allocation_count, 1, relaxed);
    return rings_refused ? NULL : __libc_memalign(alignment, bytes);
}
#endif

#endif
