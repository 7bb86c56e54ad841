/*
 * broker/group_sync.c - what members do within a generation: sync, heartbeat, commit, leave.
 *
 * Proof: tests/broker/groups_*.c.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/groups_own.h"

/* A member of this generation, or why not. */
static enum weir_group_result check(const struct weir_group *group, int32_t generation, struct weir_string member_id,
                                    struct weir_string instance)
{
    enum weir_group_result result = weir_group_validate(group, member_id, instance);
    if (result == WEIR_GROUP_OK && generation != group->generation)
        return WEIR_GROUP_ILLEGAL_GENERATION;
    return result;
}

/* ---- Sync ---------------------------------------------------------------------------------------- */

static uint32_t place_of(const struct weir_group *group, struct weir_string member_id)
{
    const struct weir_group_member *member = weir_group_member_find(group, member_id);
    uint32_t place = 0;
    while (place < group->member_count && group->members[place] != member)
        place++;
    return place;
}

/* What the leader says for each member, copied; nothing for whom it does not name. */
static bool copy_assignments(const struct weir_group *group, const struct weir_sync *sync, struct weir_blob *blobs)
{
    for (uint32_t i = 0; i < sync->assignment_count; i++) {
        struct weir_blob from = sync->assignments[i].assignment;
        uint32_t place = place_of(group, sync->assignments[i].member_id);
        if (place == group->member_count || from.byte_count == 0)
            continue;
        void *bytes = weir_groups_take(from.byte_count);
        if (!bytes)
            return false;
        memcpy(bytes, from.bytes, from.byte_count);
        weir_groups_bury(group->groups, blobs[place].bytes); /* named twice: the last one holds */
        blobs[place] = (struct weir_blob){.bytes = bytes, .byte_count = from.byte_count};
    }
    return true;
}

static bool assign(struct weir_group *group, const struct weir_sync *sync)
{
    struct weir_blob *blobs = calloc(group->member_count, sizeof *blobs);
    if (!blobs)
        return false;
    bool copied = copy_assignments(group, sync, blobs);
    for (uint32_t i = 0; i < group->member_count; i++) {
        struct weir_blob *gone = copied ? &group->members[i]->assignment : &blobs[i];
        weir_groups_bury(group->groups, gone->bytes);
        if (copied)
            *gone = blobs[i];
    }
    free(blobs);
    return copied;
}

static void hand_out(struct weir_group *group, uint64_t now_ns)
{
    group->state = WEIR_GROUP_STABLE;
    for (uint32_t i = 0; i < group->member_count; i++) {
        struct weir_group_member *member = group->members[i];
        struct weir_sync *sync = weir_sync_unpark(member);
        if (!sync)
            continue;
        weir_sync_accept(member, sync);
        weir_group_member_seen(member, now_ns);
    }
    weir_group_sync_done(group);
}

static enum weir_group_result sync_completing(struct weir_group_member *member, uint64_t now_ns, struct weir_sync *sync)
{
    struct weir_group *group = member->group;
    bool leads = group->leader == member;
    if (leads && !assign(group, sync))
        return WEIR_GROUP_LOADING;
    member->synced = true;
    weir_sync_park(member, sync);
    weir_group_member_seen(member, now_ns);
    if (leads)
        hand_out(group, now_ns);
    return WEIR_GROUP_OK;
}

static enum weir_group_result sync_stable(struct weir_group_member *member, uint64_t now_ns, struct weir_sync *sync)
{
    member->synced = true;
    weir_sync_accept(member, sync);
    weir_group_member_seen(member, now_ns);
    weir_group_sync_done(member->group);
    return WEIR_GROUP_OK;
}

static bool agrees(const struct weir_group *group, const struct weir_sync *sync)
{
    if (sync->protocol_type.bytes && !weir_string_same(sync->protocol_type, group->protocol_type))
        return false;
    return !sync->protocol.bytes || weir_string_same(sync->protocol, group->protocol);
}

static enum weir_group_result take_sync(struct weir_groups *groups, uint64_t now_ns, struct weir_sync *sync)
{
    if (sync->group.byte_count == 0)
        return WEIR_GROUP_BAD_ID;
    struct weir_group *group = groups->closing ? NULL : weir_groups_find(groups, sync->group);
    if (!group)
        return WEIR_GROUP_UNKNOWN_MEMBER;
    enum weir_group_result result = check(group, sync->generation, sync->member_id, sync->instance);
    if (result != WEIR_GROUP_OK)
        return result;
    if (!agrees(group, sync))
        return WEIR_GROUP_INCONSISTENT;
    struct weir_group_member *member = weir_group_member_find(group, sync->member_id);
    if (group->state == WEIR_GROUP_COMPLETING)
        return sync_completing(member, now_ns, sync);
    if (group->state == WEIR_GROUP_STABLE)
        return sync_stable(member, now_ns, sync);
    weir_group_member_seen(member, now_ns);
    return WEIR_GROUP_REBALANCING;
}

