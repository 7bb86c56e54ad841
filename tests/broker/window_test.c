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

/*
 * Twice as fast as it is read: without the wait it would be over the limit, many times. False: this thread, which also reads, was kept
 * off its CPU for about as long as a stall is, so it was rightly cut off.
 */
static bool read_through_bursts(void)
{
    struct fixture *f = open_with(WEIR_POLICY_CLOSE, 1 << 20);
    struct client *quick = client_open(f, 1);
    subscribe(quick, WEIR_NAME_TOPIC, "t");
    settle(f);
    static char half[32 * (BODY_BYTES + 3)];
    uint64_t sent = 0, got_bytes = 0, held = 0, last_ns = f->reactors[1]->now_ns;
    bool kept_off = false;
    for (int round = 0; round < 2000 && quick->open; round++) {
        kept_off |= f->reactors[1]->now_ns - last_ns > 50000000;
        last_ns = f->reactors[1]->now_ns;
        int more = flood(f, (int)sent, 64);
        sent += (uint64_t)more;
        ssize_t got = recv(quick->fd, half, sizeof half, MSG_DONTWAIT);
        got_bytes += got > 0 ? (uint64_t)got : 0;
        settle(f);
        if (more == 64)
            continue;
        held++; /* publishers wait: it takes what is there, and they go on */
        got_bytes += drain_bytes(f, quick);
    }
    kept_off |= f->reactors[1]->now_ns - last_ns > 50000000;
    if (kept_off && !quick->open) {
        fixture_close(f);
        return false;
    }
    assert_true(quick->open);
    assert_true(held > 0); /* the wait is what saved it */
    assert_true(sent * (BODY_BYTES + 3) > 8u << 20);
    got_bytes += drain_bytes(f, quick);
    assert_int_equal(got_bytes, sent * (BODY_BYTES + 3)); /* every byte */
    fixture_close(f);
    return true;
}

