/*
 * runtime/event.c - memory of waiting events, their way through the scheduler, and their end.
 *
 * Events and deliveries come from slabs that are never given back before close, so that after warm-up nothing is
 * allocated. Bounds: WEIR_EVENTS_MAX events or the reactor's share of memory, whichever is less; deliveries by events
 * times the handlers that queue. Proof: tests/runtime/post_test.c (each event ends once, bodies go home, no allocation).
 */
#include "runtime/event.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/handlers.h"
#include "runtime/probe.h"

enum {
    SLAB_BYTES = 16384,
    EVENTS_MIN = 64,
    MEMORY_SHARE = 8, /* waiting events may take an eighth of the reactor's memory */
};

struct weir_slab {
    _Alignas(WEIR_LINE_BYTES) struct weir_slab *next;
};

static_assert(sizeof(struct weir_slab) + WEIR_SLAB_EVENTS * 2 * WEIR_LINE_BYTES <= SLAB_BYTES, "what a slab holds");
static_assert(sizeof(struct weir_beside) == WEIR_LINE_BYTES, "one line");
static_assert(offsetof(struct weir_delivery, task) == 0 && offsetof(struct weir_posted, task) == 0, "a task is its delivery, or its event");
static_assert(offsetof(struct weir_posted, task) == 0, "or its event");

void weir_events_init(struct weir_events *events, uint64_t memory_bytes)
{
    uint64_t most = memory_bytes / MEMORY_SHARE / (2 * WEIR_LINE_BYTES);
    *events = (struct weir_events){.live_max = WEIR_EVENTS_MAX};
    if (most < WEIR_EVENTS_MAX)
        events->live_max = most < EVENTS_MIN ? EVENTS_MIN : (uint32_t)most;
}

void weir_events_deinit(struct weir_reactor *reactor)
{
    struct weir_events *events = &reactor->topics->events;
    while (events->first) {
        struct weir_posted *posted = events->first;
        events->first = weir_posted_of(posted->task.next);
        if (posted->flags & WEIR_POSTED_BUFFER)
            weir_buffer_drop(reactor, posted->buffer);
    }
    while (events->slabs) {
        struct weir_slab *slab = events->slabs;
        events->slabs = slab->next;
        free(slab);
    }
}

static char *new_slab(struct weir_events *events)
{
    struct weir_slab *slab = aligned_alloc(WEIR_LINE_BYTES, SLAB_BYTES);
    if (!slab)
        return NULL;
    slab->next = events->slabs;
    events->slabs = slab;
    return (char *)(slab + 1);
}

struct weir_posted *weir_posted_take_new(struct weir_events *events)
{
    struct weir_posted *made = (struct weir_posted *)(void *)new_slab(events);
    if (!made)
        return NULL;
    for (uint32_t left = WEIR_SLAB_EVENTS; left > 0; left--, made++) {
        made->task.next = weir_task_of(events->free);
        events->free = made;
    }
    return weir_posted_take(events);
}

static void give_posted(struct weir_events *events, struct weir_posted *posted)
{
    WEIR_ASSERT(events->live > 0);
    posted->task.next = weir_task_of(events->free);
    events->free = posted;
    events->live--;
}

static struct weir_delivery *take_delivery(struct weir_events *events)
{
    if (!events->free_deliveries) {
        struct weir_delivery *made = (struct weir_delivery *)(void *)new_slab(events);
        if (!made)
            return NULL;
        for (size_t left = (SLAB_BYTES - sizeof(struct weir_slab)) / sizeof *made; left > 0; left--, made++) {
            made->task.next = events->free_deliveries;
            events->free_deliveries = &made->task;
        }
    }
    struct weir_delivery *delivery = (struct weir_delivery *)(void *)events->free_deliveries;
    events->free_deliveries = delivery->task.next;
    return delivery;
}

static void give_delivery(struct weir_events *events, struct weir_delivery *delivery)
{
    delivery->task.next = events->free_deliveries;
    events->free_deliveries = &delivery->task;
}

