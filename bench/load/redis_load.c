/*
 * bench/load/redis_load.c - Redis Pub/Sub from raw sockets, so that the client costs next to nothing.
 *
 *     pub NAME PORT SUBSCRIBERS PIPE BATCHES MS   as fast as it goes: PIPE messages a write, BATCHES writes unanswered
 *     rate NAME PORT SUBSCRIBERS RATE MS          open loop: timed from the instant each message was meant to leave
 *     idle NAME PORT CONNECTIONS                  hold them, say "held", until the input ends
 *     start NAME PORT PROGRAM...                  run it; from before the fork to the first +PONG; then end it
 *
 * One thread publishes and one reads every subscriber. Each message has the same length, so deliveries are counted in bytes;
 * every subscriber's stream is looked at where a message ends. The publisher is never more than AHEAD_MAX messages in front of the
 * readers: what is measured is not the size of the broker's buffers.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "bench/load/load.h"

enum {
    PAYLOAD_BYTES = 100,
    STAMP_BYTES = 16,
    AHEAD_MAX = 20000,
    MESSAGE_BYTES_MAX = 512,
    READ_BYTES = 1 << 18,
    EVENTS = 128
};

struct subscriber {
    int fd;
    size_t held; /* bytes of a message that has come in part */
    char message[MESSAGE_BYTES_MAX];
};

struct load {
    const char *name;
    char channel[32];
    size_t message_bytes;
    struct subscriber *subscribers;
    uint32_t subscriber_count;
    bool timed;
    struct histogram histogram;
    uint64_t counts_from_ns;
    atomic_uint_fast64_t delivered;
    atomic_bool over;
};

static void take_message(struct load *load, const struct subscriber *subscriber, uint64_t now_ns)
{
    char stamp[STAMP_BYTES + 1] = {0};
    if (subscriber->message[0] != '*' ||
        memcmp(subscriber->message + load->message_bytes - 2, "\r\n", 2) != 0)
        measure_fail("a message is cut wrongly");
    if (!load->timed)
        return;
    memcpy(stamp, subscriber->message + load->message_bytes - 2 - PAYLOAD_BYTES, STAMP_BYTES);
    uint64_t intended_ns = strtoull(stamp, NULL, 16);
    if (intended_ns >= load->counts_from_ns)
        histogram_add(&load->histogram, now_ns - intended_ns);
}

/* Only the first and last bytes of a message are looked at, unless it is timed: the client must stay cheap. */
static uint64_t take_bytes(struct load *load, struct subscriber *subscriber, const char *bytes,
                           size_t byte_count)
{
    uint64_t taken = 0, now_ns = load->timed ? measure_now_ns() : 0;
    for (size_t at = 0; at < byte_count;) {
        size_t need = load->message_bytes - subscriber->held;
        size_t have = byte_count - at < need ? byte_count - at : need;
        memcpy(subscriber->message + subscriber->held, bytes + at, have);
        at += have;
        subscriber->held += have;
        if (subscriber->held == load->message_bytes) {
            take_message(load, subscriber, now_ns);
            subscriber->held = 0;
            taken++;
        }
    }
    return taken;
}

static void *read_all(void *argument)
{
    struct load *load = argument;
    char *bytes = malloc(READ_BYTES);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; i < load->subscriber_count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &load->subscribers[i]};
        epoll_ctl(epoll, EPOLL_CTL_ADD, load->subscribers[i].fd, &event);
    }
    while (!atomic_load(&load->over)) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, 20);
        uint64_t taken = 0;
        for (int i = 0; i < ready; i++) {
            struct subscriber *subscriber = events[i].data.ptr;
            ssize_t got = recv(subscriber->fd, bytes, READ_BYTES, MSG_DONTWAIT);
            if (got == 0 || (got < 0 && errno != EAGAIN))
                measure_fail("the broker dropped a subscriber");
            if (got > 0)
                taken += take_bytes(load, subscriber, bytes, (size_t)got);
        }
        if (taken > 0)
            atomic_fetch_add(&load->delivered, taken);
    }
    close(epoll);
    free(bytes);
    return NULL;
}

