/*
 * wire/kafka/kafka_sasl.c - logins: SaslHandshake, SaslAuthenticate, and tokens without a head.
 *
 * A handshake names a mechanism, tokens follow: one for PLAIN, two for SCRAM. Whoever fails is told so after FAILURE_NS and
 * closed, and is not read meanwhile: guessing takes time, ours does not pass with it (a timer waits). A name that is not a
 * user's gets a salt and a challenge like any other, and fails where a wrong password does; so nobody learns names here.
 *
 * The keys of SCRAM cost milliseconds and are made when the server opens; a login is a few hashes. Passwords are compared as hashes
 * under a secret of this process: equally long, in constant time. Proof: tests/wire/kafka/kafka_sasl_test.c.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "wire/kafka/kafka_body.h"
#include "wire/kafka/kafka_handlers.h"
#include "wire/kafka/kafka_scram.h"

enum { SECRET_BYTES = 32, NONCE_BYTES = 18, FAILURE_NS = 100000000 };

enum mechanism { SCRAM_SHA_256, SCRAM_SHA_512, PLAIN, MECHANISMS };
static_assert(SCRAM_SHA_256 == (int)WEIR_KAFKA_SHA_256 && SCRAM_SHA_512 == (int)WEIR_KAFKA_SHA_512, "one is the other");
static const char *const names[MECHANISMS] = {"SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"};

struct login { /* what is kept of a user's password */
    uint8_t plain[SECRET_BYTES];
    struct weir_kafka_scram_keys scram[WEIR_KAFKA_HASHES];
};

struct weir_kafka_logins {
    uint8_t secret[SECRET_BYTES]; /* of this process: passwords are compared under it, salts come from it */
    struct login of[];            /* settings.users, in their order */
};

struct weir_kafka_sasl {
    struct weir_wheel_timer timer;     /* a failure waits */
    struct weir_kafka_request *failed; /* with it */
    const struct weir_kafka_user *user; /* who SCRAM's first message names; NULL: nobody we know */
    struct weir_kafka_scram_keys nobody; /* his keys */
    enum mechanism mechanism;
    bool bare;       /* tokens come without a head */
    bool challenged; /* SCRAM's second is awaited */
    struct weir_kafka_scram scram;
};

enum verdict { REFUSED, GOES_ON, MAY_ENTER };

struct reply {
    char bytes[WEIR_KAFKA_SCRAM_TOKEN_BYTES_MAX];
    uint32_t byte_count;
};

/* ---- users ---- */

static bool hash(const struct weir_kafka_logins *logins, const void *bytes, size_t count, uint8_t out[SECRET_BYTES])
{
    return HMAC(EVP_sha256(), logins->secret, SECRET_BYTES, bytes, count, out, NULL) != NULL;
}

/* Of a name, whether or not there is such a user. */
static bool make_salt(const struct weir_kafka_logins *logins, enum weir_kafka_hash kind, const char *name,
                      uint32_t name_bytes, uint8_t salt[WEIR_KAFKA_SCRAM_SALT_BYTES])
{
    uint8_t text[1 + WEIR_KAFKA_SCRAM_NAME_BYTES_MAX], all[SECRET_BYTES];
    text[0] = (uint8_t)kind;
    memcpy(text + 1, name, name_bytes);
    if (!hash(logins, text, 1 + name_bytes, all))
        return false;
    memcpy(salt, all, WEIR_KAFKA_SCRAM_SALT_BYTES);
    return true;
}

static int make_login(const struct weir_kafka_logins *logins, const struct weir_kafka_user *user, struct login *login)
{
    uint32_t name_bytes = (uint32_t)strnlen(user->name, WEIR_KAFKA_SCRAM_NAME_BYTES_MAX);
    int result = hash(logins, user->password, strlen(user->password), login->plain) ? 0 : -EIO;
    for (int i = 0; i < WEIR_KAFKA_HASHES && result == 0; i++) {
        enum weir_kafka_hash kind = (enum weir_kafka_hash)i;
        struct weir_kafka_scram_keys *keys = &login->scram[i];
        result = make_salt(logins, kind, user->name, name_bytes, keys->salt) ? 0 : -EIO;
        if (result == 0)
            result = weir_kafka_scram_derive(kind, user->password, keys);
    }
    return result;
}

