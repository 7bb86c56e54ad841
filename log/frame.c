/*
 * log/frame.c - extent headers, frames and entries, to bytes and back.
 *
 * Little-endian words at fixed offsets, moved by memcpy, so bytes may lie anywhere. No length is believed before it has been
 * compared with what is left, and nothing of a frame is looked at as an entry before its checksum was right. Offsets:
 * docs/log-format.md. Proof: tests/log/frame_test.c, tests/log/frame_fuzz.c.
 */
#include "log/frame.h"

#include <errno.h>
#include <string.h>

#include "base/crc32c.h"

enum { EXTENT_FORMAT = 1, EXTENT_CHECKED_FROM = 16, FRAME_CHECKED_FROM = 8 };

static const uint8_t extent_magic[8] = {'w', 'e', 'i', 'r', 'e', 'x', 't', 'n'};
static const uint8_t frame_magic[4] = {'w', 'f', 'r', 'm'};

static uint64_t little64(uint64_t word)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static uint32_t little32(uint32_t word)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap32(word);
#endif
    return word;
}

static uint16_t little16(uint16_t word)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap16(word);
#endif
    return word;
}

static void put64(uint8_t *at, uint64_t value)
{
    value = little64(value);
    memcpy(at, &value, sizeof value);
}

static void put32(uint8_t *at, uint32_t value)
{
    value = little32(value);
    memcpy(at, &value, sizeof value);
}

static void put16(uint8_t *at, uint16_t value)
{
    value = little16(value);
    memcpy(at, &value, sizeof value);
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return little64(value);
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return little32(value);
}

static uint16_t get16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return little16(value);
}

/* ---- Extents ---- */

static uint32_t extent_crc(const uint8_t *bytes)
{
    return weir_crc32c(0, bytes + EXTENT_CHECKED_FROM, WEIR_EXTENT_HEAD_BYTES - EXTENT_CHECKED_FROM);
}

void weir_extent_write(uint8_t bytes[WEIR_EXTENT_HEAD_BYTES], const struct weir_extent_head *head)
{
    memcpy(bytes, extent_magic, sizeof extent_magic);
    put32(bytes + 8, EXTENT_FORMAT);
    memcpy(bytes + 16, head->node.bytes, sizeof head->node.bytes);
    put64(bytes + 32, head->run);
    put32(bytes + 40, head->journal);
    put32(bytes + 44, head->salt);
    put64(bytes + 48, head->number);
    put64(bytes + 56, head->first_sequence);
    put32(bytes + 12, extent_crc(bytes));
}

bool weir_extent_read(const uint8_t bytes[WEIR_EXTENT_HEAD_BYTES], struct weir_extent_head *head_out)
{
    if (memcmp(bytes, extent_magic, sizeof extent_magic) != 0 || get32(bytes + 8) != EXTENT_FORMAT ||
        get32(bytes + 12) != extent_crc(bytes))
        return false;
    memcpy(head_out->node.bytes, bytes + 16, sizeof head_out->node.bytes);
    head_out->run = get64(bytes + 32);
    head_out->journal = get32(bytes + 40);
    head_out->salt = get32(bytes + 44);
    head_out->number = get64(bytes + 48);
    head_out->first_sequence = get64(bytes + 56);
    return true;
}

/* ---- Frames ---- */

/* Who does not know the salt cannot make a body that passes for a frame, should it ever lie where one is looked for. */
static uint32_t frame_crc(uint32_t salt, const uint8_t *bytes, uint32_t entry_bytes)
{
    return weir_crc32c(salt, bytes + FRAME_CHECKED_FROM, WEIR_FRAME_HEAD_BYTES - FRAME_CHECKED_FROM + (size_t)entry_bytes);
}

void weir_frame_write(uint8_t *bytes, const struct weir_extent_head *extent, const struct weir_frame_head *head)
{
    memcpy(bytes, frame_magic, sizeof frame_magic);
    put64(bytes + 8, head->sequence);
    put64(bytes + 16, extent->run);
    put32(bytes + 24, extent->journal);
    put32(bytes + 28, head->entry_bytes);
    memcpy(bytes + 32, extent->node.bytes, 8);
    put32(bytes + 40, head->entry_count);
    put32(bytes + 44, 0);
    put32(bytes + 4, frame_crc(extent->salt, bytes, head->entry_bytes));
}

bool weir_frame_peek(const uint8_t *bytes, size_t byte_count, const struct weir_extent_head *extent,
                     struct weir_frame_head *head_out)
{
    if (byte_count < WEIR_FRAME_HEAD_BYTES || memcmp(bytes, frame_magic, sizeof frame_magic) != 0 ||
        get64(bytes + 16) != extent->run || get32(bytes + 24) != extent->journal ||
        memcmp(bytes + 32, extent->node.bytes, 8) != 0)
        return false;
    *head_out = (struct weir_frame_head){get64(bytes + 8), get32(bytes + 28), get32(bytes + 40)};
    return true;
}

bool weir_frame_read(const uint8_t *bytes, size_t byte_count, const struct weir_extent_head *extent, uint64_t sequence,
                     struct weir_frame_head *head_out)
{
    return weir_frame_peek(bytes, byte_count, extent, head_out) && head_out->sequence == sequence &&
           head_out->entry_bytes <= byte_count - WEIR_FRAME_HEAD_BYTES &&
           get32(bytes + 4) == frame_crc(extent->salt, bytes, head_out->entry_bytes);
}

/* ---- Entries ---- */

void weir_entry_write(uint8_t *bytes, const struct weir_entry *entry)
{
    put32(bytes, entry->body_bytes);
    put16(bytes + 4, entry->type);
    put16(bytes + 6, 0);
    memcpy(bytes + 8, entry->topic.bytes, sizeof entry->topic.bytes);
    put32(bytes + 24, entry->place);
    put32(bytes + 28, entry->key_bytes);
    put64(bytes + 32, entry->number);
}

int weir_entry_next(const uint8_t **at, const uint8_t *end, struct weir_entry *entry_out)
{
    const uint8_t *bytes = *at;
    size_t left = (size_t)(end - bytes);
    if (left == 0)
        return 0;
    if (left < WEIR_ENTRY_HEAD_BYTES || get16(bytes + 6) != 0)
        return -EBADMSG;
    uint32_t body_bytes = get32(bytes);
    uint32_t key_bytes = get32(bytes + 28);
    if (body_bytes > WEIR_ENTRY_BODY_BYTES_MAX || weir_entry_bytes(body_bytes) > left || key_bytes > body_bytes)
        return -EBADMSG;
    *entry_out = (struct weir_entry){
        .type = get16(bytes + 4),
        .place = get32(bytes + 24),
        .key_bytes = key_bytes,
        .number = get64(bytes + 32),
        .body = bytes + WEIR_ENTRY_HEAD_BYTES,
        .body_bytes = body_bytes,
    };
    memcpy(entry_out->topic.bytes, bytes + 8, sizeof entry_out->topic.bytes);
    *at = bytes + weir_entry_bytes(body_bytes);
    return 1;
}
