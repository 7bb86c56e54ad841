/*
 * wire/resp/resp_dispatch.c - from a request to its command, and whether it may run now.
 *
 * The checks stand in Redis's order, so that a request with several faults gets the same error from
 * both: unknown, arity, not logged in, subscriber mode, transaction. Names are folded to lower case
 * once and searched in the sorted table; PUBLISH and PING are looked at first.
 * Proof: tests/wire/resp/resp_session_test.c.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "wire/resp/resp_command.h"

enum { NAME_BYTES_MAX = 32, SHOWN_BYTES_MAX = 128 };

#define PAUSE_LOOK_NS UINT64_C(20000000) /* CLIENT UNPAUSE is noticed within this */

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static int compare(const char *folded, size_t count, const char *name)
{
    int order = strncmp(folded, name, count);
    return order != 0 ? order : name[count] == '\0' ? 0 : -1;
}

const struct weir_resp_definition *weir_resp_definition_find(struct weir_resp_slice name)
{
    char folded[NAME_BYTES_MAX];
    if (name.count == 0 || name.count > sizeof folded)
        return NULL;
    for (size_t i = 0; i < name.count; i++)
        folded[i] = fold(name.bytes[i]);
    uint32_t low = 0;
    uint32_t high = weir_resp_definition_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int order = compare(folded, name.count, weir_resp_definitions[middle].name);
        if (order == 0)
            return &weir_resp_definitions[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct weir_resp_definition *weir_resp_subcommand_find(const struct weir_resp_definition *of,
                                                             struct weir_resp_slice name)
{
    for (const struct weir_resp_definition *at = of->subcommands; at->name; at++)
        if (weir_resp_slice_is(name, strchr(at->name, '|') + 1))
            return at;
    return NULL;
}

const struct weir_resp_definition *weir_resp_definition_of(const struct weir_resp_command *command)
{
    const struct weir_resp_definition *definition = weir_resp_definition_find(command->args[0]);
    if (definition && definition->subcommands && command->arg_count > 1)
        return weir_resp_subcommand_find(definition, command->args[1]);
    return definition;
}

bool weir_resp_arity_fits(const struct weir_resp_definition *definition, uint32_t arg_count)
{
    int arity = definition->arity;
    return arity > 0 ? arg_count == (uint32_t)arity : arg_count >= (uint32_t)-arity;
}

/* ---- refusals ---- */

static int shown(struct weir_resp_slice slice, size_t bytes_max)
{
    return (int)(slice.count < bytes_max ? slice.count : bytes_max);
}

static void fail_unknown(struct weir_resp_session *session, const struct weir_resp_command *command)
{
    char args[SHOWN_BYTES_MAX + 8];
    size_t used = 0;
    for (uint32_t i = 1; i < command->arg_count && used < SHOWN_BYTES_MAX; i++)
        used += (size_t)snprintf(args + used, sizeof args - used, "'%.*s' ",
                                 shown(command->args[i], SHOWN_BYTES_MAX - used),
                                 command->args[i].bytes);
    weir_resp_failf(session, "ERR unknown command '%.*s', with args beginning with: %.*s",
                    shown(command->args[0], SHOWN_BYTES_MAX), command->args[0].bytes, (int)used,
                    args);
}

static void fail_unknown_subcommand(struct weir_resp_session *session,
                                    const struct weir_resp_definition *of,
                                    struct weir_resp_slice name)
{
    char upper[NAME_BYTES_MAX];
    size_t i = 0;
    for (; of->name[i] && i + 1 < sizeof upper; i++)
        upper[i] = (char)(of->name[i] & ~0x20);
    upper[i] = '\0';
    weir_resp_failf(session, "ERR unknown subcommand '%.*s'. Try %s HELP.",
                    shown(name, SHOWN_BYTES_MAX), name.bytes, upper);
}

static void fail_unsupported(struct weir_resp_session *session, struct weir_resp_slice name)
{
    char folded[NAME_BYTES_MAX + 1];
    size_t count = name.count < NAME_BYTES_MAX ? name.count : NAME_BYTES_MAX;
    for (size_t i = 0; i < count; i++)
        folded[i] = fold(name.bytes[i]);
    weir_resp_failf(session, "ERR weir speaks Pub/Sub; '%.*s' is not supported", (int)count, folded);
}

/* Redis has it, weir does not: still the other errors come first. */
static const struct weir_resp_definition *unsupported(void)
{
    static const struct weir_resp_definition one = {
        .name = "unsupported", .arity = -1, .flags = WEIR_RESP_UNSUPPORTED};
    return &one;
}

/* The command, or NULL and the error has been answered. */
static const struct weir_resp_definition *find(struct weir_resp_session *session,
                                               const struct weir_resp_command *command)
{
    const struct weir_resp_definition *definition = weir_resp_definition_find(command->args[0]);
    if (!definition && weir_resp_known_to_redis(command->args[0]))
        return unsupported();
    if (!definition) {
        fail_unknown(session, command);
        return NULL;
    }
    if (definition->subcommands && command->arg_count > 1) {
        const struct weir_resp_definition *sub = weir_resp_subcommand_find(definition,
                                                                           command->args[1]);
        if (!sub)
            fail_unknown_subcommand(session, definition, command->args[1]);
        definition = sub;
    }
    if (!definition || weir_resp_arity_fits(definition, command->arg_count))
        return definition;
    weir_resp_failf(session, "ERR wrong number of arguments for '%s' command", definition->name);
    return NULL;
}

static bool in_subscriber_mode(const struct weir_resp_session *session)
{
    return session->protocol == 2 && weir_resp_subscribed(session);
}

static void fail_in_subscriber_mode(struct weir_resp_session *session,
                                    const struct weir_resp_definition *definition,
                                    const struct weir_resp_command *command)
{
    char folded[NAME_BYTES_MAX + 1] = "";
    for (size_t i = 0; i < command->args[0].count && i < NAME_BYTES_MAX; i++)
        folded[i] = fold(command->args[0].bytes[i]);
    weir_resp_failf(session,
                    "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT "
                    "/ RESET are allowed "
                    "in this context",
                    definition->flags & WEIR_RESP_UNSUPPORTED ? folded : definition->name);
}

/* May it run, or be queued, at all? false: the error has been answered. */
static bool passes(struct weir_resp_session *session, const struct weir_resp_definition *definition,
                   const struct weir_resp_command *command)
{
    if (!session->user && !(definition->flags & WEIR_RESP_NO_AUTH))
        weir_resp_fail(session, "NOAUTH Authentication required.");
    else if (in_subscriber_mode(session) && !(definition->flags & WEIR_RESP_IN_SUBSCRIBER))
        fail_in_subscriber_mode(session, definition, command);
    else if (definition->flags & WEIR_RESP_UNSUPPORTED)
        fail_unsupported(session, command->args[0]);
    else
        return true;
    return false;
}

/* CLIENT PAUSE, of any client on any reactor. */
static bool paused(struct weir_resp_session *session, const struct weir_resp_definition *definition)
{
    const struct weir_resp_server *server = session->local->server;
    uint64_t until_ns = weir_load(&server->paused_until_ns, relaxed);
    uint64_t now_ns = session->local->reactor->now_ns;
    if (until_ns <= now_ns || weir_resp_executing(session))
        return false;
    if (!(definition->flags & WEIR_RESP_MAY_WRITE) && !weir_load(&server->paused_all, relaxed))
        return false;
    uint64_t wait_ns = until_ns - now_ns;
    return weir_resp_wait(session, wait_ns < PAUSE_LOOK_NS ? wait_ns : PAUSE_LOOK_NS) == 0;
}

/* ---- running ---- */

static enum weir_resp_outcome run(struct weir_resp_session *session,
                                  const struct weir_resp_command *command)
{
    if (weir_resp_executing(session)) /* EXEC goes on after a wait: it was judged before */
        return weir_resp_do_exec(session, command);
    const struct weir_resp_definition *definition = find(session, command);
    if (!definition || !passes(session, definition, command)) {
        weir_resp_multi_spoil(session);
        return WEIR_RESP_DONE;
    }
    session->last = definition;
    if (session->multi && !(definition->flags & WEIR_RESP_NOT_QUEUED)) {
        weir_resp_queue(session, command);
        return WEIR_RESP_DONE;
    }
    if (paused(session, definition))
        return WEIR_RESP_AGAIN;
    if (definition->flags & WEIR_RESP_PUSHES)
        session->local->muting = false;
    return definition->run(session, command);
}

static void start_answer(struct weir_resp_session *session)
{
    struct weir_resp_local *local = session->local;
    session->mute_this = session->mute_next;
    session->mute_next = false;
    local->muting = false;
    weir_resp_room(session, 0);
    local->muting = session->muted || session->mute_this;
    local->mark = weir_resp_executing(session) ? 0 : local->out.count;
}

enum weir_resp_outcome weir_resp_run(struct weir_resp_session *session,
                                     const struct weir_resp_command *command)
{
    struct weir_resp_local *local = session->local;
    start_answer(session);
    local->counters.commands++;
    enum weir_resp_outcome outcome = run(session, command);
    if (local->muting)
        local->out.count = local->mark;
    if (outcome == WEIR_RESP_AGAIN)
        session->mute_next = session->mute_this;
    local->muting = false;
    return outcome;
}
