/*
 * wire/kafka/kafka_session.h - Kafka as a server: listen, and everything else follows.
 *
 * A server is what all reactors share; a connection stays on the reactor that accepted it, and what it asks for travels to the
 * partition's or the group's owner (broker/kept.h, broker/coordinator.h). From inside: kafka_request.h.
 */
#ifndef WEIR_WIRE_KAFKA_KAFKA_SESSION_H
#define WEIR_WIRE_KAFKA_KAFKA_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/broker.h"

struct weir_kafka_server;
struct weir_tcp_listener;

struct weir_kafka_user { /* SASL PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 */
    const char *name;
    const char *password;
};

struct weir_kafka_settings {
    const char *advertise;      /* HOST:PORT that clients are told; NULL: the address each came to */
    const struct weir_kafka_user *users;
    uint32_t user_count;
    bool login_needed;          /* only who has logged in is served; with users always, without any: nobody */
    uint32_t request_bytes_max; /* 0: 100 MiB */
    uint32_t in_flight_max;     /* requests of one connection that are not answered yet; 0: 64 */
    uint32_t clients_max;       /* of each reactor; 0: 10,000 */
    uint64_t stuck_ns_max;      /* who takes nothing of its answers for so long, or does not log in, is closed; 0: 60 s */
};

/*
 * Before the runtime starts. What `settings` points to must stay until close. Takes about 5 ms for each user: keys of
 * their passwords are made here, not at a login. 0; -ENOMEM; -EINVAL (advertise); -EIO: no randomness.
 */
int weir_kafka_server_open(struct weir_runtime *runtime, const struct weir_kafka_settings *settings,
                           struct weir_kafka_server **server_out);
void weir_kafka_server_close(struct weir_kafka_server *server); /* after the runtime; may be NULL */
/* As weir_resp_listen. */
int weir_kafka_listen(struct weir_kafka_server *server, struct weir_reactor *reactor, const char *address,
                      struct weir_tcp_listener **listener_out);

struct weir_kafka_counters {
    uint64_t connections, rejected, requests, malformed, unsupported, throttled;
    uint64_t auth_failures; /* logins refused, and requests before one */
    uint64_t produced_records, produced_bytes, fetched_bytes;
    uint64_t clients; /* now */
};
struct weir_kafka_counters weir_kafka_counters(const struct weir_kafka_server *server, const struct weir_reactor *reactor);

#endif
