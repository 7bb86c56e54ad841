/*
 * tests/runtime/path_test.c - dotted names, wildcards, and the matcher against a naive one.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/path.h"

static bool matches(const char *pattern, const char *name)
{
    struct weir_path a, b;
    uint16_t a_ends[WEIR_PATH_PARTS_MAX], b_ends[WEIR_PATH_PARTS_MAX];
    assert_int_equal(weir_path_cut(&a, pattern, a_ends), 0);
    assert_int_equal(weir_path_cut(&b, name, b_ends), 0);
    return weir_path_match(&a, &b);
}

static void a_name_matches_itself_byte_by_byte(void **state)
{
    (void)state;
    assert_true(matches("a.b", "a.b"));
    assert_false(matches("a.b", "a.B"));
    assert_false(matches("a.b", "a.bc"));
    assert_false(matches("a.bc", "a.b"));
    assert_false(matches("a.b", "a.b.c"));
    assert_true(matches("a*.b", "a*.b"));
    assert_false(matches("a*.b", "ax.b"));
}

static void a_star_is_exactly_one_part(void **state)
{
    (void)state;
    assert_true(matches("a.*", "a.b"));
    assert_false(matches("a.*", "a"));
    assert_false(matches("a.*", "a.b.c"));
    assert_true(matches("*", "a"));
    assert_false(matches("*", "a.b"));
    assert_true(matches("*.b.*", "a.b.c"));
    assert_false(matches("*.b.*", "a.c.c"));
}

static void two_stars_are_any_number_of_parts_and_none(void **state)
{
    (void)state;
    assert_true(matches("**", "a"));
    assert_true(matches("**", "a.b.c"));
    assert_true(matches("a.**", "a"));
    assert_true(matches("a.**", "a.b.c"));
    assert_false(matches("a.**", "b.a"));
    assert_true(matches("**.c", "c"));
    assert_true(matches("**.c", "a.b.c"));
    assert_true(matches("a.**.c", "a.c"));
    assert_true(matches("a.**.c", "a.c.b.c"));
    assert_false(matches("a.**.c", "a.c.b"));
    assert_true(matches("**.**", "a"));
    assert_true(matches("**.*", "a"));
    assert_false(matches("*.**.*", "a"));
}

static void an_empty_part_is_a_part(void **state)
{
    (void)state;
    assert_true(matches("a.*", "a."));
    assert_true(matches("*.a", ".a"));
    assert_true(matches("*.*", "."));
    assert_false(matches("*", "."));
    assert_false(matches("a", "a."));
    assert_true(matches("a.**", "a."));
}

static void a_path_is_not_empty_and_not_too_long(void **state)
{
    (void)state;
    struct weir_path path;
    uint16_t ends[WEIR_PATH_PARTS_MAX];
    char text[WEIR_PATH_BYTES_MAX + 2];
    memset(text, '.', sizeof text);
    text[WEIR_PATH_BYTES_MAX + 1] = '\0';
    assert_int_equal(weir_path_cut(&path, "", ends), -EINVAL);
    assert_int_equal(weir_path_cut(&path, text, ends), -EINVAL);
    text[WEIR_PATH_BYTES_MAX] = '\0';
    assert_int_equal(weir_path_cut(&path, text, ends), 0);
    assert_int_equal(path.part_count, WEIR_PATH_PARTS_MAX);
}

static void only_whole_parts_are_wildcards(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool pattern;
    } table[] = {{"a", false},  {"a*", false},  {"*a", false},   {"***", false}, {"a.***.b", false},
                 {"*", true},   {"**", true},   {"a.*.b", true}, {"a.**", true}, {".*", true}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct weir_path path;
        uint16_t ends[WEIR_PATH_PARTS_MAX];
        assert_int_equal(weir_path_cut(&path, table[i].text, ends), 0);
        assert_int_equal(weir_path_is_pattern(&path), table[i].pattern);
    }
}

static void errors_are_told_by_their_first_part(void **state)
{
    (void)state;
    static const char *const yes[] = {"error", "error.", "error.disk.full"};
    static const char *const no[] = {"errors", "an.error", "Error", "err.or", ".error"};
    struct weir_path path;
    uint16_t ends[WEIR_PATH_PARTS_MAX];
    for (size_t i = 0; i < 3; i++)
        assert_true(weir_path_cut(&path, yes[i], ends) == 0 && weir_path_is_error(&path));
    for (size_t i = 0; i < 5; i++)
        assert_true(weir_path_cut(&path, no[i], ends) == 0 && !weir_path_is_error(&path));
}

static void a_copy_outlives_what_it_was_made_from(void **state)
{
    (void)state;
    char text[] = "a.**.c";
    struct weir_path path;
    uint16_t ends[WEIR_PATH_PARTS_MAX];
    assert_int_equal(weir_path_cut(&path, text, ends), 0);
    struct weir_path *copy = weir_path_copy(&path);
    assert_non_null(copy);
    memset(text, 'x', sizeof text - 1);
    memset(ends, 0, sizeof ends);
    assert_string_equal(copy->text, "a.**.c");
    assert_int_equal(copy->part_count, 3);
    assert_true(weir_path_is_pattern(copy));
    free(copy);
}

/* ---- Against a matcher that follows the definition and nothing else ---- */

