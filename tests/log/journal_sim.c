/*
 * tests/log/journal_sim.c - a journal that is crashed, over and over, and read back each time.
 *
 * A directory lives several lives. In each a journal takes entries of any size in bursts, releases what a checkpoint would cover (so
 * extents are written over, and blocks of earlier turns and earlier lives lie about), and dies: the process is killed or the power
 * goes, at any step, also while a write is under way. Then it is read back. Checked for every life:
 *
 *   - each entry whose done(0) came, and that no checkpoint covers, is there, whole
 *   - what is there is a run of what was appended, from the checkpoint on, in order and without a gap: nothing is invented
 *   - a crash never looks like damage
 *   - done comes once for each, in order; after the first error there is no success
 *   - where nobody crashes it, and the disk has room in the end, all is acknowledged
 *
 * Disks fail, write short, or fill up in some lives. journal_mutate.py breaks the journal on purpose and expects a failure here.
 */
#include "tests/sim/sim.h"

#include <weir/timer.h>

#include "base/clock.h"
#include "log/journal.h"

enum { ENTRIES_MAX = 400, LIVES_MAX = 4, STEPS = 2000000, FREE_MAX = 64, BODY_MAX = 70000, QUIET_GOAL = 3 };

struct scene;

struct note { /* of one entry */
    struct weir_commit commit;
    struct scene *scene;
    uint64_t sequence;
    uint32_t body_bytes;
    uint16_t type;
    bool told;
};

struct scene { /* one life */
    struct sim *sim;
    struct weir_reactor *reactor;
    struct weir_journal *journal;
    struct weir_journal_options options;
    char *free_extents[FREE_MAX];
    uint32_t free_count;
    struct weir_timer timer;
    struct note notes[ENTRIES_MAX];
    uint32_t count;   /* appended */
    uint32_t told;    /* of them, by done */
    uint32_t acked;   /* of them, with 0 */
    uint32_t goal;
    uint64_t checkpoint; /* entries of frames before are covered */
    uint64_t crash_ns;
    uint64_t room_ns; /* when the disk has room again; 0: it always had */
    uint32_t refused;
    uint32_t read; /* while reading back: the next note */
    bool patient; /* it is not crashed before everything has ended well */
    bool over;
    int error; /* told */
};

/* Of all lives: a scenario that never gets where it is meant to go proves nothing. */
static struct {
    uint64_t lives, appended, acked, read, frames, made, recycled, cut, failed, full, lacking, unfinished;
} totals;

static const struct weir_log_id node = {{7, 1, 9, 3, 4, 8, 2, 2, 5, 6, 0, 1, 1, 3, 5, 9}};

static uint8_t body_byte(const struct scene *scene, uint32_t index, uint32_t at)
{
    uint64_t word = (scene->options.run * 1000003 + index) * 0x9e3779b97f4a7c15u + at / 8 * 0xbf58476d1ce4e5b9u;
    return (uint8_t)((word ^ word >> 29) >> (8 * (at % 8)));
}

/* ---- Living ---- */

static void on_done(struct weir_commit *commit, int result);
static void append_some(struct scene *scene, uint32_t count);

static uint32_t draw_body_bytes(struct scene *scene)
{
    struct weir_sim *chance = scene->sim->world;
    if (scene->patient && scene->goal <= QUIET_GOAL)
        return (uint32_t)weir_sim_below(chance, 600);
    if (weir_sim_chance(chance, 50000))
        return (uint32_t)weir_sim_below(chance, scene->options.extent_bytes + 100);
    if (weir_sim_chance(chance, 100000))
        return (uint32_t)weir_sim_below(chance, 9000);
    return (uint32_t)weir_sim_below(chance, 600);
}

static void check_refusal(struct scene *scene, const struct weir_entry *entry, bool was_full, int error_before, int result)
{
    struct sim *sim = scene->sim;
    bool too_big = WEIR_FRAME_HEAD_BYTES + (uint64_t)weir_entry_bytes(entry->body_bytes) > scene->options.extent_bytes - WEIR_FRAME_ALIGN;
    scene->refused++;
    if (result == -EFBIG)
        SIM_CHECK(sim, too_big);
    else if (result == -EAGAIN)
        SIM_CHECK(sim, was_full);
    else
        SIM_EQUAL(sim, -result, -error_before);
}

