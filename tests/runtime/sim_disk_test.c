/*
 * tests/runtime/sim_disk_test.c - the simulated disk: what is durable, what a crash leaves, and its faults.
 *
 * The last cases run a small log (append, sync, acknowledge) through crashes and hold it to what was acknowledged;
 * and the same log with one sync left out, to show that the disk finds that.
 */
#include "tests/sim/sim.h"

#include "runtime/sim_disk.h"

struct note {
    struct weir_io_op op;
    struct weir_io *io;
    struct iovec iov;
    bool over;
    int result;
};

static void on_done(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    struct note *note = WEIR_CONTAINER(op, struct note, op);
    (void)data;
    assert_false(more);
    assert_false(note->over);
    note->over = true;
    note->result = result;
}

static int finish(struct note *note)
{
    note->op.done = on_done;
    assert_int_equal(weir_io_start(note->io, &note->op), 0);
    while (!note->over)
        assert_true(weir_io_turn(note->io, UINT64_MAX) >= 0);
    return note->result;
}

static int open_file(struct weir_io *io, const char *path, int flags)
{
    struct note note = {.io = io, .op = {.kind = WEIR_IO_OPEN}};
    note.op.path = path;
    note.op.open_flags = flags;
    note.op.mode = 0644;
    return finish(&note);
}

static int transfer(struct weir_io *io, enum weir_io_kind kind, int fd, void *bytes,
                    size_t byte_count, uint64_t offset)
{
    struct note note = {.io = io, .op = {.kind = kind, .fd = fd}, .iov = {bytes, byte_count}};
    note.op.iov = &note.iov;
    note.op.iov_count = 1;
    note.op.offset = offset;
    return finish(&note);
}

static int write_at(struct weir_io *io, int fd, const void *bytes, size_t byte_count,
                    uint64_t offset)
{
    return transfer(io, WEIR_IO_WRITE, fd, (void *)(uintptr_t)bytes, byte_count, offset);
}

static int write_durably(struct weir_io *io, int fd, const void *bytes, size_t byte_count, uint64_t offset)
{
    struct note note = {.io = io,
                        .op = {.kind = WEIR_IO_WRITE, .fd = fd, .durable = true},
                        .iov = {(void *)(uintptr_t)bytes, byte_count}};
    note.op.iov = &note.iov;
    note.op.iov_count = 1;
    note.op.offset = offset;
    return finish(&note);
}

static int sync_file(struct weir_io *io, int fd)
{
    struct note note = {.io = io, .op = {.kind = WEIR_IO_SYNC, .fd = fd}};
    return finish(&note);
}

static int close_file(struct weir_io *io, int fd)
{
    struct note note = {.io = io, .op = {.kind = WEIR_IO_CLOSE, .fd = fd}};
    return finish(&note);
}

