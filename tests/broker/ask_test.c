/* tests/broker/ask_test.c - questions and answers keep their order, with credit and without. */
#include "broker_fixture.h"

#include "broker/ask.h"

enum { QUESTIONS = 20000 };

struct question {
    struct weir_ask ask;
    uint32_t number;
};

struct run {
    uint32_t asked, answered;
    struct weir_list held; /* not answered yet */
    bool hold;
    struct question questions[QUESTIONS];
};

static struct run run;

static void on_asked(struct weir_part *owner, struct weir_ask *ask)
{
    struct question *question = WEIR_CONTAINER(ask, struct question, ask);
    assert_int_equal(question->number, run.asked++);
    assert_int_equal(owner->reactor->index, ask->to);
    if (run.hold)
        weir_list_push_back(&run.held, &ask->node);
    else
        weir_ask_answer(owner, ask);
}

static void on_answered(struct weir_part *asker, struct weir_ask *ask)
{
    struct question *question = WEIR_CONTAINER(ask, struct question, ask);
    assert_int_equal(question->number, run.answered++);
    assert_int_equal(asker->reactor->index, ask->from);
}

static void ask_all(struct fixture *f, uint32_t from, uint32_t to, uint32_t count)
{
    memset(&run, 0, sizeof run);
    weir_list_init(&run.held);
    for (uint32_t i = 0; i < count; i++) {
        run.questions[i] = (struct question){.ask = {.asked = on_asked, .answered = on_answered}, .number = i};
        weir_ask_send(weir_part(f->reactors[from]), to, &run.questions[i].ask);
    }
}

static void to_the_own_reactor_it_is_a_call(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(2, NULL);
    ask_all(f, 1, 1, 3);
    assert_int_equal(run.answered, 3);
    fixture_close(f);
}

static void questions_without_credit_wait_in_order(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(2, NULL);
    ask_all(f, 0, 1, QUESTIONS);
    assert_false(weir_list_empty(&weir_part(f->reactors[0])->asks[1].asks)); /* else this tests nothing */
    for (int i = 0; i < 10000 && run.answered < QUESTIONS; i++)
        settle(f);
    assert_int_equal(run.asked, QUESTIONS);
    assert_int_equal(run.answered, QUESTIONS);
    fixture_close(f);
}

static void answers_without_credit_wait_in_order(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(2, NULL);
    ask_all(f, 0, 1, QUESTIONS);
    run.hold = true;
    for (int i = 0; i < 10000 && run.asked < QUESTIONS; i++)
        settle(f);
    assert_int_equal(run.asked, QUESTIONS);
    assert_int_equal(run.answered, 0);
    struct weir_part *owner = weir_part(f->reactors[1]);
    for (struct weir_list *node; (node = weir_list_pop_front(&run.held));)
        weir_ask_answer(owner, WEIR_CONTAINER(node, struct weir_ask, node));
    assert_false(weir_list_empty(&owner->asks[0].asks));
    for (int i = 0; i < 10000 && run.answered < QUESTIONS; i++)
        settle(f);
    assert_int_equal(run.answered, QUESTIONS);
    fixture_close(f);
}

/* Each has more to ask than there is credit, and answers at once: neither may wait for the other for good. */
static uint32_t crossed;

static void on_crossed_asked(struct weir_part *owner, struct weir_ask *ask)
{
    weir_ask_answer(owner, ask);
}

static void on_crossed_answered(struct weir_part *asker, struct weir_ask *ask)
{
    (void)asker;
    (void)ask;
    crossed++;
}

static void two_that_wait_for_each_other_get_on(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(2, NULL);
    crossed = 0;
    for (uint32_t i = 0; i < QUESTIONS; i++) {
        run.questions[i] = (struct question){.ask = {.asked = on_crossed_asked, .answered = on_crossed_answered}};
        weir_ask_send(weir_part(f->reactors[i % 2]), 1 - i % 2, &run.questions[i].ask);
    }
    for (int i = 0; i < 10000 && crossed < QUESTIONS; i++)
        settle(f);
    assert_int_equal(crossed, QUESTIONS);
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(to_the_own_reactor_it_is_a_call),
        cmocka_unit_test(questions_without_credit_wait_in_order),
        cmocka_unit_test(answers_without_credit_wait_in_order),
        cmocka_unit_test(two_that_wait_for_each_other_get_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
