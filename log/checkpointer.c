/*
 * log/checkpointer.c - a checkpoint while the store goes on: what it says is decided first, then made true, then said.
 *
 *     STATES      the broker's state of every partition is taken, and what was appended before it becomes durable
 *     SYNCING     the image is made, of what is safe at this instant; partitions are written and synced up to it
 *     NAMES       the directories of new segments are synced
 *     PUBLISHING  checkpoint-R-J is replaced; then the journal's frames before the image are free
 *
 * The image covers every frame that was durable when it was made and nothing else, so it never waits for the journal:
 * a journal without an extent left waits for it. Only the states do, for a moment: one that is newer than what is safe would
 * make recovery believe in batches that are lost; where it does not come in time the state of the checkpoint before is used again,
 * which is older and as true. Each state goes with the offset behind it (8 bytes before the broker's).
 *
 * What fails is not tried again: an error of a sync ends writing; a full disk ends this checkpoint.
 *
 * Bounded: WEIR_SYNCS_MAX at once; the image is as large as the file. Proof: tests/log/store_test.c, tests/log/crash_sim.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/store_own.h"

#define STATES_NS WEIR_S_NS
enum { STATE_HEAD_BYTES = 8 };

struct sync_op {
    struct weir_io_op op;
    struct weir_segment *segment;
    uint64_t byte_count;
};

struct names_job {
    struct weir_store *store;
    struct weir_data *data;
    struct weir_disk *disk;
    char **folders;
    uint32_t folder_count;
    int result;
};

struct publish_job {
    struct weir_store *store;
    struct weir_data *data;
    struct weir_disk *disk;
    uint8_t *bytes;
    size_t byte_count;
    int result;
    char path[WEIR_LOG_PATH_BYTES];
};

static struct weir_partition *partition_of(struct weir_list *node)
{
    return WEIR_CONTAINER(node, struct weir_partition, node);
}

/* ---- States ---------------------------------------------------------------------------------------- */

static void take_state(struct weir_store *store, struct weir_partition *partition)
{
    bool known = partition->has_state && partition->state_offset == partition->end_offset;
    if (!partition->opened || !store->options.state || known)
        return;
    size_t byte_count = 0;
    void *state = store->options.state(store->options.context, partition, &byte_count);
    if (byte_count == WEIR_STATE_KEPT)
        return;
    free(partition->next_state);
    partition->next_state = state;
    partition->next_state_bytes = partition->next_state ? (uint32_t)byte_count : 0;
    partition->next_state_offset = partition->end_offset;
    partition->has_next_state = true;
}

static void choose_state(struct weir_partition *partition)
{
    if (!partition->has_next_state || partition->next_state_offset > partition->safe_offset)
        return;
    free(partition->state);
    partition->state = partition->next_state;
    partition->state_bytes = partition->next_state_bytes;
    partition->state_offset = partition->next_state_offset;
    partition->has_state = true;
    partition->has_next_state = false;
    partition->next_state = NULL;
}

static void on_deadline(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    (void)reactor, (void)timer;
    weir_store_arm(context);
}

static void begin(struct weir_store *store)
{
    struct weir_checkpointer *check = &store->check;
    check->stage = WEIR_CHECK_STATES;
    check->wanted = false;
    check->began_ns = store->reactor->now_ns;
    check->entries_needed = store->entries_given;
    check->deadline_ns = store->reactor->now_ns + STATES_NS;
    WEIR_LIST_EACH(node, &store->partitions)
        take_state(store, partition_of(node));
    if (store->entries_done < check->entries_needed)
        weir_timer_set(store->reactor, &check->deadline_timer, STATES_NS, on_deadline, store);
}

/* ---- The image ------------------------------------------------------------------------------------- */

/* Of a segment, the bytes before safe_position. Only what is safe is ever written; an older run's positions mean nothing. */
static uint64_t safe_bytes(const struct weir_partition *partition, const struct weir_segment *segment)
{
    if (segment->written_bytes == segment->byte_count)
        return segment->byte_count;
    if (partition->safe_position <= segment->start_position)
        return 0;
    uint64_t bytes = partition->safe_position - segment->start_position;
    return bytes < segment->byte_count ? bytes : segment->byte_count;
}

