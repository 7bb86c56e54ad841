/*
 * tests/soak/storm.c - one zombie and one flood may not be felt by the others.
 *
 * Short phases in turns, with and without the two, in changing order: whatever else the machine does hits both kinds alike.
 * A phase has one p99 for subscribers and one for publishers; the figure is the median, over all pairs, of with divided by
 * without. It must stay under 1.10. A short run cannot know its median well: what fails is a run in which even the low end of
 * the median's 90 % interval (by the sign test) is above that.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/runtime.h>

#include "tests/soak/clients.h"

enum { PAIRS_MAX = 8192, PHASE_MS = 300, START_PATIENCE_MS = 20000 };
#define MOVE_MAX 1.10

struct storm {
    struct soak *soak;
    char folder[64];
    size_t pair_count;
    double with[2][PAIRS_MAX], without[2][PAIRS_MAX], ratios[2][PAIRS_MAX];
    uint64_t delivered, wrong, incomplete, dropped, delayed;
    uint64_t flood_sent, flood_replies;
    double flood_s, flood_may; /* what its bucket allowed */
};

static void write_settings(const char *path)
{
    FILE *file = fopen(path, "we");
    if (!file)
        abort();
    fprintf(file,
            "redis: {port: 0}\n"
            "topics:\n"
            "  \"zombie.*\": {slow: drop-oldest, window: 64kb}\n"
            "  \"soak.*\": {slow: drop-oldest, window: 64kb}\n"
            "publish_limits:\n"
            "  address: {rate: %d, burst: %d, mode: shape}\n",
            RATE_OF_ADDRESS, BURST_OF_ADDRESS);
    fclose(file);
}

