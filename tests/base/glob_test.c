/*
 * tests/base/glob_test.c - each rule in a table, then random patterns against a recursive matcher.
 */
#include "base/glob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct rule {
    const char *pattern;
    const char *text;
    bool matches;
};

static void check(const struct rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct rule *rule = &rules[i];
        bool matches = weir_glob_match(rule->pattern, strlen(rule->pattern), rule->text,
                                       strlen(rule->text));
        if (matches != rule->matches)
            fail_msg("pattern <%s> text <%s>: expected %d", rule->pattern, rule->text,
                     rule->matches);
    }
}

#define CHECK(...)                                    \
    do {                                              \
        const struct rule rules[] = {__VA_ARGS__};    \
        check(rules, sizeof(rules) / sizeof(*rules)); \
    } while (0)

static void plain_bytes_match_themselves_and_the_whole_text(void **state)
{
    (void)state;
    CHECK({"news", "news", true}, {"news", "News", false}, {"news", "newss", false},
          {"news", "new", false}, {"new", "news", false}, {"\xff\x80", "\xff\x80", true},
          {"a!b", "a!b", true}, {"a]b", "a]b", true});
}

static void a_star_is_any_run(void **state)
{
    (void)state;
    CHECK({"*", "a", true}, {"*", "any thing", true}, {"a*", "a", true}, {"a*", "ab", true},
          {"*a", "a", true}, {"*a", "bca", true}, {"*a", "ab", false}, {"a*c", "ac", true},
          {"a*c", "abbbc", true}, {"a*c", "abbbcd", false}, {"a*b*c", "aXbYbZc", true},
          {"a*b*c", "aXcYb", false}, {"**", "x", true}, {"a**b", "ab", true}, {"a***", "a", true},
          {"h*llo", "heeeello", true}, {"*aab", "aaaaab", true}, {"*?", "a", true},
          {"?*?", "a", false}, {"*a*", "bab", true});
}

static void an_empty_text_is_matched_by_the_empty_pattern_only(void **state)
{
    (void)state;
    CHECK({"", "", true}, {"*", "", false}, {"**", "", false}, {"?", "", false},
          {"[^a]", "", false}, {"a", "", false}, {"", "a", false});
}

static void a_question_mark_is_one_byte(void **state)
{
    (void)state;
    CHECK({"?", "a", true}, {"?", "ab", false}, {"h?llo", "hello", true}, {"h?llo", "hllo", false},
          {"??", "ab", true}, {"a?", "a", false}, {"?", "\xc3", true});
}

static void a_class_is_one_of_its_members(void **state)
{
    (void)state;
    CHECK({"[abc]", "b", true}, {"[abc]", "d", false}, {"h[ae]llo", "hallo", true},
          {"h[ae]llo", "hillo", false}, {"[a-c]", "b", true}, {"[a-c]", "d", false},
          {"[c-a]", "b", true}, {"[c-a]", "d", false}, {"[a-cx-z]", "y", true},
          {"[a-cx-z]", "m", false}, {"[*?]", "*", true}, {"[*?]", "a", false},
          {"[\x80-\xff]", "\x90", true}, {"[\x80-\xff]", "a", false}, {"[\x01-\xff]", "a", true});
}

static void a_caret_negates_a_class_and_an_exclamation_mark_does_not(void **state)
{
    (void)state;
    CHECK({"[^a]", "b", true}, {"[^a]", "a", false}, {"[^a-c]", "b", false}, {"[^a-c]", "d", true},
          {"[!a]", "a", true}, {"[!a]", "!", true}, {"[!a]", "b", false}, {"[a^]", "^", true},
          {"[a^]", "b", false});
}

static void a_backslash_makes_the_next_byte_literal(void **state)
{
    (void)state;
    CHECK({"\\*", "*", true}, {"\\*", "a", false}, {"a\\?b", "a?b", true}, {"a\\?b", "axb", false},
          {"\\[a]", "[a]", true}, {"\\n", "n", true}, {"\\\\", "\\", true}, {"[\\]]", "]", true},
          {"[\\]]", "a", false}, {"[a\\-z]", "-", true}, {"[a\\-z]", "b", false},
          {"[\\^a]", "^", true});
}

