/*
 * log/segment.c - files of batches: made by a blocking job, opened on demand, closed when many are open.
 *
 * A segment is made when its first bytes are to be written, not before: appends do not wait for it. It is a new inode;
 * a file of that name is nobody's (recovery knows all that count) and is removed first. The names it needs are
 * synced before a checkpoint speaks of it (log/checkpointer.c).
 *
 *     planned --ready--> being made --job--> open <--lru, ready--> closed        end: unlinked with the last pin
 *
 * A segment with bytes that are not synced keeps its fd: what the kernel could not write it tells only that one.
 *
 * Bounded by WEIR_OPEN_FILES_MAX, but for those. Proof: tests/log/segment_test.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/work.h>

#include "log/store_own.h"

struct make_job {
    struct weir_segment *segment;
    struct weir_disk *disk;
    int result; /* or the fd */
    bool folder_made;
    char path[WEIR_LOG_PATH_BYTES];
};

struct open_op {
    struct weir_io_op op;
    struct weir_segment *segment;
    char path[WEIR_LOG_PATH_BYTES];
};

struct unlink_job {
    struct weir_store *store;
    struct weir_disk *disk;
    char path[WEIR_LOG_PATH_BYTES];
    char index_path[WEIR_LOG_PATH_BYTES];
};

int weir_segment_path(const struct weir_segment *segment, const char *suffix, char path[WEIR_LOG_PATH_BYTES])
{
    const struct weir_partition *partition = segment->partition;
    return weir_data_path(path, WEIR_LOG_PATH_BYTES, partition->store->folder, &partition->topic, partition->number,
                          segment->base_offset, suffix);
}

struct weir_segment *weir_segment_new(struct weir_partition *partition, uint64_t base_offset)
{
    struct weir_segment *segment = calloc(1, sizeof *segment);
    if (!segment)
        return NULL;
    segment->partition = partition;
    segment->base_offset = base_offset;
    segment->end_offset = base_offset;
    segment->timestamp_ms = -1;
    segment->timestamp_offset = base_offset;
    segment->fd = -1;
    weir_list_init(&segment->lru);
    weir_list_init(&segment->fd_waits);
    weir_list_init(&segment->index_waits);
    return segment;
}

/* ---- Making one: on a pool thread ---------------------------------------------------------------- */

static void make_folders(struct make_job *job)
{
    char *slash = strrchr(job->path, '/');
    *slash = 0;
    char *upper = strrchr(job->path, '/');
    *upper = 0;
    int result = job->disk->table->mkdir(job->disk, job->path, 0755);
    *upper = '/';
    if (result == 0 || result == -EEXIST)
        result = job->disk->table->mkdir(job->disk, job->path, 0755);
    *slash = '/';
    job->result = result == -EEXIST ? 0 : result;
}

