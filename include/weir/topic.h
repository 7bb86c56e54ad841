/*
 * weir/topic.h - topics and their handlers: an event emitter that crosses cores.
 *
 * A topic is a dotted name ("trade.eu.fx"). Handlers are installed on one reactor and run there. Names may hold
 * wildcards where a handler is installed: `*` is exactly one part, `**` any number of parts, none included
 * (as in EventEmitter2). Names match byte by byte; an empty part is a part.
 *
 *   weir_emit   runs the pinned handlers of this reactor now, before it returns, in order of priority and then
 *               of installation; what is keyed or stealable is queued
 *   weir_post   copies the event and runs it later: here, on another reactor, or where its key lives
 *
 * Events with one key run in order, always, one at a time, for each handler: in the order in which this reactor posted
 * or emitted them. An event named "error" (or "error.anything") that no handler listens to is logged and counted, never
 * silent. Handlers may install and remove handlers, themselves too: a handler added during an emit first runs at the
 * next one, a removed one does not run any more (one that a thief has just begun ends its run; see on_removed).
 *
 * A posted event goes to the handlers that are installed when it is told. What is queued for a handler when that is
 * removed is dropped; a handler that is removed because its `times` are used up runs what it was counted for.
 */
#ifndef WEIR_TOPIC_H
#define WEIR_TOPIC_H

#include <weir/base.h>

#ifdef WEIR_HAVE_SDT /* a program that defines it has the probe `emit` in its own copies of weir_emit too */
#include <sys/sdt.h>
#endif

WEIR_BEGIN

/* A name known to the runtime; valid on all its reactors until it closes. Zero is no topic. */
struct weir_topic {
    uint32_t slot;
    uint32_t generation;
};

/* A handler installed on one reactor. Zero is no subscription. */
struct weir_subscription {
    uint32_t slot;
    uint32_t generation;
};

struct weir_event {
    uint64_t id;            /* {reactor, number}: unique in the runtime's life */
    uint64_t cause_id;      /* the event whose handler made this one; 0: came from outside */
    struct weir_topic topic;
    uint32_t body_bytes;
    uint32_t flags;         /* WEIR_EVENT_... */
    uint64_t key;           /* meaningful with WEIR_EVENT_KEYED */
    const void *body;       /* valid until the handler returns; copy what you keep */
};

enum {
    WEIR_EVENT_KEYED = 1u << 0,
};

/*
 * What a handler is. `on` is the reactor it runs on: for a stealable handler maybe not the one it was
 * installed on, so it must take everything it needs from `on` and `event`.
 */
typedef void (*weir_handler_fn)(struct weir_reactor *on, const struct weir_event *event, void *context);
typedef void (*weir_done_fn)(struct weir_reactor *on, void *context);

struct weir_on_options {
    size_t size;
    int32_t priority;     /* higher runs first; default 0. Queued handlers: below, at and above 0 are three levels, and
                             the lower ones still get a share */
    uint32_t times;       /* runs at most so often, then is removed; 0: for ever; 1: once */
    bool stealable;       /* an idle reactor may run it; implies queueing, in order for each key */
    bool keyed;           /* serialised by event key even on its own reactor (queued, never nested) */
    /* The last run is over and `context` is the caller's again: within weir_off when no handler runs and nothing is
     * queued for it, else when the outermost handler has returned or in a later turn; at the latest when the runtime
     * closes (then it must not call weir). On the reactor it was installed on. May be NULL. */
    weir_done_fn on_removed;
};

/* Intern a name: cold (takes a lock), any reactor's thread. -EINVAL (empty, over 1,024 bytes, wildcard),
 * -ENOSPC (topics_max reached), -ENOMEM. */
WEIR_API WEIR_MUST_CHECK int weir_topic_open(struct weir_reactor *reactor, const char *name,
                                             struct weir_topic *topic_out);
/* Its name, for as long as the runtime is open; NULL: stale. Any reactor's thread. */
WEIR_API const char *weir_topic_name(struct weir_reactor *reactor, struct weir_topic topic);

