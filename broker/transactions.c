/*
 * broker/transactions.c - requests of transactions on the reactor that has the transactional id.
 *
 * One thing at a time for each id: others wait in a list. What was decided is completed before anything else, and tried again for as
 * long as the disk refuses; meanwhile requests are CONCURRENT. How a transaction ends: transaction_end.c.
 * Proof: tests/clients/kafka_test.py.
 */
#include "broker/transactions_own.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 256, TXNS_MAX = 10000, LATER_MS = 50 };

struct weir_transactions {
    struct weir_list buckets[BUCKETS];
    uint32_t count;
};

static void take(struct weir_txn *txn, struct weir_txn_request *request);

static struct weir_txn_request *request_of(struct weir_ask *ask)
{
    return WEIR_CONTAINER(ask, struct weir_txn_request, ask);
}

static struct weir_list *bucket_of(struct weir_transactions *transactions, struct weir_string name)
{
    uint64_t hash = 14695981039346656037u;
    for (uint32_t i = 0; i < name.byte_count; i++)
        hash = (hash ^ (uint8_t)name.bytes[i]) * 1099511628211u;
    return &transactions->buckets[hash % BUCKETS];
}

static struct weir_txn *find(struct weir_transactions *transactions, struct weir_string name)
{
    WEIR_LIST_EACH(node, bucket_of(transactions, name))
    {
        struct weir_txn *txn = WEIR_CONTAINER(node, struct weir_txn, node);
        if (txn->name.byte_count == name.byte_count && memcmp(txn->name.bytes, name.bytes, name.byte_count) == 0)
            return txn;
    }
    return NULL;
}

static void answer(struct weir_part *part, struct weir_txn_request *request, enum weir_txn_result result)
{
    request->result = result;
    weir_ask_answer(part, &request->ask);
}

void weir_txn_answer(struct weir_txn *txn, enum weir_txn_result result)
{
    struct weir_txn_request *request = txn->current;
    txn->current = NULL;
    if (!request)
        return;
    if (request->verb == WEIR_TXN_BEGIN) {
        request->producer_id = txn->producer_id;
        request->producer_epoch = txn->epoch;
    }
    answer(txn->part, request, result);
}

void weir_txn_finish(struct weir_txn *txn, enum weir_txn_result result)
{
    txn->busy = false;
    weir_txn_answer(txn, result);
    for (struct weir_list *node; !txn->busy && (node = weir_list_pop_front(&txn->waiting));)
        take(txn, request_of(WEIR_CONTAINER(node, struct weir_ask, node)));
}

void weir_txn_refuse_waiting(struct weir_txn *txn)
{
    for (struct weir_list *node; (node = weir_list_pop_front(&txn->waiting));)
        answer(txn->part, request_of(WEIR_CONTAINER(node, struct weir_ask, node)), WEIR_TXN_CONCURRENT);
}

static void on_row(struct weir_commit *commit, int result)
{
    struct weir_txn *txn = WEIR_CONTAINER(commit, struct weir_txn, commit);
    txn->part->reactor->file_ops--;
    txn->next(txn, result);
}

void weir_txn_write(struct weir_txn *txn, void (*next)(struct weir_txn *txn, int result))
{
    txn->next = next;
    txn->commit.done = on_row;
    txn->part->reactor->file_ops++; /* a stop waits for it */
    int result = weir_txn_row_put(txn, &txn->commit);
    if (result < 0)
        on_row(&txn->commit, result);
}

static void finish_written(struct weir_txn *txn, int result)
{
    weir_txn_finish(txn, result < 0 ? WEIR_TXN_NOT_WRITTEN : WEIR_TXN_OK);
}

static void arm(struct weir_txn *txn, uint64_t after_ms)
{
    weir_wheel_arm(&txn->part->reactor->wheel, &txn->timer, txn->part->reactor->now_ns + after_ms * 1000000);
}

static bool open_it(struct weir_txn *txn) /* true: it was not */
{
    if (txn->state == WEIR_TXN_OPEN)
        return false;
    txn->state = WEIR_TXN_OPEN;
    arm(txn, (uint64_t)txn->timeout_ms);
    return true;
}

static void abort_it(struct weir_txn *txn) /* with the next epoch: who had it open is fenced */
{
    if (txn->epoch < INT16_MAX)
        txn->epoch++;
    txn->state = WEIR_TXN_ABORTING;
    weir_txn_complete(txn);
}

