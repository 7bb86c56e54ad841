/*
 * tests/runtime/io_wake_test.c - waits and what ends them: timeouts, wakes between ios and from
 * foreign threads, the pollable descriptor. A lost wake shows as a wait that is as long as
 * PATIENCE_NS.
 */
#include "tests/runtime/io_fixture.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "base/atomic.h"
#include "runtime/io_uring.h"

static void a_turn_waits_as_long_as_it_was_told(void **state)
{
    struct weir_io *io = open_io(state);
    static const uint64_t waits_ns[] = {50 * WEIR_US_NS, 1500 * WEIR_US_NS, 30 * WEIR_MS_NS};
    weir_io_turn(io, 0);
    for (size_t i = 0; i < sizeof(waits_ns) / sizeof(waits_ns[0]); i++) {
        uint64_t end_ns = weir_io_now_ns(io) + waits_ns[i];
        uint32_t turns = 0;
        for (uint64_t now_ns = 0; (now_ns = weir_io_now_ns(io)) < end_ns; turns++)
            assert_int_equal(weir_io_turn(io, end_ns - now_ns), 0);
        assert_true(turns <=
                    3); /* a signal may cut one short, or the kernel's work on an io closed before */
    }
    close_io(io);
}

static void a_turn_that_may_not_wait_does_not_enter_the_kernel_for_nothing(void **state)
{
    struct weir_io *io = open_io(state);
    int fds[2];
    stream_pair(fds);
    struct note recv = {0};
    begin(io, &recv, WEIR_IO_RECV, fds[0]);
    weir_io_turn(io, 0);
    weir_io_turn(io, 0);
    uint64_t enters = io->counters.enters;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(weir_io_turn(io, 0), 0);
    assert_true(io->counters.enters - enters <= (is_uring(io) ? 0 : 1000));
    assert_int_equal(write(fds[1], "x", 1), 1);
    for (int i = 0; i < 1000 && recv.calls == 0; i++) /* it sees what comes nevertheless */
        weir_io_turn(io, 0);
    assert_int_equal(recv.calls, 1);
    end_note(io, &recv);
    close_pair(fds);
    close_io(io);
}

static void a_wake_before_the_wait_ends_it(void **state)
{
    struct weir_io *io = open_io(state);
    for (int i = 0; i < 3; i++) {
        weir_io_wake_foreign(io);
        weir_io_wake_foreign(io);
        uint64_t start_ns = weir_io_now_ns(io);
        assert_true(weir_io_turn(io, PATIENCE_NS) >= 0);
        weir_io_wake(io, io);
        assert_true(weir_io_turn(io, PATIENCE_NS) >= 0);
        assert_true(weir_io_now_ns(io) - start_ns < PATIENCE_NS / 2);
        while (weir_io_turn(io, WEIR_MS_NS) > 0)
            ;
    }
    assert_int_equal(io->counters.wakes_sent, 3);
    close_io(io);
}

/* Looks inside: the peer's ring is hidden for one wake, so that the kernel refuses to deliver it. */
static void a_wake_that_a_ring_refuses_takes_the_other_way(void **state)
{
    struct weir_io *io = open_io(state);
    if (!is_uring(io)) {
        close_io(io);
        skip();
    }
    struct weir_io *peer = open_io(state);
    struct weir_uring *ring = WEIR_CONTAINER(peer, struct weir_uring, io);
    int ring_fd = ring->ring.ring_fd;
    ring->ring.ring_fd = -1;
    weir_io_wake(io, peer);
    ring->ring.ring_fd = ring_fd;
    weir_io_turn(io, PATIENCE_NS); /* the refusal comes back */
    uint64_t start_ns = weir_io_now_ns(peer);
    assert_true(weir_io_turn(peer, PATIENCE_NS) >= 0);
    assert_true(weir_io_now_ns(peer) - start_ns < PATIENCE_NS / 2);
    close_io(peer);
    close_io(io);
}

/* ---- ping-pong of two reactors ---- */

struct player {
    struct weir_io_options options;
    struct player *other;
    weir_atomic_u32 *ball; /* whose turn it is */
    uint32_t index;
    uint32_t rounds;
    pthread_barrier_t *opened;
    struct weir_io *io;
    uint64_t longest_ns;
    int error;
};

