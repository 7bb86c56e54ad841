/*
 * tests/log/batch_fuzz.c - any bytes are read, checked, walked and written without a byte too far, and what they say holds together.
 *
 * The first byte of an input chooses how the rest is taken: as it is, with its length and CRC made right (so that the records behind
 * them are reached), as a compressed batch whose block it is, or as the recipe of a batch to build. A batch a producer may send must
 * walk to its end with offsets 0, 1, 2 ...; what was walked is built again and must walk alike.
 *
 * With libFuzzer: batch_fuzz DIRECTORY. Without (FUZZ_STAND_ALONE): batch_fuzz FILE...
 */
#include "log/batch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

/* Not an assert: it has to hold in each build. */
#define MUST(condition) ((condition) ? (void)0 : broken(__LINE__, #condition))

static void broken(int line, const char *condition)
{
    fprintf(stderr, "batch_fuzz.c:%d: %s\n", line, condition);
    abort();
}

enum { AS_IT_IS, MADE_RIGHT, WITH_A_BLOCK, AS_A_RECIPE, WAYS };
enum { HEADERS_MAX = 8 };

static void must_lie_within(const uint8_t *at, uint32_t byte_count, const uint8_t *begin, const uint8_t *end)
{
    MUST(at == NULL ? byte_count == 0 : at >= begin && byte_count <= (size_t)(end - at));
}

/* Up to HEADERS_MAX of them, checked; all are counted. */
static void take_headers(const struct weir_batch_record *record, const uint8_t *begin, struct weir_record_header *headers)
{
    const uint8_t *at = record->headers;
    struct weir_record_header header;
    uint32_t count = 0;
    int result;
    while ((result = weir_batch_header_next(&at, record->end, &header)) == 1) {
        must_lie_within(header.name, header.name_bytes, begin, record->end);
        must_lie_within(header.value, header.value_bytes, begin, record->end);
        if (count < HEADERS_MAX)
            headers[count] = header;
        count++;
    }
    MUST(result == 0 && count == record->header_count);
}

static bool same_bytes(const uint8_t *a, uint32_t a_bytes, const uint8_t *b, uint32_t b_bytes)
{
    return (a == NULL) == (b == NULL) && a_bytes == b_bytes && (a_bytes == 0 || memcmp(a, b, a_bytes) == 0);
}

/* One record, built alone, reads back as it was. */
static void build_again(const struct weir_batch_record *record, const struct weir_record_header *headers)
{
    if (record->header_count > HEADERS_MAX)
        return;
    size_t room = WEIR_BATCH_HEAD_BYTES + 64 + record->key_bytes + record->value_bytes;
    for (uint32_t i = 0; i < record->header_count; i++)
        room += 16 + headers[i].name_bytes + headers[i].value_bytes;
    uint8_t *bytes = malloc(room);
    struct weir_batch_build build;
    struct weir_batch batch;
    struct weir_batch_walk walk;
    struct weir_batch_record back;
    weir_batch_begin(&build, bytes, room);
    MUST(weir_batch_add(&build, record->timestamp_ms, record->key, record->key ? record->key_bytes : -1, record->value,
                        record->value ? record->value_bytes : -1, headers, record->header_count) == 0);
    size_t byte_count = weir_batch_finish(&build);
    MUST(byte_count <= room);
    MUST(weir_batch_check_produced(bytes, byte_count, &batch) == WEIR_BATCH_FINE);
    MUST(weir_batch_walk(&walk, bytes, &batch, NULL, 0) == 0);
    MUST(weir_batch_next(&walk, &back) == 1);
    MUST(back.timestamp_ms == record->timestamp_ms && back.header_count == record->header_count);
    MUST(same_bytes(back.key, back.key_bytes, record->key, record->key_bytes));
    MUST(same_bytes(back.value, back.value_bytes, record->value, record->value_bytes));
    MUST(weir_batch_next(&walk, &back) == 0);
    free(bytes);
}

static void walk_it(const uint8_t *bytes, const struct weir_batch *batch, const uint8_t *block, size_t block_bytes, bool produced)
{
    struct weir_batch_walk walk;
    struct weir_batch_record record;
    struct weir_record_header headers[HEADERS_MAX];
    if (weir_batch_walk(&walk, bytes, batch, block, block_bytes) < 0) {
        MUST((batch->attributes & WEIR_BATCH_CODEC_MASK) && !block);
        return;
    }
    const uint8_t *begin = walk.next;
    uint32_t count = 0;
    uint64_t last = 0;
    int result;
    while ((result = weir_batch_next(&walk, &record)) == 1) {
        uint64_t delta = record.offset - batch->base_offset;
        MUST(delta <= batch->last_delta && (count == 0 || delta > last));
        MUST(!produced || delta == count);
        must_lie_within(record.key, record.key_bytes, begin, record.end);
        must_lie_within(record.value, record.value_bytes, begin, record.end);
        take_headers(&record, begin, headers);
        build_again(&record, headers);
        last = delta;
        count++;
    }
    MUST(result == 0 || result == -EBADMSG);
    MUST(result != 0 || count == batch->record_count);
    MUST(!produced || result == 0);
}

