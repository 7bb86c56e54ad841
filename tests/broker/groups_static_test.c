/*
 * Description: consumer groups - static members; requests whose connection goes, and answers within which the next request comes.
 */
#include "tests/broker/groups_fixture.h"

/* ---- Static members -------------------------------------------------------------------------- */

static void a_static_member_restarts_without_a_rebalance(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = static_consumer_of("b", "host-1"), again = static_consumer_of("b", "host-1");
    make_stable((struct consumer *[]){&a, &b}, 2);
    int32_t generation = a.generation;
    assert_int_equal(strncmp(b.id, "host-1-", 7), 0);
    join_once(&again);
    assert_int_equal(again.joined, WEIR_GROUP_OK);
    assert_int_equal(again.generation, generation);
    assert_string_not_equal(again.id, b.id);
    assert_string_equal(again.leader, a.id);
    assert_int_equal(view().state, WEIR_GROUP_STABLE);
    sync_follow(&again);
    assert_string_equal(again.assignment, "b");
    assert_int_equal(heartbeat(&a), WEIR_GROUP_OK);
    assert_int_equal(heartbeat(&b), WEIR_GROUP_FENCED);
    assert_int_equal(commit(&b), WEIR_GROUP_FENCED);
    assert_int_equal(leave(&b), WEIR_GROUP_FENCED);
    sync_follow(&b);
    assert_int_equal(b.synced, WEIR_GROUP_FENCED);
    join_once(&b);
    assert_int_equal(b.joined, WEIR_GROUP_FENCED);
    assert_int_equal(view().member_count, 2);
}

static void a_static_leader_comes_back_and_is_told_to_skip(void **state)
{
    (void)state;
    CONSUMER a = static_consumer_of("a", "host-1"), b = consumer_of("b"), again = static_consumer_of("a", "host-1");
    again.join.may_skip = true;
    make_stable((struct consumer *[]){&a, &b}, 2);
    join_once(&again);
    assert_int_equal(again.joined, WEIR_GROUP_OK);
    assert_true(again.skip);
    assert_string_equal(again.leader, again.id);
    assert_string_equal(again.members, "a,b");
    sync_follow(&again);
    assert_string_equal(again.assignment, "a");
    assert_int_equal(view().state, WEIR_GROUP_STABLE);
}

static void an_older_static_leader_comes_back_as_a_follower(void **state)
{
    (void)state;
    CONSUMER a = static_consumer_of("a", "host-1"), b = consumer_of("b"), again = static_consumer_of("a", "host-1");
    make_stable((struct consumer *[]){&a, &b}, 2);
    join_once(&again);
    assert_false(again.skip);
    assert_string_equal(again.leader, a.id); /* the id before */
    assert_int_equal(again.member_count, 0);
    join_once(&again); /* with its id it is the leader after all */
    assert_int_equal(again.joined, NO_ANSWER);
}

static void a_static_member_with_other_topics_begins_a_rebalance(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = static_consumer_of("b", "host-1"), again = static_consumer_of("b", "host-1");
    make_stable((struct consumer *[]){&a, &b}, 2);
    again.protocols[0].metadata = blob_of("c");
    join_once(&again);
    assert_int_equal(again.joined, NO_ANSWER);
    join(&a);
    assert_string_equal(a.members, "a,c");
}

/* Version 1, topic "t"; what it owned differs, as after any restart. */
static void what_a_static_consumer_owned_does_not_count(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = static_consumer_of("b", "host-1"), again = static_consumer_of("b", "host-1");
    b.protocols[0].metadata = (struct weir_blob){"\0\1\0\0\0\1\0\1t\xff\xff\xff\xff\0\0\0\1", 17};
    again.protocols[0].metadata = (struct weir_blob){"\0\1\0\0\0\1\0\1t\xff\xff\xff\xff\0\0\0\0", 17};
    make_stable((struct consumer *[]){&a, &b}, 2);
    join_once(&again);
    assert_int_equal(again.joined, WEIR_GROUP_OK);
    assert_int_equal(view().state, WEIR_GROUP_STABLE);
}

