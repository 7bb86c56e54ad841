/*
 * runtime/io_epoll.c - the io over epoll, for where io_uring may not run: the same promises by readiness.
 *
 * Each descriptor is put into epoll once, edge-triggered for both directions, and remembers whether it may be
 * readable or writable; an op that finds it so is tried, one that is told EAGAIN waits for the next edge. Nothing is
 * tried when an op is started: all system calls are in the turn, in which `done` may be called.
 *
 *     turn:  what is due (sends, ready receives, cancelled, finished file ops) -> epoll_wait -> what became ready
 *
 * Bounds: per turn EVENTS_MAX events, READS_MAX reads and ACCEPTS_MAX accepts of each descriptor. File operations
 * block, so they run on FILE_THREADS threads of a pool. Proof: tests/runtime/io_test.c.
 */
#include "runtime/io_epoll.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "runtime/io_socket.h"

#define BACKOFF_NS (100 * WEIR_MS_NS)
#define EVENTFD_TAG UINT64_MAX

static struct weir_epoll *epoll_of(struct weir_io *io)
{
    return WEIR_CONTAINER(io, struct weir_epoll, io);
}

/* ---- descriptors ---- */

static int ensure_watch(struct weir_epoll *epoll, int fd)
{
    uint32_t count = epoll->watch_count;
    if ((uint32_t)fd < count)
        return 0;
    while (count <= (uint32_t)fd)
        count = count > 0 ? count * 2 : 256;
    struct weir_epoll_watch *watches = realloc(epoll->watches, (size_t)count * sizeof(*watches));
    if (!watches)
        return -ENOMEM;
    for (uint32_t i = epoll->watch_count; i < count; i++)
        watches[i] = (struct weir_epoll_watch){0};
    epoll->watches = watches;
    epoll->watch_count = count;
    return 0;
}