int weir_posted_copy_far(struct weir_reactor *reactor, struct weir_posted *posted, const void *body)
{
    uint32_t bytes = posted->body_bytes;
    if (posted->flags & WEIR_POSTED_BESIDE) {
        memcpy(weir_posted_beside(posted)->body, body, bytes);
        return 0;
    }
    posted->buffer = weir_buffer_take(reactor, bytes);
    if (!posted->buffer) {
        give_posted(&reactor->topics->events, posted);
        return -ENOMEM;
    }
    memcpy(posted->buffer->bytes, body, bytes);
    return 0;
}

/* Its number is beside it. */
static void say_emitted(struct weir_posted *posted)
{
    if (posted->flags & WEIR_POSTED_BESIDE)
        posted->flags ^= WEIR_POSTED_BESIDE | WEIR_POSTED_BUFFER;
}

int weir_posted_make(struct weir_reactor *reactor, const struct weir_event *event, struct weir_buffer *buffer,
                     uint32_t flags, struct weir_posted **posted_out)
{
    if (event->body_bytes > WEIR_EVENT_BODY_MAX)
        return -EINVAL;
    struct weir_posted *posted = weir_posted_take(&reactor->topics->events);
    if (!posted)
        return -ENOMEM;
    weir_posted_head(posted, buffer ? 0 : event->body_bytes, event->flags | flags | (buffer ? WEIR_POSTED_BUFFER : 0));
    posted->body_bytes = event->body_bytes & ((1u << 25) - 1);
    posted->id = event->id;
    posted->cause_id = event->cause_id;
    posted->topic = event->topic;
    posted->key = event->key;
    posted->buffer = buffer;
    if (flags & WEIR_POSTED_EMITTED)
        say_emitted(posted);
    if (!buffer && weir_posted_copy_body(reactor, posted, event->body) < 0)
        return -ENOMEM;
    *posted_out = posted;
    return 0;
}

void weir_posted_drop(struct weir_reactor *reactor, struct weir_posted *posted)
{
    WEIR_ASSERT(posted->holds > 0);
    if (--posted->holds > 0)
        return;
    if (posted->flags & WEIR_POSTED_BUFFER)
        weir_buffer_drop(reactor, posted->buffer);
    give_posted(&reactor->topics->events, posted);
}

void weir_posted_wait(struct weir_events *events, struct weir_posted *posted)
{
    posted->task.next = NULL;
    if (events->first)
        events->last->task.next = &posted->task;
    else
        events->first = posted;
    events->last = posted;
    events->waiting++;
}

/* Queueing. */

static int queue_task(struct weir_reactor *reactor, struct weir_handler *handler, const struct weir_posted *posted,
                      struct weir_task *task)
{
    return weir_handlers_queue(reactor, handler, posted->flags & WEIR_EVENT_KEYED, posted->key, task);
}

static int deliver_share(struct weir_reactor *reactor, struct weir_handler *handler, struct weir_posted *posted,
                         struct weir_delivery **made)
{
    struct weir_events *events = &reactor->topics->events;
    struct weir_delivery *delivery = take_delivery(events);
    if (!delivery)
        return -ENOMEM;
    delivery->flags = WEIR_POSTED_DELIVERY;
    delivery->cancelled = false;
    delivery->posted = posted;
    int result = queue_task(reactor, handler, posted, &delivery->task);
    if (result < 0) {
        give_delivery(events, delivery);
        return result;
    }
    delivery->made_before = *made;
    *made = delivery;
    posted->holds++;
    return 0;
}

static bool takes(const struct weir_handler *handler, const struct weir_posted *posted)
{
    return handler->queues && (!(posted->flags & WEIR_POSTED_EMITTED) || handler->number < weir_posted_beside(posted)->number_max);
}

