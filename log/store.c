/*
 * log/store.c - one reactor's share of a data directory: what is common to its partitions and tables.
 *
 * All that follows from a turn happens in one hook at its end: memory is acknowledged, writes start, checkpoints take
 * their next step, waiters are called. What is under way in the io or on a pool thread is counted, and a drain waits for it.
 *
 * Proof: tests/log/store_test.c, tests/log/crash_sim.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/work.h>

#include "log/store_own.h"

#define TAIL_BYTES_MAX ((uint64_t)64 << 20)
#define CHECKPOINT_NS (30 * WEIR_S_NS)
enum { EXTENT_BYTES = 16 << 20, EXTENTS_MAX = 8 };

/* ---- What is under way --------------------------------------------------------------------------- */

void weir_store_arm(struct weir_store *store)
{
    if (!store->closing)
        weir_reactor_arm_hook(store->reactor, &store->hook);
}

int weir_store_start_op(struct weir_store *store, struct weir_io_op *op)
{
    int result = weir_io_start(store->reactor->io, op);
    if (result < 0)
        return result;
    store->under_way++;
    store->reactor->file_ops++;
    return 0;
}

void weir_store_end_op(struct weir_store *store)
{
    store->under_way--;
    store->reactor->file_ops--;
    if (store->draining || store->error)
        weir_store_arm(store);
}

int weir_store_job(struct weir_store *store, void (*run)(void *context), weir_done_fn done, void *context)
{
    int result = weir_work(store->reactor, run, done, context);
    if (result == 0)
        store->under_way++;
    return result;
}

void weir_store_end_job(struct weir_store *store)
{
    store->under_way--;
    if (store->draining || store->error)
        weir_store_arm(store);
}

struct close_op {
    struct weir_io_op op;
    struct weir_store *store;
};

static void on_closed(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    (void)result, (void)data, (void)more; /* what it held was synced, or its loss was told */
    struct close_op *closing = WEIR_CONTAINER(op, struct close_op, op);
    weir_store_end_op(closing->store);
    free(closing);
}

void weir_store_close_fd(struct weir_store *store, int fd)
{
    struct close_op *closing = calloc(1, sizeof *closing);
    if (closing) {
        closing->store = store;
        closing->op = (struct weir_io_op){.kind = WEIR_IO_CLOSE, .fd = fd, .done = on_closed};
        if (weir_store_start_op(store, &closing->op) == 0)
            return;
    }
    free(closing);
    store->disk->table->close(store->disk, fd);
}

/* ---- Entries of the journal ---------------------------------------------------------------------- */

struct weir_write *weir_store_take_write(struct weir_store *store)
{
    struct weir_list *node = weir_list_pop_front(&store->free_writes);
    struct weir_write *write = node ? WEIR_CONTAINER(node, struct weir_write, node) : malloc(sizeof *write);
    if (!write)
        return NULL;
    *write = (struct weir_write){.store = store};
    weir_list_init(&write->node);
    return write;
}

void weir_store_free_write(struct weir_store *store, struct weir_write *write)
{
    weir_list_push_back(&store->free_writes, &write->node);
}

void weir_write_finish(struct weir_write *write, int result)
{
    struct weir_commit *user = write->user;
    weir_store_free_write(write->store, write);
    if (user)
        user->done(user, result);
}

static void on_commit(struct weir_commit *commit, int result)
{
    struct weir_write *write = WEIR_CONTAINER(commit, struct weir_write, commit);
    struct weir_store *store = write->store;
    store->entries_done++;
    if (result == 0 && weir_load(&store->data->failed, acquire))
        result = -EIO;
    if (result == 0)
        store->done_sequence = write->sequence;
    else if (store->journal) /* else a drain has given up what found no room */
        weir_store_fail(store, result);
    if (store->check.stage == WEIR_CHECK_STATES || store->draining)
        weir_store_arm(store);
    write->done(write, result);
}

int weir_store_journal(struct weir_store *store, const struct weir_entry *entry, struct weir_write *write)
{
    write->commit.done = on_commit;
    int result = weir_journal_append(store->journal, entry, &write->commit);
    if (result < 0) {
        weir_store_free_write(store, write);
        if (result == -EAGAIN || result == -ENOSPC)
            weir_store_arm(store); /* a checkpoint may make room */
        return result;
    }
    write->sequence = weir_journal_next_sequence(store->journal); /* of the frame that it was put into */
    store->entries_given++;
    weir_store_arm(store);
    return 0;
}

/* ---- Errors, and who waits ------------------------------------------------------------------------- */

void weir_store_fail(struct weir_store *store, int error)
{
    if (store->error)
        return;
    store->error = error;
    weir_store(&store->data->failed, 1, release); /* the others hear of it before they say anything more */
    if (store->options.on_error)
        store->options.on_error(store->options.context, error);
    WEIR_LIST_EACH_SAFE(node, &store->partitions)
        weir_partition_fail(WEIR_CONTAINER(node, struct weir_partition, node), WEIR_LEVEL_WRITTEN, error);
    weir_store_arm(store);
}

