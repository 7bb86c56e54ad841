/*
 * wire/resp/resp_entry.c - records as stream entries, and ids.
 *
 *     record {offset 11, key k, value v, header h: x}   ->   *2 "12-0" *6 "value" "v" "key" "k" "h" "x"
 *
 * Proof: tests/wire/resp/resp_entry_test.c, tests/clients/.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/codec.h"
#include "wire/resp/resp_kept.h"

size_t weir_resp_id_write(char text[WEIR_RESP_ID_BYTES], uint64_t offset)
{
    return (size_t)snprintf(text, WEIR_RESP_ID_BYTES, "%llu-0", (unsigned long long)(offset + 1));
}

static bool parse_u64(const char *bytes, size_t count, uint64_t *value_out)
{
    uint64_t value = 0;
    if (count == 0 || count > 20)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] < '0' || bytes[i] > '9' || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(bytes[i] - '0'), &value))
            return false;
    }
    *value_out = value;
    return true;
}

/* The first offset whose id is not below {ms, sequence}. */
static uint64_t at_or_after(uint64_t ms, uint64_t sequence)
{
    if (ms == 0)
        return 0; /* ids begin at 1-0 */
    return sequence == 0 ? ms - 1 : ms;
}

bool weir_resp_id_parse(struct weir_resp_slice text, bool upper, uint64_t *offset_out, bool *none_out)
{
    uint64_t ms, sequence = upper ? UINT64_MAX : 0;
    bool exclusive = text.count > 0 && text.bytes[0] == '(';
    const char *bytes = text.bytes + exclusive;
    size_t count = text.count - exclusive;
    const char *dash = count > 0 ? memchr(bytes, '-', count) : NULL;
    *none_out = false;
    if (count == 1 && (*bytes == '-' || *bytes == '+') && !exclusive) {
        *none_out = upper && *bytes == '-'; /* nothing is at or before the smallest id */
        *offset_out = *bytes == '-' ? 0 : UINT64_MAX;
        return true;
    }
    if (!parse_u64(bytes, dash ? (size_t)(dash - bytes) : count, &ms) ||
        (dash && !parse_u64(dash + 1, count - (size_t)(dash + 1 - bytes), &sequence)))
        return false;
    if (!upper) {
        *offset_out = exclusive ? (sequence == UINT64_MAX ? ms : at_or_after(ms, sequence + 1)) : at_or_after(ms, sequence);
        return true;
    }
    uint64_t above = exclusive ? at_or_after(ms, sequence) : sequence == UINT64_MAX ? ms : at_or_after(ms, sequence + 1);
    *none_out = above == 0; /* nothing is below 1-0 */
    *offset_out = above - 1;
    return true;
}

static void add_bulk(struct weir_text *text, const void *bytes, size_t count)
{
    weir_text_add(text, "$%zu\r\n", count);
    weir_text_add_bytes(text, bytes, count);
    weir_text_add_bytes(text, "\r\n", 2);
}

static void add_record(struct weir_text *text, const struct weir_batch_record *record)
{
    char id[WEIR_RESP_ID_BYTES];
    struct weir_record_header header;
    const uint8_t *at = record->headers;
    size_t id_bytes = weir_resp_id_write(id, record->offset);
    weir_text_add(text, "*2\r\n");
    add_bulk(text, id, id_bytes);
    weir_text_add(text, "*%u\r\n", 2 * (record->header_count + (record->value != NULL) + (record->key != NULL)));
    if (record->value) {
        add_bulk(text, "value", 5);
        add_bulk(text, record->value, record->value_bytes);
    }
    if (record->key) {
        add_bulk(text, "key", 3);
        add_bulk(text, record->key, record->key_bytes);
    }
    for (uint32_t i = 0; i < record->header_count; i++) {
        if (weir_batch_header_next(&at, record->end, &header) != 1)
            header = (struct weir_record_header){0}; /* cannot be: the walk has looked at them */
        add_bulk(text, header.name ? (const void *)header.name : "", header.name_bytes);
        add_bulk(text, header.value ? (const void *)header.value : "", header.value_bytes);
    }
}

static bool note_start(struct weir_resp_entries *entries, size_t bytes_max)
{
    if (entries->text.byte_count > bytes_max)
        return false;
    if (entries->count == entries->room) {
        uint32_t room = entries->room ? entries->room * 2 : 64;
        size_t *grown = realloc(entries->starts, room * sizeof *grown);
        if (!grown)
            return false;
        entries->starts = grown;
        entries->room = room;
    }
    entries->starts[entries->count++] = entries->text.byte_count;
    return true;
}

