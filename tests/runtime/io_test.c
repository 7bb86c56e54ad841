/*
 * tests/runtime/io_test.c - streams over each io: connections, bytes, starvation, cancelling,
 * errors.
 */
#include "tests/runtime/io_fixture.h"

#include <fcntl.h>
#include <sys/un.h>

/* ---- connections ---- */

struct echo {
    struct weir_io *io;
    struct note accept;
    struct weir_io_op recv;
    struct weir_io_op send;
    struct iovec iov;
    uint8_t bytes[4096];
    bool ended;
};

static void on_echo_sent(struct weir_io_op *op, int result, const struct weir_io_data *data,
                         bool more)
{
    struct echo *echo = WEIR_CONTAINER(op, struct echo, send);
    assert_null(data);
    assert_false(more);
    assert_int_equal(result, echo->iov.iov_len);
}

static void on_echo_recv(struct weir_io_op *op, int result, const struct weir_io_data *data,
                         bool more)
{
    struct echo *echo = WEIR_CONTAINER(op, struct echo, recv);
    if (result <= 0) {
        assert_int_equal(result, 0);
        assert_false(more);
        echo->ended = true;
        return;
    }
    assert_true((size_t)result <= sizeof(echo->bytes));
    memcpy(echo->bytes, data->bytes, data->byte_count);
    echo->iov = (struct iovec){echo->bytes, data->byte_count};
    echo->send = (struct weir_io_op){
        .kind = WEIR_IO_SEND, .fd = op->fd, .done = on_echo_sent, .iov = &echo->iov, .iov_count = 1};
    assert_int_equal(weir_io_start(echo->io, &echo->send), 0);
}

