/*
 * runtime/io_epoll_file.c - file operations block, so threads of a pool make the calls and send the
 * results home.
 *
 * Job memory is kept for the next one. Proof: tests/runtime/io_file_test.c.
 */
#include "runtime/io_epoll.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int result_of(ssize_t result)
{
    return result < 0 ? -errno : (int)result;
}

/* Where a file refuses RWF_DSYNC, a write and a sync. */
static int write_durable(const struct weir_io_op *op)
{
    ssize_t written = pwritev2(op->fd, op->iov, (int)op->iov_count, (off_t)op->offset, RWF_DSYNC);
    if (written >= 0 || (errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS))
        return result_of(written);
    written = pwritev(op->fd, op->iov, (int)op->iov_count, (off_t)op->offset);
    if (written > 0 && fdatasync(op->fd) < 0)
        return -errno;
    return result_of(written);
}

static void run_file_job(struct weir_pool_job *pool_job)
{
    struct weir_epoll_job *job = WEIR_CONTAINER(pool_job, struct weir_epoll_job, job);
    const struct weir_io_op *op = job->op;
    switch (op->kind) {
    case WEIR_IO_OPEN:
        job->result = result_of(open(op->path, op->open_flags | O_CLOEXEC, op->mode));
        break;
    case WEIR_IO_READ:
        job->result = result_of(preadv(op->fd, op->iov, (int)op->iov_count, (off_t)op->offset));
        break;
    case WEIR_IO_WRITE:
        job->result = op->durable ? write_durable(op)
                                  : result_of(pwritev(op->fd, op->iov, (int)op->iov_count, (off_t)op->offset));
        break;
    case WEIR_IO_SYNC:
        job->result = result_of(op->data_only ? fdatasync(op->fd) : fsync(op->fd));
        break;
    default:
        job->result = result_of(close(op->fd));
    }
}

static void on_file_job(struct weir_pool_job *pool_job)
{
    struct weir_epoll_job *job = WEIR_CONTAINER(pool_job, struct weir_epoll_job, job);
    struct weir_epoll *epoll = job->epoll;
    struct weir_io_op *op = job->op;
    int result = job->result;
    weir_list_push_front(&epoll->spare_jobs, &job->job.node);
    if (op->kind == WEIR_IO_CLOSE)
        epoll->descriptors_freed = true;
    if (epoll->closing) {
        epoll->live_count--;
        return;
    }
    weir_epoll_finish(epoll, op, result);
}

static struct weir_epoll_job *take_job(struct weir_epoll *epoll)
{
    struct weir_list *node = weir_list_pop_front(&epoll->spare_jobs);
    if (node)
        return WEIR_CONTAINER(node, struct weir_epoll_job, job.node);
    return calloc(1, sizeof(struct weir_epoll_job));
}

int weir_epoll_start_file(struct weir_epoll *epoll, struct weir_io_op *op)
{
    if (!epoll->pool && weir_pool_open(WEIR_EPOLL_FILE_THREADS, &epoll->pool) < 0)
        return -ENOMEM;
    struct weir_epoll_job *job = take_job(epoll);
    if (!job)
        return -ENOMEM;
    *job = (struct weir_epoll_job){
        .job = {.run = run_file_job, .done = on_file_job}, .epoll = epoll, .op = op};
    weir_list_init(&job->job.node);
    int error = weir_pool_submit(epoll->pool, &epoll->home, &job->job);
    if (error < 0)
        weir_list_push_front(&epoll->spare_jobs, &job->job.node);
    return error < 0 ? -ENOMEM : 0;
}
