/*
 * log/recovery_load.c - reads the checkpoints of the last run: where everything stood.
 *
 * There is one for each of its journals, for a start writes them before it names the run. Nothing is believed that
 * contradicts itself. Proof: tests/log/data_test.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/recovery.h"

#define CHECKPOINT_BYTES_MAX ((size_t)1 << 33)

/* Bases ascend, and none begins behind the end. */
static bool segments_agree(const struct weir_data_partition *partition)
{
    for (uint32_t i = 0; i < partition->segment_count; i++) {
        uint64_t base = partition->segments[i].base_offset;
        if (base > partition->end_offset || (i > 0 && base <= partition->segments[i - 1].base_offset))
            return false;
    }
    return partition->segment_count == 0 || partition->segments[0].base_offset <= partition->start_offset;
}

static int copy_segments(struct weir_data_partition *to, const struct weir_checkpoint_partition *from)
{
    to->segments = calloc(from->segment_count ? from->segment_count : 1, sizeof *to->segments);
    if (!to->segments)
        return -ENOMEM;
    to->segment_count = from->segment_count;
    for (uint32_t i = 0; i < from->segment_count; i++)
        weir_checkpoint_segment_at(from, i, &to->segments[i]);
    return 0;
}

static int copy_state(struct weir_data_partition *to, const struct weir_checkpoint_partition *from)
{
    if (from->state_bytes == 0)
        return 0;
    to->state = malloc(from->state_bytes);
    if (!to->state)
        return -ENOMEM;
    memcpy(to->state, from->state, from->state_bytes);
    to->state_bytes = from->state_bytes;
    return 0;
}

static int load_partition(struct weir_recovery *recovery, const char *path, const struct weir_checkpoint_partition *from)
{
    if (weir_recovery_find(recovery, &from->topic, from->partition) || from->start_offset > from->end_offset)
        return weir_recovery_fail(recovery, -EBADMSG, "%s: partition %u contradicts itself", path, from->partition);
    struct weir_found *found = weir_recovery_partition(recovery, &from->topic, from->partition);
    if (!found)
        return -ENOMEM;
    struct weir_data_partition *partition = found->partition;
    partition->start_offset = from->start_offset;
    partition->end_offset = from->end_offset;
    found->journal_end = from->end_offset;
    if (copy_segments(partition, from) < 0 || copy_state(partition, from) < 0)
        return -ENOMEM;
    if (!segments_agree(partition))
        return weir_recovery_fail(recovery, -EBADMSG, "%s: the segments of partition %u contradict each other", path,
                                  from->partition);
    found->first_unsynced = partition->segment_count > 0 ? partition->segment_count - 1 : 0;
    found->written_bytes = partition->segment_count > 0 ? weir_found_last(found)->byte_count : 0;
    return 0;
}

static int load_parts(struct weir_recovery *recovery, const char *path, struct weir_checkpoint_reader *reader)
{
    struct weir_checkpoint_partition partition;
    struct weir_checkpoint_row row;
    int result;
    while ((result = weir_checkpoint_next_partition(reader, &partition)) == 1)
        if ((result = load_partition(recovery, path, &partition)) < 0)
            return result;
    while (result == 0 && (result = weir_checkpoint_next_row(reader, &row)) == 1)
        result = weir_recovery_row(recovery, row.table, row.version, row.key, row.key_bytes, row.value, row.value_bytes);
    return result == -EBADMSG ? weir_recovery_fail(recovery, result, "%s: its parts do not add up", path) : result;
}

static int load_bytes(struct weir_recovery *recovery, const char *path, uint32_t journal, const uint8_t *bytes, size_t byte_count)
{
    struct weir_checkpoint_reader reader;
    int result = weir_checkpoint_open(&reader, bytes, byte_count);
    if (result < 0)
        return weir_recovery_fail(recovery, result, "%s: this is not a whole checkpoint", path);
    if (memcmp(&reader.head.node, &recovery->data->node, sizeof reader.head.node) != 0 || reader.head.run != recovery->old_run ||
        reader.head.journal != journal)
        return weir_recovery_fail(recovery, -EBADMSG, "%s: it is of another node, run or journal", path);
    recovery->first_sequences[journal] = reader.head.first_sequence;
    return load_parts(recovery, path, &reader);
}

static int load_checkpoint(struct weir_recovery *recovery, uint32_t journal)
{
    char path[WEIR_RECOVERY_PATH_BYTES];
    void *bytes;
    size_t byte_count;
    snprintf(path, sizeof path, "%s/checkpoint-%llu-%u", recovery->data->folder, (unsigned long long)recovery->old_run, journal);
    int result = weir_disk_load(recovery->data->disk, path, CHECKPOINT_BYTES_MAX, &bytes, &byte_count);
    if (result == -ENOENT)
        return weir_recovery_fail(recovery, -EBADMSG, "%s: it is missing", path);
    if (result < 0)
        return weir_recovery_fail_at(recovery, result, "read", path);
    result = load_bytes(recovery, path, journal, bytes, byte_count);
    free(bytes);
    return result;
}

int weir_recovery_load(struct weir_recovery *recovery)
{
    recovery->first_sequences = calloc(recovery->old_journal_count + 1, sizeof *recovery->first_sequences);
    int result = recovery->first_sequences ? 0 : -ENOMEM;
    for (uint32_t journal = 0; journal < recovery->old_journal_count && result == 0; journal++)
        result = load_checkpoint(recovery, journal);
    return result;
}
