/*
 * sched/bucket_table.c - buckets found by key.
 *
 * A look-up reads one window and no more, found or not: there are no chains and no tombstones to
 * keep in order when an entry changes hands. Bound: entry_count keys in use, all others share
 * `overflow`. Proof: tests/sched/bucket_table_test.c.
 */
#include "sched/bucket_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int weir_bucket_table_init(struct weir_bucket_table *table, const struct weir_bucket_rate *rate,
                           uint32_t entry_count)
{
    if (entry_count < WEIR_BUCKET_TABLE_WINDOW || (entry_count & (entry_count - 1)) != 0)
        return -EINVAL;
    size_t bytes = (size_t)entry_count * sizeof(struct weir_bucket_entry);
    struct weir_bucket_entry *entries = aligned_alloc(
        WEIR_BUCKET_TABLE_WINDOW * sizeof(struct weir_bucket_entry), bytes);
    if (entries == NULL)
        return -ENOMEM;
    memset(entries, 0, bytes);
    *table = (struct weir_bucket_table){
        .rate = *rate,
        .entries = entries,
        .window_mask = entry_count / WEIR_BUCKET_TABLE_WINDOW - 1,
    };
    return 0;
}

void weir_bucket_table_deinit(struct weir_bucket_table *table)
{
    free(table->entries);
    table->entries = NULL;
}

struct weir_bucket *weir_bucket_table_find(struct weir_bucket_table *table, uint64_t hash,
                                           uint64_t now_ns)
{
    if (hash == 0)
        hash = 1;
    /* The upper half names the window, so that tables and their users may take the lower bits. */
    struct weir_bucket_entry
        *window = &table->entries[(hash >> 32 & table->window_mask) * WEIR_BUCKET_TABLE_WINDOW];
    struct weir_bucket_entry *idle = NULL;
    for (uint32_t i = 0; i < WEIR_BUCKET_TABLE_WINDOW; i++) {
        if (window[i].hash == hash)
            return &window[i].bucket;
        if (idle == NULL && weir_bucket_ahead(window[i].bucket.tat, &table->rate, now_ns) == 0)
            idle = &window[i];
    }
    if (idle == NULL) {
        table->overflowed++;
        return &table->overflow;
    }
    table->evicted += idle->hash != 0;
    *idle = (struct weir_bucket_entry){.hash = hash};
    return &idle->bucket;
}
