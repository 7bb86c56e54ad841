/*
 * tests/runtime/post_test.c - posting: here, elsewhere, by key, to all; queued handlers; room and its return.
 *
 * Reactors are turned by hand, so each hand-over is a step of the test. With threads and thieves: steal_post_test.c;
 * under faults and from random seeds: post_sim.c.
 */
#include "tests/runtime/topic_fixture.h"

#include "runtime/event.h"
#include "runtime/handlers.h"
#include "runtime/reactor.h"

enum { INBOX_MAX = 4096 };

struct inbox {
    uint32_t count;
    struct weir_reactor *on;
    uint64_t numbers[INBOX_MAX]; /* the first eight bytes of the body, or the key */
    struct weir_event events[INBOX_MAX];
};

static void receive(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    struct inbox *inbox = context;
    assert_true(inbox->count < INBOX_MAX);
    uint64_t number = event->key;
    if (event->body_bytes >= sizeof number)
        memcpy(&number, event->body, sizeof number);
    inbox->on = on;
    inbox->numbers[inbox->count] = number;
    inbox->events[inbox->count++] = *event;
}

static int post_number(struct fixture *fixture, uint32_t from, uint32_t to, struct weir_topic topic, uint64_t number)
{
    return weir_post(reactor_at(fixture, from), topic, to, &number, sizeof number);
}

static void on_at(struct fixture *fixture, uint32_t index, const char *pattern, weir_handler_fn fn, void *context)
{
    assert_int_equal(weir_on(reactor_at(fixture, index), pattern, fn, context), 0);
}

/* ---- Here ---- */

static void a_post_here_runs_in_a_later_turn_in_order(void **state)
{
    (void)state;
    struct fixture fixture;
    static struct inbox inbox;
    inbox.count = 0;
    open_fixture(&fixture, 1);
    struct weir_topic topic = topic_of(&fixture, "t");
    on_at(&fixture, 0, "t", receive, &inbox);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(post_number(&fixture, 0, i % 2 ? 0 : WEIR_TO_HERE, topic, i), 0);
    assert_int_equal(inbox.count, 0);
    settle(&fixture);
    assert_int_equal(inbox.count, 1000);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(inbox.numbers[i], i);
    close_fixture(&fixture);
}

struct reposter {
    struct weir_topic topic;
    uint32_t runs;
    uint32_t left;
};

static void repost(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)event;
    struct reposter *reposter = context;
    reposter->runs++;
    if (reposter->left-- > 0)
        assert_int_equal(weir_post(on, reposter->topic, WEIR_TO_HERE, NULL, 0), 0);
}

static void a_post_from_a_handler_is_for_a_later_turn(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 1);
    struct reposter reposter = {topic_of(&fixture, "t"), 0, 5};
    on_at(&fixture, 0, "t", repost, &reposter);
    assert_int_equal(weir_post(fixture.reactor, reposter.topic, WEIR_TO_HERE, NULL, 0), 0);
    for (uint32_t turns = 1; turns <= 6; turns++) {
        turn(&fixture, 0);
        assert_int_equal(reposter.runs, turns);
    }
    close_fixture(&fixture);
}

struct body_check {
    uint32_t count;
    uint32_t bytes;
};

static void check_body(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)on;
    struct body_check *check = context;
    const uint8_t *body = event->body;
    assert_int_equal(event->body_bytes, check->bytes);
    for (uint32_t i = 0; i < event->body_bytes; i++)
        assert_int_equal(body[i], (uint8_t)(i * 7));
    check->count++;
}

