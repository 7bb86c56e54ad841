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
 * The consumer shows its head in steps of an eighth of the ring, when it looks for the slot after, and when
 * it finds the ring empty. A producer may therefore see a ring full that has just been read in part; one
 * that waits for room always gets it once the consumer has taken what there is. A consumer that stops
 * earlier, to sleep or to refuse a slot, calls weir_ring_release_all.
 *
 * A consumer that keeps up pays for each look, and makes the producer pay: the line with the tail, and the
 * slot's, go over and come back for every message. So peek is patient: while looks keep finding little, the
 * next one waits a little longer, up to WEIR_RING_PATIENCE_MAX relaxes, and finds more at once. The first
 * look in vain ends that: in a dialogue, or in slow traffic, nobody waits. weir_ring_ready never waits; it
 * is for those who have other things to do, and come back later of themselves.
 *
 * Each side's own fields are a struct of their own. Who sends or reads in a tight loop may copy it out
 * (struct weir_producer mine = ring->producer), work on the copy, which then lives in registers, and write
 * it back; meanwhile the ring's calls for that side are not to be used.
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
    WEIR_RING_STEPS = 8,        /* the head is shown this many times in one way round */
    WEIR_RING_PATIENCE_MAX = 8, /* relaxes before a look; 90 to 250 ns, by processor */
    WEIR_RING_HARVEST = 64, /* a look worth its price finds so many slots, in a ring that has them */
};
#define WEIR_RING_SLOTS_MAX ((uint32_t)1 << 31)
#define WEIR_RING_INLINE static inline __attribute__((always_inline))

struct weir_ring;

/* The producer's own. `reserved` runs ahead of tail by what is not shown yet. */
struct weir_producer {
    struct weir_ring *ring;
    uint32_t reserved;
    uint32_t limit; /* head as last looked up + slot count: the first index that may not be reserved */
    uint32_t mask;
    uint32_t slot_bytes;
};

/* The consumer's own. `read` runs ahead of head by what is not shown yet. */
struct weir_consumer {
    struct weir_ring *ring;
    uint32_t read;
    uint32_t stop; /* the sooner of tail_seen and where head is to be shown next */
    uint32_t mask;
    uint32_t slot_bytes;
    uint32_t tail_seen;
    uint32_t head_shown; /* what head holds */
    uint32_t head_step;
    uint32_t harvest;
    uint32_t patience; /* relaxes before the next look that follows a find */
    bool found;        /* the last look found something */
};

/*
 * Private; laid out here for the inline calls. Fields lie by owner, a pair of lines apart, because the
 * hardware fetches lines in pairs. What a side writes for itself is not on the line that it shows to the
 * other: writing it would call that line back from the other core.
 */
struct weir_ring {
    _Alignas(WEIR_LINE_PAIR_BYTES) struct weir_producer producer;

    /* Written by the producer, read by the consumer. */
    _Alignas(WEIR_LINE_PAIR_BYTES) weir_atomic_u32 tail;

    _Alignas(WEIR_LINE_PAIR_BYTES) struct weir_consumer consumer;

    /* Written by the consumer, read by the producer. */
    _Alignas(WEIR_LINE_PAIR_BYTES) weir_atomic_u32 head;

    _Alignas(WEIR_LINE_PAIR_BYTES) unsigned char slots[];
};

_Static_assert(offsetof(struct weir_ring, producer) == 0, "the producer's own lines come first");
_Static_assert(offsetof(struct weir_ring, tail) == 1 * WEIR_LINE_PAIR_BYTES, "tail is alone");
_Static_assert(offsetof(struct weir_ring, consumer) == 2 * WEIR_LINE_PAIR_BYTES, "consumer's own");
_Static_assert(offsetof(struct weir_ring, head) == 3 * WEIR_LINE_PAIR_BYTES, "head is alone");
_Static_assert(offsetof(struct weir_ring, slots) == 4 * WEIR_LINE_PAIR_BYTES,
               "slots follow the head");

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

/* After init: both indices start at `first`. How a test comes near the wrap of the indices. */
void weir_ring_start_at(struct weir_ring *ring, uint32_t first);

/* Slots shown and not yet shown as read: a hint. Anyone. */
uint32_t weir_ring_depth(struct weir_ring *ring);

/* ---- Producer ------------------------------------------------------------------------------------ */

/* Slots that may be reserved as of the last look: what the last reserve or room went by. */
WEIR_RING_INLINE uint32_t weir_producer_room_seen(const struct weir_producer *producer)
{
    return producer->limit - producer->reserved;
}

/* Slots that may be reserved now. Looks at the consumer's head afresh. */
WEIR_RING_INLINE uint32_t weir_producer_room(struct weir_producer *producer)
{
    /* acquire: pairs with (C); what the consumer released has been read before it is written again. */
    producer->limit = weir_load(&producer->ring->head, acquire) + producer->mask + 1;
    return weir_producer_room_seen(producer);
}

