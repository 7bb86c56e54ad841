/*
 * bench/rivals/c/ring.hh - the ring cases for a C++ queue behind an adapter Q<T>(slots):
 *
 *     bool put(const T &)             false: full
 *     bool get(T &)                   false: empty
 *     unsigned put_many(const T *, unsigned)
 *     template <class F> unsigned each(F)     what is there, oldest first, up to a capacity's worth
 */
#ifndef WEIR_BENCH_RING_HH
#define WEIR_BENCH_RING_HH

#include <cstddef>
#include <cstdint>

#include "bench/kit/measure.h"

namespace ring
{
constexpr unsigned burst_slots = 64;

struct wide {
    uint64_t words[8];
};
inline void fill(uint64_t &slot, uint64_t value)
{
    slot = value;
}
inline void fill(wide &slot, uint64_t value)
{
    for (auto &word : slot.words)
        word = value;
}
inline void check(const uint64_t &slot, uint64_t value)
{
    if (slot != value)
        measure_fail("order");
}
inline void check(const wide &slot, uint64_t value)
{
    if (slot.words[0] != value || slot.words[7] != value)
        measure_fail("order");
}

template <class Q, class T> struct cases {
    static void one_in(uint64_t count, void *context)
    {
        auto *q = static_cast<Q *>(context);
        for (uint64_t i = 0; i < count; i++) {
            T slot;
            fill(slot, i);
            while (!q->put(slot))
                measure_wait();
        }
    }
    static void one_out(uint64_t count, void *context)
    {
        auto *q = static_cast<Q *>(context);
        T slot;
        for (uint64_t i = 0; i < count; i++) {
            while (!q->get(slot))
                measure_wait();
            check(slot, i);
        }
    }
    static double one(uint64_t count, const void *slots)
    {
        auto *q = new Q(*static_cast<const unsigned *>(slots));
        double took = measure_two(one_in, one_out, count, q);
        delete q;
        return took;
    }

    static void burst_in(uint64_t count, void *context)
    {
        auto *q = static_cast<Q *>(context);
        T slots[burst_slots];
        for (uint64_t i = 0; i < count; i += burst_slots) {
            for (unsigned k = 0; k < burst_slots; k++)
                fill(slots[k], i + k);
            for (unsigned put = 0; put < burst_slots;) {
                unsigned now = q->put_many(slots + put, burst_slots - put);
                if (now == 0)
                    measure_wait();
                put += now;
            }
        }
    }
    static void burst_out(uint64_t count, void *context)
    {
        auto *q = static_cast<Q *>(context);
        uint64_t i = 0;
        while (i < count)
            if (q->each([&i](const T &slot) { check(slot, i++); }) == 0)
                measure_wait();
    }
    static double burst(uint64_t count, const void *slots)
    {
        auto *q = new Q(*static_cast<const unsigned *>(slots));
        double took = measure_two(burst_in, burst_out, count / burst_slots * burst_slots, q);
        delete q;
        return took;
    }

    static void there(uint64_t count, void *context)
    {
        auto **pair = static_cast<Q **>(context);
        for (uint64_t i = 0; i < count; i++) {
            T slot;
            fill(slot, i);
            while (!pair[0]->put(slot))
                measure_wait();
            while (!pair[1]->get(slot))
                measure_wait();
            check(slot, i);
        }
    }
    static void back(uint64_t count, void *context)
    {
        auto **pair = static_cast<Q **>(context);
        for (uint64_t i = 0; i < count; i++) {
            T slot;
            while (!pair[0]->get(slot))
                measure_wait();
            while (!pair[1]->put(slot))
                measure_wait();
        }
    }
    static double trip(uint64_t count, const void *)
    {
        Q *pair[2] = {new Q(1024), new Q(1024)};
        double took = measure_two(there, back, count, pair);
        delete pair[0];
        delete pair[1];
        return took;
    }
};

template <template <class> class Q> int main(int argc, char **argv)
{
    using narrow = cases<Q<uint64_t>, uint64_t>;
    using broad = cases<Q<wide>, wide>;
    static const unsigned k1 = 1024, k64 = 65536;
    static const measure_case all[] = {
        {"ring.one.8B.1k", "1/s", narrow::one, &k1},
        {"ring.one.8B.64k", "1/s", narrow::one, &k64},
        {"ring.one.64B.1k", "1/s", broad::one, &k1},
        {"ring.one.64B.64k", "1/s", broad::one, &k64},
        {"ring.burst.8B.1k", "1/s", narrow::burst, &k1},
        {"ring.burst.8B.64k", "1/s", narrow::burst, &k64},
        {"ring.burst.64B.1k", "1/s", broad::burst, &k1},
        {"ring.burst.64B.64k", "1/s", broad::burst, &k64},
        {"ring.trip.8B", "ns", narrow::trip, nullptr},
        {"ring.trip.64B", "ns", broad::trip, nullptr},
    };
    return measure_main(argc, argv, all, sizeof all / sizeof *all);
}
} // namespace ring

#endif
