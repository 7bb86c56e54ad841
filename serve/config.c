/*
 * serve/config.c - a YAML document into struct settings, by a table of keys; every complaint names its line.
 *
 * A mapping of the file is a `section`: a table of keys, each with the function that takes its value. Unknown keys are
 * errors, since a setting that is silently not set is worse than a start that fails.
 * Proof: tests/serve/config_test.c.
 */
#include "serve/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "serve/units.h"

struct reader {
    struct settings *settings;
    yaml_document_t document;
    const char *path;
    char *error_out;
    size_t error_bytes;
};

/* Takes the value of one key; 0, or -EINVAL after complain(). `target` is what the section fills. */
struct key {
    const char *name;
    int (*take)(struct reader *reader, yaml_node_t *value, void *target);
};

__attribute__((format(printf, 3, 4))) static int complain(struct reader *reader, const yaml_node_t *node,
                                                          const char *format, ...)
{
    int used = snprintf(reader->error_out, reader->error_bytes, "%s:%zu: ", reader->path, node->start_mark.line + 1);
    if (used > 0 && (size_t)used < reader->error_bytes) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(reader->error_out + used, reader->error_bytes - (size_t)used, format, arguments);
        va_end(arguments);
    }
    return -EINVAL;
}

static const char *scalar(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

static int unknown_key(struct reader *reader, const yaml_node_t *node, const struct key *keys)
{
    char known[256] = "";
    size_t used = 0;
    for (; keys->name && used < sizeof known - 1; keys++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", keys->name);
    return complain(reader, node, "unknown key '%s'; known here: %s", scalar(node) ? scalar(node) : "?", known);
}

static int take_section(struct reader *reader, yaml_node_t *node, const struct key *keys, void *target)
{
    if (node->type != YAML_MAPPING_NODE)
        return complain(reader, node, "expected keys and values here (`key: value`, indented)");
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
        yaml_node_t *name = yaml_document_get_node(&reader->document, pair->key);
        yaml_node_t *value = yaml_document_get_node(&reader->document, pair->value);
        const struct key *key = keys;
        while (key->name && (!scalar(name) || strcmp(key->name, scalar(name)) != 0))
            key++;
        if (!key->name)
            return unknown_key(reader, name, keys);
        int result = key->take(reader, value, target);
        if (result < 0)
            return result;
    }
    return 0;
}

static int take_number(struct reader *reader, yaml_node_t *node, uint64_t least, uint64_t most, uint64_t *out)
{
    if (!scalar(node) || !units_count(scalar(node), out) || *out < least || *out > most)
        return complain(reader, node, "expected a number from %llu to %llu", (unsigned long long)least,
                        (unsigned long long)most);
    return 0;
}

static int take_u32(struct reader *reader, yaml_node_t *node, uint64_t least, uint64_t most, uint32_t *out)
{
    uint64_t number = 0;
    int result = take_number(reader, node, least, most, &number);
    if (result == 0)
        *out = (uint32_t)number;
    return result;
}

static int take_bytes(struct reader *reader, yaml_node_t *node, uint64_t *out)
{
    return scalar(node) && units_bytes(scalar(node), out)
               ? 0
               : complain(reader, node, "expected a size such as 64kb, 8mb, 1gb");
}

static int take_ns(struct reader *reader, yaml_node_t *node, uint64_t *out)
{
    return scalar(node) && units_ns(scalar(node), out)
               ? 0
               : complain(reader, node, "expected a time with its unit, such as 250us, 100ms, 60s");
}

static int take_flag(struct reader *reader, yaml_node_t *node, bool *out)
{
    return scalar(node) && units_flag(scalar(node), out) ? 0 : complain(reader, node, "expected yes or no");
}

static int take_text(struct reader *reader, yaml_node_t *node, char **out)
{
    if (!scalar(node) || !*scalar(node))
        return complain(reader, node, "expected text");
    free(*out);
    *out = strdup(scalar(node));
    return *out ? 0 : -ENOMEM;
}

/* ---- users ---- */

static int user_password(struct reader *reader, yaml_node_t *node, void *target)
{
    struct weir_resp_user *user = target;
    return take_text(reader, node, (char **)(uintptr_t)&user->password);
}

static int user_channels(struct reader *reader, yaml_node_t *node, void *target)
{
    struct weir_resp_user *user = target;
    if (node->type != YAML_SEQUENCE_NODE)
        return complain(reader, node, "expected a list of globs, such as [\"news.*\"]");
    size_t count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    char **channels = calloc(count + 1, sizeof *channels);
    if (!channels)
        return -ENOMEM;
    user->channels = (const char *const *)channels;
    user->some_channels = true;
    for (size_t i = 0; i < count; i++) {
        yaml_node_t *item = yaml_document_get_node(&reader->document, node->data.sequence.items.start[i]);
        int result = take_text(reader, item, &channels[i]);
        if (result < 0)
            return result;
        user->channel_count++;
    }
    return 0;
}

static int user_disabled(struct reader *reader, yaml_node_t *node, void *target)
{
    return take_flag(reader, node, &((struct weir_resp_user *)target)->disabled);
}

static const struct key user_keys[] = {
    {"password", user_password}, {"channels", user_channels}, {"disabled", user_disabled}, {NULL, NULL}};

static int take_users(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    if (node->type != YAML_MAPPING_NODE)
        return complain(reader, node, "expected users by name (`alice: {password: ...}`)");
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
        yaml_node_t *name = yaml_document_get_node(&reader->document, pair->key);
        yaml_node_t *value = yaml_document_get_node(&reader->document, pair->value);
        if (!scalar(name) || !*scalar(name))
            return complain(reader, name, "expected the user's name");
        struct weir_resp_user *user = settings_user(reader->settings, scalar(name));
        int result = user ? take_section(reader, value, user_keys, user) : -ENOMEM;
        if (result < 0)
            return result;
    }
    return 0;
}

