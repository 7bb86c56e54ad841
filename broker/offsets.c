/*
 * broker/offsets.c - rows of commits: written, read, removed.
 *
 * Only the last row of a request carries the commit: the journal makes rows durable in order. Proof: tests/clients/kafka_test.py, crash_test.py.
 */
#include "broker/offsets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>


enum { KEY_BYTES_MAX = 1024, VALUE_HEAD = 24, METADATA_MAX = 4096, NO_METADATA = 0x80, FORMAT = 1 };

/* 0: too long, or with a zero inside. */
static uint32_t write_key(uint8_t key[KEY_BYTES_MAX], struct weir_string group, struct weir_string topic, uint32_t partition)
{
    if (group.byte_count + topic.byte_count + 6 > KEY_BYTES_MAX || memchr(group.bytes, 0, group.byte_count) ||
        topic.byte_count == 0 || memchr(topic.bytes, 0, topic.byte_count))
        return 0;
    uint32_t used = group.byte_count;
    memcpy(key, group.bytes, group.byte_count);
    key[used++] = 0;
    memcpy(key + used, topic.bytes, topic.byte_count);
    used += topic.byte_count;
    key[used++] = 0;
    for (int shift = 24; shift >= 0; shift -= 8)
        key[used++] = (uint8_t)(partition >> shift);
    return used;
}

static bool read_key(struct weir_string group, const uint8_t *key, uint32_t key_bytes, struct weir_commit_entry *entry)
{
    if (key_bytes < group.byte_count + 6 || memcmp(key, group.bytes, group.byte_count) != 0 || key[group.byte_count] != 0)
        return false;
    entry->topic = (struct weir_string){(const char *)key + group.byte_count + 1, key_bytes - group.byte_count - 6};
    const uint8_t *number = key + key_bytes - 4;
    entry->partition = (uint32_t)number[0] << 24 | (uint32_t)number[1] << 16 | (uint32_t)number[2] << 8 | number[3];
    return true;
}

static uint32_t write_value(uint8_t *value, const struct weir_commit_entry *entry, int64_t now_ms)
{
    uint32_t metadata = entry->metadata.bytes ? entry->metadata.byte_count : 0;
    memset(value, 0, VALUE_HEAD);
    memcpy(value, &entry->offset, 8);
    memcpy(value + 8, &entry->leader_epoch, 4);
    value[12] = (uint8_t)(FORMAT | (entry->metadata.bytes ? 0 : NO_METADATA));
    memcpy(value + 16, &now_ms, 8);
    if (metadata > 0)
        memcpy(value + VALUE_HEAD, entry->metadata.bytes, metadata);
    return VALUE_HEAD + metadata;
}

static void read_value(const uint8_t *value, uint32_t value_bytes, struct weir_commit_entry *entry)
{
    entry->offset = -1;
    entry->leader_epoch = -1;
    entry->metadata = (struct weir_string){"", 0};
    if (!value || value_bytes < VALUE_HEAD)
        return;
    memcpy(&entry->offset, value, 8);
    memcpy(&entry->leader_epoch, value + 8, 4);
    entry->metadata = value[12] & NO_METADATA ? (struct weir_string){"", 0}
                                              : (struct weir_string){(const char *)value + VALUE_HEAD, value_bytes - VALUE_HEAD};
}

int weir_offsets_commit(struct weir_store *store, struct weir_string group, const struct weir_commit_entry *entries, uint32_t count,
                        int64_t now_ms, struct weir_commit *commit)
{
    uint8_t key[KEY_BYTES_MAX], value[VALUE_HEAD + METADATA_MAX];
    uint32_t left = 0;
    for (uint32_t i = 0; i < count; i++)
        left += entries[i].result == WEIR_GROUP_OK;
    uint32_t rows = left;
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].result != WEIR_GROUP_OK)
            continue;
        uint32_t key_bytes = write_key(key, group, entries[i].topic, entries[i].partition);
        if (key_bytes == 0 || entries[i].metadata.byte_count > METADATA_MAX)
            return -EINVAL;
        uint32_t value_bytes = write_value(value, &entries[i], now_ms);
        int result = weir_table_put(store, WEIR_TABLE_COMMITS, key, key_bytes, value, value_bytes, --left == 0 ? commit : NULL);
        if (result < 0)
            return result;
    }
    return (int)rows;
}

/* ---- Reading --------------------------------------------------------------------------------------- */

struct reading {
    struct weir_string group;
    struct weir_commit_entry *entries; /* NULL: counting */
    uint32_t count;
    size_t bytes;
    char *text;
};

static void copy_text(struct reading *reading, struct weir_string *string)
{
    reading->bytes += string->byte_count;
    if (!reading->text)
        return;
    memcpy(reading->text, string->bytes, string->byte_count);
    string->bytes = reading->text;
    reading->text += string->byte_count;
}

static void on_row(void *context, const void *key, uint32_t key_bytes, const void *value, uint32_t value_bytes)
{
    struct reading *reading = context;
    struct weir_commit_entry entry = {.result = WEIR_GROUP_OK};
    if (!read_key(reading->group, key, key_bytes, &entry))
        return;
    read_value(value, value_bytes, &entry);
    copy_text(reading, &entry.topic);
    copy_text(reading, &entry.metadata);
    if (reading->entries)
        reading->entries[reading->count] = entry;
    reading->count++;
}

