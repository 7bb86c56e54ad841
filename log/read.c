/*
 * log/read.c - reads of a partition: from the tail at once, or from a segment without blocking.
 *
 *     index -> fd -> read -> whole batches        each step may have to wait; the read is pinned meanwhile
 *
 * What an index entry led to is looked at before it is believed. A batch that is larger than what was read is read again, whole.
 * Bounded: one buffer for each read under way, of bytes_max and a little, or one batch. Proof: tests/log/store_test.c.
 */
#include <errno.h>
#include <stdlib.h>

#include "log/store_own.h"

struct disk_read {
    struct weir_list node; /* of the partition */
    struct weir_segment_wait wait;
    struct weir_io_op op;
    struct iovec iov;
    struct weir_partition *partition;
    struct weir_segment *segment;
    struct weir_read *read; /* NULL: cancelled */
    struct weir_buffer *buffer;
    uint64_t offset;
    uint64_t limit_offset;
    size_t bytes_max;
    uint64_t position; /* in the segment: what the buffer begins with */
    uint64_t entry_offset; /* what must be there */
    size_t want, got;
    size_t want_min;
    bool astray; /* the index has misled it once */
};

static int find_place(struct disk_read *reading);
static int find_fd(struct disk_read *reading);
static int read_some(struct disk_read *reading);

static void free_read(struct disk_read *reading)
{
    struct weir_partition *partition = reading->partition;
    if (reading->buffer)
        weir_buffer_drop(partition->store->reactor, reading->buffer);
    weir_list_remove(&reading->node);
    weir_segment_unpin(reading->segment);
    weir_partition_unpin(partition);
    free(reading);
}

static void finish(struct disk_read *reading, int result)
{
    struct weir_read *read = reading->read;
    free_read(reading);
    if (!read)
        return;
    read->own = NULL;
    read->done(read, result);
}

/* ---- What was read ------------------------------------------------------------------------------- */

static bool is_head(const uint8_t *at)
{
    return at[16] == 2 && weir_stored_bytes(at) >= WEIR_BATCH_HEAD_BYTES;
}

static int read_again(struct disk_read *reading, size_t skip, size_t want_min)
{
    reading->position += skip;
    reading->entry_offset = UINT64_MAX;
    reading->want_min = want_min;
    weir_buffer_drop(reading->partition->store->reactor, reading->buffer);
    reading->buffer = NULL;
    return read_some(reading);
}

/* Others may have been misled by the same index, and have it made anew already. */
static int go_astray(struct disk_read *reading)
{
    if (reading->astray)
        return -EIO;
    reading->astray = true;
    weir_index_distrust(reading->segment);
    weir_buffer_drop(reading->partition->store->reactor, reading->buffer);
    reading->buffer = NULL;
    return find_place(reading);
}

/* The buffer's batches from `at` on that the reader may have. */
static void hand_over(struct disk_read *reading, size_t at)
{
    struct weir_read *read = reading->read;
    const uint8_t *bytes = reading->buffer->bytes;
    size_t end = at;
    while (reading->got - end >= WEIR_BATCH_HEAD_BYTES && is_head(bytes + end)) {
        size_t batch_bytes = weir_stored_bytes(bytes + end);
        if (batch_bytes > reading->got - end || weir_stored_end(bytes + end) > reading->limit_offset ||
            (end > at && end + batch_bytes - at > reading->bytes_max))
            break;
        read->next_offset = weir_stored_end(bytes + end);
        end += batch_bytes;
    }
    if (end == at)
        return;
    read->slices[0] = (struct weir_read_slice){reading->buffer, bytes + at, end - at};
    read->slice_count = 1;
    read->byte_count = end - at;
    reading->buffer = NULL;
    reading->partition->store->counters.read_bytes += end - at;
}

/* 1: handed over; 0: more is being read; negative. */
static int look(struct disk_read *reading)
{
    const uint8_t *bytes = reading->buffer->bytes;
    if (reading->got < WEIR_BATCH_HEAD_BYTES || !is_head(bytes) ||
        (reading->entry_offset != UINT64_MAX && weir_stored_base(bytes) != reading->entry_offset))
        return go_astray(reading);
    size_t at = 0;
    while (reading->got - at >= WEIR_BATCH_HEAD_BYTES && is_head(bytes + at)) {
        size_t batch_bytes = weir_stored_bytes(bytes + at);
        if (weir_stored_end(bytes + at) > reading->offset) {
            if (batch_bytes > reading->got - at)
                return read_again(reading, at, batch_bytes);
            hand_over(reading, at);
            return 1;
        }
        at += batch_bytes;
        if (at >= reading->got)
            break;
    }
    if (at == 0)
        return -EIO;
    return read_again(reading, at, 0);
}

static void on_read(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    (void)data, (void)more;
    struct disk_read *reading = WEIR_CONTAINER(op, struct disk_read, op);
    weir_store_end_op(reading->partition->store);
    if (result <= 0 || !reading->read) {
        finish(reading, result < 0 ? result : -EIO);
        return;
    }
    reading->got += (size_t)result;
    result = reading->got < reading->want ? read_some(reading) : look(reading);
    if (result != 0)
        finish(reading, result);
}

/* ---- The steps towards it -------------------------------------------------------------------------- */