static void a_static_member_that_would_change_the_protocol_begins_a_rebalance(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = static_consumer_of("b", "host-1"), again = static_consumer_of("b", "host-1");
    struct consumer *all[] = {&a, &b, &again};
    for (int i = 0; i < 3; i++) {
        all[i]->protocols[0] = (struct weir_group_protocol){string_of(i == 1 ? "range" : "sticky"), blob_of("m")};
        all[i]->protocols[1] = (struct weir_group_protocol){string_of(i == 1 ? "sticky" : "range"), blob_of("m")};
        all[i]->join.protocol_count = 2;
    }
    a.protocols[0].name = string_of("range");
    a.protocols[1].name = string_of("sticky");
    b.join.protocol_count = again.join.protocol_count = 2;
    make_stable(all, 2);
    assert_string_equal(a.protocol, "range");
    again.join.protocol_count = 1; /* knows only sticky now */
    join_once(&again);
    assert_int_equal(again.joined, NO_ANSWER);
    join(&a);
    assert_string_equal(a.protocol, "sticky");
}

/* KAFKA-9801: the leader assigns by the ids it was told; with one of them gone its assignment must not be handed out. */
static void a_static_member_that_comes_back_before_the_sync_begins_a_rebalance(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = static_consumer_of("b", "host-1"), again = static_consumer_of("b", "host-1");
    join(&a);
    join(&b);
    join(&a);
    sync_follow(&b);
    join_once(&again);
    assert_int_equal(b.synced, WEIR_GROUP_FENCED);
    assert_int_equal(again.joined, NO_ANSWER);
    assert_int_equal(view().state, WEIR_GROUP_PREPARING);
    sync_with(&a, NULL, 0);
    assert_int_equal(a.synced, WEIR_GROUP_REBALANCING);
    join(&a);
    assert_int_equal(again.joined, WEIR_GROUP_OK);
    assert_string_equal(a.members, "a,b");
}

static void a_waiting_join_of_a_fenced_member_is_answered(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = static_consumer_of("b", "host-1"), again = static_consumer_of("b", "host-1");
    make_stable((struct consumer *[]){&a}, 1);
    join(&b);
    assert_int_equal(b.joined, NO_ANSWER);
    join_once(&again);
    assert_int_equal(b.joined, WEIR_GROUP_FENCED);
    assert_int_equal(again.joined, NO_ANSWER);
    join(&a);
    assert_int_equal(again.joined, WEIR_GROUP_OK);
    assert_string_equal(a.members, "a,b");
}

static void an_absent_static_member_keeps_its_place_through_a_rebalance(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = static_consumer_of("b", "host-1"), c = consumer_of("c");
    b.join.session_ns = 300 * WEIR_S_NS;
    make_stable((struct consumer *[]){&a, &b}, 2);
    join(&c);
    join(&a);
    assert_int_equal(a.joined, NO_ANSWER); /* b might come */
    pass(60 * WEIR_S_NS + WEIR_MS_NS);
    assert_int_equal(a.joined, WEIR_GROUP_OK);
    assert_string_equal(a.members, "a,b,c");
}

static void who_leads_goes_on_leading_when_an_older_member_is_back(void **state)
{
    (void)state;
    CONSUMER a = static_consumer_of("a", "host-1"), b = consumer_of("b"), c = consumer_of("c");
    a.join.session_ns = 300 * WEIR_S_NS;
    make_stable((struct consumer *[]){&a, &b}, 2);
    assert_string_equal(b.leader, a.id);
    join(&c);
    join(&b);
    pass(60 * WEIR_S_NS + WEIR_MS_NS); /* without a */
    assert_string_equal(b.leader, b.id);
    assert_string_equal(b.members, "a,b,c");
    join(&a);
    assert_string_equal(a.leader, b.id);
    a.protocols[0].metadata = blob_of("a2");
    join(&a);
    join(&c);
    join(&b);
    assert_string_equal(a.leader, b.id);
    assert_string_equal(b.members, "a2,b,c");
}

static void static_members_that_are_all_away_keep_the_group_waiting(void **state)
{
    (void)state;
    CONSUMER a = static_consumer_of("a", "host-1"), b = static_consumer_of("b", "host-2");
    a.join.session_ns = b.join.session_ns = 100 * WEIR_S_NS;
    make_stable((struct consumer *[]){&a, &b}, 2);
    assert_int_equal(leave(&a), WEIR_GROUP_OK);
    pass(70 * WEIR_S_NS);
    assert_int_equal(view().state, WEIR_GROUP_PREPARING);
    assert_int_equal(view().member_count, 1);
    pass(31 * WEIR_S_NS); /* its session */
    assert_int_equal(view().state, WEIR_GROUP_EMPTY);
}

