/*
 * wire/resp/resp_xread.c - XREAD: what is new in any of several streams, now or when it comes.
 *
 *     all are asked without waiting --something--> answer
 *         \--nothing, and BLOCK--> all are asked to wait --one has something--> the others are called back --> answer
 *
 * A blocked client costs a waiter at each partition and no bytes. `$` is the end as it was when the command came. A stream that is not there
 * yet is looked for again every 100 ms while the client is blocked; an existing one never is: its append wakes.
 * Proof: tests/clients/.
 */
#include <stdlib.h>
#include <string.h>

#include "wire/resp/resp_kept.h"

enum { READ_BYTES = 1 << 20, ENTRIES_BYTES_MAX = 256 << 20, STREAMS_MAX = 128, LOOK_AGAIN_MS = 100, ID_LAST = 2, ID_NEW = 1 };
static const int64_t BLOCK_MS_MAX = (int64_t)1 << 40;
static const uint64_t ms_ns = 1000000;
static const uint64_t for_ever_ns = (uint64_t)3600 * 1000 * 1000000;

struct reading { /* one stream */
    struct weir_kept_fetch fetch;
    struct weir_kept_seek seek;
    struct xread *of;
    struct weir_resp_entries entries;
    char name[WEIR_TOPIC_NAME_BYTES_MAX + 1];
    uint32_t name_bytes;
    uint64_t offset; /* the first that is new */
    uint8_t special; /* $ or +, until the end is known */
    bool there;
    bool touched; /* was read from since its beginning is known */
    bool beyond;  /* its id lies above the stream's end */
    bool away;
};

struct xread {
    struct weir_resp_asked asked; /* first */
    struct weir_part *part;
    struct weir_reactor *reactor;
    struct weir_wheel_timer timer; /* BLOCK with a stream that is not there */
    uint64_t deadline_ns;
    uint32_t count_max;
    uint32_t left;
    uint32_t count;
    bool block;
    bool waiting;
    bool hurried;
    bool within;
    bool over;
    enum weir_kept_result result;
    struct reading readings[];
};

static uint32_t streams_with_entries(const struct xread *xread)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < xread->count; i++)
        count += xread->readings[i].entries.count > 0;
    return count;
}

static bool any_failed(const struct xread *xread)
{
    for (uint32_t i = 0; i < xread->count; i++)
        if (xread->readings[i].entries.failed)
            return true;
    return false;
}

static void answer(struct weir_resp_session *session, const struct xread *xread)
{
    uint32_t count = streams_with_entries(xread);
    struct weir_resp_writer *out = weir_resp_room(session, 64);
    if (any_failed(xread)) {
        weir_resp_fail(session, "OOM there is too much for one answer: use COUNT, or fewer streams");
        return;
    }
    if (xread->result != WEIR_KEPT_DONE) {
        weir_resp_fail_kept(session, xread->result);
        return;
    }
    if (count == 0) {
        weir_resp_write_null_array(out);
        return;
    }
    if (session->protocol == 3)
        weir_resp_write_map(out, count);
    else
        weir_resp_write_array(out, count);
    for (uint32_t i = 0; i < xread->count; i++) {
        const struct reading *reading = &xread->readings[i];
        if (reading->entries.count == 0)
            continue;
        if (session->protocol != 3)
            weir_resp_write_array(weir_resp_room(session, 64), 2);
        weir_resp_reply_bulk(session, reading->name, reading->name_bytes);
        weir_resp_entries_write(session, &reading->entries, false, xread->count_max);
    }
}

static void free_xread(struct xread *xread)
{
    weir_wheel_cancel(&xread->reactor->wheel, &xread->timer);
    for (uint32_t i = 0; i < xread->count; i++)
        weir_resp_entries_free(&xread->readings[i].entries);
    free(xread);
}

static void finish(struct xread *xread)
{
    xread->over = true;
    if (xread->within)
        return;
    if (weir_resp_asked_begin(&xread->asked)) {
        answer(xread->asked.session, xread);
        weir_resp_asked_end(&xread->asked);
    }
    free_xread(xread);
}

/* ---- Rounds ---------------------------------------------------------------------------------------------- */

static void look(struct xread *xread);

