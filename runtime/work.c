/*
 * runtime/work.c - blocking work: run on the pool, ended on its reactor.
 *
 * The pool is made by the first call for work, under the runtime's start lock, and shared by all reactors. An io that
 * cannot be beside threads (the simulator) runs the work itself, later.
 * Proof: tests/runtime/work_test.c, tests/runtime/disk_sim.c.
 */
#include "runtime/work.h"

#include <errno.h>
#include <stdlib.h>

#include <weir/work.h>

#include "runtime/pool.h"
#include "runtime/runtime.h"

enum { WORK_THREADS_MAX = 4 };

struct work_job {
    struct weir_pool_job job;
    struct weir_reactor *reactor;
    void (*run)(void *context);
    weir_done_fn done;
    void *context;
};

static void wake(void *context)
{
    struct weir_reactor *reactor = context;
    weir_io_wake_foreign(reactor->io);
}

int weir_work_begin(struct weir_reactor *reactor)
{
    reactor->pool_home = calloc(1, sizeof *reactor->pool_home);
    if (!reactor->pool_home)
        return -ENOMEM;
    weir_pool_home_init(reactor->pool_home, wake, reactor);
    return 0;
}

uint32_t weir_work_collect(struct weir_reactor *reactor)
{
    return reactor->work_jobs > 0 ? weir_pool_home_collect(reactor->pool_home) : 0;
}

void weir_work_close(struct weir_runtime *runtime)
{
    if (runtime->pool)
        weir_pool_close(runtime->pool);
    runtime->pool = NULL;
    for (uint32_t i = 0; i < runtime->reactor_count; i++) {
        struct weir_pool_home *home = runtime->reactors[i]->pool_home;
        if (!home)
            continue;
        weir_pool_home_collect(home);
        weir_pool_home_deinit(home);
        free(home);
        runtime->reactors[i]->pool_home = NULL;
    }
}

static void run_job(struct weir_pool_job *job)
{
    struct work_job *work = WEIR_CONTAINER(job, struct work_job, job);
    work->run(work->context);
}

static void end_job(struct weir_pool_job *job)
{
    struct work_job *work = WEIR_CONTAINER(job, struct work_job, job);
    work->reactor->work_jobs--;
    if (work->done)
        work->done(work->reactor, work->context);
    free(work);
}

static int open_pool(struct weir_runtime *runtime, struct weir_pool **pool_out)
{
    int result = 0;
    pthread_mutex_lock(&runtime->start_lock);
    if (!runtime->pool)
        result = weir_pool_open(WORK_THREADS_MAX, &runtime->pool);
    *pool_out = runtime->pool;
    pthread_mutex_unlock(&runtime->start_lock);
    return result;
}

static void perform_later(void *context)
{
    weir_pool_perform(&((struct work_job *)context)->job);
}

static int submit(struct weir_reactor *reactor, struct work_job *work)
{
    if (reactor->io->table->later) {
        int result = reactor->io->table->later(reactor->io, perform_later, work);
        if (result == 0)
            weir_pool_home_expect(reactor->pool_home, &work->job);
        return result;
    }
    struct weir_pool *pool;
    int result = open_pool(reactor->runtime, &pool);
    return result < 0 ? result : weir_pool_submit(pool, reactor->pool_home, &work->job);
}

int weir_work(struct weir_reactor *reactor, void (*run)(void *context), weir_done_fn done, void *context)
{
    struct work_job *work = calloc(1, sizeof *work);
    if (!work)
        return -ENOMEM;
    *work = (struct work_job){{.run = run_job, .done = end_job}, reactor, run, done, context};
    int result = submit(reactor, work);
    if (result < 0)
        free(work);
    else
        reactor->work_jobs++;
    return result;
}
