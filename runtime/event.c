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

static_assert(offsetof(struct weir_delivery, task) == 0, "a task is its delivery");

void weir_events_init(struct weir_events *events, uint64_t memory_bytes)
{
    uint64_t most = memory_bytes / MEMORY_SHARE / sizeof(struct weir_posted);
    *events = (struct weir_events){.live_max = WEIR_EVENTS_MAX};
    if (most < WEIR_EVENTS_MAX)
        events->live_max = most < EVENTS_MIN ? EVENTS_MIN : (uint32_t)most;
}

void weir_events_deinit(struct weir_reactor *reactor)
{
    struct weir_events *events = &reactor->topics->events;
    while (events->first) {
        struct weir_posted *posted = events->first;
        events->first = posted->next;
        if (posted->buffer)
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

static struct weir_posted *take_posted(struct weir_events *events)
{
    if (!events->free) {
        struct weir_posted *made = (struct weir_posted *)(void *)new_slab(events);
        if (!made)
            return NULL;
        for (size_t left = (SLAB_BYTES - sizeof(struct weir_slab)) / sizeof *made; left > 0; left--, made++) {
            made->next = events->free;
            events->free = made;
        }
    }
    struct weir_posted *posted = events->free;
    events->free = posted->next;
    weir_posted_fetch(events->free);
    events->live++;
    return posted;
}

static void give_posted(struct weir_events *events, struct weir_posted *posted)
{
    WEIR_ASSERT(events->live > 0);
    posted->next = events->free;
    events->free = posted;
    events->live--;
}

static struct weir_delivery *take_delivery(struct weir_events *events, struct weir_posted *posted)
{
    if (!posted->first_used) {
        posted->first_used = true;
        return &posted->first;
    }
    if (!events->free_deliveries) {
        struct weir_delivery *made = (struct weir_delivery *)(void *)new_slab(events);
        if (!made)
            return NULL;
        for (size_t left = (SLAB_BYTES - sizeof(struct weir_slab)) / sizeof *made; left > 0; left--, made++) {
            made->task.next = (struct weir_task *)(void *)events->free_deliveries;
            events->free_deliveries = made;
        }
    }
    struct weir_delivery *delivery = events->free_deliveries;
    events->free_deliveries = (struct weir_delivery *)(void *)delivery->task.next;
    return delivery;
}

static void give_delivery(struct weir_events *events, struct weir_delivery *delivery)
{
    if (delivery == &delivery->posted->first) {
        delivery->posted->first_used = false;
        return;
    }
    delivery->task.next = (struct weir_task *)(void *)events->free_deliveries;
    events->free_deliveries = delivery;
}

/* Field by field: the event was written so just now, and narrow stores do not forward to the wide loads of a copy. */
static void copy_event(struct weir_event *to, const struct weir_event *from)
{
    uint64_t id = from->id, cause_id = from->cause_id, key = from->key;
    struct weir_topic topic = from->topic;
    uint32_t bytes = from->body_bytes, flags = from->flags;
    __asm__("" : "+r"(id), "+r"(cause_id), "+r"(key), "+r"(bytes), "+r"(flags), "+r"(topic.slot), "+r"(topic.generation));
    to->id = id;
    to->cause_id = cause_id;
    to->topic = topic;
    to->body_bytes = bytes;
    to->flags = flags;
    to->key = key;
}

int weir_posted_make(struct weir_reactor *reactor, const struct weir_event *event, struct weir_buffer *buffer,
                     struct weir_posted **posted_out)
{
    struct weir_events *events = &reactor->topics->events;
    uint32_t bytes = event->body_bytes;
    if (bytes > WEIR_EVENT_BODY_MAX)
        return -EINVAL;
    struct weir_posted *posted = take_posted(events);
    if (!posted)
        return -ENOMEM;
    copy_event(&posted->event, event);
    posted->buffer = buffer;
    posted->number_max = UINT64_MAX;
    posted->holds = 1;
    posted->emitted = false;
    posted->first_used = false;
    if (!buffer && bytes > WEIR_EVENT_INLINE_BYTES) {
        posted->buffer = weir_buffer_take(reactor, bytes);
        if (!posted->buffer) {
            give_posted(events, posted);
            return -ENOMEM;
        }
        memcpy(posted->buffer->bytes, event->body, bytes);
    }
    if (!posted->buffer && bytes > 0)
        weir_body_copy(posted->inline_body, event->body, bytes);
    posted->event.body = posted->buffer ? posted->buffer->bytes : posted->inline_body;
    *posted_out = posted;
    return 0;
}

void weir_posted_drop(struct weir_reactor *reactor, struct weir_posted *posted)
{
    WEIR_ASSERT(posted->holds > 0);
    if (--posted->holds > 0)
        return;
    if (posted->buffer)
        weir_buffer_drop(reactor, posted->buffer);
    give_posted(&reactor->topics->events, posted);
}

void weir_posted_wait(struct weir_events *events, struct weir_posted *posted)
{
    posted->next = NULL;
    if (events->first)
        events->last->next = posted;
    else
        events->first = posted;
    events->last = posted;
    events->waiting++;
}

/* Queueing. */

static int deliver_to(struct weir_reactor *reactor, struct weir_handler *handler, struct weir_posted *posted,
                      struct weir_delivery **made)
{
    struct weir_events *events = &reactor->topics->events;
    struct weir_delivery *delivery = take_delivery(events, posted);
    if (!delivery)
        return -ENOMEM;
    delivery->posted = posted;
    delivery->handler = handler;
    delivery->cancelled = false;
    int result = posted->event.flags & WEIR_EVENT_KEYED
                     ? weir_sched_post_keyed(reactor->sched, &handler->class, posted->event.key, &delivery->task)
                     : weir_sched_post(reactor->sched, &handler->class, &delivery->task);
    if (result < 0) {
        give_delivery(events, delivery);
        return result;
    }
    delivery->made_before = *made;
    *made = delivery;
    posted->holds++;
    handler->queued++;
    return 0;
}

static bool takes(const struct weir_handler *handler, const struct weir_posted *posted)
{
    return handler->queues && handler->number < posted->number_max;
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

int weir_posted_deliver(struct weir_reactor *reactor, struct weir_roster *roster, struct weir_posted *posted)
{
    struct weir_delivery *made = NULL;
    int result = 0;
    for (uint32_t i = 0; i < roster->count && result == 0; i++)
        if (takes(roster->handlers[i], posted))
            result = deliver_to(reactor, roster->handlers[i], posted, &made);
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
    const struct weir_delivery *delivery = (const struct weir_delivery *)(const void *)task;
    if (delivery->cancelled)
        return WEIR_TASK_DONE;
    struct weir_reactor *reactor = on;
    const struct weir_event *event = &delivery->posted->event;
    uint64_t cause_id = reactor->cause_id;
    reactor->cause_id = event->id;
    weir_store(&reactor->handler_topic, event->topic.slot + 1, relaxed); /* a hint for the watchdog */
    reactor->last_topic = event->topic.slot;
    reactor->counters.events_dispatched++;
    weir_record_told(&reactor->recorder, event->id, event->topic.slot, handler->slot);
    WEIR_PROBE2(dispatch, event->topic.slot, event->id);
    handler->fn(reactor, event, handler->context);
    reactor->cause_id = cause_id;
    return WEIR_TASK_DONE;
}

void weir_topics_release(void *on, struct weir_task *first, struct weir_task *last, uint32_t count)
{
    (void)last;
    struct weir_reactor *reactor = on;
    struct weir_topics *topics = reactor->topics;
    for (struct weir_task *task = first; count > 0; count--) {
        struct weir_delivery *delivery = (struct weir_delivery *)(void *)task;
        struct weir_posted *posted = delivery->posted;
        struct weir_handler *handler = delivery->handler;
        task = task->next; /* of the last one: not looked at */
        weir_line_fetch((uintptr_t)task);
        WEIR_ASSERT(handler->queued > 0);
        if (--handler->queued == 0 && handler->state != WEIR_HANDLER_LISTENING)
            weir_handlers_ask_to_settle(reactor);
        give_delivery(&topics->events, delivery);
        weir_posted_drop(reactor, posted);
    }
}
