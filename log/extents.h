/*
 * log/extents.h - the files a journal writes over: made ahead of need, one at a time, and used again.
 *
 *     a new name --open--> a file --zeros, in pieces--> its name synced --> ready --take--> the journal's
 *       ^                                                                     ^                  |
 *     none is free, and there are fewer than the most                         +----- free <-give-+
 *
 *     a file of an earlier run --rename--> a new name ... the same
 *
 * A ready extent has `room` bytes that have been written before and are on the medium, and a name that is; so a durable write
 * into it moves no metadata, finds its blocks even on a full disk, and is found again. Nothing here blocks: it is done by
 * operations of the reactor's io, and one blocking job. What has no room on the disk is tried again every second.
 *
 * The very first extent of a directory begins small, so that the first frame does not wait for 16 MiB of zeros but for one write of
 * them; it gets the rest before its second use.
 *
 * The reactor's thread only. Proof: tests/log/journal_test.c, tests/log/journal_sim.c.
 */
#ifndef WEIR_LOG_EXTENTS_H
#define WEIR_LOG_EXTENTS_H

#include <sys/uio.h>
#include <weir/timer.h>

#include "log/journal.h"

enum {
    WEIR_EXTENT_ZEROS = 64, /* blocks of zeros in one write: what a commit may have to wait behind */
    WEIR_EXTENT_FIRST_BYTES = WEIR_EXTENT_ZEROS * WEIR_FRAME_ALIGN,
};

struct weir_extent {
    struct weir_list node;
    int fd;        /* -1: not open */
    bool is_new;   /* made by this run and not used yet */
    bool exists;   /* there is a file of this name */
    bool is_ours;  /* and it was given by this run */
    bool is_named; /* its name is on the medium */
    uint64_t room; /* bytes from the start that have been written */
    /* The journal's while it has the extent. */
    uint32_t salt;
    uint64_t number;
    uint64_t first_sequence;
    uint64_t end_sequence; /* behind its last frame */
    uint64_t used;         /* bytes */
    char *path;
};

enum weir_extents_step {
    WEIR_EXTENTS_IDLE,
    WEIR_EXTENTS_OPENING_FOLDER,
    WEIR_EXTENTS_RENAMING,
    WEIR_EXTENTS_OPENING,
    WEIR_EXTENTS_WRITING,
    WEIR_EXTENTS_SYNCING,
};

struct weir_extents {
    struct weir_reactor *reactor;
    char *folder;
    uint64_t run;
    uint32_t journal;
    uint64_t extent_bytes;
    uint32_t extents_max;
    uint32_t count;        /* files there are */
    uint32_t name_next;
    int folder_fd;
    int error;             /* what ended it; for ever */
    int space_error;       /* why none could be made just now; 0 once one is ready */
    bool begins;           /* the first is not ready yet */
    bool buffered;         /* O_DIRECT is refused here */
    bool stopped;
    struct weir_list free;
    struct weir_extent *ready;
    struct weir_extent *making; /* in a step */
    uint64_t target_bytes;      /* room that `making` shall have */
    enum weir_extents_step step;
    char *new_path; /* RENAMING: a pool thread has this, `disk`, the path of `making`, and the result */
    struct weir_disk *disk;
    int rename_result;
    struct weir_io_op op;
    struct iovec iov[WEIR_EXTENT_ZEROS];
    struct weir_timer retry;
    bool waits; /* for `retry` */
    /* One is ready, or there is news in error and space_error; after a stop: an operation is over, so a close may go on. */
    void (*changed)(struct weir_extents *extents);
};

/* Options with defaults filled in. Begins to make the first. -ENOMEM. */
int weir_extents_open(struct weir_extents *extents, struct weir_reactor *reactor, const struct weir_journal_options *options,
                      char *const *free_paths, uint32_t free_path_count, void (*changed)(struct weir_extents *extents));
/* Make one ready, if none is. */
void weir_extents_want(struct weir_extents *extents);
/* One with at least `room` bytes, or NULL: `changed` will come. room: up to extent_bytes. */
struct weir_extent *weir_extents_take(struct weir_extents *extents, uint64_t room);
/* Nothing in it is needed any more. Who waits for one takes again. */
void weir_extents_give(struct weir_extents *extents, struct weir_extent *extent);
static inline bool weir_extents_busy(const struct weir_extents *extents)
{
    return extents->step != WEIR_EXTENTS_IDLE;
}
void weir_extents_stop(struct weir_extents *extents); /* make no more; what is under way ends by itself */
/* Stopped, or never opened, and not busy; what was taken has been given back. */
void weir_extents_close(struct weir_extents *extents);

#endif
