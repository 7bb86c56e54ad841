/*
 * wire/kafka/kafka_session.c - connections: frames in, answers out in order.
 *
 * Bytes of a frame are copied into a buffer that grows as they come, never by what a size announces alone. Requests run as soon as they
 * are whole, several at once; each answer waits for those before it. A connection that has too much in flight, or does not
 * read its answers, is not read, and closed in the end. Proof: tests/wire/kafka/kafka_session_test.c, tests/clients/.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/kafka/kafka_request.h"

enum {
    FIRST_FRAME_BYTES = 64 << 10,
    FRAME_BYTES_MAX = 100 << 20,
    IN_FLIGHT_MAX = 64,
    IN_FLIGHT_BYTES_MAX = 16 << 20,
    ANSWERS_BYTES_MAX = 64 << 20, /* a large fetch, and what else is asked meanwhile */
    UNSENT_BYTES_MAX = 1 << 20,
    CLIENTS_MAX = 10000,
    GUEST_FRAME_BYTES_MAX = 64 << 10, /* nobody has to believe in somebody who has not logged in */
    HEAD_BYTES_MIN = 8,
    KEEPALIVE_S = 300, /* one whose machine has vanished keeps no place for ever */
    ARENA_FIRST_BYTES = 2048,
    ARENA_BYTES_MAX = 64 << 20,
};
static const uint64_t stuck_ns_max = 60000000000;

/* ---- The end of requests and sessions --------------------------------------------------------------- */

static void free_request(struct weir_kafka_request *request)
{
    struct weir_reactor *reactor = request->local->reactor;
    if (request->release)
        request->release(request);
    weir_list_remove(&request->node);
    if (request->session) {
        request->session->request_count--;
        request->session->frame_bytes -= request->frame ? request->frame->byte_count : 0;
        request->session->answer_bytes -= request->answer_bytes;
    }
    weir_kafka_arena_deinit(&request->arena);
    if (request->frame)
        weir_buffer_drop(reactor, request->frame);
    weir_buffer_drop(reactor, request->home);
}

static void close_session(struct weir_kafka_session *session, const char *why)
{
    char peer[96];
    if (session->closing)
        return;
    session->closing = true;
    weir_tcp_peer_name(session->conn, peer, sizeof peer);
    if (why)
        weir_reactor_log(session->local->reactor, WEIR_LOG_WARN, "msg=\"Kafka client closed\" addr=%s why=\"%s\"", peer, why);
    weir_tcp_close(session->conn);
}

static void on_close(struct weir_reactor *reactor, struct weir_tcp *conn, int error)
{
    (void)error;
    struct weir_kafka_session *session = weir_tcp_context(conn);
    if (!session) /* was turned away */
        return;
    session->closing = true;
    WEIR_LIST_EACH_SAFE(node, &session->requests)
    {
        struct weir_kafka_request *request = WEIR_CONTAINER(node, struct weir_kafka_request, node);
        if (request->answered) {
            free_request(request);
        } else {
            weir_list_remove(&request->node);
            request->session = NULL;
            if (request->gone)
                request->gone(request);
        }
    }
    if (session->frame.buffer)
        weir_buffer_drop(reactor, session->frame.buffer);
    if (session->rest)
        weir_buffer_drop(reactor, session->rest);
    weir_wheel_cancel(&reactor->wheel, &session->mute_timer);
    weir_wheel_cancel(&reactor->wheel, &session->stuck_timer);
    weir_list_remove(&session->node);
    session->local->counters.clients--;
    weir_kafka_sasl_end(session);
    free(session);
}

/* ---- Answers ------------------------------------------------------------------------------------------ */

static void take_rest(struct weir_kafka_session *session);

static int send_part(struct weir_kafka_session *session, const struct weir_kafka_part *part)
{
    if (part->bytes)
        return weir_tcp_write(session->conn, part->bytes, part->byte_count);
    struct weir_read_slice *slice = (struct weir_read_slice *)(uintptr_t)part->piece;
    int result = weir_tcp_give(session->conn, slice->buffer, slice->bytes, slice->byte_count);
    if (result == 0)
        slice->buffer = NULL;
    return result;
}

static int send_answer(struct weir_kafka_session *session, const struct weir_kafka_request *request)
{
    int result = 0;
    for (uint32_t i = 0; i < request->out.part_count && result == 0; i++)
        result = send_part(session, &request->out.parts[i]);
    return result;
}

