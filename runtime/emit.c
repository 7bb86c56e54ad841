/*
 * runtime/emit.c - an event told now: the path that is as short as it can be.
 *
 * When every handler of a topic is pinned and unlimited its roster says so, and an emit is two comparisons, an event on
 * the stack, a record and a walk over {fn, context}. All else takes the long way: stale rosters, counted runs, handlers
 * that queue. Proof: tests/runtime/topic_test.c; speed: bench/.
 */
#include <errno.h>
#include <string.h>

#include "runtime/handlers.h"
#include "runtime/probe.h"

static inline __attribute__((always_inline)) void note_emit(struct weir_reactor *reactor, const struct weir_event *event, uint32_t handlers)
{
    reactor->counters.events_emitted++;
    weir_record(&reactor->recorder, WEIR_RECORD_EMIT, event->id, event->cause_id, event->topic.slot, handlers);
    WEIR_PROBE2(emit, event->topic.slot, event->id);
}

/* The handlers that queue get a copy. While older posts wait for the turn it lines up behind them: order by key. */
static int queue(struct weir_reactor *reactor, struct weir_roster *roster, const struct weir_event *event)
{
    struct weir_topics *topics = reactor->topics;
    struct weir_posted *posted;
    if (topics->events.live >= topics->events.live_max)
        return -EAGAIN;
    int result = weir_posted_make(reactor, event, NULL, &posted);
    if (result < 0)
        return result;
    posted->number_max = topics->number_next;
    posted->emitted = true;
    if (topics->events.first) {
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
    event->id = reactor->event_id_next++;
    int queued = roster->queueing > 0 ? queue(reactor, roster, event) : 0;
    if (queued < 0)
        return queued;
    note_emit(reactor, event, roster->count);
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

static inline uint64_t word_of(struct weir_topic topic)
{
    uint64_t word;
    memcpy(&word, &topic, sizeof word);
    return word;
}

static inline bool plain_for(const struct weir_roster *roster, struct weir_topic topic)
{
    return word_of(roster->plain) == word_of(topic);
}

static __attribute__((noinline)) int emit_many(struct weir_reactor *reactor, struct weir_topic topic, const void *body,
                                              uint32_t body_bytes)
{
    const struct weir_roster *roster = reactor->topics->rosters[topic.slot];
    struct weir_event event = {
        .id = reactor->event_id_next++,
        .cause_id = reactor->cause_id,
        .topic = topic,
        .body_bytes = body_bytes,
        .body = body,
    };
    note_emit(reactor, &event, roster->count);
    return (int)weir_handlers_call_plain(reactor, roster, &event);
}

/* Stores are what an emit has most of, so they go out in pairs. */
typedef uint64_t word_pair __attribute__((vector_size(16)));

static_assert(offsetof(struct weir_event, cause_id) == 8 && offsetof(struct weir_event, topic) == 16 &&
                  offsetof(struct weir_event, body_bytes) == 24 && offsetof(struct weir_event, flags) == 28 &&
                  offsetof(struct weir_event, key) == 32 && offsetof(struct weir_event, body) == 40,
              "written in pairs below");
static_assert(offsetof(struct weir_record, cause_id) == 8 && offsetof(struct weir_record, a) == 16 &&
                  offsetof(struct weir_record, b) == 20 && offsetof(struct weir_record, number) == 24 &&
                  offsetof(struct weir_record, kind) == 28,
              "written in pairs below");

static inline void put_pair(void *at, word_pair pair)
{
    memcpy(at, &pair, sizeof pair);
}

static inline uint64_t two_words(uint32_t low, uint32_t high)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return low | (uint64_t)high << 32;
#else
    return high | (uint64_t)low << 32;
#endif
}

/* weir_record for an emit to one handler. */
static inline void record_one(struct weir_recorder *recorder, word_pair ids, uint32_t slot)
{
    uint64_t at = weir_load(&recorder->written, relaxed); /* ours */
    struct weir_record *record = &recorder->records[at & recorder->mask];
    put_pair(&record->id, ids);
    put_pair(&record->a, (word_pair){two_words(slot, 1), two_words((uint32_t)at, WEIR_RECORD_EMIT)});
    weir_store(&recorder->written, at + 1, relaxed); /* as in weir_record */
}

/* With one handler: what emit_many says in words is spelt out, since each store of it shows in the price. */
int weir_emit(struct weir_reactor *reactor, struct weir_topic topic, const void *body, uint32_t body_bytes)
{
    struct weir_topics *topics = reactor->topics;
    if (__builtin_expect(topic.slot >= topics->here_count, 0))
        return emit_slowly(reactor, topic, body, body_bytes);
    const struct weir_roster *roster = topics->rosters[topic.slot];
    if (__builtin_expect(!plain_for(roster, topic), 0))
        return emit_slowly(reactor, topic, body, body_bytes);
    if (roster->count != 1)
        return emit_many(reactor, topic, body, body_bytes);
    uint64_t id = reactor->event_id_next;
    uint64_t cause_id = reactor->cause_id;
    /* Not to be loaded as one: two fresh narrow stores do not forward to a wide load. */
    __asm__("" : "+r"(id), "+r"(cause_id));
    reactor->event_id_next = id + 1;
    reactor->cause_id = id;
    struct weir_event event;
    word_pair ids = {id, cause_id};
    put_pair(&event.id, ids);
    put_pair(&event.topic, (word_pair){word_of(topic), two_words(body_bytes, 0)});
    put_pair(&event.key, (word_pair){0, (uint64_t)(uintptr_t)body});
    record_one(&reactor->recorder, ids, topic.slot);
    reactor->counters.events_emitted++;
    WEIR_PROBE2(emit, topic.slot, id);
    roster->calls[0].fn(reactor, &event, roster->calls[0].context);
    reactor->cause_id = cause_id;
    if (__builtin_expect(roster->plain.generation == 0, 0))
        weir_handlers_settle(reactor->topics);
    return 1;
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