static void what_is_sent_to_an_echo_comes_back(void **state)
{
    struct weir_io *io = open_io(state);
    struct echo echo = {.io = io};
    struct sockaddr_in address;
    int listener = listen_on_loopback(io, &address);
    begin(io, &echo.accept, WEIR_IO_ACCEPT, listener);
    struct note connecting = {.op.address = (struct sockaddr *)&address,
                              .op.address_bytes = sizeof(address)};
    int fd;
    assert_int_equal(io->table->stream(io, AF_INET, &fd), 0);
    begin(io, &connecting, WEIR_IO_CONNECT, fd);
    TURN_UNTIL(io, connecting.ends == 1 && echo.accept.fd_count == 1);
    assert_int_equal(connecting.last_result, 0);
    echo.recv = (struct weir_io_op){
        .kind = WEIR_IO_RECV, .fd = echo.accept.fds[0], .done = on_echo_recv};
    assert_int_equal(weir_io_start(io, &echo.recv), 0);
    uint8_t back[64 * 100];
    struct note recv = {.bytes = back, .room = sizeof(back)};
    begin(io, &recv, WEIR_IO_RECV, fd);
    char text[64];
    for (int i = 0; i < 100; i++) {
        memset(text, 'a' + i % 26, sizeof(text));
        struct iovec iov = {text, sizeof(text)};
        struct note send = {0};
        begin_send(io, &send, fd, &iov, 1);
        TURN_UNTIL(io, send.ends == 1 && recv.byte_count == sizeof(text) * (size_t)(i + 1));
        assert_memory_equal(back + sizeof(text) * (size_t)i, text, sizeof(text));
    }
    shutdown(fd, SHUT_WR);
    TURN_UNTIL(io, echo.ended);
    end_note(io, &recv);
    end_note(io, &echo.accept);
    struct note closing[3] = {0};
    begin(io, &closing[0], WEIR_IO_CLOSE, fd);
    begin(io, &closing[1], WEIR_IO_CLOSE, echo.accept.fds[0]);
    begin(io, &closing[2], WEIR_IO_CLOSE, listener);
    TURN_UNTIL(io, closing[0].ends + closing[1].ends + closing[2].ends == 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(closing[i].last_result, 0);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    close_io(io);
}

static void a_refused_connect_says_so(void **state)
{
    struct weir_io *io = open_io(state);
    struct sockaddr_in address;
    io->table->drop(io, listen_on_loopback(io, &address)); /* a port where nobody listens any more */
    int fd;
    assert_int_equal(io->table->stream(io, AF_INET, &fd), 0);
    struct note connecting = {.op.address = (struct sockaddr *)&address,
                              .op.address_bytes = sizeof(address)};
    begin(io, &connecting, WEIR_IO_CONNECT, fd);
    TURN_UNTIL(io, connecting.ends == 1);
    assert_int_equal(connecting.last_result, -ECONNREFUSED);
    struct sockaddr_un nowhere = {.sun_family = AF_UNIX, .sun_path = "/nonexistent/socket"};
    struct note local = {.op.address = (struct sockaddr *)&nowhere,
                         .op.address_bytes = sizeof(nowhere)};
    int local_fd;
    assert_int_equal(io->table->stream(io, AF_UNIX, &local_fd), 0);
    begin(io, &local, WEIR_IO_CONNECT, local_fd);
    TURN_UNTIL(io, local.ends == 1);
    assert_int_equal(local.last_result, -ENOENT);
    io->table->drop(io, fd);
    io->table->drop(io, local_fd);
    close_io(io);
}

static void an_accepted_connection_does_not_delay_and_knows_its_peer(void **state)
{
    struct weir_io *io = open_io(state);
    struct sockaddr_in address;
    struct note accept = {0};
    int listener = listen_on_loopback(io, &address);
    begin(io, &accept, WEIR_IO_ACCEPT, listener);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    TURN_UNTIL(io, accept.fd_count == 1);
    int no_delay = 0;
    socklen_t bytes = sizeof(no_delay);
    assert_int_equal(getsockopt(accept.fds[0], IPPROTO_TCP, 1 /* TCP_NODELAY */, &no_delay, &bytes),
                     0);
    assert_int_equal(no_delay, 1);
    assert_true(fcntl(accept.fds[0], F_GETFD) & FD_CLOEXEC);
    struct sockaddr_storage peer;
    struct sockaddr_storage self;
    assert_int_equal(io->table->peer_address(io, accept.fds[0], &peer, &bytes), 0);
    assert_int_equal(io->table->local_address(io, fd, &self, &bytes), 0);
    assert_memory_equal(&peer, &self, sizeof(struct sockaddr_in));
    end_note(io, &accept);
    io->table->drop(io, accept.fds[0]);
    io->table->drop(io, fd);
    io->table->drop(io, listener);
    close_io(io);
}

enum { STORM = 1000 };

struct storm {
    struct weir_io_op accept;
    int fds[STORM];
    uint32_t count;
    bool ended;
};

static void on_storm(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    struct storm *storm = WEIR_CONTAINER(op, struct storm, accept);
    assert_null(data);
    storm->ended = !more;
    if (result < 0)
        return;
    assert_true(storm->count < STORM);
    storm->fds[storm->count++] = result;
}

static void a_storm_of_connections_is_accepted_whole(void **state)
{
    struct weir_io *io = open_io(state);
    struct sockaddr_in address;
    static struct storm storm;
    storm = (struct storm){0};
    int listener = listen_on_loopback(io, &address);
    storm.accept = (struct weir_io_op){.kind = WEIR_IO_ACCEPT, .fd = listener, .done = on_storm};
    static int clients[STORM];
    for (int i = 0; i < STORM; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(clients[i], (struct sockaddr *)&address, sizeof(address)), 0);
    }
    assert_int_equal(weir_io_start(io, &storm.accept), 0);
    TURN_UNTIL(io, storm.count == STORM);
    weir_io_cancel(io, &storm.accept);
    TURN_UNTIL(io, storm.ended);
    for (int i = 0; i < STORM; i++) {
        close(clients[i]);
        io->table->drop(io, storm.fds[i]);
    }
    io->table->drop(io, listener);
    close_io(io);
}

static void a_listener_without_descriptors_waits_for_one(void **state)
{
    struct weir_io *io = open_io(state);
    struct sockaddr_in address;
    struct note accept = {0};
    int listener = listen_on_loopback(io, &address);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = (rlim_t)spare + 1, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    begin(io, &accept, WEIR_IO_ACCEPT, listener);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
    TURN_UNTIL(io, io->counters.accept_backoffs == 1);
    uint64_t enters = io->counters.enters;
    weir_io_turn(io, 10 * WEIR_MS_NS);
    weir_io_turn(io, 10 * WEIR_MS_NS);
    assert_true(io->counters.enters - enters <= 6); /* it does not spin */
    assert_int_equal(accept.calls, 0);
    io->table->drop(io, spare);
    for (int i = 0; i < 3 && accept.fd_count == 0; i++)
        weir_io_turn(io, 0); /* long before the back-off is over */
    assert_int_equal(accept.fd_count, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    end_note(io, &accept);
    io->table->drop(io, accept.fds[0]);
    io->table->drop(io, client);
    io->table->drop(io, listener);
    close_io(io);
}

static void a_path_of_a_dead_listener_is_taken_over_and_of_a_live_one_is_not(void **state)
{
    struct weir_io *io = open_io(state);
    char folder[] = "/tmp/weir_io_XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", folder);
    struct weir_io_listen listener = {
        .address = (struct sockaddr *)&address, .address_bytes = sizeof(address), .backlog = 8};
    int first;
    int second;
    assert_int_equal(io->table->listen(io, &listener, &first), 0);
    assert_int_equal(io->table->listen(io, &listener, &second), -EADDRINUSE);
    io->table->drop(io, first); /* as a killed server leaves it: the file stays */
    assert_int_equal(io->table->listen(io, &listener, &second), 0);
    struct note accept = {0};
    struct note connecting = {.op.address = (struct sockaddr *)&address,
                              .op.address_bytes = sizeof(address)};
    begin(io, &accept, WEIR_IO_ACCEPT, second);
    int fd;
    assert_int_equal(io->table->stream(io, AF_UNIX, &fd), 0);
    begin(io, &connecting, WEIR_IO_CONNECT, fd);
    TURN_UNTIL(io, connecting.ends == 1 && accept.fd_count == 1);
    assert_int_equal(connecting.last_result, 0);
    end_note(io, &accept);
    io->table->drop(io, accept.fds[0]);
    io->table->drop(io, fd);
    io->table->drop(io, second);
    unlink(address.sun_path);
    rmdir(folder);
    close_io(io);
}

