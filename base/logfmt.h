/*
 * base/logfmt.h - text of others inside a line of key=value.
 *
 * What a client calls itself may hold a quote or a line's end; as it stands it would begin a key of its own, or a line.
 */
#ifndef WEIR_BASE_LOGFMT_H
#define WEIR_BASE_LOGFMT_H

#include <stddef.h>

/*
 * Write `text` to `out` as it may stand between quotes: a quote and a backslash get a backslash before them, bytes below a
 * space and 0x7f become \n, \r, \t or \xhh. Cut between two characters where it does not fit; always ends with a zero.
 * out_bytes  at least 1
 * Returns    `out`
 */
const char *weir_logfmt_escape(char *out, size_t out_bytes, const char *text);

#endif
