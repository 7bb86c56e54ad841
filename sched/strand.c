/*
 * sched/strand.c - strands: posting, and running a turn of them.
 *
 * A post costs a table look-up (keyed) or none, and one append. A turn takes strands in rotation,
 * cuts the front of their mailbox off as a run and executes that; so what is posted meanwhile waits
 * its turn behind the others. Bounds: turn_tasks and turn_ns a turn, run_tasks of one strand in a
 * row. Nothing here is shared between threads but the class's `closed` flag; see steal.c for what
 * is. Proof: tests/sched/strand_test.c (order, fairness, nothing lost or twice, memory),
 * tests/sched/steal_test.c (the same under stealing).
 */
#include "sched/strand.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "sched/strand_sched.h"

enum {
    CHECK_SOON_NS = 5000,  /* checked sooner than this: look half as often */
    CHECK_LATE_NS = 20000, /* later: look at once, then find the pace again */
    CHECK_EVERY_MAX = 64,
    RUNS_REMEMBERED = 128,
    PICKS_SHIFT = 3, /* a lower priority is picked once in 2^3 */
};

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value != 0 ? value : fallback;
}

static void fill_defaults(struct weir_sched_options *options)
{
    options->turn_tasks = or_default(options->turn_tasks, 128);
    options->run_tasks = or_default(options->run_tasks, 64);
    options->gather_tasks = or_default(options->gather_tasks, 16);
    options->deque_cells = or_default(options->deque_cells, 256);
    options->strands_warm = or_default(options->strands_warm, 256);
    options->strands_max = or_default(options->strands_max, 1u << 20);
    if (options->turn_ns == 0)
        options->turn_ns = 500 * WEIR_US_NS;
    if (options->share_after_ns == 0)
        options->share_after_ns = 10 * WEIR_US_NS;
    if (options->share_run_ns == 0)
        options->share_run_ns = 500;
}

static bool options_valid(const struct weir_sched_options *options)
{
    if (options->clock == NULL || options->release == NULL)
        return false;
    if (options->reactor_index >= WEIR_SCHED_REACTORS_MAX)
        return false;
    if (options->hub == NULL)
        return true;
    return options->send_done != NULL && options->reactor_count <= WEIR_SCHED_REACTORS_MAX &&
           options->reactor_index < options->reactor_count;
}

static int open_deque(struct weir_sched *sched)
{
    uint32_t cells = sched->options.deque_cells;
    size_t bytes = weir_deque_bytes(cells);
    if (bytes == 0)
        return -EINVAL;
    sched->deque_memory = aligned_alloc(WEIR_LINE_PAIR_BYTES, bytes);
    if (sched->deque_memory == NULL)
        return -ENOMEM;
    int result = weir_deque_init(sched->deque_memory, bytes, cells, &sched->deque);
    if (result < 0)
        free(sched->deque_memory);
    return result;
}

int weir_sched_open(const struct weir_sched_options *options, struct weir_sched **sched_out)
{
    if (!options_valid(options))
        return -EINVAL;
    struct weir_sched *sched = calloc(1, sizeof *sched);
    if (sched == NULL)
        return -ENOMEM;
    sched->options = *options;
    fill_defaults(&sched->options);
    sched->check_every = 1;
    sched->chance = weir_hash_u64(options->seed, options->reactor_index + 1) | 1;
    int result = open_deque(sched);
    if (result < 0) {
        free(sched);
        return result;
    }
    result = weir_strand_table_init(&sched->table, sched->options.strands_warm,
                                    sched->options.strands_max);
    if (result < 0) {
        free(sched->deque_memory);
        free(sched);
        return result;
    }
    sched->stealing = options->stealing && options->hub != NULL && options->reactor_count > 1;
    if (sched->stealing) /* release: a thief that sees the deque sees it laid out */
        weir_store(&options->hub->deques[options->reactor_index], sched->deque, release);
    *sched_out = sched;
    return 0;
}

static void release_left(void *context, struct weir_strand *strand)
{
    struct weir_sched *sched = context;
    if (strand->state == WEIR_STRAND_IDLE)
        return;
    if (strand->state == WEIR_STRAND_AWAY)
        weir_sched_release_run(sched, strand->class, strand->run_first, strand->run_last,
                               strand->run_count);
    if (strand->mail_count > 0)
        weir_sched_release_run(sched, strand->class, strand->mail_first, strand->mail_last,
                               strand->mail_count);
}