static bool append_one(struct scene *scene)
{
    static uint8_t body[BODY_MAX];
    struct sim *sim = scene->sim;
    struct note *note = &scene->notes[scene->count];
    *note = (struct note){.scene = scene, .body_bytes = draw_body_bytes(scene)};
    note->type = (uint16_t)(1 + weir_sim_below(sim->world, 5));
    if (note->type == WEIR_ENTRY_START || note->type == WEIR_ENTRY_DROP)
        note->body_bytes = 0;
    for (uint32_t i = 0; i < note->body_bytes; i++)
        body[i] = body_byte(scene, scene->count, i);
    struct weir_entry entry = {.type = note->type, .place = scene->count, .number = scene->count * 3ull + 1, .body = body,
                               .body_bytes = note->body_bytes, .key_bytes = note->body_bytes / 2};
    note->commit.done = on_done;
    bool was_full = weir_journal_full(scene->journal);
    int error = weir_journal_error(scene->journal);
    totals.lacking += error == -ENOSPC;
    int result = weir_journal_append(scene->journal, &entry, &note->commit);
    if (result < 0) {
        check_refusal(scene, &entry, was_full, error, result);
        return false;
    }
    SIM_CHECK(sim, !was_full);
    SIM_CHECK(sim, !note->told);
    note->sequence = weir_journal_next_sequence(scene->journal);
    scene->count++;
    return true;
}

static void append_some(struct scene *scene, uint32_t count)
{
    while (count-- > 0 && scene->count < scene->goal && !scene->over)
        append_one(scene);
}

/* As a store: what the checkpoint says is on other files by now, whether or not the journal has it. */
static void release_some(struct scene *scene)
{
    uint64_t sequence = weir_journal_next_sequence(scene->journal);
    if (scene->acked > 0 && weir_sim_chance(scene->sim->world, 950000)) {
        uint32_t behind = (uint32_t)weir_sim_below(scene->sim->world, 100);
        sequence = scene->notes[behind < scene->acked ? scene->acked - 1 - behind : 0].sequence;
    }
    if (sequence < scene->checkpoint)
        return;
    scene->checkpoint = sequence;
    weir_journal_release(scene->journal, sequence);
    bool all = scene->acked == scene->count && sequence == weir_journal_next_sequence(scene->journal);
    SIM_CHECK(scene->sim, !all || weir_journal_unreleased_bytes(scene->journal) == 0);
}

static void on_done(struct weir_commit *commit, int result)
{
    struct note *note = WEIR_CONTAINER(commit, struct note, commit);
    struct scene *scene = note->scene;
    struct sim *sim = scene->sim;
    SIM_CHECK(sim, !note->told);
    SIM_CHECK(sim, note == &scene->notes[scene->told]); /* in order */
    SIM_CHECK(sim, result <= 0 && (result < 0 || scene->error == 0));
    note->told = true;
    scene->told++;
    scene->acked += result == 0;
    if (result < 0)
        scene->error = result;
    if (scene->over)
        return;
    if (weir_sim_chance(sim->world, 100000))
        append_some(scene, 1);
    if (weir_sim_chance(sim->world, 50000))
        release_some(scene);
}

/* Somewhere between nothing and all that the extents hold, whatever is under way. */
static void check_unreleased(struct scene *scene)
{
    uint64_t bytes = weir_journal_unreleased_bytes(scene->journal);
    uint64_t extents = scene->options.extents_max * scene->options.extent_bytes;
    SIM_CHECK(scene->sim, bytes <= extents);
    SIM_CHECK(scene->sim, bytes <= weir_journal_counters(scene->journal)->written_bytes);
}

