/*
 * weir/tcp.h - stream connections: TCP and Unix sockets, in and out.
 *
 * A connection lives on the reactor that accepted or opened it. Handlers run there. The order of its
 * callbacks: on_open, then on_data and on_drain in any number, then on_close, once, last.
 *
 * Lifetime
 *  1. `conn` is valid from on_open until on_close returns.
 *  2. Bytes given to on_data are gone when it returns.
 *  3. weir_tcp_write copies; what it took is sent in order, or on_close says that it was not.
 *  4. After weir_tcp_close or weir_tcp_abort no on_data comes; on_close does, in a later turn. A stop that runs into
 *     its deadline calls it too, before on_stop.
 */
#ifndef WEIR_TCP_H
#define WEIR_TCP_H

#include <weir/base.h>

WEIR_BEGIN

struct weir_tcp;
struct weir_tcp_listener;

struct weir_tcp_handlers {
    size_t size;
    void (*on_open)(struct weir_reactor *reactor, struct weir_tcp *conn, void *context);
    void (*on_data)(struct weir_reactor *reactor, struct weir_tcp *conn, const void *bytes, size_t byte_count);
    void (*on_drain)(struct weir_reactor *reactor, struct weir_tcp *conn); /* the last unsent byte has left */
    /* error: 0 the peer ended the stream or we closed; else a negative errno. */
    void (*on_close)(struct weir_reactor *reactor, struct weir_tcp *conn, int error);
};

struct weir_tcp_options {
    size_t size;
    uint64_t unsent_bytes_max; /* weir_tcp_write beyond it answers -ENOBUFS; 0: 64 MiB */
    bool no_delay_off;         /* leave Nagle's algorithm on */
    bool exclusive;            /* listening: -EADDRINUSE if anybody listens on that port already, other reactors too */
    uint32_t keepalive_s;      /* listening: who is silent for so long is asked whether it is still there, and is gone after
                                * as long again without an answer (on_close: -ETIMEDOUT); up to 32,767, 0: never */
};

/*
 * Listen on this reactor. `address`: "127.0.0.1:6379", "[::1]:80", "*:80", "unix:/run/x.sock". Every reactor that
 * listens on the same TCP port shares the connections; port 0 takes a free one (see weir_tcp_listener_port: give
 * that to the other reactors). `handlers` is copied; `context` goes to on_open.
 * Returns 0; -EADDRINUSE, -EACCES, -EADDRNOTAVAIL, -EINVAL (address), -ENOMEM.
 */
WEIR_API WEIR_MUST_CHECK int weir_tcp_listen(struct weir_reactor *reactor, const char *address,
                                             const struct weir_tcp_handlers *handlers,
                                             const struct weir_tcp_options *options, void *context,
                                             struct weir_tcp_listener **listener_out);
WEIR_API uint16_t weir_tcp_listener_port(const struct weir_tcp_listener *listener);
WEIR_API void weir_tcp_listener_close(struct weir_tcp_listener *listener);

/*
 * Connect out. on_open follows, or on_close with the error (then without on_open). A failure that is known at once
 * is returned: -EINVAL, -EMFILE, -ENOMEM, -ESHUTDOWN (the reactor has ended).
 */
WEIR_API WEIR_MUST_CHECK int weir_tcp_connect(struct weir_reactor *reactor, const char *address,
                                              const struct weir_tcp_handlers *handlers,
                                              const struct weir_tcp_options *options, void *context,
                                              struct weir_tcp **conn_out);

/* Queue bytes; they leave at the end of the turn. 0; -ENOBUFS (nothing taken: wait for on_drain), -EMSGSIZE (more than
 * unsent_bytes_max at once: never fits), -EPIPE (closing), -ENOMEM. */
WEIR_API WEIR_MUST_CHECK int weir_tcp_write(struct weir_tcp *conn, const void *bytes, size_t byte_count);
WEIR_API size_t weir_tcp_unsent_bytes(const struct weir_tcp *conn);

/* Stop and go on reading. While paused the kernel's buffers fill and the peer stops by itself. */
WEIR_API void weir_tcp_pause(struct weir_tcp *conn);
WEIR_API void weir_tcp_resume(struct weir_tcp *conn);

/* Send what is queued, then close. A peer that takes nothing of it for 30 s is given up: on_close says -ETIMEDOUT. */
WEIR_API void weir_tcp_close(struct weir_tcp *conn);
WEIR_API void weir_tcp_abort(struct weir_tcp *conn); /* drop what is queued, reset */

WEIR_API void weir_tcp_set_context(struct weir_tcp *conn, void *context); /* at first: the one given to listen/connect */
WEIR_API void *weir_tcp_context(const struct weir_tcp *conn);
WEIR_API struct weir_reactor *weir_tcp_reactor(const struct weir_tcp *conn);
/* "ip:port", "[ip6]:port" or "unix:path" of the peer; text of at least 64 bytes is enough, cut if shorter. */
WEIR_API void weir_tcp_peer_name(const struct weir_tcp *conn, char *text, size_t text_bytes);
WEIR_API void weir_tcp_local_name(const struct weir_tcp *conn, char *text, size_t text_bytes);

WEIR_END

#endif
