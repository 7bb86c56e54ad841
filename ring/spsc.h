/*
 * ring/spsc.h - bounded queue from exactly one core to exactly one other.
 *
 * It never blocks and never allocates: the memory is the caller's. Reserve and publish are apart, so
 * that a turn writes many slots and shows them with one store.
 *
 *     producer core                           consumer core
 *     write slot[reserved]                    read slot[read]
 *     (P) tail.store(release)  ------------>  tail.load(acquire)   pairs with (P): the slots are written
 *     head.load(acquire)       <------------  (C) head.store(release)
 *         pairs with (C): the slots have been read and may be overwritten
 *
 * Indices run free and wrap; they are compared by subtraction only. Each side keeps a copy of the
 * other's index and looks again only when the ring seems full or empty.
 *
 * The consumer shows its head in steps of an eighth of the ring, and when it finds the ring empty. A
 * producer may therefore see a ring full that has just been read in part; one that waits for room always
 * gets it once the consumer has taken what there is. A consumer that stops earlier, to sleep or to refuse
 * a slot, calls weir_ring_release_all.
 *
 * Which calls may overlap (P: the producer's, C: the consumer's, A: anyone's):
 *
 *                                        P        C        A
 *     P reserve, publish, push, room     no       yes      yes
 *     C peek, release, pop               yes      no       yes
 *     A depth                            yes      yes      yes
 *
 * Proof: tests/ring/spsc_model.c runs every interleaving of a two-slot ring; tests/ring/spsc_test.c.
 */
#ifndef WEIR_RING_SPSC_H
#define WEIR_RING_SPSC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/atomic.h"

enum {
    WEIR_RING_SLOTS_MIN = 2,
    WEIR_RING_SLOT_BYTES_MIN = 8,
    WEIR_RING_SLOT_BYTES_MAX = 1 << 20,
    WEIR_RING_STEPS = 8, /* the head is shown this many times in one way round */
};
#define WEIR_RING_SLOTS_MAX ((uint32_t)1 << 31)

/*
 * Private; laid out here for the inline calls. Fields lie by owner, a pair of lines apart, because the
 * hardware fetches lines in pairs. What a side writes for itself (reserved, read) is not on the line
 * that it shows to the other (tail, head): writing it would call that line back from the other core.
 */
struct weir_ring {
    /* The producer's own. `reserved` runs ahead of tail by what is not shown yet. */
    _Alignas(WEIR_LINE_PAIR_BYTES) uint32_t reserved;
    uint32_t limit; /* head as last looked up + slot count: the first index that may not be reserved */
    uint32_t producer_mask;
    uint32_t producer_slot_bytes;

    /* Written by the producer, read by the consumer. */
    _Alignas(WEIR_LINE_PAIR_BYTES) weir_atomic_u32 tail;

    /* The consumer's own. `read` runs ahead of head by what is not shown yet. */
    _Alignas(WEIR_LINE_PAIR_BYTES) uint32_t read;
    uint32_t tail_seen;
    uint32_t head_shown; /* what head holds */
    uint32_t head_step;
    uint32_t consumer_mask;
    uint32_t consumer_slot_bytes;

    /* Written by the consumer, read by the producer. */
    _Alignas(WEIR_LINE_PAIR_BYTES) weir_atomic_u32 head;

    _Alignas(WEIR_LINE_PAIR_BYTES) unsigned char slots[];
};

#ifndef WEIR_MODEL
_Static_assert(offsetof(struct weir_ring, reserved) == 0, "the producer's own line comes first");
_Static_assert(offsetof(struct weir_ring, tail) == 1 * WEIR_LINE_PAIR_BYTES, "tail is alone");
_Static_assert(offsetof(struct weir_ring, read) == 2 * WEIR_LINE_PAIR_BYTES, "consumer's own line");
_Static_assert(offsetof(struct weir_ring, head) == 3 * WEIR_LINE_PAIR_BYTES, "head is alone");
_Static_assert(offsetof(struct weir_ring, slots) == 4 * WEIR_LINE_PAIR_BYTES, "slots follow the head");
#endif

/* Bytes that weir_ring_init needs for this shape; 0 if the shape is not allowed. Any thread. */
size_t weir_ring_bytes(uint32_t slot_count, uint32_t slot_bytes);

/*
 * Lay an empty ring out in `memory`: 128-byte aligned, the caller's, kept until both sides stop.
 *
 * slot_count  power of two, WEIR_RING_SLOTS_MIN .. WEIR_RING_SLOTS_MAX
 * slot_bytes  power of two, WEIR_RING_SLOT_BYTES_MIN .. WEIR_RING_SLOT_BYTES_MAX
 * Returns     0, -EINVAL (out of range, or memory not aligned), -ENOMEM (memory_bytes too small)
 * Threads     before either side starts; the caller's hand-over of the pointer is the first hand-over
 */
int weir_ring_init(void *memory, size_t memory_bytes, uint32_t slot_count, uint32_t slot_bytes,
                   struct weir_ring **ring_out);

/* As init, with both indices starting at `first`: how a test comes near the wrap of the indices. */
void weir_ring_start_at(struct weir_ring *ring, uint32_t first);

/* Slots shown and not yet shown as read: a hint. Anyone. */
uint32_t weir_ring_depth(struct weir_ring *ring);

