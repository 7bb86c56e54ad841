/*
 * wire/resp/resp_stream.c - streams: XLEN, XRANGE, XREVRANGE, XREAD, XINFO STREAM.
 *
 * A range is read piece by piece from the partition's owner until its end, its count, or its log's end; then it is answered whole. A
 * backwards range is read forwards and answered backwards, so it begins where its count can still be reached.
 * Only committed records are shown. Proof: tests/clients/.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/resp/resp_kept.h"

enum { READ_BYTES = 1 << 20, ENTRIES_BYTES_MAX = 256 << 20 };

enum verb { LEN, RANGE, REVRANGE, INFO };

struct ranging {
    struct weir_resp_asked asked; /* first */
    struct weir_part *part;
    struct weir_kept_seek seek;
    struct weir_kept_fetch fetch;
    enum verb verb;
    struct weir_log_id topic;
    uint64_t from, to; /* offsets, both included */
    uint64_t at;       /* the next to read */
    uint64_t window;   /* backwards: how many offsets before `to` are looked at */
    uint32_t count_max;
    bool within;
    bool over;
    enum weir_kept_result result;
    struct weir_resp_entries entries;
    struct weir_resp_entries last; /* INFO: the last one; `entries` has the first */
};

/* ---- The answers ---------------------------------------------------------------------------------------- */

static void write_id(struct weir_resp_session *session, uint64_t offset)
{
    char id[WEIR_RESP_ID_BYTES];
    weir_resp_reply_bulk(session, id, weir_resp_id_write(id, offset));
}

static void write_entry_or_null(struct weir_resp_session *session, const struct weir_resp_entries *entries)
{
    if (entries->count == 0)
        weir_resp_write_null(weir_resp_out(session));
    else { /* the entry itself, without a list around it */
        struct weir_resp_writer *out = weir_resp_room(session, entries->text.byte_count);
        if (out->capacity >= out->count && out->capacity - out->count >= entries->text.byte_count)
            memcpy(out->bytes + out->count, entries->text.bytes, entries->text.byte_count);
        out->count += entries->text.byte_count;
    }
}

static void write_named_integer(struct weir_resp_session *session, const char *name, uint64_t value)
{
    weir_resp_write_bulk_text(weir_resp_out(session), name);
    weir_resp_write_integer(weir_resp_out(session), (int64_t)value);
}

static void write_info(struct weir_resp_session *session, const struct ranging *ranging)
{
    const struct weir_partition_view *view = &ranging->seek.view;
    weir_resp_write_map(weir_resp_room(session, 512), 10);
    write_named_integer(session, "length", view->high_watermark - view->start_offset);
    write_named_integer(session, "radix-tree-keys", view->segment_count);
    write_named_integer(session, "radix-tree-nodes", view->segment_count);
    weir_resp_write_bulk_text(weir_resp_out(session), "last-generated-id");
    write_id(session, view->high_watermark - 1); /* nothing yet: 0-0 */
    weir_resp_write_bulk_text(weir_resp_out(session), "max-deleted-entry-id");
    write_id(session, view->start_offset - 1);
    write_named_integer(session, "entries-added", view->high_watermark);
    weir_resp_write_bulk_text(weir_resp_out(session), "recorded-first-entry-id");
    write_id(session, view->high_watermark > view->start_offset ? view->start_offset : UINT64_MAX);
    write_named_integer(session, "groups", 0);
    weir_resp_write_bulk_text(weir_resp_out(session), "first-entry");
    write_entry_or_null(session, &ranging->entries);
    weir_resp_write_bulk_text(weir_resp_out(session), "last-entry");
    write_entry_or_null(session, &ranging->last);
}

static void answer(struct weir_resp_session *session, const struct ranging *ranging)
{
    if (ranging->result != WEIR_KEPT_DONE)
        weir_resp_fail_kept(session, ranging->result);
    else if (ranging->entries.failed || ranging->last.failed)
        weir_resp_fail(session, "OOM the range is too large for one answer: use COUNT");
    else if (ranging->verb == LEN)
        weir_resp_write_integer(weir_resp_out(session),
                                (int64_t)(ranging->seek.view.high_watermark - ranging->seek.view.start_offset));
    else if (ranging->verb == INFO)
        write_info(session, ranging);
    else
        weir_resp_entries_write(session, &ranging->entries, ranging->verb == REVRANGE, ranging->count_max);
}

static void free_ranging(struct ranging *ranging)
{
    weir_resp_entries_free(&ranging->entries);
    weir_resp_entries_free(&ranging->last);
    free(ranging);
}

