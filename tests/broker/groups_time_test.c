/*
 * Description: consumer groups - sessions and time limits, by a clock that is moved; limits; what people are shown.
 */
#include <errno.h>

#include "tests/broker/groups_fixture.h"

/* ---- Time ------------------------------------------------------------------------------------ */

static void a_silent_member_is_expired(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    make_stable((struct consumer *[]){&a, &b}, 2);
    for (int i = 0; i < 3; i++) {
        pass(9 * WEIR_S_NS);
        assert_int_equal(heartbeat(&a), i == 0 ? WEIR_GROUP_OK : WEIR_GROUP_REBALANCING);
    }
    assert_int_equal(view().member_count, 1);
    assert_int_equal(strncmp(view().last_reason.bytes, "session expired of b-", 21), 0);
    join(&a);
    assert_string_equal(a.members, "a");
    assert_int_equal(heartbeat(&b), WEIR_GROUP_UNKNOWN_MEMBER);
}

static void a_session_is_as_long_as_it_was_asked_for(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a");
    make_stable((struct consumer *[]){&a}, 1);
    uint64_t begun_ns = now_ns;
    pass(10 * WEIR_S_NS - 1);
    assert_int_equal(view().member_count, 1);
    pass(WEIR_MS_NS); /* the wheel's tick */
    assert_int_equal(view().member_count, 0);
    assert_int_equal(view().state, WEIR_GROUP_EMPTY);
    assert_in_range(view().empty_since_ns, begun_ns + 10 * WEIR_S_NS, begun_ns + 10 * WEIR_S_NS + WEIR_MS_NS);
}

static void commits_and_syncs_keep_a_session_alive(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a");
    make_stable((struct consumer *[]){&a}, 1);
    for (int i = 0; i < 5; i++) {
        pass(9 * WEIR_S_NS);
        if (i % 2)
            sync_follow(&a);
        else
            assert_int_equal(commit(&a), WEIR_GROUP_OK);
    }
    assert_int_equal(heartbeat(&a), WEIR_GROUP_OK);
}

static void who_waits_for_a_join_does_not_expire(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    make_stable((struct consumer *[]){&a}, 1);
    join(&b);
    for (int i = 0; i < 6; i++) {
        pass(9 * WEIR_S_NS);
        assert_int_equal(heartbeat(&a), WEIR_GROUP_REBALANCING);
    }
    assert_int_equal(b.joined, NO_ANSWER);
    pass(6 * WEIR_S_NS + WEIR_MS_NS); /* a minute: a has heard of it and did not come */
    assert_int_equal(b.joined, WEIR_GROUP_OK);
    assert_string_equal(b.members, "b");
    assert_int_equal(heartbeat(&a), WEIR_GROUP_UNKNOWN_MEMBER);
}

static void the_most_patient_member_decides_how_long_to_wait(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    a.join.rebalance_ns = 20 * WEIR_S_NS;
    b.join.rebalance_ns = 12 * WEIR_S_NS;
    make_stable((struct consumer *[]){&a}, 1);
    join(&b);
    pass(9 * WEIR_S_NS);
    heartbeat(&a);
    pass(9 * WEIR_S_NS);
    heartbeat(&a);
    assert_int_equal(b.joined, NO_ANSWER);
    pass(2 * WEIR_S_NS + WEIR_MS_NS);
    assert_int_equal(b.joined, WEIR_GROUP_OK);
}

static void the_first_rebalance_waits_for_more_members(void **state)
{
    (void)state;
    close_groups();
    open_groups(3 * WEIR_S_NS);
    CONSUMER a = consumer_of("a"), b = consumer_of("b"), c = consumer_of("c");
    join(&a);
    pass(2 * WEIR_S_NS);
    join(&b);
    pass(2 * WEIR_S_NS); /* once more, since b came */
    assert_int_equal(a.joined, NO_ANSWER);
    pass(2 * WEIR_S_NS + WEIR_MS_NS);
    assert_int_equal(a.joined, WEIR_GROUP_OK);
    assert_int_equal(a.generation, 1);
    assert_string_equal(a.members, "a,b");
    join(&c); /* not the first any more: at once */
    join(&a);
    join(&b);
    assert_int_equal(c.joined, WEIR_GROUP_OK);
}

