/*
 * Description: record batches - bytes written by hand from the layout, what is refused and why, walking, building, control batches.
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
#include "base/hash.h"
#include "log/batch.h"

/*
 * Two records of producer 0x1122334455667788, epoch 3, sequence 9, first timestamp 1,000: key "k", value "value", header "h": "x"; and
 * half a second later no key, an empty value. The CRC is filled in by golden().
 */
static const uint8_t by_hand[] = {
    0, 0, 0, 0, 0, 0, 0, 0,                         /* base offset */
    0, 0, 0, 74,                                    /* 49 + 17 + 8 */
    0xff, 0xff, 0xff, 0xff,                         /* leader epoch: a client may send anything */
    2,                                              /* magic */
    0, 0, 0, 0,                                     /* CRC */
    0, 0,                                           /* attributes */
    0, 0, 0, 1,                                     /* last offset delta */
    0, 0, 0, 0, 0, 0, 0x03, 0xe8,                   /* first timestamp: 1000 */
    0, 0, 0, 0, 0, 0, 0x05, 0xdc,                   /* largest timestamp: 1500 */
    0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, /* producer id */
    0, 3,                                           /* producer epoch */
    0, 0, 0, 9,                                     /* base sequence */
    0, 0, 0, 2,                                     /* records */
    /* 32 is 16 zig-zag: attributes, timestamp delta 0, offset delta 0, key of 1, value of 5, 1 header of 1 and 1 */
    32, 0, 0, 0, 2, 'k', 10, 'v', 'a', 'l', 'u', 'e', 2, 2, 'h', 2, 'x',
    /* 14 is 7: attributes, 500 is 1000 zig-zag is e8 07, offset delta 1, no key, value of 0, no headers */
    14, 0, 0xe8, 0x07, 2, 1, 0, 0,
};

enum { GOLDEN_BYTES = sizeof by_hand, ROOM = 4096, FIRST_RECORD = 61, SECOND_RECORD = 61 + 17 };

/* Right at the end of a block, so that AddressSanitizer sees a byte too far. */
static uint8_t *block_of(const uint8_t *bytes, size_t byte_count)
{
    uint8_t *block = malloc(byte_count ? byte_count : 1);
    assert_non_null(block);
    memcpy(block, bytes, byte_count);
    return block;
}

static void put_crc(uint8_t *bytes, size_t byte_count)
{
    uint32_t crc = weir_crc32c_table(0, bytes + 21, byte_count - 21);
    for (int i = 0; i < 4; i++)
        bytes[17 + i] = (uint8_t)(crc >> (24 - 8 * i));
}

static void golden(uint8_t *bytes)
{
    memcpy(bytes, by_hand, GOLDEN_BYTES);
    put_crc(bytes, GOLDEN_BYTES);
}

static void a_batch_written_by_hand_is_read_field_by_field(void **state)
{
    (void)state;
    uint8_t bytes[GOLDEN_BYTES];
    struct weir_batch batch;
    golden(bytes);
    assert_int_equal(weir_batch_check_produced(bytes, sizeof bytes, &batch), WEIR_BATCH_FINE);
    assert_int_equal(batch.base_offset, 0);
    assert_int_equal(batch.byte_count, GOLDEN_BYTES);
    assert_int_equal(batch.attributes, 0);
    assert_int_equal(batch.last_delta, 1);
    assert_int_equal(batch.first_timestamp_ms, 1000);
    assert_int_equal(batch.last_timestamp_ms, 1500);
    assert_int_equal(batch.producer_id, 0x1122334455667788);
    assert_int_equal(batch.producer_epoch, 3);
    assert_int_equal(batch.base_sequence, 9);
    assert_int_equal(batch.record_count, 2);
    assert_int_equal(batch.control, WEIR_BATCH_CONTROL_NONE);
}

