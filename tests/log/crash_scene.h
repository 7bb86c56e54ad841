/*
 * tests/log/crash_scene.h - what the simulation of crashes knows of a node, and what it does to it: appends, rows, deletes, drops, reads.
 *
 * Everything that was asked for is noted, and what was acknowledged of it; crash_sim.c holds each recovery against the notes.
 */
#ifndef WEIR_TESTS_CRASH_SCENE_H
#define WEIR_TESTS_CRASH_SCENE_H

#include "tests/sim/sim.h"

#include <weir/timer.h>

#include "base/hash.h"
#include "log/batch.h"
#include "log/store.h"
#include "runtime/sim_disk.h"

enum {
    TOPICS = 5,
    NUMBERS = 3,
    PARTS = TOPICS * NUMBERS,
    KEYS = 16,
    REACTORS_MAX = 3,
    LIVES_MAX = 4,
    STEPS = 6000000,
    BATCH_ROOM = 70000,
};

struct life;

struct note { /* a batch, as appended */
    uint64_t base, end;
    uint32_t byte_count;
    uint64_t hash;
    enum weir_log_level_kind level;
    bool acked;
};

struct topic {
    struct weir_log_id id;
    struct weir_partition_config config;
    uint32_t drops_asked, drops_acked; /* bits by reactor */
    bool dropping, gone;
};

struct part {
    struct topic *topic;
    uint32_t number;
    struct note *notes; /* contiguous; forgotten below start */
    uint32_t count, room;
    uint32_t acked; /* all before are */
    uint64_t start_acked, start_asked;
    struct weir_partition *partition; /* in this life */
    enum weir_log_level_kind level;   /* as it was told last */
    uint64_t state_offset;            /* what the callback said last */
};

struct value { /* 0: removed */
    uint64_t number;
};

struct key {
    uint64_t *values; /* as put, in order; the first was there at the start of the life */
    uint32_t count, room;
    uint32_t acked; /* index of the last acknowledged */
};

struct scene {
    struct sim *sim;
    struct topic topics[TOPICS];
    struct part parts[PARTS];
    struct key keys[KEYS];
    struct life *life;
    uint32_t reactors;
    bool sound; /* no fault that ends writing in this life */
    bool whole; /* it ended by a stop, with a disk that never failed: nothing at all is missing */
    bool roomy; /* its disk never was full */
    bool changes; /* levels of topics */
    uint64_t value_next;
    struct weir_io *io; /* for recovery */
};

struct actor { /* one reactor of a life */
    struct life *life;
    struct weir_reactor *reactor;
    struct weir_store *store;
    struct weir_timer timer;
    struct weir_store_waiter waiter;
    bool waiting, draining, closed;
    uint8_t bytes[BATCH_ROOM];
};

struct life {
    struct scene *scene;
    struct weir_data *data;
    struct actor actors[REACTORS_MAX];
    struct weir_runtime *runtime;
    uint64_t under_way; /* commits */
    bool dead;  /* crashed: nothing of it counts any more */
    bool over;  /* its time is up */
    bool quiet; /* stops by itself */
    bool failed;
};

/* Over all seeds: what this is for has to have happened. */
static struct {
    uint64_t lives, acked, replayed, cut, checkpoints, rolled, removed, dropped, refused, failed, full, disk_reads, recovered_again, lost, levels;
} totals;

/* ---- Batches ---- */

static uint64_t hash_of(const uint8_t *batch, size_t byte_count)
{
    return weir_hash_bytes(batch + 16, byte_count - 16, 0); /* all but what is ours */
}

