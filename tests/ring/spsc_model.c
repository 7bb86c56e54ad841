/*
 * tests/ring/spsc_model.c - every interleaving and stale read of a small ring near the wrap of its indices.
 *
 * The source is ring/spsc.h itself. Two slots, more items than slots, one by one and in bursts.
 */
#include "ring/spsc.c"

#include <stdio.h>
#include <stdlib.h>

enum { ITEMS = 3, BURST = 2 };

static _Alignas(128) unsigned char memory[2048];
static struct weir_ring *ring;

static void setup(void)
{
    explore_check(weir_ring_init(memory, sizeof memory, 2, 8, &ring) == 0,
                  "the ring can be laid out");
    weir_ring_start_at(ring, UINT32_MAX - 1);
    explore_name(&ring->tail, "tail");
    explore_name(&ring->head, "head");
}

/* Big enough that the head is shown every other slot. */
static void setup_steps(void)
{
    explore_check(weir_ring_init(memory, sizeof memory, 16, 8, &ring) == 0,
                  "the ring can be laid out");
    explore_name(&ring->tail, "tail");
    explore_name(&ring->head, "head");
}

static void consume_all(uint64_t items)
{
    for (uint64_t next = 0; next < items;) {
        uint64_t value;
        if (!weir_ring_pop_u64(ring, &value)) {
            explore_pause();
            continue;
        }
        explore_check(value == 100 + next, "items arrive once and in order");
        next++;
    }
    uint64_t more;
    explore_check(!weir_ring_pop_u64(ring, &more), "nothing arrives that was not sent");
}

static void one_by_one(uint32_t me)
{
    if (me == 1) {
        consume_all(ITEMS);
        return;
    }
    for (uint64_t next = 0; next < ITEMS;)
        if (weir_ring_push_u64(ring, 100 + next))
            next++;
        else
            explore_pause();
}

/* The producer fills what there is and publishes once; the consumer takes runs. */
static void in_bursts(uint32_t me)
{
    uint64_t next = 0;
    while (me == 0 && next < 2 * BURST) {
        uint64_t *slot;
        while (next < 2 * BURST && (slot = weir_ring_reserve(ring)) != NULL) {
            weir_plain_write(slot, 8);
            *slot = 100 + next++;
        }
        if (weir_ring_unpublished(ring))
            weir_ring_publish(ring);
        else
            explore_pause();
    }
    while (me == 1 && next < 2 * BURST) {
        void *first;
        uint32_t count = weir_ring_peek_many(ring, &first);
        for (uint32_t i = 0; i < count; i++) {
            weir_plain_read((uint64_t *)first + i, 8);
            explore_check(((uint64_t *)first)[i] == 100 + next++, "items arrive once and in order");
        }
        if (count > 0)
            weir_ring_release_many(ring, count);
        else
            explore_pause();
    }
}

/* The consumer gives back early, without having found the ring empty. */
static void given_back_early(uint32_t me)
{
    if (me == 0) {
        one_by_one(me);
        return;
    }
    for (uint64_t next = 0; next < ITEMS;) {
        uint64_t *slot = weir_ring_peek(ring);
        if (slot == NULL) {
            explore_pause();
            continue;
        }
        weir_plain_read(slot, 8);
        explore_check(*slot == 100 + next++, "items arrive once and in order");
        weir_ring_release(ring);
        weir_ring_release_all(ring);
    }
}

/* The producer waits until all room is back, which the consumer shows when it finds the ring empty. */
static void room_comes_back(uint32_t me)
{
    if (me == 1) {
        consume_all(1);
        return;
    }
    explore_check(weir_ring_push_u64(ring, 100), "there is room");
    while (weir_ring_room(ring) < 16)
        explore_pause();
}

static void nothing_is_left(void)
{
    explore_check(weir_ring_depth(ring) <= 1, "what was read is given back");
    explore_check(weir_ring_ready(ring) == 0, "nothing is left");
    explore_check(weir_ring_room(ring) == 2, "all room is back once the ring was found empty");
}

int main(void)
{
    const struct explore_model models[] = {
        {"spsc one by one", 2, setup, one_by_one, nothing_is_left, 0},
        {"spsc in bursts", 2, setup, in_bursts, nothing_is_left, 0},
        {"spsc given back early", 2, setup, given_back_early, nothing_is_left, 0},
        {"spsc room comes back", 2, setup_steps, room_comes_back, NULL, 0},
    };
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        if (!explore_run(&models[i]))
            return 1;
    return 0;
}