struct adding {
    const struct weir_kept_fetch *fetch;
    uint64_t from, to;
    uint32_t count_max;
    size_t bytes_max;
    uint64_t ended; /* bit i: the i-th aborted transaction's end has been passed */
};

/*
 * As Kafka's consumers do it: a producer is within an aborted transaction from its first offset to its abort marker. Of more than 64 that
 * overlap one read, the later ones' ends are not noticed: then what follows of those producers is left out up to the end of the read.
 */
static bool is_aborted(const struct adding *adding, const struct weir_batch *batch)
{
    if (!(batch->attributes & WEIR_BATCH_TRANSACTIONAL))
        return false;
    for (uint32_t i = 0; i < adding->fetch->aborted_count; i++) {
        const struct weir_kept_aborted *aborted = &adding->fetch->aborted[i];
        bool ended = i < 64 && adding->ended >> i & 1;
        if (!ended && aborted->producer_id == batch->producer_id && aborted->first_offset <= batch->base_offset)
            return true;
    }
    return false;
}

static void pass_marker(struct adding *adding, const struct weir_batch *batch)
{
    for (uint32_t i = 0; i < adding->fetch->aborted_count && i < 64; i++) {
        const struct weir_kept_aborted *aborted = &adding->fetch->aborted[i];
        if (aborted->producer_id != batch->producer_id || aborted->first_offset > batch->base_offset || adding->ended >> i & 1)
            continue;
        adding->ended |= (uint64_t)1 << i;
        return; /* the earliest one of this producer */
    }
}

static void add_batch(struct weir_resp_entries *entries, const uint8_t *bytes, const struct weir_batch *batch, struct adding *adding)
{
    const uint64_t from = adding->from, to = adding->to;
    const uint32_t count_max = adding->count_max;
    struct weir_batch_walk walk;
    struct weir_batch_record record;
    uint8_t *block = NULL;
    size_t block_bytes = 0;
    bool packed = batch->attributes & WEIR_BATCH_CODEC_MASK;
    if (batch->attributes & WEIR_BATCH_CONTROL) {
        pass_marker(adding, batch);
        return;
    }
    if (is_aborted(adding, batch))
        return;
    if (packed && weir_codec_open(bytes, batch, WEIR_CODEC_BYTES_MAX, &block, &block_bytes) < 0)
        return;
    if (weir_batch_walk(&walk, bytes, batch, block, block_bytes) == 0)
        while (entries->count < count_max && !entries->failed && weir_batch_next(&walk, &record) == 1) {
            if (record.offset < from || record.offset > to)
                continue;
            if (!note_start(entries, adding->bytes_max))
                entries->failed = true;
            else
                add_record(&entries->text, &record);
            entries->next_offset = record.offset + 1;
        }
    free(block);
}

void weir_resp_entries_add(struct weir_resp_entries *entries, const struct weir_kept_fetch *fetch, uint64_t from, uint64_t to,
                           uint32_t count_max, size_t bytes_max)
{
    struct adding adding = {.fetch = fetch, .from = from, .to = to, .count_max = count_max, .bytes_max = bytes_max};
    const struct weir_read *read = &fetch->read;
    for (uint32_t i = 0; i < read->slice_count; i++) {
        const uint8_t *at = read->slices[i].bytes;
        size_t left = read->slices[i].byte_count;
        struct weir_batch batch;
        while (left > 0 && entries->count < count_max && weir_batch_read(at, left, &batch) == WEIR_BATCH_FINE &&
               batch.byte_count <= left) {
            entries->next_offset = batch.base_offset;
            add_batch(entries, at, &batch, &adding);
            if (entries->count < count_max)
                entries->next_offset = batch.base_offset + batch.last_delta + 1;
            at += batch.byte_count;
            left -= batch.byte_count;
        }
    }
    entries->failed |= entries->text.failed;
}

void weir_resp_entries_write(struct weir_resp_session *session, const struct weir_resp_entries *entries, bool backwards, uint32_t count_max)
{
    uint32_t count = entries->count < count_max ? entries->count : count_max;
    weir_resp_write_array(weir_resp_room(session, 32), count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = backwards ? entries->count - 1 - i : i;
        size_t start = entries->starts[place];
        size_t end = place + 1 < entries->count ? entries->starts[place + 1] : entries->text.byte_count;
        struct weir_resp_writer *out = weir_resp_room(session, end - start);
        if (out->capacity >= out->count && out->capacity - out->count >= end - start)
            memcpy(out->bytes + out->count, entries->text.bytes + start, end - start);
        out->count += end - start;
    }
}

void weir_resp_entries_free(struct weir_resp_entries *entries)
{
    weir_text_free(&entries->text);
    free(entries->starts);
    *entries = (struct weir_resp_entries){0};
}
