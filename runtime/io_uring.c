/*
 * runtime/io_uring.c - the io over one io_uring: one enter a turn submits, waits and makes
 * completions visible.
 *
 * Each armed op has a slot; an SQE carries {slot, generation, kind} and never a pointer, so a late
 * CQE of an op that is gone finds a newer generation and is dropped. Repeating ops are multishot;
 * any of them may stop being so at any CQE, and is armed again here without a word to the caller.
 * What cannot go to the kernel just now waits on a list, and `restless` makes the next turn look at
 * the lists.
 *
 * Bounds: WEIR_URING_REAP_MAX completions a turn; receive memory is the two buffer rings.
 * Proof: tests/runtime/io_test.c.
 */
#include "runtime/io_uring.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "runtime/io_socket.h"

enum {
    STARVED_SHARE_BYTES = 4 << 10, /* of an incremental buffer, for each receive that waited */
    DATAGRAM_BUFFERS = 128,
    DATAGRAM_BUFFER_BYTES = 68 << 10, /* the largest datagram, its sender and the kernel's head */
};

static struct weir_uring *uring_of(struct weir_io *io)
{
    return WEIR_CONTAINER(io, struct weir_uring, io);
}

/* ---- slots ---- */

static int grow_slots(struct weir_uring *uring)
{
    uint32_t count = uring->slot_count > 0 ? uring->slot_count * 2 : 256;
    struct weir_uring_slot *slots = realloc(uring->slots, (size_t)count * sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (uint32_t i = uring->slot_count; i < count; i++)
        slots[i] = (struct weir_uring_slot){.next_free = i + 1 < count ? i + 1 : WEIR_URING_NO_SLOT};
    uring->slot_free = uring->slot_count;
    uring->slots = slots;
    uring->slot_count = count;
    return 0;
}

static int take_slot(struct weir_uring *uring, struct weir_io_op *op)
{
    if (uring->slot_free == WEIR_URING_NO_SLOT && grow_slots(uring) < 0)
        return -ENOMEM;
    op->slot = uring->slot_free;
    struct weir_uring_slot *slot = &uring->slots[op->slot];
    uring->slot_free = slot->next_free;
    slot->op = op;
    slot->place = WEIR_URING_HERE;
    slot->hungry = 0;
    uring->live_count++;
    return 0;
}

static void give_slot(struct weir_uring *uring, uint32_t index)
{
    struct weir_uring_slot *slot = &uring->slots[index];
    slot->op = NULL;
    slot->generation++;
    slot->next_free = uring->slot_free;
    uring->slot_free = index;
    uring->live_count--;
}

/* The last call: afterwards the op is the caller's again, or gone. */
void weir_uring_finish(struct weir_uring *uring, struct weir_io_op *op, int result)
{
    give_slot(uring, op->slot);
    if (op->cancelling)
        weir_list_remove(&op->node); /* from `cancels`, if it is there */
    op->armed = false;
    op->cancelling = false;
    op->done(op, result, NULL, false);
}

/* ---- entering the kernel ---- */

static uint32_t show_submissions(struct weir_uring *uring)
{
    struct io_uring_sq *sq = &uring->ring.sq;
    sq->sqe_head = sq->sqe_tail;
    io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
    return sq->sqe_tail - IO_URING_READ_ONCE(*sq->khead);
}

/* Errors that say "later" are none: what was not submitted is counted again by the next enter. */
static int enter(struct weir_uring *uring, uint32_t wait_count, uint32_t flags, void *arg,
                 size_t arg_bytes)
{
    weir_uring_buffers_show(&uring->streams);
    weir_uring_buffers_show(&uring->datagrams);
    uint32_t submit_count = show_submissions(uring);
    int fd = uring->ring.enter_ring_fd;
    int result = io_uring_enter2((unsigned)fd, submit_count, wait_count, flags | uring->enter_flags,
                                 arg, arg_bytes);
    uring->io.counters.enters++;
    if (result >= 0) {
        uring->io.counters.submitted += (uint32_t)result;
        return 0;
    }
    if (result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY ||
        result == -EBADR)
        return 0;
    return result;
}

static int enter_waiting(struct weir_uring *uring, uint64_t wait_ns)
{
    uint32_t flags = IORING_ENTER_GETEVENTS | uring->wait_flags;
    if (wait_ns == UINT64_MAX)
        return enter(uring, 1, flags, NULL, _NSIG / 8);
    struct __kernel_timespec timeout = {.tv_sec = (long long)(wait_ns / WEIR_S_NS),
                                        .tv_nsec = (long long)(wait_ns % WEIR_S_NS)};
    struct io_uring_getevents_arg arg = {.sigmask_sz = _NSIG / 8, .ts = (uintptr_t)&timeout};
    return enter(uring, 1, flags | IORING_ENTER_EXT_ARG, &arg, sizeof(arg));
}

/* No system call when there is nothing to submit and the kernel has nothing to show. */
static int enter_without_waiting(struct weir_uring *uring)
{
    uint32_t kernel_flags = IO_URING_READ_ONCE(*uring->ring.sq.kflags);
    if (kernel_flags & IORING_SQ_CQ_OVERFLOW)
        uring->io.counters.cq_overflows++;
    if (uring->ring.sq.sqe_tail == IO_URING_READ_ONCE(*uring->ring.sq.khead) &&
        !(kernel_flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)))
        return 0;
    return enter(uring, 0, IORING_ENTER_GETEVENTS, NULL, _NSIG / 8);
}

