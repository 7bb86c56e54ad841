/*
 * runtime/runtime.h - the runtime from inside: what its reactors share, all of it cold or read-only after start.
 */
#ifndef WEIR_RUNTIME_RUNTIME_H
#define WEIR_RUNTIME_RUNTIME_H

#include <pthread.h>

#include "runtime/reactor.h"

struct weir_lanes;

/* How a reactor gets its io: production takes weir_io_open, tests the simulator. */
typedef int (*weir_io_open_fn)(void *context, struct weir_reactor *reactor, const struct weir_io_options *options,
                               struct weir_io **io_out, char *why_out, size_t why_bytes);

struct weir_runtime {
    struct weir_runtime_options options; /* defaults filled in */
    uint32_t reactor_count;
    uint32_t cpu_count; /* this process may use: affinity and cgroup quota */
    struct weir_reactor **reactors;
    pthread_t *threads;
    uint32_t threads_running;
    bool started;
    pthread_mutex_t start_lock;    /* only while starting and ending */
    pthread_cond_t start_changed;
    uint32_t through_count;        /* reactors through on_start, under the lock */
    bool start_failed;             /* some on_start failed, under the lock */
    uint32_t ended_count;          /* threads whose reactor has ended, under the lock */
    bool closing;                  /* nobody will wake anybody any more: close your io, under the lock */
    struct weir_mesh *mesh;
    struct weir_registry *registry;
    struct weir_sched_hub *hub;
    struct weir_pool *pool;
    struct weir_lanes *lanes;
    weir_mail_fn mail_handlers[WEIR_MAIL_TYPES]; /* written before start */
    weir_io_open_fn io_open;
    void *io_open_context;
    weir_atomic_u32 running_count; /* reactors through begin */
    weir_atomic_u32 quiet_count;   /* of those, the ones that have finished what was accepted */
    weir_atomic_u32 all_quiet;     /* 1: nothing was under way between them then */
    weir_atomic_u32 drained_count; /* of those, the ones with nothing left */
    pthread_t watchdog_thread;
    bool watchdog_runs;
    weir_atomic_u32 watchdog_state; /* a futex, runtime/watchdog.c */
};

/* Before start: use another io (the simulator). */
void weir_runtime_use_io(struct weir_runtime *runtime, weir_io_open_fn io_open, void *context);

#endif
