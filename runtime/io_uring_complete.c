/*
 * runtime/io_uring_complete.c - from a CQE to `done`: what each kind means, and what arms it again.
 *
 * A buffer that a CQE carries goes back right after `done`, whatever else the CQE says. A repeating
 * op ends for its caller only by an error, an end of stream or a cancel; all other ends are
 * repaired here, at once or from a list.
 * Proof: tests/runtime/io_test.c, io_file_test.c.
 */
#include "runtime/io_uring.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "runtime/io_socket.h"

#define BACKOFF_NS (100 * WEIR_MS_NS)

static void arm_again(struct weir_uring *uring, struct weir_io_op *op)
{
    if (op->cancelling)
        weir_uring_finish(uring, op, -ECANCELED);
    else
        weir_uring_queue(uring, op);
}

static void back_off(struct weir_uring *uring, struct weir_io_op *op)
{
    if (weir_list_empty(&uring->backoff))
        uring->backoff_until_ns = weir_io_clock_ns(&uring->io) + BACKOFF_NS;
    uring->descriptors_freed = false;
    uring->io.counters.accept_backoffs++;
    weir_uring_list(uring, &uring->backoff, op, WEIR_URING_LISTED);
}

/* Who took something goes behind those who found nothing, or a busy socket would eat for ever. */
static void starve(struct weir_uring *uring, struct weir_io_op *op)
{
    bool hungry = uring->slots[op->slot].hungry != 0;
    uring->io.counters.recv_starved++;
    weir_uring_list(uring, hungry ? &uring->famished : &uring->starved, op, WEIR_URING_LISTED);
}

/* A repeating op has ended with `result` <= 0. */
static void end_repeating(struct weir_uring *uring, struct weir_io_op *op, int result)
{
    if (op->cancelling) {
        weir_uring_finish(uring, op, result == -ENOBUFS ? -ECANCELED : result);
        return;
    }
    if (result == -EINTR || (result == -EAGAIN && weir_io_socket_set_nonblocking(op->fd, false))) {
        weir_uring_queue(uring, op);
        return;
    }
    if (op->kind == WEIR_IO_ACCEPT && result < 0) {
        enum weir_io_accept_verdict verdict = weir_io_socket_accept_verdict(result);
        if (verdict == WEIR_IO_ACCEPT_AGAIN)
            weir_uring_queue(uring, op);
        else if (verdict == WEIR_IO_ACCEPT_LATER)
            back_off(uring, op);
        else
            weir_uring_finish(uring, op, result);
        return;
    }
    if (result == -ENOBUFS && op->kind != WEIR_IO_ACCEPT) {
        starve(uring, op);
        return;
    }
    weir_uring_finish(uring, op, result);
}

static uint8_t *lent_bytes(struct weir_uring_buffers *buffers, uint32_t index)
{
    WEIR_ASSERT(index < buffers->count);
    return buffers->bytes + (size_t)index * buffers->buffer_bytes + buffers->used_bytes[index];
}

/* The kernel fills an incremental buffer piece by piece, in the order of the CQEs. */
static void give_back(struct weir_uring_buffers *buffers, uint32_t index, int byte_count,
                      uint32_t cqe_flags)
{
    if (buffers->incremental && (cqe_flags & WEIR_URING_CQE_BUF_MORE)) {
        buffers->used_bytes[index] += byte_count > 0 ? (uint32_t)byte_count : 0;
        return;
    }
    buffers->used_bytes[index] = 0;
    weir_uring_buffer_return(buffers, index);
}

static int on_recv(struct weir_uring *uring, struct weir_io_op *op, int result, uint32_t flags)
{
    struct weir_uring_buffers *buffers = &uring->streams;
    uint32_t index = flags >> IORING_CQE_BUFFER_SHIFT;
    if (__builtin_expect(result <= 0, 0)) {
        if (flags & IORING_CQE_F_BUFFER)
            give_back(buffers, index, 0, flags);
        end_repeating(uring, op, result);
        return 1;
    }
    bool more = (flags & IORING_CQE_F_MORE) != 0;
    struct weir_uring_slot *slot = &uring->slots[op->slot];
    if (__builtin_expect(slot->hungry, 0))
        slot->hungry = 0;
    if (__builtin_expect(!more, 0))
        slot->place = WEIR_URING_HERE;
    struct weir_io_data data = {.bytes = lent_bytes(buffers, index), .byte_count = (size_t)result};
    op->done(op, result, &data, true);
    give_back(buffers, index, result, flags);
    if (__builtin_expect(!more, 0))
        arm_again(uring, op);
    return 1;
}

/*
 * What multishot recvmsg puts into a buffer: a head, the sender's address in its full room, the
 * bytes.
 */
static void hand_over_datagram(struct weir_io_op *op, const uint8_t *at, uint32_t byte_count)
{
    struct io_uring_recvmsg_out head;
    size_t head_bytes = sizeof(head) + sizeof(struct sockaddr_storage);
    WEIR_ASSERT(byte_count >= head_bytes);
    memcpy(&head, at, sizeof(head));
    size_t body_bytes = byte_count - head_bytes;
    struct weir_io_data data = {
        .bytes = at + head_bytes,
        .byte_count = body_bytes,
        .sender = (const struct sockaddr *)(const void *)(at + sizeof(head)),
        .sender_bytes = head.namelen,
        .truncated = (head.flags & MSG_TRUNC) != 0,
    };
    op->done(op, (int)body_bytes, &data, true);
}

