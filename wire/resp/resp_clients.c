/*
 * wire/resp/resp_clients.c - CLIENT LIST and KILL: every client of every reactor.
 *
 * Each reactor describes, or closes, its own; the asker puts the pieces together. A line has Redis's
 * fields and then weir's: what waits in the subscriber's window, what was dropped, how long nothing
 * has left. So the slow one is found by name. Cold: it allocates.
 * Proof: tests/wire/resp/resp_session_test.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/resp/resp_command.h"

enum type { ANY, NORMAL, PUBSUB, NOBODY /* replica, master */ };

struct clients {
    struct weir_resp_asked asked; /* first */
    enum type type;
    bool by_ids;
    bool kills;
    bool old_form; /* KILL addr: OK or an error */
    bool skips_asker;
    bool kills_asker; /* found on its own reactor, done there after the answer */
    char *address;    /* NULL: any; likewise below */
    char *local_address;
    char *user;
    uint64_t age_s_min;
    uint32_t id_count;
    uint64_t *ids; /* sorted before they are asked for */
};

static const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

static void put_flags(const struct weir_resp_session *session, char *out)
{
    if (weir_resp_subscribed(session))
        *out++ = 'P';
    if (session->multi)
        *out++ = 'x';
    if (session->close_when_sent)
        *out++ = 'c';
    if (session->no_evict)
        *out++ = 'e';
    if (session->no_touch)
        *out++ = 'T';
    *out = '\0';
}

static void describe_identity(const struct weir_resp_session *session, struct weir_text *text)
{
    const struct weir_tcp *conn = weir_resp_conn(session);
    char peer[128], local[128], flags[8];
    uint64_t now_ns = weir_io_now_ns(session->local->reactor->io);
    weir_tcp_peer_name(conn, peer, sizeof peer);
    weir_tcp_local_name(conn, local, sizeof local);
    put_flags(session, flags);
    uint64_t idle_ns = now_ns > session->active_ns ? now_ns - session->active_ns : 0;
    weir_text_add(text, "id=%llu addr=%s laddr=%s fd=%d name=%s age=%llu idle=%llu flags=%s db=0",
                  (unsigned long long)session->id, peer, local, conn->fd,
                  text_or_empty(session->name),
                  (unsigned long long)((now_ns - session->opened_ns) / 1000000000),
                  (unsigned long long)(idle_ns / 1000000000), flags[0] ? flags : "N");
}

static void describe_memory(const struct weir_resp_session *session, struct weir_text *text)
{
    const struct weir_window *window = &session->subscriber.window;
    uint64_t rest = weir_resp_rest_bytes(session);
    uint64_t unsent = weir_tcp_unsent_bytes(weir_resp_conn(session));
    uint64_t total = sizeof *session + sizeof(struct weir_tcp) + rest + unsent +
                     window->byte_count + weir_resp_multi_bytes(session);
    weir_text_add(text,
                  " multi=%d watch=0 qbuf=%llu qbuf-free=0 argv-mem=0 multi-mem=%zu rbs=0 rbp=0",
                  session->multi ? (int)weir_resp_multi_count(session) : -1,
                  (unsigned long long)rest, weir_resp_multi_bytes(session));
    weir_text_add(text, " obl=%llu oll=%u omem=%llu tot-mem=%llu", (unsigned long long)unsent,
                  window->count, (unsigned long long)(unsent + window->byte_count),
                  (unsigned long long)total);
}

void weir_resp_describe(const struct weir_resp_session *session, struct weir_text *text)
{
    const struct weir_subscriber *subscriber = &session->subscriber;
    const struct weir_tcp *conn = weir_resp_conn(session);
    bool waits = weir_subscriber_waiting_bytes(subscriber) > 0;
    describe_identity(session, text);
    weir_text_add(text, " sub=%u psub=%u ssub=%u", subscriber->held_count[WEIR_NAME_TOPIC],
                  subscriber->held_count[WEIR_NAME_PATTERN],
                  subscriber->held_count[WEIR_NAME_SHARD]);
    describe_memory(session, text);
    weir_text_add(text, " events=%s%s cmd=%s user=%s redir=-1 resp=%u lib-name=%s lib-ver=%s",
                  conn->paused ? "" : "r", waits ? "w" : "",
                  session->last ? session->last->name : "NULL",
                  session->user ? session->user->name : "(superuser)", session->protocol,
                  text_or_empty(session->lib_name), text_or_empty(session->lib_version));
    weir_text_add(text, " window=%llu dropped=%llu stuck-ms=%llu reactor=%u\n",
                  (unsigned long long)subscriber->window.byte_count,
                  (unsigned long long)subscriber->window.dropped_count,
                  (unsigned long long)(weir_tcp_stuck_ns(conn) / 1000000),
                  session->local->reactor->index);
}

