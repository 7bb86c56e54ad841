/*
 * broker/transaction_row.c - a transaction as a row: what it has touched, so that it can be ended after a start.
 *
 *     key    the transactional id
 *     value  producer id (8), epoch (2), state (1), format 1 (1), timeout ms (4), counts of partitions, groups, offsets (4 each),
 *            partitions: topic (16), number (4); groups: text; offsets: group, topic, metadata (texts), partition (4), leader epoch (4),
 *            offset (8). A text: its bytes (4), then they.
 *
 * Bounded by what a client may add. Proof: tests/clients/kafka_test.py.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/transactions_own.h"

enum { FORMAT = 1 };

static bool same(struct weir_string a, struct weir_string b)
{
    return a.byte_count == b.byte_count && memcmp(a.bytes, b.bytes, a.byte_count) == 0;
}

int weir_txn_add_partition(struct weir_txn *txn, const struct weir_txn_partition *partition)
{
    for (uint32_t i = 0; i < txn->partition_count; i++)
        if (memcmp(&txn->partitions[i], partition, sizeof *partition) == 0)
            return 0;
    if (txn->partition_count == txn->partition_room) {
        uint32_t room = txn->partition_room ? txn->partition_room * 2 : 8;
        void *partitions = realloc(txn->partitions, room * sizeof *txn->partitions);
        if (!partitions)
            return -ENOMEM;
        txn->partitions = partitions;
        txn->partition_room = room;
    }
    txn->partitions[txn->partition_count++] = *partition;
    return 1;
}

bool weir_txn_has_group(const struct weir_txn *txn, struct weir_string group)
{
    for (const struct weir_txn_group *at = txn->groups; at; at = at->next)
        if (same(at->name, group))
            return true;
    return false;
}

int weir_txn_add_group(struct weir_txn *txn, struct weir_string group)
{
    struct weir_txn_group *added = malloc(sizeof *added + group.byte_count);
    if (!added)
        return -ENOMEM;
    memcpy(added + 1, group.bytes, group.byte_count);
    *added = (struct weir_txn_group){.next = txn->groups, .name = {(const char *)(added + 1), group.byte_count}};
    txn->groups = added;
    return 0;
}

static struct weir_string put_text(char **at, struct weir_string text)
{
    struct weir_string copy = {*at, text.byte_count};
    if (text.byte_count > 0)
        memcpy(*at, text.bytes, text.byte_count);
    *at += text.byte_count;
    return copy;
}

static void drop_offset(struct weir_txn *txn, struct weir_string group, const struct weir_commit_entry *entry)
{
    for (struct weir_txn_offset **at = &txn->offsets; *at; at = &(*at)->next) {
        struct weir_txn_offset *old = *at;
        if (old->entry.partition != entry->partition || !same(old->entry.topic, entry->topic) || !same(old->group, group))
            continue;
        *at = old->next;
        free(old);
        return;
    }
}

/* A later one of the same partition replaces it. */
int weir_txn_add_offset(struct weir_txn *txn, struct weir_string group, const struct weir_commit_entry *entry)
{
    struct weir_txn_offset *added =
        malloc(sizeof *added + group.byte_count + entry->topic.byte_count + entry->metadata.byte_count + 1);
    if (!added)
        return -ENOMEM;
    drop_offset(txn, group, entry);
    char *at = (char *)(added + 1);
    *added = (struct weir_txn_offset){.entry = *entry, .next = txn->offsets};
    added->group = put_text(&at, group);
    added->entry.topic = put_text(&at, entry->topic);
    added->entry.metadata = put_text(&at, entry->metadata);
    added->entry.result = WEIR_GROUP_OK;
    txn->offsets = added;
    return 0;
}

void weir_txn_clear(struct weir_txn *txn)
{
    for (struct weir_txn_group *group; (group = txn->groups);) {
        txn->groups = group->next;
        free(group);
    }
    for (struct weir_txn_offset *offset; (offset = txn->offsets);) {
        txn->offsets = offset->next;
        free(offset);
    }
    txn->partition_count = 0;
}

/* ---- Bytes ---------------------------------------------------------------------------------------- */

struct writer { /* first counts, then writes */
    uint8_t *bytes; /* NULL: counting */
    uint32_t used;
};

static void put(struct writer *writer, const void *bytes, uint32_t byte_count)
{
    if (writer->bytes && byte_count > 0)
        memcpy(writer->bytes + writer->used, bytes, byte_count);
    writer->used += byte_count;
}

static void put_string(struct writer *writer, struct weir_string string)
{
    put(writer, &string.byte_count, 4);
    put(writer, string.bytes, string.byte_count);
}

