/*
 * bench/ring/spsc_bench.c - the ring: both ends on one thread (what its instructions cost), and each on its own.
 *
 * Across cores an iteration moves 4,096 slots; the consumer is a thread of the benchmark's, alive for all of them.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bench/shim.h"
#include "ring/spsc.h"

enum { SLOTS = 1024, BURST = 64, BATCH = 4096 };

static struct weir_ring *ring_open(uint32_t slot_bytes)
{
    size_t bytes = (weir_ring_bytes(SLOTS, slot_bytes) + 127) / 128 * 128;
    void *memory = aligned_alloc(WEIR_LINE_PAIR_BYTES, bytes);
    struct weir_ring *ring = NULL;
    if (memory == NULL || weir_ring_init(memory, bytes, SLOTS, slot_bytes, &ring) != 0)
        abort();
    return ring;
}

/* 64 slots in, each shown at once, then out: one at a time, a consumer would wait for more, as it should between cores. */
static void push_pop(struct shim_state *state, int64_t slot_bytes)
{
    struct weir_ring *ring = ring_open((uint32_t)slot_bytes);
    while (shim_running(state)) {
        for (uint64_t k = 0; k < BURST; k++) {
            uint64_t *slot = weir_ring_reserve(ring);
            *slot = k;
            weir_ring_publish(ring);
        }
        for (uint64_t k = 0; k < BURST; k++) {
            const uint64_t *slot = weir_ring_peek(ring);
            if (slot == NULL || *slot != k)
                abort();
            weir_ring_release(ring);
        }
    }
    shim_items(state, BURST);
    free(ring);
}
SHIM_BENCH("ring_push_pop/slot_bytes", push_pop, 8, 64)

/* 64 slots reserved, shown with one store, read as one run. */
static void burst(struct shim_state *state, int64_t slot_bytes)
{
    struct weir_ring *ring = ring_open((uint32_t)slot_bytes);
    while (shim_running(state)) {
        void *first;
        for (uint32_t done = 0; done < BURST;)
            done += weir_ring_reserve_many(ring, BURST - done, &first);
        weir_ring_publish(ring);
        for (uint32_t done = 0; done < BURST;) {
            uint32_t got = weir_ring_peek_many(ring, &first);
            weir_ring_release_many(ring, got);
            done += got;
        }
    }
    shim_items(state, BURST);
    free(ring);
}
SHIM_BENCH("ring_burst/slot_bytes", burst, 8, 64)

struct across {
    struct weir_ring *ring;
    uint32_t slot_bytes;
    uint64_t sum; /* the consumer's: every slot is read */
    atomic_bool over;
};

static void *consume(void *context)
{
    struct across *across = context;
    while (!atomic_load_explicit(&across->over, memory_order_relaxed)) {
        void *first;
        uint32_t got = weir_ring_peek_many(across->ring, &first);
        for (uint32_t k = 0; k < got; k++)
            across->sum += *(const uint64_t *)(void *)((char *)first +
                                                       (size_t)k * across->slot_bytes);
        weir_ring_release_many(across->ring, got);
    }
    return NULL;
}

static void across_cores(struct shim_state *state, int64_t slot_bytes)
{
    struct across across = {.ring = ring_open((uint32_t)slot_bytes),
                            .slot_bytes = (uint32_t)slot_bytes};
    pthread_t thread;
    if (pthread_create(&thread, NULL, consume, &across) != 0)
        abort();
    while (shim_running(state)) {
        for (uint32_t sent = 0; sent < BATCH;) {
            void *first;
            uint32_t got = weir_ring_reserve_many(across.ring, BURST, &first);
            if (got == 0)
                continue;
            for (uint32_t k = 0; k < got; k++)
                *(uint64_t *)(void *)((char *)first + (size_t)k * across.slot_bytes) = k;
            weir_ring_publish(across.ring);
            sent += got;
        }
    }
    shim_items(state, BATCH);
    atomic_store(&across.over, true);
    pthread_join(thread, NULL);
    free(across.ring);
}
SHIM_BENCH("ring_across/cores:2/slot_bytes", across_cores, 8, 64)
