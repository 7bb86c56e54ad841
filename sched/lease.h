/*
 * sched/lease.h - one limit over many reactors, without a shared hot word.
 *
 * The limit is one bucket in an atomic word: the pool. A reactor borrows a chunk of tokens with one
 * compare-exchange and spends it from its own memory; what it has not spent after WEIR_LEASE_NS, or
 * when it goes idle, it gives back. A refusal is remembered for a while too, so a storm of refused
 * takes does not touch the pool either.
 *
 *     pool (shared)          lease (one reactor's)
 *     tat --- borrow Q ----> left_tokens --- take ---> spent
 *      ^                         |
 *      +------ give back --------+
 *
 * Error bound: a borrowed token is charged to the pool when it is borrowed and may be spent later.
 * At most Q = chunk_tokens lie in each lease, so over any span of d
 *
 *     admitted on all reactors <= burst + rate * d + reactors * Q
 *     Q = clamp(rate * 1 ms, 1, burst / (4 * reactors))
 *
 * which is at most a quarter of the burst too many. What one reactor holds another cannot have: until
 * it is given back, up to (reactors - 1) * Q may seem to be missing. When the pool cannot give a chunk,
 * it gives just what is asked for; a burst too small for chunks (Q = 0) is asked of the pool each time,
 * and exact. Each reactor uses its own clock reading: one that lags errs towards waiting.
 */
#ifndef WEIR_SCHED_LEASE_H
#define WEIR_SCHED_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "sched/bucket.h"

#define WEIR_LEASE_NS ((uint64_t)10 * 1000 * 1000)

/* Shared; zeroed memory is a full pool. Written by whoever borrows or gives back (relaxed: it is
 * only a number). One that all events pass wants a line pair of its own. */
struct weir_lease_pool {
    weir_atomic_u64 tat;
};

/* What the limit is: made once, read by all reactors. */
struct weir_lease_terms {
    struct weir_bucket_rate rate;
    uint64_t chunk_tokens; /* Q; 0: the burst is too small to lend from, every take goes to the pool */
    uint32_t reactor_count;
};

/* One reactor's; zeroed memory has borrowed nothing. */
struct weir_lease {
    uint64_t left_tokens;
    uint64_t borrowed_ns;
    uint64_t refused_tokens;   /* so many or more were refused ... */
    uint64_t refused_until_ns; /* ... until then, as it seemed */
    uint64_t refused_look_ns;  /* and it is worth looking again from then on */
    uint64_t borrows;          /* compare-exchanges that succeeded; for INFO */
};

/* -EINVAL: as weir_bucket_rate_init; reactor_count 0. */
int weir_lease_terms_init(struct weir_lease_terms *terms, uint64_t tokens_per_s,
                          uint64_t burst_tokens, uint32_t reactor_count);
/* The rest of weir_lease_take: borrow, or say how long to wait. */
uint64_t weir_lease_take_slow(struct weir_lease *lease, const struct weir_lease_terms *terms,
                              struct weir_lease_pool *pool, uint64_t now_ns, uint64_t tokens);
/* What weir_lease_take would answer; borrows nothing, and remembers a refusal. */
uint64_t weir_lease_wait(struct weir_lease *lease, const struct weir_lease_terms *terms,
                         struct weir_lease_pool *pool, uint64_t now_ns, uint64_t tokens);
/* Undo a take of so many: they may be spent again here, or go back to the pool. */
void weir_lease_refund(struct weir_lease *lease, const struct weir_lease_terms *terms,
                       struct weir_lease_pool *pool, uint64_t tokens);
/* Give back everything: before the reactor parks. */
void weir_lease_give_back(struct weir_lease *lease, const struct weir_lease_terms *terms,
                          struct weir_lease_pool *pool);
/* Once a turn: gives back what was borrowed WEIR_LEASE_NS ago or more. */
static inline void weir_lease_tick(struct weir_lease *lease, const struct weir_lease_terms *terms,
                                   struct weir_lease_pool *pool, uint64_t now_ns)
{
    if (lease->left_tokens > 0 && now_ns - lease->borrowed_ns >= WEIR_LEASE_NS)
        weir_lease_give_back(lease, terms, pool);
}

/* As weir_bucket_take: 0, or the wait in ns and nothing taken; UINT64_MAX: more than the burst. */
static inline uint64_t weir_lease_take(struct weir_lease *lease,
                                       const struct weir_lease_terms *terms,
                                       struct weir_lease_pool *pool, uint64_t now_ns,
                                       uint64_t tokens)
{
    if (__builtin_expect(tokens <= lease->left_tokens, 1)) {
        lease->left_tokens -= tokens;
        return 0;
    }
    return weir_lease_take_slow(lease, terms, pool, now_ns, tokens);
}

#endif
