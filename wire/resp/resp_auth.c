/*
 * wire/resp/resp_auth.c - who a client is: AUTH, HELLO, RESET, ACL.
 *
 * Users and their passwords are settings, read-only. A password is compared byte by byte to its end
 * whatever differs, so that the time says nothing. Channels are globs; a pattern must be literally
 * one of them, as a pattern cannot be shown to lie within another.
 * Proof: tests/wire/resp/resp_session_test.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "wire/resp/resp_command.h"

static const char wrong_password[] =
    "WRONGPASS invalid username-password pair or user is disabled.";

static bool same_secret(struct weir_resp_slice given, const char *secret)
{
    size_t count = strlen(secret);
    unsigned differs = given.count != count;
    for (size_t i = 0; i < given.count; i++)
        differs |= (unsigned char)(given.bytes[i] ^ secret[i < count ? i : count]);
    return differs == 0;
}

static bool same_name(struct weir_resp_slice name, const char *text)
{
    return name.count == strlen(text) && memcmp(name.bytes, text, name.count) == 0;
}

static const struct weir_resp_user *find_user(const struct weir_resp_server *server,
                                              struct weir_resp_slice name)
{
    for (uint32_t i = 0; i < server->settings.user_count; i++)
        if (same_name(name, server->settings.users[i].name))
            return &server->settings.users[i];
    return NULL;
}

int weir_resp_auth(struct weir_resp_session *session, struct weir_resp_slice name,
                   struct weir_resp_slice password)
{
    const struct weir_resp_user *user = find_user(session->local->server, name);
    bool right = same_secret(password, user && user->password ? user->password : "");
    if (user && !user->disabled && (right || !user->password)) {
        session->user = user;
        return 0;
    }
    session->local->counters.auth_failures++;
    char peer[WEIR_RESP_PEER_BYTES];
    weir_reactor_log(session->local->reactor, WEIR_LOG_WARN,
                     "msg=\"login refused\" protocol=redis client=%llu addr=\"%s\"",
                     (unsigned long long)session->id, weir_resp_peer(session, peer));
    return -EACCES;
}

static bool matches(const char *glob, struct weir_resp_slice name)
{
    return weir_glob_match(glob, strlen(glob), name.bytes, name.count);
}

bool weir_resp_may_access(const struct weir_resp_session *session, struct weir_resp_slice channel)
{
    const struct weir_resp_user *user = session->user;
    if (!user || !user->some_channels)
        return true;
    for (uint32_t i = 0; i < user->channel_count; i++)
        if (matches(user->channels[i], channel))
            return true;
    return false;
}

bool weir_resp_may_access_pattern(const struct weir_resp_session *session,
                                  struct weir_resp_slice pattern)
{
    const struct weir_resp_user *user = session->user;
    if (!user || !user->some_channels)
        return true;
    for (uint32_t i = 0; i < user->channel_count; i++)
        if (same_name(pattern, user->channels[i]))
            return true;
    return false;
}

enum weir_resp_outcome weir_resp_do_auth(struct weir_resp_session *session,
                                         const struct weir_resp_command *command)
{
    struct weir_resp_slice name = {"default", 7};
    const struct weir_resp_user *otherwise = session->local->server->default_user;
    if (command->arg_count > 3) {
        weir_resp_fail(session, "ERR syntax error");
    } else if (command->arg_count == 2 && otherwise && !otherwise->password) {
        weir_resp_fail(
            session,
            "ERR AUTH <password> called without any password configured for the default user. "
            "Are you sure your configuration is correct?");
    } else {
        if (command->arg_count == 3)
            name = command->args[1];
        if (weir_resp_auth(session, name, command->args[command->arg_count - 1]) == 0)
            weir_resp_ok(session);
        else
            weir_resp_fail(session, wrong_password);
    }
    return WEIR_RESP_DONE;
}

/* ---- HELLO ---- */

struct hello {
    uint8_t protocol;
    bool logs_in;
    bool names;
    struct weir_resp_slice user;
    struct weir_resp_slice password;
    struct weir_resp_slice name;
};

static bool read_protocol(struct weir_resp_session *session, struct weir_resp_slice text,
                          struct hello *hello)
{
    int64_t protocol;
    if (!weir_bytes_parse_i64(text.bytes, text.count, &protocol)) {
        weir_resp_fail(session, "ERR Protocol version is not an integer or out of range");
        return false;
    }
    if (protocol != 2 && protocol != 3) {
        weir_resp_fail(session, "NOPROTO unsupported protocol version");
        return false;
    }
    hello->protocol = (uint8_t)protocol;
    return true;
}

static bool read_hello(struct weir_resp_session *session, const struct weir_resp_command *command,
                       struct hello *hello)
{
    const struct weir_resp_slice *args = command->args;
    if (command->arg_count > 1 && !read_protocol(session, args[1], hello))
        return false;
    for (uint32_t i = 2; i < command->arg_count; i++) {
        uint32_t more = command->arg_count - 1 - i;
        if (weir_resp_slice_is(args[i], "auth") && more >= 2) {
            hello->logs_in = true;
            hello->user = args[++i];
            hello->password = args[++i];
        } else if (weir_resp_slice_is(args[i], "setname") && more >= 1) {
            hello->names = true;
            hello->name = args[++i];
        } else {
            weir_resp_failf(session, "ERR Syntax error in HELLO option '%.*s'",
                            (int)(args[i].count < 128 ? args[i].count : 128), args[i].bytes);
            return false;
        }
    }
    return true;
}

