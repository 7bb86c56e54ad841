/*
 * wire/resp/resp_slice.h - bytes that belong to somebody else: an argument, a channel, a payload.
 */
#ifndef WEIR_WIRE_RESP_SLICE_H
#define WEIR_WIRE_RESP_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/bytes.h"

struct weir_resp_slice {
    const char *bytes; /* may be NULL when count is 0 */
    size_t count;
};

/* ASCII case does not matter; `name` is a C string. */
static inline bool weir_resp_slice_is(struct weir_resp_slice slice, const char *name)
{
    return weir_bytes_equal_nocase(slice.bytes, slice.count, name, strlen(name));
}

#endif
