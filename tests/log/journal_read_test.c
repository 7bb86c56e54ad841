/*
 * tests/log/journal_read_test.c - reading a journal back from a disk that did not keep everything as it was.
 *
 * A journal is written once, on a real disk; then its files are damaged on purpose.
 */
#include "tests/log/journal_fixture.h"

enum { EXTENT_BYTES = 64 << 10, FRAMES = 40, WILD_ROUNDS = 400 };

/* Forty frames of one entry each, two and a half blocks long: five or so to an extent. */
static void write_box(struct box *box, void **state)
{
    open_box(box, state, (struct weir_journal_options){.extent_bytes = EXTENT_BYTES, .extents_max = 20});
    for (uint32_t i = 0; i < FRAMES; i++)
        append_and_wait(box, 10000);
    close_journal(box);
    for (uint32_t i = 0; i < FRAMES; i++)
        assert_int_equal(box->notes[i].sequence, i + 1);
}

struct spot { /* where a frame is */
    int fd;
    off_t offset;
};

static struct spot frame_spot(struct box *box, uint64_t sequence)
{
    for (int file = 0;; file++) {
        char path[128];
        snprintf(path, sizeof path, "%s/7-2-%d.extent", box->folder, file);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        uint8_t bytes[WEIR_FRAME_HEAD_BYTES];
        struct weir_extent_head extent;
        struct weir_frame_head head;
        assert_int_equal(pread(fd, bytes, sizeof bytes, 0), sizeof bytes);
        for (off_t at = WEIR_FRAME_ALIGN; at < EXTENT_BYTES; at += WEIR_FRAME_ALIGN) {
            uint8_t extent_bytes[WEIR_EXTENT_HEAD_BYTES];
            assert_int_equal(pread(fd, extent_bytes, sizeof extent_bytes, 0), sizeof extent_bytes);
            assert_int_equal(pread(fd, bytes, sizeof bytes, at), sizeof bytes);
            if (weir_extent_read(extent_bytes, &extent) && weir_frame_peek(bytes, sizeof bytes, &extent, &head) &&
                head.sequence == sequence)
                return (struct spot){fd, at};
        }
        close(fd);
    }
}

