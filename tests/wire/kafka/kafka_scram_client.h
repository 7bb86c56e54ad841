/*
 * tests/wire/kafka/kafka_scram_client.h - the client's half of SCRAM, written from RFC 5802 alone: for tests of the server's.
 */
#ifndef WEIR_TESTS_WIRE_KAFKA_SCRAM_CLIENT_H
#define WEIR_TESTS_WIRE_KAFKA_SCRAM_CLIENT_H

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "wire/kafka/kafka_scram.h"

struct scram_client {
    enum weir_kafka_hash hash;
    const char *head; /* "n,," */
    const char *name; /* as it is sent */
    const char *password;
    bool nonce_twice;
    const char *last_head;  /* what the last message says they were, and signs; NULL: the truth */
    const char *last_nonce;
    char first[1024];
    char final[4096];
    uint8_t salted[EVP_MAX_MD_SIZE];
    char signed_text[8192];
};

static inline const EVP_MD *scram_digest(const struct scram_client *client)
{
    return client->hash == WEIR_KAFKA_SHA_256 ? EVP_sha256() : EVP_sha512();
}

static inline uint32_t scram_sign(const struct scram_client *client, const uint8_t *key, const char *text, uint8_t *out)
{
    unsigned count = 0;
    assert_non_null(HMAC(scram_digest(client), key, EVP_MD_get_size(scram_digest(client)), (const uint8_t *)text,
                         strlen(text), out, &count));
    return count;
}

static inline const char *scram_client_first(struct scram_client *client)
{
    snprintf(client->first, sizeof client->first, "%sn=%s,r=theirs", client->head, client->name);
    return client->first;
}

/* The answer to a challenge of so many bytes. */
static inline const char *scram_client_final(struct scram_client *client, const char *challenge, uint32_t count)
{
    char text[4096], nonce[256], salt_text[64], bare_final[2048], head[1024];
    uint8_t salt[64], key[EVP_MAX_MD_SIZE], stored[EVP_MAX_MD_SIZE], proof[EVP_MAX_MD_SIZE], proof_text[128];
    int iterations = 0, key_bytes = EVP_MD_get_size(scram_digest(client));
    snprintf(text, sizeof text, "%.*s", (int)count, challenge);
    assert_int_equal(sscanf(text, "r=%255[^,],s=%63[^,],i=%d", nonce, salt_text, &iterations), 3);
    assert_true(iterations >= 4096 && strncmp(nonce, "theirs", 6) == 0 && strlen(nonce) > 6);
    int salt_bytes = EVP_DecodeBlock(salt, (const uint8_t *)salt_text, (int)strlen(salt_text));
    for (size_t i = strlen(salt_text); i > 0 && salt_text[i - 1] == '='; i--)
        salt_bytes--;
    assert_int_equal(PKCS5_PBKDF2_HMAC(client->password, (int)strlen(client->password), salt, salt_bytes, iterations,
                                       scram_digest(client), key_bytes, client->salted),
                     1);
    const char *said_head = client->last_head ? client->last_head : client->head;
    EVP_EncodeBlock((uint8_t *)head, (const uint8_t *)said_head, (int)strlen(said_head));
    snprintf(bare_final, sizeof bare_final, "c=%s,r=%s%s", head, client->nonce_twice ? "theirs" : "",
             client->last_nonce ? client->last_nonce : nonce);
    snprintf(client->signed_text, sizeof client->signed_text, "%s,%s,%s", client->first + strlen(client->head), text, bare_final);
    scram_sign(client, client->salted, "Client Key", key);
    assert_int_equal(EVP_Digest(key, (size_t)key_bytes, stored, NULL, scram_digest(client), NULL), 1);
    scram_sign(client, stored, client->signed_text, proof);
    for (int i = 0; i < key_bytes; i++)
        proof[i] ^= key[i];
    EVP_EncodeBlock(proof_text, proof, key_bytes);
    snprintf(client->final, sizeof client->final, "%s,p=%s", bare_final, (const char *)proof_text);
    return client->final;
}

/* Does the server know the password too? */
static inline bool scram_client_believes(const struct scram_client *client, const char *verdict, uint32_t count)
{
    uint8_t key[EVP_MAX_MD_SIZE], signature[EVP_MAX_MD_SIZE], text[128];
    scram_sign(client, client->salted, "Server Key", key);
    uint32_t bytes = scram_sign(client, key, client->signed_text, signature);
    int expected = EVP_EncodeBlock(text, signature, (int)bytes);
    return count == (uint32_t)expected + 2 && memcmp(verdict, "v=", 2) == 0 && memcmp(verdict + 2, text, count - 2) == 0;
}

#endif
