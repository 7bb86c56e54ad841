/*
 * broker/groups.h - consumer groups: who is a member, which generation, whose turn it is (Kafka's classic protocol).
 *
 * The coordinator of one reactor: a state machine that is given `now` and answers through callbacks; no I/O, so its tests never
 * sleep. Requests from other reactors come through broker/coordinator.h.
 *
 *     EMPTY --join--> PREPARING --all joined, or time--> COMPLETING --leader's sync--> STABLE
 *       ^                 ^---------- join, leave, expiry, changed metadata ----------------|
 *       +------------- the last one left ----------------------------------------------------
 *
 *     state        join                                        sync                            heartbeat    commit
 *     EMPTY        the first member: a rebalance, after          UNKNOWN_MEMBER                  UNKNOWN      only from outside
 *                  initial_delay_ns
 *     PREPARING    waits                                       REBALANCING                     REBALANCING  taken
 *     COMPLETING   unchanged: the answer again; else a         leader: STABLE, all are         OK           REBALANCING
 *                  rebalance                                   answered; others wait
 *     STABLE       leader or changed: a rebalance; else the    what was assigned               OK           taken
 *                  generation that is
 *
 * Checked in this order: BAD_ID, BAD_TIMEOUT, an id in a group that is not there UNKNOWN_MEMBER, FULL, INCONSISTENT, UNKNOWN_MEMBER or
 * FENCED, ILLEGAL_GENERATION. Whoever leaves or expires begins a rebalance; with the last one the group is EMPTY, a generation later.
 * A static member (one with an instance) that comes without an id takes the place of the one before it, who is FENCED: no rebalance
 * while the group is STABLE and what it subscribes to is the same.
 *
 * `done` may call any of these functions again (but weir_groups_free): answers are collected and given last, when the group is as they
 * say, and what they point to stays until the outermost call returns.
 *
 * Bounded by the limits; a group that is EMPTY and that no commit was made for makes room for another when there are groups_max.
 * Memory that cannot be had is answered LOADING: come again.
 *
 * Source: Kafka's GroupCoordinator; KIP-62 (rebalance timeout), KIP-345 (static members), KIP-394 (member id required), KIP-429
 * (cooperative: the broker does nothing for it), KIP-559, KIP-814 (a static leader skips). Proof: tests/broker/groups_*.c.
 */
#ifndef WEIR_BROKER_GROUPS_H
#define WEIR_BROKER_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct weir_groups;
struct weir_group;
struct weir_group_member;

enum weir_group_state { WEIR_GROUP_EMPTY, WEIR_GROUP_PREPARING, WEIR_GROUP_COMPLETING, WEIR_GROUP_STABLE, WEIR_GROUP_DEAD };

enum weir_group_result {
    WEIR_GROUP_OK,
    WEIR_GROUP_BAD_ID,           /* an empty group id */
    WEIR_GROUP_BAD_TIMEOUT,      /* session timeout out of bounds */
    WEIR_GROUP_INCONSISTENT,     /* protocol type or names do not fit the group's */
    WEIR_GROUP_UNKNOWN_MEMBER,
    WEIR_GROUP_ILLEGAL_GENERATION,
    WEIR_GROUP_REBALANCING,
    WEIR_GROUP_FENCED,           /* the instance id belongs to another member */
    WEIR_GROUP_ID_REQUIRED,      /* here is one: join again with it */
    WEIR_GROUP_FULL,
    WEIR_GROUP_NOT_EMPTY,
    WEIR_GROUP_NOT_FOUND,
    WEIR_GROUP_LOADING,
    WEIR_GROUP_NOT_WRITTEN,
    WEIR_GROUP_UNSTABLE,      /* a transaction's commit is pending */
};

struct weir_string {
    const char *bytes; /* NULL: absent */
    uint32_t byte_count;
};
struct weir_blob {
    const void *bytes;
    uint32_t byte_count;
};

struct weir_group_limits {
    uint64_t session_ns_min, session_ns_max; /* 6 s, 30 min */
    uint64_t initial_delay_ns;               /* of the first rebalance of an empty group; 50 ms */
    uint32_t members_max;                    /* of a group; 1,000 */
    uint32_t groups_max;                     /* 10,000 */
    uint32_t metadata_bytes_max;             /* of one member, all protocols, names and hosts; 1 MiB. Above it: INCONSISTENT */
};

struct weir_group_protocol { struct weir_string name; struct weir_blob metadata; };

/* Join: `done` comes once, maybe before weir_groups_join returns; the struct is the caller's again then. What `answer` points to is the
 * group's and gone when done returns. */
