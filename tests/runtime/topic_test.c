/*
 * tests/runtime/topic_test.c - the promises of weir/topic.h about names, handlers and emitting.
 */
#include "tests/runtime/topic_fixture.h"

/* ---- Names ---- */

static void a_name_is_one_topic_on_all_reactors(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 2);
    struct weir_topic a, b, other;
    assert_int_equal(weir_topic_open(fixture.reactor, "trade.eu", &a), 0);
    assert_int_equal(weir_topic_open(reactor_at(&fixture, 1), "trade.eu", &b), 0);
    assert_int_equal(weir_topic_open(fixture.reactor, "trade.us", &other), 0);
    assert_int_equal(a.slot, b.slot);
    assert_int_equal(a.generation, b.generation);
    assert_int_not_equal(a.slot, other.slot);
    assert_int_not_equal(a.generation, 0);
    assert_string_equal(weir_topic_name(reactor_at(&fixture, 1), a), "trade.eu");
    close_fixture(&fixture);
}

static void names_that_are_no_topics_are_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 1);
    struct weir_topic topic;
    char text[1026];
    memset(text, 'x', sizeof text);
    text[1025] = '\0';
    static const char *const bad[] = {"", "*", "a.*", "**.b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(weir_topic_open(fixture.reactor, bad[i], &topic), -EINVAL);
    assert_int_equal(weir_topic_open(fixture.reactor, text, &topic), -EINVAL);
    text[1024] = '\0';
    assert_int_equal(weir_topic_open(fixture.reactor, text, &topic), 0);
    assert_int_equal(weir_topic_open(fixture.reactor, "a*b.", &topic), 0);
    close_fixture(&fixture);
}

static void topics_max_bounds_the_names(void **state)
{
    (void)state;
    struct fixture fixture;
    struct weir_runtime_options options = plain_options(1);
    options.topics_max = 2;
    open_with(&fixture, options);
    struct trail trail = {0};
    struct mark mark = {&trail, 'a'};
    struct weir_topic topic;
    assert_int_equal(weir_topic_open(fixture.reactor, "one", &topic), 0);
    assert_int_equal(weir_topic_open(fixture.reactor, "two", &topic), 0);
    assert_int_equal(weir_topic_open(fixture.reactor, "three", &topic), -ENOSPC);
    assert_int_equal(weir_topic_open(fixture.reactor, "one", &topic), 0);
    assert_int_equal(weir_on(fixture.reactor, "three", leave_mark, &mark), -ENOSPC);
    assert_int_equal(weir_on(fixture.reactor, "*", leave_mark, &mark), 0);
    assert_int_equal(weir_emit_name(fixture.reactor, "three", NULL, 0), -ENOSPC);
    assert_int_equal(weir_emit_name(fixture.reactor, "two", NULL, 0), 1);
    close_fixture(&fixture);
}

static void a_stale_topic_is_refused_everywhere(void **state)
{
    (void)state;
    struct fixture fixture, other;
    open_fixture(&fixture, 1);
    open_fixture(&other, 1);
    struct weir_topic mine = topic_of(&fixture, "mine");
    struct weir_topic theirs = topic_of(&other, "theirs"); /* the same slot */
    assert_int_equal(mine.slot, theirs.slot);
    struct weir_topic stale[] = {theirs, {0, 0}, {UINT32_MAX, 0}, {mine.slot + 1, mine.generation}, {UINT32_MAX, 1}};
    for (size_t i = 0; i < sizeof stale / sizeof stale[0]; i++) {
        assert_int_equal(weir_emit(fixture.reactor, stale[i], NULL, 0), -ENOENT);
        assert_int_equal(weir_emit_keyed(fixture.reactor, stale[i], 1, NULL, 0), -ENOENT);
        assert_int_equal(weir_post(fixture.reactor, stale[i], WEIR_TO_HERE, NULL, 0), -ENOENT);
        assert_int_equal(weir_listener_count(fixture.reactor, stale[i]), 0);
        assert_null(weir_topic_name(fixture.reactor, stale[i]));
    }
    assert_int_equal(weir_emit(fixture.reactor, mine, NULL, 0), 0);
    assert_int_equal(weir_emit(fixture.reactor, theirs, NULL, 0), -ENOENT); /* also once the slot is in use here */
    close_fixture(&other);
    close_fixture(&fixture);
}