static struct io_uring_sqe *take_sqe(struct weir_uring *uring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
    if (__builtin_expect(sqe != NULL, 1))
        return sqe;
    (void)enter(uring, 0, 0, NULL, _NSIG / 8);
    return io_uring_get_sqe(&uring->ring);
}

/* Outside a turn, and somebody sleeps in poll() on the ring: nothing would submit this. */
static void submit_if_watched(struct weir_uring *uring)
{
    if (uring->polled && !uring->in_turn)
        (void)enter(uring, 0, 0, NULL, _NSIG / 8);
}

static void set_restless(struct weir_uring *uring)
{
    uring->restless = true;
    if (uring->polled && !uring->in_turn)
        uring->io.table->wake_foreign(&uring->io);
}

/* ---- on their way into the kernel ---- */

void weir_uring_list(struct weir_uring *uring, struct weir_list *list, struct weir_io_op *op,
                     enum weir_uring_place place)
{
    weir_list_push_back(list, &op->node);
    uring->slots[op->slot].place = (uint16_t)place;
    set_restless(uring);
}

void weir_uring_queue(struct weir_uring *uring, struct weir_io_op *op)
{
    struct io_uring_sqe *sqe = take_sqe(uring);
    if (!sqe) {
        weir_uring_list(uring, &uring->unqueued, op, WEIR_URING_LISTED);
        return;
    }
    struct weir_uring_slot *slot = &uring->slots[op->slot];
    weir_uring_prepare(uring, sqe, op);
    sqe->user_data = weir_uring_tagged(op->slot, slot->generation, WEIR_URING_TAG_OP);
    slot->place = WEIR_URING_KERNEL;
}

