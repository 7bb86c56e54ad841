/*
 * tests/wire/kafka/kafka_scram_test.c - the server's half of SCRAM against the example of RFC 7677, a client of the test's own, and
 * messages that are none.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kafka_scram_client.h"

/* RFC 7677, section 3. */
static const char rfc_first[] = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
static const char rfc_challenge[] =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
static const char rfc_nonce[] = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
static const char rfc_final[] = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
static const char rfc_signature[] = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

static int first(struct weir_kafka_scram *scram, enum weir_kafka_hash hash, const char *text)
{
    return weir_kafka_scram_first(scram, hash, (const uint8_t *)text, (uint32_t)strlen(text));
}

static int final(struct weir_kafka_scram *scram, const struct weir_kafka_scram_keys *keys, const char *text, char *out)
{
    return weir_kafka_scram_final(scram, keys, (const uint8_t *)text, (uint32_t)strlen(text), out);
}

static void make_keys(struct weir_kafka_scram_keys *keys)
{
    uint8_t salt[WEIR_KAFKA_SCRAM_SALT_BYTES + 2];
    assert_int_equal(EVP_DecodeBlock(salt, (const uint8_t *)"W22ZaJ0SNY7soEsUEjb6gQ==", 24), 18);
    memcpy(keys->salt, salt, sizeof keys->salt);
    assert_int_equal(weir_kafka_scram_derive(WEIR_KAFKA_SHA_256, "pencil", keys), 0);
}

static void begin(struct weir_kafka_scram *scram, const struct weir_kafka_scram_keys *keys)
{
    char challenge[WEIR_KAFKA_SCRAM_TOKEN_BYTES_MAX];
    assert_int_equal(first(scram, WEIR_KAFKA_SHA_256, rfc_first), 0);
    weir_kafka_scram_challenge(scram, keys, rfc_nonce, challenge);
}

static void the_example_of_the_rfc_is_spoken(void **state)
{
    (void)state;
    struct weir_kafka_scram scram;
    struct weir_kafka_scram_keys keys;
    char out[WEIR_KAFKA_SCRAM_TOKEN_BYTES_MAX];
    make_keys(&keys);
    assert_int_equal(first(&scram, WEIR_KAFKA_SHA_256, rfc_first), 0);
    assert_string_equal(scram.name, "user");
    assert_int_equal(weir_kafka_scram_challenge(&scram, &keys, rfc_nonce, out), strlen(rfc_challenge));
    assert_memory_equal(out, rfc_challenge, strlen(rfc_challenge));
    assert_int_equal(final(&scram, &keys, rfc_final, out), strlen(rfc_signature));
    assert_memory_equal(out, rfc_signature, strlen(rfc_signature));
}

static void any_bit_of_the_last_message_counts(void **state)
{
    (void)state;
    static struct weir_kafka_scram scram;
    struct weir_kafka_scram_keys keys;
    char out[WEIR_KAFKA_SCRAM_TOKEN_BYTES_MAX], changed[sizeof rfc_final];
    make_keys(&keys);
    for (size_t bit = 0; bit < 8 * (sizeof rfc_final - 1); bit++) {
        if (bit / 8 == sizeof rfc_final - 3)
            continue; /* of the last character of base64 two bits are nothing */
        memcpy(changed, rfc_final, sizeof changed);
        changed[bit / 8] ^= (char)(1 << bit % 8);
        begin(&scram, &keys);
        int result = weir_kafka_scram_final(&scram, &keys, (const uint8_t *)changed, sizeof changed - 1, out);
        assert_true(result == -EPROTO || result == -EACCES);
    }
    for (uint32_t count = 0; count < sizeof rfc_final - 1; count++) {
        begin(&scram, &keys);
        assert_int_equal(weir_kafka_scram_final(&scram, &keys, (const uint8_t *)rfc_final, count, out), -EPROTO);
    }
}

