/* bench/ring/deque_bench.c - the steal deque: what it costs its owner, and what a thief pays for an uncontended steal. */
#include <stdlib.h>

#include "bench/shim.h"
#include "ring/deque.h"

enum { CELLS = 256 };

static struct weir_deque *deque_open(void)
{
    size_t bytes = (weir_deque_bytes(CELLS) + 127) / 128 * 128;
    void *memory = aligned_alloc(128, bytes);
    struct weir_deque *deque = NULL;
    if (memory == NULL || weir_deque_init(memory, bytes, CELLS, &deque) != 0)
        abort();
    return deque;
}

static void owner(struct shim_state *state, int64_t held)
{
    struct weir_deque *deque = deque_open();
    int item;
    for (int64_t i = 0; i < held; i++)
        if (!weir_deque_push(deque, &item))
            abort();
    while (shim_running(state))
        if (!weir_deque_push(deque, &item) || weir_deque_pop(deque) == NULL)
            abort();
    shim_items(state, 1);
    free(deque);
}
SHIM_BENCH("deque_push_pop/held", owner, 0, 64)

static void thief(struct shim_state *state, int64_t held)
{
    struct weir_deque *deque = deque_open();
    int item;
    for (int64_t i = 0; i < held; i++)
        if (!weir_deque_push(deque, &item))
            abort();
    while (shim_running(state))
        if (!weir_deque_push(deque, &item) || weir_deque_steal(deque) == NULL)
            abort();
    shim_items(state, 1);
    free(deque);
}
SHIM_BENCH("deque_push_steal/held", thief, 0, 64)
