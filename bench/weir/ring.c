/*
 * bench/weir/ring.c - weir's ring between two cores: one by one, bursts of 64, round trip.
 *
 * Each side works on a copy of its own struct, as ring/spsc.h says a tight loop may and as rtrb's Producer and
 * Consumer are by nature. one: every push is shown before the next is written.
 */
#include <stdlib.h>

#include "bench/kit/measure.h"
#include "ring/spsc.h"

enum { BURST = 64 };

struct shape {
    uint32_t slot_count;
    uint32_t slot_bytes;
};

static struct weir_ring *ring_open(uint32_t slot_count, uint32_t slot_bytes)
{
    size_t bytes = weir_ring_bytes(slot_count, slot_bytes);
    void *memory = aligned_alloc(WEIR_LINE_PAIR_BYTES, (bytes + 127) / 128 * 128);
    struct weir_ring *ring;
    if (memory == NULL || weir_ring_init(memory, bytes, slot_count, slot_bytes, &ring) != 0)
        measure_fail("no ring");
    return ring;
}

WEIR_RING_INLINE void fill(uint64_t *slot, uint32_t slot_bytes, uint64_t value)
{
    for (uint32_t i = 0; i < slot_bytes / 8; i++)
        slot[i] = value;
}

WEIR_RING_INLINE void check(const uint64_t *slot, uint32_t slot_bytes, uint64_t value)
{
    if (slot[0] != value || slot[slot_bytes / 8 - 1] != value)
        measure_fail("order");
}

WEIR_RING_INLINE void push(struct weir_producer *producer, uint32_t slot_bytes, uint64_t value)
{
    uint64_t *slot;
    while ((slot = weir_producer_reserve(producer, slot_bytes, 0)) == NULL)
        measure_wait();
    fill(slot, slot_bytes, value);
    weir_producer_publish(producer);
}

WEIR_RING_INLINE void pop(struct weir_consumer *consumer, uint32_t slot_bytes, uint64_t value)
{
    const uint64_t *slot;
    while ((slot = weir_consumer_peek(consumer, slot_bytes)) == NULL)
        measure_wait();
    check(slot, slot_bytes, value);
    weir_consumer_release(consumer);
}

WEIR_RING_INLINE void one_in(uint64_t count, void *context, uint32_t slot_bytes)
{
    struct weir_producer mine = ((struct weir_ring *)context)->producer;
    for (uint64_t i = 0; i < count; i++)
        push(&mine, slot_bytes, i);
}

WEIR_RING_INLINE void one_out(uint64_t count, void *context, uint32_t slot_bytes)
{
    struct weir_consumer mine = ((struct weir_ring *)context)->consumer;
    for (uint64_t i = 0; i < count; i++)
        pop(&mine, slot_bytes, i);
}

WEIR_RING_INLINE void burst_in(uint64_t count, void *context, uint32_t slot_bytes)
{
    struct weir_producer mine = ((struct weir_ring *)context)->producer;
    for (uint64_t i = 0; i < count;) {
        uint64_t end = i + BURST;
        while (i < end) {
            void *first;
            uint32_t got = weir_producer_reserve_many(&mine, (uint32_t)(end - i), &first);
            for (uint32_t k = 0; k < got; k++)
                fill((uint64_t *)first + (size_t)k * (slot_bytes / 8), slot_bytes, i + k);
            i += got;
            if (got > 0)
                weir_producer_publish(&mine);
            else
                measure_wait();
        }
    }
}

WEIR_RING_INLINE void burst_out(uint64_t count, void *context, uint32_t slot_bytes)
{
    struct weir_consumer mine = ((struct weir_ring *)context)->consumer;
    for (uint64_t i = 0; i < count;) {
        void *first;
        uint32_t got = weir_consumer_peek_many(&mine, &first);
        for (uint32_t k = 0; k < got; k++)
            check((const uint64_t *)first + (size_t)k * (slot_bytes / 8), slot_bytes, i + k);
        if (got == 0)
            measure_wait();
        weir_consumer_release_many(&mine, got);
        i += got;
    }
}

WEIR_RING_INLINE void there(uint64_t count, void *context, uint32_t slot_bytes)
{
    struct weir_ring **pair = context;
    struct weir_producer out = pair[0]->producer;
    struct weir_consumer in = pair[1]->consumer;
    for (uint64_t i = 0; i < count; i++) {
        push(&out, slot_bytes, i);
        pop(&in, slot_bytes, i);
    }
}

WEIR_RING_INLINE void back(uint64_t count, void *context, uint32_t slot_bytes)
{
    struct weir_ring **pair = context;
    struct weir_consumer in = pair[0]->consumer;
    struct weir_producer out = pair[1]->producer;
    for (uint64_t i = 0; i < count; i++) {
        pop(&in, slot_bytes, i);
        push(&out, slot_bytes, i);
    }
}

/* The bodies above with the slot's size as a constant, as every user of a ring has it. */
#define SIDES(name)                                      \
    static void name##_8(uint64_t count, void *context)  \
    {                                                    \
        name(count, context, 8);                         \
    }                                                    \
    static void name##_64(uint64_t count, void *context) \
    {                                                    \
        name(count, context, 64);                        \
    }
SIDES(one_in)
SIDES(one_out)
SIDES(burst_in)
SIDES(burst_out)
SIDES(there)
SIDES(back)

static double one(uint64_t count, const void *argument)
{
    const struct shape *shape = argument;
    struct weir_ring *ring = ring_open(shape->slot_count, shape->slot_bytes);
    double took = shape->slot_bytes == 8 ? measure_two(one_in_8, one_out_8, count, ring)
                                         : measure_two(one_in_64, one_out_64, count, ring);
    free(ring);
    return took;
}

static double burst(uint64_t count, const void *argument)
{
    const struct shape *shape = argument;
    struct weir_ring *ring = ring_open(shape->slot_count, shape->slot_bytes);
    count = count / BURST * BURST;
    double took = shape->slot_bytes == 8 ? measure_two(burst_in_8, burst_out_8, count, ring)
                                         : measure_two(burst_in_64, burst_out_64, count, ring);
    free(ring);
    return took;
}

static double trip(uint64_t count, const void *argument)
{
    const struct shape *shape = argument;
    struct weir_ring *pair[2] = {ring_open(1024, shape->slot_bytes),
                                 ring_open(1024, shape->slot_bytes)};
    double took = shape->slot_bytes == 8 ? measure_two(there_8, back_8, count, pair)
                                         : measure_two(there_64, back_64, count, pair);
    free(pair[0]);
    free(pair[1]);
    return took;
}

int main(int argc, char **argv)
{
    static const struct shape k1_8 = {1024, 8}, k64_8 = {65536, 8}, k1_64 = {1024, 64},
                              k64_64 = {65536, 64};
    static const struct measure_case cases[] = {
        {"ring.one.8B.1k", "1/s", one, &k1_8},       {"ring.one.8B.64k", "1/s", one, &k64_8},
        {"ring.one.64B.1k", "1/s", one, &k1_64},     {"ring.one.64B.64k", "1/s", one, &k64_64},
        {"ring.burst.8B.1k", "1/s", burst, &k1_8},   {"ring.burst.8B.64k", "1/s", burst, &k64_8},
        {"ring.burst.64B.1k", "1/s", burst, &k1_64}, {"ring.burst.64B.64k", "1/s", burst, &k64_64},
        {"ring.trip.8B", "ns", trip, &k1_8},         {"ring.trip.64B", "ns", trip, &k1_64},
    };
    return measure_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
