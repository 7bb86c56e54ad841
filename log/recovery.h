/*
 * log/recovery.h - a recovery from inside: what log/data*.c and log/recovery_*.c share. Nothing here is anybody else's.
 *
 *     checkpoints of run R        -> partitions, rows, from which sequences            recovery_load.c
 *     journals of run R, once     -> rows, starts, drops; who has batches              recovery_replay.c
 *     the catalog                 -> which topics there are, and their levels          recovery_topics.c
 *     files of `written`, `memory`-> batches behind the covered bytes                  recovery_scan.c
 *     journals of run R, again    -> batches, behind the ends, through buffers         recovery_replay.c
 *     cut, write, sync            -> files that are what the partitions say            recovery_segment.c
 *     checkpoints of run R+1, node, what is left over                                  recovery_finish.c
 *
 * Until `node` is replaced run R is the truth, and nothing that it needs has changed: segments end at or behind what its
 * checkpoints cover, and its journals lie as they lay. So a recovery that was cut is followed by one that comes to the same.
 *
 * A journal is read twice so that its batches need not be kept in memory until the catalog is known.
 */
#ifndef WEIR_LOG_RECOVERY_H
#define WEIR_LOG_RECOVERY_H

#include "log/batch.h"
#include "log/data.h"

enum {
    WEIR_RECOVERY_PATH_BYTES = 1024,
    WEIR_RECOVERY_BUFFER_BYTES = 1 << 20,       /* of one partition */
    WEIR_RECOVERY_BUFFERS_BYTES_MAX = 64 << 20, /* of all */
    WEIR_RECOVERY_SYNCS_MAX = 64, /* partitions whose files are synced one by one; more are synced together */
};

struct weir_chain { /* in a table by hash; in the struct it is about */
    struct weir_chain *next;
    uint64_t hash;
};

struct weir_chains {
    struct weir_chain **buckets;
    uint32_t bucket_count; /* power of two */
    uint32_t count;
};

struct weir_found_topic {
    struct weir_chain chain; /* first */
    struct weir_log_id id;
    enum weir_log_level_kind level;
    bool asked;
    bool known;   /* to the catalog */
    bool dropped; /* a DROP says so */
    bool renamed; /* names in its folder may not be on the medium */
};

struct weir_found_row {
    struct weir_chain chain; /* first */
    struct weir_data_row *row;
    bool removed;
};

struct weir_found { /* a partition */
    struct weir_chain chain; /* first */
    struct weir_found *next; /* in the order they were found */
    struct weir_found_topic *topic;
    struct weir_data_partition *partition; /* its last segment's bytes: what is, or will be, in the file */
    uint64_t journal_end; /* as the batches of its journal follow each other */
    uint64_t written_bytes; /* of the last segment: in the file */
    uint8_t *buffer;        /* and these behind them */
    size_t buffer_used;
    size_t buffer_room;
    uint32_t first_unsynced;  /* of its segments, when touched: this one and those behind it */
    bool gap;       /* a batch does not follow the one before */
    bool touched;   /* its files change */
    bool cut;       /* the last segment's file is as long as written_bytes */
    bool fresh;     /* the last segment's file is to be made anew */
    bool renamed;   /* names in its folder may not be on the medium */
};

struct weir_recovery {
    struct weir_data *data;
    const struct weir_data_options *options;
    char *why;
    size_t why_bytes;
    uint64_t old_run; /* 0: there was none */
    uint32_t old_journal_count;
    uint64_t *first_sequences;
    struct weir_chains topics;
    struct weir_chains partitions;
    struct weir_chains rows;
    struct weir_found *first;
    struct weir_found **last;
    uint64_t buffered_bytes;
    uint8_t *chunk; /* for scanning */
    size_t chunk_room;
    int64_t now_ms;
    uint64_t done_bytes;
    uint64_t told_bytes;
    uint64_t all_bytes; /* of the journals, twice */
    uint32_t touched_count;
    uint32_t known_topics;
    bool has_catalog;
};

static inline const struct weir_disk_table *weir_recovery_calls(const struct weir_recovery *recovery)
{
    return recovery->data->disk->table;
}

