/*
 * broker/kept_fetch.c - reading a partition for somebody: now, or when there is enough, or when the time is up.
 *
 *     read --enough, or no more time--> answer
 *       ^  \--too little--> wait for the high watermark to pass what was read, or the timer
 *       +------------------------------+
 *
 * A wait costs nothing until an append satisfies it. While it waits, a fetch holds no bytes. Cancelling is a question of its own, since the
 * struct is the owner's meanwhile; `done` comes when both are back. Proof: tests/clients/kafka_test.py, crash_test.py.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/place.h"
#include "runtime/buffer.h"

static void look(struct weir_kept_fetch *fetch);

static void answer(struct weir_kept_fetch *fetch, enum weir_kept_result result)
{
    struct weir_place *place = fetch->place;
    struct weir_part *part = place->keep->part;
    weir_wheel_cancel(&part->reactor->wheel, &fetch->timer);
    fetch->result = result;
    if (place->state == WEIR_PLACE_READY) {
        weir_partition_view(place->partition, &fetch->view);
        fetch->stable_offset = weir_place_stable_offset(place);
    }
    fetch->place = NULL;
    weir_place_release(place);
    weir_ask_answer(part, &fetch->ask);
}

/* false: no memory; without the list a reader would take for committed what was aborted. */
static bool list_aborted(struct weir_kept_fetch *fetch)
{
    struct weir_producers *producers = fetch->place->producers;
    uint32_t count = weir_producers_aborted(producers, fetch->offset, fetch->read.next_offset, NULL, 0);
    struct weir_aborted_range *ranges = count ? calloc(count, sizeof *ranges) : NULL;
    fetch->aborted = count ? calloc(count, sizeof *fetch->aborted) : NULL;
    if (ranges && fetch->aborted) {
        weir_producers_aborted(producers, fetch->offset, fetch->read.next_offset, ranges, count);
        for (uint32_t i = 0; i < count; i++)
            fetch->aborted[i] = (struct weir_kept_aborted){ranges[i].producer_id, ranges[i].first_offset};
        fetch->aborted_count = count;
    }
    free(ranges);
    return fetch->aborted_count == count;
}

static void on_appended(struct weir_tail_waiter *tail, int result)
{
    struct weir_kept_fetch *fetch = WEIR_CONTAINER(tail, struct weir_kept_fetch, tail);
    if (result < 0)
        answer(fetch, WEIR_KEPT_UNKNOWN);
    else
        look(fetch);
}

static void on_time(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    struct weir_kept_fetch *fetch = WEIR_CONTAINER(timer, struct weir_kept_fetch, timer);
    fetch->over = true;
    if (weir_list_empty(&fetch->tail.node))
        return; /* it reads just now, and looks at `over` then */
    weir_tail_wait_cancel(&fetch->tail);
    look(fetch);
}

static void wait(struct weir_kept_fetch *fetch)
{
    struct weir_reactor *reactor = fetch->place->keep->part->reactor;
    fetch->tail.offset = fetch->view.high_watermark; /* as `look` saw it: what was below was not enough */
    fetch->tail.fn = on_appended;
    if (!weir_wheel_armed(&fetch->timer))
        weir_wheel_arm(&reactor->wheel, &fetch->timer, fetch->deadline_ns);
    weir_partition_wait(fetch->place->partition, &fetch->tail);
}

static void on_bytes(struct weir_kept_fetch *fetch, int result)
{
    if (result == 1 && fetch->read.byte_count < fetch->bytes_min && !fetch->over) {
        weir_read_release(fetch->place->partition, &fetch->read);
        wait(fetch);
        return;
    }
    if (result == 1 && fetch->committed && !list_aborted(fetch)) {
        weir_read_release(fetch->place->partition, &fetch->read);
        result = -ENOMEM;
    }
    answer(fetch, result == 1         ? WEIR_KEPT_DONE
                  : result == -ERANGE ? WEIR_KEPT_OUT_OF_RANGE
                  : result == -ENOENT ? WEIR_KEPT_UNKNOWN
                  : result == -ENOMEM ? WEIR_KEPT_BUSY
                                      : WEIR_KEPT_NOT_WRITTEN);
}

static void on_read(struct weir_read *read, int result)
{
    on_bytes(WEIR_CONTAINER(read, struct weir_kept_fetch, read), result);
}