/* ---- Producer ------------------------------------------------------------------------------------ */

static inline uint32_t weir_ring_slot_count(const struct weir_ring *ring)
{
    return ring->producer_mask + 1;
}

/* Slots that may be reserved now. Looks at the consumer's head afresh. */
static inline uint32_t weir_ring_room(struct weir_ring *ring)
{
    /* acquire: pairs with (C); what the consumer released has been read before it is written again. */
    ring->limit = weir_load(&ring->head, acquire) + ring->producer_mask + 1;
    return ring->limit - ring->reserved;
}

/* The same as of the last look: what the last reserve or room went by. */
static inline uint32_t weir_ring_room_seen(const struct weir_ring *ring)
{
    return ring->limit - ring->reserved;
}

/*
 * The next free slot if more than `keep` are free, else NULL. The slot is the producer's until it
 * publishes. `slot_bytes` must be the ring's: where it is a constant, the compiler sees it.
 */
static inline void *weir_ring_reserve_sized(struct weir_ring *ring, uint32_t slot_bytes, uint32_t keep)
{
    if (weir_ring_room_seen(ring) <= keep && weir_ring_room(ring) <= keep)
        return NULL;
    return ring->slots + (size_t)(ring->reserved++ & ring->producer_mask) * slot_bytes;
}

/* The next free slot, or NULL: full. */
static inline void *weir_ring_reserve(struct weir_ring *ring)
{
    return weir_ring_reserve_sized(ring, ring->producer_slot_bytes, 0);
}

/* Show all reserved slots to the consumer. */
static inline void weir_ring_publish(struct weir_ring *ring)
{
    /* (P) release: the slots are written before the index that shows them. */
    weir_store(&ring->tail, ring->reserved, release);
}

/* Are there slots reserved and not shown yet? */
static inline bool weir_ring_unpublished(const struct weir_ring *ring)
{
    return ring->reserved != weir_load(&ring->tail, relaxed); /* ours */
}

/* Reserve, write and publish one 8-byte slot. False: full. Only for rings of 8-byte slots. */
static inline bool weir_ring_push_u64(struct weir_ring *ring, uint64_t value)
{
    uint64_t *slot = weir_ring_reserve_sized(ring, sizeof value, 0);
    if (slot == NULL)
        return false;
    weir_plain_write(slot, sizeof value);
    *slot = value;
    weir_ring_publish(ring);
    return true;
}

/* ---- Consumer ------------------------------------------------------------------------------------ */

/* Show the producer everything released so far. */
static inline void weir_ring_release_all(struct weir_ring *ring)
{
    if (ring->head_shown == ring->read)
        return;
    ring->head_shown = ring->read;
    /* (C) release: the slots have been read before the index that gives them back. */
    weir_store(&ring->head, ring->read, release);
}

/* Slots that may be read now; looks at the producer's tail only if all seen before are read. */
static inline uint32_t weir_ring_ready(struct weir_ring *ring)
{
    if (ring->read == ring->tail_seen) {
        /* acquire: pairs with (P); the slots below it are written. */
        ring->tail_seen = weir_load(&ring->tail, acquire);
        if (ring->read == ring->tail_seen)
            weir_ring_release_all(ring);
    }
    return ring->tail_seen - ring->read;
}

/* The oldest slot, the consumer's until it releases it, or NULL: empty. As reserve_sized for the size. */
static inline void *weir_ring_peek_sized(struct weir_ring *ring, uint32_t slot_bytes)
{
    if (weir_ring_ready(ring) == 0)
        return NULL;
    return ring->slots + (size_t)(ring->read & ring->consumer_mask) * slot_bytes;
}

static inline void *weir_ring_peek(struct weir_ring *ring)
{
    return weir_ring_peek_sized(ring, ring->consumer_slot_bytes);
}

/*
 * The oldest slots that lie side by side in memory: a run that ends at the last one shown or at the end
 * of the ring, whichever comes first. Returns how many, 0: empty; the first is in *first_out.
 */
static inline uint32_t weir_ring_peek_many(struct weir_ring *ring, void **first_out)
{
    uint32_t ready = weir_ring_ready(ring);
    uint32_t at = ring->read & ring->consumer_mask;
    uint32_t before_end = ring->consumer_mask + 1 - at;
    *first_out = ring->slots + (size_t)at * ring->consumer_slot_bytes;
    return ready < before_end ? ready : before_end;
}

/* Done with the `count` oldest slots; their memory may be reused. count: at most what was peeked. */
static inline void weir_ring_release_many(struct weir_ring *ring, uint32_t count)
{
    ring->read += count;
    if (ring->read - ring->head_shown >= ring->head_step)
        weir_ring_release_all(ring);
}

/* Done with the slot peeked. */
static inline void weir_ring_release(struct weir_ring *ring)
{
    weir_ring_release_many(ring, 1);
}

/* Take one 8-byte slot. False: empty. Only for rings of 8-byte slots. */
static inline bool weir_ring_pop_u64(struct weir_ring *ring, uint64_t *value_out)
{
    const uint64_t *slot = weir_ring_peek_sized(ring, sizeof *value_out);
    if (slot == NULL)
        return false;
    weir_plain_read(slot, sizeof *slot);
    *value_out = *slot;
    weir_ring_release(ring);
    return true;
}

#endif
