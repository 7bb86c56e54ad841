/* serve/trace.h - `weir trace FILE`: a dump of the flight recorders as a tree of causes. */
#ifndef WEIR_SERVE_TRACE_H
#define WEIR_SERVE_TRACE_H

int trace_main(int argc, char **argv);

#endif
