/*
 * runtime/sim_net.c - names, listeners, connecting; and which object an operation is about.
 *
 * A connect is a packet to whoever listens when it arrives, answered by a second one. Listeners that share a port share
 * its connections by chance, as SO_REUSEPORT does by hash. Connections that wait in the backlog of a listener that
 * closes are reset, as Linux resets them. Proof: tests/runtime/sim_test.c.
 */
#include "runtime/sim_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/clock.h"

enum { CONNECT_TRIES_MAX = 6, PORT_FIRST = 32768 };

/* ---- Names ---- */

static int read_ip(struct weir_sim_name *name)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const uint8_t v6_loopback[16] = {[15] = 1};
    static const uint8_t zero[16];
    if (memcmp(name->ip, zero, 16) == 0 ||
        (memcmp(name->ip, mapped, 12) == 0 && memcmp(name->ip + 12, zero, 4) == 0)) {
        name->any = true;
        return 0;
    }
    if (memcmp(name->ip, v6_loopback, 16) == 0 ||
        (memcmp(name->ip, mapped, 12) == 0 && name->ip[12] == 127))
        return 0;
    if (memcmp(name->ip, mapped, 12) == 0 && name->ip[12] == 10 && name->ip[13] == 0 &&
        name->ip[14] == 0 && name->ip[15] > 0) {
        name->host = name->ip[15] - 1u;
        return 0;
    }
    return -ENETUNREACH;
}

int weir_sim_name_read(struct weir_sim_io *io, const struct sockaddr *address, socklen_t bytes,
                       struct weir_sim_name *name_out)
{
    if (address == NULL || bytes < sizeof(sa_family_t))
        return -EINVAL;
    *name_out = (struct weir_sim_name){.host = io->host->index, .family = address->sa_family};
    if (address->sa_family == AF_UNIX) {
        const struct sockaddr_un *local = (const void *)address;
        size_t room = bytes - offsetof(struct sockaddr_un, sun_path);
        memcpy(name_out->path, local->sun_path,
               room < sizeof(name_out->path) ? room : sizeof(name_out->path) - 1);
        return name_out->path[0] != 0 ? 0 : -EINVAL;
    }
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)address;
        name_out->port = ntohs(v4->sin_port);
        name_out->ip[10] = name_out->ip[11] = 0xff;
        memcpy(name_out->ip + 12, &v4->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)address;
        name_out->port = ntohs(v6->sin6_port);
        memcpy(name_out->ip, &v6->sin6_addr, 16);
    } else
        return -EAFNOSUPPORT;
    return read_ip(name_out);
}

void weir_sim_name_write(const struct weir_sim_name *name, struct sockaddr_storage *address_out,
                         socklen_t *bytes_out)
{
    memset(address_out, 0, sizeof(*address_out));
    address_out->ss_family = name->family;
    if (name->family == AF_UNIX) {
        struct sockaddr_un *local = (void *)address_out;
        memcpy(local->sun_path, name->path, sizeof(local->sun_path));
        *bytes_out = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name->path) +
                                 (name->path[0] != 0));
    } else if (name->family == AF_INET) {
        struct sockaddr_in *v4 = (void *)address_out;
        v4->sin_port = htons(name->port);
        memcpy(&v4->sin_addr, name->ip + 12, 4);
        *bytes_out = sizeof(*v4);
    } else {
        struct sockaddr_in6 *v6 = (void *)address_out;
        v6->sin6_port = htons(name->port);
        memcpy(&v6->sin6_addr, name->ip, 16);
        *bytes_out = sizeof(*v6);
    }
}

bool weir_sim_name_takes(const struct weir_sim_name *bound, const struct weir_sim_name *to)
{
    if (bound->host != to->host || (bound->family == AF_UNIX) != (to->family == AF_UNIX))
        return false;
    if (bound->family == AF_UNIX)
        return strcmp(bound->path, to->path) == 0;
    return bound->port == to->port && (bound->any || to->any || memcmp(bound->ip, to->ip, 16) == 0);
}