static void check_it(uint8_t *bytes, size_t byte_count)
{
    struct weir_batch batch;
    enum weir_batch_fault fault = weir_batch_check_produced(bytes, byte_count, &batch);
    MUST(weir_batch_fault_text(fault)[0] != '\0');
    if (weir_batch_check(bytes, byte_count, &batch) != WEIR_BATCH_FINE) {
        MUST(fault != WEIR_BATCH_FINE);
        return;
    }
    MUST(batch.byte_count <= byte_count);
    bool packed = batch.attributes & WEIR_BATCH_CODEC_MASK;
    walk_it(bytes, &batch, NULL, 0, fault == WEIR_BATCH_FINE && !packed);
    weir_batch_place(bytes, UINT64_MAX / 3, 5);
    MUST(weir_batch_check(bytes, byte_count, &batch) == WEIR_BATCH_FINE && batch.base_offset == UINT64_MAX / 3);
    weir_batch_stamp(bytes, 123);
    MUST(weir_batch_check(bytes, byte_count, &batch) == WEIR_BATCH_FINE && batch.last_timestamp_ms == 123);
}

static void make_right(uint8_t *bytes, size_t byte_count)
{
    if (byte_count < WEIR_BATCH_HEAD_BYTES)
        return;
    uint32_t length = (uint32_t)byte_count - WEIR_BATCH_LENGTH_END;
    for (int i = 0; i < 4; i++)
        bytes[8 + i] = (uint8_t)(length >> (24 - 8 * i));
    bytes[16] = 2;
    weir_batch_seal(bytes);
}

/* The header from the input's first bytes, the rest as what came out of a codec. */
static void take_as_block(const uint8_t *bytes, size_t byte_count)
{
    struct weir_batch batch;
    if (weir_batch_read(bytes, byte_count, &batch) != WEIR_BATCH_FINE)
        return;
    batch.attributes |= 1;
    size_t block_bytes = byte_count - WEIR_BATCH_HEAD_BYTES;
    uint8_t *block = malloc(block_bytes + 1);
    memcpy(block + 1, bytes + WEIR_BATCH_HEAD_BYTES, block_bytes); /* never a block of nothing */
    walk_it(bytes, &batch, block + 1, block_bytes, false);
    free(block);
}

/* Each four bytes are a record: time, size of key, size of value, headers. Room runs out sooner or later. */
static void follow_recipe(const uint8_t *bytes, size_t byte_count)
{
    enum { ROOM = 2048 };
    static const uint8_t source[256];
    static const struct weir_record_header headers[] = {{source, source, 5, 9}, {source, NULL, 0, 0}, {source, source, 130, 0}};
    uint8_t *room = malloc(ROOM);
    struct weir_batch_build build;
    weir_batch_begin(&build, room, ROOM);
    for (size_t at = 0; at + 4 <= byte_count; at += 4) {
        int64_t timestamp_ms = (int64_t)((uint64_t)bytes[at] << 56 ^ bytes[at]);
        size_t used = build.used;
        int result = weir_batch_add(&build, timestamp_ms, source, (int8_t)bytes[at + 1], source, (int64_t)bytes[at + 2] - 1, headers,
                                    bytes[at + 3] % 4u);
        MUST(result == 0 || (result == -ENOSPC && build.used == used));
    }
    if (build.record_count > 0) {
        size_t used = weir_batch_finish(&build);
        struct weir_batch batch;
        MUST(weir_batch_check_produced(room, used, &batch) == WEIR_BATCH_FINE && batch.byte_count == used);
        walk_it(room, &batch, NULL, 0, true);
    }
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    if (count < 1)
        return 0;
    size_t byte_count = count - 1;
    uint8_t *bytes = malloc(count);
    uint8_t *at = bytes + 1; /* ends with the block, so that a byte too far is seen */
    memcpy(at, data + 1, byte_count);
    switch (data[0] % WAYS) {
    case AS_IT_IS:
        check_it(at, byte_count);
        break;
    case MADE_RIGHT:
        make_right(at, byte_count);
        check_it(at, byte_count);
        break;
    case WITH_A_BLOCK:
        make_right(at, byte_count);
        take_as_block(at, byte_count);
        break;
    case AS_A_RECIPE:
        follow_recipe(at, byte_count);
        break;
    }
    free(bytes);
    return 0;
}

#ifdef FUZZ_STAND_ALONE
static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    static uint8_t data[1 << 20];
    if (file == NULL) {
        perror(path);
        return 1;
    }
    size_t count = fread(data, 1, sizeof(data), file);
    fclose(file);
    LLVMFuzzerTestOneInput(data, count);
    return 0;
}

int main(int count, char **paths)
{
    int result = count > 1 ? 0 : 2;
    for (int i = 1; i < count; i++)
        result |= run_file(paths[i]);
    printf("%d files\n", count - 1);
    return result;
}
#endif
