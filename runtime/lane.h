/*
 * runtime/lane.h - the way in for foreign threads: one SPSC ring each, drained by its home reactor.
 *
 * The producer is a thread that runs no reactor; the consumer is the lane's home. The home forwards what is for another
 * reactor over the mesh; without credit it leaves the slot where it is, so a full mesh fills the lane and the foreign
 * thread is told -EAGAIN.
 */
#ifndef WEIR_RUNTIME_LANE_H
#define WEIR_RUNTIME_LANE_H

#include <weir/work.h>

enum { WEIR_LANES_MAX = 64 }; /* on one reactor */

struct weir_lanes;

int weir_lanes_open(struct weir_runtime *runtime);
void weir_lanes_close(struct weir_runtime *runtime); /* frees those that were not closed */

uint32_t weir_lanes_drain(struct weir_reactor *reactor);        /* slots taken */
bool weir_lanes_prepare_sleep(struct weir_reactor *reactor);    /* after the mesh's announcement: false, there is work */

#endif
