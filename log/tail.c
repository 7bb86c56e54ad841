/*
 * log/tail.c - the end of a partition in memory: pages of whole batches, written once, read by whoever is near the end.
 *
 * A page is a counted buffer with its own head in front, so a reader's slice is a reference and no copy. Pages begin small
 * and double while they fill, so an idle partition holds little. What is not written stays; what is stays too, while the
 * budget of the store allows, and goes oldest first over all partitions. Within a partition pages get clean in order, so
 * what is in memory is always one piece at the end.
 *
 * Bounded by tail_bytes_max of the store, and by the reactor's share of buffer memory. Proof: tests/log/partition_test.c.
 */
#include <errno.h>
#include <string.h>

#include "log/store_own.h"

static uint64_t bytes_of(const struct weir_tail_page *page)
{
    return page->buffer->byte_count + sizeof(struct weir_buffer);
}

static struct weir_tail_page *page_of(struct weir_list *node)
{
    return WEIR_CONTAINER(node, struct weir_tail_page, node);
}

static struct weir_tail_page *last_page(const struct weir_partition *partition)
{
    return weir_list_empty(&partition->pages) ? NULL : page_of(partition->pages.prev);
}

static void release(struct weir_tail_page *page)
{
    struct weir_store *store = page->partition->store;
    if (page->partition->unwritten == page)
        page->partition->unwritten = NULL;
    weir_list_remove(&page->node);
    weir_list_remove(&page->clean);
    store->counters.tail_bytes -= bytes_of(page);
    weir_buffer_drop(store->reactor, page->buffer);
}

static bool evict(struct weir_store *store)
{
    if (weir_list_empty(&store->clean))
        return false;
    struct weir_tail_page *page = WEIR_CONTAINER(store->clean.next, struct weir_tail_page, clean);
    WEIR_ASSERT(page->partition->pages.next == &page->node);
    release(page);
    return true;
}

static struct weir_buffer *take_buffer(struct weir_store *store, size_t byte_count, int *result_out)
{
    uint64_t max = store->options.tail_bytes_max;
    while (store->counters.tail_bytes + byte_count > max && evict(store))
        ;
    struct weir_buffer *buffer = NULL;
    if (store->counters.tail_bytes + byte_count <= max || store->counters.tail_bytes == 0)
        while (!(buffer = weir_buffer_take(store->reactor, byte_count)) && evict(store))
            ;
    if (buffer)
        return buffer;
    *result_out = store->counters.tail_bytes > 0 ? -EAGAIN : -ENOMEM;
    if (*result_out == -EAGAIN) {
        store->pressed = true;
        weir_flush_all(store);
    }
    return NULL;
}

static struct weir_tail_page *new_page(struct weir_partition *partition, uint32_t byte_count, int *result_out)
{
    size_t total = sizeof(struct weir_tail_page) + byte_count;
    size_t usual = partition->page_bytes - sizeof(struct weir_buffer);
    struct weir_buffer *buffer = take_buffer(partition->store, total > usual ? total : usual, result_out);
    if (!buffer)
        return NULL;
    struct weir_tail_page *page = (struct weir_tail_page *)(void *)buffer->bytes;
    *page = (struct weir_tail_page){
        .partition = partition,
        .segment = weir_partition_active(partition),
        .buffer = buffer,
        .position = partition->end_position,
        .base_offset = partition->end_offset,
        .end_offset = partition->end_offset,
        .room = (uint32_t)(buffer->byte_count - sizeof *page),
    };
    weir_list_init(&page->clean);
    weir_list_push_back(&partition->pages, &page->node);
    partition->store->counters.tail_bytes += bytes_of(page);
    return page;
}

struct weir_tail_page *weir_tail_reserve(struct weir_partition *partition, uint32_t byte_count, int *result_out)
{
    struct weir_tail_page *page = last_page(partition);
    if (page && page->segment == weir_partition_active(partition) && page->room - page->used >= byte_count)
        return page;
    if (page && page->used == 0)
        release(page); /* of an append that was refused */
    else if (page && partition->page_bytes < WEIR_PAGE_BYTES_MAX)
        partition->page_bytes *= 2;
    return new_page(partition, byte_count, result_out);
}

void weir_tail_commit(struct weir_partition *partition, struct weir_tail_page *page, uint32_t byte_count, uint64_t base_offset,
                      uint64_t end_offset)
{
    WEIR_ASSERT(page->room - page->used >= byte_count);
    if (page->used == 0)
        page->base_offset = base_offset;
    page->last_at = page->used;
    page->last_offset = base_offset;
    page->end_offset = end_offset;
    page->used += byte_count;
    weir_list_remove(&page->clean);
    if (!partition->unwritten)
        partition->unwritten = page;
}

struct weir_tail_page *weir_tail_find(const struct weir_partition *partition, uint64_t offset, uint32_t *at_out)
{
    for (struct weir_list *node = partition->pages.prev; node != &partition->pages; node = node->prev) {
        struct weir_tail_page *page = page_of(node);
        if (page->used == 0 || page->base_offset > offset)
            continue;
        uint32_t at = offset >= page->last_offset ? page->last_at : 0;
        while (weir_stored_end(page->bytes + at) <= offset) {
            at += (uint32_t)weir_stored_bytes(page->bytes + at);
            if (at >= page->used)
                return NULL; /* it is at the end */
        }
        *at_out = at;
        return page;
    }
    return NULL;
}

/* Where the batches end that this read may have of a page. */
static uint32_t batches_end(const struct weir_tail_page *page, uint32_t at, uint64_t limit_offset, struct weir_read *read)
{
    size_t room = read->byte_count < read->bytes_max ? read->bytes_max - read->byte_count : 0;
    if (page->end_offset <= limit_offset && page->used - at <= room) {
        read->next_offset = page->end_offset;
        return page->used;
    }
    uint32_t end = at;
    while (end < page->used && weir_stored_end(page->bytes + end) <= limit_offset) {
        uint32_t after = end + (uint32_t)weir_stored_bytes(page->bytes + end);
        if (after - at > room && (read->byte_count > 0 || end > at))
            break;
        read->next_offset = weir_stored_end(page->bytes + end);
        end = after;
    }
    return end;
}

void weir_tail_read(struct weir_partition *partition, struct weir_tail_page *page, uint32_t at, uint64_t limit_offset,
                    struct weir_read *read)
{
    while (read->slice_count < WEIR_READ_SLICES) {
        uint32_t end = batches_end(page, at, limit_offset, read);
        if (end == at)
            break;
        weir_buffer_hold(partition->store->reactor, page->buffer);
        read->slices[read->slice_count++] = (struct weir_read_slice){page->buffer, page->bytes + at, end - at};
        read->byte_count += end - at;
        if (end < page->used || page->node.next == &partition->pages)
            break;
        page = page_of(page->node.next);
        at = 0;
    }
}

void weir_tail_written(struct weir_partition *partition)
{
    struct weir_tail_page *page = partition->unwritten;
    while (page && page->position + page->used <= partition->written_position) {
        weir_list_push_back(&partition->store->clean, &page->clean);
        bool last = page->node.next == &partition->pages;
        page = last || page_of(page->node.next)->used == 0 ? NULL : page_of(page->node.next);
    }
    partition->unwritten = page;
}

void weir_tail_forget(struct weir_partition *partition, const struct weir_segment *segment)
{
    WEIR_LIST_EACH_SAFE(node, &partition->pages) {
        struct weir_tail_page *page = page_of(node);
        if (!segment || page->segment == segment)
            release(page);
    }
}
