/*
 * wire/kafka/kafka_scram.c - the server's half of SCRAM.
 *
 * What both sides sign is three messages joined by commas, so they are gathered in scram->text as they pass: the first as it
 * came, ours as it went, the last without its proof. Texts from outside are cut at commas, never copied without a bound: tokens are
 * at most TOKEN_BYTES_MAX, and text holds three. Proof: tests/wire/kafka/kafka_scram_test.c.
 */
#include "wire/kafka/kafka_scram.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

enum {
    NONCE_BYTES_MAX = 512, /* the client's */
    OUR_NONCE_BYTES_MAX = 64,
    BASE64_BYTES_MAX = (WEIR_KAFKA_SCRAM_TOKEN_BYTES_MAX + 2) / 3 * 4 + 1,
    PROOF_BYTES_MAX = (WEIR_KAFKA_SCRAM_KEY_BYTES_MAX + 2) / 3 * 4,
};
static_assert(2 * NONCE_BYTES_MAX < WEIR_KAFKA_SCRAM_TOKEN_BYTES_MAX, "an answer fits a token");

struct piece { /* of a message: X=value */
    const char *value;
    uint32_t byte_count;
};

static const EVP_MD *digest_of(enum weir_kafka_hash hash)
{
    return hash == WEIR_KAFKA_SHA_512 ? EVP_sha512() : EVP_sha256();
}

uint32_t weir_kafka_hash_bytes(enum weir_kafka_hash hash)
{
    return hash == WEIR_KAFKA_SHA_512 ? 64 : 32;
}

static bool sign(enum weir_kafka_hash hash, const uint8_t *key, const void *bytes, size_t count, uint8_t *out)
{
    return HMAC(digest_of(hash), key, (int)weir_kafka_hash_bytes(hash), bytes, count, out, NULL) != NULL;
}

int weir_kafka_scram_derive(enum weir_kafka_hash hash, const char *password, struct weir_kafka_scram_keys *keys)
{
    const EVP_MD *digest = digest_of(hash);
    int key_bytes = (int)weir_kafka_hash_bytes(hash);
    uint8_t salted[WEIR_KAFKA_SCRAM_KEY_BYTES_MAX], client[WEIR_KAFKA_SCRAM_KEY_BYTES_MAX];
    bool good = PKCS5_PBKDF2_HMAC(password, (int)strlen(password), keys->salt, sizeof keys->salt,
                                  WEIR_KAFKA_SCRAM_ITERATIONS, digest, key_bytes, salted) == 1 &&
                sign(hash, salted, "Client Key", 10, client) &&
                EVP_Digest(client, (size_t)key_bytes, keys->stored_key, NULL, digest, NULL) == 1 &&
                sign(hash, salted, "Server Key", 10, keys->server_key);
    OPENSSL_cleanse(salted, sizeof salted);
    OPENSSL_cleanse(client, sizeof client);
    return good ? 0 : -EIO;
}

/* ---- texts ---- */

static void add(struct weir_kafka_scram *scram, const void *bytes, uint32_t count)
{
    WEIR_ASSERT(count <= sizeof scram->text - scram->used);
    memcpy(scram->text + scram->used, bytes, count);
    scram->used += count;
}

/* "X=value" up to a comma or the end; how far it went, the comma included; 0: something else is there. */
static uint32_t cut(const char *bytes, uint32_t count, char name, struct piece *piece_out)
{
    if (count < 2 || bytes[0] != name || bytes[1] != '=')
        return 0;
    const char *comma = memchr(bytes, ',', count);
    uint32_t end = comma ? (uint32_t)(comma - bytes) : count;
    *piece_out = (struct piece){bytes + 2, end - 2};
    return comma ? end + 1 : end;
}

/* Names carry a comma as =2C and = as =3D. */
static int take_name(struct weir_kafka_scram *scram, struct piece name)
{
    scram->name_bytes = 0;
    for (uint32_t i = 0; i < name.byte_count; i++) {
        char character = name.value[i];
        if (character == '=') {
            bool comma = name.byte_count - i >= 3 && memcmp(name.value + i, "=2C", 3) == 0;
            bool equals = name.byte_count - i >= 3 && memcmp(name.value + i, "=3D", 3) == 0;
            if (!comma && !equals)
                return -EPROTO;
            character = comma ? ',' : '=';
            i += 2;
        }
        if (character == 0 || scram->name_bytes == WEIR_KAFKA_SCRAM_NAME_BYTES_MAX)
            return -EPROTO;
        scram->name[scram->name_bytes++] = character;
    }
    scram->name[scram->name_bytes] = 0;
    return scram->name_bytes > 0 ? 0 : -EPROTO;
}

