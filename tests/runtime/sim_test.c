/*
 * tests/runtime/sim_test.c - the simulator itself: clock, fibers, streams, datagrams, cancels, wakes.
 */
#include "tests/sim/sim.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

/* ---- Operations that note what their done was told ---- */

struct note {
    struct weir_io_op op;
    struct weir_io *io;
    uint32_t calls;
    uint32_t ends;
    int result;
    uint64_t byte_count;
    uint8_t bytes[1 << 20];
    int fds[64];
    struct iovec iov;
};

static void on_done(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    struct note *note = WEIR_CONTAINER(op, struct note, op);
    assert_int_equal(note->ends, 0); /* nothing after the last one */
    if (op->kind == WEIR_IO_ACCEPT && more)
        note->fds[note->calls] = result;
    note->calls++;
    note->result = result;
    note->ends += !more;
    if (data != NULL) {
        assert_true(note->byte_count + data->byte_count <= sizeof(note->bytes));
        memcpy(note->bytes + note->byte_count, data->bytes, data->byte_count);
        note->byte_count += data->byte_count;
    }
}

static struct note *start(struct weir_io *io, enum weir_io_kind kind, int fd)
{
    struct note *note = calloc(1, sizeof(*note));
    note->io = io;
    note->op.kind = kind;
    note->op.fd = fd;
    note->op.done = on_done;
    assert_int_equal(weir_io_start(io, &note->op), 0);
    return note;
}

static struct note *start_with(struct weir_io *io, enum weir_io_kind kind, int fd,
                               const void *bytes, size_t byte_count)
{
    struct note *note = calloc(1, sizeof(*note));
    note->io = io;
    note->iov = (struct iovec){(void *)(uintptr_t)bytes, byte_count};
    note->op = (struct weir_io_op){.kind = kind, .fd = fd, .done = on_done};
    note->op.iov = &note->iov;
    note->op.iov_count = 1;
    assert_int_equal(weir_io_start(io, &note->op), 0);
    return note;
}

static int finish(struct note *note)
{
    while (note->ends == 0)
        assert_true(weir_io_turn(note->io, UINT64_MAX) >= 0);
    int result = note->result;
    free(note);
    return result;
}

static struct sockaddr_in address_of(uint32_t ip, uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(ip)}};
    return address;
}

static int listen_at(struct weir_io *io, uint32_t ip, uint16_t port, bool reuse_port)
{
    struct sockaddr_in address = address_of(ip, port);
    struct weir_io_listen how = {(struct sockaddr *)&address, sizeof(address), 64, reuse_port, 0};
    int fd;
    int result = io->table->listen(io, &how, &fd);
    return result < 0 ? result : fd;
}

static struct note *start_connect(struct weir_io *io, uint32_t ip, uint16_t port,
                                  struct sockaddr_in *address, int *fd_out)
{
    assert_int_equal(io->table->stream(io, AF_INET, fd_out), 0);
    *address = address_of(ip, port);
    struct note *note = calloc(1, sizeof(*note));
    note->io = io;
    note->op = (struct weir_io_op){.kind = WEIR_IO_CONNECT, .fd = *fd_out, .done = on_done};
    note->op.address = (struct sockaddr *)address;
    note->op.address_bytes = sizeof(*address);
    assert_int_equal(weir_io_start(io, &note->op), 0);
    return note;
}

/* A connection within one io: both ends' fds. */
static void connected(struct weir_io *io, int ends[2])
{
    struct sockaddr_in address;
    int listener = listen_at(io, INADDR_LOOPBACK, 700, false);
    assert_true(listener >= WEIR_SIM_FD_MIN);
    struct note *accept = start(io, WEIR_IO_ACCEPT, listener);
    assert_int_equal(finish(start_connect(io, INADDR_LOOPBACK, 700, &address, &ends[0])), 0);
    while (accept->calls == 0)
        assert_true(weir_io_turn(io, UINT64_MAX) >= 0);
    ends[1] = accept->fds[0];
    weir_io_cancel(io, &accept->op);
    assert_int_equal(finish(accept), -ECANCELED);
    assert_int_equal(finish(start(io, WEIR_IO_CLOSE, listener)), 0);
}

static struct weir_sim *world_of(uint64_t seed, const struct weir_sim_faults *faults,
                                 struct weir_io **io_out)
{
    struct weir_sim *sim;
    assert_int_equal(weir_sim_open(seed, 2, faults, &sim), 0);
    assert_int_equal(weir_sim_io_open(sim, 0, io_out), 0);
    return sim;
}

