/*
 * runtime/io_socket.c - listening, datagram and stream sockets, addresses, clock and chance of the
 * real machine.
 *
 * TCP_NODELAY and keep-alive are set on the listener: Linux hands them on to every connection it
 * accepts, so the hot path needs no call for them. Proof: tests/runtime/io_test.c.
 */
#include "runtime/io_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { KEEPALIVE_S_MAX = 32767 }; /* the kernel's */

static int set_on(int fd, int level, int name)
{
    int on = 1;
    return setsockopt(fd, level, name, &on, sizeof(on)) == 0 ? 0 : -errno;
}

static int close_with(int fd, int error)
{
    close(fd);
    return error;
}

/* A socket file whose owner is dead refuses connections: it is in nobody's use and may go. */
static bool remove_dead_path(const struct sockaddr *address, socklen_t address_bytes)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)address;
    if (address->sa_family != AF_UNIX || un->sun_path[0] == '\0')
        return false;
    struct stat found;
    if (lstat(un->sun_path, &found) != 0 || !S_ISSOCK(found.st_mode))
        return false;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return false;
    bool dead = connect(probe, address, address_bytes) != 0 && errno == ECONNREFUSED;
    close(probe);
    return dead && unlink(un->sun_path) == 0;
}

static int bind_to(int fd, const struct sockaddr *address, socklen_t address_bytes)
{
    if (bind(fd, address, address_bytes) == 0)
        return 0;
    int error = -errno;
    if (error == -EADDRINUSE && remove_dead_path(address, address_bytes))
        return bind(fd, address, address_bytes) == 0 ? 0 : -errno;
    return error;
}

static bool is_inet(int family)
{
    return family == AF_INET || family == AF_INET6;
}

/* Silent for keepalive_s, then asked up to three times, a third of that apart: gone after twice the time. */
static int set_keepalive(int fd, uint32_t keepalive_s)
{
    int idle_s = (int)(keepalive_s < KEEPALIVE_S_MAX ? keepalive_s : KEEPALIVE_S_MAX);
    int apart_s = idle_s / 3 > 0 ? idle_s / 3 : 1, probes = 3;
    int error = set_on(fd, SOL_SOCKET, SO_KEEPALIVE);
    if (error == 0 && setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s)) != 0)
        error = -errno;
    if (error == 0 && setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &apart_s, sizeof(apart_s)) != 0)
        error = -errno;
    if (error == 0 && setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes)) != 0)
        error = -errno;
    return error;
}

static int prepare_listener(int fd, const struct weir_io_listen *listener)
{
    int family = listener->address->sa_family;
    int error = 0;
    if (is_inet(family)) {
        error = set_on(fd, SOL_SOCKET, SO_REUSEADDR);
        if (error == 0)
            error = set_on(fd, IPPROTO_TCP, TCP_NODELAY);
        if (error == 0 && listener->reuse_port)
            error = set_on(fd, SOL_SOCKET, SO_REUSEPORT);
        if (error == 0 && listener->keepalive_s > 0)
            error = set_keepalive(fd, listener->keepalive_s);
    }
    if (error == 0)
        error = bind_to(fd, listener->address, listener->address_bytes);
    if (error == 0 && listen(fd, listener->backlog) != 0)
        error = -errno;
    return error;
}

int weir_io_socket_listen(struct weir_io *io, const struct weir_io_listen *listener, int *fd_out)
{
    (void)io;
    int fd = socket(listener->address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = prepare_listener(fd, listener);
    if (error < 0)
        return close_with(fd, error);
    *fd_out = fd;
    return 0;
}

static int interface_index(const char *name, uint32_t *index_out)
{
    *index_out = 0;
    if (!name)
        return 0;
    *index_out = if_nametoindex(name);
    return *index_out == 0 ? -ENODEV : 0;
}

static int join_group(int fd, const struct sockaddr *group, const char *interface)
{
    uint32_t index;
    int error = interface_index(interface, &index);
    if (error < 0)
        return error;
    if (group->sa_family == AF_INET) {
        struct ip_mreqn join = {.imr_multiaddr = ((const struct sockaddr_in *)group)->sin_addr,
                                .imr_ifindex = (int)index};
        return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof(join)) == 0 ? 0 : -errno;
    }
    if (group->sa_family != AF_INET6)
        return -EAFNOSUPPORT;
    struct ipv6_mreq join = {.ipv6mr_multiaddr = ((const struct sockaddr_in6 *)group)->sin6_addr,
                             .ipv6mr_interface = index};
    return setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &join, sizeof(join)) == 0 ? 0 : -errno;
}

