/*
 * base/crc32c.h - CRC-32C (Castagnoli), as in iSCSI, Kafka record batches and weir's log.
 *
 * The processor's instruction where it has one (SSE4.2, ARMv8 CRC), a 1 KiB table otherwise. Chosen
 * at run time, without a static: either at each call, or once by a caller that keeps the pointer.
 */
#ifndef WEIR_BASE_CRC32C_H
#define WEIR_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/*
 * The checksum of bytes that follow a prefix whose checksum is `crc` (0 for none), so that
 * f(f(0, a), b) is the checksum of a and b together.
 */
typedef uint32_t (*weir_crc32c_fn)(uint32_t crc, const void *bytes, size_t count);

/* The fastest this processor has. Never NULL; the same at each call. */
weir_crc32c_fn weir_crc32c_choose(void);

/* Chooses, then computes. */
uint32_t weir_crc32c(uint32_t crc, const void *bytes, size_t count);

/* The table, on any processor: what the instruction is tested against. */
uint32_t weir_crc32c_table(uint32_t crc, const void *bytes, size_t count);

#endif
