/*
 * tests/runtime/stop_test.c - how a runtime ends, on each io: from anywhere, with nothing lost, and with each io closed by its
 * own thread when nobody can wake it any more.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/runtime/live_fixture.h"

#include "base/atomic.h"

enum { REACTORS = 3, OWED_BYTES = 8 << 20 };

static struct weir_runtime *start_or_skip(struct weir_runtime_options options)
{
    struct weir_runtime *runtime;
    assert_int_equal(weir_runtime_open(&options, &runtime), 0);
    int result = weir_runtime_start(runtime);
    if (is_refusal(result) && options.io == WEIR_IO_URING) {
        weir_runtime_close(runtime);
        skip();
    }
    assert_int_equal(result, 0);
    return runtime;
}

static void one_that_never_started_stops(void **state)
{
    struct weir_runtime_options options = options_of(state, REACTORS);
    struct weir_runtime *runtime;
    assert_int_equal(weir_runtime_open(&options, &runtime), 0);
    weir_runtime_stop(runtime);
    weir_runtime_stop(runtime);
    assert_int_equal(weir_runtime_wait(runtime), 0);
    weir_runtime_close(runtime);
}

static void one_that_was_stopped_before_its_start_ends_at_once(void **state)
{
    struct weir_runtime_options options = options_of(state, REACTORS);
    struct weir_runtime *runtime;
    assert_int_equal(weir_runtime_open(&options, &runtime), 0);
    weir_runtime_stop(runtime);
    int result = weir_runtime_start(runtime);
    if (!is_refusal(result)) {
        assert_int_equal(result, 0);
        assert_int_equal(weir_runtime_wait(runtime), 0);
    }
    weir_runtime_close(runtime);
}

static void stop_inside(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)event;
    (void)context;
    weir_runtime_stop(weir_reactor_runtime(on));
}

static int post_a_stop(struct weir_reactor *reactor, void *context)
{
    (void)context;
    struct weir_topic topic;
    if (weir_reactor_index(reactor) != REACTORS - 1)
        return 0;
    int result = weir_on(reactor, "stop", stop_inside, NULL);
    if (result == 0)
        result = weir_topic_open(reactor, "stop", &topic);
    return result < 0 ? result : weir_post(reactor, topic, WEIR_TO_HERE, NULL, 0);
}

static void a_handler_may_stop_the_runtime(void **state)
{
    struct weir_runtime_options options = options_of(state, REACTORS);
    options.on_start = post_a_stop;
    struct weir_runtime *runtime = start_or_skip(options);
    assert_int_equal(weir_runtime_wait(runtime), 0);
    weir_runtime_close(runtime);
}

static struct weir_runtime *runtime_of_signal;

static void on_signal(int number)
{
    (void)number;
    weir_runtime_stop(runtime_of_signal);
}

static void a_signal_handler_may_stop_the_runtime(void **state)
{
    struct sigaction action = {.sa_handler = on_signal}, before;
    sigaction(SIGUSR1, &action, &before);
    struct weir_runtime *runtime = start_or_skip(options_of(state, REACTORS));
    runtime_of_signal = runtime;
    raise(SIGUSR1);
    assert_int_equal(weir_runtime_wait(runtime), 0);
    raise(SIGUSR1); /* they have ended; the runtime is not closed yet */
    weir_runtime_close(runtime);
    sigaction(SIGUSR1, &before, NULL);
}

struct stopper {
    struct weir_runtime *runtime;
    weir_atomic_u32 enough;
};

static void *stop_and_stop(void *context)
{
    struct stopper *stopper = context;
    while (!weir_load(&stopper->enough, relaxed))
        weir_runtime_stop(stopper->runtime);
    return NULL;
}

/* Whoever wakes a reactor that has ended must not meet an io that is being closed. */
static void a_stop_may_come_again_and_again_until_the_close(void **state)
{
    for (int i = 0; i < 20; i++) {
        struct stopper stopper = {.runtime = start_or_skip(options_of(state, REACTORS))};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, stop_and_stop, &stopper), 0);
        assert_int_equal(weir_runtime_wait(stopper.runtime), 0);
        weir_store(&stopper.enough, 1, relaxed);
        pthread_join(thread, NULL);
        weir_runtime_close(stopper.runtime);
    }
}

/* ---- what is owed ---- */

struct debt {
    weir_atomic_u32 opened, closed;
    uint16_t port;
    bool never_read; /* the peer reads nothing */
    uint32_t closed_at_stop;
};

static void owe(struct weir_reactor *reactor, struct weir_tcp *conn, void *context)
{
    (void)reactor;
    struct debt *debt = context;
    uint8_t *bytes = malloc(OWED_BYTES);
    fill_bytes(bytes, OWED_BYTES, 0);
    assert_int_equal(weir_tcp_write(conn, bytes, OWED_BYTES), 0);
    free(bytes);
    weir_fetch_add(&debt->opened, 1, release);
}

static void note_end(struct weir_reactor *reactor, struct weir_tcp *conn, int error)
{
    (void)reactor;
    struct debt *debt = weir_tcp_context(conn);
    assert_int_equal(error, debt->never_read ? -ECONNABORTED : 0);
    weir_fetch_add(&debt->closed, 1, relaxed);
}

