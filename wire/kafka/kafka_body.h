/*
 * wire/kafka/kafka_body.h - what handlers share: bodies of answers, texts, topics by name.
 */
#ifndef WEIR_WIRE_KAFKA_KAFKA_BODY_H
#define WEIR_WIRE_KAFKA_KAFKA_BODY_H

#include "wire/kafka/kafka_messages.h"
#include "wire/kafka/kafka_request.h"

/* What a client may do, as Kafka's bits, where nobody is forbidden anything. */
enum {
    WEIR_KAFKA_CLUSTER_OPERATIONS = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12,
    WEIR_KAFKA_TOPIC_OPERATIONS = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 |
                                  1 << 11,
};

/* A response of this request's API with defaults, in its arena; NULL: the arena is used up. */
void *weir_kafka_body(struct weir_kafka_request *request);
/* Respond with `body` when it is `whole`, else close: the arena was used up. */
void weir_kafka_finish(struct weir_kafka_request *request, const void *body, bool whole);

/* Printed into the request's arena; null when that is used up. */
__attribute__((format(printf, 2, 3))) struct weir_kafka_string
weir_kafka_print(struct weir_kafka_request *request, const char *format, ...);
bool weir_kafka_same(struct weir_kafka_string a, struct weir_kafka_string b);

/* Is what the data directory holds there yet? Until then nothing is known, and nothing unknown. */
bool weir_kafka_ready(const struct weir_kafka_request *request);
struct weir_kafka_string
weir_kafka_cluster_id(struct weir_kafka_request *request); /* null: not ready */

/* A topic by name, valid until the next turn. error_out: why there is none. */
const struct weir_kept_topic *weir_kafka_topic(struct weir_kafka_request *request,
                                               struct weir_kafka_string name, int16_t *error_out);
/* By id alone, as newer versions ask. */
const struct weir_kept_topic *weir_kafka_topic_of_id(struct weir_kafka_request *request,
                                                     const struct weir_kafka_uuid *id,
                                                     int16_t *error_out);

#endif
