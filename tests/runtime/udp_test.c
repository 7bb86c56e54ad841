/* tests/runtime/udp_test.c - every promise of weir/udp.h, on each io. */
#include "tests/runtime/live_fixture.h"
#include "tests/runtime/short_io.h"

struct box {
    uint32_t count;
    size_t byte_count;
    uint8_t bytes[65536];
    struct sockaddr_in sender;
    bool answer;
    bool close;
};

static void on_datagram(struct weir_reactor *reactor, struct weir_udp *udp, const void *bytes, size_t byte_count,
                        const void *sender, void *context)
{
    (void)reactor;
    struct box *box = context;
    char to[64], ip[INET_ADDRSTRLEN];
    box->count++;
    box->byte_count = byte_count;
    memcpy(box->bytes, bytes, byte_count);
    memcpy(&box->sender, sender, sizeof box->sender);
    inet_ntop(AF_INET, &box->sender.sin_addr, ip, sizeof ip);
    snprintf(to, sizeof to, "%s:%u", ip, ntohs(box->sender.sin_port));
    if (box->answer)
        assert_int_equal(weir_udp_send(udp, to, bytes, byte_count), 0);
    if (box->close)
        weir_udp_close(udp);
}

static int open_udp(struct live *live, const char *address, struct box *box, struct weir_udp **udp_out)
{
    return weir_udp_open(live->reactor, address, on_datagram, NULL, box, udp_out);
}

static int plain_datagrams(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {30, 0};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void a_datagram_comes_whole_and_may_be_answered(void **state)
{
    static const size_t sizes[] = {0, 1, 100, 1500, 9000, 65507};
    struct live live;
    static struct box box;
    struct weir_udp *udp;
    static uint8_t bytes[65536], back[65536];
    box = (struct box){.answer = true};
    open_live(&live, state, 1);
    assert_int_equal(open_udp(&live, "127.0.0.1:0", &box, &udp), 0);
    int fd = plain_datagrams(weir_udp_port(udp));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        fill_bytes(bytes, sizes[i], i);
        assert_int_equal(send(fd, bytes, sizes[i], 0), sizes[i]);
        TURN_UNTIL(&live, box.count == i + 1);
        assert_int_equal(box.byte_count, sizes[i]);
        assert_true(bytes_are(box.bytes, sizes[i], i));
        turn_a_while(&live);
        assert_int_equal(recv(fd, back, sizeof back, 0), sizes[i]);
        assert_true(bytes_are(back, sizes[i], i));
    }
    close(fd);
    close_live(&live);
}

static void wrong_sends_are_refused(void **state)
{
    struct live live;
    static struct box box;
    struct weir_udp *udp;
    static uint8_t bytes[65508];
    open_live(&live, state, 1);
    assert_int_equal(open_udp(&live, "127.0.0.1:0", &box, &udp), 0);
    assert_int_equal(weir_udp_send(udp, "127.0.0.1:9", bytes, 65508), -EMSGSIZE);
    assert_int_equal(weir_udp_send(udp, "nobody:9", bytes, 1), -EINVAL);
    close_live(&live);
}

static void wrong_opens_are_refused(void **state)
{
    struct live live;
    static struct box box;
    struct weir_udp *udp, *second;
    struct weir_udp_options options = WEIR_OPTIONS(struct weir_udp_options);
    char text[32];
    open_live(&live, state, 1);
    assert_int_equal(open_udp(&live, "nobody", &box, &udp), -EINVAL);
    assert_int_equal(open_udp(&live, "127.0.0.1:0", &box, &udp), 0);
    snprintf(text, sizeof text, "127.0.0.1:%u", weir_udp_port(udp));
    assert_int_equal(open_udp(&live, text, &box, &second), -EADDRINUSE);
    options.group = "10.1.2.x";
    assert_int_equal(weir_udp_open(live.reactor, "*:0", on_datagram, &options, &box, &second), -EINVAL);
    options.group = "239.1.2.3";
    options.group_interface = "no-such-if";
    assert_int_equal(weir_udp_open(live.reactor, "*:0", on_datagram, &options, &box, &second), -ENODEV);
    close_live(&live);
}

/* An answer of the network to one datagram (nobody there) does not end the socket. */
static void a_refused_datagram_does_not_end_the_socket(void **state)
{
    struct live live;
    static struct box box;
    struct weir_udp *udp, *gone;
    char text[32];
    box = (struct box){0};
    open_live(&live, state, 1);
    assert_int_equal(open_udp(&live, "127.0.0.1:0", &box, &udp), 0);
    assert_int_equal(open_udp(&live, "127.0.0.1:0", &box, &gone), 0);
    snprintf(text, sizeof text, "127.0.0.1:%u", weir_udp_port(gone));
    weir_udp_close(gone);
    turn_a_while(&live);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(weir_udp_send(udp, text, "x", 1), 0);
        turn_a_while(&live);
    }
    int fd = plain_datagrams(weir_udp_port(udp));
    assert_int_equal(send(fd, "y", 1, 0), 1);
    TURN_UNTIL(&live, box.count == 1);
    close(fd);
    close_live(&live);
}

