/* serve/crash.h - when the program crashes: the flight recorder to a file, then the crash as it would have been. */
#ifndef WEIR_SERVE_CRASH_H
#define WEIR_SERVE_CRASH_H

struct weir_runtime;

/* From now on; `runtime` NULL: no more. `folder` NULL: the current one. */
void crash_watch(struct weir_runtime *runtime, const char *folder);

#endif