static void bodies_of_every_size_arrive_whole_and_buffers_go_home(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 1, 23, 24, 25, 63, 64, 65, 1000, 200000, WEIR_EVENT_BODY_MAX};
    struct fixture fixture;
    open_fixture(&fixture, 3);
    struct weir_topic topic = topic_of(&fixture, "t");
    struct body_check checks[3] = {0};
    for (uint32_t i = 0; i < 3; i++)
        on_at(&fixture, i, "t", check_body, &checks[i]);
    uint8_t *body = malloc(WEIR_EVENT_BODY_MAX + 1);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (uint32_t at = 0; at < sizes[i]; at++)
            body[at] = (uint8_t)(at * 7);
        for (uint32_t to = 0; to < 3; to++)
            checks[to] = (struct body_check){0, sizes[i]};
        for (uint32_t to = 0; to < 3; to++)
            assert_int_equal(weir_post(fixture.reactor, topic, to, body, sizes[i]), 0);
        assert_int_equal(weir_post(fixture.reactor, topic, WEIR_TO_ALL, body, sizes[i]), 0);
        memset(body, 0xee, sizes[i]);
        settle(&fixture);
        for (uint32_t to = 0; to < 3; to++)
            assert_int_equal(checks[to].count, 2);
        assert_int_equal(fixture.reactor->buffers.live_count, 0);
        assert_int_equal(fixture.reactor->topics->events.live, 0);
    }
    assert_int_equal(weir_post(fixture.reactor, topic, 0, body, WEIR_EVENT_BODY_MAX + 1), -EINVAL);
    assert_int_equal(weir_post(fixture.reactor, topic, 1, body, WEIR_EVENT_BODY_MAX + 1), -EINVAL);
    assert_int_equal(weir_post(fixture.reactor, topic, WEIR_TO_ALL, body, WEIR_EVENT_BODY_MAX + 1), -EINVAL);
    free(body);
    close_fixture(&fixture);
}

static void a_body_beyond_the_memory_allowed_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    struct weir_runtime_options options = plain_options(2);
    options.memory_bytes_max = 1 << 20;
    open_with(&fixture, options);
    struct weir_topic topic = topic_of(&fixture, "t");
    char *body = calloc(1, 600 * 1024);
    assert_int_equal(weir_post(fixture.reactor, topic, WEIR_TO_HERE, body, 600 * 1024), -ENOMEM);
    assert_int_equal(weir_post(fixture.reactor, topic, 1, body, 600 * 1024), -ENOMEM);
    assert_int_equal(weir_post(fixture.reactor, topic, WEIR_TO_ALL, body, 600 * 1024), -ENOMEM);
    assert_int_equal(fixture.reactor->buffers.live_count, 0);
    settle(&fixture);
    free(body);
    close_fixture(&fixture);
}

/* ---- Elsewhere ---- */

static void posts_to_another_reactor_arrive_in_order_with_id_and_cause(void **state)
{
    (void)state;
    struct fixture fixture;
    static struct inbox inbox;
    inbox.count = 0;
    open_fixture(&fixture, 2);
    struct weir_topic topic = topic_of(&fixture, "t");
    on_at(&fixture, 1, "t", receive, &inbox);
    for (uint64_t i = 0; i < 500; i++)
        assert_int_equal(post_number(&fixture, 0, 1, topic, i), 0);
    assert_int_equal(weir_post_keyed(fixture.reactor, topic, 1, 77, NULL, 0), 0);
    settle(&fixture);
    assert_int_equal(inbox.count, 501);
    for (uint64_t i = 0; i < 500; i++)
        assert_int_equal(inbox.numbers[i], i);
    assert_ptr_equal(inbox.on, reactor_at(&fixture, 1));
    assert_int_equal(inbox.events[0].flags, 0);
    assert_int_equal(inbox.events[500].flags, WEIR_EVENT_KEYED);
    assert_int_equal(inbox.events[500].key, 77);
    assert_int_equal(inbox.events[0].cause_id, 0);
    assert_int_not_equal(inbox.events[0].id, 0);
    assert_int_not_equal(inbox.events[0].id, inbox.events[1].id);
    close_fixture(&fixture);
}

struct relay {
    struct weir_topic next;
    uint32_t to;
    uint64_t id;
};

static void pass_on(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    struct relay *relay = context;
    relay->id = event->id;
    assert_int_equal(weir_post(on, relay->next, relay->to, event->body, event->body_bytes), 0);
}

static void the_cause_crosses_reactors(void **state)
{
    (void)state;
    struct fixture fixture;
    static struct inbox inbox;
    inbox.count = 0;
    open_fixture(&fixture, 3);
    struct relay first = {topic_of(&fixture, "second"), 2, 0}, second = {topic_of(&fixture, "third"), 0, 0};
    on_at(&fixture, 1, "first", pass_on, &first);
    on_at(&fixture, 2, "second", pass_on, &second);
    on_at(&fixture, 0, "third", receive, &inbox);
    assert_int_equal(post_number(&fixture, 0, 1, topic_of(&fixture, "first"), 5), 0);
    settle(&fixture);
    assert_int_equal(inbox.count, 1);
    assert_int_equal(inbox.numbers[0], 5);
    assert_int_equal(inbox.events[0].cause_id, second.id);
    assert_int_not_equal(second.id, first.id);
    close_fixture(&fixture);
}

