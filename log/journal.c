/*
 * log/journal.c - appends, frames, and the one write that makes a frame durable.
 *
 *     frames:  [being written]   [sealed] ... [sealed] [filling]      each a buffer; an entry is copied once, into its frame
 *     extents: [live] ... [live] [current]       free, ready ...      log/extents.c
 *
 * A frame's buffer begins with a block in which the header of an extent is written when the frame is the first of one: header and
 * frame are one write. A frame is sealed when it is written, or when the next entry does not fit; how many wait is
 * bounded by pending_bytes_max. The head, the checksum and the padding are done when the write starts, at the end of a turn.
 *
 * Order of ends: the write's own commits, in order; nothing of a later frame can be told before. A failed or short write
 * ends the journal: the frame's commits and all that wait get the error, in order, and nothing is written again, because after a
 * failed sync nobody knows what the medium has.
 *
 * Proof: tests/log/journal_test.c, tests/log/journal_sim.c; tests/log/journal_mutate.py breaks it on purpose.
 */
#include "log/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log/extents.h"

enum {
    EXTENT_BYTES_DEFAULT = 16 << 20,
    EXTENT_BLOCKS_MIN = 4,
    EXTENTS_MAX_DEFAULT = 8,
    PENDING_BYTES_DEFAULT = 32 << 20,
    FRAME_BYTES = 17 << 16, /* a frame takes no further entries beyond: what a flush costs grows little up to here */
    FRAMES_KEPT = 4,       /* buffers for the next frames; memory that was never touched costs nothing */
};

struct frame {
    struct weir_list node;
    struct weir_list commits;
    uint8_t *memory; /* a block for the header of an extent, then the frame; page-aligned */
    uint64_t room;   /* for entries */
    uint64_t sequence;
    uint32_t entry_bytes;
    uint32_t entry_count;
};

struct weir_journal {
    struct weir_reactor *reactor;
    struct weir_journal_options options; /* defaults filled in; folder is the extents' */
    struct weir_turn_hook hook;
    struct frame *filling;    /* the last of `frames`, or NULL */
    struct frame *writing;
    struct weir_list frames;  /* to be written, oldest first */
    struct weir_list kept;    /* free frames */
    uint32_t kept_count;
    uint64_t frame_room;      /* of an ordinary frame */
    uint64_t entry_bytes_max;
    uint64_t pending_bytes;   /* of entries, waiting or being written */
    uint64_t sequence_next;   /* of the next frame to begin */
    uint64_t number_next;     /* of the next extent to begin */
    uint64_t released;        /* frames before are covered */
    struct weir_list live;    /* extents in use, oldest first */
    struct weir_extent *current; /* the last of them */
    struct weir_extents extents;
    struct weir_io_op op;     /* of `writing` */
    struct iovec iov;
    uint64_t write_from_ns;
    int error;                /* dead */
    uint64_t error_turn;      /* when it died: waiting commits are told in a later turn */
    bool refusing;            /* `error`, `full` or `lacking`: an append has to look closer */
    bool full;
    bool lacking;             /* extents could not be made, and none is ready */
    bool closing;
    uint32_t holds;           /* calls out of here under way */
    void (*on_room)(void *context);
    void *on_room_context;
    struct weir_journal_counters counters;
};

/* ---- Telling ---- */

static bool is_over(const struct weir_journal *journal)
{
    return journal->closing && journal->holds == 0 && !journal->writing && !weir_extents_busy(&journal->extents);
}

static void free_frames(struct weir_list *frames)
{
    for (struct weir_list *node; (node = weir_list_pop_front(frames)) != NULL;) {
        struct frame *frame = WEIR_CONTAINER(node, struct frame, node);
        free(frame->memory);
        free(frame);
    }
}

static void free_journal(struct weir_journal *journal)
{
    for (struct weir_list *node; (node = weir_list_pop_front(&journal->live)) != NULL;)
        weir_extents_give(&journal->extents, WEIR_CONTAINER(node, struct weir_extent, node));
    weir_extents_close(&journal->extents);
    free_frames(&journal->frames);
    free_frames(&journal->kept);
    free(journal);
}

static void hold(struct weir_journal *journal)
{
    journal->holds++;
}

static void let_go(struct weir_journal *journal)
{
    journal->holds--;
    if (is_over(journal))
        free_journal(journal);
}

static void tell_room(struct weir_journal *journal)
{
    if (journal->on_room && !journal->closing)
        journal->on_room(journal->on_room_context);
}

