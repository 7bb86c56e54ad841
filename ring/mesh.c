/*
 * ring/mesh.c - the rings between all pairs of reactors, and who must be woken.
 *
 * Three planes, handled alike: slots on their way to a reactor, buffers on their way home to it, and posts,
 * whose slots may be refused without anything else having to wait behind them. Each has one channel for each
 * ordered pair; a channel's ring is allocated by its sender when it first speaks.
 * What a turn touched is kept as sets of reactors (two words of bits), so a flush visits only those.
 *
 * Bound: reactors^2 rings of each plane; the header has the arithmetic. Proof: tests/ring/sleep_model.c,
 * tests/ring/mesh_test.c.
 */
#include "ring/mesh.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "ring/sleep.h"
#include "ring/spsc.h"

enum { SLOTS, HOME, POSTS, PLANES };
enum { SET_WORDS = WEIR_MESH_REACTORS_MAX / 64 };

/* A set of reactors. */
struct set {
    uint64_t word[SET_WORDS];
};

/* One direction of one pair, in one plane. */
struct channel {
    weir_atomic_ptr ring;   /* struct weir_ring; written once by the sender, read by the receiver */
    weir_atomic_u32 wanted; /* set by a sender out of credit, taken by the receiver */
    uint32_t room_wanted;   /* the sender's own: room when it asked */
};

/* One reactor's own. */
struct side {
    _Alignas(WEIR_LINE_PAIR_BYTES) struct set dirty[PLANES]; /* to: reserved, not published */
    struct set released[PLANES];                             /* from: read, not given back */
    struct set starved[PLANES]; /* to: asked for credit, not told yet */
    struct set backlog[PLANES]; /* from: perhaps something to read */
    struct set refused[PLANES]; /* from: the first slot was not taken */
    uint32_t next_sender[PLANES]; /* where the next drain begins */
    struct weir_ring *out[PLANES][WEIR_MESH_REACTORS_MAX];
    struct weir_ring *in[PLANES][WEIR_MESH_REACTORS_MAX];
};

/* Senders' bits for one receiver; used above scan_max reactors. */
struct pending {
    _Alignas(WEIR_LINE_PAIR_BYTES) weir_atomic_u64 word[PLANES][SET_WORDS];
};

struct weir_mesh {
    /* Set by open, then only read. */
    uint32_t reactor_count;
    uint32_t slot_count;
    bool scan; /* look at every tail instead of pending */
    struct set all;
    struct side *sides;
    struct pending *pending;
    struct weir_sleep *sleeps;
    struct channel *channels; /* [from][to][plane] */
};

/* ---- Sets ---------------------------------------------------------------------------------------- */

static void set_add(struct set *set, uint32_t reactor)
{
    set->word[reactor / 64] |= (uint64_t)1 << (reactor % 64);
}

static void set_remove(struct set *set, uint32_t reactor)
{
    set->word[reactor / 64] &= ~((uint64_t)1 << (reactor % 64));
}

static bool set_has(const struct set *set, uint32_t reactor)
{
    return (set->word[reactor / 64] >> (reactor % 64)) & 1;
}

static bool set_empty(const struct set *set)
{
    return (set->word[0] | set->word[1]) == 0;
}

static void set_unite(struct set *set, const struct set *more)
{
    for (int w = 0; w < SET_WORDS; w++)
        set->word[w] |= more->word[w];
}

/* The lowest member at or above `from`, or WEIR_MESH_REACTORS_MAX. */
static inline uint32_t set_next(const struct set *set, uint32_t from)
{
    for (uint32_t w = from / 64; w < SET_WORDS; w++) {
        uint64_t bits = set->word[w];
        if (w == from / 64)
            bits &= ~(uint64_t)0 << (from % 64);
        if (bits != 0)
            return w * 64 + (uint32_t)__builtin_ctzll(bits);
    }
    return WEIR_MESH_REACTORS_MAX;
}

#define SET_EACH(member, set)                                                   \
    for (uint32_t member = set_next((set), 0); member < WEIR_MESH_REACTORS_MAX; \
         member = set_next((set), member + 1))

/* ---- Open and close ------------------------------------------------------------------------------ */

