/*
 * tests/runtime/disk_sim.c - blocking work of reactors in the simulator: jobs overlap with their reactors, end on them, may
 * be cut by a crash, and the same seed gives the same run.
 *
 * Each reactor counts up: a job replaces its file by the next number, and only then does the reactor believe it.
 */
#include "tests/sim/sim.h"

#include <weir/work.h>

#include "runtime/disk.h"

enum { REACTORS = 2, NUMBERS = 12, STEPS = 2000000 };

struct counter {
    struct sim *sim;
    struct weir_reactor *reactor;
    struct weir_disk *disk;
    char path[16];
    uint64_t number;   /* being written */
    uint64_t believed; /* its job is done */
    bool runs;
    bool failed;
};

struct disks {
    struct counter counters[REACTORS];
    uint64_t overlaps; /* a turn took place while a job ran */
    uint64_t jobs_running;
};

static void write_number(void *context)
{
    struct counter *counter = context;
    struct disks *disks = counter->sim->context;
    SIM_CHECK(counter->sim, !counter->runs);
    counter->runs = true;
    disks->jobs_running++;
    counter->failed = weir_disk_replace(counter->disk, counter->path, &counter->number, sizeof(counter->number)) < 0;
    disks->jobs_running--;
    counter->runs = false;
}

static void next_number(struct weir_reactor *on, void *context)
{
    struct counter *counter = context;
    SIM_CHECK(counter->sim, on == counter->reactor);
    SIM_CHECK(counter->sim, !counter->runs);
    if (counter->failed)
        return;
    counter->believed = counter->number;
    if (counter->number == NUMBERS)
        return;
    counter->number++;
    SIM_EQUAL(counter->sim, weir_work(on, write_number, next_number, counter), 0);
}

static int begin(struct weir_reactor *on, void *context)
{
    struct sim *sim = context;
    struct counter *counter = &((struct disks *)sim->context)->counters[weir_reactor_index(on)];
    *counter = (struct counter){.sim = sim, .reactor = on, .disk = weir_io_disk(on->io)};
    snprintf(counter->path, sizeof(counter->path), "/%u", weir_reactor_index(on));
    next_number(on, counter);
    return 0;
}

static void open_counters(struct sim *sim, struct disks *disks)
{
    memset(disks, 0, sizeof(*disks));
    sim->context = disks;
    sim_open(sim, 1);
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = REACTORS;
    options.on_start = begin;
    options.context = sim;
    sim_runtime(sim, 0, &options);
}

static bool all_counted(void *context)
{
    struct disks *disks = context;
    bool all = true;
    disks->overlaps += disks->jobs_running > 0;
    for (uint32_t i = 0; i < REACTORS; i++)
        all &= disks->counters[i].believed == NUMBERS;
    return all;
}

static uint64_t on_disk(struct sim *sim, const char *path)
{
    uint64_t number = 0;
    return weir_sim_disk_peek(sim->world, 0, path, 0, &number, sizeof(number)) == sizeof(number) ? number : 0;
}

static uint64_t run_counters(struct sim *sim)
{
    struct disks disks;
    open_counters(sim, &disks);
    sim_reach(sim, all_counted, &disks, STEPS);
    SIM_CHECK(sim, disks.overlaps > 0);
    for (uint32_t i = 0; i < REACTORS; i++)
        SIM_EQUAL(sim, on_disk(sim, disks.counters[i].path), NUMBERS);
    uint64_t hash = weir_sim_hash(sim->world);
    sim_close(sim, STEPS);
    return hash;
}

static void jobs_run_beside_their_reactors_the_same_way_each_time_on(struct sim *sim)
{
    uint64_t hash = run_counters(sim);
    sim->reactor_count = 0;
    SIM_EQUAL(sim, run_counters(sim), hash);
}

static bool some_job_runs(void *context)
{
    const struct disks *disks = context;
    return disks->jobs_running > 0 && disks->counters[0].believed >= 3;
}

static void what_a_job_had_done_survives_a_crash_under_another_on(struct sim *sim)
{
    struct disks disks;
    open_counters(sim, &disks);
    sim_reach(sim, some_job_runs, &disks, STEPS);
    uint64_t believed[REACTORS];
    for (uint32_t i = 0; i < REACTORS; i++)
        believed[i] = disks.counters[i].believed;
    weir_sim_crash(sim->world, 0, WEIR_SIM_POWER_LOSS);
    for (uint32_t i = 0; i < REACTORS; i++) {
        uint64_t found = on_disk(sim, disks.counters[i].path);
        SIM_CHECK(sim, found == believed[i] || found == believed[i] + 1);
    }
    sim_close(sim, STEPS); /* the jobs of the dead end on the disk they had */
}

/* Without fibers, a reactor that waits moves the world's time itself, and its jobs run in between. */
static void jobs_of_a_reactor_that_is_turned_by_hand_run_too_on(struct sim *sim)
{
    struct disks disks = {0};
    struct sim_place place = {sim, 0};
    struct weir_runtime *runtime;
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = 1;
    options.on_start = begin;
    options.context = sim;
    sim->context = &disks;
    sim_open(sim, 1);
    SIM_EQUAL(sim, weir_runtime_open(&options, &runtime), 0);
    weir_runtime_use_io(runtime, sim_open_io, &place);
    struct counter *counter = &disks.counters[0];
    for (uint32_t turns = 0; counter->believed < NUMBERS; turns++) {
        SIM_CHECK(sim, turns < 10000);
        SIM_CHECK(sim, weir_reactor_run_once(weir_runtime_reactor(runtime, 0), UINT64_MAX) >= 0);
    }
    SIM_EQUAL(sim, on_disk(sim, counter->path), NUMBERS);
    weir_runtime_close(runtime);
    weir_sim_close(sim->world);
    sim->world = NULL;
}

SIM_SCENARIO(jobs_of_a_reactor_that_is_turned_by_hand_run_too)
SIM_SCENARIO(jobs_run_beside_their_reactors_the_same_way_each_time)
SIM_SCENARIO(what_a_job_had_done_survives_a_crash_under_another)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_of_a_reactor_that_is_turned_by_hand_run_too),
        cmocka_unit_test(jobs_run_beside_their_reactors_the_same_way_each_time),
        cmocka_unit_test(what_a_job_had_done_survives_a_crash_under_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
