/*
 * sched/bucket_table.h - buckets found by key (an address, a client, a topic): fixed size, 16 bytes
 * each.
 *
 * Open addressing in windows of eight entries (two cache lines): a key lives in the window its hash
 * names, anywhere in it. A bucket that is full again says nothing, so its entry is free to take:
 * forgetting it loses nothing. A window in which every bucket is in use is full; keys that come
 * then share one overflow bucket: limited together, never unlimited. A key is known by its 64-bit
 * hash: seed the hash, and two keys that meet share a bucket.
 *
 * One reactor's. All buckets of a table have one rate.
 */
#ifndef WEIR_SCHED_BUCKET_TABLE_H
#define WEIR_SCHED_BUCKET_TABLE_H

#include "sched/bucket.h"

enum { WEIR_BUCKET_TABLE_WINDOW = 8 };

struct weir_bucket_entry {
    uint64_t hash; /* 0: never used */
    struct weir_bucket bucket;
};

struct weir_bucket_table {
    struct weir_bucket_rate rate;
    struct weir_bucket_entry *entries;
    uint64_t window_mask;
    struct weir_bucket overflow;
    uint64_t evicted;    /* entries taken over from an idle key */
    uint64_t overflowed; /* look-ups that got the overflow bucket */
};

/* entry_count: a power of two, at least the window. -EINVAL, -ENOMEM. */
int weir_bucket_table_init(struct weir_bucket_table *table, const struct weir_bucket_rate *rate,
                           uint32_t entry_count);
void weir_bucket_table_deinit(struct weir_bucket_table *table);
/* The bucket of a key; never NULL. Valid until the next find. */
struct weir_bucket *weir_bucket_table_find(struct weir_bucket_table *table, uint64_t hash,
                                           uint64_t now_ns);

#endif
