/*
 * tests/wire/resp/resp_codec_test.c - requests: golden commands, every error's text, every cut.
 *
 * Input always ends where an unmapped page begins, so that one byte read too far is a fault. The
 * table of streams is read four ways: whole, cut once at every place, byte by byte, and byte by
 * byte with the input at another address each time; the commands must be the same.
 */
#include "wire/resp/resp_codec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof(*(array)))

/* Two guarded regions: the input moves from one to the other. */
enum { REGION_BYTES = 1 << 20 };

static char *guarded_end(void)
{
    char *region = mmap(NULL, REGION_BYTES + 65536, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(region, MAP_FAILED);
    assert_int_equal(mprotect(region + REGION_BYTES, 65536, PROT_NONE), 0);
    return region + REGION_BYTES;
}

struct fixture {
    char *ends[2];
    uint32_t turn;
    struct weir_resp_parser parser;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->ends[0] = guarded_end();
    fixture->ends[1] = guarded_end();
    weir_resp_parser_init(&fixture->parser);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    weir_resp_parser_close(&fixture->parser);
    for (int i = 0; i < 2; i++)
        munmap(fixture->ends[i] - REGION_BYTES, REGION_BYTES + 65536);
    free(fixture);
    return 0;
}

static void start_again(struct fixture *fixture, bool authenticated)
{
    weir_resp_parser_close(&fixture->parser);
    weir_resp_parser_init(&fixture->parser);
    fixture->parser.authenticated = authenticated;
}

/* The bytes, at the other region's end. */
static const char *place(struct fixture *fixture, const char *bytes, size_t count)
{
    assert_in_range(count, 0, REGION_BYTES);
    char *at = fixture->ends[fixture->turn++ % 2] - count;
    memcpy(at, bytes, count);
    return at;
}

static ssize_t parse(struct fixture *fixture, const char *bytes, size_t count,
                     struct weir_resp_command *command)
{
    return weir_resp_parse(&fixture->parser, place(fixture, bytes, count), count, command);
}

/* Commands as text: <arg> for each argument, `;` after each command, `!text` for an error. */
struct transcript {
    char text[4096];
    size_t count;
};

static void note(struct transcript *transcript, const char *bytes, size_t count)
{
    assert_in_range(transcript->count + count, 0, sizeof(transcript->text) - 1);
    memcpy(transcript->text + transcript->count, bytes, count);
    transcript->count += count;
    transcript->text[transcript->count] = 0;
}

static void note_command(struct transcript *transcript, const struct weir_resp_command *command)
{
    for (uint32_t i = 0; i < command->arg_count; i++) {
        note(transcript, "<", 1);
        note(transcript, command->args[i].bytes, command->args[i].count);
        note(transcript, ">", 1);
    }
    if (command->arg_count > 0)
        note(transcript, ";", 1);
}

/* Parse what is there; `*begin` moves over what was consumed. False once the parser failed. */
static bool drain(struct fixture *fixture, struct transcript *transcript, const char *stream,
                  size_t *begin, size_t end)
{
    struct weir_resp_command command;
    for (;;) {
        ssize_t result = parse(fixture, stream + *begin, end - *begin, &command);
        if (result == -EAGAIN) {
            assert_in_range(command.more_bytes, 1, SIZE_MAX);
            return true;
        }
        if (result < 0) {
            assert_int_equal(result, -EPROTO);
            note(transcript, "!", 1);
            const char *text = weir_resp_error(&fixture->parser);
            note(transcript, text, strlen(text));
            return false;
        }
        assert_in_range(result, 1, end - *begin);
        *begin += (size_t)result;
        note_command(transcript, &command);
    }
}

/* Feed the stream in pieces that end at `cuts`, then whole. */
static void read_in_pieces(struct fixture *fixture, struct transcript *transcript,
                           const char *stream, size_t count, const size_t *cuts, size_t cut_count)
{
    size_t begin = 0;
    transcript->count = 0;
    transcript->text[0] = 0;
    for (size_t i = 0; i < cut_count; i++) {
        if (!drain(fixture, transcript, stream, &begin, cuts[i]))
            return;
    }
    drain(fixture, transcript, stream, &begin, count);
}

struct stream {
    const char *bytes;
    size_t count; /* 0: a C string */
    const char *transcript;
    bool authenticated;
};

static const struct stream streams[] = {
    {"*1\r\n$4\r\nPING\r\n", 0, "<PING>;", false},
    {"*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$5\r\nhello\r\n", 0, "<PUBLISH><news><hello>;", false},
    {"*3\r\n$7\r\nPUBLISH\r\n$0\r\n\r\n$2\r\n\r\n\r\n*1\r\n$4\r\nPING\r\n", 0,
     "<PUBLISH><><\r\n>;<PING>;", false},
    {"*2\r\n$3\r\nGET\r\n$12\r\nabcdefghijkl\r\n", 0, "<GET><abcdefghijkl>;", false},
    {"*10\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n$"
     "1\r\nh\r\n"
     "$1\r\ni\r\n$1\r\nj\r\n",
     0, "<a><b><c><d><e><f><g><h><i><j>;", false},
    {"*11\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n$"
     "1\r\nh\r\n"
     "$1\r\ni\r\n$1\r\nj\r\n$1\r\nk\r\n*1\r\n$1\r\nl\r\n",
     0, "<a><b><c><d><e><f><g><h><i><j><k>;<l>;", true},
    /* ignored */
    {"\r\n\n*0\r\n*-1\r\n*-7\r\n   \r\n*1\r\n$4\r\nPING\r\n", 0, "<PING>;", false},
    /* the bytes after a bulk and after a length's '\r' are not looked at */
    {"*2\r\n$1\r\naxx$1\r\nbyy*1\rX$1\rYczz", 0, "<a><b>;<c>;", false},
    /* inline */
    {"PING\r\n", 0, "<PING>;", false},
    {"PING\n", 0, "<PING>;", false},
    {"  publish  news\thi \r\nping\r\n", 0, "<publish><news><hi>;<ping>;", false},
    {"a \"b c\" 'd e' f\"g\" h'i j'\r\n", 0, "<a><b c><d e><fg><hi j>;", false},
    {"\"\\n\\r\\t\\b\\a\\x41\\xzz\\x4\\\\\\\"\\q\" ''\r\n", 0, "<\n\r\t\b\aAxzzx4\\\"q><>;", false},
    {"'it\\'s \\n' \"'\" '\"'\r\n", 0, "<it's \\n><'><\">;", false},
    {"a\\nb $5 PING*1\r\n", 0, "<a\\nb><$5><PING*1>;", false},
    {"\r\r\n\v\fa\vb\r\n", 0, "<a\vb>;", false},
    {"SUBSCRIBE a b c d e f g h i j k l\r\n", 0, "<SUBSCRIBE><a><b><c><d><e><f><g><h><i><j><k><l>;",
     false},
    {"PING\r\n*1\r\n$4\r\nPING\r\nPING\r\n", 0, "<PING>;<PING>;<PING>;", false},
    /* errors, exact */
    {"*1\r\n+PING\r\n", 0, "!ERR Protocol error: expected '$', got '+'", false},
    {"*2\r\n$1\r\na\r\n*1\r\n", 0, "!ERR Protocol error: expected '$', got '*'", false},
    {"*1\r\n\r\n", 0, "!ERR Protocol error: expected '$', got ' '", false},
    {"*\r\n", 0, "!ERR Protocol error: invalid multibulk length", false},
    {"*a\r\n", 0, "!ERR Protocol error: invalid multibulk length", false},
    {"*01\r\n", 0, "!ERR Protocol error: invalid multibulk length", false},
    {"*+1\r\n", 0, "!ERR Protocol error: invalid multibulk length", false},
    {"* 1\r\n", 0, "!ERR Protocol error: invalid multibulk length", false},
    {"*1 \r\n", 0, "!ERR Protocol error: invalid multibulk length", false},
    {"*1048577\r\n", 0, "!ERR Protocol error: invalid multibulk length", true},
    {"*2147483648\r\n", 0, "!ERR Protocol error: invalid multibulk length", false},
    {"*99999999999999999999\r\n", 0, "!ERR Protocol error: invalid multibulk length", false},
    {"*1\r\n$\r\n", 0, "!ERR Protocol error: invalid bulk length", false},
    {"*1\r\n$-1\r\n", 0, "!ERR Protocol error: invalid bulk length", false},
    {"*1\r\n$a\r\n", 0, "!ERR Protocol error: invalid bulk length", false},
    {"*1\r\n$00\r\n", 0, "!ERR Protocol error: invalid bulk length", false},
    {"*1\r\n$012\r\n", 0, "!ERR Protocol error: invalid bulk length", false},
    {"*1\r\n$536870913\r\n", 0, "!ERR Protocol error: invalid bulk length", true},
    {"*1\r\n$99999999999999999999\r\n", 0, "!ERR Protocol error: invalid bulk length", true},
    {"*11\r\n", 0, "!ERR Protocol error: unauthenticated multibulk length", false},
    {"*1048576\r\n", 0, "!ERR Protocol error: unauthenticated multibulk length", false},
    {"*1\r\n$16385\r\n", 0, "!ERR Protocol error: unauthenticated bulk length", false},
    {"*1\r\n$536870912\r\n", 0, "!ERR Protocol error: unauthenticated bulk length", false},
    {"ping\r\nset \"a\r\n", 0, "<ping>;!ERR Protocol error: unbalanced quotes in request", false},
    {"'a\r\n", 0, "!ERR Protocol error: unbalanced quotes in request", false},
    {"\"a\"b\r\n", 0, "!ERR Protocol error: unbalanced quotes in request", false},
    {"'a'b\r\n", 0, "!ERR Protocol error: unbalanced quotes in request", false},
    {"\"a\\\r\n", 0, "!ERR Protocol error: unbalanced quotes in request", false},
    {"\"a\\\"\r\n", 0, "!ERR Protocol error: unbalanced quotes in request", false},
};

static size_t stream_bytes(const struct stream *stream)
{
    return stream->count > 0 ? stream->count : strlen(stream->bytes);
}

static void expect(const struct stream *stream, const struct transcript *transcript, size_t cut)
{
    if (strcmp(transcript->text, stream->transcript) != 0)
        fail_msg("stream %zu cut at %zu: <<%s>> instead of <<%s>>", (size_t)(stream - streams), cut,
                 transcript->text, stream->transcript);
}

static void streams_are_read_whole(void **state)
{
    struct fixture *fixture = *state;
    struct transcript transcript;
    for (const struct stream *s = streams; s < streams + COUNT_OF(streams); s++) {
        start_again(fixture, s->authenticated);
        read_in_pieces(fixture, &transcript, s->bytes, stream_bytes(s), NULL, 0);
        expect(s, &transcript, 0);
    }
}

static void one_cut_anywhere_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct transcript transcript;
    for (const struct stream *s = streams; s < streams + COUNT_OF(streams); s++) {
        for (size_t cut = 0; cut <= stream_bytes(s); cut++) {
            start_again(fixture, s->authenticated);
            read_in_pieces(fixture, &transcript, s->bytes, stream_bytes(s), &cut, 1);
            expect(s, &transcript, cut);
        }
    }
}

