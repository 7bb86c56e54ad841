/*
 * tests/runtime/topic_fixture.h - a runtime whose reactors are turned by hand, on the test's own thread.
 */
#ifndef WEIR_TESTS_TOPIC_FIXTURE_H
#define WEIR_TESTS_TOPIC_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weir/runtime.h>
#include <weir/topic.h>

enum { LOG_LINES_MAX = 64, LOG_LINE_BYTES = 600 };

struct fixture {
    struct weir_runtime *runtime;
    struct weir_reactor *reactor; /* the first */
    uint32_t line_count;
    enum weir_log_level levels[LOG_LINES_MAX];
    char lines[LOG_LINES_MAX][LOG_LINE_BYTES];
};

static inline void keep_line(void *context, enum weir_log_level level, const char *line)
{
    struct fixture *fixture = context;
    if (fixture->line_count == LOG_LINES_MAX)
        return;
    fixture->levels[fixture->line_count] = level;
    snprintf(fixture->lines[fixture->line_count++], LOG_LINE_BYTES, "%s", line);
}

static inline uint32_t lines_with(const struct fixture *fixture, enum weir_log_level level, const char *text)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < fixture->line_count; i++)
        count += fixture->levels[i] == level && strstr(fixture->lines[i], text) != NULL;
    return count;
}

static inline struct weir_runtime_options plain_options(uint32_t reactor_count)
{
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = reactor_count;
    options.io = WEIR_IO_EPOLL;
    options.no_spin = true;
    options.stall_budget_ns = UINT64_MAX / 2;
    options.drain_timeout_ns = 1000 * 1000; /* closing turns one reactor after the other: none waits for its peers */
    return options;
}

static inline void open_with(struct fixture *fixture, struct weir_runtime_options options)
{
    memset(fixture, 0, sizeof *fixture);
    options.log = keep_line;
    options.log_context = fixture;
    assert_int_equal(weir_runtime_open(&options, &fixture->runtime), 0);
    fixture->reactor = weir_runtime_reactor(fixture->runtime, 0);
}

static inline void open_fixture(struct fixture *fixture, uint32_t reactor_count)
{
    open_with(fixture, plain_options(reactor_count));
}

static inline void close_fixture(struct fixture *fixture)
{
    weir_runtime_close(fixture->runtime);
    fixture->runtime = NULL;
}

static inline struct weir_topic topic_of(struct fixture *fixture, const char *name)
{
    struct weir_topic topic;
    assert_int_equal(weir_topic_open(fixture->reactor, name, &topic), 0);
    return topic;
}

static inline struct weir_reactor *reactor_at(struct fixture *fixture, uint32_t index)
{
    return weir_runtime_reactor(fixture->runtime, index);
}

static inline int turn(struct fixture *fixture, uint32_t index)
{
    int done = weir_reactor_run_once(reactor_at(fixture, index), 0);
    assert_true(done >= 0);
    return done;
}

/* Turn all of them until none has anything to do, for two rounds: what one sends last another takes in the next. */
static inline void settle(struct fixture *fixture)
{
    uint32_t count = weir_runtime_reactor_count(fixture->runtime);
    for (uint32_t quiet = 0, rounds = 0; quiet < 3; rounds++) {
        int done = 0;
        for (uint32_t i = 0; i < count; i++)
            done += turn(fixture, i);
        quiet = done > 0 ? 0 : quiet + 1;
        assert_true(rounds < 1000000);
    }
}

/* What handlers did, in order: each appends a letter. */
struct trail {
    char text[256];
    uint32_t count;
};

static inline void leave(struct trail *trail, char letter)
{
    assert_true(trail->count < sizeof trail->text - 1);
    trail->text[trail->count++] = letter;
    trail->text[trail->count] = '\0';
}

struct mark {
    struct trail *trail;
    char letter;
};

static inline void leave_mark(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)on;
    (void)event;
    struct mark *mark = context;
    leave(mark->trail, mark->letter);
}

static inline void leave_removed(struct weir_reactor *on, void *context)
{
    (void)on;
    struct mark *mark = context;
    leave(mark->trail, (char)(mark->letter - 'a' + 'A'));
}

static inline int install(struct fixture *fixture, const char *pattern, struct mark *mark, int32_t priority,
                          uint32_t times, struct weir_subscription *subscription_out)
{
    struct weir_on_options options = WEIR_OPTIONS(struct weir_on_options);
    options.priority = priority;
    options.times = times;
    options.on_removed = leave_removed;
    return weir_on_with(fixture->reactor, pattern, leave_mark, mark, &options, subscription_out);
}

#endif
