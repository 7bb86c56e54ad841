/*
 * wire/resp/resp_append.c - PUBLISH to a kept topic, and XADD: one record, answered when it is durable.
 *
 * Live subscribers are told by the topic's own cursor (broker/live.c), in the log's order. A publisher's records keep their order, so all of a
 * client's go to one partition. Proof: tests/clients/, tests/wire/resp/resp_entry_test.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "wire/resp/resp_kept.h"

enum { RECORD_OVERHEAD = 128, HEADER_OVERHEAD = 16, HEADERS_MAX = 1000 };

struct appending {
    struct weir_resp_asked asked; /* first */
    struct weir_kept_append append;
    struct weir_catalog_change change; /* XADD makes the topic */
    struct weir_part *part;
    bool publish;
    bool within; /* the command's own function still runs */
    bool over;
    uint64_t receivers;
    uint8_t bytes[]; /* the batch */
};

void weir_resp_fail_kept(struct weir_resp_session *session, enum weir_kept_result result)
{
    switch (result) {
    case WEIR_KEPT_LOADING:
        weir_resp_fail(session, "LOADING weir is loading the dataset in memory");
        break;
    case WEIR_KEPT_TOO_LARGE:
        weir_resp_fail(session, "ERR the message is larger than max.message.bytes of its topic");
        break;
    case WEIR_KEPT_UNKNOWN:
        weir_resp_fail(session, "ERR no such key");
        break;
    case WEIR_KEPT_BUSY:
        weir_resp_fail(session, "OOM no memory for this command just now");
        break;
    default:
        weir_resp_fail(session, "MISCONF the message could not be written to disk; nothing was kept");
    }
}

static void answer(struct weir_resp_session *session, const struct appending *appending)
{
    char id[WEIR_RESP_ID_BYTES];
    if (appending->append.result != WEIR_KEPT_DONE)
        weir_resp_fail_kept(session, appending->append.result);
    else if (appending->publish)
        weir_resp_write_integer(weir_resp_out(session), (int64_t)appending->receivers);
    else
        weir_resp_reply_bulk(session, id, weir_resp_id_write(id, appending->append.base_offset));
}

static void finish(struct appending *appending)
{
    appending->over = true;
    if (appending->within)
        return;
    if (weir_resp_asked_begin(&appending->asked)) {
        answer(appending->asked.session, appending);
        weir_resp_asked_end(&appending->asked);
    }
    free(appending);
}

static void on_appended(struct weir_part *part, struct weir_kept_append *append)
{
    (void)part;
    finish(append->context);
}

static void append_now(struct appending *appending, const struct weir_kept_topic *topic, uint32_t partition)
{
    appending->append.topic = topic->id;
    appending->append.partition = partition;
    appending->append.bytes = appending->bytes;
    appending->append.done = on_appended;
    appending->append.context = appending;
    weir_kept_append(appending->part, &appending->append);
}

/* DONE with the answer written, or LATER. */
static enum weir_resp_outcome settle(struct weir_resp_session *session, struct appending *appending)
{
    appending->within = false;
    if (!appending->over) {
        weir_resp_asked_wait(session, &appending->asked);
        return WEIR_RESP_LATER;
    }
    answer(session, appending);
    free(appending);
    return WEIR_RESP_DONE;
}

static struct appending *new_appending(struct weir_resp_session *session, size_t bytes)
{
    struct appending *appending = calloc(1, sizeof *appending + bytes);
    if (!appending) {
        weir_resp_fail(session, "OOM no memory for this message");
        return NULL;
    }
    appending->part = session->local->part;
    appending->within = true;
    return appending;
}

static int64_t now_ms(const struct weir_resp_session *session)
{
    struct weir_disk *disk = weir_io_disk(session->local->reactor->io);
    return (int64_t)disk->table->wall_ms(disk);
}

