/* serve/options.c - see the header; the words are docs/man/weir-serve.1's. Proof: tests/serve/options_test.py. */
#include "serve/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/base.h>

#include "serve/config.h"
#include "serve/typo.h"
#include "serve/units.h"

enum {
    OPT_IO = 256,
    OPT_IO_LEVEL,
    OPT_INSECURE,
    OPT_LOG_LEVEL,
    OPT_PASSWORD_FILE,
    OPT_KAFKA_PORT,
    OPT_ADVERTISE,
    OPT_NO_STEAL,
    OPT_SPIN,
    OPT_BUSY_POLL,
    OPT_PIN
};

static const struct option long_options[] = {
    {"cores", required_argument, NULL, 'n'},
    {"data", required_argument, NULL, 'd'},
    {"redis-port", required_argument, NULL, 'p'},
    {"kafka-port", required_argument, NULL, OPT_KAFKA_PORT},
    {"advertise", required_argument, NULL, OPT_ADVERTISE},
    {"listen", required_argument, NULL, 'l'},
    {"config", required_argument, NULL, 'c'},
    {"io", required_argument, NULL, OPT_IO},
    {"io-level", required_argument, NULL, OPT_IO_LEVEL},
    {"password-file", required_argument, NULL, OPT_PASSWORD_FILE},
    {"insecure", no_argument, NULL, OPT_INSECURE},
    {"log-level", required_argument, NULL, OPT_LOG_LEVEL},
    {"no-steal", no_argument, NULL, OPT_NO_STEAL},
    {"spin", required_argument, NULL, OPT_SPIN},
    {"busy-poll", no_argument, NULL, OPT_BUSY_POLL},
    {"pin", no_argument, NULL, OPT_PIN},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static const char short_options[] = ":n:d:p:l:c:hV";

static const char help[] =
    "Usage: weir serve [OPTION]...\n"
    "Serve topics to Redis and Kafka clients, on every core. No option is needed.\n"
    "\n"
    "  -n, --cores N            reactors, one a core (default: the CPUs this process may use)\n"
    "  -d, --data DIR           where topics are kept, and crash dumps go (default: weir-data)\n"
    "  -p, --redis-port PORT    port for Redis clients; 0: any free one, off: none (default: "
    "6379)\n"
    "      --kafka-port PORT    port for Kafka clients; 0: any free one, off: none (default: 9092)\n"
    "      --advertise HOST:PORT  where Kafka clients are told to connect (default: where they did)\n"
    "  -l, --listen ADDRESS     where to listen, may be given again; an IP address, *, or "
    "unix:PATH\n"
    "                           (default: 127.0.0.1)\n"
    "  -c, --config FILE        settings in YAML, see weir.conf(5); the command line wins\n"
    "      --password-file FILE the password that clients must give: the file's first line\n"
    "      --insecure           allow a wide --listen without a password\n"
    "      --io auto|uring|epoll  how to talk to the kernel (default: auto)\n"
    "      --io-level 6.1       use only what that Linux had, for comparison\n"
    "      --spin TIME          longest spin before a reactor sleeps, 0: none (default: 50us)\n"
    "      --busy-poll          never sleep: for machines that are weir's alone\n"
    "      --pin                reactor i stays on the i-th CPU\n"
    "      --no-steal           idle reactors do not take over work\n"
    "      --log-level LEVEL    debug, info, warn or error (default: info)\n"
    "  -h, --help               this text\n"
    "  -V, --version            the version\n"
    "\n"
    "Examples:\n"
    "  weir serve\n"
    "  weir serve --cores 4 --redis-port 6380\n"
    "  weir serve --listen '*' --password-file /etc/weir/password\n"
    "  weir serve --config /etc/weir/weir.conf\n"
    "\n"
    "SIGTERM and SIGINT drain and stop, a second one ends at once; SIGUSR2 writes the flight "
    "recorder\n"
    "(see weir-trace(1)).\n"
    "Exit status: 0 after a stop, 1 when it could not start or drain, 2 for wrong options or "
    "settings.\n";

struct complaint {
    char *text;
    size_t bytes;
};

static bool wrong(struct complaint complaint, const char *option, const char *value,
                  const char *mend)
{
    snprintf(complaint.text, complaint.bytes, "--%s %s: %s", option, value, mend);
    return false;
}

static bool take_cores(struct settings *settings, const char *value, struct complaint complaint)
{
    uint64_t cores;
    if (!units_whole(value, &cores) || cores < 1 || cores > 128)
        return wrong(complaint, "cores", value, "expected a number from 1 to 128");
    settings->cores = (uint32_t)cores;
    return true;
}

static bool take_port(const char *option, int32_t *port_out, const char *value, struct complaint complaint)
{
    uint64_t port;
    if (strcmp(value, "off") == 0) {
        *port_out = -1;
        return true;
    }
    if (!units_whole(value, &port) || port > 65535)
        return wrong(complaint, option, value, "expected a port from 0 to 65535, or off");
    *port_out = (int32_t)port;
    return true;
}

static bool take_advertise(struct settings *settings, const char *value, struct complaint complaint)
{
    const char *colon = strrchr(value, ':');
    uint64_t port;
    if (!colon || colon == value || !units_whole(colon + 1, &port) || port < 1 || port > 65535)
        return wrong(complaint, "advertise", value, "expected HOST:PORT, such as broker.example.org:9092");
    free(settings->advertise);
    settings->advertise = strdup(value);
    return settings->advertise != NULL;
}

static bool take_io(struct settings *settings, const char *value, struct complaint complaint)
{
    static const char *const names[] = {
        [WEIR_IO_AUTO] = "auto", [WEIR_IO_URING] = "uring", [WEIR_IO_EPOLL] = "epoll"};
    for (uint32_t i = 0; i < 3; i++)
        if (strcmp(value, names[i]) == 0) {
            settings->io = i;
            return true;
        }
    return wrong(complaint, "io", value, "expected auto, uring or epoll");
}

static bool take_io_level(struct settings *settings, const char *value, struct complaint complaint)
{
    if (strcmp(value, "6.1") != 0)
        return wrong(complaint, "io-level", value,
                     "expected 6.1, the oldest kernel that weir is tested for");
    settings->io_level = 601;
    return true;
}

static bool take_log_level(struct settings *settings, const char *value, struct complaint complaint)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (uint32_t i = 0; i < 4; i++)
        if (strcmp(value, names[i]) == 0) {
            settings->log_level = (enum weir_log_level)i;
            return true;
        }
    return wrong(complaint, "log-level", value, "expected debug, info, warn or error");
}

