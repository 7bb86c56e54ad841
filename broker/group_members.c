/*
 * broker/group_members.c - members of a group, and ids that were given out and have not come back.
 *
 * A member is found by walking the group's array and comparing hashes: a thousand are a few microseconds, and nothing has to be kept in
 * step. A session is one timer, set anew by whatever the member sends; while a request of its is parked the member is waiting for us,
 * and the timer only starts again. Bounded by members_max and metadata_bytes_max. Proof: tests/broker/groups_*.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "broker/groups_own.h"

static uint64_t hash_of(const struct weir_group *group, struct weir_string id)
{
    return weir_hash_bytes(id.bytes, id.byte_count, group->groups->seed);
}

struct weir_group_member *weir_group_member_find(const struct weir_group *group, struct weir_string id)
{
    uint64_t id_hash = hash_of(group, id);
    for (uint32_t i = 0; i < group->member_count; i++)
        if (group->members[i]->id_hash == id_hash && weir_string_same(group->members[i]->id, id))
            return group->members[i];
    return NULL;
}

struct weir_group_member *weir_group_instance_find(const struct weir_group *group, struct weir_string instance)
{
    for (uint32_t i = 0; instance.bytes && i < group->member_count; i++)
        if (group->members[i]->instance.bytes && weir_string_same(group->members[i]->instance, instance))
            return group->members[i];
    return NULL;
}

enum weir_group_result weir_group_validate(const struct weir_group *group, struct weir_string id, struct weir_string instance)
{
    if (instance.bytes) {
        const struct weir_group_member *member = weir_group_instance_find(group, instance);
        if (!member)
            return WEIR_GROUP_UNKNOWN_MEMBER;
        return weir_string_same(member->id, id) ? WEIR_GROUP_OK : WEIR_GROUP_FENCED;
    }
    return weir_group_member_find(group, id) ? WEIR_GROUP_OK : WEIR_GROUP_UNKNOWN_MEMBER;
}

/* ---- Sessions ------------------------------------------------------------------------------------ */

void weir_group_member_seen(struct weir_group_member *member, uint64_t now_ns)
{
    weir_wheel_arm(&member->group->groups->wheel, &member->session, now_ns + member->session_ns);
}

static void on_session(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    struct weir_group_member *member = WEIR_CONTAINER(timer, struct weir_group_member, session);
    struct weir_group *group = member->group;
    if (member->join || member->sync || member->forgotten) {
        member->forgotten = false;
        weir_group_member_seen(member, now_ns);
        return;
    }
    struct weir_string id = member->id; /* buried, not gone */
    weir_group_member_remove(member, WEIR_GROUP_UNKNOWN_MEMBER);
    weir_group_lost(group, now_ns, "session expired of", id);
}

/* ---- What a join says ---------------------------------------------------------------------------- */

/* All protocols in one block: the array, then names and metadata. */
static struct weir_group_protocol *copy_protocols(const struct weir_join *join)
{
    size_t byte_count = join->protocol_count * sizeof(struct weir_group_protocol);
    for (uint32_t i = 0; i < join->protocol_count; i++)
        byte_count += (size_t)join->protocols[i].name.byte_count + join->protocols[i].metadata.byte_count;
    struct weir_group_protocol *protocols = weir_groups_take(byte_count);
    if (!protocols)
        return NULL;
    char *at = (char *)(protocols + join->protocol_count);
    for (uint32_t i = 0; i < join->protocol_count; i++) {
        const struct weir_group_protocol *from = &join->protocols[i];
        protocols[i].name = (struct weir_string){.bytes = at, .byte_count = from->name.byte_count};
        if (from->name.byte_count > 0)
            memcpy(at, from->name.bytes, from->name.byte_count);
        at += from->name.byte_count;
        protocols[i].metadata = (struct weir_blob){.bytes = at, .byte_count = from->metadata.byte_count};
        if (from->metadata.byte_count > 0)
            memcpy(at, from->metadata.bytes, from->metadata.byte_count);
        at += from->metadata.byte_count;
    }
    return protocols;
}