static void flip_byte(struct spot spot, off_t at)
{
    uint8_t byte;
    assert_int_equal(pread(spot.fd, &byte, 1, spot.offset + at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(spot.fd, &byte, 1, spot.offset + at), 1);
    close(spot.fd);
}

static void a_torn_end_is_cut_and_said(void **state)
{
    struct box box;
    struct weir_journal_report report;
    write_box(&box, state);
    flip_byte(frame_spot(&box, FRAMES), 9000);
    assert_int_equal(read_box(&box, 1, &report), 0);
    assert_int_equal(box.read, FRAMES - 1);
    assert_int_equal(report.frames, FRAMES - 1);
    assert_int_equal(report.entries, FRAMES - 1);
    assert_int_equal(report.bytes, (FRAMES - 1) * 12288);
    assert_int_equal(report.last_sequence, FRAMES - 1);
    assert_int_equal(report.cut_bytes, 12288);
    assert_non_null(strstr(report.cut_why, "frame 40 of 7-2-"));
    close_box(&box);
}

static void damage_in_the_middle_is_not_a_torn_end(void **state)
{
    for (uint64_t sequence = 1; sequence < FRAMES; sequence += 3) {
        struct box box;
        struct weir_journal_report report;
        write_box(&box, state);
        flip_byte(frame_spot(&box, sequence), sequence % 2 ? 300 : 0);
        assert_int_equal(read_box(&box, 1, &report), -EBADMSG);
        assert_int_equal(box.read, sequence - 1);
        assert_non_null(strstr(report.cut_why, "damaged"));
        close_box(&box);
    }
}

static void an_extent_that_is_gone_is_damage(void **state)
{
    static const struct {
        uint64_t frame;
        uint64_t from;
        int result;
    } cases[] = {{1, 1, -EBADMSG}, {20, 1, -EBADMSG}, {20, 30, 0}, {1, 20, 0}, {20, 20, -EBADMSG}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct box box;
        struct weir_journal_report report;
        write_box(&box, state);
        struct spot spot = frame_spot(&box, cases[i].frame);
        assert_int_equal(ftruncate(spot.fd, 0), 0);
        close(spot.fd);
        assert_int_equal(read_box(&box, cases[i].from, &report), cases[i].result);
        if (cases[i].result == 0)
            assert_int_equal(box.read, FRAMES);
        else
            assert_true(box.read < cases[i].frame || box.read < cases[i].from);
        close_box(&box);
    }
}

static void reading_begins_where_it_is_told(void **state)
{
    struct box box;
    struct weir_journal_report report;
    write_box(&box, state);
    for (uint64_t from = 0; from <= FRAMES + 3; from++) {
        assert_int_equal(read_box(&box, from, &report), 0);
        assert_int_equal(box.read, FRAMES);
        assert_int_equal(report.entries, from > FRAMES ? 0 : from == 0 ? FRAMES : FRAMES + 1 - from);
        assert_int_equal(report.last_sequence, FRAMES);
    }
    close_box(&box);
}

static void an_error_of_the_callback_ends_the_reading(void **state)
{
    struct box box;
    struct weir_journal_report report;
    write_box(&box, state);
    box.stop_at = 17;
    assert_int_equal(read_box(&box, 1, &report), -ECANCELED);
    assert_int_equal(box.read, 17);
    close_box(&box);
}

static void a_journal_that_never_was_is_empty(void **state)
{
    struct box box;
    struct weir_journal_report report;
    write_box(&box, state);
    box.options.run = 8;
    assert_int_equal(read_box(&box, 1, &report), 0);
    assert_int_equal(report.entries, 0);
    assert_int_equal(report.last_sequence, 0);
    close_box(&box);
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    struct weir_journal_report report;
    struct box box = {0};
    assert_int_equal(weir_journal_read(weir_disk_system(), "/nowhere/at/all", box_node, 1, 0, 1, on_box_entry, &box, &report), -ENOENT);
}

/* A frame that says what no program of today would: its checksum is right. */
static void rewrite_frame(struct box *box, uint64_t sequence, void (*change)(uint8_t *frame))
{
    struct spot spot = frame_spot(box, sequence);
    uint8_t bytes[12288], header[WEIR_EXTENT_HEAD_BYTES];
    struct weir_extent_head extent;
    struct weir_frame_head head;
    assert_int_equal(pread(spot.fd, header, sizeof header, 0), sizeof header);
    assert_true(weir_extent_read(header, &extent));
    assert_int_equal(pread(spot.fd, bytes, sizeof bytes, spot.offset), sizeof bytes);
    assert_true(weir_frame_read(bytes, sizeof bytes, &extent, sequence, &head));
    change(bytes);
    memcpy(&head.entry_count, bytes + 40, 4);
    weir_frame_write(bytes, &extent, &head);
    assert_int_equal(pwrite(spot.fd, bytes, sizeof bytes, spot.offset), sizeof bytes);
    close(spot.fd);
}

static void make_type_reserved(uint8_t *frame)
{
    frame[WEIR_FRAME_HEAD_BYTES + 4] = WEIR_ENTRY_RESERVED_FIRST;
}

static void make_type_zero(uint8_t *frame)
{
    frame[WEIR_FRAME_HEAD_BYTES + 4] = 0;
}

static void make_body_too_long(uint8_t *frame)
{
    frame[WEIR_FRAME_HEAD_BYTES + 2] = 1;
}

static void make_count_two(uint8_t *frame)
{
    frame[40] = 2;
}

static void what_is_valid_and_not_known_stops_the_reading(void **state)
{
    static const struct {
        void (*change)(uint8_t *frame);
        int result;
    } cases[] = {{make_type_reserved, -EPROTO}, {make_type_zero, -EPROTO}, {make_body_too_long, -EBADMSG}, {make_count_two, -EBADMSG}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct box box;
        struct weir_journal_report report;
        write_box(&box, state);
        rewrite_frame(&box, 12, cases[i].change);
        assert_int_equal(read_box(&box, 1, &report), cases[i].result);
        assert_true(report.cut_why[0] != 0);
        assert_int_equal(read_box(&box, 13, &report), 0); /* what a checkpoint covers is not looked at */
        close_box(&box);
    }
}

static void other_files_are_left_alone(void **state)
{
    struct box box;
    write_box(&box, state);
    static const char *const names[] = {"x.extent", "y.extent", ".extent", "7-2-0.extent.old", "z"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", box.folder, names[i]);
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, "weirextn and no more of it", i == 1 ? 26 : 3, 0), i == 1 ? 26 : 3);
        close(fd);
    }
    char path[128];
    snprintf(path, sizeof path, "%s/folder.extent", box.folder);
    assert_int_equal(mkdir(path, 0700), 0);
    read_box_whole(&box);
    snprintf(path, sizeof path, "%s/.extent", box.folder);
    unlink(path);
    close_box(&box);
}

