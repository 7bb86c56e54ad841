/*
 * log/batch_walk.c - the records of a batch, one after the other, in place.
 *
 * Every length is held against the end of what encloses it: a varint against the record, a record against the block. Offsets must
 * grow and stay within the batch, so what is walked can be numbered, also after compaction has left gaps. Bytes behind the last record
 * are an error.
 *
 * Copies and allocates nothing. Proof: tests/log/batch_test.c, tests/log/batch_fuzz.c.
 */
#include "log/batch.h"

#include <errno.h>

#include "log/batch_bytes.h"

enum { VARINT_BYTES_MAX = 5, VARLONG_BYTES_MAX = 10 };

/* A cursor that fails once and for all. */
struct reader {
    const uint8_t *next;
    const uint8_t *end;
    bool failed;
};

static uint64_t read_groups(struct reader *reader, uint32_t bytes_max)
{
    uint64_t coded = 0;
    for (uint32_t i = 0; i < bytes_max && reader->next < reader->end; i++) {
        uint8_t byte = *reader->next++;
        uint64_t group = byte & 127u;
        uint32_t shift = 7 * i;
        if (shift > 57 && group >> (64 - shift)) /* bits that no 64-bit number has */
            break;
        coded |= group << shift;
        if (byte < 128)
            return coded;
    }
    reader->failed = true;
    return 0;
}

static int64_t read_varlong(struct reader *reader)
{
    return weir_batch_unzigzag(read_groups(reader, VARLONG_BYTES_MAX));
}

static int32_t read_varint(struct reader *reader)
{
    if (reader->next < reader->end && *reader->next < 128) { /* nearly always */
        uint8_t byte = *reader->next++;
        return (int32_t)weir_batch_unzigzag(byte);
    }
    uint64_t coded = read_groups(reader, VARINT_BYTES_MAX);
    if (coded > UINT32_MAX)
        reader->failed = true;
    return (int32_t)weir_batch_unzigzag((uint32_t)coded);
}

static const uint8_t *skip(struct reader *reader, int32_t byte_count)
{
    const uint8_t *at = reader->next;
    if (byte_count < 0 || byte_count > reader->end - at) {
        reader->failed = true;
        return NULL;
    }
    reader->next = at + byte_count;
    return at;
}

/* NULL when it is absent (-1), or malformed. */
static const uint8_t *read_blob(struct reader *reader, uint32_t *byte_count_out)
{
    int32_t byte_count = read_varint(reader);
    *byte_count_out = 0;
    if (reader->failed || byte_count == -1)
        return NULL;
    const uint8_t *at = skip(reader, byte_count);
    if (at)
        *byte_count_out = (uint32_t)byte_count;
    return at;
}

static void read_header(struct reader *reader, struct weir_record_header *header_out)
{
    header_out->name = read_blob(reader, &header_out->name_bytes);
    if (!header_out->name)
        reader->failed = true; /* a value may be absent, a name may not */
    header_out->value = read_blob(reader, &header_out->value_bytes);
}

int weir_batch_header_next(const uint8_t **at, const uint8_t *end, struct weir_record_header *header_out)
{
    if (*at == end)
        return 0;
    struct reader reader = {.next = *at, .end = end};
    read_header(&reader, header_out);
    if (reader.failed)
        return -EBADMSG;
    *at = reader.next;
    return 1;
}

static void read_headers(struct reader *reader, struct weir_batch_record *record)
{
    int32_t count = read_varint(reader);
    record->headers = reader->next;
    record->header_count = (uint32_t)count;
    if (count < 0 || count > reader->end - reader->next) /* each takes at least a byte: no long loop over nothing */
        reader->failed = true;
    struct weir_record_header header;
    for (int32_t i = 0; i < count && !reader->failed; i++)
        read_header(reader, &header);
}

static bool number(struct weir_batch_walk *walk, int32_t delta, struct weir_batch_record *record)
{
    if (delta < 0 || (uint32_t)delta < walk->delta_min || (uint32_t)delta > walk->last_delta)
        return false;
    walk->delta_min = (uint32_t)delta + 1;
    record->offset = walk->base_offset + (uint32_t)delta;
    return true;
}

/* The body of one record, which ends where `body` ends. */
static bool read_body(struct weir_batch_walk *walk, struct reader *body, struct weir_batch_record *record)
{
    if (body->next == body->end)
        return false;
    body->next++; /* attributes: none are defined */
    uint64_t timestamp_delta = (uint64_t)read_varlong(body);
    int32_t offset_delta = read_varint(body);
    record->timestamp_ms = walk->appended ? walk->append_ms : (int64_t)((uint64_t)walk->first_timestamp_ms + timestamp_delta);
    record->key = read_blob(body, &record->key_bytes);
    record->value = read_blob(body, &record->value_bytes);
    read_headers(body, record);
    record->end = body->end;
    return !body->failed && body->next == body->end && number(walk, offset_delta, record);
}

int weir_batch_next(struct weir_batch_walk *walk, struct weir_batch_record *record_out)
{
    if (walk->left == 0)
        return walk->next == walk->end ? 0 : -EBADMSG;
    struct reader reader = {.next = walk->next, .end = walk->end};
    int32_t byte_count = read_varint(&reader);
    if (reader.failed || !skip(&reader, byte_count))
        return -EBADMSG;
    struct reader body = {.next = reader.next - byte_count, .end = reader.next};
    if (!read_body(walk, &body, record_out))
        return -EBADMSG;
    walk->next = reader.next;
    walk->left--;
    return 1;
}

int weir_batch_walk(struct weir_batch_walk *walk, const uint8_t *bytes, const struct weir_batch *batch, const uint8_t *block,
                    size_t block_bytes)
{
    bool compressed = batch->attributes & WEIR_BATCH_CODEC_MASK;
    if (compressed && !block)
        return -ENOTSUP;
    *walk = (struct weir_batch_walk){
        .next = compressed ? block : bytes + WEIR_BATCH_HEAD_BYTES,
        .end = compressed ? block + block_bytes : bytes + batch->byte_count,
        .base_offset = batch->base_offset,
        .first_timestamp_ms = batch->first_timestamp_ms,
        .append_ms = batch->last_timestamp_ms,
        .left = batch->record_count,
        .last_delta = batch->last_delta,
        .appended = batch->attributes & WEIR_BATCH_APPEND_TIME,
    };
    return 0;
}
