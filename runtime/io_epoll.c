/*
 * runtime/io_epoll.c - the io over epoll, for where io_uring may not run: the same promises by
 * readiness.
 *
 * Each descriptor is put into epoll once, edge-triggered for both directions, and remembers whether
 * it may be readable or writable; an op that finds it so is tried, one that is told EAGAIN waits
 * for the next edge. Nothing is tried when an op is started: all system calls are in the turn, in
 * which `done` may be called.
 *
 *     turn:  what is due (sends, cancelled, finished file ops) -> epoll_wait -> what became ready
 *
 * Bounds: per turn EVENTS_MAX events, READS_MAX reads and ACCEPTS_MAX accepts of each descriptor.
 * File operations block, so they run on FILE_THREADS threads of a pool. Proof:
 * tests/runtime/io_test.c.
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
int weir_epoll_add(struct weir_epoll *epoll, int fd)
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

/* ---- the ends of ops ---- */

/* The last call: afterwards the op is the caller's again, or gone. */
int weir_epoll_finish(struct weir_epoll *epoll, struct weir_io_op *op, int result)
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
    weir_epoll_put(&epoll->ended, op);
}

/* ---- start and cancel ---- */

/*
 * A descriptor that epoll knows is a socket: closing it does not block. Others may have bytes to
 * write.
 */
static int start_close(struct weir_epoll *epoll, struct weir_io_op *op)
{
    bool socket = op->fd >= 0 && (uint32_t)op->fd < epoll->watch_count &&
                  epoll->watches[op->fd].added;
    if (!socket)
        return weir_epoll_start_file(epoll, op);
    weir_epoll_put(&epoll->closes, op);
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
    if (op->kind != WEIR_IO_SENDTO) { /* there may be many of those: none is the descriptor's own */
        WEIR_ASSERT(!*side);
        *side = op;
    }
    op->slot = 0;
    if (op->kind == WEIR_IO_ACCEPT)
        weir_io_socket_set_nonblocking(op->fd, true);
    int error = op->kind == WEIR_IO_CONNECT ? 0 : weir_epoll_add(epoll, op->fd);
    if (error < 0 && !(error == -EPERM && op->kind == WEIR_IO_POLL)) {
        finish_later(epoll, op, error);
        return 0;
    }
    if (side == &watch->out || watch->readable || op->kind == WEIR_IO_POLL)
        weir_epoll_put(&epoll->due, op);
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
        error = weir_epoll_start_file(epoll, op);
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
    for (struct weir_list *node; (node = weir_list_pop_front(&epoll->closes)) != NULL;
         done_count++) {
        struct weir_io_op *op = WEIR_CONTAINER(node, struct weir_io_op, node);
        forget_watch(epoll, op->fd);
        int result = close(op->fd) == 0 ? 0 : -errno;
        epoll->io.counters.enters++;
        epoll->descriptors_freed = true;
        weir_epoll_finish(epoll, op, result);
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
        done_count += weir_epoll_finish(epoll, op, (int)op->slot);
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
        done_count += weir_epoll_try(epoll, WEIR_CONTAINER(node, struct weir_io_op, node));
    return done_count;
}

/*
 * What backed off is due when its time has come or a descriptor was closed. The wait that is left.
 */
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
        struct timespec timeout = {.tv_sec = (time_t)(wait_ns / WEIR_S_NS),
                                   .tv_nsec = (long)(wait_ns % WEIR_S_NS)};
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
            done_count += weir_epoll_try(epoll, watch->out);
    }
    watch = &epoll->watches[fd];
    if (watch->added && watch->generation == generation &&
        (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
        watch->readable = true;
        if (watch->in && watch->in->armed)
            done_count += weir_epoll_try(epoll, watch->in);
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
    weir_io_woke(io);
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

int weir_io_epoll_open(const struct weir_io_options *options, struct weir_io **io_out,
                       char *why_out, size_t why_bytes)
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
