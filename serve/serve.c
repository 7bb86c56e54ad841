/*
 * serve/serve.c - start everything, say ready, wait for a signal, drain.
 *
 * Signals are blocked in every thread and taken by this one with sigwaitinfo: no handler runs anywhere, but for crashes
 * (serve/crash.c) and for whoever asks a second time to end.
 * Proof: tests/serve/serve_test.py.
 */
#include "serve/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <weir/weir.h>

#ifdef WEIR_HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "base/clock.h"
#include "serve/crash.h"
#include "serve/logger.h"
#include "serve/options.h"
#include "wire/kafka/kafka_session.h"

enum {
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    SAME_ASKING_MS = 200,
    LISTEN_TRIES = 20,
    LISTEN_AGAIN_MS = 25
};

enum { FACE_REDIS, FACE_KAFKA, FACES };

struct face { /* a protocol with a port */
    const char *name;
    const char *option;
    int32_t port;                                /* -1: off */
    char addresses[SETTINGS_ADDRESSES_MAX][128]; /* "address:port", the port filled in by reactor 0 */
};

struct server {
    struct settings settings;
    struct logger logger;
    struct weir_runtime *runtime;
    struct weir_broker *broker;
    struct weir_resp_server *resp;
    struct weir_kafka_server *kafka;
    struct weir_kafka_user *kafka_users;
    struct face faces[FACES];
    bool told_why;   /* the log says why the start failed */
    bool not_opened; /* the data could not be: the end is a failure */
};

static void notify_service_manager(const char *state)
{
#ifdef WEIR_HAVE_SYSTEMD
    sd_notify(0, state);
#else
    (void)state;
#endif
}

static const char *local_reason(int error)
{
    switch (error) {
    case -EADDRINUSE:
        return "something is at that path, and it is no socket that was left behind";
    case -EACCES:
        return "not allowed to make a socket there";
    case -ENOENT:
        return "there is no such folder";
    case -EINVAL:
        return "expected unix: and a path of at most 107 bytes";
    default:
        return strerror(-error);
    }
}

static const char *reason(int error)
{
    switch (error) {
    case -EADDRINUSE:
        return "the port is taken by another process or listen address; give another, or 0 for any";
    case -EACCES:
        return "not allowed; ports below 1024 need privileges";
    case -EADDRNOTAVAIL:
        return "no interface of this machine has that address";
    case -EAFNOSUPPORT:
        return "this machine does not speak that kind of address";
    case -EINVAL:
        return "not an address; expected an IP address, * or unix:PATH, and the port by its own option";
    default:
        return strerror(-error);
    }
}

/*
 * The kernel lets the sockets of a killed io_uring go some time after the process: a restart must not find its own port
 * taken. Others wait in vain, half a second.
 */
static int listen_once(struct server *server, uint32_t which, struct weir_reactor *reactor,
                       const char *address, struct weir_tcp_listener **listener_out)
{
    return which == FACE_KAFKA ? weir_kafka_listen(server->kafka, reactor, address, listener_out)
                               : weir_resp_listen(server->resp, reactor, address, listener_out);
}

static int listen_patiently(struct server *server, uint32_t which, struct weir_reactor *reactor,
                            const char *address, struct weir_tcp_listener **listener_out)
{
    const struct timespec pause = {.tv_nsec = LISTEN_AGAIN_MS * 1000000};
    int result = listen_once(server, which, reactor, address, listener_out);
    for (uint32_t i = 0; result == -EADDRINUSE && i < LISTEN_TRIES; i++) {
        nanosleep(&pause, NULL);
        result = listen_once(server, which, reactor, address, listener_out);
    }
    return result;
}

