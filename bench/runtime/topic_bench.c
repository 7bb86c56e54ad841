/*
 * bench/runtime/topic_bench.c - events on one reactor: emitted to so many handlers, of the name or of a pattern; posted here.
 */
#include <stdlib.h>

#include <weir/weir.h>

#include "bench/shim.h"

enum { BURST = 64 };

static void add(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)on;
    *(uint64_t *)context += *(const uint64_t *)event->body;
}

static struct weir_reactor *reactor_open(struct weir_runtime **runtime_out)
{
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = 1;
    if (weir_runtime_open(&options, runtime_out) != 0)
        abort();
    struct weir_reactor *reactor = weir_runtime_reactor(*runtime_out, 0);
    if (weir_reactor_run_once(reactor, 0) < 0)
        abort();
    return reactor;
}

static void emit(struct shim_state *state, int64_t handler_count, const char *pattern)
{
    static uint64_t sums[128];
    struct weir_runtime *runtime;
    struct weir_reactor *reactor = reactor_open(&runtime);
    struct weir_topic topic;
    uint64_t value = 1;
    if (weir_topic_open(reactor, "user.login", &topic) != 0)
        abort();
    for (int64_t i = 0; i < handler_count; i++)
        if (weir_on(reactor, pattern, add, &sums[i]) != 0)
            abort();
    while (shim_running(state))
        (void)weir_emit(reactor, topic, &value, sizeof value);
    shim_items(state, 1);
    weir_runtime_close(runtime);
}

static void emit_exact(struct shim_state *state, int64_t handler_count)
{
    emit(state, handler_count, "user.login");
}
SHIM_BENCH("emit/handlers", emit_exact, 0, 1, 10, 100)

static void emit_wild(struct shim_state *state, int64_t handler_count)
{
    emit(state, handler_count, "*.login");
}
SHIM_BENCH("emit_wild/handlers", emit_wild, 1, 10)

/* 64 posts and the turn that runs them. */
static void post_here(struct shim_state *state, int64_t body_bytes)
{
    static uint64_t sum;
    static uint8_t body[4096];
    struct weir_runtime *runtime;
    struct weir_reactor *reactor = reactor_open(&runtime);
    struct weir_topic topic;
    if (weir_topic_open(reactor, "user.login", &topic) != 0 ||
        weir_on(reactor, "user.login", add, &sum) != 0)
        abort();
    while (shim_running(state)) {
        for (int i = 0; i < BURST; i++)
            if (weir_post(reactor, topic, WEIR_TO_HERE, body, (uint32_t)body_bytes) != 0)
                break;
        (void)weir_reactor_run_once(reactor, 0);
    }
    shim_items(state, BURST);
    weir_runtime_close(runtime);
}
SHIM_BENCH("post_here_64/body_bytes", post_here, 8, 64, 1024)
