/*
 * bench/weir/post.c - weir_post to another reactor, bursts of 64, bodies that fit the slot: a 64-byte slot each, whole turns.
 *
 * Both reactors turn without rest: the ring below, which is the measure, does so too.
 */
#include <errno.h>
#include <string.h>

#include "bench/weir/pair.h"

enum { BURST = 64, BODY_BYTES = 24 };

struct receiver {
    uint64_t seen; /* the receiving reactor's */
    _Alignas(128) atomic_uint_fast64_t seen_shown;
};

static void on_event(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    struct receiver *receiver = context;
    uint64_t value;
    (void)on;
    memcpy(&value, event->body, sizeof value);
    if (value != receiver->seen++)
        measure_fail("order");
}

static int on_start(struct weir_reactor *reactor, void *context)
{
    return weir_reactor_index(reactor) == 1 ? weir_on(reactor, "tick", on_event, context) : 0;
}

static void sender(uint64_t count, void *context)
{
    struct pair *pair = context;
    struct receiver *receiver = pair->context;
    struct weir_reactor *me = pair_begin(pair, 0);
    struct weir_topic topic;
    uint64_t body[BODY_BYTES / 8] = {0};
    if (weir_topic_open(me, "tick", &topic) != 0)
        measure_fail("no topic");
    double from = measure_now_s();
    for (uint64_t i = 0; i < count;) {
        for (uint64_t end = i + BURST; i < end; i++) {
            body[0] = i;
            while (weir_post(me, topic, 1, body, sizeof body) == -EAGAIN)
                (void)weir_reactor_run_once(me, 0);
        }
        (void)weir_reactor_run_once(me, 0);
    }
    while (atomic_load_explicit(&receiver->seen_shown, memory_order_acquire) < count)
        (void)weir_reactor_run_once(me, 0);
    pair->took = measure_now_s() - from;
    atomic_store(&pair->over, true);
}

static void receive(uint64_t count, void *context)
{
    struct pair *pair = context;
    struct receiver *receiver = pair->context;
    struct weir_reactor *me = pair_begin(pair, 1);
    (void)count;
    while (!atomic_load_explicit(&pair->over, memory_order_relaxed)) {
        (void)weir_reactor_run_once(me, 0);
        atomic_store_explicit(&receiver->seen_shown, receiver->seen, memory_order_release);
    }
}

static double post(uint64_t count, const void *nothing)
{
    struct receiver receiver = {0};
    struct pair pair = {0};
    (void)nothing;
    pair_open(&pair, false, on_start, &receiver);
    (void)measure_two(sender, receive, count / BURST * BURST, &pair);
    weir_runtime_close(pair.runtime);
    return pair.took;
}

int main(int argc, char **argv)
{
    static const struct measure_case cases[] = {{"post.burst", "1/s", post, NULL}};
    return measure_main(argc, argv, cases, 1);
}
