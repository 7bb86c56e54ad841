/*
 * broker/coordinator.c - group requests on the reactor that has the group.
 *
 * Answers of the state machine point into the group, which changes with the next request: they are copied into one block that
 * travels back. Proof: tests/clients/kafka_test.py, crash_test.py.
 */
#include "broker/coordinator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/keep.h"
#include "broker/offsets.h"
#include "broker/staged.h"

struct weir_coordinator {
    struct weir_groups *groups;
    struct weir_part *part;
    struct weir_wheel_timer timer;
    struct weir_list staged;
};

static struct weir_coordinator *coordinator_of(struct weir_part *part)
{
    return part->keep->coordinator;
}

struct weir_groups *weir_coordinator_groups(struct weir_part *part)
{
    return coordinator_of(part)->groups;
}

static struct weir_group_request *request_of(struct weir_ask *ask)
{
    return WEIR_CONTAINER(ask, struct weir_group_request, ask);
}

static void answer(struct weir_group_request *request, enum weir_group_result result)
{
    request->result = result;
    weir_ask_answer(request->owner, &request->ask);
}

/* ---- Copies -------------------------------------------------------------------------------------- */

struct copier { /* first counts, then copies */
    uint8_t *at; /* NULL: counting */
    size_t bytes;
};

static void *copy_bytes(struct copier *copier, const void *bytes, size_t byte_count)
{
    void *copy = copier->at;
    size_t padded = (byte_count + 7) & ~(size_t)7;
    copier->bytes += padded;
    if (!copy)
        return NULL;
    if (bytes && byte_count > 0)
        memcpy(copy, bytes, byte_count);
    copier->at += padded;
    return copy;
}

static void copy_string(struct copier *copier, struct weir_string *string)
{
    if (!string->bytes)
        return;
    void *copy = copy_bytes(copier, string->bytes, string->byte_count);
    if (copy)
        string->bytes = copy;
}

static void copy_blob(struct copier *copier, struct weir_blob *blob)
{
    void *copy = copy_bytes(copier, blob->bytes, blob->byte_count);
    if (copy)
        blob->bytes = copy;
}

static void copy_joined(struct copier *copier, struct weir_join_answer *joined)
{
    copy_string(copier, &joined->protocol_type);
    copy_string(copier, &joined->protocol);
    copy_string(copier, &joined->leader);
    copy_string(copier, &joined->member_id);
    struct weir_group_member_view *members =
        copy_bytes(copier, joined->members, joined->member_count * sizeof *joined->members);
    for (uint32_t i = 0; i < joined->member_count; i++) {
        struct weir_group_member_view member = joined->members[i];
        copy_string(copier, &member.id);
        copy_string(copier, &member.instance);
        copy_blob(copier, &member.metadata);
        member.assignment = (struct weir_blob){0};
        member.client_id = member.client_host = (struct weir_string){0};
        if (members)
            members[i] = member;
    }
    if (members)
        joined->members = members;
}

static bool room_for(struct weir_group_request *request, struct copier *copier)
{
    request->memory = malloc(copier->bytes ? copier->bytes : 1);
    *copier = (struct copier){.at = request->memory};
    return request->memory != NULL;
}

/* ---- Join, sync: answered when the group has come so far ----------------------------------------- */

static void on_joined(struct weir_join *join, const struct weir_join_answer *joined)
{
    struct weir_group_request *request = WEIR_CONTAINER(join, struct weir_group_request, join);
    struct weir_join_answer counted = *joined;
    struct copier copier = {0};
    copy_joined(&copier, &counted);
    if (!room_for(request, &copier)) {
        answer(request, WEIR_GROUP_NOT_WRITTEN);
        return;
    }
    request->joined = *joined;
    copy_joined(&copier, &request->joined);
    answer(request, joined->result);
}

static void copy_synced(struct copier *copier, struct weir_sync_answer *synced)
{
    copy_string(copier, &synced->protocol_type);
    copy_string(copier, &synced->protocol);
    copy_blob(copier, &synced->assignment);
}

static void on_synced(struct weir_sync *sync, const struct weir_sync_answer *synced)
{
    struct weir_group_request *request = WEIR_CONTAINER(sync, struct weir_group_request, sync);
    struct weir_sync_answer counted = *synced;
    struct copier copier = {0};
    copy_synced(&copier, &counted);
    if (!room_for(request, &copier)) {
        answer(request, WEIR_GROUP_NOT_WRITTEN);
        return;
    }
    request->synced = *synced;
    copy_synced(&copier, &request->synced);
    answer(request, synced->result);
}

/* ---- Leave, describe, delete ---------------------------------------------------------------------- */

