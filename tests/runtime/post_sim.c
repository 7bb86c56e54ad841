/*
 * tests/runtime/post_sim.c - events between reactors: full rings, keys, stealing, waiting for credit.
 *
 * Every reactor posts a stream of numbered events, as fast as credit allows, in bursts that fill the rings. Counted
 * where they arrive: no event is lost or comes twice; each sender's come in order, by key where they are keyed; of one
 * key no two run at once. A poster that is refused waits to be resumed, so a resume that never comes is a stuck run.
 */
#include "tests/sim/sim.h"

#include <weir/timer.h>
#include <weir/topic.h>

enum { REACTORS_MAX = 4, KEYS = 13, STEPS = 3000000 };

enum posting {
    TO_KEY, /* each key has its home, from all posters */
    TO_ONE, /* pinned, all to one reactor */
    TO_ANY, /* pinned, drawn */
    TO_ALL,
    POSTINGS,
};

struct body {
    uint32_t poster;
    uint32_t key;
    uint64_t number; /* counts the events of {poster, key} or {poster, to} */
    uint32_t size;   /* bytes of this body: beyond sizeof, filled with `poster` */
    uint32_t spare;
};

struct lane { /* {poster, key} or {poster, receiver} */
    uint64_t posted;
    uint64_t run;
};

struct world;

struct poster {
    struct world *world;
    struct weir_reactor *reactor;
    struct weir_waiter waiter;
    struct weir_timer timer;
    uint64_t left;
    uint64_t refused;
    uint64_t resumed;
    bool waiting;
};

struct world {
    struct sim *sim;
    struct weir_runtime *runtime;
    enum posting posting;
    bool stealable;
    uint32_t reactors;
    uint32_t body_bytes_max;
    struct weir_topic topic;
    struct poster posters[REACTORS_MAX];
    struct lane lanes[REACTORS_MAX][KEYS > REACTORS_MAX ? KEYS : REACTORS_MAX];
    bool key_runs[KEYS]; /* by home: with TO_KEY there is one */
    uint64_t posted;
    uint64_t run;
    uint64_t expected;
    bool stopping; /* post no more */
};

/* ---- Receiving ---- */

static void check_body(struct sim *sim, const struct weir_event *event, const struct body *body)
{
    SIM_EQUAL(sim, body->size, event->body_bytes);
    const uint8_t *rest = (const uint8_t *)(body + 1);
    for (uint32_t i = 0; i + sizeof(*body) < body->size; i++)
        SIM_EQUAL(sim, rest[i], (uint8_t)(body->poster + body->number));
}

static void on_event(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    struct world *world = context;
    struct sim *sim = world->sim;
    struct body body;
    memcpy(&body, event->body, sizeof(body));
    check_body(sim, event, event->body);
    bool keyed = world->posting == TO_KEY;
    uint32_t lane = keyed ? body.key : weir_reactor_index(on);
    if (keyed) {
        SIM_EQUAL(sim, event->key, body.key);
        SIM_CHECK(sim, !world->key_runs[body.key]); /* one at a time */
        world->key_runs[body.key] = true;
    }
    for (uint64_t naps = weir_sim_below(sim->world, 3); naps > 0; naps--)
        weir_sim_yield(sim->world);
    if (keyed)
        world->key_runs[body.key] = false;
    SIM_EQUAL(sim, body.number,
              world->lanes[body.poster][lane].run); /* neither lost, twice, nor out of order */
    world->lanes[body.poster][lane].run++;
    world->run++;
}

/* ---- Posting ---- */

static int post_one(struct poster *poster, uint32_t *to_out)
{
    struct world *world = poster->world;
    struct weir_sim *chance = world->sim->world;
    uint8_t memory[512];
    struct body body = {.poster = weir_reactor_index(poster->reactor)};
    body.key = (uint32_t)weir_sim_below(chance, KEYS);
    uint32_t to = world->posting == TO_ANY ? (uint32_t)weir_sim_below(chance, world->reactors) : 0;
    uint32_t lane = world->posting == TO_KEY ? body.key : to;
    *to_out = world->posting == TO_KEY ? WEIR_TO_KEY : world->posting == TO_ALL ? WEIR_TO_ALL : to;
    body.number = world->lanes[body.poster][lane].posted;
    body.size = (uint32_t)(sizeof(body) +
                           weir_sim_below(chance, world->body_bytes_max - sizeof(body) + 1));
    memset(memory, (int)(body.poster + body.number), sizeof(memory));
    memcpy(memory, &body, sizeof(body));
    int result = world->posting == TO_KEY
                     ? weir_post_keyed(poster->reactor, world->topic, *to_out, body.key, memory,
                                       body.size)
                     : weir_post(poster->reactor, world->topic, *to_out, memory, body.size);
    if (result < 0)
        return result;
    for (uint32_t i = lane; i < (world->posting == TO_ALL ? world->reactors : lane + 1); i++)
        world->lanes[body.poster][i].posted++;
    world->posted += world->posting == TO_ALL ? world->reactors : 1;
    return 0;
}

