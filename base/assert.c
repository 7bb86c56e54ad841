/*
 * base/assert.c - the end of the road, with a word to the host first.
 *
 * The hook is a weak symbol and not a pointer: the library keeps no mutable static.
 */
#include "base/assert.h"

#include <stdlib.h>

#include <weir/base.h>

__attribute__((weak)) void weir_on_assert_failed(const char *file, int line, const char *condition)
{
    (void)file;
    (void)line;
    (void)condition;
}

void weir_assert_fail(const char *file, int line, const char *condition)
{
    weir_on_assert_failed(file, line, condition);
    abort();
}
