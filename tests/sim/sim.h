/*
 * tests/sim/sim.h - runs a scenario over many seeds, with whole runtimes inside the simulator.
 *
 * A scenario is a function of a seed: it makes a world, puts runtimes and clients into it, runs it to its goal and
 * checks what came of it. When one fails, the seed and the command that replays it are printed, with the last
 * completions of every io and, if there is one, a dump of the flight recorders.
 *
 *     WEIR_SIM_SEEDS=n   so many seeds for each scenario instead of 200 (soak)
 *     WEIR_SIM_FIRST=x   the first of them, instead of 1
 *     WEIR_SIM_SEED=x    that one only
 *     WEIR_SIM_ONLY=name that scenario only
 *     WEIR_SIM_DISTURB=0 no faults
 *
 * A run is bounded in steps, never in time: a livelock fails with its seed too.
 */
#ifndef WEIR_TESTS_SIM_SIM_H
#define WEIR_TESTS_SIM_SIM_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/runtime.h>
#include <weir/trace.h>

#include "base/clock.h"
#include "runtime/io_sim.h"
#include "runtime/runtime.h"

enum { SIM_RUNTIMES_MAX = 16, SIM_SEEDS = 200 };

struct sim_reactor { /* one fiber */
    struct sim *sim;
    struct weir_reactor *reactor;
};

struct sim_place { /* where the ios of a runtime are */
    struct sim *sim;
    uint32_t host;
};

struct sim {
    const char *scenario;
    uint64_t seed;
    struct weir_sim *world;
    struct weir_sim_faults
        faults; /* a mixture of this seed; a scenario may change them before sim_open */
    struct weir_runtime *runtimes[SIM_RUNTIMES_MAX];
    struct sim_place places[SIM_RUNTIMES_MAX];
    uint32_t runtime_count;
    struct sim_reactor reactors[64];
    uint32_t reactor_count;
    void *context; /* the scenario's */
};

typedef void (*sim_scenario_fn)(struct sim *sim);

static struct sim *sim_current; /* for a failed assertion of the library */

#pragma weak weir_trace_dump

static inline void sim_dump_recorders(const struct sim *sim)
{
    if (weir_trace_dump == NULL)
        return;
    for (uint32_t i = 0; i < sim->runtime_count; i++) {
        char path[256];
        snprintf(path, sizeof(path), "weir-sim-%s-%llu-%u.trace", sim->scenario,
                 (unsigned long long)sim->seed, i);
        int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
        if (fd < 0)
            continue;
        if (weir_trace_dump(sim->runtimes[i], fd) == 0)
            dprintf(STDERR_FILENO, "flight recorder: %s\n", path);
        close(fd);
    }
}

static inline void sim_tell(struct sim *sim)
{
    sim_current = NULL; /* a failure while telling is not told */
    if (sim->world != NULL)
        weir_sim_dump(sim->world, STDERR_FILENO);
    sim_dump_recorders(sim);
    dprintf(STDERR_FILENO, "%s failed. Replay: WEIR_SIM_SEED=%llu WEIR_SIM_ONLY=%s %s\n",
            sim->scenario, (unsigned long long)sim->seed, sim->scenario, program_invocation_name);
}

/* May be on a fiber, where a test cannot be left by longjmp: the program ends. */
__attribute__((format(printf, 4, 5), noreturn)) static inline void
sim_fail(struct sim *sim, const char *file, int line, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    sim_tell(sim);
    dprintf(STDERR_FILENO, "%s:%d: %s\n", file, line, text);
    _exit(1);
}

