/*
 * log/store.h - one reactor's share of a data directory: its partitions, its tables, its journal, its checkpoints.
 *
 *     append -> tail (memory) -> journal frame, durable -> high watermark -> acknowledged, readers see it
 *                   \-> segment, unsynced, in large writes -> checkpoint: segments synced -> extents free
 *
 * Everything here is called on the store's reactor. A partition belongs to the reactor weir_store_owner names, for the whole run.
 *
 * When a disk fails, weir_store_error says so: nothing is acknowledged any more, reading goes on.
 *
 * Proof: tests/log/store_test.c, tests/log/crash_sim.c.
 */
#ifndef WEIR_LOG_STORE_H
#define WEIR_LOG_STORE_H

#include "log/data.h"
#include "log/journal.h"
#include "runtime/reactor.h"

struct weir_store;
struct weir_partition;
struct weir_batch;

static inline uint32_t weir_store_owner(const struct weir_log_id *topic, uint32_t partition, uint32_t reactor_count)
{
    uint64_t word;
    __builtin_memcpy(&word, topic->bytes, sizeof word); /* topic ids are random */
    return (uint32_t)((word + partition) % reactor_count); /* partitions of a topic spread evenly */
}

struct weir_partition_config {
    enum weir_log_level_kind level;
    uint64_t segment_bytes;       /* 0: 128 MiB */
    int64_t segment_ms;           /* roll when older; 0: 7 days */
    int64_t retention_ms;         /* -1: for ever */
    int64_t retention_bytes;      /* -1: no limit */
    bool compact;                 /* keep the last record of each key */
    bool delete_old;              /* retention applies */
};

#define WEIR_STATE_KEPT SIZE_MAX

struct weir_store_options {
    uint64_t extent_bytes, extents_max; /* as weir_journal_options; 0: the defaults */
    uint64_t tail_bytes_max;            /* memory for tails of all partitions here; 0: 64 MiB */
    uint64_t checkpoint_bytes;          /* journal bytes after which a checkpoint is made; 0: a quarter of the journal */
    uint64_t checkpoint_ns;             /* and at the latest so long after the first byte; 0: 30 s */
    /* The broker's state of a partition for a checkpoint (producers), with all that was appended so far: malloc'd bytes; *byte_count_out 0:
     * none; WEIR_STATE_KEPT: the one before stays, with its own offset. May be NULL. */
    void *(*state)(void *context, struct weir_partition *partition, size_t *byte_count_out);
    /* The store changed its mind about writing: error 0 it writes again, else why not. May be NULL. */
    void (*on_error)(void *context, int error);
    void *context;
};

/* On the reactor's thread. Takes the partitions and rows of `data` that belong here; `data` is shared by all reactors, each of which takes
 * from its own list only (weir_data_share has been called once, before). -ENOMEM, -EIO, -ENOSPC ... */
int weir_data_share(struct weir_data *data); /* splits partitions, rows and extents into lists by reactor */
int weir_store_open(struct weir_data *data, struct weir_reactor *reactor, const struct weir_store_options *options,
                    struct weir_store **store_out);
/* A last checkpoint, then everything is closed; `done` in a later turn. Appends are refused from now on (-ESHUTDOWN). */
void weir_store_drain(struct weir_store *store, void (*done)(void *context), void *context);
void weir_store_close(struct weir_store *store); /* after drain, or never opened further; frees */
int weir_store_error(const struct weir_store *store);
struct weir_reactor *weir_store_reactor(const struct weir_store *store);
void weir_store_checkpoint(struct weir_store *store); /* begin one now, if none is under way */

struct weir_store_counters {
    uint64_t appends, append_bytes, reads_tail, reads_disk, read_bytes;
    uint64_t checkpoints, checkpoint_ns_max, segments_made, segments_removed, segment_write_bytes;
    uint64_t tail_bytes, open_files, partitions;
};
const struct weir_store_counters *weir_store_counters(const struct weir_store *store);
const struct weir_journal_counters *weir_store_journal_counters(const struct weir_store *store);

/* ---- Partitions ---------------------------------------------------------------------------------- */

/* Find, or begin, a partition that this reactor owns. `topic` must be durable in the catalog before the first append. `config` is
 * copied and may be changed later. -ENOMEM. */
int weir_partition_open(struct weir_store *store, const struct weir_log_id *topic, uint32_t number,
                        const struct weir_partition_config *config, struct weir_partition **partition_out);
void weir_partition_configure(struct weir_partition *partition, const struct weir_partition_config *config);
/* A topic is gone: its partitions here end (waiters get -ENOENT), a DROP is made durable, then files go. done: when it is durable. */
int weir_store_drop(struct weir_store *store, const struct weir_log_id *topic, struct weir_commit *commit);
void weir_store_each(struct weir_store *store, void (*fn)(void *context, struct weir_partition *partition), void *context);

struct weir_partition_view {
    uint64_t start_offset;
    uint64_t high_watermark; /* first offset that may not be read */
    uint64_t end_offset;     /* first offset not yet given away */
    uint64_t byte_count;     /* of all segments and the tail */
    uint32_t segment_count;
    int64_t timestamp_ms;    /* the largest; -1: empty */
    uint64_t timestamp_offset; /* of the batch that has it, as far as is known */
};
void weir_partition_view(const struct weir_partition *partition, struct weir_partition_view *view_out);
struct weir_log_id weir_partition_topic(const struct weir_partition *partition);
uint32_t weir_partition_number(const struct weir_partition *partition);
void *weir_partition_context(const struct weir_partition *partition); /* the broker's own; NULL at first */
void weir_partition_set_context(struct weir_partition *partition, void *context);
/* The broker's state as recovered, and from which offset batches are newer. NULL: none, from the start offset. Until taken back by
 * the first checkpoint. */