void weir_sched_close(struct weir_sched *sched)
{
    WEIR_ASSERT(!sched->running);
    weir_sched_announce(sched, WEIR_SCHED_BUSY);
    if (sched->stealing)
        weir_store(&sched->options.hub->deques[sched->options.reactor_index], NULL, release);
    weir_strand_table_each(&sched->table, release_left, sched);
    weir_strand_table_deinit(&sched->table);
    free(sched->deque_memory);
    free(sched);
}

/* Classes. */

void weir_sched_class_init(struct weir_sched *sched, struct weir_class *class)
{
    WEIR_ASSERT(class->execute != NULL);
    WEIR_ASSERT(class->priority < WEIR_SCHED_PRIORITIES);
    weir_store(&class->closed, 0, relaxed); /* nobody else knows the class yet */
    class->salt = weir_hash_u64(++sched->class_number, sched->options.seed);
    class->strand_count = 0;
    class->open = NULL;
}

bool weir_sched_class_close(struct weir_sched *sched, struct weir_class *class)
{
    (void)sched;
    /* Relaxed: carries no data; a thief that reads it late runs one task more, as promised. */
    weir_store(&class->closed, 1, relaxed);
    return class->strand_count == 0;
}

/* Runnable strands. */

void weir_strand_queue(struct weir_sched *sched, struct weir_strand *strand)
{
    uint32_t level = strand->class->priority;
    struct weir_strand_list *list = &sched->runnable[level];
    strand->state = WEIR_STRAND_QUEUED;
    strand->next = NULL;
    if (list->count++ == 0)
        list->first = strand;
    else
        list->last->next = strand;
    list->last = strand;
    sched->runnable_mask |= 1u << level;
    sched->stealable_runnable += strand->class->stealable;
}

/* It is next: what it begins with, and who follows it. A backlog of keys does not fit the first cache. */
static void fetch_ahead(const struct weir_strand *strand)
{
    __builtin_prefetch(strand->mail_first);
    __builtin_prefetch(strand->next); /* may be anything: a prefetch does not mind */
}

/* The highest priority that waits; but each eighth time the next lower one, each 64th the one
 * below that. */
static struct weir_strand *pick(struct weir_sched *sched)
{
    uint32_t mask = sched->runnable_mask;
    if (mask == 0)
        return NULL;
    if ((mask & (mask - 1)) != 0) {
        uint32_t skip = (uint32_t)__builtin_ctz(++sched->picks | 1u << 31) / PICKS_SHIFT;
        for (; skip > 0 && (mask & (mask - 1)) != 0; skip--)
            mask &= ~(1u << (31 - __builtin_clz(mask)));
    }
    uint32_t level = 31 - (uint32_t)__builtin_clz(mask);
    struct weir_strand_list *list = &sched->runnable[level];
    struct weir_strand *strand = list->first;
    list->first = strand->next;
    if (--list->count == 0)
        sched->runnable_mask &= ~(1u << level);
    else
        fetch_ahead(list->first);
    sched->stealable_runnable -= strand->class->stealable;
    return strand;
}

/* Posting. */

static void append(struct weir_strand *strand, struct weir_task *task)
{
    if (strand->mail_count++ == 0)
        strand->mail_first = task;
    else
        strand->mail_last->next = task;
    strand->mail_last = task;
}

static struct weir_strand *wake(struct weir_sched *sched, struct weir_class *class, int *result_out)
{
    struct weir_strand *strand = weir_strand_table_take(&sched->table, class, result_out);
    if (strand == NULL)
        return NULL;
    class->strand_count++;
    weir_strand_queue(sched, strand);
    return strand;
}

static void append_to_open(struct weir_sched *sched, struct weir_class *class, struct weir_task *task)
{
    struct weir_strand *strand = class->open;
    append(strand, task);
    sched->counts.posted++;
    if (class->stealable && strand->mail_count >= sched->options.gather_tasks)
        class->open = NULL;
}

static __attribute__((noinline)) int open_and_append(struct weir_sched *sched, struct weir_class *class,
                                                     struct weir_task *task)
{
    int result;
    class->open = wake(sched, class, &result);
    if (class->open == NULL)
        return result;
    append_to_open(sched, class, task);
    return 0;
}

int weir_sched_post(struct weir_sched *sched, struct weir_class *class, struct weir_task *task)
{
    WEIR_ASSERT(weir_load(&class->closed, relaxed) == 0); /* ours */
    if (class->open == NULL)
        return open_and_append(sched, class, task);
    append_to_open(sched, class, task);
    return 0;
}

