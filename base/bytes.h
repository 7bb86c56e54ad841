/*
 * base/bytes.h - numbers to and from decimal text, escapes, comparing names. No locale.
 *
 * Numbers are read strictly: no spaces, no '+', no leading zeros, no "-0", nothing after the last
 * digit. What is printed is read back as the same number, and the other way round.
 */
#ifndef WEIR_BASE_BYTES_H
#define WEIR_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WEIR_U64_DIGITS_MAX = 20,
    WEIR_I64_CHARS_MAX = 20,
    WEIR_DOUBLE_CHARS_MAX = 32,
    WEIR_ESCAPED_BYTES_MAX = 4, /* of one byte */
};

/* False, and *out untouched, when the text is not exactly one number in range. */
bool weir_bytes_parse_u64(const char *text, size_t count, uint64_t *out);
bool weir_bytes_parse_i64(const char *text, size_t count, int64_t *out);

/* How many characters the number prints as. */
uint32_t weir_bytes_u64_chars(uint64_t value);
uint32_t weir_bytes_i64_chars(int64_t value);

/* Print at `out` (room for ..._MAX characters, no terminating zero); returns the characters. */
uint32_t weir_bytes_put_u64(char *out, uint64_t value);
uint32_t weir_bytes_put_i64(char *out, int64_t value);
/* 15 significant digits, or as many (up to 17) as reading it back takes; inf, -inf, nan. */
uint32_t weir_bytes_put_double(char *out, double value);

/* 0..15, or -1. */
int weir_bytes_hex_digit(char digit);
/* Lower-case hex at `out`, two characters a byte. */
void weir_bytes_put_hex(char *out, const void *bytes, size_t count);
/* `count` characters of hex to count / 2 bytes; false when one is not hex or the count is odd. */
bool weir_bytes_parse_hex(const char *hex, size_t count, void *out);

/*
 * Bytes for a log or an error line: printable ASCII as it is, `\\ \" \n \r \t` by name, others as
 * \xHH. Stops before an escape that does not fit in out_bytes. Returns the characters put at `out`;
 * no terminating zero. bytes_done_out (may be NULL) tells how many bytes were taken.
 */
size_t weir_bytes_escape(char *out, size_t out_bytes, const void *bytes, size_t count,
                         size_t *bytes_done_out);

/* Equal but for ASCII case. */
bool weir_bytes_equal_nocase(const char *a, size_t a_count, const char *b, size_t b_count);

#endif