/* ---- Emitting ---- */

struct seen {
    struct weir_event event;
    uint32_t count;
    struct weir_reactor *on;
};

static void look(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    struct seen *seen = context;
    seen->event = *event;
    seen->on = on;
    seen->count++;
}

static void a_pinned_handler_has_run_when_emit_returns_and_reads_the_body_in_place(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 1);
    struct seen seen = {0};
    struct weir_topic topic = topic_of(&fixture, "a.b");
    assert_int_equal(weir_on(fixture.reactor, "a.b", look, &seen), 0);
    assert_int_equal(weir_emit(fixture.reactor, topic, &fixture, 7), 1);
    assert_int_equal(seen.count, 1);
    assert_ptr_equal(seen.on, fixture.reactor);
    assert_ptr_equal(seen.event.body, &fixture);
    assert_int_equal(seen.event.body_bytes, 7);
    assert_int_equal(seen.event.flags, 0);
    assert_int_equal(seen.event.topic.slot, topic.slot);
    assert_int_equal(weir_emit_keyed(fixture.reactor, topic, 99, NULL, 0), 1);
    assert_int_equal(seen.event.flags, WEIR_EVENT_KEYED);
    assert_int_equal(seen.event.key, 99);
    close_fixture(&fixture);
}

static void handlers_run_by_priority_then_as_installed_and_any_before_them(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 1);
    struct trail trail = {0};
    struct mark marks[] = {{&trail, 'a'}, {&trail, 'b'}, {&trail, 'c'}, {&trail, 'd'}, {&trail, 'e'}, {&trail, 'f'}};
    assert_int_equal(install(&fixture, "x.y", &marks[0], 0, 0, NULL), 0);
    assert_int_equal(install(&fixture, "x.*", &marks[1], 5, 0, NULL), 0);
    assert_int_equal(install(&fixture, "**", &marks[2], 0, 0, NULL), 0);
    assert_int_equal(install(&fixture, "x.y", &marks[3], INT32_MIN, 0, NULL), 0);
    assert_int_equal(install(&fixture, "x.y", &marks[4], INT32_MAX, 0, NULL), 0);
    assert_int_equal(weir_any(fixture.reactor, leave_mark, &marks[5]), 0);
    assert_int_equal(weir_emit(fixture.reactor, topic_of(&fixture, "x.y"), NULL, 0), 6);
    assert_string_equal(trail.text, "febacd");
    assert_int_equal(weir_emit(fixture.reactor, topic_of(&fixture, "other"), NULL, 0), 2);
    assert_string_equal(trail.text, "febacdfc");
    close_fixture(&fixture);
}

static void patterns_take_the_topics_they_match_and_no_others(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 1);
    struct trail trail = {0};
    struct mark one = {&trail, 'a'}, many = {&trail, 'b'};
    assert_int_equal(weir_on(fixture.reactor, "t.*", leave_mark, &one), 0);
    assert_int_equal(weir_on(fixture.reactor, "t.**", leave_mark, &many), 0);
    assert_int_equal(weir_emit(fixture.reactor, topic_of(&fixture, "t"), NULL, 0), 1);
    assert_int_equal(weir_emit(fixture.reactor, topic_of(&fixture, "t.x"), NULL, 0), 2);
    assert_int_equal(weir_emit(fixture.reactor, topic_of(&fixture, "t.x.y"), NULL, 0), 1);
    assert_int_equal(weir_emit(fixture.reactor, topic_of(&fixture, "t."), NULL, 0), 2);
    assert_int_equal(weir_emit(fixture.reactor, topic_of(&fixture, "u.x"), NULL, 0), 0);
    assert_string_equal(trail.text, "babbab");
    close_fixture(&fixture);
}

