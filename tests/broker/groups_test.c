/*
 * Description: consumer groups - whole conversations, which protocol is chosen, and what is refused in which order.
 */
#include "tests/broker/groups_fixture.h"

/* ---- Conversations --------------------------------------------------------------------------- */

static void one_member_joins_and_gets_all(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a");
    join_once(&a);
    assert_int_equal(a.joined, WEIR_GROUP_ID_REQUIRED);
    assert_int_equal(strncmp(a.id, "a-", 2), 0);
    assert_int_equal(strlen(a.id), 2 + 36);
    assert_int_equal(view().state, WEIR_GROUP_EMPTY);
    join_once(&a);
    assert_int_equal(a.joined, WEIR_GROUP_OK);
    assert_int_equal(a.generation, 1);
    assert_string_equal(a.leader, a.id);
    assert_string_equal(a.protocol, "range");
    assert_string_equal(a.protocol_type, "consumer");
    assert_string_equal(a.members, "a");
    assert_int_equal(view().state, WEIR_GROUP_COMPLETING);
    struct weir_group_assignment all = {string_of(a.id), blob_of("everything")};
    sync_with(&a, &all, 1);
    assert_int_equal(a.synced, WEIR_GROUP_OK);
    assert_string_equal(a.assignment, "everything");
    assert_int_equal(view().state, WEIR_GROUP_STABLE);
    assert_int_equal(heartbeat(&a), WEIR_GROUP_OK);
    assert_int_equal(commit(&a), WEIR_GROUP_OK);
}

static void two_members_share_and_only_the_leader_sees_both(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    join(&a);
    join(&b);
    assert_int_equal(b.joined, NO_ANSWER); /* waits for a */
    assert_int_equal(heartbeat(&a), WEIR_GROUP_REBALANCING);
    assert_int_equal(commit(&a), WEIR_GROUP_OK); /* before it gives up what it had */
    join(&a);
    assert_int_equal(a.joined, WEIR_GROUP_OK);
    assert_int_equal(b.joined, WEIR_GROUP_OK);
    assert_int_equal(a.generation, 2);
    assert_int_equal(b.generation, 2);
    assert_string_equal(b.leader, a.id);
    assert_string_equal(a.members, "a,b");
    assert_string_equal(b.members, "");
    sync_follow(&b);
    assert_int_equal(b.synced, NO_ANSWER);
    assert_int_equal(heartbeat(&b), WEIR_GROUP_OK);
    assert_int_equal(commit(&b), WEIR_GROUP_REBALANCING);
    struct weir_group_assignment shares[] = {{string_of(a.id), blob_of("0")}, {string_of(b.id), blob_of("1")}};
    sync_with(&a, shares, 2);
    assert_string_equal(a.assignment, "0");
    assert_string_equal(b.assignment, "1");
}

static void a_third_member_makes_the_others_join_again(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b"), c = consumer_of("c");
    make_stable((struct consumer *[]){&a, &b}, 2);
    join(&c);
    assert_int_equal(view().state, WEIR_GROUP_PREPARING);
    assert_int_equal(heartbeat(&a), WEIR_GROUP_REBALANCING);
    join(&a);
    assert_int_equal(a.joined, NO_ANSWER);
    join(&b);
    assert_int_equal(a.joined, WEIR_GROUP_OK);
    assert_int_equal(c.joined, WEIR_GROUP_OK);
    assert_string_equal(a.members, "a,b,c");
    assert_int_equal(c.generation, a.generation);
}

static void a_member_that_leaves_makes_the_rest_join_again(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    make_stable((struct consumer *[]){&a, &b}, 2);
    assert_int_equal(leave(&a), WEIR_GROUP_OK);
    assert_int_equal(heartbeat(&b), WEIR_GROUP_REBALANCING);
    join(&b);
    assert_int_equal(b.joined, WEIR_GROUP_OK);
    assert_string_equal(b.leader, b.id);
    assert_string_equal(b.members, "b");
    assert_int_equal(leave(&a), WEIR_GROUP_UNKNOWN_MEMBER);
}

static void the_last_one_that_leaves_empties_the_group(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a");
    make_stable((struct consumer *[]){&a}, 1);
    int32_t generation = a.generation;
    assert_int_equal(leave(&a), WEIR_GROUP_OK);
    assert_int_equal(view().state, WEIR_GROUP_EMPTY);
    assert_int_equal(view().generation, generation + 1);
    assert_int_equal(view().empty_since_ns, now_ns);
    assert_int_equal(heartbeat(&a), WEIR_GROUP_UNKNOWN_MEMBER);
    join(&a);
    assert_int_equal(a.joined, WEIR_GROUP_UNKNOWN_MEMBER);
    a.id[0] = '\0';
    join(&a);
    assert_int_equal(a.generation, generation + 2);
}

