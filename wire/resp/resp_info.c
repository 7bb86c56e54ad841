/*
 * wire/resp/resp_info.c - INFO: every counter there is, of all reactors.
 *
 * Each reactor hands over its counters as they are in memory; the asker adds them up for the sections
 * that Redis has and shows them one by one in the section `weir`.
 * Proof: tests/wire/resp/resp_session_test.c.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "runtime/runtime.h"
#include "wire/resp/resp_kept.h"

enum section {
    SERVER,
    CLIENTS,
    MEMORY,
    PERSISTENCE,
    STATS,
    REPLICATION,
    CPU,
    CLUSTER,
    KEYSPACE,
    WEIR,
    SECTIONS
};

static const char *const section_names[SECTIONS] = {
    "Server",      "Clients", "Memory",  "Persistence", "Stats",
    "Replication", "CPU",     "Cluster", "Keyspace",    "Weir",
};

struct share {
    struct weir_part_counters part;
    uint64_t throttled_observed;
    struct weir_reactor_counters reactor;
    struct weir_resp_counters resp;
    struct weir_kept_counters kept;
    uint64_t memory_bytes_max;
    uint64_t slow_clients; /* with a window */
    uint32_t ring_depth;   /* sent to it and not taken yet, over all rings */
    uint32_t ring_slots;
    char io[16];
};

struct info {
    struct weir_resp_asked asked; /* first */
    bool wanted[SECTIONS];
};

typedef unsigned long long ull;

/* ---- on each reactor ---- */

static void on_each(struct weir_reactor *reactor, struct weir_text *text, void *context)
{
    const struct info *info = context;
    const struct weir_resp_server *server = info->asked.server;
    struct share share = {.memory_bytes_max = reactor->buffers.bytes_max};
    if (weir_part(reactor)) {
        share.part = *weir_part_counters(weir_part(reactor));
        share.throttled_observed = weir_part_observed_count(weir_part(reactor));
        weir_kept_counters_read(weir_part(reactor), &share.kept);
    }
    share.resp = weir_resp_counters(server, reactor);
    weir_reactor_counters_read(reactor, &share.reactor);
    share.ring_slots = weir_mesh_slots(reactor->mesh);
    for (uint32_t from = 0; from < reactor->count; from++)
        if (from != reactor->index)
            share.ring_depth += weir_mesh_depth(reactor->mesh, from, reactor->index);
    strncpy(share.io, weir_reactor_io_name(reactor), sizeof share.io - 1);
    weir_text_add_bytes(text, &share, sizeof share);
}

/* ---- sections ---- */

static void add_up(uint64_t *sum, const uint64_t *counters, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum[i] += counters[i];
}

#define ADD_UP(sum, counters) \
    add_up((uint64_t *)(sum), (const uint64_t *)(counters), sizeof *(sum) / sizeof(uint64_t))

static struct share total(const struct share *shares, uint32_t count)
{
    struct share sum = {0};
    for (uint32_t i = 0; i < count; i++) {
        ADD_UP(&sum.part, &shares[i].part);
        ADD_UP(&sum.reactor, &shares[i].reactor);
        ADD_UP(&sum.resp, &shares[i].resp);
        ADD_UP(&sum.kept, &shares[i].kept);
        sum.memory_bytes_max += shares[i].memory_bytes_max;
        sum.throttled_observed += shares[i].throttled_observed;
    }
    memcpy(sum.io, shares[0].io, sizeof sum.io);
    return sum;
}

static void add_server(struct weir_resp_session *session, struct weir_text *text,
                       const struct share *sum)
{
    const struct weir_resp_local *local = session->local;
    const struct weir_resp_settings *settings = &local->server->settings;
    uint64_t up_s = (local->reactor->now_ns - local->opened_ns) / 1000000000;
    struct utsname system = {0};
    uname(&system);
    weir_text_add(
        text, "redis_version:%s\r\nredis_git_sha1:00000000\r\nredis_git_dirty:0\r\nredis_mode:standalone\r\n",
        settings->redis_version);
    weir_text_add(text, "weir_version:%s\r\nos:%s %s %s\r\narch_bits:64\r\nmultiplexing_api:%s\r\n",
                  weir_version(), system.sysname, system.release, system.machine, sum->io);
    weir_text_add(
        text, "process_id:%d\r\ntcp_port:%u\r\nuptime_in_seconds:%llu\r\nuptime_in_days:%llu\r\n",
        (int)getpid(), local->port, (ull)up_s, (ull)(up_s / 86400));
    weir_text_add(text, "config_file:%s\r\nio_threads_active:%d\r\n",
                  settings->config_file ? settings->config_file : "",
                  local->server->local_count > 1);
}

static void add_clients(struct weir_resp_session *session, struct weir_text *text,
                        const struct share *sum)
{
    weir_text_add(
        text,
        "connected_clients:%llu\r\ncluster_connections:0\r\nmaxclients:%u\r\nblocked_clients:0\r\n",
        (ull)sum->resp.clients, session->local->server->settings.clients_max);
    weir_text_add(text, "tracking_clients:0\r\npubsub_clients:%llu\r\n",
                  (ull)sum->resp.subscriber_clients);
}

