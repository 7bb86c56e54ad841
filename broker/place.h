/*
 * broker/place.h - a partition on the reactor that owns it: its log, its producers, and who waits.
 *
 * Made at the first use. Producers are rebuilt then: what the last checkpoint kept, and the batches since. Until that is done,
 * questions about the partition are parked and come again.
 */
#ifndef WEIR_BROKER_PLACE_H
#define WEIR_BROKER_PLACE_H

#include "broker/keep.h"
#include "broker/kept.h"
#include "broker/producers.h"

enum weir_place_state { WEIR_PLACE_REBUILDING, WEIR_PLACE_READY, WEIR_PLACE_BROKEN, WEIR_PLACE_GONE };

/* What live subscribers of the topic's name have been given of this partition. */
struct weir_live {
    uint64_t offset;            /* the next record to publish */
    struct weir_read read;
    struct weir_publish_waiter waiter;
    bool begun;                 /* `offset` means something */
    bool busy;                  /* reads, or waits for a subscriber */
};

struct weir_place_writer { /* a transaction that may write */
    int64_t producer_id;
    int16_t epoch;
};

struct weir_place {
    struct weir_list node; /* keep->places */
    struct weir_keep *keep;
    struct weir_topic_copy *copy; /* NULL: the topic is gone */
    uint32_t number;
    enum weir_place_state state;
    struct weir_partition *partition;
    struct weir_producers *producers;
    int64_t tidy_ms;             /* producers that are idle, or gone with the log's start, are looked for then */
    struct weir_place_writer *writers;
    uint32_t writer_count, writer_room;
    struct weir_read read;       /* rebuilding */
    struct weir_list parked;     /* asks that came while rebuilding */
    struct weir_list starved;    /* appends that wait for the store, in order */
    struct weir_list again;      /* duplicates that wait until their first time is durable */
    struct weir_store_waiter room;
    bool waits_for_room;
    uint32_t users;              /* asks that hold it: it is freed after the last */
    uint64_t live_from;          /* the end when it was opened: nothing older is told */
    struct weir_live live;       /* its cursor for live subscribers: broker/live.c */
};

/* The place for an ask that has just come, or NULL: it was parked, or *result_out says why not. */
struct weir_place *weir_place_get(struct weir_part *part, struct weir_ask *ask, const struct weir_log_id *topic, uint32_t partition,
                                  enum weir_kept_result *result_out);
void weir_place_hold(struct weir_place *place);
void weir_place_release(struct weir_place *place);
uint64_t weir_place_stable_offset(struct weir_place *place);
/* kept_admit.c */
bool weir_place_admits(const struct weir_place *place, const struct weir_batch *batch);
void weir_place_dismiss(struct weir_place *place, int64_t producer_id);
/* The high watermark has moved: live subscribers get what is new. */
void weir_live_pump(struct weir_place *place);
void weir_live_end(struct weir_place *place);
void weir_place_store_failed(struct weir_place *place); /* kept_append.c */
/* Is this topic one that this reactor can ask about? DONE, or why not. */
enum weir_kept_result weir_kept_known(struct weir_part *part, const struct weir_log_id *topic, uint32_t partition,
                                      const struct weir_topic_copy **copy_out);

#endif
