/*
 * runtime/mail.c - messages between reactors: reserved in place, shown when the turn ends.
 *
 * Waiting for credit costs nothing until somebody waits: then the turn looks at the credit of those destinations
 * only, and the mesh is asked to wake this reactor when it comes back. Who waits to post stands apart: it is another ring,
 * and a full one says nothing about the other.
 * Proof: tests/runtime/mail_test.c; the wake in tests/ring/sleep_model.c.
 */
#include "runtime/mail.h"

#include <errno.h>

#include "runtime/probe.h"
#include "runtime/runtime.h"
#include "runtime/topics.h"

void weir_mail_handle(struct weir_runtime *runtime, uint8_t type, weir_mail_fn fn)
{
    WEIR_ASSERT(!runtime->started);
    WEIR_ASSERT(type > WEIR_MAIL_NONE && type < WEIR_MAIL_TYPES);
    WEIR_ASSERT(!runtime->mail_handlers[type]);
    runtime->mail_handlers[type] = fn;
}

struct weir_mail *weir_mail_reserve(struct weir_reactor *from, uint32_t to, uint8_t type, enum weir_mesh_lane lane)
{
    WEIR_ASSERT(to < from->count);
    WEIR_ASSERT(to != from->index);
    WEIR_ASSERT((type == WEIR_MAIL_POST) == (lane == WEIR_LANE_POST));
    struct weir_mail *mail = weir_mesh_reserve(from->mesh, from->index, to, lane);
    if (!mail) {
        from->counters.mail_full++;
        return NULL;
    }
    mail->type = type;
    mail->flags = 0;
    mail->spare = 0;
    mail->body_bytes = 0;
    mail->id = 0;
    mail->cause_id = from->cause_id;
    from->counters.mail_sent++;
    return mail;
}

uint32_t weir_mail_credit(struct weir_reactor *from, uint32_t to)
{
    return weir_mesh_credit(from->mesh, from->index, to, WEIR_LANE_REQUEST);
}

uint32_t weir_mail_post_credit(struct weir_reactor *from, uint32_t to)
{
    return weir_mesh_credit(from->mesh, from->index, to, WEIR_LANE_POST);
}

static struct weir_waiter *waiters_of(struct weir_reactor *reactor, uint32_t to, enum weir_mesh_lane lane)
{
    return &reactor->waiters[lane == WEIR_LANE_POST ? reactor->count + to : to];
}

static void wait_for(struct weir_reactor *from, uint32_t to, enum weir_mesh_lane lane, struct weir_waiter *waiter)
{
    WEIR_ASSERT(to < from->count);
    WEIR_ASSERT(!waiter->next); /* not waiting already */
    struct weir_waiter *head = waiters_of(from, to, lane);
    if (head->next == head) {
        weir_record(&from->recorder, WEIR_RECORD_PAUSE, 0, from->cause_id, to, 0);
        WEIR_PROBE2(pause, from->index, to);
    }
    waiter->next = head;
    waiter->prev = head->prev;
    head->prev->next = waiter;
    head->prev = waiter;
    from->waiting_count++;
    if (to != from->index)
        weir_mesh_want_credit(from->mesh, from->index, to, lane);
}

void weir_mail_wait(struct weir_reactor *from, uint32_t to, struct weir_waiter *waiter)
{
    wait_for(from, to, WEIR_LANE_REQUEST, waiter);
}

void weir_mail_wait_post(struct weir_reactor *from, uint32_t to, struct weir_waiter *waiter)
{
    wait_for(from, to, WEIR_LANE_POST, waiter);
}

void weir_mail_wait_cancel(struct weir_reactor *from, struct weir_waiter *waiter)
{
    if (!waiter->next)
        return;
    waiter->prev->next = waiter->next;
    waiter->next->prev = waiter->prev;
    waiter->next = waiter->prev = NULL;
    from->waiting_count--;
}

/* Enough that a resumed source gets somewhere before it is out of credit again. */
static bool worth_resuming(struct weir_reactor *reactor, uint32_t to, enum weir_mesh_lane lane)
{
    if (to == reactor->index)
        return weir_topics_has_room(reactor);
    return weir_mesh_credit(reactor->mesh, reactor->index, to, lane) >= weir_mesh_slots(reactor->mesh) / 4;
}

static uint32_t resume_those(struct weir_reactor *reactor, uint32_t to, enum weir_mesh_lane lane)
{
    /* Whoever waits again while being resumed joins a new list: each is called once a turn at most. */
    struct weir_waiter *head = waiters_of(reactor, to, lane);
    if (head->next == head)
        return 0;
    struct weir_waiter *last = head->prev;
    uint32_t resumed = 0;
    for (bool more = true; more && head->next != head && worth_resuming(reactor, to, lane); resumed++) {
        struct weir_waiter *waiter = head->next;
        more = waiter != last;
        weir_mail_wait_cancel(reactor, waiter);
        waiter->resume(reactor, waiter->context);
    }
    if (head->next != head && to != reactor->index)
        weir_mesh_want_credit(reactor->mesh, reactor->index, to, lane);
    return resumed;
}

uint32_t weir_mail_resume(struct weir_reactor *reactor)
{
    uint32_t resumed = 0;
    for (uint32_t to = 0; reactor->waiting_count > 0 && to < reactor->count; to++) {
        resumed += resume_those(reactor, to, WEIR_LANE_REQUEST);
        resumed += resume_those(reactor, to, WEIR_LANE_POST);
    }
    return resumed;
}

int weir_mail_call(struct weir_reactor *from, uint32_t to, void (*fn)(struct weir_reactor *, void *), void *context)
{
    if (to == from->index) {
        fn(from, context);
        return 0;
    }
    struct weir_mail *mail = weir_mail_reserve(from, to, WEIR_MAIL_CALL, WEIR_LANE_REQUEST);
    if (!mail)
        return -EAGAIN;
    mail->call.fn = fn;
    mail->call.context = context;
    return 0;
}
