/*
 * tests/soak/posts.c - keyed posts between reactors: in order for each key, none lost, none twice, whatever happens.
 *
 * Each reactor, and a foreign thread through a lane, is a source with a counter for each key; every event carries the number its
 * source gave it for that key. The handler may be stolen, so it must find the very next number each time: its table has no lock,
 * and a key's place is touched by one thread at a time if, and only if, weir serialises it.
 *
 * A round goes through three loads, then stops in the middle of the first: what was taken must still be handled.
 *     flood    every source posts until it is told that a ring is full, and goes on when it is resumed
 *     skew     reactor 0 alone gets slow work, so that the others come and steal
 *     trickle  an event every few milliseconds: reactors park and are woken
 */
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <time.h>
#include <errno.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "tests/soak/soak.h"

enum {
    KEYS = 256,
    REACTORS = 4,
    LANE = REACTORS, /* the foreign thread's place among the sources */
    SOURCES = REACTORS + 1,
    BURST = 1500,    /* more than a ring holds */
    WORK_ROUNDS = 400,
    PATIENCE_S = 60,
};

enum load { LOAD_NONE, LOAD_FLOOD, LOAD_SKEW, LOAD_TRICKLE, LOADS };

static const char *const load_names[LOADS] = {"stop", "flood", "skew", "trickle"};

struct body {
    uint32_t source;
    uint32_t home; /* the reactor it was posted to */
    uint64_t number;
    uint8_t more[112]; /* of every other event: then it travels in a buffer */
};

struct stream { /* from one reactor to one; touched by `from` alone */
    struct posts *posts;
    struct weir_reactor *from;
    struct weir_waiter waiter;
    struct weir_timer timer;
    uint32_t to;
    uint32_t turn;
    bool waiting;
    uint64_t numbers[KEYS];
    weir_atomic_u64 posted __attribute__((aligned(128)));
};

struct posts {
    struct soak *soak;
    struct weir_runtime *runtime;
    struct weir_topic topic;
    uint32_t reactor_count;
    weir_atomic_u32 load;
    weir_atomic_u64 wrong_order;
    struct stream streams[REACTORS][REACTORS];
    uint64_t lane_numbers[KEYS]; /* the foreign thread's */
    weir_atomic_u64 lane_posted;
    struct {
        uint64_t next[SOURCES];
    } seen[REACTORS][KEYS]; /* by home */
    struct {
        weir_atomic_u64 count __attribute__((aligned(128)));
    } handled[REACTORS];
};

static void work_a_little(void)
{
    for (uint32_t i = 0; i < WORK_ROUNDS; i++)
        weir_cpu_relax();
}

static void on_event(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    struct posts *posts = context;
    const struct body *body = event->body;
    uint64_t *next = &posts->seen[body->home][event->key].next[body->source];
    if (body->number != *next)
        weir_fetch_add(&posts->wrong_order, 1, relaxed);
    *next = body->number + 1;
    if (weir_load(&posts->load, relaxed) == LOAD_SKEW)
        work_a_little();
    weir_fetch_add(&posts->handled[weir_reactor_index(on)].count, 1, release);
}

static void on_room(struct weir_reactor *reactor, void *context);

/* Up to `count` events; false: told to wait, and will be resumed. */
static bool post_some(struct stream *stream, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t key = stream->turn % KEYS;
        struct body body = {.source = weir_reactor_index(stream->from), .home = stream->to, .number = stream->numbers[key]};
        uint32_t bytes = stream->turn & 1 ? sizeof body : offsetof(struct body, more);
        int result = weir_post_keyed(stream->from, stream->posts->topic, stream->to, key, &body, bytes);
        if (result == 0) {
            stream->numbers[key]++;
            stream->turn++;
            weir_fetch_add(&stream->posted, 1, relaxed);
            continue;
        }
        if (!stream->waiting) {
            stream->waiting = true;
            stream->waiter = (struct weir_waiter){.resume = on_room, .context = stream};
            weir_post_resume(stream->from, stream->to, &stream->waiter);
        }
        return false;
    }
    return true;
}

static void on_tick(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    struct stream *stream = context;
    uint32_t load = weir_load(&stream->posts->load, relaxed);
    uint32_t from = weir_reactor_index(reactor);
    uint64_t again_ns = 3000000;
    if (load == LOAD_TRICKLE)
        post_some(stream, 1);
    bool busy = load == LOAD_FLOOD || (load == LOAD_SKEW && from == 0 && stream->to == 0);
    if (busy && !stream->waiting && post_some(stream, BURST))
        again_ns = 0;
    weir_timer_set(reactor, timer, again_ns, on_tick, stream);
}