static void emit_by_name_finds_what_emit_finds(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 1);
    struct trail trail = {0};
    struct mark exact = {&trail, 'a'}, star = {&trail, 'b'};
    struct seen seen = {0};
    assert_int_equal(weir_emit_name(fixture.reactor, "nobody.knows", NULL, 0), 0);
    assert_int_equal(weir_on(fixture.reactor, "known.x", leave_mark, &exact), 0);
    assert_int_equal(weir_on(fixture.reactor, "new.*", leave_mark, &star), 0);
    assert_int_equal(weir_on(fixture.reactor, "new.*", look, &seen), 0);
    assert_int_equal(weir_emit_name(fixture.reactor, "known.x", NULL, 0), 1);
    assert_int_equal(weir_emit_name(fixture.reactor, "new.y", NULL, 0), 2);
    assert_int_equal(weir_emit_name(fixture.reactor, "new.y.z", NULL, 0), 0);
    assert_string_equal(trail.text, "ab");
    assert_string_equal(weir_topic_name(fixture.reactor, seen.event.topic), "new.y");
    assert_int_equal(weir_emit_name(fixture.reactor, "", NULL, 0), -EINVAL);
    assert_int_equal(weir_emit_name(fixture.reactor, "new.*", NULL, 0), -EINVAL);
    close_fixture(&fixture);
}

/* ---- Ids and causes ---- */

struct chain {
    struct weir_topic next;
    struct weir_event first;
    struct weir_event second;
    struct weir_event third;
};

static void on_third(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    struct chain *chain = context;
    if (chain->second.id == 0)
        chain->second = *event;
    else
        chain->third = *event;
    (void)on;
}

static void on_first(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    struct chain *chain = context;
    chain->first = *event;
    assert_int_equal(weir_emit(on, chain->next, NULL, 0), 1);
    assert_int_equal(weir_emit(on, chain->next, NULL, 0), 1);
}

static void an_event_carries_the_id_of_the_one_whose_handler_made_it(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 1);
    struct chain chain = {.next = topic_of(&fixture, "next")};
    assert_int_equal(weir_on(fixture.reactor, "first", on_first, &chain), 0);
    assert_int_equal(weir_on(fixture.reactor, "next", on_third, &chain), 0);
    assert_int_equal(weir_emit(fixture.reactor, topic_of(&fixture, "first"), NULL, 0), 1);
    assert_int_not_equal(chain.first.id, 0);
    assert_int_equal(chain.first.cause_id, 0);
    assert_int_equal(chain.second.cause_id, chain.first.id);
    assert_int_equal(chain.third.cause_id, chain.first.id);
    assert_int_not_equal(chain.second.id, chain.third.id);
    assert_int_not_equal(chain.second.id, chain.first.id);
    struct weir_topic next = chain.next;
    memset(&chain, 0, sizeof chain);
    assert_int_equal(weir_emit(fixture.reactor, next, NULL, 0), 1);
    assert_int_equal(chain.second.cause_id, 0); /* back outside */
    close_fixture(&fixture);
}

/* ---- Limits ---- */

struct again {
    struct weir_topic topic;
    uint32_t runs;
    uint32_t nested; /* how deep the handler emits its own topic */
    uint32_t removed;
};

static void emit_again(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)event;
    struct again *again = context;
    assert_int_equal(again->removed, 0);
    again->runs++;
    if (again->nested > 0) {
        again->nested--;
        assert_true(weir_emit(on, again->topic, NULL, 0) >= 0);
    }
    assert_int_equal(again->removed, 0); /* this run is not over */
}

static void count_removed(struct weir_reactor *on, void *context)
{
    (void)on;
    struct again *again = context;
    again->removed++;
}

static void times_are_exact_when_handlers_emit_their_own_topic(void **state)
{
    (void)state;
    for (uint32_t times = 1; times <= 5; times++) {
        for (uint32_t nested = 0; nested <= 7; nested++) {
            struct fixture fixture;
            open_fixture(&fixture, 1);
            struct again again = {.topic = topic_of(&fixture, "t"), .nested = nested};
            struct weir_on_options options = WEIR_OPTIONS(struct weir_on_options);
            options.times = times;
            options.on_removed = count_removed;
            assert_int_equal(weir_on_with(fixture.reactor, "t", emit_again, &again, &options, NULL), 0);
            assert_int_equal(weir_emit(fixture.reactor, again.topic, NULL, 0), 1);
            uint32_t first = nested + 1 < times ? nested + 1 : times;
            assert_int_equal(again.runs, first);
            assert_int_equal(again.removed, first == times);
            for (uint32_t i = first; i < times; i++)
                assert_int_equal(weir_emit(fixture.reactor, again.topic, NULL, 0), 1);
            assert_int_equal(again.removed, 1);
            assert_int_equal(weir_emit(fixture.reactor, again.topic, NULL, 0), 0);
            assert_int_equal(again.runs, times);
            close_fixture(&fixture);
            assert_int_equal(again.removed, 1);
        }
    }
}

