/* bench/ring/mesh_bench.c - a turn of the mesh: 64 slots to another reactor, one flush, taken there; and a turn with nothing. */
#include <stdlib.h>

#include "bench/shim.h"
#include "ring/mesh.h"

enum { BURST = 64 };

static bool take(void *context, uint32_t from, void *slot)
{
    (void)from;
    *(uint64_t *)context += *(uint64_t *)slot;
    return true;
}

static void nobody_sleeps(void *context, uint32_t reactor)
{
    (void)context;
    (void)reactor;
}

static struct weir_mesh *mesh_open(int64_t reactor_count)
{
    struct weir_mesh *mesh = NULL;
    if (weir_mesh_open((uint32_t)reactor_count, &mesh) != 0)
        abort();
    return mesh;
}

static void send(struct shim_state *state, int64_t reactor_count)
{
    struct weir_mesh *mesh = mesh_open(reactor_count);
    uint64_t sum = 0;
    while (shim_running(state)) {
        for (uint64_t i = 0; i < BURST; i++) {
            uint64_t *slot = weir_mesh_reserve(mesh, 0, 1, WEIR_LANE_REQUEST);
            if (slot == NULL)
                break;
            *slot = i;
        }
        weir_mesh_flush(mesh, 0, nobody_sleeps, NULL);
        (void)weir_mesh_drain(mesh, 1, BURST, take, &sum);
        weir_mesh_flush(mesh, 1, nobody_sleeps, NULL);
    }
    shim_items(state, BURST);
    weir_mesh_close(mesh);
}
SHIM_BENCH("mesh_send_64/reactors", send, 2, 16, 64)

static void idle(struct shim_state *state, int64_t reactor_count)
{
    struct weir_mesh *mesh = mesh_open(reactor_count);
    uint64_t sum = 0;
    while (shim_running(state)) {
        (void)weir_mesh_drain(mesh, 1, BURST, take, &sum);
        weir_mesh_flush(mesh, 1, nobody_sleeps, NULL);
    }
    shim_items(state, 1);
    weir_mesh_close(mesh);
}
SHIM_BENCH("mesh_idle_turn/reactors", idle, 2, 16, 64)
