/*
 * runtime/io.h - the one interface through which weir reaches the kernel, the clock and chance.
 *
 * Three implementations: io_uring (runtime/io_uring.c), epoll with file threads (runtime/io_epoll.c),
 * because container runtimes forbid io_uring by default, and the simulator (runtime/io_sim.c), in which all
 * reactors run on one thread against a virtual clock, from one seed, with faults.
 *
 * An operation is the caller's memory: it is armed by weir_io_start and belongs to the io until its last
 * `done` call, the one with more == false. Every armed operation gets exactly one last call, also when
 * cancelled (-ECANCELED, or its own result if it was faster). Only then may its memory and its fd go.
 *
 *     idle --start--> armed --done(more)--> armed --done(last)--> idle
 *                       \--cancel--> armed --done(last)--> idle
 *
 * Kinds that repeat (ACCEPT, RECV, RECVFROM) are armed once and call `done` for each arrival until they end by
 * themselves (error, end of stream) or are cancelled. One RECV and one SEND at most per fd, any number of SENDTO. Data handed to
 * `done` lies in a buffer of the io's and is gone when `done` returns. When the io runs out of receive buffers
 * it stops taking from the sockets and goes on by itself: the caller never sees ENOBUFS for a RECV.
 *
 * Threads: everything here is called on the thread of the reactor that owns the io, but for
 * weir_io_wake_foreign. `done` is called from within weir_io_turn only, never from start or cancel.
 */
#ifndef WEIR_RUNTIME_IO_H
#define WEIR_RUNTIME_IO_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/list.h"

struct weir_disk;
struct weir_io;
struct weir_io_op;

enum weir_io_kind {
    WEIR_IO_ACCEPT,   /* repeats; result: the new fd */
    WEIR_IO_RECV,     /* repeats; result: bytes > 0 with data; 0: end of stream (last) */
    WEIR_IO_RECVFROM, /* repeats; result: bytes >= 0 with data and sender; datagrams */
    WEIR_IO_SEND,     /* `iov`, `iov_count`, kept until done; result: bytes sent, maybe fewer than asked */
    WEIR_IO_SENDTO,   /* as SEND, one datagram, to `address` */
    WEIR_IO_CONNECT,  /* to `address` */
    WEIR_IO_OPEN,     /* `path`, `open_flags`, `mode`; result: fd */
    WEIR_IO_READ,     /* `iov`, `offset` */
    WEIR_IO_WRITE,    /* `iov`, `offset`; `durable`: done when these bytes, and the size they give the file, are on the medium */
    WEIR_IO_SYNC,     /* fdatasync when `data_only`, else fsync; a directory's fd is fine */
    WEIR_IO_CLOSE,    /* the fd is gone when done is called; nothing else may be armed on it */
    WEIR_IO_POLL,     /* once; readable */
};

struct weir_io_data {
    const uint8_t *bytes;
    size_t byte_count;
    const struct sockaddr *sender; /* RECVFROM */
    socklen_t sender_bytes;
    bool truncated; /* RECVFROM: the datagram was longer than a receive buffer */
};

/* `data` is NULL unless the kind hands bytes over. */
typedef void (*weir_io_done_fn)(struct weir_io_op *op, int result, const struct weir_io_data *data,
                                bool more);

struct weir_io_op {
    /* The caller's, set before start and left alone until the last done. */
    enum weir_io_kind kind;
    int fd;
    weir_io_done_fn done;
    union {
        struct {
            struct iovec *iov; /* the io may not change it */
            uint32_t iov_count;
            socklen_t address_bytes;
            uint64_t offset;
            const struct sockaddr *address;
        };
        struct {
            const char *path;
            int open_flags;
            uint32_t mode;
        };
        bool data_only;
    };
    /* The io's, zero at first. */
    struct weir_list node;
    void *own;
    uint32_t slot;
    bool armed;
    bool cancelling;
    bool durable; /* the caller's again: WRITE only */
};

/* Each connection has two: what only some kinds need lies with the io. */
static_assert(sizeof(struct weir_io_op) == 80, "ten words");

struct weir_io_counters {
    uint64_t enters;        /* system calls that entered the kernel to submit, wait or poll */
    uint64_t submitted;
    uint64_t completed;
    uint64_t recv_starved;  /* times a receive had to wait for a buffer */
    uint64_t cq_overflows;
    uint64_t wakes_sent;
    uint64_t accept_backoffs; /* times a listener had to wait for a descriptor or memory */
};

struct weir_io_listen {
    const struct sockaddr *address;
    socklen_t address_bytes;
    int backlog;
    bool reuse_port; /* every reactor binds its own listener; the kernel spreads the connections */
    uint32_t keepalive_s; /* TCP: silent for so long, a peer is asked whether it is there; 0: never */
};

struct weir_io_datagram {
    const struct sockaddr *address;
    socklen_t address_bytes;
    bool reuse_port;
    const struct sockaddr *group; /* multicast group to join; NULL: none */
    const char *group_interface;  /* name or NULL: the kernel's choice */
    uint32_t recv_buffer_bytes;   /* SO_RCVBUF, 0: leave */
};

