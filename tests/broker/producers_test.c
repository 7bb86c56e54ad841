/*
 * Description: idempotent producers and transactions of a partition - each line of the rule table, taking back, bounds, the last stable
 * offset, aborted ranges, saving and loading.
 */
#include "tests/broker/producers_fixture.h"

#include <errno.h>

/* ---- The rule table ------------------------------------------------------------------------------ */

static void what_has_no_producer_is_appended_and_leaves_nothing(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    struct weir_batch batch = batch_of(-1, -1, -1, -1);
    expect(producers, batch, WEIR_PRODUCER_APPEND);
    note(producers, batch, 0);
    assert_int_equal(weir_producers_count(producers), 0);
    weir_producers_free(producers);
}

static void an_unknown_producer_may_begin_anywhere(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    expect(producers, batch_of(1, 0, 0, 9), WEIR_PRODUCER_APPEND);
    expect(producers, batch_of(1, 5, 1234, 1240), WEIR_PRODUCER_APPEND);
    note(producers, batch_of(1, 5, 1234, 1240), 100);
    expect(producers, batch_of(1, 5, 1241, 1241), WEIR_PRODUCER_APPEND);
    weir_producers_free(producers);
}

static void an_older_epoch_is_stale(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    note(producers, batch_of(1, 3, 0, 4), 0);
    expect(producers, batch_of(1, 2, 5, 9), WEIR_PRODUCER_STALE);
    expect(producers, batch_of(1, 2, 0, 4), WEIR_PRODUCER_STALE);
    weir_producers_free(producers);
}

static void a_newer_epoch_begins_at_zero(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    note(producers, batch_of(1, 3, 0, 4), 0);
    expect(producers, batch_of(1, 4, 5, 9), WEIR_PRODUCER_OUT_OF_ORDER);
    expect(producers, batch_of(1, 4, 0, 9), WEIR_PRODUCER_APPEND);
    note(producers, batch_of(1, 4, 0, 4), 5);
    expect_duplicate(producers, batch_of(1, 4, 0, 4), 5); /* not the one of epoch 3 */
    expect(producers, batch_of(1, 4, 5, 5), WEIR_PRODUCER_APPEND);
    weir_producers_free(producers);
}

static void any_of_the_last_five_batches_is_a_duplicate(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    for (int32_t i = 0; i < 6; i++)
        note(producers, batch_of(1, 0, 10 * i, 10 * i + 9), 100 + 10 * (uint64_t)i);
    for (int32_t i = 1; i < 6; i++)
        expect_duplicate(producers, batch_of(1, 0, 10 * i, 10 * i + 9), 100 + 10 * (uint64_t)i);
    expect(producers, batch_of(1, 0, 0, 9), WEIR_PRODUCER_OUT_OF_ORDER);   /* the sixth last */
    expect(producers, batch_of(1, 0, 20, 28), WEIR_PRODUCER_OUT_OF_ORDER); /* another end */
    expect(producers, batch_of(1, 0, 21, 29), WEIR_PRODUCER_OUT_OF_ORDER); /* another beginning */
    weir_producers_free(producers);
}

static void only_the_next_sequence_continues(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    note(producers, batch_of(1, 0, 0, 9), 0);
    expect(producers, batch_of(1, 0, 10, 10), WEIR_PRODUCER_APPEND);
    expect(producers, batch_of(1, 0, 11, 11), WEIR_PRODUCER_OUT_OF_ORDER);
    expect(producers, batch_of(1, 0, 9, 10), WEIR_PRODUCER_OUT_OF_ORDER);
    expect(producers, batch_of(1, 0, 0, 0), WEIR_PRODUCER_OUT_OF_ORDER);
    weir_producers_free(producers);
}

static void producers_do_not_know_each_other(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    for (int64_t id = 0; id < 300; id++)
        note(producers, batch_of(id, 0, 0, (int32_t)id), (uint64_t)id * 1000);
    assert_int_equal(weir_producers_count(producers), 300);
    for (int64_t id = 0; id < 300; id++) {
        expect_duplicate(producers, batch_of(id, 0, 0, (int32_t)id), (uint64_t)id * 1000);
        expect(producers, batch_of(id, 0, (int32_t)id + 1, (int32_t)id + 1), WEIR_PRODUCER_APPEND);
    }
    weir_producers_free(producers);
}

