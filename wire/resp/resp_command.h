/*
 * wire/resp/resp_command.h - the Redis conversation from inside: session, output, commands.
 *
 * A session is one client. Its requests are run straight from the received bytes; what is left over
 * (half a request, or requests that must wait) is kept in `rest`, which exists only meanwhile, so
 * that an idle client costs its connection and this struct. What a batch of requests answers is
 * gathered in the reactor's one output, `local->out`, and handed to the connection in one piece.
 *
 * A session that may not go on (no credit for a publish, a limit, replies nobody reads, an answer
 * that other reactors must help with) has bits in `holds`: it runs no request and is not read. When
 * the last bit goes, weir_resp_go_on continues with the very request that waited.
 */
#ifndef WEIR_WIRE_RESP_COMMAND_H
#define WEIR_WIRE_RESP_COMMAND_H

#include "base/atomic.h"
#include "broker/gather.h"
#include "broker/window.h"
#include "wire/resp/resp_codec.h"
#include "wire/resp/resp_session.h"
#include "wire/resp/resp_write.h"

enum {
    WEIR_RESP_OUT_BYTES = 64 << 10,      /* the output, and what it shrinks back to */
    WEIR_RESP_OUT_BYTES_MAX = 512 << 20, /* a transaction's answer is whole or not at all */
    WEIR_RESP_ROOM_BYTES = 4096,         /* free for each command without asking */
    WEIR_RESP_NAME_BYTES_MAX = 1 << 16,  /* CLIENT SETNAME and SETINFO */
};

/* Why a session does not go on. */
enum weir_resp_hold {
    WEIR_RESP_HOLD_CREDIT = 1u << 0,  /* a publish waits for a reactor or a subscriber */
    WEIR_RESP_HOLD_TIMER = 1u << 1,   /* a limit, or CLIENT PAUSE */
    WEIR_RESP_HOLD_ANSWER = 1u << 2,  /* every reactor is asked */
    WEIR_RESP_HOLD_REPLIES = 1u << 3, /* the client does not read what it asked for */
};

enum weir_resp_outcome {
    WEIR_RESP_DONE,
    WEIR_RESP_AGAIN, /* a hold is set; run the same request when it is gone */
    WEIR_RESP_LATER, /* a hold is set; the answer comes by itself before it goes */
};

struct weir_resp_session;
typedef enum weir_resp_outcome (*weir_resp_fn)(struct weir_resp_session *session,
                                               const struct weir_resp_command *command);

enum weir_resp_flag {
    WEIR_RESP_PUBSUB = 1u << 0,
    WEIR_RESP_FAST = 1u << 1,
    WEIR_RESP_ADMIN = 1u << 2,
    WEIR_RESP_NO_AUTH = 1u << 3,       /* before logging in */
    WEIR_RESP_IN_SUBSCRIBER = 1u << 4, /* RESP2 clients with subscriptions may */
    WEIR_RESP_NOT_QUEUED = 1u << 5,    /* runs at once in a transaction */
    WEIR_RESP_PUSHES = 1u << 6,        /* answers by pushes: CLIENT REPLY OFF does not mute it */
    WEIR_RESP_CONNECTION = 1u << 7,    /* category for COMMAND */
    WEIR_RESP_MAY_WRITE = 1u << 8,     /* CLIENT PAUSE WRITE holds it */
    WEIR_RESP_UNSUPPORTED = 1u << 9,   /* Redis has it, weir does not */
};

struct weir_resp_definition {
    const char *name; /* lower case; of a subcommand: "client|list" */
    const char *summary;
    int8_t arity; /* as Redis: > 0 exactly, < 0 at least, the name included */
    int8_t first_key;
    int8_t last_key;
    uint32_t flags;
    weir_resp_fn run;
    const struct weir_resp_definition *subcommands; /* ended by one without a name */
};

/* What is left of the input, and what a waiting request needs. */
struct weir_resp_rest {
    struct weir_resp_session *session;
    struct weir_buffer *home; /* where this struct lies */
    struct weir_resp_parser parser;
    struct weir_buffer *buffer; /* bytes begin .. end; NULL: none */
    size_t begin;
    size_t end;
    struct weir_publish_waiter waiter;
    struct weir_wheel_timer timer;
};

