/*
 * wire/kafka/kafka_handlers.h - a function for each request that is served: see kafka_dispatch.c.
 */
#ifndef WEIR_WIRE_KAFKA_KAFKA_HANDLERS_H
#define WEIR_WIRE_KAFKA_KAFKA_HANDLERS_H

#include "wire/kafka/kafka_request.h"

/* kafka_api_versions.c */
void weir_kafka_api_versions(struct weir_kafka_request *request);
/* kafka_metadata.c */
void weir_kafka_metadata(struct weir_kafka_request *request);
void weir_kafka_describe_cluster(struct weir_kafka_request *request);
/* kafka_produce.c */
void weir_kafka_produce(struct weir_kafka_request *request);
/* kafka_fetch.c */
void weir_kafka_fetch(struct weir_kafka_request *request);
/* kafka_list_offsets.c */
void weir_kafka_list_offsets(struct weir_kafka_request *request);
void weir_kafka_offset_for_leader_epoch(struct weir_kafka_request *request);
void weir_kafka_delete_records(struct weir_kafka_request *request);
/* kafka_topics.c */
void weir_kafka_create_topics(struct weir_kafka_request *request);
void weir_kafka_delete_topics(struct weir_kafka_request *request);
void weir_kafka_create_partitions(struct weir_kafka_request *request);
/* kafka_configs.c */
void weir_kafka_describe_configs(struct weir_kafka_request *request);
void weir_kafka_incremental_alter_configs(struct weir_kafka_request *request);
/* kafka_group.c */
void weir_kafka_join_group(struct weir_kafka_request *request);
void weir_kafka_sync_group(struct weir_kafka_request *request);
void weir_kafka_heartbeat(struct weir_kafka_request *request);
void weir_kafka_leave_group(struct weir_kafka_request *request);
/* kafka_offsets.c */
void weir_kafka_offset_commit(struct weir_kafka_request *request);
void weir_kafka_offset_fetch(struct weir_kafka_request *request);
void weir_kafka_offset_delete(struct weir_kafka_request *request);
/* kafka_group_admin.c */
void weir_kafka_find_coordinator(struct weir_kafka_request *request);
void weir_kafka_describe_groups(struct weir_kafka_request *request);
void weir_kafka_list_groups(struct weir_kafka_request *request);
void weir_kafka_delete_groups(struct weir_kafka_request *request);
void weir_kafka_init_producer_id(struct weir_kafka_request *request);
/* kafka_txn.c */
void weir_kafka_init_transaction(struct weir_kafka_request *request); /* InitProducerId with a transactional id */
void weir_kafka_add_partitions_to_txn(struct weir_kafka_request *request);
void weir_kafka_add_offsets_to_txn(struct weir_kafka_request *request);
void weir_kafka_end_txn(struct weir_kafka_request *request);
void weir_kafka_txn_offset_commit(struct weir_kafka_request *request);
/* kafka_sasl.c */
void weir_kafka_sasl_handshake(struct weir_kafka_request *request);
void weir_kafka_sasl_authenticate(struct weir_kafka_request *request);

#endif
