/*
 * tests/ring/deque_model.c - the steal deque: nothing lost, nothing taken twice, whatever the order.
 *
 * The source is ring/deque.c itself. An owner that pushes and pops against one thief or two; every item
 * carries plain data, so that a hand-over which does not order it is a race.
 */
#include "ring/deque.c"

#include <stdio.h>
#include <stdlib.h>

enum { ITEMS_MAX = 4 };

static _Alignas(128) unsigned char memory[1024];
static struct weir_deque *deque;
static uint64_t items[ITEMS_MAX];
static uint32_t taken[ITEMS_MAX]; /* times; each counted by who took it, between two stops */

static void setup_cells(uint32_t cell_count)
{
    explore_check(weir_deque_init(memory, sizeof memory, cell_count, &deque) == 0,
                  "it is laid out");
    explore_name(&deque->top, "top");
    explore_name(&deque->bottom, "bottom");
    explore_name(&deque->cells[0], "cell 0");
    explore_name(&deque->cells[1], "cell 1");
    memset(items, 0, sizeof items);
    memset(taken, 0, sizeof taken);
}

static void setup(void)
{
    setup_cells(2);
}

static bool push(uint32_t item)
{
    if (!weir_deque_push(deque, &items[item]))
        return false;
    return true;
}

static void prepare(uint32_t item)
{
    weir_plain_write(&items[item], 8);
    items[item] = 100 + item;
}

static void take(uint64_t *item)
{
    if (item == NULL)
        return;
    weir_plain_read(item, 8);
    uint32_t index = (uint32_t)(item - items);
    explore_check(*item == 100 + index, "an item is what was pushed");
    explore_check(taken[index]++ == 0, "an item is taken once");
}

/* Whoever finds nothing leaves; what is left is taken at the end, by nobody in particular. */
static void nothing_is_lost(uint32_t pushed)
{
    for (uint64_t *item; (item = weir_deque_pop(deque)) != NULL;)
        taken[item - items]++;
    for (uint32_t i = 0; i < pushed; i++)
        explore_check(taken[i] == 1, "an item is lost, or taken twice");
}

/* The last item: the owner pops it while two thieves want it. */
static void last_item(uint32_t me)
{
    if (me == 0) {
        prepare(0);
        push(0);
        take(weir_deque_pop(deque));
        take(weir_deque_pop(deque));
    } else {
        take(weir_deque_steal(deque));
    }
}

static void one_was_pushed(void)
{
    nothing_is_lost(1);
}

/* Two items: the owner takes one without asking, which must not be the one a thief takes. */
static void two_items(uint32_t me)
{
    if (me == 0) {
        prepare(0);
        prepare(1);
        push(0);
        push(1);
        take(weir_deque_pop(deque));
        take(weir_deque_pop(deque));
    } else {
        take(weir_deque_steal(deque));
        take(weir_deque_steal(deque));
    }
}

/* As before, with two thieves that try once. */
static void two_thieves(uint32_t me)
{
    if (me == 0) {
        prepare(0);
        prepare(1);
        push(0);
        push(1);
        take(weir_deque_pop(deque));
    } else {
        take(weir_deque_steal(deque));
    }
}

static void two_were_pushed(void)
{
    nothing_is_lost(2);
}

/* Full: a push is refused until a thief has taken one; its cell is then used again. */
static void full(uint32_t me)
{
    if (me == 0) {
        for (uint32_t i = 0; i < 3; i++)
            prepare(i);
        push(0);
        push(1);
        while (!push(2))
            explore_pause();
        take(weir_deque_pop(deque));
    } else {
        uint64_t *item;
        while ((item = weir_deque_steal(deque)) == NULL)
            explore_pause();
        take(item);
        take(weir_deque_steal(deque));
    }
}

static void three_were_pushed(void)
{
    nothing_is_lost(3);
}

/* Push, pop, push again: a thief may learn of the first item through the pop's store of bottom. */
static void push_pop_push(uint32_t me)
{
    if (me == 0) {
        prepare(0);
        prepare(1);
        prepare(2);
        push(0);
        push(1);
        take(weir_deque_pop(deque));
        push(2);
    } else {
        take(weir_deque_steal(deque));
        take(weir_deque_steal(deque));
    }
}

int main(void)
{
    const struct explore_model models[] = {
        {"deque: the last item, two thieves", 3, setup, last_item, one_was_pushed, 0},
        {"deque: two items, one thief", 2, setup, two_items, two_were_pushed, 0},
        {"deque: two items, two thieves", 3, setup, two_thieves, two_were_pushed, 0},
        {"deque: full", 2, setup, full, three_were_pushed, 0},
        {"deque: push, pop, push", 2, setup, push_pop_push, three_were_pushed, 0},
    };
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        if (!explore_run(&models[i]))
            return 1;
    return 0;
}