/* ---- which ones ---- */

static int compare_ids(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static bool has_id(const struct clients *clients, uint64_t id)
{
    return clients->id_count > 0 &&
           bsearch(&id, clients->ids, clients->id_count, sizeof id, compare_ids) != NULL;
}

static bool at_address(const struct weir_resp_session *session, const char *wanted,
                       void (*name)(const struct weir_tcp *conn, char *text, size_t text_bytes))
{
    char address[128];
    if (!wanted)
        return true;
    name(weir_resp_conn(session), address, sizeof address);
    return strcmp(address, wanted) == 0;
}

static bool meant(const struct clients *clients, const struct weir_resp_session *session)
{
    uint64_t age_s = (weir_io_now_ns(session->local->reactor->io) - session->opened_ns) / 1000000000;
    if (clients->type != ANY && clients->type != (weir_resp_subscribed(session) ? PUBSUB : NORMAL))
        return false;
    if (clients->by_ids && !has_id(clients, session->id))
        return false;
    if (clients->skips_asker && session->id == clients->asked.asker_id)
        return false;
    if (clients->user && (!session->user || strcmp(session->user->name, clients->user) != 0))
        return false;
    if (age_s < clients->age_s_min || session->closing)
        return false;
    return at_address(session, clients->address, weir_tcp_peer_name) &&
           at_address(session, clients->local_address, weir_tcp_local_name);
}

/* What it was sent still gets out if it reads; one that does not is cut off. */
static void kill_one(struct weir_resp_session *session)
{
    session->closing = true;
    if (weir_subscriber_waiting_bytes(&session->subscriber) > 0)
        weir_tcp_abort(weir_resp_conn(session));
    else
        weir_tcp_close(weir_resp_conn(session));
}

static void on_each(struct weir_reactor *reactor, struct weir_text *text, void *context)
{
    struct clients *clients = context;
    struct weir_resp_local *local = clients->asked.server->locals[reactor->index];
    if (!local)
        return;
    WEIR_LIST_EACH(node, &local->sessions) {
        struct weir_resp_session *session = WEIR_CONTAINER(node, struct weir_resp_session, node);
        if (!meant(clients, session))
            continue;
        if (!clients->kills) {
            weir_resp_describe(session, text);
            continue;
        }
        weir_text_add_bytes(text, "k", 1);
        if (session->id == clients->asked.asker_id)
            clients->kills_asker = true;
        else
            kill_one(session);
    }
}

/* ---- answers ---- */

static void answer_list(struct weir_resp_session *session, struct weir_text *texts, uint32_t count,
                        struct weir_resp_asked *asked)
{
    (void)asked;
    struct weir_text all = {0};
    for (uint32_t i = 0; i < count; i++) {
        all.failed |= texts[i].failed;
        if (texts[i].byte_count > 0)
            weir_text_add_bytes(&all, texts[i].bytes, texts[i].byte_count);
    }
    const char *bytes = all.bytes ? all.bytes : "";
    if (all.failed)
        weir_resp_fail(session, "OOM no memory for this answer");
    else
        weir_resp_write_verbatim(weir_resp_room(session, all.byte_count), "txt", bytes,
                                 all.byte_count);
    weir_text_free(&all);
}

static void answer_kill(struct weir_resp_session *session, struct weir_text *texts, uint32_t count,
                        struct weir_resp_asked *asked)
{
    const struct clients *clients = (const struct clients *)(const void *)asked;
    size_t killed = 0;
    for (uint32_t i = 0; i < count; i++)
        killed += texts[i].byte_count;
    if (clients->kills_asker)
        weir_resp_close(session);
    if (!clients->old_form)
        weir_resp_write_integer(weir_resp_out(session), (int64_t)killed);
    else if (killed > 0)
        weir_resp_ok(session);
    else
        weir_resp_fail(session, "ERR No such client");
}

static void drop(struct weir_resp_asked *asked)
{
    struct clients *clients = (struct clients *)(void *)asked;
    free(clients->address);
    free(clients->local_address);
    free(clients->user);
    free(clients->ids);
    free(clients);
}

static struct clients *make(bool kills)
{
    struct clients *clients = calloc(1, sizeof *clients);
    if (!clients)
        return NULL;
    clients->kills = kills;
    clients->asked.on_each = on_each;
    clients->asked.answer = kills ? answer_kill : answer_list;
    clients->asked.drop = drop;
    return clients;
}

/* ---- what was asked; an error text, or NULL ---- */

static const char *read_type(struct clients *clients, struct weir_resp_slice word, char *why,
                             size_t why_bytes)
{
    if (weir_resp_slice_is(word, "normal"))
        clients->type = NORMAL;
    else if (weir_resp_slice_is(word, "pubsub"))
        clients->type = PUBSUB;
    else if (weir_resp_slice_is(word, "replica") || weir_resp_slice_is(word, "slave") ||
             weir_resp_slice_is(word, "master"))
        clients->type = NOBODY;
    else {
        snprintf(why, why_bytes, "ERR Unknown client type '%.*s'",
                 (int)(word.count < 64 ? word.count : 64), word.bytes);
        return why;
    }
    return NULL;
}

static const char *add_id(struct clients *clients, struct weir_resp_slice word, const char *bad)
{
    uint64_t id;
    if (!weir_bytes_parse_u64(word.bytes, word.count, &id) || id == 0)
        return bad;
    if ((clients->id_count & (clients->id_count - 1)) == 0) { /* a power of two, or none: full */
        size_t room = clients->id_count ? (size_t)clients->id_count * 2 : 1;
        uint64_t *grown = realloc(clients->ids, room * sizeof *grown);
        if (!grown)
            return "OOM no memory for this list";
        clients->ids = grown;
    }
    clients->ids[clients->id_count++] = id;
    clients->by_ids = true;
    return NULL;
}

static const char *set(char **at, struct weir_resp_slice word)
{
    free(*at);
    *at = strndup(word.bytes ? word.bytes : "", word.count);
    return *at ? NULL : "OOM no memory for this list";
}

static const char *read_list(struct clients *clients, const struct weir_resp_command *command,
                             char *why, size_t why_bytes)
{
    const struct weir_resp_slice *args = command->args;
    if (command->arg_count == 2)
        return NULL;
    if (command->arg_count == 4 && weir_resp_slice_is(args[2], "type"))
        return read_type(clients, args[3], why, why_bytes);
    if (command->arg_count < 4 || !weir_resp_slice_is(args[2], "id"))
        return "ERR syntax error";
    const char *bad = NULL;
    for (uint32_t i = 3; i < command->arg_count && !bad; i++)
        bad = add_id(clients, args[i], "ERR Invalid client ID");
    return bad;
}

static const char *read_kill_option(struct clients *clients, struct weir_resp_slice option,
                                    struct weir_resp_slice value, char *why, size_t why_bytes)
{
    if (weir_resp_slice_is(option, "id"))
        return add_id(clients, value, "ERR client-id should be greater than 0");
    if (weir_resp_slice_is(option, "type"))
        return read_type(clients, value, why, why_bytes);
    if (weir_resp_slice_is(option, "addr"))
        return set(&clients->address, value);
    if (weir_resp_slice_is(option, "laddr"))
        return set(&clients->local_address, value);
    if (weir_resp_slice_is(option, "user"))
        return set(&clients->user, value);
    if (weir_resp_slice_is(option, "maxage"))
        return weir_bytes_parse_u64(value.bytes, value.count, &clients->age_s_min)
                   ? NULL
                   : "ERR maxage is not an integer or out of range";
    if (!weir_resp_slice_is(option, "skipme"))
        return "ERR syntax error";
    clients->skips_asker = weir_resp_slice_is(value, "yes");
    return clients->skips_asker || weir_resp_slice_is(value, "no") ? NULL : "ERR syntax error";
}

static const char *read_kill(struct clients *clients, const struct weir_resp_command *command,
                             char *why, size_t why_bytes)
{
    const struct weir_resp_slice *args = command->args;
    clients->old_form = command->arg_count == 3;
    clients->skips_asker = !clients->old_form;
    if (clients->old_form)
        return set(&clients->address, args[2]);
    if (command->arg_count % 2 != 0)
        return "ERR syntax error";
    const char *bad = NULL;
    for (uint32_t i = 2; i < command->arg_count && !bad; i += 2)
        bad = read_kill_option(clients, args[i], args[i + 1], why, why_bytes);
    return bad;
}

static enum weir_resp_outcome ask(struct weir_resp_session *session,
                                  const struct weir_resp_command *command, bool kills)
{
    char why[128];
    struct clients *clients = make(kills);
    const char *bad = NULL;
    if (clients)
        bad = kills ? read_kill(clients, command, why, sizeof why)
                    : read_list(clients, command, why, sizeof why);
    if (!bad && clients && clients->id_count > 0)
        qsort(clients->ids, clients->id_count, sizeof *clients->ids, compare_ids);
    if (!bad)
        return weir_resp_ask(session, clients ? &clients->asked : NULL);
    weir_resp_fail(session, bad);
    drop(&clients->asked);
    return WEIR_RESP_DONE;
}

enum weir_resp_outcome weir_resp_do_client_list(struct weir_resp_session *session,
                                                const struct weir_resp_command *command)
{
    return ask(session, command, false);
}

enum weir_resp_outcome weir_resp_do_client_kill(struct weir_resp_session *session,
                                                const struct weir_resp_command *command)
{
    return ask(session, command, true);
}
