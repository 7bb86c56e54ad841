/*
 * runtime/io_epoll.h - private to the io_epoll_*.c files: the state of one reactor's epoll.
 */
#ifndef WEIR_RUNTIME_IO_EPOLL_H
#define WEIR_RUNTIME_IO_EPOLL_H

#include <sys/epoll.h>

#include "runtime/io.h"
#include "runtime/pool.h"

enum {
    WEIR_EPOLL_EVENTS_MAX = 256,
    WEIR_EPOLL_READS_MAX = 4, /* of 64 KiB, of one socket in one turn */
    WEIR_EPOLL_DATAGRAMS_MAX = 64,
    WEIR_EPOLL_ACCEPTS_MAX = 64,
    WEIR_EPOLL_FILE_THREADS = 2,
    WEIR_EPOLL_SCRATCH_BYTES = 64 << 10,
};

/* One descriptor, found by its number. */
struct weir_epoll_watch {
    struct weir_io_op *in;  /* RECV, RECVFROM, ACCEPT, POLL */
    struct weir_io_op *out; /* SEND, SENDTO, CONNECT */
    uint32_t generation; /* counts closes: an event of an earlier descriptor of this number is dropped */
    bool added;
    bool readable; /* may be: no EAGAIN since the last edge */
    bool writable;
    bool hung_up; /* an end or an error has been seen: reading goes on to it */
};

struct weir_epoll_job {
    struct weir_pool_job job;
    struct weir_epoll *epoll;
    struct weir_io_op *op;
    int result;
};

struct weir_epoll {
    struct weir_io io;
    int fd;
    int eventfd;
    bool in_turn;
    bool polled; /* somebody watches the pollable fd */
    bool only_ms;
    bool descriptors_freed;
    bool closing;
    struct weir_epoll_watch *watches;
    uint32_t watch_count;
    uint32_t live_count;
    struct weir_list due;   /* to be tried at the start of the next turn */
    struct weir_list ended; /* op->slot is the result to be told */
    struct weir_list closes;
    struct weir_list backoff; /* to be tried when a descriptor was closed or backoff_until_ns came */
    uint64_t backoff_until_ns;
    struct weir_pool *pool; /* NULL until the first file operation */
    struct weir_pool_home home;
    struct weir_list spare_jobs;
    uint64_t seed;
    struct epoll_event events[WEIR_EPOLL_EVENTS_MAX];
    uint8_t scratch[WEIR_EPOLL_SCRATCH_BYTES];
};

/* Move an op to the end of one of the lists, from wherever it is. */
static inline void weir_epoll_put(struct weir_list *list, struct weir_io_op *op)
{
    weir_list_remove(&op->node);
    weir_list_push_back(list, &op->node);
}

/*
 * io_epoll.c: put the descriptor into epoll if it is not; call the last `done` of an op (returns 1,
 * to be counted).
 */
int weir_epoll_add(struct weir_epoll *epoll, int fd);
int weir_epoll_finish(struct weir_epoll *epoll, struct weir_io_op *op, int result);

/* io_epoll_try.c: attempt a socket op. How many `done` calls that made. */
int weir_epoll_try(struct weir_epoll *epoll, struct weir_io_op *op);

/* io_epoll_file.c: hand a file op to the pool. 0, -ENOMEM. */
int weir_epoll_start_file(struct weir_epoll *epoll, struct weir_io_op *op);

#endif
