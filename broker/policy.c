/* broker/policy.c - see the header. Proof: tests/broker/policy_test.c. */
#include "broker/policy.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/glob.h"

static const char *const action_names[] = {
    [WEIR_POLICY_CLOSE] = "close",
    [WEIR_POLICY_DROP_OLDEST] = "drop-oldest",
    [WEIR_POLICY_DROP_NEWEST] = "drop-newest",
    [WEIR_POLICY_PAUSE] = "pause",
};

struct weir_policy weir_policy_default(void)
{
    return (struct weir_policy){
        .action = WEIR_POLICY_CLOSE,
        .hard_bytes = (uint64_t)32 << 20,
        .soft_bytes = (uint64_t)8 << 20,
        .soft_ns = 60 * WEIR_S_NS,
        .stuck_ns = 60 * WEIR_S_NS,
        .pause_deadline_ns = 5 * WEIR_S_NS,
    };
}

int weir_policy_action_parse(const char *text, enum weir_policy_action *action_out)
{
    for (size_t i = 0; i < sizeof action_names / sizeof *action_names; i++)
        if (strcmp(text, action_names[i]) == 0) {
            *action_out = (enum weir_policy_action)i;
            return 0;
        }
    return -EINVAL;
}

const char *weir_policy_action_name(enum weir_policy_action action)
{
    return action_names[action];
}

bool weir_policy_may_pause(const struct weir_policy *policy)
{
    return policy->action == WEIR_POLICY_PAUSE || policy->action == WEIR_POLICY_CLOSE;
}

const struct weir_policy *weir_policy_for(const struct weir_policy_rule *rules, uint32_t rule_count,
                                          const struct weir_policy *otherwise, const char *name, size_t name_bytes)
{
    for (uint32_t i = 0; i < rule_count; i++)
        if (weir_glob_match(rules[i].glob, strlen(rules[i].glob), name, name_bytes))
            return &rules[i].policy;
    return otherwise;
}