static void byte_by_byte_at_changing_addresses_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct transcript transcript;
    for (const struct stream *s = streams; s < streams + COUNT_OF(streams); s++) {
        size_t cuts[256];
        size_t count = stream_bytes(s);
        assert_in_range(count, 1, COUNT_OF(cuts));
        for (size_t i = 0; i < count; i++)
            cuts[i] = i + 1;
        start_again(fixture, s->authenticated);
        read_in_pieces(fixture, &transcript, s->bytes, count, cuts, count);
        expect(s, &transcript, count);
    }
}

static void a_bulk_may_hold_any_byte(void **state)
{
    struct fixture *fixture = *state;
    char bytes[16 + 256] = "*1\r\n$256\r\n";
    struct weir_resp_command command;
    for (int i = 0; i < 256; i++)
        bytes[10 + i] = (char)i;
    memcpy(bytes + 266, "\r\n", 2);
    assert_int_equal(parse(fixture, bytes, 268, &command), 268);
    assert_int_equal(command.arg_count, 1);
    assert_int_equal(command.args[0].count, 256);
    assert_memory_equal(command.args[0].bytes, bytes + 10, 256);
}

static void arguments_point_into_the_input(void **state)
{
    struct fixture *fixture = *state;
    static const char bytes[] = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
    struct weir_resp_command command;
    const char *at = place(fixture, bytes, sizeof(bytes) - 1);
    assert_int_equal(weir_resp_parse(&fixture->parser, at, 12, &command), -EAGAIN);
    assert_int_equal(weir_resp_parse(&fixture->parser, at, sizeof(bytes) - 1, &command),
                     sizeof(bytes) - 1);
    assert_ptr_equal(command.args[0].bytes, at + 8);
    assert_ptr_equal(command.args[1].bytes, at + 17);
    assert_int_equal(weir_resp_parser_heap_bytes(&fixture->parser), 0);
}

