/*
 * serve/config.c - the keys of a file of settings, section by section; what holds for all of them: serve/section.c.
 *
 * Proof: tests/serve/config_test.c.
 */
#include "serve/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "serve/section.h"
#include "serve/settings.h"

/* ---- users ---- */

static int user_password(struct section_reader *reader, yaml_node_t *node, void *target)
{
    struct weir_resp_user *user = target;
    return section_text(reader, node, (char **)(uintptr_t)&user->password);
}

static int user_channels(struct section_reader *reader, yaml_node_t *node, void *target)
{
    struct weir_resp_user *user = target;
    if (node->type != YAML_SEQUENCE_NODE)
        return section_complain(reader, node, "expected a list of globs, such as [\"news.*\"]");
    size_t count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    char **channels = calloc(count + 1, sizeof *channels);
    if (!channels)
        return -ENOMEM;
    user->channels = (const char *const *)channels;
    user->some_channels = true;
    for (size_t i = 0; i < count; i++) {
        yaml_node_t *item = yaml_document_get_node(&reader->document,
                                                   node->data.sequence.items.start[i]);
        int result = section_text(reader, item, &channels[i]);
        if (result < 0)
            return result;
        user->channel_count++;
    }
    return 0;
}

static int user_disabled(struct section_reader *reader, yaml_node_t *node, void *target)
{
    return section_flag(reader, node, &((struct weir_resp_user *)target)->disabled);
}

static const struct section_key user_keys[] = {{"password", user_password},
                                               {"channels", user_channels},
                                               {"disabled", user_disabled},
                                               {NULL, NULL}};

static int take_users(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    if (node->type != YAML_MAPPING_NODE)
        return section_complain(reader, node, "expected users by name (`alice: {password: ...}`)");
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        yaml_node_t *name = yaml_document_get_node(&reader->document, pair->key);
        yaml_node_t *value = yaml_document_get_node(&reader->document, pair->value);
        if (!section_scalar(name) || !*section_scalar(name))
            return section_complain(reader, name, "expected the user's name");
        reader->key = NULL;
        int result = section_check_new(reader, node, pair);
        struct weir_resp_user *user = result == 0
                                          ? settings_user(reader->settings, section_scalar(name))
                                          : NULL;
        if (result == 0)
            result = user ? section_take(reader, value, user_keys, user) : -ENOMEM;
        if (result < 0)
            return result;
    }
    return 0;
}

/* ---- redis ---- */

static int take_port(struct section_reader *reader, yaml_node_t *node, int32_t *port)
{
    if (section_scalar(node) && strcmp(section_scalar(node), "off") == 0) {
        *port = -1;
        return 0;
    }
    return section_u32(reader, node, 0, 65535, (uint32_t *)port);
}

static int redis_port(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return take_port(reader, node, &reader->settings->redis_port);
}

static int redis_password(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    struct weir_resp_user *user = settings_user(reader->settings, "default");
    return user ? section_text(reader, node, (char **)(uintptr_t)&user->password) : -ENOMEM;
}

static int redis_clients(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return section_u32(reader, node, 1, 10000000, &reader->settings->redis_clients_max);
}

static int redis_keepalive(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    uint64_t *keepalive_ns = &reader->settings->redis_keepalive_ns;
    int result = section_ns(reader, node, keepalive_ns);
    if (result == 0 && *keepalive_ns > 0 &&
        (*keepalive_ns < WEIR_S_NS || *keepalive_ns > 9 * 3600 * WEIR_S_NS))
        return section_complain(reader, node, "expected a time from 1s to 9h, or 0");
    return result;
}

static const struct section_key redis_keys[] = {{"port", redis_port},
                                                {"password", redis_password},
                                                {"max_clients", redis_clients},
                                                {"tcp_keepalive", redis_keepalive},
                                                {NULL, NULL}};

static int take_redis(struct section_reader *reader, yaml_node_t *node, void *target)
{
    return section_take(reader, node, redis_keys, target);
}

/* ---- kafka, and what is kept ---- */

static int kafka_port(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return take_port(reader, node, &reader->settings->kafka_port);
}

static int kafka_advertise(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return section_text(reader, node, &reader->settings->advertise);
}

static const struct section_key kafka_keys[] = {{"port", kafka_port}, {"advertise", kafka_advertise}, {NULL, NULL}};

static int take_kafka(struct section_reader *reader, yaml_node_t *node, void *target)
{
    return section_take(reader, node, kafka_keys, target);
}