static void its_records_are_walked_in_place(void **state)
{
    (void)state;
    uint8_t bytes[GOLDEN_BYTES];
    struct weir_batch batch;
    struct weir_batch_walk walk;
    struct weir_batch_record record;
    struct weir_record_header header;
    golden(bytes);
    weir_batch_place(bytes, 700, 4);
    assert_int_equal(weir_batch_check(bytes, sizeof bytes, &batch), WEIR_BATCH_FINE);
    assert_int_equal(weir_batch_walk(&walk, bytes, &batch, NULL, 0), 0);

    assert_int_equal(weir_batch_next(&walk, &record), 1);
    assert_int_equal(record.offset, 700);
    assert_int_equal(record.timestamp_ms, 1000);
    assert_ptr_equal(record.key, bytes + FIRST_RECORD + 5);
    assert_int_equal(record.key_bytes, 1);
    assert_int_equal(record.value_bytes, 5);
    assert_memory_equal(record.value, "value", 5);
    assert_int_equal(record.header_count, 1);
    const uint8_t *at = record.headers;
    assert_int_equal(weir_batch_header_next(&at, record.end, &header), 1);
    assert_int_equal(header.name_bytes, 1);
    assert_int_equal(header.name[0], 'h');
    assert_int_equal(header.value_bytes, 1);
    assert_int_equal(header.value[0], 'x');
    assert_int_equal(weir_batch_header_next(&at, record.end, &header), 0);

    assert_int_equal(weir_batch_next(&walk, &record), 1);
    assert_int_equal(record.offset, 701);
    assert_int_equal(record.timestamp_ms, 1500);
    assert_null(record.key);
    assert_non_null(record.value); /* empty is not absent */
    assert_int_equal(record.value_bytes, 0);
    assert_int_equal(record.header_count, 0);
    assert_int_equal(weir_batch_next(&walk, &record), 0);
    assert_int_equal(weir_batch_next(&walk, &record), 0);
}

static void placing_a_batch_leaves_its_crc_right(void **state)
{
    (void)state;
    uint8_t bytes[GOLDEN_BYTES];
    uint8_t before[GOLDEN_BYTES];
    struct weir_batch batch;
    golden(bytes);
    memcpy(before, bytes, sizeof bytes);
    weir_batch_place(bytes, 0x0102030405060708, 9);
    static const uint8_t placed[] = {1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 74, 0, 0, 0, 9};
    assert_memory_equal(bytes, placed, sizeof placed);
    assert_memory_equal(bytes + 16, before + 16, sizeof bytes - 16);
    assert_int_equal(weir_batch_check(bytes, sizeof bytes, &batch), WEIR_BATCH_FINE);
    assert_int_equal(batch.base_offset, 0x0102030405060708);
}

static void a_stamped_batch_gives_every_record_the_time_of_its_append(void **state)
{
    (void)state;
    uint8_t bytes[GOLDEN_BYTES];
    struct weir_batch batch;
    struct weir_batch_walk walk;
    struct weir_batch_record record;
    golden(bytes);
    weir_batch_stamp(bytes, 77777);
    assert_int_equal(weir_batch_check(bytes, sizeof bytes, &batch), WEIR_BATCH_FINE);
    assert_int_equal(batch.attributes, WEIR_BATCH_APPEND_TIME);
    assert_int_equal(batch.first_timestamp_ms, 1000);
    assert_int_equal(batch.last_timestamp_ms, 77777);
    assert_int_equal(weir_batch_walk(&walk, bytes, &batch, NULL, 0), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(weir_batch_next(&walk, &record), 1);
        assert_int_equal(record.timestamp_ms, 77777);
    }
}

static void every_shorter_piece_of_a_batch_is_short(void **state)
{
    (void)state;
    uint8_t bytes[GOLDEN_BYTES];
    struct weir_batch batch;
    golden(bytes);
    for (size_t count = 0; count < sizeof bytes; count++) {
        uint8_t *piece = block_of(bytes, count);
        assert_int_equal(weir_batch_check(piece, count, &batch), WEIR_BATCH_SHORT);
        assert_int_equal(weir_batch_read(piece, count, &batch), count < 61 ? WEIR_BATCH_SHORT : WEIR_BATCH_FINE);
        free(piece);
    }
}

