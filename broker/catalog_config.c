/*
 * broker/catalog_config.c - the settings of a topic, by the names Kafka's tools use: one table for parsing, printing, and documentation.
 *
 * Proof: tests/broker/catalog_test.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/keep.h"

enum { TYPE_STRING = 2, TYPE_INT = 3, TYPE_LONG = 5, TYPE_LIST = 7 };

#define AT(field) offsetof(struct weir_topic_config, field)

/* Values that are words: their place in the list is the number. */
static const char *const levels[] = {"synced", "written", "memory", NULL};
static const char *const cleanups[] = {"", "delete", "compact", "compact,delete", NULL};
static const char *const timestamps[] = {"CreateTime", "LogAppendTime", NULL};
static const char *const compressions[] = {"producer", "uncompressed", "gzip", "snappy", "lz4", "zstd", NULL};

const struct weir_config_entry weir_config_entries[] = {
    {"cleanup.policy", "what goes when a log is old: delete, compact, or both", AT(cleanup), 1, 3, TYPE_LIST, cleanups},
    {"compression.type", "kept and shown; batches are stored as they came", AT(compression), 0, 5, TYPE_STRING, compressions},
    {"max.message.bytes", "the largest batch that is taken", AT(message_bytes_max), 1, 12 << 20, TYPE_INT, NULL},
    {"message.timestamp.type", "whose time a record has", AT(timestamp_kind), 0, 1, TYPE_STRING, timestamps},
    {"min.insync.replicas", "kept and shown; one node has one", AT(min_insync_replicas), 1, INT32_MAX, TYPE_INT, NULL},
    {"retention.bytes", "a partition above it loses its oldest segments; -1: no limit", AT(retention_bytes), -1, INT64_MAX, TYPE_LONG,
     NULL},
    {"retention.ms", "records older than that go, a segment at a time; -1: never", AT(retention_ms), -1, INT64_MAX, TYPE_LONG, NULL},
    {"segment.bytes", "a segment is full", AT(segment_bytes), 1 << 14, 1 << 30, TYPE_INT, NULL},
    {"segment.ms", "a segment that old is closed, full or not", AT(segment_ms), 1, INT64_MAX, TYPE_LONG, NULL},
    {"weir.durability", "when an append is acknowledged: synced, written, memory", AT(level), 0, 2, TYPE_STRING, levels},
};
const uint32_t weir_config_entry_count = sizeof weir_config_entries / sizeof *weir_config_entries;

static int64_t *place_of(const struct weir_config_entry *entry, struct weir_topic_config *config)
{
    return (int64_t *)(void *)((char *)config + entry->place);
}

const struct weir_config_entry *weir_config_find(const char *name, size_t name_bytes)
{
    for (uint32_t i = 0; i < weir_config_entry_count; i++)
        if (strlen(weir_config_entries[i].name) == name_bytes && memcmp(weir_config_entries[i].name, name, name_bytes) == 0)
            return &weir_config_entries[i];
    return NULL;
}

static int64_t word_number(const struct weir_config_entry *entry, const char *text)
{
    if (strcmp(text, "delete,compact") == 0)
        text = "compact,delete";
    for (int64_t i = entry->min; entry->words[i]; i++)
        if (strcmp(entry->words[i], text) == 0)
            return i;
    return -1;
}

bool weir_config_parse(const struct weir_config_entry *entry, const char *text, size_t text_bytes, struct weir_topic_config *config)
{
    char word[32], *end;
    if (text_bytes == 0 || text_bytes >= sizeof word)
        return false;
    memcpy(word, text, text_bytes);
    word[text_bytes] = 0;
    int64_t value;
    if (entry->words) {
        value = word_number(entry, word);
        if (value < 0)
            return false;
    } else {
        errno = 0;
        value = strtoll(word, &end, 10);
        if (errno || *end || end == word || value < entry->min || value > entry->max)
            return false;
        if (value == -1)
            value = INT64_MAX; /* retention's "no limit": -1 here is "not set" */
    }
    *place_of(entry, config) = value;
    return true;
}

void weir_config_print(const struct weir_config_entry *entry, const struct weir_topic_config *config, char *text, size_t text_bytes)
{
    int64_t value = *place_of(entry, (struct weir_topic_config *)(uintptr_t)config);
    if (entry->words)
        snprintf(text, text_bytes, "%s", value >= 0 && value <= entry->max ? entry->words[value] : "");
    else
        snprintf(text, text_bytes, "%lld", entry->min == -1 && value == INT64_MAX ? -1LL : (long long)value);
}

void weir_topic_defaults(const struct weir_part *part, struct weir_topic_config *config_out)
{
    const struct weir_keep_options *keep = &part->broker->keep;
    *config_out = (struct weir_topic_config){
        .level = keep->level,
        .segment_bytes = keep->segment_bytes,
        .segment_ms = (int64_t)7 * 24 * 3600 * 1000,
        .retention_bytes = keep->retention_bytes < 0 ? INT64_MAX : keep->retention_bytes,
        .retention_ms = keep->retention_ms < 0 ? INT64_MAX : keep->retention_ms,
        .message_bytes_max = keep->message_bytes_max,
        .cleanup = 1,
        .timestamp_kind = WEIR_TIMESTAMP_CREATE,
        .min_insync_replicas = 1,
        .compression = 0,
    };
}

void weir_topic_effective(const struct weir_part *part, const struct weir_kept_topic *topic, struct weir_topic_config *config_out)
{
    weir_topic_defaults(part, config_out);
    for (uint32_t i = 0; i < weir_config_entry_count; i++) {
        int64_t set = *place_of(&weir_config_entries[i], (struct weir_topic_config *)(uintptr_t)&topic->config);
        if (set >= 0)
            *place_of(&weir_config_entries[i], config_out) = set;
    }
}

bool weir_config_is_set(const struct weir_config_entry *entry, const struct weir_topic_config *config)
{
    return *place_of(entry, (struct weir_topic_config *)(uintptr_t)config) >= 0;
}

void weir_config_unset(const struct weir_config_entry *entry, struct weir_topic_config *config)
{
    *place_of(entry, config) = -1;
}

void weir_partition_config_of(const struct weir_part *part, const struct weir_kept_topic *topic,
                              struct weir_partition_config *config_out)
{
    struct weir_topic_config config;
    weir_topic_effective(part, topic, &config);
    *config_out = (struct weir_partition_config){
        .level = (enum weir_log_level_kind)config.level,
        .segment_bytes = (uint64_t)config.segment_bytes,
        .segment_ms = config.segment_ms,
        .retention_ms = config.retention_ms == INT64_MAX ? -1 : config.retention_ms,
        .retention_bytes = config.retention_bytes == INT64_MAX ? -1 : config.retention_bytes,
        .compact = config.cleanup & 2,
        .delete_old = config.cleanup & 1,
    };
}
