/* tests/runtime/buffer_test.c - payload memory of a reactor: its bound, and what becomes of memory that is free again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/reactor.h"

enum { MEMORY_BYTES = 1 << 20, LARGE_BYTES = 60000, SMALL_BYTES = 100, BUFFERS_MAX = 10000 };

static struct weir_buffer *taken[BUFFERS_MAX];

static int set_up(void **state)
{
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    struct weir_runtime *runtime;
    options.reactor_count = 1;
    options.memory_bytes_max = MEMORY_BYTES;
    assert_int_equal(weir_runtime_open(&options, &runtime), 0);
    *state = weir_runtime_reactor(runtime, 0);
    return 0;
}

static int tear_down(void **state)
{
    weir_runtime_close(((struct weir_reactor *)*state)->runtime);
    return 0;
}

static int take_all(struct weir_reactor *reactor, size_t byte_count)
{
    int count = 0;
    while (count < BUFFERS_MAX && (taken[count] = weir_buffer_take(reactor, byte_count)))
        count++;
    return count;
}

static void drop_all(struct weir_reactor *reactor, int count)
{
    for (int i = 0; i < count; i++)
        weir_buffer_drop(reactor, taken[i]);
}

static void taking_stops_at_the_bound_and_goes_on_when_one_is_back(void **state)
{
    struct weir_reactor *reactor = *state;
    int count = take_all(reactor, LARGE_BYTES);
    assert_int_equal(count, MEMORY_BYTES / 65536);
    weir_buffer_drop(reactor, taken[--count]);
    taken[count] = weir_buffer_take(reactor, LARGE_BYTES);
    assert_non_null(taken[count++]);
    drop_all(reactor, count);
    assert_int_equal(reactor->buffers.live_count, 0);
}

/* A storm of one size must not leave a reactor without memory for every other size. */
static void memory_that_was_large_buffers_serves_small_ones(void **state)
{
    struct weir_reactor *reactor = *state;
    drop_all(reactor, take_all(reactor, LARGE_BYTES));
    int count = take_all(reactor, SMALL_BYTES);
    assert_int_equal(count, MEMORY_BYTES / 256);
    drop_all(reactor, count);
    count = take_all(reactor, 200000); /* from malloc, and back to it */
    assert_int_equal(count, MEMORY_BYTES / 200000);
    drop_all(reactor, count);
    assert_true(reactor->buffers.bytes_used <= MEMORY_BYTES);
}

static void what_is_free_is_told_from_what_is_held(void **state)
{
    struct weir_reactor *reactor = *state;
    int count = take_all(reactor, LARGE_BYTES);
    assert_int_equal(weir_buffers_held_bytes(&reactor->buffers), MEMORY_BYTES);
    drop_all(reactor, count);
    assert_int_equal(weir_buffers_held_bytes(&reactor->buffers), 0);
}

static void a_buffer_lives_until_its_last_holder_lets_go(void **state)
{
    struct weir_reactor *reactor = *state;
    struct weir_buffer *buffer = weir_buffer_take(reactor, SMALL_BYTES);
    weir_buffer_hold(reactor, buffer);
    weir_buffer_drop(reactor, buffer);
    assert_int_equal(reactor->buffers.live_count, 1);
    weir_buffer_drop(reactor, buffer);
    assert_int_equal(reactor->buffers.live_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(taking_stops_at_the_bound_and_goes_on_when_one_is_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_that_was_large_buffers_serves_small_ones, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_free_is_told_from_what_is_held, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_buffer_lives_until_its_last_holder_lets_go, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
