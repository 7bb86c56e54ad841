/*
 * runtime/sim_world.c - the world's clock, chance and things to come.
 *
 * Chance is one generator (xoshiro256**, Blackman and Vigna, seeded by splitmix64) drawn in the order things happen;
 * since all happens on one thread, that order is itself a function of the seed. Nothing here may look at an address,
 * a real clock or a hash of pointers. Proof: same_seed_same_run in tests/runtime/sim_test.c.
 */
#include "runtime/sim_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "runtime/sim_disk.h"
#include "runtime/sim_net.h"

static uint64_t splitmix(uint64_t *state)
{
    uint64_t mixed = *state += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

void weir_sim_random_init(struct weir_sim_random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        random->words[i] = splitmix(&seed);
}

static uint64_t rotate(uint64_t word, int by)
{
    return (word << by) | (word >> (64 - by));
}

uint64_t weir_sim_random_next(struct weir_sim_random *random)
{
    uint64_t *s = random->words;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t weir_sim_random(struct weir_sim *sim)
{
    return weir_sim_random_next(&sim->random);
}

uint64_t weir_sim_below(struct weir_sim *sim, uint64_t below)
{
    WEIR_ASSERT(below > 0);
    return (uint64_t)(((unsigned __int128)weir_sim_random(sim) * below) >> 64);
}

uint64_t weir_sim_between(struct weir_sim *sim, uint64_t low, uint64_t high)
{
    return high <= low ? low : low + weir_sim_below(sim, high - low + 1);
}

bool weir_sim_chance(struct weir_sim *sim, uint32_t in_a_million)
{
    return in_a_million > 0 && weir_sim_below(sim, WEIR_SIM_ALWAYS) < in_a_million;
}

uint64_t weir_sim_latency(struct weir_sim *sim)
{
    return weir_sim_between(sim, sim->faults.latency_ns_min, sim->faults.latency_ns_max);
}

void *weir_sim_alloc(size_t byte_count)
{
    void *memory = calloc(1, byte_count > 0 ? byte_count : 1);
    WEIR_ASSERT(memory != NULL);
    return memory;
}

/* ---- Things to come: a binary heap by time, then by age ---- */

static bool before(const struct weir_sim_event *a, const struct weir_sim_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->number < b->number;
}

static void sift_up(struct weir_sim_event **heap, uint32_t at)
{
    while (at > 0 && before(heap[at], heap[(at - 1) / 2])) {
        struct weir_sim_event *above = heap[(at - 1) / 2];
        heap[(at - 1) / 2] = heap[at];
        heap[at] = above;
        at = (at - 1) / 2;
    }
}

static void sift_down(struct weir_sim_event **heap, uint32_t count)
{
    uint32_t at = 0;
    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
            if (before(heap[child], heap[least]))
                least = child;
        if (least == at)
            return;
        struct weir_sim_event *down = heap[at];
        heap[at] = heap[least];
        heap[least] = down;
        at = least;
    }
}

struct weir_sim_event *weir_sim_at(struct weir_sim *sim, uint64_t at_ns, weir_sim_event_fn fire,
                                   void *context, uint64_t value)
{
    if (sim->event_count == sim->event_room) {
        sim->event_room = sim->event_room > 0 ? 2 * sim->event_room : 64;
        sim->events = realloc(sim->events, sim->event_room * sizeof(*sim->events));
        WEIR_ASSERT(sim->events != NULL);
    }
    struct weir_sim_event *event = weir_sim_alloc(sizeof(*event));
    *event = (struct weir_sim_event){at_ns, sim->event_number++, fire, context, value};
    sim->events[sim->event_count] = event;
    sift_up(sim->events, sim->event_count++);
    return event;
}

static void drop_called_off(struct weir_sim *sim)
{
    while (sim->event_count > 0 && sim->events[0]->fire == NULL) {
        free(sim->events[0]);
        sim->events[0] = sim->events[--sim->event_count];
        sift_down(sim->events, sim->event_count);
    }
}

uint64_t weir_sim_next_event_ns(const struct weir_sim *sim)
{
    return sim->event_count > 0 ? sim->events[0]->at_ns : UINT64_MAX;
}

void weir_sim_fire_due(struct weir_sim *sim)
{
    for (;;) {
        drop_called_off(sim);
        if (sim->event_count == 0 || sim->events[0]->at_ns > sim->now_ns)
            return;
        struct weir_sim_event event = *sim->events[0];
        sim->events[0]->fire = NULL;
        drop_called_off(sim);
        event.fire(sim, event.context, event.value);
    }
}

void weir_sim_pass(struct weir_sim *sim, uint64_t ns)
{
    sim->now_ns += ns;
    weir_sim_fire_due(sim);
}

struct call_later {
    weir_sim_fn fn;
    void *context;
};

static void call_now(struct weir_sim *sim, void *context, uint64_t value)
{
    (void)sim, (void)value;
    struct call_later call = *(struct call_later *)context;
    free(context);
    call.fn(call.context);
}

int weir_sim_after(struct weir_sim *sim, uint64_t delay_ns, weir_sim_fn fn, void *context)
{
    struct call_later *call = weir_sim_alloc(sizeof(*call));
    *call = (struct call_later){fn, context};
    weir_sim_at(sim, sim->now_ns + delay_ns, call_now, call, 0);
    return 0;
}

/* ---- Descriptors: the lowest free number, as the kernel does, so that a stale one soon means another file ---- */

int weir_sim_fd_take(struct weir_sim *sim, enum weir_sim_fd_kind kind, void *object)
{
    uint32_t at = 0;
    while (at < sim->fd_count && sim->fds[at]->kind != WEIR_SIM_FD_FREE)
        at++;
    if (at == sim->fd_count) {
        sim->fds = realloc(sim->fds, (sim->fd_count + 1) * sizeof(*sim->fds));
        WEIR_ASSERT(sim->fds != NULL);
        sim->fds[sim->fd_count++] = weir_sim_alloc(sizeof(struct weir_sim_fd));
    }
    *sim->fds[at] = (struct weir_sim_fd){.kind = kind, .object = object};
    return WEIR_SIM_FD_MIN + (int)at;
}

struct weir_sim_fd *weir_sim_fd_find(struct weir_sim *sim, int fd)
{
    if (fd < WEIR_SIM_FD_MIN || (uint32_t)(fd - WEIR_SIM_FD_MIN) >= sim->fd_count)
        return NULL;
    struct weir_sim_fd *found = sim->fds[fd - WEIR_SIM_FD_MIN];
    return found->kind == WEIR_SIM_FD_FREE ? NULL : found;
}

void weir_sim_fd_free(struct weir_sim *sim, int fd)
{
    struct weir_sim_fd *found = weir_sim_fd_find(sim, fd);
    WEIR_ASSERT(found != NULL);
    WEIR_ASSERT(found->armed_count == 0);
    *found = (struct weir_sim_fd){.kind = WEIR_SIM_FD_FREE};
}

/* ---- The run as a number, and its tail as text ---- */

void weir_sim_mix(struct weir_sim *sim, uint64_t value)
{
    sim->hash = weir_hash_mix(sim->hash ^ value ^ 0x9e3779b97f4a7c15u,
                              sim->hash | 0xe7037ed1a0b428dbu) +
                value;
}

void weir_sim_note(struct weir_sim *sim, const struct weir_sim_io *io, const char *what, int fd,
                   int64_t result, bool more)
{
    struct weir_sim_note *note = &sim->notes[sim->note_count++ % WEIR_SIM_NOTES];
    *note = (struct weir_sim_note){
        sim->now_ns, sim->steps, what, io != NULL ? io->index : UINT32_MAX, fd, result, more};
    weir_sim_mix(sim, sim->now_ns);
    weir_sim_mix(sim, (uint64_t)note->io << 32 | (uint32_t)fd);
    weir_sim_mix(sim, (uint64_t)result * 2 + more);
}

void weir_sim_dump(struct weir_sim *sim, int fd)
{
    dprintf(fd, "seed %llu, step %llu, now %llu ns, next event %llu ns\n",
            (unsigned long long)sim->seed, (unsigned long long)sim->steps,
            (unsigned long long)sim->now_ns, (unsigned long long)weir_sim_next_event_ns(sim));
    weir_sim_fibers_dump(sim, fd);
    uint64_t first = sim->note_count > WEIR_SIM_NOTES ? sim->note_count - WEIR_SIM_NOTES : 0;
    for (uint64_t at = first; at < sim->note_count; at++) {
        const struct weir_sim_note *note = &sim->notes[at % WEIR_SIM_NOTES];
        dprintf(fd, "  step %llu at %llu ns: io %d %s fd %d -> %lld%s\n",
                (unsigned long long)note->step, (unsigned long long)note->at_ns, (int)note->io,
                note->what, note->fd >= WEIR_SIM_FD_MIN ? note->fd - WEIR_SIM_FD_MIN : note->fd,
                (long long)note->result, note->more ? " (more)" : "");
    }
}

/* ---- The world ---- */

void weir_sim_faults_none(struct weir_sim_faults *faults)
{
    *faults = (struct weir_sim_faults){
        .step_ns_max = 2 * WEIR_US_NS,
        .pause_ns_max = 20 * WEIR_MS_NS,
        .latency_ns_min = 5 * WEIR_US_NS,
        .latency_ns_max = 50 * WEIR_US_NS,
        .disk_ns_min = 50 * WEIR_US_NS,
        .disk_ns_max = 500 * WEIR_US_NS,
        .disk_slow_ns_max = 2 * WEIR_S_NS,
        .socket_bytes_min = 64 << 10,
        .socket_bytes_max = 64 << 10,
        .disk_bytes_max = 64 << 20,
    };
}

/* Off, rare or frequent: a run in which everything fails at once shows less than one in which little does. */
static uint32_t some_chance(struct weir_sim_random *random)
{
    static const uint32_t chances[] = {0, 0, 2000, 20000, 200000};
    return chances[weir_sim_random_next(random) % (sizeof(chances) / sizeof(chances[0]))];
}

void weir_sim_faults_mixed(struct weir_sim_faults *faults, uint64_t seed)
{
    struct weir_sim_random random;
    weir_sim_random_init(&random, seed ^ 0x6661756c7473u);
    weir_sim_faults_none(faults);
    uint32_t *chances[] = {&faults->preempt,       &faults->spurious_wake,  &faults->read_short,
                           &faults->send_short,    &faults->recv_starved,   &faults->connect_lost,
                           &faults->datagram_lost, &faults->datagram_twice, &faults->datagram_late,
                           &faults->accept_late};
    for (size_t i = 0; i < sizeof(chances) / sizeof(chances[0]); i++)
        *chances[i] = some_chance(&random);
    faults->pause = some_chance(&random) / 20;
    faults->step_ns_max = WEIR_US_NS << (weir_sim_random_next(&random) % 6);
    faults->latency_ns_max = faults->latency_ns_min << (weir_sim_random_next(&random) % 12);
    faults->socket_bytes_min = 1u << (8 + weir_sim_random_next(&random) % 9);
    faults->socket_bytes_max = faults->socket_bytes_min << (weir_sim_random_next(&random) % 4);
}

int weir_sim_open(uint64_t seed, uint32_t host_count, const struct weir_sim_faults *faults,
                  struct weir_sim **sim_out)
{
    if (host_count == 0 || host_count > WEIR_SIM_HOSTS_MAX)
        return -EINVAL;
    struct weir_sim *sim = weir_sim_alloc(sizeof(*sim));
    sim->seed = seed;
    sim->hash = seed;
    weir_sim_random_init(&sim->random, seed);
    if (faults != NULL)
        sim->faults = *faults;
    else
        weir_sim_faults_none(&sim->faults);
    sim->now_ns = weir_sim_between(sim, WEIR_S_NS, 1000000 * WEIR_S_NS);
    sim->port_next = 32768;
    weir_list_init(&sim->ios);
    weir_list_init(&sim->streams);
    weir_list_init(&sim->listeners);
    weir_list_init(&sim->datagrams);
    weir_list_init(&sim->packets);
    sim->host_count = host_count;
    for (uint32_t i = 0; i < host_count; i++)
        sim->hosts[i] = (struct weir_sim_host){.index = i, .disk = weir_sim_disk_new()};
    *sim_out = sim;
    return 0;
}

void weir_sim_close(struct weir_sim *sim)
{
    if (sim == NULL)
        return;
    weir_sim_fibers_close(sim);
    for (uint32_t i = 0; i < sim->event_count; i++) {
        if (sim->events[i]->fire == call_now)
            free(sim->events[i]->context);
        free(sim->events[i]);
    }
    free(sim->events);
    WEIR_LIST_EACH_SAFE(node, &sim->ios) {
        struct weir_sim_io *io = WEIR_CONTAINER(node, struct weir_sim_io, node);
        WEIR_ASSERT(io->closed);
        weir_sim_disk_drop(io->disk);
        free(io);
    }
    weir_sim_net_free(sim);
    for (uint32_t i = 0; i < sim->fd_count; i++) {
        if (sim->fds[i]->kind == WEIR_SIM_FD_FILE)
            weir_sim_file_free(sim->fds[i]->object);
        free(sim->fds[i]);
    }
    free(sim->fds);
    for (uint32_t i = 0; i < sim->host_count; i++)
        weir_sim_disk_drop(sim->hosts[i].disk);
    free(sim);
}

struct weir_sim_faults *weir_sim_faults(struct weir_sim *sim)
{
    return &sim->faults;
}

uint64_t weir_sim_now_ns(const struct weir_sim *sim)
{
    return sim->now_ns;
}

uint64_t weir_sim_hash(const struct weir_sim *sim)
{
    return sim->hash;
}

uint64_t weir_sim_steps(const struct weir_sim *sim)
{
    return sim->steps;
}
