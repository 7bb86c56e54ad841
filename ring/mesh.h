/*
 * ring/mesh.h - N x N rings between reactors, with credits, return rings, and sleep-and-wake.
 *
 * For each ordered pair (from, to): two rings of 64-byte slots, laid out on first use by the sender, and a
 * ring of 8-byte pointers on which buffers go home. A free slot is a credit. The last
 * WEIR_MESH_REPLY_SLOTS of the first ring are kept for replies, so two reactors that are full of requests can
 * always answer each other. The second ring is for posts: what a receiver may refuse for now stands there
 * before others of its kind only, and keeps its order among them.
 *
 * A turn: drain, collect, reserve ... reserve, then one weir_mesh_flush: every dirty ring is published
 * (one release store each), one fence, and whoever sleeps among the destinations is reported once, to be
 * woken by the caller.
 *
 *     sender                                            receiver
 *     (M) ring pointer .store(release), first use --->  .load(acquire)
 *     reserve: write slots                              drain: read slots
 *     flush: tail .store(release)             (P) --->  .load(acquire)
 *            fence, then asleep .load                   prepare_sleep: asleep = 1, fence, all tails again
 *
 *     no credit: wanted = 1, fence, credit again        flush: head .store(release)  (C)
 *     prepare_sleep: asleep = 1, fence, credit again           fence, then wanted, then asleep .load
 *
 * (P) and (C) are ring/spsc.h's, the fences ring/sleep.h's.
 *
 * Two ways to find work. Up to WEIR_MESH_SCAN_MAX reactors a drain looks at the tail of every inbound
 * ring; above that each sender sets its bit in the receiver's pending words, so an idle look is four words
 * in one line. Before it sleeps, a receiver looks at every inbound ring either way.
 *
 * What it costs, with requests and the way home in use (slots a ring; bytes = 512 + 64 a slot, and 512 + 16
 * a slot for the way home, which has two cells for each slot; a pair that also posts has as much as its
 * requests again):
 *
 *     reactors  slots  a pair      all pairs             idle look               look before sleep
 *            2   1024  82,944 B    2 x       166 KB      1 sender, 3 tails       3 tails
 *           16    256  21,504 B    240 x     5.2 MB      1 line                  45 tails
 *           64     64   6,144 B    4,032 x    25 MB      1 line                  189 tails
 *          128     64   6,144 B    16,256 x  100 MB      1 line                  381 tails
 *
 * A pair that never speaks costs 48 bytes; a pair that never posts, or never sends buffers home, has no ring
 * for it.
 *
 * Which calls may overlap: every call with `from`, `owner`, `to` or `me` as its first reactor belongs to
 * that reactor's thread, and calls of different reactors overlap freely. weir_mesh_depth, wake_needed and
 * any_asleep are anyone's. Open and close: while no reactor runs.
 *
 * Proof: tests/ring/sleep_model.c (flush against prepare_sleep and want_credit, on this source),
 * tests/ring/mesh_test.c (64 threads, all to all, parked when idle).
 */
#ifndef WEIR_RING_MESH_H
#define WEIR_RING_MESH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

enum {
    WEIR_MESH_REACTORS_MAX = 128,
    WEIR_MESH_SLOT_BYTES = 64,
    WEIR_MESH_REPLY_SLOTS = 16,
    WEIR_MESH_SCAN_MAX = 4,      /* reactors up to which a drain looks at every tail */
    WEIR_MESH_SLOTS_ALL = 4096,  /* slots on the way to one reactor, shared out among its senders */
    WEIR_MESH_SLOTS_MIN = 64,    /* of one ring */
    WEIR_MESH_SLOTS_MAX = 1024,  /* of one ring */
    WEIR_MESH_RUN_MAX = 64,      /* slots handed over at once: what is read keeps its credit till then */
    WEIR_MESH_HOME_PER_SLOT = 2, /* buffers on the way home for each slot of the ring beside it */
};

struct weir_mesh;
struct weir_ring;

/* Which slots a reservation may take. */
enum weir_mesh_lane {
    WEIR_LANE_REQUEST, /* leaves the reserve alone */
    WEIR_LANE_REPLY,   /* may use all of the ring */
    WEIR_LANE_POST,    /* a ring of its own: the receiver may refuse it for now */
};

/*
 * A mesh for reactors 0 .. reactor_count - 1, all awake, no rings laid out yet. Rings are allocated on
 * first use and freed by close.
 *
 * Returns  0, -EINVAL (0 or more than WEIR_MESH_REACTORS_MAX), -ENOMEM
 */
int weir_mesh_open(uint32_t reactor_count, struct weir_mesh **mesh_out);

/* As open, in another shape: what the models and tests need. slot_count: a power of two from 2. */
int weir_mesh_open_shaped(uint32_t reactor_count, uint32_t slot_count, uint32_t scan_max,
                          struct weir_mesh **mesh_out);

/* Slots still in flight are dropped: hand their buffers back first. NULL is allowed. */
void weir_mesh_close(struct weir_mesh *mesh);

uint32_t weir_mesh_reactor_count(const struct weir_mesh *mesh);
uint32_t weir_mesh_slots(const struct weir_mesh *mesh); /* slots of each ring, by reactor count */

