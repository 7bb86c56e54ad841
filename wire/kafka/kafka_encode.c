/*
 * wire/kafka/kafka_encode.c - structs to bytes: one walk to measure, the same walk to write.
 *
 * The walk goes into a sink, which counts, and writes where it has somewhere to write to; so what was measured is what is written,
 * sizes of frames and tags are known before their bytes, and everything but record batches is one piece of memory of exactly that
 * size. Record batches are cut out of it: the parts name them in their places.
 * Proof: tests/wire/kafka/kafka_codec_test.c, kafka_codec_fuzz.c.
 */
#include <errno.h>

#include "base/assert.h"
#include "wire/kafka/kafka_bytes.h"
#include "wire/kafka/kafka_codec.h"
#include "wire/kafka/kafka_table.h"

struct sink {
    uint8_t *at;         /* NULL: only counts */
    uint64_t byte_count; /* without pieces */
    uint64_t piece_bytes;
    uint64_t part_count; /* of pieces, and of bytes before them */
    struct weir_kafka_part *parts;
    const uint8_t *part; /* where the one being written began */
    int16_t version;
    bool flexible;
    bool too_long;
};

struct envelope { /* what goes into a frame */
    const struct weir_kafka_api *api;
    const struct weir_kafka_message *message;
    const void *body;
    const char *client_id;
    int32_t correlation_id;
    int16_t version;
    bool is_request;
};

static void put_struct(struct sink *sink, const struct weir_kafka_message *message,
                       const uint8_t *from);

/* ---- simple values ---- */

static void put(struct sink *sink, const void *bytes, size_t byte_count)
{
    sink->byte_count += byte_count;
    if (sink->at && byte_count > 0) {
        memcpy(sink->at, bytes, byte_count);
        sink->at += byte_count;
    }
}

static void put_u8(struct sink *sink, uint8_t value)
{
    put(sink, &value, sizeof value);
}

static void put_u16(struct sink *sink, uint16_t value)
{
    uint8_t bytes[sizeof value];
    weir_kafka_store_u16(bytes, value);
    put(sink, bytes, sizeof bytes);
}

static void put_u32(struct sink *sink, uint32_t value)
{
    uint8_t bytes[sizeof value];
    weir_kafka_store_u32(bytes, value);
    put(sink, bytes, sizeof bytes);
}

static void put_u64(struct sink *sink, uint64_t value)
{
    uint8_t bytes[sizeof value];
    weir_kafka_store_u64(bytes, value);
    put(sink, bytes, sizeof bytes);
}

static void put_uvarint(struct sink *sink, uint32_t value)
{
    uint8_t bytes[WEIR_KAFKA_UVARINT_BYTES_MAX];
    put(sink, bytes, weir_kafka_store_uvarint(bytes, value));
}

/* wide_bytes: of the length, where it is not compact. */
static void put_count(struct sink *sink, uint32_t wide_bytes, uint32_t count)
{
    if (count > (wide_bytes == 2 ? (uint32_t)INT16_MAX : (uint32_t)INT32_MAX))
        sink->too_long = true;
    if (sink->flexible)
        put_uvarint(sink, count + 1);
    else if (wide_bytes == 2)
        put_u16(sink, (uint16_t)count);
    else
        put_u32(sink, count);
}

static void put_null(struct sink *sink, uint32_t wide_bytes)
{
    if (sink->flexible)
        put_u8(sink, 0);
    else if (wide_bytes == 2)
        put_u16(sink, UINT16_MAX);
    else
        put_u32(sink, UINT32_MAX);
}

static void put_run(struct sink *sink, uint32_t wide_bytes, bool may_be_null, const void *bytes,
                    uint32_t count)
{
    if (!bytes && may_be_null) {
        put_null(sink, wide_bytes);
        return;
    }
    put_count(sink, wide_bytes, count);
    put(sink, bytes, count);
}

/* ---- records ---- */

static void end_part(struct sink *sink)
{
    if (sink->at && sink->at > sink->part) {
        *sink->parts++ = (struct weir_kafka_part){.bytes = sink->part,
                                                  .byte_count = (uint32_t)(sink->at - sink->part)};
        sink->part = sink->at;
    }
}

static void put_records(struct sink *sink, bool may_be_null,
                        const struct weir_kafka_records *records)
{
    if (!records->pieces) {
        put_run(sink, 4, may_be_null, records->bytes, records->byte_count);
        return;
    }
    put_count(sink, 4, records->byte_count);
    sink->piece_bytes += records->byte_count;
    sink->part_count += 1 + (uint64_t)records->piece_count;
    if (!sink->at)
        return;
    end_part(sink);
    for (uint32_t i = 0; i < records->piece_count; i++)
        *sink->parts++ = (struct weir_kafka_part){.piece = records->pieces[i]};
}

