/*
 * runtime/event.h - events that wait: posted to this reactor, or queued for keyed and stealable handlers.
 *
 * An event is held by the queue it waits in and by each of its deliveries; the last hold let go frees it. A delivery is
 * one handler's share: the scheduler's task while it is queued. Bodies of up to WEIR_EVENT_INLINE_BYTES lie in the event,
 * longer ones in a buffer, which may be another reactor's: what came by mail is not copied.
 *
 * Who touches what while a strand is away: the thief reads `event`, the body, and its deliveries' `task`, `posted` and
 * `cancelled`; the scheduler links `task`. Everything else is the home's, all the time.
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

struct weir_delivery {
    struct weir_task task; /* first: the scheduler's pointer is ours */
    struct weir_posted *posted;
    struct weir_handler *handler;
    struct weir_delivery *made_before; /* of the same event, while it is being queued */
    bool cancelled; /* another handler's delivery could not be queued: the event comes again, this one is void */
};

/* A backlog does not fit the first cache: what is always touched is two lines, a short body among it. */
struct weir_posted {
    _Alignas(WEIR_LINE_BYTES) struct weir_posted *next; /* the queue of posts, or the free list */
    struct weir_delivery first;  /* most events have one delivery */
    struct weir_buffer *buffer;  /* NULL: the body is inline */
    uint32_t holds;
    bool emitted;                /* the pinned handlers have had it */
    bool first_used;
    _Alignas(WEIR_LINE_BYTES) struct weir_event event;
    uint64_t number_max;         /* handlers installed later do not get it */
    uint8_t inline_body[WEIR_EVENT_INLINE_BYTES];
};

static_assert(sizeof(struct weir_posted) == 3 * WEIR_LINE_BYTES, "two lines and the rest of a body");

struct weir_events {
    struct weir_posted *first; /* posts that wait for the turn, in order */
    struct weir_posted *last;  /* meaningful with first */
    uint32_t waiting;
    uint32_t live;             /* all events that are not free */
    uint32_t live_max;
    struct weir_posted *free;
    struct weir_delivery *free_deliveries;
    struct weir_slab *slabs;   /* all memory of both */
};

void weir_events_init(struct weir_events *events, uint64_t memory_bytes);
void weir_events_deinit(struct weir_reactor *reactor);

/*
 * An event that waits: a copy of `event` with a hold. The body is copied when `buffer` is NULL, else it lies in
 * `buffer`, whose reference the new event takes over.
 * 0; -EINVAL (over WEIR_EVENT_BODY_MAX), -ENOMEM. The caller looks at live_max.
 */
int weir_posted_make(struct weir_reactor *reactor, const struct weir_event *event, struct weir_buffer *buffer,
                     struct weir_posted **posted_out);
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

/* It is touched soon. NULL: nothing. */
static inline void weir_posted_fetch(const struct weir_posted *posted)
{
    weir_line_fetch((uintptr_t)posted);
    weir_line_fetch((uintptr_t)posted + offsetof(struct weir_posted, event));
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
