/*
 * tests/log/crash_sim.c - a node that keeps topics, crashed over and over: what was acknowledged is there.
 *
 * A data directory lives several lives, each with a number of reactors of its own. In each, stores take batches into partitions of all
 * levels, put and remove rows, checkpoint, roll, delete, clean and drop topics, on a disk that is slow, writes short, fills up or fails;
 * then the process is killed or the power goes, at any step. A recovery may be cut as well, and is done again. Checked after each:
 *
 *   - recovery never fails (where the disk does not)
 *   - of a partition: what was acknowledged, at a level that survives this crash, is there, at its offset, to the byte; what is there was
 *     appended, without a gap; the start is between the one acknowledged and the one asked for
 *   - a row is what was acknowledged last, or newer
 *   - a dropped topic whose drop was acknowledged is gone, and stops no start
 *   - while it lives: acknowledgements of a partition in order, none above the high watermark; reads give what was appended
 *   - where the disk never fails, a stop loses nothing at all
 */
#include "tests/log/crash_scene.h"

/* ---- One reactor's life ---- */

static void on_store_closed(void *context)
{
    struct actor *actor = context;
    const struct weir_store_counters *counters = weir_store_counters(actor->store);
    totals.checkpoints += counters->checkpoints;
    totals.rolled += counters->segments_made;
    totals.removed += counters->segments_removed;
    totals.disk_reads += counters->reads_disk;
    if (actor->waiting)
        weir_store_wait_cancel(&actor->waiter);
    weir_store_close(actor->store);
    actor->store = NULL;
    actor->closed = true;
}

static void drain(struct actor *actor)
{
    actor->draining = true;
    weir_store_drain(actor->store, on_store_closed, actor);
}

static struct part *some_part(struct actor *actor)
{
    struct scene *scene = actor->life->scene;
    struct part *part = &scene->parts[weir_sim_below(scene->sim->world, PARTS)];
    bool mine = weir_store_owner(&part->topic->id, part->number, scene->reactors) == actor->reactor->index;
    return mine && part->partition && !part->topic->dropping ? part : NULL;
}

static void act(struct actor *actor)
{
    struct scene *scene = actor->life->scene;
    struct weir_sim *world = scene->sim->world;
    uint32_t key = (uint32_t)weir_sim_below(world, KEYS);
    uint8_t bytes[8];
    uint64_t choice = weir_sim_below(world, 1000);
    struct part *part = some_part(actor);
    if (choice < 100) {
        if (weir_table_owner(WEIR_TABLE_USER, bytes, key_bytes(key, bytes), scene->reactors) == actor->reactor->index)
            do_row(actor, key);
    } else if (choice < 105) {
        weir_store_checkpoint(actor->store);
    } else if (choice < 110) {
        weir_store_clean(actor->store);
    } else if (!part) {
        return;
    } else if (choice < 125) {
        do_delete(actor, part);
    } else if (choice < 300) {
        do_read(actor, part);
    } else if (choice < 302 && scene->changes) {
        part->topic->config.level = (enum weir_log_level_kind)weir_sim_below(world, WEIR_LEVEL_MEMORY + 1);
        totals.levels++;
    } else if (choice == 302 && part != &scene->parts[0]) {
        part->topic->dropping = true;
    } else if (!actor->waiting) {
        do_append(actor, part);
    }
}

static void resume(struct weir_store_waiter *waiter)
{
    struct actor *actor = WEIR_CONTAINER(waiter, struct actor, waiter);
    actor->waiting = false;
}

static void on_time(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    (void)timer;
    struct actor *actor = context;
    struct life *life = actor->life;
    struct scene *scene = life->scene;
    struct weir_sim *world = scene->sim->world;
    if (life->dead || life->quiet) {
        if (!actor->draining)
            drain(actor);
        return;
    }
    for (uint32_t i = 0; i < TOPICS; i++)
        if (scene->topics[i].dropping && !scene->topics[i].gone)
            do_drop(actor, &scene->topics[i]);
    for (uint64_t i = weir_sim_below(world, 12); i > 0; i--)
        act(actor);
    weir_timer_set(reactor, &actor->timer, weir_sim_below(world, 2 * WEIR_MS_NS), on_time, actor);
}