/* The first op on a descriptor: epoll tells at once what it is ready for. */
static int ensure_added(struct weir_epoll *epoll, int fd)
{
    struct weir_epoll_watch *watch = &epoll->watches[fd];
    if (watch->added)
        return 0;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.u64 = (uint64_t)watch->generation << 32 | (uint32_t)fd};
    epoll->io.counters.enters++;
    if (epoll_ctl(epoll->fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return -errno;
    watch->added = true;
    watch->readable = false;
    watch->writable = true; /* until a send says otherwise */
    watch->hung_up = false;
    return 0;
}

static void forget_watch(struct weir_epoll *epoll, int fd)
{
    if (fd < 0 || (uint32_t)fd >= epoll->watch_count)
        return;
    struct weir_epoll_watch *watch = &epoll->watches[fd];
    WEIR_ASSERT(!watch->in && !watch->out);
    watch->added = false;
    watch->generation++;
}

static struct weir_io_op **side_of(struct weir_epoll_watch *watch, enum weir_io_kind kind)
{
    bool out = kind == WEIR_IO_SEND || kind == WEIR_IO_SENDTO || kind == WEIR_IO_CONNECT;
    return out ? &watch->out : &watch->in;
}

static bool is_file_kind(enum weir_io_kind kind)
{
    return kind >= WEIR_IO_OPEN && kind <= WEIR_IO_CLOSE;
}

static void put_on(struct weir_list *list, struct weir_io_op *op)
{
    weir_list_remove(&op->node);
    weir_list_push_back(list, &op->node);
}

/* ---- the ends of ops ---- */

/* The last call: afterwards the op is the caller's again, or gone. */
static int finish(struct weir_epoll *epoll, struct weir_io_op *op, int result)
{
    if (!is_file_kind(op->kind) && op->fd >= 0 && (uint32_t)op->fd < epoll->watch_count) {
        struct weir_io_op **side = side_of(&epoll->watches[op->fd], op->kind);
        if (*side == op)
            *side = NULL;
    }
    weir_list_remove(&op->node);
    op->armed = false;
    op->cancelling = false;
    epoll->live_count--;
    epoll->io.counters.completed++;
    op->done(op, result, NULL, false);
    return 1;
}

/* The last call comes in the next turn. */
static void finish_later(struct weir_epoll *epoll, struct weir_io_op *op, int result)
{
    op->slot = (uint32_t)result;
    put_on(&epoll->ended, op);
}

static void back_off(struct weir_epoll *epoll, struct weir_io_op *op, uint64_t wait_ns)
{
    uint64_t until_ns = weir_io_clock_ns(&epoll->io) + wait_ns;
    if (weir_list_empty(&epoll->backoff) || until_ns < epoll->backoff_until_ns)
        epoll->backoff_until_ns = until_ns;
    epoll->descriptors_freed = false;
    put_on(&epoll->backoff, op);
}

/* ---- trying ---- */

static bool would_block(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK;
}

/*
 * Still this op on this descriptor, and not cancelled by the `done` just called? A cancelled op is on `ended` and
 * no longer the descriptor's.
 */
static bool is_waiting(const struct weir_epoll *epoll, int fd, const struct weir_io_op *op)
{
    return epoll->watches[fd].in == op;
}

static int try_recv(struct weir_epoll *epoll, struct weir_io_op *op)
{
    int fd = op->fd;
    for (int i = 0; i < WEIR_EPOLL_READS_MAX; i++) {
        ssize_t got = recv(fd, epoll->scratch, sizeof(epoll->scratch), MSG_DONTWAIT);
        epoll->io.counters.enters++;
        if (got <= 0) {
            int error = got < 0 ? errno : 0;
            if (error == EINTR)
                continue;
            epoll->watches[fd].readable = false;
            return would_block(error) ? i : i + finish(epoll, op, -error);
        }
        struct weir_io_data data = {.bytes = epoll->scratch, .byte_count = (size_t)got};
        epoll->io.counters.completed++;
        op->done(op, (int)got, &data, true);
        if (!is_waiting(epoll, fd, op))
            return i + 1;
        /* A short read took all there was: what comes later, comes with an edge. But for an end already seen. */
        if ((size_t)got < sizeof(epoll->scratch) && !epoll->watches[fd].hung_up) {
            epoll->watches[fd].readable = false;
            return i + 1;
        }
    }
    put_on(&epoll->due, op);
    return WEIR_EPOLL_READS_MAX;
}

static int try_recvfrom(struct weir_epoll *epoll, struct weir_io_op *op)
{
    int fd = op->fd;
    for (int i = 0; i < WEIR_EPOLL_DATAGRAMS_MAX; i++) {
        struct sockaddr_storage sender;
        struct iovec iov = {epoll->scratch, sizeof(epoll->scratch)};
        struct msghdr message = {
            .msg_name = &sender, .msg_namelen = sizeof(sender), .msg_iov = &iov, .msg_iovlen = 1};
        ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);
        epoll->io.counters.enters++;
        if (got < 0) {
            int error = errno;
            epoll->watches[fd].readable = false;
            return would_block(error) ? i : i + finish(epoll, op, -error);
        }
        struct weir_io_data data = {.bytes = epoll->scratch,
                                    .byte_count = (size_t)got,
                                    .sender = (const struct sockaddr *)&sender,
                                    .sender_bytes = message.msg_namelen,
                                    .truncated = (message.msg_flags & MSG_TRUNC) != 0};
        epoll->io.counters.completed++;
        op->done(op, (int)got, &data, true);
        if (!is_waiting(epoll, fd, op))
            return i + 1;
    }
    put_on(&epoll->due, op);
    return WEIR_EPOLL_DATAGRAMS_MAX;
}

