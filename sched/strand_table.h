/*
 * sched/strand_table.h - the strands that are not idle, found by (class, key); and the pool they
 * come from.
 *
 * A strand is two cache lines: one for its home, which posts to it at any time, and one for the
 * holder of its run, so that a thief's work and the home's posts do not meet on a line. One
 * reactor's; not shared, but for the second line of a strand that is away.
 */
#ifndef WEIR_SCHED_STRAND_TABLE_H
#define WEIR_SCHED_STRAND_TABLE_H

#include <assert.h>

#include "base/hash.h"
#include "sched/strand.h"

enum weir_strand_state {
    WEIR_STRAND_IDLE, /* in the pool: not a strand at all */
    WEIR_STRAND_QUEUED,
    WEIR_STRAND_RUNNING,
    WEIR_STRAND_AWAY, /* its run is on a deque, with a thief, or on its way home */
};

struct weir_strand {
    /* The home's, always. */
    struct weir_strand *chain; /* table bucket, or pool */
    struct weir_strand *next;  /* runnable list */
    struct weir_class *class;
    uint64_t key;
    struct weir_task *mail_first; /* the mailbox: meaningful while mail_count > 0 */
    struct weir_task *mail_last;
    uint32_t mail_count;
    uint8_t state;
    bool keyed; /* in the table */

    /* The holder's: from deque push to weir_sched_done whoever has the strand, else the home. */
    _Alignas(WEIR_LINE_BYTES) struct weir_strand *link; /* held, returning, done */
    struct weir_class *run_class;
    struct weir_task *run_first; /* the whole run, executed or not, for its release */
    struct weir_task *run_last;
    struct weir_task *run_at; /* the next to execute */
    uint32_t run_count;
    uint32_t run_left; /* not executed yet */
    uint32_t home;
};

static_assert(sizeof(struct weir_strand) == 2 * WEIR_LINE_BYTES, "one line for each owner");

struct weir_strand_slab;

struct weir_strand_table {
    struct weir_strand **buckets;
    uint32_t bucket_mask;
    uint32_t strand_count; /* laid out, idle or not */
    uint32_t strands_max;
    uint32_t live_count; /* not idle */
    struct weir_strand *pool;
    struct weir_strand_slab *slabs;
};

int weir_strand_table_init(struct weir_strand_table *table, uint32_t strands_warm,
                           uint32_t strands_max);
void weir_strand_table_deinit(struct weir_strand_table *table);
/* Lay out more strands: -EAGAIN at strands_max, -ENOMEM. */
int weir_strand_table_grow(struct weir_strand_table *table);

typedef void (*weir_strand_each_fn)(void *context, struct weir_strand *strand);
void weir_strand_table_each(struct weir_strand_table *table, weir_strand_each_fn fn, void *context);

static inline struct weir_strand **weir_strand_table_bucket(const struct weir_strand_table *table,
                                                            const struct weir_class *class,
                                                            uint64_t key)
{
    return &table->buckets[weir_hash_u64(key, class->salt) & table->bucket_mask];
}

static inline struct weir_strand *weir_strand_table_find(const struct weir_strand_table *table,
                                                         const struct weir_class *class,
                                                         uint64_t key)
{
    struct weir_strand *strand = *weir_strand_table_bucket(table, class, key);
    while (strand != NULL && (strand->key != key || strand->class != class))
        strand = strand->chain;
    return strand;
}

/* An idle strand from the pool, its class and key set; *result_out says why there is none. */
struct weir_strand *weir_strand_table_take(struct weir_strand_table *table,
                                           struct weir_class *class, int *result_out);
/* Make it findable by its key. */
void weir_strand_table_insert(struct weir_strand_table *table, struct weir_strand *strand,
                              uint64_t key);
/* Back to the pool, out of the table if it was in. */
void weir_strand_table_give(struct weir_strand_table *table, struct weir_strand *strand);

#endif