static void leave(struct weir_coordinator *coordinator, struct weir_group_request *request)
{
    uint64_t now_ns = coordinator->part->reactor->now_ns;
    for (uint32_t i = 0; i < request->leaver_count; i++) {
        struct weir_leaver *leaver = &request->leavers[i];
        leaver->result = weir_groups_leave(coordinator->groups, now_ns, request->group, leaver->member_id, leaver->instance, leaver->reason);
    }
    answer(request, WEIR_GROUP_OK);
}

static void copy_view(struct copier *copier, struct weir_group_view *view)
{
    copy_string(copier, &view->id);
    copy_string(copier, &view->protocol_type);
    copy_string(copier, &view->protocol);
    copy_string(copier, &view->leader);
    copy_string(copier, &view->last_reason);
}

static void copy_described(struct copier *copier, struct weir_groups *groups, struct weir_group_request *request)
{
    copy_view(copier, &request->view);
    request->members = copy_bytes(copier, NULL, request->view.member_count * sizeof *request->members);
    for (uint32_t i = 0; i < request->view.member_count; i++) {
        struct weir_group_member_view member = {0};
        weir_groups_member(groups, request->group, i, &member);
        struct weir_described_member described = {member.id,       member.instance,   member.client_id, member.client_host,
                                                  member.metadata, member.assignment};
        copy_string(copier, &described.id);
        copy_string(copier, &described.instance);
        copy_string(copier, &described.client_id);
        copy_string(copier, &described.client_host);
        copy_blob(copier, &described.metadata);
        copy_blob(copier, &described.assignment);
        if (request->members)
            request->members[i] = described;
    }
}

static void describe(struct weir_coordinator *coordinator, struct weir_group_request *request)
{
    struct weir_groups *groups = coordinator->groups;
    struct copier copier = {0};
    request->member_count = 0;
    if (!weir_groups_view(groups, request->group, &request->view)) {
        answer(request, WEIR_GROUP_NOT_FOUND);
        return;
    }
    copy_described(&copier, groups, request);
    if (!room_for(request, &copier)) {
        answer(request, WEIR_GROUP_NOT_WRITTEN);
        return;
    }
    weir_groups_view(groups, request->group, &request->view);
    copy_described(&copier, groups, request);
    request->member_count = request->view.member_count;
    answer(request, WEIR_GROUP_OK);
}

static void on_deleted(struct weir_commit *commit, int result)
{
    struct weir_group_request *request = WEIR_CONTAINER(commit, struct weir_group_request, commit);
    answer(request, result == 0 ? WEIR_GROUP_OK : WEIR_GROUP_NOT_WRITTEN);
}

static void delete(struct weir_coordinator *coordinator, struct weir_group_request *request)
{
    enum weir_group_result result = weir_groups_delete(coordinator->groups, request->group);
    if (result != WEIR_GROUP_OK) {
        answer(request, result);
        return;
    }
    request->commit.done = on_deleted;
    int removed = weir_offsets_remove_all(coordinator->part->keep->store, request->group, &request->commit);
    if (removed <= 0) /* none was there, or the disk does not take it */
        answer(request, removed == 0 ? WEIR_GROUP_OK : WEIR_GROUP_NOT_WRITTEN);
}

/* ---- Commits --------------------------------------------------------------------------------------- */

static void commit(struct weir_coordinator *coordinator, struct weir_group_request *request)
{
    uint64_t now_ns = coordinator->part->reactor->now_ns;
    enum weir_group_result result = weir_groups_may_commit(coordinator->groups, now_ns, request->group, request->generation,
                                                           request->member_id, request->instance);
    if (result == WEIR_GROUP_OK && weir_groups_touch(coordinator->groups, now_ns, request->group, (struct weir_string){0}) < 0)
        result = WEIR_GROUP_FULL;
    if (result != WEIR_GROUP_OK) {
        answer(request, result);
        return;
    }
    request->commit.done = on_deleted; /* the answer is the same: durable, or not */
    int written = weir_offsets_commit(coordinator->part->keep->store, request->group, request->entries, request->entry_count,
                                      weir_keep_wall_ms(coordinator->part), &request->commit);
    if (written <= 0)
        answer(request, written == 0 ? WEIR_GROUP_OK : WEIR_GROUP_NOT_WRITTEN);
}

