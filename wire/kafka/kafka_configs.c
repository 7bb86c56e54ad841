/*
 * wire/kafka/kafka_configs.c - DescribeConfigs and IncrementalAlterConfigs: the settings of topics, and a few of the node for tools to read.
 *
 * A topic's settings are the table in broker/catalog_config.c; a setting that a topic does not have itself is the node's, and shown as
 * such. The node's own are in the settings file, so here they are only read. Proof: tests/wire/kafka/kafka_session_test.c.
 */
#include <stdio.h>
#include <string.h>

#include "broker/part.h"
#include "wire/kafka/kafka_body.h"
#include "wire/kafka/kafka_handlers.h"

enum resource { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4 };
enum source { SOURCE_TOPIC = 1, SOURCE_STATIC_BROKER = 4, SOURCE_DEFAULT = 5 };
enum operation { OPERATION_SET, OPERATION_DELETE, OPERATION_APPEND, OPERATION_SUBTRACT };
enum type { TYPE_BOOLEAN = 1, TYPE_INT = 3, TYPE_LONG = 5 };

enum { VALUE_BYTES = 32 };

/* ---- DescribeConfigs ---- */

static bool is_asked(const struct weir_kafka_array *keys, struct weir_kafka_string name)
{
    const struct weir_kafka_string *items = keys->items;
    if (!items) /* null: all */
        return true;
    for (uint32_t i = 0; i < keys->count; i++)
        if (weir_kafka_same(items[i], name))
            return true;
    return false;
}

static struct weir_kafka_string print_value(struct weir_kafka_request *request,
                                            const struct weir_config_entry *entry,
                                            const struct weir_topic_config *config)
{
    char text[VALUE_BYTES];
    weir_config_print(entry, config, text, sizeof text);
    return weir_kafka_print(request, "%s", text);
}

/* Where the value comes from, in the order in which it would be looked for. */
static bool put_synonyms(struct weir_kafka_request *request, const struct weir_config_entry *entry,
                         const struct weir_kept_topic *topic,
                         struct weir_kafka_describe_configs_response_config *to)
{
    struct weir_topic_config node;
    bool own = weir_config_is_set(entry, &topic->config);
    struct weir_kafka_describe_configs_response_synonym *synonyms = weir_kafka_items(
        &request->arena, &weir_kafka_describe_configs_response_synonym_message, own ? 2 : 1,
        &to->synonyms);
    if (!synonyms)
        return false;
    weir_topic_defaults(request->local->part, &node);
    for (uint32_t i = 0; i < to->synonyms.count; i++) {
        bool of_topic = own && i == 0;
        synonyms[i].name = to->name;
        synonyms[i].value = of_topic ? to->value : print_value(request, entry, &node);
        synonyms[i].source = of_topic ? SOURCE_TOPIC : SOURCE_DEFAULT;
    }
    return true;
}

static bool put_setting(struct weir_kafka_request *request, const struct weir_config_entry *entry,
                        const struct weir_kept_topic *topic,
                        struct weir_kafka_describe_configs_response_config *to)
{
    const struct weir_kafka_describe_configs_request *message = request->message;
    struct weir_topic_config effective;
    weir_topic_effective(request->local->part, topic, &effective);
    to->name = weir_kafka_text(entry->name);
    to->value = print_value(request, entry, &effective);
    to->config_source = weir_config_is_set(entry, &topic->config) ? SOURCE_TOPIC : SOURCE_DEFAULT;
    to->config_type = (int8_t)entry->kind;
    to->documentation = message->include_documentation ? weir_kafka_text(entry->summary)
                                                       : (struct weir_kafka_string){0};
    if (!to->value.bytes)
        return false;
    return !message->include_synonyms || put_synonyms(request, entry, topic, to);
}

static bool describe_topic(struct weir_kafka_request *request,
                           const struct weir_kafka_describe_configs_request_resource *asked,
                           struct weir_kafka_describe_configs_response_result *to)
{
    const struct weir_kept_topic *topic = weir_kafka_topic(request, asked->resource_name,
                                                           &to->error_code);
    if (!topic)
        return true;
    struct weir_kafka_describe_configs_response_config *settings = weir_kafka_items(
        &request->arena, &weir_kafka_describe_configs_response_config_message,
        weir_config_entry_count, &to->configs);
    uint32_t count = 0;
    for (uint32_t i = 0; settings && i < weir_config_entry_count; i++) {
        const struct weir_config_entry *entry = &weir_config_entries[i];
        if (!is_asked(&asked->configuration_keys, weir_kafka_text(entry->name)))
            continue;
        if (!put_setting(request, entry, topic, &settings[count++]))
            return false;
    }
    to->configs.count = count;
    return settings != NULL;
}

