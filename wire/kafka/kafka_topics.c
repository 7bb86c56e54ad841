/*
 * wire/kafka/kafka_topics.c - CreateTopics, DeleteTopics, CreatePartitions.
 *
 * Each topic of a request is a change of the catalog (broker/catalog.h), all are sent at once, and the answer comes when the last is done: so
 * whoever was told "created" finds the topic on every connection. What one node cannot do (replicas elsewhere) is refused here.
 *
 *     for each topic: checked, next_change -> weir_catalog_change ... on_done -> answer       the last one: respond
 *
 * Proof: tests/wire/kafka/kafka_session_test.c.
 */
#include <string.h>

#include "wire/kafka/kafka_body.h"
#include "wire/kafka/kafka_handlers.h"

struct item { /* a topic */
    struct weir_catalog_change change;
    void *answer; /* its struct in the body */
};

struct changes {
    uint32_t away;
    uint32_t used;
    bool whole; /* nothing was left out for want of memory */
    void *body;
    void (*answer)(struct weir_kafka_request *request, struct item *item);
    struct item items[];
};

/* ---- changes ---- */

static void let_go(struct weir_kafka_request *request)
{
    struct changes *changes = request->state;
    if (--changes->away > 0)
        return;
    for (uint32_t i = 0; i < changes->used && changes->whole; i++)
        changes->answer(request, &changes->items[i]);
    weir_kafka_finish(request, changes->body, changes->whole);
}

static void on_done(struct weir_part *part, struct weir_catalog_change *change)
{
    (void)part;
    let_go(change->context);
}

/* NULL: the arena is used up, and the request is over. */
static struct changes *begin(struct weir_kafka_request *request, uint32_t count,
                             void (*answer)(struct weir_kafka_request *request, struct item *item))
{
    struct changes *changes = weir_kafka_arena_take(&request->arena,
                                                    sizeof *changes + count * sizeof(struct item));
    if (changes)
        changes->body = weir_kafka_body(request);
    if (!changes || !changes->body) {
        weir_kafka_fail(request, "no memory for a request");
        return NULL;
    }
    changes->away = 1; /* us */
    changes->answer = answer;
    request->state = changes;
    return changes;
}

/* A change of the topic of that name, which is one that a topic can have. To be sent. */
static struct weir_catalog_change *next_change(struct weir_kafka_request *request,
                                               enum weir_catalog_verb verb,
                                               struct weir_kafka_string name, void *answer)
{
    struct changes *changes = request->state;
    struct item *item = &changes->items[changes->used++];
    item->answer = answer;
    item->change.verb = verb;
    item->change.done = on_done;
    item->change.context = request;
    if (name.byte_count > 0)
        memcpy(item->change.name, name.bytes, name.byte_count);
    item->change.name_bytes = name.byte_count;
    return &item->change;
}

static void send_change(struct weir_kafka_request *request, struct weir_catalog_change *change)
{
    struct changes *changes = request->state;
    changes->away++;
    weir_catalog_change(request->local->part, change);
}

static struct weir_kafka_string reason_of(const struct weir_catalog_change *change)
{
    if (change->result == WEIR_CATALOG_DONE || !change->why[0])
        return (struct weir_kafka_string){0};
    return weir_kafka_text(change->why);
}

/* ---- CreateTopics ---- */

static void answer_created(struct weir_kafka_request *request, struct item *item)
{
    (void)request;
    struct weir_kafka_create_topics_response_topic *answer = item->answer;
    answer->error_code = weir_kafka_error_of_catalog(item->change.result);
    answer->error_message = reason_of(&item->change);
    if (item->change.result != WEIR_CATALOG_DONE)
        return;
    memcpy(answer->topic_id.bytes, item->change.id.bytes, sizeof answer->topic_id.bytes);
    answer->num_partitions = (int32_t)item->change.partition_count;
    answer->replication_factor = 1;
}

static int16_t refuse(struct weir_kafka_string *message_out, int16_t error, const char *why)
{
    *message_out = weir_kafka_text(why);
    return error;
}

