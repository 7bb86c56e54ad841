/* serve/logger.h - log lines in logfmt on standard error: time, level, then what the runtime said. */
#ifndef WEIR_SERVE_LOGGER_H
#define WEIR_SERVE_LOGGER_H

#include <weir/runtime.h>

#include "base/atomic.h"

struct logger {
    enum weir_log_level level; /* the least that is written */
    bool colour;
    weir_atomic_u32 lost; /* lines that standard error did not take; any thread */
};

bool logger_may_colour(int fd); /* a terminal, and neither NO_COLOR nor TERM=dumb say otherwise */

void logger_init(struct logger *logger, enum weir_log_level level);
void logger_write(void *context, enum weir_log_level level, const char *line); /* a weir_log_fn of a logger */
__attribute__((format(printf, 3, 4))) void
logger_say(struct logger *logger, enum weir_log_level level, const char *format, ...);

#endif
