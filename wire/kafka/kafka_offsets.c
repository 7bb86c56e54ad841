/*
 * wire/kafka/kafka_offsets.c - commits: OffsetCommit, OffsetFetch, OffsetDelete.
 *
 * A request's topics become one flat list for the coordinator and are folded back by walking the request again in the same order.
 * Proof: tests/clients/kafka_*.
 */
#include <string.h>

#include "broker/coordinator.h"
#include "wire/kafka/kafka_handlers.h"
#include "wire/kafka/kafka_messages.h"

enum { METADATA_BYTES_MAX = 4096 };

static void release(struct weir_kafka_request *request)
{
    weir_group_request_deinit(request->state);
}

static struct weir_group_request *ask(struct weir_kafka_request *request, enum weir_group_verb verb, struct weir_kafka_string group,
                                      uint32_t entry_count, void (*done)(struct weir_part *, struct weir_group_request *))
{
    struct weir_group_request *ask = weir_kafka_arena_take(&request->arena, sizeof *ask);
    if (ask)
        ask->entries = weir_kafka_arena_take(&request->arena, (entry_count ? entry_count : 1) * sizeof *ask->entries);
    if (!ask || !ask->entries) {
        weir_kafka_fail(request, "no memory for a request");
        return NULL;
    }
    ask->verb = verb;
    ask->group = weir_kafka_in(group);
    ask->done = done;
    ask->context = request;
    ask->entry_count = entry_count;
    request->state = ask;
    request->release = release;
    return ask;
}

/* ---- OffsetCommit ---- */

static bool topic_has(struct weir_part *part, struct weir_kafka_string name, int32_t partition)
{
    const struct weir_kept_topic *topic = weir_catalog_find(part, name.bytes, name.byte_count);
    return topic && partition >= 0 && (uint32_t)partition < topic->partition_count;
}

static int16_t commit_error(struct weir_kafka_request *request, struct weir_kafka_string topic,
                            const struct weir_kafka_offset_commit_request_partition *partition)
{
    if (!topic_has(request->local->part, topic, partition->partition_index))
        return WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    return partition->committed_metadata.byte_count > METADATA_BYTES_MAX ? WEIR_KAFKA_OFFSET_METADATA_TOO_LARGE : WEIR_KAFKA_NONE;
}

/* A partition's verdict travels in its entry: the catalog may change meanwhile, the answer may not. */
static enum weir_group_result verdict_of(int16_t error)
{
    return error == WEIR_KAFKA_NONE                           ? WEIR_GROUP_OK
           : error == WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION ? WEIR_GROUP_NOT_FOUND
                                                             : WEIR_GROUP_FULL;
}

static int16_t error_of(enum weir_group_result verdict)
{
    return verdict == WEIR_GROUP_OK          ? WEIR_KAFKA_NONE
           : verdict == WEIR_GROUP_NOT_FOUND ? WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION
                                             : WEIR_KAFKA_OFFSET_METADATA_TOO_LARGE;
}

static void on_committed(struct weir_part *part, struct weir_group_request *asked)
{
    (void)part;
    struct weir_kafka_request *request = asked->context;
    const struct weir_kafka_offset_commit_request *message = request->message;
    const struct weir_kafka_offset_commit_request_topic *topics = message->topics.items;
    const struct weir_commit_entry *entry = asked->entries;
    struct weir_kafka_offset_commit_response response;
    weir_kafka_defaults(&weir_kafka_offset_commit_response_message, &response);
    struct weir_kafka_offset_commit_response_topic *answered = weir_kafka_items(
        &request->arena, &weir_kafka_offset_commit_response_topic_message, message->topics.count, &response.topics);
    for (uint32_t i = 0; i < message->topics.count && answered; i++) {
        const struct weir_kafka_offset_commit_request_partition *partitions = topics[i].partitions.items;
        struct weir_kafka_offset_commit_response_partition *results =
            weir_kafka_items(&request->arena, &weir_kafka_offset_commit_response_partition_message, topics[i].partitions.count,
                             &answered[i].partitions);
        answered[i].name = topics[i].name;
        for (uint32_t j = 0; j < topics[i].partitions.count && results; j++) {
            results[j].partition_index = partitions[j].partition_index;
            results[j].error_code = asked->result != WEIR_GROUP_OK ? weir_kafka_error_of_group(asked->result) : error_of(entry->result);
            entry++;
        }
    }
    weir_kafka_respond(request, &response);
}

