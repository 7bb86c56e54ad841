/*
 * tests/soak/soak.h - what the parts of the soak share: counting checks, the clock, medians, the bar.
 */
#ifndef WEIR_TESTS_SOAK_H
#define WEIR_TESTS_SOAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct soak {
    const char *weir; /* the program */
    uint64_t from_ns;
    uint64_t until_ns;
    uint64_t seed;
    uint32_t passed;
    uint32_t failed;
    bool terminal; /* draw the bar */
};

/* How weir runs in one round. */
struct soak_shape {
    uint32_t reactor_count;
    uint32_t io; /* enum weir_io_kind_option */
    const char *name;
};

enum { SOAK_SHAPES = 4 };
extern const struct soak_shape soak_shapes[SOAK_SHAPES];

uint64_t soak_now_ns(void);
/* One check: counted; a failed one is printed at once, with what `format` says. */
__attribute__((format(printf, 3, 4))) bool soak_check(struct soak *soak, bool good, const char *format, ...);
/* A line of the report. */
__attribute__((format(printf, 2, 3))) void soak_say(struct soak *soak, const char *format, ...);
void soak_draw(struct soak *soak, const char *what);

double soak_median(double *values, size_t count); /* sorts them */
uint64_t soak_percentile(uint64_t *values, size_t count, double percent); /* sorts them */

/* Posts between reactors until until_ns: tests/soak/posts.c. */
void soak_posts(struct soak *soak, uint64_t until_ns);
/* A real broker and raw sockets until until_ns: tests/soak/storm.c. */
void soak_storm(struct soak *soak, uint64_t until_ns);

#endif
