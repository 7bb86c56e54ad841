/*
 * wire/kafka/kafka_codec.c - heads of requests, and defaults.
 *
 * Whether tags follow a head is a matter of key and version; of those that weir does not know, nothing behind the first eight bytes
 * is believed. Proof: tests/wire/kafka/kafka_codec_test.c.
 */
#include <errno.h>

#include "wire/kafka/kafka_bytes.h"
#include "wire/kafka/kafka_messages.h"
#include "wire/kafka/kafka_table.h"

enum { FIXED_BYTES = 8 };

/* ---- defaults ---- */

/* What an empty string or array points to: not NULL, never read. */
static const uint64_t nothing[1];

void weir_kafka_put_default(const struct weir_kafka_field *field, void *place)
{
    const void *at = field->value ? NULL : nothing;
    switch ((enum weir_kafka_kind)field->kind) {
    case WEIR_KAFKA_BOOL:
        *(bool *)place = field->value != 0;
        break;
    case WEIR_KAFKA_I8:
        *(int8_t *)place = (int8_t)field->value;
        break;
    case WEIR_KAFKA_I16:
        *(int16_t *)place = (int16_t)field->value;
        break;
    case WEIR_KAFKA_I32:
        *(int32_t *)place = (int32_t)field->value;
        break;
    case WEIR_KAFKA_I64:
        *(int64_t *)place = field->value;
        break;
    case WEIR_KAFKA_UUID:
        *(struct weir_kafka_uuid *)place = (struct weir_kafka_uuid){{0}};
        break;
    case WEIR_KAFKA_STRING:
        *(struct weir_kafka_string *)place = (struct weir_kafka_string){at, 0};
        break;
    case WEIR_KAFKA_BYTES:
        *(struct weir_kafka_bytes *)place = (struct weir_kafka_bytes){at, 0};
        break;
    case WEIR_KAFKA_RECORDS:
        *(struct weir_kafka_records *)place = (struct weir_kafka_records){.bytes = at};
        break;
    case WEIR_KAFKA_ARRAY:
        *(struct weir_kafka_array *)place = (struct weir_kafka_array){(void *)(uintptr_t)at, 0};
        break;
    case WEIR_KAFKA_STRUCT:
        weir_kafka_defaults(field->of, place);
        break;
    case WEIR_KAFKA_POINTER:
        *(void **)place = NULL;
        break;
    }
}

void weir_kafka_defaults(const struct weir_kafka_message *message, void *out)
{
    for (uint32_t i = 0; i < message->field_count; i++)
        weir_kafka_put_default(&message->fields[i], (uint8_t *)out + message->fields[i].place);
}

void *weir_kafka_items(struct weir_kafka_arena *arena, const struct weir_kafka_message *of,
                       uint32_t count, struct weir_kafka_array *array_out)
{
    uint8_t *items = weir_kafka_arena_take(arena, (size_t)count * of->struct_bytes);
    if (!items)
        return NULL;
    for (uint32_t i = 0; i < count && of->fields; i++)
        weir_kafka_defaults(of, items + (size_t)i * of->struct_bytes);
    *array_out = (struct weir_kafka_array){items, count};
    return items;
}

size_t weir_kafka_struct_bytes(const struct weir_kafka_message *message)
{
    return message->struct_bytes;
}

/* ---- heads ---- */

bool weir_kafka_flexible(int16_t key, int16_t version)
{
    const struct weir_kafka_api *api = weir_kafka_api_find(key);
    return api && version >= api->flexible_from && version <= api->version_max;
}

static bool known(const struct weir_kafka_head *head)
{
    const struct weir_kafka_api *api = weir_kafka_api_find(head->key);
    return api && head->version >= api->version_min && head->version <= api->version_max;
}

/* A string with a length of 16 bits, flexible or not. How many bytes it took, 0: cut short or not a length. */
static size_t read_client_id(const uint8_t *at, size_t left, struct weir_kafka_string *client_id_out)
{
    if (left < 2)
        return 0;
    int16_t count = (int16_t)weir_kafka_load_u16(at);
    if (count < -1 || (count > 0 && (size_t)count > left - 2))
        return 0;
    if (count >= 0)
        *client_id_out = (struct weir_kafka_string){(const char *)at + 2, (uint32_t)count};
    return count < 0 ? 2 : 2 + (size_t)count;
}

size_t weir_kafka_tags_skip(const uint8_t *at, size_t left)
{
    uint32_t tags;
    size_t taken = weir_kafka_load_uvarint(at, left, &tags);
    if (taken == 0)
        return 0;
    for (; tags > 0; tags--) {
        uint32_t value;
        for (int i = 0; i < 2; i++) { /* the tag, then its size */
            uint32_t count = weir_kafka_load_uvarint(at + taken, left - taken, &value);
            if (count == 0)
                return 0;
            taken += count;
        }
        if (value > left - taken)
            return 0;
        taken += value;
    }
    return taken;
}

int weir_kafka_head_read(const uint8_t *bytes, size_t byte_count, struct weir_kafka_head *head_out)
{
    *head_out = (struct weir_kafka_head){0};
    if (byte_count < FIXED_BYTES)
        return -EBADMSG;
    head_out->key = (int16_t)weir_kafka_load_u16(bytes);
    head_out->version = (int16_t)weir_kafka_load_u16(bytes + 2);
    head_out->correlation_id = (int32_t)weir_kafka_load_u32(bytes + 4);
    size_t taken = FIXED_BYTES;
    size_t count = read_client_id(bytes + taken, byte_count - taken, &head_out->client_id);
    taken += count;
    if (!known(head_out)) {
        head_out->byte_count = (uint32_t)taken;
        return 0;
    }
    if (count == 0)
        return -EBADMSG;
    if (weir_kafka_flexible(head_out->key, head_out->version)) {
        count = weir_kafka_tags_skip(bytes + taken, byte_count - taken);
        if (count == 0)
            return -EBADMSG;
        taken += count;
    }
    head_out->byte_count = (uint32_t)taken;
    return 0;
}
