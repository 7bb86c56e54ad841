/*
 * runtime/sim_datagram.c - datagrams: each travels alone, may be lost, doubled or overtaken, and is never cut or joined.
 *
 * A full receive queue drops what comes, silently, as UDP does. Proof: tests/runtime/sim_test.c.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/sim_net.h"

enum {
    DATAGRAM_BYTES_MAX = 65507,
    HAND_BYTES_MAX = 32 << 10, /* what one receive buffer holds */
    QUEUE_BYTES = 212992,      /* Linux's default */
    LATE_NS_MAX = 5000000,
};

static bool in_use(struct weir_sim *sim, const struct weir_sim_name *name, bool reuse_port)
{
    WEIR_LIST_EACH(node, &sim->datagrams) {
        const struct weir_sim_datagram *other = WEIR_CONTAINER(node, struct weir_sim_datagram, node);
        if (!other->closed && !other->ghost && weir_sim_name_takes(&other->name, name) &&
            !(reuse_port && other->reuse_port))
            return true;
    }
    return false;
}

static bool multicast(const struct weir_sim_name *name)
{
    return name->ip[0] == 0xff ||
           (name->ip[10] == 0xff && name->ip[12] >= 224 && name->ip[12] <= 239);
}

int weir_sim_datagram_open(struct weir_sim_io *io, const struct weir_io_datagram *how, int *fd_out)
{
    struct weir_sim_name name;
    struct weir_sim_name group = {0};
    int result = weir_sim_name_read(io, how->address, how->address_bytes, &name);
    if (result == -ENETUNREACH)
        result = multicast(&name) ? 0 : -EADDRNOTAVAIL;
    if (result == 0 && !io->ghost)
        result = weir_sim_name_bind(io, &name, in_use, how->reuse_port);
    if (result < 0)
        return result;
    if (how->group != NULL) {
        socklen_t bytes = how->group->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                                           : sizeof(struct sockaddr_in6);
        weir_sim_name_read(io, how->group, bytes, &group);
        if (!multicast(&group))
            return -EINVAL;
    }
    struct weir_sim_datagram *socket = weir_sim_alloc(sizeof(*socket));
    socket->name = name;
    socket->group = group;
    socket->reuse_port = how->reuse_port;
    socket->ghost = io->ghost;
    socket->queued_bytes_max = how->recv_buffer_bytes > 0 ? how->recv_buffer_bytes : QUEUE_BYTES;
    weir_list_init(&socket->queue);
    weir_list_push_back(&io->sim->datagrams, &socket->node);
    *fd_out = weir_sim_fd_take(io->sim, WEIR_SIM_FD_DATAGRAM, socket);
    return 0;
}

/* ---- Sending ---- */

static void arrives(struct weir_sim *sim, void *context, uint64_t value)
{
    struct weir_sim_packet *packet = context;
    struct weir_sim_datagram *to = packet->to;
    (void)sim, (void)value;
    if (to->closed || to->ghost || to->queued_bytes + packet->byte_count > to->queued_bytes_max) {
        weir_list_remove(&packet->node);
        free(packet);
        return;
    }
    to->queued_bytes += packet->byte_count;
    weir_list_push_back(&to->queue, &packet->queue);
    if (to->recv != NULL)
        weir_sim_op_ready(to->recv);
    if (to->poll != NULL)
        weir_sim_op_ready(to->poll);
}

/* What the receiver sees of a socket that is bound to any address: the one the packet left by. */
static struct weir_sim_name sender_name(const struct weir_sim_datagram *from,
                                        const struct weir_sim_datagram *to)
{
    struct weir_sim_name name = from->name;
    if (!name.any)
        return name;
    memset(name.ip, 0, sizeof(name.ip));
    name.ip[10] = name.ip[11] = 0xff;
    name.any = false;
    name.family = AF_INET;
    name.ip[12] = name.host == to->name.host ? 127 : 10;
    name.ip[15] = (uint8_t)(name.host == to->name.host ? 1 : name.host + 1);
    return name;
}

