/*
 * log/journal.h - one reactor's synced journal: what a turn appends is one write, and then it is durable.
 *
 *     append ... append          -> the frame being filled           (memory, in order)
 *     no write under way         -> it is written with one durable write; the next one begins to fill
 *     the write returns          -> done(0) of everything in it, in order
 *     the write fails            -> done(error) of it and of all that follows; the journal is dead for this run
 *
 * At most one write is under way; so a busy journal commits in groups and an idle one at once. The first append of a turn arms a
 * hook, the write starts at the end of that turn.
 *
 * Extents are prepared ahead by blocking jobs. An extent is free again when weir_journal_release says that a checkpoint
 * covers it. While none is free, appends wait: weir_journal_full.
 *
 * Own thread only. Proof: tests/log/journal_test.c, tests/log/crash_sim.c.
 */
#ifndef WEIR_LOG_JOURNAL_H
#define WEIR_LOG_JOURNAL_H

#include "base/list.h"
#include "log/frame.h"
#include "runtime/disk.h"
#include "runtime/reactor.h"

struct weir_journal;

struct weir_journal_options {
    const char *folder; /* DATA/journal; kept */
    struct weir_log_id node;
    uint64_t run;
    uint32_t journal;
    uint64_t extent_bytes;     /* 0: 16 MiB */
    uint32_t extents_max;      /* 0: 8: at most 128 MiB on the disk */
    uint64_t pending_bytes_max; /* appended and not yet written; above it the journal is full. 0: 32 MiB */
};

/* Something that waits for its entry to be durable; the caller's until `done`. */
struct weir_commit {
    struct weir_list node;
    void (*done)(struct weir_commit *commit, int result); /* 0, or why it is not durable: -EIO, -ENOSPC, -ESHUTDOWN */
};

struct weir_journal_counters {
    uint64_t frames, entries, entry_bytes, written_bytes; /* written_bytes: with heads and padding */
    uint64_t write_ns_total, write_ns_max;
    uint64_t extents_made, extents_recycled, full;
};

/* free_extents: paths of files of extent_bytes from an earlier run that may be written over; taken over. */
int weir_journal_open(struct weir_reactor *reactor, const struct weir_journal_options *options,
                      char **free_extents, uint32_t free_extent_count, struct weir_journal **journal_out);
void weir_journal_close(struct weir_journal *journal); /* nothing may be under way: see weir_journal_idle */

/*
 * Append an entry; its body is copied. `commit` may be NULL, else its done is called from a later turn, in the order of appends.
 * Returns 0; -EAGAIN: full (weir_journal_full was true); -EIO, -ENOSPC: dead, or out of space; -EFBIG: more than an
 * extent holds; -ENOMEM. Nothing was appended then, and done is not called.
 */
int weir_journal_append(struct weir_journal *journal, const struct weir_entry *entry, struct weir_commit *commit);
bool weir_journal_full(const struct weir_journal *journal);
bool weir_journal_idle(const struct weir_journal *journal); /* nothing is filling or being written */
int weir_journal_error(const struct weir_journal *journal); /* 0, or why it takes nothing more */
/* Called, once each time, when a full journal is not full any more, and when it fails. */
void weir_journal_on_room(struct weir_journal *journal, void (*fn)(void *context), void *context);

/* The sequence that the next frame to be filled will have: what is appended from now on is in it or later. */
uint64_t weir_journal_next_sequence(const struct weir_journal *journal);
/* A synced checkpoint covers every frame before `sequence`. */
void weir_journal_release(struct weir_journal *journal, uint64_t sequence);
/* Bytes of frames since the last release: when a checkpoint is worth it. */
uint64_t weir_journal_unreleased_bytes(const struct weir_journal *journal);
const struct weir_journal_counters *weir_journal_counters(const struct weir_journal *journal);

/* ---- Reading back (blocking, before any reactor runs): log/journal_read.c ---- */

struct weir_journal_report {
    uint64_t frames, entries, bytes;
    uint64_t last_sequence;   /* 0: none */
    uint64_t cut_bytes;       /* what looked begun behind the last valid frame */
    char cut_why[96];
};
/* Call `fn` for each entry of run and journal from `first_sequence` on, in order; a negative result of it ends the reading and is
 * returned. `entry` and its body are gone when fn returns. -EPROTO: an unknown type. */
int weir_journal_read(struct weir_disk *disk, const char *folder, struct weir_log_id node, uint64_t run, uint32_t journal,
                      uint64_t first_sequence, int (*fn)(void *context, const struct weir_entry *entry), void *context,
                      struct weir_journal_report *report_out);

#endif
