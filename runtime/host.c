/*
 * runtime/host.c - timers of a reactor whose host sleeps in poll() instead of in the io.
 *
 * The host does not know when the next timer is due, so a timerfd knows, and an operation of the io waits for it: then the io's
 * own fd is readable. One system call when the earliest deadline has changed since the last poll.
 * Proof: tests/runtime/runtime_test.c.
 */
#include "runtime/host.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "runtime/reactor.h"

struct weir_host {
    struct weir_reactor *reactor;
    struct weir_io_op poll;
    uint64_t set_ns; /* what the timer is set to; UINT64_MAX: not set */
    int timer_fd;
};

static void on_timer(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    (void)data;
    (void)more;
    struct weir_host *host = WEIR_CONTAINER(op, struct weir_host, poll);
    uint64_t count;
    ssize_t got = read(host->timer_fd, &count, sizeof count);
    (void)got; /* set anew meanwhile: nothing there */
    host->set_ns = UINT64_MAX;
    if (result >= 0 && weir_io_start(host->reactor->io, op) < 0)
        weir_reactor_log(host->reactor, WEIR_LOG_ERROR, "msg=\"no memory to poll timers\" reactor=%u", host->reactor->index);
}

int weir_host_open(struct weir_reactor *reactor)
{
    if (reactor->host)
        return 0;
    struct weir_host *host = calloc(1, sizeof *host);
    if (!host)
        return -ENOMEM;
    host->reactor = reactor;
    host->set_ns = UINT64_MAX;
    host->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    int result = host->timer_fd < 0 ? -errno : 0;
    host->poll = (struct weir_io_op){.kind = WEIR_IO_POLL, .fd = host->timer_fd, .done = on_timer};
    if (result == 0)
        result = weir_io_start(reactor->io, &host->poll);
    if (result == 0) {
        reactor->host = host;
        return 0;
    }
    if (host->timer_fd >= 0)
        close(host->timer_fd);
    free(host);
    return result;
}

void weir_host_set_timer(struct weir_reactor *reactor)
{
    struct weir_host *host = reactor->host;
    uint64_t next_ns = weir_wheel_next_ns(&reactor->wheel);
    if (next_ns == host->set_ns)
        return;
    struct itimerspec when = {0}; /* all zero: not set */
    if (next_ns != UINT64_MAX) {
        when.it_value.tv_sec = (time_t)(next_ns / WEIR_S_NS);
        when.it_value.tv_nsec = (long)(next_ns % WEIR_S_NS) + (next_ns == 0);
    }
    timerfd_settime(host->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
    host->set_ns = next_ns;
}

void weir_host_free(struct weir_reactor *reactor)
{
    if (!reactor->host)
        return;
    close(reactor->host->timer_fd);
    free(reactor->host);
    reactor->host = NULL;
}
