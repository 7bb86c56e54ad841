/*
 * runtime/tcp.c - stream connections of one reactor. Listening: runtime/tcp_listen.c.
 *
 * What a turn writes is queued, and the connection's hook starts one send at the end of the turn; the next send starts when
 * that one is done. Reading is one repeating receive, cancelled to pause; what still comes is held and handed over first on
 * resume. Bounded by unsent_bytes_max, and by one receive's worth of held bytes.
 * Proof: tests/runtime/tcp_test.c on every io, tests/runtime/tcp_sim.c with faults.
 */
#include "runtime/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "runtime/address.h"
#include "runtime/probe.h"
#include "runtime/tcp_listen.h"

#define FLUSH_STUCK_NS (30 * WEIR_S_NS)
#define FLUSH_LOOK_NS WEIR_S_NS

static void start_closing(struct weir_tcp *conn, int error);

static void arm(struct weir_tcp *conn)
{
    weir_reactor_arm_hook(conn->reactor, &conn->hook);
}

static void start_recv(struct weir_tcp *conn)
{
    if (conn->recv.armed || conn->paused || conn->ended || conn->state != WEIR_TCP_OPEN)
        return;
    if (weir_io_start(conn->reactor->io, &conn->recv) < 0)
        start_closing(conn, -ENOMEM);
}

/* A send of several runs had its iov in a buffer. */
static void let_iov_go(struct weir_tcp *conn)
{
    struct iovec *iov = conn->send.kind == WEIR_IO_SEND ? conn->send.iov : NULL;
    if (iov && iov != &conn->iov)
        weir_buffer_drop(conn->reactor, WEIR_CONTAINER(iov, struct weir_buffer, bytes));
    conn->send.iov = NULL;
}

static void free_conn(struct weir_tcp *conn)
{
    let_iov_go(conn);
    weir_list_remove(&conn->node);
    weir_list_remove(&conn->hook.node);
    weir_outq_clear(conn->reactor, &conn->outq);
    if (conn->held)
        weir_buffer_drop(conn->reactor, conn->held);
    weir_tcp_shape_drop(conn->shape);
    free(conn);
}

static void tell_closed(struct weir_tcp *conn)
{
    conn->reactor->counters.connections_closed++;
    weir_record(&conn->reactor->recorder, WEIR_RECORD_CLOSE, 0, 0, conn->number, (uint32_t)-conn->error);
    if (conn->shape->handlers.on_close)
        conn->shape->handlers.on_close(conn->reactor, conn, conn->error);
}

static void on_fd_gone(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    (void)result;
    (void)data;
    (void)more;
    struct weir_tcp *conn = WEIR_CONTAINER(op, struct weir_tcp, send);
    tell_closed(conn);
    free_conn(conn);
}

/* Every operation has had its last word? Then the fd may go. */
static void close_if_quiet(struct weir_tcp *conn)
{
    if (conn->recv.armed || conn->send.armed)
        return;
    conn->send = (struct weir_io_op){.kind = WEIR_IO_CLOSE, .fd = conn->fd, .done = on_fd_gone};
    conn->fd = -1;
    if (weir_io_start(conn->reactor->io, &conn->send) == 0)
        return;
    conn->reactor->io->table->drop(conn->reactor->io, conn->send.fd);
    on_fd_gone(&conn->send, 0, NULL, false);
}

static void start_closing(struct weir_tcp *conn, int error)
{
    if (conn->state == WEIR_TCP_CLOSING)
        return;
    conn->state = WEIR_TCP_CLOSING;
    conn->error = error;
    weir_io_cancel(conn->reactor->io, &conn->recv);
    weir_io_cancel(conn->reactor->io, &conn->send);
    arm(conn);
}

static void hold(struct weir_tcp *conn, const struct weir_io_data *data)
{
    size_t total = conn->held_bytes + data->byte_count;
    if (!conn->held || conn->held->byte_count < total) {
        struct weir_buffer *larger = weir_buffer_take(conn->reactor, total);
        if (!larger) {
            start_closing(conn, -ENOMEM);
            return;
        }
        if (conn->held) {
            memcpy(larger->bytes, conn->held->bytes, conn->held_bytes);
            weir_buffer_drop(conn->reactor, conn->held);
        }
        conn->held = larger;
    }
    memcpy(conn->held->bytes + conn->held_bytes, data->bytes, data->byte_count);
    conn->held_bytes = (uint32_t)total;
}

