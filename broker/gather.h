/*
 * broker/gather.h - ask every reactor for text, and get it all in one piece: INFO, CLIENT LIST.
 *
 * Each reactor runs `fn` in its own turn and appends to its own text; when all have, `done` runs on the asking reactor with the
 * texts in order of reactor. Cold: it allocates.
 */
#ifndef WEIR_BROKER_GATHER_H
#define WEIR_BROKER_GATHER_H

#include <stddef.h>

#include "runtime/reactor.h"

struct weir_text { /* grows; failed once there was no memory */
    char *bytes;
    size_t byte_count;
    size_t room;
    bool failed;
};

__attribute__((format(printf, 2, 3))) void weir_text_add(struct weir_text *text, const char *format, ...);
void weir_text_add_bytes(struct weir_text *text, const void *bytes, size_t byte_count);
void weir_text_free(struct weir_text *text);

/* On each reactor. `context` is shared by all: read-only, or atomic. */
typedef void (*weir_gather_fn)(struct weir_reactor *reactor, struct weir_text *text, void *context);
/* On the asker. `texts` (one for each reactor) are freed when it returns. */
typedef void (*weir_gathered_fn)(struct weir_reactor *reactor, struct weir_text *texts, uint32_t count, void *context);

/* -ENOMEM: nothing will be called. Without credit it waits by itself. */
int weir_gather(struct weir_reactor *reactor, weir_gather_fn fn, weir_gathered_fn done, void *context);

#endif
