/*
 * runtime/io_sim.c - the io table of the simulator: operations from start to their last done.
 *
 * An operation is submitted by the next turn, as with io_uring, waits at the object it is about, and is put on its
 * io's ready list when that object has something. A turn then draws from the ready list in any order, tries each, and
 * calls `done`. So `done` comes from a turn only, and all that is uncertain is drawn from the seed: when a wake lands,
 * which completion is first, whether a cancel was faster.
 * Proof: tests/runtime/sim_test.c, and tests/runtime/io_test.c, which holds every io to the same contract.
 */
#include "runtime/io_sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "runtime/sim_disk.h"
#include "runtime/sim_net.h"
#include "runtime/sim_world.h"

enum { WAKE_NS_MAX = 60000 };

/* ---- Bytes in pieces ---- */

uint64_t weir_sim_iov_bytes(const struct iovec *iov, uint32_t iov_count)
{
    uint64_t byte_count = 0;
    for (uint32_t i = 0; i < iov_count; i++)
        byte_count += iov[i].iov_len;
    return byte_count;
}

void weir_sim_iov_read(const struct iovec *iov, uint32_t iov_count, uint64_t skip, void *bytes,
                       uint64_t byte_count)
{
    uint8_t *at = bytes;
    for (uint32_t i = 0; i < iov_count && byte_count > 0; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        uint64_t some = iov[i].iov_len - skip < byte_count ? iov[i].iov_len - skip : byte_count;
        memcpy(at, (const uint8_t *)iov[i].iov_base + skip, some);
        at += some;
        byte_count -= some;
        skip = 0;
    }
}

void weir_sim_iov_write(const struct iovec *iov, uint32_t iov_count, const void *bytes,
                        uint64_t byte_count)
{
    const uint8_t *at = bytes;
    for (uint32_t i = 0; i < iov_count && byte_count > 0; i++) {
        uint64_t some = iov[i].iov_len < byte_count ? iov[i].iov_len : byte_count;
        if (some > 0)
            memcpy(iov[i].iov_base, at, some);
        at += some;
        byte_count -= some;
    }
}

static uint64_t hash_iov(const struct weir_io_op *op)
{
    uint64_t hash = 0;
    for (uint32_t i = 0; i < op->iov_count; i++)
        hash = weir_hash_bytes(op->iov[i].iov_base, op->iov[i].iov_len, hash);
    return hash;
}

/* ---- An operation's states ---- */

static bool carries_bytes(const struct weir_io_op *op)
{
    return op->kind == WEIR_IO_SEND || op->kind == WEIR_IO_SENDTO || op->kind == WEIR_IO_WRITE;
}

static const char *kind_name(enum weir_io_kind kind)
{
    static const char *const names[] = {"accept", "recv", "recvfrom", "send", "sendto", "connect",
                                        "open",   "read", "write",    "sync", "close",  "poll"};
    return names[kind];
}

static struct weir_sim_op *sim_op(const struct weir_io_op *op)
{
    return op->own;
}

void weir_sim_op_ready(struct weir_sim_op *op)
{
    if (op->ready)
        return;
    op->ready = true;
    weir_list_remove(&op->node);
    weir_list_push_back(&op->io->ready, &op->node);
    op->io->ready_count++;
}

void weir_sim_op_again(struct weir_sim *sim, void *context, uint64_t value)
{
    struct weir_sim_op *op = context;
    (void)sim, (void)value;
    op->event = NULL;
    weir_sim_op_ready(op);
}

static void op_waits(struct weir_sim_op *op)
{
    weir_list_remove(&op->node);
    weir_list_push_back(&op->io->waiting, &op->node);
}

void weir_sim_op_finish(struct weir_sim_op *op, int result)
{
    WEIR_ASSERT(!op->finished);
    op->finished = true;
    op->result = result;
    weir_sim_op_ready(op);
}