static int listen_on(struct server *server, uint32_t which, struct weir_reactor *reactor, uint32_t place)
{
    struct face *face = &server->faces[which];
    char *address = face->addresses[place];
    bool local = strncmp(address, "unix:", 5) == 0;
    bool first = weir_reactor_index(reactor) == 0;
    if (local && (!first || which != FACE_REDIS))
        return 0; /* a path has one listener */
    struct weir_tcp_listener *listener;
    int result = listen_patiently(server, which, reactor, address, &listener);
    if (result < 0) {
        if (first)
            logger_say(&server->logger, WEIR_LOG_ERROR,
                       "msg=\"cannot listen\" address=%s why=\"%s\" option=%s", address,
                       local ? local_reason(result) : reason(result), face->option);
        server->told_why |= first;
        return result;
    }
    if (!local && first) {
        char *colon = strrchr(address, ':');
        snprintf(colon + 1, 8, "%u", weir_tcp_listener_port(listener));
    }
    return 0;
}

/* Reactor 0's comes before all others': it finds a free port, or the reason why not, and the rest share its port. */
static int on_start(struct weir_reactor *reactor, void *context)
{
    struct server *server = context;
    int result = weir_part_open(server->broker, reactor);
    for (uint32_t which = 0; which < FACES; which++)
        for (uint32_t i = 0; result == 0 && server->faces[which].port >= 0 && i < server->settings.address_count; i++)
            result = listen_on(server, which, reactor, i);
    return result;
}

static void on_stop(struct weir_reactor *reactor, void *context)
{
    (void)context;
    weir_part_close(reactor);
}

static void name_listeners(const struct settings *settings, struct face *face)
{
    for (uint32_t i = 0; i < settings->address_count; i++) {
        const char *address = settings->addresses[i];
        bool v6 = strchr(address, ':') && *address != '[';
        if (strncmp(address, "unix:", 5) == 0)
            snprintf(face->addresses[i], sizeof face->addresses[i], "%s", address);
        else
            snprintf(face->addresses[i], sizeof face->addresses[i], v6 ? "[%s]:%d" : "%s:%d", address, face->port);
    }
}

static void name_faces(struct server *server)
{
    const struct settings *settings = &server->settings;
    server->faces[FACE_REDIS] = (struct face){.name = "redis", .option = "--redis-port", .port = settings->redis_port};
    server->faces[FACE_KAFKA] = (struct face){.name = "kafka", .option = "--kafka-port", .port = settings->kafka_port};
    for (uint32_t which = 0; which < FACES; which++)
        name_listeners(settings, &server->faces[which]);
}

/* Recovery has ended, on reactor 0. */
static void on_kept(void *context, int result, const char *why)
{
    struct server *server = context;
    if (result == 0) {
        logger_say(&server->logger, WEIR_LOG_INFO, "msg=\"data open\" data=%s %s", server->settings.data, why);
        return;
    }
    logger_say(&server->logger, WEIR_LOG_ERROR, "msg=\"cannot open the data\" why=\"%s\"", why);
    server->not_opened = true;
    kill(getpid(), SIGTERM);
}

/*
 * Who has a password may log in to Kafka too, but for users of some channels: its topics know no such limit. Where
 * anybody is kept from anything, nobody comes in without a login.
 */
static int name_kafka_users(struct server *server, struct weir_kafka_settings *kafka)
{
    const struct settings *settings = &server->settings;
    server->kafka_users = calloc(settings->user_count + 1, sizeof *server->kafka_users);
    if (!server->kafka_users)
        return -ENOMEM;
    for (uint32_t i = 0; i < settings->user_count; i++) {
        const struct weir_resp_user *user = &settings->users[i];
        kafka->login_needed |= user->disabled || user->some_channels || user->password;
        if (!user->disabled && !user->some_channels && user->password)
            server->kafka_users[kafka->user_count++] = (struct weir_kafka_user){user->name, user->password};
    }
    kafka->users = server->kafka_users;
    return 0;
}

