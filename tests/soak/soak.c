/*
 * tests/soak/soak.c - the long run: everything at once, for as long as asked, and what must hold is checked all the while.
 *
 *     soak SECONDS PATH-OF-WEIR
 *
 * Two fifths of the time go to posts between reactors, the rest to a broker with a stalled subscriber and a flooding client.
 * Each goes through 2 and 4 reactors, on io_uring and on epoll, in turns. The last line is "N passed, N failed".
 */
#include "tests/soak/soak.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <weir/runtime.h>

const struct soak_shape soak_shapes[SOAK_SHAPES] = {
    {2, WEIR_IO_URING, "2 reactors on io_uring"},
    {4, WEIR_IO_EPOLL, "4 reactors on epoll"},
    {4, WEIR_IO_URING, "4 reactors on io_uring"},
    {2, WEIR_IO_EPOLL, "2 reactors on epoll"},
};

uint64_t soak_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void wipe_bar(const struct soak *soak)
{
    if (soak->terminal)
        fprintf(stderr, "\r\033[K");
}

bool soak_check(struct soak *soak, bool good, const char *format, ...)
{
    if (good) {
        soak->passed++;
        return true;
    }
    soak->failed++;
    wipe_bar(soak);
    va_list arguments;
    va_start(arguments, format);
    printf("FAILED: ");
    vprintf(format, arguments);
    printf("\n");
    fflush(stdout);
    va_end(arguments);
    return false;
}

void soak_say(struct soak *soak, const char *format, ...)
{
    wipe_bar(soak);
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    printf("\n");
    fflush(stdout);
    va_end(arguments);
}

void soak_draw(struct soak *soak, const char *what)
{
    enum { CELLS = 40 };
    if (!soak->terminal)
        return;
    uint64_t now_ns = soak_now_ns();
    double part = (double)(now_ns - soak->from_ns) / (double)(soak->until_ns - soak->from_ns);
    int cells = part >= 1 ? CELLS : (int)(part * CELLS);
    fprintf(stderr, "\r\033[K[%.*s%*s] %4.0f s  %s", cells, "########################################", CELLS - cells, "",
            (double)(now_ns - soak->from_ns) / 1e9, what);
}

static int compare_double(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static int compare_u64(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

double soak_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_double);
    if (count == 0)
        return 0;
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

uint64_t soak_percentile(uint64_t *values, size_t count, double percent)
{
    qsort(values, count, sizeof *values, compare_u64);
    if (count == 0)
        return 0;
    size_t at = (size_t)((double)count * percent / 100);
    return values[at < count ? at : count - 1];
}

int main(int argc, char **argv)
{
    if (argc != 3 || atoi(argv[1]) < 1) {
        fprintf(stderr, "usage: soak SECONDS PATH-OF-WEIR\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    uint64_t all_ns = (uint64_t)atoi(argv[1]) * 1000000000u;
    struct soak soak = {.weir = argv[2], .from_ns = soak_now_ns(), .terminal = isatty(STDERR_FILENO) == 1};
    soak.until_ns = soak.from_ns + all_ns;
    soak.seed = soak.from_ns | 1;
    soak_posts(&soak, soak.from_ns + all_ns * 2 / 5);
    soak_storm(&soak, soak.until_ns);
    soak_say(&soak, "%u passed, %u failed", soak.passed, soak.failed);
    return soak.failed > 0;
}
