/*
 * broker/keep.c - from a folder to stores on every reactor and one catalog that all of them know.
 *
 * Proof: tests/broker/catalog_test.c, tests/clients/crash_test.py.
 */
#include "broker/keep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/work.h>

#include "broker/coordinator.h"
#include "broker/transactions.h"
#include "runtime/runtime.h"

enum { WHY_BYTES = 320, DAY_MS = 24 * 3600 * 1000 };

struct known_topic {
    struct weir_log_id id;
    enum weir_log_level_kind level;
};

struct opening { /* reactor 0's, while the data directory is opened */
    struct weir_broker *broker;
    struct weir_part *part; /* not the job's to touch: a start that fails closes it meanwhile */
    struct weir_disk *disk;
    struct known_topic *known; /* sorted; made at the first question */
    uint32_t known_count;
    bool sorted;
    int result;
    char why[WHY_BYTES];
    uint32_t left; /* reactors that have not answered this round */
    struct round *rounds;
};

struct round { /* one reactor's question in this round */
    struct weir_ask ask;
    struct opening *opening;
    int result;
};

int weir_keep_copy(struct weir_broker *broker, const struct weir_keep_options *options)
{
    broker->keep = *options;
    broker->keep.folder = strdup(options->folder);
    if (broker->keep.retention_ms == 0)
        broker->keep.retention_ms = (int64_t)7 * DAY_MS;
    if (broker->keep.retention_bytes == 0)
        broker->keep.retention_bytes = -1;
    if (broker->keep.segment_bytes == 0)
        broker->keep.segment_bytes = 128 << 20;
    if (broker->keep.message_bytes_max == 0)
        broker->keep.message_bytes_max = 1048588;
    if (broker->keep.partitions_default == 0)
        broker->keep.partitions_default = 1;
    return broker->keep.folder ? 0 : -ENOMEM;
}

/* ---- The job: on a pool thread ------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct weir_log_id));
}

/* An earlier run's rows say which topics there are; those being deleted too, until their row is gone. */
static void learn_topics(struct opening *opening, const struct weir_data *data)
{
    uint32_t count = 0;
    opening->sorted = true;
    for (const struct weir_data_row *row = data->rows; row; row = row->next)
        count += row->table == WEIR_TABLE_CATALOG;
    opening->known = calloc(count ? count : 1, sizeof *opening->known);
    for (const struct weir_data_row *row = data->rows; row && opening->known; row = row->next) {
        struct weir_kept_topic topic;
        bool deleting;
        if (row->table != WEIR_TABLE_CATALOG ||
            !weir_catalog_row_read(row->bytes, row->key_bytes, row->bytes + row->key_bytes, row->value_bytes, &topic, &deleting))
            continue;
        int64_t level = topic.config.level >= 0 ? topic.config.level : opening->broker->keep.level;
        opening->known[opening->known_count++] = (struct known_topic){topic.id, (enum weir_log_level_kind)level};
    }
    if (opening->known)
        qsort(opening->known, opening->known_count, sizeof *opening->known, by_id);
}

static bool is_known(void *context, const struct weir_data *data, const struct weir_log_id *id, struct weir_data_topic *topic_out)
{
    struct opening *opening = context;
    if (!opening->sorted)
        learn_topics(opening, data);
    const struct known_topic *known =
        opening->known ? bsearch(id, opening->known, opening->known_count, sizeof *opening->known, by_id) : NULL;
    if (known)
        topic_out->level = known->level;
    return known != NULL;
}

static void open_data(void *context)
{
    struct opening *opening = context;
    struct weir_broker *broker = opening->broker;
    struct weir_data_options options = {
        .journal_count = broker->runtime->reactor_count,
        .extent_bytes = broker->keep.extent_bytes,
        .topic = is_known,
        .topic_context = opening,
    };
    opening->result = weir_data_open(opening->disk, broker->keep.folder, &options, &broker->data, opening->why, sizeof opening->why);
    if (opening->result == 0)
        opening->result = weir_data_share(broker->data);
}

/* ---- Then, round by round, on all reactors ------------------------------------------------------- */

static void end_opening(struct opening *opening)
{
    free(opening->known);
    free(opening->rounds);
    free(opening);
}

