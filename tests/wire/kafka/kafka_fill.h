/*
 * tests/wire/kafka/kafka_fill.h - any message filled with values drawn from a seed, and shown as text.
 *
 * The same draws as golden.py: a value is a hash of the seed and the field's path, so two fields never have the same by chance.
 */
#ifndef TESTS_WIRE_KAFKA_KAFKA_FILL_H
#define TESTS_WIRE_KAFKA_KAFKA_FILL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/kafka/kafka_messages.h"
#include "wire/kafka/kafka_table.h"

struct fill {
    struct weir_kafka_arena *arena;
    int16_t version;
    uint32_t seed;
    bool everything; /* what the version does not have, too */
    char path[256];
};

static inline void fill_struct(struct fill *fill, const struct weir_kafka_message *message,
                               void *out);

static inline uint64_t draw(const char *path)
{
    uint64_t value = 0xcbf29ce484222325u;
    for (const char *at = path; *at; at++)
        value = (value ^ (uint8_t)*at) * 0x100000001b3u;
    return value ^ value >> 29;
}

static inline uint32_t long_or_short(uint64_t number)
{
    return (uint32_t)((number >> 40) % 16 == 0 ? 130 + number % 70 : number % 12);
}

/* One byte at least, so that empty is not null. */
static inline uint8_t *fill_bytes(struct fill *fill, uint64_t number, uint32_t count, bool text)
{
    uint8_t *bytes = weir_kafka_arena_take(fill->arena, count + 1);
    for (uint32_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(text ? 'a' + (number >> i % 8) % 26 : (number >> i % 8 * 8 ^ i));
    return bytes;
}

static inline void fill_array(struct fill *fill, const struct weir_kafka_message *of,
                              uint64_t number, struct weir_kafka_array *array)
{
    uint32_t count = (uint32_t)((number >> 16) % 3);
    uint8_t *items = weir_kafka_items(fill->arena, of, count, array);
    size_t end = strlen(fill->path);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(fill->path + end, sizeof(fill->path) - end, ".%u", i);
        void *item = items + (size_t)i * of->struct_bytes;
        uint64_t drawn = draw(fill->path);
        if (of->fields)
            fill_struct(fill, of, item);
        else if (of->simple == WEIR_KAFKA_I32)
            *(int32_t *)item = (int32_t)drawn;
        else
            *(struct weir_kafka_string *)item = (struct weir_kafka_string){
                (char *)fill_bytes(fill, drawn, long_or_short(drawn), true), long_or_short(drawn)};
        fill->path[end] = '\0';
    }
}

static inline void fill_field(struct fill *fill, const struct weir_kafka_field *field,
                              uint64_t number, void *place)
{
    uint32_t count = fill->seed ? long_or_short(number) : 0;
    if (weir_kafka_may_be_null(field, fill->version) && (number >> 32) % 3 == 0) {
        struct weir_kafka_field null = *field;
        null.value = 1;
        weir_kafka_put_default(&null, place);
        return;
    }
    switch ((enum weir_kafka_kind)field->kind) {
    case WEIR_KAFKA_BOOL:
        *(bool *)place = number & 1;
        break;
    case WEIR_KAFKA_I8:
        *(int8_t *)place = (int8_t)number;
        break;
    case WEIR_KAFKA_I16:
        *(int16_t *)place = (int16_t)number;
        break;
    case WEIR_KAFKA_I32:
        *(int32_t *)place = (int32_t)number;
        break;
    case WEIR_KAFKA_I64:
        *(int64_t *)place = (int64_t)number;
        break;
    case WEIR_KAFKA_UUID:
        memset(place, 0, 16);
        if (fill->seed)
            memcpy(place, fill_bytes(fill, number, 16, false), 16);
        break;
    case WEIR_KAFKA_STRING:
        *(struct weir_kafka_string *)place = (struct weir_kafka_string){
            (char *)fill_bytes(fill, number, count, true), count};
        break;
    case WEIR_KAFKA_BYTES:
        *(struct weir_kafka_bytes *)place = (struct weir_kafka_bytes){
            fill_bytes(fill, number, count, false), count};
        break;
    case WEIR_KAFKA_RECORDS:
        *(struct weir_kafka_records *)place = (struct weir_kafka_records){
            .bytes = fill_bytes(fill, number, count, false), .byte_count = count};
        break;
    case WEIR_KAFKA_ARRAY:
        fill_array(fill, field->of, number, place);
        break;
    case WEIR_KAFKA_STRUCT:
        fill_struct(fill, field->of, place);
        break;
    case WEIR_KAFKA_POINTER:
        *(void **)place = weir_kafka_arena_take(fill->arena, field->of->struct_bytes);
        fill_struct(fill, field->of, *(void **)place);
        break;
    }
}

static inline void fill_struct(struct fill *fill, const struct weir_kafka_message *message,
                               void *out)
{
    size_t end = strlen(fill->path);
    for (uint32_t i = 0; i < message->field_count; i++) {
        const struct weir_kafka_field *field = &message->fields[i];
        void *place = (uint8_t *)out + field->place;
        snprintf(fill->path + end, sizeof(fill->path) - end, ".%s", field->name);
        uint64_t number = draw(fill->path);
        bool there = fill->everything || weir_kafka_present(field, fill->version);
        bool tag_left_out = field->tag >= 0 && (fill->seed == 0 || (number >> 36) % 3 == 0);
        if (!there || tag_left_out)
            weir_kafka_put_default(field, place);
        else
            fill_field(fill, field, fill->seed ? number : 0, place);
        fill->path[end] = '\0';
    }
}

