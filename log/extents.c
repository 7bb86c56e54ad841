/*
 * log/extents.c - makes extents ready: open or create, write zeros, sync the name.
 *
 * One extent is in the making at a time, one operation of it under way. Zeros are written in durable pieces, so a commit of
 * the journal never stands behind more than one piece, and what was written before a full disk stopped it counts.
 *
 * A file of an earlier run gets a new name, and that is synced: the run may have died before it had synced the old one, or because it
 * could not, and then a sync of the folder that changes nothing says nothing.
 *
 * Writes go past the page cache (O_DIRECT) where the file system can: nobody reads a journal while it is written, and an io_uring
 * then needs no thread for a write (measured: 117 us against 128 for one append, its p99 170 us against over 200).
 *
 * No room (ENOSPC and its like) is tried again; any other failure ends it: nobody knows what such a disk has kept.
 * Proof: tests/log/journal_test.c, tests/log/journal_sim.c.
 */
#include "log/extents.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/work.h>

#include "base/clock.h"

enum { RETRY_MS = 1000, MODE = 0640, PATH_BYTES = 4096 };

static const uint8_t zeros[WEIR_FRAME_ALIGN] __attribute__((aligned(WEIR_FRAME_ALIGN)));

static void make(struct weir_extents *extents);

static struct weir_disk *disk_of(const struct weir_extents *extents)
{
    return weir_io_disk(extents->reactor->io);
}

static struct weir_extent *new_extent(const char *path)
{
    struct weir_extent *extent = calloc(1, sizeof *extent);
    char *copy = extent ? strdup(path) : NULL;
    if (!copy) {
        free(extent);
        return NULL;
    }
    weir_list_init(&extent->node);
    extent->fd = -1;
    extent->path = copy;
    return extent;
}

static void free_extent(struct weir_extents *extents, struct weir_extent *extent)
{
    if (extent->fd >= 0)
        disk_of(extents)->table->close(disk_of(extents), extent->fd);
    free(extent->path);
    free(extent);
}

/* ---- Ends of steps ---- */

static bool is_lack(int error) /* of space, descriptors, memory: may pass */
{
    return error == -ENOSPC || error == -EDQUOT || error == -EMFILE || error == -ENFILE || error == -ENOMEM ||
           error == -EAGAIN || error == -EINTR;
}

static void on_retry(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    (void)reactor;
    (void)timer;
    struct weir_extents *extents = context;
    extents->waits = false;
    make(extents);
}

/* First in line again, with what it has by now. */
static void put_back(struct weir_extents *extents)
{
    extents->step = WEIR_EXTENTS_IDLE;
    if (extents->making)
        weir_list_push_front(&extents->free, &extents->making->node);
    extents->making = NULL;
}

static void fail(struct weir_extents *extents, int error)
{
    put_back(extents);
    if (extents->stopped)
        return;
    if (is_lack(error)) {
        if (extents->space_error == 0)
            weir_reactor_log(extents->reactor, WEIR_LOG_WARN, "msg=\"no room for the journal\" folder=%s error=\"%s\"",
                             extents->folder, strerrordesc_np(-error));
        extents->space_error = error;
        extents->waits = true;
        weir_timer_set(extents->reactor, &extents->retry, RETRY_MS * WEIR_MS_NS, on_retry, extents);
    } else {
        extents->error = error;
    }
    extents->changed(extents);
}

static void get_ready(struct weir_extents *extents, struct weir_extent *extent)
{
    extents->step = WEIR_EXTENTS_IDLE;
    extents->making = NULL;
    extents->ready = extent;
    extents->begins = false;
    extents->space_error = 0;
    extents->changed(extents);
}

/* ---- Steps ---- */

static void on_done(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more);

static void start(struct weir_extents *extents, enum weir_extents_step step)
{
    extents->step = step;
    extents->op.done = on_done;
    int result = weir_io_start(extents->reactor->io, &extents->op);
    if (result < 0)
        fail(extents, -ENOMEM);
    else
        extents->reactor->file_ops++;
}