static void every_flipped_bit_that_the_crc_covers_is_seen(void **state)
{
    (void)state;
    uint8_t bytes[GOLDEN_BYTES];
    struct weir_batch batch;
    golden(bytes);
    for (size_t bit = 17 * 8; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum weir_batch_fault fault = weir_batch_check(bytes, sizeof bytes, &batch);
        assert_true(fault == WEIR_BATCH_BAD_CRC || fault == WEIR_BATCH_BAD_COUNT);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(weir_batch_check(bytes, sizeof bytes, &batch), WEIR_BATCH_FINE);
}

/* One change of the golden batch, its CRC right again, and what a producer is told. */
struct change {
    const char *what;
    size_t at;
    uint8_t bytes[8];
    size_t byte_count;
    enum weir_batch_fault fault;
};

static const struct change changes[] = {
    {"nothing", 0, {0}, 0, WEIR_BATCH_FINE},
    {"magic 1", 16, {1}, 1, WEIR_BATCH_BAD_MAGIC},
    {"magic 3", 16, {3}, 1, WEIR_BATCH_BAD_MAGIC},
    {"a length of 48", 8, {0, 0, 0, 48}, 4, WEIR_BATCH_BAD_LENGTH},
    {"a negative length", 8, {0xff, 0xff, 0xff, 0xff}, 4, WEIR_BATCH_BAD_LENGTH},
    {"a length beyond the bytes", 8, {0, 0, 0, 75}, 4, WEIR_BATCH_SHORT},
    {"no records", 57, {0, 0, 0, 0}, 4, WEIR_BATCH_BAD_COUNT},
    {"one record of two", 57, {0, 0, 0, 1}, 4, WEIR_BATCH_BAD_COUNT},
    {"three records of two", 57, {0, 0, 0, 3}, 4, WEIR_BATCH_BAD_COUNT},
    {"a negative count", 57, {0xff, 0xff, 0xff, 0xff}, 4, WEIR_BATCH_BAD_COUNT},
    {"a negative last delta", 23, {0xff, 0xff, 0xff, 0xff}, 4, WEIR_BATCH_BAD_COUNT},
    {"a last delta of 2", 23, {0, 0, 0, 2}, 4, WEIR_BATCH_BAD_COUNT},
    {"a control batch", 21, {0, 0x30}, 2, WEIR_BATCH_FORBIDDEN},
    {"append time", 21, {0, 0x08}, 2, WEIR_BATCH_FORBIDDEN},
    {"codec 5", 21, {0, 5}, 2, WEIR_BATCH_FORBIDDEN},
    {"codec 7", 21, {0, 7}, 2, WEIR_BATCH_FORBIDDEN},
    {"codec 4, records not looked at", 21, {0, 4}, 2, WEIR_BATCH_FINE},
    {"a transaction", 21, {0, 0x10}, 2, WEIR_BATCH_FINE},
    {"an id without a sequence", 53, {0xff, 0xff, 0xff, 0xff}, 4, WEIR_BATCH_FORBIDDEN},
    {"an id with a negative epoch", 51, {0xff, 0xff}, 2, WEIR_BATCH_FORBIDDEN},
    {"id -2", 43, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe}, 8, WEIR_BATCH_FORBIDDEN},
    {"id -1: the rest does not matter", 43, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 8, WEIR_BATCH_FINE},
    {"an attribute nobody has defined", 21, {0x40, 0}, 2, WEIR_BATCH_FINE},
    {"an attribute of a record", FIRST_RECORD + 1, {1}, 1, WEIR_BATCH_FINE},
    {"a record one shorter", FIRST_RECORD, {30}, 1, WEIR_BATCH_BAD_RECORD},
    {"a record one longer", FIRST_RECORD, {34}, 1, WEIR_BATCH_BAD_RECORD},
    {"a record of nothing", FIRST_RECORD, {0}, 1, WEIR_BATCH_BAD_RECORD},
    {"a record of -1", FIRST_RECORD, {1}, 1, WEIR_BATCH_BAD_RECORD},
    {"a record beyond the end", SECOND_RECORD, {16}, 1, WEIR_BATCH_BAD_RECORD},
    {"a record that leaves a byte over", SECOND_RECORD, {12, 0, 0, 2, 1, 0, 0, 0}, 8, WEIR_BATCH_BAD_RECORD},
    {"a timestamp delta backwards", SECOND_RECORD + 2, {0xe7, 0x07}, 2, WEIR_BATCH_FINE},
    {"the first offset delta 1", FIRST_RECORD + 3, {2}, 1, WEIR_BATCH_BAD_COUNT},
    {"the second offset delta 0", SECOND_RECORD + 4, {0}, 1, WEIR_BATCH_BAD_RECORD},
    {"the second offset delta 2", SECOND_RECORD + 4, {4}, 1, WEIR_BATCH_BAD_RECORD},
    {"the second offset delta -1", SECOND_RECORD + 4, {1}, 1, WEIR_BATCH_BAD_RECORD},
    {"a key of -2", FIRST_RECORD + 4, {3}, 1, WEIR_BATCH_BAD_RECORD},
    {"a key beyond the record", FIRST_RECORD + 4, {60}, 1, WEIR_BATCH_BAD_RECORD},
    {"a value of -2", SECOND_RECORD + 6, {3}, 1, WEIR_BATCH_BAD_RECORD},
    {"a value of -1: a tombstone", SECOND_RECORD + 6, {1}, 1, WEIR_BATCH_FINE},
    {"a value beyond the record", SECOND_RECORD + 6, {4}, 1, WEIR_BATCH_BAD_RECORD},
    {"-1 headers", SECOND_RECORD + 7, {1}, 1, WEIR_BATCH_BAD_RECORD},
    {"a header that is not there", SECOND_RECORD + 7, {2}, 1, WEIR_BATCH_BAD_RECORD},
    {"two headers where one is", FIRST_RECORD + 12, {4}, 1, WEIR_BATCH_BAD_RECORD},
    {"a header without a name", FIRST_RECORD + 13, {1}, 1, WEIR_BATCH_BAD_RECORD},
    {"a header with a name of -2", FIRST_RECORD + 13, {3}, 1, WEIR_BATCH_BAD_RECORD},
    {"a header's value of -2", FIRST_RECORD + 15, {3}, 1, WEIR_BATCH_BAD_RECORD},
    {"a header's value beyond the record", FIRST_RECORD + 15, {4}, 1, WEIR_BATCH_BAD_RECORD},
};

