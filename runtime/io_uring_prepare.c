/*
 * runtime/io_uring_prepare.c - from an op to its SQE.
 *
 * The kernel is done with an SQE's msghdr when it has taken the SQE (IORING_FEAT_SUBMIT_STABLE), so there is one for each
 * place in the submission ring and not one for each op. What it points to is the caller's, until the op is done.
 */
#include "runtime/io_uring.h"

#include <poll.h>

#include "base/assert.h"

static struct msghdr *message_of(struct weir_uring *uring, const struct io_uring_sqe *sqe)
{
    return &uring->messages[sqe - uring->ring.sq.sqes];
}

static void prepare_send(struct weir_uring *uring, struct io_uring_sqe *sqe, struct weir_io_op *op)
{
    if (op->iov_count == 1) {
        io_uring_prep_send(sqe, op->fd, op->iov[0].iov_base, op->iov[0].iov_len, MSG_NOSIGNAL);
        return;
    }
    struct msghdr *message = message_of(uring, sqe);
    *message = (struct msghdr){.msg_iov = op->iov, .msg_iovlen = op->iov_count};
    io_uring_prep_sendmsg(sqe, op->fd, message, MSG_NOSIGNAL);
}

static void prepare_sendto(struct weir_uring *uring, struct io_uring_sqe *sqe, struct weir_io_op *op)
{
    struct msghdr *message = message_of(uring, sqe);
    *message = (struct msghdr){.msg_iov = op->iov,
                               .msg_iovlen = op->iov_count,
                               .msg_name = (void *)(uintptr_t)op->address,
                               .msg_namelen = op->address_bytes};
    io_uring_prep_sendmsg(sqe, op->fd, message, MSG_NOSIGNAL);
}

static void prepare_recv(struct io_uring_sqe *sqe, struct weir_io_op *op)
{
    io_uring_prep_recv_multishot(sqe, op->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
}

static void prepare_recvfrom(struct weir_uring *uring, struct io_uring_sqe *sqe, struct weir_io_op *op)
{
    io_uring_prep_recvmsg_multishot(sqe, op->fd, &uring->any_sender, 0);
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
    if (op->durable && weir_uring_durable(op) == WEIR_URING_FDATASYNC) {
        io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC);
        return;
    }
    if (op->iov_count == 1)
        io_uring_prep_write(sqe, op->fd, op->iov[0].iov_base, (unsigned)op->iov[0].iov_len,
                            op->offset);
    else
        io_uring_prep_writev(sqe, op->fd, op->iov, op->iov_count, op->offset);
    if (op->durable && weir_uring_durable(op) == WEIR_URING_DSYNC)
        sqe->rw_flags = RWF_DSYNC;
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

void weir_uring_prepare(struct weir_uring *uring, struct io_uring_sqe *sqe, struct weir_io_op *op)
{
    switch (op->kind) {
    case WEIR_IO_RECV:
        prepare_recv(sqe, op);
        break;
    case WEIR_IO_SEND:
        prepare_send(uring, sqe, op);
        break;
    case WEIR_IO_RECVFROM:
        prepare_recvfrom(uring, sqe, op);
        break;
    case WEIR_IO_SENDTO:
        prepare_sendto(uring, sqe, op);
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