static void a_client_of_either_hash_is_let_in_and_believes_the_server(void **state)
{
    (void)state;
    for (int i = 0; i < WEIR_KAFKA_HASHES; i++) {
        enum weir_kafka_hash hash = (enum weir_kafka_hash)i;
        static struct weir_kafka_scram scram;
        struct weir_kafka_scram_keys keys = {.salt = {1, 2, 3, (uint8_t)i}};
        struct scram_client client = {.hash = hash, .head = "n,a=a=2Cb=3Dc,", .name = "a=2Cb=3Dc", .password = "p,=\xc3\xa9"};
        char out[WEIR_KAFKA_SCRAM_TOKEN_BYTES_MAX];
        assert_int_equal(weir_kafka_scram_derive(hash, client.password, &keys), 0);
        assert_int_equal(first(&scram, hash, scram_client_first(&client)), 0);
        assert_string_equal(scram.name, "a,b=c");
        uint32_t count = weir_kafka_scram_challenge(&scram, &keys, "ours", out);
        const char *last = scram_client_final(&client, out, count);
        int result = final(&scram, &keys, last, out);
        assert_true(result > 0);
        assert_true(scram_client_believes(&client, out, (uint32_t)result));
    }
}

static void a_wrong_password_is_refused(void **state)
{
    (void)state;
    static struct weir_kafka_scram scram;
    struct weir_kafka_scram_keys keys = {.salt = {7}};
    struct scram_client client = {.hash = WEIR_KAFKA_SHA_512, .head = "n,,", .name = "u", .password = "wrong"};
    char out[WEIR_KAFKA_SCRAM_TOKEN_BYTES_MAX];
    assert_int_equal(weir_kafka_scram_derive(WEIR_KAFKA_SHA_512, "right", &keys), 0);
    assert_int_equal(first(&scram, WEIR_KAFKA_SHA_512, scram_client_first(&client)), 0);
    uint32_t count = weir_kafka_scram_challenge(&scram, &keys, "ours", out);
    assert_int_equal(final(&scram, &keys, scram_client_final(&client, out, count), out), -EACCES);
}

/* Who knows the password, and signs what was not said. */
static void what_was_said_must_be_said_again(void **state)
{
    (void)state;
    static const struct {
        const char *head, *nonce;
    } cases[] = {{"y,,", NULL}, {"n,a=u,", NULL}, {"", NULL}, {NULL, "theirs"}, {NULL, "ours"}, {NULL, "theirsour"}, {NULL, "theirsours2"}};
    static struct weir_kafka_scram scram;
    struct weir_kafka_scram_keys keys = {.salt = {9}};
    char out[WEIR_KAFKA_SCRAM_TOKEN_BYTES_MAX];
    assert_int_equal(weir_kafka_scram_derive(WEIR_KAFKA_SHA_256, "p", &keys), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scram_client client = {.hash = WEIR_KAFKA_SHA_256, .head = "n,,", .name = "u", .password = "p",
                                      .last_head = cases[i].head, .last_nonce = cases[i].nonce};
        assert_int_equal(first(&scram, WEIR_KAFKA_SHA_256, scram_client_first(&client)), 0);
        uint32_t count = weir_kafka_scram_challenge(&scram, &keys, "ours", out);
        assert_int_equal(final(&scram, &keys, scram_client_final(&client, out, count), out), -EPROTO);
    }
}

/* So librdkafka speaks, before 2.6.1. */
static void a_nonce_twice_said_is_understood(void **state)
{
    (void)state;
    static struct weir_kafka_scram scram;
    struct weir_kafka_scram_keys keys = {.salt = {9}};
    struct scram_client client = {
        .hash = WEIR_KAFKA_SHA_256, .head = "n,,", .name = "u", .password = "p", .nonce_twice = true};
    char out[WEIR_KAFKA_SCRAM_TOKEN_BYTES_MAX];
    assert_int_equal(weir_kafka_scram_derive(WEIR_KAFKA_SHA_256, "p", &keys), 0);
    assert_int_equal(first(&scram, WEIR_KAFKA_SHA_256, scram_client_first(&client)), 0);
    uint32_t count = weir_kafka_scram_challenge(&scram, &keys, "ours", out);
    int result = final(&scram, &keys, scram_client_final(&client, out, count), out);
    assert_true(result > 0);
    assert_true(scram_client_believes(&client, out, (uint32_t)result));
}

