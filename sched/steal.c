/*
 * sched/steal.c - whole strands change reactor: share, steal, done.
 *
 * The owner of a backlog decides. It looks (relaxed, a hint) whether anybody is hungry; only then
 * it cuts runs off and pushes every second stealable strand, oldest first, until half of what it
 * has is exposed. A strand on the deque is *away*: its mailbox still grows, but it is in no list of
 * its home until weir_sched_done, so no second run of it can exist. That single fact is the order
 * guarantee.
 *
 * Who may touch what while a strand is away: its home the first line (mailbox, state), the holder
 * the second (the run). Ownership of the second line goes with the pointer: deque push and steal
 * (release/acquire in ring/deque.c), then the mesh slot (release/acquire in ring/spsc.c). Hungry
 * and searching are only hints: too old a value costs time, never a task. A wake that is missed is
 * repeated by the owner's next check, about 10 us on, and an owner that runs dry takes its strands
 * back before it rests.
 *
 * Bounds: deque_cells strands exposed, one searching thief for two busy reactors. Proof:
 * tests/sched/steal_test.c, tests/sched/strand_model.c.
 */
#include "sched/strand.h"

#include "base/assert.h"
#include "sched/strand_sched.h"

/* Sharing: the owner's side. */

static void note_backlog(struct weir_sched *sched, uint64_t now_ns)
{
    if (sched->stealable_runnable + sched->held.count < 2)
        sched->backlog_since_ns = 0;
    else if (sched->backlog_since_ns == 0)
        sched->backlog_since_ns = now_ns;
}

static bool expose(struct weir_sched *sched, struct weir_strand *strand)
{
    if (!weir_deque_push(sched->deque, strand)) /* (D) */
        return false;
    sched->counts.shared++;
    return true;
}

/* Send the front of an own strand's mailbox away. A nameless one takes no more posts: they would
 * wait for its done. */
static void detach(struct weir_sched *sched, struct weir_strand *strand)
{
    if (strand->class->open == strand)
        strand->class->open = NULL;
    weir_strand_cut(strand, sched->options.run_tasks);
    strand->home = sched->options.reactor_index;
    strand->state = WEIR_STRAND_AWAY;
    sched->away_count++;
}

/* Every second stealable strand of one list, at most `want`: both sides then work in order of
 * age. */
static uint32_t expose_runnable(struct weir_sched *sched, uint32_t level, uint32_t want)
{
    struct weir_strand_list *list = &sched->runnable[level];
    struct weir_strand **at = &list->first;
    struct weir_strand *before = NULL;
    uint32_t exposed = 0;
    bool keep = true;
    for (uint32_t left = list->count; left > 0 && exposed < want; left--) {
        struct weir_strand *strand = *at;
        bool take = strand->class->stealable && !keep;
        if (strand->class->stealable)
            keep = !keep;
        if (!take) {
            before = strand;
            at = &strand->next;
            continue;
        }
        *at = strand->next;
        if (list->last == strand)
            list->last = before;
        list->count--;
        sched->stealable_runnable--;
        detach(sched, strand);
        bool fits = expose(sched, strand);
        WEIR_ASSERT(fits); /* `want` is no more than the deque has room for */
        exposed++;
    }
    if (list->count == 0)
        sched->runnable_mask &= ~(1u << level);
    return exposed;
}

static void expose_held(struct weir_sched *sched, uint32_t want)
{
    for (; want > 0 && sched->held.count > 1; want--) {
        struct weir_strand *strand = weir_strand_unhold(&sched->held);
        bool fits = expose(sched, strand);
        WEIR_ASSERT(fits);
    }
}

static uint32_t exposure_wanted(struct weir_sched *sched)
{
    uint32_t exposed = weir_deque_count(sched->deque);
    uint32_t half = (sched->stealable_runnable + sched->held.count + exposed) / 2;
    if (half > sched->options.deque_cells)
        half = sched->options.deque_cells;
    return half > exposed ? half - exposed : 0;
}

/* The backlog stands, and a run takes longer than its journey there and back. */
static bool worth_sharing(const struct weir_sched *sched, uint64_t now_ns)
{
    return sched->backlog_since_ns != 0 &&
           now_ns - sched->backlog_since_ns >= sched->options.share_after_ns &&
           sched->run_time_ns >= sched->options.share_run_ns * sched->run_count;
}

/* Somebody is hungry, or works for us just now and will be again: what he finds when he is done need not wait for our
 * next look. */
static bool somebody_takes(const struct weir_sched *sched)
{
    return weir_load(&sched->options.hub->hungry, relaxed) > 0 || /* a hint */
           sched->away_count > weir_deque_count(sched->deque);
}

bool weir_sched_share(struct weir_sched *sched, uint64_t now_ns)
{
    note_backlog(sched, now_ns);
    if (!sched->stealing || !somebody_takes(sched))
        return false;
    if (worth_sharing(sched, now_ns)) {
        uint32_t want = exposure_wanted(sched);
        uint32_t held = want < sched->held.count / 2 ? want : sched->held.count / 2;
        expose_held(sched, held);
        want -= held;
        for (uint32_t level = WEIR_SCHED_PRIORITIES; level-- > 0 && want > 0;)
            want -= expose_runnable(sched, level, want);
    }
    return weir_deque_count(sched->deque) > 0 &&
           weir_load(&sched->options.hub->searching, relaxed) == 0; /* a hint */
}

