/*
 * wire/kafka/kafka_group_admin.c - groups seen from outside: FindCoordinator, DescribeGroups, ListGroups, DeleteGroups; InitProducerId.
 *
 * One node coordinates everything, so FindCoordinator always names it. Proof: tests/clients/kafka_*.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/coordinator.h"
#include "wire/kafka/kafka_handlers.h"
#include "wire/kafka/kafka_messages.h"

static const char *const states[] = {
    [WEIR_GROUP_EMPTY] = "Empty",   [WEIR_GROUP_PREPARING] = "PreparingRebalance", [WEIR_GROUP_COMPLETING] = "CompletingRebalance",
    [WEIR_GROUP_STABLE] = "Stable", [WEIR_GROUP_DEAD] = "Dead",
};

/* ---- FindCoordinator ---- */

void weir_kafka_find_coordinator(struct weir_kafka_request *request)
{
    const struct weir_kafka_find_coordinator_request *message = request->message;
    const struct weir_kafka_string *keys = message->coordinator_keys.items;
    struct weir_kafka_find_coordinator_response response;
    struct weir_kafka_string host;
    weir_kafka_defaults(&weir_kafka_find_coordinator_response_message, &response);
    int32_t port = weir_kafka_advertised(request, &host);
    int16_t error = message->key_type < 0 || message->key_type > 1 ? WEIR_KAFKA_INVALID_REQUEST : WEIR_KAFKA_NONE;
    response.error_code = error;
    response.node_id = error ? -1 : WEIR_KAFKA_NODE_ID;
    response.host = host;
    response.port = port;
    if (request->head.version >= 4) {
        struct weir_kafka_find_coordinator_response_coordinator *found =
            weir_kafka_items(&request->arena, &weir_kafka_find_coordinator_response_coordinator_message,
                             message->coordinator_keys.count, &response.coordinators);
        for (uint32_t i = 0; i < message->coordinator_keys.count && found; i++) {
            found[i].key = keys[i];
            found[i].node_id = response.node_id;
            found[i].host = host;
            found[i].port = port;
            found[i].error_code = error;
        }
    }
    weir_kafka_respond(request, &response);
}

/* ---- Several groups at once ---- */

struct many {
    uint32_t left;
    uint32_t count;
    struct weir_group_request asks[];
};

static void release(struct weir_kafka_request *request)
{
    struct many *many = request->state;
    for (uint32_t i = 0; i < many->count; i++)
        weir_group_request_deinit(&many->asks[i]);
}

/* Ask about each of `groups`; `respond` runs when all have been answered. */
static void ask_each(struct weir_kafka_request *request, enum weir_group_verb verb, struct weir_kafka_array groups,
                     void (*done)(struct weir_part *, struct weir_group_request *), void (*respond)(struct weir_kafka_request *))
{
    const struct weir_kafka_string *ids = groups.items;
    struct many *many = weir_kafka_arena_take(&request->arena, sizeof *many + groups.count * sizeof(struct weir_group_request));
    if (!many) {
        weir_kafka_fail(request, "no memory for a request");
        return;
    }
    many->count = many->left = groups.count;
    request->state = many;
    request->release = release;
    if (groups.count == 0)
        respond(request);
    for (uint32_t i = 0; i < groups.count; i++)
        many->asks[i] = (struct weir_group_request){.verb = verb, .group = weir_kafka_in(ids[i]), .done = done, .context = request};
    for (uint32_t i = 0, count = groups.count; i < count; i++)
        weir_group_request_send(request->local->part, &many->asks[i]);
}

/* ---- DescribeGroups ---- */

static void describe_members(struct weir_kafka_request *request, const struct weir_group_request *asked,
                             struct weir_kafka_describe_groups_response_group *group)
{
    struct weir_kafka_describe_groups_response_member *members = weir_kafka_items(
        &request->arena, &weir_kafka_describe_groups_response_member_message, asked->member_count, &group->members);
    for (uint32_t i = 0; i < asked->member_count && members; i++) {
        const struct weir_described_member *member = &asked->members[i];
        members[i].member_id = weir_kafka_out_of(member->id);
        members[i].group_instance_id = weir_kafka_out_of(member->instance);
        members[i].client_id = weir_kafka_out_of(member->client_id);
        members[i].client_host = weir_kafka_out_of(member->client_host);
        members[i].member_metadata = (struct weir_kafka_bytes){member->metadata.bytes, member->metadata.byte_count};
        members[i].member_assignment = (struct weir_kafka_bytes){member->assignment.bytes, member->assignment.byte_count};
    }
}

static void describe_group(struct weir_kafka_request *request, const struct weir_group_request *asked,
                           struct weir_kafka_describe_groups_response_group *group)
{
    group->group_id = weir_kafka_out_of(asked->group);
    group->group_state = weir_kafka_text(states[WEIR_GROUP_DEAD]); /* of a group that is not there, without an error */
    if (asked->result != WEIR_GROUP_OK) {
        group->error_code = asked->result == WEIR_GROUP_NOT_FOUND ? WEIR_KAFKA_NONE : weir_kafka_error_of_group(asked->result);
        return;
    }
    group->group_state = weir_kafka_text(states[asked->view.state]);
    if (asked->view.protocol_type.bytes)
        group->protocol_type = weir_kafka_out_of(asked->view.protocol_type);
    if (asked->view.protocol.bytes)
        group->protocol_data = weir_kafka_out_of(asked->view.protocol);
    describe_members(request, asked, group);
}