static int keep_partitions(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return section_u32(reader, node, 1, 10000, &reader->settings->keep.partitions_default);
}

static int keep_create(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return section_flag(reader, node, &reader->settings->keep.create_unknown);
}

static int keep_durability(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    static const char *const names[] = {"synced", "written", "memory"};
    for (uint32_t i = 0; section_scalar(node) && i < 3; i++)
        if (strcmp(section_scalar(node), names[i]) == 0) {
            reader->settings->keep.level = i;
            return 0;
        }
    return section_complain(reader, node, "expected synced, written or memory");
}

static int keep_time(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    uint64_t time_ns = 0;
    int result = section_ns(reader, node, &time_ns);
    if (result == 0 && time_ns < WEIR_MS_NS)
        return section_complain(reader, node, "expected a time of at least 1ms");
    reader->settings->keep.retention_ms = (int64_t)(time_ns / WEIR_MS_NS);
    return result;
}

static int keep_bytes(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    uint64_t bytes = 0;
    int result = section_bytes(reader, node, &bytes);
    reader->settings->keep.retention_bytes = (int64_t)bytes;
    return result;
}

static const struct section_key keep_keys[] = {{"partitions", keep_partitions}, {"create_topics", keep_create},
                                               {"durability", keep_durability}, {"retention", keep_time},
                                               {"retention_bytes", keep_bytes}, {NULL, NULL}};

static int take_keep(struct section_reader *reader, yaml_node_t *node, void *target)
{
    return section_take(reader, node, keep_keys, target);
}

/* ---- slow subscribers ---- */

static int policy_action(struct section_reader *reader, yaml_node_t *node, void *target)
{
    struct weir_policy *policy = target;
    if (!section_scalar(node) || weir_policy_action_parse(section_scalar(node), &policy->action) < 0)
        return section_complain(reader, node, "expected close, drop-oldest, drop-newest or pause");
    return 0;
}

static int policy_window(struct section_reader *reader, yaml_node_t *node, void *target)
{
    struct weir_policy *policy = target;
    int result = section_bytes(reader, node, &policy->hard_bytes);
    if (result == 0 && policy->hard_bytes < 4096)
        return section_complain(reader, node, "expected at least 4kb");
    return result;
}

static int policy_soft(struct section_reader *reader, yaml_node_t *node, void *target)
{
    return section_bytes(reader, node, &((struct weir_policy *)target)->soft_bytes);
}

static int policy_soft_for(struct section_reader *reader, yaml_node_t *node, void *target)
{
    return section_ns(reader, node, &((struct weir_policy *)target)->soft_ns);
}

static int policy_stuck(struct section_reader *reader, yaml_node_t *node, void *target)
{
    return section_ns(reader, node, &((struct weir_policy *)target)->stuck_ns);
}

static int policy_pause(struct section_reader *reader, yaml_node_t *node, void *target)
{
    return section_ns(reader, node, &((struct weir_policy *)target)->pause_deadline_ns);
}

static const struct section_key policy_keys[] = {{"slow", policy_action},
                                                 {"window", policy_window},
                                                 {"soft_window", policy_soft},
                                                 {"soft_for", policy_soft_for},
                                                 {"no_progress", policy_stuck},
                                                 {"pause_at_most", policy_pause},
                                                 {NULL, NULL}};

static int take_policy(struct section_reader *reader, yaml_node_t *node, struct weir_policy *policy)
{
    int result = section_take(reader, node, policy_keys, policy);
    if (result < 0 || policy->soft_bytes <= policy->hard_bytes)
        return result;
    const yaml_node_t *soft = section_find(reader, node, "soft_window");
    if (soft)
        return section_complain(reader, soft, "soft_window: expected no more than window");
    policy->soft_bytes = 0; /* a window smaller than the default's soft one has none */
    return 0;
}

static int take_default_policy(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return take_policy(reader, node, &reader->settings->default_policy);
}

