/*
 * broker/groups.c - all groups of a reactor: found by name, looked at, removed; their memory, their clock, their answers.
 *
 * Blocks that an answer may point to are buried rather than freed: they are on a list until the last answer of the outermost call has
 * been given. Timers are one wheel, so a heartbeat costs the same with ten thousand members.
 *
 * Bounded by groups_max; whoever was never committed for and is empty goes first. Proof: tests/broker/groups_*.c.
 */
#include "broker/groups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "broker/groups_own.h"

enum { TABLE_FIRST = 64 };

/* ---- Memory -------------------------------------------------------------------------------------- */

struct block {
    struct block *next;
    max_align_t bytes[];
};

void *weir_groups_take(size_t byte_count)
{
    struct block *block = malloc(sizeof *block + byte_count);
    return block ? block->bytes : NULL;
}

void weir_groups_bury(struct weir_groups *groups, const void *bytes)
{
    if (!bytes)
        return;
    struct block *block = WEIR_CONTAINER(bytes, struct block, bytes);
    block->next = groups->buried;
    groups->buried = block;
}

static void free_buried(struct weir_groups *groups)
{
    struct block *next;
    for (struct block *block = groups->buried; block; block = next) {
        next = block->next;
        free(block);
    }
    groups->buried = NULL;
}

/* An absent one stays absent; an empty one has a block. */
bool weir_string_copy(struct weir_string *to, struct weir_string from)
{
    *to = (struct weir_string){0};
    if (!from.bytes)
        return true;
    char *bytes = weir_groups_take(from.byte_count);
    if (!bytes)
        return false;
    memcpy(bytes, from.bytes, from.byte_count);
    *to = (struct weir_string){.bytes = bytes, .byte_count = from.byte_count};
    return true;
}

/* ---- Answers ------------------------------------------------------------------------------------- */

static bool answer_one(struct weir_groups *groups)
{
    struct weir_list *node = weir_list_pop_front(&groups->joins);
    if (node) {
        struct weir_join *join = WEIR_CONTAINER(node, struct weir_join, node);
        struct weir_join_answer answer = join->answer; /* the struct may be gone when done returns */
        join->done(join, &answer);
        return true;
    }
    node = weir_list_pop_front(&groups->syncs);
    if (!node)
        return false;
    struct weir_sync *sync = WEIR_CONTAINER(node, struct weir_sync, node);
    struct weir_sync_answer answer = sync->answer;
    sync->done(sync, &answer);
    return true;
}

void weir_groups_answer(struct weir_groups *groups)
{
    if (groups->answering)
        return;
    groups->answering = true;
    while (answer_one(groups))
        continue;
    groups->answering = false;
    free_buried(groups);
}

/* ---- The table ----------------------------------------------------------------------------------- */

struct weir_groups *weir_groups_new(const struct weir_group_limits *limits, uint64_t random_seed)
{
    struct weir_groups *groups = calloc(1, sizeof *groups);
    if (!groups)
        return NULL;
    groups->table = calloc(TABLE_FIRST, sizeof *groups->table);
    if (!groups->table) {
        free(groups);
        return NULL;
    }
    groups->table_size = TABLE_FIRST;
    groups->limits = *limits;
    groups->seed = random_seed;
    weir_wheel_init(&groups->wheel, 0);
    weir_list_init(&groups->all);
    weir_list_init(&groups->evictable);
    weir_list_init(&groups->joins);
    weir_list_init(&groups->syncs);
    return groups;
}

static struct weir_group **bucket(const struct weir_groups *groups, uint64_t id_hash)
{
    return &groups->table[id_hash & (groups->table_size - 1)];
}

struct weir_group *weir_groups_find(const struct weir_groups *groups, struct weir_string id)
{
    uint64_t id_hash = weir_hash_bytes(id.bytes, id.byte_count, groups->seed);
    struct weir_group *group = *bucket(groups, id_hash);
    while (group && (group->id_hash != id_hash || !weir_string_same(group->id, id)))
        group = group->chain;
    return group;
}

static void insert(struct weir_groups *groups, struct weir_group *group)
{
    struct weir_group **place = bucket(groups, group->id_hash);
    group->chain = *place;
    *place = group;
}

/* Without memory it stays as it is, and chains grow longer. */
static void grow(struct weir_groups *groups)
{
    struct weir_group **table = calloc((size_t)groups->table_size * 2, sizeof *table);
    if (!table)
        return;
    free(groups->table);
    groups->table = table;
    groups->table_size *= 2;
    WEIR_LIST_EACH(node, &groups->all)
        insert(groups, WEIR_CONTAINER(node, struct weir_group, node));
}

static void remove_group(struct weir_group *group)
{
    struct weir_groups *groups = group->groups;
    struct weir_group **place = bucket(groups, group->id_hash);
    while (*place != group)
        place = &(*place)->chain;
    *place = group->chain;
    WEIR_LIST_EACH_SAFE(node, &group->pending)
        weir_groups_bury(groups, weir_group_pending_take(WEIR_CONTAINER(node, struct weir_group_pending, node)).bytes);
    while (group->member_count > 0)
        weir_group_member_remove(group->members[group->member_count - 1], WEIR_GROUP_UNKNOWN_MEMBER);
    weir_wheel_cancel(&groups->wheel, &group->timer);
    weir_list_remove(&group->node);
    weir_list_remove(&group->evictable);
    weir_groups_bury(groups, group->id.bytes);
    weir_groups_bury(groups, group->protocol_type.bytes);
    weir_groups_bury(groups, group->protocol.bytes);
    free(group->members);
    weir_groups_bury(groups, group);
    groups->count--;
}

