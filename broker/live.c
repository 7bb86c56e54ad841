/*
 * broker/live.c - what is appended reaches the live subscribers of the topic's name.
 *
 * A cursor at the tail of each partition that anybody listens to. It follows the high watermark, so nobody is told what could still be
 * lost, and it publishes from the owner, so a partition's records keep their order. When a subscriber whose policy is `pause` is full the
 * cursor waits; producers do not. With nobody to tell, it jumps to the end without reading.
 *
 * Compressed batches are opened (log/codec.h), because a subscriber must see values. Proof: tests/clients/kafka_test.py.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/place.h"
#include "log/codec.h"

enum { READ_BYTES = 64 << 10 };

static void go_on(struct weir_place *place);

static bool anybody(struct weir_place *place)
{
    struct weir_part *part = place->keep->part;
    const struct weir_kept_topic *topic = &place->copy->topic;
    struct weir_slice name = {(const uint8_t *)topic->name, topic->name_bytes};
    if (part->names.counts[WEIR_NAME_TOPIC] == 0 && part->names.counts[WEIR_NAME_PATTERN] == 0)
        return false;
    return weir_broker_receivers(part, WEIR_NAME_TOPIC, name) > 0;
}

/* 1: told; 0: later. */
static int tell(struct weir_place *place, const struct weir_batch_record *record)
{
    struct weir_part *part = place->keep->part;
    const struct weir_kept_topic *topic = &place->copy->topic;
    uint64_t receivers;
    struct weir_publication publication = {
        .kind = WEIR_NAME_TOPIC,
        .name = {(const uint8_t *)topic->name, topic->name_bytes},
        .body = {record->value ? record->value : (const uint8_t *)"", record->value_bytes},
        .id = weir_reactor_event_id(part->reactor),
        .cause_id = part->reactor->cause_id,
    };
    int result = weir_broker_publish(part, &publication, &place->live.waiter, &receivers);
    return result == -EAGAIN ? 0 : 1; /* no memory: dropped for those, and counted where it happened */
}

/* 1: all of it; 0: stopped at live.offset. A batch that cannot be opened is passed over. */
static int tell_batch(struct weir_place *place, const uint8_t *bytes, const struct weir_batch *batch)
{
    struct weir_live *live = &place->live;
    struct weir_batch_walk walk;
    struct weir_batch_record record;
    uint8_t *block = NULL;
    size_t block_bytes = 0;
    int result = 1;
    if (batch->attributes & WEIR_BATCH_CODEC_MASK && weir_codec_open(bytes, batch, WEIR_CODEC_BYTES_MAX, &block, &block_bytes) < 0)
        return 1;
    if (!(batch->attributes & WEIR_BATCH_CONTROL) && weir_batch_walk(&walk, bytes, batch, block, block_bytes) == 0) {
        while (result == 1 && weir_batch_next(&walk, &record) == 1) {
            if (record.offset < live->offset)
                continue;
            result = tell(place, &record);
            if (result == 1)
                live->offset = record.offset + 1;
        }
    }
    free(block);
    return result;
}

static int tell_slice(struct weir_place *place, const struct weir_read_slice *slice)
{
    const uint8_t *at = slice->bytes;
    size_t left = slice->byte_count;
    struct weir_batch batch;
    while (left > 0 && weir_batch_read(at, left, &batch) == WEIR_BATCH_FINE && batch.byte_count <= left) {
        if (tell_batch(place, at, &batch) == 0)
            return 0;
        place->live.offset = batch.base_offset + batch.last_delta + 1;
        at += batch.byte_count;
        left -= batch.byte_count;
    }
    return 1;
}

/* 1: go on; 0: it waits for a subscriber. */
static int tell_read(struct weir_place *place)
{
    struct weir_live *live = &place->live;
    int result = 1;
    for (uint32_t i = 0; i < live->read.slice_count && result == 1; i++)
        result = tell_slice(place, &live->read.slices[i]);
    if (result == 1 && live->read.next_offset > live->offset)
        live->offset = live->read.next_offset;
    weir_read_release(place->partition, &live->read);
    return result;
}

/* Gone, or unreadable just now: what is there is passed over, and the next append goes on from here. */
static void pass_over(struct weir_place *place)
{
    struct weir_partition_view view;
    weir_partition_view(place->partition, &view);
    weir_reactor_log(place->keep->part->reactor, WEIR_LOG_WARN, "msg=\"live subscribers missed kept records\" from=%llu to=%llu",
                     (unsigned long long)place->live.offset, (unsigned long long)view.high_watermark);
    place->live.offset = view.high_watermark;
}

static void on_read(struct weir_read *read, int result)
{
    struct weir_place *place = WEIR_CONTAINER(WEIR_CONTAINER(read, struct weir_live, read), struct weir_place, live);
    place->live.busy = false;
    if (result != 1) {
        if (place->state == WEIR_PLACE_READY)
            pass_over(place);
        return;
    }
    if (tell_read(place) == 1)
        go_on(place);
    else
        place->live.busy = true;
}

static void on_resume(struct weir_reactor *reactor, void *context)
{
    (void)reactor;
    struct weir_place *place = context;
    place->live.busy = false;
    go_on(place);
}

static void go_on(struct weir_place *place)
{
    struct weir_live *live = &place->live;
    struct weir_partition_view view;
    while (place->state == WEIR_PLACE_READY) {
        weir_partition_view(place->partition, &view);
        if (live->offset < view.start_offset)
            live->offset = view.start_offset;
        if (live->offset >= view.high_watermark)
            return;
        if (!anybody(place)) {
            live->offset = view.high_watermark;
            return;
        }
        live->read = (struct weir_read){.offset = live->offset, .limit_offset = UINT64_MAX, .bytes_max = READ_BYTES, .done = on_read};
        int result = weir_partition_read(place->partition, &live->read);
        if (result == 0) {
            live->busy = true;
            return;
        }
        if (result < 0) {
            pass_over(place);
            return;
        }
        if (tell_read(place) == 0) {
            live->busy = true;
            return;
        }
    }
}

void weir_live_pump(struct weir_place *place)
{
    struct weir_live *live = &place->live;
    if (live->busy || !place->copy)
        return;
    if (!live->begun) {
        struct weir_partition_view view;
        weir_partition_view(place->partition, &view);
        live->begun = true;
        live->offset = place->live_from > view.start_offset ? place->live_from : view.start_offset;
        live->waiter = (struct weir_publish_waiter){.waiter = {.resume = on_resume, .context = place}};
    }
    go_on(place);
}

void weir_live_end(struct weir_place *place)
{
    struct weir_live *live = &place->live;
    if (!live->begun)
        return;
    if (live->busy && live->waiter.waiter.next)
        weir_broker_publish_cancel(place->keep->part, &live->waiter);
    else if (live->busy)
        weir_read_cancel(&live->read);
    live->begun = live->busy = false;
}
