/*
 * log/codec.c - one function for each codec and direction, around the library that has it.
 *
 * Output grows from a guess up to bytes_max, so a small input that claims or makes much ends with -EFBIG. Proof: tests/log/codec_test.c.
 */
#include "log/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>


enum { GUESS_BYTES = 16 << 10, XERIAL_HEAD = 16 };
static const uint8_t xerial_magic[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};

struct growing {
    uint8_t *bytes;
    size_t used;
    size_t room;
    size_t bytes_max;
};

static int grow(struct growing *out)
{
    if (out->room >= out->bytes_max)
        return -EFBIG;
    size_t room = out->room ? out->room * 2 : GUESS_BYTES;
    if (room > out->bytes_max)
        room = out->bytes_max;
    uint8_t *grown = realloc(out->bytes, room);
    if (!grown)
        return -ENOMEM;
    out->bytes = grown;
    out->room = room;
    return 0;
}

static int open_gzip(const uint8_t *bytes, size_t byte_count, struct growing *out)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)byte_count};
    int result = 0, step = Z_OK;
    if (inflateInit2(&stream, 15 + 16) != Z_OK) /* 16: a gzip header */
        return -ENOMEM;
    while (result == 0 && step != Z_STREAM_END) {
        if (out->used == out->room && (result = grow(out)) < 0)
            break;
        stream.next_out = out->bytes + out->used;
        stream.avail_out = (uInt)(out->room - out->used);
        step = inflate(&stream, Z_NO_FLUSH);
        out->used = out->room - stream.avail_out;
        if (step != Z_OK && step != Z_STREAM_END && !(step == Z_BUF_ERROR && stream.avail_out == 0))
            result = step == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
    }
    inflateEnd(&stream);
    return result;
}

static int open_raw_snappy(const uint8_t *bytes, size_t byte_count, struct growing *out)
{
    size_t length;
    if (snappy_uncompressed_length((const char *)bytes, byte_count, &length) != SNAPPY_OK)
        return -EBADMSG;
    if (length > out->bytes_max - out->used)
        return -EFBIG;
    while (out->room - out->used < length) {
        int result = grow(out);
        if (result < 0)
            return result;
    }
    if (snappy_uncompress((const char *)bytes, byte_count, (char *)out->bytes + out->used, &length) != SNAPPY_OK)
        return -EBADMSG;
    out->used += length;
    return 0;
}

static uint32_t big_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* xerial's form: magic, two versions, then chunks with their sizes. Anything else is one raw block. */
static int open_snappy(const uint8_t *bytes, size_t byte_count, struct growing *out)
{
    if (byte_count < XERIAL_HEAD || memcmp(bytes, xerial_magic, sizeof xerial_magic) != 0)
        return open_raw_snappy(bytes, byte_count, out);
    int result = 0;
    for (size_t at = XERIAL_HEAD; at < byte_count && result == 0;) {
        if (byte_count - at < 4)
            return -EBADMSG;
        uint32_t chunk = big_u32(bytes + at);
        at += 4;
        if (chunk > byte_count - at)
            return -EBADMSG;
        result = open_raw_snappy(bytes + at, chunk, out);
        at += chunk;
    }
    return result;
}

static int open_lz4(const uint8_t *bytes, size_t byte_count, struct growing *out)
{
    LZ4F_dctx *context;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
        return -ENOMEM;
    int result = 0;
    size_t at = 0, more = 1;
    while (result == 0 && more != 0) {
        if (out->used == out->room && (result = grow(out)) < 0)
            break;
        size_t taken = byte_count - at, made = out->room - out->used;
        more = LZ4F_decompress(context, out->bytes + out->used, &made, bytes + at, &taken, NULL);
        at += taken;
        out->used += made;
        if (LZ4F_isError(more) || (more != 0 && taken == 0 && made == 0 && out->used < out->room))
            result = -EBADMSG;
    }
    LZ4F_freeDecompressionContext(context);
    return result;
}