void weir_groups_sync(struct weir_groups *groups, uint64_t now_ns, struct weir_sync *sync)
{
    weir_list_init(&sync->node);
    sync->member = NULL;
    enum weir_group_result result = take_sync(groups, now_ns, sync);
    if (result != WEIR_GROUP_OK)
        weir_sync_refuse(groups, sync, result);
    weir_groups_answer(groups);
}

/* ---- Heartbeat, commit --------------------------------------------------------------------------- */

enum weir_group_result weir_groups_heartbeat(struct weir_groups *groups, uint64_t now_ns, struct weir_string id, int32_t generation,
                                             struct weir_string member_id, struct weir_string instance)
{
    if (id.byte_count == 0)
        return WEIR_GROUP_BAD_ID;
    struct weir_group *group = groups->closing ? NULL : weir_groups_find(groups, id);
    if (!group)
        return WEIR_GROUP_UNKNOWN_MEMBER;
    enum weir_group_result result = check(group, generation, member_id, instance);
    if (result != WEIR_GROUP_OK)
        return result;
    weir_group_member_seen(weir_group_member_find(group, member_id), now_ns);
    return group->state == WEIR_GROUP_PREPARING ? WEIR_GROUP_REBALANCING : WEIR_GROUP_OK;
}

/* While a group prepares, its members still say how far they came: that is what revoking is for. */
enum weir_group_result weir_groups_may_commit(struct weir_groups *groups, uint64_t now_ns, struct weir_string id, int32_t generation,
                                              struct weir_string member_id, struct weir_string instance)
{
    if (id.byte_count == 0)
        return WEIR_GROUP_BAD_ID;
    struct weir_group *group = weir_groups_find(groups, id);
    if (!group)
        return generation < 0 ? WEIR_GROUP_OK : WEIR_GROUP_ILLEGAL_GENERATION;
    if (generation < 0 && group->state == WEIR_GROUP_EMPTY)
        return WEIR_GROUP_OK;
    enum weir_group_result result = check(group, generation, member_id, instance);
    if (result != WEIR_GROUP_OK)
        return result;
    weir_group_member_seen(weir_group_member_find(group, member_id), now_ns);
    return group->state == WEIR_GROUP_COMPLETING ? WEIR_GROUP_REBALANCING : WEIR_GROUP_OK;
}

/* ---- Leave --------------------------------------------------------------------------------------- */

static void leave(struct weir_group_member *member, uint64_t now_ns, struct weir_string reason)
{
    struct weir_group *group = member->group;
    struct weir_string whose = reason.byte_count > 0 ? reason : member->id;
    weir_group_member_remove(member, WEIR_GROUP_UNKNOWN_MEMBER);
    weir_group_lost(group, now_ns, "member left:", whose);
}

static enum weir_group_result take_leave(struct weir_group *group, uint64_t now_ns, struct weir_string member_id,
                                         struct weir_string instance, struct weir_string reason)
{
    if (member_id.byte_count == 0) { /* a person removes a static member */
        struct weir_group_member *member = weir_group_instance_find(group, instance);
        if (!member)
            return WEIR_GROUP_UNKNOWN_MEMBER;
        leave(member, now_ns, reason);
        return WEIR_GROUP_OK;
    }
    struct weir_group_pending *pending = weir_group_pending_find(group, member_id);
    if (pending) {
        weir_groups_bury(group->groups, weir_group_pending_take(pending).bytes);
        weir_group_try_complete(group, now_ns);
        weir_group_consider_eviction(group);
        return WEIR_GROUP_OK;
    }
    enum weir_group_result result = weir_group_validate(group, member_id, instance);
    if (result == WEIR_GROUP_OK)
        leave(weir_group_member_find(group, member_id), now_ns, reason);
    return result;
}

enum weir_group_result weir_groups_leave(struct weir_groups *groups, uint64_t now_ns, struct weir_string id, struct weir_string member_id,
                                         struct weir_string instance, struct weir_string reason)
{
    if (id.byte_count == 0)
        return WEIR_GROUP_BAD_ID;
    struct weir_group *group = groups->closing ? NULL : weir_groups_find(groups, id);
    if (!group)
        return WEIR_GROUP_UNKNOWN_MEMBER;
    enum weir_group_result result = take_leave(group, now_ns, member_id, instance, reason);
    weir_groups_answer(groups);
    return result;
}
