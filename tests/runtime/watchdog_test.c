/*
 * tests/runtime/watchdog_test.c - a handler over its budget is named once, by the thread that watches, while it still runs.
 *
 * A handler stalls until the line has come, so nothing here depends on how long anything takes.
 */
#include <pthread.h>

#include "tests/runtime/live_fixture.h"

#include "base/atomic.h"

enum { LINES = 64, LINE_BYTES = 200, BUDGET_NS = 20000000 };

struct book {
    pthread_mutex_t lock;
    uint32_t count; /* of lines about budgets */
    char lines[LINES][LINE_BYTES];
    bool stall_in_timer;
    uint32_t wanted; /* stall until so many lines are there */
    uint32_t stalls; /* how often */
    struct weir_timer timer;
    weir_atomic_u32 over;
};

static void write_down(void *context, enum weir_log_level level, const char *line)
{
    struct book *book = context;
    if (level != WEIR_LOG_WARN || !strstr(line, "over its budget"))
        return;
    pthread_mutex_lock(&book->lock);
    if (book->count < LINES)
        snprintf(book->lines[book->count++], LINE_BYTES, "%s", line);
    pthread_mutex_unlock(&book->lock);
}

static uint32_t lines_of(struct book *book)
{
    pthread_mutex_lock(&book->lock);
    uint32_t count = book->count;
    pthread_mutex_unlock(&book->lock);
    return count;
}

static void stall(struct book *book)
{
    struct timespec step = {0, 1000000};
    uint64_t from_ns = clock_now_ns();
    while (lines_of(book) < book->wanted && clock_now_ns() - from_ns < PATIENCE_NS)
        nanosleep(&step, NULL);
    while (clock_now_ns() - from_ns < 3 * BUDGET_NS) /* and several looks longer: it must not be named again */
        nanosleep(&step, NULL);
    weir_fetch_add(&book->over, 1, release);
}

static void on_event(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    struct book *book = context;
    stall(book);
    if (weir_load(&book->over, relaxed) < book->stalls)
        assert_int_equal(weir_post(on, event->topic, WEIR_TO_HERE, NULL, 0), 0);
    else
        weir_runtime_stop(weir_reactor_runtime(on));
}

static void on_timer(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    (void)timer;
    stall(context);
    weir_runtime_stop(weir_reactor_runtime(reactor));
}

static int begin_to_stall(struct weir_reactor *reactor, void *context)
{
    struct book *book = context;
    struct weir_topic topic;
    if (book->stall_in_timer) {
        weir_timer_set(reactor, &book->timer, 1000000, on_timer, book);
        return 0;
    }
    int result = weir_on(reactor, "slow.one", on_event, book);
    if (result == 0)
        result = weir_topic_open(reactor, "slow.one", &topic);
    return result < 0 ? result : weir_post(reactor, topic, WEIR_TO_HERE, NULL, 0);
}

static uint64_t run_book(struct book *book, void **state)
{
    struct weir_runtime_options options = options_of(state, 1);
    struct weir_reactor_counters counters;
    struct weir_runtime *runtime;
    options.stall_budget_ns = BUDGET_NS;
    options.log = write_down;
    options.log_context = book;
    options.on_start = begin_to_stall;
    options.context = book;
    assert_int_equal(pthread_mutex_init(&book->lock, NULL), 0);
    assert_int_equal(weir_runtime_open(&options, &runtime), 0);
    int result = weir_runtime_start(runtime);
    if (is_refusal(result)) {
        weir_runtime_close(runtime);
        skip();
    }
    assert_int_equal(weir_runtime_wait(runtime), 0);
    weir_reactor_counters_read(weir_runtime_reactor(runtime, 0), &counters);
    weir_runtime_close(runtime);
    return counters.stalls;
}

static void a_handler_over_its_budget_is_named_once(void **state)
{
    static struct book book;
    book = (struct book){.wanted = 1, .stalls = 1};
    run_book(&book, state);
    uint32_t named = 0;
    for (uint32_t i = 0; i < book.count; i++)
        named += strstr(book.lines[i], "topic=slow.one ") != NULL;
    if (named != 1)
        print_message("%s\n", book.lines[0]);
    assert_int_equal(named, 1);
    assert_int_equal(book.count, 1);
    assert_non_null(strstr(book.lines[0], "reactor=0"));
}

/* Ten stalls in a row: a line for the first, and after that one a second at most; each is counted. */
static void stalls_in_a_row_do_not_fill_the_log(void **state)
{
    static struct book book;
    book = (struct book){.wanted = 1, .stalls = 10};
    uint64_t from_ns = clock_now_ns();
    uint64_t counted = run_book(&book, state);
    uint64_t took_s = (clock_now_ns() - from_ns) / 1000000000u;
    assert_true(book.count >= 1);
    assert_true(book.count <= 2 + took_s);
    assert_true(counted >= 9); /* the last one's turn may be the last */
}

static void a_turn_that_is_no_topics_is_not_blamed_on_one(void **state)
{
    static struct book book;
    book = (struct book){.wanted = 1, .stalls = 1, .stall_in_timer = true};
    run_book(&book, state);
    assert_int_equal(book.count, 1);
    assert_non_null(strstr(book.lines[0], "turn runs over its budget"));
    assert_null(strstr(book.lines[0], "topic="));
}

int main(void)
{
    static const struct live_case cases[] = {
        LIVE_CASE(a_handler_over_its_budget_is_named_once),
        LIVE_CASE(stalls_in_a_row_do_not_fill_the_log),
        LIVE_CASE(a_turn_that_is_no_topics_is_not_blamed_on_one),
    };
    return RUN_LIVE_CASES("runtime.watchdog", cases);
}
