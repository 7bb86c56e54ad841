/*
 * broker/transaction_end.c - a transaction that was decided: its row, then control batches, then commits, then its row again.
 *
 * Every step may be done twice: a control batch without an open transaction says nothing, and a commit is written over. So whatever
 * fails, all of it comes again, a second later or after a start. Proof: tests/clients/kafka_test.py.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/transactions_own.h"

enum { AGAIN_MS = 1000 };

struct marker {
    struct weir_kept_append append;
    struct weir_txn *txn;
    uint8_t bytes[WEIR_BATCH_CONTROL_BYTES_MAX];
};

struct apply { /* what a group is told */
    struct weir_group_request request;
    struct weir_txn *txn; /* NULL: nobody waits */
    struct weir_commit_entry entries[];
};

static bool commits(const struct weir_txn *txn)
{
    return txn->state == WEIR_TXN_COMMITTING;
}

static void stall(struct weir_txn *txn)
{
    txn->stalled = true;
    weir_wheel_arm(&txn->part->reactor->wheel, &txn->timer, txn->part->reactor->now_ns + (uint64_t)AGAIN_MS * 1000000);
    weir_txn_answer(txn, WEIR_TXN_CONCURRENT);
    weir_txn_refuse_waiting(txn);
}

static void on_completed(struct weir_txn *txn, int result)
{
    if (result < 0) {
        txn->state = txn->state == WEIR_TXN_COMMITTED ? WEIR_TXN_COMMITTING : WEIR_TXN_ABORTING;
        stall(txn);
        return;
    }
    weir_txn_finish(txn, WEIR_TXN_OK);
}

static void one_applied(struct weir_txn *txn)
{
    if (--txn->left > 0)
        return;
    if (txn->failed) {
        stall(txn);
        return;
    }
    txn->state = commits(txn) ? WEIR_TXN_COMMITTED : WEIR_TXN_ABORTED;
    weir_txn_clear(txn);
    weir_txn_write(txn, on_completed);
}

static void on_applied(struct weir_part *part, struct weir_group_request *request)
{
    (void)part;
    struct apply *apply = WEIR_CONTAINER(request, struct apply, request);
    struct weir_txn *txn = apply->txn;
    bool failed = request->result != WEIR_GROUP_OK;
    weir_group_request_deinit(request);
    free(apply);
    if (!txn)
        return;
    txn->failed |= failed;
    one_applied(txn);
}

static bool same(struct weir_string a, struct weir_string b)
{
    return a.byte_count == b.byte_count && memcmp(a.bytes, b.bytes, a.byte_count) == 0;
}

/* The strings it points to are the transaction's or, where nobody waits, must be copied: they lie behind the entries. */
static struct apply *new_apply(const struct weir_txn *txn, struct weir_string group, enum weir_group_verb verb)
{
    uint32_t count = 0, used = 0;
    size_t text_bytes = group.byte_count;
    for (const struct weir_txn_offset *at = txn->offsets; at; at = at->next)
        if (same(at->group, group)) {
            count++;
            text_bytes += at->entry.topic.byte_count + at->entry.metadata.byte_count;
        }
    struct apply *apply = calloc(1, sizeof *apply + count * sizeof *apply->entries + text_bytes);
    if (!apply)
        return NULL;
    char *text = (char *)&apply->entries[count];
    memcpy(text, group.bytes, group.byte_count);
    apply->request.group = (struct weir_string){text, group.byte_count};
    text += group.byte_count;
    for (const struct weir_txn_offset *at = txn->offsets; at; at = at->next) {
        if (!same(at->group, group))
            continue;
        struct weir_commit_entry *entry = &apply->entries[used++];
        *entry = at->entry;
        memcpy(text, at->entry.topic.bytes, at->entry.topic.byte_count);
        entry->topic.bytes = text;
        text += at->entry.topic.byte_count;
        memcpy(text, at->entry.metadata.bytes, at->entry.metadata.byte_count);
        entry->metadata.bytes = text;
        text += at->entry.metadata.byte_count;
    }
    apply->request.verb = verb;
    apply->request.done = on_applied;
    apply->request.entries = apply->entries;
    apply->request.entry_count = count;
    apply->request.producer_id = txn->producer_id;
    return apply;
}

static void apply_all(struct weir_txn *txn)
{
    txn->left = 1;
    for (const struct weir_txn_group *group = txn->groups; group; group = group->next)
        txn->left++;
    for (const struct weir_txn_group *group = txn->groups; group; group = group->next) {
        struct apply *apply = new_apply(txn, group->name, WEIR_GROUP_APPLY);
        if (!apply) {
            txn->failed = true;
            txn->left--;
            continue;
        }
        apply->txn = txn;
        apply->request.applies = commits(txn);
        weir_group_request_send(txn->part, &apply->request);
    }
    one_applied(txn);
}

/* Groups forget at the end what is staged with them. */
void weir_txn_stage_again(struct weir_txn *txn)
{
    for (const struct weir_txn_group *group = txn->groups; group; group = group->next) {
        struct apply *apply = new_apply(txn, group->name, WEIR_GROUP_STAGE);
        if (!apply)
            continue;
        apply->request.generation = -1; /* was checked when it came */
        weir_group_request_send(txn->part, &apply->request);
    }
}

static void one_marked(struct weir_txn *txn)
{
    if (--txn->left > 0)
        return;
    if (txn->failed)
        stall(txn);
    else
        apply_all(txn);
}

static void on_marked(struct weir_part *part, struct weir_kept_append *append)
{
    (void)part;
    struct marker *marker = WEIR_CONTAINER(append, struct marker, append);
    struct weir_txn *txn = marker->txn;
    /* A topic that is gone has nothing to end; nor has a partition that knows a later epoch. */
    txn->failed |= append->result != WEIR_KEPT_DONE && append->result != WEIR_KEPT_UNKNOWN && append->result != WEIR_KEPT_STALE_EPOCH;
    free(marker);
    one_marked(txn);
}

static void on_decided(struct weir_txn *txn, int result)
{
    if (result < 0) {
        stall(txn);
        return;
    }
    txn->failed = false;
    txn->left = txn->partition_count + 1;
    for (uint32_t i = 0; i < txn->partition_count; i++) {
        struct marker *marker = calloc(1, sizeof *marker);
        if (!marker) {
            txn->failed = true;
            txn->left--;
            continue;
        }
        marker->txn = txn;
        marker->append = (struct weir_kept_append){
            .topic = txn->partitions[i].topic,
            .partition = txn->partitions[i].partition,
            .bytes = marker->bytes,
            .marker = true,
            .done = on_marked,
        };
        marker->append.byte_count = (uint32_t)weir_batch_control(marker->bytes, txn->producer_id, txn->epoch, commits(txn), 0,
                                                                 weir_keep_wall_ms(txn->part));
        weir_kept_append(txn->part, &marker->append);
    }
    one_marked(txn);
}

void weir_txn_complete(struct weir_txn *txn)
{
    weir_wheel_cancel(&txn->part->reactor->wheel, &txn->timer);
    weir_txn_write(txn, on_decided);
}
