/*
 * tests/wire/kafka/kafka_sasl_test.c - logins: what is served before one, each mechanism in each version, and every way to fail.
 *
 * Each case runs on one reactor with epoll, and on two with whatever the machine has.
 */
#include "kafka_session_fixture.h"

#include <time.h>

#include "kafka_scram_client.h"

enum { TOKEN_BYTES = 4096, FAILURE_NS = 100000000, GUEST_BYTES_MAX = 64 << 10 };

static const struct weir_kafka_user users[] = {{"alice", "in wonderland"}, {"bob", "b,=\xc3\xa9"}};
static const struct weir_kafka_settings with_users = {.users = users, .user_count = 2};

struct token {
    char bytes[TOKEN_BYTES];
    uint32_t count;
};

static struct token token_of(const char *bytes, size_t count)
{
    struct token token = {.count = (uint32_t)count};
    memcpy(token.bytes, bytes, count);
    return token;
}

/* PLAIN, with dots for NUL. */
static struct token plain(const char *text)
{
    struct token token = token_of(text, strlen(text));
    for (uint32_t i = 0; i < token.count; i++)
        if (token.bytes[i] == '.')
            token.bytes[i] = 0;
    return token;
}

static const struct weir_kafka_sasl_handshake_response *shake(struct client *client, int16_t version, const char *mechanism)
{
    struct weir_kafka_sasl_handshake_request *request = new_request(client, WEIR_KAFKA_SASL_HANDSHAKE);
    request->mechanism = text(mechanism);
    return call(client, WEIR_KAFKA_SASL_HANDSHAKE, version, request);
}

static void expect_mechanisms(const struct weir_kafka_sasl_handshake_response *answer)
{
    static const char *const names[] = {"SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"};
    const struct weir_kafka_string *listed = answer->mechanisms.items;
    assert_int_equal(answer->mechanisms.count, 3);
    for (int i = 0; i < 3; i++)
        expect_text(listed[i], names[i]);
}

static void begin(struct client *client, int16_t version, const char *mechanism)
{
    const struct weir_kafka_sasl_handshake_response *answer = shake(client, version, mechanism);
    assert_int_equal(answer->error_code, WEIR_KAFKA_NONE);
    expect_mechanisms(answer);
}

static void say_token(struct client *client, int16_t version, struct token token)
{
    struct weir_kafka_sasl_authenticate_request *request = new_request(client, WEIR_KAFKA_SASL_AUTHENTICATE);
    request->auth_bytes = (struct weir_kafka_bytes){(const uint8_t *)token.bytes, token.count};
    say(client, WEIR_KAFKA_SASL_AUTHENTICATE, version, request);
}

static const struct weir_kafka_sasl_authenticate_response *give(struct client *client, int16_t version, struct token token)
{
    say_token(client, version, token);
    return hear(client, WEIR_KAFKA_SASL_AUTHENTICATE, version);
}

static struct token given(const struct weir_kafka_sasl_authenticate_response *answer)
{
    assert_int_equal(answer->error_code, WEIR_KAFKA_NONE);
    assert_int_equal(answer->session_lifetime_ms, 0);
    return token_of((const char *)answer->auth_bytes.bytes, answer->auth_bytes.byte_count);
}

static void expect_served(struct client *client)
{
    call(client, WEIR_KAFKA_METADATA, 12, new_request(client, WEIR_KAFKA_METADATA));
}

static void log_in(struct client *client, const char *name_and_password)
{
    begin(client, 1, "PLAIN");
    assert_int_equal(given(give(client, 2, plain(name_and_password))).count, 0);
}

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void expect_refused(struct client *client, struct token token)
{
    uint64_t began_ns = clock_ns(), failures = counters(client->f).auth_failures;
    const struct weir_kafka_sasl_authenticate_response *answer = give(client, 1, token);
    assert_true(clock_ns() - began_ns >= FAILURE_NS);
    assert_int_equal(answer->error_code, WEIR_KAFKA_SASL_AUTHENTICATION_FAILED);
    assert_true(answer->error_message.byte_count > 0);
    assert_int_equal(answer->auth_bytes.byte_count, 0);
    assert_int_equal(counters(client->f).auth_failures, failures + 1);
    assert_true(is_closed(client));
}

/* ---- before a login ---- */