int weir_store_error(const struct weir_store *store)
{
    return store->error ? store->error : store->full;
}

bool weir_store_has_room(const struct weir_store *store)
{
    if (weir_store_refusal(store) < 0)
        return store->error || store->draining;
    if (weir_journal_full(store->journal) || weir_journal_error(store->journal) < 0)
        return false;
    return !store->pressed || !weir_list_empty(&store->clean) || store->counters.tail_bytes == 0;
}

void weir_store_wait(struct weir_store *store, struct weir_store_waiter *waiter)
{
    weir_list_push_back(&store->waiters, &waiter->node);
    weir_store_arm(store);
}

void weir_store_wait_cancel(struct weir_store_waiter *waiter)
{
    weir_list_remove(&waiter->node);
}

static void call_waiters(struct weir_store *store)
{
    struct weir_list now;
    weir_list_init(&now);
    if (!weir_store_has_room(store))
        return;
    store->pressed = false;
    weir_list_splice_back(&now, &store->waiters);
    while (!weir_list_empty(&now)) {
        if (!weir_store_has_room(store)) { /* the rest keeps its place */
            weir_list_splice_back(&now, &store->waiters);
            weir_list_splice_back(&store->waiters, &now);
            return;
        }
        struct weir_list *node = weir_list_pop_front(&now);
        struct weir_store_waiter *waiter = WEIR_CONTAINER(node, struct weir_store_waiter, node);
        waiter->fn(waiter);
    }
}

static void on_room(void *context)
{
    struct weir_store *store = context;
    int error = weir_journal_error(store->journal);
    if (error < 0 && error != -ENOSPC)
        weir_store_fail(store, error);
    weir_store_arm(store);
}

/* ---- The end of a turn --------------------------------------------------------------------------- */

static void end_turn_of_partitions(struct weir_store *store)
{
    for (struct weir_list *node; (node = weir_list_pop_front(&store->turned));)
        weir_partition_advance(WEIR_CONTAINER(node, struct weir_partition, turned));
}

static void call_tail_waiters(struct weir_store *store)
{
    struct weir_list now;
    weir_list_init(&now);
    weir_list_splice_back(&now, &store->advanced);
    for (struct weir_list *node; (node = weir_list_pop_front(&now));)
        weir_partition_waiters_due(WEIR_CONTAINER(node, struct weir_partition, advanced));
}

static void close_files(struct weir_store *store)
{
    WEIR_LIST_EACH(node, &store->partitions) {
        struct weir_partition *partition = WEIR_CONTAINER(node, struct weir_partition, node);
        for (uint32_t i = 0; i < partition->segment_count; i++) {
            struct weir_segment *segment = partition->segments[i];
            if (segment->fd < 0 || segment->pins > 0)
                continue;
            weir_list_remove(&segment->lru);
            weir_store_close_fd(store, segment->fd);
            segment->fd = -1;
            store->counters.open_files--;
        }
    }
}

/* What the journal has not written by now is told so. */
static void end_journal(struct weir_store *store)
{
    if (!store->journal)
        return;
    struct weir_journal *journal = store->journal;
    store->journal_counters = *weir_journal_counters(journal);
    store->journal = NULL;
    weir_journal_on_room(journal, NULL, NULL);
    weir_journal_close(journal);
}

/* Is there something yet that a last checkpoint waits for, or that it should say? */
static bool still_saving(struct weir_store *store)
{
    if (store->error || store->full || !store->journal)
        return false;
    if (store->entries_done < store->entries_given && weir_journal_error(store->journal) == 0)
        return true;
    if (!store->drain_checked && store->check.stage == WEIR_CHECK_IDLE) {
        store->drain_checked = true;
        weir_store_checkpoint(store);
    }
    return store->check.wanted || store->check.stage != WEIR_CHECK_IDLE || store->flush_count > 0;
}

static void drain_step(struct weir_store *store)
{
    if (!store->drained)
        return;
    if (store->reactor->counters.turns == store->drain_turn) { /* in a later turn */
        weir_store_arm(store);
        return;
    }
    if (still_saving(store))
        return;
    end_journal(store);
    if (store->under_way == 0)
        close_files(store);
    if (store->under_way > 0 || store->entries_done < store->entries_given)
        return;
    void (*done)(void *) = store->drained;
    store->drained = NULL;
    store->reactor->file_ops--;
    done(store->drained_context);
}

