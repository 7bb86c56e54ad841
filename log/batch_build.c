/*
 * log/batch_build.c - write a batch into caller's memory, record by record.
 *
 * A record begins with its own size, so each is measured before it is written; measuring is also how a record that does not fit is
 * refused before a byte of it is there. The header is written last, when all it says is known.
 *
 * Bounded by the caller's memory. Proof: tests/log/batch_test.c, tests/log/batch_fuzz.c (what is built is walked again).
 */
#include "log/batch.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "log/batch_bytes.h"

enum { ATTRIBUTES_BYTES = 1 };

static size_t varint_bytes(int64_t value)
{
    uint64_t coded = weir_batch_zigzag(value);
    size_t count = 1;
    for (; coded >= 128; coded >>= 7)
        count++;
    return count;
}

static uint8_t *put_varint(uint8_t *at, int64_t value)
{
    uint64_t coded = weir_batch_zigzag(value);
    for (; coded >= 128; coded >>= 7)
        *at++ = (uint8_t)(coded | 128);
    *at++ = (uint8_t)coded;
    return at;
}

static size_t blob_bytes(int64_t byte_count)
{
    return varint_bytes(byte_count) + (byte_count > 0 ? (size_t)byte_count : 0);
}

static uint8_t *put_blob(uint8_t *at, const void *bytes, int64_t byte_count)
{
    at = put_varint(at, byte_count);
    if (byte_count <= 0)
        return at;
    memcpy(at, bytes, (size_t)byte_count);
    return at + byte_count;
}

/* A record's parts, absent ones as -1. */
struct parts {
    int64_t timestamp_delta;
    uint32_t offset_delta;
    const void *key;
    const void *value;
    int64_t key_bytes;
    int64_t value_bytes;
    const struct weir_record_header *headers;
    uint32_t header_count;
};

static int64_t header_value_bytes(const struct weir_record_header *header)
{
    return header->value ? (int64_t)header->value_bytes : -1;
}

static size_t body_bytes(const struct parts *parts)
{
    size_t count = ATTRIBUTES_BYTES + varint_bytes(parts->timestamp_delta) + varint_bytes(parts->offset_delta) +
                   blob_bytes(parts->key_bytes) + blob_bytes(parts->value_bytes) + varint_bytes(parts->header_count);
    for (uint32_t i = 0; i < parts->header_count; i++)
        count += blob_bytes(parts->headers[i].name_bytes) + blob_bytes(header_value_bytes(&parts->headers[i]));
    return count;
}

static uint8_t *put_record(uint8_t *at, const struct parts *parts, size_t body)
{
    at = put_varint(at, (int64_t)body);
    *at++ = 0;
    at = put_varint(at, parts->timestamp_delta);
    at = put_varint(at, parts->offset_delta);
    at = put_blob(at, parts->key, parts->key_bytes);
    at = put_blob(at, parts->value, parts->value_bytes);
    at = put_varint(at, parts->header_count);
    for (uint32_t i = 0; i < parts->header_count; i++) {
        const struct weir_record_header *header = &parts->headers[i];
        at = put_blob(at, header->name, header->name_bytes);
        at = put_blob(at, header->value, header_value_bytes(header));
    }
    return at;
}

void weir_batch_begin(struct weir_batch_build *build, uint8_t *bytes, size_t room)
{
    *build = (struct weir_batch_build){
        .bytes = bytes,
        .room = room < INT32_MAX ? room : INT32_MAX,
        .used = WEIR_BATCH_HEAD_BYTES,
        .producer_id = -1,
        .producer_epoch = -1,
        .base_sequence = -1,
    };
}

/* So that no sum of sizes overflows. */
static bool fits(const struct weir_batch_build *build, const struct parts *parts)
{
    int64_t room = (int64_t)build->room;
    if (parts->key_bytes > room || parts->value_bytes > room || parts->header_count > build->room ||
        build->used > build->room)
        return false;
    size_t body = body_bytes(parts);
    return body <= build->room && varint_bytes((int64_t)body) + body <= build->room - build->used;
}