static void write_row(const struct weir_txn *txn, struct writer *writer)
{
    uint8_t kind[2] = {txn->state, FORMAT};
    uint32_t counts[3] = {txn->partition_count, 0, 0};
    for (const struct weir_txn_group *group = txn->groups; group; group = group->next)
        counts[1]++;
    for (const struct weir_txn_offset *offset = txn->offsets; offset; offset = offset->next)
        counts[2]++;
    put(writer, &txn->producer_id, 8);
    put(writer, &txn->epoch, 2);
    put(writer, kind, 2);
    put(writer, &txn->timeout_ms, 4);
    put(writer, counts, sizeof counts);
    for (uint32_t i = 0; i < txn->partition_count; i++) {
        put(writer, txn->partitions[i].topic.bytes, 16);
        put(writer, &txn->partitions[i].partition, 4);
    }
    for (const struct weir_txn_group *group = txn->groups; group; group = group->next)
        put_string(writer, group->name);
    for (const struct weir_txn_offset *offset = txn->offsets; offset; offset = offset->next) {
        put_string(writer, offset->group);
        put_string(writer, offset->entry.topic);
        put_string(writer, offset->entry.metadata);
        put(writer, &offset->entry.partition, 4);
        put(writer, &offset->entry.leader_epoch, 4);
        put(writer, &offset->entry.offset, 8);
    }
}

int weir_txn_row_put(struct weir_txn *txn, struct weir_commit *commit)
{
    struct writer writer = {0};
    write_row(txn, &writer);
    writer = (struct writer){.bytes = malloc(writer.used)};
    if (!writer.bytes)
        return -ENOMEM;
    write_row(txn, &writer);
    int result = weir_table_put(txn->part->keep->store, WEIR_TABLE_TRANSACTIONS, txn->name.bytes, txn->name.byte_count, writer.bytes,
                                writer.used, commit);
    free(writer.bytes);
    return result;
}

struct reader {
    const uint8_t *at;
    uint32_t left;
    bool bad;
};

static void get(struct reader *reader, void *out, uint32_t byte_count)
{
    memset(out, 0, byte_count);
    reader->bad = reader->bad || reader->left < byte_count;
    if (reader->bad)
        return;
    memcpy(out, reader->at, byte_count);
    reader->at += byte_count;
    reader->left -= byte_count;
}

static struct weir_string get_string(struct reader *reader)
{
    struct weir_string string = {"", 0};
    uint32_t byte_count;
    get(reader, &byte_count, 4);
    reader->bad = reader->bad || reader->left < byte_count;
    if (reader->bad)
        return string;
    string = (struct weir_string){(const char *)reader->at, byte_count};
    reader->at += byte_count;
    reader->left -= byte_count;
    return string;
}

static int read_offset(struct weir_txn *txn, struct reader *reader)
{
    struct weir_commit_entry entry = {0};
    struct weir_string group = get_string(reader);
    entry.topic = get_string(reader);
    entry.metadata = get_string(reader);
    get(reader, &entry.partition, 4);
    get(reader, &entry.leader_epoch, 4);
    get(reader, &entry.offset, 8);
    return reader->bad ? -EBADMSG : weir_txn_add_offset(txn, group, &entry);
}

int weir_txn_row_read(struct weir_txn *txn, const uint8_t *value, uint32_t value_bytes)
{
    struct reader reader = {.at = value, .left = value_bytes};
    uint8_t kind[2];
    uint32_t counts[3];
    int result = 0;
    get(&reader, &txn->producer_id, 8);
    get(&reader, &txn->epoch, 2);
    get(&reader, kind, 2);
    get(&reader, &txn->timeout_ms, 4);
    get(&reader, counts, sizeof counts);
    if (reader.bad || kind[1] != FORMAT || kind[0] > WEIR_TXN_ABORTED)
        return -EBADMSG;
    txn->state = kind[0];
    for (uint32_t i = 0; i < counts[0] && result >= 0 && !reader.bad; i++) {
        struct weir_txn_partition partition;
        get(&reader, partition.topic.bytes, 16);
        get(&reader, &partition.partition, 4);
        result = weir_txn_add_partition(txn, &partition);
    }
    for (uint32_t i = 0; i < counts[1] && result >= 0 && !reader.bad; i++)
        result = weir_txn_add_group(txn, get_string(&reader));
    for (uint32_t i = 0; i < counts[2] && result >= 0 && !reader.bad; i++)
        result = read_offset(txn, &reader);
    return reader.bad ? -EBADMSG : result < 0 ? result : 0;
}
