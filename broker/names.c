/*
 * broker/names.c - a hash set of names (Concurrency Kit's ck_hs, used by one reactor only) and a list of patterns.
 *
 * Proof: tests/broker/replica_test.c, publish_test.c.
 */
#include "broker/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "base/hash.h"

static unsigned long hash_of(const void *object, unsigned long seed)
{
    (void)seed;
    return (unsigned long)((const struct weir_name *)object)->hash;
}

static bool same_name(const void *a, const void *b)
{
    const struct weir_name *left = a, *right = b;
    return left->hash == right->hash && left->kind == right->kind && left->bytes.byte_count == right->bytes.byte_count &&
           memcmp(left->bytes.bytes, right->bytes.bytes, left->bytes.byte_count) == 0;
}

static void *set_malloc(size_t bytes)
{
    return malloc(bytes);
}

static void set_free(void *memory, size_t bytes, bool later)
{
    (void)bytes;
    (void)later;
    free(memory);
}

static struct ck_malloc set_memory = {.malloc = set_malloc, .free = set_free};

int weir_names_init(struct weir_names *names, uint32_t reactor_count, uint64_t seed)
{
    *names = (struct weir_names){.seed = seed, .reactor_count = reactor_count};
    for (uint32_t i = 0; i < 257; i++)
        weir_list_init(&names->patterns[i]);
    bool made = ck_hs_init(&names->set, CK_HS_MODE_SPMC | CK_HS_MODE_OBJECT, hash_of, same_name, &set_memory, 64,
                           (unsigned long)seed);
    return made ? 0 : -ENOMEM;
}

static void free_name(struct weir_name *name)
{
    free(name->members);
    free(name);
}

void weir_names_deinit(struct weir_names *names)
{
    ck_hs_iterator_t at = CK_HS_ITERATOR_INITIALIZER;
    for (void *object; ck_hs_next(&names->set, &at, &object);)
        free_name(object);
    ck_hs_destroy(&names->set);
}

uint64_t weir_names_hash(const struct weir_names *names, enum weir_name_kind kind, struct weir_slice bytes)
{
    return weir_hash_bytes(bytes.bytes, bytes.byte_count, names->seed + (uint64_t)kind);
}

struct weir_name *weir_names_find(struct weir_names *names, enum weir_name_kind kind, uint64_t hash, struct weir_slice bytes)
{
    struct weir_name wanted;
    wanted.kind = kind;
    wanted.hash = hash;
    wanted.bytes = bytes;
    return ck_hs_get(&names->set, (unsigned long)hash, &wanted);
}

/* A pattern's first byte when it can only be itself. */
static uint32_t pattern_place(struct weir_slice pattern)
{
    if (pattern.byte_count == 0)
        return 256;
    uint8_t first = pattern.bytes[0];
    return first == '*' || first == '?' || first == '[' || first == '\\' ? 256 : first;
}

size_t weir_names_bytes(const struct weir_names *names, size_t name_bytes)
{
    return sizeof(struct weir_name) + names->reactor_count * sizeof(uint32_t) + name_bytes;
}

static struct weir_name *make_name(struct weir_names *names, enum weir_name_kind kind, uint64_t hash, struct weir_slice bytes)
{
    struct weir_name *name = calloc(1, weir_names_bytes(names, bytes.byte_count));
    if (!name)
        return NULL;
    uint8_t *copy = (uint8_t *)&name->counts[names->reactor_count];
    if (bytes.byte_count > 0)
        memcpy(copy, bytes.bytes, bytes.byte_count);
    name->kind = kind;
    name->hash = hash;
    name->bytes = (struct weir_slice){copy, bytes.byte_count};
    weir_list_init(&name->change);
    weir_list_init(&name->patterns);
    if (!ck_hs_put(&names->set, (unsigned long)hash, name)) {
        free(name);
        return NULL;
    }
    names->byte_count += weir_names_bytes(names, bytes.byte_count);
    if (kind == WEIR_NAME_PATTERN) {
        weir_list_push_back(&names->patterns[pattern_place(name->bytes)], &name->patterns);
        names->pattern_entries++;
    }
    return name;
}

struct weir_name *weir_names_get(struct weir_names *names, enum weir_name_kind kind, struct weir_slice bytes)
{
    uint64_t hash = weir_names_hash(names, kind, bytes);
    struct weir_name *name = weir_names_find(names, kind, hash, bytes);
    return name ? name : make_name(names, kind, hash, bytes);
}

void weir_names_set_count(struct weir_names *names, struct weir_name *name, uint32_t reactor, uint32_t count, bool paused)
{
    WEIR_ASSERT(reactor < names->reactor_count);
    bool was_used = name->total > 0;
    name->total += count;
    name->total -= name->counts[reactor];
    name->counts[reactor] = count;
    weir_reactor_set_put(&name->present, reactor, count > 0);
    weir_reactor_set_put(&name->paused, reactor, paused);
    if (was_used != (name->total > 0))
        names->counts[name->kind] += was_used ? (uint64_t)-1 : 1;
}

void weir_names_release(struct weir_names *names, struct weir_name *name)
{
    if (name->total > 0 || name->member_count > 0 || !weir_list_empty(&name->change))
        return;
    void *removed = ck_hs_remove(&names->set, (unsigned long)name->hash, name);
    WEIR_ASSERT(removed == name);
    if (name->kind == WEIR_NAME_PATTERN)
        names->pattern_entries--;
    weir_list_remove(&name->patterns);
    names->byte_count -= weir_names_bytes(names, name->bytes.byte_count);
    free_name(name);
}

int weir_name_join(struct weir_names *names, struct weir_name *name, struct weir_membership *membership)
{
    if (name->member_count == name->member_room) {
        uint32_t room = name->member_room ? name->member_room * 2 : 4;
        struct weir_membership **grown = realloc(name->members, room * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        name->members = grown;
        name->member_room = room;
    }
    names->byte_count += sizeof *membership + sizeof *name->members;
    membership->name = name;
    membership->index = name->member_count;
    name->members[name->member_count++] = membership;
    return 0;
}

void weir_name_leave(struct weir_names *names, struct weir_membership *membership)
{
    struct weir_name *name = membership->name;
    names->byte_count -= sizeof *membership + sizeof *name->members;
    struct weir_membership *last = name->members[--name->member_count];
    name->members[membership->index] = last;
    last->index = membership->index;
}

static void match_those(struct weir_list *patterns, struct weir_slice topic, weir_names_fn fn, void *context)
{
    WEIR_LIST_EACH(node, patterns)
    {
        struct weir_name *name = WEIR_CONTAINER(node, struct weir_name, patterns);
        if (name->total > 0 && weir_glob_match((const char *)name->bytes.bytes, name->bytes.byte_count,
                                               (const char *)topic.bytes, topic.byte_count))
            fn(context, name);
    }
}

void weir_names_matching(struct weir_names *names, struct weir_slice topic, weir_names_fn fn, void *context)
{
    if (names->pattern_entries == 0)
        return;
    if (topic.byte_count > 0)
        match_those(&names->patterns[topic.bytes[0]], topic, fn, context);
    match_those(&names->patterns[256], topic, fn, context);
}

void weir_names_each(struct weir_names *names, enum weir_name_kind kind, weir_names_fn fn, void *context)
{
    ck_hs_iterator_t at = CK_HS_ITERATOR_INITIALIZER;
    for (void *object; ck_hs_next(&names->set, &at, &object);) {
        struct weir_name *name = object;
        if (name->kind == kind && name->total > 0)
            fn(context, name);
    }
}