void weir_sim_op_hand(struct weir_sim_op *op, int result, const struct weir_io_data *data)
{
    struct weir_sim_io *io = op->io;
    io->io.counters.completed++;
    weir_sim_note(io->sim, io, kind_name(op->op->kind), op->op->fd, result, true);
    if (data != NULL)
        weir_sim_mix(io->sim, weir_hash_bytes(data->bytes, data->byte_count, 1));
    op->op->done(op->op, result, data, true);
}

static void last_done(struct weir_sim_op *op)
{
    struct weir_sim_io *io = op->io;
    struct weir_io_op *armed = op->op;
    int result = op->result;
    WEIR_ASSERT(armed->armed);
    WEIR_ASSERT(!carries_bytes(armed) ||
                hash_iov(armed) == op->bytes_hash); /* the caller keeps its hands off */
    if (op->event != NULL)
        op->event->fire = NULL;
    if (op->fd != NULL)
        op->fd->armed_count--;
    if (armed->kind == WEIR_IO_CLOSE && op->fd != NULL)
        weir_sim_fd_free(io->sim, armed->fd);
    free(op);
    armed->armed = false;
    armed->own = NULL;
    io->io.counters.completed++;
    weir_sim_note(io->sim, io, kind_name(armed->kind), armed->fd, result, false);
    armed->done(armed, result, NULL, false);
}

static int start(struct weir_io *io, struct weir_io_op *armed)
{
    struct weir_sim_io *self = weir_sim_io(io);
    WEIR_ASSERT(!self->closed);
    WEIR_ASSERT((unsigned)armed->kind <= WEIR_IO_POLL);
    if (armed->armed)
        return -EBUSY;
    struct weir_sim_op *op = weir_sim_alloc(sizeof(*op));
    op->op = armed;
    op->io = self;
    op->bytes_hash = carries_bytes(armed) ? hash_iov(armed) : 0;
    armed->armed = true;
    armed->cancelling = false;
    armed->own = op;
    weir_list_push_back(&self->started, &op->node);
    weir_sim_yield(self->sim);
    return 0;
}

static void cancel(struct weir_io *io, struct weir_io_op *armed)
{
    struct weir_sim_io *self = weir_sim_io(io);
    if (!armed->armed || armed->cancelling)
        return;
    struct weir_sim_op *op = sim_op(armed);
    WEIR_ASSERT(op->io == self);
    armed->cancelling = true;
    if (op->fd != NULL || op->event != NULL) /* submitted: the next turn sees to it */
        weir_sim_op_ready(op);
    weir_sim_yield(self->sim);
}

/* ---- Submitting ---- */

static void submit_close(struct weir_sim_op *op)
{
    WEIR_ASSERT(op->fd->armed_count == 1); /* nothing else may be armed on it */
    if (op->fd->kind == WEIR_SIM_FD_FILE)
        weir_sim_file_close(op->io->sim, op->fd->object);
    else
        weir_sim_net_close(op->io->sim, op->fd);
    op->fd->object = NULL;
    weir_sim_op_finish(op, 0);
}

static void submit(struct weir_sim_op *op)
{
    struct weir_sim_io *io = op->io;
    op_waits(op);
    io->io.counters.submitted++;
    if (op->op->cancelling && weir_sim_chance(io->sim, 500000)) {
        weir_sim_op_finish(op, -ECANCELED);
        return;
    }
    if (op->op->kind == WEIR_IO_OPEN) {
        weir_sim_disk_submit(op);
        return;
    }
    op->fd = weir_sim_fd_find(io->sim, op->op->fd);
    if (op->fd == NULL) {
        weir_sim_op_finish(op, -EBADF);
        return;
    }
    op->fd->armed_count++;
    if (op->op->kind == WEIR_IO_CLOSE)
        submit_close(op);
    else if (op->fd->kind == WEIR_SIM_FD_FILE)
        weir_sim_disk_submit(op);
    else
        weir_sim_net_submit(op);
    if (op->op->cancelling)
        weir_sim_op_ready(op);
}

