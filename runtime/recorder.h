/*
 * runtime/recorder.h - the flight recorder of one reactor: its last events, always on.
 *
 * A ring of 32-byte records written by the owner with plain stores and one relaxed index. The time is the turn's, so a
 * record costs no clock; records are numbered by their place. Readers elsewhere (a dump, a signal handler) may see
 * the oldest records change under them: each record carries its number, and a dump leaves out those that do not fit.
 */
#ifndef WEIR_RUNTIME_RECORDER_H
#define WEIR_RUNTIME_RECORDER_H

#include <stdint.h>

#include "base/atomic.h"

enum weir_record_kind {
    WEIR_RECORD_NONE,
    WEIR_RECORD_TURN,     /* id: now_ns; the records after it happened in this turn */
    WEIR_RECORD_EMIT,     /* id, cause, a: topic slot, b: handlers */
    WEIR_RECORD_POST,     /* id, cause, a: topic slot, b: to */
    WEIR_RECORD_DISPATCH, /* id of the event, a: topic slot, b: subscription slot */
    WEIR_RECORD_MAIL,     /* id, cause, a: from, b: type */
    WEIR_RECORD_STEAL,    /* a: victim, b: tasks */
    WEIR_RECORD_LENT,     /* a: strands */
    WEIR_RECORD_PARK,
    WEIR_RECORD_WAKE,     /* a: who is woken */
    WEIR_RECORD_PAUSE,    /* a: destination without credit, or WEIR_TO_... ; b: reason */
    WEIR_RECORD_DROP,     /* id, a: reason, b: count */
    WEIR_RECORD_OPEN,     /* a: connection number */
    WEIR_RECORD_CLOSE,    /* a: connection number, b: -error */
    WEIR_RECORD_STALL,    /* id of the event, a: topic slot, b: microseconds */
    WEIR_RECORD_PUBLISH,  /* id, cause, a: low word of the topic's hash, b: receivers */
    WEIR_RECORD_DELIVER,  /* id, a: low word of the topic's hash, b: receivers here */
    WEIR_RECORD_KINDS,
};

struct weir_record {
    uint64_t id;
    uint64_t cause_id;
    uint32_t a;
    uint32_t b;
    uint32_t number; /* low word of the record's place */
    uint16_t kind;
    uint16_t spare;
};

struct weir_recorder {
    struct weir_record *records;
    uint64_t mask;
    weir_atomic_u64 written; /* owner writes, a dump reads */
};

int weir_recorder_init(struct weir_recorder *recorder, uint32_t record_count);
void weir_recorder_deinit(struct weir_recorder *recorder);

static inline void weir_record(struct weir_recorder *recorder, enum weir_record_kind kind, uint64_t id,
                               uint64_t cause_id, uint32_t a, uint32_t b)
{
    uint64_t at = weir_load(&recorder->written, relaxed); /* ours */
    struct weir_record *record = &recorder->records[at & recorder->mask];
    record->id = id;
    record->cause_id = cause_id;
    record->a = a;
    record->b = b;
    record->number = (uint32_t)at;
    record->kind = (uint16_t)kind;
    weir_store(&recorder->written, at + 1, relaxed); /* a dump checks numbers; order is not needed */
}

#endif
