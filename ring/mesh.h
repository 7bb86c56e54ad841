/*
 * ring/mesh.h - N x N rings between reactors, with credits, return rings, and sleep-and-wake.
 *
 * For each ordered pair (from, to): a ring of 64-byte slots, laid out on first use on behalf of the pair,
 * and a ring of 8-byte pointers on which `to` sends buffers home. A free slot is a credit. The last
 * WEIR_MESH_REPLY_SLOTS of each ring are kept for replies, so two reactors that are full of requests can
 * always answer each other.
 *
 * A turn: reserve ... reserve, then one weir_mesh_flush: every dirty ring is published (one release store
 * each), one fence, and whoever sleeps among the destinations is reported once, to be woken by the caller.
 */
#ifndef WEIR_RING_MESH_H
#define WEIR_RING_MESH_H

#include "base/atomic.h"

enum {
    WEIR_MESH_REACTORS_MAX = 128,
    WEIR_MESH_SLOT_BYTES = 64,
    WEIR_MESH_REPLY_SLOTS = 16,
};

struct weir_mesh;

/* Which slots a reservation may take. */
enum weir_lane {
    WEIR_LANE_REQUEST, /* leaves the reserve alone */
    WEIR_LANE_REPLY,   /* may use all of the ring */
};

int weir_mesh_open(uint32_t reactor_count, struct weir_mesh **mesh_out); /* -EINVAL, -ENOMEM */
void weir_mesh_close(struct weir_mesh *mesh);
uint32_t weir_mesh_reactor_count(const struct weir_mesh *mesh);
uint32_t weir_mesh_slots(const struct weir_mesh *mesh); /* slots of each ring, by reactor count */

/* The sender, reactor `from`. NULL: no credit. Slots are shown to `to` by the next flush. */
void *weir_mesh_reserve(struct weir_mesh *mesh, uint32_t from, uint32_t to, enum weir_lane lane);
/* Send `buffer` home to `owner`. Never fails for the caller to handle: false = no room, keep and retry. */
bool weir_mesh_return(struct weir_mesh *mesh, uint32_t from, uint32_t owner, void *buffer);
uint32_t weir_mesh_credit(struct weir_mesh *mesh, uint32_t from, uint32_t to); /* request slots free now */
/* Ask to be woken (by `to`'s flush) when credit towards `to` comes back. Then look at the credit again. */
void weir_mesh_want_credit(struct weir_mesh *mesh, uint32_t from, uint32_t to);

typedef void (*weir_mesh_wake_fn)(void *context, uint32_t reactor);
/* Publish all that `from` reserved, returned or released since the last flush; wake whoever sleeps. */
void weir_mesh_flush(struct weir_mesh *mesh, uint32_t from, weir_mesh_wake_fn wake, void *context);

/* The receiver, reactor `to`. */
typedef bool (*weir_mesh_slot_fn)(void *context, uint32_t from, void *slot); /* false: stop, slot not taken */
uint32_t weir_mesh_drain(struct weir_mesh *mesh, uint32_t to, uint32_t budget, weir_mesh_slot_fn fn,
                         void *context); /* slots taken; senders in rotation, so none starves */
typedef void (*weir_mesh_buffer_fn)(void *context, uint32_t from, void *buffer);
uint32_t weir_mesh_collect(struct weir_mesh *mesh, uint32_t owner, weir_mesh_buffer_fn fn, void *context);
uint32_t weir_mesh_depth(struct weir_mesh *mesh, uint32_t from, uint32_t to); /* for INFO: slots in flight */

/* Sleep and wake: announce, look again, park. */
bool weir_mesh_prepare_sleep(struct weir_mesh *mesh, uint32_t me); /* announces; false: there is work, do not park */
void weir_mesh_awake(struct weir_mesh *mesh, uint32_t me);         /* after parking, however it ended */
bool weir_mesh_wake_needed(struct weir_mesh *mesh, uint32_t to);   /* fence + exchange: for other signallers */
bool weir_mesh_any_asleep(const struct weir_mesh *mesh);           /* relaxed hint */

#endif