static void a_person_removes_a_static_member_by_its_instance(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = static_consumer_of("b", "host-1");
    make_stable((struct consumer *[]){&a, &b}, 2);
    struct weir_string none = {0};
    assert_int_equal(weir_groups_leave(the_groups, now_ns, string_of("group"), none, string_of("host-2"), none),
                     WEIR_GROUP_UNKNOWN_MEMBER);
    assert_int_equal(weir_groups_leave(the_groups, now_ns, string_of("group"), none, none, none), WEIR_GROUP_UNKNOWN_MEMBER);
    assert_int_equal(
        weir_groups_leave(the_groups, now_ns, string_of("group"), none, string_of("host-1"), string_of("moved")), WEIR_GROUP_OK);
    assert_int_equal(view().member_count, 1);
    assert_int_equal(view().last_reason.byte_count, strlen("member left: moved"));
    assert_memory_equal(view().last_reason.bytes, "member left: moved", strlen("member left: moved"));
}

/* ---- Requests that go, callbacks that come back ---------------------------------------------- */

static void a_join_whose_connection_went_is_not_answered(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    make_stable((struct consumer *[]){&a}, 1);
    join(&b);
    weir_groups_forget_join(&b.join);
    join(&a);
    assert_int_equal(a.joined, NO_ANSWER); /* b may join again */
    pass(21 * WEIR_S_NS);                  /* what was left of one session, and another */
    assert_int_equal(a.joined, WEIR_GROUP_OK);
    assert_string_equal(a.members, "a");
    assert_int_equal(b.joined_count, 1); /* the id; nothing since */
}

static void a_member_that_lost_its_connection_may_join_again(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    make_stable((struct consumer *[]){&a}, 1);
    join(&b);
    pass(9 * WEIR_S_NS);
    heartbeat(&a);
    weir_groups_forget_join(&b.join);
    pass(9 * WEIR_S_NS);
    heartbeat(&a);
    join_once(&b);
    join(&a);
    assert_int_equal(b.joined, WEIR_GROUP_OK);
    assert_string_equal(a.members, "a,b");
}

static void a_sync_whose_connection_went_is_not_answered(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    join(&a);
    join(&b);
    join(&a);
    sync_follow(&b);
    weir_groups_forget_sync(&b.sync);
    sync_with(&a, NULL, 0);
    assert_int_equal(a.synced, WEIR_GROUP_OK);
    assert_int_equal(b.synced_count, 0);
    sync_follow(&b);
    assert_int_equal(b.synced, WEIR_GROUP_OK);
}

static void a_second_join_of_a_member_sends_the_first_back(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    make_stable((struct consumer *[]){&a}, 1);
    join(&b);
    CONSUMER twin = b;
    join_once(&twin);
    assert_int_equal(b.joined, WEIR_GROUP_REBALANCING);
    join(&a);
    assert_int_equal(twin.joined, WEIR_GROUP_OK);
    assert_int_equal(b.joined_count, 2); /* the id, and this */
}

static struct consumer *others[1];

static void leave_within(struct consumer *consumer)
{
    consumer->then = NULL;
    assert_int_equal(leave(consumer), WEIR_GROUP_OK);
    assert_int_equal(weir_groups_delete(the_groups, string_of("group")), WEIR_GROUP_NOT_EMPTY);
}

/* The leader is answered first and leaves within its answer; the others still get what was decided for them. */
static void a_member_may_leave_within_its_answer(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b"), c = consumer_of("c");
    join(&a);
    join(&b);
    join(&c);
    a.then = leave_within;
    char leader[160];
    strcpy(leader, a.id);
    join(&a);
    assert_int_equal(b.joined, WEIR_GROUP_OK);
    assert_int_equal(c.joined, WEIR_GROUP_OK);
    assert_string_equal(b.leader, leader);
    assert_string_equal(a.members, "a,b,c");
    assert_int_equal(heartbeat(&b), WEIR_GROUP_REBALANCING);
    join(&b);
    join(&c);
    assert_int_equal(c.joined, WEIR_GROUP_OK);
    assert_string_equal(b.members, "b,c");
}

