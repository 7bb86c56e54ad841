/*
 * runtime/pool.c - threads for calls that block.
 *
 * One queue, one lock, one condition. A thread is started when a job finds nobody idle and the
 * bound is not reached; it blocks all signals, because they are the host's. Proof:
 * tests/runtime/pool_test.c.
 */
#include "runtime/pool.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/assert.h"

struct weir_pool {
    pthread_mutex_t lock;
    pthread_cond_t work; /* a job was queued, or closing */
    struct weir_list jobs;
    uint32_t queued_count;
    uint32_t idle_count;
    uint32_t thread_count;
    uint32_t threads_max;
    bool closing;
    pthread_t threads[];
};

void weir_pool_home_init(struct weir_pool_home *home, weir_pool_wake_fn wake, void *wake_context)
{
    *home = (struct weir_pool_home){.wake = wake, .wake_context = wake_context};
    pthread_mutex_init(&home->lock, NULL);
    weir_list_init(&home->finished);
}

void weir_pool_home_deinit(struct weir_pool_home *home)
{
    WEIR_ASSERT(home->pending_count == 0);
    pthread_mutex_destroy(&home->lock);
}

uint32_t weir_pool_home_collect(struct weir_pool_home *home)
{
    if (home->pending_count == 0 ||
        weir_load(&home->any, relaxed) == 0) /* the lock orders the rest */
        return 0;
    struct weir_list jobs;
    weir_list_init(&jobs);
    pthread_mutex_lock(&home->lock);
    weir_list_splice_back(&jobs, &home->finished);
    weir_store(&home->any, 0, relaxed);
    pthread_mutex_unlock(&home->lock);
    uint32_t count = 0;
    for (struct weir_list *node; (node = weir_list_pop_front(&jobs)) != NULL; count++) {
        struct weir_pool_job *job = WEIR_CONTAINER(node, struct weir_pool_job, node);
        home->pending_count--;
        job->done(job);
    }
    return count;
}

/* The wake is inside the lock: once the home has collected the last job, nobody touches it. */
static void send_home(struct weir_pool_job *job)
{
    struct weir_pool_home *home = job->home;
    pthread_mutex_lock(&home->lock);
    bool first = weir_list_empty(&home->finished);
    weir_list_push_back(&home->finished, &job->node);
    weir_store(&home->any, 1, relaxed);
    if (first)
        home->wake(home->wake_context);
    pthread_mutex_unlock(&home->lock);
}

void weir_pool_home_expect(struct weir_pool_home *home, struct weir_pool_job *job)
{
    job->home = home;
    home->pending_count++;
}

void weir_pool_perform(struct weir_pool_job *job)
{
    job->run(job);
    send_home(job);
}

static struct weir_pool_job *next_job(struct weir_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->idle_count++;
    while (weir_list_empty(&pool->jobs) && !pool->closing)
        pthread_cond_wait(&pool->work, &pool->lock);
    pool->idle_count--;
    struct weir_list *node = weir_list_pop_front(&pool->jobs);
    if (node)
        pool->queued_count--;
    pthread_mutex_unlock(&pool->lock);
    return node ? WEIR_CONTAINER(node, struct weir_pool_job, node) : NULL;
}

static void *work(void *context)
{
    struct weir_pool *pool = context;
    for (struct weir_pool_job *job; (job = next_job(pool)) != NULL;)
        weir_pool_perform(job);
    return NULL;
}

static int start_thread(struct weir_pool *pool)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* a thread is born with its maker's mask */
    int error = pthread_create(&pool->threads[pool->thread_count], NULL, work, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        pool->thread_count++;
    return -error;
}

int weir_pool_open(uint32_t threads_max, struct weir_pool **pool_out)
{
    WEIR_ASSERT(threads_max >= 1);
    struct weir_pool *pool = calloc(1, sizeof(*pool) + threads_max * sizeof(pool->threads[0]));
    if (!pool)
        return -ENOMEM;
    pool->threads_max = threads_max;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    weir_list_init(&pool->jobs);
    *pool_out = pool;
    return 0;
}

/* Under the lock: somebody will run the job that is about to be queued. */
static int ensure_thread(struct weir_pool *pool)
{
    if (pool->closing)
        return -ESHUTDOWN;
    if (pool->idle_count > pool->queued_count || pool->thread_count == pool->threads_max)
        return 0;
    int error = start_thread(pool);
    return pool->thread_count > 0 ? 0 : error; /* fewer threads than wished is slower, not wrong */
}

int weir_pool_submit(struct weir_pool *pool, struct weir_pool_home *home, struct weir_pool_job *job)
{
    pthread_mutex_lock(&pool->lock);
    int error = ensure_thread(pool);
    if (error == 0) {
        weir_pool_home_expect(home, job);
        weir_list_push_back(&pool->jobs, &job->node);
        pool->queued_count++;
        pthread_cond_signal(&pool->work);
    }
    pthread_mutex_unlock(&pool->lock);
    return error;
}

void weir_pool_close(struct weir_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    WEIR_ASSERT(weir_list_empty(&pool->jobs));
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
