/*
 * runtime/handlers.c - rosters: who hears an event, in which order, and how that changes while it is being told.
 *
 * Compiling gathers the handlers of three kinds of places and sorts them; it happens once for each topic after a
 * change, so installing and removing are cheap and emitting is a walk over an array. Bounds: memory grows with the
 * handlers installed and the topics used here. Proof: tests/runtime/topic_test.c (each promise of weir/topic.h, and
 * random changes from inside handlers against a naive model).
 */
#include "runtime/handlers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

enum { HERES_MIN = 64 };

static const struct weir_topic not_plain = {UINT32_MAX, 0}; /* no topic is so */

int weir_handlers_init(struct weir_topics *topics)
{
    topics->everything.slot = UINT32_MAX;
    topics->warn_at = 10;
    weir_list_init(&topics->everything.handlers);
    weir_list_init(&topics->patterns);
    weir_list_init(&topics->free_handlers);
    weir_list_init(&topics->leaving);
    topics->nobody = calloc(1, sizeof *topics->nobody);
    if (!topics->nobody)
        return -ENOMEM;
    topics->nobody->stale = true;
    topics->nobody->topic = topics->nobody->plain = not_plain;
    return 0;
}

static void free_retired(struct weir_topics *topics)
{
    while (topics->retired) {
        struct weir_roster *roster = topics->retired;
        topics->retired = roster->next;
        free(roster);
    }
}

static void free_rosters(struct weir_topics *topics)
{
    for (uint32_t i = 0; i < topics->here_count; i++)
        if (topics->rosters[i] != topics->nobody)
            free(topics->rosters[i]);
    free_retired(topics);
}

void weir_handlers_deinit(struct weir_topics *topics)
{
    topics->closing = true;
    for (uint32_t i = 0; i < topics->handler_count; i++) {
        struct weir_handler *handler = topics->handlers[i];
        if (handler->state != WEIR_HANDLER_FREE && handler->on_removed)
            handler->on_removed(topics->reactor, handler->context);
        free(handler);
    }
    free_rosters(topics);
    for (uint32_t i = 0; i < topics->here_count; i++)
        free(topics->heres[i].place);
    for (struct weir_list *node; (node = weir_list_pop_front(&topics->patterns));) {
        struct weir_place *place = WEIR_CONTAINER(node, struct weir_place, node);
        free((void *)place->path);
        free(place);
    }
    free(topics->handlers);
    free(topics->heres);
    free(topics->rosters);
    free(topics->reactor->ones);
    topics->reactor->ones = NULL;
    topics->reactor->one_count = 0;
    free(topics->nobody);
}

/* Topics that this reactor has not met. */

static int grow_heres(struct weir_topics *topics, uint32_t slot)
{
    uint32_t count = topics->here_count ? topics->here_count : HERES_MIN;
    while (count <= slot)
        count *= 2;
    if (count == topics->here_count)
        return 0;
    struct weir_here *heres = realloc(topics->heres, count * sizeof *heres);
    if (heres)
        topics->heres = heres;
    struct weir_roster **rosters = realloc(topics->rosters, count * sizeof(struct weir_roster *));
    if (rosters)
        topics->rosters = rosters;
    struct weir_reactor *reactor = topics->reactor;
    struct weir_emit_one *ones = realloc(reactor->ones, count * sizeof(struct weir_emit_one));
    if (ones)
        reactor->ones = ones;
    if (!heres || !rosters || !ones)
        return -ENOMEM;
    for (uint32_t i = topics->here_count; i < count; i++) {
        heres[i] = (struct weir_here){0};
        rosters[i] = topics->nobody;
        ones[i] = (struct weir_emit_one){.topic = not_plain};
    }
    topics->here_count = count;
    reactor->one_count = reactor->settle_asked ? 0 : count;
    return 0;
}

int weir_handlers_learn(struct weir_topics *topics, struct weir_topic topic, struct weir_here **here_out)
{
    const struct weir_name *name = weir_registry_at(topics->registry, topic.slot);
    if (!name || name->topic.generation != topic.generation)
        return -ENOENT;
    int result = grow_heres(topics, topic.slot);
    if (result < 0)
        return result;
    topics->heres[topic.slot].topic = topic;
    *here_out = &topics->heres[topic.slot];
    return 0;
}

