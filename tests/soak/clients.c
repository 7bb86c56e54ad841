/*
 * tests/soak/clients.c - one thread, one poll loop, open loop: a delay counts from the instant at which the event was due.
 *
 * All frames of a kind have one length, so that parsing is counting.
 */
#include "tests/soak/clients.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENT_HEAD "*3\r\n$7\r\nmessage\r\n$6\r\nsoak.0\r\n$256\r\n"
#define PUBLISH_HEAD "*3\r\n$7\r\nPUBLISH\r\n$6\r\nsoak.%u\r\n$256\r\n"
#define SUBSCRIBED "*3\r\n$9\r\nsubscribe\r\n$6\r\nsoak.0\r\n:1\r\n"
#define FLOOD "*3\r\n$7\r\nPUBLISH\r\n$5\r\nflood\r\n$8\r\nabcdefgh\r\n"

enum {
    BODY_BYTES = 256,
    EVENT_BYTES = sizeof EVENT_HEAD - 1 + BODY_BYTES + 2,
    FLOOD_BYTES = sizeof FLOOD - 1,
    FLOOD_AT_ONCE = 64,
    FILL_EVENTS = 384, /* together more than the kernel's buffers and the window, and less than the burst of an address */
    FILL_BYTES = 16 << 10,
    NUMBERS = 1 << 16,
    PATIENCE_S = 10,
};

struct publisher {
    int fd;
    uint64_t sent, replied;
    uint64_t due_ns;
    uint64_t due_of[NUMBERS]; /* of the events under way */
};

struct subscriber {
    int fd;
    uint32_t used; /* of `frame` */
    char frame[EVENT_BYTES];
    uint64_t next[PUBLISHERS];
};

struct crowd {
    uint16_t port;
    struct publisher publishers[PUBLISHERS];
    struct subscriber subscribers[SUBSCRIBERS];
    int stalled_fd, flood_fd;
    uint64_t flood_from_ns, flood_bytes, flood_replies;
    uint64_t wrong, delivered;
    uint64_t *delays[2]; /* of subscribers, of publishers */
    size_t delay_count[2];
    char flood[FLOOD_BYTES * (FLOOD_AT_ONCE + 1)];
};

