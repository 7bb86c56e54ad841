/*
 * wire/resp/resp_codec.c - Redis requests from bytes.
 *
 * Two readers of the same grammar. parse_whole takes the common command (up to eight arguments,
 * short lengths, everything there) in one look and keeps no state; whatever it does not understand
 * is left to the patient reader, a state for each element, which remembers offsets and never looks
 * at a byte twice (a line's last byte excepted). parse_whole is tried once for each command, so
 * that both together stay proportional to the input. While a command is incomplete its arguments
 * are kept as offsets, as the caller may move the bytes.
 *
 * Bounds: lines 64 KiB, arguments and bulks by the parser's maxima, memory 16 bytes for each
 * argument received (six bytes on the wire at least) and 64 KiB for unquoting. Proof:
 * tests/wire/resp/resp_codec_test.c (each cut, unmapped page), resp_codec_fuzz.c.
 */
#include "wire/resp/resp_codec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

enum state {
    AT_START,
    IN_ARRAY_LINE,
    IN_BULK_LINE,
    IN_BULK,
    IN_INLINE,
    FAILED,
};

enum { SHORTEST_BULK_BYTES = 6 /* $0\r\n\r\n */ };

void weir_resp_parser_init(struct weir_resp_parser *parser)
{
    memset(parser, 0, sizeof(*parser));
    parser->args_max = WEIR_RESP_ARGS_MAX;
    parser->bulk_bytes_max = WEIR_RESP_BULK_BYTES_MAX;
}

static void free_args(struct weir_resp_parser *parser)
{
    free(parser->_args);
    parser->_args = NULL;
    parser->_arg_capacity = 0;
}

static void free_scratch(struct weir_resp_parser *parser)
{
    free(parser->_scratch);
    parser->_scratch = NULL;
    parser->_scratch_bytes = 0;
}

void weir_resp_parser_close(struct weir_resp_parser *parser)
{
    free_args(parser);
    free_scratch(parser);
}

const char *weir_resp_error(const struct weir_resp_parser *parser)
{
    WEIR_ASSERT(parser->_state == FAILED);
    return parser->_inline.error;
}

size_t weir_resp_parser_heap_bytes(const struct weir_resp_parser *parser)
{
    return parser->_arg_capacity * sizeof(*parser->_args) + parser->_scratch_bytes;
}

static int fail(struct weir_resp_parser *parser, const char *text)
{
    snprintf(parser->_inline.error, sizeof(parser->_inline.error), "ERR Protocol error: %s", text);
    parser->_state = FAILED;
    return -EPROTO;
}

static int fail_not_a_bulk(struct weir_resp_parser *parser, char got)
{
    char text[] = "expected '$', got '?'";
    bool breaks_text = got == '\r' || got == '\n' || got == '\0';
    text[sizeof(text) - 3] = breaks_text ? ' ' : got;
    return fail(parser, text);
}

static int want(struct weir_resp_command *command, size_t more_bytes)
{
    command->more_bytes = more_bytes;
    return -EAGAIN;
}

/*
 * A length of one to four digits and its line end, in canonical form. Returns the place after it,
 * or NULL: anything else. Reads five bytes at most, all of which the caller has.
 */
static inline const char *take_short_length(const char *at, uint32_t *length_out)
{
    uint32_t length = (unsigned char)(at[0] - '0');
    if (length > 9 || (length == 0 && at[1] != '\r'))
        return NULL;
    for (int i = 1; i < 5; i++) {
        if (at[i] == '\r') {
            *length_out = length;
            return at + i + 2;
        }
        uint32_t digit = (unsigned char)(at[i] - '0');
        if (digit > 9)
            return NULL;
        length = 10 * length + digit;
    }
    return NULL;
}

/* Bytes of the whole command, or 0 when the patient reader has to look. */
static size_t parse_whole(struct weir_resp_parser *parser, const char *bytes, size_t count,
                          struct weir_resp_command *command)
{
    if (count < 4 || bytes[0] != '*' || bytes[2] != '\r')
        return 0;
    uint32_t arg_count = (unsigned char)(bytes[1] - '0');
    if (arg_count - 1 >= WEIR_RESP_ARGS_INLINE || arg_count > parser->args_max)
        return 0;
    const char *at = bytes + 4;
    const char *end = bytes + count;
    struct weir_resp_slice *args = parser->_inline.args;
    for (uint32_t i = 0; i < arg_count; i++) {
        uint32_t length;
        if (end - at < SHORTEST_BULK_BYTES || *at != '$')
            return 0;
        at = take_short_length(at + 1, &length);
        if (at == NULL || end - at < (ptrdiff_t)length + 2 || length > parser->bulk_bytes_max)
            return 0;
        args[i] = (struct weir_resp_slice){at, length};
        at += length + 2;
    }
    command->args = args;
    command->arg_count = arg_count;
    return (size_t)(at - bytes);
}