struct weir_resp_multi;
struct weir_resp_asked;

struct weir_resp_session {
    struct weir_list node; /* local->sessions */
    struct weir_resp_local *local;
    struct weir_subscriber subscriber;
    struct weir_resp_rest *rest;             /* NULL: nothing is left over */
    struct weir_resp_multi *multi;           /* NULL: no transaction */
    struct weir_resp_asked *asked;           /* with HOLD_ANSWER */
    const struct weir_resp_user *user;       /* NULL: not logged in */
    const struct weir_resp_definition *last; /* for CLIENT LIST */
    char *name;                              /* NULL: none, as below */
    char *lib_name;
    char *lib_version;
    uint64_t id;
    uint64_t opened_ns;
    uint64_t active_ns;
    uint64_t address_hash; /* 0: not asked for yet */
    uint8_t protocol;      /* 2 or 3 */
    uint8_t holds;
    bool closing; /* no further request is run */
    bool close_when_sent;
    bool admitted;  /* the waiting publish has passed its limits */
    bool muted;     /* CLIENT REPLY OFF */
    bool mute_next; /* CLIENT REPLY SKIP: the request after this one */
    bool mute_this;
    bool no_evict;
    bool no_touch;
    bool corked;
    uint32_t reply_bytes; /* written since the client had read everything; stays at the top */
};

/* Beside its connection, what an idle client costs: tests/serve/idle_test.py. */
static_assert(sizeof(struct weir_resp_session) <= 384, "a size class of the allocator");

/* One reactor's own. */
struct weir_resp_local {
    struct weir_resp_server *server;
    struct weir_reactor *reactor;
    struct weir_part *part;
    struct weir_list sessions;
    struct weir_resp_writer out;
    struct weir_resp_parser parser; /* for input that comes to a session without a rest */
    struct weir_resp_counters counters;
    size_t mark;                   /* of the output: where this request's answer begins */
    bool muting;                   /* it will not be sent */
    bool in_batch;                 /* between weir_resp_begin and weir_resp_end */
    uint16_t port;                 /* the first listener that has one */
    uint64_t opened_ns;
};

struct weir_resp_server {
    struct weir_runtime *runtime;
    struct weir_resp_settings settings;
    struct weir_resp_user everyone;            /* when there are no users */
    const struct weir_resp_user *default_user; /* NULL: none */
    uint64_t hash_seed;
    uint32_t local_count;
    struct weir_resp_local **locals; /* by reactor; each written by its own thread */
    weir_atomic_u64 client_id;       /* the last one given; on accept only */
    weir_atomic_u32 client_count;    /* on accept and close only */
    weir_atomic_u64 paused_until_ns; /* CLIENT PAUSE */
    weir_atomic_u32 paused_all;
};

static inline struct weir_tcp *weir_resp_conn(const struct weir_resp_session *session)
{
    return session->subscriber.conn;
}

static inline struct weir_resp_writer *weir_resp_out(struct weir_resp_session *session)
{
    return &session->local->out;
}

static inline struct weir_slice weir_resp_bytes(struct weir_resp_slice slice)
{
    return (struct weir_slice){(const uint8_t *)slice.bytes, slice.count};
}

/* ---- resp_session.c: life, holds ---- */
struct weir_resp_session *weir_resp_of_subscriber(struct weir_subscriber *subscriber);
/* Run no further request; close when everything is out. */
void weir_resp_close(struct weir_resp_session *session);
/* Close now: what is unsent is lost. */
void weir_resp_abort(struct weir_resp_session *session, const char *why);
/* Where the client is, as it may stand between the quotes of a log line. Returns `text`. */
enum { WEIR_RESP_PEER_BYTES = 160 };
const char *weir_resp_peer(const struct weir_resp_session *session, char text[WEIR_RESP_PEER_BYTES]);
/* Whose answers the output is for, from here to weir_resp_end. */
void weir_resp_begin(struct weir_resp_session *session);
void weir_resp_end(struct weir_resp_session *session);
void weir_resp_hold(struct weir_resp_session *session, enum weir_resp_hold why);
/* The hold is over; when it was the last one, go on. */
void weir_resp_release(struct weir_resp_session *session, enum weir_resp_hold why);
bool weir_resp_open(const struct weir_resp_session *session);

