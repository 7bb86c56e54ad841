/*
 * log/recovery_state.c - what a recovery has found so far: topics, partitions and rows, each by hash.
 *
 * Bounded by what the checkpoints and journals name. Proof: tests/log/data_test.c.
 */
#include "log/recovery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* ---- Chains ---- */

static struct weir_chain *first_of(const struct weir_chains *chains, uint64_t hash)
{
    return chains->bucket_count ? chains->buckets[hash & (chains->bucket_count - 1)] : NULL;
}

static int grow(struct weir_chains *chains)
{
    uint32_t bucket_count = chains->bucket_count ? chains->bucket_count * 2 : 256;
    struct weir_chain **buckets = calloc(bucket_count, sizeof(struct weir_chain *));
    if (!buckets)
        return -ENOMEM;
    for (uint32_t i = 0; i < chains->bucket_count; i++)
        for (struct weir_chain *chain = chains->buckets[i], *next; chain; chain = next) {
            next = chain->next;
            chain->next = buckets[chain->hash & (bucket_count - 1)];
            buckets[chain->hash & (bucket_count - 1)] = chain;
        }
    free(chains->buckets);
    chains->buckets = buckets;
    chains->bucket_count = bucket_count;
    return 0;
}

/* A zeroed struct of struct_bytes, whose chain is in the table. */
static void *add(struct weir_chains *chains, uint64_t hash, size_t struct_bytes)
{
    if (chains->count == chains->bucket_count && grow(chains) < 0)
        return NULL;
    struct weir_chain *chain = calloc(1, struct_bytes);
    if (!chain)
        return NULL;
    struct weir_chain **bucket = &chains->buckets[hash & (chains->bucket_count - 1)];
    *chain = (struct weir_chain){*bucket, hash};
    *bucket = chain;
    chains->count++;
    return chain;
}

/* Take everything out, each into `fn`. */
static void drain(struct weir_chains *chains, void (*fn)(struct weir_recovery *recovery, struct weir_chain *chain),
                  struct weir_recovery *recovery)
{
    for (uint32_t i = 0; i < chains->bucket_count; i++)
        for (struct weir_chain *chain = chains->buckets[i], *next; chain; chain = next) {
            next = chain->next;
            fn(recovery, chain);
        }
    free(chains->buckets);
    *chains = (struct weir_chains){0};
}

/* ---- Topics and partitions ---- */

struct weir_found_topic *weir_recovery_topic(struct weir_recovery *recovery, const struct weir_log_id *id)
{
    uint64_t hash = weir_hash_bytes(id->bytes, sizeof id->bytes, 0);
    for (struct weir_chain *chain = first_of(&recovery->topics, hash); chain; chain = chain->next) {
        struct weir_found_topic *topic = (struct weir_found_topic *)chain;
        if (memcmp(&topic->id, id, sizeof *id) == 0)
            return topic;
    }
    struct weir_found_topic *topic = add(&recovery->topics, hash, sizeof *topic);
    if (topic)
        topic->id = *id;
    return topic;
}

static uint64_t hash_of(const struct weir_log_id *topic, uint32_t number)
{
    return weir_hash_bytes(topic->bytes, sizeof topic->bytes, number + 1);
}

struct weir_found *weir_recovery_find(struct weir_recovery *recovery, const struct weir_log_id *topic, uint32_t number)
{
    for (struct weir_chain *chain = first_of(&recovery->partitions, hash_of(topic, number)); chain; chain = chain->next) {
        struct weir_found *found = (struct weir_found *)chain;
        if (found->partition->partition == number && memcmp(&found->partition->topic, topic, sizeof *topic) == 0)
            return found;
    }
    return NULL;
}

static struct weir_found *add_partition(struct weir_recovery *recovery, struct weir_found_topic *topic, uint32_t number)
{
    struct weir_data_partition *partition = calloc(1, sizeof *partition);
    struct weir_found *found = partition ? add(&recovery->partitions, hash_of(&topic->id, number), sizeof *found) : NULL;
    if (!found) {
        free(partition);
        return NULL;
    }
    partition->topic = topic->id;
    partition->partition = number;
    found->partition = partition;
    found->topic = topic;
    *recovery->last = found;
    recovery->last = &found->next;
    return found;
}

struct weir_found *weir_recovery_partition(struct weir_recovery *recovery, const struct weir_log_id *topic, uint32_t number)
{
    struct weir_found *found = weir_recovery_find(recovery, topic, number);
    if (found)
        return found;
    struct weir_found_topic *of = weir_recovery_topic(recovery, topic);
    return of ? add_partition(recovery, of, number) : NULL;
}

