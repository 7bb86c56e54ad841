/*
 * wire/kafka/kafka_messages.h - a struct for each message of kafka_messages.def, and its table.
 *
 *     struct weir_kafka_fetch_request, weir_kafka_fetch_request_message
 *
 * Members have the schema's names in small letters. Set one up with weir_kafka_defaults, not with zeros: several defaults are -1.
 */
#ifndef WEIR_WIRE_KAFKA_KAFKA_MESSAGES_H
#define WEIR_WIRE_KAFKA_KAFKA_MESSAGES_H

#include "wire/kafka/kafka_codec.h"

#define WEIR_KAFKA_JOIN_(a, b, c) a##b##c
#define WEIR_KAFKA_JOIN(a, b, c) WEIR_KAFKA_JOIN_(a, b, c)

#define BEGIN struct WEIR_KAFKA_JOIN(weir_kafka_, IN, ) {
#define END                                                                                        \
    }                                                                                              \
    ;                                                                                              \
    extern const struct weir_kafka_message WEIR_KAFKA_JOIN(weir_kafka_, IN, _message);
#define BOOL(name, versions, value) bool name;
#define I8(name, versions, value) int8_t name;
#define I16(name, versions, value) int16_t name;
#define I32(name, versions, value) int32_t name;
#define I64(name, versions, value) int64_t name;
#define UUID(name, versions) struct weir_kafka_uuid name;
#define STRING(name, versions) struct weir_kafka_string name;
#define STRING_NULL(name, versions, nulls, value) struct weir_kafka_string name;
#define BYTES(name, versions) struct weir_kafka_bytes name;
#define RECORDS(name, versions) struct weir_kafka_records name;
#define ARRAY(of, name, versions) struct weir_kafka_array name;
#define ARRAY_NULL(of, name, versions, nulls, value) struct weir_kafka_array name;
#define STRUCT(of, name, versions) struct weir_kafka_##of name;
#define STRUCT_NULL(of, name, versions) struct weir_kafka_##of *name;
#define TAGGED_BOOL(tag, name, versions, value) bool name;
#define TAGGED_I16(tag, name, versions, value) int16_t name;
#define TAGGED_I64(tag, name, versions, value) int64_t name;
#define TAGGED_STRING_NULL(tag, name, versions, nulls, value) struct weir_kafka_string name;
#define TAGGED_ARRAY(tag, of, name, versions) struct weir_kafka_array name;
#define TAGGED_STRUCT(tag, of, name, versions) struct weir_kafka_##of *name;
#include "wire/kafka/kafka_messages.def"

extern const struct weir_kafka_message weir_kafka_STRINGS_message; /* items: struct weir_kafka_string */
extern const struct weir_kafka_message weir_kafka_I32S_message;    /* items: int32_t */

#endif
