/*
 * runtime/pool.h - a few threads for calls that block, so that no reactor does.
 *
 *     home's thread                     a pool thread
 *     submit: job -> pool queue  -----> job->run(job)
 *     collect: job->done(job)    <----- job -> home's list, home->wake when the list was empty
 *
 * A job is the caller's memory and the pool's from submit until `done` is called, which happens on
 * the home's thread within weir_pool_home_collect. Cold by nature: a mutex on either side is
 * cheaper than the calls it carries.
 */
#ifndef WEIR_RUNTIME_POOL_H
#define WEIR_RUNTIME_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/list.h"

struct weir_pool;
struct weir_pool_job;

typedef void (*weir_pool_fn)(struct weir_pool_job *job);
typedef void (*weir_pool_wake_fn)(void *context);

struct weir_pool_job {
    weir_pool_fn run;  /* a pool thread; may block */
    weir_pool_fn done; /* the home's thread; the job is the caller's again */
    /* The pool's. */
    struct weir_pool_home *home;
    struct weir_list node;
};

/* Where finished jobs go: one for each reactor. */
struct weir_pool_home {
    pthread_mutex_t lock;
    struct weir_list finished; /* under lock */
    weir_atomic_u32 any;       /* some are finished: lets collect look without the lock */
    uint32_t pending_count;    /* submitted and not collected; the home's thread alone */
    weir_pool_wake_fn wake;    /* called on a pool thread */
    void *wake_context;
};

/* `wake` may be called until every job submitted for this home has been collected. */
void weir_pool_home_init(struct weir_pool_home *home, weir_pool_wake_fn wake, void *wake_context);
void weir_pool_home_deinit(struct weir_pool_home *home);

/* Call `done` of what has finished. The home's thread. How many. */
uint32_t weir_pool_home_collect(struct weir_pool_home *home);

/* threads_max >= 1. Threads start when there is work for them. 0, -ENOMEM. */
int weir_pool_open(uint32_t threads_max, struct weir_pool **pool_out);

/*
 * Any thread that owns `home`. 0; -EAGAIN when not even one thread could be started (the job is not
 * taken);
 * -ESHUTDOWN after weir_pool_close began.
 */
int weir_pool_submit(struct weir_pool *pool, struct weir_pool_home *home, struct weir_pool_job *job);

/* Without a pool: `job` is promised to `home` now, and run later by whoever calls perform, on any thread. */
void weir_pool_home_expect(struct weir_pool_home *home, struct weir_pool_job *job);
void weir_pool_perform(struct weir_pool_job *job);

/* Runs what was submitted, ends the threads, frees the pool. Homes still have to collect. */
void weir_pool_close(struct weir_pool *pool);

#endif
