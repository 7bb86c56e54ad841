/*
 * wire/kafka/kafka_group.c - membership: JoinGroup, SyncGroup, Heartbeat, LeaveGroup.
 *
 * The coordinator's words are translated, nothing more; what it decides is in broker/groups.c.
 * Proof: tests/clients/kafka_*, tests/broker/groups_test.c.
 */
#include "broker/coordinator.h"
#include "wire/kafka/kafka_handlers.h"
#include "wire/kafka/kafka_messages.h"

static const uint64_t ms_ns = 1000000;

static void release(struct weir_kafka_request *request)
{
    weir_group_request_deinit(request->state);
}

/* A question to the coordinator whose answer `done` turns into a response. NULL: no memory, and the request is over. */
static struct weir_group_request *ask(struct weir_kafka_request *request, enum weir_group_verb verb, struct weir_kafka_string group,
                                      void (*done)(struct weir_part *, struct weir_group_request *))
{
    struct weir_group_request *ask = weir_kafka_arena_take(&request->arena, sizeof *ask);
    if (!ask) {
        weir_kafka_fail(request, "no memory for a request");
        return NULL;
    }
    ask->verb = verb;
    ask->group = weir_kafka_in(group);
    ask->done = done;
    ask->context = request;
    request->state = ask;
    request->release = release;
    return ask;
}

static uint64_t timeout_ns(int32_t timeout_ms)
{
    return timeout_ms > 0 ? (uint64_t)timeout_ms * ms_ns : 0;
}

/* ---- JoinGroup ---- */

static bool put_members(struct weir_kafka_request *request, const struct weir_join_answer *joined,
                        struct weir_kafka_join_group_response *response)
{
    struct weir_kafka_join_group_response_member *members = weir_kafka_items(
        &request->arena, &weir_kafka_join_group_response_member_message, joined->member_count, &response->members);
    for (uint32_t i = 0; i < joined->member_count && members; i++) {
        members[i].member_id = weir_kafka_out_of(joined->members[i].id);
        members[i].group_instance_id = weir_kafka_out_of(joined->members[i].instance);
        members[i].metadata = (struct weir_kafka_bytes){joined->members[i].metadata.bytes, joined->members[i].metadata.byte_count};
    }
    return members != NULL;
}

static void on_joined(struct weir_part *part, struct weir_group_request *asked)
{
    (void)part;
    struct weir_kafka_request *request = asked->context;
    struct weir_kafka_join_group_response response;
    const struct weir_join_answer *joined = &asked->joined;
    weir_kafka_defaults(&weir_kafka_join_group_response_message, &response);
    response.error_code = weir_kafka_error_of_group(asked->result);
    if (asked->result == WEIR_GROUP_OK) {
        response.generation_id = joined->generation;
        response.protocol_type = weir_kafka_out_of(joined->protocol_type);
        response.protocol_name = weir_kafka_out_of(joined->protocol);
        response.leader = weir_kafka_out_of(joined->leader);
        response.skip_assignment = joined->skip_assignment;
    }
    if (joined->member_id.bytes)
        response.member_id = weir_kafka_out_of(joined->member_id);
    if (asked->result == WEIR_GROUP_OK && !put_members(request, joined, &response))
        weir_kafka_fail(request, "no memory for an answer");
    else
        weir_kafka_respond(request, &response);
}

static char *client_host(struct weir_kafka_request *request)
{
    char *host = weir_kafka_arena_take(&request->arena, 96);
    if (!host)
        return "";
    host[0] = '/'; /* as Kafka writes it */
    weir_tcp_peer_name(request->session->conn, host + 1, 95);
    char *colon = __builtin_strrchr(host, ':');
    if (colon)
        *colon = 0;
    return host;
}

void weir_kafka_join_group(struct weir_kafka_request *request)
{
    const struct weir_kafka_join_group_request *message = request->message;
    const struct weir_kafka_join_group_request_protocol *offered = message->protocols.items;
    struct weir_group_request *asked = ask(request, WEIR_GROUP_JOIN, message->group_id, on_joined);
    struct weir_group_protocol *protocols = NULL;
    if (!asked)
        return;
    if (message->protocols.count > 0)
        protocols = weir_kafka_arena_take(&request->arena, message->protocols.count * sizeof *protocols);
    if (!protocols && message->protocols.count > 0) {
        weir_kafka_fail(request, "no memory for a request");
        return;
    }
    for (uint32_t i = 0; i < message->protocols.count; i++)
        protocols[i] = (struct weir_group_protocol){weir_kafka_in(offered[i].name),
                                                    {offered[i].metadata.bytes, offered[i].metadata.byte_count}};
    int32_t rebalance_ms = request->head.version >= 1 ? message->rebalance_timeout_ms : message->session_timeout_ms;
    asked->join = (struct weir_join){
        .member_id = weir_kafka_in(message->member_id),
        .instance = weir_kafka_in(message->group_instance_id),
        .client_id = weir_kafka_in(request->head.client_id.bytes ? request->head.client_id : weir_kafka_text("")),
        .protocol_type = weir_kafka_in(message->protocol_type),
        .reason = weir_kafka_in(message->reason),
        .protocols = protocols,
        .protocol_count = message->protocols.count,
        .session_ns = timeout_ns(message->session_timeout_ms),
        .rebalance_ns = timeout_ns(rebalance_ms),
        .id_required = request->head.version >= 4,
        .may_skip = request->head.version >= 9,
    };
    const char *host = client_host(request);
    asked->join.client_host = (struct weir_string){host, (uint32_t)__builtin_strlen(host)};
    weir_group_request_send(request->local->part, asked);
}

