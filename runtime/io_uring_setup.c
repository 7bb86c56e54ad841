/*
 * runtime/io_uring_setup.c - make a ring out of what this kernel has: asked for, never guessed from
 * its version.
 *
 * The ladder's lowest rung is SINGLE_ISSUER, which came with multishot receive: below it io_uring
 * has nothing over epoll. Level 601 leaves out what came after Linux 6.1, so that older kernels'
 * path is tested on new ones.
 * Proof: tests/runtime/io_test.c runs every case at both levels.
 */
#include "runtime/io_uring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"

enum {
    STREAM_BYTES_DEFAULT = 2 << 20,
    STREAM_BYTES_MIN = 64 << 10,
    STREAM_BUFFER_PLAIN = 8 << 10,
    STREAM_BUFFER_INCREMENTAL = 64 << 10,
};

static const struct rung {
    uint32_t flags;
    const char *name;
} ladder[] = {
    {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
     "single_issuer defer_taskrun"},
    {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
     "single_issuer coop_taskrun"},
};

static const char *reason(int error)
{
    switch (-error) {
    case EPERM:
        return "EPERM: seccomp or the sysctl kernel.io_uring_disabled";
    case ENOSYS:
        return "ENOSYS: not in this kernel, or seccomp";
    case EINVAL:
        return "EINVAL: multishot receive needs Linux 6.0";
    case ENOMEM:
        return "ENOMEM: memory, or the limit of locked memory";
    case EMFILE:
    case ENFILE:
        return "no file descriptor left";
    default:
        return NULL;
    }
}

static int refuse(char *why_out, size_t why_bytes, const char *what, int error)
{
    const char *text = reason(error);
    if (text)
        snprintf(why_out, why_bytes, "%s was refused (%s)", what, text);
    else
        snprintf(why_out, why_bytes, "%s was refused (errno %d)", what, -error);
    return error;
}

static int climb(struct io_uring *ring, const char **name_out)
{
    int error = -EINVAL;
    for (size_t i = 0; i < sizeof(ladder) / sizeof(ladder[0]) && error == -EINVAL; i++) {
        struct io_uring_params params = {
            .flags = ladder[i].flags | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE |
                     IORING_SETUP_CLAMP,
            .cq_entries = WEIR_URING_CQ_ENTRIES,
        };
        error = io_uring_queue_init_params(WEIR_URING_SQ_ENTRIES, ring, &params);
        *name_out = ladder[i].name;
    }
    return error;
}

static uint32_t floor_power_of_two(uint32_t value)
{
    WEIR_ASSERT(value > 0);
    return 1u << (31 - __builtin_clz(value));
}

static size_t ring_bytes(const struct weir_uring_buffers *buffers)
{
    return (size_t)buffers->count * sizeof(struct io_uring_buf);
}

static size_t payload_bytes(const struct weir_uring_buffers *buffers)
{
    return (size_t)buffers->count * buffers->buffer_bytes;
}

