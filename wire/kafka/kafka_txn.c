/*
 * wire/kafka/kafka_txn.c - transactions: InitProducerId with a name, AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit, EndTxn.
 *
 * Proof: tests/clients/kafka_test.py.
 */
#include <string.h>

#include "broker/transactions.h"
#include "wire/kafka/kafka_body.h"
#include "wire/kafka/kafka_handlers.h"

enum { METADATA_BYTES_MAX = 4096, GROUP_BYTES_MAX = 512 };

static int16_t error_of(const struct weir_txn_request *asked, bool knows_fenced)
{
    switch (asked->result) {
    case WEIR_TXN_OK:
        return WEIR_KAFKA_NONE;
    case WEIR_TXN_BAD_TIMEOUT:
        return WEIR_KAFKA_INVALID_TRANSACTION_TIMEOUT;
    case WEIR_TXN_BAD_MAPPING:
        return WEIR_KAFKA_INVALID_PRODUCER_ID_MAPPING;
    case WEIR_TXN_FENCED:
        return knows_fenced ? WEIR_KAFKA_PRODUCER_FENCED : WEIR_KAFKA_INVALID_PRODUCER_EPOCH;
    case WEIR_TXN_BAD_STATE:
        return WEIR_KAFKA_INVALID_TXN_STATE;
    case WEIR_TXN_CONCURRENT:
        return WEIR_KAFKA_CONCURRENT_TRANSACTIONS;
    case WEIR_TXN_GROUP:
        return weir_kafka_error_of_group(asked->group_result);
    case WEIR_TXN_LOADING:
        return WEIR_KAFKA_COORDINATOR_LOADING;
    case WEIR_TXN_NOT_WRITTEN:
        return WEIR_KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    return WEIR_KAFKA_UNKNOWN_SERVER_ERROR;
}

static struct weir_txn_request *ask(struct weir_kafka_request *request, enum weir_txn_verb verb, struct weir_kafka_string name,
                                    void (*done)(struct weir_part *, struct weir_txn_request *))
{
    struct weir_txn_request *asked = weir_kafka_arena_take(&request->arena, sizeof *asked);
    if (!asked) {
        weir_kafka_fail(request, "no memory for a request");
        return NULL;
    }
    asked->verb = verb;
    asked->name = weir_kafka_in(name);
    asked->done = done;
    asked->context = request;
    return asked;
}

/* ---- InitProducerId ---- */

static void on_begun(struct weir_part *part, struct weir_txn_request *asked)
{
    (void)part;
    struct weir_kafka_request *request = asked->context;
    struct weir_kafka_init_producer_id_response response;
    weir_kafka_defaults(&weir_kafka_init_producer_id_response_message, &response);
    response.error_code = error_of(asked, request->head.version >= 4);
    response.producer_id = response.error_code ? -1 : asked->producer_id;
    response.producer_epoch = response.error_code ? -1 : asked->producer_epoch;
    weir_kafka_respond(request, &response);
}

void weir_kafka_init_transaction(struct weir_kafka_request *request)
{
    const struct weir_kafka_init_producer_id_request *message = request->message;
    struct weir_txn_request *asked = ask(request, WEIR_TXN_BEGIN, message->transactional_id, on_begun);
    if (!asked)
        return;
    asked->producer_id = message->producer_id;
    asked->producer_epoch = message->producer_epoch;
    asked->timeout_ms = message->transaction_timeout_ms;
    weir_txn_request_send(request->local->part, asked);
}

/* ---- AddPartitionsToTxn ---- */

static const struct weir_kept_topic *topic_of(struct weir_kafka_request *request, struct weir_kafka_string name, int32_t partition)
{
    const struct weir_kept_topic *topic = weir_catalog_find(request->local->part, name.bytes, name.byte_count);
    return topic && partition >= 0 && (uint32_t)partition < topic->partition_count ? topic : NULL;
}

/* All or nothing: where one is unknown, nothing was added. */
static void respond_added(struct weir_kafka_request *request, int16_t error)
{
    const struct weir_kafka_add_partitions_to_txn_request *message = request->message;
    const struct weir_kafka_add_partitions_to_txn_request_topic *topics = message->v3_and_below_topics.items;
    struct weir_kafka_add_partitions_to_txn_response response;
    weir_kafka_defaults(&weir_kafka_add_partitions_to_txn_response_message, &response);
    struct weir_kafka_add_partitions_to_txn_response_topic *answered =
        weir_kafka_items(&request->arena, &weir_kafka_add_partitions_to_txn_response_topic_message, message->v3_and_below_topics.count,
                         &response.results_by_topic_v3_and_below);
    for (uint32_t i = 0; i < message->v3_and_below_topics.count && answered; i++) {
        const int32_t *partitions = topics[i].partitions.items;
        struct weir_kafka_add_partitions_to_txn_response_partition *results =
            weir_kafka_items(&request->arena, &weir_kafka_add_partitions_to_txn_response_partition_message, topics[i].partitions.count,
                             &answered[i].results_by_partition);
        answered[i].name = topics[i].name;
        for (uint32_t j = 0; j < topics[i].partitions.count && results; j++) {
            results[j].partition_index = partitions[j];
            results[j].partition_error_code = error;
            if (error == WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION && topic_of(request, topics[i].name, partitions[j]))
                results[j].partition_error_code = 55; /* OPERATION_NOT_ATTEMPTED */
        }
    }
    weir_kafka_respond(request, &response);
}

static void on_added(struct weir_part *part, struct weir_txn_request *asked)
{
    (void)part;
    struct weir_kafka_request *request = asked->context;
    respond_added(request, error_of(asked, request->head.version >= 2));
}

void weir_kafka_add_partitions_to_txn(struct weir_kafka_request *request)
{
    const struct weir_kafka_add_partitions_to_txn_request *message = request->message;
    const struct weir_kafka_add_partitions_to_txn_request_topic *topics = message->v3_and_below_topics.items;
    uint32_t count = 0, used = 0;
    for (uint32_t i = 0; i < message->v3_and_below_topics.count; i++)
        count += topics[i].partitions.count;
    struct weir_txn_request *asked = ask(request, WEIR_TXN_ADD_PARTITIONS, message->v3_and_below_transactional_id, on_added);
    if (!asked)
        return;
    struct weir_txn_partition *added = weir_kafka_arena_take(&request->arena, (count ? count : 1) * sizeof *added);
    if (!added) {
        weir_kafka_fail(request, "no memory for a request");
        return;
    }
    for (uint32_t i = 0; i < message->v3_and_below_topics.count; i++) {
        const int32_t *partitions = topics[i].partitions.items;
        for (uint32_t j = 0; j < topics[i].partitions.count; j++) {
            const struct weir_kept_topic *topic = topic_of(request, topics[i].name, partitions[j]);
            if (!topic) {
                respond_added(request, WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
                return;
            }
            added[used++] = (struct weir_txn_partition){.topic = topic->id, .partition = (uint32_t)partitions[j]};
        }
    }
    asked->producer_id = message->v3_and_below_producer_id;
    asked->producer_epoch = message->v3_and_below_producer_epoch;
    asked->partitions = added;
    asked->partition_count = count;
    weir_txn_request_send(request->local->part, asked);
}

/* ---- AddOffsetsToTxn, EndTxn ---- */

static bool good_group(struct weir_kafka_string group)
{
    return group.byte_count > 0 && group.byte_count <= GROUP_BYTES_MAX && !memchr(group.bytes, 0, group.byte_count);
}

static void respond_offsets_added(struct weir_kafka_request *request, int16_t error)
{
    struct weir_kafka_add_offsets_to_txn_response response;
    weir_kafka_defaults(&weir_kafka_add_offsets_to_txn_response_message, &response);
    response.error_code = error;
    weir_kafka_respond(request, &response);
}

static void on_group_added(struct weir_part *part, struct weir_txn_request *asked)
{
    (void)part;
    struct weir_kafka_request *request = asked->context;
    respond_offsets_added(request, error_of(asked, request->head.version >= 2));
}

void weir_kafka_add_offsets_to_txn(struct weir_kafka_request *request)
{
    const struct weir_kafka_add_offsets_to_txn_request *message = request->message;
    if (!good_group(message->group_id)) {
        respond_offsets_added(request, WEIR_KAFKA_INVALID_GROUP_ID);
        return;
    }
    struct weir_txn_request *asked = ask(request, WEIR_TXN_ADD_GROUP, message->transactional_id, on_group_added);
    if (!asked)
        return;
    asked->producer_id = message->producer_id;
    asked->producer_epoch = message->producer_epoch;
    asked->group = weir_kafka_in(message->group_id);
    weir_txn_request_send(request->local->part, asked);
}

static void on_ended(struct weir_part *part, struct weir_txn_request *asked)
{
    (void)part;
    struct weir_kafka_request *request = asked->context;
    struct weir_kafka_end_txn_response response;
    weir_kafka_defaults(&weir_kafka_end_txn_response_message, &response);
    response.error_code = error_of(asked, request->head.version >= 2);
    weir_kafka_respond(request, &response);
}

void weir_kafka_end_txn(struct weir_kafka_request *request)
{
    const struct weir_kafka_end_txn_request *message = request->message;
    struct weir_txn_request *asked = ask(request, WEIR_TXN_END, message->transactional_id, on_ended);
    if (!asked)
        return;
    asked->producer_id = message->producer_id;
    asked->producer_epoch = message->producer_epoch;
    asked->commit = message->committed;
    weir_txn_request_send(request->local->part, asked);
}

/* ---- TxnOffsetCommit ---- */

static int16_t offset_error(struct weir_kafka_request *request, struct weir_kafka_string topic,
                            const struct weir_kafka_txn_offset_commit_request_partition *partition, int16_t error)
{
    if (error != WEIR_KAFKA_NONE)
        return error;
    if (!topic_of(request, topic, partition->partition_index))
        return WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    return partition->committed_metadata.byte_count > METADATA_BYTES_MAX ? WEIR_KAFKA_OFFSET_METADATA_TOO_LARGE : WEIR_KAFKA_NONE;
}

static void on_staged(struct weir_part *part, struct weir_txn_request *asked)
{
    (void)part;
    struct weir_kafka_request *request = asked->context;
    const struct weir_kafka_txn_offset_commit_request *message = request->message;
    const struct weir_kafka_txn_offset_commit_request_topic *topics = message->topics.items;
    int16_t error = error_of(asked, false);
    struct weir_kafka_txn_offset_commit_response response;
    weir_kafka_defaults(&weir_kafka_txn_offset_commit_response_message, &response);
    struct weir_kafka_txn_offset_commit_response_topic *answered = weir_kafka_items(
        &request->arena, &weir_kafka_txn_offset_commit_response_topic_message, message->topics.count, &response.topics);
    for (uint32_t i = 0; i < message->topics.count && answered; i++) {
        const struct weir_kafka_txn_offset_commit_request_partition *partitions = topics[i].partitions.items;
        struct weir_kafka_txn_offset_commit_response_partition *results =
            weir_kafka_items(&request->arena, &weir_kafka_txn_offset_commit_response_partition_message, topics[i].partitions.count,
                             &answered[i].partitions);
        answered[i].name = topics[i].name;
        for (uint32_t j = 0; j < topics[i].partitions.count && results; j++) {
            results[j].partition_index = partitions[j].partition_index;
            results[j].error_code = offset_error(request, topics[i].name, &partitions[j], error);
        }
    }
    weir_kafka_respond(request, &response);
}

static void fill_entries(struct weir_kafka_request *request, struct weir_txn_request *asked)
{
    const struct weir_kafka_txn_offset_commit_request *message = request->message;
    const struct weir_kafka_txn_offset_commit_request_topic *topics = message->topics.items;
    for (uint32_t i = 0; i < message->topics.count; i++) {
        const struct weir_kafka_txn_offset_commit_request_partition *partitions = topics[i].partitions.items;
        for (uint32_t j = 0; j < topics[i].partitions.count; j++) {
            if (offset_error(request, topics[i].name, &partitions[j], WEIR_KAFKA_NONE) != WEIR_KAFKA_NONE)
                continue;
            asked->entries[asked->entry_count++] = (struct weir_commit_entry){
                .topic = weir_kafka_in(topics[i].name),
                .partition = (uint32_t)partitions[j].partition_index,
                .offset = partitions[j].committed_offset,
                .leader_epoch = partitions[j].committed_leader_epoch,
                .metadata = weir_kafka_in(partitions[j].committed_metadata),
                .result = WEIR_GROUP_OK,
            };
        }
    }
}

void weir_kafka_txn_offset_commit(struct weir_kafka_request *request)
{
    const struct weir_kafka_txn_offset_commit_request *message = request->message;
    const struct weir_kafka_txn_offset_commit_request_topic *topics = message->topics.items;
    uint32_t count = 0;
    for (uint32_t i = 0; i < message->topics.count; i++)
        count += topics[i].partitions.count;
    struct weir_txn_request *asked = ask(request, WEIR_TXN_STAGE, message->transactional_id, on_staged);
    if (!asked)
        return;
    asked->entries = weir_kafka_arena_take(&request->arena, (count ? count : 1) * sizeof *asked->entries);
    if (!asked->entries) {
        weir_kafka_fail(request, "no memory for a request");
        return;
    }
    fill_entries(request, asked);
    asked->producer_id = message->producer_id;
    asked->producer_epoch = message->producer_epoch;
    asked->group = weir_kafka_in(message->group_id);
    asked->generation = message->generation_id_or_member_epoch;
    asked->member_id = weir_kafka_in(message->member_id);
    asked->instance = weir_kafka_in(message->group_instance_id);
    weir_txn_request_send(request->local->part, asked);
}