static void a_lone_backslash_at_the_end_is_itself(void **state)
{
    (void)state;
    CHECK({"a\\", "a\\", true}, {"a\\", "a", false}, {"\\", "\\", true}, {"[a\\", "\\", true});
}

static void an_empty_class_never_matches(void **state)
{
    (void)state;
    CHECK({"[]]", "]", false}, {"[]]", "a", false}, {"[]", "a", false}, {"[]a]", "a]", false},
          {"[^]x", "ax", true});
}

static void a_class_without_an_end_is_closed_by_the_pattern(void **state)
{
    (void)state;
    CHECK({"[a", "a", true}, {"[a", "b", false}, {"x[abc", "xb", true}, {"[a-c", "b", true},
          {"[", "a", false}, {"[", "[", false}, {"[^", "a", true}, {"[^a", "b", true},
          {"[^a", "a", false});
}

/* "a-]" is a range up to ']': the class goes on after it, as in Redis. */
static void a_range_may_end_in_a_bracket(void **state)
{
    (void)state;
    CHECK({"[a-]", "^", true}, {"[a-]", "-", false}, {"[a-]b]", "b", true}, {"[a-", "-", true},
          {"[-a]", "-", true}, {"[-a]", "a", true});
}

static void many_stars_cost_no_more_than_the_product_of_the_lengths(void **state)
{
    (void)state;
    char pattern[401];
    char text[20001];
    for (int i = 0; i < 400; i += 2)
        memcpy(pattern + i, "*a", 2);
    pattern[400] = 'b';
    memset(text, 'a', sizeof(text));
    assert_false(weir_glob_match(pattern, 401, text, sizeof(text)));
    text[sizeof(text) - 1] = 'b';
    assert_true(weir_glob_match(pattern, 401, text, sizeof(text)));
}

static void the_prefix_ends_at_the_first_byte_with_a_meaning(void **state)
{
    (void)state;
    assert_int_equal(weir_glob_prefix_bytes("news.*", 6), 5);
    assert_int_equal(weir_glob_prefix_bytes("news", 4), 4);
    assert_int_equal(weir_glob_prefix_bytes("a?", 2), 1);
    assert_int_equal(weir_glob_prefix_bytes("ab[c]", 5), 2);
    assert_int_equal(weir_glob_prefix_bytes("ab\\*", 4), 2);
    assert_int_equal(weir_glob_prefix_bytes("*", 1), 0);
    assert_int_equal(weir_glob_prefix_bytes("", 0), 0);
}

/*
 * The straightforward matcher: every choice of every star is tried. It takes classes apart by its
 * own means: first a set of 256 members, then one look.
 */
static size_t read_class(const char *pattern, size_t count, bool set[256])
{
    size_t i = 1;
    bool negated = i < count && pattern[i] == '^';
    memset(set, 0, 256);
    i += negated;
    for (; i < count && pattern[i] != ']'; i++) {
        unsigned char member = (unsigned char)pattern[i];
        if (member == '\\' && i + 1 < count) {
            set[(unsigned char)pattern[++i]] = true;
        } else if (i + 2 < count && pattern[i + 1] == '-') {
            int from = member;
            int to = (unsigned char)pattern[i + 2];
            for (int m = from < to ? from : to; m <= (from < to ? to : from); m++)
                set[m] = true;
            i += 2;
        } else {
            set[member] = true;
        }
    }
    for (int m = 0; negated && m < 256; m++)
        set[m] = !set[m];
    return i < count ? i + 1 : i;
}

