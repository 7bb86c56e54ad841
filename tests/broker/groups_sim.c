/*
 * tests/broker/groups_sim.c - consumers that come, go, fall silent, restart, change their minds and talk nonsense, over many seeds.
 *
 * Held after every step: each request is answered exactly once; generations only grow; all who are told of a generation are told the same
 * leader and protocol; what is assigned is what that generation's leader said for that member; and nobody is lost who neither left, nor was
 * replaced, nor was silent for a session, nor missed a deadline. In the end everybody who waits is answered, and the group comes to rest.
 *
 *     WEIR_SIM_SEEDS=n, WEIR_SIM_FIRST=x, WEIR_SIM_SEED=x as in tests/sim/sim.h
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "broker/groups.h"

enum { PEERS = 10, STEPS = 4000, SEEDS = 200, GENERATIONS = 8192, TEXT = 96, UUID = 37 };
#define REBALANCE_NS (20 * WEIR_S_NS)
#define INITIAL_NS (100 * WEIR_MS_NS)

enum want { WANTS_JOIN, WANTS_SYNC, WANTS_NOTHING };

struct sim;
struct peer {
    struct sim *sim;
    struct weir_join join;
    struct weir_sync sync;
    struct weir_group_protocol protocols[2];
    char metadata[16];
    char id[TEXT];
    char assignments[PEERS * 4][TEXT]; /* what a leader gives */
    struct weir_group_assignment shares[PEERS * 4];
    uint32_t share_count;
    const char *client;
    const char *instance;
    enum want want;
    int32_t generation, sync_generation;
    bool join_waits, sync_waits; /* no answer yet */
    bool join_parked, sync_parked; /* nor when the call returned (within an answer that says nothing) */
    bool member;                 /* was told so, and nothing else since */
    bool hung_up;
    bool rival; /* another one of its instance has joined since we last looked */
    uint64_t session_ns, seen_ns, silent_until_ns;
};

struct told { /* of a generation */
    char leader[TEXT];
    char protocol[16];
};

struct sim {
    uint64_t seed, random, now_ns;
    struct weir_groups *groups;
    struct peer peers[PEERS];
    struct told told[GENERATIONS];
    struct weir_group_view view;
    uint64_t phase_ns; /* when the state last became what it is */
    uint64_t joins, syncs, lost, fenced, generations, nested;
    uint32_t within; /* answers being given */
    bool quiet, closing;
};

#define MUST(sim, condition) ((condition) ? (void)0 : broken(sim, __LINE__, #condition))

static void broken(const struct sim *sim, int line, const char *condition)
{
    fprintf(stderr, "groups_sim.c:%d: not so: %s\nReplay: WEIR_SIM_SEED=%llu\n", line, condition, (unsigned long long)sim->seed);
    abort();
}

static uint32_t below(struct sim *sim, uint32_t limit)
{
    sim->random += 0x9e3779b97f4a7c15u;
    return (uint32_t)(weir_hash_u64(sim->random, 3) % limit);
}

static bool one_in(struct sim *sim, uint32_t count)
{
    return !sim->quiet && below(sim, count) == 0;
}

static struct weir_string string_of(const char *text)
{
    return (struct weir_string){.bytes = text, .byte_count = text ? (uint32_t)strlen(text) : 0};
}

/* Who a member is over its restarts: the instance, or else the id itself. Instances begin with 'i'. */
static void line_of(char *out, struct weir_string id)
{
    uint32_t count = id.byte_count > UUID && id.bytes[0] == 'i' ? id.byte_count - UUID : id.byte_count;
    snprintf(out, TEXT, "%.*s", (int)count, id.bytes);
}

static void act(struct peer *peer);
static void watch(struct sim *sim, bool time_passed);

/* ---- Answers ------------------------------------------------------------------------------------- */

static void gone(struct peer *peer)
{
    peer->id[0] = '\0';
    peer->member = false;
    peer->want = WANTS_JOIN;
}

static void hold_to_word(char *said, const char *now)
{
    if (said[0] == '\0')
        snprintf(said, TEXT, "%s", now);
}

