/*
 * ring/deque.h - fixed-size Chase-Lev deque: one owner pushes and pops, any thread steals.
 *
 * After Le, Pop, Cohen and Zappa Nardelli, "Correct and Efficient Work-Stealing for Weak Memory Models"
 * (PPoPP 2013), without growth: growing is where the published bugs live (CVE-2021-32810). A cell holds one
 * pointer. Full is an answer, not an error.
 */
#ifndef WEIR_RING_DEQUE_H
#define WEIR_RING_DEQUE_H

#include "base/atomic.h"

struct weir_deque;

size_t weir_deque_bytes(uint32_t cell_count);
int weir_deque_init(void *memory, size_t memory_bytes, uint32_t cell_count, struct weir_deque **deque_out);
bool weir_deque_push(struct weir_deque *deque, void *item); /* owner; false: full */
void *weir_deque_pop(struct weir_deque *deque);             /* owner; newest, or NULL */
void *weir_deque_steal(struct weir_deque *deque);           /* anyone; oldest, or NULL (empty or lost a race) */
uint32_t weir_deque_count(const struct weir_deque *deque);  /* anyone; a hint */

#endif