int weir_kafka_logins_open(struct weir_kafka_server *server)
{
    const struct weir_kafka_settings *settings = &server->settings;
    int result = 0;
    if (settings->user_count == 0 && !settings->login_needed)
        return 0;
    server->logins = calloc(1, sizeof *server->logins + settings->user_count * sizeof(struct login));
    if (!server->logins)
        return -ENOMEM;
    if (RAND_bytes(server->logins->secret, SECRET_BYTES) != 1)
        return -EIO;
    for (uint32_t i = 0; i < settings->user_count && result == 0; i++)
        result = make_login(server->logins, &settings->users[i], &server->logins->of[i]);
    return result;
}

void weir_kafka_logins_close(struct weir_kafka_server *server)
{
    struct weir_kafka_logins *logins = server->logins;
    if (logins)
        OPENSSL_cleanse(logins, sizeof *logins + server->settings.user_count * sizeof(struct login));
    free(logins);
    server->logins = NULL;
}

static const struct weir_kafka_user *find_user(const struct weir_kafka_server *server, const char *name, size_t name_bytes)
{
    for (uint32_t i = 0; i < server->settings.user_count; i++) {
        const struct weir_kafka_user *user = &server->settings.users[i];
        if (strlen(user->name) == name_bytes && memcmp(user->name, name, name_bytes) == 0)
            return user;
    }
    return NULL;
}

static const struct login *login_of(const struct weir_kafka_server *server, const struct weir_kafka_user *user)
{
    return &server->logins->of[user - server->settings.users];
}

bool weir_kafka_may_ask(const struct weir_kafka_session *session, int16_t key)
{
    return session->user || !session->local->server->logins || key == WEIR_KAFKA_API_VERSIONS ||
           key == WEIR_KAFKA_SASL_HANDSHAKE || key == WEIR_KAFKA_SASL_AUTHENTICATE;
}

/* ---- mechanisms ---- */

/* [for whom] NUL name NUL password. Looking a name up takes the same whether or not its password is right. */
static enum verdict take_plain(struct weir_kafka_sasl *sasl, const struct weir_kafka_server *server, const char *bytes,
                               uint32_t count)
{
    static const struct login nobody;
    uint8_t given[SECRET_BYTES];
    const char *end = bytes + count;
    const char *name = memchr(bytes, 0, count);
    const char *password = name ? memchr(name + 1, 0, (size_t)(end - name - 1)) : NULL;
    if (!password || memchr(password + 1, 0, (size_t)(end - password - 1)))
        return REFUSED;
    size_t whom_bytes = (size_t)(name - bytes), name_bytes = (size_t)(password - name - 1);
    if (whom_bytes > 0 && (whom_bytes != name_bytes || memcmp(bytes, name + 1, name_bytes) != 0))
        return REFUSED; /* nobody acts for others */
    sasl->user = find_user(server, name + 1, name_bytes);
    if (!hash(server->logins, password + 1, (size_t)(end - password - 1), given))
        return REFUSED;
    const struct login *login = sasl->user ? login_of(server, sasl->user) : &nobody;
    bool same = CRYPTO_memcmp(given, login->plain, SECRET_BYTES) == 0;
    return same && sasl->user ? MAY_ENTER : REFUSED;
}

static enum verdict take_first(struct weir_kafka_sasl *sasl, const struct weir_kafka_server *server, const uint8_t *bytes,
                               uint32_t count, struct reply *reply)
{
    uint8_t random[NONCE_BYTES];
    char nonce[NONCE_BYTES / 3 * 4 + 1];
    enum weir_kafka_hash kind = (enum weir_kafka_hash)sasl->mechanism;
    if (weir_kafka_scram_first(&sasl->scram, kind, bytes, count) < 0 || RAND_bytes(random, sizeof random) != 1)
        return REFUSED;
    EVP_EncodeBlock((uint8_t *)nonce, random, sizeof random);
    sasl->user = find_user(server, sasl->scram.name, sasl->scram.name_bytes);
    if (!make_salt(server->logins, kind, sasl->scram.name, sasl->scram.name_bytes, sasl->nobody.salt))
        return REFUSED;
    const struct weir_kafka_scram_keys *keys = sasl->user ? &login_of(server, sasl->user)->scram[kind] : &sasl->nobody;
    reply->byte_count = weir_kafka_scram_challenge(&sasl->scram, keys, nonce, reply->bytes);
    sasl->challenged = true;
    return GOES_ON;
}

