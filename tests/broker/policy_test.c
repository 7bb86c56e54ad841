/* tests/broker/policy_test.c - words for policies, and which rule a name falls under. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "broker/policy.h"

static const struct weir_policy_rule rules[] = {
    {"quotes.*", {.action = WEIR_POLICY_DROP_OLDEST}},
    {"quotes.eu*", {.action = WEIR_POLICY_PAUSE}},
    {"logs", {.action = WEIR_POLICY_DROP_NEWEST}},
};
static const struct weir_policy otherwise = {.action = WEIR_POLICY_CLOSE};

static enum weir_policy_action action_for(const char *name)
{
    return weir_policy_for(rules, sizeof rules / sizeof *rules, &otherwise, name, strlen(name))->action;
}

static void the_first_rule_that_matches_the_whole_name_wins(void **state)
{
    (void)state;
    assert_int_equal(action_for("quotes.us"), WEIR_POLICY_DROP_OLDEST);
    assert_int_equal(action_for("quotes.eurusd"), WEIR_POLICY_DROP_OLDEST);
    assert_int_equal(action_for("logs"), WEIR_POLICY_DROP_NEWEST);
    assert_int_equal(action_for("logs.web"), WEIR_POLICY_CLOSE);
    assert_int_equal(action_for(""), WEIR_POLICY_CLOSE);
}

static void every_action_is_read_as_it_is_written(void **state)
{
    (void)state;
    static const enum weir_policy_action actions[] = {WEIR_POLICY_CLOSE, WEIR_POLICY_DROP_OLDEST, WEIR_POLICY_DROP_NEWEST,
                                                      WEIR_POLICY_PAUSE};
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        enum weir_policy_action read;
        assert_int_equal(weir_policy_action_parse(weir_policy_action_name(actions[i]), &read), 0);
        assert_int_equal(read, actions[i]);
    }
    enum weir_policy_action untouched = WEIR_POLICY_PAUSE;
    assert_int_equal(weir_policy_action_parse("drop", &untouched), -EINVAL);
    assert_int_equal(untouched, WEIR_POLICY_PAUSE);
}

static void publishers_wait_under_close_and_pause_only(void **state)
{
    (void)state;
    struct weir_policy policy = weir_policy_default();
    assert_int_equal(policy.action, WEIR_POLICY_CLOSE);
    assert_true(weir_policy_may_pause(&policy));
    policy.action = WEIR_POLICY_PAUSE;
    assert_true(weir_policy_may_pause(&policy));
    policy.action = WEIR_POLICY_DROP_OLDEST;
    assert_false(weir_policy_may_pause(&policy));
    policy.action = WEIR_POLICY_DROP_NEWEST;
    assert_false(weir_policy_may_pause(&policy));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_rule_that_matches_the_whole_name_wins),
        cmocka_unit_test(every_action_is_read_as_it_is_written),
        cmocka_unit_test(publishers_wait_under_close_and_pause_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