static bool take_spin(struct settings *settings, const char *value, struct complaint complaint)
{
    return units_ns(value, &settings->spin_ns_max) ||
           wrong(complaint, "spin", value, "expected a time with its unit, such as 50us, or 0");
}

static bool take_password_file(struct settings *settings, const char *path,
                               struct complaint complaint)
{
    char line[512];
    FILE *file = fopen(path, "re");
    if (!file)
        return wrong(complaint, "password-file", path, strerror(errno));
    char *got = fgets(line, sizeof line, file);
    fclose(file);
    if (got)
        line[strcspn(line, "\r\n")] = '\0';
    if (!got || !*line)
        return wrong(complaint, "password-file", path, "its first line is empty");
    struct weir_resp_user *user = settings_user(settings, "default");
    if (!user)
        return false;
    free((void *)(uintptr_t)user->password);
    user->password = strdup(line);
    return user->password != NULL;
}

static bool take_address(struct settings *settings, const char *value, struct complaint complaint)
{
    if (settings->address_count == SETTINGS_ADDRESSES_MAX)
        return wrong(complaint, "listen", value, "too many addresses");
    if (!*value)
        return wrong(complaint, "listen", "''", "expected an IP address, * or unix:PATH");
    settings->addresses[settings->address_count] = strdup(value);
    return settings->addresses[settings->address_count++] != NULL;
}

static bool take_data(struct settings *settings, const char *value, struct complaint complaint)
{
    if (!*value)
        return wrong(complaint, "data", "''", "expected a folder");
    free(settings->data);
    settings->data = strdup(value);
    return settings->data != NULL;
}

