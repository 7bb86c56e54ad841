/*
 * tests/runtime/disk_test.c - blocking file calls: the same cases on the system and on a simulated disk, then the
 * simulator's faults, and a replace that is cut at every call.
 */
#include "tests/sim/sim.h"

#include <sys/stat.h>
#include <time.h>

#include "runtime/disk.h"
#include "runtime/sim_world.h"

struct place { /* a folder on a disk */
    struct weir_disk *disk;
    struct weir_sim *sim; /* NULL: the system's */
    struct weir_io *io;
    char folder[64];
    char path[128];
};

static const char *in(struct place *place, const char *name)
{
    snprintf(place->path, sizeof(place->path), "%s/%s", place->folder, name);
    return place->path;
}

static void open_sim_place(struct place *place, uint64_t seed)
{
    assert_int_equal(weir_sim_open(seed, 1, NULL, &place->sim), 0);
    assert_int_equal(weir_sim_io_open(place->sim, 0, &place->io), 0);
    place->disk = weir_io_disk(place->io);
    strcpy(place->folder, "/data");
    assert_int_equal(place->disk->table->mkdir(place->disk, place->folder, 0750), 0);
}

static void open_place(struct place *place, void **state)
{
    memset(place, 0, sizeof(*place));
    if (*state != NULL) {
        open_sim_place(place, 1);
        return;
    }
    place->disk = weir_disk_system();
    strcpy(place->folder, "/tmp/weir_disk_XXXXXX");
    assert_non_null(mkdtemp(place->folder));
}

static void close_place(struct place *place)
{
    if (place->sim != NULL) {
        place->io->table->close(place->io);
        weir_sim_close(place->sim);
    } else {
        assert_int_equal(rmdir(place->folder), 0); /* a case leaves it empty */
    }
}

static int open_file(struct place *place, const char *name, int flags)
{
    return place->disk->table->open(place->disk, in(place, name), flags, 0640);
}

static void remove_file(struct place *place, const char *name)
{
    assert_int_equal(place->disk->table->unlink(place->disk, in(place, name)), 0);
}

/* ---- On both ---- */