/*
 * Install a handler on this reactor. `pattern` may hold wildcards; a plain name becomes a topic. `options` and
 * `subscription_out` may be NULL. Returns 0; -EINVAL (empty, over 1,024 bytes, no handler), -ENOSPC (topics_max),
 * -ENOMEM. The (limit+1)th handler of one topic logs a leak warning once; see
 * weir_listeners_warn_at.
 */
WEIR_API int weir_on_with(struct weir_reactor *reactor, const char *pattern, weir_handler_fn handler, void *context,
                          const struct weir_on_options *options, struct weir_subscription *subscription_out);
WEIR_API int weir_on(struct weir_reactor *reactor, const char *pattern, weir_handler_fn handler, void *context);
WEIR_API int weir_once(struct weir_reactor *reactor, const char *pattern, weir_handler_fn handler, void *context);
WEIR_API int weir_many(struct weir_reactor *reactor, const char *pattern, uint32_t times, weir_handler_fn handler,
                       void *context);
/* Every event of this reactor, whatever its name; before the topic's own handlers. */
WEIR_API int weir_any(struct weir_reactor *reactor, weir_handler_fn handler, void *context);

/* Remove by handle (-ENOENT: gone already), or the first installed match of (pattern, handler, context); a NULL pattern
 * is weir_any's. Patterns are compared as text: removing "a.*" leaves "a.b" alone. */
WEIR_API int weir_off(struct weir_reactor *reactor, struct weir_subscription subscription);
WEIR_API int weir_off_match(struct weir_reactor *reactor, const char *pattern, weir_handler_fn handler, void *context);
WEIR_API uint32_t weir_off_all(struct weir_reactor *reactor, const char *pattern); /* NULL: all; returns how many */

WEIR_API uint32_t weir_listener_count(struct weir_reactor *reactor, struct weir_topic topic); /* patterns and any too */
WEIR_API void weir_listeners_warn_at(struct weir_reactor *reactor, uint32_t count);           /* 0: never; default 10 */

/*
 * Run this reactor's handlers of `topic` now. `body` is read in place.
 * Returns how many handlers ran or were queued. Nothing ran and nothing was queued: -ENOENT (stale topic), -ENOMEM, and
 * where some handlers queue -EAGAIN (as weir_post to here) and -EINVAL (a body of more than 16 MiB).
 * Compiled into the caller where one plain handler listens (at the end of this header); the library has it as well.
 */
WEIR_API inline int weir_emit(struct weir_reactor *reactor, struct weir_topic topic, const void *body,
                              uint32_t body_bytes);
WEIR_API int weir_emit_keyed(struct weir_reactor *reactor, struct weir_topic topic, uint64_t key, const void *body,
                             uint32_t body_bytes);
/* As weir_emit, by name: one hash look-up more. An unknown name has no handlers unless a pattern or weir_any takes it;
 * then it becomes a topic. Also -EINVAL (empty, over 1,024 bytes, wildcard), -ENOSPC (topics_max). */
WEIR_API int weir_emit_name(struct weir_reactor *reactor, const char *name, const void *body, uint32_t body_bytes);

/* Where to post, beside the index of a reactor. Macros: an enumerator of C11 must fit an int. */
#define WEIR_TO_HERE UINT32_MAX       /* this reactor */
#define WEIR_TO_KEY (UINT32_MAX - 1u) /* the reactor that the key hashes to: the same one for all posters */
#define WEIR_TO_ALL (UINT32_MAX - 2u) /* a copy for every reactor, this one too */

/*
 * Post a copy of `body` to a reactor (an index, or WEIR_TO_...). Two posts from one reactor to one reactor
 * arrive in order. weir_post has no key: it cannot go WEIR_TO_KEY.
 * Returns 0; -EAGAIN: no credit (at one of them, with WEIR_TO_ALL), nothing was posted - call weir_post_resume and try
 * again then; -ENOENT (stale topic), -EINVAL (no such reactor; more than 16 MiB), -ENOMEM (memory_bytes_max).
 */
WEIR_API WEIR_MUST_CHECK int weir_post(struct weir_reactor *from, struct weir_topic topic, uint32_t to,
                                       const void *body, uint32_t body_bytes);
