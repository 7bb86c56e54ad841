/*
 * log/store_own.h - a store from inside: what its files share. Nothing here is anybody else's.
 *
 * A partition is a stream of bytes that began when this run opened it: *positions* count those bytes, *offsets* count
 * records. Three of each tell how far it is:
 *
 *     written  <=  safe  <=  end         written  the kernel has it, in a segment
 *                                        safe     may be written: at a synced topic what the journal has; else all
 *                                        end      appended
 *
 * So a segment never holds what the journal may still refuse, and a frame that failed can be made good from the tail.
 * The high watermark follows the FIFO of appends that have not been acknowledged.
 *
 * Who counts: a partition and a segment live until nothing pins them; what is under way in the io or in a job pins both.
 */
#ifndef WEIR_LOG_STORE_OWN_H
#define WEIR_LOG_STORE_OWN_H

#include <weir/timer.h>

#include "base/clock.h"
#include "log/batch.h"
#include "log/store.h"

enum {
    WEIR_PAGE_BYTES_MIN = 4096, /* of a tail, heads included */
    WEIR_PAGE_BYTES_MAX = 65536,
    WEIR_FLUSH_BYTES = 65536, /* so much is worth a write */
    WEIR_FLUSH_BYTES_MAX = 1 << 20,
    WEIR_FLUSH_IOV = 64,
    WEIR_FLUSHES_MAX = 32, /* writes to segments under way */
    WEIR_SYNCS_MAX = 8,
    WEIR_OPEN_FILES_MAX = 256,
    WEIR_INDEX_BYTES = 16384, /* of a segment, for each entry */
    WEIR_READ_BYTES_MAX = 1 << 20, /* of one read from the disk, but for a batch that is larger */
    WEIR_LOG_PATH_BYTES = 1024,
};
#define WEIR_IDLE_FLUSH_NS (200 * WEIR_MS_NS)
#define WEIR_CLEAN_NS (60 * WEIR_S_NS)
#define WEIR_PROBE_NS WEIR_S_NS

/* ---- Stored batches: checked when they came, so their heads are read without asking again ---- */

static inline uint32_t weir_stored_u32(const uint8_t *at)
{
    uint32_t value;
    __builtin_memcpy(&value, at, sizeof value);
    return __builtin_bswap32(value);
}
static inline uint64_t weir_stored_u64(const uint8_t *at)
{
    uint64_t value;
    __builtin_memcpy(&value, at, sizeof value);
    return __builtin_bswap64(value);
}
static inline uint64_t weir_stored_base(const uint8_t *batch)
{
    return weir_stored_u64(batch);
}
static inline uint64_t weir_stored_bytes(const uint8_t *batch)
{
    return (uint64_t)weir_stored_u32(batch + 8) + WEIR_BATCH_LENGTH_END;
}
static inline uint64_t weir_stored_end(const uint8_t *batch) /* the offset behind it */
{
    return weir_stored_u64(batch) + weir_stored_u32(batch + 23) + 1;
}
static inline int64_t weir_stored_timestamp(const uint8_t *batch) /* the largest */
{
    return (int64_t)weir_stored_u64(batch + 35);
}

/* ---- Segments: log/segment.c, log/index.c ---- */

struct weir_index_entry {
    uint64_t offset;      /* of a batch */
    uint64_t position;    /* where it begins in the segment */
    int64_t timestamp_ms; /* the largest of all batches before it; INT64_MIN: there are none */
};

struct weir_index {
    struct weir_index_entry *entries;
    uint32_t count;
    uint32_t room;
    uint64_t known_from; /* entries are missing below this position; 0: none are */
    bool loading;
    bool made_anew; /* from the segment, since the file led astray */
};

struct weir_segment_wait { /* for a segment's fd, or for its index */
    struct weir_list node;
    void (*fn)(struct weir_segment_wait *wait, int result);
};

struct weir_segment {
    struct weir_partition *partition;
    uint64_t base_offset;
    uint64_t end_offset;
    uint64_t start_position; /* of the stream; of a segment of an earlier run that is closed it means nothing */
    uint64_t byte_count;     /* given to it: in the tail or written */
    uint64_t written_bytes;
    uint64_t synced_bytes;
    uint64_t check_bytes; /* the checkpoint that is being made says so many */
    int64_t timestamp_ms; /* the largest; -1: empty */
    uint64_t timestamp_offset;
    int64_t created_ms;
    struct weir_index index;
    struct weir_list lru;         /* of the store: open, and in nobody's hands */
    struct weir_list fd_waits;
    struct weir_list index_waits;
    uint64_t used_ns;
    int fd;
    uint32_t pins;
    bool made;        /* the file is there */
    bool opening;     /* or being made */
    bool name_synced; /* or will be before a checkpoint speaks of it */
    bool gone;        /* off its partition: it ends with the last pin */
    bool keep_file;   /* and its file goes another way */
};

