/*
 * log/batch_bytes.h - numbers of record batches: big-endian, and the zig-zag varints inside records.
 */
#ifndef WEIR_LOG_BATCH_BYTES_H
#define WEIR_LOG_BATCH_BYTES_H

#include <stdint.h>

enum { /* where the fields of a batch are */
    WEIR_BATCH_AT_LENGTH = 8,
    WEIR_BATCH_AT_EPOCH = 12,
    WEIR_BATCH_AT_MAGIC = 16,
    WEIR_BATCH_AT_CRC = 17,
    WEIR_BATCH_AT_ATTRIBUTES = 21, /* the CRC covers from here on */
    WEIR_BATCH_AT_LAST_DELTA = 23,
    WEIR_BATCH_AT_FIRST_TIMESTAMP = 27,
    WEIR_BATCH_AT_LAST_TIMESTAMP = 35,
    WEIR_BATCH_AT_PRODUCER_ID = 43,
    WEIR_BATCH_AT_PRODUCER_EPOCH = 51,
    WEIR_BATCH_AT_BASE_SEQUENCE = 53,
    WEIR_BATCH_AT_RECORDS = 57,
    WEIR_BATCH_MAGIC = 2,
};

static inline uint16_t weir_batch_get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t weir_batch_get32(const uint8_t *at)
{
    return (uint32_t)weir_batch_get16(at) << 16 | weir_batch_get16(at + 2);
}

static inline uint64_t weir_batch_get64(const uint8_t *at)
{
    return (uint64_t)weir_batch_get32(at) << 32 | weir_batch_get32(at + 4);
}

static inline void weir_batch_put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void weir_batch_put32(uint8_t *at, uint32_t value)
{
    weir_batch_put16(at, (uint16_t)(value >> 16));
    weir_batch_put16(at + 2, (uint16_t)value);
}

static inline void weir_batch_put64(uint8_t *at, uint64_t value)
{
    weir_batch_put32(at, (uint32_t)(value >> 32));
    weir_batch_put32(at + 4, (uint32_t)value);
}

static inline uint64_t weir_batch_zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static inline int64_t weir_batch_unzigzag(uint64_t coded)
{
    return (int64_t)(coded >> 1) ^ -(int64_t)(coded & 1);
}

#endif
