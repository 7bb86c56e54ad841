/*
 * broker/staged.h - commits of groups that wait for the end of a transaction: who reads only what is stable has to wait too.
 *
 * In memory: after a start the transactions tell them again. Bounded by what the open transactions hold.
 */
#ifndef WEIR_BROKER_STAGED_H
#define WEIR_BROKER_STAGED_H

#include "broker/coordinator.h"

int weir_staged_add(struct weir_list *staged, struct weir_string group, int64_t producer_id, const struct weir_commit_entry *entry);
void weir_staged_remove(struct weir_list *staged, struct weir_string group, int64_t producer_id); /* all of it */
void weir_staged_clear(struct weir_list *staged);
bool weir_staged_has(const struct weir_list *staged, struct weir_string group, const struct weir_commit_entry *entry);

#endif
