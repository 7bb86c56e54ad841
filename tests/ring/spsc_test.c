/*
 * tests/ring/spsc_test.c - the ring's promises, one at a time, and two threads for the rest.
 *
 * Orders and races are the model's business (spsc_model.c); here are shapes, bounds, wrap-around and what
 * each call answers.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ring/spsc.h"

static struct weir_ring *make(uint32_t slot_count, uint32_t slot_bytes)
{
    size_t bytes = weir_ring_bytes(slot_count, slot_bytes);
    struct weir_ring *ring = NULL;
    void *memory = aligned_alloc(WEIR_LINE_PAIR_BYTES, (bytes + 127) / 128 * 128);
    assert_non_null(memory);
    assert_int_equal(weir_ring_init(memory, bytes, slot_count, slot_bytes, &ring), 0);
    return ring;
}

static void a_shape_out_of_range_is_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t slot_count;
        uint32_t slot_bytes;
    } bad[] = {{0, 8}, {1, 8},  {3, 8},  {1000, 8},           {0x80000001u, 8}, {8, 0},
               {8, 4}, {8, 12}, {8, 48}, {8, (1 << 20) * 2u}, {8, 0x80000000u}};
    _Alignas(128) static char memory[4096];
    struct weir_ring *ring;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(weir_ring_bytes(bad[i].slot_count, bad[i].slot_bytes), 0);
        assert_int_equal(
            weir_ring_init(memory, sizeof memory, bad[i].slot_count, bad[i].slot_bytes, &ring),
            -EINVAL);
    }
}

static void memory_too_small_or_not_aligned_is_refused(void **state)
{
    (void)state;
    _Alignas(128) static char memory[4096];
    struct weir_ring *ring;
    size_t needed = weir_ring_bytes(4, 16);
    assert_true(needed > 0 && needed + 64 <= sizeof memory);
    assert_int_equal(weir_ring_init(memory, needed - 1, 4, 16, &ring), -ENOMEM);
    assert_int_equal(weir_ring_init(memory + 64, needed, 4, 16, &ring), -EINVAL);
    assert_int_equal(weir_ring_init(memory, needed, 4, 16, &ring), 0);
}

static void push_on_a_full_ring_is_refused(void **state)
{
    (void)state;
    struct weir_ring *ring = make(4, 8);
    for (uint64_t i = 0; i < 4; i++)
        assert_true(weir_ring_push_u64(ring, i));
    assert_false(weir_ring_push_u64(ring, 4));
    assert_null(weir_ring_reserve(ring));
    assert_int_equal(weir_ring_room(ring), 0);
    uint64_t value;
    assert_true(weir_ring_pop_u64(ring, &value));
    assert_int_equal(value, 0);
    free(ring);
}

static void pop_on_an_empty_ring_is_refused(void **state)
{
    (void)state;
    struct weir_ring *ring = make(4, 8);
    uint64_t value = 77;
    assert_false(weir_ring_pop_u64(ring, &value));
    assert_null(weir_ring_peek(ring));
    void *first;
    assert_int_equal(weir_ring_peek_many(ring, &first), 0);
    assert_int_equal(value, 77);
    free(ring);
}

static void reserved_slots_are_not_seen_before_publish(void **state)
{
    (void)state;
    struct weir_ring *ring = make(8, 64);
    for (int i = 0; i < 3; i++)
        memset(weir_ring_reserve(ring), 'a' + i, 64);
    assert_true(weir_ring_unpublished(ring));
    assert_null(weir_ring_peek(ring));
    assert_int_equal(weir_ring_depth(ring), 0);
    weir_ring_publish(ring);
    assert_false(weir_ring_unpublished(ring));
    assert_int_equal(weir_ring_depth(ring), 3);
    for (int i = 0; i < 3; i++) {
        char *slot = weir_ring_peek(ring);
        assert_non_null(slot);
        assert_int_equal(slot[0], 'a' + i);
        assert_int_equal(slot[63], 'a' + i);
        weir_ring_release(ring);
    }
    assert_null(weir_ring_peek(ring));
    free(ring);
}

static void kept_slots_are_left_alone(void **state)
{
    (void)state;
    struct weir_ring *ring = make(8, 8);
    for (int i = 0; i < 5; i++)
        assert_non_null(weir_ring_reserve_sized(ring, 8, 3));
    assert_null(weir_ring_reserve_sized(ring, 8, 3));
    for (int i = 0; i < 3; i++)
        assert_non_null(weir_ring_reserve_sized(ring, 8, 0));
    assert_null(weir_ring_reserve_sized(ring, 8, 0));
    free(ring);
}

static void head_is_shown_in_steps_and_when_found_empty(void **state)
{
    (void)state;
    struct weir_ring *ring = make(64, 8); /* steps of 8 */
    for (uint64_t i = 0; i < 64; i++)
        assert_true(weir_ring_push_u64(ring, i));
    uint64_t value;
    for (int i = 0; i < 8; i++)
        assert_true(weir_ring_pop_u64(ring, &value));
    assert_int_equal(weir_ring_room(ring), 0);
    assert_true(weir_ring_pop_u64(ring, &value));
    assert_int_equal(weir_ring_room(ring), 8);
    weir_ring_release_all(ring);
    assert_int_equal(weir_ring_room(ring), 9);
    for (int i = 9; i < 61; i++)
        assert_true(weir_ring_pop_u64(ring, &value));
    assert_true(weir_ring_room(ring) < 61);
    while (weir_ring_pop_u64(ring, &value))
        ;
    assert_int_equal(weir_ring_room(ring), 64);
    free(ring);
}

