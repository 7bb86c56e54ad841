/*
 * resp_session_fixture.h - a Redis server over several reactors, stepped by hand on the test's own thread, and plain
 * sockets that talk to it.
 *
 * Each reactor listens on a port of its own, so a test says on which one a client lives. Nothing moves but by a step.
 */
#ifndef TESTS_RESP_SESSION_FIXTURE_H
#define TESTS_RESP_SESSION_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/resp/resp_command.h"

enum { REACTORS_MAX = 4, ROUNDS_MAX = 4000, RECEIVED_BYTES_MAX = 1 << 20 };

struct world { /* what a case runs on: the parameter of each test */
    uint32_t reactor_count;
    uint32_t io;
    const char *name;
    uint64_t memory_bytes_max; /* 0: the default */
};

struct fixture {
    struct weir_runtime *runtime;
    struct weir_broker *broker;
    struct weir_resp_server *server;
    struct weir_reactor *reactors[REACTORS_MAX];
    uint16_t ports[REACTORS_MAX];
    uint32_t reactor_count;
    int log_lines;
    char log[512]; /* the last warning */
};

static inline int fixture_on_start(struct weir_reactor *reactor, void *context)
{
    struct fixture *f = context;
    struct weir_tcp_listener *listener;
    int result = weir_part_open(f->broker, reactor);
    if (result == 0)
        result = weir_resp_listen(f->server, reactor, "127.0.0.1:0", &listener);
    if (result == 0)
        f->ports[reactor->index] = weir_tcp_listener_port(listener);
    return result;
}

static inline void fixture_on_stop(struct weir_reactor *reactor, void *context)
{
    (void)context;
    weir_part_close(reactor);
}

static inline void fixture_log(void *context, enum weir_log_level level, const char *line)
{
    struct fixture *f = context;
    if (level < WEIR_LOG_WARN || strstr(line, "budget"))
        return;
    f->log_lines++;
    snprintf(f->log, sizeof f->log, "%s", line);
}

static inline void step(struct fixture *f, uint32_t reactor)
{
    assert_true(weir_reactor_run_once(f->reactors[reactor], 0) >= 0);
}

static inline void step_all(struct fixture *f)
{
    for (uint32_t i = 0; i < f->reactor_count; i++)
        step(f, i);
}

/* Until nothing moves: a fixed number of rounds, far above what any exchange takes. */
static inline void settle(struct fixture *f)
{
    for (int round = 0; round < 30; round++)
        step_all(f);
}

static inline struct fixture *fixture_open(const struct world *world,
                                           const struct weir_broker_options *broker_options,
                                           const struct weir_resp_settings *settings)
{
    static const struct weir_broker_options no_broker_options;
    static const struct weir_resp_settings no_settings;
    struct fixture *f = calloc(1, sizeof *f);
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = f->reactor_count = world->reactor_count;
    options.io = world->io;
    options.no_spin = true;
    options.memory_bytes_max = world->memory_bytes_max;
    options.on_start = fixture_on_start;
    options.on_stop = fixture_on_stop;
    options.context = options.log_context = f;
    options.log = fixture_log;
    assert_int_equal(weir_runtime_open(&options, &f->runtime), 0);
    assert_int_equal(weir_broker_open(f->runtime,
                                      broker_options ? broker_options : &no_broker_options,
                                      &f->broker),
                     0);
    assert_int_equal(
        weir_resp_server_open(f->runtime, settings ? settings : &no_settings, &f->server), 0);
    for (uint32_t i = 0; i < f->reactor_count; i++) {
        f->reactors[i] = weir_runtime_reactor(f->runtime, i);
        step(f, i);
    }
    return f;
}

/* Reactors that are stepped by hand drain together only if they are stepped together. */
static inline void fixture_close(struct fixture *f)
{
    weir_runtime_stop(f->runtime);
    for (uint32_t ended = 0, round = 0; ended < f->reactor_count && round < ROUNDS_MAX; round++) {
        ended = 0;
        for (uint32_t i = 0; i < f->reactor_count; i++)
            ended += weir_reactor_run_once(f->reactors[i], 0) < 0;
    }
    weir_runtime_close(f->runtime);
    weir_resp_server_close(f->server);
    weir_broker_close(f->broker);
    free(f);
}

static inline uint32_t other(const struct fixture *f) /* another reactor, where there is one */
{
    return f->reactor_count - 1;
}

static inline struct weir_resp_counters counters(const struct fixture *f)
{
    struct weir_resp_counters sum = {0};
    for (uint32_t i = 0; i < f->reactor_count; i++) {
        struct weir_resp_counters one = weir_resp_counters(f->server, f->reactors[i]);
        for (size_t j = 0; j < sizeof sum / sizeof(uint64_t); j++)
            ((uint64_t *)&sum)[j] += ((const uint64_t *)&one)[j];
    }
    return sum;
}

/* ---- clients ---- */

static inline int client_of(struct fixture *f, uint32_t reactor)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(f->ports[reactor])};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    int on = 1;
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    uint64_t before = counters(f).connections;
    for (int round = 0; round < ROUNDS_MAX && counters(f).connections == before; round++)
        step(f, reactor);
    assert_true(counters(f).connections > before);
    return fd;
}

/* All of it, stepping while the socket is full. */
static inline void say_bytes(struct fixture *f, int fd, const void *bytes, size_t count)
{
    for (size_t at = 0; at < count;) {
        ssize_t sent = send(fd, (const char *)bytes + at, count - at, MSG_NOSIGNAL);
        if (sent > 0)
            at += (size_t)sent;
        else
            assert_int_equal(errno, EAGAIN);
        if (sent <= 0)
            step_all(f);
    }
}

static inline void say(struct fixture *f, int fd, const char *text)
{
    say_bytes(f, fd, text, strlen(text));
}

/* What has come to `fd` up to `enough` bytes, or until nothing comes any more. */
static inline size_t hear(struct fixture *f, int fd, char *text, size_t enough)
{
    size_t used = 0;
    for (int idle = 0; idle < 60 && used < enough;) {
        ssize_t more = recv(fd, text + used, enough - used, 0);
        used += more > 0 ? (size_t)more : 0;
        idle = more > 0 ? 0 : idle + 1;
        if (more <= 0)
            step_all(f);
    }
    return used;
}

static inline const char *heard(struct fixture *f, int fd)
{
    static char text[RECEIVED_BYTES_MAX];
    text[hear(f, fd, text, sizeof text - 1)] = '\0';
    return text;
}

/* Exactly this is the answer. */
static inline void answers(struct fixture *f, int fd, const char *request, const char *answer)
{
    say(f, fd, request);
    assert_string_equal(heard(f, fd), answer);
}

static inline void answers_part(struct fixture *f, int fd, const char *request, const char *part)
{
    say(f, fd, request);
    const char *text = heard(f, fd);
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static inline void is_closed(struct fixture *f, int fd)
{
    char byte;
    ssize_t result = -1;
    for (int round = 0; round < ROUNDS_MAX && result < 0; round++) {
        step_all(f);
        result = recv(fd, &byte, 1, 0);
        if (result < 0 && errno != EAGAIN)
            result = 0; /* reset */
    }
    assert_int_equal(result, 0);
}

/* ---- running each case on each world ---- */

static inline bool uring_works(void)
{
    struct weir_runtime *runtime;
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = 1;
    options.io = WEIR_IO_URING;
    if (weir_runtime_open(&options, &runtime) < 0)
        return false;
    bool works = weir_reactor_run_once(weir_runtime_reactor(runtime, 0), 0) >= 0;
    weir_runtime_close(runtime);
    return works;
}

#endif