static int open_zstd(const uint8_t *bytes, size_t byte_count, struct growing *out)
{
    ZSTD_DStream *stream = ZSTD_createDStream();
    ZSTD_inBuffer in = {bytes, byte_count, 0};
    int result = stream ? 0 : -ENOMEM;
    size_t more = 1;
    while (result == 0 && more != 0) {
        if (out->used == out->room && (result = grow(out)) < 0)
            break;
        ZSTD_outBuffer made = {out->bytes, out->room, out->used};
        more = ZSTD_decompressStream(stream, &made, &in);
        bool stands = made.pos == out->used && in.pos == in.size;
        out->used = made.pos;
        if (ZSTD_isError(more) || (more != 0 && stands && out->used < out->room))
            result = -EBADMSG;
    }
    ZSTD_freeDStream(stream);
    return result;
}

int weir_codec_open(const uint8_t *bytes, const struct weir_batch *batch, size_t bytes_max, uint8_t **block_out, size_t *block_bytes_out)
{
    const uint8_t *packed = bytes + WEIR_BATCH_HEAD_BYTES;
    size_t packed_bytes = batch->byte_count - WEIR_BATCH_HEAD_BYTES;
    struct growing out = {.bytes_max = bytes_max};
    int result;
    switch (batch->attributes & WEIR_BATCH_CODEC_MASK) {
    case WEIR_CODEC_GZIP:
        result = open_gzip(packed, packed_bytes, &out);
        break;
    case WEIR_CODEC_SNAPPY:
        result = open_snappy(packed, packed_bytes, &out);
        break;
    case WEIR_CODEC_LZ4:
        result = open_lz4(packed, packed_bytes, &out);
        break;
    case WEIR_CODEC_ZSTD:
        result = open_zstd(packed, packed_bytes, &out);
        break;
    default:
        result = -ENOTSUP;
    }
    if (result < 0) {
        free(out.bytes);
        return result;
    }
    *block_out = out.bytes;
    *block_bytes_out = out.used;
    return 0;
}

/* ---- The other way ------------------------------------------------------------------------------- */

static int close_gzip(const uint8_t *block, size_t block_bytes, struct growing *out)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)block, .avail_in = (uInt)block_bytes};
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    out->room = deflateBound(&stream, (uLong)block_bytes);
    out->bytes = malloc(out->room);
    stream.next_out = out->bytes;
    stream.avail_out = (uInt)out->room;
    int step = out->bytes ? deflate(&stream, Z_FINISH) : Z_MEM_ERROR;
    out->used = out->room - stream.avail_out;
    deflateEnd(&stream);
    return step == Z_STREAM_END ? 0 : -ENOMEM;
}

static int close_other(enum weir_codec codec, const uint8_t *block, size_t block_bytes, struct growing *out)
{
    size_t made;
    out->room = codec == WEIR_CODEC_SNAPPY ? snappy_max_compressed_length(block_bytes)
                : codec == WEIR_CODEC_LZ4  ? LZ4F_compressFrameBound(block_bytes, NULL)
                                           : ZSTD_compressBound(block_bytes);
    out->bytes = malloc(out->room ? out->room : 1);
    if (!out->bytes)
        return -ENOMEM;
    if (codec == WEIR_CODEC_SNAPPY) {
        made = out->room;
        if (snappy_compress((const char *)block, block_bytes, (char *)out->bytes, &made) != SNAPPY_OK)
            return -EINVAL;
    } else if (codec == WEIR_CODEC_LZ4) {
        made = LZ4F_compressFrame(out->bytes, out->room, block, block_bytes, NULL);
        if (LZ4F_isError(made))
            return -EINVAL;
    } else {
        made = ZSTD_compress(out->bytes, out->room, block, block_bytes, 3);
        if (ZSTD_isError(made))
            return -EINVAL;
    }
    out->used = made;
    return 0;
}

int weir_codec_close(enum weir_codec codec, const uint8_t *block, size_t block_bytes, uint8_t **bytes_out, size_t *byte_count_out)
{
    struct growing out = {.bytes_max = SIZE_MAX};
    if (codec < WEIR_CODEC_GZIP || codec > WEIR_CODEC_ZSTD)
        return -ENOTSUP;
    int result = codec == WEIR_CODEC_GZIP ? close_gzip(block, block_bytes, &out) : close_other(codec, block, block_bytes, &out);
    if (result < 0) {
        free(out.bytes);
        return result;
    }
    *bytes_out = out.bytes;
    *byte_count_out = out.used;
    return 0;
}
