/* tests/wire/resp/resp_bounds_test.c - what a client that takes all it can get leaves for the others. */
#include "resp_session_fixture.h"

enum { MEMORY_BYTES = 8 << 20, CHUNK_BYTES = 60000 };

static const struct world small_world = {1, WEIR_IO_EPOLL, "one reactor with little memory",
                                         MEMORY_BYTES};

static struct weir_buffers *buffers(const struct fixture *f)
{
    return &f->reactors[0]->buffers;
}

/* Sends until it is closed or has nothing more to say. */
static void pour(struct fixture *f, int fd, const char *bytes, size_t count)
{
    size_t sent = 0;
    for (int idle = 0; idle < 300 && sent < count;) {
        ssize_t more = send(fd, bytes + sent, count - sent, MSG_NOSIGNAL);
        if (more < 0 && errno != EAGAIN)
            break;
        sent += more > 0 ? (size_t)more : 0;
        idle = more > 0 ? 0 : idle + 1;
        step_all(f);
    }
    settle(f);
    assert_true(weir_buffers_held_bytes(buffers(f)) <= MEMORY_BYTES / 8 * 7);
}

static void large_requests_leave_memory_for_events(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&small_world, NULL, NULL);
    int subscriber = client_of(f, 0), publisher = client_of(f, 0);
    say(f, subscriber, "SUBSCRIBE t\r\n");
    (void)heard(f, subscriber);
    char *request = malloc(MEMORY_BYTES);
    memset(request, 'x', MEMORY_BYTES);
    memcpy(request, "*2\r\n$4\r\nECHO\r\n$100000000\r\n", 26);
    static const size_t poured[] = {3200000, 1600000, 1600000, 800000, 400000};
    int greedy[5];
    for (int i = 0; i < 5; i++) { /* each finds memory for its next step, were there no bound */
        greedy[i] = client_of(f, 0);
        pour(f, greedy[i], request, poured[i]);
    }
    answers(f, publisher, "PUBLISH t hello\r\n", ":1\r\n");
    assert_string_equal(heard(f, subscriber), "*3\r\n$7\r\nmessage\r\n$1\r\nt\r\n$5\r\nhello\r\n");
    for (int i = 0; i < 5; i++)
        close(greedy[i]);
    close(subscriber);
    close(publisher);
    settle(f);
    free(request);
    fixture_close(f);
}

static void what_a_transaction_queues_is_bounded_by_the_reactors_memory(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&small_world, NULL, NULL);
    int fd = client_of(f, 0);
    settle(f);
    uint64_t before = weir_buffers_held_bytes(buffers(f));
    char *request = malloc(CHUNK_BYTES + 64);
    int head = sprintf(request, "*2\r\n$4\r\nECHO\r\n$%d\r\n", CHUNK_BYTES);
    memset(request + head, 'e', CHUNK_BYTES);
    memcpy(request + head + CHUNK_BYTES, "\r\n", 3);
    answers(f, fd, "MULTI\r\n", "+OK\r\n");
    bool refused = false;
    for (int i = 0; i < 2 * MEMORY_BYTES / CHUNK_BYTES && !refused; i++) {
        say(f, fd, request);
        const char *answer = heard(f, fd);
        refused = strcmp(answer, "+QUEUED\r\n") != 0;
        if (refused)
            assert_string_equal(answer, "-OOM no memory for this transaction\r\n");
    }
    assert_true(refused);
    answers(f, fd, "EXEC\r\n", "-EXECABORT Transaction discarded because of previous errors.\r\n");
    settle(f);
    assert_int_equal(weir_buffers_held_bytes(buffers(f)), before);
    close(fd);
    free(request);
    fixture_close(f);
}

static void names_are_bounded_and_their_room_comes_back(void **state)
{
    (void)state;
    enum { NAMES_MAX = 4 * MEMORY_BYTES / 1000 };
    struct fixture *f = fixture_open(&small_world, NULL, NULL);
    int fd = client_of(f, 0);
    char request[1100], got[2048];
    bool refused = false;
    int count = 0;
    for (; count < NAMES_MAX && !refused; count++) {
        int bytes = sprintf(request, "SUBSCRIBE %01000d\r\n", count);
        say_bytes(f, fd, request, (size_t)bytes);
        size_t heard_bytes = 0;
        for (int i = 0; i < ROUNDS_MAX && heard_bytes == 0; i++) {
            step_all(f);
            ssize_t more = recv(fd, got, sizeof got - 1, 0);
            heard_bytes = more > 0 ? (size_t)more : 0;
        }
        got[heard_bytes] = '\0';
        refused = got[0] == '-';
    }
    assert_true(refused);
    assert_string_equal(got, "-OOM no memory for a subscription\r\n");
    assert_true(count > MEMORY_BYTES / 2000);
    answers_part(f, fd, "RESET\r\n", "+RESET\r\n");
    answers(f, fd, "SUBSCRIBE t\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nt\r\n:1\r\n");
    close(fd);
    fixture_close(f);
}