static void a_key_lives_on_one_reactor_whoever_posts(void **state)
{
    (void)state;
    struct fixture fixture;
    static struct inbox inboxes[3];
    open_fixture(&fixture, 3);
    struct weir_topic topic = topic_of(&fixture, "t");
    for (uint32_t i = 0; i < 3; i++) {
        inboxes[i].count = 0;
        on_at(&fixture, i, "t", receive, &inboxes[i]);
    }
    for (uint64_t key = 0; key < 300; key++)
        for (uint32_t from = 0; from < 3; from++)
            assert_int_equal(weir_post_keyed(reactor_at(&fixture, from), topic, WEIR_TO_KEY, key, NULL, 0), 0);
    settle(&fixture);
    uint32_t seen[300] = {0};
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(inboxes[i].count > 3 * 50); /* a third of them each, roughly */
        for (uint32_t at = 0; at < inboxes[i].count; at++)
            seen[inboxes[i].numbers[at]] += 1u << (8 * i);
    }
    for (uint32_t key = 0; key < 300; key++)
        assert_true(seen[key] == 3 || seen[key] == 3 << 8 || seen[key] == 3 << 16);
    assert_int_equal(weir_post(fixture.reactor, topic, WEIR_TO_KEY, NULL, 0), -EINVAL);
    assert_int_equal(weir_post(fixture.reactor, topic, 3, NULL, 0), -EINVAL);
    close_fixture(&fixture);
}

static void a_post_to_all_reaches_each_once_under_one_id(void **state)
{
    (void)state;
    struct fixture fixture;
    static struct inbox inboxes[4];
    open_fixture(&fixture, 4);
    struct weir_topic topic = topic_of(&fixture, "t");
    for (uint32_t i = 0; i < 4; i++) {
        inboxes[i].count = 0;
        on_at(&fixture, i, "t", receive, &inboxes[i]);
    }
    assert_int_equal(weir_post_keyed(reactor_at(&fixture, 2), topic, WEIR_TO_ALL, 9, NULL, 0), 0);
    settle(&fixture);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(inboxes[i].count, 1);
        assert_int_equal(inboxes[i].events[0].key, 9);
        assert_int_equal(inboxes[i].events[0].id, inboxes[0].events[0].id);
    }
    close_fixture(&fixture);
}

/* ---- Room ---- */

struct resumer {
    struct weir_waiter waiter;
    struct fixture *fixture;
    uint32_t resumed;
};

static void on_resume(struct weir_reactor *reactor, void *context)
{
    (void)reactor;
    struct resumer *resumer = context;
    resumer->resumed++;
}

static void fill_ring(struct fixture *fixture, uint32_t from, uint32_t to, struct weir_topic topic, uint32_t *posted_out)
{
    int result;
    *posted_out = 0;
    while ((result = post_number(fixture, from, to, topic, *posted_out)) == 0)
        ++*posted_out;
    assert_int_equal(result, -EAGAIN);
    assert_true(*posted_out > 0);
}

static void a_full_ring_says_so_loses_nothing_and_resumes_once(void **state)
{
    (void)state;
    struct fixture fixture;
    static struct inbox inbox;
    inbox.count = 0;
    open_fixture(&fixture, 2);
    struct weir_topic topic = topic_of(&fixture, "t");
    on_at(&fixture, 1, "t", receive, &inbox);
    struct resumer resumer = {.waiter = {.resume = on_resume, .context = &resumer}};
    uint32_t posted;
    fill_ring(&fixture, 0, 1, topic, &posted);
    char body[100] = {0};
    assert_int_equal(weir_post(fixture.reactor, topic, 1, body, sizeof body), -EAGAIN);
    assert_int_equal(fixture.reactor->buffers.live_count, 0);
    weir_post_resume(fixture.reactor, 1, &resumer.waiter);
    turn(&fixture, 0);
    assert_int_equal(resumer.resumed, 0); /* nobody has taken anything */
    settle(&fixture);
    assert_int_equal(resumer.resumed, 1);
    assert_int_equal(inbox.count, posted);
    for (uint64_t i = 0; i < posted; i++)
        assert_int_equal(inbox.numbers[i], i);
    assert_int_equal(post_number(&fixture, 0, 1, topic, 0), 0);
    settle(&fixture);
    assert_int_equal(inbox.count, posted + 1);
    close_fixture(&fixture);
}