static enum verdict take_final(struct weir_kafka_sasl *sasl, const struct weir_kafka_server *server, const uint8_t *bytes,
                               uint32_t count, struct reply *reply)
{
    enum weir_kafka_hash kind = (enum weir_kafka_hash)sasl->mechanism;
    const struct weir_kafka_scram_keys *keys = sasl->user ? &login_of(server, sasl->user)->scram[kind] : &sasl->nobody;
    int result = weir_kafka_scram_final(&sasl->scram, keys, bytes, count, reply->bytes);
    if (result < 0 || !sasl->user)
        return REFUSED;
    reply->byte_count = (uint32_t)result;
    return MAY_ENTER;
}

static enum verdict take_token(struct weir_kafka_session *session, const uint8_t *bytes, uint32_t count, struct reply *reply)
{
    struct weir_kafka_sasl *sasl = session->sasl;
    const struct weir_kafka_server *server = session->local->server;
    enum verdict verdict;
    if (sasl->mechanism == PLAIN)
        verdict = take_plain(sasl, server, (const char *)bytes, count);
    else if (!sasl->challenged)
        verdict = take_first(sasl, server, bytes, count, reply);
    else
        verdict = take_final(sasl, server, bytes, count, reply);
    if (verdict == MAY_ENTER && session->user && session->user != sasl->user)
        verdict = REFUSED; /* a connection stays its user's */
    return verdict;
}

/* ---- the conversation ---- */

void weir_kafka_sasl_end(struct weir_kafka_session *session)
{
    if (!session->sasl)
        return;
    weir_wheel_cancel(&session->local->reactor->wheel, &session->sasl->timer);
    OPENSSL_cleanse(session->sasl, sizeof *session->sasl);
    free(session->sasl);
    session->sasl = NULL;
}

static void say_failure(struct weir_kafka_request *request, int16_t error, const char *text)
{
    struct weir_kafka_sasl_authenticate_response *body = weir_kafka_body(request);
    if (!body) {
        weir_kafka_fail(request, "no memory for an answer");
        return;
    }
    body->error_code = error;
    body->error_message = weir_kafka_text(text);
    weir_kafka_respond_and_close(request, body);
}

/* Nothing can be said to one who sends bare tokens. */
static void on_failure_told(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    struct weir_kafka_sasl *sasl = WEIR_CONTAINER(timer, struct weir_kafka_sasl, timer);
    struct weir_kafka_request *request = sasl->failed;
    request->gone = NULL;
    if (sasl->bare)
        weir_kafka_respond_and_close(request, NULL);
    else
        say_failure(request, WEIR_KAFKA_SASL_AUTHENTICATION_FAILED, "Authentication failed: wrong user name or password");
}

static void on_gone(struct weir_kafka_request *request)
{
    weir_kafka_respond_nothing(request); /* the timer goes with the session */
}

static void refuse(struct weir_kafka_request *request)
{
    struct weir_kafka_session *session = request->session;
    struct weir_kafka_sasl *sasl = session->sasl;
    struct weir_reactor *reactor = session->local->reactor;
    char peer[96];
    weir_tcp_peer_name(session->conn, peer, sizeof peer);
    weir_reactor_log(reactor, WEIR_LOG_WARN, "msg=\"login refused\" protocol=kafka mechanism=%s addr=%s", names[sasl->mechanism],
                     peer);
    session->local->counters.auth_failures++;
    session->user = NULL;
    session->muted = true; /* for good */
    sasl->failed = request;
    request->gone = on_gone;
    weir_wheel_arm(&reactor->wheel, &sasl->timer, reactor->now_ns + FAILURE_NS);
}

/* Whether the login goes on or has succeeded; if not, the request is taken care of. */
static bool take(struct weir_kafka_request *request, const uint8_t *bytes, uint32_t count, struct reply *reply)
{
    struct weir_kafka_session *session = request->session;
    enum verdict verdict = take_token(session, bytes, count, reply);
    if (verdict == REFUSED)
        refuse(request);
    if (verdict == MAY_ENTER) {
        session->user = session->sasl->user;
        weir_kafka_sasl_end(session);
    }
    return verdict != REFUSED;
}

bool weir_kafka_sasl_bare(const struct weir_kafka_session *session)
{
    return session->sasl && session->sasl->bare;
}

