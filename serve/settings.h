/*
 * serve/settings.h - everything that can be set, from the command line and from a file.
 *
 * Defaults, then the file, then the command line: the later wins. One struct, owned by main, read-only once served.
 */
#ifndef WEIR_SERVE_SETTINGS_H
#define WEIR_SERVE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/runtime.h>

#include "broker/broker.h"
#include "sched/limit.h"
#include "wire/resp/resp_session.h"

#define SETTINGS_DATA "weir-data"
enum { SETTINGS_ADDRESSES_MAX = 16, SETTINGS_ERROR_BYTES = 512 };

struct settings {
    uint32_t cores; /* 0: one for each CPU */
    uint32_t io;    /* enum weir_io_kind_option */
    uint32_t io_level;
    char *data;   /* directory; NULL: SETTINGS_DATA where topics are kept */
    char *config; /* the file that was read */
    char *addresses[SETTINGS_ADDRESSES_MAX];
    uint32_t address_count;
    int32_t redis_port; /* 0: any free one, -1: no Redis */
    int32_t kafka_port; /* likewise */
    char *advertise;    /* HOST:PORT that Kafka clients are told; NULL: where each came in */
    struct weir_keep_options keep; /* its folder is `data` */
    uint32_t redis_clients_max;
    uint64_t redis_keepalive_ns;
    enum weir_log_level log_level;
    bool insecure;
    bool no_steal;
    bool busy_poll;
    bool pin;
    uint64_t spin_ns_max; /* UINT64_MAX: the default */
    uint64_t memory_bytes_max;
    uint64_t stall_budget_ns;
    uint32_t recorder_events;
    uint64_t drain_timeout_ns;
    struct weir_resp_user *users;
    uint32_t user_count;
    struct weir_policy_rule *policies;
    uint32_t policy_count;
    struct weir_policy default_policy;
    struct weir_limit_rule limits[WEIR_LIMIT_LEVELS];
};

void settings_init(struct settings *settings);
void settings_free(struct settings *settings);

/* The user of that name, made if there is none yet; NULL: no memory. */
struct weir_resp_user *settings_user(struct settings *settings, const char *name);
void settings_forget_addresses(struct settings *settings);

/* What cannot be served: a wide listen without a password, a data folder that is not there. 0, or -EINVAL with a sentence in error_out. */
int settings_check(const struct settings *settings, char *error_out, size_t error_bytes);
bool settings_limited(const struct settings *settings);

#endif