static void open_folder(struct weir_extents *extents)
{
    extents->op = (struct weir_io_op){.kind = WEIR_IO_OPEN, .fd = -1};
    extents->op.path = extents->folder;
    extents->op.open_flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    start(extents, WEIR_EXTENTS_OPENING_FOLDER);
}

static bool put_name(struct weir_extents *extents, char *path, size_t path_bytes)
{
    int length = snprintf(path, path_bytes, "%s/%llu-%u-%u.extent", extents->folder, (unsigned long long)extents->run,
                          extents->journal, extents->name_next++);
    return length > 0 && (size_t)length < path_bytes;
}

static void rename_file(void *context) /* on a pool thread */
{
    struct weir_extents *extents = context;
    extents->rename_result = extents->disk->table->rename(extents->disk, extents->making->path, extents->new_path);
}

static void on_renamed(struct weir_reactor *reactor, void *context);

static void start_rename(struct weir_extents *extents)
{
    char path[PATH_BYTES];
    extents->disk = disk_of(extents);
    extents->new_path = put_name(extents, path, sizeof path) ? strdup(path) : NULL;
    extents->step = WEIR_EXTENTS_RENAMING;
    if (extents->new_path && weir_work(extents->reactor, rename_file, on_renamed, extents) == 0)
        return;
    free(extents->new_path);
    fail(extents, -ENOMEM);
}

static void open_file(struct weir_extents *extents)
{
    extents->op = (struct weir_io_op){.kind = WEIR_IO_OPEN, .fd = -1};
    extents->op.path = extents->making->path;
    extents->op.open_flags = O_WRONLY | O_CLOEXEC | (extents->making->exists ? 0 : O_CREAT | O_EXCL) |
                             (extents->buffered ? 0 : O_DIRECT);
    extents->op.mode = MODE;
    start(extents, WEIR_EXTENTS_OPENING);
}

static void write_zeros(struct weir_extents *extents)
{
    const struct weir_extent *extent = extents->making;
    uint64_t left = extents->target_bytes - extent->room;
    uint32_t count = 0;
    for (; count < WEIR_EXTENT_ZEROS && left > 0; count++) {
        uint64_t part = left < sizeof zeros ? left : sizeof zeros;
        extents->iov[count] = (struct iovec){(void *)(uintptr_t)zeros, part};
        left -= part;
    }
    extents->op = (struct weir_io_op){.kind = WEIR_IO_WRITE, .fd = extent->fd, .durable = true};
    extents->op.iov = extents->iov;
    extents->op.iov_count = count;
    extents->op.offset = extent->room;
    start(extents, WEIR_EXTENTS_WRITING);
}

static void sync_name(struct weir_extents *extents)
{
    extents->op = (struct weir_io_op){.kind = WEIR_IO_SYNC, .fd = extents->folder_fd};
    extents->op.data_only = false;
    start(extents, WEIR_EXTENTS_SYNCING);
}

/* An open file: what it lacks. */
static void go_on(struct weir_extents *extents)
{
    if (extents->stopped)
        put_back(extents);
    else if (extents->making->room < extents->target_bytes)
        write_zeros(extents);
    else if (!extents->making->is_named)
        sync_name(extents);
    else
        get_ready(extents, extents->making);
}

/* Whoever waits to close goes on; `extents` may be gone then. */
static void tell_stopped(struct weir_extents *extents)
{
    if (extents->stopped)
        extents->changed(extents);
}

static void drop_making(struct weir_extents *extents)
{
    free_extent(extents, extents->making);
    extents->making = NULL;
    extents->step = WEIR_EXTENTS_IDLE;
    extents->count--;
    make(extents);
}

/* A file system that does not have O_DIRECT says so now or at the first write: old tmpfs, some of FUSE. */
static void open_buffered(struct weir_extents *extents)
{
    struct weir_extent *extent = extents->making;
    extents->buffered = true;
    if (extent->fd >= 0)
        disk_of(extents)->table->close(disk_of(extents), extent->fd);
    extent->fd = -1;
    extent->room = 0;
    open_file(extents);
}