/* A body of this message with values of this seed; in the arena. */
static inline void *fill_message(struct weir_kafka_arena *arena,
                                 const struct weir_kafka_message *message, int16_t version,
                                 uint32_t seed, bool everything)
{
    struct fill fill = {.arena = arena, .version = version, .seed = seed, .everything = everything};
    snprintf(fill.path, sizeof(fill.path), "%u", seed);
    void *out = weir_kafka_arena_take(arena, message->struct_bytes);
    fill_struct(&fill, message, out);
    return out;
}

/* ---- as text ---- */

static inline void show_struct(FILE *to, const struct weir_kafka_message *message, const void *from,
                               int depth);

static inline void show_run(FILE *to, const void *bytes, uint32_t count)
{
    const uint8_t *at = bytes;
    fputs(bytes ? "'" : "null", to);
    for (uint32_t i = 0; bytes && i < count; i++)
        fprintf(to, at[i] >= 'a' && at[i] <= 'z' ? "%c" : "\\%02x", at[i]);
    fputs(bytes ? "'\n" : "\n", to);
}

static inline void show_array(FILE *to, const struct weir_kafka_message *of,
                              const struct weir_kafka_array *array, int depth)
{
    if (!array->items) {
        fputs("null\n", to);
        return;
    }
    fprintf(to, "[%u]\n", array->count);
    for (uint32_t i = 0; i < array->count; i++) {
        const void *item = (const uint8_t *)array->items + (size_t)i * of->struct_bytes;
        fprintf(to, "%*s%u:", depth, "", i);
        if (of->fields) {
            fputc('\n', to);
            show_struct(to, of, item, depth + 1);
        } else if (of->simple == WEIR_KAFKA_I32) {
            fprintf(to, " %d\n", *(const int32_t *)item);
        } else {
            const struct weir_kafka_string *string = item;
            show_run(to, string->bytes, string->byte_count);
        }
    }
}

static inline void show_field(FILE *to, const struct weir_kafka_field *field, const void *place,
                              int depth)
{
    const struct weir_kafka_string *string = place;
    const struct weir_kafka_bytes *bytes = place;
    const struct weir_kafka_records *records = place;
    const void *pointer;
    switch ((enum weir_kafka_kind)field->kind) {
    case WEIR_KAFKA_BOOL:
        fprintf(to, "%d\n", *(const bool *)place);
        break;
    case WEIR_KAFKA_I8:
        fprintf(to, "%d\n", *(const int8_t *)place);
        break;
    case WEIR_KAFKA_I16:
        fprintf(to, "%d\n", *(const int16_t *)place);
        break;
    case WEIR_KAFKA_I32:
        fprintf(to, "%d\n", *(const int32_t *)place);
        break;
    case WEIR_KAFKA_I64:
        fprintf(to, "%lld\n", (long long)*(const int64_t *)place);
        break;
    case WEIR_KAFKA_UUID:
        show_run(to, place, 16);
        break;
    case WEIR_KAFKA_STRING:
        show_run(to, string->bytes, string->byte_count);
        break;
    case WEIR_KAFKA_BYTES:
        show_run(to, bytes->bytes, bytes->byte_count);
        break;
    case WEIR_KAFKA_RECORDS:
        show_run(to, records->bytes, records->byte_count);
        break;
    case WEIR_KAFKA_ARRAY:
        show_array(to, field->of, place, depth);
        break;
    case WEIR_KAFKA_STRUCT:
        fputc('\n', to);
        show_struct(to, field->of, place, depth + 1);
        break;
    case WEIR_KAFKA_POINTER:
        memcpy(&pointer, place, sizeof pointer);
        fputs(pointer ? "there\n" : "null\n", to);
        if (pointer)
            show_struct(to, field->of, pointer, depth + 1);
        break;
    }
}

static inline void show_struct(FILE *to, const struct weir_kafka_message *message, const void *from,
                               int depth)
{
    for (uint32_t i = 0; i < message->field_count; i++) {
        const struct weir_kafka_field *field = &message->fields[i];
        fprintf(to, "%*s%s: ", depth, "", field->name);
        show_field(to, field, (const uint8_t *)from + field->place, depth);
    }
}

/* Line for line; to be freed. */
static inline char *show_message(const struct weir_kafka_message *message, const void *from)
{
    char *text;
    size_t count;
    FILE *to = open_memstream(&text, &count);
    show_struct(to, message, from, 0);
    fclose(to);
    return text;
}

/* The parts one after another; pieces are not among them. */
static inline size_t gather_parts(const struct weir_kafka_out *out, uint8_t *into)
{
    size_t count = 0;
    for (uint32_t i = 0; i < out->part_count; i++) {
        memcpy(into + count, out->parts[i].bytes, out->parts[i].byte_count);
        count += out->parts[i].byte_count;
    }
    return count;
}

#endif
