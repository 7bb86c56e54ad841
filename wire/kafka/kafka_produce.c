/*
 * wire/kafka/kafka_produce.c - Produce: each partition's batch goes to its owner; one answer when all are durable.
 *
 * acks 1 and all mean the same on one node: the topic's own level. acks 0 gets no answer, and an error closes the connection.
 * Proof: tests/clients/kafka_*.
 */
#include "wire/kafka/kafka_handlers.h"
#include "wire/kafka/kafka_messages.h"

enum { FIRST_SERVED = 3, FIRST_WITH_ZSTD = 7, CODEC_ZSTD = 4, PARTITIONS_MAX = 20000 };

struct item { /* one partition */
    struct weir_kept_append append;
    int16_t error;
};

struct produce {
    struct weir_kafka_request *request;
    uint32_t left;
    uint32_t count;
    struct item items[];
};

static void respond_silently(struct weir_kafka_request *request, const struct produce *produce)
{
    for (uint32_t i = 0; i < produce->count; i++)
        if (produce->items[i].error != WEIR_KAFKA_NONE) {
            weir_kafka_fail(request, "a record that could not be taken, of a producer that wants no answer");
            return;
        }
    weir_kafka_respond_nothing(request);
}

static void respond(struct weir_kafka_request *request, const struct produce *produce)
{
    const struct weir_kafka_produce_request *message = request->message;
    const struct weir_kafka_produce_request_topic *topics = message->topic_data.items;
    const struct item *item = produce->items;
    struct weir_kafka_produce_response response;
    weir_kafka_defaults(&weir_kafka_produce_response_message, &response);
    struct weir_kafka_produce_response_topic *answered =
        weir_kafka_items(&request->arena, &weir_kafka_produce_response_topic_message, message->topic_data.count, &response.responses);
    for (uint32_t i = 0; i < message->topic_data.count && answered; i++) {
        const struct weir_kafka_produce_request_partition *partitions = topics[i].partition_data.items;
        uint32_t count = topics[i].partition_data.count;
        struct weir_kafka_produce_response_partition *results =
            weir_kafka_items(&request->arena, &weir_kafka_produce_response_partition_message, count, &answered[i].partition_responses);
        answered[i].name = topics[i].name;
        for (uint32_t j = 0; j < count && results; j++, item++) {
            bool fine = item->error == WEIR_KAFKA_NONE;
            results[j].index = partitions[j].index;
            results[j].error_code = item->error;
            results[j].base_offset = fine ? (int64_t)item->append.base_offset : -1;
            results[j].log_append_time_ms = fine ? item->append.append_ms : -1;
            results[j].log_start_offset = fine ? (int64_t)item->append.start_offset : -1;
        }
    }
    weir_kafka_respond(request, &response);
}

static void one_less(struct produce *produce)
{
    struct weir_kafka_request *request = produce->request;
    const struct weir_kafka_produce_request *message = request->message;
    if (--produce->left > 0)
        return;
    if (message->acks == 0)
        respond_silently(request, produce);
    else
        respond(request, produce);
}

static void on_appended(struct weir_part *part, struct weir_kept_append *append)
{
    (void)part;
    struct produce *produce = append->context;
    struct item *item = WEIR_CONTAINER(append, struct item, append);
    item->error = weir_kafka_error_of_kept(append->result);
    if (append->result == WEIR_KEPT_DONE) {
        produce->request->local->counters.produced_records += append->batch.record_count;
        produce->request->local->counters.produced_bytes += append->byte_count;
    }
    one_less(produce);
}

/* What can be said without the partition's owner. */
static int16_t refuse(const struct weir_kafka_request *request, const struct weir_kafka_produce_request_partition *partition,
                      const struct weir_kept_topic *topic)
{
    const struct weir_kafka_produce_request *message = request->message;
    enum weir_kept_result state = weir_kept_state(request->local->part);
    if (message->acks < -1 || message->acks > 1)
        return WEIR_KAFKA_INVALID_REQUIRED_ACKS;
    if (request->head.version < FIRST_SERVED)
        return WEIR_KAFKA_UNSUPPORTED_VERSION;
    if (state != WEIR_KEPT_DONE)
        return weir_kafka_error_of_kept(state);
    if (!topic || partition->index < 0 || (uint32_t)partition->index >= topic->partition_count)
        return WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (!partition->records.bytes || partition->records.byte_count == 0)
        return WEIR_KAFKA_INVALID_RECORD;
    bool zstd = partition->records.byte_count > 22 && (partition->records.bytes[22] & 7) == CODEC_ZSTD;
    return zstd && request->head.version < FIRST_WITH_ZSTD ? WEIR_KAFKA_UNSUPPORTED_COMPRESSION_TYPE : WEIR_KAFKA_NONE;
}

static void append_item(struct produce *produce, struct item *item, const struct weir_kafka_produce_request_partition *partition,
                        const struct weir_kept_topic *topic)
{
    struct weir_kafka_request *request = produce->request;
    const struct weir_kafka_produce_request *message = request->message;
    item->error = refuse(request, partition, topic);
    if (item->error != WEIR_KAFKA_NONE) {
        one_less(produce);
        return;
    }
    item->append.topic = topic->id;
    item->append.partition = (uint32_t)partition->index;
    item->append.bytes = (uint8_t *)(uintptr_t)partition->records.bytes; /* in our own frame */
    item->append.byte_count = partition->records.byte_count;
    item->append.transactional = message->transactional_id.bytes != NULL;
    item->append.done = on_appended;
    item->append.context = produce;
    weir_kept_append(request->local->part, &item->append);
}

void weir_kafka_produce(struct weir_kafka_request *request)
{
    const struct weir_kafka_produce_request *message = request->message;
    const struct weir_kafka_produce_request_topic *topics = message->topic_data.items;
    uint32_t count = 0, next = 0;
    for (uint32_t i = 0; i < message->topic_data.count; i++)
        count += topics[i].partition_data.count;
    struct produce *produce = NULL;
    if (count <= PARTITIONS_MAX)
        produce = weir_kafka_arena_take(&request->arena, sizeof *produce + count * sizeof(struct item));
    if (!produce) {
        weir_kafka_fail(request, "more partitions than a request may name");
        return;
    }
    produce->request = request;
    produce->count = count;
    produce->left = count + 1; /* one for this function: the end comes once */
    for (uint32_t i = 0; i < message->topic_data.count; i++) {
        const struct weir_kafka_produce_request_partition *partitions = topics[i].partition_data.items;
        const struct weir_kept_topic *topic = weir_catalog_find(request->local->part, topics[i].name.bytes, topics[i].name.byte_count);
        for (uint32_t j = 0; j < topics[i].partition_data.count; j++)
            append_item(produce, &produce->items[next++], &partitions[j], topic);
    }
    one_less(produce);
}