/* ---- bytes ---- */

static void many_megabytes_in_partial_sends_arrive_in_order(void **state)
{
    enum { TOTAL = 16 << 20, PIECES = 5 };
    struct weir_io *io = open_io(state);
    int fds[2];
    tcp_pair(io, fds);
    uint8_t *bytes = random_bytes(io, TOTAL);
    struct note recv = {0};
    begin(io, &recv, WEIR_IO_RECV, fds[1]);
    size_t sent = 0;
    uint32_t sends = 0;
    while (sent < TOTAL) {
        struct iovec iov[PIECES];
        size_t left = TOTAL - sent;
        for (size_t i = 0, at = sent; i < PIECES; i++) {
            size_t size = i + 1 < PIECES ? left / PIECES : TOTAL - at;
            iov[i] = (struct iovec){bytes + at, size};
            at += size;
        }
        struct note send = {0};
        begin_send(io, &send, fds[0], iov, PIECES);
        TURN_UNTIL(io, send.ends == 1);
        assert_true(send.last_result > 0);
        sent += (size_t)send.last_result;
        sends++;
    }
    assert_true(sends > 1); /* the kernel does take less than it was offered */
    TURN_UNTIL(io, recv.byte_count == TOTAL);
    assert_true(recv.sum == sum_of(bytes, TOTAL));
    end_note(io, &recv);
    free(bytes);
    close_pair(fds);
    close_io(io);
}

static void a_send_into_a_full_socket_waits_and_goes_on(void **state)
{
    enum { CHUNK = 256 << 10 };
    struct weir_io *io = open_io(state);
    int fds[2];
    stream_pair(fds);
    uint8_t *bytes = calloc(1, CHUNK);
    struct iovec iov = {bytes, CHUNK};
    struct note send = {0};
    size_t sent = 0;
    do { /* until one does not come back: the socket is full */
        send = (struct note){0};
        begin_send(io, &send, fds[0], &iov, 1);
        for (int i = 0; i < 3 && send.ends == 0; i++)
            weir_io_turn(io, 0);
        sent += send.ends == 1 ? (size_t)send.last_result : 0;
    } while (send.ends == 1);
    struct note recv = {0};
    begin(io, &recv, WEIR_IO_RECV, fds[1]);
    TURN_UNTIL(io, send.ends == 1);
    assert_true(send.last_result > 0);
    sent += (size_t)send.last_result;
    TURN_UNTIL(io, recv.byte_count == sent);
    end_note(io, &recv);
    free(bytes);
    close_pair(fds);
    close_io(io);
}

static void receivers_that_find_no_buffer_go_on_by_themselves(void **state)
{
    enum { PAIRS = 2000, MESSAGE = 1500, ROUNDS = 3 };
    struct weir_io *io = open_io(state);
    struct note *notes = calloc(PAIRS, sizeof(*notes));
    int(*fds)[2] = calloc(PAIRS, sizeof(*fds));
    uint8_t message[MESSAGE];
    memset(message, 7, sizeof(message));
    for (int i = 0; i < PAIRS; i++) {
        stream_pair(fds[i]);
        begin(io, &notes[i], WEIR_IO_RECV, fds[i][0]);
    }
    for (int round = 1; round <= ROUNDS; round++) {
        for (int i = 0; i < PAIRS; i++)
            assert_int_equal(write(fds[i][1], message, MESSAGE), MESSAGE);
        for (int i = 0; i < PAIRS; i++)
            TURN_UNTIL(io, notes[i].byte_count == (size_t)round * MESSAGE);
    }
    if (is_uring(io))
        assert_true(io->counters.recv_starved > 0); /* 3 MB at once over 64 KiB of buffers */
    for (int i = 0; i < PAIRS; i++)
        close(fds[i][1]);
    for (int i = 0; i < PAIRS; i++) {
        TURN_UNTIL(io, notes[i].ends == 1);
        assert_int_equal(notes[i].last_result, 0);
        close(fds[i][0]);
    }
    free(notes);
    free(fds);
    close_io(io);
}

