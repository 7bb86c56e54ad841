/*
 * runtime/topics.c - the topics of a reactor as its turn sees them: mail that arrives, events that wait.
 *
 * Waiting events are told in order, a bounded helping each turn, and only those that waited when it began: what
 * handlers post meanwhile is for the next one. An event whose deliveries find no room stays first and is tried again.
 * Bounds: TURN_EVENTS and TURN_NS a turn. Proof: tests/runtime/post_test.c.
 */
#include "runtime/topics.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "runtime/handlers.h"
#include "runtime/mail.h"
#include "runtime/probe.h"
#include "runtime/runtime.h"

enum {
    TURN_EVENTS = 256,
    LOOK_EVERY = 16, /* events between two looks at the clock */
    TURN_NS = 500 * 1000,
};

int weir_topics_open(struct weir_reactor *reactor, struct weir_topics **topics_out)
{
    struct weir_topics *topics = calloc(1, sizeof *topics);
    if (!topics)
        return -ENOMEM;
    topics->reactor = reactor;
    topics->registry = reactor->runtime->registry;
    int result = weir_handlers_init(topics);
    if (result < 0) {
        free(topics);
        return result;
    }
    weir_events_init(&topics->events, reactor->buffers.bytes_max);
    *topics_out = topics;
    return 0;
}

void weir_topics_close(struct weir_reactor *reactor, struct weir_topics *topics)
{
    weir_handlers_deinit(topics);
    weir_events_deinit(reactor);
    free(topics);
    reactor->topics = NULL;
}

int weir_topic_open(struct weir_reactor *reactor, const char *name, struct weir_topic *topic_out)
{
    struct weir_path path;
    uint16_t ends[WEIR_PATH_PARTS_MAX];
    const struct weir_name *known;
    int result = weir_path_cut(&path, name, ends);
    if (result == 0)
        result = weir_registry_intern(reactor->topics->registry, &path, &known);
    if (result == 0)
        *topic_out = known->topic;
    return result;
}

const char *weir_topic_name(struct weir_reactor *reactor, struct weir_topic topic)
{
    const struct weir_name *name = weir_registry_at(reactor->topics->registry, topic.slot);
    return name && name->topic.generation == topic.generation ? name->path->text : NULL;
}

/* The pinned handlers, called from the turn. */
static void tell(struct weir_reactor *reactor, struct weir_roster *roster, const struct weir_event *event)
{
    weir_store(&reactor->handler_topic, event->topic.slot + 1, relaxed); /* a hint for the watchdog */
    reactor->last_topic = event->topic.slot;
    reactor->counters.events_dispatched++;
    weir_record_told(&reactor->recorder, event->id, event->topic.slot, WEIR_DISPATCH_PINNED);
    WEIR_PROBE2(dispatch, event->topic.slot, event->id);
    if (roster->count > 0)
        weir_handlers_call(reactor, roster, event);
    else if (roster->is_error)
        weir_handlers_unheard(reactor, event);
}

/* To everyone concerned. False: no room for its deliveries; nothing has happened, the event is the caller's. */
static bool dispatch(struct weir_reactor *reactor, struct weir_posted *posted)
{
    struct weir_topics *topics = reactor->topics;
    struct weir_roster *roster;
    if (weir_handlers_roster(topics, posted->topic, &roster) < 0)
        return false;
    if (roster->queueing > 0 && weir_posted_deliver(reactor, roster, posted) < 0)
        return false;
    bool all_queue = roster->queueing > 0 && roster->queueing == roster->count;
    if (!(posted->flags & WEIR_POSTED_EMITTED) && !all_queue) {
        const struct weir_event event = weir_posted_event(posted);
        tell(reactor, roster, &event);
    }
    weir_posted_drop(reactor, posted);
    return true;
}

/* Mail. */

/* The one way to lose an event: no memory for its place in the queue. Said and counted. */
static void lose(struct weir_reactor *reactor, const struct weir_event *event, struct weir_buffer *buffer)
{
    weir_reactor_log(reactor, WEIR_LOG_ERROR, "msg=\"no memory for a posted event\" reactor=%u event=%llx",
                     reactor->index, (unsigned long long)event->id);
    weir_record(&reactor->recorder, WEIR_RECORD_DROP, event->id, event->cause_id, WEIR_DROP_NO_MEMORY, 1);
    reactor->counters.events_dropped++;
    if (buffer)
        weir_buffer_drop(reactor, buffer);
}

static void keep(struct weir_reactor *reactor, const struct weir_event *event, struct weir_buffer *buffer)
{
    struct weir_events *events = &reactor->topics->events;
    struct weir_posted *posted;
    if (weir_posted_make(reactor, event, buffer, 0, &posted) < 0)
        lose(reactor, event, buffer);
    else if (events->first || !dispatch(reactor, posted))
        weir_posted_wait(events, posted);
}

static inline void fill_event(struct weir_event *event, const struct weir_mail *mail, const struct weir_buffer *buffer)
{
    event->id = mail->id;
    event->cause_id = mail->cause_id;
    event->topic = mail->post.topic;
    event->body_bytes = mail->body_bytes;
    event->flags = mail->flags & WEIR_EVENT_KEYED;
    event->key = mail->post.key;
    event->body = buffer ? buffer->bytes : mail->post.inline_body;
}

/* A post whose body is in the slot. */
static inline bool is_short(const struct weir_mail *mail)
{
    uint16_t head, mask = 0xffff ^ WEIR_MAIL_KEYED << 8;
    memcpy(&head, mail, sizeof head);
    return (head & mask) == (uint16_t)weir_mail_head(WEIR_MAIL_POST, 0, 0);
}

