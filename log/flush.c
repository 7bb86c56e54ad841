/*
 * log/flush.c - from tails to segments: one write under way for each partition, a few for the store.
 *
 * What is safe is written when it is much, when somebody waits for it (level written, a checkpoint, memory), or when the
 * partition has been quiet for a while. Everything that is appended during a write is the next one.
 *
 * A write that is cut short goes on where it stopped. ENOSPC stops all writing until a probe gets through
 * (log/mend.c): the bytes are still in the tail. Anything else ends writing for this run.
 *
 * Bounded by WEIR_FLUSHES_MAX and WEIR_FLUSH_BYTES_MAX. Proof: tests/log/store_test.c, tests/log/crash_sim.c.
 */
#include <errno.h>
#include <stdlib.h>

#include "log/store_own.h"

struct weir_flush {
    struct weir_list node;
    struct weir_segment_wait wait;
    struct weir_io_op op;
    struct weir_partition *partition;
    struct weir_segment *segment;
    uint64_t position; /* what is before it of this write has been written */
    uint64_t end_position;
    uint64_t end_offset;
    struct iovec iov[WEIR_FLUSH_IOV];
};

static struct weir_flush *take_flush(struct weir_store *store)
{
    struct weir_list *node = weir_list_pop_front(&store->free_flushes);
    if (node)
        return WEIR_CONTAINER(node, struct weir_flush, node);
    struct weir_flush *flush = calloc(1, sizeof *flush);
    if (flush)
        weir_list_init(&flush->node);
    return flush;
}

void weir_flushes_free(struct weir_store *store)
{
    for (struct weir_list *node; (node = weir_list_pop_front(&store->free_flushes));)
        free(WEIR_CONTAINER(node, struct weir_flush, node));
}

static void end_flush(struct weir_flush *flush, int result)
{
    struct weir_partition *partition = flush->partition;
    struct weir_segment *segment = flush->segment;
    struct weir_store *store = partition->store;
    partition->flushing = false;
    store->flush_count--;
    weir_list_push_back(&store->free_flushes, &flush->node);
    if (result == 0) {
        store->counters.segment_write_bytes += flush->end_position - partition->written_position;
        partition->written_position = flush->end_position;
        partition->written_offset = flush->end_offset;
        segment->written_bytes = flush->end_position - segment->start_position;
        weir_tail_written(partition);
        weir_partition_on_written(partition);
    } else if (result == -ENOSPC || result == -EDQUOT) {
        weir_mend_full(store, -ENOSPC);
        weir_flush_look(partition); /* it stays in line */
    } else {
        weir_store_fail(store, result);
    }
    weir_segment_unpin(segment);
    weir_partition_unpin(partition);
    weir_store_arm(store);
}

static struct weir_tail_page *next_page(const struct weir_partition *partition, const struct weir_tail_page *page)
{
    return page->node.next == &partition->pages ? NULL : WEIR_CONTAINER(page->node.next, struct weir_tail_page, node);
}

/* From flush->position to the end of the segment's safe bytes, or as much as one write takes. */
static uint32_t gather(struct weir_flush *flush, bool first)
{
    const struct weir_partition *partition = flush->partition;
    uint64_t until = first ? partition->safe_position : flush->end_position;
    uint64_t at = flush->position;
    uint32_t count = 0;
    const struct weir_tail_page *page = partition->unwritten;
    for (; page && page->segment == flush->segment && at < until && count < WEIR_FLUSH_IOV; page = next_page(partition, page)) {
        uint64_t end = page->position + page->used;
        if (end <= at)
            continue;
        if (first && count > 0 && at - flush->position >= WEIR_FLUSH_BYTES_MAX)
            break;
        uint64_t some = (end < until ? end : until) - at;
        flush->iov[count++] = (struct iovec){(void *)(uintptr_t)(page->bytes + (at - page->position)), some};
        at += some;
        if (first)
            flush->end_offset = at == end ? page->end_offset : partition->safe_offset;
    }
    if (first)
        flush->end_position = at;
    return count;
}

static void on_write(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more);

static void write_on(struct weir_flush *flush, bool first)
{
    uint32_t count = gather(flush, first);
    WEIR_ASSERT(count > 0);
    flush->op = (struct weir_io_op){.kind = WEIR_IO_WRITE, .fd = flush->segment->fd, .done = on_write};
    flush->op.iov = flush->iov;
    flush->op.iov_count = count;
    flush->op.offset = flush->position - flush->segment->start_position;
    int result = weir_store_start_op(flush->partition->store, &flush->op);
    if (result < 0)
        end_flush(flush, result);
}

