/*
 * wire/kafka/kafka_address.c - where clients are told to connect: the setting, or the address each came to.
 *
 * The connection's own address is one that its client can reach, behind a mapped port too when that is set. An address of all interfaces is never
 * given: the local end of a connection is always one of them. Proof: tests/clients/kafka_*.
 */
#include <stdlib.h>
#include <string.h>

#include "wire/kafka/kafka_request.h"

enum { NAME_BYTES = 128 };

/* "ip:port", "[ip6]:port" */
static int32_t split(char *name, struct weir_kafka_string *host_out)
{
    char *colon = strrchr(name, ':');
    if (!colon || strncmp(name, "unix:", 5) == 0)
        return 0;
    *colon = 0;
    size_t bytes = (size_t)(colon - name);
    bool bracketed = name[0] == '[' && bytes >= 2;
    *host_out = (struct weir_kafka_string){name + bracketed, (uint32_t)(bytes - 2u * bracketed)};
    return (int32_t)strtol(colon + 1, NULL, 10);
}

int32_t weir_kafka_advertised(struct weir_kafka_request *request, struct weir_kafka_string *host_out)
{
    const struct weir_kafka_server *server = request->local->server;
    *host_out = weir_kafka_text(server->advertise_host);
    if (server->advertise_port)
        return server->advertise_port;
    char *name = request->session ? weir_kafka_arena_take(&request->arena, NAME_BYTES) : NULL;
    if (!name)
        return 0;
    weir_tcp_local_name(request->session->conn, name, NAME_BYTES);
    return split(name, host_out);
}