/* Callers hold the journal. */
static void tell_commits(struct weir_list *commits, int result)
{
    for (struct weir_list *node; (node = weir_list_pop_front(commits)) != NULL;) {
        struct weir_commit *commit = WEIR_CONTAINER(node, struct weir_commit, node);
        commit->done(commit, result);
    }
}

static void weigh(struct weir_journal *journal)
{
    journal->refusing = journal->error < 0 || journal->full || journal->lacking;
}

static void die(struct weir_journal *journal, int error)
{
    if (journal->error < 0)
        return;
    journal->error = error;
    journal->error_turn = journal->reactor->counters.turns;
    weigh(journal);
    weir_reactor_log(journal->reactor, WEIR_LOG_ERROR, "msg=\"the journal takes nothing more\" journal=%u error=\"%s\"",
                     journal->options.journal, strerrordesc_np(-error));
    weir_reactor_arm_hook(journal->reactor, &journal->hook);
    tell_room(journal);
}

/* ---- Frames ---- */

static struct frame *new_frame(uint64_t room)
{
    struct frame *frame = calloc(1, sizeof *frame);
    uint8_t *memory = frame ? aligned_alloc(WEIR_FRAME_ALIGN, WEIR_FRAME_ALIGN + weir_frame_bytes(room)) : NULL;
    if (!memory) {
        free(frame);
        return NULL;
    }
    frame->memory = memory;
    frame->room = room;
    weir_list_init(&frame->node);
    weir_list_init(&frame->commits);
    return frame;
}

/* A frame to fill, with room for an entry of so many bytes. */
static struct frame *begin_frame(struct weir_journal *journal, uint64_t entry_bytes)
{
    struct frame *frame = NULL;
    if (entry_bytes > journal->frame_room) {
        frame = new_frame(entry_bytes);
    } else if (journal->kept_count > 0) {
        frame = WEIR_CONTAINER(weir_list_pop_front(&journal->kept), struct frame, node);
        journal->kept_count--;
    } else {
        frame = new_frame(journal->frame_room);
    }
    if (!frame)
        return NULL;
    frame->entry_bytes = 0;
    frame->entry_count = 0;
    frame->sequence = journal->sequence_next++;
    weir_list_push_back(&journal->frames, &frame->node);
    journal->filling = frame;
    return frame;
}

static void drop_frame(struct weir_journal *journal, struct frame *frame)
{
    WEIR_ASSERT(weir_list_empty(&frame->commits));
    if (frame->room == journal->frame_room && journal->kept_count < FRAMES_KEPT) {
        weir_list_push_front(&journal->kept, &frame->node);
        journal->kept_count++;
        return;
    }
    free(frame->memory);
    free(frame);
}

/* A frame is over, and not under way any more: its commits hear of it. */
static void end_frame(struct weir_journal *journal, struct frame *frame, int result)
{
    struct weir_list commits;
    weir_list_init(&commits);
    weir_list_splice_back(&commits, &frame->commits);
    journal->pending_bytes -= frame->entry_bytes;
    drop_frame(journal, frame);
    tell_commits(&commits, result);
}

static void end_waiting(struct weir_journal *journal, int result)
{
    journal->filling = NULL;
    for (struct weir_list *node; (node = weir_list_pop_front(&journal->frames)) != NULL;)
        end_frame(journal, WEIR_CONTAINER(node, struct frame, node), result);
}

/* ---- Writing ---- */

/* The current extent has room for the frame, or becomes one that has. False: none is ready; extents_changed will come. */
static bool ensure_extent(struct weir_journal *journal, const struct frame *frame, uint64_t frame_bytes)
{
    if (journal->current && journal->current->used + frame_bytes <= journal->current->room)
        return true;
    struct weir_extent *next = weir_extents_take(&journal->extents, WEIR_FRAME_ALIGN + frame_bytes);
    if (!next)
        return false;
    if (next->is_new)
        journal->counters.extents_made++;
    else
        journal->counters.extents_recycled++;
    next->salt = (uint32_t)weir_io_random(journal->reactor->io);
    next->number = journal->number_next++;
    next->first_sequence = next->end_sequence = frame->sequence;
    next->used = 0;
    weir_list_push_back(&journal->live, &next->node);
    journal->current = next;
    return true;
}