static int accept_failed(struct weir_epoll *epoll, struct weir_io_op *op, int error)
{
    if (would_block(error)) {
        epoll->watches[op->fd].readable = false;
        return 0;
    }
    switch (weir_io_socket_accept_verdict(-error)) {
    case WEIR_IO_ACCEPT_AGAIN:
        put_on(&epoll->due, op);
        return 0;
    case WEIR_IO_ACCEPT_LATER:
        epoll->io.counters.accept_backoffs++;
        back_off(epoll, op, BACKOFF_NS);
        return 0;
    case WEIR_IO_ACCEPT_BROKEN:
        break;
    }
    return finish(epoll, op, -error);
}

static int try_accept(struct weir_epoll *epoll, struct weir_io_op *op)
{
    int listener = op->fd;
    for (int i = 0; i < WEIR_EPOLL_ACCEPTS_MAX; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        epoll->io.counters.enters++;
        if (fd < 0)
            return i + accept_failed(epoll, op, errno);
        epoll->io.counters.completed++;
        op->done(op, fd, NULL, true);
        if (!is_waiting(epoll, listener, op))
            return i + 1;
    }
    put_on(&epoll->due, op);
    return WEIR_EPOLL_ACCEPTS_MAX;
}

static int try_poll(struct weir_epoll *epoll, struct weir_io_op *op)
{
    struct pollfd wanted = {.fd = op->fd, .events = POLLIN};
    int count = poll(&wanted, 1, 0);
    epoll->io.counters.enters++;
    if (count < 0)
        return finish(epoll, op, -errno);
    return count == 0 ? 0 : finish(epoll, op, wanted.revents);
}

