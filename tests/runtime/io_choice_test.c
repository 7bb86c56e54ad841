/*
 * tests/runtime/io_choice_test.c - which io is opened where the kernel says no, and what is said about it.
 *
 * Each case runs in a child under a seccomp filter that refuses system calls as container runtimes do.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "runtime/io.h"

enum { CANNOT_FILTER = 77 };

static void refuse(uint32_t call, int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(CANNOT_FILTER);
}

/* In a child, because a filter is for ever. A child that returns true is content. */
static void in_a_child(bool (*run)(void))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(run() ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CANNOT_FILTER)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int open_io(enum weir_io_choice choice, struct weir_io **io_out, char *why_out)
{
    struct weir_io_options options = {.choice = choice};
    return weir_io_open(&options, io_out, why_out, 160);
}

static bool opens(enum weir_io_choice choice, const char *name, const char *word)
{
    struct weir_io *io;
    char why[160] = "";
    int error = open_io(choice, &io, why);
    bool as_wanted = error == 0 && strcmp(io->table->name, name) == 0 && strstr(why, word);
    if (!as_wanted)
        fprintf(stderr, "error %d, \"%s\" instead of %s with %s\n", error, why, name, word);
    if (error == 0)
        io->table->close(io);
    return as_wanted;
}

static bool refused_for_good(void)
{
    refuse(SYS_io_uring_setup, EPERM);
    struct weir_io *io;
    char why[160] = "";
    return open_io(WEIR_IO_CHOICE_URING, &io, why) == -EPERM && strstr(why, "EPERM") &&
           opens(WEIR_IO_CHOICE_AUTO, "epoll", "EPERM");
}

static void a_filter_that_says_eperm_leads_to_epoll(void **state)
{
    (void)state;
    in_a_child(refused_for_good);
}

static bool not_there(void)
{
    refuse(SYS_io_uring_setup, ENOSYS);
    struct weir_io *io;
    char why[160] = "";
    return open_io(WEIR_IO_CHOICE_URING, &io, why) == -ENOSYS &&
           opens(WEIR_IO_CHOICE_AUTO, "epoll", "ENOSYS");
}

static void a_kernel_without_it_leads_to_epoll(void **state)
{
    (void)state;
    in_a_child(not_there);
}

static bool no_registration(void)
{
    refuse(SYS_io_uring_register, EPERM);
    return opens(WEIR_IO_CHOICE_AUTO, "epoll", "memory for receiving");
}

static void a_ring_that_cannot_have_buffers_leads_to_epoll(void **state)
{
    (void)state;
    in_a_child(no_registration);
}

static bool epoll_is_epoll(void)
{
    return opens(WEIR_IO_CHOICE_EPOLL, "epoll", "asked");
}

static void epoll_can_be_asked_for(void **state)
{
    (void)state;
    in_a_child(epoll_is_epoll);
}

static bool only_milliseconds(void)
{
    refuse(SYS_epoll_pwait2, ENOSYS);
    struct weir_io *io;
    char why[160];
    if (open_io(WEIR_IO_CHOICE_EPOLL, &io, why) < 0)
        return false;
    uint64_t start_ns = weir_io_now_ns(io);
    bool waited = true;
    for (int i = 0; i < 3; i++)
        waited = waited && weir_io_turn(io, 1500 * WEIR_US_NS) == 0;
    waited = waited && weir_io_now_ns(io) - start_ns >= 3 * 1500 * WEIR_US_NS;
    io->table->close(io);
    return waited;
}

static void without_epoll_pwait2_waits_are_whole_milliseconds(void **state)
{
    (void)state;
    in_a_child(only_milliseconds);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_filter_that_says_eperm_leads_to_epoll),
        cmocka_unit_test(a_kernel_without_it_leads_to_epoll),
        cmocka_unit_test(a_ring_that_cannot_have_buffers_leads_to_epoll),
        cmocka_unit_test(epoll_can_be_asked_for),
        cmocka_unit_test(without_epoll_pwait2_waits_are_whole_milliseconds),
    };
    return cmocka_run_group_tests_name("runtime.io_choice", tests, NULL, NULL);
}
