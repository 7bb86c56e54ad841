/* serve/settings.c - defaults, and the checks that need more than one setting. */
#include "serve/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

void settings_init(struct settings *settings)
{
    *settings = (struct settings){
        .redis_port = 6379, .kafka_port = 9092, .log_level = WEIR_LOG_INFO, .spin_ns_max = UINT64_MAX};
    settings->redis_keepalive_ns = 300 * WEIR_S_NS; /* as Redis */
    settings->default_policy = weir_policy_default();
    settings->keep.create_unknown = true;
}

static void free_user(struct weir_resp_user *user)
{
    for (uint32_t i = 0; i < user->channel_count; i++)
        free((void *)(uintptr_t)user->channels[i]);
    free((void *)(uintptr_t)user->channels);
    free((void *)(uintptr_t)user->name);
    free((void *)(uintptr_t)user->password);
}

void settings_free(struct settings *settings)
{
    for (uint32_t i = 0; i < settings->user_count; i++)
        free_user(&settings->users[i]);
    for (uint32_t i = 0; i < settings->policy_count; i++)
        free((void *)(uintptr_t)settings->policies[i].glob);
    settings_forget_addresses(settings);
    free(settings->users);
    free(settings->policies);
    free(settings->data);
    free(settings->config);
    free(settings->advertise);
}

struct weir_resp_user *settings_user(struct settings *settings, const char *name)
{
    for (uint32_t i = 0; i < settings->user_count; i++)
        if (strcmp(settings->users[i].name, name) == 0)
            return &settings->users[i];
    struct weir_resp_user *grown = realloc(settings->users,
                                           (settings->user_count + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    settings->users = grown;
    struct weir_resp_user *user = &grown[settings->user_count];
    *user = (struct weir_resp_user){.name = strdup(name)};
    if (!user->name)
        return NULL;
    settings->user_count++;
    return user;
}

void settings_forget_addresses(struct settings *settings)
{
    while (settings->address_count > 0)
        free(settings->addresses[--settings->address_count]);
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "localhost") == 0 ||
           strcmp(address, "::1") == 0 || strcmp(address, "[::1]") == 0 ||
           strncmp(address, "unix:", 5) == 0;
}

/* Does everybody who may come in have to say a password? */
static bool asks_password(const struct settings *settings)
{
    bool default_open = true; /* Redis's `default` user, unless it is given one here */
    for (uint32_t i = 0; i < settings->user_count; i++) {
        const struct weir_resp_user *user = &settings->users[i];
        bool open = !user->disabled && !user->password;
        if (strcmp(user->name, "default") == 0)
            default_open = open;
        else if (open)
            return false;
    }
    return !default_open;
}

/* The folder is made where it is not there yet, but not the path to it: that would be a typing error's. */
static int check_data(const char *path, char *error_out, size_t error_bytes)
{
    struct stat found;
    int error = 0;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        error = errno;
    else if (stat(path, &found) != 0 || access(path, W_OK | X_OK) != 0)
        error = errno;
    else if (!S_ISDIR(found.st_mode))
        error = ENOTDIR;
    if (error)
        snprintf(error_out, error_bytes, "cannot use the data folder %s: %s", path, strerror(error));
    return error ? -EINVAL : 0;
}

int settings_check(const struct settings *settings, char *error_out, size_t error_bytes)
{
    for (uint32_t i = 0; i < settings->address_count; i++) {
        const char *address = settings->addresses[i];
        if (is_loopback(address) || asks_password(settings) || settings->insecure)
            continue;
        snprintf(error_out, error_bytes,
                 "refusing to listen on %s without a password: anyone who reaches it could read "
                 "and publish. "
                 "Set `redis: password:` in the config file (or --password-file FILE), or say "
                 "--insecure if you mean it",
                 address);
        return -EINVAL;
    }
    return settings->data ? check_data(settings->data, error_out, error_bytes) : 0;
}

bool settings_limited(const struct settings *settings)
{
    for (uint32_t i = 0; i < WEIR_LIMIT_LEVELS; i++)
        if (settings->limits[i].mode != WEIR_LIMIT_OFF)
            return true;
    return false;
}