static void on_tick(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    struct scene *scene = context;
    struct weir_sim *chance = scene->sim->world;
    if (scene->over)
        return;
    append_some(scene, (uint32_t)weir_sim_below(chance, weir_sim_chance(chance, 50000) ? 60 : 6));
    check_unreleased(scene);
    if (weir_sim_chance(chance, 200000))
        release_some(scene);
    if (scene->patient && scene->goal <= QUIET_GOAL && scene->count == scene->goal)
        return; /* from here on nobody but the journal itself wakes the journal */
    bool slow = weir_journal_error(scene->journal) < 0 || scene->count == scene->goal;
    weir_timer_set(reactor, timer, weir_sim_below(chance, slow ? 50 * WEIR_MS_NS : 400000), on_tick, scene);
}

static int on_start(struct weir_reactor *reactor, void *context)
{
    struct scene *scene = context;
    scene->reactor = reactor;
    SIM_EQUAL(scene->sim, weir_journal_open(reactor, &scene->options, scene->free_extents, scene->free_count, &scene->journal), 0);
    weir_timer_set(reactor, &scene->timer, 0, on_tick, scene);
    return 0;
}

static void on_stop(struct weir_reactor *reactor, void *context)
{
    struct scene *scene = context;
    (void)reactor;
    weir_journal_close(scene->journal);
    SIM_EQUAL(scene->sim, scene->told, scene->count);
}

/* ---- Dying, and what is left ---- */

static bool is_over(void *context)
{
    struct scene *scene = context;
    struct weir_sim *world = scene->sim->world;
    if (scene->room_ns > 0 && weir_sim_now_ns(world) > scene->room_ns)
        weir_sim_faults(world)->disk_bytes_max = UINT64_MAX;
    if (!scene->journal)
        return false;
    bool idle = scene->count > 0 && scene->told == scene->count && weir_journal_idle(scene->journal);
    bool finished = idle && (scene->count == scene->goal || weir_journal_error(scene->journal) < 0);
    if (scene->patient)
        return finished && scene->acked == scene->goal;
    return (finished && scene->room_ns == 0) || weir_sim_now_ns(world) >= scene->crash_ns;
}

static int on_entry(void *context, const struct weir_entry *entry)
{
    struct scene *scene = context;
    struct sim *sim = scene->sim;
    uint32_t index = scene->read;
    SIM_CHECK(sim, index < scene->count);
    SIM_EQUAL(sim, entry->place, index);
    SIM_EQUAL(sim, entry->number, index * 3ull + 1);
    SIM_EQUAL(sim, entry->type, scene->notes[index].type);
    SIM_EQUAL(sim, entry->body_bytes, scene->notes[index].body_bytes);
    SIM_EQUAL(sim, entry->key_bytes, entry->body_bytes / 2);
    for (uint32_t i = 0; i < entry->body_bytes; i++)
        SIM_CHECK(sim, entry->body[i] == body_byte(scene, index, i));
    scene->read++;
    return 0;
}

static void read_back(struct scene *scene, struct weir_disk *disk)
{
    struct sim *sim = scene->sim;
    struct weir_journal_report report;
    uint32_t first = 0;
    while (first < scene->count && scene->notes[first].sequence < scene->checkpoint)
        first++;
    scene->read = first;
    int result = weir_journal_read(disk, scene->options.folder, node, scene->options.run, scene->options.journal,
                                   scene->checkpoint, on_entry, scene, &report);
    if (result < 0)
        sim_fail(sim, __FILE__, __LINE__, "reading back: %s: %s", strerrorname_np(-result), report.cut_why);
    if (scene->read < scene->acked)
        sim_fail(sim, __FILE__, __LINE__, "%u were acknowledged, %u are there (from %u on): %s", scene->acked, scene->read, first,
                 report.cut_why);
    SIM_EQUAL(sim, report.entries, scene->read - first);
    totals.read += report.entries;
    totals.cut += report.cut_bytes > 0;
    if (scene->read > first)
        SIM_EQUAL(sim, report.last_sequence, scene->notes[scene->read - 1].sequence);
}

/* Nothing of another run or journal is taken for this one's. */
static int on_foreign(void *context, const struct weir_entry *entry)
{
    (void)entry;
    sim_fail(((struct scene *)context)->sim, __FILE__, __LINE__, "an entry of a run that never was");
}

