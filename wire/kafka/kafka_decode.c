/*
 * wire/kafka/kafka_decode.c - bytes to structs: one walk over the rows of a table.
 *
 * The walk goes down as deep as tables hold tables, which is four, whatever the bytes say. Every length is held against what is left
 * of the bytes before it is used, a count of items against the smallest that so many could be; so what is allocated is bounded by
 * what was sent, and by the arena. Strings, bytes and records stay where they are.
 * Proof: tests/wire/kafka/kafka_codec_test.c, kafka_codec_fuzz.c.
 */
#include <errno.h>

#include "wire/kafka/kafka_bytes.h"
#include "wire/kafka/kafka_codec.h"
#include "wire/kafka/kafka_table.h"

enum { NULL_COUNT = -1, TAGS_KNOWN_MAX = 32 };

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    struct weir_kafka_arena *arena;
    int16_t version;
    bool flexible;
};

static int read_struct(struct reader *reader, const struct weir_kafka_message *message,
                       uint8_t *out);

static inline size_t left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* ---- lengths ---- */

static int read_uvarint(struct reader *reader, uint32_t *value_out)
{
    if (reader->at < reader->end && *reader->at < 0x80) {
        *value_out = *reader->at++;
        return 0;
    }
    uint32_t count = weir_kafka_load_uvarint(reader->at, left(reader), value_out);
    reader->at += count;
    return count > 0 ? 0 : -EBADMSG;
}

/* Of a string (wide_bytes 2), of bytes or an array (4): as a compact length, or as a number of that width. */
static int read_count(struct reader *reader, uint32_t wide_bytes, int64_t *count_out)
{
    if (reader->flexible) {
        uint32_t value;
        if (read_uvarint(reader, &value) < 0)
            return -EBADMSG;
        *count_out = (int64_t)value - 1;
        return 0;
    }
    if (left(reader) < wide_bytes)
        return -EBADMSG;
    *count_out = wide_bytes == 2 ? (int16_t)weir_kafka_load_u16(reader->at)
                                 : (int32_t)weir_kafka_load_u32(reader->at);
    reader->at += wide_bytes;
    return *count_out < NULL_COUNT ? -EBADMSG : 0;
}

/* A counted run of bytes; *at_out NULL for null. */
static int read_run(struct reader *reader, uint32_t wide_bytes, bool may_be_null,
                    const uint8_t **at_out, uint32_t *count_out)
{
    int64_t count;
    if (read_count(reader, wide_bytes, &count) < 0)
        return -EBADMSG;
    *at_out = NULL;
    *count_out = 0;
    if (count == NULL_COUNT)
        return may_be_null ? 0 : -EBADMSG;
    if ((uint64_t)count > left(reader) || (wide_bytes == 2 && count > INT16_MAX))
        return -EBADMSG;
    *at_out = reader->at;
    *count_out = (uint32_t)count;
    reader->at += count;
    return 0;
}

/* ---- arrays ---- */

/* The fewest bytes that a value may have. */
static size_t least_bytes(const struct reader *reader, const struct weir_kafka_message *message);

static size_t least_bytes_of(const struct reader *reader, uint8_t kind,
                             const struct weir_kafka_message *of)
{
    switch ((enum weir_kafka_kind)kind) {
    case WEIR_KAFKA_BOOL:
    case WEIR_KAFKA_I8:
    case WEIR_KAFKA_POINTER:
        return 1;
    case WEIR_KAFKA_I16:
        return 2;
    case WEIR_KAFKA_I32:
        return 4;
    case WEIR_KAFKA_I64:
        return 8;
    case WEIR_KAFKA_UUID:
        return 16;
    case WEIR_KAFKA_STRING:
        return reader->flexible ? 1 : 2;
    case WEIR_KAFKA_BYTES:
    case WEIR_KAFKA_RECORDS:
    case WEIR_KAFKA_ARRAY:
        return reader->flexible ? 1 : 4;
    case WEIR_KAFKA_STRUCT:
        return least_bytes(reader, of);
    }
    return 1;
}

