/*
 * broker/transactions_own.h - a transaction from inside: its state and its row.
 */
#ifndef WEIR_BROKER_TRANSACTIONS_OWN_H
#define WEIR_BROKER_TRANSACTIONS_OWN_H

#include "broker/keep.h"
#include "broker/transactions.h"

enum weir_txn_state {
    WEIR_TXN_EMPTY,
    WEIR_TXN_OPEN,
    WEIR_TXN_COMMITTING,
    WEIR_TXN_ABORTING,
    WEIR_TXN_COMMITTED,
    WEIR_TXN_ABORTED,
};

struct weir_txn_offset {
    struct weir_commit_entry entry; /* strings lie behind this struct */
    struct weir_string group;
    struct weir_txn_offset *next;
};

struct weir_txn_group {
    struct weir_txn_group *next;
    struct weir_string name; /* lies behind */
};

struct weir_txn {
    struct weir_list node; /* of its bucket */
    struct weir_part *part;
    struct weir_string name; /* lies behind this struct */
    int64_t producer_id;
    int16_t epoch;
    int32_t timeout_ms;
    uint8_t state; /* enum weir_txn_state */
    struct weir_txn_partition *partitions;
    uint32_t partition_count, partition_room;
    struct weir_txn_group *groups;
    struct weir_txn_offset *offsets;

    bool busy;                        /* one thing at a time */
    struct weir_txn_request *current; /* who waits for it; NULL: nobody */
    struct weir_list waiting;         /* asks */
    uint32_t left;                    /* answers that are still to come */
    bool failed;                      /* one of them said no */
    bool stalled;                     /* decided, and the disk did not take it: again, by the timer */
    void (*next)(struct weir_txn *txn, int result);
    struct weir_commit commit;
    struct weir_producer_id id;
    struct weir_wheel_timer timer;
    struct weir_group_request stage;
};

/* transactions.c */
void weir_txn_answer(struct weir_txn *txn, enum weir_txn_result result); /* who waits for this, if anybody */
void weir_txn_finish(struct weir_txn *txn, enum weir_txn_result result); /* and the next one */
void weir_txn_refuse_waiting(struct weir_txn *txn);
void weir_txn_write(struct weir_txn *txn, void (*next)(struct weir_txn *txn, int result));

/* transaction_end.c */
void weir_txn_complete(struct weir_txn *txn);    /* its state says what was decided; ends with weir_txn_finish */
void weir_txn_stage_again(struct weir_txn *txn); /* after a start */

/* transaction_row.c */
int weir_txn_row_put(struct weir_txn *txn, struct weir_commit *commit); /* as weir_table_put */
int weir_txn_row_read(struct weir_txn *txn, const uint8_t *value, uint32_t value_bytes); /* -EBADMSG, -ENOMEM */
int weir_txn_add_partition(struct weir_txn *txn, const struct weir_txn_partition *partition);
int weir_txn_add_group(struct weir_txn *txn, struct weir_string group);
bool weir_txn_has_group(const struct weir_txn *txn, struct weir_string group);
int weir_txn_add_offset(struct weir_txn *txn, struct weir_string group, const struct weir_commit_entry *entry);
void weir_txn_clear(struct weir_txn *txn); /* partitions, groups, offsets */

#endif
