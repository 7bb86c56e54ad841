/*
 * broker/part.h - one reactor's part of the broker, from inside the room.
 */
#ifndef WEIR_BROKER_PART_H
#define WEIR_BROKER_PART_H

#include "broker/ask.h"
#include "broker/broker.h"
#include "broker/names.h"
#include "broker/window.h"
#include "runtime/runtime.h"

enum {
    WEIR_MAIL_PUBLISH = WEIR_MAIL_BROKER,
    WEIR_MAIL_INSTALL,   /* the count of a name here is now n */
    WEIR_MAIL_INSTALLED, /* everything up to this version is in my table; reply lane */
};

struct weir_broker {
    struct weir_runtime *runtime;
    struct weir_policy_rule *policies; /* owned copies; globs too */
    uint32_t policy_count;
    struct weir_policy default_policy;
    struct weir_limit_shared *limits; /* NULL: none */
    uint64_t seed;
    struct weir_keep_options keep; /* folder NULL: nothing is kept */
    struct weir_data *data;        /* opened by reactor 0's job, then read by all */
};

/* What a part knows of another reactor. */
struct weir_peer {
    struct weir_part *part;
    uint32_t reactor;
    uint64_t sent_version;     /* of ours, told to it */
    uint64_t acked_version;    /* of ours, in its table */
    uint64_t received_version; /* of its, in ours */
    uint64_t answered_version; /* of its, acknowledged by us */
    struct weir_waiter waiter; /* for credit, to go on telling */
};

/* The encoding of the event being delivered, in one format. */
struct weir_encoding {
    struct weir_buffer *page; /* encodings of many events, one after the other; held by the part */
    uint32_t page_used;
    uint64_t stamp; /* the delivery it was made for */
    struct weir_buffer *buffer;
    const uint8_t *bytes;
    uint32_t byte_count;
};

/* Questions that wait for credit towards one reactor: broker/ask.c. */
struct weir_ask_queue {
    struct weir_list asks;
    struct weir_waiter waiter;
    uint32_t to;
};

struct weir_keep;

/* The policy of a topic that has no entry in the table. Its hash stands for it: 64 bits, by a seed nobody knows. */
struct weir_known_policy {
    uint64_t hash;
    const struct weir_policy *policy; /* NULL: none is known */
};
enum { WEIR_KNOWN_POLICIES = 256 };

struct weir_part {
    struct weir_broker *broker;
    struct weir_reactor *reactor;
    struct weir_names names;
    struct weir_limit *limit;
    struct weir_wheel_timer limit_timer; /* armed while tokens may be borrowed */
    struct weir_part_counters counters;
    struct weir_list subscribers;

    /* Replication: broker/replica.c. */
    uint64_t version;          /* of this reactor's own counts */
    struct weir_list changes;  /* names by version, those that some peer has not been told */
    struct weir_list installing; /* subscribers by version */
    struct weir_peer *peers;   /* by reactor, our own place unused */
    struct weir_turn_hook hook;

    /* Delivery: broker/publish.c. */
    uint64_t stamp;
    struct weir_encoding encodings[WEIR_FORMATS_MAX];
    struct weir_name **matched; /* patterns of the event at hand */
    uint32_t matched_count;
    uint32_t matched_room;
    struct weir_known_policy known_policies[WEIR_KNOWN_POLICIES]; /* by hash */
    struct weir_waiter paused_waiters; /* publishers that wait for a subscriber: a ring list */
    bool wake_paused;                  /* they look again at the end of this turn */

    /* Windows: broker/window.c. */
    struct weir_list slow;    /* much waits: looked at often */
    struct weir_wheel_timer slow_timer;
    struct weir_list lagging; /* something has not left: looked at now and then */
    struct weir_wheel_timer lag_timer;
    uint64_t patience_from_ns; /* until then publishers wait for nobody more under `close`; see window.c */
    struct weir_ask_queue *asks; /* by reactor */
    struct weir_keep *keep;      /* kept topics: broker/keep.h; NULL: nothing is kept */
    uint64_t relief_turn; /* no second eviction for memory before: the first has to close yet */
};

/* broker/replica.c */
void weir_replica_init(struct weir_part *part);
void weir_replica_changed(struct weir_part *part, struct weir_name *name); /* this reactor's count or pause did */
void weir_replica_on_install(struct weir_reactor *reactor, uint32_t from, const struct weir_mail *mail);
void weir_replica_on_installed(struct weir_reactor *reactor, uint32_t from, const struct weir_mail *mail);
uint64_t weir_replica_acked(const struct weir_part *part); /* the least version that all peers have */

/* broker/publish.c */
void weir_publish_init(struct weir_part *part);
void weir_publish_deinit(struct weir_part *part);
void weir_publish_on_mail(struct weir_reactor *reactor, uint32_t from, const struct weir_mail *mail);
void weir_publish_wake_paused(struct weir_part *part);   /* at the end of this turn */
void weir_publish_resume_paused(struct weir_part *part); /* now, if that was asked for: the part's hook */

/* broker/ask.c */
void weir_asks_init(struct weir_part *part);
void weir_asks_deinit(struct weir_part *part);

/* broker/window.c */
void weir_windows_init(struct weir_part *part);
/* A membership's subscriber begins or ends to make publishers of the name wait. */
void weir_windows_pausing(struct weir_subscriber *subscriber, bool pausing);
/* Memory is short: the one that has stalled longest goes, before those that read are refused. */
void weir_windows_relieve(struct weir_part *part);

#endif
