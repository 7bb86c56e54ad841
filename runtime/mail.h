/*
 * runtime/mail.h - what one reactor may ask of another: 64-byte messages over the mesh.
 *
 * A message is written in place in a ring slot and shown at the end of the sender's turn; its handler runs on the
 * receiver. Nobody calls into another reactor's thread. No slot free = no credit: the caller keeps what it has,
 * waits with weir_mail_wait, and is called again when credit has come back.
 */
#ifndef WEIR_RUNTIME_MAIL_H
#define WEIR_RUNTIME_MAIL_H

#include <assert.h>

#include <weir/topic.h>

#include "ring/mesh.h"

struct weir_buffer;

enum weir_mail_type {
    WEIR_MAIL_NONE,
    WEIR_MAIL_POST, /* an event for a topic there (runtime/post.c); taken in runs by runtime/topics.c, not by a weir_mail_fn */
    WEIR_MAIL_DONE, /* a stolen strand comes home; reply lane (runtime/reactor.c) */
    WEIR_MAIL_CALL, /* run a function there */
    WEIR_MAIL_BROKER, /* the first of the broker's own */
    WEIR_MAIL_TYPES = 32,
};

enum {
    WEIR_MAIL_KEYED = WEIR_EVENT_KEYED,
    WEIR_MAIL_BUFFER = 1u << 1, /* the body is in `buffer`, not inline */
};

struct weir_mail {
    uint8_t type;
    uint8_t flags;
    uint16_t spare;
    uint32_t body_bytes;
    uint64_t id;
    uint64_t cause_id;
    union {
        struct {
            struct weir_topic topic;
            uint64_t key;
            union {
                uint8_t inline_body[24];
                struct weir_buffer *buffer;
            };
        } post;
        struct {
            void (*fn)(struct weir_reactor *reactor, void *context);
            void *context;
        } call;
        void *pointer;
        uint64_t words[5];
        uint8_t bytes[40];
    };
};
static_assert(sizeof(struct weir_mail) == WEIR_MESH_SLOT_BYTES, "a mail is one slot");

/* `type`, `flags`, no `spare` and `body_bytes` as one word. */
static inline uint64_t weir_mail_head(uint8_t type, uint32_t flags, uint32_t body_bytes)
{
    return type | (uint64_t)flags << 8 | (uint64_t)body_bytes << 32;
}

/* Runs on the receiver. The mail is gone when it returns. */
typedef void (*weir_mail_fn)(struct weir_reactor *reactor, uint32_t from, const struct weir_mail *mail);

/* Before the runtime starts; each type once. */
void weir_mail_handle(struct weir_runtime *runtime, uint8_t type, weir_mail_fn fn);

/*
 * A slot towards another reactor, type and ids filled in; NULL: no credit (counted). Sent when the turn ends.
 * WEIR_MAIL_POST goes by the lane of posts and nothing else does: a receiver refuses it while its queue is full, and what
 * stands behind it waits. Mail of one lane arrives in order, mail of different lanes in any.
 */
struct weir_mail *weir_mail_reserve(struct weir_reactor *from, uint32_t to, uint8_t type, enum weir_mesh_lane lane);
/* So many reserves for requests, or for posts, will not fail. */
uint32_t weir_mail_credit(struct weir_reactor *from, uint32_t to);
uint32_t weir_mail_post_credit(struct weir_reactor *from, uint32_t to);

/* Call waiter->resume in a later turn, once credit towards `to` is back. Waiters of one destination in order. */
void weir_mail_wait(struct weir_reactor *from, uint32_t to, struct weir_waiter *waiter);
/* The same for posts; `to` may be `from` itself: its own queue. */
void weir_mail_wait_post(struct weir_reactor *from, uint32_t to, struct weir_waiter *waiter);
void weir_mail_wait_cancel(struct weir_reactor *from, struct weir_waiter *waiter);
/* The reactor's turn: call those whose credit is back. How many. */
uint32_t weir_mail_resume(struct weir_reactor *reactor);

/* Run fn(reactor `to`, context) there; here at once when `to` is `from`. -EAGAIN: no credit. */
int weir_mail_call(struct weir_reactor *from, uint32_t to, void (*fn)(struct weir_reactor *, void *), void *context);

#endif