static void join_within(struct consumer *consumer)
{
    consumer->then = NULL;
    join(others[0]);
    sync_follow(consumer);
}

static void anyone_may_join_and_sync_within_an_answer(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    others[0] = &b;
    b.join.id_required = false;
    join_once(&a);
    a.then = join_within;
    join_once(&a);
    assert_int_equal(a.joined, WEIR_GROUP_OK);
    assert_int_equal(a.synced, WEIR_GROUP_REBALANCING);
    assert_int_equal(view().member_count, 2);
    assert_int_equal(view().state, WEIR_GROUP_PREPARING);
    join(&a);
    assert_int_equal(b.joined, WEIR_GROUP_OK);
}

static void empty_within(struct consumer *consumer)
{
    consumer->then = NULL;
    assert_int_equal(leave(consumer), WEIR_GROUP_OK);
    assert_int_equal(weir_groups_delete(the_groups, string_of("group")), WEIR_GROUP_OK);
}

static void a_group_may_be_deleted_within_its_answer(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a");
    join_once(&a);
    a.then = empty_within;
    join_once(&a);
    assert_int_equal(a.joined, WEIR_GROUP_OK);
    assert_int_equal(view().state, WEIR_GROUP_DEAD);
}

static void come_again(struct consumer *consumer)
{
    consumer->then = NULL;
    weir_groups_join(consumer->groups, now_ns, &consumer->join);
}

static void closing_answers_everyone_who_waits(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b"), c = consumer_of("c"), d = consumer_of("d");
    c.join.group = d.join.group = string_of("another");
    join(&a);
    join(&b);
    join(&a);
    sync_follow(&b);
    join(&c);
    join(&d);
    assert_int_equal(d.joined, NO_ANSWER);
    d.then = come_again; /* in vain */
    close_groups();
    assert_int_equal(b.synced, WEIR_GROUP_UNKNOWN_MEMBER);
    assert_int_equal(d.joined, WEIR_GROUP_UNKNOWN_MEMBER);
    assert_int_equal(d.joined_count, 3);
    open_groups(0);
}

static void deleting_forgets_a_group_that_is_empty(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a");
    assert_int_equal(weir_groups_delete(the_groups, string_of("group")), WEIR_GROUP_NOT_FOUND);
    make_stable((struct consumer *[]){&a}, 1);
    assert_int_equal(weir_groups_delete(the_groups, string_of("group")), WEIR_GROUP_NOT_EMPTY);
    leave(&a);
    assert_int_equal(weir_groups_delete(the_groups, string_of("group")), WEIR_GROUP_OK);
    assert_int_equal(view().state, WEIR_GROUP_DEAD);
    assert_int_equal(weir_groups_delete(the_groups, string_of("group")), WEIR_GROUP_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_static_member_restarts_without_a_rebalance),
        CASE(a_static_leader_comes_back_and_is_told_to_skip),
        CASE(an_older_static_leader_comes_back_as_a_follower),
        CASE(a_static_member_with_other_topics_begins_a_rebalance),
        CASE(what_a_static_consumer_owned_does_not_count),
        CASE(a_static_member_that_would_change_the_protocol_begins_a_rebalance),
        CASE(a_static_member_that_comes_back_before_the_sync_begins_a_rebalance),
        CASE(a_waiting_join_of_a_fenced_member_is_answered),
        CASE(an_absent_static_member_keeps_its_place_through_a_rebalance),
        CASE(who_leads_goes_on_leading_when_an_older_member_is_back),
        CASE(static_members_that_are_all_away_keep_the_group_waiting),
        CASE(a_person_removes_a_static_member_by_its_instance),
        CASE(a_join_whose_connection_went_is_not_answered),
        CASE(a_member_that_lost_its_connection_may_join_again),
        CASE(a_sync_whose_connection_went_is_not_answered),
        CASE(a_second_join_of_a_member_sends_the_first_back),
        CASE(a_member_may_leave_within_its_answer),
        CASE(anyone_may_join_and_sync_within_an_answer),
        CASE(a_group_may_be_deleted_within_its_answer),
        CASE(closing_answers_everyone_who_waits),
        CASE(deleting_forgets_a_group_that_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