static void whole_transfers_sizes_and_ends(void **state)
{
    struct place place;
    char bytes[8] = {0};
    open_place(&place, state);
    const struct weir_disk_table *table = place.disk->table;
    assert_int_equal(open_file(&place, "none", O_RDONLY), -ENOENT);
    int fd = open_file(&place, "file", O_RDWR | O_CREAT | O_EXCL);
    assert_true(fd >= 0);
    assert_int_equal(open_file(&place, "file", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
    assert_int_equal(weir_disk_write_whole(place.disk, fd, "0123456789", 10, 5), 0);
    assert_int_equal(table->byte_count(place.disk, fd), 15);
    assert_int_equal(weir_disk_read_whole(place.disk, fd, bytes, 8, 3), 0);
    assert_memory_equal(bytes, "\0\0" "012345", 8);
    assert_int_equal(weir_disk_read_whole(place.disk, fd, bytes, 8, 10), -EIO); /* it ends before */
    assert_int_equal(table->read(place.disk, fd, bytes, 8, 10), 5);
    assert_int_equal(table->read(place.disk, fd, bytes, 8, 15), 0);
    assert_int_equal(table->truncate(place.disk, fd, 7), 0);
    assert_int_equal(table->byte_count(place.disk, fd), 7);
    assert_int_equal(table->sync(place.disk, fd, true), 0);
    assert_int_equal(table->sync(place.disk, fd, false), 0);
    assert_int_equal(table->sync_all(place.disk, fd), 0);
    assert_int_equal(table->close(place.disk, fd), 0);
    assert_int_equal(table->sync_all(place.disk, fd), -EBADF);
    assert_int_equal(table->read(place.disk, fd, bytes, 1, 0), -EBADF);
    remove_file(&place, "file");
    close_place(&place);
}

struct names {
    uint32_t files, directories;
    char last[32];
};

static void on_name(void *context, const char *name, bool is_directory)
{
    struct names *names = context;
    names->files += !is_directory;
    names->directories += is_directory;
    snprintf(names->last, sizeof(names->last), "%s", name);
}

static void names_are_made_moved_listed_and_removed(void **state)
{
    struct place place;
    char other[128];
    open_place(&place, state);
    const struct weir_disk_table *table = place.disk->table;
    assert_int_equal(table->mkdir(place.disk, in(&place, "deep"), 0750), 0);
    assert_int_equal(table->mkdir(place.disk, in(&place, "deep"), 0750), -EEXIST);
    assert_int_equal(table->mkdir(place.disk, in(&place, "no/where"), 0750), -ENOENT);
    table->close(place.disk, open_file(&place, "a", O_RDWR | O_CREAT));
    strcpy(other, in(&place, "b"));
    assert_int_equal(table->rename(place.disk, in(&place, "a"), other), 0);
    assert_int_equal(table->rename(place.disk, in(&place, "a"), other), -ENOENT);
    struct names names = {0};
    assert_int_equal(table->list(place.disk, place.folder, on_name, &names), 0);
    assert_int_equal(names.files, 1);
    assert_int_equal(names.directories, 1);
    assert_int_equal(table->list(place.disk, in(&place, "none"), on_name, &names), -ENOENT);
    assert_int_equal(table->list(place.disk, in(&place, "b"), on_name, &names), -ENOTDIR);
    assert_int_equal(table->unlink(place.disk, in(&place, "deep")), -EISDIR);
    assert_int_equal(table->rmdir(place.disk, in(&place, "b")), -ENOTDIR);
    table->close(place.disk, open_file(&place, "deep/c", O_RDWR | O_CREAT));
    assert_int_equal(table->rmdir(place.disk, in(&place, "deep")), -ENOTEMPTY);
    remove_file(&place, "deep/c");
    assert_int_equal(weir_disk_sync_directory(place.disk, in(&place, "deep")), 0);
    assert_int_equal(weir_disk_sync_directory(place.disk, in(&place, "b")), -ENOTDIR);
    assert_int_equal(table->rmdir(place.disk, in(&place, "deep")), 0);
    remove_file(&place, "b");
    assert_int_equal(table->unlink(place.disk, in(&place, "b")), -ENOENT);
    close_place(&place);
}

static void a_lock_has_one_holder_until_its_file_closes(void **state)
{
    struct place place;
    open_place(&place, state);
    const struct weir_disk_table *table = place.disk->table;
    int first = open_file(&place, "lock", O_RDWR | O_CREAT);
    int second = open_file(&place, "lock", O_RDWR);
    assert_int_equal(table->lock(place.disk, first), 0);
    assert_int_equal(table->lock(place.disk, first), 0); /* it has it already */
    assert_int_equal(table->lock(place.disk, second), -EWOULDBLOCK);
    assert_int_equal(table->close(place.disk, first), 0);
    assert_int_equal(table->lock(place.disk, second), 0);
    assert_int_equal(table->close(place.disk, second), 0);
    remove_file(&place, "lock");
    close_place(&place);
}

static void a_file_is_replaced_and_loaded_whole(void **state)
{
    struct place place;
    void *bytes;
    size_t byte_count;
    open_place(&place, state);
    assert_int_equal(weir_disk_load(place.disk, in(&place, "file"), 100, &bytes, &byte_count), -ENOENT);
    assert_int_equal(weir_disk_replace(place.disk, in(&place, "file"), "first and long", 14), 0);
    assert_int_equal(weir_disk_replace(place.disk, in(&place, "file"), "second", 6), 0);
    assert_int_equal(weir_disk_load(place.disk, in(&place, "file"), 5, &bytes, &byte_count), -EFBIG);
    assert_int_equal(weir_disk_load(place.disk, in(&place, "file"), 6, &bytes, &byte_count), 0);
    assert_int_equal(byte_count, 6);
    assert_memory_equal(bytes, "second", 6);
    free(bytes);
    struct names names = {0};
    assert_int_equal(place.disk->table->list(place.disk, place.folder, on_name, &names), 0);
    assert_int_equal(names.files, 1); /* nothing new is left lying about */
    assert_int_equal(weir_disk_replace(place.disk, in(&place, "file"), "", 0), 0);
    assert_int_equal(weir_disk_load(place.disk, in(&place, "file"), 6, &bytes, &byte_count), 0);
    assert_int_equal(byte_count, 0);
    free(bytes);
    remove_file(&place, "file");
    close_place(&place);
}

static void room_chance_and_the_wall_clock(void **state)
{
    struct place place;
    uint8_t first[20] = {0}, second[20] = {0}, zero[20] = {0};
    open_place(&place, state);
    const struct weir_disk_table *table = place.disk->table;
    assert_true(table->free_bytes(place.disk, place.folder) > 0);
    assert_int_equal(table->random(place.disk, first, sizeof(first)), 0);
    assert_int_equal(table->random(place.disk, second, sizeof(second)), 0);
    assert_memory_not_equal(first, second, sizeof(first));
    assert_memory_not_equal(first + 12, zero, 8); /* to its end */
    uint64_t wall_ms = table->wall_ms(place.disk);
    if (place.sim == NULL)
        assert_in_range(wall_ms, (uint64_t)time(NULL) * 1000 - 60000, (uint64_t)time(NULL) * 1000 + 60000);
    assert_true(table->wall_ms(place.disk) >= wall_ms);
    close_place(&place);
}

/* ---- The simulator's faults ---- */

static void short_transfers_are_made_whole(void **state)
{
    (void)state;
    static uint8_t out[5000], back[5000];
    struct place place;
    memset(&place, 0, sizeof(place));
    open_sim_place(&place, 3);
    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 7);
    weir_sim_faults(place.sim)->write_cut = WEIR_SIM_ALWAYS;
    weir_sim_faults(place.sim)->read_cut = WEIR_SIM_ALWAYS;
    int fd = open_file(&place, "file", O_RDWR | O_CREAT);
    assert_true(place.disk->table->write(place.disk, fd, out, sizeof(out), 0) < 5000);
    assert_int_equal(weir_disk_write_whole(place.disk, fd, out, sizeof(out), 0), 0);
    assert_true(place.disk->table->read(place.disk, fd, back, sizeof(back), 0) < 5000);
    assert_int_equal(weir_disk_read_whole(place.disk, fd, back, sizeof(back), 0), 0);
    assert_memory_equal(out, back, sizeof(out));
    close_place(&place);
}

static void errors_of_the_disk_are_results(void **state)
{
    (void)state;
    static uint8_t bytes[3000];
    struct place place;
    memset(&place, 0, sizeof(place));
    open_sim_place(&place, 4);
    struct weir_sim_faults *faults = weir_sim_faults(place.sim);
    int fd = open_file(&place, "file", O_RDWR | O_CREAT);
    faults->write_error = WEIR_SIM_ALWAYS;
    assert_int_equal(weir_disk_write_whole(place.disk, fd, bytes, 10, 0), -EIO);
    assert_int_equal(place.disk->table->truncate(place.disk, fd, 10), -EIO);
    assert_int_equal(place.disk->table->mkdir(place.disk, "/data/x", 0750), -EIO);
    faults->write_error = 0;
    faults->disk_bytes_max = 2000;
    assert_int_equal(weir_disk_write_whole(place.disk, fd, bytes, sizeof(bytes), 0), -ENOSPC);
    assert_int_equal(place.disk->table->byte_count(place.disk, fd), 2000); /* what fitted */
    assert_int_equal(place.disk->table->free_bytes(place.disk, "/data"), 0);
    assert_int_equal(weir_disk_replace(place.disk, in(&place, "other"), bytes, 10), -ENOSPC);
    faults->disk_bytes_max = 4000;
    faults->sync_error = WEIR_SIM_ALWAYS;
    assert_int_equal(place.disk->table->sync(place.disk, fd, true), -EIO);
    assert_int_equal(weir_disk_replace(place.disk, in(&place, "other"), bytes, 10), -EIO);
    faults->sync_error = 0;
    faults->read_error = WEIR_SIM_ALWAYS;
    assert_int_equal(weir_disk_read_whole(place.disk, fd, bytes, 10, 0), -EIO);
    faults->read_error = 0;
    struct names names = {0};
    assert_int_equal(place.disk->table->list(place.disk, place.folder, on_name, &names), 0);
    assert_int_equal(names.files, 1); /* failed replaces left nothing */
    close_place(&place);
}

static void restart(struct place *place, enum weir_sim_crash_kind kind)
{
    weir_sim_crash(place->sim, 0, kind);
    place->io->table->close(place->io);
    assert_int_equal(weir_sim_io_open(place->sim, 0, &place->io), 0);
    place->disk = weir_io_disk(place->io);
}

static void a_lock_ends_with_its_program(void **state)
{
    (void)state;
    struct place place;
    memset(&place, 0, sizeof(place));
    open_sim_place(&place, 5);
    assert_int_equal(place.disk->table->lock(place.disk, open_file(&place, "lock", O_RDWR | O_CREAT)), 0);
    restart(&place, WEIR_SIM_KILL);
    assert_int_equal(place.disk->table->lock(place.disk, open_file(&place, "lock", O_RDWR)), 0);
    close_place(&place);
}

static void a_dead_disk_refuses_all_and_lives_again_after_the_crash(void **state)
{
    (void)state;
    struct place place;
    char byte;
    memset(&place, 0, sizeof(place));
    open_sim_place(&place, 6);
    const struct weir_disk_table *table = place.disk->table;
    int fd = open_file(&place, "file", O_RDWR | O_CREAT);
    assert_int_equal(weir_disk_write_whole(place.disk, fd, "x", 1, 0), 0);
    weir_sim_disk_die_after(place.sim, 0, 2);
    assert_int_equal(table->sync(place.disk, fd, true), 0);
    assert_int_equal(table->write(place.disk, fd, "y", 1, 1), 1);
    assert_int_equal(table->write(place.disk, fd, "z", 1, 0), -EIO);
    assert_int_equal(table->sync(place.disk, fd, true), -EIO);
    assert_int_equal(table->unlink(place.disk, in(&place, "file")), -EIO);
    assert_int_equal(table->rename(place.disk, "/data/file", "/data/other"), -EIO);
    assert_int_equal(open_file(&place, "file", O_RDWR | O_TRUNC), -EIO);
    assert_int_equal(table->close(place.disk, fd), 0);
    restart(&place, WEIR_SIM_KILL);
    fd = open_file(&place, "file", O_RDWR);
    assert_int_equal(weir_disk_read_whole(place.disk, fd, &byte, 1, 0), 0);
    assert_int_equal(byte, 'x');
    assert_int_equal(table->byte_count(place.disk, fd), 2);
    close_place(&place);
}

static void a_sync_of_all_leaves_nothing_to_be_lost(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct place place;
        char byte = 0;
        memset(&place, 0, sizeof(place));
        open_sim_place(&place, seed);
        int first = open_file(&place, "first", O_RDWR | O_CREAT);
        int second = open_file(&place, "second", O_RDWR | O_CREAT);
        assert_int_equal(weir_disk_write_whole(place.disk, first, "1", 1, 0), 0);
        assert_int_equal(weir_disk_write_whole(place.disk, second, "2", 1, 0), 0);
        assert_int_equal(place.disk->table->sync_all(place.disk, first), 0);
        restart(&place, WEIR_SIM_POWER_LOSS);
        assert_int_equal(weir_sim_disk_peek(place.sim, 0, "/data/second", 0, &byte, 1), 1);
        assert_int_equal(byte, '2');
        second = open_file(&place, "second", O_RDWR);
        assert_int_equal(weir_disk_write_whole(place.disk, second, "3", 1, 0), 0);
        weir_sim_faults(place.sim)->sync_error = WEIR_SIM_ALWAYS;
        assert_int_equal(place.disk->table->sync_all(place.disk, second), -EIO);
        restart(&place, WEIR_SIM_POWER_LOSS);
        assert_int_equal(weir_sim_disk_peek(place.sim, 0, "/data/second", 0, &byte, 1), 1);
        assert_int_equal(byte, '2');
        close_place(&place);
    }
}

