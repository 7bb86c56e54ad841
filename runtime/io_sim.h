/*
 * runtime/io_sim.h - the simulator: kernel, network, disk, clock and chance made from one seed.
 *
 * A world (struct weir_sim) holds hosts, and on each host any number of ios: one for each reactor of the simulated
 * programs and their clients. Everything runs on the thread that called weir_sim_run, one piece at a time, in an order
 * drawn from the seed. The same seed gives the same run, to the byte; weir_sim_hash tells.
 *
 * Each reactor runs on a fiber, a stack of its own. A turn of its io gives the thread back to the scheduler, and a turn
 * that waits stays there until something comes: a completion, a wake, its deadline. So a reactor that announced its
 * sleep really sleeps while the others run, and a wake-up that was lost is seen: every fiber waits, nothing is under
 * way, and the goal was not reached (WEIR_SIM_STUCK).
 *
 *     weir_sim_open ; weir_sim_spawn(reactor's loop) ... ; weir_sim_run(until) ; ... ; weir_sim_close
 *
 * Time is a number of the world's. It moves a little with each step, and when all wait it jumps to whatever is next, so
 * an hour of idling costs nothing.
 *
 * Hosts: host n is 10.0.0.(n+1); 127.0.0.1, ::1 and unix paths are each host's own. Its disk is its own too. File
 * descriptors begin at WEIR_SIM_FD_MIN, far from the process's, so a stray system call on one fails.
 *
 * A turn outside of any fiber works also: when it waits it moves the world's time itself.
 *
 * The simulator holds its callers to runtime/io.h: a second RECV on one fd, a CLOSE with something armed, a SEND or
 * WRITE whose bytes change under way, are failed assertions.
 */
#ifndef WEIR_RUNTIME_IO_SIM_H
#define WEIR_RUNTIME_IO_SIM_H

#include "runtime/io.h"

struct weir_sim;
struct weir_sim_fiber;

enum {
    WEIR_SIM_FD_MIN = 1 << 20,
    WEIR_SIM_HOSTS_MAX = 16,
    WEIR_SIM_ALWAYS = 1000000,
};

/* Chances are in a million, drawn each time the thing could happen. */
struct weir_sim_faults {
    /* Threads. */
    uint32_t preempt;       /* at any call into the io: others run first */
    uint32_t pause;         /* at a step: this fiber does not run for up to pause_ns_max */
    uint32_t spurious_wake; /* a wait ends for nothing */
    /* Streams. */
    uint32_t read_short;   /* a receive hands over part of what is there */
    uint32_t send_short;   /* a send takes part of what it could */
    uint32_t recv_starved; /* no receive buffer free just now */
    uint32_t reset;        /* at a send: the connection is reset, at both ends */
    uint32_t half_open; /* of a connection: one day nothing passes any more; minutes later -ETIMEDOUT */
    uint32_t connect_refused;
    uint32_t connect_lost; /* the first packet is lost; it is sent again a second later */
    uint32_t accept_late;  /* no descriptor free just now: the listener waits for one */
    /* Datagrams. */
    uint32_t datagram_lost;
    uint32_t datagram_twice;
    uint32_t datagram_late; /* overtaken by others */
    /* Disks. */
    uint32_t read_error;  /* -EIO */
    uint32_t read_cut;    /* fewer bytes than there are */
    uint32_t write_error; /* -EIO */
    uint32_t write_cut;
    uint32_t write_full; /* -ENOSPC though there is room */
    uint32_t sync_error; /* -EIO, and what was to be synced never will be, though it reads well until a crash */
    uint32_t disk_slow; /* up to disk_slow_ns_max */

    uint64_t step_ns_max; /* what one step of a fiber costs at most */
    uint64_t pause_ns_max;
    uint64_t latency_ns_min; /* of the network, one way */
    uint64_t latency_ns_max;
    uint64_t disk_ns_min;
    uint64_t disk_ns_max;
    uint64_t disk_slow_ns_max;
    uint32_t socket_bytes_min; /* of a stream's buffer, drawn for each end */
    uint32_t socket_bytes_max;
    uint64_t disk_bytes_max; /* of one disk */
};

/* No faults, small latencies. */
void weir_sim_faults_none(struct weir_sim_faults *faults);
/* A mixture from the seed: each fault of threads and streams (but for reset, half_open, and what refuses a
 * connection) and of datagrams is off, rare or frequent; sizes and latencies likewise. Disks are left sound. */
void weir_sim_faults_mixed(struct weir_sim_faults *faults, uint64_t seed);

/* A world with `host_count` hosts, their disks empty. `faults` is copied; NULL: none. -EINVAL, -ENOMEM. */
int weir_sim_open(uint64_t seed, uint32_t host_count, const struct weir_sim_faults *faults,
                  struct weir_sim **sim_out);