static size_t make_batch(struct scene *scene, uint8_t *bytes)
{
    struct weir_sim *world = scene->sim->world;
    struct weir_batch_build build;
    uint8_t value[60000];
    weir_batch_begin(&build, bytes, BATCH_ROOM);
    bool large = weir_sim_below(world, 40) == 0;
    uint64_t records = 1 + weir_sim_below(world, large ? 1 : 4);
    for (uint64_t i = 0; i < records; i++) {
        size_t size = weir_sim_below(world, large ? 30000 : 2000);
        memset(value, (int)weir_sim_below(world, 256), size);
        for (size_t at = 0; at + 8 <= size; at += 512) {
            uint64_t word = weir_sim_random(world);
            memcpy(value + at, &word, 8);
        }
        int64_t at_ms = (int64_t)(weir_sim_now_ns(world) / WEIR_MS_NS);
        SIM_EQUAL(scene->sim, weir_batch_add(&build, at_ms, "key", 3, value, (int64_t)size, NULL, 0), 0);
    }
    return weir_batch_finish(&build);
}

static struct note *new_note(struct part *part)
{
    if (part->count == part->room) {
        part->room = part->room ? part->room * 2 : 64;
        part->notes = realloc(part->notes, part->room * sizeof *part->notes);
    }
    return &part->notes[part->count++];
}

static uint64_t end_of(const struct part *part)
{
    return part->count ? part->notes[part->count - 1].end : 0;
}

static const struct note *find_note(const struct part *part, uint64_t base)
{
    uint32_t low = 0, high = part->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (part->notes[middle].base <= base)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? &part->notes[low - 1] : NULL;
}

/* Bytes that were read: batches, each as it was appended. The offset behind them. */
static uint64_t check_bytes(struct scene *scene, const struct part *part, const uint8_t *bytes, size_t byte_count, uint64_t offset)
{
    struct sim *sim = scene->sim;
    bool first = true;
    while (byte_count > 0) {
        struct weir_batch batch;
        SIM_EQUAL(sim, weir_batch_check(bytes, byte_count, &batch), WEIR_BATCH_FINE);
        const struct note *note = find_note(part, batch.base_offset);
        SIM_CHECK(sim, note != NULL);
        SIM_EQUAL(sim, note->base, batch.base_offset);
        SIM_EQUAL(sim, note->byte_count, batch.byte_count);
        SIM_EQUAL(sim, note->hash, hash_of(bytes, batch.byte_count));
        SIM_CHECK(sim, first ? note->base <= offset && note->end > offset : note->base == offset);
        first = false;
        offset = note->end;
        bytes += batch.byte_count;
        byte_count -= batch.byte_count;
    }
    return offset;
}

/* ---- Appends ---- */

struct append {
    struct weir_commit commit;
    struct life *life;
    struct part *part;
    uint32_t index;
};

static void on_append(struct weir_commit *commit, int result)
{
    struct append *append = WEIR_CONTAINER(commit, struct append, commit);
    struct life *life = append->life;
    struct scene *scene = life->scene;
    struct part *part = append->part;
    life->under_way--;
    if (!life->dead && result == 0) {
        SIM_CHECK(scene->sim, append->index >= part->acked); /* in order */
        part->notes[append->index].acked = true;
        part->acked = append->index + 1;
        struct weir_partition_view view;
        weir_partition_view(part->partition, &view);
        SIM_CHECK(scene->sim, view.high_watermark >= part->notes[append->index].end);
        totals.acked++;
    } else if (!life->dead) {
        SIM_CHECK(scene->sim, !scene->sound || result == -ENOSPC || life->quiet || (result == -ENOENT && part->topic->dropping));
    }
    free(append);
}

static void resume(struct weir_store_waiter *waiter);

