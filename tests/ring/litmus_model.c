/*
 * tests/ring/litmus_model.c - does the explorer see what weak memory allows, and nothing it forbids?
 *
 * The usual litmus tests: each outcome of interest is either found in some run or in none. An explorer that
 * saw too little would pass every other model.
 */
#include <stdio.h>
#include <string.h>

#include "base/atomic.h"

static weir_atomic_u32 a, b;
static uint32_t seen[4];
static bool found;

static void setup(void)
{
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    memset(seen, 0, sizeof seen);
    explore_name(&a, "a");
    explore_name(&b, "b");
}

/* Store buffering: each stores its own and reads the other's. Of interest: both read the old value. */
static void buffering(uint32_t me)
{
    weir_store(me ? &b : &a, 1, release);
    seen[me] = weir_load(me ? &a : &b, acquire);
}

static void buffering_fenced(uint32_t me)
{
    weir_store(me ? &b : &a, 1, relaxed);
    weir_fence(seq_cst);
    seen[me] = weir_load(me ? &a : &b, relaxed);
}

static void buffering_half_fenced(uint32_t me)
{
    weir_store(me ? &b : &a, 1, relaxed);
    if (me)
        weir_fence(seq_cst);
    seen[me] = weir_load(me ? &a : &b, relaxed);
}

static void both_old(void)
{
    found |= seen[0] == 0 && seen[1] == 0;
}

/* Message passing. Of interest: the flag is seen, the message is not. */
static void passing(uint32_t me)
{
    if (me == 0) {
        weir_store(&a, 1, relaxed);
        weir_store(&b, 1, release);
    } else {
        seen[0] = weir_load(&b, acquire);
        seen[1] = weir_load(&a, relaxed);
    }
}

static void passing_relaxed(uint32_t me)
{
    if (me == 0) {
        weir_store(&a, 1, relaxed);
        weir_store(&b, 1, relaxed);
    } else {
        seen[0] = weir_load(&b, acquire);
        seen[1] = weir_load(&a, relaxed);
    }
}

static void passing_fences(uint32_t me)
{
    if (me == 0) {
        weir_store(&a, 1, relaxed);
        weir_fence(release);
        weir_store(&b, 1, relaxed);
    } else {
        seen[0] = weir_load(&b, relaxed);
        weir_fence(acquire);
        seen[1] = weir_load(&a, relaxed);
    }
}

static void flag_without_message(void)
{
    found |= seen[0] == 1 && seen[1] == 0;
}

/* A release sequence goes on through another's swap, not through a later plain store. */
static void through_swap(uint32_t me)
{
    if (me == 0) {
        weir_store(&a, 1, relaxed);
        weir_store(&b, 1, release);
    } else if (me == 1) {
        weir_fetch_add(&b, 1, relaxed);
    } else {
        seen[0] = weir_load(&b, acquire) == 2;
        seen[1] = weir_load(&a, relaxed);
    }
}

static void through_store(uint32_t me)
{
    if (me == 0) {
        weir_store(&a, 1, relaxed);
        weir_store(&b, 1, release);
        weir_store(&b, 2, relaxed);
    } else {
        seen[0] = weir_load(&b, acquire) == 2;
        seen[1] = weir_load(&a, relaxed);
    }
}

/* The swap of a value only one may have got; both adding one to 0 makes 1 would be lost work. */
static void adding(uint32_t me)
{
    seen[me] = weir_fetch_add(&a, 1, relaxed);
}

static void same_old_value(void)
{
    found |= seen[0] == seen[1];
}

/* Two writers, two readers. Of interest: the readers disagree on which came first. */
static void two_writers(uint32_t me)
{
    if (me < 2) {
        weir_store(me ? &b : &a, 1, release);
        return;
    }
    uint32_t *mine = &seen[(me - 2) * 2];
    mine[0] = weir_load(me == 2 ? &a : &b, acquire);
    mine[1] = weir_load(me == 2 ? &b : &a, acquire);
}

static void two_writers_fenced(uint32_t me)
{
    if (me < 2) {
        weir_store(me ? &b : &a, 1, relaxed);
        return;
    }
    uint32_t *mine = &seen[(me - 2) * 2];
    mine[0] = weir_load(me == 2 ? &a : &b, relaxed);
    weir_fence(seq_cst);
    mine[1] = weir_load(me == 2 ? &b : &a, relaxed);
}

static void readers_disagree(void)
{
    found |= seen[0] == 1 && seen[1] == 0 && seen[2] == 1 && seen[3] == 0;
}

/* One location: a reader never goes back. */
static void going_back(uint32_t me)
{
    if (me == 0) {
        weir_store(&a, 1, relaxed);
    } else {
        seen[0] = weir_load(&a, relaxed);
        seen[1] = weir_load(&a, relaxed);
    }
}

int main(void)
{
    static const struct {
        struct explore_model model;
        bool allowed;
    } cases[] = {
        {{"store buffering", 2, setup, buffering, both_old, 0}, true},
        {{"store buffering, fences", 2, setup, buffering_fenced, both_old, 0}, false},
        {{"store buffering, one fence", 2, setup, buffering_half_fenced, both_old, 0}, true},
        {{"message passing", 2, setup, passing, flag_without_message, 0}, false},
        {{"message passing, relaxed", 2, setup, passing_relaxed, flag_without_message, 0}, true},
        {{"message passing, fences", 2, setup, passing_fences, flag_without_message, 0}, false},
        {{"release sequence, a swap", 3, setup, through_swap, flag_without_message, 0}, false},
        {{"release sequence, a store", 2, setup, through_store, flag_without_message, 0}, true},
        {{"two swaps", 2, setup, adding, same_old_value, 0}, false},
        {{"two writers, two readers", 4, setup, two_writers, readers_disagree, 0}, true},
        {{"two writers, fences", 4, setup, two_writers_fenced, readers_disagree, 0}, false},
        {{"going back", 2, setup, going_back, flag_without_message, 0}, false},
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        found = false;
        if (!explore_run(&cases[i].model))
            return 1;
        if (found == cases[i].allowed)
            continue;
        printf("FAILED: the outcome is %s, but was %sfound\n",
               cases[i].allowed ? "allowed" : "forbidden", found ? "" : "not ");
        failed = 1;
    }
    return failed;
}
