/*
 * log/batch.c - the header of a record batch: read it, check it, write the fields that are ours.
 *
 * A batch is believed in three steps, each of which costs more: its header (lengths that can be followed), its CRC (it is what was
 * sent), its records (it is what may be sent). What lies in the log has passed all three once; recovery repeats the first two.
 *
 * Allocates nothing and looks at each byte of a batch at most twice. Proof: tests/log/batch_test.c, tests/log/batch_fuzz.c.
 */
#include "log/batch.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "log/batch_bytes.h"

enum { CODEC_LAST = 4 /* zstd */ };

/* The key of a control record: version, then what it says. */
static enum weir_batch_control_kind control_of_records(const uint8_t *bytes, const struct weir_batch *batch)
{
    enum { KEY_BYTES = 4 };
    struct weir_batch_walk walk;
    struct weir_batch_record record;
    if (weir_batch_walk(&walk, bytes, batch, NULL, 0) < 0 || weir_batch_next(&walk, &record) != 1)
        return WEIR_BATCH_CONTROL_OTHER;
    if (!record.key || record.key_bytes < KEY_BYTES)
        return WEIR_BATCH_CONTROL_OTHER;
    switch (weir_batch_get16(record.key + 2)) {
    case 0:
        return WEIR_BATCH_CONTROL_ABORT;
    case 1:
        return WEIR_BATCH_CONTROL_COMMIT;
    default:
        return WEIR_BATCH_CONTROL_OTHER;
    }
}

static enum weir_batch_control_kind control_of(const uint8_t *bytes, size_t byte_count, const struct weir_batch *batch)
{
    if (!(batch->attributes & WEIR_BATCH_CONTROL))
        return WEIR_BATCH_CONTROL_NONE;
    return byte_count < batch->byte_count ? WEIR_BATCH_CONTROL_UNREAD : control_of_records(bytes, batch);
}

enum weir_batch_fault weir_batch_read(const uint8_t *bytes, size_t byte_count, struct weir_batch *batch_out)
{
    if (byte_count < WEIR_BATCH_HEAD_BYTES)
        return WEIR_BATCH_SHORT;
    if (bytes[WEIR_BATCH_AT_MAGIC] != WEIR_BATCH_MAGIC)
        return WEIR_BATCH_BAD_MAGIC;
    uint32_t length = weir_batch_get32(bytes + WEIR_BATCH_AT_LENGTH);
    if (length < WEIR_BATCH_HEAD_BYTES - WEIR_BATCH_LENGTH_END || length > INT32_MAX)
        return WEIR_BATCH_BAD_LENGTH;
    *batch_out = (struct weir_batch){
        .base_offset = weir_batch_get64(bytes),
        .byte_count = length + WEIR_BATCH_LENGTH_END,
        .crc = weir_batch_get32(bytes + WEIR_BATCH_AT_CRC),
        .attributes = weir_batch_get16(bytes + WEIR_BATCH_AT_ATTRIBUTES),
        .last_delta = weir_batch_get32(bytes + WEIR_BATCH_AT_LAST_DELTA),
        .first_timestamp_ms = (int64_t)weir_batch_get64(bytes + WEIR_BATCH_AT_FIRST_TIMESTAMP),
        .last_timestamp_ms = (int64_t)weir_batch_get64(bytes + WEIR_BATCH_AT_LAST_TIMESTAMP),
        .producer_id = (int64_t)weir_batch_get64(bytes + WEIR_BATCH_AT_PRODUCER_ID),
        .producer_epoch = (int16_t)weir_batch_get16(bytes + WEIR_BATCH_AT_PRODUCER_EPOCH),
        .base_sequence = (int32_t)weir_batch_get32(bytes + WEIR_BATCH_AT_BASE_SEQUENCE),
        .record_count = weir_batch_get32(bytes + WEIR_BATCH_AT_RECORDS),
    };
    if (batch_out->last_delta > INT32_MAX || batch_out->record_count > INT32_MAX)
        return WEIR_BATCH_BAD_COUNT; /* so that offsets computed from it cannot overflow */
    batch_out->control = (uint8_t)control_of(bytes, byte_count, batch_out);
    return WEIR_BATCH_FINE;
}

enum weir_batch_fault weir_batch_check(const uint8_t *bytes, size_t byte_count, struct weir_batch *batch_out)
{
    enum weir_batch_fault fault = weir_batch_read(bytes, byte_count, batch_out);
    if (fault != WEIR_BATCH_FINE)
        return fault;
    if (byte_count < batch_out->byte_count)
        return WEIR_BATCH_SHORT;
    const uint8_t *covered = bytes + WEIR_BATCH_AT_ATTRIBUTES;
    if (weir_crc32c(0, covered, batch_out->byte_count - WEIR_BATCH_AT_ATTRIBUTES) != batch_out->crc)
        return WEIR_BATCH_BAD_CRC;
    return WEIR_BATCH_FINE;
}