bool weir_resp_publish_kept(struct weir_resp_session *session, const struct weir_resp_command *command,
                            enum weir_resp_outcome *outcome_out)
{
    struct weir_part *part = session->local->part;
    struct weir_resp_slice name = command->args[1], body = command->args[2];
    const struct weir_kept_topic *topic = weir_catalog_find(part, name.bytes, name.count);
    if (!topic)
        return false;
    *outcome_out = WEIR_RESP_DONE;
    size_t room = WEIR_BATCH_HEAD_BYTES + body.count + RECORD_OVERHEAD;
    struct appending *appending = new_appending(session, room);
    if (!appending)
        return true;
    struct weir_batch_build build;
    weir_batch_begin(&build, appending->bytes, room);
    if (weir_batch_add(&build, now_ms(session), NULL, -1, body.bytes ? body.bytes : "", (int64_t)body.count, NULL, 0) < 0) {
        free(appending);
        weir_resp_fail_kept(session, WEIR_KEPT_TOO_LARGE);
        return true;
    }
    appending->append.byte_count = (uint32_t)weir_batch_finish(&build);
    appending->publish = true;
    appending->receivers = weir_broker_receivers(part, WEIR_NAME_TOPIC, weir_resp_bytes(name));
    append_now(appending, topic, (uint32_t)(weir_hash_u64(session->id, 0) % topic->partition_count));
    *outcome_out = settle(session, appending);
    return true;
}

/* ---- XADD ---------------------------------------------------------------------------------------------- */

struct record { /* an XADD's fields as Kafka has them */
    struct weir_resp_slice key, value;
    bool has_key, has_value;
    struct weir_record_header *headers;
    uint32_t header_count;
    size_t bytes;
};

static void add_field(struct record *record, struct weir_resp_slice name, struct weir_resp_slice value)
{
    record->bytes += name.count + value.count + HEADER_OVERHEAD;
    if (!record->has_value && name.count == 5 && memcmp(name.bytes, "value", 5) == 0) {
        record->value = value;
        record->has_value = true;
    } else if (!record->has_key && name.count == 3 && memcmp(name.bytes, "key", 3) == 0) {
        record->key = value;
        record->has_key = true;
    } else {
        record->headers[record->header_count++] = (struct weir_record_header){
            (const uint8_t *)name.bytes, (const uint8_t *)value.bytes, (uint32_t)name.count, (uint32_t)value.count};
    }
}

static int build_batch(struct appending *appending, size_t room, int64_t timestamp_ms, const struct record *record)
{
    struct weir_batch_build build;
    weir_batch_begin(&build, appending->bytes, room);
    int result = weir_batch_add(&build, timestamp_ms, record->key.bytes ? record->key.bytes : "",
                                record->has_key ? (int64_t)record->key.count : -1, record->value.bytes ? record->value.bytes : "",
                                record->has_value ? (int64_t)record->value.count : -1, record->headers, record->header_count);
    if (result == 0)
        appending->append.byte_count = (uint32_t)weir_batch_finish(&build);
    return result;
}

static void on_created(struct weir_part *part, struct weir_catalog_change *change)
{
    struct appending *appending = change->context;
    const struct weir_kept_topic *topic = weir_catalog_find(part, change->name, change->name_bytes);
    if (topic && topic->partition_count == 1) {
        append_now(appending, topic, 0);
        return;
    }
    appending->append.result = WEIR_KEPT_NOT_WRITTEN;
    finish(appending);
}

static void create_then_append(struct appending *appending, struct weir_resp_slice name)
{
    struct weir_catalog_change *change = &appending->change;
    change->verb = WEIR_CATALOG_CREATE;
    change->partition_count = 1;
    change->name_bytes = (uint32_t)name.count;
    memcpy(change->name, name.bytes, name.count);
    weir_topic_unset(&change->config);
    change->done = on_created;
    change->context = appending;
    weir_catalog_change(appending->part, change);
}

