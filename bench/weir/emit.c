/*
 * bench/weir/emit.c - weir_emit on the reactor's own thread: 1 and 10 handlers of the name, and of a pattern with a wildcard.
 */
#include <weir/weir.h>

#include "bench/kit/measure.h"

struct emitter {
    const char *topic;
    const char *pattern;
    unsigned handler_count;
};

static struct weir_runtime *runtime;
static struct weir_reactor *reactor;

static void add(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)on;
    *(uint64_t *)context += *(const uint64_t *)event->body;
}

static double emit(uint64_t count, const void *argument)
{
    static uint64_t sums[16];
    const struct emitter *emitter = argument;
    struct weir_topic topic;
    if (weir_topic_open(reactor, emitter->topic, &topic) != 0)
        measure_fail("no topic");
    for (unsigned i = 0; i < emitter->handler_count; i++)
        if (weir_on(reactor, emitter->pattern, add, &sums[i]) != 0)
            measure_fail("no handler");
    uint64_t sum = sums[emitter->handler_count - 1];
    struct weir_reactor *on = reactor; /* as a handler has it */
    double from = measure_now_s();
    for (uint64_t i = 0; i < count; i++)
        (void)weir_emit(on, topic, &i, sizeof i);
    double took = measure_now_s() - from;
    if (sums[emitter->handler_count - 1] - sum != count * (count - 1) / 2)
        measure_fail("the last handler did not see every event");
    weir_off_all(reactor, emitter->pattern);
    (void)weir_reactor_run_once(reactor, 0);
    return took;
}

int main(int argc, char **argv)
{
    static const struct emitter one = {"one.login", "one.login", 1},
                                ten = {"ten.login", "ten.login", 10},
                                wild_one = {"user.login", "user.*", 1},
                                wild_ten = {"guest.login", "guest.*", 10};
    static const struct measure_case cases[] = {
        {"emit.1", "1/s", emit, &one},
        {"emit.10", "1/s", emit, &ten},
        {"emit.wild.1", "1/s", emit, &wild_one},
        {"emit.wild.10", "1/s", emit, &wild_ten},
    };
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = 1;
    measure_pin(0);
    if (weir_runtime_open(&options, &runtime) != 0)
        measure_fail("no runtime");
    reactor = weir_runtime_reactor(runtime, 0);
    if (weir_reactor_run_once(reactor, 0) < 0)
        measure_fail("the reactor does not turn");
    int result = measure_main(argc, argv, cases, sizeof cases / sizeof *cases);
    weir_runtime_close(runtime);
    return result;
}
