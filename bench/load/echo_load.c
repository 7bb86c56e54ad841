/*
 * bench/load/echo_load.c - 64-byte messages to an echo server, one under way on each connection, for a time.
 *
 * On io_uring, many at a system call, so that the client is not the limit. Arguments: name, port, connections, milliseconds, CPU
 * to sit on. Prints NAME.rate and NAME.count (for whoever divides the server's CPU time by it). Each echo is checked: it ends
 * with a sequence number of its connection.
 */
#include <liburing.h>

#include "bench/load/load.h"

enum { MESSAGE_BYTES = 64, BUFFERS = 4096, BUFFER_BYTES = 256, RING_ENTRIES = 4096, WARM_MS = 100 };
static const uint64_t is_send = (uint64_t)1 << 32;

struct conn {
    int fd;
    uint32_t got;
    uint64_t sequence;
    unsigned char out[MESSAGE_BYTES];
};

struct client {
    struct io_uring ring;
    struct io_uring_buf_ring *free_buffers;
    unsigned char *buffers;
    struct conn *conns;
};

static struct io_uring_sqe *next_sqe(struct client *client)
{
    struct io_uring_sqe *sqe;
    while ((sqe = io_uring_get_sqe(&client->ring)) == NULL)
        io_uring_submit(&client->ring);
    return sqe;
}

static void receive_more(struct client *client, uint32_t index)
{
    struct io_uring_sqe *sqe = next_sqe(client);
    io_uring_prep_recv_multishot(sqe, client->conns[index].fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    sqe->user_data = index;
}

static void fire(struct client *client, uint32_t index)
{
    struct conn *conn = &client->conns[index];
    struct io_uring_sqe *sqe = next_sqe(client);
    conn->sequence++;
    conn->got = 0;
    memcpy(conn->out + MESSAGE_BYTES - 8, &conn->sequence, sizeof conn->sequence);
    io_uring_prep_send(sqe, conn->fd, conn->out, MESSAGE_BYTES, MSG_NOSIGNAL);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = is_send;
}

static void give_back(struct client *client, unsigned char *bytes, unsigned buffer, int *given)
{
    io_uring_buf_ring_add(client->free_buffers, bytes, BUFFER_BYTES, (unsigned short)buffer,
                          BUFFERS - 1, (*given)++);
}

/* 1: an echo is complete and the next message is under way. */
static uint64_t on_cqe(struct client *client, const struct io_uring_cqe *cqe, int *given)
{
    uint32_t index = (uint32_t)cqe->user_data;
    uint64_t complete = 0;
    if ((cqe->user_data & is_send) != 0)
        measure_fail("a send failed");
    if (cqe->res <= 0 && cqe->res != -ENOBUFS)
        measure_fail("the server hung up");
    if (cqe->res > 0) {
        struct conn *conn = &client->conns[index];
        unsigned buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        unsigned char *bytes = client->buffers + (size_t)buffer * BUFFER_BYTES;
        conn->got += (uint32_t)cqe->res;
        if (conn->got >= MESSAGE_BYTES) {
            if (conn->got > MESSAGE_BYTES ||
                (cqe->res >= 8 && memcmp(bytes + cqe->res - 8, &conn->sequence, 8) != 0))
                measure_fail("not what was sent");
            fire(client, index);
            complete = 1;
        }
        give_back(client, bytes, buffer, given);
    }
    if ((cqe->flags & IORING_CQE_F_MORE) == 0)
        receive_more(client, index);
    return complete;
}

static uint64_t drive(struct client *client, uint64_t until_ns)
{
    uint64_t echoes = 0;
    while (measure_now_ns() < until_ns) {
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;
        int given = 0;
        io_uring_submit_and_wait(&client->ring, 1);
        io_uring_for_each_cqe(&client->ring, head, cqe)
        {
            seen++;
            echoes += on_cqe(client, cqe, &given);
        }
        io_uring_cq_advance(&client->ring, seen);
        io_uring_buf_ring_advance(client->free_buffers, given);
    }
    return echoes;
}

static void open_client(struct client *client)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                     .cq_entries = 16384};
    void *memory;
    int given = 0;
    if (io_uring_queue_init_params(RING_ENTRIES, &client->ring, &params) != 0)
        measure_fail("no io_uring");
    io_uring_register_ring_fd(&client->ring);
    if (posix_memalign(&memory, 4096, BUFFERS * sizeof(struct io_uring_buf)) != 0)
        measure_fail("no memory");
    client->free_buffers = memset(memory, 0, BUFFERS * sizeof(struct io_uring_buf));
    client->buffers = malloc((size_t)BUFFERS * BUFFER_BYTES);
    struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)memory, .ring_entries = BUFFERS};
    if (io_uring_register_buf_ring(&client->ring, &reg, 0) != 0)
        measure_fail("no buffer ring");
    for (unsigned i = 0; i < BUFFERS; i++)
        give_back(client, client->buffers + (size_t)i * BUFFER_BYTES, i, &given);
    io_uring_buf_ring_advance(client->free_buffers, given);
}

int main(int argc, char **argv)
{
    static struct client client;
    if (argc < 6)
        return 2;
    int port = atoi(argv[2]), conn_count = atoi(argv[3]);
    client.conns = calloc((size_t)conn_count, sizeof *client.conns);
    measure_pin(atoi(argv[5]));
    for (int i = 0; i < conn_count; i++)
        client.conns[i].fd = dial(port);
    open_client(&client);
    for (uint32_t i = 0; i < (uint32_t)conn_count; i++) {
        receive_more(&client, i);
        fire(&client, i);
    }
    uint64_t all = drive(&client, measure_now_ns() + (uint64_t)WARM_MS * 1000000);
    uint64_t from_ns = measure_now_ns();
    uint64_t echoes = drive(&client, from_ns + (uint64_t)atoi(argv[4]) * 1000000);
    print_row(argv[1], "rate", "1/s", (double)echoes * 1e9 / (double)(measure_now_ns() - from_ns));
    print_row(argv[1], "count", "count", (double)(all + echoes));
    return 0;
}