/* Compiling. */

static const struct weir_path *name_at(const struct weir_topics *topics, uint32_t slot)
{
    return weir_registry_at(topics->registry, slot)->path;
}

/* `any` first, then by priority, then by installation. */
static int compare(const void *left, const void *right)
{
    const struct weir_handler *a = *(struct weir_handler *const *)left;
    const struct weir_handler *b = *(struct weir_handler *const *)right;
    bool a_any = a->place->path == NULL, b_any = b->place->path == NULL;
    if (a_any != b_any)
        return a_any ? -1 : 1;
    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    return a->number < b->number ? -1 : 1;
}

static uint32_t gather_place(const struct weir_place *place, struct weir_handler **handlers)
{
    uint32_t count = 0;
    WEIR_LIST_EACH(node, &place->handlers) {
        struct weir_handler *handler = WEIR_CONTAINER(node, struct weir_handler, node);
        WEIR_ASSERT(handler->state == WEIR_HANDLER_LISTENING);
        handlers[count++] = handler;
    }
    WEIR_ASSERT(count == place->count);
    return count;
}

/* With `handlers` NULL: only count. */
static uint32_t gather(const struct weir_topics *topics, const struct weir_here *here, const struct weir_path *name,
                       struct weir_handler **handlers)
{
    uint32_t count = topics->everything.count;
    if (handlers)
        gather_place(&topics->everything, handlers);
    if (here && here->place) {
        if (handlers)
            gather_place(here->place, handlers + count);
        count += here->place->count;
    }
    WEIR_LIST_EACH(node, &topics->patterns) {
        const struct weir_place *place = WEIR_CONTAINER(node, struct weir_place, node);
        if (!weir_path_match(place->path, name))
            continue;
        if (handlers)
            gather_place(place, handlers + count);
        count += place->count;
    }
    return count;
}

uint32_t weir_handlers_count(const struct weir_topics *topics, const struct weir_here *here,
                             const struct weir_path *name)
{
    return gather(topics, here, name, NULL);
}

static struct weir_roster *new_roster(uint32_t room)
{
    size_t calls_bytes = room * sizeof(struct weir_call);
    struct weir_roster *roster = malloc(sizeof *roster + calls_bytes + room * sizeof(struct weir_handler *));
    if (!roster)
        return NULL;
    roster->room = room;
    roster->handlers = (struct weir_handler **)(void *)((char *)roster->calls + calls_bytes);
    return roster;
}

/* A roster with room for `count` in place of an outdated one, whose memory is used again unless it may be in use. */
static struct weir_roster *replace_roster(struct weir_topics *topics, uint32_t slot, uint32_t count)
{
    struct weir_roster *old = topics->rosters[slot];
    bool busy = topics->reactor->cause_id != 0;
    if (old != topics->nobody && !busy && old->room >= count)
        return old;
    uint32_t room = 2;
    while (room < count)
        room *= 2;
    struct weir_roster *roster = new_roster(room);
    if (!roster)
        return NULL;
    topics->rosters[slot] = roster;
    if (old == topics->nobody)
        return roster;
    if (!busy) {
        free(old);
        return roster;
    }
    old->next = topics->retired;
    topics->retired = old;
    weir_handlers_ask_to_settle(topics->reactor);
    return roster;
}

/* Until the next change, emits to a plain topic with one handler pass the roster by. */
static void fill_one(struct weir_emit_one *one, const struct weir_roster *roster)
{
    bool alone = roster->plain.generation != 0 && roster->count == 1;
    *one = (struct weir_emit_one){.topic = not_plain};
    if (alone)
        *one = (struct weir_emit_one){.topic = roster->plain, .fn = roster->calls[0].fn, .context = roster->calls[0].context};
}

