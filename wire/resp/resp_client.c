/*
 * wire/resp/resp_client.c - CLIENT: what concerns the asking client itself. Others: resp_clients.c.
 *
 * Proof: tests/wire/resp/resp_session_test.c, tests/clients/.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/resp/resp_command.h"

static const char bad_name[] =
    "ERR Client names cannot contain spaces, newlines or special characters.";

int weir_resp_set_text(char **at, struct weir_resp_slice text)
{
    if (text.count > WEIR_RESP_NAME_BYTES_MAX)
        return -EINVAL;
    for (size_t i = 0; i < text.count; i++)
        if (text.bytes[i] < '!' || text.bytes[i] > '~')
            return -EINVAL;
    char *copy = text.count > 0 ? strndup(text.bytes, text.count) : NULL;
    if (text.count > 0 && !copy)
        return -ENOMEM;
    free(*at);
    *at = copy;
    return 0;
}

enum weir_resp_outcome weir_resp_do_client_id(struct weir_resp_session *session,
                                              const struct weir_resp_command *command)
{
    (void)command;
    weir_resp_write_integer(weir_resp_out(session), (int64_t)session->id);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_client_getname(struct weir_resp_session *session,
                                                   const struct weir_resp_command *command)
{
    (void)command;
    if (session->name)
        weir_resp_reply_bulk(session, session->name, strlen(session->name));
    else
        weir_resp_write_null(weir_resp_out(session));
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_client_setname(struct weir_resp_session *session,
                                                   const struct weir_resp_command *command)
{
    if (weir_resp_set_text(&session->name, command->args[2]) < 0)
        weir_resp_fail(session, bad_name);
    else
        weir_resp_ok(session);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_client_setinfo(struct weir_resp_session *session,
                                                   const struct weir_resp_command *command)
{
    struct weir_resp_slice option = command->args[2];
    bool is_name = weir_resp_slice_is(option, "lib-name");
    if (!is_name && !weir_resp_slice_is(option, "lib-ver")) {
        weir_resp_failf(session, "ERR Unrecognized option '%.*s'",
                        (int)(option.count < 128 ? option.count : 128), option.bytes);
        return WEIR_RESP_DONE;
    }
    if (weir_resp_set_text(is_name ? &session->lib_name : &session->lib_version, command->args[3]) <
        0)
        weir_resp_failf(session, "ERR %s cannot contain spaces, newlines or special characters.",
                        is_name ? "lib-name" : "lib-ver");
    else
        weir_resp_ok(session);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_client_info(struct weir_resp_session *session,
                                                const struct weir_resp_command *command)
{
    (void)command;
    struct weir_text text = {0};
    weir_resp_describe(session, &text);
    weir_resp_write_verbatim(weir_resp_room(session, text.byte_count), "txt", text.bytes,
                             text.byte_count);
    weir_text_free(&text);
    return WEIR_RESP_DONE;
}

/* ON or OFF into *flag. */
static enum weir_resp_outcome set_flag(struct weir_resp_session *session,
                                       struct weir_resp_slice word, bool *flag)
{
    bool on = weir_resp_slice_is(word, "on");
    if (!on && !weir_resp_slice_is(word, "off")) {
        weir_resp_fail(session, "ERR syntax error");
        return WEIR_RESP_DONE;
    }
    *flag = on;
    weir_resp_ok(session);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_client_no_evict(struct weir_resp_session *session,
                                                    const struct weir_resp_command *command)
{
    return set_flag(session, command->args[2], &session->no_evict);
}

enum weir_resp_outcome weir_resp_do_client_no_touch(struct weir_resp_session *session,
                                                    const struct weir_resp_command *command)
{
    return set_flag(session, command->args[2], &session->no_touch);
}

enum weir_resp_outcome weir_resp_do_client_reply(struct weir_resp_session *session,
                                                 const struct weir_resp_command *command)
{
    struct weir_resp_slice word = command->args[2];
    if (weir_resp_slice_is(word, "on")) {
        session->muted = false;
        session->local->muting = false;
        weir_resp_ok(session);
    } else if (weir_resp_slice_is(word, "off")) {
        session->muted = true;
        session->local->muting = true;
    } else if (weir_resp_slice_is(word, "skip")) {
        session->mute_next = !session->muted;
    } else {
        weir_resp_fail(session, "ERR syntax error");
    }
    return WEIR_RESP_DONE;
}

/* Commands that would change data wait, or (ALL) everything. */
enum weir_resp_outcome weir_resp_do_client_pause(struct weir_resp_session *session,
                                                 const struct weir_resp_command *command)
{
    struct weir_resp_server *server = session->local->server;
    uint64_t wait_ms;
    bool all = command->arg_count == 3 || weir_resp_slice_is(command->args[3], "all");
    if (!weir_bytes_parse_u64(command->args[2].bytes, command->args[2].count, &wait_ms) ||
        wait_ms > UINT32_MAX) {
        weir_resp_fail(session, "ERR timeout is not an integer or out of range");
    } else if (command->arg_count > 4 || (!all && !weir_resp_slice_is(command->args[3], "write"))) {
        weir_resp_fail(session, "ERR CLIENT PAUSE mode must be WRITE or ALL");
    } else {
        weir_store(&server->paused_all, all, relaxed);
        uint64_t now_ns = weir_io_now_ns(session->local->reactor->io);
        weir_store(&server->paused_until_ns, now_ns + wait_ms * 1000000, relaxed);
        weir_resp_ok(session);
    }
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_client_unpause(struct weir_resp_session *session,
                                                   const struct weir_resp_command *command)
{
    (void)command;
    weir_store(&session->local->server->paused_until_ns, 0, relaxed);
    weir_resp_ok(session);
    return WEIR_RESP_DONE;
}

/* There are no keys to track. */
enum weir_resp_outcome weir_resp_do_client_tracking(struct weir_resp_session *session,
                                                    const struct weir_resp_command *command)
{
    bool on = true;
    if (weir_resp_slice_is(command->args[2], "off"))
        return set_flag(session, command->args[2], &on);
    weir_resp_fail(session, "ERR weir has no keys to track");
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_client_trackinginfo(struct weir_resp_session *session,
                                                        const struct weir_resp_command *command)
{
    (void)command;
    struct weir_resp_writer *out = weir_resp_out(session);
    weir_resp_write_map(out, 3);
    weir_resp_write_bulk_text(out, "flags");
    weir_resp_write_set(out, 1);
    weir_resp_write_bulk_text(out, "off");
    weir_resp_write_bulk_text(out, "redirect");
    weir_resp_write_integer(out, -1);
    weir_resp_write_bulk_text(out, "prefixes");
    weir_resp_write_array(out, 0);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_client_getredir(struct weir_resp_session *session,
                                                    const struct weir_resp_command *command)
{
    (void)command;
    weir_resp_write_integer(weir_resp_out(session), -1);
    return WEIR_RESP_DONE;
}

/* No command blocks, so there is never one to unblock. */
enum weir_resp_outcome weir_resp_do_client_unblock(struct weir_resp_session *session,
                                                   const struct weir_resp_command *command)
{
    uint64_t id;
    if (!weir_bytes_parse_u64(command->args[2].bytes, command->args[2].count, &id))
        weir_resp_fail(session, "ERR value is not an integer or out of range");
    else
        weir_resp_write_integer(weir_resp_out(session), 0);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_client_help(struct weir_resp_session *session,
                                                const struct weir_resp_command *command)
{
    static const char *const lines[] = {
        "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GETNAME",
        "    Return the name of the current connection.",
        "ID",
        "    Return the ID of the current connection.",
        "INFO",
        "    Return information about the current client connection.",
        "KILL <ip:port>",
        "    Kill connection made from <ip:port>.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Kill connections. Options are: ADDR, LADDR, TYPE, USER, SKIPME, ID, MAXAGE.",
        "LIST [options ...]",
        "    Return information about client connections. Options are: TYPE, ID.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Suspend all, or just write, clients for <timeout> milliseconds.",
        "REPLY (ON|OFF|SKIP)",
        "    Control the replies sent to the current connection.",
        "SETNAME <name>",
        "    Assign the name <name> to the current connection.",
        "SETINFO <option> <value>",
        "    Set client meta attr. Options are: LIB-NAME, LIB-VER.",
        "UNPAUSE",
        "    Stop the current client pause, resuming traffic.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    (void)command;
    weir_resp_reply_lines(session, lines);
    return WEIR_RESP_DONE;
}