static int dial(uint16_t port, const char *from, int receive_bytes)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)}, source = {.sin_family = AF_INET};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    inet_pton(AF_INET, from, &source.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (receive_bytes > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct timeval patience = {PATIENCE_S, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (bind(fd, (struct sockaddr *)&source, sizeof source) == 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool send_all(int fd, const void *bytes, size_t byte_count)
{
    const char *at = bytes;
    while (byte_count > 0) {
        ssize_t sent = send(fd, at, byte_count, MSG_NOSIGNAL);
        struct pollfd writable = {fd, POLLOUT, 0};
        if (sent < 0 && errno == EAGAIN && poll(&writable, 1, PATIENCE_S * 1000) == 1)
            continue;
        if (sent < 0)
            return false;
        at += sent;
        byte_count -= (size_t)sent;
    }
    return true;
}

static bool read_exactly(int fd, size_t byte_count)
{
    char bytes[4096];
    while (byte_count > 0) {
        ssize_t got = recv(fd, bytes, byte_count < sizeof bytes ? byte_count : sizeof bytes, 0);
        if (got <= 0)
            return false;
        byte_count -= (size_t)got;
    }
    return true;
}

static bool subscribe(int fd, bool wait)
{
    static const char both[] = "SUBSCRIBE soak.0 soak.1\r\n";
    return send_all(fd, both, sizeof both - 1) && (!wait || read_exactly(fd, 2 * (sizeof SUBSCRIBED - 1)));
}

static void unblock(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

struct crowd *crowd_open(uint16_t port)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);
    if (!crowd)
        abort();
    crowd->port = port;
    crowd->stalled_fd = crowd->flood_fd = -1;
    bool good = true;
    for (int i = 0; i < 2; i++)
        crowd->delays[i] = malloc(SAMPLES_MAX * sizeof *crowd->delays[i]);
    for (int i = 0; i < FLOOD_AT_ONCE + 1; i++)
        memcpy(crowd->flood + i * FLOOD_BYTES, FLOOD, FLOOD_BYTES);
    for (int i = 0; i < SUBSCRIBERS; i++) {
        int fd = crowd->subscribers[i].fd = dial(port, "127.0.0.1", 0);
        good = good && fd >= 0 && subscribe(fd, true);
        if (fd >= 0)
            unblock(fd);
    }
    for (int i = 0; i < PUBLISHERS; i++) {
        int fd = crowd->publishers[i].fd = dial(port, "127.0.0.1", 0);
        good = good && fd >= 0;
        if (fd >= 0)
            unblock(fd);
    }
    if (good)
        return crowd;
    crowd_close(crowd);
    return NULL;
}

void crowd_close(struct crowd *crowd)
{
    for (int i = 0; i < SUBSCRIBERS; i++)
        close(crowd->subscribers[i].fd);
    for (int i = 0; i < PUBLISHERS; i++)
        close(crowd->publishers[i].fd);
    free(crowd->delays[0]);
    free(crowd->delays[1]);
    free(crowd);
}

/* ---- ordinary ones ---- */

static void note_delay(struct crowd *crowd, int whose, uint64_t delay_ns)
{
    if (crowd->delay_count[whose] < SAMPLES_MAX)
        crowd->delays[whose][crowd->delay_count[whose]++] = delay_ns;
}

static void publish(struct publisher *publisher, unsigned index)
{
    char frame[64 + BODY_BYTES + 2];
    int head = snprintf(frame, sizeof frame, PUBLISH_HEAD, index);
    memset(frame + head, '.', BODY_BYTES);
    snprintf(frame + head, BODY_BYTES, "%u %llu %llu ", index, (unsigned long long)publisher->sent,
             (unsigned long long)publisher->due_ns);
    memcpy(frame + head + BODY_BYTES, "\r\n", 2);
    publisher->due_of[publisher->sent % NUMBERS] = publisher->due_ns;
    if (send_all(publisher->fd, frame, (size_t)head + BODY_BYTES + 2))
        publisher->sent++;
    publisher->due_ns += PUBLISH_INTERVAL_NS;
}

static void take_replies(struct crowd *crowd, struct publisher *publisher)
{
    char bytes[4096];
    ssize_t got = recv(publisher->fd, bytes, sizeof bytes, 0);
    uint64_t now_ns = soak_now_ns();
    for (ssize_t i = 0; i < got; i++) {
        crowd->wrong += bytes[i] == '-';
        if (bytes[i] == '\n')
            note_delay(crowd, 1, now_ns - publisher->due_of[publisher->replied++ % NUMBERS]);
    }
}

static void take_event(struct crowd *crowd, struct subscriber *subscriber, uint64_t now_ns)
{
    unsigned index = PUBLISHERS;
    unsigned long long number = 0, due_ns = 0;
    subscriber->frame[EVENT_BYTES - 2] = '\0';
    bool good = memcmp(subscriber->frame, EVENT_HEAD, 20) == 0 &&
                sscanf(subscriber->frame + sizeof EVENT_HEAD - 1, "%u %llu %llu", &index, &number, &due_ns) == 3 &&
                index < PUBLISHERS;
    crowd->delivered++;
    if (!good || number != subscriber->next[index])
        crowd->wrong++;
    if (good) {
        subscriber->next[index] = number + 1;
        note_delay(crowd, 0, now_ns - due_ns);
    }
}

static void take_events(struct crowd *crowd, struct subscriber *subscriber)
{
    for (;;) {
        ssize_t got = recv(subscriber->fd, subscriber->frame + subscriber->used, EVENT_BYTES - subscriber->used, 0);
        if (got <= 0)
            return;
        subscriber->used += (uint32_t)got;
        if (subscriber->used < EVENT_BYTES)
            continue;
        subscriber->used = 0;
        take_event(crowd, subscriber, soak_now_ns());
    }
}

/* ---- those who misbehave ---- */

static bool fill_window(struct crowd *crowd)
{
    int fd = dial(crowd->port, "127.0.0.3", 0);
    char *body = malloc(FILL_BYTES + 2), head[64];
    int head_bytes = snprintf(head, sizeof head, "*3\r\n$7\r\nPUBLISH\r\n$8\r\nzombie.0\r\n$%u\r\n", FILL_BYTES);
    if (!body)
        abort();
    memset(body, 'z', FILL_BYTES);
    memcpy(body + FILL_BYTES, "\r\n", 2);
    bool good = fd >= 0;
    for (int i = 0; good && i < FILL_EVENTS; i++)
        good = send_all(fd, head, (size_t)head_bytes) && send_all(fd, body, FILL_BYTES + 2) && read_exactly(fd, 4);
    free(body);
    close(fd);
    return good;
}

static bool begin_storm(struct crowd *crowd)
{
    static const char stalled[] = "SUBSCRIBE zombie.0\r\n";
    static const char confirmed[] = "*3\r\n$9\r\nsubscribe\r\n$8\r\nzombie.0\r\n:3\r\n";
    crowd->stalled_fd = dial(crowd->port, "127.0.0.1", 4096);
    crowd->flood_fd = dial(crowd->port, "127.0.0.2", 0);
    bool good = crowd->stalled_fd >= 0 && crowd->flood_fd >= 0 && subscribe(crowd->stalled_fd, true) &&
                send_all(crowd->stalled_fd, stalled, sizeof stalled - 1) &&
                read_exactly(crowd->stalled_fd, sizeof confirmed - 1) && fill_window(crowd);
    if (crowd->flood_fd >= 0)
        unblock(crowd->flood_fd);
    crowd->flood_from_ns = soak_now_ns();
    crowd->flood_bytes = crowd->flood_replies = 0;
    return good;
}

/* By a reset: what the flood has left in the kernel's buffers would else go on being taken for long. */
static void end_storm(struct crowd *crowd)
{
    struct linger reset = {1, 0};
    setsockopt(crowd->flood_fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    setsockopt(crowd->stalled_fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(crowd->flood_fd);
    close(crowd->stalled_fd);
    crowd->stalled_fd = crowd->flood_fd = -1;
}

/* All that is due by now, as far as the socket takes it; whether it took it all. */
static bool flood(struct crowd *crowd, uint64_t now_ns)
{
    uint64_t due = (now_ns - crowd->flood_from_ns) * FLOOD_TIMES * RATE_OF_ADDRESS / 1000000000u * FLOOD_BYTES;
    while (crowd->flood_bytes < due) {
        size_t want = due - crowd->flood_bytes;
        if (want > FLOOD_AT_ONCE * FLOOD_BYTES)
            want = FLOOD_AT_ONCE * FLOOD_BYTES;
        ssize_t sent = send(crowd->flood_fd, crowd->flood + crowd->flood_bytes % FLOOD_BYTES, want, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        crowd->flood_bytes += (uint64_t)sent;
    }
    return true;
}

static void take_flood_replies(struct crowd *crowd)
{
    char bytes[4096];
    ssize_t got = recv(crowd->flood_fd, bytes, sizeof bytes, 0);
    for (ssize_t i = 0; i < got; i++)
        crowd->flood_replies += bytes[i] == '\n';
}

/* ---- a phase ---- */

static void wait_and_take(struct crowd *crowd, uint64_t wait_ns, bool flood_waits)
{
    struct pollfd fds[PUBLISHERS + SUBSCRIBERS + 1];
    struct timespec timeout = {(time_t)(wait_ns / 1000000000u), (long)(wait_ns % 1000000000u)};
    nfds_t count = 0;
    for (int i = 0; i < PUBLISHERS; i++)
        fds[count++] = (struct pollfd){crowd->publishers[i].fd, POLLIN, 0};
    for (int i = 0; i < SUBSCRIBERS; i++)
        fds[count++] = (struct pollfd){crowd->subscribers[i].fd, POLLIN, 0};
    fds[count++] = (struct pollfd){crowd->flood_fd, (short)(POLLIN | (flood_waits ? POLLOUT : 0)), 0};
    if (ppoll(fds, count, &timeout, NULL) <= 0)
        return;
    for (int i = 0; i < PUBLISHERS; i++)
        if (fds[i].revents)
            take_replies(crowd, &crowd->publishers[i]);
    for (int i = 0; i < SUBSCRIBERS; i++)
        if (fds[PUBLISHERS + i].revents)
            take_events(crowd, &crowd->subscribers[i]);
    if (fds[count - 1].revents)
        take_flood_replies(crowd);
}

static bool all_arrived(const struct crowd *crowd)
{
    for (int i = 0; i < PUBLISHERS; i++) {
        const struct publisher *publisher = &crowd->publishers[i];
        if (publisher->replied < publisher->sent)
            return false;
        for (int k = 0; k < SUBSCRIBERS; k++)
            if (crowd->subscribers[k].next[i] < publisher->sent)
                return false;
    }
    return true;
}

static void publish_until(struct crowd *crowd, uint64_t until_ns)
{
    for (uint64_t now_ns; (now_ns = soak_now_ns()) < until_ns;) {
        uint64_t next_ns = until_ns;
        for (unsigned i = 0; i < PUBLISHERS; i++) {
            struct publisher *publisher = &crowd->publishers[i];
            while (publisher->due_ns <= now_ns)
                publish(publisher, i);
            next_ns = publisher->due_ns < next_ns ? publisher->due_ns : next_ns;
        }
        bool flood_waits = crowd->flood_fd >= 0 && !flood(crowd, now_ns);
        now_ns = soak_now_ns();
        wait_and_take(crowd, next_ns > now_ns ? next_ns - now_ns : 0, flood_waits);
    }
}

struct phase_result crowd_phase(struct crowd *crowd, uint64_t phase_ns, bool storm)
{
    struct phase_result result = {0};
    crowd->wrong = crowd->delivered = 0;
    crowd->delay_count[0] = crowd->delay_count[1] = 0;
    bool good = !storm || begin_storm(crowd);
    uint64_t from_ns = soak_now_ns() + 20000000;
    for (unsigned i = 0; i < PUBLISHERS; i++)
        crowd->publishers[i].due_ns = from_ns + i * PUBLISH_INTERVAL_NS / PUBLISHERS;
    publish_until(crowd, from_ns + phase_ns);
    uint64_t give_up_ns = soak_now_ns() + PATIENCE_S * 1000000000ull;
    while (!all_arrived(crowd) && soak_now_ns() < give_up_ns)
        wait_and_take(crowd, 1000000, false);
    result.flood_s = (double)(soak_now_ns() - crowd->flood_from_ns) / 1e9;
    if (storm)
        end_storm(crowd);
    result.complete = good && all_arrived(crowd);
    result.wrong = crowd->wrong;
    result.delivered = crowd->delivered;
    result.flood_sent = crowd->flood_bytes / FLOOD_BYTES;
    result.flood_replies = crowd->flood_replies;
    result.subscriber_p99_us = (double)soak_percentile(crowd->delays[0], crowd->delay_count[0], 99) / 1e3;
    result.publisher_p99_us = (double)soak_percentile(crowd->delays[1], crowd->delay_count[1], 99) / 1e3;
    return result;
}

uint64_t crowd_figure(uint16_t port, const char *name)
{
    char text[65536];
    size_t used = 0;
    int fd = dial(port, "127.0.0.1", 0);
    if (fd < 0 || !send_all(fd, "INFO weir\r\nQUIT\r\n", 17))
        return UINT64_MAX;
    for (ssize_t got; (got = recv(fd, text + used, sizeof text - 1 - used, 0)) > 0;)
        used += (size_t)got;
    close(fd);
    text[used] = '\0';
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\n%s:", name);
    const char *at = strstr(text, wanted);
    return at ? strtoull(at + strlen(wanted), NULL, 10) : UINT64_MAX;
}