static void a_producer_is_told_what_is_wrong(void **state)
{
    (void)state;
    struct weir_batch batch;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        const struct change *change = &changes[i];
        uint8_t *bytes = block_of(by_hand, GOLDEN_BYTES);
        memcpy(bytes + change->at, change->bytes, change->byte_count);
        put_crc(bytes, GOLDEN_BYTES);
        enum weir_batch_fault fault = weir_batch_check_produced(bytes, GOLDEN_BYTES, &batch);
        if (fault != change->fault)
            print_error("%s: %s, not %s\n", change->what, weir_batch_fault_text(fault), weir_batch_fault_text(change->fault));
        assert_int_equal(fault, change->fault);
        free(bytes);
    }
}

static void a_wrong_crc_is_told_before_what_it_covers(void **state)
{
    (void)state;
    uint8_t bytes[GOLDEN_BYTES];
    struct weir_batch batch;
    golden(bytes);
    bytes[FIRST_RECORD] = 1;
    assert_int_equal(weir_batch_check_produced(bytes, sizeof bytes, &batch), WEIR_BATCH_BAD_CRC);
}

static void what_follows_a_batch_is_not_part_of_it(void **state)
{
    (void)state;
    uint8_t bytes[GOLDEN_BYTES + 5];
    struct weir_batch batch;
    memset(bytes, 0xee, sizeof bytes);
    golden(bytes);
    assert_int_equal(weir_batch_check_produced(bytes, sizeof bytes, &batch), WEIR_BATCH_FINE);
    assert_int_equal(batch.byte_count, GOLDEN_BYTES);
}

static void a_compressed_block_of_nothing_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[61];
    struct weir_batch batch;
    memcpy(bytes, by_hand, sizeof bytes);
    bytes[11] = 49;
    bytes[22] = 1;
    put_crc(bytes, sizeof bytes);
    assert_int_equal(weir_batch_check_produced(bytes, sizeof bytes, &batch), WEIR_BATCH_BAD_RECORD);
}