static int listen_for_creditors(struct weir_reactor *reactor, void *context)
{
    struct debt *debt = context;
    struct weir_tcp_handlers handlers = WEIR_OPTIONS(struct weir_tcp_handlers);
    struct weir_tcp_listener *listener;
    handlers.on_open = owe;
    handlers.on_close = note_end;
    if (weir_reactor_index(reactor) != 0)
        return 0;
    int result = weir_tcp_listen(reactor, "127.0.0.1:0", &handlers, NULL, debt, &listener);
    debt->port = result == 0 ? weir_tcp_listener_port(listener) : 0;
    return result;
}

static void wait_for_open(struct debt *debt)
{
    struct timespec step = {0, 1000000};
    uint64_t give_up_ns = clock_now_ns() + PATIENCE_NS;
    while (!weir_load(&debt->opened, acquire)) {
        assert_true(clock_now_ns() < give_up_ns);
        nanosleep(&step, NULL);
    }
}

static void bytes_written_before_a_stop_arrive(void **state)
{
    struct debt debt = {0};
    struct weir_runtime_options options = options_of(state, REACTORS);
    options.on_start = listen_for_creditors;
    options.context = &debt;
    options.drain_timeout_ns = PATIENCE_NS;
    struct weir_runtime *runtime = start_or_skip(options);
    int fd = dial(debt.port);
    wait_for_open(&debt);
    weir_runtime_stop(runtime);
    static uint8_t bytes[65536];
    uint64_t count = 0;
    for (ssize_t got; (got = recv(fd, bytes, sizeof bytes, 0)) != 0;) {
        assert_true(got > 0);
        assert_true(bytes_are(bytes, (size_t)got, count));
        count += (uint64_t)got;
    }
    assert_int_equal(count, OWED_BYTES);
    assert_int_equal(weir_runtime_wait(runtime), 0);
    assert_int_equal(weir_load(&debt.closed, relaxed), 1);
    close(fd);
    weir_runtime_close(runtime);
}

static void a_peer_that_does_not_read_is_cut_off_at_the_deadline(void **state)
{
    struct debt debt = {.never_read = true};
    struct weir_runtime_options options = options_of(state, REACTORS);
    options.on_start = listen_for_creditors;
    options.context = &debt;
    options.drain_timeout_ns = 50000000;
    struct weir_runtime *runtime = start_or_skip(options);
    int fd = dial(debt.port);
    wait_for_open(&debt);
    weir_runtime_stop(runtime);
    assert_int_equal(weir_runtime_wait(runtime), 0);
    assert_int_equal(weir_load(&debt.closed, relaxed), 1);
    weir_runtime_close(runtime);
    close(fd);
}

static void note_stop(struct weir_reactor *reactor, void *context)
{
    struct debt *debt = context;
    if (weir_reactor_index(reactor) == 0)
        debt->closed_at_stop = weir_load(&debt->closed, relaxed);
}

/* Its deadline is over before a close can come back: what connections hold of their owners' is let go all the same. */
static void one_that_ends_late_says_so_of_its_connections(void **state)
{
    struct debt debt = {.never_read = true};
    struct weir_runtime_options options = options_of(state, REACTORS);
    options.on_start = listen_for_creditors;
    options.on_stop = note_stop;
    options.context = &debt;
    options.drain_timeout_ns = 1;
    struct weir_runtime *runtime = start_or_skip(options);
    int fd = dial(debt.port);
    wait_for_open(&debt);
    weir_runtime_stop(runtime);
    assert_int_equal(weir_runtime_wait(runtime), 0);
    assert_int_equal(weir_load(&debt.closed, relaxed), 1);
    assert_int_equal(debt.closed_at_stop, 1);
    weir_runtime_close(runtime);
    assert_int_equal(weir_load(&debt.closed, relaxed), 1);
    close(fd);
}

/* ---- a failed assertion ---- */

static int hook_pipe[2];

void weir_on_assert_failed(const char *file, int line, const char *condition)
{
    (void)file;
    (void)line;
    ssize_t written = write(hook_pipe[1], condition, strlen(condition));
    (void)written;
}

static void start_twice(struct weir_runtime_options options)
{
    struct weir_runtime *runtime;
    if (weir_runtime_open(&options, &runtime) == 0 && weir_runtime_start(runtime) == 0)
        (void)!weir_runtime_start(runtime);
    _exit(7);
}

static void a_failed_assertion_calls_the_hosts_hook_and_aborts(void **state)
{
    const struct variant *variant = *state;
    if (variant->io != WEIR_IO_EPOLL)
        skip(); /* once is enough */
    assert_int_equal(pipe(hook_pipe), 0);
    pid_t pid = fork();
    if (pid == 0)
        start_twice(options_of(state, 1));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(hook_pipe[1]);
    char text[200];
    ssize_t got = read(hook_pipe[0], text, sizeof text - 1);
    close(hook_pipe[0]);
    assert_true(got > 0);
    text[got] = '\0';
    assert_non_null(strstr(text, "started"));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
    static const struct live_case cases[] = {
        LIVE_CASE(one_that_never_started_stops),
        LIVE_CASE(one_that_was_stopped_before_its_start_ends_at_once),
        LIVE_CASE(a_handler_may_stop_the_runtime),
        LIVE_CASE(a_signal_handler_may_stop_the_runtime),
        LIVE_CASE(a_stop_may_come_again_and_again_until_the_close),
        LIVE_CASE(bytes_written_before_a_stop_arrive),
        LIVE_CASE(a_peer_that_does_not_read_is_cut_off_at_the_deadline),
        LIVE_CASE(one_that_ends_late_says_so_of_its_connections),
        LIVE_CASE(a_failed_assertion_calls_the_hosts_hook_and_aborts),
    };
    return RUN_LIVE_CASES("runtime.stop", cases);
}
