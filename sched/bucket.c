/*
 * sched/bucket.c - token bucket that keeps time: everything but the hot path, which is in the
 * header.
 *
 * Credit is time; a rate is fixed once, so that a decision is one multiplication, one subtraction
 * and one comparison. Owned by one reactor. Proof of bounds: tests/sched/bucket_test.c.
 */
#include "sched/bucket.h"

#include <assert.h>
#include <errno.h>

#include "base/clock.h"

enum { UNIT_BITS_MAX = 6 };

#define FP_ONE ((uint64_t)1 << WEIR_BUCKET_FP_BITS)
#define TOKENS_PER_S_MAX ((uint64_t)1000 * WEIR_S_NS)
/* From this interval up each token, not each decision, is rounded: takes then add up whatever
 * their size. */
#define TOKEN_ROUNDED_NS ((uint64_t)100)

static_assert(UNIT_BITS_MAX + WEIR_BUCKET_FP_BITS <= 34,
              "a second, the longest interval, fits in 64 bits");

/* As fine as the burst leaves room for: it must stay below 2^63 units, half of what the word can
 * tell apart. */
static uint32_t unit_bits_for(uint64_t burst_ns)
{
    uint32_t room = (uint32_t)__builtin_clzll(burst_ns | 1) - 1;
    return room < UNIT_BITS_MAX ? room : UNIT_BITS_MAX;
}

int weir_bucket_rate_init(struct weir_bucket_rate *rate, uint64_t tokens_per_s,
                          uint64_t burst_tokens)
{
    if (tokens_per_s == 0 || tokens_per_s > TOKENS_PER_S_MAX || burst_tokens == 0)
        return -EINVAL;
    /* How long is the burst, with each token rounded up to a whole ns: the coarsest it can come
     * to. */
    unsigned __int128 burst_ns = (unsigned __int128)burst_tokens *
                                 ((WEIR_S_NS + tokens_per_s - 1) / tokens_per_s);
    if (tokens_per_s > WEIR_S_NS / TOKEN_ROUNDED_NS)
        burst_ns = (unsigned __int128)burst_tokens * WEIR_S_NS / tokens_per_s + 1;
    if (burst_ns >= (uint64_t)1 << 63)
        return -EINVAL;
    rate->unit_bits = unit_bits_for((uint64_t)burst_ns) & 0xff;
    uint32_t shift = (uint32_t)rate->unit_bits + WEIR_BUCKET_FP_BITS;
    uint64_t interval_fp = (uint64_t)((((unsigned __int128)WEIR_S_NS << shift) + tokens_per_s - 1) /
                                      tokens_per_s);
    if (tokens_per_s <= WEIR_S_NS / TOKEN_ROUNDED_NS)
        interval_fp = (interval_fp + FP_ONE - 1) / FP_ONE * FP_ONE;
    rate->interval_fp = interval_fp;
    rate->burst_tokens = burst_tokens;
    rate->tokens_per_s = tokens_per_s & (((uint64_t)1 << 56) - 1);
    rate->burst_units = weir_bucket_cost(rate, burst_tokens);
    return 0;
}

/* The cost of any number of tokens, a whole burst or more too; saturates. */
static uint64_t cost_of_many(const struct weir_bucket_rate *rate, uint64_t tokens)
{
    if (tokens <= rate->burst_tokens)
        return weir_bucket_cost(rate, tokens);
    unsigned __int128 cost_fp = (unsigned __int128)tokens * rate->interval_fp;
    unsigned __int128 cost = (cost_fp + (FP_ONE - 1)) >> WEIR_BUCKET_FP_BITS;
    return cost < INT64_MAX ? (uint64_t)cost : INT64_MAX;
}

uint64_t weir_bucket_charge(struct weir_bucket *bucket, const struct weir_bucket_rate *rate,
                            uint64_t now_ns, uint64_t tokens)
{
    uint64_t after = weir_bucket_ahead(bucket->tat, rate, now_ns) + cost_of_many(rate, tokens);
    if (after > INT64_MAX)
        after = INT64_MAX; /* a debt stops growing at what the word can tell from the past */
    bucket->tat = (now_ns << rate->unit_bits) + after;
    return after > rate->burst_units ? weir_bucket_units_to_ns(rate, after - rate->burst_units) : 0;
}

void weir_bucket_refund(struct weir_bucket *bucket, const struct weir_bucket_rate *rate,
                        uint64_t tokens)
{
    if (bucket->tat != 0)
        bucket->tat -= cost_of_many(rate, tokens);
}

uint64_t weir_bucket_left(const struct weir_bucket *bucket, const struct weir_bucket_rate *rate,
                          uint64_t now_ns)
{
    uint64_t ahead = weir_bucket_ahead(bucket->tat, rate, now_ns);
    if (ahead >= rate->burst_units)
        return 0;
    unsigned __int128 room_fp = (unsigned __int128)(rate->burst_units - ahead)
                                << WEIR_BUCKET_FP_BITS;
    uint64_t left = (uint64_t)(room_fp / rate->interval_fp);
    return left < rate->burst_tokens ? left : rate->burst_tokens;
}

uint64_t weir_bucket_full_in(const struct weir_bucket *bucket, const struct weir_bucket_rate *rate,
                             uint64_t now_ns)
{
    return weir_bucket_units_to_ns(rate, weir_bucket_ahead(bucket->tat, rate, now_ns));
}