static uint64_t resident_bytes(void)
{
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_maxrss * 1024;
}

static void add_memory(struct weir_resp_session *session, struct weir_text *text,
                       const struct share *sum)
{
    (void)session;
    weir_text_add(
        text, "used_memory:%llu\r\nused_memory_peak:%llu\r\nmaxmemory:%llu\r\nmaxmemory_policy:noeviction\r\n",
        (ull)sum->reactor.buffers_bytes, (ull)resident_bytes(), (ull)sum->memory_bytes_max);
}

static void add_persistence(struct weir_resp_session *session, struct weir_text *text,
                            const struct share *sum)
{
    (void)session;
    (void)sum;
    weir_text_add(text, "loading:0\r\nrdb_changes_since_last_save:0\r\nrdb_bgsave_in_progress:"
                        "0\r\naof_enabled:0\r\n");
}

static void add_stats(struct weir_resp_session *session, struct weir_text *text,
                      const struct share *sum)
{
    struct weir_part *part = session->local->part;
    weir_text_add(text, "total_connections_received:%llu\r\ntotal_commands_processed:%llu\r\n",
                  (ull)sum->resp.connections, (ull)sum->resp.commands);
    weir_text_add(
        text, "total_net_input_bytes:%llu\r\ntotal_net_output_bytes:%llu\r\nrejected_connections:%llu\r\n",
        (ull)sum->reactor.bytes_received, (ull)sum->reactor.bytes_sent, (ull)sum->resp.rejected);
    weir_text_add(
        text,
        "keyspace_hits:0\r\nkeyspace_misses:0\r\npubsub_channels:%llu\r\npubsub_patterns:%llu\r\n",
        (ull)weir_broker_name_count(part, WEIR_NAME_TOPIC),
        (ull)weir_broker_name_count(part, WEIR_NAME_PATTERN));
    weir_text_add(text, "pubsubshard_channels:%llu\r\ntotal_error_replies:%llu\r\n",
                  (ull)weir_broker_name_count(part, WEIR_NAME_SHARD), (ull)sum->resp.errors);
    weir_text_add(text, "client_output_buffer_limit_disconnections:%llu\r\n",
                  (ull)(sum->part.evicted_hard + sum->part.evicted_soft));
}

static void add_replication(struct weir_resp_session *session, struct weir_text *text,
                            const struct share *sum)
{
    (void)session;
    (void)sum;
    weir_text_add(text, "role:master\r\nconnected_slaves:0\r\nmaster_repl_offset:0\r\n");
}

static void add_cpu(struct weir_resp_session *session, struct weir_text *text,
                    const struct share *sum)
{
    (void)session;
    (void)sum;
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    weir_text_add(text, "used_cpu_sys:%lld.%06lld\r\nused_cpu_user:%lld.%06lld\r\n",
                  (long long)usage.ru_stime.tv_sec, (long long)usage.ru_stime.tv_usec,
                  (long long)usage.ru_utime.tv_sec, (long long)usage.ru_utime.tv_usec);
}

static void add_cluster(struct weir_resp_session *session, struct weir_text *text,
                        const struct share *sum)
{
    (void)session;
    (void)sum;
    weir_text_add(text, "cluster_enabled:0\r\n");
}

static void add_keyspace(struct weir_resp_session *session, struct weir_text *text,
                         const struct share *sum)
{
    (void)session;
    (void)text;
    (void)sum;
}

/* ---- every counter by its name ---- */

struct named {
    const char *name;
    size_t offset; /* of a uint64_t in struct share */
};

#define PART(field)                                \
    {                                              \
#field, offsetof(struct share, part.field) \
    }
#define REACTOR(field)                                \
    {                                                 \
#field, offsetof(struct share, reactor.field) \
    }
#define RESP(field)                                         \
    {                                                       \
        "redis_" #field, offsetof(struct share, resp.field) \
    }

#define STORE(field)                                              \
    {                                                             \
        "kept_" #field, offsetof(struct share, kept.store.field) \
    }
#define JOURNAL(field)                                                 \
    {                                                                  \
        "journal_" #field, offsetof(struct share, kept.journal.field) \
    }

