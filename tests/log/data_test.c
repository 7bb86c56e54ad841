/*
 * tests/log/data_test.c - opening a data directory: what is refused, and what is made of checkpoints, journals and files.
 *
 * Each case makes a directory by hand, as a run could have left it, and opens it. Cutting the opening itself: data_cut_test.c.
 */
#include "tests/log/data_fixture.h"

#include <sys/stat.h>

static struct journal journal;

static void empty_checkpoint(struct place *place, uint32_t number)
{
    struct weir_checkpoint_writer writer;
    weir_checkpoint_begin(&writer);
    end_checkpoint(place, &writer, number);
}

/* ---- node, lock, checkpoints ---- */

static void an_empty_directory_becomes_a_node_and_keeps_its_id(void **state)
{
    (void)state;
    struct place place;
    struct weir_log_id none = {{0}};
    open_place(&place, 1);
    assert_memory_not_equal(&place.node, &none, sizeof(none));
    struct weir_log_id node = place.node;
    assert_int_equal(place.run, 1);
    crash(&place, WEIR_SIM_POWER_LOSS);
    open_data(&place);
    assert_memory_equal(&place.node, &node, sizeof(node));
    assert_int_equal(place.run, 2);
    assert_false(place.data->report.fresh);
    assert_true(exists(&place, "/data/checkpoint-2-0"));
    assert_false(exists(&place, "/data/checkpoint-1-0"));
    close_place(&place);
}

static void a_second_process_is_refused(void **state)
{
    (void)state;
    struct place place;
    open_place(&place, 2);
    open_data(&place);
    struct place second = place;
    assert_int_equal(try_open(&second), -EWOULDBLOCK);
    assert_non_null(strstr(second.why, "another process"));
    second.read_only = true;
    assert_int_equal(try_open(&second), -EWOULDBLOCK);
    close_data(&place);
    open_data(&place);
    close_place(&place);
}