static int take_topics(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    struct settings *settings = reader->settings;
    if (node->type != YAML_MAPPING_NODE)
        return section_complain(
            reader, node, "expected globs over topic names (`\"quotes.*\": {slow: drop-oldest}`)");
    reader->key = NULL;
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        yaml_node_t *glob = yaml_document_get_node(&reader->document, pair->key);
        yaml_node_t *value = yaml_document_get_node(&reader->document, pair->value);
        int result = section_check_new(reader, node, pair);
        if (result < 0)
            return result;
        struct weir_policy_rule *grown = realloc(
            settings->policies, (settings->policy_count + 1) * sizeof *settings->policies);
        if (!grown)
            return -ENOMEM;
        settings->policies = grown;
        struct weir_policy_rule *rule = &grown[settings->policy_count];
        *rule = (struct weir_policy_rule){.policy = settings->default_policy};
        result = section_text(reader, glob, (char **)(uintptr_t)&rule->glob);
        if (result < 0)
            return result;
        settings->policy_count++;
        result = take_policy(reader, value, &rule->policy);
        if (result < 0)
            return result;
    }
    return 0;
}

/* ---- limits ---- */

static int limit_rate(struct section_reader *reader, yaml_node_t *node, void *target)
{
    struct weir_limit_rule *rule = target;
    if (rule->mode == WEIR_LIMIT_OFF)
        rule->mode = WEIR_LIMIT_SHAPE;
    int result = section_number(reader, node, 1, 1000000000, &rule->tokens_per_s);
    if (result == 0 && rule->burst_tokens == 0)
        rule->burst_tokens = rule->tokens_per_s; /* one second's worth, unless said otherwise */
    return result;
}

static int limit_burst(struct section_reader *reader, yaml_node_t *node, void *target)
{
    return section_number(reader, node, 1, 1000000000,
                          &((struct weir_limit_rule *)target)->burst_tokens);
}

static int limit_mode(struct section_reader *reader, yaml_node_t *node, void *target)
{
    static const struct {
        const char *name;
        enum weir_limit_mode mode;
    } modes[] = {{"shape", WEIR_LIMIT_SHAPE},
                 {"police", WEIR_LIMIT_POLICE},
                 {"observe", WEIR_LIMIT_OBSERVE}};
    for (size_t i = 0; section_scalar(node) && i < sizeof modes / sizeof *modes; i++)
        if (strcmp(section_scalar(node), modes[i].name) == 0) {
            ((struct weir_limit_rule *)target)->mode = modes[i].mode;
            return 0;
        }
    return section_complain(reader, node,
                            "expected shape (delay), police (reject) or observe (count only)");
}

static const struct section_key limit_keys[] = {
    {"rate", limit_rate}, {"burst", limit_burst}, {"mode", limit_mode}, {NULL, NULL}};

static int take_limit(struct section_reader *reader, yaml_node_t *node, enum weir_limit_level level)
{
    struct weir_limit_rule *rule = &reader->settings->limits[level];
    int result = section_take(reader, node, limit_keys, rule);
    if (result == 0 && rule->tokens_per_s == 0)
        return section_complain(reader, node, "a limit needs its `rate:`, in events a second");
    return result;
}

static int limit_client(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return take_limit(reader, node, WEIR_LIMIT_CLIENT);
}

static int limit_topic(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return take_limit(reader, node, WEIR_LIMIT_TOPIC);
}

static int limit_process(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return take_limit(reader, node, WEIR_LIMIT_PROCESS);
}

static const struct section_key limits_keys[] = {
    {"address", limit_client}, {"topic", limit_topic}, {"process", limit_process}, {NULL, NULL}};

static int take_limits(struct section_reader *reader, yaml_node_t *node, void *target)
{
    return section_take(reader, node, limits_keys, target);
}

/* ---- the top ---- */

static int top_cores(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return section_u32(reader, node, 1, 128, &reader->settings->cores);
}

static int top_data(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return section_text(reader, node, &reader->settings->data);
}

static int top_io(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    static const char *const names[] = {
        [WEIR_IO_AUTO] = "auto", [WEIR_IO_URING] = "uring", [WEIR_IO_EPOLL] = "epoll"};
    for (uint32_t i = 0; section_scalar(node) && i < 3; i++)
        if (strcmp(section_scalar(node), names[i]) == 0) {
            reader->settings->io = i;
            return 0;
        }
    return section_complain(reader, node, "expected auto, uring or epoll");
}

static int add_address(struct section_reader *reader, yaml_node_t *node)
{
    struct settings *settings = reader->settings;
    if (settings->address_count == SETTINGS_ADDRESSES_MAX)
        return section_complain(reader, node, "at most %d addresses", SETTINGS_ADDRESSES_MAX);
    int result = section_text(reader, node, &settings->addresses[settings->address_count]);
    settings->address_count += result == 0;
    return result;
}

