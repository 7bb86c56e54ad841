/*
 * broker/catalog_change.c - reactor 0 changes the catalog, one change after the other: check, make durable, tell all, answer.
 *
 *     CREATE, GROW, CONFIGURE    row durable -> told to all -> answered
 *     DELETE                     row marked, durable -> all drop their partitions, each durably -> row removed, durable -> answered
 *
 * So no partition takes an append before its topic is durable, and no row goes while a journal may hold records of its topic.
 * A change that was cut off by the end of the node is either not there, or (a row that is marked) gone on with at the next start.
 *
 * One at a time keeps it simple: a change costs two or three flushes and a round over the reactors.
 * Proof: tests/broker/catalog_test.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/keep.h"
#include "broker/offsets.h"

struct tell { /* one reactor's share of a change */
    struct weir_ask ask;
    struct weir_catalog_change *change;
    struct weir_commit commit;
    struct weir_store_waiter room; /* a drop that finds the store full waits */
    struct weir_part *part;
    const struct weir_kept_topic *topic;
    int result;
};

struct work { /* the change at hand, on reactor 0 */
    struct weir_keep *keep;
    struct weir_kept_topic topic; /* as it will be */
    struct tell *tells;
    uint32_t left;
    bool failed; /* somebody could not; others may still read `topic` */
    struct weir_store_waiter room;
    struct weir_catalog_change *change; /* with room */
};

static void begin_next(struct weir_keep *keep);

static struct work *work_of(struct weir_catalog_change *change)
{
    return change->own;
}

/* ---- The end -------------------------------------------------------------------------------------- */

static void finish(struct weir_keep *keep, struct weir_catalog_change *change, enum weir_catalog_result result)
{
    struct work *work = work_of(change);
    change->result = result;
    if (work) {
        change->partition_count = work->topic.partition_count;
        change->id = work->topic.id;
        free(work->tells);
        free(work);
        change->own = NULL;
    }
    keep->changing = false;
    weir_ask_answer(keep->part, &change->ask);
    begin_next(keep);
}

static void refuse(struct weir_keep *keep, struct weir_catalog_change *change, enum weir_catalog_result result, const char *why)
{
    snprintf(change->why, sizeof change->why, "%s", why);
    finish(keep, change, result);
}

static void on_row_removed(struct weir_commit *commit, int result)
{
    struct weir_catalog_change *change = WEIR_CONTAINER(commit, struct weir_catalog_change, commit);
    struct weir_keep *keep = work_of(change)->keep;
    finish(keep, change, result < 0 ? WEIR_CATALOG_NOT_WRITTEN : WEIR_CATALOG_DONE);
}

static void remove_row(struct weir_keep *keep, struct weir_catalog_change *change);

static void on_room_for_row(struct weir_store_waiter *waiter)
{
    struct work *work = WEIR_CONTAINER(waiter, struct work, room);
    remove_row(work->keep, work->change);
}

static void remove_row(struct weir_keep *keep, struct weir_catalog_change *change)
{
    struct work *work = work_of(change);
    const struct weir_log_id id = work->topic.id;
    struct weir_topic_copy *copy = weir_catalog_copy(keep, &id);
    change->commit.done = on_row_removed;
    int result = weir_table_remove(keep->store, WEIR_TABLE_CATALOG, id.bytes, sizeof id.bytes, &change->commit);
    if (result == -EAGAIN) {
        work->change = change;
        work->room.fn = on_room_for_row;
        weir_store_wait(keep->store, &work->room);
        return;
    }
    if (copy)
        weir_catalog_remove(keep, copy);
    if (result < 0)
        refuse(keep, change, WEIR_CATALOG_NOT_WRITTEN, "the row could not be removed; the next start goes on with it");
}

/* ---- Telling all ------------------------------------------------------------------------------------ */

static void on_tell_answered(struct weir_part *part, struct weir_ask *ask)
{
    struct tell *tell = WEIR_CONTAINER(ask, struct tell, ask);
    struct weir_catalog_change *change = tell->change;
    struct work *work = work_of(change);
    work->failed |= tell->result < 0;
    if (--work->left > 0)
        return;
    if (work->failed)
        refuse(part->keep, change, WEIR_CATALOG_NOT_WRITTEN, "not every reactor could take the change");
    else if (change->verb == WEIR_CATALOG_DELETE)
        remove_row(part->keep, change);
    else
        finish(part->keep, change, WEIR_CATALOG_DONE);
}

static void on_put_asked(struct weir_part *part, struct weir_ask *ask)
{
    struct tell *tell = WEIR_CONTAINER(ask, struct tell, ask);
    tell->result = weir_catalog_put(part->keep, tell->topic);
    struct weir_topic_copy *copy = tell->result == 0 ? weir_catalog_copy(part->keep, &tell->topic->id) : NULL;
    if (copy)
        weir_places_configure(part->keep, copy);
    weir_ask_answer(part, ask);
}