static void before_a_login_nothing_is_served(void **state)
{
    struct fixture *f = fixture_open(*state, &with_users, false);
    uint64_t refused = 0;
    for (uint32_t i = 0; i < weir_kafka_api_count; i++) {
        int16_t key = weir_kafka_apis[i].key;
        if (key == WEIR_KAFKA_API_VERSIONS || key == WEIR_KAFKA_SASL_HANDSHAKE || key == WEIR_KAFKA_SASL_AUTHENTICATE)
            continue;
        struct client client = client_open(f);
        say(&client, key, weir_kafka_apis[i].version_max, new_request(&client, key));
        assert_true(is_closed(&client));
        assert_non_null(strstr(f->log, "before its login"));
        assert_int_equal(counters(f).auth_failures, ++refused);
        client_close(&client);
    }
    fixture_close(f);
}

static void logins_are_advertised_where_there_are_users(void **state)
{
    struct fixture *f = fixture_open(*state, &with_users, false);
    struct client client = client_open(f);
    struct weir_kafka_api_versions_request *request = new_request(&client, WEIR_KAFKA_API_VERSIONS);
    request->client_software_name = request->client_software_version = text("a");
    const struct weir_kafka_api_versions_response *answer = call(&client, WEIR_KAFKA_API_VERSIONS, 3, request);
    const struct weir_kafka_api_versions_response_key *keys = answer->api_keys.items;
    int found = 0;
    for (uint32_t i = 0; i < answer->api_keys.count; i++)
        found += (keys[i].api_key == 17 && keys[i].min_version == 0 && keys[i].max_version == 1) ||
                 (keys[i].api_key == 36 && keys[i].min_version == 0 && keys[i].max_version == 2);
    assert_int_equal(found, 2);
    client_close(&client);
    fixture_close(f);
}

static void a_guest_is_not_believed_a_large_request(void **state)
{
    static const uint8_t large[] = {0, 1, 0, 1};
    struct fixture *f = fixture_open(*state, &with_users, false);
    struct client guest = client_open(f), user = client_open(f);
    log_in(&user, ".alice.in wonderland");
    say_bytes(&guest, large, sizeof large);
    say_bytes(&user, large, sizeof large);
    assert_true(is_closed(&guest));
    assert_true(is_silent(&user));
    client_close(&guest);
    client_close(&user);
    fixture_close(f);
}

static void where_there_are_no_users_nobody_logs_in(void **state)
{
    struct fixture *f = fixture_open(*state, NULL, false);
    struct client client = client_open(f);
    expect_served(&client);
    assert_int_equal(shake(&client, 1, "PLAIN")->error_code, WEIR_KAFKA_ILLEGAL_SASL_STATE);
    assert_true(is_closed(&client));
    client_close(&client);
    fixture_close(f);
}

static void where_logins_are_needed_and_nobody_is_a_user_all_are_refused(void **state)
{
    static const struct weir_kafka_settings settings = {.login_needed = true};
    struct fixture *f = fixture_open(*state, &settings, false);
    struct client client = client_open(f);
    begin(&client, 1, "PLAIN");
    expect_refused(&client, plain(".alice.in wonderland"));
    client_close(&client);
    fixture_close(f);
}

static void a_guest_who_does_not_log_in_is_closed_and_a_user_is_not(void **state)
{
    struct weir_kafka_settings settings = with_users;
    settings.stuck_ns_max = 1000000000;
    struct fixture *f = fixture_open(*state, &settings, false);
    struct client user = client_open(f), guest = client_open(f);
    log_in(&user, ".alice.in wonderland");
    assert_true(is_closed(&guest));
    assert_non_null(strstr(f->log, "has not logged in"));
    expect_served(&user); /* its connection is older */
    client_close(&user);
    client_close(&guest);
    fixture_close(f);
}

/* ---- ways in ---- */

static void plain_lets_in(void **state)
{
    struct fixture *f = fixture_open(*state, &with_users, false);
    for (int16_t version = 0; version <= 2; version++) {
        struct client client = client_open(f);
        begin(&client, 1, "PLAIN");
        struct token token = plain(version == 1 ? "bob.bob.b,=\xc3\xa9" : ".bob.b,=\xc3\xa9");
        assert_int_equal(given(give(&client, version, token)).count, 0);
        expect_served(&client);
        client_close(&client);
    }
    fixture_close(f);
}