struct weir_strand *weir_sched_take_back(struct weir_sched *sched)
{
    if (!sched->stealing)
        return NULL;
    struct weir_strand *strand = weir_deque_pop(sched->deque);
    sched->counts.taken_back += strand != NULL;
    return strand;
}

/* Stealing: the hungry side. */

static bool may_search(struct weir_sched *sched)
{
    struct weir_sched_hub *hub = sched->options.hub;
    uint32_t hungry = weir_load(&hub->hungry, relaxed); /* a hint */
    uint32_t busy = hungry < sched->options.reactor_count ? sched->options.reactor_count - hungry
                                                          : 0;
    uint32_t limit = busy > 1 ? (busy + 1) / 2 : 1;
    uint32_t searching = weir_load(&hub->searching, relaxed);
    while (searching < limit) {
        /* Relaxed, as all of these counts: no data follows from them. */
        if (weir_compare_exchange(&hub->searching, &searching, searching + 1, relaxed))
            return true;
    }
    return false;
}

bool weir_sched_announce(struct weir_sched *sched, enum weir_sched_state state)
{
    if (sched->state == state || !sched->stealing)
        return state != WEIR_SCHED_SEARCHING || sched->stealing;
    struct weir_sched_hub *hub = sched->options.hub;
    enum weir_sched_state before = sched->state;
    if (before == WEIR_SCHED_BUSY)
        weir_fetch_add(&hub->hungry, 1, relaxed);
    if (before == WEIR_SCHED_SEARCHING)
        weir_fetch_add(&hub->searching, UINT32_MAX, relaxed);
    if (state == WEIR_SCHED_BUSY)
        weir_fetch_add(&hub->hungry, UINT32_MAX, relaxed);
    bool granted = state != WEIR_SCHED_SEARCHING || may_search(sched);
    sched->state = (uint8_t)(granted ? state : WEIR_SCHED_PARKED);
    return granted;
}

static uint32_t steal_from(struct weir_sched *sched, struct weir_deque *deque)
{
    uint32_t want = (weir_deque_count(deque) + 1) / 2;
    uint32_t got = 0;
    for (; got < want; got++) {
        struct weir_strand *strand = weir_deque_steal(deque); /* pairs with (D) */
        if (strand == NULL)
            break;
        weir_strand_hold(&sched->held, strand);
    }
    return got;
}

uint32_t weir_sched_steal(struct weir_sched *sched)
{
    if (!sched->stealing)
        return 0;
    uint32_t count = sched->options.reactor_count;
    sched->chance ^= sched->chance << 13; /* xorshift64 (Marsaglia 2003) */
    sched->chance ^= sched->chance >> 7;
    sched->chance ^= sched->chance << 17;
    uint32_t start = (uint32_t)((sched->chance >> 32) * count >> 32);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t victim = start + i < count ? start + i : start + i - count;
        if (victim == sched->options.reactor_index)
            continue;
        /* acquire: pairs with weir_sched_open. */
        struct weir_deque *deque = weir_load(&sched->options.hub->deques[victim], acquire);
        uint32_t got = deque != NULL ? steal_from(sched, deque) : 0;
        if (got > 0) {
            sched->counts.stolen += got;
            return got;
        }
    }
    sched->counts.steal_misses++;
    return 0;
}

/* Done: the way home. */

/* All of `returning` that have the home of the first, as one chain. */
static struct weir_strand *chain_of_one_home(struct weir_strand_list *returning, uint32_t home)
{
    struct weir_strand_list chain = {0};
    struct weir_strand_list others = {0};
    while (returning->count > 0) {
        struct weir_strand *strand = weir_strand_unhold(returning);
        weir_strand_hold(strand->home == home ? &chain : &others, strand);
    }
    *returning = others;
    return chain.first;
}

static void keep_chain(struct weir_strand_list *list, struct weir_strand *chain)
{
    for (struct weir_strand *strand = chain, *next; strand != NULL; strand = next) {
        next = strand->link;
        weir_strand_hold(list, strand);
    }
}

void weir_sched_send_done(struct weir_sched *sched)
{
    struct weir_strand_list refused = {0};
    while (sched->returning.count > 0) {
        uint32_t home = sched->returning.first->home;
        struct weir_strand *chain = chain_of_one_home(&sched->returning, home);
        if (!sched->options.send_done(sched->options.on, home, chain)) {
            sched->counts.done_waits++;
            keep_chain(&refused, chain);
        }
    }
    sched->returning = refused;
}

void weir_sched_done(struct weir_sched *sched, struct weir_strand *strands)
{
    for (struct weir_strand *strand = strands, *next; strand != NULL; strand = next) {
        next = strand->link;
        WEIR_ASSERT(strand->state == WEIR_STRAND_AWAY);
        WEIR_ASSERT(strand->home == sched->options.reactor_index);
        WEIR_ASSERT(strand->run_left == 0);
        WEIR_ASSERT(sched->away_count > 0);
        sched->away_count--;
        weir_sched_release_run(sched, strand->class, strand->run_first, strand->run_last,
                               strand->run_count);
        weir_strand_settle(sched, strand);
    }
}

bool weir_sched_busy(const struct weir_sched *sched)
{
    return sched->runnable_mask != 0 || sched->held.count > 0 || sched->returning.count > 0 ||
           (sched->stealing && weir_deque_count(sched->deque) > 0);
}
