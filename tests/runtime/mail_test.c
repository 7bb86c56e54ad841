/* tests/runtime/mail_test.c - messages between reactors: shown at the end of a turn, refused without credit, resumed in order. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/runtime/topic_fixture.h"

#include <weir/tcp.h>

#include "runtime/handlers.h"
#include "runtime/mail.h"
#include "runtime/reactor.h"
#include "runtime/runtime.h"

enum { MAIL_NUMBERED = WEIR_MAIL_BROKER, WAITERS = 5 };

struct post_office {
    struct fixture fixture;
    uint64_t next[2][2]; /* [to][from] */
};

static struct post_office office;

static void on_numbered(struct weir_reactor *reactor, uint32_t from, const struct weir_mail *mail)
{
    assert_int_equal(mail->type, MAIL_NUMBERED);
    assert_int_equal(mail->words[0], office.next[reactor->index][from]++);
}

static void open_office(void)
{
    memset(&office, 0, sizeof office);
    struct weir_runtime_options options = plain_options(2);
    options.log = keep_line;
    options.log_context = &office.fixture;
    assert_int_equal(weir_runtime_open(&options, &office.fixture.runtime), 0);
    office.fixture.reactor = weir_runtime_reactor(office.fixture.runtime, 0);
    weir_mail_handle(office.fixture.runtime, MAIL_NUMBERED, on_numbered);
    settle(&office.fixture);
}

static bool send_numbered(uint32_t from, uint64_t number)
{
    struct weir_mail *mail = weir_mail_reserve(reactor_at(&office.fixture, from), 1 - from, MAIL_NUMBERED, WEIR_LANE_REQUEST);
    if (mail)
        mail->words[0] = number;
    return mail != NULL;
}

static uint64_t fill(uint32_t from, uint64_t number)
{
    while (send_numbered(from, number))
        number++;
    return number;
}

static void mail_is_shown_when_the_turn_ends(void **state)
{
    (void)state;
    open_office();
    assert_true(send_numbered(0, 0));
    turn(&office.fixture, 1);
    assert_int_equal(office.next[1][0], 0);
    turn(&office.fixture, 0);
    turn(&office.fixture, 1);
    assert_int_equal(office.next[1][0], 1);
    close_fixture(&office.fixture);
}

static void a_full_ring_refuses_and_counts(void **state)
{
    (void)state;
    open_office();
    uint64_t sent = fill(0, 0);
    assert_true(sent > 0);
    assert_int_equal(weir_mail_credit(office.fixture.reactor, 1), 0);
    assert_true(office.fixture.reactor->counters.mail_full > 0);
    uint64_t back = fill(1, 0); /* the other way is another ring */
    assert_int_equal(back, sent);
    settle(&office.fixture);
    assert_int_equal(office.next[1][0], sent);
    assert_int_equal(office.next[0][1], back);
    assert_int_equal(weir_mail_credit(office.fixture.reactor, 1), sent);
    close_fixture(&office.fixture);
}

static void a_reply_finds_room_where_a_request_does_not(void **state)
{
    (void)state;
    open_office();
    uint64_t sent = fill(0, 0);
    struct weir_mail *reply = weir_mail_reserve(office.fixture.reactor, 1, MAIL_NUMBERED, WEIR_LANE_REPLY);
    assert_non_null(reply);
    reply->words[0] = sent;
    settle(&office.fixture);
    assert_int_equal(office.next[1][0], sent + 1);
    close_fixture(&office.fixture);
}

struct waiting {
    struct weir_waiter waiter;
    char letter;
    bool again; /* waits once more when it is resumed */
};

static struct trail trail;

static void on_resumed(struct weir_reactor *reactor, void *context)
{
    struct waiting *waiting = context;
    leave(&trail, waiting->letter);
    assert_true(weir_mail_credit(reactor, 1) > 0);
    if (!waiting->again)
        return;
    waiting->again = false;
    weir_mail_wait(reactor, 1, &waiting->waiter);
}

static void who_waits_is_resumed_in_order_once_there_is_credit(void **state)
{
    (void)state;
    struct waiting waiting[WAITERS] = {{{0}, 0, false}};
    memset(&trail, 0, sizeof trail);
    open_office();
    fill(0, 0);
    for (int i = 0; i < WAITERS; i++) {
        waiting[i] = (struct waiting){{.resume = on_resumed, .context = &waiting[i]}, (char)('a' + i), i == 1};
        weir_mail_wait(office.fixture.reactor, 1, &waiting[i].waiter);
    }
    weir_mail_wait_cancel(office.fixture.reactor, &waiting[2].waiter);
    weir_mail_wait_cancel(office.fixture.reactor, &waiting[2].waiter);
    for (int i = 0; i < 5; i++)
        turn(&office.fixture, 0);
    assert_string_equal(trail.text, ""); /* nobody has taken anything */
    settle(&office.fixture);
    assert_string_equal(trail.text, "abdeb");
    assert_int_equal(office.fixture.reactor->waiting_count, 0);
    close_fixture(&office.fixture);
}

static void note_call(struct weir_reactor *reactor, void *context)
{
    leave(context, (char)('0' + reactor->index));
}

