/*
 * runtime/sim_stream.c - the two ends of a connection, and what goes wrong between them.
 *
 * Until a reset, every byte that a send took arrives, once and in order: that is the promise scenarios check the
 * runtime against. After a reset the receiver may or may not still read what had arrived; a close with unread bytes
 * sends a reset, as Linux does; bytes for a closed end are answered with one.
 * A connection that went dark (half open) takes bytes until its buffer is full and says nothing for minutes.
 * Bounded by the pipes' capacity, drawn from the faults. Proof: tests/runtime/sim_test.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/sim_net.h"

enum { STARVED_NS_MAX = 1000000, SEGMENTS_MAX = 3 };

struct weir_sim_stream *weir_sim_stream_new(struct weir_sim *sim, struct weir_sim_host *host)
{
    struct weir_sim_stream *stream = weir_sim_alloc(sizeof(*stream));
    stream->host = host;
    weir_list_init(&stream->backlog);
    stream->in.capacity = weir_sim_between(sim, sim->faults.socket_bytes_min,
                                           sim->faults.socket_bytes_max);
    if (stream->in.capacity == 0)
        stream->in.capacity = 1;
    stream->in.bytes = weir_sim_alloc(stream->in.capacity);
    weir_list_push_back(&sim->streams, &stream->node);
    return stream;
}

void weir_sim_stream_kick(struct weir_sim_stream *stream)
{
    struct weir_sim_op *waiters[] = {stream->recv, stream->send, stream->poll};
    for (int i = 0; i < 3; i++)
        if (waiters[i] != NULL && !waiters[i]->ready)
            weir_sim_op_ready(waiters[i]);
}

/* ---- Things that travel ---- */

/* When something sent now would be there: behind all that went before it. */
static uint64_t arrival_ns(struct weir_sim *sim, struct weir_sim_stream *to, uint64_t delay_ns)
{
    uint64_t at_ns = sim->now_ns + delay_ns;
    if (at_ns < to->in.last_arrival_ns)
        at_ns = to->in.last_arrival_ns;
    to->in.last_arrival_ns = at_ns;
    return at_ns;
}

static void reset_arrives(struct weir_sim *sim, void *context, uint64_t error)
{
    struct weir_sim_stream *stream = context;
    if (stream->state == WEIR_SIM_STREAM_CLOSED || stream->error != 0 ||
        (stream->dark && error != ETIMEDOUT))
        return;
    stream->error = (int)error;
    if (weir_sim_chance(sim, 500000))
        stream->in.taken = stream->in.arrived; /* the kernel drops what was not read yet; or does not */
    weir_sim_stream_kick(stream);
}

void weir_sim_stream_reset(struct weir_sim *sim, struct weir_sim_stream *stream, uint64_t delay_ns)
{
    weir_sim_at(sim, arrival_ns(sim, stream, delay_ns), reset_arrives, stream, ECONNRESET);
}

static void bytes_arrive(struct weir_sim *sim, void *context, uint64_t up_to)
{
    struct weir_sim_stream *stream = context;
    if (stream->dark || stream->error != 0)
        return;
    if (stream->state == WEIR_SIM_STREAM_CLOSED) {
        weir_sim_stream_reset(sim, stream->peer, weir_sim_latency(sim));
        return;
    }
    WEIR_ASSERT(up_to >= stream->in.arrived);
    stream->in.arrived = up_to;
    weir_sim_stream_kick(stream);
}

static void fin_arrives(struct weir_sim *sim, void *context, uint64_t value)
{
    struct weir_sim_stream *stream = context;
    (void)sim, (void)value;
    if (stream->dark)
        return;
    stream->in.fin_arrived = true;
    weir_sim_stream_kick(stream);
}

static void room_arrives(struct weir_sim *sim, void *context, uint64_t value)
{
    (void)sim, (void)value;
    weir_sim_stream_kick(context);
}