static void sequences_go_on_from_the_largest_to_zero(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    note(producers, batch_of(1, 0, INT32_MAX - 1, INT32_MAX), 0); /* ends right at it */
    expect(producers, batch_of(1, 0, 0, 3), WEIR_PRODUCER_APPEND);
    expect(producers, batch_of(1, 0, 1, 3), WEIR_PRODUCER_OUT_OF_ORDER);
    note(producers, batch_of(2, 0, INT32_MAX - 1, 1), 10); /* four records, over it */
    expect_duplicate(producers, batch_of(2, 0, INT32_MAX - 1, 1), 10);
    expect(producers, batch_of(2, 0, 2, 2), WEIR_PRODUCER_APPEND);
    expect(producers, batch_of(2, 0, 3, 3), WEIR_PRODUCER_OUT_OF_ORDER);
    weir_producers_free(producers);
}

/* ---- Taking back --------------------------------------------------------------------------------- */

static void a_failed_append_is_taken_back(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    note(producers, batch_of(1, 0, 0, 4), 0);
    note(producers, batch_of(1, 0, 5, 9), 5);
    forget(producers, batch_of(1, 0, 5, 9), 5);
    expect_duplicate(producers, batch_of(1, 0, 0, 4), 0);
    expect(producers, batch_of(1, 0, 5, 9), WEIR_PRODUCER_APPEND);
    weir_producers_free(producers);
}

static void the_first_batch_ever_leaves_nothing_when_taken_back(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    note(producers, batch_of(1, 4, 77, 79), 0);
    forget(producers, batch_of(1, 4, 77, 79), 0);
    assert_int_equal(weir_producers_count(producers), 0);
    expect(producers, batch_of(1, 3, 5, 9), WEIR_PRODUCER_APPEND);
    weir_producers_free(producers);
}

static void appends_that_fail_together_may_be_taken_back_in_any_order(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        struct weir_producers *producers = weir_producers_new(PLENTY);
        for (int32_t i = 0; i < 7; i++)
            note(producers, batch_of(1, 0, i, i), (uint64_t)i);
        for (int32_t i = 0; i < 3; i++) {
            int32_t one = order ? 6 - i : 4 + i;
            forget(producers, batch_of(1, 0, one, one), (uint64_t)one);
        }
        expect_duplicate(producers, batch_of(1, 0, 3, 3), 3);
        expect_duplicate(producers, batch_of(1, 0, 2, 2), 2);
        expect(producers, batch_of(1, 0, 4, 4), WEIR_PRODUCER_APPEND);
        expect(producers, batch_of(1, 0, 5, 5), WEIR_PRODUCER_OUT_OF_ORDER);
        weir_producers_free(producers);
    }
}

static void what_was_not_noted_is_not_taken_back(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    note(producers, batch_of(1, 0, 0, 4), 10);
    forget(producers, batch_of(1, 0, 0, 4), 9);
    forget(producers, batch_of(1, 0, 5, 9), 10);
    forget(producers, batch_of(2, 0, 0, 4), 10);
    forget(producers, marker_of(1, 0, true), 11);
    expect_duplicate(producers, batch_of(1, 0, 0, 4), 10);
    weir_producers_free(producers);
}

static void the_epoch_before_is_back_with_its_sequences(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    note(producers, batch_of(1, 3, 0, 4), 0);
    note(producers, batch_of(1, 4, 0, 9), 5);
    expect(producers, batch_of(1, 3, 5, 9), WEIR_PRODUCER_STALE);
    forget(producers, batch_of(1, 4, 0, 9), 5);
    expect(producers, batch_of(1, 3, 5, 9), WEIR_PRODUCER_APPEND);
    expect(producers, batch_of(1, 3, 6, 9), WEIR_PRODUCER_OUT_OF_ORDER);
    expect_duplicate(producers, batch_of(1, 3, 0, 4), 0);
    expect(producers, batch_of(1, 4, 0, 9), WEIR_PRODUCER_APPEND);
    weir_producers_free(producers);
}

/* ---- Bounds -------------------------------------------------------------------------------------- */

static void the_producer_idle_longest_makes_room(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(3);
    for (int64_t id = 1; id <= 3; id++)
        note(producers, batch_of(id, 0, 0, 0), (uint64_t)id);
    note(producers, batch_of(1, 0, 1, 1), 4);
    note(producers, batch_of(4, 0, 0, 0), 5);
    assert_int_equal(weir_producers_count(producers), 3);
    expect(producers, batch_of(2, 0, 500, 500), WEIR_PRODUCER_APPEND); /* forgotten */
    expect(producers, batch_of(1, 0, 500, 500), WEIR_PRODUCER_OUT_OF_ORDER);
    expect(producers, batch_of(3, 0, 500, 500), WEIR_PRODUCER_OUT_OF_ORDER);
    weir_producers_free(producers);
}

