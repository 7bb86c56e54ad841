/*
 * wire/resp/resp_input.c - requests out of received bytes, in order, each once.
 *
 * Fresh bytes are run where they lie. Only what is left (half a request; requests behind one that
 * waits) is copied, into a buffer of the reactor's that doubles as bytes come, never by what a length
 * announces, and is given back when it is empty. A request that has to wait is not consumed: it is
 * read and run again when its hold is gone.
 * Bounded by query_bytes_max, and large ones together by three quarters of the reactor's memory. Proof: tests/wire/resp/resp_session_test.c.
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "wire/resp/resp_command.h"

enum { REST_BYTES_MIN = 512 - sizeof(struct weir_buffer), LARGE_BYTES = 64 << 10 };

static void on_credit(struct weir_reactor *reactor, void *context)
{
    (void)reactor;
    weir_resp_release(context, WEIR_RESP_HOLD_CREDIT);
}

static void on_timer(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    struct weir_resp_rest *rest = WEIR_CONTAINER(timer, struct weir_resp_rest, timer);
    weir_resp_release(rest->session, WEIR_RESP_HOLD_TIMER);
}

struct weir_resp_rest *weir_resp_rest_get(struct weir_resp_session *session)
{
    if (session->rest)
        return session->rest;
    struct weir_buffer *home = weir_buffer_take(session->local->reactor,
                                                sizeof(struct weir_resp_rest));
    if (!home)
        return NULL;
    struct weir_resp_rest *rest = (struct weir_resp_rest *)(void *)home->bytes;
    *rest = (struct weir_resp_rest){.session = session, .home = home};
    weir_resp_parser_init(&rest->parser);
    weir_wheel_timer_init(&rest->timer, on_timer);
    rest->waiter.waiter.resume = on_credit;
    rest->waiter.waiter.context = session;
    session->rest = rest;
    return rest;
}

static void drop_bytes(struct weir_resp_rest *rest)
{
    if (rest->buffer)
        weir_buffer_drop(rest->session->local->reactor, rest->buffer);
    rest->buffer = NULL;
    rest->begin = 0;
    rest->end = 0;
}

void weir_resp_rest_drop(struct weir_resp_session *session)
{
    struct weir_resp_rest *rest = session->rest;
    if (!rest)
        return;
    struct weir_reactor *reactor = session->local->reactor;
    if (session->holds & WEIR_RESP_HOLD_CREDIT)
        weir_broker_publish_cancel(session->local->part, &rest->waiter);
    weir_wheel_cancel(&reactor->wheel, &rest->timer);
    weir_resp_parser_close(&rest->parser);
    drop_bytes(rest);
    session->rest = NULL;
    weir_buffer_drop(reactor, rest->home);
}

uint64_t weir_resp_rest_bytes(const struct weir_resp_session *session)
{
    return session->rest ? session->rest->end - session->rest->begin : 0;
}

int weir_resp_wait(struct weir_resp_session *session, uint64_t wait_ns)
{
    struct weir_resp_rest *rest = weir_resp_rest_get(session);
    if (!rest)
        return -ENOMEM;
    struct weir_reactor *reactor = session->local->reactor;
    weir_wheel_arm(&reactor->wheel, &rest->timer, reactor->now_ns + wait_ns);
    weir_resp_hold(session, WEIR_RESP_HOLD_TIMER);
    return 0;
}

/* ---- running ---- */

static void refuse_input(struct weir_resp_session *session, const struct weir_resp_parser *parser,
                         ssize_t why)
{
    if (why == -ENOMEM) {
        weir_resp_abort(session, "no memory for its input");
        return;
    }
    session->local->counters.protocol_errors++;
    weir_resp_fail(session, weir_resp_error(parser));
    weir_resp_close(session);
}

/* A browser was sent here by somebody: it gets nothing. */
static void turn_away_http(struct weir_resp_session *session)
{
    char peer[WEIR_RESP_PEER_BYTES];
    weir_reactor_log(
        session->local->reactor, WEIR_LOG_WARN,
        "msg=\"HTTP on the Redis port: possibly an attack over a browser, closed\" addr=\"%s\"",
        weir_resp_peer(session, peer));
    session->local->counters.protocol_errors++;
    weir_resp_close(session);
}

static bool may_run(const struct weir_resp_session *session)
{
    return session->holds == 0 && !session->closing && weir_resp_open(session);
}

