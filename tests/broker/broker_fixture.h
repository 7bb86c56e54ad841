/*
 * broker_fixture.h - a broker over several reactors, stepped by hand on the test's own thread, and real connections to it.
 *
 * Stepping makes every order a choice of the test: `step(f, 1)` is one turn of reactor 1. Subscribers are loopback connections
 * whose other end is a plain socket of the test.
 */
#ifndef TESTS_BROKER_FIXTURE_H
#define TESTS_BROKER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/part.h"

enum { REACTORS_MAX = 4, CLIENTS_MAX = 64 };

struct client {
    struct weir_subscriber subscriber;
    bool open;
    bool subscribed; /* the subscriber is in use */
    bool stalls; /* corked as soon as it has drained: what is moved on then stays */
    int installed_calls;
    char evicted_why[64];
    int fd; /* the test's end */
};

struct fixture {
    struct weir_runtime *runtime;
    struct weir_broker *broker;
    struct weir_reactor *reactors[REACTORS_MAX];
    uint16_t ports[REACTORS_MAX];
    uint32_t reactor_count;
    struct client clients[CLIENTS_MAX];
    uint32_t client_count;
    struct client *awaited; /* whose connection is being accepted */
};

static struct fixture *fixture_of_test;

static inline size_t plain_bytes(const struct weir_publication *publication)
{
    return publication->name.byte_count + 1 + publication->body.byte_count + 1;
}

static inline void plain_encode(const struct weir_publication *publication, uint8_t *out)
{
    memcpy(out, publication->name.bytes, publication->name.byte_count);
    out += publication->name.byte_count;
    *out++ = publication->by_pattern ? '~' : ' ';
    memcpy(out, publication->body.bytes, publication->body.byte_count);
    out[publication->body.byte_count] = '\n';
}

static const struct weir_format plain_format = {.number = 0, .byte_count = plain_bytes, .encode = plain_encode};

static inline void on_installed(struct weir_subscriber *subscriber)
{
    WEIR_CONTAINER(subscriber, struct client, subscriber)->installed_calls++;
}

static inline void on_evicted(struct weir_subscriber *subscriber, const char *why)
{
    struct client *client = WEIR_CONTAINER(subscriber, struct client, subscriber);
    snprintf(client->evicted_why, sizeof client->evicted_why, "%s", why);
}

static inline void fixture_on_open(struct weir_reactor *reactor, struct weir_tcp *conn, void *context)
{
    struct fixture *f = context;
    struct client *client = f->awaited;
    weir_tcp_set_context(conn, client);
    weir_subscriber_open(weir_part(reactor), &client->subscriber, conn, &plain_format);
    client->subscriber.on_installed = on_installed;
    client->subscriber.on_evicted = on_evicted;
    client->open = true;
}

static inline void fixture_on_drain(struct weir_reactor *reactor, struct weir_tcp *conn)
{
    (void)reactor;
    struct client *client = weir_tcp_context(conn);
    weir_subscriber_pump(&client->subscriber);
    if (client->stalls)
        weir_tcp_cork(conn, true);
}

static inline void fixture_on_close(struct weir_reactor *reactor, struct weir_tcp *conn, int error)
{
    (void)reactor;
    (void)error;
    struct client *client = weir_tcp_context(conn);
    weir_subscriber_close(&client->subscriber);
    client->open = false;
}

static inline int fixture_on_start(struct weir_reactor *reactor, void *context)
{
    struct fixture *f = context;
    struct weir_tcp_handlers handlers = WEIR_OPTIONS(struct weir_tcp_handlers);
    struct weir_tcp_listener *listener;
    handlers.on_open = fixture_on_open;
    handlers.on_drain = fixture_on_drain;
    handlers.on_close = fixture_on_close;
    int result = weir_part_open(f->broker, reactor);
    if (result == 0)
        result = weir_tcp_listen(reactor, "127.0.0.1:0", &handlers, NULL, f, &listener);
    if (result == 0)
        f->ports[reactor->index] = weir_tcp_listener_port(listener);
    return result;
}

