/*
 * broker/broker.h - live topics across all reactors: who subscribes, what is published, who is slow.
 *
 * Each reactor has a part of the broker. A part knows, for every name that anybody subscribes to, how many subscribers each
 * reactor has (a replicated table: broker/names.h); so a publish counts its receivers and finds its destinations without
 * asking anyone. Changes travel as "the count of this name at reactor r is now n", in order, and are acknowledged by
 * version (broker/replica.h): a subscription is *installed* once every reactor has acknowledged it, and then every later
 * publish anywhere reaches it.
 *
 * Three kinds of names, each a namespace of its own: topics, patterns (globs over topics), and shards (topics that patterns
 * do not see).
 *
 * A subscriber is a connection with a byte window (broker/window.h). One encoding of an event serves all subscribers of a
 * reactor that speak alike. All calls: on the part's own reactor.
 */
#ifndef WEIR_BROKER_BROKER_H
#define WEIR_BROKER_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "broker/policy.h"
#include "runtime/reactor.h"
#include "sched/limit.h"

struct weir_broker;
struct weir_part;
struct weir_subscriber;
struct weir_tcp;

enum weir_name_kind { WEIR_NAME_TOPIC, WEIR_NAME_PATTERN, WEIR_NAME_SHARD, WEIR_NAME_KINDS };

/* A match may cost their product: so long a name against so long a pattern takes a tenth of a second. */
enum { WEIR_NAME_BYTES_MAX = 1 << 16, WEIR_PATTERN_BYTES_MAX = 1 << 10 };

struct weir_slice {
    const uint8_t *bytes;
    size_t byte_count;
};

struct weir_publication {
    enum weir_name_kind kind; /* TOPIC or SHARD */
    struct weir_slice name;
    struct weir_slice pattern; /* while delivered by one: the pattern; else empty */
    struct weir_slice body;
    uint64_t id;
    uint64_t cause_id;
    bool by_pattern;
};

/* How subscribers of one protocol see an event. One object a format, static: its address is its identity. */
struct weir_format {
    uint32_t number; /* 0 .. WEIR_FORMATS_MAX - 1, one for each object */
    size_t (*byte_count)(const struct weir_publication *publication);
    void (*encode)(const struct weir_publication *publication, uint8_t *out); /* exactly byte_count */
};
enum { WEIR_FORMATS_MAX = 8 };

/* Topics that are kept (broker/catalog.h): where, and what holds for a topic that says nothing else. */
struct weir_keep_options {
    const char *folder;            /* NULL: nothing is kept */
    uint64_t extent_bytes;         /* of the journals; 0: the default */
    uint64_t checkpoint_ns;        /* 0: the default */
    uint64_t tail_bytes_max;       /* of each reactor; 0: the default */
    uint32_t partitions_default;   /* 0: 1 */
    bool create_unknown;           /* a client's first use of a name makes the topic */
    uint32_t level;                /* enum weir_log_level_kind */
    int64_t retention_ms, retention_bytes, segment_bytes, message_bytes_max; /* 0: 7 days, no limit, 128 MiB, 1,048,588 */
    /* Recovery has ended, on reactor 0: 0 and what it found, or why it could not (a sentence). May be NULL. */
    void (*on_kept)(void *context, int result, const char *why);
    void *context;
};

/* One broker for a runtime, opened before it starts and closed after it. `options` is copied. 0; -ENOMEM, -EINVAL. */
struct weir_broker_options {
    const struct weir_policy_rule *policies; /* by glob over topic names, first match wins; then the default */
    uint32_t policy_count;
    struct weir_policy default_policy;       /* zero: as weir_policy_default */
    struct weir_limit_rule limits[WEIR_LIMIT_LEVELS];
    struct weir_keep_options keep;
};
int weir_broker_open(struct weir_runtime *runtime, const struct weir_broker_options *options, struct weir_broker **broker_out);
void weir_broker_close(struct weir_broker *broker);
/* From on_start, on each reactor; then weir_part(reactor) answers. */
int weir_part_open(struct weir_broker *broker, struct weir_reactor *reactor);
void weir_part_close(struct weir_reactor *reactor); /* from on_stop */
struct weir_part *weir_part(struct weir_reactor *reactor);

/*
 * Subscribe or unsubscribe. `subscriber` counts as one for each name. The bytes of `name` are copied.
 * changed_out  false: it was (or was not) subscribed already
 * Returns 0; -ENOMEM (names and who holds them take as much as a reactor's buffers may at most); -ENAMETOOLONG.
 */
int weir_broker_subscribe(struct weir_subscriber *subscriber, enum weir_name_kind kind, struct weir_slice name,
                          bool *changed_out);
int weir_broker_unsubscribe(struct weir_subscriber *subscriber, enum weir_name_kind kind, struct weir_slice name,
                            bool *changed_out);
void weir_broker_unsubscribe_all(struct weir_subscriber *subscriber);
/* Every name it holds of `kind`, in no order; the callback may unsubscribe that one. */
void weir_broker_each_held(struct weir_subscriber *subscriber, enum weir_name_kind kind,
                           void (*fn)(void *context, struct weir_slice name), void *context);
/* Is everything this reactor changed so far installed everywhere? When not, subscriber->on_installed is called, once,
 * when it is. */
bool weir_broker_installed(struct weir_subscriber *subscriber);

/*
 * Publish to every subscriber everywhere; `publication` is read before the call returns.
 * receivers_out  topic's subscribers plus one for each matching pattern's, on all reactors
 * Returns 0; -EAGAIN: a reactor on the way has no credit, or a subscriber with policy `pause` is full: nothing was
 * published, `waiter` (may be NULL) is called once when it is worth trying again; -ENOMEM, -ENAMETOOLONG: likewise
 * nothing, no call.
 */
struct weir_publish_waiter {
    struct weir_waiter waiter; /* fill resume and context */
    bool paused;               /* the broker's: waits for a subscriber, not for credit */
};
int weir_broker_publish(struct weir_part *part, const struct weir_publication *publication,
                        struct weir_publish_waiter *waiter, uint64_t *receivers_out);
void weir_broker_publish_cancel(struct weir_part *part, struct weir_publish_waiter *waiter);

/* How many a publish would reach: subscribers and matching patterns', everywhere. */
uint64_t weir_broker_receivers(struct weir_part *part, enum weir_name_kind kind, struct weir_slice name);

/* The replicated table. */
uint64_t weir_broker_subscriber_count(struct weir_part *part, enum weir_name_kind kind, struct weir_slice name);
uint64_t weir_broker_name_count(struct weir_part *part, enum weir_name_kind kind); /* names with a subscriber somewhere */
void weir_broker_each_name(struct weir_part *part, enum weir_name_kind kind,
                           void (*fn)(void *context, struct weir_slice name, uint64_t subscribers), void *context);

/* Publish limits by client and topic hash; see sched/limit.h. */
struct weir_limit_verdict weir_broker_take(struct weir_part *part, uint64_t client_hash, struct weir_slice topic);

struct weir_part_counters {
    uint64_t published, delivered, delivered_bytes, forwarded, received;
    uint64_t dropped_oldest, dropped_newest, evicted_hard, evicted_soft, evicted_stuck, evicted_memory;
    uint64_t pauses, publishes_waited, throttled_delay, throttled_reject;
    uint64_t installs_sent, installs_received;
    uint64_t subscribers, windowed_bytes;
};
const struct weir_part_counters *weir_part_counters(const struct weir_part *part);
/* Publishes that limits in observe mode would have refused. */
uint64_t weir_part_observed_count(const struct weir_part *part);

#endif
