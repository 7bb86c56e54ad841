/*
 * tests/runtime/pool_test.c - the pool: jobs run elsewhere, end at home, each once; few threads;
 * nothing lost at close.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/pool.h"

struct job {
    struct weir_pool_job job;
    pthread_t ran_on;
    pthread_t done_on;
    uint32_t runs;
    uint32_t dones;
    sigset_t mask;
    int gate; /* when >= 0, run waits until it is readable */
    weir_atomic_u32 *running;
    weir_atomic_u32 *running_most;
};

static void run_job(struct weir_pool_job *pool_job)
{
    struct job *job = WEIR_CONTAINER(pool_job, struct job, job);
    job->ran_on = pthread_self();
    job->runs++;
    pthread_sigmask(SIG_SETMASK, NULL, &job->mask);
    if (job->running) {
        uint32_t now = weir_fetch_add(job->running, 1, seq_cst) + 1;
        uint32_t most = weir_load(job->running_most, seq_cst);
        while (now > most && !weir_compare_exchange(job->running_most, &most, now, seq_cst))
            ;
    }
    if (job->gate >= 0) {
        struct pollfd opened = {.fd = job->gate, .events = POLLIN};
        poll(&opened, 1, -1);
    }
    if (job->running)
        weir_fetch_add(job->running, (uint32_t)-1, seq_cst);
}

static void end_job(struct weir_pool_job *pool_job)
{
    struct job *job = WEIR_CONTAINER(pool_job, struct job, job);
    job->done_on = pthread_self();
    job->dones++;
}

static void wake(void *context)
{
    uint64_t one = 1;
    int fd = *(int *)context;
    assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static void collect_all(struct weir_pool_home *home, int fd)
{
    while (home->pending_count > 0) {
        struct pollfd woken = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&woken, 1, 20000), 1); /* a lost wake shows here */
        uint64_t count;
        assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
        weir_pool_home_collect(home);
    }
}

struct bench {
    struct weir_pool *pool;
    struct weir_pool_home home;
    int fd;
};

static void set_up(struct bench *bench, uint32_t threads_max)
{
    bench->fd = eventfd(0, EFD_CLOEXEC);
    assert_true(bench->fd >= 0);
    weir_pool_home_init(&bench->home, wake, &bench->fd);
    assert_int_equal(weir_pool_open(threads_max, &bench->pool), 0);
}

static void tear_down(struct bench *bench)
{
    weir_pool_close(bench->pool);
    weir_pool_home_collect(&bench->home);
    weir_pool_home_deinit(&bench->home);
    close(bench->fd);
}

static struct job new_job(int gate)
{
    return (struct job){.job = {.run = run_job, .done = end_job}, .gate = gate};
}

static void a_job_runs_elsewhere_and_ends_at_home(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench, 2);
    struct job job = new_job(-1);
    assert_int_equal(weir_pool_submit(bench.pool, &bench.home, &job.job), 0);
    collect_all(&bench.home, bench.fd);
    assert_int_equal(job.runs, 1);
    assert_int_equal(job.dones, 1);
    assert_false(pthread_equal(job.ran_on, pthread_self()));
    assert_true(pthread_equal(job.done_on, pthread_self()));
    tear_down(&bench);
}

static void signals_are_left_to_the_host(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench, 1);
    sigset_t before;
    sigset_t after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    struct job job = new_job(-1);
    assert_int_equal(weir_pool_submit(bench.pool, &bench.home, &job.job), 0);
    collect_all(&bench.home, bench.fd);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_true(sigismember(&job.mask, SIGTERM) && sigismember(&job.mask, SIGUSR1));
    assert_int_equal(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
    tear_down(&bench);
}