static void one_less(struct xread *xread)
{
    if (--xread->left == 0)
        look(xread);
}

static void call_back(struct xread *xread)
{
    if (xread->hurried)
        return;
    xread->hurried = true;
    xread->left++;
    for (uint32_t i = 0; i < xread->count; i++)
        if (xread->readings[i].away)
            weir_kept_fetch_cancel(xread->part, &xread->readings[i].fetch);
    one_less(xread);
}

static void on_fetched(struct weir_part *part, struct weir_kept_fetch *fetch)
{
    struct reading *reading = fetch->context;
    struct xread *xread = reading->of;
    reading->away = false;
    if (fetch->result == WEIR_KEPT_DONE && fetch->read.byte_count > 0) {
        weir_resp_entries_add(&reading->entries, fetch, reading->offset, UINT64_MAX, xread->count_max, ENTRIES_BYTES_MAX / xread->count);
        if (reading->entries.count == 0 && reading->entries.next_offset > reading->offset)
            reading->offset = reading->entries.next_offset; /* nothing to show in what was there: ends of transactions */
    } else if (fetch->result == WEIR_KEPT_OUT_OF_RANGE && reading->offset < fetch->view.start_offset) {
        reading->offset = fetch->view.start_offset; /* what it asks for is gone: from what is left on */
        reading->touched = false;
    } else if (fetch->result == WEIR_KEPT_OUT_OF_RANGE || fetch->result == WEIR_KEPT_UNKNOWN) {
        reading->beyond = true; /* an id above the end: nobody wakes us there, the timer looks again */
    } else if (fetch->result != WEIR_KEPT_DONE) {
        xread->result = fetch->result;
    }
    weir_kept_fetch_release(part, fetch);
    if (xread->waiting)
        call_back(xread);
    one_less(xread);
}

static uint64_t left_ns(const struct xread *xread)
{
    uint64_t now_ns = xread->reactor->now_ns;
    return xread->block && xread->deadline_ns > now_ns ? xread->deadline_ns - now_ns : 0;
}

static void fetch_one(struct xread *xread, struct reading *reading)
{
    struct weir_log_id topic = reading->fetch.topic;
    memset(&reading->fetch, 0, sizeof reading->fetch);
    reading->fetch.topic = topic;
    reading->fetch.offset = reading->offset;
    reading->fetch.bytes_max = READ_BYTES / xread->count;
    reading->fetch.bytes_min = 1;
    reading->fetch.committed = true;
    reading->fetch.wait_ns = xread->waiting ? left_ns(xread) : 0;
    reading->fetch.done = on_fetched;
    reading->fetch.context = reading;
    reading->away = reading->touched = true;
    xread->left++;
    weir_kept_fetch(xread->part, &reading->fetch);
}

static void on_end_found(struct weir_part *part, struct weir_kept_seek *seek)
{
    (void)part;
    struct reading *reading = seek->context;
    if (seek->result == WEIR_KEPT_DONE) {
        reading->offset = seek->offset; /* of what is committed */
        if (reading->special == ID_LAST && reading->offset > seek->view.start_offset)
            reading->offset--;
        reading->special = 0;
    } else if (seek->result == WEIR_KEPT_UNKNOWN) {
        reading->touched = reading->beyond = true; /* it has just gone */
    } else {
        reading->of->result = seek->result;
    }
    one_less(reading->of);
}

static void find_end(struct reading *reading)
{
    reading->seek = (struct weir_kept_seek){.topic = reading->fetch.topic, .place_of = WEIR_PLACE_STABLE, .done = on_end_found,
                                            .context = reading};
    reading->of->left++;
    weir_kept_seek(reading->of->part, &reading->seek);
}

static void find_topics(struct xread *xread)
{
    for (uint32_t i = 0; i < xread->count; i++) {
        struct reading *reading = &xread->readings[i];
        const struct weir_kept_topic *topic = weir_catalog_find(xread->part, reading->name, reading->name_bytes);
        reading->there = topic && topic->partition_count == 1;
        if (reading->there)
            reading->fetch.topic = topic->id;
    }
}

