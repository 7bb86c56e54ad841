/*
 * bench/rivals/c/relay_uring.c - datagrams in on one thread, a keyed handler on the other, TCP out: made by hand.
 *
 * Two io_urings, one single-producer single-consumer queue between them, a MSG_RING to wake the one that sleeps; no event
 * objects, no topics, no limits, one client. Arguments: UDP port, TCP port, microseconds a thread spins before it sleeps.
 */
#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    BUFFERS = 1024,
    BUFFER_BYTES = 2048,
    SLOTS = 1024,
    PAYLOAD_BYTES = 64,
    KEYS = 1024,
    OUT_BYTES = SLOTS * PAYLOAD_BYTES
};
enum tag { RECEIVE = 1, WAKE, ACCEPT, SEND };

struct slot {
    uint32_t byte_count;
    char bytes[PAYLOAD_BYTES];
} __attribute__((aligned(64)));

static struct {
    struct slot slots[SLOTS];
    _Alignas(128) atomic_uint tail;
    unsigned head_seen; /* the producer's copy */
    _Alignas(128) atomic_uint head;
    unsigned tail_seen; /* the consumer's copy */
    _Alignas(128) atomic_int asleep;
} queue;

static struct io_uring in_ring, out_ring;
static struct io_uring_buf_ring *free_buffers;
static char *buffers;
static int udp, listener, client = -1;
static uint64_t spin_ns, seen[KEYS];
static char out[2][OUT_BYTES]; /* one is filled while the other is on its way */
static size_t out_bytes[2];
static int filling;
static bool sending;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

static struct io_uring_sqe *next_sqe(struct io_uring *ring)
{
    struct io_uring_sqe *sqe;
    while ((sqe = io_uring_get_sqe(ring)) == NULL)
        io_uring_submit(ring);
    return sqe;
}

static void open_ring(struct io_uring *ring)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                     .cq_entries = 8192};
    if (io_uring_queue_init_params(1024, ring, &params) != 0)
        die("io_uring");
}

/* Completions to look at: at once, or after a spin, or after a sleep. `sleepy` is asked before it sleeps. */
static unsigned turn(struct io_uring *ring, bool (*sleepy)(void), struct io_uring_cqe **cqes)
{
    uint64_t since = now_ns();
    for (;;) {
        io_uring_submit_and_get_events(ring);
        unsigned count = io_uring_peek_batch_cqe(ring, cqes, 256);
        if (count > 0 || !sleepy())
            return count;
        if (now_ns() - since < spin_ns)
            continue;
        if (ring == &out_ring) {
            atomic_store(&queue.asleep, 1);
            if (sleepy())
                io_uring_submit_and_wait(ring, 1);
            atomic_store(&queue.asleep, 0);
        } else {
            io_uring_submit_and_wait(ring, 1);
        }
    }
}

/* ---- UDP in */

static void receive_more(void)
{
    struct io_uring_sqe *sqe = next_sqe(&in_ring);
    io_uring_prep_recv_multishot(sqe, udp, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    sqe->user_data = RECEIVE;
}

static void push(const char *bytes, uint32_t byte_count)
{
    unsigned tail = atomic_load_explicit(&queue.tail, memory_order_relaxed);
    if (tail - queue.head_seen == SLOTS) {
        queue.head_seen = atomic_load_explicit(&queue.head, memory_order_acquire);
        if (tail - queue.head_seen == SLOTS) {
            fprintf(stderr, "relay: dropped\n");
            return;
        }
    }
    struct slot *slot = &queue.slots[tail % SLOTS];
    slot->byte_count = byte_count < PAYLOAD_BYTES ? byte_count : PAYLOAD_BYTES;
    memcpy(slot->bytes, bytes, slot->byte_count);
    atomic_store_explicit(&queue.tail, tail + 1, memory_order_release);
}

static void wake_other(void)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&queue.asleep, memory_order_relaxed) == 0 ||
        atomic_exchange(&queue.asleep, 0) == 0)
        return;
    struct io_uring_sqe *sqe = next_sqe(&in_ring);
    io_uring_prep_msg_ring(sqe, out_ring.ring_fd, 0, WAKE, 0);
    sqe->user_data = WAKE;
}

static bool in_is_idle(void)
{
    return true;
}

