/*
 * wire/resp/resp_write.c - replies as bytes.
 *
 * Each element first claims its exact size, then fills it; a claim beyond the span only counts.
 * Once one did not fit, no later one does, so the span never has a gap. Proof: tests/wire/resp/.
 */
#include "wire/resp/resp_write.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

static char *claim(struct weir_resp_writer *writer, size_t count)
{
    size_t at = writer->count;
    writer->count += count;
    return weir_resp_writer_fits(writer) ? writer->bytes + at : NULL;
}

static char *put(char *at, const void *bytes, size_t count)
{
    if (count > 0)
        memcpy(at, bytes, count);
    return at + count;
}

static char *put_line_end(char *at)
{
    return put(at, "\r\n", 2);
}

static size_t head_bytes(uint64_t number)
{
    return 1 + weir_bytes_u64_chars(number) + 2;
}

static char *put_head(char *at, char type, uint64_t number)
{
    *at++ = type;
    at += weir_bytes_put_u64(at, number);
    return put_line_end(at);
}

static size_t bulk_bytes(size_t count)
{
    return head_bytes(count) + count + 2;
}

static char *put_bulk(char *at, const void *bytes, size_t count)
{
    return put_line_end(put(put_head(at, '$', count), bytes, count));
}

static void write_head(struct weir_resp_writer *writer, char type, uint64_t number)
{
    char *at = claim(writer, head_bytes(number));
    if (at != NULL)
        put_head(at, type, number);
}

static void write_literal(struct weir_resp_writer *writer, const char *bytes, size_t count)
{
    char *at = claim(writer, count);
    if (at != NULL)
        put(at, bytes, count);
}

/* A line end inside would end the line early and let its rest pass for another reply. */
static void write_line(struct weir_resp_writer *writer, char type, const char *text, size_t count)
{
    char *at = claim(writer, 1 + count + 2);
    if (at == NULL)
        return;
    *at++ = type;
    for (size_t i = 0; i < count; i++)
        *at++ = text[i] == '\r' || text[i] == '\n' ? ' ' : text[i];
    put_line_end(at);
}

void weir_resp_writer_init(struct weir_resp_writer *writer, char *bytes, size_t capacity,
                           uint8_t protocol)
{
    WEIR_ASSERT(protocol == 2 || protocol == 3);
    *writer = (struct weir_resp_writer){.bytes = bytes, .capacity = capacity, .protocol = protocol};
}

void weir_resp_write_simple(struct weir_resp_writer *writer, const char *text, size_t count)
{
    write_line(writer, '+', text, count);
}

void weir_resp_write_error(struct weir_resp_writer *writer, const char *text, size_t count)
{
    write_line(writer, '-', text, count);
}

void weir_resp_write_status(struct weir_resp_writer *writer, const char *text)
{
    write_line(writer, '+', text, strlen(text));
}

void weir_resp_write_failure(struct weir_resp_writer *writer, const char *text)
{
    write_line(writer, '-', text, strlen(text));
}

void weir_resp_write_failuref(struct weir_resp_writer *writer, const char *format, ...)
{
    char text[1025];
    va_list args;
    va_start(args, format);
    int count = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (count < 0)
        count = 0;
    if ((size_t)count > sizeof(text) - 1)
        count = (int)sizeof(text) - 1;
    write_line(writer, '-', text, (size_t)count);
}

void weir_resp_write_integer(struct weir_resp_writer *writer, int64_t value)
{
    char *at = claim(writer, 1 + weir_bytes_i64_chars(value) + 2);
    if (at == NULL)
        return;
    *at++ = ':';
    at += weir_bytes_put_i64(at, value);
    put_line_end(at);
}

void weir_resp_write_bulk(struct weir_resp_writer *writer, const void *bytes, size_t count)
{
    char *at = claim(writer, bulk_bytes(count));
    if (at != NULL)
        put_bulk(at, bytes, count);
}

void weir_resp_write_bulk_text(struct weir_resp_writer *writer, const char *text)
{
    weir_resp_write_bulk(writer, text, strlen(text));
}

void weir_resp_write_bulk_head(struct weir_resp_writer *writer, size_t count)
{
    write_head(writer, '$', count);
}

void weir_resp_write_null(struct weir_resp_writer *writer)
{
    if (writer->protocol == 3)
        write_literal(writer, "_\r\n", 3);
    else
        write_literal(writer, "$-1\r\n", 5);
}