static void *state_of(void *context, struct weir_partition *partition, size_t *byte_count_out)
{
    (void)context;
    struct part *part = weir_partition_context(partition);
    struct weir_partition_view view;
    weir_partition_view(partition, &view);
    uint64_t *state = malloc(sizeof *state);
    *state = view.end_offset;
    *byte_count_out = part ? sizeof *state : 0;
    return state;
}

static void on_error(void *context, int error)
{
    struct actor *actor = context;
    struct scene *scene = actor->life->scene;
    totals.full += error == -ENOSPC;
    totals.failed += error < 0 && error != -ENOSPC;
    if (!actor->life->dead && scene->sound && error != 0 && error != -ENOSPC)
        sim_fail(scene->sim, __FILE__, __LINE__, "a store fails on a sound disk: %s", strerrorname_np(-error));
}

/* A partition as it came out of recovery. */
static void check_part(struct scene *scene, struct part *part)
{
    struct weir_partition_view view;
    struct sim *sim = scene->sim;
    weir_partition_view(part->partition, &view);
    SIM_EQUAL(sim, view.end_offset, part->count ? end_of(part) : view.end_offset);
    SIM_EQUAL(sim, view.high_watermark, view.end_offset);
    SIM_EQUAL(sim, view.start_offset, part->start_acked);
    size_t byte_count;
    uint64_t offset;
    const uint64_t *state = weir_partition_state(part->partition, &byte_count, &offset);
    if (state && byte_count == sizeof *state)
        SIM_EQUAL(sim, *state, offset);
    SIM_CHECK(sim, !state || offset <= view.end_offset);
}

static int open_parts(struct actor *actor)
{
    struct scene *scene = actor->life->scene;
    for (uint32_t i = 0; i < PARTS; i++) {
        struct part *part = &scene->parts[i];
        if (part->topic->gone || weir_store_owner(&part->topic->id, part->number, scene->reactors) != actor->reactor->index)
            continue;
        int result = weir_partition_open(actor->store, &part->topic->id, part->number, &part->topic->config, &part->partition);
        if (result < 0)
            return result;
        part->level = part->topic->config.level;
        weir_partition_set_context(part->partition, part);
        check_part(scene, part);
        verify(actor, part);
    }
    return 0;
}

static int on_start(struct weir_reactor *reactor, void *context)
{
    struct life *life = context;
    struct weir_sim *world = life->scene->sim->world;
    struct actor *actor = &life->actors[reactor->index];
    actor->life = life;
    actor->reactor = reactor;
    struct weir_store_options options = {
        .extent_bytes = (uint64_t)65536 << weir_sim_below(world, 4),
        .extents_max = 4 + weir_sim_below(world, 6),
        .tail_bytes_max = (uint64_t)100000 << weir_sim_below(world, 6),
        .checkpoint_ns = (5 + weir_sim_below(world, 300)) * WEIR_MS_NS,
        .state = state_of,
        .on_error = on_error,
        .context = actor,
    };
    int result = weir_store_open(life->data, reactor, &options, &actor->store);
    if (result == 0)
        result = open_parts(actor);
    weir_timer_set(reactor, &actor->timer, weir_sim_below(world, WEIR_MS_NS), on_time, actor);
    return result;
}

/* ---- Between lives ---- */

static bool know_topic(void *context, const struct weir_data *data, const struct weir_log_id *id, struct weir_data_topic *topic_out)
{
    struct scene *scene = context;
    (void)data;
    for (uint32_t i = 0; i < TOPICS; i++)
        if (memcmp(&scene->topics[i].id, id, sizeof *id) == 0) {
            topic_out->level = scene->topics[i].config.level;
            return !scene->topics[i].gone;
        }
    return false;
}

