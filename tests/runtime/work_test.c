/* tests/runtime/work_test.c - blocking work, on each io: run elsewhere, ended here, and waited for by a stop. */
#include <pthread.h>

#include "tests/runtime/live_fixture.h"

#include "base/atomic.h"

enum { JOBS = 500 };

struct gate { /* holds jobs back */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;
};

struct job {
    struct live *live;
    struct gate *gate;
    pthread_t ran_on;
    weir_atomic_u32 runs;
    uint32_t dones;
    bool in_call;
};

static void run(void *context)
{
    struct job *job = context;
    job->ran_on = pthread_self();
    if (job->gate) {
        pthread_mutex_lock(&job->gate->lock);
        while (!job->gate->open)
            pthread_cond_wait(&job->gate->changed, &job->gate->lock);
        pthread_mutex_unlock(&job->gate->lock);
    }
    weir_fetch_add(&job->runs, 1, relaxed);
}

static void done(struct weir_reactor *on, void *context)
{
    struct job *job = context;
    assert_ptr_equal(on, job->live->reactor);
    assert_false(job->in_call);
    assert_int_equal(weir_load(&job->runs, relaxed), job->dones + 1);
    job->dones++;
}

static void submit(struct job *job, struct live *live)
{
    job->live = live;
    job->in_call = true;
    assert_int_equal(weir_work(live->reactor, run, done, job), 0);
    job->in_call = false;
}

static void work_runs_on_another_thread_and_ends_here(void **state)
{
    struct live live;
    struct job job = {0};
    open_live(&live, state, 1);
    submit(&job, &live);
    TURN_UNTIL(&live, job.dones == 1);
    assert_false(pthread_equal(job.ran_on, pthread_self()));
    close_live(&live);
}

static void a_sleeping_reactor_is_woken_by_the_end(void **state)
{
    struct live live;
    open_live(&live, state, 1);
    for (int i = 0; i < 100; i++) {
        struct job job = {0};
        submit(&job, &live);
        while (job.dones == 0)
            assert_true(weir_reactor_run_once(live.reactor, UINT64_MAX) >= 0);
    }
    close_live(&live);
}

static void work_that_blocks_holds_up_nobody(void **state)
{
    struct live live;
    struct gate gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct job blocked = {.gate = &gate}, others[3] = {{0}};
    open_live(&live, state, 1);
    submit(&blocked, &live);
    for (int i = 0; i < 3; i++)
        submit(&others[i], &live);
    TURN_UNTIL(&live, others[0].dones && others[1].dones && others[2].dones);
    assert_int_equal(blocked.dones, 0);
    pthread_mutex_lock(&gate.lock);
    gate.open = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
    TURN_UNTIL(&live, blocked.dones == 1);
    close_live(&live);
}

static void any_number_of_jobs_runs_once_each(void **state)
{
    struct live live;
    static struct job jobs[JOBS];
    memset(jobs, 0, sizeof jobs);
    open_live(&live, state, 1);
    for (int i = 0; i < JOBS; i++)
        submit(&jobs[i], &live);
    for (int i = 0; i < JOBS; i++)
        TURN_UNTIL(&live, jobs[i].dones > 0);
    turn_a_while(&live);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(jobs[i].dones, 1);
    close_live(&live);
}

static void a_stop_waits_for_work(void **state)
{
    struct live live;
    static struct job jobs[JOBS];
    memset(jobs, 0, sizeof jobs);
    open_live(&live, state, 1);
    for (int i = 0; i < JOBS; i++)
        submit(&jobs[i], &live);
    weir_runtime_stop(live.runtime);
    close_live(&live);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(jobs[i].dones, 1);
}

int main(void)
{
    static const struct live_case cases[] = {
        LIVE_CASE(work_runs_on_another_thread_and_ends_here), LIVE_CASE(a_sleeping_reactor_is_woken_by_the_end),
        LIVE_CASE(work_that_blocks_holds_up_nobody),          LIVE_CASE(any_number_of_jobs_runs_once_each),
        LIVE_CASE(a_stop_waits_for_work),
    };
    return RUN_LIVE_CASES("runtime.work", cases);
}