static inline void fixture_on_stop(struct weir_reactor *reactor, void *context)
{
    (void)context;
    weir_part_close(reactor);
}

static inline void step(struct fixture *f, uint32_t reactor)
{
    assert_true(weir_reactor_run_once(f->reactors[reactor], 0) >= 0);
}

/* Until nothing moves: a fixed number of rounds, far above what any exchange takes. */
static inline void settle(struct fixture *f)
{
    for (int round = 0; round < 40; round++)
        for (uint32_t i = 0; i < f->reactor_count; i++)
            step(f, i);
}

static inline struct fixture *fixture_open_sized(uint32_t reactor_count, const struct weir_broker_options *broker_options,
                                                 uint64_t memory_bytes_max)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = reactor_count;
    options.no_spin = true;
    options.memory_bytes_max = memory_bytes_max;
    options.on_start = fixture_on_start;
    options.on_stop = fixture_on_stop;
    options.context = f;
    f->reactor_count = reactor_count;
    assert_int_equal(weir_runtime_open(&options, &f->runtime), 0);
    assert_int_equal(weir_broker_open(f->runtime, broker_options, &f->broker), 0);
    for (uint32_t i = 0; i < reactor_count; i++) {
        f->reactors[i] = weir_runtime_reactor(f->runtime, i);
        step(f, i);
    }
    fixture_of_test = f;
    return f;
}

static inline struct fixture *fixture_open(uint32_t reactor_count, const struct weir_broker_options *broker_options)
{
    return fixture_open_sized(reactor_count, broker_options, 0);
}

static inline void fixture_close(struct fixture *f)
{
    for (uint32_t i = 0; i < f->client_count; i++)
        close(f->clients[i].fd);
    weir_runtime_close(f->runtime);
    weir_broker_close(f->broker);
    free(f);
}

/* A connection that lives on `reactor`. */
static inline struct client *client_open(struct fixture *f, uint32_t reactor)
{
    struct client *client = &f->clients[f->client_count++];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(f->ports[reactor])};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f->awaited = client;
    client->fd = socket(AF_INET, SOCK_STREAM, 0);
    int small = 4096;
    setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof address), 0);
    for (int i = 0; i < 1000 && !client->open; i++)
        assert_true(weir_reactor_run_once(f->reactors[reactor], 1000000) >= 0);
    assert_true(client->open);
    return client;
}

static inline struct weir_slice slice(const char *text)
{
    return (struct weir_slice){(const uint8_t *)text, strlen(text)};
}

static inline void subscribe(struct client *client, enum weir_name_kind kind, const char *name)
{
    bool changed;
    assert_int_equal(weir_broker_subscribe(&client->subscriber, kind, slice(name), &changed), 0);
}

static inline void unsubscribe(struct client *client, enum weir_name_kind kind, const char *name)
{
    bool changed;
    assert_int_equal(weir_broker_unsubscribe(&client->subscriber, kind, slice(name), &changed), 0);
}

static inline int publish(struct fixture *f, uint32_t reactor, const char *name, const char *body, uint64_t *receivers)
{
    struct weir_publication publication = {.kind = WEIR_NAME_TOPIC, .name = slice(name), .body = slice(body)};
    return weir_broker_publish(weir_part(f->reactors[reactor]), &publication, NULL, receivers);
}

static inline uint64_t published(struct fixture *f, uint32_t reactor, const char *name, const char *body)
{
    uint64_t receivers = UINT64_MAX;
    assert_int_equal(publish(f, reactor, name, body, &receivers), 0);
    return receivers;
}

/* What the test's end of a connection has received, after everything settled. */
static inline const char *received(struct fixture *f, struct client *client)
{
    static char text[1 << 16];
    size_t used = 0;
    settle(f);
    for (ssize_t more; (more = recv(client->fd, text + used, sizeof text - 1 - used, MSG_DONTWAIT)) > 0;) {
        used += (size_t)more;
        settle(f);
    }
    text[used] = '\0';
    return text;
}

#endif
