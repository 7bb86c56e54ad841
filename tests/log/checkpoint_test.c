/*
 * tests/log/checkpoint_test.c - checkpoints: the bytes of one, the same back, and every byte that is cut or changed is found.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "log/checkpoint.h"

static const struct weir_checkpoint_head head = {
    .node = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}}, .run = 7, .journal = 2, .first_sequence = 0x1122334455};

static const struct weir_checkpoint_segment segments[] = {
    {.base_offset = 0, .byte_count = 1000, .timestamp_ms = -1, .created_ms = 10},
    {.base_offset = 40, .byte_count = 500, .timestamp_ms = 99, .created_ms = 20},
};

static const struct weir_checkpoint_partition partitions[] = {
    {.topic = {{0xaa}}, .partition = 3, .segment_count = 2, .start_offset = 5, .end_offset = 60, .segments = segments,
     .state = (const uint8_t *)"eleven byte", .state_bytes = 11},
    {.topic = {{0xbb}}, .partition = 0},
};

static const struct weir_checkpoint_row rows[] = {
    {.table = 1, .version = 9, .key = (const uint8_t *)"key", .key_bytes = 3, .value = (const uint8_t *)"value", .value_bytes = 5},
    {.table = 64, .version = 10, .key = (const uint8_t *)"", .value = (const uint8_t *)""},
};

static void write_one(struct weir_checkpoint_writer *writer)
{
    weir_checkpoint_begin(writer);
    for (size_t i = 0; i < 2; i++)
        weir_checkpoint_add_partition(writer, &partitions[i]);
    for (size_t i = 0; i < 2; i++)
        weir_checkpoint_add_row(writer, &rows[i]);
    assert_int_equal(weir_checkpoint_finish(writer, &head), 0);
}

static uint64_t little(const uint8_t *at, int byte_count)
{
    uint64_t value = 0;
    for (int i = byte_count; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

static void its_bytes_are_those_of_the_format(void **state)
{
    (void)state;
    struct weir_checkpoint_writer writer;
    write_one(&writer);
    const uint8_t *bytes = writer.bytes;
    assert_int_equal(writer.used, 72 + (48 + 2 * 32 + 16) + 48 + (24 + 8) + 24);
    assert_memory_equal(bytes, "weirchkp", 8);
    assert_int_equal(little(bytes + 8, 4), 1);
    assert_int_equal(little(bytes + 12, 4), weir_crc32c_table(0, bytes + 16, writer.used - 16));
    assert_memory_equal(bytes + 16, head.node.bytes, 16);
    assert_int_equal(little(bytes + 32, 8), 7);
    assert_int_equal(little(bytes + 40, 4), 2);
    assert_int_equal(little(bytes + 44, 4), 2);
    assert_int_equal(little(bytes + 48, 8), 0x1122334455);
    assert_int_equal(little(bytes + 56, 8), 2);
    assert_int_equal(little(bytes + 64, 8), writer.used);
    const uint8_t *first = bytes + 72;
    assert_int_equal(first[0], 0xaa);
    assert_int_equal(little(first + 16, 4), 3);
    assert_int_equal(little(first + 20, 4), 2);
    assert_int_equal(little(first + 24, 8), 5);
    assert_int_equal(little(first + 32, 8), 60);
    assert_int_equal(little(first + 40, 4), 11);
    assert_int_equal(little(first + 48, 8), 0);
    assert_int_equal(little(first + 64, 8), UINT64_MAX); /* timestamp -1 */
    assert_int_equal(little(first + 80, 8), 40);
    assert_int_equal(little(first + 88, 8), 500);
    assert_memory_equal(first + 112, "eleven byte\0\0\0\0\0", 16);
    const uint8_t *row = first + 128 + 48;
    assert_int_equal(little(row, 4), 1);
    assert_int_equal(little(row + 4, 4), 3);
    assert_int_equal(little(row + 8, 4), 5);
    assert_int_equal(little(row + 16, 8), 9);
    assert_memory_equal(row + 24, "keyvalue", 8);
    free(writer.bytes);
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    struct weir_checkpoint_writer writer;
    struct weir_checkpoint_reader reader;
    struct weir_checkpoint_partition partition;
    struct weir_checkpoint_segment segment;
    struct weir_checkpoint_row row;
    write_one(&writer);
    assert_int_equal(weir_checkpoint_open(&reader, writer.bytes, writer.used), 0);
    assert_memory_equal(&reader.head, &head, sizeof(head));
    assert_int_equal(weir_checkpoint_next_partition(&reader, &partition), 1);
    assert_memory_equal(&partition.topic, &partitions[0].topic, 16);
    assert_int_equal(partition.partition, 3);
    assert_int_equal(partition.start_offset, 5);
    assert_int_equal(partition.end_offset, 60);
    assert_int_equal(partition.segment_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        weir_checkpoint_segment_at(&partition, i, &segment);
        assert_memory_equal(&segment, &segments[i], sizeof(segment));
    }
    assert_int_equal(partition.state_bytes, 11);
    assert_memory_equal(partition.state, "eleven byte", 11);
    assert_int_equal(weir_checkpoint_next_partition(&reader, &partition), 1);
    assert_int_equal(partition.segment_count, 0);
    assert_int_equal(weir_checkpoint_next_partition(&reader, &partition), 0);
    assert_int_equal(weir_checkpoint_next_row(&reader, &row), 1);
    assert_int_equal(row.table, 1);
    assert_int_equal(row.version, 9);
    assert_memory_equal(row.key, "key", 3);
    assert_memory_equal(row.value, "value", 5);
    assert_int_equal(weir_checkpoint_next_row(&reader, &row), 1);
    assert_int_equal(row.key_bytes + row.value_bytes, 0);
    assert_int_equal(weir_checkpoint_next_row(&reader, &row), 0);
    free(writer.bytes);
}