static void on_turn_end(struct weir_reactor *reactor, struct weir_turn_hook *hook)
{
    (void)reactor;
    struct weir_store *store = WEIR_CONTAINER(hook, struct weir_store, hook);
    end_turn_of_partitions(store);
    weir_check_step(store);
    weir_flush_pump(store);
    call_tail_waiters(store);
    weir_drop_step(store);
    if (!weir_list_empty(&store->waiters))
        call_waiters(store);
    if (store->draining)
        drain_step(store); /* last: it may free the store */
}

/* ---- Opening ------------------------------------------------------------------------------------- */

static int adopt_segment(struct weir_partition *partition, const struct weir_checkpoint_segment *from, uint64_t end_offset, bool last)
{
    struct weir_segment *segment = weir_segment_new(partition, from->base_offset);
    if (!segment || weir_partition_add_segment(partition, segment) < 0) {
        free(segment);
        return -ENOMEM;
    }
    segment->end_offset = end_offset;
    segment->byte_count = segment->written_bytes = segment->synced_bytes = segment->check_bytes = from->byte_count;
    segment->timestamp_ms = from->timestamp_ms;
    segment->created_ms = from->created_ms;
    segment->index.known_from = from->byte_count > WEIR_INDEX_BYTES ? from->byte_count : 0;
    segment->made = segment->name_synced = true;
    partition->byte_count += from->byte_count;
    if (last)
        partition->end_position = from->byte_count;
    return 0;
}

static void adopt_state(struct weir_partition *partition, struct weir_data_partition *from)
{
    if (!from->state || from->state_bytes < sizeof(uint64_t))
        return;
    memcpy(&partition->state_offset, from->state, sizeof(uint64_t));
    partition->state_bytes = from->state_bytes - (uint32_t)sizeof(uint64_t);
    partition->state = from->state;
    memmove(partition->state, partition->state + sizeof(uint64_t), partition->state_bytes);
    partition->has_state = true;
    from->state = NULL;
}

static int adopt_partition(struct weir_store *store, struct weir_data_partition *from)
{
    struct weir_partition *partition = weir_partition_new(store, &from->topic, from->partition);
    if (!partition)
        return -ENOMEM;
    for (uint32_t i = 0; i < from->segment_count; i++) {
        bool last = i + 1 == from->segment_count;
        uint64_t end_offset = last ? from->end_offset : from->segments[i + 1].base_offset;
        int result = adopt_segment(partition, &from->segments[i], end_offset, last);
        if (result < 0)
            return result;
    }
    partition->start_offset = partition->start_durable = from->start_offset;
    partition->high_watermark = partition->end_offset = partition->safe_offset = from->end_offset;
    partition->written_offset = partition->covered_offset = partition->check_offset = from->end_offset;
    partition->safe_position = partition->written_position = partition->check_position = partition->end_position;
    partition->folder_new = from->segment_count == 0;
    adopt_state(partition, from);
    return 0;
}

static int adopt(struct weir_store *store, struct weir_data_share *share)
{
    struct weir_data_row *rows = share->rows;
    share->rows = NULL;
    int result = weir_tables_adopt(store, rows);
    while (result == 0 && share->partitions) {
        struct weir_data_partition *from = share->partitions;
        result = adopt_partition(store, from);
        share->partitions = from->next;
        free(from->segments);
        free(from->state);
        free(from->tail);
        free(from);
    }
    return result;
}

static void take_options(struct weir_store *store, const struct weir_store_options *options)
{
    if (options)
        store->options = *options;
    struct weir_store_options *own = &store->options;
    if (own->extent_bytes == 0)
        own->extent_bytes = EXTENT_BYTES;
    if (own->extents_max == 0)
        own->extents_max = EXTENTS_MAX;
    if (own->tail_bytes_max == 0)
        own->tail_bytes_max = TAIL_BYTES_MAX;
    if (own->checkpoint_bytes == 0)
        own->checkpoint_bytes = own->extent_bytes * own->extents_max / 4;
    if (own->checkpoint_ns == 0)
        own->checkpoint_ns = CHECKPOINT_NS;
}

