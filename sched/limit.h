/*
 * sched/limit.h - the limits an event passes: process, client, topic; from all of them or from
 * none.
 *
 * Each level is one limit over all reactors: the process has a lease (sched/lease.h), each client and
 * each topic one on a pool found by key (sched/lease_table.h). A level's mode says what a refusal
 * means:
 *
 *     shape    wait: pause the source, not the event, and come back in wait_ns
 *     police   reject
 *     observe  let through and count: how limits are chosen
 *
 * Never ask for heartbeats, acknowledgements, unsubscribing and other control: throttled, they make
 * the storm worse.
 *
 * Error bound. Over any span of d each client, each topic and the process have admitted, on all reactors
 * together,
 *
 *     at most   burst + rate * d + reactors * Q
 *     Q = clamp(rate * 1 ms, 1, burst / (4 * reactors)), and 0 where burst / (4 * reactors) < 1
 *
 * that is, a quarter of the burst too many at the very most; none where Q is 0, and none in a burst that
 * comes when nothing is lent. What lies unspent in the leases of other reactors, at most
 * (reactors - 1) * Q, is missing here until it goes back, within 20 ms of their last loan. Keys that find
 * no room have one such limit together, beside what one of them may have had while it had room. Time
 * is what each reactor read at the start of its turn: in a turn longer than WEIR_POOL_TABLE_REST_NS a
 * key may get, once more, what its rate gives in the excess.
 */
#ifndef WEIR_SCHED_LIMIT_H
#define WEIR_SCHED_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/lease_table.h"

enum weir_limit_level {
    WEIR_LIMIT_CLIENT, /* most local first: on a tie it is the one that is named */
    WEIR_LIMIT_TOPIC,
    WEIR_LIMIT_PROCESS,
    WEIR_LIMIT_LEVELS,
    WEIR_LIMIT_NONE = WEIR_LIMIT_LEVELS,
};

enum weir_limit_mode {
    WEIR_LIMIT_OFF,
    WEIR_LIMIT_SHAPE,
    WEIR_LIMIT_POLICE,
    WEIR_LIMIT_OBSERVE,
};

enum weir_limit_action {
    WEIR_LIMIT_ADMIT,
    WEIR_LIMIT_DELAY,
    WEIR_LIMIT_REJECT,
};

struct weir_limit_rule {
    enum weir_limit_mode mode;
    uint64_t tokens_per_s;
    uint64_t burst_tokens;
};

/* Made once for all reactors; the caller's memory, 128-byte aligned, kept until every weir_limit
 * on it closed. */
struct weir_limit_shared {
    _Alignas(WEIR_LINE_PAIR_BYTES) struct weir_lease_pool process; /* see sched/lease.h */
    struct weir_pool_table pools[WEIR_LIMIT_PROCESS];              /* client, topic */
    struct weir_limit_rule rules[WEIR_LIMIT_LEVELS];               /* from here: read only */
    struct weir_lease_terms terms[WEIR_LIMIT_LEVELS];
};

struct weir_limit_verdict {
    enum weir_limit_action action;
    enum weir_limit_level level; /* that refused: of those that delay the longest wait; NONE: admitted */
    uint64_t wait_ns; /* over all levels that refuse; UINT64_MAX: more than a burst, never */
};

/* Per level. allowed: admitted by all; denied: refused by this level's police, or would be
 * (observe); delayed: refused by this level's shape. */
struct weir_limit_counts {
    uint64_t allowed[WEIR_LIMIT_LEVELS];
    uint64_t denied[WEIR_LIMIT_LEVELS];
    uint64_t delayed[WEIR_LIMIT_LEVELS];
    uint64_t overflowed[WEIR_LIMIT_LEVELS]; /* decisions by the pool of those without room */
};

struct weir_limit; /* one reactor's */

/* keys_max: clients, and topics, in use at once before they share a pool; a power of two, at least 8.
 * -EINVAL: not that; a rule that is not OFF has no valid rate or burst; reactor_count 0. -ENOMEM.
 * After a failure there is nothing to deinit. */
int weir_limit_shared_init(struct weir_limit_shared *shared,
                           const struct weir_limit_rule rules[WEIR_LIMIT_LEVELS],
                           uint32_t reactor_count, uint32_t keys_max);
void weir_limit_shared_deinit(struct weir_limit_shared *shared);
/* reactor_index: below reactor_count, one open limit each. Any thread. -ENOMEM. */
int weir_limit_open(struct weir_limit_shared *shared, uint32_t reactor_index,
                    struct weir_limit **limit_out);
void weir_limit_close(struct weir_limit *limit);

/* Decide on `tokens`. A hash of 0 skips that level (an event without a topic). `now_ns` that goes
 * back is taken as standing still. */
struct weir_limit_verdict weir_limit_take(struct weir_limit *limit, uint64_t now_ns,
                                          uint64_t client_hash, uint64_t topic_hash,
                                          uint64_t tokens);
/* Tokens that were borrowed a while ago go back, with `idle` all of them; a bounded helping. Returns when
 * to call again; UINT64_MAX: nothing is borrowed, so not before the next take. */
uint64_t weir_limit_tick(struct weir_limit *limit, uint64_t now_ns, bool idle);
void weir_limit_counts(const struct weir_limit *limit, struct weir_limit_counts *counts_out);

#endif
