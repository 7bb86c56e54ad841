/*
 * runtime/lane.c - foreign threads' posts.
 *
 * Opening and closing a lane takes the runtime's lock; posting and draining do not. A lane that its thread has closed is
 * freed by its home, once it is empty.
 *
 *     foreign thread                        home reactor
 *     write slot, publish ---- spsc (P) ---> peek, post on, release
 *     fence, sleeping? wake <-- sleep.h ---- announce, fence, look at each lane again
 *     closing.store(release) --- (L) ------> closing.load(acquire), empty: unlist and free
 *
 * Proof: tests/runtime/lane_test.c, ThreadSanitizer.
 */
#include "runtime/lane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "ring/spsc.h"
#include "runtime/runtime.h"
#include "runtime/topics.h"

enum { LANE_SLOTS = 1024, LANE_INLINE_BYTES = 24, BODY_BYTES_MAX = 16 << 20 };

struct lane_slot {
    struct weir_topic topic;
    uint64_t key;
    uint32_t to;
    uint32_t body_bytes;
    uint8_t keyed;
    uint8_t outside; /* the body is at `body` */
    uint8_t spare[6];
    union {
        uint8_t inline_body[LANE_INLINE_BYTES];
        void *body; /* malloc'd by the foreign thread, freed by the home */
    };
    uint64_t unused;
};
_Static_assert(sizeof(struct lane_slot) == 64, "a slot is one line");

struct weir_lane {
    struct weir_runtime *runtime;
    struct weir_reactor *home;
    struct weir_ring *ring;
    void *memory;
    weir_atomic_u32 closing; /* foreign writes (L), home reads */
};

struct lanes_of_reactor {
    weir_atomic_u32 count; /* slots of lanes[] ever used; the lock's holder writes, the home reads */
    weir_atomic_ptr lanes[WEIR_LANES_MAX];
};

struct weir_lanes {
    pthread_mutex_t lock; /* opening and closing only */
    uint32_t next_home;
    struct lanes_of_reactor of[];
};

int weir_lanes_open(struct weir_runtime *runtime)
{
    struct weir_lanes *lanes =
        calloc(1, sizeof *lanes + runtime->reactor_count * sizeof(struct lanes_of_reactor));
    if (!lanes)
        return -ENOMEM;
    pthread_mutex_init(&lanes->lock, NULL);
    runtime->lanes = lanes;
    return 0;
}

static void free_lane(struct weir_lane *lane)
{
    for (struct lane_slot *slot; (slot = weir_ring_peek(lane->ring)); weir_ring_release(lane->ring))
        if (slot->outside)
            free(slot->body);
    free(lane->memory);
    free(lane);
}

void weir_lanes_close(struct weir_runtime *runtime)
{
    struct weir_lanes *lanes = runtime->lanes;
    if (!lanes)
        return;
    for (uint32_t i = 0; i < runtime->reactor_count; i++)
        for (uint32_t k = 0; k < weir_load(&lanes->of[i].count, acquire); k++) {
            struct weir_lane *lane = weir_load(&lanes->of[i].lanes[k], acquire);
            if (lane)
                free_lane(lane);
        }
    pthread_mutex_destroy(&lanes->lock);
    free(lanes);
}

static int list_lane(struct weir_lanes *lanes, struct weir_lane *lane)
{
    struct lanes_of_reactor *of = &lanes->of[lane->home->index];
    for (uint32_t k = 0; k < WEIR_LANES_MAX; k++) {
        if (weir_load(&of->lanes[k], relaxed)) /* under the lock; the home only clears */
            continue;
        weir_store(&of->lanes[k], lane, release); /* the lane is laid out before it is seen */
        if (k >= weir_load(&of->count, relaxed))
            weir_store(&of->count, k + 1, release);
        return 0;
    }
    return -EAGAIN;
}

int weir_lane_open(struct weir_runtime *runtime, struct weir_lane **lane_out)
{
    size_t bytes = weir_ring_bytes(LANE_SLOTS, sizeof(struct lane_slot));
    struct weir_lane *lane = calloc(1, sizeof *lane);
    void *memory = aligned_alloc(WEIR_LINE_PAIR_BYTES, (bytes + 127) & ~(size_t)127);
    if (!lane || !memory) {
        free(lane);
        free(memory);
        return -ENOMEM;
    }
    lane->runtime = runtime;
    lane->memory = memory;
    int result = weir_ring_init(memory, bytes, LANE_SLOTS, sizeof(struct lane_slot), &lane->ring);
    WEIR_ASSERT(result == 0);
    pthread_mutex_lock(&runtime->lanes->lock);
    lane->home = runtime->reactors[runtime->lanes->next_home++ % runtime->reactor_count];
    result = list_lane(runtime->lanes, lane);
    pthread_mutex_unlock(&runtime->lanes->lock);
    if (result < 0)
        free_lane(lane);
    else
        *lane_out = lane;
    return result;
}

