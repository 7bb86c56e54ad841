/*
 * serve/crash.c - SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT write the recorder and then end the process as usual.
 *
 * The handler only opens and writes: everything it needs was laid out before. It runs on a stack of its own.
 */
#include "serve/crash.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/base.h>
#include <weir/trace.h>

static struct weir_runtime *watched;
static char dump_path[4200];
static char stack_memory[64 << 10];

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        return;
}

void weir_on_assert_failed(const char *file, int line, const char *condition)
{
    char text[512];
    int bytes = snprintf(text, sizeof text,
                         "level=error msg=\"assertion failed\" at=%s:%d condition=\"%s\"\n", file,
                         line, condition);
    if (bytes > 0 && write(STDERR_FILENO, text, (size_t)bytes) < 0)
        return;
}

static void on_crash(int number)
{
    if (watched) {
        int fd = open(dump_path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 && weir_trace_dump(watched, fd) == 0) {
            say("level=error msg=\"crashed; see weir trace FILE\" file=");
            say(dump_path);
            say("\n");
        }
    }
    signal(number, SIG_DFL);
    raise(number);
}

void crash_watch(struct weir_runtime *runtime, const char *folder)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    snprintf(dump_path, sizeof dump_path, "%s/weir-crash-%d.trace", folder ? folder : ".",
             (int)getpid());
    watched = runtime;
    stack_t stack = {.ss_sp = stack_memory, .ss_size = sizeof stack_memory};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_handler = on_crash,
                               .sa_flags = SA_ONSTACK | SA_RESETHAND | SA_NODEFER};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &action, NULL);
}
