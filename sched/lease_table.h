/*
 * sched/lease_table.h - one reactor's leases by key, on the pools that all reactors share.
 *
 * A small cache in windows of eight: the hashes of a window are one cache line. A key that is not here
 * is looked up in the pool table (sched/pool_table.h) and its entry held; WEIR_LEASE_NS to twice that
 * after the last loan the rest is given back and the entry let go. So a hot key costs its own lease
 * and nothing shared, and a key that nobody uses costs nothing at all. Where the window is full the
 * key that is due first goes; the limit does not notice.
 *
 * One reactor's. All keys of a table have one limit.
 */
#ifndef WEIR_SCHED_LEASE_TABLE_H
#define WEIR_SCHED_LEASE_TABLE_H

#include "base/list.h"
#include "sched/pool_table.h"

enum { WEIR_LEASE_TABLE_WINDOW = 8 };

struct weir_lease_slot {
    struct weir_lease lease;
    struct weir_lease_pool *pool;
    struct weir_pool_entry *entry; /* held; NULL: the overflow pool's slot */
    struct weir_list node;         /* on the table's `due` while it may have to be given back */
    uint64_t due_ns;               /* look then */
};

struct weir_lease_table {
    const struct weir_lease_terms *terms;
    struct weir_pool_table *pools;
    uint64_t *hashes; /* 0: the slot is empty */
    struct weir_lease_slot *slots;
    uint64_t window_mask;
    uint32_t reactor_index;
    struct weir_list due; /* slots, those that were looked at longest ago first */
    struct weir_lease_slot overflow;
    uint64_t overflowed; /* look-ups that got the overflow slot */
};

/* slot_count: a power of two, at least the window. terms and pools: kept until deinit. -EINVAL,
 * -ENOMEM. */
int weir_lease_table_init(struct weir_lease_table *table, const struct weir_lease_terms *terms,
                          struct weir_pool_table *pools, uint32_t reactor_index,
                          uint32_t slot_count);
/* Gives everything back. */
void weir_lease_table_deinit(struct weir_lease_table *table);
/* The slot of a key; never NULL. Valid until the next find or tick. `now_ns` does not go back. */
struct weir_lease_slot *weir_lease_table_find(struct weir_lease_table *table, uint64_t hash,
                                              uint64_t now_ns);
/* Give back what is due; `idle`: what is not due yet, too. At most `slots_max` are looked at. Returns
 * when to call again, UINT64_MAX: there is nothing to give back. */
uint64_t weir_lease_table_tick(struct weir_lease_table *table, uint64_t now_ns, bool idle,
                               uint32_t slots_max);

#endif
