/*
 * runtime/recorder.h - the flight recorder of one reactor: its last events, always on.
 *
 * A ring of 16-byte cells, numbered by one counter that is also the source of event ids: the place of an emit's cell *is*
 * its event's id, so an emit writes cause and topic in one store and keeps no other number. Most kinds fit one cell;
 * what carries the id of another event takes two.
 *
 *     emit to one handler   { cause id, topic slot, topic generation }  the event is the place
 *     made here             { cause id, a, OWN kind b }                 the event is the place
 *     told here             { id, topic slot, TOLD more b }             and so many more, with the ids that follow
 *     all else              { id, a, FIRST kind } { cause id, b, SECOND }
 *     an id and no record   { 0, 0, TAKEN }
 *
 * Events posted one after the other are told one after the other: while nothing else is recorded in between, telling the
 * next one only counts up in the cell of the one before it. Its cause is not said again, its own record says it.
 *
 * A generation has no top bit and a form has, so a cell says what it is. The time is the turn's, so a record costs no
 * clock. Readers elsewhere (a dump, a signal handler) may see the oldest cells change under them: they look at the
 * counter again afterwards and leave out what may have been written over. Proof: tests/runtime/recorder_test.c.
 */
#ifndef WEIR_RUNTIME_RECORDER_H
#define WEIR_RUNTIME_RECORDER_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

