/*
 * wire/resp/resp_introspect.c - COMMAND: the table of commands, told to clients.
 *
 * Proof: tests/wire/resp/resp_session_test.c.
 */
#include <string.h>

#include "wire/resp/resp_command.h"

struct word {
    uint32_t flag;
    const char *text;
};

static const struct word flag_words[] = {
    {WEIR_RESP_PUBSUB, "pubsub"},
    {WEIR_RESP_ADMIN, "admin"},
    {WEIR_RESP_NO_AUTH, "no_auth"},
    {WEIR_RESP_FAST, "fast"},
};
static const struct word category_words[] = {
    {WEIR_RESP_PUBSUB, "@pubsub"},
    {WEIR_RESP_CONNECTION, "@connection"},
    {WEIR_RESP_ADMIN, "@admin"},
    {WEIR_RESP_FAST, "@fast"},
};
enum { WORDS = 4 };

static void write_words(struct weir_resp_writer *out, const struct word *words, uint32_t flags,
                        const char *always)
{
    uint32_t count = always ? 1 : 0;
    for (uint32_t i = 0; i < WORDS; i++)
        count += (flags & words[i].flag) != 0;
    weir_resp_write_set(out, count);
    for (uint32_t i = 0; i < WORDS; i++)
        if (flags & words[i].flag)
            weir_resp_write_status(out, words[i].text);
    if (always)
        weir_resp_write_status(out, always);
}

static uint32_t subcommand_count(const struct weir_resp_definition *definition)
{
    uint32_t count = 0;
    while (definition->subcommands && definition->subcommands[count].name)
        count++;
    return count;
}

static void write_entry(struct weir_resp_session *session,
                        const struct weir_resp_definition *definition)
{
    struct weir_resp_writer *out = weir_resp_room(session, 512);
    weir_resp_write_array(out, 10);
    weir_resp_write_bulk_text(out, definition->name);
    weir_resp_write_integer(out, definition->arity);
    write_words(out, flag_words, definition->flags, "loading");
    weir_resp_write_integer(out, definition->first_key);
    weir_resp_write_integer(out, definition->last_key);
    weir_resp_write_integer(out, definition->first_key ? 1 : 0);
    write_words(out, category_words, definition->flags,
                definition->flags & WEIR_RESP_FAST ? NULL : "@slow");
    weir_resp_write_array(out, 0); /* tips */
    weir_resp_write_array(out, 0); /* key specifications */
    uint32_t count = subcommand_count(definition);
    weir_resp_write_array(out, count);
    for (uint32_t i = 0; i < count; i++)
        write_entry(session, &definition->subcommands[i]);
}

/* The definition of "client|list" or "client". */
static const struct weir_resp_definition *find_path(struct weir_resp_slice path)
{
    const char *bar = path.count > 0 ? memchr(path.bytes, '|', path.count) : NULL;
    if (!bar)
        return weir_resp_definition_find(path);
    struct weir_resp_slice name = {path.bytes, (size_t)(bar - path.bytes)};
    const struct weir_resp_definition *definition = weir_resp_definition_find(name);
    if (!definition || !definition->subcommands)
        return NULL;
    return weir_resp_subcommand_find(
        definition, (struct weir_resp_slice){bar + 1, path.count - name.count - 1});
}

static void write_all(struct weir_resp_session *session)
{
    weir_resp_write_array(weir_resp_out(session), weir_resp_definition_count);
    for (uint32_t i = 0; i < weir_resp_definition_count; i++)
        write_entry(session, &weir_resp_definitions[i]);
}

