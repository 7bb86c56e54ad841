/*
 * broker/window.h - what one live subscriber has coming, and the limit of it.
 *
 * While the subscriber keeps up its window is empty and events go straight to the connection. When more than
 * WEIR_WINDOW_AHEAD_BYTES wait there, the rest waits here, where it can still be dropped. Replies to the subscriber's own
 * commands are control: they keep their place in the order and are never dropped.
 *
 * Bounded by the policy's hard_bytes. Items hold shared buffers, so a window's bytes are not its own memory.
 */
#ifndef WEIR_BROKER_WINDOW_H
#define WEIR_BROKER_WINDOW_H

#include "broker/broker.h"
#include "runtime/tcp.h"
#include "sched/wheel.h"

enum { WEIR_WINDOW_AHEAD_BYTES = 256 << 10, WEIR_WINDOW_WATCHED_BYTES = 64 << 10 }; /* over this: looked at often */

struct weir_window_item {
    const uint8_t *bytes;
    uint32_t byte_count;
    bool droppable; /* an event of a topic whose policy drops the oldest; never a reply */
    struct weir_buffer *buffer;
};

struct weir_window {
    struct weir_window_item *items; /* a ring, grown by doubling, freed when empty */
    uint32_t first;
    uint32_t count;
    uint32_t room;
    uint64_t byte_count;
    uint64_t over_soft_since_ns; /* 0: is not */
    uint64_t dropped_count;
    uint64_t dropped_bytes;
};

/* A connection as the broker sees it: embedded in the session. */
struct weir_subscriber {
    struct weir_list node;  /* the part's subscribers, those with anything held */
    struct weir_part *part;
    struct weir_tcp *conn;
    const struct weir_format *format;
    void (*on_installed)(struct weir_subscriber *subscriber); /* see weir_broker_installed */
    void (*on_evicted)(struct weir_subscriber *subscriber, const char *why); /* before the connection is aborted */

    /* The broker's. */
    struct weir_list held[WEIR_NAME_KINDS]; /* memberships */
    uint32_t held_count[WEIR_NAME_KINDS];
    bool evicted;
    bool lagging;                           /* a little of its events has not left yet */
    struct weir_list installing;            /* on the part's list while a change of its is not installed */
    uint64_t installing_version;
    struct weir_list slow;                  /* on the part's list of those with a window, or of those lagging */
    struct weir_window window;
    const struct weir_policy *policy;       /* of the last event; while publishers wait, the one the wait began under */
    uint64_t delivered_count;
    uint64_t pausing_since_ns;              /* publishers wait for it; 0: they do not */
    uint64_t patience_from_ns;              /* publishers wait for it again from then on; see window.c */
};

void weir_subscriber_open(struct weir_part *part, struct weir_subscriber *subscriber, struct weir_tcp *conn,
                          const struct weir_format *format);
/* Unsubscribes from everything and lets the window go. Before the connection's on_close returns. */
void weir_subscriber_close(struct weir_subscriber *subscriber);

/* A reply to the subscriber's own command: behind what waits, and never dropped. As weir_tcp_write. */
int weir_subscriber_reply(struct weir_subscriber *subscriber, const void *bytes, size_t byte_count);
/* An event in a shared encoding. Applies the policy; may evict. `policy` is the topic's. */
void weir_subscriber_deliver(struct weir_subscriber *subscriber, struct weir_buffer *buffer, const uint8_t *bytes,
                             uint32_t byte_count, const struct weir_policy *policy);
/* Disconnect it; `why` is for people. Its subscriptions go when the connection has closed. */
void weir_subscriber_evict(struct weir_subscriber *subscriber, const char *why);
/* The connection has room again: move on what waits. Called by the connection's on_drain, and by the part. */
void weir_subscriber_pump(struct weir_subscriber *subscriber);
uint64_t weir_subscriber_waiting_bytes(const struct weir_subscriber *subscriber); /* window and connection */

#endif
