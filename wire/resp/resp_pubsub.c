/*
 * wire/resp/resp_pubsub.c - SUBSCRIBE and its kin, PUBLISH, PUBSUB.
 *
 * A confirmation is written at once, in the place of the answer, and then the connection is corked
 * until every reactor has the subscription: so no message precedes its confirmation, and none that
 * was published after the client had read it is missed. A publish without credit, or delayed by a
 * limit, waits with all requests behind it.
 * Proof: tests/wire/resp/resp_session_test.c, tests/clients/.
 */
#include <errno.h>
#include <string.h>

#include "base/glob.h"
#include "base/hash.h"
#include "wire/resp/resp_kept.h"

static const char no_channel[] =
    "NOPERM this user has no permissions to access one of the channels used as arguments";

static const char too_long[] = "ERR channel name or pattern too long";

/* ---- counts, installation ---- */

bool weir_resp_subscribed(const struct weir_resp_session *session)
{
    const uint32_t *held = session->subscriber.held_count;
    return held[WEIR_NAME_TOPIC] + held[WEIR_NAME_PATTERN] + held[WEIR_NAME_SHARD] > 0;
}

/* What a confirmation counts: shards apart, topics and patterns together. */
static uint32_t shown_count(const struct weir_resp_session *session, enum weir_name_kind kind)
{
    const uint32_t *held = session->subscriber.held_count;
    return kind == WEIR_NAME_SHARD ? held[WEIR_NAME_SHARD]
                                   : held[WEIR_NAME_TOPIC] + held[WEIR_NAME_PATTERN];
}

void weir_resp_settle(struct weir_resp_session *session)
{
    if (weir_broker_installed(&session->subscriber) || session->corked)
        return;
    session->corked = true;
    weir_tcp_cork(weir_resp_conn(session), true);
}

static void count_clients(struct weir_resp_session *session, bool was)
{
    bool is = weir_resp_subscribed(session);
    if (is && !was)
        session->local->counters.subscriber_clients++;
    if (was && !is)
        session->local->counters.subscriber_clients--;
}

/* ---- subscribing ---- */

static void confirm(struct weir_resp_session *session, const char *word,
                    const struct weir_slice *name, uint32_t count)
{
    struct weir_resp_writer *out = weir_resp_room(session, name ? name->byte_count : 0);
    weir_resp_write_push(out, 3);
    weir_resp_write_bulk_text(out, word);
    if (name)
        weir_resp_write_bulk(out, name->bytes, name->byte_count);
    else
        weir_resp_write_null(out);
    weir_resp_write_integer(out, count);
}

static void subscribe_one(struct weir_resp_session *session, enum weir_name_kind kind,
                          const char *word, struct weir_slice name)
{
    bool changed;
    int result = weir_broker_subscribe(&session->subscriber, kind, name, &changed);
    if (result == 0)
        confirm(session, word, &name, shown_count(session, kind));
    else
        weir_resp_fail(session, result == -ENAMETOOLONG ? too_long
                                                        : "OOM no memory for a subscription");
}

static bool may_subscribe(const struct weir_resp_session *session, enum weir_name_kind kind,
                          const struct weir_resp_command *command)
{
    for (uint32_t i = 1; i < command->arg_count; i++)
        if (!(kind == WEIR_NAME_PATTERN ? weir_resp_may_access_pattern(session, command->args[i])
                                        : weir_resp_may_access(session, command->args[i])))
            return false;
    return true;
}

static enum weir_resp_outcome subscribe(struct weir_resp_session *session,
                                        const struct weir_resp_command *command,
                                        enum weir_name_kind kind, const char *word)
{
    if (!may_subscribe(session, kind, command)) {
        weir_resp_fail(session, no_channel);
        return WEIR_RESP_DONE;
    }
    bool was = weir_resp_subscribed(session);
    for (uint32_t i = 1; i < command->arg_count; i++)
        subscribe_one(session, kind, word, weir_resp_bytes(command->args[i]));
    count_clients(session, was);
    weir_resp_settle(session);
    return WEIR_RESP_DONE;
}