static void what_is_no_first_message_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int result;
    } cases[] = {
        {"", -EPROTO},
        {"n", -EPROTO},
        {"n,", -EPROTO},
        {"n,,", -EPROTO},
        {"x,,n=u,r=1", -EPROTO},
        {"n,,n=u", -EPROTO},
        {"n,,n=u,", -EPROTO},
        {"n,,n=u,r=", -EPROTO},
        {"n,,n=,r=1", -EPROTO},
        {"n,,n=u=,r=1", -EPROTO},
        {"n,,n=u=2,r=1", -EPROTO},
        {"n,,n=u=2c,r=1", -EPROTO},
        {"n,,r=1,n=u", -EPROTO},
        {"n,,n=u,r=a b", -EPROTO},
        {"n,,n=u,r=a\x7f", -EPROTO},
        {"n,a=u", -EPROTO},
        {"n,b=u,n=u,r=1", -EPROTO},
        {"n,a=v,n=u,r=1", -EACCES},
        {"p=tls-unique,,n=u,r=1", -EACCES},
        {"n,,m=x,n=u,r=1", -EACCES},
        {"y,,n=u,r=1", 0},
        {"n,a=u,n=u,r=1", 0},
        {"n,,n=u,r=1,t=more", 0},
    };
    static struct weir_kafka_scram scram;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(first(&scram, WEIR_KAFKA_SHA_256, cases[i].text), cases[i].result);
}

static void names_nonces_and_messages_have_a_longest(void **state)
{
    (void)state;
    static const struct {
        int name, nonce, more, result;
    } cases[] = {{255, 1, 0, 0}, {256, 1, 0, -EPROTO}, {1, 512, 0, 0}, {1, 513, 0, -EPROTO}, {255, 512, 1269, 0}, {255, 512, 1270, -EPROTO}, {1, 1, 2048, -EPROTO}};
    static struct weir_kafka_scram scram;
    static char text[8192];
    struct weir_kafka_scram_keys keys = {.salt = {1}};
    char out[WEIR_KAFKA_SCRAM_TOKEN_BYTES_MAX];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "n,,n=%.*d,r=%.*d,x=%.*d", cases[i].name, 0, cases[i].nonce, 0, cases[i].more + 1, 0);
        assert_int_equal(first(&scram, WEIR_KAFKA_SHA_256, text), cases[i].result);
        if (cases[i].result == 0) {
            assert_true(weir_kafka_scram_challenge(&scram, &keys, rfc_nonce, out) < sizeof out);
            memset(text, 'x', sizeof text - 1);
            snprintf(text, sizeof text, "c=biws,r=%.*s,x=", (int)scram.nonce_bytes, scram.text + scram.nonce_begin);
            memset(text + strlen(text), 'x', 1300); /* as long as may be, and without a proof */
            assert_int_equal(weir_kafka_scram_final(&scram, &keys, (const uint8_t *)text, sizeof out, out), -EPROTO);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_rfc_is_spoken),
        cmocka_unit_test(any_bit_of_the_last_message_counts),
        cmocka_unit_test(a_client_of_either_hash_is_let_in_and_believes_the_server),
        cmocka_unit_test(a_wrong_password_is_refused),
        cmocka_unit_test(what_was_said_must_be_said_again),
        cmocka_unit_test(a_nonce_twice_said_is_understood),
        cmocka_unit_test(what_is_no_first_message_is_refused),
        cmocka_unit_test(names_nonces_and_messages_have_a_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