static void a_leader_that_joins_again_begins_a_rebalance(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    make_stable((struct consumer *[]){&a, &b}, 2);
    join(&a);
    assert_int_equal(a.joined, NO_ANSWER);
    assert_int_equal(view().state, WEIR_GROUP_PREPARING);
    assert_int_equal(strncmp(view().last_reason.bytes, "leader joined again:", 20), 0);
}

static void a_follower_that_joins_again_unchanged_is_told_what_stands(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    make_stable((struct consumer *[]){&a, &b}, 2);
    join(&b);
    assert_int_equal(b.joined, WEIR_GROUP_OK);
    assert_int_equal(b.generation, a.generation);
    assert_string_equal(b.leader, a.id);
    assert_string_equal(b.members, "");
    assert_int_equal(view().state, WEIR_GROUP_STABLE);
    sync_follow(&b);
    assert_string_equal(b.assignment, "b");
}

static void a_follower_with_changed_metadata_begins_a_rebalance(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    make_stable((struct consumer *[]){&a, &b}, 2);
    b.protocols[0].metadata = blob_of("b2");
    join(&b);
    assert_int_equal(b.joined, NO_ANSWER);
    join(&a);
    assert_string_equal(a.members, "a,b2");
}

/* Cooperative: the first rebalance takes away, and who lost something joins again at once, which gives it to the other. */
static void a_cooperative_group_rebalances_twice(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    a.protocols[0] = (struct weir_group_protocol){string_of("cooperative-sticky"), blob_of("a owns 0 1")};
    b.protocols[0] = (struct weir_group_protocol){string_of("cooperative-sticky"), blob_of("b owns")};
    make_stable((struct consumer *[]){&a, &b}, 2);
    int32_t generation = a.generation;
    a.protocols[0].metadata = blob_of("a owns 0"); /* it has given 1 back */
    join(&a);
    assert_int_equal(heartbeat(&b), WEIR_GROUP_REBALANCING);
    assert_int_equal(commit(&b), WEIR_GROUP_OK);
    join(&b);
    assert_int_equal(a.generation, generation + 1);
    assert_string_equal(a.members, "a owns 0,b owns");
}

static void members_that_join_while_others_sync_send_them_back(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b"), c = consumer_of("c");
    join(&a);
    join(&b);
    join(&a);
    sync_follow(&b);
    join(&c);
    assert_int_equal(b.synced, WEIR_GROUP_REBALANCING);
    sync_with(&a, NULL, 0);
    assert_int_equal(a.synced, WEIR_GROUP_REBALANCING);
    join(&a);
    join(&b);
    assert_string_equal(a.members, "a,b,c");
}

static void a_join_that_is_repeated_before_the_syncs_is_answered_again(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    join(&a);
    join(&b);
    join(&a);
    int32_t generation = a.generation;
    join(&a);
    assert_int_equal(a.joined, WEIR_GROUP_OK);
    assert_string_equal(a.members, "a,b");
    join(&b);
    assert_int_equal(b.joined, WEIR_GROUP_OK);
    assert_string_equal(b.members, "");
    assert_int_equal(b.generation, generation);
    b.protocols[0].metadata = blob_of("b2");
    join(&b);
    assert_int_equal(b.joined, NO_ANSWER);
    assert_int_equal(view().state, WEIR_GROUP_PREPARING);
}

static void whom_the_leader_does_not_name_gets_nothing(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    join(&a);
    join(&b);
    join(&a);
    struct weir_group_assignment shares[] = {
        {string_of("nobody"), blob_of("9")}, {string_of(a.id), blob_of("0")}, {string_of(a.id), blob_of("1")}};
    sync_with(&a, shares, 3);
    assert_string_equal(a.assignment, "1");
    sync_follow(&b);
    assert_int_equal(b.synced, WEIR_GROUP_OK);
    assert_string_equal(b.assignment, "");
}

static void members_before_version_four_need_no_id(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a");
    a.join.id_required = false;
    join_once(&a);
    assert_int_equal(a.joined, WEIR_GROUP_OK);
    assert_int_equal(a.generation, 1);
    assert_int_equal(strlen(a.id), 2 + 36);
}

/* ---- Protocols ------------------------------------------------------------------------------- */

