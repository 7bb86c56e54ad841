/*
 * runtime/emit.c - an event told now: what weir_emit does where more than one plain handler listens.
 *
 * With one pinned, unlimited handler an emit is compiled into its caller (weir/topic.h): two comparisons, an event on the
 * stack, a cell of the recorder, the call. When all handlers of a topic are plain its roster says so, and an emit is that
 * and a walk over {fn, context}. All else takes the long way: stale rosters, counted runs, handlers that queue.
 * Proof: tests/runtime/topic_test.c; speed: bench/.
 */
#include <errno.h>
#include <string.h>

#include "runtime/handlers.h"
#include "runtime/probe.h"

/* The library's own copy, for who does not compile it in. */
extern inline int weir_emit(struct weir_reactor *reactor, struct weir_topic topic, const void *body,
                            uint32_t body_bytes);

/* The handlers that queue get a copy. While older posts wait for the turn it lines up behind them: order by key. */
static int queue(struct weir_reactor *reactor, struct weir_roster *roster, const struct weir_event *event)
{
    struct weir_topics *topics = reactor->topics;
    struct weir_posted *posted;
    if (topics->events.live >= topics->events.live_max)
        return -EAGAIN;
    bool waits = topics->events.first != NULL;
    int result = weir_posted_make(reactor, event, NULL, waits ? WEIR_POSTED_EMITTED : 0, &posted);
    if (result < 0)
        return result;
    if (waits) {
        weir_posted_beside(posted)->number_max = topics->number_next;
        weir_posted_wait(&topics->events, posted);
        return (int)roster->queueing;
    }
    result = weir_posted_deliver(reactor, roster, posted);
    weir_posted_drop(reactor, posted);
    return result;
}

static int emit_long(struct weir_reactor *reactor, struct weir_event *event)
{
    struct weir_topics *topics = reactor->topics;
    struct weir_roster *roster;
    int result = weir_handlers_roster(topics, event->topic, &roster);
    if (result < 0)
        return result;
    event->id = weir_reactor_event_id(reactor);
    int queued = roster->queueing > 0 ? queue(reactor, roster, event) : 0;
    if (queued < 0)
        return queued;
    reactor->counters.events_emitted++;
    weir_record(&reactor->recorder, WEIR_RECORD_EMIT, event->id, event->cause_id, event->topic.slot, roster->count);
    WEIR_PROBE2(emit, event->topic.slot, event->id);
    if (roster->count == 0 && roster->is_error)
        weir_handlers_unheard(reactor, event);
    return queued + (int)weir_handlers_call(reactor, roster, event);
}

static __attribute__((noinline)) int emit_slowly(struct weir_reactor *reactor, struct weir_topic topic,
                                                const void *body, uint32_t body_bytes)
{
    struct weir_event event = {
        .cause_id = reactor->cause_id,
        .topic = topic,
        .body_bytes = body_bytes,
        .body = body,
    };
    return emit_long(reactor, &event);
}

static inline bool plain_for(const struct weir_roster *roster, struct weir_topic topic)
{
    return weir_topic_word(roster->plain) == weir_topic_word(topic);
}

int weir_emit_called(struct weir_reactor *reactor, struct weir_topic topic, const void *body, uint32_t body_bytes)
{
    struct weir_topics *topics = reactor->topics;
    if (__builtin_expect(topic.slot >= topics->here_count, 0))
        return emit_slowly(reactor, topic, body, body_bytes);
    const struct weir_roster *roster = topics->rosters[topic.slot];
    if (__builtin_expect(!plain_for(roster, topic), 0))
        return emit_slowly(reactor, topic, body, body_bytes);
    uint64_t cause_id = reactor->cause_id;
    struct weir_event event = {
        .id = weir_record_own(&reactor->recorder, WEIR_RECORD_EMIT, cause_id, topic.slot, roster->count),
        .cause_id = cause_id,
        .topic = topic,
        .body_bytes = body_bytes,
        .body = body,
    };
    WEIR_PROBE2(emit, topic.slot, event.id);
    int called = (int)weir_handlers_call_plain(reactor, roster, &event);
    if (__builtin_expect(reactor->settle_asked, 0))
        weir_handlers_settle(topics);
    return called;
}

int weir_emit_keyed(struct weir_reactor *reactor, struct weir_topic topic, uint64_t key, const void *body,
                    uint32_t body_bytes)
{
    struct weir_event event = {
        .cause_id = reactor->cause_id,
        .topic = topic,
        .body_bytes = body_bytes,
        .flags = WEIR_EVENT_KEYED,
        .key = key,
        .body = body,
    };
    return emit_long(reactor, &event);
}

/* A name that nobody interned: it becomes a topic only when a pattern or `any` waits for it. */
static int emit_unknown(struct weir_reactor *reactor, const char *text, const void *body, uint32_t body_bytes)
{
    struct weir_topics *topics = reactor->topics;
    uint16_t ends[WEIR_PATH_PARTS_MAX];
    struct weir_path path;
    const struct weir_name *name;
    int result = weir_path_cut(&path, text, ends);
    if (result < 0)
        return result;
    if (weir_path_is_pattern(&path))
        return -EINVAL;
    if (weir_handlers_count(topics, NULL, &path) == 0 && !weir_path_is_error(&path))
        return 0;
    result = weir_registry_intern(topics->registry, &path, &name);
    return result < 0 ? result : weir_emit(reactor, name->topic, body, body_bytes);
}

int weir_emit_name(struct weir_reactor *reactor, const char *name, const void *body, uint32_t body_bytes)
{
    size_t bytes = strnlen(name, WEIR_PATH_BYTES_MAX + 1);
    const struct weir_name *known = weir_registry_find(reactor->topics->registry, name, bytes);
    if (__builtin_expect(known != NULL, 1))
        return weir_emit(reactor, known->topic, body, body_bytes);
    return emit_unknown(reactor, name, body, body_bytes);
}
