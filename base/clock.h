/*
 * base/clock.h - units of time. The rooms below runtime/ are given `now`; nothing here reads a clock.
 */
#ifndef WEIR_BASE_CLOCK_H
#define WEIR_BASE_CLOCK_H

#include <stdint.h>

#define WEIR_US_NS ((uint64_t)1000)
#define WEIR_MS_NS ((uint64_t)1000000)
#define WEIR_S_NS ((uint64_t)1000000000)

#endif
