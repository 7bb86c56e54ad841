/*
 * wire/kafka/kafka_bytes.h - big-endian numbers at any address.
 */
#ifndef WEIR_WIRE_KAFKA_KAFKA_BYTES_H
#define WEIR_WIRE_KAFKA_KAFKA_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

enum { WEIR_KAFKA_UVARINT_BYTES_MAX = 5 };

static inline uint16_t weir_kafka_load_u16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return be16toh(value);
}

static inline uint32_t weir_kafka_load_u32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return be32toh(value);
}

static inline uint64_t weir_kafka_load_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return be64toh(value);
}

static inline void weir_kafka_store_u16(uint8_t *at, uint16_t value)
{
    value = htobe16(value);
    memcpy(at, &value, sizeof value);
}

static inline void weir_kafka_store_u32(uint8_t *at, uint32_t value)
{
    value = htobe32(value);
    memcpy(at, &value, sizeof value);
}

static inline void weir_kafka_store_u64(uint8_t *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof value);
}

/* Room for WEIR_KAFKA_UVARINT_BYTES_MAX; how many it took. */
static inline uint32_t weir_kafka_store_uvarint(uint8_t *at, uint32_t value)
{
    uint32_t count = 0;
    while (value >= 0x80) {
        at[count++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    at[count++] = (uint8_t)value;
    return count;
}

/* How many bytes it took, 0: cut short, or more than 32 bits. */
static inline uint32_t weir_kafka_load_uvarint(const uint8_t *at, size_t byte_count,
                                               uint32_t *value_out)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < WEIR_KAFKA_UVARINT_BYTES_MAX && i < byte_count; i++) {
        if (i == WEIR_KAFKA_UVARINT_BYTES_MAX - 1 && at[i] > 0x0f)
            return 0;
        value |= (uint32_t)(at[i] & 0x7f) << (7 * i);
        if (at[i] < 0x80) {
            *value_out = value;
            return i + 1;
        }
    }
    return 0;
}

#endif