static void a_burst_does_not_cut_off_a_subscriber_that_keeps_reading(void **state)
{
    (void)state;
    for (int tries = 0; !read_through_bursts(); tries++)
        if (tries == 50)
            skip(); /* never once had this thread its CPU for two seconds: nothing is learned here */
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

static void what_one_topic_drops_is_not_taken_from_another(void **state)
{
    (void)state;
    struct weir_policy_rule rule = {.glob = "t", .policy = weir_policy_default()};
    rule.policy.action = WEIR_POLICY_DROP_OLDEST;
    rule.policy.hard_bytes = 64 << 10;
    struct weir_broker_options options = {
        .policies = &rule, .policy_count = 1, .default_policy = weir_policy_default()};
    struct fixture *f = fixture_open(2, &options);
    struct client *slow = client_open(f, 1);
    subscribe(slow, WEIR_NAME_TOPIC, "t");
    subscribe(slow, WEIR_NAME_TOPIC, "k");
    settle(f);
    weir_tcp_cork(slow->subscriber.conn, true);
    assert_int_equal(flood(f, 0, 60), 60); /* what comes behind it waits in the window */
    char body[BODY_BYTES + 1];
    for (int i = 0; i < 5; i++) {
        snprintf(body, sizeof body, "%0*d", BODY_BYTES, 700000 + i);
        assert_int_equal(published(f, 0, "k", body), 1);
    }
    assert_int_equal(flood(f, 60, 500), 500);
    assert_true(slow->subscriber.window.dropped_count > 100);
    weir_tcp_cork(slow->subscriber.conn, false);
    int count = drain_numbers(f, slow, numbers, 20000), kept = 0;
    for (int i = 0; i < count; i++)
        kept += numbers[i] == 700000 + kept;
    assert_int_equal(kept, 5);
    assert_int_equal(numbers[count - 1], 559);
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

/* ---- who waits for a subscriber is told when there is nothing to wait for any more ---- */

struct publisher { /* of "t" on reactor 0, beside the subscriber; goes on by itself whenever it is resumed */
    struct fixture *f;
    struct weir_publish_waiter waiter;
    int left;
};

static void go_on(struct weir_reactor *reactor, void *context)
{
    struct publisher *publisher = context;
    static char body[BODY_BYTES + 1];
    memset(body, 'x', BODY_BYTES);
    struct weir_publication publication = {.kind = WEIR_NAME_TOPIC, .name = slice("t"), .body = slice(body)};
    uint64_t receivers;
    for (; publisher->left > 0; publisher->left--)
        if (weir_broker_publish(weir_part(reactor), &publication, &publisher->waiter, &receivers) < 0)
            return;
}

static void start_publisher(struct publisher *publisher, struct fixture *f)
{
    *publisher = (struct publisher){.f = f, .left = 50000};
    publisher->waiter.waiter.resume = go_on;
    publisher->waiter.waiter.context = publisher;
    go_on(f->reactors[0], publisher);
    assert_true(publisher->left > 0);
    assert_non_null(publisher->waiter.waiter.next); /* it waits */
}

static void publishers_go_on_when_the_one_they_waited_for_unsubscribes(void **state)
{
    (void)state;
    struct fixture *f = open_with(WEIR_POLICY_PAUSE, 1 << 20);
    struct client *slow = client_open(f, 0);
    struct publisher publisher;
    subscribe(slow, WEIR_NAME_TOPIC, "t");
    settle(f);
    weir_tcp_cork(slow->subscriber.conn, true); /* nothing leaves: only the unsubscribing can end the wait */
    start_publisher(&publisher, f);
    unsubscribe(slow, WEIR_NAME_TOPIC, "t");
    settle(f);
    assert_int_equal(publisher.left, 0);
    fixture_close(f);
}

static void publishers_go_on_when_the_one_they_waited_for_is_gone(void **state)
{
    (void)state;
    struct fixture *f = open_with(WEIR_POLICY_PAUSE, 1 << 20);
    struct client *slow = client_open(f, 0);
    struct publisher publisher;
    subscribe(slow, WEIR_NAME_TOPIC, "t");
    settle(f);
    start_publisher(&publisher, f);
    weir_tcp_abort(slow->subscriber.conn); /* not an eviction: its events still wait when it closes */
    for (int i = 0; i < 1000 && slow->open; i++)
        weir_reactor_run_once(f->reactors[0], 1000000);
    settle(f);
    assert_int_equal(publisher.left, 0);
    fixture_close(f);
}

/* It has said that it will send no more, so it is closed as soon as it has taken what was sent before. */
static void nobody_waits_for_one_that_is_leaving(void **state)
{
    (void)state;
    struct fixture *f = open_with(WEIR_POLICY_PAUSE, 1 << 20);
    struct client *slow = client_open(f, 0);
    struct publisher publisher;
    subscribe(slow, WEIR_NAME_TOPIC, "t");
    settle(f);
    assert_true(flood(f, 0, 20000) < 20000); /* the kernel's buffers are full as well */
    start_publisher(&publisher, f);
    weir_tcp_close(slow->subscriber.conn);
    for (int i = 0; i < 2000 && publisher.left > 0; i++)
        weir_reactor_run_once(f->reactors[0], 1000000);
    assert_int_equal(publisher.left, 0);
    assert_string_equal(slow->evicted_why, "");
    fixture_close(f);
}

/* One event of `body_bytes`. */
static int publish_one(struct fixture *f, const char *name, size_t body_bytes)
{
    static char body[128 << 10];
    memset(body, 'x', sizeof body);
    uint64_t receivers;
    struct weir_publication publication = {
        .kind = WEIR_NAME_TOPIC, .name = slice(name), .body = {(const uint8_t *)body, body_bytes}};
    return weir_broker_publish(weir_part(f->reactors[0]), &publication, NULL, &receivers);
}

/* Turns of reactor 0 until `*flag` is as wanted; the bound is far above what it takes. */
static bool turns_until(struct fixture *f, const bool *flag, bool wanted)
{
    for (int i = 0; i < 5000 && *flag != wanted; i++)
        assert_true(weir_reactor_run_once(f->reactors[0], 1000000) >= 0);
    return *flag == wanted;
}

static void a_pause_ends_though_little_waits_and_the_window_is_empty(void **state)
{
    (void)state;
    struct fixture *f = open_with(WEIR_POLICY_CLOSE, 256 << 10);
    struct client *slow = client_open(f, 0);
    struct weir_subscriber *subscriber = &slow->subscriber;
    subscribe(slow, WEIR_NAME_TOPIC, "t");
    settle(f);
    weir_tcp_cork(subscriber->conn, true);
    assert_int_equal(publish_one(f, "t", 75000), 0); /* goes ahead */
    assert_int_equal(publish_one(f, "t", 60000), 0); /* waits */
    assert_true(subscriber->pausing_since_ns > 0);
    slow->stalls = true;
    weir_tcp_cork(subscriber->conn, false);
    for (int i = 0; i < 1000 && subscriber->window.count > 0; i++)
        weir_reactor_run_once(f->reactors[0], 1000000);
    assert_int_equal(subscriber->window.count, 0);
    assert_true(subscriber->pausing_since_ns > 0); /* and now it stalls */
    for (int i = 0; i < 5000 && subscriber->pausing_since_ns; i++)
        weir_reactor_run_once(f->reactors[0], 1000000);
    assert_int_equal(subscriber->pausing_since_ns, 0);
    assert_int_equal(publish_one(f, "t", 10), 0);
    fixture_close(f);
}

static void the_deadline_of_a_pause_holds_when_other_topics_have_other_policies(void **state)
{
    (void)state;
    struct weir_policy_rule rule = {.glob = "t", .policy = weir_policy_default()};
    rule.policy.action = WEIR_POLICY_PAUSE;
    rule.policy.hard_bytes = 1 << 20;
    rule.policy.pause_deadline_ns = 50000000;
    struct weir_broker_options options = {
        .policies = &rule, .policy_count = 1, .default_policy = weir_policy_default()};
    options.default_policy.action = WEIR_POLICY_DROP_NEWEST;
    struct fixture *f = fixture_open(1, &options);
    struct client *slow = client_open(f, 0);
    subscribe(slow, WEIR_NAME_TOPIC, "t");
    subscribe(slow, WEIR_NAME_TOPIC, "other");
    settle(f);
    for (int i = 0; i < 1000 && publish_one(f, "t", 100000) == 0; i++)
        settle(f);
    assert_true(slow->subscriber.pausing_since_ns > 0);
    assert_int_equal(publish_one(f, "other", 10), 0);
    assert_true(turns_until(f, &slow->open, false));
    assert_string_equal(slow->evicted_why, "publishers waited for it too long");
    fixture_close(f);
}

/* ---- whose policy counts ---- */

/* "q.*" drops the newest beyond 64 KiB, "p.*" pauses there, anything else closes beyond 4 MiB. */
static struct fixture *open_with_rules(void)
{
    struct weir_policy_rule rules[2] = {{.glob = "q.*", .policy = weir_policy_default()},
                                        {.glob = "p.*", .policy = weir_policy_default()}};
    struct weir_broker_options options = {
        .policies = rules, .policy_count = 2, .default_policy = weir_policy_default()};
    rules[0].policy.action = WEIR_POLICY_DROP_NEWEST;
    rules[1].policy.action = WEIR_POLICY_PAUSE;
    rules[0].policy.hard_bytes = rules[1].policy.hard_bytes = 64 << 10;
    options.default_policy.hard_bytes = 4 << 20;
    return fixture_open(1, &options);
}

static void an_event_by_a_pattern_has_the_policy_of_its_topic(void **state)
{
    (void)state;
    struct fixture *f = open_with_rules();
    struct client *slow = client_open(f, 0);
    subscribe(slow, WEIR_NAME_PATTERN, "?.*"); /* as text it is no topic of either rule */
    settle(f);
    weir_tcp_cork(slow->subscriber.conn, true);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(publish_one(f, "q.1", 1000), 0);
    assert_true(slow->subscriber.window.dropped_count > 800);
    assert_string_equal(slow->evicted_why, "");
    assert_int_equal(publish_one(f, "p.1", 1000), 0);
    assert_int_equal(publish_one(f, "p.1", 1000), -EAGAIN);
    fixture_close(f);
}

static void a_pattern_makes_publishers_wait_only_where_the_topic_may(void **state)
{
    (void)state;
    struct fixture *f = open_with_rules();
    struct client *slow = client_open(f, 0);
    subscribe(slow, WEIR_NAME_PATTERN, "?.*");
    settle(f);
    weir_tcp_cork(slow->subscriber.conn, true);
    while (publish_one(f, "p.1", 1000) == 0)
        ;
    assert_true(slow->subscriber.pausing_since_ns > 0);
    assert_int_equal(publish_one(f, "p.2", 1000), -EAGAIN);
    uint64_t dropped = slow->subscriber.window.dropped_count;
    assert_int_equal(publish_one(f, "q.1", 1000), 0);
    assert_int_equal(slow->subscriber.window.dropped_count, dropped + 1);
    unsubscribe(slow, WEIR_NAME_PATTERN, "?.*");
    assert_int_equal(publish_one(f, "p.1", 1000), 0);
    fixture_close(f);
}

static void one_that_stalls_with_little_waiting_goes_too(void **state)
{
    (void)state;
    struct weir_broker_options options = {.default_policy = weir_policy_default()};
    options.default_policy.stuck_ns = 50000000;
    struct fixture *f = fixture_open(1, &options);
    struct client *slow = client_open(f, 0), *quick = client_open(f, 0);
    subscribe(slow, WEIR_NAME_TOPIC, "t");
    subscribe(quick, WEIR_NAME_TOPIC, "t");
    settle(f);
    weir_tcp_cork(slow->subscriber.conn, true);
    assert_int_equal(publish_one(f, "t", 100), 0); /* the only one there ever is */
    assert_true(turns_until(f, &slow->open, false));
    assert_string_equal(slow->evicted_why, "no progress");
    assert_true(quick->open);
    assert_true(weir_list_empty(&quick->subscriber.slow));
    assert_int_equal(weir_part_counters(weir_part(f->reactors[0]))->evicted_stuck, 1);
    fixture_close(f);
}

static void memory_is_taken_from_those_that_stall_with_little_each(void **state)
{
    (void)state;
    struct fixture *f = fixture_open_sized(1, NULL, 16 << 20);
    struct client *quick = client_open(f, 0), *zombies[40];
    subscribe(quick, WEIR_NAME_TOPIC, "bulk");
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "rare%d", i);
        zombies[i] = client_open(f, 0);
        subscribe(zombies[i], WEIR_NAME_TOPIC, name);
        weir_tcp_cork(zombies[i]->subscriber.conn, true);
    }
    uint64_t sent = 0, got = 0;
    static char text[1 << 16];
    for (int i = 0; i < 4000 && quick->open; i++) { /* few bytes for each zombie, on pages that are full of others' */
        char name[16];
        snprintf(name, sizeof name, "rare%d", i % 40);
        (void)publish_one(f, name, 400);
        sent += publish_one(f, "bulk", 30000) == 0 ? 30000 + 6 : 0;
        assert_true(weir_reactor_run_once(f->reactors[0], 1000000) >= 0);
        for (ssize_t more; (more = recv(quick->fd, text, sizeof text, MSG_DONTWAIT)) > 0;)
            got += (uint64_t)more;
    }
    assert_string_equal(quick->evicted_why ? quick->evicted_why : "", "");
    assert_true(quick->open);
    assert_int_equal(got + drain_bytes(f, quick), sent);
    fixture_close(f);
}

