/*
 * runtime/udp.c - datagram sockets of one reactor.
 *
 * Receiving is one repeating operation; each send is an operation of its own in a buffer of the reactor, at most
 * SENDS_MAX of them at once: beyond that the caller is told -ENOBUFS, since for UDP dropping is the sender's decision.
 * Proof: tests/runtime/udp_test.c.
 */
#include "runtime/udp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/address.h"
#include "runtime/reactor.h"

enum { SENDS_MAX = 1024, DATAGRAM_BYTES_MAX = 65507, AGAIN_NS = 10 * 1000 * 1000 };

struct weir_udp {
    struct weir_list node; /* reactor->datagrams */
    struct weir_reactor *reactor;
    weir_udp_fn on_datagram;
    void *context;
    struct weir_io_op recv; /* and close after */
    struct weir_turn_hook hook;
    struct weir_wheel_timer again; /* the receive could not be armed */
    uint32_t sends; /* under way */
    int fd;
    uint16_t port;
    bool closing;
};

struct udp_send { /* lies at the front of its buffer, the datagram after it */
    struct weir_io_op op;
    struct weir_udp *udp;
    struct weir_buffer *buffer;
    struct iovec iov;
    struct weir_address address;
};

static void free_udp(struct weir_udp *udp)
{
    weir_list_remove(&udp->node);
    weir_list_remove(&udp->hook.node);
    weir_wheel_cancel(&udp->reactor->wheel, &udp->again);
    free(udp);
}

static void on_gone(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    (void)result;
    (void)data;
    (void)more;
    free_udp(WEIR_CONTAINER(op, struct weir_udp, recv));
}

static void close_if_quiet(struct weir_udp *udp)
{
    if (udp->recv.armed || udp->sends > 0 || udp->fd < 0)
        return;
    int fd = udp->fd;
    udp->fd = -1;
    udp->recv = (struct weir_io_op){.kind = WEIR_IO_CLOSE, .fd = fd, .done = on_gone};
    if (weir_io_start(udp->reactor->io, &udp->recv) == 0)
        return;
    udp->reactor->io->table->drop(udp->reactor->io, fd);
    free_udp(udp);
}

static void on_hook(struct weir_reactor *reactor, struct weir_turn_hook *hook)
{
    struct weir_udp *udp = WEIR_CONTAINER(hook, struct weir_udp, hook);
    if (udp->closing)
        close_if_quiet(udp);
    else if (!udp->recv.armed && weir_io_start(reactor->io, &udp->recv) < 0)
        weir_wheel_arm(&reactor->wheel, &udp->again, reactor->now_ns + AGAIN_NS); /* no memory: it may come back */
}

static void on_again(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    struct weir_udp *udp = WEIR_CONTAINER(timer, struct weir_udp, again);
    weir_reactor_arm_hook(udp->reactor, &udp->hook);
}

static void on_recv(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    struct weir_udp *udp = WEIR_CONTAINER(op, struct weir_udp, recv);
    if (result >= 0 && data && !udp->closing) {
        udp->reactor->counters.bytes_received += data->byte_count;
        udp->on_datagram(udp->reactor, udp, data->bytes, data->byte_count, data->sender, udp->context);
    }
    if (!more) /* an error of one datagram (a refused port) does not end the socket */
        weir_reactor_arm_hook(udp->reactor, &udp->hook);
}

static int bind_udp(struct weir_udp *udp, const struct weir_address *address, const struct weir_udp_options *options)
{
    struct weir_io *io = udp->reactor->io;
    struct weir_address group;
    struct weir_io_datagram datagram = {
        .address = weir_address_sockaddr(address),
        .address_bytes = address->byte_count,
        .reuse_port = options->reuse_port,
        .group_interface = options->group_interface,
        .recv_buffer_bytes = options->recv_buffer_bytes,
    };
    if (options->group) {
        char text[80];
        bool v6 = strchr(options->group, ':') != NULL;
        size_t length = strlen(options->group);
        if (length > sizeof text - 5)
            return -EINVAL;
        char *at = text;
        if (v6)
            *at++ = '[';
        memcpy(at, options->group, length);
        memcpy(at + length, v6 ? "]:0" : ":0", v6 ? 4 : 3);
        if (weir_address_parse(text, &group) < 0)
            return -EINVAL;
        datagram.group = weir_address_sockaddr(&group);
    }
    int result = io->table->datagram(io, &datagram, &udp->fd);
    if (result < 0)
        return result;
    struct sockaddr_storage bound = {0};
    socklen_t bound_bytes = sizeof bound;
    if (io->table->local_address(io, udp->fd, &bound, &bound_bytes) == 0)
        udp->port = weir_address_port((struct sockaddr *)&bound);
    return 0;
}

