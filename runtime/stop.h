/* runtime/stop.h - a graceful stop: listeners close, what was accepted is handled and flushed, reactors end together. */
#ifndef WEIR_RUNTIME_STOP_H
#define WEIR_RUNTIME_STOP_H

#include <stdint.h>

struct weir_reactor;

/* Each turn once a stop was asked for: one step towards the end. Things done. */
uint32_t weir_stop_step(struct weir_reactor *reactor);

#endif
