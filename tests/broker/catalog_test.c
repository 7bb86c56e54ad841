/* tests/broker/catalog_test.c - settings as words, topics as rows, and changes that all reactors know, over restarts. */
#include "broker_fixture.h"

#include <ftw.h>

#include "broker/catalog.h"
#include "broker/keep.h"

/* ---- Words and rows ------------------------------------------------------------------------------------- */

static bool parse(const struct weir_config_entry *entry, const char *text, struct weir_topic_config *config)
{
    return weir_config_parse(entry, text, strlen(text), config);
}

static void same_printed(const struct weir_config_entry *entry, const char *text)
{
    struct weir_topic_config config;
    char printed[64];
    weir_topic_unset(&config);
    assert_false(weir_config_is_set(entry, &config));
    assert_true(parse(entry, text, &config));
    assert_true(weir_config_is_set(entry, &config));
    weir_config_print(entry, &config, printed, sizeof printed);
    assert_string_equal(printed, text);
    weir_config_unset(entry, &config);
    assert_false(weir_config_is_set(entry, &config));
}

static void a_setting_is_printed_as_it_is_written(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < weir_config_entry_count; i++) {
        const struct weir_config_entry *entry = &weir_config_entries[i];
        char text[32];
        for (int64_t word = entry->min; entry->words && word <= entry->max; word++)
            same_printed(entry, entry->words[word]);
        for (int end = 0; !entry->words && end < 2; end++) {
            snprintf(text, sizeof text, "%lld", (long long)(end ? entry->max - (entry->max == INT64_MAX) : entry->min));
            same_printed(entry, text);
        }
        assert_ptr_equal(weir_config_find(entry->name, strlen(entry->name)), entry);
    }
}

static void what_a_setting_cannot_be_is_refused(void **state)
{
    (void)state;
    static const char *const never[] = {"", " ", "-2", "1x", "x", "99999999999999999999", "1234567890123456789012345678901234567890"};
    struct weir_topic_config config;
    for (uint32_t i = 0; i < weir_config_entry_count; i++)
        for (uint32_t j = 0; j < sizeof never / sizeof *never; j++)
            assert_false(parse(&weir_config_entries[i], never[j], &config));
    assert_null(weir_config_find("retention", 9));
}

static void names_are_what_kafka_takes(void **state)
{
    (void)state;
    char longest[251];
    memset(longest, 'a', sizeof longest);
    assert_true(weir_topic_name_legal("a.B-9_", 6));
    assert_true(weir_topic_name_legal("...", 3));
    assert_true(weir_topic_name_legal(longest, 249));
    assert_false(weir_topic_name_legal(longest, 250));
    static const char *const illegal[] = {"", ".", "..", "a/b", "a b", "a:b", "\xc3\xa4"};
    for (uint32_t i = 0; i < sizeof illegal / sizeof *illegal; i++)
        assert_false(weir_topic_name_legal(illegal[i], strlen(illegal[i])));
}

static void a_row_is_read_as_it_was_written_and_cut_never(void **state)
{
    (void)state;
    struct weir_kept_topic topic = {.id = {{1, 2, 3}}, .partition_count = 7, .internal = true, .version = 5, .name_bytes = 4, .name = "name"};
    struct weir_kept_topic read;
    uint8_t row[WEIR_CATALOG_ROW_BYTES_MAX];
    bool deleting = false;
    weir_topic_unset(&topic.config);
    topic.config.retention_ms = 1000;
    uint32_t bytes = weir_catalog_row_write(row, &topic, true);
    assert_true(weir_catalog_row_read(topic.id.bytes, sizeof topic.id.bytes, row, bytes, &read, &deleting));
    assert_true(deleting && read.internal);
    assert_int_equal(read.partition_count, 7);
    assert_int_equal(read.version, 5);
    assert_string_equal(read.name, "name");
    assert_memory_equal(&read.id, &topic.id, sizeof topic.id);
    assert_memory_equal(&read.config, &topic.config, sizeof topic.config);
    for (uint32_t cut = 0; cut < bytes; cut++)
        assert_false(weir_catalog_row_read(topic.id.bytes, sizeof topic.id.bytes, row, cut, &read, &deleting));
    assert_false(weir_catalog_row_read(topic.id.bytes, 15, row, bytes, &read, &deleting));
}

/* ---- Changes --------------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/weir-catalog-XXXXXX";

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static int make_folder(void **state)
{
    (void)state;
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A disk answers when it likes: turns until then, a minute at most. */
static void turn(struct fixture *f)
{
    for (uint32_t i = 0; i < f->reactor_count; i++)
        assert_true(weir_reactor_run_once(f->reactors[i], 1000000) >= 0);
}

static struct fixture *open_kept(uint32_t reactor_count)
{
    struct weir_broker_options options = {.keep.folder = folder};
    struct fixture *f = fixture_open(reactor_count, &options);
    for (uint32_t i = 0, ready = 0; ready < reactor_count; i++) {
        assert_true(i < 60000);
        turn(f);
        for (ready = 0; ready < reactor_count && weir_keep_ready(weir_part(f->reactors[ready]));)
            ready++;
    }
    return f;
}

static void on_done(struct weir_part *part, struct weir_catalog_change *change)
{
    (void)part;
    ++*(uint32_t *)change->context;
}

static void begin(struct fixture *f, uint32_t reactor, struct weir_catalog_change *change, enum weir_catalog_verb verb, const char *name,
                  uint32_t partition_count, uint32_t *done)
{
    memset(change, 0, sizeof *change);
    change->verb = verb;
    change->name_bytes = (uint32_t)strlen(name);
    memcpy(change->name, name, change->name_bytes);
    change->partition_count = partition_count;
    weir_topic_unset(&change->config);
    change->done = on_done;
    change->context = done;
    weir_catalog_change(weir_part(f->reactors[reactor]), change);
}