static size_t publish_text(const struct load *load, char *out, uint64_t stamp)
{
    int head = sprintf(out, "*3\r\n$7\r\nPUBLISH\r\n$%zu\r\n%s\r\n$%d\r\n%016llx",
                       strlen(load->channel), load->channel, PAYLOAD_BYTES,
                       (unsigned long long)stamp);
    memset(out + head, 'x', PAYLOAD_BYTES - STAMP_BYTES);
    memcpy(out + head + PAYLOAD_BYTES - STAMP_BYTES, "\r\n", 2);
    return (size_t)head + PAYLOAD_BYTES - STAMP_BYTES + 2;
}

static void expect(int fd, const char *text)
{
    char got[256];
    size_t want = strlen(text), have = 0;
    while (have < want) {
        ssize_t count = recv(fd, got + have, want - have, 0);
        if (count <= 0)
            measure_fail("the broker hung up");
        have += (size_t)count;
    }
    if (memcmp(got, text, want) != 0)
        measure_fail("not the answer Redis gives");
}

static void subscribe(struct load *load, int port, uint32_t subscriber_count)
{
    char text[256];
    snprintf(load->channel, sizeof load->channel, "bench%d", getpid() % 10000);
    load->subscriber_count = subscriber_count;
    load->subscribers = calloc(subscriber_count, sizeof *load->subscribers);
    for (uint32_t i = 0; i < subscriber_count; i++) {
        int fd = load->subscribers[i].fd = dial(port);
        int count = sprintf(text, "*2\r\n$9\r\nSUBSCRIBE\r\n$%zu\r\n%s\r\n", strlen(load->channel),
                            load->channel);
        send_all(fd, text, (size_t)count);
        sprintf(text, "*3\r\n$9\r\nsubscribe\r\n$%zu\r\n%s\r\n:1\r\n", strlen(load->channel),
                load->channel);
        expect(fd, text);
    }
    load->message_bytes = (size_t)sprintf(text, "*3\r\n$7\r\nmessage\r\n$%zu\r\n%s\r\n$%d\r\n",
                                          strlen(load->channel), load->channel, PAYLOAD_BYTES) +
                          PAYLOAD_BYTES + 2;
}

/* Answers come one a line, each an integer; how many have come. */
static uint64_t take_answers(int fd, int flags)
{
    char bytes[65536];
    ssize_t got = recv(fd, bytes, sizeof bytes, flags);
    uint64_t lines = 0;
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        measure_fail("the broker hung up on the publisher");
    for (ssize_t i = 0; i < got; i++) {
        lines += bytes[i] == '\n';
        if (bytes[i] == '-')
            measure_fail("the broker answers with an error");
    }
    return lines;
}

static void wait_for_readers(struct load *load, uint64_t messages)
{
    while (atomic_load(&load->delivered) < messages * load->subscriber_count)
        usleep(50);
}

static int run_pub(struct load *load, char **argv)
{
    uint32_t pipe_count = (uint32_t)atoi(argv[2]), batches = (uint32_t)atoi(argv[3]);
    int port = atoi(argv[0]), fd = dial(port);
    char *batch = malloc((size_t)pipe_count * MESSAGE_BYTES_MAX);
    size_t batch_bytes = 0;
    pthread_t reader;
    subscribe(load, port, (uint32_t)atoi(argv[1]));
    for (uint32_t i = 0; i < pipe_count; i++)
        batch_bytes += publish_text(load, batch + batch_bytes, 0);
    pthread_create(&reader, NULL, read_all, load);
    uint64_t sent = 0, answered = 0, from_ns = measure_now_ns(),
             until_ns = from_ns + (uint64_t)atoi(argv[4]) * 1000000;
    while (measure_now_ns() < until_ns) {
        for (; sent - answered < (uint64_t)pipe_count * batches; sent += pipe_count)
            send_all(fd, batch, batch_bytes);
        answered += take_answers(fd, 0);
        if (answered > AHEAD_MAX)
            wait_for_readers(load, answered - AHEAD_MAX);
    }
    while (answered < sent)
        answered += take_answers(fd, 0);
    wait_for_readers(load, sent);
    print_row(load->name, "rate", "1/s",
              (double)atomic_load(&load->delivered) * 1e9 / (double)(measure_now_ns() - from_ns));
    print_row(load->name, "count", "count", (double)atomic_load(&load->delivered));
    atomic_store(&load->over, true);
    pthread_join(reader, NULL);
    free(batch);
    return 0;
}