static void close_world(struct weir_sim *sim, struct weir_io *io)
{
    io->table->close(io);
    weir_sim_close(sim);
}

/* ---- Streams ---- */

static void pour(struct weir_io *io, const int ends[2], const uint8_t *bytes, size_t byte_count,
                 struct note *recv)
{
    size_t sent = 0;
    while (sent < byte_count) {
        int result = finish(start_with(io, WEIR_IO_SEND, ends[0], bytes + sent, byte_count - sent));
        assert_true(result > 0);
        sent += (size_t)result;
    }
    while (recv->byte_count < byte_count)
        assert_true(weir_io_turn(io, UINT64_MAX) >= 0);
}

static void a_stream_keeps_every_byte_in_order_whatever_the_faults(void **state)
{
    (void)state;
    enum { BYTES = 200000 };
    uint8_t *bytes = malloc(BYTES);
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct weir_sim_faults faults;
        struct weir_io *io;
        int ends[2];
        weir_sim_faults_mixed(&faults, seed);
        struct weir_sim *sim = world_of(seed, &faults, &io);
        connected(io, ends);
        struct note *recv = start(io, WEIR_IO_RECV, ends[1]);
        pour(io, ends, bytes, BYTES, recv);
        assert_int_equal(finish(start(io, WEIR_IO_CLOSE, ends[0])), 0);
        while (recv->ends == 0)
            assert_true(weir_io_turn(io, UINT64_MAX) >= 0);
        assert_int_equal(recv->result, 0);
        assert_int_equal(recv->byte_count, BYTES);
        assert_memory_equal(recv->bytes, bytes, BYTES);
        free(recv);
        close_world(sim, io);
    }
    free(bytes);
}

static void a_sender_waits_for_a_peer_that_does_not_read(void **state)
{
    (void)state;
    struct weir_io *io;
    int ends[2];
    static uint8_t bytes[256 << 10];
    struct weir_sim *sim = world_of(1, NULL, &io);
    connected(io, ends);
    int first = finish(start_with(io, WEIR_IO_SEND, ends[0], bytes, sizeof(bytes)));
    assert_int_equal(first, 64 << 10); /* the buffer without faults */
    struct note *send = start_with(io, WEIR_IO_SEND, ends[0], bytes, sizeof(bytes));
    for (int i = 0; i < 100; i++)
        assert_true(weir_io_turn(io, WEIR_MS_NS) >= 0);
    assert_int_equal(send->calls, 0);
    struct note *recv = start(io, WEIR_IO_RECV, ends[1]);
    assert_true(finish(send) > 0);
    weir_io_cancel(io, &recv->op);
    assert_int_equal(finish(recv), -ECANCELED);
    close_world(sim, io);
}

static void closing_with_unread_bytes_resets_the_peer(void **state)
{
    (void)state;
    struct weir_io *io;
    int ends[2];
    struct weir_sim *sim = world_of(3, NULL, &io);
    connected(io, ends);
    struct note *recv = start(io, WEIR_IO_RECV, ends[0]);
    assert_int_equal(finish(start_with(io, WEIR_IO_SEND, ends[0], "hello", 5)), 5);
    weir_io_turn(io, WEIR_MS_NS);
    assert_int_equal(finish(start(io, WEIR_IO_CLOSE, ends[1])), 0);
    assert_int_equal(finish(recv), -ECONNRESET);
    close_world(sim, io);
}

static void a_connection_that_went_dark_times_out(void **state)
{
    (void)state;
    struct weir_sim_faults faults;
    struct weir_io *io;
    int ends[2];
    weir_sim_faults_none(&faults);
    faults.half_open = WEIR_SIM_ALWAYS;
    struct weir_sim *sim = world_of(4, &faults, &io);
    connected(io, ends);
    uint64_t from_ns = weir_sim_now_ns(sim);
    assert_int_equal(finish(start(io, WEIR_IO_RECV, ends[1])), -ETIMEDOUT);
    assert_true(weir_sim_now_ns(sim) - from_ns >= WEIR_S_NS);
    close_world(sim, io);
}

