/*
 * wire/resp/resp_server.c - the server itself, and the commands that only ask it something small.
 *
 * Proof: tests/wire/resp/resp_session_test.c, tests/clients/.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/glob.h"
#include "base/hash.h"
#include "wire/resp/resp_command.h"

enum { CLIENTS_MAX_DEFAULT = 10000, DATABASES = 16 };

#define QUERY_BYTES_MAX_DEFAULT (UINT64_C(1) << 30)
#define GUEST_QUERY_BYTES_MAX_DEFAULT (UINT64_C(1) << 20)
#define REPLY_BYTES_MAX_DEFAULT (UINT64_C(1) << 20)

/* ---- life ---- */

static void fill_in_defaults(struct weir_resp_server *server)
{
    struct weir_resp_settings *settings = &server->settings;
    if (settings->clients_max == 0)
        settings->clients_max = CLIENTS_MAX_DEFAULT;
    if (settings->query_bytes_max == 0)
        settings->query_bytes_max = QUERY_BYTES_MAX_DEFAULT;
    if (settings->guest_query_bytes_max == 0)
        settings->guest_query_bytes_max = GUEST_QUERY_BYTES_MAX_DEFAULT;
    if (settings->reply_bytes_max == 0)
        settings->reply_bytes_max = REPLY_BYTES_MAX_DEFAULT;
    if (!settings->redis_version)
        settings->redis_version = "7.4.0";
    if (settings->user_count == 0) {
        server->everyone.name = "default";
        settings->users = &server->everyone;
        settings->user_count = 1;
    }
}

static int find_default_user(struct weir_resp_server *server)
{
    for (uint32_t i = 0; i < server->settings.user_count; i++) {
        const struct weir_resp_user *user = &server->settings.users[i];
        if (!user->name)
            return -EINVAL;
        if (strcmp(user->name, "default") == 0 && !user->disabled)
            server->default_user = user;
    }
    return 0;
}

int weir_resp_server_open(struct weir_runtime *runtime, const struct weir_resp_settings *settings,
                          struct weir_resp_server **server_out)
{
    struct weir_resp_server *server = calloc(1, sizeof *server);
    if (!server)
        return -ENOMEM;
    server->runtime = runtime;
    server->settings = *settings;
    server->local_count = weir_runtime_reactor_count(runtime);
    server->locals = calloc(server->local_count, sizeof(struct weir_resp_local *));
    server->hash_seed = weir_hash_u64((uint64_t)(uintptr_t)server, (uint64_t)(uintptr_t)runtime);
    fill_in_defaults(server);
    int result = server->locals ? find_default_user(server) : -ENOMEM;
    if (result < 0) {
        free(server->locals);
        free(server);
        return result;
    }
    *server_out = server;
    return 0;
}

void weir_resp_server_close(struct weir_resp_server *server)
{
    if (!server)
        return;
    for (uint32_t i = 0; i < server->local_count; i++) {
        if (!server->locals[i])
            continue;
        weir_resp_parser_close(&server->locals[i]->parser);
        free(server->locals[i]->out.bytes);
        free(server->locals[i]);
    }
    free(server->locals);
    free(server);
}

/* ---- small talk ---- */

