/*
 * bench/rivals/c/dispatch_tbb.cc - tasks made on one of two threads of oneTBB; the other gets what it steals.
 *
 * backlog: 1 us of work each, 1,024 at once. burst: 256 at once. empty: as backlog, no work in them. A task_group has no
 * part-way wait, so each lot is made and waited for, the maker working along.
 */
#include <algorithm>
#include <atomic>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>
#include <tbb/task_scheduler_observer.h>

#include "bench/kit/measure.h"

namespace
{
struct alignas(128) counter {
    std::atomic<uint64_t> done{0};
};
counter counters[2];
thread_local int worker;
uint64_t cycles_per_us;

struct shape {
    bool work;
    uint64_t lot;
};

struct pinner : tbb::task_scheduler_observer {
    explicit pinner(tbb::task_arena &arena) : task_scheduler_observer(arena)
    {
        observe(true);
    }
    ~pinner() override
    {
        observe(false);
    }
    void on_scheduler_entry(bool is_worker) override
    {
        worker = is_worker;
        measure_pin(worker);
    }
};

void task(uint64_t cycles)
{
    measure_spin(cycles);
    auto &mine = counters[worker].done;
    mine.store(mine.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

uint64_t done()
{
    return counters[0].done.load(std::memory_order_acquire) +
           counters[1].done.load(std::memory_order_acquire);
}

double run(uint64_t count, const void *argument)
{
    auto *how = static_cast<const shape *>(argument);
    uint64_t cycles = how->work ? cycles_per_us : 0;
    tbb::task_arena arena(2);
    pinner pin(arena);
    double took = 0;
    for (auto &c : counters)
        c.done = 0;
    arena.execute([&] {
        double from = measure_now_s();
        tbb::task_group group;
        uint64_t made = 0;
        while (made < count) {
            uint64_t room = std::min(how->lot, count - made);
            for (uint64_t i = 0; i < room; i++)
                group.run([cycles] { task(cycles); });
            made += room;
            group.wait();
        }
        took = measure_now_s() - from;
    });
    if (done() != count)
        measure_fail("tasks were lost");
    return took;
}
} // namespace

int main(int argc, char **argv)
{
    static const shape backlog{true, 1024}, burst{true, 256}, empty{false, 1024};
    static const measure_case cases[] = {
        {"dispatch.backlog", "1/s", run, &backlog},
        {"dispatch.burst", "1/s", run, &burst},
        {"dispatch.empty", "1/s", run, &empty},
    };
    tbb::global_control limit(tbb::global_control::max_allowed_parallelism, 2);
    measure_pin(0);
    cycles_per_us = measure_cycles_per_us();
    return measure_main(argc, argv, cases, 3);
}
