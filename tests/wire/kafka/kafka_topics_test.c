/*
 * tests/wire/kafka/kafka_topics_test.c - topics as Kafka's clients and tools see them: metadata, made, grown, deleted, set.
 *
 * Each case runs on one reactor with epoll, and on two with whatever the machine has.
 */
#include "kafka_session_fixture.h"

/* ---- Metadata ---- */

/* By name; names NULL: all topics. */
static const struct weir_kafka_metadata_response *metadata(struct client *client, int16_t version,
                                                           const char *const *names, uint32_t count,
                                                           bool create)
{
    struct weir_kafka_metadata_request *request = new_request(client, WEIR_KAFKA_METADATA);
    struct weir_kafka_metadata_request_topic *topics = add_items(
        client, &weir_kafka_metadata_request_topic_message, count, &request->topics);
    if (!names)
        request->topics.items = NULL;
    for (uint32_t i = 0; names && i < count; i++)
        topics[i].name = text(names[i]);
    request->allow_auto_topic_creation = create;
    return call(client, WEIR_KAFKA_METADATA, version, request);
}

static int16_t topic_error(struct client *client, const char *name, bool create)
{
    const struct weir_kafka_metadata_response *answer = metadata(client, 12, &name, 1, create);
    const struct weir_kafka_metadata_response_topic *topic = answer->topics.items;
    assert_int_equal(answer->topics.count, 1);
    expect_text(topic->name, name);
    assert_int_equal(topic->partitions.count > 0, topic->error_code == WEIR_KAFKA_NONE);
    return topic->error_code;
}

static void metadata_names_one_broker_where_the_client_came_to(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    for (uint32_t i = 0; i < f->reactor_count; i++) {
        struct client client = client_open(f);
        for (int16_t version = 0; version <= 12; version++) {
            const struct weir_kafka_metadata_response *answer = metadata(&client, version, NULL, 0,
                                                                         false);
            const struct weir_kafka_metadata_response_broker *broker = answer->brokers.items;
            assert_int_equal(answer->brokers.count, 1);
            assert_int_equal(broker->node_id, WEIR_KAFKA_NODE_ID);
            expect_text(broker->host, "127.0.0.1");
            assert_int_equal(broker->port, f->ports[i]);
            if (version >= 1)
                assert_int_equal(answer->controller_id, broker->node_id);
            if (version >= 2)
                assert_int_equal(answer->cluster_id.byte_count, 22);
        }
        client_close(&client);
    }
    fixture_close(f);
}

static void metadata_names_the_address_that_is_configured(void **state)
{
    struct weir_kafka_settings settings = {.advertise = "broker.example:19092"};
    struct fixture *f = fixture_open(*state, &settings, false);
    struct client client = client_open(f);
    const struct weir_kafka_metadata_response_broker *broker = metadata(&client, 12, NULL, 0, false)
                                                                   ->brokers.items;
    expect_text(broker->host, "broker.example");
    assert_int_equal(broker->port, 19092);
    client_close(&client);
    fixture_close(f);
}

static void no_names_means_all_in_version_0_and_none_later(void **state)
{
    static const char *const none[1];
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    create_topic(&client, "one", 1);
    create_topic(&client, "two", 2);
    assert_int_equal(metadata(&client, 0, none, 0, false)->topics.count, 2);
    for (int16_t version = 1; version <= 12; version++) {
        assert_int_equal(metadata(&client, version, none, 0, false)->topics.count, 0);
        assert_int_equal(metadata(&client, version, NULL, 0, false)->topics.count, 2);
    }
    client_close(&client);
    fixture_close(f);
}