static void compressed_records_are_walked_where_they_were_unpacked(void **state)
{
    (void)state;
    uint8_t bytes[GOLDEN_BYTES];
    struct weir_batch batch;
    struct weir_batch_walk walk;
    struct weir_batch_record record;
    memcpy(bytes, by_hand, sizeof bytes);
    bytes[22] = 2;
    put_crc(bytes, sizeof bytes);
    assert_int_equal(weir_batch_check(bytes, sizeof bytes, &batch), WEIR_BATCH_FINE);
    assert_int_equal(weir_batch_walk(&walk, bytes, &batch, NULL, 0), -ENOTSUP);
    uint8_t *unpacked = block_of(by_hand + FIRST_RECORD, GOLDEN_BYTES - FIRST_RECORD);
    assert_int_equal(weir_batch_walk(&walk, bytes, &batch, unpacked, GOLDEN_BYTES - FIRST_RECORD), 0);
    assert_int_equal(weir_batch_next(&walk, &record), 1);
    assert_ptr_equal(record.key, unpacked + 5);
    assert_int_equal(weir_batch_next(&walk, &record), 1);
    assert_int_equal(weir_batch_next(&walk, &record), 0);
    free(unpacked);
}

/* After compaction offsets have gaps; they still grow and stay within the batch. */
static void offsets_may_have_gaps_in_a_stored_batch(void **state)
{
    (void)state;
    static const struct {
        uint8_t first, second, last;
        int results[2];
    } rows[] = {
        {0, 2, 9, {1, 1}},        /* deltas are zig-zag: 0 and 1 of 0..9 */
        {4, 18, 9, {1, 1}},       /* 2 and 9 */
        {4, 20, 9, {1, -EBADMSG}}, /* 10: beyond the last */
        {4, 4, 9, {1, -EBADMSG}},  /* twice */
        {6, 4, 9, {1, -EBADMSG}},  /* backwards */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[GOLDEN_BYTES];
        struct weir_batch batch;
        struct weir_batch_walk walk;
        struct weir_batch_record record;
        memcpy(bytes, by_hand, sizeof bytes);
        bytes[FIRST_RECORD + 3] = rows[i].first;
        bytes[SECOND_RECORD + 4] = rows[i].second;
        bytes[26] = rows[i].last;
        put_crc(bytes, sizeof bytes);
        weir_batch_place(bytes, 100, 0);
        assert_int_equal(weir_batch_check(bytes, sizeof bytes, &batch), WEIR_BATCH_FINE);
        assert_int_equal(weir_batch_walk(&walk, bytes, &batch, NULL, 0), 0);
        assert_int_equal(weir_batch_next(&walk, &record), rows[i].results[0]);
        assert_int_equal(record.offset, 100 + rows[i].first / 2);
        assert_int_equal(weir_batch_next(&walk, &record), rows[i].results[1]);
    }
}

/* ---- Building ------------------------------------------------------------------------------------ */

static void the_same_batch_is_built_byte_for_byte(void **state)
{
    (void)state;
    uint8_t expected[GOLDEN_BYTES];
    uint8_t *bytes = malloc(GOLDEN_BYTES);
    struct weir_batch_build build;
    const struct weir_record_header header = {(const uint8_t *)"h", (const uint8_t *)"x", 1, 1};
    golden(expected);
    memset(expected + 12, 0, 4); /* our leader epoch */
    weir_batch_begin(&build, bytes, GOLDEN_BYTES);
    build.producer_id = 0x1122334455667788;
    build.producer_epoch = 3;
    build.base_sequence = 9;
    assert_int_equal(weir_batch_add(&build, 1000, "k", 1, "value", 5, &header, 1), 0);
    assert_int_equal(weir_batch_add(&build, 1500, NULL, -1, "", 0, NULL, 0), 0);
    assert_int_equal(weir_batch_finish(&build), GOLDEN_BYTES);
    assert_memory_equal(bytes, expected, GOLDEN_BYTES);
    free(bytes);
}