static void a_reply_that_waits_does_not_let_the_window_grow(void **state)
{
    (void)state;
    struct fixture *f = open_with(WEIR_POLICY_DROP_OLDEST, 1 << 20);
    struct client *slow = client_open(f, 1);
    subscribe(slow, WEIR_NAME_TOPIC, "t");
    settle(f);
    flood(f, 0, 8000);
    assert_true(slow->subscriber.window.count > 0);
    assert_int_equal(weir_subscriber_reply(&slow->subscriber, "reply\n", 6), 0);
    flood(f, 8000, 8000);
    assert_true(slow->subscriber.window.count <= (1 << 20) / BODY_BYTES + 1);
    fixture_close(f);
}

/* It takes as little as counts as moving, and would hold the publishers at its own pace for ever. */
static void one_that_only_drips_does_not_hold_publishers_for_long(void **state)
{
    (void)state;
    struct fixture *f = open_with(WEIR_POLICY_CLOSE, 1 << 20);
    struct client *slow = client_open(f, 0);
    subscribe(slow, WEIR_NAME_TOPIC, "t");
    settle(f);
    weir_tcp_cork(slow->subscriber.conn, true);
    while (publish_one(f, "t", 10000) == 0)
        ;
    assert_true(slow->subscriber.pausing_since_ns > 0);
    for (int i = 0; i < 10000 && slow->subscriber.pausing_since_ns; i++) {
        slow->subscriber.conn->sent_ns = f->reactors[0]->now_ns; /* as if a byte had left */
        weir_reactor_run_once(f->reactors[0], 1000000);
    }
    assert_int_equal(slow->subscriber.pausing_since_ns, 0);
    assert_int_equal(publish_one(f, "t", 10000), 0);
    fixture_close(f);
}