static void deliver(struct weir_tcp *conn, const void *bytes, size_t byte_count)
{
    if (conn->shape->handlers.on_data)
        conn->shape->handlers.on_data(conn->reactor, conn, bytes, byte_count);
}

/* The peer will send no more. What we owe it is still sent. */
static void on_stream_end(struct weir_tcp *conn)
{
    conn->ended = true;
    arm(conn); /* the hook closes it: at once, or when it is read again and has had its bytes */
}

/* All that the peer sent was handed over. In a stop the end is our own doing: the connection stays until it is closed for all. */
static bool is_over(const struct weir_tcp *conn)
{
    bool kept = conn->reactor->state == WEIR_REACTOR_DRAINING && !conn->reactor->drain_closing;
    return conn->state == WEIR_TCP_OPEN && conn->ended && !conn->paused && conn->held_bytes == 0 && !kept;
}

static void on_recv(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    struct weir_tcp *conn = WEIR_CONTAINER(op, struct weir_tcp, recv);
    weir_reactor_take_mail(conn->reactor);
    if (result > 0 && data) {
        conn->reactor->counters.bytes_received += data->byte_count;
        if (conn->state == WEIR_TCP_OPEN && (conn->paused || conn->held_bytes > 0))
            hold(conn, data);
        else if (conn->state == WEIR_TCP_OPEN)
            deliver(conn, data->bytes, data->byte_count);
    }
    if (more)
        return;
    if (conn->state == WEIR_TCP_CLOSING)
        arm(conn);
    else if (result == 0)
        on_stream_end(conn);
    else if (result < 0 && result != -ECANCELED)
        start_closing(conn, result);
    else
        arm(conn); /* paused and perhaps resumed since: the hook looks */
}

static void on_sent(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    (void)data;
    (void)more;
    struct weir_tcp *conn = WEIR_CONTAINER(op, struct weir_tcp, send);
    let_iov_go(conn);
    if (result > 0) {
        conn->reactor->counters.bytes_sent += (uint64_t)result;
        conn->sent_ns = conn->reactor->now_ns;
        weir_outq_sent(conn->reactor, &conn->outq, (size_t)result);
    } else if (result < 0 && result != -ECANCELED) {
        start_closing(conn, result);
    }
    arm(conn);
    if (conn->outq.byte_count == 0 && conn->state == WEIR_TCP_OPEN && conn->shape->handlers.on_drain)
        conn->shape->handlers.on_drain(conn->reactor, conn);
}

static void start_send(struct weir_tcp *conn)
{
    if (conn->send.armed || conn->corked || conn->outq.byte_count == 0)
        return;
    struct weir_buffer *several = NULL; /* without one, a run at a time goes out as well */
    if (conn->outq.count > 1)
        several = weir_buffer_take(conn->reactor, WEIR_TCP_IOV * sizeof(struct iovec));
    conn->send.iov = several ? (struct iovec *)(void *)several->bytes : &conn->iov;
    conn->send.iov_count = weir_outq_gather(&conn->outq, conn->send.iov, several ? WEIR_TCP_IOV : 1);
    if (weir_io_start(conn->reactor->io, &conn->send) == 0)
        return;
    let_iov_go(conn);
    start_closing(conn, -ENOMEM);
}

static void hand_over_held(struct weir_tcp *conn)
{
    struct weir_buffer *held = conn->held;
    uint32_t byte_count = conn->held_bytes;
    conn->held = NULL;
    conn->held_bytes = 0;
    deliver(conn, held->bytes, byte_count);
    weir_buffer_drop(conn->reactor, held);
}

/* The end of a turn in which something happened to this connection. */
static void on_hook(struct weir_reactor *reactor, struct weir_turn_hook *hook)
{
    (void)reactor;
    struct weir_tcp *conn = WEIR_CONTAINER(hook, struct weir_tcp, hook);
    if (conn->state == WEIR_TCP_OPEN && !conn->paused && conn->held_bytes > 0)
        hand_over_held(conn);
    if (is_over(conn))
        weir_tcp_close(conn);
    if (conn->state == WEIR_TCP_OPEN)
        start_recv(conn);
    if (conn->state == WEIR_TCP_OPEN || conn->state == WEIR_TCP_FLUSHING)
        start_send(conn);
    if (conn->state == WEIR_TCP_FLUSHING && conn->outq.byte_count == 0 && !conn->send.armed)
        start_closing(conn, 0);
    if (conn->state == WEIR_TCP_CLOSING && conn->fd >= 0)
        close_if_quiet(conn);
}

