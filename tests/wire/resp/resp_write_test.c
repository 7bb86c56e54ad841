/*
 * tests/wire/resp/resp_write_test.c - replies: golden bytes in both protocols, spans of every size.
 */
#include "wire/resp/resp_write.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef void (*write_fn)(struct weir_resp_writer *writer);

/* What is written is `expected`; in too small a span nothing is, and the size is still told. */
static void check(write_fn write, uint8_t protocol, const char *expected)
{
    size_t count = strlen(expected);
    for (size_t capacity = 0; capacity <= count + 1; capacity++) {
        char *span = malloc(capacity + 1);
        memset(span, '#', capacity + 1);
        struct weir_resp_writer writer;
        weir_resp_writer_init(&writer, span, capacity, protocol);
        write(&writer);
        assert_int_equal(writer.count, count);
        assert_int_equal(weir_resp_writer_fits(&writer), capacity >= count);
        if (capacity >= count)
            assert_memory_equal(span, expected, count);
        assert_int_equal(span[capacity >= count ? count : 0], '#');
        free(span);
    }
}

#define BOTH(resp2, resp3, call) \
    do {                         \
        check(call, 2, resp2);   \
        check(call, 3, resp3);   \
    } while (0)

#define WRITE(name, ...)                         \
    static void name(struct weir_resp_writer *w) \
    {                                            \
        __VA_ARGS__;                             \
    }

WRITE(ok, weir_resp_write_status(w, "OK"))
WRITE(simple, weir_resp_write_simple(w, "a\r\nb", 4))
WRITE(error, weir_resp_write_error(w, "ERR a\n+OK", 9))
WRITE(failure, weir_resp_write_failure(w, "ERR no"))
WRITE(formatted, weir_resp_write_failuref(w, "ERR unknown '%s' %d", "a\rb", 7))
WRITE(zero, weir_resp_write_integer(w, 0))
WRITE(smallest, weir_resp_write_integer(w, INT64_MIN))
WRITE(bulk, weir_resp_write_bulk(w, "a\r\nbc", 5))
WRITE(bulk_text, weir_resp_write_bulk_text(w, "0123456789"))
WRITE(empty_bulk, weir_resp_write_bulk(w, NULL, 0))
WRITE(bulk_head, weir_resp_write_bulk_head(w, 536870912))
WRITE(null_bulk, weir_resp_write_null(w))
WRITE(null_array, weir_resp_write_null_array(w))
WRITE(array, weir_resp_write_array(w, 10))
WRITE(map, weir_resp_write_map(w, 7))
WRITE(set, weir_resp_write_set(w, 0))
WRITE(push, weir_resp_write_push(w, 3))
WRITE(yes, weir_resp_write_bool(w, true))
WRITE(no, weir_resp_write_bool(w, false))
WRITE(one_and_a_half, weir_resp_write_double(w, 1.5))
WRITE(infinite, weir_resp_write_double(w, -INFINITY))
WRITE(big, weir_resp_write_big_number(w, "123", 3))
WRITE(verbatim, weir_resp_write_verbatim(w, "txt", "hello", 5))

static void lines_are_framed_and_cannot_be_broken(void **state)
{
    (void)state;
    BOTH("+OK\r\n", "+OK\r\n", ok);
    BOTH("+a  b\r\n", "+a  b\r\n", simple);
    BOTH("-ERR a +OK\r\n", "-ERR a +OK\r\n", error);
    BOTH("-ERR no\r\n", "-ERR no\r\n", failure);
    BOTH("-ERR unknown 'a b' 7\r\n", "-ERR unknown 'a b' 7\r\n", formatted);
}

static void a_long_formatted_error_is_cut(void **state)
{
    (void)state;
    static char text[3000];
    char span[2000];
    struct weir_resp_writer writer;
    memset(text, 'x', sizeof(text) - 1);
    weir_resp_writer_init(&writer, span, sizeof(span), 2);
    weir_resp_write_failuref(&writer, "%s", text);
    assert_int_equal(writer.count, 1 + 1024 + 2);
    assert_memory_equal(span + 1023, "xx\r\n", 4);
}