static void on_dropped(struct weir_commit *commit, int result)
{
    struct tell *tell = WEIR_CONTAINER(commit, struct tell, commit);
    tell->result = result;
    weir_ask_answer(tell->part, &tell->ask);
}

static void drop(struct tell *tell);

static void on_room_to_drop(struct weir_store_waiter *waiter)
{
    drop(WEIR_CONTAINER(waiter, struct tell, room));
}

/* Commits go first: a topic of the same name must not find them. */
static void drop(struct tell *tell)
{
    struct weir_store *store = tell->part->keep->store;
    const struct weir_kept_topic *topic = tell->topic;
    int result = weir_offsets_remove_topic(store, (struct weir_string){topic->name, topic->name_bytes});
    if (result == 0)
        result = weir_store_drop(store, &topic->id, &tell->commit);
    if (result == -EAGAIN) {
        tell->room.fn = on_room_to_drop;
        weir_store_wait(store, &tell->room);
    } else if (result < 0) {
        on_dropped(&tell->commit, result);
    }
}

static void on_drop_asked(struct weir_part *part, struct weir_ask *ask)
{
    struct tell *tell = WEIR_CONTAINER(ask, struct tell, ask);
    struct weir_topic_copy *copy = weir_catalog_copy(part->keep, &tell->topic->id);
    tell->part = part;
    tell->commit.done = on_dropped;
    if (copy) {
        weir_places_drop(part->keep, copy);
        if (part->reactor->index != 0) /* there it stays, hidden, until its row is gone */
            weir_catalog_remove(part->keep, copy);
    }
    drop(tell);
}

static void tell_all(struct weir_keep *keep, struct weir_catalog_change *change)
{
    struct work *work = work_of(change);
    uint32_t count = keep->part->reactor->count;
    bool gone = change->verb == WEIR_CATALOG_DELETE;
    work->left = count;
    for (uint32_t i = 0; i < count; i++) { /* our own last: it may be the one that ends it */
        struct tell *tell = &work->tells[count - 1 - i];
        *tell = (struct tell){.ask = {.asked = gone ? on_drop_asked : on_put_asked, .answered = on_tell_answered},
                              .change = change, .topic = &work->topic};
        weir_ask_send(keep->part, count - 1 - i, &tell->ask);
    }
}

/* ---- Making it durable ------------------------------------------------------------------------------ */

static void on_row_durable(struct weir_commit *commit, int result)
{
    struct weir_catalog_change *change = WEIR_CONTAINER(commit, struct weir_catalog_change, commit);
    struct weir_keep *keep = work_of(change)->keep;
    if (result < 0)
        refuse(keep, change, WEIR_CATALOG_NOT_WRITTEN, "the disk did not take the row");
    else
        tell_all(keep, change);
}

static void write_row(struct weir_keep *keep, struct weir_catalog_change *change, const struct weir_kept_topic *topic)
{
    uint8_t row[WEIR_CATALOG_ROW_BYTES_MAX];
    struct work *work = calloc(1, sizeof *work);
    struct tell *tells = calloc(keep->part->reactor->count, sizeof *tells);
    if (!work || !tells) {
        free(work);
        free(tells);
        refuse(keep, change, WEIR_CATALOG_NOT_WRITTEN, "no memory");
        return;
    }
    *work = (struct work){.keep = keep, .topic = *topic, .tells = tells};
    work->topic.version++;
    change->own = work;
    change->commit.done = on_row_durable;
    uint32_t bytes = weir_catalog_row_write(row, &work->topic, change->verb == WEIR_CATALOG_DELETE);
    int result = weir_table_put(keep->store, WEIR_TABLE_CATALOG, topic->id.bytes, sizeof topic->id.bytes, row, bytes, &change->commit);
    if (result < 0)
        refuse(keep, change, WEIR_CATALOG_NOT_WRITTEN, strerror(-result));
}

/* ---- Checking ---------------------------------------------------------------------------------------- */

static void new_id(struct weir_reactor *reactor, struct weir_log_id *id)
{
    uint64_t words[2] = {weir_io_random(reactor->io), weir_io_random(reactor->io)};
    memcpy(id->bytes, words, sizeof id->bytes);
    id->bytes[6] = (uint8_t)((id->bytes[6] & 0x0f) | 0x40); /* a version 4 UUID: never all zero */
    id->bytes[8] = (uint8_t)((id->bytes[8] & 0x3f) | 0x80);
}

