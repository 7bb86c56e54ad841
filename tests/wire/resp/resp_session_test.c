/*
 * resp_session_test.c - the conversation with one, two and four reactors, on io_uring and on epoll.
 *
 * Everything is stepped by hand, so what happens between two reactors happens in the order that the case says.
 */
#include "tests/wire/resp/resp_session_fixture.h"

#define BULK3 "$3\r\n"

/* ---- input ---- */

static void requests_are_answered_in_order(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int fd = client_of(f, 0);
    answers(f, fd, "PING\r\n", "+PONG\r\n");
    answers(f, fd, "*2\r\n$4\r\nPING\r\n$2\r\nhi\r\n", "$2\r\nhi\r\n");
    answers(f, fd, "\r\n*0\r\nPING\nECHO 'a b'\r\n*1\r\n$4\r\nping\r\n",
            "+PONG\r\n$3\r\na b\r\n+PONG\r\n");
    close(fd);
    fixture_close(f);
}

static void a_cut_anywhere_changes_no_answer(void **state)
{
    static const char input[] =
        "*2\r\n$4\r\nECHO\r\n$5\r\nsplit\r\nPING\r\n*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$0\r\n\r\n";
    static const char answer[] = "$5\r\nsplit\r\n+PONG\r\n:0\r\n";
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int fd = client_of(f, 0);
    for (size_t cut = 1; cut < sizeof input - 1; cut++) {
        say_bytes(f, fd, input, cut);
        settle(f);
        say_bytes(f, fd, input + cut, sizeof input - 1 - cut);
        assert_string_equal(heard(f, fd), answer);
    }
    close(fd);
    fixture_close(f);
}

static void a_large_message_grows_with_its_bytes(void **state)
{
    enum { BYTES = 3 << 20 };
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int fd = client_of(f, 0);
    char *body = malloc(BYTES + 64), *back = malloc(BYTES + 64);
    for (size_t i = 0; i < BYTES; i++)
        body[i] = (char)(i * 7 + i / 251);
    say(f, fd, "*2\r\n$4\r\nECHO\r\n$3145728\r\n");
    settle(f);
    assert_true(f->reactors[0]->buffers.bytes_used < 65536); /* announced is not yet received */
    say_bytes(f, fd, body, BYTES);
    say(f, fd, "\r\n");
    size_t head = strlen("$3145728\r\n");
    assert_int_equal(hear(f, fd, back, BYTES + head + 2), BYTES + head + 2);
    assert_memory_equal(back + head, body, BYTES);
    close(fd);
    free(body);
    free(back);
    fixture_close(f);
}

