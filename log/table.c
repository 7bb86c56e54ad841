/*
 * log/table.c - small keyed state in memory, every change of it in the journal, all of it in each checkpoint.
 *
 * A row is one piece of memory, the same that recovery hands over. Versions count up over all tables of the store, from above all that
 * was recovered; recovery takes the highest. Proof: tests/log/table_test.c, tests/log/crash_sim.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "log/store_own.h"

enum { BUCKETS_MIN = 64 };

static uint64_t hash_of(const void *key, uint32_t key_bytes)
{
    return weir_hash_bytes(key, key_bytes, 0);
}

uint32_t weir_table_owner(uint32_t table, const void *key, uint32_t key_bytes, uint32_t reactor_count)
{
    if (table == WEIR_TABLE_CATALOG || table == WEIR_TABLE_NUMBERS)
        return 0;
    if (table == WEIR_TABLE_COMMITS || table == WEIR_TABLE_GROUPS) {
        const uint8_t *zero = key_bytes ? memchr(key, 0, key_bytes) : NULL;
        if (zero)
            key_bytes = (uint32_t)(zero - (const uint8_t *)key);
    }
    return (uint32_t)(hash_of(key, key_bytes) % reactor_count);
}

static struct weir_table *find_table(struct weir_store *store, uint32_t number)
{
    for (uint32_t i = 0; i < store->table_count; i++)
        if (store->tables[i].number == number)
            return &store->tables[i];
    return NULL;
}

static struct weir_table *have_table(struct weir_store *store, uint32_t number)
{
    struct weir_table *table = find_table(store, number);
    if (table)
        return table;
    struct weir_table *grown = realloc(store->tables, (store->table_count + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    store->tables = grown;
    table = &grown[store->table_count];
    *table = (struct weir_table){.number = number, .bucket_count = BUCKETS_MIN};
    table->buckets = calloc(BUCKETS_MIN, sizeof(struct weir_data_row *));
    if (!table->buckets)
        return NULL;
    store->table_count++;
    return table;
}

/* Where the pointer to this key's row is, or would be. */
static struct weir_data_row **place_of(const struct weir_table *table, const void *key, uint32_t key_bytes)
{
    struct weir_data_row **at = &table->buckets[hash_of(key, key_bytes) & (table->bucket_count - 1)];
    while (*at && ((*at)->key_bytes != key_bytes || memcmp((*at)->bytes, key, key_bytes) != 0))
        at = &(*at)->next;
    return at;
}

static void grow(struct weir_table *table)
{
    if (table->row_count < table->bucket_count)
        return;
    uint32_t count = table->bucket_count * 2;
    struct weir_data_row **buckets = calloc(count, sizeof(struct weir_data_row *));
    if (!buckets)
        return; /* longer chains */
    for (uint32_t i = 0; i < table->bucket_count; i++)
        for (struct weir_data_row *row = table->buckets[i], *next; row; row = next) {
            next = row->next;
            struct weir_data_row **to = &buckets[hash_of(row->bytes, row->key_bytes) & (count - 1)];
            row->next = *to;
            *to = row;
        }
    free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = count;
}

static void set_row(struct weir_table *table, struct weir_data_row *row)
{
    struct weir_data_row **at = place_of(table, row->bytes, row->key_bytes);
    struct weir_data_row *old = *at;
    row->next = old ? old->next : NULL;
    *at = row;
    free(old);
    if (old)
        return;
    table->row_count++;
    grow(table);
}

int weir_tables_adopt(struct weir_store *store, struct weir_data_row *rows)
{
    while (rows) {
        struct weir_data_row *row = rows;
        struct weir_table *table = have_table(store, row->table);
        rows = row->next;
        if (row->version > store->version)
            store->version = row->version;
        if (!table) {
            free(row);
            while (rows) {
                row = rows;
                rows = row->next;
                free(row);
            }
            return -ENOMEM;
        }
        set_row(table, row);
    }
    return 0;
}