int weir_sched_post_keyed(struct weir_sched *sched, struct weir_class *class, uint64_t key,
                          struct weir_task *task)
{
    WEIR_ASSERT(weir_load(&class->closed, relaxed) == 0); /* ours */
    struct weir_strand *strand = weir_strand_table_find(&sched->table, class, key);
    if (strand == NULL) {
        int result;
        strand = wake(sched, class, &result);
        if (strand == NULL)
            return result;
        weir_strand_table_insert(&sched->table, strand, key);
    }
    append(strand, task);
    sched->counts.posted++;
    return 0;
}

/* Running. */

void weir_sched_release_run(struct weir_sched *sched, struct weir_class *class,
                            struct weir_task *first, struct weir_task *last, uint32_t count)
{
    sched->released += count;
    sched->options.release(sched->options.on, class, first, last, count);
}

void weir_strand_cut(struct weir_strand *strand, uint32_t tasks_max)
{
    WEIR_ASSERT(strand->mail_count > 0);
    uint32_t count = strand->mail_count;
    struct weir_task *last = strand->mail_last;
    strand->run_first = strand->mail_first;
    if (count > tasks_max) {
        count = tasks_max;
        last = strand->mail_first;
        for (uint32_t i = 1; i < count; i++)
            last = last->next;
        strand->mail_first = last->next;
    }
    strand->mail_count -= count;
    strand->run_last = last;
    strand->run_at = strand->run_first;
    strand->run_count = count;
    strand->run_left = count;
    strand->run_class = strand->class;
}

void weir_strand_settle(struct weir_sched *sched, struct weir_strand *strand)
{
    struct weir_class *class = strand->class;
    bool closed = weir_load(&class->closed, relaxed) != 0; /* ours */
    if (strand->mail_count > 0 && !closed) {
        weir_strand_queue(sched, strand);
        return;
    }
    if (strand->mail_count > 0) {
        sched->counts.dropped += strand->mail_count;
        weir_sched_release_run(sched, class, strand->mail_first, strand->mail_last,
                               strand->mail_count);
        strand->mail_count = 0;
    }
    if (class->open == strand)
        class->open = NULL;
    weir_strand_table_give(&sched->table, strand);
    WEIR_ASSERT(class->strand_count > 0);
    if (--class->strand_count == 0 && closed && class->on_closed != NULL)
        class->on_closed(class); /* the class is gone now */
}

/* One reading counts for CHECK_LATE_NS at most: when the kernel took the CPU away, that was not
 * the tasks. Tasks that are truly slow are read after each, and still look slow enough. */
static void note_runs(struct weir_sched *sched, uint64_t spent_ns)
{
    sched->run_time_ns += spent_ns < CHECK_LATE_NS ? spent_ns : CHECK_LATE_NS;
    sched->run_count += sched->unchecked_runs;
    sched->unchecked_runs = 0;
    if (sched->run_count >= RUNS_REMEMBERED) {
        sched->run_time_ns /= 2;
        sched->run_count /= 2;
    }
}

/* Look at the clock: is the turn over, is a backlog standing that others could use? And find the
 * pace at which looking costs little and yet comes about every 10 us. */
static void check(struct weir_sched *sched)
{
    uint64_t now_ns = sched->options.clock(sched->options.on);
    uint64_t spent_ns = now_ns - sched->checked_ns;
    if (spent_ns > CHECK_LATE_NS)
        sched->check_every = 1;
    else if (spent_ns < CHECK_SOON_NS && sched->check_every < CHECK_EVERY_MAX)
        sched->check_every *= 2;
    note_runs(sched, spent_ns);
    sched->checked_ns = now_ns;
    sched->until_check = sched->check_every;
    sched->over = now_ns >= sched->deadline_ns;
    if (weir_sched_share(sched, now_ns) && sched->options.on_shared != NULL)
        sched->options.on_shared(sched->options.on);
}

/* Execute what is left of the run; stops early when the class closes (the rest is dropped) or the
 * turn is over (the rest stays). Returns how many are dealt with. */
static uint32_t execute(struct weir_sched *sched, struct weir_strand *strand)
{
    struct weir_class *class = strand->run_class;
    weir_execute_fn fn = class->execute;
    void *context = class->context;
    void *on = sched->options.on;
    struct weir_task *task = strand->run_at;
    uint32_t left = strand->run_left;
    uint32_t before = left, dropped = 0;
    sched->unchecked_runs++;
    while (left > 0 && !sched->over) {
        /* Relaxed: see weir_sched_class_close. */
        if (weir_load(&class->closed, relaxed) != 0) {
            dropped = left;
            left = 0;
            break;
        }
        struct weir_task *next = task->next;
        __builtin_prefetch(next); /* the last one's is anything: a prefetch does not mind */
        enum weir_verdict verdict = fn(context, task, on);
        WEIR_ASSERT(verdict == WEIR_TASK_DONE);
        task = next;
        left--;
        if (--sched->until_check == 0)
            check(sched);
    }
    sched->counts.dropped += dropped;
    sched->counts.executed += before - left - dropped;
    strand->run_at = task;
    strand->run_left = left;
    return before - left;
}

