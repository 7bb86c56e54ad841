/*
 * tests/runtime/churn_sim.c - handlers come and go, on all reactors, while events are emitted, posted and stolen.
 *
 * Checked for every handler: it never runs before it was installed, after weir_off returned (when it is pinned), or
 * after on_removed; on_removed comes exactly once, on its own reactor; a handler with `times` runs no more often.
 */
#include "tests/sim/sim.h"

#include <weir/timer.h>
#include <weir/topic.h>

enum { REACTORS = 3, HANDLERS_MAX = 400, ROUNDS = 60, STEPS = 2000000 };

static const char *const patterns[] = {"a.b", "a.c", "a.*", "**", "x.y.z", "x.**"};
static const char *const names[] = {"a.b", "a.c", "x.y.z", "x.q"};
enum { PATTERNS = 6, NAMES = 4 };

struct churn;

struct handler {
    struct churn *churn;
    uint32_t home;
    struct weir_subscription subscription;
    bool pinned;
    bool installed; /* until weir_off */
    bool removed;   /* on_removed has come */
    uint32_t times;
    uint32_t runs;
    uint32_t running;
};

struct churn {
    struct sim *sim;
    struct weir_runtime *runtime;
    struct weir_topic topics[REACTORS][NAMES];
    struct handler handlers[HANDLERS_MAX];
    uint32_t handler_count;
    struct weir_timer timers[REACTORS];
    uint32_t rounds[REACTORS];
    uint32_t done;
    uint32_t removed;
    uint32_t depth;
    uint64_t runs;
    bool quiet;
};

static void stir(struct weir_reactor *reactor, struct churn *churn);

static void on_event(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    struct handler *handler = context;
    struct churn *churn = handler->churn;
    struct sim *sim = churn->sim;
    (void)event;
    SIM_CHECK(sim, !handler->removed);
    if (handler->pinned) {
        SIM_EQUAL(sim, weir_reactor_index(on), handler->home);
        SIM_CHECK(sim, handler->installed);
    }
    handler->runs++;
    churn->runs++;
    SIM_CHECK(sim, handler->times == 0 || handler->runs <= handler->times);
    handler->running++;
    weir_sim_yield(sim->world);
    if (!churn->quiet && churn->depth < 2 && weir_sim_chance(sim->world, 100000)) {
        churn->depth++;
        stir(on, churn);
        churn->depth--;
    }
    handler->running--;
}

static void on_removed(struct weir_reactor *on, void *context)
{
    struct handler *handler = context;
    struct sim *sim = handler->churn->sim;
    SIM_EQUAL(sim, weir_reactor_index(on), handler->home);
    SIM_CHECK(sim, !handler->removed);
    SIM_EQUAL(sim, handler->running, 0);
    handler->removed = true;
    handler->churn->removed++;
}

static void install(struct weir_reactor *reactor, struct churn *churn)
{
    struct weir_sim *chance = churn->sim->world;
    if (churn->handler_count == HANDLERS_MAX)
        return;
    struct handler *handler = &churn->handlers[churn->handler_count++];
    struct weir_on_options options = WEIR_OPTIONS(struct weir_on_options);
    options.priority = (int32_t)weir_sim_below(chance, 5) - 2;
    options.times = weir_sim_chance(chance, 300000) ? 1 + (uint32_t)weir_sim_below(chance, 5) : 0;
    options.stealable = weir_sim_chance(chance, 300000);
    options.keyed = weir_sim_chance(chance, 200000);
    options.on_removed = on_removed;
    handler->churn = churn;
    handler->home = weir_reactor_index(reactor);
    handler->pinned = !options.stealable;
    handler->installed = true;
    handler->times = options.times;
    const char *pattern = patterns[weir_sim_below(chance, PATTERNS)];
    SIM_EQUAL(churn->sim,
              weir_on_with(reactor, pattern, on_event, handler, &options, &handler->subscription),
              0);
}

static void uninstall(struct weir_reactor *reactor, struct churn *churn, struct handler *handler)
{
    bool spent = handler->times > 0 && handler->runs >= handler->times;
    int result = weir_off(reactor, handler->subscription);
    handler->installed = false;
    if (!spent && handler->times == 0)
        SIM_EQUAL(churn->sim, result, 0);
    SIM_CHECK(churn->sim, result == 0 || result == -ENOENT);
    SIM_EQUAL(churn->sim, weir_off(reactor, handler->subscription),
              -ENOENT); /* stale now, whoever has the slot */
}

