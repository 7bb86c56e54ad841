/*
 * runtime/cpus.c - the affinity mask and the cgroup's quota say how many reactors make sense.
 *
 * In a container the quota is often below the number of CPUs seen: a reactor more than that would only be throttled.
 */
#include "runtime/cpus.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>

/* A file of one or two numbers: quota and period, "max" for none. A rounded-up number of CPUs; 0: no limit. */
static uint32_t quota_cpus(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    long long quota = 0, period = 100000;
    int fields = fscanf(file, "%lld %lld", &quota, &period);
    fclose(file);
    if (fields < 1 || quota <= 0 || period <= 0)
        return 0;
    return (uint32_t)((quota + period - 1) / period);
}

uint32_t weir_cpus_allowed(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    uint32_t count = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        count = (uint32_t)CPU_COUNT(&set);
    uint32_t quota = quota_cpus("/sys/fs/cgroup/cpu.max");
    if (quota == 0)
        quota = quota_cpus("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
    return quota > 0 && quota < count ? quota : count;
}

int weir_cpus_pin(uint32_t index)
{
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0)
        return -errno;
    uint32_t seen = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || seen++ != index)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        return sched_setaffinity(0, sizeof one, &one) < 0 ? -errno : 0;
    }
    return -EINVAL;
}