/* What was staged is checked as a commit is, but by those who say who they are. */
static void stage(struct weir_coordinator *coordinator, struct weir_group_request *request)
{
    uint64_t now_ns = coordinator->part->reactor->now_ns;
    enum weir_group_result result = WEIR_GROUP_OK;
    if (request->generation >= 0 || request->member_id.byte_count > 0)
        result = weir_groups_may_commit(coordinator->groups, now_ns, request->group, request->generation, request->member_id,
                                        request->instance);
    for (uint32_t i = 0; i < request->entry_count && result == WEIR_GROUP_OK; i++)
        if (weir_staged_add(&coordinator->staged, request->group, request->producer_id, &request->entries[i]) < 0)
            result = WEIR_GROUP_NOT_WRITTEN;
    answer(request, result);
}

static void on_applied(struct weir_commit *commit, int result)
{
    struct weir_group_request *request = WEIR_CONTAINER(commit, struct weir_group_request, commit);
    if (result == 0)
        weir_staged_remove(&coordinator_of(request->owner)->staged, request->group, request->producer_id);
    answer(request, result == 0 ? WEIR_GROUP_OK : WEIR_GROUP_NOT_WRITTEN);
}

static void apply(struct weir_coordinator *coordinator, struct weir_group_request *request)
{
    int written = 0;
    request->commit.done = on_applied;
    if (request->applies) {
        weir_groups_touch(coordinator->groups, coordinator->part->reactor->now_ns, request->group, (struct weir_string){0});
        written = weir_offsets_commit(coordinator->part->keep->store, request->group, request->entries, request->entry_count,
                                      weir_keep_wall_ms(coordinator->part), &request->commit);
    }
    if (written <= 0)
        on_applied(&request->commit, written);
}

static void committed(struct weir_coordinator *coordinator, struct weir_group_request *request)
{
    int result = weir_offsets_read(coordinator->part->keep->store, request->group, &request->entries, &request->entry_count,
                                   &request->memory);
    for (uint32_t i = 0; result == 0 && request->stable && i < request->entry_count; i++)
        if (weir_staged_has(&coordinator->staged, request->group, &request->entries[i])) {
            request->entries[i].offset = -1;
            request->entries[i].result = WEIR_GROUP_UNSTABLE;
        }
    answer(request, result == 0 ? WEIR_GROUP_OK : WEIR_GROUP_NOT_WRITTEN);
}

/* Commits of topics that a member subscribes to stay (KIP-496). */
static void forget(struct weir_coordinator *coordinator, struct weir_group_request *request)
{
    struct weir_group_view view;
    if (!weir_groups_view(coordinator->groups, request->group, &view)) {
        answer(request, WEIR_GROUP_NOT_FOUND);
        return;
    }
    for (uint32_t i = 0; i < request->entry_count; i++) {
        struct weir_commit_entry *entry = &request->entries[i];
        bool held = weir_groups_subscribed(coordinator->groups, request->group, entry->topic);
        entry->result = held ? WEIR_GROUP_NOT_EMPTY : WEIR_GROUP_OK;
    }
    request->commit.done = on_deleted;
    int removed = weir_offsets_remove(coordinator->part->keep->store, request->group, request->entries, request->entry_count,
                                      &request->commit);
    if (removed <= 0)
        answer(request, removed == 0 ? WEIR_GROUP_OK : WEIR_GROUP_NOT_WRITTEN);
}

/* ---- Requests, timers ------------------------------------------------------------------------------- */

static void arm(struct weir_coordinator *coordinator)
{
    uint64_t next_ns = weir_groups_next_ns(coordinator->groups);
    struct weir_wheel *wheel = &coordinator->part->reactor->wheel;
    if (next_ns == UINT64_MAX)
        weir_wheel_cancel(wheel, &coordinator->timer);
    else
        weir_wheel_arm(wheel, &coordinator->timer, next_ns);
}

static void on_time(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    struct weir_coordinator *coordinator = WEIR_CONTAINER(timer, struct weir_coordinator, timer);
    weir_groups_tick(coordinator->groups, now_ns);
    arm(coordinator);
}

