/*
 * broker/offsets.h - commits as rows of WEIR_TABLE_COMMITS on the group's reactor.
 *
 *     key    group, 0, topic, 0, partition (4 bytes, big-endian: rows of a topic sort by it)
 *     value  offset (8), leader epoch (4), format 1 with bit 7: no metadata (1), zero (3), when in ms (8), metadata
 */
#ifndef WEIR_BROKER_OFFSETS_H
#define WEIR_BROKER_OFFSETS_H

#include "broker/coordinator.h"

/* > 0: rows were written and `commit` comes when they are durable; 0: there was nothing to write; negative: an errno. */
int weir_offsets_commit(struct weir_store *store, struct weir_string group, const struct weir_commit_entry *entries, uint32_t count,
                        int64_t now_ms, struct weir_commit *commit);
/* *entries NULL: all of the group, into *memory. Else each of them is filled in; metadata lies in *memory. 0 or -ENOMEM. */
int weir_offsets_read(struct weir_store *store, struct weir_string group, struct weir_commit_entry **entries, uint32_t *count,
                      void **memory);
int weir_offsets_remove(struct weir_store *store, struct weir_string group, const struct weir_commit_entry *entries, uint32_t count,
                        struct weir_commit *commit); /* those whose result is OK */
/* The commits of all groups here on a topic that goes. 0, or a negative errno: some may be left, ask again. */
int weir_offsets_remove_topic(struct weir_store *store, struct weir_string topic);
int weir_offsets_remove_all(struct weir_store *store, struct weir_string group, struct weir_commit *commit);

#endif