void weir_kafka_offset_commit(struct weir_kafka_request *request)
{
    const struct weir_kafka_offset_commit_request *message = request->message;
    const struct weir_kafka_offset_commit_request_topic *topics = message->topics.items;
    uint32_t count = 0;
    for (uint32_t i = 0; i < message->topics.count; i++)
        count += topics[i].partitions.count;
    struct weir_group_request *asked = ask(request, WEIR_GROUP_COMMIT, message->group_id, count, on_committed);
    if (!asked)
        return;
    asked->generation = message->generation_id_or_member_epoch;
    asked->member_id = weir_kafka_in(message->member_id);
    asked->instance = weir_kafka_in(message->group_instance_id);
    asked->entry_count = 0;
    for (uint32_t i = 0; i < message->topics.count; i++) {
        const struct weir_kafka_offset_commit_request_partition *partitions = topics[i].partitions.items;
        for (uint32_t j = 0; j < topics[i].partitions.count; j++) {
            int16_t error = commit_error(request, topics[i].name, &partitions[j]);
            asked->entries[asked->entry_count++] = (struct weir_commit_entry){
                .topic = weir_kafka_in(topics[i].name),
                .partition = (uint32_t)partitions[j].partition_index,
                .offset = partitions[j].committed_offset,
                .leader_epoch = partitions[j].committed_leader_epoch,
                .metadata = weir_kafka_in(partitions[j].committed_metadata),
                .result = verdict_of(error), /* what is not OK is not written, and answered so */
            };
        }
    }
    weir_group_request_send(request->local->part, asked);
}

/* ---- OffsetFetch: one group, or from version 8 on several ---- */

struct group_fetch { /* one group's */
    struct weir_group_request ask;
    struct weir_kafka_request *request;
    bool all;
    struct weir_kafka_array topics; /* asked for */
};

struct fetch {
    uint32_t left;
    uint32_t count;
    struct group_fetch groups[];
};

static void release_fetch(struct weir_kafka_request *request)
{
    struct fetch *fetch = request->state;
    for (uint32_t i = 0; i < fetch->count; i++)
        weir_group_request_deinit(&fetch->groups[i].ask);
}

static void put_partition(struct weir_kafka_offset_fetch_response_partition *answered, const struct weir_commit_entry *entry)
{
    answered->partition_index = (int32_t)entry->partition;
    answered->committed_offset = entry->offset;
    answered->committed_leader_epoch = entry->leader_epoch;
    answered->error_code = weir_kafka_error_of_group(entry->result);
    answered->metadata = entry->metadata.bytes ? weir_kafka_out_of(entry->metadata) : weir_kafka_text("");
}

/* What was asked for, in its order. */
static void put_asked(struct weir_kafka_request *request, const struct group_fetch *group, struct weir_kafka_array *topics_out)
{
    const struct weir_kafka_offset_fetch_request_topic *topics = group->topics.items;
    const struct weir_commit_entry *entry = group->ask.entries;
    struct weir_kafka_offset_fetch_response_topic *answered = weir_kafka_items(
        &request->arena, &weir_kafka_offset_fetch_response_topic_message, group->topics.count, topics_out);
    for (uint32_t i = 0; i < group->topics.count && answered; i++) {
        uint32_t count = topics[i].partition_indexes.count;
        struct weir_kafka_offset_fetch_response_partition *partitions = weir_kafka_items(
            &request->arena, &weir_kafka_offset_fetch_response_partition_message, count, &answered[i].partitions);
        answered[i].name = topics[i].name;
        for (uint32_t j = 0; j < count; j++, entry++)
            if (partitions)
                put_partition(&partitions[j], entry);
    }
}

static bool same_topic(const struct weir_commit_entry *a, const struct weir_commit_entry *b)
{
    return a->topic.byte_count == b->topic.byte_count && memcmp(a->topic.bytes, b->topic.bytes, a->topic.byte_count) == 0;
}