static int try_send(struct weir_epoll *epoll, struct weir_io_op *op)
{
    if (!epoll->watches[op->fd].writable)
        return 0;
    struct msghdr message = {.msg_iov = op->iov, .msg_iovlen = op->iov_count};
    if (op->kind == WEIR_IO_SENDTO) {
        message.msg_name = (void *)(uintptr_t)op->address;
        message.msg_namelen = op->address_bytes;
    }
    ssize_t sent = op->iov_count == 1 && op->kind == WEIR_IO_SEND
                       ? send(op->fd, op->iov[0].iov_base, op->iov[0].iov_len, MSG_DONTWAIT | MSG_NOSIGNAL)
                       : sendmsg(op->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    epoll->io.counters.enters++;
    if (sent >= 0)
        return finish(epoll, op, (int)sent);
    int error = errno;
    if (would_block(error)) {
        epoll->watches[op->fd].writable = false;
        return 0;
    }
    if (error == EINTR) {
        put_on(&epoll->due, op);
        return 0;
    }
    return finish(epoll, op, -error);
}

/* A second connect answers what became of the first, without guessing from events. */
static int try_connect(struct weir_epoll *epoll, struct weir_io_op *op)
{
    int result = connect(op->fd, op->address, op->address_bytes);
    int error = result < 0 ? errno : 0;
    epoll->io.counters.enters++;
    if (error == EINPROGRESS || error == EALREADY || error == EINTR)
        return 0;
    if (error == EAGAIN) { /* a local listener's queue is full, and nothing tells when it is not */
        back_off(epoll, op, WEIR_MS_NS);
        return 0;
    }
    bool again = op->slot > 0;
    return finish(epoll, op, again && error == EISCONN ? 0 : -error);
}

static int first_connect(struct weir_epoll *epoll, struct weir_io_op *op)
{
    weir_io_socket_set_nonblocking(op->fd, true);
    op->slot = 1; /* connect was called */
    int fd = op->fd;
    int done_count = try_connect(epoll, op);
    if (done_count > 0 || epoll->watches[fd].out != op)
        return done_count;
    int error = ensure_added(epoll, fd); /* not before: an idle socket counts as hung up */
    return error < 0 ? finish(epoll, op, error) : 0;
}

static int try_op(struct weir_epoll *epoll, struct weir_io_op *op)
{
    switch (op->kind) {
    case WEIR_IO_RECV:
        return try_recv(epoll, op);
    case WEIR_IO_SEND:
    case WEIR_IO_SENDTO:
        return try_send(epoll, op);
    case WEIR_IO_RECVFROM:
        return try_recvfrom(epoll, op);
    case WEIR_IO_ACCEPT:
        return try_accept(epoll, op);
    case WEIR_IO_CONNECT:
        return op->slot == 0 ? first_connect(epoll, op) : try_connect(epoll, op);
    case WEIR_IO_POLL:
        return try_poll(epoll, op);
    default:
        return 0;
    }
}

/* ---- file operations ---- */

static int result_of(ssize_t result)
{
    return result < 0 ? -errno : (int)result;
}

static void run_file_job(struct weir_pool_job *pool_job)
{
    struct weir_epoll_job *job = WEIR_CONTAINER(pool_job, struct weir_epoll_job, job);
    const struct weir_io_op *op = job->op;
    switch (op->kind) {
    case WEIR_IO_OPEN:
        job->result = result_of(open(op->path, op->open_flags | O_CLOEXEC, op->mode));
        break;
    case WEIR_IO_READ:
        job->result = result_of(preadv(op->fd, op->iov, (int)op->iov_count, (off_t)op->offset));
        break;
    case WEIR_IO_WRITE:
        job->result = result_of(pwritev(op->fd, op->iov, (int)op->iov_count, (off_t)op->offset));
        break;
    case WEIR_IO_SYNC:
        job->result = result_of(op->data_only ? fdatasync(op->fd) : fsync(op->fd));
        break;
    default:
        job->result = result_of(close(op->fd));
    }
}

static void on_file_job(struct weir_pool_job *pool_job)
{
    struct weir_epoll_job *job = WEIR_CONTAINER(pool_job, struct weir_epoll_job, job);
    struct weir_epoll *epoll = job->epoll;
    struct weir_io_op *op = job->op;
    int result = job->result;
    weir_list_push_front(&epoll->spare_jobs, &job->job.node);
    if (op->kind == WEIR_IO_CLOSE)
        epoll->descriptors_freed = true;
    if (epoll->closing) {
        epoll->live_count--;
        return;
    }
    finish(epoll, op, result);
}

static struct weir_epoll_job *take_job(struct weir_epoll *epoll)
{
    struct weir_list *node = weir_list_pop_front(&epoll->spare_jobs);
    if (node)
        return WEIR_CONTAINER(node, struct weir_epoll_job, job.node);
    return calloc(1, sizeof(struct weir_epoll_job));
}

static int start_file_op(struct weir_epoll *epoll, struct weir_io_op *op)
{
    if (!epoll->pool && weir_pool_open(WEIR_EPOLL_FILE_THREADS, &epoll->pool) < 0)
        return -ENOMEM;
    struct weir_epoll_job *job = take_job(epoll);
    if (!job)
        return -ENOMEM;
    *job = (struct weir_epoll_job){.job = {.run = run_file_job, .done = on_file_job}, .epoll = epoll, .op = op};
    weir_list_init(&job->job.node);
    int error = weir_pool_submit(epoll->pool, &epoll->home, &job->job);
    if (error < 0)
        weir_list_push_front(&epoll->spare_jobs, &job->job.node);
    return error < 0 ? -ENOMEM : 0;
}

/* ---- start and cancel ---- */

/* A descriptor that epoll knows is a socket: closing it does not block. Others may have bytes to write. */
static int start_close(struct weir_epoll *epoll, struct weir_io_op *op)
{
    bool socket = op->fd >= 0 && (uint32_t)op->fd < epoll->watch_count && epoll->watches[op->fd].added;
    if (!socket)
        return start_file_op(epoll, op);
    put_on(&epoll->closes, op);
    return 0;
}

static int start_socket_op(struct weir_epoll *epoll, struct weir_io_op *op)
{
    if (op->fd < 0) {
        finish_later(epoll, op, -EBADF);
        return 0;
    }
    if (ensure_watch(epoll, op->fd) < 0)
        return -ENOMEM;
    struct weir_epoll_watch *watch = &epoll->watches[op->fd];
    struct weir_io_op **side = side_of(watch, op->kind);
    WEIR_ASSERT(!*side);
    *side = op;
    op->slot = 0;
    if (op->kind == WEIR_IO_ACCEPT)
        weir_io_socket_set_nonblocking(op->fd, true);
    int error = op->kind == WEIR_IO_CONNECT ? 0 : ensure_added(epoll, op->fd);
    if (error < 0 && !(error == -EPERM && op->kind == WEIR_IO_POLL)) {
        finish_later(epoll, op, error);
        return 0;
    }
    if (side == &watch->out || watch->readable || op->kind == WEIR_IO_POLL)
        put_on(&epoll->due, op);
    return 0;
}

static int start_op(struct weir_io *io, struct weir_io_op *op)
{
    struct weir_epoll *epoll = epoll_of(io);
    if (op->armed)
        return -EBUSY;
    weir_list_init(&op->node);
    int error;
    if (op->kind == WEIR_IO_CLOSE)
        error = start_close(epoll, op);
    else if (is_file_kind(op->kind))
        error = start_file_op(epoll, op);
    else
        error = start_socket_op(epoll, op);
    if (error < 0)
        return error;
    op->armed = true;
    op->cancelling = false;
    epoll->live_count++;
    epoll->io.counters.submitted++;
    if (epoll->polled && !epoll->in_turn)
        io->table->wake_foreign(io);
    return 0;
}

static void cancel_op(struct weir_io *io, struct weir_io_op *op)
{
    struct weir_epoll *epoll = epoll_of(io);
    if (!op->armed || op->cancelling)
        return;
    op->cancelling = true;
    if (is_file_kind(op->kind) || op->fd < 0)
        return; /* its own result comes */
    struct weir_io_op **side = side_of(&epoll->watches[op->fd], op->kind);
    if (*side != op)
        return; /* has ended already */
    *side = NULL;
    finish_later(epoll, op, -ECANCELED);
    if (epoll->polled && !epoll->in_turn)
        io->table->wake_foreign(io);
}

/* ---- the turn ---- */

static int run_closes(struct weir_epoll *epoll)
{
    int done_count = 0;
    for (struct weir_list *node; (node = weir_list_pop_front(&epoll->closes)) != NULL; done_count++) {
        struct weir_io_op *op = WEIR_CONTAINER(node, struct weir_io_op, node);
        forget_watch(epoll, op->fd);
        int result = result_of(close(op->fd));
        epoll->io.counters.enters++;
        epoll->descriptors_freed = true;
        finish(epoll, op, result);
    }
    return done_count;
}

static int run_ended(struct weir_epoll *epoll)
{
    struct weir_list ops;
    weir_list_init(&ops);
    weir_list_splice_back(&ops, &epoll->ended);
    int done_count = 0;
    for (struct weir_list *node; (node = weir_list_pop_front(&ops)) != NULL;) {
        struct weir_io_op *op = WEIR_CONTAINER(node, struct weir_io_op, node);
        done_count += finish(epoll, op, (int)op->slot);
    }
    return done_count;
}

/* What is due now; what becomes due meanwhile waits for the next turn. */
static int run_due(struct weir_epoll *epoll)
{
    struct weir_list ops;
    weir_list_init(&ops);
    weir_list_splice_back(&ops, &epoll->due);
    int done_count = 0;
    for (struct weir_list *node; (node = weir_list_pop_front(&ops)) != NULL;)
        done_count += try_op(epoll, WEIR_CONTAINER(node, struct weir_io_op, node));
    return done_count;
}

/* What backed off is due when its time has come or a descriptor was closed. The wait that is left. */
static uint64_t settle_backoff(struct weir_epoll *epoll, uint64_t wait_ns)
{
    if (weir_list_empty(&epoll->backoff))
        return wait_ns;
    uint64_t now_ns = weir_io_clock_ns(&epoll->io);
    if (epoll->descriptors_freed || now_ns >= epoll->backoff_until_ns)
        weir_list_splice_back(&epoll->due, &epoll->backoff);
    else if (wait_ns > epoll->backoff_until_ns - now_ns)
        wait_ns = epoll->backoff_until_ns - now_ns;
    return wait_ns;
}

static int wait_ms(uint64_t wait_ns)
{
    if (wait_ns >= (uint64_t)INT32_MAX * WEIR_MS_NS)
        return wait_ns == UINT64_MAX ? -1 : INT32_MAX;
    return (int)((wait_ns + WEIR_MS_NS - 1) / WEIR_MS_NS);
}

static int wait_events(struct weir_epoll *epoll, uint64_t wait_ns)
{
    epoll->io.counters.enters++;
    int count;
    if (!epoll->only_ms && wait_ns > 0 && wait_ns != UINT64_MAX) {
        struct timespec timeout = {.tv_sec = (time_t)(wait_ns / WEIR_S_NS), .tv_nsec = (long)(wait_ns % WEIR_S_NS)};
        count = epoll_pwait2(epoll->fd, epoll->events, WEIR_EPOLL_EVENTS_MAX, &timeout, NULL);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM))
            return count < 0 ? -errno : count;
        epoll->only_ms = true; /* before 5.11, or a filter that does not know the call */
    }
    count = epoll_wait(epoll->fd, epoll->events, WEIR_EPOLL_EVENTS_MAX, wait_ms(wait_ns));
    return count < 0 ? -errno : count;
}

