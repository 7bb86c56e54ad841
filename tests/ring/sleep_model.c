/*
 * tests/ring/sleep_model.c - no wake-up is lost: the bare protocol, and the mesh that stands on it.
 *
 * The sources are ring/sleep.h and ring/mesh.c themselves. A reactor parks on a place of the explorer; a
 * run in which somebody stays parked and nobody else can run is a failure. Reactor 0 sends to reactor 1
 * through rings of two slots.
 */
#include <stdlib.h>
#include <string.h>

/* The mesh allocates from an arena that each run begins anew. */
static _Alignas(128) unsigned char arena[64 * 1024];
static size_t arena_used;

static void *arena_take(size_t bytes)
{
    size_t at = arena_used;
    arena_used += (bytes + 127) & ~(size_t)127;
    if (arena_used > sizeof arena)
        abort();
    return memset(arena + at, 0, bytes);
}

#define aligned_alloc(alignment, bytes) arena_take(bytes)
#define calloc(count, bytes) arena_take((count) * (bytes))
#define free(memory) ((void)(memory))

#include "ring/mesh.c"
#include "ring/spsc.c"

#include <stdio.h>

/* ---- The bare protocol --------------------------------------------------------------------------- */

static struct weir_sleep bare;
static weir_atomic_u32 works[2];
static uint64_t cargo[2];

static void setup_bare(void)
{
    memset(&bare, 0, sizeof bare);
    memset(works, 0, sizeof works);
    memset(cargo, 0, sizeof cargo);
    explore_name(&bare.asleep, "asleep");
    explore_name(&works[0], "work 0");
    explore_name(&works[1], "work 1");
}

static void wait_for_works(uint32_t count)
{
    for (;;) {
        uint32_t seen = 0;
        for (uint32_t i = 0; i < count; i++)
            seen += weir_load(&works[i], acquire);
        if (seen == count)
            return;
        weir_sleep_announce(&bare);
        uint32_t again = 0;
        for (uint32_t i = 0; i < count; i++)
            again += weir_load(&works[i], acquire);
        if (again == seen)
            explore_park();
        weir_sleep_end(&bare);
    }
}

static void do_work(uint32_t signaller)
{
    weir_plain_write(&cargo[signaller], 8);
    weir_store(&works[signaller], 1, release);
    weir_sleep_fence();
    if (weir_sleep_take(&bare))
        explore_wake(0);
}

static void one_signaller(uint32_t me)
{
    if (me == 1) {
        do_work(0);
        return;
    }
    wait_for_works(1);
    weir_plain_read(&cargo[0], 8);
}

static void two_signallers(uint32_t me)
{
    if (me > 0) {
        do_work(me - 1);
        return;
    }
    wait_for_works(2);
    weir_plain_read(&cargo[0], 8);
    weir_plain_read(&cargo[1], 8);
}

/* ---- The mesh ------------------------------------------------------------------------------------ */

enum { SCAN = 2, BITS = 0 };

static struct weir_mesh *mesh;
static uint32_t got;
static weir_atomic_u32 foreign_work;

static bool send_as(uint32_t from, uint32_t value)
{
    uint64_t *slot = weir_mesh_reserve(mesh, from, 1, WEIR_LANE_REPLY);
    if (slot == NULL)
        return false;
    weir_plain_write(slot, 8);
    *slot = value;
    return true;
}

static bool send_one(uint32_t value)
{
    return send_as(0, value);
}

static void wake(void *context, uint32_t reactor)
{
    (void)context;
    explore_wake(reactor);
}

static bool on_slot(void *context, uint32_t from, void *slot)
{
    (void)context;
    weir_plain_read(slot, 8);
    explore_check(from == 0 && *(uint64_t *)slot == got, "slots arrive once and in order");
    got++;
    return true;
}

static bool on_slot_of_any(void *context, uint32_t from, void *slot)
{
    (void)context;
    weir_plain_read(slot, 8);
    explore_check(*(uint64_t *)slot == from, "a slot is its sender's");
    got++;
    return true;
}

static void on_buffer(void *context, uint32_t from, void *buffer)
{
    (void)context;
    explore_check(from == 0 && buffer == &cargo[got % 2], "buffers come home once and in order");
    weir_plain_read(buffer, 8);
    got++;
}

