/* tests/runtime/tcp_test.c - every promise of weir/tcp.h, on each io. Listening and connecting: tcp_listen_test.c. */
#include "tests/runtime/live_fixture.h"

enum { ROOM = 8 << 20, PIECE = 60000 };

/* One end that is weir's: what its callbacks saw, and what it is to do in them. */
struct end {
    struct live live;
    struct weir_tcp_listener *listener;
    struct weir_tcp *conn;
    uint32_t opens, drains, closes, datas;
    int error;
    uint64_t received;
    bool good; /* every byte was the one that was due */
    bool inside; /* a callback runs */
    bool closed_inside;
    void (*on_open)(struct end *end);
    void (*on_data)(struct end *end);
    void (*on_drain)(struct end *end);
    uint64_t data_after_close;
    bool closing;
    bool echo;
    uint64_t random;
};

static void on_open(struct weir_reactor *reactor, struct weir_tcp *conn, void *context)
{
    struct end *end = context;
    assert_ptr_equal(weir_tcp_reactor(conn), reactor);
    assert_ptr_equal(weir_tcp_context(conn), context);
    end->conn = conn;
    end->opens++;
    end->inside = true;
    if (end->on_open)
        end->on_open(end);
    end->inside = false;
}

static void on_data(struct weir_reactor *reactor, struct weir_tcp *conn, const void *bytes, size_t byte_count)
{
    (void)reactor;
    struct end *end = weir_tcp_context(conn);
    assert_true(byte_count > 0);
    end->good = end->good && bytes_are(bytes, byte_count, end->received);
    end->received += byte_count;
    end->datas++;
    end->data_after_close += end->closing;
    if (end->echo)
        assert_int_equal(weir_tcp_write(conn, bytes, byte_count), 0);
    end->inside = true;
    if (end->on_data)
        end->on_data(end);
    end->inside = false;
}

static void on_drain(struct weir_reactor *reactor, struct weir_tcp *conn)
{
    (void)reactor;
    struct end *end = weir_tcp_context(conn);
    assert_int_equal(weir_tcp_unsent_bytes(conn), 0);
    end->drains++;
    end->inside = true;
    if (end->on_drain)
        end->on_drain(end);
    end->inside = false;
}

static void on_close(struct weir_reactor *reactor, struct weir_tcp *conn, int error)
{
    (void)reactor;
    struct end *end = weir_tcp_context(conn);
    end->closed_inside = end->closed_inside || end->inside;
    end->closes++;
    end->error = error;
    end->conn = NULL;
}

static struct weir_tcp_handlers all_handlers(void)
{
    struct weir_tcp_handlers handlers = WEIR_OPTIONS(struct weir_tcp_handlers);
    handlers.on_open = on_open;
    handlers.on_data = on_data;
    handlers.on_drain = on_drain;
    handlers.on_close = on_close;
    return handlers;
}

/* A listener of weir's and, unless `alone`, a plain socket connected to it: its descriptor. */
static int open_end(struct end *end, void **state, const struct weir_tcp_options *options)
{
    struct weir_tcp_handlers handlers = all_handlers();
    open_live(&end->live, state, 1);
    end->good = true;
    end->random = 88172645463325252u;
    assert_int_equal(weir_tcp_listen(end->live.reactor, "127.0.0.1:0", &handlers, options, end, &end->listener), 0);
    int fd = dial(weir_tcp_listener_port(end->listener));
    TURN_UNTIL(&end->live, end->opens == 1);
    return fd;
}

static void close_end(struct end *end, int fd)
{
    if (fd >= 0)
        close(fd);
    TURN_UNTIL(&end->live, end->closes == end->opens);
    assert_true(end->good);
    assert_false(end->closed_inside);
    assert_int_equal(end->data_after_close, 0);
    close_live(&end->live);
}