static void ask_all(struct xread *xread, bool waiting)
{
    xread->waiting = waiting;
    xread->hurried = false;
    xread->left++;
    for (uint32_t i = 0; i < xread->count; i++) {
        struct reading *reading = &xread->readings[i];
        if (!reading->there || (waiting && reading->beyond))
            continue;
        if (waiting && xread->hurried)
            break; /* one here had something at once: the others are not to wait */
        if (reading->special)
            find_end(reading);
        else
            fetch_one(xread, reading);
    }
    one_less(xread);
}

/* Is there a stream whose beginning is not known, or that has not been looked into? */
static bool any_untouched(const struct xread *xread)
{
    for (uint32_t i = 0; i < xread->count; i++)
        if (xread->readings[i].there && !xread->readings[i].touched)
            return true;
    return false;
}

static bool any_missing(const struct xread *xread)
{
    for (uint32_t i = 0; i < xread->count; i++)
        if (!xread->readings[i].there || xread->readings[i].beyond)
            return true;
    return false;
}

/* The timer has come: those that lie above their stream's end may not any more. */
static void look_anew(struct xread *xread)
{
    for (uint32_t i = 0; i < xread->count; i++)
        if (xread->readings[i].beyond)
            xread->readings[i].beyond = xread->readings[i].touched = false;
}

static void on_time(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    struct xread *xread = WEIR_CONTAINER(timer, struct xread, timer);
    (void)now_ns;
    look_anew(xread);
    if (xread->left > 0)
        call_back(xread); /* then look: topics are looked for again */
    else
        look(xread);
}

static void look(struct xread *xread)
{
    bool gone = !xread->within && !xread->asked.session;
    if (streams_with_entries(xread) > 0 || xread->result != WEIR_KEPT_DONE || gone || (xread->waiting && left_ns(xread) == 0)) {
        finish(xread);
        return;
    }
    find_topics(xread);
    if (any_untouched(xread)) {
        ask_all(xread, false);
        return;
    }
    if (left_ns(xread) == 0) {
        finish(xread);
        return;
    }
    if (any_missing(xread)) {
        struct weir_reactor *reactor = xread->reactor;
        uint64_t again_ns = LOOK_AGAIN_MS * ms_ns < left_ns(xread) ? LOOK_AGAIN_MS * ms_ns : left_ns(xread);
        weir_wheel_arm(&reactor->wheel, &xread->timer, reactor->now_ns + again_ns);
    }
    bool any_there = false;
    for (uint32_t i = 0; i < xread->count; i++)
        any_there |= xread->readings[i].there && !xread->readings[i].beyond;
    xread->waiting = true;
    if (any_there)
        ask_all(xread, true);
}

static void on_gone(struct weir_resp_asked *asked)
{
    struct xread *xread = (struct xread *)(void *)asked;
    if (xread->left > 0)
        call_back(xread);
    else
        finish(xread);
}

/* ---- The command ------------------------------------------------------------------------------------------ */

struct options {
    int64_t count;
    int64_t block_ms; /* -1: no BLOCK */
    uint32_t streams; /* the argument after STREAMS */
};

static const char *read_options(const struct weir_resp_command *command, struct options *options)
{
    for (uint32_t i = 1; i < command->arg_count; i++) {
        struct weir_resp_slice word = command->args[i];
        bool more = i + 1 < command->arg_count;
        if (weir_resp_slice_is(word, "streams")) {
            options->streams = i + 1;
            break;
        }
        if (weir_resp_slice_is(word, "count") && more) {
            struct weir_resp_slice value = command->args[++i];
            if (!weir_bytes_parse_i64(value.bytes, value.count, &options->count))
                return "ERR value is not an integer or out of range";
        } else if (weir_resp_slice_is(word, "block") && more) {
            struct weir_resp_slice value = command->args[++i];
            if (!weir_bytes_parse_i64(value.bytes, value.count, &options->block_ms))
                return "ERR timeout is not an integer or out of range";
            if (options->block_ms < 0)
                return "ERR timeout is negative";
            if (options->block_ms > BLOCK_MS_MAX)
                return "ERR timeout is out of range";
        } else {
            return "ERR syntax error";
        }
    }
    uint32_t words = options->streams ? command->arg_count - options->streams : 0;
    if (words == 0)
        return "ERR syntax error";
    if (words % 2 != 0)
        return "ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified.";
    return words / 2 <= STREAMS_MAX ? NULL : "ERR too many streams";
}