struct weir_segment *weir_segment_new(struct weir_partition *partition, uint64_t base_offset);
/* 1: it has an fd; 0: wait->fn comes; negative. Pin it meanwhile. */
int weir_segment_ready(struct weir_segment *segment, struct weir_segment_wait *wait);
void weir_segment_pin(struct weir_segment *segment);
void weir_segment_unpin(struct weir_segment *segment); /* may free it */
void weir_segment_end(struct weir_segment *segment, bool keep_file); /* off its partition; frees it now or with the last pin */
void weir_segment_free(struct weir_segment *segment); /* at the end of the store: the fd has been closed */
void weir_segments_close_idle(struct weir_store *store, uint64_t used_before_ns, uint32_t open_max);
int weir_segment_path(const struct weir_segment *segment, const char *suffix, char path[WEIR_LOG_PATH_BYTES]);

/* An appended batch begins at `position` of the segment. Out of memory: the index has a larger gap there. */
void weir_index_add(struct weir_segment *segment, const struct weir_batch *batch, uint64_t base_offset, uint64_t position);
/* 1: the last entry for a batch not behind `offset` (or the segment's first batch); 0: wait->fn comes; negative. */
int weir_index_find(struct weir_segment *segment, uint64_t offset, struct weir_segment_wait *wait,
                    struct weir_index_entry *entry_out);
/* As known now: the last entry with nothing as late as timestamp_ms before it. */
void weir_index_find_time(const struct weir_segment *segment, int64_t timestamp_ms, struct weir_index_entry *entry_out);
/* It led to something else than a batch: forget it, and do not believe the file; unless it has been made anew already. */
void weir_index_distrust(struct weir_segment *segment);
void weir_index_save(struct weir_segment *segment); /* a segment that takes no more */

/* ---- Tails: log/tail.c ---- */

struct weir_tail_page { /* lies at the start of its buffer; whole batches of one segment */
    struct weir_list node;  /* of the partition, oldest first */
    struct weir_list clean; /* of the store: wholly written, the first to go */
    struct weir_partition *partition;
    struct weir_segment *segment;
    struct weir_buffer *buffer;
    uint64_t position; /* of its first byte, in the stream */
    uint64_t base_offset;
    uint64_t end_offset;
    uint64_t last_offset; /* of the batch appended last, and where it is */
    uint32_t last_at;
    uint32_t used;
    uint32_t room;
    uint8_t bytes[];
};

/* Room for a whole batch at the end of the tail: the page, whose `used` is the caller's to move. NULL: *result_out -EAGAIN, -ENOMEM. */
struct weir_tail_page *weir_tail_reserve(struct weir_partition *partition, uint32_t byte_count, int *result_out);
void weir_tail_commit(struct weir_partition *partition, struct weir_tail_page *page, uint32_t byte_count, uint64_t base_offset,
                      uint64_t end_offset);
/* The page with this offset, and where in it its batch begins. NULL: it is not in the tail. */
struct weir_tail_page *weir_tail_find(const struct weir_partition *partition, uint64_t offset, uint32_t *at_out);
void weir_tail_read(struct weir_partition *partition, struct weir_tail_page *page, uint32_t at, uint64_t limit_offset,
                    struct weir_read *read);
void weir_tail_written(struct weir_partition *partition); /* written_position has moved: pages may be clean */
void weir_tail_forget(struct weir_partition *partition, const struct weir_segment *segment); /* NULL: all pages */

/* ---- Partitions ---- */

struct weir_write { /* one entry on its way to its level */
    struct weir_commit commit; /* the journal's */
    struct weir_list node;     /* appends: of their partition, in order */
    struct weir_store *store;
    struct weir_partition *partition;
    struct weir_commit *user;
    void (*done)(struct weir_write *write, int result);
    uint64_t end_offset; /* or the new start */
    uint64_t end_position;
    enum weir_log_level_kind level;
    uint64_t sequence; /* of its frame */
    struct weir_log_id topic; /* of a DROP */
    bool reached;
};