static void say(struct opening *opening)
{
    struct weir_broker *broker = opening->broker;
    if (broker->keep.on_kept)
        broker->keep.on_kept(broker->keep.context, opening->result, opening->why);
}

static void ask_all(struct opening *opening, void (*asked)(struct weir_part *, struct weir_ask *),
                    void (*answered)(struct weir_part *, struct weir_ask *))
{
    uint32_t count = opening->part->reactor->count;
    opening->left = count;
    for (uint32_t i = 0; i < count; i++) { /* our own last: its answer comes at once */
        uint32_t to = count - 1 - i;
        struct round *round = &opening->rounds[to];
        *round = (struct round){.ask = {.asked = asked, .answered = answered}, .opening = opening};
        weir_ask_send(opening->part, to, &round->ask);
    }
}

static struct round *round_of(struct weir_ask *ask)
{
    return WEIR_CONTAINER(ask, struct round, ask);
}

static void on_failed_asked(struct weir_part *part, struct weir_ask *ask)
{
    part->keep->state = WEIR_KEEP_FAILED;
    weir_ask_answer(part, ask);
}

static void on_failed_answered(struct weir_part *part, struct weir_ask *ask)
{
    (void)part;
    struct opening *opening = round_of(ask)->opening;
    if (--opening->left > 0)
        return;
    say(opening);
    end_opening(opening);
}

static void fail(struct opening *opening)
{
    if (!opening->why[0])
        snprintf(opening->why, sizeof opening->why, "%s: %s", opening->broker->keep.folder, strerror(-opening->result));
    ask_all(opening, on_failed_asked, on_failed_answered);
}

/* Reactor 0's copy is whole and does not change while it is told: changes are LOADING until all have it. */
static void on_told(struct weir_part *part, struct weir_ask *ask)
{
    struct round *round = round_of(ask);
    struct weir_keep *first = round->opening->part->keep;
    WEIR_LIST_EACH(node, &first->topics)
    {
        if (part->keep == first || round->result < 0)
            break;
        struct weir_topic_copy *copy = WEIR_CONTAINER(node, struct weir_topic_copy, topic.node);
        if (!copy->deleting)
            round->result = weir_catalog_put(part->keep, &copy->topic);
    }
    part->keep->told = round->result == 0;
    weir_ask_answer(part, ask);
}

static void on_ready_asked(struct weir_part *part, struct weir_ask *ask)
{
    part->keep->state = WEIR_KEEP_READY;
    weir_transactions_resume(part);
    weir_ask_answer(part, ask);
}

static void on_ready_answered(struct weir_part *part, struct weir_ask *ask)
{
    struct opening *opening = round_of(ask)->opening;
    if (--opening->left > 0)
        return;
    const struct weir_data_report *report = &opening->broker->data->report;
    snprintf(opening->why, sizeof opening->why,
             "partitions=%llu topics=%u replayed=%llu journal_bytes=%llu cut_bytes=%llu took_us=%llu",
             (unsigned long long)report->partitions, part->keep->topic_count, (unsigned long long)report->batches_replayed,
             (unsigned long long)report->journal_bytes, (unsigned long long)report->cut_bytes,
             (unsigned long long)report->duration_ns / 1000);
    say(opening);
    end_opening(opening);
}

static bool round_ended(struct opening *opening, const struct round *round)
{
    if (round->result < 0 && opening->result == 0)
        opening->result = round->result;
    return --opening->left == 0;
}

static void on_told_answered(struct weir_part *part, struct weir_ask *ask)
{
    struct opening *opening = round_of(ask)->opening;
    if (!round_ended(opening, round_of(ask)))
        return;
    if (opening->result < 0) {
        fail(opening);
        return;
    }
    weir_catalog_resume(part->keep); /* before anybody can ask for a topic of the same name */
    ask_all(opening, on_ready_asked, on_ready_answered);
}

