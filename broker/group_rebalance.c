/*
 * broker/group_rebalance.c - from one generation to the next.
 *
 * A rebalance waits until every member has a join parked and no id that was given out is missing, or until the time of the most patient
 * member is over: then dynamic members that did not come are removed, static ones stay. All joins are answered at once, so everyone knows
 * the same generation, protocol and leader. Members that then do not ask for their assignment within that time again are removed.
 *
 * Proof: tests/broker/groups_*.c.
 */
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "broker/groups_own.h"

/* ---- Protocols ----------------------------------------------------------------------------------- */

static bool knows(const struct weir_group_member *member, struct weir_string protocol)
{
    for (uint32_t i = 0; i < member->protocol_count; i++)
        if (weir_string_same(member->protocols[i].name, protocol))
            return true;
    return false;
}

static bool all_know(const struct weir_group *group, const struct weir_group_member *but, struct weir_string protocol)
{
    for (uint32_t i = 0; i < group->member_count; i++)
        if (group->members[i] != but && !knows(group->members[i], protocol))
            return false;
    return true;
}

bool weir_group_fits(const struct weir_group *group, const struct weir_group_member *member, const struct weir_join *join)
{
    if (group->member_count > 0 && !weir_string_same(group->protocol_type, join->protocol_type))
        return false;
    for (uint32_t i = 0; i < join->protocol_count; i++)
        if (all_know(group, member, join->protocols[i].name))
            return true;
    return false;
}

/* The place, among the protocols of `first`, of the one that `member` votes for. */
static uint32_t vote_of(const struct weir_group_member *member, const struct weir_group_member *first, uint64_t candidates)
{
    for (uint32_t i = 0; i < member->protocol_count; i++)
        for (uint32_t j = 0; j < first->protocol_count; j++)
            if (candidates >> j & 1 && weir_string_same(member->protocols[i].name, first->protocols[j].name))
                return j;
    return first->protocol_count;
}

/* As many votes for two: the one that the first member likes better. */
struct weir_string weir_group_vote(const struct weir_group *group)
{
    uint32_t votes[WEIR_GROUP_PROTOCOLS_MAX + 1] = {0}; /* and one for none */
    uint64_t candidates = 0;
    uint32_t best = 0;
    if (group->member_count == 0)
        return (struct weir_string){0};
    const struct weir_group_member *first = group->members[0];
    for (uint32_t i = 0; i < first->protocol_count; i++)
        if (all_know(group, first, first->protocols[i].name))
            candidates |= (uint64_t)1 << i;
    if (candidates == 0)
        return (struct weir_string){0};
    for (uint32_t i = 0; i < group->member_count; i++)
        votes[vote_of(group->members[i], first, candidates)]++;
    for (uint32_t i = 1; i < first->protocol_count; i++)
        if (votes[i] > votes[best])
            best = i;
    return first->protocols[best].name;
}

/* ---- Completing ---------------------------------------------------------------------------------- */

static uint64_t patience_ns(const struct weir_group *group)
{
    uint64_t longest_ns = 0;
    for (uint32_t i = 0; i < group->member_count; i++)
        if (group->members[i]->rebalance_ns > longest_ns)
            longest_ns = group->members[i]->rebalance_ns;
    return longest_ns;
}

static void wait_until(struct weir_group *group, uint64_t deadline_ns)
{
    weir_wheel_arm(&group->groups->wheel, &group->timer, deadline_ns);
}

static void become_empty(struct weir_group *group, uint64_t now_ns)
{
    weir_wheel_cancel(&group->groups->wheel, &group->timer);
    weir_groups_bury(group->groups, group->protocol.bytes);
    group->protocol = (struct weir_string){0};
    group->state = WEIR_GROUP_EMPTY;
    group->generation++;
    group->initial = false;
    group->empty_since_ns = now_ns;
    weir_group_consider_eviction(group);
}

static void remove_absent(struct weir_group *group)
{
    for (uint32_t i = group->member_count; i-- > 0;) {
        struct weir_group_member *member = group->members[i];
        if (!member->join && !member->instance.bytes)
            weir_group_member_remove(member, WEIR_GROUP_UNKNOWN_MEMBER);
    }
}

/* The leader stays; when it has not come, the first that has. false: nobody has. */
static bool elect(struct weir_group *group)
{
    if (group->leader && group->leader->join)
        return true;
    for (uint32_t i = 0; i < group->member_count; i++) {
        if (group->members[i]->join) {
            group->leader = group->members[i];
            return true;
        }
    }
    return false;
}

static bool choose_protocol(struct weir_group *group)
{
    struct weir_string chosen;
    struct weir_string most = weir_group_vote(group);
    WEIR_ASSERT(most.bytes); /* nobody is let in who would leave none */
    if (!weir_string_copy(&chosen, most))
        return false;
    weir_groups_bury(group->groups, group->protocol.bytes);
    group->protocol = chosen;
    return true;
}

static void answer_all(struct weir_group *group, uint64_t now_ns)
{
    for (uint32_t i = 0; i < group->member_count; i++) {
        struct weir_group_member *member = group->members[i];
        struct weir_join *join = weir_join_unpark(member);
        member->synced = false;
        if (!join)
            continue; /* static and absent: its session goes on */
        weir_join_accept(member, join, group->leader->id, member == group->leader, false);
        weir_group_member_seen(member, now_ns);
    }
}