static struct channel *channel_of(const struct weir_mesh *mesh, int plane, uint32_t from,
                                  uint32_t to)
{
    return &mesh->channels[((size_t)from * mesh->reactor_count + to) * PLANES + (size_t)plane];
}

static void *alloc_lines(size_t count, size_t bytes)
{
    size_t total = (count * bytes + WEIR_LINE_PAIR_BYTES - 1) & ~(size_t)(WEIR_LINE_PAIR_BYTES - 1);
    void *memory = aligned_alloc(WEIR_LINE_PAIR_BYTES, total);
    if (memory != NULL)
        memset(memory, 0, total);
    return memory;
}

int weir_mesh_open_shaped(uint32_t reactor_count, uint32_t slot_count, uint32_t scan_max,
                          struct weir_mesh **mesh_out)
{
    if (reactor_count == 0 || reactor_count > WEIR_MESH_REACTORS_MAX)
        return -EINVAL;
    if (weir_ring_bytes(slot_count, WEIR_MESH_SLOT_BYTES) == 0)
        return -EINVAL;
    struct weir_mesh *mesh = alloc_lines(1, sizeof *mesh);
    if (mesh == NULL)
        return -ENOMEM;
    mesh->reactor_count = reactor_count;
    mesh->slot_count = slot_count;
    mesh->scan = reactor_count <= scan_max;
    for (uint32_t i = 0; i < reactor_count; i++)
        set_add(&mesh->all, i);
    mesh->sides = alloc_lines(reactor_count, sizeof *mesh->sides);
    mesh->pending = alloc_lines(reactor_count, sizeof *mesh->pending);
    mesh->sleeps = alloc_lines(reactor_count, sizeof *mesh->sleeps);
    mesh->channels = calloc((size_t)reactor_count * reactor_count * PLANES, sizeof *mesh->channels);
    if (!mesh->sides || !mesh->pending || !mesh->sleeps || !mesh->channels) {
        weir_mesh_close(mesh);
        return -ENOMEM;
    }
    *mesh_out = mesh;
    return 0;
}

/* An equal share of WEIR_MESH_SLOTS_ALL, down to a power of two. */
static uint32_t slots_for(uint32_t reactor_count)
{
    uint32_t slots = WEIR_MESH_SLOTS_MAX;
    while (slots > WEIR_MESH_SLOTS_MIN && slots * reactor_count > WEIR_MESH_SLOTS_ALL)
        slots /= 2;
    return slots;
}

int weir_mesh_open(uint32_t reactor_count, struct weir_mesh **mesh_out)
{
    if (reactor_count == 0 || reactor_count > WEIR_MESH_REACTORS_MAX)
        return -EINVAL;
    return weir_mesh_open_shaped(reactor_count, slots_for(reactor_count), WEIR_MESH_SCAN_MAX,
                                 mesh_out);
}

void weir_mesh_close(struct weir_mesh *mesh)
{
    if (mesh == NULL)
        return;
    size_t channel_count = (size_t)mesh->reactor_count * mesh->reactor_count * PLANES;
    for (size_t i = 0; mesh->channels != NULL && i < channel_count; i++)
        free(weir_load(&mesh->channels[i].ring, relaxed)); /* nobody runs */
    free(mesh->channels);
    free(mesh->sleeps);
    free(mesh->pending);
    free(mesh->sides);
    free(mesh);
}

uint32_t weir_mesh_reactor_count(const struct weir_mesh *mesh)
{
    return mesh->reactor_count;
}

uint32_t weir_mesh_slots(const struct weir_mesh *mesh)
{
    return mesh->slot_count;
}

/* ---- The sender ---------------------------------------------------------------------------------- */

static struct side *side_of(struct weir_mesh *mesh, uint32_t reactor)
{
    WEIR_ASSERT(reactor < mesh->reactor_count);
    return &mesh->sides[reactor];
}