static void goes_dark(struct weir_sim *sim, void *context, uint64_t value)
{
    struct weir_sim_stream *stream = context;
    (void)value;
    stream->dark = true;
    weir_sim_at(sim, sim->now_ns + weir_sim_between(sim, WEIR_S_NS, 300 * WEIR_S_NS), reset_arrives,
                stream, ETIMEDOUT);
}

void weir_sim_stream_join(struct weir_sim *sim, struct weir_sim_stream *a, struct weir_sim_stream *b)
{
    a->peer = b;
    b->peer = a;
    if (!weir_sim_chance(sim, sim->faults.half_open))
        return;
    uint64_t at_ns = sim->now_ns + weir_sim_below(sim, 100 * WEIR_MS_NS);
    weir_sim_at(sim, at_ns, goes_dark, a, 0);
    weir_sim_at(sim, at_ns, goes_dark, b, 0);
}

/* ---- Sending ---- */

static void pipe_write(struct weir_sim_pipe *pipe, const struct iovec *iov, uint32_t iov_count,
                       uint64_t byte_count)
{
    uint64_t at = pipe->written % pipe->capacity;
    uint64_t first = pipe->capacity - at < byte_count ? pipe->capacity - at : byte_count;
    weir_sim_iov_read(iov, iov_count, 0, pipe->bytes + at, first);
    weir_sim_iov_read(iov, iov_count, first, pipe->bytes, byte_count - first);
    pipe->written += byte_count;
}

static void send_off(struct weir_sim *sim, struct weir_sim_stream *to, uint64_t from, uint64_t up_to)
{
    for (uint64_t segments = 1 + weir_sim_below(sim, SEGMENTS_MAX); segments > 0 && from < up_to;
         segments--) {
        from = segments == 1 ? up_to : from + 1 + weir_sim_below(sim, up_to - from);
        weir_sim_at(sim, arrival_ns(sim, to, weir_sim_latency(sim)), bytes_arrive, to, from);
    }
}

static int send_some(struct weir_sim *sim, struct weir_sim_stream *stream,
                     const struct weir_io_op *armed)
{
    struct weir_sim_stream *to = stream->peer;
    uint64_t room = to->in.capacity - (to->in.written - to->in.taken);
    uint64_t wanted = weir_sim_iov_bytes(armed->iov, armed->iov_count);
    if (wanted == 0)
        return 0;
    if (room == 0)
        return -EAGAIN;
    uint64_t byte_count = wanted < room ? wanted : room;
    if (weir_sim_chance(sim, sim->faults.send_short))
        byte_count = 1 + weir_sim_below(sim, byte_count);
    uint64_t from = to->in.written;
    pipe_write(&to->in, armed->iov, armed->iov_count, byte_count);
    send_off(sim, to, from, to->in.written);
    return (int)byte_count;
}

static void send_over(struct weir_sim *sim, void *context, uint64_t value)
{
    struct weir_sim_op *op = context;
    (void)sim;
    op->event = NULL;
    ((struct weir_sim_stream *)op->fd->object)->send = NULL;
    weir_sim_op_finish(op, (int)(int64_t)value);
}

void weir_sim_stream_send(struct weir_sim_stream *stream, struct weir_sim_op *op)
{
    struct weir_sim *sim = op->io->sim;
    int result;
    if (op->event != NULL)
        return; /* sent, not yet told */
    if (stream->error != 0)
        result = stream->in.fin_arrived || weir_sim_chance(sim, 500000) ? -EPIPE : -stream->error;
    else if (stream->state != WEIR_SIM_STREAM_OPEN || stream->peer == NULL)
        result = -EPIPE;
    else if (weir_sim_chance(sim, sim->faults.reset)) {
        weir_sim_stream_reset(sim, stream->peer, weir_sim_latency(sim));
        reset_arrives(sim, stream, ECONNRESET);
        result = -ECONNRESET;
    } else
        result = send_some(sim, stream, op->op);
    if (result == -EAGAIN)
        return;
    if (result > 0 && weir_sim_chance(sim, 300000)) {
        uint64_t at_ns = sim->now_ns + weir_sim_latency(sim);
        op->event = weir_sim_at(sim, at_ns, send_over, op, (uint64_t)(int64_t)result);
        return;
    }
    stream->send = NULL;
    weir_sim_op_finish(op, result);
}