static const struct named counters[] = {
    PART(published),
    PART(delivered),
    PART(delivered_bytes),
    PART(forwarded),
    PART(received),
    PART(dropped_oldest),
    PART(dropped_newest),
    PART(evicted_hard),
    PART(evicted_soft),
    PART(evicted_stuck),
    PART(evicted_memory),
    PART(pauses),
    PART(publishes_waited),
    PART(throttled_delay),
    PART(throttled_reject),
    {"throttled_observed", offsetof(struct share, throttled_observed)},
    PART(installs_sent),
    PART(installs_received),
    PART(subscribers),
    PART(windowed_bytes),
    REACTOR(turns),
    REACTOR(parks),
    REACTOR(spins_hit),
    REACTOR(wakes_sent),
    REACTOR(events_emitted),
    REACTOR(events_posted),
    REACTOR(events_dispatched),
    REACTOR(events_dropped),
    REACTOR(mail_sent),
    REACTOR(mail_received),
    REACTOR(mail_full),
    REACTOR(strands_run),
    REACTOR(strands_stolen),
    REACTOR(strands_lent),
    REACTOR(connections_opened),
    REACTOR(connections_closed),
    REACTOR(bytes_received),
    REACTOR(bytes_sent),
    REACTOR(buffers_bytes),
    REACTOR(stalls),
    REACTOR(timers_fired),
    REACTOR(io_enters),
    REACTOR(recv_starved),
    RESP(connections),
    RESP(rejected),
    RESP(commands),
    RESP(errors),
    RESP(protocol_errors),
    RESP(auth_failures),
    RESP(paused_by_credit),
    RESP(paused_by_limit),
    RESP(paused_by_replies),
    RESP(limit_rejects),
    RESP(clients),
    RESP(subscriber_clients),
    STORE(appends),
    STORE(append_bytes),
    STORE(reads_tail),
    STORE(reads_disk),
    STORE(read_bytes),
    STORE(checkpoints),
    STORE(segments_made),
    STORE(segments_removed),
    STORE(segment_write_bytes),
    STORE(tail_bytes),
    STORE(open_files),
    STORE(partitions),
    JOURNAL(frames),
    JOURNAL(entries),
    JOURNAL(entry_bytes),
    JOURNAL(written_bytes),
    JOURNAL(write_ns_total),
    JOURNAL(extents_made),
    JOURNAL(extents_recycled),
    JOURNAL(full),
};
enum { COUNTERS = sizeof counters / sizeof *counters };

static void add_counters(struct weir_text *text, const struct share *share, const char *prefix,
                         char after)
{
    for (uint32_t i = 0; i < COUNTERS; i++) {
        uint64_t value;
        memcpy(&value, (const char *)share + counters[i].offset, sizeof value);
        if (after == ',')
            weir_text_add(text, ",%s=%llu", counters[i].name, (ull)value);
        else
            weir_text_add(text, "%s%s:%llu\r\n", prefix, counters[i].name, (ull)value);
    }
}

static void add_weir(struct weir_text *text, const struct share *shares, uint32_t count,
                     const struct share *sum)
{
    weir_text_add(text, "weir_version:%s\r\nreactors:%u\r\n", weir_version(), count);
    add_counters(text, sum, "weir_", '\n');
    for (uint32_t i = 0; i < count; i++) {
        weir_text_add(text, "reactor_%u:io=%s,ring_depth=%u,ring_slots=%u", i, shares[i].io,
                      shares[i].ring_depth, shares[i].ring_slots);
        add_counters(text, &shares[i], "", ',');
        weir_text_add(text, "\r\n");
    }
}

/* ---- the whole ---- */

typedef void (*section_fn)(struct weir_resp_session *session, struct weir_text *text,
                           const struct share *sum);
static const section_fn section_fns[WEIR] = {
    add_server,      add_clients, add_memory,  add_persistence, add_stats,
    add_replication, add_cpu,     add_cluster, add_keyspace,
};

static void answer(struct weir_resp_session *session, struct weir_text *texts, uint32_t count,
                   struct weir_resp_asked *asked)
{
    const struct info *info = (const struct info *)(const void *)asked;
    struct weir_text text = {0};
    struct share *shares = calloc(count, sizeof *shares);
    for (uint32_t i = 0; i < count && shares; i++)
        if (texts[i].byte_count == sizeof *shares)
            memcpy(&shares[i], texts[i].bytes, sizeof *shares);
    struct share sum = shares ? total(shares, count) : (struct share){0};
    for (uint32_t i = 0; i < SECTIONS && shares; i++) {
        if (!info->wanted[i])
            continue;
        weir_text_add(&text, "%s# %s\r\n", text.byte_count > 0 ? "\r\n" : "", section_names[i]);
        if (i == WEIR)
            add_weir(&text, shares, count, &sum);
        else
            section_fns[i](session, &text, &sum);
    }
    if (!shares || text.failed)
        weir_resp_fail(session, "OOM no memory for this answer");
    else
        weir_resp_write_verbatim(weir_resp_room(session, text.byte_count), "txt",
                                 text.bytes ? text.bytes : "", text.byte_count);
    free(shares);
    weir_text_free(&text);
}

static void want(struct info *info, struct weir_resp_slice word)
{
    bool all = weir_resp_slice_is(word, "all") || weir_resp_slice_is(word, "everything") ||
               weir_resp_slice_is(word, "default");
    for (uint32_t i = 0; i < SECTIONS; i++)
        if (all || weir_resp_slice_is(word, section_names[i]))
            info->wanted[i] = true;
}

enum weir_resp_outcome weir_resp_do_info(struct weir_resp_session *session,
                                         const struct weir_resp_command *command)
{
    struct info *info = calloc(1, sizeof *info);
    if (info) {
        info->asked.on_each = on_each;
        info->asked.answer = answer;
        if (command->arg_count == 1)
            want(info, (struct weir_resp_slice){"default", 7});
        for (uint32_t i = 1; i < command->arg_count; i++)
            want(info, command->args[i]);
    }
    return weir_resp_ask(session, info ? &info->asked : NULL);
}