/* First use of a channel. The sender allocates, so that the memory is near the one that writes it. */
__attribute__((cold, noinline)) static struct weir_ring *open_out(struct weir_mesh *mesh, int plane,
                                                                  uint32_t from, uint32_t to)
{
    bool home = plane == HOME;
    uint32_t slot_bytes = home ? sizeof(void *) : WEIR_MESH_SLOT_BYTES;
    uint32_t slot_count = mesh->slot_count * (home ? WEIR_MESH_HOME_PER_SLOT : 1);
    size_t ring_bytes = weir_ring_bytes(slot_count, slot_bytes);
    struct weir_ring *ring;
    void *memory = alloc_lines(1, ring_bytes);
    if (memory == NULL || weir_ring_init(memory, ring_bytes, slot_count, slot_bytes, &ring) != 0) {
        free(memory);
        return NULL;
    }
    mesh->sides[from].out[plane][to] = ring;
    /* (M) release: the ring is laid out before the pointer that shows it. */
    weir_store(&channel_of(mesh, plane, from, to)->ring, ring, release);
    return ring;
}

static inline struct weir_ring *out_ring(struct weir_mesh *mesh, int plane, uint32_t from,
                                         uint32_t to)
{
    struct weir_ring *ring = side_of(mesh, from)->out[plane][to];
    return ring != NULL ? ring : open_out(mesh, plane, from, to);
}

static inline int plane_of(enum weir_mesh_lane lane)
{
    return lane == WEIR_LANE_POST ? POSTS : SLOTS;
}

/* Slots that a lane leaves to others. */
static inline uint32_t kept_from(enum weir_mesh_lane lane)
{
    return lane == WEIR_LANE_REQUEST ? WEIR_MESH_REPLY_SLOTS : 0;
}

void *weir_mesh_reserve(struct weir_mesh *mesh, uint32_t from, uint32_t to, enum weir_mesh_lane lane)
{
    WEIR_ASSERT(to < mesh->reactor_count);
    int plane = plane_of(lane);
    struct weir_ring *ring = out_ring(mesh, plane, from, to);
    if (ring == NULL)
        return NULL;
    void *slot = weir_ring_reserve_sized(ring, WEIR_MESH_SLOT_BYTES, kept_from(lane));
    if (slot != NULL)
        set_add(&mesh->sides[from].dirty[plane], to);
    return slot;
}

struct weir_ring *weir_mesh_open_burst(struct weir_mesh *mesh, uint32_t from, uint32_t to)
{
    WEIR_ASSERT(to < mesh->reactor_count);
    struct weir_ring *ring = out_ring(mesh, POSTS, from, to);
    if (ring != NULL)
        set_add(&mesh->sides[from].dirty[POSTS], to);
    return ring;
}

uint32_t weir_mesh_credit(struct weir_mesh *mesh, uint32_t from, uint32_t to, enum weir_mesh_lane lane)
{
    WEIR_ASSERT(to < mesh->reactor_count);
    struct weir_ring *ring = out_ring(mesh, plane_of(lane), from, to);
    uint32_t room = ring != NULL ? weir_ring_room(ring) : 0;
    return room > kept_from(lane) ? room - kept_from(lane) : 0;
}

static void want_room(struct weir_mesh *mesh, int plane, uint32_t from, uint32_t to)
{
    struct side *side = side_of(mesh, from);
    struct channel *channel = channel_of(mesh, plane, from, to);
    struct weir_ring *ring = side->out[plane][to];
    /* Not looked up afresh: what came back since the look that failed counts as grown. */
    channel->room_wanted = ring != NULL ? weir_ring_room_seen(ring) : 0;
    set_add(&side->starved[plane], to);
    weir_store(&channel->wanted, 1, relaxed); /* ordered by the fence of prepare_sleep */
}

void weir_mesh_want_credit(struct weir_mesh *mesh, uint32_t from, uint32_t to, enum weir_mesh_lane lane)
{
    WEIR_ASSERT(to < mesh->reactor_count);
    want_room(mesh, plane_of(lane), from, to);
}

bool weir_mesh_return(struct weir_mesh *mesh, uint32_t from, uint32_t owner, void *buffer)
{
    WEIR_ASSERT(owner < mesh->reactor_count);
    struct weir_ring *ring = out_ring(mesh, HOME, from, owner);
    void **cell = ring != NULL ? weir_ring_reserve_sized(ring, sizeof *cell, 0) : NULL;
    if (cell == NULL) {
        want_room(mesh, HOME, from, owner);
        return false;
    }
    weir_plain_write(cell, sizeof *cell);
    *cell = buffer;
    set_add(&mesh->sides[from].dirty[HOME], owner);
    return true;
}