/* The part that `text` begins with; *rest_out: what follows its dot, NULL: it was the last. */
static size_t first_part(const char *text, const char **rest_out)
{
    const char *dot = strchr(text, '.');
    *rest_out = dot ? dot + 1 : NULL;
    return dot ? (size_t)(dot - text) : strlen(text);
}

static bool naive(const char *pattern, const char *name)
{
    if (!pattern)
        return !name;
    const char *pattern_rest, *name_rest = NULL;
    size_t bytes = first_part(pattern, &pattern_rest);
    bool many = bytes == 2 && memcmp(pattern, "**", 2) == 0;
    if (many && naive(pattern_rest, name))
        return true;
    if (!name)
        return false;
    size_t name_bytes = first_part(name, &name_rest);
    if (many)
        return naive(pattern, name_rest);
    bool one = bytes == 1 && *pattern == '*';
    return (one || (bytes == name_bytes && memcmp(pattern, name, bytes) == 0)) && naive(pattern_rest, name_rest);
}

static uint32_t draw(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static void draw_path(uint64_t *chance, char *out, bool wild)
{
    static const char *const parts[] = {"a", "b", "", "ab", "*", "**", "*", "**"};
    uint32_t count = 1 + draw(chance) % 6;
    out[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        strcat(out, i > 0 ? "." : "");
        strcat(out, parts[draw(chance) % (wild ? 8 : 4)]);
    }
    if (out[0] == '\0')
        strcpy(out, "a");
}

static void random_paths_match_as_a_naive_matcher_says(void **state)
{
    (void)state;
    uint64_t chance = 42;
    uint32_t matched = 0;
    for (uint32_t i = 0; i < 300000; i++) {
        char pattern[64], name[64];
        draw_path(&chance, pattern, true);
        draw_path(&chance, name, false);
        bool expected = naive(pattern, name);
        if (matches(pattern, name) != expected)
            fail_msg("round %u: pattern \"%s\" name \"%s\": expected %d", i, pattern, name, expected);
        matched += expected;
    }
    assert_true(matched > 30000 && matched < 270000); /* both answers were tried */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_matches_itself_byte_by_byte),
        cmocka_unit_test(a_star_is_exactly_one_part),
        cmocka_unit_test(two_stars_are_any_number_of_parts_and_none),
        cmocka_unit_test(an_empty_part_is_a_part),
        cmocka_unit_test(a_path_is_not_empty_and_not_too_long),
        cmocka_unit_test(only_whole_parts_are_wildcards),
        cmocka_unit_test(errors_are_told_by_their_first_part),
        cmocka_unit_test(a_copy_outlives_what_it_was_made_from),
        cmocka_unit_test(random_paths_match_as_a_naive_matcher_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
