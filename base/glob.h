/*
 * base/glob.h - Redis's glob patterns over bytes: whole string, case-sensitive, never exponential.
 *
 *     *         any run of bytes      **  the same
 *     ?         one byte
 *     [abc]     one of these          [a-z] range, either end first
 *     [a-]x]    the range from 'a' to ']', and 'x'
 *     [^abc]    none of these         ('!' is an ordinary member)
 *     \x        x itself, inside brackets too; a lone '\' at the end is itself
 *
 * `[]` is an empty class and matches nothing; a class that is not closed ends with the pattern. An
 * empty text is matched by the empty pattern only, not by `*`.
 */
#ifndef WEIR_BASE_GLOB_H
#define WEIR_BASE_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/* No allocation, no recursion; at most pattern_bytes * text_bytes steps. */
bool weir_glob_match(const char *pattern, size_t pattern_bytes, const char *text, size_t text_bytes);

/*
 * How many leading bytes of the pattern stand for themselves: each text that matches begins with
 * them. Equal to pattern_bytes when the pattern is a plain name. For an index by prefix.
 */
size_t weir_glob_prefix_bytes(const char *pattern, size_t pattern_bytes);

#endif
