/*
 * broker/kept_append.c - a batch's way to the partition that it is for.
 *
 *     asker: known? small enough? CRC, counts     owner: producers decide, the log takes it, durable -> answer
 *
 * The asker checks because its cache has the bytes; the owner copies them once, into the log's tail. Appends to one partition are taken in
 * the order in which they arrived, also when the store is full for a while. Proof: tests/clients/kafka_test.py, crash_test.py.
 */
#include <errno.h>

#include "broker/place.h"

enum { TIDY_MS = 60 * 1000, IDLE_MS = 24 * 3600 * 1000 };

static void answer(struct weir_kept_append *append, enum weir_kept_result result)
{
    struct weir_place *place = append->place;
    struct weir_part *part = place->keep->part;
    bool ending = place->keep->ending;
    append->result = result;
    weir_place_release(place);
    if (!ending) /* else nobody is left to be told */
        weir_ask_answer(part, &append->ask);
}

static void succeed(struct weir_kept_append *append)
{
    struct weir_partition_view view;
    weir_partition_view(append->place->partition, &view);
    append->start_offset = view.start_offset;
    answer(append, WEIR_KEPT_DONE);
}

static void on_commit(struct weir_commit *commit, int result)
{
    struct weir_kept_append *append = WEIR_CONTAINER(commit, struct weir_kept_append, commit);
    struct weir_place *place = append->place;
    if (result == 0) {
        if (!place->keep->ending)
            weir_live_pump(place);
        succeed(append);
        return;
    }
    /* On a full disk what was appended stays and is written later: sent again, it is a duplicate. */
    if (place->state != WEIR_PLACE_GONE && result != -ENOSPC)
        weir_producers_forget(place->producers, &append->batch, append->base_offset);
    answer(append, result == -ENOENT ? WEIR_KEPT_UNKNOWN : WEIR_KEPT_NOT_WRITTEN);
}

static void on_first_time_durable(struct weir_tail_waiter *tail, int result)
{
    struct weir_kept_append *append = WEIR_CONTAINER(tail, struct weir_kept_append, tail);
    weir_list_remove(&append->ask.node);
    if (result == 0)
        succeed(append);
    else
        answer(append, result == -ENOENT ? WEIR_KEPT_UNKNOWN : WEIR_KEPT_NOT_WRITTEN);
}

/* It was sent before: the answer is the first one's, when that is durable. */
static void answer_again(struct weir_kept_append *append)
{
    struct weir_partition_view view;
    weir_partition_view(append->place->partition, &view);
    append->tail = (struct weir_tail_waiter){.offset = append->base_offset + append->batch.last_delta, .fn = on_first_time_durable};
    if (view.high_watermark > append->tail.offset) {
        succeed(append);
        return;
    }
    weir_list_init(&append->ask.node);
    weir_list_push_back(&append->place->again, &append->ask.node);
    weir_partition_wait(append->place->partition, &append->tail);
}

/* What they wait for will not become durable. */
void weir_place_store_failed(struct weir_place *place)
{
    weir_place_hold(place);
    for (struct weir_list *node; (node = weir_list_pop_front(&place->again));) {
        struct weir_kept_append *append = WEIR_CONTAINER(WEIR_CONTAINER(node, struct weir_ask, node), struct weir_kept_append, ask);
        weir_tail_wait_cancel(&append->tail);
        answer(append, WEIR_KEPT_NOT_WRITTEN);
    }
    weir_place_release(place);
}

/* Once a minute, by an append: a partition that nobody writes to does not grow. */
static void tidy(struct weir_place *place, int64_t now_ms)
{
    struct weir_partition_view view;
    if (now_ms < place->tidy_ms && now_ms >= place->tidy_ms - TIDY_MS) /* else: due, or the clock was set back */
        return;
    place->tidy_ms = now_ms + TIDY_MS;
    weir_partition_view(place->partition, &view);
    weir_producers_prune(place->producers, view.start_offset);
    weir_producers_expire(place->producers, now_ms - IDLE_MS);
}

static int take(struct weir_place *place, struct weir_kept_append *append)
{
    append->commit.done = on_commit;
    int result = weir_partition_append(place->partition, append->bytes, &append->batch, &append->commit, &append->base_offset);
    if (result < 0)
        return result;
    if (append->batch.producer_id < 0)
        return 0;
    int64_t now_ms = weir_keep_wall_ms(place->keep->part);
    tidy(place, now_ms);
    if (append->marker)
        weir_place_dismiss(place, append->batch.producer_id);
    if (weir_producers_note(place->producers, &append->batch, append->base_offset, now_ms) < 0)
        weir_reactor_log(place->keep->part->reactor, WEIR_LOG_WARN,
                         "msg=\"no memory to remember a producer\" producer=%lld", (long long)append->batch.producer_id);
    return 0;
}

