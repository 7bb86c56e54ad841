/*
 * wire/kafka/kafka_body.c - what handlers share: bodies, texts, topics by name.
 *
 * Proof: tests/wire/kafka/kafka_session_test.c.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker/kept.h"
#include "wire/kafka/kafka_body.h"

void *weir_kafka_body(struct weir_kafka_request *request)
{
    const struct weir_kafka_message *message = request->api->response;
    void *body = weir_kafka_arena_take(&request->arena, weir_kafka_struct_bytes(message));
    if (body)
        weir_kafka_defaults(message, body);
    return body;
}

void weir_kafka_finish(struct weir_kafka_request *request, const void *body, bool whole)
{
    if (whole)
        weir_kafka_respond(request, body);
    else
        weir_kafka_fail(request, "no memory for an answer");
}

/* ---- texts ---- */

struct weir_kafka_string weir_kafka_print(struct weir_kafka_request *request, const char *format,
                                          ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = count < 0 ? NULL : weir_kafka_arena_take(&request->arena, (size_t)count + 1);
    if (!text)
        return (struct weir_kafka_string){0};
    va_start(arguments, format);
    vsnprintf(text, (size_t)count + 1, format, arguments);
    va_end(arguments);
    return (struct weir_kafka_string){text, (uint32_t)count};
}

bool weir_kafka_same(struct weir_kafka_string a, struct weir_kafka_string b)
{
    return a.byte_count == b.byte_count &&
           (a.byte_count == 0 || memcmp(a.bytes, b.bytes, a.byte_count) == 0);
}

/* ---- who we are ---- */

bool weir_kafka_ready(const struct weir_kafka_request *request)
{
    return weir_kept_state(request->local->part) == WEIR_KEPT_DONE;
}

/* The node's id, 16 bytes as 22 characters, as Kafka prints its own. */
struct weir_kafka_string weir_kafka_cluster_id(struct weir_kafka_request *request)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    enum { CHARACTERS = 22 };
    char *text = weir_kafka_ready(request) ? weir_kafka_arena_take(&request->arena, CHARACTERS)
                                           : NULL;
    if (!text)
        return (struct weir_kafka_string){0};
    struct weir_log_id node = weir_kept_node_id(request->local->part);
    const uint8_t *id = node.bytes;
    for (uint32_t i = 0; i < CHARACTERS; i++) {
        uint32_t bit = 6 * i;
        uint32_t two = (uint32_t)id[bit / 8] << 8 | (bit / 8 + 1 < 16 ? id[bit / 8 + 1] : 0);
        text[i] = digits[two >> (10 - bit % 8) & 63];
    }
    return (struct weir_kafka_string){text, CHARACTERS};
}

const struct weir_kept_topic *weir_kafka_topic(struct weir_kafka_request *request,
                                               struct weir_kafka_string name, int16_t *error_out)
{
    /* Not before this reactor serves it: what is named is what can be used. */
    const struct weir_kept_topic *topic =
        weir_kafka_ready(request) ? weir_catalog_find(request->local->part, name.bytes, name.byte_count) : NULL;
    *error_out = WEIR_KAFKA_NONE;
    if (topic)
        return topic;
    if (!weir_kafka_ready(request))
        *error_out = WEIR_KAFKA_LEADER_NOT_AVAILABLE; /* clients try again */
    else if (!weir_topic_name_legal(name.bytes, name.byte_count))
        *error_out = WEIR_KAFKA_INVALID_TOPIC;
    else
        *error_out = WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    return NULL;
}

const struct weir_kept_topic *weir_kafka_topic_of_id(struct weir_kafka_request *request,
                                                     const struct weir_kafka_uuid *id,
                                                     int16_t *error_out)
{
    struct weir_log_id wanted;
    memcpy(wanted.bytes, id->bytes, sizeof wanted.bytes);
    const struct weir_kept_topic *topic =
        weir_kafka_ready(request) ? weir_catalog_find_id(request->local->part, &wanted) : NULL;
    *error_out = topic                       ? WEIR_KAFKA_NONE
                 : weir_kafka_ready(request) ? WEIR_KAFKA_UNKNOWN_TOPIC_ID
                                             : WEIR_KAFKA_LEADER_NOT_AVAILABLE;
    return topic;
}