static void scram_lets_in_and_proves_itself(void **state)
{
    static const char *const mechanisms[] = {"SCRAM-SHA-256", "SCRAM-SHA-512"};
    struct fixture *f = fixture_open(*state, &with_users, false);
    for (int i = 0; i < 6; i++) {
        int16_t version = (int16_t)(i / 2);
        struct scram_client scram = {
            .hash = (enum weir_kafka_hash)(i % 2), .head = "n,,", .name = "bob", .password = users[1].password};
        struct client client = client_open(f);
        begin(&client, 1, mechanisms[i % 2]);
        const char *first = scram_client_first(&scram);
        struct token challenge = given(give(&client, version, token_of(first, strlen(first))));
        const char *final = scram_client_final(&scram, challenge.bytes, challenge.count);
        struct token last = given(give(&client, version, token_of(final, strlen(final))));
        assert_true(scram_client_believes(&scram, last.bytes, last.count));
        expect_served(&client);
        client_close(&client);
    }
    fixture_close(f);
}

/* `cut`: where the token is cut in two. */
static struct token give_bare(struct client *client, struct token token, uint32_t cut)
{
    uint8_t size[4] = {0, 0, (uint8_t)(token.count >> 8), (uint8_t)token.count}, all[4 + TOKEN_BYTES];
    struct token answer;
    memcpy(all, size, 4);
    memcpy(all + 4, token.bytes, token.count);
    say_bytes(client, all, cut);
    step_all(client->f, 0);
    say_bytes(client, all + cut, 4 + token.count - cut);
    assert_true(hear_bytes(client, size, sizeof size));
    answer.count = (uint32_t)size[2] << 8 | size[3];
    assert_true(hear_bytes(client, answer.bytes, answer.count));
    return answer;
}

static void handshake_0_is_followed_by_bare_tokens(void **state)
{
    struct fixture *f = fixture_open(*state, &with_users, false);
    struct token token = plain(".alice.in wonderland");
    for (uint32_t cut = 0; cut <= 4 + token.count; cut++) {
        struct client client = client_open(f);
        begin(&client, 0, "PLAIN");
        assert_int_equal(give_bare(&client, token, cut).count, 0);
        expect_served(&client);
        client_close(&client);
    }
    struct scram_client scram = {.hash = WEIR_KAFKA_SHA_512, .head = "n,,", .name = "bob", .password = users[1].password};
    struct client client = client_open(f);
    begin(&client, 0, "SCRAM-SHA-512");
    const char *first = scram_client_first(&scram);
    struct token challenge = give_bare(&client, token_of(first, strlen(first)), 1);
    const char *final = scram_client_final(&scram, challenge.bytes, challenge.count);
    struct token last = give_bare(&client, token_of(final, strlen(final)), 1);
    assert_true(scram_client_believes(&scram, last.bytes, last.count));
    expect_served(&client);
    client_close(&client);
    fixture_close(f);
}

static void a_bare_token_that_fails_closes(void **state)
{
    static const char *const tokens[] = {".alice.wrong", ".", "x"};
    struct fixture *f = fixture_open(*state, &with_users, false);
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        struct client client = client_open(f);
        struct token token = plain(tokens[i]);
        uint8_t size[4] = {0, 0, 0, (uint8_t)token.count};
        begin(&client, 0, "PLAIN");
        say_bytes(&client, size, sizeof size);
        say_bytes(&client, token.bytes, token.count);
        assert_true(is_closed(&client));
        client_close(&client);
    }
    assert_int_equal(counters(f).auth_failures, 3);
    fixture_close(f);
}

/* ---- refusals ---- */

static void what_is_wrong_is_refused_after_a_while_and_closed(void **state)
{
    static const char *const tokens[] = {
        "", ".", "..", "alice", ".alice", ".alice.", ".alice.wrong", ".alice.in wonderlan", ".alice.in wonderland.", "..in wonderland",
        ".nobody.in wonderland", "bob.alice.in wonderland", ".alic.in wonderland", ".alice.b,=\xc3\xa9"};
    struct fixture *f = fixture_open(*state, &with_users, false);
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        struct client client = client_open(f);
        begin(&client, 1, "PLAIN");
        expect_refused(&client, plain(tokens[i]));
        client_close(&client);
    }
    fixture_close(f);
}

static struct token challenge_of(struct fixture *f, const char *name)
{
    struct scram_client scram = {.hash = WEIR_KAFKA_SHA_256, .head = "n,,", .name = name, .password = "guessed"};
    struct client client = client_open(f);
    begin(&client, 1, "SCRAM-SHA-256");
    const char *first = scram_client_first(&scram);
    struct token challenge = given(give(&client, 1, token_of(first, strlen(first))));
    const char *final = scram_client_final(&scram, challenge.bytes, challenge.count);
    expect_refused(&client, token_of(final, strlen(final)));
    client_close(&client);
    return challenge;
}

