/*
 * tests/runtime/io_file_test.c - files and datagrams over each io.
 */
#include "tests/runtime/io_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "runtime/io_uring.h"

/* ---- files ---- */

struct folder {
    char path[32];
    char file[64];
};

static void make_folder(struct folder *folder)
{
    strcpy(folder->path, "/tmp/weir_io_XXXXXX");
    assert_non_null(mkdtemp(folder->path));
    snprintf(folder->file, sizeof(folder->file), "%s/file", folder->path);
}

static void remove_folder(const struct folder *folder)
{
    unlink(folder->file);
    rmdir(folder->path);
}

static int open_by_io(struct weir_io *io, const char *path, int flags)
{
    struct note note = {.op.path = path, .op.open_flags = flags, .op.mode = 0600};
    begin(io, &note, WEIR_IO_OPEN, -1);
    TURN_UNTIL(io, note.ends == 1);
    return note.last_result;
}

static int file_op(struct weir_io *io, enum weir_io_kind kind, int fd, struct iovec *iov,
                   uint32_t iov_count, uint64_t offset)
{
    struct note note = {.op.iov = iov, .op.iov_count = iov_count, .op.offset = offset};
    begin(io, &note, kind, fd);
    TURN_UNTIL(io, note.ends == 1);
    assert_int_equal(note.calls, 1);
    return note.last_result;
}

static int sync_by_io(struct weir_io *io, int fd, bool data_only)
{
    struct note note = {.op.data_only = data_only};
    begin(io, &note, WEIR_IO_SYNC, fd);
    TURN_UNTIL(io, note.ends == 1);
    return note.last_result;
}

static void what_is_written_is_read_back(void **state)
{
    struct weir_io *io = open_io(state);
    struct folder folder;
    make_folder(&folder);
    int fd = open_by_io(io, folder.file, O_RDWR | O_CREAT | O_EXCL);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    struct stat found;
    assert_int_equal(fstat(fd, &found), 0);
    assert_int_equal(found.st_mode & 0777, 0600);
    struct iovec one = {"0123456789", 10};
    struct iovec two[2] = {{"abc", 3}, {"defg", 4}};
    assert_int_equal(file_op(io, WEIR_IO_WRITE, fd, &one, 1, 0), 10);
    assert_int_equal(file_op(io, WEIR_IO_WRITE, fd, two, 2, 5), 7);
    char head[4] = "";
    char tail[32] = "";
    struct iovec into[2] = {{head, 4}, {tail, sizeof(tail)}};
    assert_int_equal(file_op(io, WEIR_IO_READ, fd, into, 2, 0), 12);
    assert_memory_equal(head, "0123", 4);
    assert_memory_equal(tail, "4abcdefg", 8);
    struct iovec last = {tail, 1};
    assert_int_equal(file_op(io, WEIR_IO_READ, fd, &last, 1, 11), 1);
    assert_int_equal(tail[0], 'g');
    assert_int_equal(file_op(io, WEIR_IO_READ, fd, &last, 1, 12), 0);
    assert_int_equal(sync_by_io(io, fd, true), 0);
    assert_int_equal(sync_by_io(io, fd, false), 0);
    assert_int_equal(file_op(io, WEIR_IO_CLOSE, fd, NULL, 0, 0), 0);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    remove_folder(&folder);
    close_io(io);
}

static int write_durably(struct weir_io *io, int fd, struct iovec *iov, uint32_t iov_count, uint64_t offset)
{
    struct note note = {.op.iov = iov, .op.iov_count = iov_count, .op.offset = offset, .op.durable = true};
    begin(io, &note, WEIR_IO_WRITE, fd);
    TURN_UNTIL(io, note.ends == 1);
    assert_int_equal(note.calls, 1);
    return note.last_result;
}

static void a_durable_write_is_a_write(void **state)
{
    struct weir_io *io = open_io(state);
    struct folder folder;
    make_folder(&folder);
    int fd = open_by_io(io, folder.file, O_RDWR | O_CREAT);
    struct iovec one = {"0123456789", 10};
    struct iovec two[2] = {{"abc", 3}, {"defg", 4}};
    char back[16] = "";
    assert_int_equal(write_durably(io, fd, &one, 1, 0), 10);
    assert_int_equal(write_durably(io, fd, two, 2, 5), 7);
    assert_int_equal(pread(fd, back, sizeof(back), 0), 12);
    assert_memory_equal(back, "01234abcdefg", 12);
    int reader = open_by_io(io, folder.file, O_RDONLY);
    assert_int_equal(write_durably(io, reader, &one, 1, 0), -EBADF);
    io->table->drop(io, reader);
    io->table->drop(io, fd);
    remove_folder(&folder);
    close_io(io);
}

