/*
 * runtime/io_uring_compat.h - what the kernel has and the headers of liburing 2.3 (Debian 12) do
 * not name.
 *
 * Under names of our own, because newer headers have the same constants partly as enums. Everything
 * here is used only after the kernel itself has said yes to it. IORING_SETUP_NO_SQARRAY is missing
 * on purpose: the old library would write its index array over the ring's head.
 */
#ifndef WEIR_RUNTIME_IO_URING_COMPAT_H
#define WEIR_RUNTIME_IO_URING_COMPAT_H

#include <stddef.h>
#include <string.h>

#include <liburing.h>

#define WEIR_URING_CQE_BUF_MORE (1u << 4)    /* 6.12: the buffer is not used up */
#define WEIR_URING_PBUF_INC 2u               /* 6.12: a buffer is used piece by piece */
#define WEIR_URING_FEAT_NO_IOWAIT (1u << 17) /* 6.15 */
#define WEIR_URING_ENTER_NO_IOWAIT \
    (1u << 7) /* 6.15: a waiting ring does not look like a waiting disk */

/* The field is `pad` in 2.3 and `flags` later; its place is the same. */
static inline void weir_uring_buf_reg_flags(struct io_uring_buf_reg *reg, uint16_t flags)
{
    memcpy((char *)reg + offsetof(struct io_uring_buf_reg, bgid) + sizeof(reg->bgid), &flags,
           sizeof(flags));
}

#endif
