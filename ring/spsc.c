/*
 * ring/spsc.c - how a ring lies in memory; the protocol itself is inline in the header.
 *
 * A ring is one block: four pairs of lines by owner, then the slots. Its size is fixed by init; nothing
 * here allocates. Proof of the protocol: tests/ring/spsc_model.c.
 */
#include "ring/spsc.h"

#include <errno.h>
#include <string.h>

static bool power_of_two(uint32_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

size_t weir_ring_bytes(uint32_t slot_count, uint32_t slot_bytes)
{
    if (!power_of_two(slot_count) || slot_count < WEIR_RING_SLOTS_MIN)
        return 0;
    if (!power_of_two(slot_bytes) || slot_bytes < WEIR_RING_SLOT_BYTES_MIN ||
        slot_bytes > WEIR_RING_SLOT_BYTES_MAX)
        return 0;
    return sizeof(struct weir_ring) + (size_t)slot_count * slot_bytes;
}

int weir_ring_init(void *memory, size_t memory_bytes, uint32_t slot_count, uint32_t slot_bytes,
                   struct weir_ring **ring_out)
{
    size_t needed = weir_ring_bytes(slot_count, slot_bytes);
    if (needed == 0 || (uintptr_t)memory % WEIR_LINE_PAIR_BYTES != 0)
        return -EINVAL;
    if (memory_bytes < needed)
        return -ENOMEM;
    struct weir_ring *ring = memory;
    uint32_t head_step = slot_count < WEIR_RING_STEPS ? 1 : slot_count / WEIR_RING_STEPS;
    weir_plain_write(ring, sizeof *ring);
    memset(ring, 0, sizeof *ring);
    ring->producer = (struct weir_producer){
        .ring = ring,
        .mask = slot_count - 1,
        .slot_bytes = slot_bytes,
    };
    ring->consumer = (struct weir_consumer){
        .ring = ring,
        .mask = slot_count - 1,
        .slot_bytes = slot_bytes,
        .head_step = head_step,
        .harvest = head_step < WEIR_RING_HARVEST ? head_step : WEIR_RING_HARVEST,
    };
    weir_ring_start_at(ring, 0);
    *ring_out = ring;
    return 0;
}

void weir_ring_start_at(struct weir_ring *ring, uint32_t first)
{
    ring->producer.reserved = first;
    ring->producer.limit = first + ring->producer.mask + 1;
    ring->consumer.read = first;
    ring->consumer.stop = first;
    ring->consumer.tail_seen = first;
    ring->consumer.head_shown = first;
    weir_store(&ring->tail, first, relaxed); /* before either side starts */
    weir_store(&ring->head, first, relaxed);
}

uint32_t weir_ring_depth(struct weir_ring *ring)
{
    /* Relaxed: a hint that nothing is read through. Head first: tail only grows, so no underflow but
     * what is read meanwhile, which the clamp takes. */
    uint32_t head = weir_load(&ring->head, relaxed);
    uint32_t depth = weir_load(&ring->tail, relaxed) - head;
    uint32_t slot_count = weir_ring_slot_count(ring);
    return depth > slot_count ? slot_count : depth;
}
