/*
 * runtime/buffer.h - payload memory of one reactor, counted by its owner, sent home from elsewhere.
 *
 * A buffer is born on its owner and dies there. The owner counts the references without atomics: one for each holder,
 * of which any may be on another reactor. A holder elsewhere lets go by sending the pointer home over the mesh's
 * return ring; the owner counts it off when it collects. Size classes are powers of two with free lists, so after
 * warm-up nothing is allocated.
 */
#ifndef WEIR_RUNTIME_BUFFER_H
#define WEIR_RUNTIME_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "ring/mesh.h"

struct weir_reactor;

enum {
    WEIR_BUFFER_CLASS_MIN = 7,  /* 128 bytes, head included */
    WEIR_BUFFER_CLASS_MAX = 17, /* 128 KiB; larger ones come from malloc and go back to it */
    WEIR_BUFFER_CLASSES = WEIR_BUFFER_CLASS_MAX - WEIR_BUFFER_CLASS_MIN + 1,
};

struct weir_buffer {
    struct weir_buffer *next; /* the owner's free list */
    uint32_t owner;           /* reactor index */
    uint32_t size_class;      /* WEIR_BUFFER_CLASSES: from malloc */
    uint32_t refs;            /* the owner's alone */
    uint32_t magic;
    size_t byte_count; /* room in bytes[] */
    uint8_t bytes[];
};

struct weir_unreturned { /* pointers that found the return ring full; grows, then stays */
    void **buffers;
    uint32_t count;
    uint32_t room;
};

struct weir_buffers {
    struct weir_buffer *free[WEIR_BUFFER_CLASSES];
    uint64_t bytes_used; /* from malloc: held and free */
    uint64_t bytes_free; /* of them, on the free lists */
    uint64_t bytes_max;
    uint64_t live_count;
    struct weir_unreturned *unreturned; /* one for each reactor */
    uint32_t reactor_count;
    bool returns_waiting;
};

int weir_buffers_init(struct weir_buffers *buffers, uint32_t reactor_count, uint64_t bytes_max);
void weir_buffers_deinit(struct weir_buffers *buffers);

static inline uint64_t weir_buffers_held_bytes(const struct weir_buffers *buffers)
{
    return buffers->bytes_used - buffers->bytes_free;
}

/* A buffer with one reference and room for `byte_count`; NULL: over the reactor's share of memory. */
struct weir_buffer *weir_buffer_take(struct weir_reactor *reactor, size_t byte_count);
/* One more reference; the owner only. */
void weir_buffer_hold(struct weir_reactor *owner, struct weir_buffer *buffer);
/* One reference less; any reactor that has one. Never fails. */
void weir_buffer_drop(struct weir_reactor *reactor, struct weir_buffer *buffer);

/* The reactor's turn: count off what came home; try again what could not be sent. */
void weir_buffers_collect(struct weir_reactor *reactor);

#endif
