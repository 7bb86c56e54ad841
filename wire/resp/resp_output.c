/*
 * wire/resp/resp_output.c - what requests answer, on its way to the connection.
 *
 * All answers of a batch of requests are written into one output of the reactor's and handed over
 * in one piece: behind the events that wait for a subscriber, else straight to the connection. Within
 * a transaction nothing leaves before the whole answer is there. A client that asks and does not
 * read is held above reply_bytes_max.
 * Proof: tests/wire/resp/resp_session_test.c.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "wire/resp/resp_command.h"

int weir_resp_out_open(struct weir_resp_writer *out)
{
    char *bytes = malloc(WEIR_RESP_OUT_BYTES);
    if (!bytes)
        return -ENOMEM;
    weir_resp_writer_init(out, bytes, WEIR_RESP_OUT_BYTES, 2);
    return 0;
}

void weir_resp_out_trim(struct weir_resp_writer *out)
{
    if (out->capacity <= WEIR_RESP_OUT_BYTES)
        return;
    WEIR_ASSERT(out->count == 0);
    char *smaller = realloc(out->bytes, WEIR_RESP_OUT_BYTES);
    if (!smaller)
        return;
    out->bytes = smaller;
    out->capacity = WEIR_RESP_OUT_BYTES;
}

static void hold_a_greedy_one(struct weir_resp_session *session)
{
    uint64_t bytes_max = session->local->server->settings.reply_bytes_max;
    if (session->reply_bytes <= bytes_max || (session->holds & WEIR_RESP_HOLD_REPLIES))
        return;
    if (weir_subscriber_waiting_bytes(&session->subscriber) <= bytes_max)
        return;
    session->local->counters.paused_by_replies++;
    weir_resp_hold(session, WEIR_RESP_HOLD_REPLIES);
}

static int hand_over(struct weir_resp_session *session, const char *bytes, size_t count)
{
    if (session->subscriber.window.count > 0)
        return weir_subscriber_reply(&session->subscriber, bytes, count);
    return weir_tcp_write(weir_resp_conn(session), bytes, count);
}

void weir_resp_flush(struct weir_resp_session *session)
{
    struct weir_resp_writer *out = weir_resp_out(session);
    size_t count = out->count;
    session->local->mark = 0;
    if (count == 0)
        return;
    out->count = 0;
    if (count > out->capacity) {
        weir_resp_abort(session, "no memory for its answer");
        return;
    }
    if (!weir_resp_open(session))
        return;
    int result = hand_over(session, out->bytes, count);
    if (result < 0 && result != -EPIPE)
        weir_resp_abort(session, "no memory for its answer");
    if (__builtin_add_overflow(session->reply_bytes, count, &session->reply_bytes))
        session->reply_bytes = UINT32_MAX;
    hold_a_greedy_one(session);
}

static void grow(struct weir_resp_writer *out, size_t byte_count)
{
    size_t capacity = out->capacity;
    while (capacity - out->count < byte_count && capacity < WEIR_RESP_OUT_BYTES_MAX)
        capacity *= 2;
    char *bytes = capacity - out->count < byte_count ? NULL : realloc(out->bytes, capacity);
    if (!bytes)
        return; /* the writer counts on, and the flush sees it */
    out->bytes = bytes;
    out->capacity = capacity;
}

struct weir_resp_writer *weir_resp_room(struct weir_resp_session *session, size_t byte_count)
{
    struct weir_resp_writer *out = weir_resp_out(session);
    size_t wanted = byte_count + WEIR_RESP_ROOM_BYTES;
    if (out->count > out->capacity || out->capacity - out->count >= wanted)
        return out;
    if (session->local->muting)
        out->count = session->local->mark;
    else if (!weir_resp_executing(session))
        weir_resp_flush(session);
    if (out->capacity - out->count < wanted)
        grow(out, wanted);
    return out;
}

void weir_resp_fail(struct weir_resp_session *session, const char *text)
{
    session->local->counters.errors++;
    weir_resp_write_failure(weir_resp_out(session), text);
}

void weir_resp_failf(struct weir_resp_session *session, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    weir_resp_fail(session, text);
}

void weir_resp_ok(struct weir_resp_session *session)
{
    weir_resp_write_status(weir_resp_out(session), "OK");
}

void weir_resp_reply_bulk(struct weir_resp_session *session, const void *bytes, size_t count)
{
    weir_resp_write_bulk(weir_resp_room(session, count), bytes, count);
}

void weir_resp_reply_lines(struct weir_resp_session *session, const char *const *lines)
{
    size_t count = 0;
    while (lines[count])
        count++;
    weir_resp_write_array(weir_resp_out(session), count);
    for (size_t i = 0; i < count; i++)
        weir_resp_write_status(weir_resp_room(session, strlen(lines[i])), lines[i]);
}
