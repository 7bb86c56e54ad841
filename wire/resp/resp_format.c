/*
 * wire/resp/resp_format.c - how Redis clients see an event: message, pmessage, smessage.
 *
 * Two formats, as RESP3 begins a push with another byte. Proof: tests/wire/resp/resp_write_test.c.
 */
#include "base/assert.h"
#include "wire/resp/resp_command.h"

static struct weir_resp_slice slice(struct weir_slice bytes)
{
    return (struct weir_resp_slice){(const char *)bytes.bytes, bytes.byte_count};
}

static struct weir_resp_message message_of(const struct weir_publication *publication)
{
    struct weir_resp_message message = {
        .kind = WEIR_RESP_MESSAGE,
        .pattern = slice(publication->pattern),
        .channel = slice(publication->name),
        .payload = slice(publication->body),
    };
    if (publication->by_pattern)
        message.kind = WEIR_RESP_PMESSAGE;
    else if (publication->kind == WEIR_NAME_SHARD)
        message.kind = WEIR_RESP_SMESSAGE;
    return message;
}

static size_t byte_count(const struct weir_publication *publication)
{
    struct weir_resp_message message = message_of(publication);
    return weir_resp_message_bytes(&message);
}

static void encode_2(const struct weir_publication *publication, uint8_t *out)
{
    struct weir_resp_message message = message_of(publication);
    weir_resp_message_encode(&message, 2, (char *)out);
}

static void encode_3(const struct weir_publication *publication, uint8_t *out)
{
    struct weir_resp_message message = message_of(publication);
    weir_resp_message_encode(&message, 3, (char *)out);
}

const struct weir_format weir_resp_format_2 = {
    .number = 0, .byte_count = byte_count, .encode = encode_2};
const struct weir_format weir_resp_format_3 = {
    .number = 1, .byte_count = byte_count, .encode = encode_3};