struct weir_partition {
    struct weir_store *store;
    struct weir_list node; /* of the store */
    struct weir_partition *hash_next;
    struct weir_log_id topic;
    uint32_t number;
    struct weir_partition_config config;
    void *context;

    uint64_t start_offset;
    uint64_t start_durable; /* what is before it may be unlinked */
    uint64_t high_watermark;
    uint64_t end_offset;
    uint64_t end_position;
    uint64_t safe_offset;
    uint64_t safe_position;
    uint64_t written_offset;
    uint64_t written_position;
    uint64_t loose_end;      /* behind the last batch that the journal has not: what follows waits for a checkpoint of it */
    uint64_t covered_offset; /* the checkpoint on the disk covers so much */
    uint64_t check_offset;   /* the one being made will */
    uint64_t check_position;
    uint64_t byte_count;
    uint64_t append_ns;      /* the last one */

    struct weir_segment **segments; /* oldest first; the last one takes appends */
    uint32_t segment_count;
    uint32_t segment_room;
    struct weir_list pages;
    struct weir_tail_page *unwritten; /* the first page that is not wholly written */
    uint32_t page_bytes;              /* of the next one */
    uint32_t journal_pending;         /* appends in the journal's hands */
    struct weir_list appends;         /* weir_write */
    struct weir_list waiters;         /* weir_tail_waiter */
    struct weir_list reads;           /* from the disk: log/read.c */
    struct weir_list advanced;        /* of the store: waiters may be due */
    struct weir_list turned;          /* of the store: appended to in this turn, without the journal */
    struct weir_list flush;           /* of the store: wants to be written */
    struct weir_list lazy;            /* of the store: will be, some time */
    struct weir_list dirty;           /* of the store: has what no checkpoint covers */
    struct weir_list check;           /* of the checkpoint being made */
    uint32_t pins;
    bool syncing; /* for the checkpoint */
    bool flushing;
    bool opened;  /* by the broker */
    bool dropped; /* for everybody outside */
    bool left;    /* that is durable: it goes when nothing pins it */
    bool folder_new; /* made in this run, and not yet synced */

    /* The broker's state in the last checkpoint, and one that may go into the next: batches from its offset on are newer. */
    uint8_t *state, *next_state;
    uint32_t state_bytes, next_state_bytes;
    uint64_t state_offset, next_state_offset;
    bool has_state, has_next_state;
};

struct weir_partition *weir_partition_new(struct weir_store *store, const struct weir_log_id *topic, uint32_t number);
struct weir_partition *weir_partition_find(struct weir_store *store, const struct weir_log_id *topic, uint32_t number);
int weir_partition_add_segment(struct weir_partition *partition, struct weir_segment *segment);
void weir_partition_remove_first_segment(struct weir_partition *partition);
static inline struct weir_segment *weir_partition_active(const struct weir_partition *partition)
{
    return partition->segment_count ? partition->segments[partition->segment_count - 1] : NULL;
}
int weir_partition_roll(struct weir_partition *partition);
void weir_partition_pin(struct weir_partition *partition);
void weir_partition_unpin(struct weir_partition *partition);
void weir_partition_free(struct weir_partition *partition);
void weir_partition_unhash(struct weir_partition *partition);
void weir_partition_advance(struct weir_partition *partition); /* acknowledge what has reached its level */
void weir_partition_safe(struct weir_partition *partition, uint64_t offset, uint64_t position);
void weir_partition_on_written(struct weir_partition *partition);
void weir_partition_fail(struct weir_partition *partition, enum weir_log_level_kind level, int error);
void weir_partition_waiters_due(struct weir_partition *partition); /* in the hook */
void weir_partition_trim(struct weir_partition *partition); /* segments wholly before the durable start go */
void weir_reads_end(struct weir_partition *partition, int result);

/* log/flush.c */
struct weir_flush;
void weir_flush_want(struct weir_partition *partition); /* as soon as there is room for a write */
void weir_flush_look(struct weir_partition *partition); /* is it worth a write, or later? */
void weir_flush_pump(struct weir_store *store);
void weir_flush_all(struct weir_store *store);
void weir_flush_idle(struct weir_store *store); /* what has been quiet for a while */
void weir_flushes_free(struct weir_store *store);

/* log/mend.c */
void weir_mend_full(struct weir_store *store, int error); /* the disk is full: refuse, probe, go on */

/* log/drop.c */
void weir_partition_leave(struct weir_partition *partition);
void weir_drop_step(struct weir_store *store); /* those that left and are pinned no more go */

/* ---- Tables ---- */