static void the_protocol_with_most_votes_that_all_know_is_chosen(void **state)
{
    (void)state;
    static const struct {
        const char *protocols[3][3];
        const char *chosen;
    } rows[] = {
        {{{"range", "sticky"}, {"sticky", "range"}, {"sticky", "range"}}, "sticky"},
        {{{"range", "sticky"}, {"sticky", "range"}, {"range"}}, "range"},
        {{{"mine", "range"}, {"own", "range"}, {"range"}}, "range"},
        {{{"x", "range", "sticky"}, {"sticky", "range"}, {"y", "sticky", "range"}}, "sticky"}, /* votes for what all know */
        {{{"range", "sticky"}, {"sticky", "range"}, {NULL}}, "range"}, /* one each: as the first likes */
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct consumer all[3];
        uint32_t count = 0;
        for (; count < 3 && rows[row].protocols[count][0]; count++) {
            all[count] = consumer_of("x");
            for (uint32_t i = 0; i < 3 && rows[row].protocols[count][i]; i++) {
                all[count].protocols[i] = (struct weir_group_protocol){string_of(rows[row].protocols[count][i]), blob_of("m")};
                all[count].join.protocol_count = i + 1;
            }
            join(&all[count]);
        }
        for (uint32_t i = 0; i < 2 * count; i++)
            if (all[i % count].joined == WEIR_GROUP_OK && heartbeat(&all[i % count]) == WEIR_GROUP_REBALANCING)
                join(&all[i % count]);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(all[i].joined, WEIR_GROUP_OK);
            assert_string_equal(all[i].protocol, rows[row].chosen);
        }
        for (uint32_t i = 0; i < count; i++)
            leave(&all[i]);
        assert_int_equal(view().state, WEIR_GROUP_EMPTY);
    }
}

static void who_has_no_protocol_in_common_is_refused(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    make_stable((struct consumer *[]){&a}, 1);
    b.protocols[0].name = string_of("roundrobin");
    join(&b);
    assert_int_equal(b.joined, WEIR_GROUP_INCONSISTENT);
    b.protocols[0].name = string_of("range");
    b.join.protocol_type = string_of("connect");
    join(&b);
    assert_int_equal(b.joined, WEIR_GROUP_INCONSISTENT);
    b.join.protocol_type = string_of("");
    join(&b);
    assert_int_equal(b.joined, WEIR_GROUP_INCONSISTENT);
    b.join.protocol_type = string_of("consumer");
    b.join.protocol_count = 0;
    join(&b);
    assert_int_equal(b.joined, WEIR_GROUP_INCONSISTENT);
    assert_int_equal(view().state, WEIR_GROUP_STABLE);
}

static void an_empty_group_takes_another_protocol_type(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    make_stable((struct consumer *[]){&a}, 1);
    leave(&a);
    b.join.protocol_type = string_of("connect");
    join(&b);
    assert_int_equal(b.joined, WEIR_GROUP_OK);
    assert_string_equal(b.protocol_type, "connect");
}

static void a_sync_of_another_protocol_is_refused(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a");
    join(&a);
    a.sync.protocol_type = string_of("connect");
    sync_follow(&a);
    assert_int_equal(a.synced, WEIR_GROUP_INCONSISTENT);
    a.sync.protocol_type = string_of("consumer");
    a.sync.protocol = string_of("sticky");
    sync_follow(&a);
    assert_int_equal(a.synced, WEIR_GROUP_INCONSISTENT);
    a.sync.protocol = string_of("range");
    sync_follow(&a);
    assert_int_equal(a.synced, WEIR_GROUP_OK);
}

/* ---- What is refused ------------------------------------------------------------------------- */

static void joins_are_refused_in_the_order_of_the_checks(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), b = consumer_of("b");
    b.join.group = string_of("");
    b.join.session_ns = 1;
    b.join.protocol_count = 0;
    strcpy(b.id, "unknown");
    join_once(&b);
    assert_int_equal(b.joined, WEIR_GROUP_BAD_ID);
    b.join.group = string_of("group");
    join_once(&b);
    assert_int_equal(b.joined, WEIR_GROUP_BAD_TIMEOUT);
    b.join.session_ns = 6 * WEIR_S_NS - 1;
    join_once(&b);
    assert_int_equal(b.joined, WEIR_GROUP_BAD_TIMEOUT);
    b.join.session_ns = 1800 * WEIR_S_NS + 1;
    join_once(&b);
    assert_int_equal(b.joined, WEIR_GROUP_BAD_TIMEOUT);
    b.join.session_ns = 6 * WEIR_S_NS;
    join_once(&b);
    assert_int_equal(b.joined, WEIR_GROUP_UNKNOWN_MEMBER); /* there is no group */
    assert_int_equal(view().state, WEIR_GROUP_DEAD);       /* and none was made */
    make_stable((struct consumer *[]){&a}, 1);
    join_once(&b);
    assert_int_equal(b.joined, WEIR_GROUP_INCONSISTENT);
    b.join.protocol_count = 1;
    join_once(&b);
    assert_int_equal(b.joined, WEIR_GROUP_UNKNOWN_MEMBER);
    b.join.instance = string_of("nobody's");
    join_once(&b);
    assert_int_equal(b.joined, WEIR_GROUP_UNKNOWN_MEMBER);
    assert_int_equal(b.joined_count, 8);
}