/* ---- arrays ---- */

static void put_array(struct sink *sink, const struct weir_kafka_field *field,
                      const struct weir_kafka_array *array)
{
    if (!array->items && weir_kafka_may_be_null(field, sink->version)) {
        put_null(sink, 4);
        return;
    }
    put_count(sink, 4, array->count);
    const struct weir_kafka_message *of = field->of;
    const uint8_t *item = array->items;
    for (uint32_t i = 0; i < array->count; i++, item += of->struct_bytes) {
        if (of->fields) {
            put_struct(sink, of, item);
        } else if (of->simple == WEIR_KAFKA_STRING) {
            const struct weir_kafka_string *string = (const void *)item;
            put_run(sink, 2, false, string->bytes, string->byte_count);
        } else {
            put_u32(sink, (uint32_t) * (const int32_t *)(const void *)item);
        }
    }
}

/* ---- fields ---- */

static void put_pointer(struct sink *sink, const struct weir_kafka_field *field, const void *to)
{
    if (field->tag < 0)
        put_u8(sink, to ? 1 : UINT8_MAX);
    if (to)
        put_struct(sink, field->of, to);
}

static void put_field(struct sink *sink, const struct weir_kafka_field *field, const void *place)
{
    bool may_be_null = weir_kafka_may_be_null(field, sink->version);
    switch ((enum weir_kafka_kind)field->kind) {
    case WEIR_KAFKA_BOOL:
        put_u8(sink, *(const bool *)place);
        break;
    case WEIR_KAFKA_I8:
        put_u8(sink, (uint8_t) * (const int8_t *)place);
        break;
    case WEIR_KAFKA_I16:
        put_u16(sink, (uint16_t) * (const int16_t *)place);
        break;
    case WEIR_KAFKA_I32:
        put_u32(sink, (uint32_t) * (const int32_t *)place);
        break;
    case WEIR_KAFKA_I64:
        put_u64(sink, (uint64_t) * (const int64_t *)place);
        break;
    case WEIR_KAFKA_UUID:
        put(sink, place, sizeof(struct weir_kafka_uuid));
        break;
    case WEIR_KAFKA_STRING: {
        const struct weir_kafka_string *string = place;
        put_run(sink, 2, may_be_null, string->bytes, string->byte_count);
        break;
    }
    case WEIR_KAFKA_BYTES: {
        const struct weir_kafka_bytes *bytes = place;
        put_run(sink, 4, may_be_null, bytes->bytes, bytes->byte_count);
        break;
    }
    case WEIR_KAFKA_RECORDS:
        put_records(sink, may_be_null, place);
        break;
    case WEIR_KAFKA_ARRAY:
        put_array(sink, field, place);
        break;
    case WEIR_KAFKA_STRUCT:
        put_struct(sink, field->of, place);
        break;
    case WEIR_KAFKA_POINTER:
        put_pointer(sink, field, *(const void *const *)place);
        break;
    }
}

/* ---- tags ---- */

/* Only kinds that tagged fields have. What equals its default is left out. */
static bool has_default(const struct weir_kafka_field *field, const void *place)
{
    switch ((enum weir_kafka_kind)field->kind) {
    case WEIR_KAFKA_BOOL:
        return *(const bool *)place == (field->value != 0);
    case WEIR_KAFKA_I16:
        return *(const int16_t *)place == field->value;
    case WEIR_KAFKA_I64:
        return *(const int64_t *)place == field->value;
    case WEIR_KAFKA_STRING: {
        const struct weir_kafka_string *string = place;
        return field->value ? !string->bytes : string->byte_count == 0;
    }
    case WEIR_KAFKA_ARRAY:
        return ((const struct weir_kafka_array *)place)->count == 0;
    default:
        WEIR_ASSERT(field->kind == WEIR_KAFKA_POINTER);
        return *(const void *const *)place == NULL;
    }
}

static bool goes_as_tag(const struct sink *sink, const struct weir_kafka_field *field,
                        const uint8_t *from)
{
    return weir_kafka_present(field, sink->version) && !has_default(field, from + field->place);
}

