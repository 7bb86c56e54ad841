/*
 * ring/deque.c - Chase-Lev deque over a fixed array of cells.
 *
 * top only grows, and only by a swap; bottom is the owner's. An item belongs to whoever moved the index
 * past it. Bound: cell_count items. The diagram of the hand-over is in the header; the proof is
 * tests/ring/deque_model.c.
 */
#include "ring/deque.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"

struct weir_deque {
    /* Set by init, then only read. */
    _Alignas(WEIR_LINE_PAIR_BYTES) uint64_t mask;

    /* The owner's own: top as last looked up. Old is safe: the deque only seems fuller. */
    _Alignas(WEIR_LINE_PAIR_BYTES) uint64_t top_seen;

    /* Written by the owner, read by thieves. */
    _Alignas(WEIR_LINE_PAIR_BYTES) weir_atomic_u64 bottom;

    /* Swapped by thieves, and by the owner for the last item. */
    _Alignas(WEIR_LINE_PAIR_BYTES) weir_atomic_u64 top;

    _Alignas(WEIR_LINE_PAIR_BYTES) weir_atomic_ptr cells[];
};

#ifndef WEIR_MODEL
_Static_assert(offsetof(struct weir_deque, top_seen) == 1 * WEIR_LINE_PAIR_BYTES, "owner's own");
_Static_assert(offsetof(struct weir_deque, bottom) == 2 * WEIR_LINE_PAIR_BYTES, "bottom is alone");
_Static_assert(offsetof(struct weir_deque, top) == 3 * WEIR_LINE_PAIR_BYTES, "top is alone");
_Static_assert(offsetof(struct weir_deque, cells) == 4 * WEIR_LINE_PAIR_BYTES, "cells follow");
#endif

size_t weir_deque_bytes(uint32_t cell_count)
{
    if (cell_count < WEIR_DEQUE_CELLS_MIN || cell_count > WEIR_DEQUE_CELLS_MAX ||
        (cell_count & (cell_count - 1)) != 0)
        return 0;
    size_t bytes = sizeof(struct weir_deque) + cell_count * sizeof(weir_atomic_ptr);
    return (bytes + WEIR_LINE_PAIR_BYTES - 1) & ~(size_t)(WEIR_LINE_PAIR_BYTES - 1);
}

int weir_deque_init(void *memory, size_t memory_bytes, uint32_t cell_count,
                    struct weir_deque **deque_out)
{
    size_t needed = weir_deque_bytes(cell_count);
    if (needed == 0 || (uintptr_t)memory % WEIR_LINE_PAIR_BYTES != 0)
        return -EINVAL;
    if (memory_bytes < needed)
        return -ENOMEM;
    struct weir_deque *deque = memory;
    memset(memory, 0, needed);
    deque->mask = cell_count - 1;
    *deque_out = deque;
    return 0;
}

bool weir_deque_push(struct weir_deque *deque, void *item)
{
    WEIR_ASSERT(item != NULL);
    uint64_t bottom = weir_load(&deque->bottom, relaxed); /* ours */
    if (bottom - deque->top_seen > deque->mask) {
        /* acquire: pairs with (S); the thief has read the cell that is written next. No model shows this
         * pair: without it a processor could do the thief's read after its swap (load buffering), and
         * take what is written here. */
        deque->top_seen = weir_load(&deque->top, acquire);
        if (bottom - deque->top_seen > deque->mask)
            return false;
    }
    weir_store(&deque->cells[bottom & deque->mask], item, relaxed); /* shown by (B) */
    /* (B) release: the cell and what it points at are written before the index that shows them. */
    weir_store(&deque->bottom, bottom + 1, release);
    return true;
}

/* The last item: whoever moves top past it has it. Either way bottom goes back above top. */
static void *pop_last(struct weir_deque *deque, uint64_t top, void *item)
{
    uint64_t expected = top;
    /* Relaxed: only who has it is decided; the cell was ours all along. */
    bool ours = weir_compare_exchange(&deque->top, &expected, top + 1, relaxed);
    /* Relaxed: empty now, so a thief that reads this takes nothing before the next (B). */
    weir_store(&deque->bottom, top + 1, relaxed);
    return ours ? item : NULL;
}

void *weir_deque_pop(struct weir_deque *deque)
{
    uint64_t bottom = weir_load(&deque->bottom, relaxed); /* ours */
    /* Relaxed: top never passes bottom and only grows, so equal means empty however old it is. */
    if (bottom == weir_load(&deque->top, relaxed))
        return NULL;
    bottom--;
    /* (D) release: a thief may learn of older items through this store instead of their (B). */
    weir_store(&deque->bottom, bottom, release);
    weir_fence(seq_cst); /* (F1) bottom is lowered before top is looked at */
    uint64_t top = weir_load(&deque->top, relaxed); /* ordered by (F1) */
    if (top > bottom) {
        weir_store(&deque->bottom, bottom + 1, relaxed); /* as in pop_last */
        return NULL;
    }
    void *item = weir_load(&deque->cells[bottom & deque->mask], relaxed); /* ours */
    return top == bottom ? pop_last(deque, top, item) : item;
}

void *weir_deque_steal(struct weir_deque *deque)
{
    uint64_t top = weir_load(&deque->top, relaxed); /* ordered by (F2) */
    weir_fence(seq_cst);                            /* (F2) top is looked at before bottom */
    /* acquire: pairs with (B) and (D); the cells below it are written. */
    uint64_t bottom = weir_load(&deque->bottom, acquire);
    if (top >= bottom)
        return NULL;
    /* Relaxed: shown by (B); if the owner has written it anew since, the swap fails. */
    void *item = weir_load(&deque->cells[top & deque->mask], relaxed);
    /* (S) release: the cell is read before push may see that it is free. */
    if (!weir_compare_exchange(&deque->top, &top, top + 1, release))
        return NULL;
    return item;
}

uint32_t weir_deque_count(struct weir_deque *deque)
{
    /* Relaxed: a hint. Top first, so that what is pushed meanwhile does not make it negative. */
    uint64_t top = weir_load(&deque->top, relaxed);
    uint64_t bottom = weir_load(&deque->bottom, relaxed);
    return bottom > top ? (uint32_t)(bottom - top) : 0;
}