static void on_opened(struct weir_extents *extents, int result)
{
    struct weir_extent *extent = extents->making;
    if (result == -EINVAL && !extents->buffered) {
        open_buffered(extents);
        return;
    }
    if (result == (extent->exists ? -ENOENT : -EEXIST)) { /* somebody tidied up, or a name is taken: another one */
        drop_making(extents);
        return;
    }
    if (result < 0) {
        fail(extents, result);
        return;
    }
    extent->fd = result;
    extent->exists = true;
    int64_t size = disk_of(extents)->table->byte_count(disk_of(extents), extent->fd);
    extent->room = size > 0 ? (uint64_t)size : 0;
    if (extent->room > extents->extent_bytes)
        extent->room = extents->extent_bytes;
    go_on(extents);
}

static void on_renamed(struct weir_reactor *reactor, void *context)
{
    (void)reactor;
    struct weir_extents *extents = context;
    int result = extents->rename_result;
    if (result < 0) {
        free(extents->new_path);
    } else {
        free(extents->making->path);
        extents->making->path = extents->new_path;
        extents->making->is_ours = true;
    }
    if (result == -ENOENT)
        drop_making(extents);
    else if (result < 0)
        fail(extents, result);
    else if (extents->stopped)
        put_back(extents);
    else
        open_file(extents);
    tell_stopped(extents);
}

static void on_zeros(struct weir_extents *extents, int result)
{
    if (result == -EINVAL && !extents->buffered) {
        open_buffered(extents);
        return;
    }
    if (result <= 0) {
        fail(extents, result < 0 ? result : -ENOSPC);
        return;
    }
    extents->making->room += (uint32_t)result;
    go_on(extents);
}

static void on_done(struct weir_io_op *op, int result, const struct weir_io_data *data, bool more)
{
    (void)data;
    (void)more;
    struct weir_extents *extents = WEIR_CONTAINER(op, struct weir_extents, op);
    extents->reactor->file_ops--;
    if (extents->step == WEIR_EXTENTS_OPENING_FOLDER && result >= 0) {
        extents->folder_fd = result;
        extents->step = WEIR_EXTENTS_IDLE;
        make(extents);
    } else if (extents->step == WEIR_EXTENTS_OPENING) {
        on_opened(extents, result);
    } else if (extents->step == WEIR_EXTENTS_WRITING) {
        on_zeros(extents, result);
    } else if (result < 0) {
        fail(extents, result);
    } else if (extents->step == WEIR_EXTENTS_SYNCING) {
        extents->making->is_named = true;
        go_on(extents);
    }
    tell_stopped(extents);
}

/* ---- Which one ---- */

/* One that needs no step, else one that exists, else a new name. NULL: as many as there may be are in use, or no memory. */
static struct weir_extent *choose(struct weir_extents *extents)
{
    WEIR_LIST_EACH(node, &extents->free) {
        struct weir_extent *extent = WEIR_CONTAINER(node, struct weir_extent, node);
        if (extent->is_named && extent->room == extents->extent_bytes)
            return extent;
    }
    if (!weir_list_empty(&extents->free))
        return WEIR_CONTAINER(extents->free.next, struct weir_extent, node);
    if (extents->count == extents->extents_max)
        return NULL;
    char path[PATH_BYTES];
    struct weir_extent *extent = put_name(extents, path, sizeof path) ? new_extent(path) : NULL;
    if (!extent)
        return NULL;
    extent->is_new = true;
    extent->is_ours = true;
    extents->count++;
    return extent;
}

static void make(struct weir_extents *extents)
{
    if (weir_extents_busy(extents) || extents->ready || extents->error < 0 || extents->stopped)
        return;
    if (extents->folder_fd < 0) {
        if (!extents->waits)
            open_folder(extents);
        return;
    }
    struct weir_extent *extent = choose(extents);
    if (!extent)
        return;
    weir_list_remove(&extent->node);
    if (extent->is_named && extent->room == extents->extent_bytes) {
        get_ready(extents, extent);
        return;
    }
    if (extents->waits) {
        weir_list_push_front(&extents->free, &extent->node);
        return;
    }
    extents->making = extent;
    extents->target_bytes = extents->extent_bytes;
    if (extents->begins && extents->target_bytes > WEIR_EXTENT_FIRST_BYTES)
        extents->target_bytes = WEIR_EXTENT_FIRST_BYTES;
    if (!extent->is_ours)
        start_rename(extents);
    else if (extent->fd < 0)
        open_file(extents);
    else
        go_on(extents);
}