static void an_open_transaction_outlives_any_number_of_producers(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(2);
    note(producers, in_transaction(batch_of(1, 0, 0, 0)), 0);
    for (int64_t id = 2; id < 20; id++)
        note(producers, batch_of(id, 0, 0, 0), (uint64_t)id);
    weir_producers_expire(producers, INT64_MAX);
    assert_int_equal(weir_producers_count(producers), 1);
    assert_true(weir_producers_in_transaction(producers, 1));
    assert_int_equal(weir_producers_stable_offset(producers, 20), 0);
    note(producers, marker_of(1, 0, true), 20);
    assert_int_equal(weir_producers_stable_offset(producers, 21), 21);
    weir_producers_expire(producers, INT64_MAX);
    assert_int_equal(weir_producers_count(producers), 0);
    weir_producers_free(producers);
}

static void an_idle_producer_expires(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    note(producers, batch_of(1, 0, 0, 0), 100); /* the offset is the time, too */
    note(producers, batch_of(2, 0, 0, 0), 200);
    weir_producers_expire(producers, 100);
    assert_int_equal(weir_producers_count(producers), 2);
    weir_producers_expire(producers, 101);
    assert_int_equal(weir_producers_count(producers), 1);
    expect(producers, batch_of(1, 0, 9, 9), WEIR_PRODUCER_APPEND);
    expect(producers, batch_of(2, 0, 9, 9), WEIR_PRODUCER_OUT_OF_ORDER);
    weir_producers_free(producers);
}

/* ---- Transactions -------------------------------------------------------------------------------- */

static void the_earliest_open_transaction_holds_the_stable_offset(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    assert_int_equal(weir_producers_stable_offset(producers, 7), 7);
    note(producers, batch_of(9, 0, 0, 9), 0);
    assert_int_equal(weir_producers_stable_offset(producers, 10), 10);
    note(producers, in_transaction(batch_of(1, 0, 0, 4)), 10);
    note(producers, in_transaction(batch_of(2, 0, 0, 4)), 15);
    note(producers, in_transaction(batch_of(1, 0, 5, 9)), 20);
    assert_int_equal(weir_producers_stable_offset(producers, 25), 10);
    assert_int_equal(weir_producers_stable_offset(producers, 25), 10);
    note(producers, marker_of(1, 0, true), 25);
    assert_false(weir_producers_in_transaction(producers, 1));
    assert_true(weir_producers_in_transaction(producers, 2));
    assert_int_equal(weir_producers_stable_offset(producers, 26), 15);
    note(producers, marker_of(2, 0, false), 26);
    assert_int_equal(weir_producers_stable_offset(producers, 27), 27);
    weir_producers_free(producers);
}

static void a_transaction_has_ended_when_its_marker_may_be_read(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    note(producers, in_transaction(batch_of(1, 0, 0, 4)), 10);
    note(producers, marker_of(1, 0, true), 15);
    assert_int_equal(weir_producers_stable_offset(producers, 15), 10);
    assert_int_equal(weir_producers_stable_offset(producers, 16), 16);
    weir_producers_free(producers);
}

static void a_lost_marker_leaves_the_transaction_open(void **state)
{
    (void)state;
    for (int commit = 0; commit < 2; commit++) {
        struct weir_producers *producers = weir_producers_new(PLENTY);
        note(producers, in_transaction(batch_of(1, 0, 0, 4)), 10);
        note(producers, in_transaction(batch_of(2, 0, 0, 0)), 15);
        note(producers, marker_of(1, 0, commit), 16);
        forget(producers, marker_of(1, 0, commit), 16);
        assert_true(weir_producers_in_transaction(producers, 1));
        assert_int_equal(weir_producers_stable_offset(producers, 16), 10);
        assert_int_equal(weir_producers_aborted(producers, 0, 100, NULL, 0), 0);
        note(producers, marker_of(1, 0, false), 16);
        note(producers, marker_of(2, 0, false), 17);
        assert_int_equal(weir_producers_aborted(producers, 0, 100, NULL, 0), 2);
        assert_int_equal(weir_producers_stable_offset(producers, 18), 18);
        weir_producers_free(producers);
    }
}

