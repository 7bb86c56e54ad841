/*
 * tests/sched/strand_kit.h - up to four schedulers on one thread, stepped by hand, for
 * strand_test.c and steal_test.c.
 *
 * A seat is a reactor without the reactor: its clock is a number, its mesh an array. Closing the
 * kit holds that every event was released exactly once.
 */
#ifndef WEIR_TESTS_SCHED_STRAND_KIT_H
#define WEIR_TESTS_SCHED_STRAND_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sched/strand.h"

enum { EVENTS_MAX = 4096, DONE_MAX = 256 };

struct bench;

struct event {
    struct weir_task task;
    struct bench *bench;
    struct weir_class *class;
    uint64_t key;
    uint32_t number;
    uint32_t ran;      /* times executed */
    uint32_t released; /* times given back */
    uint32_t ran_on;
    void (*also)(struct event *event);
};

/* One reactor of the test. */
struct seat {
    struct bench *bench;
    uint32_t index;
    struct weir_sched *sched;
    struct weir_strand *done[DONE_MAX]; /* sent to this seat, not delivered yet */
    uint32_t done_count;
    uint32_t wakes_asked;
};

struct bench {
    struct weir_sched_hub hub;
    struct seat seats[4];
    uint64_t now_ns;
    uint64_t task_ns; /* what a task takes */
    bool refuse_done;
    struct event events[EVENTS_MAX];
    uint32_t event_count;
    struct event *log[EVENTS_MAX]; /* as executed */
    uint32_t log_count;
    struct weir_class *closed; /* last on_closed */
    uint32_t closed_count;
};

static inline uint64_t bench_clock(void *on)
{
    return ((struct seat *)on)->bench->now_ns;
}

static inline void bench_release(void *on, struct weir_class *class, struct weir_task *first,
                                 struct weir_task *last, uint32_t count)
{
    (void)on;
    (void)class;
    struct weir_task *task = first;
    for (uint32_t i = 0; i < count; i++) {
        struct weir_task *next = task->next;
        ((struct event *)(void *)task)->released++;
        assert_true((i == count - 1) == (task == last));
        task = next;
    }
}

static inline bool bench_send_done(void *on, uint32_t home, struct weir_strand *strands)
{
    struct bench *bench = ((struct seat *)on)->bench;
    if (bench->refuse_done)
        return false;
    struct seat *seat = &bench->seats[home];
    assert_true(seat->done_count < DONE_MAX);
    seat->done[seat->done_count++] = strands;
    return true;
}

static inline void bench_on_shared(void *on)
{
    ((struct seat *)on)->wakes_asked++;
}

static inline enum weir_verdict bench_execute(void *context, struct weir_task *task, void *on)
{
    (void)context;
    struct event *event = (struct event *)(void *)task;
    struct bench *bench = event->bench;
    event->ran++;
    event->ran_on = ((struct seat *)on)->index;
    bench->log[bench->log_count++] = event;
    bench->now_ns += bench->task_ns;
    if (event->also != NULL)
        event->also(event);
    return WEIR_TASK_DONE;
}

static inline struct bench *bench_open_with(uint32_t seats, struct weir_sched_options options)
{
    struct bench *bench = aligned_alloc(WEIR_LINE_PAIR_BYTES, (sizeof *bench + 127) / 128 * 128);
    assert_non_null(bench);
    memset(bench, 0, sizeof *bench);
    bench->now_ns = 1000000;
    for (uint32_t i = 0; i < seats; i++) {
        struct seat *seat = &bench->seats[i];
        seat->bench = bench;
        seat->index = i;
        options.hub = &bench->hub;
        options.reactor_index = i;
        options.reactor_count = seats;
        options.on = seat;
        options.clock = bench_clock;
        options.release = bench_release;
        options.send_done = bench_send_done;
        options.on_shared = bench_on_shared;
        assert_int_equal(weir_sched_open(&options, &seat->sched), 0);
    }
    return bench;
}

static inline struct bench *bench_open(uint32_t seats)
{
    return bench_open_with(seats, (struct weir_sched_options){.stealing = true});
}

/* Closes, and holds that every event that was accepted was released exactly once and ran at most
 * once. */
static inline void bench_close(struct bench *bench)
{
    for (uint32_t i = 0; i < 4; i++) {
        if (bench->seats[i].sched != NULL)
            weir_sched_close(bench->seats[i].sched);
    }
    for (uint32_t i = 0; i < bench->event_count; i++) {
        assert_int_equal(bench->events[i].released, 1);
        assert_true(bench->events[i].ran <= 1);
    }
    free(bench);
}

static inline void class_open(struct bench *bench, uint32_t seat, struct weir_class *class,
                              bool stealable)
{
    *class = (struct weir_class){.execute = bench_execute, .stealable = stealable};
    weir_sched_class_init(bench->seats[seat].sched, class);
}

static inline struct event *event_new(struct bench *bench, struct weir_class *class, uint64_t key)
{
    assert_true(bench->event_count < EVENTS_MAX);
    struct event *event = &bench->events[bench->event_count];
    event->bench = bench;
    event->class = class;
    event->key = key;
    event->number = bench->event_count++;
    return event;
}

static inline struct event *post(struct bench *bench, uint32_t seat, struct weir_class *class)
{
    struct event *event = event_new(bench, class, UINT64_MAX);
    assert_int_equal(weir_sched_post(bench->seats[seat].sched, class, &event->task), 0);
    return event;
}

static inline struct event *post_keyed(struct bench *bench, uint32_t seat, struct weir_class *class,
                                       uint64_t key)
{
    struct event *event = event_new(bench, class, key);
    assert_int_equal(weir_sched_post_keyed(bench->seats[seat].sched, class, key, &event->task), 0);
    return event;
}

static inline uint32_t turn(struct bench *bench, uint32_t seat)
{
    return weir_sched_run(bench->seats[seat].sched, bench->now_ns);
}

static inline void deliver_done(struct bench *bench, uint32_t seat)
{
    struct seat *to = &bench->seats[seat];
    for (uint32_t i = 0; i < to->done_count; i++)
        weir_sched_done(to->sched, to->done[i]);
    to->done_count = 0;
}

static inline struct weir_sched_counts counts(struct bench *bench, uint32_t seat)
{
    struct weir_sched_counts result;
    weir_sched_counts(bench->seats[seat].sched, &result);
    return result;
}

/* For each key of each class the numbers in the log must rise. */
static inline void assert_key_order(const struct bench *bench)
{
    for (uint32_t i = 0; i < bench->log_count; i++) {
        for (uint32_t j = i + 1; j < bench->log_count; j++) {
            const struct event *a = bench->log[i], *b = bench->log[j];
            if (a->class == b->class && a->key == b->key)
                assert_true(a->number < b->number);
        }
    }
}

static inline void note_closed(struct weir_class *class)
{
    struct bench *bench = class->context;
    bench->closed = class;
    bench->closed_count++;
}

#endif