/* The peer sends `byte_count` bytes in pieces and reads what comes back, while weir is turned. */
static void exchange(struct end *end, int fd, uint64_t byte_count)
{
    uint8_t *bytes = malloc(PIECE);
    uint64_t sent = 0, back = 0;
    set_nonblocking(fd);
    uint64_t give_up_ns = clock_now_ns() + PATIENCE_NS;
    while (end->received < byte_count || (end->echo && back < byte_count)) {
        size_t piece = byte_count - sent < PIECE ? byte_count - sent : PIECE;
        fill_bytes(bytes, piece, sent);
        ssize_t did = piece > 0 ? send(fd, bytes, piece, MSG_NOSIGNAL) : 0;
        sent += did > 0 ? (uint64_t)did : 0;
        turn_all(&end->live);
        did = recv(fd, bytes, PIECE, 0);
        if (did > 0)
            assert_true(bytes_are(bytes, (size_t)did, back));
        back += did > 0 ? (uint64_t)did : 0;
        assert_true(clock_now_ns() < give_up_ns);
    }
    free(bytes);
}

/* Reads what has come without waiting; true at the end of the stream. */
static bool read_some(int fd, uint64_t *count)
{
    uint8_t bytes[PIECE];
    ssize_t got;
    while ((got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
        assert_true(bytes_are(bytes, (size_t)got, *count));
        *count += (uint64_t)got;
    }
    return got == 0;
}

static void write_numbered(struct weir_tcp *conn, uint64_t byte_count)
{
    uint8_t *bytes = malloc(byte_count);
    fill_bytes(bytes, byte_count, 0);
    assert_int_equal(weir_tcp_write(conn, bytes, byte_count), 0);
    memset(bytes, 0, byte_count); /* it was copied */
    free(bytes);
}

static void bytes_go_both_ways_in_order(void **state)
{
    struct end end = {.echo = true};
    int fd = open_end(&end, state, NULL);
    exchange(&end, fd, ROOM);
    struct weir_reactor_counters counters;
    weir_reactor_counters_read(end.live.reactor, &counters);
    assert_int_equal(counters.bytes_received, ROOM);
    assert_int_equal(counters.bytes_sent, ROOM);
    assert_int_equal(counters.connections_opened, 1);
    close_end(&end, fd);
    assert_int_equal(end.error, 0);
}

static void the_peers_end_closes_with_no_error(void **state)
{
    struct end end = {0};
    int fd = open_end(&end, state, NULL);
    assert_int_equal(end.closes, 0);
    close_end(&end, fd);
    assert_int_equal(end.error, 0);
    assert_int_equal(end.datas, 0);
}

static void owe_a_lot(struct end *end)
{
    write_numbered(end->conn, 3 << 20);
}

static void who_closed_its_half_still_gets_what_it_is_owed(void **state)
{
    struct end end = {.on_data = owe_a_lot};
    int fd = open_end(&end, state, NULL);
    uint8_t first = byte_at(0);
    uint64_t count = 0;
    assert_int_equal(send(fd, &first, 1, 0), 1);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    bool ended = false;
    TURN_UNTIL(&end.live, (ended = read_some(fd, &count)) || end.datas > 1);
    assert_true(ended);
    assert_int_equal(count, 3 << 20);
    close_end(&end, fd);
    assert_int_equal(end.error, 0);
}

static uint64_t next_random(struct end *end)
{
    end->random ^= end->random << 13;
    end->random ^= end->random >> 7;
    end->random ^= end->random << 17;
    return end->random;
}

static void resume_later(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    (void)reactor;
    (void)timer;
    struct end *end = context;
    if (end->conn)
        weir_tcp_resume(end->conn);
}

static struct weir_timer resume_timer;

/* Pauses, resumes at once, or both several times; or stays paused for a moment. */
static void pause_at_random(struct end *end)
{
    uint64_t what = next_random(end) % 4;
    if (what == 0)
        return;
    weir_tcp_pause(end->conn);
    weir_tcp_pause(end->conn);
    if (what == 1)
        weir_tcp_resume(end->conn);
    else
        weir_timer_set(end->live.reactor, &resume_timer, what == 2 ? 0 : 300000, resume_later, end);
}

static void pause_and_resume_lose_nothing_and_keep_the_order(void **state)
{
    struct end end = {.on_data = pause_at_random};
    memset(&resume_timer, 0, sizeof resume_timer);
    int fd = open_end(&end, state, NULL);
    exchange(&end, fd, ROOM);
    assert_int_equal(end.received, ROOM);
    weir_timer_cancel(end.live.reactor, &resume_timer);
    weir_tcp_resume(end.conn);
    close_end(&end, fd);
}

static void a_paused_connection_stops_its_peer(void **state)
{
    struct end end = {0};
    int fd = open_end(&end, state, NULL);
    uint8_t bytes[4096];
    uint64_t sent = 0;
    weir_tcp_pause(end.conn);
    turn_a_while(&end.live);
    set_nonblocking(fd);
    for (int idle = 0; idle < 50;) {
        fill_bytes(bytes, sizeof bytes, sent);
        ssize_t did = send(fd, bytes, sizeof bytes, MSG_NOSIGNAL);
        sent += did > 0 ? (uint64_t)did : 0;
        idle = did > 0 ? 0 : idle + 1;
        if (idle > 0)
            turn_all(&end.live);
        assert_true(sent < 256u << 20);
    }
    assert_int_equal(end.datas, 0);
    weir_tcp_resume(end.conn);
    TURN_UNTIL(&end.live, end.received == sent);
    close_end(&end, fd);
}

static void a_stream_that_ends_while_paused_is_read_first(void **state)
{
    struct end end = {0};
    int fd = open_end(&end, state, NULL);
    uint8_t bytes[5000];
    fill_bytes(bytes, sizeof bytes, 0);
    weir_tcp_pause(end.conn);
    turn_a_while(&end.live);
    assert_int_equal(send(fd, bytes, sizeof bytes, 0), sizeof bytes);
    close(fd);
    turn_a_while(&end.live);
    assert_int_equal(end.datas, 0);
    assert_int_equal(end.closes, 0);
    weir_tcp_resume(end.conn);
    TURN_UNTIL(&end.live, end.closes == 1);
    assert_int_equal(end.received, sizeof bytes);
    assert_int_equal(end.error, 0);
    close_end(&end, -1);
}

static void close_it(struct end *end)
{
    end->closing = true;
    weir_tcp_close(end->conn);
    weir_tcp_close(end->conn);
    assert_int_equal(weir_tcp_write(end->conn, "x", 1), -EPIPE);
}

static void abort_it(struct end *end)
{
    end->closing = true;
    weir_tcp_abort(end->conn);
    weir_tcp_abort(end->conn);
    weir_tcp_close(end->conn);
    assert_int_equal(weir_tcp_write(end->conn, "x", 1), -EPIPE);
}

static void a_connection_may_be_closed_in_on_open(void **state)
{
    struct end end = {.on_open = close_it};
    int fd = open_end(&end, state, NULL);
    uint64_t count = 0;
    TURN_UNTIL(&end.live, read_some(fd, &count));
    close_end(&end, fd);
    assert_int_equal(end.error, 0);
}

static void a_connection_may_be_closed_in_on_data(void **state)
{
    struct end end = {.on_data = close_it};
    int fd = open_end(&end, state, NULL);
    uint8_t bytes[PIECE];
    fill_bytes(bytes, sizeof bytes, 0);
    for (int i = 0; i < 10 && end.closes == 0; i++) {
        ssize_t sent = send(fd, bytes, sizeof bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)sent; /* the other end goes away */
        turn_all(&end.live);
    }
    TURN_UNTIL(&end.live, end.closes == 1);
    assert_int_equal(end.datas, 1);
    close_end(&end, fd);
}

static void a_connection_may_be_aborted_in_on_data(void **state)
{
    struct end end = {.on_data = abort_it};
    int fd = open_end(&end, state, NULL);
    uint8_t bytes[100];
    fill_bytes(bytes, sizeof bytes, 0);
    assert_int_equal(send(fd, bytes, sizeof bytes, 0), sizeof bytes);
    TURN_UNTIL(&end.live, end.closes == 1);
    assert_int_equal(end.error, -ECONNABORTED);
    assert_int_equal(recv(fd, bytes, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    close_end(&end, fd);
}

static void a_connection_may_be_closed_in_on_drain(void **state)
{
    struct end end = {.on_drain = close_it};
    int fd = open_end(&end, state, NULL);
    uint64_t count = 0;
    write_numbered(end.conn, 100000);
    TURN_UNTIL(&end.live, read_some(fd, &count));
    assert_int_equal(count, 100000);
    close_end(&end, fd);
    assert_int_equal(end.drains, 1);
}

static void an_abort_drops_what_is_queued_and_resets(void **state)
{
    struct end end = {0};
    int fd = open_end(&end, state, NULL);
    write_numbered(end.conn, 32 << 20); /* more than the kernel takes */
    turn_a_while(&end.live);
    assert_true(weir_tcp_unsent_bytes(end.conn) > 0);
    weir_tcp_abort(end.conn);
    TURN_UNTIL(&end.live, end.closes == 1);
    assert_int_equal(end.error, -ECONNABORTED);
    uint8_t bytes[PIECE];
    ssize_t got;
    while ((got = recv(fd, bytes, sizeof bytes, 0)) > 0)
        ;
    assert_int_equal(got, -1);
    assert_int_equal(errno, ECONNRESET);
    close_end(&end, fd);
}

static void a_close_sends_what_is_queued_first(void **state)
{
    struct end end = {0};
    int fd = open_end(&end, state, NULL);
    uint64_t count = 0;
    write_numbered(end.conn, 16 << 20);
    weir_tcp_close(end.conn);
    assert_int_equal(end.closes, 0); /* in a later turn */
    TURN_UNTIL(&end.live, read_some(fd, &count));
    assert_int_equal(count, 16 << 20);
    close_end(&end, fd);
    assert_int_equal(end.error, 0);
}

static void small_writes_run_together_in_order(void **state)
{
    struct end end = {0};
    int fd = open_end(&end, state, NULL);
    uint64_t written = 0, count = 0;
    uint8_t bytes[300];
    for (uint32_t i = 0; written < 1 << 20; i++) {
        size_t piece = i % sizeof bytes;
        fill_bytes(bytes, piece, written);
        assert_int_equal(weir_tcp_write(end.conn, bytes, piece), 0);
        written += piece;
        if (i % 50 == 0)
            turn_once(&end.live, 0, 0);
    }
    TURN_UNTIL(&end.live, (read_some(fd, &count), count == written));
    close_end(&end, fd);
}

static void what_is_over_the_unsent_limit_is_not_taken(void **state)
{
    struct end end = {0};
    struct weir_tcp_options options = WEIR_OPTIONS(struct weir_tcp_options);
    options.unsent_bytes_max = 100000;
    int fd = open_end(&end, state, &options);
    uint8_t *bytes = calloc(1, 100001);
    fill_bytes(bytes, 100001, 0);
    assert_int_equal(weir_tcp_write(end.conn, bytes, 100001), -EMSGSIZE);
    assert_int_equal(weir_tcp_write(end.conn, bytes, 60000), 0);
    assert_int_equal(weir_tcp_write(end.conn, bytes + 60000, 40001), -ENOBUFS);
    assert_int_equal(weir_tcp_unsent_bytes(end.conn), 60000);
    assert_int_equal(weir_tcp_write(end.conn, bytes + 60000, 40000), 0);
    assert_int_equal(weir_tcp_unsent_bytes(end.conn), 100000);
    uint64_t count = 0;
    TURN_UNTIL(&end.live, (read_some(fd, &count), end.drains > 0));
    assert_int_equal(weir_tcp_write(end.conn, bytes, 0), 0);
    TURN_UNTIL(&end.live, (read_some(fd, &count), count == 100000));
    free(bytes);
    close_end(&end, fd);
}

static void a_peers_reset_is_told_as_an_error(void **state)
{
    struct end end = {0};
    int fd = open_end(&end, state, NULL);
    struct linger reset = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    TURN_UNTIL(&end.live, end.closes == 1);
    assert_int_equal(end.error, -ECONNRESET);
    close_end(&end, -1);
}

static void a_peer_that_is_gone_ends_a_writer(void **state)
{
    struct end end = {0};
    int fd = open_end(&end, state, NULL);
    write_numbered(end.conn, 32 << 20);
    turn_a_while(&end.live);
    close(fd); /* with unread bytes: a reset */
    TURN_UNTIL(&end.live, end.closes == 1);
    assert_true(end.error == -ECONNRESET || end.error == -EPIPE);
    close_end(&end, -1);
}

static void names_are_those_of_both_ends(void **state)
{
    struct end end = {0};
    int fd = open_end(&end, state, NULL);
    struct sockaddr_in mine;
    socklen_t bytes = sizeof mine;
    char text[64], expected[64], cut[5];
    assert_int_equal(getsockname(fd, (struct sockaddr *)&mine, &bytes), 0);
    snprintf(expected, sizeof expected, "127.0.0.1:%u", ntohs(mine.sin_port));
    weir_tcp_peer_name(end.conn, text, sizeof text);
    assert_string_equal(text, expected);
    weir_tcp_peer_name(end.conn, cut, sizeof cut);
    assert_string_equal(cut, "127.");
    snprintf(expected, sizeof expected, "127.0.0.1:%u", weir_tcp_listener_port(end.listener));
    weir_tcp_local_name(end.conn, text, sizeof text);
    assert_string_equal(text, expected);
    close_end(&end, fd);
}

static void a_context_may_be_changed(void **state)
{
    struct end end = {0}, other = {.good = true};
    int fd = open_end(&end, state, NULL);
    weir_tcp_set_context(end.conn, &other);
    uint8_t first = byte_at(0);
    assert_int_equal(send(fd, &first, 1, 0), 1);
    TURN_UNTIL(&end.live, other.received == 1);
    close(fd);
    TURN_UNTIL(&end.live, other.closes == 1);
    assert_int_equal(end.closes, 0);
    close_live(&end.live);
}

int main(void)
{
    static const struct live_case cases[] = {
        LIVE_CASE(bytes_go_both_ways_in_order),
        LIVE_CASE(the_peers_end_closes_with_no_error),
        LIVE_CASE(who_closed_its_half_still_gets_what_it_is_owed),
        LIVE_CASE(pause_and_resume_lose_nothing_and_keep_the_order),
        LIVE_CASE(a_paused_connection_stops_its_peer),
        LIVE_CASE(a_stream_that_ends_while_paused_is_read_first),
        LIVE_CASE(a_connection_may_be_closed_in_on_open),
        LIVE_CASE(a_connection_may_be_closed_in_on_data),
        LIVE_CASE(a_connection_may_be_aborted_in_on_data),
        LIVE_CASE(a_connection_may_be_closed_in_on_drain),
        LIVE_CASE(an_abort_drops_what_is_queued_and_resets),
        LIVE_CASE(a_close_sends_what_is_queued_first),
        LIVE_CASE(small_writes_run_together_in_order),
        LIVE_CASE(what_is_over_the_unsent_limit_is_not_taken),
        LIVE_CASE(a_peers_reset_is_told_as_an_error),
        LIVE_CASE(a_peer_that_is_gone_ends_a_writer),
        LIVE_CASE(names_are_those_of_both_ends),
        LIVE_CASE(a_context_may_be_changed),
    };
    return RUN_LIVE_CASES("runtime.tcp", cases);
}