static void scalars_have_the_form_of_their_protocol(void **state)
{
    (void)state;
    BOTH(":0\r\n", ":0\r\n", zero);
    BOTH(":-9223372036854775808\r\n", ":-9223372036854775808\r\n", smallest);
    BOTH("$5\r\na\r\nbc\r\n", "$5\r\na\r\nbc\r\n", bulk);
    BOTH("$10\r\n0123456789\r\n", "$10\r\n0123456789\r\n", bulk_text);
    BOTH("$0\r\n\r\n", "$0\r\n\r\n", empty_bulk);
    BOTH("$536870912\r\n", "$536870912\r\n", bulk_head);
    BOTH("$-1\r\n", "_\r\n", null_bulk);
    BOTH("*-1\r\n", "_\r\n", null_array);
    BOTH(":1\r\n", "#t\r\n", yes);
    BOTH(":0\r\n", "#f\r\n", no);
    BOTH("$3\r\n1.5\r\n", ",1.5\r\n", one_and_a_half);
    BOTH("$4\r\n-inf\r\n", ",-inf\r\n", infinite);
    BOTH("$3\r\n123\r\n", "(123\r\n", big);
    BOTH("$5\r\nhello\r\n", "=9\r\ntxt:hello\r\n", verbatim);
}

static void containers_have_the_form_of_their_protocol(void **state)
{
    (void)state;
    BOTH("*10\r\n", "*10\r\n", array);
    BOTH("*14\r\n", "%7\r\n", map);
    BOTH("*0\r\n", "~0\r\n", set);
    BOTH("*3\r\n", ">3\r\n", push);
}

static void after_a_misfit_nothing_more_is_written(void **state)
{
    (void)state;
    char span[9];
    struct weir_resp_writer writer;
    memset(span, '#', sizeof(span));
    weir_resp_writer_init(&writer, span, sizeof(span), 2);
    weir_resp_write_integer(&writer, 1);
    weir_resp_write_bulk_text(&writer, "too long");
    weir_resp_write_integer(&writer, 2);
    assert_memory_equal(span, ":1\r\n#####", 9);
    assert_int_equal(writer.count, 4 + 14 + 4);
    assert_false(weir_resp_writer_fits(&writer));
}

static void an_empty_span_measures(void **state)
{
    (void)state;
    struct weir_resp_writer writer;
    weir_resp_writer_init(&writer, NULL, 0, 3);
    weir_resp_write_push(&writer, 3);
    weir_resp_write_bulk_text(&writer, "subscribe");
    weir_resp_write_bulk_text(&writer, "a");
    weir_resp_write_integer(&writer, 1);
    assert_int_equal(writer.count, strlen(">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"));
}

/* Encoded into a block of just its size: a sanitizer sees a byte too many. */
static void check_message(const struct weir_resp_message *message, const char *expected)
{
    size_t count = strlen(expected);
    for (uint8_t protocol = 2; protocol <= 3; protocol++) {
        char *out = malloc(count);
        assert_int_equal(weir_resp_message_bytes(message), count);
        assert_int_equal(weir_resp_message_encode(message, protocol, out), count);
        assert_int_equal(out[0], protocol == 3 ? '>' : '*');
        assert_memory_equal(out + 1, expected + 1, count - 1);
        free(out);
        size_t head = count - message->payload.count - 2;
        out = malloc(head);
        assert_int_equal(weir_resp_message_head_bytes(message), head);
        assert_int_equal(weir_resp_message_head_encode(message, protocol, out), head);
        assert_memory_equal(out + 1, expected + 1, head - 1);
        free(out);
    }
}

#define SLICE(text)            \
    {                          \
        text, sizeof(text) - 1 \
    }

static void messages_are_measured_and_written_to_the_byte(void **state)
{
    (void)state;
    const struct weir_resp_message message = {
        .kind = WEIR_RESP_MESSAGE, .channel = SLICE("news"), .payload = SLICE("hello")};
    const struct weir_resp_message pmessage = {.kind = WEIR_RESP_PMESSAGE,
                                               .pattern = SLICE("n*"),
                                               .channel = SLICE("news"),
                                               .payload = SLICE("0123456789")};
    const struct weir_resp_message smessage = {
        .kind = WEIR_RESP_SMESSAGE, .channel = SLICE("s"), .payload = {NULL, 0}};
    check_message(&message, "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
    check_message(&pmessage,
                  "*4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$10\r\n0123456789\r\n");
    check_message(&smessage, "*3\r\n$8\r\nsmessage\r\n$1\r\ns\r\n$0\r\n\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_framed_and_cannot_be_broken),
        cmocka_unit_test(a_long_formatted_error_is_cut),
        cmocka_unit_test(scalars_have_the_form_of_their_protocol),
        cmocka_unit_test(containers_have_the_form_of_their_protocol),
        cmocka_unit_test(after_a_misfit_nothing_more_is_written),
        cmocka_unit_test(an_empty_span_measures),
        cmocka_unit_test(messages_are_measured_and_written_to_the_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
