/* tests/runtime/tcp_listen_test.c - listening and connecting as weir/tcp.h promises, on each io. Connections: tcp_test.c. */
#include <sys/stat.h>
#include <sys/un.h>

#include <netinet/tcp.h>

#include "tests/runtime/live_fixture.h"
#include "tests/runtime/short_io.h"

#include "runtime/tcp.h"

enum { CONNECTIONS = 300 };

struct seen {
    uint32_t opens, closes;
    uint64_t received;
    int error;
    struct weir_tcp *conn;
    bool close_at_once;
};

static void on_open(struct weir_reactor *reactor, struct weir_tcp *conn, void *context)
{
    (void)reactor;
    struct seen *seen = context;
    seen->opens++;
    seen->conn = conn;
    if (seen->close_at_once)
        weir_tcp_close(conn);
}

static void on_data(struct weir_reactor *reactor, struct weir_tcp *conn, const void *bytes, size_t byte_count)
{
    (void)reactor;
    struct seen *seen = weir_tcp_context(conn);
    assert_true(bytes_are(bytes, byte_count, seen->received));
    seen->received += byte_count;
}

static void on_close(struct weir_reactor *reactor, struct weir_tcp *conn, int error)
{
    (void)reactor;
    struct seen *seen = weir_tcp_context(conn);
    seen->closes++;
    seen->error = error;
    seen->conn = NULL;
}

static const struct weir_tcp_handlers *all_handlers(void)
{
    static const struct weir_tcp_handlers handlers = {
        .size = sizeof handlers, .on_open = on_open, .on_data = on_data, .on_close = on_close};
    return &handlers;
}

static int listen_on(struct weir_reactor *reactor, const char *address, bool exclusive, struct seen *seen,
                     struct weir_tcp_listener **listener_out)
{
    struct weir_tcp_options options = WEIR_OPTIONS(struct weir_tcp_options);
    options.exclusive = exclusive;
    return weir_tcp_listen(reactor, address, all_handlers(), &options, seen, listener_out);
}

static void text_of_port(char *text, size_t text_bytes, uint16_t port)
{
    snprintf(text, text_bytes, "127.0.0.1:%u", port);
}

static void a_wrong_address_is_refused(void **state)
{
    static const char *const wrong[] = {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x", "localhost.x:1",
                                        "[::1:80", "unix:", "1.2.3.4.5:6", "::1:80:"};
    struct live live;
    struct seen seen = {0};
    struct weir_tcp_listener *listener;
    struct weir_tcp *conn;
    open_live(&live, state, 1);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(listen_on(live.reactor, wrong[i], false, &seen, &listener), -EINVAL);
        assert_int_equal(weir_tcp_connect(live.reactor, wrong[i], all_handlers(), NULL, &seen, &conn), -EINVAL);
    }
    close_live(&live);
}

static void an_address_of_another_machine_is_not_available(void **state)
{
    struct live live;
    struct seen seen = {0};
    struct weir_tcp_listener *listener;
    open_live(&live, state, 1);
    assert_int_equal(listen_on(live.reactor, "192.0.2.1:0", false, &seen, &listener), -EADDRNOTAVAIL);
    close_live(&live);
}

static void an_exclusive_port_must_be_nobodys(void **state)
{
    struct live live;
    struct seen seen = {0};
    struct weir_tcp_listener *listener, *second;
    char text[32];
    open_live(&live, state, 2);
    assert_int_equal(listen_on(live.reactor, "127.0.0.1:0", true, &seen, &listener), 0);
    assert_true(weir_tcp_listener_port(listener) > 0);
    text_of_port(text, sizeof text, weir_tcp_listener_port(listener));
    struct weir_reactor *other = weir_runtime_reactor(live.runtime, 1);
    assert_int_equal(listen_on(other, text, true, &seen, &second), -EADDRINUSE);
    assert_int_equal(listen_on(other, text, false, &seen, &second), 0);
    close_live(&live);
}

static void a_port_that_a_stranger_has_is_busy(void **state)
{
    struct live live;
    struct seen seen = {0};
    struct weir_tcp_listener *listener;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t bytes = sizeof address;
    char text[32];
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int stranger = plain_socket();
    assert_int_equal(bind(stranger, (struct sockaddr *)&address, bytes), 0);
    assert_int_equal(listen(stranger, 1), 0);
    getsockname(stranger, (struct sockaddr *)&address, &bytes);
    text_of_port(text, sizeof text, ntohs(address.sin_port));
    open_live(&live, state, 1);
    assert_int_equal(listen_on(live.reactor, text, false, &seen, &listener), -EADDRINUSE);
    assert_int_equal(listen_on(live.reactor, text, true, &seen, &listener), -EADDRINUSE);
    close(stranger);
    assert_int_equal(listen_on(live.reactor, text, true, &seen, &listener), 0);
    close_live(&live);
}

