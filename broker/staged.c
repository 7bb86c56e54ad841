/* broker/staged.c - see the header. Proof: tests/clients/kafka_test.py. */
#include "broker/staged.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct staged { /* one partition of one group, by one producer; the names lie behind */
    struct weir_list node;
    int64_t producer_id;
    uint32_t partition;
    struct weir_string group, topic;
};

static bool same(struct weir_string a, struct weir_string b)
{
    return a.byte_count == b.byte_count && memcmp(a.bytes, b.bytes, a.byte_count) == 0;
}

int weir_staged_add(struct weir_list *staged, struct weir_string group, int64_t producer_id, const struct weir_commit_entry *entry)
{
    struct staged *added = malloc(sizeof *added + group.byte_count + entry->topic.byte_count);
    if (!added)
        return -ENOMEM;
    char *text = (char *)(added + 1);
    memcpy(text, group.bytes, group.byte_count);
    memcpy(text + group.byte_count, entry->topic.bytes, entry->topic.byte_count);
    *added = (struct staged){
        .producer_id = producer_id,
        .partition = entry->partition,
        .group = {text, group.byte_count},
        .topic = {text + group.byte_count, entry->topic.byte_count},
    };
    weir_list_init(&added->node);
    weir_list_push_back(staged, &added->node);
    return 0;
}

void weir_staged_remove(struct weir_list *staged, struct weir_string group, int64_t producer_id)
{
    WEIR_LIST_EACH_SAFE(node, staged)
    {
        struct staged *at = WEIR_CONTAINER(node, struct staged, node);
        if (at->producer_id != producer_id || !same(at->group, group))
            continue;
        weir_list_remove(node);
        free(at);
    }
}

void weir_staged_clear(struct weir_list *staged)
{
    for (struct weir_list *node; (node = weir_list_pop_front(staged));)
        free(WEIR_CONTAINER(node, struct staged, node));
}

bool weir_staged_has(const struct weir_list *staged, struct weir_string group, const struct weir_commit_entry *entry)
{
    WEIR_LIST_EACH(node, staged)
    {
        const struct staged *at = WEIR_CONTAINER(node, struct staged, node);
        if (at->partition == entry->partition && same(at->topic, entry->topic) && same(at->group, group))
            return true;
    }
    return false;
}