WEIR_API WEIR_MUST_CHECK int weir_post_keyed(struct weir_reactor *from, struct weir_topic topic, uint32_t to,
                                             uint64_t key, const void *body, uint32_t body_bytes);

/*
 * Call `resume` once, in a later turn, when posts to `to` have credit again. One waiter object each. With WEIR_TO_KEY
 * and WEIR_TO_ALL: when the first reactor that has none now has; the next try may find another full.
 */
typedef void (*weir_resume_fn)(struct weir_reactor *reactor, void *context);
struct weir_waiter {
    struct weir_waiter *next; /* weir's; zero at first */
    struct weir_waiter *prev;
    weir_resume_fn resume;
    void *context;
};
WEIR_API void weir_post_resume(struct weir_reactor *from, uint32_t to, struct weir_waiter *waiter);
WEIR_API void weir_post_resume_cancel(struct weir_reactor *from, struct weir_waiter *waiter);

/*
 * What weir_emit needs to be compiled into its caller; none of it is for use, all of it may change. A program built with
 * this header works with a later library all the same: `one_count` stays the first word of a reactor, and a library that
 * lays out the rest in another way keeps it zero, which sends every emit to weir_emit_called.
 */
struct weir_emit_one {         /* of a topic: */
    struct weir_topic topic;   /* generation zero unless one pinned, unlimited handler is all that listens */
    weir_handler_fn fn;
    void *context;
    uint64_t spare;
};

struct weir_emit_cell {        /* an emit in the flight recorder; its place is the event's id */
    uint64_t cause_id;
    struct weir_topic topic;
};

struct weir_emit_head {        /* how a struct weir_reactor begins */
    uint32_t one_count;        /* of `ones`, by topic slot; 0 while a handler that left is to be let go of */
    uint32_t spare;
    const struct weir_emit_one *ones;
    uint64_t cause_id;         /* the event whose handler runs now; 0: none */
    uint64_t next_id;          /* of the next event, and of the next cell */
    struct weir_emit_cell *cells;
    uint64_t cell_mask;
};

/* weir_emit, whoever listens. */
WEIR_API int weir_emit_called(struct weir_reactor *reactor, struct weir_topic topic, const void *body, uint32_t body_bytes);

inline int weir_emit(struct weir_reactor *reactor, struct weir_topic topic, const void *body, uint32_t body_bytes)
{
    typedef uint64_t pair __attribute__((vector_size(16))); /* a store each */
    struct weir_emit_head *head = (struct weir_emit_head *)(void *)reactor;
    const struct weir_emit_one *one;
    struct weir_event event;
    uint64_t topic_word, one_word, id, cause_id;
    if (__builtin_expect(topic.slot >= head->one_count, 0))
        return weir_emit_called(reactor, topic, body, body_bytes);
    one = &head->ones[topic.slot];
    __builtin_memcpy(&topic_word, &topic, sizeof topic_word);
    __builtin_memcpy(&one_word, &one->topic, sizeof one_word);
    if (__builtin_expect(one_word != topic_word, 0))
        return weir_emit_called(reactor, topic, body, body_bytes);
    id = head->next_id;
    cause_id = head->cause_id;
    /* Not to be loaded as one: two fresh narrow stores do not forward to a wide load. */
    __asm__("" : "+r"(id), "+r"(cause_id));
    head->cause_id = id;
    event.id = id;
    pair cell = {cause_id, topic_word}, unkeyed = {body_bytes, 0};
    __builtin_memcpy(&event.cause_id, &cell, sizeof cell);
    __builtin_memcpy(&head->cells[id & head->cell_mask], &cell, sizeof cell);
    __builtin_memcpy(&event.body_bytes, &unkeyed, sizeof unkeyed); /* flags and key are zero */
    event.body = body;
    __atomic_store_n(&head->next_id, id + 1, __ATOMIC_RELEASE); /* a dump sees the cell before its place counts */
#ifdef WEIR_HAVE_SDT
    DTRACE_PROBE2(weir, emit, topic.slot, id);
#endif
    one->fn(reactor, &event, one->context);
    head->cause_id = cause_id;
    return 1;
}

WEIR_END

#endif