/* Two files that say the same number: somebody copied one. */
static void extents_that_contradict_each_other_are_refused(void **state)
{
    struct box box;
    struct weir_journal_report report;
    write_box(&box, state);
    char command[400];
    snprintf(command, sizeof command, "cp %s/7-2-1.extent %s/copy.extent", box.folder, box.folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(read_box(&box, 1, &report), -EBADMSG);
    assert_non_null(strstr(report.cut_why, "contradict"));
    close_box(&box);
}

/* Whatever is changed wherever, what is handed over is what was appended (the callback looks), and no more than that. */
static void wild_bytes_never_make_an_entry(void **state)
{
    struct box box;
    struct weir_journal_report report;
    uint64_t seed = 1;
    uint32_t whole = 0, refused = 0;
    write_box(&box, state);
    for (int round = 0; round < WILD_ROUNDS; round++) {
        struct spot spot = frame_spot(&box, 1 + (seed >> 20) % FRAMES);
        uint8_t old[4096], new[4096];
        off_t at = (off_t)((seed >> 33) % 12) * WEIR_FRAME_ALIGN;
        assert_int_equal(pread(spot.fd, old, sizeof old, at), sizeof old);
        memcpy(new, old, sizeof old);
        for (int i = 0; i < 1 + round % 9; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            new[(seed >> 30) % (round % 2 ? 64 : sizeof new)] = (uint8_t)(seed >> 45);
        }
        assert_int_equal(pwrite(spot.fd, new, sizeof new, at), sizeof new);
        int result = read_box(&box, 1, &report);
        assert_true(result == 0 || result == -EBADMSG);
        whole += box.read == FRAMES;
        refused += result < 0;
        assert_int_equal(pwrite(spot.fd, old, sizeof old, at), sizeof old);
        close(spot.fd);
    }
    assert_true(whole > 0 && refused > 0);
    read_box_whole(&box);
    close_box(&box);
}

int main(void)
{
    static struct CMUnitTest tests[] = {
        cmocka_unit_test(a_torn_end_is_cut_and_said),
        cmocka_unit_test(damage_in_the_middle_is_not_a_torn_end),
        cmocka_unit_test(an_extent_that_is_gone_is_damage),
        cmocka_unit_test(reading_begins_where_it_is_told),
        cmocka_unit_test(an_error_of_the_callback_ends_the_reading),
        cmocka_unit_test(a_journal_that_never_was_is_empty),
        cmocka_unit_test(a_folder_that_is_not_there_is_an_error),
        cmocka_unit_test(what_is_valid_and_not_known_stops_the_reading),
        cmocka_unit_test(other_files_are_left_alone),
        cmocka_unit_test(extents_that_contradict_each_other_are_refused),
        cmocka_unit_test(wild_bytes_never_make_an_entry),
    };
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        tests[i].initial_state = (void *)(uintptr_t)&variants[2]; /* which io wrote it does not matter */
    return cmocka_run_group_tests_name("journal_read", tests, NULL, NULL);
}