#define SIM_CHECK(sim, condition) \
    ((condition) ? (void)0 : sim_fail((sim), __FILE__, __LINE__, "not so: %s", #condition))
#define SIM_EQUAL(sim, a, b)                                                                   \
    sim_equal((sim), (unsigned long long)(a), (unsigned long long)(b), #a " == " #b, __FILE__, \
              __LINE__)

static inline void sim_equal(struct sim *sim, unsigned long long a, unsigned long long b,
                             const char *what, const char *file, int line)
{
    if (a != b)
        sim_fail(sim, file, line, "not so: %s (%llu, %llu)", what, a, b);
}

void weir_on_assert_failed(const char *file, int line, const char *condition)
{
    dprintf(STDERR_FILENO, "%s:%d: assertion failed: %s\n", file, line, condition);
    if (sim_current != NULL)
        sim_tell(sim_current);
}

/* ---- The world of a scenario ---- */

static inline void sim_open(struct sim *sim, uint32_t host_count)
{
    SIM_EQUAL(sim, weir_sim_open(sim->seed, host_count, &sim->faults, &sim->world), 0);
}

static inline int sim_open_io(void *context, struct weir_reactor *reactor,
                              const struct weir_io_options *options, struct weir_io **io_out,
                              char *why_out, size_t why_bytes)
{
    struct sim_place *place = context;
    (void)reactor, (void)options;
    snprintf(why_out, why_bytes, "sim: seed %llu", (unsigned long long)place->sim->seed);
    return weir_sim_io_open(place->sim->world, place->host, io_out);
}

static inline void sim_run_reactor(void *context)
{
    struct sim_reactor *of = context;
    int result;
    while ((result = weir_reactor_run_once(of->reactor, UINT64_MAX)) >= 0)
        weir_sim_yield(of->sim->world);
    if (result != -ESHUTDOWN)
        sim_fail(of->sim, __FILE__, __LINE__, "reactor %u ended with %s",
                 weir_reactor_index(of->reactor), strerrorname_np(-result));
}

/* A runtime on a host: opened, its reactors on fibers of their own. It is closed by sim_close. */
static inline struct weir_runtime *sim_runtime(struct sim *sim, uint32_t host,
                                               const struct weir_runtime_options *options)
{
    SIM_CHECK(sim, sim->runtime_count < SIM_RUNTIMES_MAX);
    uint32_t at = sim->runtime_count;
    SIM_EQUAL(sim, weir_runtime_open(options, &sim->runtimes[at]), 0);
    sim->places[at] = (struct sim_place){sim, host};
    weir_runtime_use_io(sim->runtimes[at], sim_open_io, &sim->places[at]);
    for (uint32_t i = 0; i < weir_runtime_reactor_count(sim->runtimes[at]); i++) {
        struct sim_reactor *of = &sim->reactors[sim->reactor_count++];
        *of = (struct sim_reactor){sim, weir_runtime_reactor(sim->runtimes[at], i)};
        SIM_EQUAL(sim, weir_sim_spawn(sim->world, "reactor", sim_run_reactor, of), 0);
    }
    sim->runtime_count++;
    return sim->runtimes[at];
}

/* Run to the goal; anything else is a failure. */
static inline void sim_reach(struct sim *sim, bool (*goal)(void *context), void *context,
                             uint64_t steps_max)
{
    enum weir_sim_end end = weir_sim_run(sim->world, goal, context, steps_max);
    if (end == WEIR_SIM_REACHED || (end == WEIR_SIM_ENDED && goal == NULL))
        return;
    static const char *const ends[] = {"reached", "every fiber ended",
                                       "stuck: all wait and nothing will come",
                                       "step limit: a livelock?"};
    sim_fail(sim, __FILE__, __LINE__, "the goal was not reached: %s", ends[end]);
}

/* Stop all runtimes, let them drain, and free everything. */
static inline void sim_close(struct sim *sim, uint64_t steps_max)
{
    for (uint32_t i = 0; i < sim->runtime_count; i++)
        weir_runtime_stop(sim->runtimes[i]);
    sim_reach(sim, NULL, NULL, steps_max);
    for (uint32_t i = 0; i < sim->runtime_count; i++)
        weir_runtime_close(sim->runtimes[i]);
    sim->runtime_count = 0;
    weir_sim_close(sim->world);
    sim->world = NULL;
}

/* ---- Seeds ---- */

static inline uint64_t sim_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL && *text != 0 ? strtoull(text, NULL, 0) : otherwise;
}

static inline void sim_seed(const char *scenario, uint64_t seed, sim_scenario_fn fn)
{
    static struct sim sim;
    memset(&sim, 0, sizeof(sim));
    sim.scenario = scenario;
    sim.seed = seed;
    if (sim_number("WEIR_SIM_DISTURB", 1) != 0)
        weir_sim_faults_mixed(&sim.faults, seed);
    else
        weir_sim_faults_none(&sim.faults);
    sim_current = &sim;
    fn(&sim);
    sim_current = NULL;
}

static inline void sim_seeds(const char *scenario, sim_scenario_fn fn)
{
    const char *only = getenv("WEIR_SIM_ONLY");
    if (only != NULL && *only != 0 && strcmp(only, scenario) != 0)
        return;
    uint64_t first = sim_number("WEIR_SIM_SEED", sim_number("WEIR_SIM_FIRST", 1));
    uint64_t count = getenv("WEIR_SIM_SEED") != NULL ? 1 : sim_number("WEIR_SIM_SEEDS", SIM_SEEDS);
    for (uint64_t seed = first; seed < first + count; seed++)
        sim_seed(scenario, seed, fn);
}

/* A test case that runs `name`_on over the seeds. */
#define SIM_SCENARIO(name)           \
    static void name(void **state)   \
    {                                \
        (void)state;                 \
        sim_seeds(#name, name##_on); \
    }

#endif