/* Page-aligned, and no memory behind it until it is used. */
static void *map_bytes(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static size_t message_bytes(const struct weir_uring *uring)
{
    return (size_t)uring->ring.sq.ring_entries * sizeof(*uring->messages);
}

static int set_up_messages(struct weir_uring *uring)
{
    uring->any_sender = (struct msghdr){.msg_namelen = sizeof(struct sockaddr_storage)};
    uring->messages = map_bytes(message_bytes(uring));
    return uring->messages ? 0 : -ENOMEM;
}

static void unmap_messages(struct weir_uring *uring)
{
    if (uring->messages)
        munmap(uring->messages, message_bytes(uring));
    uring->messages = NULL;
}

static void unmap_buffers(struct weir_uring_buffers *buffers)
{
    if (buffers->ring)
        munmap(buffers->ring, ring_bytes(buffers));
    if (buffers->bytes)
        munmap(buffers->bytes, payload_bytes(buffers));
    free(buffers->used_bytes);
    *buffers = (struct weir_uring_buffers){0};
}

static int register_buffers(struct weir_uring *uring, struct weir_uring_buffers *buffers)
{
    struct io_uring_buf_reg reg = {
        .ring_addr = (uintptr_t)buffers->ring,
        .ring_entries = buffers->count,
        .bgid = buffers->group,
    };
    weir_uring_buf_reg_flags(&reg, buffers->incremental ? WEIR_URING_PBUF_INC : 0);
    return io_uring_register_buf_ring(&uring->ring, &reg, 0);
}

int weir_uring_buffers_init(struct weir_uring *uring, struct weir_uring_buffers *buffers,
                            uint16_t group, uint32_t count, uint32_t buffer_bytes, bool incremental)
{
    WEIR_ASSERT((count & (count - 1)) == 0 && count <= 32768);
    *buffers = (struct weir_uring_buffers){
        .count = count, .buffer_bytes = buffer_bytes, .group = group, .incremental = incremental};
    buffers->ring = map_bytes(ring_bytes(buffers));
    buffers->bytes = map_bytes(payload_bytes(buffers));
    buffers->used_bytes = calloc(count, sizeof(*buffers->used_bytes));
    if (!buffers->ring || !buffers->bytes || !buffers->used_bytes) {
        unmap_buffers(buffers);
        return -ENOMEM;
    }
    int error = register_buffers(uring, buffers);
    if (error < 0) {
        unmap_buffers(buffers);
        return error;
    }
    buffers->ring->tail = 0;
    for (uint32_t i = 0; i < count; i++)
        weir_uring_buffer_return(buffers, i);
    weir_uring_buffers_show(buffers);
    return 0;
}

void weir_uring_buffers_deinit(struct weir_uring *uring, struct weir_uring_buffers *buffers)
{
    if (!buffers->ring)
        return;
    io_uring_unregister_buf_ring(&uring->ring, buffers->group);
    unmap_buffers(buffers);
}

static int set_up_streams(struct weir_uring *uring, const struct weir_io_options *options)
{
    uint32_t bytes = options->recv_buffers_bytes > 0 ? options->recv_buffers_bytes
                                                     : STREAM_BYTES_DEFAULT;
    if (bytes < STREAM_BYTES_MIN)
        bytes = STREAM_BYTES_MIN;
    uint32_t count = floor_power_of_two(bytes / STREAM_BUFFER_INCREMENTAL);
    int error = -EINVAL;
    if (options->level != 601)
        error = weir_uring_buffers_init(uring, &uring->streams, 0, count, STREAM_BUFFER_INCREMENTAL,
                                        true);
    if (error != -EINVAL)
        return error;
    count = floor_power_of_two(bytes / STREAM_BUFFER_PLAIN);
    if (count > 32768)
        count = 32768;
    return weir_uring_buffers_init(uring, &uring->streams, 0, count, STREAM_BUFFER_PLAIN, false);
}

static bool knows_msg_ring(struct weir_uring *uring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(&uring->ring);
    bool known = probe && io_uring_opcode_supported(probe, IORING_OP_MSG_RING);
    io_uring_free_probe(probe);
    return known;
}

static void set_up_extras(struct weir_uring *uring, const struct weir_io_options *options)
{
    struct io_uring *ring = &uring->ring;
    for (uint32_t i = 0; i < ring->sq.ring_entries; i++)
        ring->sq.array[i] = i; /* for ever: entries are taken in order */
    if (io_uring_register_ring_fd(ring) == 1)
        uring->enter_flags |= IORING_ENTER_REGISTERED_RING;
    if (options->level != 601 && (ring->features & WEIR_URING_FEAT_NO_IOWAIT))
        uring->wait_flags |= WEIR_URING_ENTER_NO_IOWAIT;
    unsigned workers[2] = {WEIR_URING_WORKERS_MAX, WEIR_URING_WORKERS_MAX};
    (void)io_uring_register_iowq_max_workers(ring, workers); /* a bound is a wish */
    uring->msg_ring = knows_msg_ring(uring);
}

static void describe(const struct weir_uring *uring, const char *rung, char *why_out,
                     size_t why_bytes)
{
    snprintf(why_out, why_bytes, "io_uring: %s%s%s%s%s", rung,
             (uring->enter_flags & IORING_ENTER_REGISTERED_RING) ? " registered_ring" : "",
             uring->streams.incremental ? " incremental_buffers" : " plain_buffers",
             uring->msg_ring ? " msg_ring" : "",
             (uring->wait_flags & WEIR_URING_ENTER_NO_IOWAIT) ? " no_iowait" : "");
}

int weir_uring_set_up(struct weir_uring *uring, const struct weir_io_options *options,
                      char *why_out, size_t why_bytes)
{
    const char *rung;
    int error = climb(&uring->ring, &rung);
    if (error < 0)
        return refuse(why_out, why_bytes, "io_uring_setup", error);
    uint32_t needed = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE;
    if ((uring->ring.features & needed) != needed) {
        io_uring_queue_exit(&uring->ring);
        return refuse(why_out, why_bytes, "io_uring_setup", -EINVAL);
    }
    error = set_up_messages(uring);
    if (error == 0)
        error = set_up_streams(uring, options);
    if (error < 0) {
        unmap_messages(uring);
        io_uring_queue_exit(&uring->ring);
        return refuse(why_out, why_bytes, "io_uring's memory for receiving", error);
    }
    uring->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (uring->eventfd < 0) {
        error = -errno;
        unmap_messages(uring);
        io_uring_queue_exit(&uring->ring);
        unmap_buffers(&uring->streams);
        return refuse(why_out, why_bytes, "an eventfd", error);
    }
    set_up_extras(uring, options);
    describe(uring, rung, why_out, why_bytes);
    return 0;
}

void weir_uring_tear_down(struct weir_uring *uring)
{
    weir_uring_buffers_deinit(uring, &uring->streams);
    weir_uring_buffers_deinit(uring, &uring->datagrams);
    unmap_messages(uring);
    io_uring_queue_exit(&uring->ring);
    close(uring->eventfd);
    free(uring->slots);
}
