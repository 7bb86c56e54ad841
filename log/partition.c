/*
 * log/partition.c - one partition: its segments, its end, and who is told what when.
 *
 * Proof: tests/log/partition_test.c, tests/log/crash_sim.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "log/store_own.h"

enum { SEGMENT_BYTES = 128 << 20 };
#define SEGMENT_MS ((int64_t)7 * 24 * 3600 * 1000)

/* ---- Finding and beginning ----------------------------------------------------------------------- */

static uint64_t hash_of(const struct weir_log_id *topic, uint32_t number)
{
    return weir_hash_bytes(topic, sizeof *topic, number);
}

struct weir_partition *weir_partition_find(struct weir_store *store, const struct weir_log_id *topic, uint32_t number)
{
    if (store->bucket_count == 0)
        return NULL;
    struct weir_partition *partition = store->buckets[hash_of(topic, number) & (store->bucket_count - 1)];
    while (partition && (partition->number != number || memcmp(&partition->topic, topic, sizeof *topic) != 0))
        partition = partition->hash_next;
    return partition;
}

static int grow_buckets(struct weir_store *store)
{
    if (store->counters.partitions < store->bucket_count)
        return 0;
    uint32_t count = store->bucket_count ? store->bucket_count * 2 : 64;
    struct weir_partition **buckets = calloc(count, sizeof *buckets);
    if (!buckets)
        return -ENOMEM;
    WEIR_LIST_EACH(node, &store->partitions) {
        struct weir_partition *partition = WEIR_CONTAINER(node, struct weir_partition, node);
        struct weir_partition **bucket = &buckets[hash_of(&partition->topic, partition->number) & (count - 1)];
        partition->hash_next = *bucket;
        *bucket = partition;
    }
    free(store->buckets);
    store->buckets = buckets;
    store->bucket_count = count;
    return 0;
}