static void malformed_input_is_answered_and_closed(void **state)
{
    static const char *const cases[][2] = {
        {"PING\r\n*1\r\n:5\r\n", "+PONG\r\n-ERR Protocol error: expected '$', got ':'\r\n"},
        {"*1\r\n$x\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
        {"*9999999999\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
        {"*1\r\n$999999999999\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
        {"PING 'a\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
    };
    struct fixture *f = fixture_open(*state, NULL, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = client_of(f, 0);
        answers(f, fd, cases[i][0], cases[i][1]);
        is_closed(f, fd);
        close(fd);
    }
    settle(f);
    assert_int_equal(counters(f).clients, 0);
    fixture_close(f);
}

static void http_gets_no_answer(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int fd = client_of(f, 0);
    answers(f, fd, "POST / HTTP/1.1\r\nHost: weir\r\n\r\nPING\r\n", "");
    is_closed(f, fd);
    assert_int_equal(f->log_lines, 1);
    close(fd);
    fixture_close(f);
}

static void input_that_never_ends_is_cut_off(void **state)
{
    struct weir_resp_settings settings = {.query_bytes_max = 65536};
    struct fixture *f = fixture_open(*state, NULL, &settings);
    int fd = client_of(f, 0);
    char *bytes = calloc(1, 200000);
    say(f, fd, "*2\r\n$4\r\nECHO\r\n$1000000\r\n");
    send(fd, bytes, 200000, MSG_NOSIGNAL);
    is_closed(f, fd);
    free(bytes);
    close(fd);
    fixture_close(f);
}

static void errors_are_rediss(void **state)
{
    static const char *const cases[][2] = {
        {"NOPE a b\r\n", "-ERR unknown command 'NOPE', with args beginning with: 'a' 'b' \r\n"},
        {"NOPE\r\n", "-ERR unknown command 'NOPE', with args beginning with: \r\n"},
        {"GeT x\r\n", "-ERR weir speaks Pub/Sub; 'get' is not supported\r\n"},
        {"PUBLISH x\r\n", "-ERR wrong number of arguments for 'publish' command\r\n"},
        {"ECHO\r\n", "-ERR wrong number of arguments for 'echo' command\r\n"},
        {"SUBSCRIBE\r\n", "-ERR wrong number of arguments for 'subscribe' command\r\n"},
        {"PING a b\r\n", "-ERR wrong number of arguments for 'ping' command\r\n"},
        {"PUBSUB\r\n", "-ERR wrong number of arguments for 'pubsub' command\r\n"},
        {"PUBSUB NUMPAT x\r\n", "-ERR wrong number of arguments for 'pubsub|numpat' command\r\n"},
        {"pubsub XX\r\n", "-ERR unknown subcommand 'XX'. Try PUBSUB HELP.\r\n"},
        {"CLIENT FOO\r\n", "-ERR unknown subcommand 'FOO'. Try CLIENT HELP.\r\n"},
        {"HELLO 4\r\n", "-NOPROTO unsupported protocol version\r\n"},
        {"HELLO x\r\n", "-ERR Protocol version is not an integer or out of range\r\n"},
        {"HELLO 3 FOO\r\n", "-ERR Syntax error in HELLO option 'FOO'\r\n"},
        {"SELECT 16\r\n", "-ERR DB index is out of range\r\n"},
        {"SELECT x\r\n", "-ERR value is not an integer or out of range\r\n"},
        {"CLUSTER INFO\r\n", "-ERR This instance has cluster support disabled\r\n"},
        {"EXEC\r\n", "-ERR EXEC without MULTI\r\n"},
        {"DISCARD\r\n", "-ERR DISCARD without MULTI\r\n"},
        {"AUTH x\r\n", "-ERR AUTH <password> called without any password configured for the "
                       "default user. Are you "
                       "sure your configuration is correct?\r\n"},
        {"CLIENT SETNAME \"a b\"\r\n",
         "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
        {"CLIENT SETINFO nope 1\r\n", "-ERR Unrecognized option 'nope'\r\n"},
        {"CLIENT KILL 1.2.3.4:5\r\n", "-ERR No such client\r\n"},
    };
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int fd = client_of(f, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        answers(f, fd, cases[i][0], cases[i][1]);
    answers(f, fd, "PING\r\n", "+PONG\r\n");
    close(fd);
    fixture_close(f);
}

/* ---- subscribing ---- */

static void subscriptions_are_confirmed_with_their_count(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int fd = client_of(f, 0);
    answers(f, fd, "SUBSCRIBE a b a\r\n",
            "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"
            "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:2\r\n");
    answers(f, fd, "PSUBSCRIBE a*\r\n", "*3\r\n$10\r\npsubscribe\r\n$2\r\na*\r\n:3\r\n");
    answers(f, fd, "SSUBSCRIBE a\r\n", "*3\r\n$10\r\nssubscribe\r\n$1\r\na\r\n:1\r\n");
    answers(f, fd, "UNSUBSCRIBE zzz a\r\n",
            "*3\r\n$11\r\nunsubscribe\r\n$3\r\nzzz\r\n:3\r\n*3\r\n$11\r\nunsubscribe\r\n$"
            "1\r\na\r\n:2\r\n");
    answers(f, fd, "UNSUBSCRIBE\r\n", "*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:1\r\n");
    answers(f, fd, "UNSUBSCRIBE\r\n", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:1\r\n");
    answers(f, fd, "PUNSUBSCRIBE\r\n", "*3\r\n$12\r\npunsubscribe\r\n$2\r\na*\r\n:0\r\n");
    answers(f, fd, "SUNSUBSCRIBE\r\n", "*3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:0\r\n");
    answers(f, fd, "PING\r\n", "+PONG\r\n");
    close(fd);
    fixture_close(f);
}

static void a_confirmation_waits_for_every_reactor(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, NULL);
    if (f->reactor_count > 1) {
        char byte;
        int fd = client_of(f, 0), publisher = client_of(f, other(f));
        say(f, fd, "SUBSCRIBE c\r\nPING\r\n");
        for (int i = 0; i < 100; i++)
            step(f, 0);
        assert_int_equal(recv(fd, &byte, 1, 0), -1); /* the others do not know yet */
        assert_string_equal(
            heard(f, fd),
            "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n");
        answers(f, publisher, "PUBLISH c m\r\n", ":1\r\n");
        say(f, fd, "UNSUBSCRIBE c\r\n");
        for (int i = 0; i < 100; i++)
            step(f, 0);
        assert_string_equal(heard(f, fd), "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n"
                                          "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n");
        answers(f, publisher, "PUBLISH c m\r\n", ":0\r\n");
        close(fd);
        close(publisher);
    }
    fixture_close(f);
}

static void messages_reach_channels_then_patterns(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int fd = client_of(f, 0), publisher = client_of(f, other(f));
    say(f, fd, "PSUBSCRIBE n.*\r\nSUBSCRIBE n.x\r\nSSUBSCRIBE n.x\r\n");
    heard(f, fd);
    answers(f, publisher, "PUBLISH n.x 1\r\nPUBLISH n.y 2\r\nPUBLISH m 3\r\nSPUBLISH n.x 4\r\n",
            ":2\r\n:1\r\n:0\r\n:1\r\n");
    assert_string_equal(heard(f, fd),
                        "*3\r\n$7\r\nmessage\r\n$3\r\nn.x\r\n$1\r\n1\r\n"
                        "*4\r\n$8\r\npmessage\r\n$3\r\nn.*\r\n$3\r\nn.x\r\n$1\r\n1\r\n"
                        "*4\r\n$8\r\npmessage\r\n$3\r\nn.*\r\n$3\r\nn.y\r\n$1\r\n2\r\n"
                        "*3\r\n$8\r\nsmessage\r\n$3\r\nn.x\r\n$1\r\n4\r\n");
    close(fd);
    close(publisher);
    fixture_close(f);
}

static void a_subscriber_of_resp2_may_do_little_else(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int fd = client_of(f, 0);
    answers(f, fd, "SUBSCRIBE c\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    answers(f, fd, "PING\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    answers(f, fd, "PING x\r\n", "*2\r\n$4\r\npong\r\n$1\r\nx\r\n");
#define ONLY \
    "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n"
    answers(f, fd, "GET x\r\n", "-ERR Can't execute 'get': " ONLY);
    answers(f, fd, "CLIENT LIST\r\n", "-ERR Can't execute 'client|list': " ONLY);
    answers(f, fd, "RESET\r\n", "+RESET\r\n");
    answers(f, fd, "ECHO x\r\nPUBLISH c x\r\n", "$1\r\nx\r\n:0\r\n");
    close(fd);
    fixture_close(f);
}

static void a_subscriber_of_resp3_may_do_everything(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int fd = client_of(f, 0);
    answers_part(f, fd, "HELLO 3 SETNAME me\r\n",
                 "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n");
    answers(f, fd, "SUBSCRIBE c\r\n", ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    answers(
        f, fd, "PING\r\nPUBLISH c self\r\nPUBSUB NUMSUB c\r\n",
        "+PONG\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\nself\r\n:1\r\n*2\r\n$1\r\nc\r\n:1\r\n");
    answers(f, fd, "CLIENT GETNAME\r\n", "$2\r\nme\r\n");
    answers(f, fd, "UNSUBSCRIBE\r\nUNSUBSCRIBE\r\n",
            ">3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n"
            ">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n");
    close(fd);
    fixture_close(f);
}

static void pubsub_shows_what_is_subscribed_anywhere(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int a = client_of(f, 0), b = client_of(f, other(f));
    say(f, a, "SUBSCRIBE k1\r\nPSUBSCRIBE k?\r\nSSUBSCRIBE s\r\n");
    say(f, b, "SUBSCRIBE k1\r\nPSUBSCRIBE k?\r\n");
    heard(f, a);
    int fd = client_of(f, other(f));
    answers(f, fd, "PUBSUB CHANNELS\r\n", "*1\r\n$2\r\nk1\r\n");
    answers(f, fd, "PUBSUB CHANNELS z*\r\n", "*0\r\n");
    answers(f, fd, "PUBSUB NUMSUB k1 none\r\n", "*4\r\n$2\r\nk1\r\n:2\r\n$4\r\nnone\r\n:0\r\n");
    answers(f, fd, "PUBSUB NUMSUB\r\nPUBSUB NUMPAT\r\n", "*0\r\n:1\r\n");
    answers(f, fd, "PUBSUB SHARDCHANNELS\r\nPUBSUB SHARDNUMSUB s\r\n",
            "*1\r\n$1\r\ns\r\n*2\r\n$1\r\ns\r\n:1\r\n");
    close(a);
    close(b);
    settle(f);
    answers(f, fd, "PUBSUB CHANNELS\r\nPUBSUB NUMPAT\r\nPUBLISH k1 x\r\n", "*0\r\n:0\r\n:0\r\n");
    close(fd);
    fixture_close(f);
}

/* ---- waiting ---- */

/* `count` times `line`, in which '#' becomes the number in six digits, and then `tail`. */
static char *numbered(const char *line, int count, const char *tail)
{
    char *text = malloc((size_t)count * 64 + 64);
    char *to = text;
    for (int i = 0; i < count; i++)
        for (const char *from = line; *from; from++) {
            if (*from == '#')
                to += sprintf(to, "%06d", i);
            else
                *to++ = *from;
        }
    strcpy(to, tail);
    return text;
}

static void publishes_without_credit_wait_and_keep_their_order(void **state)
{
    enum { COUNT = 6000 };
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int fd = client_of(f, other(f)), publisher = client_of(f, 0);
    answers_part(f, fd, "SUBSCRIBE c\r\n", ":1\r\n");
    char *requests = numbered("PUBLISH c #\r\n", COUNT, "PING\r\n");
    char *replies = numbered(":1\r\n", COUNT, "+PONG\r\n");
    char *messages = numbered("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$6\r\n#\r\n", COUNT, "");
    say(f, publisher, requests);
    for (int i = 0; i < 200; i++)
        step(f, 0); /* the other reactor takes nothing meanwhile */
    if (f->reactor_count > 1)
        assert_true(counters(f).paused_by_credit > 0);
    char *got = calloc(1, strlen(messages) + 1);
    size_t used = hear(f, fd, got, strlen(messages));
    assert_int_equal(used, strlen(messages));
    assert_string_equal(got, messages);
    assert_string_equal(heard(f, publisher), replies);
    free(requests);
    free(replies);
    free(messages);
    free(got);
    close(fd);
    close(publisher);
    fixture_close(f);
}

static void a_limit_that_shapes_delays_and_loses_nothing(void **state)
{
    struct weir_broker_options broker = {.limits[WEIR_LIMIT_CLIENT] = {WEIR_LIMIT_SHAPE, 2000, 4}};
    struct weir_resp_settings settings = {.limited = true};
    struct fixture *f = fixture_open(*state, &broker, &settings);
    int fd = client_of(f, 0);
    char *requests = numbered("PUBLISH c #\r\n", 20, "");
    char *replies = numbered(":0\r\n", 20, "");
    char got[256] = "";
    say(f, fd, requests);
    size_t used = 0;
    for (int i = 0; i < 100000 && used < strlen(replies); i++) {
        assert_true(weir_reactor_run_once(f->reactors[0], 1000000) >= 0);
        ssize_t more = recv(fd, got + used, sizeof got - 1 - used, 0);
        used += more > 0 ? (size_t)more : 0;
    }
    assert_string_equal(got, replies);
    assert_true(counters(f).paused_by_limit > 0);
    free(requests);
    free(replies);
    close(fd);
    fixture_close(f);
}

static void a_limit_that_polices_says_so(void **state)
{
    struct weir_broker_options broker = {.limits[WEIR_LIMIT_CLIENT] = {WEIR_LIMIT_POLICE, 1, 2}};
    struct weir_resp_settings settings = {.limited = true};
    struct fixture *f = fixture_open(*state, &broker, &settings);
    int fd = client_of(f, 0);
    answers(f, fd, "PUBLISH c 1\r\nPUBLISH c 2\r\nPUBLISH c 3\r\nPING\r\n",
            ":0\r\n:0\r\n-ERR max publish rate exceeded\r\n+PONG\r\n");
    assert_int_equal(counters(f).limit_rejects, 1);
    close(fd);
    fixture_close(f);
}

static void who_does_not_read_is_not_served(void **state)
{
    enum { COUNT = 400, BYTES = 60000 };
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int fd = client_of(f, 0);
    char *request = malloc(BYTES + 64);
    int head = sprintf(request, "*2\r\n$4\r\nECHO\r\n$%d\r\n", BYTES);
    memset(request + head, 'e', BYTES);
    size_t bytes = (size_t)head + BYTES + 2;
    memcpy(request + head + BYTES, "\r\n", 2);
    size_t sent = 0, total = COUNT * bytes;
    for (int idle = 0; idle < 300 && sent < total;) {
        ssize_t more = send(fd, request + sent % bytes, bytes - sent % bytes, MSG_NOSIGNAL);
        sent += more > 0 ? (size_t)more : 0;
        idle = more > 0 ? 0 : idle + 1;
        step_all(f);
    }
    assert_true(sent < total); /* its own kernel is full: it was not read */
    assert_int_equal(counters(f).paused_by_replies, 1);
    assert_true(f->reactors[0]->buffers.bytes_used < 4 << 20);
    char *sink = malloc(1 << 20);
    size_t expected = COUNT * (strlen("$60000\r\n\r\n") + BYTES), got = 0;
    for (int idle = 0; idle < 2000 && got < expected; idle++) {
        ssize_t more = sent < total
                           ? send(fd, request + sent % bytes, bytes - sent % bytes, MSG_NOSIGNAL)
                           : 0;
        sent += more > 0 ? (size_t)more : 0;
        size_t heard_bytes = hear(f, fd, sink, 1 << 20);
        got += heard_bytes;
        idle = heard_bytes > 0 ? 0 : idle;
    }
    assert_int_equal(got, expected);
    free(sink);
    free(request);
    close(fd);
    fixture_close(f);
}

static void client_pause_holds_publishers_until_unpause(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int fd = client_of(f, 0), publisher = client_of(f, other(f));
    answers(f, fd, "CLIENT PAUSE 100000000 WRITE\r\n", "+OK\r\n");
    answers(f, publisher, "PING\r\nPUBLISH c x\r\nPING\r\n", "+PONG\r\n");
    answers(f, fd, "CLIENT UNPAUSE\r\n", "+OK\r\n");
    char got[64] = "";
    for (int i = 0, used = 0; i < 1000 && used < 11; i++) {
        assert_true(weir_reactor_run_once(f->reactors[other(f)], 1000000) >= 0);
        ssize_t more = recv(publisher, got + used, sizeof got - 1 - (size_t)used, 0);
        used += more > 0 ? (int)more : 0;
    }
    assert_string_equal(got, ":0\r\n+PONG\r\n");
    close(fd);
    close(publisher);
    fixture_close(f);
}

/* ---- transactions ---- */

static void a_transaction_answers_in_one_piece(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int fd = client_of(f, 0), listener = client_of(f, other(f));
    answers_part(f, listener, "SUBSCRIBE c\r\n", ":1\r\n");
    answers(f, fd, "MULTI\r\nPUBLISH c 1\r\nPING\r\nEXEC\r\n",
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n+PONG\r\n");
    assert_string_equal(heard(f, listener), "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n1\r\n");
    answers(f, fd, "MULTI\r\nMULTI\r\nWATCH x\r\nDISCARD\r\n",
            "+OK\r\n-ERR MULTI calls can not be nested\r\n-ERR WATCH inside MULTI is not "
            "allowed\r\n+OK\r\n");
    answers(f, fd, "MULTI\r\nNOPE\r\nEXEC\r\n",
            "+OK\r\n-ERR unknown command 'NOPE', with args beginning with: \r\n"
            "-EXECABORT Transaction discarded because of previous errors.\r\n");
    answers(f, fd, "WATCH k\r\nUNWATCH\r\nMULTI\r\nEXEC\r\n", "+OK\r\n+OK\r\n+OK\r\n*0\r\n");
    answers(f, fd, "MULTI\r\nSUBSCRIBE t\r\nEXEC\r\n",
            "+OK\r\n+QUEUED\r\n*1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nt\r\n:1\r\n");
    close(fd);
    close(listener);
    fixture_close(f);
}

static void a_transaction_that_waits_goes_on_where_it_was(void **state)
{
    enum { COUNT = 3000 };
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int fd = client_of(f, 0), listener = client_of(f, other(f));
    answers_part(f, listener, "SUBSCRIBE c\r\n", ":1\r\n");
    char *requests = numbered("PUBLISH c #\r\n", COUNT,
                              "CLIENT ID\r\nCLIENT LIST ID 999\r\nPING\r\nEXEC\r\nPING\r\n");
    char *messages = numbered("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$6\r\n#\r\n", COUNT, "");
    char *queued = numbered("+QUEUED\r\n", COUNT + 3, "*3003\r\n");
    char *ones = numbered(":1\r\n", COUNT, ":1\r\n$0\r\n\r\n+PONG\r\n+PONG\r\n");
    answers(f, fd, "MULTI\r\n", "+OK\r\n");
    say(f, fd, requests);
    for (int i = 0; i < 300; i++)
        step(f, 0);
    char *got = calloc(1, strlen(messages) + 1);
    assert_int_equal(hear(f, listener, got, strlen(messages)), strlen(messages));
    assert_string_equal(got, messages);
    const char *answer = heard(f, fd);
    assert_memory_equal(answer, queued, strlen(queued));
    assert_string_equal(answer + strlen(queued), ones);
    free(requests);
    free(messages);
    free(queued);
    free(ones);
    free(got);
    close(fd);
    close(listener);
    fixture_close(f);
}

/* ---- who is there ---- */

static const struct weir_resp_user users[] = {
    {.name = "default", .password = "secret"},
    {.name = "bob",
     .password = "b",
     .some_channels = true,
     .channels = (const char *const[]){"news.*"},
     .channel_count = 1},
    {.name = "gone", .disabled = true},
};

static void a_guest_may_only_log_in(void **state)
{
    struct weir_resp_settings settings = {.users = users, .user_count = 3};
    struct fixture *f = fixture_open(*state, NULL, &settings);
    int fd = client_of(f, 0);
    answers(f, fd, "PING\r\nPUBLISH a b\r\nGET x\r\n",
            "-NOAUTH Authentication required.\r\n"
            "-NOAUTH Authentication required.\r\n"
            "-NOAUTH Authentication required.\r\n");
    answers_part(f, fd, "HELLO 3\r\n",
                 "-NOAUTH HELLO must be called with the client already authenticated");
#define WRONG "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
    answers(
        f, fd,
        "AUTH no\r\nAUTH default secre\r\nAUTH default secrett\r\nAUTH gone x\r\nAUTH who x\r\n",
        WRONG WRONG WRONG WRONG WRONG);
    answers(f, fd, "AUTH secret\r\nPING\r\nRESET\r\nPING\r\n",
            "+OK\r\n+PONG\r\n+RESET\r\n-NOAUTH Authentication required.\r\n");
    answers_part(f, fd, "HELLO 3 AUTH default secret\r\n", "%7\r\n");
    answers(f, fd, "ACL WHOAMI\r\n", "$7\r\ndefault\r\n");
    int other_fd = client_of(f, 0);
    answers(f, other_fd, "*11\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n");
    is_closed(f, other_fd);
    close(other_fd);
    close(fd);
    fixture_close(f);
}

static void channels_of_others_are_refused(void **state)
{
    struct weir_resp_settings settings = {.users = users, .user_count = 3};
    struct fixture *f = fixture_open(*state, NULL, &settings);
    int fd = client_of(f, 0);
#define NO_CHANNEL \
    "-NOPERM this user has no permissions to access one of the channels used as arguments\r\n"
    answers(f, fd, "AUTH bob b\r\n", "+OK\r\n");
    answers(f, fd, "PUBLISH other x\r\nPUBLISH news.a x\r\nSPUBLISH x x\r\n",
            NO_CHANNEL ":0\r\n" NO_CHANNEL);
    answers(f, fd, "SUBSCRIBE news.a other\r\nPSUBSCRIBE news.a*\r\n", NO_CHANNEL NO_CHANNEL);
    answers(f, fd, "PSUBSCRIBE news.*\r\n", "*3\r\n$10\r\npsubscribe\r\n$6\r\nnews.*\r\n:1\r\n");
    close(fd);
    fixture_close(f);
}

static void one_client_too_many_is_told_so(void **state)
{
    struct weir_resp_settings settings = {.clients_max = 2};
    struct fixture *f = fixture_open(*state, NULL, &settings);
    int a = client_of(f, 0), b = client_of(f, other(f)), c = client_of(f, 0);
    assert_string_equal(heard(f, c), "-ERR max number of clients reached\r\n");
    is_closed(f, c);
    close(a);
    settle(f);
    int d = client_of(f, 0);
    answers(f, d, "PING\r\n", "+PONG\r\n");
    close(b);
    close(c);
    close(d);
    fixture_close(f);
}

static void clients_are_listed_and_killed_across_reactors(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int a = client_of(f, 0), b = client_of(f, other(f)), c = client_of(f, 0);
    answers(f, a, "CLIENT ID\r\nCLIENT SETNAME first\r\n", ":1\r\n+OK\r\n");
    answers(f, b, "CLIENT ID\r\nCLIENT SETINFO LIB-NAME lib\r\n", ":2\r\n+OK\r\n");
    answers(f, c, "CLIENT ID\r\n", ":3\r\n");
    answers_part(f, a, "CLIENT LIST\r\n",
                 " lib-name=lib lib-ver= window=0 dropped=0 stuck-ms=0 reactor=");
    answers_part(f, a, "CLIENT LIST ID 1\r\n", " name=first ");
    answers(f, a, "CLIENT LIST TYPE pubsub\r\n", "$0\r\n\r\n");
    answers_part(f, b, "SUBSCRIBE s\r\n", ":1\r\n");
    answers_part(f, a, "CLIENT LIST TYPE pubsub\r\n", "id=2 ");
    answers(f, a, "CLIENT KILL ID 2\r\n", ":1\r\n");
    is_closed(f, b);
    answers(f, a, "CLIENT KILL ID 2\r\nCLIENT KILL TYPE normal\r\nPUBSUB NUMSUB s\r\n",
            ":0\r\n:1\r\n*2\r\n$1\r\ns\r\n:0\r\n");
    is_closed(f, c);
    answers(f, a, "CLIENT KILL TYPE normal SKIPME no\r\n", ":1\r\n");
    is_closed(f, a);
    close(a);
    close(b);
    close(c);
    fixture_close(f);
}

static void who_asks_and_goes_is_not_answered(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int fd = client_of(f, 0);
    say(f, fd, "CLIENT LIST\r\nINFO\r\nPING\r\n");
    step(f, 0);
    struct linger at_once = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
    for (int i = 0; i < 100; i++)
        step(f, 0);
    settle(f);
    assert_int_equal(counters(f).clients, 0);
    fixture_close(f);
}

static void replies_can_be_turned_off(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int fd = client_of(f, 0);
    answers(f, fd, "CLIENT REPLY SKIP\r\nPING 1\r\nPING 2\r\n", "$1\r\n2\r\n");
    answers(f, fd, "CLIENT REPLY OFF\r\nPING\r\nNOPE\r\nCLIENT REPLY ON\r\nPING\r\n",
            "+OK\r\n+PONG\r\n");
    close(fd);
    fixture_close(f);
}

static void quit_is_answered_and_closes(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int fd = client_of(f, 0);
    answers(f, fd, "SUBSCRIBE c\r\nQUIT\r\nPING\r\n",
            "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n+OK\r\n");
    is_closed(f, fd);
    settle(f);
    assert_int_equal(counters(f).clients, 0);
    assert_int_equal(counters(f).subscriber_clients, 0);
    close(fd);
    fixture_close(f);
}

static void info_shows_every_reactor(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int fd = client_of(f, 0);
    char last[32];
    snprintf(last, sizeof last, "\r\nreactor_%u:io=", other(f));
    answers_part(f, fd, "INFO\r\n", "redis_version:7.4.0\r\n");
    answers_part(f, fd, "INFO\r\n", "\r\nloading:0\r\n");
    answers_part(f, fd, "INFO clients\r\n", "connected_clients:1\r\n");
    answers_part(f, fd, "INFO weir\r\n", "\r\nweir_dropped_oldest:0\r\n");
    answers_part(f, fd, "INFO weir\r\n", last);
    answers(f, fd, "INFO nope\r\n", "$0\r\n\r\n");
    close(fd);
    fixture_close(f);
}

static void commands_tell_about_themselves(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, NULL);
    int fd = client_of(f, 0);
    answers_part(f, fd, "COMMAND INFO publish nope\r\n", "*2\r\n*10\r\n$7\r\npublish\r\n:3\r\n");
    answers(f, fd, "COMMAND INFO nope\r\n", "*1\r\n*-1\r\n");
    answers_part(f, fd, "COMMAND DOCS ping\r\n", "*2\r\n$4\r\nping\r\n*4\r\n$7\r\nsummary\r\n");
    answers(f, fd, "COMMAND DOCS nope\r\n", "*0\r\n");
    answers(f, fd, "COMMAND GETKEYS SPUBLISH a b\r\n", "*1\r\n$1\r\na\r\n");
    answers(f, fd, "CONFIG GET save\r\n", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
    answers(f, fd, "CONFIG GET nope\r\nROLE\r\nSELECT 0\r\n",
            "*0\r\n*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n+OK\r\n");
    close(fd);
    fixture_close(f);
}

static void every_command_is_found_by_its_name(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < weir_resp_definition_count; i++) {
        const struct weir_resp_definition *definition = &weir_resp_definitions[i];
        struct weir_resp_slice name = {definition->name, strlen(definition->name)};
        assert_ptr_equal(weir_resp_definition_find(name), definition);
        assert_true(definition->run || definition->subcommands);
        assert_false(weir_resp_known_to_redis(name));
    }
    static const char *const known[] = {"GET", "set", "append", "Zunionstore", "xautoclaim", "debug"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_true(weir_resp_known_to_redis((struct weir_resp_slice){known[i], strlen(known[i])}));
    assert_false(weir_resp_known_to_redis((struct weir_resp_slice){"ge", 2}));
    assert_false(weir_resp_known_to_redis((struct weir_resp_slice){"nosuchcmd", 9}));
}

static void an_idle_client_is_a_kibibyte_at_most(void **state)
{
    (void)state;
    assert_true(sizeof(struct weir_tcp) + sizeof(struct weir_resp_session) <= 1024);
    struct fixture *f = fixture_open(*state, NULL, NULL);
    uint64_t before = f->reactors[0]->buffers.live_count;
    int fd = client_of(f, 0);
    answers(f, fd, "PING\r\n", "+PONG\r\n");
    settle(f);
    assert_int_equal(f->reactors[0]->buffers.live_count, before);
    close(fd);
    fixture_close(f);
}

#define CASES(X)                                                                                    \
    X(requests_are_answered_in_order)                                                               \
    X(a_cut_anywhere_changes_no_answer) X(a_large_message_grows_with_its_bytes) X(                  \
        malformed_input_is_answered_and_closed) X(http_gets_no_answer)                              \
        X(input_that_never_ends_is_cut_off) X(errors_are_rediss) X(                                 \
            subscriptions_are_confirmed_with_their_count) X(a_confirmation_waits_for_every_reactor) \
            X(messages_reach_channels_then_patterns) X(a_subscriber_of_resp2_may_do_little_else)    \
                X(a_subscriber_of_resp3_may_do_everything) X(                                       \
                    pubsub_shows_what_is_subscribed_anywhere)                                       \
                    X(publishes_without_credit_wait_and_keep_their_order) X(                        \
                        a_limit_that_shapes_delays_and_loses_nothing)                               \
                        X(a_limit_that_polices_says_so) X(who_does_not_read_is_not_served) X(       \
                            client_pause_holds_publishers_until_unpause)                            \
                            X(a_transaction_answers_in_one_piece) X(                                \
                                a_transaction_that_waits_goes_on_where_it_was)                      \
                                X(a_guest_may_only_log_in) X(channels_of_others_are_refused) X(     \
                                    one_client_too_many_is_told_so)                                 \
                                    X(clients_are_listed_and_killed_across_reactors) X(             \
                                        who_asks_and_goes_is_not_answered)                          \
                                        X(replies_can_be_turned_off) X(quit_is_answered_and_closes) \
                                            X(info_shows_every_reactor)                             \
                                                X(commands_tell_about_themselves)                   \
                                                    X(every_command_is_found_by_its_name)           \
                                                        X(an_idle_client_is_a_kibibyte_at_most)
#define COUNT_ONE(name) +1
enum { CASE_COUNT = 0 CASES(COUNT_ONE) };

/* resp_session [CASE]: a pattern of case names, for looking at one. */
int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    static struct world worlds[] = {
        {1, WEIR_IO_EPOLL, "one reactor, epoll", 0},     {2, WEIR_IO_EPOLL, "two reactors, epoll", 0},
        {4, WEIR_IO_EPOLL, "four reactors, epoll", 0},   {1, WEIR_IO_URING, "one reactor, io_uring", 0},
        {2, WEIR_IO_URING, "two reactors, io_uring", 0}, {4, WEIR_IO_URING, "four reactors, io_uring", 0},
    };
    int failures = 0;
    for (size_t i = 0; i < sizeof worlds / sizeof *worlds; i++) {
        if (worlds[i].io == WEIR_IO_URING && !uring_works())
            continue;
#define ONE_CASE(name) cmocka_unit_test_prestate(name, &worlds[i]),
        struct CMUnitTest tests[CASE_COUNT] = {CASES(ONE_CASE)};
        failures += _cmocka_run_group_tests(worlds[i].name, tests, CASE_COUNT, NULL, NULL);
    }
    return failures;
}