void weir_kafka_sasl_token(struct weir_kafka_request *request, const uint8_t *bytes, uint32_t byte_count)
{
    struct reply reply;
    reply.byte_count = 0;
    if (request->session->sasl->failed) {
        weir_kafka_fail(request, NULL);
        return;
    }
    if (!take(request, bytes, byte_count, &reply))
        return;
    uint8_t *answer = weir_kafka_arena_take(&request->arena, 4 + reply.byte_count);
    struct weir_kafka_part *part = weir_kafka_arena_take(&request->arena, sizeof *part);
    if (!answer || !part) {
        weir_kafka_fail(request, "no memory for an answer");
        return;
    }
    answer[2] = (uint8_t)(reply.byte_count >> 8); /* far below 64 KiB */
    answer[3] = (uint8_t)reply.byte_count;
    memcpy(answer + 4, reply.bytes, reply.byte_count);
    *part = (struct weir_kafka_part){.bytes = answer, .byte_count = 4 + reply.byte_count};
    request->out.parts = part;
    request->out.part_count = 1;
    weir_kafka_respond(request, NULL);
}

void weir_kafka_sasl_authenticate(struct weir_kafka_request *request)
{
    const struct weir_kafka_sasl_authenticate_request *asked = request->message;
    struct reply reply;
    reply.byte_count = 0; /* and the rest is not cleared each time */
    if (!request->session->sasl || request->session->sasl->failed) {
        say_failure(request, WEIR_KAFKA_ILLEGAL_SASL_STATE, "SaslAuthenticate without a SaslHandshake before it");
        return;
    }
    if (!take(request, asked->auth_bytes.bytes, asked->auth_bytes.byte_count, &reply))
        return;
    struct weir_kafka_sasl_authenticate_response *body = weir_kafka_body(request);
    if (body)
        body->auth_bytes = (struct weir_kafka_bytes){(const uint8_t *)reply.bytes, reply.byte_count};
    weir_kafka_finish(request, body, body != NULL);
}

/* ---- handshakes ---- */

static bool begin(struct weir_kafka_session *session, enum mechanism mechanism, bool bare)
{
    weir_kafka_sasl_end(session); /* who begins again begins anew */
    session->sasl = calloc(1, sizeof *session->sasl);
    if (!session->sasl)
        return false;
    weir_wheel_timer_init(&session->sasl->timer, on_failure_told);
    session->sasl->mechanism = mechanism;
    session->sasl->bare = bare;
    return true;
}

/* Clients look for their mechanism in the list of every answer, a success too. */
static bool list_mechanisms(struct weir_kafka_request *request, struct weir_kafka_sasl_handshake_response *body)
{
    struct weir_kafka_string *items = weir_kafka_items(&request->arena, &weir_kafka_STRINGS_message, MECHANISMS,
                                                       &body->mechanisms);
    for (int i = 0; items && i < MECHANISMS; i++)
        items[i] = weir_kafka_text(names[i]);
    return items != NULL;
}

static enum mechanism mechanism_of(struct weir_kafka_string name)
{
    int i = 0;
    while (i < MECHANISMS && !weir_kafka_same(name, weir_kafka_text(names[i])))
        i++;
    return (enum mechanism)i;
}

void weir_kafka_sasl_handshake(struct weir_kafka_request *request)
{
    const struct weir_kafka_sasl_handshake_request *asked = request->message;
    struct weir_kafka_session *session = request->session;
    struct weir_kafka_sasl_handshake_response *body = weir_kafka_body(request);
    enum mechanism mechanism = mechanism_of(asked->mechanism);
    if (!body || !list_mechanisms(request, body)) {
        weir_kafka_fail(request, "no memory for an answer");
        return;
    }
    if (!session->local->server->logins || (session->sasl && session->sasl->failed))
        body->error_code = WEIR_KAFKA_ILLEGAL_SASL_STATE; /* nobody has to log in here */
    else if (mechanism == MECHANISMS)
        body->error_code = WEIR_KAFKA_UNSUPPORTED_SASL_MECHANISM;
    else if (!begin(session, mechanism, request->head.version == 0))
        body->error_code = WEIR_KAFKA_UNKNOWN_SERVER_ERROR;
    if (body->error_code == WEIR_KAFKA_NONE)
        weir_kafka_respond(request, body);
    else
        weir_kafka_respond_and_close(request, body);
}