int weir_udp_open(struct weir_reactor *reactor, const char *text, weir_udp_fn on_datagram,
                  const struct weir_udp_options *given, void *context, struct weir_udp **udp_out)
{
    struct weir_address address;
    struct weir_udp_options options = {0};
    if (given)
        memcpy(&options, given, given->size < sizeof options ? given->size : sizeof options);
    int result = weir_address_parse(text, &address);
    if (result < 0)
        return result;
    struct weir_udp *udp = calloc(1, sizeof *udp);
    if (!udp)
        return -ENOMEM;
    udp->reactor = reactor;
    udp->on_datagram = on_datagram;
    udp->context = context;
    udp->hook.fn = on_hook;
    weir_wheel_timer_init(&udp->again, on_again);
    weir_list_init(&udp->hook.node);
    weir_list_init(&udp->node);
    result = bind_udp(udp, &address, &options);
    if (result < 0) {
        free(udp);
        return result;
    }
    weir_list_push_back(&reactor->datagrams, &udp->node);
    udp->recv = (struct weir_io_op){.kind = WEIR_IO_RECVFROM, .fd = udp->fd, .done = on_recv};
    weir_reactor_arm_hook(reactor, &udp->hook);
    *udp_out = udp;
    return 0;
}

uint16_t weir_udp_port(const struct weir_udp *udp)
{
    return udp->port;
}

static void on_sent(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    (void)data;
    (void)more;
    struct udp_send *send = WEIR_CONTAINER(op, struct udp_send, op);
    struct weir_udp *udp = send->udp;
    if (result > 0)
        udp->reactor->counters.bytes_sent += (uint64_t)result;
    udp->sends--;
    weir_buffer_drop(udp->reactor, send->buffer);
    if (udp->closing)
        weir_reactor_arm_hook(udp->reactor, &udp->hook);
}

int weir_udp_send(struct weir_udp *udp, const char *address, const void *bytes, size_t byte_count)
{
    if (byte_count > DATAGRAM_BYTES_MAX)
        return -EMSGSIZE;
    if (udp->closing || udp->sends >= SENDS_MAX)
        return -ENOBUFS;
    struct weir_address to;
    if (weir_address_parse(address, &to) < 0)
        return -EINVAL;
    struct weir_buffer *buffer = weir_buffer_take(udp->reactor, sizeof(struct udp_send) + byte_count);
    if (!buffer)
        return -ENOBUFS;
    struct udp_send *send = (struct udp_send *)(void *)buffer->bytes;
    *send = (struct udp_send){.udp = udp, .buffer = buffer, .address = to};
    memcpy(send + 1, bytes, byte_count);
    send->iov = (struct iovec){send + 1, byte_count};
    send->op = (struct weir_io_op){.kind = WEIR_IO_SENDTO, .fd = udp->fd, .done = on_sent};
    send->op.iov = &send->iov;
    send->op.iov_count = 1;
    send->op.address = weir_address_sockaddr(&send->address);
    send->op.address_bytes = to.byte_count;
    int result = weir_io_start(udp->reactor->io, &send->op);
    if (result < 0)
        weir_buffer_drop(udp->reactor, buffer);
    else
        udp->sends++;
    return result < 0 ? -ENOBUFS : 0;
}

void weir_udp_close(struct weir_udp *udp)
{
    udp->closing = true;
    weir_io_cancel(udp->reactor->io, &udp->recv);
    weir_reactor_arm_hook(udp->reactor, &udp->hook);
}

void weir_udp_drain(struct weir_reactor *reactor)
{
    WEIR_LIST_EACH_SAFE(node, &reactor->datagrams)
        weir_udp_close(WEIR_CONTAINER(node, struct weir_udp, node));
}

void weir_udp_free_all(struct weir_reactor *reactor)
{
    WEIR_LIST_EACH_SAFE(node, &reactor->datagrams) {
        struct weir_udp *udp = WEIR_CONTAINER(node, struct weir_udp, node);
        if (udp->fd >= 0)
            close(udp->fd); /* a simulated fd is refused: no harm */
        free_udp(udp);
    }
}