static void uninstall_some(struct weir_reactor *reactor, struct churn *churn)
{
    if (churn->handler_count == 0)
        return;
    struct handler
        *handler = &churn->handlers[weir_sim_below(churn->sim->world, churn->handler_count)];
    if (handler->installed && handler->home == weir_reactor_index(reactor))
        uninstall(reactor, churn, handler);
}

static void tell(struct weir_reactor *reactor, struct churn *churn)
{
    struct weir_sim *chance = churn->sim->world;
    struct weir_topic topic = churn->topics[weir_reactor_index(reactor)]
                                           [weir_sim_below(chance, NAMES)];
    uint64_t key = weir_sim_below(chance, 4);
    uint32_t to = (uint32_t)weir_sim_below(chance, REACTORS);
    uint8_t body[64] = {0};
    uint32_t body_bytes = (uint32_t)weir_sim_below(chance, sizeof(body));
    int result;
    switch (weir_sim_below(chance, 4)) {
    case 0:
        result = weir_emit(reactor, topic, body, body_bytes);
        break;
    case 1:
        result = weir_emit_keyed(reactor, topic, key, body, body_bytes);
        break;
    case 2:
        result = weir_post(reactor, topic, to, body, body_bytes);
        break;
    default:
        result = weir_post_keyed(reactor, topic, WEIR_TO_KEY, key, body, body_bytes);
        break;
    }
    SIM_CHECK(churn->sim, result >= 0 || result == -EAGAIN);
}

static void stir(struct weir_reactor *reactor, struct churn *churn)
{
    for (uint64_t moves = weir_sim_below(churn->sim->world, 12); moves > 0; moves--) {
        uint64_t move = weir_sim_below(churn->sim->world, 6);
        if (move == 0)
            install(reactor, churn);
        else if (move == 1)
            uninstall_some(reactor, churn);
        else
            tell(reactor, churn);
    }
}

static void on_round(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    struct churn *churn = context;
    uint32_t index = weir_reactor_index(reactor);
    if (++churn->rounds[index] < ROUNDS) {
        stir(reactor, churn);
        weir_timer_set(reactor, timer, weir_sim_below(churn->sim->world, WEIR_MS_NS), on_round,
                       churn);
        return;
    }
    for (uint32_t i = 0; i < churn->handler_count; i++)
        if (churn->handlers[i].home == index && churn->handlers[i].installed)
            uninstall(reactor, churn, &churn->handlers[i]);
    churn->done++;
}

static int begin(struct weir_reactor *reactor, void *context)
{
    struct churn *churn = context;
    uint32_t index = weir_reactor_index(reactor);
    weir_listeners_warn_at(reactor, 0);
    for (uint32_t i = 0; i < NAMES; i++)
        SIM_EQUAL(churn->sim, weir_topic_open(reactor, names[i], &churn->topics[index][i]), 0);
    weir_timer_set(reactor, &churn->timers[index], 0, on_round, churn);
    return 0;
}

static bool settled(void *context)
{
    struct churn *churn = context;
    churn->quiet = churn->done >
                   0; /* nothing is installed once a reactor has said goodbye to its own */
    return churn->done == REACTORS && churn->removed == churn->handler_count;
}

static void handlers_come_and_go_and_none_runs_after_its_end_on(struct sim *sim)
{
    struct churn *churn = calloc(1, sizeof(*churn));
    churn->sim = sim;
    sim_open(sim, 1);
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = REACTORS;
    options.recorder_events = 256;
    options.topics_max = 64;
    options.no_spin = sim->seed % 2 == 0;
    options.spin_ns_max = 10 * WEIR_US_NS;
    options.on_start = begin;
    options.context = churn;
    churn->runtime = sim_runtime(sim, 0, &options);
    sim_reach(sim, settled, churn, STEPS);
    SIM_CHECK(sim, churn->runs > 0);
    sim_close(sim, STEPS);
    for (uint32_t i = 0; i < churn->handler_count; i++)
        SIM_CHECK(sim, churn->handlers[i].removed);
    free(churn);
}

SIM_SCENARIO(handlers_come_and_go_and_none_runs_after_its_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handlers_come_and_go_and_none_runs_after_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