static void *play(void *context)
{
    struct player *player = context;
    char why[160];
    player->error = weir_io_open(&player->options, &player->io, why, sizeof(why));
    pthread_barrier_wait(player->opened);
    if (player->error < 0 || player->other->error < 0)
        return NULL;
    for (uint32_t i = 0; i < player->rounds; i++) {
        uint64_t start_ns = weir_io_now_ns(player->io);
        while (weir_load(player->ball, acquire) != player->index) {
            if (weir_io_turn(player->io, PATIENCE_NS) < 0)
                player->error = -EIO;
        }
        uint64_t took_ns = weir_io_now_ns(player->io) - start_ns;
        player->longest_ns = took_ns > player->longest_ns ? took_ns : player->longest_ns;
        weir_store(player->ball, 1 - player->index, release);
        weir_io_wake(player->io, player->other->io);
    }
    weir_io_turn(player->io, 0); /* the last wake goes out */
    pthread_barrier_wait(player->opened);
    close_io(player->io);
    return NULL;
}

static void ping_pong(const struct weir_io_options *first, const struct weir_io_options *second,
                      uint32_t rounds)
{
    pthread_barrier_t opened;
    assert_int_equal(pthread_barrier_init(&opened, NULL, 2), 0);
    weir_atomic_u32 ball = 0;
    struct player players[2] = {
        {.options = *first, .index = 0, .other = &players[1]},
        {.options = *second, .index = 1, .other = &players[0]},
    };
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        players[i].ball = &ball;
        players[i].rounds = rounds;
        players[i].opened = &opened;
        assert_int_equal(pthread_create(&threads[i], NULL, play, &players[i]), 0);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&opened);
    if (players[0].error == -EPERM || players[0].error == -ENOSYS)
        skip();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(players[i].error, 0);
        assert_true(players[i].longest_ns < PATIENCE_NS / 2);
    }
}

static void no_wake_between_two_of_a_kind_is_lost(void **state)
{
    const struct variant *variant = *state;
    ping_pong(&variant->options, &variant->options, 50000);
}

static void no_wake_between_two_kinds_is_lost(void **state)
{
    const struct variant *variant = *state;
    struct weir_io_options other = {.choice = variant->options.choice == WEIR_IO_CHOICE_EPOLL
                                                  ? WEIR_IO_CHOICE_AUTO
                                                  : WEIR_IO_CHOICE_EPOLL};
    ping_pong(&variant->options, &other, 5000);
}

/* ---- foreign threads ---- */

enum { FOREIGN_WAKES = 100000 };

struct caller {
    struct weir_io *io;
    weir_atomic_u32 asked; /* the caller's */
    weir_atomic_u32 answered;
};

static void *call(void *context)
{
    struct caller *caller = context;
    for (uint32_t i = 1; i <= FOREIGN_WAKES; i++) {
        weir_store(&caller->asked, i, release);
        weir_io_wake_foreign(caller->io);
        if (i % 64 == 0) { /* now and then let it fall asleep */
            while (weir_load(&caller->answered, acquire) != i)
                sched_yield();
        }
    }
    return NULL;
}

static void no_wake_of_a_foreign_thread_is_lost(void **state)
{
    struct caller caller = {.io = open_io(state)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, call, &caller), 0);
    uint32_t seen = 0;
    while (seen < FOREIGN_WAKES) {
        uint64_t start_ns = weir_io_now_ns(caller.io);
        assert_true(weir_io_turn(caller.io, PATIENCE_NS) >= 0);
        assert_true(weir_io_now_ns(caller.io) - start_ns < PATIENCE_NS / 2);
        seen = weir_load(&caller.asked, acquire);
        weir_store(&caller.answered, seen, release);
    }
    pthread_join(thread, NULL);
    close_io(caller.io);
}

/* ---- the pollable descriptor ---- */

static bool is_readable(int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    return poll(&wanted, 1, 0) == 1;
}

static void settle(struct weir_io *io, int fd)
{
    for (int i = 0; i < 100 && is_readable(fd); i++)
        assert_true(weir_io_turn(io, 0) >= 0);
    assert_false(is_readable(fd)); /* it does not stay readable for nothing */
}

static void wait_readable(int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&wanted, 1, (int)(PATIENCE_NS / WEIR_MS_NS)), 1);
}

