/*
 * log/data.h - a data directory: lock it, recover it, and hand what is in it to the stores of this run.
 *
 * Blocking, before the stores open: on any thread (serve runs it as a blocking job while its ports answer "loading"), and in
 * tools. What it does, in order, is docs/log-format.md, Start.
 *
 * Proof: tests/log/data_test.c, tests/log/crash_sim.c.
 */
#ifndef WEIR_LOG_DATA_H
#define WEIR_LOG_DATA_H

#include "base/atomic.h"
#include "log/checkpoint.h"
#include "log/frame.h"
#include "runtime/disk.h"

enum { WEIR_DATA_FORMAT = 1 };

enum weir_log_level_kind { /* of a topic: when an append is acknowledged */
    WEIR_LEVEL_SYNCED,
    WEIR_LEVEL_WRITTEN,
    WEIR_LEVEL_MEMORY,
};

enum weir_table_number { /* small keyed state; each row lives on the reactor its key hashes to, the catalog's on 0 */
    WEIR_TABLE_CATALOG = 1, /* broker/catalog.c: topics */
    WEIR_TABLE_COMMITS = 2, /* broker/offsets.c */
    WEIR_TABLE_NUMBERS = 3, /* producer ids handed out, in blocks; reactor 0 */
    WEIR_TABLE_TRANSACTIONS = 4,
    WEIR_TABLE_GROUPS = 5,
    WEIR_TABLE_USER = 64, /* from here on: the library's own users (weir/log.h) */
};

struct weir_data_row { /* one row, as recovered */
    struct weir_data_row *next;
    uint32_t table;
    uint32_t key_bytes;
    uint32_t value_bytes;
    uint64_t version;
    uint8_t bytes[]; /* key, value */
};

struct weir_data_partition { /* one partition, as recovered: its files are cut, written, synced */
    struct weir_data_partition *next;
    struct weir_log_id topic;
    uint32_t partition;
    uint64_t start_offset;
    uint64_t end_offset;
    uint32_t segment_count;
    struct weir_checkpoint_segment *segments; /* malloc'd */
    uint8_t *state; /* as in its checkpoint: the offset from which batches are newer, then the broker's; malloc'd; NULL: none */
    uint32_t state_bytes;
    uint8_t *tail;         /* read_only: the batches that no segment has yet, the last tail_bytes before end_offset; malloc'd */
    size_t tail_bytes;
};

/* What weir_data_share has laid aside for one reactor; what is taken is set to NULL, what is left is freed by weir_data_close. */
struct weir_data_share {
    struct weir_data_partition *partitions;
    struct weir_data_row *rows;
    char **free_extents; /* and each path in it: malloc'd */
    uint32_t free_extent_count;
};

struct weir_data_report {
    bool fresh;
    uint64_t run;
    uint64_t partitions, rows, segments, segment_bytes;
    uint64_t journal_frames, journal_bytes, batches_replayed, batches_there_already;
    uint64_t batches_left_out; /* behind a gap of what a topic kept at another level before had not on the medium: not acknowledged */
    uint64_t cut_bytes, cut_files; /* of segments and journals, behind the last valid byte */
    uint64_t duration_ns;
};

struct weir_data {
    struct weir_disk *disk;
    char *folder;
    int lock_fd;
    struct weir_log_id node;
    uint64_t run;
    uint32_t journal_count;
    struct weir_data_partition *partitions; /* all, until weir_data_share has split them */
    struct weir_data_row *rows;
    char **free_extents; /* of run's journals before; files of at most extent_bytes */
    uint32_t free_extent_count;
    weir_atomic_u32 failed; /* a sync by any store has: what another one syncs in the same folders means nothing any more */
    struct weir_data_share *shares; /* journal_count of them, once split; each is its reactor's */
    struct weir_data_report report;
};

/* What recovery has to know of a topic; the catalog's rows are the broker's, so the broker reads them. */
struct weir_data_topic {
    enum weir_log_level_kind level;
};
struct weir_data_options {
    uint32_t journal_count; /* reactors of this run */
    uint64_t extent_bytes;  /* 0: the default; free extents of other sizes are removed */
    bool read_only;         /* tools on a stopped node: recover in memory, change nothing (but have the lock meanwhile) */
    /* Is this topic in the catalog? `rows` are all recovered rows. false: its batches stop the start, unless a DROP says it is gone. */
    bool (*topic)(void *context, const struct weir_data *data, const struct weir_log_id *topic, struct weir_data_topic *topic_out);
    void *topic_context;
    /* Progress of a long recovery, in bytes; may be NULL. */
    void (*progress)(void *context, uint64_t done_bytes, uint64_t all_bytes);
    void *progress_context;
};

/*
 * Open (and make, when absent) a data directory.
 * why  text of at least 256 bytes, filled in on failure: a sentence for a person, naming the file
 * Returns 0; -EWOULDBLOCK: another process has it; -ENOTSUP: a newer format; -EBADMSG: what stands there contradicts itself;
 * -ENOENT, -EACCES, -ENOSPC, -EIO ...
 */
int weir_data_open(struct weir_disk *disk, const char *folder, const struct weir_data_options *options, struct weir_data **data_out,
                   char *why, size_t why_bytes);
/* Unlocks. After every store on it has closed. */
void weir_data_close(struct weir_data *data);

/* Paths: PATH must have WEIR_DATA_PATH_BYTES behind the folder's own. */
enum { WEIR_DATA_PATH_BYTES = 128 };
int weir_data_path(char *path, size_t path_bytes, const char *folder, const struct weir_log_id *topic, uint32_t partition,
                   uint64_t base_offset, const char *suffix);

#endif
