/*
 * tests/log/journal_fixture.h - a journal in a folder of its own, on a real runtime, and what was appended to it.
 */
#ifndef WEIR_TESTS_JOURNAL_FIXTURE_H
#define WEIR_TESTS_JOURNAL_FIXTURE_H

#include <dirent.h>
#include <sys/stat.h>

#include "tests/runtime/live_fixture.h"

#include "log/journal.h"

enum { NOTES_MAX = 20000 };

struct box;

struct note { /* of one entry */
    struct weir_commit commit;
    struct box *box;
    uint32_t body_bytes;
    uint64_t sequence;
    int result; /* 1: not told yet */
};

struct box {
    struct live live;
    struct weir_journal *journal;
    struct weir_journal_options options;
    char folder[64];
    struct note *notes;
    uint32_t count;
    uint32_t told;
    uint32_t rooms; /* on_room calls */
    bool appending; /* a call is being made */
    uint32_t read;  /* entries handed over */
    int stop_at;    /* the reader's callback fails there; -1: never */
};

static const struct weir_log_id box_node = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static inline void on_box_room(void *context)
{
    struct box *box = context;
    box->rooms++;
}

static inline void open_journal(struct box *box, char **free_extents, uint32_t free_count)
{
    assert_int_equal(weir_journal_open(box->live.reactor, &box->options, free_extents, free_count, &box->journal), 0);
    weir_journal_on_room(box->journal, on_box_room, box);
}

/* options: extent_bytes and maxima; the rest is filled in. */
static inline void open_box(struct box *box, void **state, struct weir_journal_options options)
{
    memset(box, 0, sizeof *box);
    open_live(&box->live, state, 1);
    box->notes = calloc(NOTES_MAX, sizeof *box->notes);
    box->stop_at = -1;
    snprintf(box->folder, sizeof box->folder, "/tmp/weir-journal-test-XXXXXX");
    assert_non_null(box->notes);
    assert_non_null(mkdtemp(box->folder));
    box->options = options;
    box->options.folder = box->folder;
    box->options.node = box_node;
    box->options.run = 7;
    box->options.journal = 2;
    open_journal(box, NULL, 0);
}

static inline void on_box_done(struct weir_commit *commit, int result)
{
    struct note *note = WEIR_CONTAINER(commit, struct note, commit);
    struct box *box = note->box;
    assert_false(box->appending);
    assert_ptr_equal(note, &box->notes[box->told]); /* in order */
    assert_int_equal(note->result, 1);
    note->result = result;
    box->told++;
}

static inline int append(struct box *box, uint32_t body_bytes)
{
    static uint8_t body[1 << 22];
    struct note *note = &box->notes[box->count];
    assert_true(body_bytes <= sizeof body && box->count < NOTES_MAX);
    fill_bytes(body, body_bytes, box->count * 977ull);
    *note = (struct note){.commit = {.done = on_box_done}, .box = box, .body_bytes = body_bytes, .result = 1};
    struct weir_entry entry = {.type = WEIR_ENTRY_BATCH, .place = box->count, .number = box->count, .body = body,
                               .body_bytes = body_bytes};
    box->appending = true;
    int result = weir_journal_append(box->journal, &entry, &note->commit);
    box->appending = false;
    if (result == 0) {
        note->sequence = weir_journal_next_sequence(box->journal);
        box->count++;
    }
    return result;
}

static inline void append_and_wait(struct box *box, uint32_t body_bytes)
{
    assert_int_equal(append(box, body_bytes), 0);
    TURN_UNTIL(&box->live, box->told == box->count);
}

static inline int on_box_entry(void *context, const struct weir_entry *entry)
{
    struct box *box = context;
    if (box->stop_at >= 0 && box->read == (uint32_t)box->stop_at)
        return -ECANCELED;
    assert_true(box->read < box->count);
    assert_int_equal(entry->place, box->read);
    assert_int_equal(entry->body_bytes, box->notes[box->read].body_bytes);
    assert_true(bytes_are(entry->body, entry->body_bytes, box->read * 977ull));
    box->read++;
    return 0;
}

/* Entries from frame `first` on; box->read is behind the last that was handed over. */
static inline int read_box(struct box *box, uint64_t first, struct weir_journal_report *report_out)
{
    box->read = 0;
    while (box->read < box->count && box->notes[box->read].sequence < first)
        box->read++;
    return weir_journal_read(weir_disk_system(), box->folder, box_node, box->options.run, box->options.journal, first,
                             on_box_entry, box, report_out);
}

static inline void read_box_whole(struct box *box)
{
    struct weir_journal_report report;
    assert_int_equal(read_box(box, 1, &report), 0);
    assert_int_equal(box->read, box->count);
    assert_int_equal(report.entries, box->count);
    assert_int_equal(report.cut_bytes, 0);
}

static inline uint32_t each_file(struct box *box, void (*fn)(const char *path))
{
    DIR *directory = opendir(box->folder);
    uint32_t count = 0;
    assert_non_null(directory);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char path[512];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", box->folder, entry->d_name);
        if (fn)
            fn(path);
        count++;
    }
    closedir(directory);
    return count;
}

static inline void remove_path(const char *path)
{
    assert_int_equal(remove(path), 0);
}

static inline void close_journal(struct box *box)
{
    weir_journal_close(box->journal);
    box->journal = NULL;
    TURN_UNTIL(&box->live, box->told == box->count);
    turn_a_while(&box->live);
}

static inline void close_box(struct box *box)
{
    if (box->journal)
        close_journal(box);
    close_live(&box->live);
    each_file(box, remove_path);
    assert_int_equal(rmdir(box->folder), 0);
    free(box->notes);
}

#endif
