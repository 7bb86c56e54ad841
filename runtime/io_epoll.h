/*
 * runtime/io_epoll.h - private to io_epoll.c: the state of one reactor's epoll.
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
    uint32_t generation;    /* counts closes: an event of an earlier descriptor of this number is dropped */
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
    struct weir_list due;     /* to be tried at the start of the next turn */
    struct weir_list ended;   /* op->slot is the result to be told */
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

#endif
