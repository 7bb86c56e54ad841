/*
 * log/cleaner.c - what is old goes: whole closed segments, by time and by bytes, and at a word.
 *
 * A new start is durable before a file is unlinked, so recovery never looks for what is gone. A segment that waits to be
 * written is left for the next look.
 *
 * Proof: tests/log/store_test.c, tests/log/crash_sim.c.
 */
#include <errno.h>

#include "log/store_own.h"

static void on_start(struct weir_write *write, int result)
{
    struct weir_partition *partition = write->partition;
    if (result == 0 && write->end_offset > partition->start_durable)
        partition->start_durable = write->end_offset;
    if (!partition->left)
        weir_partition_trim(partition);
    weir_write_finish(write, result);
    weir_partition_unpin(partition);
}

int weir_partition_delete_before(struct weir_partition *partition, uint64_t offset, struct weir_commit *commit)
{
    struct weir_store *store = partition->store;
    if (partition->dropped)
        return -ENOENT;
    if (offset > partition->high_watermark)
        return -ERANGE;
    if (offset < partition->start_offset)
        offset = partition->start_offset;
    struct weir_write *write = weir_store_take_write(store);
    if (!write)
        return -ENOMEM;
    struct weir_entry entry = {.type = WEIR_ENTRY_START, .topic = partition->topic, .place = partition->number, .number = offset};
    write->partition = partition;
    write->user = commit;
    write->end_offset = offset;
    write->done = on_start;
    int result = weir_store_journal(store, &entry, write);
    if (result < 0)
        return result;
    weir_partition_pin(partition);
    partition->start_offset = offset;
    return 0;
}

/* Where retention puts the start. */
static uint64_t start_of(const struct weir_partition *partition)
{
    const struct weir_partition_config *config = &partition->config;
    int64_t now_ms = weir_store_wall_ms(partition->store);
    uint64_t left = partition->byte_count;
    uint64_t start = partition->start_offset;
    for (uint32_t i = 0; i + 1 < partition->segment_count; i++) {
        const struct weir_segment *segment = partition->segments[i];
        bool old = config->retention_ms >= 0 && segment->timestamp_ms >= 0 &&
                   now_ms - segment->timestamp_ms > config->retention_ms;
        bool much = config->retention_bytes >= 0 && left - segment->byte_count >= (uint64_t)config->retention_bytes;
        if ((!old && !much) || segment->end_offset > partition->high_watermark)
            break;
        left -= segment->byte_count;
        if (segment->end_offset > start)
            start = segment->end_offset;
    }
    return start;
}

/* The last segment never goes, so one that is all too old makes place for a new one. */
static void roll_old(struct weir_partition *partition)
{
    const struct weir_segment *last = weir_partition_active(partition);
    const struct weir_partition_config *config = &partition->config;
    int64_t now_ms = weir_store_wall_ms(partition->store);
    if (!last || last->byte_count == 0)
        return;
    bool expired = config->delete_old && config->retention_ms >= 0 && last->timestamp_ms >= 0 &&
                   now_ms - last->timestamp_ms > config->retention_ms;
    if (expired || now_ms - last->created_ms > config->segment_ms)
        (void)weir_partition_roll(partition);
}

static void clean(struct weir_partition *partition)
{
    roll_old(partition);
    if (partition->config.delete_old) {
        uint64_t start = start_of(partition);
        if (start > partition->start_offset)
            (void)weir_partition_delete_before(partition, start, NULL); /* else the next time */
    }
    weir_partition_trim(partition);
}

void weir_store_clean(struct weir_store *store)
{
    uint64_t now_ns = store->reactor->now_ns;
    store->wall_base_ms = (int64_t)store->disk->table->wall_ms(store->disk) - (int64_t)(now_ns / WEIR_MS_NS);
    if (store->error || store->draining)
        return;
    WEIR_LIST_EACH_SAFE(node, &store->partitions) {
        struct weir_partition *partition = WEIR_CONTAINER(node, struct weir_partition, node);
        if (partition->opened && !partition->dropped)
            clean(partition);
    }
    weir_segments_close_idle(store, now_ns > WEIR_CLEAN_NS ? now_ns - WEIR_CLEAN_NS : 0, WEIR_OPEN_FILES_MAX);
}