static uint64_t measure_field(const struct sink *like, const struct weir_kafka_field *field,
                              const void *place)
{
    struct sink sink = {.version = like->version, .flexible = like->flexible};
    put_field(&sink, field, place);
    return sink.byte_count;
}

static void put_tags(struct sink *sink, const struct weir_kafka_message *message,
                     const uint8_t *from)
{
    const struct weir_kafka_field *end = message->fields + message->field_count;
    const struct weir_kafka_field *first = end;
    uint32_t tags = 0;
    while (first > message->fields && first[-1].tag >= 0) {
        first--;
        tags += goes_as_tag(sink, first, from);
    }
    put_uvarint(sink, tags);
    for (const struct weir_kafka_field *field = first; field < end && tags > 0; field++) {
        if (!goes_as_tag(sink, field, from))
            continue;
        put_uvarint(sink, (uint32_t)field->tag);
        put_uvarint(sink, (uint32_t)measure_field(sink, field, from + field->place));
        put_field(sink, field, from + field->place);
    }
}

/* ---- the walk ---- */

static void put_struct(struct sink *sink, const struct weir_kafka_message *message,
                       const uint8_t *from)
{
    for (uint32_t i = 0; i < message->field_count; i++) {
        const struct weir_kafka_field *field = &message->fields[i];
        if (field->tag < 0 && weir_kafka_present(field, sink->version))
            put_field(sink, field, from + field->place);
    }
    if (sink->flexible)
        put_tags(sink, message, from);
}

/* ---- frames ---- */

/* Never compact. */
static void put_client_id(struct sink *sink, const char *client_id)
{
    size_t count = client_id ? strlen(client_id) : 0;
    if (count > INT16_MAX)
        sink->too_long = true;
    put_u16(sink, client_id ? (uint16_t)count : UINT16_MAX);
    put(sink, client_id, count);
}

static void put_frame(struct sink *sink, const struct envelope *envelope, uint32_t byte_count)
{
    put_u32(sink, byte_count);
    if (envelope->is_request) {
        put_u16(sink, (uint16_t)envelope->api->key);
        put_u16(sink, (uint16_t)envelope->version);
    }
    put_u32(sink, (uint32_t)envelope->correlation_id);
    if (envelope->is_request)
        put_client_id(sink, envelope->client_id);
    /* Whoever asks for versions does not know yet what its answer's head looks like. */
    if (sink->flexible && (envelope->is_request || envelope->api->key != WEIR_KAFKA_API_VERSIONS))
        put_uvarint(sink, 0);
    put_struct(sink, envelope->message, envelope->body);
}

static int encode(const struct envelope *envelope, struct weir_kafka_out *out)
{
    struct sink measured = {.version = envelope->version,
                            .flexible = envelope->version >= envelope->api->flexible_from};
    put_frame(&measured, envelope, 0);
    uint64_t byte_count = measured.byte_count + measured.piece_bytes;
    if (measured.too_long || byte_count > INT32_MAX)
        return -EMSGSIZE;
    uint8_t *bytes = weir_kafka_arena_take(out->arena, measured.byte_count);
    struct weir_kafka_part *parts = weir_kafka_arena_take(out->arena, (measured.part_count + 1) *
                                                                          sizeof *parts);
    if (!bytes || !parts)
        return -ENOMEM;
    struct sink sink = {.at = bytes,
                        .part = bytes,
                        .parts = parts,
                        .version = measured.version,
                        .flexible = measured.flexible};
    put_frame(&sink, envelope, (uint32_t)byte_count - (uint32_t)sizeof(uint32_t));
    end_part(&sink);
    WEIR_ASSERT(sink.at == bytes + measured.byte_count);
    out->parts = parts;
    out->part_count = (uint32_t)(sink.parts - parts);
    out->byte_count = byte_count;
    return 0;
}

int weir_kafka_encode(const struct weir_kafka_api *api, int16_t version, int32_t correlation_id,
                      const void *body, struct weir_kafka_out *out)
{
    struct envelope envelope = {.api = api,
                                .message = api->response,
                                .body = body,
                                .correlation_id = correlation_id,
                                .version = version};
    return encode(&envelope, out);
}

int weir_kafka_encode_request(const struct weir_kafka_api *api, int16_t version,
                              int32_t correlation_id, const char *client_id, const void *body,
                              struct weir_kafka_out *out)
{
    struct envelope envelope = {.api = api,
                                .message = api->request,
                                .body = body,
                                .client_id = client_id,
                                .correlation_id = correlation_id,
                                .version = version,
                                .is_request = true};
    return encode(&envelope, out);
}