/* ---- redis ---- */

static int redis_port(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    if (scalar(node) && strcmp(scalar(node), "off") == 0) {
        reader->settings->redis_port = -1;
        return 0;
    }
    return take_u32(reader, node, 0, 65535, (uint32_t *)&reader->settings->redis_port);
}

static int redis_password(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    struct weir_resp_user *user = settings_user(reader->settings, "default");
    return user ? take_text(reader, node, (char **)(uintptr_t)&user->password) : -ENOMEM;
}

static int redis_clients(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return take_u32(reader, node, 1, 10000000, &reader->settings->redis_clients_max);
}

static const struct key redis_keys[] = {
    {"port", redis_port}, {"password", redis_password}, {"max_clients", redis_clients}, {NULL, NULL}};

static int take_redis(struct reader *reader, yaml_node_t *node, void *target)
{
    return take_section(reader, node, redis_keys, target);
}

/* ---- slow subscribers ---- */

static int policy_action(struct reader *reader, yaml_node_t *node, void *target)
{
    struct weir_policy *policy = target;
    if (!scalar(node) || weir_policy_action_parse(scalar(node), &policy->action) < 0)
        return complain(reader, node, "expected close, drop-oldest, drop-newest or pause");
    return 0;
}

static int policy_window(struct reader *reader, yaml_node_t *node, void *target)
{
    struct weir_policy *policy = target;
    int result = take_bytes(reader, node, &policy->hard_bytes);
    if (result == 0 && policy->hard_bytes < 4096)
        return complain(reader, node, "a window is at least 4kb");
    if (result == 0 && policy->soft_bytes > policy->hard_bytes)
        policy->soft_bytes = 0;
    return result;
}

static int policy_soft(struct reader *reader, yaml_node_t *node, void *target)
{
    return take_bytes(reader, node, &((struct weir_policy *)target)->soft_bytes);
}

static int policy_soft_for(struct reader *reader, yaml_node_t *node, void *target)
{
    return take_ns(reader, node, &((struct weir_policy *)target)->soft_ns);
}

static int policy_stuck(struct reader *reader, yaml_node_t *node, void *target)
{
    return take_ns(reader, node, &((struct weir_policy *)target)->stuck_ns);
}

static int policy_pause(struct reader *reader, yaml_node_t *node, void *target)
{
    return take_ns(reader, node, &((struct weir_policy *)target)->pause_deadline_ns);
}

