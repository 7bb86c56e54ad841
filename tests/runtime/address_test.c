/* tests/runtime/address_test.c - addresses from text and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "runtime/address.h"

static void what_is_written_is_printed_back(void **state)
{
    static const char *const texts[][2] = {
        {"127.0.0.1:80", "127.0.0.1:80"},   {"0.0.0.0:0", "0.0.0.0:0"},       {"*:6379", "0.0.0.0:6379"},
        {":6379", "0.0.0.0:6379"},          {"localhost:1", "127.0.0.1:1"},   {"255.255.255.255:65535", "255.255.255.255:65535"},
        {"[::1]:443", "[::1]:443"},         {"[::]:0", "[::]:0"},             {"[2001:db8::7]:9", "[2001:db8::7]:9"},
        {"unix:/run/x.sock", "unix:/run/x.sock"}, {"unix:relative", "unix:relative"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct weir_address address;
        char text[128];
        assert_int_equal(weir_address_parse(texts[i][0], &address), 0);
        weir_address_print(weir_address_sockaddr(&address), address.byte_count, text, sizeof text);
        assert_string_equal(text, texts[i][1]);
    }
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const texts[] = {
        "", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 1", "127.0.0.1:1x", "127.0.0.1:65536",
        "127.0.0.1:99999999999999999999", "256.0.0.1:1", "1.2.3:4", "example.org:80", "[::1]", "[::1:1", "::1]:1", "[]:1",
        "[1.2.3.4]:5", "[zz::]:1", "unix:",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct weir_address address;
        if (weir_address_parse(texts[i], &address) != -EINVAL)
            fail_msg("\"%s\" was taken", texts[i]);
    }
}

static void a_long_text_is_refused_and_not_written_over(void **state)
{
    (void)state;
    struct weir_address address;
    char text[4096];
    memset(text, '1', sizeof text);
    memcpy(text + sizeof text - 4, ":80", 4);
    assert_int_equal(weir_address_parse(text, &address), -EINVAL);
    memcpy(text, "unix:", 5);
    assert_int_equal(weir_address_parse(text, &address), -EINVAL);
    size_t longest = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
    text[5 + longest] = '\0';
    assert_int_equal(weir_address_parse(text, &address), 0);
    text[5 + longest] = '1';
    text[6 + longest] = '\0';
    assert_int_equal(weir_address_parse(text, &address), -EINVAL);
}

static void ports_and_lengths_are_the_kernels(void **state)
{
    (void)state;
    struct weir_address address;
    assert_int_equal(weir_address_parse("1.2.3.4:5678", &address), 0);
    assert_int_equal(address.byte_count, sizeof(struct sockaddr_in));
    assert_int_equal(weir_address_port(weir_address_sockaddr(&address)), 5678);
    assert_int_equal(weir_address_parse("[::1]:8765", &address), 0);
    assert_int_equal(address.byte_count, sizeof(struct sockaddr_in6));
    assert_int_equal(weir_address_port(weir_address_sockaddr(&address)), 8765);
    assert_int_equal(weir_address_parse("unix:ab", &address), 0);
    assert_int_equal(address.byte_count, offsetof(struct sockaddr_un, sun_path) + 3);
    assert_int_equal(weir_address_port(weir_address_sockaddr(&address)), 0);
}

static void a_short_text_is_cut_and_ended(void **state)
{
    (void)state;
    struct weir_address address;
    char text[8] = "xxxxxxx";
    assert_int_equal(weir_address_parse("127.0.0.1:80", &address), 0);
    weir_address_print(weir_address_sockaddr(&address), address.byte_count, text, 4);
    assert_string_equal(text, "127");
    assert_int_equal(text[5], 'x');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_printed_back),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(a_long_text_is_refused_and_not_written_over),
        cmocka_unit_test(ports_and_lengths_are_the_kernels),
        cmocka_unit_test(a_short_text_is_cut_and_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
