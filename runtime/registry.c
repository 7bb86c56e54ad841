/*
 * runtime/registry.c - interned topic names.
 *
 * Open addressing over twice as many cells as there may be names, so it never grows and a look-up is a few loads.
 * Pages are touched as names come. A topic's generation is drawn from its name: a handle of another runtime, where the
 * slot is another name's, is refused. Bounds: topics_max names of 1,024 bytes. Proof: tests/runtime/topic_test.c.
 */
#include "runtime/registry.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/hash.h"

enum { TOPICS_MAX = 1u << 24 };

struct weir_registry {
    pthread_mutex_t lock;  /* for writers of all that follows */
    uint32_t topics_max;
    uint32_t cell_mask;
    weir_atomic_u32 count; /* (C) release: names[0 .. count - 1] are there */
    weir_atomic_ptr *cells; /* struct weir_name, by hash; (N) release, once each */
    weir_atomic_ptr *names; /* the same by slot */
};

int weir_registry_open(uint32_t topics_max, struct weir_registry **registry_out)
{
    if (topics_max == 0 || topics_max > TOPICS_MAX)
        return -EINVAL;
    struct weir_registry *registry = calloc(1, sizeof *registry);
    if (!registry)
        return -ENOMEM;
    uint32_t cells = 2;
    while (cells < 2 * topics_max)
        cells *= 2;
    registry->topics_max = topics_max;
    registry->cell_mask = cells - 1;
    registry->cells = calloc(cells, sizeof *registry->cells);
    registry->names = calloc(topics_max, sizeof *registry->names);
    if (!registry->cells || !registry->names || pthread_mutex_init(&registry->lock, NULL) != 0) {
        free(registry->cells);
        free(registry->names);
        free(registry);
        return -ENOMEM;
    }
    *registry_out = registry;
    return 0;
}

void weir_registry_close(struct weir_registry *registry)
{
    uint32_t count = weir_load(&registry->count, relaxed); /* no other thread is left */
    for (uint32_t slot = 0; slot < count; slot++) {
        struct weir_name *name = weir_load(&registry->names[slot], relaxed);
        free(name->path);
        free(name);
    }
    pthread_mutex_destroy(&registry->lock);
    free(registry->cells);
    free(registry->names);
    free(registry);
}

static uint64_t hash_of(const char *text, size_t byte_count)
{
    return weir_hash_bytes(text, byte_count, 0);
}

/* The cell that holds the name, or the empty one where it belongs. */
static uint32_t cell_of(const struct weir_registry *registry, uint64_t hash, const char *text, size_t byte_count,
                        struct weir_name **name_out)
{
    for (uint32_t at = (uint32_t)hash & registry->cell_mask;; at = (at + 1) & registry->cell_mask) {
        struct weir_name *name = weir_load(&registry->cells[at], acquire); /* (N) */
        *name_out = name;
        if (!name)
            return at;
        if (name->hash == hash && name->path->byte_count == byte_count &&
            memcmp(name->path->text, text, byte_count) == 0)
            return at;
    }
}

const struct weir_name *weir_registry_find(const struct weir_registry *registry, const char *text,
                                           size_t byte_count)
{
    struct weir_name *name;
    cell_of(registry, hash_of(text, byte_count), text, byte_count, &name);
    return name;
}

const struct weir_name *weir_registry_at(const struct weir_registry *registry, uint32_t slot)
{
    if (slot >= weir_load(&registry->count, acquire)) /* (C) */
        return NULL;
    return weir_load(&registry->names[slot], relaxed); /* there since (C) */
}

const char *weir_registry_name(const struct weir_registry *registry, uint32_t slot)
{
    const struct weir_name *name = weir_registry_at(registry, slot);
    return name ? name->path->text : NULL;
}

uint32_t weir_registry_count(const struct weir_registry *registry)
{
    return weir_load(&registry->count, acquire); /* (C) */
}

static struct weir_name *new_name(uint32_t slot, uint64_t hash, const struct weir_path *path)
{
    struct weir_name *name = malloc(sizeof *name);
    if (!name)
        return NULL;
    name->hash = hash;
    name->topic = (struct weir_topic){slot, (uint32_t)(hash >> 33) | 1};
    name->path = weir_path_copy(path);
    if (name->path)
        return name;
    free(name);
    return NULL;
}

/* The lock is held. */
static int intern(struct weir_registry *registry, const struct weir_path *path, struct weir_name **name_out)
{
    uint64_t hash = hash_of(path->text, path->byte_count);
    uint32_t at = cell_of(registry, hash, path->text, path->byte_count, name_out);
    if (*name_out)
        return 0;
    uint32_t slot = weir_load(&registry->count, relaxed); /* ours: the lock is held */
    if (slot == registry->topics_max)
        return -ENOSPC;
    struct weir_name *name = new_name(slot, hash, path);
    if (!name)
        return -ENOMEM;
    weir_store(&registry->names[slot], name, relaxed); /* shown by (C) */
    weir_store(&registry->count, slot + 1, release);   /* (C) before (N): who finds a name finds its slot */
    weir_store(&registry->cells[at], name, release);   /* (N) */
    *name_out = name;
    return 0;
}

int weir_registry_intern(struct weir_registry *registry, const struct weir_path *path,
                         const struct weir_name **name_out)
{
    if (weir_path_is_pattern(path))
        return -EINVAL;
    struct weir_name *name;
    pthread_mutex_lock(&registry->lock);
    int result = intern(registry, path, &name);
    pthread_mutex_unlock(&registry->lock);
    *name_out = name;
    return result;
}