static void submit_all(struct weir_sim_io *io)
{
    struct weir_list *node;
    while ((node = weir_list_pop_front(&io->started)) != NULL)
        submit(WEIR_CONTAINER(node, struct weir_sim_op, node));
}

/* ---- Completing ---- */

static void take_off_ready(struct weir_sim_op *op)
{
    op->ready = false;
    op->io->ready_count--;
    op_waits(op);
}

static bool is_file_op(const struct weir_sim_op *op)
{
    return op->op->kind == WEIR_IO_OPEN || (op->fd != NULL && op->fd->kind == WEIR_SIM_FD_FILE);
}

/* Ends a cancelled operation, or lets it go on towards its own result: both happen with a kernel. */
static bool was_cancelled(struct weir_sim_op *op)
{
    struct weir_sim *sim = op->io->sim;
    if (!op->op->cancelling || op->finished || weir_sim_chance(sim, 300000))
        return op->finished;
    if (is_file_op(op) && weir_sim_chance(sim, 500000))
        return false;                                              /* a worker has it already */
    bool sent = op->op->kind == WEIR_IO_SEND && op->event != NULL; /* gone, only not told yet */
    op->result = sent ? (int)(int64_t)op->event->value : -ECANCELED;
    op->finished = true;
    if (!is_file_op(op) && op->fd != NULL)
        weir_sim_net_cancel(op);
    return true;
}

/* One try. How many `done` calls it made. */
static int try_op(struct weir_sim_op *op)
{
    take_off_ready(op);
    bool over = was_cancelled(op);
    int handed = 0;
    if (!over && !is_file_op(op))
        handed = weir_sim_net_try(op);
    if (op->finished) {
        if (op->ready)
            take_off_ready(op);
        weir_list_remove(&op->node);
        last_done(op);
        return handed + 1;
    }
    if (op->op->cancelling && !is_file_op(op))
        weir_sim_op_ready(op); /* until the cancel has won */
    return handed;
}

static struct weir_sim_op *draw_ready(struct weir_sim_io *io)
{
    struct weir_list *node = io->ready.next;
    for (uint64_t skip = weir_sim_below(io->sim, io->ready_count < 8 ? io->ready_count : 8);
         skip > 0; skip--)
        node = node->next;
    return WEIR_CONTAINER(node, struct weir_sim_op, node);
}

static int reap(struct weir_sim_io *io)
{
    int handed = 0;
    uint64_t tries = io->ready_count;
    if (tries > 1 && weir_sim_chance(io->sim, 100000))
        tries = 1 + weir_sim_below(io->sim, tries);
    while (tries-- > 0 && io->ready_count > 0)
        handed += try_op(draw_ready(io));
    return handed;
}

/* Outside of fibers the waiting turn moves the world's time itself. */
static int wait_alone(struct weir_sim_io *io, uint64_t deadline_ns)
{
    struct weir_sim *sim = io->sim;
    weir_sim_pass(sim, 50 + weir_sim_below(sim, sim->faults.step_ns_max + 1));
    while (io->ready_count == 0 && !io->woken && sim->now_ns < deadline_ns) {
        uint64_t next_ns = weir_sim_next_event_ns(sim);
        if (next_ns > deadline_ns)
            next_ns = deadline_ns;
        if (next_ns == UINT64_MAX)
            return -EDEADLK; /* nothing will ever come */
        weir_sim_pass(sim, next_ns > sim->now_ns ? next_ns - sim->now_ns : 0);
    }
    return 0;
}