static struct weir_resp_slice *args_of(struct weir_resp_parser *parser)
{
    return parser->_args != NULL ? parser->_args : parser->_inline.args;
}

static int grow_args(struct weir_resp_parser *parser)
{
    uint32_t capacity = 2 * (parser->_args != NULL ? parser->_arg_capacity : WEIR_RESP_ARGS_INLINE);
    struct weir_resp_slice *args = realloc(parser->_args, capacity * sizeof(*args));
    if (args == NULL)
        return -ENOMEM;
    if (parser->_args == NULL)
        memcpy(args, parser->_inline.args, sizeof(parser->_inline.args));
    parser->_args = args;
    parser->_arg_capacity = capacity;
    return 0;
}

static int push_arg(struct weir_resp_parser *parser, struct weir_resp_slice arg)
{
    uint32_t capacity = parser->_args != NULL ? parser->_arg_capacity : WEIR_RESP_ARGS_INLINE;
    if (parser->_arg_count == capacity) {
        int result = grow_args(parser);
        if (result < 0)
            return result;
    }
    args_of(parser)[parser->_arg_count++] = arg;
    return 0;
}

static ssize_t finish(struct weir_resp_parser *parser, size_t consumed,
                      struct weir_resp_command *command)
{
    command->args = args_of(parser);
    command->arg_count = parser->_arg_count;
    parser->_state = AT_START;
    return (ssize_t)consumed;
}

/* The element at offset `at` comes next. */
static int step_to(struct weir_resp_parser *parser, enum state state, size_t at)
{
    parser->_state = (uint8_t)state;
    parser->_at = at;
    parser->_scanned = at;
    return 0;
}

/*
 * Look for the line end of the element at _at, beginning where the last look ended. 0 and its
 * offset, -EAGAIN, or -EMSGSIZE when the line is longer than a line may be, however its bytes were
 * cut.
 */
static int find_line_end(struct weir_resp_parser *parser, const char *bytes, size_t count, char end,
                         size_t *end_out)
{
    size_t limit = parser->_at + WEIR_RESP_LINE_BYTES_MAX + 1;
    size_t stop = count < limit ? count : limit;
    const char *found = memchr(bytes + parser->_scanned, end, stop - parser->_scanned);
    if (found == NULL) {
        parser->_scanned = stop;
        return stop == limit ? -EMSGSIZE : -EAGAIN;
    }
    *end_out = parser->_scanned = (size_t)(found - bytes);
    return 0;
}

/* A length line ends with '\r' and one byte more, which Redis does not look at. */
static int find_length_end(struct weir_resp_parser *parser, const char *bytes, size_t count,
                           size_t *end_out)
{
    int result = find_line_end(parser, bytes, count, '\r', end_out);
    if (result == 0 && *end_out + 1 == count)
        return -EAGAIN;
    return result;
}

static ssize_t read_array_line(struct weir_resp_parser *parser, const char *bytes, size_t count,
                               struct weir_resp_command *command)
{
    size_t end;
    int result = find_length_end(parser, bytes, count, &end);
    if (result == -EAGAIN)
        return want(command, 1);
    if (result < 0)
        return fail(parser, "too big mbulk count string");
    int64_t announced;
    if (!weir_bytes_parse_i64(bytes + 1, end - 1, &announced) || announced > parser->args_max)
        return fail(parser, "invalid multibulk length");
    if (announced > WEIR_RESP_GUEST_ARGS_MAX && !parser->authenticated)
        return fail(parser, "unauthenticated multibulk length");
    if (announced <= 0)
        return finish(parser, end + 2, command);
    parser->_args_announced = (uint32_t)announced;
    return step_to(parser, IN_BULK_LINE, end + 2);
}

/* The least that the arguments after the present one take. */
static size_t rest_bytes(const struct weir_resp_parser *parser)
{
    return (size_t)(parser->_args_announced - parser->_arg_count - 1) * SHORTEST_BULK_BYTES;
}

