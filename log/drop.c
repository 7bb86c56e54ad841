/*
 * log/drop.c - the end of a topic's partitions: first a DROP that is durable, then the files.
 *
 *     dropped: nobody appends or reads; waiters are told      -- DROP durable -->      left: files go with the last pin
 *
 * Until the DROP is durable the partition is part of every checkpoint, so a crash finds it whole or finds it gone.
 * Proof: tests/log/store_test.c, tests/log/crash_sim.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/store_own.h"

struct remove_job {
    struct weir_store *store;
    struct weir_disk *disk;
    char folder[WEIR_LOG_PATH_BYTES];
};

static void remove_file(void *context, const char *name, bool is_directory)
{
    const struct remove_job *job = context;
    char path[WEIR_LOG_PATH_BYTES + 256];
    snprintf(path, sizeof path, "%s/%s", job->folder, name);
    if (!is_directory)
        job->disk->table->unlink(job->disk, path);
}

/* What cannot be removed now is removed by the next start: nothing names it. */
static void run_remove(void *context)
{
    struct remove_job *job = context;
    const struct weir_disk_table *table = job->disk->table;
    if (table->list(job->disk, job->folder, remove_file, job) < 0)
        return;
    table->rmdir(job->disk, job->folder);
    *strrchr(job->folder, '/') = 0;
    table->rmdir(job->disk, job->folder); /* of the topic: -ENOTEMPTY until the last partition's turn */
}

static void on_removed(struct weir_reactor *reactor, void *context)
{
    (void)reactor;
    struct remove_job *job = context;
    weir_store_end_job(job->store);
    free(job);
}

static void remove_files(struct weir_partition *partition)
{
    struct weir_store *store = partition->store;
    struct remove_job *job = calloc(1, sizeof *job);
    if (!job)
        return;
    job->store = store;
    job->disk = store->disk;
    int result = weir_data_path(job->folder, sizeof job->folder, store->folder, &partition->topic, partition->number, 0, ".log");
    char *slash = result < 0 ? NULL : strrchr(job->folder, '/');
    if (slash)
        *slash = 0;
    if (!slash || weir_store_job(store, run_remove, on_removed, job) < 0)
        free(job);
}

void weir_drop_step(struct weir_store *store)
{
    WEIR_LIST_EACH_SAFE(node, &store->leaving) {
        struct weir_partition *partition = WEIR_CONTAINER(node, struct weir_partition, node);
        if (partition->pins > 0 || !weir_list_empty(&partition->advanced) || partition->journal_pending > 0)
            continue;
        remove_files(partition);
        weir_partition_free(partition);
    }
}

void weir_partition_leave(struct weir_partition *partition)
{
    struct weir_store *store = partition->store;
    partition->left = true;
    weir_partition_unhash(partition);
    weir_list_remove(&partition->node);
    weir_list_remove(&partition->flush);
    weir_list_remove(&partition->lazy);
    weir_list_remove(&partition->dirty);
    weir_list_remove(&partition->turned);
    weir_list_push_back(&store->leaving, &partition->node);
    store->counters.partitions--;
    weir_check_leave(partition);
    weir_partition_pin(partition);
    for (int level = WEIR_LEVEL_SYNCED; level <= WEIR_LEVEL_MEMORY; level++)
        weir_partition_fail(partition, (enum weir_log_level_kind)level, -ENOENT);
    uint32_t count = partition->segment_count;
    partition->segment_count = 0;
    for (uint32_t i = 0; i < count; i++)
        weir_segment_end(partition->segments[i], true);
    weir_partition_unpin(partition);
    weir_store_arm(store);
}

static bool is_of(const struct weir_partition *partition, const struct weir_log_id *topic)
{
    return memcmp(&partition->topic, topic, sizeof *topic) == 0;
}

static void on_drop(struct weir_write *write, int result)
{
    struct weir_store *store = write->store;
    WEIR_LIST_EACH_SAFE(node, &store->partitions) {
        struct weir_partition *partition = WEIR_CONTAINER(node, struct weir_partition, node);
        if (result == 0 && partition->dropped && is_of(partition, &write->topic))
            weir_partition_leave(partition);
    }
    weir_write_finish(write, result);
}

/* Told in the hook: whoever waits is not called from within this. */
static void close_to_all(struct weir_store *store, const struct weir_log_id *topic)
{
    WEIR_LIST_EACH(node, &store->partitions) {
        struct weir_partition *partition = WEIR_CONTAINER(node, struct weir_partition, node);
        if (!is_of(partition, topic))
            continue;
        partition->dropped = true;
        if (weir_list_empty(&partition->advanced))
            weir_list_push_back(&store->advanced, &partition->advanced);
    }
    weir_store_arm(store);
}

int weir_store_drop(struct weir_store *store, const struct weir_log_id *topic, struct weir_commit *commit)
{
    struct weir_write *write = weir_store_take_write(store);
    if (!write)
        return -ENOMEM;
    struct weir_entry entry = {.type = WEIR_ENTRY_DROP, .topic = *topic};
    write->user = commit;
    write->topic = *topic;
    write->done = on_drop;
    int result = weir_store_journal(store, &entry, write);
    if (result == 0)
        close_to_all(store, topic);
    return result;
}
