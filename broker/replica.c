/*
 * broker/replica.c - every reactor knows every reactor's counts.
 *
 * Each part numbers the changes of its own counts. A change is told as the absolute count, so telling twice is harmless and
 * a name that changed again before it was told is told once: the names to tell are a list in order of version, each name at
 * most once on it. Every peer has been told up to sent_version; without credit the telling stops there and goes on later,
 * and nothing is queued. A peer acknowledges the last version it has seen, once a turn; that needs one reply slot.
 *
 *     part A                                        part B
 *     count of N is 3 (version 17)
 *     INSTALL {N, 3, 17}  ---- request lane ----->  counts[A] of N = 3; received = 17
 *                         <----- reply lane ------  INSTALLED {17}, at the end of B's turn
 *     acked[B] = 17; all peers >= 17: installed
 *
 * Order does the rest: B's publishes that counted N travel behind, on the same ring as B's answer.
 * Bounded by the number of names. Proof: tests/broker/replica_test.c.
 */
#include <string.h>

#include "broker/part.h"

enum { INLINE_NAME_BYTES = 24, COUNT_WORD = 1, PAUSED_BIT = 32, KIND_SHIFT = 40 };

static struct weir_name *name_of(struct weir_list *change)
{
    return WEIR_CONTAINER(change, struct weir_name, change);
}

void weir_replica_changed(struct weir_part *part, struct weir_name *name)
{
    name->version = ++part->version;
    if (part->reactor->count == 1)
        return;
    weir_list_remove(&name->change);
    weir_list_push_back(&part->changes, &name->change);
    weir_reactor_arm_hook(part->reactor, &part->hook);
}

/* Beside the words, or in the buffer. */
static void put_name(struct weir_mail *mail, const struct weir_name *name, struct weir_buffer *buffer)
{
    mail->body_bytes = (uint32_t)name->bytes.byte_count;
    if (buffer) {
        mail->flags = WEIR_MAIL_BUFFER;
        mail->words[2] = (uint64_t)(uintptr_t)buffer;
    }
    if (mail->body_bytes > 0)
        memcpy(buffer ? (void *)buffer->bytes : (void *)&mail->words[2], name->bytes.bytes, mail->body_bytes);
}

static bool tell(struct weir_part *part, struct weir_peer *peer, const struct weir_name *name)
{
    struct weir_reactor *reactor = part->reactor;
    struct weir_buffer *buffer = NULL;
    if (weir_mail_credit(reactor, peer->reactor) == 0)
        return false;
    if (name->bytes.byte_count > INLINE_NAME_BYTES && !(buffer = weir_buffer_take(reactor, name->bytes.byte_count)))
        return false;
    struct weir_mail *mail = weir_mail_reserve(reactor, peer->reactor, WEIR_MAIL_INSTALL, WEIR_LANE_REQUEST);
    if (!mail) {
        if (buffer)
            weir_buffer_drop(reactor, buffer);
        return false;
    }
    uint32_t self = reactor->index;
    uint64_t paused = weir_reactor_set_has(&name->paused, self);
    mail->words[0] = name->version;
    mail->words[COUNT_WORD] = name->counts[self] | paused << PAUSED_BIT | (uint64_t)name->kind << KIND_SHIFT;
    part->counters.installs_sent++;
    put_name(mail, name, buffer);
    return true;
}

static void on_credit(struct weir_reactor *reactor, void *context)
{
    struct weir_peer *peer = context;
    weir_reactor_arm_hook(reactor, &peer->part->hook);
}

static void tell_peer(struct weir_part *part, struct weir_peer *peer)
{
    WEIR_LIST_EACH(node, &part->changes)
    {
        struct weir_name *name = name_of(node);
        if (name->version <= peer->sent_version)
            continue;
        if (!tell(part, peer, name)) {
            if (!peer->waiter.next)
                weir_mail_wait(part->reactor, peer->reactor, &peer->waiter);
            return;
        }
        peer->sent_version = name->version;
    }
}

