/*
 * tests/base/bytes_test.c - numbers, escapes and names, at their edges and both ways.
 */
#include "base/bytes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void numbers_print_as_the_c_library_prints_them(void **state)
{
    (void)state;
    uint64_t power = 1;
    for (int digits = 1; digits <= 20; digits++, power *= 10) {
        const uint64_t values[] = {power - 1, power, power + 1, power * 9, UINT64_MAX - power};
        for (size_t i = 0; i < 5; i++) {
            char expected[32];
            char text[WEIR_U64_DIGITS_MAX];
            int count = snprintf(expected, sizeof(expected), "%llu", (unsigned long long)values[i]);
            assert_int_equal(weir_bytes_u64_chars(values[i]), count);
            assert_int_equal(weir_bytes_put_u64(text, values[i]), count);
            assert_memory_equal(text, expected, count);
            count = snprintf(expected, sizeof(expected), "%lld", (long long)values[i]);
            assert_int_equal(weir_bytes_i64_chars((int64_t)values[i]), count);
            assert_int_equal(weir_bytes_put_i64(text, (int64_t)values[i]), count);
            assert_memory_equal(text, expected, count);
        }
    }
}

static void every_power_of_two_prints_and_reads_back(void **state)
{
    (void)state;
    for (int bit = 0; bit < 64; bit++) {
        for (int64_t near = -1; near <= 1; near++) {
            uint64_t value = ((uint64_t)1 << bit) + (uint64_t)near;
            char text[WEIR_U64_DIGITS_MAX];
            uint64_t read = ~value;
            assert_true(weir_bytes_parse_u64(text, weir_bytes_put_u64(text, value), &read));
            assert_true(read == value);
            int64_t signed_read = (int64_t)~value;
            uint32_t count = weir_bytes_put_i64(text, (int64_t)value);
            assert_true(weir_bytes_parse_i64(text, count, &signed_read));
            assert_true(signed_read == (int64_t)value);
        }
    }
}

static void numbers_out_of_form_or_range_are_refused(void **state)
{
    (void)state;
    static const char *const bad_u64[] = {
        "",
        "-",
        "-1",
        "+1",
        "01",
        "00",
        " 1",
        "1 ",
        "1a",
        "a",
        "0x1",
        "1.0",
        "18446744073709551616",
        "99999999999999999999",
        "100000000000000000000",
    };
    static const char *const bad_i64[] = {
        "", "-", "--1", "-0", "+1", "-01", "9223372036854775808", "-9223372036854775809", "1-",
    };
    for (size_t i = 0; i < sizeof(bad_u64) / sizeof(*bad_u64); i++) {
        uint64_t value = 77;
        assert_false(weir_bytes_parse_u64(bad_u64[i], strlen(bad_u64[i]), &value));
        assert_int_equal(value, 77);
    }
    for (size_t i = 0; i < sizeof(bad_i64) / sizeof(*bad_i64); i++) {
        int64_t value = 77;
        assert_false(weir_bytes_parse_i64(bad_i64[i], strlen(bad_i64[i]), &value));
        assert_int_equal(value, 77);
    }
}

static void the_extremes_are_read(void **state)
{
    (void)state;
    uint64_t large;
    int64_t value;
    assert_true(weir_bytes_parse_u64("18446744073709551615", 20, &large));
    assert_true(large == UINT64_MAX);
    assert_true(weir_bytes_parse_i64("9223372036854775807", 19, &value));
    assert_true(value == INT64_MAX);
    assert_true(weir_bytes_parse_i64("-9223372036854775808", 20, &value));
    assert_true(value == INT64_MIN);
    assert_true(weir_bytes_parse_i64("0", 1, &value));
    assert_true(value == 0);
}

static void doubles_print_briefly_and_read_back(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0.1, "0.1"},
        {1.5, "1.5"},
        {100, "100"},
        {-2, "-2"},
        {1e300, "1e+300"},
        {0, "0"},
        {INFINITY, "inf"},
        {-INFINITY, "-inf"},
        {NAN, "nan"},
        {1.0 / 3, "0.3333333333333333"},
        {0.1 + 0.2, "0.30000000000000004"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char text[WEIR_DOUBLE_CHARS_MAX + 1] = {0};
        assert_int_equal(weir_bytes_put_double(text, cases[i].value), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
    }
    uint64_t random = 5;
    for (int round = 0; round < 20000; round++) {
        double value;
        char text[WEIR_DOUBLE_CHARS_MAX + 1] = {0};
        random = random * 6364136223846793005u + 1442695040888963407u;
        memcpy(&value, &random, sizeof(value));
        assert_in_range(weir_bytes_put_double(text, value), 1, WEIR_DOUBLE_CHARS_MAX);
        assert_true(isnan(value) || strtod(text, NULL) == value);
    }
}

