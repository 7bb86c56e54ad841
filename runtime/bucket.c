/* runtime/bucket.c - the public token bucket over sched's. */
#include <weir/bucket.h>

#include "sched/bucket.h"

_Static_assert(sizeof(struct weir_bucket_rate) <= sizeof(struct weir_rate_limit), "fits");
_Static_assert(sizeof(struct weir_bucket) <= sizeof(struct weir_rate_bucket), "fits");

int weir_rate_limit_init(struct weir_rate_limit *limit, uint64_t tokens_per_s, uint64_t burst_tokens)
{
    return weir_bucket_rate_init((struct weir_bucket_rate *)(void *)limit, tokens_per_s, burst_tokens);
}

uint64_t weir_rate_take(struct weir_rate_bucket *bucket, const struct weir_rate_limit *limit, uint64_t now_ns, uint64_t tokens)
{
    return weir_bucket_take((struct weir_bucket *)(void *)bucket, (const struct weir_bucket_rate *)(const void *)limit, now_ns,
                            tokens);
}