static void name_channels(void)
{
    explore_name(&mesh->sleeps[0].asleep, "0 asleep");
    explore_name(&mesh->sleeps[1].asleep, "1 asleep");
    explore_name(&channel_of(mesh, SLOTS, 0, 1)->ring, "0->1 ring");
    explore_name(&channel_of(mesh, SLOTS, 0, 1)->wanted, "0->1 wanted");
    explore_name(&channel_of(mesh, HOME, 0, 1)->ring, "0->1 home");
    explore_name(&channel_of(mesh, HOME, 0, 1)->wanted, "0->1 home wanted");
    explore_name(&mesh->pending[1].word[SLOTS][0], "1 pending slots");
    explore_name(&mesh->pending[1].word[HOME][0], "1 pending home");
    for (int plane = 0; plane < PLANES; plane++) {
        struct weir_ring *ring = mesh->sides[0].out[plane][1];
        if (ring == NULL)
            continue;
        explore_name(&ring->tail, plane == SLOTS ? "0->1 tail" : "0->1 home tail");
        explore_name(&ring->head, plane == SLOTS ? "0->1 head" : "0->1 home head");
    }
}

static void open_mesh(uint32_t reactor_count, uint32_t scan_max)
{
    arena_used = 0;
    got = 0;
    memset(&foreign_work, 0, sizeof foreign_work);
    explore_check(weir_mesh_open_shaped(reactor_count, 2, scan_max, &mesh) == 0, "the mesh opens");
}

static void setup_mesh(uint32_t scan_max, bool opened)
{
    open_mesh(2, scan_max);
    if (opened) {
        out_ring(mesh, SLOTS, 0, 1);
        out_ring(mesh, HOME, 0, 1);
    }
    name_channels();
}

static void setup_first_use(void)
{
    setup_mesh(SCAN, false);
}

static void setup_scan(void)
{
    setup_mesh(SCAN, true);
}

static void setup_bits(void)
{
    setup_mesh(BITS, true);
}

static void setup_three(void)
{
    open_mesh(3, BITS);
    out_ring(mesh, SLOTS, 0, 1);
    out_ring(mesh, SLOTS, 2, 1);
    name_channels();
}

/* The ring is full when the run begins. */
static void fill(void)
{
    explore_check(send_one(0) && send_one(1), "there is room for two");
    weir_mesh_flush(mesh, 0, wake, NULL);
}

static void setup_full(void)
{
    setup_mesh(SCAN, true);
    fill();
}

static void setup_full_bits(void)
{
    setup_mesh(BITS, true);
    fill();
}

static void sleep_if_idle(uint32_t me)
{
    if (weir_mesh_prepare_sleep(mesh, me))
        explore_park();
    weir_mesh_awake(mesh, me);
}

static void receive(uint32_t count)
{
    while (got < count) {
        uint32_t taken = weir_mesh_drain(mesh, 1, 8, on_slot, NULL);
        weir_mesh_flush(mesh, 1, wake, NULL);
        if (taken == 0)
            sleep_if_idle(1);
    }
}

static void send_from(uint32_t first, uint32_t end)
{
    for (uint32_t next = first; next < end;) {
        if (send_one(next)) {
            next++;
            weir_mesh_flush(mesh, 0, wake, NULL);
            continue;
        }
        weir_mesh_want_credit(mesh, 0, 1, WEIR_LANE_REPLY);
        sleep_if_idle(0);
    }
}

/* One slot, the ring not laid out before. */
static void first_use(uint32_t me)
{
    if (me == 0)
        send_from(0, 1);
    else
        receive(1);
}

/* Two flushes to a receiver that sleeps when idle. */
static void two_flushes(uint32_t me)
{
    if (me == 0)
        send_from(0, 2);
    else
        receive(2);
}

/* The receiver never sleeps: pending bits alone tell it where to look. */
static void never_asleep(uint32_t me)
{
    if (me == 0)
        send_from(0, 2);
    while (me == 1 && got < 2)
        if (weir_mesh_drain(mesh, 1, 8, on_slot, NULL) == 0)
            explore_pause();
}

/* As before, one slot a turn, so that new slots come behind a leftover. */
static void small_budget(uint32_t me)
{
    for (bool sent = false; me == 0 && !sent;) {
        sent = send_one(2);
        weir_mesh_flush(mesh, 0, wake, NULL);
        if (!sent)
            explore_pause();
    }
    while (me == 1 && got < 3) {
        uint32_t taken = weir_mesh_drain(mesh, 1, 1, on_slot, NULL);
        weir_mesh_flush(mesh, 1, wake, NULL);
        if (taken == 0)
            explore_pause();
    }
}

/* Two senders set their bits in one word. */
static void two_senders(uint32_t me)
{
    if (me != 1) {
        explore_check(send_as(me, me), "there is room");
        weir_mesh_flush(mesh, me, wake, NULL);
        return;
    }
    while (got < 2)
        if (weir_mesh_drain(mesh, 1, 8, on_slot_of_any, NULL) == 0)
            explore_pause();
}

