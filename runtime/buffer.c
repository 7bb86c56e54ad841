/*
 * runtime/buffer.c - payload memory: owner-only free lists, references counted off when they come home.
 *
 * Bounded by bytes_max for each reactor; what the free lists keep was in use at once some time. At the bound they are given
 * back, the largest first, so that a storm of one size leaves memory for the others. A pointer that finds the return ring
 * full waits in `unreturned`, which is tried again each turn.
 * Proof: tests/runtime/buffer_test.c.
 */
#include "runtime/buffer.h"

#include <errno.h>
#include <stdlib.h>

#include "runtime/reactor.h"

#define BUFFER_MAGIC 0x77656972u /* "weir" */

static uint32_t class_of(size_t total_bytes)
{
    if (total_bytes > (size_t)1 << WEIR_BUFFER_CLASS_MAX)
        return WEIR_BUFFER_CLASSES;
    uint32_t bits = 64u - (uint32_t)__builtin_clzll((uint64_t)total_bytes - 1);
    return bits <= WEIR_BUFFER_CLASS_MIN ? 0 : bits - WEIR_BUFFER_CLASS_MIN;
}

static size_t class_bytes(uint32_t size_class)
{
    return (size_t)1 << (size_class + WEIR_BUFFER_CLASS_MIN);
}

int weir_buffers_init(struct weir_buffers *buffers, uint32_t reactor_count, uint64_t bytes_max)
{
    *buffers = (struct weir_buffers){.bytes_max = bytes_max, .reactor_count = reactor_count};
    buffers->unreturned = calloc(reactor_count, sizeof *buffers->unreturned);
    return buffers->unreturned ? 0 : -ENOMEM;
}

void weir_buffers_deinit(struct weir_buffers *buffers)
{
    for (uint32_t i = 0; i < WEIR_BUFFER_CLASSES; i++)
        while (buffers->free[i]) {
            struct weir_buffer *buffer = buffers->free[i];
            buffers->free[i] = buffer->next;
            free(buffer);
        }
    for (uint32_t i = 0; buffers->unreturned && i < buffers->reactor_count; i++)
        free(buffers->unreturned[i].buffers);
    free(buffers->unreturned);
}

static struct weir_buffer *take_free(struct weir_buffers *buffers, uint32_t size_class)
{
    struct weir_buffer *buffer = buffers->free[size_class];
    buffers->free[size_class] = buffer->next;
    buffers->bytes_free -= class_bytes(size_class);
    return buffer;
}

static void trim(struct weir_buffers *buffers, uint64_t bytes)
{
    for (uint32_t i = WEIR_BUFFER_CLASSES; i-- > 0;)
        while (buffers->free[i] && buffers->bytes_used + bytes > buffers->bytes_max) {
            free(take_free(buffers, i));
            buffers->bytes_used -= class_bytes(i);
        }
}

static struct weir_buffer *new_buffer(struct weir_buffers *buffers, uint32_t size_class, size_t total)
{
    size_t bytes = size_class < WEIR_BUFFER_CLASSES ? class_bytes(size_class) : total;
    if (weir_buffers_held_bytes(buffers) + bytes > buffers->bytes_max)
        return NULL;
    trim(buffers, bytes);
    struct weir_buffer *buffer = malloc(bytes);
    if (!buffer)
        return NULL;
    buffers->bytes_used += bytes;
    buffer->size_class = size_class;
    buffer->byte_count = bytes - sizeof *buffer;
    buffer->magic = BUFFER_MAGIC;
    return buffer;
}

struct weir_buffer *weir_buffer_take(struct weir_reactor *reactor, size_t byte_count)
{
    struct weir_buffers *buffers = &reactor->buffers;
    size_t total = byte_count + sizeof(struct weir_buffer);
    uint32_t size_class = class_of(total);
    struct weir_buffer *buffer = NULL;
    if (size_class < WEIR_BUFFER_CLASSES && buffers->free[size_class]) {
        buffer = take_free(buffers, size_class);
    } else {
        buffer = new_buffer(buffers, size_class, total);
        if (!buffer)
            return NULL;
    }
    buffer->next = NULL;
    buffer->owner = reactor->index;
    buffer->refs = 1;
    buffers->live_count++;
    return buffer;
}

void weir_buffer_hold(struct weir_reactor *owner, struct weir_buffer *buffer)
{
    WEIR_ASSERT(buffer->magic == BUFFER_MAGIC);
    WEIR_ASSERT(buffer->owner == owner->index);
    buffer->refs++;
}

static void count_off(struct weir_buffers *buffers, struct weir_buffer *buffer)
{
    WEIR_ASSERT(buffer->magic == BUFFER_MAGIC);
    WEIR_ASSERT(buffer->refs > 0);
    if (--buffer->refs > 0)
        return;
    buffers->live_count--;
    if (buffer->size_class < WEIR_BUFFER_CLASSES) {
        buffer->next = buffers->free[buffer->size_class];
        buffers->free[buffer->size_class] = buffer;
        buffers->bytes_free += class_bytes(buffer->size_class);
        return;
    }
    buffers->bytes_used -= buffer->byte_count + sizeof *buffer;
    buffer->magic = 0;
    free(buffer);
}

/* The one place on this path that may allocate: it grows to the most that ever waited, and stays. */
static void keep_unreturned(struct weir_reactor *reactor, struct weir_buffer *buffer)
{
    struct weir_unreturned *waiting = &reactor->buffers.unreturned[buffer->owner];
    if (waiting->count == waiting->room) {
        uint32_t room = waiting->room ? waiting->room * 2 : 64;
        void **grown = realloc(waiting->buffers, room * sizeof *grown);
        WEIR_ASSERT(grown != NULL); /* a lost reference would be lost for good */
        waiting->buffers = grown;
        waiting->room = room;
    }
    waiting->buffers[waiting->count++] = buffer;
    reactor->buffers.returns_waiting = true;
}

void weir_buffer_drop(struct weir_reactor *reactor, struct weir_buffer *buffer)
{
    if (buffer->owner == reactor->index)
        count_off(&reactor->buffers, buffer);
    else if (!weir_mesh_return(reactor->mesh, reactor->index, buffer->owner, buffer))
        keep_unreturned(reactor, buffer);
}

static void on_home(void *context, uint32_t from, void *pointer)
{
    (void)from;
    count_off(context, pointer);
}

static void retry_unreturned(struct weir_reactor *reactor)
{
    struct weir_buffers *buffers = &reactor->buffers;
    buffers->returns_waiting = false;
    for (uint32_t owner = 0; owner < buffers->reactor_count; owner++) {
        struct weir_unreturned *waiting = &buffers->unreturned[owner];
        while (waiting->count > 0 && weir_mesh_return(reactor->mesh, reactor->index, owner,
                                                      waiting->buffers[waiting->count - 1]))
            waiting->count--;
        buffers->returns_waiting |= waiting->count > 0;
    }
}

void weir_buffers_collect(struct weir_reactor *reactor)
{
    weir_mesh_collect(reactor->mesh, reactor->index, on_home, &reactor->buffers);
    if (reactor->buffers.returns_waiting)
        retry_unreturned(reactor);
}