static bool queue_cancel(struct weir_uring *uring, struct weir_io_op *op)
{
    struct io_uring_sqe *sqe = take_sqe(uring);
    if (!sqe)
        return false;
    uint32_t generation = uring->slots[op->slot].generation;
    io_uring_prep_cancel64(sqe, weir_uring_tagged(op->slot, generation, WEIR_URING_TAG_OP), 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = weir_uring_tagged(op->slot, generation, WEIR_URING_TAG_CANCEL);
    return true;
}

void weir_uring_queue_eventfd(struct weir_uring *uring)
{
    struct io_uring_sqe *sqe = take_sqe(uring);
    WEIR_ASSERT(sqe);
    io_uring_prep_poll_multishot(sqe, uring->eventfd, POLLIN);
    sqe->user_data = weir_uring_tagged(0, 0, WEIR_URING_TAG_EVENTFD);
}

/* ---- start and cancel ---- */

static int start_op(struct weir_io *io, struct weir_io_op *op)
{
    struct weir_uring *uring = uring_of(io);
    if (op->armed)
        return -EBUSY;
    if (op->kind == WEIR_IO_RECVFROM && !uring->datagrams.ring) {
        int error = weir_uring_buffers_init(uring, &uring->datagrams, 1, DATAGRAM_BUFFERS,
                                            DATAGRAM_BUFFER_BYTES, false);
        if (error < 0)
            return -ENOMEM;
    }
    if (take_slot(uring, op) < 0)
        return -ENOMEM;
    op->armed = true;
    op->cancelling = false;
    if (op->durable)
        weir_uring_set_durable(op, uring->dsync_refused ? WEIR_URING_PLAIN : WEIR_URING_DSYNC, 0);
    weir_list_init(&op->node);
    weir_uring_queue(uring, op);
    submit_if_watched(uring);
    return 0;
}

static void cancel_op(struct weir_io *io, struct weir_io_op *op)
{
    struct weir_uring *uring = uring_of(io);
    if (!op->armed || op->cancelling)
        return;
    op->cancelling = true;
    switch ((enum weir_uring_place)uring->slots[op->slot].place) {
    case WEIR_URING_KERNEL:
        if (!queue_cancel(uring, op)) {
            weir_list_push_back(&uring->cancels, &op->node);
            set_restless(uring);
        }
        submit_if_watched(uring);
        break;
    case WEIR_URING_LISTED:
        weir_list_remove(&op->node);
        weir_uring_list(uring, &uring->ended, op, WEIR_URING_ENDED);
        break;
    case WEIR_URING_HERE: /* seen when its `done` returns */
    case WEIR_URING_ENDED:
        break;
    }
}

/* The head moves before each `done`, because what that starts may have to enter the kernel. */
static int reap(struct weir_uring *uring)
{
    struct io_uring_cq *cq = &uring->ring.cq;
    uint32_t head = *cq->khead;
    uint32_t count = io_uring_smp_load_acquire(cq->ktail) - head;
    if (count > WEIR_URING_REAP_MAX)
        count = WEIR_URING_REAP_MAX;
    int done_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct io_uring_cqe *cqe = &cq->cqes[(head + i) & cq->ring_mask];
        uint64_t tagged = cqe->user_data;
        int result = cqe->res;
        uint32_t flags = cqe->flags;
        io_uring_smp_store_release(cq->khead, head + i + 1);
        done_count += weir_uring_complete(uring, tagged, result, flags);
    }
    uring->io.counters.completed += count;
    return done_count;
}

/* ---- the lists ---- */

static void requeue_all(struct weir_uring *uring, struct weir_list *list)
{
    struct weir_list ops;
    weir_list_init(&ops);
    weir_list_splice_back(&ops, list);
    for (struct weir_list *node; (node = weir_list_pop_front(&ops)) != NULL;)
        weir_uring_queue(uring, WEIR_CONTAINER(node, struct weir_io_op, node));
}

static void requeue_cancels(struct weir_uring *uring)
{
    while (!weir_list_empty(&uring->cancels)) {
        struct weir_io_op *op = WEIR_CONTAINER(uring->cancels.next, struct weir_io_op, node);
        if (!queue_cancel(uring, op))
            return;
        weir_list_remove(&op->node);
    }
}

static bool has_starved(const struct weir_uring *uring)
{
    return !weir_list_empty(&uring->famished) || !weir_list_empty(&uring->starved);
}

static struct weir_list *next_starved(struct weir_uring *uring)
{
    struct weir_list *node = weir_list_pop_front(&uring->famished);
    return node ? node : weir_list_pop_front(&uring->starved);
}

/*
 * In the order in which they starved, and no more at once than what is likely to find room. The first
 * is served for certain: submissions run before other sockets' data are looked at.
 */
static void requeue_starved(struct weir_uring *uring)
{
    uint32_t room = uring->streams.count;
    if (uring->streams.incremental)
        room *= uring->streams.buffer_bytes / STARVED_SHARE_BYTES;
    for (struct weir_list *node; room-- > 0 && (node = next_starved(uring)) != NULL;) {
        struct weir_io_op *op = WEIR_CONTAINER(node, struct weir_io_op, node);
        uring->slots[op->slot].hungry = 1;
        weir_uring_queue(uring, op);
    }
}

