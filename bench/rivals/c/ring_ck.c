/*
 * bench/rivals/c/ring_ck.c - Concurrency Kit's ring, single producer and consumer. It has no bursts. One slot stays empty.
 *
 * ck_ring.h does not compile as C++, so what ring.hh says in templates is said here in a macro.
 */
#include <ck_ring.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kit/measure.h"

struct ck {
    struct ck_ring ring;
    void *slots;
};

static void ck_open(struct ck *ck, unsigned slot_count, size_t slot_bytes)
{
    ck->slots = aligned_alloc(128, slot_count * slot_bytes);
    memset(ck->slots, 0, slot_count * slot_bytes);
    ck_ring_init(&ck->ring, slot_count);
}

#define CASES(slot, word_count)                                            \
    struct slot {                                                          \
        uint64_t words[word_count];                                        \
    };                                                                     \
    CK_RING_PROTOTYPE(slot, slot)                                          \
                                                                           \
    static void slot##_put(struct ck *ck, uint64_t value)                  \
    {                                                                      \
        struct slot s;                                                     \
        for (int i = 0; i < (word_count); i++)                             \
            s.words[i] = value;                                            \
        while (!ck_ring_enqueue_spsc_##slot(&ck->ring, ck->slots, &s))     \
            measure_wait();                                                \
    }                                                                      \
    static uint64_t slot##_get(struct ck *ck)                              \
    {                                                                      \
        struct slot s;                                                     \
        while (!ck_ring_dequeue_spsc_##slot(&ck->ring, ck->slots, &s))     \
            measure_wait();                                                \
        if (s.words[0] != s.words[(word_count)-1])                         \
            measure_fail("torn");                                          \
        return s.words[0];                                                 \
    }                                                                      \
    static void slot##_in(uint64_t count, void *context)                   \
    {                                                                      \
        for (uint64_t i = 0; i < count; i++)                               \
            slot##_put(context, i);                                        \
    }                                                                      \
    static void slot##_out(uint64_t count, void *context)                  \
    {                                                                      \
        for (uint64_t i = 0; i < count; i++)                               \
            if (slot##_get(context) != i)                                  \
                measure_fail("order");                                     \
    }                                                                      \
    static void slot##_there(uint64_t count, void *context)                \
    {                                                                      \
        struct ck *pair = context;                                         \
        for (uint64_t i = 0; i < count; i++) {                             \
            slot##_put(&pair[0], i);                                       \
            if (slot##_get(&pair[1]) != i)                                 \
                measure_fail("order");                                     \
        }                                                                  \
    }                                                                      \
    static void slot##_back(uint64_t count, void *context)                 \
    {                                                                      \
        struct ck *pair = context;                                         \
        for (uint64_t i = 0; i < count; i++)                               \
            slot##_put(&pair[1], slot##_get(&pair[0]));                    \
    }                                                                      \
    static double slot##_one(uint64_t count, const void *slot_count)       \
    {                                                                      \
        static struct ck ck __attribute__((aligned(128)));                 \
        ck_open(&ck, *(const unsigned *)slot_count, sizeof(struct slot));  \
        double took = measure_two(slot##_in, slot##_out, count, &ck);      \
        free(ck.slots);                                                    \
        return took;                                                       \
    }                                                                      \
    static double slot##_trip(uint64_t count, const void *nothing)         \
    {                                                                      \
        static struct ck pair[2] __attribute__((aligned(128)));            \
        (void)nothing;                                                     \
        ck_open(&pair[0], 1024, sizeof(struct slot));                      \
        ck_open(&pair[1], 1024, sizeof(struct slot));                      \
        double took = measure_two(slot##_there, slot##_back, count, pair); \
        free(pair[0].slots);                                               \
        free(pair[1].slots);                                               \
        return took;                                                       \
    }

CASES(word, 1)
CASES(wide, 8)

int main(int argc, char **argv)
{
    static const unsigned k1 = 1024, k64 = 65536;
    static const struct measure_case cases[] = {
        {"ring.one.8B.1k", "1/s", word_one, &k1},  {"ring.one.8B.64k", "1/s", word_one, &k64},
        {"ring.one.64B.1k", "1/s", wide_one, &k1}, {"ring.one.64B.64k", "1/s", wide_one, &k64},
        {"ring.trip.8B", "ns", word_trip, NULL},   {"ring.trip.64B", "ns", wide_trip, NULL},
    };
    return measure_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