/* ---- SyncGroup ---- */

static void on_synced(struct weir_part *part, struct weir_group_request *asked)
{
    (void)part;
    struct weir_kafka_sync_group_response response;
    weir_kafka_defaults(&weir_kafka_sync_group_response_message, &response);
    response.error_code = weir_kafka_error_of_group(asked->result);
    if (asked->result == WEIR_GROUP_OK) {
        response.protocol_type = weir_kafka_out_of(asked->synced.protocol_type);
        response.protocol_name = weir_kafka_out_of(asked->synced.protocol);
        response.assignment = (struct weir_kafka_bytes){asked->synced.assignment.bytes ? asked->synced.assignment.bytes : (const void *)"",
                                                        asked->synced.assignment.byte_count};
    }
    weir_kafka_respond(asked->context, &response);
}

void weir_kafka_sync_group(struct weir_kafka_request *request)
{
    const struct weir_kafka_sync_group_request *message = request->message;
    const struct weir_kafka_sync_group_request_assignment *given = message->assignments.items;
    struct weir_group_request *asked = ask(request, WEIR_GROUP_SYNC, message->group_id, on_synced);
    struct weir_group_assignment *assignments = NULL;
    if (!asked)
        return;
    if (message->assignments.count > 0)
        assignments = weir_kafka_arena_take(&request->arena, message->assignments.count * sizeof *assignments);
    if (!assignments && message->assignments.count > 0) {
        weir_kafka_fail(request, "no memory for a request");
        return;
    }
    for (uint32_t i = 0; i < message->assignments.count; i++)
        assignments[i] = (struct weir_group_assignment){weir_kafka_in(given[i].member_id),
                                                        {given[i].assignment.bytes, given[i].assignment.byte_count}};
    asked->sync = (struct weir_sync){
        .member_id = weir_kafka_in(message->member_id),
        .instance = weir_kafka_in(message->group_instance_id),
        .protocol_type = weir_kafka_in(message->protocol_type),
        .protocol = weir_kafka_in(message->protocol_name),
        .generation = message->generation_id,
        .assignments = assignments,
        .assignment_count = message->assignments.count,
    };
    weir_group_request_send(request->local->part, asked);
}

/* ---- Heartbeat ---- */

static void on_heartbeat(struct weir_part *part, struct weir_group_request *asked)
{
    (void)part;
    struct weir_kafka_heartbeat_response response;
    weir_kafka_defaults(&weir_kafka_heartbeat_response_message, &response);
    response.error_code = weir_kafka_error_of_group(asked->result);
    weir_kafka_respond(asked->context, &response);
}

void weir_kafka_heartbeat(struct weir_kafka_request *request)
{
    const struct weir_kafka_heartbeat_request *message = request->message;
    struct weir_group_request *asked = ask(request, WEIR_GROUP_HEARTBEAT, message->group_id, on_heartbeat);
    if (!asked)
        return;
    asked->generation = message->generation_id;
    asked->member_id = weir_kafka_in(message->member_id);
    asked->instance = weir_kafka_in(message->group_instance_id);
    weir_group_request_send(request->local->part, asked);
}

/* ---- LeaveGroup: one member below version 3, its result at the top ---- */

static void on_left(struct weir_part *part, struct weir_group_request *asked)
{
    (void)part;
    struct weir_kafka_request *request = asked->context;
    struct weir_kafka_leave_group_response response;
    weir_kafka_defaults(&weir_kafka_leave_group_response_message, &response);
    response.error_code = weir_kafka_error_of_group(asked->result);
    if (asked->result == WEIR_GROUP_OK && request->head.version < 3)
        response.error_code = weir_kafka_error_of_group(asked->leavers[0].result);
    if (asked->result == WEIR_GROUP_OK && request->head.version >= 3) {
        struct weir_kafka_leave_group_response_member *members = weir_kafka_items(
            &request->arena, &weir_kafka_leave_group_response_member_message, asked->leaver_count, &response.members);
        for (uint32_t i = 0; i < asked->leaver_count && members; i++) {
            members[i].member_id = weir_kafka_out_of(asked->leavers[i].member_id);
            members[i].group_instance_id = weir_kafka_out_of(asked->leavers[i].instance);
            members[i].error_code = weir_kafka_error_of_group(asked->leavers[i].result);
        }
    }
    weir_kafka_respond(request, &response);
}

void weir_kafka_leave_group(struct weir_kafka_request *request)
{
    const struct weir_kafka_leave_group_request *message = request->message;
    const struct weir_kafka_leave_group_request_member *members = message->members.items;
    uint32_t count = request->head.version < 3 ? 1 : message->members.count;
    struct weir_group_request *asked = ask(request, WEIR_GROUP_LEAVE, message->group_id, on_left);
    if (!asked)
        return;
    asked->leavers = weir_kafka_arena_take(&request->arena, (count ? count : 1) * sizeof *asked->leavers);
    if (!asked->leavers) {
        weir_kafka_fail(request, "no memory for a request");
        return;
    }
    asked->leaver_count = count;
    if (request->head.version < 3)
        asked->leavers[0].member_id = weir_kafka_in(message->member_id);
    for (uint32_t i = 0; request->head.version >= 3 && i < count; i++)
        asked->leavers[i] = (struct weir_leaver){.member_id = weir_kafka_in(members[i].member_id),
                                                 .instance = weir_kafka_in(members[i].group_instance_id),
                                                 .reason = weir_kafka_in(members[i].reason)};
    weir_group_request_send(request->local->part, asked);
}