/*
 * The next free slot if more than `keep` are free, else NULL. The slot is the producer's until it
 * publishes. `slot_bytes` must be the ring's: where it is a constant, the compiler sees it.
 */
WEIR_RING_INLINE void *weir_producer_reserve(struct weir_producer *producer, uint32_t slot_bytes,
                                             uint32_t keep)
{
    if (weir_producer_room_seen(producer) <= keep && weir_producer_room(producer) <= keep)
        return NULL;
    return producer->ring->slots + (size_t)(producer->reserved++ & producer->mask) * slot_bytes;
}

/*
 * Up to `want` free slots that lie side by side in memory: fewer if fewer are free or the ring's end
 * comes first. Returns how many, 0: full; the first is in *first_out.
 */
WEIR_RING_INLINE uint32_t weir_producer_reserve_many(struct weir_producer *producer, uint32_t want,
                                                     void **first_out)
{
    uint32_t at = producer->reserved & producer->mask;
    uint32_t before_end = producer->mask + 1 - at;
    uint32_t count = want < before_end ? want : before_end;
    uint32_t room = weir_producer_room_seen(producer);
    if (room < count && (room = weir_producer_room(producer)) < count)
        count = room;
    *first_out = producer->ring->slots + (size_t)at * producer->slot_bytes;
    producer->reserved += count;
    return count;
}

/* Show all reserved slots to the consumer. */
WEIR_RING_INLINE void weir_producer_publish(struct weir_producer *producer)
{
    /* (P) release: the slots are written before the index that shows them. */
    weir_store(&producer->ring->tail, producer->reserved, release);
}

/* Are there slots reserved and not shown yet? */
WEIR_RING_INLINE bool weir_producer_unpublished(const struct weir_producer *producer)
{
    return producer->reserved != weir_load(&producer->ring->tail, relaxed); /* ours */
}

/* Reserve, write and publish one 8-byte slot. False: full. Only for rings of 8-byte slots. */
WEIR_RING_INLINE bool weir_producer_push_u64(struct weir_producer *producer, uint64_t value)
{
    uint64_t *slot = weir_producer_reserve(producer, sizeof value, 0);
    if (slot == NULL)
        return false;
    weir_plain_write(slot, sizeof value);
    *slot = value;
    weir_producer_publish(producer);
    return true;
}

/* ---- Consumer ------------------------------------------------------------------------------------ */

/* Show the producer everything released so far. */
WEIR_RING_INLINE void weir_consumer_release_all(struct weir_consumer *consumer)
{
    if (consumer->head_shown == consumer->read)
        return;
    consumer->head_shown = consumer->read;
    /* (C) release: the slots have been read before the index that gives them back. */
    weir_store(&consumer->ring->head, consumer->read, release);
}

/* Slots seen and not yet released. Sets where the consumer must stop to show its head or to look. */
WEIR_RING_INLINE uint32_t weir_consumer_set_stop(struct weir_consumer *consumer)
{
    uint32_t seen = consumer->tail_seen - consumer->read;
    uint32_t unshown = consumer->read - consumer->head_shown;
    if (unshown >= consumer->head_step) {
        weir_consumer_release_all(consumer);
        unshown = 0;
    }
    uint32_t before_step = consumer->head_step - unshown;
    consumer->stop = consumer->read + (seen < before_step ? seen : before_step);
    return seen;
}

/* Look at the tail again. Returns the slots that may be read. */
WEIR_RING_INLINE uint32_t weir_consumer_look(struct weir_consumer *consumer)
{
    /* acquire: pairs with (P); the slots below it are written. */
    consumer->tail_seen = weir_load(&consumer->ring->tail, acquire);
    if (consumer->read == consumer->tail_seen)
        weir_consumer_release_all(consumer);
    return weir_consumer_set_stop(consumer);
}

/* The same, patient: see the top. */
WEIR_RING_INLINE uint32_t weir_consumer_look_patiently(struct weir_consumer *consumer)
{
    for (uint32_t i = 0; consumer->found && i < consumer->patience; i++)
        weir_cpu_relax();
    uint32_t came = weir_consumer_look(consumer);
    if (consumer->found && came < consumer->harvest)
        consumer->patience = came == 0 ? consumer->patience / 2 : consumer->patience * 2 + 1;
    else if (came > consumer->harvest * 4)
        consumer->patience /= 2;
    if (consumer->patience > WEIR_RING_PATIENCE_MAX)
        consumer->patience = WEIR_RING_PATIENCE_MAX;
    consumer->found = came > 0;
    return came;
}

/* At `stop`: show the head if it is time, look at the tail if all seen is read. Returns as look. */
WEIR_RING_INLINE uint32_t weir_consumer_go_on(struct weir_consumer *consumer)
{
    uint32_t seen = weir_consumer_set_stop(consumer);
    return seen > 0 ? seen : weir_consumer_look_patiently(consumer);
}

/* Slots that may be read now; looks at the producer's tail only if all seen before are read. No wait. */
WEIR_RING_INLINE uint32_t weir_consumer_ready(struct weir_consumer *consumer)
{
    uint32_t seen = weir_consumer_set_stop(consumer);
    return seen > 0 ? seen : weir_consumer_look(consumer);
}