static bool overfull(const struct weir_kafka_session *session)
{
    uint32_t in_flight_max = session->local->server->settings.in_flight_max;
    return session->request_count >= in_flight_max || session->frame_bytes >= IN_FLIGHT_BYTES_MAX ||
           session->answer_bytes >= ANSWERS_BYTES_MAX || session->muted ||
           weir_tcp_unsent_bytes(session->conn) >= UNSENT_BYTES_MAX;
}

static void pause_or_resume(struct weir_kafka_session *session)
{
    bool pause = overfull(session);
    if (session->closing || pause == session->paused)
        return;
    session->paused = pause;
    if (pause)
        weir_tcp_pause(session->conn);
    else
        weir_tcp_resume(session->conn);
}

/* Looks once in a while, not at each answer: answers are many, and few get stuck. What one holds here others cannot have. */
static void on_stuck_time(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    struct weir_kafka_session *session = WEIR_CONTAINER(timer, struct weir_kafka_session, stuck_timer);
    const struct weir_kafka_server *server = session->local->server;
    uint64_t stuck_ns = weir_tcp_stuck_ns(session->conn), max_ns = server->settings.stuck_ns_max;
    if (server->logins && !session->user)
        close_session(session, "it has not logged in");
    if (session->closing || weir_tcp_unsent_bytes(session->conn) == 0)
        return;
    if (stuck_ns < max_ns) {
        weir_wheel_arm(&session->local->reactor->wheel, timer, now_ns + max_ns - stuck_ns);
        return;
    }
    close_session(session, "it does not take its answers");
    weir_tcp_abort(session->conn);
}

static void watch_progress(struct weir_kafka_session *session)
{
    struct weir_reactor *reactor = session->local->reactor;
    if (!session->closing && !weir_wheel_armed(&session->stuck_timer) && weir_tcp_unsent_bytes(session->conn) > 0)
        weir_wheel_arm(&reactor->wheel, &session->stuck_timer, reactor->now_ns + session->local->server->settings.stuck_ns_max);
}

/* Send what is answered from the front on. */
static void flush(struct weir_kafka_session *session)
{
    while (!weir_list_empty(&session->requests) && !session->closing) {
        struct weir_kafka_request *request = WEIR_CONTAINER(session->requests.next, struct weir_kafka_request, node);
        if (!request->answered)
            break;
        bool close_after = request->close_after;
        int result = request->silent ? 0 : send_answer(session, request);
        free_request(request);
        if (result < 0)
            close_session(session, "its answers find no room");
        else if (close_after)
            close_session(session, NULL);
    }
    watch_progress(session);
    if (!session->taking && !session->closing) {
        take_rest(session);
        pause_or_resume(session);
    }
}

void weir_kafka_expect(struct weir_kafka_request *request, uint64_t answer_bytes)
{
    struct weir_kafka_session *session = request->session;
    if (session)
        session->answer_bytes += answer_bytes - request->answer_bytes;
    request->answer_bytes = answer_bytes;
}

static void answer(struct weir_kafka_request *request, const void *body)
{
    struct weir_kafka_session *session = request->session;
    WEIR_ASSERT(!request->answered);
    request->answered = true;
    if (!session) {
        free_request(request);
        return;
    }
    request->out.arena = &request->arena;
    if (body && weir_kafka_encode(request->api, request->head.version, request->head.correlation_id, body, &request->out) < 0) {
        close_session(session, "an answer that cannot be encoded");
        return;
    }
    weir_kafka_expect(request, request->out.byte_count);
    flush(session);
}

void weir_kafka_respond(struct weir_kafka_request *request, const void *body)
{
    answer(request, body);
}

void weir_kafka_respond_nothing(struct weir_kafka_request *request)
{
    request->silent = true;
    answer(request, NULL);
}

void weir_kafka_respond_and_close(struct weir_kafka_request *request, const void *body)
{
    request->close_after = true;
    answer(request, body);
}

void weir_kafka_fail(struct weir_kafka_request *request, const char *why)
{
    if (request->session)
        close_session(request->session, why);
    weir_kafka_respond_nothing(request);
}

static void on_unmute(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    struct weir_kafka_session *session = WEIR_CONTAINER(timer, struct weir_kafka_session, mute_timer);
    session->muted = false;
    take_rest(session);
    pause_or_resume(session);
}

void weir_kafka_mute(struct weir_kafka_session *session, uint64_t mute_ns)
{
    struct weir_reactor *reactor = session->local->reactor;
    session->muted = true;
    session->local->counters.throttled++;
    weir_wheel_arm(&reactor->wheel, &session->mute_timer, reactor->now_ns + mute_ns);
    pause_or_resume(session);
}

/* ---- Requests ------------------------------------------------------------------------------------------ */

