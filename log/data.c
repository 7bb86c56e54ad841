/*
 * log/data.c - opens a data directory: lock, recovery in its order, and what came of it.
 *
 * Bounded in time by the journals (at most 128 MiB each), by the files behind the covered bytes of topics that bypass them,
 * and by what those touch; covered segments are never read. Proof: tests/log/data_test.c, tests/log/crash_sim.c.
 */
#include "log/data.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "log/recovery.h"

int weir_recovery_fail(struct weir_recovery *recovery, int error, const char *format, ...)
{
    if (recovery->why_bytes > 0 && recovery->why[0] == 0) { /* the first reason is the reason */
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(recovery->why, recovery->why_bytes, format, arguments);
        va_end(arguments);
    }
    return error;
}

int weir_recovery_fail_at(struct weir_recovery *recovery, int error, const char *what, const char *path)
{
    return weir_recovery_fail(recovery, error, "%s: cannot %s: %s", path, what, strerrordesc_np(-error));
}

int weir_data_path(char *path, size_t path_bytes, const char *folder, const struct weir_log_id *topic, uint32_t partition,
                   uint64_t base_offset, const char *suffix)
{
    char hex[2 * sizeof topic->bytes + 1] = "";
    weir_bytes_put_hex(hex, topic->bytes, sizeof topic->bytes);
    int length = snprintf(path, path_bytes, "%s/topics/%s/%u/%020llu%s", folder, hex, partition,
                          (unsigned long long)base_offset, suffix);
    return length < 0 || (size_t)length >= path_bytes ? -ENAMETOOLONG : length;
}

/* What is needed of an earlier run, and then what the files are made to be. */
static int recover(struct weir_recovery *recovery)
{
    int (*const steps[])(struct weir_recovery *) = {
        weir_recovery_load,         weir_recovery_read_journals, weir_recovery_ask_topics, weir_recovery_scan,
        weir_recovery_read_batches, weir_recovery_settle,        weir_recovery_finish,
    };
    int result = 0;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && result == 0; i++)
        result = steps[i](recovery);
    return result;
}

static int find_node(struct weir_recovery *recovery)
{
    struct weir_data *data = recovery->data;
    int result = weir_node_read(recovery);
    if (result < 0)
        return result;
    data->report.fresh = result == 1;
    if (data->report.fresh && recovery->options->read_only)
        return weir_recovery_fail(recovery, -ENOENT, "%s: no node has been here", data->folder);
    if (data->report.fresh) {
        result = recovery->data->disk->table->random(data->disk, data->node.bytes, sizeof data->node.bytes);
        if (result < 0)
            return weir_recovery_fail(recovery, result, "no random bytes for a node id");
    }
    data->run = recovery->options->read_only ? recovery->old_run : recovery->old_run + 1;
    data->report.run = data->run;
    return recovery->options->read_only ? 0 : weir_node_make_folders(recovery);
}

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * WEIR_S_NS + (uint64_t)now.tv_nsec;
}

static int open_data(struct weir_data *data, const struct weir_data_options *options, char *why, size_t why_bytes)
{
    struct weir_recovery recovery = {
        .data = data,
        .options = options,
        .why = why,
        .why_bytes = why_bytes,
        .now_ms = (int64_t)data->disk->table->wall_ms(data->disk),
        .last = &recovery.first,
    };
    if (why_bytes > 0)
        why[0] = 0;
    int result = strlen(data->folder) + WEIR_DATA_PATH_BYTES > WEIR_RECOVERY_PATH_BYTES
                     ? weir_recovery_fail(&recovery, -ENAMETOOLONG, "%.60s...: the path is too long", data->folder)
                     : weir_node_lock(&recovery);
    if (result == 0)
        result = find_node(&recovery);
    if (result == 0)
        result = recover(&recovery);
    if (result < 0)
        weir_recovery_fail(&recovery, result, "%s: %s", data->folder, strerrordesc_np(-result));
    weir_recovery_free(&recovery);
    return result;
}

int weir_data_open(struct weir_disk *disk, const char *folder, const struct weir_data_options *options, struct weir_data **data_out,
                   char *why, size_t why_bytes)
{
    uint64_t began_ns = clock_ns();
    struct weir_data *data = calloc(1, sizeof *data);
    if (data)
        *data = (struct weir_data){
            .disk = disk, .folder = strdup(folder), .lock_fd = -1, .journal_count = options->journal_count};
    if (!data || !data->folder || options->journal_count == 0) {
        int error = data && data->folder ? -EINVAL : -ENOMEM;
        snprintf(why, why_bytes, "%s: %s", folder, strerrordesc_np(-error));
        weir_data_close(data);
        return error;
    }
    int result = open_data(data, options, why, why_bytes);
    if (result < 0) {
        weir_data_close(data);
        return result;
    }
    data->report.duration_ns = clock_ns() - began_ns;
    *data_out = data;
    return 0;
}
