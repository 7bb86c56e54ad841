/*
 * wire/kafka/kafka_messages.c - the tables of kafka_messages.def.
 *
 * The same rows as in kafka_messages.h, with other macros: there members, here what the codec walks. Proof that they are Kafka's:
 * tests/wire/kafka/kafka_codec_test.c.
 */
#include <stddef.h>

#include "wire/kafka/kafka_messages.h"
#include "wire/kafka/kafka_table.h"

#define SINCE(first) first, INT8_MAX
#define UNTIL(last) 0, last
#define SPAN(first, last) first, last
#define ALL SINCE(0)
#define NEVER SPAN(1, 0)
#define UNTAGGED -1
#define EMPTY 0
#define NIL 1

#define MESSAGE(of) &weir_kafka_##of##_message
#define ROW(name, of, value, kind, ...)                                                   \
    {#name, of,         value, offsetof(struct WEIR_KAFKA_JOIN(weir_kafka_, IN, ), name), \
     kind,  __VA_ARGS__},

#define BEGIN static const struct weir_kafka_field WEIR_KAFKA_JOIN(, IN, _fields)[] = {
#define END                                                                        \
    }                                                                              \
    ;                                                                              \
    const struct weir_kafka_message WEIR_KAFKA_JOIN(weir_kafka_, IN, _message) = { \
        TEXT(IN), WEIR_KAFKA_JOIN(, IN, _fields),                                  \
        sizeof WEIR_KAFKA_JOIN(, IN, _fields) / sizeof(struct weir_kafka_field),   \
        sizeof(struct WEIR_KAFKA_JOIN(weir_kafka_, IN, )), 0};
#define TEXT_(in) #in
#define TEXT(in) TEXT_(in)

#define BOOL(name, versions, value) \
    ROW(name, NULL, value, WEIR_KAFKA_BOOL, versions, NEVER, UNTAGGED)
#define I8(name, versions, value) ROW(name, NULL, value, WEIR_KAFKA_I8, versions, NEVER, UNTAGGED)
#define I16(name, versions, value) ROW(name, NULL, value, WEIR_KAFKA_I16, versions, NEVER, UNTAGGED)
#define I32(name, versions, value) ROW(name, NULL, value, WEIR_KAFKA_I32, versions, NEVER, UNTAGGED)
#define I64(name, versions, value) ROW(name, NULL, value, WEIR_KAFKA_I64, versions, NEVER, UNTAGGED)
#define UUID(name, versions) ROW(name, NULL, 0, WEIR_KAFKA_UUID, versions, NEVER, UNTAGGED)
#define STRING(name, versions) ROW(name, NULL, EMPTY, WEIR_KAFKA_STRING, versions, NEVER, UNTAGGED)
#define STRING_NULL(name, versions, nulls, value) \
    ROW(name, NULL, value, WEIR_KAFKA_STRING, versions, nulls, UNTAGGED)
#define BYTES(name, versions) ROW(name, NULL, EMPTY, WEIR_KAFKA_BYTES, versions, NEVER, UNTAGGED)
#define RECORDS(name, versions) ROW(name, NULL, EMPTY, WEIR_KAFKA_RECORDS, versions, ALL, UNTAGGED)
#define ARRAY(of, name, versions) \
    ROW(name, MESSAGE(of), EMPTY, WEIR_KAFKA_ARRAY, versions, NEVER, UNTAGGED)
#define ARRAY_NULL(of, name, versions, nulls, value) \
    ROW(name, MESSAGE(of), value, WEIR_KAFKA_ARRAY, versions, nulls, UNTAGGED)
#define STRUCT(of, name, versions) \
    ROW(name, MESSAGE(of), 0, WEIR_KAFKA_STRUCT, versions, NEVER, UNTAGGED)
#define STRUCT_NULL(of, name, versions) \
    ROW(name, MESSAGE(of), NIL, WEIR_KAFKA_POINTER, versions, ALL, UNTAGGED)
#define TAGGED_BOOL(tag, name, versions, value) \
    ROW(name, NULL, value, WEIR_KAFKA_BOOL, versions, NEVER, tag)
#define TAGGED_I16(tag, name, versions, value) \
    ROW(name, NULL, value, WEIR_KAFKA_I16, versions, NEVER, tag)
#define TAGGED_I64(tag, name, versions, value) \
    ROW(name, NULL, value, WEIR_KAFKA_I64, versions, NEVER, tag)
#define TAGGED_STRING_NULL(tag, name, versions, nulls, value) \
    ROW(name, NULL, value, WEIR_KAFKA_STRING, versions, nulls, tag)
#define TAGGED_ARRAY(tag, of, name, versions) \
    ROW(name, MESSAGE(of), EMPTY, WEIR_KAFKA_ARRAY, versions, NEVER, tag)
#define TAGGED_STRUCT(tag, of, name, versions) \
    ROW(name, MESSAGE(of), NIL, WEIR_KAFKA_POINTER, versions, NEVER, tag)

const struct weir_kafka_message weir_kafka_STRINGS_message = {
    "STRINGS", NULL, 0, sizeof(struct weir_kafka_string), WEIR_KAFKA_STRING};
const struct weir_kafka_message weir_kafka_I32S_message = {"I32S", NULL, 0, sizeof(int32_t),
                                                           WEIR_KAFKA_I32};

#include "wire/kafka/kafka_messages.def"
