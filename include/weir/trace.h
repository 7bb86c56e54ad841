/*
 * weir/trace.h - the flight recorder: what happened last, on every reactor, always on.
 *
 * Each reactor keeps its last events in memory (struct weir_runtime_options recorder_events). `weir trace FILE`
 * prints a dump as a tree of causes.
 */
#ifndef WEIR_TRACE_H
#define WEIR_TRACE_H

#include <weir/base.h>

WEIR_BEGIN

/*
 * Write all recorders to `fd`, as far as they are consistent: reactors go on meanwhile. Any thread; also a signal
 * handler (it only calls write). Returns 0 or a negative errno of write.
 */
WEIR_API int weir_trace_dump(struct weir_runtime *runtime, int fd);

WEIR_END

#endif