static void a_record_that_does_not_fit_changes_nothing(void **state)
{
    (void)state;
    for (size_t room = 0; room < 61 + 17 + 8; room++) {
        uint8_t *bytes = malloc(room ? room : 1);
        struct weir_batch_build build;
        struct weir_batch batch;
        const struct weir_record_header header = {(const uint8_t *)"h", (const uint8_t *)"x", 1, 1};
        weir_batch_begin(&build, bytes, room);
        int first = weir_batch_add(&build, 1000, "k", 1, "value", 5, &header, 1);
        assert_int_equal(first, room < 61 + 17 ? -ENOSPC : 0);
        assert_int_equal(weir_batch_add(&build, 1500, NULL, -1, "a longer value", 14, &header, 1), -ENOSPC);
        assert_int_equal(build.record_count, first == 0);
        if (first == 0) {
            assert_int_equal(weir_batch_finish(&build), 61 + 17);
            assert_int_equal(weir_batch_check_produced(bytes, 61 + 17, &batch), WEIR_BATCH_FINE);
        }
        free(bytes);
    }
}

static void impossible_sizes_do_not_fit(void **state)
{
    (void)state;
    uint8_t bytes[128];
    struct weir_batch_build build;
    struct weir_record_header header = {(const uint8_t *)"h", NULL, UINT32_MAX, 0};
    weir_batch_begin(&build, bytes, sizeof bytes);
    assert_int_equal(weir_batch_add(&build, 0, bytes, INT64_MAX, NULL, -1, NULL, 0), -ENOSPC);
    assert_int_equal(weir_batch_add(&build, 0, NULL, -1, bytes, (int64_t)1 << 32, NULL, 0), -ENOSPC);
    assert_int_equal(weir_batch_add(&build, 0, NULL, -1, NULL, -1, &header, 1), -ENOSPC);
    assert_int_equal(weir_batch_add(&build, 0, NULL, -1, NULL, -1, &header, UINT32_MAX), -ENOSPC);
    assert_int_equal(build.record_count, 0);
}

static uint64_t random_next(uint64_t *seed)
{
    *seed += 0x9e3779b97f4a7c15u;
    return weir_hash_u64(*seed, 1);
}

struct drawn { /* a record, drawn */
    int64_t timestamp_ms, key_bytes, value_bytes;
    uint32_t header_count;
};

static struct drawn draw(uint64_t *seed)
{
    static const int64_t times_ms[] = {-1, 0, 1000, 1763900000000, INT64_MAX, INT64_MIN};
    return (struct drawn){
        .timestamp_ms = times_ms[random_next(seed) % 6] ^ (int64_t)(random_next(seed) % 64),
        .key_bytes = (int64_t)(random_next(seed) % 5) - 1,
        .value_bytes = (int64_t)(random_next(seed) % 200) - 1,
        .header_count = (uint32_t)(random_next(seed) % 4),
    };
}

static void whatever_is_built_is_walked_again(void **state)
{
    (void)state;
    static const uint8_t source[256] = {1, 2, 3};
    static const struct weir_record_header headers[4] = {{source, source, 3, 2}, {source, NULL, 0, 0}, {source, source, 70, 130}};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        uint8_t bytes[ROOM];
        struct drawn drawn[64];
        struct weir_batch_build build;
        struct weir_batch batch;
        struct weir_batch_walk walk;
        struct weir_batch_record record;
        uint64_t random = seed;
        uint32_t wanted = 1 + (uint32_t)(random_next(&random) % 64), count = 0;
        weir_batch_begin(&build, bytes, sizeof bytes);
        for (; count < wanted; count++) {
            struct drawn one = drawn[count] = draw(&random);
            if (weir_batch_add(&build, one.timestamp_ms, source, one.key_bytes, source, one.value_bytes, headers, one.header_count) < 0)
                break;
        }
        size_t byte_count = weir_batch_finish(&build);
        assert_int_equal(weir_batch_check_produced(bytes, byte_count, &batch), WEIR_BATCH_FINE);
        assert_int_equal(batch.byte_count, byte_count);
        assert_int_equal(weir_batch_walk(&walk, bytes, &batch, NULL, 0), 0);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(weir_batch_next(&walk, &record), 1);
            assert_int_equal(record.offset, i);
            assert_true(record.timestamp_ms == drawn[i].timestamp_ms);
            assert_int_equal(record.key == NULL, drawn[i].key_bytes < 0);
            assert_int_equal(record.key_bytes, drawn[i].key_bytes < 0 ? 0 : drawn[i].key_bytes);
            assert_int_equal(record.value == NULL, drawn[i].value_bytes < 0);
            assert_int_equal(record.value_bytes, drawn[i].value_bytes < 0 ? 0 : drawn[i].value_bytes);
            assert_int_equal(record.header_count, drawn[i].header_count);
        }
        assert_int_equal(weir_batch_next(&walk, &record), 0);
    }
}