static const struct key policy_keys[] = {{"slow", policy_action},
                                         {"window", policy_window},
                                         {"soft_window", policy_soft},
                                         {"soft_for", policy_soft_for},
                                         {"no_progress", policy_stuck},
                                         {"pause_at_most", policy_pause},
                                         {NULL, NULL}};

static int take_default_policy(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return take_section(reader, node, policy_keys, &reader->settings->default_policy);
}

static int take_topics(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    struct settings *settings = reader->settings;
    if (node->type != YAML_MAPPING_NODE)
        return complain(reader, node, "expected globs over topic names (`\"quotes.*\": {slow: drop-oldest}`)");
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
        yaml_node_t *glob = yaml_document_get_node(&reader->document, pair->key);
        yaml_node_t *value = yaml_document_get_node(&reader->document, pair->value);
        struct weir_policy_rule *grown =
            realloc(settings->policies, (settings->policy_count + 1) * sizeof *settings->policies);
        if (!grown)
            return -ENOMEM;
        settings->policies = grown;
        struct weir_policy_rule *rule = &grown[settings->policy_count];
        *rule = (struct weir_policy_rule){.policy = settings->default_policy};
        int result = take_text(reader, glob, (char **)(uintptr_t)&rule->glob);
        if (result < 0)
            return result;
        settings->policy_count++;
        result = take_section(reader, value, policy_keys, &rule->policy);
        if (result < 0)
            return result;
    }
    return 0;
}

/* ---- limits ---- */

static int limit_rate(struct reader *reader, yaml_node_t *node, void *target)
{
    struct weir_limit_rule *rule = target;
    if (rule->mode == WEIR_LIMIT_OFF)
        rule->mode = WEIR_LIMIT_SHAPE;
    int result = take_number(reader, node, 1, 1000000000, &rule->tokens_per_s);
    if (result == 0 && rule->burst_tokens == 0)
        rule->burst_tokens = rule->tokens_per_s; /* one second's worth, unless said otherwise */
    return result;
}

static int limit_burst(struct reader *reader, yaml_node_t *node, void *target)
{
    return take_number(reader, node, 1, 1000000000, &((struct weir_limit_rule *)target)->burst_tokens);
}

static int limit_mode(struct reader *reader, yaml_node_t *node, void *target)
{
    static const struct {
        const char *name;
        enum weir_limit_mode mode;
    } modes[] = {{"shape", WEIR_LIMIT_SHAPE}, {"police", WEIR_LIMIT_POLICE}, {"observe", WEIR_LIMIT_OBSERVE}};
    for (size_t i = 0; scalar(node) && i < sizeof modes / sizeof *modes; i++)
        if (strcmp(scalar(node), modes[i].name) == 0) {
            ((struct weir_limit_rule *)target)->mode = modes[i].mode;
            return 0;
        }
    return complain(reader, node, "expected shape (delay), police (reject) or observe (count only)");
}

static const struct key limit_keys[] = {
    {"rate", limit_rate}, {"burst", limit_burst}, {"mode", limit_mode}, {NULL, NULL}};

static int take_limit(struct reader *reader, yaml_node_t *node, enum weir_limit_level level)
{
    struct weir_limit_rule *rule = &reader->settings->limits[level];
    int result = take_section(reader, node, limit_keys, rule);
    if (result == 0 && rule->tokens_per_s == 0)
        return complain(reader, node, "a limit needs its `rate:`, in events a second");
    return result;
}

static int limit_client(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return take_limit(reader, node, WEIR_LIMIT_CLIENT);
}

static int limit_topic(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return take_limit(reader, node, WEIR_LIMIT_TOPIC);
}

static int limit_process(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return take_limit(reader, node, WEIR_LIMIT_PROCESS);
}

static const struct key limits_keys[] = {
    {"address", limit_client}, {"topic", limit_topic}, {"process", limit_process}, {NULL, NULL}};

static int take_limits(struct reader *reader, yaml_node_t *node, void *target)
{
    return take_section(reader, node, limits_keys, target);
}

/* ---- the top ---- */