static void on_write(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    (void)data, (void)more;
    struct weir_flush *flush = WEIR_CONTAINER(op, struct weir_flush, op);
    weir_store_end_op(flush->partition->store);
    if (result <= 0) {
        end_flush(flush, result < 0 ? result : -EIO);
        return;
    }
    flush->position += (uint32_t)result;
    WEIR_ASSERT(flush->position <= flush->end_position);
    if (flush->position < flush->end_position)
        write_on(flush, false);
    else
        end_flush(flush, 0);
}

static void on_ready(struct weir_segment_wait *wait, int result)
{
    struct weir_flush *flush = WEIR_CONTAINER(wait, struct weir_flush, wait);
    if (result < 0)
        end_flush(flush, result);
    else
        write_on(flush, true);
}

static bool worth(const struct weir_partition *partition)
{
    return partition->safe_position > partition->written_position && !partition->flushing && !partition->left;
}

static void start(struct weir_partition *partition)
{
    struct weir_store *store = partition->store;
    struct weir_flush *flush = take_flush(store);
    if (!flush) { /* no memory: with the idle ones */
        if (weir_list_empty(&partition->lazy))
            weir_list_push_back(&store->lazy, &partition->lazy);
        return;
    }
    weir_list_remove(&partition->lazy);
    flush->wait.fn = on_ready;
    flush->partition = partition;
    flush->segment = partition->unwritten->segment;
    flush->position = partition->written_position;
    partition->flushing = true;
    store->flush_count++;
    weir_partition_pin(partition);
    weir_segment_pin(flush->segment);
    int result = weir_segment_ready(flush->segment, &flush->wait);
    if (result != 0)
        on_ready(&flush->wait, result);
}

static bool may_write(const struct weir_store *store)
{
    return store->error == 0 && store->full == 0 && store->flush_count < WEIR_FLUSHES_MAX;
}

void weir_flush_pump(struct weir_store *store)
{
    while (may_write(store) && !weir_list_empty(&store->flush)) {
        struct weir_partition *partition = WEIR_CONTAINER(weir_list_pop_front(&store->flush), struct weir_partition, flush);
        if (worth(partition))
            start(partition);
    }
}

void weir_flush_want(struct weir_partition *partition)
{
    if (!worth(partition) || !weir_list_empty(&partition->flush))
        return;
    weir_list_push_back(&partition->store->flush, &partition->flush);
    weir_store_arm(partition->store);
}

static void on_idle(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    (void)reactor, (void)timer;
    struct weir_store *store = context;
    store->idle_timed = false;
    weir_flush_idle(store);
}

static void time_idle(struct weir_store *store)
{
    if (store->idle_timed || weir_list_empty(&store->lazy) || store->closing)
        return;
    store->idle_timed = true;
    weir_timer_set(store->reactor, &store->idle_timer, WEIR_IDLE_FLUSH_NS, on_idle, store);
}

void weir_flush_idle(struct weir_store *store)
{
    uint64_t now_ns = store->reactor->now_ns;
    WEIR_LIST_EACH_SAFE(node, &store->lazy) {
        struct weir_partition *partition = WEIR_CONTAINER(node, struct weir_partition, lazy);
        if (now_ns - partition->append_ns < WEIR_IDLE_FLUSH_NS)
            continue;
        weir_list_remove(node);
        partition->page_bytes = WEIR_PAGE_BYTES_MIN;
        weir_flush_want(partition);
    }
    time_idle(store);
}

void weir_flush_look(struct weir_partition *partition)
{
    struct weir_store *store = partition->store;
    uint64_t dirty = partition->safe_position - partition->written_position;
    if (dirty == 0 || partition->left)
        return;
    if (dirty >= WEIR_FLUSH_BYTES || partition->config.level == WEIR_LEVEL_WRITTEN || store->pressed ||
        partition->written_position < partition->check_position) {
        weir_flush_want(partition);
    } else if (weir_list_empty(&partition->lazy)) {
        weir_list_push_back(&store->lazy, &partition->lazy);
        time_idle(store);
    }
}

void weir_flush_all(struct weir_store *store)
{
    WEIR_LIST_EACH_SAFE(node, &store->lazy) {
        weir_list_remove(node);
        weir_flush_want(WEIR_CONTAINER(node, struct weir_partition, lazy));
    }
}
