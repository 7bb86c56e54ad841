/*
 * tests/serve/config_test.c - files of settings, good and bad: what they set, or the line and the words they are refused with.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "serve/config.h"
#include "serve/settings.h"

/* The file is the test's own for the length of one reading; its name is cut off the complaint. */
static int read_bytes(struct settings *settings, const char *bytes, size_t byte_count,
                      char error[SETTINGS_ERROR_BYTES])
{
    char path[] = "/tmp/weir-config-XXXXXX", whole[SETTINGS_ERROR_BYTES] = "";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, byte_count), byte_count);
    close(fd);
    settings_init(settings);
    int result = config_read(settings, path, whole, sizeof whole);
    unlink(path);
    const char *rest = strncmp(whole, path, strlen(path)) == 0 ? whole + strlen(path) + 1 : whole;
    snprintf(error, SETTINGS_ERROR_BYTES, "%s", rest);
    return result;
}

static int read_text(struct settings *settings, const char *text, char error[SETTINGS_ERROR_BYTES])
{
    return read_bytes(settings, text, strlen(text), error);
}

static struct settings good(const char *text)
{
    struct settings settings;
    char error[SETTINGS_ERROR_BYTES];
    if (read_text(&settings, text, error) < 0)
        fail_msg("refused: %s\n%s", error, text);
    return settings;
}

static void everything_can_be_set(void **state)
{
    (void)state;
    struct settings s = good("cores: 3\n"
                             "data: /var/lib/weir\n"
                             "io: epoll\n"
                             "listen: [127.0.0.1, \"::1\", \"unix:/run/weir.sock\"]\n"
                             "log_level: warn\n"
                             "memory: 256mb\n"
                             "spin: 20us\n"
                             "stall_budget: 5ms\n"
                             "drain_timeout: 10s\n"
                             "pin: yes\n"
                             "busy_poll: on\n"
                             "redis:\n"
                             "  port: 6380\n"
                             "  password: secret word\n"
                             "  max_clients: 500\n"
                             "  tcp_keepalive: 2m\n");
    assert_int_equal(s.cores, 3);
    assert_string_equal(s.data, "/var/lib/weir");
    assert_int_equal(s.io, WEIR_IO_EPOLL);
    assert_int_equal(s.address_count, 3);
    assert_string_equal(s.addresses[1], "::1");
    assert_int_equal(s.log_level, WEIR_LOG_WARN);
    assert_int_equal(s.memory_bytes_max, 256 << 20);
    assert_int_equal(s.spin_ns_max, 20000);
    assert_int_equal(s.stall_budget_ns, 5000000);
    assert_int_equal(s.drain_timeout_ns, 10000000000);
    assert_true(s.pin && s.busy_poll);
    assert_int_equal(s.redis_port, 6380);
    assert_int_equal(s.redis_clients_max, 500);
    assert_int_equal(s.redis_keepalive_ns, 120000000000);
    assert_int_equal(s.user_count, 1);
    assert_string_equal(s.users[0].name, "default");
    assert_string_equal(s.users[0].password, "secret word");
    settings_free(&s);
}

static void users_have_passwords_and_channels(void **state)
{
    (void)state;
    struct settings s = good("users:\n"
                             "  alice: {password: wonder, channels: [\"news.*\", tea]}\n"
                             "  bob: {password: builder, disabled: yes}\n"
                             "  carol: {password: x, channels: []}\n");
    assert_int_equal(s.user_count, 3);
    assert_true(s.users[0].some_channels);
    assert_int_equal(s.users[0].channel_count, 2);
    assert_string_equal(s.users[0].channels[0], "news.*");
    assert_true(s.users[1].disabled && !s.users[1].some_channels);
    assert_true(s.users[2].some_channels);
    assert_int_equal(s.users[2].channel_count, 0);
    settings_free(&s);
}

