/*
 * wire/resp/resp_session.c - one Redis client: how it comes, waits and goes.
 *
 * A session is its connection's context from on_open to on_close. Whatever makes it wait is a bit in
 * `holds`; with any bit set it is not read, so what it sends stays in its own kernel's buffers. What
 * it has subscribed to goes with it in on_close. Bounded by clients_max, by query_bytes_max and
 * reply_bytes_max each. Proof: tests/wire/resp/resp_session_test.c, tests/clients/.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/logfmt.h"
#include "wire/resp/resp_command.h"

#define UNSENT_BYTES_MAX (UINT64_C(1) << 30)

static struct weir_resp_session *of_conn(const struct weir_tcp *conn)
{
    return weir_tcp_context(conn);
}

struct weir_resp_session *weir_resp_of_subscriber(struct weir_subscriber *subscriber)
{
    return WEIR_CONTAINER(subscriber, struct weir_resp_session, subscriber);
}

bool weir_resp_open(const struct weir_resp_session *session)
{
    return weir_resp_conn(session)->state == WEIR_TCP_OPEN;
}

const char *weir_resp_peer(const struct weir_resp_session *session, char text[WEIR_RESP_PEER_BYTES])
{
    char peer[64];
    weir_tcp_peer_name(weir_resp_conn(session), peer, sizeof peer);
    return weir_logfmt_escape(text, WEIR_RESP_PEER_BYTES, peer);
}

void weir_resp_begin(struct weir_resp_session *session)
{
    struct weir_resp_local *local = session->local;
    WEIR_ASSERT(!local->in_batch);
    WEIR_ASSERT(local->out.count == 0);
    local->in_batch = true;
    local->out.protocol = session->protocol;
    local->mark = 0;
    local->muting = false;
    if (weir_resp_executing(session))
        weir_resp_multi_restore(session);
}

void weir_resp_end(struct weir_resp_session *session)
{
    struct weir_resp_local *local = session->local;
    if (weir_resp_executing(session))
        weir_resp_multi_keep(session);
    weir_resp_flush(session);
    weir_resp_out_trim(&local->out);
    local->in_batch = false;
    if (session->close_when_sent && session->subscriber.window.count == 0)
        weir_tcp_close(weir_resp_conn(session));
}

/* No more events come: on a busy topic there would always be something to be sent first. */
void weir_resp_close(struct weir_resp_session *session)
{
    weir_resp_leave_all(session);
    session->closing = true;
    session->close_when_sent = true;
}

void weir_resp_abort(struct weir_resp_session *session, const char *why)
{
    if (!session->closing)
        weir_reactor_log(session->local->reactor, WEIR_LOG_WARN,
                         "msg=\"client dropped\" protocol=redis client=%llu why=\"%s\"",
                         (unsigned long long)session->id, why);
    session->closing = true;
    weir_tcp_abort(weir_resp_conn(session));
}

void weir_resp_hold(struct weir_resp_session *session, enum weir_resp_hold why)
{
    session->holds |= (uint8_t)why;
    weir_tcp_pause(weir_resp_conn(session));
}

void weir_resp_release(struct weir_resp_session *session, enum weir_resp_hold why)
{
    session->holds &= (uint8_t)~why;
    if (session->holds == 0)
        weir_resp_go_on(session);
}

/* ---- what the broker tells ---- */

static void on_installed(struct weir_subscriber *subscriber)
{
    struct weir_resp_session *session = weir_resp_of_subscriber(subscriber);
    session->corked = false;
    weir_tcp_cork(weir_resp_conn(session), false);
}

static void on_evicted(struct weir_subscriber *subscriber, const char *why)
{
    struct weir_resp_session *session = weir_resp_of_subscriber(subscriber);
    char peer[WEIR_RESP_PEER_BYTES], name[128];
    weir_logfmt_escape(name, sizeof name, session->name ? session->name : "");
    weir_reactor_log(
        session->local->reactor, WEIR_LOG_WARN,
        "msg=\"slow subscriber dropped\" protocol=redis client=%llu addr=\"%s\" name=\"%s\" why=\"%s\" "
        "window_bytes=%llu",
        (unsigned long long)session->id, weir_resp_peer(session, peer), name, why,
        (unsigned long long)subscriber->window.byte_count);
    session->closing = true;
}

/* ---- what the connection tells ---- */

static void reject(struct weir_resp_local *local, struct weir_tcp *conn)
{
    static const char text[] = "-ERR max number of clients reached\r\n";
    local->counters.rejected++;
    weir_tcp_set_context(conn, NULL);
    if (weir_tcp_write(conn, text, sizeof text - 1) < 0)
        weir_tcp_abort(conn);
    else
        weir_tcp_close(conn);
}