static long own_oom_score(void)
{
    char text[16] = "";
    FILE *file = fopen("/proc/self/oom_score_adj", "re");
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    return strtol(text, NULL, 10);
}

/* A file of /proc takes a write and refuses RWF_DSYNC and syncs: the bytes get there, and nobody is told that they are durable. */
static void where_dsync_is_refused_a_write_and_a_sync_are_made(void **state)
{
    struct weir_io *io = open_io(state);
    int fd = open_by_io(io, "/proc/self/oom_score_adj", O_WRONLY);
    assert_true(fd >= 0);
    long wanted = own_oom_score() + 1; /* a process may always raise it */
    if (wanted > 1000)
        skip();
    char text[16];
    struct iovec iov = {text, (size_t)snprintf(text, sizeof(text), "%ld", wanted)};
    int result = write_durably(io, fd, &iov, 1, 0);
    if (is_uring(io)) /* passes the flag over to files that do not know it */
        assert_int_equal(result, iov.iov_len);
    else
        assert_int_equal(result, -EINVAL); /* of the fdatasync */
    assert_int_equal(own_oom_score(), wanted);
    io->table->drop(io, fd);
    close_io(io);
}

/* io_uring lets the flag pass everywhere on this kernel; so the io is told that a file has refused it before. */
static void a_durable_write_without_dsync_is_a_write_and_then_a_sync(void **state)
{
    struct weir_io *io = open_io(state);
    struct folder folder;
    char back[16] = "";
    if (!is_uring(io)) {
        close_io(io);
        skip();
    }
    ((struct weir_uring *)(void *)io)->dsync_refused = true;
    make_folder(&folder);
    int fd = open_by_io(io, folder.file, O_RDWR | O_CREAT);
    struct iovec two[2] = {{"abc", 3}, {"defg", 4}};
    assert_int_equal(write_durably(io, fd, two, 2, 5), 7);
    assert_int_equal(pread(fd, back, sizeof(back), 0), 12);
    assert_memory_equal(back + 5, "abcdefg", 7);
    int proc = open_by_io(io, "/proc/self/oom_score_adj", O_WRONLY);
    char text[16];
    struct iovec iov = {text, (size_t)snprintf(text, sizeof(text), "%ld", own_oom_score())};
    assert_int_equal(write_durably(io, proc, &iov, 1, 0), -EINVAL); /* of the sync */
    io->table->drop(io, proc);
    int reader = open_by_io(io, folder.file, O_RDONLY);
    assert_int_equal(write_durably(io, reader, two, 2, 0), -EBADF); /* of the write */
    io->table->drop(io, reader);
    io->table->drop(io, fd);
    remove_folder(&folder);
    close_io(io);
}