static void many_that_stall_do_not_take_turns_at_holding_publishers(void **state)
{
    (void)state;
    struct fixture *f = open_with(WEIR_POLICY_CLOSE, 1 << 20);
    struct client *first = client_open(f, 0), *second = client_open(f, 0);
    subscribe(first, WEIR_NAME_TOPIC, "first");
    subscribe(second, WEIR_NAME_TOPIC, "second");
    settle(f);
    weir_tcp_cork(first->subscriber.conn, true);
    weir_tcp_cork(second->subscriber.conn, true);
    while (publish_one(f, "first", 10000) == 0)
        ;
    for (int i = 0; i < 5000 && first->subscriber.pausing_since_ns; i++)
        weir_reactor_run_once(f->reactors[0], 1000000);
    assert_int_equal(first->subscriber.pausing_since_ns, 0); /* waited for in vain */
    int refused = 0;
    for (int i = 0; i < 1000 && !second->evicted_why[0]; i++)
        refused += publish_one(f, "second", 10000) < 0;
    assert_int_equal(refused, 0);
    assert_string_equal(second->evicted_why, "over the hard limit");
    fixture_close(f);
}

/* Its events are few and small, but each lies on a page with what others were sent meanwhile. */
static void one_that_stalls_does_not_take_the_memory_of_the_others(void **state)
{
    (void)state;
    struct fixture *f = fixture_open_sized(1, NULL, 16 << 20);
    struct client *zombie = client_open(f, 0), *quick = client_open(f, 0);
    subscribe(zombie, WEIR_NAME_TOPIC, "rare");
    subscribe(quick, WEIR_NAME_TOPIC, "bulk");
    settle(f);
    weir_tcp_cork(zombie->subscriber.conn, true);
    uint64_t sent = 0, got = 0;
    static char text[1 << 16];
    for (int i = 0; i < 20000 && quick->open && zombie->open; i++) {
        (void)publish_one(f, "rare", 400);
        sent += publish_one(f, "bulk", 30000) == 0 ? 30000 + 6 : 0;
        assert_true(weir_reactor_run_once(f->reactors[0], 1000000) >= 0);
        for (ssize_t more; (more = recv(quick->fd, text, sizeof text, MSG_DONTWAIT)) > 0;)
            got += (uint64_t)more;
    }
    assert_false(zombie->open);
    assert_true(quick->open);
    assert_int_equal(got + drain_bytes(f, quick), sent);
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_disconnects_at_the_hard_limit_and_not_before),
        cmocka_unit_test(a_burst_does_not_cut_off_a_subscriber_that_keeps_reading),
        cmocka_unit_test(drop_newest_keeps_the_oldest_and_counts),
        cmocka_unit_test(drop_oldest_keeps_the_newest_and_counts),
        cmocka_unit_test(what_one_topic_drops_is_not_taken_from_another),
        cmocka_unit_test(pause_makes_publishers_wait_and_loses_nothing),
        cmocka_unit_test(a_reply_waits_behind_events_and_is_never_dropped),
        cmocka_unit_test(memory_comes_back_when_a_slow_subscriber_goes),
        cmocka_unit_test(publishers_go_on_when_the_one_they_waited_for_unsubscribes),
        cmocka_unit_test(publishers_go_on_when_the_one_they_waited_for_is_gone),
        cmocka_unit_test(nobody_waits_for_one_that_is_leaving),
        cmocka_unit_test(a_pause_ends_though_little_waits_and_the_window_is_empty),
        cmocka_unit_test(the_deadline_of_a_pause_holds_when_other_topics_have_other_policies),
        cmocka_unit_test(an_event_by_a_pattern_has_the_policy_of_its_topic),
        cmocka_unit_test(a_pattern_makes_publishers_wait_only_where_the_topic_may),
        cmocka_unit_test(one_that_stalls_with_little_waiting_goes_too),
        cmocka_unit_test(memory_is_taken_from_those_that_stall_with_little_each),
        cmocka_unit_test(a_reply_that_waits_does_not_let_the_window_grow),
        cmocka_unit_test(one_that_only_drips_does_not_hold_publishers_for_long),
        cmocka_unit_test(many_that_stall_do_not_take_turns_at_holding_publishers),
        cmocka_unit_test(one_that_stalls_does_not_take_the_memory_of_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
