/*
 * broker/broker.c - opening the broker, its parts, and who holds which name.
 *
 * Proof: tests/broker/replica_test.c, publish_test.c.
 */
#include "broker/broker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "broker/keep.h"
#include "broker/part.h"

enum { LIMIT_KEYS_MAX = 16384 }; /* addresses, and topics, with a limit of their own at once */

static void free_broker(struct weir_broker *broker)
{
    for (uint32_t i = 0; i < broker->policy_count; i++)
        free((void *)(uintptr_t)broker->policies[i].glob);
    free(broker->policies);
    if (broker->limits)
        weir_limit_shared_deinit(broker->limits);
    free(broker->limits);
    weir_data_close(broker->data);
    free((void *)(uintptr_t)broker->keep.folder);
    free(broker);
}

static int copy_policies(struct weir_broker *broker, const struct weir_broker_options *options)
{
    broker->default_policy = options->default_policy;
    if (broker->default_policy.hard_bytes == 0)
        broker->default_policy = weir_policy_default();
    if (options->policy_count == 0)
        return 0;
    broker->policies = calloc(options->policy_count, sizeof *broker->policies);
    if (!broker->policies)
        return -ENOMEM;
    for (uint32_t i = 0; i < options->policy_count; i++) {
        broker->policies[i] = options->policies[i];
        broker->policies[i].glob = strdup(options->policies[i].glob);
        broker->policy_count = i + 1;
        if (!broker->policies[i].glob)
            return -ENOMEM;
    }
    return 0;
}

static int open_limits(struct weir_broker *broker, const struct weir_broker_options *options)
{
    bool any = false;
    for (uint32_t i = 0; i < WEIR_LIMIT_LEVELS; i++)
        any |= options->limits[i].mode != WEIR_LIMIT_OFF;
    if (!any)
        return 0;
    size_t bytes = (sizeof *broker->limits + 127) & ~(size_t)127;
    broker->limits = aligned_alloc(128, bytes);
    if (!broker->limits)
        return -ENOMEM;
    memset(broker->limits, 0, bytes);
    return weir_limit_shared_init(broker->limits, options->limits, broker->runtime->reactor_count, LIMIT_KEYS_MAX);
}

int weir_broker_open(struct weir_runtime *runtime, const struct weir_broker_options *options, struct weir_broker **broker_out)
{
    static const struct weir_broker_options none;
    struct weir_broker *broker = calloc(1, sizeof *broker);
    if (!broker)
        return -ENOMEM;
    broker->runtime = runtime;
    broker->seed = (uint64_t)(uintptr_t)broker * 0x9e3779b97f4a7c15u; /* the address is as random as the kernel made it */
    int result = copy_policies(broker, options ? options : &none);
    if (result == 0 && options && options->keep.folder)
        result = weir_keep_copy(broker, &options->keep);
    if (result == 0)
        result = open_limits(broker, options ? options : &none);
    if (result < 0) {
        free_broker(broker);
        return result;
    }
    weir_mail_handle(runtime, WEIR_MAIL_PUBLISH, weir_publish_on_mail);
    weir_mail_handle(runtime, WEIR_MAIL_INSTALL, weir_replica_on_install);
    weir_mail_handle(runtime, WEIR_MAIL_INSTALLED, weir_replica_on_installed);
    *broker_out = broker;
    return 0;
}

void weir_broker_close(struct weir_broker *broker)
{
    if (broker)
        free_broker(broker);
}

static void on_limit_timer(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    struct weir_part *part = WEIR_CONTAINER(timer, struct weir_part, limit_timer);
    uint64_t next_ns = weir_limit_tick(part->limit, now_ns, false);
    if (next_ns != UINT64_MAX)
        weir_wheel_arm(&part->reactor->wheel, timer, next_ns);
}

struct weir_part *weir_part(struct weir_reactor *reactor)
{
    return reactor->broker;
}

int weir_part_open(struct weir_broker *broker, struct weir_reactor *reactor)
{
    struct weir_part *part = calloc(1, sizeof *part);
    struct weir_peer *peers = calloc(reactor->count, sizeof *peers);
    struct weir_ask_queue *asks = calloc(reactor->count, sizeof *asks);
    int result = part && peers && asks ? weir_names_init(&part->names, reactor->count, broker->seed) : -ENOMEM;
    if (result < 0) {
        free(part);
        free(peers);
        free(asks);
        return result;
    }
    part->broker = broker;
    part->reactor = reactor;
    part->peers = peers;
    part->asks = asks;
    weir_asks_init(part);
    weir_list_init(&part->subscribers);
    weir_replica_init(part);
    weir_publish_init(part);
    weir_windows_init(part);
    weir_wheel_timer_init(&part->limit_timer, on_limit_timer);
    reactor->broker = part;
    result = broker->limits ? weir_limit_open(broker->limits, reactor->index, &part->limit) : 0;
    return result == 0 && broker->keep.folder ? weir_keep_begin(part) : result;
}