static void an_ignored_line_is_consumed_without_arguments(void **state)
{
    struct fixture *fixture = *state;
    struct weir_resp_command command;
    assert_int_equal(parse(fixture, "\r\nPING\r\n", 8, &command), 2);
    assert_int_equal(command.arg_count, 0);
    assert_int_equal(parse(fixture, "*-1\r\nPING", 9, &command), 5);
    assert_int_equal(command.arg_count, 0);
}

/* 65,536 bytes before the line end are allowed, one more is not, whatever comes after. */
static void check_line_limit(struct fixture *fixture, const char *opening, char filler,
                             const char *ending, const char *at_limit, const char *beyond)
{
    static char bytes[70100];
    struct transcript transcript;
    size_t element = strcmp(opening, "*1\r\n$") == 0 ? 4 : 0; /* where the line begins */
    for (size_t excess = 0; excess <= 1; excess++) {
        size_t count = element + WEIR_RESP_LINE_BYTES_MAX + excess;
        memset(bytes, filler, sizeof(bytes));
        memcpy(bytes, opening, strlen(opening));
        memcpy(bytes + count, ending, strlen(ending));
        const char *expected = excess > 0 ? beyond : at_limit;
        const size_t cuts[] = {100, 40000, count - 1, count, count + 1};
        for (size_t pieces = 0; pieces <= COUNT_OF(cuts); pieces++) {
            start_again(fixture, true);
            read_in_pieces(fixture, &transcript, bytes, count + strlen(ending), cuts, pieces);
            assert_string_equal(transcript.text, expected);
        }
    }
}

