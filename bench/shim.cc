/*
 * bench/shim.cc - Google Benchmark behind the C of shim.h.
 */
#include <string>

#include <benchmark/benchmark.h>

#include "bench/shim.h"

struct shim_state {
    benchmark::State &state;
};

bool shim_running(shim_state *state)
{
    return state->state.KeepRunning();
}

void shim_items(shim_state *state, uint64_t items_an_iteration)
{
    state->state.SetItemsProcessed(
        static_cast<int64_t>(state->state.iterations() * items_an_iteration));
}

void shim_bytes(shim_state *state, uint64_t bytes_an_iteration)
{
    state->state.SetBytesProcessed(
        static_cast<int64_t>(state->state.iterations() * bytes_an_iteration));
}

void shim_skip(shim_state *state, const char *why)
{
    state->state.SkipWithError(why);
}

void shim_register(const char *name, shim_fn fn, const int64_t *arguments, size_t argument_count)
{
    for (size_t i = 0; i < argument_count; i++) {
        int64_t argument = arguments[i];
        std::string full = std::string(name) + ":" + std::to_string(argument);
        benchmark::RegisterBenchmark(full.c_str(), [fn, argument](benchmark::State &state) {
            shim_state wrapped{state};
            fn(&wrapped, argument);
        })->UseRealTime();
    }
}

int main(int argc, char **argv)
{
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
