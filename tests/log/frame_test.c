/* tests/log/frame_test.c - the bytes of a journal: what is written is read, and nothing else is. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "log/frame.h"

static const struct weir_extent_head extent = {
    .node = {{0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xaf}},
    .run = 0x1122334455667788,
    .journal = 0x99aabbcc,
    .salt = 0xfeedf00d,
    .number = 0x0102030405060708,
    .first_sequence = 0x1112131415161718,
};

static void an_extent_header_is_what_the_table_says(void **state)
{
    (void)state;
    uint8_t bytes[WEIR_EXTENT_HEAD_BYTES];
    static const uint8_t words[] = {
        0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xaf,     /* 16: node */
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,                /* 32: run */
        0xcc, 0xbb, 0xaa, 0x99, 0x0d, 0xf0, 0xed, 0xfe,                /* 40: journal, salt */
        8, 7, 6, 5, 4, 3, 2, 1,                                        /* 48: number */
        0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11,                /* 56: first sequence */
    };
    weir_extent_write(bytes, &extent);
    assert_memory_equal(bytes, "weirextn\1\0\0\0", 12);
    assert_memory_equal(bytes + 16, words, sizeof words);
    uint32_t crc = weir_crc32c(0, bytes + 16, 48);
    for (int i = 0; i < 4; i++)
        assert_int_equal(bytes[12 + i], (crc >> (8 * i)) & 255);
}

static void an_extent_header_is_read_back_whole(void **state)
{
    (void)state;
    uint8_t bytes[WEIR_EXTENT_HEAD_BYTES];
    struct weir_extent_head back;
    memset(&back, 0, sizeof back);
    weir_extent_write(bytes, &extent);
    assert_true(weir_extent_read(bytes, &back));
    assert_memory_equal(&back.node, &extent.node, sizeof back.node);
    assert_int_equal(back.run, extent.run);
    assert_int_equal(back.journal, extent.journal);
    assert_int_equal(back.salt, extent.salt);
    assert_int_equal(back.number, extent.number);
    assert_int_equal(back.first_sequence, extent.first_sequence);
}

static void an_extent_header_with_any_bit_changed_is_none(void **state)
{
    (void)state;
    uint8_t bytes[WEIR_EXTENT_HEAD_BYTES];
    struct weir_extent_head back;
    weir_extent_write(bytes, &extent);
    for (uint32_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(weir_extent_read(bytes, &back));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(weir_extent_read(bytes, &back));
}

/* ---- Frames ---- */

enum { FRAME_ROOM = 512 };

struct made { /* a frame with three entries */
    uint8_t bytes[FRAME_ROOM];
    uint32_t entry_bytes;
};

static const struct weir_entry entries[3] = {
    {.type = WEIR_ENTRY_BATCH, .topic = {{9, 8, 7}}, .place = 5, .number = 0x123456789a, .body = (const uint8_t *)"batch", .body_bytes = 5},
    {.type = WEIR_ENTRY_DROP, .topic = {{1}}},
    {.type = WEIR_ENTRY_PUT, .place = 2, .key_bytes = 3, .number = 77, .body = (const uint8_t *)"keyvalue", .body_bytes = 8},
};

static void make_frame(struct made *made, uint64_t sequence)
{
    memset(made, 0, sizeof *made);
    uint8_t *at = made->bytes + WEIR_FRAME_HEAD_BYTES;
    for (int i = 0; i < 3; i++) {
        weir_entry_write(at, &entries[i]);
        if (entries[i].body_bytes > 0)
            memcpy(at + WEIR_ENTRY_HEAD_BYTES, entries[i].body, entries[i].body_bytes);
        at += weir_entry_bytes(entries[i].body_bytes);
    }
    made->entry_bytes = (uint32_t)(at - made->bytes) - WEIR_FRAME_HEAD_BYTES;
    weir_frame_write(made->bytes, &extent, &(struct weir_frame_head){sequence, made->entry_bytes, 3});
}

static void a_frame_is_what_the_table_says(void **state)
{
    (void)state;
    struct made made;
    make_frame(&made, 0x2122232425262728);
    static const uint8_t words[] = {
        0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21, /* 8: sequence */
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, /* 16: run */
        0xcc, 0xbb, 0xaa, 0x99, 136, 0, 0, 0,           /* 24: journal, bytes of entries */
        0xa0, 1, 2, 3, 4, 5, 6, 7,                      /* 32: node */
        3, 0, 0, 0, 0, 0, 0, 0,                         /* 40: entries, zero */
    };
    assert_memory_equal(made.bytes, "wfrm", 4);
    assert_memory_equal(made.bytes + 8, words, sizeof words);
    static const uint8_t first[] = {
        5, 0, 0, 0, 1, 0, 0, 0, 9, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* body, type, flags, topic */
        5, 0, 0, 0, 0, 0, 0, 0, 0x9a, 0x78, 0x56, 0x34, 0x12, 0, 0, 0,          /* partition, key, offset */
        'b', 'a', 't', 'c', 'h', 0, 0, 0,
    };
    assert_memory_equal(made.bytes + WEIR_FRAME_HEAD_BYTES, first, sizeof first);
    uint32_t crc = weir_crc32c(extent.salt, made.bytes + 8, WEIR_FRAME_HEAD_BYTES - 8 + 136);
    for (int i = 0; i < 4; i++)
        assert_int_equal(made.bytes[4 + i], (crc >> (8 * i)) & 255);
}

static void entries_of_a_frame_are_read_back_in_order(void **state)
{
    (void)state;
    struct made made;
    struct weir_frame_head head;
    struct weir_entry entry;
    make_frame(&made, 40);
    assert_true(weir_frame_read(made.bytes, sizeof made.bytes, &extent, 40, &head));
    assert_int_equal(head.sequence, 40);
    assert_int_equal(head.entry_count, 3);
    assert_int_equal(head.entry_bytes, made.entry_bytes);
    const uint8_t *at = made.bytes + WEIR_FRAME_HEAD_BYTES, *end = at + head.entry_bytes;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weir_entry_next(&at, end, &entry), 1);
        assert_int_equal(entry.type, entries[i].type);
        assert_memory_equal(&entry.topic, &entries[i].topic, sizeof entry.topic);
        assert_int_equal(entry.place, entries[i].place);
        assert_int_equal(entry.key_bytes, entries[i].key_bytes);
        assert_int_equal(entry.number, entries[i].number);
        assert_int_equal(entry.body_bytes, entries[i].body_bytes);
        if (entry.body_bytes > 0)
            assert_memory_equal(entry.body, entries[i].body, entry.body_bytes);
    }
    assert_int_equal(weir_entry_next(&at, end, &entry), 0);
}

