/*
 * runtime/sim_world.h - the simulated world from inside: clock, chance, events, hosts, descriptors, operations.
 *
 * Objects that an event may still name (ios, streams, sockets) are freed with the world and not before, so no event
 * has to be hunted down when one of them closes.
 */
#ifndef WEIR_RUNTIME_SIM_WORLD_H
#define WEIR_RUNTIME_SIM_WORLD_H

#include "base/assert.h"
#include "base/list.h"
#include "runtime/disk.h"
#include "runtime/io_sim.h"

struct weir_sim_random {
    uint64_t words[4];
};

void weir_sim_random_init(struct weir_sim_random *random, uint64_t seed);
uint64_t weir_sim_random_next(struct weir_sim_random *random);

/* Something that will happen. Freed after it fired. */
struct weir_sim_event;
typedef void (*weir_sim_event_fn)(struct weir_sim *sim, void *context, uint64_t value);
struct weir_sim_event {
    uint64_t at_ns;
    uint64_t number;        /* of two at one time the older goes first */
    weir_sim_event_fn fire; /* NULL: called off */
    void *context;
    uint64_t value;
};

struct weir_sim_disk;

struct weir_sim_host {
    uint32_t index;
    struct weir_sim_disk *disk;
};

enum weir_sim_fd_kind {
    WEIR_SIM_FD_FREE,
    WEIR_SIM_FD_STREAM,
    WEIR_SIM_FD_LISTENER,
    WEIR_SIM_FD_DATAGRAM,
    WEIR_SIM_FD_FILE,
};

struct weir_sim_fd {
    enum weir_sim_fd_kind kind;
    void *object;
    uint32_t armed_count; /* operations that were submitted and are not over */
};

struct weir_sim_io {
    struct weir_io io; /* first */
    struct weir_disk calls; /* runtime/sim_disk_calls.c, on `disk` */
    struct weir_list node;
    struct weir_sim *sim;
    struct weir_sim_host *host;
    struct weir_sim_disk *disk; /* the host's, or of a ghost the one before the crash */
    uint32_t index;
    struct weir_sim_random random;
    struct weir_list started; /* operations not yet submitted */
    struct weir_list waiting;
    struct weir_list ready; /* may have something for `done` */
    uint32_t ready_count;
    bool woken;
    bool turning;
    bool ghost;
    bool closed;
};

/* What the simulator knows about an armed operation. Found from it through message.msg_name. */
struct weir_sim_op {
    struct weir_list node; /* started, waiting or ready of its io */
    struct weir_io_op *op;
    struct weir_sim_io *io;
    struct weir_sim_fd *fd;
    struct weir_sim_event *event; /* its end under way; NULL: none */
    uint64_t mark;                /* SYNC: changes up to here */
    uint64_t bytes_hash;          /* SEND, SENDTO, WRITE: of what was handed over */
    int result;
    bool finished; /* `result` is to be handed over, last */
    bool cut;      /* the crash is now: a durable write is not */
    bool ready;
};

/* The tail of what happened, for dumps. */
struct weir_sim_note {
    uint64_t at_ns;
    uint64_t step;
    const char *what;
    uint32_t io;
    int fd;
    int64_t result;
    bool more;
};

enum { WEIR_SIM_NOTES = 512 };

struct weir_sim_scheduler; /* runtime/sim_fiber.c */

struct weir_sim {
    uint64_t seed;
    struct weir_sim_faults faults;
    uint64_t now_ns;
    uint64_t hash;
    uint64_t steps;
    struct weir_sim_random random;
    struct weir_sim_scheduler *scheduler;

    struct weir_sim_event **events; /* binary heap */
    uint32_t event_count;
    uint32_t event_room;
    uint64_t event_number;

    struct weir_sim_host hosts[WEIR_SIM_HOSTS_MAX];
    uint32_t host_count;

    struct weir_sim_fd **fds; /* fd - WEIR_SIM_FD_MIN; entries do not move */
    uint32_t fd_count;
    uint16_t port_next;
    uint32_t io_count;
    struct weir_list ios;
    struct weir_list streams;
    struct weir_list listeners;
    struct weir_list datagrams; /* sockets */
    struct weir_list packets;   /* datagrams under way or queued */

    struct weir_sim_note notes[WEIR_SIM_NOTES];
    uint64_t note_count;
};

static inline struct weir_sim_io *weir_sim_io(struct weir_io *io)
{
    return (struct weir_sim_io *)(void *)io;
}

/* ---- sim_world.c ---- */
void *weir_sim_alloc(
    size_t byte_count); /* zeroed; asserts that there is memory: a test has no use for less */
struct weir_sim_event *weir_sim_at(struct weir_sim *sim, uint64_t at_ns, weir_sim_event_fn fire,
                                   void *context, uint64_t value);
uint64_t weir_sim_next_event_ns(const struct weir_sim *sim); /* UINT64_MAX: none */
void weir_sim_fire_due(struct weir_sim *sim);
void weir_sim_pass(struct weir_sim *sim, uint64_t ns); /* time goes on, and what falls due happens */
uint64_t weir_sim_between(struct weir_sim *sim, uint64_t low, uint64_t high);
uint64_t weir_sim_latency(struct weir_sim *sim);
void weir_sim_mix(struct weir_sim *sim, uint64_t value);
void weir_sim_note(struct weir_sim *sim, const struct weir_sim_io *io, const char *what, int fd,
                   int64_t result, bool more);
int weir_sim_fd_take(struct weir_sim *sim, enum weir_sim_fd_kind kind, void *object);
struct weir_sim_fd *weir_sim_fd_find(struct weir_sim *sim, int fd); /* NULL: not open */
void weir_sim_fd_free(struct weir_sim *sim, int fd);

/* ---- io_sim.c ---- */
/* Look at this operation in the io's next turn. */
void weir_sim_op_ready(struct weir_sim_op *op);
/* An event: the wait that op->event was is over. */
void weir_sim_op_again(struct weir_sim *sim, void *op, uint64_t value);
/* Its result is known; last. */
void weir_sim_op_finish(struct weir_sim_op *op, int result);
uint64_t weir_sim_iov_bytes(const struct iovec *iov, uint32_t iov_count);
/* Copy `byte_count` bytes, `skip` bytes into the iov, out of or into it. */
void weir_sim_iov_read(const struct iovec *iov, uint32_t iov_count, uint64_t skip, void *bytes,
                       uint64_t byte_count);
void weir_sim_iov_write(const struct iovec *iov, uint32_t iov_count, const void *bytes,
                        uint64_t byte_count);

/* Call `done` with bytes or an fd and more == true; the operation may be cancelled in it, but is not over. */
void weir_sim_op_hand(struct weir_sim_op *op, int result, const struct weir_io_data *data);

/* ---- sim_fiber.c ---- */
void weir_sim_fibers_close(struct weir_sim *sim);
void weir_sim_fibers_dump(struct weir_sim *sim, int fd);
bool weir_sim_on_fiber(const struct weir_sim *sim);
/* Give the thread back; return when chosen again, but not before `io` has something, or deadline_ns. NULL: `io` is
 * not waited for, only deadline_ns. */
void weir_sim_fiber_wait(struct weir_sim *sim, struct weir_sim_io *io, uint64_t deadline_ns);

#endif
