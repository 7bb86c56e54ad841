/*
 * tests/runtime/roster_test.c - random handlers that install, remove and emit from inside handlers, against a model.
 *
 * The model is what weir/topic.h says and nothing clever: a list of everything ever installed; an emit takes a copy of
 * those that match, sorts it, and calls each that is still there. The handlers of the runtime follow the same script,
 * drawn from one seed; the two trails must be equal, letter by letter, and so must every count returned.
 */
#include "tests/runtime/topic_fixture.h"

#include "runtime/path.h"

enum { HANDLERS_MAX = 400, TRAIL_MAX = 20000, DEPTH_MAX = 4, ROUNDS = 400, STEPS = 60 };

static const char *const patterns[] = {"a", "a.b", "a.c", "*", "a.*", "**", "a.**", "**.b", NULL};
static const char *const topics[] = {"a", "a.b", "a.c", "b", "a.b.c"};
enum { PATTERN_COUNT = 9, TOPIC_COUNT = 5 };

/* What a handler does when it runs for the n-th time, drawn from its number and n: both sides draw the same. */
struct handler {
    struct world *world;
    uint32_t number;
    uint32_t pattern;
    int32_t priority;
    uint32_t remaining; /* 0: no limit */
    uint32_t runs;
    bool there;
    bool removed_told; /* real only */
    uint32_t inside;   /* real only */
    struct weir_subscription subscription;
};

struct world {
    struct fixture *fixture; /* NULL: the model */
    struct weir_topic topic[TOPIC_COUNT];
    uint64_t seed;
    uint32_t depth;
    uint32_t count;
    uint32_t trail_count;
    uint32_t trail[TRAIL_MAX];
    struct handler handlers[HANDLERS_MAX];
};

static uint64_t draw(uint64_t *chance)
{
    *chance = *chance * 6364136223846793005u + 1442695040888963407u;
    return *chance >> 33;
}

static void note(struct world *world, uint32_t word)
{
    if (world->trail_count < TRAIL_MAX)
        world->trail[world->trail_count++] = word;
}

static void behave(struct handler *handler);

static void run_real(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)on;
    (void)event;
    struct handler *handler = context;
    assert_false(handler->removed_told);
    handler->inside++;
    behave(handler);
    handler->inside--;
}

static void removed_real(struct weir_reactor *on, void *context)
{
    (void)on;
    struct handler *handler = context;
    assert_int_equal(handler->inside, 0);
    assert_false(handler->removed_told);
    handler->removed_told = true;
}

/* ---- Each act, on both sides ---- */

static void add(struct world *world, uint32_t pattern, int32_t priority, uint32_t times)
{
    if (world->count == HANDLERS_MAX)
        return;
    struct handler *handler = &world->handlers[world->count];
    if (!patterns[pattern])
        priority = 0;
    *handler = (struct handler){
        .world = world, .number = world->count, .pattern = pattern, .priority = priority, .remaining = times, .there = true};
    world->count++;
    if (!world->fixture)
        return;
    struct weir_on_options options = WEIR_OPTIONS(struct weir_on_options);
    options.priority = priority;
    options.times = times;
    options.on_removed = removed_real;
    if (patterns[pattern])
        assert_int_equal(weir_on_with(world->fixture->reactor, patterns[pattern], run_real, handler, &options,
                                      &handler->subscription),
                         0);
    else
        assert_int_equal(weir_any(world->fixture->reactor, run_real, handler), 0);
}

/* `any` has no handle and no limit: it is removed by match. */
static bool take_away(struct world *world, uint32_t number)
{
    struct handler *handler = &world->handlers[number];
    bool there = handler->there;
    if (!world->fixture) {
        handler->there = false;
        return there;
    }
    if (patterns[handler->pattern])
        return weir_off(world->fixture->reactor, handler->subscription) == 0;
    return weir_off_match(world->fixture->reactor, NULL, run_real, handler) == 0;
}

static uint32_t take_all_away(struct world *world, uint32_t pattern)
{
    uint32_t count = 0;
    if (world->fixture)
        return patterns[pattern] ? weir_off_all(world->fixture->reactor, patterns[pattern]) : 0;
    for (uint32_t i = 0; patterns[pattern] && i < world->count; i++) {
        struct handler *handler = &world->handlers[i];
        count += handler->there && handler->pattern == pattern;
        handler->there = handler->there && handler->pattern != pattern;
    }
    return count;
}

static bool hears(const struct handler *handler, uint32_t topic)
{
    struct weir_path pattern, name;
    uint16_t pattern_ends[WEIR_PATH_PARTS_MAX], name_ends[WEIR_PATH_PARTS_MAX];
    if (!handler->there || !patterns[handler->pattern])
        return handler->there;
    assert_int_equal(weir_path_cut(&pattern, patterns[handler->pattern], pattern_ends), 0);
    assert_int_equal(weir_path_cut(&name, topics[topic], name_ends), 0);
    return weir_path_match(&pattern, &name);
}

