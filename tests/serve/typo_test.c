/* tests/serve/typo_test.c - the name that was meant, or none rather than a wild guess. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "serve/typo.h"

static const char *meant(const char *word)
{
    static const char *const names[] = {"cores", "config", "listen",     "io",
                                        "pin",   "spin",   "redis-port", "log-level"};
    struct typo typo;
    typo_init(&typo, word);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        typo_try(&typo, names[i]);
    return typo_best(&typo);
}

static void a_slip_of_the_finger_is_understood(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"core", "cores"},    {"ocres", "cores"},        {"lisen", "listen"},
        {"listne", "listen"}, {"listenn", "listen"},     {"redisport", "redis-port"},
        {"pni", "pin"},       {"loglevel", "log-level"}, {"log_levle", "log-level"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_non_null(meant(rows[i][0]));
        assert_string_equal(meant(rows[i][0]), rows[i][1]);
    }
}

static void the_nearest_of_two_is_named(void **state)
{
    (void)state;
    assert_string_equal(meant("pin"), "pin");
    assert_string_equal(meant("spinn"), "spin");
}

static void another_word_is_nothing_like_it(void **state)
{
    (void)state;
    assert_null(meant("threads"));
    assert_null(meant(""));
    assert_null(meant("x"));
    assert_null(meant("a-word-that-is-longer-than-any-name-there-is"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slip_of_the_finger_is_understood),
        cmocka_unit_test(the_nearest_of_two_is_named),
        cmocka_unit_test(another_word_is_nothing_like_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