static void read_foreign(struct scene *scene, struct weir_disk *disk)
{
    struct weir_journal_report report;
    const struct weir_journal_options *of = &scene->options;
    SIM_EQUAL(scene->sim, weir_journal_read(disk, of->folder, node, of->run + 1, of->journal, 1, on_foreign, scene, &report), 0);
    SIM_EQUAL(scene->sim, weir_journal_read(disk, of->folder, node, of->run, of->journal + 1, 1, on_foreign, scene, &report), 0);
}

static void crash(struct scene *scene)
{
    struct weir_sim *world = scene->sim->world;
    const struct weir_journal_counters *counters = weir_journal_counters(scene->journal);
    scene->over = true;
    totals.lives++;
    totals.appended += scene->count;
    totals.acked += scene->acked;
    totals.unfinished += !weir_journal_idle(scene->journal);
    totals.frames += counters->frames;
    totals.made += counters->extents_made;
    totals.recycled += counters->extents_recycled;
    totals.full += counters->full;
    totals.failed += scene->error < 0;
    /* A file system whose sync failed is mounted anew: no program goes on with names that the medium does not have. */
    bool only_killed = weir_sim_faults(world)->sync_error == 0 && weir_sim_chance(world, 300000);
    weir_sim_crash(world, 0, only_killed ? WEIR_SIM_KILL : WEIR_SIM_POWER_LOSS);
    struct weir_sim_faults faults = *weir_sim_faults(world);
    weir_sim_faults(world)->read_error = 0;
    struct weir_io *io;
    SIM_EQUAL(scene->sim, weir_sim_io_open(world, 0, &io), 0);
    read_back(scene, weir_io_disk(io));
    read_foreign(scene, weir_io_disk(io));
    io->table->close(io);
    *weir_sim_faults(world) = faults;
}

static void note_name(void *context, const char *name)
{
    struct scene *scene = context;
    char path[300];
    snprintf(path, sizeof path, "%s/%s", scene->options.folder, name);
    SIM_CHECK(scene->sim, scene->free_count < FREE_MAX);
    scene->free_extents[scene->free_count++] = strdup(path);
}

static void live(struct sim *sim, struct scene *scene, const struct scene *before)
{
    struct weir_sim *world = sim->world;
    scene->sim = sim;
    scene->options = before->options;
    scene->options.run++;
    scene->goal = 1 + (uint32_t)weir_sim_below(world, ENTRIES_MAX);
    scene->crash_ns = weir_sim_now_ns(world) + weir_sim_below(world, weir_sim_chance(world, 300000) ? WEIR_MS_NS : 20 * WEIR_MS_NS);
    if (before->room_ns > 0) {
        scene->room_ns = weir_sim_now_ns(world) + weir_sim_below(world, 4 * WEIR_S_NS);
        scene->crash_ns = scene->room_ns + weir_sim_below(world, 2 * WEIR_S_NS);
    }
    scene->patient = before->patient;
    if (scene->patient) {
        scene->goal = 1 + (uint32_t)weir_sim_below(world, weir_sim_chance(world, 500000) ? QUIET_GOAL : ENTRIES_MAX);
        scene->crash_ns = UINT64_MAX;
    }
    weir_sim_disk_list(world, 0, scene->options.folder, note_name, scene);
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = 1;
    options.recorder_events = 64;
    options.on_start = on_start;
    options.on_stop = on_stop;
    options.context = scene;
    sim_runtime(sim, 0, &options);
    sim_reach(sim, is_over, scene, STEPS);
    crash(scene);
    for (uint32_t i = 0; i < scene->free_count; i++)
        free(scene->free_extents[i]);
}