static void on_time(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    struct weir_txn *txn = WEIR_CONTAINER(timer, struct weir_txn, timer);
    if (txn->stalled) {
        txn->stalled = false;
        weir_txn_complete(txn);
    } else if (txn->busy) {
        arm(txn, LATER_MS);
    } else if (txn->state == WEIR_TXN_OPEN) {
        txn->busy = true;
        abort_it(txn);
    }
}

/* ---- Begin ---------------------------------------------------------------------------------------- */

static void on_id(struct weir_part *part, struct weir_producer_id *id)
{
    (void)part;
    struct weir_txn *txn = WEIR_CONTAINER(id, struct weir_txn, id);
    if (id->id < 0) {
        weir_txn_finish(txn, WEIR_TXN_NOT_WRITTEN);
        return;
    }
    txn->producer_id = id->id;
    txn->epoch = 0;
    txn->state = WEIR_TXN_EMPTY;
    weir_txn_write(txn, finish_written);
}

static void begin(struct weir_txn *txn, struct weir_txn_request *request)
{
    if (request->producer_id >= 0 && (request->producer_id != txn->producer_id || request->producer_epoch != txn->epoch)) {
        weir_txn_finish(txn, WEIR_TXN_FENCED);
        return;
    }
    txn->timeout_ms = request->timeout_ms;
    if (txn->state == WEIR_TXN_OPEN) {
        abort_it(txn);
        return;
    }
    if (txn->producer_id < 0 || txn->epoch >= INT16_MAX - 1) {
        txn->id.done = on_id;
        weir_producer_id_take(txn->part, &txn->id);
        return;
    }
    txn->epoch++;
    txn->state = WEIR_TXN_EMPTY;
    weir_txn_write(txn, finish_written);
}

/* ---- What it touches ------------------------------------------------------------------------------ */

struct admit {
    struct weir_kept_admit ask;
    struct weir_txn *txn;
};

static void one_admitted(struct weir_txn *txn)
{
    if (--txn->left == 0)
        weir_txn_finish(txn, txn->failed ? WEIR_TXN_NOT_WRITTEN : WEIR_TXN_OK);
}

static void on_admitted(struct weir_part *part, struct weir_kept_admit *asked)
{
    (void)part;
    struct admit *admit = WEIR_CONTAINER(asked, struct admit, ask);
    struct weir_txn *txn = admit->txn;
    txn->failed |= asked->result != WEIR_KEPT_DONE && asked->result != WEIR_KEPT_UNKNOWN;
    free(admit);
    one_admitted(txn);
}

static void admit_all(struct weir_txn *txn, int result)
{
    txn->failed = result < 0;
    uint32_t count = result < 0 ? 0 : txn->partition_count;
    txn->left = count + 1;
    for (uint32_t i = 0; i < count; i++) {
        struct admit *admit = calloc(1, sizeof *admit);
        if (!admit) {
            txn->failed = true;
            txn->left--;
            continue;
        }
        admit->txn = txn;
        admit->ask = (struct weir_kept_admit){
            .topic = txn->partitions[i].topic,
            .partition = txn->partitions[i].partition,
            .producer_id = txn->producer_id,
            .producer_epoch = txn->epoch,
            .done = on_admitted,
        };
        weir_kept_admit(txn->part, &admit->ask);
    }
    one_admitted(txn);
}

static void add_partitions(struct weir_txn *txn, struct weir_txn_request *request)
{
    bool changed = open_it(txn);
    int result = 0;
    for (uint32_t i = 0; i < request->partition_count && result >= 0; i++) {
        result = weir_txn_add_partition(txn, &request->partitions[i]);
        changed |= result > 0;
    }
    if (result < 0)
        weir_txn_finish(txn, WEIR_TXN_NOT_WRITTEN);
    else if (changed)
        weir_txn_write(txn, admit_all);
    else
        admit_all(txn, 0);
}

static void add_group(struct weir_txn *txn, struct weir_txn_request *request)
{
    bool changed = open_it(txn);
    if (!weir_txn_has_group(txn, request->group)) {
        if (weir_txn_add_group(txn, request->group) < 0) {
            weir_txn_finish(txn, WEIR_TXN_NOT_WRITTEN);
            return;
        }
        changed = true;
    }
    if (changed)
        weir_txn_write(txn, finish_written);
    else
        weir_txn_finish(txn, WEIR_TXN_OK);
}

