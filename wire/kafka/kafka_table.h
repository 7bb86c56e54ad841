/*
 * wire/kafka/kafka_table.h - what the codec knows of a message: its fields, as rows.
 *
 * The rows are kafka_messages.def's. A message is a struct of C and a row for each of its members, in wire order, tagged ones last.
 * STRINGS and I32S are what arrays of these are of: messages of one nameless value.
 */
#ifndef WEIR_WIRE_KAFKA_KAFKA_TABLE_H
#define WEIR_WIRE_KAFKA_KAFKA_TABLE_H

#include <stdbool.h>
#include <stdint.h>

enum weir_kafka_kind {
    WEIR_KAFKA_BOOL,
    WEIR_KAFKA_I8,
    WEIR_KAFKA_I16,
    WEIR_KAFKA_I32,
    WEIR_KAFKA_I64,
    WEIR_KAFKA_UUID,
    WEIR_KAFKA_STRING,
    WEIR_KAFKA_BYTES,
    WEIR_KAFKA_RECORDS,
    WEIR_KAFKA_ARRAY,
    WEIR_KAFKA_STRUCT,  /* in place */
    WEIR_KAFKA_POINTER, /* to a struct; NULL: null, or a tag that is not there */
};

struct weir_kafka_field {
    const char *name;
    const struct weir_kafka_message *of; /* ARRAY, STRUCT, POINTER */
    int64_t value;  /* default: the number; of strings and arrays 0 empty, 1 null */
    uint16_t place; /* in the struct */
    uint8_t kind;
    int8_t from, to;           /* versions */
    int8_t null_from, null_to; /* versions; from > to: never null */
    int8_t tag;                /* -1: none */
};

struct weir_kafka_message {
    const char *name;
    const struct weir_kafka_field *fields; /* NULL: one value of kind `simple` */
    uint16_t field_count;
    uint16_t struct_bytes;
    uint8_t simple;
};

static inline bool weir_kafka_present(const struct weir_kafka_field *field, int16_t version)
{
    return version >= field->from && version <= field->to;
}

static inline bool weir_kafka_may_be_null(const struct weir_kafka_field *field, int16_t version)
{
    return version >= field->null_from && version <= field->null_to;
}

/* The default of one field, at its place. */
void weir_kafka_put_default(const struct weir_kafka_field *field, void *place);

#endif
