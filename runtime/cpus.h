/* runtime/cpus.h - how many CPUs this process may use, and which. */
#ifndef WEIR_RUNTIME_CPUS_H
#define WEIR_RUNTIME_CPUS_H

#include <stdint.h>

/* By affinity mask and cgroup quota (v2 cpu.max, v1 cfs_quota), whichever is less; at least 1. */
uint32_t weir_cpus_allowed(void);
/* The calling thread stays on the index-th allowed CPU. 0 or a negative errno. */
int weir_cpus_pin(uint32_t index);

#endif
