/*
 * sched/bucket.h - token bucket that keeps time instead of tokens (GCRA).
 *
 * The state is one 64-bit "theoretical arrival time" in nanoseconds; zero is a full bucket, so a cleared
 * table of buckets is ready. The generic cell rate algorithm of ATM (ITU-T I.371): no timer, no division on
 * the way through, no drift. Given `now`; owned by one reactor. Intervals are kept in 32.32 fixed point of
 * nanoseconds, so a rate that does not divide 10^9 is exact to one part in 2^32.
 */
#ifndef WEIR_SCHED_BUCKET_H
#define WEIR_SCHED_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/* What one limit is: shared by all buckets it governs, never written after. */
struct weir_bucket_rate {
    uint64_t interval_fp; /* ns for one token, 32.32 */
    uint64_t burst_ns;    /* the whole burst as time */
    uint64_t tokens_per_s;
    uint64_t burst_tokens;
};

struct weir_bucket {
    uint64_t tat_ns;
};

/* -EINVAL: rate or burst 0, or burst longer than 292 years. */
int weir_bucket_rate_init(struct weir_bucket_rate *rate, uint64_t tokens_per_s, uint64_t burst_tokens);
/* Take `tokens`; 0 = admitted, else the wait in ns until they would be (nothing is taken).
 * UINT64_MAX: more than the burst, can never pass. */
uint64_t weir_bucket_take(struct weir_bucket *bucket, const struct weir_bucket_rate *rate,
                          uint64_t now_ns, uint64_t tokens);
/* Debt: always taken; returns how long the source must now rest (0: not at all). For bytes already received. */
uint64_t weir_bucket_charge(struct weir_bucket *bucket, const struct weir_bucket_rate *rate,
                            uint64_t now_ns, uint64_t tokens);
/* What weir_bucket_take would answer. */
uint64_t weir_bucket_wait(const struct weir_bucket *bucket, const struct weir_bucket_rate *rate,
                          uint64_t now_ns, uint64_t tokens);
void weir_bucket_refund(struct weir_bucket *bucket, const struct weir_bucket_rate *rate, uint64_t tokens);

#endif
