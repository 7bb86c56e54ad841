/*
 * runtime/io_uring_prepare.c - from an op to its SQE. Pure: nothing but the two is touched.
 */
#include "runtime/io_uring.h"

#include <poll.h>

#include "base/assert.h"

static void prepare_send(struct io_uring_sqe *sqe, struct weir_io_op *op)
{
    if (op->iov_count == 1) {
        io_uring_prep_send(sqe, op->fd, op->iov[0].iov_base, op->iov[0].iov_len, MSG_NOSIGNAL);
        return;
    }
    op->message = (struct msghdr){.msg_iov = op->iov, .msg_iovlen = op->iov_count};
    io_uring_prep_sendmsg(sqe, op->fd, &op->message, MSG_NOSIGNAL);
}

static void prepare_sendto(struct io_uring_sqe *sqe, struct weir_io_op *op)
{
    op->message = (struct msghdr){.msg_iov = op->iov,
                                  .msg_iovlen = op->iov_count,
                                  .msg_name = (void *)(uintptr_t)op->address,
                                  .msg_namelen = op->address_bytes};
    io_uring_prep_sendmsg(sqe, op->fd, &op->message, MSG_NOSIGNAL);
}

static void prepare_recv(struct io_uring_sqe *sqe, struct weir_io_op *op)
{
    io_uring_prep_recv_multishot(sqe, op->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
}

static void prepare_recvfrom(struct io_uring_sqe *sqe, struct weir_io_op *op)
{
    op->message = (struct msghdr){.msg_namelen = sizeof(struct sockaddr_storage)};
    io_uring_prep_recvmsg_multishot(sqe, op->fd, &op->message, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 1;
}

static void prepare_read(struct io_uring_sqe *sqe, struct weir_io_op *op)
{
    if (op->iov_count == 1)
        io_uring_prep_read(sqe, op->fd, op->iov[0].iov_base, (unsigned)op->iov[0].iov_len,
                           op->offset);
    else
        io_uring_prep_readv(sqe, op->fd, op->iov, op->iov_count, op->offset);
}

static void prepare_write(struct io_uring_sqe *sqe, struct weir_io_op *op)
{
    if (op->iov_count == 1)
        io_uring_prep_write(sqe, op->fd, op->iov[0].iov_base, (unsigned)op->iov[0].iov_len,
                            op->offset);
    else
        io_uring_prep_writev(sqe, op->fd, op->iov, op->iov_count, op->offset);
}

static void prepare_cold(struct io_uring_sqe *sqe, struct weir_io_op *op)
{
    switch (op->kind) {
    case WEIR_IO_ACCEPT:
        io_uring_prep_multishot_accept(sqe, op->fd, NULL, NULL, SOCK_CLOEXEC);
        break;
    case WEIR_IO_CONNECT:
        io_uring_prep_connect(sqe, op->fd, op->address, op->address_bytes);
        break;
    case WEIR_IO_OPEN:
        io_uring_prep_openat(sqe, AT_FDCWD, op->path, op->open_flags | O_CLOEXEC, op->mode);
        break;
    case WEIR_IO_SYNC:
        io_uring_prep_fsync(sqe, op->fd, op->data_only ? IORING_FSYNC_DATASYNC : 0);
        break;
    case WEIR_IO_CLOSE:
        io_uring_prep_close(sqe, op->fd);
        break;
    default:
        WEIR_ASSERT(op->kind == WEIR_IO_POLL);
        io_uring_prep_poll_add(sqe, op->fd, POLLIN);
    }
}

void weir_uring_prepare(struct io_uring_sqe *sqe, struct weir_io_op *op)
{
    switch (op->kind) {
    case WEIR_IO_RECV:
        prepare_recv(sqe, op);
        break;
    case WEIR_IO_SEND:
        prepare_send(sqe, op);
        break;
    case WEIR_IO_RECVFROM:
        prepare_recvfrom(sqe, op);
        break;
    case WEIR_IO_SENDTO:
        prepare_sendto(sqe, op);
        break;
    case WEIR_IO_READ:
        prepare_read(sqe, op);
        break;
    case WEIR_IO_WRITE:
        prepare_write(sqe, op);
        break;
    default:
        prepare_cold(sqe, op);
    }
}