static void the_first_rebalance_does_not_wait_for_ever(void **state)
{
    (void)state;
    close_groups();
    open_groups(3 * WEIR_S_NS);
    struct consumer more[4];
    CONSUMER a = consumer_of("a");
    a.join.rebalance_ns = 7 * WEIR_S_NS; /* 3 + 3 + 1 */
    join(&a);
    for (int i = 0; i < 4; i++) {
        pass(2 * WEIR_S_NS);
        more[i] = consumer_of("m");
        more[i].join.rebalance_ns = 7 * WEIR_S_NS;
        join(&more[i]);
    }
    assert_int_equal(a.joined, WEIR_GROUP_OK);
    assert_int_equal(a.member_count, 4);
    for (int i = 0; i < 4; i++)
        hang_up(&more[i]);
}

static void who_does_not_sync_in_time_is_removed(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    join(&a);
    join(&b);
    join(&a);
    sync_with(&a, NULL, 0);
    assert_int_equal(view().state, WEIR_GROUP_STABLE);
    for (int i = 0; i < 7; i++) {
        pass(9 * WEIR_S_NS);
        heartbeat(&a);
        heartbeat(&b); /* alive, but never asks */
    }
    assert_int_equal(heartbeat(&b), WEIR_GROUP_UNKNOWN_MEMBER);
    assert_int_equal(heartbeat(&a), WEIR_GROUP_REBALANCING);
    assert_int_equal(strncmp(view().last_reason.bytes, "no sync in time from b-", 23), 0);
}

static void each_generation_has_to_be_asked_for(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    make_stable((struct consumer *[]){&a, &b}, 2);
    join(&a);
    join(&b);
    sync_with(&a, NULL, 0); /* b had asked for the one before */
    for (int i = 0; i < 7; i++) {
        pass(9 * WEIR_S_NS);
        heartbeat(&a);
        heartbeat(&b);
    }
    assert_int_equal(heartbeat(&b), WEIR_GROUP_UNKNOWN_MEMBER);
    assert_int_equal(heartbeat(&a), WEIR_GROUP_REBALANCING);
}

static void a_leader_that_never_syncs_is_removed(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    join(&a);
    join(&b);
    join(&a);
    sync_follow(&b);
    for (int i = 0; i < 7; i++) {
        pass(9 * WEIR_S_NS);
        heartbeat(&a);
    }
    assert_int_equal(b.synced, WEIR_GROUP_REBALANCING);
    join(&b);
    assert_int_equal(b.joined, WEIR_GROUP_OK);
    assert_string_equal(b.leader, b.id);
}

static void everyone_that_has_synced_is_left_alone(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    make_stable((struct consumer *[]){&a, &b}, 2);
    int32_t generation = a.generation;
    for (int i = 0; i < 20; i++) {
        pass(9 * WEIR_S_NS);
        assert_int_equal(heartbeat(&a), WEIR_GROUP_OK);
        assert_int_equal(heartbeat(&b), WEIR_GROUP_OK);
    }
    assert_int_equal(view().generation, generation);
    assert_int_equal(weir_groups_next_ns(the_groups) == UINT64_MAX, false);
}

static void an_id_that_was_given_out_is_waited_for_one_session(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    make_stable((struct consumer *[]){&a}, 1);
    join_once(&b);
    assert_int_equal(b.joined, WEIR_GROUP_ID_REQUIRED);
    assert_int_equal(view().state, WEIR_GROUP_STABLE); /* not a member yet */
    join(&a);                                          /* begins a rebalance */
    assert_int_equal(a.joined, NO_ANSWER);
    pass(10 * WEIR_S_NS + WEIR_MS_NS);
    assert_int_equal(a.joined, WEIR_GROUP_OK);
    join_once(&b);
    assert_int_equal(b.joined, WEIR_GROUP_UNKNOWN_MEMBER);
}

static void an_id_that_was_given_out_may_leave(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    make_stable((struct consumer *[]){&a}, 1);
    join_once(&b);
    join(&a);
    assert_int_equal(a.joined, NO_ANSWER);
    assert_int_equal(leave(&b), WEIR_GROUP_OK);
    assert_int_equal(a.joined, WEIR_GROUP_OK);
}

/* ---- Limits ---------------------------------------------------------------------------------- */