static void ids_are_found_in_any_order(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&small_world, NULL, NULL);
    int first = client_of(f, 0), second = client_of(f, 0), third = client_of(f, 0);
    answers(f, first, "CLIENT ID\r\n", ":1\r\n");
    answers(f, first, "CLIENT KILL ID 900 ID 3 ID 7 ID 2 ID 800\r\n", ":2\r\n");
    is_closed(f, second);
    is_closed(f, third);
    close(first);
    close(second);
    close(third);
    fixture_close(f);
}

/* The first client of reactor 0. */
static struct weir_resp_session *first_session(const struct fixture *f)
{
    return WEIR_CONTAINER(f->server->locals[0]->sessions.next, struct weir_resp_session, node);
}

/* Or a busy channel would keep the connection for ever. */
static void who_has_quit_gets_no_more_events(void **state)
{
    (void)state;
    enum { EVENTS = 400, EVENT_BYTES = 1000, ANSWER_BYTES_MAX = 1 << 20 };
    struct fixture *f = fixture_open(&small_world, NULL, NULL);
    int subscriber = client_of(f, 0), publisher = client_of(f, 0);
    char request[EVENT_BYTES + 64], *got = malloc(ANSWER_BYTES_MAX);
    say(f, subscriber, "SUBSCRIBE t\r\n");
    (void)heard(f, subscriber);
    struct weir_resp_session *session = first_session(f);
    weir_tcp_cork(weir_resp_conn(session), true); /* so that events wait in its window */
    sprintf(request, "PUBLISH t %0*d\r\n", EVENT_BYTES, 1);
    for (int i = 0; i < EVENTS; i++)
        answers(f, publisher, request, ":1\r\n");
    assert_true(session->subscriber.window.count > 0);
    say(f, subscriber, "QUIT\r\n");
    settle(f);
    answers(f, publisher, "PUBLISH t late\r\n", ":0\r\n");
    weir_tcp_cork(weir_resp_conn(session), false);
    size_t count = hear(f, subscriber, got, ANSWER_BYTES_MAX);
    assert_true(count > (size_t)EVENTS * EVENT_BYTES);
    assert_memory_equal(got + count - 5, "+OK\r\n", 5);
    is_closed(f, subscriber);
    free(got);
    close(subscriber);
    close(publisher);
    fixture_close(f);
}

/* Matching costs the product of both: without a bound one client stops a reactor for minutes. */
static void names_and_patterns_have_a_length(void **state)
{
    (void)state;
    static const char refusal[] = "-ERR channel name or pattern too long\r\n";
    enum { LONG_BYTES = 70000 };
    static const char *const asked[] = {"PSUBSCRIBE", "PUBSUB CHANNELS"};
    struct fixture *f = fixture_open(&small_world, NULL, NULL);
    int fd = client_of(f, 0);
    char *request = malloc(LONG_BYTES + 64), *stars = malloc(LONG_BYTES);
    memset(stars, 'a', LONG_BYTES);
    for (int i = 0; i < 2; i++) {
        sprintf(request, "%s *%.*s\r\n", asked[i], WEIR_PATTERN_BYTES_MAX, stars);
        answers(f, fd, request, refusal);
    }
    sprintf(request, "*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%.*s\r\n$1\r\nx\r\n", LONG_BYTES, LONG_BYTES,
            stars);
    answers(f, fd, request, refusal);
    sprintf(request, "*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%.*s\r\n$1\r\nx\r\n", WEIR_NAME_BYTES_MAX,
            WEIR_NAME_BYTES_MAX, stars);
    answers(f, fd, request, ":0\r\n");
    sprintf(request, "*2\r\n$9\r\nSUBSCRIBE\r\n$%d\r\n%.*s\r\n", LONG_BYTES, LONG_BYTES, stars);
    answers(f, fd, request, refusal);
    free(request);
    free(stars);
    close(fd);
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_requests_leave_memory_for_events),
        cmocka_unit_test(what_a_transaction_queues_is_bounded_by_the_reactors_memory),
        cmocka_unit_test(names_are_bounded_and_their_room_comes_back),
        cmocka_unit_test(ids_are_found_in_any_order),
        cmocka_unit_test(who_has_quit_gets_no_more_events),
        cmocka_unit_test(names_and_patterns_have_a_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
