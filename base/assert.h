/*
 * base/assert.h - checks that stay on in release.
 *
 * WEIR_ASSERT       cannot happen; one condition, no side effects; on in every build
 * WEIR_ASSERT_SLOW  walks a structure; debug builds only
 *
 * Bytes from a network or a disk are never asserted: they are answered with -EPROTO.
 */
#ifndef WEIR_BASE_ASSERT_H
#define WEIR_BASE_ASSERT_H

__attribute__((noreturn, cold)) void weir_assert_fail(const char *file, int line,
                                                      const char *condition);

#define WEIR_ASSERT(condition)                                                                     \
    (__builtin_expect(!!(condition), 1) ? (void)0 : weir_assert_fail(__FILE__, __LINE__, #condition))

#ifdef WEIR_SLOW_ASSERTS
#define WEIR_ASSERT_SLOW(condition) WEIR_ASSERT(condition)
#else
#define WEIR_ASSERT_SLOW(condition) ((void)0)
#endif

#endif