static void a_full_group_takes_no_more(void **state)
{
    (void)state;
    struct consumer all[5];
    CONSUMER more = consumer_of("more"), again = static_consumer_of("s", "host-1");
    struct consumer *list[5];
    for (int i = 0; i < 5; i++) {
        all[i] = i == 0 ? static_consumer_of("s", "host-1") : consumer_of("m");
        list[i] = &all[i];
    }
    make_stable(list, 5);
    join(&more);
    assert_int_equal(more.joined, WEIR_GROUP_FULL);
    join_once(&again); /* in the place of one that is there */
    assert_int_equal(again.joined, WEIR_GROUP_OK);
    leave(&all[4]);
    join(&more);
    assert_int_equal(more.joined, NO_ANSWER);
    assert_int_equal(view().member_count, 5);
}

static void ids_that_do_not_come_back_are_limited_too(void **state)
{
    (void)state;
    struct consumer all[6];
    for (int i = 0; i < 6; i++) {
        all[i] = consumer_of("x");
        join_once(&all[i]);
        assert_int_equal(all[i].joined, i < 5 ? WEIR_GROUP_ID_REQUIRED : WEIR_GROUP_FULL);
    }
    pass(11 * WEIR_S_NS);
    join_once(&all[5]);
    assert_int_equal(all[5].joined, WEIR_GROUP_ID_REQUIRED);
}

static void ids_that_come_back_to_a_full_group_are_refused(void **state)
{
    (void)state;
    struct consumer all[6];
    for (int i = 0; i < 5; i++) {
        all[i] = consumer_of("m");
        join_once(&all[i]); /* an id each */
    }
    for (int i = 0; i < 4; i++)
        join_once(&all[i]);
    all[5] = static_consumer_of("s", "host-1");
    join_once(&all[5]); /* needs no id, and is the fifth */
    join_once(&all[4]);
    assert_int_equal(all[4].joined, WEIR_GROUP_FULL);
    for (int i = 0; i < 6; i++)
        assert_int_equal(all[i].joined, i == 4 ? WEIR_GROUP_FULL : WEIR_GROUP_OK); /* nobody waits for it any more */
    assert_int_equal(view().member_count, 5);
}

static void too_much_metadata_is_refused(void **state)
{
    (void)state;
    static char large[1001];
    CONSUMER a = consumer_of("a");
    memset(large, 'x', 1000);
    a.protocols[0].metadata = blob_of(large);
    join(&a);
    assert_int_equal(a.joined, WEIR_GROUP_INCONSISTENT);
    large[900] = '\0';
    a.protocols[0].metadata = blob_of(large);
    a.join.client_host = string_of("h");
    join_once(&a);
    assert_int_equal(a.joined, WEIR_GROUP_ID_REQUIRED);
}

static void a_group_nobody_uses_makes_room_for_another(void **state)
{
    (void)state;
    static const char *const names[] = {"g0", "g1", "g2", "g3", "g4", "g5"};
    struct consumer all[6];
    struct weir_group_view found;
    for (int i = 0; i < 4; i++) {
        all[i] = consumer_of("x");
        all[i].join.group = string_of(names[i]);
        join(&all[i]);
        pass(WEIR_MS_NS);
    }
    all[4] = all[5] = consumer_of("x");
    all[4].join.group = string_of(names[4]);
    all[5].join.group = string_of(names[5]);
    join(&all[4]);
    assert_int_equal(all[4].joined, WEIR_GROUP_FULL);
    leave(&all[0]);
    leave(&all[1]);
    assert_int_equal(weir_groups_touch(the_groups, now_ns, string_of("g0"), string_of("consumer")), 0); /* commits keep it */
    join(&all[4]);
    assert_int_equal(all[4].joined, WEIR_GROUP_OK);
    assert_true(weir_groups_view(the_groups, string_of("g0"), &found));
    assert_false(weir_groups_view(the_groups, string_of("g1"), &found));
    join(&all[5]);
    assert_int_equal(all[5].joined, WEIR_GROUP_FULL);
    assert_int_equal(weir_groups_touch(the_groups, now_ns, string_of("g5"), string_of("consumer")), -ENOSPC);
}

/* ---- For people ------------------------------------------------------------------------------ */