struct weir_table {
    uint32_t number;
    uint32_t row_count;
    uint32_t bucket_count; /* power of two */
    struct weir_data_row **buckets;
};
int weir_tables_adopt(struct weir_store *store, struct weir_data_row *rows); /* all of a list */
void weir_tables_free(struct weir_store *store);

/* ---- Checkpoints: log/checkpointer.c ---- */

enum weir_check_stage { WEIR_CHECK_IDLE, WEIR_CHECK_STATES, WEIR_CHECK_SYNCING, WEIR_CHECK_NAMES, WEIR_CHECK_PUBLISHING };

struct weir_checkpointer {
    enum weir_check_stage stage;
    bool wanted;
    uint64_t sequence;       /* covers every frame before */
    uint64_t entries_needed; /* STATES: so many entries done, or the deadline */
    uint64_t deadline_ns;
    uint64_t began_ns;
    struct weir_checkpoint_writer image;
    struct weir_list partitions; /* not yet synced so far */
    uint32_t sync_count;
    char **folders; /* whose names are to be synced */
    uint32_t folder_count;
    uint32_t folder_room;
    struct weir_timer timer, deadline_timer;
    bool timed;
};
void weir_check_look(struct weir_partition *partition); /* something of it was written */
void weir_check_leave(struct weir_partition *partition); /* it is gone */
void weir_check_step(struct weir_store *store); /* in the hook: begin, go on */
void weir_check_free(struct weir_store *store);

/* ---- The store ---- */

struct weir_store {
    struct weir_data *data;
    struct weir_disk *disk;
    struct weir_reactor *reactor;
    struct weir_store_options options;
    struct weir_journal *journal; /* NULL: closed by a drain */
    struct weir_journal_counters journal_counters; /* its last */
    struct weir_turn_hook hook;
    struct weir_store_counters counters;
    char *folder;

    int error; /* for this run */
    int full;  /* -ENOSPC: until a probe gets through */
    bool probing;
    bool draining;
    bool closing;
    bool pressed; /* tails are over their budget */

    struct weir_partition **buckets;
    uint32_t bucket_count;
    struct weir_list partitions;
    struct weir_list leaving; /* dropped, with something under way */
    struct weir_list advanced, turned, flush, lazy, dirty;
    struct weir_list clean; /* pages */
    struct weir_list waiters;
    struct weir_list lru; /* segments */
    struct weir_list free_writes;
    struct weir_list free_flushes;
    uint32_t flush_count; /* under way */
    uint32_t under_way;   /* jobs, reads, opens, closes: a drain waits for them */
    uint64_t entries_given, entries_done; /* to, by the journal */
    uint64_t done_sequence; /* of the last frame that is durable */
    uint64_t drain_turn;
    bool drain_checked;

    struct weir_table *tables;
    uint32_t table_count;
    uint64_t version;

    struct weir_checkpointer check;
    struct weir_timer idle_timer, clean_timer, probe_timer;
    bool idle_timed;
    int64_t wall_base_ms; /* wall clock = this + the reactor's clock */
    void (*drained)(void *context);
    void *drained_context;
};

static inline int weir_store_refusal(const struct weir_store *store)
{
    return store->error ? store->error : store->draining ? -ESHUTDOWN : store->full;
}
static inline int64_t weir_store_wall_ms(const struct weir_store *store)
{
    return store->wall_base_ms + (int64_t)(store->reactor->now_ns / WEIR_MS_NS);
}
void weir_store_arm(struct weir_store *store); /* the hook */
void weir_store_fail(struct weir_store *store, int error);
bool weir_store_has_room(const struct weir_store *store);
struct weir_write *weir_store_take_write(struct weir_store *store);
void weir_store_free_write(struct weir_store *store, struct weir_write *write);
/* Give an entry to the journal; `write` goes along and its done comes. On failure it is free again. */
int weir_store_journal(struct weir_store *store, const struct weir_entry *entry, struct weir_write *write);
void weir_write_finish(struct weir_write *write, int result); /* frees it, tells the user */
void weir_store_end_job(struct weir_store *store);
/* A blocking job: `run` on a pool thread, `done` here. It counts as under way. */
int weir_store_job(struct weir_store *store, void (*run)(void *context), weir_done_fn done, void *context);
/* An operation of the io that counts as under way, until weir_store_end_op. */
int weir_store_start_op(struct weir_store *store, struct weir_io_op *op);
void weir_store_end_op(struct weir_store *store);
void weir_store_close_fd(struct weir_store *store, int fd);

#endif
