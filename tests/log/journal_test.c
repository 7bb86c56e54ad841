/* tests/log/journal_test.c - a journal on each io of the system, its promises one by one. Crashes are journal_sim.c's. */
#include "tests/runtime/counting.h"

#include "tests/log/journal_fixture.h"

#define KIB 1024u

static void what_is_appended_is_read_back(void **state)
{
    struct box box;
    open_box(&box, state, (struct weir_journal_options){0});
    static const uint32_t sizes[] = {0, 1, 7, 8, 9, 100, 4000, 4096, 5000, 70000, 1 << 20, 2 << 20, 3};
    for (uint32_t round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            append_and_wait(&box, sizes[i]);
    for (uint32_t i = 0; i < 5000; i++)
        assert_int_equal(append(&box, i % 700), 0);
    TURN_UNTIL(&box.live, box.told == box.count);
    for (uint32_t i = 0; i < box.count; i++)
        assert_int_equal(box.notes[i].result, 0);
    assert_true(weir_journal_idle(box.journal));
    read_box_whole(&box);
    close_box(&box);
}

static void what_a_turn_appends_is_one_frame(void **state)
{
    struct box box;
    open_box(&box, state, (struct weir_journal_options){0});
    append_and_wait(&box, 10);
    for (int i = 0; i < 50; i++)
        assert_int_equal(append(&box, 100), 0);
    assert_false(weir_journal_idle(box.journal));
    TURN_UNTIL(&box.live, box.told == box.count);
    const struct weir_journal_counters *counters = weir_journal_counters(box.journal);
    assert_int_equal(counters->frames, 2);
    assert_int_equal(counters->entries, 51);
    assert_int_equal(counters->entry_bytes, weir_entry_bytes(10) + 50 * weir_entry_bytes(100));
    assert_int_equal(counters->written_bytes, 4096 + 4096 + 8192); /* the extent's header, then 1 and 2 blocks */
    assert_int_equal(weir_journal_unreleased_bytes(box.journal), 4096 + 8192);
    weir_journal_release(box.journal, weir_journal_next_sequence(box.journal));
    assert_int_equal(weir_journal_unreleased_bytes(box.journal), 0);
    close_box(&box);
}

static void an_entry_without_a_commit_is_kept_too(void **state)
{
    struct box box;
    open_box(&box, state, (struct weir_journal_options){0});
    assert_int_equal(weir_journal_append(box.journal, &(struct weir_entry){.type = WEIR_ENTRY_DROP, .place = 0}, NULL), 0);
    box.notes[box.count++].sequence = 1;
    box.told++;
    TURN_UNTIL(&box.live, weir_journal_idle(box.journal));
    read_box_whole(&box);
    close_box(&box);
}

static void the_largest_entry_fits_and_a_larger_one_is_refused(void **state)
{
    struct box box;
    open_box(&box, state, (struct weir_journal_options){.extent_bytes = 64 * KIB});
    uint32_t largest = 64 * KIB - WEIR_FRAME_ALIGN - WEIR_FRAME_HEAD_BYTES - WEIR_ENTRY_HEAD_BYTES;
    assert_int_equal(append(&box, largest + 1), -EFBIG);
    assert_int_equal(append(&box, 1 << 22), -EFBIG);
    append_and_wait(&box, largest);
    append_and_wait(&box, largest);
    append_and_wait(&box, 10);
    read_box_whole(&box);
    close_box(&box);
}

static void options_out_of_range_are_refused(void **state)
{
    struct box box;
    open_box(&box, state, (struct weir_journal_options){0});
    struct weir_journal *journal;
    static const uint64_t sizes[] = {4096, 3 * 4096, 65536 + 512, 2ull << 30};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct weir_journal_options options = box.options;
        options.extent_bytes = sizes[i];
        assert_int_equal(weir_journal_open(box.live.reactor, &options, NULL, 0, &journal), -EINVAL);
    }
    struct weir_journal_options options = box.options;
    options.extents_max = 1;
    assert_int_equal(weir_journal_open(box.live.reactor, &options, NULL, 0, &journal), -EINVAL);
    close_box(&box);
}

static void a_full_journal_says_so_and_when_it_has_room_again(void **state)
{
    struct box box;
    open_box(&box, state, (struct weir_journal_options){.pending_bytes_max = 100 * KIB});
    while (!weir_journal_full(box.journal))
        assert_int_equal(append(&box, 1000), 0);
    assert_int_equal(append(&box, 0), -EAGAIN);
    assert_int_equal(box.rooms, 0);
    assert_int_equal(box.count, (100 * KIB + weir_entry_bytes(1000) - 1) / weir_entry_bytes(1000));
    TURN_UNTIL(&box.live, box.rooms == 1);
    assert_false(weir_journal_full(box.journal));
    append_and_wait(&box, 1000);
    assert_int_equal(box.rooms, 1);
    assert_int_equal(weir_journal_counters(box.journal)->full, 1);
    read_box_whole(&box);
    close_box(&box);
}