/* Before the enter: what had to wait goes out if it can. The wait that is left for this turn. */
static uint64_t settle(struct weir_uring *uring, uint64_t wait_ns)
{
    requeue_all(uring, &uring->unqueued);
    requeue_cancels(uring);
    requeue_starved(uring);
    uring->restless = !weir_list_empty(&uring->unqueued) || !weir_list_empty(&uring->cancels) ||
                      has_starved(uring) || !weir_list_empty(&uring->ended);
    if (uring->restless)
        wait_ns = 0;
    if (weir_list_empty(&uring->backoff))
        return wait_ns;
    uring->restless = true;
    uint64_t now_ns = weir_io_clock_ns(&uring->io);
    if (uring->descriptors_freed || now_ns >= uring->backoff_until_ns)
        requeue_all(uring, &uring->backoff);
    else if (wait_ns > uring->backoff_until_ns - now_ns)
        wait_ns = uring->backoff_until_ns - now_ns;
    return wait_ns;
}

static int end_cancelled(struct weir_uring *uring)
{
    struct weir_list ops;
    weir_list_init(&ops);
    weir_list_splice_back(&ops, &uring->ended);
    int done_count = 0;
    for (struct weir_list *node; (node = weir_list_pop_front(&ops)) != NULL; done_count++)
        weir_uring_finish(uring, WEIR_CONTAINER(node, struct weir_io_op, node), -ECANCELED);
    return done_count;
}

/*
 * Before the caller sleeps in poll(): everything is submitted, and a list to look at makes the fd
 * readable.
 */
static void leave_watched(struct weir_uring *uring)
{
    (void)enter(uring, 0, 0, NULL, _NSIG / 8);
    if (!weir_list_empty(&uring->unqueued) || !weir_list_empty(&uring->cancels) ||
        has_starved(uring) || !weir_list_empty(&uring->ended) || io_uring_cq_ready(&uring->ring) > 0)
        uring->io.table->wake_foreign(&uring->io);
}

/* Before anything is looked at: what comes from here on makes it readable again. */
static void hear_poll_fd(struct weir_uring *uring)
{
    uint64_t count;
    ssize_t got = read(uring->poll_fd, &count, sizeof(count));
    (void)got; /* nothing there: fine */
}

static int take_turn(struct weir_io *io, uint64_t wait_ns)
{
    struct weir_uring *uring = uring_of(io);
    WEIR_ASSERT(!uring->in_turn);
    uring->in_turn = true;
    if (__builtin_expect(uring->polled, 0))
        hear_poll_fd(uring);
    if (__builtin_expect(uring->restless, 0))
        wait_ns = settle(uring, wait_ns);
    int error;
    if (wait_ns > 0 && io_uring_cq_ready(&uring->ring) == 0)
        error = enter_waiting(uring, wait_ns);
    else
        error = enter_without_waiting(uring);
    weir_io_woke(io);
    int done_count = reap(uring);
    if (__builtin_expect(uring->restless, 0))
        done_count += end_cancelled(uring);
    if (uring->polled)
        leave_watched(uring);
    uring->in_turn = false;
    return error < 0 ? error : done_count;
}

/* ---- the rest of the table ---- */

static void wake_foreign(struct weir_io *to)
{
    int saved = errno; /* a signal handler's, perhaps */
    uint64_t one = 1;
    ssize_t written = write(uring_of(to)->eventfd, &one, sizeof(one));
    (void)written; /* full: a wake is under way already */
    errno = saved;
}

