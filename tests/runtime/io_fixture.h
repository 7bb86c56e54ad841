/*
 * tests/runtime/io_fixture.h - one io of each kind for each case: io_uring, io_uring as of Linux
 * 6.1, epoll.
 *
 * A `note` is an op that writes down what its `done` was told, and fails the case when the contract
 * of runtime/io.h is broken: a call after the last one, or a last one that says more. A kernel that
 * denies io_uring skips its cases.
 */
#ifndef WEIR_TESTS_RUNTIME_IO_FIXTURE_H
#define WEIR_TESTS_RUNTIME_IO_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "runtime/io.h"

#define PATIENCE_NS \
    (20 * WEIR_S_NS) /* longer than any machine takes; never waited for when all is well */

struct variant {
    const char *name;
    struct weir_io_options options;
};

static const struct variant variants[] = {
    {"io_uring", {.choice = WEIR_IO_CHOICE_URING}},
    {"io_uring_6.1", {.choice = WEIR_IO_CHOICE_URING, .level = 601}},
    {"epoll", {.choice = WEIR_IO_CHOICE_EPOLL}},
};
enum { VARIANTS = sizeof(variants) / sizeof(variants[0]) };

static inline struct weir_io *open_io_with(const struct weir_io_options *options)
{
    struct weir_io *io = NULL;
    char why[160] = "";
    int error = weir_io_open(options, &io, why, sizeof(why));
    if (error == -EPERM || error == -ENOSYS || error == -EINVAL) {
        print_message("%s\n", why);
        skip();
    }
    assert_int_equal(error, 0);
    assert_true(strlen(why) > 0);
    return io;
}

/* The io of this case; small receive memory, so that it runs out. */
static inline struct weir_io *open_io(void **state)
{
    const struct variant *variant = *state;
    struct weir_io_options options = variant->options;
    options.recv_buffers_bytes = 64 << 10;
    return open_io_with(&options);
}

static inline bool is_uring(const struct weir_io *io)
{
    return strcmp(io->table->name, "io_uring") == 0;
}

static inline void close_io(struct weir_io *io)
{
    io->table->close(io);
}

struct note {
    struct weir_io_op op;
    uint32_t calls;
    uint32_t ends;
    int last_result; /* of the call with more == false */
    int result;      /* of the latest call */
    size_t byte_count;
    uint8_t *bytes; /* when not NULL, data are gathered here */
    size_t room;
    uint64_t sum; /* of all bytes, each multiplied with its place */
    int fds[64];  /* ACCEPT */
    uint32_t fd_count;
    struct sockaddr_storage sender;
    bool truncated;
};

static inline void note_data(struct note *note, const struct weir_io_data *data)
{
    for (size_t i = 0; i < data->byte_count; i++)
        note->sum += (note->byte_count + i + 1) * data->bytes[i];
    if (note->bytes) {
        assert_true(note->byte_count + data->byte_count <= note->room);
        memcpy(note->bytes + note->byte_count, data->bytes, data->byte_count);
    }
    note->byte_count += data->byte_count;
    if (data->sender)
        memcpy(&note->sender, data->sender, data->sender_bytes);
    note->truncated = data->truncated;
}

static inline void on_note(struct weir_io_op *op, int result, const struct weir_io_data *data,
                           bool more)
{
    struct note *note = WEIR_CONTAINER(op, struct note, op);
    assert_int_equal(note->ends, 0);
    assert_int_equal(op->armed, more);
    note->calls++;
    note->result = result;
    if (data) {
        assert_true(more);
        assert_int_equal(data->byte_count, result);
        note_data(note, data);
    } else if (op->kind == WEIR_IO_ACCEPT && result >= 0) {
        assert_true(note->fd_count < 64);
        note->fds[note->fd_count++] = result;
    }
    if (!more) {
        note->ends++;
        note->last_result = result;
    }
}

static inline void begin(struct weir_io *io, struct note *note, enum weir_io_kind kind, int fd)
{
    note->op.kind = kind;
    note->op.fd = fd;
    note->op.done = on_note;
    note->calls = note->ends = 0;
    assert_int_equal(weir_io_start(io, &note->op), 0);
}

