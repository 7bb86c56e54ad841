/*
 * broker/place.c - places begin, learn their producers again, and end with their topic.
 *
 * Proof: tests/clients/kafka_test.py, crash_test.py.
 */
#include "broker/place.h"

#include <errno.h>
#include <stdlib.h>

enum { PRODUCERS_MAX = 4096, REBUILD_BYTES = 256 << 10 };

enum weir_kept_result weir_kept_state(const struct weir_part *part)
{
    static const enum weir_kept_result results[] = {
        [WEIR_KEEP_LOADING] = WEIR_KEPT_LOADING, [WEIR_KEEP_READY] = WEIR_KEPT_DONE, [WEIR_KEEP_FAILED] = WEIR_KEPT_NOT_WRITTEN};
    return part->keep ? results[part->keep->state] : WEIR_KEPT_UNKNOWN;
}

void weir_kept_counters_read(const struct weir_part *part, struct weir_kept_counters *counters_out)
{
    *counters_out = (struct weir_kept_counters){0};
    if (!part->keep || !part->keep->store)
        return;
    counters_out->store = *weir_store_counters(part->keep->store);
    counters_out->journal = *weir_store_journal_counters(part->keep->store);
}

bool weir_kept_creates_unknown(const struct weir_part *part)
{
    return part->broker->keep.create_unknown;
}

struct weir_log_id weir_kept_node_id(const struct weir_part *part)
{
    return weir_keep_ready(part) ? part->broker->data->node : (struct weir_log_id){{0}};
}

static enum weir_kept_result find(struct weir_keep *keep, const struct weir_log_id *topic, uint32_t partition,
                                  const struct weir_topic_copy **copy_out)
{
    const struct weir_topic_copy *copy = weir_catalog_copy(keep, topic);
    *copy_out = copy;
    return copy && !copy->deleting && partition < copy->topic.partition_count ? WEIR_KEPT_DONE : WEIR_KEPT_UNKNOWN;
}

enum weir_kept_result weir_kept_known(struct weir_part *part, const struct weir_log_id *topic, uint32_t partition,
                                      const struct weir_topic_copy **copy_out)
{
    return weir_keep_ready(part) ? find(part->keep, topic, partition, copy_out) : weir_kept_state(part);
}

/* ---- Rebuilding ---------------------------------------------------------------------------------- */

static void come_again(struct weir_place *place)
{
    struct weir_list parked;
    weir_list_init(&parked);
    weir_list_splice_back(&parked, &place->parked);
    for (struct weir_list *node; (node = weir_list_pop_front(&parked));) {
        struct weir_ask *ask = WEIR_CONTAINER(node, struct weir_ask, node);
        ask->asked(place->keep->part, ask);
    }
}

static void end_rebuilding(struct weir_place *place, bool fine)
{
    if (place->state == WEIR_PLACE_REBUILDING)
        place->state = fine ? WEIR_PLACE_READY : WEIR_PLACE_BROKEN;
    come_again(place);
    weir_place_release(place);
}

static bool note_batches(struct weir_place *place, const struct weir_read_slice *slice)
{
    const uint8_t *at = slice->bytes;
    size_t left = slice->byte_count;
    int64_t now_ms = weir_keep_wall_ms(place->keep->part);
    while (left > 0) {
        struct weir_batch batch;
        uint64_t base;
        if (weir_batch_read(at, left, &batch) != WEIR_BATCH_FINE || batch.byte_count > left)
            return false;
        if (batch.producer_id >= 0 &&
            (batch.attributes & WEIR_BATCH_CONTROL ||
             weir_producers_check(place->producers, &batch, &base) != WEIR_PRODUCER_DUPLICATE) &&
            weir_producers_note(place->producers, &batch, batch.base_offset, now_ms) < 0)
            return false;
        at += batch.byte_count;
        left -= batch.byte_count;
    }
    return true;
}

static void on_rebuild_read(struct weir_read *read, int result);

/* Read on until the end; 0: later. */
static int rebuild(struct weir_place *place)
{
    for (;;) {
        struct weir_partition_view view;
        weir_partition_view(place->partition, &view);
        if (place->read.offset >= view.high_watermark)
            return 1;
        place->read.bytes_max = REBUILD_BYTES;
        place->read.limit_offset = UINT64_MAX;
        place->read.done = on_rebuild_read;
        int result = weir_partition_read(place->partition, &place->read);
        if (result <= 0)
            return result;
        bool fine = true;
        for (uint32_t i = 0; i < place->read.slice_count && fine; i++)
            fine = note_batches(place, &place->read.slices[i]);
        bool nothing = place->read.byte_count == 0;
        place->read.offset = place->read.next_offset;
        weir_read_release(place->partition, &place->read);
        if (!fine || nothing)
            return nothing ? 1 : -EBADMSG;
    }
}

static void on_rebuild_read(struct weir_read *read, int result)
{
    struct weir_place *place = WEIR_CONTAINER(read, struct weir_place, read);
    if (result == 1) {
        bool fine = true;
        for (uint32_t i = 0; i < read->slice_count && fine; i++)
            fine = note_batches(place, &read->slices[i]);
        read->offset = read->next_offset;
        weir_read_release(place->partition, read);
        result = fine ? rebuild(place) : -EBADMSG;
    }
    if (result != 0)
        end_rebuilding(place, result == 1);
}

