/*
 * broker/transactions.h - transactions over partitions and groups: who may write where, and one decision for all of it.
 *
 * A transactional id lives on the reactor its name hashes to (weir_table_owner), as a row of WEIR_TABLE_TRANSACTIONS. Requests of one id
 * are taken one after the other.
 *
 *     EMPTY --add--> OPEN --end--> COMMITTING | ABORTING  (row durable: decided)
 *                                   control batches at level, staged offsets to their groups
 *                                  COMMITTED | ABORTED    (row durable) -> answered
 *
 * A time that is over, or a producer that begins anew, aborts what is open with the next epoch. After a start what was decided is
 * completed, and what was open goes on until its time is over.
 *
 * Source: KIP-98. Proof: tests/clients/kafka_test.py.
 */
#ifndef WEIR_BROKER_TRANSACTIONS_H
#define WEIR_BROKER_TRANSACTIONS_H

#include "broker/coordinator.h"
#include "broker/kept.h"

enum weir_txn_verb { WEIR_TXN_BEGIN, WEIR_TXN_ADD_PARTITIONS, WEIR_TXN_ADD_GROUP, WEIR_TXN_STAGE, WEIR_TXN_END };

enum weir_txn_result {
    WEIR_TXN_OK,
    WEIR_TXN_BAD_TIMEOUT,
    WEIR_TXN_BAD_MAPPING, /* another producer id, or an unknown name */
    WEIR_TXN_FENCED,      /* another epoch */
    WEIR_TXN_BAD_STATE,
    WEIR_TXN_CONCURRENT,  /* the last one is still being completed: again */
    WEIR_TXN_GROUP,       /* STAGE: see group_result */
    WEIR_TXN_LOADING,
    WEIR_TXN_NOT_WRITTEN,
};

enum { WEIR_TXN_TIMEOUT_MS_MAX = 15 * 60 * 1000, WEIR_TXN_NAME_BYTES_MAX = 512 };

struct weir_txn_partition {
    struct weir_log_id topic;
    uint32_t partition;
};

/* The caller's; what it points to stays until `done`, which may come before weir_txn_request_send returns. */
struct weir_txn_request {
    struct weir_ask ask;
    enum weir_txn_verb verb;
    struct weir_string name;
    int64_t producer_id;    /* BEGIN: in -1 or the one it had; out */
    int16_t producer_epoch;
    int32_t timeout_ms;     /* BEGIN */
    bool commit;            /* END */
    const struct weir_txn_partition *partitions; /* ADD_PARTITIONS */
    uint32_t partition_count;
    struct weir_string group; /* ADD_GROUP, STAGE */
    int32_t generation;       /* STAGE: as of a commit of the group */
    struct weir_string member_id, instance;
    struct weir_commit_entry *entries;
    uint32_t entry_count;
    void (*done)(struct weir_part *part, struct weir_txn_request *request);
    void *context;
    enum weir_txn_result result;
    enum weir_group_result group_result;
};
void weir_txn_request_send(struct weir_part *part, struct weir_txn_request *request);

/* keep.c */
int weir_transactions_begin(struct weir_part *part);   /* reads the rows. -ENOMEM, -EBADMSG */
void weir_transactions_resume(struct weir_part *part); /* the node is ready: go on with what was under way */
void weir_transactions_end(struct weir_part *part);

#endif
