/*
 * log/recovery_finish.c - names the new run, and clears away the old one.
 *
 * Checkpoints of the new run first, whole and synced, one for each of its journals; then `node`, which makes them the truth;
 * only then may anything go that the old run needed. Proof: tests/log/data_test.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "log/recovery.h"
#include "log/store.h"

#define EXTENT_BYTES_DEFAULT ((uint64_t)16 << 20)

/* ---- What was found is handed over ---- */

static void hand_over(struct weir_recovery *recovery)
{
    struct weir_data *data = recovery->data;
    struct weir_data_partition **last = &data->partitions;
    for (struct weir_found *found = recovery->first; found; found = found->next) {
        struct weir_data_partition *partition = found->partition;
        if (found->topic->dropped)
            continue;
        *last = partition;
        last = &partition->next;
        found->partition = NULL;
        data->report.partitions++;
        data->report.segments += partition->segment_count;
        for (uint32_t i = 0; i < partition->segment_count; i++)
            data->report.segment_bytes += partition->segments[i].byte_count;
    }
    *last = NULL;
}

/* ---- Checkpoints ---- */

static void add_partition(struct weir_checkpoint_writer *writer, const struct weir_data_partition *from)
{
    struct weir_checkpoint_partition to = {
        .topic = from->topic,
        .partition = from->partition,
        .segment_count = from->segment_count,
        .start_offset = from->start_offset,
        .end_offset = from->end_offset,
        .segments = from->segments,
        .state = from->state,
        .state_bytes = from->state_bytes,
    };
    weir_checkpoint_add_partition(writer, &to);
}

static void add_row(struct weir_checkpoint_writer *writer, const struct weir_data_row *from)
{
    struct weir_checkpoint_row to = {
        .table = from->table,
        .version = from->version,
        .key = from->bytes,
        .value = from->bytes + from->key_bytes,
        .key_bytes = from->key_bytes,
        .value_bytes = from->value_bytes,
    };
    weir_checkpoint_add_row(writer, &to);
}

static int encode(const struct weir_data *data, uint32_t journal, struct weir_checkpoint_writer *writer)
{
    uint32_t count = data->journal_count;
    weir_checkpoint_begin(writer);
    for (const struct weir_data_partition *partition = data->partitions; partition; partition = partition->next)
        if (weir_store_owner(&partition->topic, partition->partition, count) == journal)
            add_partition(writer, partition);
    for (const struct weir_data_row *row = data->rows; row; row = row->next)
        if (weir_table_owner(row->table, row->bytes, row->key_bytes, count) == journal)
            add_row(writer, row);
    struct weir_checkpoint_head head = {.node = data->node, .run = data->run, .journal = journal, .first_sequence = 1};
    return weir_checkpoint_finish(writer, &head);
}

static int write_checkpoint(struct weir_recovery *recovery, uint32_t journal)
{
    const struct weir_data *data = recovery->data;
    struct weir_checkpoint_writer writer;
    char path[WEIR_RECOVERY_PATH_BYTES];
    int result = encode(data, journal, &writer);
    snprintf(path, sizeof path, "%s/checkpoint-%llu-%u", data->folder, (unsigned long long)data->run, journal);
    if (result == 0)
        result = weir_disk_replace(data->disk, path, writer.bytes, writer.used);
    free(writer.bytes);
    return result < 0 ? weir_recovery_fail_at(recovery, result, "write", path) : 0;
}

/* ---- Clearing away: what fails here is tried again by the next start ---- */

struct clearing {
    struct weir_recovery *recovery;
    char current[64]; /* how names of this run's checkpoints begin */
    int error;
};

static void remove_checkpoint(void *context, const char *name, bool is_directory)
{
    const struct clearing *clearing = context;
    const struct weir_data *data = clearing->recovery->data;
    size_t current = strlen(clearing->current);
    uint64_t journal;
    if (is_directory || strncmp(name, "checkpoint-", 11) != 0)
        return;
    if (strncmp(name, clearing->current, current) == 0 &&
        weir_bytes_parse_u64(name + current, strlen(name + current), &journal) && journal < data->journal_count)
        return;
    char path[WEIR_RECOVERY_PATH_BYTES + 256];
    snprintf(path, sizeof path, "%s/%s", data->folder, name);
    data->disk->table->unlink(data->disk, path);
}

static bool is_extent(const char *name)
{
    static const char suffix[] = ".extent";
    size_t length = strlen(name);
    return length >= sizeof suffix && strcmp(name + length - sizeof suffix + 1, suffix) == 0;
}

/* Of a size that this run uses? The first one of a directory begins smaller. */
static bool fits(const struct clearing *clearing, const char *path)
{
    struct weir_disk *disk = clearing->recovery->data->disk;
    uint64_t most = clearing->recovery->options->extent_bytes;
    int fd = disk->table->open(disk, path, O_RDONLY, 0);
    int64_t byte_count = fd < 0 ? fd : disk->table->byte_count(disk, fd);
    if (fd >= 0)
        disk->table->close(disk, fd);
    return byte_count >= 0 && (uint64_t)byte_count <= (most ? most : EXTENT_BYTES_DEFAULT);
}

static void keep_extent(struct clearing *clearing, const char *path)
{
    struct weir_data *data = clearing->recovery->data;
    char **more = realloc(data->free_extents, (data->free_extent_count + 1) * sizeof *more);
    char *copy = more ? strdup(path) : NULL;
    if (more)
        data->free_extents = more;
    if (!copy)
        clearing->error = -ENOMEM;
    else
        data->free_extents[data->free_extent_count++] = copy;
}

static void look_at_extent(void *context, const char *name, bool is_directory)
{
    struct clearing *clearing = context;
    struct weir_data *data = clearing->recovery->data;
    if (is_directory || !is_extent(name) || clearing->error < 0)
        return;
    char path[WEIR_RECOVERY_PATH_BYTES + 256];
    snprintf(path, sizeof path, "%s/journal/%s", data->folder, name);
    if (fits(clearing, path))
        keep_extent(clearing, path);
    else
        data->disk->table->unlink(data->disk, path);
}

static int clear_away(struct weir_recovery *recovery)
{
    struct weir_data *data = recovery->data;
    struct clearing clearing = {.recovery = recovery};
    char folder[WEIR_RECOVERY_PATH_BYTES];
    snprintf(clearing.current, sizeof clearing.current, "checkpoint-%llu-", (unsigned long long)data->run);
    snprintf(folder, sizeof folder, "%s/journal", data->folder);
    int result = data->disk->table->list(data->disk, data->folder, remove_checkpoint, &clearing);
    if (result == 0)
        result = data->disk->table->list(data->disk, folder, look_at_extent, &clearing);
    if (result == 0)
        result = clearing.error;
    if (result < 0)
        return weir_recovery_fail_at(recovery, result, "clear up", data->folder);
    return weir_recovery_remove_strays(recovery);
}

int weir_recovery_finish(struct weir_recovery *recovery)
{
    hand_over(recovery);
    if (recovery->options->read_only)
        return 0;
    int result = 0;
    for (uint32_t journal = 0; journal < recovery->data->journal_count && result == 0; journal++)
        result = write_checkpoint(recovery, journal);
    if (result == 0)
        result = weir_node_write(recovery);
    return result < 0 ? result : clear_away(recovery);
}
