/*
 * tests/runtime/live_fixture.h - a real runtime on each io: io_uring, io_uring as of Linux 6.1, epoll.
 *
 * Its reactors are turned by hand on the test's thread, so that every case says when what happens; peers are plain sockets of the
 * test. A kernel that denies io_uring skips its cases.
 */
#ifndef WEIR_TESTS_LIVE_FIXTURE_H
#define WEIR_TESTS_LIVE_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/weir.h>

#define PATIENCE_NS (30 * 1000000000ull) /* longer than any machine takes; never waited for when all is well */

struct variant {
    const char *name;
    uint32_t io;
    uint32_t level;
};

static const struct variant variants[] = {
    {"io_uring", WEIR_IO_URING, 0},
    {"io_uring_6.1", WEIR_IO_URING, 601},
    {"epoll", WEIR_IO_EPOLL, 0},
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

struct live {
    struct weir_runtime *runtime;
    struct weir_reactor *reactor; /* the first */
    uint32_t count;
};

static inline uint64_t clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline struct weir_runtime_options options_of(void **state, uint32_t reactor_count)
{
    const struct variant *variant = *state;
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = reactor_count;
    options.io = variant->io;
    options.io_level = variant->level;
    return options;
}

static inline bool is_refusal(int result)
{
    return result == -EPERM || result == -ENOSYS;
}

static inline void turn_once(struct live *live, uint32_t index, uint64_t wait_ns)
{
    assert_true(weir_reactor_run_once(weir_runtime_reactor(live->runtime, index), wait_ns) >= 0);
}

static inline void open_live_with(struct live *live, void **state, struct weir_runtime_options options)
{
    live->count = options.reactor_count;
    assert_int_equal(weir_runtime_open(&options, &live->runtime), 0);
    live->reactor = weir_runtime_reactor(live->runtime, 0);
    int result = weir_reactor_run_once(live->reactor, 0);
    if (is_refusal(result) && ((const struct variant *)*state)->io == WEIR_IO_URING) {
        weir_runtime_close(live->runtime);
        skip();
    }
    assert_true(result >= 0);
    for (uint32_t i = 1; i < live->count; i++)
        turn_once(live, i, 0);
}

static inline void open_live(struct live *live, void **state, uint32_t reactor_count)
{
    open_live_with(live, state, options_of(state, reactor_count));
}

static inline void close_live(struct live *live)
{
    weir_runtime_close(live->runtime);
}

static inline void turn_all(struct live *live)
{
    for (uint32_t i = 0; i < live->count; i++)
        turn_once(live, i, live->count == 1 ? 1000000 : 0);
}

/* Turns until `condition`; fails when it does not come for PATIENCE_NS. */
#define TURN_UNTIL(live, condition)                            \
    do {                                                       \
        uint64_t give_up_ns = clock_now_ns() + PATIENCE_NS;    \
        while (!(condition)) {                                 \
            turn_all(live);                                    \
            if (clock_now_ns() > give_up_ns)                   \
                fail_msg("%s: never", #condition);             \
        }                                                      \
    } while (0)

/* Enough turns that what is on its way would have come. */
static inline void turn_a_while(struct live *live)
{
    for (int i = 0; i < 20; i++)
        turn_all(live);
}

/* ---- plain sockets ---- */

static inline int plain_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {30, 0};
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

static inline int dial(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = plain_socket();
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static inline void set_nonblocking(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

/* Byte number `at` of every stream in these tests: no two places near each other look alike. */
static inline uint8_t byte_at(uint64_t at)
{
    return (uint8_t)(at * 31 + (at >> 8) * 17 + (at >> 16) * 7);
}

static inline void fill_bytes(uint8_t *bytes, size_t byte_count, uint64_t from)
{
    for (size_t i = 0; i < byte_count; i++)
        bytes[i] = byte_at(from + i);
}

static inline bool bytes_are(const void *bytes, size_t byte_count, uint64_t from)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < byte_count; i++)
        if (at[i] != byte_at(from + i))
            return false;
    return true;
}

struct live_case {
    const char *name;
    CMUnitTestFunction run;
};
#define LIVE_CASE(function) {#function, function}

/* Every case on every io. */
static inline int run_live_cases(const char *group, const struct live_case *cases, size_t count)
{
    struct CMUnitTest *tests = calloc(count * VARIANTS, sizeof *tests);
    for (size_t i = 0; tests && i < count * VARIANTS; i++) {
        char *name = NULL;
        if (asprintf(&name, "%s/%s", cases[i / VARIANTS].name, variants[i % VARIANTS].name) < 0)
            return 1;
        tests[i] = (struct CMUnitTest){.name = name,
                                       .test_func = cases[i / VARIANTS].run,
                                       .initial_state = (void *)(uintptr_t)&variants[i % VARIANTS]};
    }
    int failed = tests ? _cmocka_run_group_tests(group, tests, count * VARIANTS, NULL, NULL) : 1;
    for (size_t i = 0; tests && i < count * VARIANTS; i++)
        free((void *)(uintptr_t)tests[i].name);
    free(tests);
    return failed;
}
#define RUN_LIVE_CASES(group, cases) run_live_cases(group, cases, sizeof(cases) / sizeof((cases)[0]))

#endif