static void whether_a_name_is_a_users_is_not_to_be_seen(void **state)
{
    static const char *const names[] = {"alice", "bob", "nobody"};
    struct fixture *f = fixture_open(*state, &with_users, false);
    char salts[3][64];
    for (int i = 0; i < 3; i++)
        for (int again = 0; again < 2; again++) {
            struct token challenge = challenge_of(f, names[i]);
            challenge.bytes[challenge.count] = 0;
            const char *salt = strstr(challenge.bytes, ",s=");
            assert_non_null(salt);
            if (again)
                assert_string_equal(salts[i], salt); /* a name keeps its salt, as a user's must */
            snprintf(salts[i], sizeof salts[i], "%s", salt);
        }
    assert_string_not_equal(salts[0], salts[1]);
    assert_string_not_equal(salts[0], salts[2]);
    assert_int_equal(strlen(salts[0]), strlen(salts[2]));
    fixture_close(f);
}

static void a_mechanism_that_is_not_known_is_told_those_that_are(void **state)
{
    static const char *const mechanisms[] = {"GSSAPI", "", "plain", "SCRAM-SHA-1"};
    struct fixture *f = fixture_open(*state, &with_users, false);
    for (int i = 0; i < 8; i++) {
        struct client client = client_open(f);
        const struct weir_kafka_sasl_handshake_response *answer = shake(&client, (int16_t)(i % 2), mechanisms[i / 2]);
        assert_int_equal(answer->error_code, WEIR_KAFKA_UNSUPPORTED_SASL_MECHANISM);
        expect_mechanisms(answer);
        assert_true(is_closed(&client));
        client_close(&client);
    }
    fixture_close(f);
}

static void a_token_without_a_handshake_is_refused(void **state)
{
    struct fixture *f = fixture_open(*state, &with_users, false);
    struct client client = client_open(f);
    assert_int_equal(give(&client, 1, plain(".alice.in wonderland"))->error_code, WEIR_KAFKA_ILLEGAL_SASL_STATE);
    assert_true(is_closed(&client));
    client_close(&client);
    fixture_close(f);
}

static void others_are_served_while_a_failure_waits(void **state)
{
    struct fixture *f = fixture_open(*state, &with_users, false);
    struct client client = client_open(f), other = client_open(f);
    log_in(&other, ".bob.b,=\xc3\xa9");
    begin(&client, 1, "PLAIN");
    uint64_t began_ns = clock_ns();
    say_token(&client, 1, plain(".alice.wrong"));
    expect_served(&other);
    bool early = clock_ns() - began_ns < FAILURE_NS; /* a slow machine may take as long for nothing */
    if (early)
        assert_true(recv(client.fd, &(char){0}, 1, MSG_PEEK) < 0);
    hear(&client, WEIR_KAFKA_SASL_AUTHENTICATE, 1);
    client_close(&client);
    client_close(&other);
    fixture_close(f);
}

/* Nobody reads a connection whose failure waits, so its peer's end is not seen: what ends it then is an error, or a stop. */
static void break_all(struct fixture *f)
{
    for (uint32_t i = 0; i < f->reactor_count; i++)
        WEIR_LIST_EACH(node, &f->server->locals[i]->sessions)
            weir_tcp_abort(WEIR_CONTAINER(node, struct weir_kafka_session, node)->conn);
    for (int round = 0; round < ROUNDS_MAX && counters(f).clients > 0; round++)
        step_all(f, STEP_NS);
}

static void a_connection_that_breaks_while_a_failure_waits_leaves_nothing(void **state)
{
    struct fixture *f = fixture_open(*state, &with_users, false);
    struct client client = client_open(f);
    begin(&client, 1, "PLAIN");
    say_token(&client, 1, plain(".alice.wrong"));
    for (int round = 0; round < ROUNDS_MAX && counters(f).auth_failures < 1; round++)
        step_all(f, 0);
    break_all(f);
    assert_int_equal(counters(f).clients, 0);
    client_close(&client);
    struct client second = client_open(f), last = client_open(f);
    begin(&second, 1, "PLAIN");
    expect_refused(&second, plain(".alice.wrong")); /* the first one's time has come by then too */
    client_close(&second);
    begin(&last, 1, "PLAIN");
    say_token(&last, 1, plain(".alice.wrong"));
    for (int round = 0; round < ROUNDS_MAX && counters(f).auth_failures < 3; round++)
        step_all(f, 0);
    fixture_close(f); /* with a failure that waits still; what is not given back is found by the leak checker */
    client_close(&last);
}

/* ---- more than one request ---- */