static int top_listen(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    if (node->type != YAML_SEQUENCE_NODE)
        return add_address(reader, node);
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        int result = add_address(reader, yaml_document_get_node(&reader->document, *item));
        if (result < 0)
            return result;
    }
    return 0;
}

static int top_log_level(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (uint32_t i = 0; section_scalar(node) && i < 4; i++)
        if (strcmp(section_scalar(node), names[i]) == 0) {
            reader->settings->log_level = (enum weir_log_level)i;
            return 0;
        }
    return section_complain(reader, node, "expected debug, info, warn or error");
}

static int top_memory(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return section_bytes(reader, node, &reader->settings->memory_bytes_max);
}

static int top_spin(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return section_ns(reader, node, &reader->settings->spin_ns_max);
}

static int top_stall(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return section_ns(reader, node, &reader->settings->stall_budget_ns);
}

static int top_drain(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return section_ns(reader, node, &reader->settings->drain_timeout_ns);
}

static int top_pin(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return section_flag(reader, node, &reader->settings->pin);
}

static int top_busy_poll(struct section_reader *reader, yaml_node_t *node, void *target)
{
    (void)target;
    return section_flag(reader, node, &reader->settings->busy_poll);
}

static const struct section_key top_keys[] = {{"cores", top_cores},
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
                                              {"kafka", take_kafka},
                                              {"kept_topics", take_keep},
                                              {"users", take_users},
                                              {"slow_subscribers", take_default_policy},
                                              {"topics", take_topics},
                                              {"publish_limits", take_limits},
                                              {NULL, NULL}};

/* What the parser says is about tokens; two mistakes that people make have a better word. */
static int not_yaml(struct section_reader *reader, const yaml_parser_t *parser)
{
    const char *problem = parser->problem ? parser->problem : "not YAML";
    const char *mend = "";
    if (strstr(problem, "cannot start any token"))
        mend = " (indent with spaces, not with tabs)";
    else if (strstr(problem, "did not find expected alphabetic or numeric character"))
        mend = " (put a value that begins with * or & in quotes)";
    size_t line = parser->error == YAML_READER_ERROR ? parser->mark.line
                                                     : parser->problem_mark.line;
    snprintf(reader->error_out, reader->error_bytes, "%s:%zu: %s%s", reader->path, line + 1,
             problem, mend);
    return -EINVAL;
}

/* What topics leave out is as slow_subscribers says, above them or below: so that section is taken first. */
static int take_top(struct section_reader *reader, yaml_node_t *root)
{
    yaml_node_t *defaults = section_find(reader, root, "slow_subscribers");
    int result = defaults ? take_default_policy(reader, defaults, NULL) : 0;
    return result == 0 ? section_take(reader, root, top_keys, NULL) : result;
}

static int read_document(struct section_reader *reader, yaml_parser_t *parser, bool first)
{
    if (!yaml_parser_load(parser, &reader->document))
        return not_yaml(reader, parser);
    yaml_node_t *root = yaml_document_get_root_node(&reader->document);
    int result = 0;
    if (!root || (section_scalar(root) && !*section_scalar(root)))
        result = 0; /* an empty file sets nothing */
    else if (first)
        result = take_top(reader, root);
    else
        result = section_complain(reader, root, "a second document (---) in one file");
    yaml_document_delete(&reader->document);
    return result;
}

static int refuse_folder(FILE *file)
{
    struct stat found;
    return fstat(fileno(file), &found) == 0 && S_ISDIR(found.st_mode) ? -EISDIR : 0;
}

int config_read(struct settings *settings, const char *path, char *error_out, size_t error_bytes)
{
    FILE *file = fopen(path, "re");
    int error = file ? refuse_folder(file) : -errno;
    if (error < 0) {
        if (file)
            fclose(file);
        snprintf(error_out, error_bytes, "cannot read %s: %s", path, strerror(-error));
        return error;
    }
    struct section_reader reader = {
        .settings = settings, .path = path, .error_out = error_out, .error_bytes = error_bytes};
    yaml_parser_t parser;
    int result = yaml_parser_initialize(&parser) ? 0 : -ENOMEM;
    if (result == 0) {
        yaml_parser_set_input_file(&parser, file);
        result = read_document(&reader, &parser, true);
        if (result == 0)
            result = read_document(&reader, &parser, false);
        yaml_parser_delete(&parser);
    }
    fclose(file);
    if (result == 0) {
        free(settings->config);
        settings->config = strdup(path);
    }
    return result;
}