static void sync_directory(struct weir_io *io, const char *path)
{
    int fd = open_file(io, path, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    assert_int_equal(sync_file(io, fd), 0);
    assert_int_equal(close_file(io, fd), 0);
}

static struct weir_sim *world_of(uint64_t seed, struct weir_io **io_out)
{
    struct weir_sim *sim;
    assert_int_equal(weir_sim_open(seed, 1, NULL, &sim), 0);
    assert_int_equal(weir_sim_io_open(sim, 0, io_out), 0);
    return sim;
}

/* The power goes and comes back: a new io on what the disk holds. */
static struct weir_io *restart(struct weir_sim *sim, struct weir_io *io,
                               enum weir_sim_crash_kind kind)
{
    struct weir_io *next;
    weir_sim_crash(sim, 0, kind);
    assert_true(weir_sim_ghost(io));
    io->table->close(io);
    assert_int_equal(weir_sim_io_open(sim, 0, &next), 0);
    return next;
}

static void close_world(struct weir_sim *sim, struct weir_io *io)
{
    io->table->close(io);
    weir_sim_close(sim);
}

/* ---- Files ---- */

static void what_is_written_is_read_and_sizes_and_flags_hold(void **state)
{
    (void)state;
    struct weir_io *io;
    char bytes[16] = {0};
    struct weir_sim *sim = world_of(1, &io);
    assert_int_equal(open_file(io, "/none", O_RDWR), -ENOENT);
    assert_int_equal(open_file(io, "/none/deeper", O_RDWR | O_CREAT), -ENOENT);
    int fd = open_file(io, "/log", O_RDWR | O_CREAT | O_EXCL);
    assert_true(fd >= WEIR_SIM_FD_MIN);
    assert_int_equal(open_file(io, "/log", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
    assert_int_equal(write_at(io, fd, "hello", 5, 3), 5);
    assert_int_equal(transfer(io, WEIR_IO_READ, fd, bytes, sizeof(bytes), 0), 8);
    assert_memory_equal(bytes, "\0\0\0hello", 8);
    assert_int_equal(transfer(io, WEIR_IO_READ, fd, bytes, sizeof(bytes), 8), 0);
    assert_int_equal(open_file(io, "/log", O_RDONLY | O_DIRECTORY), -ENOTDIR);
    int short_fd = open_file(io, "/log", O_WRONLY | O_TRUNC);
    assert_int_equal(transfer(io, WEIR_IO_READ, fd, bytes, sizeof(bytes), 0), 0);
    assert_int_equal(transfer(io, WEIR_IO_READ, short_fd, bytes, 1, 0), -EBADF);
    assert_int_equal(close_file(io, fd), 0);
    assert_int_equal(close_file(io, fd), -EBADF);
    close_world(sim, io);
}

static void names_are_made_renamed_listed_and_removed(void **state)
{
    (void)state;
    struct weir_io *io;
    struct weir_sim *sim = world_of(2, &io);
    assert_int_equal(weir_sim_disk_mkdir(sim, 0, "/d"), 0);
    assert_int_equal(weir_sim_disk_mkdir(sim, 0, "/d"), -EEXIST);
    int fd = open_file(io, "/d/a", O_RDWR | O_CREAT);
    assert_int_equal(write_at(io, fd, "x", 1, 0), 1);
    assert_int_equal(weir_sim_disk_rename(sim, 0, "/d/a", "/d/b"), 0);
    assert_int_equal(open_file(io, "/d/a", O_RDWR), -ENOENT);
    assert_int_equal(weir_sim_disk_unlink(sim, 0, "/d"), -ENOTEMPTY);
    char byte = 0;
    assert_int_equal(weir_sim_disk_peek(sim, 0, "/d/b", 0, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    assert_int_equal(weir_sim_disk_unlink(sim, 0, "/d/b"), 0);
    assert_int_equal(write_at(io, fd, "y", 1, 0), 1); /* open still */
    close_world(sim, io);
}

static void a_full_disk_says_so_and_writes_what_fits(void **state)
{
    (void)state;
    struct weir_io *io;
    static char bytes[1500];
    struct weir_sim *sim = world_of(3, &io);
    weir_sim_faults(sim)->disk_bytes_max = 2000;
    int fd = open_file(io, "/log", O_RDWR | O_CREAT);
    assert_int_equal(write_at(io, fd, bytes, sizeof(bytes), 0), 1500);
    assert_int_equal(write_at(io, fd, bytes, sizeof(bytes), 1500), 500);
    assert_int_equal(write_at(io, fd, bytes, sizeof(bytes), 2000), -ENOSPC);
    assert_int_equal(write_at(io, fd, bytes, 100, 0), 100); /* over what is there */
    assert_int_equal(weir_sim_disk_unlink(sim, 0, "/log"), 0);
    int next = open_file(io, "/next", O_RDWR | O_CREAT);
    assert_int_equal(write_at(io, next, bytes, sizeof(bytes), 0), 1500);
    close_world(sim, io);
}

/* ---- Crashes ---- */

static void what_was_synced_with_its_name_survives_every_crash(void **state)
{
    (void)state;
    char bytes[8] = {0};
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct weir_io *io;
        struct weir_sim *sim = world_of(seed, &io);
        int fd = open_file(io, "/log", O_RDWR | O_CREAT);
        assert_int_equal(write_at(io, fd, "durable", 7, 0), 7);
        assert_int_equal(sync_file(io, fd), 0);
        sync_directory(io, "/");
        io = restart(sim, io, WEIR_SIM_POWER_LOSS);
        fd = open_file(io, "/log", O_RDWR);
        assert_true(fd >= 0);
        assert_int_equal(transfer(io, WEIR_IO_READ, fd, bytes, sizeof(bytes), 0), 7);
        assert_memory_equal(bytes, "durable", 7);
        close_world(sim, io);
    }
}

static void a_name_that_was_not_synced_is_lost_in_some_crashes(void **state)
{
    (void)state;
    uint32_t lost = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct weir_io *io;
        struct weir_sim *sim = world_of(seed, &io);
        int fd = open_file(io, "/log", O_RDWR | O_CREAT);
        assert_int_equal(write_at(io, fd, "durable", 7, 0), 7);
        assert_int_equal(sync_file(io, fd), 0); /* the file, not its name */
        io = restart(sim, io, WEIR_SIM_POWER_LOSS);
        lost += open_file(io, "/log", O_RDWR) == -ENOENT;
        close_world(sim, io);
    }
    assert_in_range(lost, 20, 80);
}

static void a_killed_program_loses_nothing_it_wrote(void **state)
{
    (void)state;
    char bytes[8] = {0};
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct weir_io *io;
        struct weir_sim *sim = world_of(seed, &io);
        int fd = open_file(io, "/log", O_RDWR | O_CREAT);
        assert_int_equal(write_at(io, fd, "written", 7, 0), 7);
        io = restart(sim, io, WEIR_SIM_KILL);
        fd = open_file(io, "/log", O_RDWR);
        assert_int_equal(transfer(io, WEIR_IO_READ, fd, bytes, sizeof(bytes), 0), 7);
        assert_memory_equal(bytes, "written", 7);
        close_world(sim, io);
    }
}

/* Writes of eight sectors, none synced: whole, gone, and torn at sectors; a later one without an earlier one. */
static void unsynced_writes_are_kept_dropped_torn_and_reordered(void **state)
{
    (void)state;
    enum { SECTORS = 8, BYTES = SECTORS * 512 };
    uint32_t kept = 0, dropped = 0, torn = 0, reordered = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct weir_io *io;
        static uint8_t ones[BYTES], twos[BYTES], found[2 * BYTES];
        memset(ones, 1, BYTES);
        memset(twos, 2, BYTES);
        struct weir_sim *sim = world_of(seed, &io);
        int fd = open_file(io, "/log", O_RDWR | O_CREAT);
        sync_directory(io, "/");
        assert_int_equal(write_at(io, fd, ones, BYTES, 0), BYTES);
        assert_int_equal(write_at(io, fd, twos, BYTES, BYTES), BYTES);
        io = restart(sim, io, WEIR_SIM_POWER_LOSS);
        memset(found, 0, sizeof(found));
        assert_true(weir_sim_disk_peek(sim, 0, "/log", 0, found, sizeof(found)) >= 0);
        uint32_t first = 0, second = 0;
        for (uint32_t sector = 0; sector < 2 * SECTORS; sector++) {
            for (uint32_t i = 1; i < 512; i++)
                assert_int_equal(found[sector * 512 + i],
                                 found[sector * 512]); /* never within a sector */
            first += sector < SECTORS && found[sector * 512] == 1;
            second += sector >= SECTORS && found[sector * 512] == 2;
        }
        kept += first == SECTORS && second == SECTORS;
        dropped += first == 0 && second == 0;
        torn += (first > 0 && first < SECTORS) || (second > 0 && second < SECTORS);
        reordered += first == 0 && second == SECTORS;
        close_world(sim, io);
    }
    assert_true(kept > 0 && dropped > 0 && torn > 0 && reordered > 0);
}

static void a_rename_is_kept_or_dropped_whole(void **state)
{
    (void)state;
    uint32_t old_count = 0, new_count = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct weir_io *io;
        char byte = 0;
        struct weir_sim *sim = world_of(seed, &io);
        int old_fd = open_file(io, "/current", O_RDWR | O_CREAT);
        assert_int_equal(write_at(io, old_fd, "o", 1, 0), 1);
        int new_fd = open_file(io, "/next", O_RDWR | O_CREAT);
        assert_int_equal(write_at(io, new_fd, "n", 1, 0), 1);
        weir_sim_disk_settle(sim, 0);
        assert_int_equal(weir_sim_disk_rename(sim, 0, "/next", "/current"), 0);
        io = restart(sim, io, WEIR_SIM_POWER_LOSS);
        assert_int_equal(weir_sim_disk_peek(sim, 0, "/current", 0, &byte, 1),
                         1); /* always one of the two */
        bool next_is_there = weir_sim_disk_peek(sim, 0, "/next", 0, &byte, 1) == 1;
        weir_sim_disk_peek(sim, 0, "/current", 0, &byte, 1);
        assert_int_equal(byte, next_is_there ? 'o' : 'n');
        old_count += byte == 'o';
        new_count += byte == 'n';
        close_world(sim, io);
    }
    assert_true(old_count > 0 && new_count > 0);
}