/* More than the room that is taken at first, all open again after their commits were lost. */
static void many_ends_that_were_lost_may_all_be_aborts(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    for (int64_t id = 0; id < 8; id++)
        note(producers, in_transaction(batch_of(id, 0, 0, 0)), (uint64_t)id);
    for (int64_t id = 0; id < 8; id++)
        note(producers, marker_of(id, 0, true), 10 + (uint64_t)id);
    note(producers, in_transaction(batch_of(8, 0, 0, 0)), 20);
    for (int64_t id = 7; id >= 0; id--)
        forget(producers, marker_of(id, 0, true), 10 + (uint64_t)id);
    for (int64_t id = 0; id < 9; id++)
        note(producers, marker_of(id, 0, false), 30 + (uint64_t)id);
    assert_int_equal(weir_producers_aborted(producers, 0, 100, NULL, 0), 9);
    weir_producers_free(producers);
}

static void aborted_ranges_come_by_first_offset_where_they_overlap(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    struct weir_aborted_range ranges[4];
    note(producers, in_transaction(batch_of(1, 0, 0, 9)), 10);
    note(producers, in_transaction(batch_of(2, 0, 0, 9)), 20);
    note(producers, in_transaction(batch_of(3, 0, 0, 9)), 30);
    note(producers, marker_of(3, 0, false), 40); /* 30 .. 40 */
    note(producers, marker_of(2, 0, true), 41);
    note(producers, marker_of(1, 0, false), 42); /* 10 .. 42: ends last, comes first */
    assert_int_equal(weir_producers_aborted(producers, 0, 100, ranges, 4), 2);
    assert_int_equal(ranges[0].producer_id, 1);
    assert_int_equal(ranges[0].first_offset, 10);
    assert_int_equal(ranges[0].last_offset, 42);
    assert_int_equal(ranges[1].producer_id, 3);
    assert_int_equal(ranges[1].first_offset, 30);
    assert_int_equal(ranges[1].last_offset, 40);
    assert_int_equal(weir_producers_aborted(producers, 0, 10, ranges, 4), 0);
    assert_int_equal(weir_producers_aborted(producers, 0, 11, ranges, 4), 1);
    assert_int_equal(weir_producers_aborted(producers, 41, 100, ranges, 4), 1);
    assert_int_equal(ranges[0].producer_id, 1);
    assert_int_equal(weir_producers_aborted(producers, 42, 43, ranges, 4), 1);
    assert_int_equal(weir_producers_aborted(producers, 43, 100, ranges, 4), 0);
    memset(ranges, 0xee, sizeof ranges);
    assert_int_equal(weir_producers_aborted(producers, 0, 100, ranges, 1), 2); /* all are counted, one is told */
    assert_int_equal(ranges[0].producer_id, 1);
    assert_int_equal(ranges[1].producer_id, (int64_t)0xeeeeeeeeeeeeeeee);
    weir_producers_prune(producers, 41);
    assert_int_equal(weir_producers_aborted(producers, 0, 100, ranges, 4), 1);
    weir_producers_prune(producers, 43);
    assert_int_equal(weir_producers_aborted(producers, 0, 100, ranges, 4), 0);
    weir_producers_free(producers);
}

static void a_marker_of_nothing_aborts_nothing_and_still_fences(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    note(producers, batch_of(1, 2, 0, 4), 0);
    note(producers, marker_of(1, 3, false), 5);
    assert_int_equal(weir_producers_aborted(producers, 0, 100, NULL, 0), 0);
    expect(producers, batch_of(1, 2, 5, 9), WEIR_PRODUCER_STALE);
    expect(producers, marker_of(1, 2, false), WEIR_PRODUCER_STALE);
    expect(producers, marker_of(1, 3, false), WEIR_PRODUCER_APPEND);
    expect(producers, batch_of(1, 3, 5, 9), WEIR_PRODUCER_OUT_OF_ORDER);
    expect(producers, batch_of(1, 3, 0, 9), WEIR_PRODUCER_APPEND);
    weir_producers_free(producers);
}

static void sequences_go_on_over_a_marker_of_the_same_epoch(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    note(producers, in_transaction(batch_of(1, 0, 0, 4)), 0);
    note(producers, marker_of(1, 0, true), 5);
    expect_duplicate(producers, batch_of(1, 0, 0, 4), 0);
    expect(producers, batch_of(1, 0, 5, 9), WEIR_PRODUCER_APPEND);
    expect(producers, batch_of(1, 0, 0, 9), WEIR_PRODUCER_OUT_OF_ORDER);
    weir_producers_free(producers);
}