static int open_data(struct scene *scene, struct life *life)
{
    char why[512] = "";
    struct weir_data_options options = {.journal_count = scene->reactors, .topic = know_topic, .topic_context = scene};
    SIM_EQUAL(scene->sim, weir_sim_io_open(scene->sim->world, 0, &scene->io), 0);
    int result = weir_data_open(weir_io_disk(scene->io), "/data", &options, &life->data, why, sizeof why);
    if (result < 0 && scene->sound)
        sim_fail(scene->sim, __FILE__, __LINE__, "no recovery: %s (%s)", strerrorname_np(-result), why);
    if (result < 0)
        scene->io->table->close(scene->io);
    return result;
}

/* Some are cut on their way; then it is done again. */
static void recover(struct scene *scene, struct life *life, bool *power)
{
    struct weir_sim *world = scene->sim->world;
    struct weir_sim_faults faults = *weir_sim_faults(world);
    struct weir_sim_faults *now = weir_sim_faults(world);
    now->read_error = now->write_error = now->write_full = now->sync_error = 0;
    now->disk_bytes_max = UINT64_MAX;
    bool sound = scene->sound;
    scene->sound = false;
    for (uint64_t cuts = weir_sim_below(world, 3); cuts > 0; cuts--) {
        weir_sim_disk_die_after(world, 0, weir_sim_below(world, 300));
        if (open_data(scene, life) == 0) {
            weir_data_close(life->data);
            scene->io->table->close(scene->io);
        }
        bool lost = weir_sim_chance(world, 600000);
        *power |= lost;
        weir_sim_crash(world, 0, lost ? WEIR_SIM_POWER_LOSS : WEIR_SIM_KILL);
        weir_sim_disk_die_after(world, 0, UINT64_MAX);
        totals.recovered_again++;
    }
    scene->sound = true;
    open_data(scene, life);
    scene->sound = sound;
    *now = faults;
    totals.replayed += life->data->report.batches_replayed;
    totals.cut += life->data->report.cut_bytes > 0;
}

static const struct weir_data_partition *recovered(const struct life *life, const struct part *part)
{
    for (const struct weir_data_partition *at = life->data->partitions; at; at = at->next)
        if (memcmp(&at->topic, &part->topic->id, sizeof at->topic) == 0 && at->partition == part->number)
            return at;
    return NULL;
}

static void tell_name(void *context, const char *name)
{
    (void)context;
    dprintf(STDERR_FILENO, "  %s\n", name);
}

/* For a failure: what is there of a partition. */
static void tell_part(struct scene *scene, const struct life *life, const struct part *part, const struct weir_data_partition *found)
{
    char path[256];
    weir_data_path(path, sizeof path, "/data", &part->topic->id, part->number, 0, "");
    *strrchr(path, '/') = 0;
    dprintf(STDERR_FILENO, "%s, run %llu:\n", path, (unsigned long long)life->data->run);
    weir_sim_disk_list(scene->sim->world, 0, path, tell_name, NULL);
    for (uint32_t i = 0; found && i < found->segment_count; i++)
        dprintf(STDERR_FILENO, "  segment %llu, %llu bytes\n", (unsigned long long)found->segments[i].base_offset,
                (unsigned long long)found->segments[i].byte_count);
    dprintf(STDERR_FILENO, "  start %llu (acknowledged %llu, asked %llu)\n", found ? (unsigned long long)found->start_offset : 0,
            (unsigned long long)part->start_acked, (unsigned long long)part->start_asked);
}