/* XREAD's id is the last one seen: what is new comes after it. */
static bool read_id(struct weir_resp_slice text, struct reading *reading)
{
    bool none;
    uint64_t last;
    if (text.count == 1 && (*text.bytes == '$' || *text.bytes == '+')) {
        reading->special = *text.bytes == '$' ? ID_NEW : ID_LAST;
        return true;
    }
    if (text.count == 0 || *text.bytes == '(' || *text.bytes == '-' || !weir_resp_id_parse(text, false, &last, &none))
        return false;
    /* "5-0" and "5" name offset 4; "5-3" lies between offsets 4 and 5 */
    char after[64];
    if (text.count + 2 > sizeof after)
        return false;
    after[0] = '(';
    memcpy(after + 1, text.bytes, text.count);
    size_t bytes = text.count + 1;
    if (!memchr(text.bytes, '-', text.count)) {
        if (bytes + 2 > sizeof after)
            return false;
        memcpy(after + bytes, "-0", 2);
        bytes += 2;
    }
    return weir_resp_id_parse((struct weir_resp_slice){after, bytes}, false, &reading->offset, &none);
}

static const char *fill(struct weir_resp_session *session, struct xread *xread, const struct weir_resp_command *command, uint32_t at)
{
    for (uint32_t i = 0; i < xread->count; i++) {
        struct reading *reading = &xread->readings[i];
        struct weir_resp_slice name = command->args[at + i];
        const struct weir_kept_topic *topic = weir_catalog_find(xread->part, name.bytes, name.count);
        reading->of = xread;
        if (!weir_resp_may_access(session, name))
            return "NOPERM No permissions to access a key";
        if (topic && topic->partition_count != 1)
            return "ERR the topic has more than one partition; a stream has one";
        if (!read_id(command->args[at + xread->count + i], reading))
            return "ERR Invalid stream ID specified as stream command argument";
        reading->name_bytes = name.count <= WEIR_TOPIC_NAME_BYTES_MAX ? (uint32_t)name.count : 0;
        memcpy(reading->name, name.bytes, reading->name_bytes);
    }
    return NULL;
}

static enum weir_resp_outcome start(struct weir_resp_session *session, struct xread *xread)
{
    xread->within = true;
    xread->left = 1;
    find_topics(xread);
    ask_all(xread, false);
    one_less(xread);
    xread->within = false;
    if (!xread->over) {
        weir_resp_asked_wait(session, &xread->asked);
        return WEIR_RESP_LATER;
    }
    answer(session, xread);
    free_xread(xread);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_xread(struct weir_resp_session *session, const struct weir_resp_command *command)
{
    struct options options = {.count = 0, .block_ms = -1};
    const char *why = read_options(command, &options);
    uint32_t count = why ? 0 : (command->arg_count - options.streams) / 2;
    struct xread *xread = why ? NULL : calloc(1, sizeof *xread + count * sizeof(struct reading));
    if (!why && !xread)
        why = "OOM no memory for this command just now";
    if (xread) {
        struct weir_reactor *reactor = session->local->reactor;
        xread->part = session->local->part;
        xread->reactor = reactor;
        xread->count = count;
        xread->count_max = options.count > 0 && options.count < UINT32_MAX ? (uint32_t)options.count : UINT32_MAX;
        xread->block = options.block_ms >= 0 && !weir_resp_executing(session);
        xread->deadline_ns = reactor->now_ns + (options.block_ms == 0 ? for_ever_ns * 24 * 365 : (uint64_t)options.block_ms * ms_ns);
        xread->asked.gone = on_gone;
        weir_wheel_timer_init(&xread->timer, on_time);
        why = fill(session, xread, command, options.streams);
        if (!why && weir_kept_state(xread->part) == WEIR_KEPT_LOADING)
            why = "LOADING weir is loading the dataset in memory";
    }
    if (why) {
        free(xread);
        weir_resp_fail(session, why);
        return WEIR_RESP_DONE;
    }
    return start(session, xread);
}