static void after_a_failed_sync_the_next_one_succeeds_and_the_bytes_are_lost(void **state)
{
    (void)state;
    struct weir_io *io;
    char bytes[8] = {0};
    struct weir_sim *sim = world_of(7, &io);
    int fd = open_file(io, "/log", O_RDWR | O_CREAT);
    weir_sim_disk_settle(sim, 0);
    assert_int_equal(write_at(io, fd, "lost", 4, 0), 4);
    weir_sim_faults(sim)->sync_error = WEIR_SIM_ALWAYS;
    assert_int_equal(sync_file(io, fd), -EIO);
    weir_sim_faults(sim)->sync_error = 0;
    assert_int_equal(sync_file(io, fd), 0);
    assert_int_equal(transfer(io, WEIR_IO_READ, fd, bytes, 4, 0), 4); /* it still reads well */
    io = restart(sim, io, WEIR_SIM_POWER_LOSS);
    fd = open_file(io, "/log", O_RDWR);
    assert_int_equal(transfer(io, WEIR_IO_READ, fd, bytes, 4, 0), 0);
    close_world(sim, io);
}

static void a_crash_under_a_write_keeps_it_or_not(void **state)
{
    (void)state;
    uint32_t kept = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct weir_io *io;
        char byte = 0;
        struct weir_sim *sim = world_of(seed, &io);
        int fd = open_file(io, "/log", O_RDWR | O_CREAT);
        weir_sim_disk_settle(sim, 0);
        struct note note = {
            .io = io, .op = {.kind = WEIR_IO_WRITE, .fd = fd, .done = on_done}, .iov = {"w", 1}};
        note.op.iov = &note.iov;
        note.op.iov_count = 1;
        assert_int_equal(weir_io_start(io, &note.op), 0);
        assert_int_equal(weir_io_turn(io, 0), 0); /* submitted, not done */
        io = restart(sim, io, WEIR_SIM_KILL);
        kept += weir_sim_disk_peek(sim, 0, "/log", 0, &byte, 1) == 1;
        close_world(sim, io);
    }
    assert_in_range(kept, 20, 80);
}