/* ---- resp_input.c ---- */
void weir_resp_take(struct weir_resp_session *session, const char *bytes, size_t count);
void weir_resp_go_on(struct weir_resp_session *session);
void weir_resp_rest_drop(struct weir_resp_session *session);
/* The rest of a session whose request must wait; it is there until the hold is over. NULL: no memory. */
struct weir_resp_rest *weir_resp_rest_get(struct weir_resp_session *session);
uint64_t weir_resp_rest_bytes(const struct weir_resp_session *session);
/* Would so much more leave too little of the reactor's memory for events and replies? */
bool weir_resp_crowds_out(const struct weir_resp_session *session, size_t byte_count);
/* HOLD_TIMER for `wait_ns`. -ENOMEM. */
int weir_resp_wait(struct weir_resp_session *session, uint64_t wait_ns);

/* ---- resp_output.c ---- */
/* The output with room for `byte_count` and a few lengths more. */
struct weir_resp_writer *weir_resp_room(struct weir_resp_session *session, size_t byte_count);
void weir_resp_flush(struct weir_resp_session *session);
int weir_resp_out_open(struct weir_resp_writer *out);
void weir_resp_out_trim(struct weir_resp_writer *out);
void weir_resp_fail(struct weir_resp_session *session,
                    const char *text); /* an error reply, counted */
__attribute__((format(printf, 2, 3))) void weir_resp_failf(struct weir_resp_session *session,
                                                           const char *format, ...);
void weir_resp_ok(struct weir_resp_session *session);
void weir_resp_reply_bulk(struct weir_resp_session *session, const void *bytes, size_t count);
/* HELP: lines, ended by NULL. */
void weir_resp_reply_lines(struct weir_resp_session *session, const char *const *lines);

/* ---- resp_dispatch.c ---- */
enum weir_resp_outcome weir_resp_run(struct weir_resp_session *session,
                                     const struct weir_resp_command *command);
const struct weir_resp_definition *weir_resp_definition_find(struct weir_resp_slice name);
const struct weir_resp_definition *weir_resp_subcommand_find(const struct weir_resp_definition *of,
                                                             struct weir_resp_slice name);
/* The command a request names, down to its subcommand; NULL: unknown. */
const struct weir_resp_definition *weir_resp_definition_of(const struct weir_resp_command *command);
bool weir_resp_arity_fits(const struct weir_resp_definition *definition, uint32_t arg_count);
/* ---- resp_table.c ---- */
extern const struct weir_resp_definition weir_resp_definitions[];
extern const uint32_t weir_resp_definition_count;
bool weir_resp_known_to_redis(struct weir_resp_slice name); /* and not to weir */

/* ---- resp_format.c ---- */
extern const struct weir_format weir_resp_format_2;
extern const struct weir_format weir_resp_format_3;

/* ---- resp_multi.c ---- */
void weir_resp_queue(struct weir_resp_session *session, const struct weir_resp_command *command);
void weir_resp_multi_spoil(struct weir_resp_session *session); /* EXEC will refuse */
void weir_resp_multi_drop(struct weir_resp_session *session);
/* A transaction is being run: its answer stays in the output until it is whole. */
bool weir_resp_executing(const struct weir_resp_session *session);
bool weir_resp_executing_subscribed(const struct weir_resp_session *session);
void weir_resp_multi_keep(struct weir_resp_session *session); /* the answer so far, over a wait */
void weir_resp_multi_restore(struct weir_resp_session *session);
uint32_t weir_resp_multi_count(const struct weir_resp_session *session); /* queued; for CLIENT LIST */
size_t weir_resp_multi_bytes(const struct weir_resp_session *session);