static void set_no_delay(struct weir_tcp *conn, int family)
{
    int on = 1;
    if (!conn->shape->options.no_delay_off && family != AF_UNIX)
        setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* a simulated fd is refused: no harm */
}

struct weir_tcp *weir_tcp_make(struct weir_reactor *reactor, int fd, struct weir_tcp_shape *shape)
{
    struct weir_tcp *conn = calloc(1, sizeof *conn);
    if (!conn)
        return NULL;
    shape->refs++;
    conn->reactor = reactor;
    conn->shape = shape;
    conn->context = shape->context;
    conn->fd = fd;
    conn->number = (uint32_t)++reactor->counters.connections_opened;
    weir_list_init(&conn->hook.node);
    conn->hook.fn = on_hook;
    conn->recv = (struct weir_io_op){.kind = WEIR_IO_RECV, .fd = fd, .done = on_recv};
    conn->send = (struct weir_io_op){.kind = WEIR_IO_SEND, .fd = fd, .done = on_sent};
    weir_list_push_back(&reactor->connections, &conn->node);
    return conn;
}

void weir_tcp_begin(struct weir_tcp *conn, int family)
{
    conn->state = WEIR_TCP_OPEN;
    conn->opened = true;
    set_no_delay(conn, family);
    weir_record(&conn->reactor->recorder, WEIR_RECORD_OPEN, 0, 0, conn->number, 0);
    if (conn->shape->handlers.on_open)
        conn->shape->handlers.on_open(conn->reactor, conn, conn->context);
    if (conn->outq.byte_count > 0)
        arm(conn); /* written while connecting */
    start_recv(conn);
}

static void on_connected(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    (void)data;
    (void)more;
    struct weir_tcp *conn = WEIR_CONTAINER(op, struct weir_tcp, send);
    int family = op->address->sa_family;
    free((void *)(uintptr_t)op->address);
    if (result < 0 || conn->state != WEIR_TCP_CONNECTING) {
        start_closing(conn, result);
        arm(conn);
        return;
    }
    conn->send = (struct weir_io_op){.kind = WEIR_IO_SEND, .fd = conn->fd, .done = on_sent};
    weir_tcp_begin(conn, family);
}

static int start_connect(struct weir_tcp *conn, const struct weir_address *address)
{
    struct sockaddr_storage *kept = malloc(sizeof *kept); /* until connected */
    if (!kept)
        return -ENOMEM;
    *kept = address->storage;
    conn->send = (struct weir_io_op){.kind = WEIR_IO_CONNECT, .fd = conn->fd, .done = on_connected};
    conn->send.address = (struct sockaddr *)kept;
    conn->send.address_bytes = address->byte_count;
    int result = weir_io_start(conn->reactor->io, &conn->send);
    if (result < 0)
        free(kept);
    return result;
}

int weir_tcp_connect(struct weir_reactor *reactor, const char *text, const struct weir_tcp_handlers *handlers,
                     const struct weir_tcp_options *options, void *context, struct weir_tcp **conn_out)
{
    struct weir_address address;
    int fd = -1;
    if (reactor->state == WEIR_REACTOR_ENDED)
        return -ESHUTDOWN;
    int result = weir_address_parse(text, &address);
    if (result == 0)
        result = reactor->io->table->stream(reactor->io, address.storage.ss_family, &fd);
    if (result < 0)
        return result;
    struct weir_tcp_shape *shape = weir_tcp_shape_make(handlers, options, context);
    struct weir_tcp *conn = shape ? weir_tcp_make(reactor, fd, shape) : NULL;
    if (shape)
        weir_tcp_shape_drop(shape); /* the connection has its own reference */
    result = conn ? start_connect(conn, &address) : -ENOMEM;
    if (result < 0) {
        reactor->io->table->drop(reactor->io, fd);
        if (conn)
            free_conn(conn);
        return result;
    }
    if (conn_out)
        *conn_out = conn;
    return 0;
}

static int may_write(const struct weir_tcp *conn, size_t byte_count)
{
    if (conn->state != WEIR_TCP_OPEN && conn->state != WEIR_TCP_CONNECTING)
        return -EPIPE;
    if (byte_count > conn->shape->options.unsent_bytes_max)
        return -EMSGSIZE;
    if (conn->outq.byte_count + byte_count > conn->shape->options.unsent_bytes_max)
        return -ENOBUFS;
    return 0;
}

static int queued(struct weir_tcp *conn, bool was_empty, int result)
{
    if (result < 0)
        return result;
    if (was_empty)
        conn->sent_ns = conn->reactor->now_ns;
    if (!conn->send.armed)
        arm(conn);
    return 0;
}