static void on_eventfd(struct weir_epoll *epoll)
{
    uint64_t count;
    ssize_t got = read(epoll->eventfd, &count, sizeof(count));
    (void)got; /* nothing there: fine */
}

/* The other side's op may be started, cancelled or ended by the first one's `done`. */
static int on_event(struct weir_epoll *epoll, const struct epoll_event *event)
{
    if (event->data.u64 == EVENTFD_TAG) {
        on_eventfd(epoll);
        return 0;
    }
    uint32_t fd = (uint32_t)event->data.u64;
    uint32_t generation = (uint32_t)(event->data.u64 >> 32);
    struct weir_epoll_watch *watch = &epoll->watches[fd];
    if (!watch->added || watch->generation != generation)
        return 0;
    int done_count = 0;
    if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        watch->hung_up = true;
    if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        bool waited = !watch->writable || (watch->out && watch->out->kind == WEIR_IO_CONNECT);
        watch->writable = true;
        if (waited && watch->out)
            done_count += try_op(epoll, watch->out);
    }
    watch = &epoll->watches[fd];
    if (watch->added && watch->generation == generation &&
        (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
        watch->readable = true;
        if (watch->in && watch->in->armed)
            done_count += try_op(epoll, watch->in);
    }
    return done_count;
}

static int take_turn(struct weir_io *io, uint64_t wait_ns)
{
    struct weir_epoll *epoll = epoll_of(io);
    WEIR_ASSERT(!epoll->in_turn);
    epoll->in_turn = true;
    wait_ns = settle_backoff(epoll, wait_ns);
    int done_count = run_due(epoll);
    done_count += run_closes(epoll);
    done_count += run_ended(epoll);
    done_count += (int)weir_pool_home_collect(&epoll->home);
    if (done_count > 0 || !weir_list_empty(&epoll->due) || !weir_list_empty(&epoll->ended))
        wait_ns = 0;
    int count = wait_events(epoll, wait_ns);
    for (int i = 0; i < count; i++)
        done_count += on_event(epoll, &epoll->events[i]);
    if (epoll->home.pending_count > 0)
        done_count += (int)weir_pool_home_collect(&epoll->home);
    epoll->in_turn = false;
    if (epoll->polled && (!weir_list_empty(&epoll->due) || !weir_list_empty(&epoll->ended) ||
                          !weir_list_empty(&epoll->closes)))
        io->table->wake_foreign(io);
    return count < 0 && count != -EINTR ? count : done_count;
}