static void respond_described(struct weir_kafka_request *request)
{
    struct many *many = request->state;
    struct weir_kafka_describe_groups_response response;
    weir_kafka_defaults(&weir_kafka_describe_groups_response_message, &response);
    struct weir_kafka_describe_groups_response_group *groups =
        weir_kafka_items(&request->arena, &weir_kafka_describe_groups_response_group_message, many->count, &response.groups);
    for (uint32_t i = 0; i < many->count && groups; i++)
        describe_group(request, &many->asks[i], &groups[i]);
    weir_kafka_respond(request, &response);
}

static void on_described(struct weir_part *part, struct weir_group_request *asked)
{
    (void)part;
    struct weir_kafka_request *request = asked->context;
    if (--((struct many *)request->state)->left == 0)
        respond_described(request);
}

void weir_kafka_describe_groups(struct weir_kafka_request *request)
{
    const struct weir_kafka_describe_groups_request *message = request->message;
    ask_each(request, WEIR_GROUP_DESCRIBE, message->groups, on_described, respond_described);
}

/* ---- DeleteGroups ---- */

static void respond_deleted(struct weir_kafka_request *request)
{
    struct many *many = request->state;
    struct weir_kafka_delete_groups_response response;
    weir_kafka_defaults(&weir_kafka_delete_groups_response_message, &response);
    struct weir_kafka_delete_groups_response_result *results =
        weir_kafka_items(&request->arena, &weir_kafka_delete_groups_response_result_message, many->count, &response.results);
    for (uint32_t i = 0; i < many->count && results; i++) {
        results[i].group_id = weir_kafka_out_of(many->asks[i].group);
        results[i].error_code = weir_kafka_error_of_group(many->asks[i].result);
    }
    weir_kafka_respond(request, &response);
}

static void on_deleted(struct weir_part *part, struct weir_group_request *asked)
{
    (void)part;
    struct weir_kafka_request *request = asked->context;
    if (--((struct many *)request->state)->left == 0)
        respond_deleted(request);
}

void weir_kafka_delete_groups(struct weir_kafka_request *request)
{
    const struct weir_kafka_delete_groups_request *message = request->message;
    ask_each(request, WEIR_GROUP_DELETE, message->groups_names, on_deleted, respond_deleted);
}

/* ---- ListGroups ---- */

static bool is_among(struct weir_kafka_array words, const char *word)
{
    const struct weir_kafka_string *texts = words.items;
    for (uint32_t i = 0; i < words.count; i++)
        if (texts[i].byte_count == strlen(word) && strncasecmp(texts[i].bytes, word, texts[i].byte_count) == 0)
            return true;
    return words.count == 0;
}

static struct weir_kafka_string keep_text(struct weir_kafka_request *request, struct weir_string text)
{
    char *copy = weir_kafka_arena_take(&request->arena, text.byte_count + 1u);
    if (!copy || !text.bytes)
        return weir_kafka_text("");
    memcpy(copy, text.bytes, text.byte_count);
    return (struct weir_kafka_string){copy, text.byte_count};
}

static void on_listed(struct weir_part *part, const struct weir_group_view *views, uint32_t count, void *context)
{
    (void)part;
    struct weir_kafka_request *request = context;
    const struct weir_kafka_list_groups_request *message = request->message;
    struct weir_kafka_list_groups_response response;
    uint32_t shown = 0;
    weir_kafka_defaults(&weir_kafka_list_groups_response_message, &response);
    bool classic = is_among(message->types_filter, "classic");
    struct weir_kafka_list_groups_response_group *groups =
        weir_kafka_items(&request->arena, &weir_kafka_list_groups_response_group_message, count, &response.groups);
    for (uint32_t i = 0; i < count && groups; i++) {
        if (!classic || !is_among(message->states_filter, states[views[i].state]))
            continue;
        groups[shown].group_id = keep_text(request, views[i].id);
        groups[shown].protocol_type = keep_text(request, views[i].protocol_type);
        groups[shown].group_state = weir_kafka_text(states[views[i].state]);
        groups[shown++].group_type = weir_kafka_text("classic");
    }
    response.groups.count = shown;
    weir_kafka_respond(request, &response);
}

void weir_kafka_list_groups(struct weir_kafka_request *request)
{
    if (weir_groups_list(request->local->part, on_listed, request) == 0)
        return;
    struct weir_kafka_list_groups_response response;
    weir_kafka_defaults(&weir_kafka_list_groups_response_message, &response);
    response.error_code = WEIR_KAFKA_COORDINATOR_LOADING;
    weir_kafka_respond(request, &response);
}

/* ---- InitProducerId: of producers without transactions ---- */

static void on_producer_id(struct weir_part *part, struct weir_producer_id *id)
{
    (void)part;
    struct weir_kafka_init_producer_id_response response;
    weir_kafka_defaults(&weir_kafka_init_producer_id_response_message, &response);
    response.producer_id = id->id;
    response.producer_epoch = id->id < 0 ? -1 : 0;
    response.error_code = id->id < 0 ? WEIR_KAFKA_COORDINATOR_LOADING : WEIR_KAFKA_NONE;
    weir_kafka_respond(id->context, &response);
}

void weir_kafka_init_producer_id(struct weir_kafka_request *request)
{
    const struct weir_kafka_init_producer_id_request *message = request->message;
    struct weir_producer_id *id = weir_kafka_arena_take(&request->arena, sizeof *id);
    if (!id) {
        weir_kafka_fail(request, "no memory for a request");
        return;
    }
    if (message->transactional_id.bytes) {
        weir_kafka_init_transaction(request);
        return;
    }
    id->done = on_producer_id;
    id->context = request;
    weir_producer_id_take(request->local->part, id);
}