static void peek_many_ends_at_the_end_of_the_ring(void **state)
{
    (void)state;
    struct weir_ring *ring = make(8, 8);
    uint64_t value;
    for (uint64_t i = 0; i < 6; i++)
        assert_true(weir_ring_push_u64(ring, i));
    for (int i = 0; i < 6; i++)
        assert_true(weir_ring_pop_u64(ring, &value));
    assert_false(weir_ring_pop_u64(ring, &value));
    for (uint64_t i = 0; i < 5; i++)
        assert_true(weir_ring_push_u64(ring, 100 + i));
    void *first;
    assert_int_equal(weir_ring_peek_many(ring, &first), 2);
    assert_int_equal(((uint64_t *)first)[1], 101);
    weir_ring_release_many(ring, 2);
    assert_int_equal(weir_ring_peek_many(ring, &first), 3);
    assert_int_equal(((uint64_t *)first)[0], 102);
    assert_int_equal(((uint64_t *)first)[2], 104);
    weir_ring_release_many(ring, 3);
    assert_int_equal(weir_ring_peek_many(ring, &first), 0);
    free(ring);
}

static void indices_wrap_without_losing_a_slot(void **state)
{
    (void)state;
    struct weir_ring *ring = make(8, 8);
    weir_ring_start_at(ring, UINT32_MAX - 5);
    uint64_t pushed = 0, popped = 0, value;
    for (int round = 0; round < 10; round++) {
        while (weir_ring_push_u64(ring, pushed))
            pushed++;
        assert_int_equal(pushed - popped, 8);
        while (weir_ring_pop_u64(ring, &value))
            assert_int_equal(value, popped++);
        assert_int_equal(pushed, popped);
    }
    free(ring);
}

/* Two threads: every value once, in order, for a mix of single slots and bursts. */
enum { VALUES = 400000 };

static void *produce(void *argument)
{
    struct weir_ring *ring = argument;
    uint64_t next = 0;
    while (next < VALUES) {
        uint32_t burst = 1 + (uint32_t)(next % 7);
        uint64_t *slot;
        while (burst-- > 0 && next < VALUES && (slot = weir_ring_reserve(ring)) != NULL)
            *slot = next++;
        weir_ring_publish(ring);
        if (weir_ring_room(ring) == 0)
            sched_yield();
    }
    return NULL;
}

static void two_threads_lose_nothing_and_keep_order(void **state)
{
    (void)state;
    for (uint32_t slot_bytes = 8; slot_bytes <= 64; slot_bytes *= 8) {
        struct weir_ring *ring = make(16, slot_bytes);
        pthread_t producer;
        assert_int_equal(pthread_create(&producer, NULL, produce, ring), 0);
        uint64_t next = 0;
        while (next < VALUES) {
            uint64_t *slot = weir_ring_peek(ring);
            if (slot == NULL) {
                sched_yield();
                continue;
            }
            assert_int_equal(*slot, next++);
            weir_ring_release(ring);
        }
        assert_null(weir_ring_peek(ring));
        pthread_join(producer, NULL);
        free(ring);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shape_out_of_range_is_refused),
        cmocka_unit_test(memory_too_small_or_not_aligned_is_refused),
        cmocka_unit_test(push_on_a_full_ring_is_refused),
        cmocka_unit_test(pop_on_an_empty_ring_is_refused),
        cmocka_unit_test(reserved_slots_are_not_seen_before_publish),
        cmocka_unit_test(kept_slots_are_left_alone),
        cmocka_unit_test(head_is_shown_in_steps_and_when_found_empty),
        cmocka_unit_test(peek_many_ends_at_the_end_of_the_ring),
        cmocka_unit_test(indices_wrap_without_losing_a_slot),
        cmocka_unit_test(two_threads_lose_nothing_and_keep_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