struct leaving {
    struct weir_resp_session *session;
    enum weir_name_kind kind;
    const char *word; /* NULL: nothing is said */
};

/* The name's bytes go with the last subscription, so it is confirmed first. */
static void leave_one(void *context, struct weir_slice name)
{
    struct leaving *leaving = context;
    struct weir_resp_session *session = leaving->session;
    bool changed;
    if (leaving->word)
        confirm(session, leaving->word, &name, shown_count(session, leaving->kind) - 1);
    weir_broker_unsubscribe(&session->subscriber, leaving->kind, name, &changed);
}

static void leave_every(struct weir_resp_session *session, enum weir_name_kind kind,
                        const char *word)
{
    struct leaving leaving = {session, kind, word};
    if (session->subscriber.held_count[kind] > 0)
        weir_broker_each_held(&session->subscriber, kind, leave_one, &leaving);
    else if (word)
        confirm(session, word, NULL, shown_count(session, kind));
}

static enum weir_resp_outcome unsubscribe(struct weir_resp_session *session,
                                          const struct weir_resp_command *command,
                                          enum weir_name_kind kind, const char *word)
{
    bool was = weir_resp_subscribed(session);
    if (command->arg_count == 1)
        leave_every(session, kind, word);
    for (uint32_t i = 1; i < command->arg_count; i++) {
        struct weir_slice name = weir_resp_bytes(command->args[i]);
        bool changed;
        weir_broker_unsubscribe(&session->subscriber, kind, name, &changed);
        confirm(session, word, &name, shown_count(session, kind));
    }
    count_clients(session, was);
    weir_resp_settle(session);
    return WEIR_RESP_DONE;
}

void weir_resp_leave_all(struct weir_resp_session *session)
{
    bool was = weir_resp_subscribed(session);
    if (!was)
        return;
    for (uint32_t kind = 0; kind < WEIR_NAME_KINDS; kind++)
        leave_every(session, (enum weir_name_kind)kind, NULL);
    count_clients(session, was);
    weir_resp_settle(session);
}