static void strangers_and_old_generations_are_told_so(void **state)
{
    (void)state;
    CONSUMER a = consumer_of("a"), stranger = consumer_of("s");
    assert_int_equal(heartbeat(&a), WEIR_GROUP_UNKNOWN_MEMBER);
    assert_int_equal(leave(&a), WEIR_GROUP_UNKNOWN_MEMBER);
    sync_follow(&a);
    assert_int_equal(a.synced, WEIR_GROUP_UNKNOWN_MEMBER);
    make_stable((struct consumer *[]){&a}, 1);
    strcpy(stranger.id, "stranger");
    stranger.generation = a.generation;
    assert_int_equal(heartbeat(&stranger), WEIR_GROUP_UNKNOWN_MEMBER);
    assert_int_equal(commit(&stranger), WEIR_GROUP_UNKNOWN_MEMBER);
    assert_int_equal(leave(&stranger), WEIR_GROUP_UNKNOWN_MEMBER);
    sync_follow(&stranger);
    assert_int_equal(stranger.synced, WEIR_GROUP_UNKNOWN_MEMBER);
    a.generation--;
    assert_int_equal(heartbeat(&a), WEIR_GROUP_ILLEGAL_GENERATION);
    assert_int_equal(commit(&a), WEIR_GROUP_ILLEGAL_GENERATION);
    sync_follow(&a);
    assert_int_equal(a.synced, WEIR_GROUP_ILLEGAL_GENERATION);
    stranger.generation--;
    assert_int_equal(heartbeat(&stranger), WEIR_GROUP_UNKNOWN_MEMBER); /* before the generation */
    a.generation += 2;
    assert_int_equal(heartbeat(&a), WEIR_GROUP_ILLEGAL_GENERATION);
    a.join.group = string_of("");
    assert_int_equal(heartbeat(&a), WEIR_GROUP_BAD_ID);
    assert_int_equal(commit(&a), WEIR_GROUP_BAD_ID);
    assert_int_equal(leave(&a), WEIR_GROUP_BAD_ID);
    sync_follow(&a);
    assert_int_equal(a.synced, WEIR_GROUP_BAD_ID);
}

static void commits_from_outside_are_for_groups_nobody_is_in(void **state)
{
    (void)state;
    CONSUMER outside = consumer_of("o"), a = consumer_of("a");
    outside.generation = -1;
    assert_int_equal(commit(&outside), WEIR_GROUP_OK); /* no such group */
    outside.generation = 3;
    assert_int_equal(commit(&outside), WEIR_GROUP_ILLEGAL_GENERATION);
    make_stable((struct consumer *[]){&a}, 1);
    outside.generation = -1;
    assert_int_equal(commit(&outside), WEIR_GROUP_UNKNOWN_MEMBER);
    leave(&a);
    assert_int_equal(commit(&outside), WEIR_GROUP_OK);
    assert_int_equal(commit(&a), WEIR_GROUP_UNKNOWN_MEMBER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(one_member_joins_and_gets_all),
        CASE(two_members_share_and_only_the_leader_sees_both),
        CASE(a_third_member_makes_the_others_join_again),
        CASE(a_member_that_leaves_makes_the_rest_join_again),
        CASE(the_last_one_that_leaves_empties_the_group),
        CASE(a_leader_that_joins_again_begins_a_rebalance),
        CASE(a_follower_that_joins_again_unchanged_is_told_what_stands),
        CASE(a_follower_with_changed_metadata_begins_a_rebalance),
        CASE(a_cooperative_group_rebalances_twice),
        CASE(members_that_join_while_others_sync_send_them_back),
        CASE(a_join_that_is_repeated_before_the_syncs_is_answered_again),
        CASE(whom_the_leader_does_not_name_gets_nothing),
        CASE(members_before_version_four_need_no_id),
        CASE(the_protocol_with_most_votes_that_all_know_is_chosen),
        CASE(who_has_no_protocol_in_common_is_refused),
        CASE(an_empty_group_takes_another_protocol_type),
        CASE(a_sync_of_another_protocol_is_refused),
        CASE(joins_are_refused_in_the_order_of_the_checks),
        CASE(strangers_and_old_generations_are_told_so),
        CASE(commits_from_outside_are_for_groups_nobody_is_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