static void complete(struct weir_group *group, uint64_t now_ns)
{
    WEIR_ASSERT(group->state == WEIR_GROUP_PREPARING);
    remove_absent(group);
    if (group->member_count == 0) {
        become_empty(group, now_ns);
        return;
    }
    if (!elect(group)) { /* only static members, none of which is there: their sessions decide */
        wait_until(group, now_ns + patience_ns(group));
        return;
    }
    if (!choose_protocol(group)) {
        wait_until(group, now_ns + WEIR_S_NS); /* no memory: as if somebody were late */
        return;
    }
    group->initial = false;
    group->generation++;
    group->state = WEIR_GROUP_COMPLETING;
    answer_all(group, now_ns);
    WEIR_ASSERT(group->joined_count == 0);
    wait_until(group, now_ns + patience_ns(group));
}

void weir_group_try_complete(struct weir_group *group, uint64_t now_ns)
{
    if (group->state == WEIR_GROUP_PREPARING && !group->initial && group->joined_count == group->member_count &&
        group->pending_count == 0)
        complete(group, now_ns);
}

/* ---- Beginning ----------------------------------------------------------------------------------- */

/* Whoever waited with us has a whole session again to come back. */
static void send_back_syncs(struct weir_group *group, uint64_t now_ns)
{
    for (uint32_t i = 0; i < group->member_count; i++) {
        struct weir_group_member *member = group->members[i];
        struct weir_sync *sync = weir_sync_unpark(member);
        if (sync) {
            weir_sync_refuse(group->groups, sync, WEIR_GROUP_REBALANCING);
            weir_group_member_seen(member, now_ns);
        }
        weir_groups_bury(group->groups, member->assignment.bytes);
        member->assignment = (struct weir_blob){0};
    }
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void rebalance(struct weir_group *group, uint64_t now_ns, struct weir_string reason)
{
    WEIR_ASSERT(group->state != WEIR_GROUP_PREPARING);
    uint64_t delay_ns = group->groups->limits.initial_delay_ns;
    uint64_t wait_ns = patience_ns(group);
    if (group->state == WEIR_GROUP_COMPLETING)
        send_back_syncs(group, now_ns);
    group->initial = group->state == WEIR_GROUP_EMPTY && delay_ns > 0;
    group->grew = false;
    group->initial_left_ns = wait_ns > delay_ns ? wait_ns - delay_ns : 0;
    group->state = WEIR_GROUP_PREPARING;
    group->rebalances++;
    group->reason_bytes = (uint32_t)less(reason.byte_count, sizeof group->reason);
    if (group->reason_bytes > 0)
        memcpy(group->reason, reason.bytes, group->reason_bytes);
    weir_group_consider_eviction(group);
    wait_until(group, now_ns + (group->initial ? delay_ns : wait_ns));
}

void weir_group_rebalance_for(struct weir_group *group, uint64_t now_ns, const char *why, struct weir_string whose)
{
    char text[WEIR_GROUP_REASON_BYTES_MAX];
    uint32_t used = (uint32_t)less(strlen(why), sizeof text - 1);
    uint32_t more = (uint32_t)less(whose.byte_count, sizeof text - 1 - used);
    memcpy(text, why, used);
    if (more > 0) {
        text[used++] = ' ';
        memcpy(text + used, whose.bytes, more);
    }
    rebalance(group, now_ns, (struct weir_string){.bytes = text, .byte_count = used + more});
}

void weir_group_lost(struct weir_group *group, uint64_t now_ns, const char *why, struct weir_string whose)
{
    if (group->state == WEIR_GROUP_STABLE || group->state == WEIR_GROUP_COMPLETING)
        weir_group_rebalance_for(group, now_ns, why, whose);
    weir_group_try_complete(group, now_ns);
}

/* ---- Time ---------------------------------------------------------------------------------------- */

static void on_join_time(struct weir_group *group, uint64_t now_ns)
{
    if (!group->initial || !group->grew || group->initial_left_ns == 0) {
        complete(group, now_ns);
        return;
    }
    uint64_t delay_ns = less(group->groups->limits.initial_delay_ns, group->initial_left_ns);
    group->initial_left_ns -= delay_ns;
    group->grew = false;
    wait_until(group, now_ns + delay_ns);
}

static void on_sync_time(struct weir_group *group, uint64_t now_ns)
{
    uint32_t before = group->member_count;
    struct weir_string last = {0};
    for (uint32_t i = group->member_count; i-- > 0;) {
        if (!group->members[i]->synced) {
            last = group->members[i]->id;
            weir_group_member_remove(group->members[i], WEIR_GROUP_UNKNOWN_MEMBER);
        }
    }
    if (group->member_count < before)
        weir_group_lost(group, now_ns, "no sync in time from", last);
}

void weir_group_on_time(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    struct weir_group *group = WEIR_CONTAINER(timer, struct weir_group, timer);
    if (group->state == WEIR_GROUP_PREPARING)
        on_join_time(group, now_ns);
    else
        on_sync_time(group, now_ns);
}

void weir_group_sync_done(struct weir_group *group)
{
    for (uint32_t i = 0; i < group->member_count; i++)
        if (!group->members[i]->synced)
            return;
    weir_wheel_cancel(&group->groups->wheel, &group->timer);
}