/* What recovery says against what is known; from here on what it says is what is known. */
static void settle_part(struct scene *scene, struct life *life, struct part *part, bool power)
{
    struct sim *sim = scene->sim;
    const struct weir_data_partition *found = recovered(life, part);
    part->partition = NULL;
    if (part->topic->gone) {
        SIM_CHECK(sim, found == NULL);
        return;
    }
    uint64_t end = found ? found->end_offset : 0;
    uint64_t start = found ? found->start_offset : 0;
    bool dropping = part->topic->dropping;
    uint32_t kept = 0;
    while (kept < part->count && part->notes[kept].end <= end)
        kept++;
    bool known = end <= end_of(part) && (end == start || (kept > 0 && part->notes[kept - 1].end == end));
    if (!known) { /* a start may lie within a batch */
        tell_part(scene, life, part, found);
        sim_fail(sim, __FILE__, __LINE__, "invented: partition %u of level %d; the end is %llu, of what was appended %llu", part->number,
                 (int)part->level, (unsigned long long)end, (unsigned long long)end_of(part));
    }
    for (uint32_t i = kept; i < part->count; i++) {
        totals.lost += part->notes[i].acked;
        enum weir_log_level_kind level = part->notes[i].level;
        /* What a topic took at `written` before it was made synced may be lost until the next checkpoint: files that neither a checkpoint
         * nor a journal names are not looked for. */
        bool sought = part->topic->config.level != WEIR_LEVEL_SYNCED;
        bool survives = level == WEIR_LEVEL_SYNCED || (level == WEIR_LEVEL_WRITTEN && !power && sought);
        if (dropping || !((survives && part->notes[i].acked) || scene->whole))
            continue;
        tell_part(scene, life, part, found);
        sim_fail(sim, __FILE__, __LINE__, "lost: partition %u of level %d, batch %llu-%llu; the end is %llu (%s)", part->number,
                 (int)level, (unsigned long long)part->notes[i].base, (unsigned long long)part->notes[i].end,
                 (unsigned long long)end, scene->whole ? "a stop" : power ? "power loss" : "kill");
    }
    SIM_CHECK(sim, dropping || start >= part->start_acked);
    SIM_CHECK(sim, start <= part->start_asked);
    part->count = part->acked = kept;
    part->start_acked = part->start_asked = start;
    if (end_of(part) != end) /* nothing of it is left but its end */
        *new_note(part) = (struct note){.base = end, .end = end, .acked = true};
    part->acked = part->count;
    for (uint32_t i = 0; i < part->count; i++)
        part->notes[i].acked = true;
}

static uint64_t recovered_value(const struct life *life, uint32_t number)
{
    uint8_t bytes[8];
    uint32_t byte_count = key_bytes(number, bytes);
    for (const struct weir_data_row *row = life->data->rows; row; row = row->next)
        if (row->table == WEIR_TABLE_USER && row->key_bytes == byte_count && memcmp(row->bytes, bytes, byte_count) == 0) {
            uint64_t value;
            memcpy(&value, row->bytes + byte_count, 8);
            return value;
        }
    return 0;
}

static void settle_key(struct scene *scene, const struct life *life, uint32_t number)
{
    struct key *key = &scene->keys[number];
    uint64_t value = recovered_value(life, number);
    uint32_t at = key->count;
    while (at-- > key->acked)
        if (key->values[at] == value)
            break;
    if (at + 1 == key->acked || at > key->count)
        sim_fail(scene->sim, __FILE__, __LINE__, "row %u is %llu; acknowledged was %llu", number, (unsigned long long)value,
                 (unsigned long long)key->values[key->acked]);
    key->count = 0;
    key->acked = 0;
    push_value(key, value);
}

static void settle(struct scene *scene, struct life *life, bool power)
{
    for (uint32_t i = 0; i < PARTS; i++)
        settle_part(scene, life, &scene->parts[i], power);
    for (uint32_t i = 0; i < KEYS; i++)
        settle_key(scene, life, i);
}

/* The catalog's part: a topic is gone once every reactor has dropped it. */
static void settle_topics(struct scene *scene)
{
    for (uint32_t i = 0; i < TOPICS; i++) {
        struct topic *topic = &scene->topics[i];
        if (topic->dropping && !topic->gone && topic->drops_acked == (1u << scene->reactors) - 1) {
            topic->gone = true;
            totals.dropped++;
        }
    }
}

static void forget_drops(struct scene *scene)
{
    for (uint32_t i = 0; i < TOPICS; i++)
        scene->topics[i].drops_asked = scene->topics[i].drops_acked = 0;
}

static bool is_over(void *context)
{
    return ((struct life *)context)->over;
}

static bool all_closed(void *context)
{
    const struct life *life = context;
    for (uint32_t i = 0; i < life->scene->reactors; i++)
        if (!life->actors[i].closed)
            return false;
    return true;
}

