/* tests/broker/publish_test.c - who gets what, from which reactor, in which order. */
#include "broker_fixture.h"

static void a_publish_counts_and_reaches_subscribers_of_every_reactor(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(3, NULL);
    struct client *a = client_open(f, 0), *b = client_open(f, 1), *c = client_open(f, 2);
    subscribe(a, WEIR_NAME_TOPIC, "news");
    subscribe(b, WEIR_NAME_TOPIC, "news");
    subscribe(c, WEIR_NAME_TOPIC, "other");
    settle(f);
    for (uint32_t from = 0; from < 3; from++)
        assert_int_equal(published(f, from, "news", "x"), 2);
    assert_string_equal(received(f, a), "news x\nnews x\nnews x\n");
    assert_string_equal(received(f, b), "news x\nnews x\nnews x\n");
    assert_string_equal(received(f, c), "");
    fixture_close(f);
}

static void a_subscriber_by_name_and_by_pattern_gets_both_and_the_topic_first(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(2, NULL);
    struct client *a = client_open(f, 1);
    subscribe(a, WEIR_NAME_PATTERN, "ne*");
    subscribe(a, WEIR_NAME_TOPIC, "news");
    subscribe(a, WEIR_NAME_PATTERN, "*z");
    settle(f);
    assert_int_equal(published(f, 0, "news", "x"), 2);
    assert_string_equal(received(f, a), "news x\nnews~x\n");
    fixture_close(f);
}

static void shards_and_topics_of_one_name_are_strangers(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(2, NULL);
    struct client *a = client_open(f, 1);
    subscribe(a, WEIR_NAME_SHARD, "news");
    subscribe(a, WEIR_NAME_PATTERN, "*");
    settle(f);
    struct weir_publication shard = {.kind = WEIR_NAME_SHARD, .name = slice("news"), .body = slice("s")};
    uint64_t receivers;
    assert_int_equal(weir_broker_publish(weir_part(f->reactors[0]), &shard, NULL, &receivers), 0);
    assert_int_equal(receivers, 1);
    assert_int_equal(published(f, 0, "news", "t"), 1);
    assert_string_equal(received(f, a), "news s\nnews~t\n");
    fixture_close(f);
}

static void events_of_one_publisher_arrive_in_order_whatever_their_size(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(2, NULL);
    struct client *a = client_open(f, 1);
    subscribe(a, WEIR_NAME_TOPIC, "t");
    settle(f);
    char expected[40000] = "", body[1200];
    size_t used = 0;
    for (int i = 0; i < 60; i++) {
        int length = i % 3 == 0 ? 1000 : i % 3 == 1 ? 5 : 30; /* inline in a slot, and in a buffer */
        snprintf(body, sizeof body, "%0*d", length, i);
        assert_int_equal(published(f, 0, "t", body), 1);
        used += (size_t)snprintf(expected + used, sizeof expected - used, "t %s\n", body);
    }
    assert_string_equal(received(f, a), expected);
    fixture_close(f);
}

struct resumed {
    int calls;
};

static void on_resume(struct weir_reactor *reactor, void *context)
{
    (void)reactor;
    ((struct resumed *)context)->calls++;
}

static void a_full_ring_refuses_the_whole_publish_and_calls_back(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(2, NULL);
    struct client *here = client_open(f, 0), *there = client_open(f, 1);
    subscribe(here, WEIR_NAME_TOPIC, "t");
    subscribe(there, WEIR_NAME_TOPIC, "t");
    settle(f);
    (void)received(f, here);
    struct resumed resumed = {0};
    struct weir_publish_waiter waiter = {.waiter = {.resume = on_resume, .context = &resumed}};
    struct weir_publication publication = {.kind = WEIR_NAME_TOPIC, .name = slice("t"), .body = slice("x")};
    uint64_t receivers, sent = 0;
    int result;
    while ((result = weir_broker_publish(weir_part(f->reactors[0]), &publication, &waiter, &receivers)) == 0)
        sent++;
    assert_int_equal(result, -EAGAIN);
    assert_true(sent >= 100);
    settle(f);
    assert_int_equal(resumed.calls, 1);
    const char *got = received(f, there);
    uint64_t lines = 0;
    for (; *got; got++)
        lines += *got == '\n';
    assert_int_equal(lines, sent);
    for (got = received(f, here), lines = 0; *got; got++)
        lines += *got == '\n';
    assert_int_equal(lines, sent); /* nothing was delivered here for the publish that was refused */
    fixture_close(f);
}

static void a_waiter_that_is_cancelled_is_not_called(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(2, NULL);
    struct client *there = client_open(f, 1);
    subscribe(there, WEIR_NAME_TOPIC, "t");
    settle(f);
    struct resumed resumed = {0};
    struct weir_publish_waiter waiter = {.waiter = {.resume = on_resume, .context = &resumed}};
    struct weir_publication publication = {.kind = WEIR_NAME_TOPIC, .name = slice("t"), .body = slice("x")};
    uint64_t receivers;
    while (weir_broker_publish(weir_part(f->reactors[0]), &publication, &waiter, &receivers) == 0)
        ;
    weir_broker_publish_cancel(weir_part(f->reactors[0]), &waiter);
    weir_broker_publish_cancel(weir_part(f->reactors[0]), &waiter); /* twice is once */
    settle(f);
    assert_int_equal(resumed.calls, 0);
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_publish_counts_and_reaches_subscribers_of_every_reactor),
        cmocka_unit_test(a_subscriber_by_name_and_by_pattern_gets_both_and_the_topic_first),
        cmocka_unit_test(shards_and_topics_of_one_name_are_strangers),
        cmocka_unit_test(events_of_one_publisher_arrive_in_order_whatever_their_size),
        cmocka_unit_test(a_full_ring_refuses_the_whole_publish_and_calls_back),
        cmocka_unit_test(a_waiter_that_is_cancelled_is_not_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