static ssize_t want_bulk_line(const struct weir_resp_parser *parser, size_t count,
                              struct weir_resp_command *command)
{
    size_t have = count - parser->_at;
    size_t more = have < SHORTEST_BULK_BYTES ? SHORTEST_BULK_BYTES - have : 1;
    return want(command, more + rest_bytes(parser));
}

static int judge_bulk(struct weir_resp_parser *parser, int64_t length, size_t at)
{
    if (length < 0 || (uint64_t)length > parser->bulk_bytes_max)
        return fail(parser, "invalid bulk length");
    if (length > WEIR_RESP_GUEST_BULK_BYTES_MAX && !parser->authenticated)
        return fail(parser, "unauthenticated bulk length");
    parser->_bulk_bytes = (size_t)length;
    return step_to(parser, IN_BULK, at);
}

static ssize_t read_bulk_line(struct weir_resp_parser *parser, const char *bytes, size_t count,
                              struct weir_resp_command *command)
{
    if (count == parser->_at)
        return want_bulk_line(parser, count, command);
    const char *at = bytes + parser->_at;
    if (*at != '$')
        return fail_not_a_bulk(parser, *at);
    uint32_t short_length;
    const char *after = NULL;
    if (count - parser->_at >= SHORTEST_BULK_BYTES)
        after = take_short_length(at + 1, &short_length);
    /* four digits may end with the last byte that is there: the second end byte is to come */
    if (after != NULL && after <= bytes + count)
        return judge_bulk(parser, short_length, (size_t)(after - bytes));
    size_t end;
    int result = find_length_end(parser, bytes, count, &end);
    if (result == -EAGAIN)
        return want_bulk_line(parser, count, command);
    if (result < 0)
        return fail(parser, "too big bulk count string");
    int64_t length;
    if (!weir_bytes_parse_i64(at + 1, end - parser->_at - 1, &length))
        return fail(parser, "invalid bulk length");
    return judge_bulk(parser, length, end + 2);
}

static ssize_t complete(struct weir_resp_parser *parser, const char *bytes, size_t count,
                        struct weir_resp_command *command)
{
    struct weir_resp_slice *args = args_of(parser);
    for (uint32_t i = 0; i < parser->_arg_count; i++)
        args[i].bytes = bytes + (uintptr_t)args[i].bytes;
    return finish(parser, count, command);
}

static ssize_t read_bulk(struct weir_resp_parser *parser, const char *bytes, size_t count,
                         struct weir_resp_command *command)
{
    size_t end = parser->_at + parser->_bulk_bytes + 2;
    if (count < end)
        return want(command, end - count + rest_bytes(parser));
    const char *offset = (const char *)(uintptr_t)parser->_at;
    int result = push_arg(parser, (struct weir_resp_slice){offset, parser->_bulk_bytes});
    if (result < 0)
        return result;
    if (parser->_arg_count == parser->_args_announced)
        return complete(parser, bytes, end, command);
    return step_to(parser, IN_BULK_LINE, end);
}

struct line {
    const char *at;
    const char *end;
    char *scratch; /* where the next unquoted word goes */
};

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Vertical tab and form feed are skipped between words but do not end one, as in Redis. */
static bool ends_word(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static char unescape_letter(char letter)
{
    switch (letter) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return letter;
    }
}

/* After a backslash inside "...", where at least one byte follows. */
static char take_escape(struct line *line)
{
    const char *at = line->at;
    if (*at == 'x' && line->end - at >= 3) {
        int high = weir_bytes_hex_digit(at[1]);
        int low = weir_bytes_hex_digit(at[2]);
        if (high >= 0 && low >= 0) {
            line->at += 3;
            return (char)(high << 4 | low);
        }
    }
    line->at++;
    return unescape_letter(*at);
}

/* The quote closed: a blank or nothing must follow. */
static bool closes_well(const struct line *line)
{
    return line->at == line->end || is_blank(*line->at);
}

static bool take_double_quoted(struct line *line)
{
    while (line->at < line->end) {
        char c = *line->at++;
        if (c == '"')
            return closes_well(line);
        if (c == '\\' && line->at < line->end)
            c = take_escape(line);
        *line->scratch++ = c;
    }
    return false;
}

static bool take_single_quoted(struct line *line)
{
    while (line->at < line->end) {
        char c = *line->at++;
        if (c == '\'')
            return closes_well(line);
        if (c == '\\' && line->at < line->end && *line->at == '\'')
            c = *line->at++;
        *line->scratch++ = c;
    }
    return false;
}

