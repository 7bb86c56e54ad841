/*
 * sched/strand_table.c - the strands that are not idle, and the pool they come from.
 *
 * Chained buckets, as many as there are strands laid out (or more), so a chain is about one long.
 * Strands come in slabs, each as large as all before it; buckets grow with them. After warm-up
 * nothing allocates; memory goes back when the reactor closes. Bounded by strands_max. Proof:
 * tests/sched/strand_test.c.
 */
#include "sched/strand_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

struct weir_strand_slab {
    struct weir_strand_slab *next;
    uint32_t strand_count;
    _Alignas(WEIR_LINE_PAIR_BYTES) struct weir_strand strands[];
};

static void widen(struct weir_strand_table *table)
{
    uint32_t bucket_count = table->bucket_mask + 1;
    while (bucket_count < table->strand_count)
        bucket_count *= 2;
    if (bucket_count == table->bucket_mask + 1)
        return;
    struct weir_strand **buckets = calloc(bucket_count, sizeof *buckets);
    if (buckets == NULL)
        return; /* longer chains, nothing worse */
    uint32_t old_count = table->bucket_mask + 1;
    struct weir_strand **old = table->buckets;
    table->buckets = buckets;
    table->bucket_mask = bucket_count - 1;
    for (uint32_t i = 0; i < old_count; i++) {
        for (struct weir_strand *strand = old[i], *next; strand != NULL; strand = next) {
            next = strand->chain;
            weir_strand_table_insert(table, strand, strand->key);
        }
    }
    free(old);
}

static int add_slab(struct weir_strand_table *table, uint32_t count)
{
    size_t bytes = sizeof(struct weir_strand_slab) + (size_t)count * sizeof(struct weir_strand);
    struct weir_strand_slab *slab = aligned_alloc(WEIR_LINE_PAIR_BYTES, bytes);
    if (slab == NULL)
        return -ENOMEM;
    memset(slab, 0, bytes);
    slab->strand_count = count;
    slab->next = table->slabs;
    table->slabs = slab;
    for (uint32_t i = count; i-- > 0;) {
        slab->strands[i].chain = table->pool;
        table->pool = &slab->strands[i];
    }
    table->strand_count += count;
    widen(table);
    return 0;
}

int weir_strand_table_init(struct weir_strand_table *table, uint32_t strands_warm,
                           uint32_t strands_max)
{
    WEIR_ASSERT(strands_warm > 0);
    if (strands_warm > strands_max)
        strands_warm = strands_max;
    *table = (struct weir_strand_table){.strands_max = strands_max};
    table->buckets = calloc(1, sizeof *table->buckets);
    if (table->buckets == NULL)
        return -ENOMEM;
    int result = add_slab(table, (strands_warm + 1) & ~1u);
    if (result < 0)
        free(table->buckets);
    return result;
}

void weir_strand_table_deinit(struct weir_strand_table *table)
{
    for (struct weir_strand_slab *slab = table->slabs, *next; slab != NULL; slab = next) {
        next = slab->next;
        free(slab);
    }
    free(table->buckets);
}

int weir_strand_table_grow(struct weir_strand_table *table)
{
    if (table->strand_count >= table->strands_max)
        return -EAGAIN;
    uint32_t count = table->strand_count;
    if (count > table->strands_max - table->strand_count)
        count = table->strands_max - table->strand_count;
    return add_slab(table, count);
}

void weir_strand_table_each(struct weir_strand_table *table, weir_strand_each_fn fn, void *context)
{
    for (struct weir_strand_slab *slab = table->slabs; slab != NULL; slab = slab->next) {
        for (uint32_t i = 0; i < slab->strand_count; i++)
            fn(context, &slab->strands[i]);
    }
}

struct weir_strand *weir_strand_table_take(struct weir_strand_table *table,
                                           struct weir_class *class, int *result_out)
{
    *result_out = table->pool == NULL ? weir_strand_table_grow(table) : 0;
    if (*result_out < 0)
        return NULL;
    struct weir_strand *strand = table->pool;
    WEIR_ASSERT(strand->state == WEIR_STRAND_IDLE);
    table->pool = strand->chain;
    table->live_count++;
    strand->class = class;
    strand->keyed = false;
    strand->mail_count = 0;
    return strand;
}

void weir_strand_table_insert(struct weir_strand_table *table, struct weir_strand *strand,
                              uint64_t key)
{
    struct weir_strand **bucket = weir_strand_table_bucket(table, strand->class, key);
    strand->key = key;
    strand->keyed = true;
    strand->chain = *bucket;
    *bucket = strand;
}

void weir_strand_table_give(struct weir_strand_table *table, struct weir_strand *strand)
{
    WEIR_ASSERT(strand->mail_count == 0);
    if (strand->keyed) {
        struct weir_strand **at = weir_strand_table_bucket(table, strand->class, strand->key);
        while (*at != strand)
            at = &(*at)->chain;
        *at = strand->chain;
    }
    strand->state = WEIR_STRAND_IDLE;
    strand->class = NULL;
    strand->chain = table->pool;
    table->pool = strand;
    WEIR_ASSERT(table->live_count > 0);
    table->live_count--;
}
