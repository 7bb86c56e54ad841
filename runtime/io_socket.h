/*
 * runtime/io_socket.h - the socket calls that io_uring and epoll share: cold, synchronous, one
 * system call or a few.
 *
 * Sockets are made blocking and close-on-exec. Blocking, because io_uring answers -EAGAIN for a
 * non-blocking one instead of waiting for it; epoll asks for MSG_DONTWAIT on each call, or sets
 * O_NONBLOCK where there is no such flag.
 */
#ifndef WEIR_RUNTIME_IO_SOCKET_H
#define WEIR_RUNTIME_IO_SOCKET_H

#include "runtime/io.h"

/* Rows of struct weir_io_table; `io` is not looked at. 0 or a negative errno. */
int weir_io_socket_listen(struct weir_io *io, const struct weir_io_listen *listen, int *fd_out);
int weir_io_socket_datagram(struct weir_io *io, const struct weir_io_datagram *datagram,
                            int *fd_out);
int weir_io_socket_stream(struct weir_io *io, int family, int *fd_out);
int weir_io_socket_local_address(struct weir_io *io, int fd, struct sockaddr_storage *address_out,
                                 socklen_t *bytes_out);
int weir_io_socket_peer_address(struct weir_io *io, int fd, struct sockaddr_storage *address_out,
                                socklen_t *bytes_out);

/* O_NONBLOCK on or off; true when that changed it. */
bool weir_io_socket_set_nonblocking(int fd, bool nonblocking);

/* What a failed accept says about the listener. */
enum weir_io_accept_verdict {
    WEIR_IO_ACCEPT_AGAIN, /* that one connection is gone */
    WEIR_IO_ACCEPT_LATER, /* no descriptor or memory left: wait for some */
    WEIR_IO_ACCEPT_BROKEN,
};
enum weir_io_accept_verdict weir_io_socket_accept_verdict(int error);

/* Also for both: the clock and chance. */
uint64_t weir_io_clock_ns(struct weir_io *io);
uint64_t weir_io_seed(void);                  /* from the kernel, never 0 */
uint64_t weir_io_next_random(uint64_t *seed); /* a splitmix64 step */

#endif