static bool take(struct settings *settings, int option, const char *value,
                 struct complaint complaint)
{
    switch (option) {
    case 'n':
        return take_cores(settings, value, complaint);
    case 'd':
        return take_data(settings, value, complaint);
    case 'p':
        return take_port("redis-port", &settings->redis_port, value, complaint);
    case OPT_KAFKA_PORT:
        return take_port("kafka-port", &settings->kafka_port, value, complaint);
    case OPT_ADVERTISE:
        return take_advertise(settings, value, complaint);
    case 'l':
        return take_address(settings, value, complaint);
    case OPT_IO:
        return take_io(settings, value, complaint);
    case OPT_IO_LEVEL:
        return take_io_level(settings, value, complaint);
    case OPT_LOG_LEVEL:
        return take_log_level(settings, value, complaint);
    case OPT_SPIN:
        return take_spin(settings, value, complaint);
    case OPT_PASSWORD_FILE:
        return take_password_file(settings, value, complaint);
    case OPT_INSECURE:
        settings->insecure = true;
        return true;
    case OPT_NO_STEAL:
        settings->no_steal = true;
        return true;
    case OPT_BUSY_POLL:
        settings->busy_poll = true;
        return true;
    case OPT_PIN:
        settings->pin = true;
        return true;
    default:
        return true; /* --config: taken before */
    }
}

/* `text` begins with two dashes: a name that is none, or begins more than one. */
static void unknown_long(const char *text, struct complaint complaint)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(text + 2, "="), text + 2);
    struct typo typo;
    typo_init(&typo, name);
    for (const struct option *option = long_options; option->name; option++) {
        typo_try(&typo, option->name);
        if (*name && strncmp(option->name, name, strlen(name)) == 0)
            typo.best = option->name;
    }
    if (typo_best(&typo))
        snprintf(complaint.text, complaint.bytes, "unknown option --%s; did you mean --%s?", name,
                 typo_best(&typo));
    else
        snprintf(complaint.text, complaint.bytes, "unknown option --%s", name);
}

static enum options_result unknown(char **argv, int option, struct complaint complaint)
{
    const char *text = argv[optind - 1];
    if (option == ':')
        snprintf(complaint.text, complaint.bytes, "%s needs a value", text);
    else if (strncmp(text, "--", 2) == 0 && optopt == 0)
        unknown_long(text, complaint);
    else if (strncmp(text, "--", 2) == 0)
        snprintf(complaint.text, complaint.bytes, "%.*s takes no value", (int)strcspn(text, "="),
                 text);
    else
        snprintf(complaint.text, complaint.bytes, "unknown option -%c", optopt);
    return OPTIONS_WRONG;
}

/* The whole line is looked at once before anything is taken: who asks for help gets it. The last --config counts. */
static enum options_result look_through(int argc, char **argv, const char **config_out,
                                        struct complaint complaint)
{
    optind = 1;
    for (int option; (option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1;) {
        if (option == '?' || option == ':')
            return unknown(argv, option, complaint);
        if (option == 'h') {
            fputs(help, stdout);
            return OPTIONS_DONE;
        }
        if (option == 'V') {
            printf("weir %s\n", weir_version());
            return OPTIONS_DONE;
        }
        if (option == 'c')
            *config_out = optarg;
    }
    if (optind < argc) {
        snprintf(complaint.text, complaint.bytes, "unexpected word '%s'", argv[optind]);
        return OPTIONS_WRONG;
    }
    return OPTIONS_GO;
}

enum options_result options_read(struct settings *settings, int argc, char **argv, char *error_out,
                                 size_t error_bytes)
{
    struct complaint complaint = {error_out, error_bytes};
    const char *config = NULL;
    opterr = 0;
    enum options_result result = look_through(argc, argv, &config, complaint);
    if (result != OPTIONS_GO)
        return result;
    if (config && config_read(settings, config, complaint.text, complaint.bytes) < 0)
        return OPTIONS_BAD_FILE;
    bool own_addresses = false;
    optind = 1;
    for (int option; (option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1;) {
        if (option == 'l' && !own_addresses) { /* the command line's addresses replace the file's */
            settings_forget_addresses(settings);
            own_addresses = true;
        }
        if (!take(settings, option, optarg, complaint))
            return OPTIONS_WRONG;
    }
    return OPTIONS_GO;
}