/* ---- Extents ---- */

static void extents_are_used_again_once_they_are_released(void **state)
{
    struct box box;
    open_box(&box, state, (struct weir_journal_options){.extent_bytes = 64 * KIB, .extents_max = 3});
    for (int i = 0; i < 200; i++) {
        append_and_wait(&box, 9000);
        if (i % 3 == 2)
            weir_journal_release(box.journal, box.notes[box.count - 2].sequence);
    }
    struct weir_journal_report report;
    assert_true(weir_journal_counters(box.journal)->extents_made <= 3);
    assert_true(weir_journal_counters(box.journal)->extents_recycled > 20);
    assert_true(each_file(&box, NULL) <= 3);
    uint64_t released = box.notes[197].sequence;
    assert_int_equal(read_box(&box, released, &report), 0);
    assert_int_equal(box.read, box.count);
    close_box(&box);
}

static void without_a_release_appends_wait_and_nothing_is_lost(void **state)
{
    struct box box;
    open_box(&box, state, (struct weir_journal_options){.extent_bytes = 64 * KIB, .extents_max = 2, .pending_bytes_max = 100 * KIB});
    while (!weir_journal_full(box.journal)) {
        assert_int_equal(append(&box, 5000), 0);
        turn_a_while(&box.live);
    }
    turn_a_while(&box.live);
    assert_true(box.told > 10 && box.told < box.count);
    assert_int_equal(weir_journal_error(box.journal), 0);
    while (box.told < box.count) {
        uint32_t from = box.told;
        weir_journal_release(box.journal, box.notes[box.told].sequence);
        TURN_UNTIL(&box.live, box.told > from);
        turn_a_while(&box.live);
    }
    close_box(&box);
}

static struct box *filling_box; /* for what has no context */

static void check_size(const char *path)
{
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    if ((uint64_t)found.st_size != filling_box->options.extent_bytes)
        fail_msg("%s has %lld bytes", path, (long long)found.st_size);
}

static char *path_in(struct box *box, const char *name)
{
    char *path = NULL;
    assert_true(asprintf(&path, "%s/%s", box->folder, name) > 0);
    return path;
}

static void make_file(struct box *box, const char *name, off_t byte_count)
{
    char *path = path_in(box, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, byte_count), 0);
    close(fd);
    free(path);
}

/* A later run takes over what an earlier one left, whatever became of it. */
static void free_extents_of_an_earlier_run_are_used(void **state)
{
    struct box box;
    open_box(&box, state, (struct weir_journal_options){.extent_bytes = 64 * KIB, .extents_max = 4});
    for (int i = 0; i < 15; i++)
        append_and_wait(&box, 9000);
    close_journal(&box);
    each_file(&box, remove_path);
    make_file(&box, "whole.extent", 64 * KIB);
    make_file(&box, "short.extent", 10000);
    make_file(&box, "empty.extent", 0);
    make_file(&box, "surplus.extent", 64 * KIB);
    char *paths[] = {path_in(&box, "gone.extent"), path_in(&box, "short.extent"), path_in(&box, "whole.extent"),
                     path_in(&box, "empty.extent"), path_in(&box, "surplus.extent")};
    box.options.run++;
    box.count = box.told = 0;
    open_journal(&box, paths, 5);
    for (int i = 0; i < 20; i++) {
        append_and_wait(&box, 9000);
        weir_journal_release(box.journal, weir_journal_next_sequence(box.journal));
    }
    TURN_UNTIL(&box.live, access(paths[4], F_OK) != 0);
    turn_a_while(&box.live);
    assert_int_equal(weir_journal_counters(box.journal)->extents_made, 0);
    assert_true(weir_journal_counters(box.journal)->extents_recycled >= 3);
    filling_box = &box;
    each_file(&box, check_size);
    for (int i = 0; i < 5; i++)
        free(paths[i]);
    close_box(&box);
}

static void the_first_extent_begins_small(void **state)
{
    struct box box;
    open_box(&box, state, (struct weir_journal_options){0});
    turn_a_while(&box.live);
    append_and_wait(&box, 100);
    char *path = path_in(&box, "7-2-0.extent");
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_size, 256 * KIB);
    free(path);
    while (weir_journal_counters(box.journal)->extents_made < 2)
        append_and_wait(&box, 100000);
    read_box_whole(&box);
    close_box(&box);
}

/* ---- Ends ---- */