static void on_room(struct weir_reactor *reactor, void *context)
{
    struct stream *stream = context;
    stream->waiting = false;
    if (weir_load(&stream->posts->load, relaxed) != LOAD_NONE)
        weir_timer_set(reactor, &stream->timer, 0, on_tick, stream);
}

static int on_start(struct weir_reactor *reactor, void *context)
{
    struct posts *posts = context;
    uint32_t index = weir_reactor_index(reactor);
    struct weir_on_options options = WEIR_OPTIONS(struct weir_on_options);
    options.keyed = true;
    options.stealable = true;
    struct weir_topic topic;
    int result = weir_topic_open(reactor, "soak", &topic);
    if (index == 0)
        posts->topic = topic;
    if (result == 0)
        result = weir_on_with(reactor, "soak", on_event, posts, &options, NULL);
    for (uint32_t to = 0; result == 0 && to < posts->reactor_count; to++) {
        struct stream *stream = &posts->streams[index][to];
        stream->posts = posts;
        stream->from = reactor;
        stream->to = to;
        weir_timer_set(reactor, &stream->timer, 1000000, on_tick, stream);
    }
    return result;
}

/* The foreign thread: keys spread over the reactors by its own choice, a little at a time. */
static void *post_from_outside(void *context)
{
    struct posts *posts = context;
    struct weir_lane *lane;
    struct timespec pause = {0, 200000};
    if (weir_lane_open(posts->runtime, &lane) < 0)
        return NULL;
    for (uint32_t turn = 0; weir_load(&posts->load, relaxed) != LOAD_NONE; turn++) {
        uint64_t key = turn % KEYS;
        struct body body = {.source = LANE, .home = (uint32_t)key % posts->reactor_count, .number = posts->lane_numbers[key]};
        uint32_t bytes = turn & 1 ? sizeof body : offsetof(struct body, more);
        while (weir_lane_post(lane, posts->topic, body.home, true, key, &body, bytes) == -EAGAIN)
            nanosleep(&pause, NULL);
        posts->lane_numbers[key]++;
        weir_fetch_add(&posts->lane_posted, 1, relaxed);
        if (turn % 64 == 0)
            nanosleep(&pause, NULL);
    }
    weir_lane_close(lane);
    return context;
}

static uint64_t posted(struct posts *posts)
{
    uint64_t count = weir_load(&posts->lane_posted, relaxed);
    for (uint32_t from = 0; from < posts->reactor_count; from++)
        for (uint32_t to = 0; to < posts->reactor_count; to++)
            count += weir_load(&posts->streams[from][to].posted, relaxed);
    return count;
}

static uint64_t handled(struct posts *posts)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < posts->reactor_count; i++)
        count += weir_load(&posts->handled[i].count, acquire);
    return count;
}

static void last(struct posts *posts, enum load load, uint64_t until_ns)
{
    struct timespec step = {0, 20000000};
    weir_store(&posts->load, load, relaxed);
    while (soak_now_ns() < until_ns) {
        soak_draw(posts->soak, load_names[load]);
        nanosleep(&step, NULL);
    }
}

/* Every place has seen exactly the numbers its source gave out. */
static uint64_t places_behind(struct posts *posts)
{
    uint64_t behind = 0;
    for (uint32_t home = 0; home < posts->reactor_count; home++)
        for (uint32_t key = 0; key < KEYS; key++) {
            for (uint32_t from = 0; from < posts->reactor_count; from++)
                behind += posts->seen[home][key].next[from] != posts->streams[from][home].numbers[key];
            uint64_t outside = key % posts->reactor_count == home ? posts->lane_numbers[key] : 0;
            behind += posts->seen[home][key].next[LANE] != outside;
        }
    return behind;
}

static void sum_counters(struct posts *posts, struct weir_reactor_counters *sum)
{
    *sum = (struct weir_reactor_counters){0};
    for (uint32_t i = 0; i < posts->reactor_count; i++) {
        struct weir_reactor_counters one;
        weir_reactor_counters_read(weir_runtime_reactor(posts->runtime, i), &one);
        sum->strands_stolen += one.strands_stolen;
        sum->mail_full += one.mail_full;
        sum->parks += one.parks;
        sum->wakes_sent += one.wakes_sent;
    }
}