void weir_part_close(struct weir_reactor *reactor)
{
    struct weir_part *part = reactor->broker;
    if (!part)
        return;
    reactor->broker = NULL;
    weir_list_remove(&part->hook.node);
    weir_wheel_cancel(&reactor->wheel, &part->slow_timer);
    weir_wheel_cancel(&reactor->wheel, &part->lag_timer);
    weir_wheel_cancel(&reactor->wheel, &part->limit_timer);
    weir_keep_end(part);
    weir_asks_deinit(part);
    weir_publish_deinit(part);
    weir_names_deinit(&part->names);
    if (part->limit)
        weir_limit_close(part->limit);
    free(part->peers);
    free(part->asks);
    free(part);
}

static struct weir_membership *find_held(struct weir_subscriber *subscriber, enum weir_name_kind kind, struct weir_slice bytes)
{
    struct weir_names *names = &subscriber->part->names;
    if (subscriber->held_count[kind] == 0)
        return NULL;
    struct weir_name *name = weir_names_find(names, kind, weir_names_hash(names, kind, bytes), bytes);
    if (!name)
        return NULL;
    /* The shorter of the two lists: a topic has many members, or a subscriber many topics. */
    if (name->member_count <= subscriber->held_count[kind]) {
        for (uint32_t i = 0; i < name->member_count; i++)
            if (name->members[i]->subscriber == subscriber)
                return name->members[i];
        return NULL;
    }
    WEIR_LIST_EACH(node, &subscriber->held[kind])
    {
        struct weir_membership *held = WEIR_CONTAINER(node, struct weir_membership, node);
        if (held->name == name)
            return held;
    }
    return NULL;
}

static void count_changed(struct weir_part *part, struct weir_name *name)
{
    weir_names_set_count(&part->names, name, part->reactor->index, name->member_count, name->pausing_count > 0);
    weir_replica_changed(part, name);
}

/* Every reactor has every name, so each table may take what a reactor's share of memory is. */
static bool room_for(const struct weir_part *part, struct weir_slice bytes)
{
    return part->names.byte_count + weir_names_bytes(&part->names, bytes.byte_count) <=
           part->reactor->buffers.bytes_max;
}

static int join(struct weir_subscriber *subscriber, enum weir_name_kind kind, struct weir_slice bytes)
{
    struct weir_part *part = subscriber->part;
    struct weir_broker *broker = part->broker;
    if (!room_for(part, bytes))
        return -ENOMEM;
    struct weir_name *name = weir_names_get(&part->names, kind, bytes);
    struct weir_membership *membership = name ? calloc(1, sizeof *membership) : NULL;
    if (!membership || weir_name_join(&part->names, name, membership) < 0) {
        free(membership);
        if (name)
            weir_names_release(&part->names, name);
        return -ENOMEM;
    }
    membership->subscriber = subscriber;
    weir_list_push_back(&subscriber->held[kind], &membership->node);
    if (subscriber->held_count[kind]++ == 0 && weir_list_empty(&subscriber->node)) {
        weir_list_push_back(&part->subscribers, &subscriber->node);
        part->counters.subscribers++;
    }
    if (kind != WEIR_NAME_PATTERN && !name->policy)
        name->policy = weir_policy_for(broker->policies, broker->policy_count, &broker->default_policy,
                                       (const char *)name->bytes.bytes, name->bytes.byte_count);
    if (subscriber->pausing_since_ns && weir_name_may_pause(name))
        name->pausing_count++;
    count_changed(part, name);
    return 0;
}

int weir_broker_subscribe(struct weir_subscriber *subscriber, enum weir_name_kind kind, struct weir_slice name,
                          bool *changed_out)
{
    if (name.byte_count > (kind == WEIR_NAME_PATTERN ? WEIR_PATTERN_BYTES_MAX : WEIR_NAME_BYTES_MAX))
        return -ENAMETOOLONG;
    *changed_out = !find_held(subscriber, kind, name);
    if (!*changed_out)
        return 0;
    int result = join(subscriber, kind, name);
    subscriber->installing_version = subscriber->part->version;
    return result;
}

