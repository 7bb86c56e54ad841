/*
 * tests/runtime/recorder_test.c - what is written into cells is what a dump reads, and an emit's place is its event's id.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "runtime/reactor.h"

enum { FIRST_ID = 1001, RECORDS = 4 };

static int open_recorder(void **state)
{
    static struct weir_recorder recorder;
    *state = &recorder;
    return weir_recorder_init(&recorder, RECORDS, FIRST_ID);
}

static int close_recorder(void **state)
{
    weir_recorder_deinit(*state);
    return 0;
}

static void a_record_of_another_event_takes_two_cells(void **state)
{
    struct weir_recorder *recorder = *state;
    weir_record(recorder, WEIR_RECORD_DISPATCH, UINT64_MAX, UINT64_MAX - 1, 7, UINT32_MAX);
    assert_int_equal(weir_load(&recorder->next, relaxed), FIRST_ID + 2);
    struct weir_record record = weir_recorder_read(recorder, FIRST_ID);
    assert_int_equal(record.kind, WEIR_RECORD_DISPATCH);
    assert_true(record.id == UINT64_MAX && record.cause_id == UINT64_MAX - 1);
    assert_int_equal(record.a, 7);
    assert_int_equal(record.b, UINT32_MAX);
    assert_int_equal(record.number, FIRST_ID);
    assert_int_equal(weir_recorder_read(recorder, FIRST_ID + 1).kind, WEIR_RECORD_NONE);
}

static void a_record_that_makes_its_event_is_its_id(void **state)
{
    struct weir_recorder *recorder = *state;
    (void)weir_recorder_take(recorder);
    assert_int_equal(weir_recorder_read(recorder, FIRST_ID).kind, WEIR_RECORD_NONE);
    uint64_t id = weir_record_own(recorder, WEIR_RECORD_POST, 99, 7, 3);
    assert_int_equal(id, FIRST_ID + 1);
    struct weir_record record = weir_recorder_read(recorder, id);
    assert_int_equal(record.kind, WEIR_RECORD_POST);
    assert_int_equal(record.id, id);
    assert_int_equal(record.cause_id, 99);
    assert_int_equal(record.a, 7);
    assert_int_equal(record.b, 3);
}

static void more_handlers_than_a_cell_can_say_are_said_as_many(void **state)
{
    struct weir_recorder *recorder = *state;
    uint64_t id = weir_record_own(recorder, WEIR_RECORD_EMIT, 0, 7, UINT32_MAX);
    assert_int_equal(weir_recorder_read(recorder, id).kind, WEIR_RECORD_EMIT);
    assert_int_equal(weir_recorder_read(recorder, id).b, WEIR_CELL_B_MAX);
}

static void events_told_one_after_the_other_share_a_cell(void **state)
{
    struct weir_recorder *recorder = *state;
    for (uint64_t id = 500; id < 504; id++)
        weir_record_told(recorder, id, 7, 3);
    assert_int_equal(weir_load(&recorder->next, relaxed), FIRST_ID + 1);
    struct weir_record record = weir_recorder_read(recorder, FIRST_ID);
    assert_int_equal(record.kind, WEIR_RECORD_DISPATCH);
    assert_true(record.id == 500 && record.cause_id == 0);
    assert_int_equal(record.a, 7);
    assert_int_equal(record.b, 3);
    assert_int_equal(record.more, 3);
}

static void what_is_not_the_next_event_of_the_same_handler_has_a_cell_of_its_own(void **state)
{
    static const struct {
        uint64_t id;
        uint32_t a, b;
    } told[] = {{500, 7, 3}, {502, 7, 3}, {503, 8, 3}, {504, 8, 4}, {505, 8, UINT32_MAX}};
    struct weir_recorder *recorder = *state;
    for (uint32_t i = 0; i < 5; i++) {
        weir_record_told(recorder, told[i].id, told[i].a, told[i].b);
        assert_int_equal(weir_load(&recorder->next, relaxed), FIRST_ID + 1 + i);
        struct weir_record record = weir_recorder_read(recorder, FIRST_ID + i);
        assert_true(record.id == told[i].id && record.a == told[i].a && record.b == told[i].b && record.more == 0);
    }
}

static void a_record_in_between_begins_a_new_cell(void **state)
{
    struct weir_recorder *recorder = *state;
    weir_record_told(recorder, 500, 7, 3);
    uint64_t made = weir_record_own(recorder, WEIR_RECORD_POST, 500, 9, 0);
    weir_record_told(recorder, 501, 7, 3);
    assert_int_equal(weir_recorder_read(recorder, FIRST_ID).more, 0);
    assert_true(made == FIRST_ID + 1 && weir_recorder_read(recorder, made).cause_id == 500);
    assert_true(weir_recorder_read(recorder, FIRST_ID + 2).id == 501);
}

static void no_cell_tells_of_more_than_256_events(void **state)
{
    struct weir_recorder *recorder = *state;
    for (uint64_t id = 1; id <= 257; id++)
        weir_record_told(recorder, id, UINT32_MAX, WEIR_CELL_B_MAX);
    assert_int_equal(weir_load(&recorder->next, relaxed), FIRST_ID + 2);
    struct weir_record first = weir_recorder_read(recorder, FIRST_ID);
    assert_true(first.id == 1 && first.more == 255 && first.a == UINT32_MAX);
    assert_true(weir_recorder_read(recorder, FIRST_ID + 1).id == 257);
}

static void half_of_what_was_written_over_is_no_record(void **state)
{
    struct weir_recorder *recorder = *state;
    weir_record(recorder, WEIR_RECORD_MAIL, 1, 2, 3, 4);
    for (uint32_t i = 0; i < 2 * RECORDS - 1; i++)
        (void)weir_record_own(recorder, WEIR_RECORD_POST, 0, i, 0);
    assert_int_equal(weir_recorder_read(recorder, FIRST_ID + 1).kind, WEIR_RECORD_NONE);
}

static void note_event(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)on;
    *(struct weir_event *)context = *event;
}

static void emits_are_recorded_and_counted_however_they_are_called(void **state)
{
    (void)state;
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = 1;
    struct weir_runtime *runtime;
    assert_int_equal(weir_runtime_open(&options, &runtime), 0);
    struct weir_reactor *reactor = weir_runtime_reactor(runtime, 0);
    assert_true(weir_reactor_run_once(reactor, 0) >= 0);
    struct weir_event event = {0};
    struct weir_topic topic;
    assert_int_equal(weir_topic_open(reactor, "a", &topic), 0);
    assert_int_equal(weir_on(reactor, "a", note_event, &event), 0);
    for (uint32_t i = 0; i < 6; i++) {
        memset(&event, 0xff, sizeof event);
        int heard = i % 2 ? weir_emit_called(reactor, topic, &i, sizeof i) : weir_emit(reactor, topic, &i, sizeof i);
        assert_int_equal(heard, 1);
        struct weir_record record = weir_recorder_read(&reactor->recorder, event.id);
        if (i > 0) { /* the first one compiles the roster, and takes the long way */
            assert_int_equal(record.kind, WEIR_RECORD_EMIT);
            assert_true(record.id == event.id && record.cause_id == 0);
            assert_int_equal(record.a, topic.slot);
            assert_int_equal(record.b, 1);
        }
        assert_ptr_equal(event.body, &i);
        assert_int_equal(event.body_bytes, sizeof i);
        assert_int_equal(event.flags, 0);
        assert_true(event.key == 0 && event.cause_id == 0);
        assert_memory_equal(&event.topic, &topic, sizeof topic);
    }
    struct weir_reactor_counters counters = {0};
    weir_reactor_counters_read(reactor, &counters);
    assert_int_equal(counters.events_emitted, 6);
    weir_runtime_close(runtime);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test_setup_teardown(a_record_of_another_event_takes_two_cells, open_recorder, close_recorder),
        cmocka_unit_test_setup_teardown(a_record_that_makes_its_event_is_its_id, open_recorder, close_recorder),
        cmocka_unit_test_setup_teardown(more_handlers_than_a_cell_can_say_are_said_as_many, open_recorder, close_recorder),
        cmocka_unit_test_setup_teardown(events_told_one_after_the_other_share_a_cell, open_recorder, close_recorder),
        cmocka_unit_test_setup_teardown(what_is_not_the_next_event_of_the_same_handler_has_a_cell_of_its_own, open_recorder,
                                        close_recorder),
        cmocka_unit_test_setup_teardown(a_record_in_between_begins_a_new_cell, open_recorder, close_recorder),
        cmocka_unit_test_setup_teardown(no_cell_tells_of_more_than_256_events, open_recorder, close_recorder),
        cmocka_unit_test_setup_teardown(half_of_what_was_written_over_is_no_record, open_recorder, close_recorder),
        cmocka_unit_test(emits_are_recorded_and_counted_however_they_are_called),
    };
    return cmocka_run_group_tests_name("runtime.recorder", cases, NULL, NULL);
}