static void several_lives(struct sim *sim, struct scene *first)
{
    static struct scene scenes[LIVES_MAX];
    struct weir_sim *world = sim->world;
    SIM_EQUAL(sim, weir_sim_disk_mkdir(world, 0, "/journal"), 0);
    weir_sim_disk_settle(world, 0);
    first->options = (struct weir_journal_options){.folder = "/journal", .node = node, .run = 4, .journal = 3};
    first->options.extent_bytes = WEIR_FRAME_ALIGN * (4 + weir_sim_below(world, 12));
    first->options.extents_max = 2 + (uint32_t)weir_sim_below(world, 5);
    first->options.pending_bytes_max = 4096 + weir_sim_below(world, 100000);
    uint32_t lives = 1 + (uint32_t)weir_sim_below(world, LIVES_MAX);
    memset(scenes, 0, sizeof scenes);
    for (uint32_t i = 0; i < lives; i++)
        live(sim, &scenes[i], i == 0 ? first : &scenes[i - 1]);
    weir_sim_faults(world)->disk_bytes_max = UINT64_MAX;
    sim_close(sim, STEPS);
}

static void what_was_acknowledged_is_there_after_a_crash_on(struct sim *sim)
{
    struct scene first = {0};
    sim_open(sim, 1);
    several_lives(sim, &first);
}

static void a_disk_that_fails_loses_nothing_acknowledged_on(struct sim *sim)
{
    struct scene first = {0};
    sim->faults.write_error = (uint32_t)(sim->seed % 3 == 0 ? 20000 : 0);
    sim->faults.write_cut = (uint32_t)(sim->seed % 3 == 1 ? 20000 : 0);
    sim->faults.sync_error = (uint32_t)(sim->seed % 3 == 2 ? 20000 : 0);
    sim->faults.write_full = (uint32_t)(sim->seed % 5 == 0 ? 5000 : 0);
    sim->faults.read_cut = 100000;
    sim->faults.disk_slow = (uint32_t)(sim->seed % 2 == 0 ? 50000 : 0);
    sim->faults.disk_slow_ns_max = 20 * WEIR_MS_NS;
    sim_open(sim, 1);
    several_lives(sim, &first);
}

static void a_full_disk_loses_nothing_acknowledged_on(struct sim *sim)
{
    struct scene first = {.room_ns = 1};
    sim->faults.disk_bytes_max = 1 + sim->seed * 7919 % 200000;
    sim_open(sim, 1);
    several_lives(sim, &first);
}

static void everything_ends_well_on(struct sim *sim)
{
    struct scene first = {.patient = true, .room_ns = sim->seed % 2};
    sim->faults.disk_bytes_max = sim->seed % 2 ? 1 + sim->seed * 7919 % 200000 : UINT64_MAX;
    sim_open(sim, 1);
    several_lives(sim, &first);
}

SIM_SCENARIO(what_was_acknowledged_is_there_after_a_crash)
SIM_SCENARIO(a_disk_that_fails_loses_nothing_acknowledged)
SIM_SCENARIO(a_full_disk_loses_nothing_acknowledged)
SIM_SCENARIO(everything_ends_well)

static void the_lives_were_eventful(void **state)
{
    (void)state;
    print_message("%llu lives: %llu entries appended, %llu acknowledged, %llu read back; %llu frames, %llu extents made, %llu used again; "
                  "%llu ends torn, %llu crashes in the middle, %llu times full, %llu refused for lack of space, %llu journals failed\n",
                  (unsigned long long)totals.lives, (unsigned long long)totals.appended, (unsigned long long)totals.acked,
                  (unsigned long long)totals.read, (unsigned long long)totals.frames, (unsigned long long)totals.made,
                  (unsigned long long)totals.recycled, (unsigned long long)totals.cut, (unsigned long long)totals.unfinished,
                  (unsigned long long)totals.full, (unsigned long long)totals.lacking, (unsigned long long)totals.failed);
    if (totals.lives < 100)
        skip(); /* a few seeds only */
    assert_true(totals.recycled > totals.made);
    assert_true(totals.read > 0 && totals.cut > 0 && totals.unfinished > 0 && totals.full > 0 && totals.lacking > 0 && totals.failed > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_acknowledged_is_there_after_a_crash),
        cmocka_unit_test(a_disk_that_fails_loses_nothing_acknowledged),
        cmocka_unit_test(a_full_disk_loses_nothing_acknowledged),
        cmocka_unit_test(everything_ends_well),
        cmocka_unit_test(the_lives_were_eventful),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
