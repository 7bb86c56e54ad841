/*
 * runtime/watchdog.c - see the header. Costs an awake reactor one relaxed store a turn.
 *
 * Its own sleep is a futex word: 0 looking, 1 asleep because every reactor is parked. As in ring/sleep.h:
 *
 *     watchdog                                   reactor that unparks
 *     word = 1                                   turn_since_ns = now
 *     fence seq_cst                              fence seq_cst
 *     all parked still? sleep                    word 1? set 0 and wake
 */
#include "runtime/watchdog.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "runtime/runtime.h"
#include "runtime/topics.h"

enum { LOOKING, ASLEEP, ENDING };

static void futex_wait(weir_atomic_u32 *word, uint32_t expected, uint64_t timeout_ns)
{
    struct timespec timeout = {(time_t)(timeout_ns / WEIR_S_NS), (long)(timeout_ns % WEIR_S_NS)};
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_ns == UINT64_MAX ? NULL : &timeout, NULL, 0);
}

static void futex_wake(weir_atomic_u32 *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* NULL: no topic's handler runs, but a callback of a connection, a timer, a hook. */
static const char *handler_name(struct weir_reactor *reactor)
{
    uint32_t topic = weir_load(&reactor->handler_topic, relaxed); /* a hint: the turn may have moved on */
    return topic > 0 ? weir_registry_name(reactor->runtime->registry, topic - 1) : NULL;
}

/* What was said of one reactor: at most one line for each stalled turn, and one a second, lest a noisy machine fills the log. */
struct told {
    uint64_t turn_ns; /* when that turn began */
    uint64_t at_ns;
    uint64_t unsaid; /* stalls since */
};

static void say(struct weir_reactor *reactor, uint64_t ran_ns, uint64_t unsaid)
{
    const char *topic = handler_name(reactor);
    double ms = (double)ran_ns / 1e6;
    if (topic)
        weir_reactor_log(reactor, WEIR_LOG_WARN,
                         "msg=\"handler runs over its budget\" reactor=%u topic=%s running_ms=%.1f unsaid=%llu",
                         reactor->index, topic, ms, (unsigned long long)unsaid);
    else
        weir_reactor_log(reactor, WEIR_LOG_WARN, "msg=\"turn runs over its budget\" reactor=%u running_ms=%.1f unsaid=%llu",
                         reactor->index, ms, (unsigned long long)unsaid);
}

static void look_at(struct weir_reactor *reactor, uint64_t now_ns, struct told *told)
{
    uint64_t since_ns = weir_load(&reactor->turn_since_ns, relaxed);
    if (since_ns == 0 || since_ns == told->turn_ns || now_ns <= since_ns)
        return;
    if (now_ns - since_ns <= reactor->runtime->options.stall_budget_ns)
        return;
    told->turn_ns = since_ns;
    if (told->at_ns != 0 && now_ns - told->at_ns < WEIR_S_NS) {
        told->unsaid++;
        return;
    }
    say(reactor, now_ns - since_ns, told->unsaid);
    told->at_ns = now_ns;
    told->unsaid = 0;
}

static bool all_parked(struct weir_runtime *runtime)
{
    for (uint32_t i = 0; i < runtime->reactor_count; i++)
        if (weir_load(&runtime->reactors[i]->turn_since_ns, relaxed) != 0)
            return false;
    return true;
}

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * WEIR_S_NS + (uint64_t)now.tv_nsec;
}

static void *watch(void *context)
{
    struct weir_runtime *runtime = context;
    struct told told[WEIR_MESH_REACTORS_MAX] = {0};
    while (weir_load(&runtime->watchdog_state, acquire) != ENDING) {
        uint32_t expected = LOOKING;
        if (all_parked(runtime) && weir_compare_exchange(&runtime->watchdog_state, &expected, ASLEEP, relaxed)) {
            weir_fence(seq_cst);
            if (all_parked(runtime))
                futex_wait(&runtime->watchdog_state, ASLEEP, UINT64_MAX);
            expected = ASLEEP;
            weir_compare_exchange(&runtime->watchdog_state, &expected, LOOKING, relaxed);
        }
        futex_wait(&runtime->watchdog_state, LOOKING, runtime->options.stall_budget_ns / 2);
        uint64_t now_ns = clock_ns();
        for (uint32_t i = 0; i < runtime->reactor_count; i++)
            look_at(runtime->reactors[i], now_ns, &told[i]);
    }
    return NULL;
}

int weir_watchdog_start(struct weir_runtime *runtime)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = -pthread_create(&runtime->watchdog_thread, NULL, watch, runtime);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    runtime->watchdog_runs = result == 0;
    return result;
}

void weir_watchdog_stop(struct weir_runtime *runtime)
{
    if (!runtime->watchdog_runs)
        return;
    weir_store(&runtime->watchdog_state, ENDING, release);
    futex_wake(&runtime->watchdog_state);
    pthread_join(runtime->watchdog_thread, NULL);
    runtime->watchdog_runs = false;
}

void weir_watchdog_on_stall(struct weir_reactor *reactor, uint64_t took_ns)
{
    reactor->counters.stalls++;
    weir_record(&reactor->recorder, WEIR_RECORD_STALL, 0, 0, reactor->last_topic, (uint32_t)(took_ns / WEIR_US_NS));
}

void weir_watchdog_on_unpark(struct weir_runtime *runtime)
{
    weir_fence(seq_cst);
    if (weir_load(&runtime->watchdog_state, relaxed) != ASLEEP) /* read-mostly: only the first of a busy time writes */
        return;
    uint32_t expected = ASLEEP;
    if (weir_compare_exchange(&runtime->watchdog_state, &expected, LOOKING, relaxed))
        futex_wake(&runtime->watchdog_state);
}