int weir_found_add_segment(struct weir_recovery *recovery, struct weir_found *found, uint64_t base_offset, int64_t created_ms)
{
    struct weir_data_partition *partition = found->partition;
    struct weir_checkpoint_segment *more = realloc(partition->segments, (partition->segment_count + 1) * sizeof *more);
    if (!more)
        return weir_recovery_fail(recovery, -ENOMEM, "out of memory");
    partition->segments = more;
    more[partition->segment_count++] =
        (struct weir_checkpoint_segment){.base_offset = base_offset, .timestamp_ms = -1, .created_ms = created_ms};
    found->written_bytes = 0;
    found->cut = false;
    found->renamed = true; /* also when it is there: the run may have died before it synced the name */
    return 0;
}

int weir_found_begin_at(struct weir_recovery *recovery, struct weir_found *found, uint64_t offset)
{
    struct weir_data_partition *partition = found->partition;
    recovery->buffered_bytes -= found->buffer_used;
    found->buffer_used = 0;
    partition->segment_count = 0;
    partition->end_offset = offset;
    if (partition->start_offset < offset)
        partition->start_offset = offset;
    found->touched = true;
    found->fresh = true;
    found->first_unsynced = 0;
    return weir_found_add_segment(recovery, found, offset, recovery->now_ms);
}

/* ---- Rows ---- */

static bool is_row(const struct weir_data_row *row, uint32_t table, const uint8_t *key, uint32_t key_bytes)
{
    return row->table == table && row->key_bytes == key_bytes && (key_bytes == 0 || memcmp(row->bytes, key, key_bytes) == 0);
}

static struct weir_found_row *find_row(struct weir_recovery *recovery, uint64_t hash, uint32_t table, const uint8_t *key,
                                       uint32_t key_bytes)
{
    for (struct weir_chain *chain = first_of(&recovery->rows, hash); chain; chain = chain->next) {
        struct weir_found_row *found = (struct weir_found_row *)chain;
        if (chain->hash == hash && is_row(found->row, table, key, key_bytes))
            return found;
    }
    return NULL;
}

static struct weir_data_row *new_row(uint32_t table, uint64_t version, const uint8_t *key, uint32_t key_bytes,
                                     const uint8_t *value, uint32_t value_bytes)
{
    struct weir_data_row *row = malloc(sizeof *row + (size_t)key_bytes + value_bytes);
    if (!row)
        return NULL;
    *row = (struct weir_data_row){NULL, table, key_bytes, value_bytes, version};
    if (key_bytes > 0)
        memcpy(row->bytes, key, key_bytes);
    if (value_bytes > 0)
        memcpy(row->bytes + key_bytes, value, value_bytes);
    return row;
}

int weir_recovery_row(struct weir_recovery *recovery, uint32_t table, uint64_t version, const uint8_t *key, uint32_t key_bytes,
                      const uint8_t *value, uint32_t value_bytes)
{
    uint64_t hash = weir_hash_bytes(key, key_bytes, table);
    struct weir_found_row *found = find_row(recovery, hash, table, key, key_bytes);
    if (found && found->row->version > version)
        return 0;
    struct weir_data_row *row = new_row(table, version, key, key_bytes, value, value_bytes);
    if (!row)
        return -ENOMEM;
    if (!found)
        found = add(&recovery->rows, hash, sizeof *found);
    if (!found) {
        free(row);
        return -ENOMEM;
    }
    free(found->row);
    found->row = row;
    found->removed = !value;
    return 0;
}

static void list_row(struct weir_recovery *recovery, struct weir_chain *chain)
{
    struct weir_found_row *found = (struct weir_found_row *)chain;
    if (found->removed) {
        free(found->row);
    } else {
        found->row->next = recovery->data->rows;
        recovery->data->rows = found->row;
        recovery->data->report.rows++;
    }
    free(found);
}

void weir_recovery_list_rows(struct weir_recovery *recovery)
{
    drain(&recovery->rows, list_row, recovery);
}

/* ---- The end ---- */

void weir_data_partition_free(struct weir_data_partition *partition)
{
    if (!partition)
        return;
    free(partition->segments);
    free(partition->state);
    free(partition->tail);
    free(partition);
}

static void free_row(struct weir_recovery *recovery, struct weir_chain *chain)
{
    (void)recovery;
    free(((struct weir_found_row *)chain)->row);
    free(chain);
}

static void free_found(struct weir_recovery *recovery, struct weir_chain *chain)
{
    (void)recovery;
    struct weir_found *found = (struct weir_found *)chain;
    weir_data_partition_free(found->partition);
    free(found->buffer);
    free(found);
}

static void free_topic(struct weir_recovery *recovery, struct weir_chain *chain)
{
    (void)recovery;
    free(chain);
}

void weir_recovery_free(struct weir_recovery *recovery)
{
    drain(&recovery->rows, free_row, recovery);
    drain(&recovery->partitions, free_found, recovery);
    drain(&recovery->topics, free_topic, recovery);
    free(recovery->first_sequences);
    free(recovery->chunk);
}