int weir_batch_add(struct weir_batch_build *build, int64_t timestamp_ms, const void *key, int64_t key_bytes, const void *value,
                   int64_t value_bytes, const struct weir_record_header *headers, uint32_t header_count)
{
    int64_t first_ms = build->record_count ? build->first_timestamp_ms : timestamp_ms;
    struct parts parts = {
        .timestamp_delta = (int64_t)((uint64_t)timestamp_ms - (uint64_t)first_ms),
        .offset_delta = build->record_count,
        .key = key,
        .value = value,
        .key_bytes = key && key_bytes >= 0 ? key_bytes : -1,
        .value_bytes = value && value_bytes >= 0 ? value_bytes : -1,
        .headers = headers,
        .header_count = header_count,
    };
    if (!fits(build, &parts))
        return -ENOSPC;
    uint8_t *end = put_record(build->bytes + build->used, &parts, body_bytes(&parts));
    build->used = (size_t)(end - build->bytes);
    if (build->record_count == 0 || timestamp_ms > build->last_timestamp_ms)
        build->last_timestamp_ms = timestamp_ms;
    build->first_timestamp_ms = first_ms;
    build->record_count++;
    return 0;
}

size_t weir_batch_finish(struct weir_batch_build *build)
{
    WEIR_ASSERT(build->record_count > 0);
    uint8_t *bytes = build->bytes;
    weir_batch_place(bytes, 0, 0);
    weir_batch_put32(bytes + WEIR_BATCH_AT_LENGTH, (uint32_t)(build->used - WEIR_BATCH_LENGTH_END));
    bytes[WEIR_BATCH_AT_MAGIC] = WEIR_BATCH_MAGIC;
    weir_batch_put16(bytes + WEIR_BATCH_AT_ATTRIBUTES, build->attributes);
    weir_batch_put32(bytes + WEIR_BATCH_AT_LAST_DELTA, build->record_count - 1);
    weir_batch_put64(bytes + WEIR_BATCH_AT_FIRST_TIMESTAMP, (uint64_t)build->first_timestamp_ms);
    weir_batch_put64(bytes + WEIR_BATCH_AT_LAST_TIMESTAMP, (uint64_t)build->last_timestamp_ms);
    weir_batch_put64(bytes + WEIR_BATCH_AT_PRODUCER_ID, (uint64_t)build->producer_id);
    weir_batch_put16(bytes + WEIR_BATCH_AT_PRODUCER_EPOCH, (uint16_t)build->producer_epoch);
    weir_batch_put32(bytes + WEIR_BATCH_AT_BASE_SEQUENCE, (uint32_t)build->base_sequence);
    weir_batch_put32(bytes + WEIR_BATCH_AT_RECORDS, build->record_count);
    weir_batch_seal(bytes);
    return build->used;
}

size_t weir_batch_control(uint8_t *bytes, int64_t producer_id, int16_t producer_epoch, bool commit, uint32_t coordinator_epoch,
                          int64_t timestamp_ms)
{
    uint8_t key[4] = {0, 0, 0, commit}; /* version 0; 0 abort, 1 commit */
    uint8_t value[6] = {0};             /* version 0 */
    weir_batch_put32(value + 2, coordinator_epoch);
    struct weir_batch_build build;
    weir_batch_begin(&build, bytes, WEIR_BATCH_CONTROL_BYTES_MAX);
    build.attributes = WEIR_BATCH_TRANSACTIONAL | WEIR_BATCH_CONTROL;
    build.producer_id = producer_id;
    build.producer_epoch = producer_epoch;
    int result = weir_batch_add(&build, timestamp_ms, key, sizeof key, value, sizeof value, NULL, 0);
    WEIR_ASSERT(result == 0);
    return weir_batch_finish(&build);
}
