/*
 * wire/kafka/kafka_codec.h - Kafka's messages, from one table each: bytes to structs and back. Pure, fuzzed.
 *
 * wire/kafka/kafka_messages.def lists every message as data: its fields in wire order, each with type, versions, nullable versions,
 * tag. From it come the C structs (kafka_messages.h) and the tables that this codec walks (kafka_messages.c); so a version
 * is supported by a line, not by code. Decoded strings, bytes and records point into the request; arrays lie in the arena.
 *
 * Encoding writes into chunks of the arena, but for record batches: they are not copied, the output lists them as slices between
 * the bytes, and the session sends them from where they are.
 *
 * Source: Kafka's message schemas, KIP-482 (flexible versions). Proof: tests/wire/kafka/kafka_codec_test.c (golden bytes for each API and
 * version), tests/wire/kafka/kafka_codec_fuzz.c.
 */
#ifndef WEIR_WIRE_KAFKA_KAFKA_CODEC_H
#define WEIR_WIRE_KAFKA_KAFKA_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory of one request: bump-allocated, freed at once, bounded. First block is the caller's (may be NULL). */
struct weir_kafka_arena {
    uint8_t *next;
    uint8_t *end;
    struct weir_kafka_block *blocks; /* malloc'd, newest first */
    size_t bytes_left;               /* of what may be taken altogether */
};
/* first  any alignment; as long as the arena is used */
void weir_kafka_arena_init(struct weir_kafka_arena *arena, void *first, size_t first_bytes, size_t bytes_max);
void weir_kafka_arena_deinit(struct weir_kafka_arena *arena);
void *weir_kafka_arena_take(struct weir_kafka_arena *arena, size_t byte_count); /* zeroed, aligned to 8; NULL: too much */

/* How the types of the schemas look in C. A null array or string has bytes/items == NULL. */
struct weir_kafka_string { const char *bytes; uint32_t byte_count; };
struct weir_kafka_bytes { const uint8_t *bytes; uint32_t byte_count; };
struct weir_kafka_uuid { uint8_t bytes[16]; };
struct weir_kafka_array { void *items; uint32_t count; }; /* of structs, or of the simple types above */
struct weir_kafka_records { /* decoded: bytes; encoded: what to send instead of bytes, in order */
    const uint8_t *bytes;
    uint32_t byte_count; /* of all of it */
    const void *const *pieces; /* opaque to the codec; NULL: `bytes` are copied. Stay until the parts were used */
    uint32_t piece_count;
};

struct weir_kafka_message; /* a table: kafka_table.h */

enum weir_kafka_key {
    WEIR_KAFKA_PRODUCE = 0,
    WEIR_KAFKA_FETCH = 1,
    WEIR_KAFKA_LIST_OFFSETS = 2,
    WEIR_KAFKA_METADATA = 3,
    WEIR_KAFKA_OFFSET_COMMIT = 8,
    WEIR_KAFKA_OFFSET_FETCH = 9,
    WEIR_KAFKA_FIND_COORDINATOR = 10,
    WEIR_KAFKA_JOIN_GROUP = 11,
    WEIR_KAFKA_HEARTBEAT = 12,
    WEIR_KAFKA_LEAVE_GROUP = 13,
    WEIR_KAFKA_SYNC_GROUP = 14,
    WEIR_KAFKA_DESCRIBE_GROUPS = 15,
    WEIR_KAFKA_LIST_GROUPS = 16,
    WEIR_KAFKA_SASL_HANDSHAKE = 17,
    WEIR_KAFKA_API_VERSIONS = 18,
    WEIR_KAFKA_CREATE_TOPICS = 19,
    WEIR_KAFKA_DELETE_TOPICS = 20,
    WEIR_KAFKA_DELETE_RECORDS = 21,
    WEIR_KAFKA_INIT_PRODUCER_ID = 22,
    WEIR_KAFKA_OFFSET_FOR_LEADER_EPOCH = 23,
    WEIR_KAFKA_ADD_PARTITIONS_TO_TXN = 24,
    WEIR_KAFKA_ADD_OFFSETS_TO_TXN = 25,
    WEIR_KAFKA_END_TXN = 26,
    WEIR_KAFKA_TXN_OFFSET_COMMIT = 28,
    WEIR_KAFKA_DESCRIBE_CONFIGS = 32,
    WEIR_KAFKA_SASL_AUTHENTICATE = 36,
    WEIR_KAFKA_CREATE_PARTITIONS = 37,
    WEIR_KAFKA_DELETE_GROUPS = 42,
    WEIR_KAFKA_INCREMENTAL_ALTER_CONFIGS = 44,
    WEIR_KAFKA_OFFSET_DELETE = 47,
    WEIR_KAFKA_DESCRIBE_CLUSTER = 60,
    WEIR_KAFKA_CONSUMER_GROUP_HEARTBEAT = 68,
    WEIR_KAFKA_CONSUMER_GROUP_DESCRIBE = 69,
};

