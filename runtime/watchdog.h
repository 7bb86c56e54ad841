/*
 * runtime/watchdog.h - the stall detector: names a handler that runs longer than its budget.
 *
 * A thread of its own looks at each reactor's turn_since_ns every half budget, and sleeps while all are parked. The reactor
 * itself measures the turn afterwards, so a stall that ended between two looks is counted as well.
 */
#ifndef WEIR_RUNTIME_WATCHDOG_H
#define WEIR_RUNTIME_WATCHDOG_H

#include <stdint.h>

struct weir_reactor;
struct weir_runtime;

int weir_watchdog_start(struct weir_runtime *runtime);
void weir_watchdog_stop(struct weir_runtime *runtime);

void weir_watchdog_on_stall(struct weir_reactor *reactor, uint64_t took_ns); /* the reactor: the last turn was long */
void weir_watchdog_on_unpark(struct weir_runtime *runtime);                  /* the reactor: look again */

#endif
