/*
 * broker/kept_admit.c - which transactions may write to a partition: told by their coordinator, ended by their control batch.
 *
 * The list is of open transactions, so it is short. It is not kept: after a start the coordinators tell it again.
 * Proof: tests/clients/kafka_test.py.
 */
#include <errno.h>
#include <stdlib.h>

#include "broker/place.h"

static struct weir_place_writer *find(const struct weir_place *place, int64_t producer_id)
{
    for (uint32_t i = 0; i < place->writer_count; i++)
        if (place->writers[i].producer_id == producer_id)
            return &place->writers[i];
    return NULL;
}

bool weir_place_admits(const struct weir_place *place, const struct weir_batch *batch)
{
    const struct weir_place_writer *writer = find(place, batch->producer_id);
    return writer && writer->epoch == batch->producer_epoch;
}

void weir_place_dismiss(struct weir_place *place, int64_t producer_id)
{
    struct weir_place_writer *writer = find(place, producer_id);
    if (writer)
        *writer = place->writers[--place->writer_count];
}

static int add(struct weir_place *place, int64_t producer_id, int16_t epoch)
{
    struct weir_place_writer *writer = find(place, producer_id);
    if (!writer && place->writer_count == place->writer_room) {
        uint32_t room = place->writer_room ? place->writer_room * 2 : 4;
        void *writers = realloc(place->writers, room * sizeof *place->writers);
        if (!writers)
            return -ENOMEM;
        place->writers = writers;
        place->writer_room = room;
    }
    if (!writer)
        writer = &place->writers[place->writer_count++];
    *writer = (struct weir_place_writer){.producer_id = producer_id, .epoch = epoch};
    return 0;
}

static void on_asked(struct weir_part *part, struct weir_ask *ask)
{
    struct weir_kept_admit *admit = WEIR_CONTAINER(ask, struct weir_kept_admit, ask);
    struct weir_place *place = weir_place_get(part, ask, &admit->topic, admit->partition, &admit->result);
    if (!place && admit->result == WEIR_KEPT_DONE)
        return; /* parked: it comes again */
    if (place && add(place, admit->producer_id, admit->producer_epoch) < 0)
        admit->result = WEIR_KEPT_BUSY;
    weir_ask_answer(part, ask);
}

static void on_answered(struct weir_part *part, struct weir_ask *ask)
{
    struct weir_kept_admit *admit = WEIR_CONTAINER(ask, struct weir_kept_admit, ask);
    part->reactor->file_ops--;
    admit->done(part, admit);
}

void weir_kept_admit(struct weir_part *part, struct weir_kept_admit *admit)
{
    const struct weir_topic_copy *copy = NULL;
    admit->result = weir_kept_known(part, &admit->topic, admit->partition, &copy);
    if (admit->result != WEIR_KEPT_DONE) {
        admit->done(part, admit);
        return;
    }
    admit->ask.asked = on_asked;
    admit->ask.answered = on_answered;
    part->reactor->file_ops++; /* a stop waits for it */
    weir_ask_send(part, weir_store_owner(&admit->topic, admit->partition, part->reactor->count), &admit->ask);
}