static int on_recvfrom(struct weir_uring *uring, struct weir_io_op *op, int result, uint32_t flags)
{
    struct weir_uring_buffers *buffers = &uring->datagrams;
    uint32_t index = flags >> IORING_CQE_BUFFER_SHIFT;
    bool more = (flags & IORING_CQE_F_MORE) != 0;
    if (!more)
        uring->slots[op->slot].place = WEIR_URING_HERE;
    uring->slots[op->slot].hungry &= result < 0;
    if (result >= 0 && (flags & IORING_CQE_F_BUFFER))
        hand_over_datagram(op, lent_bytes(buffers, index), (uint32_t)result);
    if (flags & IORING_CQE_F_BUFFER)
        give_back(buffers, index, result, flags);
    if (more)
        return 1;
    if (result >= 0)
        arm_again(uring, op);
    else
        end_repeating(uring, op, result);
    return 1;
}

static int on_accept(struct weir_uring *uring, struct weir_io_op *op, int result, uint32_t flags)
{
    bool more = (flags & IORING_CQE_F_MORE) != 0;
    if (!more)
        uring->slots[op->slot].place = WEIR_URING_HERE;
    if (result >= 0)
        op->done(op, result, NULL, true);
    if (more)
        return 1;
    if (result >= 0)
        arm_again(uring, op);
    else
        end_repeating(uring, op, result);
    return 1;
}

/* A durable write where RWF_DSYNC is refused goes on: as a plain write, then as an fdatasync. False: it is over. */
static bool durable_goes_on(struct weir_uring *uring, struct weir_io_op *op, int *result)
{
    enum weir_uring_durable stage = weir_uring_durable(op);
    if (stage == WEIR_URING_DSYNC && (*result == -EOPNOTSUPP || *result == -EINVAL)) {
        uring->dsync_refused |= *result == -EOPNOTSUPP; /* EINVAL may be about this write only */
        weir_uring_set_durable(op, WEIR_URING_PLAIN, 0);
    } else if (stage == WEIR_URING_PLAIN && *result > 0) {
        weir_uring_set_durable(op, WEIR_URING_FDATASYNC, *result);
    } else {
        if (stage == WEIR_URING_FDATASYNC && *result == 0)
            *result = (int)((uintptr_t)op->own >> WEIR_URING_DURABLE_BITS);
        return false;
    }
    arm_again(uring, op);
    return true;
}

static int on_once(struct weir_uring *uring, struct weir_io_op *op, int result)
{
    if (__builtin_expect(result == -EAGAIN, 0) && !op->cancelling &&
        weir_io_socket_set_nonblocking(op->fd, false)) {
        weir_uring_queue(uring, op);
        return 0;
    }
    if (op->kind == WEIR_IO_WRITE && op->durable && durable_goes_on(uring, op, &result))
        return 0;
    if (op->kind == WEIR_IO_CLOSE)
        uring->descriptors_freed = true;
    weir_uring_finish(uring, op, result);
    return 1;
}

/* A wake that the peer's ring did not take must still reach it. */
static void on_wake_refused(uint32_t peer_eventfd)
{
    uint64_t one = 1;
    ssize_t written = write((int)peer_eventfd, &one, sizeof(one));
    (void)written; /* full: it is awake then */
}

static void on_signal(struct weir_uring *uring, uint64_t tagged, int result, uint32_t flags)
{
    enum weir_uring_tag tag = (enum weir_uring_tag)(tagged & 0xff);
    if (tag == WEIR_URING_TAG_EVENTFD && !(flags & IORING_CQE_F_MORE)) {
        uint64_t count;
        ssize_t got = read(uring->eventfd, &count, sizeof(count));
        (void)got; /* only so that the new poll waits for the next wake */
        weir_uring_queue_eventfd(uring);
    } else if (tag == WEIR_URING_TAG_WAKE_SENT && result < 0) {
        on_wake_refused((uint32_t)(tagged >> 32));
    }
}

int weir_uring_complete(struct weir_uring *uring, uint64_t tagged, int result, uint32_t flags)
{
    if (__builtin_expect((tagged & 0xff) != WEIR_URING_TAG_OP, 0)) {
        on_signal(uring, tagged, result, flags);
        return 0;
    }
    uint32_t index = (uint32_t)(tagged >> 32);
    WEIR_ASSERT(index < uring->slot_count);
    struct weir_uring_slot *slot = &uring->slots[index];
    struct weir_io_op *op = slot->op;
    if (__builtin_expect(!op || (slot->generation & 0xffffff) != ((tagged >> 8) & 0xffffff), 0)) {
        WEIR_ASSERT(!(flags & IORING_CQE_F_BUFFER)); /* a slot outlives its receive */
        return 0;
    }
    if (op->kind == WEIR_IO_RECV)
        return on_recv(uring, op, result, flags);
    if (op->kind == WEIR_IO_RECVFROM)
        return on_recvfrom(uring, op, result, flags);
    if (op->kind == WEIR_IO_ACCEPT)
        return on_accept(uring, op, result, flags);
    return on_once(uring, op, result);
}