static void a_connect_to_nobody_is_refused(void **state)
{
    (void)state;
    struct weir_io *io;
    struct sockaddr_in address;
    int fd;
    struct weir_sim *sim = world_of(5, NULL, &io);
    assert_int_equal(finish(start_connect(io, INADDR_LOOPBACK, 9, &address, &fd)), -ECONNREFUSED);
    assert_int_equal(finish(start_connect(io, 0x08080808, 9, &address, &fd)), -ENETUNREACH);
    close_world(sim, io);
}

static void an_address_is_taken_unless_all_share_the_port(void **state)
{
    (void)state;
    struct weir_io *io;
    struct weir_sim *sim = world_of(6, NULL, &io);
    assert_true(listen_at(io, INADDR_ANY, 80, false) > 0);
    assert_int_equal(listen_at(io, INADDR_LOOPBACK, 80, true), -EADDRINUSE);
    assert_true(listen_at(io, INADDR_ANY, 81, true) > 0);
    assert_true(listen_at(io, INADDR_ANY, 81, true) > 0);
    assert_int_equal(listen_at(io, 0x0a000002, 82, false), -EADDRNOTAVAIL); /* the other host's */
    close_world(sim, io);
}

static void hosts_find_each_other_and_loopback_is_ones_own(void **state)
{
    (void)state;
    struct weir_io *io;
    struct weir_io *other;
    struct sockaddr_in address;
    int fd;
    struct weir_sim *sim = world_of(7, NULL, &io);
    assert_int_equal(weir_sim_io_open(sim, 1, &other), 0);
    assert_true(listen_at(other, INADDR_ANY, 80, false) > 0);
    assert_int_equal(finish(start_connect(io, INADDR_LOOPBACK, 80, &address, &fd)), -ECONNREFUSED);
    assert_int_equal(finish(start_connect(io, 0x0a000002, 80, &address, &fd)), 0);
    other->table->close(other);
    close_world(sim, io);
}

/* ---- Datagrams ---- */

static int datagram_at(struct weir_io *io, uint16_t port)
{
    struct sockaddr_in address = address_of(INADDR_ANY, port);
    struct weir_io_datagram how = {.address = (struct sockaddr *)&address,
                                   .address_bytes = sizeof(address)};
    int fd;
    assert_int_equal(io->table->datagram(io, &how, &fd), 0);
    return fd;
}

/* Send `count` datagrams of one byte each; what came, in order, in `recv`. */
static struct note *datagrams(const struct weir_sim_faults *faults, uint64_t seed, uint32_t count)
{
    struct weir_io *io;
    struct weir_sim *sim = world_of(seed, faults, &io);
    struct note *recv = start(io, WEIR_IO_RECVFROM, datagram_at(io, 99));
    int from = datagram_at(io, 98);
    struct sockaddr_in to = address_of(INADDR_LOOPBACK, 99);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t byte = (uint8_t)i;
        struct note *send = calloc(1, sizeof(*send));
        send->io = io;
        send->iov = (struct iovec){&byte, 1};
        send->op = (struct weir_io_op){.kind = WEIR_IO_SENDTO, .fd = from, .done = on_done};
        send->op.iov = &send->iov;
        send->op.iov_count = 1;
        send->op.address = (struct sockaddr *)&to;
        send->op.address_bytes = sizeof(to);
        assert_int_equal(weir_io_start(io, &send->op), 0);
        assert_int_equal(finish(send), 1);
    }
    for (int i = 0; i < 100; i++)
        weir_io_turn(io, WEIR_MS_NS);
    close_world(sim, io);
    return recv;
}

static void sound_datagrams_all_arrive_in_order(void **state)
{
    (void)state;
    struct note *recv = datagrams(NULL, 8, 100);
    assert_int_equal(recv->byte_count, 100);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(recv->bytes[i], i);
    free(recv);
}

static void datagrams_are_lost_doubled_and_overtaken(void **state)
{
    (void)state;
    struct weir_sim_faults faults;
    weir_sim_faults_none(&faults);
    faults.datagram_lost = 200000;
    struct note *recv = datagrams(&faults, 9, 100);
    assert_in_range(recv->byte_count, 50, 99);
    free(recv);
    faults.datagram_lost = 0;
    faults.datagram_twice = WEIR_SIM_ALWAYS;
    recv = datagrams(&faults, 9, 100);
    assert_int_equal(recv->byte_count, 200);
    free(recv);
    faults.datagram_twice = 0;
    faults.datagram_late = 500000;
    recv = datagrams(&faults, 9, 100);
    uint32_t overtaken = 0;
    for (uint32_t i = 1; i < recv->byte_count; i++)
        overtaken += recv->bytes[i] < recv->bytes[i - 1];
    assert_true(overtaken > 0);
    free(recv);
}