/* ---- Flush --------------------------------------------------------------------------------------- */

/* Publish one plane; who may have to be woken for it joins `touched`. */
static void publish_dirty(struct side *side, int plane, struct set *touched)
{
    SET_EACH(to, &side->dirty[plane])
        weir_ring_publish(side->out[plane][to]);
    set_unite(touched, &side->dirty[plane]);
}

static bool give_back(struct side *side, int plane)
{
    SET_EACH(from, &side->released[plane])
        weir_ring_release_all(side->in[plane][from]);
    return !set_empty(&side->released[plane]);
}

/* Tell the receivers of one plane which sender to look at; after the fence. */
static void mark_pending(struct weir_mesh *mesh, const struct set *dirty, int plane, uint32_t from)
{
    uint64_t bit = (uint64_t)1 << (from % 64);
    SET_EACH(to, dirty) {
        weir_atomic_u64 *word = &mesh->pending[to].word[plane][from / 64];
        /* Relaxed: a bit seen here is still to be taken, and whoever takes it fences and then looks at
         * the tail, which was shown before our fence. */
        if ((weir_load(word, relaxed) & bit) == 0)
            weir_fetch_or(word, bit, relaxed);
    }
}

/* Senders that asked for the credit given back join `touched`; after the fence. */
static void find_starved(struct weir_mesh *mesh, struct set *released, int plane, uint32_t me,
                         struct set *touched)
{
    SET_EACH(from, released) {
        struct channel *channel = channel_of(mesh, plane, from, me);
        if (weir_load(&channel->wanted, relaxed) == 0) /* ordered by the fence */
            continue;
        weir_exchange(&channel->wanted, 0, relaxed);
        set_add(touched, from);
    }
}

static void wake_sleepers(struct weir_mesh *mesh, const struct set *touched, weir_mesh_wake_fn wake,
                          void *context)
{
    SET_EACH(reactor, touched)
        if (weir_sleep_take(&mesh->sleeps[reactor]))
            wake(context, reactor);
}

void weir_mesh_flush(struct weir_mesh *mesh, uint32_t from, weir_mesh_wake_fn wake, void *context)
{
    struct side *side = side_of(mesh, from);
    struct set touched = {{0}};
    bool gave_back = false;
    for (int plane = 0; plane < PLANES; plane++) {
        if (!set_empty(&side->dirty[plane]))
            publish_dirty(side, plane, &touched);
        if (!set_empty(&side->released[plane]))
            gave_back |= give_back(side, plane);
    }
    if (!gave_back && set_empty(&touched))
        return;
    weir_sleep_fence();
    for (int plane = 0; plane < PLANES; plane++) {
        if (!mesh->scan)
            mark_pending(mesh, &side->dirty[plane], plane, from);
        if (!set_empty(&side->released[plane]))
            find_starved(mesh, &side->released[plane], plane, from, &touched);
        side->dirty[plane] = side->released[plane] = (struct set){{0}};
    }
    wake_sleepers(mesh, &touched, wake, context);
}

/* ---- The receiver -------------------------------------------------------------------------------- */

/* What a sender has laid out, as another thread finds it; NULL: it never spoke. */
static struct weir_ring *find_ring(struct weir_mesh *mesh, int plane, uint32_t from, uint32_t to)
{
    /* acquire: pairs with (M); the ring is laid out. */
    struct weir_ring *ring = weir_load(&channel_of(mesh, plane, from, to)->ring, acquire);
    if (ring != NULL)
        weir_plain_read(ring, sizeof *ring);
    return ring;
}

static struct weir_ring *in_ring(struct weir_mesh *mesh, int plane, uint32_t from, uint32_t to)
{
    struct weir_ring **known = &mesh->sides[to].in[plane][from];
    if (*known == NULL)
        *known = find_ring(mesh, plane, from, to);
    return *known;
}

