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

/* Something that wants to run at the end of each turn in which it was armed: connections with unsent bytes, the broker. */
struct weir_turn_hook {
    struct weir_list node; /* on reactor->hooks when armed */
    void (*fn)(struct weir_reactor *reactor, struct weir_turn_hook *hook);
};

enum weir_reactor_state {
    WEIR_REACTOR_NEW,
    WEIR_REACTOR_RUNNING,
    WEIR_REACTOR_DRAINING,
    WEIR_REACTOR_ENDED,
};

struct weir_reactor {
    struct weir_runtime *runtime;
    struct weir_io *io; /* NULL until its thread first runs */
    struct weir_mesh *mesh;
    uint32_t index;
    uint32_t count;
    uint64_t now_ns; /* read once a turn */

    uint64_t event_id_next; /* {index, number} */
    uint64_t cause_id;      /* the event whose handler runs now; 0: none */

    struct weir_topics *topics;
    struct weir_sched sched;
    struct weir_wheel wheel;
    struct weir_buffers buffers;
    struct weir_recorder recorder;
    struct weir_list hooks;         /* armed turn hooks */
    struct weir_list connections;   /* runtime/tcp.c */
    struct weir_list listeners;
    struct weir_waiter **waiters;   /* one FIFO for each destination: first, and where the next goes */
    struct weir_waiter ***waiters_end;
    uint32_t waiting_count;         /* destinations somebody waits for */

    struct weir_reactor_counters counters;
    uint64_t spin_ns;               /* what the spin is worth just now */
    uint64_t drain_deadline_ns;
    enum weir_reactor_state state;
    int error;
    void *broker;                   /* the room above keeps its own here */

    /* Read by others. */
    weir_atomic_u32 stop_asked __attribute__((aligned(128)));
    weir_atomic_u32 handler_topic;  /* the stall detector: topic slot + 1 of what runs, 0: nothing */
    weir_atomic_u64 handler_since_ns;
};

/* runtime/reactor.c */
void weir_reactor_arm_hook(struct weir_reactor *reactor, struct weir_turn_hook *hook);
uint64_t weir_reactor_event_id(struct weir_reactor *reactor);
/* A log line of this reactor; printf form, without the newline. */
__attribute__((format(printf, 3, 4))) void weir_reactor_log(struct weir_reactor *reactor, enum weir_log_level level,
                                                            const char *format, ...);
/* One turn; wait_ns as in weir_io_turn. Things done. */
int weir_reactor_turn(struct weir_reactor *reactor, uint64_t wait_ns);

#endif
