/*
 * log/journal_read.c - reads a journal back: which of its extents there are, and the longest run of valid frames in them.
 *
 *   1. Of all files *.extent those whose header is valid and says this node, run and journal; in the order of their numbers.
 *   2. Begin with the last one that does not begin after the first sequence wanted.
 *   3. Frames one after the other, each one more than the one before. At the first that is not valid go on in the next extent, if that
 *      has the next number and begins with just this sequence; else this is the end.
 *   4. What lies beyond the end can only be what was being written. A write begins after the one before it was on the medium, so if there
 *      is anything valid and later beyond, then a frame that had been acknowledged is damaged: -EBADMSG, not a torn end.
 *
 * File sizes only bound what is read. Memory: the longest frame. Proof: tests/log/journal_test.c, tests/log/journal_sim.c.
 */
#include "log/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW_BYTES = 1 << 20 };

struct found { /* an extent of this journal */
    char *path;
    struct weir_extent_head head;
};

struct reading {
    struct weir_disk *disk;
    const char *folder;
    struct weir_log_id node;
    uint64_t run;
    uint32_t journal;
    uint64_t wanted; /* first sequence */
    int (*fn)(void *context, const struct weir_entry *entry);
    void *context;
    struct weir_journal_report *report;
    struct found *found;
    uint32_t found_count;
    uint32_t found_room;
    int error; /* while listing */
    /* Where we are: an open extent, and the part of it that is in memory. */
    const struct found *extent;
    int fd;
    uint64_t file_bytes;
    uint8_t *window;
    size_t window_room;
    uint64_t window_from;
    size_t window_bytes;
    uint64_t offset;   /* of the next frame */
    uint64_t expected; /* its sequence */
};

__attribute__((format(printf, 3, 4))) static int broken(struct reading *reading, int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reading->report->cut_why, sizeof reading->report->cut_why, format, arguments);
    va_end(arguments);
    return error;
}

static const char *name_of(const struct found *extent)
{
    const char *slash = strrchr(extent->path, '/');
    return slash ? slash + 1 : extent->path;
}

/* As many bytes as there are, up to byte_count; or an error. */
static int64_t read_some(struct reading *reading, int fd, void *bytes, size_t byte_count, uint64_t offset)
{
    size_t done = 0;
    while (done < byte_count) {
        int64_t result = reading->disk->table->read(reading->disk, fd, (uint8_t *)bytes + done, byte_count - done, offset + done);
        if (result == -EINTR)
            continue;
        if (result < 0)
            return result;
        if (result == 0)
            break;
        done += (size_t)result;
    }
    return (int64_t)done;
}

/* ---- Which extents there are ---- */

static int keep_found(struct reading *reading, const char *path, const struct weir_extent_head *head)
{
    if (reading->found_count == reading->found_room) {
        uint32_t room = reading->found_room * 2 + 16;
        struct found *more = realloc(reading->found, room * sizeof *more);
        if (!more)
            return -ENOMEM;
        reading->found = more;
        reading->found_room = room;
    }
    char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    reading->found[reading->found_count++] = (struct found){copy, *head};
    return 0;
}

static bool is_ours(const struct reading *reading, const struct weir_extent_head *head)
{
    return memcmp(&head->node, &reading->node, sizeof head->node) == 0 && head->run == reading->run &&
           head->journal == reading->journal && head->first_sequence > 0;
}