static void create(struct weir_keep *keep, struct weir_catalog_change *change)
{
    struct weir_kept_topic topic = {.partition_count = change->partition_count, .config = change->config};
    if (!weir_topic_name_legal(change->name, change->name_bytes)) {
        refuse(keep, change, WEIR_CATALOG_BAD_NAME, "a topic's name is 1 to 249 of A-Z a-z 0-9 . _ -");
        return;
    }
    if (weir_catalog_find(keep->part, change->name, change->name_bytes)) {
        refuse(keep, change, WEIR_CATALOG_EXISTS, "there is such a topic");
        return;
    }
    if (topic.partition_count == 0)
        topic.partition_count = keep->part->broker->keep.partitions_default;
    if (topic.partition_count > WEIR_PARTITIONS_MAX) {
        refuse(keep, change, WEIR_CATALOG_BAD_COUNT, "a topic has 1 to 10000 partitions");
        return;
    }
    topic.name_bytes = change->name_bytes;
    memcpy(topic.name, change->name, change->name_bytes);
    topic.internal = topic.name_bytes > 2 && memcmp(topic.name, "__", 2) == 0;
    new_id(keep->part->reactor, &topic.id);
    if (change->only_check) {
        change->partition_count = topic.partition_count;
        finish(keep, change, WEIR_CATALOG_DONE);
    } else {
        write_row(keep, change, &topic);
    }
}

static void alter(struct weir_keep *keep, struct weir_catalog_change *change, const struct weir_kept_topic *there)
{
    struct weir_kept_topic topic = *there;
    if (change->verb == WEIR_CATALOG_GROW) {
        if (change->partition_count <= topic.partition_count || change->partition_count > WEIR_PARTITIONS_MAX) {
            snprintf(change->why, sizeof change->why, "the topic has %u partitions; expected more, at most %u", topic.partition_count,
                     (uint32_t)WEIR_PARTITIONS_MAX);
            finish(keep, change, WEIR_CATALOG_BAD_COUNT);
            return;
        }
        topic.partition_count = change->partition_count;
    }
    if (change->verb == WEIR_CATALOG_CONFIGURE)
        topic.config = change->config;
    if (change->only_check)
        finish(keep, change, WEIR_CATALOG_DONE);
    else
        write_row(keep, change, &topic);
}

/* By id also what an earlier run began to delete; that comes first, so nobody else finds it. */
static const struct weir_kept_topic *find(struct weir_keep *keep, const struct weir_catalog_change *change)
{
    if (change->name_bytes)
        return weir_catalog_find(keep->part, change->name, change->name_bytes);
    const struct weir_topic_copy *copy = weir_catalog_copy(keep, &change->id);
    return copy ? &copy->topic : NULL;
}

static void begin(struct weir_keep *keep, struct weir_catalog_change *change)
{
    if (keep->state == WEIR_KEEP_FAILED || !keep->told) {
        refuse(keep, change, WEIR_CATALOG_NOT_WRITTEN, keep->state == WEIR_KEEP_LOADING ? "loading" : "the data could not be opened");
        return;
    }
    if (change->verb == WEIR_CATALOG_CREATE) {
        create(keep, change);
        return;
    }
    const struct weir_kept_topic *there = find(keep, change);
    if (there)
        alter(keep, change, there);
    else
        refuse(keep, change, WEIR_CATALOG_UNKNOWN, "there is no such topic");
}

static void begin_next(struct weir_keep *keep)
{
    if (keep->beginning) /* what is refused at once ends within begin: the loop below goes on */
        return;
    keep->beginning = true;
    while (!keep->changing && !weir_list_empty(&keep->changes)) {
        struct weir_ask *ask = WEIR_CONTAINER(weir_list_pop_front(&keep->changes), struct weir_ask, node);
        keep->changing = true;
        begin(keep, WEIR_CONTAINER(ask, struct weir_catalog_change, ask));
    }
    keep->beginning = false;
}

static void on_change_asked(struct weir_part *part, struct weir_ask *ask)
{
    weir_list_init(&ask->node);
    weir_list_push_back(&part->keep->changes, &ask->node);
    begin_next(part->keep);
}

static void on_change_answered(struct weir_part *part, struct weir_ask *ask)
{
    struct weir_catalog_change *change = WEIR_CONTAINER(ask, struct weir_catalog_change, ask);
    part->reactor->file_ops--;
    change->done(part, change);
}

void weir_catalog_change(struct weir_part *part, struct weir_catalog_change *change)
{
    part->reactor->file_ops++; /* a stop waits for it */
    change->own = NULL;
    change->why[0] = 0;
    change->ask.asked = on_change_asked;
    change->ask.answered = on_change_answered;
    weir_ask_send(part, 0, &change->ask);
}

/* ---- A start that finds topics half deleted ---------------------------------------------------------- */

static void on_resumed(struct weir_part *part, struct weir_catalog_change *change)
{
    (void)part;
    free(change);
}

void weir_catalog_resume(struct weir_keep *keep)
{
    WEIR_LIST_EACH_SAFE(node, &keep->topics)
    {
        struct weir_topic_copy *copy = WEIR_CONTAINER(node, struct weir_topic_copy, topic.node);
        struct weir_catalog_change *change = copy->deleting ? calloc(1, sizeof *change) : NULL;
        if (!change)
            continue;
        change->verb = WEIR_CATALOG_DELETE;
        change->id = copy->topic.id;
        change->done = on_resumed;
        weir_catalog_change(keep->part, change);
    }
}
