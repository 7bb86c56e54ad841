/*
 * sched/pool_table.c - lease pools by key, shared by all reactors.
 *
 * The protocol is in the header; a lookup reads one window, whatever becomes of it. It is made when
 * a reactor first meets a key and after it let go of it, not for each event (sched/lease_table.h).
 * Bounds: entry_count keys in use, WEIR_POOL_TABLE_TRIES attempts a lookup. Proof: this file runs
 * against the explorer in tests/sched/pool_table_model.c, with threads in pool_table_test.c.
 */
#include "sched/pool_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"

enum {
    WINDOW = WEIR_POOL_TABLE_WINDOW,
    STATE_BITS = 16,
    NUMBER_BITS = 14, /* of the state: how many hold, or which reactor */
};

enum tag { HELD, CLOSED, CLAIMED };

#define FREE ((uint64_t)0)
#define STATE_MASK (((uint64_t)1 << STATE_BITS) - 1)
#define NUMBER_MASK (((uint64_t)1 << NUMBER_BITS) - 1)

/* One attempt to find or make room for a key. */
struct attempt {
    const struct weir_bucket_rate *rate;
    struct weir_pool_entry *window;
    uint64_t key;     /* state bits 0; never 0 */
    uint64_t claimed; /* the word that says: claimed by this reactor for this key */
    uint32_t reactor_index;
    uint32_t number; /* 0: the first */
    uint64_t now_ns;
};

static uint64_t word_of(uint64_t key, enum tag tag, uint64_t number)
{
    return key | (uint64_t)tag << NUMBER_BITS | number;
}

static uint64_t key_of(uint64_t word)
{
    return word & ~STATE_MASK;
}

static enum tag tag_of(uint64_t word)
{
    return (enum tag)((word & STATE_MASK) >> NUMBER_BITS);
}

int weir_pool_table_init(struct weir_pool_table *table, uint32_t entry_count)
{
    if (entry_count < WINDOW || (entry_count & (entry_count - 1)) != 0)
        return -EINVAL;
    size_t bytes = (size_t)entry_count * sizeof(struct weir_pool_entry);
    struct weir_pool_entry *entries = aligned_alloc(WINDOW * sizeof(struct weir_pool_entry), bytes);
    if (entries == NULL)
        return -ENOMEM;
    memset(entries, 0, bytes);
    memset(table, 0, sizeof *table);
    table->entries = entries;
    table->window_mask = entry_count / WINDOW - 1;
    return 0;
}

void weir_pool_table_deinit(struct weir_pool_table *table)
{
    free(table->entries);
    table->entries = NULL;
}

/* Hold an entry that was seen to be the key's; false: it is not, or not any more. */
static bool join(struct weir_pool_entry *entry, uint64_t key, uint64_t word)
{
    while (key_of(word) == key && tag_of(word) != CLAIMED) {
        bool closed = tag_of(word) == CLOSED;
        if (!closed && (word & NUMBER_MASK) == NUMBER_MASK)
            return false;
        uint64_t held = closed ? word_of(key, HELD, 1) : word + 1;
        /* acquire: pairs with (R), which all changes since go on with; else the pool could look as
         * it did to the key before. */
        if (weir_compare_exchange(&entry->word, &word, held, acquire))
            return true;
    }
    return false;
}

static struct weir_pool_entry *find(const struct attempt *attempt)
{
    for (uint32_t i = 0; i < WINDOW; i++) {
        uint64_t word = weir_load(&attempt->window[i].word, relaxed);
        if (key_of(word) == attempt->key && join(&attempt->window[i], attempt->key, word))
            return &attempt->window[i];
    }
    return NULL;
}

/* Full, and for long enough? */
static bool is_full(const struct attempt *attempt, struct weir_pool_entry *entry)
{
    uint64_t tat = weir_load(&entry->pool.tat, relaxed);
    return weir_bucket_ahead(tat, attempt->rate, attempt->now_ns - WEIR_POOL_TABLE_REST_NS) == 0;
}

/* Take an entry over that nobody holds, if its pool is full. */
static bool take_over(const struct attempt *attempt, struct weir_pool_entry *entry, uint64_t word)
{
    uint64_t closed = word_of(key_of(word), CLOSED, attempt->reactor_index);
    /* (A) acquire: what those who held it did to the pool. */
    if (!weir_compare_exchange(&entry->word, &word, closed, acquire))
        return false;
    if (is_full(attempt, entry))
        return weir_compare_exchange(&entry->word, &closed, attempt->claimed, relaxed);
    /* A failure is as good: then somebody holds it. */
    weir_compare_exchange(&entry->word, &closed, word_of(key_of(closed), HELD, 0), relaxed);
    return false;
}