static void fill_calls(struct weir_roster *roster, struct weir_topic topic)
{
    bool plain = true;
    roster->queueing = 0;
    for (uint32_t i = 0; i < roster->count; i++) {
        const struct weir_handler *handler = roster->handlers[i];
        roster->calls[i] = (struct weir_call){handler->fn, handler->context};
        roster->queueing += handler->queues;
        plain = plain && !handler->queues && handler->remaining == 0;
    }
    if (roster->is_error && roster->count == 0)
        plain = false;
    roster->plain = plain ? topic : not_plain;
    bool lone = roster->count == 1 && roster->queueing == 1 && roster->handlers[0]->remaining == 0;
    roster->lone = lone ? roster->handlers[0] : NULL;
}

static int compile(struct weir_topics *topics, struct weir_here *here)
{
    const struct weir_path *name = name_at(topics, here->topic.slot);
    uint32_t count = gather(topics, here, name, NULL);
    struct weir_roster *roster = replace_roster(topics, here->topic.slot, count);
    if (!roster)
        return -ENOMEM;
    roster->count = gather(topics, here, name, roster->handlers);
    WEIR_ASSERT(roster->count == count);
    qsort(roster->handlers, count, sizeof(struct weir_handler *), compare);
    roster->is_error = weir_path_is_error(name);
    roster->next = NULL;
    fill_calls(roster, here->topic);
    fill_one(&topics->reactor->ones[here->topic.slot], roster);
    roster->topic = here->topic;
    roster->stale = false;
    return 0;
}

int weir_handlers_bring_up(struct weir_topics *topics, struct weir_topic topic, struct weir_roster **roster_out)
{
    struct weir_here *here;
    int result = weir_handlers_here(topics, topic, &here);
    if (result == 0 && topics->rosters[topic.slot]->stale)
        result = compile(topics, here);
    if (result == 0)
        *roster_out = topics->rosters[topic.slot];
    return result;
}

/* Calling, when a plain walk will not do: something changed meanwhile, runs are counted, or some handlers queue. */

static uint32_t call_from(struct weir_reactor *reactor, const struct weir_roster *roster, uint32_t at,
                          const struct weir_event *event)
{
    uint32_t called = 0;
    for (; at < roster->count; at++) {
        struct weir_handler *handler = roster->handlers[at];
        if (handler->state != WEIR_HANDLER_LISTENING || handler->queues)
            continue;
        if (handler->remaining > 0 && --handler->remaining == 0)
            weir_handlers_remove(handler); /* before its last run, so that a nested event does not find it */
        handler->fn(reactor, event, handler->context);
        called++;
    }
    return called;
}

uint32_t weir_handlers_call_rest(struct weir_reactor *reactor, const struct weir_roster *roster, uint32_t at,
                                 const struct weir_event *event, uint64_t cause_id)
{
    uint32_t called = at + call_from(reactor, roster, at, event);
    reactor->cause_id = cause_id;
    weir_handlers_settle(reactor->topics);
    return called;
}

uint32_t weir_handlers_call_careful(struct weir_reactor *reactor, const struct weir_roster *roster,
                                    const struct weir_event *event)
{
    uint64_t cause_id = reactor->cause_id;
    reactor->cause_id = event->id;
    uint32_t called = call_from(reactor, roster, 0, event);
    reactor->cause_id = cause_id;
    if (reactor->settle_asked)
        weir_handlers_settle(reactor->topics);
    return called;
}

void weir_handlers_unheard(struct weir_reactor *reactor, const struct weir_event *event)
{
    char body[160], name[160];
    uint32_t bytes = event->body_bytes < 120 ? event->body_bytes : 120;
    size_t body_chars = weir_bytes_escape(body, sizeof body, event->body, bytes, NULL);
    const char *text = weir_registry_name(reactor->topics->registry, event->topic.slot);
    size_t name_chars = weir_bytes_escape(name, sizeof name, text, strlen(text), NULL);
    weir_reactor_log(reactor, WEIR_LOG_ERROR,
                     "msg=\"error event that nobody handles\" reactor=%u topic=\"%.*s\" bytes=%u body=\"%.*s\"",
                     reactor->index, (int)name_chars, name, event->body_bytes, (int)body_chars, body);
    weir_record(&reactor->recorder, WEIR_RECORD_DROP, event->id, event->cause_id, WEIR_DROP_UNHEARD, 1);
    reactor->counters.events_dropped++;
}

/* Leaving. */

