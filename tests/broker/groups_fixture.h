/*
 * tests/broker/groups_fixture.h - consumers that talk to a weir_groups, and a clock that is moved by hand.
 */
#ifndef WEIR_TESTS_BROKER_GROUPS_FIXTURE_H
#define WEIR_TESTS_BROKER_GROUPS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "broker/groups.h"

enum { NO_ANSWER = -1 };

struct consumer {
    struct weir_groups *groups;
    struct weir_join join;
    struct weir_sync sync;
    struct weir_group_protocol protocols[4];
    uint32_t joined_count, synced_count; /* answers */
    int joined, synced;                  /* the last result, or NO_ANSWER */
    char id[160];                        /* as it was told */
    char leader[160];
    char protocol[32];
    char protocol_type[32];
    char members[1024]; /* "metadata,metadata" of what the leader was shown */
    uint32_t member_count;
    char assignment[64];
    int32_t generation;
    bool skip;
    void (*then)(struct consumer *consumer); /* within done */
};

static struct weir_groups *the_groups;
static uint64_t now_ns;

static inline struct weir_string string_of(const char *text)
{
    return (struct weir_string){.bytes = text, .byte_count = text ? (uint32_t)strlen(text) : 0};
}

static inline struct weir_blob blob_of(const char *text)
{
    return (struct weir_blob){.bytes = text, .byte_count = (uint32_t)strlen(text)};
}

static inline void copy_out(char *to, size_t room, const void *bytes, uint32_t byte_count)
{
    assert_true(byte_count < room);
    if (byte_count > 0)
        memcpy(to, bytes, byte_count);
    to[byte_count] = '\0';
}

/* Everything an answer points to. */
static inline uint64_t sum_of(const struct weir_join_answer *answer)
{
    uint64_t sum = weir_hash_bytes(answer->leader.bytes, answer->leader.byte_count, 1);
    sum = weir_hash_bytes(answer->member_id.bytes, answer->member_id.byte_count, sum);
    sum = weir_hash_bytes(answer->protocol.bytes, answer->protocol.byte_count, sum);
    for (uint32_t i = 0; i < answer->member_count; i++) {
        sum = weir_hash_bytes(answer->members[i].id.bytes, answer->members[i].id.byte_count, sum);
        sum = weir_hash_bytes(answer->members[i].metadata.bytes, answer->members[i].metadata.byte_count, sum);
    }
    return sum;
}

static void on_joined(struct weir_join *join, const struct weir_join_answer *answer)
{
    struct consumer *consumer = WEIR_CONTAINER(join, struct consumer, join);
    consumer->joined_count++;
    consumer->joined = (int)answer->result;
    consumer->generation = answer->generation;
    consumer->skip = answer->skip_assignment;
    consumer->member_count = answer->member_count;
    copy_out(consumer->leader, sizeof consumer->leader, answer->leader.bytes, answer->leader.byte_count);
    copy_out(consumer->protocol, sizeof consumer->protocol, answer->protocol.bytes, answer->protocol.byte_count);
    copy_out(consumer->protocol_type, sizeof consumer->protocol_type, answer->protocol_type.bytes, answer->protocol_type.byte_count);
    if (answer->result == WEIR_GROUP_OK || answer->result == WEIR_GROUP_ID_REQUIRED)
        copy_out(consumer->id, sizeof consumer->id, answer->member_id.bytes, answer->member_id.byte_count);
    size_t used = 0;
    consumer->members[0] = '\0';
    for (uint32_t i = 0; i < answer->member_count; i++)
        used += (size_t)snprintf(consumer->members + used, sizeof consumer->members - used, "%s%.*s", i ? "," : "",
                                 (int)answer->members[i].metadata.byte_count, (const char *)answer->members[i].metadata.bytes);
    uint64_t sum = sum_of(answer);
    if (consumer->then)
        consumer->then(consumer);
    assert_true(sum == sum_of(answer)); /* whatever was done meanwhile */
}

static void on_synced(struct weir_sync *sync, const struct weir_sync_answer *answer)
{
    struct consumer *consumer = WEIR_CONTAINER(sync, struct consumer, sync);
    consumer->synced_count++;
    consumer->synced = (int)answer->result;
    copy_out(consumer->assignment, sizeof consumer->assignment, answer->assignment.bytes, answer->assignment.byte_count);
    if (consumer->then)
        consumer->then(consumer);
}

/* The end of a test is the end of its connections. */
static inline void hang_up(struct consumer *consumer)
{
    if (consumer->join.done && consumer->joined == NO_ANSWER)
        weir_groups_forget_join(&consumer->join);
    if (consumer->sync.done && consumer->synced == NO_ANSWER)
        weir_groups_forget_sync(&consumer->sync);
}
#define CONSUMER __attribute__((cleanup(hang_up))) struct consumer

/* Speaks "range" with its name as metadata, like a consumer of v5: needs an id first, 10 s session, 60 s rebalance. */
static inline struct consumer consumer_of(const char *name)
{
    struct consumer consumer = {.joined = NO_ANSWER, .synced = NO_ANSWER};
    consumer.join.client_id = string_of(name);
    consumer.join.client_host = string_of("/10.0.0.1");
    consumer.join.protocol_type = string_of("consumer");
    consumer.join.group = string_of("group");
    consumer.protocols[0] = (struct weir_group_protocol){string_of("range"), blob_of(name)};
    consumer.join.protocol_count = 1;
    consumer.join.session_ns = 10 * WEIR_S_NS;
    consumer.join.rebalance_ns = 60 * WEIR_S_NS;
    consumer.join.id_required = true;
    return consumer;
}

