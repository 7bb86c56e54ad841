/*
 * runtime/registry.h - the names a runtime knows: from text to slot and back. Names are never forgotten.
 *
 * Looking up takes no lock: the table has its full size from the start and its cells are filled once, with a release
 * store (N) that look-ups acquire. Interning takes a mutex: it is for set-up, never for an event's path.
 */
#ifndef WEIR_RUNTIME_REGISTRY_H
#define WEIR_RUNTIME_REGISTRY_H

#include "runtime/path.h"
#include "runtime/topics.h"

/* Unchanged from when it can be found until the registry closes. */
struct weir_name {
    uint64_t hash;
    struct weir_topic topic;
    struct weir_path *path;
};

/* The name, made if need be. 0; -EINVAL (wildcards in it), -ENOSPC (topics_max), -ENOMEM. Any thread. */
int weir_registry_intern(struct weir_registry *registry, const struct weir_path *path,
                         const struct weir_name **name_out);
/* NULL: nobody has interned it. Any thread. */
const struct weir_name *weir_registry_find(const struct weir_registry *registry, const char *text,
                                           size_t byte_count);
/* NULL: not of this runtime. Any thread. */
const struct weir_name *weir_registry_at(const struct weir_registry *registry, uint32_t slot);

#endif
