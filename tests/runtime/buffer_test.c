/* tests/runtime/buffer_test.c - payload memory: counted by its owner, sent home from elsewhere, bounded. */
#include "tests/runtime/topic_fixture.h"

#include "runtime/reactor.h"
#include "runtime/runtime.h"

enum { MANY = 10000 };

static struct weir_buffers *buffers_of(struct fixture *fixture, uint32_t index)
{
    return &reactor_at(fixture, index)->buffers;
}

static void begin(struct fixture *fixture, uint32_t count)
{
    open_fixture(fixture, count);
    settle(fixture);
}

static void a_buffer_has_the_room_asked_for(void **state)
{
    (void)state;
    static struct fixture fixture;
    static const size_t sizes[] = {0, 1, 95, 96, 97, 1000, 4096, 65536, (1 << 17) - 64, 1 << 17, 1 << 20};
    begin(&fixture, 1);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct weir_buffer *buffer = weir_buffer_take(fixture.reactor, sizes[i]);
        assert_non_null(buffer);
        assert_true(buffer->byte_count >= sizes[i]);
        memset(buffer->bytes, 0xab, buffer->byte_count); /* all of it is ours: AddressSanitizer looks */
        weir_buffer_drop(fixture.reactor, buffer);
    }
    assert_int_equal(buffers_of(&fixture, 0)->live_count, 0);
    close_fixture(&fixture);
}

static void the_last_reference_frees_it(void **state)
{
    (void)state;
    static struct fixture fixture;
    begin(&fixture, 1);
    struct weir_buffer *buffer = weir_buffer_take(fixture.reactor, 100);
    weir_buffer_hold(fixture.reactor, buffer);
    weir_buffer_hold(fixture.reactor, buffer);
    for (uint32_t left = 3; left > 0; left--) {
        assert_int_equal(buffers_of(&fixture, 0)->live_count, 1);
        weir_buffer_drop(fixture.reactor, buffer);
    }
    assert_int_equal(buffers_of(&fixture, 0)->live_count, 0);
    struct weir_buffer *again = weir_buffer_take(fixture.reactor, 100);
    assert_ptr_equal(again, buffer); /* warm memory first */
    weir_buffer_drop(fixture.reactor, again);
    close_fixture(&fixture);
}

static void memory_is_bounded_and_comes_back(void **state)
{
    (void)state;
    static struct fixture fixture;
    static struct weir_buffer *taken[MANY];
    struct weir_runtime_options options = plain_options(1);
    options.memory_bytes_max = 1 << 20;
    open_with(&fixture, options);
    settle(&fixture);
    uint32_t counts[3];
    for (int round = 0; round < 3; round++) {
        size_t bytes = round == 1 ? 50000 : 1000; /* what one size has freed serves the other */
        uint32_t count = 0;
        while (count < MANY && (taken[count] = weir_buffer_take(fixture.reactor, bytes)))
            count++;
        assert_true(count > 0 && count < MANY);
        assert_true(buffers_of(&fixture, 0)->bytes_used <= 1 << 20);
        counts[round] = count;
        while (count > 0)
            weir_buffer_drop(fixture.reactor, taken[--count]);
    }
    assert_true(counts[0] * 1000 > 1 << 18);
    assert_true(counts[1] * 50000 > 1 << 18);
    assert_int_equal(counts[2], counts[0]);
    assert_null(weir_buffer_take(fixture.reactor, 2 << 20));
    close_fixture(&fixture);
}

static void a_buffer_dropped_elsewhere_comes_home(void **state)
{
    (void)state;
    static struct fixture fixture;
    begin(&fixture, 2);
    struct weir_buffer *buffer = weir_buffer_take(fixture.reactor, 100);
    weir_buffer_hold(fixture.reactor, buffer);
    weir_buffer_drop(reactor_at(&fixture, 1), buffer);
    weir_buffer_drop(reactor_at(&fixture, 1), buffer);
    assert_int_equal(buffers_of(&fixture, 0)->live_count, 1); /* its owner does not know yet */
    settle(&fixture);
    assert_int_equal(buffers_of(&fixture, 0)->live_count, 0);
    close_fixture(&fixture);
}

/* More than the way home holds: they wait where they were dropped, and none is lost. */
static void a_full_way_home_loses_nothing(void **state)
{
    (void)state;
    static struct fixture fixture;
    begin(&fixture, 2);
    static struct weir_buffer *taken[MANY];
    for (uint32_t i = 0; i < MANY; i++)
        taken[i] = weir_buffer_take(fixture.reactor, 100);
    for (uint32_t i = 0; i < MANY; i++)
        weir_buffer_drop(reactor_at(&fixture, 1), taken[i]);
    assert_true(buffers_of(&fixture, 1)->returns_waiting);
    for (int rounds = 0; buffers_of(&fixture, 1)->returns_waiting && rounds < 1000; rounds++)
        settle(&fixture); /* coming home is nobody's event */
    settle(&fixture);
    assert_false(buffers_of(&fixture, 1)->returns_waiting);
    assert_int_equal(buffers_of(&fixture, 0)->live_count, 0);
    close_fixture(&fixture);
}

/* The owner has ended before what others hold is on its way; closing brings it home. */
static void what_is_on_its_way_when_the_runtime_closes_is_freed(void **state)
{
    (void)state;
    static struct fixture fixture;
    begin(&fixture, 2);
    struct weir_buffer *buffer = weir_buffer_take(fixture.reactor, 1 << 20);
    for (uint32_t i = 1; i < MANY; i++)
        weir_buffer_hold(fixture.reactor, buffer);
    for (uint32_t i = 0; i < MANY; i++)
        weir_buffer_drop(reactor_at(&fixture, 1), buffer);
    close_fixture(&fixture); /* LeakSanitizer looks */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_has_the_room_asked_for),
        cmocka_unit_test(the_last_reference_frees_it),
        cmocka_unit_test(memory_is_bounded_and_comes_back),
        cmocka_unit_test(a_buffer_dropped_elsewhere_comes_home),
        cmocka_unit_test(a_full_way_home_loses_nothing),
        cmocka_unit_test(what_is_on_its_way_when_the_runtime_closes_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