static void what_follows_a_login_in_one_piece_is_served_after_it(void **state)
{
    struct fixture *f = fixture_open(*state, &with_users, false);
    for (int right = 0; right < 2; right++) {
        struct client client = client_open(f);
        struct token token = plain(right ? ".alice.in wonderland" : ".alice.wrong");
        struct weir_kafka_sasl_handshake_request *shaken = new_request(&client, WEIR_KAFKA_SASL_HANDSHAKE);
        struct weir_kafka_sasl_authenticate_request *asked = new_request(&client, WEIR_KAFKA_SASL_AUTHENTICATE);
        uint8_t all[1024];
        size_t used = 0;
        shaken->mechanism = text("PLAIN");
        asked->auth_bytes = (struct weir_kafka_bytes){(const uint8_t *)token.bytes, token.count};
        struct weir_kafka_out outs[] = {
            encode_request(&client, WEIR_KAFKA_SASL_HANDSHAKE, 1, shaken),
            encode_request(&client, WEIR_KAFKA_SASL_AUTHENTICATE, 1, asked),
            encode_request(&client, WEIR_KAFKA_METADATA, 12, new_request(&client, WEIR_KAFKA_METADATA))};
        for (int i = 0; i < 3; i++) {
            memcpy(all + used, outs[i].parts[0].bytes, outs[i].byte_count);
            used += outs[i].byte_count;
        }
        say_bytes(&client, all, used);
        hear(&client, WEIR_KAFKA_SASL_HANDSHAKE, 1);
        const struct weir_kafka_sasl_authenticate_response *answer = hear(&client, WEIR_KAFKA_SASL_AUTHENTICATE, 1);
        assert_int_equal(answer->error_code, right ? WEIR_KAFKA_NONE : WEIR_KAFKA_SASL_AUTHENTICATION_FAILED);
        if (right)
            hear(&client, WEIR_KAFKA_METADATA, 12);
        else
            assert_true(is_closed(&client));
        client_close(&client);
    }
    fixture_close(f);
}

static void a_user_may_log_in_again_and_stays_who_he_was(void **state)
{
    struct fixture *f = fixture_open(*state, &with_users, false);
    struct client client = client_open(f);
    log_in(&client, ".alice.in wonderland");
    begin(&client, 1, "PLAIN");
    expect_served(&client); /* until it is decided he is who he was */
    assert_int_equal(given(give(&client, 1, plain(".alice.in wonderland"))).count, 0);
    expect_served(&client);
    begin(&client, 1, "PLAIN");
    expect_refused(&client, plain(".bob.b,=\xc3\xa9"));
    client_close(&client);
    fixture_close(f);
}

#define ON(test, world)                               \
    {                                                 \
#test " on " #world, test, NULL, NULL, &world \
    }
#define EVERYWHERE(test) ON(test, one_epoll), ON(test, two_auto)

int main(void)
{
    static struct world one_epoll = {.reactor_count = 1, .io = WEIR_IO_EPOLL, .name = "one_epoll"};
    static struct world two_auto = {.reactor_count = 2, .io = WEIR_IO_AUTO, .name = "two_auto"};
    const struct CMUnitTest tests[] = {
        EVERYWHERE(before_a_login_nothing_is_served),
        EVERYWHERE(logins_are_advertised_where_there_are_users),
        EVERYWHERE(a_guest_is_not_believed_a_large_request),
        EVERYWHERE(where_there_are_no_users_nobody_logs_in),
        EVERYWHERE(where_logins_are_needed_and_nobody_is_a_user_all_are_refused),
        EVERYWHERE(a_guest_who_does_not_log_in_is_closed_and_a_user_is_not),
        EVERYWHERE(plain_lets_in),
        EVERYWHERE(scram_lets_in_and_proves_itself),
        EVERYWHERE(handshake_0_is_followed_by_bare_tokens),
        EVERYWHERE(a_bare_token_that_fails_closes),
        EVERYWHERE(what_is_wrong_is_refused_after_a_while_and_closed),
        EVERYWHERE(whether_a_name_is_a_users_is_not_to_be_seen),
        EVERYWHERE(a_mechanism_that_is_not_known_is_told_those_that_are),
        EVERYWHERE(a_token_without_a_handshake_is_refused),
        EVERYWHERE(others_are_served_while_a_failure_waits),
        EVERYWHERE(a_connection_that_breaks_while_a_failure_waits_leaves_nothing),
        EVERYWHERE(what_follows_a_login_in_one_piece_is_served_after_it),
        EVERYWHERE(a_user_may_log_in_again_and_stays_who_he_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
