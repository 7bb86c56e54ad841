/* serve/logger.c - one write for each line, so lines of several reactors do not mix. */
#include "serve/logger.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

void logger_init(struct logger *logger, enum weir_log_level level)
{
    *logger = (struct logger){level, isatty(STDERR_FILENO) == 1};
}

void logger_write(void *context, enum weir_log_level level, const char *line)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    static const char *const colours[] = {"\033[2m", "", "\033[33m", "\033[31m"};
    const struct logger *logger = context;
    if (level < logger->level)
        return;
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    char stamp[32], text[768];
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    int bytes = snprintf(text, sizeof text, "%stime=%s.%03ldZ level=%s %s%s\n", logger->colour ? colours[level] : "", stamp,
                         now.tv_nsec / 1000000, names[level], line, logger->colour && *colours[level] ? "\033[0m" : "");
    if (bytes >= (int)sizeof text) {
        bytes = sizeof text;
        text[sizeof text - 1] = '\n';
    }
    if (bytes > 0 && write(STDERR_FILENO, text, (size_t)bytes) < 0)
        return; /* nobody to tell */
}

void logger_say(struct logger *logger, enum weir_log_level level, const char *format, ...)
{
    char line[640];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    logger_write(logger, level, line);
}
