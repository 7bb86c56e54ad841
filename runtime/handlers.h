/*
 * runtime/handlers.h - the handlers of one reactor, and the rosters by which they are called.
 *
 * A handler is installed on a *place*: a topic, a pattern, or everything. A topic's *roster* is the flat list of the
 * handlers that its events go to, in the order they are called; it is compiled when it is first used after a change.
 *
 *     place "a.b" ----+
 *     place "a.*" ----+--> roster of topic "a.b": calls[] { fn, context } ...
 *     everything -----+
 *
 * A roster is never changed while it may be in use: a change marks it as out of date, the emission that uses it sees
 * that after the handler in which it happened, and asks each remaining handler whether it is still installed. Whether
 * any emission is under way is written in reactor->cause_id, which is zero exactly when no handler runs; so an emit keeps
 * no books of its own, and what leaves inside a handler is let go when the outermost one has returned.
 *
 *     LISTENING --off--> LEAVING --no handler runs--> free, on_removed
 *         \--times used up, events still queued--> SPENT --the last is over--> LEAVING
 *
 * All of it belongs to the reactor's thread. What a thief may read of a handler while its strand is away is marked; it
 * is written before the first event is queued and stays until the last is home.
 */
#ifndef WEIR_RUNTIME_HANDLERS_H
#define WEIR_RUNTIME_HANDLERS_H

#include <string.h>

#include "base/list.h"
#include "runtime/event.h"
#include "runtime/reactor.h"
#include "runtime/registry.h"
#include "runtime/topics.h"

struct weir_place {
    struct weir_list node;     /* patterns only: topics->patterns */
    struct weir_list handlers; /* in order of installation */
    const struct weir_path *path; /* a topic's belongs to the registry, a pattern's to the place; NULL: everything */
    uint32_t slot;             /* of the topic; UINT32_MAX: none */
    uint32_t count;
    bool warned;
};

enum weir_handler_state { WEIR_HANDLER_FREE, WEIR_HANDLER_LISTENING, WEIR_HANDLER_SPENT, WEIR_HANDLER_LEAVING };

struct weir_handler {
    /* A thief reads these. */
    weir_handler_fn fn;
    void *context;
    uint32_t slot;

    /* Home only. */
    uint32_t generation;
    uint32_t remaining;  /* runs left; 0: no limit */
    int32_t priority;
    enum weir_handler_state state;
    bool queues;         /* its events go through strands */
    bool class_open;     /* the scheduler knows `class` */
    uint64_t number;     /* of installation: later ones are higher */
    struct weir_place *place; /* NULL once it leaves */
    struct weir_list node;    /* of its place, of topics->leaving or of topics->free_handlers */
    weir_done_fn on_removed;
    struct weir_topics *topics;
    struct weir_class class;
    uint64_t queued; /* events of it that are with the scheduler; each post counts, so not on a thief's line */
};

struct weir_call {
    weir_handler_fn fn;
    void *context;
};

struct weir_roster {
    struct weir_topic topic; /* while the roster is up to date, else one of generation zero */
    struct weir_topic plain; /* the topic while the roster is up to date and its calls can be made as they are; else
                                one of generation zero: take the long way */
    uint32_t count;
    uint32_t room;
    uint32_t queueing;   /* how many of them queue */
    struct weir_handler *lone; /* the only one, if it queues and its runs are not counted; else NULL */
    bool stale;          /* out of date */
    bool is_error;       /* an event that nobody hears is logged */
    struct weir_roster *next; /* topics->retired */
    struct weir_handler **handlers; /* [room], behind the calls */
    struct weir_call calls[];
};

/* What this reactor has of a topic; a zero generation: nothing yet. */
struct weir_here {
    struct weir_place *place;   /* NULL: no handler was ever installed on this very name */
    struct weir_topic topic;
};

struct weir_topics {
    /* What an emit reads. */
    struct weir_roster **rosters; /* by topic slot; never NULL: `nobody` at first */
    uint32_t here_count;
    bool settling;
    bool closing;

    struct weir_here *heres; /* by topic slot */
    struct weir_reactor *reactor;
    struct weir_registry *registry;
    struct weir_roster *nobody;   /* for topics whose roster was never compiled; always out of date */
    struct weir_roster *retired;  /* replaced while a handler ran: it may be in use */
    struct weir_place everything; /* weir_any */
    struct weir_list patterns;

    struct weir_handler **handlers; /* by subscription slot; their memory stays until close */
    uint32_t handler_count;
    uint32_t handler_room;
    uint32_t warn_at;
    uint64_t number_next;
    struct weir_list free_handlers;
    struct weir_list leaving;

    struct weir_events events;
};

int weir_handlers_init(struct weir_topics *topics); /* 0, -ENOMEM */
/* All are over: on_removed for each that is left. */
void weir_handlers_deinit(struct weir_topics *topics);

/* Slow ways of the three below. */
int weir_handlers_learn(struct weir_topics *topics, struct weir_topic topic, struct weir_here **here_out);
int weir_handlers_bring_up(struct weir_topics *topics, struct weir_topic topic, struct weir_roster **roster_out);
uint32_t weir_handlers_call_careful(struct weir_reactor *reactor, const struct weir_roster *roster,
                                    const struct weir_event *event);
