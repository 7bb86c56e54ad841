/*
 * tests/runtime/timer_sim.c - timers of whole reactors under pauses, preemption and jumps of an hour.
 *
 * Never early, exactly once for each set, never after a cancel; a beat keeps its phase. When nothing disturbs the
 * reactor also never more than two ticks late.
 */
#include "tests/sim/sim.h"

#include <weir/timer.h>

#include "sched/wheel.h"

enum { TIMERS = 40, BEATS = 4, BEATS_EACH = 20, STEPS = 1000000 };

struct clocks;

struct one {
    struct clocks *clocks;
    struct weir_timer timer;
    uint64_t due_ns; /* 0: must not fire */
    uint64_t fired;
};

struct beat {
    struct clocks *clocks;
    struct weir_timer timer;
    uint64_t interval_ns;
    uint64_t first_ns;
    uint64_t last_beat;
    uint64_t fired;
};

struct clocks {
    struct sim *sim;
    struct one ones[TIMERS];
    struct beat beats[BEATS];
    uint64_t sets; /* those that are to fire */
    uint64_t fired;
    uint64_t sets_left;
    uint64_t beats_done;
    bool undisturbed;
};

static uint64_t some_delay_ns(struct weir_sim *world)
{
    uint64_t spans_ns[] = {1, WEIR_MS_NS, 100 * WEIR_MS_NS, 10 * WEIR_S_NS, 3600 * WEIR_S_NS};
    return weir_sim_below(world, spans_ns[weir_sim_below(world, 5)]);
}

static void on_one(struct weir_reactor *reactor, struct weir_timer *timer, void *context);

/* Set, move or cancel another one. */
static void stir(struct weir_reactor *reactor, struct clocks *clocks)
{
    struct weir_sim *world = clocks->sim->world;
    struct one *one = &clocks->ones[weir_sim_below(world, TIMERS)];
    bool was_set = one->due_ns != 0;
    if (was_set && weir_sim_chance(world, 400000)) {
        SIM_CHECK(clocks->sim, weir_timer_cancel(reactor, &one->timer));
        one->due_ns = 0;
        clocks->sets--;
        return;
    }
    if (clocks->sets_left == 0)
        return;
    clocks->sets_left--;
    clocks->sets += !was_set;
    uint64_t delay_ns = some_delay_ns(world);
    one->due_ns = weir_sim_now_ns(world) + delay_ns;
    weir_timer_set(reactor, &one->timer, delay_ns, on_one, one);
}

static void on_one(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    struct one *one = context;
    struct clocks *clocks = one->clocks;
    uint64_t now_ns = weir_sim_now_ns(clocks->sim->world);
    SIM_CHECK(clocks->sim, timer == &one->timer);
    SIM_CHECK(clocks->sim, one->due_ns != 0);
    SIM_CHECK(clocks->sim, now_ns >= one->due_ns);
    if (clocks->undisturbed)
        SIM_CHECK(clocks->sim, now_ns - one->due_ns <= 2 * WEIR_WHEEL_TICK_NS);
    one->due_ns = 0;
    one->fired++;
    clocks->fired++;
    SIM_CHECK(clocks->sim, !weir_timer_cancel(reactor, &one->timer)); /* not set any more */
    stir(reactor, clocks);
    stir(reactor, clocks);
}

static void on_beat(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    struct beat *beat = context;
    struct sim *sim = beat->clocks->sim;
    uint64_t now_ns = weir_reactor_now_ns(reactor); /* the turn's: what the beat is judged by */
    SIM_CHECK(sim, now_ns >= beat->first_ns);
    uint64_t number = (now_ns - beat->first_ns) / beat->interval_ns + 1;
    SIM_CHECK(sim, number > beat->last_beat); /* at most once for each beat of the clock */
    beat->last_beat = number;
    if (++beat->fired < BEATS_EACH)
        return;
    SIM_CHECK(sim, weir_timer_cancel(reactor, timer)); /* from within itself */
    beat->clocks->beats_done++;
}

static int begin(struct weir_reactor *reactor, void *context)
{
    struct clocks *clocks = context;
    struct weir_sim *world = clocks->sim->world;
    for (uint32_t i = 0; i < TIMERS; i++)
        clocks->ones[i].clocks = clocks;
    for (uint32_t i = 0; i < TIMERS; i++)
        stir(reactor, clocks);
    for (uint32_t i = 0; i < BEATS; i++) {
        struct beat *beat = &clocks->beats[i];
        beat->clocks = clocks;
        beat->interval_ns = 1 + weir_sim_below(world, WEIR_S_NS);
        uint64_t asked_ns = weir_sim_now_ns(world);
        weir_timer_every(reactor, &beat->timer, beat->interval_ns, on_beat, beat);
        /* The phase is the clock's reading inside that call, which others may have held up. */
        beat->first_ns = ((struct weir_wheel_timer *)(void *)beat->timer.private_words)->deadline_ns;
        SIM_CHECK(clocks->sim, beat->first_ns >= asked_ns + beat->interval_ns);
        SIM_CHECK(clocks->sim, beat->first_ns <= weir_sim_now_ns(world) + beat->interval_ns);
    }
    return 0;
}

static bool all_fired(void *context)
{
    struct clocks *clocks = context;
    return clocks->sets == clocks->fired && clocks->beats_done == BEATS;
}

static void run_timers(struct sim *sim, bool undisturbed)
{
    struct clocks *clocks = calloc(1, sizeof(*clocks));
    clocks->sim = sim;
    clocks->undisturbed = undisturbed;
    clocks->sets_left = 300;
    sim_open(sim, 1);
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = 1;
    options.recorder_events = 256;
    options.topics_max = 64;
    options.no_spin = true;
    options.on_start = begin;
    options.context = clocks;
    sim_runtime(sim, 0, &options);
    sim_reach(sim, all_fired, clocks, STEPS);
    sim_close(sim, STEPS);
    free(clocks);
}

static void timers_fire_once_and_never_early_on(struct sim *sim)
{
    run_timers(sim, false);
}

static void undisturbed_timers_are_hardly_late_on(struct sim *sim)
{
    weir_sim_faults_none(&sim->faults);
    run_timers(sim, true);
}

SIM_SCENARIO(timers_fire_once_and_never_early)
SIM_SCENARIO(undisturbed_timers_are_hardly_late)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_once_and_never_early),
        cmocka_unit_test(undisturbed_timers_are_hardly_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