struct weir_io_table {
    const char *name; /* "io_uring", "epoll", "sim" */
    int (*start)(struct weir_io *io, struct weir_io_op *op);
    void (*cancel)(struct weir_io *io, struct weir_io_op *op);
    int (*turn)(struct weir_io *io, uint64_t wait_ns);
    void (*wake)(struct weir_io *from, struct weir_io *to);
    void (*wake_foreign)(struct weir_io *to);
    uint64_t (*now_ns)(struct weir_io *io);
    uint64_t (*random)(struct weir_io *io);
    int (*listen)(struct weir_io *io, const struct weir_io_listen *listen, int *fd_out);
    int (*datagram)(struct weir_io *io, const struct weir_io_datagram *datagram, int *fd_out);
    int (*stream)(struct weir_io *io, int family, int *fd_out); /* an unconnected stream socket */
    int (*local_address)(struct weir_io *io, int fd, struct sockaddr_storage *address_out, socklen_t *bytes_out);
    int (*peer_address)(struct weir_io *io, int fd, struct sockaddr_storage *address_out, socklen_t *bytes_out);
    void (*drop)(struct weir_io *io, int fd); /* close at once an fd on which nothing was ever armed */
    int (*pollable)(struct weir_io *io);      /* an fd that is readable when a turn would do something */
    void (*close)(struct weir_io *io);        /* nothing may be armed but what close may abandon: file ops are waited for */
    struct weir_disk *(*disk)(struct weir_io *io); /* NULL: the system's; see runtime/disk.h */
    /* Call `fn` some time later, on nobody's turn: the simulator's instead of a thread for work that blocks. NULL: threads. */
    int (*later)(struct weir_io *io, void (*fn)(void *context), void *context);
};

/* The head of every implementation's own struct. */
struct weir_io {
    const struct weir_io_table *table;
    void (*on_woke)(void *context); /* in each turn, after the wait and before what it waited for is `done`: read the clock */
    void *on_woke_context;
    struct weir_io_counters counters;
};

enum weir_io_choice { WEIR_IO_CHOICE_AUTO, WEIR_IO_CHOICE_URING, WEIR_IO_CHOICE_EPOLL };

struct weir_io_options {
    enum weir_io_choice choice;
    uint32_t level;              /* 0: all the kernel has; 601: only what Linux 6.1 had */
    uint32_t recv_buffers_bytes; /* memory for receive buffers; 0: the default */
};

/*
 * Open an io for the calling thread, which must be the one that will call weir_io_turn.
 * why_out  text of at least 160 bytes: what runs and why ("io_uring: single_issuer defer_taskrun ...",
 *          "epoll: io_uring_setup was refused (EPERM: seccomp or sysctl)")
 * Returns  0; -ENOSYS/-EPERM/... when the choice was URING and it cannot be had; -ENOMEM, -EMFILE
 */
int weir_io_open(const struct weir_io_options *options, struct weir_io **io_out, char *why_out, size_t why_bytes);
int weir_io_uring_open(const struct weir_io_options *options, struct weir_io **io_out, char *why_out, size_t why_bytes);
int weir_io_epoll_open(const struct weir_io_options *options, struct weir_io **io_out, char *why_out, size_t why_bytes);

/*
 * Arm `op`. 0, or -EBUSY (armed already), -ENOMEM (no slot). Arguments are checked when the kernel sees them:
 * a bad fd is a result of `done`.
 */
static inline int weir_io_start(struct weir_io *io, struct weir_io_op *op)
{
    return io->table->start(io, op);
}

/* For the implementations: the wait of this turn is over. */
static inline void weir_io_woke(struct weir_io *io)
{
    if (io->on_woke)
        io->on_woke(io->on_woke_context);
}

/* Ask an armed op to end soon; its last `done` still comes. Nothing happens to one that is not armed. */
static inline void weir_io_cancel(struct weir_io *io, struct weir_io_op *op)
{
    io->table->cancel(io, op);
}

/*
 * Submit what was started, take completions, call their `done`. Waits up to `wait_ns` for the first
 * one (0: does not wait; UINT64_MAX: until woken). Returns how many `done` calls were made, or a
 * negative errno that no turn can mend.
 */
static inline int weir_io_turn(struct weir_io *io, uint64_t wait_ns)
{
    return io->table->turn(io, wait_ns);
}

/* End the wait of `to`, now or the next one; a wake is never lost, several may count as one. */
static inline void weir_io_wake(struct weir_io *from, struct weir_io *to)
{
    from->counters.wakes_sent++;
    from->table->wake(from, to);
}

static inline void weir_io_wake_foreign(struct weir_io *to) /* any thread, also signal handlers */
{
    to->table->wake_foreign(to);
}

static inline uint64_t weir_io_now_ns(struct weir_io *io) /* CLOCK_MONOTONIC, or the simulator's */
{
    return io->table->now_ns(io);
}

static inline uint64_t weir_io_random(struct weir_io *io)
{
    return io->table->random(io);
}

#endif