#define SUBSCRIBING(name, verb, kind)                                                   \
    enum weir_resp_outcome weir_resp_do_##name(struct weir_resp_session *session,       \
                                               const struct weir_resp_command *command) \
    {                                                                                   \
        return verb(session, command, kind, #name);                                     \
    }
SUBSCRIBING(subscribe, subscribe, WEIR_NAME_TOPIC)
SUBSCRIBING(psubscribe, subscribe, WEIR_NAME_PATTERN)
SUBSCRIBING(ssubscribe, subscribe, WEIR_NAME_SHARD)
SUBSCRIBING(unsubscribe, unsubscribe, WEIR_NAME_TOPIC)
SUBSCRIBING(punsubscribe, unsubscribe, WEIR_NAME_PATTERN)
SUBSCRIBING(sunsubscribe, unsubscribe, WEIR_NAME_SHARD)

/* ---- publishing ---- */

/* Of the peer's address without its port: all its connections here share one allowance. */
static uint64_t address_hash(struct weir_resp_session *session)
{
    if (session->address_hash)
        return session->address_hash;
    char peer[128];
    weir_tcp_peer_name(weir_resp_conn(session), peer, sizeof peer);
    const char *port = strrchr(peer, ':');
    size_t count = port ? (size_t)(port - peer) : strlen(peer);
    session->address_hash = weir_hash_bytes(peer, count, session->local->server->hash_seed) | 1;
    return session->address_hash;
}

/* true: go on. Else *outcome_out says what instead. */
static bool admit(struct weir_resp_session *session, struct weir_slice topic,
                  enum weir_resp_outcome *outcome_out)
{
    struct weir_resp_counters *counters = &session->local->counters;
    struct weir_limit_verdict verdict = weir_broker_take(session->local->part,
                                                         address_hash(session), topic);
    if (verdict.action == WEIR_LIMIT_ADMIT)
        return true;
    *outcome_out = WEIR_RESP_DONE;
    if (verdict.action == WEIR_LIMIT_DELAY && verdict.wait_ns != UINT64_MAX &&
        weir_resp_wait(session, verdict.wait_ns) == 0) {
        counters->paused_by_limit++;
        *outcome_out = WEIR_RESP_AGAIN;
        return false;
    }
    counters->limit_rejects++;
    weir_resp_fail(session, "ERR max publish rate exceeded");
    return false;
}

/* Publish, or arrange for the same request to come again. */
static int publish_or_wait(struct weir_resp_session *session,
                           const struct weir_publication *publication, uint64_t *receivers)
{
    struct weir_part *part = session->local->part;
    int result = weir_broker_publish(part, publication, NULL, receivers);
    if (result != -EAGAIN)
        return result;
    struct weir_resp_rest *rest = weir_resp_rest_get(session);
    if (!rest)
        return -ENOMEM;
    result = weir_broker_publish(part, publication, &rest->waiter, receivers);
    if (result == -EAGAIN) {
        session->local->counters.paused_by_credit++;
        weir_resp_hold(session, WEIR_RESP_HOLD_CREDIT);
    }
    return result;
}

/* Events for the publisher itself go straight to its connection: what it was answered so far goes before. */
static void let_answers_pass(struct weir_resp_session *session)
{
    if (weir_resp_subscribed(session) &&
        (!weir_resp_executing(session) || weir_resp_executing_subscribed(session)))
        weir_resp_flush(session);
}

static enum weir_resp_outcome publish(struct weir_resp_session *session,
                                      const struct weir_resp_command *command,
                                      enum weir_name_kind kind)
{
    struct weir_publication publication = {
        .kind = kind,
        .name = weir_resp_bytes(command->args[1]),
        .body = weir_resp_bytes(command->args[2]),
        .id = weir_reactor_event_id(session->local->reactor),
        .cause_id = session->local->reactor->cause_id,
    };
    enum weir_resp_outcome outcome;
    if (!weir_resp_may_access(session, command->args[1])) {
        weir_resp_fail(session, no_channel);
        return WEIR_RESP_DONE;
    }
    if (session->local->server->settings.limited && !session->admitted &&
        !admit(session, publication.name, &outcome))
        return outcome;
    let_answers_pass(session);
    if (kind == WEIR_NAME_TOPIC && weir_resp_publish_kept(session, command, &outcome)) {
        session->admitted = false;
        return outcome;
    }
    uint64_t receivers = 0;
    int result = publish_or_wait(session, &publication, &receivers);
    session->admitted = result == -EAGAIN;
    if (result == -EAGAIN)
        return WEIR_RESP_AGAIN;
    if (result == 0)
        weir_resp_write_integer(weir_resp_out(session), (int64_t)receivers);
    else
        weir_resp_fail(session,
                       result == -ENAMETOOLONG ? too_long : "OOM no memory for this message");
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_publish(struct weir_resp_session *session,
                                            const struct weir_resp_command *command)
{
    return publish(session, command, WEIR_NAME_TOPIC);
}

enum weir_resp_outcome weir_resp_do_spublish(struct weir_resp_session *session,
                                             const struct weir_resp_command *command)
{
    return publish(session, command, WEIR_NAME_SHARD);
}

/* ---- looking ---- */

struct listing {
    struct weir_resp_session *session;
    struct weir_resp_slice glob; /* without bytes: all */
    uint64_t count;
};

static bool listed(const struct listing *listing, struct weir_slice name)
{
    return !listing->glob.bytes || weir_glob_match(listing->glob.bytes, listing->glob.count,
                                                   (const char *)name.bytes, name.byte_count);
}

static void count_name(void *context, struct weir_slice name, uint64_t subscribers)
{
    struct listing *listing = context;
    (void)subscribers;
    listing->count += listed(listing, name);
}

static void list_name(void *context, struct weir_slice name, uint64_t subscribers)
{
    struct listing *listing = context;
    (void)subscribers;
    if (listed(listing, name))
        weir_resp_reply_bulk(listing->session, name.bytes, name.byte_count);
}

static enum weir_resp_outcome list_names(struct weir_resp_session *session,
                                         const struct weir_resp_command *command,
                                         enum weir_name_kind kind)
{
    struct weir_part *part = session->local->part;
    struct listing listing = {.session = session};
    if (command->arg_count > 3) {
        weir_resp_failf(session, "ERR wrong number of arguments for '%s' command",
                        session->last->name);
        return WEIR_RESP_DONE;
    }
    if (command->arg_count == 3 && command->args[2].count > WEIR_PATTERN_BYTES_MAX) {
        weir_resp_fail(session, too_long);
        return WEIR_RESP_DONE;
    }
    if (command->arg_count == 3)
        listing.glob = command->args[2];
    weir_broker_each_name(part, kind, count_name, &listing);
    weir_resp_write_array(weir_resp_out(session), listing.count);
    weir_broker_each_name(part, kind, list_name, &listing);
    return WEIR_RESP_DONE;
}

static enum weir_resp_outcome count_subscribers(struct weir_resp_session *session,
                                                const struct weir_resp_command *command,
                                                enum weir_name_kind kind)
{
    weir_resp_write_array(weir_resp_out(session), 2 * (size_t)(command->arg_count - 2));
    for (uint32_t i = 2; i < command->arg_count; i++) {
        struct weir_slice name = weir_resp_bytes(command->args[i]);
        weir_resp_reply_bulk(session, name.bytes, name.byte_count);
        weir_resp_write_integer(weir_resp_out(session), (int64_t)weir_broker_subscriber_count(
                                                            session->local->part, kind, name));
    }
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_pubsub_channels(struct weir_resp_session *session,
                                                    const struct weir_resp_command *command)
{
    return list_names(session, command, WEIR_NAME_TOPIC);
}

enum weir_resp_outcome weir_resp_do_pubsub_shardchannels(struct weir_resp_session *session,
                                                         const struct weir_resp_command *command)
{
    return list_names(session, command, WEIR_NAME_SHARD);
}

enum weir_resp_outcome weir_resp_do_pubsub_numsub(struct weir_resp_session *session,
                                                  const struct weir_resp_command *command)
{
    return count_subscribers(session, command, WEIR_NAME_TOPIC);
}

enum weir_resp_outcome weir_resp_do_pubsub_shardnumsub(struct weir_resp_session *session,
                                                       const struct weir_resp_command *command)
{
    return count_subscribers(session, command, WEIR_NAME_SHARD);
}

enum weir_resp_outcome weir_resp_do_pubsub_numpat(struct weir_resp_session *session,
                                                  const struct weir_resp_command *command)
{
    (void)command;
    weir_resp_write_integer(weir_resp_out(session), (int64_t)weir_broker_name_count(
                                                        session->local->part, WEIR_NAME_PATTERN));
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_pubsub_help(struct weir_resp_session *session,
                                                const struct weir_resp_command *command)
{
    static const char *const lines[] = {
        "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CHANNELS [<pattern>]",
        "    Return the currently active channels matching a <pattern> (default: '*').",
        "NUMPAT",
        "    Return number of subscriptions to patterns.",
        "NUMSUB [<channel> ...]",
        "    Return the number of subscribers for the specified channels, excluding",
        "    pattern subscriptions(default: no channels).",
        "SHARDCHANNELS [<pattern>]",
        "    Return the currently active shard level channels matching a <pattern> (default: '*').",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Return the number of subscribers for the specified shard level channel(s)",
        "HELP",
        "    Print this help.",
        NULL,
    };
    (void)command;
    weir_resp_reply_lines(session, lines);
    return WEIR_RESP_DONE;
}