static void a_marker_of_which_only_the_header_was_read_is_refused(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    struct weir_batch batch = marker_of(1, 0, true);
    batch.control = WEIR_BATCH_CONTROL_UNREAD;
    assert_int_equal(weir_producers_note(producers, &batch, 0, 0), -EINVAL);
    assert_int_equal(weir_producers_count(producers), 0);
    weir_producers_free(producers);
}

/* ---- Saving and loading -------------------------------------------------------------------------- */

static void nothing_is_saved_as_nothing(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    size_t byte_count = 1;
    assert_null(weir_producers_save(producers, 100, &byte_count));
    assert_int_equal(byte_count, 0);
    note(producers, batch_of(1, 0, 0, 0), 100); /* all of it behind the end */
    assert_null(weir_producers_save(producers, 100, &byte_count));
    assert_int_equal(weir_producers_load(producers, NULL, 0, 0), 0);
    assert_int_equal(weir_producers_count(producers), 0);
    weir_producers_free(producers);
}

static void what_lies_behind_the_end_is_left_out_at_saving_and_at_loading(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    for (int32_t i = 0; i < 4; i++)
        note(producers, batch_of(1, 0, 10 * i, 10 * i + 9), 10 * (uint64_t)i);
    note(producers, batch_of(2, 0, 0, 0), 40);
    static const struct {
        uint64_t saved, end;
        int32_t kept; /* batches of producer 1 */
        uint32_t count;
    } rows[] = {{41, 41, 4, 2}, {40, 41, 4, 1}, {41, 40, 4, 1}, {20, 41, 2, 1},
                {41, 20, 2, 1}, {41, 15, 2, 1}, {10, 41, 1, 1}, {0, 41, 0, 0}};
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct weir_producers *loaded = reload(producers, rows[row].saved, rows[row].end);
        assert_int_equal(weir_producers_count(loaded), rows[row].count);
        for (int32_t i = 0; i < rows[row].kept; i++)
            expect_duplicate(loaded, batch_of(1, 0, 10 * i, 10 * i + 9), 10 * (uint64_t)i);
        expect(loaded, batch_of(1, 0, 10 * rows[row].kept, 99), WEIR_PRODUCER_APPEND);
        if (rows[row].kept > 0)
            expect(loaded, batch_of(1, 0, 10 * rows[row].kept + 1, 99), WEIR_PRODUCER_OUT_OF_ORDER);
        weir_producers_free(loaded);
    }
    weir_producers_free(producers);
}

/* Six batches behind the end: five are remembered, so where the first of them began is not known any more. */
static void beyond_memory_the_epoch_is_kept_and_any_sequence_taken(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    for (int32_t i = 0; i < 7; i++)
        note(producers, batch_of(1, 3, i, i), (uint64_t)i);
    struct weir_producers *loaded = reload(producers, 1, 100);
    expect(loaded, batch_of(1, 3, 1, 1), WEIR_PRODUCER_APPEND);
    expect(loaded, batch_of(1, 3, 2, 2), WEIR_PRODUCER_APPEND);
    expect(loaded, batch_of(1, 2, 1, 1), WEIR_PRODUCER_STALE);
    weir_producers_free(loaded);
    loaded = reload(producers, 2, 100); /* five behind the end: known */
    expect(loaded, batch_of(1, 3, 2, 2), WEIR_PRODUCER_APPEND);
    expect(loaded, batch_of(1, 3, 3, 3), WEIR_PRODUCER_OUT_OF_ORDER);
    weir_producers_free(loaded);
    weir_producers_free(producers);
}

static void transactions_are_saved_as_they_stood_at_the_end(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    note(producers, in_transaction(batch_of(1, 0, 0, 4)), 0);
    note(producers, in_transaction(batch_of(2, 0, 0, 4)), 5);
    note(producers, marker_of(1, 0, false), 10);
    note(producers, marker_of(2, 0, true), 11);
    static const struct {
        uint64_t end, stable;
        uint32_t aborted;
        bool first_open, second_open;
    } rows[] = {{12, 100, 1, 0, 0}, {11, 5, 1, 0, 1}, {10, 0, 0, 1, 1}, {5, 0, 0, 1, 0}, {0, 100, 0, 0, 0}};
    for (size_t row = 0; row < 2 * sizeof rows / sizeof rows[0]; row++) {
        uint64_t end = rows[row / 2].end;
        struct weir_producers *loaded = row % 2 ? reload(producers, end, 100) : reload(producers, 100, end);
        assert_int_equal(weir_producers_in_transaction(loaded, 1), rows[row / 2].first_open);
        assert_int_equal(weir_producers_in_transaction(loaded, 2), rows[row / 2].second_open);
        assert_int_equal(weir_producers_stable_offset(loaded, 100), rows[row / 2].stable);
        assert_int_equal(weir_producers_aborted(loaded, 0, 100, NULL, 0), rows[row / 2].aborted);
        weir_producers_free(loaded);
    }
    weir_producers_free(producers);
}

