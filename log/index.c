/*
 * log/index.c - where in a segment an offset is, about: an entry every 16 KiB, never evidence.
 *
 * Of a segment that this run writes the index grows in memory; when the segment takes no more it is saved beside it. Of an older one it is
 * loaded by a blocking job when somebody reads, and made anew from the heads of the batches when it is not there, is
 * not an index, or has led a reader astray. Appends to a segment that an earlier run began add entries from there on; what is below is
 * loaded when it is asked for.
 *
 * Proof: tests/log/segment_test.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "log/store_own.h"

enum { FILE_BYTES_MAX = 64 << 20, WINDOW_BYTES = 256 << 10 };

struct index_job {
    struct weir_segment *segment;
    struct weir_disk *disk;
    uint64_t base_offset;
    uint64_t limit; /* of the segment: what is behind it is known or does not count */
    bool anew;
    int result;
    struct weir_index_entry *entries;
    uint32_t count;
    uint32_t room;
    char path[WEIR_LOG_PATH_BYTES];
    char index_path[WEIR_LOG_PATH_BYTES];
};

struct save_job {
    struct weir_store *store;
    struct weir_disk *disk;
    char path[WEIR_LOG_PATH_BYTES];
    size_t byte_count;
    uint8_t bytes[];
};

static int push(struct weir_index_entry **entries, uint32_t *count, uint32_t *room, const struct weir_index_entry *entry)
{
    if (*count == *room) {
        uint32_t more = *room ? *room * 2 : 16;
        struct weir_index_entry *grown = realloc(*entries, more * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        *entries = grown;
        *room = more;
    }
    (*entries)[(*count)++] = *entry;
    return 0;
}

void weir_index_add(struct weir_segment *segment, const struct weir_batch *batch, uint64_t base_offset, uint64_t position)
{
    struct weir_index *index = &segment->index;
    uint64_t last = index->count ? index->entries[index->count - 1].position : 0;
    if (position - last >= WEIR_INDEX_BYTES) {
        struct weir_index_entry entry = {base_offset, position, segment->timestamp_ms};
        (void)push(&index->entries, &index->count, &index->room, &entry);
    }
    if (batch->last_timestamp_ms > segment->timestamp_ms) {
        segment->timestamp_ms = batch->last_timestamp_ms;
        segment->timestamp_offset = base_offset;
    }
}

/* ---- Loading, on a pool thread ------------------------------------------------------------------- */

static uint64_t get_u64(const uint8_t *at)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | at[i];
    return value;
}

