/*
 * tests/wire/kafka/kafka_fixture.h - bytes that end where an unmapped page begins, and arenas to decode them into.
 */
#ifndef TESTS_WIRE_KAFKA_KAFKA_FIXTURE_H
#define TESTS_WIRE_KAFKA_KAFKA_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "kafka_fill.h"

enum { REGION_BYTES = 1 << 20, ARENA_BYTES = 64 << 20, SIZE_BYTES = 4, CORRELATION_BYTES = 4 };

struct fixture {
    uint8_t *end; /* of what may be read */
    struct weir_kafka_arena arena;
    struct weir_kafka_arena expected;
};

static inline int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    uint8_t *region = mmap(NULL, REGION_BYTES + 65536, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(region, MAP_FAILED);
    assert_int_equal(mprotect(region + REGION_BYTES, 65536, PROT_NONE), 0);
    fixture->end = region + REGION_BYTES;
    weir_kafka_arena_init(&fixture->arena, NULL, 0, ARENA_BYTES);
    weir_kafka_arena_init(&fixture->expected, NULL, 0, ARENA_BYTES);
    *state = fixture;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *fixture = *state;
    weir_kafka_arena_deinit(&fixture->arena);
    weir_kafka_arena_deinit(&fixture->expected);
    munmap(fixture->end - REGION_BYTES, REGION_BYTES + 65536);
    free(fixture);
    return 0;
}

static inline void start_again(struct fixture *fixture)
{
    weir_kafka_arena_deinit(&fixture->arena);
    weir_kafka_arena_deinit(&fixture->expected);
    weir_kafka_arena_init(&fixture->arena, NULL, 0, ARENA_BYTES);
    weir_kafka_arena_init(&fixture->expected, NULL, 0, ARENA_BYTES);
}

/* Hex, with spaces where they help. */
static inline size_t from_hex(const char *hex, uint8_t *out)
{
    size_t count = 0;
    for (; *hex; hex += *hex == ' ' ? 1 : 2) {
        unsigned value;
        if (*hex == ' ')
            continue;
        assert_int_equal(sscanf(hex, "%2x", &value), 1);
        out[count++] = (uint8_t)value;
    }
    return count;
}

/* The bytes at the end of the readable region; its first byte. */
static inline const uint8_t *place(struct fixture *fixture, const char *hex, size_t *count_out)
{
    static uint8_t bytes[REGION_BYTES];
    *count_out = from_hex(hex, bytes);
    return memcpy(fixture->end - *count_out, bytes, *count_out);
}

/* How many bytes of the frame come before the body. */

#endif