static void a_waiter_that_was_cancelled_is_not_called(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, 2);
    struct weir_topic topic = topic_of(&fixture, "t");
    struct resumer resumer = {.waiter = {.resume = on_resume, .context = &resumer}};
    uint32_t posted;
    fill_ring(&fixture, 0, 1, topic, &posted);
    weir_post_resume(fixture.reactor, 1, &resumer.waiter);
    weir_post_resume_cancel(fixture.reactor, &resumer.waiter);
    weir_post_resume_cancel(fixture.reactor, &resumer.waiter);
    settle(&fixture);
    assert_int_equal(resumer.resumed, 0);
    close_fixture(&fixture);
}

static void a_post_to_all_is_for_all_or_for_none(void **state)
{
    (void)state;
    struct fixture fixture;
    static struct inbox inboxes[3];
    open_fixture(&fixture, 3);
    struct weir_topic topic = topic_of(&fixture, "t"), all = topic_of(&fixture, "all");
    for (uint32_t i = 0; i < 3; i++) {
        inboxes[i].count = 0;
        on_at(&fixture, i, "all", receive, &inboxes[i]);
    }
    uint32_t posted;
    char body[100] = {0};
    struct resumer resumer = {.waiter = {.resume = on_resume, .context = &resumer}};
    fill_ring(&fixture, 0, 2, topic, &posted); /* 1 still has room */
    assert_int_equal(post_number(&fixture, 0, WEIR_TO_ALL, all, 1), -EAGAIN);
    assert_int_equal(weir_post(fixture.reactor, all, WEIR_TO_ALL, body, sizeof body), -EAGAIN);
    assert_int_equal(fixture.reactor->buffers.live_count, 0);
    weir_post_resume(fixture.reactor, WEIR_TO_ALL, &resumer.waiter);
    settle(&fixture);
    assert_int_equal(resumer.resumed, 1);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(inboxes[i].count, 0);
    assert_int_equal(weir_post(fixture.reactor, all, WEIR_TO_ALL, body, sizeof body), 0);
    settle(&fixture);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(inboxes[i].count, 1);
    assert_int_equal(fixture.reactor->buffers.live_count, 0);
    close_fixture(&fixture);
}

static void count_event(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)on;
    (void)event;
    ++*(uint32_t *)context;
}

static void the_queue_here_is_bounded_and_resumes_when_half_is_done(void **state)
{
    (void)state;
    struct fixture fixture;
    struct weir_runtime_options options = plain_options(1);
    options.memory_bytes_max = 4 << 20; /* so that few events may wait */
    open_with(&fixture, options);
    struct weir_topic topic = topic_of(&fixture, "t"), other = topic_of(&fixture, "queued");
    uint32_t told = 0, queued = 0, posted;
    on_at(&fixture, 0, "t", count_event, &told);
    struct weir_on_options keyed = WEIR_OPTIONS(struct weir_on_options);
    keyed.keyed = true;
    assert_int_equal(weir_on_with(fixture.reactor, "queued", count_event, &queued, &keyed, NULL), 0);
    struct resumer resumer = {.waiter = {.resume = on_resume, .context = &resumer}};
    fill_ring(&fixture, 0, 0, topic, &posted);
    assert_true(posted < WEIR_EVENTS_MAX);
    assert_int_equal(weir_emit(fixture.reactor, other, NULL, 0), -EAGAIN);
    weir_post_resume(fixture.reactor, WEIR_TO_HERE, &resumer.waiter);
    while (resumer.resumed == 0) {
        assert_true(told < posted);
        turn(&fixture, 0);
    }
    assert_true(told >= posted / 2 && told < posted / 2 + 300);
    settle(&fixture);
    assert_int_equal(told, posted);
    assert_int_equal(resumer.resumed, 1);
    assert_int_equal(queued, 0);
    assert_int_equal(weir_emit(fixture.reactor, other, NULL, 0), 1);
    settle(&fixture);
    assert_int_equal(queued, 1);
    close_fixture(&fixture);
}