static int take_buffer(struct disk_read *reading)
{
    uint64_t left = reading->segment->written_bytes;
    if (left <= reading->position)
        return -EIO;
    left -= reading->position;
    size_t want = reading->bytes_max < WEIR_READ_BYTES_MAX ? reading->bytes_max : WEIR_READ_BYTES_MAX;
    want += WEIR_INDEX_BYTES;
    want = want > reading->want_min ? want : reading->want_min;
    if (reading->want_min > left)
        return -EIO;
    reading->want = want < left ? want : left;
    reading->got = 0;
    reading->buffer = weir_buffer_take(reading->partition->store->reactor, reading->want);
    return reading->buffer ? 0 : -ENOMEM;
}

static int read_some(struct disk_read *reading)
{
    int result = reading->buffer ? 0 : take_buffer(reading);
    if (result < 0)
        return result;
    reading->iov = (struct iovec){reading->buffer->bytes + reading->got, reading->want - reading->got};
    reading->op = (struct weir_io_op){.kind = WEIR_IO_READ, .fd = reading->segment->fd, .done = on_read};
    reading->op.iov = &reading->iov;
    reading->op.iov_count = 1;
    reading->op.offset = reading->position + reading->got;
    return weir_store_start_op(reading->partition->store, &reading->op);
}

static void on_fd(struct weir_segment_wait *wait, int result)
{
    struct disk_read *reading = WEIR_CONTAINER(wait, struct disk_read, wait);
    if (result >= 0)
        result = read_some(reading);
    if (result < 0)
        finish(reading, result);
}

static int find_fd(struct disk_read *reading)
{
    reading->wait.fn = on_fd;
    int result = weir_segment_ready(reading->segment, &reading->wait);
    return result > 0 ? read_some(reading) : result;
}

static void on_index(struct weir_segment_wait *wait, int result)
{
    struct disk_read *reading = WEIR_CONTAINER(wait, struct disk_read, wait);
    if (result >= 0)
        result = find_place(reading);
    if (result < 0)
        finish(reading, result);
}

static int find_place(struct disk_read *reading)
{
    struct weir_index_entry entry;
    reading->wait.fn = on_index;
    int result = weir_index_find(reading->segment, reading->offset, &reading->wait, &entry);
    if (result <= 0)
        return result;
    reading->position = entry.position;
    reading->entry_offset = entry.position > 0 ? entry.offset : UINT64_MAX;
    return find_fd(reading);
}

/* The last segment that begins at or before `offset`. */
static struct weir_segment *segment_of(const struct weir_partition *partition, uint64_t offset)
{
    uint32_t low = 0, high = partition->segment_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (partition->segments[middle]->base_offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? partition->segments[low - 1] : NULL;
}

static int read_disk(struct weir_partition *partition, struct weir_read *read, uint64_t limit_offset)
{
    struct weir_segment *segment = segment_of(partition, read->offset);
    if (!segment)
        return -EIO;
    struct disk_read *reading = calloc(1, sizeof *reading);
    if (!reading)
        return -ENOMEM;
    reading->partition = partition;
    reading->segment = segment;
    reading->read = read;
    reading->offset = read->offset;
    reading->limit_offset = limit_offset;
    reading->bytes_max = read->bytes_max;
    weir_list_push_back(&partition->reads, &reading->node);
    weir_partition_pin(partition);
    weir_segment_pin(segment);
    int result = find_place(reading);
    if (result < 0) {
        free_read(reading);
        return result;
    }
    read->own = reading;
    partition->store->counters.reads_disk++;
    return 0;
}

int weir_partition_read(struct weir_partition *partition, struct weir_read *read)
{
    struct weir_store *store = partition->store;
    read->partition = partition;
    read->slice_count = 0;
    read->byte_count = 0;
    read->next_offset = read->offset;
    read->own = NULL;
    if (partition->dropped)
        return -ENOENT;
    if (read->offset < partition->start_offset || read->offset > partition->high_watermark)
        return -ERANGE;
    uint64_t limit = read->limit_offset < partition->high_watermark ? read->limit_offset : partition->high_watermark;
    if (read->offset >= limit)
        return 1;
    uint32_t at;
    struct weir_tail_page *page = weir_tail_find(partition, read->offset, &at);
    if (!page)
        return read_disk(partition, read, limit);
    weir_tail_read(partition, page, at, limit, read);
    store->counters.reads_tail++;
    store->counters.read_bytes += read->byte_count;
    return 1;
}

void weir_read_release(struct weir_partition *partition, struct weir_read *read)
{
    for (uint32_t i = 0; i < read->slice_count; i++)
        if (read->slices[i].buffer)
            weir_buffer_drop(partition->store->reactor, read->slices[i].buffer);
    read->slice_count = 0;
}

void weir_read_cancel(struct weir_read *read)
{
    struct disk_read *reading = read->own;
    if (reading)
        reading->read = NULL;
    read->own = NULL;
}

void weir_reads_end(struct weir_partition *partition, int result)
{
    WEIR_LIST_EACH_SAFE(node, &partition->reads) {
        struct disk_read *reading = WEIR_CONTAINER(node, struct disk_read, node);
        struct weir_read *read = reading->read;
        reading->read = NULL;
        if (!read)
            continue;
        read->own = NULL;
        read->done(read, result);
    }
}
