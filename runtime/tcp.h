/*
 * runtime/tcp.h - connections from inside: what the rooms above may use beyond weir/tcp.h.
 *
 * States of a connection (`state` below):
 *
 *     CONNECTING --connected--> OPEN --close, end of stream--> FLUSHING --all sent--> CLOSING --fd gone--> freed
 *          |                     |                                |                      ^
 *          +----- refused -------+------------- error, abort -----+----------------------+
 *
 * CLOSING cancels what is armed, waits for each operation's last word, then closes the fd: no cancellation can meet a
 * reused fd. One receive and one send at most are armed.
 */
#ifndef WEIR_RUNTIME_TCP_H
#define WEIR_RUNTIME_TCP_H

#include <weir/tcp.h>

#include "runtime/outq.h"
#include "runtime/reactor.h"

enum weir_tcp_state { WEIR_TCP_CONNECTING, WEIR_TCP_OPEN, WEIR_TCP_FLUSHING, WEIR_TCP_CLOSING };

enum { WEIR_TCP_IOV = 6 };

struct weir_tcp_shape { /* handlers and options of a listener or a connect; counted by what was made from it */
    struct weir_tcp_handlers handlers;
    struct weir_tcp_options options;
    void *context;
    uint32_t refs;
};

struct weir_tcp {
    struct weir_list node; /* reactor->connections */
    struct weir_reactor *reactor;
    struct weir_tcp_shape *shape;
    void *context;
    uint64_t sent_ns; /* when bytes last left, or the queue last became non-empty: progress */
    struct weir_outq outq;
    struct weir_buffer *held; /* received while paused; bytes_held of it */
    uint32_t held_bytes;
    uint32_t number; /* of the reactor's connections; for the recorder */
    int fd;
    int error;
    uint8_t state;
    bool paused;
    bool corked; /* nothing is sent until uncorked */
    bool opened; /* on_open was called */
    bool ended;  /* the peer's stream has ended */
    struct weir_turn_hook hook;
    struct weir_io_op recv;
    struct weir_io_op send; /* and connect before, and close after */
    struct iovec iov;       /* of a send of one run; more lie in a buffer while they are sent */
};

/* An idle client's memory is this and its session: tests/serve/idle_test.py. */
static_assert(sizeof(struct weir_tcp) <= 320, "a size class of the allocator");

/* `bytes` lies in `buffer` of this reactor and is sent from there. Results as weir_tcp_write. */
int weir_tcp_share(struct weir_tcp *conn, struct weir_buffer *buffer, const uint8_t *bytes, size_t byte_count);
/* The same, but takes over one reference that the caller has, and `buffer` may be another reactor's. On failure it stays the caller's. */
int weir_tcp_give(struct weir_tcp *conn, struct weir_buffer *buffer, const uint8_t *bytes, size_t byte_count);
/* Write in place: room for byte_count (<= 16 KiB) or NULL; then commit what was written. */
uint8_t *weir_tcp_reserve(struct weir_tcp *conn, size_t byte_count);
int weir_tcp_commit(struct weir_tcp *conn, size_t byte_count);
/* Corked, a connection queues and does not send. */
void weir_tcp_cork(struct weir_tcp *conn, bool corked);
/* How long bytes have been waiting without any leaving; 0: nothing waits. */
uint64_t weir_tcp_stuck_ns(const struct weir_tcp *conn);

/* A stop: listeners close, and what was sent to us is read to its end; connections stay, to be answered. */
void weir_tcp_drain(struct weir_reactor *reactor);
bool weir_tcp_quiet(const struct weir_reactor *reactor); /* all was read and handed over, and nothing is unsent */
void weir_tcp_close_all(struct weir_reactor *reactor);
void weir_tcp_abort_all(struct weir_reactor *reactor);
void weir_tcp_end_all(struct weir_reactor *reactor);  /* the reactor has ended: on_close for those its deadline cut off */
void weir_tcp_free_all(struct weir_reactor *reactor); /* after the io is gone */

#endif