/* false: the store has no room, ask again. */
static bool try(struct weir_place *place, struct weir_kept_append *append)
{
    enum weir_producer_verdict verdict = WEIR_PRODUCER_APPEND;
    const struct weir_batch *batch = &append->batch;
    if (place->state != WEIR_PLACE_READY) {
        answer(append, place->state == WEIR_PLACE_GONE ? WEIR_KEPT_UNKNOWN : WEIR_KEPT_NOT_WRITTEN);
        return true;
    }
    if (batch->producer_id >= 0)
        verdict = weir_producers_check(place->producers, batch, &append->base_offset);
    if (verdict == WEIR_PRODUCER_DUPLICATE) {
        answer_again(append);
        return true;
    }
    if (verdict != WEIR_PRODUCER_APPEND) {
        answer(append, verdict == WEIR_PRODUCER_STALE ? WEIR_KEPT_STALE_EPOCH : WEIR_KEPT_OUT_OF_ORDER);
        return true;
    }
    if (batch->attributes & WEIR_BATCH_TRANSACTIONAL && !append->marker && !weir_place_admits(place, batch)) {
        answer(append, WEIR_KEPT_NO_TRANSACTION);
        return true;
    }
    int result = take(place, append);
    if (result == -EAGAIN)
        return false;
    if (result < 0)
        answer(append, result == -EFBIG ? WEIR_KEPT_TOO_LARGE : WEIR_KEPT_NOT_WRITTEN);
    return true;
}

static void on_room(struct weir_store_waiter *waiter)
{
    struct weir_place *place = WEIR_CONTAINER(waiter, struct weir_place, room);
    bool again = false;
    for (struct weir_list *node; (node = place->starved.next) != &place->starved;) {
        struct weir_kept_append *append = WEIR_CONTAINER(WEIR_CONTAINER(node, struct weir_ask, node), struct weir_kept_append, ask);
        weir_list_remove(node);
        if (try(place, append))
            continue;
        weir_list_push_front(&place->starved, node);
        again = true;
        break;
    }
    if (again) {
        weir_store_wait(place->keep->store, &place->room);
        return;
    }
    place->waits_for_room = false; /* not before: what an answer brings on joins the list above */
    weir_place_release(place);
}

static void starve(struct weir_place *place, struct weir_kept_append *append)
{
    weir_list_init(&append->ask.node);
    weir_list_push_back(&place->starved, &append->ask.node);
    if (place->waits_for_room)
        return;
    place->waits_for_room = true;
    place->room.fn = on_room;
    weir_place_hold(place);
    weir_store_wait(place->keep->store, &place->room);
}

static void on_asked(struct weir_part *part, struct weir_ask *ask)
{
    struct weir_kept_append *append = WEIR_CONTAINER(ask, struct weir_kept_append, ask);
    struct weir_place *place = weir_place_get(part, ask, &append->topic, append->partition, &append->result);
    if (!place) {
        if (append->result != WEIR_KEPT_DONE)
            weir_ask_answer(part, ask);
        return;
    }
    append->place = place;
    weir_place_hold(place);
    if (!weir_list_empty(&place->starved) || !try(place, append))
        starve(place, append);
}

static void on_answered(struct weir_part *part, struct weir_ask *ask)
{
    struct weir_kept_append *append = WEIR_CONTAINER(ask, struct weir_kept_append, ask);
    part->reactor->file_ops--;
    append->done(part, append);
}

static enum weir_kept_result fault_result(enum weir_batch_fault fault)
{
    switch (fault) {
    case WEIR_BATCH_FINE:
        return WEIR_KEPT_DONE;
    case WEIR_BATCH_BAD_COUNT:
    case WEIR_BATCH_BAD_RECORD:
    case WEIR_BATCH_FORBIDDEN:
        return WEIR_KEPT_INVALID;
    default:
        return WEIR_KEPT_CORRUPT;
    }
}

static enum weir_kept_result check(struct weir_part *part, struct weir_kept_append *append)
{
    const struct weir_topic_copy *copy = NULL;
    struct weir_topic_config config;
    enum weir_kept_result result = weir_kept_known(part, &append->topic, append->partition, &copy);
    if (result != WEIR_KEPT_DONE)
        return result;
    if (append->marker)
        return weir_batch_read(append->bytes, append->byte_count, &append->batch) == WEIR_BATCH_FINE ? WEIR_KEPT_DONE : WEIR_KEPT_INVALID;
    weir_topic_effective(part, &copy->topic, &config);
    if (append->byte_count > (uint64_t)config.message_bytes_max)
        return WEIR_KEPT_TOO_LARGE;
    result = fault_result(weir_batch_check_produced(append->bytes, append->byte_count, &append->batch));
    if (result != WEIR_KEPT_DONE)
        return result;
    if (append->batch.byte_count != append->byte_count || append->batch.attributes & WEIR_BATCH_CONTROL)
        return WEIR_KEPT_INVALID;
    if (append->batch.attributes & WEIR_BATCH_TRANSACTIONAL && !append->transactional)
        return WEIR_KEPT_INVALID;
    if (config.timestamp_kind == WEIR_TIMESTAMP_APPEND) {
        append->append_ms = weir_keep_wall_ms(part);
        weir_batch_stamp(append->bytes, append->append_ms);
        weir_batch_read(append->bytes, append->byte_count, &append->batch);
    }
    return WEIR_KEPT_DONE;
}

void weir_kept_append(struct weir_part *part, struct weir_kept_append *append)
{
    append->append_ms = -1;
    append->base_offset = UINT64_MAX;
    append->start_offset = 0;
    append->result = check(part, append);
    if (append->result != WEIR_KEPT_DONE) {
        append->done(part, append);
        return;
    }
    append->ask.asked = on_asked;
    append->ask.answered = on_answered;
    part->reactor->file_ops++; /* a stop waits for it */
    weir_ask_send(part, weir_store_owner(&append->topic, append->partition, part->reactor->count), &append->ask);
}