static bool is_nonce(struct piece nonce)
{
    for (uint32_t i = 0; i < nonce.byte_count; i++)
        if (nonce.value[i] < 0x21 || nonce.value[i] > 0x7e)
            return false;
    return nonce.byte_count > 0 && nonce.byte_count <= NONCE_BYTES_MAX;
}

/* "n,," or "n,a=NAME,": y says the client could bind, and believes we cannot: right. p demands it. */
static int take_gs2(struct weir_kafka_scram *scram, const char *text, uint32_t count, struct piece *for_whom)
{
    *for_whom = (struct piece){0};
    if (count >= 1 && text[0] == 'p')
        return -EACCES;
    if (count < 3 || (text[0] != 'n' && text[0] != 'y') || text[1] != ',')
        return -EPROTO;
    scram->gs2_bytes = 3;
    if (text[2] != ',') {
        uint32_t taken = cut(text + 2, count - 2, 'a', for_whom);
        if (taken == 0 || text[2 + taken - 1] != ',')
            return -EPROTO;
        scram->gs2_bytes = 2 + taken;
    }
    add(scram, text, scram->gs2_bytes);
    return 0;
}

int weir_kafka_scram_first(struct weir_kafka_scram *scram, enum weir_kafka_hash hash, const uint8_t *token,
                           uint32_t token_bytes)
{
    const char *text = (const char *)token;
    struct piece for_whom, name, nonce;
    scram->hash = hash;
    scram->used = 0;
    if (token_bytes > WEIR_KAFKA_SCRAM_TOKEN_BYTES_MAX)
        return -EPROTO;
    int result = take_gs2(scram, text, token_bytes, &for_whom);
    if (result < 0)
        return result;
    const char *bare = text + scram->gs2_bytes;
    uint32_t left = token_bytes - scram->gs2_bytes;
    if (left > 0 && bare[0] == 'm')
        return -EACCES; /* an extension that must be understood */
    uint32_t at = cut(bare, left, 'n', &name);
    if (at == 0 || cut(bare + at, left - at, 'r', &nonce) == 0 || !is_nonce(nonce) || take_name(scram, name) < 0)
        return -EPROTO;
    if (for_whom.value && (for_whom.byte_count != name.byte_count ||
                           memcmp(for_whom.value, name.value, name.byte_count) != 0))
        return -EACCES; /* nobody acts for others */
    scram->nonce_begin = scram->used + (uint32_t)(nonce.value - bare);
    scram->nonce_bytes = nonce.byte_count;
    add(scram, bare, left);
    return 0;
}

uint32_t weir_kafka_scram_challenge(struct weir_kafka_scram *scram, const struct weir_kafka_scram_keys *keys,
                                    const char *nonce, char *out)
{
    uint8_t salt[(WEIR_KAFKA_SCRAM_SALT_BYTES + 2) / 3 * 4 + 1];
    WEIR_ASSERT(strlen(nonce) <= OUR_NONCE_BYTES_MAX);
    EVP_EncodeBlock(salt, keys->salt, sizeof keys->salt);
    int count = snprintf(out, WEIR_KAFKA_SCRAM_TOKEN_BYTES_MAX, "r=%.*s%s,s=%s,i=%d", (int)scram->nonce_bytes,
                         scram->text + scram->nonce_begin, nonce, (const char *)salt, WEIR_KAFKA_SCRAM_ITERATIONS);
    WEIR_ASSERT(count > 0 && count < WEIR_KAFKA_SCRAM_TOKEN_BYTES_MAX);
    add(scram, ",", 1);
    scram->nonce_begin = scram->used + 2; /* after its r= */
    scram->nonce_bytes += (uint32_t)strlen(nonce);
    add(scram, out, (uint32_t)count);
    return (uint32_t)count;
}

/* ---- the proof ---- */

/* What the client says of the binding is its own gs2 head again. */
static bool is_same_head(const struct weir_kafka_scram *scram, struct piece binding)
{
    uint8_t expected[BASE64_BYTES_MAX];
    int count = EVP_EncodeBlock(expected, (const uint8_t *)scram->text, (int)scram->gs2_bytes);
    return count >= 0 && binding.byte_count == (uint32_t)count && memcmp(binding.value, expected, (size_t)count) == 0;
}

