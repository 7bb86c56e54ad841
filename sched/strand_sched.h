/*
 * sched/strand_sched.h - what strand.c (queue and run) and steal.c (share, steal, done) know of a
 * scheduler.
 *
 * All of it is the one reactor's but for `hub`, `deque` and the held line of strands that are away.
 */
#ifndef WEIR_SCHED_STRAND_SCHED_H
#define WEIR_SCHED_STRAND_SCHED_H

#include "ring/deque.h"
#include "sched/strand_table.h"

/* First in, first out, by ->next (runnable) or ->link (held, returning): a list uses one of them
 * only. */
struct weir_strand_list {
    struct weir_strand *first;
    struct weir_strand *last; /* meaningful while count > 0 */
    uint32_t count;
};

struct weir_sched {
    struct weir_sched_options options;
    bool stealing;
    bool running; /* inside weir_sched_run */
    bool over;    /* the turn's time is spent */
    uint8_t state;

    struct weir_strand_list runnable[WEIR_SCHED_PRIORITIES];
    uint32_t runnable_mask;      /* which of them hold something */
    uint32_t stealable_runnable; /* strands in them that may be shared */
    uint32_t picks;              /* runs free: gives lower priorities their turn */

    /* The clock, asked every check_every tasks so that it is about every 10 us. */
    uint32_t check_every;
    uint32_t until_check;
    uint64_t checked_ns;
    uint64_t deadline_ns;
    uint64_t backlog_since_ns; /* 0: there is none */

    /* What a run takes: both halved now and then, so that the past fades. */
    uint64_t run_time_ns;
    uint32_t run_count;
    uint32_t unchecked_runs; /* since the clock was read */

    struct weir_strand_list held; /* stolen or taken back: their runs are this reactor's to execute */
    struct weir_strand_list returning; /* executed, `done` not sent yet */
    bool held_turn;                    /* own and held strands alternate */

    struct weir_deque *deque;
    void *deque_memory;
    struct weir_strand_table table;
    uint64_t chance;
    uint64_t class_number;
    uint64_t released;
    uint32_t away_count;
    struct weir_sched_counts counts; /* its first group */
};

static inline void weir_strand_hold(struct weir_strand_list *list, struct weir_strand *strand)
{
    strand->link = NULL;
    if (list->count++ == 0)
        list->first = strand;
    else
        list->last->link = strand;
    list->last = strand;
}

static inline struct weir_strand *weir_strand_unhold(struct weir_strand_list *list)
{
    struct weir_strand *strand = list->first;
    list->first = strand->link;
    list->count--;
    return strand;
}

/* strand.c */
void weir_sched_release_run(struct weir_sched *sched, struct weir_class *class,
                            struct weir_task *first, struct weir_task *last, uint32_t count);
void weir_strand_queue(struct weir_sched *sched, struct weir_strand *strand);
/* Cut at most `tasks_max` off the front of the mailbox into the run. */
void weir_strand_cut(struct weir_strand *strand, uint32_t tasks_max);
/* Its run is over: queued again if it has mail, else idle. May end its class. */
void weir_strand_settle(struct weir_sched *sched, struct weir_strand *strand);

/* steal.c */
void weir_sched_send_done(struct weir_sched *sched);
struct weir_strand *weir_sched_take_back(struct weir_sched *sched);

#endif
