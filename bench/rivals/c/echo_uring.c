/*
 * bench/rivals/c/echo_uring.c - the least a TCP echo on io_uring can do: no connection objects, no queues, no limits.
 *
 * Multishot accept and receive into provided buffers; a buffer is sent from where it lies and given back when it left.
 * Argument: port.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFERS = 4096, BUFFER_BYTES = 2048 };
enum op { ACCEPT, RECEIVE, SEND };

static struct io_uring ring;
static struct io_uring_buf_ring *free_buffers;
static char *buffers;
static int listener;

static struct io_uring_sqe *next_sqe(void)
{
    struct io_uring_sqe *sqe;
    while ((sqe = io_uring_get_sqe(&ring)) == NULL)
        io_uring_submit(&ring);
    return sqe;
}

/* After the preparing call, which may clear it. */
static void tag(struct io_uring_sqe *sqe, enum op op, int fd, unsigned buffer)
{
    sqe->user_data = (uint64_t)op | (uint64_t)(unsigned)fd << 8 | (uint64_t)buffer << 40;
}

static void accept_more(void)
{
    struct io_uring_sqe *sqe = next_sqe();
    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, 0);
    tag(sqe, ACCEPT, 0, 0);
}

static void receive_more(int fd)
{
    struct io_uring_sqe *sqe = next_sqe();
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    tag(sqe, RECEIVE, fd, 0);
}

static void give_back(unsigned buffer, int *given)
{
    io_uring_buf_ring_add(free_buffers, buffers + (size_t)buffer * BUFFER_BYTES, BUFFER_BYTES,
                          (unsigned short)buffer, BUFFERS - 1, (*given)++);
}

static void on_receive(const struct io_uring_cqe *cqe, int fd)
{
    if (cqe->res == -ENOBUFS) {
        receive_more(fd);
        return;
    }
    if (cqe->res <= 0) {
        close(fd);
        return;
    }
    unsigned buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    struct io_uring_sqe *sqe = next_sqe();
    io_uring_prep_send(sqe, fd, buffers + (size_t)buffer * BUFFER_BYTES, (size_t)cqe->res,
                       MSG_NOSIGNAL);
    tag(sqe, SEND, fd, buffer);
    if (!(cqe->flags & IORING_CQE_F_MORE))
        receive_more(fd);
}

static void on_cqe(const struct io_uring_cqe *cqe, int *given)
{
    int one = 1, fd = (int)((cqe->user_data >> 8) & 0xffffffff);
    switch (cqe->user_data & 0xff) {
    case ACCEPT:
        if (cqe->res >= 0) {
            setsockopt(cqe->res, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            receive_more(cqe->res);
        }
        if (!(cqe->flags & IORING_CQE_F_MORE))
            accept_more();
        break;
    case RECEIVE:
        on_receive(cqe, fd);
        break;
    default:
        give_back((unsigned)(cqe->user_data >> 40), given);
    }
}

static int open_ring(void)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                     .cq_entries = 16384};
    if (io_uring_queue_init_params(4096, &ring, &params) != 0)
        return -1;
    io_uring_register_ring_fd(&ring);
    if (posix_memalign((void **)&free_buffers, 4096, BUFFERS * sizeof(struct io_uring_buf)) != 0)
        return -1;
    memset(free_buffers, 0, BUFFERS * sizeof(struct io_uring_buf));
    buffers = malloc((size_t)BUFFERS * BUFFER_BYTES);
    struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)free_buffers, .ring_entries = BUFFERS};
    if (io_uring_register_buf_ring(&ring, &reg, 0) != 0)
        return -1;
    int given = 0;
    for (unsigned i = 0; i < BUFFERS; i++)
        give_back(i, &given);
    io_uring_buf_ring_advance(free_buffers, given);
    return 0;
}

static int open_listener(int port)
{
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
           listen(listener, 4096) != 0;
}

int main(int argc, char **argv)
{
    if (argc < 2 || open_listener(atoi(argv[1])) != 0 || open_ring() != 0) {
        perror("echo_uring");
        return 1;
    }
    accept_more();
    for (;;) {
        io_uring_submit_and_wait(&ring, 1);
        unsigned head, seen = 0;
        int given = 0;
        struct io_uring_cqe *cqe;
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            seen++;
            on_cqe(cqe, &given);
        }
        io_uring_cq_advance(&ring, seen);
        io_uring_buf_ring_advance(free_buffers, given);
    }
}
