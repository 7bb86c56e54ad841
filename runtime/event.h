/*
 * runtime/event.h - events that wait: posted to this reactor, or queued for keyed and stealable handlers.
 *
 * An event is held by the queue it waits in and by each of its deliveries; the last hold let go frees it. Where one handler
 * alone queues, the event itself is the scheduler's task; where several do, each has a delivery. Bodies of up to
 * WEIR_EVENT_INLINE_BYTES lie in the event, longer ones in a buffer, which may be another reactor's: what came by mail is
 * not copied.
 *
 * Who touches what while a strand is away: the thief reads what is told of an event, its body, and of deliveries `posted`
 * and `cancelled`; the scheduler links `task`. Everything else is the home's, all the time.
 */
#ifndef WEIR_RUNTIME_EVENT_H
#define WEIR_RUNTIME_EVENT_H

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include <weir/topic.h>

#include "base/atomic.h"
#include "runtime/buffer.h"
#include "sched/strand.h"

struct weir_handler;
struct weir_roster;
struct weir_topics;
struct weir_posted;

enum {
    WEIR_EVENT_INLINE_BYTES = 64,
    WEIR_EVENT_BODY_MAX = 16 << 20,
    WEIR_EVENTS_MAX = 65536, /* alive on one reactor, unless they came by mail */
};

/* What an event that waits is, beside WEIR_EVENT_KEYED. */
enum {
    WEIR_POSTED_EMITTED = 1u << 1,  /* its pinned handlers have had it; handlers installed later do not get it */
    WEIR_POSTED_BUFFER = 1u << 2,   /* the body is in `buffer` */
    WEIR_POSTED_BESIDE = 1u << 3,   /* the body is in struct weir_beside */
    WEIR_POSTED_DELIVERY = 1u << 4, /* no event, but struct weir_delivery */
};

/*
 * A backlog does not fit the first cache: all that is told of an event with a short body is one line, and its handler is
 * given a struct weir_event on the stack. `task` links it wherever it is: in the queue of posts, a strand or the free list.
 */
struct weir_posted {
    _Alignas(WEIR_LINE_BYTES) struct weir_task task; /* first: the scheduler's pointer is ours */
    uint32_t body_bytes : 25;
    uint32_t flags : 7; /* never change, so that a thief may look */
    uint32_t holds;
    uint64_t id;
    uint64_t cause_id;
    struct weir_topic topic;
    uint64_t key;
    union {
        uint8_t short_body[16];
        struct weir_buffer *buffer; /* WEIR_POSTED_BUFFER */
    };
};

static_assert(sizeof(struct weir_posted) == WEIR_LINE_BYTES, "one line");

/* What few events need: elsewhere, lest it take every second line of the cache from the others. */
struct weir_beside {
    union {
        uint8_t body[WEIR_EVENT_INLINE_BYTES]; /* WEIR_POSTED_BESIDE */
        uint64_t number_max; /* WEIR_POSTED_EMITTED: handlers from this one on do not get it */
    };
};

enum { WEIR_SLAB_EVENTS = 127 }; /* laid out together: so many events, then as much beside them */

static inline struct weir_beside *weir_posted_beside(const struct weir_posted *posted)
{
    return (struct weir_beside *)((uintptr_t)posted + WEIR_SLAB_EVENTS * sizeof *posted);
}

static_assert(WEIR_EVENT_BODY_MAX < 1 << 25, "its length fits");

/* One handler's share of an event that several queue for: begins as an event does. */
struct weir_delivery {
    struct weir_task task;
    uint32_t no_bytes : 25;
    uint32_t flags : 7; /* WEIR_POSTED_DELIVERY */
    bool cancelled; /* another handler's delivery could not be queued: the event comes again, this one is void */
    struct weir_posted *posted;
    struct weir_delivery *made_before; /* of the same event, while it is being queued */
};

struct weir_events {
    struct weir_posted *first; /* posts that wait for the turn, in order */
    struct weir_posted *last;  /* meaningful with first */
    uint32_t waiting;
    uint32_t live;             /* all events that are not free */
    uint32_t live_max;
    struct weir_posted *free;
    struct weir_task *free_deliveries;
    struct weir_slab *slabs;   /* all memory of both */
};

void weir_events_init(struct weir_events *events, uint64_t memory_bytes);
void weir_events_deinit(struct weir_reactor *reactor);

/* A new chunk of memory, for weir_posted_take. NULL: none. */
struct weir_posted *weir_posted_take_new(struct weir_events *events);
/*
 * An event that waits: a copy of `event` with a hold. The body is copied when `buffer` is NULL, else it lies in
 * `buffer`, whose reference the new event takes over. `flags`: WEIR_POSTED_EMITTED or 0.
 * 0; -EINVAL (over WEIR_EVENT_BODY_MAX), -ENOMEM. The caller looks at live_max.
 */
