/*
 * wire/kafka/kafka_metadata.c - Metadata and DescribeCluster: which topics there are, and that all of it is here.
 *
 * A topic that is asked for by name and is not there is made, when the node and the client both allow it, before the answer: an answer
 * without a leader would only make the client ask again. A live topic (broker/broker.h) is not one of Kafka's.
 * Proof: tests/wire/kafka/kafka_session_test.c.
 */
#include <string.h>

#include "broker/kept.h"
#include "wire/kafka/kafka_body.h"
#include "wire/kafka/kafka_handlers.h"

struct creating {
    uint32_t away;
    struct weir_catalog_change changes[];
};

static void answer(struct weir_kafka_request *request);

/* ---- topics that are not there yet ---- */

static bool may_create(const struct weir_kafka_request *request)
{
    const struct weir_kafka_metadata_request *asked = request->message;
    return weir_kafka_ready(request) && asked->allow_auto_topic_creation &&
           weir_kept_creates_unknown(request->local->part);
}

static bool wants_creation(struct weir_kafka_request *request,
                           const struct weir_kafka_metadata_request_topic *topic)
{
    return topic->name.bytes && weir_topic_name_legal(topic->name.bytes, topic->name.byte_count) &&
           !weir_catalog_find(request->local->part, topic->name.bytes, topic->name.byte_count);
}

static void let_go(struct weir_kafka_request *request)
{
    struct creating *creating = request->state;
    if (--creating->away == 0)
        answer(request);
}

static void on_created(struct weir_part *part, struct weir_catalog_change *change)
{
    (void)part;
    let_go(change->context);
}

static void begin_change(struct weir_kafka_request *request, struct weir_catalog_change *change,
                         struct weir_kafka_string name)
{
    change->verb = WEIR_CATALOG_CREATE;
    memcpy(change->name, name.bytes, name.byte_count);
    change->name_bytes = name.byte_count;
    weir_topic_unset(&change->config);
    change->done = on_created;
    change->context = request;
    weir_catalog_change(request->local->part, change);
}

/* true: the answer comes when all of them are there. */
static bool create_missing(struct weir_kafka_request *request)
{
    const struct weir_kafka_metadata_request *asked = request->message;
    const struct weir_kafka_metadata_request_topic *topics = asked->topics.items;
    uint32_t count = 0;
    for (uint32_t i = 0; i < asked->topics.count; i++)
        count += wants_creation(request, &topics[i]);
    if (count == 0)
        return false;
    struct creating *creating = weir_kafka_arena_take(
        &request->arena, sizeof *creating + count * sizeof(struct weir_catalog_change));
    if (!creating)
        return false;
    request->state = creating;
    creating->away = 1; /* us */
    for (uint32_t i = 0, next = 0; i < asked->topics.count && next < count; i++) {
        if (!wants_creation(request, &topics[i]))
            continue;
        creating->away++;
        begin_change(request, &creating->changes[next++], topics[i].name);
    }
    let_go(request);
    return true;
}

/* ---- the answer ---- */

/* Of every partition: this node. One list serves all. */
static struct weir_kafka_array this_node(struct weir_kafka_request *request)
{
    struct weir_kafka_array nodes = {0};
    int32_t *node = weir_kafka_items(&request->arena, &weir_kafka_I32S_message, 1, &nodes);
    if (node)
        *node = WEIR_KAFKA_NODE_ID;
    return nodes;
}

static bool put_partitions(struct weir_kafka_request *request, uint32_t count,
                           struct weir_kafka_array nodes,
                           struct weir_kafka_metadata_response_topic *to)
{
    struct weir_kafka_metadata_response_partition *partitions = weir_kafka_items(
        &request->arena, &weir_kafka_metadata_response_partition_message, count, &to->partitions);
    for (uint32_t i = 0; partitions && i < count; i++) {
        partitions[i].partition_index = (int32_t)i;
        partitions[i].leader_id = WEIR_KAFKA_NODE_ID;
        partitions[i].leader_epoch = 0;
        partitions[i].replica_nodes = nodes;
        partitions[i].isr_nodes = nodes;
    }
    return partitions != NULL;
}

static bool put_topic(struct weir_kafka_request *request, const struct weir_kept_topic *topic,
                      struct weir_kafka_array nodes, struct weir_kafka_metadata_response_topic *to)
{
    const struct weir_kafka_metadata_request *asked = request->message;
    to->name = (struct weir_kafka_string){topic->name, topic->name_bytes};
    memcpy(to->topic_id.bytes, topic->id.bytes, sizeof to->topic_id.bytes);
    to->is_internal = topic->internal;
    if (asked->include_topic_authorized_operations)
        to->topic_authorized_operations = WEIR_KAFKA_TOPIC_OPERATIONS;
    return put_partitions(request, topic->partition_count, nodes, to);
}

/* One that was asked for, by name or (version 12) by id alone. */
static bool put_asked(struct weir_kafka_request *request,
                      const struct weir_kafka_metadata_request_topic *asked,
                      struct weir_kafka_array nodes, struct weir_kafka_metadata_response_topic *to)
{
    const struct weir_kept_topic *topic = NULL;
    if (asked->name.bytes) {
        topic = weir_kafka_topic(request, asked->name, &to->error_code);
    } else {
        topic = weir_kafka_topic_of_id(request, &asked->topic_id, &to->error_code);
    }
    if (topic)
        return put_topic(request, topic, nodes, to);
    to->name = asked->name;
    to->topic_id = asked->topic_id;
    return true;
}