static void once_runs_once_and_many_as_often_as_told(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 1);
    struct trail trail = {0};
    struct mark once = {&trail, 'a'}, many = {&trail, 'b'};
    assert_int_equal(weir_once(fixture.reactor, "t", leave_mark, &once), 0);
    assert_int_equal(weir_many(fixture.reactor, "*", 3, leave_mark, &many), 0);
    assert_int_equal(weir_many(fixture.reactor, "t", 0, leave_mark, &many), -EINVAL);
    struct weir_topic topic = topic_of(&fixture, "t");
    int counts[5];
    for (uint32_t i = 0; i < 5; i++)
        counts[i] = weir_emit(fixture.reactor, topic, NULL, 0);
    assert_true(counts[0] == 2 && counts[1] == 1 && counts[2] == 1 && counts[3] == 0 && counts[4] == 0);
    assert_string_equal(trail.text, "abbb");
    close_fixture(&fixture);
}

/* ---- Removing ---- */

static void a_handle_is_good_for_one_removal_and_never_for_a_later_handler(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 1);
    struct trail trail = {0};
    struct mark a = {&trail, 'a'}, b = {&trail, 'b'};
    struct weir_subscription first, second, none = {0};
    assert_int_equal(install(&fixture, "t", &a, 0, 0, &first), 0);
    assert_int_equal(weir_off(fixture.reactor, first), 0);
    assert_string_equal(trail.text, "A"); /* nothing was running */
    assert_int_equal(weir_off(fixture.reactor, first), -ENOENT);
    assert_int_equal(install(&fixture, "t", &b, 0, 0, &second), 0);
    assert_int_equal(second.slot, first.slot);
    assert_int_equal(weir_off(fixture.reactor, first), -ENOENT);
    assert_int_equal(weir_off(fixture.reactor, none), -ENOENT);
    assert_int_equal(weir_off(fixture.reactor, (struct weir_subscription){1000, 1}), -ENOENT);
    assert_int_equal(weir_emit(fixture.reactor, topic_of(&fixture, "t"), NULL, 0), 1);
    assert_int_equal(weir_off(fixture.reactor, second), 0);
    assert_string_equal(trail.text, "AbB");
    close_fixture(&fixture);
}

static void off_match_takes_the_first_installed_of_that_very_pattern(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 1);
    struct trail trail = {0};
    struct mark a = {&trail, 'a'}, b = {&trail, 'b'};
    struct weir_topic topic = topic_of(&fixture, "t.x");
    assert_int_equal(weir_on(fixture.reactor, "t.x", leave_mark, &a), 0);
    assert_int_equal(weir_on(fixture.reactor, "t.x", leave_mark, &b), 0);
    assert_int_equal(weir_on(fixture.reactor, "t.x", leave_mark, &a), 0);
    assert_int_equal(weir_on(fixture.reactor, "t.*", leave_mark, &a), 0);
    assert_int_equal(weir_any(fixture.reactor, leave_mark, &a), 0);
    assert_int_equal(weir_off_match(fixture.reactor, "t.x", leave_mark, &a), 0);
    assert_int_equal(weir_emit(fixture.reactor, topic, NULL, 0), 4);
    assert_string_equal(trail.text, "abaa");
    assert_int_equal(weir_off_match(fixture.reactor, "t.x", leave_mark, &a), 0);
    assert_int_equal(weir_off_match(fixture.reactor, "t.x", leave_mark, &a), -ENOENT);
    assert_int_equal(weir_off_match(fixture.reactor, "t.*", leave_mark, &b), -ENOENT);
    assert_int_equal(weir_off_match(fixture.reactor, "t.*", leave_mark, &a), 0);
    assert_int_equal(weir_off_match(fixture.reactor, "unknown", leave_mark, &a), -ENOENT);
    assert_int_equal(weir_off_match(fixture.reactor, "un.*", leave_mark, &a), -ENOENT);
    assert_int_equal(weir_off_match(fixture.reactor, NULL, leave_mark, &a), 0);
    assert_int_equal(weir_off_match(fixture.reactor, NULL, leave_mark, &a), -ENOENT);
    assert_int_equal(weir_emit(fixture.reactor, topic, NULL, 0), 1);
    close_fixture(&fixture);
}