/* ---- Receiving ---- */

bool weir_sim_stream_readable(const struct weir_sim_stream *stream)
{
    return stream->in.arrived > stream->in.taken || stream->error != 0 || stream->in.fin_arrived;
}

/* Hand bytes over from memory of their own, so that whoever keeps them is found out. */
static void hand_bytes(struct weir_sim_stream *stream, struct weir_sim_op *op, uint64_t byte_count)
{
    struct weir_sim *sim = op->io->sim;
    struct weir_sim_pipe *pipe = &stream->in;
    uint8_t *bytes = malloc(byte_count);
    WEIR_ASSERT(bytes != NULL);
    for (uint64_t done = 0; done < byte_count;) {
        uint64_t at = (pipe->taken + done) % pipe->capacity;
        uint64_t some = pipe->capacity - at < byte_count - done ? pipe->capacity - at
                                                                : byte_count - done;
        memcpy(bytes + done, pipe->bytes + at, some);
        done += some;
    }
    pipe->taken += byte_count;
    if (stream->peer != NULL)
        weir_sim_at(sim, sim->now_ns + weir_sim_latency(sim), room_arrives, stream->peer, 0);
    struct weir_io_data data = {.bytes = bytes, .byte_count = byte_count};
    weir_sim_op_hand(op, (int)byte_count, &data);
    memset(bytes, 0xdb, byte_count);
    free(bytes);
}

int weir_sim_stream_recv(struct weir_sim_stream *stream, struct weir_sim_op *op)
{
    struct weir_sim *sim = op->io->sim;
    uint64_t readable = stream->in.arrived - stream->in.taken;
    if (op->event != NULL)
        return 0; /* starved */
    if (readable == 0) {
        if (stream->error != 0 || stream->in.fin_arrived || stream->state == WEIR_SIM_STREAM_NEW) {
            stream->recv = NULL;
            int error = stream->state == WEIR_SIM_STREAM_NEW ? ENOTCONN : stream->error;
            weir_sim_op_finish(op, -error);
        }
        return 0;
    }
    if (weir_sim_chance(sim, sim->faults.recv_starved)) {
        op->io->io.counters.recv_starved++;
        op->event = weir_sim_at(sim, sim->now_ns + weir_sim_below(sim, STARVED_NS_MAX),
                                weir_sim_op_again, op, 0);
        return 0;
    }
    if (weir_sim_chance(sim, sim->faults.read_short))
        readable = 1 + weir_sim_below(sim, readable);
    hand_bytes(stream, op, readable);
    if (weir_sim_stream_readable(stream))
        weir_sim_op_ready(op);
    return 1;
}

/* ---- Closing ---- */

void weir_sim_stream_close(struct weir_sim *sim, struct weir_sim_stream *stream)
{
    bool unread = stream->in.arrived > stream->in.taken;
    bool connecting = stream->state == WEIR_SIM_STREAM_CONNECTING;
    struct weir_sim_stream *peer = stream->peer;
    stream->state = WEIR_SIM_STREAM_CLOSED;
    if (peer == NULL || stream->dark || peer->state == WEIR_SIM_STREAM_CLOSED)
        return;
    if (unread || connecting || stream->error != 0)
        weir_sim_stream_reset(sim, peer, weir_sim_latency(sim));
    else
        weir_sim_at(sim, arrival_ns(sim, peer, weir_sim_latency(sim)), fin_arrives, peer, 0);
}