/* What the turn did not get to goes back to the front of the mailbox. */
static void uncut(struct weir_strand *strand, struct weir_task *last_done)
{
    if (strand->mail_count == 0)
        strand->mail_last = strand->run_last;
    else
        strand->run_last->next = strand->mail_first;
    strand->mail_first = strand->run_at;
    strand->mail_count += strand->run_left;
    strand->run_last = last_done;
    strand->run_count -= strand->run_left;
}

static struct weir_task *task_before(struct weir_task *first, const struct weir_task *end)
{
    while (first->next != end)
        first = first->next;
    return first;
}

static uint32_t run_own(struct weir_sched *sched, struct weir_strand *strand, uint32_t tasks_max)
{
    strand->state = WEIR_STRAND_RUNNING;
    weir_strand_cut(strand, tasks_max);
    uint32_t dealt = execute(sched, strand);
    if (strand->run_left > 0)
        uncut(strand, task_before(strand->run_first, strand->run_at));
    weir_sched_release_run(sched, strand->class, strand->run_first, strand->run_last,
                           strand->run_count);
    weir_strand_settle(sched, strand);
    return dealt;
}

/* A run that was stolen or taken back. Cut short by the turn's end, it goes on in the next one. */
static uint32_t run_held(struct weir_sched *sched)
{
    struct weir_strand *strand = weir_strand_unhold(&sched->held);
    uint32_t dealt = execute(sched, strand);
    if (strand->run_left > 0)
        weir_strand_hold(&sched->held, strand);
    else if (strand->home == sched->options.reactor_index) {
        strand->link = NULL;
        weir_sched_done(sched, strand);
    } else
        weir_strand_hold(&sched->returning, strand);
    return dealt;
}

static bool run_next(struct weir_sched *sched, uint32_t tasks_max, uint32_t *dealt)
{
    bool held_first = sched->held.count > 0 && (sched->held_turn || sched->runnable_mask == 0);
    sched->held_turn = !held_first;
    if (!held_first) {
        struct weir_strand *strand = pick(sched);
        if (strand != NULL) {
            uint32_t limit = sched->options.run_tasks;
            *dealt += run_own(sched, strand, limit < tasks_max ? limit : tasks_max);
            return true;
        }
        strand = weir_sched_take_back(sched);
        if (strand == NULL)
            return false;
        weir_strand_hold(&sched->held, strand);
    }
    *dealt += run_held(sched);
    return true;
}

uint32_t weir_sched_run(struct weir_sched *sched, uint64_t now_ns)
{
    WEIR_ASSERT(!sched->running);
    WEIR_ASSERT(sched->state == WEIR_SCHED_BUSY);
    sched->running = true;
    sched->over = false;
    sched->checked_ns = now_ns;
    sched->deadline_ns = now_ns + sched->options.turn_ns;
    sched->until_check = sched->check_every;
    sched->unchecked_runs = 0;
    if (weir_sched_share(sched, now_ns) && sched->options.on_shared != NULL)
        sched->options.on_shared(sched->options.on);
    uint32_t dealt = 0;
    while (dealt < sched->options.turn_tasks && !sched->over) {
        if (!run_next(sched, sched->options.turn_tasks - dealt, &dealt))
            break;
    }
    if (sched->stealable_runnable + sched->held.count < 2)
        sched->backlog_since_ns = 0;
    weir_sched_send_done(sched);
    sched->running = false;
    return dealt;
}

void weir_sched_counts(const struct weir_sched *sched, struct weir_sched_counts *counts_out)
{
    *counts_out = sched->counts;
    counts_out->queued_tasks = sched->counts.posted - sched->released;
    counts_out->away_strands = sched->away_count;
    counts_out->live_strands = sched->table.live_count;
    counts_out->stolen_strands = sched->held.count;
    counts_out->runnable_strands = 0;
    for (uint32_t i = 0; i < WEIR_SCHED_PRIORITIES; i++)
        counts_out->runnable_strands += sched->runnable[i].count;
}