static void the_pollable_descriptor_tells_when_a_turn_is_worth_it(void **state)
{
    struct weir_io *io = open_io(state);
    int fds[2];
    stream_pair(fds);
    int fd = io->table->pollable(io);
    assert_true(fd >= 0);
    settle(io, fd);
    weir_io_wake_foreign(io);
    wait_readable(fd);
    settle(io, fd);
    struct note recv = {0};
    begin(io, &recv, WEIR_IO_RECV, fds[0]); /* outside of a turn, and no turn follows */
    assert_int_equal(write(fds[1], "x", 1), 1);
    wait_readable(fd);
    TURN_UNTIL(io, recv.byte_count == 1);
    settle(io, fd);
    assert_int_equal(write(fds[1], "y", 1), 1);
    wait_readable(fd);
    TURN_UNTIL(io, recv.byte_count == 2);
    settle(io, fd);
    weir_io_cancel(io, &recv.op);
    wait_readable(fd);
    TURN_UNTIL(io, recv.ends == 1);
    close_pair(fds);
    close_io(io);
}

struct answer {
    struct note recv;
    struct note send;
    struct iovec iov;
    struct weir_io *io;
};

static void on_question(struct weir_io_op *op, int result, const struct weir_io_data *data,
                        bool more)
{
    struct answer *answer = WEIR_CONTAINER(op, struct answer, recv.op);
    on_note(op, result, data, more);
    answer->iov = (struct iovec){"answer", 6};
    if (more)
        begin_send(answer->io, &answer->send, op->fd, &answer->iov, 1);
}

/* A host that turns only when the descriptor is readable never waits for something not yet begun. */
static void what_a_done_starts_keeps_the_watched_descriptor_readable(void **state)
{
    struct weir_io *io = open_io(state);
    int fds[2];
    stream_pair(fds);
    int fd = io->table->pollable(io);
    struct answer answer = {.io = io};
    begin(io, &answer.recv, WEIR_IO_RECV, fds[0]);
    answer.recv.op.done = on_question;
    settle(io, fd);
    assert_int_equal(write(fds[1], "?", 1), 1);
    while (!is_readable(fds[1])) {
        wait_readable(fd);
        assert_true(weir_io_turn(io, 0) >= 0);
    }
    char bytes[6];
    assert_int_equal(read(fds[1], bytes, sizeof(bytes)), 6);
    assert_memory_equal(bytes, "answer", 6);
    while (answer.send.ends == 0) {
        wait_readable(fd);
        assert_true(weir_io_turn(io, 0) >= 0);
    }
    end_note(io, &answer.recv);
    close_pair(fds);
    close_io(io);
}

static void poll_ends_once_when_the_descriptor_is_readable(void **state)
{
    struct weir_io *io = open_io(state);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (int i = 0; i < 20; i++) {
        struct note poll = {0};
        uint64_t one = 1;
        if (i % 2 == 0) /* readable before, or only after */
            assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
        begin(io, &poll, WEIR_IO_POLL, fd);
        weir_io_turn(io, 0);
        if (i % 2 == 1) {
            assert_int_equal(poll.ends, 0);
            assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
        }
        TURN_UNTIL(io, poll.ends == 1);
        assert_true(poll.last_result & POLLIN);
        assert_int_equal(read(fd, &one, sizeof(one)), sizeof(one));
    }
    io->table->drop(io, fd);
    close_io(io);
}

static void chance_differs_from_io_to_io(void **state)
{
    struct weir_io *first = open_io(state);
    struct weir_io *second = open_io(state);
    assert_true(weir_io_random(first) != weir_io_random(second));
    assert_true(weir_io_random(first) != weir_io_random(first));
    close_io(first);
    close_io(second);
}

int main(void)
{
    static const struct io_case cases[] = {
        IO_CASE(a_turn_waits_as_long_as_it_was_told),
        IO_CASE(a_turn_that_may_not_wait_does_not_enter_the_kernel_for_nothing),
        IO_CASE(a_wake_before_the_wait_ends_it),
        IO_CASE(a_wake_that_a_ring_refuses_takes_the_other_way),
        IO_CASE(no_wake_between_two_of_a_kind_is_lost),
        IO_CASE(no_wake_between_two_kinds_is_lost),
        IO_CASE(no_wake_of_a_foreign_thread_is_lost),
        IO_CASE(the_pollable_descriptor_tells_when_a_turn_is_worth_it),
        IO_CASE(what_a_done_starts_keeps_the_watched_descriptor_readable),
        IO_CASE(poll_ends_once_when_the_descriptor_is_readable),
        IO_CASE(chance_differs_from_io_to_io),
    };
    return run_io_cases("runtime.io_wake", cases, sizeof(cases) / sizeof(cases[0]));
}