static uint32_t put_segments(struct weir_partition *partition, struct weir_checkpoint_segment *segments)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < partition->segment_count; i++) {
        struct weir_segment *segment = partition->segments[i];
        segment->check_bytes = safe_bytes(partition, segment);
        if (segment->check_bytes == 0 || segment->end_offset <= partition->start_durable)
            continue;
        segments[count++] = (struct weir_checkpoint_segment){segment->base_offset, segment->check_bytes, segment->timestamp_ms,
                                                             segment->created_ms};
    }
    return count;
}

static int put_partition(struct weir_checkpointer *check, struct weir_partition *partition)
{
    size_t state_bytes = partition->has_state ? STATE_HEAD_BYTES + partition->state_bytes : 0;
    struct weir_checkpoint_segment *segments = malloc((partition->segment_count + 1) * sizeof *segments + state_bytes);
    if (!segments)
        return -ENOMEM;
    uint8_t *state = (uint8_t *)(segments + partition->segment_count + 1);
    if (state_bytes > 0) {
        memcpy(state, &partition->state_offset, STATE_HEAD_BYTES);
        if (partition->state_bytes > 0)
            memcpy(state + STATE_HEAD_BYTES, partition->state, partition->state_bytes);
    }
    struct weir_checkpoint_partition entry = {
        .topic = partition->topic,
        .partition = partition->number,
        .segment_count = put_segments(partition, segments),
        .start_offset = partition->start_offset,
        .end_offset = partition->safe_offset,
        .segments = segments,
        .state = state_bytes > 0 ? state : NULL,
        .state_bytes = (uint32_t)state_bytes,
    };
    weir_checkpoint_add_partition(&check->image, &entry);
    partition->check_offset = partition->safe_offset;
    partition->check_position = partition->safe_position;
    free(segments);
    return 0;
}

static void put_rows(struct weir_store *store)
{
    for (uint32_t t = 0; t < store->table_count; t++) {
        const struct weir_table *table = &store->tables[t];
        for (uint32_t i = 0; i < table->bucket_count; i++)
            for (const struct weir_data_row *row = table->buckets[i]; row; row = row->next) {
                struct weir_checkpoint_row entry = {table->number, row->version, row->bytes, row->bytes + row->key_bytes,
                                                    row->key_bytes, row->value_bytes};
                weir_checkpoint_add_row(&store->check.image, &entry);
            }
    }
}

static int make_image(struct weir_store *store)
{
    struct weir_checkpointer *check = &store->check;
    bool all = store->entries_done == store->entries_given;
    check->sequence = all ? weir_journal_next_sequence(store->journal) : store->done_sequence + 1;
    weir_checkpoint_begin(&check->image);
    WEIR_LIST_EACH(node, &store->partitions) {
        choose_state(partition_of(node));
        int result = put_partition(check, partition_of(node));
        if (result < 0)
            return result;
    }
    put_rows(store);
    struct weir_checkpoint_head head = {store->data->node, store->data->run, store->reactor->index, check->sequence};
    return weir_checkpoint_finish(&check->image, &head);
}

/* ---- Making it true -------------------------------------------------------------------------------- */

static struct weir_segment *next_unsynced(const struct weir_partition *partition)
{
    for (uint32_t i = 0; i < partition->segment_count; i++)
        if (partition->segments[i]->synced_bytes < partition->segments[i]->check_bytes)
            return partition->segments[i];
    return NULL;
}