static void nothing_is_received_after_a_close(void **state)
{
    struct live live;
    static struct box box;
    struct weir_udp *udp;
    box = (struct box){.close = true};
    open_live(&live, state, 1);
    assert_int_equal(open_udp(&live, "127.0.0.1:0", &box, &udp), 0);
    int fd = plain_datagrams(weir_udp_port(udp));
    for (int i = 0; i < 10; i++)
        send(fd, "x", 1, 0);
    TURN_UNTIL(&live, box.count == 1);
    turn_a_while(&live);
    assert_int_equal(box.count, 1);
    close(fd);
    close_live(&live);
}

static void too_many_unsent_are_refused_and_the_rest_leaves(void **state)
{
    struct live live;
    static struct box box;
    struct weir_udp *udp;
    char text[32];
    uint32_t taken = 0;
    int result = 0;
    box = (struct box){0};
    open_live(&live, state, 1);
    assert_int_equal(open_udp(&live, "127.0.0.1:0", &box, &udp), 0);
    snprintf(text, sizeof text, "127.0.0.1:%u", weir_udp_port(udp));
    while (taken < 100000 && (result = weir_udp_send(udp, text, "x", 1)) == 0)
        taken++;
    assert_int_equal(result, -ENOBUFS);
    turn_a_while(&live);
    assert_int_equal(weir_udp_send(udp, text, "x", 1), 0);
    TURN_UNTIL(&live, box.count > 0);
    close_live(&live);
}

static void a_group_is_joined_on_an_interface(void **state)
{
    struct live live;
    static struct box box;
    struct weir_udp *udp;
    struct weir_udp_options options = WEIR_OPTIONS(struct weir_udp_options);
    options.group = "239.77.1.2";
    options.group_interface = "lo";
    box = (struct box){0};
    open_live(&live, state, 1);
    assert_int_equal(weir_udp_open(live.reactor, "*:0", on_datagram, &options, &box, &udp), 0);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct in_addr loopback = {htonl(INADDR_LOOPBACK)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(weir_udp_port(udp))};
    inet_pton(AF_INET, "239.77.1.2", &to.sin_addr);
    assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &loopback, sizeof loopback), 0);
    if (sendto(fd, "tick", 4, 0, (struct sockaddr *)&to, sizeof to) < 0 && (errno == ENETUNREACH || errno == EPERM)) {
        close(fd);
        close_live(&live);
        skip(); /* a machine without multicast */
    }
    TURN_UNTIL(&live, box.count == 1);
    assert_memory_equal(box.bytes, "tick", 4);
    close(fd);
    close_live(&live);
}

static void reactors_may_share_a_port(void **state)
{
    struct live live;
    static struct box boxes[2];
    struct weir_udp *udp, *second;
    struct weir_udp_options options = WEIR_OPTIONS(struct weir_udp_options);
    char text[32];
    options.reuse_port = true;
    memset(boxes, 0, sizeof boxes);
    open_live(&live, state, 2);
    assert_int_equal(weir_udp_open(live.reactor, "127.0.0.1:0", on_datagram, &options, &boxes[0], &udp), 0);
    uint16_t port = weir_udp_port(udp);
    snprintf(text, sizeof text, "127.0.0.1:%u", port);
    struct weir_reactor *other = weir_runtime_reactor(live.runtime, 1);
    assert_int_equal(weir_udp_open(other, text, on_datagram, &options, &boxes[1], &second), 0);
    turn_a_while(&live);
    for (int i = 0; i < 64; i++) { /* each from a port of its own */
        int fd = plain_datagrams(port);
        assert_int_equal(send(fd, "x", 1, 0), 1);
        close(fd);
    }
    TURN_UNTIL(&live, boxes[0].count + boxes[1].count == 64);
    assert_true(boxes[0].count > 0);
    assert_true(boxes[1].count > 0);
    close_live(&live);
}

static void a_receive_that_could_not_be_armed_is_tried_again(void **state)
{
    struct live live;
    static struct box box;
    struct weir_udp *udp;
    box = (struct box){0};
    open_live(&live, state, 1);
    short_io_open(live.reactor, WEIR_IO_RECVFROM, 3);
    assert_int_equal(open_udp(&live, "127.0.0.1:0", &box, &udp), 0);
    int fd = plain_datagrams(weir_udp_port(udp));
    assert_int_equal(send(fd, "x", 1, 0), 1);
    TURN_UNTIL(&live, box.count == 1);
    assert_int_equal(short_io.refusals, 0);
    close(fd);
    close_live(&live);
}

int main(void)
{
    static const struct live_case cases[] = {
        LIVE_CASE(a_receive_that_could_not_be_armed_is_tried_again),
        LIVE_CASE(a_datagram_comes_whole_and_may_be_answered),
        LIVE_CASE(wrong_sends_are_refused),
        LIVE_CASE(wrong_opens_are_refused),
        LIVE_CASE(a_refused_datagram_does_not_end_the_socket),
        LIVE_CASE(nothing_is_received_after_a_close),
        LIVE_CASE(too_many_unsent_are_refused_and_the_rest_leaves),
        LIVE_CASE(a_group_is_joined_on_an_interface),
        LIVE_CASE(reactors_may_share_a_port),
    };
    return RUN_LIVE_CASES("runtime.udp", cases);
}