/* ---- The sender, reactor `from` ------------------------------------------------------------------ */

/*
 * One slot of WEIR_MESH_SLOT_BYTES towards `to`, to be written before the next flush, which shows it.
 * NULL: no credit (or, the first time, no memory for the ring).
 */
void *weir_mesh_reserve(struct weir_mesh *mesh, uint32_t from, uint32_t to,
                        enum weir_mesh_lane lane);

/*
 * The ring of posts towards `to`, for reserving on it directly until the next flush, which shows what was reserved:
 * weir_ring_reserve_sized(ring, WEIR_MESH_SLOT_BYTES, 0) is weir_mesh_reserve on that lane.
 * NULL: no memory for it.
 */
struct weir_ring *weir_mesh_open_burst(struct weir_mesh *mesh, uint32_t from, uint32_t to);

/*
 * Send `buffer` home to `owner`; shown by the next flush. False: no room, keep it and try again. The room
 * is asked for, as by weir_mesh_want_credit.
 */
bool weir_mesh_return(struct weir_mesh *mesh, uint32_t from, uint32_t owner, void *buffer);

/*
 * Slots of a lane free towards `to`, looked up afresh; so many reserves will not fail. The ring is laid out if
 * it is not yet: without memory for it there is no credit.
 */
uint32_t weir_mesh_credit(struct weir_mesh *mesh, uint32_t from, uint32_t to, enum weir_mesh_lane lane);

/*
 * After a reserve that found no credit, or a look at the credit: ask to be told when the room towards `to`
 * has grown since. One want buys one telling: a false from `from`'s prepare_sleep, or a wake by `to`'s
 * flush while `from` sleeps. A sender that stays awake is not told; it tries again on its own turns. It
 * may be told for nothing; who still lacks credit then wants again.
 */
void weir_mesh_want_credit(struct weir_mesh *mesh, uint32_t from, uint32_t to, enum weir_mesh_lane lane);

/* `reactor` sleeps, and it falls to the caller to wake it. */
typedef void (*weir_mesh_wake_fn)(void *context, uint32_t reactor);

/*
 * Publish all that `from` reserved or returned, and give back all that it drained or collected, since the
 * last flush; wake each reactor concerned that sleeps, once. Cheap when there is nothing.
 */
void weir_mesh_flush(struct weir_mesh *mesh, uint32_t from, weir_mesh_wake_fn wake, void *context);

/* ---- The receiver, reactor `to` ------------------------------------------------------------------ */

/*
 * One slot, valid until the callback returns. False: the slot is not taken, stays first of its sender in its
 * ring, and drain goes on to the next sender. It must not drain.
 */
typedef bool (*weir_mesh_slot_fn)(void *context, uint32_t from, void *slot);

/*
 * Take up to `budget` slots of requests and replies and as many of posts, each sender's in order, senders in
 * rotation so that none starves. Returns how many were taken. Credit goes back with the next flush.
 */
uint32_t weir_mesh_drain(struct weir_mesh *mesh, uint32_t to, uint32_t budget, weir_mesh_slot_fn fn,
                         void *context);

typedef void (*weir_mesh_buffer_fn)(void *context, uint32_t from, void *buffer);

/*
 * The same by runs: `count` slots side by side, valid until the callback returns, which says how many of them, from the
 * first on, it took. Fewer than all: as false above.
 */
typedef uint32_t (*weir_mesh_run_fn)(void *context, uint32_t from, void *first, uint32_t count);
uint32_t weir_mesh_drain_runs(struct weir_mesh *mesh, uint32_t to, uint32_t budget, weir_mesh_run_fn fn, void *context);

/* Take every buffer that has come home to `owner`. Returns how many. */
uint32_t weir_mesh_collect(struct weir_mesh *mesh, uint32_t owner, weir_mesh_buffer_fn fn,
                           void *context);

/* Slots in flight, for showing: a hint. Anyone. */
uint32_t weir_mesh_depth(struct weir_mesh *mesh, uint32_t from, uint32_t to);

/* ---- Sleep and wake: announce, look again, park -------------------------------------------------- */

/*
 * Announce that `me` is about to park, and look at everything again. Flush first.
 *
 * True: nothing to do; park, and after it, however it ended, call weir_mesh_awake. Between the two,
 * wake may be reported for `me` once; a wake that comes before the park must make it return at once.
 * False: there are slots or buffers to take, or wanted credit has come; do not park.
 *
 * A ring whose slot was refused in the last drain does not count: whoever refuses knows what it waits for,
 * and must be woken by that.
 */
bool weir_mesh_prepare_sleep(struct weir_mesh *mesh, uint32_t me);
void weir_mesh_awake(struct weir_mesh *mesh, uint32_t me);

/*
 * For signallers beside the mesh (foreign threads, signals), after they have shown their work with a
 * release store, and the sleeper looks at it again after prepare_sleep: true, it falls to the caller to
 * wake `to`. Anyone.
 */
bool weir_mesh_wake_needed(struct weir_mesh *mesh, uint32_t to);

/* Does any reactor sleep? A hint, at one read line for each reactor. Anyone. */
bool weir_mesh_any_asleep(struct weir_mesh *mesh);

#endif