static void off_all_takes_a_pattern_or_everything_and_counts(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 1);
    struct trail trail = {0};
    struct mark a = {&trail, 'a'}, b = {&trail, 'b'};
    struct weir_topic topic = topic_of(&fixture, "t.x");
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(install(&fixture, "t.x", &a, 0, 0, NULL), 0);
        assert_int_equal(install(&fixture, "t.*", &b, 0, 0, NULL), 0);
    }
    assert_int_equal(weir_any(fixture.reactor, leave_mark, &b), 0);
    assert_int_equal(weir_off_all(fixture.reactor, "t.*"), 3);
    assert_string_equal(trail.text, "BBB");
    assert_int_equal(weir_listener_count(fixture.reactor, topic), 4);
    assert_int_equal(weir_off_all(fixture.reactor, "t.y"), 0);
    assert_int_equal(weir_off_all(fixture.reactor, NULL), 4);
    assert_string_equal(trail.text, "BBBAAA");
    assert_int_equal(weir_emit(fixture.reactor, topic, NULL, 0), 0);
    assert_int_equal(weir_off_all(fixture.reactor, NULL), 0);
    close_fixture(&fixture);
}

static void what_is_left_at_the_end_is_removed_then(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 1);
    struct trail trail = {0};
    struct mark a = {&trail, 'a'}, b = {&trail, 'b'};
    assert_int_equal(install(&fixture, "t", &a, 0, 0, NULL), 0);
    assert_int_equal(install(&fixture, "**", &b, 0, 1, NULL), 0);
    assert_string_equal(trail.text, "");
    close_fixture(&fixture);
    assert_string_equal(trail.text, "AB");
}

/* ---- Changes from inside handlers ---- */

struct actor {
    struct fixture *fixture;
    struct trail *trail;
    char letter;
    char act; /* what it does when it runs: '-' remove `target`, '+' install `extra`, '!' both and emit again */
    struct weir_subscription target;
    struct mark extra;
    struct weir_topic topic;
    uint32_t emits;
};

static void act(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)event;
    struct actor *actor = context;
    leave(actor->trail, actor->letter);
    if (actor->act == '-' || actor->act == '!')
        weir_off(on, actor->target);
    if (actor->act == '+' || actor->act == '!')
        assert_int_equal(install(actor->fixture, "t", &actor->extra, 0, 0, NULL), 0);
    if (actor->act == '!' && actor->emits-- > 0)
        assert_true(weir_emit(on, actor->topic, NULL, 0) >= 0);
    actor->act = 0;
    leave(actor->trail, '.');
}

static void act_gone(struct weir_reactor *on, void *context)
{
    (void)on;
    struct actor *actor = context;
    leave(actor->trail, (char)(actor->letter - 'a' + 'A'));
}

static void install_actor(struct actor *actor, struct weir_subscription *subscription_out)
{
    struct weir_on_options options = WEIR_OPTIONS(struct weir_on_options);
    options.on_removed = act_gone;
    assert_int_equal(weir_on_with(actor->fixture->reactor, "t", act, actor, &options, subscription_out), 0);
}

static void a_handler_added_during_an_emit_first_runs_at_the_next_one(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 1);
    struct trail trail = {0};
    struct actor actor = {&fixture, &trail, 'a', '+', {0}, {&trail, 'x'}, topic_of(&fixture, "t"), 0};
    install_actor(&actor, NULL);
    assert_int_equal(weir_emit(fixture.reactor, actor.topic, NULL, 0), 1);
    assert_string_equal(trail.text, "a.");
    assert_int_equal(weir_emit(fixture.reactor, actor.topic, NULL, 0), 2);
    assert_string_equal(trail.text, "a.a.x");
    close_fixture(&fixture);
}