/* ---- the rest of the table ---- */

static void wake_foreign(struct weir_io *to)
{
    int saved = errno; /* a signal handler's, perhaps */
    uint64_t one = 1;
    ssize_t written = write(epoll_of(to)->eventfd, &one, sizeof(one));
    (void)written; /* full: a wake is under way already */
    errno = saved;
}

static void wake(struct weir_io *from, struct weir_io *to)
{
    (void)from;
    to->table->wake_foreign(to);
}

static void wake_home(void *context)
{
    wake_foreign(context);
}

static uint64_t take_random(struct weir_io *io)
{
    return weir_io_next_random(&epoll_of(io)->seed);
}

static void drop(struct weir_io *io, int fd)
{
    forget_watch(epoll_of(io), fd);
    close(fd);
    epoll_of(io)->descriptors_freed = true;
}

static int pollable(struct weir_io *io)
{
    epoll_of(io)->polled = true;
    wake_foreign(io); /* what is due already */
    return epoll_of(io)->fd;
}

static void free_epoll(struct weir_epoll *epoll)
{
    for (struct weir_list *node; (node = weir_list_pop_front(&epoll->spare_jobs)) != NULL;)
        free(WEIR_CONTAINER(node, struct weir_epoll_job, job.node));
    weir_pool_home_deinit(&epoll->home);
    if (epoll->eventfd >= 0)
        close(epoll->eventfd);
    if (epoll->fd >= 0)
        close(epoll->fd);
    free(epoll->watches);
    free(epoll);
}