static void init_lists(struct weir_store *store)
{
    struct weir_list *const lists[] = {
        &store->partitions, &store->leaving, &store->advanced, &store->turned, &store->flush, &store->lazy, &store->dirty,
        &store->clean, &store->waiters, &store->lru, &store->free_writes, &store->free_flushes, &store->check.partitions,
        &store->hook.node,
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        weir_list_init(lists[i]);
    store->hook.fn = on_turn_end;
}

static int open_journal(struct weir_store *store, struct weir_data_share *share)
{
    char path[WEIR_LOG_PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/journal", store->folder) >= (int)sizeof path)
        return -ENAMETOOLONG;
    uint64_t capacity = store->options.extent_bytes * store->options.extents_max;
    uint64_t pending_max = (uint64_t)32 << 20;
    struct weir_journal_options options = {
        .folder = path,
        .node = store->data->node,
        .run = store->data->run,
        .journal = store->reactor->index,
        .extent_bytes = store->options.extent_bytes,
        .extents_max = (uint32_t)store->options.extents_max,
        .pending_bytes_max = capacity / 4 < pending_max ? capacity / 4 : pending_max,
    };
    char **extents = share->free_extents;
    uint32_t extent_count = share->free_extent_count;
    int result = weir_journal_open(store->reactor, &options, extents, extent_count, &store->journal);
    for (uint32_t i = 0; i < extent_count; i++)
        free(extents[i]);
    free(extents);
    share->free_extents = NULL;
    share->free_extent_count = 0;
    if (result == 0)
        weir_journal_on_room(store->journal, on_room, store);
    return result;
}

static void on_clean(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    (void)reactor, (void)timer;
    weir_store_clean(context);
}

static void free_store(struct weir_store *store)
{
    for (struct weir_list *node; (node = store->partitions.next) != &store->partitions;)
        weir_partition_free(WEIR_CONTAINER(node, struct weir_partition, node));
    for (struct weir_list *node; (node = store->leaving.next) != &store->leaving;)
        weir_partition_free(WEIR_CONTAINER(node, struct weir_partition, node));
    for (struct weir_list *node; (node = weir_list_pop_front(&store->free_writes));)
        free(WEIR_CONTAINER(node, struct weir_write, node));
    weir_flushes_free(store);
    weir_tables_free(store);
    free(store->buckets);
    free(store->folder);
    free(store);
}

int weir_store_open(struct weir_data *data, struct weir_reactor *reactor, const struct weir_store_options *options,
                    struct weir_store **store_out)
{
    struct weir_store *store = calloc(1, sizeof *store);
    if (!store)
        return -ENOMEM;
    WEIR_ASSERT(data->shares != NULL && reactor->index < data->journal_count);
    store->data = data;
    store->reactor = reactor;
    store->disk = weir_io_disk(reactor->io);
    store->folder = strdup(data->folder);
    init_lists(store);
    take_options(store, options);
    int64_t now_ms = (int64_t)(reactor->now_ns / WEIR_MS_NS);
    store->wall_base_ms = (int64_t)store->disk->table->wall_ms(store->disk) - now_ms;
    int result = store->folder ? adopt(store, &data->shares[reactor->index]) : -ENOMEM;
    if (result == 0)
        result = open_journal(store, &data->shares[reactor->index]);
    if (result < 0) {
        free_store(store);
        return result;
    }
    weir_timer_every(reactor, &store->clean_timer, WEIR_CLEAN_NS, on_clean, store);
    *store_out = store;
    return 0;
}

/* ---- Ending -------------------------------------------------------------------------------------- */

void weir_store_drain(struct weir_store *store, void (*done)(void *context), void *context)
{
    WEIR_ASSERT(!store->draining);
    store->draining = true;
    store->drained = done;
    store->drained_context = context;
    store->drain_turn = store->reactor->counters.turns;
    store->reactor->file_ops++; /* a stop waits for it */
    weir_timer_cancel(store->reactor, &store->probe_timer);
    weir_store_arm(store);
}

static void refuse_rest(struct weir_store *store)
{
    for (int level = WEIR_LEVEL_SYNCED; level <= WEIR_LEVEL_MEMORY; level++)
        WEIR_LIST_EACH_SAFE(node, &store->partitions)
            weir_partition_fail(WEIR_CONTAINER(node, struct weir_partition, node), (enum weir_log_level_kind)level, -ESHUTDOWN);
}

void weir_store_close(struct weir_store *store)
{
    WEIR_ASSERT(store->under_way == 0);
    store->draining = true;
    store->closing = true;
    end_journal(store);
    WEIR_ASSERT(store->entries_done == store->entries_given);
    refuse_rest(store);
    weir_list_remove(&store->hook.node);
    weir_timer_cancel(store->reactor, &store->clean_timer);
    weir_timer_cancel(store->reactor, &store->idle_timer);
    weir_timer_cancel(store->reactor, &store->probe_timer);
    weir_check_free(store);
    free_store(store);
}

/* ---- Looking ------------------------------------------------------------------------------------- */

struct weir_reactor *weir_store_reactor(const struct weir_store *store)
{
    return store->reactor;
}

const struct weir_store_counters *weir_store_counters(const struct weir_store *store)
{
    return &store->counters;
}

const struct weir_journal_counters *weir_store_journal_counters(const struct weir_store *store)
{
    return store->journal ? weir_journal_counters(store->journal) : &store->journal_counters;
}

void weir_store_each(struct weir_store *store, void (*fn)(void *context, struct weir_partition *partition), void *context)
{
    WEIR_LIST_EACH_SAFE(node, &store->partitions)
        fn(context, WEIR_CONTAINER(node, struct weir_partition, node));
}