static void never_more_run_at_once_than_there_are_threads(void **state)
{
    enum { JOBS = 2000, THREADS = 3 };
    (void)state;
    struct bench bench;
    set_up(&bench, THREADS);
    weir_atomic_u32 running = 0;
    weir_atomic_u32 running_most = 0;
    struct job *jobs = calloc(JOBS, sizeof(*jobs));
    int gate = eventfd(0, EFD_CLOEXEC);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = new_job(gate);
        jobs[i].running = &running;
        jobs[i].running_most = &running_most;
        assert_int_equal(weir_pool_submit(bench.pool, &bench.home, &jobs[i].job), 0);
    }
    while (weir_load(&running_most, seq_cst) <
           THREADS) /* and that many do: the gate is still shut */
        sched_yield();
    uint64_t one = 1;
    assert_int_equal(write(gate, &one, sizeof(one)), sizeof(one));
    collect_all(&bench.home, bench.fd);
    assert_int_equal(weir_load(&running_most, seq_cst), THREADS);
    for (int i = 0; i < JOBS; i++)
        assert_true(jobs[i].runs == 1 && jobs[i].dones == 1);
    close(gate);
    free(jobs);
    tear_down(&bench);
}

static void close_runs_what_was_submitted(void **state)
{
    enum { JOBS = 100 };
    (void)state;
    struct bench bench;
    set_up(&bench, 1);
    struct job jobs[JOBS];
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = new_job(-1);
        assert_int_equal(weir_pool_submit(bench.pool, &bench.home, &jobs[i].job), 0);
    }
    weir_pool_close(bench.pool);
    for (int i = 0; i < JOBS; i++)
        assert_true(jobs[i].runs == 1 && jobs[i].dones == 0);
    assert_int_equal(weir_pool_home_collect(&bench.home), JOBS);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(jobs[i].dones, 1);
    weir_pool_home_deinit(&bench.home);
    close(bench.fd);
}

/* Several homes over one pool, each job submitted again from its own `done`. */

struct resident {
    struct weir_pool *pool;
    struct weir_pool_home home;
    int fd;
    struct weir_pool_job job;
    uint32_t left;
    uint32_t ran;
};

static void count_run(struct weir_pool_job *job)
{
    WEIR_CONTAINER(job, struct resident, job)->ran++;
}

static void submit_again(struct weir_pool_job *job)
{
    struct resident *resident = WEIR_CONTAINER(job, struct resident, job);
    if (--resident->left > 0)
        assert_int_equal(weir_pool_submit(resident->pool, &resident->home, job), 0);
}

static void *reside(void *context)
{
    struct resident *resident = context;
    resident->job = (struct weir_pool_job){.run = count_run, .done = submit_again};
    if (weir_pool_submit(resident->pool, &resident->home, &resident->job) == 0)
        collect_all(&resident->home, resident->fd);
    return NULL;
}

static void many_homes_share_one_pool(void **state)
{
    enum { HOMES = 4, ROUNDS = 20000 };
    (void)state;
    struct weir_pool *pool;
    assert_int_equal(weir_pool_open(2, &pool), 0);
    struct resident residents[HOMES];
    pthread_t threads[HOMES];
    for (int i = 0; i < HOMES; i++) {
        residents[i] = (struct resident){
            .pool = pool, .left = ROUNDS, .fd = eventfd(0, EFD_CLOEXEC)};
        weir_pool_home_init(&residents[i].home, wake, &residents[i].fd);
        assert_int_equal(pthread_create(&threads[i], NULL, reside, &residents[i]), 0);
    }
    for (int i = 0; i < HOMES; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(residents[i].ran, ROUNDS);
        weir_pool_home_deinit(&residents[i].home);
        close(residents[i].fd);
    }
    weir_pool_close(pool);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_runs_elsewhere_and_ends_at_home),
        cmocka_unit_test(signals_are_left_to_the_host),
        cmocka_unit_test(never_more_run_at_once_than_there_are_threads),
        cmocka_unit_test(close_runs_what_was_submitted),
        cmocka_unit_test(many_homes_share_one_pool),
    };
    return cmocka_run_group_tests_name("runtime.pool", tests, NULL, NULL);
}