static void joined_well(struct peer *peer, const struct weir_join_answer *answer)
{
    struct sim *sim = peer->sim;
    struct told *told = &sim->told[answer->generation];
    char leader[TEXT], protocol[16];
    MUST(sim, answer->generation > 0 && answer->generation < GENERATIONS - 1);
    line_of(leader, answer->leader);
    snprintf(protocol, sizeof protocol, "%.*s", (int)answer->protocol.byte_count, answer->protocol.bytes);
    hold_to_word(told->leader, leader);
    if (told->protocol[0] == '\0')
        memcpy(told->protocol, protocol, sizeof protocol);
    MUST(sim, strcmp(told->leader, leader) == 0);
    MUST(sim, strcmp(told->protocol, protocol) == 0);
    snprintf(peer->id, sizeof peer->id, "%.*s", (int)answer->member_id.byte_count, answer->member_id.bytes);
    peer->generation = answer->generation;
    peer->member = true;
    peer->want = WANTS_SYNC;
    bool leads = answer->leader.byte_count == answer->member_id.byte_count &&
                 memcmp(answer->leader.bytes, answer->member_id.bytes, answer->leader.byte_count) == 0;
    MUST(sim, leads == (answer->member_count > 0));
    peer->share_count = answer->skip_assignment ? 0 : answer->member_count;
    MUST(sim, peer->share_count <= PEERS * 4);
    for (uint32_t i = 0; i < peer->share_count; i++) {
        char line[TEXT];
        line_of(line, answer->members[i].id);
        snprintf(peer->assignments[i], TEXT, "%d:%.70s", answer->generation, line);
        uint32_t id_bytes = answer->members[i].id.byte_count;
        char *copy = calloc(1, id_bytes + 1u);
        MUST(sim, copy != NULL);
        memcpy(copy, answer->members[i].id.bytes, id_bytes);
        free((void *)(uintptr_t)peer->shares[i].member_id.bytes);
        peer->shares[i].member_id = string_of(copy);
        peer->shares[i].assignment = (struct weir_blob){peer->assignments[i], (uint32_t)strlen(peer->assignments[i])};
    }
}

static void on_joined(struct weir_join *join, const struct weir_join_answer *answer)
{
    struct peer *peer = WEIR_CONTAINER(join, struct peer, join);
    struct sim *sim = peer->sim;
    MUST(sim, peer->join_waits);
    peer->join_waits = false;
    peer->seen_ns = sim->now_ns;
    sim->joins++;
    MUST(sim, !peer->join_parked || answer->result != WEIR_GROUP_UNKNOWN_MEMBER || sim->closing); /* who waits is not late */
    peer->join_parked = false;
    switch (answer->result) {
    case WEIR_GROUP_OK:
        joined_well(peer, answer);
        break;
    case WEIR_GROUP_ID_REQUIRED:
        snprintf(peer->id, sizeof peer->id, "%.*s", (int)answer->member_id.byte_count, answer->member_id.bytes);
        break;
    case WEIR_GROUP_FENCED:
        sim->fenced++;
        peer->silent_until_ns = sim->now_ns + (uint64_t)below(sim, 30) * WEIR_S_NS;
        gone(peer);
        break;
    case WEIR_GROUP_UNKNOWN_MEMBER:
    case WEIR_GROUP_FULL:
    case WEIR_GROUP_INCONSISTENT:
        gone(peer);
        break;
    default:
        MUST(sim, answer->result == WEIR_GROUP_REBALANCING);
    }
    if (one_in(sim, 6)) {
        sim->nested++;
        sim->within++;
        act(&sim->peers[below(sim, PEERS)]);
        sim->within--;
    }
}

static void heed(struct peer *peer, enum weir_group_result result)
{
    if (result == WEIR_GROUP_OK)
        return;
    if (result == WEIR_GROUP_UNKNOWN_MEMBER || result == WEIR_GROUP_FENCED)
        gone(peer);
    peer->want = WANTS_JOIN;
}

static void on_synced(struct weir_sync *sync, const struct weir_sync_answer *answer)
{
    struct peer *peer = WEIR_CONTAINER(sync, struct peer, sync);
    struct sim *sim = peer->sim;
    MUST(sim, peer->sync_waits);
    peer->sync_waits = false;
    sim->syncs++;
    MUST(sim, !peer->sync_parked || answer->result != WEIR_GROUP_UNKNOWN_MEMBER || sim->closing);
    peer->sync_parked = false;
    if (answer->result == WEIR_GROUP_OK) {
        char expected[TEXT], line[TEXT];
        line_of(line, sync->member_id);
        int count = snprintf(expected, sizeof expected, "%d:%.70s", peer->sync_generation, line);
        MUST(sim, answer->assignment.byte_count == 0 || (answer->assignment.byte_count == (uint32_t)count &&
                                                         memcmp(answer->assignment.bytes, expected, (size_t)count) == 0));
        peer->seen_ns = sim->now_ns;
        peer->want = WANTS_NOTHING;
    } else {
        if (answer->result == WEIR_GROUP_REBALANCING)
            peer->seen_ns = sim->now_ns;
        heed(peer, answer->result);
    }
    if (one_in(sim, 6)) {
        sim->nested++;
        sim->within++;
        act(&sim->peers[below(sim, PEERS)]);
        sim->within--;
    }
}

