/*
 * runtime/file.c - the public file calls: one io operation each, in a buffer of the reactor.
 *
 * Proof: tests/runtime/file_test.c on every io.
 */
#include <weir/file.h>

#include <errno.h>
#include <fcntl.h>

#include "runtime/reactor.h"

struct file_call { /* lies in its buffer */
    struct weir_io_op op;
    struct weir_reactor *reactor;
    struct weir_buffer *buffer;
    struct iovec iov;
    weir_file_fn done;
    void *context;
};

static void on_done(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    (void)data;
    (void)more;
    struct file_call *call = WEIR_CONTAINER(op, struct file_call, op);
    struct weir_reactor *reactor = call->reactor;
    weir_file_fn done = call->done;
    void *context = call->context;
    weir_buffer_drop(reactor, call->buffer);
    reactor->file_ops--;
    done(reactor, result, context);
}

static struct file_call *new_call(struct weir_reactor *reactor, enum weir_io_kind kind, int fd, weir_file_fn done,
                                  void *context)
{
    struct weir_buffer *buffer = weir_buffer_take(reactor, sizeof(struct file_call));
    if (!buffer)
        return NULL;
    struct file_call *call = (struct file_call *)(void *)buffer->bytes;
    *call = (struct file_call){.reactor = reactor, .buffer = buffer, .done = done, .context = context};
    call->op = (struct weir_io_op){.kind = kind, .fd = fd, .done = on_done};
    return call;
}

static int start(struct file_call *call)
{
    int result = weir_io_start(call->reactor->io, &call->op);
    if (result < 0) {
        weir_buffer_drop(call->reactor, call->buffer);
        return -ENOMEM;
    }
    call->reactor->file_ops++;
    return 0;
}

int weir_file_open(struct weir_reactor *reactor, const char *path, int flags, uint32_t mode, weir_file_fn done,
                   void *context)
{
    struct file_call *call = new_call(reactor, WEIR_IO_OPEN, -1, done, context);
    if (!call)
        return -ENOMEM;
    call->op.path = path;
    call->op.open_flags = flags | O_CLOEXEC;
    call->op.mode = mode;
    return start(call);
}

static int transfer(struct weir_reactor *reactor, enum weir_io_kind kind, int fd, void *bytes, size_t byte_count,
                    uint64_t offset, weir_file_fn done, void *context)
{
    struct file_call *call = new_call(reactor, kind, fd, done, context);
    if (!call)
        return -ENOMEM;
    call->iov = (struct iovec){bytes, byte_count};
    call->op.iov = &call->iov;
    call->op.iov_count = 1;
    call->op.offset = offset;
    return start(call);
}

int weir_file_read(struct weir_reactor *reactor, int fd, void *bytes, size_t byte_count, uint64_t offset,
                   weir_file_fn done, void *context)
{
    return transfer(reactor, WEIR_IO_READ, fd, bytes, byte_count, offset, done, context);
}

int weir_file_write(struct weir_reactor *reactor, int fd, const void *bytes, size_t byte_count, uint64_t offset,
                    weir_file_fn done, void *context)
{
    return transfer(reactor, WEIR_IO_WRITE, fd, (void *)(uintptr_t)bytes, byte_count, offset, done, context);
}

int weir_file_sync(struct weir_reactor *reactor, int fd, bool data_only, weir_file_fn done, void *context)
{
    struct file_call *call = new_call(reactor, WEIR_IO_SYNC, fd, done, context);
    if (!call)
        return -ENOMEM;
    call->op.data_only = data_only;
    return start(call);
}

int weir_file_close(struct weir_reactor *reactor, int fd, weir_file_fn done, void *context)
{
    struct file_call *call = new_call(reactor, WEIR_IO_CLOSE, fd, done, context);
    return call ? start(call) : -ENOMEM;
}