static void finish(struct ranging *ranging, enum weir_kept_result result)
{
    ranging->result = result;
    ranging->over = true;
    if (ranging->within)
        return;
    if (weir_resp_asked_begin(&ranging->asked)) {
        answer(ranging->asked.session, ranging);
        weir_resp_asked_end(&ranging->asked);
    }
    free_ranging(ranging);
}

/* ---- Reading --------------------------------------------------------------------------------------------- */

static void read_more(struct ranging *ranging);
static void begin_window(struct ranging *ranging, uint64_t width);
static bool window_was_too_small(const struct ranging *ranging);

static uint32_t wanted(const struct ranging *ranging)
{
    return ranging->verb == REVRANGE ? UINT32_MAX : ranging->count_max; /* backwards: all of them, the last ones count */
}

static void on_fetched(struct weir_part *part, struct weir_kept_fetch *fetch)
{
    struct ranging *ranging = fetch->context;
    struct weir_resp_entries *entries = ranging->verb == INFO && ranging->count_max == 2 ? &ranging->last : &ranging->entries;
    enum weir_kept_result result = fetch->result;
    size_t got = fetch->read.byte_count;
    if (result == WEIR_KEPT_DONE && got > 0) {
        weir_resp_entries_add(entries, fetch, ranging->at, ranging->to, ranging->verb == INFO ? 1 : wanted(ranging), ENTRIES_BYTES_MAX);
        ranging->at = entries->next_offset;
    }
    weir_kept_fetch_release(part, fetch);
    if (result == WEIR_KEPT_OUT_OF_RANGE)
        result = WEIR_KEPT_DONE; /* gone meanwhile: there is nothing more */
    else if (result == WEIR_KEPT_DONE && got > 0 && !entries->failed) {
        read_more(ranging);
        return;
    }
    finish(ranging, result);
}

static void fetch_at(struct ranging *ranging)
{
    memset(&ranging->fetch, 0, sizeof ranging->fetch);
    ranging->fetch.topic = ranging->topic;
    ranging->fetch.offset = ranging->at;
    ranging->fetch.bytes_max = READ_BYTES;
    ranging->fetch.committed = true;
    ranging->fetch.done = on_fetched;
    ranging->fetch.context = ranging;
    weir_kept_fetch(ranging->part, &ranging->fetch);
}

static void read_info(struct ranging *ranging)
{
    const struct weir_partition_view *view = &ranging->seek.view;
    if (ranging->entries.count == 1 && ranging->count_max == 1 && ranging->seek.offset > view->start_offset) {
        ranging->count_max = 2; /* now the last one */
        ranging->at = ranging->to = ranging->seek.offset - 1;
        fetch_at(ranging);
        return;
    }
    finish(ranging, WEIR_KEPT_DONE);
}

static void read_more(struct ranging *ranging)
{
    if (ranging->verb == INFO)
        read_info(ranging);
    else if (ranging->at > ranging->to && window_was_too_small(ranging)) {
        begin_window(ranging, ranging->window * 4);
        fetch_at(ranging);
    } else if (ranging->entries.count >= wanted(ranging) || ranging->at > ranging->to)
        finish(ranging, WEIR_KEPT_DONE);
    else
        fetch_at(ranging);
}

/* Backwards: the last `width` offsets first. Where they have gaps (compacted, control batches) a wider window is read anew. */
static void begin_window(struct ranging *ranging, uint64_t width)
{
    bool all = ranging->to - ranging->from < width;
    weir_resp_entries_free(&ranging->entries);
    ranging->at = all ? ranging->from : ranging->to - width + 1;
    ranging->window = width;
}

static bool window_was_too_small(const struct ranging *ranging)
{
    return ranging->verb == REVRANGE && ranging->entries.count < ranging->count_max && ranging->to - ranging->from >= ranging->window;
}

static void on_found(struct weir_part *part, struct weir_kept_seek *seek)
{
    (void)part;
    struct ranging *ranging = seek->context;
    if (seek->result != WEIR_KEPT_DONE || ranging->verb == LEN) {
        finish(ranging, seek->result);
        return;
    }
    uint64_t start = seek->view.start_offset, end = seek->offset;
    if (ranging->from < start)
        ranging->from = start;
    if (end == 0 || ranging->from >= end || ranging->from > ranging->to) {
        finish(ranging, WEIR_KEPT_DONE);
        return;
    }
    if (ranging->to >= end)
        ranging->to = end - 1;
    if (ranging->verb == INFO)
        ranging->to = end - 1;
    ranging->at = ranging->from;
    if (ranging->verb == REVRANGE)
        begin_window(ranging, ranging->count_max);
    fetch_at(ranging);
}

