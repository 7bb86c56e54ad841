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
#include "ring/spsc.h"
#include "runtime/handlers.h"
#include "runtime/mail.h"
#include "runtime/probe.h"

enum { MAIL_INLINE_BYTES = 24 };

static_assert(MAIL_INLINE_BYTES == sizeof((struct weir_mail){0}.post.inline_body), "what a mail holds");

/*
 * What is posted, in registers all the way: an event laid out in memory to be copied at once would be read back before it
 * has been written.
 */
struct posting {
    struct weir_topic topic;
    uint64_t key;
    const void *body;
    uint32_t body_bytes;
    uint32_t flags; /* WEIR_EVENT_KEYED */
};

#define INLINED static inline __attribute__((always_inline))

/* An event is made: posting it gives it its id. */
INLINED uint64_t note_post(struct weir_reactor *from, uint32_t slot, uint64_t cause_id, uint32_t to)
{
    from->counters.events_posted++;
    uint64_t id = weir_record_own(&from->recorder, WEIR_RECORD_POST, cause_id, slot, to);
    WEIR_PROBE3(post, slot, id, to);
    return id;
}

/* One more copy of it. */
static void note_copy(struct weir_reactor *from, uint32_t slot, uint64_t id, uint32_t to)
{
    from->counters.events_posted++;
    weir_record(&from->recorder, WEIR_RECORD_POST, id, from->cause_id, slot, to);
    WEIR_PROBE3(post, slot, id, to);
}

/* Posting here. */

/*
 * Where one handler alone listens and queues, the event goes to its strand at once; while older posts wait for the turn it
 * lines up behind them, since a strand's order is the order of posts. All else waits for the turn.
 */
INLINED int post_here(struct weir_reactor *reactor, struct posting what, uint64_t cause_id)
{
    struct weir_topics *topics = reactor->topics;
    struct weir_events *events = &topics->events;
    struct weir_roster *roster;
    int result = weir_handlers_roster(topics, what.topic, &roster);
    if (__builtin_expect(result < 0, 0))
        return result;
    if (__builtin_expect(events->live >= events->live_max, 0))
        return -EAGAIN;
    if (__builtin_expect(what.body_bytes > WEIR_EVENT_BODY_MAX, 0))
        return -EINVAL;
    struct weir_posted *posted = weir_posted_take(events);
    if (__builtin_expect(!posted, 0))
        return -ENOMEM;
    weir_posted_head(posted, what.body_bytes, what.flags);
    posted->cause_id = cause_id;
    posted->topic = what.topic;
    posted->key = what.key;
    if (__builtin_expect(weir_posted_copy_body(reactor, posted, what.body) < 0, 0))
        return -ENOMEM;
    posted->id = note_post(reactor, what.topic.slot, cause_id, reactor->index);
    bool keyed = what.flags & WEIR_EVENT_KEYED;
    if (!roster->lone || events->first ||
        weir_handlers_queue(reactor, roster->lone, keyed, what.key, &posted->task) < 0)
        weir_posted_wait(events, posted);
    return 0;
}

int weir_topics_post_here(struct weir_reactor *reactor, struct weir_topic topic, bool keyed, uint64_t key,
                          uint64_t cause_id, const void *body, uint32_t body_bytes)
{
    struct posting what = {topic, keyed ? key : 0, body, body_bytes, keyed ? WEIR_EVENT_KEYED : 0};
    return post_here(reactor, what, cause_id);
}

/* Posting elsewhere. */

/* `buffer` holds the body unless it is NULL. */
INLINED void fill_mail(struct weir_mail *mail, struct posting what, uint64_t id, uint64_t cause_id, struct weir_buffer *buffer)
{
    uint64_t head = weir_mail_head(WEIR_MAIL_POST, what.flags | (buffer ? WEIR_MAIL_BUFFER : 0), what.body_bytes);
    memcpy(mail, &head, sizeof head);
    mail->id = id;
    mail->cause_id = cause_id;
    mail->post.topic = what.topic;
    mail->post.key = what.key;
    if (buffer)
        mail->post.buffer = buffer;
    else
        weir_body_copy(mail->post.inline_body, what.body, what.body_bytes);
}

/* Room for a body too long for a mail; NULL and 0: it fits. */
static int take_buffer(struct weir_reactor *from, uint32_t body_bytes, struct weir_buffer **buffer_out)
{
    *buffer_out = NULL;
    if (body_bytes <= MAIL_INLINE_BYTES)
        return 0;
    if (body_bytes > WEIR_EVENT_BODY_MAX)
        return -EINVAL;
    *buffer_out = weir_buffer_take(from, body_bytes);
    return *buffer_out ? 0 : -ENOMEM;
}