/* What tools look for before they do something; the names are Kafka's. */
static bool describe_node(struct weir_kafka_request *request,
                          const struct weir_kafka_describe_configs_request_resource *asked,
                          struct weir_kafka_describe_configs_response_result *to)
{
    const struct weir_keep_options *keep = &request->local->part->broker->keep;
    const struct {
        const char *name;
        int64_t value;
        enum type type;
    } known[] = {
        {"auto.create.topics.enable", keep->create_unknown, TYPE_BOOLEAN},
        {"default.replication.factor", 1, TYPE_INT},
        {"log.retention.bytes", keep->retention_bytes, TYPE_LONG},
        {"log.retention.ms", keep->retention_ms, TYPE_LONG},
        {"log.segment.bytes", keep->segment_bytes, TYPE_INT},
        {"message.max.bytes", keep->message_bytes_max, TYPE_INT},
        {"min.insync.replicas", 1, TYPE_INT},
        {"num.partitions", keep->partitions_default, TYPE_INT},
    };
    enum { KNOWN = sizeof known / sizeof *known };
    struct weir_kafka_describe_configs_response_config *settings = weir_kafka_items(
        &request->arena, &weir_kafka_describe_configs_response_config_message, KNOWN, &to->configs);
    uint32_t count = 0;
    for (uint32_t i = 0; settings && i < KNOWN; i++) {
        if (!is_asked(&asked->configuration_keys, weir_kafka_text(known[i].name)))
            continue;
        struct weir_kafka_describe_configs_response_config *setting = &settings[count++];
        setting->name = weir_kafka_text(known[i].name);
        setting->value = known[i].type == TYPE_BOOLEAN
                             ? weir_kafka_text(known[i].value ? "true" : "false")
                             : weir_kafka_print(request, "%lld", (long long)known[i].value);
        setting->read_only = true;
        setting->config_source = SOURCE_STATIC_BROKER;
        setting->config_type = (int8_t)known[i].type;
        setting->documentation = (struct weir_kafka_string){0};
    }
    to->configs.count = count;
    return settings != NULL;
}

static bool describe(struct weir_kafka_request *request,
                     const struct weir_kafka_describe_configs_request_resource *asked,
                     struct weir_kafka_describe_configs_response_result *to)
{
    to->resource_type = asked->resource_type;
    to->resource_name = asked->resource_name;
    to->error_message = (struct weir_kafka_string){0};
    if (asked->resource_type == RESOURCE_TOPIC)
        return describe_topic(request, asked, to);
    if (asked->resource_type == RESOURCE_BROKER)
        return describe_node(request, asked, to);
    to->error_code = WEIR_KAFKA_INVALID_REQUEST;
    to->error_message = weir_kafka_text("only topics and the broker have settings");
    return true;
}

void weir_kafka_describe_configs(struct weir_kafka_request *request)
{
    const struct weir_kafka_describe_configs_request *message = request->message;
    const struct weir_kafka_describe_configs_request_resource *resources = message->resources.items;
    struct weir_kafka_describe_configs_response *body = weir_kafka_body(request);
    struct weir_kafka_describe_configs_response_result
        *results = body ? weir_kafka_items(&request->arena,
                                           &weir_kafka_describe_configs_response_result_message,
                                           message->resources.count, &body->results)
                        : NULL;
    bool whole = results != NULL;
    for (uint32_t i = 0; whole && i < message->resources.count; i++)
        whole = describe(request, &resources[i], &results[i]);
    weir_kafka_finish(request, body, whole);
}

/* ---- IncrementalAlterConfigs ---- */

struct alteration { /* of one topic */
    struct weir_catalog_change change;
    struct weir_kafka_incremental_alter_configs_response_resource *answer;
};

struct alterations {
    uint32_t away;
    uint32_t used;
    struct weir_kafka_incremental_alter_configs_response *body;
    struct alteration items[];
};

static void let_go(struct weir_kafka_request *request)
{
    struct alterations *alterations = request->state;
    if (--alterations->away > 0)
        return;
    for (uint32_t i = 0; i < alterations->used; i++) {
        const struct weir_catalog_change *change = &alterations->items[i].change;
        alterations->items[i].answer->error_code = weir_kafka_error_of_catalog(change->result);
        if (change->result != WEIR_CATALOG_DONE && change->why[0])
            alterations->items[i].answer->error_message = weir_kafka_text(change->why);
    }
    weir_kafka_respond(request, alterations->body);
}

static void on_altered(struct weir_part *part, struct weir_catalog_change *change)
{
    (void)part;
    let_go(change->context);
}