static void a_handler_removed_during_an_emit_does_not_run_any_more(void **state)
{
    (void)state;
    for (uint32_t victim = 0; victim < 4; victim++) { /* an earlier one, itself, the next, the last */
        struct fixture fixture;
        open_fixture(&fixture, 1);
        struct trail trail = {0};
        struct weir_subscription subscriptions[4];
        struct actor actors[4];
        for (uint32_t i = 0; i < 4; i++) {
            actors[i] = (struct actor){.fixture = &fixture, .trail = &trail, .letter = (char)('a' + i)};
            install_actor(&actors[i], &subscriptions[i]);
        }
        actors[1].act = '-';
        actors[1].target = subscriptions[victim];
        struct weir_topic topic = topic_of(&fixture, "t");
        static const char *const expected[] = {"a.b.c.d.A", "a.b.c.d.B", "a.b.d.C", "a.b.c.D"};
        assert_int_equal(weir_emit(fixture.reactor, topic, NULL, 0), victim < 2 ? 4 : 3);
        assert_string_equal(trail.text, expected[victim]);
        assert_int_equal(weir_emit(fixture.reactor, topic, NULL, 0), 3);
        close_fixture(&fixture);
    }
}

static void an_emit_goes_on_with_its_own_handlers_when_a_nested_one_sees_new_ones(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 1);
    struct trail trail = {0};
    struct weir_subscription subscriptions[3];
    struct actor actors[3];
    struct weir_topic topic = topic_of(&fixture, "t");
    for (uint32_t i = 0; i < 3; i++) {
        actors[i] = (struct actor){.fixture = &fixture, .trail = &trail, .letter = (char)('a' + i), .topic = topic};
        install_actor(&actors[i], &subscriptions[i]);
    }
    actors[0].act = '!';
    actors[0].emits = 1;
    actors[0].target = subscriptions[1];
    actors[0].extra = (struct mark){&trail, 'x'};
    /* a removes b, adds x and emits: that runs a (which adds a second x and does not emit), c and the first x only.
     * Then the outer emit goes on with c. */
    assert_int_equal(weir_emit(fixture.reactor, topic, NULL, 0), 2);
    assert_string_equal(trail.text, "aa.c.x.c.B");
    assert_int_equal(weir_listener_count(fixture.reactor, topic), 4);
    close_fixture(&fixture);
}

/* ---- Counting and warnings ---- */

static void listeners_are_counted_with_patterns_and_any(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 1);
    struct trail trail = {0};
    struct mark mark = {&trail, 'a'};
    struct weir_topic topic = topic_of(&fixture, "t.x");
    assert_int_equal(weir_listener_count(fixture.reactor, topic), 0);
    assert_int_equal(weir_on(fixture.reactor, "t.x", leave_mark, &mark), 0);
    assert_int_equal(weir_on(fixture.reactor, "t.*", leave_mark, &mark), 0);
    assert_int_equal(weir_on(fixture.reactor, "**", leave_mark, &mark), 0);
    assert_int_equal(weir_on(fixture.reactor, "u.*", leave_mark, &mark), 0);
    assert_int_equal(weir_any(fixture.reactor, leave_mark, &mark), 0);
    assert_int_equal(weir_listener_count(fixture.reactor, topic), 4);
    assert_int_equal(weir_listener_count(fixture.reactor, topic_of(&fixture, "v")), 2);
    close_fixture(&fixture);
}

static void too_many_handlers_on_a_topic_are_warned_of_once(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 1);
    struct trail trail = {0};
    struct mark mark = {&trail, 'a'};
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(weir_on(fixture.reactor, "leak.y", leave_mark, &mark), 0);
    assert_int_equal(fixture.line_count, 0);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(weir_on(fixture.reactor, "leak.y", leave_mark, &mark), 0);
    assert_int_equal(fixture.line_count, 1);
    assert_int_equal(lines_with(&fixture, WEIR_LOG_WARN, "leak.y"), 1);
    weir_listeners_warn_at(fixture.reactor, 2);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(weir_on(fixture.reactor, "leak.*", leave_mark, &mark), 0);
    assert_int_equal(lines_with(&fixture, WEIR_LOG_WARN, "leak.*"), 1);
    weir_listeners_warn_at(fixture.reactor, 0);
    for (uint32_t i = 0; i < 50; i++)
        assert_int_equal(weir_on(fixture.reactor, "quiet", leave_mark, &mark), 0);
    assert_int_equal(fixture.line_count, 2);
    close_fixture(&fixture);
}