/* ---- What peers do ------------------------------------------------------------------------------- */

static void send_join(struct peer *peer)
{
    struct sim *sim = peer->sim;
    if (peer->id[0] == '\0' || one_in(sim, 40)) {
        snprintf(peer->metadata, sizeof peer->metadata, "m%u", below(sim, 3));
        peer->protocols[0].name = string_of(below(sim, 2) ? "range" : "sticky");
        peer->protocols[1].name = string_of(peer->protocols[0].name.bytes[0] == 'r' ? "sticky" : "range");
        for (int i = 0; i < 2; i++)
            peer->protocols[i].metadata = (struct weir_blob){peer->metadata, (uint32_t)strlen(peer->metadata)};
    }
    peer->join = (struct weir_join){
        .group = string_of("group"),
        .member_id = string_of(peer->id),
        .instance = string_of(peer->instance),
        .client_id = string_of(peer->client),
        .client_host = string_of("/host"),
        .protocol_type = string_of("consumer"),
        .protocols = peer->protocols,
        .protocol_count = one_in(sim, 30) ? 1 : 2,
        .session_ns = peer->session_ns,
        .rebalance_ns = REBALANCE_NS,
        .id_required = one_in(sim, 2),
        .may_skip = one_in(sim, 2),
        .done = on_joined,
    };
    for (int i = 0; i < PEERS; i++)
        sim->peers[i].rival |= &sim->peers[i] != peer && peer->instance && sim->peers[i].instance &&
                               strcmp(sim->peers[i].instance, peer->instance) == 0;
    peer->join_waits = true;
    peer->hung_up = false;
    weir_groups_join(sim->groups, sim->now_ns, &peer->join);
    peer->join_parked = peer->join_waits && !sim->within;
}

static void send_sync(struct peer *peer, int32_t generation)
{
    struct sim *sim = peer->sim;
    peer->sync = (struct weir_sync){
        .group = string_of("group"),
        .member_id = string_of(peer->id),
        .instance = string_of(peer->instance),
        .generation = generation,
        .assignments = peer->shares,
        .assignment_count = peer->share_count,
        .done = on_synced,
    };
    peer->sync_generation = generation;
    peer->sync_waits = true;
    peer->hung_up = false;
    weir_groups_sync(sim->groups, sim->now_ns, &peer->sync);
    peer->sync_parked = peer->sync_waits && !sim->within;
}

static void hang_up(struct peer *peer)
{
    if (peer->join_waits)
        weir_groups_forget_join(&peer->join);
    if (peer->sync_waits)
        weir_groups_forget_sync(&peer->sync);
    peer->join_waits = peer->sync_waits = peer->join_parked = peer->sync_parked = false;
    peer->hung_up = true;
    peer->want = WANTS_JOIN;
}

static void send_leave(struct peer *peer)
{
    struct sim *sim = peer->sim;
    char id[TEXT];
    memcpy(id, peer->id, sizeof id);
    gone(peer); /* it does not care for the answer */
    weir_groups_leave(sim->groups, sim->now_ns, string_of("group"), string_of(id), string_of(peer->instance), string_of("enough"));
}

static void send_heartbeat(struct peer *peer)
{
    struct sim *sim = peer->sim;
    enum weir_group_result result =
        one_in(sim, 3) ? weir_groups_may_commit(sim->groups, sim->now_ns, string_of("group"), peer->generation, string_of(peer->id),
                                                string_of(peer->instance))
                       : weir_groups_heartbeat(sim->groups, sim->now_ns, string_of("group"), peer->generation, string_of(peer->id),
                                               string_of(peer->instance));
    if (result == WEIR_GROUP_OK || result == WEIR_GROUP_REBALANCING)
        peer->seen_ns = sim->now_ns;
    heed(peer, result);
}