/* Of a burst. */
INLINED int send_mail(struct weir_reactor *from, struct posting what, struct weir_buffer *buffer)
{
    struct weir_mail *mail = weir_ring_reserve_sized(from->burst.ring, WEIR_MESH_SLOT_BYTES, 0);
    if (__builtin_expect(!mail, 0)) {
        from->counters.mail_full++;
        return -EAGAIN;
    }
    uint64_t cause_id = from->cause_id;
    from->counters.mail_sent++;
    fill_mail(mail, what, note_post(from, what.topic.slot, cause_id, from->burst.to), cause_id, buffer);
    return 0;
}

static int send_long(struct weir_reactor *from, struct posting what)
{
    struct weir_buffer *buffer;
    int result = take_buffer(from, what.body_bytes, &buffer);
    if (result < 0)
        return result;
    memcpy(buffer->bytes, what.body, what.body_bytes);
    result = send_mail(from, what, buffer);
    if (result < 0)
        weir_buffer_drop(from, buffer);
    return result;
}

/* The first of a burst. */
static int post_there(struct weir_reactor *from, uint32_t to, struct posting what)
{
    struct weir_here *here;
    int result = weir_handlers_here(from->topics, what.topic, &here);
    if (result < 0)
        return result;
    from->burst = (struct weir_burst){weir_mesh_open_burst(from->mesh, from->index, to), what.topic, to};
    if (!from->burst.ring) {
        from->counters.mail_full++;
        return -EAGAIN;
    }
    return what.body_bytes > MAIL_INLINE_BYTES ? send_long(from, what) : send_mail(from, what, NULL);
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
static void send_all(struct weir_reactor *from, struct weir_mail **mails, struct posting what, uint64_t id,
                     struct weir_buffer *buffer)
{
    for (uint32_t to = 0; to < from->count; to++) {
        if (!mails[to])
            continue;
        if (buffer)
            weir_buffer_hold(from, buffer);
        fill_mail(mails[to], what, id, from->cause_id, buffer);
        note_copy(from, what.topic.slot, id, to);
    }
}

static int post_all(struct weir_reactor *from, struct posting what)
{
    struct weir_mail *mails[WEIR_MESH_REACTORS_MAX];
    struct weir_buffer *buffer;
    int result = take_buffer(from, what.body_bytes, &buffer);
    if (result < 0)
        return result;
    result = reserve_all(from, mails);
    uint64_t id = weir_load(&from->recorder.next, relaxed); /* what the post here will be */
    if (result == 0) {
        result = post_here(from, what, from->cause_id);
        if (result < 0)
            void_mails(mails, from->count);
    }
    if (result == 0) {
        if (buffer)
            memcpy(buffer->bytes, what.body, what.body_bytes);
        send_all(from, mails, what, id, buffer);
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

INLINED int post_to(struct weir_reactor *from, struct posting what, uint32_t to)
{
    if (to == WEIR_TO_HERE || to == from->index)
        return post_here(from, what, from->cause_id);
    if (to < from->count)
        return post_there(from, to, what);
    return to == WEIR_TO_ALL ? post_all(from, what) : -EINVAL;
}

static __attribute__((noinline)) int post_otherwise(struct weir_reactor *from, struct weir_topic topic, uint32_t to,
                                                    const void *body, uint32_t body_bytes)
{
    return post_to(from, (struct posting){topic, 0, body, body_bytes, 0}, to);
}

static __attribute__((noinline)) int post_keyed_otherwise(struct weir_reactor *from, struct weir_topic topic, uint32_t to,
                                                          uint64_t key, const void *body, uint32_t body_bytes)
{
    return post_to(from, (struct posting){topic, key, body, body_bytes, WEIR_EVENT_KEYED}, to);
}

/* One more of a burst, written into its slot and nowhere else. */
INLINED bool goes_on(const struct weir_reactor *from, struct weir_topic topic, uint32_t to, uint32_t body_bytes)
{
    return from->burst.ring && to == from->burst.to && body_bytes <= MAIL_INLINE_BYTES &&
           weir_topic_word(topic) == weir_topic_word(from->burst.topic);
}

int weir_post(struct weir_reactor *from, struct weir_topic topic, uint32_t to, const void *body, uint32_t body_bytes)
{
    if (__builtin_expect(!goes_on(from, topic, to, body_bytes), 0))
        return post_otherwise(from, topic, to, body, body_bytes);
    return send_mail(from, (struct posting){topic, 0, body, body_bytes, 0}, NULL);
}

int weir_post_keyed(struct weir_reactor *from, struct weir_topic topic, uint32_t to, uint64_t key, const void *body,
                    uint32_t body_bytes)
{
    if (to == WEIR_TO_KEY)
        to = reactor_of(key, from->count);
    if (__builtin_expect(!goes_on(from, topic, to, body_bytes), 0))
        return post_keyed_otherwise(from, topic, to, key, body, body_bytes);
    return send_mail(from, (struct posting){topic, key, body, body_bytes, WEIR_EVENT_KEYED}, NULL);
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