enum weir_record_kind {
    WEIR_RECORD_NONE,
    WEIR_RECORD_TURN,     /* id: now_ns; the records after it happened in this turn */
    WEIR_RECORD_EMIT,     /* id, cause, a: topic slot, b: handlers */
    WEIR_RECORD_POST,     /* id, cause, a: topic slot, b: to */
    WEIR_RECORD_DISPATCH, /* id of the event, a: topic slot, b: subscription slot; `more` events with the ids that follow */
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

/* What a dump makes of a cell or two. */
struct weir_record {
    uint64_t id;
    uint64_t cause_id;
    uint32_t a;
    uint32_t b;
    uint32_t number; /* low word of the record's place */
    uint16_t kind;
    uint16_t more; /* DISPATCH */
};

struct weir_cell {
    uint64_t word;
    uint32_t a;
    uint32_t tag; /* a topic's generation, or form, kind and b */
};

enum { WEIR_CELL_KIND_SHIFT = 20, WEIR_CELL_B_MAX = (1 << WEIR_CELL_KIND_SHIFT) - 1, WEIR_CELL_KIND_MASK = 0xff };
enum { WEIR_CELL_MORE_SHIFT = WEIR_CELL_KIND_SHIFT, WEIR_CELL_MORE_MAX = WEIR_CELL_KIND_MASK };
#define WEIR_CELL_FORM (0xfu << 28)
#define WEIR_CELL_OWN (0x8u << 28)
#define WEIR_CELL_FIRST (0x9u << 28)
#define WEIR_CELL_SECOND (0xau << 28)
#define WEIR_CELL_TAKEN (0xbu << 28)
#define WEIR_CELL_TOLD (0xcu << 28)
#define WEIR_GENERATION_MAX (UINT32_MAX >> 1)

static_assert((int)WEIR_RECORD_KINDS <= (int)WEIR_CELL_KIND_MASK, "a kind fits its tag");

/* A TOLD cell that may take in the next event. */
struct weir_told {
    uint64_t next; /* what the recorder's was after it; 0: there is none */
    uint64_t id;   /* the event that it can take in */
    uint32_t more;
};

struct weir_recorder {
    weir_atomic_u64 next; /* (N) release by the owner, after the cells before it; a dump reads */
    struct weir_cell *cells;
    uint64_t mask;
    uint64_t first;       /* what `next` was at first */
    uint64_t others;      /* cells that are no emit of their own: what is left over was emitted */
    struct weir_told told;
    uint64_t told_of;     /* b and a of what it tells */
};

/* Room for `record_count` records of any kind; `first_id` is the first event's. */
int weir_recorder_init(struct weir_recorder *recorder, uint32_t record_count, uint64_t first_id);
void weir_recorder_deinit(struct weir_recorder *recorder);

/* The record whose first cell has this number, as it stands now. NONE: it begins elsewhere. */
struct weir_record weir_recorder_read(const struct weir_recorder *recorder, uint64_t number);

static inline void weir_cell_put(struct weir_recorder *recorder, uint64_t number, uint64_t word, uint32_t a, uint32_t tag)
{
    recorder->cells[number & recorder->mask] = (struct weir_cell){word, a, tag};
}

static inline void weir_record(struct weir_recorder *recorder, enum weir_record_kind kind, uint64_t id,
                               uint64_t cause_id, uint32_t a, uint32_t b)
{
    uint64_t number = weir_load(&recorder->next, relaxed); /* ours */
    weir_cell_put(recorder, number, id, a, WEIR_CELL_FIRST | (uint32_t)kind << WEIR_CELL_KIND_SHIFT);
    weir_cell_put(recorder, number + 1, cause_id, b, WEIR_CELL_SECOND);
    recorder->others += 2;
    weir_store(&recorder->next, number + 2, release); /* (N) */
}

/* The record of an event that is made by this: its id. */
static inline uint64_t weir_record_own(struct weir_recorder *recorder, enum weir_record_kind kind, uint64_t cause_id,
                                       uint32_t a, uint32_t b)
{
    uint64_t number = weir_load(&recorder->next, relaxed); /* ours */
    uint32_t kept = b < WEIR_CELL_B_MAX ? b : WEIR_CELL_B_MAX;
    weir_cell_put(recorder, number, cause_id, a, WEIR_CELL_OWN | (uint32_t)kind << WEIR_CELL_KIND_SHIFT | kept);
    recorder->others += kind != WEIR_RECORD_EMIT;
    weir_store(&recorder->next, number + 1, release); /* (N) */
    return number;
}

/* WEIR_RECORD_DISPATCH: this event is told now. `told`: the last one of the same a and b. */
static inline void weir_record_told_next(struct weir_recorder *recorder, struct weir_told *told, uint64_t id, uint32_t a,
                                         uint32_t b)
{
    uint64_t number = weir_load(&recorder->next, relaxed); /* ours */
    uint64_t awaited_id = told->id;
    told->id = id + 1;
    if (number == told->next && id == awaited_id && told->more < WEIR_CELL_MORE_MAX) {
        told->more++;
        recorder->cells[(number - 1) & recorder->mask].tag += 1u << WEIR_CELL_MORE_SHIFT;
        return;
    }
    uint32_t tag = WEIR_CELL_TOLD | (b < WEIR_CELL_B_MAX ? b : WEIR_CELL_B_MAX);
    weir_cell_put(recorder, number, id, a, tag);
    recorder->others++;
    told->more = 0;
    told->next = number + 1;
    weir_store(&recorder->next, number + 1, release); /* (N) */
}

/* The same where nobody remembers the last one. */
static inline void weir_record_told(struct weir_recorder *recorder, uint64_t id, uint32_t a, uint32_t b)
{
    uint64_t of = (uint64_t)b << 32 | a;
    if (recorder->told_of != of) {
        recorder->told_of = of;
        recorder->told.next = 0; /* never a number */
    }
    weir_record_told_next(recorder, &recorder->told, id, a, b);
}

/* An event's id, without a record. */
static inline uint64_t weir_recorder_take(struct weir_recorder *recorder)
{
    uint64_t number = weir_load(&recorder->next, relaxed); /* ours */
    weir_cell_put(recorder, number, 0, 0, WEIR_CELL_TAKEN);
    recorder->others++;
    weir_store(&recorder->next, number + 1, release); /* (N) */
    return number;
}

/* Emits that wrote their own cell. */
static inline uint64_t weir_recorder_emits(const struct weir_recorder *recorder)
{
    return weir_load(&recorder->next, relaxed) - recorder->first - recorder->others; /* ours */
}

#endif