enum weir_resp_outcome weir_resp_do_ping(struct weir_resp_session *session,
                                         const struct weir_resp_command *command)
{
    struct weir_resp_slice word = {"", 0};
    if (command->arg_count > 2) {
        weir_resp_fail(session, "ERR wrong number of arguments for 'ping' command");
        return WEIR_RESP_DONE;
    }
    if (command->arg_count == 2)
        word = command->args[1];
    if (session->protocol == 2 && weir_resp_subscribed(session)) {
        weir_resp_write_array(weir_resp_out(session), 2);
        weir_resp_write_bulk_text(weir_resp_out(session), "pong");
        weir_resp_reply_bulk(session, word.bytes, word.count);
    } else if (command->arg_count == 2) {
        weir_resp_reply_bulk(session, word.bytes, word.count);
    } else {
        weir_resp_write_status(weir_resp_out(session), "PONG");
    }
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_echo(struct weir_resp_session *session,
                                         const struct weir_resp_command *command)
{
    weir_resp_reply_bulk(session, command->args[1].bytes, command->args[1].count);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_quit(struct weir_resp_session *session,
                                         const struct weir_resp_command *command)
{
    (void)command;
    weir_resp_ok(session);
    weir_resp_close(session);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_select(struct weir_resp_session *session,
                                           const struct weir_resp_command *command)
{
    int64_t index;
    if (!weir_bytes_parse_i64(command->args[1].bytes, command->args[1].count, &index))
        weir_resp_fail(session, "ERR value is not an integer or out of range");
    else if (index < 0 || index >= DATABASES)
        weir_resp_fail(session, "ERR DB index is out of range");
    else
        weir_resp_ok(session);
    return WEIR_RESP_DONE;
}

static void write_number_text(struct weir_resp_session *session, uint64_t value)
{
    char text[WEIR_U64_DIGITS_MAX];
    weir_resp_reply_bulk(session, text, weir_bytes_put_u64(text, value));
}

enum weir_resp_outcome weir_resp_do_time(struct weir_resp_session *session,
                                         const struct weir_resp_command *command)
{
    (void)command;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    weir_resp_write_array(weir_resp_out(session), 2);
    write_number_text(session, (uint64_t)now.tv_sec);
    write_number_text(session, (uint64_t)now.tv_nsec / 1000);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_role(struct weir_resp_session *session,
                                         const struct weir_resp_command *command)
{
    (void)command;
    struct weir_resp_writer *out = weir_resp_out(session);
    weir_resp_write_array(out, 3);
    weir_resp_write_bulk_text(out, "master");
    weir_resp_write_integer(out, 0);
    weir_resp_write_array(out, 0);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_cluster(struct weir_resp_session *session,
                                            const struct weir_resp_command *command)
{
    (void)command;
    weir_resp_fail(session, "ERR This instance has cluster support disabled");
    return WEIR_RESP_DONE;
}

/* ---- CONFIG ---- */

struct config {
    const char *name;
    char value[96];
};
enum { CONFIGS_MAX = 32 };

__attribute__((format(printf, 3, 4))) static void
add_config(struct config *configs, const char *name, const char *format, ...)
{
    uint32_t i = 0;
    while (configs[i].name)
        i++;
    va_list args;
    configs[i].name = name;
    va_start(args, format);
    vsnprintf(configs[i].value, sizeof configs[i].value, format, args);
    va_end(args);
}

static void add_limits(const struct weir_resp_session *session, struct config *configs)
{
    const struct weir_resp_settings *settings = &session->local->server->settings;
    const struct weir_policy *policy = session->subscriber.policy;
    add_config(configs, "maxclients", "%u", settings->clients_max);
    add_config(configs, "client-query-buffer-limit", "%llu",
               (unsigned long long)settings->query_bytes_max);
    add_config(configs, "proto-max-bulk-len", "%d", WEIR_RESP_BULK_BYTES_MAX);
    add_config(configs, "client-output-buffer-limit",
               "normal 0 0 0 slave 0 0 0 pubsub %llu %llu %llu",
               (unsigned long long)policy->hard_bytes, (unsigned long long)policy->soft_bytes,
               (unsigned long long)(policy->soft_ns / 1000000000));
    add_config(configs, "timeout", "0");
    add_config(configs, "tcp-keepalive", "%u", settings->keepalive_s);
    add_config(configs, "maxmemory", "%llu",
               (unsigned long long)session->local->reactor->buffers.bytes_max);
}

static void collect(const struct weir_resp_session *session, struct config *configs)
{
    add_limits(session, configs);
    add_config(configs, "maxmemory-policy", "noeviction");
    add_config(configs, "save", "%s", "");
    add_config(configs, "appendonly", "no");
    add_config(configs, "databases", "%d", DATABASES);
    add_config(configs, "port", "%u", session->local->port);
    add_config(configs, "io-threads", "%u", session->local->server->local_count);
    add_config(configs, "cluster-enabled", "no");
    add_config(configs, "notify-keyspace-events", "%s", "");
    add_config(configs, "requirepass", "%s", "");
    add_config(configs, "slowlog-log-slower-than", "-1");
    add_config(configs, "slowlog-max-len", "0");
}

static bool config_asked(const struct weir_resp_command *command, const char *name)
{
    char pattern[64];
    for (uint32_t i = 2; i < command->arg_count; i++) {
        size_t count = command->args[i].count;
        if (count > sizeof pattern)
            continue;
        for (size_t j = 0; j < count; j++) {
            char c = command->args[i].bytes[j];
            pattern[j] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        }
        if (weir_glob_match(pattern, count, name, strlen(name)))
            return true;
    }
    return false;
}

enum weir_resp_outcome weir_resp_do_config_get(struct weir_resp_session *session,
                                               const struct weir_resp_command *command)
{
    struct config configs[CONFIGS_MAX] = {0};
    uint32_t count = 0;
    collect(session, configs);
    for (uint32_t i = 0; configs[i].name; i++)
        if (config_asked(command, configs[i].name))
            configs[count++] = configs[i];
    weir_resp_write_map(weir_resp_out(session), count);
    for (uint32_t i = 0; i < count; i++) {
        weir_resp_write_bulk_text(weir_resp_room(session, 256), configs[i].name);
        weir_resp_write_bulk_text(weir_resp_out(session), configs[i].value);
    }
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_config_fixed(struct weir_resp_session *session,
                                                 const struct weir_resp_command *command)
{
    (void)command;
    weir_resp_fail(
        session,
        "ERR weir's settings are its file and its command line: they change with a restart");
    return WEIR_RESP_DONE;
}

/* Counters of weir only grow: whoever draws them takes differences. */
enum weir_resp_outcome weir_resp_do_config_resetstat(struct weir_resp_session *session,
                                                     const struct weir_resp_command *command)
{
    (void)command;
    weir_resp_ok(session);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_config_help(struct weir_resp_session *session,
                                                const struct weir_resp_command *command)
{
    static const char *const lines[] = {
        "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "RESETSTAT",
        "    Accepted; weir's counters only grow.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    (void)command;
    weir_resp_reply_lines(session, lines);
    return WEIR_RESP_DONE;
}
