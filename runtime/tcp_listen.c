/*
 * runtime/tcp_listen.c - every reactor binds a listener of its own (SO_REUSEPORT); the kernel spreads the connections.
 *
 * Proof: tests/runtime/tcp_test.c.
 */
#include "runtime/tcp_listen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/address.h"

enum { BACKLOG = 4096, UNSENT_BYTES_MAX_DEFAULT = 64 << 20, AGAIN_NS = 10 * 1000 * 1000 };

struct weir_tcp_listener {
    struct weir_list node; /* reactor->listeners */
    struct weir_reactor *reactor;
    struct weir_tcp_shape *shape;
    struct weir_io_op accept; /* and close after */
    struct weir_turn_hook hook;
    struct weir_wheel_timer again; /* the accept could not be armed */
    int fd;
    int family;
    uint16_t port;
    bool closing;
    char unix_path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* removed when closed; empty: none */
};

struct weir_tcp_shape *weir_tcp_shape_make(const struct weir_tcp_handlers *handlers,
                                           const struct weir_tcp_options *options, void *context)
{
    struct weir_tcp_shape *shape = calloc(1, sizeof *shape);
    if (!shape)
        return NULL;
    size_t bytes = handlers->size < sizeof shape->handlers ? handlers->size : sizeof shape->handlers;
    memcpy(&shape->handlers, handlers, bytes);
    if (options)
        memcpy(&shape->options, options,
               options->size < sizeof shape->options ? options->size : sizeof shape->options);
    if (shape->options.unsent_bytes_max == 0)
        shape->options.unsent_bytes_max = UNSENT_BYTES_MAX_DEFAULT;
    shape->context = context;
    shape->refs = 1;
    return shape;
}

void weir_tcp_shape_drop(struct weir_tcp_shape *shape)
{
    WEIR_ASSERT(shape->refs > 0);
    if (--shape->refs == 0)
        free(shape);
}

static void free_listener(struct weir_tcp_listener *listener)
{
    if (listener->unix_path[0])
        unlink(listener->unix_path);
    weir_list_remove(&listener->node);
    weir_list_remove(&listener->hook.node);
    weir_wheel_cancel(&listener->reactor->wheel, &listener->again);
    weir_tcp_shape_drop(listener->shape);
    free(listener);
}

static void on_listener_gone(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    (void)result;
    (void)data;
    (void)more;
    free_listener(WEIR_CONTAINER(op, struct weir_tcp_listener, accept));
}

static void close_if_quiet(struct weir_tcp_listener *listener)
{
    if (listener->accept.armed || listener->fd < 0)
        return;
    struct weir_io *io = listener->reactor->io;
    int fd = listener->fd;
    listener->fd = -1;
    listener->accept = (struct weir_io_op){.kind = WEIR_IO_CLOSE, .fd = fd, .done = on_listener_gone};
    if (weir_io_start(io, &listener->accept) == 0)
        return;
    io->table->drop(io, fd);
    free_listener(listener);
}

static void take(struct weir_tcp_listener *listener, int fd)
{
    struct weir_tcp *conn = listener->closing ? NULL : weir_tcp_make(listener->reactor, fd, listener->shape);
    if (conn)
        weir_tcp_begin(conn, listener->family);
    else
        listener->reactor->io->table->drop(listener->reactor->io, fd);
}

static void on_accepted(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    (void)data;
    struct weir_tcp_listener *listener = WEIR_CONTAINER(op, struct weir_tcp_listener, accept);
    if (result >= 0)
        take(listener, result);
    if (!more)
        weir_reactor_arm_hook(listener->reactor, &listener->hook);
}

/* The accept has ended: for good, or to be armed again. */
static void on_hook(struct weir_reactor *reactor, struct weir_turn_hook *hook)
{
    struct weir_tcp_listener *listener = WEIR_CONTAINER(hook, struct weir_tcp_listener, hook);
    if (listener->closing)
        close_if_quiet(listener);
    else if (!listener->accept.armed && weir_io_start(reactor->io, &listener->accept) < 0)
        weir_wheel_arm(&reactor->wheel, &listener->again, reactor->now_ns + AGAIN_NS); /* no memory: it may come back */
}