static void run_make(void *context)
{
    struct make_job *job = context;
    const struct weir_disk_table *table = job->disk->table;
    for (int tries = 0; tries < 3; tries++) {
        job->result = table->open(job->disk, job->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (job->result == -EEXIST)
            job->result = table->unlink(job->disk, job->path);
        else if (job->result == -ENOENT)
            make_folders(job);
        else
            return;
        if (job->result < 0)
            return;
    }
    job->result = -EEXIST;
}

/* ---- Its fd ---------------------------------------------------------------------------------------- */

static void tell_waits(struct weir_segment *segment, int result)
{
    struct weir_list waits;
    weir_list_init(&waits);
    weir_list_splice_back(&waits, &segment->fd_waits);
    for (struct weir_list *node; (node = weir_list_pop_front(&waits));) {
        struct weir_segment_wait *wait = WEIR_CONTAINER(node, struct weir_segment_wait, node);
        wait->fn(wait, result);
    }
}

static void on_fd(struct weir_segment *segment, int result)
{
    struct weir_store *store = segment->partition->store;
    segment->opening = false;
    if (result >= 0) {
        segment->fd = result;
        segment->made = true;
        store->counters.open_files++;
    }
    tell_waits(segment, result < 0 ? result : 0);
    weir_segment_unpin(segment);
    weir_segments_close_idle(store, 0, WEIR_OPEN_FILES_MAX);
}

static void on_made(struct weir_reactor *reactor, void *context)
{
    (void)reactor;
    struct make_job *job = context;
    struct weir_store *store = job->segment->partition->store;
    store->counters.segments_made += job->result >= 0;
    on_fd(job->segment, job->result);
    free(job);
    weir_store_end_job(store);
}

static int make(struct weir_segment *segment)
{
    struct weir_store *store = segment->partition->store;
    struct make_job *job = calloc(1, sizeof *job);
    int result = job ? weir_segment_path(segment, ".log", job->path) : -ENOMEM;
    if (result >= 0) {
        job->segment = segment;
        job->disk = store->disk;
        result = weir_store_job(store, run_make, on_made, job);
    }
    if (result < 0)
        free(job);
    return result;
}

static void on_open(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    (void)data, (void)more;
    struct open_op *opening = WEIR_CONTAINER(op, struct open_op, op);
    struct weir_segment *segment = opening->segment;
    struct weir_store *store = segment->partition->store;
    free(opening);
    on_fd(segment, result);
    weir_store_end_op(store);
}

static int open_again(struct weir_segment *segment)
{
    struct open_op *opening = calloc(1, sizeof *opening);
    int result = opening ? weir_segment_path(segment, ".log", opening->path) : -ENOMEM;
    if (result >= 0) {
        opening->segment = segment;
        opening->op = (struct weir_io_op){.kind = WEIR_IO_OPEN, .fd = -1, .done = on_open};
        opening->op.path = opening->path;
        opening->op.open_flags = O_RDWR | O_CLOEXEC;
        result = weir_store_start_op(segment->partition->store, &opening->op);
    }
    if (result < 0)
        free(opening);
    return result;
}

int weir_segment_ready(struct weir_segment *segment, struct weir_segment_wait *wait)
{
    WEIR_ASSERT(segment->pins > 0);
    if (segment->fd >= 0)
        return 1;
    if (!segment->opening) {
        int result = segment->made ? open_again(segment) : make(segment);
        if (result < 0)
            return result;
        segment->opening = true;
        weir_segment_pin(segment);
    }
    weir_list_push_back(&segment->fd_waits, &wait->node);
    return 0;
}

/* ---- Pins, and the end ----------------------------------------------------------------------------- */

static void run_unlink(void *context)
{
    struct unlink_job *job = context;
    job->disk->table->unlink(job->disk, job->path);
    job->disk->table->unlink(job->disk, job->index_path);
}

static void on_unlinked(struct weir_reactor *reactor, void *context)
{
    (void)reactor;
    struct unlink_job *job = context;
    job->store->counters.segments_removed++;
    weir_store_end_job(job->store);
    free(job);
}

/* A file that stays behind is removed by the next start: no checkpoint names it. */
static void unlink_files(const struct weir_segment *segment)
{
    struct weir_store *store = segment->partition->store;
    struct unlink_job *job = calloc(1, sizeof *job);
    if (!job)
        return;
    job->store = store;
    job->disk = store->disk;
    if (weir_segment_path(segment, ".log", job->path) < 0 || weir_segment_path(segment, ".index", job->index_path) < 0 ||
        weir_store_job(store, run_unlink, on_unlinked, job) < 0)
        free(job);
}

void weir_segment_free(struct weir_segment *segment)
{
    weir_list_remove(&segment->lru);
    free(segment->index.entries);
    free(segment);
}

static void close_fd(struct weir_segment *segment)
{
    struct weir_store *store = segment->partition->store;
    weir_list_remove(&segment->lru);
    weir_store_close_fd(store, segment->fd);
    segment->fd = -1;
    store->counters.open_files--;
}

static void finish(struct weir_segment *segment)
{
    struct weir_partition *partition = segment->partition;
    if (segment->fd >= 0)
        close_fd(segment);
    if (segment->made && !segment->keep_file)
        unlink_files(segment);
    weir_segment_free(segment);
    weir_partition_unpin(partition);
}

void weir_segment_end(struct weir_segment *segment, bool keep_file)
{
    segment->gone = true;
    segment->keep_file = keep_file;
    weir_partition_pin(segment->partition); /* it names the file */
    if (segment->pins == 0)
        finish(segment);
}

void weir_segment_pin(struct weir_segment *segment)
{
    segment->pins++;
    weir_list_remove(&segment->lru);
}

void weir_segment_unpin(struct weir_segment *segment)
{
    WEIR_ASSERT(segment->pins > 0);
    if (--segment->pins > 0)
        return;
    struct weir_store *store = segment->partition->store;
    if (segment->gone) {
        finish(segment);
    } else if (segment->fd >= 0 && segment->synced_bytes == segment->byte_count) {
        segment->used_ns = store->reactor->now_ns;
        weir_list_push_back(&store->lru, &segment->lru);
    }
}

void weir_segments_close_idle(struct weir_store *store, uint64_t used_before_ns, uint32_t open_max)
{
    while (!weir_list_empty(&store->lru)) {
        struct weir_segment *segment = WEIR_CONTAINER(store->lru.next, struct weir_segment, lru);
        if (store->counters.open_files <= open_max && segment->used_ns >= used_before_ns)
            break;
        close_fd(segment);
    }
}
