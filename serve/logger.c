/*
 * serve/logger.c - one write for each line, so lines of several reactors do not mix.
 *
 * A reactor writes its own lines, so nobody may wait for whoever reads the log: what a full pipe does not take is counted
 * and told when it takes lines again. A pipe that polls writable has room for PIPE_BUF bytes, and no line is longer.
 * Proof: tests/serve/serve_test.py.
 */
#include "serve/logger.h"

#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = PIPE_BUF };

bool logger_may_colour(int fd)
{
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fd) == 1 && !(no_colour && *no_colour) && !(term && strcmp(term, "dumb") == 0);
}

void logger_init(struct logger *logger, enum weir_log_level level)
{
    *logger = (struct logger){.level = level, .colour = logger_may_colour(STDERR_FILENO)};
}

static bool takes_a_line(void)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & (POLLOUT | POLLERR)) != 0;
}

static void write_line(const struct logger *logger, enum weir_log_level level, const char *line)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    static const char *const colours[] = {"\033[2m", "", "\033[33m", "\033[31m"};
    const char *colour = logger->colour ? colours[level] : "", *plain = *colour ? "\033[0m" : "";
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    char stamp[32], text[LINE_BYTES_MAX];
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    int room = LINE_BYTES_MAX - 96; /* for what is around the line */
    int bytes = snprintf(text, sizeof text, "%stime=%s.%03ldZ level=%s %.*s%s\n", colour, stamp,
                         now.tv_nsec / 1000000, names[level], room, line, plain);
    if (bytes > 0 && write(STDERR_FILENO, text, (size_t)bytes) < 0)
        return; /* nobody to tell */
}

void logger_write(void *context, enum weir_log_level level, const char *line)
{
    struct logger *logger = context;
    if (level < logger->level)
        return;
    if (!takes_a_line()) {
        weir_fetch_add(&logger->lost, 1, relaxed); /* a count, nothing hangs on it */
        return;
    }
    uint32_t lost = weir_exchange(&logger->lost, 0, relaxed);
    if (lost > 0) {
        char text[64];
        snprintf(text, sizeof text, "msg=\"log lines lost\" count=%u", lost);
        write_line(logger, WEIR_LOG_WARN, text);
        if (!takes_a_line()) {
            weir_fetch_add(&logger->lost, 1, relaxed);
            return;
        }
    }
    write_line(logger, level, line);
}

void logger_say(struct logger *logger, enum weir_log_level level, const char *format, ...)
{
    char line[LINE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    logger_write(logger, level, line);
}
