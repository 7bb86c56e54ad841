/*
 * broker/producers.h - idempotent producers of one partition: no record twice, none out of order.
 *
 * For each producer id: its epoch and its last five batches {first, last sequence, base offset}. Decided before an append, so a batch
 * that is sent again gets the answer of the first time. Sequences count records and wrap from 2^31-1 to 0.
 *
 *     no state                         append, whatever the first sequence
 *     an older epoch                   STALE
 *     a newer epoch                    first sequence must be 0, else OUT_OF_ORDER
 *     one of the last five             DUPLICATE: the old base offset
 *     first == last + 1                append
 *     anything else                    OUT_OF_ORDER
 *
 * A control batch ends a transaction and may bring a newer epoch, of which sequence 0 is next. One of an older epoch is STALE.
 *
 * Source: KIP-98, KIP-360; Kafka's ProducerStateManager. Pure: no I/O, is given `now`. A checkpoint keeps it (weir_producers_save); what
 * was saved and lies at or behind the recovered end is left out again (weir_producers_load). Belongs to one reactor.
 * Proof: tests/broker/producers_*.c.
 */
#ifndef WEIR_BROKER_PRODUCERS_H
#define WEIR_BROKER_PRODUCERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/batch.h"

struct weir_producers;

enum weir_producer_verdict { WEIR_PRODUCER_APPEND, WEIR_PRODUCER_DUPLICATE, WEIR_PRODUCER_OUT_OF_ORDER, WEIR_PRODUCER_STALE };

/* producers_max  above it the one idle longest goes; one in a transaction never does. NULL: no memory */
struct weir_producers *weir_producers_new(uint32_t producers_max);
void weir_producers_free(struct weir_producers *producers);
/* May this batch be appended? Changes nothing; without a producer id: APPEND. base_out  with DUPLICATE: where it was the first time */
enum weir_producer_verdict weir_producers_check(struct weir_producers *producers, const struct weir_batch *batch, uint64_t *base_out);
/*
 * It is at base_offset now. Also for batches that are read again at a start, in the order of the log, control batches among them. Not
 * checked again. now_ms: for idleness. -ENOMEM: nothing has changed; never for a control batch of a producer that is known. -EINVAL: a
 * control batch of which only the header was read (log/batch.h).
 */
int weir_producers_note(struct weir_producers *producers, const struct weir_batch *batch, uint64_t base_offset, int64_t now_ms);
/* The append failed or was lost: what was noted for this producer from base_offset on is taken back. Nothing, if that was done already. */
void weir_producers_forget(struct weir_producers *producers, const struct weir_batch *batch, uint64_t base_offset);
void weir_producers_expire(struct weir_producers *producers, int64_t idle_since_ms); /* noted earlier, and in no transaction */
uint32_t weir_producers_count(const struct weir_producers *producers);
/* malloc'd bytes, as things were at end_offset: what lies behind is taken back in them. NULL with 0: nothing to save, or no memory. */
void *weir_producers_save(const struct weir_producers *producers, uint64_t end_offset, size_t *byte_count_out);
/* Replaces all there is. -EBADMSG, -ENOMEM: then there is nothing. */
int weir_producers_load(struct weir_producers *producers, const void *bytes, size_t byte_count, uint64_t end_offset);

/* Transactions of this partition (KIP-98): what is open holds the last stable offset back, what was aborted is listed for readers. */
/* A transaction counts as open until its marker lies below the high watermark, which only grows. */
uint64_t weir_producers_stable_offset(struct weir_producers *producers, uint64_t high_watermark);
struct weir_aborted_range { /* last_offset: the marker's */ int64_t producer_id; uint64_t first_offset; uint64_t last_offset; };
/* Aborted transactions that overlap [from, to), by first offset. How many there are; fills in up to `room` (NULL with 0: count). */
uint32_t weir_producers_aborted(const struct weir_producers *producers, uint64_t from, uint64_t to,
                                struct weir_aborted_range *ranges, uint32_t room);
/* Nothing before start_offset will be read again: ranges that end there are forgotten. */
void weir_producers_prune(struct weir_producers *producers, uint64_t start_offset);
bool weir_producers_in_transaction(const struct weir_producers *producers, int64_t producer_id);

#endif