static pid_t start_weir(struct storm *storm, const struct soak_shape *shape, const char *log_path)
{
    char settings[128], cores[16];
    snprintf(settings, sizeof settings, "%s/weir.conf", storm->folder);
    snprintf(cores, sizeof cores, "%u", shape->reactor_count);
    write_settings(settings);
    const char *io = shape->io == WEIR_IO_URING ? "uring" : "epoll";
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    int log = open(log_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execl(storm->soak->weir, "weir", "serve", "--cores", cores, "--io", io, "--config", settings, "--kafka-port", "off", (char *)NULL);
    _exit(127);
}

/* The port is in the line that says that it is ready. 0: it is not. */
static uint16_t read_port(const char *log_path, bool *refused_out)
{
    char line[1024];
    uint16_t port = 0;
    FILE *file = fopen(log_path, "re");
    while (file && fgets(line, sizeof line, file)) {
        const char *at = strstr(line, "msg=ready") ? strstr(line, "redis=127.0.0.1:") : NULL;
        if (at)
            port = (uint16_t)atoi(at + 16);
        *refused_out |= strstr(line, "was refused") != NULL;
    }
    if (file)
        fclose(file);
    return port;
}

static uint16_t wait_for_port(pid_t pid, const char *log_path, bool *refused_out)
{
    struct timespec step = {0, 10000000};
    *refused_out = false;
    for (int i = 0; i < START_PATIENCE_MS / 10; i++) {
        uint16_t port = read_port(log_path, refused_out);
        if (port > 0)
            return port;
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return 0;
        nanosleep(&step, NULL);
    }
    return 0;
}

static void add_up(struct storm *storm, const struct phase_result *result, bool was_storm)
{
    storm->delivered += result->delivered;
    storm->wrong += result->wrong;
    storm->incomplete += !result->complete;
    if (!was_storm)
        return;
    storm->flood_sent += result->flood_sent;
    storm->flood_replies += result->flood_replies;
    storm->flood_s += result->flood_s;
    storm->flood_may += BURST_OF_ADDRESS + result->flood_s * RATE_OF_ADDRESS;
}

static void run_pair(struct storm *storm, struct crowd *crowd)
{
    struct phase_result results[2]; /* without, with */
    bool with_first = storm->pair_count % 2;
    for (int i = 0; i < 2; i++) {
        bool with = (i == 0) == with_first;
        results[with] = crowd_phase(crowd, PHASE_MS * 1000000ull, with);
        add_up(storm, &results[with], with);
    }
    size_t at = storm->pair_count;
    if (!results[0].complete || !results[1].complete || at == PAIRS_MAX)
        return;
    for (int whose = 0; whose < 2; whose++) {
        storm->without[whose][at] = whose ? results[0].publisher_p99_us : results[0].subscriber_p99_us;
        storm->with[whose][at] = whose ? results[1].publisher_p99_us : results[1].subscriber_p99_us;
        storm->ratios[whose][at] = storm->with[whose][at] / storm->without[whose][at];
    }
    storm->pair_count++;
}

static void stop_weir(struct storm *storm, pid_t pid, const char *shape)
{
    int status = 0;
    kill(pid, SIGTERM);
    bool ended = waitpid(pid, &status, 0) == pid;
    soak_check(storm->soak, ended && WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: weir ended with status %d", shape,
               status);
}

static void run_round(struct storm *storm, const struct soak_shape *shape, uint64_t until_ns)
{
    struct soak *soak = storm->soak;
    char log_path[128];
    bool refused;
    snprintf(log_path, sizeof log_path, "%s/log", storm->folder);
    unlink(log_path); /* the last round's has a port too */
    pid_t pid = start_weir(storm, shape, log_path);
    uint16_t port = wait_for_port(pid, log_path, &refused);
    if (port == 0 && refused) {
        soak_say(soak, "storm, %s: skipped, io_uring is refused here", shape->name);
        return;
    }
    struct crowd *crowd = port ? crowd_open(port) : NULL;
    if (soak_check(soak, crowd != NULL, "%s: weir did not start, see %s", shape->name, log_path)) {
        crowd_phase(crowd, PHASE_MS * 1000000ull, true); /* warm */
        do {
            soak_draw(soak, shape->name);
            run_pair(storm, crowd);
        } while (soak_now_ns() < until_ns);
        storm->dropped += crowd_figure(port, "weir_dropped_oldest");
        storm->delayed += crowd_figure(port, "weir_throttled_delay");
        crowd_close(crowd);
    }
    if (port > 0)
        stop_weir(storm, pid, shape->name);
}

static void judge_move(struct storm *storm, int whose, const char *name)
{
    size_t count = storm->pair_count;
    double median = soak_median(storm->ratios[whose], count); /* sorted now */
    double low_at = (double)count / 2 - 1.645 * sqrt((double)count) / 2;
    double low = count > 0 ? storm->ratios[whose][low_at > 0 ? (size_t)low_at : 0] : 0;
    double high = count > 0 ? storm->ratios[whose][count - 1 - (low_at > 0 ? (size_t)low_at : 0)] : 0;
    soak_say(storm->soak, "p99 of %s: %.0f us without, %.0f us with a stalled and a flooding one; %+.1f %% (90 %% of %+.1f to %+.1f)",
             name, soak_median(storm->without[whose], count), soak_median(storm->with[whose], count), (median - 1) * 100,
             (low - 1) * 100, (high - 1) * 100);
    soak_check(storm->soak, count > 0 && low < MOVE_MAX, "the p99 of %s moved by %.1f %%", name, (median - 1) * 100);
}

static void judge(struct storm *storm)
{
    struct soak *soak = storm->soak;
    soak_say(soak, "storm: %zu pairs of phases, %llu events delivered; %llu dropped for the stalled one; %llu times the flood was held up",
             storm->pair_count, (unsigned long long)storm->delivered, (unsigned long long)storm->dropped,
             (unsigned long long)storm->delayed);
    soak_say(soak, "the flood: %llu publishes let through where its bucket allowed %.0f; %llu more waited in its own socket",
             (unsigned long long)storm->flood_replies, storm->flood_may,
             (unsigned long long)(storm->flood_sent - storm->flood_replies));
    soak_check(soak, storm->wrong == 0, "%llu events were lost, came twice, out of order or were refused",
               (unsigned long long)storm->wrong);
    soak_check(soak, storm->incomplete == 0, "%llu phases did not get all that was published",
               (unsigned long long)storm->incomplete);
    soak_check(soak, storm->dropped > 0, "the stalled subscriber was not stalled");
    soak_check(soak, storm->delayed > 0 && storm->flood_replies > 0, "the flood was not held up");
    soak_check(soak, (double)storm->flood_replies <= storm->flood_may, "the flood got more than its bucket holds");
    judge_move(storm, 0, "subscribers");
    judge_move(storm, 1, "publishers");
}

void soak_storm(struct soak *soak, uint64_t until_ns)
{
    struct storm *storm = calloc(1, sizeof *storm);
    if (!storm)
        abort();
    storm->soak = soak;
    snprintf(storm->folder, sizeof storm->folder, "/tmp/weir-soak-XXXXXX");
    if (!mkdtemp(storm->folder))
        abort();
    uint64_t all_ns = until_ns - soak_now_ns();
    uint32_t rounds = SOAK_SHAPES * (uint32_t)(1 + all_ns / 1000000000u / 120); /* each half a minute at most */
    for (uint32_t i = 0; i < rounds; i++) {
        uint64_t now_ns = soak_now_ns(), left_ns = until_ns > now_ns ? (until_ns - now_ns) / (rounds - i) : 0;
        run_round(storm, &soak_shapes[i % SOAK_SHAPES], now_ns + left_ns);
    }
    judge(storm);
    char path[128];
    snprintf(path, sizeof path, "%s/weir.conf", storm->folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/log", storm->folder);
    if (soak->failed == 0)
        unlink(path);
    rmdir(storm->folder);
    free(storm);
}
