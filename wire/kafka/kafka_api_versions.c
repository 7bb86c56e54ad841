/*
 * wire/kafka/kafka_api_versions.c - ApiVersions: what this server speaks.
 *
 * A client that speaks a later version than we do is told so in version 0, with the one entry it needs to come down: so Kafka does it
 * (KIP-511), and clients start every connection this way. Features are tagged fields; there are none, which also keeps clients from
 * what wants transaction.version 2. Proof: tests/wire/kafka/kafka_session_test.c.
 */
#include "wire/kafka/kafka_body.h"
#include "wire/kafka/kafka_handlers.h"

static bool alphanumeric(char character)
{
    return (character >= '0' && character <= '9') || (character >= 'a' && character <= 'z') ||
           (character >= 'A' && character <= 'Z');
}

/* [A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])? */
static bool is_software_name(struct weir_kafka_string name)
{
    if (name.byte_count == 0 || !alphanumeric(name.bytes[0]) ||
        !alphanumeric(name.bytes[name.byte_count - 1]))
        return false;
    for (uint32_t i = 0; i < name.byte_count; i++)
        if (!alphanumeric(name.bytes[i]) && name.bytes[i] != '.' && name.bytes[i] != '-')
            return false;
    return true;
}

static void put_key(struct weir_kafka_api_versions_response_key *key,
                    const struct weir_kafka_api *api)
{
    key->api_key = api->key;
    key->min_version = api->version_min;
    key->max_version = api->version_max;
}

static bool list_all(struct weir_kafka_request *request,
                     struct weir_kafka_api_versions_response *body)
{
    struct weir_kafka_api_versions_response_key *keys = weir_kafka_items(
        &request->arena, &weir_kafka_api_versions_response_key_message, weir_kafka_api_count,
        &body->api_keys);
    uint32_t count = 0;
    if (!keys)
        return false;
    for (uint32_t i = 0; i < weir_kafka_api_count; i++)
        if (weir_kafka_served(request->local->server, weir_kafka_apis[i].key))
            put_key(&keys[count++], &weir_kafka_apis[i]);
    body->api_keys.count = count;
    return true;
}

static bool list_one(struct weir_kafka_request *request,
                     struct weir_kafka_api_versions_response *body)
{
    struct weir_kafka_api_versions_response_key *key = weir_kafka_items(
        &request->arena, &weir_kafka_api_versions_response_key_message, 1, &body->api_keys);
    if (key)
        put_key(key, request->api);
    return key != NULL;
}

void weir_kafka_api_versions(struct weir_kafka_request *request)
{
    const struct weir_kafka_api_versions_request *asked = request->message;
    struct weir_kafka_api_versions_response *body = weir_kafka_body(request);
    bool whole = body != NULL;
    if (body && request->head.version > request->api->version_max) {
        request->head.version = 0;
        body->error_code = WEIR_KAFKA_UNSUPPORTED_VERSION;
        whole = list_one(request, body);
    } else if (body && request->head.version >= 3 &&
               (!is_software_name(asked->client_software_name) ||
                !is_software_name(asked->client_software_version))) {
        body->error_code = WEIR_KAFKA_INVALID_REQUEST;
    } else if (body) {
        whole = list_all(request, body);
    }
    weir_kafka_finish(request, body, whole);
}
