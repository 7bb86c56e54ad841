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
 * Proof: tests/broker/kept_test.c.
 */
#ifndef WEIR_BROKER_KEPT_H
#define WEIR_BROKER_KEPT_H

#include "broker/catalog.h"
#include "log/batch.h"

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

struct weir_kept_append { /* to one partition */
    struct weir_ask ask;
    struct weir_log_id topic;
    uint32_t partition;
    struct weir_buffer *buffer; /* of the asker, one reference; NULL: `bytes` stay valid until done (the own reactor's are copied at once) */
    const uint8_t *bytes;
    uint32_t byte_count;
    bool transactional; /* the request carried a transactional id */
    void (*done)(struct weir_part *part, struct weir_kept_append *append);
    void *context;
    /* Out. */
    enum weir_kept_result result;
    uint64_t base_offset;
    uint64_t start_offset;
    int64_t append_ms; /* -1: create time */
    /* The broker's. */
    struct weir_commit commit;
    struct weir_store_waiter waiter;
    struct weir_part *owner;
    void *own;
};
void weir_kept_append(struct weir_part *part, struct weir_kept_append *append);

struct weir_kept_fetch { /* of one partition; one owner each */
    struct weir_ask ask;
    struct weir_log_id topic;
    uint32_t partition;
    uint64_t offset;
    size_t bytes_max;
    uint64_t wait_ns;       /* with nothing there: wait so long for an append; 0: answer at once */
    size_t bytes_min;       /* what counts as something */
    bool committed;         /* only below the last stable offset */
    void (*done)(struct weir_part *part, struct weir_kept_fetch *fetch);
    void *context;
    /* Out. */
    enum weir_kept_result result;
    struct weir_partition_view view;
    uint64_t stable_offset;
    struct weir_read read; /* slices, each with a reference */
    struct weir_kept_aborted { int64_t producer_id; uint64_t first_offset; } *aborted; /* malloc'd; NULL: none */
    uint32_t aborted_count;
    /* The broker's. */
    struct weir_tail_waiter tail;
    struct weir_wheel_timer timer;
    struct weir_part *owner;
    bool cancelled;
};
void weir_kept_fetch(struct weir_part *part, struct weir_kept_fetch *fetch);
/* Ask for it back soon: done comes, with what there is. */
void weir_kept_fetch_cancel(struct weir_part *part, struct weir_kept_fetch *fetch);
void weir_kept_fetch_release(struct weir_part *part, struct weir_kept_fetch *fetch); /* slices that were not given on */

enum weir_kept_place { WEIR_PLACE_START, WEIR_PLACE_END, WEIR_PLACE_STABLE, WEIR_PLACE_TIME, WEIR_PLACE_MAX_TIME, WEIR_PLACE_DELETE };
struct weir_kept_seek { /* where is ...; and DELETE: drop everything before `offset` */
    struct weir_ask ask;
    struct weir_log_id topic;
    uint32_t partition;
    enum weir_kept_place place;
    int64_t timestamp_ms;
    uint64_t offset; /* in (DELETE; UINT64_MAX: the high watermark) and out; UINT64_MAX: none */
    int64_t found_ms;
    enum weir_kept_result result;
    void (*done)(struct weir_part *part, struct weir_kept_seek *seek);
    void *context;
    struct weir_seek seek; /* the broker's */
    struct weir_commit commit;
    struct weir_part *owner;
};
void weir_kept_seek(struct weir_part *part, struct weir_kept_seek *seek);

#endif