static int turn(struct weir_io *io, uint64_t wait_ns)
{
    struct weir_sim_io *self = weir_sim_io(io);
    struct weir_sim *sim = self->sim;
    WEIR_ASSERT(!self->turning); /* not from within `done` */
    self->turning = true;
    io->counters.enters++;
    submit_all(self);
    uint64_t deadline_ns = wait_ns > UINT64_MAX - sim->now_ns ? UINT64_MAX : sim->now_ns + wait_ns;
    int result = 0;
    if (weir_sim_on_fiber(sim))
        weir_sim_fiber_wait(sim, self, deadline_ns);
    else
        result = wait_alone(self, deadline_ns);
    weir_io_woke(io);
    if (wait_ns > 0)
        self->woken = false; /* a turn that does not wait leaves it for one that does */
    if (result == 0)
        result = reap(self);
    self->turning = false;
    return result;
}

/* ---- Wakes, clock, chance ---- */

static void wake_lands(struct weir_sim *sim, void *context, uint64_t value)
{
    (void)sim, (void)value;
    ((struct weir_sim_io *)context)->woken = true;
}

static void wake(struct weir_io *from, struct weir_io *to)
{
    (void)from;
    struct weir_sim_io *target = weir_sim_io(to);
    struct weir_sim *sim = target->sim;
    if (weir_sim_chance(sim, 500000))
        target->woken = true;
    else
        weir_sim_at(sim, sim->now_ns + weir_sim_below(sim, WAKE_NS_MAX), wake_lands, target, 0);
    weir_sim_yield(sim);
}

static void wake_foreign(struct weir_io *to)
{
    weir_sim_io(to)->woken = true;
}

static uint64_t now_ns(struct weir_io *io)
{
    weir_sim_yield(weir_sim_io(io)->sim);
    return weir_sim_io(io)->sim->now_ns;
}

static uint64_t io_random(struct weir_io *io)
{
    return weir_sim_random_next(&weir_sim_io(io)->random);
}

/* ---- The rest of the table ---- */

static int listen_on(struct weir_io *io, const struct weir_io_listen *how, int *fd_out)
{
    return weir_sim_net_listen(weir_sim_io(io), how, fd_out);
}

static int datagram_on(struct weir_io *io, const struct weir_io_datagram *how, int *fd_out)
{
    return weir_sim_datagram_open(weir_sim_io(io), how, fd_out);
}

static int stream_of(struct weir_io *io, int family, int *fd_out)
{
    return weir_sim_net_stream(weir_sim_io(io), family, fd_out);
}

static int local_address(struct weir_io *io, int fd, struct sockaddr_storage *address_out,
                         socklen_t *bytes_out)
{
    return weir_sim_net_address(weir_sim_io(io)->sim, fd, false, address_out, bytes_out);
}

static int peer_address(struct weir_io *io, int fd, struct sockaddr_storage *address_out,
                        socklen_t *bytes_out)
{
    return weir_sim_net_address(weir_sim_io(io)->sim, fd, true, address_out, bytes_out);
}

static void drop(struct weir_io *io, int fd)
{
    struct weir_sim *sim = weir_sim_io(io)->sim;
    struct weir_sim_fd *dropped = weir_sim_fd_find(sim, fd);
    WEIR_ASSERT(dropped != NULL);
    if (dropped->kind == WEIR_SIM_FD_FILE)
        weir_sim_file_close(sim, dropped->object);
    else
        weir_sim_net_close(sim, dropped);
    weir_sim_fd_free(sim, fd);
}

static int pollable(struct weir_io *io)
{
    (void)io;
    return -ENOSYS;
}

/* Abandons what is armed, without done; file operations take effect first. */
static void abandon(struct weir_list *list)
{
    struct weir_list *node;
    while ((node = weir_list_pop_front(list)) != NULL) {
        struct weir_sim_op *op = WEIR_CONTAINER(node, struct weir_sim_op, node);
        if (!op->finished && op->fd != NULL && op->fd->kind == WEIR_SIM_FD_FILE)
            weir_sim_disk_perform(op);
        else if (!op->finished && op->fd != NULL)
            weir_sim_net_cancel(op);
        weir_list_remove(&op->node); /* its end may have put it on `ready` */
        if (op->event != NULL)
            op->event->fire = NULL;
        if (op->fd != NULL)
            op->fd->armed_count--;
        op->op->armed = false;
        op->op->own = NULL;
        free(op);
    }
}

