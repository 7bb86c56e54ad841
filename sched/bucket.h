/*
 * sched/bucket.h - token bucket that keeps time instead of tokens (GCRA).
 *
 * The state is one 64-bit word: the "theoretical arrival time" (TAT), when the bucket will be full
 * again. Zero is a full bucket, so a cleared table of buckets is ready. The generic cell rate
 * algorithm of ATM (ITU-T I.371): no timer, no division, no drift. Given `now`; owned by one
 * reactor.
 *
 *       now                       TAT                      after
 *     ---|-------------------------|------------------------|------> time
 *        |<------- ahead --------->|<- tokens * interval -->|
 *        |<------------- admitted if at most burst -------->|
 *
 * An interval is seldom a whole number of ns (3/s: 333333333 1/3), so TAT counts 64ths of a ns
 * (fewer only for a burst of years) and wraps: it is compared with `now` by subtraction, and any
 * clock that counts ns will do. A bucket unused for 4 years or more may be taken for one that is
 * not full.
 *
 * Exactness. Intervals are rounded up, so in any span of d no more than burst + rate * d tokens
 * pass (plus 1/64 ns for rates above 10^7/s). Up to 10^7/s any mix of takes makes up the whole
 * burst, and the rate is slow by at most 1/64 ns in the interval: 160 ppm at 10^7/s, 16 ppm at
 * 10^6/s, none where 10^9 divides by it. Above, each decision is rounded instead of each token:
 * take in bulk there (bytes, not bits).
 *
 * `now` must not go back; keep it from that with weir_bucket_now. If it does, the bucket errs
 * towards waiting.
 */
#ifndef WEIR_SCHED_BUCKET_H
#define WEIR_SCHED_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

enum { WEIR_BUCKET_FP_BITS = 28 };

/* What one limit is: shared by all buckets it governs, never written after. */
struct weir_bucket_rate {
    uint64_t interval_fp; /* one token as time, in units of 2^-WEIR_BUCKET_FP_BITS, rounded up */
    uint64_t burst_units; /* the whole burst as time; a unit is 2^-unit_bits ns */
    uint64_t burst_tokens;
    uint64_t tokens_per_s : 56;
    uint64_t unit_bits : 8;
};

struct weir_bucket {
    uint64_t tat; /* in the rate's units, modulo 2^64; 0: full */
};

/* -EINVAL: rate 0 or over 10^12, burst 0, or burst longer than 292 years. */
int weir_bucket_rate_init(struct weir_bucket_rate *rate, uint64_t tokens_per_s,
                          uint64_t burst_tokens);
/* Debt: always taken; returns how long the source must now rest, in ns (0: not at all). For what
 * has arrived already. */
uint64_t weir_bucket_charge(struct weir_bucket *bucket, const struct weir_bucket_rate *rate,
                            uint64_t now_ns, uint64_t tokens);
/* Undo a take or charge of so many. Giving back more than was taken leaves the bucket full. */
void weir_bucket_refund(struct weir_bucket *bucket, const struct weir_bucket_rate *rate,
                        uint64_t tokens);
/* Whole tokens that one take would get now. */
uint64_t weir_bucket_left(const struct weir_bucket *bucket, const struct weir_bucket_rate *rate,
                          uint64_t now_ns);
/* ns until it is full: 0 means that its state is worth nothing and may be forgotten. */
uint64_t weir_bucket_full_in(const struct weir_bucket *bucket, const struct weir_bucket_rate *rate,
                             uint64_t now_ns);

/* Time that never goes back: the latest of all `now_ns` it was given with this *seen_ns. */
static inline uint64_t weir_bucket_now(uint64_t *seen_ns, uint64_t now_ns)
{
    if (now_ns > *seen_ns)
        *seen_ns = now_ns;
    return *seen_ns;
}

/* tokens * interval in the rate's units, rounded up. `tokens` is at most the burst. */
static inline uint64_t weir_bucket_cost(const struct weir_bucket_rate *rate, uint64_t tokens)
{
    unsigned __int128 cost_fp = (unsigned __int128)tokens * rate->interval_fp;
    return (uint64_t)((cost_fp + (((uint64_t)1 << WEIR_BUCKET_FP_BITS) - 1)) >> WEIR_BUCKET_FP_BITS);
}

/* How far a TAT lies ahead of now, in units; 0: behind, so the bucket is full. */
static inline uint64_t weir_bucket_ahead(uint64_t tat, const struct weir_bucket_rate *rate,
                                         uint64_t now_ns)
{
    uint64_t ahead = tat - (now_ns << rate->unit_bits);
    return (int64_t)ahead < 0 || tat == 0 ? 0 : ahead;
}

static inline uint64_t weir_bucket_units_to_ns(const struct weir_bucket_rate *rate, uint64_t units)
{
    uint64_t round_up = ((uint64_t)1 << rate->unit_bits) - 1;
    return (units + round_up) >> rate->unit_bits;
}

/*
 * The decision itself, on a TAT wherever it is kept (sched/lease.c keeps one in an atomic word). 0:
 * admitted, and *tat is the new TAT. Else the wait in ns until it would be, and *tat is as it was;
 * UINT64_MAX: more than the burst, never.
 */
static inline uint64_t weir_bucket_decide(uint64_t *tat, const struct weir_bucket_rate *rate,
                                          uint64_t now_ns, uint64_t tokens)
{
    if (__builtin_expect(tokens > rate->burst_tokens, 0))
        return UINT64_MAX;
    uint64_t after = weir_bucket_ahead(*tat, rate, now_ns) + weir_bucket_cost(rate, tokens);
    if (__builtin_expect(after > rate->burst_units, 0))
        return weir_bucket_units_to_ns(rate, after - rate->burst_units);
    *tat = (now_ns << rate->unit_bits) + after;
    return 0;
}

/* Take `tokens`; 0 = admitted, else the wait in ns until they would be (nothing is taken).
 * UINT64_MAX: more than the burst, can never pass. */
static inline uint64_t weir_bucket_take(struct weir_bucket *bucket,
                                        const struct weir_bucket_rate *rate, uint64_t now_ns,
                                        uint64_t tokens)
{
    return weir_bucket_decide(&bucket->tat, rate, now_ns, tokens);
}

/* What weir_bucket_take would answer. */
static inline uint64_t weir_bucket_wait(const struct weir_bucket *bucket,
                                        const struct weir_bucket_rate *rate, uint64_t now_ns,
                                        uint64_t tokens)
{
    uint64_t tat = bucket->tat;
    return weir_bucket_decide(&tat, rate, now_ns, tokens);
}

#endif