/* Run what is complete; how many bytes that was. */
static size_t run_all(struct weir_resp_session *session, struct weir_resp_parser *parser,
                      const char *bytes, size_t count)
{
    size_t at = 0;
    while (may_run(session)) {
        struct weir_resp_command command;
        parser->authenticated = session->user != NULL;
        ssize_t consumed = weir_resp_parse(parser, bytes + at, count - at, &command);
        if (consumed < 0) {
            if (consumed != -EAGAIN)
                refuse_input(session, parser, consumed);
            break;
        }
        if (weir_resp_command_is_http(&command))
            turn_away_http(session);
        else if (command.arg_count > 0 && weir_resp_run(session, &command) == WEIR_RESP_AGAIN)
            break;
        at += (size_t)consumed;
    }
    return at;
}

/* ---- keeping ---- */

static bool too_much(const struct weir_resp_session *session, size_t byte_count)
{
    const struct weir_resp_settings *settings = &session->local->server->settings;
    return byte_count >
           (session->user ? settings->query_bytes_max : settings->guest_query_bytes_max);
}

bool weir_resp_crowds_out(const struct weir_resp_session *session, size_t byte_count)
{
    const struct weir_buffers *buffers = &session->local->reactor->buffers;
    return weir_buffers_held_bytes(buffers) + byte_count > buffers->bytes_max / 4 * 3;
}

static int make_room(struct weir_resp_rest *rest, size_t count)
{
    size_t used = rest->end - rest->begin;
    if (rest->buffer && rest->end + count <= rest->buffer->byte_count)
        return 0;
    if (rest->buffer && used + count <= rest->buffer->byte_count && used <= rest->begin) {
        memcpy(rest->buffer->bytes, rest->buffer->bytes + rest->begin, used);
    } else {
        size_t wanted = used + count > 2 * used ? used + count : 2 * used;
        struct weir_reactor *reactor = rest->session->local->reactor;
        if (wanted > LARGE_BYTES && weir_resp_crowds_out(rest->session, wanted))
            return -ENOMEM;
        struct weir_buffer *larger = weir_buffer_take(
            reactor, wanted < REST_BYTES_MIN ? REST_BYTES_MIN : wanted);
        if (!larger)
            return -ENOMEM;
        if (rest->buffer) {
            memcpy(larger->bytes, rest->buffer->bytes + rest->begin, used);
            weir_buffer_drop(reactor, rest->buffer);
        }
        rest->buffer = larger;
    }
    rest->begin = 0;
    rest->end = used;
    return 0;
}

static bool append(struct weir_resp_session *session, const char *bytes, size_t count)
{
    struct weir_resp_rest *rest = weir_resp_rest_get(session);
    if (too_much(session, weir_resp_rest_bytes(session) + count)) {
        weir_resp_abort(session, "over the query buffer limit");
        return false;
    }
    if (!rest || make_room(rest, count) < 0) {
        weir_resp_abort(session, "no memory for its input");
        return false;
    }
    memcpy(rest->buffer->bytes + rest->end, bytes, count);
    rest->end += count;
    return true;
}

static void run_rest(struct weir_resp_session *session)
{
    struct weir_resp_rest *rest = session->rest;
    if (!rest)
        return;
    if (rest->buffer) {
        const char *bytes = (const char *)rest->buffer->bytes + rest->begin;
        rest->begin += run_all(session, &rest->parser, bytes, rest->end - rest->begin);
    }
    if (rest->begin == rest->end)
        weir_resp_rest_drop(session);
}

static void run_fresh(struct weir_resp_session *session, const char *bytes, size_t count)
{
    struct weir_resp_local *local = session->local;
    size_t used = run_all(session, &local->parser, bytes, count);
    if (used < count && !session->closing && weir_resp_open(session) &&
        append(session, bytes + used, count - used)) {
        session->rest->parser = local->parser; /* it is in the middle of a request, perhaps */
        weir_resp_parser_init(&local->parser);
    } else if (used < count) {
        weir_resp_parser_close(&local->parser);
        weir_resp_parser_init(&local->parser);
    }
}

void weir_resp_take(struct weir_resp_session *session, const char *bytes, size_t count)
{
    if (session->local->reactor->now_ns > session->active_ns)
        session->active_ns = session->local->reactor->now_ns;
    weir_resp_begin(session);
    if (!session->rest)
        run_fresh(session, bytes, count);
    else if (append(session, bytes, count))
        run_rest(session);
    weir_resp_end(session);
}

void weir_resp_go_on(struct weir_resp_session *session)
{
    if (!may_run(session))
        return;
    weir_resp_begin(session);
    run_rest(session);
    weir_resp_end(session);
    if (may_run(session))
        weir_tcp_resume(weir_resp_conn(session));
}