static void close_epoll(struct weir_io *io)
{
    struct weir_epoll *epoll = epoll_of(io);
    WEIR_ASSERT(!epoll->in_turn);
    epoll->closing = true;
    for (struct weir_list *node; (node = weir_list_pop_front(&epoll->closes)) != NULL;)
        close(WEIR_CONTAINER(node, struct weir_io_op, node)->fd);
    if (epoll->pool)
        weir_pool_close(epoll->pool);
    weir_pool_home_collect(&epoll->home);
    free_epoll(epoll);
}

static const struct weir_io_table table = {
    .name = "epoll",
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
    .close = close_epoll,
};

static int open_descriptors(struct weir_epoll *epoll)
{
    epoll->fd = epoll_create1(EPOLL_CLOEXEC);
    epoll->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (epoll->fd < 0 || epoll->eventfd < 0)
        return -errno;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = EVENTFD_TAG};
    return epoll_ctl(epoll->fd, EPOLL_CTL_ADD, epoll->eventfd, &event) == 0 ? 0 : -errno;
}

int weir_io_epoll_open(const struct weir_io_options *options, struct weir_io **io_out, char *why_out, size_t why_bytes)
{
    (void)options;
    struct weir_epoll *epoll = calloc(1, sizeof(*epoll));
    if (!epoll)
        return -ENOMEM;
    epoll->io.table = &table;
    epoll->seed = weir_io_seed();
    weir_list_init(&epoll->due);
    weir_list_init(&epoll->ended);
    weir_list_init(&epoll->closes);
    weir_list_init(&epoll->backoff);
    weir_list_init(&epoll->spare_jobs);
    weir_pool_home_init(&epoll->home, wake_home, &epoll->io);
    int error = open_descriptors(epoll);
    if (error < 0) {
        snprintf(why_out, why_bytes, "epoll: no descriptor for it (errno %d)", -error);
        free_epoll(epoll);
        return error;
    }
    snprintf(why_out, why_bytes, "epoll: as asked for");
    *io_out = &epoll->io;
    return 0;
}