static void refused(struct place *place, int error, const char *says)
{
    assert_int_equal(try_open(place), error);
    assert_null(place->data);
    if (strstr(place->why, says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", place->why, says);
    assert_true(place->disk->table->open(place->disk, "/data/node", O_RDONLY, 0) != -ENOENT || strstr(says, "no node"));
}

static void change_byte(struct place *place, const char *path, uint64_t offset, uint8_t value)
{
    int fd = place->disk->table->open(place->disk, path, O_RDWR, 0);
    assert_true(fd >= 0);
    assert_int_equal(weir_disk_write_whole(place->disk, fd, &value, 1, offset), 0);
    place->disk->table->close(place->disk, fd);
}

static void what_is_newer_damaged_or_missing_is_refused_by_name(void **state)
{
    (void)state;
    struct place place;
    open_place(&place, 3);
    change_byte(&place, "/data/node", 8, 2);
    refused(&place, -ENOTSUP, "/data/node: format 2 is newer");
    change_byte(&place, "/data/node", 8, 1);
    change_byte(&place, "/data/node", 33, 1);
    refused(&place, -EBADMSG, "/data/node: the checksum is wrong");
    change_byte(&place, "/data/node", 33, 0);
    change_byte(&place, "/data/checkpoint-1-0", 50, 1);
    refused(&place, -EBADMSG, "/data/checkpoint-1-0: this is not a whole checkpoint");
    assert_int_equal(place.disk->table->unlink(place.disk, "/data/checkpoint-1-0"), 0);
    refused(&place, -EBADMSG, "/data/checkpoint-1-0: it is missing");
    empty_checkpoint(&place, 0);
    open_data(&place);
    close_place(&place);
}

static void data_without_a_node_file_is_not_taken_for_a_new_directory(void **state)
{
    (void)state;
    struct place place;
    open_place(&place, 4);
    make_segment(&place, &topic_a, 0, 0, 1, 0);
    assert_int_equal(place.disk->table->unlink(place.disk, "/data/node"), 0);
    refused(&place, -EBADMSG, "there is no node file, but topics of some run");
    close_place(&place);
}

static void a_journal_of_a_newer_program_or_a_damaged_one_is_refused(void **state)
{
    (void)state;
    struct place place;
    open_place(&place, 5);
    know(&place, &topic_a, WEIR_LEVEL_SYNCED);
    begin_journal(&place, &journal, 0);
    struct weir_entry entry = {.type = WEIR_ENTRY_RESERVED_FIRST, .topic = topic_a};
    add_entry(&journal, &entry);
    end_journal(&place, &journal);
    refused(&place, -ENOTSUP, "a newer program has written here");
    begin_journal(&place, &journal, 0);
    add_batches(&journal, &topic_a, 0, 0, 3);
    journal.bytes[WEIR_FRAME_ALIGN + 100] ^= 1; /* two that are whole stand behind it */
    end_journal(&place, &journal);
    refused(&place, -EBADMSG, "/data/journal, journal 0: frame 1");
    begin_journal(&place, &journal, 0);
    entry = (struct weir_entry){.type = WEIR_ENTRY_BATCH, .topic = topic_a, .body = (const uint8_t *)"none", .body_bytes = 4};
    add_entry(&journal, &entry);
    end_journal(&place, &journal);
    refused(&place, -EBADMSG, "a batch at offset 0 that is none");
    close_place(&place);
}

static void extents_of_other_sizes_are_removed(void **state)
{
    (void)state;
    struct place place;
    open_place(&place, 6);
    write_file(&place, "/data/journal/a.extent", journal.bytes, 8192);
    write_file(&place, "/data/journal/b.extent", journal.bytes, 4096);
    write_file(&place, "/data/journal/notes", "mine", 4);
    struct weir_data_options options = {.journal_count = 1, .extent_bytes = 4096};
    assert_int_equal(weir_data_open(place.disk, "/data", &options, &place.data, place.why, sizeof(place.why)), 0);
    assert_int_equal(place.data->free_extent_count, 1);
    assert_string_equal(place.data->free_extents[0], "/data/journal/b.extent");
    assert_false(exists(&place, "/data/journal/a.extent"));
    assert_true(exists(&place, "/data/journal/notes"));
    close_place(&place);
}

static void on_progress(void *context, uint64_t done_bytes, uint64_t all_bytes)
{
    uint64_t *last = context;
    assert_true(done_bytes >= last[0] && done_bytes <= all_bytes);
    last[0] = done_bytes;
    last[1] = all_bytes;
}

static void progress_ends_with_all_of_it(void **state)
{
    (void)state;
    struct place place;
    uint64_t last[2] = {0, 0};
    open_place(&place, 7);
    know(&place, &topic_a, WEIR_LEVEL_SYNCED);
    begin_journal(&place, &journal, 0);
    add_batches(&journal, &topic_a, 0, 0, 30);
    end_journal(&place, &journal);
    struct weir_data_options options = {.journal_count = 1, .progress = on_progress, .progress_context = last};
    assert_int_equal(weir_data_open(place.disk, "/data", &options, &place.data, place.why, sizeof(place.why)), 0);
    assert_true(last[0] > 0);
    assert_int_equal(last[0], last[1]);
    close_place(&place);
}

/* ---- Batches ---- */

static void batches_of_the_journal_are_written_behind_what_is_covered(void **state)
{
    (void)state;
    struct place place;
    struct weir_checkpoint_writer writer;
    open_place(&place, 10);
    know(&place, &topic_a, WEIR_LEVEL_SYNCED);
    uint64_t covered = make_segment(&place, &topic_a, 2, 0, 5, 333); /* what lies behind is not evidence */
    weir_checkpoint_begin(&writer);
    cover(&writer, &topic_a, 2, 0, 5, covered);
    end_checkpoint(&place, &writer, 0);
    begin_journal(&place, &journal, 0);
    add_batches(&journal, &topic_a, 2, 3, 9); /* two of them are there already */
    end_journal(&place, &journal);
    open_data(&place);
    const struct weir_data_partition *partition = partition_of(&place, &topic_a, 2);
    assert_int_equal(partition->start_offset, 0);
    assert_int_equal(partition->end_offset, 90);
    assert_int_equal(partition->segment_count, 1);
    assert_int_equal(partition->segments[0].timestamp_ms, 1008);
    assert_int_equal(partition->segments[0].created_ms, 5);
    assert_true(segment_is(&place, &topic_a, 2, 0, 9));
    assert_int_equal(place.data->report.batches_replayed, 4);
    assert_int_equal(place.data->report.batches_there_already, 2);
    assert_int_equal(place.data->report.cut_bytes, 333);
    assert_int_equal(place.data->report.journal_frames, 6);
    uint64_t hash = hash_data(&place);
    crash(&place, WEIR_SIM_POWER_LOSS); /* and all that is durable now */
    open_data(&place);
    assert_int_equal(hash_data(&place), hash);
    assert_int_equal(place.data->report.journal_frames, 0);
    assert_int_equal(place.data->free_extent_count, 1);
    close_place(&place);
}

static void a_partition_that_only_the_journal_knows_is_made(void **state)
{
    (void)state;
    for (uint64_t seed = 11; seed < 31; seed++) {
        struct place place;
        open_place(&place, seed);
        know(&place, &topic_a, WEIR_LEVEL_SYNCED);
        make_segment(&place, &topic_a, 7, 0, 1, 100); /* a file that the run had made and no checkpoint speaks of */
        begin_journal(&place, &journal, 0);
        add_batches(&journal, &topic_a, 7, 0, 3);
        add_batches(&journal, &topic_a, 1, 0, 40);
        end_journal(&place, &journal);
        open_data(&place);
        crash(&place, WEIR_SIM_POWER_LOSS);
        open_data(&place);
        assert_int_equal(partition_of(&place, &topic_a, 7)->end_offset, 30);
        assert_int_equal(partition_of(&place, &topic_a, 1)->end_offset, 400);
        assert_true(segment_is(&place, &topic_a, 7, 0, 3));
        assert_true(segment_is(&place, &topic_a, 1, 0, 40));
        close_place(&place);
    }
}

static void files_that_no_segment_is_in_are_removed_where_batches_are_replayed(void **state)
{
    (void)state;
    struct place place;
    struct weir_checkpoint_writer writer;
    open_place(&place, 12);
    know(&place, &topic_a, WEIR_LEVEL_SYNCED);
    uint64_t covered = make_segment(&place, &topic_a, 0, 0, 5, 0);
    make_segment(&place, &topic_a, 0, 7, 9, 0); /* the run had gone on here */
    write_file(&place, segment_path(&topic_a, 0, 0, ".index"), "old", 3);
    write_file(&place, segment_path(&topic_a, 0, 70, ".index"), "old", 3);
    weir_checkpoint_begin(&writer);
    cover(&writer, &topic_a, 0, 0, 5, covered);
    end_checkpoint(&place, &writer, 0);
    begin_journal(&place, &journal, 0);
    add_batches(&journal, &topic_a, 0, 5, 9);
    end_journal(&place, &journal);
    open_data(&place);
    assert_true(segment_is(&place, &topic_a, 0, 0, 9));
    assert_false(exists(&place, segment_path(&topic_a, 0, 70, ".log")));
    assert_false(exists(&place, segment_path(&topic_a, 0, 70, ".index")));
    assert_false(exists(&place, segment_path(&topic_a, 0, 0, ".index")));
    close_place(&place);
}

static void a_segment_that_is_shorter_than_what_is_covered_stops_the_start(void **state)
{
    (void)state;
    struct place place;
    struct weir_checkpoint_writer writer;
    open_place(&place, 13);
    know(&place, &topic_a, WEIR_LEVEL_SYNCED);
    uint64_t covered = make_segment(&place, &topic_a, 0, 0, 5, 0);
    weir_checkpoint_begin(&writer);
    cover(&writer, &topic_a, 0, 0, 5, covered + 1);
    end_checkpoint(&place, &writer, 0);
    begin_journal(&place, &journal, 0);
    add_batches(&journal, &topic_a, 0, 5, 6);
    end_journal(&place, &journal);
    refused(&place, -EBADMSG, "00000000000000000000.log");
    close_place(&place);
}

static void a_batch_behind_a_gap_is_left_out_and_told(void **state)
{
    (void)state;
    struct place place;
    open_place(&place, 14);
    know(&place, &topic_a, WEIR_LEVEL_SYNCED);
    begin_journal(&place, &journal, 0);
    add_batches(&journal, &topic_a, 0, 0, 2);
    add_batches(&journal, &topic_a, 0, 4, 6);
    end_journal(&place, &journal);
    open_data(&place);
    assert_int_equal(partition_of(&place, &topic_a, 0)->end_offset, 20);
    assert_int_equal(place.data->report.batches_left_out, 2);
    close_place(&place);
}

/* ---- Topics ---- */

static void a_topic_that_nobody_knows_stops_the_start_unless_it_was_dropped(void **state)
{
    (void)state;
    struct place place;
    struct weir_checkpoint_writer writer;
    open_place(&place, 20);
    know(&place, &topic_a, WEIR_LEVEL_SYNCED);
    uint64_t covered = make_segment(&place, &topic_b, 0, 0, 5, 0);
    weir_checkpoint_begin(&writer);
    cover(&writer, &topic_b, 0, 0, 5, covered);
    end_checkpoint(&place, &writer, 0);
    refused(&place, -EBADMSG, "topic b00102030405060708090a0b0c0d0e0f has data");
    begin_journal(&place, &journal, 0);
    add_batches(&journal, &topic_b, 1, 0, 2);
    add_drop(&journal, &topic_b);
    end_journal(&place, &journal);
    open_data(&place);
    assert_int_equal(place.data->report.partitions, 0);
    assert_false(exists(&place, "/data/topics/b00102030405060708090a0b0c0d0e0f"));
    crash(&place, WEIR_SIM_POWER_LOSS);
    open_data(&place);
    assert_null(partition_of(&place, &topic_b, 0));
    assert_false(exists(&place, "/data/topics/b00102030405060708090a0b0c0d0e0f"));
    close_place(&place);
}

static void a_folder_that_nothing_knows_goes_and_one_that_is_known_stays(void **state)
{
    (void)state;
    struct place place;
    open_place(&place, 21);
    know(&place, &topic_a, WEIR_LEVEL_SYNCED);
    make_segment(&place, &topic_a, 0, 0, 1, 0);
    make_segment(&place, &topic_b, 3, 0, 1, 0);
    assert_int_equal(place.disk->table->mkdir(place.disk, "/data/topics/notes", 0750), 0);
    open_data(&place);
    assert_true(exists(&place, segment_path(&topic_a, 0, 0, ".log")));
    assert_false(exists(&place, segment_path(&topic_b, 3, 0, ".log")));
    assert_true(exists(&place, "/data/topics/notes")); /* not ours */
    close_place(&place);
}

static void scan_files(uint64_t seed)
{
    struct place place;
    struct weir_checkpoint_writer writer;
    open_place(&place, seed);
    know(&place, &topic_b, WEIR_LEVEL_WRITTEN);
    know(&place, &topic_c, WEIR_LEVEL_MEMORY);
    weir_checkpoint_begin(&writer);
    cover(&writer, &topic_b, 0, 0, 3, make_segment(&place, &topic_b, 0, 0, 3, 0));
    end_checkpoint(&place, &writer, 0);
    make_segment(&place, &topic_b, 0, 0, 8, 0);   /* five more, and on in the next file */
    make_segment(&place, &topic_b, 0, 8, 11, 77); /* which has a torn end */
    make_segment(&place, &topic_b, 0, 13, 14, 0); /* nothing leads here */
    make_segment(&place, &topic_c, 5, 0, 2, 1);   /* no checkpoint knows it */
    open_data(&place);
    assert_int_equal(partition_of(&place, &topic_b, 0)->end_offset, 110);
    assert_int_equal(partition_of(&place, &topic_b, 0)->segment_count, 2);
    assert_true(segment_is(&place, &topic_b, 0, 0, 8));
    assert_true(segment_is(&place, &topic_b, 0, 8, 11));
    assert_false(exists(&place, segment_path(&topic_b, 0, 130, ".log")));
    assert_int_equal(partition_of(&place, &topic_c, 5)->end_offset, 20);
    assert_true(segment_is(&place, &topic_c, 5, 0, 2));
    assert_int_equal(place.data->report.cut_bytes, 78);
    uint64_t hash = hash_data(&place);
    crash(&place, WEIR_SIM_POWER_LOSS);
    open_data(&place);
    assert_int_equal(hash_data(&place), hash);
    assert_int_equal(place.data->report.cut_bytes, 0);
    close_place(&place);
}

static void a_topic_that_bypasses_the_journal_is_scanned_to_its_last_valid_batch(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 120; seed++)
        scan_files(seed);
}

/* Larger than what is read at once, and a batch that is damaged in its middle. */
static void a_scan_goes_on_over_chunks_and_stops_at_a_bad_checksum(void **state)
{
    (void)state;
    enum { BATCHES = 9, VALUE_BYTES = 300000 };
    static uint8_t bytes[BATCHES * (VALUE_BYTES + 200)];
    static char value[VALUE_BYTES];
    struct place place;
    size_t used = 0, good = 0;
    open_place(&place, 23);
    know(&place, &topic_b, WEIR_LEVEL_WRITTEN);
    for (uint64_t number = 0; number < BATCHES; number++) {
        struct weir_batch_build build;
        weir_batch_begin(&build, bytes + used, sizeof(bytes) - used);
        memset(value, (int)number + 1, sizeof(value));
        assert_int_equal(weir_batch_add(&build, 7, NULL, -1, value, VALUE_BYTES, NULL, 0), 0);
        size_t byte_count = weir_batch_finish(&build);
        weir_batch_place(bytes + used, number, 0);
        used += byte_count;
        good = number < 7 ? used : good;
    }
    bytes[good + 100000] ^= 1; /* of the eighth */
    make_folders(&place, &topic_b, 0);
    write_file(&place, segment_path(&topic_b, 0, 0, ".log"), bytes, used);
    open_data(&place);
    assert_int_equal(partition_of(&place, &topic_b, 0)->end_offset, 7);
    assert_int_equal(partition_of(&place, &topic_b, 0)->segments[0].byte_count, good);
    assert_int_equal(place.data->report.cut_bytes, used - good);
    close_place(&place);
}

/* Kept at `written` before: what the journal has goes on behind what only the files have. */
static void a_gap_in_the_journal_is_bridged_by_files(void **state)
{
    (void)state;
    struct place place;
    open_place(&place, 24);
    know(&place, &topic_a, WEIR_LEVEL_SYNCED);
    make_segment(&place, &topic_a, 0, 0, 4, 0);
    begin_journal(&place, &journal, 0);
    add_batches(&journal, &topic_a, 0, 4, 6);
    end_journal(&place, &journal);
    open_data(&place);
    assert_int_equal(partition_of(&place, &topic_a, 0)->end_offset, 60);
    assert_true(segment_is(&place, &topic_a, 0, 0, 6));
    assert_int_equal(place.data->report.batches_left_out, 0);
    close_place(&place);
}

/* The same, and the journal has nothing at all: it is in the file, and longer than what is covered. */
static void what_only_the_file_of_a_synced_topic_has_is_kept(void **state)
{
    (void)state;
    for (uint64_t seed = 200; seed < 220; seed++) {
        struct place place;
        struct weir_checkpoint_writer writer;
        open_place(&place, seed);
        know(&place, &topic_a, WEIR_LEVEL_SYNCED);
        weir_checkpoint_begin(&writer);
        cover(&writer, &topic_a, 0, 0, 3, make_segment(&place, &topic_a, 0, 0, 3, 0));
        cover(&writer, &topic_a, 1, 0, 3, make_segment(&place, &topic_a, 1, 0, 3, 0));
        end_checkpoint(&place, &writer, 0);
        make_segment(&place, &topic_a, 0, 0, 5, 10);
        open_data(&place);
        assert_int_equal(place.data->report.cut_bytes, 10);
        crash(&place, WEIR_SIM_POWER_LOSS);
        open_data(&place);
        assert_int_equal(partition_of(&place, &topic_a, 0)->end_offset, 50);
        assert_int_equal(partition_of(&place, &topic_a, 1)->end_offset, 30);
        assert_true(segment_is(&place, &topic_a, 0, 0, 5));
        close_data(&place);
        assert_int_equal(place.disk->table->unlink(place.disk, segment_path(&topic_a, 1, 0, ".log")), 0);
        refused(&place, -EBADMSG, "/1/00000000000000000000.log");
        close_place(&place);
    }
}

/* ---- Starts ---- */

static void segments_before_the_start_go_though_a_checkpoint_names_them(void **state)
{
    (void)state;
    struct place place;
    struct weir_checkpoint_writer writer;
    open_place(&place, 30);
    know(&place, &topic_a, WEIR_LEVEL_SYNCED);
    struct weir_checkpoint_segment segments[3] = {{.base_offset = 0}, {.base_offset = 30}, {.base_offset = 60}};
    for (uint32_t i = 0; i < 3; i++)
        segments[i].byte_count = make_segment(&place, &topic_a, 0, i * 3, i * 3 + 3, 0);
    assert_int_equal(place.disk->table->unlink(place.disk, segment_path(&topic_a, 0, 0, ".log")), 0); /* gone already */
    weir_checkpoint_begin(&writer);
    struct weir_checkpoint_partition entry = {
        .topic = topic_a, .segment_count = 3, .end_offset = 90, .segments = segments,
        .state = (const uint8_t *)"12345678state", .state_bytes = 13};
    weir_checkpoint_add_partition(&writer, &entry);
    end_checkpoint(&place, &writer, 0);
    begin_journal(&place, &journal, 0);
    add_start(&journal, &topic_a, 0, 65);
    add_start(&journal, &topic_a, 0, 45);
    end_journal(&place, &journal);
    open_data(&place);
    const struct weir_data_partition *partition = partition_of(&place, &topic_a, 0);
    assert_int_equal(partition->start_offset, 65);
    assert_int_equal(partition->segment_count, 1);
    assert_int_equal(partition->segments[0].base_offset, 60);
    assert_false(exists(&place, segment_path(&topic_a, 0, 30, ".log")));
    assert_int_equal(partition->state_bytes, 13);
    assert_memory_equal(partition->state, "12345678state", 13);
    close_data(&place);
    open_data(&place); /* the checkpoint of this run says so too */
    assert_int_equal(partition_of(&place, &topic_a, 0)->start_offset, 65);
    assert_memory_equal(partition_of(&place, &topic_a, 0)->state, "12345678state", 13);
    close_place(&place);
}

static void a_start_behind_what_is_left_is_the_end(void **state)
{
    (void)state;
    struct place place;
    open_place(&place, 31);
    know(&place, &topic_b, WEIR_LEVEL_WRITTEN);
    make_segment(&place, &topic_b, 0, 0, 4, 0);
    begin_journal(&place, &journal, 0);
    add_start(&journal, &topic_b, 0, 90);
    add_batches(&journal, &topic_b, 1, 8, 10);
    add_start(&journal, &topic_b, 1, 80);
    end_journal(&place, &journal);
    open_data(&place);
    assert_int_equal(partition_of(&place, &topic_b, 0)->start_offset, 90);
    assert_int_equal(partition_of(&place, &topic_b, 0)->end_offset, 90);
    assert_false(exists(&place, segment_path(&topic_b, 0, 0, ".log")));
    assert_int_equal(partition_of(&place, &topic_b, 1)->start_offset, 80);
    assert_int_equal(partition_of(&place, &topic_b, 1)->end_offset, 100);
    assert_true(segment_is(&place, &topic_b, 1, 8, 10));
    close_place(&place);
}

/* ---- Rows and reactors ---- */

static void of_rows_the_highest_version_wins(void **state)
{
    (void)state;
    struct place place;
    struct weir_checkpoint_writer writer;
    open_place(&place, 40);
    weir_checkpoint_begin(&writer);
    struct weir_checkpoint_row rows[] = {
        {64, 5, (const uint8_t *)"kept", (const uint8_t *)"old", 4, 3},
        {64, 9, (const uint8_t *)"late", (const uint8_t *)"new", 4, 3},
        {64, 3, (const uint8_t *)"gone", (const uint8_t *)"old", 4, 3},
        {65, 2, (const uint8_t *)"late", (const uint8_t *)"else", 4, 4},
    };
    for (size_t i = 0; i < 4; i++)
        weir_checkpoint_add_row(&writer, &rows[i]);
    end_checkpoint(&place, &writer, 0);
    begin_journal(&place, &journal, 0);
    add_row(&journal, 64, 7, "late", "older than the checkpoint");
    add_row(&journal, 64, 10, "gone", NULL);
    add_row(&journal, 64, 11, "twice", "a");
    add_row(&journal, 64, 12, "twice", "b");
    add_row(&journal, 64, 13, "back", NULL);
    add_row(&journal, 64, 14, "back", "");
    end_journal(&place, &journal);
    for (int opens = 0; opens < 2; opens++) { /* from the journal, and from the checkpoint made of it */
        open_data(&place);
        assert_int_equal(place.data->report.rows, 5);
        assert_memory_equal(row_of(&place, 64, "kept")->bytes, "keptold", 7);
        assert_memory_equal(row_of(&place, 64, "late")->bytes, "latenew", 7);
        assert_int_equal(row_of(&place, 64, "late")->version, 9);
        assert_memory_equal(row_of(&place, 65, "late")->bytes, "lateelse", 8);
        assert_null(row_of(&place, 64, "gone"));
        assert_memory_equal(row_of(&place, 64, "twice")->bytes, "twiceb", 6);
        assert_int_equal(row_of(&place, 64, "back")->value_bytes, 0);
        close_data(&place);
    }
    close_place(&place);
}

/* Three reactors wrote it; then five, then two have it. */
static void the_count_of_reactors_may_change(void **state)
{
    (void)state;
    static const uint32_t counts[] = {5, 2, 1};
    struct place place;
    open_place(&place, 41);
    know(&place, &topic_a, WEIR_LEVEL_SYNCED);
    place.journal_count = 3;
    open_data(&place);
    close_data(&place);
    for (uint32_t number = 0; number < 3; number++) {
        begin_journal(&place, &journal, number);
        for (uint32_t partition = 0; partition < 9; partition++)
            if (weir_store_owner(&topic_a, partition, 3) == number)
                add_batches(&journal, &topic_a, partition, 0, 2 + partition);
        add_row(&journal, 64, 1 + number, number == 0 ? "x" : number == 1 ? "y" : "z", "value");
        end_journal(&place, &journal);
    }
    for (size_t i = 0; i < 3; i++) {
        place.journal_count = counts[i];
        open_data(&place);
        assert_int_equal(place.data->report.partitions, 9);
        assert_int_equal(place.data->report.rows, 3);
        assert_int_equal(weir_data_share(place.data), 0);
        uint32_t partitions = 0, rows = 0, extents = 0;
        for (uint32_t reactor = 0; reactor < counts[i]; reactor++) {
            const struct weir_data_share *share = &place.data->shares[reactor];
            extents += share->free_extent_count;
            for (const struct weir_data_partition *at = share->partitions; at != NULL; at = at->next, partitions++) {
                assert_int_equal(weir_store_owner(&at->topic, at->partition, counts[i]), reactor);
                assert_int_equal(at->end_offset, (2 + at->partition) * PER_BATCH);
            }
            for (const struct weir_data_row *row = share->rows; row != NULL; row = row->next, rows++)
                assert_int_equal(weir_table_owner(row->table, row->bytes, row->key_bytes, counts[i]), reactor);
        }
        assert_int_equal(partitions, 9);
        assert_int_equal(rows, 3);
        assert_int_equal(extents, 3);
        close_data(&place);
    }
    assert_false(exists(&place, "/data/checkpoint-5-1"));
    close_place(&place);
}

/* ---- What it costs ---- */

static uint64_t bytes_read;

static int64_t count_read(struct weir_disk *disk, int fd, void *bytes, size_t byte_count, uint64_t offset)
{
    (void)disk;
    int64_t result = weir_disk_system()->table->read(weir_disk_system(), fd, bytes, byte_count, offset);
    bytes_read += result > 0 ? (uint64_t)result : 0;
    return result;
}

/* 80 segments of 128 MiB, with holes for records: only the calls tell whether they are read. */
static void make_covered_segments(struct weir_disk *disk, const char *folder, struct weir_checkpoint_segment *segments, uint32_t count)
{
    char path[256];
    for (uint32_t i = 0; i < count; i++) {
        segments[i] = (struct weir_checkpoint_segment){i * 1000ull, 128 << 20, 1, 1};
        assert_true(weir_data_path(path, sizeof(path), folder, &topic_a, 0, segments[i].base_offset, ".log") > 0);
        int fd = disk->table->open(disk, path, O_RDWR | O_CREAT, 0640);
        assert_true(fd >= 0);
        assert_int_equal(disk->table->truncate(disk, fd, segments[i].byte_count), 0);
        disk->table->close(disk, fd);
    }
}

static void cover_segments(struct weir_disk *disk, const char *folder, const struct weir_data *data,
                           const struct weir_checkpoint_segment *segments, uint32_t count)
{
    char path[256];
    struct weir_checkpoint_writer writer;
    struct weir_checkpoint_head head = {data->node, data->run, 0, 1};
    struct weir_checkpoint_partition entry = {
        .topic = topic_a, .segment_count = count, .end_offset = count * 1000ull, .segments = segments};
    weir_checkpoint_begin(&writer);
    weir_checkpoint_add_partition(&writer, &entry);
    assert_int_equal(weir_checkpoint_finish(&writer, &head), 0);
    snprintf(path, sizeof(path), "%s/checkpoint-%u-0", folder, (unsigned)data->run);
    assert_int_equal(weir_disk_replace(disk, path, writer.bytes, writer.used), 0);
    free(writer.bytes);
}

static void ten_gigabytes_that_are_covered_are_not_read(void **state)
{
    (void)state;
    enum { SEGMENTS = 80 };
    static struct weir_disk_table table;
    static struct weir_checkpoint_segment segments[SEGMENTS];
    table = *weir_disk_system()->table;
    table.read = count_read;
    struct weir_disk disk = {&table};
    char folder[] = "/tmp/weir_data_XXXXXX", path[256], why[256];
    struct weir_data *data;
    struct weir_data_options options = {.journal_count = 1};
    assert_non_null(mkdtemp(folder));
    assert_int_equal(weir_data_open(&disk, folder, &options, &data, why, sizeof(why)), 0);
    snprintf(path, sizeof(path), "%s/topics/a00102030405060708090a0b0c0d0e0f", folder);
    assert_int_equal(mkdir(path, 0750), 0);
    strcat(path, "/0");
    assert_int_equal(mkdir(path, 0750), 0);
    make_covered_segments(&disk, folder, segments, SEGMENTS);
    cover_segments(&disk, folder, data, segments, SEGMENTS);
    weir_data_close(data);
    bytes_read = 0;
    assert_int_equal(weir_data_open(&disk, folder, &options, &data, why, sizeof(why)), 0);
    assert_int_equal(data->report.segment_bytes, (uint64_t)SEGMENTS * (128 << 20));
    assert_in_range(bytes_read, 64, 65536); /* node and checkpoint */
    weir_data_close(data);
    char command[300];
    snprintf(command, sizeof(command), "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

/* ---- Tools ---- */

static void a_tool_sees_everything_and_changes_nothing(void **state)
{
    (void)state;
    struct place place;
    struct weir_checkpoint_writer writer;
    uint8_t expected[4 * BATCH_BYTES_MAX];
    open_place(&place, 50);
    know(&place, &topic_a, WEIR_LEVEL_SYNCED);
    know(&place, &topic_b, WEIR_LEVEL_WRITTEN);
    uint64_t covered = make_segment(&place, &topic_a, 0, 0, 5, 50);
    make_segment(&place, &topic_b, 0, 0, 3, 9);
    make_segment(&place, &topic_c, 0, 0, 3, 9); /* a stray */
    weir_checkpoint_begin(&writer);
    cover(&writer, &topic_a, 0, 0, 5, covered);
    end_checkpoint(&place, &writer, 0);
    begin_journal(&place, &journal, 0);
    add_batches(&journal, &topic_a, 0, 5, 8);
    end_journal(&place, &journal);
    uint64_t changes = place.sim->hosts[0].disk->change_number;
    place.read_only = true;
    open_data(&place);
    assert_int_equal(place.run, 1);
    const struct weir_data_partition *partition = partition_of(&place, &topic_a, 0);
    assert_int_equal(partition->end_offset, 80);
    assert_int_equal(partition->segments[0].byte_count, covered);
    assert_int_equal(partition->tail_bytes, make_batches(expected, &topic_a, 0, 5, 8));
    assert_memory_equal(partition->tail, expected, partition->tail_bytes);
    assert_int_equal(partition_of(&place, &topic_b, 0)->end_offset, 30);
    assert_int_equal(place.sim->hosts[0].disk->change_number, changes);
    close_place(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_directory_becomes_a_node_and_keeps_its_id),
        cmocka_unit_test(a_second_process_is_refused),
        cmocka_unit_test(what_is_newer_damaged_or_missing_is_refused_by_name),
        cmocka_unit_test(data_without_a_node_file_is_not_taken_for_a_new_directory),
        cmocka_unit_test(a_journal_of_a_newer_program_or_a_damaged_one_is_refused),
        cmocka_unit_test(extents_of_other_sizes_are_removed),
        cmocka_unit_test(progress_ends_with_all_of_it),
        cmocka_unit_test(batches_of_the_journal_are_written_behind_what_is_covered),
        cmocka_unit_test(a_partition_that_only_the_journal_knows_is_made),
        cmocka_unit_test(files_that_no_segment_is_in_are_removed_where_batches_are_replayed),
        cmocka_unit_test(a_segment_that_is_shorter_than_what_is_covered_stops_the_start),
        cmocka_unit_test(a_batch_behind_a_gap_is_left_out_and_told),
        cmocka_unit_test(a_topic_that_nobody_knows_stops_the_start_unless_it_was_dropped),
        cmocka_unit_test(a_folder_that_nothing_knows_goes_and_one_that_is_known_stays),
        cmocka_unit_test(a_topic_that_bypasses_the_journal_is_scanned_to_its_last_valid_batch),
        cmocka_unit_test(a_scan_goes_on_over_chunks_and_stops_at_a_bad_checksum),
        cmocka_unit_test(a_gap_in_the_journal_is_bridged_by_files),
        cmocka_unit_test(what_only_the_file_of_a_synced_topic_has_is_kept),
        cmocka_unit_test(segments_before_the_start_go_though_a_checkpoint_names_them),
        cmocka_unit_test(a_start_behind_what_is_left_is_the_end),
        cmocka_unit_test(of_rows_the_highest_version_wins),
        cmocka_unit_test(the_count_of_reactors_may_change),
        cmocka_unit_test(ten_gigabytes_that_are_covered_are_not_read),
        cmocka_unit_test(a_tool_sees_everything_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
