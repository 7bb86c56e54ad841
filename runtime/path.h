/*
 * runtime/path.h - dotted names cut into their parts, and patterns over them.
 *
 *     a.b.c     three parts; "" is one empty part, "a." is "a" and an empty one
 *     *         as a whole part: exactly one part, whatever it is
 *     **        as a whole part: any number of parts, none included
 *     a*        is no wildcard: bytes are compared as they are
 */
#ifndef WEIR_RUNTIME_PATH_H
#define WEIR_RUNTIME_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WEIR_PATH_BYTES_MAX = 1024,
    WEIR_PATH_PARTS_MAX = WEIR_PATH_BYTES_MAX + 1,
};

struct weir_path {
    const char *text;     /* ends with a zero when it was made by weir_path_copy */
    const uint16_t *ends; /* of each part: where its '.' is, the last one's is byte_count */
    uint32_t byte_count;
    uint32_t part_count;
};

/*
 * Cut `text` up; it and `ends` (room for WEIR_PATH_PARTS_MAX) must stay as long as the path is used.
 * 0; -EINVAL: empty or over WEIR_PATH_BYTES_MAX.
 */
int weir_path_cut(struct weir_path *path, const char *text, uint16_t *ends);
/* The same in memory of its own, one block that begins with the path: free() it. NULL: no memory. */
struct weir_path *weir_path_copy(const struct weir_path *path);

/* Is any part a wildcard? */
bool weir_path_is_pattern(const struct weir_path *path);
bool weir_path_equal(const struct weir_path *a, const struct weir_path *b);
/* Does `pattern` (a plain name is one too) match all of `name`? At most their parts multiplied in steps. */
bool weir_path_match(const struct weir_path *pattern, const struct weir_path *name);
/* Is it "error", or does its first part say so? */
bool weir_path_is_error(const struct weir_path *path);

#endif