static void look(struct weir_kept_fetch *fetch)
{
    if (fetch->place->state != WEIR_PLACE_READY) {
        answer(fetch, WEIR_KEPT_UNKNOWN);
        return;
    }
    weir_partition_view(fetch->place->partition, &fetch->view);
    memset(&fetch->read, 0, sizeof fetch->read);
    fetch->read.offset = fetch->offset;
    fetch->read.next_offset = fetch->offset;
    fetch->read.limit_offset = fetch->committed ? weir_place_stable_offset(fetch->place) : UINT64_MAX;
    fetch->read.bytes_max = fetch->bytes_max;
    fetch->read.done = on_read;
    int result = weir_partition_read(fetch->place->partition, &fetch->read);
    if (result != 0)
        on_bytes(fetch, result);
}

static void on_asked(struct weir_part *part, struct weir_ask *ask)
{
    struct weir_kept_fetch *fetch = WEIR_CONTAINER(ask, struct weir_kept_fetch, ask);
    fetch->place = weir_place_get(part, ask, &fetch->topic, fetch->partition, &fetch->result);
    if (!fetch->place) {
        if (fetch->result != WEIR_KEPT_DONE)
            weir_ask_answer(part, ask);
        return;
    }
    weir_place_hold(fetch->place);
    fetch->deadline_ns = part->reactor->now_ns + fetch->wait_ns;
    fetch->over |= fetch->wait_ns == 0;
    look(fetch);
}

static void on_answered(struct weir_part *part, struct weir_ask *ask)
{
    struct weir_kept_fetch *fetch = WEIR_CONTAINER(ask, struct weir_kept_fetch, ask);
    fetch->answered = true;
    if (!fetch->cancel_away)
        fetch->done(part, fetch);
}

void weir_kept_fetch(struct weir_part *part, struct weir_kept_fetch *fetch)
{
    const struct weir_topic_copy *copy = NULL;
    fetch->aborted = NULL;
    fetch->aborted_count = 0;
    fetch->over = fetch->answered = fetch->cancel_away = false;
    fetch->read.slice_count = 0;
    fetch->read.byte_count = 0;
    fetch->place = NULL;
    weir_list_init(&fetch->tail.node);
    weir_wheel_timer_init(&fetch->timer, on_time);
    fetch->ask.asked = on_asked;
    fetch->ask.answered = on_answered;
    fetch->result = weir_kept_known(part, &fetch->topic, fetch->partition, &copy);
    if (fetch->result != WEIR_KEPT_DONE) {
        fetch->answered = true;
        fetch->done(part, fetch);
        return;
    }
    weir_ask_send(part, weir_store_owner(&fetch->topic, fetch->partition, part->reactor->count), &fetch->ask);
}

/* On the owner: the fetch is there, or parked, or on its way back; never on its way here, since both took the same way. */
static void on_cancel_asked(struct weir_part *part, struct weir_ask *ask)
{
    struct weir_kept_fetch *fetch = WEIR_CONTAINER(ask, struct weir_kept_fetch, cancel);
    fetch->over = true;
    if (fetch->place && !weir_list_empty(&fetch->tail.node)) {
        weir_tail_wait_cancel(&fetch->tail);
        look(fetch);
    }
    weir_ask_answer(part, ask);
}

static void on_cancel_answered(struct weir_part *part, struct weir_ask *ask)
{
    struct weir_kept_fetch *fetch = WEIR_CONTAINER(ask, struct weir_kept_fetch, cancel);
    fetch->cancel_away = false;
    if (fetch->answered)
        fetch->done(part, fetch);
}

void weir_kept_fetch_cancel(struct weir_part *part, struct weir_kept_fetch *fetch)
{
    if (fetch->answered || fetch->cancel_away)
        return;
    fetch->cancel_away = true;
    fetch->cancel.asked = on_cancel_asked;
    fetch->cancel.answered = on_cancel_answered;
    weir_ask_send(part, fetch->ask.to, &fetch->cancel);
}

void weir_kept_fetch_release(struct weir_part *part, struct weir_kept_fetch *fetch)
{
    for (uint32_t i = 0; i < fetch->read.slice_count; i++)
        if (fetch->read.slices[i].buffer)
            weir_buffer_drop(part->reactor, fetch->read.slices[i].buffer);
    fetch->read.slice_count = 0;
    free(fetch->aborted);
    fetch->aborted = NULL;
    fetch->aborted_count = 0;
}