static int open_runtime(struct server *server)
{
    const struct settings *settings = &server->settings;
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = settings->cores;
    options.io = settings->io;
    options.io_level = settings->io_level;
    options.no_steal = settings->no_steal;
    options.busy_poll = settings->busy_poll;
    options.pin_cpus = settings->pin;
    options.no_spin = settings->spin_ns_max == 0;
    options.spin_ns_max = settings->spin_ns_max == UINT64_MAX ? 0 : settings->spin_ns_max;
    options.memory_bytes_max = settings->memory_bytes_max;
    options.stall_budget_ns = settings->stall_budget_ns;
    options.recorder_events = settings->recorder_events;
    options.drain_timeout_ns = settings->drain_timeout_ns;
    options.log = logger_write;
    options.log_context = &server->logger;
    options.on_start = on_start;
    options.on_stop = on_stop;
    options.context = server;
    return weir_runtime_open(&options, &server->runtime);
}

static int open_all(struct server *server)
{
    const struct settings *settings = &server->settings;
    struct weir_broker_options broker = {
        .policies = settings->policies,
        .policy_count = settings->policy_count,
        .default_policy = settings->default_policy,
    };
    memcpy(broker.limits, settings->limits, sizeof broker.limits);
    broker.keep = settings->keep;
    broker.keep.folder = settings->kafka_port >= 0 ? settings->data : NULL;
    broker.keep.on_kept = on_kept;
    broker.keep.context = server;
    struct weir_kafka_settings kafka = {.advertise = settings->advertise};
    struct weir_resp_settings resp = {
        .users = settings->users,
        .user_count = settings->user_count,
        .clients_max = settings->redis_clients_max,
        .limited = settings_limited(settings),
        .config_file = settings->config,
        .keepalive_s = (uint32_t)(settings->redis_keepalive_ns / WEIR_S_NS),
    };
    int result = open_runtime(server);
    if (result == 0)
        result = weir_broker_open(server->runtime, &broker, &server->broker);
    if (result == 0)
        result = weir_resp_server_open(server->runtime, &resp, &server->resp);
    if (result == 0)
        result = name_kafka_users(server, &kafka);
    if (result == 0)
        result = weir_kafka_server_open(server->runtime, &kafka, &server->kafka);
    if (result == 0)
        result = weir_runtime_start(server->runtime);
    return result;
}

static const char *ports_of(const struct server *server, const struct face *face, char *text, size_t text_bytes)
{
    size_t used = 0;
    for (uint32_t i = 0; face->port >= 0 && i < server->settings.address_count; i++)
        if (face == server->faces || strncmp(face->addresses[i], "unix:", 5) != 0)
            used += (size_t)snprintf(text + used, text_bytes - used, "%s%s", used ? "," : "", face->addresses[i]);
    return used ? text : "off";
}

static void say_ready(struct server *server)
{
    char redis[sizeof server->faces->addresses + 1], kafka[sizeof server->faces->addresses + 1];
    logger_say(&server->logger, WEIR_LOG_INFO, "msg=ready version=%s cores=%u redis=%s kafka=%s pid=%d",
               weir_version(), weir_runtime_reactor_count(server->runtime),
               ports_of(server, &server->faces[FACE_REDIS], redis, sizeof redis),
               ports_of(server, &server->faces[FACE_KAFKA], kafka, sizeof kafka), (int)getpid());
    notify_service_manager("READY=1");
}

/* One file for each asking: the reactors go on meanwhile. */
static void dump(struct server *server)
{
    char path[4200];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(path, sizeof path, "%s/weir-%d-%lld%03ld.trace",
             server->settings.data ? server->settings.data : ".", (int)getpid(),
             (long long)now.tv_sec, now.tv_nsec / 1000000);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int result = fd < 0 ? -errno : weir_trace_dump(server->runtime, fd);
    if (fd >= 0)
        close(fd);
    if (fd >= 0 && result < 0)
        unlink(path); /* half a dump cannot be read */
    if (result < 0)
        logger_say(&server->logger, WEIR_LOG_ERROR, "msg=\"no trace\" file=%s why=\"%s\"", path,
                   strerror(-result));
    else
        logger_say(&server->logger, WEIR_LOG_INFO, "msg=trace file=%s", path);
}

