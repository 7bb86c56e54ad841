/*
 * broker/kept.h - append to and read from kept topics, whichever reactor owns the partition.
 *
 * A request is the caller's struct, travels to the partition's owner (broker/ask.h), and comes back filled in. Bytes to append
 * lie in a counted buffer of the asker; bytes that were read lie in counted buffers of the owner, whose references travel with the
 * answer: weir_tcp_give sends them from where they are.
 *
 * The owner is where idempotence is decided (broker/producers.h), where live subscribers of the topic's name are served (an append
 * publishes), and where fetches wait: an append that reaches its level wakes exactly those that it satisfies.
 *
 * Proof: tests/clients/kafka_test.py, crash_test.py.
 */
#ifndef WEIR_BROKER_KEPT_H
#define WEIR_BROKER_KEPT_H

#include "broker/catalog.h"
#include "log/batch.h"

struct weir_place;

enum weir_kept_result {
    WEIR_KEPT_DONE,
    WEIR_KEPT_UNKNOWN,        /* no such topic or partition */
    WEIR_KEPT_TOO_LARGE,
    WEIR_KEPT_CORRUPT,        /* CRC, length, magic */
    WEIR_KEPT_INVALID,        /* counts, control batch, not exactly one batch */
    WEIR_KEPT_OUT_OF_ORDER,   /* sequence */
    WEIR_KEPT_STALE_EPOCH,    /* producer epoch */
    WEIR_KEPT_OUT_OF_RANGE,
    WEIR_KEPT_NO_TRANSACTION, /* transactional, to a partition that was not added */
    WEIR_KEPT_NOT_WRITTEN,    /* the disk: nothing was acknowledged */
    WEIR_KEPT_LOADING,        /* recovery is under way */
    WEIR_KEPT_BUSY,           /* bounded memory is used up; try again */
};

/* Can this reactor serve kept topics? DONE; LOADING; NOT_WRITTEN: the data could not be opened; UNKNOWN: nothing is kept. */
enum weir_kept_result weir_kept_state(const struct weir_part *part);
/* What this reactor's store and journal have done; zeros where nothing is kept. */
struct weir_kept_counters {
    struct weir_store_counters store;
    struct weir_journal_counters journal;
};
void weir_kept_counters_read(const struct weir_part *part, struct weir_kept_counters *counters_out);
bool weir_kept_creates_unknown(const struct weir_part *part);
struct weir_log_id weir_kept_node_id(const struct weir_part *part); /* of the data directory; zeros until it is open */

struct weir_kept_append { /* to one partition */
    struct weir_ask ask;
    struct weir_log_id topic;
    uint32_t partition;
    uint8_t *bytes; /* one batch; the asker's, untouched until done but for the stamp of a topic with append times */
    uint32_t byte_count;
    bool transactional; /* the request carried a transactional id */
    bool marker;        /* a control batch of our own: the end of a transaction */
    void (*done)(struct weir_part *part, struct weir_kept_append *append); /* maybe before weir_kept_append returns */
    void *context;
    /* Out. */
    enum weir_kept_result result;
    uint64_t base_offset;
    uint64_t start_offset;
    int64_t append_ms; /* -1: create time */
    /* The broker's. */
    struct weir_batch batch;
    struct weir_commit commit;
    struct weir_tail_waiter tail;
    struct weir_place *place;
};
/* Appends of one asker to one partition keep their order. */
void weir_kept_append(struct weir_part *part, struct weir_kept_append *append);

/* A transaction may write to this partition, until its marker: transactional batches of others are NO_TRANSACTION. */
struct weir_kept_admit {
    struct weir_ask ask;
    struct weir_log_id topic;
    uint32_t partition;
    int64_t producer_id;
    int16_t producer_epoch;
    void (*done)(struct weir_part *part, struct weir_kept_admit *admit); /* maybe before weir_kept_admit returns */
    enum weir_kept_result result;
};
void weir_kept_admit(struct weir_part *part, struct weir_kept_admit *admit);

struct weir_kept_aborted { /* a transaction that was, as readers of committed records are told */
    int64_t producer_id;
    uint64_t first_offset;
};
struct weir_kept_fetch { /* of one partition */
    struct weir_ask ask;
    struct weir_log_id topic;
    uint32_t partition;
    uint64_t offset;
    size_t bytes_max;
    uint64_t wait_ns; /* with too little there: wait so long for appends; 0: answer at once */
    size_t bytes_min; /* what is enough */
    bool committed;   /* only below the last stable offset */
    void (*done)(struct weir_part *part, struct weir_kept_fetch *fetch); /* maybe before weir_kept_fetch returns */
    void *context;
    /* Out. */
    enum weir_kept_result result;
    struct weir_partition_view view;
    uint64_t stable_offset;
    struct weir_read read; /* slices, each with a reference that is the asker's now: give them on, or release */
    struct weir_kept_aborted *aborted; /* malloc'd; NULL: none */
    uint32_t aborted_count;
    /* The broker's. */
    struct weir_ask cancel;
    struct weir_tail_waiter tail;
    struct weir_wheel_timer timer;
    struct weir_place *place;
    bool over;        /* no more waiting; the owner's, so not beside what the asker may look at meanwhile */
    uint64_t deadline_ns;
    bool answered;    /* the asker has it back */
    bool cancel_away; /* and a cancellation is still under way */
};
void weir_kept_fetch(struct weir_part *part, struct weir_kept_fetch *fetch);
/* Asks for it back soon: done comes, with what there is. */
void weir_kept_fetch_cancel(struct weir_part *part, struct weir_kept_fetch *fetch);
/* Drops the slices that were not given on (buffer != NULL) and the list of the aborted. */
void weir_kept_fetch_release(struct weir_part *part, struct weir_kept_fetch *fetch);

enum weir_kept_place { WEIR_PLACE_START, WEIR_PLACE_END, WEIR_PLACE_STABLE, WEIR_PLACE_TIME, WEIR_PLACE_MAX_TIME, WEIR_PLACE_DELETE };
struct weir_kept_seek { /* where is ...; and DELETE: drop everything before `offset` */
    struct weir_ask ask;
    struct weir_log_id topic;
    uint32_t partition;
    enum weir_kept_place place_of;
    int64_t timestamp_ms;
    uint64_t offset; /* in (DELETE; UINT64_MAX: the high watermark) and out; UINT64_MAX: none */
    int64_t found_ms;
    struct weir_partition_view view; /* as of the answer */
    enum weir_kept_result result;
    void (*done)(struct weir_part *part, struct weir_kept_seek *seek);
    void *context;
    /* The broker's. */
    struct weir_seek seek;
    struct weir_commit commit;
    struct weir_place *place;
};
void weir_kept_seek(struct weir_part *part, struct weir_kept_seek *seek);

#endif
