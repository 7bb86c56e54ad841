/*
 * broker/keep.h - kept topics from inside the room: one reactor's store, its copy of the catalog, and how they come to be.
 *
 * Reactor 0 recovers the data directory in a blocking job while all reactors serve; then every reactor opens its store, then
 * reactor 0 reads the catalog's rows and tells them to all. Until then requests are answered LOADING.
 *
 *     LOADING --data open--> stores open --catalog told--> READY
 *         \-------------- why not: on_kept, FAILED
 */
#ifndef WEIR_BROKER_KEEP_H
#define WEIR_BROKER_KEEP_H

#include <ck_hs.h>

#include "broker/catalog.h"
#include "broker/part.h"
#include "log/store.h"

enum weir_keep_state { WEIR_KEEP_LOADING, WEIR_KEEP_READY, WEIR_KEEP_FAILED };

struct weir_coordinator; /* broker/coordinator.c */
struct weir_groups;
struct weir_transactions; /* broker/transactions.c */
struct weir_place; /* an owned partition: broker/place.h */

/* This reactor's copy of a topic, and the partitions it owns of it. */
struct weir_topic_copy {
    struct weir_kept_topic topic; /* first */
    uint64_t name_hash;
    struct weir_place **places; /* by partition; NULL where not opened yet, or not ours */
    uint32_t place_room;
    bool deleting; /* on reactor 0 only: its row stays until all have dropped it */
};

struct weir_keep {
    struct weir_part *part;
    struct weir_store *store; /* NULL: not yet */
    enum weir_keep_state state;
    bool told; /* the catalog here is whole: others, who may be READY before us, are served */
    ck_hs_t by_name;
    ck_hs_t by_id;
    struct weir_list topics;
    uint32_t topic_count;
    struct weir_list changes; /* reactor 0: those that wait for their turn; the first one is at work */
    bool ending; /* the part closes: answers find nobody */
    bool changing;
    bool beginning;
    struct weir_list places;  /* all opened */
    uint64_t producer_next, producer_end; /* producer ids of this reactor's block */
    struct weir_coordinator *coordinator;
    struct weir_transactions *transactions;
};

int weir_keep_copy(struct weir_broker *broker, const struct weir_keep_options *options);
int weir_keep_begin(struct weir_part *part);
void weir_keep_end(struct weir_part *part);
int64_t weir_keep_wall_ms(struct weir_part *part); /* CLOCK_REALTIME, or the simulator's */
static inline bool weir_keep_ready(const struct weir_part *part)
{
    return part->keep && part->keep->state == WEIR_KEEP_READY;
}

/* catalog.c, from keep.c */
int weir_catalog_init(struct weir_keep *keep);
void weir_catalog_deinit(struct weir_keep *keep);
struct weir_topic_copy *weir_catalog_copy(struct weir_keep *keep, const struct weir_log_id *id);
/* Put a topic into this reactor's copy, or change it there. -ENOMEM. */
int weir_catalog_put(struct weir_keep *keep, const struct weir_kept_topic *topic);
int weir_catalog_put_marked(struct weir_keep *keep, const struct weir_kept_topic *topic, bool deleting);
/* It is being deleted: its name is free again; found by its id until it is removed. */
void weir_catalog_hide(struct weir_keep *keep, struct weir_topic_copy *copy);
void weir_catalog_remove(struct weir_keep *keep, struct weir_topic_copy *copy); /* frees it */
/* catalog_row.c: rows of WEIR_TABLE_CATALOG; the key is the topic's id. */
enum { WEIR_CATALOG_ROW_BYTES_MAX = 512 };
uint32_t weir_catalog_row_write(uint8_t *bytes, const struct weir_kept_topic *topic, bool deleting);
bool weir_catalog_row_read(const void *key, uint32_t key_bytes, const void *value, uint32_t value_bytes,
                           struct weir_kept_topic *topic_out, bool *deleting_out);
/* catalog_change.c: what stands in the way of a topic that was being deleted when the node ended. */
void weir_catalog_resume(struct weir_keep *keep);

/* coordinator.c */
struct weir_groups *weir_coordinator_groups(struct weir_part *part);

/* place.c */
void weir_places_drop(struct weir_keep *keep, struct weir_topic_copy *copy); /* the topic is gone */
void weir_places_configure(struct weir_keep *keep, struct weir_topic_copy *copy);
void weir_places_failed(struct weir_keep *keep); /* the store takes nothing more */
void weir_places_quiet(struct weir_keep *keep);  /* before the store closes: nothing is read for live subscribers any more */
void weir_places_close(struct weir_keep *keep);
void *weir_place_state(void *context, struct weir_partition *partition, size_t *byte_count_out); /* for checkpoints */
void weir_partition_config_of(const struct weir_part *part, const struct weir_kept_topic *topic,
                              struct weir_partition_config *config_out);

#endif