static void load_row(void *context, const void *key, uint32_t key_bytes, const void *value, uint32_t value_bytes)
{
    struct opening *opening = context;
    struct weir_kept_topic topic;
    bool deleting = false;
    if (!weir_catalog_row_read(key, key_bytes, value, value_bytes, &topic, &deleting)) {
        opening->result = -EBADMSG;
        snprintf(opening->why, sizeof opening->why, "%s: a row of the catalog cannot be read", opening->broker->keep.folder);
        return;
    }
    int result = weir_catalog_put_marked(opening->part->keep, &topic, deleting);
    if (result < 0)
        opening->result = result;
}

static void on_store_error(void *context, int error)
{
    struct weir_part *part = context;
    if (error && part->keep && !part->keep->ending)
        weir_places_failed(part->keep);
    weir_reactor_log(part->reactor, error ? WEIR_LOG_ERROR : WEIR_LOG_INFO, error ? "msg=\"nothing more is kept\" why=\"%s\""
                                                                                   : "msg=\"kept again\" after=\"%s\"",
                     strerror(error ? -error : ENOSPC));
}

static void on_open_asked(struct weir_part *part, struct weir_ask *ask)
{
    const struct weir_keep_options *keep = &part->broker->keep;
    struct weir_store_options options = {
        .extent_bytes = keep->extent_bytes,
        .tail_bytes_max = keep->tail_bytes_max,
        .checkpoint_ns = keep->checkpoint_ns,
        .state = weir_place_state,
        .on_error = on_store_error,
        .context = part,
    };
    struct round *round = round_of(ask);
    round->result = weir_store_open(part->broker->data, part->reactor, &options, &part->keep->store);
    if (round->result == 0)
        round->result = weir_coordinator_begin(part);
    if (round->result == 0)
        round->result = weir_transactions_begin(part);
    weir_ask_answer(part, ask);
}

static void on_open_answered(struct weir_part *part, struct weir_ask *ask)
{
    struct opening *opening = round_of(ask)->opening;
    if (!round_ended(opening, round_of(ask)))
        return;
    if (opening->result == 0)
        weir_table_each(part->keep->store, WEIR_TABLE_CATALOG, load_row, opening);
    if (opening->result < 0)
        fail(opening);
    else
        ask_all(opening, on_told, on_told_answered);
}

static void on_data(struct weir_reactor *reactor, void *context)
{
    struct opening *opening = context;
    if (!weir_part(reactor)) /* the start failed elsewhere: the broker closes what was opened */
        end_opening(opening);
    else if (opening->result < 0)
        fail(opening);
    else
        ask_all(opening, on_open_asked, on_open_answered);
}

static int begin_opening(struct weir_part *part)
{
    struct opening *opening = calloc(1, sizeof *opening);
    struct round *rounds = calloc(part->reactor->count, sizeof *rounds);
    int result = opening && rounds ? 0 : -ENOMEM;
    if (result == 0) {
        *opening = (struct opening){.broker = part->broker, .part = part, .disk = weir_io_disk(part->reactor->io), .rounds = rounds};
        result = weir_work(part->reactor, open_data, on_data, opening);
    }
    if (result < 0) {
        free(opening);
        free(rounds);
    }
    return result;
}

int64_t weir_keep_wall_ms(struct weir_part *part)
{
    struct weir_disk *disk = weir_io_disk(part->reactor->io);
    return (int64_t)disk->table->wall_ms(disk);
}

int weir_keep_begin(struct weir_part *part)
{
    struct weir_keep *keep = calloc(1, sizeof *keep);
    if (!keep)
        return -ENOMEM;
    *keep = (struct weir_keep){.part = part};
    weir_list_init(&keep->changes);
    weir_list_init(&keep->places);
    int result = weir_catalog_init(keep);
    if (result < 0) {
        free(keep);
        return result;
    }
    part->keep = keep;
    return part->reactor->index == 0 ? begin_opening(part) : 0;
}

void weir_keep_end(struct weir_part *part)
{
    struct weir_keep *keep = part->keep;
    if (!keep)
        return;
    weir_transactions_end(part);
    weir_coordinator_end(part);
    keep->ending = true;
    weir_places_quiet(keep);
    part->keep = NULL;
    if (keep->store)
        weir_store_close(keep->store); /* ends commits, which places belong to */
    weir_places_close(keep);
    weir_catalog_deinit(keep);
    free(keep);
}
