/*
 * broker/catalog.h - topics that are kept: name, id, partitions, configuration. The same on every reactor.
 *
 * Reactor 0 decides: a change is made durable there (a row of WEIR_TABLE_CATALOG), told to every reactor, and done when all of them have
 * it; so whoever was told "created" finds the topic wherever its next connection lands. Reading is a look-up in this reactor's copy.
 *
 * A name that is not in the catalog is a live topic (broker/broker.h). Both are one namespace.
 *
 * Proof: tests/broker/catalog_test.c.
 */
#ifndef WEIR_BROKER_CATALOG_H
#define WEIR_BROKER_CATALOG_H

#include "broker/ask.h"
#include "log/store.h"

enum { WEIR_TOPIC_NAME_BYTES_MAX = 249, WEIR_PARTITIONS_MAX = 10000, WEIR_TOPIC_CONFIGS = 16 };

enum weir_timestamp_kind { WEIR_TIMESTAMP_CREATE, WEIR_TIMESTAMP_APPEND };

struct weir_topic_config { /* -1 where it is not set for this topic: the node's default holds. Names as in Kafka: catalog_config.c */
    int64_t level;         /* enum weir_log_level_kind; "weir.durability" */
    int64_t segment_bytes, segment_ms, retention_bytes, retention_ms; /* retention: -1 is Kafka's "no limit": INT64_MAX here */
    int64_t message_bytes_max;
    int64_t cleanup;       /* bit 0 delete, bit 1 compact */
    int64_t timestamp_kind;
    int64_t min_insync_replicas;  /* kept and shown; one node has one */
    int64_t compression;          /* kept and shown: 0 producer */
};

struct weir_kept_topic { /* this reactor's copy; valid until the next turn unless said otherwise */
    struct weir_list node;
    struct weir_log_id id;
    uint32_t partition_count;
    bool internal;
    struct weir_topic_config config;   /* as set */
    uint64_t version;
    uint32_t name_bytes;
    char name[WEIR_TOPIC_NAME_BYTES_MAX + 1];
};

enum weir_catalog_result { /* what a change came to */
    WEIR_CATALOG_DONE,
    WEIR_CATALOG_EXISTS,
    WEIR_CATALOG_UNKNOWN,
    WEIR_CATALOG_BAD_NAME,
    WEIR_CATALOG_BAD_COUNT,   /* of partitions: none, too many, or no more than there are */
    WEIR_CATALOG_BAD_CONFIG,  /* `why` names it */
    WEIR_CATALOG_NOT_WRITTEN, /* the disk */
};

/* Look-ups on this reactor. NULL: no such topic. */
const struct weir_kept_topic *weir_catalog_find(struct weir_part *part, const void *name, size_t name_bytes);
const struct weir_kept_topic *weir_catalog_find_id(struct weir_part *part, const struct weir_log_id *id);
void weir_catalog_each(struct weir_part *part, void (*fn)(void *context, const struct weir_kept_topic *topic), void *context);
bool weir_topic_name_legal(const void *name, size_t name_bytes); /* 1-249 of [A-Za-z0-9._-], not . or .. */
/* What holds for a topic: its own settings over the node's. */
void weir_topic_effective(const struct weir_part *part, const struct weir_kept_topic *topic, struct weir_topic_config *config_out);

/* Configuration by the names Kafka's tools use. The table of all there are: */
struct weir_config_entry {
    const char *name;
    const char *summary;
    size_t place;    /* in struct weir_topic_config */
    int64_t min, max;
    uint8_t kind;    /* Kafka's config types: 2 string, 3 int, 5 long, 7 list */
    const char *const *words; /* of values that are words; else NULL */
};
extern const struct weir_config_entry weir_config_entries[];
extern const uint32_t weir_config_entry_count;
/* Parse `text` for `entry` into config. false: not a value it can have. */
bool weir_config_parse(const struct weir_config_entry *entry, const char *text, size_t text_bytes, struct weir_topic_config *config);
void weir_config_print(const struct weir_config_entry *entry, const struct weir_topic_config *config, char *text, size_t text_bytes);
bool weir_config_is_set(const struct weir_config_entry *entry, const struct weir_topic_config *config);
void weir_config_unset(const struct weir_config_entry *entry, struct weir_topic_config *config);
void weir_topic_defaults(const struct weir_part *part, struct weir_topic_config *config_out); /* the node's; and to begin a config: weir_topic_unset */
static inline void weir_topic_unset(struct weir_topic_config *config) { __builtin_memset(config, 0xff, sizeof *config); }
const struct weir_config_entry *weir_config_find(const char *name, size_t name_bytes);

/* A change: fill in, send, and read `result` in `done`. The struct is the catalog's meanwhile. */
enum weir_catalog_verb { WEIR_CATALOG_CREATE, WEIR_CATALOG_DELETE, WEIR_CATALOG_GROW, WEIR_CATALOG_CONFIGURE };
struct weir_catalog_change {
    struct weir_ask ask;
    enum weir_catalog_verb verb;
    bool only_check; /* validateOnly */
    char name[WEIR_TOPIC_NAME_BYTES_MAX + 1];
    uint32_t name_bytes;
    struct weir_log_id id;          /* DELETE: instead of a name when name_bytes is 0; CREATE: the new one, out */
    uint32_t partition_count;       /* CREATE: 0: the node's default; GROW: the new count; out: what it is */
    struct weir_topic_config config; /* CREATE, CONFIGURE: all of it */
    enum weir_catalog_result result;
    char why[128];
    void (*done)(struct weir_part *part, struct weir_catalog_change *change);
    void *context;
    struct weir_commit commit; /* the catalog's, as all below */
    void *own;
};
void weir_catalog_change(struct weir_part *part, struct weir_catalog_change *change);

#endif
