/*
 * base/bytes.c - numbers and names as text.
 *
 * Printing knows its length first (one multiplication from the count of bits), then fills from the
 * back two digits at a time: no reversal, no scratch. Proof: tests/base/bytes_test.c.
 */
#include "base/bytes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char pairs[201] = "00010203040506070809101112131415161718192021222324"
                               "25262728293031323334353637383940414243444546474849"
                               "50515253545556575859606162636465666768697071727374"
                               "75767778798081828384858687888990919293949596979899";

static const char hex_digits[17] = "0123456789abcdef";

bool weir_bytes_parse_u64(const char *text, size_t count, uint64_t *out)
{
    if (count == 0 || (text[0] == '0' && count > 1))
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned char digit = (unsigned char)(text[i] - '0');
        if (digit > 9 || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *out = value;
    return true;
}

bool weir_bytes_parse_i64(const char *text, size_t count, int64_t *out)
{
    bool negative = count > 0 && text[0] == '-';
    uint64_t size;
    if (!weir_bytes_parse_u64(text + negative, count - negative, &size))
        return false;
    if (size > (uint64_t)INT64_MAX + negative || (negative && size == 0))
        return false;
    *out = negative ? (int64_t)(0 - size) : (int64_t)size;
    return true;
}

uint32_t weir_bytes_u64_chars(uint64_t value)
{
    static const uint64_t powers[WEIR_U64_DIGITS_MAX] = {
        0,
        10u,
        100u,
        1000u,
        10000u,
        100000u,
        1000000u,
        10000000u,
        100000000u,
        1000000000u,
        10000000000u,
        100000000000u,
        1000000000000u,
        10000000000000u,
        100000000000000u,
        1000000000000000u,
        10000000000000000u,
        100000000000000000u,
        1000000000000000000u,
        10000000000000000000u,
    };
    /* bits * log10(2), rounded down: the digits but one, or all of them; the table settles it. */
    uint32_t guess = (64u - (uint32_t)__builtin_clzll(value | 1)) * 1233 >> 12;
    return guess + 1 - (value < powers[guess]);
}

uint32_t weir_bytes_i64_chars(int64_t value)
{
    return value < 0 ? 1 + weir_bytes_u64_chars(0 - (uint64_t)value)
                     : weir_bytes_u64_chars((uint64_t)value);
}

uint32_t weir_bytes_put_u64(char *out, uint64_t value)
{
    uint32_t count = weir_bytes_u64_chars(value);
    char *at = out + count;
    for (; value >= 100; value /= 100)
        memcpy(at -= 2, pairs + 2 * (value % 100), 2);
    if (value >= 10)
        memcpy(at - 2, pairs + 2 * value, 2);
    else
        at[-1] = (char)('0' + value);
    return count;
}

uint32_t weir_bytes_put_i64(char *out, int64_t value)
{
    if (value >= 0)
        return weir_bytes_put_u64(out, (uint64_t)value);
    *out = '-';
    return 1 + weir_bytes_put_u64(out + 1, 0 - (uint64_t)value);
}

uint32_t weir_bytes_put_double(char *out, double value)
{
    if (isnan(value) || isinf(value)) {
        const char *name = isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
        memcpy(out, name, strlen(name));
        return (uint32_t)strlen(name);
    }
    char text[WEIR_DOUBLE_CHARS_MAX];
    int count = 0;
    for (int digits = 15; digits <= 17; digits++) {
        count = snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    for (int i = 0; i < count; i++) /* the host's locale may print a comma */
        out[i] = text[i] == ',' ? '.' : text[i];
    return (uint32_t)count;
}

int weir_bytes_hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    char lower = (char)(digit | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

void weir_bytes_put_hex(char *out, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++) {
        out[2 * i] = hex_digits[at[i] >> 4];
        out[2 * i + 1] = hex_digits[at[i] & 15];
    }
}

bool weir_bytes_parse_hex(const char *hex, size_t count, void *out)
{
    unsigned char *at = out;
    if (count % 2 != 0)
        return false;
    for (size_t i = 0; i < count; i += 2) {
        int high = weir_bytes_hex_digit(hex[i]);
        int low = weir_bytes_hex_digit(hex[i + 1]);
        if (high < 0 || low < 0)
            return false;
        *at++ = (unsigned char)(high << 4 | low);
    }
    return true;
}

static size_t escape_one(char out[WEIR_ESCAPED_BYTES_MAX], unsigned char byte)
{
    static const char named[] = "\\\"\n\r\t";
    static const char names[] = "\\\"nrt";
    const char *name = byte != 0 ? strchr(named, byte) : NULL;
    out[0] = '\\';
    if (name != NULL) {
        out[1] = names[name - named];
        return 2;
    }
    if (byte >= ' ' && byte <= '~') {
        out[0] = (char)byte;
        return 1;
    }
    out[1] = 'x';
    weir_bytes_put_hex(out + 2, &byte, 1);
    return 4;
}

size_t weir_bytes_escape(char *out, size_t out_bytes, const void *bytes, size_t count,
                         size_t *bytes_done_out)
{
    const unsigned char *at = bytes;
    size_t put = 0;
    size_t done = 0;
    for (; done < count; done++) {
        char text[WEIR_ESCAPED_BYTES_MAX];
        size_t chars = escape_one(text, at[done]);
        if (chars > out_bytes - put)
            break;
        memcpy(out + put, text, chars);
        put += chars;
    }
    if (bytes_done_out != NULL)
        *bytes_done_out = done;
    return put;
}

static unsigned char lower(char c)
{
    unsigned char byte = (unsigned char)c;
    return (unsigned char)(byte - 'A') < 26 ? (unsigned char)(byte | 0x20) : byte;
}

bool weir_bytes_equal_nocase(const char *a, size_t a_count, const char *b, size_t b_count)
{
    if (a_count != b_count)
        return false;
    for (size_t i = 0; i < a_count; i++) {
        if (lower(a[i]) != lower(b[i]))
            return false;
    }
    return true;
}