static void put_u64(uint8_t *at, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static int parse(struct index_job *job, const uint8_t *bytes, size_t byte_count)
{
    uint64_t last_position = 0, last_offset = job->base_offset;
    if (byte_count % 24 != 0)
        return -EBADMSG;
    for (size_t at = 0; at < byte_count; at += 24) {
        struct weir_index_entry entry = {get_u64(bytes + at), get_u64(bytes + at + 8), (int64_t)get_u64(bytes + at + 16)};
        if (entry.position <= last_position || entry.offset <= last_offset)
            return -EBADMSG;
        if (entry.position >= job->limit)
            break;
        if (push(&job->entries, &job->count, &job->room, &entry) < 0)
            return -ENOMEM;
        last_position = entry.position;
        last_offset = entry.offset;
    }
    return 0;
}

static int load(struct index_job *job)
{
    void *bytes;
    size_t byte_count;
    int result = weir_disk_load(job->disk, job->index_path, FILE_BYTES_MAX, &bytes, &byte_count);
    if (result < 0)
        return result;
    result = parse(job, bytes, byte_count);
    free(bytes);
    if (result < 0)
        job->count = 0;
    return result;
}

/* One batch's head at `at`. Its bytes, or a negative errno. */
static int64_t see_head(struct index_job *job, const uint8_t *head, uint64_t at, int64_t *timestamp_ms)
{
    uint64_t byte_count = weir_stored_bytes(head);
    if (head[16] != 2 || byte_count < WEIR_BATCH_HEAD_BYTES || byte_count > job->limit - at)
        return -EBADMSG;
    uint64_t last = job->count ? job->entries[job->count - 1].position : 0;
    struct weir_index_entry entry = {weir_stored_base(head), at, *timestamp_ms};
    if (at - last >= WEIR_INDEX_BYTES && push(&job->entries, &job->count, &job->room, &entry) < 0)
        return -ENOMEM;
    if (weir_stored_timestamp(head) > *timestamp_ms)
        *timestamp_ms = weir_stored_timestamp(head);
    return (int64_t)byte_count;
}

static int walk_heads(struct index_job *job, int fd, uint8_t *window)
{
    uint64_t from = 0, until = 0; /* what the window holds */
    int64_t timestamp_ms = -1;
    for (uint64_t at = 0; at < job->limit;) {
        if (job->limit - at < WEIR_BATCH_HEAD_BYTES)
            return -EBADMSG;
        if (at + WEIR_BATCH_HEAD_BYTES > until) {
            uint64_t some = job->limit - at < WINDOW_BYTES ? job->limit - at : WINDOW_BYTES;
            int result = weir_disk_read_whole(job->disk, fd, window, some, at);
            if (result < 0)
                return result;
            from = at;
            until = at + some;
        }
        int64_t byte_count = see_head(job, window + (at - from), at, &timestamp_ms);
        if (byte_count < 0)
            return (int)byte_count;
        at += (uint64_t)byte_count;
    }
    return 0;
}

static int make_anew(struct index_job *job)
{
    job->count = 0;
    int fd = job->disk->table->open(job->disk, job->path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    uint8_t *window = malloc(WINDOW_BYTES);
    int result = window ? walk_heads(job, fd, window) : -ENOMEM;
    free(window);
    job->disk->table->close(job->disk, fd);
    return result;
}

static void run_load(void *context)
{
    struct index_job *job = context;
    job->result = job->anew ? -ENOENT : load(job);
    if (job->result < 0 && job->result != -ENOMEM)
        job->result = make_anew(job);
}

/* ---- And back ------------------------------------------------------------------------------------ */

/* What was missing, then what appends have added meanwhile. */
static int merge(struct weir_index *index, struct index_job *job)
{
    for (uint32_t i = 0; i < index->count; i++)
        if (index->entries[i].position >= job->limit &&
            push(&job->entries, &job->count, &job->room, &index->entries[i]) < 0)
            return -ENOMEM;
    free(index->entries);
    index->entries = job->entries;
    index->count = job->count;
    index->room = job->room;
    index->known_from = 0;
    job->entries = NULL;
    return 0;
}

static int start_load(struct weir_segment *segment);

static void end_load(struct index_job *job)
{
    struct weir_store *store = job->segment->partition->store;
    weir_segment_unpin(job->segment);
    free(job->entries);
    free(job);
    weir_store_end_job(store);
}

static void on_loaded(struct weir_reactor *reactor, void *context)
{
    (void)reactor;
    struct index_job *job = context;
    struct weir_segment *segment = job->segment;
    segment->index.loading = false;
    bool stale = segment->index.made_anew && !job->anew; /* distrusted meanwhile */
    int result = stale ? start_load(segment) : job->result < 0 ? job->result : merge(&segment->index, job);
    if (stale && result == 0) {
        end_load(job);
        return;
    }
    struct weir_list waits;
    weir_list_init(&waits);
    weir_list_splice_back(&waits, &segment->index_waits);
    for (struct weir_list *node; (node = weir_list_pop_front(&waits));) {
        struct weir_segment_wait *wait = WEIR_CONTAINER(node, struct weir_segment_wait, node);
        wait->fn(wait, result);
    }
    end_load(job);
}

static int start_load(struct weir_segment *segment)
{
    struct weir_store *store = segment->partition->store;
    struct index_job *job = calloc(1, sizeof *job);
    if (!job)
        return -ENOMEM;
    *job = (struct index_job){.segment = segment, .disk = store->disk, .base_offset = segment->base_offset,
                              .limit = segment->index.known_from, .anew = segment->index.made_anew};
    int result = weir_segment_path(segment, ".log", job->path);
    if (result >= 0)
        result = weir_segment_path(segment, ".index", job->index_path);
    if (result >= 0)
        result = weir_store_job(store, run_load, on_loaded, job);
    if (result < 0) {
        free(job);
        return result;
    }
    segment->index.loading = true;
    weir_segment_pin(segment);
    return 0;
}

int weir_index_find(struct weir_segment *segment, uint64_t offset, struct weir_segment_wait *wait,
                    struct weir_index_entry *entry_out)
{
    const struct weir_index *index = &segment->index;
    uint32_t low = 0, high = index->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (index->entries[middle].offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0) {
        *entry_out = index->entries[low - 1];
        return 1;
    }
    *entry_out = (struct weir_index_entry){segment->base_offset, 0, INT64_MIN};
    if (index->known_from == 0)
        return 1;
    int result = index->loading ? 0 : start_load(segment);
    if (result == 0)
        weir_list_push_back(&segment->index_waits, &wait->node);
    return result;
}

void weir_index_find_time(const struct weir_segment *segment, int64_t timestamp_ms, struct weir_index_entry *entry_out)
{
    const struct weir_index *index = &segment->index;
    *entry_out = (struct weir_index_entry){segment->base_offset, 0, INT64_MIN};
    for (uint32_t i = 0; i < index->count && index->entries[i].timestamp_ms < timestamp_ms; i++)
        *entry_out = index->entries[i];
}

void weir_index_distrust(struct weir_segment *segment)
{
    struct weir_index *index = &segment->index;
    if (index->made_anew)
        return;
    index->made_anew = true;
    index->count = 0;
    index->known_from = segment->written_bytes;
}

static void run_save(void *context)
{
    struct save_job *job = context;
    const struct weir_disk_table *table = job->disk->table;
    int fd = table->open(job->disk, job->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return;
    (void)weir_disk_write_whole(job->disk, fd, job->bytes, job->byte_count, 0); /* half an index is told by its reader */
    table->close(job->disk, fd);
}

static void on_saved(struct weir_reactor *reactor, void *context)
{
    (void)reactor;
    struct save_job *job = context;
    weir_store_end_job(job->store);
    free(job);
}

void weir_index_save(struct weir_segment *segment)
{
    const struct weir_index *index = &segment->index;
    struct weir_store *store = segment->partition->store;
    if (index->count == 0 || index->known_from > 0 || !segment->made)
        return;
    struct save_job *job = calloc(1, sizeof *job + 24 * (size_t)index->count);
    if (!job)
        return;
    job->store = store;
    job->disk = store->disk;
    job->byte_count = 24 * (size_t)index->count;
    for (uint32_t i = 0; i < index->count; i++) {
        put_u64(job->bytes + 24 * i, index->entries[i].offset);
        put_u64(job->bytes + 24 * i + 8, index->entries[i].position);
        put_u64(job->bytes + 24 * i + 16, (uint64_t)index->entries[i].timestamp_ms);
    }
    if (weir_segment_path(segment, ".index", job->path) < 0 || weir_store_job(store, run_save, on_saved, job) < 0)
        free(job);
}
