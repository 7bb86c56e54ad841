/*
 * wire/resp/resp_multi.c - transactions: what is queued between MULTI and EXEC, and its run.
 *
 * A queued request is one buffer of the reactor's: its arguments and their bytes. EXEC runs one after the other;
 * when one must wait, EXEC itself is the request that comes again, and `next` remembers how far it
 * was. The answer is kept whole until the end, so no event gets inside it. There are no keys, so
 * WATCH never sees one change. Bounded by query_bytes_max, and all together by three quarters of the
 * reactor's memory. Proof: tests/wire/resp/resp_session_test.c, resp_bounds_test.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "wire/resp/resp_command.h"

struct queued {
    struct queued *after;
    struct weir_buffer *home; /* where this lies */
    uint32_t arg_count;
    struct weir_resp_slice args[]; /* the bytes lie behind */
};

struct weir_resp_multi {
    struct queued *first;
    struct queued **end;
    struct queued *next; /* to run, while executing */
    uint32_t count;
    size_t byte_count;
    bool spoilt;
    bool executing;
    bool subscribed; /* a request that was run has subscribed to something */
    struct weir_text kept;
};

static struct queued *copy(const struct weir_resp_session *session,
                           const struct weir_resp_command *command, size_t *byte_count_out)
{
    size_t byte_count = sizeof(struct queued) + command->arg_count * sizeof(struct weir_resp_slice);
    for (uint32_t i = 0; i < command->arg_count; i++)
        byte_count += command->args[i].count;
    struct weir_buffer *home = NULL;
    if (!weir_resp_crowds_out(session, byte_count))
        home = weir_buffer_take(session->local->reactor, byte_count);
    if (!home)
        return NULL;
    struct queued *queued = (struct queued *)(void *)home->bytes;
    *byte_count_out = byte_count;
    queued->home = home;
    queued->after = NULL;
    queued->arg_count = command->arg_count;
    char *at = (char *)&queued->args[command->arg_count];
    for (uint32_t i = 0; i < command->arg_count; i++) {
        queued->args[i] = (struct weir_resp_slice){at, command->args[i].count};
        if (command->args[i].count > 0)
            memcpy(at, command->args[i].bytes, command->args[i].count);
        at += command->args[i].count;
    }
    return queued;
}

void weir_resp_multi_spoil(struct weir_resp_session *session)
{
    if (session->multi && !session->multi->executing)
        session->multi->spoilt = true;
}

void weir_resp_queue(struct weir_resp_session *session, const struct weir_resp_command *command)
{
    struct weir_resp_multi *multi = session->multi;
    size_t byte_count = 0;
    struct queued *queued = NULL;
    if (multi->byte_count < session->local->server->settings.query_bytes_max)
        queued = copy(session, command, &byte_count);
    if (!queued) {
        weir_resp_multi_spoil(session);
        weir_resp_fail(session, "OOM no memory for this transaction");
        return;
    }
    *multi->end = queued;
    multi->end = &queued->after;
    multi->count++;
    multi->byte_count += byte_count;
    weir_resp_write_status(weir_resp_out(session), "QUEUED");
}

void weir_resp_multi_drop(struct weir_resp_session *session)
{
    struct weir_resp_multi *multi = session->multi;
    if (!multi)
        return;
    for (struct queued *at = multi->first, *after; at; at = after) {
        after = at->after;
        weir_buffer_drop(session->local->reactor, at->home);
    }
    weir_text_free(&multi->kept);
    free(multi);
    session->multi = NULL;
}

uint32_t weir_resp_multi_count(const struct weir_resp_session *session)
{
    return session->multi ? session->multi->count : 0;
}

size_t weir_resp_multi_bytes(const struct weir_resp_session *session)
{
    return session->multi ? session->multi->byte_count : 0;
}

/* ---- running ---- */

bool weir_resp_executing(const struct weir_resp_session *session)
{
    return session->multi && session->multi->executing;
}

bool weir_resp_executing_subscribed(const struct weir_resp_session *session)
{
    return session->multi && session->multi->subscribed;
}