/* The first entry of each topic stands for it; the list is short. */
static bool is_first(const struct weir_commit_entry *entries, uint32_t place)
{
    for (uint32_t i = 0; i < place; i++)
        if (same_topic(&entries[i], &entries[place]))
            return false;
    return true;
}

static void put_all(struct weir_kafka_request *request, const struct group_fetch *group, struct weir_kafka_array *topics_out)
{
    const struct weir_commit_entry *entries = group->ask.entries;
    uint32_t count = group->ask.entry_count, topic_count = 0, next = 0;
    for (uint32_t i = 0; i < count; i++)
        topic_count += is_first(entries, i);
    struct weir_kafka_offset_fetch_response_topic *answered =
        weir_kafka_items(&request->arena, &weir_kafka_offset_fetch_response_topic_message, topic_count, topics_out);
    for (uint32_t i = 0; i < count && answered; i++) {
        if (!is_first(entries, i))
            continue;
        uint32_t of_topic = 0, used = 0;
        for (uint32_t j = i; j < count; j++)
            of_topic += same_topic(&entries[i], &entries[j]);
        struct weir_kafka_offset_fetch_response_topic *topic = &answered[next++];
        struct weir_kafka_offset_fetch_response_partition *partitions = weir_kafka_items(
            &request->arena, &weir_kafka_offset_fetch_response_partition_message, of_topic, &topic->partitions);
        topic->name = weir_kafka_out_of(entries[i].topic);
        for (uint32_t j = i; j < count && partitions; j++)
            if (same_topic(&entries[i], &entries[j]))
                put_partition(&partitions[used++], &entries[j]);
    }
}

static void put_group(struct weir_kafka_request *request, const struct group_fetch *group, struct weir_kafka_array *topics_out)
{
    if (group->ask.result != WEIR_GROUP_OK)
        return;
    if (group->all)
        put_all(request, group, topics_out);
    else
        put_asked(request, group, topics_out);
}

static void respond_fetch(struct weir_kafka_request *request, struct fetch *fetch)
{
    struct weir_kafka_offset_fetch_response response;
    weir_kafka_defaults(&weir_kafka_offset_fetch_response_message, &response);
    if (request->head.version < 8) {
        response.error_code = weir_kafka_error_of_group(fetch->groups[0].ask.result);
        put_group(request, &fetch->groups[0], &response.topics);
        weir_kafka_respond(request, &response);
        return;
    }
    struct weir_kafka_offset_fetch_response_group *groups =
        weir_kafka_items(&request->arena, &weir_kafka_offset_fetch_response_group_message, fetch->count, &response.groups);
    for (uint32_t i = 0; i < fetch->count && groups; i++) {
        groups[i].group_id = weir_kafka_out_of(fetch->groups[i].ask.group);
        groups[i].error_code = weir_kafka_error_of_group(fetch->groups[i].ask.result);
        put_group(request, &fetch->groups[i], &groups[i].topics);
    }
    weir_kafka_respond(request, &response);
}

static void on_fetched(struct weir_part *part, struct weir_group_request *asked)
{
    (void)part;
    struct group_fetch *group = WEIR_CONTAINER(asked, struct group_fetch, ask);
    struct fetch *fetch = group->request->state;
    if (--fetch->left == 0)
        respond_fetch(group->request, fetch);
}

static bool fill_group(struct weir_kafka_request *request, struct group_fetch *group, struct weir_kafka_string id,
                       struct weir_kafka_array topics)
{
    const struct weir_kafka_offset_fetch_request_topic *asked = topics.items;
    uint32_t count = 0, used = 0;
    for (uint32_t i = 0; i < topics.count; i++)
        count += asked[i].partition_indexes.count;
    group->request = request;
    group->all = !topics.items;
    group->topics = topics;
    group->ask.verb = WEIR_GROUP_COMMITTED;
    group->ask.stable = ((const struct weir_kafka_offset_fetch_request *)request->message)->require_stable;
    group->ask.group = weir_kafka_in(id);
    group->ask.done = on_fetched;
    if (group->all)
        return true;
    group->ask.entry_count = count;
    group->ask.entries = weir_kafka_arena_take(&request->arena, (count ? count : 1) * sizeof *group->ask.entries);
    for (uint32_t i = 0; i < topics.count && group->ask.entries; i++) {
        const int32_t *partitions = asked[i].partition_indexes.items;
        for (uint32_t j = 0; j < asked[i].partition_indexes.count; j++)
            group->ask.entries[used++] =
                (struct weir_commit_entry){.topic = weir_kafka_in(asked[i].name), .partition = (uint32_t)partitions[j]};
    }
    return group->ask.entries != NULL;
}

