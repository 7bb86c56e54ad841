/*
 * broker/names.h - the replicated table of one part: every name that anybody subscribes to.
 *
 * An entry has the subscriber count of each reactor, and this reactor's members. It lives while any count is above zero or a
 * change of it has still to be told to some reactor. Patterns are listed a second time, by their first byte where that
 * is literal, so that a publish looks only at those that could match.
 */
#ifndef WEIR_BROKER_NAMES_H
#define WEIR_BROKER_NAMES_H

#include <ck_hs.h>

#include "broker/broker.h"

enum { WEIR_NAME_WORDS = WEIR_MESH_REACTORS_MAX / 64 };

struct weir_reactor_set {
    uint64_t words[WEIR_NAME_WORDS];
};

static inline bool weir_reactor_set_has(const struct weir_reactor_set *set, uint32_t reactor)
{
    return set->words[reactor / 64] >> (reactor % 64) & 1;
}

static inline void weir_reactor_set_put(struct weir_reactor_set *set, uint32_t reactor, bool in)
{
    uint64_t bit = (uint64_t)1 << (reactor % 64);
    if (in)
        set->words[reactor / 64] |= bit;
    else
        set->words[reactor / 64] &= ~bit;
}

static inline void weir_reactor_set_add(struct weir_reactor_set *set, const struct weir_reactor_set *more)
{
    for (uint32_t i = 0; i < WEIR_NAME_WORDS; i++)
        set->words[i] |= more->words[i];
}

static inline bool weir_reactor_set_any(const struct weir_reactor_set *set)
{
    return (set->words[0] | set->words[1]) != 0;
}

/* One subscriber's hold on one name. */
struct weir_membership {
    struct weir_list node; /* subscriber->held[kind] */
    struct weir_subscriber *subscriber;
    struct weir_name *name;
    uint32_t index; /* in name->members */
};

struct weir_name {
    enum weir_name_kind kind;
    uint64_t hash;
    struct weir_slice bytes;         /* right behind counts[] */
    struct weir_reactor_set present; /* reactors whose count is above zero */
    struct weir_reactor_set paused;  /* reactors on which a subscriber makes publishers wait */
    uint64_t total;
    struct weir_membership **members;
    uint32_t member_count;
    uint32_t member_room;
    uint32_t pausing_count;          /* members here that make publishers wait */
    struct weir_list change;         /* part->changes while told to somebody still */
    uint64_t version;
    struct weir_list patterns;       /* PATTERN: names->patterns[] */
    const struct weir_policy *policy; /* of topics and shards; NULL: not looked up yet. An event by a pattern has its topic's */
    uint32_t counts[];               /* by reactor */
};

/* May a subscriber that holds it make publishers wait? A pattern's may: whether the topic at hand does, its policy says. */
static inline bool weir_name_may_pause(const struct weir_name *name)
{
    return name->kind == WEIR_NAME_PATTERN || weir_policy_may_pause(name->policy);
}

struct weir_names {
    ck_hs_t set;
    uint64_t seed;
    uint32_t reactor_count;
    uint64_t counts[WEIR_NAME_KINDS];  /* names with total > 0 */
    struct weir_list patterns[257];    /* by first literal byte; the last: begins with a wildcard */
    uint32_t pattern_entries;
    uint64_t byte_count; /* of names and memberships */
};

int weir_names_init(struct weir_names *names, uint32_t reactor_count, uint64_t seed);
void weir_names_deinit(struct weir_names *names);

uint64_t weir_names_hash(const struct weir_names *names, enum weir_name_kind kind, struct weir_slice bytes);
struct weir_name *weir_names_find(struct weir_names *names, enum weir_name_kind kind, uint64_t hash, struct weir_slice bytes);
/* What is allocated for a name of so many bytes. */
size_t weir_names_bytes(const struct weir_names *names, size_t name_bytes);
/* Find or make; NULL: no memory. */
struct weir_name *weir_names_get(struct weir_names *names, enum weir_name_kind kind, struct weir_slice bytes);
/* Reactor `reactor` has `count` subscribers now; `paused` likewise. */
void weir_names_set_count(struct weir_names *names, struct weir_name *name, uint32_t reactor, uint32_t count, bool paused);
/* Free it if nobody needs it any more. */
void weir_names_release(struct weir_names *names, struct weir_name *name);

/* A membership of `names` begins and ends; -ENOMEM. */
int weir_name_join(struct weir_names *names, struct weir_name *name, struct weir_membership *membership);
void weir_name_leave(struct weir_names *names, struct weir_membership *membership);

typedef void (*weir_names_fn)(void *context, struct weir_name *name);
/* Patterns with a subscriber somewhere that match `topic`. */
void weir_names_matching(struct weir_names *names, struct weir_slice topic, weir_names_fn fn, void *context);
void weir_names_each(struct weir_names *names, enum weir_name_kind kind, weir_names_fn fn, void *context);

#endif