static int push_folder(struct weir_checkpointer *check, char *path, int levels)
{
    for (int i = 0; i < levels; i++)
        *strrchr(path, '/') = 0;
    for (uint32_t i = check->folder_count; i-- > 0 && check->folder_count - i < 4;)
        if (strcmp(check->folders[i], path) == 0)
            return 0;
    if (check->folder_count == check->folder_room) {
        uint32_t room = check->folder_room ? check->folder_room * 2 : 16;
        char **grown = realloc(check->folders, room * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        check->folders = grown;
        check->folder_room = room;
    }
    check->folders[check->folder_count] = strdup(path);
    return check->folders[check->folder_count] ? (int)check->folder_count++ : -ENOMEM;
}

/* The names that lead to the new segments of a partition; the outermost for every new partition. */
static int note_names(struct weir_checkpointer *check, struct weir_partition *partition)
{
    int result = 0;
    bool any = false;
    char path[WEIR_LOG_PATH_BYTES];
    for (uint32_t i = 0; i < partition->segment_count && result >= 0; i++) {
        struct weir_segment *segment = partition->segments[i];
        if (segment->name_synced || segment->check_bytes == 0)
            continue;
        segment->name_synced = true; /* if the sync fails, nothing is ever said again */
        if (!any && (result = weir_segment_path(segment, ".log", path)) >= 0)
            result = push_folder(check, path, 1);
        any = true;
    }
    if (any && partition->folder_new && result >= 0 && (result = push_folder(check, path, 1)) >= 0)
        result = push_folder(check, path, 1);
    if (any)
        partition->folder_new = false;
    return result < 0 ? result : 0;
}

static void leave_list(struct weir_partition *partition)
{
    weir_list_remove(&partition->check);
    if (weir_list_empty(&partition->store->check.partitions))
        weir_store_arm(partition->store);
}

static void end_sync(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    (void)data, (void)more;
    struct sync_op *sync = WEIR_CONTAINER(op, struct sync_op, op);
    struct weir_segment *segment = sync->segment;
    struct weir_partition *partition = segment->partition;
    struct weir_store *store = partition->store;
    store->check.sync_count--;
    partition->syncing = false;
    if (result == 0)
        segment->synced_bytes = sync->byte_count;
    free(sync);
    weir_store_end_op(store);
    if (result < 0)
        weir_store_fail(store, result);
    else
        weir_check_look(partition);
    weir_segment_unpin(segment);
    weir_partition_unpin(partition);
    weir_store_arm(store);
}

static void start_sync(struct weir_partition *partition, struct weir_segment *segment)
{
    struct weir_store *store = partition->store;
    struct sync_op *sync = calloc(1, sizeof *sync);
    if (!sync)
        return; /* the next step tries again */
    WEIR_ASSERT(segment->fd >= 0); /* it has unsynced bytes */
    sync->segment = segment;
    sync->byte_count = segment->written_bytes;
    sync->op = (struct weir_io_op){.kind = WEIR_IO_SYNC, .fd = segment->fd, .done = end_sync};
    sync->op.data_only = true;
    if (weir_store_start_op(store, &sync->op) < 0) {
        free(sync);
        return;
    }
    partition->syncing = true;
    store->check.sync_count++;
    weir_partition_pin(partition);
    weir_segment_pin(segment);
}

void weir_check_look(struct weir_partition *partition)
{
    struct weir_store *store = partition->store;
    struct weir_checkpointer *check = &store->check;
    if (weir_list_empty(&partition->check) || check->stage != WEIR_CHECK_SYNCING || partition->syncing || store->error)
        return;
    if (partition->written_position < partition->check_position) {
        weir_flush_want(partition);
        return;
    }
    struct weir_segment *segment = next_unsynced(partition);
    if (segment && check->sync_count < WEIR_SYNCS_MAX) {
        start_sync(partition, segment);
    } else if (!segment) {
        int result = note_names(check, partition);
        if (result < 0)
            weir_store_fail(store, result);
        leave_list(partition);
    }
}

void weir_check_leave(struct weir_partition *partition)
{
    if (!weir_list_empty(&partition->check))
        leave_list(partition);
}

static void end_check(struct weir_store *store)
{
    struct weir_checkpointer *check = &store->check;
    check->stage = WEIR_CHECK_IDLE;
    free(check->image.bytes);
    check->image = (struct weir_checkpoint_writer){0};
    for (uint32_t i = 0; check->folders && i < check->folder_count; i++)
        free(check->folders[i]);
    check->folder_count = 0;
    for (struct weir_list *node; (node = weir_list_pop_front(&check->partitions));) {
        struct weir_partition *partition = WEIR_CONTAINER(node, struct weir_partition, check);
        if (weir_list_empty(&partition->dirty) && !partition->left)
            weir_list_push_back(&store->dirty, &partition->dirty);
    }
    weir_store_arm(store);
}

static void begin_syncing(struct weir_store *store)
{
    struct weir_checkpointer *check = &store->check;
    weir_timer_cancel(store->reactor, &check->deadline_timer);
    int result = make_image(store);
    if (result < 0) { /* no memory just now */
        end_check(store);
        return;
    }
    check->stage = WEIR_CHECK_SYNCING;
    for (struct weir_list *node; (node = weir_list_pop_front(&store->dirty));) {
        struct weir_partition *partition = WEIR_CONTAINER(node, struct weir_partition, dirty);
        weir_list_push_back(&check->partitions, &partition->check);
    }
    /* What is not safe yet is of the next checkpoint. */
    WEIR_LIST_EACH(node, &check->partitions) {
        struct weir_partition *partition = WEIR_CONTAINER(node, struct weir_partition, check);
        weir_flush_look(partition);
        if (partition->safe_position < partition->end_position)
            weir_list_push_back(&store->dirty, &partition->dirty);
    }
}

/* ---- Names, and saying it ------------------------------------------------------------------------ */

static void run_names(void *context)
{
    struct names_job *job = context;
    for (uint32_t i = 0; i < job->folder_count && job->result >= 0; i++) {
        int result = weir_disk_sync_directory(job->disk, job->folders[i]);
        job->result = result == -ENOENT ? 0 : result; /* its topic was dropped meanwhile */
    }
    if (job->result < 0)
        weir_store(&job->data->failed, 1, release);
}

static void on_names(struct weir_reactor *reactor, void *context)
{
    (void)reactor;
    struct names_job *job = context;
    struct weir_store *store = job->store;
    if (job->result < 0)
        weir_store_fail(store, job->result);
    else
        store->check.folder_count = 0;
    for (uint32_t i = 0; i < job->folder_count; i++)
        free(job->folders[i]);
    free(job->folders);
    free(job);
    weir_store_end_job(store);
    weir_store_arm(store);
}

static int start_names(struct weir_store *store)
{
    struct weir_checkpointer *check = &store->check;
    struct names_job *job = calloc(1, sizeof *job);
    if (!job)
        return -ENOMEM;
    *job = (struct names_job){store, store->data, store->disk, check->folders, check->folder_count, 0};
    int result = weir_store_job(store, run_names, on_names, job);
    if (result < 0) {
        free(job);
        return result;
    }
    check->folders = NULL; /* the job's; the count stays until it is over */
    check->folder_room = 0;
    return 0;
}

static void run_publish(void *context)
{
    struct publish_job *job = context;
    job->result = weir_load(&job->data->failed, acquire) ? -EIO : 0; /* names it is about may be lost with another store's */
    if (job->result == 0)
        job->result = weir_disk_replace(job->disk, job->path, job->bytes, job->byte_count);
}

static void count_check(struct weir_store *store)
{
    uint64_t took_ns = store->reactor->now_ns - store->check.began_ns;
    store->counters.checkpoints++;
    if (took_ns > store->counters.checkpoint_ns_max)
        store->counters.checkpoint_ns_max = took_ns;
}

static void on_published(struct weir_reactor *reactor, void *context)
{
    (void)reactor;
    struct publish_job *job = context;
    struct weir_store *store = job->store;
    if (job->result == 0) {
        count_check(store);
        if (store->journal)
            weir_journal_release(store->journal, store->check.sequence);
        WEIR_LIST_EACH_SAFE(node, &store->partitions) {
            struct weir_partition *partition = partition_of(node);
            partition->covered_offset = partition->check_offset;
            if (partition->loose_end > 0)
                weir_partition_advance(partition);
        }
    } else if (job->result == -ENOSPC || job->result == -EDQUOT || job->result == -ENOMEM) {
        weir_mend_full(store, -ENOSPC);
        store->check.wanted = true;
    } else {
        weir_store_fail(store, job->result);
    }
    end_check(store);
    free(job->bytes);
    free(job);
    weir_store_end_job(store);
}

static int publish(struct weir_store *store)
{
    struct weir_checkpointer *check = &store->check;
    struct publish_job *job = calloc(1, sizeof *job);
    if (!job)
        return -ENOMEM;
    *job = (struct publish_job){.store = store, .data = store->data, .disk = store->disk, .bytes = check->image.bytes, .byte_count = check->image.used};
    snprintf(job->path, sizeof job->path, "%s/checkpoint-%llu-%u", store->folder, (unsigned long long)store->data->run,
             store->reactor->index);
    int result = weir_store_job(store, run_publish, on_published, job);
    if (result < 0) {
        free(job);
        return result;
    }
    check->image.bytes = NULL;
    return 0;
}

/* ---- The steps, in the hook ------------------------------------------------------------------------ */

static bool is_due(const struct weir_store *store)
{
    if (store->error || store->full)
        return false;
    return store->check.wanted || weir_journal_unreleased_bytes(store->journal) >= store->options.checkpoint_bytes ||
           (weir_journal_error(store->journal) == -ENOSPC && weir_journal_unreleased_bytes(store->journal) > 0);
}

static void on_time(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    (void)reactor, (void)timer;
    struct weir_store *store = context;
    store->check.timed = false;
    weir_store_checkpoint(store);
}

static void time_next(struct weir_store *store)
{
    struct weir_checkpointer *check = &store->check;
    bool any = !weir_list_empty(&store->dirty) || store->entries_given > store->entries_done;
    if (check->timed || !any || store->error || store->closing)
        return;
    check->timed = true;
    weir_timer_set(store->reactor, &check->timer, store->options.checkpoint_ns, on_time, store);
}

static void go_on_syncing(struct weir_store *store)
{
    struct weir_checkpointer *check = &store->check;
    WEIR_LIST_EACH_SAFE(node, &check->partitions) {
        if (check->sync_count == WEIR_SYNCS_MAX)
            return;
        weir_check_look(WEIR_CONTAINER(node, struct weir_partition, check));
    }
    if (!weir_list_empty(&check->partitions) || store->error)
        return;
    check->stage = WEIR_CHECK_NAMES;
    if (check->folder_count > 0 && start_names(store) < 0)
        weir_store_fail(store, -ENOMEM);
}

void weir_check_step(struct weir_store *store)
{
    struct weir_checkpointer *check = &store->check;
    bool hopeless = store->error || (store->full && store->draining);
    if (hopeless && check->stage != WEIR_CHECK_IDLE && store->under_way == 0) {
        end_check(store);
    }
    if (store->error || !store->journal)
        return;
    if (check->stage == WEIR_CHECK_IDLE && is_due(store))
        begin(store);
    if (check->stage == WEIR_CHECK_STATES &&
        (store->entries_done >= check->entries_needed || store->reactor->now_ns >= check->deadline_ns))
        begin_syncing(store);
    if (check->stage == WEIR_CHECK_SYNCING)
        go_on_syncing(store);
    if (check->stage == WEIR_CHECK_NAMES && check->folder_count == 0 && !store->error) {
        check->stage = WEIR_CHECK_PUBLISHING;
        if (publish(store) < 0)
            end_check(store);
    }
    time_next(store);
}

void weir_store_checkpoint(struct weir_store *store)
{
    store->check.wanted = true;
    weir_store_arm(store);
}

void weir_check_free(struct weir_store *store)
{
    struct weir_checkpointer *check = &store->check;
    weir_timer_cancel(store->reactor, &check->timer);
    weir_timer_cancel(store->reactor, &check->deadline_timer);
    for (uint32_t i = 0; check->folders && i < check->folder_count; i++)
        free(check->folders[i]);
    free(check->folders);
    free(check->image.bytes);
}
