/* log/codec: what was closed opens to the same bytes, and hostile input ends bounded. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log/codec.h"

enum { BLOCK_BYTES = 100000 };

/* A batch whose records are `packed`; the rest of its head does not matter to a codec. */
static uint8_t *batch_of(const uint8_t *packed, size_t packed_bytes, enum weir_codec codec, struct weir_batch *batch)
{
    uint8_t *bytes = calloc(1, WEIR_BATCH_HEAD_BYTES + packed_bytes);
    memcpy(bytes + WEIR_BATCH_HEAD_BYTES, packed, packed_bytes);
    *batch = (struct weir_batch){.byte_count = (uint32_t)(WEIR_BATCH_HEAD_BYTES + packed_bytes), .attributes = (uint16_t)codec};
    return bytes;
}

static void fill(uint8_t *block, size_t byte_count)
{
    uint32_t state = 1;
    for (size_t i = 0; i < byte_count; i++) {
        state = state * 1664525 + 1013904223;
        block[i] = i % 64 < 48 ? (uint8_t)(i % 64) : (uint8_t)(state >> 24);
    }
}

static void what_was_closed_opens_to_the_same_bytes(void **state)
{
    (void)state;
    uint8_t *block = malloc(BLOCK_BYTES);
    fill(block, BLOCK_BYTES);
    for (int codec = WEIR_CODEC_GZIP; codec <= WEIR_CODEC_ZSTD; codec++) {
        uint8_t *packed, *opened;
        size_t packed_bytes, opened_bytes;
        struct weir_batch batch;
        assert_int_equal(weir_codec_close((enum weir_codec)codec, block, BLOCK_BYTES, &packed, &packed_bytes), 0);
        assert_true(packed_bytes < BLOCK_BYTES);
        uint8_t *bytes = batch_of(packed, packed_bytes, (enum weir_codec)codec, &batch);
        assert_int_equal(weir_codec_open(bytes, &batch, WEIR_CODEC_BYTES_MAX, &opened, &opened_bytes), 0);
        assert_int_equal(opened_bytes, BLOCK_BYTES);
        assert_memory_equal(opened, block, BLOCK_BYTES);
        free(opened);
        free(bytes);
        free(packed);
    }
    free(block);
}

static void more_than_the_bound_is_refused(void **state)
{
    (void)state;
    uint8_t *zeros = calloc(1, 8 << 20);
    for (int codec = WEIR_CODEC_GZIP; codec <= WEIR_CODEC_ZSTD; codec++) {
        uint8_t *packed, *opened = NULL;
        size_t packed_bytes, opened_bytes;
        struct weir_batch batch;
        assert_int_equal(weir_codec_close((enum weir_codec)codec, zeros, 8 << 20, &packed, &packed_bytes), 0);
        uint8_t *bytes = batch_of(packed, packed_bytes, (enum weir_codec)codec, &batch);
        assert_int_equal(weir_codec_open(bytes, &batch, 1 << 20, &opened, &opened_bytes), -EFBIG);
        free(bytes);
        free(packed);
    }
    free(zeros);
}

static void a_cut_block_is_not_what_it_says(void **state)
{
    (void)state;
    uint8_t block[2000];
    fill(block, sizeof block);
    for (int codec = WEIR_CODEC_GZIP; codec <= WEIR_CODEC_ZSTD; codec++) {
        uint8_t *packed, *opened = NULL;
        size_t packed_bytes, opened_bytes;
        struct weir_batch batch;
        assert_int_equal(weir_codec_close((enum weir_codec)codec, block, sizeof block, &packed, &packed_bytes), 0);
        for (size_t cut = 0; cut < packed_bytes; cut += 7) {
            uint8_t *bytes = batch_of(packed, cut, (enum weir_codec)codec, &batch);
            assert_int_equal(weir_codec_open(bytes, &batch, 1 << 20, &opened, &opened_bytes), -EBADMSG);
            free(bytes);
        }
        free(packed);
    }
}

static void snappy_in_chunks_opens_as_one_block(void **state)
{
    (void)state;
    static const uint8_t head[16] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};
    uint8_t block[3000], packed[8000];
    size_t used = sizeof head;
    fill(block, sizeof block);
    memcpy(packed, head, sizeof head);
    for (size_t at = 0; at < sizeof block; at += 1000) {
        uint8_t *chunk;
        size_t chunk_bytes;
        assert_int_equal(weir_codec_close(WEIR_CODEC_SNAPPY, block + at, 1000, &chunk, &chunk_bytes), 0);
        packed[used++] = (uint8_t)(chunk_bytes >> 24);
        packed[used++] = (uint8_t)(chunk_bytes >> 16);
        packed[used++] = (uint8_t)(chunk_bytes >> 8);
        packed[used++] = (uint8_t)chunk_bytes;
        memcpy(packed + used, chunk, chunk_bytes);
        used += chunk_bytes;
        free(chunk);
    }
    uint8_t *opened;
    size_t opened_bytes;
    struct weir_batch batch;
    uint8_t *bytes = batch_of(packed, used, WEIR_CODEC_SNAPPY, &batch);
    assert_int_equal(weir_codec_open(bytes, &batch, 1 << 20, &opened, &opened_bytes), 0);
    assert_int_equal(opened_bytes, sizeof block);
    assert_memory_equal(opened, block, sizeof block);
    free(opened);
    free(bytes);
}

static void a_codec_that_is_none_is_refused(void **state)
{
    (void)state;
    uint8_t byte = 0, *opened;
    size_t opened_bytes;
    struct weir_batch batch;
    uint8_t *bytes = batch_of(&byte, 1, (enum weir_codec)5, &batch);
    assert_int_equal(weir_codec_open(bytes, &batch, 1 << 20, &opened, &opened_bytes), -ENOTSUP);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_closed_opens_to_the_same_bytes),
        cmocka_unit_test(more_than_the_bound_is_refused),
        cmocka_unit_test(a_cut_block_is_not_what_it_says),
        cmocka_unit_test(snappy_in_chunks_opens_as_one_block),
        cmocka_unit_test(a_codec_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