/* What Redis lets an XADD trim is a topic's retention here: said, not ignored. */
static const char *read_options(const struct weir_resp_command *command, uint32_t *at, bool *no_make)
{
    for (; *at < command->arg_count; ++*at) {
        struct weir_resp_slice word = command->args[*at];
        if (weir_resp_slice_is(word, "nomkstream"))
            *no_make = true;
        else if (weir_resp_slice_is(word, "maxlen") || weir_resp_slice_is(word, "minid"))
            return "ERR entries go by the topic's retention (retention.ms, retention.bytes), not by XADD";
        else
            break;
    }
    if (*at >= command->arg_count || (command->arg_count - *at - 1) % 2 != 0 || command->arg_count - *at < 3)
        return "ERR wrong number of arguments for 'xadd' command";
    return command->args[*at].count == 1 && command->args[*at].bytes[0] == '*' ? NULL
                                                                                : "ERR ids are given by weir: use * as the ID";
}

static const char *why_not(struct weir_resp_session *session, struct weir_resp_slice name, const struct weir_kept_topic *topic)
{
    if (!weir_resp_may_access(session, name))
        return "NOPERM No permissions to access a key";
    if (weir_kept_state(session->local->part) == WEIR_KEPT_LOADING)
        return "LOADING weir is loading the dataset in memory";
    if (weir_kept_state(session->local->part) != WEIR_KEPT_DONE)
        return "ERR nothing is kept here: weir serve was told --kafka-port off";
    if (topic && topic->partition_count != 1)
        return "ERR the topic has more than one partition; a stream has one";
    if (!topic && !weir_topic_name_legal(name.bytes, name.count))
        return "ERR a topic's name is 1 to 249 of A-Z a-z 0-9 . _ -";
    return NULL;
}

static enum weir_resp_outcome add(struct weir_resp_session *session, const struct weir_resp_command *command, uint32_t at,
                                  const struct weir_kept_topic *topic)
{
    struct record record = {0};
    record.headers = calloc((command->arg_count - at) / 2 + 1, sizeof *record.headers);
    for (uint32_t i = at + 1; i + 1 < command->arg_count && record.headers; i += 2)
        add_field(&record, command->args[i], command->args[i + 1]);
    size_t room = WEIR_BATCH_HEAD_BYTES + record.bytes + RECORD_OVERHEAD;
    if (!record.headers) {
        weir_resp_fail_kept(session, WEIR_KEPT_BUSY);
        return WEIR_RESP_DONE;
    }
    struct appending *appending = new_appending(session, room); /* it says why not */
    int result = appending ? build_batch(appending, room, now_ms(session), &record) : 0;
    free(record.headers);
    if (!appending)
        return WEIR_RESP_DONE;
    if (result < 0) {
        free(appending);
        weir_resp_fail_kept(session, WEIR_KEPT_TOO_LARGE);
        return WEIR_RESP_DONE;
    }
    if (topic)
        append_now(appending, topic, 0);
    else
        create_then_append(appending, command->args[1]);
    return settle(session, appending);
}

enum weir_resp_outcome weir_resp_do_xadd(struct weir_resp_session *session, const struct weir_resp_command *command)
{
    struct weir_resp_slice name = command->args[1];
    const struct weir_kept_topic *topic = weir_catalog_find(session->local->part, name.bytes, name.count);
    bool no_make = false;
    uint32_t at = 2;
    const char *why = read_options(command, &at, &no_make);
    if (!why)
        why = why_not(session, name, topic);
    if (!why && (command->arg_count - at) / 2 > HEADERS_MAX)
        why = "ERR too many fields";
    if (why) {
        weir_resp_fail(session, why);
        return WEIR_RESP_DONE;
    }
    if (!topic && no_make) {
        weir_resp_write_null(weir_resp_out(session));
        return WEIR_RESP_DONE;
    }
    return add(session, command, at, topic);
}