/* One word, at least a byte of it there. False: its quotes do not balance. */
static bool take_word(struct line *line, struct weir_resp_slice *word_out)
{
    const char *start = line->at;
    while (line->at < line->end && !ends_word(*line->at) && *line->at != '"' && *line->at != '\'')
        line->at++;
    size_t plain = (size_t)(line->at - start);
    if (line->at == line->end || ends_word(*line->at)) {
        *word_out = (struct weir_resp_slice){start, plain};
        return true;
    }
    char *word = line->scratch;
    memcpy(word, start, plain);
    line->scratch += plain;
    bool balanced = *line->at++ == '"' ? take_double_quoted(line) : take_single_quoted(line);
    *word_out = (struct weir_resp_slice){word, (size_t)(line->scratch - word)};
    return balanced;
}

/* Unquoting only shortens, so a line's own size is room enough. */
static int reserve_scratch(struct weir_resp_parser *parser, size_t bytes)
{
    if (bytes <= parser->_scratch_bytes)
        return 0;
    free_scratch(parser);
    parser->_scratch = malloc(bytes);
    if (parser->_scratch == NULL)
        return -ENOMEM;
    parser->_scratch_bytes = bytes;
    return 0;
}

static int split_words(struct weir_resp_parser *parser, struct line *line)
{
    parser->_arg_count = 0;
    for (;;) {
        while (line->at < line->end && is_blank(*line->at))
            line->at++;
        if (line->at == line->end)
            return 0;
        struct weir_resp_slice word;
        if (!take_word(line, &word))
            return fail(parser, "unbalanced quotes in request");
        int result = push_arg(parser, word);
        if (result < 0)
            return result;
    }
}

static ssize_t read_inline(struct weir_resp_parser *parser, const char *bytes, size_t count,
                           struct weir_resp_command *command)
{
    size_t end;
    int result = find_line_end(parser, bytes, count, '\n', &end);
    if (result == -EAGAIN)
        return want(command, 1);
    if (result < 0)
        return fail(parser, "too big inline request");
    size_t line_bytes = end > 0 && bytes[end - 1] == '\r' ? end - 1 : end;
    if (memchr(bytes, '"', line_bytes) != NULL || memchr(bytes, '\'', line_bytes) != NULL)
        result = reserve_scratch(parser, line_bytes);
    struct line line = {bytes, bytes + line_bytes, parser->_scratch};
    if (result == 0)
        result = split_words(parser, &line);
    if (result < 0)
        return result;
    return finish(parser, end + 1, command);
}

/* One element: > 0 the command is complete, 0 the next element is due, or why not. */
static ssize_t read_element(struct weir_resp_parser *parser, const char *bytes, size_t count,
                            struct weir_resp_command *command)
{
    switch ((enum state)parser->_state) {
    case IN_ARRAY_LINE:
        return read_array_line(parser, bytes, count, command);
    case IN_BULK_LINE:
        return read_bulk_line(parser, bytes, count, command);
    case IN_BULK:
        return read_bulk(parser, bytes, count, command);
    case IN_INLINE:
        return read_inline(parser, bytes, count, command);
    case AT_START:
    case FAILED:
        break;
    }
    return -EPROTO;
}

/* What one unusual command needed is not kept for all the usual ones after it. */
static void trim(struct weir_resp_parser *parser)
{
    if (parser->_arg_capacity > WEIR_RESP_ARGS_KEPT)
        free_args(parser);
    if (parser->_scratch_bytes > WEIR_RESP_SCRATCH_BYTES_KEPT)
        free_scratch(parser);
}

ssize_t weir_resp_parse(struct weir_resp_parser *parser, const char *bytes, size_t count,
                        struct weir_resp_command *command_out)
{
    *command_out = (struct weir_resp_command){0};
    if (parser->_state == AT_START) {
        trim(parser);
        if (count == 0)
            return want(command_out, 1);
        size_t whole = parse_whole(parser, bytes, count, command_out);
        if (whole > 0)
            return (ssize_t)whole;
        parser->_arg_count = 0;
        step_to(parser, bytes[0] == '*' ? IN_ARRAY_LINE : IN_INLINE, 0);
    }
    WEIR_ASSERT(parser->_state == FAILED || count >= parser->_scanned);
    ssize_t result;
    do
        result = read_element(parser, bytes, count, command_out);
    while (result == 0);
    return result;
}

bool weir_resp_command_is_http(const struct weir_resp_command *command)
{
    return command->arg_count > 0 && (weir_resp_slice_is(command->args[0], "post") ||
                                      weir_resp_slice_is(command->args[0], "host:"));
}
