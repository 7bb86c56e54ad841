/*
 * tests/sched/pool_table_model.c - reactors that look keys up in one window of two entries, in every
 * order and with every stale read.
 *
 * The sources are the table's, the lease's and the bucket's own. Every key has one token and time
 * stands still, so what is charged to the wrong key, or forgotten, or kept in two places, is a second
 * token, or one that is missing. Two reactors are run in every order, three with as few preemptions as
 * the last number says.
 */
#define WEIR_POOL_TABLE_WINDOW 2
#define WEIR_POOL_TABLE_TRIES 2

#include "sched/bucket.c"
#include "sched/lease.c"
#include "sched/pool_table.c"

enum { A = 1, B, KEYS, NOBODY };

#define NOW_NS ((uint64_t)1000000000)
#define LATER_NS (NOW_NS + WEIR_POOL_TABLE_REST_NS)

static struct weir_pool_table table;
static struct weir_lease_terms terms;
static uint32_t admitted[KEYS]; /* by its own pool */
static uint32_t without_room;

static uint64_t stored(uint64_t key)
{
    return key_of(weir_hash_u64(key, 0));
}

static void set_entry(uint32_t i, uint64_t word)
{
    weir_store(&table.entries[i].word, word, relaxed);
    weir_store(&table.entries[i].pool.tat, 64, relaxed); /* full since long ago */
}

static void set_up(uint64_t first, uint64_t second)
{
    if (table.entries == NULL) {
        explore_check(weir_pool_table_init(&table, 2) == 0, "there is memory");
        explore_check(weir_lease_terms_init(&terms, 1, 1, 4) == 0, "a token a second");
    }
    set_entry(0, first);
    set_entry(1, second);
    for (uint32_t key = 0; key < KEYS; key++)
        admitted[key] = 0;
    without_room = 0;
    explore_name(&table.entries[0].word, "word 0");
    explore_name(&table.entries[1].word, "word 1");
    explore_name(&table.entries[0].pool.tat, "pool 0");
    explore_name(&table.entries[1].pool.tat, "pool 1");
}

static void both_are_free(void)
{
    set_up(FREE, FREE);
}

static void one_is_taken_by_a(void)
{
    set_up(word_of(stored(A), HELD, 0), word_of(stored(NOBODY), HELD, 1));
}

static struct weir_pool_entry *hold(uint32_t me, uint64_t key, uint64_t now_ns)
{
    struct weir_pool_entry *entry = weir_pool_table_hold(&table, &terms.rate, me, key, now_ns);
    without_room += entry == NULL;
    return entry;
}

static void take(uint32_t me, uint64_t key)
{
    struct weir_lease lease = {0};
    struct weir_pool_entry *entry = hold(me, key, NOW_NS);
    if (entry == NULL)
        return;
    admitted[key] += weir_lease_take(&lease, &terms, &entry->pool, NOW_NS, 1) == 0;
    weir_pool_table_let_go(entry);
}

static void take_and_refund(uint32_t me, uint64_t key)
{
    struct weir_lease lease = {0};
    struct weir_pool_entry *entry = hold(me, key, NOW_NS);
    if (entry == NULL)
        return;
    if (weir_lease_take(&lease, &terms, &entry->pool, NOW_NS, 1) == 0)
        weir_lease_refund(&lease, &terms, &entry->pool, 1);
    weir_pool_table_let_go(entry);
}

/* Nobody has taken from this key. */
static void find_full(uint32_t me, uint64_t key, uint64_t now_ns)
{
    struct weir_lease lease = {0};
    struct weir_pool_entry *entry = hold(me, key, now_ns);
    if (entry == NULL)
        return;
    explore_check(weir_lease_wait(&lease, &terms, &entry->pool, now_ns, 1) == 0,
                  "a key does not pay for another's debt");
    weir_pool_table_let_go(entry);
}

static void one_token_each(void)
{
    for (uint32_t key = 0; key < KEYS; key++)
        explore_check(admitted[key] <= 1, "a key has one token");
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t word = weir_load(&table.entries[i].word, relaxed);
        explore_check(word == FREE || tag_of(word) == HELD, "no claim is left behind");
        explore_check(key_of(word) == stored(NOBODY) || (word & NUMBER_MASK) == 0,
                      "who has let go holds nothing");
    }
    explore_check(key_of(weir_load(&table.entries[0].word, relaxed)) !=
                          key_of(weir_load(&table.entries[1].word, relaxed)) ||
                      weir_load(&table.entries[0].word, relaxed) == FREE,
                  "a key has one entry");
}

static void one_token_and_it_is_spent(void)
{
    one_token_each();
    explore_check(admitted[A] == 1 || without_room > 0, "a token is there for who asks");
}

static void everybody_takes_from_a(uint32_t me)
{
    take(me, A);
}

static void a_comes_back(uint32_t me)
{
    if (me == 0)
        take(me, A);
    take(me, me == 0 ? A : B);
}

static void three_keys(uint32_t me)
{
    static const uint64_t keys[] = {A, B, A};
    take(me, keys[me]);
}

static void a_leaves_no_debt(uint32_t me)
{
    if (me == 0)
        take_and_refund(me, A);
    else
        find_full(me, B, me == 1 ? LATER_NS : NOW_NS);
}

static void two_want_what_a_uses(uint32_t me)
{
    if (me == 2)
        take(me, A);
    else
        find_full(me, B, NOW_NS);
}

static void a_claim_is_withdrawn(uint32_t me)
{
    if (me == 1) {
        find_full(me, B, NOW_NS);
        return;
    }
    take_and_refund(me, A);
    struct attempt attempt = attempt_for(&table, &terms.rate, me, B, LATER_NS);
    struct weir_pool_entry *entry = claim(&attempt);
    if (entry != NULL)
        withdraw(&attempt, entry);
}

int main(void)
{
    const struct explore_model models[] = {
        {"pools: two reactors meet one key", 2, both_are_free, everybody_takes_from_a,
         one_token_and_it_is_spent, 0},
        {"pools: a key comes back while its entry is taken over", 2, one_is_taken_by_a,
         a_comes_back, one_token_each, 0},
        {"pools: two reactors find a key, a third takes it over", 3, one_is_taken_by_a, three_keys,
         one_token_each, 3},
        {"pools: what a key paid back is not another's debt", 3, one_is_taken_by_a,
         a_leaves_no_debt, one_token_each, 2},
        {"pools: two reactors want an entry that a third uses", 3, one_is_taken_by_a,
         two_want_what_a_uses, one_token_each, 2},
        {"pools: nor where a claim was withdrawn", 2, one_is_taken_by_a, a_claim_is_withdrawn,
         one_token_each, 0},
        {"pools: three reactors meet one key", 3, both_are_free, everybody_takes_from_a,
         one_token_and_it_is_spent, 1},
    };
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        if (!explore_run(&models[i]))
            return 1;
    return 0;
}
