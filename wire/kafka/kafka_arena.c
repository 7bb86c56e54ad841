/*
 * wire/kafka/kafka_arena.c - memory of one request: taken bit by bit, freed at once.
 *
 * The first block is the caller's; others come from malloc and double up to BLOCK_BYTES_MAX, so that a large message does not ask
 * often and a small one never. Bounded by bytes_left. Proof: tests/wire/kafka/kafka_arena_test.c.
 */
#include <stdlib.h>
#include <string.h>

#include "wire/kafka/kafka_codec.h"

enum { ALIGNMENT = 8, BLOCK_BYTES_MIN = 4 << 10, BLOCK_BYTES_MAX = 256 << 10 };

struct weir_kafka_block {
    struct weir_kafka_block *next;
    size_t byte_count;
    uint64_t bytes[];
};

void weir_kafka_arena_init(struct weir_kafka_arena *arena, void *first, size_t first_bytes,
                           size_t bytes_max)
{
    size_t off = (0 - (uintptr_t)first) % ALIGNMENT;
    if (!first || first_bytes < off) {
        first = NULL;
        first_bytes = 0;
        off = 0;
    }
    *arena = (struct weir_kafka_arena){.bytes_left = bytes_max};
    if (first) {
        arena->next = (uint8_t *)first + off;
        arena->end = (uint8_t *)first + first_bytes;
    }
}

void weir_kafka_arena_deinit(struct weir_kafka_arena *arena)
{
    struct weir_kafka_block *block = arena->blocks;
    while (block) {
        struct weir_kafka_block *next = block->next;
        free(block);
        block = next;
    }
    *arena = (struct weir_kafka_arena){0};
}

static bool add_block(struct weir_kafka_arena *arena, size_t byte_count)
{
    size_t wanted = arena->blocks ? 2 * arena->blocks->byte_count : BLOCK_BYTES_MIN;
    if (wanted > BLOCK_BYTES_MAX)
        wanted = BLOCK_BYTES_MAX;
    if (wanted < byte_count)
        wanted = byte_count;
    struct weir_kafka_block *block = malloc(sizeof *block + wanted);
    if (!block)
        return false;
    block->byte_count = wanted;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->next = (uint8_t *)block->bytes;
    arena->end = arena->next + wanted;
    return true;
}

void *weir_kafka_arena_take(struct weir_kafka_arena *arena, size_t byte_count)
{
    if (byte_count > arena->bytes_left)
        return NULL;
    size_t rounded = byte_count ? (byte_count + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT;
    if (rounded > (size_t)(arena->end - arena->next) && !add_block(arena, rounded))
        return NULL;
    void *taken = arena->next;
    arena->next += rounded;
    arena->bytes_left -= rounded < arena->bytes_left ? rounded : arena->bytes_left;
    memset(taken, 0, byte_count);
    return taken;
}
