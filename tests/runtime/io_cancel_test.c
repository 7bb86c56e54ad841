/*
 * tests/runtime/io_cancel_test.c - the ends of ops: cancelled early, late, from within `done`, in a
 * flood; and what comes after them on the same descriptor.
 */
#include "tests/runtime/io_fixture.h"

#include <fcntl.h>

static void a_cancelled_receive_loses_no_byte(void **state)
{
    enum { TOTAL = 1 << 20, STEP = 8 << 10 };
    struct weir_io *io = open_io(state);
    int fds[2];
    stream_pair(fds);
    assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    uint8_t *bytes = random_bytes(io, TOTAL);
    struct note recv = {0};
    uint32_t cancelled = 0;
    size_t written = 0;
    for (uint32_t round = 0; recv.byte_count < TOTAL; round++) {
        begin(io, &recv, WEIR_IO_RECV, fds[0]);
        size_t size = TOTAL - written < STEP ? TOTAL - written : STEP;
        ssize_t count = size > 0 ? write(fds[1], bytes + written, size) : 0;
        written += count > 0 ? (size_t)count : 0;
        if (round % 3 == 0)
            weir_io_turn(io, 0); /* armed in the kernel, or still on its way */
        else if (round % 3 == 1)
            TURN_UNTIL(io, recv.calls > 0 || written == recv.byte_count);
        weir_io_cancel(io, &recv.op);
        weir_io_cancel(io, &recv.op); /* asking twice is asking once */
        TURN_UNTIL(io, recv.ends == 1);
        assert_int_equal(recv.last_result, -ECANCELED);
        cancelled++;
    }
    assert_true(cancelled > 10);
    assert_true(recv.sum == sum_of(bytes, TOTAL));
    free(bytes);
    close_pair(fds);
    close_io(io);
}

static void every_kind_that_waits_can_be_cancelled(void **state)
{
    struct weir_io *io = open_io(state);
    struct sockaddr_in address;
    int listener = listen_on_loopback(io, &address);
    int fds[2];
    int full[2];
    stream_pair(fds);
    stream_pair(full);
    assert_int_equal(fcntl(full[0], F_SETFL, O_NONBLOCK), 0);
    char block[4096] = {0};
    while (write(full[0], block, sizeof(block)) > 0)
        ;
    struct iovec iov = {block, sizeof(block)};
    struct note notes[5] = {0};
    weir_io_cancel(io, &notes[0].op); /* not armed: nothing */
    for (int asked_early = 0; asked_early < 2; asked_early++) {
        memset(notes, 0, sizeof(notes));
        begin(io, &notes[0], WEIR_IO_ACCEPT, listener);
        begin(io, &notes[1], WEIR_IO_RECV, fds[0]);
        begin_send(io, &notes[2], full[0], &iov, 1);
        begin(io, &notes[3], WEIR_IO_POLL, fds[1]);
        begin(io, &notes[4], WEIR_IO_RECV, full[0]);
        assert_int_equal(weir_io_start(io, &notes[0].op), -EBUSY);
        if (!asked_early)
            weir_io_turn(io, 0);
        for (int i = 0; i < 5; i++) {
            weir_io_cancel(io, &notes[i].op);
            assert_int_equal(notes[i].ends, 0); /* never from within cancel */
        }
        for (int i = 0; i < 5; i++) {
            TURN_UNTIL(io, notes[i].ends == 1);
            assert_int_equal(notes[i].last_result, -ECANCELED);
        }
    }
    close_pair(fds);
    close_pair(full);
    io->table->drop(io, listener);
    close_io(io);
}

struct self_cancelling {
    struct note note;
    struct weir_io *io;
};

static void on_cancel_from_done(struct weir_io_op *op, int result, const struct weir_io_data *data,
                                bool more)
{
    struct self_cancelling *self = WEIR_CONTAINER(op, struct self_cancelling, note.op);
    on_note(op, result, data, more);
    if (more)
        weir_io_cancel(self->io, op);
}