static void io_close(struct weir_io *io)
{
    struct weir_sim_io *self = weir_sim_io(io);
    WEIR_ASSERT(!self->closed);
    WEIR_ASSERT(!self->turning);
    abandon(&self->started);
    abandon(&self->waiting);
    abandon(&self->ready);
    self->ready_count = 0;
    self->closed = true;
}

static struct weir_disk *disk_of(struct weir_io *io)
{
    return &weir_sim_io(io)->calls;
}

/* ---- Work that blocks: on a fiber of its own, where its calls may be interrupted ---- */

struct late {
    struct weir_sim *sim;
    uint64_t delay_ns;
    weir_sim_fn fn;
    void *context;
};

static void run_late(void *context)
{
    struct late late = *(struct late *)context;
    free(context);
    weir_sim_sleep(late.sim, late.delay_ns);
    late.fn(late.context);
}

static int later(struct weir_io *io, void (*fn)(void *context), void *context)
{
    struct weir_sim *sim = weir_sim_io(io)->sim;
    uint64_t delay_ns = weir_sim_between(sim, sim->faults.disk_ns_min, sim->faults.disk_ns_max);
    if (!weir_sim_on_fiber(sim))
        return weir_sim_after(sim, delay_ns, fn, context);
    struct late *late = weir_sim_alloc(sizeof(*late));
    *late = (struct late){sim, delay_ns, fn, context};
    int result = weir_sim_spawn(sim, "work", run_late, late);
    if (result < 0)
        free(late);
    return result;
}

static const struct weir_io_table sim_table = {
    .name = "sim",
    .start = start,
    .cancel = cancel,
    .turn = turn,
    .wake = wake,
    .wake_foreign = wake_foreign,
    .now_ns = now_ns,
    .random = io_random,
    .listen = listen_on,
    .datagram = datagram_on,
    .stream = stream_of,
    .local_address = local_address,
    .peer_address = peer_address,
    .drop = drop,
    .pollable = pollable,
    .close = io_close,
    .disk = disk_of,
    .later = later,
};

int weir_sim_io_open(struct weir_sim *sim, uint32_t host, struct weir_io **io_out)
{
    WEIR_ASSERT(host < sim->host_count);
    struct weir_sim_io *io = weir_sim_alloc(sizeof(*io));
    io->io.table = &sim_table;
    io->calls.table = &weir_sim_disk_table;
    io->sim = sim;
    io->host = &sim->hosts[host];
    io->disk = weir_sim_disk_hold(io->host->disk);
    io->index = sim->io_count++;
    weir_sim_random_init(&io->random, weir_sim_random(sim));
    weir_list_init(&io->started);
    weir_list_init(&io->waiting);
    weir_list_init(&io->ready);
    weir_list_push_back(&sim->ios, &io->node);
    *io_out = &io->io;
    return 0;
}

bool weir_sim_ghost(const struct weir_io *io)
{
    return ((const struct weir_sim_io *)(const void *)io)->ghost;
}

void weir_sim_crash(struct weir_sim *sim, uint32_t host, enum weir_sim_crash_kind kind)
{
    WEIR_ASSERT(host < sim->host_count);
    struct weir_sim_host *dying = &sim->hosts[host];
    weir_sim_mix(sim, 0x6372617368u + host);
    WEIR_LIST_EACH(node, &sim->ios) {
        struct weir_sim_io *io = WEIR_CONTAINER(node, struct weir_sim_io, node);
        if (io->host != dying || io->closed || io->ghost)
            continue;
        weir_sim_disk_under_way(io);
        io->ghost = true;
    }
    weir_sim_net_crash(sim, dying);
    struct weir_sim_disk *old = dying->disk;
    dying->disk = weir_sim_disk_after_crash(sim, old, kind);
    weir_sim_disk_drop(old);
}