/* ---- Durable writes ---- */

static uint8_t byte_at(struct weir_sim *sim, const char *path, uint64_t offset)
{
    uint8_t byte = 0;
    weir_sim_disk_peek(sim, 0, path, offset, &byte, 1);
    return byte;
}

/* What lies on its pages goes with it, in order; what lies elsewhere is no more durable than before. */
static void a_durable_write_is_all_that_is_durable(void **state)
{
    (void)state;
    uint32_t lost = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct weir_io *io;
        struct weir_sim *sim = world_of(seed, &io);
        int fd = open_file(io, "/log", O_RDWR | O_CREAT);
        sync_directory(io, "/");
        assert_int_equal(write_at(io, fd, "under", 5, 8192), 5);
        assert_int_equal(write_at(io, fd, "before", 6, 0), 6);
        assert_int_equal(write_durably(io, fd, "durable", 7, 8194), 7);
        assert_int_equal(write_at(io, fd, "after", 5, 20000), 5);
        io = restart(sim, io, WEIR_SIM_POWER_LOSS);
        char bytes[10] = {0};
        assert_int_equal(weir_sim_disk_peek(sim, 0, "/log", 8192, bytes, 9), 9);
        assert_memory_equal(bytes, "undurable", 9);
        lost += byte_at(sim, "/log", 0) != 'b';
        close_world(sim, io);
    }
    assert_in_range(lost, 20, 80);
}

