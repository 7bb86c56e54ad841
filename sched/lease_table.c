/*
 * sched/lease_table.c - one reactor's leases by key.
 *
 * Only a cache: what is in it can go at any time, since giving a lease back loses nothing. A lookup
 * that misses pays for two slots that are due, so a table that is never ticked cleans itself. Bounds:
 * slot_count keys, one chunk each. Proof: tests/sched/lease_table_test.c.
 */
#include "sched/lease_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum { WINDOW = WEIR_LEASE_TABLE_WINDOW, LOOKED_AT_BY_A_MISS = 2 };

int weir_lease_table_init(struct weir_lease_table *table, const struct weir_lease_terms *terms,
                          struct weir_pool_table *pools, uint32_t reactor_index, uint32_t slot_count)
{
    if (slot_count < WINDOW || (slot_count & (slot_count - 1)) != 0)
        return -EINVAL;
    size_t bytes = (size_t)slot_count * sizeof(uint64_t);
    uint64_t *hashes = aligned_alloc(WINDOW * sizeof(uint64_t), bytes);
    struct weir_lease_slot *slots = calloc(slot_count, sizeof *slots);
    if (hashes == NULL || slots == NULL) {
        free(hashes);
        free(slots);
        return -ENOMEM;
    }
    memset(hashes, 0, bytes);
    *table = (struct weir_lease_table){
        .terms = terms,
        .pools = pools,
        .hashes = hashes,
        .slots = slots,
        .window_mask = slot_count / WINDOW - 1,
        .reactor_index = reactor_index,
        .overflow = {.pool = &pools->overflow},
    };
    weir_list_init(&table->due);
    weir_list_init(&table->overflow.node);
    return 0;
}

static void give_up(struct weir_lease_table *table, struct weir_lease_slot *slot)
{
    weir_list_remove(&slot->node);
    weir_lease_give_back(&slot->lease, table->terms, slot->pool);
    if (slot->entry == NULL)
        return; /* the overflow slot stays */
    weir_pool_table_let_go(slot->entry);
    slot->entry = NULL;
    table->hashes[slot - table->slots] = 0;
}

static struct weir_lease_slot *first_due(struct weir_lease_table *table)
{
    return WEIR_CONTAINER(table->due.next, struct weir_lease_slot, node);
}

static void look_again(struct weir_lease_table *table, struct weir_lease_slot *slot, uint64_t due_ns)
{
    weir_list_remove(&slot->node);
    weir_list_push_back(&table->due, &slot->node);
    slot->due_ns = due_ns;
}

void weir_lease_table_deinit(struct weir_lease_table *table)
{
    while (table->slots != NULL && !weir_list_empty(&table->due))
        give_up(table, first_due(table));
    free(table->hashes);
    free(table->slots);
    table->slots = NULL;
}

uint64_t weir_lease_table_tick(struct weir_lease_table *table, uint64_t now_ns, bool idle,
                               uint32_t slots_max)
{
    for (; slots_max > 0 && !weir_list_empty(&table->due); slots_max--) {
        struct weir_lease_slot *slot = first_due(table);
        if (!idle && slot->due_ns > now_ns)
            break;
        uint64_t due_ns = slot->lease.borrowed_ns + WEIR_LEASE_NS;
        if (idle || due_ns <= now_ns)
            give_up(table, slot);
        else
            look_again(table, slot, due_ns); /* it has borrowed since */
    }
    return weir_list_empty(&table->due) ? UINT64_MAX : first_due(table)->due_ns;
}

/* An empty slot of a window, made so if there is none. */
static struct weir_lease_slot *make_room(struct weir_lease_table *table, uint64_t first)
{
    struct weir_lease_slot *oldest = &table->slots[first];
    for (uint64_t i = first; i < first + WINDOW; i++) {
        struct weir_lease_slot *slot = &table->slots[i];
        if (table->hashes[i] == 0)
            return slot;
        if (slot->due_ns < oldest->due_ns)
            oldest = slot;
    }
    give_up(table, oldest);
    return oldest;
}

static struct weir_lease_slot *find_overflow(struct weir_lease_table *table, uint64_t now_ns)
{
    table->overflowed++;
    if (weir_list_empty(&table->overflow.node))
        look_again(table, &table->overflow, now_ns + WEIR_LEASE_NS);
    return &table->overflow;
}

static struct weir_lease_slot *add(struct weir_lease_table *table, uint64_t first, uint64_t hash,
                                   uint64_t now_ns)
{
    weir_lease_table_tick(table, now_ns, false, LOOKED_AT_BY_A_MISS);
    struct weir_pool_entry *entry = weir_pool_table_hold(table->pools, &table->terms->rate,
                                                         table->reactor_index, hash, now_ns);
    if (entry == NULL)
        return find_overflow(table, now_ns);
    struct weir_lease_slot *slot = make_room(table, first);
    *slot = (struct weir_lease_slot){
        .lease = {.borrowed_ns = now_ns}, .pool = &entry->pool, .entry = entry};
    weir_list_init(&slot->node);
    look_again(table, slot, now_ns + WEIR_LEASE_NS);
    table->hashes[slot - table->slots] = hash;
    return slot;
}

struct weir_lease_slot *weir_lease_table_find(struct weir_lease_table *table, uint64_t hash,
                                              uint64_t now_ns)
{
    if (hash == 0)
        hash = 1;
    uint64_t first = (hash >> 32 & table->window_mask) * WINDOW;
    for (uint64_t i = first; i < first + WINDOW; i++)
        if (table->hashes[i] == hash)
            return &table->slots[i];
    return add(table, first, hash, now_ns);
}