void weir_kafka_offset_fetch(struct weir_kafka_request *request)
{
    const struct weir_kafka_offset_fetch_request *message = request->message;
    const struct weir_kafka_offset_fetch_request_group *groups = message->groups.items;
    uint32_t count = request->head.version < 8 ? 1 : message->groups.count;
    struct fetch *fetch = weir_kafka_arena_take(&request->arena, sizeof *fetch + count * sizeof(struct group_fetch));
    bool fine = fetch != NULL;
    if (fine)
        fetch->count = fetch->left = count;
    for (uint32_t i = 0; i < count && fine; i++)
        fine = request->head.version < 8 ? fill_group(request, &fetch->groups[0], message->group_id, message->topics)
                                         : fill_group(request, &fetch->groups[i], groups[i].group_id, groups[i].topics);
    if (!fine) {
        weir_kafka_fail(request, "no memory for a request");
        return;
    }
    request->state = fetch;
    request->release = release_fetch;
    if (count == 0)
        respond_fetch(request, fetch);
    for (uint32_t i = 0; i < count; i++)
        weir_group_request_send(request->local->part, &fetch->groups[i].ask);
}

/* ---- OffsetDelete ---- */

static void on_forgotten(struct weir_part *part, struct weir_group_request *asked)
{
    (void)part;
    struct weir_kafka_request *request = asked->context;
    const struct weir_kafka_offset_delete_request *message = request->message;
    const struct weir_kafka_offset_delete_request_topic *topics = message->topics.items;
    const struct weir_commit_entry *entry = asked->entries;
    struct weir_kafka_offset_delete_response response;
    weir_kafka_defaults(&weir_kafka_offset_delete_response_message, &response);
    response.error_code = weir_kafka_error_of_group(asked->result);
    struct weir_kafka_offset_delete_response_topic *answered = weir_kafka_items(
        &request->arena, &weir_kafka_offset_delete_response_topic_message, message->topics.count, &response.topics);
    for (uint32_t i = 0; i < message->topics.count && answered; i++) {
        uint32_t count = topics[i].partitions.count;
        struct weir_kafka_offset_delete_response_partition *results = weir_kafka_items(
            &request->arena, &weir_kafka_offset_delete_response_partition_message, count, &answered[i].partitions);
        answered[i].name = topics[i].name;
        for (uint32_t j = 0; j < count; j++, entry++) {
            if (!results)
                continue;
            results[j].partition_index = (int32_t)entry->partition;
            results[j].error_code = entry->result == WEIR_GROUP_NOT_EMPTY ? WEIR_KAFKA_GROUP_SUBSCRIBED_TO_TOPIC : WEIR_KAFKA_NONE;
        }
    }
    weir_kafka_respond(request, &response);
}

void weir_kafka_offset_delete(struct weir_kafka_request *request)
{
    const struct weir_kafka_offset_delete_request *message = request->message;
    const struct weir_kafka_offset_delete_request_topic *topics = message->topics.items;
    uint32_t count = 0, used = 0;
    for (uint32_t i = 0; i < message->topics.count; i++)
        count += topics[i].partitions.count;
    struct weir_group_request *asked = ask(request, WEIR_GROUP_FORGET, message->group_id, count, on_forgotten);
    if (!asked)
        return;
    for (uint32_t i = 0; i < message->topics.count; i++) {
        const struct weir_kafka_offset_delete_request_partition *partitions = topics[i].partitions.items;
        for (uint32_t j = 0; j < topics[i].partitions.count; j++)
            asked->entries[used++] = (struct weir_commit_entry){.topic = weir_kafka_in(topics[i].name),
                                                                .partition = (uint32_t)partitions[j].partition_index};
    }
    weir_group_request_send(request->local->part, asked);
}