/* Head, checksum and padding; and the extent's header before it, when it is the first. */
static void seal(struct weir_journal *journal, struct frame *frame, uint64_t frame_bytes)
{
    const struct weir_extent *extent = journal->current;
    const struct weir_extent_head head = {.node = journal->options.node,
                                          .run = journal->options.run,
                                          .journal = journal->options.journal,
                                          .salt = extent->salt,
                                          .number = extent->number,
                                          .first_sequence = extent->first_sequence};
    uint8_t *bytes = frame->memory + WEIR_FRAME_ALIGN;
    uint64_t end = WEIR_FRAME_HEAD_BYTES + (uint64_t)frame->entry_bytes;
    weir_frame_write(bytes, &head, &(struct weir_frame_head){frame->sequence, frame->entry_bytes, frame->entry_count});
    memset(bytes + end, 0, frame_bytes - end);
    journal->iov = (struct iovec){bytes, frame_bytes};
    if (extent->used > 0)
        return;
    memset(frame->memory, 0, WEIR_FRAME_ALIGN);
    weir_extent_write(frame->memory, &head);
    journal->iov = (struct iovec){frame->memory, WEIR_FRAME_ALIGN + frame_bytes};
}

static void on_written(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more);

/* If nothing is being written, write the oldest frame. */
static void write_next(struct weir_journal *journal)
{
    if (journal->writing || weir_list_empty(&journal->frames))
        return;
    struct frame *frame = WEIR_CONTAINER(journal->frames.next, struct frame, node);
    uint64_t frame_bytes = weir_frame_bytes(frame->entry_bytes);
    if (!ensure_extent(journal, frame, frame_bytes))
        return;
    seal(journal, frame, frame_bytes);
    if (journal->filling == frame)
        journal->filling = NULL;
    journal->op = (struct weir_io_op){.kind = WEIR_IO_WRITE, .fd = journal->current->fd, .done = on_written, .durable = true};
    journal->op.iov = &journal->iov;
    journal->op.iov_count = 1;
    journal->op.offset = journal->current->used;
    journal->write_from_ns = weir_io_now_ns(journal->reactor->io);
    if (weir_io_start(journal->reactor->io, &journal->op) < 0) { /* no slot just now: the next turn tries again */
        weir_reactor_arm_hook(journal->reactor, &journal->hook);
        return;
    }
    journal->reactor->file_ops++;
    weir_list_remove(&frame->node);
    journal->writing = frame;
    weir_extents_want(&journal->extents); /* one ahead */
}

static void count_write(struct weir_journal *journal, const struct frame *frame)
{
    uint64_t took_ns = journal->reactor->now_ns - journal->write_from_ns;
    struct weir_journal_counters *counters = &journal->counters;
    counters->frames++;
    counters->entries += frame->entry_count;
    counters->entry_bytes += frame->entry_bytes;
    counters->written_bytes += journal->iov.iov_len;
    counters->write_ns_total += took_ns;
    if (took_ns > counters->write_ns_max)
        counters->write_ns_max = took_ns;
    journal->current->used += journal->iov.iov_len;
    journal->current->end_sequence = frame->sequence + 1;
}

static void on_written(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    (void)data;
    (void)more;
    struct weir_journal *journal = WEIR_CONTAINER(op, struct weir_journal, op);
    struct frame *frame = journal->writing;
    hold(journal);
    journal->reactor->file_ops--;
    journal->writing = NULL;
    bool whole = result >= 0 && (size_t)result == journal->iov.iov_len;
    if (whole)
        count_write(journal, frame);
    else
        die(journal, result < 0 ? result : -EIO);
    if (!weir_list_empty(&journal->frames) && !journal->closing)
        weir_reactor_arm_hook(journal->reactor, &journal->hook);
    end_frame(journal, frame, whole ? 0 : result < 0 ? result : -EIO);
    if (journal->closing)
        end_waiting(journal, journal->error);
    if (journal->full && journal->pending_bytes <= journal->options.pending_bytes_max / 2) {
        journal->full = false;
        weigh(journal);
        tell_room(journal);
    }
    let_go(journal);
}

static void on_turn_end(struct weir_reactor *reactor, struct weir_turn_hook *hook)
{
    struct weir_journal *journal = WEIR_CONTAINER(hook, struct weir_journal, hook);
    if (journal->error == 0) {
        write_next(journal);
        return;
    }
    if (journal->writing) /* it may still succeed: whatever comes of it is told first */
        return;
    if (reactor->counters.turns == journal->error_turn) {
        weir_reactor_arm_hook(reactor, hook);
        return;
    }
    hold(journal);
    end_waiting(journal, journal->error);
    let_go(journal);
}