/* ---- The contract of operations ---- */

static void an_op_armed_twice_is_busy_and_a_bad_fd_is_a_result(void **state)
{
    (void)state;
    struct weir_io *io;
    struct weir_sim *sim = world_of(10, NULL, &io);
    struct note *note = start(io, WEIR_IO_RECV, 5);
    assert_int_equal(weir_io_start(io, &note->op), -EBUSY);
    assert_int_equal(note->calls, 0); /* never from start */
    assert_int_equal(finish(note), -EBADF);
    close_world(sim, io);
}

static void a_cancelled_op_ends_exactly_once_and_no_byte_is_lost(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct weir_io *io;
        int ends[2];
        struct weir_sim *sim = world_of(seed, NULL, &io);
        connected(io, ends);
        struct note *recv = start(io, WEIR_IO_RECV, ends[1]);
        assert_int_equal(finish(start_with(io, WEIR_IO_SEND, ends[0], "abcdef", 6)), 6);
        weir_io_turn(io, weir_sim_below(sim, 100 * WEIR_US_NS));
        weir_io_cancel(io, &recv->op);
        weir_io_cancel(io, &recv->op);
        while (recv->ends == 0)
            assert_true(weir_io_turn(io, UINT64_MAX) >= 0);
        assert_int_equal(recv->result, -ECANCELED);
        assert_int_equal(recv->ends, 1);
        struct note *rest = start(io, WEIR_IO_RECV, ends[1]);
        while (recv->byte_count + rest->byte_count < 6)
            assert_true(weir_io_turn(io, UINT64_MAX) >= 0);
        memcpy(recv->bytes + recv->byte_count, rest->bytes, rest->byte_count);
        assert_memory_equal(recv->bytes, "abcdef", 6);
        weir_io_cancel(io, &rest->op);
        assert_int_equal(finish(rest), -ECANCELED);
        free(recv);
        close_world(sim, io);
    }
}

static void a_turn_that_nothing_can_end_is_a_deadlock(void **state)
{
    (void)state;
    struct weir_io *io;
    struct weir_sim *sim = world_of(11, NULL, &io);
    assert_int_equal(weir_io_turn(io, WEIR_S_NS), 0); /* a deadline ends it */
    assert_int_equal(weir_io_turn(io, UINT64_MAX), -EDEADLK);
    close_world(sim, io);
}

/* ---- Fibers ---- */

struct sleeper {
    struct weir_sim *sim;
    struct weir_io *io;
    uint32_t turns;
};

static void sleep_for_ever(void *context)
{
    struct sleeper *sleeper = context;
    weir_io_turn(sleeper->io, UINT64_MAX);
    sleeper->turns++;
}

static bool woke(void *context)
{
    return ((struct sleeper *)context)->turns > 0;
}

static void a_fiber_that_nobody_wakes_is_stuck_and_one_that_is_woken_goes_on(void **state)
{
    (void)state;
    struct weir_io *io;
    struct weir_sim *sim = world_of(12, NULL, &io);
    struct sleeper sleeper = {.sim = sim, .io = io};
    assert_int_equal(weir_sim_spawn(sim, "sleeper", sleep_for_ever, &sleeper), 0);
    assert_int_equal(weir_sim_run(sim, woke, &sleeper, 1000), WEIR_SIM_STUCK);
    weir_io_wake_foreign(io);
    assert_int_equal(weir_sim_run(sim, woke, &sleeper, 1000), WEIR_SIM_REACHED);
    assert_int_equal(weir_sim_run(sim, NULL, NULL, 1000), WEIR_SIM_ENDED);
    close_world(sim, io);
}

static void wake_before_the_wait(void *context)
{
    struct sleeper *sleeper = context;
    weir_io_wake(sleeper->io, sleeper->io);
    for (int i = 0; i < 10; i++)
        weir_io_turn(sleeper->io, 0);
    weir_io_turn(sleeper->io, UINT64_MAX);
    sleeper->turns++;
}

