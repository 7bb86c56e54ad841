/* runtime/outq.c - see the header. Proof: tests/runtime/outq_test.c. */
#include "runtime/outq.h"

#include <errno.h>
#include <string.h>

#include "runtime/reactor.h"

enum {
    RUNS_FIRST = 8,
    TAIL_BYTES_MIN = 1024 - sizeof(struct weir_buffer),
    TAIL_BYTES_MAX = 16384 - sizeof(struct weir_buffer),
};

static struct weir_run_of_bytes *runs(const struct weir_outq *outq)
{
    return (struct weir_run_of_bytes *)(void *)outq->memory->bytes;
}

static struct weir_run_of_bytes *last_run(const struct weir_outq *outq)
{
    return &runs(outq)[(outq->first + outq->count - 1) & (outq->room - 1)];
}

static int grow(struct weir_reactor *reactor, struct weir_outq *outq)
{
    uint32_t room = outq->room ? outq->room * 2 : RUNS_FIRST;
    struct weir_buffer *memory = weir_buffer_take(reactor, room * sizeof(struct weir_run_of_bytes));
    if (!memory)
        return -ENOMEM;
    struct weir_run_of_bytes *moved = (struct weir_run_of_bytes *)(void *)memory->bytes;
    for (uint32_t i = 0; i < outq->count; i++)
        moved[i] = runs(outq)[(outq->first + i) & (outq->room - 1)];
    if (outq->memory)
        weir_buffer_drop(reactor, outq->memory);
    outq->memory = memory;
    outq->first = 0;
    outq->room = room;
    return 0;
}

/* The last run goes on where it ended; it holds the buffer already. */
static bool lengthen(struct weir_outq *outq, const struct weir_buffer *buffer, const uint8_t *bytes, size_t byte_count)
{
    if (outq->count == 0)
        return false;
    struct weir_run_of_bytes *last = last_run(outq);
    if (last->buffer != buffer || last->bytes + last->byte_count != bytes)
        return false;
    last->byte_count += byte_count;
    outq->byte_count += byte_count;
    return true;
}

static void add_run(struct weir_outq *outq, struct weir_buffer *buffer, const uint8_t *bytes, size_t byte_count)
{
    outq->count++;
    *last_run(outq) = (struct weir_run_of_bytes){bytes, byte_count, buffer};
    outq->byte_count += byte_count;
}

int weir_outq_share(struct weir_reactor *reactor, struct weir_outq *outq, struct weir_buffer *buffer, const uint8_t *bytes,
                    size_t byte_count)
{
    if (lengthen(outq, buffer, bytes, byte_count))
        return 0;
    if (outq->count == outq->room && grow(reactor, outq) < 0)
        return -ENOMEM;
    weir_buffer_hold(reactor, buffer);
    add_run(outq, buffer, bytes, byte_count);
    return 0;
}

int weir_outq_give(struct weir_reactor *reactor, struct weir_outq *outq, struct weir_buffer *buffer, const uint8_t *bytes,
                   size_t byte_count)
{
    if (byte_count == 0 || lengthen(outq, buffer, bytes, byte_count)) {
        weir_buffer_drop(reactor, buffer);
        return 0;
    }
    if (outq->count == outq->room && grow(reactor, outq) < 0)
        return -ENOMEM;
    add_run(outq, buffer, bytes, byte_count);
    return 0;
}

static void let_tail_go(struct weir_reactor *reactor, struct weir_outq *outq)
{
    if (outq->tail)
        weir_buffer_drop(reactor, outq->tail);
    outq->tail = NULL;
    outq->tail_used = 0;
}

/* Twice what is queued, within limits: a quiet connection holds 1 KiB, a busy one fills 16 KiB at a time. */
static size_t tail_bytes(const struct weir_outq *outq, size_t wanted)
{
    size_t bytes = outq->byte_count * 2;
    if (bytes < TAIL_BYTES_MIN)
        bytes = TAIL_BYTES_MIN;
    if (bytes > TAIL_BYTES_MAX)
        bytes = TAIL_BYTES_MAX;
    return bytes < wanted ? wanted : bytes;
}

uint8_t *weir_outq_reserve(struct weir_reactor *reactor, struct weir_outq *outq, size_t byte_count)
{
    if (outq->tail && outq->tail->byte_count - outq->tail_used < byte_count)
        let_tail_go(reactor, outq);
    if (!outq->tail)
        outq->tail = weir_buffer_take(reactor, tail_bytes(outq, byte_count));
    return outq->tail ? outq->tail->bytes + outq->tail_used : NULL;
}

int weir_outq_commit(struct weir_reactor *reactor, struct weir_outq *outq, size_t byte_count)
{
    uint8_t *at = outq->tail->bytes + outq->tail_used;
    int result = weir_outq_share(reactor, outq, outq->tail, at, byte_count);
    if (result == 0)
        outq->tail_used += (uint32_t)byte_count;
    return result;
}

int weir_outq_copy(struct weir_reactor *reactor, struct weir_outq *outq, const void *bytes, size_t byte_count)
{
    if (byte_count == 0)
        return 0;
    size_t left = outq->tail ? outq->tail->byte_count - outq->tail_used : 0;
    if (byte_count > TAIL_BYTES_MAX && left < byte_count) { /* a buffer of its own: it would not fit in any tail */
        struct weir_buffer *buffer = weir_buffer_take(reactor, byte_count);
        if (!buffer)
            return -ENOMEM;
        memcpy(buffer->bytes, bytes, byte_count);
        int result = weir_outq_share(reactor, outq, buffer, buffer->bytes, byte_count);
        weir_buffer_drop(reactor, buffer);
        return result;
    }
    uint8_t *at = weir_outq_reserve(reactor, outq, byte_count);
    if (!at)
        return -ENOMEM;
    memcpy(at, bytes, byte_count);
    return weir_outq_commit(reactor, outq, byte_count);
}

uint32_t weir_outq_gather(const struct weir_outq *outq, struct iovec *iov, uint32_t iov_count_max)
{
    uint32_t count = outq->count < iov_count_max ? outq->count : iov_count_max;
    for (uint32_t i = 0; i < count; i++) {
        const struct weir_run_of_bytes *run = &runs(outq)[(outq->first + i) & (outq->room - 1)];
        iov[i] = (struct iovec){(void *)(uintptr_t)run->bytes, run->byte_count};
    }
    return count;
}

void weir_outq_sent(struct weir_reactor *reactor, struct weir_outq *outq, size_t byte_count)
{
    WEIR_ASSERT(byte_count <= outq->byte_count);
    outq->byte_count -= byte_count;
    while (byte_count > 0) {
        struct weir_run_of_bytes *run = &runs(outq)[outq->first];
        if (byte_count < run->byte_count) {
            run->bytes += byte_count;
            run->byte_count -= byte_count;
            return;
        }
        byte_count -= run->byte_count;
        weir_buffer_drop(reactor, run->buffer);
        outq->first = (outq->first + 1) & (outq->room - 1);
        outq->count--;
    }
    if (outq->count == 0)
        weir_outq_clear(reactor, outq);
}

void weir_outq_clear(struct weir_reactor *reactor, struct weir_outq *outq)
{
    for (uint32_t i = 0; i < outq->count; i++)
        weir_buffer_drop(reactor, runs(outq)[(outq->first + i) & (outq->room - 1)].buffer);
    let_tail_go(reactor, outq);
    if (outq->memory)
        weir_buffer_drop(reactor, outq->memory);
    *outq = (struct weir_outq){0};
}
