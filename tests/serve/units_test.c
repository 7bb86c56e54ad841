/* tests/serve/units_test.c - numbers as people write them, and as they should not. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "serve/units.h"

struct row {
    const char *text;
    bool good;
    uint64_t value;
};

static void check(bool (*parse)(const char *, uint64_t *), const struct row *rows)
{
    for (; rows->text; rows++) {
        uint64_t value = 0;
        if (parse(rows->text, &value) != rows->good || (rows->good && value != rows->value))
            fail_msg("'%s': expected %s %llu, got %llu", rows->text, rows->good ? "good" : "bad",
                     (unsigned long long)rows->value, (unsigned long long)value);
    }
}

static void sizes_are_powers_of_1024(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"0", true, 0},
        {"1", true, 1},
        {"4096b", true, 4096},
        {"64k", true, 65536},
        {"64KB", true, 65536},
        {"64KiB", true, 65536},
        {"8mb", true, 8388608},
        {"1gb", true, 1073741824},
        {"17179869183g", true, 18446744072635809792u},
        {"17179869184g", false, 0},
        {"18446744073709551616", false, 0},
        {"", false, 0},
        {"mb", false, 0},
        {"-1", false, 0},
        {" 1", false, 0},
        {"1 mb", false, 0},
        {"1.5mb", false, 0},
        {"1tb", false, 0},
        {"0x10", false, 0},
        {NULL, false, 0},
    };
    check(units_bytes, rows);
}

static void a_time_needs_its_unit_unless_it_is_nothing(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"0", true, 0},
        {"0s", true, 0},
        {"5ns", true, 5},
        {"250us", true, 250000},
        {"100ms", true, 100000000},
        {"60s", true, 60000000000},
        {"2m", true, 120000000000},
        {"2min", true, 120000000000},
        {"1h", true, 3600000000000},
        {"60", false, 0},
        {"00", false, 0},
        {"s", false, 0},
        {"1d", false, 0},
        {"-1s", false, 0},
        {"5124096h", false, 0},
        {NULL, false, 0},
    };
    check(units_ns, rows);
}

static void counts_are_powers_of_1000(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"0", true, 0},   {"10k", true, 10000}, {"2M", true, 2000000},
        {"1g", false, 0}, {"ten", false, 0},    {NULL, false, 0},
    };
    check(units_count, rows);
}

static void whole_numbers_have_no_unit(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"6379", true, 6379}, {"0", true, 0},   {"6k", false, 0},
        {"6.0", false, 0},    {"+6", false, 0}, {NULL, false, 0},
    };
    check(units_whole, rows);
}

static void flags_are_yes_and_no_in_a_few_ways(void **state)
{
    (void)state;
    static const char *const yes[] = {"yes", "true", "on", "YES", "True"},
                             *const no[] = {"no", "false", "off", "No"},
                             *const bad[] = {"", "1", "0", "y", "yess"};
    bool flag;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(units_flag(yes[i], &flag) && flag);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_true(units_flag(no[i], &flag) && !flag);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(units_flag(bad[i], &flag));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_powers_of_1024),
        cmocka_unit_test(a_time_needs_its_unit_unless_it_is_nothing),
        cmocka_unit_test(counts_are_powers_of_1000),
        cmocka_unit_test(whole_numbers_have_no_unit),
        cmocka_unit_test(flags_are_yes_and_no_in_a_few_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