static struct weir_kafka_request *new_request(struct weir_kafka_session *session)
{
    struct weir_buffer *home = weir_buffer_take(session->local->reactor, sizeof(struct weir_kafka_request) + ARENA_FIRST_BYTES);
    if (!home)
        return NULL;
    struct weir_kafka_request *request = (struct weir_kafka_request *)(void *)home->bytes;
    memset(request, 0, sizeof *request);
    request->session = session;
    request->local = session->local;
    request->home = home;
    weir_kafka_arena_init(&request->arena, request + 1, ARENA_FIRST_BYTES, ARENA_BYTES_MAX);
    weir_list_push_back(&session->requests, &request->node);
    session->request_count++;
    return request;
}

/* 0, or why the connection must be closed. */
static const char *decode(struct weir_kafka_request *request, const uint8_t *bytes, uint32_t byte_count)
{
    const struct weir_kafka_head *head = &request->head;
    request->message = weir_kafka_arena_take(&request->arena, weir_kafka_struct_bytes(request->api->request));
    if (!request->message)
        return "no memory for a request";
    int result = weir_kafka_decode(request->api->request, head->version, weir_kafka_flexible(head->key, head->version),
                                   bytes + head->byte_count, byte_count - head->byte_count, &request->arena, request->message);
    return result == 0 ? NULL : "a malformed request";
}

/* A version of ApiVersions that is not known is answered, and its body is not looked at: so says the protocol. */
static bool is_unknown_api_versions(const struct weir_kafka_request *request)
{
    return request->head.key == WEIR_KAFKA_API_VERSIONS && request->head.version > request->api->version_max;
}

/* NULL, or why the connection must be closed. */
static const char *look(struct weir_kafka_request *request, const uint8_t *bytes, uint32_t byte_count)
{
    struct weir_kafka_head *head = &request->head;
    struct weir_kafka_counters *counters = &request->local->counters;
    if (weir_kafka_head_read(bytes, byte_count, head) < 0) {
        counters->malformed++;
        return "a malformed request";
    }
    if (!weir_kafka_may_ask(request->session, head->key)) {
        counters->auth_failures++;
        return "a request before its login";
    }
    request->api = weir_kafka_api_find(head->key);
    if (!request->api || !weir_kafka_handler_of(head->key)) {
        counters->malformed++;
        return "a request that is not known here";
    }
    if (is_unknown_api_versions(request))
        return NULL;
    bool served = head->version >= request->api->version_min && head->version <= request->api->version_max;
    const char *why = served ? decode(request, bytes, byte_count) : "a version that is not served";
    counters->malformed += why != NULL;
    return why;
}

static void run(struct weir_kafka_session *session, const uint8_t *bytes, uint32_t byte_count)
{
    struct weir_kafka_request *request = new_request(session);
    if (!request) {
        close_session(session, "no memory for a request");
        return;
    }
    request->frame = session->frame.buffer;
    session->frame = (struct weir_kafka_frame){0};
    session->frame_bytes += request->frame->byte_count;
    session->local->counters.requests++;
    if (weir_kafka_sasl_bare(session)) {
        weir_kafka_sasl_token(request, bytes, byte_count);
        return;
    }
    const char *why = look(request, bytes, byte_count);
    if (why)
        weir_kafka_fail(request, why);
    else
        weir_kafka_handler_of(request->head.key)(request);
}

/* ---- Frames --------------------------------------------------------------------------------------------- */

static uint32_t size_of(const uint8_t size[4])
{
    return (uint32_t)size[0] << 24 | (uint32_t)size[1] << 16 | (uint32_t)size[2] << 8 | size[3];
}

static bool can_be(const struct weir_kafka_session *session, uint32_t byte_count)
{
    const struct weir_kafka_server *server = session->local->server;
    uint32_t max = server->settings.request_bytes_max;
    if (server->logins && !session->user && max > GUEST_FRAME_BYTES_MAX)
        max = GUEST_FRAME_BYTES_MAX;
    return byte_count >= (weir_kafka_sasl_bare(session) ? 1 : HEAD_BYTES_MIN) && byte_count <= max;
}

static bool begin_frame(struct weir_kafka_session *session)
{
    struct weir_kafka_frame *frame = &session->frame;
    frame->byte_count = size_of(frame->size);
    if (!can_be(session, frame->byte_count)) {
        session->local->counters.malformed++;
        close_session(session, "a request of a size that cannot be: not Kafka, or TLS on a plain port");
        return false;
    }
    uint32_t room = frame->byte_count < FIRST_FRAME_BYTES ? frame->byte_count : FIRST_FRAME_BYTES;
    frame->buffer = weir_buffer_take(session->local->reactor, room);
    if (!frame->buffer)
        close_session(session, "no memory for a request");
    return frame->buffer != NULL;
}

