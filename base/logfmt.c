/* base/logfmt.c - see the header. Proof: tests/base/logfmt_test.c. */
#include "base/logfmt.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"

/* One byte, escaped; how many bytes that is. */
static size_t put(char out[8], unsigned char byte)
{
    static const char letters[] = "\"\"\\\\\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof letters; i += 2)
        if ((unsigned char)letters[i] == byte) {
            out[0] = '\\';
            out[1] = letters[i + 1];
            return 2;
        }
    if (byte >= ' ' && byte != 0x7f) {
        out[0] = (char)byte;
        return 1;
    }
    return (size_t)snprintf(out, 8, "\\x%02x", byte);
}

const char *weir_logfmt_escape(char *out, size_t out_bytes, const char *text)
{
    WEIR_ASSERT(out_bytes > 0);
    size_t used = 0;
    for (; *text; text++) {
        char one[8];
        size_t more = put(one, (unsigned char)*text);
        if (used + more >= out_bytes)
            break;
        memcpy(out + used, one, more);
        used += more;
    }
    out[used] = '\0';
    return out;
}
