/* tests/broker/window_test.c - what becomes of a subscriber that does not read, policy by policy. */
#include "broker_fixture.h"

#include <errno.h>

enum { BODY_BYTES = 1000 };

static struct fixture *open_with(enum weir_policy_action action, uint64_t hard_bytes)
{
    struct weir_broker_options options = {.default_policy = weir_policy_default()};
    options.default_policy.action = action;
    options.default_policy.hard_bytes = hard_bytes;
    options.default_policy.soft_bytes = 0;
    return fixture_open(2, &options);
}

/* Publish numbered events on reactor 0 until `count` went out, or one is refused. */
static int flood(struct fixture *f, int first, int count)
{
    char body[BODY_BYTES + 1];
    for (int i = first; i < first + count; i++) {
        uint64_t receivers;
        snprintf(body, sizeof body, "%0*d", BODY_BYTES, i);
        if (publish(f, 0, "t", body, &receivers) < 0)
            return i - first;
        if (i % 16 == 0)
            settle(f);
    }
    settle(f);
    return count;
}

/* Reads everything; the numbers of the events, in order of arrival. */
static int drain_numbers(struct fixture *f, struct client *client, int *numbers, int most)
{
    static char text[8 << 20];
    size_t used = 0;
    for (int quiet = 0; quiet < 20;) {
        ssize_t more = recv(client->fd, text + used, sizeof text - used, MSG_DONTWAIT);
        settle(f);
        quiet = more > 0 ? 0 : quiet + 1;
        used += more > 0 ? (size_t)more : 0;
    }
    int count = 0;
    for (size_t at = 0; at + 2 + BODY_BYTES < used && count < most; at += 3 + BODY_BYTES)
        numbers[count++] = (int)strtol(text + at + 2, NULL, 10);
    return count;
}

static uint64_t drain_bytes(struct fixture *f, struct client *client)
{
    static char text[1 << 16];
    uint64_t total = 0;
    for (int quiet = 0; quiet < 20;) {
        ssize_t more = recv(client->fd, text, sizeof text, MSG_DONTWAIT);
        settle(f);
        quiet = more > 0 ? 0 : quiet + 1;
        total += more > 0 ? (uint64_t)more : 0;
    }
    return total;
}

static int numbers[60000];

static void close_disconnects_at_the_hard_limit_and_not_before(void **state)
{
    (void)state;
    struct fixture *f = open_with(WEIR_POLICY_CLOSE, 4 << 20);
    struct client *slow = client_open(f, 1), *quick = client_open(f, 1);
    subscribe(slow, WEIR_NAME_TOPIC, "t");
    subscribe(quick, WEIR_NAME_PATTERN, "t");
    settle(f);
    int sent = flood(f, 0, 400); /* within the limit */
    assert_int_equal(sent, 400);
    assert_true(slow->open);
    for (int i = 0; i < 4000 && slow->open; i++) { /* publishers may be held for a moment, never for good */
        sent += flood(f, sent, 20);
        (void)drain_numbers(f, quick, numbers, 20000);
    }
    assert_true(sent > 4000);
    assert_false(slow->open);
    assert_string_equal(slow->evicted_why, "over the hard limit");
    fixture_close(f);
}

/* Twice as fast as it is read: without the wait it would be over the limit, many times. */
static void a_burst_does_not_cut_off_a_subscriber_that_keeps_reading(void **state)
{
    (void)state;
    struct fixture *f = open_with(WEIR_POLICY_CLOSE, 1 << 20);
    struct client *quick = client_open(f, 1);
    subscribe(quick, WEIR_NAME_TOPIC, "t");
    settle(f);
    static char half[32 * (BODY_BYTES + 3)];
    uint64_t sent = 0, got_bytes = 0, held = 0;
    for (int round = 0; round < 2000 && quick->open; round++) {
        int more = flood(f, (int)sent, 64);
        held += more < 64;
        sent += (uint64_t)more;
        ssize_t got = recv(quick->fd, half, sizeof half, MSG_DONTWAIT);
        got_bytes += got > 0 ? (uint64_t)got : 0;
        settle(f);
    }
    assert_true(quick->open);
    assert_true(held > 0); /* the wait is what saved it */
    assert_true(sent * (BODY_BYTES + 3) > 8u << 20);
    got_bytes += drain_bytes(f, quick);
    assert_int_equal(got_bytes, sent * (BODY_BYTES + 3)); /* every byte */
    fixture_close(f);
}

