/*
 * fanout.c - market data: one UDP feed in, many TCP subscribers on all cores, one of them slow.
 * Try: fanout --port 7002 --cores 2; nc 127.0.0.1 7002; then printf 'EURUSD 1.08' | nc -u -w1 127.0.0.1 7002
 *
 * A datagram "SYMBOL PRICE" is posted to every reactor, keyed by its symbol, so prices of one symbol stay in order. Nobody
 * waits for a subscriber that does not keep up: each connection has WINDOW_BYTES unsent, or a price more, and what comes
 * then skips it until it has caught up; with the next price it is told how many it missed.
 */
#include <errno.h>
#include "example.h"

enum { SUBSCRIBERS_MAX = 4096, CORES_MAX = 128, WINDOW_BYTES = 64 << 10, PRICE_BYTES_MAX = 256 };

struct subscriber {
    struct weir_tcp *conn;
    unsigned place;
    unsigned long missed;
};

struct desk { /* one reactor's */
    struct subscriber *subscribers[SUBSCRIBERS_MAX];
    unsigned subscriber_count;
    struct weir_topic price;
    unsigned long no_credit;
};

static struct example_options options = {.port = 7002};
static struct desk desks[CORES_MAX];

static void send_price(struct subscriber *subscriber, const struct weir_event *event)
{
    char line[PRICE_BYTES_MAX + 64];
    int bytes = 0;
    if (weir_tcp_unsent_bytes(subscriber->conn) > WINDOW_BYTES) {
        subscriber->missed++;
        return;
    }
    if (subscriber->missed > 0)
        bytes = snprintf(line, sizeof line, "# missed %lu\n", subscriber->missed);
    memcpy(line + bytes, event->body, event->body_bytes);
    bytes += (int)event->body_bytes;
    line[bytes++] = '\n';
    if (weir_tcp_write(subscriber->conn, line, (size_t)bytes) == 0)
        subscriber->missed = 0;
}

static void on_price(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    struct desk *desk = context;
    (void)on;
    for (unsigned i = 0; i < desk->subscriber_count; i++)
        send_price(desk->subscribers[i], event);
}

static uint64_t symbol_key(const char *bytes, size_t byte_count)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < byte_count && bytes[i] != ' '; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
    return hash;
}

static void on_datagram(struct weir_reactor *reactor, struct weir_udp *udp, const void *bytes, size_t byte_count,
                        const void *sender, void *context)
{
    struct desk *desk = context;
    (void)udp;
    (void)sender;
    while (byte_count > 0 && ((const char *)bytes)[byte_count - 1] == '\n')
        byte_count--;
    if (byte_count == 0 || byte_count > PRICE_BYTES_MAX)
        return;
    if (weir_post_keyed(reactor, desk->price, WEIR_TO_ALL, symbol_key(bytes, byte_count), bytes,
                        (uint32_t)byte_count) < 0)
        desk->no_credit++; /* UDP has nobody to hold back: dropping is counted, at the door */
}

static void on_open(struct weir_reactor *reactor, struct weir_tcp *conn, void *context)
{
    (void)context;
    struct desk *desk = &desks[weir_reactor_index(reactor)];
    struct subscriber *subscriber = desk->subscriber_count < SUBSCRIBERS_MAX ? calloc(1, sizeof *subscriber) : NULL;
    weir_tcp_set_context(conn, subscriber);
    if (!subscriber) {
        weir_tcp_abort(conn);
        return;
    }
    subscriber->conn = conn;
    subscriber->place = desk->subscriber_count;
    desk->subscribers[desk->subscriber_count++] = subscriber;
}

static void on_close(struct weir_reactor *reactor, struct weir_tcp *conn, int error)
{
    (void)error;
    struct desk *desk = &desks[weir_reactor_index(reactor)];
    struct subscriber *subscriber = weir_tcp_context(conn);
    if (!subscriber)
        return;
    desk->subscribers[subscriber->place] = desk->subscribers[--desk->subscriber_count];
    desk->subscribers[subscriber->place]->place = subscriber->place;
    free(subscriber);
}

static int listen_for_subscribers(struct weir_reactor *reactor, const char *address)
{
    struct weir_tcp_handlers handlers = WEIR_OPTIONS(struct weir_tcp_handlers);
    handlers.on_open = on_open;
    handlers.on_close = on_close;
    struct weir_tcp_listener *listener;
    int result = weir_tcp_listen(reactor, address, &handlers, NULL, NULL, &listener);
    if (result == 0)
        options.port = weir_tcp_listener_port(listener);
    return result;
}

static int on_start(struct weir_reactor *reactor, void *context)
{
    (void)context;
    struct desk *desk = &desks[weir_reactor_index(reactor)];
    struct weir_udp *feed;
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", options.port);
    int result = weir_topic_open(reactor, "price", &desk->price);
    if (result == 0)
        result = weir_on(reactor, "price", on_price, desk);
    if (result == 0)
        result = listen_for_subscribers(reactor, address);
    snprintf(address, sizeof address, "127.0.0.1:%u", options.port);
    if (result == 0 && weir_reactor_index(reactor) == 0) /* one feed, one reactor */
        result = weir_udp_open(reactor, address, on_datagram, NULL, desk, &feed);
    return result;
}

int main(int argc, char **argv)
{
    example_parse(argc, argv, &options);
    struct weir_runtime_options runtime = WEIR_OPTIONS(struct weir_runtime_options);
    runtime.on_start = on_start;
    return example_run(&runtime, &options, &options.port);
}