static struct weir_resp_session *make_session(struct weir_resp_local *local, struct weir_tcp *conn)
{
    struct weir_resp_session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    struct weir_resp_server *server = local->server;
    session->local = local;
    session->protocol = 2;
    session->id = weir_fetch_add(&server->client_id, 1, relaxed) + 1;
    session->opened_ns = weir_io_now_ns(local->reactor->io);
    session->active_ns = session->opened_ns;
    if (server->default_user && !server->default_user->password)
        session->user = server->default_user;
    weir_subscriber_open(local->part, &session->subscriber, conn, &weir_resp_format_2);
    session->subscriber.on_installed = on_installed;
    session->subscriber.on_evicted = on_evicted;
    return session;
}

static void on_open(struct weir_reactor *reactor, struct weir_tcp *conn, void *context)
{
    (void)reactor;
    struct weir_resp_local *local = context;
    struct weir_resp_server *server = local->server;
    local->counters.connections++;
    struct weir_resp_session *session = NULL;
    if (weir_fetch_add(&server->client_count, 1, relaxed) < server->settings.clients_max)
        session = make_session(local, conn);
    if (!session) {
        weir_fetch_add(&server->client_count, UINT32_MAX, relaxed);
        reject(local, conn);
        return;
    }
    weir_tcp_set_context(conn, session);
    weir_list_push_back(&local->sessions, &session->node);
    local->counters.clients++;
}

static void on_data(struct weir_reactor *reactor, struct weir_tcp *conn, const void *bytes,
                    size_t byte_count)
{
    (void)reactor;
    struct weir_resp_session *session = of_conn(conn);
    if (session && !session->closing)
        weir_resp_take(session, bytes, byte_count);
}

static void on_drain(struct weir_reactor *reactor, struct weir_tcp *conn)
{
    (void)reactor;
    struct weir_resp_session *session = of_conn(conn);
    if (!session)
        return;
    weir_subscriber_pump(&session->subscriber);
    uint64_t waiting = weir_subscriber_waiting_bytes(&session->subscriber);
    if (waiting == 0)
        session->reply_bytes = 0;
    if (session->close_when_sent && session->subscriber.window.count == 0)
        weir_tcp_close(weir_resp_conn(session));
    else if ((session->holds & WEIR_RESP_HOLD_REPLIES) &&
             waiting <= session->local->server->settings.reply_bytes_max / 2)
        weir_resp_release(session, WEIR_RESP_HOLD_REPLIES);
}

static void on_close(struct weir_reactor *reactor, struct weir_tcp *conn, int error)
{
    (void)reactor;
    (void)error;
    struct weir_resp_session *session = of_conn(conn);
    if (!session)
        return;
    struct weir_resp_local *local = session->local;
    if (session->asked)
        weir_resp_asked_gone(session);
    if (weir_resp_subscribed(session))
        local->counters.subscriber_clients--;
    weir_resp_rest_drop(session);
    weir_resp_multi_drop(session);
    weir_subscriber_close(&session->subscriber);
    weir_list_remove(&session->node);
    local->counters.clients--;
    weir_fetch_add(&local->server->client_count, UINT32_MAX, relaxed);
    free(session->name);
    free(session->lib_name);
    free(session->lib_version);
    free(session);
}

/* ---- listening ---- */

static struct weir_resp_local *local_of(struct weir_resp_server *server,
                                        struct weir_reactor *reactor)
{
    struct weir_resp_local *local = server->locals[reactor->index];
    if (local)
        return local;
    local = calloc(1, sizeof *local);
    if (!local)
        return NULL;
    local->server = server;
    local->reactor = reactor;
    local->part = weir_part(reactor);
    local->opened_ns = reactor->now_ns;
    weir_list_init(&local->sessions);
    weir_resp_parser_init(&local->parser);
    if (weir_resp_out_open(&local->out) < 0) {
        free(local);
        return NULL;
    }
    server->locals[reactor->index] = local;
    return local;
}

int weir_resp_listen(struct weir_resp_server *server, struct weir_reactor *reactor,
                     const char *address, struct weir_tcp_listener **listener_out)
{
    static const struct weir_tcp_handlers handlers = {
        .size = sizeof handlers,
        .on_open = on_open,
        .on_data = on_data,
        .on_drain = on_drain,
        .on_close = on_close,
    };
    /* Reactor 0 comes first and finds out whether the port is free; the others share it with reactor 0. */
    struct weir_tcp_options options = {.size = sizeof options,
                                       .unsent_bytes_max = UNSENT_BYTES_MAX,
                                       .exclusive = reactor->index == 0,
                                       .keepalive_s = server->settings.keepalive_s};
    struct weir_resp_local *local = local_of(server, reactor);
    if (!local)
        return -ENOMEM;
    struct weir_tcp_listener *listener;
    int result = weir_tcp_listen(reactor, address, &handlers, &options, local, &listener);
    if (result < 0)
        return result;
    if (local->port == 0)
        local->port = weir_tcp_listener_port(listener);
    if (listener_out)
        *listener_out = listener;
    return 0;
}

struct weir_resp_counters weir_resp_counters(const struct weir_resp_server *server,
                                             const struct weir_reactor *reactor)
{
    const struct weir_resp_local *local = server->locals[reactor->index];
    return local ? local->counters : (struct weir_resp_counters){0};
}