/* NULL: the window is full. */
static struct weir_pool_entry *claim(const struct attempt *attempt)
{
    for (uint32_t i = 0; i < WINDOW; i++) {
        struct weir_pool_entry *entry = &attempt->window[i];
        uint64_t word = weir_load(&entry->word, relaxed);
        if (word == FREE) {
            /* If a claim was withdrawn here: the fence in settle acquires the pool, as join does. */
            if (weir_compare_exchange(&entry->word, &word, attempt->claimed, relaxed))
                return entry;
        } else if ((word & STATE_MASK) == word_of(0, HELD, 0) && is_full(attempt, entry) &&
                   take_over(attempt, entry, word)) {
            return entry;
        }
    }
    return NULL;
}

/* Is an entry other than ours the key's, or may it become so? A claim that can be made to lose is. */
static bool contested(const struct attempt *attempt, const struct weir_pool_entry *ours,
                      struct weir_pool_entry *entry)
{
    uint64_t word = weir_load(&entry->word, relaxed);
    while (key_of(word) == attempt->key) {
        /* The first entry wins; who meets a claim again, whose owner perhaps sleeps, ends it. */
        if (tag_of(word) != CLAIMED || (entry < ours && attempt->number == 0))
            return true;
        if (weir_compare_exchange(&entry->word, &word, FREE, relaxed))
            return false;
    }
    return false;
}

static void withdraw(const struct attempt *attempt, struct weir_pool_entry *ours)
{
    uint64_t word = attempt->claimed;
    weir_compare_exchange(&ours->word, &word, FREE, relaxed); /* or it has lost already */
}

static bool settle(const struct attempt *attempt, struct weir_pool_entry *ours)
{
    uint64_t word = attempt->claimed;
    /* The claim is before the fence, the look after it: see 3. in the header. */
    weir_fence(seq_cst);
    for (uint32_t i = 0; i < WINDOW; i++) {
        struct weir_pool_entry *entry = &attempt->window[i];
        if (entry == ours || !contested(attempt, ours, entry))
            continue;
        withdraw(attempt, ours);
        return false;
    }
    return weir_compare_exchange(&ours->word, &word, word_of(attempt->key, HELD, 1), relaxed);
}

static struct attempt attempt_for(struct weir_pool_table *table, const struct weir_bucket_rate *rate,
                                  uint32_t reactor_index, uint64_t hash, uint64_t now_ns)
{
    uint64_t mixed = weir_hash_u64(hash, 0); /* keys may come with bits that are always set */
    uint64_t key = key_of(mixed) != 0 ? key_of(mixed) : (uint64_t)1 << STATE_BITS;
    return (struct attempt){
        .rate = rate,
        .window = &table->entries[(mixed & table->window_mask) * WINDOW],
        .key = key,
        .claimed = word_of(key, CLAIMED, reactor_index),
        .reactor_index = reactor_index,
        .now_ns = now_ns,
    };
}

struct weir_pool_entry *weir_pool_table_hold(struct weir_pool_table *table,
                                             const struct weir_bucket_rate *rate,
                                             uint32_t reactor_index, uint64_t hash, uint64_t now_ns)
{
    WEIR_ASSERT(reactor_index < WEIR_POOL_TABLE_REACTORS_MAX);
    struct attempt attempt = attempt_for(table, rate, reactor_index, hash, now_ns);
    for (; attempt.number < WEIR_POOL_TABLE_TRIES; attempt.number++) {
        struct weir_pool_entry *entry = find(&attempt);
        if (entry != NULL)
            return entry;
        entry = claim(&attempt);
        if (entry == NULL)
            return NULL;
        if (settle(&attempt, entry))
            return entry;
    }
    return NULL;
}

void weir_pool_table_let_go(struct weir_pool_entry *entry)
{
    /* (R) release: the pool, for who closes the entry. */
    uint64_t word = weir_fetch_add(&entry->word, UINT64_MAX, release);
    WEIR_ASSERT(tag_of(word) == HELD && (word & NUMBER_MASK) > 0);
}