static void an_error_that_nobody_hears_is_logged_and_counted(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 1);
    struct trail trail = {0};
    struct mark mark = {&trail, 'a'};
    struct weir_reactor_counters counters;
    char body[300];
    memset(body, 'z', sizeof body);
    body[0] = '\n';
    assert_int_equal(weir_emit(fixture.reactor, topic_of(&fixture, "error.disk"), body, sizeof body), 0);
    assert_int_equal(weir_emit_name(fixture.reactor, "error", "boom", 4), 0);
    assert_int_equal(weir_emit(fixture.reactor, topic_of(&fixture, "errors"), "no", 2), 0);
    assert_int_equal(fixture.line_count, 2);
    assert_int_equal(lines_with(&fixture, WEIR_LOG_ERROR, "error.disk"), 1);
    assert_int_equal(lines_with(&fixture, WEIR_LOG_ERROR, "boom"), 1);
    assert_int_equal(lines_with(&fixture, WEIR_LOG_ERROR, "\"\\nzzz"), 1);
    assert_int_equal(strspn(strstr(fixture.lines[0], "zzz"), "z"), 119); /* 120 bytes of it */
    weir_reactor_counters_read(fixture.reactor, &counters);
    assert_int_equal(counters.events_dropped, 2);
    assert_int_equal(weir_on(fixture.reactor, "error.**", leave_mark, &mark), 0);
    assert_int_equal(weir_emit_name(fixture.reactor, "error", "boom", 4), 1);
    assert_int_equal(weir_emit_name(fixture.reactor, "error.disk", "boom", 4), 1);
    assert_int_equal(fixture.line_count, 2);
    close_fixture(&fixture);
}

static void arguments_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 1);
    struct trail trail = {0};
    struct mark mark = {&trail, 'a'};
    struct weir_on_options options = {.size = 2};
    assert_int_equal(weir_on(fixture.reactor, "", leave_mark, &mark), -EINVAL);
    assert_int_equal(weir_on(fixture.reactor, "t", NULL, &mark), -EINVAL);
    assert_int_equal(weir_on(fixture.reactor, NULL, leave_mark, &mark), -EINVAL);
    assert_int_equal(weir_on_with(fixture.reactor, "t", leave_mark, &mark, &options, NULL), -EINVAL);
    options.size = offsetof(struct weir_on_options, stealable); /* an older program's */
    options.times = 1;
    options.stealable = true; /* beyond its size: not looked at */
    assert_int_equal(weir_on_with(fixture.reactor, "t", leave_mark, &mark, &options, NULL), 0);
    assert_int_equal(weir_emit_name(fixture.reactor, "t", NULL, 0), 1);
    assert_string_equal(trail.text, "a");
    close_fixture(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_one_topic_on_all_reactors),
        cmocka_unit_test(names_that_are_no_topics_are_refused),
        cmocka_unit_test(topics_max_bounds_the_names),
        cmocka_unit_test(a_stale_topic_is_refused_everywhere),
        cmocka_unit_test(a_pinned_handler_has_run_when_emit_returns_and_reads_the_body_in_place),
        cmocka_unit_test(handlers_run_by_priority_then_as_installed_and_any_before_them),
        cmocka_unit_test(patterns_take_the_topics_they_match_and_no_others),
        cmocka_unit_test(emit_by_name_finds_what_emit_finds),
        cmocka_unit_test(an_event_carries_the_id_of_the_one_whose_handler_made_it),
        cmocka_unit_test(times_are_exact_when_handlers_emit_their_own_topic),
        cmocka_unit_test(once_runs_once_and_many_as_often_as_told),
        cmocka_unit_test(a_handle_is_good_for_one_removal_and_never_for_a_later_handler),
        cmocka_unit_test(off_match_takes_the_first_installed_of_that_very_pattern),
        cmocka_unit_test(off_all_takes_a_pattern_or_everything_and_counts),
        cmocka_unit_test(what_is_left_at_the_end_is_removed_then),
        cmocka_unit_test(a_handler_added_during_an_emit_first_runs_at_the_next_one),
        cmocka_unit_test(a_handler_removed_during_an_emit_does_not_run_any_more),
        cmocka_unit_test(an_emit_goes_on_with_its_own_handlers_when_a_nested_one_sees_new_ones),
        cmocka_unit_test(listeners_are_counted_with_patterns_and_any),
        cmocka_unit_test(too_many_handlers_on_a_topic_are_warned_of_once),
        cmocka_unit_test(an_error_that_nobody_hears_is_logged_and_counted),
        cmocka_unit_test(arguments_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