static void reactors_share_the_connections_of_a_port(void **state)
{
    struct live live;
    struct seen seen[2] = {{0}};
    struct weir_tcp_listener *listener;
    char text[32];
    int fds[64];
    open_live(&live, state, 2);
    assert_int_equal(listen_on(live.reactor, "127.0.0.1:0", false, &seen[0], &listener), 0);
    uint16_t port = weir_tcp_listener_port(listener);
    text_of_port(text, sizeof text, port);
    assert_int_equal(listen_on(weir_runtime_reactor(live.runtime, 1), text, false, &seen[1], &listener), 0);
    for (int i = 0; i < 64; i++)
        fds[i] = dial(port);
    TURN_UNTIL(&live, seen[0].opens + seen[1].opens == 64);
    assert_true(seen[0].opens > 0);
    assert_true(seen[1].opens > 0);
    for (int i = 0; i < 64; i++)
        close(fds[i]);
    TURN_UNTIL(&live, seen[0].closes + seen[1].closes == 64);
    close_live(&live);
}

static void a_closed_listener_accepts_nobody(void **state)
{
    struct live live;
    struct seen seen = {0};
    struct weir_tcp_listener *listener;
    open_live(&live, state, 1);
    assert_int_equal(listen_on(live.reactor, "127.0.0.1:0", false, &seen, &listener), 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(weir_tcp_listener_port(listener))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int before = dial(weir_tcp_listener_port(listener));
    TURN_UNTIL(&live, seen.opens == 1);
    weir_tcp_listener_close(listener);
    turn_a_while(&live);
    int fd = plain_socket();
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), -1);
    assert_int_equal(errno, ECONNREFUSED);
    uint8_t first = byte_at(0); /* who was accepted stays */
    assert_int_equal(send(before, &first, 1, 0), 1);
    TURN_UNTIL(&live, seen.received == 1);
    close(fd);
    close(before);
    TURN_UNTIL(&live, seen.closes == 1);
    close_live(&live);
}

static void a_refused_connection_is_told_without_an_open(void **state)
{
    struct live live;
    struct seen seen = {0};
    struct weir_tcp_listener *listener;
    struct weir_tcp *conn;
    char text[32];
    open_live(&live, state, 1);
    assert_int_equal(listen_on(live.reactor, "127.0.0.1:0", false, &seen, &listener), 0);
    text_of_port(text, sizeof text, weir_tcp_listener_port(listener));
    weir_tcp_listener_close(listener);
    turn_a_while(&live);
    assert_int_equal(weir_tcp_connect(live.reactor, text, all_handlers(), NULL, &seen, &conn), 0);
    assert_int_equal(seen.closes, 0); /* in a later turn */
    TURN_UNTIL(&live, seen.closes == 1);
    assert_int_equal(seen.error, -ECONNREFUSED);
    assert_int_equal(seen.opens, 0);
    close_live(&live);
}

/* On the way there nothing was armed: what was written before on_open stayed for ever. */
static void bytes_written_while_connecting_arrive(void **state)
{
    struct live live;
    struct seen here = {0}, there = {0};
    struct weir_tcp_listener *listener;
    struct weir_tcp *conn;
    char text[32];
    uint8_t bytes[1000];
    fill_bytes(bytes, sizeof bytes, 0);
    open_live(&live, state, 1);
    assert_int_equal(listen_on(live.reactor, "127.0.0.1:0", false, &there, &listener), 0);
    text_of_port(text, sizeof text, weir_tcp_listener_port(listener));
    assert_int_equal(weir_tcp_connect(live.reactor, text, all_handlers(), NULL, &here, &conn), 0);
    assert_int_equal(weir_tcp_write(conn, bytes, sizeof bytes), 0);
    TURN_UNTIL(&live, there.received == sizeof bytes);
    assert_int_equal(weir_tcp_write(there.conn, bytes, sizeof bytes), 0);
    TURN_UNTIL(&live, here.received == sizeof bytes);
    weir_tcp_close(here.conn);
    TURN_UNTIL(&live, here.closes == 1 && there.closes == 1);
    assert_int_equal(here.error, 0);
    assert_int_equal(there.error, 0);
    close_live(&live);
}