void weir_resp_write_null_array(struct weir_resp_writer *writer)
{
    if (writer->protocol == 3)
        write_literal(writer, "_\r\n", 3);
    else
        write_literal(writer, "*-1\r\n", 5);
}

void weir_resp_write_array(struct weir_resp_writer *writer, size_t count)
{
    write_head(writer, '*', count);
}

void weir_resp_write_map(struct weir_resp_writer *writer, size_t pair_count)
{
    if (writer->protocol == 3)
        write_head(writer, '%', pair_count);
    else
        write_head(writer, '*', 2 * pair_count);
}

void weir_resp_write_set(struct weir_resp_writer *writer, size_t count)
{
    write_head(writer, writer->protocol == 3 ? '~' : '*', count);
}

void weir_resp_write_push(struct weir_resp_writer *writer, size_t count)
{
    write_head(writer, writer->protocol == 3 ? '>' : '*', count);
}

void weir_resp_write_bool(struct weir_resp_writer *writer, bool value)
{
    if (writer->protocol == 3)
        write_literal(writer, value ? "#t\r\n" : "#f\r\n", 4);
    else
        write_literal(writer, value ? ":1\r\n" : ":0\r\n", 4);
}

void weir_resp_write_double(struct weir_resp_writer *writer, double value)
{
    char text[WEIR_DOUBLE_CHARS_MAX];
    uint32_t count = weir_bytes_put_double(text, value);
    if (writer->protocol == 3)
        write_line(writer, ',', text, count);
    else
        weir_resp_write_bulk(writer, text, count);
}

void weir_resp_write_big_number(struct weir_resp_writer *writer, const char *digits, size_t count)
{
    if (writer->protocol == 3)
        write_line(writer, '(', digits, count);
    else
        weir_resp_write_bulk(writer, digits, count);
}

void weir_resp_write_verbatim(struct weir_resp_writer *writer, const char format[3],
                              const char *text, size_t count)
{
    if (writer->protocol == 2) {
        weir_resp_write_bulk(writer, text, count);
        return;
    }
    char *at = claim(writer, bulk_bytes(4 + count));
    if (at == NULL)
        return;
    at = put_head(at, '=', 4 + count);
    at = put(at, format, 3);
    *at++ = ':';
    put_line_end(put(at, text, count));
}

/* The part that all messages of a kind begin with, but for RESP3's first byte. */
static struct weir_resp_slice opening(enum weir_resp_message_kind kind)
{
    static const char message[] = "*3\r\n$7\r\nmessage\r\n";
    static const char pmessage[] = "*4\r\n$8\r\npmessage\r\n";
    static const char smessage[] = "*3\r\n$8\r\nsmessage\r\n";
    switch (kind) {
    case WEIR_RESP_PMESSAGE:
        return (struct weir_resp_slice){pmessage, sizeof(pmessage) - 1};
    case WEIR_RESP_SMESSAGE:
        return (struct weir_resp_slice){smessage, sizeof(smessage) - 1};
    case WEIR_RESP_MESSAGE:
        break;
    }
    WEIR_ASSERT(kind == WEIR_RESP_MESSAGE);
    return (struct weir_resp_slice){message, sizeof(message) - 1};
}

size_t weir_resp_message_head_bytes(const struct weir_resp_message *message)
{
    size_t count = opening(message->kind).count;
    if (message->kind == WEIR_RESP_PMESSAGE)
        count += bulk_bytes(message->pattern.count);
    return count + bulk_bytes(message->channel.count) + head_bytes(message->payload.count);
}

size_t weir_resp_message_bytes(const struct weir_resp_message *message)
{
    return weir_resp_message_head_bytes(message) + message->payload.count + 2;
}

size_t weir_resp_message_head_encode(const struct weir_resp_message *message, uint8_t protocol,
                                     char *out)
{
    struct weir_resp_slice first = opening(message->kind);
    char *at = put(out, first.bytes, first.count);
    out[0] = protocol == 3 ? '>' : '*';
    if (message->kind == WEIR_RESP_PMESSAGE)
        at = put_bulk(at, message->pattern.bytes, message->pattern.count);
    at = put_bulk(at, message->channel.bytes, message->channel.count);
    at = put_head(at, '$', message->payload.count);
    return (size_t)(at - out);
}

size_t weir_resp_message_encode(const struct weir_resp_message *message, uint8_t protocol, char *out)
{
    char *at = out + weir_resp_message_head_encode(message, protocol, out);
    at = put_line_end(put(at, message->payload.bytes, message->payload.count));
    return (size_t)(at - out);
}