static bool is_this_node(const struct weir_kafka_array *broker_ids)
{
    return broker_ids->count == 1 && *(const int32_t *)broker_ids->items == WEIR_KAFKA_NODE_ID;
}

/* Every partition from 0 on once, each here. */
static bool assignments_fit(struct weir_kafka_request *request,
                            const struct weir_kafka_array *assignments)
{
    const struct weir_kafka_create_topics_request_assignment *items = assignments->items;
    bool *seen = weir_kafka_arena_take(&request->arena, assignments->count);
    for (uint32_t i = 0; seen && i < assignments->count; i++) {
        int32_t partition = items[i].partition_index;
        if (partition < 0 || (uint32_t)partition >= assignments->count || seen[partition] ||
            !is_this_node(&items[i].broker_ids))
            return false;
        seen[partition] = true;
    }
    return seen != NULL;
}

static int16_t check_shape(struct weir_kafka_request *request,
                           const struct weir_kafka_create_topics_request_topic *asked,
                           struct weir_kafka_string *why)
{
    if (asked->assignments.count > 0) {
        if (asked->num_partitions != -1 || asked->replication_factor != -1)
            return refuse(why, WEIR_KAFKA_INVALID_REQUEST,
                          "partitions are counted or assigned, not both");
        if (!assignments_fit(request, &asked->assignments))
            return refuse(why, WEIR_KAFKA_INVALID_REPLICA_ASSIGNMENT,
                          "there is one node, and it is 1");
        return WEIR_KAFKA_NONE;
    }
    if (asked->num_partitions != -1 && asked->num_partitions <= 0)
        return refuse(why, WEIR_KAFKA_INVALID_PARTITIONS,
                      "partitions: 1 or more, or -1 for the default");
    if (asked->replication_factor != -1 && asked->replication_factor != 1)
        return refuse(why, WEIR_KAFKA_INVALID_REPLICATION_FACTOR,
                      "there is one node: replication factor 1, or -1");
    return WEIR_KAFKA_NONE;
}

static int16_t read_configs(struct weir_kafka_request *request,
                            const struct weir_kafka_array *configs,
                            struct weir_topic_config *config_out, struct weir_kafka_string *why)
{
    const struct weir_kafka_create_topics_request_config *items = configs->items;
    for (uint32_t i = 0; i < configs->count; i++) {
        const struct weir_config_entry *entry = weir_config_find(items[i].name.bytes,
                                                                 items[i].name.byte_count);
        if (entry && items[i].value.bytes &&
            weir_config_parse(entry, items[i].value.bytes, items[i].value.byte_count, config_out))
            continue;
        *why = weir_kafka_print(request,
                                entry ? "%.*s cannot have that value"
                                      : "%.*s is not a setting of a topic here",
                                (int)items[i].name.byte_count, items[i].name.bytes);
        return WEIR_KAFKA_INVALID_CONFIG;
    }
    return WEIR_KAFKA_NONE;
}

static int16_t check_create(struct weir_kafka_request *request,
                            const struct weir_kafka_create_topics_request_topic *asked,
                            struct weir_topic_config *config_out, struct weir_kafka_string *why)
{
    weir_topic_unset(config_out);
    if (!weir_kafka_ready(request))
        return refuse(why, WEIR_KAFKA_NOT_CONTROLLER, "the data directory is being opened");
    if (!weir_topic_name_legal(asked->name.bytes, asked->name.byte_count))
        return refuse(why, WEIR_KAFKA_INVALID_TOPIC,
                      "1 to 249 of letters, digits, '.', '_' and '-', but not . or ..");
    int16_t error = check_shape(request, asked, why);
    return error ? error : read_configs(request, &asked->configs, config_out, why);
}

