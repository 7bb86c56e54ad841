/*
 * tests/wire/kafka/kafka_arena_test.c - memory of one request: where it comes from, and how much at most.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "wire/kafka/kafka_codec.h"

static void what_is_taken_is_zero_and_aligned(void **state)
{
    (void)state;
    struct weir_kafka_arena arena;
    uint8_t first[100];
    memset(first, 0xff, sizeof(first));
    weir_kafka_arena_init(&arena, first + 1, sizeof(first) - 1, 1 << 20);
    for (size_t count = 0; count < 200; count++) {
        uint8_t *taken = weir_kafka_arena_take(&arena, count);
        assert_non_null(taken);
        assert_int_equal((uintptr_t)taken % 8, 0);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(taken[i], 0);
        memset(taken, 0xff, count);
    }
    weir_kafka_arena_deinit(&arena);
}

static void the_first_block_is_the_callers(void **state)
{
    (void)state;
    struct weir_kafka_arena arena;
    uint64_t first[8];
    weir_kafka_arena_init(&arena, first, sizeof(first), 1 << 20);
    assert_ptr_equal(weir_kafka_arena_take(&arena, 60), first);
    assert_null(arena.blocks);
    uint8_t *second = weir_kafka_arena_take(&arena, 1);
    assert_non_null(arena.blocks);
    assert_true(second < (uint8_t *)first || second >= (uint8_t *)(first + 8));
    weir_kafka_arena_deinit(&arena);
    assert_null(arena.blocks);
}

static void more_than_the_bound_is_refused(void **state)
{
    (void)state;
    struct weir_kafka_arena arena;
    weir_kafka_arena_init(&arena, NULL, 0, 1000);
    assert_null(weir_kafka_arena_take(&arena, 1001));
    assert_null(weir_kafka_arena_take(&arena, SIZE_MAX));
    assert_null(weir_kafka_arena_take(&arena, SIZE_MAX - 3));
    assert_non_null(weir_kafka_arena_take(&arena, 1000));
    assert_null(weir_kafka_arena_take(&arena, 1));
    weir_kafka_arena_deinit(&arena);
    uint32_t taken = 0;
    weir_kafka_arena_init(&arena, NULL, 0, 1000);
    while (weir_kafka_arena_take(&arena, 1))
        taken++;
    assert_int_equal(taken, 125);
    weir_kafka_arena_deinit(&arena);
}

static void a_large_message_does_not_ask_often(void **state)
{
    (void)state;
    struct weir_kafka_arena arena;
    weir_kafka_arena_init(&arena, NULL, 0, 64 << 20);
    const struct weir_kafka_block *newest = NULL;
    uint32_t blocks = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        assert_non_null(weir_kafka_arena_take(&arena, 48));
        blocks += arena.blocks != newest;
        newest = arena.blocks;
    }
    assert_in_range(blocks, 2, 32);
    weir_kafka_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken_is_zero_and_aligned),
        cmocka_unit_test(the_first_block_is_the_callers),
        cmocka_unit_test(more_than_the_bound_is_refused),
        cmocka_unit_test(a_large_message_does_not_ask_often),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