static inline void begin_send(struct weir_io *io, struct note *note, int fd, struct iovec *iov,
                              uint32_t count)
{
    note->op.iov = iov;
    note->op.iov_count = count;
    begin(io, note, WEIR_IO_SEND, fd);
}

/* Turns until `condition`; fails when nothing comes for PATIENCE_NS. */
#define TURN_UNTIL(io, condition)                               \
    do {                                                        \
        uint64_t give_up_ns = weir_io_now_ns(io) + PATIENCE_NS; \
        while (!(condition)) {                                  \
            assert_true(weir_io_turn(io, WEIR_S_NS) >= 0);      \
            if (weir_io_now_ns(io) > give_up_ns)                \
                fail_msg("%s: never", #condition);              \
        }                                                       \
    } while (0)

static inline void end_note(struct weir_io *io, struct note *note)
{
    weir_io_cancel(io, &note->op);
    TURN_UNTIL(io, note->ends == 1);
}

static inline uint64_t sum_of(const uint8_t *bytes, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (i + 1) * bytes[i];
    return sum;
}

static inline uint8_t *random_bytes(struct weir_io *io, size_t count)
{
    uint8_t *bytes = malloc(count);
    assert_non_null(bytes);
    for (size_t i = 0; i + 8 <= count; i += 8) {
        uint64_t word = weir_io_random(io);
        memcpy(bytes + i, &word, 8);
    }
    return bytes;
}

static inline int listen_on_loopback(struct weir_io *io, struct sockaddr_in *address_out)
{
    struct sockaddr_in any_port = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct weir_io_listen listener = {.address = (struct sockaddr *)&any_port,
                                      .address_bytes = sizeof(any_port),
                                      .backlog = 4096,
                                      .reuse_port = true};
    int fd = -1;
    assert_int_equal(io->table->listen(io, &listener, &fd), 0);
    struct sockaddr_storage found;
    socklen_t bytes;
    assert_int_equal(io->table->local_address(io, fd, &found, &bytes), 0);
    assert_int_equal(bytes, sizeof(*address_out));
    memcpy(address_out, &found, sizeof(*address_out));
    return fd;
}

static inline void stream_pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static inline void close_pair(int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

/* A connected TCP pair over loopback: [0] connected, [1] accepted. */
static inline void tcp_pair(struct weir_io *io, int fds[2])
{
    struct sockaddr_in address;
    int listener = listen_on_loopback(io, &address);
    assert_int_equal(io->table->stream(io, AF_INET, &fds[0]), 0);
    assert_int_equal(connect(fds[0], (struct sockaddr *)&address, sizeof(address)), 0);
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fds[1] >= 0);
    close(listener);
}

static inline void raise_descriptor_limit(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

struct io_case {
    const char *name;
    CMUnitTestFunction run;
};
#define IO_CASE(function)   \
    {                       \
#function, function \
    }

/* Every case on every io. */
static inline int run_io_cases(const char *group, const struct io_case *cases, size_t count)
{
    struct CMUnitTest *tests = calloc(count * VARIANTS, sizeof(*tests));
    if (!tests)
        return 1;
    for (size_t i = 0; i < count * VARIANTS; i++) {
        char *name = NULL;
        if (asprintf(&name, "%s/%s", cases[i / VARIANTS].name, variants[i % VARIANTS].name) < 0)
            return 1;
        tests[i] = (struct CMUnitTest){.name = name,
                                       .test_func = cases[i / VARIANTS].run,
                                       .initial_state = (void *)(uintptr_t)&variants[i % VARIANTS]};
    }
    raise_descriptor_limit();
    int failed = _cmocka_run_group_tests(group, tests, count * VARIANTS, NULL, NULL);
    for (size_t i = 0; i < count * VARIANTS; i++)
        free((void *)(uintptr_t)tests[i].name);
    free(tests);
    return failed;
}

#endif