static void a_topic_is_known_everywhere_as_soon_as_it_was_made(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client first = client_open(f), second = client_open(f);
    create_topic(&first, "orders", 3);
    static const char *const names[] = {"orders"};
    const struct weir_kafka_metadata_response_topic *here = metadata(&first, 12, names, 1, false)
                                                                ->topics.items;
    const struct weir_kafka_metadata_response_topic *there = metadata(&second, 12, names, 1, false)
                                                                 ->topics.items;
    assert_int_equal(there->error_code, WEIR_KAFKA_NONE);
    assert_int_equal(there->partitions.count, 3);
    assert_memory_equal(&here->topic_id, &there->topic_id, sizeof here->topic_id);
    const struct weir_kafka_metadata_response_partition *partitions = there->partitions.items;
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(partitions[i].partition_index, i);
        assert_int_equal(partitions[i].leader_id, WEIR_KAFKA_NODE_ID);
        assert_int_equal(partitions[i].leader_epoch, 0);
        assert_int_equal(partitions[i].replica_nodes.count, 1);
        assert_int_equal(partitions[i].offline_replicas.count, 0);
    }
    client_close(&first);
    client_close(&second);
    fixture_close(f);
}

static void a_topic_that_is_not_there_is_made_only_where_both_allow_it(void **state)
{
    for (int node = 0; node < 2; node++) {
        struct fixture *f = fixture_open(*state, NULL, node);
        struct client client = client_open(f);
        static const char *const names[] = {"old"};
        assert_int_equal(topic_error(&client, "a", false), WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        assert_int_equal(topic_error(&client, "a", true),
                         node ? WEIR_KAFKA_NONE : WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        assert_int_equal(topic_error(&client, "not a name", true), WEIR_KAFKA_INVALID_TOPIC);
        assert_int_equal(topic_error(&client, "..", true), WEIR_KAFKA_INVALID_TOPIC);
        assert_int_equal(topic_error(&client, "", true), WEIR_KAFKA_INVALID_TOPIC);
        const struct weir_kafka_metadata_response_topic *old = metadata(&client, 3, names, 1, false)
                                                                   ->topics.items;
        assert_int_equal(old->error_code,
                         node ? WEIR_KAFKA_NONE : WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        client_close(&client);
        fixture_close(f);
    }
}

static void the_same_name_twice_is_made_once(void **state)
{
    static const char *const names[] = {"twin", "twin", "other"};
    struct fixture *f = fixture_open(*state, NULL, true);
    struct client client = client_open(f);
    const struct weir_kafka_metadata_response *answer = metadata(&client, 12, names, 3, true);
    const struct weir_kafka_metadata_response_topic *topics = answer->topics.items;
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(topics[i].error_code, WEIR_KAFKA_NONE);
    assert_memory_equal(&topics[0].topic_id, &topics[1].topic_id, 16);
    assert_int_equal(metadata(&client, 12, NULL, 0, false)->topics.count, 2);
    client_close(&client);
    fixture_close(f);
}

static void a_topic_is_found_by_its_id(void **state)
{
    static const char *const names[] = {"named"};
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    create_topic(&client, "named", 1);
    const struct weir_kafka_metadata_response_topic *found = metadata(&client, 12, names, 1, false)
                                                                 ->topics.items;
    struct weir_kafka_metadata_request *request = new_request(&client, WEIR_KAFKA_METADATA);
    struct weir_kafka_metadata_request_topic *topics = add_items(
        &client, &weir_kafka_metadata_request_topic_message, 2, &request->topics);
    topics[0].name = topics[1].name = (struct weir_kafka_string){0};
    topics[0].topic_id = found->topic_id;
    memset(&topics[1].topic_id, 7, sizeof topics[1].topic_id);
    const struct weir_kafka_metadata_response *answer = call(&client, WEIR_KAFKA_METADATA, 12,
                                                             request);
    const struct weir_kafka_metadata_response_topic *by_id = answer->topics.items;
    expect_text(by_id[0].name, "named");
    assert_int_equal(by_id[1].error_code, WEIR_KAFKA_UNKNOWN_TOPIC_ID);
    assert_null(by_id[1].name.bytes);
    client_close(&client);
    fixture_close(f);
}

static void a_cluster_is_described_as_metadata_does(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    const struct weir_kafka_metadata_response *expected = metadata(&client, 12, NULL, 0, false);
    for (int16_t version = 0; version <= 1; version++) {
        const struct weir_kafka_describe_cluster_response *answer = call(
            &client, WEIR_KAFKA_DESCRIBE_CLUSTER, version,
            new_request(&client, WEIR_KAFKA_DESCRIBE_CLUSTER));
        assert_int_equal(answer->error_code, WEIR_KAFKA_NONE);
        assert_int_equal(answer->cluster_id.byte_count, expected->cluster_id.byte_count);
        assert_memory_equal(answer->cluster_id.bytes, expected->cluster_id.bytes,
                            answer->cluster_id.byte_count);
        assert_int_equal(answer->brokers.count, 1);
    }
    client_close(&client);
    fixture_close(f);
}

/* ---- CreateTopics ---- */

static struct weir_kafka_create_topics_request *creation(struct client *client, const char *name,
                                                         int32_t partitions, int16_t replicas)
{
    struct weir_kafka_create_topics_request *request = new_request(client, WEIR_KAFKA_CREATE_TOPICS);
    struct weir_kafka_create_topics_request_topic *topic = add_items(
        client, &weir_kafka_create_topics_request_topic_message, 1, &request->topics);
    topic->name = text(name);
    topic->num_partitions = partitions;
    topic->replication_factor = replicas;
    return request;
}

static void set_config(struct client *client, struct weir_kafka_create_topics_request *request,
                       const char *name, const char *value)
{
    struct weir_kafka_create_topics_request_topic *topic = request->topics.items;
    struct weir_kafka_create_topics_request_config *config = add_items(
        client, &weir_kafka_create_topics_request_config_message, 1, &topic->configs);
    config->name = text(name);
    config->value = text(value);
}

static int16_t created(struct client *client, const struct weir_kafka_create_topics_request *request)
{
    const struct weir_kafka_create_topics_response *answer = call(client, WEIR_KAFKA_CREATE_TOPICS,
                                                                  7, request);
    const struct weir_kafka_create_topics_response_topic *topic = answer->topics.items;
    assert_non_null(topic->configs.items); /* null kills Java's admin client */
    assert_int_equal(topic->error_message.bytes != NULL, topic->error_code != WEIR_KAFKA_NONE);
    return topic->error_code;
}

static void what_one_node_cannot_be_is_refused(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    assert_int_equal(created(&client, creation(&client, "t", 1, 2)),
                     WEIR_KAFKA_INVALID_REPLICATION_FACTOR);
    assert_int_equal(created(&client, creation(&client, "t", 1, 0)),
                     WEIR_KAFKA_INVALID_REPLICATION_FACTOR);
    assert_int_equal(created(&client, creation(&client, "t", 0, 1)), WEIR_KAFKA_INVALID_PARTITIONS);
    assert_int_equal(created(&client, creation(&client, "t", -2, 1)), WEIR_KAFKA_INVALID_PARTITIONS);
    assert_int_equal(created(&client, creation(&client, "t", 1000000, 1)),
                     WEIR_KAFKA_INVALID_PARTITIONS);
    assert_int_equal(created(&client, creation(&client, "t/u", 1, 1)), WEIR_KAFKA_INVALID_TOPIC);
    struct weir_kafka_create_topics_request *bad = creation(&client, "t", 1, 1);
    set_config(&client, bad, "no.such.setting", "1");
    assert_int_equal(created(&client, bad), WEIR_KAFKA_INVALID_CONFIG);
    bad = creation(&client, "t", 1, 1);
    set_config(&client, bad, "retention.ms", "soon");
    assert_int_equal(created(&client, bad), WEIR_KAFKA_INVALID_CONFIG);
    assert_int_equal(metadata(&client, 12, NULL, 0, false)->topics.count, 0);
    assert_int_equal(created(&client, creation(&client, "t", -1, -1)), WEIR_KAFKA_NONE);
    assert_int_equal(created(&client, creation(&client, "t", 1, 1)),
                     WEIR_KAFKA_TOPIC_ALREADY_EXISTS);
    client_close(&client);
    fixture_close(f);
}

static void a_topic_that_is_only_validated_is_not_made(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    struct weir_kafka_create_topics_request *request = creation(&client, "t", 4, 1);
    request->validate_only = true;
    assert_int_equal(created(&client, request), WEIR_KAFKA_NONE);
    assert_int_equal(topic_error(&client, "t", false), WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    client_close(&client);
    fixture_close(f);
}

static void assigned_partitions_are_all_here(void **state)
{
    static const struct {
        int32_t partitions[2], nodes[2];
        int16_t error;
    } cases[] = {
        {{0, 1}, {1, 1}, WEIR_KAFKA_NONE},
        {{1, 2}, {1, 1}, WEIR_KAFKA_INVALID_REPLICA_ASSIGNMENT},
        {{0, 0}, {1, 1}, WEIR_KAFKA_INVALID_REPLICA_ASSIGNMENT},
        {{-1, 0}, {1, 1}, WEIR_KAFKA_INVALID_REPLICA_ASSIGNMENT},
        {{0, 1}, {1, 2}, WEIR_KAFKA_INVALID_REPLICA_ASSIGNMENT},
    };
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weir_kafka_create_topics_request *request = creation(&client, "assigned", -1, -1);
        struct weir_kafka_create_topics_request_topic *topic = request->topics.items;
        struct weir_kafka_create_topics_request_assignment *assignments = add_items(
            &client, &weir_kafka_create_topics_request_assignment_message, 2, &topic->assignments);
        for (int j = 0; j < 2; j++) {
            assignments[j].partition_index = cases[i].partitions[j];
            *(int32_t *)add_items(&client, &weir_kafka_I32S_message, 1,
                                  &assignments[j].broker_ids) = cases[i].nodes[j];
        }
        assert_int_equal(created(&client, request), cases[i].error);
    }
    client_close(&client);
    fixture_close(f);
}

/* ---- DeleteTopics, CreatePartitions ---- */

static void a_topic_is_deleted_by_name_or_id(void **state)
{
    static const char *const names[] = {"second"};
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f), other = client_open(f);
    create_topic(&client, "first", 1);
    create_topic(&client, "second", 2);
    const struct weir_kafka_metadata_response_topic *second = metadata(&client, 12, names, 1, false)
                                                                  ->topics.items;
    struct weir_kafka_delete_topics_request *request = new_request(&client,
                                                                   WEIR_KAFKA_DELETE_TOPICS);
    struct weir_kafka_delete_topics_request_topic *topics = add_items(
        &client, &weir_kafka_delete_topics_request_topic_message, 5, &request->topics);
    topics[0].name = text("first");
    topics[1].topic_id = second->topic_id;
    topics[2].name = text("third");
    memset(&topics[3].topic_id, 9, sizeof topics[3].topic_id);
    topics[4].name = text("first");
    topics[4].topic_id = second->topic_id;
    const struct weir_kafka_delete_topics_response *answer = call(&client, WEIR_KAFKA_DELETE_TOPICS,
                                                                  6, request);
    const struct weir_kafka_delete_topics_response_topic *deleted = answer->responses.items;
    assert_int_equal(deleted[0].error_code, WEIR_KAFKA_NONE);
    assert_int_equal(deleted[1].error_code, WEIR_KAFKA_NONE);
    expect_text(deleted[1].name, "second");
    assert_int_equal(deleted[2].error_code, WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(deleted[3].error_code, WEIR_KAFKA_UNKNOWN_TOPIC_ID);
    assert_int_equal(deleted[4].error_code, WEIR_KAFKA_INVALID_REQUEST);
    assert_int_equal(metadata(&other, 12, NULL, 0, false)->topics.count, 0);
    client_close(&client);
    client_close(&other);
    fixture_close(f);
}

static void older_clients_delete_by_name(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    for (int16_t version = 1; version <= 5; version++) {
        create_topic(&client, "again", 1);
        struct weir_kafka_delete_topics_request *request = new_request(&client,
                                                                       WEIR_KAFKA_DELETE_TOPICS);
        struct weir_kafka_string *names = add_items(&client, &weir_kafka_STRINGS_message, 2,
                                                    &request->topic_names);
        names[0] = text("again");
        names[1] = text("never");
        const struct weir_kafka_delete_topics_response *answer = call(
            &client, WEIR_KAFKA_DELETE_TOPICS, version, request);
        const struct weir_kafka_delete_topics_response_topic *deleted = answer->responses.items;
        assert_int_equal(deleted[0].error_code, WEIR_KAFKA_NONE);
        assert_int_equal(deleted[1].error_code, WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
    client_close(&client);
    fixture_close(f);
}

static int16_t grow(struct client *client, const char *name, int32_t count, bool validate_only)
{
    struct weir_kafka_create_partitions_request *request = new_request(
        client, WEIR_KAFKA_CREATE_PARTITIONS);
    struct weir_kafka_create_partitions_request_topic *topic = add_items(
        client, &weir_kafka_create_partitions_request_topic_message, 1, &request->topics);
    topic->name = text(name);
    topic->count = count;
    topic->assignments.items = NULL;
    request->validate_only = validate_only;
    const struct weir_kafka_create_partitions_response *answer = call(
        client, WEIR_KAFKA_CREATE_PARTITIONS, 3, request);
    return ((const struct weir_kafka_create_partitions_response_result *)answer->results.items)
        ->error_code;
}

static void a_topic_only_grows(void **state)
{
    static const char *const names[] = {"t"};
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    create_topic(&client, "t", 2);
    assert_int_equal(grow(&client, "t", 2, false), WEIR_KAFKA_INVALID_PARTITIONS);
    assert_int_equal(grow(&client, "t", 1, false), WEIR_KAFKA_INVALID_PARTITIONS);
    assert_int_equal(grow(&client, "t", -1, false), WEIR_KAFKA_INVALID_PARTITIONS);
    assert_int_equal(grow(&client, "u", 5, false), WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(grow(&client, "t", 5, true), WEIR_KAFKA_NONE);
    const struct weir_kafka_metadata_response_topic *topic = metadata(&client, 12, names, 1, false)
                                                                 ->topics.items;
    assert_int_equal(topic->partitions.count, 2);
    assert_int_equal(grow(&client, "t", 5, false), WEIR_KAFKA_NONE);
    topic = metadata(&client, 12, names, 1, false)->topics.items;
    assert_int_equal(topic->partitions.count, 5);
    assert_int_equal(produce(&client, "t", 4, make_batch(&client, 2, 5, 1)), 0);
    client_close(&client);
    fixture_close(f);
}

/* ---- configs ---- */

static const struct weir_kafka_describe_configs_response_result *
describe(struct client *client, int8_t type, const char *name, const char *key)
{
    struct weir_kafka_describe_configs_request *request = new_request(client,
                                                                      WEIR_KAFKA_DESCRIBE_CONFIGS);
    struct weir_kafka_describe_configs_request_resource *resource = add_items(
        client, &weir_kafka_describe_configs_request_resource_message, 1, &request->resources);
    resource->resource_type = type;
    resource->resource_name = text(name);
    resource->configuration_keys.items = NULL;
    if (key)
        *(struct weir_kafka_string *)add_items(client, &weir_kafka_STRINGS_message, 1,
                                               &resource->configuration_keys) = text(key);
    request->include_synonyms = true;
    request->include_documentation = true;
    const struct weir_kafka_describe_configs_response *answer = call(
        client, WEIR_KAFKA_DESCRIBE_CONFIGS, 4, request);
    assert_int_equal(answer->results.count, 1);
    return answer->results.items;
}

enum {
    TOPIC = 2,
    BROKER = 4,
    OF_TOPIC = 1,
    BY_DEFAULT = 5,
    SET = 0,
    DELETE = 1,
    APPEND = 2,
    SUBTRACT = 3
};

static void expect_setting(struct client *client, const char *topic, const char *key,
                           const char *value, int8_t source)
{
    const struct weir_kafka_describe_configs_response_result *result = describe(client, TOPIC,
                                                                                topic, key);
    const struct weir_kafka_describe_configs_response_config *config = result->configs.items;
    assert_int_equal(result->error_code, WEIR_KAFKA_NONE);
    assert_int_equal(result->configs.count, 1);
    expect_text(config->name, key);
    expect_text(config->value, value);
    assert_int_equal(config->config_source, source);
    assert_int_equal(config->synonyms.count, source == OF_TOPIC ? 2 : 1);
    assert_true(config->documentation.byte_count > 0);
}

static int16_t alter(struct client *client, int8_t type, const char *topic, const char *key,
                     int8_t operation, const char *value, bool validate_only)
{
    struct weir_kafka_incremental_alter_configs_request *request = new_request(
        client, WEIR_KAFKA_INCREMENTAL_ALTER_CONFIGS);
    struct weir_kafka_incremental_alter_configs_request_resource *resource = add_items(
        client, &weir_kafka_incremental_alter_configs_request_resource_message, 1,
        &request->resources);
    resource->resource_type = type;
    resource->resource_name = text(topic);
    struct weir_kafka_incremental_alter_configs_request_config *config = add_items(
        client, &weir_kafka_incremental_alter_configs_request_config_message, 1, &resource->configs);
    config->name = text(key);
    config->config_operation = operation;
    config->value = value ? text(value) : (struct weir_kafka_string){0};
    request->validate_only = validate_only;
    const struct weir_kafka_incremental_alter_configs_response *answer = call(
        client, WEIR_KAFKA_INCREMENTAL_ALTER_CONFIGS, 1, request);
    return ((const struct weir_kafka_incremental_alter_configs_response_resource *)
                answer->responses.items)
        ->error_code;
}

static void a_setting_is_the_topics_or_the_nodes(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f), other = client_open(f);
    struct weir_kafka_create_topics_request *request = creation(&client, "set", 1, 1);
    set_config(&client, request, "retention.ms", "12345");
    assert_int_equal(created(&client, request), WEIR_KAFKA_NONE);
    expect_setting(&other, "set", "retention.ms", "12345", OF_TOPIC);
    expect_setting(&other, "set", "segment.bytes", "134217728", BY_DEFAULT);
    assert_int_equal(describe(&client, TOPIC, "set", NULL)->configs.count, weir_config_entry_count);
    assert_int_equal(describe(&client, TOPIC, "set", "no.such")->configs.count, 0);
    assert_int_equal(describe(&client, TOPIC, "none", NULL)->error_code,
                     WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_true(describe(&client, BROKER, "1", NULL)->configs.count > 0);
    assert_int_equal(describe(&client, 8, "1", NULL)->error_code, WEIR_KAFKA_INVALID_REQUEST);
    client_close(&client);
    client_close(&other);
    fixture_close(f);
}

static void a_setting_is_changed_and_taken_back(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f), other = client_open(f);
    create_topic(&client, "set", 1);
    assert_int_equal(alter(&client, TOPIC, "set", "segment.bytes", SET, "1048576", true),
                     WEIR_KAFKA_NONE);
    expect_setting(&other, "set", "segment.bytes", "134217728", BY_DEFAULT);
    assert_int_equal(alter(&client, TOPIC, "set", "segment.bytes", SET, "1048576", false),
                     WEIR_KAFKA_NONE);
    expect_setting(&other, "set", "segment.bytes", "1048576", OF_TOPIC);
    assert_int_equal(alter(&client, TOPIC, "set", "segment.bytes", DELETE, NULL, false),
                     WEIR_KAFKA_NONE);
    expect_setting(&other, "set", "segment.bytes", "134217728", BY_DEFAULT);
    assert_int_equal(alter(&client, TOPIC, "set", "cleanup.policy", APPEND, "compact", false),
                     WEIR_KAFKA_NONE);
    expect_setting(&other, "set", "cleanup.policy", "compact,delete", OF_TOPIC);
    assert_int_equal(alter(&client, TOPIC, "set", "cleanup.policy", SUBTRACT, "delete", false),
                     WEIR_KAFKA_NONE);
    expect_setting(&other, "set", "cleanup.policy", "compact", OF_TOPIC);
    client_close(&client);
    client_close(&other);
    fixture_close(f);
}

static void a_change_that_cannot_be_is_refused(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    create_topic(&client, "set", 1);
    assert_int_equal(alter(&client, TOPIC, "set", "segment.bytes", SET, "many", false),
                     WEIR_KAFKA_INVALID_CONFIG);
    assert_int_equal(alter(&client, TOPIC, "set", "segment.bytes", SET, NULL, false),
                     WEIR_KAFKA_INVALID_CONFIG);
    assert_int_equal(alter(&client, TOPIC, "set", "segment.bytes", APPEND, "1048576", false),
                     WEIR_KAFKA_INVALID_CONFIG);
    assert_int_equal(alter(&client, TOPIC, "set", "segment.bytes", 9, "1048576", false),
                     WEIR_KAFKA_INVALID_CONFIG);
    assert_int_equal(alter(&client, TOPIC, "set", "cleanup.policy", SUBTRACT, "delete", false),
                     WEIR_KAFKA_INVALID_CONFIG);
    assert_int_equal(alter(&client, TOPIC, "set", "no.such", SET, "1", false),
                     WEIR_KAFKA_INVALID_CONFIG);
    assert_int_equal(alter(&client, TOPIC, "none", "segment.bytes", SET, "1048576", false),
                     WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(alter(&client, BROKER, "1", "num.partitions", SET, "3", false),
                     WEIR_KAFKA_INVALID_REQUEST);
    expect_setting(&client, "set", "segment.bytes", "134217728", BY_DEFAULT);
    client_close(&client);
    fixture_close(f);
}

#define ON(test, world)                               \
    {                                                 \
#test " on " #world, test, NULL, NULL, &world \
    }
#define EVERYWHERE(test) ON(test, one_epoll), ON(test, two_auto)

int main(void)
{
    static struct world one_epoll = {1, WEIR_IO_EPOLL, "one_epoll", 0};
    static struct world two_auto = {2, WEIR_IO_AUTO, "two_auto", 0};
    const struct CMUnitTest tests[] = {
        EVERYWHERE(metadata_names_one_broker_where_the_client_came_to),
        EVERYWHERE(metadata_names_the_address_that_is_configured),
        EVERYWHERE(no_names_means_all_in_version_0_and_none_later),
        EVERYWHERE(a_topic_is_known_everywhere_as_soon_as_it_was_made),
        EVERYWHERE(a_topic_that_is_not_there_is_made_only_where_both_allow_it),
        EVERYWHERE(the_same_name_twice_is_made_once),
        EVERYWHERE(a_topic_is_found_by_its_id),
        EVERYWHERE(a_cluster_is_described_as_metadata_does),
        EVERYWHERE(what_one_node_cannot_be_is_refused),
        EVERYWHERE(a_topic_that_is_only_validated_is_not_made),
        EVERYWHERE(assigned_partitions_are_all_here),
        EVERYWHERE(a_topic_is_deleted_by_name_or_id),
        EVERYWHERE(older_clients_delete_by_name),
        EVERYWHERE(a_topic_only_grows),
        EVERYWHERE(a_setting_is_the_topics_or_the_nodes),
        EVERYWHERE(a_setting_is_changed_and_taken_back),
        EVERYWHERE(a_change_that_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
