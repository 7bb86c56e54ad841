/*
 * bench/weir/relay.c - datagrams in on one reactor, a keyed handler on the other, TCP out from there.
 *
 * Arguments: UDP port, TCP port, microseconds a reactor spins before it parks. A datagram begins with its 8-byte key and goes
 * out whole to whoever is connected. rivals/c/relay_uring.c does the same by hand.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/weir.h>

enum { UDP_REACTOR, TCP_REACTOR, KEYS = 1024 };

struct relay {
    const char *udp_port;
    const char *tcp_port;
    struct weir_topic topic; /* the UDP reactor's */
    struct weir_tcp *out;    /* the TCP reactor's, as what follows */
    uint64_t seen[KEYS];
};

static void on_datagram(struct weir_reactor *reactor, struct weir_udp *udp, const void *bytes,
                        size_t byte_count, const void *sender, void *context)
{
    struct relay *relay = context;
    uint64_t key;
    (void)udp;
    (void)sender;
    if (byte_count < sizeof key)
        return;
    memcpy(&key, bytes, sizeof key);
    if (weir_post_keyed(reactor, relay->topic, TCP_REACTOR, key, bytes, (uint32_t)byte_count) != 0)
        fprintf(stderr, "relay: dropped\n");
}

static void on_tick(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    struct relay *relay = context;
    (void)on;
    relay->seen[event->key % KEYS]++;
    if (relay->out != NULL && weir_tcp_write(relay->out, event->body, event->body_bytes) != 0)
        weir_tcp_abort(relay->out);
}

static void on_open(struct weir_reactor *reactor, struct weir_tcp *conn, void *context)
{
    (void)reactor;
    ((struct relay *)context)->out = conn;
}

static void on_data(struct weir_reactor *reactor, struct weir_tcp *conn, const void *bytes,
                    size_t byte_count)
{
    (void)reactor;
    (void)conn;
    (void)bytes;
    (void)byte_count;
}

static void on_close(struct weir_reactor *reactor, struct weir_tcp *conn, int error)
{
    struct relay *relay = weir_tcp_context(conn);
    (void)reactor;
    (void)error;
    if (relay->out == conn)
        relay->out = NULL;
}

static int start_udp(struct weir_reactor *reactor, struct relay *relay)
{
    struct weir_udp_options options = WEIR_OPTIONS(struct weir_udp_options);
    struct weir_udp *udp;
    char address[32];
    int error = weir_topic_open(reactor, "tick", &relay->topic);
    if (error != 0)
        return error;
    options.recv_buffer_bytes = 4 << 20;
    snprintf(address, sizeof address, "127.0.0.1:%s", relay->udp_port);
    return weir_udp_open(reactor, address, on_datagram, &options, relay, &udp);
}

static int start_tcp(struct weir_reactor *reactor, struct relay *relay)
{
    struct weir_tcp_handlers handlers = WEIR_OPTIONS(struct weir_tcp_handlers);
    struct weir_on_options options = WEIR_OPTIONS(struct weir_on_options);
    struct weir_tcp_listener *listener;
    char address[32];
    options.keyed = true;
    int error = weir_on_with(reactor, "tick", on_tick, relay, &options, NULL);
    if (error != 0)
        return error;
    handlers.on_open = on_open;
    handlers.on_data = on_data;
    handlers.on_close = on_close;
    snprintf(address, sizeof address, "127.0.0.1:%s", relay->tcp_port);
    return weir_tcp_listen(reactor, address, &handlers, NULL, relay, &listener);
}

static int on_start(struct weir_reactor *reactor, void *context)
{
    return weir_reactor_index(reactor) == UDP_REACTOR ? start_udp(reactor, context)
                                                      : start_tcp(reactor, context);
}

int main(int argc, char **argv)
{
    static struct relay relay;
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    struct weir_runtime *runtime;
    if (argc < 4)
        return 2;
    relay.udp_port = argv[1];
    relay.tcp_port = argv[2];
    options.reactor_count = 2;
    options.pin_cpus = true;
    options.spin_ns_max = strtoull(argv[3], NULL, 10) * 1000;
    options.no_spin = options.spin_ns_max == 0;
    options.on_start = on_start;
    options.context = &relay;
    if (weir_runtime_open(&options, &runtime) != 0 || weir_runtime_start(runtime) != 0) {
        fprintf(stderr, "relay: cannot start\n");
        return 1;
    }
    return weir_runtime_wait(runtime) == 0 ? 0 : 1;
}