static int look_at_file(struct reading *reading, const char *path)
{
    int fd = reading->disk->table->open(reading->disk, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    uint8_t bytes[WEIR_EXTENT_HEAD_BYTES];
    struct weir_extent_head head;
    int64_t count = read_some(reading, fd, bytes, sizeof bytes, 0);
    reading->disk->table->close(reading->disk, fd);
    if (count < 0)
        return (int)count;
    if (count < (int64_t)sizeof bytes || !weir_extent_read(bytes, &head) || !is_ours(reading, &head))
        return 0;
    return keep_found(reading, path, &head);
}

static void on_name(void *context, const char *name, bool is_directory)
{
    struct reading *reading = context;
    static const char suffix[] = ".extent";
    size_t length = strlen(name);
    if (is_directory || reading->error < 0 || length < sizeof suffix || strcmp(name + length - sizeof suffix + 1, suffix) != 0)
        return;
    char path[4096];
    int path_length = snprintf(path, sizeof path, "%s/%s", reading->folder, name);
    reading->error = path_length > 0 && (size_t)path_length < sizeof path ? look_at_file(reading, path) : -ENAMETOOLONG;
}

static int by_number(const void *left, const void *right)
{
    const struct found *a = left, *b = right;
    return (a->head.number > b->head.number) - (a->head.number < b->head.number);
}

static int find_extents(struct reading *reading)
{
    int result = reading->disk->table->list(reading->disk, reading->folder, on_name, reading);
    if (result < 0 || reading->error < 0)
        return result < 0 ? result : reading->error;
    if (reading->found_count > 0)
        qsort(reading->found, reading->found_count, sizeof reading->found[0], by_number);
    for (uint32_t i = 1; i < reading->found_count; i++) {
        const struct found *a = &reading->found[i - 1], *b = &reading->found[i];
        if (a->head.number == b->head.number || a->head.first_sequence >= b->head.first_sequence)
            return broken(reading, -EBADMSG, "extents %.30s and %.30s contradict each other", name_of(a), name_of(b));
    }
    return 0;
}

/* ---- One extent ---- */

static int open_extent(struct reading *reading, const struct found *extent)
{
    if (reading->fd >= 0)
        reading->disk->table->close(reading->disk, reading->fd);
    reading->fd = reading->disk->table->open(reading->disk, extent->path, O_RDONLY | O_CLOEXEC, 0);
    if (reading->fd < 0)
        return reading->fd;
    int64_t size = reading->disk->table->byte_count(reading->disk, reading->fd);
    if (size < 0)
        return (int)size;
    reading->extent = extent;
    reading->file_bytes = (uint64_t)size;
    reading->window_bytes = 0;
    reading->offset = WEIR_FRAME_ALIGN;
    reading->expected = extent->head.first_sequence;
    return 0;
}

/* The bytes at `offset`, as many as asked for or as there are. */
static int64_t look(struct reading *reading, uint64_t offset, size_t byte_count, const uint8_t **bytes_out)
{
    uint64_t window_end = reading->window_from + reading->window_bytes;
    if (offset < reading->window_from || offset + byte_count > window_end) {
        size_t want = byte_count > WINDOW_BYTES ? byte_count : WINDOW_BYTES;
        if (want > reading->window_room) {
            uint8_t *more = realloc(reading->window, want);
            if (!more)
                return -ENOMEM;
            reading->window = more;
            reading->window_room = want;
        }
        reading->window_bytes = 0;
        int64_t count = read_some(reading, reading->fd, reading->window, want, offset);
        if (count < 0)
            return count;
        reading->window_from = offset;
        reading->window_bytes = (size_t)count;
        window_end = offset + reading->window_bytes;
    }
    *bytes_out = reading->window + (offset - reading->window_from);
    uint64_t left = window_end - offset;
    return (int64_t)(left < byte_count ? left : byte_count);
}

/* 1: a valid frame with this sequence stands there; 0: not. */
static int frame_at(struct reading *reading, uint64_t offset, uint64_t sequence, const uint8_t **bytes_out,
                    struct weir_frame_head *head_out)
{
    const struct weir_extent_head *extent = &reading->extent->head;
    int64_t count = look(reading, offset, WEIR_FRAME_ALIGN, bytes_out);
    if (count < 0)
        return (int)count;
    if (!weir_frame_peek(*bytes_out, (size_t)count, extent, head_out) || head_out->sequence != sequence)
        return 0;
    uint64_t frame_bytes = WEIR_FRAME_HEAD_BYTES + (uint64_t)head_out->entry_bytes;
    if (frame_bytes > WEIR_ENTRY_BODY_BYTES_MAX || offset + frame_bytes > reading->file_bytes)
        return 0;
    count = look(reading, offset, (size_t)frame_bytes, bytes_out);
    if (count < 0)
        return (int)count;
    return weir_frame_read(*bytes_out, (size_t)count, extent, sequence, head_out);
}

static bool is_known(uint16_t type)
{
    return type >= WEIR_ENTRY_BATCH && type <= WEIR_ENTRY_DROP;
}

static int hand_over(struct reading *reading, const uint8_t *bytes, const struct weir_frame_head *head)
{
    const uint8_t *at = bytes + WEIR_FRAME_HEAD_BYTES;
    const uint8_t *end = at + head->entry_bytes;
    unsigned long long sequence = head->sequence;
    struct weir_entry entry;
    uint32_t count = 0;
    for (int result; (result = weir_entry_next(&at, end, &entry)) != 0; count++) {
        if (result < 0)
            return broken(reading, result, "frame %llu of %.40s: its entries are not ours", sequence, name_of(reading->extent));
        if (!is_known(entry.type))
            return broken(reading, -EPROTO, "frame %llu of %.40s: entry of type %u", sequence, name_of(reading->extent), entry.type);
        result = reading->fn(reading->context, &entry);
        if (result < 0)
            return result;
    }
    if (count != head->entry_count)
        return broken(reading, -EBADMSG, "frame %llu of %.40s: entries do not add up", sequence, name_of(reading->extent));
    reading->report->frames++;
    reading->report->entries += count;
    reading->report->bytes += weir_frame_bytes(head->entry_bytes);
    return 0;
}

/* The valid frames from here to the first that is not. */
static int read_frames(struct reading *reading)
{
    const uint8_t *bytes;
    struct weir_frame_head head;
    int result;
    while ((result = frame_at(reading, reading->offset, reading->expected, &bytes, &head)) == 1) {
        result = head.sequence >= reading->wanted ? hand_over(reading, bytes, &head) : 0;
        if (result < 0)
            break;
        reading->report->last_sequence = head.sequence;
        reading->offset += weir_frame_bytes(head.entry_bytes);
        reading->expected++;
    }
    return result < 0 ? result : 0;
}

/* ---- The chain ---- */

/* What the last write had begun, as far as it can be told. */
static int look_at_cut(struct reading *reading)
{
    const uint8_t *bytes;
    struct weir_frame_head head;
    int64_t count = look(reading, reading->offset, WEIR_FRAME_ALIGN, &bytes);
    if (count < 0)
        return (int)count;
    if (!weir_frame_peek(bytes, (size_t)count, &reading->extent->head, &head) || head.sequence != reading->expected)
        return 0;
    uint64_t left = reading->file_bytes - reading->offset;
    uint64_t begun = weir_frame_bytes(head.entry_bytes);
    reading->report->cut_bytes = begun < left ? begun : left;
    return broken(reading, 0, "frame %llu of %.40s was not finished", (unsigned long long)head.sequence, name_of(reading->extent));
}

/* Is there a later valid frame beyond the end? Earlier lives of the file left only earlier ones. */
static int look_for_later(struct reading *reading)
{
    const uint8_t *bytes;
    struct weir_frame_head head;
    for (uint64_t at = reading->offset; at < reading->file_bytes; at += WEIR_FRAME_ALIGN) {
        int64_t count = look(reading, at, WEIR_FRAME_ALIGN, &bytes);
        if (count < 0)
            return (int)count;
        if (!weir_frame_peek(bytes, (size_t)count, &reading->extent->head, &head) || head.sequence <= reading->expected)
            continue;
        int result = frame_at(reading, at, head.sequence, &bytes, &head);
        if (result < 0)
            return result;
        if (result == 1)
            return broken(reading, -EBADMSG, "frame %llu of %.30s is damaged: %llu stands behind it",
                          (unsigned long long)reading->expected, name_of(reading->extent), (unsigned long long)head.sequence);
    }
    return 0;
}

static int read_chain(struct reading *reading, uint32_t index)
{
    int result = open_extent(reading, &reading->found[index]);
    while (result == 0) {
        result = read_frames(reading);
        const struct found *here = &reading->found[index], *next = here + 1;
        if (result < 0 || ++index == reading->found_count)
            break;
        if (next->head.number != here->head.number + 1 || next->head.first_sequence != reading->expected)
            return broken(reading, -EBADMSG, "frame %llu is damaged or gone: %.40s begins at %llu",
                          (unsigned long long)reading->expected, name_of(next), (unsigned long long)next->head.first_sequence);
        result = open_extent(reading, next);
    }
    if (result == 0)
        result = look_at_cut(reading);
    return result < 0 ? result : look_for_later(reading);
}

static int read_all(struct reading *reading)
{
    int result = find_extents(reading);
    if (result < 0 || reading->found_count == 0)
        return result;
    uint32_t index = reading->found_count;
    while (index > 0 && reading->found[index - 1].head.first_sequence > reading->wanted)
        index--;
    if (index == 0)
        return broken(reading, -EBADMSG, "frame %llu is gone: the oldest extent, %.40s, begins later",
                      (unsigned long long)reading->wanted, name_of(&reading->found[0]));
    return read_chain(reading, index - 1);
}

int weir_journal_read(struct weir_disk *disk, const char *folder, struct weir_log_id node, uint64_t run, uint32_t journal,
                      uint64_t first_sequence, int (*fn)(void *context, const struct weir_entry *entry), void *context,
                      struct weir_journal_report *report_out)
{
    *report_out = (struct weir_journal_report){0};
    struct reading reading = {.disk = disk,
                              .folder = folder,
                              .node = node,
                              .run = run,
                              .journal = journal,
                              .wanted = first_sequence > 0 ? first_sequence : 1,
                              .fn = fn,
                              .context = context,
                              .report = report_out,
                              .fd = -1};
    int result = read_all(&reading);
    if (reading.fd >= 0)
        disk->table->close(disk, reading.fd);
    for (uint32_t i = 0; i < reading.found_count; i++)
        free(reading.found[i].path);
    free(reading.found);
    free(reading.window);
    return result;
}