static bool grow_frame(struct weir_kafka_session *session)
{
    struct weir_kafka_frame *frame = &session->frame;
    struct weir_reactor *reactor = session->local->reactor;
    size_t room = frame->buffer->byte_count * 4;
    struct weir_buffer *grown = weir_buffer_take(reactor, room < frame->byte_count ? room : frame->byte_count);
    if (!grown) {
        close_session(session, "no memory for a request");
        return false;
    }
    memcpy(grown->bytes, frame->buffer->bytes, frame->have);
    weir_buffer_drop(reactor, frame->buffer);
    frame->buffer = grown;
    return true;
}

static size_t add_size(struct weir_kafka_frame *frame, const uint8_t *bytes, size_t count)
{
    size_t taken = 0;
    while (frame->size_have < sizeof frame->size && taken < count)
        frame->size[frame->size_have++] = bytes[taken++];
    return taken;
}

/* Some of the bytes; 0 only when the session closes. */
static size_t add_bytes(struct weir_kafka_session *session, const uint8_t *bytes, size_t count)
{
    struct weir_kafka_frame *frame = &session->frame;
    if (!frame->buffer) {
        size_t taken = add_size(frame, bytes, count);
        return frame->size_have == sizeof frame->size && !begin_frame(session) ? 0 : taken;
    }
    if (frame->have == frame->buffer->byte_count && !grow_frame(session))
        return 0;
    size_t room = frame->buffer->byte_count < frame->byte_count ? frame->buffer->byte_count : frame->byte_count;
    size_t taken = room - frame->have < count ? room - frame->have : count;
    memcpy(frame->buffer->bytes + frame->have, bytes, taken);
    frame->have += (uint32_t)taken;
    if (frame->have == frame->byte_count)
        run(session, frame->buffer->bytes, frame->byte_count);
    return taken;
}

/* How many bytes were taken: all, unless too much is in flight. */
static size_t take(struct weir_kafka_session *session, const uint8_t *bytes, size_t count)
{
    size_t at = 0;
    session->taking = true;
    while (at < count && !session->closing && !overfull(session)) {
        size_t taken = add_bytes(session, bytes + at, count - at);
        at += taken;
        if (taken == 0 && session->closing)
            break;
    }
    session->taking = false;
    return at;
}

static void keep_rest(struct weir_kafka_session *session, const uint8_t *bytes, size_t count)
{
    session->rest = weir_buffer_take(session->local->reactor, count);
    if (!session->rest) {
        close_session(session, "no memory for a request");
        return;
    }
    memcpy(session->rest->bytes, bytes, count);
    session->rest_begin = 0;
    session->rest_end = (uint32_t)count;
}

static void take_rest(struct weir_kafka_session *session)
{
    if (!session->rest || session->taking)
        return;
    struct weir_buffer *rest = session->rest;
    session->rest_begin += (uint32_t)take(session, rest->bytes + session->rest_begin, session->rest_end - session->rest_begin);
    if (session->rest_begin < session->rest_end && !session->closing)
        return;
    session->rest = NULL;
    weir_buffer_drop(session->local->reactor, rest);
}

/* While bytes are kept the connection is not read; what was under way to us is kept too. */
static void on_data(struct weir_reactor *reactor, struct weir_tcp *conn, const void *bytes, size_t byte_count)
{
    struct weir_kafka_session *session = weir_tcp_context(conn);
    size_t taken = 0;
    if (!session || session->closing)
        return;
    if (session->rest) {
        size_t left = session->rest_end - session->rest_begin;
        struct weir_buffer *larger = weir_buffer_take(reactor, left + byte_count);
        if (!larger) {
            close_session(session, "no memory for a request");
            return;
        }
        memcpy(larger->bytes, session->rest->bytes + session->rest_begin, left);
        memcpy(larger->bytes + left, bytes, byte_count);
        weir_buffer_drop(reactor, session->rest);
        session->rest = larger;
        session->rest_begin = 0;
        session->rest_end = (uint32_t)(left + byte_count);
        take_rest(session);
    } else {
        taken = take(session, bytes, byte_count);
        if (taken < byte_count && !session->closing)
            keep_rest(session, (const uint8_t *)bytes + taken, byte_count - taken);
    }
    pause_or_resume(session);
}

static void on_drain(struct weir_reactor *reactor, struct weir_tcp *conn)
{
    (void)reactor;
    struct weir_kafka_session *session = weir_tcp_context(conn);
    if (!session || session->closing)
        return;
    take_rest(session);
    pause_or_resume(session);
}