/* ---- Older first ---- */

static void post_here_once(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    uint64_t *number = context;
    if (*number > 0)
        assert_int_equal(weir_post(on, event->topic, WEIR_TO_HERE, number, sizeof *number), 0);
    *number = 0;
}

static void mail_that_is_there_already_waits_for_what_a_handler_posts_here(void **state)
{
    (void)state;
    struct fixture fixture;
    static struct inbox inbox;
    uint64_t number = 100;
    inbox.count = 0;
    open_fixture(&fixture, 2);
    struct weir_topic topic = topic_of(&fixture, "t");
    on_at(&fixture, 1, "t", post_here_once, &number);
    on_at(&fixture, 1, "*", receive, &inbox);
    settle(&fixture);
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(post_number(&fixture, 0, 1, topic, i), 0);
    settle(&fixture);
    static const uint64_t order[] = {0, 100, 1, 2, 3};
    assert_int_equal(inbox.count, 5);
    assert_memory_equal(inbox.numbers, order, sizeof order);
    close_fixture(&fixture);
}

struct leaver {
    uint32_t runs;
    uint32_t last;
};

static void leave_at_last(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    struct leaver *leaver = context;
    (void)event;
    if (++leaver->runs == leaver->last)
        assert_int_equal(weir_off_match(on, "t", leave_at_last, context), 0);
}

static void a_handler_that_leaves_hears_no_more_of_the_mail_that_is_there(void **state)
{
    (void)state;
    struct fixture fixture;
    struct leaver leaver = {0, 3};
    open_fixture(&fixture, 2);
    struct weir_topic topic = topic_of(&fixture, "t");
    on_at(&fixture, 1, "t", leave_at_last, &leaver);
    settle(&fixture);
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(post_number(&fixture, 0, 1, topic, i), 0);
    settle(&fixture);
    assert_int_equal(leaver.runs, 3);
    close_fixture(&fixture);
}

/* A strand takes a post at once where its handler alone listens: not past an older one of the key that waits for the turn. */
static void a_post_for_a_strand_stays_behind_one_that_waits(void **state)
{
    (void)state;
    struct fixture fixture;
    static struct inbox inbox, other;
    struct weir_on_options keyed = WEIR_OPTIONS(struct weir_on_options);
    inbox.count = other.count = 0;
    keyed.keyed = true;
    open_fixture(&fixture, 1);
    struct weir_topic shared = topic_of(&fixture, "shared"), alone = topic_of(&fixture, "alone");
    assert_int_equal(weir_on_with(fixture.reactor, "*", receive, &inbox, &keyed, NULL), 0);
    on_at(&fixture, 0, "shared", receive, &other);
    for (uint64_t i = 0; i < 40; i++)
        assert_int_equal(weir_post_keyed(fixture.reactor, i % 3 == 1 ? shared : alone, WEIR_TO_HERE, 9, &i, sizeof i), 0);
    settle(&fixture);
    assert_int_equal(inbox.count, 40);
    for (uint64_t i = 0; i < 40; i++)
        assert_int_equal(inbox.numbers[i], i);
    assert_int_equal(other.count, 13);
    close_fixture(&fixture);
}

static void bursts_to_several_reactors_and_topics_arrive_each_in_order(void **state)
{
    (void)state;
    struct fixture fixture;
    static struct inbox inboxes[2][2];
    open_fixture(&fixture, 3);
    struct weir_topic topics[2] = {topic_of(&fixture, "a"), topic_of(&fixture, "b")};
    for (uint32_t to = 0; to < 2; to++)
        for (uint32_t k = 0; k < 2; k++) {
            inboxes[to][k].count = 0;
            on_at(&fixture, to + 1, k ? "b" : "a", receive, &inboxes[to][k]);
        }
    settle(&fixture);
    for (uint64_t i = 0; i < 400; i++) {
        assert_int_equal(post_number(&fixture, 0, 1 + i / 2 % 2, topics[i / 5 % 2], i), 0);
        if (i % 37 == 0)
            settle(&fixture);
    }
    settle(&fixture);
    uint32_t count = 0;
    for (uint32_t to = 0; to < 2; to++)
        for (uint32_t k = 0; k < 2; k++) {
            const struct inbox *inbox = &inboxes[to][k];
            for (uint32_t i = 0; i < inbox->count; i++) {
                assert_int_equal(inbox->numbers[i] / 2 % 2, to);
                assert_int_equal(inbox->numbers[i] / 5 % 2, k);
                assert_true(i == 0 || inbox->numbers[i - 1] < inbox->numbers[i]);
            }
            count += inbox->count;
        }
    assert_int_equal(count, 400);
    close_fixture(&fixture);
}

