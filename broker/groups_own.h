/*
 * broker/groups_own.h - what groups.c and group_*.c share: a group, its members, and how answers wait.
 *
 * Memory of members and groups is given back through weir_groups_bury: an answer that is still on its way may point into it.
 */
#ifndef WEIR_BROKER_GROUPS_OWN_H
#define WEIR_BROKER_GROUPS_OWN_H

#include "broker/groups.h"
#include "sched/wheel.h"

enum { WEIR_GROUP_REASON_BYTES_MAX = 255, WEIR_GROUP_PROTOCOLS_MAX = 64 };

/* One member. Strings and blobs are blocks of their own (weir_groups_take). */
struct weir_group_member {
    struct weir_group *group;
    struct weir_wheel_timer session;
    uint64_t session_ns;
    uint64_t rebalance_ns;
    uint64_t id_hash;
    struct weir_string id;
    struct weir_string instance; /* absent: dynamic */
    struct weir_string client_id;
    struct weir_string client_host;
    struct weir_group_protocol *protocols; /* one block with all names and metadata */
    uint32_t protocol_count;
    struct weir_blob assignment;
    struct weir_join *join; /* parked; NULL: none */
    struct weir_sync *sync;
    bool synced;    /* has asked for this generation's assignment */
    bool forgotten; /* its parked request went with the connection: one session more */
};

/* An id that was given out and has not come back. */
struct weir_group_pending {
    struct weir_list node;
    struct weir_wheel_timer timer;
    struct weir_group *group;
    struct weir_string id;
};

struct weir_group {
    struct weir_group *chain;
    struct weir_list node;     /* all of them */
    struct weir_list evictable; /* EMPTY, without commits and pending members: on the list, oldest first */
    struct weir_groups *groups;
    struct weir_wheel_timer timer; /* PREPARING: the join ends; later: syncs that are missing end */
    struct weir_string id;
    uint64_t id_hash;
    struct weir_string protocol_type;
    struct weir_string protocol; /* chosen; absent: none */
    enum weir_group_state state;
    int32_t generation;
    struct weir_group_member **members; /* in order of joining */
    uint32_t member_count;
    uint32_t member_room;
    struct weir_group_member *leader;
    struct weir_list pending;
    uint32_t pending_count;
    uint32_t joined_count;      /* members with a parked join */
    bool initial;               /* PREPARING: the first rebalance of an empty group, which only time ends */
    bool grew;                  /* since the initial delay began */
    bool committed;
    uint64_t initial_left_ns;   /* by which the initial delay may still grow */
    uint64_t rebalances;
    uint64_t empty_since_ns;
    uint32_t reason_bytes;
    char reason[WEIR_GROUP_REASON_BYTES_MAX];
};

struct weir_groups {
    struct weir_group_limits limits;
    struct weir_wheel wheel;
    struct weir_group **table;
    uint32_t table_size; /* a power of two */
    uint32_t count;
    uint64_t seed;
    uint64_t ids_given;
    struct weir_list all;
    struct weir_list evictable;
    struct weir_list joins; /* with their answers, to be given */
    struct weir_list syncs;
    void *buried;
    bool answering;
    bool closing;
};

/* ---- groups.c ---- */
struct weir_group *weir_groups_find(const struct weir_groups *groups, struct weir_string id);
struct weir_group *weir_groups_make(struct weir_groups *groups, uint64_t now_ns, struct weir_string id, bool *full_out);
void weir_group_consider_eviction(struct weir_group *group);
/* Every public function that may have something to answer ends with this. */
void weir_groups_answer(struct weir_groups *groups);
void *weir_groups_take(size_t byte_count); /* NULL: no memory */
void weir_groups_bury(struct weir_groups *groups, const void *block);
bool weir_string_copy(struct weir_string *to, struct weir_string from); /* false: no memory */
static inline bool weir_string_same(struct weir_string a, struct weir_string b)
{
    return a.byte_count == b.byte_count && (a.byte_count == 0 || __builtin_memcmp(a.bytes, b.bytes, a.byte_count) == 0);
}

/* ---- group_members.c ---- */
struct weir_group_member *weir_group_member_find(const struct weir_group *group, struct weir_string id);
struct weir_group_member *weir_group_instance_find(const struct weir_group *group, struct weir_string instance);
/* OK, UNKNOWN_MEMBER or FENCED. */
enum weir_group_result weir_group_validate(const struct weir_group *group, struct weir_string id, struct weir_string instance);
/* A new member; its id is `id` (a block, taken over on success). NULL: no memory, and nothing has changed. */
struct weir_group_member *weir_group_member_add(struct weir_group *group, struct weir_string id, const struct weir_join *join);
/* What a join says of its member. false: no memory, and nothing has changed. */
bool weir_group_member_update(struct weir_group_member *member, const struct weir_join *join);
void weir_group_member_view(const struct weir_group_member *member, struct weir_group_member_view *view_out);
/* Gone; parked requests are answered `result`. What that means for the group is weir_group_lost's. */
void weir_group_member_remove(struct weir_group_member *member, enum weir_group_result result);
void weir_group_member_seen(struct weir_group_member *member, uint64_t now_ns);
bool weir_group_member_matches(const struct weir_group_member *member, const struct weir_join *join);
struct weir_string weir_group_make_id(struct weir_group *group, const struct weir_join *join); /* a block; bytes NULL: no memory */
struct weir_group_pending *weir_group_pending_find(const struct weir_group *group, struct weir_string id);
bool weir_group_pending_add(struct weir_group *group, uint64_t now_ns, struct weir_string id, uint64_t session_ns); /* takes id over */
struct weir_string weir_group_pending_take(struct weir_group_pending *pending); /* ends it; the id is the caller's */

/* ---- group_rebalance.c ---- */
void weir_group_rebalance_for(struct weir_group *group, uint64_t now_ns, const char *why, struct weir_string whose);
void weir_group_try_complete(struct weir_group *group, uint64_t now_ns);
/* A member or a pending id went. */
void weir_group_lost(struct weir_group *group, uint64_t now_ns, const char *why, struct weir_string whose);
void weir_group_on_time(struct weir_wheel_timer *timer, uint64_t now_ns);
void weir_group_sync_done(struct weir_group *group); /* when all have synced, nobody is waited for any more */
/* The protocol with most votes among those that all know; absent: there is none. */
struct weir_string weir_group_vote(const struct weir_group *group);
/* Would there be a protocol for all with this join in place of (or beside, NULL) `member`? */
bool weir_group_fits(const struct weir_group *group, const struct weir_group_member *member, const struct weir_join *join);

/* ---- group_answer.c ---- */
void weir_join_refuse(struct weir_groups *groups, struct weir_join *join, enum weir_group_result result);
void weir_join_accept(struct weir_group_member *member, struct weir_join *join, struct weir_string leader, bool with_members, bool skip);
void weir_sync_refuse(struct weir_groups *groups, struct weir_sync *sync, enum weir_group_result result);
void weir_sync_accept(struct weir_group_member *member, struct weir_sync *sync);
void weir_join_park(struct weir_group_member *member, struct weir_join *join);
void weir_sync_park(struct weir_group_member *member, struct weir_sync *sync);
struct weir_join *weir_join_unpark(struct weir_group_member *member); /* NULL: none was */
struct weir_sync *weir_sync_unpark(struct weir_group_member *member);

/* ---- group_subscription.c ---- */
bool weir_subscription_has(struct weir_blob metadata, struct weir_string topic); /* what cannot be read: true */
bool weir_subscription_same_topics(struct weir_blob a, struct weir_blob b);      /* what cannot be read: the same bytes */

#endif