struct weir_group_member_view { struct weir_string id, instance, client_id, client_host; struct weir_blob metadata, assignment; };
struct weir_join_answer {
    enum weir_group_result result;
    int32_t generation;
    struct weir_string protocol_type, protocol, leader, member_id;
    const struct weir_group_member_view *members; /* the leader's only */
    uint32_t member_count;
    bool skip_assignment; /* the leader it is, and nothing to assign: all stands */
};
struct weir_join {
    struct weir_string group, member_id, instance, client_id, client_host, protocol_type, reason;
    const struct weir_group_protocol *protocols;
    uint32_t protocol_count;
    uint64_t session_ns, rebalance_ns;
    bool id_required;   /* v4+: a member without an id is given one and comes again */
    bool may_skip;      /* v9+ */
    void (*done)(struct weir_join *join, const struct weir_join_answer *answer);
    /* The group's. */
    struct weir_list node;
    struct weir_group_member *member;
    struct weir_join_answer answer;
};
struct weir_sync_answer { enum weir_group_result result; struct weir_string protocol_type, protocol; struct weir_blob assignment; };
struct weir_group_assignment { struct weir_string member_id; struct weir_blob assignment; };
struct weir_sync {
    struct weir_string group, member_id, instance, protocol_type, protocol; /* the last two: absent below v5 */
    int32_t generation;
    const struct weir_group_assignment *assignments;
    uint32_t assignment_count;
    void (*done)(struct weir_sync *sync, const struct weir_sync_answer *answer);
    /* The group's. */
    struct weir_list node;
    struct weir_group_member *member;
    struct weir_sync_answer answer;
};

struct weir_groups *weir_groups_new(const struct weir_group_limits *limits, uint64_t random_seed); /* NULL: no memory */
void weir_groups_free(struct weir_groups *groups); /* parked joins and syncs are answered UNKNOWN_MEMBER first */

/* All strings and blobs of a request must stay until `done`; the groups copy what they keep. */
void weir_groups_join(struct weir_groups *groups, uint64_t now_ns, struct weir_join *join);
void weir_groups_sync(struct weir_groups *groups, uint64_t now_ns, struct weir_sync *sync);
/* The connection is gone: done will not come. The member stays for two sessions at most, and may join again meanwhile. Not after done. */
void weir_groups_forget_join(struct weir_join *join);
void weir_groups_forget_sync(struct weir_sync *sync);
enum weir_group_result weir_groups_heartbeat(struct weir_groups *groups, uint64_t now_ns, struct weir_string group, int32_t generation,
                                             struct weir_string member_id, struct weir_string instance);
/* A static member may leave by its instance alone. UNKNOWN_MEMBER, FENCED, BAD_ID. */
enum weir_group_result weir_groups_leave(struct weir_groups *groups, uint64_t now_ns, struct weir_string group, struct weir_string member_id,
                                         struct weir_string instance, struct weir_string reason);
/* May this commit be made? generation < 0 and no member: from outside, fine while the group is empty or not there. Counts as a heartbeat.
 * (A commit within a transaction that names neither may always be made.) */
enum weir_group_result weir_groups_may_commit(struct weir_groups *groups, uint64_t now_ns, struct weir_string group, int32_t generation,
                                              struct weir_string member_id, struct weir_string instance);
/* Timers: call at or after weir_groups_next_ns (UINT64_MAX: never; maybe too early; may change with every call). */
uint64_t weir_groups_next_ns(const struct weir_groups *groups);
void weir_groups_tick(struct weir_groups *groups, uint64_t now_ns);

struct weir_group_view {
    struct weir_string id, protocol_type, protocol, leader;
    enum weir_group_state state;
    int32_t generation;
    uint32_t member_count;
    struct weir_string last_reason; /* why the last rebalance began: for people */
    uint64_t rebalances;
    uint64_t empty_since_ns;
};
/* Views are gone with the next call that may change a group. false: there is no such group, and its state is DEAD. */
bool weir_groups_view(const struct weir_groups *groups, struct weir_string id, struct weir_group_view *view_out);
bool weir_groups_member(const struct weir_groups *groups, struct weir_string id, uint32_t index, struct weir_group_member_view *member_out);
void weir_groups_each(const struct weir_groups *groups, void (*fn)(void *context, const struct weir_group_view *view), void *context);
/* A group that only has commits exists too: call this with each. protocol_type: of a group that is made by it. -ENOMEM, -ENOSPC. */
int weir_groups_touch(struct weir_groups *groups, uint64_t now_ns, struct weir_string id, struct weir_string protocol_type);
enum weir_group_result weir_groups_delete(struct weir_groups *groups, struct weir_string id); /* NOT_EMPTY, NOT_FOUND */
/* Does a member subscribe to this topic? Looks into consumer protocol metadata (for OffsetDelete); what it cannot read may. */
bool weir_groups_subscribed(const struct weir_groups *groups, struct weir_string id, struct weir_string topic);

#endif