static void cancelling_from_within_done_ends_the_op(void **state)
{
    struct weir_io *io = open_io(state);
    int fds[2];
    stream_pair(fds);
    for (int i = 0; i < 100; i++) {
        struct self_cancelling self = {.io = io};
        assert_int_equal(write(fds[1], "abc", 3), 3);
        begin(io, &self.note, WEIR_IO_RECV, fds[0]);
        self.note.op.done = on_cancel_from_done;
        TURN_UNTIL(io, self.note.ends == 1);
        assert_int_equal(self.note.last_result, -ECANCELED);
        assert_int_equal(self.note.byte_count, 3);
    }
    close_pair(fds);
    close_io(io);
}

enum { CROWD = 200 };

struct crowd {
    struct weir_io *io;
    struct note notes[CROWD];
    bool cancelled;
};

static struct crowd crowd;

static void on_crowd(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    on_note(op, result, data, more);
    for (int i = 0; i < CROWD && !crowd.cancelled; i++)
        weir_io_cancel(crowd.io, &crowd.notes[i].op);
    crowd.cancelled = true;
}

/* Of the others, some have bytes on the way to `done`, some found no buffer, some wait. */
static void the_first_done_may_cancel_all_the_others(void **state)
{
    struct weir_io *io = open_io(state);
    static const uint8_t bytes[4000];
    for (int round = 0; round < 5; round++) {
        crowd = (struct crowd){.io = io};
        int fds[CROWD][2];
        for (int i = 0; i < CROWD; i++) {
            stream_pair(fds[i]);
            if (i % 5 != 4)
                assert_int_equal(write(fds[i][1], bytes, sizeof(bytes)), sizeof(bytes));
            begin(io, &crowd.notes[i], WEIR_IO_RECV, fds[i][0]);
            crowd.notes[i].op.done = on_crowd;
        }
        for (int i = 0; i < CROWD; i++) {
            TURN_UNTIL(io, crowd.notes[i].ends == 1);
            assert_int_equal(crowd.notes[i].last_result, -ECANCELED);
            uint8_t rest[sizeof(bytes)];
            ssize_t left = recv(fds[i][0], rest, sizeof(rest), MSG_DONTWAIT);
            size_t sent = i % 5 != 4 ? sizeof(bytes) : 0;
            assert_int_equal(crowd.notes[i].byte_count + (size_t)(left > 0 ? left : 0), sent);
            close_pair(fds[i]);
        }
    }
    close_io(io);
}

/* Numbers of closed descriptors come back at once: nothing of the old one may reach the new one. */
static void a_reused_descriptor_hears_nothing_of_its_past(void **state)
{
    struct weir_io *io = open_io(state);
    for (int i = 0; i < 500; i++) {
        int fds[2];
        stream_pair(fds);
        struct note recv = {0};
        begin(io, &recv, WEIR_IO_RECV, fds[0]);
        if (i % 2 == 0)
            assert_int_equal(write(fds[1], "old", 3), 3);
        weir_io_turn(io, 0);
        assert_int_equal(write(fds[1], "old", 3), 3); /* on its way while the op is cancelled */
        weir_io_cancel(io, &recv.op);
        TURN_UNTIL(io, recv.ends == 1);
        struct note closing = {0};
        begin(io, &closing, WEIR_IO_CLOSE, fds[0]);
        TURN_UNTIL(io, closing.ends == 1);
        close(fds[1]);
        int fresh[2];
        stream_pair(fresh);
        uint8_t bytes[16];
        struct note again = {.bytes = bytes, .room = sizeof(bytes)};
        begin(io, &again, WEIR_IO_RECV, fresh[0]);
        weir_io_turn(io, 0);
        assert_int_equal(again.calls, 0);
        assert_int_equal(write(fresh[1], "new", 3), 3);
        TURN_UNTIL(io, again.byte_count >= 3);
        assert_int_equal(again.byte_count, 3);
        assert_memory_equal(bytes, "new", 3);
        end_note(io, &again);
        io->table->drop(io, fresh[0]);
        close(fresh[1]);
    }
    close_io(io);
}

