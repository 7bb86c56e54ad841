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
 * Extents are made ahead of need, in the background (log/extents.h), from the first append on. An extent is free again when
 * weir_journal_release says that a checkpoint covers it. While none is free, appends wait in memory until the journal is full:
 * weir_journal_full.
 *
 * Own thread only. Proof: tests/log/journal_test.c, tests/log/journal_sim.c, tests/log/crash_sim.c.
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
    /* 0, or why it is not durable (nobody knows then, until the journal is read back): -EIO ..., -ESHUTDOWN. May append and release,
     * and close the journal. */
    void (*done)(struct weir_commit *commit, int result);
};

struct weir_journal_counters {
    uint64_t frames, entries, entry_bytes, written_bytes; /* written_bytes: with heads and padding */
    uint64_t write_ns_total, write_ns_max;
    uint64_t extents_made, extents_recycled, full;
};

/*
 * folder          exists; no other journal of this run and number writes in it
 * free_extents    paths of files in it, from earlier runs, that may be written over; the strings stay the caller's. More than
 *                 extents_max: the rest is removed. One that is shorter than extent_bytes is filled up first
 * Takes appends at once; the first is written when the first extent is ready, which no call waits for.
 * Returns 0; -ENOMEM; -EINVAL: extent_bytes is no multiple of 4,096 from 16 KiB to 1 GiB, or extents_max is 1
 */
int weir_journal_open(struct weir_reactor *reactor, const struct weir_journal_options *options,
                      char **free_extents, uint32_t free_extent_count, struct weir_journal **journal_out);
/* What is not being written yet is told -ESHUTDOWN at once, what is being written hears its own end; then everything is freed. Not
 * from on_room. The reactor has not ended, or nothing is under way (in on_stop that is so: a stop waits). NULL: nothing. */
void weir_journal_close(struct weir_journal *journal);

/*
 * Append an entry; its body is copied. `commit` may be NULL, else its done is called from a later turn, in the order of appends.
 * Returns 0; -EAGAIN: full (weir_journal_full was true); weir_journal_error: dead, or out of space just now, but START, REMOVE and
 * DROP are taken for as long as the current extent has room; -EFBIG: more than an extent holds; -ENOMEM. Nothing was appended
 * then, and done is not called.
 */
int weir_journal_append(struct weir_journal *journal, const struct weir_entry *entry, struct weir_commit *commit);
bool weir_journal_full(const struct weir_journal *journal);
bool weir_journal_idle(const struct weir_journal *journal); /* nothing that was appended waits or is being written */
/* 0; why it is dead, for ever (-EIO ...); or -ENOSPC: an extent could not be made for lack of space (or of descriptors, or memory), and is
 * tried again every second: what was appended waits for that, and nothing of it is lost. */
int weir_journal_error(const struct weir_journal *journal);
/* Called, once each time, when a full journal is not full any more, and when weir_journal_error has changed. */
void weir_journal_on_room(struct weir_journal *journal, void (*fn)(void *context), void *context);

/* The sequence that the next frame to be filled will have: what is appended from now on is in it or later. */
uint64_t weir_journal_next_sequence(const struct weir_journal *journal);
/* A synced checkpoint covers every frame before `sequence`: extents wholly before it may be written over from now on. */
void weir_journal_release(struct weir_journal *journal, uint64_t sequence);
/* Bytes of frames since the last release: when a checkpoint is worth it. An extent released in part counts on average; 0 is exact. */
uint64_t weir_journal_unreleased_bytes(const struct weir_journal *journal);
const struct weir_journal_counters *weir_journal_counters(const struct weir_journal *journal);

/* ---- Reading back (blocking, before any reactor runs): log/journal_read.c ---- */

struct weir_journal_report {
    uint64_t frames, entries, bytes;
    uint64_t last_sequence;   /* 0: none */
    uint64_t cut_bytes;       /* what looked begun behind the last valid frame */
    char cut_why[96];
};
/*
 * Call `fn` for each entry of run and journal from frame `first_sequence` on (0 is as 1), in order; a negative result of it ends the
 * reading and is returned. `entry` and its body are gone when fn returns.
 * Returns 0: to the end, which may be torn (cut_bytes, cut_why), or there is nothing; -EPROTO: an unknown type; -EBADMSG: a frame
 * that had been acknowledged is damaged or gone, since there is a later one, or what stands there contradicts itself (cut_why says
 * what; fn has been called for all before it); what the disk says: -EIO, -ENOENT (no folder) ...; -ENOMEM
 */
int weir_journal_read(struct weir_disk *disk, const char *folder, struct weir_log_id node, uint64_t run, uint32_t journal,
                      uint64_t first_sequence, int (*fn)(void *context, const struct weir_entry *entry), void *context,
                      struct weir_journal_report *report_out);

#endif