int weir_sim_name_bind(struct weir_sim_io *io, struct weir_sim_name *name,
                       bool (*in_use)(struct weir_sim *sim, const struct weir_sim_name *name,
                                      bool reuse_port),
                       bool reuse_port)
{
    if (name->host != io->host->index)
        return -EADDRNOTAVAIL;
    if (name->family == AF_UNIX || name->port != 0)
        return in_use(io->sim, name, reuse_port) ? -EADDRINUSE : 0;
    for (int tries = 0; tries < UINT16_MAX - PORT_FIRST; tries++) {
        name->port = io->sim->port_next++;
        if (io->sim->port_next < PORT_FIRST)
            io->sim->port_next = PORT_FIRST;
        if (!in_use(io->sim, name, false))
            return 0;
    }
    return -EADDRINUSE;
}

/* ---- Listeners ---- */

static bool port_in_use(struct weir_sim *sim, const struct weir_sim_name *name, bool reuse_port)
{
    WEIR_LIST_EACH(node, &sim->listeners) {
        const struct weir_sim_listener *other = WEIR_CONTAINER(node, struct weir_sim_listener, node);
        if (!other->closed && !other->ghost && weir_sim_name_takes(&other->name, name) &&
            !(reuse_port && other->reuse_port))
            return true;
    }
    return false;
}

int weir_sim_net_listen(struct weir_sim_io *io, const struct weir_io_listen *how, int *fd_out)
{
    struct weir_sim_name name;
    int result = weir_sim_name_read(io, how->address, how->address_bytes, &name);
    if (result == -ENETUNREACH)
        result = -EADDRNOTAVAIL;
    if (result == 0 && !io->ghost)
        result = weir_sim_name_bind(io, &name, port_in_use, how->reuse_port);
    if (result < 0)
        return result;
    struct weir_sim_listener *listener = weir_sim_alloc(sizeof(*listener));
    listener->name = name;
    listener->reuse_port = how->reuse_port;
    listener->ghost = io->ghost;
    listener->backlog_max = how->backlog > 0 ? (uint32_t)how->backlog : 1;
    weir_list_init(&listener->backlog);
    weir_list_push_back(&io->sim->listeners, &listener->node);
    *fd_out = weir_sim_fd_take(io->sim, WEIR_SIM_FD_LISTENER, listener);
    return 0;
}

static struct weir_sim_listener *draw_listener(struct weir_sim *sim, const struct weir_sim_name *to)
{
    struct weir_sim_listener *drawn = NULL;
    uint64_t count = 0;
    WEIR_LIST_EACH(node, &sim->listeners) {
        struct weir_sim_listener *listener = WEIR_CONTAINER(node, struct weir_sim_listener, node);
        if (!listener->closed && !listener->ghost && weir_sim_name_takes(&listener->name, to) &&
            weir_sim_below(sim, ++count) == 0)
            drawn = listener;
    }
    return drawn;
}

static void listener_kick(struct weir_sim_listener *listener)
{
    if (listener->accept != NULL)
        weir_sim_op_ready(listener->accept);
    if (listener->poll != NULL)
        weir_sim_op_ready(listener->poll);
}

static void listener_close(struct weir_sim *sim, struct weir_sim_listener *listener)
{
    struct weir_list *node;
    listener->closed = true;
    while ((node = weir_list_pop_front(&listener->backlog)) != NULL) {
        struct weir_sim_stream *stream = WEIR_CONTAINER(node, struct weir_sim_stream, backlog);
        stream->state = WEIR_SIM_STREAM_CLOSED;
        weir_sim_stream_reset(sim, stream->peer, weir_sim_latency(sim));
    }
    listener->backlog_count = 0;
}

static int listener_accept(struct weir_sim_listener *listener, struct weir_sim_op *op)
{
    struct weir_sim *sim = op->io->sim;
    if (weir_list_empty(&listener->backlog) || op->event != NULL)
        return 0;
    if (weir_sim_chance(sim, sim->faults.accept_late)) {
        op->io->io.counters.accept_backoffs++;
        op->event = weir_sim_at(sim, sim->now_ns + weir_sim_below(sim, 100 * WEIR_MS_NS),
                                weir_sim_op_again, op, 0);
        return 0;
    }
    struct weir_list *node = weir_list_pop_front(&listener->backlog);
    struct weir_sim_stream *stream = WEIR_CONTAINER(node, struct weir_sim_stream, backlog);
    listener->backlog_count--;
    if (!weir_list_empty(&listener->backlog))
        weir_sim_op_ready(op);
    weir_sim_op_hand(op, weir_sim_fd_take(sim, WEIR_SIM_FD_STREAM, stream), NULL);
    return 1;
}

