/*
 * bench/weir/dispatch.c - tasks made on one of two reactors, with weir_post; the other gets what it steals.
 *
 * backlog: 1 us of work each, never more than 1,024 unfinished. burst: 256 made, then run to the end, before the next.
 * empty: as backlog, no work in them. keys: 1,000 keys, each key's events in order. balanced: each reactor makes its
 * own; with stealing, and without (balanced.off).
 */
#include <errno.h>
#include <string.h>

#include "bench/weir/pair.h"

enum { BURST = 256, BACKLOG = 1024, KEYS = 1000, KEYS_BACKLOG = 8192 };

struct shape {
    bool work;
    bool burst;
    bool keyed;
    bool both;
    bool no_steal;
    uint32_t backlog;
};

struct counter {
    _Alignas(128) atomic_uint_fast64_t done; /* written by the reactor that ran the task */
};

struct bench {
    const struct shape *shape;
    uint64_t cycles;
    struct counter counters[2];
    _Alignas(128) atomic_int sides_over;
    int64_t last[KEYS]; /* of each key: whoever runs the key's strand */
};

static uint64_t cycles_per_us;

static void task(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    struct bench *bench = context;
    measure_spin(bench->cycles);
    if (bench->shape->keyed) {
        int64_t value;
        memcpy(&value, event->body, sizeof value);
        if (value <= bench->last[event->key])
            measure_fail("order");
        bench->last[event->key] = value;
    }
    atomic_uint_fast64_t *done = &bench->counters[weir_reactor_index(on)].done;
    atomic_store_explicit(done, atomic_load_explicit(done, memory_order_relaxed) + 1,
                          memory_order_release);
}

static int on_start(struct weir_reactor *reactor, void *context)
{
    struct weir_on_options options = WEIR_OPTIONS(struct weir_on_options);
    options.stealable = true;
    return weir_on_with(reactor, "task", task, context, &options, NULL);
}

static uint64_t done(const struct bench *bench)
{
    return atomic_load_explicit(&bench->counters[0].done, memory_order_acquire) +
           atomic_load_explicit(&bench->counters[1].done, memory_order_acquire);
}

/* Post up to `room` tasks; how many. */
static uint64_t make(struct bench *bench, struct weir_reactor *me, struct weir_topic topic,
                     uint64_t made, uint64_t room)
{
    for (uint64_t i = 0; i < room; i++) {
        uint64_t value = made + i;
        int result = bench->shape->keyed ? weir_post_keyed(me, topic, WEIR_TO_HERE, value % KEYS,
                                                           &value, sizeof value)
                                         : weir_post(me, topic, WEIR_TO_HERE, &value, sizeof value);
        if (result == -EAGAIN)
            return i;
        if (result != 0)
            measure_fail("a post failed");
    }
    return room;
}

/* `mine`: whose end counts as mine - all of them, or what this reactor ran when both make their own. */
static void maker(struct pair *pair, int side, uint64_t count)
{
    struct bench *bench = pair->context;
    const struct shape *shape = bench->shape;
    struct weir_reactor *me = pair->reactors[side];
    struct weir_topic topic;
    if (weir_topic_open(me, "task", &topic) != 0)
        measure_fail("no topic");
    uint64_t made = 0, all = shape->both ? 2 * count : count;
    double from = measure_now_s();
    while (made < count) {
        uint64_t finished = shape->both ? atomic_load(&bench->counters[side].done) : done(bench);
        uint64_t open = made > finished ? made - finished : 0;
        uint64_t room = open < shape->backlog ? shape->backlog - open : 0;
        if (shape->burst)
            room = open == 0 ? BURST : 0;
        made += make(bench, me, topic, made, room < count - made ? room : count - made);
        (void)weir_reactor_run_once(me, 0);
    }
    while (done(bench) < all)
        (void)weir_reactor_run_once(me, 0);
    if (side == 0)
        pair->took = measure_now_s() - from;
}

static void side_0(uint64_t count, void *context)
{
    struct pair *pair = context;
    pair_begin(pair, 0);
    maker(pair, 0, count);
    atomic_store(&pair->over, true);
}

static void side_1(uint64_t count, void *context)
{
    struct pair *pair = context;
    struct bench *bench = pair->context;
    struct weir_reactor *me = pair_begin(pair, 1);
    if (bench->shape->both)
        maker(pair, 1, count);
    while (!atomic_load_explicit(&pair->over, memory_order_relaxed))
        (void)weir_reactor_run_once(me, 1000000);
}

static double run(uint64_t count, const void *argument)
{
    const struct shape *shape = argument;
    struct pair pair = {0};
    struct bench bench = {.shape = shape, .cycles = shape->work ? cycles_per_us : 0};
    for (int i = 0; i < KEYS; i++)
        bench.last[i] = -1;
    pair_open(&pair, shape->no_steal, on_start, &bench);
    (void)measure_two(side_0, side_1, shape->both ? count / 2 : count, &pair);
    weir_runtime_close(pair.runtime);
    return pair.took;
}

int main(int argc, char **argv)
{
    static const struct shape backlog = {.work = true, .backlog = BACKLOG},
                              burst = {.work = true, .burst = true}, empty = {.backlog = BACKLOG},
                              keys = {.keyed = true, .backlog = KEYS_BACKLOG},
                              balanced = {.work = true, .both = true, .backlog = BACKLOG},
                              off = {
                                  .work = true, .both = true, .no_steal = true, .backlog = BACKLOG};
    static const struct measure_case cases[] = {
        {"dispatch.backlog", "1/s", run, &backlog},   {"dispatch.burst", "1/s", run, &burst},
        {"dispatch.empty", "1/s", run, &empty},       {"dispatch.keys", "1/s", run, &keys},
        {"dispatch.balanced", "1/s", run, &balanced}, {"dispatch.balanced.off", "1/s", run, &off},
    };
    measure_pin(0);
    cycles_per_us = measure_cycles_per_us();
    return measure_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
