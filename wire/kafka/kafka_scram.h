/*
 * wire/kafka/kafka_scram.h - the server's half of SCRAM (RFC 5802, RFC 7677): bytes in, bytes out. No randomness, no users.
 *
 * Of a password a server keeps four things: salt, iterations, stored key and server key. None of them logs anybody in.
 *
 *     client-first  n,,n=NAME,r=NONCE            weir_kafka_scram_first: who wants to come in
 *     server-first  r=NONCEours,s=SALT,i=4096    weir_kafka_scram_challenge
 *     client-final  c=biws,r=NONCEours,p=PROOF   weir_kafka_scram_final: does the proof match
 *     server-final  v=SIGNATURE
 *
 * Not spoken: channel binding (a client that demands it is refused), and normalising of passwords (SASLprep): a password
 * is its bytes. Proof: tests/wire/kafka/kafka_scram_test.c.
 */
#ifndef WEIR_WIRE_KAFKA_KAFKA_SCRAM_H
#define WEIR_WIRE_KAFKA_KAFKA_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum weir_kafka_hash { WEIR_KAFKA_SHA_256, WEIR_KAFKA_SHA_512, WEIR_KAFKA_HASHES };

enum {
    WEIR_KAFKA_SCRAM_ITERATIONS = 4096, /* what clients insist on at least */
    WEIR_KAFKA_SCRAM_SALT_BYTES = 16,
    WEIR_KAFKA_SCRAM_KEY_BYTES_MAX = 64,
    WEIR_KAFKA_SCRAM_TOKEN_BYTES_MAX = 2048, /* longer ones are refused, ours are shorter */
    WEIR_KAFKA_SCRAM_NAME_BYTES_MAX = 255,
};

struct weir_kafka_scram_keys {
    uint8_t salt[WEIR_KAFKA_SCRAM_SALT_BYTES];
    uint8_t stored_key[WEIR_KAFKA_SCRAM_KEY_BYTES_MAX];
    uint8_t server_key[WEIR_KAFKA_SCRAM_KEY_BYTES_MAX];
};

struct weir_kafka_scram { /* one login */
    enum weir_kafka_hash hash;
    char name[WEIR_KAFKA_SCRAM_NAME_BYTES_MAX + 1]; /* by weir_kafka_scram_first */
    uint32_t name_bytes;
    uint32_t gs2_bytes;   /* the head of client-first, where text begins */
    uint32_t nonce_begin; /* of both nonces, in text */
    uint32_t nonce_bytes;
    uint32_t used;
    char text[3 * WEIR_KAFKA_SCRAM_TOKEN_BYTES_MAX]; /* gs2 head, then what is signed */
};

uint32_t weir_kafka_hash_bytes(enum weir_kafka_hash hash);
/* Keys of a password, by the salt in `keys`. About 2 ms. 0; -EIO: the library refuses. */
int weir_kafka_scram_derive(enum weir_kafka_hash hash, const char *password, struct weir_kafka_scram_keys *keys);

/* Begin a login with client-first. 0; -EPROTO: not such a message; -EACCES: it asks for what is not spoken. */
int weir_kafka_scram_first(struct weir_kafka_scram *scram, enum weir_kafka_hash hash, const uint8_t *token,
                           uint32_t token_bytes);
/* server-first into `out` (TOKEN_BYTES_MAX). nonce: ours, printable, no comma, at most 64. Its bytes. */
uint32_t weir_kafka_scram_challenge(struct weir_kafka_scram *scram, const struct weir_kafka_scram_keys *keys,
                                    const char *nonce, char *out);
/* server-final into `out`, where the client knows the password: its bytes. -EPROTO; -EACCES: it does not; -EIO. */
int weir_kafka_scram_final(struct weir_kafka_scram *scram, const struct weir_kafka_scram_keys *keys,
                           const uint8_t *token, uint32_t token_bytes, char *out);

#endif