static void a_folder_can_be_synced(void **state)
{
    struct weir_io *io = open_io(state);
    struct folder folder;
    make_folder(&folder);
    int fd = open_by_io(io, folder.path, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    assert_int_equal(sync_by_io(io, fd, false), 0);
    assert_int_equal(file_op(io, WEIR_IO_CLOSE, fd, NULL, 0, 0), 0);
    remove_folder(&folder);
    close_io(io);
}

static void errors_of_files_are_results(void **state)
{
    struct weir_io *io = open_io(state);
    struct folder folder;
    make_folder(&folder);
    assert_int_equal(open_by_io(io, folder.file, O_RDONLY), -ENOENT);
    int fd = open_by_io(io, folder.file, O_WRONLY | O_CREAT);
    assert_true(fd >= 0);
    char byte;
    struct iovec iov = {&byte, 1};
    assert_int_equal(file_op(io, WEIR_IO_READ, fd, &iov, 1, 0), -EBADF);
    io->table->drop(io, fd);
    int full = open_by_io(io, "/dev/full", O_WRONLY);
    assert_int_equal(file_op(io, WEIR_IO_WRITE, full, &iov, 1, 0), -ENOSPC);
    io->table->drop(io, full);
    remove_folder(&folder);
    close_io(io);
}

static void many_writes_at_once_all_arrive(void **state)
{
    enum { WRITES = 500, BYTES = 100 };
    struct weir_io *io = open_io(state);
    struct folder folder;
    make_folder(&folder);
    int fd = open_by_io(io, folder.file, O_RDWR | O_CREAT);
    struct note *notes = calloc(WRITES, sizeof(*notes));
    uint8_t(*bytes)[BYTES] = calloc(WRITES, BYTES);
    struct iovec *iovs = calloc(WRITES, sizeof(*iovs));
    for (uint32_t i = 0; i < WRITES; i++) {
        memset(bytes[i], (int)(i % 251), BYTES);
        iovs[i] = (struct iovec){bytes[i], BYTES};
        notes[i] = (struct note){
            .op.iov = &iovs[i], .op.iov_count = 1, .op.offset = (uint64_t)i * BYTES};
        begin(io, &notes[i], WEIR_IO_WRITE, fd);
    }
    for (uint32_t i = 0; i < WRITES; i++) {
        TURN_UNTIL(io, notes[i].ends == 1);
        assert_int_equal(notes[i].last_result, BYTES);
    }
    uint8_t *all = malloc(WRITES * BYTES);
    assert_int_equal(pread(fd, all, WRITES * BYTES, 0), WRITES * BYTES);
    assert_memory_equal(all, bytes, WRITES * BYTES);
    io->table->drop(io, fd);
    free(all);
    free(iovs);
    free(bytes);
    free(notes);
    remove_folder(&folder);
    close_io(io);
}

static void close_waits_for_files_under_way(void **state)
{
    enum { WRITES = 64, BYTES = 64 << 10 };
    struct weir_io *io = open_io(state);
    struct folder folder;
    make_folder(&folder);
    int fd = open_by_io(io, folder.file, O_RDWR | O_CREAT);
    static struct note notes[WRITES];
    memset(notes, 0, sizeof(notes));
    uint8_t *bytes = malloc(BYTES);
    memset(bytes, 'w', BYTES);
    struct iovec iov = {bytes, BYTES};
    for (uint32_t i = 0; i < WRITES; i++) {
        notes[i].op.iov = &iov;
        notes[i].op.iov_count = 1;
        notes[i].op.offset = (uint64_t)i * BYTES;
        begin(io, &notes[i], WEIR_IO_WRITE, fd);
    }
    close_io(io); /* no turn since: they may not even have been submitted */
    free(bytes);
    struct stat found;
    assert_int_equal(fstat(fd, &found), 0);
    assert_int_equal(found.st_size, WRITES * BYTES);
    close(fd);
    remove_folder(&folder);
}

/* ---- datagrams ---- */

static int bind_datagram(struct weir_io *io, const struct weir_io_datagram *wanted,
                         struct sockaddr_in *address_out)
{
    int fd = -1;
    assert_int_equal(io->table->datagram(io, wanted, &fd), 0);
    struct sockaddr_storage found;
    socklen_t bytes;
    assert_int_equal(io->table->local_address(io, fd, &found, &bytes), 0);
    memcpy(address_out, &found, sizeof(*address_out));
    return fd;
}

static int bind_loopback(struct weir_io *io, struct sockaddr_in *address_out)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct weir_io_datagram wanted = {.address = (struct sockaddr *)&any,
                                      .address_bytes = sizeof(any),
                                      .recv_buffer_bytes = 1 << 20};
    return bind_datagram(io, &wanted, address_out);
}

static int send_datagram(struct weir_io *io, int fd, const struct sockaddr_in *to, void *bytes,
                         size_t byte_count)
{
    struct iovec iov = {bytes, byte_count};
    struct note send = {.op.iov = &iov, .op.iov_count = 1};
    send.op.address = (const struct sockaddr *)to;
    send.op.address_bytes = sizeof(*to);
    begin(io, &send, WEIR_IO_SENDTO, fd);
    TURN_UNTIL(io, send.ends == 1);
    return send.last_result;
}