void weir_resp_multi_keep(struct weir_resp_session *session)
{
    struct weir_resp_writer *out = weir_resp_out(session);
    struct weir_text *kept = &session->multi->kept;
    WEIR_ASSERT(kept->byte_count == 0);
    if (weir_resp_writer_fits(out))
        weir_text_add_bytes(kept, out->bytes, out->count);
    if (!weir_resp_writer_fits(out) || kept->failed)
        weir_resp_abort(session, "no memory for its answer");
    out->count = 0;
}

void weir_resp_multi_restore(struct weir_resp_session *session)
{
    struct weir_text *kept = &session->multi->kept;
    struct weir_resp_writer *out = weir_resp_room(session, kept->byte_count);
    if (out->capacity < kept->byte_count)
        weir_resp_abort(session, "no memory for its answer");
    else if (kept->byte_count > 0)
        memcpy(out->bytes, kept->bytes, kept->byte_count);
    out->count = kept->byte_count;
    weir_text_free(kept);
}

static enum weir_resp_outcome run_next(struct weir_resp_session *session)
{
    struct weir_resp_multi *multi = session->multi;
    struct weir_resp_command command = {.args = multi->next->args,
                                        .arg_count = multi->next->arg_count};
    const struct weir_resp_definition *definition = weir_resp_definition_of(&command);
    weir_resp_room(session, 0);
    session->last = definition;
    enum weir_resp_outcome outcome = definition->run(session, &command);
    if (outcome == WEIR_RESP_AGAIN)
        return outcome;
    if (definition->flags & WEIR_RESP_PUSHES)
        multi->subscribed = true;
    multi->next = multi->next->after;
    return outcome;
}

static enum weir_resp_outcome execute(struct weir_resp_session *session)
{
    while (session->multi->next)
        if (run_next(session) != WEIR_RESP_DONE)
            return WEIR_RESP_AGAIN;
    session->multi->executing = false;
    weir_resp_multi_drop(session);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_exec(struct weir_resp_session *session,
                                         const struct weir_resp_command *command)
{
    (void)command;
    struct weir_resp_multi *multi = session->multi;
    if (!multi) {
        weir_resp_fail(session, "ERR EXEC without MULTI");
        return WEIR_RESP_DONE;
    }
    if (multi->spoilt) {
        weir_resp_multi_drop(session);
        weir_resp_fail(session, "EXECABORT Transaction discarded because of previous errors.");
        return WEIR_RESP_DONE;
    }
    if (!multi->executing) {
        weir_resp_flush(session);
        multi->executing = true;
        multi->next = multi->first;
        weir_resp_write_array(weir_resp_out(session), multi->count);
    }
    return execute(session);
}

enum weir_resp_outcome weir_resp_do_multi(struct weir_resp_session *session,
                                          const struct weir_resp_command *command)
{
    (void)command;
    if (session->multi) {
        weir_resp_fail(session, "ERR MULTI calls can not be nested");
        return WEIR_RESP_DONE;
    }
    session->multi = calloc(1, sizeof *session->multi);
    if (!session->multi) {
        weir_resp_fail(session, "OOM no memory for a transaction");
        return WEIR_RESP_DONE;
    }
    session->multi->end = &session->multi->first;
    weir_resp_ok(session);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_discard(struct weir_resp_session *session,
                                            const struct weir_resp_command *command)
{
    (void)command;
    if (!session->multi) {
        weir_resp_fail(session, "ERR DISCARD without MULTI");
        return WEIR_RESP_DONE;
    }
    weir_resp_multi_drop(session);
    weir_resp_ok(session);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_watch(struct weir_resp_session *session,
                                          const struct weir_resp_command *command)
{
    (void)command;
    if (session->multi)
        weir_resp_fail(session, "ERR WATCH inside MULTI is not allowed");
    else
        weir_resp_ok(session);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_unwatch(struct weir_resp_session *session,
                                            const struct weir_resp_command *command)
{
    (void)command;
    weir_resp_ok(session);
    return WEIR_RESP_DONE;
}