static size_t least_bytes(const struct reader *reader, const struct weir_kafka_message *message)
{
    if (!message->fields)
        return least_bytes_of(reader, message->simple, NULL);
    size_t bytes = reader->flexible ? 1 : 0;
    for (uint32_t i = 0; i < message->field_count; i++) {
        const struct weir_kafka_field *field = &message->fields[i];
        if (field->tag < 0 && weir_kafka_present(field, reader->version))
            bytes += least_bytes_of(reader, field->kind, field->of);
    }
    return bytes > 0 ? bytes : 1;
}

static int read_strings(struct reader *reader, struct weir_kafka_string *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at;
        if (read_run(reader, 2, false, &at, &items[i].byte_count) < 0)
            return -EBADMSG;
        items[i].bytes = (const char *)at;
    }
    return 0;
}

static void read_numbers(struct reader *reader, int32_t *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        items[i] = (int32_t)weir_kafka_load_u32(reader->at + 4 * (size_t)i);
    reader->at += 4 * (size_t)count;
}

static int read_items(struct reader *reader, const struct weir_kafka_message *of, uint8_t *items,
                      uint32_t count)
{
    if (of->fields) {
        for (uint32_t i = 0; i < count; i++) {
            int result = read_struct(reader, of, items + (size_t)i * of->struct_bytes);
            if (result < 0)
                return result;
        }
        return 0;
    }
    if (of->simple == WEIR_KAFKA_STRING)
        return read_strings(reader, (struct weir_kafka_string *)(void *)items, count);
    read_numbers(reader, (int32_t *)(void *)items, count); /* all are there: least_bytes */
    return 0;
}

static int read_array(struct reader *reader, const struct weir_kafka_field *field,
                      struct weir_kafka_array *array)
{
    int64_t count;
    if (read_count(reader, 4, &count) < 0)
        return -EBADMSG;
    *array = (struct weir_kafka_array){0};
    if (count == NULL_COUNT)
        return weir_kafka_may_be_null(field, reader->version) ? 0 : -EBADMSG;
    if ((uint64_t)count > left(reader) / least_bytes(reader, field->of))
        return -EMSGSIZE;
    array->items = weir_kafka_arena_take(reader->arena, (size_t)count * field->of->struct_bytes);
    if (!array->items)
        return -EMSGSIZE;
    array->count = (uint32_t)count;
    return read_items(reader, field->of, array->items, array->count);
}

/* ---- fields ---- */

static int read_pointer(struct reader *reader, const struct weir_kafka_field *field, void **place)
{
    if (field->tag < 0) {
        if (left(reader) < 1)
            return -EBADMSG;
        int8_t there = (int8_t)*reader->at++;
        *place = NULL;
        if (there == -1)
            return weir_kafka_may_be_null(field, reader->version) ? 0 : -EBADMSG;
        if (there != 1)
            return -EBADMSG;
    }
    *place = weir_kafka_arena_take(reader->arena, field->of->struct_bytes);
    return *place ? read_struct(reader, field->of, *place) : -EMSGSIZE;
}

static int read_number(struct reader *reader, uint8_t kind, void *place)
{
    size_t bytes = least_bytes_of(reader, kind, NULL);
    if (left(reader) < bytes)
        return -EBADMSG;
    switch ((enum weir_kafka_kind)kind) {
    case WEIR_KAFKA_BOOL:
        *(bool *)place = *reader->at != 0;
        break;
    case WEIR_KAFKA_I8:
        *(int8_t *)place = (int8_t)*reader->at;
        break;
    case WEIR_KAFKA_I16:
        *(int16_t *)place = (int16_t)weir_kafka_load_u16(reader->at);
        break;
    case WEIR_KAFKA_I32:
        *(int32_t *)place = (int32_t)weir_kafka_load_u32(reader->at);
        break;
    case WEIR_KAFKA_I64:
        *(int64_t *)place = (int64_t)weir_kafka_load_u64(reader->at);
        break;
    default:
        memcpy(place, reader->at, sizeof(struct weir_kafka_uuid));
        break;
    }
    reader->at += bytes;
    return 0;
}