static void hex_goes_both_ways(void **state)
{
    (void)state;
    unsigned char bytes[256];
    unsigned char back[256];
    char hex[512];
    for (int i = 0; i < 256; i++)
        bytes[i] = (unsigned char)i;
    weir_bytes_put_hex(hex, bytes, 256);
    assert_memory_equal(hex, "000102", 6);
    assert_memory_equal(hex + 506, "fdfeff", 6);
    assert_true(weir_bytes_parse_hex(hex, 512, back));
    assert_memory_equal(bytes, back, 256);
    assert_true(weir_bytes_parse_hex("aBCd", 4, back));
    assert_memory_equal(back, "\xab\xcd", 2);
    assert_false(weir_bytes_parse_hex("abc", 3, back));
    assert_false(weir_bytes_parse_hex("ag", 2, back));
    assert_false(weir_bytes_parse_hex("@a", 2, back));
    assert_false(weir_bytes_parse_hex("/0", 2, back));
    assert_false(weir_bytes_parse_hex(":0", 2, back));
}

static void hex_digits_are_those_of_the_c_library(void **state)
{
    (void)state;
    for (int c = 1; c < 256; c++) {
        char text[2] = {(char)c, 0};
        char *end;
        long expected = strtol(text, &end, 16);
        bool is_digit = end == text + 1;
        assert_int_equal(weir_bytes_hex_digit((char)c), is_digit ? expected : -1);
    }
    assert_int_equal(weir_bytes_hex_digit('\0'), -1);
}

static void escapes_name_what_has_a_name(void **state)
{
    (void)state;
    char out[64];
    size_t done;
    size_t count = weir_bytes_escape(out, sizeof(out), "a\\\"\n\r\t\0\x7f\xff~ ", 11, &done);
    assert_int_equal(done, 11);
    assert_int_equal(count, strlen("a\\\\\\\"\\n\\r\\t\\x00\\x7f\\xff~ "));
    assert_memory_equal(out, "a\\\\\\\"\\n\\r\\t\\x00\\x7f\\xff~ ", count);
}

static void an_escape_that_does_not_fit_is_not_begun(void **state)
{
    (void)state;
    char out[8];
    size_t done;
    memset(out, '#', sizeof(out));
    assert_int_equal(weir_bytes_escape(out, 4, "a\x01z", 3, &done), 1);
    assert_int_equal(done, 1);
    assert_memory_equal(out, "a#######", 8);
    assert_int_equal(weir_bytes_escape(out, 5, "a\x01z", 3, &done), 5);
    assert_int_equal(done, 2);
    assert_memory_equal(out, "a\\x01###", 8);
}

static void names_are_equal_but_for_ascii_case(void **state)
{
    (void)state;
    assert_true(weir_bytes_equal_nocase("PubLish", 7, "pUBlISH", 7));
    assert_true(weir_bytes_equal_nocase("", 0, NULL, 0));
    assert_false(weir_bytes_equal_nocase("publish", 7, "publis", 6));
    assert_false(weir_bytes_equal_nocase("[", 1, "{", 1));
    assert_false(weir_bytes_equal_nocase("@", 1, "`", 1));
    assert_false(weir_bytes_equal_nocase("\xc4", 1, "\xe4", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_print_as_the_c_library_prints_them),
        cmocka_unit_test(every_power_of_two_prints_and_reads_back),
        cmocka_unit_test(numbers_out_of_form_or_range_are_refused),
        cmocka_unit_test(the_extremes_are_read),
        cmocka_unit_test(doubles_print_briefly_and_read_back),
        cmocka_unit_test(hex_goes_both_ways),
        cmocka_unit_test(hex_digits_are_those_of_the_c_library),
        cmocka_unit_test(escapes_name_what_has_a_name),
        cmocka_unit_test(an_escape_that_does_not_fit_is_not_begun),
        cmocka_unit_test(names_are_equal_but_for_ascii_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
