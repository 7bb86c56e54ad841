/*
 * wire/resp/resp_session.h - Redis Pub/Sub as a server: listen, and everything else follows.
 *
 * A server is what all reactors share: settings, and a place for each reactor's own. Clients of a
 * listener stay on its reactor; what they publish and subscribe to goes through the broker's part
 * there. Other files: resp_command.h is the conversation from inside.
 *
 *     weir_broker_open, weir_resp_server_open     before the runtime starts
 *     weir_part_open, weir_resp_listen            on_start, on each reactor
 *     weir_part_close                             on_stop
 *     weir_runtime_close, weir_resp_server_close, weir_broker_close
 */
#ifndef WEIR_WIRE_RESP_SESSION_H
#define WEIR_WIRE_RESP_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/broker.h"

struct weir_resp_server;
struct weir_tcp_listener;

/* Who may log in, and which channels are theirs. */
struct weir_resp_user {
    const char *name;
    const char *password; /* NULL: none is asked for */
    bool disabled;
    bool some_channels;          /* false: all */
    const char *const *channels; /* globs */
    uint32_t channel_count;
};

struct weir_resp_settings {
    const struct weir_resp_user *users; /* none: a `default` without password, for everything */
    uint32_t user_count;
    uint32_t clients_max;           /* of all reactors; 0: 10,000 */
    uint64_t query_bytes_max;       /* received of one client and not handled yet; 0: 1 GiB */
    uint64_t guest_query_bytes_max; /* the same before it has logged in; 0: 1 MiB */
    uint64_t reply_bytes_max;  /* above so many unread bytes no more requests are taken; 0: 1 MiB */
    bool limited;              /* publishes pass weir_broker_take */
    const char *redis_version; /* what clients switch on; NULL: 7.4.0 */
    const char *config_file;   /* for INFO; NULL: none */
    uint32_t keepalive_s;      /* see struct weir_tcp_options; 0: never */
};

/*
 * Before the runtime starts. What `settings` points to must stay until weir_resp_server_close; the
 * struct itself is copied.
 * Returns 0; -ENOMEM; -EINVAL: a user without a name.
 */
int weir_resp_server_open(struct weir_runtime *runtime, const struct weir_resp_settings *settings,
                          struct weir_resp_server **server_out);
/* After the runtime has been closed: then no connection is left. `server` may be NULL. */
void weir_resp_server_close(struct weir_resp_server *server);

/*
 * Listen on this reactor, whose part of the broker is open. More than one address is fine.
 * listener_out  may be NULL; for weir_tcp_listener_port
 * Returns as weir_tcp_listen.
 */
int weir_resp_listen(struct weir_resp_server *server, struct weir_reactor *reactor,
                     const char *address, struct weir_tcp_listener **listener_out);

/* What one reactor's clients did; for the metrics page. Its own thread. */
struct weir_resp_counters {
    uint64_t connections, rejected, commands, errors, protocol_errors, auth_failures;
    uint64_t paused_by_credit, paused_by_limit, paused_by_replies, limit_rejects;
    uint64_t clients;            /* now */
    uint64_t subscriber_clients; /* of them, with anything subscribed */
};
struct weir_resp_counters weir_resp_counters(const struct weir_resp_server *server,
                                             const struct weir_reactor *reactor);

#endif
