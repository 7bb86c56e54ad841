/* tests/runtime/cpus_test.c - the CPUs this process may use. What a cgroup allows can only be bounded here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "runtime/cpus.h"

static void some_cpu_is_allowed_and_no_more_than_there_are(void **state)
{
    (void)state;
    cpu_set_t set;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    assert_true(weir_cpus_allowed() >= 1);
    assert_true(weir_cpus_allowed() <= (uint32_t)CPU_COUNT(&set));
}

static void who_may_use_one_cpu_counts_one(void **state)
{
    (void)state;
    cpu_set_t before, one, now;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_int_equal(weir_cpus_pin(0), 0);
    assert_int_equal(weir_cpus_allowed(), 1);
    assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &before))
            CPU_SET(cpu, &one);
    assert_true(CPU_EQUAL(&now, &one));
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

static void each_index_is_another_cpu(void **state)
{
    (void)state;
    cpu_set_t before, now, all;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&all);
    for (uint32_t i = 0; i < (uint32_t)CPU_COUNT(&before); i++) {
        assert_int_equal(weir_cpus_pin(i), 0);
        assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
        assert_int_equal(CPU_COUNT(&now), 1);
        CPU_OR(&all, &all, &now);
        assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    }
    assert_true(CPU_EQUAL(&all, &before));
    assert_int_equal(weir_cpus_pin((uint32_t)CPU_COUNT(&before)), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(some_cpu_is_allowed_and_no_more_than_there_are),
        cmocka_unit_test(who_may_use_one_cpu_counts_one),
        cmocka_unit_test(each_index_is_another_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