/* The oldest slot, the consumer's until it releases it, or NULL: empty. For slot_bytes as reserve. */
WEIR_RING_INLINE void *weir_consumer_peek(struct weir_consumer *consumer, uint32_t slot_bytes)
{
    if ((int32_t)(consumer->read - consumer->stop) >= 0 && weir_consumer_go_on(consumer) == 0)
        return NULL;
    return consumer->ring->slots + (size_t)(consumer->read & consumer->mask) * slot_bytes;
}

/*
 * The oldest slots that lie side by side in memory: a run that ends at the last one shown or at the end
 * of the ring, whichever comes first. Returns how many, 0: empty; the first is in *first_out.
 */
WEIR_RING_INLINE uint32_t weir_consumer_peek_many(struct weir_consumer *consumer, void **first_out)
{
    uint32_t ready = weir_consumer_go_on(consumer);
    uint32_t at = consumer->read & consumer->mask;
    uint32_t before_end = consumer->mask + 1 - at;
    *first_out = consumer->ring->slots + (size_t)at * consumer->slot_bytes;
    return ready < before_end ? ready : before_end;
}

/* Done with the `count` oldest slots; their memory may be reused. count: at most what was peeked. */
WEIR_RING_INLINE void weir_consumer_release_many(struct weir_consumer *consumer, uint32_t count)
{
    consumer->read += count;
    weir_consumer_set_stop(consumer);
}

/* Done with the slot peeked. */
WEIR_RING_INLINE void weir_consumer_release(struct weir_consumer *consumer)
{
    consumer->read++;
}

/* Take one 8-byte slot. False: empty. Only for rings of 8-byte slots. */
WEIR_RING_INLINE bool weir_consumer_pop_u64(struct weir_consumer *consumer, uint64_t *value_out)
{
    const uint64_t *slot = weir_consumer_peek(consumer, sizeof *value_out);
    if (slot == NULL)
        return false;
    weir_plain_read(slot, sizeof *slot);
    *value_out = *slot;
    weir_consumer_release(consumer);
    return true;
}

/* ---- The same on the ring ------------------------------------------------------------------------ */

static inline uint32_t weir_ring_slot_count(const struct weir_ring *ring)
{
    return ring->producer.mask + 1;
}

static inline uint32_t weir_ring_room(struct weir_ring *ring)
{
    return weir_producer_room(&ring->producer);
}

static inline uint32_t weir_ring_room_seen(const struct weir_ring *ring)
{
    return weir_producer_room_seen(&ring->producer);
}

static inline void *weir_ring_reserve_sized(struct weir_ring *ring, uint32_t slot_bytes,
                                            uint32_t keep)
{
    return weir_producer_reserve(&ring->producer, slot_bytes, keep);
}

/* The next free slot, or NULL: full. */
static inline void *weir_ring_reserve(struct weir_ring *ring)
{
    return weir_producer_reserve(&ring->producer, ring->producer.slot_bytes, 0);
}

static inline uint32_t weir_ring_reserve_many(struct weir_ring *ring, uint32_t want,
                                              void **first_out)
{
    return weir_producer_reserve_many(&ring->producer, want, first_out);
}

static inline void weir_ring_publish(struct weir_ring *ring)
{
    weir_producer_publish(&ring->producer);
}

static inline bool weir_ring_unpublished(const struct weir_ring *ring)
{
    return weir_producer_unpublished(&ring->producer);
}

static inline bool weir_ring_push_u64(struct weir_ring *ring, uint64_t value)
{
    return weir_producer_push_u64(&ring->producer, value);
}

static inline uint32_t weir_ring_ready(struct weir_ring *ring)
{
    return weir_consumer_ready(&ring->consumer);
}

static inline void *weir_ring_peek_sized(struct weir_ring *ring, uint32_t slot_bytes)
{
    return weir_consumer_peek(&ring->consumer, slot_bytes);
}

/* The oldest slot, or NULL: empty. */
static inline void *weir_ring_peek(struct weir_ring *ring)
{
    return weir_consumer_peek(&ring->consumer, ring->consumer.slot_bytes);
}

static inline uint32_t weir_ring_peek_many(struct weir_ring *ring, void **first_out)
{
    return weir_consumer_peek_many(&ring->consumer, first_out);
}

static inline void weir_ring_release(struct weir_ring *ring)
{
    weir_consumer_release(&ring->consumer);
}

static inline void weir_ring_release_many(struct weir_ring *ring, uint32_t count)
{
    weir_consumer_release_many(&ring->consumer, count);
}

static inline void weir_ring_release_all(struct weir_ring *ring)
{
    weir_consumer_release_all(&ring->consumer);
}

static inline bool weir_ring_pop_u64(struct weir_ring *ring, uint64_t *value_out)
{
    return weir_consumer_pop_u64(&ring->consumer, value_out);
}

#endif
