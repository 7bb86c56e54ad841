/*
 * weir/udp.h - datagrams, unicast and multicast, of one reactor.
 */
#ifndef WEIR_UDP_H
#define WEIR_UDP_H

#include <weir/base.h>

WEIR_BEGIN

struct weir_udp;

/* One datagram; `bytes` is gone when the call returns; `sender` is a struct sockaddr. */
typedef void (*weir_udp_fn)(struct weir_reactor *reactor, struct weir_udp *udp, const void *bytes, size_t byte_count,
                            const void *sender, void *context);

struct weir_udp_options {
    size_t size;
    const char *group;           /* multicast group to join ("239.1.2.3"); NULL: none */
    const char *group_interface; /* its interface by name; NULL: the kernel's choice */
    uint32_t recv_buffer_bytes;  /* the kernel's buffer; 0: its default */
    bool reuse_port;             /* several reactors on one port; the kernel spreads the senders */
};

/* Bind "address:port" (port 0: a free one) and receive. 0; -EADDRINUSE, -EACCES, -EINVAL, -ENODEV, -ENOMEM. */
WEIR_API WEIR_MUST_CHECK int weir_udp_open(struct weir_reactor *reactor, const char *address, weir_udp_fn on_datagram,
                                           const struct weir_udp_options *options, void *context,
                                           struct weir_udp **udp_out);
WEIR_API uint16_t weir_udp_port(const struct weir_udp *udp);
/* Send one datagram (copied). 0; -ENOBUFS (too many unsent), -EINVAL, -EMSGSIZE. Loss is UDP's own. */
WEIR_API int weir_udp_send(struct weir_udp *udp, const char *address, const void *bytes, size_t byte_count);
/* Nothing is received after this call; the memory goes when the kernel has let go. */
WEIR_API void weir_udp_close(struct weir_udp *udp);

WEIR_END

#endif