void weir_group_consider_eviction(struct weir_group *group)
{
    weir_list_remove(&group->evictable);
    if (group->state == WEIR_GROUP_EMPTY && !group->committed && group->pending_count == 0)
        weir_list_push_back(&group->groups->evictable, &group->evictable);
}

struct weir_group *weir_groups_make(struct weir_groups *groups, uint64_t now_ns, struct weir_string id, bool *full_out)
{
    *full_out = groups->count >= groups->limits.groups_max && weir_list_empty(&groups->evictable);
    if (*full_out)
        return NULL;
    struct weir_group *group = weir_groups_take(sizeof *group);
    struct weir_string copy = {0};
    if (!group || !weir_string_copy(&copy, id)) {
        weir_groups_bury(groups, group);
        return NULL;
    }
    if (groups->count >= groups->limits.groups_max)
        remove_group(WEIR_CONTAINER(groups->evictable.next, struct weir_group, evictable));
    *group = (struct weir_group){
        .groups = groups,
        .id = copy,
        .id_hash = weir_hash_bytes(id.bytes, id.byte_count, groups->seed),
        .state = WEIR_GROUP_EMPTY,
        .empty_since_ns = now_ns,
    };
    weir_list_init(&group->pending);
    weir_list_init(&group->evictable);
    weir_wheel_timer_init(&group->timer, weir_group_on_time);
    weir_list_push_back(&groups->all, &group->node);
    if (groups->count == groups->table_size)
        grow(groups); /* which inserts it too, or does nothing */
    if (weir_groups_find(groups, id) != group)
        insert(groups, group);
    groups->count++;
    weir_group_consider_eviction(group);
    return group;
}

void weir_groups_free(struct weir_groups *groups)
{
    if (!groups)
        return;
    groups->closing = true;
    while (!weir_list_empty(&groups->all))
        remove_group(WEIR_CONTAINER(groups->all.next, struct weir_group, node));
    WEIR_ASSERT(!groups->answering); /* not from within done */
    weir_groups_answer(groups);
    free(groups->table);
    free(groups);
}

/* ---- Time ---------------------------------------------------------------------------------------- */

uint64_t weir_groups_next_ns(const struct weir_groups *groups)
{
    return weir_wheel_next_ns(&groups->wheel);
}

void weir_groups_tick(struct weir_groups *groups, uint64_t now_ns)
{
    weir_wheel_expire(&groups->wheel, now_ns, UINT32_MAX);
    weir_groups_answer(groups);
}

/* ---- For people and for the rest of the broker ---------------------------------------------------- */

static void view_group(const struct weir_group *group, struct weir_group_view *view_out)
{
    *view_out = (struct weir_group_view){
        .id = group->id,
        .protocol_type = group->protocol_type,
        .protocol = group->protocol,
        .leader = group->leader ? group->leader->id : (struct weir_string){0},
        .state = group->state,
        .generation = group->generation,
        .member_count = group->member_count,
        .last_reason = {.bytes = group->reason, .byte_count = group->reason_bytes},
        .rebalances = group->rebalances,
        .empty_since_ns = group->empty_since_ns,
    };
}

bool weir_groups_view(const struct weir_groups *groups, struct weir_string id, struct weir_group_view *view_out)
{
    const struct weir_group *group = weir_groups_find(groups, id);
    if (group)
        view_group(group, view_out);
    else
        *view_out = (struct weir_group_view){.id = id, .state = WEIR_GROUP_DEAD};
    return group != NULL;
}

bool weir_groups_member(const struct weir_groups *groups, struct weir_string id, uint32_t index, struct weir_group_member_view *member_out)
{
    const struct weir_group *group = weir_groups_find(groups, id);
    if (!group || index >= group->member_count)
        return false;
    weir_group_member_view(group->members[index], member_out);
    return true;
}

void weir_groups_each(const struct weir_groups *groups, void (*fn)(void *context, const struct weir_group_view *view), void *context)
{
    WEIR_LIST_EACH(node, &groups->all)
    {
        struct weir_group_view view;
        view_group(WEIR_CONTAINER(node, struct weir_group, node), &view);
        fn(context, &view);
    }
}

int weir_groups_touch(struct weir_groups *groups, uint64_t now_ns, struct weir_string id, struct weir_string protocol_type)
{
    bool full = false;
    struct weir_group *group = weir_groups_find(groups, id);
    if (!group) {
        group = groups->closing ? NULL : weir_groups_make(groups, now_ns, id, &full);
        if (group && !weir_string_copy(&group->protocol_type, protocol_type)) {
            remove_group(group);
            group = NULL;
        }
    }
    if (group) {
        group->committed = true;
        weir_group_consider_eviction(group);
    }
    weir_groups_answer(groups); /* nothing but what an eviction buried */
    return group ? 0 : full ? -ENOSPC : -ENOMEM;
}

enum weir_group_result weir_groups_delete(struct weir_groups *groups, struct weir_string id)
{
    struct weir_group *group = weir_groups_find(groups, id);
    if (!group)
        return WEIR_GROUP_NOT_FOUND;
    if (group->state != WEIR_GROUP_EMPTY)
        return WEIR_GROUP_NOT_EMPTY;
    remove_group(group);
    weir_groups_answer(groups);
    return WEIR_GROUP_OK;
}

bool weir_groups_subscribed(const struct weir_groups *groups, struct weir_string id, struct weir_string topic)
{
    const struct weir_group *group = weir_groups_find(groups, id);
    for (uint32_t i = 0; group && i < group->member_count; i++) {
        const struct weir_group_member *member = group->members[i];
        for (uint32_t j = 0; j < member->protocol_count; j++)
            if (weir_subscription_has(member->protocols[j].metadata, topic))
                return true;
    }
    return false;
}