enum weir_resp_outcome weir_resp_do_command(struct weir_resp_session *session,
                                            const struct weir_resp_command *command)
{
    (void)command;
    write_all(session);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_command_count(struct weir_resp_session *session,
                                                  const struct weir_resp_command *command)
{
    (void)command;
    weir_resp_write_integer(weir_resp_out(session), weir_resp_definition_count);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_command_info(struct weir_resp_session *session,
                                                 const struct weir_resp_command *command)
{
    if (command->arg_count == 2) {
        write_all(session);
        return WEIR_RESP_DONE;
    }
    weir_resp_write_array(weir_resp_out(session), command->arg_count - 2);
    for (uint32_t i = 2; i < command->arg_count; i++) {
        const struct weir_resp_definition *definition = find_path(command->args[i]);
        if (definition)
            write_entry(session, definition);
        else
            weir_resp_write_null_array(weir_resp_room(session, 0));
    }
    return WEIR_RESP_DONE;
}

static const char *group_of(const struct weir_resp_definition *definition)
{
    if (definition->flags & WEIR_RESP_PUBSUB)
        return "pubsub";
    if (definition->flags & WEIR_RESP_CONNECTION)
        return "connection";
    return definition->flags & WEIR_RESP_NOT_QUEUED ? "transactions" : "server";
}

static void write_docs(struct weir_resp_session *session,
                       const struct weir_resp_definition *definition)
{
    struct weir_resp_writer *out = weir_resp_room(session, 512);
    uint32_t count = subcommand_count(definition);
    weir_resp_write_bulk_text(out, definition->name);
    weir_resp_write_map(out, count > 0 ? 3 : 2);
    weir_resp_write_bulk_text(out, "summary");
    weir_resp_write_bulk_text(out, definition->summary);
    weir_resp_write_bulk_text(out, "group");
    weir_resp_write_bulk_text(out, group_of(definition));
    if (count == 0)
        return;
    weir_resp_write_bulk_text(out, "subcommands");
    weir_resp_write_map(out, count);
    for (uint32_t i = 0; i < count; i++)
        write_docs(session, &definition->subcommands[i]);
}

enum weir_resp_outcome weir_resp_do_command_docs(struct weir_resp_session *session,
                                                 const struct weir_resp_command *command)
{
    uint32_t count = 0;
    if (command->arg_count == 2) {
        weir_resp_write_map(weir_resp_out(session), weir_resp_definition_count);
        for (uint32_t i = 0; i < weir_resp_definition_count; i++)
            write_docs(session, &weir_resp_definitions[i]);
        return WEIR_RESP_DONE;
    }
    for (uint32_t i = 2; i < command->arg_count; i++)
        count += find_path(command->args[i]) != NULL;
    weir_resp_write_map(weir_resp_out(session), count);
    for (uint32_t i = 2; i < command->arg_count; i++)
        if (find_path(command->args[i]))
            write_docs(session, find_path(command->args[i]));
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_command_list(struct weir_resp_session *session,
                                                 const struct weir_resp_command *command)
{
    if (command->arg_count > 2) {
        weir_resp_fail(session, "ERR syntax error");
        return WEIR_RESP_DONE;
    }
    weir_resp_write_array(weir_resp_out(session), weir_resp_definition_count);
    for (uint32_t i = 0; i < weir_resp_definition_count; i++)
        weir_resp_write_bulk_text(weir_resp_room(session, 0), weir_resp_definitions[i].name);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_command_getkeys(struct weir_resp_session *session,
                                                    const struct weir_resp_command *command)
{
    struct weir_resp_command inner = {.args = command->args + 2,
                                      .arg_count = command->arg_count - 2};
    const struct weir_resp_definition *definition = weir_resp_definition_of(&inner);
    if (!definition)
        weir_resp_fail(session, "ERR Invalid command specified");
    else if (!weir_resp_arity_fits(definition, inner.arg_count))
        weir_resp_fail(session, "ERR Invalid number of arguments specified for command");
    else if (definition->first_key == 0 || inner.arg_count < 2)
        weir_resp_fail(session, "ERR The command has no key arguments");
    else {
        uint32_t last = definition->last_key < 0 ? inner.arg_count - 1
                                                 : (uint32_t)definition->last_key;
        weir_resp_write_array(weir_resp_out(session), last);
        for (uint32_t i = 1; i <= last; i++)
            weir_resp_reply_bulk(session, inner.args[i].bytes, inner.args[i].count);
    }
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_command_help(struct weir_resp_session *session,
                                                 const struct weir_resp_command *command)
{
    static const char *const lines[] = {
        "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "(no subcommand)",
        "    Return details about all commands.",
        "COUNT",
        "    Return the total number of commands in this server.",
        "LIST",
        "    Return a list of all commands in this server.",
        "INFO [<command-name> ...]",
        "    Return details about multiple commands.",
        "DOCS [<command-name> ...]",
        "    Return documentation details about multiple commands.",
        "GETKEYS <full-command>",
        "    Return the keys from a full command.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    (void)command;
    weir_resp_reply_lines(session, lines);
    return WEIR_RESP_DONE;
}
