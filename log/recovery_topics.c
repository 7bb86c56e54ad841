/*
 * log/recovery_topics.c - which topics there are: the catalog says, and the folders of those that bypass the journal.
 *
 * A topic that has partitions or batches must be in the catalog or dropped; else the catalog is not the one that belongs to
 * them, and nothing is touched. A folder that nothing names is what a drop left behind.
 * Proof: tests/log/data_test.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "log/recovery.h"

/* ---- Names of a folder ---- */

struct names {
    char **names;
    uint32_t count;
    uint32_t room;
    bool directories; /* or files */
    int error;
};

static void keep_name(void *context, const char *name, bool is_directory)
{
    struct names *names = context;
    if (is_directory != names->directories || names->error < 0)
        return;
    if (names->count == names->room) {
        uint32_t room = names->room ? names->room * 2 : 64;
        char **more = realloc(names->names, room * sizeof *more);
        if (!more) {
            names->error = -ENOMEM;
            return;
        }
        names->names = more;
        names->room = room;
    }
    names->names[names->count] = strdup(name);
    names->error = names->names[names->count] ? 0 : -ENOMEM;
    names->count += names->error == 0;
}

static void free_names(struct names *names)
{
    for (uint32_t i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
}

/* No such folder: no names. */
static int list_names(struct weir_recovery *recovery, const char *path, bool directories, struct names *names_out)
{
    *names_out = (struct names){.directories = directories};
    int result = weir_recovery_calls(recovery)->list(recovery->data->disk, path, keep_name, names_out);
    if (result == -ENOENT)
        result = 0;
    if (result == 0)
        result = names_out->error;
    return result < 0 ? weir_recovery_fail_at(recovery, result, "list", path) : 0;
}

/* ---- Asking the catalog ---- */

static bool is_known(struct weir_recovery *recovery, struct weir_found_topic *topic)
{
    const struct weir_data_options *options = recovery->options;
    if (topic->asked)
        return topic->known;
    topic->asked = true;
    topic->known = !options->topic;
    if (options->topic) {
        struct weir_data_topic answer = {.level = WEIR_LEVEL_SYNCED};
        topic->known = options->topic(options->topic_context, recovery->data, &topic->id, &answer);
        topic->level = answer.level;
    }
    recovery->known_topics += topic->known;
    return topic->known;
}

static int ask_for_partitions(struct weir_recovery *recovery)
{
    for (struct weir_found *found = recovery->first; found; found = found->next) {
        struct weir_found_topic *topic = found->topic;
        if (is_known(recovery, topic) || topic->dropped)
            continue;
        char hex[2 * sizeof topic->id.bytes + 1] = "";
        weir_bytes_put_hex(hex, topic->id.bytes, sizeof topic->id.bytes);
        return weir_recovery_fail(recovery, -EBADMSG, "%s: topic %s has data, but is neither in the catalog nor deleted",
                                  recovery->data->folder, hex);
    }
    return 0;
}

/* ---- Folders of topics that bypass the journal: a partition made in this run may be nowhere else ---- */

static bool parse_topic(const char *name, struct weir_log_id *id_out)
{
    return strlen(name) == 2 * sizeof id_out->bytes && weir_bytes_parse_hex(name, strlen(name), id_out->bytes);
}

static int add_partitions(struct weir_recovery *recovery, const struct weir_found_topic *topic)
{
    char path[WEIR_RECOVERY_PATH_BYTES];
    struct names names;
    weir_recovery_topic_path(recovery, &topic->id, path);
    int result = list_names(recovery, path, true, &names);
    for (uint32_t i = 0; i < names.count && result == 0; i++) {
        uint64_t number;
        if (weir_bytes_parse_u64(names.names[i], strlen(names.names[i]), &number) && number < UINT32_MAX &&
            !weir_recovery_partition(recovery, &topic->id, (uint32_t)number))
            result = -ENOMEM;
    }
    free_names(&names);
    return result;
}

static int look_at_folders(struct weir_recovery *recovery, int (*fn)(struct weir_recovery *, struct weir_found_topic *))
{
    char path[WEIR_RECOVERY_PATH_BYTES];
    struct names names;
    snprintf(path, sizeof path, "%s/topics", recovery->data->folder);
    int result = list_names(recovery, path, true, &names);
    for (uint32_t i = 0; i < names.count && result == 0; i++) {
        struct weir_log_id id;
        if (!parse_topic(names.names[i], &id))
            continue;
        struct weir_found_topic *topic = weir_recovery_topic(recovery, &id);
        result = topic ? fn(recovery, topic) : -ENOMEM;
    }
    free_names(&names);
    return result;
}

static int look_at_topic(struct weir_recovery *recovery, struct weir_found_topic *topic)
{
    bool bypasses = is_known(recovery, topic) && !topic->dropped && topic->level != WEIR_LEVEL_SYNCED;
    return bypasses ? add_partitions(recovery, topic) : 0;
}

int weir_recovery_ask_topics(struct weir_recovery *recovery)
{
    weir_recovery_list_rows(recovery);
    for (const struct weir_data_row *row = recovery->data->rows; row; row = row->next)
        recovery->has_catalog |= row->table == WEIR_TABLE_CATALOG;
    int result = ask_for_partitions(recovery);
    return result < 0 ? result : look_at_folders(recovery, look_at_topic);
}

/* ---- Removing ---- */

void weir_recovery_topic_path(const struct weir_recovery *recovery, const struct weir_log_id *topic, char path[WEIR_RECOVERY_PATH_BYTES])
{
    char hex[2 * sizeof topic->bytes + 1] = "";
    weir_bytes_put_hex(hex, topic->bytes, sizeof topic->bytes);
    snprintf(path, WEIR_RECOVERY_PATH_BYTES, "%s/topics/%s", recovery->data->folder, hex);
}

static int remove_all(struct weir_recovery *recovery, const char *path, bool directories,
                      int (*fn)(struct weir_recovery *recovery, const char *path))
{
    struct names names;
    int result = list_names(recovery, path, directories, &names);
    for (uint32_t i = 0; i < names.count && result == 0; i++) {
        char each[WEIR_RECOVERY_PATH_BYTES + 256];
        snprintf(each, sizeof each, "%s/%s", path, names.names[i]);
        result = fn(recovery, each);
    }
    free_names(&names);
    return result;
}

static int remove_file(struct weir_recovery *recovery, const char *path)
{
    int result = weir_recovery_calls(recovery)->unlink(recovery->data->disk, path);
    return result < 0 && result != -ENOENT ? weir_recovery_fail_at(recovery, result, "remove", path) : 0;
}

static int remove_folder(struct weir_recovery *recovery, const char *path)
{
    int result = remove_all(recovery, path, false, remove_file);
    if (result == 0)
        result = weir_recovery_calls(recovery)->rmdir(recovery->data->disk, path);
    return result < 0 && result != -ENOENT ? weir_recovery_fail_at(recovery, result, "remove", path) : 0;
}

int weir_recovery_remove_topic(struct weir_recovery *recovery, const struct weir_log_id *topic)
{
    char path[WEIR_RECOVERY_PATH_BYTES];
    weir_recovery_topic_path(recovery, topic, path);
    int result = remove_all(recovery, path, true, remove_folder);
    return result < 0 ? result : remove_folder(recovery, path);
}

static int remove_stray(struct weir_recovery *recovery, struct weir_found_topic *topic)
{
    return is_known(recovery, topic) || topic->dropped ? 0 : weir_recovery_remove_topic(recovery, &topic->id);
}

int weir_recovery_remove_strays(struct weir_recovery *recovery)
{
    if (recovery->has_catalog && recovery->known_topics == 0)
        return 0; /* somebody could not read it: then nothing is a stray */
    return look_at_folders(recovery, remove_stray);
}
