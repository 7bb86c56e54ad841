/*
 * wire/kafka/kafka_api.c - which of Kafka's requests weir speaks, and in which versions.
 *
 * What stands here is advertised. Minimums are a contract: librdkafka up to 2.10 switches features on only where the range holds
 * fixed old versions, so none may rise. Produce begins at 0 for its sake (KAFKA-18659: it would send uncompressed without a word),
 * though below 3 there is only a refusal. Maximums end before topic ids in Produce and Fetch, and before what wants
 * transaction.version 2 (EndTxn 5, TxnOffsetCommit 5). Proof: tests/wire/kafka/kafka_codec_test.c, tests/clients/.
 */
#include "wire/kafka/kafka_messages.h"

#define API(key, name, snake, version_min, version_max, flexible_from)                             \
    {                                                                                              \
        key, version_min, version_max, flexible_from, name, &weir_kafka_##snake##_request_message, \
            &weir_kafka_##snake##_response_message                                                 \
    }
#define NEVER INT16_MAX

const struct weir_kafka_api weir_kafka_apis[] = {
    API(0, "Produce", produce, 0, 11, 9),
    API(1, "Fetch", fetch, 4, 12, 12),
    API(2, "ListOffsets", list_offsets, 1, 9, 6),
    API(3, "Metadata", metadata, 0, 12, 9),
    API(8, "OffsetCommit", offset_commit, 2, 9, 8),
    API(9, "OffsetFetch", offset_fetch, 1, 9, 6),
    API(10, "FindCoordinator", find_coordinator, 0, 6, 3),
    API(11, "JoinGroup", join_group, 0, 9, 6),
    API(12, "Heartbeat", heartbeat, 0, 4, 4),
    API(13, "LeaveGroup", leave_group, 0, 5, 4),
    API(14, "SyncGroup", sync_group, 0, 5, 4),
    API(15, "DescribeGroups", describe_groups, 0, 5, 5),
    API(16, "ListGroups", list_groups, 0, 5, 3),
    API(17, "SaslHandshake", sasl_handshake, 0, 1, NEVER),
    API(18, "ApiVersions", api_versions, 0, 4, 3),
    API(19, "CreateTopics", create_topics, 2, 7, 5),
    API(20, "DeleteTopics", delete_topics, 1, 6, 4),
    API(21, "DeleteRecords", delete_records, 0, 2, 2),
    API(22, "InitProducerId", init_producer_id, 0, 5, 2),
    API(23, "OffsetForLeaderEpoch", offset_for_leader_epoch, 2, 4, 4),
    API(24, "AddPartitionsToTxn", add_partitions_to_txn, 0, 3, 3),
    API(25, "AddOffsetsToTxn", add_offsets_to_txn, 0, 3, 3),
    API(26, "EndTxn", end_txn, 0, 4, 3),
    API(28, "TxnOffsetCommit", txn_offset_commit, 0, 4, 3),
    API(32, "DescribeConfigs", describe_configs, 1, 4, 4),
    API(36, "SaslAuthenticate", sasl_authenticate, 0, 2, 2),
    API(37, "CreatePartitions", create_partitions, 0, 3, 2),
    API(42, "DeleteGroups", delete_groups, 0, 2, 2),
    API(44, "IncrementalAlterConfigs", incremental_alter_configs, 0, 1, 1),
    API(47, "OffsetDelete", offset_delete, 0, 0, NEVER),
    API(60, "DescribeCluster", describe_cluster, 0, 1, 0),
    API(68, "ConsumerGroupHeartbeat", consumer_group_heartbeat, 0, 1, 0),
    API(69, "ConsumerGroupDescribe", consumer_group_describe, 0, 1, 0),
};
const uint32_t weir_kafka_api_count = sizeof weir_kafka_apis / sizeof *weir_kafka_apis;

const struct weir_kafka_api *weir_kafka_api_find(int16_t key)
{
    /* The busy ones come first and stand at their own numbers. */
    if (key >= 0 && key <= WEIR_KAFKA_METADATA)
        return &weir_kafka_apis[key];
    for (uint32_t i = WEIR_KAFKA_METADATA + 1; i < weir_kafka_api_count; i++)
        if (weir_kafka_apis[i].key == key)
            return &weir_kafka_apis[i];
    return NULL;
}