struct weir_kafka_api {
    int16_t key;
    int16_t version_min, version_max; /* what weir serves; advertised as they are, but see kafka_api.c for traps */
    int16_t flexible_from;            /* INT16_MAX: never */
    const char *name;
    const struct weir_kafka_message *request;
    const struct weir_kafka_message *response;
};
extern const struct weir_kafka_api weir_kafka_apis[]; /* by key */
extern const uint32_t weir_kafka_api_count;
const struct weir_kafka_api *weir_kafka_api_find(int16_t key); /* NULL: not spoken */
bool weir_kafka_flexible(int16_t key, int16_t version);        /* false where key or version is unknown */

/* The head of a request. */
struct weir_kafka_head {
    int16_t key;
    int16_t version;
    int32_t correlation_id;
    struct weir_kafka_string client_id;
    uint32_t byte_count; /* of the head itself, tags of flexible versions included */
};
/*
 * 0; -EBADMSG. Knows from key and version whether tags follow. Of an unknown key or version only the first three numbers are believed:
 * client_id is what it looks like, or null.
 */
int weir_kafka_head_read(const uint8_t *bytes, size_t byte_count, struct weir_kafka_head *head_out);

/* A section of tags; how many bytes it takes, 0: malformed. */
size_t weir_kafka_tags_skip(const uint8_t *at, size_t left);

/* Every member its default (not always zero); empty strings and arrays are not null. */
void weir_kafka_defaults(const struct weir_kafka_message *message, void *out);
/* An array of `count` structs with defaults, or of zeroed simple values, in the arena. Its items; NULL: the arena is used up. */
void *weir_kafka_items(struct weir_kafka_arena *arena, const struct weir_kafka_message *of, uint32_t count,
                       struct weir_kafka_array *array_out);

size_t weir_kafka_struct_bytes(const struct weir_kafka_message *message); /* sizeof its C struct */
/*
 * Decode a body into `out` (weir_kafka_struct_bytes); absent fields get their defaults.
 * Returns 0; -EBADMSG: not a message of that version, or bytes are left over; -EMSGSIZE: an array longer than the rest of the bytes can
 * hold, or the arena is used up.
 */
int weir_kafka_decode(const struct weir_kafka_message *message, int16_t version, bool flexible, const uint8_t *bytes, size_t byte_count,
                      struct weir_kafka_arena *arena, void *out);

/* Encoded: parts in order; a part is bytes in the arena, or (then bytes is NULL) one of the `pieces` of records. */
struct weir_kafka_part { const uint8_t *bytes; uint32_t byte_count; const void *piece; };
struct weir_kafka_out {
    struct weir_kafka_arena *arena; /* in: bytes and parts lie there */
    struct weir_kafka_part *parts;
    uint32_t part_count;
    uint64_t byte_count; /* of all, pieces included */
};
/*
 * A frame: size, correlation id, tags where they belong, and the body. What `version` does not have is left out.
 * 0; -ENOMEM (arena); -EMSGSIZE: a string above 32,767 bytes, or 2 GiB altogether.
 */
int weir_kafka_encode(const struct weir_kafka_api *api, int16_t version, int32_t correlation_id, const void *body,
                      struct weir_kafka_out *out);
/* The same for a request: for tests and tools. */
int weir_kafka_encode_request(const struct weir_kafka_api *api, int16_t version, int32_t correlation_id, const char *client_id,
                              const void *body, struct weir_kafka_out *out);

#endif