static int top_cores(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return take_u32(reader, node, 1, 128, &reader->settings->cores);
}

static int top_data(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return take_text(reader, node, &reader->settings->data);
}

static int top_io(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    static const char *const names[] = {[WEIR_IO_AUTO] = "auto", [WEIR_IO_URING] = "uring", [WEIR_IO_EPOLL] = "epoll"};
    for (uint32_t i = 0; scalar(node) && i < 3; i++)
        if (strcmp(scalar(node), names[i]) == 0) {
            reader->settings->io = i;
            return 0;
        }
    return complain(reader, node, "expected auto, uring or epoll");
}

static int add_address(struct reader *reader, yaml_node_t *node)
{
    struct settings *settings = reader->settings;
    if (settings->address_count == SETTINGS_ADDRESSES_MAX)
        return complain(reader, node, "at most %d addresses", SETTINGS_ADDRESSES_MAX);
    int result = take_text(reader, node, &settings->addresses[settings->address_count]);
    settings->address_count += result == 0;
    return result;
}

static int top_listen(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    if (node->type != YAML_SEQUENCE_NODE)
        return add_address(reader, node);
    for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
        int result = add_address(reader, yaml_document_get_node(&reader->document, *item));
        if (result < 0)
            return result;
    }
    return 0;
}

static int top_log_level(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (uint32_t i = 0; scalar(node) && i < 4; i++)
        if (strcmp(scalar(node), names[i]) == 0) {
            reader->settings->log_level = (enum weir_log_level)i;
            return 0;
        }
    return complain(reader, node, "expected debug, info, warn or error");
}

static int top_memory(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return take_bytes(reader, node, &reader->settings->memory_bytes_max);
}

static int top_spin(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return take_ns(reader, node, &reader->settings->spin_ns_max);
}

static int top_stall(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return take_ns(reader, node, &reader->settings->stall_budget_ns);
}

static int top_drain(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return take_ns(reader, node, &reader->settings->drain_timeout_ns);
}

static int top_pin(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return take_flag(reader, node, &reader->settings->pin);
}

static int top_busy_poll(struct reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return take_flag(reader, node, &reader->settings->busy_poll);
}

static const struct key top_keys[] = {{"cores", top_cores},
                                      {"data", top_data},
                                      {"io", top_io},
                                      {"listen", top_listen},
                                      {"log_level", top_log_level},
                                      {"memory", top_memory},
                                      {"spin", top_spin},
                                      {"stall_budget", top_stall},
                                      {"drain_timeout", top_drain},
                                      {"pin", top_pin},
                                      {"busy_poll", top_busy_poll},
                                      {"redis", take_redis},
                                      {"users", take_users},
                                      {"slow_subscribers", take_default_policy},
                                      {"topics", take_topics},
                                      {"publish_limits", take_limits},
                                      {NULL, NULL}};

static int read_document(struct reader *reader, yaml_parser_t *parser)
{
    if (!yaml_parser_load(parser, &reader->document)) {
        snprintf(reader->error_out, reader->error_bytes, "%s:%zu: %s", reader->path, parser->problem_mark.line + 1,
                 parser->problem ? parser->problem : "not YAML");
        return -EINVAL;
    }
    yaml_node_t *root = yaml_document_get_root_node(&reader->document);
    int result = root ? take_section(reader, root, top_keys, NULL) : 0; /* an empty file sets nothing */
    yaml_document_delete(&reader->document);
    return result;
}

int config_read(struct settings *settings, const char *path, char *error_out, size_t error_bytes)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        int error = errno;
        snprintf(error_out, error_bytes, "cannot read %s: %s", path, strerror(error));
        return -error;
    }
    struct reader reader = {.settings = settings, .path = path, .error_out = error_out, .error_bytes = error_bytes};
    yaml_parser_t parser;
    int result = yaml_parser_initialize(&parser) ? 0 : -ENOMEM;
    if (result == 0) {
        yaml_parser_set_input_file(&parser, file);
        result = read_document(&reader, &parser);
        yaml_parser_delete(&parser);
    }
    fclose(file);
    if (result == 0) {
        free(settings->config);
        settings->config = strdup(path);
    }
    return result;
}