static void lines_beyond_64_kib_are_refused_however_they_are_cut(void **state)
{
    struct fixture *fixture = *state;
    check_line_limit(fixture, "PING", ' ', "\n", "<PING>;",
                     "!ERR Protocol error: too big inline request");
    check_line_limit(fixture, "*", '1', "\r\n", "!ERR Protocol error: invalid multibulk length",
                     "!ERR Protocol error: too big mbulk count string");
    check_line_limit(fixture, "*1\r\n$", '1', "\r\n", "!ERR Protocol error: invalid bulk length",
                     "!ERR Protocol error: too big bulk count string");
}

static void an_unfinished_line_beyond_64_kib_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static char bytes[WEIR_RESP_LINE_BYTES_MAX + 1];
    struct weir_resp_command command;
    memset(bytes, 'a', sizeof(bytes));
    assert_int_equal(parse(fixture, bytes, sizeof(bytes) - 1, &command), -EAGAIN);
    assert_int_equal(parse(fixture, bytes, sizeof(bytes), &command), -EPROTO);
    assert_string_equal(weir_resp_error(&fixture->parser),
                        "ERR Protocol error: too big inline request");
    /* and stays refused */
    assert_int_equal(parse(fixture, "PING\r\n", 6, &command), -EPROTO);
}

static void the_limits_before_authentication_allow_their_own_value(void **state)
{
    struct fixture *fixture = *state;
    struct weir_resp_command command;
    assert_int_equal(parse(fixture, "*10\r\n$16384\r\n", 13, &command), -EAGAIN);
    start_again(fixture, true);
    assert_int_equal(parse(fixture, "*1048576\r\n$536870912\r\n", 22, &command), -EAGAIN);
    assert_int_equal(weir_resp_parser_heap_bytes(&fixture->parser), 0);
}

static void authentication_counts_from_the_next_length_on(void **state)
{
    struct fixture *fixture = *state;
    struct weir_resp_command command;
    assert_int_equal(parse(fixture, "*2\r\n", 4, &command), -EAGAIN);
    fixture->parser.authenticated = true;
    assert_int_equal(parse(fixture, "*2\r\n$16385\r\n", 12, &command), -EAGAIN);
}

