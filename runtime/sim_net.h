/*
 * runtime/sim_net.h - the simulated network: names, listeners, streams, datagrams.
 *
 * A stream is one end of a connection; what comes to it is a bounded pipe, so a sender whose peer does not read is
 * told to wait. Bytes travel as `written` (by the sender), `arrived` (after the latency, never reordered), `taken` (by
 * receives). An end of stream or a reset travels behind the bytes before it.
 *
 *     sender ---> | written - arrived: under way | arrived - taken: readable | ---> receiver
 *                 |<-------------------- capacity ------------------------->|
 */
#ifndef WEIR_RUNTIME_SIM_NET_H
#define WEIR_RUNTIME_SIM_NET_H

#include "runtime/sim_world.h"

/* An address, made comparable. */
struct weir_sim_name {
    uint32_t host;
    uint16_t port;      /* 0 with a path */
    sa_family_t family; /* as it was given, for showing it again */
    bool any;
    uint8_t ip[16]; /* IPv4 as ::ffff:a.b.c.d */
    char path[108];
};

struct weir_sim_pipe {
    uint8_t *bytes;
    uint64_t capacity;
    uint64_t written;
    uint64_t arrived;
    uint64_t taken;
    uint64_t last_arrival_ns;
    bool fin_arrived;
};

enum weir_sim_stream_state {
    WEIR_SIM_STREAM_NEW,
    WEIR_SIM_STREAM_CONNECTING,
    WEIR_SIM_STREAM_OPEN,
    WEIR_SIM_STREAM_CLOSED,
};

struct weir_sim_stream {
    struct weir_list node;    /* all of the world */
    struct weir_list backlog; /* of a listener, until accepted */
    struct weir_sim_host *host;
    struct weir_sim_stream *peer; /* NULL: never connected */
    enum weir_sim_stream_state state;
    struct weir_sim_pipe in;
    struct weir_sim_name local;
    struct weir_sim_name remote;
    int error;      /* pending: every operation answers it */
    uint32_t tries; /* of the connect */
    bool dark;      /* nothing passes any more */
    bool ghost;
    struct weir_sim_op *recv;
    struct weir_sim_op *send; /* or the connect */
    struct weir_sim_op *poll;
};

struct weir_sim_listener {
    struct weir_list node;
    struct weir_list backlog;
    uint32_t backlog_count;
    uint32_t backlog_max;
    struct weir_sim_name name;
    bool reuse_port;
    bool closed;
    bool ghost;
    struct weir_sim_op *accept;
    struct weir_sim_op *poll;
};

struct weir_sim_packet {
    struct weir_list node;  /* all of the world */
    struct weir_list queue; /* of its socket, once arrived */
    struct weir_sim_datagram *to;
    struct weir_sim_name sender;
    size_t byte_count;
    uint8_t bytes[];
};

struct weir_sim_datagram {
    struct weir_list node;
    struct weir_list queue;
    uint64_t queued_bytes;
    uint64_t queued_bytes_max;
    struct weir_sim_name name;
    struct weir_sim_name group; /* port of `name`; host is not looked at. family 0: none */
    bool reuse_port;
    bool closed;
    bool ghost;
    struct weir_sim_op *recv;
    struct weir_sim_op *send;
    struct weir_sim_op *poll;
};

/* ---- sim_net.c: names, listeners, connecting, and the way from an operation to its object ---- */
int weir_sim_name_read(struct weir_sim_io *io, const struct sockaddr *address, socklen_t bytes,
                       struct weir_sim_name *name_out);
void weir_sim_name_write(const struct weir_sim_name *name, struct sockaddr_storage *address_out,
                         socklen_t *bytes_out);
bool weir_sim_name_takes(const struct weir_sim_name *bound, const struct weir_sim_name *to);
/* Fill in a free port where it is 0; -EADDRINUSE, -EADDRNOTAVAIL. `used` says whether a bound one is in the way. */
int weir_sim_name_bind(struct weir_sim_io *io, struct weir_sim_name *name,
                       bool (*in_use)(struct weir_sim *sim, const struct weir_sim_name *name,
                                      bool reuse_port),
                       bool reuse_port);
int weir_sim_net_listen(struct weir_sim_io *io, const struct weir_io_listen *how, int *fd_out);
int weir_sim_net_stream(struct weir_sim_io *io, int family, int *fd_out);
int weir_sim_net_address(struct weir_sim *sim, int fd, bool peer,
                         struct sockaddr_storage *address_out, socklen_t *bytes_out);
void weir_sim_net_submit(struct weir_sim_op *op);
int weir_sim_net_try(struct weir_sim_op *op); /* how many times it called done with more == true */
void weir_sim_net_cancel(struct weir_sim_op *op); /* the object forgets the operation */
void weir_sim_net_close(struct weir_sim *sim, struct weir_sim_fd *fd);
void weir_sim_net_crash(struct weir_sim *sim, struct weir_sim_host *host);
void weir_sim_net_free(struct weir_sim *sim);

/* ---- sim_stream.c: connected streams ---- */
struct weir_sim_stream *weir_sim_stream_new(struct weir_sim *sim, struct weir_sim_host *host);
/* Two ends that know each other; draws what will go wrong between them. */
void weir_sim_stream_join(struct weir_sim *sim, struct weir_sim_stream *a,
                          struct weir_sim_stream *b);
int weir_sim_stream_recv(struct weir_sim_stream *stream, struct weir_sim_op *op);
void weir_sim_stream_send(struct weir_sim_stream *stream, struct weir_sim_op *op);
bool weir_sim_stream_readable(const struct weir_sim_stream *stream);
void weir_sim_stream_kick(struct weir_sim_stream *stream); /* whoever waits at it looks again */
void weir_sim_stream_close(struct weir_sim *sim, struct weir_sim_stream *stream);
/* A reset for this end, after the latency and behind what is under way. */
void weir_sim_stream_reset(struct weir_sim *sim, struct weir_sim_stream *stream, uint64_t delay_ns);

/* ---- sim_datagram.c ---- */
int weir_sim_datagram_open(struct weir_sim_io *io, const struct weir_io_datagram *how, int *fd_out);
int weir_sim_datagram_recv(struct weir_sim_datagram *socket, struct weir_sim_op *op);
void weir_sim_datagram_send(struct weir_sim_datagram *socket, struct weir_sim_op *op);
void weir_sim_datagram_close(struct weir_sim_datagram *socket);

#endif