static int run_rate(struct load *load, char **argv)
{
    int port = atoi(argv[0]), fd = dial(port);
    double rate = atof(argv[2]);
    char text[MESSAGE_BYTES_MAX];
    pthread_t reader;
    prctl(PR_SET_TIMERSLACK, 1);
    subscribe(load, port, (uint32_t)atoi(argv[1]));
    load->timed = true;
    uint64_t from_ns = measure_now_ns() + 1000000;
    load->counts_from_ns = from_ns + 200 * 1000000;
    uint64_t to_ns = load->counts_from_ns + (uint64_t)atoi(argv[3]) * 1000000, sent = 0;
    pthread_create(&reader, NULL, read_all, load);
    for (;; sent++) {
        uint64_t intended_ns = from_ns + (uint64_t)((double)sent * 1e9 / rate);
        if (intended_ns >= to_ns)
            break;
        wait_until(intended_ns);
        send_all(fd, text, publish_text(load, text, intended_ns));
        (void)take_answers(fd, MSG_DONTWAIT);
    }
    for (int i = 0; i < 2000 && atomic_load(&load->delivered) < sent * load->subscriber_count; i++)
        usleep(1000);
    atomic_store(&load->over, true);
    pthread_join(reader, NULL);
    print_latencies(load->name, &load->histogram);
    print_row(load->name, "count", "count", (double)atomic_load(&load->delivered));
    print_row(load->name, "lost", "count",
              (double)(sent * load->subscriber_count) - (double)atomic_load(&load->delivered));
    return 0;
}

static int run_idle(char **argv)
{
    int port = atoi(argv[0]), conn_count = atoi(argv[1]);
    struct rlimit most = {(rlim_t)conn_count + 64, (rlim_t)conn_count + 64};
    (void)setrlimit(RLIMIT_NOFILE, &most);
    for (int i = 0; i < conn_count; i++) {
        int fd = dial(port);
        send_all(fd, "PING\r\n", 6);
        expect(fd, "+PONG\r\n");
    }
    puts("held");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}

static bool pongs(int port)
{
    struct sockaddr_in address = loopback(port);
    char answer[8] = {0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool there = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                 send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 &&
                 recv(fd, answer, 7, MSG_WAITALL) == 7 && memcmp(answer, "+PONG\r\n", 7) == 0;
    close(fd);
    return there;
}

static int run_start(const char *name, char **argv)
{
    int port = atoi(argv[0]);
    if (pongs(port))
        measure_fail("the port is taken");
    uint64_t from_ns = measure_now_ns();
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    while (!pongs(port)) {
        if (waitpid(child, NULL, WNOHANG) == child ||
            measure_now_ns() - from_ns > (uint64_t)10 * 1000000000)
            measure_fail("it does not start");
        usleep(200);
    }
    print_row(name, "pong", "ms", (double)(measure_now_ns() - from_ns) / 1e6);
    fflush(stdout);
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
    return 0;
}

int main(int argc, char **argv)
{
    static struct load load;
    signal(SIGPIPE, SIG_IGN);
    load.name = argc > 2 ? argv[2] : "";
    if (argc == 8 && strcmp(argv[1], "pub") == 0)
        return run_pub(&load, argv + 3);
    if (argc == 7 && strcmp(argv[1], "rate") == 0)
        return run_rate(&load, argv + 3);
    if (argc == 5 && strcmp(argv[1], "idle") == 0)
        return run_idle(argv + 3);
    if (argc > 4 && strcmp(argv[1], "start") == 0)
        return run_start(argv[2], argv + 3);
    fprintf(stderr, "redis_load: pub | rate | idle | start, see the top of the source\n");
    return 2;
}