static void await(struct fixture *f, const uint32_t *done, uint32_t count)
{
    for (int i = 0; *done < count; i++) {
        assert_true(i < 60000);
        turn(f);
    }
}

static enum weir_catalog_result change(struct fixture *f, uint32_t reactor, enum weir_catalog_verb verb, const char *name,
                                       uint32_t partition_count)
{
    struct weir_catalog_change one;
    uint32_t done = 0;
    begin(f, reactor, &one, verb, name, partition_count, &done);
    await(f, &done, 1);
    return one.result;
}

/* Partitions of a topic, as every reactor knows it; 0: none does. */
static uint32_t known(struct fixture *f, const char *name)
{
    uint32_t first = 0;
    for (uint32_t i = 0; i < f->reactor_count; i++) {
        const struct weir_kept_topic *topic = weir_catalog_find(weir_part(f->reactors[i]), name, strlen(name));
        uint32_t count = topic ? topic->partition_count : 0;
        if (i == 0)
            first = count;
        assert_int_equal(count, first);
    }
    return first;
}

static void a_change_that_is_done_is_known_to_all(void **state)
{
    (void)state;
    struct fixture *f = open_kept(3);
    assert_int_equal(change(f, 2, WEIR_CATALOG_CREATE, "one", 4), WEIR_CATALOG_DONE);
    assert_int_equal(known(f, "one"), 4);
    assert_int_equal(change(f, 1, WEIR_CATALOG_CREATE, "one", 4), WEIR_CATALOG_EXISTS);
    assert_int_equal(change(f, 1, WEIR_CATALOG_CREATE, "a/b", 4), WEIR_CATALOG_BAD_NAME);
    assert_int_equal(change(f, 1, WEIR_CATALOG_CREATE, "two", WEIR_PARTITIONS_MAX + 1), WEIR_CATALOG_BAD_COUNT);
    assert_int_equal(change(f, 0, WEIR_CATALOG_GROW, "one", 4), WEIR_CATALOG_BAD_COUNT);
    assert_int_equal(change(f, 0, WEIR_CATALOG_GROW, "one", 9), WEIR_CATALOG_DONE);
    assert_int_equal(known(f, "one"), 9);
    assert_int_equal(change(f, 1, WEIR_CATALOG_DELETE, "one", 0), WEIR_CATALOG_DONE);
    assert_int_equal(known(f, "one"), 0);
    assert_int_equal(change(f, 1, WEIR_CATALOG_DELETE, "one", 0), WEIR_CATALOG_UNKNOWN);
    assert_int_equal(change(f, 1, WEIR_CATALOG_GROW, "one", 10), WEIR_CATALOG_UNKNOWN);
    fixture_close(f);
}

static void of_two_that_make_one_topic_at_once_one_does(void **state)
{
    (void)state;
    struct fixture *f = open_kept(3);
    for (uint32_t round = 0; round < 10; round++) {
        struct weir_catalog_change changes[6];
        uint32_t done = 0, made = 0;
        for (uint32_t i = 0; i < 6; i++)
            begin(f, (i + round) % 3, &changes[i], WEIR_CATALOG_CREATE, "same", i + 1, &done);
        await(f, &done, 6);
        for (uint32_t i = 0; i < 6; i++) {
            assert_true(changes[i].result == WEIR_CATALOG_DONE || changes[i].result == WEIR_CATALOG_EXISTS);
            made += changes[i].result == WEIR_CATALOG_DONE;
            if (changes[i].result == WEIR_CATALOG_DONE)
                assert_int_equal(known(f, "same"), i + 1);
        }
        assert_int_equal(made, 1);
        assert_int_equal(change(f, round % 3, WEIR_CATALOG_DELETE, "same", 0), WEIR_CATALOG_DONE);
    }
    fixture_close(f);
}

static void changes_are_there_after_a_restart(void **state)
{
    (void)state;
    struct weir_log_id id;
    struct fixture *f = open_kept(3);
    assert_int_equal(change(f, 0, WEIR_CATALOG_CREATE, "stays", 2), WEIR_CATALOG_DONE);
    assert_int_equal(change(f, 0, WEIR_CATALOG_CREATE, "goes", 2), WEIR_CATALOG_DONE);
    assert_int_equal(change(f, 0, WEIR_CATALOG_GROW, "stays", 5), WEIR_CATALOG_DONE);
    assert_int_equal(change(f, 0, WEIR_CATALOG_DELETE, "goes", 0), WEIR_CATALOG_DONE);
    id = weir_catalog_find(weir_part(f->reactors[0]), "stays", 5)->id;
    fixture_close(f);
    f = open_kept(2);
    assert_int_equal(known(f, "stays"), 5);
    assert_int_equal(known(f, "goes"), 0);
    assert_memory_equal(&weir_catalog_find(weir_part(f->reactors[1]), "stays", 5)->id, &id, sizeof id);
    assert_int_equal(change(f, 1, WEIR_CATALOG_CREATE, "goes", 1), WEIR_CATALOG_DONE);
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_setting_is_printed_as_it_is_written),
        cmocka_unit_test(what_a_setting_cannot_be_is_refused),
        cmocka_unit_test(names_are_what_kafka_takes),
        cmocka_unit_test(a_row_is_read_as_it_was_written_and_cut_never),
        cmocka_unit_test_setup_teardown(a_change_that_is_done_is_known_to_all, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(of_two_that_make_one_topic_at_once_one_does, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(changes_are_there_after_a_restart, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