static int read_all(struct weir_store *store, struct weir_string group, struct weir_commit_entry **entries, uint32_t *count, void **memory)
{
    struct reading reading = {.group = group};
    weir_table_each(store, WEIR_TABLE_COMMITS, on_row, &reading);
    size_t entry_bytes = reading.count * sizeof **entries;
    *memory = malloc(entry_bytes + reading.bytes + 1);
    if (!*memory)
        return -ENOMEM;
    reading = (struct reading){.group = group, .entries = *memory, .text = (char *)*memory + entry_bytes};
    weir_table_each(store, WEIR_TABLE_COMMITS, on_row, &reading);
    *entries = *memory;
    *count = reading.count;
    return 0;
}

static void look_up(struct weir_store *store, struct weir_string group, struct weir_commit_entry *entry)
{
    uint8_t key[KEY_BYTES_MAX];
    uint32_t value_bytes = 0;
    uint32_t key_bytes = write_key(key, group, entry->topic, entry->partition);
    const void *value = key_bytes ? weir_table_get(store, WEIR_TABLE_COMMITS, key, key_bytes, &value_bytes) : NULL;
    read_value(value, value_bytes, entry);
    entry->result = WEIR_GROUP_OK;
}

int weir_offsets_read(struct weir_store *store, struct weir_string group, struct weir_commit_entry **entries, uint32_t *count,
                      void **memory)
{
    if (!*entries)
        return read_all(store, group, entries, count, memory);
    struct reading reading = {.group = group};
    for (uint32_t i = 0; i < *count; i++) {
        look_up(store, group, &(*entries)[i]);
        reading.bytes += (*entries)[i].metadata.byte_count;
    }
    *memory = reading.text = malloc(reading.bytes + 1);
    if (!*memory)
        return -ENOMEM;
    for (uint32_t i = 0; i < *count; i++)
        copy_text(&reading, &(*entries)[i].metadata);
    return 0;
}

/* ---- Removing --------------------------------------------------------------------------------------- */

int weir_offsets_remove(struct weir_store *store, struct weir_string group, const struct weir_commit_entry *entries, uint32_t count,
                        struct weir_commit *commit)
{
    uint8_t key[KEY_BYTES_MAX];
    uint32_t left = 0, value_bytes;
    for (uint32_t i = 0; i < count; i++)
        left += entries[i].result == WEIR_GROUP_OK;
    uint32_t rows = left;
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].result != WEIR_GROUP_OK)
            continue;
        uint32_t key_bytes = write_key(key, group, entries[i].topic, entries[i].partition);
        bool there = key_bytes && weir_table_get(store, WEIR_TABLE_COMMITS, key, key_bytes, &value_bytes);
        left--;
        if (!there && left > 0)
            continue;
        if (key_bytes == 0)
            return -EINVAL;
        int result = weir_table_remove(store, WEIR_TABLE_COMMITS, key, key_bytes, left == 0 ? commit : NULL);
        if (result < 0)
            return result;
    }
    return (int)rows;
}

int weir_offsets_remove_all(struct weir_store *store, struct weir_string group, struct weir_commit *commit)
{
    struct weir_commit_entry *entries = NULL;
    uint32_t count = 0;
    void *memory = NULL;
    int result = read_all(store, group, &entries, &count, &memory);
    if (result == 0)
        result = weir_offsets_remove(store, group, entries, count, commit);
    free(memory);
    return result;
}

/* ---- A topic goes ------------------------------------------------------------------------------------ */

struct sweep { /* keys, each after its length */
    struct weir_string topic;
    uint8_t *keys;
    size_t used;
    size_t room;
    bool failed;
};

static void note_key(struct sweep *sweep, const void *key, uint32_t key_bytes)
{
    if (sweep->used + sizeof key_bytes + key_bytes > sweep->room) {
        size_t room = (sweep->room ? sweep->room * 2 : 4096) + key_bytes;
        uint8_t *grown = realloc(sweep->keys, room);
        sweep->failed |= !grown;
        if (!grown)
            return;
        sweep->keys = grown;
        sweep->room = room;
    }
    memcpy(sweep->keys + sweep->used, &key_bytes, sizeof key_bytes);
    memcpy(sweep->keys + sweep->used + sizeof key_bytes, key, key_bytes);
    sweep->used += sizeof key_bytes + key_bytes;
}

static void sweep_row(void *context, const void *key, uint32_t key_bytes, const void *value, uint32_t value_bytes)
{
    struct sweep *sweep = context;
    const uint8_t *end = memchr(key, 0, key_bytes);
    (void)value;
    (void)value_bytes;
    uint32_t group_bytes = end ? (uint32_t)(end - (const uint8_t *)key) : key_bytes;
    if (group_bytes + 6 + sweep->topic.byte_count == key_bytes &&
        memcmp((const uint8_t *)key + group_bytes + 1, sweep->topic.bytes, sweep->topic.byte_count) == 0)
        note_key(sweep, key, key_bytes);
}

int weir_offsets_remove_topic(struct weir_store *store, struct weir_string topic)
{
    struct sweep sweep = {.topic = topic};
    int result = 0;
    weir_table_each(store, WEIR_TABLE_COMMITS, sweep_row, &sweep);
    for (size_t at = 0; at < sweep.used && result == 0;) {
        uint32_t key_bytes;
        memcpy(&key_bytes, sweep.keys + at, sizeof key_bytes);
        at += sizeof key_bytes;
        result = weir_table_remove(store, WEIR_TABLE_COMMITS, sweep.keys + at, key_bytes, NULL);
        at += key_bytes;
    }
    free(sweep.keys);
    return result == 0 && sweep.failed ? -ENOMEM : result;
}
