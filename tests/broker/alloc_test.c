/* tests/broker/alloc_test.c - a publish allocates nothing after warm-up, and waits where the first ring cannot be had. */
#include "tests/runtime/counting.h"

#include "tests/broker/broker_fixture.h"

enum { REACTORS = 3, WARM_ROUNDS = 300, ROUNDS = 300 };

static void take_all(struct fixture *f)
{
    char bytes[65536];
    for (uint32_t i = 0; i < f->client_count; i++)
        while (recv(f->clients[i].fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
            ;
}

static void publish_round(struct fixture *f, const char *body)
{
    for (uint32_t from = 0; from < REACTORS; from++)
        assert_int_equal(published(f, from, "prices.eu", body), 2 * REACTORS);
    settle(f);
    take_all(f);
    settle(f);
}

static void a_publish_allocates_nothing(void **state)
{
    (void)state;
    static char bodies[2][2000];
    memset(bodies[0], 'x', 10);
    memset(bodies[1], 'y', sizeof bodies[1] - 1);
    struct weir_broker_options options = {.default_policy = weir_policy_default()};
    struct fixture *f = fixture_open(REACTORS, &options);
    for (uint32_t i = 0; i < REACTORS; i++) {
        subscribe(client_open(f, i), WEIR_NAME_TOPIC, "prices.eu");
        subscribe(client_open(f, i), WEIR_NAME_PATTERN, "prices.*");
    }
    settle(f);
    uint64_t before = 0;
    for (int i = 0; i < WARM_ROUNDS + ROUNDS; i++) {
        if (i == WARM_ROUNDS)
            before = allocations();
        publish_round(f, bodies[i % 2]);
    }
    assert_int_equal(allocations() - before, 0);
    fixture_close(f);
}

static void note_resumed(struct weir_reactor *reactor, void *context)
{
    (void)reactor;
    ++*(int *)context;
}

static void without_memory_for_a_ring_a_publish_waits(void **state)
{
    (void)state;
    int resumed = 0;
    uint64_t receivers;
    struct weir_publish_waiter waiter = {.waiter = {.resume = note_resumed, .context = &resumed}};
    struct weir_publication publication = {.kind = WEIR_NAME_TOPIC, .name = slice("t"), .body = slice("x")};
    if (!COUNTING)
        skip();
    struct fixture *f = fixture_open(2, NULL);
    struct client *there = client_open(f, 1);
    subscribe(there, WEIR_NAME_TOPIC, "t");
    step(f, 1); /* tells */
    rings_refused = true;
    step(f, 0); /* hears, and cannot answer */
    assert_int_equal(weir_broker_publish(weir_part(f->reactors[0]), &publication, &waiter, &receivers), -EAGAIN);
    step(f, 0);
    assert_int_equal(resumed, 0);
    rings_refused = false;
    settle(f);
    assert_int_equal(resumed, 1);
    assert_int_equal(there->installed_calls, 0); /* nobody asked; but it is installed */
    assert_true(weir_broker_installed(&there->subscriber));
    assert_int_equal(weir_broker_publish(weir_part(f->reactors[0]), &publication, NULL, &receivers), 0);
    assert_int_equal(receivers, 1);
    assert_string_equal(received(f, there), "t x\n");
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_publish_allocates_nothing),
        cmocka_unit_test(without_memory_for_a_ring_a_publish_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