static void talk_nonsense(struct peer *peer)
{
    struct sim *sim = peer->sim;
    const struct peer *other = &sim->peers[below(sim, PEERS)];
    enum weir_group_result result = weir_groups_heartbeat(sim->groups, sim->now_ns, string_of("group"),
                                                          other->generation + 1 + (int32_t)below(sim, 5), string_of("nobody"),
                                                          string_of(NULL));
    MUST(sim, result == WEIR_GROUP_UNKNOWN_MEMBER);
    if (!peer->sync_waits && !peer->join_waits && peer->member)
        send_sync(peer, peer->generation + 1000000);
}

static void act(struct peer *peer)
{
    struct sim *sim = peer->sim;
    if (peer->silent_until_ns > sim->now_ns)
        return;
    if (one_in(sim, 60)) { /* gone quiet, connection open or not */
        peer->silent_until_ns = sim->now_ns + (uint64_t)below(sim, 40) * WEIR_S_NS;
        if (one_in(sim, 2))
            hang_up(peer);
        return;
    }
    if (peer->join_waits || peer->sync_waits) {
        if (one_in(sim, 50))
            hang_up(peer);
        return;
    }
    if (one_in(sim, 50)) {
        talk_nonsense(peer);
    } else if (one_in(sim, 80)) { /* a restart */
        gone(peer);
    } else if (peer->id[0] != '\0' && one_in(sim, 80)) {
        send_leave(peer);
    } else if (peer->want == WANTS_JOIN || one_in(sim, 100)) {
        send_join(peer);
    } else if (peer->want == WANTS_SYNC) {
        send_sync(peer, peer->generation);
    } else {
        send_heartbeat(peer);
    }
}

/* ---- What must hold ------------------------------------------------------------------------------ */

static bool is_listed(const struct sim *sim, const struct peer *peer)
{
    struct weir_group_member_view view;
    for (uint32_t i = 0; weir_groups_member(sim->groups, string_of("group"), i, &view); i++)
        if (view.id.byte_count == strlen(peer->id) && memcmp(view.id.bytes, peer->id, view.id.byte_count) == 0)
            return true;
    return false;
}

/* Time took it: only a session, or the end of a phase it did nothing in, may. */
static bool is_late(const struct sim *sim, const struct peer *peer)
{
    if (peer->join_waits || (peer->sync_waits && sim->view.state != WEIR_GROUP_STABLE))
        return false;
    uint64_t phase_ns = sim->now_ns - sim->phase_ns;
    return sim->now_ns - peer->seen_ns >= peer->session_ns || phase_ns >= REBALANCE_NS || (peer->hung_up && phase_ns >= INITIAL_NS);
}

static void watch_group(struct sim *sim)
{
    struct weir_group_view view;
    struct weir_group_member_view first;
    if (!weir_groups_view(sim->groups, string_of("group"), &view))
        return;
    MUST(sim, view.generation >= sim->view.generation);
    MUST(sim, (view.member_count == 0) == !weir_groups_member(sim->groups, string_of("group"), 0, &first));
    if (view.state == WEIR_GROUP_EMPTY)
        MUST(sim, view.member_count == 0 && !view.protocol.bytes);
    if (view.state == WEIR_GROUP_STABLE || view.state == WEIR_GROUP_COMPLETING)
        MUST(sim, view.member_count > 0 && view.leader.bytes && view.protocol.bytes);
    if (view.state != sim->view.state || view.generation != sim->view.generation)
        sim->phase_ns = sim->now_ns;
    sim->generations += (uint64_t)(view.generation - sim->view.generation);
    sim->view = view;
}

static void watch(struct sim *sim, bool time_passed)
{
    for (int i = 0; i < PEERS; i++) {
        struct peer *peer = &sim->peers[i];
        if (!peer->member || is_listed(sim, peer))
            continue;
        peer->member = false;
        if (peer->rival) /* which may have left again within an answer */
            continue;
        MUST(sim, time_passed);
        MUST(sim, is_late(sim, peer));
        sim->lost++;
    }
    for (int i = 0; i < PEERS; i++)
        sim->peers[i].rival = false;
    watch_group(sim);
}

/* ---- A run --------------------------------------------------------------------------------------- */

/* To the next timer at most, so that what is seen has one cause. */
static void pass(struct sim *sim, uint64_t ns)
{
    uint64_t end_ns = sim->now_ns + ns;
    while (sim->now_ns < end_ns) {
        uint64_t next_ns = weir_groups_next_ns(sim->groups);
        uint64_t to_ns = next_ns < end_ns ? next_ns : end_ns;
        sim->now_ns = to_ns > sim->now_ns ? to_ns : sim->now_ns;
        weir_groups_tick(sim->groups, sim->now_ns);
        watch(sim, true);
        if (next_ns >= end_ns)
            return;
    }
}