/* Cut after each call, by a loss of power: the file is the old one or the new one; and the new one once it said so. */
static bool replace_is_cut(uint64_t seed, uint64_t call_count)
{
    struct place place;
    void *bytes;
    size_t byte_count;
    memset(&place, 0, sizeof(place));
    open_sim_place(&place, seed);
    assert_int_equal(weir_disk_replace(place.disk, in(&place, "file"), "the old one", 11), 0);
    weir_sim_disk_settle(place.sim, 0);
    weir_sim_disk_die_after(place.sim, 0, call_count);
    int result = weir_disk_replace(place.disk, in(&place, "file"), "a new one", 9);
    restart(&place, WEIR_SIM_POWER_LOSS);
    assert_int_equal(weir_disk_load(place.disk, in(&place, "file"), 100, &bytes, &byte_count), 0);
    bool is_new = byte_count == 9 && memcmp(bytes, "a new one", 9) == 0;
    assert_true(is_new || (byte_count == 11 && memcmp(bytes, "the old one", 11) == 0));
    assert_true(is_new || result < 0);
    free(bytes);
    close_place(&place);
    return result < 0;
}

static void a_replace_that_is_cut_leaves_the_old_or_the_new(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        uint64_t calls = 0;
        while (replace_is_cut(seed, calls))
            calls++;
        assert_true(calls >= 5); /* open, write, sync, rename, open, sync */
    }
}

int main(void)
{
    static int on_sim;
#define ON_BOTH(name) \
    {#name, name, NULL, NULL, NULL}, {#name "_in_the_simulator", name, NULL, NULL, &on_sim}
    const struct CMUnitTest tests[] = {
        ON_BOTH(whole_transfers_sizes_and_ends),
        ON_BOTH(names_are_made_moved_listed_and_removed),
        ON_BOTH(a_lock_has_one_holder_until_its_file_closes),
        ON_BOTH(a_file_is_replaced_and_loaded_whole),
        ON_BOTH(room_chance_and_the_wall_clock),
        cmocka_unit_test(short_transfers_are_made_whole),
        cmocka_unit_test(errors_of_the_disk_are_results),
        cmocka_unit_test(a_lock_ends_with_its_program),
        cmocka_unit_test(a_dead_disk_refuses_all_and_lives_again_after_the_crash),
        cmocka_unit_test(a_sync_of_all_leaves_nothing_to_be_lost),
        cmocka_unit_test(a_replace_that_is_cut_leaves_the_old_or_the_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