/* ---- resp_pubsub.c ---- */
bool weir_resp_subscribed(const struct weir_resp_session *session);
void weir_resp_leave_all(struct weir_resp_session *session);
/* Let nothing out until every reactor knows of this session's subscriptions. */
void weir_resp_settle(struct weir_resp_session *session);

/* ---- resp_auth.c ---- */
bool weir_resp_may_access(const struct weir_resp_session *session, struct weir_resp_slice channel);
bool weir_resp_may_access_pattern(const struct weir_resp_session *session,
                                  struct weir_resp_slice pattern);
int weir_resp_auth(struct weir_resp_session *session, struct weir_resp_slice name,
                   struct weir_resp_slice password); /* -EACCES */

/* ---- resp_client.c ---- */
/* A printable name without spaces into *at. -EINVAL, -ENOMEM. */
int weir_resp_set_text(char **at, struct weir_resp_slice text);
/* ---- resp_clients.c ---- */
void weir_resp_describe(const struct weir_resp_session *session, struct weir_text *text);

/* ---- resp_asked.c: what every reactor must be asked for ---- */
struct weir_resp_asked {
    struct weir_resp_session *session; /* NULL: has gone meanwhile */
    struct weir_resp_server *server;
    uint64_t asker_id;
    bool asking; /* weir_gather has not returned yet */
    bool answered;
    void (*answer)(struct weir_resp_session *session, struct weir_text *texts, uint32_t count,
                   struct weir_resp_asked *asked);
    weir_gather_fn on_each;
    void (*drop)(struct weir_resp_asked *asked); /* NULL: free */
    void (*gone)(struct weir_resp_asked *asked); /* the session goes: hurry; may be NULL */
};
void weir_resp_asked_gone(struct weir_resp_session *session);
/* The session waits for `asked`; then weir_resp_asked_begin, the answer, weir_resp_asked_end. begin is false when the session has gone. */
void weir_resp_asked_wait(struct weir_resp_session *session, struct weir_resp_asked *asked);
bool weir_resp_asked_begin(struct weir_resp_asked *asked);
void weir_resp_asked_end(struct weir_resp_asked *asked);
/* Ask; `asked` was allocated with the struct first, and is freed in the end, whatever the result. */
enum weir_resp_outcome weir_resp_ask(struct weir_resp_session *session,
                                     struct weir_resp_asked *asked);

/* ---- the commands ---- */
#define WEIR_RESP_COMMANDS(X)                                                                      \
    X(publish) X(xadd) X(xlen) X(xrange) X(xrevrange) X(xread) X(xinfo_stream)                                                                                     \
    X(spublish) X(subscribe) X(unsubscribe) X(psubscribe) X(punsubscribe) X(ssubscribe)            \
        X(sunsubscribe) X(pubsub_channels) X(pubsub_numsub) X(pubsub_numpat)                       \
            X(pubsub_shardchannels) X(pubsub_shardnumsub) X(pubsub_help) X(ping) X(echo) X(quit)   \
                X(reset) X(hello) X(auth) X(select) X(time) X(role) X(cluster) X(info)             \
                    X(config_get) X(config_fixed) X(config_resetstat) X(config_help) X(command)    \
                        X(command_count) X(command_info) X(command_docs) X(command_list)           \
                            X(command_getkeys) X(command_help) X(acl_whoami) X(acl_list)           \
                                X(acl_users) X(acl_cat) X(acl_fixed) X(acl_help) X(multi) X(exec)  \
                                    X(discard) X(watch) X(unwatch) X(client_id) X(client_getname)  \
                                        X(client_setname) X(client_setinfo) X(client_info)         \
                                            X(client_list) X(client_kill) X(client_no_evict)       \
                                                X(client_no_touch) X(client_reply) X(client_pause) \
                                                    X(client_unpause) X(client_trackinginfo)       \
                                                        X(client_tracking) X(client_getredir)      \
                                                            X(client_unblock) X(client_help)
#define WEIR_RESP_DECLARE(name)                                                   \
    enum weir_resp_outcome weir_resp_do_##name(struct weir_resp_session *session, \
                                               const struct weir_resp_command *command);
WEIR_RESP_COMMANDS(WEIR_RESP_DECLARE)

#endif