static void a_call_runs_there_and_here_at_once(void **state)
{
    (void)state;
    memset(&trail, 0, sizeof trail);
    open_office();
    assert_int_equal(weir_mail_call(office.fixture.reactor, 0, note_call, &trail), 0);
    assert_string_equal(trail.text, "0");
    assert_int_equal(weir_mail_call(office.fixture.reactor, 1, note_call, &trail), 0);
    assert_string_equal(trail.text, "0");
    settle(&office.fixture);
    assert_string_equal(trail.text, "01");
    fill(0, 0);
    assert_int_equal(weir_mail_call(office.fixture.reactor, 1, note_call, &trail), -EAGAIN);
    settle(&office.fixture);
    assert_string_equal(trail.text, "01");
    close_fixture(&office.fixture);
}

static void count_up(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    uint64_t number, *next = context;
    (void)on;
    memcpy(&number, event->body, sizeof number);
    assert_int_equal(number, (*next)++);
}

/* A reactor whose queue is full takes no posts; what else was sent to it after them must not wait for that. */
static void mail_goes_past_posts_that_are_refused(void **state)
{
    (void)state;
    uint64_t next = 0;
    struct weir_on_options options = WEIR_OPTIONS(struct weir_on_options);
    options.keyed = true;
    memset(&trail, 0, sizeof trail);
    open_office();
    struct weir_topic topic = topic_of(&office.fixture, "work");
    assert_int_equal(weir_on_with(reactor_at(&office.fixture, 1), "work", count_up, &next, &options, NULL), 0);
    reactor_at(&office.fixture, 1)->topics->events.live_max = 4;
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(weir_post_keyed(office.fixture.reactor, topic, 1, 7, &i, sizeof i), 0);
    assert_int_equal(weir_mail_call(office.fixture.reactor, 1, note_call, &trail), 0);
    turn(&office.fixture, 0);
    turn(&office.fixture, 1);
    assert_true(next < 20);
    assert_string_equal(trail.text, "1");
    settle(&office.fixture);
    assert_int_equal(next, 20);
    close_fixture(&office.fixture);
}

static void who_waits_to_post_does_not_hold_up_who_waits_to_send(void **state)
{
    (void)state;
    struct waiting sender = {{.resume = on_resumed, .context = &sender}, 's', false};
    struct weir_waiter poster = {.resume = note_call, .context = &trail};
    uint64_t next = 0, number = 0;
    struct weir_on_options options = WEIR_OPTIONS(struct weir_on_options);
    options.keyed = true;
    memset(&trail, 0, sizeof trail);
    open_office();
    struct weir_topic topic = topic_of(&office.fixture, "work");
    assert_int_equal(weir_on_with(reactor_at(&office.fixture, 1), "work", count_up, &next, &options, NULL), 0);
    reactor_at(&office.fixture, 1)->topics->events.live_max = 0; /* takes none at all */
    while (weir_post_keyed(office.fixture.reactor, topic, 1, 7, &number, sizeof number) == 0)
        number++;
    weir_post_resume(office.fixture.reactor, 1, &poster);
    fill(0, 0);
    weir_mail_wait(office.fixture.reactor, 1, &sender.waiter);
    for (int i = 0; i < 6; i++)
        turn(&office.fixture, i % 2);
    assert_string_equal(trail.text, "s");
    reactor_at(&office.fixture, 1)->topics->events.live_max = 65536;
    settle(&office.fixture);
    assert_string_equal(trail.text, "s0");
    assert_int_equal(next, number);
    close_fixture(&office.fixture);
}

static uint64_t mail_before_bytes;

static void note_mail(struct weir_reactor *reactor, struct weir_tcp *conn, const void *bytes, size_t byte_count)
{
    (void)conn;
    (void)bytes;
    (void)byte_count;
    mail_before_bytes = office.next[reactor->index][0];
}

static int dial_reactor(struct weir_reactor *reactor)
{
    struct weir_tcp_handlers handlers = WEIR_OPTIONS(struct weir_tcp_handlers);
    struct weir_tcp_listener *listener;
    handlers.on_data = note_mail;
    assert_int_equal(weir_tcp_listen(reactor, "127.0.0.1:0", &handlers, NULL, NULL, &listener), 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(weir_tcp_listener_port(listener))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    settle(&office.fixture);
    return fd;
}

/* More mail than a turn's helping, so some of an older look is left when newer mail is shown. */
static void mail_that_was_shown_comes_before_a_clients_bytes(void **state)
{
    (void)state;
    open_office();
    int fd = dial_reactor(reactor_at(&office.fixture, 1));
    uint64_t number = 0;
    while (number < 600)
        assert_true(send_numbered(0, number++));
    turn(&office.fixture, 0);
    turn(&office.fixture, 1);
    assert_true(office.next[1][0] > 0);
    assert_true(office.next[1][0] < number);
    while (number < 700)
        assert_true(send_numbered(0, number++));
    turn(&office.fixture, 0);
    assert_int_equal(write(fd, "x", 1), 1); /* as a client whose answer came behind all of it */
    mail_before_bytes = 0;
    for (int i = 0; i < 1000 && mail_before_bytes == 0; i++)
        turn(&office.fixture, 1);
    assert_int_equal(mail_before_bytes, number);
    close(fd);
    close_fixture(&office.fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_is_shown_when_the_turn_ends),
        cmocka_unit_test(a_full_ring_refuses_and_counts),
        cmocka_unit_test(a_reply_finds_room_where_a_request_does_not),
        cmocka_unit_test(who_waits_is_resumed_in_order_once_there_is_credit),
        cmocka_unit_test(a_call_runs_there_and_here_at_once),
        cmocka_unit_test(mail_goes_past_posts_that_are_refused),
        cmocka_unit_test(who_waits_to_post_does_not_hold_up_who_waits_to_send),
        cmocka_unit_test(mail_that_was_shown_comes_before_a_clients_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