/* Which senders to look at now: all, or those that set their bit since, and those not emptied. */
static struct set senders_to_read(struct weir_mesh *mesh, struct side *side, int plane, uint32_t to)
{
    if (mesh->scan) {
        struct set others = mesh->all;
        if (side->out[plane][to] == NULL) /* nobody but itself could have: it knows */
            set_remove(&others, to);
        return others;
    }
    bool taken = false;
    for (int w = 0; w < SET_WORDS; w++) {
        weir_atomic_u64 *word = &mesh->pending[to].word[plane][w];
        if (weir_load(word, relaxed) == 0) /* a bit missed now is seen next time */
            continue;
        side->backlog[plane].word[w] |= weir_exchange(word, 0, relaxed);
        taken = true;
    }
    if (taken)
        weir_fence(
            seq_cst); /* bits are taken before tails are looked at: pairs with flush's fence */
    return side->backlog[plane];
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* One look at one sender's ring: what is ready now, within the budget. */
static uint32_t drain_sender(struct weir_mesh *mesh, int plane, uint32_t to, uint32_t from,
                             uint32_t budget, weir_mesh_run_fn fn, void *context)
{
    struct side *side = &mesh->sides[to];
    struct weir_ring *ring = in_ring(mesh, plane, from, to);
    uint32_t ready = ring != NULL ? weir_ring_ready(ring) : 0;
    uint32_t count = smaller(ready, budget);
    uint32_t taken = 0;
    for (bool all = true; all && taken < count;) {
        void *first;
        uint32_t run = smaller(weir_ring_peek_many(ring, &first), smaller(count - taken, WEIR_MESH_RUN_MAX));
        uint32_t took = fn(context, from, first, run);
        weir_ring_release_many(ring, took);
        taken += took;
        all = took == run;
    }
    if (taken > 0)
        set_add(&side->released[plane], from);
    if (taken < count)
        set_add(&side->refused[plane], from);
    if (ready == 0) /* a fresh look: what was ready may be of an older one, from before the bit */
        set_remove(&side->backlog[plane], from);
    return taken;
}

static uint32_t drain_plane(struct weir_mesh *mesh, int plane, uint32_t to, uint32_t budget,
                            weir_mesh_run_fn fn, void *context)
{
    struct side *side = side_of(mesh, to);
    struct set senders = senders_to_read(mesh, side, plane, to);
    side->refused[plane] = (struct set){{0}};
    uint32_t first = set_next(&senders, side->next_sender[plane]);
    uint32_t taken = 0;
    /* Once round: from `first` to the highest, then from the lowest to `first`. */
    for (uint32_t from = first; from < WEIR_MESH_REACTORS_MAX && taken < budget;
         from = set_next(&senders, from + 1)) {
        taken += drain_sender(mesh, plane, to, from, budget - taken, fn, context);
        side->next_sender[plane] = from + 1;
    }
    for (uint32_t from = set_next(&senders, 0); from < first && taken < budget;
         from = set_next(&senders, from + 1)) {
        taken += drain_sender(mesh, plane, to, from, budget - taken, fn, context);
        side->next_sender[plane] = from + 1;
    }
    return taken;
}

struct one_by_one {
    weir_mesh_slot_fn fn;
    void *context;
};

static uint32_t take_one_by_one(void *context, uint32_t from, void *first, uint32_t count)
{
    const struct one_by_one *each = context;
    char *slot = first;
    uint32_t taken = 0;
    for (; taken < count && each->fn(each->context, from, slot); taken++)
        slot += WEIR_MESH_SLOT_BYTES;
    return taken;
}

uint32_t weir_mesh_drain_runs(struct weir_mesh *mesh, uint32_t to, uint32_t budget, weir_mesh_run_fn fn, void *context)
{
    uint32_t taken = drain_plane(mesh, SLOTS, to, budget, fn, context);
    return taken + drain_plane(mesh, POSTS, to, budget, fn, context);
}

uint32_t weir_mesh_drain(struct weir_mesh *mesh, uint32_t to, uint32_t budget, weir_mesh_slot_fn fn,
                         void *context)
{
    struct one_by_one each = {fn, context};
    return weir_mesh_drain_runs(mesh, to, budget, take_one_by_one, &each);
}

uint32_t weir_mesh_collect(struct weir_mesh *mesh, uint32_t owner, weir_mesh_buffer_fn fn,
                           void *context)
{
    struct side *side = side_of(mesh, owner);
    struct set senders = senders_to_read(mesh, side, HOME, owner);
    uint32_t taken = 0;
    SET_EACH(from, &senders) {
        struct weir_ring *ring = in_ring(mesh, HOME, from, owner);
        uint32_t ready = ring != NULL ? weir_ring_ready(ring) : 0;
        for (uint32_t i = 0; i < ready; i++) {
            void **cell = weir_ring_peek_sized(ring, sizeof *cell);
            weir_plain_read(cell, sizeof *cell);
            fn(context, from, *cell);
            weir_ring_release(ring);
        }
        if (ready > 0)
            set_add(&side->released[HOME], from);
        else /* a fresh look, as in drain_sender */
            set_remove(&side->backlog[HOME], from);
        taken += ready;
    }
    return taken;
}

uint32_t weir_mesh_depth(struct weir_mesh *mesh, uint32_t from, uint32_t to)
{
    WEIR_ASSERT(from < mesh->reactor_count && to < mesh->reactor_count);
    struct weir_ring *ring = find_ring(mesh, SLOTS, from, to);
    struct weir_ring *posts = find_ring(mesh, POSTS, from, to);
    return (ring != NULL ? weir_ring_depth(ring) : 0) + (posts != NULL ? weir_ring_depth(posts) : 0);
}

/* ---- Sleep and wake ------------------------------------------------------------------------------ */

/* The second look at what comes in. Whoever has something joins the backlog. */
static bool something_to_read(struct weir_mesh *mesh, struct side *side, int plane, uint32_t me)
{
    bool found = false;
    for (uint32_t from = 0; from < mesh->reactor_count; from++) {
        if (set_has(&side->refused[plane], from))
            continue;
        struct weir_ring *ring = in_ring(mesh, plane, from, me);
        if (ring == NULL || weir_ring_ready(ring) == 0)
            continue;
        set_add(&side->backlog[plane], from);
        found = true;
    }
    return found;
}

/* The second look at the credit asked for. Each want is told once. */
static bool credit_came(struct weir_mesh *mesh, struct side *side, int plane, uint32_t me)
{
    bool came = false;
    SET_EACH(to, &side->starved[plane]) {
        struct weir_ring *ring = side->out[plane][to];
        if (ring != NULL && weir_ring_room(ring) <= channel_of(mesh, plane, me, to)->room_wanted)
            continue;
        set_remove(&side->starved[plane], to);
        came = true;
    }
    return came;
}

bool weir_mesh_prepare_sleep(struct weir_mesh *mesh, uint32_t me)
{
    struct side *side = side_of(mesh, me);
    for (int plane = 0; plane < PLANES; plane++) {
        WEIR_ASSERT(set_empty(&side->dirty[plane]));
        WEIR_ASSERT(set_empty(&side->released[plane]));
    }
    weir_sleep_announce(&mesh->sleeps[me]);
    bool work = false;
    for (int plane = 0; plane < PLANES; plane++) {
        work |= something_to_read(mesh, side, plane, me);
        work |= credit_came(mesh, side, plane, me);
    }
    if (work)
        weir_mesh_awake(mesh, me);
    return !work;
}

void weir_mesh_awake(struct weir_mesh *mesh, uint32_t me)
{
    WEIR_ASSERT(me < mesh->reactor_count);
    weir_sleep_end(&mesh->sleeps[me]);
}

bool weir_mesh_wake_needed(struct weir_mesh *mesh, uint32_t to)
{
    WEIR_ASSERT(to < mesh->reactor_count);
    weir_sleep_fence();
    return weir_sleep_take(&mesh->sleeps[to]);
}

bool weir_mesh_any_asleep(struct weir_mesh *mesh)
{
    for (uint32_t i = 0; i < mesh->reactor_count; i++)
        if (weir_sleep_announced(&mesh->sleeps[i]))
            return true;
    return false;
}