int weir_posted_make(struct weir_reactor *reactor, const struct weir_event *event, struct weir_buffer *buffer,
                     uint32_t flags, struct weir_posted **posted_out);
void weir_posted_drop(struct weir_reactor *reactor, struct weir_posted *posted);

/* The line at `address`, whatever that is, is written soon; another core may have it. */
static inline void weir_line_fetch(uintptr_t address)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)address)); /* does nothing where it is not known */
#else
    __builtin_prefetch((const void *)address, 1);
#endif
}

/* memcpy for bodies, most of which are short and not worth a call. */
static inline void weir_body_copy(void *to, const void *from, size_t bytes)
{
    char *out = to;
    const char *in = from;
    if (bytes > 24) {
        memcpy(out, in, bytes);
    } else if (bytes >= 8) { /* words that may overlap */
        uint64_t first, middle, last;
        size_t half = bytes >= 16 ? 8 : 0;
        memcpy(&first, in, 8);
        memcpy(&middle, in + half, 8);
        memcpy(&last, in + bytes - 8, 8);
        memcpy(out, &first, 8);
        memcpy(out + half, &middle, 8);
        memcpy(out + bytes - 8, &last, 8);
    } else {
        for (size_t i = 0; i < bytes; i++)
            out[i] = in[i];
    }
}

static inline struct weir_posted *weir_posted_of(struct weir_task *task)
{
    return (struct weir_posted *)(void *)task;
}

static inline struct weir_task *weir_task_of(struct weir_posted *posted)
{
    return (struct weir_task *)(void *)posted;
}

/* Memory for an event, not laid out; NULL: none. */
static inline struct weir_posted *weir_posted_take(struct weir_events *events)
{
    struct weir_posted *posted = events->free;
    if (__builtin_expect(!posted, 0))
        return weir_posted_take_new(events);
    events->free = weir_posted_of(posted->task.next);
    weir_line_fetch((uintptr_t)events->free);
    events->live++;
    return posted;
}

/* Length, flags and one hold. A short body will lie in the event, a longer one beside it. */
static inline void weir_posted_head(struct weir_posted *posted, uint32_t body_bytes, uint32_t flags)
{
    uint32_t beside = body_bytes > sizeof posted->short_body ? WEIR_POSTED_BESIDE : 0;
    uint32_t far = body_bytes > WEIR_EVENT_INLINE_BYTES ? WEIR_POSTED_BUFFER : beside;
    posted->body_bytes = body_bytes & ((1u << 25) - 1);
    posted->flags = (flags | far) & 0x7f;
    posted->holds = 1;
}

/* To where the head says it will lie. 0; -ENOMEM: the event is gone. */
int weir_posted_copy_far(struct weir_reactor *reactor, struct weir_posted *posted, const void *body);

static inline int weir_posted_copy_body(struct weir_reactor *reactor, struct weir_posted *posted, const void *body)
{
    if (__builtin_expect((posted->flags & (WEIR_POSTED_BUFFER | WEIR_POSTED_BESIDE)) != 0, 0))
        return weir_posted_copy_far(reactor, posted, body);
    weir_body_copy(posted->short_body, body, posted->body_bytes);
    return 0;
}

static inline const void *weir_posted_body(const struct weir_posted *posted)
{
    if (__builtin_expect((posted->flags & (WEIR_POSTED_BUFFER | WEIR_POSTED_BESIDE)) == 0, 1))
        return posted->short_body;
    return posted->flags & WEIR_POSTED_BESIDE ? weir_posted_beside(posted)->body : posted->buffer->bytes;
}

/* What handlers are given. */
static inline struct weir_event weir_posted_event(const struct weir_posted *posted)
{
    return (struct weir_event){
        .id = posted->id,
        .cause_id = posted->cause_id,
        .topic = posted->topic,
        .body_bytes = posted->body_bytes,
        .flags = posted->flags & WEIR_EVENT_KEYED,
        .key = posted->key,
        .body = weir_posted_body(posted),
    };
}

/* Line up for the turn, taking the hold over. */
void weir_posted_wait(struct weir_events *events, struct weir_posted *posted);

/*
 * Queue an event for the handlers of an up-to-date roster that queue: for all of them or for none.
 * Returns how many; -EAGAIN (strands), -ENOMEM.
 */
int weir_posted_deliver(struct weir_reactor *reactor, struct weir_roster *roster, struct weir_posted *posted);

/* struct weir_class.execute of every handler that queues. */
enum weir_verdict weir_delivery_execute(void *handler, struct weir_task *task, void *on);

#endif
