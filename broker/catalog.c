/*
 * broker/catalog.c - this reactor's copy of the catalog: look-ups by name and by id.
 *
 * Changes come from broker/catalog_change.c. Two hash sets (Concurrency Kit's ck_hs, used by one reactor only).
 * Proof: tests/broker/catalog_test.c.
 */
#include "broker/catalog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "broker/keep.h"

static unsigned long name_hash_of(const void *object, unsigned long seed)
{
    (void)seed;
    return (unsigned long)((const struct weir_topic_copy *)object)->name_hash;
}

static bool same_name(const void *a, const void *b)
{
    const struct weir_topic_copy *left = a, *right = b;
    return left->topic.name_bytes == right->topic.name_bytes &&
           memcmp(left->topic.name, right->topic.name, left->topic.name_bytes) == 0;
}

static unsigned long id_hash(const struct weir_log_id *id)
{
    unsigned long word;
    memcpy(&word, id->bytes, sizeof word); /* ids are random */
    return word;
}

static unsigned long id_hash_of(const void *object, unsigned long seed)
{
    (void)seed;
    return id_hash(&((const struct weir_topic_copy *)object)->topic.id);
}

static bool same_id(const void *a, const void *b)
{
    const struct weir_topic_copy *left = a, *right = b;
    return memcmp(&left->topic.id, &right->topic.id, sizeof left->topic.id) == 0;
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

int weir_catalog_init(struct weir_keep *keep)
{
    weir_list_init(&keep->topics);
    if (!ck_hs_init(&keep->by_name, CK_HS_MODE_SPMC | CK_HS_MODE_OBJECT, name_hash_of, same_name, &set_memory, 64, 1))
        return -ENOMEM;
    if (ck_hs_init(&keep->by_id, CK_HS_MODE_SPMC | CK_HS_MODE_OBJECT, id_hash_of, same_id, &set_memory, 64, 1))
        return 0;
    ck_hs_destroy(&keep->by_name);
    return -ENOMEM;
}

static void free_copy(struct weir_topic_copy *copy)
{
    free(copy->places);
    free(copy);
}

void weir_catalog_deinit(struct weir_keep *keep)
{
    WEIR_LIST_EACH_SAFE(node, &keep->topics)
        free_copy(WEIR_CONTAINER(node, struct weir_topic_copy, topic.node));
    ck_hs_destroy(&keep->by_name);
    ck_hs_destroy(&keep->by_id);
}

static struct weir_topic_copy *find_name(struct weir_keep *keep, const void *name, size_t name_bytes)
{
    struct weir_topic_copy wanted;
    if (name_bytes == 0 || name_bytes > WEIR_TOPIC_NAME_BYTES_MAX)
        return NULL;
    memcpy(wanted.topic.name, name, name_bytes);
    wanted.topic.name_bytes = (uint32_t)name_bytes;
    wanted.name_hash = weir_hash_bytes(name, name_bytes, keep->part->broker->seed);
    return ck_hs_get(&keep->by_name, (unsigned long)wanted.name_hash, &wanted);
}

struct weir_topic_copy *weir_catalog_copy(struct weir_keep *keep, const struct weir_log_id *id)
{
    struct weir_topic_copy wanted;
    wanted.topic.id = *id;
    return ck_hs_get(&keep->by_id, id_hash(id), &wanted);
}

/* A topic that is being deleted has given its name up already. */
static bool put_both(struct weir_keep *keep, struct weir_topic_copy *copy)
{
    if (!ck_hs_put(&keep->by_id, id_hash(&copy->topic.id), copy))
        return false;
    if (copy->deleting || ck_hs_put(&keep->by_name, (unsigned long)copy->name_hash, copy))
        return true;
    ck_hs_remove(&keep->by_id, id_hash(&copy->topic.id), copy);
    return false;
}

static int change_copy(struct weir_topic_copy *copy, const struct weir_kept_topic *topic)
{
    struct weir_list node = copy->topic.node;
    copy->topic = *topic;
    copy->topic.node = node;
    return 0;
}

static int grow_places(struct weir_topic_copy *copy, uint32_t count)
{
    if (count <= copy->place_room)
        return 0;
    struct weir_place **grown = realloc(copy->places, count * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    memset(grown + copy->place_room, 0, (count - copy->place_room) * sizeof *grown);
    copy->places = grown;
    copy->place_room = count;
    return 0;
}

void weir_catalog_hide(struct weir_keep *keep, struct weir_topic_copy *copy)
{
    if (!copy->deleting)
        ck_hs_remove(&keep->by_name, (unsigned long)copy->name_hash, copy);
    copy->deleting = true;
}

int weir_catalog_put(struct weir_keep *keep, const struct weir_kept_topic *topic)
{
    return weir_catalog_put_marked(keep, topic, false);
}

int weir_catalog_put_marked(struct weir_keep *keep, const struct weir_kept_topic *topic, bool deleting)
{
    struct weir_topic_copy *there = weir_catalog_copy(keep, &topic->id);
    if (there)
        return grow_places(there, topic->partition_count) < 0 ? -ENOMEM : change_copy(there, topic);
    struct weir_topic_copy *copy = calloc(1, sizeof *copy);
    if (!copy)
        return -ENOMEM;
    copy->topic = *topic;
    copy->deleting = deleting;
    copy->name_hash = weir_hash_bytes(topic->name, topic->name_bytes, keep->part->broker->seed);
    if (grow_places(copy, topic->partition_count) < 0 || !put_both(keep, copy)) {
        free_copy(copy);
        return -ENOMEM;
    }
    weir_list_push_back(&keep->topics, &copy->topic.node);
    keep->topic_count++;
    return 0;
}

void weir_catalog_remove(struct weir_keep *keep, struct weir_topic_copy *copy)
{
    ck_hs_remove(&keep->by_id, id_hash(&copy->topic.id), copy);
    if (!copy->deleting)
        ck_hs_remove(&keep->by_name, (unsigned long)copy->name_hash, copy);
    weir_list_remove(&copy->topic.node);
    keep->topic_count--;
    free_copy(copy);
}

const struct weir_kept_topic *weir_catalog_find(struct weir_part *part, const void *name, size_t name_bytes)
{
    struct weir_topic_copy *copy = part->keep ? find_name(part->keep, name, name_bytes) : NULL;
    return copy && !copy->deleting ? &copy->topic : NULL;
}

const struct weir_kept_topic *weir_catalog_find_id(struct weir_part *part, const struct weir_log_id *id)
{
    struct weir_topic_copy *copy = part->keep ? weir_catalog_copy(part->keep, id) : NULL;
    return copy && !copy->deleting ? &copy->topic : NULL;
}

void weir_catalog_each(struct weir_part *part, void (*fn)(void *context, const struct weir_kept_topic *topic), void *context)
{
    if (!part->keep)
        return;
    WEIR_LIST_EACH_SAFE(node, &part->keep->topics)
    {
        struct weir_topic_copy *copy = WEIR_CONTAINER(node, struct weir_topic_copy, topic.node);
        if (!copy->deleting)
            fn(context, &copy->topic);
    }
}

bool weir_topic_name_legal(const void *name, size_t name_bytes)
{
    const char *text = name;
    if (name_bytes == 0 || name_bytes > WEIR_TOPIC_NAME_BYTES_MAX)
        return false;
    if (text[0] == '.' && (name_bytes == 1 || (name_bytes == 2 && text[1] == '.')))
        return false;
    for (size_t i = 0; i < name_bytes; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}
