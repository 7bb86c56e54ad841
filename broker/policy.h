/*
 * broker/policy.h - what happens to a live subscriber that does not keep up. Part of the settings, read-only after start.
 */
#ifndef WEIR_BROKER_POLICY_H
#define WEIR_BROKER_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum weir_policy_action {
    WEIR_POLICY_CLOSE,       /* over the hard limit, or too long over the soft one: disconnect. Publishers wait for one
                              * that takes its bytes as fast as they come, not for one that does not */
    WEIR_POLICY_DROP_OLDEST, /* make room by forgetting what has waited longest */
    WEIR_POLICY_DROP_NEWEST, /* what does not fit is not taken */
    WEIR_POLICY_PAUSE,       /* publishers of the topic wait; after pause_deadline_ns the subscriber is evicted */
};

struct weir_policy {
    enum weir_policy_action action;
    uint64_t hard_bytes;        /* of the window */
    uint64_t soft_bytes;        /* over it for soft_ns: as over the hard limit; 0: none */
    uint64_t soft_ns;
    uint64_t stuck_ns;          /* no byte has left for so long: evict, whatever the action; 0: never */
    uint64_t pause_deadline_ns;
};

struct weir_policy_rule {
    const char *glob; /* over topic names */
    struct weir_policy policy;
};

/* 32 MiB hard, 8 MiB for 60 s soft, close; stuck for 60 s; a pause lasts 5 s at most. */
struct weir_policy weir_policy_default(void);
/* "close", "drop-oldest", "drop-newest", "pause". -EINVAL. */
int weir_policy_action_parse(const char *text, enum weir_policy_action *action_out);
const char *weir_policy_action_name(enum weir_policy_action action);
/* May publishers ever wait for a subscriber under this policy? */
bool weir_policy_may_pause(const struct weir_policy *policy);
/* First rule whose glob matches, else the default. */
const struct weir_policy *weir_policy_for(const struct weir_policy_rule *rules, uint32_t rule_count,
                                          const struct weir_policy *otherwise, const char *name, size_t name_bytes);

#endif