static void do_append(struct actor *actor, struct part *part)
{
    struct scene *scene = actor->life->scene;
    uint8_t *bytes = actor->bytes; /* other fibers may run meanwhile */
    size_t byte_count = make_batch(scene, bytes);
    struct weir_batch batch;
    uint64_t base;
    SIM_EQUAL(scene->sim, weir_batch_check_produced(bytes, byte_count, &batch), WEIR_BATCH_FINE);
    struct append *append = calloc(1, sizeof *append);
    *append = (struct append){{.done = on_append}, actor->life, part, part->count};
    if (part->level != part->topic->config.level)
        weir_partition_configure(part->partition, &part->topic->config);
    part->level = part->topic->config.level;
    int result = weir_partition_append(part->partition, bytes, &batch, &append->commit, &base);
    if (result < 0) {
        free(append);
        totals.refused++;
        SIM_CHECK(scene->sim, result == -EAGAIN || result == -ENOSPC || !scene->sound);
        if (result == -EAGAIN && !actor->waiting) {
            actor->waiting = true;
            actor->waiter.fn = resume;
            weir_store_wait(actor->store, &actor->waiter);
        }
        return;
    }
    SIM_EQUAL(scene->sim, base, end_of(part));
    *new_note(part) = (struct note){base, base + batch.last_delta + 1, batch.byte_count, hash_of(bytes, byte_count), part->level, false};
    actor->life->under_way++;
}

/* ---- Rows ---- */

struct put {
    struct weir_commit commit;
    struct life *life;
    struct key *key;
    uint32_t index;
};

static uint32_t key_bytes(uint32_t key, uint8_t bytes[8])
{
    return (uint32_t)snprintf((char *)bytes, 8, "key%u", key);
}

static void on_put(struct weir_commit *commit, int result)
{
    struct put *put = WEIR_CONTAINER(commit, struct put, commit);
    if (!put->life->dead && result == 0 && put->index > put->key->acked)
        put->key->acked = put->index;
    put->life->under_way--;
    free(put);
}

static void push_value(struct key *key, uint64_t value)
{
    if (key->count == key->room) {
        key->room = key->room ? key->room * 2 : 16;
        key->values = realloc(key->values, key->room * sizeof *key->values);
    }
    key->values[key->count++] = value;
}

static void do_row(struct actor *actor, uint32_t number)
{
    struct scene *scene = actor->life->scene;
    struct key *key = &scene->keys[number];
    uint8_t bytes[8];
    uint32_t byte_count = key_bytes(number, bytes);
    bool removes = weir_sim_below(scene->sim->world, 4) == 0;
    uint64_t value = removes ? 0 : ++scene->value_next;
    struct put *put = calloc(1, sizeof *put);
    *put = (struct put){{.done = on_put}, actor->life, key, key->count};
    int result = removes ? weir_table_remove(actor->store, WEIR_TABLE_USER, bytes, byte_count, &put->commit)
                         : weir_table_put(actor->store, WEIR_TABLE_USER, bytes, byte_count, &value, 8, &put->commit);
    if (result < 0) {
        free(put);
        return;
    }
    push_value(key, value);
    actor->life->under_way++;
    uint32_t value_bytes;
    const void *now = weir_table_get(actor->store, WEIR_TABLE_USER, bytes, byte_count, &value_bytes);
    SIM_CHECK(scene->sim, removes ? now == NULL : now != NULL && memcmp(now, &value, 8) == 0);
}

/* ---- Starts, drops ---- */

struct change {
    struct weir_commit commit;
    struct life *life;
    struct part *part;
    struct topic *topic;
    uint64_t offset;
    uint32_t reactor;
};

static void on_change(struct weir_commit *commit, int result)
{
    struct change *change = WEIR_CONTAINER(commit, struct change, commit);
    change->life->under_way--;
    if (!change->life->dead && result == 0) {
        if (change->part && change->offset > change->part->start_acked)
            change->part->start_acked = change->offset;
        if (change->topic)
            change->topic->drops_acked |= 1u << change->reactor;
    }
    free(change);
}

static void do_delete(struct actor *actor, struct part *part)
{
    struct scene *scene = actor->life->scene;
    struct weir_partition_view view;
    weir_partition_view(part->partition, &view);
    uint64_t offset = view.start_offset + weir_sim_below(scene->sim->world, view.high_watermark - view.start_offset + 1);
    struct change *change = calloc(1, sizeof *change);
    *change = (struct change){.commit = {.done = on_change}, .life = actor->life, .part = part, .offset = offset};
    if (weir_partition_delete_before(part->partition, offset, &change->commit) < 0) {
        free(change);
        return;
    }
    actor->life->under_way++;
    if (offset > part->start_asked)
        part->start_asked = offset;
}