static void an_extent_that_cannot_be_opened_ends_the_journal(void **state)
{
    struct box box;
    open_box(&box, state, (struct weir_journal_options){0});
    turn_a_while(&box.live);
    close_journal(&box);
    each_file(&box, remove_path);
    char *path = path_in(&box, "folder.extent");
    assert_int_equal(mkdir(path, 0700), 0);
    open_journal(&box, &path, 1);
    assert_int_equal(append(&box, 10), 0);
    assert_int_equal(append(&box, 10), 0);
    TURN_UNTIL(&box.live, box.told == 2);
    assert_int_equal(box.notes[0].result, -EISDIR);
    assert_int_equal(box.notes[1].result, -EISDIR);
    assert_int_equal(box.rooms, 1);
    assert_int_equal(weir_journal_error(box.journal), -EISDIR);
    assert_int_equal(append(&box, 10), -EISDIR);
    assert_true(weir_journal_idle(box.journal));
    free(path);
    close_box(&box);
}

/* /dev/full has no room, ever: what was appended waits, until the end of the journal. */
static void a_full_disk_refuses_appends_and_loses_nothing(void **state)
{
    struct box box;
    open_box(&box, state, (struct weir_journal_options){0});
    turn_a_while(&box.live);
    close_journal(&box);
    each_file(&box, remove_path);
    char *path = path_in(&box, "full.extent");
    assert_int_equal(symlink("/dev/full", path), 0);
    open_journal(&box, &path, 1);
    assert_int_equal(append(&box, 10), 0);
    TURN_UNTIL(&box.live, weir_journal_error(box.journal) < 0);
    assert_int_equal(weir_journal_error(box.journal), -ENOSPC);
    assert_int_equal(append(&box, 10), -ENOSPC);
    assert_int_equal(box.rooms, 1);
    turn_a_while(&box.live);
    assert_int_equal(box.told, 0);
    assert_false(weir_journal_idle(box.journal));
    close_journal(&box);
    assert_int_equal(box.notes[0].result, -ESHUTDOWN);
    free(path);
    close_box(&box);
}

static void closing_tells_what_waits_and_lets_a_write_end(void **state)
{
    struct box box;
    open_box(&box, state, (struct weir_journal_options){0});
    append_and_wait(&box, 10);
    assert_int_equal(append(&box, 20), 0);
    turn_once(&box.live, 0, 0); /* its write is under way, or over on a fast day */
    assert_int_equal(append(&box, 30), 0);
    close_journal(&box);
    assert_int_equal(box.notes[1].result, 0);
    assert_int_equal(box.notes[2].result, -ESHUTDOWN);
    struct weir_journal_report report;
    assert_int_equal(read_box(&box, 1, &report), 0);
    assert_int_equal(box.read, 2);
    close_box(&box);
}

static void after_warm_up_appends_allocate_nothing(void **state)
{
    struct box box;
    if (!COUNTING)
        skip();
    open_box(&box, state, (struct weir_journal_options){.extent_bytes = 256 * KIB, .extents_max = 4});
    uint64_t before = 0;
    for (int i = 0; i < 400; i++) {
        if (i == 200)
            before = allocations();
        for (int k = 0; k < 20; k++)
            assert_int_equal(append(&box, 300), 0);
        TURN_UNTIL(&box.live, box.told == box.count);
        weir_journal_release(box.journal, weir_journal_next_sequence(box.journal));
    }
    assert_true(weir_journal_counters(box.journal)->extents_recycled > 4);
    assert_int_equal(allocations(), before);
    close_box(&box);
}

int main(void)
{
    static const struct live_case cases[] = {
        LIVE_CASE(what_is_appended_is_read_back),
        LIVE_CASE(what_a_turn_appends_is_one_frame),
        LIVE_CASE(an_entry_without_a_commit_is_kept_too),
        LIVE_CASE(the_largest_entry_fits_and_a_larger_one_is_refused),
        LIVE_CASE(options_out_of_range_are_refused),
        LIVE_CASE(a_full_journal_says_so_and_when_it_has_room_again),
        LIVE_CASE(extents_are_used_again_once_they_are_released),
        LIVE_CASE(without_a_release_appends_wait_and_nothing_is_lost),
        LIVE_CASE(free_extents_of_an_earlier_run_are_used),
        LIVE_CASE(the_first_extent_begins_small),
        LIVE_CASE(an_extent_that_cannot_be_opened_ends_the_journal),
        LIVE_CASE(a_full_disk_refuses_appends_and_loses_nothing),
        LIVE_CASE(closing_tells_what_waits_and_lets_a_write_end),
        LIVE_CASE(after_warm_up_appends_allocate_nothing),
    };
    return run_live_cases("journal", cases, sizeof cases / sizeof cases[0]);
}