/* The busy ones could take every receive buffer in every turn. */
static void busy_senders_do_not_starve_a_quiet_one(void **state)
{
    enum { BUSY = 12, BLOCK = 1 << 20, TURNS_MAX = 4 * BUSY };
    struct weir_io *io = open_io(state);
    int fds[BUSY + 1][2];
    struct note recvs[BUSY + 1] = {0};
    uint8_t *bytes = calloc(1, BLOCK);
    for (int i = 0; i <= BUSY; i++) {
        stream_pair(fds[i]);
        assert_int_equal(fcntl(fds[i][1], F_SETFL, O_NONBLOCK), 0);
        begin(io, &recvs[i], WEIR_IO_RECV, fds[i][0]);
    }
    for (uint32_t round = 1; round <= 50; round++) {
        assert_int_equal(write(fds[BUSY][1], "x", 1), 1);
        for (int turn = 0; turn < TURNS_MAX && recvs[BUSY].byte_count < round; turn++) {
            for (int i = 0; i < BUSY; i++)
                assert_true(write(fds[i][1], bytes, BLOCK) > 0 || errno == EAGAIN);
            weir_io_turn(io, WEIR_S_NS);
        }
        assert_int_equal(recvs[BUSY].byte_count, round);
    }
    for (int i = 0; i <= BUSY; i++) {
        end_note(io, &recvs[i]);
        close_pair(fds[i]);
    }
    free(bytes);
    close_io(io);
}

static void a_reset_and_a_broken_pipe_are_results(void **state)
{
    struct weir_io *io = open_io(state);
    int fds[2];
    tcp_pair(io, fds);
    struct note recv = {0};
    begin(io, &recv, WEIR_IO_RECV, fds[1]);
    weir_io_turn(io, 0);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    close(fds[0]);
    TURN_UNTIL(io, recv.ends == 1);
    assert_int_equal(recv.last_result, -ECONNRESET);
    struct iovec iov = {"x", 1};
    struct note send = {0};
    begin_send(io, &send, fds[1], &iov, 1);
    TURN_UNTIL(io, send.ends == 1);
    assert_int_equal(send.last_result,
                     -EPIPE); /* and no SIGPIPE, which would have ended this test */
    close(fds[1]);
    close_io(io);
}

static void an_end_right_behind_the_bytes_is_told(void **state)
{
    struct weir_io *io = open_io(state);
    for (int i = 0; i < 20; i++) {
        int fds[2];
        if (i % 2 == 0)
            tcp_pair(io, fds);
        else
            stream_pair(fds);
        struct note recv = {0};
        if (i % 4 < 2)
            begin(io, &recv, WEIR_IO_RECV, fds[1]);
        assert_int_equal(write(fds[0], "last words", 10), 10);
        close(fds[0]);
        if (i % 4 >= 2)
            begin(io, &recv, WEIR_IO_RECV, fds[1]);
        TURN_UNTIL(io, recv.ends == 1);
        assert_int_equal(recv.last_result, 0);
        assert_int_equal(recv.byte_count, 10);
        io->table->drop(io, fds[1]);
    }
    close_io(io);
}

int main(void)
{
    static const struct io_case cases[] = {
        IO_CASE(what_is_sent_to_an_echo_comes_back),
        IO_CASE(a_refused_connect_says_so),
        IO_CASE(an_accepted_connection_does_not_delay_and_knows_its_peer),
        IO_CASE(a_storm_of_connections_is_accepted_whole),
        IO_CASE(a_listener_without_descriptors_waits_for_one),
        IO_CASE(a_path_of_a_dead_listener_is_taken_over_and_of_a_live_one_is_not),
        IO_CASE(many_megabytes_in_partial_sends_arrive_in_order),
        IO_CASE(a_send_into_a_full_socket_waits_and_goes_on),
        IO_CASE(receivers_that_find_no_buffer_go_on_by_themselves),
        IO_CASE(busy_senders_do_not_starve_a_quiet_one),
        IO_CASE(a_reset_and_a_broken_pipe_are_results),
        IO_CASE(an_end_right_behind_the_bytes_is_told),
    };
    return run_io_cases("runtime.io", cases, sizeof(cases) / sizeof(cases[0]));
}
