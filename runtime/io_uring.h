/*
 * runtime/io_uring.h - private to the io_uring_*.c files: the ring of one reactor.
 */
#ifndef WEIR_RUNTIME_IO_URING_H
#define WEIR_RUNTIME_IO_URING_H

#include "runtime/io.h"
#include "runtime/io_uring_compat.h"

enum {
    WEIR_URING_SQ_ENTRIES = 1024,
    WEIR_URING_CQ_ENTRIES = 8192, /* every receive may answer more than once before it is looked at */
    WEIR_URING_REAP_MAX = 512,    /* completions of one turn: the reactor has other work too */
    WEIR_URING_WORKERS_MAX = 4,   /* kernel threads for file operations, of each of two classes */
};

/* Where an armed op is. */
enum weir_uring_place {
    WEIR_URING_KERNEL, /* its SQE is made; the last CQE has not been seen */
    WEIR_URING_HERE,   /* its last CQE is being handled */
    WEIR_URING_LISTED, /* op->node is on `unqueued`, `starved` or `backoff` */
    WEIR_URING_ENDED,  /* op->node is on `ended` */
};

struct weir_uring_slot {
    struct weir_io_op *op;
    uint32_t generation; /* 24 bits of it are in user_data */
    union {
        struct {
            uint16_t place;
            uint16_t hungry; /* was armed again after it starved, and has got nothing since */
        };
        uint32_t next_free;
    };
};

/* A ring of provided buffers. They are lent for one `done` and go back right after it. */
struct weir_uring_buffers {
    struct io_uring_buf_ring *ring;
    uint8_t *bytes;
    uint32_t *used_bytes; /* of each buffer; incremental rings only */
    uint32_t count;       /* power of two */
    uint32_t buffer_bytes;
    uint16_t group;
    uint16_t returned; /* entries written and not yet shown */
    bool incremental;
};

struct weir_uring {
    struct weir_io io;
    struct io_uring ring;
    uint32_t enter_flags; /* on every enter */
    uint32_t wait_flags;  /* on every enter that waits */
    bool taskrun_flag;
    bool msg_ring;
    bool dsync_refused; /* by some file: durable writes are a write and a sync */
    bool restless; /* some list below may be non-empty: the turn must look, and not wait long */
    bool in_turn;
    bool polled; /* somebody watches the pollable fd: nothing may stay unsubmitted */
    int poll_fd; /* that fd, when polled; see pollable */
    bool descriptors_freed;
    int eventfd;

    struct weir_uring_slot *slots;
    uint32_t slot_count;
    uint32_t slot_free;
    uint32_t live_count;

    struct msghdr *messages; /* of each place in the submission ring; the kernel has read it when it has taken the SQE */
    struct msghdr any_sender; /* of every RECVFROM */

    struct weir_uring_buffers streams;
    struct weir_uring_buffers datagrams; /* laid out when the first RECVFROM is armed */

    struct weir_list unqueued; /* no SQE could be had */
    struct weir_list famished; /* starved and, armed again, found no buffer: before all `starved` */
    struct weir_list starved;  /* RECV, RECVFROM that found no buffer; first come, first served */
    struct weir_list backoff;  /* ACCEPT that found no descriptor */
    struct weir_list cancels;  /* in the kernel, to be cancelled, no SQE could be had */
    struct weir_list ended;    /* cancelled while on a list: -ECANCELED in the next turn */
    uint64_t backoff_until_ns;
    uint64_t seed;
};

#define WEIR_URING_NO_SLOT UINT32_MAX

/* What a CQE is about: the last byte of its user_data. */
enum weir_uring_tag {
    WEIR_URING_TAG_OP,
    WEIR_URING_TAG_EVENTFD,
    WEIR_URING_TAG_WAKE,      /* a peer's, in our ring */
    WEIR_URING_TAG_WAKE_SENT, /* ours, refused by a peer's ring; the slot is the peer's eventfd */
    WEIR_URING_TAG_CANCEL,
};

static inline uint64_t weir_uring_tagged(uint32_t slot, uint32_t generation, enum weir_uring_tag tag)
{
    return (uint64_t)slot << 32 | (uint64_t)(generation & 0xffffff) << 8 | (uint64_t)tag;
}

/*
 * How far a durable write is: in op->own. The first try asks for RWF_DSYNC; where that is refused it is a plain write and,
 * behind it, an fdatasync, while own keeps what the write returned.
 */
enum weir_uring_durable { WEIR_URING_DSYNC, WEIR_URING_PLAIN, WEIR_URING_FDATASYNC };
enum { WEIR_URING_DURABLE_BITS = 2 };

static inline void weir_uring_set_durable(struct weir_io_op *op, enum weir_uring_durable stage, int written)
{
    op->own = (void *)((uintptr_t)(uint32_t)written << WEIR_URING_DURABLE_BITS | (uintptr_t)stage);
}

static inline enum weir_uring_durable weir_uring_durable(const struct weir_io_op *op)
{
    return (enum weir_uring_durable)((uintptr_t)op->own & ((1u << WEIR_URING_DURABLE_BITS) - 1));
}

/* io_uring_prepare.c */
void weir_uring_prepare(struct weir_uring *uring, struct io_uring_sqe *sqe, struct weir_io_op *op);

/* io_uring_complete.c: what one CQE says. How many `done` calls it made. */
int weir_uring_complete(struct weir_uring *uring, uint64_t tagged, int result, uint32_t flags);

/* io_uring.c: give an op with a slot to the kernel; put it on a list; call its last `done`. */
void weir_uring_queue(struct weir_uring *uring, struct weir_io_op *op);
void weir_uring_list(struct weir_uring *uring, struct weir_list *list, struct weir_io_op *op,
                     enum weir_uring_place place);
void weir_uring_finish(struct weir_uring *uring, struct weir_io_op *op, int result);
void weir_uring_queue_eventfd(struct weir_uring *uring);

/* io_uring_setup.c */
int weir_uring_set_up(struct weir_uring *uring, const struct weir_io_options *options,
                      char *why_out, size_t why_bytes);
void weir_uring_tear_down(struct weir_uring *uring);
int weir_uring_buffers_init(struct weir_uring *uring, struct weir_uring_buffers *buffers,
                            uint16_t group, uint32_t count, uint32_t buffer_bytes, bool incremental);
void weir_uring_buffers_deinit(struct weir_uring *uring, struct weir_uring_buffers *buffers);

/* Entries from the ring's end; shown to the kernel together. */
static inline void weir_uring_buffer_return(struct weir_uring_buffers *buffers, uint32_t index)
{
    uint32_t mask = buffers->count - 1;
    struct io_uring_buf *entry = &buffers->ring
                                      ->bufs[(buffers->ring->tail + buffers->returned) & mask];
    entry->addr = (uintptr_t)(buffers->bytes + (size_t)index * buffers->buffer_bytes);
    entry->len = buffers->buffer_bytes;
    entry->bid = (uint16_t)index;
    buffers->returned++;
}

static inline void weir_uring_buffers_show(struct weir_uring_buffers *buffers)
{
    if (buffers->returned == 0)
        return;
    io_uring_buf_ring_advance(buffers->ring, buffers->returned);
    buffers->returned = 0;
}

#endif