static void end_life(void *context)
{
    ((struct life *)context)->over = true;
}

static void make_room(void *context)
{
    weir_sim_faults(context)->disk_bytes_max = UINT64_MAX;
    weir_sim_faults(context)->write_full = 0;
}

static void choose_faults(struct scene *scene, bool last)
{
    struct weir_sim *world = scene->sim->world;
    struct weir_sim_faults *faults = weir_sim_faults(world);
    uint64_t kind = weir_sim_below(world, 6);
    faults->read_error = faults->write_error = faults->sync_error = faults->write_full = 0;
    faults->write_cut = weir_sim_below(world, 3) == 0 ? 100000 : 0;
    faults->read_cut = weir_sim_below(world, 3) == 0 ? 100000 : 0;
    faults->disk_slow = weir_sim_below(world, 3) == 0 ? 50000 : 0;
    faults->disk_slow_ns_max = 50 * WEIR_MS_NS;
    faults->disk_bytes_max = UINT64_MAX;
    scene->sound = last || kind > 1;
    scene->roomy = kind != 2;
    if (!scene->sound && kind == 0) {
        uint32_t chance = (uint32_t)weir_sim_below(world, 5000);
        faults->write_error = weir_sim_below(world, 2) ? chance : 0;
        faults->sync_error = weir_sim_below(world, 2) ? chance : 0;
        faults->read_error = weir_sim_below(world, 2) ? chance : 0;
    } else if (!scene->sound) {
        faults->write_full = (uint32_t)weir_sim_below(world, 30000); /* also where there are blocks already: it ends a journal */
        weir_sim_after(world, weir_sim_below(world, 3 * WEIR_S_NS), make_room, world);
    } else if (!scene->roomy) {
        faults->disk_bytes_max = world->hosts[0].disk->bytes_used + weir_sim_below(world, 3 << 20);
        weir_sim_after(world, weir_sim_below(world, 3 * WEIR_S_NS), make_room, world);
    }
    if (scene->sound)
        faults->write_cut = 0; /* a short write ends a journal */
}

static void start_life(struct scene *scene, struct life *life)
{
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = scene->reactors;
    options.recorder_events = 256;
    options.topics_max = 64;
    options.no_spin = true;
    options.on_start = on_start;
    options.context = life;
    life->runtime = sim_runtime(scene->sim, 0, &options);
}

static void run_life(struct scene *scene, struct life *life, uint64_t lived_ns, bool last)
{
    struct weir_sim *world = scene->sim->world;
    totals.lives++;
    SIM_EQUAL(scene->sim, weir_data_share(life->data), 0);
    choose_faults(scene, last);
    start_life(scene, life);
    weir_sim_after(world, lived_ns, end_life, life);
    sim_reach(scene->sim, is_over, life, STEPS);
}

static void close_life(struct scene *scene, struct life *life)
{
    sim_reach(scene->sim, all_closed, life, STEPS);
    SIM_EQUAL(scene->sim, life->under_way, 0);
    weir_data_close(life->data);
    life->data = NULL;
    scene->io->table->close(scene->io);
}

static void init_scene(struct scene *scene)
{
    struct weir_sim *world = scene->sim->world;
    for (uint32_t i = 0; i < TOPICS; i++) {
        struct topic *topic = &scene->topics[i];
        for (uint32_t b = 0; b < 16; b++)
            topic->id.bytes[b] = (uint8_t)weir_sim_below(world, 256);
        uint64_t level = weir_sim_below(world, 10);
        topic->config = (struct weir_partition_config){
            .level = level < 6 ? WEIR_LEVEL_SYNCED : level < 9 ? WEIR_LEVEL_WRITTEN : WEIR_LEVEL_MEMORY,
            .segment_bytes = (uint64_t)4096 << weir_sim_below(world, 6),
            .retention_ms = -1,
            .retention_bytes = -1,
        };
        for (uint32_t n = 0; n < NUMBERS; n++) {
            scene->parts[i * NUMBERS + n].topic = topic;
            scene->parts[i * NUMBERS + n].number = n;
        }
    }
    for (uint32_t i = 0; i < KEYS; i++)
        push_value(&scene->keys[i], 0);
}