/* ---- Connecting ---- */

int weir_sim_net_stream(struct weir_sim_io *io, int family, int *fd_out)
{
    if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
        return -EAFNOSUPPORT;
    struct weir_sim_stream *stream = weir_sim_stream_new(io->sim, io->host);
    stream->local.family = (sa_family_t)family;
    stream->local.host = io->host->index;
    stream->ghost = io->ghost;
    *fd_out = weir_sim_fd_take(io->sim, WEIR_SIM_FD_STREAM, stream);
    return 0;
}

static void connect_over(struct weir_sim *sim, void *context, uint64_t value)
{
    struct weir_sim_stream *stream = context;
    int result = (int)(int64_t)value;
    (void)sim;
    if (stream->state != WEIR_SIM_STREAM_CONNECTING)
        return;
    if (result == 0 && stream->error != 0)
        result = -stream->error;
    stream->state = result == 0 ? WEIR_SIM_STREAM_OPEN : WEIR_SIM_STREAM_NEW;
    struct weir_sim_op *op = stream->send;
    stream->send = NULL;
    if (op != NULL)
        weir_sim_op_finish(op, result);
    weir_sim_stream_kick(stream);
}

static void answer(struct weir_sim *sim, struct weir_sim_stream *stream, int result)
{
    weir_sim_at(sim, sim->now_ns + weir_sim_latency(sim), connect_over, stream,
                (uint64_t)(int64_t)result);
}

static void join_backlog(struct weir_sim *sim, struct weir_sim_listener *listener,
                         struct weir_sim_stream *stream)
{
    struct weir_sim_stream *other = weir_sim_stream_new(sim, &sim->hosts[listener->name.host]);
    other->state = WEIR_SIM_STREAM_OPEN;
    other->local = stream->remote;
    other->remote = stream->local;
    weir_sim_stream_join(sim, stream, other);
    weir_list_push_back(&listener->backlog, &other->backlog);
    listener->backlog_count++;
    listener_kick(listener);
    answer(sim, stream, 0);
}

static void connect_arrives(struct weir_sim *sim, void *context, uint64_t value)
{
    struct weir_sim_stream *stream = context;
    (void)value;
    if (stream->state != WEIR_SIM_STREAM_CONNECTING || stream->send == NULL)
        return;
    struct weir_sim_listener *listener = draw_listener(sim, &stream->remote);
    bool unix_path = stream->remote.family == AF_UNIX;
    if (listener == NULL || weir_sim_chance(sim, sim->faults.connect_refused))
        answer(sim, stream, unix_path && listener == NULL ? -ENOENT : -ECONNREFUSED);
    else if (listener->backlog_count < listener->backlog_max &&
             !weir_sim_chance(sim, sim->faults.connect_lost))
        join_backlog(sim, listener, stream);
    else if (stream->tries++ < CONNECT_TRIES_MAX)
        weir_sim_at(sim, sim->now_ns + WEIR_S_NS, connect_arrives, stream, 0);
    else
        answer(sim, stream, -ETIMEDOUT);
}

static void submit_connect(struct weir_sim_stream *stream, struct weir_sim_op *op)
{
    struct weir_sim *sim = op->io->sim;
    int result = -EISCONN;
    if (stream->state == WEIR_SIM_STREAM_NEW)
        result = weir_sim_name_read(op->io, op->op->address, op->op->address_bytes, &stream->remote);
    if (result == 0 && (op->io->ghost || stream->remote.host >= sim->host_count))
        result = -ENETUNREACH;
    if (result < 0) {
        weir_sim_op_finish(op, result);
        return;
    }
    if (stream->remote.family != AF_UNIX && stream->local.port == 0) {
        stream->local.port = sim->port_next++;
        memcpy(stream->local.ip, stream->remote.ip, 16);
        if (stream->remote.host != stream->host->index)
            stream->local.ip[15] = (uint8_t)(stream->host->index + 1);
    }
    stream->state = WEIR_SIM_STREAM_CONNECTING;
    stream->send = op;
    weir_sim_at(sim, sim->now_ns + weir_sim_latency(sim), connect_arrives, stream, 0);
}

