/*
 * sched/pool_table.h - lease pools found by key (an address, a topic): one table for all reactors.
 *
 * Open addressing in windows of eight entries of 16 bytes: a key lives in the window that its hash
 * names, anywhere in it. A reactor looks a key up once and *holds* its entry; while it does, the
 * entry stays the key's, and its pool is borrowed from as in sched/lease.h. A pool that is full
 * again says nothing, so an entry that nobody holds and whose pool is full may be taken over for
 * another key; it has to have been full for WEIR_POOL_TABLE_REST_NS, so that a reactor whose clock was
 * read so much earlier would find it full too. A window without such an entry is full: keys that come
 * then share one overflow pool, limited together, never unlimited.
 *
 * An entry is two words, its pool and this one: 48 bits of a key, and a state.
 *
 *     state          changed by                        into
 *     free           who wants an entry                claimed, by it, for its key
 *     held by n      who looks the key up              held by n + 1
 *                    a holder, when it lets go    (R)  held by n - 1
 *     held by 0      who wants an entry           (A)  closed, by it; now its pool is looked at
 *     closed by B    B: the pool is full               claimed by B, for its own key
 *                    B: it is not                      held by 0
 *                    who looks the old key up          held by 1: B has lost
 *     claimed by B   B: nobody else has the key        held by 1
 *                    B: somebody has                   free
 *                    who claims the same key           free: B has lost
 *
 * Only holders touch a pool. Each change is a compare-and-swap of the whole word, and "closed by B"
 * and "claimed by B" are written by B alone, once in each attempt; so where B finds its own mark, it
 * stood there all the while. Hence
 *
 * 1. No token is charged to another key: an entry changes keys only by way of held by 0.
 * 2. No debt is forgotten: from closed by B to claimed by B nobody holds the entry, so the pool that
 *    B found full in between is full. (A) acquires what every holder did before its (R).
 * 3. A key has one entry. Who claims fences and then looks at the whole window; of two who claim one
 *    key, whichever fence comes second in the one order of such fences, that one's owner sees the
 *    other's claim, or what became of it. It withdraws, or makes the other lose.
 *
 * Nobody waits: a lookup that loses WEIR_POOL_TABLE_TRIES times uses the overflow pool, that once.
 * Two keys whose hashes meet in the bits that are kept share a pool.
 */
#ifndef WEIR_SCHED_POOL_TABLE_H
#define WEIR_SCHED_POOL_TABLE_H

#include "sched/lease.h"

#ifndef WEIR_POOL_TABLE_WINDOW
#define WEIR_POOL_TABLE_WINDOW 8 /* two cache lines */
#define WEIR_POOL_TABLE_TRIES 4
#endif /* the model has less of both */

/* Longer than a turn takes, and than reactors' clocks differ. */
#define WEIR_POOL_TABLE_REST_NS ((uint64_t)100 * 1000 * 1000)

enum { WEIR_POOL_TABLE_REACTORS_MAX = 1 << 14 };

struct weir_pool_entry {
    weir_atomic_u64 word;        /* anyone, as above */
    struct weir_lease_pool pool; /* who holds the entry */
};

/* Shared. Fields after init: read only, but for what is atomic in them. */
struct weir_pool_table {
    _Alignas(WEIR_LINE_PAIR_BYTES) struct weir_lease_pool overflow;
    _Alignas(WEIR_LINE_PAIR_BYTES) struct weir_pool_entry *entries;
    uint64_t window_mask;
};

/* entry_count: a power of two, at least the window. Before any other thread. -EINVAL, -ENOMEM. */
int weir_pool_table_init(struct weir_pool_table *table, uint32_t entry_count);
void weir_pool_table_deinit(struct weir_pool_table *table);
/*
 * Hold the entry of a key, any reactor's thread; each hold needs one weir_pool_table_let_go.
 *
 * reactor_index  the caller's, below WEIR_POOL_TABLE_REACTORS_MAX: no two calls with one index at once
 * NULL           there is no room: use `overflow`, and ask again next time
 */
struct weir_pool_entry *weir_pool_table_hold(struct weir_pool_table *table,
                                             const struct weir_bucket_rate *rate,
                                             uint32_t reactor_index, uint64_t hash, uint64_t now_ns);
/* Nothing is borrowed from its pool any more. */
void weir_pool_table_let_go(struct weir_pool_entry *entry);

#endif
