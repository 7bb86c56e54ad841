/*
 * sched/lease.c - borrowing from a limit that all reactors share.
 *
 * The pool word is a bucket's TAT; a loan is an ordinary take from it by compare-exchange.
 * Everything is relaxed: the number is all there is, no other memory hangs on it. Lock-free: an
 * exchange fails only because another reactor's succeeded. Bound: chunk_tokens in each lease.
 * Proof: tests/sched/lease_test.c, with two threads.
 */
#include "sched/lease.h"

#include <errno.h>

#include "base/clock.h"

/* A refusal is believed this long: others may have given tokens back meanwhile. */
#define REFUSED_NS WEIR_MS_NS

static uint64_t clamp(uint64_t value, uint64_t low, uint64_t high)
{
    if (value > high)
        value = high;
    return value < low ? low : value;
}

int weir_lease_terms_init(struct weir_lease_terms *terms, uint64_t tokens_per_s,
                          uint64_t burst_tokens, uint32_t reactor_count)
{
    if (reactor_count == 0)
        return -EINVAL;
    int result = weir_bucket_rate_init(&terms->rate, tokens_per_s, burst_tokens);
    if (result < 0)
        return result;
    uint64_t share = burst_tokens / 4 / reactor_count;
    terms->chunk_tokens = share > 0 ? clamp(tokens_per_s / 1000, 1, share) : 0;
    terms->reactor_count = reactor_count;
    return 0;
}

static uint64_t borrow(const struct weir_lease_terms *terms, struct weir_lease_pool *pool,
                       uint64_t now_ns, uint64_t tokens)
{
    uint64_t tat = weir_load(&pool->tat, relaxed);
    for (;;) {
        uint64_t after = tat;
        uint64_t wait_ns = weir_bucket_decide(&after, &terms->rate, now_ns, tokens);
        if (wait_ns != 0 || weir_compare_exchange(&pool->tat, &tat, after, relaxed))
            return wait_ns;
    }
}

static void remember_refusal(struct weir_lease *lease, uint64_t now_ns, uint64_t tokens,
                             uint64_t wait_ns)
{
    if (wait_ns == UINT64_MAX)
        return;
    lease->refused_tokens = tokens;
    lease->refused_until_ns = now_ns + wait_ns;
    lease->refused_look_ns = now_ns + (wait_ns < REFUSED_NS ? wait_ns : REFUSED_NS);
}

uint64_t weir_lease_take_slow(struct weir_lease *lease, const struct weir_lease_terms *terms,
                              struct weir_lease_pool *pool, uint64_t now_ns, uint64_t tokens)
{
    if (tokens > terms->rate.burst_tokens)
        return UINT64_MAX;
    uint64_t needed = tokens - lease->left_tokens;
    if (now_ns < lease->refused_look_ns && needed >= lease->refused_tokens)
        return lease->refused_until_ns - now_ns;
    if (needed < terms->chunk_tokens && borrow(terms, pool, now_ns, terms->chunk_tokens) == 0) {
        lease->left_tokens += terms->chunk_tokens - tokens;
    } else {
        uint64_t wait_ns = borrow(terms, pool, now_ns, needed);
        if (wait_ns != 0) {
            remember_refusal(lease, now_ns, needed, wait_ns);
            return wait_ns;
        }
        lease->left_tokens = 0;
    }
    lease->borrowed_ns = now_ns;
    lease->refused_look_ns = 0;
    lease->borrows++;
    return 0;
}

uint64_t weir_lease_wait(struct weir_lease *lease, const struct weir_lease_terms *terms,
                         struct weir_lease_pool *pool, uint64_t now_ns, uint64_t tokens)
{
    if (tokens <= lease->left_tokens)
        return 0;
    if (tokens > terms->rate.burst_tokens)
        return UINT64_MAX;
    uint64_t needed = tokens - lease->left_tokens;
    if (now_ns < lease->refused_look_ns && needed >= lease->refused_tokens)
        return lease->refused_until_ns - now_ns;
    uint64_t tat = weir_load(&pool->tat, relaxed);
    uint64_t wait_ns = weir_bucket_decide(&tat, &terms->rate, now_ns, needed);
    if (wait_ns != 0)
        remember_refusal(lease, now_ns, needed, wait_ns);
    return wait_ns;
}

static void give(const struct weir_lease_terms *terms, struct weir_lease_pool *pool, uint64_t tokens)
{
    uint64_t tat = weir_load(&pool->tat, relaxed);
    for (;;) {
        struct weir_bucket after = {.tat = tat};
        weir_bucket_refund(&after, &terms->rate, tokens);
        if (weir_compare_exchange(&pool->tat, &tat, after.tat, relaxed))
            return;
    }
}

void weir_lease_refund(struct weir_lease *lease, const struct weir_lease_terms *terms,
                       struct weir_lease_pool *pool, uint64_t tokens)
{
    uint64_t room = terms->chunk_tokens > lease->left_tokens
                        ? terms->chunk_tokens - lease->left_tokens
                        : 0;
    uint64_t kept = tokens < room ? tokens : room; /* a lease never holds more than a chunk */
    lease->left_tokens += kept;
    if (tokens > kept)
        give(terms, pool, tokens - kept);
}

void weir_lease_give_back(struct weir_lease *lease, const struct weir_lease_terms *terms,
                          struct weir_lease_pool *pool)
{
    if (lease->left_tokens == 0)
        return;
    give(terms, pool, lease->left_tokens);
    lease->left_tokens = 0;
}