static void count_view(void *context, const struct weir_group_view *found)
{
    uint32_t *counts = context;
    counts[found->state]++;
}

static void groups_and_members_can_be_looked_at(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = static_consumer_of("b", "host-1");
    struct weir_group_view found;
    struct weir_group_member_view member;
    assert_false(weir_groups_view(the_groups, string_of("group"), &found));
    assert_int_equal(found.state, WEIR_GROUP_DEAD);
    assert_false(weir_groups_member(the_groups, string_of("group"), 0, &member));
    make_stable((struct consumer *[]){&a, &b}, 2);
    assert_int_equal(weir_groups_touch(the_groups, now_ns, string_of("idle"), string_of("consumer")), 0);
    assert_true(weir_groups_view(the_groups, string_of("group"), &found));
    assert_int_equal(found.member_count, 2);
    assert_memory_equal(found.protocol.bytes, "range", 5);
    assert_memory_equal(found.leader.bytes, a.id, found.leader.byte_count);
    assert_int_equal(found.rebalances, 2);
    assert_true(weir_groups_member(the_groups, string_of("group"), 1, &member));
    assert_int_equal(member.instance.byte_count, 6);
    assert_memory_equal(member.client_host.bytes, "/10.0.0.1", 9);
    assert_memory_equal(member.metadata.bytes, "b", 1);
    assert_memory_equal(member.assignment.bytes, "b", 1);
    assert_false(weir_groups_member(the_groups, string_of("group"), 2, &member));
    uint32_t counts[5] = {0};
    weir_groups_each(the_groups, count_view, counts);
    assert_int_equal(counts[WEIR_GROUP_STABLE], 1);
    assert_int_equal(counts[WEIR_GROUP_EMPTY], 1);
}

static void subscriptions_are_read_from_consumer_metadata(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        uint32_t byte_count;
        bool has_orders;
    } rows[] = {
        {"\0\0\0\0\0\1\0\6orders\xff\xff\xff\xff", 18, true},
        {"\0\3\0\0\0\2\0\1x\0\6orders", 17, true}, /* later versions add behind */
        {"\0\0\0\0\0\1\0\5order\xff\xff\xff\xff", 17, false},
        {"\0\0\0\0\0\0", 6, false},
        {"\0\0\0\0\0\1\0\6order", 13, true}, /* what cannot be read may */
        {"\0\0\0\0\0\2\0\1x", 9, true},
        {"\0\0\xff\xff\xff\xff", 6, true},
        {"\0", 1, true},
        {"", 0, true},
    };
    assert_false(weir_groups_subscribed(the_groups, string_of("group"), string_of("orders")));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct consumer a = consumer_of("a");
        a.protocols[0].metadata = (struct weir_blob){rows[i].bytes, rows[i].byte_count};
        join(&a);
        assert_int_equal(a.joined, WEIR_GROUP_OK);
        assert_int_equal(weir_groups_subscribed(the_groups, string_of("group"), string_of("orders")), rows[i].has_orders);
        leave(&a);
        assert_false(weir_groups_subscribed(the_groups, string_of("group"), string_of("orders")));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_silent_member_is_expired),
        CASE(a_session_is_as_long_as_it_was_asked_for),
        CASE(commits_and_syncs_keep_a_session_alive),
        CASE(who_waits_for_a_join_does_not_expire),
        CASE(the_most_patient_member_decides_how_long_to_wait),
        CASE(the_first_rebalance_waits_for_more_members),
        CASE(the_first_rebalance_does_not_wait_for_ever),
        CASE(who_does_not_sync_in_time_is_removed),
        CASE(each_generation_has_to_be_asked_for),
        CASE(a_leader_that_never_syncs_is_removed),
        CASE(everyone_that_has_synced_is_left_alone),
        CASE(an_id_that_was_given_out_is_waited_for_one_session),
        CASE(an_id_that_was_given_out_may_leave),
        CASE(a_full_group_takes_no_more),
        CASE(ids_that_do_not_come_back_are_limited_too),
        CASE(ids_that_come_back_to_a_full_group_are_refused),
        CASE(too_much_metadata_is_refused),
        CASE(a_group_nobody_uses_makes_room_for_another),
        CASE(groups_and_members_can_be_looked_at),
        CASE(subscriptions_are_read_from_consumer_metadata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
