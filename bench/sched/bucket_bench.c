/* bench/sched/bucket_bench.c - token buckets: one decision, admitted and refused; a lease; all levels an event passes. */
#include <stdlib.h>

#include "bench/shim.h"
#include "sched/limit.h"

static void take(struct shim_state *state, int64_t tokens_per_s)
{
    struct weir_bucket_rate rate;
    struct weir_bucket bucket = {0};
    uint64_t now_ns = 1, waits = 0;
    if (weir_bucket_rate_init(&rate, (uint64_t)tokens_per_s, (uint64_t)tokens_per_s) != 0)
        abort();
    while (shim_running(state))
        waits += weir_bucket_take(&bucket, &rate, now_ns += 2, 1);
    shim_items(state, waits == 1 ? 2 : 1); /* the waits are used */
}
SHIM_BENCH("bucket_take/tokens_per_s", take, 1, 1000000000)

static void lease(struct shim_state *state, int64_t reactor_count)
{
    static struct weir_lease_pool pool;
    struct weir_lease_terms terms;
    struct weir_lease lease = {0};
    uint64_t now_ns = 1, waits = 0;
    if (weir_lease_terms_init(&terms, 1000000000, 1000000000, (uint32_t)reactor_count) != 0)
        abort();
    while (shim_running(state))
        waits += weir_lease_take(&lease, &terms, &pool, now_ns += 2, 1);
    shim_items(state, waits == 1 ? 2 : 1);
}
SHIM_BENCH("lease_take/reactors", lease, 2, 64)

static void levels(struct shim_state *state, int64_t clients)
{
    static struct weir_limit_shared shared;
    static const struct weir_limit_rule much = {WEIR_LIMIT_POLICE, 1000000000, 1000000000};
    const struct weir_limit_rule rules[WEIR_LIMIT_LEVELS] = {much, much, much};
    struct weir_limit *limit;
    uint64_t now_ns = 1, i = 0, refused = 0;
    if (weir_limit_shared_init(&shared, rules, 2, 16384) != 0 ||
        weir_limit_open(&shared, 0, &limit) != 0)
        abort();
    while (shim_running(state)) {
        uint64_t client = (i++ % (uint64_t)clients + 1) * 0x9e3779b97f4a7c15;
        refused += weir_limit_take(limit, now_ns += 2, client, 77, 1).action != WEIR_LIMIT_ADMIT;
    }
    shim_items(state, refused == 1 ? 2 : 1);
    weir_limit_close(limit);
    weir_limit_shared_deinit(&shared);
}
SHIM_BENCH("limit_take_3_levels/clients", levels, 1, 1000)