static void leave(struct weir_membership *membership)
{
    struct weir_subscriber *subscriber = membership->subscriber;
    struct weir_part *part = subscriber->part;
    struct weir_name *name = membership->name;
    weir_name_leave(&part->names, membership);
    weir_list_remove(&membership->node);
    free(membership);
    subscriber->held_count[name->kind]--;
    if (subscriber->pausing_since_ns && weir_name_may_pause(name)) {
        name->pausing_count--;
        weir_publish_wake_paused(part);
    }
    count_changed(part, name);
    weir_names_release(&part->names, name);
    for (uint32_t kind = 0; kind < WEIR_NAME_KINDS; kind++)
        if (subscriber->held_count[kind] > 0)
            return;
    weir_list_remove(&subscriber->node);
    part->counters.subscribers--;
}

int weir_broker_unsubscribe(struct weir_subscriber *subscriber, enum weir_name_kind kind, struct weir_slice name,
                            bool *changed_out)
{
    struct weir_membership *held = find_held(subscriber, kind, name);
    *changed_out = held != NULL;
    if (held) {
        leave(held);
        subscriber->installing_version = subscriber->part->version;
    }
    return 0;
}

void weir_broker_unsubscribe_all(struct weir_subscriber *subscriber)
{
    for (uint32_t kind = 0; kind < WEIR_NAME_KINDS; kind++)
        WEIR_LIST_EACH_SAFE(node, &subscriber->held[kind])
            leave(WEIR_CONTAINER(node, struct weir_membership, node));
    subscriber->installing_version = subscriber->part->version;
}

void weir_broker_each_held(struct weir_subscriber *subscriber, enum weir_name_kind kind,
                           void (*fn)(void *context, struct weir_slice name), void *context)
{
    WEIR_LIST_EACH_SAFE(node, &subscriber->held[kind])
        fn(context, WEIR_CONTAINER(node, struct weir_membership, node)->name->bytes);
}

bool weir_broker_installed(struct weir_subscriber *subscriber)
{
    struct weir_part *part = subscriber->part;
    if (weir_replica_acked(part) >= subscriber->installing_version)
        return true;
    weir_list_remove(&subscriber->installing);
    /* In order of version: whoever changed last waits last, and only the end can have a later one. */
    struct weir_list *after = part->installing.prev;
    while (after != &part->installing &&
           WEIR_CONTAINER(after, struct weir_subscriber, installing)->installing_version > subscriber->installing_version)
        after = after->prev;
    weir_list_push_front(after, &subscriber->installing);
    return false;
}

uint64_t weir_broker_subscriber_count(struct weir_part *part, enum weir_name_kind kind, struct weir_slice name)
{
    struct weir_name *found = weir_names_find(&part->names, kind, weir_names_hash(&part->names, kind, name), name);
    return found ? found->total : 0;
}

uint64_t weir_broker_name_count(struct weir_part *part, enum weir_name_kind kind)
{
    return part->names.counts[kind];
}

struct each_name {
    void (*fn)(void *context, struct weir_slice name, uint64_t subscribers);
    void *context;
};

static void on_each(void *context, struct weir_name *name)
{
    struct each_name *each = context;
    each->fn(each->context, name->bytes, name->total);
}

void weir_broker_each_name(struct weir_part *part, enum weir_name_kind kind,
                           void (*fn)(void *context, struct weir_slice name, uint64_t subscribers), void *context)
{
    struct each_name each = {fn, context};
    weir_names_each(&part->names, kind, on_each, &each);
}

struct weir_limit_verdict weir_broker_take(struct weir_part *part, uint64_t client_hash, struct weir_slice topic)
{
    if (!part->limit)
        return (struct weir_limit_verdict){.action = WEIR_LIMIT_ADMIT, .level = WEIR_LIMIT_NONE};
    uint64_t topic_hash = weir_hash_bytes(topic.bytes, topic.byte_count, part->broker->seed) | 1;
    uint64_t now_ns = part->reactor->now_ns;
    struct weir_limit_verdict verdict = weir_limit_take(part->limit, now_ns, client_hash, topic_hash, 1);
    if (!weir_wheel_armed(&part->limit_timer))
        weir_wheel_arm(&part->reactor->wheel, &part->limit_timer, now_ns + WEIR_LEASE_NS);
    if (verdict.action == WEIR_LIMIT_DELAY)
        part->counters.throttled_delay++;
    else if (verdict.action == WEIR_LIMIT_REJECT)
        part->counters.throttled_reject++;
    return verdict;
}

const struct weir_part_counters *weir_part_counters(const struct weir_part *part)
{
    return &part->counters;
}

uint64_t weir_part_observed_count(const struct weir_part *part)
{
    struct weir_limit_counts counts;
    uint64_t count = 0;
    if (!part->limit)
        return 0;
    weir_limit_counts(part->limit, &counts);
    for (uint32_t level = 0; level < WEIR_LIMIT_LEVELS; level++)
        if (part->broker->limits->rules[level].mode == WEIR_LIMIT_OBSERVE)
            count += counts.denied[level];
    return count;
}