int weir_tcp_write(struct weir_tcp *conn, const void *bytes, size_t byte_count)
{
    int result = may_write(conn, byte_count);
    bool was_empty = conn->outq.byte_count == 0;
    return queued(conn, was_empty, result < 0 ? result : weir_outq_copy(conn->reactor, &conn->outq, bytes, byte_count));
}

int weir_tcp_share(struct weir_tcp *conn, struct weir_buffer *buffer, const uint8_t *bytes, size_t byte_count)
{
    int result = may_write(conn, byte_count);
    bool was_empty = conn->outq.byte_count == 0;
    return queued(conn, was_empty,
                  result < 0 ? result : weir_outq_share(conn->reactor, &conn->outq, buffer, bytes, byte_count));
}

int weir_tcp_give(struct weir_tcp *conn, struct weir_buffer *buffer, const uint8_t *bytes, size_t byte_count)
{
    int result = may_write(conn, byte_count);
    bool was_empty = conn->outq.byte_count == 0;
    return queued(conn, was_empty,
                  result < 0 ? result : weir_outq_give(conn->reactor, &conn->outq, buffer, bytes, byte_count));
}

uint8_t *weir_tcp_reserve(struct weir_tcp *conn, size_t byte_count)
{
    return may_write(conn, byte_count) < 0 ? NULL : weir_outq_reserve(conn->reactor, &conn->outq, byte_count);
}

int weir_tcp_commit(struct weir_tcp *conn, size_t byte_count)
{
    bool was_empty = conn->outq.byte_count == 0;
    return queued(conn, was_empty, weir_outq_commit(conn->reactor, &conn->outq, byte_count));
}

void weir_tcp_cork(struct weir_tcp *conn, bool corked)
{
    conn->corked = corked;
    if (!corked)
        arm(conn);
}

size_t weir_tcp_unsent_bytes(const struct weir_tcp *conn)
{
    return conn->outq.byte_count;
}

uint64_t weir_tcp_stuck_ns(const struct weir_tcp *conn)
{
    uint64_t now_ns = conn->reactor->now_ns;
    return conn->outq.byte_count == 0 || now_ns <= conn->sent_ns ? 0 : now_ns - conn->sent_ns;
}

void weir_tcp_pause(struct weir_tcp *conn)
{
    if (conn->paused)
        return;
    conn->paused = true;
    weir_io_cancel(conn->reactor->io, &conn->recv);
}

void weir_tcp_resume(struct weir_tcp *conn)
{
    if (!conn->paused)
        return;
    conn->paused = false;
    arm(conn);
}

/*
 * A peer that never takes the rest may not keep us for ever: connections that flush stand at the front of the list, and while
 * there are any, a timer looks whether bytes still leave.
 */
static void on_flush_timer(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    struct weir_reactor *reactor = WEIR_CONTAINER(timer, struct weir_reactor, flush_timer);
    bool any = false;
    WEIR_LIST_EACH_SAFE(node, &reactor->connections) {
        struct weir_tcp *conn = WEIR_CONTAINER(node, struct weir_tcp, node);
        if (conn->state != WEIR_TCP_FLUSHING && conn->state != WEIR_TCP_CLOSING)
            break;
        if (conn->state == WEIR_TCP_FLUSHING && weir_tcp_stuck_ns(conn) > FLUSH_STUCK_NS)
            start_closing(conn, -ETIMEDOUT);
        any |= conn->state == WEIR_TCP_FLUSHING;
    }
    if (any)
        weir_wheel_arm(&reactor->wheel, timer, now_ns + FLUSH_LOOK_NS);
}

static void watch_flush(struct weir_tcp *conn)
{
    struct weir_reactor *reactor = conn->reactor;
    weir_list_remove(&conn->node);
    weir_list_push_front(&reactor->connections, &conn->node);
    if (weir_wheel_armed(&reactor->flush_timer) || conn->outq.byte_count == 0)
        return;
    weir_wheel_timer_init(&reactor->flush_timer, on_flush_timer);
    weir_wheel_arm(&reactor->wheel, &reactor->flush_timer, reactor->now_ns + FLUSH_LOOK_NS);
}

void weir_tcp_close(struct weir_tcp *conn)
{
    if (conn->state == WEIR_TCP_CONNECTING)
        start_closing(conn, -ECANCELED);
    if (conn->state != WEIR_TCP_OPEN)
        return;
    conn->state = WEIR_TCP_FLUSHING;
    conn->corked = false;
    watch_flush(conn);
    weir_io_cancel(conn->reactor->io, &conn->recv);
    arm(conn);
}