/*
 * Several programs may listen to one group, and what is sent leaves by the interface that was
 * named.
 */
static int prepare_group(int fd, const struct weir_io_datagram *datagram)
{
    uint32_t index;
    int error = interface_index(datagram->group_interface, &index);
    if (error == 0 && index > 0 && datagram->address->sa_family == AF_INET) {
        struct ip_mreqn from = {.imr_ifindex = (int)index};
        if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof(from)) != 0)
            error = -errno;
    } else if (error == 0 && index > 0) {
        if (setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof(index)) != 0)
            error = -errno;
    }
    return error < 0 ? error : join_group(fd, datagram->group, datagram->group_interface);
}

static int prepare_datagram(int fd, const struct weir_io_datagram *datagram)
{
    int error = 0;
    if (datagram->group)
        error = set_on(fd, SOL_SOCKET, SO_REUSEADDR);
    if (error == 0 && datagram->reuse_port)
        error = set_on(fd, SOL_SOCKET, SO_REUSEPORT);
    int bytes = (int)datagram->recv_buffer_bytes;
    if (error == 0 && bytes > 0) /* the kernel's ceiling cuts it; that is no failure */
        error = setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) == 0 ? 0 : -errno;
    if (error == 0)
        error = bind_to(fd, datagram->address, datagram->address_bytes);
    if (error == 0 && datagram->group)
        error = prepare_group(fd, datagram);
    return error;
}

int weir_io_socket_datagram(struct weir_io *io, const struct weir_io_datagram *datagram, int *fd_out)
{
    (void)io;
    int fd = socket(datagram->address->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = prepare_datagram(fd, datagram);
    if (error < 0)
        return close_with(fd, error);
    *fd_out = fd;
    return 0;
}

int weir_io_socket_stream(struct weir_io *io, int family, int *fd_out)
{
    (void)io;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = is_inet(family) ? set_on(fd, IPPROTO_TCP, TCP_NODELAY) : 0;
    if (error < 0)
        return close_with(fd, error);
    *fd_out = fd;
    return 0;
}

int weir_io_socket_local_address(struct weir_io *io, int fd, struct sockaddr_storage *address_out,
                                 socklen_t *bytes_out)
{
    (void)io;
    *bytes_out = sizeof(*address_out);
    return getsockname(fd, (struct sockaddr *)address_out, bytes_out) == 0 ? 0 : -errno;
}

int weir_io_socket_peer_address(struct weir_io *io, int fd, struct sockaddr_storage *address_out,
                                socklen_t *bytes_out)
{
    (void)io;
    *bytes_out = sizeof(*address_out);
    return getpeername(fd, (struct sockaddr *)address_out, bytes_out) == 0 ? 0 : -errno;
}

bool weir_io_socket_set_nonblocking(int fd, bool nonblocking)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || ((flags & O_NONBLOCK) != 0) == nonblocking)
        return false;
    return fcntl(fd, F_SETFL, flags ^ O_NONBLOCK) == 0;
}

enum weir_io_accept_verdict weir_io_socket_accept_verdict(int error)
{
    switch (-error) {
    case ECONNABORTED:
    case EINTR:
        return WEIR_IO_ACCEPT_AGAIN;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EPERM: /* a firewall's word about one connection, as are the network's errors below */
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ENOPROTOOPT:
        return WEIR_IO_ACCEPT_LATER;
    default:
        return WEIR_IO_ACCEPT_BROKEN;
    }
}

uint64_t weir_io_clock_ns(struct weir_io *io)
{
    (void)io;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * WEIR_S_NS + (uint64_t)now.tv_nsec;
}

uint64_t weir_io_seed(void)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
        seed = weir_io_clock_ns(NULL) ^ ((uint64_t)getpid() << 32);
    return seed | 1;
}

uint64_t weir_io_next_random(uint64_t *seed)
{
    uint64_t word = *seed += 0x9e3779b97f4a7c15u;
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9u;
    word = (word ^ (word >> 27)) * 0x94d049bb133111ebu;
    return word ^ (word >> 31);
}