/* Runs are counted when they are queued: a thief may not. */
static uint32_t count_runs(const struct weir_roster *roster, const struct weir_posted *posted)
{
    uint32_t queued = 0;
    for (uint32_t i = 0; i < roster->count; i++) {
        struct weir_handler *handler = roster->handlers[i];
        if (!takes(handler, posted))
            continue;
        queued++;
        if (handler->remaining > 0 && --handler->remaining == 0)
            weir_handlers_spend(handler);
    }
    return queued;
}

/* One handler queues, if it is not too new. */
static int deliver_whole(struct weir_reactor *reactor, struct weir_roster *roster, struct weir_posted *posted)
{
    int result = 0;
    for (uint32_t i = 0; i < roster->count; i++)
        if (takes(roster->handlers[i], posted)) {
            result = queue_task(reactor, roster->handlers[i], posted, &posted->task);
            posted->holds += result == 0;
        }
    return result < 0 ? result : (int)count_runs(roster, posted);
}

int weir_posted_deliver(struct weir_reactor *reactor, struct weir_roster *roster, struct weir_posted *posted)
{
    if (roster->queueing == 1)
        return deliver_whole(reactor, roster, posted);
    struct weir_delivery *made = NULL;
    int result = 0;
    for (uint32_t i = 0; i < roster->count && result == 0; i++)
        if (takes(roster->handlers[i], posted))
            result = deliver_share(reactor, roster->handlers[i], posted, &made);
    if (result == 0)
        return (int)count_runs(roster, posted);
    for (; made; made = made->made_before)
        made->cancelled = true; /* nothing has run or been shared since, so nobody has looked at it */
    return result;
}

/* Running: on the home or on a thief. */

enum weir_verdict weir_delivery_execute(void *context, struct weir_task *task, void *on)
{
    const struct weir_handler *handler = context;
    const struct weir_delivery *delivery = (const struct weir_delivery *)(const void *)task; /* an event begins alike */
    const struct weir_posted *posted;
    if (__builtin_expect(delivery->flags & WEIR_POSTED_DELIVERY, 0)) {
        if (delivery->cancelled)
            return WEIR_TASK_DONE;
        posted = delivery->posted;
    } else {
        posted = weir_posted_of(task);
    }
    struct weir_reactor *reactor = on;
    const struct weir_event event = weir_posted_event(posted);
    uint64_t cause_id = reactor->cause_id;
    reactor->cause_id = event.id;
    weir_store(&reactor->handler_topic, event.topic.slot + 1, relaxed); /* a hint for the watchdog */
    reactor->last_topic = event.topic.slot;
    reactor->counters.events_dispatched++;
    weir_record_told(&reactor->recorder, event.id, event.topic.slot, handler->slot);
    WEIR_PROBE2(dispatch, event.topic.slot, event.id);
    handler->fn(reactor, &event, handler->context);
    reactor->cause_id = cause_id;
    return WEIR_TASK_DONE;
}

static struct weir_posted *end_share(struct weir_events *events, struct weir_delivery *delivery)
{
    struct weir_posted *posted = delivery->posted;
    give_delivery(events, delivery);
    return posted;
}

void weir_topics_release(void *on, struct weir_class *class, struct weir_task *first, struct weir_task *last, uint32_t count)
{
    (void)last;
    struct weir_reactor *reactor = on;
    struct weir_handler *handler = class->context;
    WEIR_ASSERT(handler->queued >= count);
    handler->queued -= count;
    if (handler->queued == 0 && handler->state != WEIR_HANDLER_LISTENING)
        weir_handlers_ask_to_settle(reactor);
    for (struct weir_task *task = first; count > 0; count--) {
        struct weir_delivery *delivery = (struct weir_delivery *)(void *)task;
        bool shared = delivery->flags & WEIR_POSTED_DELIVERY;
        struct weir_posted *posted = shared ? NULL : weir_posted_of(task);
        task = task->next; /* of the last one: not looked at */
        weir_line_fetch((uintptr_t)task);
        weir_posted_drop(reactor, shared ? end_share(&reactor->topics->events, delivery) : posted);
    }
}
