/*
 * runtime/post.c - events told later, here or on another reactor.
 *
 *     post to here          an event in the queue, run in a later turn in the order posted
 *     post elsewhere        one mail; up to 24 bytes travel in it, more in a buffer that the receiver sends home
 *     mail arrives          nothing waits and nobody queues: handlers are called from the ring slot itself;
 *                           else an event, which keeps the order of each sender
 *     the turn              pinned handlers are called, keyed and stealable ones get a delivery in their strand
 *
 * The receiving half is runtime/topics.c. Bounds: slots of the ring towards each reactor, WEIR_EVENTS_MAX events alive here. A post that finds no room changes
 * nothing and says -EAGAIN. Proof: tests/runtime/post_test.c.
 */
#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "runtime/handlers.h"
#include "runtime/mail.h"
#include "runtime/probe.h"

enum { MAIL_INLINE_BYTES = 24 };

static_assert(MAIL_INLINE_BYTES == sizeof((struct weir_mail){0}.post.inline_body), "what a mail holds");

/* An event is made: posting it gives it its id. */
static void note_post(struct weir_reactor *from, struct weir_event *event, uint32_t to)
{
    from->counters.events_posted++;
    event->id = weir_record_own(&from->recorder, WEIR_RECORD_POST, event->cause_id, event->topic.slot, to);
    WEIR_PROBE3(post, event->topic.slot, event->id, to);
}

/* One more copy of it. */
static void note_copy(struct weir_reactor *from, const struct weir_event *event, uint32_t to)
{
    from->counters.events_posted++;
    weir_record(&from->recorder, WEIR_RECORD_POST, event->id, event->cause_id, event->topic.slot, to);
    WEIR_PROBE3(post, event->topic.slot, event->id, to);
}

/* Posting here. */

/*
 * Where one handler alone listens and queues, the event goes to its strand at once; while older posts wait for the turn it
 * lines up behind them, since a strand's order is the order of posts. All else waits for the turn.
 */
static int post_here(struct weir_reactor *reactor, struct weir_event *event)
{
    struct weir_topics *topics = reactor->topics;
    struct weir_events *events = &topics->events;
    struct weir_roster *roster;
    struct weir_posted *posted;
    int result = weir_handlers_roster(topics, event->topic, &roster);
    if (__builtin_expect(result < 0, 0))
        return result;
    if (__builtin_expect(events->live >= events->live_max, 0))
        return -EAGAIN;
    result = weir_posted_make(reactor, event, NULL, 0, &posted);
    if (__builtin_expect(result < 0, 0))
        return result;
    note_post(reactor, event, reactor->index);
    posted->id = event->id;
    if (!roster->lone || events->first || weir_posted_deliver_to(reactor, roster->lone, posted) < 0)
        weir_posted_wait(events, posted);
    return 0;
}

int weir_topics_post_here(struct weir_reactor *reactor, struct weir_topic topic, bool keyed, uint64_t key,
                          uint64_t cause_id, const void *body, uint32_t body_bytes)
{
    struct weir_event event = {
        .cause_id = cause_id,
        .topic = topic,
        .body_bytes = body_bytes,
        .flags = keyed ? WEIR_EVENT_KEYED : 0,
        .key = keyed ? key : 0,
        .body = body,
    };
    return post_here(reactor, &event);
}

/* Posting elsewhere. */

/* `buffer` holds the body unless it is NULL. */
static void fill_mail(struct weir_mail *mail, const struct weir_event *event, struct weir_buffer *buffer)
{
    uint8_t flags = event->flags & WEIR_EVENT_KEYED ? WEIR_MAIL_KEYED : 0;
    if (buffer)
        flags |= WEIR_MAIL_BUFFER;
    mail->type = WEIR_MAIL_POST;
    mail->flags = flags;
    mail->spare = 0;
    mail->body_bytes = event->body_bytes;
    mail->id = event->id;
    mail->cause_id = event->cause_id;
    mail->post.topic = event->topic;
    mail->post.key = event->key;
    if (buffer)
        mail->post.buffer = buffer;
    else
        weir_body_copy(mail->post.inline_body, event->body, event->body_bytes);
}

/* Room for a body too long for a mail; NULL and 0: it fits. */
static int take_buffer(struct weir_reactor *from, const struct weir_event *event, struct weir_buffer **buffer_out)
{
    *buffer_out = NULL;
    if (event->body_bytes <= MAIL_INLINE_BYTES)
        return 0;
    if (event->body_bytes > WEIR_EVENT_BODY_MAX)
        return -EINVAL;
    *buffer_out = weir_buffer_take(from, event->body_bytes);
    return *buffer_out ? 0 : -ENOMEM;
}