bool weir_group_member_update(struct weir_group_member *member, const struct weir_join *join)
{
    struct weir_groups *groups = member->group->groups;
    struct weir_string client_id, client_host = {0};
    struct weir_group_protocol *protocols = copy_protocols(join);
    if (!protocols || !weir_string_copy(&client_id, join->client_id) || !weir_string_copy(&client_host, join->client_host)) {
        weir_groups_bury(groups, protocols);
        if (protocols)
            weir_groups_bury(groups, client_id.bytes);
        return false;
    }
    weir_groups_bury(groups, member->protocols);
    weir_groups_bury(groups, member->client_id.bytes);
    weir_groups_bury(groups, member->client_host.bytes);
    member->protocols = protocols;
    member->protocol_count = join->protocol_count;
    member->client_id = client_id;
    member->client_host = client_host;
    member->session_ns = join->session_ns;
    member->rebalance_ns = join->rebalance_ns;
    return true;
}

bool weir_group_member_matches(const struct weir_group_member *member, const struct weir_join *join)
{
    if (member->protocol_count != join->protocol_count)
        return false;
    for (uint32_t i = 0; i < join->protocol_count; i++) {
        const struct weir_group_protocol *a = &member->protocols[i], *b = &join->protocols[i];
        if (!weir_string_same(a->name, b->name) || a->metadata.byte_count != b->metadata.byte_count ||
            (a->metadata.byte_count > 0 && memcmp(a->metadata.bytes, b->metadata.bytes, a->metadata.byte_count) != 0))
            return false;
    }
    return true;
}

void weir_group_member_view(const struct weir_group_member *member, struct weir_group_member_view *view_out)
{
    *view_out = (struct weir_group_member_view){
        .id = member->id,
        .instance = member->instance,
        .client_id = member->client_id,
        .client_host = member->client_host,
        .assignment = member->assignment,
    };
    for (uint32_t i = 0; i < member->protocol_count; i++)
        if (member->group->protocol.bytes && weir_string_same(member->protocols[i].name, member->group->protocol))
            view_out->metadata = member->protocols[i].metadata;
}

/* ---- Coming and going ---------------------------------------------------------------------------- */

static bool reserve_member(struct weir_group *group)
{
    if (group->member_count < group->member_room)
        return true;
    uint32_t room = group->member_room ? group->member_room * 2 : 4;
    struct weir_group_member **members = realloc(group->members, room * sizeof *members);
    if (!members)
        return false;
    group->members = members;
    group->member_room = room;
    return true;
}

static bool take_protocol_type(struct weir_group *group, struct weir_string protocol_type)
{
    struct weir_string copy;
    if (group->member_count > 0 || (group->protocol_type.bytes && weir_string_same(group->protocol_type, protocol_type)))
        return true;
    if (!weir_string_copy(&copy, protocol_type))
        return false;
    weir_groups_bury(group->groups, group->protocol_type.bytes);
    group->protocol_type = copy;
    return true;
}

struct weir_group_member *weir_group_member_add(struct weir_group *group, struct weir_string id, const struct weir_join *join)
{
    struct weir_groups *groups = group->groups;
    struct weir_group_member *member = weir_groups_take(sizeof *member);
    if (!member)
        return NULL;
    *member = (struct weir_group_member){.group = group, .id = id, .id_hash = hash_of(group, id)};
    weir_wheel_timer_init(&member->session, on_session);
    if (!reserve_member(group) || !weir_string_copy(&member->instance, join->instance) || !weir_group_member_update(member, join) ||
        !take_protocol_type(group, join->protocol_type)) {
        weir_groups_bury(groups, member->instance.bytes);
        weir_groups_bury(groups, member->protocols);
        weir_groups_bury(groups, member->client_id.bytes);
        weir_groups_bury(groups, member->client_host.bytes);
        weir_groups_bury(groups, member);
        return NULL;
    }
    group->members[group->member_count++] = member;
    if (!group->leader)
        group->leader = member;
    return member;
}

static void take_out(struct weir_group *group, const struct weir_group_member *member)
{
    uint32_t place = 0;
    while (group->members[place] != member)
        place++;
    group->member_count--;
    memmove(&group->members[place], &group->members[place + 1], (group->member_count - place) * sizeof *group->members);
    if (group->leader == member)
        group->leader = group->member_count > 0 ? group->members[0] : NULL;
}