static bool before(const struct handler *a, const struct handler *b)
{
    bool a_any = !patterns[a->pattern], b_any = !patterns[b->pattern];
    if (a_any != b_any)
        return a_any;
    return a->priority != b->priority ? a->priority > b->priority : a->number < b->number;
}

static uint32_t tell_model(struct world *world, uint32_t topic)
{
    struct handler *listed[HANDLERS_MAX];
    uint32_t count = 0, told = 0;
    for (uint32_t i = 0; i < world->count; i++) {
        struct handler *handler = &world->handlers[i];
        if (!hears(handler, topic))
            continue;
        uint32_t at = count++;
        for (; at > 0 && before(handler, listed[at - 1]); at--)
            listed[at] = listed[at - 1];
        listed[at] = handler;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!listed[i]->there)
            continue;
        if (listed[i]->remaining > 0 && --listed[i]->remaining == 0)
            listed[i]->there = false;
        behave(listed[i]);
        told++;
    }
    return told;
}

static void tell(struct world *world, uint32_t topic)
{
    uint32_t told;
    if (world->depth == DEPTH_MAX)
        return;
    world->depth++;
    note(world, 1000000 + topic);
    if (world->fixture)
        told = (uint32_t)weir_emit(world->fixture->reactor, world->topic[topic], NULL, 0);
    else
        told = tell_model(world, topic);
    note(world, 2000000 + told);
    world->depth--;
}

static void take_step(struct world *world, uint64_t *chance)
{
    uint32_t kind = (uint32_t)(draw(chance) % 16);
    uint64_t x = draw(chance), y = draw(chance), z = draw(chance);
    if (kind < 6)
        tell(world, (uint32_t)(x % TOPIC_COUNT));
    else if (kind < 11)
        add(world, (uint32_t)(x % PATTERN_COUNT), (int32_t)(y % 3) - 1,
            patterns[x % PATTERN_COUNT] && z % 3 == 0 ? 1 + (uint32_t)(z / 3 % 3) : 0);
    else if (kind < 15 && world->count > 0)
        note(world, 3000000 + take_away(world, (uint32_t)(x % world->count)));
    else if (kind == 15 && y % 4 == 0)
        note(world, 4000000 + take_all_away(world, (uint32_t)(x % PATTERN_COUNT)));
}

/* A handler runs: it leaves its number, and now and then takes a step or two. */
static void behave(struct handler *handler)
{
    struct world *world = handler->world;
    uint64_t chance = world->seed ^ ((uint64_t)handler->number << 32) ^ ++handler->runs;
    note(world, handler->number);
    draw(&chance);
    for (uint64_t steps = draw(&chance) % 4; steps > 2; steps--)
        take_step(world, &chance);
    if (handler->runs % 5 == 0)
        take_step(world, &chance);
}

static void compare(const struct world *model, const struct world *real, uint64_t seed)
{
    for (uint32_t i = 0; i < model->trail_count && i < real->trail_count; i++)
        if (model->trail[i] != real->trail[i])
            fail_msg("seed %llu: step %u: the model says %u, the runtime %u", (unsigned long long)seed, i,
                     model->trail[i], real->trail[i]);
    assert_int_equal(model->trail_count, real->trail_count);
    assert_int_equal(model->count, real->count);
}

static uint32_t run_world(struct world *world, struct fixture *fixture, uint64_t seed)
{
    memset(world, 0, sizeof *world);
    world->fixture = fixture;
    world->seed = seed;
    for (uint32_t i = 0; fixture && i < TOPIC_COUNT; i++)
        world->topic[i] = topic_of(fixture, topics[i]);
    uint64_t chance = seed;
    for (uint32_t step = 0; step < STEPS; step++)
        take_step(world, &chance);
    return world->trail_count;
}

static void random_changes_from_inside_handlers_follow_the_model(void **state)
{
    (void)state;
    static struct world model, real;
    static struct fixture fixture;
    uint64_t words = 0;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        open_fixture(&fixture, 1);
        weir_listeners_warn_at(fixture.reactor, 0);
        words += run_world(&model, NULL, seed);
        run_world(&real, &fixture, seed);
        compare(&model, &real, seed);
        settle(&fixture);
        for (uint32_t i = 0; i < real.count; i++) /* who is gone was told, who is not was not */
            if (patterns[real.handlers[i].pattern])
                assert_int_equal(real.handlers[i].removed_told, !model.handlers[i].there);
        close_fixture(&fixture);
    }
    assert_true(words > ROUNDS * 100); /* something happened */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_from_inside_handlers_follow_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
