/*
 * weir/file.h - files without stalling the reactor: open, read, write, sync.
 *
 * Each call starts one operation and returns; `done` runs on the same reactor in a later turn. Buffers and
 * paths are the caller's and must stay until `done`. Operations of one file may overlap and end in any order.
 */
#ifndef WEIR_FILE_H
#define WEIR_FILE_H

#include <weir/base.h>

WEIR_BEGIN

/* result: bytes (read, write), an fd (open), 0; or a negative errno, the kernel's. */
typedef void (*weir_file_fn)(struct weir_reactor *reactor, int64_t result, void *context);

/* All: 0, or -ENOMEM and then `done` never runs. flags and mode as open(2) has them; O_CLOEXEC is added. */
WEIR_API WEIR_MUST_CHECK int weir_file_open(struct weir_reactor *reactor, const char *path, int flags, uint32_t mode,
                                            weir_file_fn done, void *context);
WEIR_API WEIR_MUST_CHECK int weir_file_read(struct weir_reactor *reactor, int fd, void *bytes, size_t byte_count,
                                            uint64_t offset, weir_file_fn done, void *context);
WEIR_API WEIR_MUST_CHECK int weir_file_write(struct weir_reactor *reactor, int fd, const void *bytes, size_t byte_count,
                                             uint64_t offset, weir_file_fn done, void *context);
/* fsync; with data_only fdatasync. For a directory: an fd opened with O_DIRECTORY. Never retry over a failure. */
WEIR_API WEIR_MUST_CHECK int weir_file_sync(struct weir_reactor *reactor, int fd, bool data_only, weir_file_fn done,
                                            void *context);
WEIR_API WEIR_MUST_CHECK int weir_file_close(struct weir_reactor *reactor, int fd, weir_file_fn done, void *context);

WEIR_END

#endif
