/*
 * tests/log/checkpoint_fuzz.c - any bytes, read as a checkpoint's.
 *
 * An input is read as it is, and once more as what follows a head that is made for it, whose checksum is right; in a block of
 * exactly its size, so that AddressSanitizer sees one byte too far. What is read whole is written back to the same bytes,
 * but for padding.
 *
 * With libFuzzer: checkpoint_fuzz DIRECTORY. Without (FUZZ_STAND_ALONE): checkpoint_fuzz FILE...
 */
#include "log/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

enum { HEAD_BYTES = 72, SEGMENTS_MAX = 256 };

#define MUST(condition) ((condition) ? (void)0 : broken(__LINE__, #condition))

static void broken(int line, const char *condition)
{
    fprintf(stderr, "checkpoint_fuzz.c:%d: %s\n", line, condition);
    abort();
}

static bool inside(const uint8_t *bytes, size_t count, const uint8_t *at, size_t some)
{
    return at >= bytes && at <= bytes + count && some <= (size_t)(bytes + count - at);
}

static void touch(const uint8_t *at, size_t some, uint8_t *sum)
{
    for (size_t i = 0; i < some; i++)
        *sum ^= at[i];
}

static int read_partitions(struct weir_checkpoint_reader *reader, const uint8_t *bytes, size_t count,
                           struct weir_checkpoint_writer *writer)
{
    struct weir_checkpoint_partition partition;
    struct weir_checkpoint_segment segments[SEGMENTS_MAX];
    uint8_t sum = 0;
    int result;
    while ((result = weir_checkpoint_next_partition(reader, &partition)) == 1) {
        MUST(inside(bytes, count, partition.segment_bytes, (size_t)partition.segment_count * 32));
        MUST(inside(bytes, count, partition.state, partition.state_bytes));
        touch(partition.state, partition.state_bytes, &sum);
        for (uint32_t i = 0; i < partition.segment_count && i < SEGMENTS_MAX; i++)
            weir_checkpoint_segment_at(&partition, i, &segments[i]);
        if (partition.segment_count > SEGMENTS_MAX)
            return -EFBIG;
        partition.segments = segments;
        weir_checkpoint_add_partition(writer, &partition);
    }
    return result;
}

static int read_rows(struct weir_checkpoint_reader *reader, const uint8_t *bytes, size_t count, struct weir_checkpoint_writer *writer)
{
    struct weir_checkpoint_row row;
    int result;
    while ((result = weir_checkpoint_next_row(reader, &row)) == 1) {
        MUST(inside(bytes, count, row.key, row.key_bytes));
        MUST(inside(bytes, count, row.value, row.value_bytes));
        weir_checkpoint_add_row(writer, &row);
    }
    return result;
}

/* What was read makes a checkpoint of the same size that reads the same way. */
static void check_same(const struct weir_checkpoint_writer *writer, size_t count)
{
    struct weir_checkpoint_reader reader;
    MUST(writer->used == count);
    MUST(weir_checkpoint_open(&reader, writer->bytes, writer->used) == 0);
    MUST(reader.partitions_left == writer->partition_count && reader.rows_left == writer->row_count);
}

static void read_checkpoint(const uint8_t *bytes, size_t count)
{
    struct weir_checkpoint_reader reader;
    struct weir_checkpoint_writer writer;
    int result = weir_checkpoint_open(&reader, bytes, count);
    if (result < 0) {
        MUST(result == -EBADMSG);
        return;
    }
    struct weir_checkpoint_head head = reader.head;
    weir_checkpoint_begin(&writer);
    result = read_partitions(&reader, bytes, count, &writer);
    if (result == 0)
        result = read_rows(&reader, bytes, count, &writer);
    MUST(result == 0 || result == -EBADMSG || result == -EFBIG);
    if (result == 0) {
        MUST(weir_checkpoint_finish(&writer, &head) == 0);
        check_same(&writer, count);
    }
    free(writer.bytes);
}

static void put(uint8_t *at, int byte_count, uint64_t value)
{
    for (int i = 0; i < byte_count; i++, value >>= 8)
        at[i] = (uint8_t)value;
}

/* The first two bytes say how many partitions and rows there shall be; the rest is what they are read from. */
static void read_with_head(const uint8_t *data, size_t count)
{
    if (count < 2)
        return;
    size_t all = HEAD_BYTES + count - 2;
    uint8_t *bytes = calloc(1, all);
    MUST(bytes != NULL);
    memcpy(bytes, "weirchkp", 8);
    put(bytes + 8, 4, 1);
    put(bytes + 44, 4, data[0]);
    put(bytes + 56, 8, data[1]);
    put(bytes + 64, 8, all);
    memcpy(bytes + HEAD_BYTES, data + 2, count - 2);
    put(bytes + 12, 4, weir_crc32c(0, bytes + 16, all - 16));
    read_checkpoint(bytes, all);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    uint8_t *copy = malloc(count + (count == 0));
    MUST(copy != NULL);
    memcpy(copy, data, count);
    read_checkpoint(copy, count);
    free(copy);
    read_with_head(data, count);
    return 0;
}

#ifdef FUZZ_STAND_ALONE
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        static uint8_t bytes[1 << 20];
        FILE *file = fopen(argv[i], "rbe");
        size_t count = file ? fread(bytes, 1, sizeof bytes, file) : 0;
        if (file)
            fclose(file);
        LLVMFuzzerTestOneInput(bytes, count);
    }
    return 0;
}
#endif