/* Somebody else asks how deep a ring is while its sender lays it out. */
static void depth_asked(uint32_t me)
{
    if (me == 0)
        send_from(0, 1);
    else
        explore_check(weir_mesh_depth(mesh, 0, 1) <= 1, "no deeper than what was sent");
}

/* One slot more than there is room for: the sender sleeps for credit, the receiver for slots. */
static void starved(uint32_t me)
{
    if (me == 0)
        send_from(2, 3);
    else
        receive(3);
}

/* The same from an empty ring: twice as long. */
static void starved_from_empty(uint32_t me)
{
    if (me == 0)
        send_from(0, 3);
    else
        receive(3);
}

/* Buffers go home to an owner that sleeps when idle. */
static void buffers_home(uint32_t me)
{
    for (uint32_t sent = 0; me == 0 && sent < 2; sent++) {
        weir_plain_write(&cargo[sent], 8);
        explore_check(weir_mesh_return(mesh, 0, 1, &cargo[sent]), "there is room");
        weir_mesh_flush(mesh, 0, wake, NULL);
    }
    while (me == 1 && got < 2) {
        uint32_t taken = weir_mesh_collect(mesh, 1, on_buffer, NULL);
        weir_mesh_flush(mesh, 1, wake, NULL);
        if (taken == 0)
            sleep_if_idle(1);
    }
}

/* One buffer more than there is room for. */
static void no_room_home(uint32_t me)
{
    for (uint32_t sent = 0; me == 0 && sent < 5;) {
        if (weir_mesh_return(mesh, 0, 1, &cargo[sent % 2])) {
            sent++;
            continue;
        }
        weir_mesh_flush(mesh, 0, wake, NULL);
        sleep_if_idle(0);
    }
    if (me == 0)
        weir_mesh_flush(mesh, 0, wake, NULL);
    while (me == 1 && got < 5) {
        uint32_t taken = weir_mesh_collect(mesh, 1, on_buffer, NULL);
        weir_mesh_flush(mesh, 1, wake, NULL);
        if (taken == 0)
            explore_pause();
    }
}

/* A signaller beside the mesh, which the sleeper looks at after its announcement. */
static void foreign_signaller(uint32_t me)
{
    if (me == 0) {
        weir_plain_write(&cargo[0], 8);
        weir_store(&foreign_work, 1, release);
        if (weir_mesh_wake_needed(mesh, 1))
            explore_wake(1);
        return;
    }
    while (weir_load(&foreign_work, acquire) == 0) {
        if (weir_mesh_prepare_sleep(mesh, 1) && weir_load(&foreign_work, acquire) == 0)
            explore_park();
        weir_mesh_awake(mesh, 1);
    }
    weir_plain_read(&cargo[0], 8);
}

static void nobody_counts_as_asleep(void)
{
    explore_check(!weir_mesh_any_asleep(mesh), "nobody is announced at the end");
}

int main(void)
{
    const struct explore_model models[] = {
        {"sleep: one signaller", 2, setup_bare, one_signaller, NULL, 0},
        {"sleep: two signallers", 3, setup_bare, two_signallers, NULL, 0},
        {"mesh: first use of a ring", 2, setup_first_use, first_use, nobody_counts_as_asleep, 0},
        {"mesh: two flushes, every tail", 2, setup_scan, two_flushes, nobody_counts_as_asleep, 0},
        {"mesh: two flushes, pending bits", 2, setup_bits, two_flushes, nobody_counts_as_asleep, 0},
        {"mesh: pending bits, never asleep", 2, setup_bits, never_asleep, nobody_counts_as_asleep,
         0},
        {"mesh: pending bits, small budget", 2, setup_full_bits, small_budget,
         nobody_counts_as_asleep, 0},
        {"mesh: pending bits, two senders", 3, setup_three, two_senders, nobody_counts_as_asleep, 0},
        {"mesh: depth asked", 2, setup_first_use, depth_asked, nobody_counts_as_asleep, 0},
        {"mesh: starved of credit", 2, setup_full, starved, nobody_counts_as_asleep, 0},
        {"mesh: starved, from empty", 2, setup_scan, starved_from_empty, nobody_counts_as_asleep, 3},
        {"mesh: buffers home, every tail", 2, setup_scan, buffers_home, nobody_counts_as_asleep, 0},
        {"mesh: buffers home, pending bits", 2, setup_bits, buffers_home, nobody_counts_as_asleep,
         0},
        {"mesh: no room home", 2, setup_scan, no_room_home, nobody_counts_as_asleep, 0},
        {"mesh: a signaller beside it", 2, setup_scan, foreign_signaller, nobody_counts_as_asleep,
         0},
    };
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        if (!explore_run(&models[i]))
            return 1;
    return 0;
}
