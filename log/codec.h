/*
 * log/codec.h - opening the records of a compressed batch, by the libraries that made the formats known.
 *
 * Batches pass weir unopened. They are opened where somebody must see values: live subscribers, streams, compaction, tools.
 * gzip (zlib), snappy (raw, or in xerial's chunks), lz4 (frames), zstd. Bounded by bytes_max, whatever the input says.
 * Proof: tests/log/codec_test.c, tests/log/codec_fuzz.c.
 */
#ifndef WEIR_LOG_CODEC_H
#define WEIR_LOG_CODEC_H

#include "log/batch.h"

enum { WEIR_CODEC_BYTES_MAX = 64 << 20 };

enum weir_codec { WEIR_CODEC_NONE, WEIR_CODEC_GZIP, WEIR_CODEC_SNAPPY, WEIR_CODEC_LZ4, WEIR_CODEC_ZSTD };

/*
 * The records of `batch`, whose bytes begin at `bytes`, in malloc'd memory.
 * Returns 0; -EBADMSG: not what its attributes say; -EFBIG: more than bytes_max; -ENOTSUP: no such codec; -ENOMEM.
 */
int weir_codec_open(const uint8_t *bytes, const struct weir_batch *batch, size_t bytes_max, uint8_t **block_out, size_t *block_bytes_out);
/* The other way round, for tests and tools: records compressed with `codec`, malloc'd. */
int weir_codec_close(enum weir_codec codec, const uint8_t *block, size_t block_bytes, uint8_t **bytes_out, size_t *byte_count_out);

#endif
