/*
 * runtime/probe.h - USDT probes: one NOP each until a tracer attaches. perf/ has scripts on them.
 */
#ifndef WEIR_RUNTIME_PROBE_H
#define WEIR_RUNTIME_PROBE_H

#ifdef WEIR_HAVE_SDT
#include <sys/sdt.h>
#define WEIR_PROBE1(name, a) DTRACE_PROBE1(weir, name, a)
#define WEIR_PROBE2(name, a, b) DTRACE_PROBE2(weir, name, a, b)
#define WEIR_PROBE3(name, a, b, c) DTRACE_PROBE3(weir, name, a, b, c)
#else
#define WEIR_PROBE1(name, a) ((void)0)
#define WEIR_PROBE2(name, a, b) ((void)0)
#define WEIR_PROBE3(name, a, b, c) ((void)0)
#endif

#endif
