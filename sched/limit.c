/*
 * sched/limit.c - process, client and topic limits in one decision.
 *
 * Where every level has the tokens in its lease here, they are spent: nothing shared is touched and
 * nothing can fail. Else each level is asked first, and taken from only when none that enforces
 * refuses. The pools are shared, so a take may still fail where the asking did not; then what was
 * taken before is given back. Bounds: see the header. Proof: tests/sched/limit_test.c.
 */
#include "sched/limit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOTS = 4096,  /* keys that one reactor has leases for at once */
    HELPING = 256, /* of them a tick looks at, a level */
};

struct weir_limit {
    struct weir_limit_shared *shared;
    struct weir_lease process;
    struct weir_lease_table tables[WEIR_LIMIT_PROCESS]; /* client, topic */
    uint64_t seen_ns;
    struct weir_limit_counts counts;
};

/* One decision on its way through the levels. */
struct ask {
    uint64_t now_ns;
    uint64_t tokens;
    struct weir_lease *leases[WEIR_LIMIT_LEVELS]; /* NULL: not asked */
    struct weir_lease_pool *pools[WEIR_LIMIT_LEVELS];
    uint64_t wait_ns[WEIR_LIMIT_LEVELS];
};

static bool is_off(const struct weir_limit_shared *shared, uint32_t level)
{
    return shared->rules[level].mode == WEIR_LIMIT_OFF;
}

static int init_level(struct weir_limit_shared *shared, uint32_t level, uint32_t reactor_count,
                      uint32_t keys_max)
{
    const struct weir_limit_rule *rule = &shared->rules[level];
    if (is_off(shared, level))
        return 0;
    int result = weir_lease_terms_init(&shared->terms[level], rule->tokens_per_s,
                                       rule->burst_tokens, reactor_count);
    if (result < 0 || level == WEIR_LIMIT_PROCESS)
        return result;
    return weir_pool_table_init(&shared->pools[level], keys_max);
}

int weir_limit_shared_init(struct weir_limit_shared *shared,
                           const struct weir_limit_rule rules[WEIR_LIMIT_LEVELS],
                           uint32_t reactor_count, uint32_t keys_max)
{
    memset(shared, 0, sizeof *shared);
    if (reactor_count == 0 || reactor_count > WEIR_POOL_TABLE_REACTORS_MAX)
        return -EINVAL;
    memcpy(shared->rules, rules, sizeof shared->rules);
    for (uint32_t level = 0; level < WEIR_LIMIT_LEVELS; level++) {
        int result = init_level(shared, level, reactor_count, keys_max);
        if (result < 0) {
            weir_limit_shared_deinit(shared);
            return result;
        }
    }
    return 0;
}

void weir_limit_shared_deinit(struct weir_limit_shared *shared)
{
    for (uint32_t level = 0; level < WEIR_LIMIT_PROCESS; level++)
        weir_pool_table_deinit(&shared->pools[level]);
}

void weir_limit_close(struct weir_limit *limit)
{
    struct weir_limit_shared *shared = limit->shared;
    weir_lease_give_back(&limit->process, &shared->terms[WEIR_LIMIT_PROCESS], &shared->process);
    for (uint32_t level = 0; level < WEIR_LIMIT_PROCESS; level++)
        weir_lease_table_deinit(&limit->tables[level]);
    free(limit);
}

int weir_limit_open(struct weir_limit_shared *shared, uint32_t reactor_index,
                    struct weir_limit **limit_out)
{
    struct weir_limit *limit = calloc(1, sizeof *limit);
    if (limit == NULL)
        return -ENOMEM;
    limit->shared = shared;
    for (uint32_t level = 0; level < WEIR_LIMIT_PROCESS; level++) {
        if (is_off(shared, level))
            continue;
        int result = weir_lease_table_init(&limit->tables[level], &shared->terms[level],
                                           &shared->pools[level], reactor_index, SLOTS);
        if (result < 0) {
            weir_limit_close(limit);
            return result;
        }
    }
    *limit_out = limit;
    return 0;
}

static void seat_key(struct weir_limit *limit, struct ask *ask, enum weir_limit_level level,
                     uint64_t hash)
{
    if (is_off(limit->shared, level) || hash == 0)
        return;
    struct weir_lease_slot *slot = weir_lease_table_find(&limit->tables[level], hash, ask->now_ns);
    ask->leases[level] = &slot->lease;
    ask->pools[level] = slot->pool;
}

static void seat_process(struct weir_limit *limit, struct ask *ask)
{
    if (is_off(limit->shared, WEIR_LIMIT_PROCESS))
        return;
    ask->leases[WEIR_LIMIT_PROCESS] = &limit->process;
    ask->pools[WEIR_LIMIT_PROCESS] = &limit->shared->process;
}