static void extents_changed(struct weir_extents *extents)
{
    struct weir_journal *journal = WEIR_CONTAINER(extents, struct weir_journal, extents);
    hold(journal);
    bool lacked = journal->lacking;
    journal->lacking = extents->space_error < 0;
    weigh(journal);
    if (!journal->closing)
        weir_reactor_arm_hook(journal->reactor, &journal->hook);
    if (extents->error < 0)
        die(journal, extents->error);
    else if (lacked != journal->lacking)
        tell_room(journal);
    let_go(journal);
}

/* ---- Appending ---- */

static bool fits_in_current(const struct weir_journal *journal, uint32_t entry_bytes)
{
    if (!journal->current)
        return false;
    uint64_t bytes = journal->current->used + weir_frame_bytes(entry_bytes);
    if (journal->writing)
        bytes += journal->iov.iov_len;
    WEIR_LIST_EACH(node, &journal->frames)
        bytes += weir_frame_bytes(WEIR_CONTAINER(node, struct frame, node)->entry_bytes);
    return bytes <= journal->current->room;
}

/* What takes no room elsewhere on the disk, and may well give some back. */
static bool frees_space(uint16_t type)
{
    return type == WEIR_ENTRY_START || type == WEIR_ENTRY_REMOVE || type == WEIR_ENTRY_DROP;
}

static int look_closer(const struct weir_journal *journal, uint16_t type, uint32_t entry_bytes)
{
    if (journal->error < 0)
        return journal->error;
    if (journal->full)
        return -EAGAIN;
    return frees_space(type) && fits_in_current(journal, entry_bytes) ? 0 : -ENOSPC;
}

static void copy_entry(struct frame *frame, const struct weir_entry *entry, uint32_t entry_bytes)
{
    uint8_t *at = frame->memory + WEIR_FRAME_ALIGN + WEIR_FRAME_HEAD_BYTES + frame->entry_bytes;
    memset(at + entry_bytes - 8, 0, 8); /* what the body leaves of its last word */
    weir_entry_write(at, entry);
    if (entry->body_bytes > 0)
        memcpy(at + WEIR_ENTRY_HEAD_BYTES, entry->body, entry->body_bytes);
    frame->entry_bytes += entry_bytes;
    frame->entry_count++;
}

int weir_journal_append(struct weir_journal *journal, const struct weir_entry *entry, struct weir_commit *commit)
{
    if (entry->body_bytes > journal->entry_bytes_max)
        return -EFBIG;
    uint32_t entry_bytes = weir_entry_bytes(entry->body_bytes);
    if (entry_bytes > journal->entry_bytes_max)
        return -EFBIG;
    if (journal->refusing) {
        int result = look_closer(journal, entry->type, entry_bytes);
        if (result < 0)
            return result;
    }
    struct frame *frame = journal->filling;
    if (!frame || frame->entry_bytes + (uint64_t)entry_bytes > frame->room) {
        frame = begin_frame(journal, entry_bytes);
        if (!frame)
            return -ENOMEM;
    }
    copy_entry(frame, entry, entry_bytes);
    if (commit)
        weir_list_push_back(&frame->commits, &commit->node);
    journal->pending_bytes += entry_bytes;
    if (journal->pending_bytes >= journal->options.pending_bytes_max) {
        journal->counters.full += !journal->full;
        journal->full = true;
        weigh(journal);
    }
    weir_reactor_arm_hook(journal->reactor, &journal->hook);
    return 0;
}

bool weir_journal_full(const struct weir_journal *journal)
{
    return journal->full;
}

bool weir_journal_idle(const struct weir_journal *journal)
{
    return !journal->writing && weir_list_empty(&journal->frames);
}

int weir_journal_error(const struct weir_journal *journal)
{
    return journal->error < 0 ? journal->error : journal->lacking ? -ENOSPC : 0; /* whatever was lacking: the log says */
}

void weir_journal_on_room(struct weir_journal *journal, void (*fn)(void *context), void *context)
{
    journal->on_room = fn;
    journal->on_room_context = context;
}

const struct weir_journal_counters *weir_journal_counters(const struct weir_journal *journal)
{
    return &journal->counters;
}

/* ---- Releasing ---- */

uint64_t weir_journal_next_sequence(const struct weir_journal *journal)
{
    return journal->filling ? journal->filling->sequence : journal->sequence_next;
}

