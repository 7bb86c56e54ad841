/*
 * runtime/sim_disk.h - the simulated disk: what programs see, what the medium holds, and the changes between.
 *
 *     write, open(O_CREAT), unlink, rename ...      sync                        power loss
 *     --> the present, and a change noted           the changes so far are      each change left is kept,
 *                                                   made on the medium          dropped, or torn; in order
 *
 * Files and directories are inodes, each with its own changes. Syncing a file makes its bytes and size durable, not its
 * name; syncing the directory does that. A sync that fails drops the changes it was to make durable: programs still
 * read them, the medium never gets them, and the next sync succeeds, as on Linux.
 */
#ifndef WEIR_RUNTIME_SIM_DISK_H
#define WEIR_RUNTIME_SIM_DISK_H

#include "runtime/sim_world.h"

enum { WEIR_SIM_SECTOR_BYTES = 512 };

struct weir_sim_content {
    uint8_t *bytes;
    uint64_t size;
    uint64_t room;
};

struct weir_sim_inode;

struct weir_sim_entry {
    struct weir_list node;
    struct weir_sim_inode *inode;
    char name[]; /* ends with a zero */
};

struct weir_sim_inode {
    struct weir_list node; /* of the disk; freed with it */
    bool directory;
    struct weir_sim_content now;
    struct weir_sim_content medium;
    struct weir_list entries; /* of a directory, now */
    struct weir_list medium_entries;
    struct weir_list changes;    /* oldest first */
    const struct weir_sim_file *lock; /* who has it; ends with that file, and with a crash */
    struct weir_sim_inode *copy; /* while the disk is copied */
};

enum weir_sim_change_kind {
    WEIR_SIM_CHANGE_WRITE,    /* `offset`, `byte_count`, bytes */
    WEIR_SIM_CHANGE_TRUNCATE, /* to `offset` */
    WEIR_SIM_CHANGE_LINK,     /* name, inode */
    WEIR_SIM_CHANGE_UNLINK,   /* name */
    WEIR_SIM_CHANGE_RENAME,   /* name, `to` behind it, inode */
};

struct weir_sim_change {
    struct weir_list node;
    enum weir_sim_change_kind kind;
    uint64_t number; /* of the disk: its order among all changes */
    uint64_t offset;
    uint64_t byte_count;
    struct weir_sim_inode *inode;
    uint8_t bytes[]; /* or one name, or two, each with its zero */
};

struct weir_sim_disk {
    uint32_t holders;
    uint64_t change_number;
    uint64_t bytes_used;
    uint64_t calls_left; /* blocking ones, until it is dead; UINT64_MAX: it lives */
    struct weir_sim_inode *root;
    struct weir_list inodes;
};

struct weir_sim_file { /* an open file */
    struct weir_sim_disk *disk;
    struct weir_sim_inode *inode;
    int flags;
};

/* ---- sim_disk.c: the tree, and what changes it ---- */
struct weir_sim_disk *weir_sim_disk_new(void);
struct weir_sim_disk *weir_sim_disk_hold(struct weir_sim_disk *disk);
void weir_sim_disk_drop(struct weir_sim_disk *disk);
struct weir_sim_inode *weir_sim_inode_new(struct weir_sim_disk *disk, bool directory);
struct weir_sim_inode *weir_sim_inode_find(struct weir_sim_disk *disk, const char *path);
/* The directory of a path, and its last part. NULL: there is no such directory. */
struct weir_sim_inode *weir_sim_inode_parent(struct weir_sim_disk *disk, const char *path,
                                             const char **name_out);
struct weir_sim_entry *weir_sim_entry_find(struct weir_list *entries, const char *name);
void weir_sim_entry_set(struct weir_list *entries, const char *name,
                        struct weir_sim_inode *inode); /* NULL: remove */
void weir_sim_content_write(struct weir_sim_content *content, uint64_t offset, const void *bytes,
                            uint64_t byte_count);
void weir_sim_content_resize(struct weir_sim_content *content, uint64_t byte_count);
/* Make a change now and note it. */
void weir_sim_change_bytes(struct weir_sim_disk *disk, struct weir_sim_inode *inode, uint64_t offset,
                           const struct iovec *iov, uint32_t iov_count, uint64_t byte_count);
void weir_sim_change_size(struct weir_sim_disk *disk, struct weir_sim_inode *inode,
                          uint64_t byte_count);
void weir_sim_change_link(struct weir_sim_disk *disk, struct weir_sim_inode *directory,
                          const char *name, struct weir_sim_inode *inode);
void weir_sim_change_rename(struct weir_sim_disk *disk, struct weir_sim_inode *directory, const char *old_name,
                            const char *new_name, struct weir_sim_inode *inode);
void weir_sim_change_apply(struct weir_sim_inode *inode, const struct weir_sim_change *change);
/* Changes with numbers up to `mark` are on the medium now, or (lost) never will be. */
void weir_sim_inode_sync(struct weir_sim_inode *inode, uint64_t mark, bool lost);
/* The same of the last change, a write, and of what it lies on: pages, and sizes set before. All else stays pending. */
void weir_sim_inode_sync_last(struct weir_sim_inode *inode, bool lost);

/* ---- sim_tree.c: names, at once. 0, or a negative errno as the system call ---- */
int weir_sim_tree_mkdir(struct weir_sim_disk *disk, const char *path);
int weir_sim_tree_unlink(struct weir_sim_disk *disk, const char *path); /* an empty directory too */
int weir_sim_tree_rename(struct weir_sim_disk *disk, const char *from, const char *to);

/* ---- sim_file.c: the operations; each result is that of its system call ---- */
int weir_sim_file_open(struct weir_sim *sim, struct weir_sim_disk *disk, const char *path, int flags);
int weir_sim_file_read(struct weir_sim *sim, const struct weir_sim_file *file, const struct iovec *iov,
                       uint32_t iov_count, uint64_t offset);
int weir_sim_file_write(struct weir_sim *sim, const struct weir_sim_file *file, const struct iovec *iov,
                        uint32_t iov_count, uint64_t offset, bool durable);
int weir_sim_file_sync(struct weir_sim *sim, const struct weir_sim_file *file, uint64_t mark);
void weir_sim_disk_submit(struct weir_sim_op *op);
void weir_sim_disk_perform(struct weir_sim_op *op); /* now, whatever its time */
void weir_sim_file_close(struct weir_sim *sim, struct weir_sim_file *file);
void weir_sim_file_free(struct weir_sim_file *file);

/* ---- sim_disk_calls.c ---- */
extern const struct weir_disk_table weir_sim_disk_table;

/* ---- sim_crash.c ---- */
void weir_sim_disk_under_way(struct weir_sim_io *io); /* some of what is being written gets there */
struct weir_sim_disk *weir_sim_disk_after_crash(struct weir_sim *sim, struct weir_sim_disk *disk,
                                                enum weir_sim_crash_kind kind);

#endif
