/*
 * weir/runtime.h - the runtime and its reactors.
 *
 * A runtime is a fixed number of reactors. Each owns its io, memory, timers, topics and connections and
 * shares nothing; reactors exchange events over lock-free rings. A reactor runs on one thread for its whole
 * life: one that weir_runtime_start made, or the caller's (weir_reactor_run_once), never both.
 *
 * Unless a call says otherwise, what takes a `reactor` is called on that reactor's thread: from a handler,
 * from on_start, or, before weir_runtime_start, from the thread that opened the runtime. Sockets, files, timers and work
 * need what a reactor gets when it begins: they are for on_start and later.
 *
 * The library never exits, prints, reads the environment, installs signal handlers or replaces malloc.
 */
#ifndef WEIR_RUNTIME_H
#define WEIR_RUNTIME_H

#include <weir/base.h>

WEIR_BEGIN

enum weir_io_kind_option {
    WEIR_IO_AUTO,  /* io_uring where the kernel allows it, else epoll */
    WEIR_IO_URING,
    WEIR_IO_EPOLL,
};

enum weir_log_level { WEIR_LOG_DEBUG, WEIR_LOG_INFO, WEIR_LOG_WARN, WEIR_LOG_ERROR };

/* One line without its end, in logfmt (key=value ...). Any reactor's thread, several at once. */
typedef void (*weir_log_fn)(void *context, enum weir_log_level level, const char *line);
/* Runs once on each reactor's own thread before its first turn; reactor 0's has returned before another's begins. A
 * negative errno ends the start. */
typedef int (*weir_start_fn)(struct weir_reactor *reactor, void *context);
/* Runs once on each reactor's own thread after it has drained, before its memory goes; also where on_start failed. */
typedef void (*weir_stop_fn)(struct weir_reactor *reactor, void *context);

struct weir_runtime_options {
    size_t size;                  /* sizeof(struct weir_runtime_options); see WEIR_OPTIONS */
    uint32_t reactor_count;       /* 1 .. 128; 0: one for each CPU this process may use */
    uint32_t io;                  /* enum weir_io_kind_option */
    uint32_t io_level;            /* 0: all the kernel has; 601: only what Linux 6.1 had */
    uint64_t spin_ns_max;         /* longest spin before parking; 0: 50 us, but none when reactors outnumber CPUs */
    bool no_spin;                 /* park at once */
    bool busy_poll;               /* never park: for machines that are weir's alone */
    bool no_steal;                /* handlers marked stealable stay home */
    bool pin_cpus;                /* reactor i on the i-th allowed CPU */
    uint32_t topics_max;          /* names interned at once, 0: 65,536 */
    uint32_t recorder_events;     /* flight recorder of each reactor, power of two, 0: 16,384 (32 bytes each) */
    uint64_t stall_budget_ns;     /* a handler that runs longer is named in the log and counted; 0: 10 ms */
    uint64_t memory_bytes_max;    /* buffers of all reactors together; 0: 1 GiB */
    uint64_t drain_timeout_ns;    /* how long a graceful stop waits for peers; 0: 5 s */
    weir_log_fn log;              /* NULL: silent */
    void *log_context;
    weir_start_fn on_start;
    weir_stop_fn on_stop;
    void *context;                /* for on_start and on_stop */
};

/*
 * Make a runtime; no thread runs yet. `options` may be NULL and is copied.
 * Returns 0; -EINVAL (an option out of range), -ENOMEM.
 */
WEIR_API WEIR_MUST_CHECK int weir_runtime_open(const struct weir_runtime_options *options,
                                               struct weir_runtime **runtime_out);

/*
 * Start a thread for each reactor and wait until every on_start has returned. When one fails, all are
 * stopped and its error is returned. Also: -EAGAIN (no thread), -ENOSYS or -EPERM (io_uring was asked for and
 * is refused), -EMFILE. Call from the thread that opened the runtime.
 */
WEIR_API WEIR_MUST_CHECK int weir_runtime_start(struct weir_runtime *runtime);

/*
 * Ask for a graceful stop: listeners close, what was accepted is handled and flushed, then reactors end.
 * Returns at once. Any thread, also from a handler or a signal handler; twice is once.
 */
WEIR_API void weir_runtime_stop(struct weir_runtime *runtime);

/* Wait until every reactor has ended. The opener's thread. Returns 0, or the first reactor's failure. */
WEIR_API int weir_runtime_wait(struct weir_runtime *runtime);

/* Stop, wait, and free everything. `runtime` may be NULL. The opener's thread. */
WEIR_API void weir_runtime_close(struct weir_runtime *runtime);

WEIR_API uint32_t weir_runtime_reactor_count(const struct weir_runtime *runtime);           /* any thread */
WEIR_API struct weir_reactor *weir_runtime_reactor(struct weir_runtime *runtime, uint32_t index); /* any thread */

/*
 * One turn of a reactor on the caller's thread: take what has come, run what is due, send what was
 * written. Waits up to timeout_ns for something to do (0: not at all; UINT64_MAX: for ever). The first call
 * makes that thread the reactor's and runs on_start.
 * Returns things done (0: the time is up, or it was woken for nothing), -ESHUTDOWN after a stop has drained, or another negative errno.
 */
WEIR_API int weir_reactor_run_once(struct weir_reactor *reactor, uint64_t timeout_ns);

/* An fd for the host's own poll loop: readable when weir_reactor_run_once(reactor, 0) has work, timers included. Owned by
 * the reactor. Whoever calls weir outside a turn runs one before polling. A negative errno: -ESHUTDOWN (it has ended),
 * -ENOMEM, -EMFILE, or what begins a reactor gives. */
WEIR_API int weir_reactor_fd(struct weir_reactor *reactor);

WEIR_API uint32_t weir_reactor_index(const struct weir_reactor *reactor);                        /* any thread */
WEIR_API struct weir_runtime *weir_reactor_runtime(const struct weir_reactor *reactor);          /* any thread */
WEIR_API uint64_t weir_reactor_now_ns(const struct weir_reactor *reactor); /* CLOCK_MONOTONIC as of this turn */
WEIR_API const char *weir_reactor_io_name(const struct weir_reactor *reactor); /* "io_uring" or "epoll" */

/* What a reactor has done since it started. Its own thread; for another's, ask there by a post. */
struct weir_reactor_counters {
    uint64_t turns, parks, spins_hit, wakes_sent;
    uint64_t events_emitted, events_posted, events_dispatched, events_dropped;
    uint64_t mail_sent, mail_received, mail_full;
    uint64_t strands_run, strands_stolen, strands_lent;
    uint64_t connections_opened, connections_closed, bytes_received, bytes_sent;
    uint64_t buffers_bytes, stalls, timers_fired, io_enters, recv_starved;
};
WEIR_API void weir_reactor_counters_read(const struct weir_reactor *reactor, struct weir_reactor_counters *counters_out);

WEIR_END

#endif