static void set_protocol(struct weir_resp_session *session, uint8_t protocol)
{
    session->protocol = protocol;
    session->subscriber.format = protocol == 3 ? &weir_resp_format_3 : &weir_resp_format_2;
    weir_resp_out(session)->protocol = protocol;
}

static void introduce(struct weir_resp_session *session)
{
    struct weir_resp_writer *out = weir_resp_out(session);
    weir_resp_write_map(out, 7);
    weir_resp_write_bulk_text(out, "server");
    weir_resp_write_bulk_text(out, "redis");
    weir_resp_write_bulk_text(out, "version");
    weir_resp_write_bulk_text(out, session->local->server->settings.redis_version);
    weir_resp_write_bulk_text(out, "proto");
    weir_resp_write_integer(out, session->protocol);
    weir_resp_write_bulk_text(out, "id");
    weir_resp_write_integer(out, (int64_t)session->id);
    weir_resp_write_bulk_text(out, "mode");
    weir_resp_write_bulk_text(out, "standalone");
    weir_resp_write_bulk_text(out, "role");
    weir_resp_write_bulk_text(out, "master");
    weir_resp_write_bulk_text(out, "modules");
    weir_resp_write_array(out, 0);
}

enum weir_resp_outcome weir_resp_do_hello(struct weir_resp_session *session,
                                          const struct weir_resp_command *command)
{
    struct hello hello = {.protocol = session->protocol};
    if (!read_hello(session, command, &hello))
        return WEIR_RESP_DONE;
    if (hello.logs_in && weir_resp_auth(session, hello.user, hello.password) < 0) {
        weir_resp_fail(session, wrong_password);
    } else if (!session->user) {
        weir_resp_fail(
            session,
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the "
            "HELLO "
            "AUTH <user> <pass> option can be used to authenticate the client and select the RESP "
            "protocol version at the same time");
    } else if (hello.names && weir_resp_set_text(&session->name, hello.name) < 0) {
        weir_resp_fail(session,
                       "ERR Client names cannot contain spaces, newlines or special characters.");
    } else {
        set_protocol(session, hello.protocol);
        introduce(session);
    }
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_reset(struct weir_resp_session *session,
                                          const struct weir_resp_command *command)
{
    (void)command;
    const struct weir_resp_user *otherwise = session->local->server->default_user;
    weir_resp_leave_all(session);
    weir_resp_multi_drop(session);
    free(session->name);
    session->name = NULL;
    session->user = otherwise && !otherwise->password ? otherwise : NULL;
    session->muted = false;
    session->no_evict = false;
    session->no_touch = false;
    session->local->muting = false;
    set_protocol(session, 2);
    weir_resp_write_status(weir_resp_out(session), "RESET");
    return WEIR_RESP_DONE;
}

/* ---- ACL ---- */

enum weir_resp_outcome weir_resp_do_acl_whoami(struct weir_resp_session *session,
                                               const struct weir_resp_command *command)
{
    (void)command;
    weir_resp_reply_bulk(session, session->user->name, strlen(session->user->name));
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_acl_users(struct weir_resp_session *session,
                                              const struct weir_resp_command *command)
{
    (void)command;
    const struct weir_resp_settings *settings = &session->local->server->settings;
    weir_resp_write_array(weir_resp_out(session), settings->user_count);
    for (uint32_t i = 0; i < settings->user_count; i++)
        weir_resp_reply_bulk(session, settings->users[i].name, strlen(settings->users[i].name));
    return WEIR_RESP_DONE;
}

static void describe_user(struct weir_text *text, const struct weir_resp_user *user)
{
    weir_text_add(text, "user %s %s%s", user->name, user->disabled ? "off" : "on",
                  user->password ? "" : " nopass");
    weir_text_add(text, " sanitize-payload ~* %s", user->some_channels ? "resetchannels" : "&*");
    for (uint32_t i = 0; user->some_channels && i < user->channel_count; i++)
        weir_text_add(text, " &%s", user->channels[i]);
    weir_text_add(text, " +@all");
}

enum weir_resp_outcome weir_resp_do_acl_list(struct weir_resp_session *session,
                                             const struct weir_resp_command *command)
{
    (void)command;
    const struct weir_resp_settings *settings = &session->local->server->settings;
    weir_resp_write_array(weir_resp_out(session), settings->user_count);
    for (uint32_t i = 0; i < settings->user_count; i++) {
        struct weir_text text = {0};
        describe_user(&text, &settings->users[i]);
        weir_resp_reply_bulk(session, text.bytes, text.byte_count);
        weir_text_free(&text);
    }
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_acl_cat(struct weir_resp_session *session,
                                            const struct weir_resp_command *command)
{
    static const char *const categories[] = {"pubsub", "connection", "transaction",
                                             "admin",  "fast",       "slow"};
    enum { COUNT = sizeof categories / sizeof *categories };
    (void)command;
    weir_resp_write_array(weir_resp_out(session), COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
        weir_resp_write_bulk_text(weir_resp_out(session), categories[i]);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_acl_fixed(struct weir_resp_session *session,
                                              const struct weir_resp_command *command)
{
    (void)command;
    weir_resp_fail(session, "ERR weir's users are its settings: they change with a restart");
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_acl_help(struct weir_resp_session *session,
                                             const struct weir_resp_command *command)
{
    static const char *const lines[] = {
        "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CAT",
        "    List all commands that belong to <category>, or all command categories",
        "LIST",
        "    Show users details in config file format.",
        "USERS",
        "    List all the registered usernames.",
        "WHOAMI",
        "    Return the current connection username.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    (void)command;
    weir_resp_reply_lines(session, lines);
    return WEIR_RESP_DONE;
}
