/*
 * wire/resp/resp_asked.c - a request that every reactor must help to answer: INFO, CLIENT LIST, KILL.
 *
 * The session holds until all have said theirs; if it goes away meanwhile the answer is dropped. With
 * a single reactor the gathering is over before it returns.
 * Proof: tests/wire/resp/resp_session_test.c.
 */
#include <stdlib.h>

#include "wire/resp/resp_command.h"

static void drop(struct weir_resp_asked *asked)
{
    if (asked->drop)
        asked->drop(asked);
    else
        free(asked);
}

void weir_resp_asked_gone(struct weir_resp_session *session)
{
    struct weir_resp_asked *asked = session->asked;
    session->asked = NULL;
    asked->session = NULL;
    if (asked->gone)
        asked->gone(asked);
}

void weir_resp_asked_wait(struct weir_resp_session *session, struct weir_resp_asked *asked)
{
    asked->session = session;
    session->asked = asked;
    weir_resp_hold(session, WEIR_RESP_HOLD_ANSWER);
}

bool weir_resp_asked_begin(struct weir_resp_asked *asked)
{
    struct weir_resp_session *session = asked->session;
    if (!session)
        return false;
    session->asked = NULL;
    if (!weir_resp_open(session)) {
        asked->session = NULL;
        weir_resp_release(session, WEIR_RESP_HOLD_ANSWER);
        return false;
    }
    weir_resp_begin(session);
    return true;
}

void weir_resp_asked_end(struct weir_resp_asked *asked)
{
    struct weir_resp_session *session = asked->session;
    weir_resp_end(session);
    weir_resp_release(session, WEIR_RESP_HOLD_ANSWER);
}

static void answer_later(struct weir_resp_session *session, struct weir_text *texts, uint32_t count,
                         struct weir_resp_asked *asked)
{
    session->asked = NULL;
    if (weir_resp_open(session)) {
        weir_resp_begin(session);
        asked->answer(session, texts, count, asked);
        weir_resp_end(session);
    }
    weir_resp_release(session, WEIR_RESP_HOLD_ANSWER);
}

static void on_gathered(struct weir_reactor *reactor, struct weir_text *texts, uint32_t count,
                        void *context)
{
    (void)reactor;
    struct weir_resp_asked *asked = context;
    asked->answered = true;
    if (asked->asking) {
        asked->answer(asked->session, texts, count, asked);
        return; /* weir_resp_ask sees to the rest */
    }
    if (asked->session)
        answer_later(asked->session, texts, count, asked);
    drop(asked);
}

enum weir_resp_outcome weir_resp_ask(struct weir_resp_session *session,
                                     struct weir_resp_asked *asked)
{
    if (!asked) {
        weir_resp_fail(session, "OOM no memory for this answer");
        return WEIR_RESP_DONE;
    }
    asked->session = session;
    asked->server = session->local->server;
    asked->asker_id = session->id;
    asked->asking = true;
    int result = weir_gather(session->local->reactor, asked->on_each, on_gathered, asked);
    asked->asking = false;
    if (result == 0 && !asked->answered) {
        session->asked = asked;
        weir_resp_hold(session, WEIR_RESP_HOLD_ANSWER);
        return WEIR_RESP_LATER;
    }
    if (result < 0)
        weir_resp_fail(session, "OOM no memory for this answer");
    drop(asked);
    return WEIR_RESP_DONE;
}