static void limits_have_a_rate_a_burst_and_a_mode(void **state)
{
    (void)state;
    struct settings s = good("publish_limits:\n"
                             "  address: {rate: 10k}\n"
                             "  topic: {mode: police, burst: 5, rate: 100}\n"
                             "  process: {rate: 1m, mode: observe}\n");
    const struct weir_limit_rule *limits = s.limits;
    assert_int_equal(limits[WEIR_LIMIT_CLIENT].mode, WEIR_LIMIT_SHAPE);
    assert_int_equal(limits[WEIR_LIMIT_CLIENT].tokens_per_s, 10000);
    assert_int_equal(limits[WEIR_LIMIT_CLIENT].burst_tokens, 10000);
    assert_int_equal(limits[WEIR_LIMIT_TOPIC].mode, WEIR_LIMIT_POLICE);
    assert_int_equal(limits[WEIR_LIMIT_TOPIC].burst_tokens, 5);
    assert_int_equal(limits[WEIR_LIMIT_PROCESS].mode, WEIR_LIMIT_OBSERVE);
    assert_true(settings_limited(&s));
    settings_free(&s);
}

static void topics_inherit_the_defaults_wherever_those_stand(void **state)
{
    (void)state;
    static const char topics[] =
        "topics:\n  \"quotes.*\": {slow: drop-oldest}\n  \"*\": {window: 1mb}\n";
    static const char defaults[] =
        "slow_subscribers: {slow: pause, window: 2mb, soft_window: 1500kb, no_progress: 9s}\n";
    char text[512];
    for (int below = 0; below < 2; below++) {
        snprintf(text, sizeof text, "%s%s", below ? topics : defaults, below ? defaults : topics);
        struct settings s = good(text);
        assert_int_equal(s.policy_count, 2);
        const struct weir_policy *quotes = &s.policies[0].policy, *rest = &s.policies[1].policy;
        assert_string_equal(s.policies[0].glob, "quotes.*");
        assert_int_equal(quotes->action, WEIR_POLICY_DROP_OLDEST);
        assert_int_equal(quotes->hard_bytes, 2 << 20);
        assert_int_equal(quotes->stuck_ns, 9000000000);
        assert_int_equal(rest->action, WEIR_POLICY_PAUSE);
        assert_int_equal(rest->hard_bytes, 1 << 20);
        assert_int_equal(rest->soft_bytes, 0); /* the inherited one no longer fits */
        settings_free(&s);
    }
}

static void the_order_of_keys_does_not_matter(void **state)
{
    (void)state;
    static const char *const texts[] = {"slow_subscribers: {soft_window: 16mb, window: 64mb}\n",
                                        "slow_subscribers: {window: 64mb, soft_window: 16mb}\n"};
    for (int i = 0; i < 2; i++) {
        struct settings s = good(texts[i]);
        assert_int_equal(s.default_policy.hard_bytes, 64 << 20);
        assert_int_equal(s.default_policy.soft_bytes, 16 << 20);
        settings_free(&s);
    }
}

static void an_empty_file_sets_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n\n", "# only a comment\n", "---\n...\n", "--- \n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct settings s, fresh;
        char error[SETTINGS_ERROR_BYTES];
        int result = read_text(&s, texts[i], error);
        settings_init(&fresh);
        assert_int_equal(result, 0);
        assert_int_equal(s.redis_port, fresh.redis_port);
        assert_int_equal(s.address_count, 0);
        settings_free(&s);
    }
}

