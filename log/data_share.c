/*
 * log/data_share.c - lays aside for each reactor what is its own, and frees what nobody took.
 *
 * Who owns what is computed (log/store.h). Proof: tests/log/data_test.c.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "log/recovery.h"
#include "log/store.h"

static int share_extents(struct weir_data *data)
{
    for (uint32_t i = 0; i < data->journal_count; i++) {
        size_t most = data->free_extent_count / data->journal_count + 1;
        data->shares[i].free_extents = calloc(most, sizeof(char *));
        if (!data->shares[i].free_extents)
            return -ENOMEM;
    }
    for (uint32_t i = 0; i < data->free_extent_count; i++) {
        struct weir_data_share *share = &data->shares[i % data->journal_count];
        share->free_extents[share->free_extent_count++] = data->free_extents[i];
    }
    free(data->free_extents);
    data->free_extents = NULL;
    data->free_extent_count = 0;
    return 0;
}

static void share_partitions(struct weir_data *data)
{
    for (struct weir_data_partition *partition = data->partitions, *next; partition; partition = next) {
        struct weir_data_share *share =
            &data->shares[weir_store_owner(&partition->topic, partition->partition, data->journal_count)];
        next = partition->next;
        partition->next = share->partitions;
        share->partitions = partition;
    }
    data->partitions = NULL;
}

static void share_rows(struct weir_data *data)
{
    for (struct weir_data_row *row = data->rows, *next; row; row = next) {
        struct weir_data_share *share =
            &data->shares[weir_table_owner(row->table, row->bytes, row->key_bytes, data->journal_count)];
        next = row->next;
        row->next = share->rows;
        share->rows = row;
    }
    data->rows = NULL;
}

int weir_data_share(struct weir_data *data)
{
    WEIR_ASSERT(!data->shares);
    data->shares = calloc(data->journal_count, sizeof *data->shares);
    int result = data->shares ? share_extents(data) : -ENOMEM;
    if (result < 0)
        return result;
    share_partitions(data);
    share_rows(data);
    return 0;
}

/* ---- The end ---- */

static void free_lists(struct weir_data_partition *partitions, struct weir_data_row *rows)
{
    for (struct weir_data_partition *next; partitions; partitions = next) {
        next = partitions->next;
        weir_data_partition_free(partitions);
    }
    for (struct weir_data_row *next; rows; rows = next) {
        next = rows->next;
        free(rows);
    }
}

static void free_paths(char **paths, uint32_t count)
{
    for (uint32_t i = 0; i < count && paths; i++)
        free(paths[i]);
    free(paths);
}

void weir_data_close(struct weir_data *data)
{
    if (!data)
        return;
    if (data->lock_fd >= 0)
        data->disk->table->close(data->disk, data->lock_fd);
    for (uint32_t i = 0; data->shares && i < data->journal_count; i++) {
        free_lists(data->shares[i].partitions, data->shares[i].rows);
        free_paths(data->shares[i].free_extents, data->shares[i].free_extent_count);
    }
    free(data->shares);
    free_lists(data->partitions, data->rows);
    free_paths(data->free_extents, data->free_extent_count);
    free(data->folder);
    free(data);
}
