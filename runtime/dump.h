/*
 * runtime/dump.h - the file that weir_trace_dump writes. All numbers are little-endian, as on every machine weir runs on.
 *
 *     offset  bytes
 *     0       8      "weirtrc1"
 *     8       4      reactors
 *     12      4      topics
 *     16      8      bytes of one record (32)
 *     then for each topic   { u32 slot, u32 name bytes, the name }
 *     then for each reactor { u32 index, u32 records, u64 number of the first, the records, oldest first }
 *
 * A record is struct weir_record, made of one or two cells of the recorder (runtime/recorder.h). One of kind DISPATCH may
 * stand for up to 256 events, whose ids follow each other. One of kind NONE is to be skipped: the second cell of the one
 * before it, or being overwritten.
 */
#ifndef WEIR_RUNTIME_DUMP_H
#define WEIR_RUNTIME_DUMP_H

#include <stdint.h>

#define WEIR_DUMP_MAGIC "weirtrc1"

struct weir_dump_head {
    char magic[8];
    uint32_t reactor_count;
    uint32_t topic_count;
    uint64_t record_bytes;
};

struct weir_dump_topic {
    uint32_t slot;
    uint32_t name_bytes;
};

struct weir_dump_reactor {
    uint32_t index;
    uint32_t record_count;
    uint64_t first_number;
};

const char *weir_record_kind_name(uint32_t kind); /* "emit", ...; NULL: unknown */

#endif
