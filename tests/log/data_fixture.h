/*
 * tests/log/data_fixture.h - data directories made by hand, byte for byte as docs/log-format.md has them, and what became of
 * them when they were opened.
 */
#ifndef WEIR_TESTS_LOG_DATA_FIXTURE_H
#define WEIR_TESTS_LOG_DATA_FIXTURE_H

#include "tests/sim/sim.h"

#include "base/hash.h"
#include "log/batch.h"
#include "log/data.h"
#include "log/store.h"
#include "runtime/disk.h"
#include "runtime/sim_disk.h"

enum { PLACE_TOPICS = 8, JOURNAL_BYTES = 1 << 19, BATCH_BYTES_MAX = 512 };

struct known { /* what the catalog says of a topic */
    struct weir_log_id id;
    enum weir_log_level_kind level;
};

struct place {
    struct weir_sim *sim;
    struct weir_io *io;
    struct weir_disk *disk;
    struct weir_data *data;
    struct known known[PLACE_TOPICS];
    uint32_t known_count;
    uint32_t journal_count;
    struct weir_log_id node;
    uint64_t run;
    bool read_only;
    char why[256];
};

static const struct weir_log_id topic_a = {{0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
static const struct weir_log_id topic_b = {{0xb0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
static const struct weir_log_id topic_c = {{0xc0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

/* ---- Opening ---- */

static inline bool is_known(void *context, const struct weir_data *data, const struct weir_log_id *id,
                            struct weir_data_topic *topic_out)
{
    const struct place *place = context;
    (void)data;
    for (uint32_t i = 0; i < place->known_count; i++)
        if (memcmp(&place->known[i].id, id, sizeof(*id)) == 0) {
            topic_out->level = place->known[i].level;
            return true;
        }
    return false;
}

static inline int try_open(struct place *place)
{
    struct weir_data_options options = {.journal_count = place->journal_count,
                                        .topic = is_known,
                                        .topic_context = place,
                                        .read_only = place->read_only};
    place->data = NULL;
    return weir_data_open(place->disk, "/data", &options, &place->data, place->why, sizeof(place->why));
}

static inline void open_data(struct place *place)
{
    int result = try_open(place);
    if (result < 0)
        print_message("%s\n", place->why);
    assert_int_equal(result, 0);
    place->node = place->data->node;
    place->run = place->data->run;
}

static inline void close_data(struct place *place)
{
    weir_data_close(place->data);
    place->data = NULL;
}

static inline void know(struct place *place, const struct weir_log_id *id, enum weir_log_level_kind level)
{
    place->known[place->known_count++] = (struct known){*id, level};
}

/* A world with a directory of run 1, empty and closed, with one journal. */
static inline void open_place(struct place *place, uint64_t seed)
{
    memset(place, 0, sizeof(*place));
    assert_int_equal(weir_sim_open(seed, 1, NULL, &place->sim), 0);
    assert_int_equal(weir_sim_io_open(place->sim, 0, &place->io), 0);
    place->disk = weir_io_disk(place->io);
    place->journal_count = 1;
    open_data(place);
    close_data(place);
}

static inline void close_place(struct place *place)
{
    weir_data_close(place->data);
    place->io->table->close(place->io);
    weir_sim_close(place->sim);
}

static inline void crash(struct place *place, enum weir_sim_crash_kind kind)
{
    weir_data_close(place->data);
    place->data = NULL;
    weir_sim_crash(place->sim, 0, kind);
    place->io->table->close(place->io);
    assert_int_equal(weir_sim_io_open(place->sim, 0, &place->io), 0);
    place->disk = weir_io_disk(place->io);
}

/* ---- Files ---- */

static inline void write_file(struct place *place, const char *path, const void *bytes, size_t byte_count)
{
    int fd = place->disk->table->open(place->disk, path, O_RDWR | O_CREAT | O_TRUNC, 0640);
    assert_true(fd >= 0);
    assert_int_equal(weir_disk_write_whole(place->disk, fd, bytes, byte_count, 0), 0);
    assert_int_equal(place->disk->table->close(place->disk, fd), 0);
}

static inline bool exists(struct place *place, const char *path)
{
    return weir_sim_inode_find(place->sim->hosts[0].disk, path) != NULL;
}

static inline const char *segment_path(const struct weir_log_id *topic, uint32_t partition, uint64_t base, const char *suffix)
{
    static char path[256];
    assert_true(weir_data_path(path, sizeof(path), "/data", topic, partition, base, suffix) > 0);
    return path;
}

static inline void make_folders(struct place *place, const struct weir_log_id *topic, uint32_t partition)
{
    char path[256];
    strcpy(path, segment_path(topic, partition, 0, ""));
    *strrchr(path, '/') = 0;
    char *slash = strrchr(path, '/');
    *slash = 0;
    place->disk->table->mkdir(place->disk, path, 0750);
    *slash = '/';
    place->disk->table->mkdir(place->disk, path, 0750);
}

/* ---- Batches: number n of a partition has the offsets 10n to 10n+9, and bytes of its own ---- */

enum { PER_BATCH = 10 };

static inline size_t make_batch(uint8_t *bytes, const struct weir_log_id *topic, uint32_t partition, uint32_t number)
{
    struct weir_batch_build build;
    weir_batch_begin(&build, bytes, BATCH_BYTES_MAX);
    for (uint32_t i = 0; i < PER_BATCH; i++) {
        char value[32];
        int length = snprintf(value, sizeof(value), "%02x/%u/%u/%u", topic->bytes[0], partition, number, i * 7919 % (number + 3));
        assert_int_equal(weir_batch_add(&build, 1000 + number, NULL, -1, value, length, NULL, 0), 0);
    }
    size_t byte_count = weir_batch_finish(&build);
    weir_batch_place(bytes, (uint64_t)number * PER_BATCH, 0);
    return byte_count;
}

/* Batches [from, to), back to back. */
static inline size_t make_batches(uint8_t *bytes, const struct weir_log_id *topic, uint32_t partition, uint32_t from, uint32_t to)
{
    size_t used = 0;
    for (uint32_t number = from; number < to; number++)
        used += make_batch(bytes + used, topic, partition, number);
    return used;
}

/* A segment's file: batches [from, to), then `extra` bytes of nothing. Bytes of the batches. */
static inline uint64_t make_segment(struct place *place, const struct weir_log_id *topic, uint32_t partition, uint32_t from,
                                    uint32_t to, size_t extra)
{
    static uint8_t bytes[1 << 17];
    size_t used = make_batches(bytes, topic, partition, from, to);
    memset(bytes + used, 0xee, extra);
    make_folders(place, topic, partition);
    write_file(place, segment_path(topic, partition, (uint64_t)from * PER_BATCH, ".log"), bytes, used + extra);
    return used;
}

/* Is the file exactly the batches [from, to)? */
static inline bool segment_is(struct place *place, const struct weir_log_id *topic, uint32_t partition, uint32_t from, uint32_t to)
{
    static uint8_t expected[1 << 17], found[1 << 17];
    size_t used = make_batches(expected, topic, partition, from, to);
    int64_t count = weir_sim_disk_peek(place->sim, 0, segment_path(topic, partition, (uint64_t)from * PER_BATCH, ".log"), 0, found,
                                       sizeof(found));
    return count == (int64_t)used && memcmp(expected, found, used) == 0;
}

/* ---- Checkpoints and journals ---- */

struct journal { /* one extent; each entry in a frame of its own */
    struct weir_extent_head head;
    uint64_t sequence;
    size_t used;
    uint8_t bytes[JOURNAL_BYTES];
};

static inline void begin_journal(struct place *place, struct journal *journal, uint32_t number)
{
    memset(journal, 0, sizeof(*journal));
    journal->head = (struct weir_extent_head){.node = place->node, .run = place->run, .journal = number, .first_sequence = 1};
    journal->sequence = 1;
    weir_extent_write(journal->bytes, &journal->head);
    journal->used = WEIR_FRAME_ALIGN;
}

static inline void add_entry(struct journal *journal, const struct weir_entry *entry)
{
    uint8_t *at = journal->bytes + journal->used;
    uint32_t entry_bytes = weir_entry_bytes(entry->body_bytes);
    assert_true(journal->used + weir_frame_bytes(entry_bytes) <= JOURNAL_BYTES);
    weir_entry_write(at + WEIR_FRAME_HEAD_BYTES, entry);
    if (entry->body_bytes > 0)
        memcpy(at + WEIR_FRAME_HEAD_BYTES + WEIR_ENTRY_HEAD_BYTES, entry->body, entry->body_bytes);
    struct weir_frame_head head = {journal->sequence++, entry_bytes, 1};
    weir_frame_write(at, &journal->head, &head);
    journal->used += weir_frame_bytes(entry_bytes);
}

static inline void add_batches(struct journal *journal, const struct weir_log_id *topic, uint32_t partition, uint32_t from,
                               uint32_t to)
{
    for (uint32_t number = from; number < to; number++) {
        uint8_t bytes[BATCH_BYTES_MAX];
        struct weir_entry entry = {.type = WEIR_ENTRY_BATCH,
                                   .topic = *topic,
                                   .place = partition,
                                   .number = (uint64_t)number * PER_BATCH,
                                   .body = bytes,
                                   .body_bytes = (uint32_t)make_batch(bytes, topic, partition, number)};
        add_entry(journal, &entry);
    }
}

static inline void add_start(struct journal *journal, const struct weir_log_id *topic, uint32_t partition, uint64_t start)
{
    struct weir_entry entry = {.type = WEIR_ENTRY_START, .topic = *topic, .place = partition, .number = start};
    add_entry(journal, &entry);
}

static inline void add_drop(struct journal *journal, const struct weir_log_id *topic)
{
    struct weir_entry entry = {.type = WEIR_ENTRY_DROP, .topic = *topic};
    add_entry(journal, &entry);
}

/* `value` NULL: a REMOVE. */
static inline void add_row(struct journal *journal, uint32_t table, uint64_t version, const char *key, const char *value)
{
    char body[128];
    int length = snprintf(body, sizeof(body), "%s%s", key, value ? value : "");
    struct weir_entry entry = {.type = value ? WEIR_ENTRY_PUT : WEIR_ENTRY_REMOVE,
                               .place = table,
                               .key_bytes = (uint32_t)strlen(key),
                               .number = version,
                               .body = (const uint8_t *)body,
                               .body_bytes = (uint32_t)length};
    add_entry(journal, &entry);
}

static inline void end_journal(struct place *place, const struct journal *journal)
{
    char path[64];
    snprintf(path, sizeof(path), "/data/journal/j%u.extent", journal->head.journal);
    write_file(place, path, journal->bytes, journal->used);
}

static inline void end_checkpoint(struct place *place, struct weir_checkpoint_writer *writer, uint32_t journal)
{
    char path[64];
    struct weir_checkpoint_head head = {place->node, place->run, journal, 1};
    assert_int_equal(weir_checkpoint_finish(writer, &head), 0);
    snprintf(path, sizeof(path), "/data/checkpoint-%u-%u", (unsigned)place->run, journal);
    write_file(place, path, writer->bytes, writer->used);
    free(writer->bytes);
    weir_sim_disk_settle(place->sim, 0); /* a checkpoint speaks of nothing else */
}

/* One partition with one segment: batches [from, to) of byte_count bytes are covered. */
static inline void cover(struct weir_checkpoint_writer *writer, const struct weir_log_id *topic, uint32_t partition, uint32_t from,
                         uint32_t to, uint64_t byte_count)
{
    struct weir_checkpoint_segment segment = {(uint64_t)from * PER_BATCH, byte_count, 1000 + (int64_t)to - 1, 5};
    struct weir_checkpoint_partition entry = {.topic = *topic,
                                              .partition = partition,
                                              .segment_count = 1,
                                              .start_offset = segment.base_offset,
                                              .end_offset = (uint64_t)to * PER_BATCH,
                                              .segments = &segment};
    weir_checkpoint_add_partition(writer, &entry);
}

/* ---- What came of it ---- */

static inline const struct weir_data_partition *partition_of(const struct place *place, const struct weir_log_id *topic,
                                                             uint32_t number)
{
    for (const struct weir_data_partition *at = place->data->partitions; at != NULL; at = at->next)
        if (at->partition == number && memcmp(&at->topic, topic, sizeof(*topic)) == 0)
            return at;
    return NULL;
}

static inline const struct weir_data_row *row_of(const struct place *place, uint32_t table, const char *key)
{
    for (const struct weir_data_row *row = place->data->rows; row != NULL; row = row->next)
        if (row->table == table && row->key_bytes == strlen(key) && memcmp(row->bytes, key, row->key_bytes) == 0)
            return row;
    return NULL;
}

static inline uint64_t hash_file(const struct place *place, const char *path)
{
    const struct weir_sim_inode *inode = weir_sim_inode_find(place->sim->hosts[0].disk, path);
    assert_non_null(inode);
    return weir_hash_bytes(inode->now.bytes, inode->now.size, 3);
}

/* Everything but times, as one number that does not depend on any order: offsets, segments with their files' bytes, rows. */
static inline uint64_t hash_data(const struct place *place)
{
    uint64_t sum = 0;
    for (const struct weir_data_partition *at = place->data->partitions; at != NULL; at = at->next) {
        uint64_t hash = weir_hash_bytes(at->topic.bytes, 16, at->partition);
        hash = weir_hash_u64(at->start_offset, hash);
        hash = weir_hash_u64(at->end_offset, hash);
        hash = weir_hash_bytes(at->state, at->state_bytes, hash);
        for (uint32_t i = 0; i < at->segment_count; i++) {
            hash = weir_hash_u64(at->segments[i].base_offset, hash);
            hash = weir_hash_u64(at->segments[i].byte_count, hash);
            hash = weir_hash_u64((uint64_t)at->segments[i].timestamp_ms, hash);
            hash ^= hash_file(place, segment_path(&at->topic, at->partition, at->segments[i].base_offset, ".log"));
        }
        sum += weir_hash_u64(hash, 1);
    }
    for (const struct weir_data_row *row = place->data->rows; row != NULL; row = row->next)
        sum += weir_hash_bytes(row->bytes, row->key_bytes + row->value_bytes, row->version * 31 + row->table);
    return sum;
}

#endif
