/*
 * weir/bucket.h - token buckets for the host's own limits: GCRA, one 64-bit word each.
 *
 * Plain values of the caller's; a zeroed bucket is full. One thread at a time.
 */
#ifndef WEIR_BUCKET_H
#define WEIR_BUCKET_H

#include <weir/base.h>

WEIR_BEGIN

struct weir_rate_limit {
    uint64_t private_words[4];
};
struct weir_rate_bucket {
    uint64_t private_word;
};

/* -EINVAL: 0 tokens a second, 0 burst, or a burst longer than 292 years. */
WEIR_API WEIR_MUST_CHECK int weir_rate_limit_init(struct weir_rate_limit *limit, uint64_t tokens_per_s, uint64_t burst_tokens);
/* 0: admitted. Else the ns until it would be, and nothing was taken; UINT64_MAX: more than the burst, never. */
WEIR_API uint64_t weir_rate_take(struct weir_rate_bucket *bucket, const struct weir_rate_limit *limit, uint64_t now_ns,
                                 uint64_t tokens);

WEIR_END

#endif