static void lowered_maxima_hold_for_short_commands_too(void **state)
{
    struct fixture *fixture = *state;
    struct weir_resp_command command;
    fixture->parser.bulk_bytes_max = 3;
    assert_int_equal(parse(fixture, "*1\r\n$3\r\nabc\r\n", 13, &command), 13);
    assert_int_equal(parse(fixture, "*1\r\n$4\r\nabcd\r\n", 14, &command), -EPROTO);
    assert_string_equal(weir_resp_error(&fixture->parser),
                        "ERR Protocol error: invalid bulk length");
    start_again(fixture, false);
    fixture->parser.args_max = 1;
    assert_int_equal(parse(fixture, "*2\r\n$1\r\na\r\n$1\r\nb\r\n", 18, &command), -EPROTO);
    assert_string_equal(weir_resp_error(&fixture->parser),
                        "ERR Protocol error: invalid multibulk length");
}

static void the_hint_never_promises_too_much(void **state)
{
    struct fixture *fixture = *state;
    static const char bytes[] = "*3\r\n$7\r\nPUBLISH\r\n$0\r\n\r\n$20\r\n01234567890123456789\r\n";
    size_t count = sizeof(bytes) - 1;
    struct weir_resp_command command;
    for (size_t have = 0; have < count; have++) {
        start_again(fixture, false);
        assert_int_equal(parse(fixture, bytes, have, &command), -EAGAIN);
        assert_in_range(command.more_bytes, 1, count - have);
    }
    start_again(fixture, false);
    assert_int_equal(parse(fixture, bytes, 29, &command), -EAGAIN);
    assert_int_equal(command.more_bytes, count - 29);
}

static void the_same_bytes_shown_again_are_no_mistake(void **state)
{
    struct fixture *fixture = *state;
    static const char bytes[] = "*2\r\n$1\r\na\r\n$1234\r\n";
    struct weir_resp_command command;
    for (size_t have = 0; have < sizeof(bytes); have++) {
        start_again(fixture, false);
        for (int times = 0; times < 3; times++)
            assert_int_equal(parse(fixture, bytes, have, &command), -EAGAIN);
    }
}

/* Bytes already searched are changed, against the contract: who looks again would see it. */
static void a_line_is_not_searched_twice(void **state)
{
    struct fixture *fixture = *state;
    static const char *const openings[] = {"a", "*1", "*1\r\n$1"};
    char bytes[1001];
    struct weir_resp_command command;
    for (size_t i = 0; i < COUNT_OF(openings); i++) {
        start_again(fixture, false);
        memset(bytes, '1', sizeof(bytes));
        memcpy(bytes, openings[i], strlen(openings[i]));
        assert_int_equal(parse(fixture, bytes, 1000, &command), -EAGAIN);
        memcpy(bytes + 500, "\r\n", 2);
        assert_int_equal(parse(fixture, bytes, 1001, &command), -EAGAIN);
    }
}

