/*
 * sched/strand.h - order by key, balance by strand: what a reactor runs next.
 *
 * A strand is (class, key); a class is one subscription. Tasks of a strand run in the order they
 * were posted, one at a time, wherever they run. States of a strand, all kept by its home reactor:
 *
 *     idle ---post---> queued ---turn---> running --(mail left)--> queued
 *      ^                  |                  |
 *      |                share (detach a run, push it on the deque)
 *      |                  v                  |
 *      +----(no mail)-- away <---done--------+---> idle
 *
 * An idle strand is no memory at all: strands come from a pool and only those that are not idle are
 * in the table. The mailbox belongs to the home reactor for ever. What travels is a *run*: the
 * front of the mailbox, cut off, which belongs to whoever holds the strand. The strand cannot run
 * again until the `done` of that run has come back, so posting meanwhile needs no lock and order
 * needs no sequence numbers.
 *
 *     home                              thief
 *     run = front of mailbox
 *     deque push  ------- (D) --------> deque steal
 *                                       execute the run
 *     weir_sched_done <--- mesh ------- send_done
 *
 * Balanced work touches nothing shared: runnable strands sit in a plain list ("private deques":
 * Acar, Charguéraud, Rainey, "Scheduling parallel programs by work stealing with private deques",
 * PPoPP 2013). Only while another reactor says that it is hungry, two strands or more have waited
 * for share_after_ns, and runs take longer than a hand-over costs, does the owner expose up to half
 * of them; it takes back what nobody stole.
 *
 * Unkeyed posts to a stealable class promise no order, so they are gathered into nameless strands
 * of up to gather_tasks. Unkeyed posts to a pinned class are one strand: first in, first out.
 *
 * One weir_sched a reactor, used by that reactor's thread only. Shared are the hub's words and the
 * deques.
 */
#ifndef WEIR_SCHED_STRAND_H
#define WEIR_SCHED_STRAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

struct weir_sched;
struct weir_strand;
struct weir_class;

/* Embedded at a fixed place in the caller's event. The scheduler's from post until release. */
struct weir_task {
    struct weir_task *next;
};

/* What became of a task. More verdicts (pause the strand) will come: return nothing else. */
enum weir_verdict {
    WEIR_TASK_DONE = 0,
};

/* Run one task on the reactor whose sched has `on` as its options.on - for a stealable class
 * maybe not the home. May post, open and close classes of *its own* reactor's sched; must not
 * call weir_sched_run. */
typedef enum weir_verdict (*weir_execute_fn)(void *class_context, struct weir_task *task, void *on);
/* The class is closed, its last task is over, its memory is the caller's again. On the home. */
typedef void (*weir_class_closed_fn)(struct weir_class *class);

/* A subscription as the scheduler sees it; the caller's memory, from init until closed. Fill the
 * first part. */
struct weir_class {
    weir_execute_fn execute;
    void *context;
    weir_class_closed_fn on_closed; /* may be NULL */
    bool stealable;
    uint8_t priority; /* 0 .. WEIR_SCHED_PRIORITIES - 1, higher first; lower ones get an eighth */

    /* The scheduler's. */
    weir_atomic_u32 closed;         /* home writes; a thief reads between two tasks */
    uint64_t salt;                  /* home: sets its keys apart in the table */
    char line_end[WEIR_LINE_BYTES]; /* what thieves read is above, what every few posts write below */
    uint32_t strand_count;          /* home: strands of this class that are not idle */
    struct weir_strand *open;       /* home: where an unkeyed post goes; NULL: none yet */
};

enum {
    WEIR_SCHED_REACTORS_MAX = 128,
    WEIR_SCHED_PRIORITIES = 4,
};

/* What all reactors of a runtime share; the caller's memory, zeroed, 128-byte aligned. */
struct weir_sched_hub {
    /* Each reactor adds and takes away its own one; owners of a backlog read, relaxed: hints. */
    _Alignas(WEIR_LINE_PAIR_BYTES) weir_atomic_u32 hungry; /* reactors without work, parked ones too */
    _Alignas(WEIR_LINE_PAIR_BYTES)
        weir_atomic_u32 searching; /* of those, the ones that look for it now */
    /* Deque of each reactor: written by weir_sched_init and _deinit (release), read by thieves
     * (acquire). */
    _Alignas(WEIR_LINE_PAIR_BYTES) weir_atomic_ptr deques[WEIR_SCHED_REACTORS_MAX];
};

/* Zero means the default in brackets, where there is one. */
struct weir_sched_options {
    struct weir_sched_hub *hub; /* NULL: a reactor alone, nothing is stolen */
    uint32_t reactor_index;
    uint32_t reactor_count;
    bool stealing; /* false: neither shares nor steals */

