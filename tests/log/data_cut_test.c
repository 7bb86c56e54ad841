/*
 * tests/log/data_cut_test.c - an opening that is cut at any call, by a loss of power, is followed by one that comes to the same.
 *
 * The directory has a bit of everything that recovery does: batches behind covered bytes, new partitions, files to scan, torn
 * ends, leftovers, starts, drops, strays and rows, from two reactors, opened by three. Every call is tried; then cuts
 * of the opening that follows a cut; then the faults of the disk.
 */
#include "tests/log/data_fixture.h"

static void make_checkpoints(struct place *place)
{
    struct weir_checkpoint_writer writer;
    weir_checkpoint_begin(&writer);
    cover(&writer, &topic_a, 0, 0, 3, make_segment(place, &topic_a, 0, 0, 3, 0));
    cover(&writer, &topic_b, 0, 0, 2, make_segment(place, &topic_b, 0, 0, 2, 0));
    cover(&writer, &topic_c, 0, 0, 2, make_segment(place, &topic_c, 0, 0, 2, 0));
    struct weir_checkpoint_row row = {64, 1, (const uint8_t *)"row", (const uint8_t *)"old", 3, 3};
    weir_checkpoint_add_row(&writer, &row);
    end_checkpoint(place, &writer, 0);
    weir_checkpoint_begin(&writer);
    struct weir_checkpoint_segment segments[2] = {{.base_offset = 0}, {.base_offset = 20}};
    for (uint32_t i = 0; i < 2; i++)
        segments[i].byte_count = make_segment(place, &topic_a, 1, i * 2, i * 2 + 2, 0);
    struct weir_checkpoint_partition entry = {.topic = topic_a, .partition = 1, .segment_count = 2, .end_offset = 40,
                                              .segments = segments, .state = (const uint8_t *)"\0\0\0\0\0\0\0\0abc", .state_bytes = 11};
    weir_checkpoint_add_partition(&writer, &entry);
    end_checkpoint(place, &writer, 1);
}

static void make_journals(struct place *place)
{
    static struct journal journal;
    begin_journal(place, &journal, 0);
    add_batches(&journal, &topic_a, 0, 2, 7);
    add_row(&journal, 64, 4, "row", "new");
    add_drop(&journal, &topic_c);
    add_batches(&journal, &topic_a, 2, 0, 4);
    end_journal(place, &journal);
    begin_journal(place, &journal, 1);
    add_batches(&journal, &topic_a, 1, 4, 6);
    add_start(&journal, &topic_a, 1, 25);
    add_row(&journal, 64, 2, "other", "value");
    add_row(&journal, 64, 6, "short-lived", "value");
    add_row(&journal, 64, 7, "short-lived", NULL);
    end_journal(place, &journal);
}

/* As a run of two reactors left it; all of it is on the medium. */
static void make_directory(struct place *place, uint64_t seed)
{
    open_place(place, seed);
    know(place, &topic_a, WEIR_LEVEL_SYNCED);
    know(place, &topic_b, WEIR_LEVEL_WRITTEN);
    place->journal_count = 2;
    open_data(place);
    close_data(place);
    make_checkpoints(place);
    make_segment(place, &topic_a, 0, 0, 5, 40); /* it got so far */
    make_segment(place, &topic_a, 0, 6, 7, 0);  /* and here */
    make_segment(place, &topic_a, 2, 0, 1, 3);
    make_segment(place, &topic_b, 0, 0, 4, 0);
    make_segment(place, &topic_b, 0, 4, 6, 10);
    make_segment(place, &topic_b, 1, 0, 3, 10);
    make_journals(place);
    weir_sim_disk_settle(place->sim, 0);
    place->journal_count = 3;
}

static uint64_t uncut(void)
{
    static struct place place;
    make_directory(&place, 1);
    open_data(&place);
    assert_int_equal(place.data->report.partitions, 5);
    assert_int_equal(partition_of(&place, &topic_a, 0)->end_offset, 70);
    assert_int_equal(partition_of(&place, &topic_a, 1)->end_offset, 60);
    assert_int_equal(partition_of(&place, &topic_a, 1)->segment_count, 1);
    assert_int_equal(partition_of(&place, &topic_a, 2)->end_offset, 40);
    assert_int_equal(partition_of(&place, &topic_b, 0)->end_offset, 60);
    assert_int_equal(partition_of(&place, &topic_b, 1)->end_offset, 30);
    uint64_t hash = hash_data(&place);
    close_place(&place);
    return hash;
}

/* Does the opening fail when the disk dies after so many calls? Either way the power goes. */
static bool open_cut(struct place *place, uint64_t call_count)
{
    weir_sim_disk_die_after(place->sim, 0, call_count);
    int result = try_open(place);
    crash(place, WEIR_SIM_POWER_LOSS);
    return result < 0;
}

