/*
 * sched/limit.c - process, client and topic limits in one decision.
 *
 * Ask every level first; take only when none that enforces refuses. The tables are this reactor's,
 * so what they said yes to a moment ago they still say yes to; the pool is shared, so it is taken
 * from first, and its refusal leaves the others untouched. Bounds: see sched/lease.h and
 * sched/bucket_table.h. Proof: tests/sched/limit_test.c.
 */
#include "sched/limit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sched/bucket_table.h"

struct weir_limit {
    struct weir_limit_shared *shared;
    struct weir_lease lease;
    struct weir_bucket_table tables[WEIR_LIMIT_PROCESS]; /* client, topic */
    uint64_t seen_ns;
    struct weir_limit_counts counts;
};

/* One decision on its way through the levels. */
struct ask {
    uint64_t now_ns;
    uint64_t tokens;
    struct weir_bucket *buckets[WEIR_LIMIT_PROCESS];
    bool asked[WEIR_LIMIT_LEVELS];
    uint64_t wait_ns[WEIR_LIMIT_LEVELS];
};

int weir_limit_shared_init(struct weir_limit_shared *shared,
                           const struct weir_limit_rule rules[WEIR_LIMIT_LEVELS],
                           uint32_t reactor_count)
{
    memset(shared, 0, sizeof *shared);
    for (uint32_t level = 0; level < WEIR_LIMIT_LEVELS; level++) {
        const struct weir_limit_rule *rule = &rules[level];
        shared->rules[level] = *rule;
        if (rule->mode == WEIR_LIMIT_OFF)
            continue;
        int result = weir_bucket_rate_init(&shared->rates[level], rule->tokens_per_s,
                                           rule->burst_tokens);
        if (result < 0)
            return result;
    }
    const struct weir_limit_rule *process = &rules[WEIR_LIMIT_PROCESS];
    if (process->mode == WEIR_LIMIT_OFF)
        return reactor_count > 0 ? 0 : -EINVAL;
    return weir_lease_terms_init(&shared->terms, process->tokens_per_s, process->burst_tokens,
                                 reactor_count);
}

void weir_limit_close(struct weir_limit *limit)
{
    struct weir_limit_shared *shared = limit->shared;
    weir_lease_give_back(&limit->lease, &shared->terms, &shared->pool);
    for (uint32_t level = 0; level < WEIR_LIMIT_PROCESS; level++)
        weir_bucket_table_deinit(&limit->tables[level]);
    free(limit);
}

int weir_limit_open(struct weir_limit_shared *shared, uint32_t keys_max,
                    struct weir_limit **limit_out)
{
    struct weir_limit *limit = calloc(1, sizeof *limit);
    if (limit == NULL)
        return -ENOMEM;
    limit->shared = shared;
    for (uint32_t level = 0; level < WEIR_LIMIT_PROCESS; level++) {
        if (shared->rules[level].mode == WEIR_LIMIT_OFF)
            continue;
        int result = weir_bucket_table_init(&limit->tables[level], &shared->rates[level], keys_max);
        if (result < 0) {
            weir_limit_close(limit);
            return result;
        }
    }
    *limit_out = limit;
    return 0;
}

static void ask_table(struct weir_limit *limit, struct ask *ask, enum weir_limit_level level,
                      uint64_t hash)
{
    if (limit->shared->rules[level].mode == WEIR_LIMIT_OFF || hash == 0)
        return;
    struct weir_bucket_table *table = &limit->tables[level];
    ask->buckets[level] = weir_bucket_table_find(table, hash, ask->now_ns);
    ask->asked[level] = true;
    ask->wait_ns[level] = weir_bucket_wait(ask->buckets[level], &table->rate, ask->now_ns,
                                           ask->tokens);
}

static void ask_process(struct weir_limit *limit, struct ask *ask)
{
    struct weir_limit_shared *shared = limit->shared;
    if (shared->rules[WEIR_LIMIT_PROCESS].mode == WEIR_LIMIT_OFF)
        return;
    ask->asked[WEIR_LIMIT_PROCESS] = true;
    ask->wait_ns[WEIR_LIMIT_PROCESS] = weir_lease_wait(&limit->lease, &shared->terms, &shared->pool,
                                                       ask->now_ns, ask->tokens);
}