static void a_frame_with_any_bit_changed_is_none(void **state)
{
    (void)state;
    struct made made;
    struct weir_frame_head head;
    make_frame(&made, 40);
    for (uint32_t bit = 0; bit < 8 * (WEIR_FRAME_HEAD_BYTES + made.entry_bytes); bit++) {
        made.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(weir_frame_read(made.bytes, sizeof made.bytes, &extent, 40, &head));
        made.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void a_frame_that_is_cut_is_none(void **state)
{
    (void)state;
    struct made made;
    struct weir_frame_head head;
    make_frame(&made, 40);
    uint32_t whole = WEIR_FRAME_HEAD_BYTES + made.entry_bytes;
    for (uint32_t count = 0; count < whole; count++) {
        uint8_t *piece = malloc(count + 1); /* of just this size, for a sanitizer */
        memcpy(piece, made.bytes, count);
        assert_false(weir_frame_read(piece, count, &extent, 40, &head));
        free(piece);
    }
    assert_true(weir_frame_read(made.bytes, whole, &extent, 40, &head));
}

static void a_frame_of_another_extent_is_none(void **state)
{
    (void)state;
    struct made made;
    struct weir_frame_head head;
    make_frame(&made, 40);
    struct weir_extent_head other[4] = {extent, extent, extent, extent};
    other[0].run++;
    other[1].journal++;
    other[2].salt++;
    other[3].node.bytes[7]++;
    for (int i = 0; i < 4; i++)
        assert_false(weir_frame_read(made.bytes, sizeof made.bytes, &other[i], 40, &head));
    assert_false(weir_frame_read(made.bytes, sizeof made.bytes, &extent, 39, &head));
    assert_false(weir_frame_read(made.bytes, sizeof made.bytes, &extent, 41, &head));
}

/* ---- Entries that lie ---- */

static int next_of(const uint8_t *bytes, size_t byte_count)
{
    struct weir_entry entry;
    uint8_t *piece = malloc(byte_count + 1);
    memcpy(piece, bytes, byte_count);
    const uint8_t *at = piece;
    int result = weir_entry_next(&at, piece + byte_count, &entry);
    free(piece);
    return result;
}

static void an_entry_longer_than_what_is_left_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[64] = {0};
    static const uint32_t lengths[] = {25, 4096, 0x7fffffff, 0xffffffd0, 0xffffffd8, 0xfffffff8, 0xffffffff};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        weir_entry_write(bytes, &(struct weir_entry){.type = WEIR_ENTRY_BATCH, .body_bytes = lengths[i]});
        assert_int_equal(next_of(bytes, sizeof bytes), -EBADMSG);
    }
    weir_entry_write(bytes, &(struct weir_entry){.type = WEIR_ENTRY_BATCH, .body_bytes = 24});
    assert_int_equal(next_of(bytes, sizeof bytes), 1);
    for (size_t count = 1; count < sizeof bytes; count++)
        assert_int_equal(next_of(bytes, count), -EBADMSG);
}

static void a_key_longer_than_its_body_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[64] = {0};
    weir_entry_write(bytes, &(struct weir_entry){.type = WEIR_ENTRY_PUT, .body_bytes = 8, .key_bytes = 9});
    assert_int_equal(next_of(bytes, 48), -EBADMSG);
    weir_entry_write(bytes, &(struct weir_entry){.type = WEIR_ENTRY_PUT, .body_bytes = 8, .key_bytes = 8});
    assert_int_equal(next_of(bytes, 48), 1);
}

static void an_entry_with_flags_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[64] = {0};
    weir_entry_write(bytes, &(struct weir_entry){.type = WEIR_ENTRY_START});
    bytes[6] = 1;
    assert_int_equal(next_of(bytes, WEIR_ENTRY_HEAD_BYTES), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_extent_header_is_what_the_table_says),
        cmocka_unit_test(an_extent_header_is_read_back_whole),
        cmocka_unit_test(an_extent_header_with_any_bit_changed_is_none),
        cmocka_unit_test(a_frame_is_what_the_table_says),
        cmocka_unit_test(entries_of_a_frame_are_read_back_in_order),
        cmocka_unit_test(a_frame_with_any_bit_changed_is_none),
        cmocka_unit_test(a_frame_that_is_cut_is_none),
        cmocka_unit_test(a_frame_of_another_extent_is_none),
        cmocka_unit_test(an_entry_longer_than_what_is_left_is_refused),
        cmocka_unit_test(a_key_longer_than_its_body_is_refused),
        cmocka_unit_test(an_entry_with_flags_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
