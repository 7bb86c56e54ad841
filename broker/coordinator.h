/*
 * broker/coordinator.h - consumer groups and their commits, from any reactor.
 *
 * A group lives on the reactor its name hashes to (weir_table_owner), with its commits: rows of WEIR_TABLE_COMMITS, durable before the
 * answer. A request is the caller's struct and travels there and back (broker/ask.h); what it points to must stay until `done`. What an
 * answer points to lies in `memory`, freed by weir_group_request_deinit.
 *
 * Proof: tests/clients/kafka_test.py; the state machine itself in tests/broker/groups_test.c.
 */
#ifndef WEIR_BROKER_COORDINATOR_H
#define WEIR_BROKER_COORDINATOR_H

#include "broker/ask.h"
#include "broker/groups.h"
#include "log/store.h"

enum weir_group_verb {
    WEIR_GROUP_JOIN,
    WEIR_GROUP_SYNC,
    WEIR_GROUP_HEARTBEAT,
    WEIR_GROUP_LEAVE,
    WEIR_GROUP_COMMIT,
    WEIR_GROUP_COMMITTED,     /* read commits */
    WEIR_GROUP_DESCRIBE,
    WEIR_GROUP_DELETE,
    WEIR_GROUP_FORGET,        /* delete commits */
    WEIR_GROUP_STAGE,         /* commits of a transaction: checked, and pending until APPLY */
    WEIR_GROUP_APPLY,         /* its end: pending no more, and written if it `applies` */
};

struct weir_commit_entry { /* of one partition */
    struct weir_string topic;
    uint32_t partition;
    int64_t offset; /* COMMITTED: -1: none */
    int32_t leader_epoch;
    struct weir_string metadata; /* bytes NULL: null */
    enum weir_group_result result;
};

struct weir_leaver { /* LEAVE: several at once */
    struct weir_string member_id, instance, reason;
    enum weir_group_result result;
};

struct weir_described_member {
    struct weir_string id, instance, client_id, client_host;
    struct weir_blob metadata, assignment;
};

struct weir_group_request {
    struct weir_ask ask;
    enum weir_group_verb verb;
    struct weir_string group;
    void (*done)(struct weir_part *part, struct weir_group_request *request); /* maybe before weir_group_request_send returns */
    void *context;
    enum weir_group_result result;

    /* In, by verb. HEARTBEAT, COMMIT: these three. */
    int32_t generation;
    struct weir_string member_id, instance;
    struct weir_join join; /* JOIN: all of its inputs but `group` and `done` */
    struct weir_sync sync; /* SYNC: likewise */
    struct weir_leaver *leavers;
    uint32_t leaver_count;
    struct weir_commit_entry *entries; /* COMMIT, FORGET; COMMITTED: in: topic and partition, NULL: all, out: an array in memory */
    uint32_t entry_count;

    int64_t producer_id; /* STAGE, APPLY */
    bool applies;        /* APPLY */
    bool stable;         /* COMMITTED: what is pending is UNSTABLE */

    /* Out, by verb; in `memory`. */
    struct weir_join_answer joined;  /* JOIN */
    struct weir_sync_answer synced;  /* SYNC */
    struct weir_group_view view;     /* DESCRIBE */
    struct weir_described_member *members;
    uint32_t member_count;

    /* The coordinator's. */
    struct weir_commit commit;
    struct weir_part *owner;
    void *memory; /* one block */
};
void weir_group_request_send(struct weir_part *part, struct weir_group_request *request);
void weir_group_request_deinit(struct weir_group_request *request);

/* All groups of all reactors: `done` runs on the asker with views whose strings lie in memory that is freed when it returns. -ENOMEM. */
typedef void (*weir_groups_listed_fn)(struct weir_part *part, const struct weir_group_view *views, uint32_t count, void *context);
int weir_groups_list(struct weir_part *part, weir_groups_listed_fn done, void *context);

/* A fresh producer id, unique over restarts; `done` maybe at once, id < 0: not to be had (the disk). */
struct weir_producer_id {
    struct weir_ask ask;
    void (*done)(struct weir_part *part, struct weir_producer_id *id);
    void *context;
    int64_t id;
    int64_t block_end;
    struct weir_commit commit;
    struct weir_part *owner;
};
void weir_producer_id_take(struct weir_part *part, struct weir_producer_id *id);

/* keep.c */
int weir_coordinator_begin(struct weir_part *part);
void weir_coordinator_end(struct weir_part *part);

#endif