static uint64_t least(const struct weir_part *part, bool acked)
{
    uint64_t version = UINT64_MAX;
    for (uint32_t i = 0; i < part->reactor->count; i++) {
        if (i == part->reactor->index)
            continue;
        uint64_t peers = acked ? part->peers[i].acked_version : part->peers[i].sent_version;
        if (peers < version)
            version = peers;
    }
    return version;
}

uint64_t weir_replica_acked(const struct weir_part *part)
{
    return least(part, true);
}

static void forget_told(struct weir_part *part)
{
    uint64_t told = least(part, false);
    while (!weir_list_empty(&part->changes)) {
        struct weir_name *name = name_of(part->changes.next);
        if (name->version > told)
            return;
        weir_list_remove(&name->change);
        weir_names_release(&part->names, name);
    }
}

static bool answer_peer(struct weir_part *part, struct weir_peer *peer)
{
    if (peer->answered_version == peer->received_version)
        return true;
    struct weir_mail *mail = weir_mail_reserve(part->reactor, peer->reactor, WEIR_MAIL_INSTALLED, WEIR_LANE_REPLY);
    if (!mail)
        return false; /* a later answer says as much */
    mail->words[0] = peer->received_version;
    peer->answered_version = peer->received_version;
    return true;
}

static void on_hook(struct weir_reactor *reactor, struct weir_turn_hook *hook)
{
    struct weir_part *part = WEIR_CONTAINER(hook, struct weir_part, hook);
    bool answered = true;
    if (part->wake_paused)
        weir_publish_resume_paused(part);
    for (uint32_t i = 0; i < reactor->count; i++) {
        if (i == reactor->index)
            continue;
        tell_peer(part, &part->peers[i]);
        answered &= answer_peer(part, &part->peers[i]);
    }
    forget_told(part);
    if (!answered)
        weir_reactor_arm_hook(reactor, &part->hook);
}

void weir_replica_init(struct weir_part *part)
{
    weir_list_init(&part->changes);
    weir_list_init(&part->installing);
    weir_list_init(&part->hook.node);
    part->hook.fn = on_hook;
    for (uint32_t i = 0; i < part->reactor->count; i++)
        part->peers[i] = (struct weir_peer){
            .part = part, .reactor = i, .waiter = {.resume = on_credit, .context = &part->peers[i]}};
}

void weir_replica_on_install(struct weir_reactor *reactor, uint32_t from, const struct weir_mail *mail)
{
    struct weir_part *part = weir_part(reactor);
    struct weir_buffer *buffer = NULL;
    struct weir_slice bytes = {(const uint8_t *)&mail->words[2], mail->body_bytes};
    if (mail->flags & WEIR_MAIL_BUFFER) {
        buffer = (struct weir_buffer *)(uintptr_t)mail->words[2];
        bytes.bytes = buffer->bytes;
    }
    enum weir_name_kind kind = (enum weir_name_kind)(mail->words[COUNT_WORD] >> KIND_SHIFT);
    bool paused = mail->words[COUNT_WORD] >> PAUSED_BIT & 1;
    struct weir_name *name = weir_names_get(&part->names, kind, bytes);
    WEIR_ASSERT(name != NULL); /* a table that is not whole would count wrong for ever */
    bool was_paused = weir_reactor_set_any(&name->paused);
    weir_names_set_count(&part->names, name, from, (uint32_t)mail->words[COUNT_WORD], paused);
    if (was_paused && !weir_reactor_set_any(&name->paused))
        weir_publish_wake_paused(part);
    weir_names_release(&part->names, name);
    if (buffer)
        weir_buffer_drop(reactor, buffer);
    part->peers[from].received_version = mail->words[0];
    part->counters.installs_received++;
    weir_reactor_arm_hook(reactor, &part->hook);
}

void weir_replica_on_installed(struct weir_reactor *reactor, uint32_t from, const struct weir_mail *mail)
{
    struct weir_part *part = weir_part(reactor);
    part->peers[from].acked_version = mail->words[0];
    uint64_t acked = weir_replica_acked(part);
    while (!weir_list_empty(&part->installing)) {
        struct weir_subscriber *first = WEIR_CONTAINER(part->installing.next, struct weir_subscriber, installing);
        if (first->installing_version > acked)
            return;
        weir_list_remove(&first->installing);
        first->on_installed(first);
    }
}
