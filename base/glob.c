/*
 * base/glob.c - glob matching with one place to return to.
 *
 * On a mismatch only the last star can help: an earlier one taking more bytes would merely move the
 * start of what the last one already tries at each place. So two indices are the whole memory, and
 * the work is bounded by pattern * text. Proof: tests/base/glob_test.c, against a recursive
 * matcher.
 */
#include "base/glob.h"

#include <stdint.h>

struct glob {
    const char *at;
    const char *end;
};

/* One member or range of a class at pattern->at, which is not ']' nor the end; steps past it. */
static bool take_member(struct glob *pattern, unsigned char byte)
{
    const unsigned char *at = (const unsigned char *)pattern->at;
    size_t left = (size_t)(pattern->end - pattern->at);
    if (at[0] == '\\' && left >= 2) {
        pattern->at += 2;
        return at[1] == byte;
    }
    if (left >= 3 && at[1] == '-') {
        unsigned char low = at[0] < at[2] ? at[0] : at[2];
        unsigned char high = at[0] < at[2] ? at[2] : at[0];
        pattern->at += 3;
        return low <= byte && byte <= high;
    }
    pattern->at += 1;
    return at[0] == byte;
}

/* The class after '['; steps past its ']' or to the pattern's end. */
static bool take_class(struct glob *pattern, unsigned char byte)
{
    bool negated = pattern->at < pattern->end && *pattern->at == '^';
    pattern->at += negated;
    bool found = false;
    while (pattern->at < pattern->end && *pattern->at != ']')
        found |= take_member(pattern, byte);
    pattern->at += pattern->at < pattern->end;
    return found != negated;
}

/* Does the element at pattern->at (not a star) stand for this byte? Steps past it if so. */
static bool take_element(struct glob *pattern, char byte)
{
    if (pattern->at == pattern->end)
        return false;
    char first = *pattern->at++;
    if (first == '?')
        return true;
    if (first == '[')
        return take_class(pattern, (unsigned char)byte);
    if (first == '\\' && pattern->at < pattern->end)
        first = *pattern->at++;
    return first == byte;
}

static bool skip_stars(struct glob *pattern)
{
    const char *before = pattern->at;
    while (pattern->at < pattern->end && *pattern->at == '*')
        pattern->at++;
    return pattern->at != before;
}

bool weir_glob_match(const char *pattern, size_t pattern_bytes, const char *text, size_t text_bytes)
{
    if (text_bytes == 0)
        return pattern_bytes == 0; /* as Redis: not even `*` matches an empty name */
    struct glob glob = {.at = pattern, .end = pattern + pattern_bytes};
    const char *end = text + text_bytes;
    const char *retry_pattern = NULL; /* after the last star */
    const char *retry_text = NULL;    /* where that star's rest was tried last */
    while (text < end) {
        if (skip_stars(&glob)) {
            if (glob.at == glob.end)
                return true;
            retry_pattern = glob.at;
            retry_text = text;
        }
        if (take_element(&glob, *text)) {
            text++;
        } else {
            if (retry_pattern == NULL)
                return false;
            glob.at = retry_pattern;
            text = ++retry_text;
        }
    }
    skip_stars(&glob);
    return glob.at == glob.end;
}

size_t weir_glob_prefix_bytes(const char *pattern, size_t pattern_bytes)
{
    size_t count = 0;
    while (count < pattern_bytes && pattern[count] != '*' && pattern[count] != '?' &&
           pattern[count] != '[' && pattern[count] != '\\')
        count++;
    return count;
}