/* ---- From operations to objects ---- */

static bool wrong_kind(const struct weir_sim_op *op)
{
    switch (op->op->kind) {
    case WEIR_IO_ACCEPT:
        return op->fd->kind != WEIR_SIM_FD_LISTENER;
    case WEIR_IO_RECV:
    case WEIR_IO_SEND:
    case WEIR_IO_CONNECT:
        return op->fd->kind != WEIR_SIM_FD_STREAM;
    case WEIR_IO_RECVFROM:
    case WEIR_IO_SENDTO:
        return op->fd->kind != WEIR_SIM_FD_DATAGRAM;
    default:
        return op->op->kind != WEIR_IO_POLL;
    }
}

/* Where the object remembers an operation of this kind. */
static struct weir_sim_op **place_of(const struct weir_sim_op *op)
{
    enum weir_io_kind kind = op->op->kind;
    bool receives = kind == WEIR_IO_RECV || kind == WEIR_IO_RECVFROM || kind == WEIR_IO_ACCEPT;
    if (op->fd->kind == WEIR_SIM_FD_STREAM) {
        struct weir_sim_stream *stream = op->fd->object;
        return kind == WEIR_IO_POLL ? &stream->poll : receives ? &stream->recv : &stream->send;
    }
    if (op->fd->kind == WEIR_SIM_FD_DATAGRAM) {
        struct weir_sim_datagram *socket = op->fd->object;
        return kind == WEIR_IO_POLL ? &socket->poll : receives ? &socket->recv : &socket->send;
    }
    struct weir_sim_listener *listener = op->fd->object;
    return kind == WEIR_IO_POLL ? &listener->poll : &listener->accept;
}

void weir_sim_net_submit(struct weir_sim_op *op)
{
    if (wrong_kind(op)) {
        weir_sim_op_finish(op, op->op->kind == WEIR_IO_READ || op->op->kind == WEIR_IO_WRITE
                                   ? -ESPIPE
                                   : -ENOTSOCK);
        return;
    }
    WEIR_ASSERT(op->fd->object != NULL); /* not under a CLOSE */
    WEIR_ASSERT(*place_of(op) == NULL);  /* one of each kind on one fd */
    if (op->op->kind == WEIR_IO_CONNECT) {
        submit_connect(op->fd->object, op);
        return;
    }
    *place_of(op) = op;
    weir_sim_op_ready(op);
}

static bool readable(const struct weir_sim_op *op)
{
    if (op->fd->kind == WEIR_SIM_FD_STREAM)
        return weir_sim_stream_readable(op->fd->object);
    if (op->fd->kind == WEIR_SIM_FD_DATAGRAM)
        return !weir_list_empty(&((struct weir_sim_datagram *)op->fd->object)->queue);
    return !weir_list_empty(&((struct weir_sim_listener *)op->fd->object)->backlog);
}

int weir_sim_net_try(struct weir_sim_op *op)
{
    if (op->finished)
        return 0;
    switch (op->op->kind) {
    case WEIR_IO_ACCEPT:
        return listener_accept(op->fd->object, op);
    case WEIR_IO_RECV:
        return weir_sim_stream_recv(op->fd->object, op);
    case WEIR_IO_RECVFROM:
        return weir_sim_datagram_recv(op->fd->object, op);
    case WEIR_IO_SEND:
        weir_sim_stream_send(op->fd->object, op);
        return 0;
    case WEIR_IO_SENDTO:
        weir_sim_datagram_send(op->fd->object, op);
        return 0;
    case WEIR_IO_POLL:
        if (readable(op)) {
            *place_of(op) = NULL;
            weir_sim_op_finish(op, 1);
        }
        return 0;
    default:
        return 0; /* CONNECT: its answer is under way */
    }
}

