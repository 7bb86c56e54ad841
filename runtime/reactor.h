/*
 * runtime/reactor.h - one reactor: what it owns, and the order of its turn.
 *
 * A turn:  io (completions) -> mail -> buffers home -> timers -> posts and strands -> resumes -> hooks -> flush
 * All that a turn writes to other reactors is shown at its end: one store for each ring, one fence, one wake for each
 * sleeper. When a turn did nothing the reactor spins a little, looks for strands to steal, announces its sleep, looks
 * again, and parks in the io.
 *
 * Everything in struct weir_reactor belongs to its thread, but for what is marked.
 */
#ifndef WEIR_RUNTIME_REACTOR_H
#define WEIR_RUNTIME_REACTOR_H

#include <weir/runtime.h>
#include <weir/timer.h>
#include <weir/topic.h>

#include "base/assert.h"
#include "base/list.h"
#include "ring/mesh.h"
#include "runtime/buffer.h"
#include "runtime/io.h"
#include "runtime/mail.h"
#include "runtime/recorder.h"
#include "sched/strand.h"
#include "sched/wheel.h"

struct weir_topics;   /* runtime/topics.c: handlers, posts and strands classes of one reactor */
struct weir_registry; /* runtime/registry.c: the runtime's topic names */
struct weir_pool;

/* Something that wants to run at the end of each turn in which it was armed: connections with unsent bytes, the broker. When very
 * many are armed at once it is a later turn. */
struct weir_turn_hook {
    struct weir_list node; /* on reactor->hooks or late_hooks when armed */
    void (*fn)(struct weir_reactor *reactor, struct weir_turn_hook *hook);
};

/* Posts of one topic to one reactor, one after the other: what need not be looked up again until the next flush. */
struct weir_burst {
    struct weir_ring *ring; /* slots are reserved here; NULL: there is no burst */
    struct weir_topic topic;
    uint32_t to;
};

enum weir_reactor_state {
    WEIR_REACTOR_NEW,
    WEIR_REACTOR_RUNNING,
    WEIR_REACTOR_DRAINING,
    WEIR_REACTOR_ENDED,
};

struct weir_reactor {
    /* What an emit touches, on one line; struct weir_emit_head for those who compile it in. */
    uint32_t one_count;     /* 0 while settle_asked */
    bool settle_asked;      /* something that leaves may be ready to go */
    struct weir_emit_one *ones; /* by topic slot */
    uint64_t cause_id;      /* the event whose handler runs now; 0: none */
    struct weir_recorder recorder; /* its `next` is the next event's id: {index, number} */

    struct weir_runtime *runtime;
    struct weir_io *io; /* NULL until its thread first runs */
    struct weir_mesh *mesh;
    uint32_t index;
    uint32_t count;
    uint64_t now_ns; /* read once a turn */
    struct weir_burst burst;

    struct weir_topics *topics;
    struct weir_sched *sched;
    struct weir_wheel wheel;
    struct weir_buffers buffers;
    struct weir_list hooks;         /* armed turn hooks */
    struct weir_list late_hooks;    /* those that found no room in the turn in which they were armed */
    struct weir_list connections;   /* runtime/tcp.c */
    struct weir_list listeners;
    struct weir_waiter *waiters;    /* who waits for credit: ring lists by destination, those of posts behind (here: the own queue) */
    uint32_t waiting_count;         /* waiters on all of them */

    struct weir_reactor_counters counters;
    uint64_t spin_ns;               /* what the spin is worth just now */
    uint64_t drain_deadline_ns;
    struct weir_wheel_timer drain_timer; /* only ends a park */
    struct weir_wheel_timer flush_timer; /* runtime/tcp.c: closing connections whose peer does not read */
    uint32_t file_ops;              /* under way */
    uint32_t work_jobs;
    uint32_t last_topic;            /* of the last dispatch, for the stall record */
    struct weir_pool_home *pool_home;
    struct weir_list datagrams;     /* runtime/udp.c */
    enum weir_reactor_state state;
    bool busy_turn;                 /* the turn before this one did something */
    bool quiet;                     /* counted in the runtime's quiet_count */
    bool drain_closing;             /* the stop has come to closing connections */
    bool drained;                   /* counted in the runtime's drained_count */
    int error;
    struct weir_host *host;         /* runtime/host.c; NULL: the host does not poll */
    void *broker;                   /* the room above keeps its own here */

    /* Read by others. */
    weir_atomic_u32 stop_asked __attribute__((aligned(128)));
    weir_atomic_u64 drain_sent;     /* while draining: mail sent, stored before it is shown */
    weir_atomic_u64 drain_received; /* mail received, stored once all that came of it is over */
    weir_atomic_u32 begun;          /* 1: `io` is there (release by its thread; whoever is foreign looks, acquire) */
    weir_atomic_u32 handler_topic;  /* the stall detector: topic slot + 1 of what runs, 0: nothing */
    weir_atomic_u64 turn_since_ns;  /* when this turn began; 0: parked */
};

static_assert(offsetof(struct weir_reactor, one_count) == 0, "promised by weir/topic.h");
static_assert(offsetof(struct weir_reactor, ones) == offsetof(struct weir_emit_head, ones) &&
                  offsetof(struct weir_reactor, cause_id) == offsetof(struct weir_emit_head, cause_id) &&
                  offsetof(struct weir_reactor, recorder.next) == offsetof(struct weir_emit_head, next_id) &&
                  offsetof(struct weir_reactor, recorder.cells) == offsetof(struct weir_emit_head, cells) &&
                  offsetof(struct weir_reactor, recorder.mask) == offsetof(struct weir_emit_head, cell_mask),
              "weir_emit is compiled into programs");

/* runtime/reactor.c */
void weir_reactor_arm_hook(struct weir_reactor *reactor, struct weir_turn_hook *hook);
uint64_t weir_reactor_event_id(struct weir_reactor *reactor);
/* A log line of this reactor; printf form, without the newline. */
__attribute__((format(printf, 3, 4))) void weir_reactor_log(struct weir_reactor *reactor, enum weir_log_level level,
                                                            const char *format, ...);
/* One turn; wait_ns as in weir_io_turn. Things done, or a negative errno no turn can mend. */
int weir_reactor_turn(struct weir_reactor *reactor, uint64_t wait_ns);
/* Nothing to do: steal, spin, park for up to timeout_ns. Things done. */
int weir_reactor_idle(struct weir_reactor *reactor, uint64_t timeout_ns);
void weir_reactor_run(struct weir_reactor *reactor); /* until it has ended */

/* runtime/runtime.c: on the reactor's own thread, first and last. */
void weir_reactor_take_mail(struct weir_reactor *reactor); /* not from within a mail's own handler */
void weir_reactor_read_clock(void *context); /* weir_io.on_woke, of a reactor */
int weir_reactor_begin(struct weir_reactor *reactor);
void weir_reactor_end(struct weir_reactor *reactor);

#endif