static void a_connection_may_be_given_up_while_connecting(void **state)
{
    struct live live;
    struct seen here = {0}, there = {0};
    struct weir_tcp_listener *listener;
    struct weir_tcp *conn;
    char text[32];
    open_live(&live, state, 1);
    assert_int_equal(listen_on(live.reactor, "127.0.0.1:0", false, &there, &listener), 0);
    text_of_port(text, sizeof text, weir_tcp_listener_port(listener));
    for (int i = 0; i < 20; i++) {
        here = (struct seen){0};
        assert_int_equal(weir_tcp_connect(live.reactor, text, all_handlers(), NULL, &here, &conn), 0);
        if (i % 2)
            weir_tcp_close(conn);
        else
            weir_tcp_abort(conn);
        TURN_UNTIL(&live, here.closes == 1);
        assert_int_equal(here.opens, 0);
        assert_true(here.error < 0);
    }
    TURN_UNTIL(&live, there.closes == there.opens);
    close_live(&live);
}

static void a_unix_socket_is_a_file_while_it_listens(void **state)
{
    struct live live;
    struct seen here = {0}, there = {0};
    struct weir_tcp_listener *listener, *second;
    struct weir_tcp *conn;
    char path[64], text[80], name[80];
    struct stat found;
    snprintf(path, sizeof path, "/tmp/weir-tcp-test-%d.sock", (int)getpid());
    snprintf(text, sizeof text, "unix:%s", path);
    unlink(path);
    open_live(&live, state, 1);
    assert_int_equal(listen_on(live.reactor, text, false, &there, &listener), 0);
    assert_int_equal(weir_tcp_listener_port(listener), 0);
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(listen_on(live.reactor, text, false, &there, &second), -EADDRINUSE);
    assert_int_equal(stat(path, &found), 0); /* still the first one's */
    assert_int_equal(weir_tcp_connect(live.reactor, text, all_handlers(), NULL, &here, &conn), 0);
    TURN_UNTIL(&live, here.opens == 1 && there.conn != NULL); /* the second listen has looked whether anybody answers */
    weir_tcp_peer_name(here.conn, name, sizeof name);
    assert_string_equal(name, text);
    weir_tcp_local_name(there.conn, name, sizeof name);
    assert_string_equal(name, text);
    uint8_t bytes[5000];
    fill_bytes(bytes, sizeof bytes, 0);
    assert_int_equal(weir_tcp_write(here.conn, bytes, sizeof bytes), 0);
    weir_tcp_close(here.conn);
    TURN_UNTIL(&live, here.closes == 1 && there.closes == there.opens);
    assert_int_equal(there.received, sizeof bytes);
    weir_tcp_listener_close(listener);
    turn_a_while(&live);
    assert_int_equal(stat(path, &found), -1);
    close_live(&live);
}

static void a_unix_path_that_cannot_be_says_so(void **state)
{
    struct live live;
    struct seen seen = {0};
    struct weir_tcp_listener *listener;
    char path[200] = "unix:/";
    open_live(&live, state, 1);
    memset(path + 6, 'x', 150);
    path[156] = '\0';
    assert_int_equal(listen_on(live.reactor, path, false, &seen, &listener), -EINVAL);
    assert_true(listen_on(live.reactor, "unix:/tmp/weir-no-such-folder/s", false, &seen, &listener) < 0);
    close_live(&live);
}

static void six_is_as_good_as_four(void **state)
{
    struct live live;
    struct seen here = {0}, there = {0};
    struct weir_tcp_listener *listener;
    struct weir_tcp *conn;
    char text[64], name[64];
    open_live(&live, state, 1);
    int result = listen_on(live.reactor, "[::1]:0", false, &there, &listener);
    if (result == -EADDRNOTAVAIL || result == -EAFNOSUPPORT) { /* a machine without it */
        close_live(&live);
        skip();
    }
    assert_int_equal(result, 0);
    snprintf(text, sizeof text, "[::1]:%u", weir_tcp_listener_port(listener));
    assert_int_equal(weir_tcp_connect(live.reactor, text, all_handlers(), NULL, &here, &conn), 0);
    TURN_UNTIL(&live, here.opens == 1 && there.opens == 1);
    weir_tcp_peer_name(here.conn, name, sizeof name);
    assert_string_equal(name, text);
    weir_tcp_abort(here.conn);
    TURN_UNTIL(&live, here.closes == 1 && there.closes == 1);
    close_live(&live);
}

static void many_connections_come_and_go(void **state)
{
    struct live live;
    struct seen seen = {.close_at_once = true};
    struct weir_tcp_listener *listener;
    open_live(&live, state, 1);
    assert_int_equal(listen_on(live.reactor, "127.0.0.1:0", false, &seen, &listener), 0);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        int fd = dial(weir_tcp_listener_port(listener));
        if (i % 3 == 0)
            turn_all(&live);
        close(fd);
    }
    TURN_UNTIL(&live, seen.closes == CONNECTIONS);
    struct weir_reactor_counters counters;
    weir_reactor_counters_read(live.reactor, &counters);
    assert_int_equal(counters.connections_opened, CONNECTIONS);
    assert_int_equal(counters.connections_closed, CONNECTIONS);
    close_live(&live);
}