/* Rides with the sender's next submit, so that it costs no system call of its own. */
static void wake(struct weir_io *from, struct weir_io *to)
{
    struct weir_uring *uring = uring_of(from);
    struct io_uring_sqe *sqe = NULL;
    if (from->table == to->table && uring->msg_ring)
        sqe = take_sqe(uring);
    if (!sqe) {
        to->table->wake_foreign(to);
        return;
    }
    struct weir_uring *peer = uring_of(to);
    io_uring_prep_msg_ring(sqe, peer->ring.ring_fd, 0, weir_uring_tagged(0, 0, WEIR_URING_TAG_WAKE),
                           0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = weir_uring_tagged((uint32_t)peer->eventfd, 0, WEIR_URING_TAG_WAKE_SENT);
    submit_if_watched(uring);
}

static uint64_t take_random(struct weir_io *io)
{
    return weir_io_next_random(&uring_of(io)->seed);
}

static void drop(struct weir_io *io, int fd)
{
    close(fd);
    uring_of(io)->descriptors_freed = true;
}

/*
 * An eventfd that the kernel signals for each completion. The ring's own fd will not do: completions are left to be made by
 * the reactor's thread, and who sleeps in poll() on the ring is not told that some wait for it (Linux 6.18 still).
 */
static int pollable(struct weir_io *io)
{
    struct weir_uring *uring = uring_of(io);
    if (uring->polled)
        return uring->poll_fd;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    int error = io_uring_register_eventfd(&uring->ring, fd);
    if (error < 0) {
        close(fd);
        return error;
    }
    uring->poll_fd = fd;
    uring->polled = true;
    submit_if_watched(uring);
    wake_foreign(io); /* what has come already */
    return fd;
}

/* Nobody is called any more; an op whose memory the kernel still uses counts as live. */
static bool forget_completions(struct weir_uring *uring)
{
    struct io_uring_cqe *cqe;
    while (io_uring_peek_cqe(&uring->ring, &cqe) == 0) {
        bool last = (cqe->user_data & 0xff) == WEIR_URING_TAG_OP &&
                    !(cqe->flags & IORING_CQE_F_MORE);
        uint32_t index = (uint32_t)(cqe->user_data >> 32);
        if (last && index < uring->slot_count && uring->slots[index].op)
            give_slot(uring, index);
        io_uring_cqe_seen(&uring->ring, cqe);
    }
    return uring->live_count > 0;
}

static bool is_file_op(const struct weir_io_op *op)
{
    return op->kind >= WEIR_IO_OPEN && op->kind <= WEIR_IO_CLOSE;
}

/* File operations run to their end, the others are cancelled. */
static void abandon_ops(struct weir_uring *uring)
{
    for (uint32_t i = 0; i < uring->slot_count; i++) {
        struct weir_io_op *op = uring->slots[i].op;
        if (!op)
            continue;
        if (uring->slots[i].place != WEIR_URING_KERNEL)
            give_slot(uring, i);
        else if (!is_file_op(op))
            (void)queue_cancel(uring, op);
    }
}

static void close_uring(struct weir_io *io)
{
    struct weir_uring *uring = uring_of(io);
    WEIR_ASSERT(!uring->in_turn);
    do { /* asked again each second, should a cancel have found its op between two places */
        abandon_ops(uring);
    } while (forget_completions(uring) && enter_waiting(uring, WEIR_S_NS) == 0);
    (void)enter(uring, 0, IORING_ENTER_GETEVENTS, NULL,
                _NSIG / 8); /* wakes for others still unsent */
    weir_uring_tear_down(uring);
    if (uring->polled)
        close(uring->poll_fd);
    free(uring);
}

static const struct weir_io_table table = {
    .name = "io_uring",
    .start = start_op,
    .cancel = cancel_op,
    .turn = take_turn,
    .wake = wake,
    .wake_foreign = wake_foreign,
    .now_ns = weir_io_clock_ns,
    .random = take_random,
    .listen = weir_io_socket_listen,
    .datagram = weir_io_socket_datagram,
    .stream = weir_io_socket_stream,
    .local_address = weir_io_socket_local_address,
    .peer_address = weir_io_socket_peer_address,
    .drop = drop,
    .pollable = pollable,
    .close = close_uring,
};

int weir_io_uring_open(const struct weir_io_options *options, struct weir_io **io_out,
                       char *why_out, size_t why_bytes)
{
    struct weir_uring *uring = calloc(1, sizeof(*uring));
    if (!uring)
        return -ENOMEM;
    int error = weir_uring_set_up(uring, options, why_out, why_bytes);
    if (error < 0) {
        free(uring);
        return error;
    }
    uring->io.table = &table;
    uring->slot_free = WEIR_URING_NO_SLOT;
    uring->seed = weir_io_seed();
    weir_list_init(&uring->unqueued);
    weir_list_init(&uring->famished);
    weir_list_init(&uring->starved);
    weir_list_init(&uring->backoff);
    weir_list_init(&uring->cancels);
    weir_list_init(&uring->ended);
    weir_uring_queue_eventfd(uring);
    *io_out = &uring->io;
    return 0;
}