void weir_tcp_abort(struct weir_tcp *conn)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (conn->state == WEIR_TCP_OPEN || conn->state == WEIR_TCP_FLUSHING)
        setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset); /* a simulated fd is refused: no harm */
    start_closing(conn, -ECONNABORTED);
}

void weir_tcp_set_context(struct weir_tcp *conn, void *context)
{
    conn->context = context;
}

void *weir_tcp_context(const struct weir_tcp *conn)
{
    return conn->context;
}

struct weir_reactor *weir_tcp_reactor(const struct weir_tcp *conn)
{
    return conn->reactor;
}

void weir_tcp_peer_name(const struct weir_tcp *conn, char *text, size_t text_bytes)
{
    struct sockaddr_storage address = {0};
    socklen_t byte_count = sizeof address;
    struct weir_io *io = conn->reactor->io;
    if (io->table->peer_address(io, conn->fd, &address, &byte_count) < 0)
        address.ss_family = AF_UNSPEC;
    weir_address_print((struct sockaddr *)&address, byte_count, text, text_bytes);
}

void weir_tcp_local_name(const struct weir_tcp *conn, char *text, size_t text_bytes)
{
    struct sockaddr_storage address = {0};
    socklen_t byte_count = sizeof address;
    struct weir_io *io = conn->reactor->io;
    if (io->table->local_address(io, conn->fd, &address, &byte_count) < 0)
        address.ss_family = AF_UNSPEC;
    weir_address_print((struct sockaddr *)&address, byte_count, text, text_bytes);
}

/*
 * What the peer sent before is still read and handled; the stream ends behind it, and that closes the connection as ever. To
 * close at once would reset it: the peer would lose answers that it was owed, and events it was sure it had sent.
 */
static void drain_one(struct weir_tcp *conn)
{
    if (conn->state != WEIR_TCP_OPEN || shutdown(conn->fd, SHUT_RD) != 0) /* a simulated fd is refused: it closes */
        weir_tcp_close(conn);
}

void weir_tcp_drain(struct weir_reactor *reactor)
{
    weir_tcp_listeners_close(reactor);
    WEIR_LIST_EACH_SAFE(node, &reactor->connections)
        drain_one(WEIR_CONTAINER(node, struct weir_tcp, node));
}

static bool is_quiet(const struct weir_tcp *conn)
{
    if (conn->state != WEIR_TCP_OPEN)
        return true; /* on its way out by itself */
    return conn->ended && !conn->recv.armed && !conn->paused && conn->held_bytes == 0 && conn->outq.byte_count == 0;
}

bool weir_tcp_quiet(const struct weir_reactor *reactor)
{
    for (const struct weir_list *node = reactor->connections.next; node != &reactor->connections; node = node->next)
        if (!is_quiet(WEIR_CONTAINER(node, struct weir_tcp, node)))
            return false;
    return true;
}

void weir_tcp_close_all(struct weir_reactor *reactor)
{
    WEIR_LIST_EACH_SAFE(node, &reactor->connections)
        weir_tcp_close(WEIR_CONTAINER(node, struct weir_tcp, node));
}

void weir_tcp_abort_all(struct weir_reactor *reactor)
{
    WEIR_LIST_EACH_SAFE(node, &reactor->connections)
        weir_tcp_abort(WEIR_CONTAINER(node, struct weir_tcp, node));
}

/* The kernel may still have a hand in these: their memory stays until the io is gone, and nothing is called any more. */
void weir_tcp_end_all(struct weir_reactor *reactor)
{
    WEIR_ASSERT(reactor->state == WEIR_REACTOR_ENDED); /* so no on_close makes new ones */
    WEIR_LIST_EACH(node, &reactor->connections) /* all first: whoever is told may want to close others */
        start_closing(WEIR_CONTAINER(node, struct weir_tcp, node), -ECONNABORTED);
    WEIR_LIST_EACH(node, &reactor->connections)
        tell_closed(WEIR_CONTAINER(node, struct weir_tcp, node));
}

void weir_tcp_free_all(struct weir_reactor *reactor)
{
    WEIR_LIST_EACH_SAFE(node, &reactor->connections) {
        struct weir_tcp *conn = WEIR_CONTAINER(node, struct weir_tcp, node);
        if (conn->fd >= 0)
            close(conn->fd); /* a simulated fd is refused: no harm */
        free_conn(conn);
    }
    weir_tcp_listeners_free(reactor);
}