static int post_there(struct weir_reactor *from, uint32_t to, struct weir_event *event)
{
    struct weir_buffer *buffer;
    int result = take_buffer(from, event, &buffer);
    if (result < 0)
        return result;
    /* weir_mail_reserve, but what fill_mail writes is not written twice. */
    struct weir_mail *mail = weir_mesh_reserve(from->mesh, from->index, to, WEIR_LANE_POST);
    if (__builtin_expect(!mail, 0)) {
        from->counters.mail_full++;
        if (buffer)
            weir_buffer_drop(from, buffer);
        return -EAGAIN;
    }
    from->counters.mail_sent++;
    note_post(from, event, to);
    if (buffer)
        memcpy(buffer->bytes, event->body, event->body_bytes);
    fill_mail(mail, event, buffer);
    return 0;
}

/* Posting to all: room everywhere first. */

static void nothing(struct weir_reactor *reactor, void *context)
{
    (void)reactor;
    (void)context;
}

/* A reserved slot cannot be given back, but it need not say anything. */
static void void_mails(struct weir_mail **mails, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!mails[i])
            continue;
        mails[i]->type = WEIR_MAIL_CALL;
        mails[i]->call.fn = nothing;
        mails[i]->call.context = NULL;
    }
}

static int reserve_all(struct weir_reactor *from, struct weir_mail **mails)
{
    for (uint32_t to = 0; to < from->count; to++)
        if (to != from->index && weir_mail_post_credit(from, to) == 0)
            return -EAGAIN;
    for (uint32_t to = 0; to < from->count; to++) {
        mails[to] = NULL;
        if (to == from->index)
            continue;
        mails[to] = weir_mail_reserve(from, to, WEIR_MAIL_POST, WEIR_LANE_POST);
        if (!mails[to]) { /* no memory for a ring that was never used */
            void_mails(mails, to);
            return -EAGAIN;
        }
    }
    return 0;
}

/* One buffer for all, counted by us. The hold of ours is dropped by the caller. */
static void send_all(struct weir_reactor *from, struct weir_mail **mails, const struct weir_event *event,
                     struct weir_buffer *buffer)
{
    for (uint32_t to = 0; to < from->count; to++) {
        if (!mails[to])
            continue;
        if (buffer)
            weir_buffer_hold(from, buffer);
        fill_mail(mails[to], event, buffer);
        note_copy(from, event, to);
    }
}

static int post_all(struct weir_reactor *from, struct weir_event *event)
{
    struct weir_mail *mails[WEIR_MESH_REACTORS_MAX];
    struct weir_buffer *buffer;
    int result = take_buffer(from, event, &buffer);
    if (result < 0)
        return result;
    result = reserve_all(from, mails);
    if (result == 0) {
        result = post_here(from, event);
        if (result < 0)
            void_mails(mails, from->count);
    }
    if (result == 0) {
        if (buffer)
            memcpy(buffer->bytes, event->body, event->body_bytes);
        send_all(from, mails, event, buffer);
    }
    if (buffer)
        weir_buffer_drop(from, buffer);
    return result;
}

/* The reactor of a key: the same for all who ask. */
static uint32_t reactor_of(uint64_t key, uint32_t count)
{
    return (uint32_t)(((weir_hash_u64(key, 0) >> 32) * count) >> 32);
}

static int post(struct weir_reactor *from, uint32_t to, struct weir_event *event)
{
    struct weir_here *here;
    int result = weir_handlers_here(from->topics, event->topic, &here);
    if (__builtin_expect(result < 0, 0))
        return result;
    event->cause_id = from->cause_id;
    if (to == WEIR_TO_KEY && event->flags & WEIR_EVENT_KEYED)
        to = reactor_of(event->key, from->count);
    if (to == WEIR_TO_HERE || to == from->index)
        return post_here(from, event);
    if (__builtin_expect(to < from->count, 1))
        return post_there(from, to, event);
    return to == WEIR_TO_ALL ? post_all(from, event) : -EINVAL;
}

int weir_post(struct weir_reactor *from, struct weir_topic topic, uint32_t to, const void *body, uint32_t body_bytes)
{
    struct weir_event event = {.topic = topic, .body_bytes = body_bytes, .body = body};
    return post(from, to, &event);
}

int weir_post_keyed(struct weir_reactor *from, struct weir_topic topic, uint32_t to, uint64_t key, const void *body,
                    uint32_t body_bytes)
{
    struct weir_event event = {
        .topic = topic,
        .body_bytes = body_bytes,
        .flags = WEIR_EVENT_KEYED,
        .key = key,
        .body = body,
    };
    return post(from, to, &event);
}

/* Waiting for room. */

/* Of several destinations: the first without room. Whoever is resumed tries again and may wait for the next. */
static uint32_t first_full(struct weir_reactor *from)
{
    for (uint32_t to = 0; to < from->count; to++)
        if (to != from->index && weir_mail_post_credit(from, to) == 0)
            return to;
    return from->index;
}

void weir_post_resume(struct weir_reactor *from, uint32_t to, struct weir_waiter *waiter)
{
    if (to == WEIR_TO_KEY || to == WEIR_TO_ALL)
        to = first_full(from);
    weir_mail_wait_post(from, to == WEIR_TO_HERE ? from->index : to, waiter);
}

void weir_post_resume_cancel(struct weir_reactor *from, struct weir_waiter *waiter)
{
    weir_mail_wait_cancel(from, waiter);
}
