/*
 * runtime/outq.h - what a connection still has to send: runs of bytes in counted buffers, in order.
 *
 * A run that begins where the last one ended, in the same buffer, only makes it longer. So when many connections are given the
 * same bytes (a fan-out), one encoding serves all, and each costs an addition. Small writes are copied into the queue's own
 * tail buffer and run together likewise.
 *
 * Bounded by what its owner lets in; the memory is the reactor's buffers, returned when the queue runs empty.
 */
#ifndef WEIR_RUNTIME_OUTQ_H
#define WEIR_RUNTIME_OUTQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct weir_buffer;
struct weir_reactor;

struct weir_run_of_bytes {
    const uint8_t *bytes;
    size_t byte_count;
    struct weir_buffer *buffer; /* held once for this run */
};

struct weir_outq {
    struct weir_buffer *memory; /* where the runs lie; NULL: none yet */
    uint32_t first;
    uint32_t count;
    uint32_t room;
    uint32_t tail_used; /* bytes taken of `tail` */
    struct weir_buffer *tail; /* copies go here; held once */
    size_t byte_count;  /* unsent */
};

/* All: 0 or -ENOMEM, and then nothing was queued. */
int weir_outq_copy(struct weir_reactor *reactor, struct weir_outq *outq, const void *bytes, size_t byte_count);
/* `bytes` lies in `buffer`, which this reactor owns; a reference of its own is taken. */
int weir_outq_share(struct weir_reactor *reactor, struct weir_outq *outq, struct weir_buffer *buffer, const uint8_t *bytes,
                    size_t byte_count);
/* As share, but takes over one reference that the caller has; `buffer` may be another reactor's. On failure it stays the caller's. */
int weir_outq_give(struct weir_reactor *reactor, struct weir_outq *outq, struct weir_buffer *buffer, const uint8_t *bytes,
                   size_t byte_count);
/* Room for `byte_count` (at most 16 KiB) to be written in place, then committed; NULL: no memory. */
uint8_t *weir_outq_reserve(struct weir_reactor *reactor, struct weir_outq *outq, size_t byte_count);
int weir_outq_commit(struct weir_reactor *reactor, struct weir_outq *outq, size_t byte_count);

/* The first runs as an iovec array; how many. They stay where they are until weir_outq_sent. */
uint32_t weir_outq_gather(const struct weir_outq *outq, struct iovec *iov, uint32_t iov_count_max);
/* The first `byte_count` bytes are out. */
void weir_outq_sent(struct weir_reactor *reactor, struct weir_outq *outq, size_t byte_count);
void weir_outq_clear(struct weir_reactor *reactor, struct weir_outq *outq);

#endif
