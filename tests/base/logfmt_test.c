/* tests/base/logfmt_test.c - what others call themselves stays inside its quotes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/logfmt.h"

static void what_would_leave_the_quotes_is_escaped(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"plain-1.2", "plain-1.2"},
        {"a\" level=error msg=\"b", "a\\\" level=error msg=\\\"b"},
        {"\\\"", "\\\\\\\""},
        {"a\nb\rc\td", "a\\nb\\rc\\td"},
        {"\x1b[31m\x7f", "\\x1b[31m\\x7f"},
        {"caf\xc3\xa9", "caf\xc3\xa9"},
    };
    char out[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(weir_logfmt_escape(out, sizeof out, cases[i][0]), cases[i][1]);
}

static void what_does_not_fit_is_cut_between_two_characters(void **state)
{
    (void)state;
    static const char *const cut[] = {"", "", "a", "a", "a\\\"", "a\\\"", "a\\\"", "a\\\"", "a\\\"\\x01"};
    char out[10];
    for (size_t bytes = 1; bytes < sizeof cut / sizeof cut[0]; bytes++) {
        memset(out, '#', sizeof out);
        assert_string_equal(weir_logfmt_escape(out, bytes, "a\"\x01"), cut[bytes]);
        assert_int_equal(out[bytes], '#');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_would_leave_the_quotes_is_escaped),
        cmocka_unit_test(what_does_not_fit_is_cut_between_two_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
