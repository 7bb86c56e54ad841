/*
 * runtime/io.c - which io runs, and the sentence that says why.
 *
 * AUTO takes io_uring and falls back to epoll for whatever reason io_uring gives: a container that
 * forbids it, an old kernel and a process out of locked memory look different and mean the same.
 * Proof: tests/runtime/io_test.c.
 */
#include "runtime/io.h"

#include <stdio.h>

int weir_io_open(const struct weir_io_options *options, struct weir_io **io_out, char *why_out,
                 size_t why_bytes)
{
    if (options->choice == WEIR_IO_CHOICE_URING)
        return weir_io_uring_open(options, io_out, why_out, why_bytes);
    if (options->choice == WEIR_IO_CHOICE_EPOLL)
        return weir_io_epoll_open(options, io_out, why_out, why_bytes);
    char refused[160] = "";
    if (weir_io_uring_open(options, io_out, refused, sizeof(refused)) == 0) {
        snprintf(why_out, why_bytes, "%s", refused);
        return 0;
    }
    int error = weir_io_epoll_open(options, io_out, why_out, why_bytes);
    if (error == 0)
        snprintf(why_out, why_bytes, "epoll: %s", refused);
    return error;
}
