/*
 * wire/kafka/kafka_request.h - the Kafka conversation from inside: sessions, requests, handlers.
 *
 * A request's frame is copied once into a counted buffer, decoded in place, and given to its API's handler, which answers with
 * weir_kafka_respond, now or in a later turn. Answers leave in the order of the requests (Kafka's rule), so a session is a queue of requests
 * of which the first answered ones are sent.
 *
 *     bytes -> frame -> head -> decode -> handler ... weir_kafka_respond -> encoded -> in its turn: sent -> freed
 *
 * A connection may go while requests are away: then request->session is NULL, and the request is freed when its handler answers.
 * Whatever a handler allocates lies in request->arena, or is freed by request->release.
 *
 * Bounded: in_flight_max requests, 16 MiB of frames, 64 MiB of answers that wait for others and 1 MiB of unsent ones for each connection;
 * beyond it is not read. The last one taken may go over.
 */
#ifndef WEIR_WIRE_KAFKA_KAFKA_REQUEST_H
#define WEIR_WIRE_KAFKA_KAFKA_REQUEST_H

#include "log/store.h"
#include "runtime/tcp.h"
#include "wire/kafka/kafka_codec.h"
#include "wire/kafka/kafka_error.h"
#include "wire/kafka/kafka_session.h"

struct weir_kafka_local { /* one reactor's */
    struct weir_kafka_server *server;
    struct weir_reactor *reactor;
    struct weir_part *part;
    struct weir_list sessions;
    struct weir_kafka_counters counters;
};

struct weir_kafka_server {
    struct weir_runtime *runtime;
    struct weir_kafka_settings settings;
    char advertise_host[256]; /* "": each connection's own */
    uint16_t advertise_port;
    char cluster_id[24]; /* 22 characters, of the data directory once that is open */
    struct weir_kafka_logins *logins; /* kafka_sasl.c; NULL: nobody has to log in */
    uint32_t local_count;
    struct weir_kafka_local **locals;
};

struct weir_kafka_frame { /* one that is being received */
    struct weir_buffer *buffer; /* NULL: its size is not known yet */
    uint32_t byte_count;        /* announced */
    uint32_t have;
    uint8_t size[4];
    uint8_t size_have;
};

struct weir_kafka_sasl; /* kafka_sasl.c: one login under way */
struct weir_kafka_logins;

struct weir_kafka_session {
    struct weir_list node; /* local->sessions */
    struct weir_kafka_local *local;
    struct weir_tcp *conn;
    struct weir_list requests; /* in order of arrival; the answered ones at the front have been sent */
    uint32_t request_count;
    uint64_t frame_bytes;  /* of them */
    uint64_t answer_bytes; /* of their answers, which wait, or may come to be */
    struct weir_kafka_frame frame;
    struct weir_buffer *rest; /* received while it could not be taken: rest_begin .. rest_end */
    uint32_t rest_begin;
    uint32_t rest_end;
    struct weir_wheel_timer mute_timer;
    struct weir_wheel_timer stuck_timer; /* armed since there was something unsent, or for a guest */
    struct weir_kafka_sasl *sasl; /* NULL: no login is under way */
    const struct weir_kafka_user *user; /* NULL: has not logged in */
    uint64_t id;
    bool muted;   /* throttled: KIP-219 */
    bool paused;  /* not read */
    bool taking;  /* within weir_kafka_take */
    bool closing;
};

struct weir_kafka_request {
    struct weir_list node; /* session->requests */
    struct weir_kafka_session *session; /* NULL: has gone */
    struct weir_kafka_local *local;
    struct weir_buffer *home;  /* where this lies */
    struct weir_buffer *frame; /* what was received; decoded strings and records point into it */
    const struct weir_kafka_api *api;
    struct weir_kafka_head head;
    struct weir_kafka_arena arena;
    void *message;   /* decoded: struct weir_kafka_<api>_request */
    void *state;     /* the handler's, in the arena */
    void (*gone)(struct weir_kafka_request *request); /* the connection went first: hurry; may be NULL */
    void (*release)(struct weir_kafka_request *request); /* the end: what the handler holds beside the arena; may be NULL */
    struct weir_kafka_out out;
    uint64_t answer_bytes; /* in session->answer_bytes */
    bool answered;
    bool silent; /* answered by nothing: acks=0 */
    bool close_after;
};

typedef void (*weir_kafka_handler)(struct weir_kafka_request *request);

/* ---- kafka_session.c ---- */
/* Encode `body` (struct weir_kafka_<api>_response) and send it when its turn comes. The request may be gone afterwards.
 * body NULL: what request->out has been given, as it is. */
void weir_kafka_respond(struct weir_kafka_request *request, const void *body);
void weir_kafka_respond_nothing(struct weir_kafka_request *request); /* acks=0 */
/* As respond, and the connection closes behind it. */
void weir_kafka_respond_and_close(struct weir_kafka_request *request, const void *body);
/* The answer may become so large: other requests wait where answers of one connection would be too much together. */
void weir_kafka_expect(struct weir_kafka_request *request, uint64_t answer_bytes);
/* No answer is possible: close the connection (all that is in flight goes unanswered). */
void weir_kafka_fail(struct weir_kafka_request *request, const char *why);
/* Read nothing of this connection for so long. */
void weir_kafka_mute(struct weir_kafka_session *session, uint64_t mute_ns);
/* For pieces of records: encode them as weir_kafka_records.pieces of `const struct weir_read_slice *`; each is given to the connection,
 * its buffer set to NULL. What is not sent is the handler's to release. */

/* ---- kafka_address.c ---- */
enum { WEIR_KAFKA_NODE_ID = 1 };
/* Where this connection's client is told to connect; the host lies in the arena. Port 0: nowhere (no memory). */
int32_t weir_kafka_advertised(struct weir_kafka_request *request, struct weir_kafka_string *host_out);

/* ---- kafka_sasl.c ---- */
int weir_kafka_logins_open(struct weir_kafka_server *server); /* by its settings. 0; -ENOMEM; -EIO: no randomness */
void weir_kafka_logins_close(struct weir_kafka_server *server);
bool weir_kafka_may_ask(const struct weir_kafka_session *session, int16_t key); /* this request, not logged in or so */
/* Is the next frame a token without a head? So it is after a handshake of version 0. */
bool weir_kafka_sasl_bare(const struct weir_kafka_session *session);
void weir_kafka_sasl_token(struct weir_kafka_request *request, const uint8_t *bytes, uint32_t byte_count);
void weir_kafka_sasl_end(struct weir_kafka_session *session);

/* ---- strings ---- */
static inline struct weir_kafka_string weir_kafka_text(const char *text)
{
    return (struct weir_kafka_string){text, (uint32_t)__builtin_strlen(text)};
}
static inline struct weir_string weir_kafka_in(struct weir_kafka_string string) /* as the broker's rooms have them */
{
    return (struct weir_string){string.bytes, string.byte_count};
}
static inline struct weir_kafka_string weir_kafka_out_of(struct weir_string string)
{
    return (struct weir_kafka_string){string.bytes, string.byte_count};
}

/* ---- kafka_dispatch.c ---- */
weir_kafka_handler weir_kafka_handler_of(int16_t key); /* NULL: not served, and not advertised */
bool weir_kafka_served(const struct weir_kafka_server *server, int16_t key);

#endif