static void a_wake_that_comes_before_the_wait_is_not_lost(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct weir_io *io;
        struct weir_sim *sim = world_of(seed, NULL, &io);
        struct sleeper sleeper = {.sim = sim, .io = io};
        assert_int_equal(weir_sim_spawn(sim, "sleeper", wake_before_the_wait, &sleeper), 0);
        assert_int_equal(weir_sim_run(sim, NULL, NULL, 1000), WEIR_SIM_ENDED);
        close_world(sim, io);
    }
}

static void spin_until_told(void *context)
{
    struct sleeper *sleeper = context;
    while (sleeper->turns == 0)
        weir_io_turn(sleeper->io, 0);
}

static void a_livelock_ends_at_the_step_limit(void **state)
{
    (void)state;
    struct weir_io *io;
    struct weir_sim *sim = world_of(13, NULL, &io);
    struct sleeper sleeper = {.sim = sim, .io = io};
    assert_int_equal(weir_sim_spawn(sim, "spinner", spin_until_told, &sleeper), 0);
    assert_int_equal(weir_sim_run(sim, NULL, NULL, 1000), WEIR_SIM_STEPS);
    sleeper.turns = 1;
    assert_int_equal(weir_sim_run(sim, NULL, NULL, 1000), WEIR_SIM_ENDED);
    close_world(sim, io);
}

static void sleep_an_hour(void *context)
{
    weir_sim_sleep(context, 3600 * WEIR_S_NS);
}

static void an_idle_hour_is_one_jump(void **state)
{
    (void)state;
    struct weir_io *io;
    struct weir_sim *sim = world_of(14, NULL, &io);
    uint64_t from_ns = weir_sim_now_ns(sim);
    assert_int_equal(weir_sim_spawn(sim, "sleeper", sleep_an_hour, sim), 0);
    assert_int_equal(weir_sim_run(sim, NULL, NULL, 10), WEIR_SIM_ENDED);
    assert_in_range(weir_sim_now_ns(sim) - from_ns, 3600 * WEIR_S_NS, 3601 * WEIR_S_NS);
    close_world(sim, io);
}

/* ---- The seed ---- */

static uint64_t hash_of_a_run(uint64_t seed)
{
    static const uint8_t bytes[20000];
    struct weir_sim_faults faults;
    struct weir_io *io;
    int ends[2];
    weir_sim_faults_mixed(&faults, seed);
    struct weir_sim *sim = world_of(seed, &faults, &io);
    connected(io, ends);
    struct note *recv = start(io, WEIR_IO_RECV, ends[1]);
    pour(io, ends, bytes, sizeof(bytes), recv);
    weir_io_cancel(io, &recv->op);
    finish(recv);
    uint64_t hash = weir_sim_hash(sim);
    close_world(sim, io);
    return hash;
}

static void the_same_seed_is_the_same_run_and_another_is_not(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        assert_true(hash_of_a_run(seed) == hash_of_a_run(seed));
        assert_true(hash_of_a_run(seed) != hash_of_a_run(seed + 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_keeps_every_byte_in_order_whatever_the_faults),
        cmocka_unit_test(a_sender_waits_for_a_peer_that_does_not_read),
        cmocka_unit_test(closing_with_unread_bytes_resets_the_peer),
        cmocka_unit_test(a_connection_that_went_dark_times_out),
        cmocka_unit_test(a_connect_to_nobody_is_refused),
        cmocka_unit_test(an_address_is_taken_unless_all_share_the_port),
        cmocka_unit_test(hosts_find_each_other_and_loopback_is_ones_own),
        cmocka_unit_test(sound_datagrams_all_arrive_in_order),
        cmocka_unit_test(datagrams_are_lost_doubled_and_overtaken),
        cmocka_unit_test(an_op_armed_twice_is_busy_and_a_bad_fd_is_a_result),
        cmocka_unit_test(a_cancelled_op_ends_exactly_once_and_no_byte_is_lost),
        cmocka_unit_test(a_turn_that_nothing_can_end_is_a_deadlock),
        cmocka_unit_test(a_fiber_that_nobody_wakes_is_stuck_and_one_that_is_woken_goes_on),
        cmocka_unit_test(a_wake_that_comes_before_the_wait_is_not_lost),
        cmocka_unit_test(a_livelock_ends_at_the_step_limit),
        cmocka_unit_test(an_idle_hour_is_one_jump),
        cmocka_unit_test(the_same_seed_is_the_same_run_and_another_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