static const char *why_not(struct weir_resp_session *session, struct weir_resp_slice name, const struct weir_kept_topic *topic)
{
    if (!weir_resp_may_access(session, name))
        return "NOPERM No permissions to access a key";
    if (weir_kept_state(session->local->part) == WEIR_KEPT_LOADING)
        return "LOADING weir is loading the dataset in memory";
    if (topic && topic->partition_count != 1)
        return "ERR the topic has more than one partition; a stream has one";
    return NULL;
}

static enum weir_resp_outcome begin(struct weir_resp_session *session, struct ranging *ranging)
{
    ranging->part = session->local->part;
    ranging->within = true;
    ranging->seek.topic = ranging->topic;
    ranging->seek.place_of = WEIR_PLACE_STABLE; /* what is committed */
    ranging->seek.done = on_found;
    ranging->seek.context = ranging;
    weir_kept_seek(ranging->part, &ranging->seek);
    ranging->within = false;
    if (!ranging->over) {
        weir_resp_asked_wait(session, &ranging->asked);
        return WEIR_RESP_LATER;
    }
    answer(session, ranging);
    free_ranging(ranging);
    return WEIR_RESP_DONE;
}

static enum weir_resp_outcome run(struct weir_resp_session *session, const struct weir_resp_command *command, uint32_t key,
                                  const struct ranging *asked)
{
    struct weir_resp_slice name = command->args[key];
    const struct weir_kept_topic *topic = weir_catalog_find(session->local->part, name.bytes, name.count);
    const char *why = why_not(session, name, topic);
    if (!why && !topic && asked->verb == INFO)
        why = "ERR no such key";
    if (why) {
        weir_resp_fail(session, why);
        return WEIR_RESP_DONE;
    }
    if (!topic) {
        if (asked->verb == LEN)
            weir_resp_write_integer(weir_resp_out(session), 0);
        else
            weir_resp_write_array(weir_resp_out(session), 0);
        return WEIR_RESP_DONE;
    }
    struct ranging *ranging = malloc(sizeof *ranging);
    if (!ranging) {
        weir_resp_fail_kept(session, WEIR_KEPT_BUSY);
        return WEIR_RESP_DONE;
    }
    *ranging = *asked;
    ranging->topic = topic->id;
    return begin(session, ranging);
}

enum weir_resp_outcome weir_resp_do_xlen(struct weir_resp_session *session, const struct weir_resp_command *command)
{
    struct ranging asked = {.verb = LEN};
    return run(session, command, 1, &asked);
}

enum weir_resp_outcome weir_resp_do_xinfo_stream(struct weir_resp_session *session, const struct weir_resp_command *command)
{
    struct ranging asked = {.verb = INFO, .to = UINT64_MAX, .count_max = 1};
    return run(session, command, 2, &asked);
}

static enum weir_resp_outcome range(struct weir_resp_session *session, const struct weir_resp_command *command, bool backwards)
{
    struct ranging asked = {.verb = backwards ? REVRANGE : RANGE, .count_max = UINT32_MAX};
    bool none_below = false, none = false;
    int64_t count;
    if (!weir_resp_id_parse(command->args[backwards ? 3 : 2], false, &asked.from, &none_below) ||
        !weir_resp_id_parse(command->args[backwards ? 2 : 3], true, &asked.to, &none)) {
        weir_resp_fail(session, "ERR Invalid stream ID specified as stream command argument");
        return WEIR_RESP_DONE;
    }
    if (command->arg_count != 4 && (command->arg_count != 6 || !weir_resp_slice_is(command->args[4], "count"))) {
        weir_resp_fail(session, "ERR syntax error");
        return WEIR_RESP_DONE;
    }
    if (command->arg_count == 6) {
        if (!weir_bytes_parse_i64(command->args[5].bytes, command->args[5].count, &count)) {
            weir_resp_fail(session, "ERR value is not an integer or out of range");
            return WEIR_RESP_DONE;
        }
        asked.count_max = count < 0 ? 0 : count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
    }
    if (none || asked.count_max == 0) {
        weir_resp_write_array(weir_resp_out(session), 0);
        return WEIR_RESP_DONE;
    }
    return run(session, command, 1, &asked);
}

enum weir_resp_outcome weir_resp_do_xrange(struct weir_resp_session *session, const struct weir_resp_command *command)
{
    return range(session, command, false);
}

enum weir_resp_outcome weir_resp_do_xrevrange(struct weir_resp_session *session, const struct weir_resp_command *command)
{
    return range(session, command, true);
}