static void a_datagram_arrives_whole_with_its_sender(void **state)
{
    static const size_t sizes[] = {0, 1, 9000, 65507};
    struct weir_io *io = open_io(state);
    struct sockaddr_in here;
    struct sockaddr_in there;
    int receiver = bind_loopback(io, &here);
    int sender = bind_loopback(io, &there);
    uint8_t *out = malloc(65508);
    uint8_t *in = malloc(65507);
    memset(out, 'd', 65508);
    struct note recv = {.bytes = in};
    begin(io, &recv, WEIR_IO_RECVFROM, receiver);
    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        recv.byte_count = 0;
        recv.room = sizes[i];
        assert_int_equal(send_datagram(io, sender, &here, out, sizes[i]), sizes[i]);
        TURN_UNTIL(io, recv.calls == i + 1);
        assert_int_equal(recv.byte_count, sizes[i]);
        assert_memory_equal(in, out, sizes[i]);
        assert_memory_equal(&recv.sender, &there, sizeof(there));
        assert_false(recv.truncated);
    }
    assert_int_equal(send_datagram(io, sender, &here, out, 65508), -EMSGSIZE);
    end_note(io, &recv);
    assert_int_equal(recv.last_result, -ECANCELED);
    io->table->drop(io, receiver);
    io->table->drop(io, sender);
    free(in);
    free(out);
    close_io(io);
}

/* More than there are receive buffers, waiting before the receiver is armed. */
static void a_burst_of_datagrams_is_taken_in_order(void **state)
{
    enum { BURST = 600, ROUNDS = 5 };
    struct weir_io *io = open_io(state);
    struct sockaddr_in here;
    struct sockaddr_in there;
    int receiver = bind_loopback(io, &here);
    int sender = bind_loopback(io, &there);
    uint32_t *numbers = calloc(BURST * ROUNDS, sizeof(*numbers));
    struct note recv = {.bytes = (uint8_t *)numbers, .room = BURST * ROUNDS * sizeof(*numbers)};
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < BURST; i++) {
            uint32_t number = round * BURST + i;
            assert_int_equal(
                sendto(sender, &number, sizeof(number), 0, (struct sockaddr *)&here, sizeof(here)),
                sizeof(number));
        }
        if (round == 0)
            begin(io, &recv, WEIR_IO_RECVFROM, receiver);
        TURN_UNTIL(io, recv.calls == (round + 1) * BURST);
    }
    for (uint32_t i = 0; i < BURST * ROUNDS; i++)
        assert_int_equal(numbers[i], i);
    end_note(io, &recv);
    io->table->drop(io, receiver);
    io->table->drop(io, sender);
    free(numbers);
    close_io(io);
}

static void a_member_of_a_group_hears_it(void **state)
{
    struct weir_io *io = open_io(state);
    struct sockaddr_in group = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr("239.7.7.7")};
    struct sockaddr_in any = {.sin_family = AF_INET};
    struct weir_io_datagram wanted = {.address = (struct sockaddr *)&any,
                                      .address_bytes = sizeof(any),
                                      .group = (struct sockaddr *)&group,
                                      .group_interface = "lo"};
    struct sockaddr_in bound;
    int member = bind_datagram(io, &wanted, &bound);
    any.sin_port = bound.sin_port;
    struct sockaddr_in second_bound;
    int second = bind_datagram(io, &wanted, &second_bound); /* two programs on one machine may */
    assert_int_equal(second_bound.sin_port, bound.sin_port);
    struct note recv[2] = {0};
    begin(io, &recv[0], WEIR_IO_RECVFROM, member);
    begin(io, &recv[1], WEIR_IO_RECVFROM, second);
    group.sin_port = bound.sin_port;
    assert_int_equal(send_datagram(io, member, &group, "tick", 4), 4);
    TURN_UNTIL(io, recv[0].byte_count == 4 && recv[1].byte_count == 4);
    wanted.group_interface = "no-such-interface";
    int none;
    assert_int_equal(io->table->datagram(io, &wanted, &none), -ENODEV);
    end_note(io, &recv[0]);
    end_note(io, &recv[1]);
    io->table->drop(io, member);
    io->table->drop(io, second);
    close_io(io);
}

int main(void)
{
    static const struct io_case cases[] = {
        IO_CASE(what_is_written_is_read_back),
        IO_CASE(a_durable_write_is_a_write),
        IO_CASE(where_dsync_is_refused_a_write_and_a_sync_are_made),
        IO_CASE(a_durable_write_without_dsync_is_a_write_and_then_a_sync),
        IO_CASE(a_folder_can_be_synced),
        IO_CASE(errors_of_files_are_results),
        IO_CASE(many_writes_at_once_all_arrive),
        IO_CASE(close_waits_for_files_under_way),
        IO_CASE(a_datagram_arrives_whole_with_its_sender),
        IO_CASE(a_burst_of_datagrams_is_taken_in_order),
        IO_CASE(a_member_of_a_group_hears_it),
    };
    return run_io_cases("runtime.io_file", cases, sizeof(cases) / sizeof(cases[0]));
}
