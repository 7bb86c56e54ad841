/*
 * broker/kept_seek.c - where a partition begins, ends, has a time; and forgetting what is before an offset.
 *
 * Proof: tests/clients/kafka_test.py, crash_test.py.
 */
#include <errno.h>
#include <string.h>

#include "broker/place.h"

static void answer(struct weir_kept_seek *seek, enum weir_kept_result result)
{
    struct weir_place *place = seek->place;
    struct weir_part *part = place->keep->part;
    seek->result = result;
    if (place->state == WEIR_PLACE_READY)
        weir_partition_view(place->partition, &seek->view);
    seek->place = NULL;
    weir_place_release(place);
    weir_ask_answer(part, &seek->ask);
}

static enum weir_kept_result reason(int result)
{
    switch (result) {
    case -ERANGE:
        return WEIR_KEPT_OUT_OF_RANGE;
    case -ENOENT:
        return WEIR_KEPT_UNKNOWN;
    case -EAGAIN:
    case -ENOMEM:
        return WEIR_KEPT_BUSY;
    default:
        return WEIR_KEPT_NOT_WRITTEN;
    }
}

static void on_found(struct weir_seek *found, int result)
{
    struct weir_kept_seek *seek = WEIR_CONTAINER(found, struct weir_kept_seek, seek);
    seek->offset = result == 1 ? found->offset : UINT64_MAX;
    seek->found_ms = result == 1 && found->offset != UINT64_MAX ? found->found_ms : -1;
    answer(seek, result == 1 ? WEIR_KEPT_DONE : reason(result));
}

static void on_deleted(struct weir_commit *commit, int result)
{
    struct weir_kept_seek *seek = WEIR_CONTAINER(commit, struct weir_kept_seek, commit);
    answer(seek, result == 0 ? WEIR_KEPT_DONE : reason(result));
}

static void delete_before(struct weir_kept_seek *seek, const struct weir_partition_view *view)
{
    if (seek->offset == UINT64_MAX)
        seek->offset = view->high_watermark;
    if (seek->offset <= view->start_offset) { /* gone already */
        seek->offset = view->start_offset;
        answer(seek, WEIR_KEPT_DONE);
        return;
    }
    seek->commit.done = on_deleted;
    int result = weir_partition_delete_before(seek->place->partition, seek->offset, &seek->commit);
    if (result < 0)
        answer(seek, reason(result));
}

static void by_time(struct weir_kept_seek *seek, int64_t timestamp_ms)
{
    memset(&seek->seek, 0, sizeof seek->seek);
    seek->seek.timestamp_ms = timestamp_ms;
    seek->seek.done = on_found;
    int result = weir_partition_seek(seek->place->partition, &seek->seek);
    if (result != 0)
        on_found(&seek->seek, result);
}

static void look(struct weir_kept_seek *seek)
{
    struct weir_partition_view view;
    weir_partition_view(seek->place->partition, &view);
    seek->found_ms = -1;
    switch (seek->place_of) {
    case WEIR_PLACE_START:
        seek->offset = view.start_offset;
        break;
    case WEIR_PLACE_END:
        seek->offset = view.high_watermark;
        break;
    case WEIR_PLACE_STABLE:
        seek->offset = weir_place_stable_offset(seek->place);
        break;
    case WEIR_PLACE_TIME:
        by_time(seek, seek->timestamp_ms);
        return;
    case WEIR_PLACE_MAX_TIME:
        if (view.timestamp_ms >= 0 && view.high_watermark > view.start_offset) {
            by_time(seek, view.timestamp_ms);
            return;
        }
        seek->offset = UINT64_MAX;
        break;
    case WEIR_PLACE_DELETE:
        delete_before(seek, &view);
        return;
    }
    answer(seek, WEIR_KEPT_DONE);
}

static void on_asked(struct weir_part *part, struct weir_ask *ask)
{
    struct weir_kept_seek *seek = WEIR_CONTAINER(ask, struct weir_kept_seek, ask);
    seek->place = weir_place_get(part, ask, &seek->topic, seek->partition, &seek->result);
    if (!seek->place) {
        if (seek->result != WEIR_KEPT_DONE)
            weir_ask_answer(part, ask);
        return;
    }
    weir_place_hold(seek->place);
    look(seek);
}

static void on_answered(struct weir_part *part, struct weir_ask *ask)
{
    struct weir_kept_seek *seek = WEIR_CONTAINER(ask, struct weir_kept_seek, ask);
    part->reactor->file_ops--;
    seek->done(part, seek);
}

void weir_kept_seek(struct weir_part *part, struct weir_kept_seek *seek)
{
    const struct weir_topic_copy *copy = NULL;
    seek->place = NULL;
    seek->ask.asked = on_asked;
    seek->ask.answered = on_answered;
    seek->result = weir_kept_known(part, &seek->topic, seek->partition, &copy);
    if (seek->result != WEIR_KEPT_DONE) {
        seek->done(part, seek);
        return;
    }
    part->reactor->file_ops++; /* a stop waits for it */
    weir_ask_send(part, weir_store_owner(&seek->topic, seek->partition, part->reactor->count), &seek->ask);
}