/* An extent whose successor begins at or before `sequence` holds nothing that is not covered. */
void weir_journal_release(struct weir_journal *journal, uint64_t sequence)
{
    WEIR_ASSERT(sequence <= journal->sequence_next);
    if (sequence > journal->released)
        journal->released = sequence;
    while (!weir_list_empty(&journal->live)) {
        struct weir_extent *oldest = WEIR_CONTAINER(journal->live.next, struct weir_extent, node);
        if (oldest == journal->current)
            break;
        if (WEIR_CONTAINER(oldest->node.next, struct weir_extent, node)->first_sequence > journal->released)
            break;
        weir_list_remove(&oldest->node);
        weir_extents_give(&journal->extents, oldest);
    }
    if (!weir_list_empty(&journal->frames)) { /* they may have waited for this */
        weir_extents_want(&journal->extents);
        weir_reactor_arm_hook(journal->reactor, &journal->hook);
    }
}

/* Of an extent that is covered in part, as much as its frames are on average. */
uint64_t weir_journal_unreleased_bytes(const struct weir_journal *journal)
{
    uint64_t bytes = 0;
    WEIR_LIST_EACH(node, &journal->live) {
        const struct weir_extent *extent = WEIR_CONTAINER(node, struct weir_extent, node);
        if (extent->end_sequence <= journal->released || extent->end_sequence == extent->first_sequence)
            continue; /* covered, or its first frame is still being written */
        uint64_t from = extent->first_sequence > journal->released ? extent->first_sequence : journal->released;
        uint64_t frames = extent->end_sequence - extent->first_sequence;
        bytes += (extent->used - WEIR_FRAME_ALIGN) * (extent->end_sequence - from) / frames;
    }
    return bytes;
}

/* ---- Opening and closing ---- */

static bool take_options(struct weir_journal *journal, const struct weir_journal_options *given)
{
    struct weir_journal_options *options = &journal->options;
    *options = *given;
    if (options->extent_bytes == 0)
        options->extent_bytes = EXTENT_BYTES_DEFAULT;
    if (options->extents_max == 0)
        options->extents_max = EXTENTS_MAX_DEFAULT;
    if (options->pending_bytes_max == 0)
        options->pending_bytes_max = PENDING_BYTES_DEFAULT;
    if (options->extent_bytes % WEIR_FRAME_ALIGN != 0 || options->extent_bytes < EXTENT_BLOCKS_MIN * WEIR_FRAME_ALIGN ||
        options->extent_bytes > WEIR_ENTRY_BODY_BYTES_MAX || options->extents_max < 2)
        return false;
    journal->entry_bytes_max = options->extent_bytes - WEIR_FRAME_ALIGN - WEIR_FRAME_HEAD_BYTES;
    uint64_t frame_bytes = options->extent_bytes / 4 < FRAME_BYTES ? options->extent_bytes / 4 : FRAME_BYTES;
    journal->frame_room = frame_bytes - WEIR_FRAME_HEAD_BYTES;
    return true;
}

int weir_journal_open(struct weir_reactor *reactor, const struct weir_journal_options *options,
                      char **free_extents, uint32_t free_extent_count, struct weir_journal **journal_out)
{
    struct weir_journal *journal = calloc(1, sizeof *journal);
    if (!journal)
        return -ENOMEM;
    if (!take_options(journal, options)) {
        free(journal);
        return -EINVAL;
    }
    journal->reactor = reactor;
    journal->sequence_next = 1;
    journal->hook.fn = on_turn_end;
    weir_list_init(&journal->hook.node);
    weir_list_init(&journal->frames);
    weir_list_init(&journal->kept);
    weir_list_init(&journal->live);
    int result = weir_extents_open(&journal->extents, reactor, &journal->options, free_extents, free_extent_count, extents_changed);
    if (result < 0) {
        free(journal);
        return result;
    }
    journal->options.folder = journal->extents.folder;
    *journal_out = journal;
    return 0;
}

void weir_journal_close(struct weir_journal *journal)
{
    if (!journal)
        return;
    WEIR_ASSERT(!journal->closing);
    journal->closing = true;
    if (journal->error == 0)
        journal->error = -ESHUTDOWN;
    weigh(journal);
    weir_list_remove(&journal->hook.node);
    weir_extents_stop(&journal->extents);
    hold(journal);
    if (!journal->writing)
        end_waiting(journal, journal->error);
    let_go(journal);
}
