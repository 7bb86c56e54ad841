/*
 * broker/group_subscription.c - the topics in the metadata of Kafka's consumer protocol.
 *
 *     version i16 (0 .. 3), topics: count i32, each i16 and its bytes; then user data and more, which nobody here looks at
 *
 * Big-endian, and from outside. Proof: tests/broker/groups_*.c.
 */
#include <string.h>

#include "broker/groups_own.h"

struct topics { /* a walk over them */
    const uint8_t *next;
    const uint8_t *end;
    uint32_t left;
    bool failed;
};

static uint32_t get(struct topics *topics, uint32_t byte_count)
{
    uint32_t value = 0;
    if ((size_t)(topics->end - topics->next) < byte_count) {
        topics->failed = true;
        return 0;
    }
    for (uint32_t i = 0; i < byte_count; i++)
        value = value << 8 | *topics->next++;
    return value;
}

static struct topics open_topics(struct weir_blob metadata)
{
    struct topics topics = {.next = metadata.bytes, .end = (const uint8_t *)metadata.bytes + metadata.byte_count};
    if (metadata.byte_count == 0) {
        topics.failed = true;
        return topics;
    }
    uint32_t version = get(&topics, 2);
    topics.left = get(&topics, 4);
    if (version > INT16_MAX || topics.left > INT32_MAX)
        topics.failed = true;
    return topics;
}

static bool next_topic(struct topics *topics, struct weir_string *topic_out)
{
    if (topics->failed || topics->left == 0)
        return false;
    topics->left--;
    uint32_t byte_count = get(topics, 2);
    if (topics->failed || byte_count > INT16_MAX || byte_count > topics->end - topics->next) {
        topics->failed = true;
        return false;
    }
    *topic_out = (struct weir_string){.bytes = (const char *)topics->next, .byte_count = byte_count};
    topics->next += byte_count;
    return true;
}

bool weir_subscription_has(struct weir_blob metadata, struct weir_string topic)
{
    struct topics topics = open_topics(metadata);
    struct weir_string one;
    while (next_topic(&topics, &one))
        if (weir_string_same(one, topic))
            return true;
    return topics.failed;
}

/* Clients send them sorted or in the order they were given: the same ones in another order are another subscription. */
bool weir_subscription_same_topics(struct weir_blob a, struct weir_blob b)
{
    struct topics of_a = open_topics(a), of_b = open_topics(b);
    struct weir_string one_a, one_b;
    bool same = of_a.left == of_b.left;
    while (same && next_topic(&of_a, &one_a) && next_topic(&of_b, &one_b))
        same = weir_string_same(one_a, one_b);
    if (of_a.failed || of_b.failed)
        return a.byte_count == b.byte_count && (a.byte_count == 0 || memcmp(a.bytes, b.bytes, a.byte_count) == 0);
    return same;
}