/* The end of a call in which handlers changed: those from `at` on that are still installed, then cause_id is what it was
 * before the call. Returns how many were called in all. */
uint32_t weir_handlers_call_rest(struct weir_reactor *reactor, const struct weir_roster *roster, uint32_t at,
                                 const struct weir_event *event, uint64_t cause_id);

uint32_t weir_handlers_count(const struct weir_topics *topics, const struct weir_here *here,
                             const struct weir_path *name);

/* Handlers came to or went from `place`: the rosters they are on are out of date. */
void weir_handlers_changed(struct weir_topics *topics, const struct weir_place *place);
/* No event goes to it any more. Its slot and context are let go when weir_handlers_settle finds that nobody holds it. */
void weir_handlers_remove(struct weir_handler *handler);
/* struct weir_class.on_closed. */
void weir_handlers_on_closed(struct weir_class *class);
/* Soon: in the next emit or turn that finds no handler running. Until then no emit passes the library by. */
static inline void weir_handlers_ask_to_settle(struct weir_reactor *reactor)
{
    reactor->settle_asked = true;
    reactor->one_count = 0;
}
/* Free what nobody holds any more and tell its owners. Harmless at any time. */
void weir_handlers_settle(struct weir_topics *topics);
/* It was queued for the last time that its `times` allow: no further event goes to it. */
void weir_handlers_spend(struct weir_handler *handler);
/* An "error" event had no handler. */
void weir_handlers_unheard(struct weir_reactor *reactor, const struct weir_event *event);

static inline uint64_t weir_topic_word(struct weir_topic topic)
{
    uint64_t word;
    memcpy(&word, &topic, sizeof word);
    return word;
}

/* Has this reactor met the topic? */
static inline bool weir_handlers_knows(const struct weir_topics *topics, struct weir_topic topic)
{
    return topic.slot < topics->here_count && topic.generation != 0 &&
           weir_topic_word(topics->heres[topic.slot].topic) == weir_topic_word(topic);
}

/* 0; -ENOENT: not a topic of this runtime; -ENOMEM. */
static inline int weir_handlers_here(struct weir_topics *topics, struct weir_topic topic,
                                     struct weir_here **here_out)
{
    if (__builtin_expect(topic.slot < topics->here_count, 1)) {
        struct weir_here *here = &topics->heres[topic.slot];
        if (__builtin_expect(here->topic.generation == topic.generation && topic.generation != 0, 1)) {
            *here_out = here;
            return 0;
        }
    }
    return weir_handlers_learn(topics, topic, here_out);
}

/* The roster of a topic if it is up to date, else NULL. */
static inline struct weir_roster *weir_handlers_roster_ready(const struct weir_topics *topics, struct weir_topic topic)
{
    if (__builtin_expect(topic.slot >= topics->here_count, 0))
        return NULL;
    struct weir_roster *roster = topics->rosters[topic.slot];
    return __builtin_expect(weir_topic_word(roster->topic) == weir_topic_word(topic), 1) ? roster : NULL;
}

/* The roster as of now: good until a handler changes. 0; -ENOENT, -ENOMEM. */
static inline int weir_handlers_roster(struct weir_topics *topics, struct weir_topic topic,
                                       struct weir_roster **roster_out)
{
    *roster_out = weir_handlers_roster_ready(topics, topic);
    return __builtin_expect(*roster_out != NULL, 1) ? 0 : weir_handlers_bring_up(topics, topic, roster_out);
}

/* One more task for a handler that queues. 0; -EAGAIN, -ENOMEM: nothing has happened. */
static inline int weir_handlers_queue(struct weir_reactor *reactor, struct weir_handler *handler, bool keyed, uint64_t key,
                                      struct weir_task *task)
{
    int result = keyed ? weir_sched_post_keyed(reactor->sched, &handler->class, key, task)
                       : weir_sched_post(reactor->sched, &handler->class, task);
    handler->queued += result == 0;
    return result;
}

/*
 * Call all of a plain, up-to-date roster with an event of this reactor. Returns how many were called.
 * Short on purpose: with one handler this is most of what an emit costs.
 */
static inline uint32_t weir_handlers_call_plain(struct weir_reactor *reactor, const struct weir_roster *roster,
                                                const struct weir_event *event)
{
    uint64_t cause_id = reactor->cause_id;
    reactor->cause_id = event->id;
    uint32_t count = roster->count;
    uint32_t called = 0;
    while (called < count) {
        const struct weir_call *call = &roster->calls[called++];
        call->fn(reactor, event, call->context);
        if (__builtin_expect(roster->plain.generation == 0, 0))
            return weir_handlers_call_rest(reactor, roster, called, event, cause_id);
    }
    reactor->cause_id = cause_id;
    return called;
}

/* The same for any up-to-date roster: its pinned handlers. */
static inline uint32_t weir_handlers_call(struct weir_reactor *reactor, const struct weir_roster *roster,
                                          const struct weir_event *event)
{
    if (__builtin_expect(roster->plain.generation != 0, 1))
        return weir_handlers_call_plain(reactor, roster, event);
    return weir_handlers_call_careful(reactor, roster, event);
}

#endif