/* After every io is closed. Fibers that have not ended are dropped where they stand. */
void weir_sim_close(struct weir_sim *sim);

/* The faults in force; may be changed at any time. */
struct weir_sim_faults *weir_sim_faults(struct weir_sim *sim);
uint64_t weir_sim_now_ns(const struct weir_sim *sim);
/* Chance for the scenario itself. `below` > 0. */
uint64_t weir_sim_random(struct weir_sim *sim);
uint64_t weir_sim_below(struct weir_sim *sim, uint64_t below);
bool weir_sim_chance(struct weir_sim *sim, uint32_t in_a_million);
/* Of all that happened so far: steps, completions, their bytes and times. */
uint64_t weir_sim_hash(const struct weir_sim *sim);
uint64_t weir_sim_steps(const struct weir_sim *sim);
/* Write the state of the fibers and the last completions to `fd`. */
void weir_sim_dump(struct weir_sim *sim, int fd);

/* An io on a host. -ENOMEM. It ends by its own table's close. */
int weir_sim_io_open(struct weir_sim *sim, uint32_t host, struct weir_io **io_out);

/* ---- Fibers -------------------------------------------------------------------------------------- */

typedef void (*weir_sim_fn)(void *context);

/* A fiber that runs `fn` once. From anywhere. `name` is kept, not copied. */
int weir_sim_spawn(struct weir_sim *sim, const char *name, weir_sim_fn fn, void *context);
/* On a fiber: let others run, maybe. Handlers call it to be interrupted. Elsewhere nothing happens. */
void weir_sim_yield(struct weir_sim *sim);
/* On a fiber: sleep. */
void weir_sim_sleep(struct weir_sim *sim, uint64_t delay_ns);
/* Call `fn` between two steps, on no fiber, delay_ns from now. */
int weir_sim_after(struct weir_sim *sim, uint64_t delay_ns, weir_sim_fn fn, void *context);

enum weir_sim_end {
    WEIR_SIM_REACHED, /* `until` said so */
    WEIR_SIM_ENDED,   /* every fiber has ended */
    WEIR_SIM_STUCK,   /* some fiber waits, and nothing will ever wake it */
    WEIR_SIM_STEPS,   /* steps_max spent: a livelock, or too small a number */
};

/* Run until `until` (asked after each step; NULL: never) is true. Call it again to go on. */
enum weir_sim_end weir_sim_run(struct weir_sim *sim, bool (*until)(void *context), void *context,
                               uint64_t steps_max);

/* ---- Crashes and disks --------------------------------------------------------------------------- */

enum weir_sim_crash_kind {
    WEIR_SIM_KILL,       /* the program dies; what it wrote stays */
    WEIR_SIM_POWER_LOSS, /* unsynced bytes and names are each kept, dropped or torn at 512 bytes */
};

/*
 * The programs of `host` die now. What they had written survives as the kind says, on a disk that ios opened from now
 * on will find. The old ios live on as ghosts, so that their memory can be freed in the ordinary way: they see the
 * disk as it was, their connections are gone, and nothing they do reaches anybody.
 */
void weir_sim_crash(struct weir_sim *sim, uint32_t host, enum weir_sim_crash_kind kind);
bool weir_sim_ghost(const struct weir_io *io);

/* What io.h has no operation for, done at once on the disk of a host: 0, or a negative errno as the system call.
 * Names made or removed are durable after the directory was synced. */
int weir_sim_disk_mkdir(struct weir_sim *sim, uint32_t host, const char *path);
int weir_sim_disk_unlink(struct weir_sim *sim, uint32_t host, const char *path);
int weir_sim_disk_rename(struct weir_sim *sim, uint32_t host, const char *from,
                         const char *to); /* one directory */
int weir_sim_disk_truncate(struct weir_sim *sim, uint32_t host, const char *path,
                           uint64_t byte_count);
int weir_sim_disk_list(struct weir_sim *sim, uint32_t host, const char *path,
                       void (*each)(void *context, const char *name), void *context);
/* After `call_count` more calls of runtime/disk.h every operation on this host's disk answers -EIO and changes nothing, until the
 * host crashes: so a scenario cuts a program that blocks (a recovery, a checkpoint) anywhere. UINT64_MAX: not to die. Closing,
 * the clock and chance are not counted. */
void weir_sim_disk_die_after(struct weir_sim *sim, uint32_t host, uint64_t call_count);
/* Make everything durable, names too: the state a test starts from. */
void weir_sim_disk_settle(struct weir_sim *sim, uint32_t host);
/* Copy up to byte_count bytes at `offset` of a file as it reads now. Bytes copied, or -ENOENT. */
int64_t weir_sim_disk_peek(struct weir_sim *sim, uint32_t host, const char *path, uint64_t offset,
                           void *bytes, size_t byte_count);

#endif
