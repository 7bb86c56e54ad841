/*
 * broker/producer_ids.c - producer ids, unique over restarts: reactor 0 lends blocks, each durable before it is lent.
 *
 * What is left of a block when the node ends is never used. Proof: tests/clients/kafka_test.py, crash_test.py.
 */
#include <string.h>

#include "broker/coordinator.h"
#include "broker/keep.h"

enum { BLOCK_IDS = 1000 };
static const char row_key[] = "producer-ids";

static struct weir_producer_id *id_of(struct weir_ask *ask)
{
    return WEIR_CONTAINER(ask, struct weir_producer_id, ask);
}

static bool take_here(struct weir_keep *keep, struct weir_producer_id *id)
{
    if (keep->producer_next == keep->producer_end)
        return false;
    id->id = (int64_t)keep->producer_next++;
    return true;
}

static void on_durable(struct weir_commit *commit, int result)
{
    struct weir_producer_id *id = WEIR_CONTAINER(commit, struct weir_producer_id, commit);
    if (result < 0)
        id->id = -1;
    weir_ask_answer(id->owner, &id->ask);
}

/* On reactor 0: [id, block_end) is lent. */
static void on_asked(struct weir_part *part, struct weir_ask *ask)
{
    struct weir_producer_id *id = id_of(ask);
    uint32_t bytes = 0;
    uint64_t next = 1000; /* 0 is an id too, but reads like none */
    const void *row = weir_table_get(part->keep->store, WEIR_TABLE_NUMBERS, row_key, sizeof row_key, &bytes);
    if (row && bytes == sizeof next)
        memcpy(&next, row, sizeof next);
    id->owner = part;
    id->id = (int64_t)next;
    next += BLOCK_IDS;
    id->block_end = (int64_t)next;
    id->commit.done = on_durable;
    int result = weir_table_put(part->keep->store, WEIR_TABLE_NUMBERS, row_key, sizeof row_key, &next, sizeof next, &id->commit);
    if (result < 0)
        on_durable(&id->commit, result);
}

static void on_answered(struct weir_part *part, struct weir_ask *ask)
{
    struct weir_producer_id *id = id_of(ask);
    struct weir_keep *keep = part->keep;
    part->reactor->file_ops--;
    if (id->id >= 0 && keep->producer_next == keep->producer_end) { /* else another question was faster: that block is lost */
        keep->producer_next = (uint64_t)id->id + 1;
        keep->producer_end = (uint64_t)id->block_end;
    }
    id->done(part, id);
}

void weir_producer_id_take(struct weir_part *part, struct weir_producer_id *id)
{
    id->id = -1;
    if (!weir_keep_ready(part) || take_here(part->keep, id)) {
        id->done(part, id);
        return;
    }
    id->ask.asked = on_asked;
    id->ask.answered = on_answered;
    part->reactor->file_ops++; /* a stop waits for it */
    weir_ask_send(part, 0, &id->ask);
}
