/*
 * broker/producers_own.h - what broker/producers*.c share.
 *
 *     table  -> producer -> producer     by id
 *     recent:  producer ... producer     idle longest first; those in a transaction are here too, and are passed over
 *     open:    by first offset           transactions that hold the last stable offset back
 *     ending:  by offset of the marker   as well, until the marker itself may be read
 */
#ifndef WEIR_BROKER_PRODUCERS_OWN_H
#define WEIR_BROKER_PRODUCERS_OWN_H

#include "base/list.h"
#include "broker/producers.h"

#define WEIR_PRODUCER_NOWHERE UINT64_MAX /* an offset that is none */

enum {
    WEIR_PRODUCER_REMEMBERED = 5, /* batches; a client has no more in flight */
    WEIR_PRODUCER_ANY = -1,       /* as `next`: whatever comes first */
    WEIR_PRODUCER_NO_EPOCH = -1,
};

struct weir_producer_batch {
    uint64_t base_offset;
    int32_t first, last; /* sequences */
    int16_t epoch;
};

struct weir_producer {
    struct weir_producer *chain;
    struct weir_list recent;
    struct weir_list open;   /* on the list while `open_first` is an offset */
    struct weir_list ending; /* on the list while the end of the last transaction may not be read yet */
    int64_t id;
    int64_t noted_ms;
    int32_t next; /* sequence that continues, in `epoch` */
    int16_t epoch;
    int32_t next_before;   /* and `epoch_before`: what held until `epoch_since` */
    int16_t epoch_before;
    uint64_t epoch_since;  /* offset of what brought the epoch */
    uint64_t open_first;   /* of the transaction that is open */
    uint64_t ended_first;  /* of the last one that ended ... */
    uint64_t ended_at;     /* ... and its marker */
    uint64_t dropped_base; /* of the newest batch that is remembered no more */
    uint32_t batch_count;  /* oldest first */
    struct weir_producer_batch batches[WEIR_PRODUCER_REMEMBERED];
};

struct weir_producer_aborted {
    struct weir_aborted_range range;
    uint64_t last_max; /* largest last offset up to here */
};

struct weir_producers {
    struct weir_producer **table;
    uint32_t table_size; /* a power of two */
    uint32_t count;
    uint32_t count_max;
    uint64_t seed;
    struct weir_list recent;
    struct weir_list open;
    struct weir_list ending;
    struct weir_producer_aborted *aborted; /* by first offset */
    uint32_t aborted_count;
    uint32_t aborted_room;
};

/* producers.c */
struct weir_producer *weir_producer_find(const struct weir_producers *producers, int64_t id);
struct weir_producer *weir_producer_make(struct weir_producers *producers, int64_t id); /* NULL: no memory */
void weir_producer_drop(struct weir_producers *producers, struct weir_producer *producer);
/* The idle ones beyond the limit go; never one in a transaction. */
void weir_producers_shrink(struct weir_producers *producers);
/* As it was before `offset`, as far as it is remembered. false: it was not there. Touches nothing but `producer`. */
bool weir_producer_rewind(struct weir_producer *producer, uint64_t offset);

/* producers_aborted.c */
int weir_producers_reserve_aborted(struct weir_producers *producers, uint32_t more); /* -ENOMEM */
void weir_producers_add_aborted(struct weir_producers *producers, struct weir_aborted_range range);
void weir_producers_remove_aborted(struct weir_producers *producers, int64_t id, uint64_t last_from);
void weir_producer_begin(struct weir_producers *producers, struct weir_producer *producer, uint64_t first_offset);
void weir_producer_end(struct weir_producers *producers, struct weir_producer *producer, uint64_t marker_offset, bool commit);
/* `open` and `ending` say what the producer's fields say. */
void weir_producer_relist(struct weir_producers *producers, struct weir_producer *producer);

#endif
