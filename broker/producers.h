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
 * Source: KIP-98, KIP-360; Kafka's ProducerStateManager. Pure: no I/O, is given `now`. A checkpoint keeps it (weir_producers_save); what
 * was saved and lies at or behind the recovered end is left out again (weir_producers_load). Proof: tests/broker/producers_test.c.
 */
#ifndef WEIR_BROKER_PRODUCERS_H
#define WEIR_BROKER_PRODUCERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/batch.h"

struct weir_producers;

enum weir_producer_verdict { WEIR_PRODUCER_APPEND, WEIR_PRODUCER_DUPLICATE, WEIR_PRODUCER_OUT_OF_ORDER, WEIR_PRODUCER_STALE };

struct weir_producers *weir_producers_new(uint32_t producers_max); /* above it the one idle longest goes; NULL: no memory */
void weir_producers_free(struct weir_producers *producers);
/* base_out  with DUPLICATE: where it was appended the first time */
enum weir_producer_verdict weir_producers_check(struct weir_producers *producers, const struct weir_batch *batch, uint64_t *base_out);
/* It was appended at base_offset. Also for batches that are read again at a start. -ENOMEM. */
int weir_producers_note(struct weir_producers *producers, const struct weir_batch *batch, uint64_t base_offset, int64_t now_ms);
/* The append failed or was lost: the last note of this producer is taken back. */
void weir_producers_forget(struct weir_producers *producers, const struct weir_batch *batch, uint64_t base_offset);
void weir_producers_expire(struct weir_producers *producers, int64_t idle_since_ms);
uint32_t weir_producers_count(const struct weir_producers *producers);
/* malloc'd bytes; only batches below end_offset. NULL with 0: nothing to save. */
void *weir_producers_save(const struct weir_producers *producers, uint64_t end_offset, size_t *byte_count_out);
int weir_producers_load(struct weir_producers *producers, const void *bytes, size_t byte_count, uint64_t end_offset); /* -EBADMSG, -ENOMEM */

/* Transactions of this partition (KIP-98): what is open holds the last stable offset back, what was aborted is listed for readers. */
uint64_t weir_producers_stable_offset(const struct weir_producers *producers, uint64_t high_watermark);
struct weir_aborted_range { int64_t producer_id; uint64_t first_offset; uint64_t last_offset; };
/* Aborted transactions that overlap [from, to), by first offset. How many there are; fills in up to `room`. */
uint32_t weir_producers_aborted(const struct weir_producers *producers, uint64_t from, uint64_t to,
                                struct weir_aborted_range *ranges, uint32_t room);
bool weir_producers_in_transaction(const struct weir_producers *producers, int64_t producer_id);

#endif