void weir_extents_want(struct weir_extents *extents)
{
    if (!extents->ready)
        make(extents);
}

struct weir_extent *weir_extents_take(struct weir_extents *extents, uint64_t room)
{
    WEIR_ASSERT(room <= extents->extent_bytes);
    weir_extents_want(extents);
    if (extents->ready && extents->ready->room < room) { /* the first, small one: it gets the rest */
        struct weir_extent *small = extents->ready;
        extents->ready = NULL;
        weir_list_push_front(&extents->free, &small->node);
        make(extents);
    }
    struct weir_extent *extent = extents->ready;
    extents->ready = NULL;
    return extent;
}

void weir_extents_give(struct weir_extents *extents, struct weir_extent *extent)
{
    extent->is_new = false;
    weir_list_push_back(&extents->free, &extent->node);
}

/* ---- Beginning and end ---- */

struct removal { /* files beyond the most there may be */
    struct weir_disk *disk;
    uint32_t count;
    char *paths[];
};

static void remove_files(void *context)
{
    struct removal *removal = context;
    for (uint32_t i = 0; i < removal->count; i++)
        removal->disk->table->unlink(removal->disk, removal->paths[i]);
}

static void free_removal(struct weir_reactor *reactor, void *context)
{
    (void)reactor;
    struct removal *removal = context;
    for (uint32_t i = 0; i < removal->count; i++)
        free(removal->paths[i]);
    free(removal);
}

/* What fails here is tried again by the next run. */
static void remove_rest(struct weir_extents *extents, char *const *paths, uint32_t count)
{
    struct removal *removal = count > 0 ? calloc(1, sizeof *removal + count * sizeof removal->paths[0]) : NULL;
    if (!removal)
        return;
    removal->disk = disk_of(extents);
    for (uint32_t i = 0; i < count; i++)
        if ((removal->paths[removal->count] = strdup(paths[i])) != NULL)
            removal->count++;
    if (weir_work(extents->reactor, remove_files, free_removal, removal) < 0)
        free_removal(extents->reactor, removal);
}

int weir_extents_open(struct weir_extents *extents, struct weir_reactor *reactor, const struct weir_journal_options *options,
                      char *const *free_paths, uint32_t free_path_count, void (*changed)(struct weir_extents *extents))
{
    *extents = (struct weir_extents){.reactor = reactor,
                                     .folder = strdup(options->folder),
                                     .run = options->run,
                                     .journal = options->journal,
                                     .extent_bytes = options->extent_bytes,
                                     .extents_max = options->extents_max,
                                     .folder_fd = -1,
                                     .begins = true,
                                     .changed = changed};
    weir_list_init(&extents->free);
    bool complete = extents->folder != NULL;
    for (uint32_t i = 0; complete && i < free_path_count && i < extents->extents_max; i++) {
        struct weir_extent *extent = new_extent(free_paths[i]);
        complete = extent != NULL;
        if (extent) {
            extent->exists = true;
            weir_list_push_back(&extents->free, &extent->node);
        }
        extents->count += complete;
    }
    if (!complete) {
        weir_extents_close(extents);
        return -ENOMEM;
    }
    if (free_path_count > extents->extents_max)
        remove_rest(extents, free_paths + extents->extents_max, free_path_count - extents->extents_max);
    make(extents);
    return 0;
}

void weir_extents_stop(struct weir_extents *extents)
{
    extents->stopped = true;
    if (extents->waits)
        weir_timer_cancel(extents->reactor, &extents->retry);
}

void weir_extents_close(struct weir_extents *extents)
{
    WEIR_ASSERT(!weir_extents_busy(extents));
    for (struct weir_list *node; (node = weir_list_pop_front(&extents->free)) != NULL;)
        free_extent(extents, WEIR_CONTAINER(node, struct weir_extent, node));
    if (extents->ready)
        free_extent(extents, extents->ready);
    if (extents->folder_fd >= 0)
        disk_of(extents)->table->close(disk_of(extents), extents->folder_fd);
    free(extents->folder);
}