void weir_tables_free(struct weir_store *store)
{
    for (uint32_t t = 0; t < store->table_count; t++) {
        struct weir_table *table = &store->tables[t];
        for (uint32_t i = 0; i < table->bucket_count; i++)
            for (struct weir_data_row *row = table->buckets[i], *next; row; row = next) {
                next = row->next;
                free(row);
            }
        free(table->buckets);
    }
    free(store->tables);
}

static int journal(struct weir_store *store, const struct weir_entry *entry, struct weir_commit *commit)
{
    int result = weir_store_refusal(store);
    if (result < 0 && !(entry->type == WEIR_ENTRY_REMOVE && result == -ENOSPC))
        return result;
    if (weir_journal_full(store->journal)) {
        weir_store_checkpoint(store);
        return -EAGAIN;
    }
    struct weir_write *write = weir_store_take_write(store);
    if (!write)
        return -ENOMEM;
    write->user = commit;
    write->done = weir_write_finish;
    return weir_store_journal(store, entry, write);
}

int weir_table_put(struct weir_store *store, uint32_t table_number, const void *key, uint32_t key_bytes, const void *value,
                   uint32_t value_bytes, struct weir_commit *commit)
{
    struct weir_table *table = have_table(store, table_number);
    struct weir_data_row *row = table ? malloc(sizeof *row + key_bytes + value_bytes) : NULL;
    if (!row)
        return -ENOMEM;
    *row = (struct weir_data_row){.table = table_number, .key_bytes = key_bytes, .value_bytes = value_bytes,
                                  .version = store->version + 1};
    memcpy(row->bytes, key, key_bytes);
    if (value_bytes > 0)
        memcpy(row->bytes + key_bytes, value, value_bytes);
    struct weir_entry entry = {.type = WEIR_ENTRY_PUT, .place = table_number, .key_bytes = key_bytes, .number = row->version,
                               .body = row->bytes, .body_bytes = key_bytes + value_bytes};
    int result = journal(store, &entry, commit);
    if (result < 0) {
        free(row);
        return result;
    }
    store->version++;
    set_row(table, row);
    return 0;
}

int weir_table_remove(struct weir_store *store, uint32_t table_number, const void *key, uint32_t key_bytes,
                      struct weir_commit *commit)
{
    struct weir_table *table = have_table(store, table_number);
    if (!table)
        return -ENOMEM;
    struct weir_entry entry = {.type = WEIR_ENTRY_REMOVE, .place = table_number, .key_bytes = key_bytes,
                               .number = store->version + 1, .body = key, .body_bytes = key_bytes};
    int result = journal(store, &entry, commit);
    if (result < 0)
        return result;
    store->version++;
    struct weir_data_row **at = place_of(table, key, key_bytes);
    struct weir_data_row *row = *at;
    if (row) {
        *at = row->next;
        table->row_count--;
        free(row);
    }
    return 0;
}

const void *weir_table_get(struct weir_store *store, uint32_t table_number, const void *key, uint32_t key_bytes,
                           uint32_t *value_bytes_out)
{
    const struct weir_table *table = find_table(store, table_number);
    const struct weir_data_row *row = table ? *place_of(table, key, key_bytes) : NULL;
    if (!row)
        return NULL;
    *value_bytes_out = row->value_bytes;
    return row->bytes + row->key_bytes;
}

void weir_table_each(struct weir_store *store, uint32_t table_number,
                     void (*fn)(void *context, const void *key, uint32_t key_bytes, const void *value, uint32_t value_bytes),
                     void *context)
{
    const struct weir_table *table = find_table(store, table_number);
    for (uint32_t i = 0; table && i < table->bucket_count; i++)
        for (const struct weir_data_row *row = table->buckets[i]; row; row = row->next)
            fn(context, row->bytes, row->key_bytes, row->bytes + row->key_bytes, row->value_bytes);
}