static inline struct consumer static_consumer_of(const char *name, const char *instance)
{
    struct consumer consumer = consumer_of(name);
    consumer.join.instance = string_of(instance);
    return consumer;
}

/* One join request, with the id it has. */
static inline void join_once(struct consumer *consumer)
{
    consumer->groups = the_groups;
    consumer->joined = NO_ANSWER;
    consumer->join.member_id = string_of(consumer->id);
    consumer->join.protocols = consumer->protocols;
    consumer->join.done = on_joined;
    weir_groups_join(the_groups, now_ns, &consumer->join);
}

/* As a client does: again, when it is given an id. */
static inline void join(struct consumer *consumer)
{
    join_once(consumer);
    if (consumer->joined == WEIR_GROUP_ID_REQUIRED)
        join_once(consumer);
}

static inline void sync_with(struct consumer *consumer, const struct weir_group_assignment *assignments, uint32_t count)
{
    consumer->synced = NO_ANSWER;
    consumer->sync.group = consumer->join.group;
    consumer->sync.member_id = string_of(consumer->id);
    consumer->sync.instance = consumer->join.instance;
    consumer->sync.generation = consumer->generation;
    consumer->sync.assignments = assignments;
    consumer->sync.assignment_count = count;
    consumer->sync.done = on_synced;
    weir_groups_sync(the_groups, now_ns, &consumer->sync);
}

static inline void sync_follow(struct consumer *consumer)
{
    sync_with(consumer, NULL, 0);
}

static inline enum weir_group_result heartbeat(struct consumer *consumer)
{
    return weir_groups_heartbeat(the_groups, now_ns, consumer->join.group, consumer->generation, string_of(consumer->id),
                                 consumer->join.instance);
}

static inline enum weir_group_result commit(struct consumer *consumer)
{
    return weir_groups_may_commit(the_groups, now_ns, consumer->join.group, consumer->generation, string_of(consumer->id),
                                  consumer->join.instance);
}

static inline enum weir_group_result leave(struct consumer *consumer)
{
    return weir_groups_leave(the_groups, now_ns, consumer->join.group, string_of(consumer->id), consumer->join.instance,
                             (struct weir_string){0});
}

static inline struct weir_group_view view(void)
{
    struct weir_group_view view;
    weir_groups_view(the_groups, string_of("group"), &view);
    return view;
}

/* Time passes; every timer has its turn. */
static inline void pass(uint64_t ns)
{
    uint64_t end_ns = now_ns + ns;
    for (uint64_t next_ns; (next_ns = weir_groups_next_ns(the_groups)) <= end_ns;) {
        now_ns = next_ns > now_ns ? next_ns : now_ns;
        weir_groups_tick(the_groups, now_ns);
    }
    now_ns = end_ns;
    weir_groups_tick(the_groups, now_ns);
}

static inline struct weir_group_limits limits_of(uint64_t initial_delay_ns)
{
    return (struct weir_group_limits){
        .session_ns_min = 6 * WEIR_S_NS,
        .session_ns_max = 1800 * WEIR_S_NS,
        .initial_delay_ns = initial_delay_ns,
        .members_max = 5,
        .groups_max = 4,
        .metadata_bytes_max = 1000,
    };
}

static inline void open_groups(uint64_t initial_delay_ns)
{
    struct weir_group_limits limits = limits_of(initial_delay_ns);
    now_ns = 1000 * WEIR_S_NS;
    the_groups = weir_groups_new(&limits, 42);
    assert_non_null(the_groups);
}

static inline void close_groups(void)
{
    weir_groups_free(the_groups);
    the_groups = NULL;
}

static inline int open_at_once(void **state)
{
    (void)state;
    open_groups(0);
    return 0;
}

static inline int close_all(void **state)
{
    (void)state;
    close_groups();
    return 0;
}

/* `a` leads; each is assigned its own name, in any order of syncs. */
static inline void make_stable(struct consumer **all, uint32_t count)
{
    struct weir_group_assignment assignments[8];
    struct consumer *leader = NULL;
    for (uint32_t i = 0; i < count; i++)
        join(all[i]);
    for (uint32_t round = 0; round < 3; round++) /* those that were there join again when they hear of it */
        for (uint32_t i = 0; i < count; i++)
            if (all[i]->joined == WEIR_GROUP_OK && heartbeat(all[i]) == WEIR_GROUP_REBALANCING)
                join(all[i]);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(all[i]->joined, WEIR_GROUP_OK);
        assert_int_equal(all[i]->generation, all[0]->generation);
        assignments[i] = (struct weir_group_assignment){string_of(all[i]->id), all[i]->protocols[0].metadata};
        if (strcmp(all[i]->leader, all[i]->id) == 0)
            leader = all[i];
    }
    assert_non_null(leader);
    for (uint32_t i = 0; i < count; i++)
        if (all[i] != leader)
            sync_follow(all[i]);
    sync_with(leader, assignments, count);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(all[i]->synced, WEIR_GROUP_OK);
    assert_int_equal(view().state, WEIR_GROUP_STABLE);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_at_once, close_all)

#endif