static void drop_newest_keeps_the_oldest_and_counts(void **state)
{
    (void)state;
    struct fixture *f = open_with(WEIR_POLICY_DROP_NEWEST, 1 << 20);
    struct client *slow = client_open(f, 1);
    subscribe(slow, WEIR_NAME_TOPIC, "t");
    settle(f);
    assert_int_equal(flood(f, 0, 12000), 12000);
    uint64_t dropped = slow->subscriber.window.dropped_count;
    int count = drain_numbers(f, slow, numbers, 20000);
    assert_true(dropped > 0);
    assert_int_equal((uint64_t)count + dropped, 12000);
    for (int i = 0; i < count; i++)
        assert_int_equal(numbers[i], i); /* an unbroken run from the first */
    assert_int_equal(weir_part_counters(weir_part(f->reactors[1]))->dropped_newest, dropped);
    fixture_close(f);
}

static void drop_oldest_keeps_the_newest_and_counts(void **state)
{
    (void)state;
    struct fixture *f = open_with(WEIR_POLICY_DROP_OLDEST, 1 << 20);
    struct client *slow = client_open(f, 1);
    subscribe(slow, WEIR_NAME_TOPIC, "t");
    settle(f);
    assert_int_equal(flood(f, 0, 12000), 12000);
    uint64_t dropped = slow->subscriber.window.dropped_count;
    int count = drain_numbers(f, slow, numbers, 20000);
    assert_true(dropped > 0);
    assert_int_equal((uint64_t)count + dropped, 12000);
    for (int i = 1; i < count; i++)
        assert_true(numbers[i] > numbers[i - 1]);
    assert_int_equal(numbers[count - 1], 11999);
    fixture_close(f);
}

static void pause_makes_publishers_wait_and_loses_nothing(void **state)
{
    (void)state;
    struct fixture *f = open_with(WEIR_POLICY_PAUSE, 1 << 20);
    struct client *slow = client_open(f, 1);
    subscribe(slow, WEIR_NAME_TOPIC, "t");
    settle(f);
    int sent = flood(f, 0, 20000);
    assert_true(sent < 20000); /* refused, on the other reactor */
    int count = drain_numbers(f, slow, numbers, 20000);
    assert_int_equal(count, sent);
    for (int i = 0; i < count; i++)
        assert_int_equal(numbers[i], i);
    assert_int_equal(flood(f, sent, 10), 10); /* it reads again, they go on */
    fixture_close(f);
}

static void a_reply_waits_behind_events_and_is_never_dropped(void **state)
{
    (void)state;
    struct fixture *f = open_with(WEIR_POLICY_DROP_OLDEST, 1 << 20);
    struct client *slow = client_open(f, 1);
    subscribe(slow, WEIR_NAME_TOPIC, "t");
    settle(f);
    flood(f, 0, 8000);
    assert_true(slow->subscriber.window.count > 0);
    char reply[BODY_BYTES + 4];
    snprintf(reply, sizeof reply, "t %0*d\n", BODY_BYTES, 424242);
    assert_int_equal(weir_subscriber_reply(&slow->subscriber, reply, strlen(reply)), 0);
    flood(f, 8000, 8000);
    int count = drain_numbers(f, slow, numbers, 20000), seen = 0;
    for (int i = 0; i < count; i++)
        seen += numbers[i] == 424242;
    assert_int_equal(seen, 1);
    assert_int_equal(numbers[count - 1], 15999);
    fixture_close(f);
}

static void memory_comes_back_when_a_slow_subscriber_goes(void **state)
{
    (void)state;
    struct fixture *f = open_with(WEIR_POLICY_DROP_NEWEST, 1 << 20);
    struct client *slow = client_open(f, 1);
    subscribe(slow, WEIR_NAME_TOPIC, "t");
    settle(f);
    uint64_t live = f->reactors[1]->buffers.live_count;
    flood(f, 0, 4000);
    assert_true(f->reactors[1]->buffers.live_count > live);
    shutdown(slow->fd, SHUT_RDWR);
    close(slow->fd);
    for (int i = 0; i < 1000 && slow->open; i++)
        weir_reactor_run_once(f->reactors[1], 1000000);
    settle(f);
    assert_false(slow->open);
    assert_true(f->reactors[1]->buffers.live_count <= live + 1); /* the page of encodings stays */
    assert_int_equal(weir_part_counters(weir_part(f->reactors[1]))->windowed_bytes, 0);
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_disconnects_at_the_hard_limit_and_not_before),
        cmocka_unit_test(a_burst_does_not_cut_off_a_subscriber_that_keeps_reading),
        cmocka_unit_test(drop_newest_keeps_the_oldest_and_counts),
        cmocka_unit_test(drop_oldest_keeps_the_newest_and_counts),
        cmocka_unit_test(pause_makes_publishers_wait_and_loses_nothing),
        cmocka_unit_test(a_reply_waits_behind_events_and_is_never_dropped),
        cmocka_unit_test(memory_comes_back_when_a_slow_subscriber_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