/* Say why, once, and return `error`. Without a format: the path and the error's own words. */
__attribute__((format(printf, 3, 4))) int weir_recovery_fail(struct weir_recovery *recovery, int error, const char *format, ...);
int weir_recovery_fail_at(struct weir_recovery *recovery, int error, const char *what, const char *path);

/* ---- recovery_state.c ---- */
struct weir_found_topic *weir_recovery_topic(struct weir_recovery *recovery, const struct weir_log_id *id); /* made if new; NULL: no memory */
struct weir_found *weir_recovery_find(struct weir_recovery *recovery, const struct weir_log_id *topic, uint32_t number);
struct weir_found *weir_recovery_partition(struct weir_recovery *recovery, const struct weir_log_id *topic, uint32_t number);
/* `value` NULL: removed. Takes effect if `version` is not older than what is there. -ENOMEM. */
int weir_recovery_row(struct weir_recovery *recovery, uint32_t table, uint64_t version, const uint8_t *key, uint32_t key_bytes,
                      const uint8_t *value, uint32_t value_bytes);
void weir_recovery_list_rows(struct weir_recovery *recovery); /* into data->rows; the table is empty then */
void weir_recovery_free(struct weir_recovery *recovery);
/* A new last segment, empty. */
int weir_found_add_segment(struct weir_recovery *recovery, struct weir_found *found, uint64_t base_offset, int64_t created_ms);
/* Everything before `offset` is gone, and the partition goes on there in a new file. */
int weir_found_begin_at(struct weir_recovery *recovery, struct weir_found *found, uint64_t offset);
static inline struct weir_checkpoint_segment *weir_found_last(const struct weir_found *found)
{
    const struct weir_data_partition *partition = found->partition;
    return partition->segment_count ? &partition->segments[partition->segment_count - 1] : NULL;
}
void weir_data_partition_free(struct weir_data_partition *partition);

/* ---- data_node.c ---- */
/* 0: read; 1: there is none, and nothing else that a run leaves. */
int weir_node_read(struct weir_recovery *recovery);
int weir_node_write(struct weir_recovery *recovery);
int weir_node_make_folders(struct weir_recovery *recovery);
int weir_node_lock(struct weir_recovery *recovery);

/* ---- recovery_*.c, in this order ---- */
int weir_recovery_load(struct weir_recovery *recovery);
int weir_recovery_read_journals(struct weir_recovery *recovery);
int weir_recovery_ask_topics(struct weir_recovery *recovery);
int weir_recovery_scan(struct weir_recovery *recovery);
int weir_recovery_read_batches(struct weir_recovery *recovery);
int weir_recovery_settle(struct weir_recovery *recovery); /* ends, starts, files, folders: all on the medium */
int weir_recovery_finish(struct weir_recovery *recovery);

/* ---- recovery_topics.c ---- */
void weir_recovery_topic_path(const struct weir_recovery *recovery, const struct weir_log_id *topic, char path[WEIR_RECOVERY_PATH_BYTES]);
int weir_recovery_remove_topic(struct weir_recovery *recovery, const struct weir_log_id *topic); /* its files and folders */
int weir_recovery_remove_strays(struct weir_recovery *recovery); /* folders of topics that nothing knows */

/* ---- recovery_segment.c ---- */
int weir_found_path(const struct weir_recovery *recovery, const struct weir_found *found, uint64_t base_offset, const char *suffix,
                    char path[WEIR_RECOVERY_PATH_BYTES]);
int weir_found_folder(const struct weir_recovery *recovery, const struct weir_found *found, char path[WEIR_RECOVERY_PATH_BYTES]);
/* What is in the buffer goes behind what is in the last segment's file, which is cut or made first. */
int weir_found_flush(struct weir_recovery *recovery, struct weir_found *found);

/* ---- recovery_scan.c ---- */
/* Base offsets of the files SUFFIX in its folder, ascending; malloc'd. No folder: none. */
int weir_found_list(struct weir_recovery *recovery, const struct weir_found *found, const char *suffix, uint64_t **bases_out,
                    uint32_t *count_out);

#endif
