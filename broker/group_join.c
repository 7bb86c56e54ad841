/*
 * broker/group_join.c - who may join, and what a join means to the group. The order of the checks is groups.h's.
 *
 *     no id    an instance that is there: takes its place; else a new member, or (v4+, dynamic) an id to come again with
 *     an id    that was given out: a new member; of a member: it joins again
 *
 * Each function answers or parks the join and says OK, or leaves it alone and says what is wrong. Proof: tests/broker/groups_*.c.
 */
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "broker/groups_own.h"

static bool well_formed(const struct weir_groups *groups, const struct weir_join *join)
{
    uint64_t byte_count = (uint64_t)join->client_id.byte_count + join->client_host.byte_count + join->instance.byte_count;
    if (join->protocol_type.byte_count == 0 || join->protocol_count == 0 || join->protocol_count > WEIR_GROUP_PROTOCOLS_MAX)
        return false;
    for (uint32_t i = 0; i < join->protocol_count; i++)
        byte_count += (uint64_t)join->protocols[i].name.byte_count + join->protocols[i].metadata.byte_count;
    return byte_count <= groups->limits.metadata_bytes_max;
}

static bool acceptable(const struct weir_group *group, const struct weir_group_member *member, const struct weir_join *join)
{
    return well_formed(group->groups, join) && weir_group_fits(group, member, join);
}

static bool is_full(const struct weir_group *group)
{
    return group->member_count >= group->groups->limits.members_max;
}

/* The join waits, and the group waits for the others. */
static enum weir_group_result wait_for_others(struct weir_group_member *member, uint64_t now_ns, struct weir_join *join, const char *why)
{
    struct weir_group *group = member->group;
    weir_join_park(member, join);
    weir_group_member_seen(member, now_ns);
    if (group->state != WEIR_GROUP_PREPARING)
        weir_group_rebalance_for(group, now_ns, why, join->reason.byte_count > 0 ? join->reason : member->id);
    weir_group_try_complete(group, now_ns);
    return WEIR_GROUP_OK;
}

static enum weir_group_result start(struct weir_group_member *member, uint64_t now_ns, struct weir_join *join)
{
    member->group->grew = true;
    return wait_for_others(member, now_ns, join, "new member:");
}

static enum weir_group_result answer_again(struct weir_group_member *member, uint64_t now_ns, struct weir_join *join, bool with_members)
{
    weir_join_accept(member, join, member->group->leader->id, with_members, false);
    weir_group_member_seen(member, now_ns);
    return WEIR_GROUP_OK;
}

/* ---- Without an id ------------------------------------------------------------------------------- */

static enum weir_group_result give_id(struct weir_group *group, uint64_t now_ns, struct weir_join *join)
{
    if (group->pending_count >= group->groups->limits.members_max)
        return WEIR_GROUP_FULL;
    struct weir_string id = weir_group_make_id(group, join);
    if (!id.bytes)
        return WEIR_GROUP_LOADING;
    if (!weir_group_pending_add(group, now_ns, id, join->session_ns)) {
        weir_groups_bury(group->groups, id.bytes);
        return WEIR_GROUP_LOADING;
    }
    weir_join_refuse(group->groups, join, WEIR_GROUP_ID_REQUIRED);
    join->answer.member_id = id;
    return WEIR_GROUP_OK;
}

/* Would the group decide as it did? What is not the consumers' own protocol is compared whole. */
static bool same_subscription(const struct weir_group_member *member, const struct weir_join *join)
{
    const struct weir_group *group = member->group;
    struct weir_group_member_view before;
    weir_group_member_view(member, &before);
    for (uint32_t i = 0; i < join->protocol_count; i++) {
        if (!weir_string_same(join->protocols[i].name, group->protocol))
            continue;
        struct weir_blob now = join->protocols[i].metadata;
        if (group->protocol_type.byte_count == 8 && memcmp(group->protocol_type.bytes, "consumer", 8) == 0)
            return weir_subscription_same_topics(before.metadata, now);
        return before.metadata.byte_count == now.byte_count &&
               (now.byte_count == 0 || memcmp(before.metadata.bytes, now.bytes, now.byte_count) == 0);
    }
    return false;
}

static void take_id(struct weir_group_member *member, struct weir_string id)
{
    struct weir_groups *groups = member->group->groups;
    struct weir_join *join = weir_join_unpark(member);
    struct weir_sync *sync = weir_sync_unpark(member);
    if (join)
        weir_join_refuse(groups, join, WEIR_GROUP_FENCED);
    if (sync)
        weir_sync_refuse(groups, sync, WEIR_GROUP_FENCED);
    weir_groups_bury(groups, member->id.bytes);
    member->id = id;
    member->id_hash = weir_hash_bytes(id.bytes, id.byte_count, groups->seed);
}

/*
 * A leader that can be told to skip is told that it leads, since it has to watch the topics. One that cannot is told the leader's old id:
 * it takes itself for a follower, and does not assign anew what nobody would be given.
 */
static enum weir_group_result carry_on(struct weir_group_member *member, uint64_t now_ns, struct weir_join *join,
                                       struct weir_string old_leader)
{
    bool leads = member->group->leader == member;
    if (join->may_skip)
        weir_join_accept(member, join, member->group->leader->id, leads, leads);
    else
        weir_join_accept(member, join, old_leader, false, false);
    weir_group_member_seen(member, now_ns);
    return WEIR_GROUP_OK;
}