static void on_asked(struct weir_part *part, struct weir_ask *ask)
{
    struct weir_group_request *request = request_of(ask);
    struct weir_coordinator *coordinator = coordinator_of(part);
    uint64_t now_ns = part->reactor->now_ns;
    request->owner = part;
    switch (request->verb) {
    case WEIR_GROUP_JOIN:
        request->join.group = request->group;
        request->join.done = on_joined;
        weir_list_init(&request->join.node);
        weir_groups_join(coordinator->groups, now_ns, &request->join);
        break;
    case WEIR_GROUP_SYNC:
        request->sync.group = request->group;
        request->sync.done = on_synced;
        weir_list_init(&request->sync.node);
        weir_groups_sync(coordinator->groups, now_ns, &request->sync);
        break;
    case WEIR_GROUP_HEARTBEAT:
        answer(request, weir_groups_heartbeat(coordinator->groups, now_ns, request->group, request->generation, request->member_id,
                                              request->instance));
        break;
    case WEIR_GROUP_LEAVE:
        leave(coordinator, request);
        break;
    case WEIR_GROUP_COMMIT:
        commit(coordinator, request);
        break;
    case WEIR_GROUP_COMMITTED:
        committed(coordinator, request);
        break;
    case WEIR_GROUP_DESCRIBE:
        describe(coordinator, request);
        break;
    case WEIR_GROUP_DELETE:
        delete(coordinator, request);
        break;
    case WEIR_GROUP_FORGET:
        forget(coordinator, request);
        break;
    case WEIR_GROUP_STAGE:
        stage(coordinator, request);
        break;
    case WEIR_GROUP_APPLY:
        apply(coordinator, request);
        break;
    }
    arm(coordinator);
}

/* A commit that is under way ends before the node does; a join may wait for minutes. */
static bool is_durable_work(enum weir_group_verb verb)
{
    return verb == WEIR_GROUP_COMMIT || verb == WEIR_GROUP_DELETE || verb == WEIR_GROUP_FORGET || verb == WEIR_GROUP_STAGE ||
           verb == WEIR_GROUP_APPLY;
}

static void on_answered(struct weir_part *part, struct weir_ask *ask)
{
    struct weir_group_request *request = request_of(ask);
    part->reactor->file_ops -= is_durable_work(request->verb);
    request->done(part, request);
}

void weir_group_request_send(struct weir_part *part, struct weir_group_request *request)
{
    request->memory = NULL;
    if (!weir_keep_ready(part)) {
        request->result = part->keep && part->keep->state == WEIR_KEEP_LOADING ? WEIR_GROUP_LOADING : WEIR_GROUP_NOT_WRITTEN;
        request->done(part, request);
        return;
    }
    if (request->group.byte_count == 0 || memchr(request->group.bytes, 0, request->group.byte_count)) {
        request->result = WEIR_GROUP_BAD_ID;
        request->done(part, request);
        return;
    }
    request->ask.asked = on_asked;
    request->ask.answered = on_answered;
    part->reactor->file_ops += is_durable_work(request->verb);
    weir_ask_send(part, weir_table_owner(WEIR_TABLE_COMMITS, request->group.bytes, request->group.byte_count, part->reactor->count),
                  &request->ask);
}

void weir_group_request_deinit(struct weir_group_request *request)
{
    free(request->memory);
    request->memory = NULL;
}

/* A group that only has commits is there again after a start. */
static void touch_row(void *context, const void *key, uint32_t key_bytes, const void *value, uint32_t value_bytes)
{
    (void)value;
    (void)value_bytes;
    struct weir_coordinator *coordinator = context;
    const char *end = memchr(key, 0, key_bytes);
    if (!end)
        return;
    struct weir_string group = {key, (uint32_t)(end - (const char *)key)};
    struct weir_string consumer = {"consumer", 8};
    weir_groups_touch(coordinator->groups, coordinator->part->reactor->now_ns, group, consumer);
}

int weir_coordinator_begin(struct weir_part *part)
{
    struct weir_group_limits limits = {
        .session_ns_min = (uint64_t)6 * 1000 * 1000 * 1000,
        .session_ns_max = (uint64_t)1800 * 1000 * 1000 * 1000,
        .initial_delay_ns = 50 * 1000 * 1000,
        .members_max = 1000,
        .groups_max = 10000,
        .metadata_bytes_max = 1 << 20,
    };
    struct weir_coordinator *coordinator = calloc(1, sizeof *coordinator);
    if (!coordinator)
        return -ENOMEM;
    coordinator->part = part;
    weir_list_init(&coordinator->staged);
    coordinator->groups = weir_groups_new(&limits, weir_io_random(part->reactor->io));
    if (!coordinator->groups) {
        free(coordinator);
        return -ENOMEM;
    }
    weir_wheel_timer_init(&coordinator->timer, on_time);
    part->keep->coordinator = coordinator;
    weir_table_each(part->keep->store, WEIR_TABLE_COMMITS, touch_row, coordinator);
    return 0;
}

void weir_coordinator_end(struct weir_part *part)
{
    struct weir_coordinator *coordinator = part->keep->coordinator;
    if (!coordinator)
        return;
    weir_wheel_cancel(&part->reactor->wheel, &coordinator->timer);
    weir_groups_free(coordinator->groups);
    weir_staged_clear(&coordinator->staged);
    free(coordinator);
    part->keep->coordinator = NULL;
}