static void an_empty_one_is_fine(void **state)
{
    (void)state;
    struct weir_checkpoint_writer writer;
    struct weir_checkpoint_reader reader;
    struct weir_checkpoint_partition partition;
    struct weir_checkpoint_row row;
    weir_checkpoint_begin(&writer);
    assert_int_equal(weir_checkpoint_finish(&writer, &head), 0);
    assert_int_equal(weir_checkpoint_open(&reader, writer.bytes, writer.used), 0);
    assert_int_equal(weir_checkpoint_next_partition(&reader, &partition), 0);
    assert_int_equal(weir_checkpoint_next_row(&reader, &row), 0);
    free(writer.bytes);
}

static void a_cut_or_changed_one_is_refused(void **state)
{
    (void)state;
    struct weir_checkpoint_writer writer;
    struct weir_checkpoint_reader reader;
    write_one(&writer);
    for (size_t used = 0; used < writer.used; used++)
        assert_int_equal(weir_checkpoint_open(&reader, writer.bytes, used), -EBADMSG);
    for (size_t at = 0; at < writer.used; at++)
        for (int bit = 0; bit < 8; bit++) {
            writer.bytes[at] ^= (uint8_t)(1 << bit);
            assert_int_equal(weir_checkpoint_open(&reader, writer.bytes, writer.used), -EBADMSG);
            writer.bytes[at] ^= (uint8_t)(1 << bit);
        }
    assert_int_equal(weir_checkpoint_open(&reader, writer.bytes, writer.used), 0);
    free(writer.bytes);
}

/* A checksum that is right says nothing about counts: what they promise must be there. */
static void counts_that_promise_too_much_are_refused(void **state)
{
    (void)state;
    static const size_t counts[] = {44, 56, 72 + 20, 72 + 40};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct weir_checkpoint_writer writer;
        struct weir_checkpoint_reader reader;
        struct weir_checkpoint_partition partition;
        struct weir_checkpoint_row row;
        int result;
        write_one(&writer);
        writer.bytes[counts[i] + 3] = 0x7f;
        uint32_t crc = weir_crc32c(0, writer.bytes + 16, writer.used - 16);
        for (int byte = 0; byte < 4; byte++)
            writer.bytes[12 + byte] = (uint8_t)(crc >> 8 * byte);
        assert_int_equal(weir_checkpoint_open(&reader, writer.bytes, writer.used), 0);
        while ((result = weir_checkpoint_next_partition(&reader, &partition)) == 1)
            ;
        while (result == 0 && (result = weir_checkpoint_next_row(&reader, &row)) == 1)
            result = 0;
        assert_int_equal(result, -EBADMSG);
        free(writer.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_bytes_are_those_of_the_format),
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(an_empty_one_is_fine),
        cmocka_unit_test(a_cut_or_changed_one_is_refused),
        cmocka_unit_test(counts_that_promise_too_much_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
