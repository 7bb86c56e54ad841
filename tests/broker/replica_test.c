/* tests/broker/replica_test.c - every reactor knows every reactor's counts, and when. */
#include "broker_fixture.h"

static uint64_t count_at(struct fixture *f, uint32_t reactor, enum weir_name_kind kind, const char *name)
{
    return weir_broker_subscriber_count(weir_part(f->reactors[reactor]), kind, slice(name));
}

static void a_change_is_installed_when_every_reactor_has_answered(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(3, NULL);
    struct client *a = client_open(f, 0);
    subscribe(a, WEIR_NAME_TOPIC, "t");
    assert_false(weir_broker_installed(&a->subscriber));
    step(f, 0); /* tells */
    step(f, 1); /* hears and answers */
    step(f, 0);
    assert_int_equal(a->installed_calls, 0); /* reactor 2 has not heard yet */
    assert_int_equal(count_at(f, 1, WEIR_NAME_TOPIC, "t"), 1);
    assert_int_equal(count_at(f, 2, WEIR_NAME_TOPIC, "t"), 0);
    step(f, 2);
    step(f, 0);
    assert_int_equal(a->installed_calls, 1);
    assert_int_equal(count_at(f, 2, WEIR_NAME_TOPIC, "t"), 1);
    assert_true(weir_broker_installed(&a->subscriber));
    fixture_close(f);
}

static void one_reactor_alone_has_everything_installed_at_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(1, NULL);
    struct client *a = client_open(f, 0);
    subscribe(a, WEIR_NAME_TOPIC, "t");
    assert_true(weir_broker_installed(&a->subscriber));
    assert_int_equal(published(f, 0, "t", "x"), 1);
    fixture_close(f);
}

static void a_subscriber_counts_once_however_often_it_subscribes(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(2, NULL);
    struct client *a = client_open(f, 0);
    bool changed;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weir_broker_subscribe(&a->subscriber, WEIR_NAME_TOPIC, slice("t"), &changed), 0);
        assert_int_equal(changed, i == 0);
    }
    settle(f);
    assert_int_equal(count_at(f, 1, WEIR_NAME_TOPIC, "t"), 1);
    fixture_close(f);
}

static void what_changes_back_before_it_is_told_costs_one_telling(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(2, NULL);
    struct client *a = client_open(f, 0);
    uint64_t before = weir_part_counters(weir_part(f->reactors[0]))->installs_sent;
    for (int i = 0; i < 100; i++) {
        subscribe(a, WEIR_NAME_TOPIC, "t");
        unsubscribe(a, WEIR_NAME_TOPIC, "t");
    }
    settle(f);
    assert_int_equal(weir_part_counters(weir_part(f->reactors[0]))->installs_sent - before, 1);
    assert_int_equal(count_at(f, 1, WEIR_NAME_TOPIC, "t"), 0);
    assert_int_equal(weir_broker_name_count(weir_part(f->reactors[1]), WEIR_NAME_TOPIC), 0);
    fixture_close(f);
}

static void more_names_than_the_ring_has_slots_all_arrive(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(3, NULL);
    struct client *a = client_open(f, 0);
    char name[300];
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, i % 2 ? "%d" : "%0250d", i); /* beside the words, and in a buffer */
        subscribe(a, WEIR_NAME_TOPIC, name);
    }
    assert_false(weir_broker_installed(&a->subscriber));
    for (int i = 0; i < 20; i++)
        settle(f);
    assert_int_equal(a->installed_calls, 1);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(weir_broker_name_count(weir_part(f->reactors[i]), WEIR_NAME_TOPIC), 5000);
    assert_int_equal(count_at(f, 2, WEIR_NAME_TOPIC, "4999"), 1);
    fixture_close(f);
}

static void a_closed_connection_is_forgotten_everywhere(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(2, NULL);
    struct client *a = client_open(f, 0), *b = client_open(f, 1);
    subscribe(a, WEIR_NAME_TOPIC, "t");
    subscribe(a, WEIR_NAME_PATTERN, "t*");
    subscribe(b, WEIR_NAME_TOPIC, "t");
    settle(f);
    assert_int_equal(published(f, 1, "t", "x"), 3);
    shutdown(a->fd, SHUT_RDWR);
    for (int i = 0; i < 1000 && a->open; i++)
        weir_reactor_run_once(f->reactors[0], 1000000);
    settle(f);
    assert_int_equal(published(f, 1, "t", "x"), 1);
    assert_int_equal(weir_broker_name_count(weir_part(f->reactors[1]), WEIR_NAME_PATTERN), 0);
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_is_installed_when_every_reactor_has_answered),
        cmocka_unit_test(one_reactor_alone_has_everything_installed_at_once),
        cmocka_unit_test(a_subscriber_counts_once_however_often_it_subscribes),
        cmocka_unit_test(what_changes_back_before_it_is_told_costs_one_telling),
        cmocka_unit_test(more_names_than_the_ring_has_slots_all_arrive),
        cmocka_unit_test(a_closed_connection_is_forgotten_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