void weir_group_member_remove(struct weir_group_member *member, enum weir_group_result result)
{
    struct weir_group *group = member->group;
    struct weir_groups *groups = group->groups;
    struct weir_join *join = weir_join_unpark(member);
    struct weir_sync *sync = weir_sync_unpark(member);
    if (join)
        weir_join_refuse(groups, join, result);
    if (sync)
        weir_sync_refuse(groups, sync, result);
    take_out(group, member);
    weir_wheel_cancel(&groups->wheel, &member->session);
    weir_groups_bury(groups, member->id.bytes);
    weir_groups_bury(groups, member->instance.bytes);
    weir_groups_bury(groups, member->client_id.bytes);
    weir_groups_bury(groups, member->client_host.bytes);
    weir_groups_bury(groups, member->protocols);
    weir_groups_bury(groups, member->assignment.bytes);
    weir_groups_bury(groups, member);
}

/* ---- Ids ----------------------------------------------------------------------------------------- */

enum { UUID_CHARS = 36 };

/* 16 bytes as 8-4-4-4-12. */
static void put_uuid(char *at, const uint8_t *bytes)
{
    static const uint8_t group_bytes[] = {4, 2, 2, 2, 6};
    for (uint32_t i = 0; i < sizeof group_bytes; i++) {
        if (i > 0)
            *at++ = '-';
        weir_bytes_put_hex(at, bytes, group_bytes[i]);
        bytes += group_bytes[i];
        at += 2 * group_bytes[i];
    }
}

/* "client-uuid", as Kafka's own look, so that people know whose it is. */
struct weir_string weir_group_make_id(struct weir_group *group, const struct weir_join *join)
{
    struct weir_groups *groups = group->groups;
    struct weir_string prefix = join->instance.bytes ? join->instance : join->client_id;
    uint64_t words[2];
    char *bytes = weir_groups_take((size_t)prefix.byte_count + 1 + UUID_CHARS);
    if (!bytes)
        return (struct weir_string){0};
    groups->ids_given++;
    words[0] = weir_hash_u64(groups->ids_given, groups->seed);
    words[1] = weir_hash_u64(groups->ids_given, words[0] ^ groups->seed);
    if (prefix.byte_count > 0)
        memcpy(bytes, prefix.bytes, prefix.byte_count);
    bytes[prefix.byte_count] = '-';
    put_uuid(bytes + prefix.byte_count + 1, (const uint8_t *)words);
    return (struct weir_string){.bytes = bytes, .byte_count = prefix.byte_count + 1 + UUID_CHARS};
}

struct weir_group_pending *weir_group_pending_find(const struct weir_group *group, struct weir_string id)
{
    WEIR_LIST_EACH(node, &group->pending)
    {
        struct weir_group_pending *pending = WEIR_CONTAINER(node, struct weir_group_pending, node);
        if (weir_string_same(pending->id, id))
            return pending;
    }
    return NULL;
}

struct weir_string weir_group_pending_take(struct weir_group_pending *pending)
{
    struct weir_groups *groups = pending->group->groups;
    struct weir_string id = pending->id;
    pending->group->pending_count--;
    weir_list_remove(&pending->node);
    weir_wheel_cancel(&groups->wheel, &pending->timer);
    weir_groups_bury(groups, pending);
    return id;
}

static void on_pending(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    struct weir_group_pending *pending = WEIR_CONTAINER(timer, struct weir_group_pending, timer);
    struct weir_group *group = pending->group;
    weir_groups_bury(group->groups, weir_group_pending_take(pending).bytes);
    weir_group_try_complete(group, now_ns); /* it may have been the last one that was waited for */
    weir_group_consider_eviction(group);
}

bool weir_group_pending_add(struct weir_group *group, uint64_t now_ns, struct weir_string id, uint64_t session_ns)
{
    struct weir_group_pending *pending = weir_groups_take(sizeof *pending);
    if (!pending)
        return false;
    *pending = (struct weir_group_pending){.group = group, .id = id};
    weir_list_push_back(&group->pending, &pending->node);
    weir_wheel_timer_init(&pending->timer, on_pending);
    weir_wheel_arm(&group->groups->wheel, &pending->timer, now_ns + session_ns);
    group->pending_count++;
    weir_group_consider_eviction(group);
    return true;
}
