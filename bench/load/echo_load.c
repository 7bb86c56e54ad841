/*
 * bench/load/echo_load.c - 64-byte messages to an echo server, one under way on each connection, for a time.
 *
 * Arguments: name, port, connections, milliseconds, CPU to sit on. Prints NAME.rate and NAME.count (for whoever divides the
 * server's CPU time by it). Each echo is checked: a sequence number of its connection.
 */
#include <sys/epoll.h>

#include "bench/load/load.h"

enum { MESSAGE_BYTES = 64, EVENTS = 256, WARM_MS = 100 };

struct conn {
    int fd;
    uint32_t got;
    uint64_t sequence;
    unsigned char bytes[MESSAGE_BYTES];
};

static void fire(struct conn *conn)
{
    unsigned char message[MESSAGE_BYTES] = {0};
    conn->sequence++;
    conn->got = 0;
    memcpy(message, &conn->sequence, sizeof conn->sequence);
    memcpy(message + MESSAGE_BYTES - 8, &conn->sequence, sizeof conn->sequence);
    send_all(conn->fd, message, sizeof message);
}

/* 1: an echo is complete and the next message is under way. */
static int take(struct conn *conn)
{
    ssize_t got = recv(conn->fd, conn->bytes + conn->got, MESSAGE_BYTES - conn->got, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got <= 0)
        measure_fail("the server hung up");
    conn->got += (uint32_t)got;
    if (conn->got < MESSAGE_BYTES)
        return 0;
    if (memcmp(conn->bytes, &conn->sequence, 8) != 0 || memcmp(conn->bytes + MESSAGE_BYTES - 8, &conn->sequence, 8) != 0)
        measure_fail("not what was sent");
    fire(conn);
    return 1;
}

static uint64_t drive(int epoll, uint64_t until_ns)
{
    struct epoll_event events[EVENTS];
    uint64_t echoes = 0;
    while (measure_now_ns() < until_ns) {
        int ready = epoll_wait(epoll, events, EVENTS, 100);
        for (int i = 0; i < ready; i++)
            echoes += (uint64_t)take(events[i].data.ptr);
    }
    return echoes;
}

int main(int argc, char **argv)
{
    if (argc < 6)
        return 2;
    int port = atoi(argv[2]), conn_count = atoi(argv[3]), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct conn *conns = calloc((size_t)conn_count, sizeof *conns);
    measure_pin(atoi(argv[5]));
    for (int i = 0; i < conn_count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &conns[i]};
        conns[i].fd = dial(port);
        epoll_ctl(epoll, EPOLL_CTL_ADD, conns[i].fd, &event);
    }
    for (int i = 0; i < conn_count; i++)
        fire(&conns[i]);
    uint64_t all = drive(epoll, measure_now_ns() + (uint64_t)WARM_MS * 1000000);
    uint64_t from_ns = measure_now_ns();
    uint64_t echoes = drive(epoll, from_ns + (uint64_t)atoi(argv[4]) * 1000000);
    print_row(argv[1], "rate", "1/s", (double)echoes * 1e9 / (double)(measure_now_ns() - from_ns));
    print_row(argv[1], "count", "count", (double)(all + echoes));
    return 0;
}