/* "line: words" as the complaint says it, without the file's name. */
static const struct {
    const char *text;
    const char *complaint;
} bad[] = {
    {"core: 2\n", "1: unknown key 'core'; did you mean 'cores'?"},
    {"\n\n# x\nzebra: 2\n",
     "4: unknown key 'zebra'; known here: cores, data, io, listen, log_level, memory, spin, "
     "stall_budget, drain_timeout, pin, busy_poll, redis, kafka, kept_topics, users, slow_subscribers, topics, "
     "publish_limits"},
    {"cores: 0\n", "1: cores: expected a number from 1 to 128"},
    {"cores: 129\n", "1: cores: expected a number from 1 to 128"},
    {"cores: two\n", "1: cores: expected a number from 1 to 128"},
    {"cores: -1\n", "1: cores: expected a number from 1 to 128"},
    {"cores:\n", "1: cores: expected a number from 1 to 128"},
    {"cores: [1, 2]\n", "1: cores: expected a number from 1 to 128"},
    {"cores: 2\ncores: 3\n", "2: 'cores' is given twice, first on line 1"},
    {"data: ''\n", "1: data: expected text"},
    {"io: kqueue\n", "1: io: expected auto, uring or epoll"},
    {"log_level: loud\n", "1: log_level: expected debug, info, warn or error"},
    {"memory: lots\n", "1: memory: expected a size such as 64kb, 8mb, 1gb"},
    {"spin: 50\n", "1: spin: expected a time with its unit, such as 250us, 100ms, 60s"},
    {"pin: 2\n", "1: pin: expected yes or no"},
    {"listen: {a: b}\n", "1: listen: expected text"},
    {"listen: [a, [b]]\n", "1: listen: expected text"},
    {"listen: [a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q]\n", "1: listen: at most 16 addresses"},
    {"redis: 6379\n", "1: redis: expected keys and values here (`key: value`, indented)"},
    {"redis:\n  prot: 1\n", "2: unknown key 'prot'; did you mean 'port'?"},
    {"redis:\n  port: 65536\n", "2: port: expected a number from 0 to 65535"},
    {"redis:\n  port: 6k\n", "2: port: expected a number from 0 to 65535"},
    {"redis:\n  max_clients: 0\n", "2: max_clients: expected a number from 1 to 10000000"},
    {"redis:\n  tcp_keepalive: 10ms\n", "2: tcp_keepalive: expected a time from 1s to 9h, or 0"},
    {"redis:\n  tcp_keepalive: 10h\n", "2: tcp_keepalive: expected a time from 1s to 9h, or 0"},
    {"redis: {port: 1}\nio: auto\nredis: {port: 2}\n",
     "3: 'redis' is given twice, first on line 1"},
    {"users: [alice]\n", "1: users: expected users by name (`alice: {password: ...}`)"},
    {"users:\n  alice:\n    pasword: x\n", "3: unknown key 'pasword'; did you mean 'password'?"},
    {"users:\n  alice: {channels: news}\n",
     "2: channels: expected a list of globs, such as [\"news.*\"]"},
    {"users:\n  alice: {password: a}\n  bob: {password: b}\n  alice: {password: c}\n",
     "4: 'alice' is given twice, first on line 2"},
    {"slow_subscribers:\n  slow: drop\n",
     "2: slow: expected close, drop-oldest, drop-newest or pause"},
    {"slow_subscribers:\n  window: 1kb\n", "2: window: expected at least 4kb"},
    {"slow_subscribers:\n  soft_window: 16mb\n  window: 8mb\n",
     "2: soft_window: expected no more than window"},
    {"topics:\n  - a\n",
     "2: topics: expected globs over topic names (`\"quotes.*\": {slow: drop-oldest}`)"},
    {"topics:\n  a: {slow: close}\n  b: {slow: close}\n  a: {slow: pause}\n",
     "4: 'a' is given twice, first on line 2"},
    {"topics:\n  \"quotes.*\":\n    windw: 1mb\n",
     "3: unknown key 'windw'; did you mean 'window'?"},
    {"publish_limits:\n  client: {rate: 1}\n",
     "2: unknown key 'client'; known here: address, topic, process"},
    {"publish_limits:\n  topic: {burst: 5}\n", "2: a limit needs its `rate:`, in events a second"},
    {"publish_limits:\n  topic: {rate: 0}\n", "2: rate: expected a number from 1 to 1000000000"},
    {"publish_limits:\n  topic: {rate: 5, mode: slow}\n",
     "2: mode: expected shape (delay), police (reject) or observe (count only)"},
    {"- cores\n", "1: expected keys and values here (`key: value`, indented)"},
    {"cores\n", "1: expected keys and values here (`key: value`, indented)"},
    {"redis:\n\tport: 1\n",
     "2: found character that cannot start any token (indent with spaces, not with tabs)"},
    {"io: auto\nlisten: *\n", "2: did not find expected alphabetic or numeric character (put a "
                              "value that begins with * or & in quotes)"},
    {"redis: {port: 1\nio: auto\n", "2: did not find expected ',' or '}'"},
    {"a: 'b\n", "2: found unexpected end of stream"},
    {"cores: 1\n---\ncores: 2\n", "3: a second document (---) in one file"},
    {"[a]: 1\n",
     "1: unknown key '?'; known here: cores, data, io, listen, log_level, memory, spin, "
     "stall_budget, "
     "drain_timeout, pin, busy_poll, redis, kafka, kept_topics, users, slow_subscribers, topics, publish_limits"},
    {"&a cores: *b\n", "1: found undefined alias"},
};