static void wake_home(struct weir_reactor *home)
{
    weir_fence(seq_cst); /* either we see that it has begun, or its first turn sees what we published */
    if (weir_load(&home->begun, acquire) && weir_mesh_wake_needed(home->mesh, home->index))
        weir_io_wake_foreign(home->io);
}

void weir_lane_close(struct weir_lane *lane)
{
    struct weir_reactor *home = lane->home;
    weir_store(&lane->closing, 1, release); /* (L) after the last publish; the lane may be gone from here on */
    wake_home(home);
}

int weir_lane_post(struct weir_lane *lane, struct weir_topic topic, uint32_t to, bool keyed, uint64_t key,
                   const void *body, uint32_t body_bytes)
{
    uint32_t count = lane->runtime->reactor_count;
    if (body_bytes > BODY_BYTES_MAX || (to >= count && to != WEIR_TO_HERE && (to != WEIR_TO_KEY || !keyed)))
        return -EINVAL;
    void *outside = body_bytes > LANE_INLINE_BYTES ? malloc(body_bytes) : NULL; /* first: a reserved slot must be sent */
    if (body_bytes > LANE_INLINE_BYTES && !outside)
        return -ENOMEM;
    struct lane_slot *slot = weir_ring_reserve(lane->ring);
    if (!slot) {
        free(outside);
        return -EAGAIN;
    }
    *slot = (struct lane_slot){.topic = topic, .key = key, .keyed = keyed, .body_bytes = body_bytes,
                               .to = to == WEIR_TO_HERE ? lane->home->index : to};
    if (outside) {
        memcpy(outside, body, body_bytes);
        slot->outside = 1;
        slot->body = outside;
    } else if (body_bytes > 0) {
        memcpy(slot->inline_body, body, body_bytes);
    }
    weir_ring_publish(lane->ring);
    wake_home(lane->home);
    return 0;
}

static bool post_on(struct weir_reactor *reactor, struct lane_slot *slot)
{
    const void *body = slot->outside ? slot->body : slot->inline_body;
    int result;
    if (slot->to == reactor->index)
        result = weir_topics_post_here(reactor, slot->topic, slot->keyed, slot->key, 0, body, slot->body_bytes);
    else if (slot->keyed)
        result = weir_post_keyed(reactor, slot->topic, slot->to, slot->key, body, slot->body_bytes);
    else
        result = weir_post(reactor, slot->topic, slot->to, body, slot->body_bytes);
    if (result == -EAGAIN || result == -ENOMEM)
        return false; /* it stays in the lane, and the lane fills */
    if (slot->outside)
        free(slot->body);
    return true;
}

static uint32_t drain_lane(struct weir_reactor *reactor, struct weir_lane *lane)
{
    uint32_t taken = 0;
    for (struct lane_slot *slot; taken < 128 && (slot = weir_ring_peek(lane->ring)); taken++) {
        if (!post_on(reactor, slot))
            break;
        weir_ring_release(lane->ring);
    }
    if (taken > 0)
        weir_ring_release_all(lane->ring);
    return taken;
}

uint32_t weir_lanes_drain(struct weir_reactor *reactor)
{
    struct lanes_of_reactor *of = &reactor->runtime->lanes->of[reactor->index];
    uint32_t count = weir_load(&of->count, acquire);
    uint32_t taken = 0;
    for (uint32_t k = 0; k < count; k++) {
        struct weir_lane *lane = weir_load(&of->lanes[k], acquire);
        if (!lane)
            continue;
        bool closing = weir_load(&lane->closing, acquire); /* (L) read before the ring: then empty is empty for good */
        taken += drain_lane(reactor, lane);
        if (closing && !weir_ring_peek(lane->ring)) {
            weir_store(&of->lanes[k], NULL, relaxed); /* only the place is handed over, under the lock's own order */
            free_lane(lane);
        }
    }
    return taken;
}

bool weir_lanes_prepare_sleep(struct weir_reactor *reactor)
{
    struct lanes_of_reactor *of = &reactor->runtime->lanes->of[reactor->index];
    uint32_t count = weir_load(&of->count, acquire);
    for (uint32_t k = 0; k < count; k++) {
        struct weir_lane *lane = weir_load(&of->lanes[k], acquire);
        if (lane && (weir_ring_peek(lane->ring) || weir_load(&lane->closing, acquire)))
            return false;
    }
    return true;
}
