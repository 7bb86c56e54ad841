/*
 * Description: hot keys - exact while there are counters enough, and the paper's guarantees on
 * skewed streams of many more keys, against exact counts.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "sched/hotkeys.h"

enum { KEYS = 4096 };

static uint64_t chance(uint64_t *seed)
{
    *seed += 0x9e3779b97f4a7c15u;
    return weir_hash_u64(*seed, 1);
}

static void a_size_out_of_range_is_refused(void **state)
{
    (void)state;
    struct weir_hotkeys hotkeys;
    assert_int_equal(weir_hotkeys_init(&hotkeys, 0, 1), -EINVAL);
    assert_int_equal(weir_hotkeys_init(&hotkeys, WEIR_HOTKEYS_MAX + 1, 1), -EINVAL);
}

static void few_keys_are_counted_exactly_and_come_largest_first(void **state)
{
    (void)state;
    struct weir_hotkeys hotkeys;
    assert_int_equal(weir_hotkeys_init(&hotkeys, 64, 1), 0);
    for (uint64_t key = 0; key < 64; key++) {
        for (uint64_t i = 0; i < 1 + key * 7 % 64; i++)
            weir_hotkeys_note(&hotkeys, key);
    }
    struct weir_hotkey top[64];
    assert_int_equal(weir_hotkeys_top(&hotkeys, top, 10), 10);
    assert_int_equal(weir_hotkeys_top(&hotkeys, top, 64), 64);
    for (uint32_t i = 0; i < 64; i++) {
        assert_int_equal(top[i].count, 64 - i);
        assert_int_equal(top[i].count, 1 + top[i].key * 7 % 64);
        assert_int_equal(top[i].error, 0);
    }
    weir_hotkeys_reset(&hotkeys);
    assert_int_equal(weir_hotkeys_top(&hotkeys, top, 64), 0);
}

static void one_counter_follows_the_stream(void **state)
{
    (void)state;
    struct weir_hotkeys hotkeys;
    struct weir_hotkey top;
    assert_int_equal(weir_hotkeys_init(&hotkeys, 1, 1), 0);
    for (uint64_t i = 1; i <= 1000; i++) {
        weir_hotkeys_note(&hotkeys, i);
        assert_int_equal(weir_hotkeys_top(&hotkeys, &top, 1), 1);
        assert_int_equal(top.key, i);
        assert_int_equal(top.count, i);
        assert_int_equal(top.error, i - 1);
    }
}

/* Keys of a skew that varies by run: the smaller of several draws. */
static uint64_t draw(uint64_t *seed, uint64_t run)
{
    uint64_t key = KEYS;
    for (uint64_t i = 0; i <= run % 12; i++) {
        uint64_t other = chance(seed) % KEYS;
        key = other < key ? other : key;
    }
    return key;
}

static void every_promise_holds_on_skewed_streams(void **state)
{
    (void)state;
    for (uint64_t run = 1; run <= 60; run++) {
        uint64_t seed = run;
        static uint64_t exact[KEYS];
        memset(exact, 0, sizeof exact);
        static struct weir_hotkeys hotkeys;
        uint32_t size = 1 + (uint32_t)(chance(&seed) % WEIR_HOTKEYS_MAX);
        assert_int_equal(weir_hotkeys_init(&hotkeys, size, run), 0);
        uint64_t total = 1 + chance(&seed) % 50000;
        for (uint64_t i = 0; i < total; i++) {
            uint64_t key = draw(&seed, run);
            exact[key]++;
            weir_hotkeys_note(&hotkeys, key);
        }
        struct weir_hotkey top[WEIR_HOTKEYS_MAX];
        uint32_t count = weir_hotkeys_top(&hotkeys, top, WEIR_HOTKEYS_MAX);
        assert_true(count <= size);
        uint64_t sum = 0;
        static unsigned char reported[KEYS];
        memset(reported, 0, sizeof reported);
        for (uint32_t i = 0; i < count; i++) {
            assert_false(reported[top[i].key]); /* each key once */
            reported[top[i].key] = 1;
            assert_true(i == 0 || top[i].count <= top[i - 1].count);
            assert_true(top[i].count >= exact[top[i].key]);
            assert_true(top[i].count - top[i].error <= exact[top[i].key]);
            assert_true(top[i].error <= total / size);
            sum += top[i].count;
        }
        assert_int_equal(sum, total); /* every occurrence is in exactly one counter */
        for (uint64_t key = 0; key < KEYS; key++) {
            if (exact[key] > total / size && !reported[key])
                fail_msg("seed %u: key %u is missing", (unsigned)run, (unsigned)key);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_size_out_of_range_is_refused),
        cmocka_unit_test(few_keys_are_counted_exactly_and_come_largest_first),
        cmocka_unit_test(one_counter_follows_the_stream),
        cmocka_unit_test(every_promise_holds_on_skewed_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