static void create(struct weir_kafka_request *request,
                   const struct weir_kafka_create_topics_request_topic *asked,
                   struct weir_kafka_create_topics_response_topic *answer)
{
    const struct weir_kafka_create_topics_request *message = request->message;
    struct weir_topic_config config;
    answer->name = asked->name;
    answer->error_message = (struct weir_kafka_string){0};
    answer->error_code = check_create(request, asked, &config, &answer->error_message);
    if (answer->error_code)
        return;
    struct weir_catalog_change *change = next_change(request, WEIR_CATALOG_CREATE, asked->name,
                                                     answer);
    change->config = config;
    change->only_check = message->validate_only;
    if (asked->assignments.count > 0)
        change->partition_count = asked->assignments.count;
    else
        change->partition_count = asked->num_partitions == -1 ? 0 : (uint32_t)asked->num_partitions;
    send_change(request, change);
}

void weir_kafka_create_topics(struct weir_kafka_request *request)
{
    const struct weir_kafka_create_topics_request *message = request->message;
    const struct weir_kafka_create_topics_request_topic *topics = message->topics.items;
    struct changes *changes = begin(request, message->topics.count, answer_created);
    if (!changes)
        return;
    struct weir_kafka_create_topics_response *body = changes->body;
    struct weir_kafka_create_topics_response_topic *answers = weir_kafka_items(
        &request->arena, &weir_kafka_create_topics_response_topic_message, message->topics.count,
        &body->topics);
    changes->whole = answers != NULL;
    for (uint32_t i = 0; answers && i < message->topics.count; i++)
        create(request, &topics[i], &answers[i]);
    let_go(request);
}

/* ---- DeleteTopics: by name, from version 6 on by id as well ---- */

static void answer_deleted(struct weir_kafka_request *request, struct item *item)
{
    struct weir_kafka_delete_topics_response_topic *answer = item->answer;
    bool by_id = item->change.name_bytes == 0;
    (void)request;
    answer->error_code = weir_kafka_error_of_catalog(item->change.result);
    answer->error_message = reason_of(&item->change);
    if (item->change.result == WEIR_CATALOG_UNKNOWN && by_id)
        answer->error_code = WEIR_KAFKA_UNKNOWN_TOPIC_ID;
    if (item->change.result == WEIR_CATALOG_DONE)
        memcpy(answer->topic_id.bytes, item->change.id.bytes, sizeof answer->topic_id.bytes);
}

static void delete_one(struct weir_kafka_request *request, struct weir_kafka_string name,
                       const struct weir_kafka_uuid *id,
                       struct weir_kafka_delete_topics_response_topic *answer)
{
    const struct weir_kept_topic *topic = NULL;
    answer->name = name;
    if (name.bytes) {
        topic = weir_kafka_topic(request, name, &answer->error_code);
        if (answer->error_code == WEIR_KAFKA_INVALID_TOPIC)
            answer->error_code = WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    } else {
        answer->topic_id = *id;
        topic = weir_kafka_topic_of_id(request, id, &answer->error_code);
    }
    if (!weir_kafka_ready(request))
        answer->error_code = WEIR_KAFKA_NOT_CONTROLLER;
    if (!topic)
        return;
    struct weir_kafka_string found = {topic->name, topic->name_bytes};
    struct weir_catalog_change *change = next_change(request, WEIR_CATALOG_DELETE, found, answer);
    if (!name.bytes) { /* the answer names it, and the catalog may forget it before */
        answer->name = weir_kafka_text(change->name);
        change->name_bytes = 0;
        change->id = topic->id;
    }
    send_change(request, change);
}

static void delete_asked(struct weir_kafka_request *request,
                         const struct weir_kafka_delete_topics_request_topic *asked,
                         struct weir_kafka_delete_topics_response_topic *answer)
{
    static const struct weir_kafka_uuid none;
    bool has_id = memcmp(&asked->topic_id, &none, sizeof none) != 0;
    if (has_id == (asked->name.bytes != NULL)) {
        answer->name = asked->name;
        answer->topic_id = asked->topic_id;
        answer->error_code = WEIR_KAFKA_INVALID_REQUEST;
        answer->error_message = weir_kafka_text("a topic is named or identified: one of both");
        return;
    }
    delete_one(request, asked->name, &asked->topic_id, answer);
}