static void check_round(struct posts *posts, const char *shape, struct weir_reactor_counters *all)
{
    struct soak *soak = posts->soak;
    uint64_t sent = posted(posts), arrived = handled(posts), wrong = weir_load(&posts->wrong_order, relaxed);
    soak_check(soak, sent == arrived, "%s: %llu events posted, %llu handled", shape, (unsigned long long)sent,
               (unsigned long long)arrived);
    soak_check(soak, wrong == 0, "%s: %llu events out of order", shape, (unsigned long long)wrong);
    uint64_t behind = places_behind(posts);
    soak_check(soak, behind == 0, "%s: %llu keys did not see what was posted", shape, (unsigned long long)behind);
    struct weir_reactor_counters sum;
    sum_counters(posts, &sum);
    soak_check(soak, sum.mail_full > 0, "%s: no ring was ever full", shape);
    soak_check(soak, sum.parks > 0 && sum.wakes_sent > 0, "%s: nobody parked and was woken", shape);
    all->strands_stolen += sum.strands_stolen;
    soak_say(soak, "posts, %s: %llu events, %llu strands stolen, %llu times full, %llu parks, %llu wakes", shape,
             (unsigned long long)arrived, (unsigned long long)sum.strands_stolen, (unsigned long long)sum.mail_full,
             (unsigned long long)sum.parks, (unsigned long long)sum.wakes_sent);
}

/* After a load everything arrives; at the end it is the stop that must see to it. */
static void run_loads(struct posts *posts, const char *shape, uint64_t until_ns)
{
    pthread_t outside;
    uint64_t part_ns = (until_ns - soak_now_ns()) / 4;
    weir_store(&posts->load, LOAD_TRICKLE, relaxed);
    bool outside_runs = pthread_create(&outside, NULL, post_from_outside, posts) == 0;
    for (enum load load = LOAD_FLOOD; load < LOADS; load++)
        last(posts, load, soak_now_ns() + part_ns);
    last(posts, LOAD_FLOOD, soak_now_ns() + part_ns / 2);
    weir_store(&posts->load, LOAD_NONE, relaxed);
    void *opened = NULL;
    if (outside_runs)
        pthread_join(outside, &opened);
    soak_check(posts->soak, opened != NULL, "%s: no lane", shape);
    weir_runtime_stop(posts->runtime);
    int result = weir_runtime_wait(posts->runtime);
    soak_check(posts->soak, result == 0, "%s: a reactor ended with %s", shape, strerror(-result));
}

static void run_round(struct soak *soak, const struct soak_shape *shape, uint64_t until_ns, struct weir_reactor_counters *all)
{
    struct posts *posts = aligned_alloc(128, (sizeof *posts + 127) & ~(size_t)127);
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    if (!posts)
        abort();
    memset(posts, 0, sizeof *posts);
    posts->soak = soak;
    posts->reactor_count = shape->reactor_count;
    options.reactor_count = shape->reactor_count;
    options.io = shape->io;
    options.drain_timeout_ns = PATIENCE_S * 1000000000ull;
    options.on_start = on_start;
    options.context = posts;
    int result = weir_runtime_open(&options, &posts->runtime);
    if (result == 0)
        result = weir_runtime_start(posts->runtime);
    if (result == -EPERM || result == -ENOSYS) {
        soak_say(soak, "posts, %s: skipped, io_uring is refused here", shape->name);
    } else if (soak_check(soak, result == 0, "%s: did not start: %s", shape->name, strerror(-result))) {
        run_loads(posts, shape->name, until_ns);
        check_round(posts, shape->name, all);
    }
    weir_runtime_close(posts->runtime);
    free(posts);
}

void soak_posts(struct soak *soak, uint64_t until_ns)
{
    struct weir_reactor_counters all = {0};
    uint64_t all_ns = until_ns - soak_now_ns();
    uint32_t rounds = SOAK_SHAPES * (uint32_t)(1 + all_ns / 1000000000u / 60); /* each about 15 s at most */
    for (uint32_t i = 0; i < rounds; i++) {
        uint64_t now_ns = soak_now_ns();
        if (now_ns >= until_ns && i >= SOAK_SHAPES)
            break;
        uint64_t left_ns = until_ns > now_ns ? (until_ns - now_ns) / (rounds - i) : 200000000;
        run_round(soak, &soak_shapes[i % SOAK_SHAPES], now_ns + left_ns, &all);
    }
    soak_check(soak, all.strands_stolen > 0, "nothing was ever stolen");
}
