/*
 * weir/base.h - words every other public header uses.
 *
 * Results: >= 0 is success, a negative errno is failure, and each call lists the ones it gives.
 * Option structs begin with their own size, so that a program built against an older header keeps
 * working: set `size` with WEIR_OPTIONS(struct weir_..._options) and leave what you do not know zero.
 */
#ifndef WEIR_BASE_H
#define WEIR_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define WEIR_BEGIN extern "C" {
#define WEIR_END }
template <typename type> inline type weir_options()
{
    type options = type();
    options.size = sizeof(type);
    return options;
}
#define WEIR_OPTIONS(type) (weir_options<type>())
#else
#define WEIR_BEGIN
#define WEIR_END
#define WEIR_OPTIONS(type) ((type){.size = sizeof(type)})
#endif

#define WEIR_API __attribute__((visibility("default")))
#define WEIR_MUST_CHECK __attribute__((warn_unused_result))

#define WEIR_VERSION_MAJOR 0
#define WEIR_VERSION_MINOR 1
#define WEIR_VERSION_PATCH 0

WEIR_BEGIN

struct weir_runtime;
struct weir_reactor;

/* The version of the library that runs, as "0.1.0"; compare with the macros above. Any thread. */
WEIR_API const char *weir_version(void);

/*
 * Called when an assertion of the library fails, before abort(). The library defines it weak and
 * silent: define a function of this name in your program to log, dump or flush. It must not return
 * into weir: after it, the process is aborted.
 */
WEIR_API void weir_on_assert_failed(const char *file, int line, const char *condition);

WEIR_END

#endif
