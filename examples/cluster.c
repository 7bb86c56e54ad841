/*
 * cluster.c - a chat server with a worker on every core, in which every worker hears every other's events.
 * Try: cluster --port 7001 --cores 4, then nc 127.0.0.1 7001 in several terminals: each line reaches all.
 *
 * A line becomes an event posted to all reactors; each reactor's handler writes it to its own connections. No lock, and no
 * connection is touched by a core that does not own it.
 */
#include <errno.h>
#include "example.h"

enum { CLIENTS_MAX = 1024, CORES_MAX = 128, LINE_BYTES_MAX = 4096 };

struct client {
    char *lines; /* what came of a line so far, and lines that wait for credit */
    size_t used;
    size_t room;
    unsigned place;
    struct weir_waiter waiter;
    struct weir_tcp *conn;
};

struct worker {
    struct client *clients[CLIENTS_MAX];
    unsigned client_count;
    struct weir_topic said;
};

static struct example_options options = {.port = 7001};
static struct worker workers[CORES_MAX];

static void on_said(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    struct worker *worker = context;
    (void)on;
    for (unsigned i = 0; i < worker->client_count; i++)
        if (weir_tcp_write(worker->clients[i]->conn, event->body, event->body_bytes) == -ENOBUFS)
            weir_tcp_abort(worker->clients[i]->conn); /* it does not read */
}

/* Post whole lines; without credit stop reading until there is some: nothing is dropped. */
static void post_lines(struct weir_reactor *reactor, void *context)
{
    struct client *client = context;
    struct worker *worker = &workers[weir_reactor_index(reactor)];
    size_t at = 0;
    bool full = false;
    for (char *end; !full && (end = memchr(client->lines + at, '\n', client->used - at));) {
        size_t bytes = (size_t)(end - client->lines) + 1 - at;
        full = weir_post(reactor, worker->said, WEIR_TO_ALL, client->lines + at, (uint32_t)bytes) < 0;
        at += full ? 0 : bytes;
    }
    client->used -= at;
    memmove(client->lines, client->lines + at, client->used);
    if (full) {
        weir_tcp_pause(client->conn);
        client->waiter.resume = post_lines;
        client->waiter.context = client;
        weir_post_resume(reactor, WEIR_TO_ALL, &client->waiter);
    } else if (client->used > LINE_BYTES_MAX) { /* that is not chat */
        weir_tcp_abort(client->conn);
    } else {
        weir_tcp_resume(client->conn);
    }
}

static void on_open(struct weir_reactor *reactor, struct weir_tcp *conn, void *context)
{
    (void)context;
    struct worker *worker = &workers[weir_reactor_index(reactor)];
    struct client *client = worker->client_count < CLIENTS_MAX ? calloc(1, sizeof *client) : NULL;
    weir_tcp_set_context(conn, client);
    if (!client) {
        weir_tcp_abort(conn);
        return;
    }
    client->conn = conn;
    client->place = worker->client_count;
    worker->clients[worker->client_count++] = client;
}

static void on_data(struct weir_reactor *reactor, struct weir_tcp *conn, const void *bytes, size_t byte_count)
{
    struct client *client = weir_tcp_context(conn);
    if (client->used + byte_count > client->room) {
        char *larger = realloc(client->lines, client->used + byte_count);
        if (!larger) {
            weir_tcp_abort(conn);
            return;
        }
        client->lines = larger;
        client->room = client->used + byte_count;
    }
    memcpy(client->lines + client->used, bytes, byte_count);
    client->used += byte_count;
    post_lines(reactor, client);
}

static void on_close(struct weir_reactor *reactor, struct weir_tcp *conn, int error)
{
    (void)error;
    struct worker *worker = &workers[weir_reactor_index(reactor)];
    struct client *client = weir_tcp_context(conn);
    if (!client)
        return;
    weir_post_resume_cancel(reactor, &client->waiter);
    worker->clients[client->place] = worker->clients[--worker->client_count];
    worker->clients[client->place]->place = client->place;
    free(client->lines);
    free(client);
}

static int on_start(struct weir_reactor *reactor, void *context)
{
    (void)context;
    struct worker *worker = &workers[weir_reactor_index(reactor)];
    struct weir_tcp_handlers handlers = WEIR_OPTIONS(struct weir_tcp_handlers);
    handlers.on_open = on_open;
    handlers.on_data = on_data;
    handlers.on_close = on_close;
    char address[32];
    struct weir_tcp_listener *listener;
    snprintf(address, sizeof address, "127.0.0.1:%u", options.port);
    int result = weir_topic_open(reactor, "said", &worker->said);
    if (result == 0)
        result = weir_on(reactor, "said", on_said, worker);
    if (result == 0)
        result = weir_tcp_listen(reactor, address, &handlers, NULL, NULL, &listener);
    if (result == 0)
        options.port = weir_tcp_listener_port(listener);
    return result;
}

int main(int argc, char **argv)
{
    example_parse(argc, argv, &options);
    struct weir_runtime_options runtime = WEIR_OPTIONS(struct weir_runtime_options);
    runtime.on_start = on_start;
    return example_run(&runtime, &options, &options.port);
}