static void a_durable_write_keeps_the_size_that_was_set_before(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct weir_io *io;
        struct weir_sim *sim = world_of(seed, &io);
        int fd = open_file(io, "/log", O_RDWR | O_CREAT);
        sync_directory(io, "/");
        assert_int_equal(write_at(io, fd, "old", 3, 100000), 3);
        assert_int_equal(weir_sim_disk_truncate(sim, 0, "/log", 10), 0);
        assert_int_equal(write_durably(io, fd, "new", 3, 10), 3);
        io = restart(sim, io, WEIR_SIM_POWER_LOSS);
        char bytes[16];
        assert_int_equal(weir_sim_disk_peek(sim, 0, "/log", 0, bytes, sizeof(bytes)), 13);
        assert_memory_equal(bytes + 10, "new", 3);
        close_world(sim, io);
    }
}

static void a_durable_write_that_fails_is_never_durable(void **state)
{
    (void)state;
    struct weir_io *io;
    struct weir_sim *sim = world_of(9, &io);
    int fd = open_file(io, "/log", O_RDWR | O_CREAT);
    weir_sim_disk_settle(sim, 0);
    weir_sim_faults(sim)->sync_error = WEIR_SIM_ALWAYS;
    assert_int_equal(write_durably(io, fd, "lost", 4, 0), -EIO);
    weir_sim_faults(sim)->sync_error = 0;
    assert_int_equal(byte_at(sim, "/log", 0), 'l'); /* it still reads well */
    assert_int_equal(sync_file(io, fd), 0);
    io = restart(sim, io, WEIR_SIM_POWER_LOSS);
    assert_int_equal(byte_at(sim, "/log", 0), 0);
    close_world(sim, io);
}

/* Eight sectors under way when the power goes: all, none, and some of them. */
static void a_durable_write_under_way_may_be_torn(void **state)
{
    (void)state;
    static char bytes[4096];
    uint32_t all = 0, none = 0, some = 0;
    memset(bytes, 'w', sizeof(bytes));
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct weir_io *io;
        struct weir_sim *sim = world_of(seed, &io);
        int fd = open_file(io, "/log", O_RDWR | O_CREAT);
        weir_sim_disk_settle(sim, 0);
        struct note note = {.io = io,
                            .op = {.kind = WEIR_IO_WRITE, .fd = fd, .done = on_done, .durable = true},
                            .iov = {bytes, sizeof(bytes)}};
        note.op.iov = &note.iov;
        note.op.iov_count = 1;
        assert_int_equal(weir_io_start(io, &note.op), 0);
        assert_int_equal(weir_io_turn(io, 0), 0); /* submitted, not done */
        io = restart(sim, io, WEIR_SIM_POWER_LOSS);
        uint32_t sectors = 0;
        for (uint64_t at = 0; at < sizeof(bytes); at += WEIR_SIM_SECTOR_BYTES)
            sectors += byte_at(sim, "/log", at) == 'w';
        all += sectors == 8;
        none += sectors == 0;
        some += sectors > 0 && sectors < 8;
        close_world(sim, io);
    }
    assert_true(all > 0 && none > 0 && some > 0);
}

