/*
 * log/mend.c - a full disk: refuse appends, try a small file every second, go on when it can be written.
 *
 * Nothing is lost meanwhile: what a segment had no room for is still in the tail, and in the journal when it was
 * acknowledged there. Proof: tests/log/crash_sim.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/store_own.h"

enum { PROBE_BYTES = 64 << 10 };

struct probe_job {
    struct weir_store *store;
    struct weir_disk *disk;
    int result;
    char path[WEIR_LOG_PATH_BYTES];
};

static void time_probe(struct weir_store *store);

static void run_probe(void *context)
{
    struct probe_job *job = context;
    const struct weir_disk_table *table = job->disk->table;
    int fd = table->open(job->disk, job->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    job->result = fd;
    if (fd < 0)
        return;
    uint8_t *bytes = calloc(1, PROBE_BYTES);
    job->result = bytes ? weir_disk_write_whole(job->disk, fd, bytes, PROBE_BYTES, 0) : -ENOMEM;
    free(bytes);
    table->close(job->disk, fd);
    table->unlink(job->disk, job->path);
}

static void on_probe(struct weir_reactor *reactor, void *context)
{
    (void)reactor;
    struct probe_job *job = context;
    struct weir_store *store = job->store;
    if (job->result < 0) {
        time_probe(store);
    } else {
        store->probing = false;
        store->full = 0;
        if (store->options.on_error && !store->error)
            store->options.on_error(store->options.context, 0);
        weir_flush_all(store);
        weir_store_arm(store);
    }
    free(job);
    weir_store_end_job(store);
}

static void on_time(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    (void)reactor, (void)timer;
    struct weir_store *store = context;
    struct probe_job *job = calloc(1, sizeof *job);
    int result = job ? 0 : -ENOMEM;
    if (job) {
        job->store = store;
        job->disk = store->disk;
        snprintf(job->path, sizeof job->path, "%s/probe", store->folder);
        result = weir_store_job(store, run_probe, on_probe, job);
    }
    if (result < 0) {
        free(job);
        time_probe(store);
    }
}

static void time_probe(struct weir_store *store)
{
    if (!store->draining && !store->error)
        weir_timer_set(store->reactor, &store->probe_timer, WEIR_PROBE_NS, on_time, store);
}

void weir_mend_full(struct weir_store *store, int error)
{
    if (store->full || store->error)
        return;
    store->full = error;
    store->probing = true;
    time_probe(store);
    if (store->options.on_error)
        store->options.on_error(store->options.context, error);
    WEIR_LIST_EACH_SAFE(node, &store->partitions)
        weir_partition_fail(WEIR_CONTAINER(node, struct weir_partition, node), WEIR_LEVEL_WRITTEN, error);
    weir_store_arm(store);
}
