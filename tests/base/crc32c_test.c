/*
 * tests/base/crc32c_test.c - CRC-32C against RFC 3720's vectors, a reference by bits, and itself.
 */
#include "base/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static uint32_t bit_by_bit(uint32_t crc, const unsigned char *bytes, size_t count)
{
    crc = ~crc;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? (crc >> 1) ^ 0x82f63b78u : crc >> 1;
    }
    return ~crc;
}

static void fill(unsigned char *bytes, size_t count, uint32_t seed)
{
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(seed >> 24);
    }
}

/* RFC 3720, appendix B.4. */
static void vectors_of_rfc_3720_hold(void **state)
{
    (void)state;
    static const unsigned char pdu[48] = {
        0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00,
        0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    };
    unsigned char zeros[32] = {0};
    unsigned char ones[32];
    unsigned char rising[32];
    unsigned char falling[32];
    memset(ones, 0xff, sizeof(ones));
    for (int i = 0; i < 32; i++) {
        rising[i] = (unsigned char)i;
        falling[i] = (unsigned char)(31 - i);
    }
    const weir_crc32c_fn ways[] = {weir_crc32c, weir_crc32c_table, weir_crc32c_choose()};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ways[i](0, zeros, 32), 0x8a9136aau);
        assert_int_equal(ways[i](0, ones, 32), 0x62a8ab43u);
        assert_int_equal(ways[i](0, rising, 32), 0x46dd794eu);
        assert_int_equal(ways[i](0, falling, 32), 0x113fdb5cu);
        assert_int_equal(ways[i](0, pdu, 48), 0xd9963a56u);
        assert_int_equal(ways[i](0, "123456789", 9), 0xe3069283u);
        assert_int_equal(ways[i](0, "", 0), 0);
    }
}

static void every_length_and_alignment_agrees_with_bit_by_bit(void **state)
{
    (void)state;
    unsigned char bytes[200 + 8];
    fill(bytes, sizeof(bytes), 7);
    for (size_t offset = 0; offset < 8; offset++) {
        for (size_t count = 0; count <= 200; count++) {
            uint32_t expected = bit_by_bit(0, bytes + offset, count);
            assert_int_equal(weir_crc32c(0, bytes + offset, count), expected);
            assert_int_equal(weir_crc32c_table(0, bytes + offset, count), expected);
        }
    }
}

static void a_cut_anywhere_continues_the_checksum(void **state)
{
    (void)state;
    unsigned char bytes[100];
    fill(bytes, sizeof(bytes), 11);
    uint32_t whole = bit_by_bit(0, bytes, sizeof(bytes));
    for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
        uint32_t first = weir_crc32c(0, bytes, cut);
        assert_int_equal(weir_crc32c(first, bytes + cut, sizeof(bytes) - cut), whole);
        first = weir_crc32c_table(0, bytes, cut);
        assert_int_equal(weir_crc32c_table(first, bytes + cut, sizeof(bytes) - cut), whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_rfc_3720_hold),
        cmocka_unit_test(every_length_and_alignment_agrees_with_bit_by_bit),
        cmocka_unit_test(a_cut_anywhere_continues_the_checksum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
