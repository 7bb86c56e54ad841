/*
 * tests/ring/deque_test.c - what the deque answers on one thread; then an owner and thieves.
 *
 * Orders and races are the model's business (deque_model.c).
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ring/deque.h"

static struct weir_deque *make(uint32_t cell_count)
{
    size_t bytes = weir_deque_bytes(cell_count);
    struct weir_deque *deque = NULL;
    void *memory = aligned_alloc(WEIR_LINE_PAIR_BYTES, bytes);
    assert_non_null(memory);
    assert_int_equal(weir_deque_init(memory, bytes, cell_count, &deque), 0);
    return deque;
}

static void a_shape_out_of_range_is_refused(void **state)
{
    (void)state;
    _Alignas(128) static char memory[4096];
    struct weir_deque *deque;
    assert_int_equal(weir_deque_bytes(0), 0);
    assert_int_equal(weir_deque_bytes(1), 0);
    assert_int_equal(weir_deque_bytes(12), 0);
    assert_int_equal(weir_deque_bytes(WEIR_DEQUE_CELLS_MAX * 2), 0);
    assert_int_equal(weir_deque_init(memory, sizeof memory, 12, &deque), -EINVAL);
    assert_int_equal(weir_deque_init(memory + 8, sizeof memory - 8, 8, &deque), -EINVAL);
    assert_int_equal(weir_deque_init(memory, weir_deque_bytes(8) - 1, 8, &deque), -ENOMEM);
}

static void push_on_a_full_deque_is_refused(void **state)
{
    (void)state;
    int items[5];
    struct weir_deque *deque = make(4);
    for (int i = 0; i < 4; i++)
        assert_true(weir_deque_push(deque, &items[i]));
    assert_false(weir_deque_push(deque, &items[4]));
    assert_int_equal(weir_deque_count(deque), 4);
    assert_ptr_equal(weir_deque_steal(deque), &items[0]);
    assert_true(weir_deque_push(deque, &items[4]));
    assert_false(weir_deque_push(deque, &items[0]));
    free(deque);
}

static void the_owner_takes_the_newest_and_thieves_the_oldest(void **state)
{
    (void)state;
    int items[4];
    struct weir_deque *deque = make(4);
    assert_null(weir_deque_pop(deque));
    assert_null(weir_deque_steal(deque));
    for (int i = 0; i < 4; i++)
        assert_true(weir_deque_push(deque, &items[i]));
    assert_ptr_equal(weir_deque_pop(deque), &items[3]);
    assert_ptr_equal(weir_deque_steal(deque), &items[0]);
    assert_ptr_equal(weir_deque_steal(deque), &items[1]);
    assert_int_equal(weir_deque_count(deque), 1);
    assert_ptr_equal(weir_deque_pop(deque), &items[2]);
    assert_null(weir_deque_pop(deque));
    assert_null(weir_deque_steal(deque));
    assert_int_equal(weir_deque_count(deque), 0);
    free(deque);
}

static void many_rounds_through_few_cells_lose_nothing(void **state)
{
    (void)state;
    static int items[1000];
    struct weir_deque *deque = make(2);
    for (int i = 0; i < 1000; i += 2) {
        assert_true(weir_deque_push(deque, &items[i]));
        assert_true(weir_deque_push(deque, &items[i + 1]));
        assert_ptr_equal(weir_deque_steal(deque), &items[i]);
        assert_ptr_equal(i % 4 ? weir_deque_steal(deque) : weir_deque_pop(deque), &items[i + 1]);
    }
    free(deque);
}

enum { ITEMS = 200000, THIEVES = 3 };

struct item {
    uint64_t written; /* plain: handed over by the deque alone */
    _Atomic uint32_t taken;
};

struct loot {
    struct weir_deque *deque;
    _Atomic uint32_t *taken_all;
    uint32_t bad;
};

static void take(struct item *item, struct loot *loot)
{
    if (item->written != (uint64_t)(uintptr_t)item)
        loot->bad++;
    atomic_fetch_add(&item->taken, 1);
    atomic_fetch_add(loot->taken_all, 1);
}

static void *thief(void *argument)
{
    struct loot *loot = argument;
    while (atomic_load(loot->taken_all) < ITEMS) {
        struct item *item = weir_deque_steal(loot->deque);
        if (item != NULL)
            take(item, loot);
        else
            sched_yield();
    }
    return NULL;
}

static void every_item_is_taken_once_by_owner_or_thief(void **state)
{
    (void)state;
    struct item *items = calloc(ITEMS, sizeof *items);
    _Atomic uint32_t taken_all = 0;
    struct weir_deque *deque = make(64);
    struct loot loot[THIEVES + 1];
    pthread_t threads[THIEVES];
    for (int i = 0; i <= THIEVES; i++)
        loot[i] = (struct loot){.deque = deque, .taken_all = &taken_all};
    for (int i = 0; i < THIEVES; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thief, &loot[i]), 0);
    struct loot *mine = &loot[THIEVES];
    struct item *item;
    for (uint32_t i = 0; i < ITEMS; i++) {
        items[i].written = (uint64_t)(uintptr_t)&items[i];
        while (!weir_deque_push(deque, &items[i]))
            if ((item = weir_deque_pop(deque)) != NULL)
                take(item, mine);
        if (i % 3 == 0 && (item = weir_deque_pop(deque)) != NULL)
            take(item, mine);
        if (i % 256 == 0)
            sched_yield();
    }
    while ((item = weir_deque_pop(deque)) != NULL)
        take(item, mine);
    for (int i = 0; i < THIEVES; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < ITEMS; i++)
        assert_int_equal(items[i].taken, 1);
    for (int i = 0; i <= THIEVES; i++)
        assert_int_equal(loot[i].bad, 0);
    free(items);
    free(deque);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shape_out_of_range_is_refused),
        cmocka_unit_test(push_on_a_full_deque_is_refused),
        cmocka_unit_test(the_owner_takes_the_newest_and_thieves_the_oldest),
        cmocka_unit_test(many_rounds_through_few_cells_lose_nothing),
        cmocka_unit_test(every_item_is_taken_once_by_owner_or_thief),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