static void free_scene(struct scene *scene)
{
    for (uint32_t i = 0; i < PARTS; i++)
        free(scene->parts[i].notes);
    for (uint32_t i = 0; i < KEYS; i++)
        free(scene->keys[i].values);
    free(scene);
}

/* The runtime of a life goes too, or the next one's fibers would be many. */
static void several_lives_on(struct sim *sim)
{
    sim_open(sim, 1);
    struct scene *scene = calloc(1, sizeof *scene);
    struct life *lives = calloc(LIVES_MAX + 1, sizeof *lives);
    scene->sim = sim;
    init_scene(scene);
    scene->changes = sim->seed % 4 == 0;
    SIM_EQUAL(sim, weir_sim_disk_mkdir(sim->world, 0, "/data"), 0);
    weir_sim_disk_settle(sim->world, 0);
    uint32_t count = 2 + (uint32_t)weir_sim_below(sim->world, LIVES_MAX - 1);
    for (uint32_t i = 0, power_lost = 0; i <= count; i++) {
        bool power = power_lost;
        struct life *life = &lives[i];
        life->scene = scene;
        scene->reactors = 1 + (uint32_t)weir_sim_below(sim->world, REACTORS_MAX);
        recover(scene, life, &power);
        settle(scene, life, power);
        forget_drops(scene);
        scene->whole = false;
        if (i == count) {
            weir_data_close(life->data);
            scene->io->table->close(scene->io);
            break;
        }
        bool stops = i + 1 == count || weir_sim_below(sim->world, 5) == 0;
        run_life(scene, life, (1 + weir_sim_below(sim->world, 400)) * WEIR_MS_NS, i + 1 == count);
        if (stops) {
            make_room(sim->world);
            life->quiet = true;
            scene->whole = scene->sound && scene->roomy;
            close_life(scene, life);
            power_lost = true;
            weir_sim_crash(sim->world, 0, WEIR_SIM_POWER_LOSS);
        } else {
            power_lost = weir_sim_chance(sim->world, 600000);
            life->dead = true;
            weir_sim_crash(sim->world, 0, power_lost ? WEIR_SIM_POWER_LOSS : WEIR_SIM_KILL);
            close_life(scene, life);
        }
        settle_topics(scene);
    }
    sim_close(sim, STEPS);
    free(lives);
    free_scene(scene);
}

SIM_SCENARIO(several_lives)

static void what_this_is_for_has_happened(void **state)
{
    (void)state;
    if (getenv("WEIR_SIM_SEED") != NULL || getenv("WEIR_SIM_SEEDS") != NULL)
        skip();
    print_message("lives %llu, acked %llu, replayed %llu, cut %llu, checkpoints %llu, segments %llu, removed %llu, dropped %llu, "
                  "refused %llu, failed %llu, full %llu, disk reads %llu, recovered again %llu, lost below synced %llu\n",
                  (unsigned long long)totals.lives, (unsigned long long)totals.acked, (unsigned long long)totals.replayed,
                  (unsigned long long)totals.cut, (unsigned long long)totals.checkpoints, (unsigned long long)totals.rolled,
                  (unsigned long long)totals.removed, (unsigned long long)totals.dropped, (unsigned long long)totals.refused,
                  (unsigned long long)totals.failed, (unsigned long long)totals.full, (unsigned long long)totals.disk_reads,
                  (unsigned long long)totals.recovered_again, (unsigned long long)totals.lost);
    assert_true(totals.acked > 0 && totals.replayed > 0 && totals.cut > 0 && totals.checkpoints > 0);
    assert_true(totals.rolled > 0 && totals.removed > 0 && totals.dropped > 0 && totals.refused > 0);
    assert_true(totals.failed > 0 && totals.full > 0 && totals.disk_reads > 0 && totals.lost > 0 && totals.levels > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_lives),
        cmocka_unit_test(what_this_is_for_has_happened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