static void begin(struct sim *sim, uint64_t seed)
{
    static const char *const clients[PEERS] = {"c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"};
    static const char *const instances[PEERS] = {NULL, NULL, NULL, NULL, NULL, "i0", "i0", "i1", "i1", "i2"};
    struct weir_group_limits limits = {
        .session_ns_min = 6 * WEIR_S_NS,
        .session_ns_max = 1800 * WEIR_S_NS,
        .members_max = seed % 3 ? 100 : 6,
        .groups_max = 10,
        .metadata_bytes_max = 1000,
        .initial_delay_ns = seed % 2 ? INITIAL_NS : 0,
    };
    memset(sim, 0, sizeof *sim);
    sim->seed = seed;
    sim->random = seed * 7919;
    sim->now_ns = 5000 * WEIR_S_NS;
    sim->groups = weir_groups_new(&limits, seed);
    for (int i = 0; i < PEERS; i++) {
        struct peer *peer = &sim->peers[i];
        peer->sim = sim;
        peer->client = clients[i];
        peer->instance = instances[i];
        peer->session_ns = (6 + below(sim, 8)) * WEIR_S_NS;
    }
}

/* Everybody behaves from now on; two of one instance would not leave each other alone, so one of each goes. */
static void come_to_rest(struct sim *sim)
{
    sim->quiet = true;
    for (int i = 0; i < PEERS; i++) {
        struct peer *peer = &sim->peers[i];
        peer->silent_until_ns = peer->instance && i % 2 == 0 ? UINT64_MAX : 0;
        if (peer->silent_until_ns)
            hang_up(peer);
    }
    for (int round = 0; round < 400; round++) {
        for (int i = 0; i < PEERS; i++) {
            act(&sim->peers[i]);
            watch(sim, false);
        }
        pass(sim, WEIR_S_NS / 2);
    }
    MUST(sim, sim->view.state == WEIR_GROUP_STABLE);
    for (int i = 0; i < PEERS; i++) {
        struct peer *peer = &sim->peers[i];
        bool wanted = peer->silent_until_ns == 0;
        MUST(sim, !peer->join_waits && !peer->sync_waits);
        MUST(sim, !wanted || sim->seed % 3 == 0 || (peer->member && peer->generation == sim->view.generation));
    }
}

static void run(struct sim *sim, uint64_t seed)
{
    begin(sim, seed);
    for (int step = 0; step < STEPS; step++) {
        if (below(sim, 3) == 0)
            pass(sim, (uint64_t)below(sim, 1500) * WEIR_MS_NS);
        act(&sim->peers[below(sim, PEERS)]);
        watch(sim, false);
    }
    if (seed % 5 != 0)
        come_to_rest(sim);
    sim->quiet = sim->closing = true;
    weir_groups_free(sim->groups);
    for (int i = 0; i < PEERS; i++) {
        MUST(sim, !sim->peers[i].join_waits && !sim->peers[i].sync_waits);
        for (int j = 0; j < PEERS * 4; j++)
            free((void *)(uintptr_t)sim->peers[i].shares[j].member_id.bytes);
    }
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void whatever_members_do_a_group_keeps_its_word(void **state)
{
    (void)state;
    static struct sim sim;
    uint64_t joins = 0, syncs = 0, lost = 0, fenced = 0, generations = 0, nested = 0;
    uint64_t first = number_of("WEIR_SIM_SEED", number_of("WEIR_SIM_FIRST", 1));
    uint64_t count = getenv("WEIR_SIM_SEED") ? 1 : number_of("WEIR_SIM_SEEDS", SEEDS);
    for (uint64_t seed = first; seed < first + count; seed++) {
        run(&sim, seed);
        joins += sim.joins;
        syncs += sim.syncs;
        lost += sim.lost;
        fenced += sim.fenced;
        generations += sim.generations;
        nested += sim.nested;
    }
    print_message("%llu joins, %llu syncs, %llu generations, %llu lost, %llu fenced, %llu within an answer\n", (unsigned long long)joins,
                  (unsigned long long)syncs, (unsigned long long)generations, (unsigned long long)lost, (unsigned long long)fenced,
                  (unsigned long long)nested);
    if (count >= 10)
        assert_true(joins > 0 && syncs > 0 && generations > count && lost > 0 && fenced > 0 && nested > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_members_do_a_group_keeps_its_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
