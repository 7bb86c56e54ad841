/*
 * broker/catalog_row.c - a topic as bytes of a table's row. The key is the topic's id.
 *
 *     off size                     off size
 *       0   1  format: 1             8   8  version
 *       1   1  bit 0: deleting      16   4  count of settings
 *             bit 1: internal       20   2  bytes of the name
 *       2   2  zero                 22   2  zero
 *       4   4  partitions           24  ..  settings, 8 bytes each; name
 *
 * Settings are in the order of struct weir_topic_config, so a newer program's further ones are left out by an older one, and those an older one did
 * not write are "not set". Proof: tests/broker/catalog_test.c.
 */
#include <string.h>

#include "broker/keep.h"

enum { HEAD_BYTES = 24, ROW_FORMAT = 1, DELETING = 1, INTERNAL = 2, SETTINGS = sizeof(struct weir_topic_config) / 8 };

static_assert(HEAD_BYTES + sizeof(struct weir_topic_config) + WEIR_TOPIC_NAME_BYTES_MAX <= WEIR_CATALOG_ROW_BYTES_MAX, "a row fits");

uint32_t weir_catalog_row_write(uint8_t *bytes, const struct weir_kept_topic *topic, bool deleting)
{
    uint32_t settings = SETTINGS;
    uint16_t name_bytes = (uint16_t)topic->name_bytes;
    memset(bytes, 0, HEAD_BYTES);
    bytes[0] = ROW_FORMAT;
    bytes[1] = (uint8_t)((deleting ? DELETING : 0) | (topic->internal ? INTERNAL : 0));
    memcpy(bytes + 4, &topic->partition_count, 4);
    memcpy(bytes + 8, &topic->version, 8);
    memcpy(bytes + 16, &settings, 4);
    memcpy(bytes + 20, &name_bytes, 2);
    memcpy(bytes + HEAD_BYTES, &topic->config, sizeof topic->config);
    memcpy(bytes + HEAD_BYTES + sizeof topic->config, topic->name, name_bytes);
    return (uint32_t)(HEAD_BYTES + sizeof topic->config + name_bytes);
}

bool weir_catalog_row_read(const void *key, uint32_t key_bytes, const void *value, uint32_t value_bytes,
                           struct weir_kept_topic *topic_out, bool *deleting_out)
{
    const uint8_t *bytes = value;
    uint32_t settings;
    uint16_t name_bytes;
    if (key_bytes != sizeof topic_out->id.bytes || value_bytes < HEAD_BYTES || bytes[0] != ROW_FORMAT)
        return false;
    memcpy(&settings, bytes + 16, 4);
    memcpy(&name_bytes, bytes + 20, 2);
    if (settings > WEIR_CATALOG_ROW_BYTES_MAX || name_bytes == 0 || name_bytes > WEIR_TOPIC_NAME_BYTES_MAX ||
        value_bytes != HEAD_BYTES + settings * 8 + name_bytes)
        return false;
    memset(topic_out, 0, sizeof *topic_out);
    memset(&topic_out->config, 0xff, sizeof topic_out->config); /* -1: not set */
    memcpy(topic_out->id.bytes, key, key_bytes);
    memcpy(&topic_out->partition_count, bytes + 4, 4);
    memcpy(&topic_out->version, bytes + 8, 8);
    memcpy(&topic_out->config, bytes + HEAD_BYTES, (settings < SETTINGS ? settings : SETTINGS) * 8u);
    topic_out->internal = bytes[1] & INTERNAL;
    topic_out->name_bytes = name_bytes;
    memcpy(topic_out->name, bytes + HEAD_BYTES + settings * 8, name_bytes);
    *deleting_out = bytes[1] & DELETING;
    return topic_out->partition_count > 0 && topic_out->partition_count <= WEIR_PARTITIONS_MAX;
}