/* All levels from their leases here, or none. */
static bool spend(struct weir_limit *limit, const struct ask *ask)
{
    for (uint32_t level = 0; level < WEIR_LIMIT_LEVELS; level++)
        if (ask->leases[level] != NULL && ask->leases[level]->left_tokens < ask->tokens)
            return false;
    for (uint32_t level = 0; level < WEIR_LIMIT_LEVELS; level++) {
        if (ask->leases[level] == NULL)
            continue;
        ask->leases[level]->left_tokens -= ask->tokens;
        limit->counts.allowed[level]++;
    }
    return true;
}

static void ask_all(struct weir_limit *limit, struct ask *ask)
{
    for (uint32_t level = 0; level < WEIR_LIMIT_LEVELS; level++)
        if (ask->leases[level] != NULL)
            ask->wait_ns[level] = weir_lease_wait(ask->leases[level], &limit->shared->terms[level],
                                                  ask->pools[level], ask->now_ns, ask->tokens);
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

/* From one level; false: one that enforces has refused, another reactor was faster. */
static bool take_one(struct weir_limit *limit, struct ask *ask, uint32_t level)
{
    if (ask->leases[level] == NULL || ask->wait_ns[level] != 0)
        return true; /* not asked, or only observed and empty */
    ask->wait_ns[level] = weir_lease_take(ask->leases[level], &limit->shared->terms[level],
                                          ask->pools[level], ask->now_ns, ask->tokens);
    return ask->wait_ns[level] == 0 || limit->shared->rules[level].mode == WEIR_LIMIT_OBSERVE;
}

/* From all of them, or from none. */
static bool take_all(struct weir_limit *limit, struct ask *ask)
{
    for (uint32_t level = WEIR_LIMIT_LEVELS; level-- > 0;) {
        if (take_one(limit, ask, level))
            continue;
        while (++level < WEIR_LIMIT_LEVELS)
            if (ask->leases[level] != NULL && ask->wait_ns[level] == 0)
                weir_lease_refund(ask->leases[level], &limit->shared->terms[level],
                                  ask->pools[level], ask->tokens);
        return false;
    }
    return true;
}

static void count(struct weir_limit *limit, const struct ask *ask, bool admitted)
{
    for (uint32_t level = 0; level < WEIR_LIMIT_LEVELS; level++) {
        if (ask->leases[level] == NULL)
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
    seat_key(limit, &ask, WEIR_LIMIT_CLIENT, client_hash);
    seat_key(limit, &ask, WEIR_LIMIT_TOPIC, topic_hash);
    seat_process(limit, &ask);
    if (spend(limit, &ask))
        return (struct weir_limit_verdict){.action = WEIR_LIMIT_ADMIT, .level = WEIR_LIMIT_NONE};
    ask_all(limit, &ask);
    struct weir_limit_verdict verdict = judge(limit, &ask);
    if (verdict.action == WEIR_LIMIT_ADMIT && !take_all(limit, &ask))
        verdict = judge(limit, &ask);
    count(limit, &ask, verdict.action == WEIR_LIMIT_ADMIT);
    return verdict;
}

static uint64_t tick_process(struct weir_limit *limit, uint64_t now_ns, bool idle)
{
    struct weir_limit_shared *shared = limit->shared;
    if (idle)
        weir_lease_give_back(&limit->process, &shared->terms[WEIR_LIMIT_PROCESS], &shared->process);
    else
        weir_lease_tick(&limit->process, &shared->terms[WEIR_LIMIT_PROCESS], &shared->process,
                        now_ns);
    return limit->process.left_tokens > 0 ? limit->process.borrowed_ns + WEIR_LEASE_NS : UINT64_MAX;
}

uint64_t weir_limit_tick(struct weir_limit *limit, uint64_t now_ns, bool idle)
{
    now_ns = weir_bucket_now(&limit->seen_ns, now_ns);
    uint64_t next_ns = tick_process(limit, now_ns, idle);
    for (uint32_t level = 0; level < WEIR_LIMIT_PROCESS; level++) {
        if (is_off(limit->shared, level))
            continue;
        uint64_t due_ns = weir_lease_table_tick(&limit->tables[level], now_ns, idle, HELPING);
        next_ns = due_ns < next_ns ? due_ns : next_ns;
    }
    return next_ns;
}

void weir_limit_counts(const struct weir_limit *limit, struct weir_limit_counts *counts_out)
{
    *counts_out = limit->counts;
    for (uint32_t level = 0; level < WEIR_LIMIT_PROCESS; level++)
        counts_out->overflowed[level] = limit->tables[level].overflowed;
}