void weir_kafka_delete_topics(struct weir_kafka_request *request)
{
    const struct weir_kafka_delete_topics_request *message = request->message;
    const struct weir_kafka_delete_topics_request_topic *topics = message->topics.items;
    const struct weir_kafka_string *names = message->topic_names.items;
    bool by_id = request->head.version >= 6;
    uint32_t count = by_id ? message->topics.count : message->topic_names.count;
    struct changes *changes = begin(request, count, answer_deleted);
    if (!changes)
        return;
    struct weir_kafka_delete_topics_response *body = changes->body;
    struct weir_kafka_delete_topics_response_topic *answers = weir_kafka_items(
        &request->arena, &weir_kafka_delete_topics_response_topic_message, count, &body->responses);
    changes->whole = answers != NULL;
    for (uint32_t i = 0; answers && i < count; i++) {
        if (by_id)
            delete_asked(request, &topics[i], &answers[i]);
        else
            delete_one(request, names[i], NULL, &answers[i]);
    }
    let_go(request);
}

/* ---- CreatePartitions ---- */

static void answer_grown(struct weir_kafka_request *request, struct item *item)
{
    (void)request;
    struct weir_kafka_create_partitions_response_result *answer = item->answer;
    answer->error_code = weir_kafka_error_of_catalog(item->change.result);
    answer->error_message = reason_of(&item->change);
}

static int16_t check_grow(struct weir_kafka_request *request,
                          const struct weir_kafka_create_partitions_request_topic *asked,
                          struct weir_kafka_string *why)
{
    const struct weir_kafka_create_partitions_request_assignment *assignments = asked->assignments
                                                                                    .items;
    int16_t error;
    const struct weir_kept_topic *topic = weir_kafka_topic(request, asked->name, &error);
    if (!weir_kafka_ready(request))
        return refuse(why, WEIR_KAFKA_NOT_CONTROLLER, "the data directory is being opened");
    if (!topic)
        return error;
    if (asked->count <= 0 || (uint32_t)asked->count <= topic->partition_count)
        return refuse(why, WEIR_KAFKA_INVALID_PARTITIONS, "a topic can only grow");
    if (!assignments)
        return WEIR_KAFKA_NONE;
    bool fits = asked->assignments.count == (uint32_t)asked->count - topic->partition_count;
    for (uint32_t i = 0; fits && i < asked->assignments.count; i++)
        fits = is_this_node(&assignments[i].broker_ids);
    return fits ? WEIR_KAFKA_NONE
                : refuse(why, WEIR_KAFKA_INVALID_REPLICA_ASSIGNMENT,
                         "one assignment for each new partition, to node 1");
}

void weir_kafka_create_partitions(struct weir_kafka_request *request)
{
    const struct weir_kafka_create_partitions_request *message = request->message;
    const struct weir_kafka_create_partitions_request_topic *topics = message->topics.items;
    struct changes *changes = begin(request, message->topics.count, answer_grown);
    if (!changes)
        return;
    struct weir_kafka_create_partitions_response *body = changes->body;
    struct weir_kafka_create_partitions_response_result *answers = weir_kafka_items(
        &request->arena, &weir_kafka_create_partitions_response_result_message,
        message->topics.count, &body->results);
    changes->whole = answers != NULL;
    for (uint32_t i = 0; answers && i < message->topics.count; i++) {
        answers[i].name = topics[i].name;
        answers[i].error_code = check_grow(request, &topics[i], &answers[i].error_message);
        if (answers[i].error_code)
            continue;
        struct weir_catalog_change *change = next_change(request, WEIR_CATALOG_GROW, topics[i].name,
                                                         &answers[i]);
        change->partition_count = (uint32_t)topics[i].count;
        change->only_check = message->validate_only;
        send_change(request, change);
    }
    let_go(request);
}