/* A disk that died answers operations of an io too, and a write that was durable before is. */
static void a_dead_disk_fails_operations_as_well(void **state)
{
    (void)state;
    struct weir_io *io;
    struct weir_sim *sim = world_of(10, &io);
    int fd = open_file(io, "/log", O_RDWR | O_CREAT);
    sync_directory(io, "/");
    assert_int_equal(write_durably(io, fd, "kept", 4, 0), 4);
    weir_sim_disk_die_after(sim, 0, 0);
    assert_int_equal(write_durably(io, fd, "gone", 4, 0), -EIO);
    assert_int_equal(sync_file(io, fd), -EIO);
    assert_int_equal(open_file(io, "/log", O_RDWR | O_TRUNC), -EIO);
    io = restart(sim, io, WEIR_SIM_POWER_LOSS);
    assert_int_equal(byte_at(sim, "/log", 0), 'k');
    assert_true(open_file(io, "/log", O_RDWR) >= 0);
    close_world(sim, io);
}

/* ---- A small log under crashes ---- */

enum { RECORD_BYTES = 700, RECORDS = 20 };

static void fill_record(uint8_t *record, uint64_t number)
{
    memset(record, (int)(number * 37 + 1), RECORD_BYTES);
    memcpy(record, &number, sizeof(number));
}

static bool good_record(const uint8_t *record, uint64_t number)
{
    uint8_t expected[RECORD_BYTES];
    fill_record(expected, number);
    return memcmp(record, expected, RECORD_BYTES) == 0;
}

/* Append, acknowledge after a sync (or, wrongly, before it), crash somewhere: are the acknowledged ones there? */
static bool log_survives(uint64_t seed, bool syncs)
{
    struct weir_io *io;
    uint8_t record[RECORD_BYTES];
    struct weir_sim *sim = world_of(seed, &io);
    int fd = open_file(io, "/log", O_RDWR | O_CREAT);
    sync_directory(io, "/");
    uint64_t acknowledged = 0;
    for (uint64_t records = weir_sim_below(sim, RECORDS); acknowledged < records; acknowledged++) {
        fill_record(record, acknowledged);
        assert_int_equal(write_at(io, fd, record, RECORD_BYTES, acknowledged * RECORD_BYTES),
                         RECORD_BYTES);
        if (syncs)
            assert_int_equal(sync_file(io, fd), 0);
    }
    io = restart(sim, io, WEIR_SIM_POWER_LOSS);
    bool survives = true;
    for (uint64_t number = 0; number < acknowledged; number++) {
        memset(record, 0, sizeof(record));
        weir_sim_disk_peek(sim, 0, "/log", number * RECORD_BYTES, record, RECORD_BYTES);
        survives &= good_record(record, number);
    }
    close_world(sim, io);
    return survives;
}

static void a_log_that_syncs_keeps_what_it_acknowledged_and_one_that_does_not_is_found(void **state)
{
    (void)state;
    uint32_t found = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        assert_true(log_survives(seed, true));
        found += !log_survives(seed, false);
    }
    assert_true(found > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_and_sizes_and_flags_hold),
        cmocka_unit_test(names_are_made_renamed_listed_and_removed),
        cmocka_unit_test(a_full_disk_says_so_and_writes_what_fits),
        cmocka_unit_test(what_was_synced_with_its_name_survives_every_crash),
        cmocka_unit_test(a_name_that_was_not_synced_is_lost_in_some_crashes),
        cmocka_unit_test(a_killed_program_loses_nothing_it_wrote),
        cmocka_unit_test(unsynced_writes_are_kept_dropped_torn_and_reordered),
        cmocka_unit_test(a_rename_is_kept_or_dropped_whole),
        cmocka_unit_test(after_a_failed_sync_the_next_one_succeeds_and_the_bytes_are_lost),
        cmocka_unit_test(a_crash_under_a_write_keeps_it_or_not),
        cmocka_unit_test(a_durable_write_is_all_that_is_durable),
        cmocka_unit_test(a_durable_write_keeps_the_size_that_was_set_before),
        cmocka_unit_test(a_durable_write_that_fails_is_never_durable),
        cmocka_unit_test(a_durable_write_under_way_may_be_torn),
        cmocka_unit_test(a_dead_disk_fails_operations_as_well),
        cmocka_unit_test(a_log_that_syncs_keeps_what_it_acknowledged_and_one_that_does_not_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