static void on_again(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    struct weir_tcp_listener *listener = WEIR_CONTAINER(timer, struct weir_tcp_listener, again);
    weir_reactor_arm_hook(listener->reactor, &listener->hook);
}

/* A shared port would be shared with a stranger as gladly: an exclusive one is first tried alone. */
static int refuse_shared(struct weir_tcp_listener *listener, struct weir_io_listen alone)
{
    struct weir_io *io = listener->reactor->io;
    int fd;
    if (!listener->shape->options.exclusive || !alone.reuse_port || weir_address_port(alone.address) == 0)
        return 0;
    alone.reuse_port = false;
    int result = io->table->listen(io, &alone, &fd);
    if (result == 0)
        io->table->drop(io, fd);
    return result;
}

static int bind_listener(struct weir_tcp_listener *listener, const struct weir_address *address)
{
    struct weir_io *io = listener->reactor->io;
    struct weir_io_listen listen = {
        .address = weir_address_sockaddr(address),
        .address_bytes = address->byte_count,
        .backlog = BACKLOG,
        .reuse_port = address->storage.ss_family != AF_UNIX,
        .keepalive_s = listener->shape->options.keepalive_s,
    };
    int result = refuse_shared(listener, listen);
    if (result == 0)
        result = io->table->listen(io, &listen, &listener->fd);
    if (result < 0)
        return result;
    struct sockaddr_storage bound = {0};
    socklen_t bound_bytes = sizeof bound;
    if (io->table->local_address(io, listener->fd, &bound, &bound_bytes) == 0)
        listener->port = weir_address_port((struct sockaddr *)&bound);
    if (address->storage.ss_family == AF_UNIX)
        memcpy(listener->unix_path, ((const struct sockaddr_un *)(const void *)&address->storage)->sun_path,
               sizeof listener->unix_path);
    return 0;
}

int weir_tcp_listen(struct weir_reactor *reactor, const char *text, const struct weir_tcp_handlers *handlers,
                    const struct weir_tcp_options *options, void *context, struct weir_tcp_listener **listener_out)
{
    struct weir_address address;
    int result = weir_address_parse(text, &address);
    if (result < 0)
        return result;
    struct weir_tcp_listener *listener = calloc(1, sizeof *listener);
    struct weir_tcp_shape *shape = weir_tcp_shape_make(handlers, options, context);
    if (!listener || !shape) {
        free(listener);
        free(shape);
        return -ENOMEM;
    }
    listener->reactor = reactor;
    listener->shape = shape;
    listener->family = address.storage.ss_family;
    listener->hook.fn = on_hook;
    weir_wheel_timer_init(&listener->again, on_again);
    weir_list_init(&listener->hook.node);
    weir_list_init(&listener->node);
    result = bind_listener(listener, &address);
    if (result < 0) {
        free_listener(listener);
        return result;
    }
    weir_list_push_back(&reactor->listeners, &listener->node);
    listener->accept = (struct weir_io_op){.kind = WEIR_IO_ACCEPT, .fd = listener->fd, .done = on_accepted};
    weir_reactor_arm_hook(reactor, &listener->hook);
    if (listener_out)
        *listener_out = listener;
    return 0;
}

uint16_t weir_tcp_listener_port(const struct weir_tcp_listener *listener)
{
    return listener->port;
}

void weir_tcp_listener_close(struct weir_tcp_listener *listener)
{
    listener->closing = true;
    weir_io_cancel(listener->reactor->io, &listener->accept);
    weir_reactor_arm_hook(listener->reactor, &listener->hook);
}

void weir_tcp_listeners_close(struct weir_reactor *reactor)
{
    WEIR_LIST_EACH_SAFE(node, &reactor->listeners)
        weir_tcp_listener_close(WEIR_CONTAINER(node, struct weir_tcp_listener, node));
}

void weir_tcp_listeners_free(struct weir_reactor *reactor)
{
    WEIR_LIST_EACH_SAFE(node, &reactor->listeners) {
        struct weir_tcp_listener *listener = WEIR_CONTAINER(node, struct weir_tcp_listener, node);
        if (listener->fd >= 0)
            close(listener->fd); /* a simulated fd is refused: no harm */
        free_listener(listener);
    }
}
