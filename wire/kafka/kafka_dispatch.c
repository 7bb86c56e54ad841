/*
 * wire/kafka/kafka_dispatch.c - which function serves which request. What is not here is neither served nor advertised.
 */
#include "wire/kafka/kafka_handlers.h"

enum { KEYS = 70 };

static const weir_kafka_handler handlers[KEYS] = {
    [WEIR_KAFKA_PRODUCE] = weir_kafka_produce,
    [WEIR_KAFKA_FETCH] = weir_kafka_fetch,
    [WEIR_KAFKA_LIST_OFFSETS] = weir_kafka_list_offsets,
    [WEIR_KAFKA_METADATA] = weir_kafka_metadata,
    [WEIR_KAFKA_OFFSET_COMMIT] = weir_kafka_offset_commit,
    [WEIR_KAFKA_OFFSET_FETCH] = weir_kafka_offset_fetch,
    [WEIR_KAFKA_FIND_COORDINATOR] = weir_kafka_find_coordinator,
    [WEIR_KAFKA_JOIN_GROUP] = weir_kafka_join_group,
    [WEIR_KAFKA_HEARTBEAT] = weir_kafka_heartbeat,
    [WEIR_KAFKA_LEAVE_GROUP] = weir_kafka_leave_group,
    [WEIR_KAFKA_SYNC_GROUP] = weir_kafka_sync_group,
    [WEIR_KAFKA_DESCRIBE_GROUPS] = weir_kafka_describe_groups,
    [WEIR_KAFKA_LIST_GROUPS] = weir_kafka_list_groups,
    [WEIR_KAFKA_SASL_HANDSHAKE] = weir_kafka_sasl_handshake,
    [WEIR_KAFKA_API_VERSIONS] = weir_kafka_api_versions,
    [WEIR_KAFKA_CREATE_TOPICS] = weir_kafka_create_topics,
    [WEIR_KAFKA_DELETE_TOPICS] = weir_kafka_delete_topics,
    [WEIR_KAFKA_DELETE_RECORDS] = weir_kafka_delete_records,
    [WEIR_KAFKA_INIT_PRODUCER_ID] = weir_kafka_init_producer_id,
    [WEIR_KAFKA_OFFSET_FOR_LEADER_EPOCH] = weir_kafka_offset_for_leader_epoch,
    [WEIR_KAFKA_ADD_PARTITIONS_TO_TXN] = weir_kafka_add_partitions_to_txn,
    [WEIR_KAFKA_ADD_OFFSETS_TO_TXN] = weir_kafka_add_offsets_to_txn,
    [WEIR_KAFKA_END_TXN] = weir_kafka_end_txn,
    [WEIR_KAFKA_TXN_OFFSET_COMMIT] = weir_kafka_txn_offset_commit,
    [WEIR_KAFKA_DESCRIBE_CONFIGS] = weir_kafka_describe_configs,
    [WEIR_KAFKA_SASL_AUTHENTICATE] = weir_kafka_sasl_authenticate,
    [WEIR_KAFKA_CREATE_PARTITIONS] = weir_kafka_create_partitions,
    [WEIR_KAFKA_DELETE_GROUPS] = weir_kafka_delete_groups,
    [WEIR_KAFKA_INCREMENTAL_ALTER_CONFIGS] = weir_kafka_incremental_alter_configs,
    [WEIR_KAFKA_OFFSET_DELETE] = weir_kafka_offset_delete,
    [WEIR_KAFKA_DESCRIBE_CLUSTER] = weir_kafka_describe_cluster,
};

weir_kafka_handler weir_kafka_handler_of(int16_t key)
{
    return key >= 0 && key < KEYS ? handlers[key] : NULL;
}

bool weir_kafka_served(const struct weir_kafka_server *server, int16_t key)
{
    bool login = key == WEIR_KAFKA_SASL_HANDSHAKE || key == WEIR_KAFKA_SASL_AUTHENTICATE;
    return weir_kafka_handler_of(key) && (!login || server->logins);
}
