/*
 * ring/spsc.h - bounded queue from exactly one core to exactly one other.
 *
 * It never blocks and never allocates: the memory is the caller's. Reserve and publish are apart, so
 * that a turn writes many slots and shows them with one store.
 *
 *     producer core                      consumer core
 *     write slot[reserved]               read  slot[head]
 *     tail.store(release)  ---- (P) ---> tail.load(acquire)
 *     head.load(acquire)   <--- (C) ---- head.store(release)
 *
 * Indices run free and wrap; they are compared by subtraction only. Each side keeps a copy of the
 * other's index and looks again only when the ring seems full or empty. The consumer shows its head in
 * steps (see weir_ring_release), so a producer may see a ring full that has just been read: call
 * weir_ring_release_all before the consumer sleeps.
 */
#ifndef WEIR_RING_SPSC_H
#define WEIR_RING_SPSC_H

#include "base/assert.h"
#include "base/atomic.h"

struct weir_ring; /* opaque to callers; laid out below for the inline calls (ring/spsc.c proves the layout) */

size_t weir_ring_bytes(uint32_t slot_count, uint32_t slot_bytes);
int weir_ring_init(void *memory, size_t memory_bytes, uint32_t slot_count, uint32_t slot_bytes,
                   struct weir_ring **ring_out);

/* Producer. */
void *weir_ring_reserve(struct weir_ring *ring);          /* next free slot; NULL: full */
void weir_ring_publish(struct weir_ring *ring);           /* shows all reserved slots */
uint32_t weir_ring_room(struct weir_ring *ring);          /* slots that may be reserved, looked up afresh */
bool weir_ring_unpublished(const struct weir_ring *ring); /* reserved and not shown yet? */

/* Consumer. */
void *weir_ring_peek(struct weir_ring *ring);      /* oldest slot; NULL: empty */
void weir_ring_release(struct weir_ring *ring);    /* done with the slot peeked; memory may be reused */
void weir_ring_release_all(struct weir_ring *ring); /* shows the producer everything released so far */

#endif