static void a_bad_descriptor_is_a_result(void **state)
{
    struct weir_io *io = open_io(state);
    static const enum weir_io_kind kinds[] = {WEIR_IO_ACCEPT,  WEIR_IO_RECV, WEIR_IO_SEND,
                                              WEIR_IO_CONNECT, WEIR_IO_READ, WEIR_IO_WRITE,
                                              WEIR_IO_SYNC,    WEIR_IO_CLOSE};
    int gone = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(gone);
    struct iovec iov = {"x", 1};
    struct sockaddr_in address = {.sin_family = AF_INET};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct note note = {0};
        if (kinds[i] != WEIR_IO_SYNC) {
            note.op.iov = &iov;
            note.op.iov_count = 1;
            note.op.address = (struct sockaddr *)&address;
            note.op.address_bytes = sizeof(address);
        }
        begin(io, &note, kinds[i], gone);
        TURN_UNTIL(io, note.ends == 1);
        assert_int_equal(note.last_result, -EBADF);
    }
    close_io(io);
}

static void descriptors_may_come_non_blocking(void **state)
{
    struct weir_io *io = open_io(state);
    struct sockaddr_in address;
    int listener = listen_on_loopback(io, &address);
    assert_int_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
    struct note accept = {0};
    begin(io, &accept, WEIR_IO_ACCEPT, listener);
    weir_io_turn(io, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
    TURN_UNTIL(io, accept.fd_count == 1);
    struct note recv = {0};
    assert_int_equal(fcntl(client, F_SETFL, O_NONBLOCK), 0);
    begin(io, &recv, WEIR_IO_RECV, client);
    weir_io_turn(io, 0);
    assert_int_equal(write(accept.fds[0], "hello", 5), 5);
    TURN_UNTIL(io, recv.byte_count == 5);
    end_note(io, &recv);
    end_note(io, &accept);
    io->table->drop(io, client);
    io->table->drop(io, accept.fds[0]);
    io->table->drop(io, listener);
    close_io(io);
}

/* More than the submission queue holds, and no turn in between. */
static void more_can_be_started_than_one_submission_takes(void **state)
{
    enum { PAIRS = 3000 };
    struct weir_io *io = open_io(state);
    struct note *notes = calloc(PAIRS, sizeof(*notes));
    int(*fds)[2] = calloc(PAIRS, sizeof(*fds));
    for (int i = 0; i < PAIRS; i++) {
        stream_pair(fds[i]);
        begin(io, &notes[i], WEIR_IO_RECV, fds[i][0]);
    }
    for (int i = 0; i < PAIRS; i++)
        weir_io_cancel(io, &notes[i].op);
    for (int i = 0; i < PAIRS; i++) {
        TURN_UNTIL(io, notes[i].ends == 1);
        assert_int_equal(notes[i].last_result, -ECANCELED);
        close_pair(fds[i]);
    }
    free(notes);
    free(fds);
    close_io(io);
}

/*
 * More completions than the completion queue holds, before anybody looks: whatever repeats is ended by
 * the kernel then, and nothing may be lost.
 */
static void a_flooded_completion_queue_loses_nothing(void **state)
{
    enum { WRITES = 12000, PAIRS = 50 };
    struct weir_io *io = open_io(state);
    int sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct note *writes = calloc(WRITES, sizeof(*writes));
    struct note recvs[PAIRS] = {0};
    int fds[PAIRS][2];
    struct iovec iov = {"12345678", 8};
    for (int i = 0; i < PAIRS; i++) {
        stream_pair(fds[i]);
        begin(io, &recvs[i], WEIR_IO_RECV, fds[i][0]);
    }
    weir_io_turn(io, 0);
    for (int i = 0; i < WRITES; i++) {
        writes[i].op.iov = &iov;
        writes[i].op.iov_count = 1;
        begin(io, &writes[i], WEIR_IO_WRITE, sink);
        if (i % 100 == 0)
            assert_int_equal(write(fds[i / 100 % PAIRS][1], "12345678", 8), 8);
    }
    for (int i = 0; i < WRITES; i++) {
        TURN_UNTIL(io, writes[i].ends == 1);
        assert_int_equal(writes[i].last_result, 8);
    }
    size_t each = WRITES / 100 / PAIRS;
    for (int i = 0; i < PAIRS; i++)
        TURN_UNTIL(io, recvs[i].byte_count >= 8 * each);
    if (is_uring(io))
        assert_true(io->counters.cq_overflows > 0);
    for (int i = 0; i < PAIRS; i++) {
        size_t before = recvs[i].byte_count;
        assert_int_equal(write(fds[i][1], "still", 5), 5);
        TURN_UNTIL(io, recvs[i].byte_count == before + 5);
        end_note(io, &recvs[i]);
        close_pair(fds[i]);
    }
    io->table->drop(io, sink);
    free(writes);
    close_io(io);
}

static void cancelling_in_a_flood_ends_the_op(void **state)
{
    enum { WRITES = 9000, PAIRS = 20 };
    struct weir_io *io = open_io(state);
    int sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct note *writes = calloc(WRITES, sizeof(*writes));
    struct self_cancelling recvs[PAIRS] = {0};
    int fds[PAIRS][2];
    struct iovec iov = {"12345678", 8};
    for (int i = 0; i < PAIRS; i++) {
        stream_pair(fds[i]);
        recvs[i].io = io;
        begin(io, &recvs[i].note, WEIR_IO_RECV, fds[i][0]);
        recvs[i].note.op.done = on_cancel_from_done;
    }
    weir_io_turn(io, 0);
    for (int i = 0; i < WRITES; i++) {
        writes[i].op.iov = &iov;
        writes[i].op.iov_count = 1;
        begin(io, &writes[i], WEIR_IO_WRITE, sink);
    }
    for (int i = 0; i < PAIRS; i++)
        assert_int_equal(write(fds[i][1], "12345678", 8), 8);
    for (int i = 0; i < PAIRS; i++) {
        TURN_UNTIL(io, recvs[i].note.ends == 1);
        assert_int_equal(recvs[i].note.last_result, -ECANCELED);
        assert_int_equal(recvs[i].note.byte_count, 8);
        close_pair(fds[i]);
    }
    for (int i = 0; i < WRITES; i++)
        TURN_UNTIL(io, writes[i].ends == 1);
    io->table->drop(io, sink);
    free(writes);
    close_io(io);
}

static void close_lets_go_of_what_is_armed(void **state)
{
    struct weir_io *io = open_io(state);
    struct sockaddr_in address;
    int listener = listen_on_loopback(io, &address);
    int fds[2];
    stream_pair(fds);
    struct note accept = {0};
    struct note recv = {0};
    struct note poll = {0};
    begin(io, &accept, WEIR_IO_ACCEPT, listener);
    begin(io, &recv, WEIR_IO_RECV, fds[0]);
    weir_io_turn(io, 0);
    begin(io, &poll, WEIR_IO_POLL, fds[1]);
    assert_int_equal(write(fds[1], "late", 4), 4);
    close_io(io);
    assert_int_equal(accept.calls + recv.calls + poll.calls, 0);
    close_pair(fds);
    close(listener);
}

int main(void)
{
    static const struct io_case cases[] = {
        IO_CASE(a_cancelled_receive_loses_no_byte),
        IO_CASE(every_kind_that_waits_can_be_cancelled),
        IO_CASE(cancelling_from_within_done_ends_the_op),
        IO_CASE(the_first_done_may_cancel_all_the_others),
        IO_CASE(a_reused_descriptor_hears_nothing_of_its_past),
        IO_CASE(a_bad_descriptor_is_a_result),
        IO_CASE(descriptors_may_come_non_blocking),
        IO_CASE(more_can_be_started_than_one_submission_takes),
        IO_CASE(a_flooded_completion_queue_loses_nothing),
        IO_CASE(cancelling_in_a_flood_ends_the_op),
        IO_CASE(close_lets_go_of_what_is_armed),
    };
    return run_io_cases("runtime.io_cancel", cases, sizeof(cases) / sizeof(cases[0]));
}