/* The runtime closes while a listener listens and connections are open: each is told, and the port is free. */
static void a_stop_closes_listeners_and_connections(void **state)
{
    struct live live;
    struct seen seen = {0}, again = {0};
    struct weir_tcp_listener *listener;
    char text[32];
    open_live(&live, state, 1);
    assert_int_equal(listen_on(live.reactor, "127.0.0.1:0", true, &seen, &listener), 0);
    text_of_port(text, sizeof text, weir_tcp_listener_port(listener));
    int fd = dial(weir_tcp_listener_port(listener));
    TURN_UNTIL(&live, seen.opens == 1);
    close_live(&live);
    assert_int_equal(seen.closes, 1);
    uint8_t byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
    open_live(&live, state, 1);
    assert_int_equal(listen_on(live.reactor, text, true, &again, &listener), 0);
    close_live(&live);
}

static void an_accept_that_could_not_be_armed_is_tried_again(void **state)
{
    struct live live;
    struct seen seen = {0};
    struct weir_tcp_listener *listener;
    open_live(&live, state, 1);
    short_io_open(live.reactor, WEIR_IO_ACCEPT, 3);
    assert_int_equal(listen_on(live.reactor, "127.0.0.1:0", false, &seen, &listener), 0);
    int fd = dial(weir_tcp_listener_port(listener));
    TURN_UNTIL(&live, seen.opens == 1);
    assert_int_equal(short_io.refusals, 0);
    close(fd);
    close_live(&live);
}

static int option_of(const struct weir_tcp *conn, int level, int name)
{
    int value = -1;
    socklen_t bytes = sizeof value;
    assert_int_equal(getsockopt(conn->fd, level, name, &value, &bytes), 0);
    return value;
}

static void who_is_silent_is_asked_if_that_is_wished(void **state)
{
    struct live live;
    struct seen seen[2] = {{0}, {0}};
    int fds[2];
    open_live(&live, state, 1);
    for (uint32_t i = 0; i < 2; i++) {
        struct weir_tcp_options options = WEIR_OPTIONS(struct weir_tcp_options);
        struct weir_tcp_listener *listener;
        options.keepalive_s = i == 1 ? 90 : 0;
        assert_int_equal(weir_tcp_listen(live.reactor, "127.0.0.1:0", all_handlers(), &options, &seen[i], &listener), 0);
        fds[i] = dial(weir_tcp_listener_port(listener));
        TURN_UNTIL(&live, seen[i].opens == 1);
    }
    assert_int_equal(option_of(seen[0].conn, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(option_of(seen[1].conn, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option_of(seen[1].conn, IPPROTO_TCP, TCP_KEEPIDLE), 90);
    assert_int_equal(option_of(seen[1].conn, IPPROTO_TCP, TCP_KEEPINTVL), 30);
    assert_int_equal(option_of(seen[1].conn, IPPROTO_TCP, TCP_KEEPCNT), 3);
    close(fds[0]);
    close(fds[1]);
    close_live(&live);
}

int main(void)
{
    static const struct live_case cases[] = {
        LIVE_CASE(a_wrong_address_is_refused),
        LIVE_CASE(an_address_of_another_machine_is_not_available),
        LIVE_CASE(an_exclusive_port_must_be_nobodys),
        LIVE_CASE(a_port_that_a_stranger_has_is_busy),
        LIVE_CASE(reactors_share_the_connections_of_a_port),
        LIVE_CASE(a_closed_listener_accepts_nobody),
        LIVE_CASE(a_refused_connection_is_told_without_an_open),
        LIVE_CASE(bytes_written_while_connecting_arrive),
        LIVE_CASE(a_connection_may_be_given_up_while_connecting),
        LIVE_CASE(a_unix_socket_is_a_file_while_it_listens),
        LIVE_CASE(a_unix_path_that_cannot_be_says_so),
        LIVE_CASE(six_is_as_good_as_four),
        LIVE_CASE(many_connections_come_and_go),
        LIVE_CASE(a_stop_closes_listeners_and_connections),
        LIVE_CASE(an_accept_that_could_not_be_armed_is_tried_again),
        LIVE_CASE(who_is_silent_is_asked_if_that_is_wished),
    };
    return RUN_LIVE_CASES("runtime.tcp_listen", cases);
}