static void burst(struct poster *poster);

static void resume(struct weir_reactor *reactor, void *context)
{
    struct poster *poster = context;
    SIM_CHECK(poster->world->sim, reactor == poster->reactor);
    SIM_CHECK(poster->world->sim, poster->waiting);
    poster->waiting = false;
    poster->resumed++;
    burst(poster);
}

static void next_burst(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    (void)reactor, (void)timer;
    struct poster *poster = context;
    if (!poster->waiting)
        burst(poster);
}

static void burst(struct poster *poster)
{
    struct weir_sim *chance = poster->world->sim->world;
    if (poster->world->stopping)
        return;
    for (uint64_t count = 1 + weir_sim_below(chance, 2000); count > 0 && poster->left > 0; count--) {
        uint32_t to;
        int result = post_one(poster, &to);
        if (result == -EAGAIN) {
            poster->refused++;
            poster->waiting = true;
            poster->waiter.resume = resume;
            poster->waiter.context = poster;
            weir_post_resume(poster->reactor, to, &poster->waiter);
            return;
        }
        SIM_EQUAL(poster->world->sim, result, 0);
        poster->left--;
    }
    if (poster->left > 0)
        weir_timer_set(poster->reactor, &poster->timer, weir_sim_below(chance, WEIR_MS_NS),
                       next_burst, poster);
}

static int begin(struct weir_reactor *reactor, void *context)
{
    struct world *world = context;
    struct poster *poster = &world->posters[weir_reactor_index(reactor)];
    struct weir_on_options options = WEIR_OPTIONS(struct weir_on_options);
    options.stealable = world->stealable;
    options.keyed = world->posting == TO_KEY;
    int result = weir_topic_open(reactor, "work", &world->topic);
    if (result == 0)
        result = weir_on_with(reactor, "work", on_event, world, &options, NULL);
    poster->world = world;
    poster->reactor = reactor;
    weir_timer_set(reactor, &poster->timer, weir_sim_below(world->sim->world, WEIR_MS_NS),
                   next_burst, poster);
    return result;
}

/* ---- The run ---- */

/* Over all seeds: what a scenario is for has to have happened in some of them. */
static struct weir_reactor_counters seen;
static uint64_t seen_refused;

static void see(const struct world *world)
{
    for (uint32_t i = 0; i < world->reactors; i++) {
        struct weir_reactor_counters counters;
        weir_reactor_counters_read(weir_runtime_reactor(world->runtime, i), &counters);
        seen.strands_stolen += counters.strands_stolen;
        seen.parks += counters.parks;
        seen.wakes_sent += counters.wakes_sent;
        seen.mail_full += counters.mail_full;
        seen_refused += world->posters[i].refused;
    }
}

static void what_the_scenarios_are_for_has_happened(void **state)
{
    (void)state;
    if (getenv("WEIR_SIM_SEED") != NULL || getenv("WEIR_SIM_ONLY") != NULL)
        skip();
    print_message("stolen %llu, parks %llu, wakes %llu, refused %llu, no slot %llu\n",
                  (unsigned long long)seen.strands_stolen, (unsigned long long)seen.parks,
                  (unsigned long long)seen.wakes_sent, (unsigned long long)seen_refused,
                  (unsigned long long)seen.mail_full);
    assert_true(seen.strands_stolen > 0);
    assert_true(seen.parks > 0);
    assert_true(seen.wakes_sent > 0);
    assert_true(seen_refused > 0);
}

static bool all_run(void *context)
{
    struct world *world = context;
    return world->run == world->expected;
}

static struct weir_runtime_options options_of(struct world *world, weir_start_fn on_start)
{
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = world->reactors;
    options.recorder_events = 256;
    options.topics_max = 64;
    options.no_spin = world->sim->seed % 2 == 0;
    options.spin_ns_max = 10 * WEIR_US_NS;
    options.on_start = on_start;
    options.context = world;
    return options;
}

static void run_posts(struct sim *sim, enum posting posting, bool stealable, uint64_t events)
{
    struct world *world = calloc(1, sizeof(*world));
    world->sim = sim;
    world->posting = posting;
    world->stealable = stealable;
    sim_open(sim, 1);
    world->reactors = 2 + (uint32_t)weir_sim_below(sim->world, REACTORS_MAX - 1);
    world->body_bytes_max = weir_sim_chance(sim->world, 500000) ? (uint32_t)sizeof(struct body)
                                                                : 400;
    for (uint32_t i = 0; i < world->reactors; i++)
        world->posters[i].left = events;
    world->expected = events * world->reactors * (posting == TO_ALL ? world->reactors : 1);
    struct weir_runtime_options options = options_of(world, begin);
    world->runtime = sim_runtime(sim, 0, &options);
    sim_reach(sim, all_run, world, STEPS);
    see(world);
    for (uint32_t i = 0; i < world->reactors; i++) {
        SIM_EQUAL(sim, world->posters[i].resumed, world->posters[i].refused);
        for (uint32_t lane = 0; lane < KEYS; lane++)
            SIM_EQUAL(sim, world->lanes[i][lane].run, world->lanes[i][lane].posted);
    }
    sim_close(sim, STEPS);
    SIM_EQUAL(sim, world->run, world->expected); /* nothing came after all */
    free(world);
}