static void post(struct weir_sim *sim, struct weir_sim_datagram *from, struct weir_sim_datagram *to,
                 const struct weir_io_op *armed)
{
    if (weir_sim_chance(sim, sim->faults.datagram_lost))
        return;
    uint64_t copies = weir_sim_chance(sim, sim->faults.datagram_twice) ? 2 : 1;
    while (copies-- > 0) {
        size_t byte_count = weir_sim_iov_bytes(armed->iov, armed->iov_count);
        struct weir_sim_packet *packet = weir_sim_alloc(sizeof(*packet) + byte_count);
        packet->to = to;
        packet->sender = sender_name(from, to);
        packet->byte_count = byte_count;
        weir_list_init(&packet->queue);
        weir_sim_iov_read(armed->iov, armed->iov_count, 0, packet->bytes, byte_count);
        weir_list_push_back(&sim->packets, &packet->node);
        uint64_t late_ns = weir_sim_chance(sim, sim->faults.datagram_late)
                               ? weir_sim_below(sim, LATE_NS_MAX)
                               : 0;
        weir_sim_at(sim, sim->now_ns + sim->faults.latency_ns_min + late_ns, arrives, packet, 0);
    }
}

static bool reaches(const struct weir_sim_datagram *to, const struct weir_sim_name *name)
{
    if (to->closed || to->ghost)
        return false;
    if (!multicast(name))
        return weir_sim_name_takes(&to->name, name);
    return to->group.family != 0 && to->name.port == name->port &&
           memcmp(to->group.ip, name->ip, 16) == 0;
}

static void post_all(struct weir_sim *sim, struct weir_sim_datagram *from,
                     const struct weir_sim_name *name, const struct weir_io_op *armed)
{
    struct weir_sim_datagram *drawn = NULL;
    uint64_t count = 0;
    WEIR_LIST_EACH(node, &sim->datagrams) {
        struct weir_sim_datagram *to = WEIR_CONTAINER(node, struct weir_sim_datagram, node);
        if (!reaches(to, name))
            continue;
        if (multicast(name))
            post(sim, from, to, armed);
        else if (weir_sim_below(sim, ++count) == 0)
            drawn = to; /* of those that share the port one */
    }
    if (drawn != NULL)
        post(sim, from, drawn, armed);
}

void weir_sim_datagram_send(struct weir_sim_datagram *socket, struct weir_sim_op *op)
{
    const struct weir_io_op *armed = op->op;
    struct weir_sim_name name;
    uint64_t byte_count = weir_sim_iov_bytes(armed->iov, armed->iov_count);
    int result = weir_sim_name_read(op->io, armed->address, armed->address_bytes, &name);
    if (result == -ENETUNREACH && multicast(&name))
        result = 0;
    if (result == 0 && (socket->ghost || name.host >= op->io->sim->host_count))
        result = -ENETUNREACH;
    if (result == 0 && byte_count > DATAGRAM_BYTES_MAX)
        result = -EMSGSIZE;
    if (result == 0) {
        result = (int)byte_count;
        post_all(op->io->sim, socket, &name, armed);
    }
    socket->send = NULL;
    weir_sim_op_finish(op, result);
}

/* ---- Receiving ---- */

int weir_sim_datagram_recv(struct weir_sim_datagram *socket, struct weir_sim_op *op)
{
    struct weir_list *node = weir_list_pop_front(&socket->queue);
    if (node == NULL)
        return 0;
    struct weir_sim_packet *packet = WEIR_CONTAINER(node, struct weir_sim_packet, queue);
    socket->queued_bytes -= packet->byte_count;
    struct sockaddr_storage sender;
    socklen_t sender_bytes;
    weir_sim_name_write(&packet->sender, &sender, &sender_bytes);
    size_t byte_count = packet->byte_count < HAND_BYTES_MAX ? packet->byte_count : HAND_BYTES_MAX;
    uint8_t *bytes = malloc(byte_count + 1);
    WEIR_ASSERT(bytes != NULL);
    memcpy(bytes, packet->bytes, byte_count);
    struct weir_io_data data = {
        .bytes = bytes,
        .byte_count = byte_count,
        .sender = (const struct sockaddr *)&sender,
        .sender_bytes = sender_bytes,
        .truncated = byte_count < packet->byte_count,
    };
    weir_list_remove(&packet->node);
    free(packet);
    if (!weir_list_empty(&socket->queue))
        weir_sim_op_ready(op);
    weir_sim_op_hand(op, (int)byte_count, &data);
    memset(bytes, 0xdb, byte_count);
    free(bytes);
    return 1;
}

void weir_sim_datagram_close(struct weir_sim_datagram *socket)
{
    struct weir_list *node;
    socket->closed = true;
    while ((node = weir_list_pop_front(&socket->queue)) != NULL) {
        struct weir_sim_packet *packet = WEIR_CONTAINER(node, struct weir_sim_packet, queue);
        weir_list_remove(&packet->node);
        free(packet);
    }
}
