/*
 * bench/load/load.h - what loads share: a histogram that keeps every value to within 1 %, dialling, printing.
 */
#ifndef WEIR_BENCH_LOAD_H
#define WEIR_BENCH_LOAD_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/kit/measure.h"

enum {
    HISTOGRAM_SUB = 128, /* cells for each power of two */
    HISTOGRAM_CELLS = 40 * HISTOGRAM_SUB,
};

struct histogram {
    uint64_t cells[HISTOGRAM_CELLS];
    uint64_t count;
    uint64_t max;
};

static inline uint32_t histogram_cell(uint64_t value)
{
    if (value < HISTOGRAM_SUB)
        return (uint32_t)value;
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(value) - 7u; /* 2^7 == HISTOGRAM_SUB */
    uint32_t cell = (shift + 1) * HISTOGRAM_SUB + (uint32_t)((value >> shift) - HISTOGRAM_SUB);
    return cell < HISTOGRAM_CELLS ? cell : HISTOGRAM_CELLS - 1;
}

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->cells[histogram_cell(value)]++;
    histogram->count++;
    if (value > histogram->max)
        histogram->max = value;
}

/* The upper edge of the cell that holds the given share of all values. */
static inline double histogram_at(const struct histogram *histogram, double share)
{
    uint64_t rank = (uint64_t)(share * (double)histogram->count), seen = 0;
    for (uint32_t cell = 0; cell < HISTOGRAM_CELLS; cell++) {
        seen += histogram->cells[cell];
        if (seen > rank) {
            uint32_t shift = cell < 2 * HISTOGRAM_SUB ? 0 : cell / HISTOGRAM_SUB - 1;
            uint64_t base = cell < HISTOGRAM_SUB
                                ? cell
                                : (uint64_t)(HISTOGRAM_SUB + cell % HISTOGRAM_SUB) << shift;
            uint64_t edge = base + ((uint64_t)1 << shift) - 1;
            return (double)(edge < histogram->max ? edge : histogram->max);
        }
    }
    return (double)histogram->max;
}

static inline void print_row(const char *name, const char *what, const char *unit, double value)
{
    printf("%s.%s %s %.6g\n", name, what, unit, value);
}

static inline void print_latencies(const char *name, const struct histogram *histogram)
{
    print_row(name, "p50", "us", histogram_at(histogram, 0.50) / 1e3);
    print_row(name, "p99", "us", histogram_at(histogram, 0.99) / 1e3);
    print_row(name, "p999", "us", histogram_at(histogram, 0.999) / 1e3);
    print_row(name, "max", "us", (double)histogram->max / 1e3);
}

static inline struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A connection to a server on this machine; waits for one that is still starting. */
static inline int dial(int port)
{
    struct sockaddr_in address = loopback(port);
    int one = 1;
    for (int tries = 0; tries < 500; tries++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            return fd;
        }
        close(fd);
        usleep(10000);
    }
    measure_fail("nobody answers on the port");
}

static inline void send_all(int fd, const void *bytes, size_t byte_count)
{
    for (size_t sent = 0; sent < byte_count;) {
        ssize_t got = send(fd, (const char *)bytes + sent, byte_count - sent, MSG_NOSIGNAL);
        if (got < 0 && errno != EINTR)
            measure_fail("the server hung up");
        sent += got > 0 ? (size_t)got : 0;
    }
}

/* Until CLOCK_MONOTONIC says `at_ns`; late at once. */
static inline void wait_until(uint64_t at_ns)
{
    struct timespec at = {.tv_sec = (time_t)(at_ns / 1000000000),
                          .tv_nsec = (long)(at_ns % 1000000000)};
    while (measure_now_ns() < at_ns &&
           clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

#endif