const void *weir_partition_state(const struct weir_partition *partition, size_t *byte_count_out, uint64_t *offset_out);

/*
 * Append one batch, whole and checked (log/batch.h); base offset and leader epoch 0 are filled into the copy. `done` comes when the
 * topic's level is reached, in order of appends of one partition.
 * base_out  the offset of its first record
 * Returns 0; -EAGAIN: full, ask weir_store_wait; -EIO, -ENOSPC, -ESHUTDOWN; -ENOMEM; -EFBIG. Nothing was appended then.
 */
int weir_partition_append(struct weir_partition *partition, const uint8_t *bytes, const struct weir_batch *batch,
                          struct weir_commit *commit, uint64_t *base_out);
/* Call fn once, when an append may succeed again or the store has failed. Waiters in order. */
struct weir_store_waiter {
    struct weir_list node;
    void (*fn)(struct weir_store_waiter *waiter);
};
void weir_store_wait(struct weir_store *store, struct weir_store_waiter *waiter);
void weir_store_wait_cancel(struct weir_store_waiter *waiter);

/*
 * Read whole batches from the one that holds `offset` on, below the high watermark (or below `limit_offset`, if smaller).
 * At least one batch, however large; then no more than bytes_max.
 * Returns 1: read->slices are filled in now; 0: read->done will be called, in a later turn; -ERANGE: before the start or after the
 * high watermark; at the high watermark: 1 and nothing. -EIO, -ENOMEM. The bytes lie in counted buffers of this reactor: weir_read_release drops
 * them; who takes a slice to another reactor takes its reference along (buffer = NULL here).
 */
enum { WEIR_READ_SLICES = 8 };
struct weir_read_slice {
    struct weir_buffer *buffer; /* one reference */
    const uint8_t *bytes;
    size_t byte_count;
};
struct weir_read {
    uint64_t offset;
    uint64_t limit_offset; /* UINT64_MAX: none */
    size_t bytes_max;
    void (*done)(struct weir_read *read, int result); /* 1, or a negative errno; -ENOENT: dropped meanwhile; -ERANGE */
    struct weir_read_slice slices[WEIR_READ_SLICES];
    uint32_t slice_count;
    size_t byte_count;
    uint64_t next_offset; /* behind the last batch read */
    struct weir_list node; /* the store's from here on */
    struct weir_partition *partition;
    void *own;
};
int weir_partition_read(struct weir_partition *partition, struct weir_read *read);
void weir_read_release(struct weir_partition *partition, struct weir_read *read);
void weir_read_cancel(struct weir_read *read); /* done will not come; the struct is the caller's again at once */

/* Call fn, once, in a later turn, when the high watermark has passed `offset` (result 0), or the partition is gone (-ENOENT). */
struct weir_tail_waiter {
    struct weir_list node;
    uint64_t offset;
    void (*fn)(struct weir_tail_waiter *waiter, int result);
};
void weir_partition_wait(struct weir_partition *partition, struct weir_tail_waiter *waiter);
void weir_tail_wait_cancel(struct weir_tail_waiter *waiter);

/* The first offset whose timestamp is at least `timestamp_ms`: as weir_read, `done` may come later. offset UINT64_MAX: none. */
struct weir_seek {
    int64_t timestamp_ms;
    void (*done)(struct weir_seek *seek, int result);
    uint64_t offset;
    int64_t found_ms;
    struct weir_read read; /* the store's */
};
int weir_partition_seek(struct weir_partition *partition, struct weir_seek *seek); /* 1: found now; 0: later; negative */

/* Everything before `offset` is gone: DeleteRecords. -ERANGE: above the high watermark. */
int weir_partition_delete_before(struct weir_partition *partition, uint64_t offset, struct weir_commit *commit);
/* Retention and compaction look at every partition every minute of the store's clock; this looks now (tests, tools). */
void weir_store_clean(struct weir_store *store);

/* ---- Tables --------------------------------------------------------------------------------------- */

/* Rows that are durable, or will be when their commit is done: a read sees a put at once. Keys and values are copied. -EAGAIN, -EIO ... as
 * append. commit may be NULL. */
int weir_table_put(struct weir_store *store, uint32_t table, const void *key, uint32_t key_bytes, const void *value,
                   uint32_t value_bytes, struct weir_commit *commit);
int weir_table_remove(struct weir_store *store, uint32_t table, const void *key, uint32_t key_bytes, struct weir_commit *commit);
const void *weir_table_get(struct weir_store *store, uint32_t table, const void *key, uint32_t key_bytes, uint32_t *value_bytes_out);
/* In no order; fn may not change the table. */
void weir_table_each(struct weir_store *store, uint32_t table,
                     void (*fn)(void *context, const void *key, uint32_t key_bytes, const void *value, uint32_t value_bytes),
                     void *context);
/* Which reactor's rows of a key are: recovery and the broker agree on it. The catalog and the numbers are reactor 0's. For commits and groups
 * the first part of the key, up to a zero byte, decides (the group's name): keys are "group\0topic...". */
uint32_t weir_table_owner(uint32_t table, const void *key, uint32_t key_bytes, uint32_t reactor_count);

#endif