static int read_field(struct reader *reader, const struct weir_kafka_field *field, void *place)
{
    bool may_be_null = weir_kafka_may_be_null(field, reader->version);
    const uint8_t *at;
    uint32_t count;
    int result;
    switch ((enum weir_kafka_kind)field->kind) {
    case WEIR_KAFKA_STRING:
        result = read_run(reader, 2, may_be_null, &at, &count);
        if (result == 0)
            *(struct weir_kafka_string *)place = (struct weir_kafka_string){(const char *)at, count};
        return result;
    case WEIR_KAFKA_BYTES:
        result = read_run(reader, 4, may_be_null, &at, &count);
        if (result == 0)
            *(struct weir_kafka_bytes *)place = (struct weir_kafka_bytes){at, count};
        return result;
    case WEIR_KAFKA_RECORDS:
        result = read_run(reader, 4, may_be_null, &at, &count);
        if (result == 0)
            *(struct weir_kafka_records *)place = (struct weir_kafka_records){.bytes = at,
                                                                              .byte_count = count};
        return result;
    case WEIR_KAFKA_ARRAY:
        return read_array(reader, field, place);
    case WEIR_KAFKA_STRUCT:
        return read_struct(reader, field->of, place);
    case WEIR_KAFKA_POINTER:
        return read_pointer(reader, field, place);
    default:
        return read_number(reader, field->kind, place);
    }
}

/* ---- tags ---- */

static const struct weir_kafka_field *find_tag(const struct weir_kafka_message *message,
                                               uint32_t tag, int16_t version)
{
    for (uint32_t i = message->field_count; i > 0 && message->fields[i - 1].tag >= 0; i--) {
        const struct weir_kafka_field *field = &message->fields[i - 1];
        if ((uint32_t)field->tag == tag)
            return weir_kafka_present(field, version) ? field : NULL;
    }
    return NULL;
}

/* One tagged field of exactly byte_count bytes. */
static int read_tagged(struct reader *reader, const struct weir_kafka_field *field,
                       uint32_t byte_count, uint8_t *out)
{
    const uint8_t *end = reader->end;
    reader->end = reader->at + byte_count;
    int result = read_field(reader, field, out + field->place);
    if (result == 0 && reader->at != reader->end)
        result = -EBADMSG;
    reader->end = end;
    return result;
}

static int read_tags(struct reader *reader, const struct weir_kafka_message *message, uint8_t *out)
{
    uint32_t tags;
    uint32_t seen = 0;
    if (read_uvarint(reader, &tags) < 0)
        return -EBADMSG;
    for (; tags > 0; tags--) {
        uint32_t tag;
        uint32_t byte_count;
        if (read_uvarint(reader, &tag) < 0 || read_uvarint(reader, &byte_count) < 0 ||
            byte_count > left(reader))
            return -EBADMSG;
        const struct weir_kafka_field *field = tag < TAGS_KNOWN_MAX
                                                   ? find_tag(message, tag, reader->version)
                                                   : NULL;
        if (!field) {
            reader->at += byte_count;
            continue;
        }
        if (seen & UINT32_C(1) << tag)
            return -EBADMSG;
        seen |= UINT32_C(1) << tag;
        int result = read_tagged(reader, field, byte_count, out);
        if (result < 0)
            return result;
    }
    return 0;
}

/* ---- the walk ---- */

static int read_struct(struct reader *reader, const struct weir_kafka_message *message, uint8_t *out)
{
    const struct weir_kafka_field *end = message->fields + message->field_count;
    for (const struct weir_kafka_field *field = message->fields; field < end; field++) {
        void *place = out + field->place;
        if (field->tag >= 0 || !weir_kafka_present(field, reader->version)) {
            weir_kafka_put_default(field, place);
            continue;
        }
        int result = read_field(reader, field, place);
        if (result < 0)
            return result;
    }
    return reader->flexible ? read_tags(reader, message, out) : 0;
}

int weir_kafka_decode(const struct weir_kafka_message *message, int16_t version, bool flexible,
                      const uint8_t *bytes, size_t byte_count, struct weir_kafka_arena *arena,
                      void *out)
{
    static const uint8_t none[1];
    if (byte_count == 0)
        bytes = none;
    struct reader reader = {bytes, bytes + byte_count, arena, version, flexible};
    int result = read_struct(&reader, message, out);
    if (result == 0 && reader.at != reader.end)
        return -EBADMSG;
    return result;
}
