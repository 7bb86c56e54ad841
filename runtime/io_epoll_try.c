/*
 * runtime/io_epoll_try.c - one attempt at each kind of socket op: done, more to do, or wait for the
 * next edge.
 *
 * Each attempt is bounded, so that one busy descriptor does not hold up the others; what could go
 * on is due again in the next turn. After every `done` the op is looked up anew: it may have been
 * cancelled, and the table of descriptors may have moved. Proof: tests/runtime/io_test.c.
 */
#include "runtime/io_epoll.h"

#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "runtime/io_socket.h"

#define BACKOFF_NS (100 * WEIR_MS_NS)

static void back_off(struct weir_epoll *epoll, struct weir_io_op *op, uint64_t wait_ns)
{
    uint64_t until_ns = weir_io_clock_ns(&epoll->io) + wait_ns;
    if (weir_list_empty(&epoll->backoff) || until_ns < epoll->backoff_until_ns)
        epoll->backoff_until_ns = until_ns;
    epoll->descriptors_freed = false;
    weir_epoll_put(&epoll->backoff, op);
}

static bool would_block(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK;
}

/*
 * Still this op on this descriptor, and not cancelled by the `done` just called? A cancelled op is
 * on `ended` and no longer the descriptor's.
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
            return would_block(error) ? i : i + weir_epoll_finish(epoll, op, -error);
        }
        struct weir_io_data data = {.bytes = epoll->scratch, .byte_count = (size_t)got};
        epoll->io.counters.completed++;
        op->done(op, (int)got, &data, true);
        if (!is_waiting(epoll, fd, op))
            return i + 1;
        /*
         * A short read took all there was: what comes later, comes with an edge. But for an end
         * already seen.
         */
        if ((size_t)got < sizeof(epoll->scratch) && !epoll->watches[fd].hung_up) {
            epoll->watches[fd].readable = false;
            return i + 1;
        }
    }
    weir_epoll_put(&epoll->due, op);
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
            return would_block(error) ? i : i + weir_epoll_finish(epoll, op, -error);
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
    weir_epoll_put(&epoll->due, op);
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
        weir_epoll_put(&epoll->due, op);
        return 0;
    case WEIR_IO_ACCEPT_LATER:
        epoll->io.counters.accept_backoffs++;
        back_off(epoll, op, BACKOFF_NS);
        return 0;
    case WEIR_IO_ACCEPT_BROKEN:
        break;
    }
    return weir_epoll_finish(epoll, op, -error);
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
    weir_epoll_put(&epoll->due, op);
    return WEIR_EPOLL_ACCEPTS_MAX;
}

static int try_poll(struct weir_epoll *epoll, struct weir_io_op *op)
{
    struct pollfd wanted = {.fd = op->fd, .events = POLLIN};
    int count = poll(&wanted, 1, 0);
    epoll->io.counters.enters++;
    if (count < 0)
        return weir_epoll_finish(epoll, op, -errno);
    return count == 0 ? 0 : weir_epoll_finish(epoll, op, wanted.revents);
}

static int try_send(struct weir_epoll *epoll, struct weir_io_op *op)
{
    if (!epoll->watches[op->fd].writable && op->kind == WEIR_IO_SEND)
        return 0;
    struct msghdr message = {.msg_iov = op->iov, .msg_iovlen = op->iov_count};
    if (op->kind == WEIR_IO_SENDTO) {
        message.msg_name = (void *)(uintptr_t)op->address;
        message.msg_namelen = op->address_bytes;
    }
    ssize_t sent = op->iov_count == 1 && op->kind == WEIR_IO_SEND
                       ? send(op->fd, op->iov[0].iov_base, op->iov[0].iov_len,
                              MSG_DONTWAIT | MSG_NOSIGNAL)
                       : sendmsg(op->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    epoll->io.counters.enters++;
    if (sent >= 0)
        return weir_epoll_finish(epoll, op, (int)sent);
    int error = errno;
    if (would_block(error) && op->kind == WEIR_IO_SENDTO) { /* not the descriptor's: no edge finds it */
        back_off(epoll, op, WEIR_MS_NS);
        return 0;
    }
    if (would_block(error)) {
        epoll->watches[op->fd].writable = false;
        return 0;
    }
    if (error == EINTR) {
        weir_epoll_put(&epoll->due, op);
        return 0;
    }
    return weir_epoll_finish(epoll, op, -error);
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
    return weir_epoll_finish(epoll, op, again && error == EISCONN ? 0 : -error);
}

static int first_connect(struct weir_epoll *epoll, struct weir_io_op *op)
{
    weir_io_socket_set_nonblocking(op->fd, true);
    op->slot = 1; /* connect was called */
    int fd = op->fd;
    int done_count = try_connect(epoll, op);
    if (done_count > 0 || epoll->watches[fd].out != op)
        return done_count;
    int error = weir_epoll_add(epoll, fd); /* not before: an idle socket counts as hung up */
    return error < 0 ? weir_epoll_finish(epoll, op, error) : 0;
}

int weir_epoll_try(struct weir_epoll *epoll, struct weir_io_op *op)
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