struct listing {
    struct weir_kafka_request *request;
    struct weir_kafka_metadata_response_topic *next;
    struct weir_kafka_array nodes;
    uint32_t count;
    bool whole;
};

static void count_topic(void *context, const struct weir_kept_topic *topic)
{
    struct listing *listing = context;
    (void)topic;
    listing->count++;
}

static void list_topic(void *context, const struct weir_kept_topic *topic)
{
    struct listing *listing = context;
    listing->whole = listing->whole &&
                     put_topic(listing->request, topic, listing->nodes, listing->next++);
}

static bool put_all(struct weir_kafka_request *request, struct weir_kafka_array nodes,
                    struct weir_kafka_metadata_response *body)
{
    struct listing listing = {.request = request, .nodes = nodes};
    weir_catalog_each(request->local->part, count_topic, &listing);
    listing.next = weir_kafka_items(&request->arena, &weir_kafka_metadata_response_topic_message,
                                    listing.count, &body->topics);
    listing.whole = listing.next != NULL;
    if (listing.whole)
        weir_catalog_each(request->local->part, list_topic, &listing);
    return listing.whole;
}

static bool put_topics(struct weir_kafka_request *request, struct weir_kafka_metadata_response *body)
{
    const struct weir_kafka_metadata_request *asked = request->message;
    const struct weir_kafka_metadata_request_topic *topics = asked->topics.items;
    struct weir_kafka_array nodes = this_node(request);
    if (!nodes.items)
        return false;
    if (!topics || (request->head.version == 0 && asked->topics.count == 0))
        return put_all(request, nodes, body);
    struct weir_kafka_metadata_response_topic *to = weir_kafka_items(
        &request->arena, &weir_kafka_metadata_response_topic_message, asked->topics.count,
        &body->topics);
    bool whole = to != NULL;
    for (uint32_t i = 0; whole && i < asked->topics.count; i++)
        whole = put_asked(request, &topics[i], nodes, &to[i]);
    return whole;
}

static bool put_brokers(struct weir_kafka_request *request,
                        struct weir_kafka_metadata_response *body)
{
    struct weir_kafka_metadata_response_broker *broker = weir_kafka_items(
        &request->arena, &weir_kafka_metadata_response_broker_message, 1, &body->brokers);
    if (!broker)
        return false;
    broker->node_id = WEIR_KAFKA_NODE_ID;
    broker->port = weir_kafka_advertised(request, &broker->host);
    body->controller_id = WEIR_KAFKA_NODE_ID;
    body->cluster_id = weir_kafka_cluster_id(request);
    return true;
}

static void answer(struct weir_kafka_request *request)
{
    const struct weir_kafka_metadata_request *asked = request->message;
    if (!request->session) { /* nobody is there to be told */
        weir_kafka_respond_nothing(request);
        return;
    }
    struct weir_kafka_metadata_response *body = weir_kafka_body(request);
    bool whole = body && put_brokers(request, body) && put_topics(request, body);
    if (whole && asked->include_cluster_authorized_operations)
        body->cluster_authorized_operations = WEIR_KAFKA_CLUSTER_OPERATIONS;
    weir_kafka_finish(request, body, whole);
}

void weir_kafka_metadata(struct weir_kafka_request *request)
{
    if (!may_create(request) || !create_missing(request))
        answer(request);
}

/* ---- DescribeCluster ---- */

enum { ENDPOINT_BROKERS = 1 };

static bool describe(struct weir_kafka_request *request,
                     struct weir_kafka_describe_cluster_response *body)
{
    const struct weir_kafka_describe_cluster_request *asked = request->message;
    struct weir_kafka_describe_cluster_response_broker *broker = weir_kafka_items(
        &request->arena, &weir_kafka_describe_cluster_response_broker_message, 1, &body->brokers);
    if (!broker)
        return false;
    broker->broker_id = WEIR_KAFKA_NODE_ID;
    broker->port = weir_kafka_advertised(request, &broker->host);
    body->cluster_id = weir_kafka_cluster_id(request);
    body->controller_id = WEIR_KAFKA_NODE_ID;
    if (asked->include_cluster_authorized_operations)
        body->cluster_authorized_operations = WEIR_KAFKA_CLUSTER_OPERATIONS;
    return true;
}

void weir_kafka_describe_cluster(struct weir_kafka_request *request)
{
    const struct weir_kafka_describe_cluster_request *asked = request->message;
    struct weir_kafka_describe_cluster_response *body = weir_kafka_body(request);
    if (body && asked->endpoint_type != ENDPOINT_BROKERS) {
        body->error_code = WEIR_KAFKA_INVALID_REQUEST;
        body->error_message = weir_kafka_text("this is a broker, not a controller");
        weir_kafka_finish(request, body, true);
        return;
    }
    weir_kafka_finish(request, body, body && describe(request, body));
}