static void a_mistake_is_named_with_its_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct settings s;
        char error[SETTINGS_ERROR_BYTES];
        int result = read_text(&s, bad[i].text, error);
        if (result >= 0)
            fail_msg("taken:\n%s", bad[i].text);
        if (strcmp(error, bad[i].complaint) != 0)
            fail_msg("for:\n%s\nexpected %s\ngot      %s", bad[i].text, bad[i].complaint, error);
        settings_free(&s);
    }
}

static void bytes_that_are_no_text_are_refused(void **state)
{
    (void)state;
    struct settings s;
    char error[SETTINGS_ERROR_BYTES];
    static const char latin[] = "cores: 1\ndata: caf\xe9\n", zero[] = "cores: 1\n\0";
    assert_int_equal(read_bytes(&s, latin, sizeof latin - 1, error), -22);
    assert_non_null(strstr(error, "UTF-8"));
    settings_free(&s);
    assert_int_equal(read_bytes(&s, zero, sizeof zero - 1, error), -22);
    settings_free(&s);
}

static void a_file_that_cannot_be_read_is_a_sentence(void **state)
{
    (void)state;
    struct settings s;
    char error[SETTINGS_ERROR_BYTES];
    settings_init(&s);
    assert_int_equal(config_read(&s, "/nowhere/weir.conf", error, sizeof error), -2);
    assert_string_equal(error, "cannot read /nowhere/weir.conf: No such file or directory");
    assert_int_equal(config_read(&s, "/tmp", error, sizeof error), -21);
    assert_string_equal(error, "cannot read /tmp: Is a directory");
    settings_free(&s);
}

/* Whatever is cut off or changed, it is taken or refused, and nothing leaks: for the sanitizers. */
static void a_damaged_file_is_taken_or_refused(void **state)
{
    (void)state;
    static const char text[] =
        "cores: 2\nlisten: [127.0.0.1, \"::1\"]\nredis: {port: 0, password: x}\n"
        "users:\n  a: {password: b, channels: [c, d]}\ntopics:\n  \"q.*\": {slow: pause}\n"
        "publish_limits: {topic: {rate: 5}}\n";
    char changed[sizeof text], error[SETTINGS_ERROR_BYTES];
    for (size_t i = 0; i < sizeof text - 1; i++)
        for (const char *put = "\n{[:'&*-\t\xff"; *put; put++) {
            struct settings s;
            memcpy(changed, text, sizeof text);
            changed[i] = *put;
            int result = read_bytes(&s, changed, sizeof text - 1, error);
            assert_true(result == 0 || *error);
            settings_free(&s);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_can_be_set),
        cmocka_unit_test(users_have_passwords_and_channels),
        cmocka_unit_test(limits_have_a_rate_a_burst_and_a_mode),
        cmocka_unit_test(topics_inherit_the_defaults_wherever_those_stand),
        cmocka_unit_test(the_order_of_keys_does_not_matter),
        cmocka_unit_test(an_empty_file_sets_nothing),
        cmocka_unit_test(a_mistake_is_named_with_its_line),
        cmocka_unit_test(bytes_that_are_no_text_are_refused),
        cmocka_unit_test(a_file_that_cannot_be_read_is_a_sentence),
        cmocka_unit_test(a_damaged_file_is_taken_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