/*
 * The nonce we made must be signed; what stands before it need not concern us. librdkafka before 2.6.1 puts its own there once
 * more, and Kafka looks at the end only.
 */
static bool is_our_nonce(const struct weir_kafka_scram *scram, struct piece nonce)
{
    const char *ours = scram->text + scram->nonce_begin;
    return nonce.byte_count >= scram->nonce_bytes &&
           memcmp(nonce.value + nonce.byte_count - scram->nonce_bytes, ours, scram->nonce_bytes) == 0;
}

static bool read_proof(struct piece proof, uint32_t key_bytes, uint8_t *out)
{
    uint8_t decoded[PROOF_BYTES_MAX / 4 * 3];
    uint32_t expected = (key_bytes + 2) / 3 * 4, padding = expected / 4 * 3 - key_bytes;
    if (proof.byte_count != expected)
        return false;
    for (uint32_t i = 0; i < expected; i++) /* the decoder would forgive white space */
        if ((proof.value[i] == '=') != (i >= expected - padding) || proof.value[i] <= ' ')
            return false;
    if (EVP_DecodeBlock(decoded, (const uint8_t *)proof.value, (int)expected) != (int)(key_bytes + padding))
        return false;
    memcpy(out, decoded, key_bytes);
    return true;
}

/* H(proof ^ HMAC(stored key, text)) must be the stored key again. */
static int check_proof(const struct weir_kafka_scram *scram, const struct weir_kafka_scram_keys *keys, const uint8_t *proof)
{
    uint8_t client[WEIR_KAFKA_SCRAM_KEY_BYTES_MAX], hashed[WEIR_KAFKA_SCRAM_KEY_BYTES_MAX];
    uint32_t key_bytes = weir_kafka_hash_bytes(scram->hash);
    bool good = sign(scram->hash, keys->stored_key, scram->text + scram->gs2_bytes, scram->used - scram->gs2_bytes, client);
    for (uint32_t i = 0; good && i < key_bytes; i++)
        client[i] ^= proof[i];
    good = good && EVP_Digest(client, key_bytes, hashed, NULL, digest_of(scram->hash), NULL) == 1;
    bool same = good && CRYPTO_memcmp(hashed, keys->stored_key, key_bytes) == 0;
    OPENSSL_cleanse(client, sizeof client);
    return !good ? -EIO : same ? 0 : -EACCES;
}

static int write_signature(const struct weir_kafka_scram *scram, const struct weir_kafka_scram_keys *keys, char *out)
{
    uint8_t signature[WEIR_KAFKA_SCRAM_KEY_BYTES_MAX];
    if (!sign(scram->hash, keys->server_key, scram->text + scram->gs2_bytes, scram->used - scram->gs2_bytes, signature))
        return -EIO;
    out[0] = 'v';
    out[1] = '=';
    return 2 + EVP_EncodeBlock((uint8_t *)out + 2, signature, (int)weir_kafka_hash_bytes(scram->hash));
}

int weir_kafka_scram_final(struct weir_kafka_scram *scram, const struct weir_kafka_scram_keys *keys,
                           const uint8_t *token, uint32_t token_bytes, char *out)
{
    const char *text = (const char *)token;
    struct piece binding, nonce, proof = {0};
    uint8_t bytes[WEIR_KAFKA_SCRAM_KEY_BYTES_MAX];
    if (token_bytes > WEIR_KAFKA_SCRAM_TOKEN_BYTES_MAX)
        return -EPROTO;
    uint32_t at = cut(text, token_bytes, 'c', &binding);
    if (at == 0 || !is_same_head(scram, binding) || cut(text + at, token_bytes - at, 'r', &nonce) == 0)
        return -EPROTO;
    if (!is_our_nonce(scram, nonce))
        return -EPROTO;
    uint32_t last = token_bytes; /* the proof is the last, whatever extensions stand before it */
    while (last > 0 && text[last - 1] != ',')
        last--;
    if (last < at + 2 || cut(text + last, token_bytes - last, 'p', &proof) == 0 ||
        !read_proof(proof, weir_kafka_hash_bytes(scram->hash), bytes))
        return -EPROTO;
    add(scram, ",", 1);
    add(scram, text, last - 1);
    int result = check_proof(scram, keys, bytes);
    return result < 0 ? result : write_signature(scram, keys, out);
}