/*
 * Posts of one topic with one plain handler, which is called from the slots: what a run has in common is looked at once. A
 * handler that posts here ends it, for what comes then is younger; one that changes who listens ends it too. First come,
 * first told; how many were.
 */
static __attribute__((noinline)) uint32_t tell_run(struct weir_reactor *reactor, const struct weir_roster *roster,
                                                   const struct weir_mail *first, const struct weir_mail *end)
{
    struct weir_posted *const *waiting = &reactor->topics->events.first;
    uint64_t topic = weir_topic_word(roster->plain), cause_id = reactor->cause_id;
    const struct weir_mail *mail = first;
    struct weir_told told = {0};
    while (mail < end && is_short(mail) && weir_topic_word(mail->post.topic) == topic && !*waiting) {
        struct weir_event event;
        uint64_t id = mail->id;
        fill_event(&event, mail, NULL);
        reactor->counters.events_dispatched++;
        reactor->cause_id = id;
        weir_record_told_next(&reactor->recorder, &told, id, (uint32_t)topic, WEIR_DISPATCH_PINNED);
        WEIR_PROBE2(dispatch, (uint32_t)topic, id);
        mail++;
        roster->calls->fn(reactor, &event, roster->calls->context);
        if (__builtin_expect(roster->plain.generation == 0, 0)) {
            weir_handlers_call_rest(reactor, roster, 1, &event, cause_id);
            break;
        }
    }
    reactor->cause_id = cause_id;
    return (uint32_t)(mail - first);
}

static bool takes_mail(const struct weir_reactor *reactor)
{
    const struct weir_events *events = &reactor->topics->events;
    return events->live < events->live_max;
}

/* One that does not go the short way. */
static void on_post(struct weir_reactor *reactor, const struct weir_mail *mail)
{
    struct weir_topics *topics = reactor->topics;
    struct weir_buffer *buffer = mail->flags & WEIR_MAIL_BUFFER ? mail->post.buffer : NULL;
    struct weir_roster *roster;
    struct weir_event event;
    fill_event(&event, mail, buffer);
    int result = weir_handlers_roster(topics, event.topic, &roster);
    if (result < 0 || topics->events.first || roster->queueing > 0) {
        keep(reactor, &event, buffer);
        return;
    }
    tell(reactor, roster, &event);
    if (buffer)
        weir_buffer_drop(reactor, buffer);
}

uint32_t weir_topics_on_posts(struct weir_reactor *reactor, const struct weir_mail *mails, uint32_t count)
{
    const struct weir_mail *mail = mails, *end = mails + count;
    while (mail < end && mail->type == WEIR_MAIL_POST && takes_mail(reactor)) {
        struct weir_topic topic = mail->post.topic;
        const struct weir_roster *roster = weir_handlers_roster_ready(reactor->topics, topic);
        uint32_t told = 0;
        if (roster && roster->count == 1 && roster->plain.generation != 0) {
            weir_store(&reactor->handler_topic, topic.slot + 1, relaxed); /* a hint for the watchdog */
            reactor->last_topic = topic.slot;
            told = tell_run(reactor, roster, mail, end);
        }
        mail += told;
        if (told == 0)
            on_post(reactor, mail++);
    }
    return (uint32_t)(mail - mails);
}

/* The turn. */

static struct weir_posted *take_first(struct weir_events *events)
{
    struct weir_posted *posted = events->first;
    events->first = weir_posted_of(posted->task.next);
    weir_line_fetch((uintptr_t)events->first);
    events->waiting--;
    return posted;
}

static void put_first(struct weir_events *events, struct weir_posted *posted)
{
    posted->task.next = weir_task_of(events->first);
    if (!events->first)
        events->last = posted;
    events->first = posted;
    events->waiting++;
}

static bool time_is_up(struct weir_reactor *reactor, uint32_t done)
{
    return done % LOOK_EVERY == 0 && weir_io_now_ns(reactor->io) - reactor->now_ns > TURN_NS;
}

static uint32_t run_waiting(struct weir_reactor *reactor)
{
    struct weir_events *events = &reactor->topics->events;
    uint32_t helping = events->waiting < TURN_EVENTS ? events->waiting : TURN_EVENTS;
    uint32_t done = 0;
    while (done < helping) {
        struct weir_posted *posted = take_first(events);
        if (!dispatch(reactor, posted)) {
            put_first(events, posted);
            break;
        }
        if (time_is_up(reactor, ++done))
            break;
    }
    return done;
}

uint32_t weir_topics_run(struct weir_reactor *reactor, bool *more_out)
{
    struct weir_topics *topics = reactor->topics;
    uint32_t done = topics->events.first ? run_waiting(reactor) : 0;
    if (reactor->settle_asked)
        weir_handlers_settle(topics);
    *more_out = topics->events.first != NULL;
    return done;
}

bool weir_topics_idle(const struct weir_reactor *reactor)
{
    const struct weir_topics *topics = reactor->topics;
    if (topics->events.first || reactor->settle_asked || topics->events.live >= topics->events.live_max)
        return false;
    return reactor->state != WEIR_REACTOR_DRAINING || topics->events.live == 0;
}

bool weir_topics_has_room(const struct weir_reactor *reactor)
{
    const struct weir_events *events = &reactor->topics->events;
    return events->live <= events->live_max / 2;
}
