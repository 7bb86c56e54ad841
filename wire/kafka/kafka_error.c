/* wire/kafka/kafka_error.c - see the header. */
#include "wire/kafka/kafka_error.h"

int16_t weir_kafka_error_of_kept(enum weir_kept_result result)
{
    switch (result) {
    case WEIR_KEPT_DONE:
        return WEIR_KAFKA_NONE;
    case WEIR_KEPT_UNKNOWN:
        return WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    case WEIR_KEPT_TOO_LARGE:
        return WEIR_KAFKA_MESSAGE_TOO_LARGE;
    case WEIR_KEPT_CORRUPT:
        return WEIR_KAFKA_CORRUPT_MESSAGE;
    case WEIR_KEPT_INVALID:
        return WEIR_KAFKA_INVALID_RECORD;
    case WEIR_KEPT_OUT_OF_ORDER:
        return WEIR_KAFKA_OUT_OF_ORDER_SEQUENCE;
    case WEIR_KEPT_STALE_EPOCH:
        return WEIR_KAFKA_INVALID_PRODUCER_EPOCH;
    case WEIR_KEPT_OUT_OF_RANGE:
        return WEIR_KAFKA_OFFSET_OUT_OF_RANGE;
    case WEIR_KEPT_NO_TRANSACTION:
        return WEIR_KAFKA_INVALID_TXN_STATE;
    case WEIR_KEPT_NOT_WRITTEN:
        return WEIR_KAFKA_STORAGE_ERROR;
    case WEIR_KEPT_LOADING: /* clients try again */
        return WEIR_KAFKA_LEADER_NOT_AVAILABLE;
    case WEIR_KEPT_BUSY:
        return WEIR_KAFKA_REQUEST_TIMED_OUT;
    }
    return WEIR_KAFKA_UNKNOWN_SERVER_ERROR;
}

int16_t weir_kafka_error_of_catalog(enum weir_catalog_result result)
{
    switch (result) {
    case WEIR_CATALOG_DONE:
        return WEIR_KAFKA_NONE;
    case WEIR_CATALOG_EXISTS:
        return WEIR_KAFKA_TOPIC_ALREADY_EXISTS;
    case WEIR_CATALOG_UNKNOWN:
        return WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    case WEIR_CATALOG_BAD_NAME:
        return WEIR_KAFKA_INVALID_TOPIC;
    case WEIR_CATALOG_BAD_COUNT:
        return WEIR_KAFKA_INVALID_PARTITIONS;
    case WEIR_CATALOG_BAD_CONFIG:
        return WEIR_KAFKA_INVALID_CONFIG;
    case WEIR_CATALOG_NOT_WRITTEN:
        return WEIR_KAFKA_STORAGE_ERROR;
    }
    return WEIR_KAFKA_UNKNOWN_SERVER_ERROR;
}

int16_t weir_kafka_error_of_group(enum weir_group_result result)
{
    switch (result) {
    case WEIR_GROUP_OK:
        return WEIR_KAFKA_NONE;
    case WEIR_GROUP_BAD_ID:
        return WEIR_KAFKA_INVALID_GROUP_ID;
    case WEIR_GROUP_BAD_TIMEOUT:
        return WEIR_KAFKA_INVALID_SESSION_TIMEOUT;
    case WEIR_GROUP_INCONSISTENT:
        return WEIR_KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    case WEIR_GROUP_UNKNOWN_MEMBER:
        return WEIR_KAFKA_UNKNOWN_MEMBER_ID;
    case WEIR_GROUP_ILLEGAL_GENERATION:
        return WEIR_KAFKA_ILLEGAL_GENERATION;
    case WEIR_GROUP_REBALANCING:
        return WEIR_KAFKA_REBALANCE_IN_PROGRESS;
    case WEIR_GROUP_FENCED:
        return WEIR_KAFKA_FENCED_INSTANCE_ID;
    case WEIR_GROUP_ID_REQUIRED:
        return WEIR_KAFKA_MEMBER_ID_REQUIRED;
    case WEIR_GROUP_FULL:
        return WEIR_KAFKA_GROUP_MAX_SIZE_REACHED;
    case WEIR_GROUP_NOT_EMPTY:
        return WEIR_KAFKA_NON_EMPTY_GROUP;
    case WEIR_GROUP_NOT_FOUND:
        return WEIR_KAFKA_GROUP_ID_NOT_FOUND;
    case WEIR_GROUP_LOADING:
        return WEIR_KAFKA_COORDINATOR_LOADING;
    case WEIR_GROUP_UNSTABLE:
        return WEIR_KAFKA_UNSTABLE_OFFSET_COMMIT;
    case WEIR_GROUP_NOT_WRITTEN:
        return WEIR_KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    return WEIR_KAFKA_UNKNOWN_SERVER_ERROR;
}
