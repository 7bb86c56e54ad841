/* tests/broker/alloc_test.c - a publish to subscribers here and on other reactors allocates nothing after warm-up. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_publish_allocates_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