/* What only the broker may write, and what contradicts itself. */
static bool allowed(const struct weir_batch *batch)
{
    if (batch->attributes & (WEIR_BATCH_CONTROL | WEIR_BATCH_APPEND_TIME))
        return false;
    if ((batch->attributes & WEIR_BATCH_CODEC_MASK) > CODEC_LAST)
        return false;
    if (batch->producer_id < -1)
        return false;
    if (batch->producer_id == -1)
        return !(batch->attributes & WEIR_BATCH_TRANSACTIONAL);
    return batch->producer_epoch >= 0 && batch->base_sequence >= 0;
}

static enum weir_batch_fault check_records(const uint8_t *bytes, const struct weir_batch *batch)
{
    struct weir_batch_walk walk;
    struct weir_batch_record record;
    int result = weir_batch_walk(&walk, bytes, batch, NULL, 0);
    WEIR_ASSERT(result == 0);
    for (uint32_t i = 0; i < batch->record_count; i++) {
        if (weir_batch_next(&walk, &record) != 1)
            return WEIR_BATCH_BAD_RECORD;
        if (record.offset - batch->base_offset != i)
            return WEIR_BATCH_BAD_COUNT;
    }
    return weir_batch_next(&walk, &record) == 0 ? WEIR_BATCH_FINE : WEIR_BATCH_BAD_RECORD;
}

enum weir_batch_fault weir_batch_check_produced(const uint8_t *bytes, size_t byte_count, struct weir_batch *batch_out)
{
    enum weir_batch_fault fault = weir_batch_check(bytes, byte_count, batch_out);
    if (fault != WEIR_BATCH_FINE)
        return fault;
    if (batch_out->record_count == 0 || batch_out->last_delta != batch_out->record_count - 1)
        return WEIR_BATCH_BAD_COUNT;
    if (!allowed(batch_out))
        return WEIR_BATCH_FORBIDDEN;
    if (batch_out->attributes & WEIR_BATCH_CODEC_MASK)
        return batch_out->byte_count > WEIR_BATCH_HEAD_BYTES ? WEIR_BATCH_FINE : WEIR_BATCH_BAD_RECORD;
    return check_records(bytes, batch_out);
}

const char *weir_batch_fault_text(enum weir_batch_fault fault)
{
    switch (fault) {
    case WEIR_BATCH_FINE:
        return "fine";
    case WEIR_BATCH_SHORT:
        return "bytes are missing";
    case WEIR_BATCH_BAD_MAGIC:
        return "not a record batch of version 2";
    case WEIR_BATCH_BAD_LENGTH:
        return "impossible length";
    case WEIR_BATCH_BAD_CRC:
        return "wrong CRC";
    case WEIR_BATCH_BAD_COUNT:
        return "count of records and offsets do not agree";
    case WEIR_BATCH_BAD_RECORD:
        return "a record is malformed";
    case WEIR_BATCH_FORBIDDEN:
        return "not for a producer to send";
    }
    return "unknown";
}

void weir_batch_place(uint8_t *bytes, uint64_t base_offset, uint32_t leader_epoch)
{
    weir_batch_put64(bytes, base_offset);
    weir_batch_put32(bytes + WEIR_BATCH_AT_EPOCH, leader_epoch);
}

void weir_batch_seal(uint8_t *bytes)
{
    size_t byte_count = (size_t)weir_batch_get32(bytes + WEIR_BATCH_AT_LENGTH) + WEIR_BATCH_LENGTH_END;
    uint32_t crc = weir_crc32c(0, bytes + WEIR_BATCH_AT_ATTRIBUTES, byte_count - WEIR_BATCH_AT_ATTRIBUTES);
    weir_batch_put32(bytes + WEIR_BATCH_AT_CRC, crc);
}

void weir_batch_stamp(uint8_t *bytes, int64_t append_ms)
{
    uint16_t attributes = weir_batch_get16(bytes + WEIR_BATCH_AT_ATTRIBUTES);
    weir_batch_put16(bytes + WEIR_BATCH_AT_ATTRIBUTES, (uint16_t)(attributes | WEIR_BATCH_APPEND_TIME));
    weir_batch_put64(bytes + WEIR_BATCH_AT_LAST_TIMESTAMP, (uint64_t)append_ms);
    weir_batch_seal(bytes);
}