static void *run_in(void *nothing)
{
    (void)nothing;
    pin(0);
    open_ring(&in_ring);
    if (posix_memalign((void **)&free_buffers, 4096, BUFFERS * sizeof(struct io_uring_buf)) != 0)
        die("memory");
    memset(free_buffers, 0, BUFFERS * sizeof(struct io_uring_buf));
    buffers = malloc((size_t)BUFFERS * BUFFER_BYTES);
    struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)free_buffers, .ring_entries = BUFFERS};
    if (io_uring_register_buf_ring(&in_ring, &reg, 0) != 0)
        die("buffers");
    for (int i = 0; i < BUFFERS; i++)
        io_uring_buf_ring_add(free_buffers, buffers + (size_t)i * BUFFER_BYTES, BUFFER_BYTES,
                              (unsigned short)i, BUFFERS - 1, i);
    io_uring_buf_ring_advance(free_buffers, BUFFERS);
    receive_more();
    for (;;) {
        struct io_uring_cqe *cqes[256];
        unsigned count = turn(&in_ring, in_is_idle, cqes);
        int given = 0;
        bool more = true;
        for (unsigned i = 0; i < count; i++) {
            if (cqes[i]->user_data != RECEIVE)
                continue;
            more = more && (cqes[i]->flags & IORING_CQE_F_MORE) != 0;
            if (cqes[i]->res < 0)
                continue;
            unsigned buffer = cqes[i]->flags >> IORING_CQE_BUFFER_SHIFT;
            char *bytes = buffers + (size_t)buffer * BUFFER_BYTES;
            push(bytes, (uint32_t)cqes[i]->res);
            io_uring_buf_ring_add(free_buffers, bytes, BUFFER_BYTES, (unsigned short)buffer,
                                  BUFFERS - 1, given++);
        }
        io_uring_cq_advance(&in_ring, count);
        io_uring_buf_ring_advance(free_buffers, given);
        if (!more)
            receive_more();
        wake_other();
    }
    return NULL;
}

/* ---- TCP out */

static void accept_more(void)
{
    struct io_uring_sqe *sqe = next_sqe(&out_ring);
    io_uring_prep_accept(sqe, listener, NULL, NULL, 0);
    sqe->user_data = ACCEPT;
}

static void send_more(void)
{
    if (sending || client < 0 || out_bytes[filling] == 0)
        return;
    struct io_uring_sqe *sqe = next_sqe(&out_ring);
    io_uring_prep_send(sqe, client, out[filling], out_bytes[filling], MSG_NOSIGNAL | MSG_WAITALL);
    sqe->user_data = SEND;
    sending = true;
    filling ^= 1;
    out_bytes[filling] = 0;
}

static bool queue_is_empty(void)
{
    queue.tail_seen = atomic_load(&queue.tail);
    return queue.tail_seen == atomic_load_explicit(&queue.head, memory_order_relaxed);
}

static void drain(void)
{
    unsigned head = atomic_load_explicit(&queue.head, memory_order_relaxed);
    queue.tail_seen = atomic_load_explicit(&queue.tail, memory_order_acquire);
    for (; head != queue.tail_seen && out_bytes[filling] + PAYLOAD_BYTES <= OUT_BYTES; head++) {
        const struct slot *slot = &queue.slots[head % SLOTS];
        uint64_t key;
        memcpy(&key, slot->bytes, sizeof key);
        seen[key % KEYS]++;
        if (client < 0)
            continue;
        memcpy(out[filling] + out_bytes[filling], slot->bytes, slot->byte_count);
        out_bytes[filling] += slot->byte_count;
    }
    atomic_store_explicit(&queue.head, head, memory_order_release);
}

static void on_out_cqe(const struct io_uring_cqe *cqe)
{
    int one = 1;
    if (cqe->user_data == ACCEPT) {
        if (client >= 0)
            close(client);
        client = cqe->res;
        out_bytes[filling] = 0;
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        accept_more();
    } else if (cqe->user_data == SEND) {
        sending = false;
    }
}

static void run_out(void)
{
    pin(1);
    open_ring(&out_ring);
    accept_more();
    io_uring_submit(&out_ring);
    pthread_t in;
    pthread_create(&in, NULL, run_in, NULL);
    for (;;) {
        struct io_uring_cqe *cqes[256];
        unsigned count = turn(&out_ring, queue_is_empty, cqes);
        for (unsigned i = 0; i < count; i++)
            on_out_cqe(cqes[i]);
        io_uring_cq_advance(&out_ring, count);
        drain();
        send_more();
    }
}

static int open_socket(int type, int port)
{
    int one = 1, room = 4 << 20;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (type == SOCK_DGRAM)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("bind");
    return fd;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    udp = open_socket(SOCK_DGRAM, atoi(argv[1]));
    listener = open_socket(SOCK_STREAM, atoi(argv[2]));
    spin_ns = strtoull(argv[3], NULL, 10) * 1000;
    if (listen(listener, 16) != 0)
        die("listen");
    run_out();
}