static void on_open(struct weir_reactor *reactor, struct weir_tcp *conn, void *context)
{
    struct weir_kafka_local *local = context;
    struct weir_kafka_session *session = NULL;
    weir_tcp_set_context(conn, NULL);
    if (local->counters.clients < local->server->settings.clients_max)
        session = calloc(1, sizeof *session);
    if (!session) {
        local->counters.rejected++;
        weir_tcp_abort(conn);
        return;
    }
    session->local = local;
    session->conn = conn;
    session->id = ++local->counters.connections;
    local->counters.clients++;
    weir_list_init(&session->requests);
    weir_list_push_back(&local->sessions, &session->node);
    weir_wheel_timer_init(&session->mute_timer, on_unmute);
    weir_wheel_timer_init(&session->stuck_timer, on_stuck_time);
    if (local->server->logins) /* a guest keeps no place for ever */
        weir_wheel_arm(&reactor->wheel, &session->stuck_timer, reactor->now_ns + local->server->settings.stuck_ns_max);
    weir_tcp_set_context(conn, session);
}

/* ---- The server ------------------------------------------------------------------------------------------ */

static int split_advertise(struct weir_kafka_server *server)
{
    const char *text = server->settings.advertise;
    if (!text)
        return 0;
    const char *colon = strrchr(text, ':');
    size_t host_bytes = colon ? (size_t)(colon - text) : 0;
    long port = colon ? strtol(colon + 1, NULL, 10) : 0;
    if (host_bytes == 0 || host_bytes >= sizeof server->advertise_host || port < 1 || port > 65535)
        return -EINVAL;
    memcpy(server->advertise_host, text, host_bytes);
    server->advertise_port = (uint16_t)port;
    return 0;
}

int weir_kafka_server_open(struct weir_runtime *runtime, const struct weir_kafka_settings *settings,
                           struct weir_kafka_server **server_out)
{
    struct weir_kafka_server *server = calloc(1, sizeof *server);
    if (!server)
        return -ENOMEM;
    server->runtime = runtime;
    server->settings = *settings;
    if (server->settings.request_bytes_max == 0)
        server->settings.request_bytes_max = FRAME_BYTES_MAX;
    if (server->settings.in_flight_max == 0)
        server->settings.in_flight_max = IN_FLIGHT_MAX;
    if (server->settings.clients_max == 0)
        server->settings.clients_max = CLIENTS_MAX;
    if (server->settings.stuck_ns_max == 0)
        server->settings.stuck_ns_max = stuck_ns_max;
    server->local_count = weir_runtime_reactor_count(runtime);
    server->locals = calloc(server->local_count, sizeof *server->locals);
    int result = server->locals ? split_advertise(server) : -ENOMEM;
    if (result == 0)
        result = weir_kafka_logins_open(server);
    if (result < 0) {
        weir_kafka_server_close(server);
        return result;
    }
    *server_out = server;
    return 0;
}

void weir_kafka_server_close(struct weir_kafka_server *server)
{
    if (!server)
        return;
    for (uint32_t i = 0; i < server->local_count && server->locals; i++)
        free(server->locals[i]);
    free(server->locals);
    weir_kafka_logins_close(server);
    free(server);
}

int weir_kafka_listen(struct weir_kafka_server *server, struct weir_reactor *reactor, const char *address,
                      struct weir_tcp_listener **listener_out)
{
    struct weir_kafka_local **local = &server->locals[weir_reactor_index(reactor)];
    struct weir_tcp_handlers handlers = {.size = sizeof handlers, .on_open = on_open, .on_data = on_data, .on_drain = on_drain,
                                         .on_close = on_close};
    struct weir_tcp_options options = WEIR_OPTIONS(struct weir_tcp_options);
    struct weir_tcp_listener *listener;
    options.unsent_bytes_max = (uint64_t)1 << 30; /* answers are bounded where they are made */
    options.keepalive_s = KEEPALIVE_S;
    if (!*local) {
        *local = calloc(1, sizeof **local);
        if (!*local)
            return -ENOMEM;
        (*local)->server = server;
        (*local)->reactor = reactor;
        (*local)->part = weir_part(reactor);
        weir_list_init(&(*local)->sessions);
    }
    return weir_tcp_listen(reactor, address, &handlers, &options, *local, listener_out ? listener_out : &listener);
}

struct weir_kafka_counters weir_kafka_counters(const struct weir_kafka_server *server, const struct weir_reactor *reactor)
{
    const struct weir_kafka_local *local = server->locals[weir_reactor_index(reactor)];
    return local ? local->counters : (struct weir_kafka_counters){0};
}