static int begin_rebuilding(struct weir_place *place)
{
    struct weir_partition_view view;
    size_t bytes;
    uint64_t offset = 0;
    const void *state = weir_partition_state(place->partition, &bytes, &offset);
    weir_partition_view(place->partition, &view);
    if (state && weir_producers_load(place->producers, state, bytes, view.end_offset) < 0)
        return -EBADMSG;
    place->read.offset = offset > view.start_offset ? offset : view.start_offset;
    weir_place_hold(place);
    int result = rebuild(place);
    if (result != 0) {
        if (result > 0)
            place->state = WEIR_PLACE_READY;
        weir_place_release(place);
    }
    return result < 0 ? result : 0;
}

/* ---- Places -------------------------------------------------------------------------------------- */

static void free_place(struct weir_place *place)
{
    weir_live_end(place);
    weir_list_remove(&place->node);
    weir_producers_free(place->producers);
    free(place->writers);
    free(place);
}

void weir_place_hold(struct weir_place *place)
{
    place->users++;
}

void weir_place_release(struct weir_place *place)
{
    WEIR_ASSERT(place->users > 0);
    if (--place->users == 0)
        free_place(place);
}

static struct weir_place *new_place(struct weir_keep *keep, struct weir_topic_copy *copy, uint32_t number)
{
    struct weir_partition_config config;
    struct weir_place *place = calloc(1, sizeof *place);
    if (!place)
        return NULL;
    *place = (struct weir_place){.keep = keep, .copy = copy, .number = number, .users = 1}; /* the topic's */
    weir_list_init(&place->node);
    weir_list_init(&place->parked);
    weir_list_init(&place->starved);
    weir_list_init(&place->again);
    weir_partition_config_of(keep->part, &copy->topic, &config);
    place->producers = weir_producers_new(PRODUCERS_MAX);
    if (!place->producers || weir_partition_open(keep->store, &copy->topic.id, number, &config, &place->partition) < 0) {
        free_place(place);
        return NULL;
    }
    struct weir_partition_view view;
    weir_partition_view(place->partition, &view);
    place->live_from = view.high_watermark;
    weir_list_push_back(&keep->places, &place->node);
    weir_partition_set_context(place->partition, place);
    copy->places[number] = place;
    if (begin_rebuilding(place) < 0)
        place->state = WEIR_PLACE_BROKEN;
    return place;
}

struct weir_place *weir_place_get(struct weir_part *part, struct weir_ask *ask, const struct weir_log_id *topic, uint32_t partition,
                                  enum weir_kept_result *result_out)
{
    const struct weir_topic_copy *known = NULL;
    bool serves = part->keep && part->keep->told && part->keep->state != WEIR_KEEP_FAILED; /* the asker is READY, we are about to be */
    *result_out = serves ? find(part->keep, topic, partition, &known) : weir_kept_state(part);
    if (*result_out != WEIR_KEPT_DONE)
        return NULL;
    struct weir_topic_copy *copy = weir_catalog_copy(part->keep, topic);
    struct weir_place *place = copy->places[partition];
    if (!place)
        place = new_place(part->keep, copy, partition);
    if (!place || place->state == WEIR_PLACE_BROKEN) {
        *result_out = place ? WEIR_KEPT_NOT_WRITTEN : WEIR_KEPT_BUSY;
        return NULL;
    }
    if (place->state == WEIR_PLACE_READY)
        return place;
    weir_list_init(&ask->node);
    weir_list_push_back(&place->parked, &ask->node);
    return NULL;
}

uint64_t weir_place_stable_offset(struct weir_place *place)
{
    struct weir_partition_view view;
    weir_partition_view(place->partition, &view);
    return weir_producers_stable_offset(place->producers, view.high_watermark);
}

void *weir_place_state(void *context, struct weir_partition *partition, size_t *byte_count_out)
{
    (void)context;
    struct weir_place *place = weir_partition_context(partition);
    struct weir_partition_view view;
    *byte_count_out = WEIR_STATE_KEPT; /* who does not know all of them leaves what the last one said */
    if (!place || place->state != WEIR_PLACE_READY)
        return NULL;
    weir_partition_view(partition, &view);
    *byte_count_out = 0;
    return weir_producers_save(place->producers, view.end_offset, byte_count_out); /* it counts once all that is durable */
}

/* What still waits for the partition is answered by its own waiters' results; only what is parked here is ours to tell. */
void weir_places_drop(struct weir_keep *keep, struct weir_topic_copy *copy)
{
    weir_catalog_hide(keep, copy); /* whoever comes again finds it unknown */
    for (uint32_t i = 0; i < copy->place_room; i++) {
        struct weir_place *place = copy->places[i];
        if (!place)
            continue;
        copy->places[i] = NULL;
        place->copy = NULL;
        weir_partition_set_context(place->partition, NULL);
        weir_live_end(place);
        if (place->state != WEIR_PLACE_REBUILDING)
            come_again(place);
        place->state = WEIR_PLACE_GONE;
        weir_place_release(place);
    }
}

void weir_places_configure(struct weir_keep *keep, struct weir_topic_copy *copy)
{
    struct weir_partition_config config;
    weir_partition_config_of(keep->part, &copy->topic, &config);
    for (uint32_t i = 0; i < copy->place_room; i++)
        if (copy->places[i])
            weir_partition_configure(copy->places[i]->partition, &config);
}

void weir_places_failed(struct weir_keep *keep)
{
    WEIR_LIST_EACH_SAFE(node, &keep->places)
        weir_place_store_failed(WEIR_CONTAINER(node, struct weir_place, node));
}

void weir_places_quiet(struct weir_keep *keep)
{
    WEIR_LIST_EACH(node, &keep->places)
        weir_live_end(WEIR_CONTAINER(node, struct weir_place, node));
}

void weir_places_close(struct weir_keep *keep)
{
    WEIR_LIST_EACH_SAFE(node, &keep->places)
        free_place(WEIR_CONTAINER(node, struct weir_place, node));
}
