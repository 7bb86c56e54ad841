/*
 * tests/log/frame_fuzz.c - any bytes, read as a journal's.
 *
 * An input is read as an extent header, as a frame and as entries, in a block of exactly its size, so that AddressSanitizer sees
 * one byte too far; and once more as the entries of a frame that is made around them, whose checksum is right. What is read
 * lies inside and is written back to the same bytes.
 *
 * With libFuzzer: frame_fuzz DIRECTORY. Without (FUZZ_STAND_ALONE): frame_fuzz FILE...
 */
#include "log/frame.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

#define MUST(condition) ((condition) ? (void)0 : broken(__LINE__, #condition))

static void broken(int line, const char *condition)
{
    fprintf(stderr, "frame_fuzz.c:%d: %s\n", line, condition);
    abort();
}

static uint8_t *copy_of(const uint8_t *data, size_t count)
{
    uint8_t *copy = malloc(count + (count == 0));
    MUST(copy != NULL);
    memcpy(copy, data, count);
    return copy;
}

static void check_entry(const uint8_t *from, const uint8_t *at, const struct weir_entry *entry)
{
    uint8_t head[WEIR_ENTRY_HEAD_BYTES];
    MUST(entry->body == from + WEIR_ENTRY_HEAD_BYTES);
    MUST(entry->key_bytes <= entry->body_bytes);
    MUST(at > from && (size_t)(at - from) == weir_entry_bytes(entry->body_bytes));
    MUST(entry->body + entry->body_bytes <= at);
    weir_entry_write(head, entry);
    MUST(memcmp(head, from, sizeof head) == 0);
}

static void read_entries(const uint8_t *bytes, size_t count)
{
    const uint8_t *at = bytes;
    struct weir_entry entry;
    for (;;) {
        const uint8_t *from = at;
        int result = weir_entry_next(&at, bytes + count, &entry);
        MUST(at <= bytes + count);
        if (result != 1) {
            MUST(at == from && (result == 0 ? at == bytes + count : result == -EBADMSG));
            return;
        }
        check_entry(from, at, &entry);
    }
}

static void read_extent(const uint8_t *bytes, size_t count, struct weir_extent_head *extent_out)
{
    uint8_t again[WEIR_EXTENT_HEAD_BYTES];
    memset(extent_out, 0, sizeof *extent_out);
    if (count < WEIR_EXTENT_HEAD_BYTES || !weir_extent_read(bytes, extent_out))
        return;
    weir_extent_write(again, extent_out);
    MUST(memcmp(again, bytes, sizeof again) == 0);
}

/* The extent that this frame would be of. */
static void read_frame(const uint8_t *bytes, size_t count)
{
    struct weir_extent_head extent = {0};
    struct weir_frame_head head;
    if (count >= WEIR_FRAME_HEAD_BYTES) {
        memcpy(&extent.run, bytes + 16, sizeof extent.run);
        memcpy(&extent.journal, bytes + 24, sizeof extent.journal);
        memcpy(extent.node.bytes, bytes + 32, 8);
    }
    if (!weir_frame_peek(bytes, count, &extent, &head) || !weir_frame_read(bytes, count, &extent, head.sequence, &head))
        return;
    MUST(WEIR_FRAME_HEAD_BYTES + (size_t)head.entry_bytes <= count);
    read_entries(bytes + WEIR_FRAME_HEAD_BYTES, head.entry_bytes);
}

static void read_as_frame(const uint8_t *data, size_t count)
{
    const struct weir_extent_head extent = {.run = 3, .journal = 1, .salt = 99, .number = 2, .first_sequence = 8};
    const struct weir_frame_head head = {12, (uint32_t)count, 1};
    struct weir_frame_head back;
    uint8_t *bytes = malloc(WEIR_FRAME_HEAD_BYTES + count);
    MUST(bytes != NULL);
    memcpy(bytes + WEIR_FRAME_HEAD_BYTES, data, count);
    weir_frame_write(bytes, &extent, &head);
    MUST(weir_frame_read(bytes, WEIR_FRAME_HEAD_BYTES + count, &extent, 12, &back));
    MUST(back.entry_bytes == count && back.entry_count == 1);
    read_entries(bytes + WEIR_FRAME_HEAD_BYTES, back.entry_bytes);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    struct weir_extent_head extent;
    uint8_t *bytes = copy_of(data, count);
    read_extent(bytes, count, &extent);
    read_frame(bytes, count);
    read_entries(bytes, count);
    read_as_frame(bytes, count);
    free(bytes);
    return 0;
}

#ifdef FUZZ_STAND_ALONE
int main(int count, char **paths)
{
    static uint8_t bytes[1 << 20];
    for (int i = 1; i < count; i++) {
        FILE *file = fopen(paths[i], "rb");
        if (!file) {
            perror(paths[i]);
            return 1;
        }
        size_t byte_count = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        LLVMFuzzerTestOneInput(bytes, byte_count);
    }
    return 0;
}
#endif