/* Police outranks shape, a longer wait a shorter one. */
static struct weir_limit_verdict judge(const struct weir_limit *limit, const struct ask *ask)
{
    struct weir_limit_verdict verdict = {.action = WEIR_LIMIT_ADMIT, .level = WEIR_LIMIT_NONE};
    uint64_t longest_ns = 0;
    for (uint32_t level = 0; level < WEIR_LIMIT_LEVELS; level++) {
        enum weir_limit_mode mode = limit->shared->rules[level].mode;
        uint64_t wait_ns = ask->wait_ns[level];
        if (wait_ns == 0 || mode == WEIR_LIMIT_OBSERVE)
            continue;
        bool rejects = mode == WEIR_LIMIT_POLICE || wait_ns == UINT64_MAX;
        enum weir_limit_action action = rejects ? WEIR_LIMIT_REJECT : WEIR_LIMIT_DELAY;
        if (action > verdict.action || (action == verdict.action && wait_ns > longest_ns)) {
            verdict.action = action;
            verdict.level = (enum weir_limit_level)level;
            longest_ns = wait_ns;
        }
        if (wait_ns > verdict.wait_ns)
            verdict.wait_ns = wait_ns;
    }
    return verdict;
}

static bool take_process(struct weir_limit *limit, struct ask *ask)
{
    struct weir_limit_shared *shared = limit->shared;
    if (!ask->asked[WEIR_LIMIT_PROCESS] || ask->wait_ns[WEIR_LIMIT_PROCESS] != 0)
        return true; /* off, or only observed and empty */
    ask->wait_ns[WEIR_LIMIT_PROCESS] = weir_lease_take(&limit->lease, &shared->terms, &shared->pool,
                                                       ask->now_ns, ask->tokens);
    return ask->wait_ns[WEIR_LIMIT_PROCESS] == 0 ||
           shared->rules[WEIR_LIMIT_PROCESS].mode == WEIR_LIMIT_OBSERVE;
}

static void take_tables(struct weir_limit *limit, const struct ask *ask)
{
    for (uint32_t level = 0; level < WEIR_LIMIT_PROCESS; level++) {
        if (!ask->asked[level] || ask->wait_ns[level] != 0)
            continue;
        uint64_t wait_ns = weir_bucket_take(ask->buckets[level], &limit->tables[level].rate,
                                            ask->now_ns, ask->tokens);
        WEIR_ASSERT(wait_ns == 0);
    }
}

static void count(struct weir_limit *limit, const struct ask *ask, bool admitted)
{
    for (uint32_t level = 0; level < WEIR_LIMIT_LEVELS; level++) {
        if (!ask->asked[level])
            continue;
        if (ask->wait_ns[level] == 0)
            limit->counts.allowed[level] += admitted;
        else if (limit->shared->rules[level].mode == WEIR_LIMIT_SHAPE &&
                 ask->wait_ns[level] != UINT64_MAX)
            limit->counts.delayed[level]++;
        else
            limit->counts.denied[level]++;
    }
}

struct weir_limit_verdict weir_limit_take(struct weir_limit *limit, uint64_t now_ns,
                                          uint64_t client_hash, uint64_t topic_hash, uint64_t tokens)
{
    struct ask ask = {.now_ns = weir_bucket_now(&limit->seen_ns, now_ns), .tokens = tokens};
    ask_table(limit, &ask, WEIR_LIMIT_CLIENT, client_hash);
    ask_table(limit, &ask, WEIR_LIMIT_TOPIC, topic_hash);
    ask_process(limit, &ask);
    struct weir_limit_verdict verdict = judge(limit, &ask);
    if (verdict.action == WEIR_LIMIT_ADMIT) {
        if (take_process(limit, &ask))
            take_tables(limit, &ask);
        else
            verdict = judge(limit, &ask); /* another reactor was faster */
    }
    count(limit, &ask, verdict.action == WEIR_LIMIT_ADMIT);
    return verdict;
}

void weir_limit_tick(struct weir_limit *limit, uint64_t now_ns, bool idle)
{
    struct weir_limit_shared *shared = limit->shared;
    if (idle)
        weir_lease_give_back(&limit->lease, &shared->terms, &shared->pool);
    else
        weir_lease_tick(&limit->lease, &shared->terms, &shared->pool, now_ns);
}

void weir_limit_counts(const struct weir_limit *limit, struct weir_limit_counts *counts_out)
{
    *counts_out = limit->counts;
    for (uint32_t level = 0; level < WEIR_LIMIT_PROCESS; level++)
        counts_out->overflowed[level] = limit->tables[level].overflowed;
}