static void wait_for_end(struct server *server, const sigset_t *signals)
{
    for (;;) {
        int number = sigwaitinfo(signals, NULL);
        if (number == SIGUSR2)
            dump(server);
        if (number == SIGTERM || number == SIGINT || number == SIGHUP) {
            logger_say(&server->logger, WEIR_LOG_INFO, "msg=draining signal=%s",
                       sigabbrev_np(number));
            return;
        }
    }
}

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static volatile uint64_t first_asked_ms; /* written before the handler is there */

/* timeout(1) and others send the same signal to a process and to its group: that is one asking. */
static void on_second_signal(int number)
{
    (void)number;
    static const char text[] = "level=warn msg=\"asked again: ended without draining\"\n";
    if (clock_ms() - first_asked_ms < SAME_ASKING_MS)
        return;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(EXIT_FAILED);
    _exit(EXIT_FAILED);
}

/* From here on this thread only waits for the reactors. */
static void end_at_once_if_asked_again(void)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    struct sigaction action = {.sa_handler = on_second_signal, .sa_flags = SA_RESTART};
    sigset_t signals;
    sigemptyset(&signals);
    first_asked_ms = clock_ms();
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        sigaction(numbers[i], &action, NULL);
        sigaddset(&signals, numbers[i]);
    }
    pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
}

static void raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE,
                  &limit); /* as many as we may have; fewer only means fewer clients */
    }
}

static void block_signals(sigset_t *signals)
{
    struct sigaction hang_up;
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGUSR2);
    if (sigaction(SIGHUP, NULL, &hang_up) == 0 &&
        hang_up.sa_handler != SIG_IGN) /* nohup(1) means it */
        sigaddset(signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN); /* whoever reads the log has gone */
    signal(SIGXFSZ, SIG_IGN); /* a dump over the limit of file sizes: it is an error */
}

static int run(struct server *server)
{
    sigset_t signals;
    block_signals(&signals);
    raise_fd_limit();
    name_faces(server);
    int result = open_all(server);
    if (result < 0) {
        if (!server->told_why)
            logger_say(&server->logger, WEIR_LOG_ERROR, "msg=\"cannot start\" why=\"%s\"",
                       strerror(-result));
    } else {
        crash_watch(server->runtime, server->settings.data);
        say_ready(server);
        wait_for_end(server, &signals);
        end_at_once_if_asked_again();
        notify_service_manager("STOPPING=1");
        weir_runtime_stop(server->runtime);
        result = weir_runtime_wait(server->runtime);
        crash_watch(NULL, NULL);
    }
    weir_runtime_close(server->runtime);
    weir_resp_server_close(server->resp);
    weir_kafka_server_close(server->kafka);
    free(server->kafka_users);
    weir_broker_close(server->broker);
    if (result == 0)
        logger_say(&server->logger, WEIR_LOG_INFO, "msg=stopped");
    return result < 0 || server->not_opened ? EXIT_FAILED : 0;
}

int serve_main(int argc, char **argv)
{
    static struct server server;
    char error[SETTINGS_ERROR_BYTES] = "";
    settings_init(&server.settings);
    enum options_result options = options_read(&server.settings, argc, argv, error, sizeof error);
    int status = 0;
    if (options == OPTIONS_WRONG || options == OPTIONS_BAD_FILE) {
        const char *hint = options == OPTIONS_WRONG ? "Try 'weir serve --help'.\n" : "";
        fprintf(stderr, "weir serve: %s\n%s", error[0] ? error : "out of memory", hint);
        status = EXIT_USAGE;
    } else if (options == OPTIONS_GO) {
        if (server.settings.address_count == 0)
            server.settings.addresses[server.settings.address_count++] = strdup("127.0.0.1");
        if (!server.settings.data && server.settings.kafka_port >= 0)
            server.settings.data = strdup(SETTINGS_DATA);
        logger_init(&server.logger, server.settings.log_level);
        if (settings_check(&server.settings, error, sizeof error) < 0) {
            fprintf(stderr, "weir serve: %s\n", error);
            status = EXIT_USAGE;
        } else {
            status = run(&server);
        }
    }
    settings_free(&server.settings);
    return status;
}
