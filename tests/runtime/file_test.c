/* tests/runtime/file_test.c - every promise of weir/file.h, on each io. */
#include <sys/stat.h>

#include "tests/runtime/live_fixture.h"

enum { BLOCKS = 64, BLOCK_BYTES = 4096 };

struct answer {
    uint32_t count;
    int64_t result;
    struct weir_reactor *on;
    bool inside_call; /* told while the call was still being made */
    bool calling;
};

static void note(struct weir_reactor *reactor, int64_t result, void *context)
{
    struct answer *answer = context;
    answer->count++;
    answer->result = result;
    answer->on = reactor;
    answer->inside_call = answer->inside_call || answer->calling;
}

struct disk {
    struct live live;
    char folder[64];
    char path[96];
};

static void open_disk(struct disk *disk, void **state)
{
    open_live(&disk->live, state, 1);
    snprintf(disk->folder, sizeof disk->folder, "/tmp/weir-file-test-XXXXXX");
    assert_non_null(mkdtemp(disk->folder));
    snprintf(disk->path, sizeof disk->path, "%s/f", disk->folder);
}

static void close_disk(struct disk *disk)
{
    unlink(disk->path);
    rmdir(disk->folder);
    close_live(&disk->live);
}

/* The call's result is told once, later, on this reactor. */
#define RESULT_OF(disk, call)                                        \
    ({                                                               \
        struct answer answer = {.calling = true};                    \
        assert_int_equal(call, 0);                                   \
        answer.calling = false;                                      \
        TURN_UNTIL(&(disk)->live, answer.count > 0);                 \
        turn_a_while(&(disk)->live);                                 \
        assert_int_equal(answer.count, 1);                           \
        assert_false(answer.inside_call);                            \
        assert_ptr_equal(answer.on, (disk)->live.reactor);           \
        answer.result;                                               \
    })

static int64_t open_file(struct disk *disk, const char *path, int flags)
{
    return RESULT_OF(disk, weir_file_open(disk->live.reactor, path, flags, 0600, note, &answer));
}

static void what_is_written_is_read_back(void **state)
{
    struct disk disk;
    static uint8_t bytes[100000], back[100000];
    open_disk(&disk, state);
    struct weir_reactor *reactor = disk.live.reactor;
    int fd = (int)open_file(&disk, disk.path, O_RDWR | O_CREAT | O_EXCL);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    struct stat found;
    assert_int_equal(stat(disk.path, &found), 0);
    assert_int_equal(found.st_mode & 0777, 0600);
    fill_bytes(bytes, sizeof bytes, 0);
    assert_int_equal(RESULT_OF(&disk, weir_file_write(reactor, fd, bytes, sizeof bytes, 0, note, &answer)), sizeof bytes);
    assert_int_equal(RESULT_OF(&disk, weir_file_sync(reactor, fd, true, note, &answer)), 0);
    assert_int_equal(RESULT_OF(&disk, weir_file_sync(reactor, fd, false, note, &answer)), 0);
    assert_int_equal(RESULT_OF(&disk, weir_file_read(reactor, fd, back, 1000, 50000, note, &answer)), 1000);
    assert_true(bytes_are(back, 1000, 50000));
    assert_int_equal(RESULT_OF(&disk, weir_file_read(reactor, fd, back, sizeof back, 99990, note, &answer)), 10);
    assert_int_equal(RESULT_OF(&disk, weir_file_read(reactor, fd, back, 10, sizeof bytes, note, &answer)), 0);
    assert_int_equal(RESULT_OF(&disk, weir_file_close(reactor, fd, note, &answer)), 0);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    close_disk(&disk);
}

static void a_directory_is_synced(void **state)
{
    struct disk disk;
    open_disk(&disk, state);
    int fd = (int)open_file(&disk, disk.folder, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    assert_int_equal(RESULT_OF(&disk, weir_file_sync(disk.live.reactor, fd, false, note, &answer)), 0);
    assert_int_equal(RESULT_OF(&disk, weir_file_close(disk.live.reactor, fd, note, &answer)), 0);
    close_disk(&disk);
}

static void errors_are_the_kernels(void **state)
{
    struct disk disk;
    uint8_t byte = 0;
    open_disk(&disk, state);
    struct weir_reactor *reactor = disk.live.reactor;
    assert_int_equal(open_file(&disk, disk.path, O_RDONLY), -ENOENT);
    assert_int_equal(open_file(&disk, disk.folder, O_WRONLY), -EISDIR);
    int fd = (int)open_file(&disk, disk.path, O_WRONLY | O_CREAT);
    assert_int_equal(open_file(&disk, disk.path, O_WRONLY | O_CREAT | O_EXCL), -EEXIST);
    assert_int_equal(RESULT_OF(&disk, weir_file_read(reactor, fd, &byte, 1, 0, note, &answer)), -EBADF);
    assert_int_equal(RESULT_OF(&disk, weir_file_close(reactor, fd, note, &answer)), 0);
    assert_int_equal(RESULT_OF(&disk, weir_file_write(reactor, fd, &byte, 1, 0, note, &answer)), -EBADF);
    assert_int_equal(RESULT_OF(&disk, weir_file_sync(reactor, fd, true, note, &answer)), -EBADF);
    close_disk(&disk);
}

static void operations_may_overlap(void **state)
{
    struct disk disk;
    static uint8_t bytes[BLOCKS][BLOCK_BYTES];
    static struct answer answers[BLOCKS];
    open_disk(&disk, state);
    memset(answers, 0, sizeof answers);
    int fd = (int)open_file(&disk, disk.path, O_RDWR | O_CREAT);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        fill_bytes(bytes[i], BLOCK_BYTES, (uint64_t)i * BLOCK_BYTES);
        assert_int_equal(weir_file_write(disk.live.reactor, fd, bytes[i], BLOCK_BYTES, (uint64_t)i * BLOCK_BYTES, note,
                                         &answers[i]), 0);
    }
    for (uint32_t i = 0; i < BLOCKS; i++) {
        TURN_UNTIL(&disk.live, answers[i].count == 1);
        assert_int_equal(answers[i].result, BLOCK_BYTES);
    }
    static uint8_t back[BLOCKS * BLOCK_BYTES];
    assert_int_equal(pread(fd, back, sizeof back, 0), sizeof back);
    assert_true(bytes_are(back, sizeof back, 0));
    close(fd);
    close_disk(&disk);
}

/* A stop waits for what is under way: its buffer is the caller's. */
static void a_stop_waits_for_files(void **state)
{
    struct disk disk;
    static uint8_t bytes[1 << 20];
    struct answer written = {0}, synced = {0};
    open_disk(&disk, state);
    int fd = (int)open_file(&disk, disk.path, O_RDWR | O_CREAT);
    fill_bytes(bytes, sizeof bytes, 0);
    assert_int_equal(weir_file_write(disk.live.reactor, fd, bytes, sizeof bytes, 0, note, &written), 0);
    assert_int_equal(weir_file_sync(disk.live.reactor, fd, true, note, &synced), 0);
    weir_runtime_stop(disk.live.runtime);
    close_disk(&disk);
    assert_int_equal(written.result, sizeof bytes);
    assert_int_equal(synced.count, 1);
    close(fd);
}

int main(void)
{
    static const struct live_case cases[] = {
        LIVE_CASE(what_is_written_is_read_back), LIVE_CASE(a_directory_is_synced), LIVE_CASE(errors_are_the_kernels),
        LIVE_CASE(operations_may_overlap),       LIVE_CASE(a_stop_waits_for_files),
    };
    return RUN_LIVE_CASES("runtime.file", cases);
}