void weir_sim_net_cancel(struct weir_sim_op *op)
{
    if (wrong_kind(op) || op->fd->object == NULL)
        return;
    if (*place_of(op) == op)
        *place_of(op) = NULL;
    if (op->op->kind == WEIR_IO_CONNECT) {
        struct weir_sim_stream *stream = op->fd->object;
        if (stream->state == WEIR_SIM_STREAM_CONNECTING && stream->peer == NULL)
            stream->state = WEIR_SIM_STREAM_NEW;
    }
}

void weir_sim_net_close(struct weir_sim *sim, struct weir_sim_fd *fd)
{
    if (fd->kind == WEIR_SIM_FD_STREAM)
        weir_sim_stream_close(sim, fd->object);
    else if (fd->kind == WEIR_SIM_FD_LISTENER)
        listener_close(sim, fd->object);
    else
        weir_sim_datagram_close(fd->object);
}

int weir_sim_net_address(struct weir_sim *sim, int fd, bool peer,
                         struct sockaddr_storage *address_out, socklen_t *bytes_out)
{
    const struct weir_sim_fd *found = weir_sim_fd_find(sim, fd);
    if (found == NULL)
        return -EBADF;
    const struct weir_sim_name *name;
    if (found->kind == WEIR_SIM_FD_STREAM) {
        const struct weir_sim_stream *stream = found->object;
        if (peer && (stream->peer == NULL || stream->error != 0))
            return -ENOTCONN;
        name = peer ? &stream->remote : &stream->local;
    } else if (peer)
        return -ENOTCONN;
    else if (found->kind == WEIR_SIM_FD_LISTENER)
        name = &((const struct weir_sim_listener *)found->object)->name;
    else if (found->kind == WEIR_SIM_FD_DATAGRAM)
        name = &((const struct weir_sim_datagram *)found->object)->name;
    else
        return -ENOTSOCK;
    weir_sim_name_write(name, address_out, bytes_out);
    return 0;
}

/* ---- Ends ---- */

static void stream_dies(struct weir_sim *sim, struct weir_sim_stream *stream)
{
    stream->ghost = true;
    if (stream->state == WEIR_SIM_STREAM_CLOSED)
        return;
    if (stream->peer != NULL && !stream->peer->ghost && !stream->dark)
        weir_sim_stream_reset(sim, stream->peer, weir_sim_between(sim, 0, WEIR_S_NS));
    stream->dark = true; /* nothing passes, and for the ghost it is over at once */
    stream->error = ECONNRESET;
    weir_sim_stream_kick(stream);
}

void weir_sim_net_crash(struct weir_sim *sim, struct weir_sim_host *host)
{
    WEIR_LIST_EACH(node, &sim->streams) {
        struct weir_sim_stream *stream = WEIR_CONTAINER(node, struct weir_sim_stream, node);
        if (stream->host == host && !stream->ghost)
            stream_dies(sim, stream);
    }
    WEIR_LIST_EACH(node, &sim->listeners) {
        struct weir_sim_listener *listener = WEIR_CONTAINER(node, struct weir_sim_listener, node);
        if (listener->name.host == host->index)
            listener->ghost = true;
    }
    WEIR_LIST_EACH(node, &sim->datagrams) {
        struct weir_sim_datagram *socket = WEIR_CONTAINER(node, struct weir_sim_datagram, node);
        if (socket->name.host == host->index)
            socket->ghost = true;
    }
}

void weir_sim_net_free(struct weir_sim *sim)
{
    struct weir_list *node;
    while ((node = weir_list_pop_front(&sim->streams)) != NULL) {
        struct weir_sim_stream *stream = WEIR_CONTAINER(node, struct weir_sim_stream, node);
        free(stream->in.bytes);
        free(stream);
    }
    while ((node = weir_list_pop_front(&sim->listeners)) != NULL)
        free(WEIR_CONTAINER(node, struct weir_sim_listener, node));
    while ((node = weir_list_pop_front(&sim->datagrams)) != NULL)
        free(WEIR_CONTAINER(node, struct weir_sim_datagram, node));
    while ((node = weir_list_pop_front(&sim->packets)) != NULL)
        free(WEIR_CONTAINER(node, struct weir_sim_packet, node));
}