static void on_staged(struct weir_part *part, struct weir_group_request *staged)
{
    (void)part;
    struct weir_txn *txn = WEIR_CONTAINER(staged, struct weir_txn, stage);
    struct weir_txn_request *request = txn->current;
    request->group_result = staged->result;
    if (staged->result != WEIR_GROUP_OK) {
        weir_txn_finish(txn, WEIR_TXN_GROUP);
        return;
    }
    for (uint32_t i = 0; i < request->entry_count; i++)
        if (weir_txn_add_offset(txn, request->group, &request->entries[i]) < 0) {
            weir_txn_finish(txn, WEIR_TXN_NOT_WRITTEN);
            return;
        }
    weir_txn_write(txn, finish_written);
}

static void stage(struct weir_txn *txn, struct weir_txn_request *request)
{
    if (txn->state != WEIR_TXN_OPEN || !weir_txn_has_group(txn, request->group)) {
        weir_txn_finish(txn, WEIR_TXN_BAD_STATE);
        return;
    }
    txn->stage = (struct weir_group_request){
        .verb = WEIR_GROUP_STAGE,
        .group = request->group,
        .done = on_staged,
        .generation = request->generation,
        .member_id = request->member_id,
        .instance = request->instance,
        .entries = request->entries,
        .entry_count = request->entry_count,
        .producer_id = txn->producer_id,
    };
    weir_group_request_send(txn->part, &txn->stage);
}

static void end(struct weir_txn *txn, bool commit)
{
    enum weir_txn_state ended = commit ? WEIR_TXN_COMMITTED : WEIR_TXN_ABORTED;
    if (txn->state != WEIR_TXN_OPEN) { /* said again: the answer was lost */
        weir_txn_finish(txn, txn->state == ended ? WEIR_TXN_OK : WEIR_TXN_BAD_STATE);
        return;
    }
    txn->state = commit ? WEIR_TXN_COMMITTING : WEIR_TXN_ABORTING;
    weir_txn_complete(txn);
}

/* ---- Requests ------------------------------------------------------------------------------------- */

static void take(struct weir_txn *txn, struct weir_txn_request *request)
{
    txn->busy = true;
    txn->current = request;
    if (request->verb == WEIR_TXN_BEGIN) {
        begin(txn, request);
    } else if (request->producer_id != txn->producer_id) {
        weir_txn_finish(txn, WEIR_TXN_BAD_MAPPING);
    } else if (request->producer_epoch != txn->epoch) {
        weir_txn_finish(txn, WEIR_TXN_FENCED);
    } else if (request->verb == WEIR_TXN_ADD_PARTITIONS) {
        add_partitions(txn, request);
    } else if (request->verb == WEIR_TXN_ADD_GROUP) {
        add_group(txn, request);
    } else if (request->verb == WEIR_TXN_STAGE) {
        stage(txn, request);
    } else {
        end(txn, request->commit);
    }
}

static struct weir_txn *new_txn(struct weir_part *part, struct weir_string name)
{
    struct weir_transactions *transactions = part->keep->transactions;
    struct weir_txn *txn = transactions->count < TXNS_MAX ? calloc(1, sizeof *txn + name.byte_count) : NULL;
    if (!txn)
        return NULL;
    memcpy(txn + 1, name.bytes, name.byte_count);
    txn->part = part;
    txn->name = (struct weir_string){(const char *)(txn + 1), name.byte_count};
    txn->producer_id = -1;
    txn->epoch = -1;
    weir_list_init(&txn->node);
    weir_list_init(&txn->waiting);
    weir_wheel_timer_init(&txn->timer, on_time);
    weir_list_push_back(bucket_of(transactions, name), &txn->node);
    transactions->count++;
    return txn;
}

static void on_asked(struct weir_part *part, struct weir_ask *ask)
{
    struct weir_txn_request *request = request_of(ask);
    struct weir_txn *txn = find(part->keep->transactions, request->name);
    if (!txn && request->verb != WEIR_TXN_BEGIN) {
        answer(part, request, WEIR_TXN_BAD_MAPPING);
        return;
    }
    if (!txn && !(txn = new_txn(part, request->name))) {
        answer(part, request, WEIR_TXN_NOT_WRITTEN);
        return;
    }
    if (txn->stalled) {
        answer(part, request, WEIR_TXN_CONCURRENT);
    } else if (txn->busy) {
        weir_list_init(&ask->node);
        weir_list_push_back(&txn->waiting, &ask->node);
    } else {
        take(txn, request);
    }
}

