/*
 * broker/group_answer.c - requests that wait with their member, and answers on their way.
 *
 * A request is parked with its member or lies, with its answer, in one of two lists of weir_groups; weir_groups_answer empties those when
 * the work is done. So `done` finds every group in order, and may do what it likes. Proof: tests/broker/groups_*.c.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "broker/groups_own.h"

void weir_join_refuse(struct weir_groups *groups, struct weir_join *join, enum weir_group_result result)
{
    join->member = NULL;
    join->answer = (struct weir_join_answer){.result = result, .generation = -1, .member_id = join->member_id};
    weir_list_push_back(&groups->joins, &join->node);
}

/* All members, in memory that lasts as long as the answer. NULL: there is none. */
static struct weir_group_member_view *view_members(struct weir_group *group)
{
    struct weir_group_member_view *views = weir_groups_take(group->member_count * sizeof *views);
    if (!views)
        return NULL;
    for (uint32_t i = 0; i < group->member_count; i++)
        weir_group_member_view(group->members[i], &views[i]);
    weir_groups_bury(group->groups, views);
    return views;
}

void weir_join_accept(struct weir_group_member *member, struct weir_join *join, struct weir_string leader, bool with_members, bool skip)
{
    struct weir_group *group = member->group;
    const struct weir_group_member_view *views = with_members ? view_members(group) : NULL;
    if (with_members && !views) { /* it asks again, and finds the group as it is */
        weir_join_refuse(group->groups, join, WEIR_GROUP_LOADING);
        return;
    }
    join->member = NULL;
    join->answer = (struct weir_join_answer){
        .result = WEIR_GROUP_OK,
        .generation = group->generation,
        .protocol_type = group->protocol_type,
        .protocol = group->protocol,
        .leader = leader,
        .member_id = member->id,
        .members = views,
        .member_count = views ? group->member_count : 0,
        .skip_assignment = skip,
    };
    weir_list_push_back(&group->groups->joins, &join->node);
}

void weir_sync_refuse(struct weir_groups *groups, struct weir_sync *sync, enum weir_group_result result)
{
    sync->member = NULL;
    sync->answer = (struct weir_sync_answer){.result = result};
    weir_list_push_back(&groups->syncs, &sync->node);
}

void weir_sync_accept(struct weir_group_member *member, struct weir_sync *sync)
{
    struct weir_group *group = member->group;
    sync->member = NULL;
    sync->answer = (struct weir_sync_answer){
        .result = WEIR_GROUP_OK,
        .protocol_type = group->protocol_type,
        .protocol = group->protocol,
        .assignment = member->assignment,
    };
    weir_list_push_back(&group->groups->syncs, &sync->node);
}

/* ---- Parked -------------------------------------------------------------------------------------- */

struct weir_join *weir_join_unpark(struct weir_group_member *member)
{
    struct weir_join *join = member->join;
    if (!join)
        return NULL;
    WEIR_ASSERT(member->group->joined_count > 0);
    member->group->joined_count--;
    member->join = NULL;
    join->member = NULL;
    return join;
}

struct weir_sync *weir_sync_unpark(struct weir_group_member *member)
{
    struct weir_sync *sync = member->sync;
    if (sync) {
        member->sync = NULL;
        sync->member = NULL;
    }
    return sync;
}

/* Whoever asks twice has lost the first answer's connection; the first is told to come again. */
void weir_join_park(struct weir_group_member *member, struct weir_join *join)
{
    struct weir_join *earlier = weir_join_unpark(member);
    if (earlier)
        weir_join_refuse(member->group->groups, earlier, WEIR_GROUP_REBALANCING);
    member->join = join;
    member->forgotten = false;
    join->member = member;
    member->group->joined_count++;
}

void weir_sync_park(struct weir_group_member *member, struct weir_sync *sync)
{
    struct weir_sync *earlier = weir_sync_unpark(member);
    if (earlier)
        weir_sync_refuse(member->group->groups, earlier, WEIR_GROUP_REBALANCING);
    member->sync = sync;
    member->forgotten = false;
    sync->member = member;
}

void weir_groups_forget_join(struct weir_join *join)
{
    weir_list_remove(&join->node); /* of an answer on its way */
    if (!join->member)
        return;
    join->member->forgotten = true;
    weir_join_unpark(join->member);
}

void weir_groups_forget_sync(struct weir_sync *sync)
{
    weir_list_remove(&sync->node);
    if (!sync->member)
        return;
    sync->member->forgotten = true;
    weir_sync_unpark(sync->member);
}