static bool reference(const char *pattern, size_t pattern_bytes, const char *text, size_t text_bytes)
{
    if (pattern_bytes == 0)
        return text_bytes == 0;
    if (pattern[0] == '*') {
        for (size_t run = 0; run <= text_bytes; run++) {
            if (reference(pattern + 1, pattern_bytes - 1, text + run, text_bytes - run))
                return true;
        }
        return false;
    }
    if (text_bytes == 0)
        return false;
    bool set[256] = {false};
    size_t used = 1;
    if (pattern[0] == '?')
        memset(set, 1, sizeof(set));
    else if (pattern[0] == '[')
        used = read_class(pattern, pattern_bytes, set);
    else if (pattern[0] == '\\' && pattern_bytes > 1)
        set[(unsigned char)pattern[used++]] = true;
    else
        set[(unsigned char)pattern[0]] = true;
    return set[(unsigned char)text[0]] &&
           reference(pattern + used, pattern_bytes - used, text + 1, text_bytes - 1);
}

static size_t choose_bytes(uint64_t *random, const char *alphabet, char *out, size_t max)
{
    size_t letters = strlen(alphabet);
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    size_t count = (*random >> 33) % (max + 1);
    for (size_t i = 0; i < count; i++) {
        *random = *random * 6364136223846793005u + 1442695040888963407u;
        out[i] = alphabet[(*random >> 33) % letters];
    }
    return count;
}

/* The bytes sit in blocks of their own size, so that a sanitizer sees one read too far. */
static bool match_in_exact_blocks(const char *pattern, size_t pattern_bytes, const char *text,
                                  size_t text_bytes)
{
    char *exact_pattern = malloc(pattern_bytes + 1);
    char *exact_text = malloc(text_bytes + 1);
    memcpy(exact_pattern + 1, pattern, pattern_bytes);
    memcpy(exact_text + 1, text, text_bytes);
    bool matches = weir_glob_match(exact_pattern + 1, pattern_bytes, exact_text + 1, text_bytes);
    free(exact_pattern);
    free(exact_text);
    return matches;
}

static void random_patterns_agree_with_a_recursive_matcher(void **state)
{
    (void)state;
    uint64_t random = 20240607;
    int matched = 0;
    for (int round = 0; round < 300000; round++) {
        char pattern[10];
        char text[6];
        size_t pattern_bytes = choose_bytes(&random, "aab*?[]^-\\c", pattern, sizeof(pattern));
        size_t text_bytes = choose_bytes(&random, "aabc]-", text, sizeof(text));
        bool expected = text_bytes == 0 ? pattern_bytes == 0
                                        : reference(pattern, pattern_bytes, text, text_bytes);
        matched += expected;
        if (match_in_exact_blocks(pattern, pattern_bytes, text, text_bytes) != expected)
            fail_msg("round %d: pattern <%.*s> text <%.*s>: expected %d", round, (int)pattern_bytes,
                     pattern, (int)text_bytes, text, expected);
    }
    assert_in_range(matched, 3000, 297000); /* the sample has both outcomes: 1 % at least */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_bytes_match_themselves_and_the_whole_text),
        cmocka_unit_test(a_star_is_any_run),
        cmocka_unit_test(an_empty_text_is_matched_by_the_empty_pattern_only),
        cmocka_unit_test(a_question_mark_is_one_byte),
        cmocka_unit_test(a_class_is_one_of_its_members),
        cmocka_unit_test(a_caret_negates_a_class_and_an_exclamation_mark_does_not),
        cmocka_unit_test(a_backslash_makes_the_next_byte_literal),
        cmocka_unit_test(a_lone_backslash_at_the_end_is_itself),
        cmocka_unit_test(an_empty_class_never_matches),
        cmocka_unit_test(a_class_without_an_end_is_closed_by_the_pattern),
        cmocka_unit_test(a_range_may_end_in_a_bracket),
        cmocka_unit_test(many_stars_cost_no_more_than_the_product_of_the_lengths),
        cmocka_unit_test(the_prefix_ends_at_the_first_byte_with_a_meaning),
        cmocka_unit_test(random_patterns_agree_with_a_recursive_matcher),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