static void check_same(struct place *place, uint64_t hash)
{
    open_data(place);
    assert_int_equal(hash_data(place), hash);
    assert_false(exists(place, segment_path(&topic_a, 0, 60, ".log")));
    close_data(place);
}

static void it_comes_to_the_same_wherever_it_is_cut(void **state)
{
    (void)state;
    uint64_t hash = uncut();
    uint64_t calls = 0;
    for (bool cut = true; cut; calls++) {
        struct place place;
        make_directory(&place, 1000 + calls);
        cut = open_cut(&place, calls);
        check_same(&place, hash);
        check_same(&place, hash); /* and again */
        close_place(&place);
    }
    assert_true(calls > 100);
}

static void cuts_upon_cuts_come_to_the_same(void **state)
{
    (void)state;
    uint64_t hash = uncut();
    uint32_t cuts = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct place place;
        make_directory(&place, seed);
        for (int times = 0; times < 4; times++)
            cuts += open_cut(&place, weir_sim_below(place.sim, 300));
        check_same(&place, hash);
        close_place(&place);
    }
    assert_true(cuts > 100);
}

/* Errors end an opening with a reason; short transfers do not. */
static void faults_of_the_disk_are_survived_or_told(void **state)
{
    (void)state;
    uint64_t hash = uncut();
    uint32_t failed = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct place place;
        make_directory(&place, seed);
        struct weir_sim_faults *faults = weir_sim_faults(place.sim);
        struct weir_sim_faults none = *faults;
        faults->read_cut = faults->write_cut = 300000;
        faults->read_error = seed % 4 == 0 ? 5000 : 0;
        faults->write_error = seed % 4 == 1 ? 10000 : 0;
        faults->write_full = seed % 4 == 2 ? 10000 : 0;
        faults->sync_error = seed % 4 == 3 ? 10000 : 0;
        if (try_open(&place) < 0) {
            failed++;
            assert_true(strlen(place.why) > 10);
        }
        *faults = none;
        crash(&place, seed % 2 ? WEIR_SIM_POWER_LOSS : WEIR_SIM_KILL);
        check_same(&place, hash);
        close_place(&place);
    }
    assert_in_range(failed, 10, 140); /* some, not all */
}

/* So many partitions that they are synced together. */
static void many_partitions_survive_cuts_as_few_do(void **state)
{
    (void)state;
    enum { MANY = 80 };
    static struct journal journal;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct place place;
        open_place(&place, seed);
        know(&place, &topic_a, WEIR_LEVEL_SYNCED);
        begin_journal(&place, &journal, 0);
        for (uint32_t partition = 0; partition < MANY / 2; partition++)
            add_batches(&journal, &topic_a, partition, 0, 1);
        end_journal(&place, &journal);
        place.journal_count = 2; /* and as many for another one */
        open_data(&place);
        close_data(&place);
        for (uint32_t number = 0; number < 2; number++) {
            begin_journal(&place, &journal, number);
            for (uint32_t partition = 0; partition < MANY; partition++)
                if (weir_store_owner(&topic_a, partition, 2) == number)
                    add_batches(&journal, &topic_a, partition, partition < MANY / 2, 2);
            end_journal(&place, &journal);
        }
        weir_sim_disk_settle(place.sim, 0);
        if (seed % 2)
            open_cut(&place, weir_sim_below(place.sim, 1500));
        open_data(&place);
        crash(&place, WEIR_SIM_POWER_LOSS);
        open_data(&place);
        for (uint32_t partition = 0; partition < MANY; partition++) {
            assert_int_equal(partition_of(&place, &topic_a, partition)->end_offset, 20);
            assert_true(segment_is(&place, &topic_a, partition, 0, 2));
        }
        close_place(&place);
    }
}

/* The very first opening, of nothing at all. */
static void a_first_start_may_be_cut_as_well(void **state)
{
    (void)state;
    uint64_t calls = 0;
    for (bool cut = true; cut; calls++) {
        struct place place = {.journal_count = 2};
        assert_int_equal(weir_sim_open(calls + 1, 1, NULL, &place.sim), 0);
        assert_int_equal(weir_sim_io_open(place.sim, 0, &place.io), 0);
        place.disk = weir_io_disk(place.io);
        cut = open_cut(&place, calls);
        open_data(&place);
        assert_int_equal(place.run, cut && place.data->report.fresh ? 1 : 2);
        close_place(&place);
    }
    assert_true(calls > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_to_the_same_wherever_it_is_cut),
        cmocka_unit_test(cuts_upon_cuts_come_to_the_same),
        cmocka_unit_test(faults_of_the_disk_are_survived_or_told),
        cmocka_unit_test(many_partitions_survive_cuts_as_few_do),
        cmocka_unit_test(a_first_start_may_be_cut_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
