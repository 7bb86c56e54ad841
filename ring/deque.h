/*
 * ring/deque.h - fixed-size Chase-Lev deque: one owner pushes and pops, any thread steals.
 *
 * After Le, Pop, Cohen and Zappa Nardelli, "Correct and Efficient Work-Stealing for Weak Memory Models"
 * (PPoPP 2013), without growth: growing is where the published bugs live (CVE-2021-32810). A cell holds one
 * pointer. Full is an answer, not an error.
 *
 *     owner                                          thief
 *     push: full? top.load(acquire)        <-------  (S)
 *           cell[bottom] = item                      t = top.load
 *           (B) bottom.store(+1, release)  ------->  fence(seq_cst) (F2)
 *     pop:  (D) bottom.store(-1, release)  ------->  b = bottom.load(acquire)  pairs with (B), (D)
 *           fence(seq_cst) (F1)                      item = cell[t]
 *           t = top.load                             (S) top: t -> t + 1 by compare-and-swap(release)
 *           last one: top: t -> t + 1 likewise
 *
 * The owner takes from the bottom without asking while two or more are left; (F1) and (F2) see to it that
 * a thief which does not see the lowered bottom is seen by the owner through top. The last item is decided
 * by the swap of top alone. Where the paper has a release fence before the store of bottom, each store is a
 * release: it costs the same, and ThreadSanitizer sees it. Where it has seq_cst on the swaps, the fences do
 * the work: the model finds nothing that a stronger swap would prevent.
 *
 * top and bottom are 64 bits wide and never wrap, so a thief that slept through a round fails its swap.
 *
 * Which calls may overlap:
 *                          push, pop   steal   count
 *     owner: push, pop     no          yes     yes
 *     anyone: steal        yes         yes     yes
 *
 * Proof: tests/ring/deque_model.c, tests/ring/deque_test.c.
 */
#ifndef WEIR_RING_DEQUE_H
#define WEIR_RING_DEQUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

enum { WEIR_DEQUE_CELLS_MIN = 2 };
#define WEIR_DEQUE_CELLS_MAX ((uint32_t)1 << 24)

struct weir_deque;

/* Bytes that weir_deque_init needs; 0 if the count is not a power of two from CELLS_MIN to CELLS_MAX. */
size_t weir_deque_bytes(uint32_t cell_count);

/*
 * Lay an empty deque out in `memory`: 128-byte aligned, the caller's, kept until the last thief stops.
 *
 * cell_count  power of two, WEIR_DEQUE_CELLS_MIN .. WEIR_DEQUE_CELLS_MAX
 * Returns     0, -EINVAL (out of range, or memory not aligned), -ENOMEM (memory_bytes too small)
 * Threads     before owner and thieves start
 */
int weir_deque_init(void *memory, size_t memory_bytes, uint32_t cell_count,
                    struct weir_deque **deque_out);

/* Owner. `item` is not NULL. What was written to it before is seen by who takes it. False: full. */
bool weir_deque_push(struct weir_deque *deque, void *item);

/* Owner. The newest item, or NULL: empty. */
void *weir_deque_pop(struct weir_deque *deque);

/* Anyone. The oldest item, or NULL: empty, or another was faster. */
void *weir_deque_steal(struct weir_deque *deque);

/* Anyone. Items on it, more or less: a hint. */
uint32_t weir_deque_count(struct weir_deque *deque);

#endif