static void a_stale_topic_is_refused_wherever_it_is_posted(void **state)
{
    (void)state;
    static const struct weir_topic none[] = {{0, 0}, {UINT32_MAX, 0}, {UINT32_MAX, UINT32_MAX}, {7, 1}};
    struct fixture fixture;
    open_fixture(&fixture, 2);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_int_equal(weir_emit(fixture.reactor, none[i], NULL, 0), -ENOENT);
        assert_int_equal(weir_post(fixture.reactor, none[i], WEIR_TO_HERE, NULL, 0), -ENOENT);
        assert_int_equal(weir_post(fixture.reactor, none[i], 1, NULL, 0), -ENOENT);
        assert_int_equal(weir_post(fixture.reactor, none[i], WEIR_TO_ALL, NULL, 0), -ENOENT);
        assert_int_equal(weir_post_keyed(fixture.reactor, none[i], WEIR_TO_KEY, i, NULL, 0), -ENOENT);
    }
    assert_int_equal(weir_post(fixture.reactor, topic_of(&fixture, "t"), WEIR_TO_KEY, NULL, 0), -EINVAL);
    assert_int_equal(weir_post(fixture.reactor, topic_of(&fixture, "t"), 2, NULL, 0), -EINVAL);
    close_fixture(&fixture);
}

static void a_posted_error_that_nobody_hears_is_logged_where_it_arrives(void **state)
{
    (void)state;
    struct fixture fixture;
    struct weir_reactor_counters counters;
    open_fixture(&fixture, 2);
    struct weir_topic topic = topic_of(&fixture, "error.far");
    assert_int_equal(weir_post(fixture.reactor, topic, 1, "lost", 4), 0);
    assert_int_equal(weir_post(fixture.reactor, topic, 0, "here", 4), 0);
    settle(&fixture);
    assert_int_equal(lines_with(&fixture, WEIR_LOG_ERROR, "lost"), 1);
    assert_int_equal(lines_with(&fixture, WEIR_LOG_ERROR, "here"), 1);
    weir_reactor_counters_read(reactor_at(&fixture, 1), &counters);
    assert_int_equal(counters.events_dropped, 1);
    close_fixture(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_post_here_runs_in_a_later_turn_in_order),
        cmocka_unit_test(a_post_from_a_handler_is_for_a_later_turn),
        cmocka_unit_test(bodies_of_every_size_arrive_whole_and_buffers_go_home),
        cmocka_unit_test(a_body_beyond_the_memory_allowed_is_refused),
        cmocka_unit_test(posts_to_another_reactor_arrive_in_order_with_id_and_cause),
        cmocka_unit_test(the_cause_crosses_reactors),
        cmocka_unit_test(a_key_lives_on_one_reactor_whoever_posts),
        cmocka_unit_test(a_post_to_all_reaches_each_once_under_one_id),
        cmocka_unit_test(a_full_ring_says_so_loses_nothing_and_resumes_once),
        cmocka_unit_test(a_waiter_that_was_cancelled_is_not_called),
        cmocka_unit_test(a_post_to_all_is_for_all_or_for_none),
        cmocka_unit_test(the_queue_here_is_bounded_and_resumes_when_half_is_done),
        cmocka_unit_test(mail_that_is_there_already_waits_for_what_a_handler_posts_here),
        cmocka_unit_test(a_handler_that_leaves_hears_no_more_of_the_mail_that_is_there),
        cmocka_unit_test(a_post_for_a_strand_stays_behind_one_that_waits),
        cmocka_unit_test(bursts_to_several_reactors_and_topics_arrive_each_in_order),
        cmocka_unit_test(a_stale_topic_is_refused_wherever_it_is_posted),
        cmocka_unit_test(a_posted_error_that_nobody_hears_is_logged_where_it_arrives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