static void init_lists(struct weir_partition *partition)
{
    struct weir_list *const lists[] = {
        &partition->node, &partition->pages, &partition->appends, &partition->waiters, &partition->reads, &partition->advanced,
        &partition->turned, &partition->flush, &partition->lazy, &partition->dirty, &partition->check,
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        weir_list_init(lists[i]);
}

struct weir_partition *weir_partition_new(struct weir_store *store, const struct weir_log_id *topic, uint32_t number)
{
    struct weir_partition *partition = grow_buckets(store) == 0 ? calloc(1, sizeof *partition) : NULL;
    if (!partition)
        return NULL;
    partition->store = store;
    partition->topic = *topic;
    partition->number = number;
    partition->page_bytes = WEIR_PAGE_BYTES_MIN;
    partition->folder_new = true;
    partition->config = (struct weir_partition_config){
        .segment_bytes = SEGMENT_BYTES, .segment_ms = SEGMENT_MS, .retention_ms = -1, .retention_bytes = -1};
    init_lists(partition);
    struct weir_partition **bucket = &store->buckets[hash_of(topic, number) & (store->bucket_count - 1)];
    partition->hash_next = *bucket;
    *bucket = partition;
    weir_list_push_back(&store->partitions, &partition->node);
    store->counters.partitions++;
    return partition;
}

void weir_partition_configure(struct weir_partition *partition, const struct weir_partition_config *config)
{
    partition->config = *config;
    if (config->segment_bytes == 0)
        partition->config.segment_bytes = SEGMENT_BYTES;
    if (config->segment_ms == 0)
        partition->config.segment_ms = SEGMENT_MS;
}

int weir_partition_open(struct weir_store *store, const struct weir_log_id *topic, uint32_t number,
                        const struct weir_partition_config *config, struct weir_partition **partition_out)
{
    struct weir_partition *partition = weir_partition_find(store, topic, number);
    if (!partition)
        partition = weir_partition_new(store, topic, number);
    if (!partition)
        return -ENOMEM;
    weir_partition_configure(partition, config);
    partition->opened = true;
    *partition_out = partition;
    return 0;
}

void weir_partition_unhash(struct weir_partition *partition)
{
    struct weir_store *store = partition->store;
    uint64_t bucket = hash_of(&partition->topic, partition->number) & (store->bucket_count - 1);
    struct weir_partition **at = &store->buckets[bucket];
    while (*at && *at != partition)
        at = &(*at)->hash_next;
    if (*at)
        *at = partition->hash_next;
    partition->hash_next = NULL;
}

void weir_partition_free(struct weir_partition *partition)
{
    weir_tail_forget(partition, NULL);
    for (uint32_t i = 0; i < partition->segment_count; i++)
        weir_segment_free(partition->segments[i]);
    for (struct weir_list *node; (node = weir_list_pop_front(&partition->appends));)
        weir_store_free_write(partition->store, WEIR_CONTAINER(node, struct weir_write, node));
    weir_list_remove(&partition->node);
    weir_list_remove(&partition->advanced);
    weir_list_remove(&partition->turned);
    weir_list_remove(&partition->flush);
    weir_list_remove(&partition->lazy);
    weir_list_remove(&partition->dirty);
    weir_list_remove(&partition->check);
    free(partition->segments);
    free(partition->state);
    free(partition->next_state);
    free(partition);
}

void weir_partition_pin(struct weir_partition *partition)
{
    partition->pins++;
}

void weir_partition_unpin(struct weir_partition *partition)
{
    WEIR_ASSERT(partition->pins > 0);
    partition->pins--;
    if (partition->left && partition->pins == 0)
        weir_store_arm(partition->store); /* its end is the hook's */
}

/* ---- Segments ------------------------------------------------------------------------------------ */

int weir_partition_add_segment(struct weir_partition *partition, struct weir_segment *segment)
{
    if (partition->segment_count == partition->segment_room) {
        uint32_t room = partition->segment_room ? partition->segment_room * 2 : 2;
        struct weir_segment **grown = realloc(partition->segments, room * sizeof(struct weir_segment *));
        if (!grown)
            return -ENOMEM;
        partition->segments = grown;
        partition->segment_room = room;
    }
    partition->segments[partition->segment_count++] = segment;
    return 0;
}

void weir_partition_remove_first_segment(struct weir_partition *partition)
{
    struct weir_segment *segment = partition->segments[0];
    partition->segment_count--;
    memmove(partition->segments, partition->segments + 1, partition->segment_count * sizeof(struct weir_segment *));
    partition->byte_count -= segment->byte_count;
    weir_tail_forget(partition, segment);
    weir_segment_end(segment, false);
}

int weir_partition_roll(struct weir_partition *partition)
{
    struct weir_segment *last = weir_partition_active(partition);
    struct weir_segment *segment = weir_segment_new(partition, partition->end_offset);
    if (!segment || weir_partition_add_segment(partition, segment) < 0) {
        free(segment);
        return -ENOMEM;
    }
    segment->start_position = partition->end_position;
    segment->created_ms = weir_store_wall_ms(partition->store);
    if (last)
        weir_index_save(last);
    return 0;
}

static bool wants_roll(const struct weir_partition *partition, uint32_t byte_count)
{
    const struct weir_segment *last = weir_partition_active(partition);
    if (!last)
        return true;
    if (last->byte_count == 0)
        return false;
    return last->byte_count + byte_count > partition->config.segment_bytes ||
           weir_store_wall_ms(partition->store) - last->created_ms > partition->config.segment_ms;
}

void weir_partition_trim(struct weir_partition *partition)
{
    while (partition->segment_count > 1) {
        struct weir_segment *first = partition->segments[0];
        bool done = first->written_bytes == first->byte_count;
        if (first->end_offset > partition->start_durable || first->end_offset > partition->high_watermark || !done)
            break;
        weir_partition_remove_first_segment(partition);
    }
}

/* ---- Appending ----------------------------------------------------------------------------------- */

static void on_journaled(struct weir_write *write, int result)
{
    struct weir_partition *partition = write->partition;
    partition->journal_pending--;
    weir_partition_pin(partition);
    if (result == 0) {
        write->reached = true;
        bool last = partition->journal_pending == 0;
        weir_partition_safe(partition, last ? partition->end_offset : write->end_offset,
                            last ? partition->end_position : write->end_position);
        weir_partition_advance(partition);
    } else { /* the journal is dead: nothing behind it will ever be acknowledged */
        struct weir_commit *user = write->user;
        write->user = NULL;
        if (user)
            user->done(user, result);
    }
    weir_partition_unpin(partition);
}

static int journal(struct weir_partition *partition, const uint8_t *batch, const struct weir_batch *head, struct weir_write *write)
{
    struct weir_entry entry = {
        .type = WEIR_ENTRY_BATCH,
        .topic = partition->topic,
        .place = partition->number,
        .number = partition->end_offset,
        .body = batch,
        .body_bytes = head->byte_count,
    };
    write->done = on_journaled;
    int result = weir_store_journal(partition->store, &entry, write);
    if (result == 0)
        partition->journal_pending++;
    return result;
}

static int refusal(struct weir_partition *partition)
{
    struct weir_store *store = partition->store;
    int result = weir_store_refusal(store);
    if (result < 0)
        return result;
    if (partition->dropped)
        return -ENOENT;
    if (partition->config.level == WEIR_LEVEL_SYNCED && weir_journal_full(store->journal)) {
        weir_store_checkpoint(store);
        return -EAGAIN;
    }
    return 0;
}

static void note_append(struct weir_partition *partition, const struct weir_batch *batch, struct weir_write *write)
{
    struct weir_store *store = partition->store;
    struct weir_segment *segment = weir_partition_active(partition);
    weir_index_add(segment, batch, partition->end_offset, segment->byte_count);
    segment->byte_count += batch->byte_count;
    segment->end_offset = write->end_offset;
    partition->byte_count += batch->byte_count;
    partition->end_offset = write->end_offset;
    partition->end_position = write->end_position;
    partition->append_ns = store->reactor->now_ns;
    weir_list_push_back(&partition->appends, &write->node);
    if (weir_list_empty(&partition->dirty))
        weir_list_push_back(&store->dirty, &partition->dirty);
    weir_list_remove(&segment->lru);
    store->counters.appends++;
    store->counters.append_bytes += batch->byte_count;
    weir_store_arm(store);
}

/* Not in the journal: where a later synced batch has to wait for a checkpoint of what is before it. */
static void note_loose(struct weir_partition *partition, struct weir_write *write)
{
    write->reached = write->level == WEIR_LEVEL_MEMORY;
    partition->loose_end = partition->end_offset;
    if (partition->journal_pending == 0)
        weir_partition_safe(partition, partition->end_offset, partition->end_position);
    if (weir_list_empty(&partition->turned))
        weir_list_push_back(&partition->store->turned, &partition->turned);
}

static int append(struct weir_partition *partition, const uint8_t *bytes, const struct weir_batch *batch, struct weir_write *write)
{
    int result = 0;
    struct weir_tail_page *page = weir_tail_reserve(partition, batch->byte_count, &result);
    if (!page) {
        weir_store_free_write(partition->store, write);
        return result;
    }
    uint64_t base_offset = partition->end_offset;
    write->end_offset = base_offset + batch->last_delta + 1;
    write->end_position = partition->end_position + batch->byte_count;
    uint8_t *copy = page->bytes + page->used;
    memcpy(copy, bytes, batch->byte_count);
    weir_batch_place(copy, base_offset, 0);
    if (write->level == WEIR_LEVEL_SYNCED && (result = journal(partition, copy, batch, write)) < 0)
        return result;
    weir_tail_commit(partition, page, batch->byte_count, base_offset, write->end_offset);
    note_append(partition, batch, write);
    if (write->level != WEIR_LEVEL_SYNCED)
        note_loose(partition, write);
    return 0;
}

int weir_partition_append(struct weir_partition *partition, const uint8_t *bytes, const struct weir_batch *batch,
                          struct weir_commit *commit, uint64_t *base_out)
{
    int result = refusal(partition);
    if (result == 0 && wants_roll(partition, batch->byte_count))
        result = weir_partition_roll(partition);
    if (result < 0)
        return result;
    struct weir_write *write = weir_store_take_write(partition->store);
    if (!write)
        return -ENOMEM;
    write->partition = partition;
    write->user = commit;
    write->level = partition->config.level;
    *base_out = partition->end_offset;
    return append(partition, bytes, batch, write);
}

/* ---- What has reached its level ------------------------------------------------------------------ */

void weir_partition_safe(struct weir_partition *partition, uint64_t offset, uint64_t position)
{
    if (position <= partition->safe_position)
        return;
    partition->safe_offset = offset;
    partition->safe_position = position;
    weir_flush_look(partition);
}

/* A synced batch behind ones that only a segment has waits for a checkpoint of those. */
static bool held(struct weir_partition *partition, const struct weir_write *write)
{
    if (write->level != WEIR_LEVEL_SYNCED || partition->loose_end == 0)
        return false;
    if (partition->covered_offset >= partition->loose_end) {
        partition->loose_end = 0;
        return false;
    }
    weir_store_checkpoint(partition->store);
    return true;
}

void weir_partition_advance(struct weir_partition *partition)
{
    struct weir_store *store = partition->store;
    weir_partition_pin(partition);
    while (!weir_list_empty(&partition->appends)) {
        struct weir_write *write = WEIR_CONTAINER(partition->appends.next, struct weir_write, node);
        if (!write->reached || held(partition, write))
            break;
        partition->high_watermark = write->end_offset;
        if (weir_list_empty(&partition->advanced)) {
            weir_list_push_back(&store->advanced, &partition->advanced);
            weir_store_arm(store);
        }
        weir_list_remove(&write->node);
        weir_write_finish(write, 0);
    }
    weir_partition_unpin(partition);
}

void weir_partition_on_written(struct weir_partition *partition)
{
    WEIR_LIST_EACH(node, &partition->appends) {
        struct weir_write *write = WEIR_CONTAINER(node, struct weir_write, node);
        if (write->end_position > partition->written_position)
            break;
        if (write->level == WEIR_LEVEL_WRITTEN)
            write->reached = true;
    }
    weir_partition_advance(partition);
    weir_check_look(partition);
    weir_flush_look(partition);
}

void weir_partition_fail(struct weir_partition *partition, enum weir_log_level_kind level, int error)
{
    struct weir_list failed;
    weir_list_init(&failed);
    WEIR_LIST_EACH(node, &partition->appends) {
        struct weir_write *write = WEIR_CONTAINER(node, struct weir_write, node);
        bool over = write->reached && error == -ENOSPC; /* it waits for one before it */
        if (write->level != level || over || !write->user)
            continue;
        weir_list_push_back(&failed, &write->user->node);
        write->user = NULL;
    }
    for (struct weir_list *node; (node = weir_list_pop_front(&failed));) {
        struct weir_commit *user = WEIR_CONTAINER(node, struct weir_commit, node);
        user->done(user, error);
    }
}

/* ---- Who waits at the end ------------------------------------------------------------------------ */

void weir_partition_wait(struct weir_partition *partition, struct weir_tail_waiter *waiter)
{
    struct weir_store *store = partition->store;
    weir_list_push_back(&partition->waiters, &waiter->node);
    bool due = partition->dropped || waiter->offset < partition->high_watermark;
    if (due && weir_list_empty(&partition->advanced))
        weir_list_push_back(&store->advanced, &partition->advanced);
    if (due)
        weir_store_arm(store);
}

void weir_tail_wait_cancel(struct weir_tail_waiter *waiter)
{
    weir_list_remove(&waiter->node);
}

void weir_partition_waiters_due(struct weir_partition *partition)
{
    struct weir_list due;
    weir_list_init(&due);
    WEIR_LIST_EACH_SAFE(node, &partition->waiters) {
        struct weir_tail_waiter *waiter = WEIR_CONTAINER(node, struct weir_tail_waiter, node);
        if (!partition->dropped && waiter->offset >= partition->high_watermark)
            continue;
        weir_list_remove(node);
        weir_list_push_back(&due, node);
    }
    int result = partition->dropped ? -ENOENT : 0;
    weir_partition_pin(partition);
    for (struct weir_list *node; (node = weir_list_pop_front(&due));) {
        struct weir_tail_waiter *waiter = WEIR_CONTAINER(node, struct weir_tail_waiter, node);
        waiter->fn(waiter, result);
    }
    if (partition->dropped)
        weir_reads_end(partition, -ENOENT);
    weir_partition_unpin(partition);
}

/* ---- Looking ------------------------------------------------------------------------------------- */

void weir_partition_view(const struct weir_partition *partition, struct weir_partition_view *view_out)
{
    *view_out = (struct weir_partition_view){
        .start_offset = partition->start_offset,
        .high_watermark = partition->high_watermark,
        .end_offset = partition->end_offset,
        .byte_count = partition->byte_count,
        .segment_count = partition->segment_count,
        .timestamp_ms = -1,
    };
    for (uint32_t i = 0; i < partition->segment_count; i++) {
        const struct weir_segment *segment = partition->segments[i];
        if (segment->timestamp_ms > view_out->timestamp_ms) {
            view_out->timestamp_ms = segment->timestamp_ms;
            view_out->timestamp_offset = segment->timestamp_offset;
        }
    }
}

struct weir_log_id weir_partition_topic(const struct weir_partition *partition)
{
    return partition->topic;
}

uint32_t weir_partition_number(const struct weir_partition *partition)
{
    return partition->number;
}

void *weir_partition_context(const struct weir_partition *partition)
{
    return partition->context;
}

void weir_partition_set_context(struct weir_partition *partition, void *context)
{
    partition->context = context;
}

const void *weir_partition_state(const struct weir_partition *partition, size_t *byte_count_out, uint64_t *offset_out)
{
    *byte_count_out = partition->state_bytes;
    *offset_out = partition->has_state ? partition->state_offset : partition->start_offset;
    return partition->has_state ? partition->state : NULL;
}