    void *on;                    /* given to execute: the reactor */
    uint64_t (*clock)(void *on); /* ns, monotonic; asked about every 10 us of work. Required */
    /* Tasks of one class that are over or were dropped, back to the home that posted them: `first`
     * .. `last` by ->next, `last->next` is not meaningful. Required. Must not post. */
    void (*release)(void *on, struct weir_class *class, struct weir_task *first,
                    struct weir_task *last, uint32_t count);
    /* The thief's way home: hand `strands` to weir_sched_done on reactor `home`, in any order
     * with others. A chain, one pointer to send. false: no credit now, the scheduler asks again
     * in its next turn. */
    bool (*send_done)(void *on, uint32_t home, struct weir_strand *strands);
    /* Work was exposed and nobody is searching: wake one parked reactor, if one is. May be NULL. */
    void (*on_shared)(void *on);

    uint32_t turn_tasks;     /* of one weir_sched_run [128] */
    uint64_t turn_ns;        /* likewise, looked at about every 10 us [500 us] */
    uint32_t run_tasks;      /* of one strand in a row, and of a stolen run [64] */
    uint32_t gather_tasks;   /* in one nameless strand [16] */
    uint64_t share_after_ns; /* how old a backlog must be before it is shared [10 us] */
    uint64_t share_run_ns;   /* what a run must take on average to be worth the journey [500 ns] */
    uint32_t deque_cells;    /* power of two [256] */
    uint32_t strands_warm;   /* laid out by init [256] */
    uint32_t strands_max;    /* not idle at once; posts that need one more get -EAGAIN [1 << 20] */
    uint64_t seed;           /* for the choice of victims and the table */
};

/* Numbers since init, and (the last group) as of now. Plain: on the reactor's own thread. */
struct weir_sched_counts {
    uint64_t posted;
    uint64_t executed;     /* on this reactor, stolen ones too */
    uint64_t dropped;      /* never run, because their class closed */
    uint64_t shared;       /* runs exposed */
    uint64_t taken_back;   /* runs exposed and not stolen */
    uint64_t stolen;       /* runs this reactor stole */
    uint64_t steal_misses; /* searches that found nothing */
    uint64_t done_waits;   /* send_done said no */

    uint64_t queued_tasks;     /* posted here, not yet released */
    uint32_t runnable_strands; /* in the list, not running, not away */
    uint32_t away_strands;     /* exposed or stolen */
    uint32_t live_strands;     /* not idle: all the memory strands hold */
    uint32_t stolen_strands;   /* others' runs waiting here */
};

/* -EINVAL, -ENOMEM. Before the reactors start; the sched must stay until all of them stopped. */
int weir_sched_open(const struct weir_sched_options *options, struct weir_sched **sched_out);
/* Releases the tasks that are left: call it on every sched once all threads stopped. A run that
 * is still with another reactor is released by its own home. No on_closed is called. */
void weir_sched_close(struct weir_sched *sched);

/* Ready to be posted to; its first part must be filled. */
void weir_sched_class_init(struct weir_sched *sched, struct weir_class *class);
/* No task of it starts on the home after this returns; a thief stops before its next one. Pending
 * tasks are dropped: released, not run. true: nothing is pending, the class is the caller's now
 * and on_closed will not be called. Must not be posted to any more. Inside its own execute it
 * answers false. */
bool weir_sched_class_close(struct weir_sched *sched, struct weir_class *class);

/* Queue a task of a class of this reactor. 0; -EAGAIN (strands_max), -ENOMEM: the task is still
 * the caller's. Only a post that finds its strand idle can fail. */
int weir_sched_post(struct weir_sched *sched, struct weir_class *class, struct weir_task *task);
int weir_sched_post_keyed(struct weir_sched *sched, struct weir_class *class, uint64_t key,
                          struct weir_task *task);

/* A turn: run own and stolen strands in rotation until the budget of options is spent or nothing
 * is left, share when others are hungry, send done what was stolen. Returns the tasks executed or
 * dropped here. */
uint32_t weir_sched_run(struct weir_sched *sched, uint64_t now_ns);
/* Anything to run, or a `done` still to be sent: then do not park. */
bool weir_sched_busy(const struct weir_sched *sched);
/* Expose part of a standing backlog if others are hungry; weir_sched_run does it by itself.
 * Returns whether a parked reactor should be woken now. */
bool weir_sched_share(struct weir_sched *sched, uint64_t now_ns);

enum weir_sched_state {
    WEIR_SCHED_BUSY,      /* the state after open */
    WEIR_SCHED_SEARCHING, /* no work: spins and steals */
    WEIR_SCHED_PARKED,    /* no work: sleeps, or may not search */
};
/* Tell the others; nothing when it is said already. After PARKED steal once more, then sleep:
 * what was exposed just before is found, what is exposed later wakes. Back to BUSY before running
 * anything. false only for SEARCHING: thieves enough (one for two busy reactors); the state is
 * PARKED then. */
bool weir_sched_announce(struct weir_sched *sched, enum weir_sched_state state);
/* While SEARCHING: look at each other reactor once, from a random one on, and take half of what
 * the first one with anything exposed. The strands wait here for weir_sched_run. Returns how
 * many. */
uint32_t weir_sched_steal(struct weir_sched *sched);
/* On the home: strands that another reactor sent by send_done. They run again or go idle; their
 * executed tasks are released. */
void weir_sched_done(struct weir_sched *sched, struct weir_strand *strands);

void weir_sched_counts(const struct weir_sched *sched, struct weir_sched_counts *counts_out);

#endif
