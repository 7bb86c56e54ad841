/*
 * bench/load/relay_load.c - 64-byte datagrams at a fixed rate into a relay, timed where they come out of its TCP side.
 *
 * Open loop: a datagram carries the instant it was meant to leave, and is late if it leaves late; nothing waits for an
 * answer. Arguments: name, UDP port, TCP port, datagrams a second, milliseconds. Prints NAME.p50 .. NAME.max and NAME.lost.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>

#include "bench/load/load.h"

enum { MESSAGE_BYTES = 64, KEYS = 97, WARM_MS = 200 };

struct message {
    uint64_t key;
    uint64_t intended_ns;
    uint64_t rest[6];
};
_Static_assert(sizeof(struct message) == MESSAGE_BYTES, "a message is 64 bytes");

struct receiver {
    int fd;
    uint64_t counts_from_ns; /* what was meant to leave before is the warm-up */
    struct histogram histogram;
    atomic_uint_fast64_t taken;
};

static void *receive(void *argument)
{
    struct receiver *receiver = argument;
    static char bytes[1 << 18];
    size_t held = 0;
    for (;;) {
        ssize_t got = recv(receiver->fd, bytes + held, sizeof bytes - held, 0);
        if (got <= 0)
            return NULL;
        uint64_t now_ns = measure_now_ns();
        size_t at = 0;
        for (held += (size_t)got; held - at >= MESSAGE_BYTES; at += MESSAGE_BYTES) {
            struct message message;
            memcpy(&message, bytes + at, sizeof message);
            if (message.intended_ns < receiver->counts_from_ns)
                continue;
            histogram_add(&receiver->histogram, now_ns - message.intended_ns);
            atomic_fetch_add_explicit(&receiver->taken, 1, memory_order_relaxed);
        }
        memmove(bytes, bytes + at, held - at);
        held -= at;
    }
}

static uint64_t send_at_rate(int udp, double rate, uint64_t from_ns, uint64_t to_ns,
                             uint64_t counts_from_ns)
{
    uint64_t counted = 0;
    for (uint64_t i = 0;; i++) {
        struct message message = {.key = i % KEYS,
                                  .intended_ns = from_ns + (uint64_t)((double)i * 1e9 / rate)};
        if (message.intended_ns >= to_ns)
            return counted;
        wait_until(message.intended_ns);
        while (send(udp, &message, sizeof message, 0) < 0 && (errno == ENOBUFS || errno == EINTR))
            ;
        counted += message.intended_ns >= counts_from_ns;
    }
}

int main(int argc, char **argv)
{
    static struct receiver receiver;
    if (argc < 6)
        return 2;
    struct sockaddr_in to = loopback(atoi(argv[2]));
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    prctl(PR_SET_TIMERSLACK, 1);
    if (connect(udp, (struct sockaddr *)&to, sizeof to) != 0)
        measure_fail("no UDP");
    receiver.fd = dial(atoi(argv[3]));
    usleep(50000); /* the relay learns of its connection on another core than of its datagrams */
    uint64_t from_ns = measure_now_ns() + 1000000;
    receiver.counts_from_ns = from_ns + (uint64_t)WARM_MS * 1000000;
    uint64_t to_ns = receiver.counts_from_ns + (uint64_t)atoi(argv[5]) * 1000000;
    pthread_t thread;
    pthread_create(&thread, NULL, receive, &receiver);
    uint64_t sent = send_at_rate(udp, atof(argv[4]), from_ns, to_ns, receiver.counts_from_ns);
    for (int i = 0; i < 200 && atomic_load(&receiver.taken) < sent; i++)
        usleep(10000);
    shutdown(receiver.fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    print_latencies(argv[1], &receiver.histogram);
    print_row(argv[1], "lost", "count", (double)(sent - receiver.histogram.count));
    return 0;
}