/* 64 bytes at a time; a parser that looked again at what it had seen would take minutes. */
static void a_large_bulk_in_small_pieces_is_not_read_again(void **state)
{
    struct fixture *fixture = *state;
    enum { BULK = 512 << 20, PIECE = 64 };
    struct weir_resp_command command;
    char *bytes = mmap(NULL, BULK + 64, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(bytes, MAP_FAILED);
    fixture->parser.authenticated = true;
    size_t head = (size_t)sprintf(bytes, "*1\r\n$%d\r\n", BULK);
    size_t total = head + BULK + 2;
    for (size_t have = head; have < total; have += PIECE) {
        assert_true(weir_resp_parse(&fixture->parser, bytes, have, &command) == -EAGAIN);
        assert_true(command.more_bytes == total - have);
    }
    assert_true(weir_resp_parse(&fixture->parser, bytes, total, &command) == (ssize_t)total);
    assert_int_equal(command.args[0].count, BULK);
    munmap(bytes, BULK + 64);
}

static size_t many_arguments(char *out, uint32_t count)
{
    size_t at = (size_t)sprintf(out, "*%u\r\n", count);
    for (uint32_t i = 0; i < count; i++)
        at += (size_t)sprintf(out + at, "$%d\r\n%u\r\n", snprintf(NULL, 0, "%u", i), i);
    return at;
}

static void a_million_arguments_arrive_byte_by_byte(void **state)
{
    struct fixture *fixture = *state;
    char *bytes = malloc(32 * (size_t)WEIR_RESP_ARGS_MAX);
    struct weir_resp_command command;
    size_t total = many_arguments(bytes, WEIR_RESP_ARGS_MAX);
    fixture->parser.authenticated = true;
    for (size_t have = 0; have < total; have++) {
        if (weir_resp_parse(&fixture->parser, bytes, have, &command) != -EAGAIN)
            fail_msg("complete at %zu of %zu", have, total);
        /* what is held follows what has come: sixteen bytes for six, doubled at most */
        if (weir_resp_parser_heap_bytes(&fixture->parser) > 6 * have)
            fail_msg("%zu bytes held for %zu", weir_resp_parser_heap_bytes(&fixture->parser), have);
    }
    assert_true(weir_resp_parse(&fixture->parser, bytes, total, &command) == (ssize_t)total);
    assert_int_equal(command.arg_count, WEIR_RESP_ARGS_MAX);
    for (uint32_t i = 0; i < command.arg_count; i++) {
        char expected[16];
        int count = snprintf(expected, sizeof(expected), "%u", i);
        if (command.args[i].count != (size_t)count ||
            memcmp(command.args[i].bytes, expected, (size_t)count) != 0)
            fail_msg("argument %u", i);
    }
    free(bytes);
}

static void memory_of_an_unusual_command_is_given_back(void **state)
{
    struct fixture *fixture = *state;
    static char bytes[65536];
    struct weir_resp_command command;
    fixture->parser.authenticated = true;
    size_t count = many_arguments(bytes, 1000);
    assert_int_equal(parse(fixture, bytes, count, &command), count);
    assert_in_range(weir_resp_parser_heap_bytes(&fixture->parser), 16000, 32768);
    memset(bytes, 'a', 5000);
    bytes[0] = bytes[4998] = '"';
    bytes[4999] = '\n';
    assert_int_equal(parse(fixture, bytes, 5000, &command), 5000);
    assert_int_equal(command.args[0].count, 4997);
    assert_in_range(weir_resp_parser_heap_bytes(&fixture->parser), 4997, 5200);
    assert_int_equal(parse(fixture, "*1\r\n$4\r\nPING\r\n", 14, &command), 14);
    assert_int_equal(weir_resp_parser_heap_bytes(&fixture->parser), 0);
}

static void requests_of_a_browser_are_known(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *line;
        bool http;
    } cases[] = {
        {"POST / HTTP/1.1\r\n", true}, {"post / HTTP/1.1\r\n", true}, {"Host: a\r\n", true},
        {"GET / HTTP/1.1\r\n", false}, {"host a\r\n", false},         {"\r\n", false},
    };
    struct weir_resp_command command;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t count = strlen(cases[i].line);
        assert_int_equal(parse(fixture, cases[i].line, count, &command), count);
        assert_int_equal(weir_resp_command_is_http(&command), cases[i].http);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(streams_are_read_whole),
        CASE(one_cut_anywhere_changes_nothing),
        CASE(byte_by_byte_at_changing_addresses_changes_nothing),
        CASE(a_bulk_may_hold_any_byte),
        CASE(arguments_point_into_the_input),
        CASE(an_ignored_line_is_consumed_without_arguments),
        CASE(lines_beyond_64_kib_are_refused_however_they_are_cut),
        CASE(an_unfinished_line_beyond_64_kib_is_refused),
        CASE(the_limits_before_authentication_allow_their_own_value),
        CASE(authentication_counts_from_the_next_length_on),
        CASE(lowered_maxima_hold_for_short_commands_too),
        CASE(the_hint_never_promises_too_much),
        CASE(the_same_bytes_shown_again_are_no_mistake),
        CASE(a_line_is_not_searched_twice),
        CASE(a_large_bulk_in_small_pieces_is_not_read_again),
        CASE(a_million_arguments_arrive_byte_by_byte),
        CASE(memory_of_an_unusual_command_is_given_back),
        CASE(requests_of_a_browser_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