static void on_answered(struct weir_part *part, struct weir_ask *ask)
{
    struct weir_txn_request *request = request_of(ask);
    part->reactor->file_ops--;
    request->done(part, request);
}

static enum weir_txn_result refuse(const struct weir_part *part, const struct weir_txn_request *request)
{
    if (!weir_keep_ready(part))
        return part->keep && part->keep->state == WEIR_KEEP_LOADING ? WEIR_TXN_LOADING : WEIR_TXN_NOT_WRITTEN;
    if (request->name.byte_count == 0 || request->name.byte_count > WEIR_TXN_NAME_BYTES_MAX)
        return WEIR_TXN_BAD_STATE;
    bool bad = request->verb == WEIR_TXN_BEGIN && (request->timeout_ms <= 0 || request->timeout_ms > WEIR_TXN_TIMEOUT_MS_MAX);
    return bad ? WEIR_TXN_BAD_TIMEOUT : WEIR_TXN_OK;
}

void weir_txn_request_send(struct weir_part *part, struct weir_txn_request *request)
{
    request->result = refuse(part, request);
    if (request->result != WEIR_TXN_OK) {
        request->done(part, request);
        return;
    }
    request->ask.asked = on_asked;
    request->ask.answered = on_answered;
    part->reactor->file_ops++; /* a stop waits for it */
    weir_ask_send(part, weir_table_owner(WEIR_TABLE_TRANSACTIONS, request->name.bytes, request->name.byte_count, part->reactor->count),
                  &request->ask);
}

/* ---- A start, an end ------------------------------------------------------------------------------ */

struct loading {
    struct weir_part *part;
    int result;
};

static void load_row(void *context, const void *key, uint32_t key_bytes, const void *value, uint32_t value_bytes)
{
    struct loading *loading = context;
    struct weir_txn *txn = new_txn(loading->part, (struct weir_string){key, key_bytes});
    int result = txn ? weir_txn_row_read(txn, value, value_bytes) : -ENOMEM;
    if (result < 0)
        loading->result = result;
}

int weir_transactions_begin(struct weir_part *part)
{
    struct weir_transactions *transactions = calloc(1, sizeof *transactions);
    struct loading loading = {.part = part};
    if (!transactions)
        return -ENOMEM;
    for (uint32_t i = 0; i < BUCKETS; i++)
        weir_list_init(&transactions->buckets[i]);
    part->keep->transactions = transactions;
    weir_table_each(part->keep->store, WEIR_TABLE_TRANSACTIONS, load_row, &loading);
    return loading.result;
}

static void resume(struct weir_txn *txn)
{
    bool decided = txn->state == WEIR_TXN_COMMITTING || txn->state == WEIR_TXN_ABORTING;
    if (!decided && txn->state != WEIR_TXN_OPEN)
        return;
    txn->busy = true;
    weir_txn_stage_again(txn);
    if (decided) {
        weir_txn_complete(txn);
        return;
    }
    arm(txn, (uint64_t)txn->timeout_ms);
    admit_all(txn, 0);
}

void weir_transactions_resume(struct weir_part *part)
{
    for (uint32_t i = 0; i < BUCKETS; i++)
        WEIR_LIST_EACH(node, &part->keep->transactions->buckets[i])
            resume(WEIR_CONTAINER(node, struct weir_txn, node));
}

void weir_transactions_end(struct weir_part *part)
{
    struct weir_transactions *transactions = part->keep->transactions;
    for (uint32_t i = 0; i < BUCKETS && transactions; i++)
        for (struct weir_list *node; (node = weir_list_pop_front(&transactions->buckets[i]));) {
            struct weir_txn *txn = WEIR_CONTAINER(node, struct weir_txn, node);
            weir_wheel_cancel(&part->reactor->wheel, &txn->timer);
            weir_txn_clear(txn);
            free(txn->partitions);
            free(txn);
        }
    free(transactions);
    part->keep->transactions = NULL;
}