static void outdate(struct weir_topics *topics, uint32_t slot)
{
    topics->rosters[slot]->stale = true;
    topics->rosters[slot]->topic = topics->rosters[slot]->plain = not_plain;
    topics->reactor->ones[slot].topic = not_plain;
}

/* Costs a pass over the topics used here when a pattern changes: emits pay nothing for patterns. */
void weir_handlers_changed(struct weir_topics *topics, const struct weir_place *place)
{
    if (place->slot != UINT32_MAX) {
        outdate(topics, place->slot);
        return;
    }
    for (uint32_t slot = 0; slot < topics->here_count; slot++) {
        if (!topics->rosters[slot]->stale && (!place->path || weir_path_match(place->path, name_at(topics, slot))))
            outdate(topics, slot);
    }
}

static void unlink_handler(struct weir_handler *handler)
{
    struct weir_topics *topics = handler->topics;
    struct weir_place *place = handler->place;
    weir_handlers_changed(topics, place);
    weir_list_remove(&handler->node);
    handler->place = NULL;
    if (--place->count > 0 || place->slot != UINT32_MAX || !place->path)
        return;
    weir_list_remove(&place->node); /* a pattern that nobody uses */
    free((void *)place->path);
    free(place);
}

static void start_leaving(struct weir_handler *handler)
{
    handler->state = WEIR_HANDLER_LEAVING;
    if (handler->class_open)
        handler->class_open = !weir_sched_class_close(handler->topics->reactor->sched, &handler->class);
    weir_handlers_ask_to_settle(handler->topics->reactor);
}

void weir_handlers_remove(struct weir_handler *handler)
{
    WEIR_ASSERT(handler->state == WEIR_HANDLER_LISTENING || handler->state == WEIR_HANDLER_SPENT);
    if (handler->state == WEIR_HANDLER_LISTENING) {
        unlink_handler(handler);
        weir_list_push_back(&handler->topics->leaving, &handler->node);
    }
    start_leaving(handler);
}

void weir_handlers_spend(struct weir_handler *handler)
{
    WEIR_ASSERT(handler->state == WEIR_HANDLER_LISTENING);
    WEIR_ASSERT(handler->queued > 0);
    unlink_handler(handler);
    weir_list_push_back(&handler->topics->leaving, &handler->node);
    handler->state = WEIR_HANDLER_SPENT;
}

void weir_handlers_on_closed(struct weir_class *class)
{
    struct weir_handler *handler = class->context;
    handler->class_open = false;
    weir_handlers_ask_to_settle(handler->topics->reactor);
}

/* The handler is on no list. */
static void let_go(struct weir_topics *topics, struct weir_handler *handler)
{
    weir_done_fn on_removed = handler->on_removed;
    void *context = handler->context;
    handler->state = WEIR_HANDLER_FREE;
    handler->generation++;
    weir_list_push_back(&topics->free_handlers, &handler->node);
    if (on_removed)
        on_removed(topics->reactor, context);
}

static void settle_leaving(struct weir_topics *topics)
{
    struct weir_list now;
    weir_list_init(&now);
    weir_list_splice_back(&now, &topics->leaving);
    for (struct weir_list *node; (node = weir_list_pop_front(&now));) {
        struct weir_handler *handler = WEIR_CONTAINER(node, struct weir_handler, node);
        if (handler->state == WEIR_HANDLER_SPENT && handler->queued == 0)
            start_leaving(handler);
        bool over = handler->state == WEIR_HANDLER_LEAVING && !handler->class_open && handler->queued == 0;
        if (over)
            let_go(topics, handler);
        else
            weir_list_push_back(&topics->leaving, node);
    }
}

void weir_handlers_settle(struct weir_topics *topics)
{
    if (topics->settling || topics->reactor->cause_id != 0) {
        weir_handlers_ask_to_settle(topics->reactor); /* from an on_removed: the loop below goes round again; from a handler: later */
        return;
    }
    topics->settling = true;
    do {
        topics->reactor->settle_asked = false;
        free_retired(topics);
        settle_leaving(topics);
    } while (topics->reactor->settle_asked);
    topics->reactor->one_count = topics->here_count;
    topics->settling = false;
}