static void a_control_batch_says_how_a_transaction_ended(void **state)
{
    (void)state;
    for (int commit = 0; commit < 2; commit++) {
        uint8_t bytes[WEIR_BATCH_CONTROL_BYTES_MAX];
        struct weir_batch batch;
        size_t byte_count = weir_batch_control(bytes, 42, 7, commit, 0x01020304, 5000);
        assert_int_equal(byte_count, 61 + 17);
        static const uint8_t layout[] = {32, 0, 0, 0, 8, 0, 0, 0, 0, 12, 0, 0, 1, 2, 3, 4, 0};
        uint8_t expected[sizeof layout];
        memcpy(expected, layout, sizeof layout);
        expected[8] = (uint8_t)commit;
        assert_memory_equal(bytes + 61, expected, sizeof expected);
        assert_int_equal(weir_batch_check(bytes, byte_count, &batch), WEIR_BATCH_FINE);
        assert_int_equal(batch.control, commit ? WEIR_BATCH_CONTROL_COMMIT : WEIR_BATCH_CONTROL_ABORT);
        assert_int_equal(batch.attributes, WEIR_BATCH_CONTROL | WEIR_BATCH_TRANSACTIONAL);
        assert_int_equal(batch.producer_id, 42);
        assert_int_equal(batch.producer_epoch, 7);
        assert_int_equal(batch.base_sequence, -1);
        assert_int_equal(batch.last_timestamp_ms, 5000);
        assert_int_equal(weir_batch_check_produced(bytes, byte_count, &batch), WEIR_BATCH_FORBIDDEN);
        assert_int_equal(weir_batch_read(bytes, 61, &batch), WEIR_BATCH_FINE);
        assert_int_equal(batch.control, WEIR_BATCH_CONTROL_UNREAD);
    }
}

static void a_control_batch_of_another_kind_is_neither(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t byte;
    } rows[] = {{61 + 8, 2}, {61 + 7, 1}, {61 + 4, 6 /* a key of 3 */}, {61, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[WEIR_BATCH_CONTROL_BYTES_MAX];
        struct weir_batch batch;
        size_t byte_count = weir_batch_control(bytes, 42, 7, true, 0, 5000);
        bytes[rows[i].at] = rows[i].byte;
        put_crc(bytes, byte_count);
        assert_int_equal(weir_batch_check(bytes, byte_count, &batch), WEIR_BATCH_FINE);
        assert_int_equal(batch.control, WEIR_BATCH_CONTROL_OTHER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_written_by_hand_is_read_field_by_field),
        cmocka_unit_test(its_records_are_walked_in_place),
        cmocka_unit_test(placing_a_batch_leaves_its_crc_right),
        cmocka_unit_test(a_stamped_batch_gives_every_record_the_time_of_its_append),
        cmocka_unit_test(every_shorter_piece_of_a_batch_is_short),
        cmocka_unit_test(every_flipped_bit_that_the_crc_covers_is_seen),
        cmocka_unit_test(a_producer_is_told_what_is_wrong),
        cmocka_unit_test(a_wrong_crc_is_told_before_what_it_covers),
        cmocka_unit_test(what_follows_a_batch_is_not_part_of_it),
        cmocka_unit_test(a_compressed_block_of_nothing_is_refused),
        cmocka_unit_test(compressed_records_are_walked_where_they_were_unpacked),
        cmocka_unit_test(offsets_may_have_gaps_in_a_stored_batch),
        cmocka_unit_test(the_same_batch_is_built_byte_for_byte),
        cmocka_unit_test(a_record_that_does_not_fit_changes_nothing),
        cmocka_unit_test(impossible_sizes_do_not_fit),
        cmocka_unit_test(whatever_is_built_is_walked_again),
        cmocka_unit_test(a_control_batch_says_how_a_transaction_ended),
        cmocka_unit_test(a_control_batch_of_another_kind_is_neither),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