static void keyed_events_come_once_in_order_and_one_at_a_time_on(struct sim *sim)
{
    run_posts(sim, TO_KEY, true, 1500);
}

static void keyed_events_that_stay_home_come_in_order_on(struct sim *sim)
{
    run_posts(sim, TO_KEY, false, 1500);
}

static void rings_that_fill_up_lose_nothing_on(struct sim *sim)
{
    run_posts(sim, TO_ONE, false, 3000);
}

static void posts_to_any_reactor_arrive_in_the_order_sent_on(struct sim *sim)
{
    run_posts(sim, TO_ANY, false, 2000);
}

static void posts_to_all_reach_each_reactor_once_on(struct sim *sim)
{
    run_posts(sim, TO_ALL, false, 1000);
}

/* ---- A stop ---- */

static bool some_posted(void *context)
{
    struct world *world = context;
    return world->posted > 500;
}

/* The reactors are told to stop while events are under way: what was posted still runs. */
static void a_stop_runs_what_was_posted_on(struct sim *sim)
{
    struct world *world = calloc(1, sizeof(*world));
    world->sim = sim;
    world->posting = sim->seed % 2 == 0 ? TO_KEY : TO_ANY;
    world->stealable = sim->seed % 4 == 0;
    sim_open(sim, 1);
    world->reactors = REACTORS_MAX;
    world->body_bytes_max = 100;
    for (uint32_t i = 0; i < world->reactors; i++)
        world->posters[i].left = 300;
    struct weir_runtime_options options = options_of(world, begin);
    world->runtime = sim_runtime(sim, 0, &options);
    sim_reach(sim, some_posted, world, STEPS);
    world->stopping = true;
    sim_close(sim, STEPS);
    SIM_EQUAL(sim, world->run, world->posted);
    free(world);
}

/* An event that goes on from reactor to reactor, a few times, also while they drain. */
static void on_relay(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    struct world *world = context;
    uint32_t hops;
    memcpy(&hops, event->body, sizeof(hops));
    world->run++;
    weir_sim_yield(world->sim->world);
    uint32_t to = (uint32_t)weir_sim_below(world->sim->world, world->reactors);
    if (hops-- > 0 && weir_post(on, world->topic, to, &hops, sizeof(hops)) == 0)
        world->posted++;
}

static int begin_relay(struct weir_reactor *reactor, void *context)
{
    struct world *world = context;
    int result = weir_topic_open(reactor, "relay", &world->topic);
    if (result == 0)
        result = weir_on(reactor, "relay", on_relay, world);
    for (uint32_t i = 0; i < 20 && result == 0; i++) {
        uint32_t hops = (uint32_t)weir_sim_below(world->sim->world, 40);
        result = weir_post(reactor, world->topic, WEIR_TO_HERE, &hops, sizeof(hops));
        world->posted += result == 0;
    }
    return result;
}

static bool some_relayed(void *context)
{
    struct world *world = context;
    return world->run > 200;
}

static void a_stop_runs_what_handlers_post_on_on(struct sim *sim)
{
    struct world *world = calloc(1, sizeof(*world));
    world->sim = sim;
    sim_open(sim, 1);
    world->reactors = REACTORS_MAX;
    struct weir_runtime_options options = options_of(world, begin_relay);
    world->runtime = sim_runtime(sim, 0, &options);
    sim_reach(sim, some_relayed, world, STEPS);
    sim_close(sim, STEPS);
    SIM_EQUAL(sim, world->run, world->posted);
    free(world);
}

SIM_SCENARIO(keyed_events_come_once_in_order_and_one_at_a_time)
SIM_SCENARIO(keyed_events_that_stay_home_come_in_order)
SIM_SCENARIO(rings_that_fill_up_lose_nothing)
SIM_SCENARIO(posts_to_any_reactor_arrive_in_the_order_sent)
SIM_SCENARIO(posts_to_all_reach_each_reactor_once)
SIM_SCENARIO(a_stop_runs_what_was_posted)
SIM_SCENARIO(a_stop_runs_what_handlers_post_on)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keyed_events_come_once_in_order_and_one_at_a_time),
        cmocka_unit_test(keyed_events_that_stay_home_come_in_order),
        cmocka_unit_test(rings_that_fill_up_lose_nothing),
        cmocka_unit_test(posts_to_any_reactor_arrive_in_the_order_sent),
        cmocka_unit_test(posts_to_all_reach_each_reactor_once),
        cmocka_unit_test(a_stop_runs_what_was_posted),
        cmocka_unit_test(a_stop_runs_what_handlers_post_on),
        cmocka_unit_test(what_the_scenarios_are_for_has_happened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