static enum weir_group_result replace(struct weir_group_member *member, uint64_t now_ns, struct weir_join *join)
{
    struct weir_group *group = member->group;
    struct weir_string old_leader = group->leader->id; /* buried at most */
    bool same = group->state == WEIR_GROUP_STABLE && same_subscription(member, join);
    struct weir_string id = weir_group_make_id(group, join);
    if (!id.bytes)
        return WEIR_GROUP_LOADING;
    if (!weir_group_member_update(member, join)) {
        weir_groups_bury(group->groups, id.bytes);
        return WEIR_GROUP_LOADING;
    }
    take_id(member, id);
    if (same && weir_string_same(weir_group_vote(group), group->protocol))
        return carry_on(member, now_ns, join, old_leader);
    return wait_for_others(member, now_ns, join, "static member came back:");
}

static enum weir_group_result join_new(struct weir_group *group, uint64_t now_ns, struct weir_join *join)
{
    struct weir_group_member *before = weir_group_instance_find(group, join->instance);
    if (!before && is_full(group))
        return WEIR_GROUP_FULL;
    if (!acceptable(group, before, join))
        return WEIR_GROUP_INCONSISTENT;
    if (before)
        return replace(before, now_ns, join);
    if (join->id_required && !join->instance.bytes)
        return give_id(group, now_ns, join);
    struct weir_string id = weir_group_make_id(group, join);
    struct weir_group_member *member = id.bytes ? weir_group_member_add(group, id, join) : NULL;
    if (!member) {
        weir_groups_bury(group->groups, id.bytes);
        return WEIR_GROUP_LOADING;
    }
    return start(member, now_ns, join);
}

/* ---- With an id ---------------------------------------------------------------------------------- */

static enum weir_group_result join_pending(struct weir_group_pending *pending, uint64_t now_ns, struct weir_join *join)
{
    struct weir_group *group = pending->group;
    if (is_full(group)) {
        weir_groups_bury(group->groups, weir_group_pending_take(pending).bytes);
        weir_group_try_complete(group, now_ns);
        weir_group_consider_eviction(group);
        return WEIR_GROUP_FULL;
    }
    if (!acceptable(group, NULL, join))
        return WEIR_GROUP_INCONSISTENT;
    struct weir_group_member *member = weir_group_member_add(group, pending->id, join);
    if (!member)
        return WEIR_GROUP_LOADING;
    weir_group_pending_take(pending);
    return start(member, now_ns, join);
}

static enum weir_group_result join_again(struct weir_group *group, uint64_t now_ns, struct weir_join *join)
{
    struct weir_group_member *member = weir_group_member_find(group, join->member_id);
    if (!acceptable(group, member, join))
        return WEIR_GROUP_INCONSISTENT;
    enum weir_group_result result = weir_group_validate(group, join->member_id, join->instance);
    if (result != WEIR_GROUP_OK)
        return result;
    WEIR_ASSERT(member && group->state != WEIR_GROUP_EMPTY);
    bool leads = member == group->leader;
    bool changed = !weir_group_member_matches(member, join);
    if (group->state == WEIR_GROUP_COMPLETING && !changed)
        return answer_again(member, now_ns, join, leads);
    if (group->state == WEIR_GROUP_STABLE && !changed && !leads)
        return answer_again(member, now_ns, join, false);
    if (!weir_group_member_update(member, join))
        return WEIR_GROUP_LOADING;
    return wait_for_others(member, now_ns, join, changed ? "member changed:" : "leader joined again:");
}

/* -------------------------------------------------------------------------------------------------- */

static enum weir_group_result take_join(struct weir_groups *groups, uint64_t now_ns, struct weir_join *join)
{
    bool has_id = join->member_id.byte_count > 0;
    bool full = false;
    if (groups->closing)
        return WEIR_GROUP_UNKNOWN_MEMBER;
    if (join->group.byte_count == 0)
        return WEIR_GROUP_BAD_ID;
    if (join->session_ns < groups->limits.session_ns_min || join->session_ns > groups->limits.session_ns_max)
        return WEIR_GROUP_BAD_TIMEOUT;
    struct weir_group *group = weir_groups_find(groups, join->group);
    if (!group) {
        if (has_id)
            return WEIR_GROUP_UNKNOWN_MEMBER;
        if (!well_formed(groups, join)) /* not made for nothing */
            return WEIR_GROUP_INCONSISTENT;
        group = weir_groups_make(groups, now_ns, join->group, &full);
        if (!group)
            return full ? WEIR_GROUP_FULL : WEIR_GROUP_LOADING;
    }
    if (!has_id)
        return join_new(group, now_ns, join);
    struct weir_group_pending *pending = join->instance.bytes ? NULL : weir_group_pending_find(group, join->member_id);
    return pending ? join_pending(pending, now_ns, join) : join_again(group, now_ns, join);
}

void weir_groups_join(struct weir_groups *groups, uint64_t now_ns, struct weir_join *join)
{
    weir_list_init(&join->node);
    join->member = NULL;
    enum weir_group_result result = take_join(groups, now_ns, join);
    if (result != WEIR_GROUP_OK)
        weir_join_refuse(groups, join, result);
    weir_groups_answer(groups);
}