static void do_drop(struct actor *actor, struct topic *topic)
{
    uint32_t bit = 1u << actor->reactor->index;
    if (topic->drops_asked & bit)
        return;
    struct change *change = calloc(1, sizeof *change);
    *change = (struct change){
        .commit = {.done = on_change}, .life = actor->life, .topic = topic, .reactor = actor->reactor->index};
    if (weir_store_drop(actor->store, &topic->id, &change->commit) < 0) {
        free(change);
        return;
    }
    actor->life->under_way++;
    topic->drops_asked |= bit;
}

/* ---- Reads ---- */

struct reading {
    struct weir_read read; /* first */
    struct life *life;
    struct part *part;
    uint64_t until; /* go on so far */
};

static void go_on_reading(struct reading *reading);

static void end_reading(struct weir_read *read, int result)
{
    struct reading *reading = (struct reading *)read;
    struct life *life = reading->life;
    struct scene *scene = life->scene;
    life->under_way--;
    uint64_t offset = read->offset;
    for (uint32_t i = 0; i < read->slice_count && result == 1 && !life->dead; i++)
        offset = check_bytes(scene, reading->part, read->slices[i].bytes, read->slices[i].byte_count, offset);
    if (result == 1 && !life->dead && read->slice_count > 0)
        SIM_EQUAL(scene->sim, offset, read->next_offset);
    if (!life->dead && result < 0 && result != -ENOENT && result != -ERANGE && scene->sound)
        sim_fail(scene->sim, __FILE__, __LINE__, "a read at %llu of a partition at level %d: %s", (unsigned long long)read->offset,
                 (int)reading->part->topic->config.level, strerrorname_np(-result));
    if (result == 1)
        weir_read_release(reading->read.partition, read);
    if (result == 1 && !life->dead && !life->quiet && read->next_offset < reading->until)
        go_on_reading(reading);
    else
        free(reading);
}

static void go_on_reading(struct reading *reading)
{
    reading->read.offset = reading->read.next_offset;
    reading->read.limit_offset = UINT64_MAX;
    reading->life->under_way++;
    int result = weir_partition_read(reading->part->partition, &reading->read);
    if (result != 0)
        end_reading(&reading->read, result);
}

/* All of it. */
static void verify(struct actor *actor, struct part *part)
{
    struct weir_partition_view view;
    weir_partition_view(part->partition, &view);
    if (view.start_offset == view.high_watermark)
        return;
    struct reading *reading = calloc(1, sizeof *reading);
    reading->life = actor->life;
    reading->part = part;
    reading->until = view.high_watermark;
    reading->read = (struct weir_read){.next_offset = view.start_offset, .bytes_max = 20000, .done = end_reading};
    go_on_reading(reading);
}

static void do_read(struct actor *actor, struct part *part)
{
    struct scene *scene = actor->life->scene;
    struct weir_partition_view view;
    weir_partition_view(part->partition, &view);
    struct reading *reading = calloc(1, sizeof *reading);
    reading->life = actor->life;
    reading->part = part;
    reading->read = (struct weir_read){
        .offset = view.start_offset + weir_sim_below(scene->sim->world, view.high_watermark - view.start_offset + 1),
        .limit_offset = UINT64_MAX,
        .bytes_max = weir_sim_below(scene->sim->world, 100000),
        .done = end_reading,
    };
    actor->life->under_way++;
    int result = weir_partition_read(part->partition, &reading->read);
    if (result != 0) {
        if (result == 1 && reading->read.offset < view.high_watermark)
            SIM_CHECK(scene->sim, reading->read.byte_count > 0);
        end_reading(&reading->read, result);
    }
}

#endif