static void bytes_that_are_no_state_leave_nothing(void **state)
{
    (void)state;
    struct weir_producers *producers = weir_producers_new(PLENTY);
    struct weir_producers *loaded = weir_producers_new(PLENTY);
    for (int32_t i = 0; i < 3; i++)
        note(producers, batch_of(1, 0, i, i), (uint64_t)i);
    note(producers, in_transaction(batch_of(2, 0, 0, 0)), 3);
    note(producers, marker_of(2, 0, false), 4);
    size_t byte_count;
    uint8_t *bytes = weir_producers_save(producers, 100, &byte_count);
    assert_non_null(bytes);
    for (size_t count = 1; count < byte_count; count++) {
        uint8_t *piece = malloc(count);
        memcpy(piece, bytes, count);
        assert_int_equal(weir_producers_load(loaded, piece, count, 100), -EBADMSG);
        assert_int_equal(weir_producers_count(loaded), 0);
        free(piece);
    }
    for (size_t bit = 0; bit < byte_count * 8; bit++) { /* some are another state, none is harm */
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (weir_producers_load(loaded, bytes, byte_count, 100) == 0) {
            weir_producers_stable_offset(loaded, 100);
            note(loaded, in_transaction(batch_of(1, INT16_MAX, 0, 0)), 200);
            note(loaded, marker_of(1, INT16_MAX, false), 201);
        }
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(weir_producers_load(loaded, bytes, byte_count, 100), 0);
    assert_int_equal(weir_producers_count(loaded), 2);
    free(bytes);
    weir_producers_free(loaded);
    weir_producers_free(producers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_no_producer_is_appended_and_leaves_nothing),
        cmocka_unit_test(an_unknown_producer_may_begin_anywhere),
        cmocka_unit_test(an_older_epoch_is_stale),
        cmocka_unit_test(a_newer_epoch_begins_at_zero),
        cmocka_unit_test(any_of_the_last_five_batches_is_a_duplicate),
        cmocka_unit_test(only_the_next_sequence_continues),
        cmocka_unit_test(producers_do_not_know_each_other),
        cmocka_unit_test(sequences_go_on_from_the_largest_to_zero),
        cmocka_unit_test(a_failed_append_is_taken_back),
        cmocka_unit_test(the_first_batch_ever_leaves_nothing_when_taken_back),
        cmocka_unit_test(appends_that_fail_together_may_be_taken_back_in_any_order),
        cmocka_unit_test(what_was_not_noted_is_not_taken_back),
        cmocka_unit_test(the_epoch_before_is_back_with_its_sequences),
        cmocka_unit_test(the_producer_idle_longest_makes_room),
        cmocka_unit_test(an_open_transaction_outlives_any_number_of_producers),
        cmocka_unit_test(an_idle_producer_expires),
        cmocka_unit_test(the_earliest_open_transaction_holds_the_stable_offset),
        cmocka_unit_test(a_transaction_has_ended_when_its_marker_may_be_read),
        cmocka_unit_test(a_lost_marker_leaves_the_transaction_open),
        cmocka_unit_test(many_ends_that_were_lost_may_all_be_aborts),
        cmocka_unit_test(aborted_ranges_come_by_first_offset_where_they_overlap),
        cmocka_unit_test(a_marker_of_nothing_aborts_nothing_and_still_fences),
        cmocka_unit_test(sequences_go_on_over_a_marker_of_the_same_epoch),
        cmocka_unit_test(a_marker_of_which_only_the_header_was_read_is_refused),
        cmocka_unit_test(nothing_is_saved_as_nothing),
        cmocka_unit_test(what_lies_behind_the_end_is_left_out_at_saving_and_at_loading),
        cmocka_unit_test(beyond_memory_the_epoch_is_kept_and_any_sequence_taken),
        cmocka_unit_test(transactions_are_saved_as_they_stood_at_the_end),
        cmocka_unit_test(bytes_that_are_no_state_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
