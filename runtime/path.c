/*
 * runtime/path.c - dotted names and wildcards.
 *
 * Matching never recurses: on a mismatch only the last `**` is tried again, one part further, since what an
 * earlier one could have taken the last one can take too. Proof: tests/runtime/path_test.c, against a naive
 * recursive matcher.
 */
#include "runtime/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum part_kind { PART_PLAIN, PART_ONE, PART_MANY };

static uint32_t part_start(const struct weir_path *path, uint32_t part)
{
    return part == 0 ? 0 : path->ends[part - 1] + 1u;
}

static uint32_t part_bytes(const struct weir_path *path, uint32_t part)
{
    return path->ends[part] - part_start(path, part);
}

static enum part_kind kind_of(const struct weir_path *path, uint32_t part)
{
    const char *text = path->text + part_start(path, part);
    uint32_t bytes = part_bytes(path, part);
    if (bytes == 1 && text[0] == '*')
        return PART_ONE;
    if (bytes == 2 && text[0] == '*' && text[1] == '*')
        return PART_MANY;
    return PART_PLAIN;
}

int weir_path_cut(struct weir_path *path, const char *text, uint16_t *ends)
{
    size_t byte_count = strnlen(text, WEIR_PATH_BYTES_MAX + 1);
    if (byte_count == 0 || byte_count > WEIR_PATH_BYTES_MAX)
        return -EINVAL;
    uint32_t parts = 0;
    for (uint32_t i = 0; i < byte_count; i++)
        if (text[i] == '.')
            ends[parts++] = (uint16_t)i;
    ends[parts++] = (uint16_t)byte_count;
    *path = (struct weir_path){text, ends, (uint32_t)byte_count, parts};
    return 0;
}

struct weir_path *weir_path_copy(const struct weir_path *path)
{
    size_t ends_bytes = path->part_count * sizeof *path->ends;
    struct weir_path *copy = malloc(sizeof *copy + ends_bytes + path->byte_count + 1);
    if (!copy)
        return NULL;
    uint16_t *ends = (uint16_t *)(void *)(copy + 1);
    char *text = (char *)ends + ends_bytes;
    memcpy(ends, path->ends, ends_bytes);
    memcpy(text, path->text, path->byte_count);
    text[path->byte_count] = '\0';
    *copy = (struct weir_path){text, ends, path->byte_count, path->part_count};
    return copy;
}

bool weir_path_is_pattern(const struct weir_path *path)
{
    for (uint32_t part = 0; part < path->part_count; part++)
        if (kind_of(path, part) != PART_PLAIN)
            return true;
    return false;
}

bool weir_path_equal(const struct weir_path *a, const struct weir_path *b)
{
    return a->byte_count == b->byte_count && memcmp(a->text, b->text, a->byte_count) == 0;
}

static bool part_matches(const struct weir_path *pattern, uint32_t p, const struct weir_path *name, uint32_t n)
{
    switch (kind_of(pattern, p)) {
    case PART_ONE:
        return true;
    case PART_MANY:
        return false; /* the caller's */
    case PART_PLAIN:
        break;
    }
    uint32_t bytes = part_bytes(pattern, p);
    return bytes == part_bytes(name, n) &&
           memcmp(pattern->text + part_start(pattern, p), name->text + part_start(name, n), bytes) == 0;
}

bool weir_path_match(const struct weir_path *pattern, const struct weir_path *name)
{
    uint32_t p = 0, n = 0;
    uint32_t many = UINT32_MAX; /* the last `**` passed */
    uint32_t resume = 0;        /* the first part of the name that it has not swallowed */
    while (n < name->part_count) {
        if (p < pattern->part_count && kind_of(pattern, p) == PART_MANY) {
            many = p++;
            resume = n;
        } else if (p < pattern->part_count && part_matches(pattern, p, name, n)) {
            p++;
            n++;
        } else if (many != UINT32_MAX) {
            p = many + 1;
            n = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern->part_count && kind_of(pattern, p) == PART_MANY)
        p++;
    return p == pattern->part_count;
}

bool weir_path_is_error(const struct weir_path *path)
{
    return path->ends[0] == 5 && memcmp(path->text, "error", 5) == 0;
}