/* cleanup.policy is the one list: its words come and go one by one. */
static bool change_list(const struct weir_config_entry *entry,
                        const struct weir_kafka_incremental_alter_configs_request_config *asked,
                        const struct weir_topic_config *effective, struct weir_topic_config *config)
{
    struct weir_topic_config words;
    weir_topic_unset(&words);
    if (entry->place != offsetof(struct weir_topic_config, cleanup) ||
        !weir_config_parse(entry, asked->value.bytes, asked->value.byte_count, &words))
        return false;
    if (asked->config_operation == OPERATION_APPEND)
        config->cleanup = effective->cleanup | words.cleanup;
    else
        config->cleanup = effective->cleanup & ~words.cleanup;
    return config->cleanup != 0;
}

static bool alter_setting(const struct weir_config_entry *entry,
                          const struct weir_kafka_incremental_alter_configs_request_config *asked,
                          const struct weir_topic_config *effective,
                          struct weir_topic_config *config)
{
    switch (asked->config_operation) {
    case OPERATION_SET:
        return asked->value.bytes &&
               weir_config_parse(entry, asked->value.bytes, asked->value.byte_count, config);
    case OPERATION_DELETE:
        weir_config_unset(entry, config);
        return true;
    case OPERATION_APPEND:
    case OPERATION_SUBTRACT:
        return asked->value.bytes && change_list(entry, asked, effective, config);
    default:
        return false;
    }
}

static int16_t alter_settings(struct weir_kafka_request *request,
                              const struct weir_kept_topic *topic,
                              const struct weir_kafka_array *configs,
                              struct weir_topic_config *config_out, struct weir_kafka_string *why)
{
    const struct weir_kafka_incremental_alter_configs_request_config *items = configs->items;
    struct weir_topic_config effective;
    weir_topic_effective(request->local->part, topic, &effective);
    *config_out = topic->config;
    for (uint32_t i = 0; i < configs->count; i++) {
        const struct weir_config_entry *entry = weir_config_find(items[i].name.bytes,
                                                                 items[i].name.byte_count);
        if (entry && alter_setting(entry, &items[i], &effective, config_out))
            continue;
        *why = weir_kafka_print(request,
                                entry ? "%.*s cannot be changed to that"
                                      : "%.*s is not a setting of a topic here",
                                (int)items[i].name.byte_count, items[i].name.bytes);
        return WEIR_KAFKA_INVALID_CONFIG;
    }
    return WEIR_KAFKA_NONE;
}

static void alter(struct weir_kafka_request *request,
                  const struct weir_kafka_incremental_alter_configs_request_resource *asked,
                  struct weir_kafka_incremental_alter_configs_response_resource *answer)
{
    const struct weir_kafka_incremental_alter_configs_request *message = request->message;
    struct alterations *alterations = request->state;
    struct weir_topic_config config;
    answer->resource_type = asked->resource_type;
    answer->resource_name = asked->resource_name;
    answer->error_message = (struct weir_kafka_string){0};
    if (asked->resource_type != RESOURCE_TOPIC) {
        answer->error_code = WEIR_KAFKA_INVALID_REQUEST;
        answer->error_message = weir_kafka_text("the broker's settings are in its settings file");
        return;
    }
    const struct weir_kept_topic *topic = weir_kafka_topic(request, asked->resource_name,
                                                           &answer->error_code);
    if (!topic)
        return;
    answer->error_code = alter_settings(request, topic, &asked->configs, &config,
                                        &answer->error_message);
    if (answer->error_code)
        return;
    struct alteration *alteration = &alterations->items[alterations->used++];
    struct weir_catalog_change *change = &alteration->change;
    alteration->answer = answer;
    change->verb = WEIR_CATALOG_CONFIGURE;
    change->only_check = message->validate_only;
    change->config = config;
    change->name_bytes = topic->name_bytes;
    memcpy(change->name, topic->name, topic->name_bytes);
    change->done = on_altered;
    change->context = request;
    alterations->away++;
    weir_catalog_change(request->local->part, change);
}

void weir_kafka_incremental_alter_configs(struct weir_kafka_request *request)
{
    const struct weir_kafka_incremental_alter_configs_request *message = request->message;
    const struct weir_kafka_incremental_alter_configs_request_resource
        *resources = message->resources.items;
    uint32_t count = message->resources.count;
    struct alterations *alterations = weir_kafka_arena_take(
        &request->arena, sizeof *alterations + count * sizeof(struct alteration));
    struct weir_kafka_incremental_alter_configs_response_resource *answers = NULL;
    if (alterations)
        alterations->body = weir_kafka_body(request);
    if (alterations && alterations->body)
        answers = weir_kafka_items(&request->arena,
                                   &weir_kafka_incremental_alter_configs_response_resource_message,
                                   count, &alterations->body->responses);
    if (!answers) {
        weir_kafka_fail(request, "no memory for a request");
        return;
    }
    request->state = alterations;
    alterations->away = 1; /* us */
    for (uint32_t i = 0; i < count; i++)
        alter(request, &resources[i], &answers[i]);
    let_go(request);
}
