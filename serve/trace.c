/*
 * serve/trace.c - `weir trace FILE`.
 *
 * Records of all reactors are read, events become nodes under the event that caused them, and the trees are printed in order
 * of time. What has no cause in the dump is a root. A record of several events that were told becomes a line for each event
 * whose own record is there. Bounded by the file: every count in it is checked against its size, and no record becomes more
 * than 256 lines.
 */
#include "serve/trace.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "runtime/dump.h"
#include "runtime/recorder.h"
#include "serve/logger.h"

enum { TOLD_MAX = WEIR_CELL_MORE_MAX + 1 }; /* events of one record */

struct line { /* one record with its place in time */
    struct weir_record record;
    uint32_t reactor;
    uint64_t turn_ns;
    uint64_t order;
    uint32_t first_child; /* line + 1; 0: none */
    uint32_t last_child;
    uint32_t next_sibling;
    bool is_child;
};

struct trace {
    const uint8_t *bytes;
    size_t byte_count;
    size_t at;
    char **topics;
    uint32_t topic_count;
    struct line *lines;
    size_t line_count;
    uint64_t first_ns;
    uint32_t *by_id; /* open addressing: line + 1 of the record that made an event */
    size_t by_id_mask;
    bool colour;
};

static const char help[] =
    "Usage: weir trace FILE\n"
    "Print a flight recorder's dump as a tree: each event under the event whose handler made it.\n"
    "\n"
    "A running `weir serve` writes a dump on SIGUSR2 (kill -USR2 PID) and when it crashes.\n"
    "\n"
    "Example:\n"
    "  kill -USR2 $(pidof weir) && weir trace weir-*.trace | less -R\n";

static bool take(struct trace *trace, void *out, size_t byte_count)
{
    if (trace->byte_count - trace->at < byte_count)
        return false;
    memcpy(out, trace->bytes + trace->at, byte_count);
    trace->at += byte_count;
    return true;
}

static bool read_topics(struct trace *trace, uint32_t count)
{
    if (count > trace->byte_count / sizeof(struct weir_dump_topic))
        return false;
    trace->topics = calloc((size_t)count + 1, sizeof *trace->topics);
    if (!trace->topics)
        return false;
    trace->topic_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct weir_dump_topic topic;
        if (!take(trace, &topic, sizeof topic) || topic.slot >= count ||
            trace->byte_count - trace->at < topic.name_bytes)
            return false;
        free(trace->topics[topic.slot]);
        trace->topics[topic.slot] = strndup((const char *)trace->bytes + trace->at,
                                            topic.name_bytes);
        trace->at += topic.name_bytes;
    }
    return true;
}

static bool read_reactor(struct trace *trace)
{
    struct weir_dump_reactor head;
    if (!take(trace, &head, sizeof head) ||
        head.record_count > (trace->byte_count - trace->at) / sizeof(struct weir_record))
        return false;
    size_t begin = trace->line_count;
    for (uint32_t i = 0; i < head.record_count; i++) {
        struct weir_record record;
        if (!take(trace, &record, sizeof record))
            return false;
        if (record.number != (uint32_t)(head.first_number + i) || record.kind == WEIR_RECORD_NONE)
            continue; /* was being overwritten */
        trace->lines[trace->line_count] = (struct line){
            .record = record, .reactor = head.index, .order = (uint64_t)i * TOLD_MAX};
        trace->line_count++;
    }
    /* A turn's record stands at its end: its time is that of the lines before it. */
    uint64_t turn_ns = 0;
    for (size_t i = trace->line_count; i-- > begin;) {
        if (trace->lines[i].record.kind == WEIR_RECORD_TURN)
            turn_ns = trace->lines[i].record.id;
        trace->lines[i].turn_ns = turn_ns ? turn_ns : UINT64_MAX;
    }
    return true;
}

static bool read_dump(struct trace *trace)
{
    struct weir_dump_head head;
    if (!take(trace, &head, sizeof head) || memcmp(head.magic, WEIR_DUMP_MAGIC, 8) != 0 ||
        head.record_bytes != sizeof(struct weir_record) || !read_topics(trace, head.topic_count))
        return false;
    trace->lines = calloc(trace->byte_count / sizeof(struct weir_record) + 1, sizeof *trace->lines);
    if (!trace->lines)
        return false;
    for (uint32_t i = 0; i < head.reactor_count; i++)
        if (!read_reactor(trace))
            return false;
    return true;
}

static bool makes_event(const struct line *line)
{
    uint16_t kind = line->record.kind;
    return kind == WEIR_RECORD_EMIT || kind == WEIR_RECORD_POST || kind == WEIR_RECORD_PUBLISH;
}

static uint32_t *place_of(struct trace *trace, uint64_t id)
{
    size_t at = weir_hash_u64(id, 0) & trace->by_id_mask;
    while (trace->by_id[at] && trace->lines[trace->by_id[at] - 1].record.id != id)
        at = (at + 1) & trace->by_id_mask;
    return &trace->by_id[at];
}

/* The table of events is for lines as they lie now: moving them undoes it. */
static bool index_events(struct trace *trace)
{
    size_t room = 16;
    while (room < trace->line_count * 2)
        room *= 2;
    free(trace->by_id);
    trace->by_id = calloc(room, sizeof *trace->by_id);
    if (!trace->by_id)
        return false;
    trace->by_id_mask = room - 1;
    for (uint32_t i = 0; i < trace->line_count; i++)
        if (makes_event(&trace->lines[i])) {
            uint32_t *place = place_of(trace, trace->lines[i].record.id);
            if (!*place)
                *place = i + 1;
        }
    return true;
}

/* The events that a line stands for beside its own, and that are there. With `lines`: a line for each. */
static size_t take_apart(struct trace *trace, struct line *line, struct line *lines)
{
    size_t known = 0;
    uint16_t more = line->record.kind == WEIR_RECORD_DISPATCH ? line->record.more : 0;
    for (uint16_t i = 1; i <= more && i < TOLD_MAX; i++) {
        if (!*place_of(trace, line->record.id + i))
            continue;
        if (lines) {
            lines[known] = *line;
            lines[known].record.id += i;
            lines[known].record.more = 0;
            lines[known].order += i;
        }
        known++;
    }
    if (lines)
        line->record.more = (uint16_t)(more - known);
    return known;
}

static bool take_all_apart(struct trace *trace)
{
    size_t more = 0, count = trace->line_count;
    if (!index_events(trace))
        return false;
    for (size_t i = 0; i < count; i++)
        more += take_apart(trace, &trace->lines[i], NULL);
    struct line *grown = realloc(trace->lines, (count + more + 1) * sizeof *grown);
    if (!grown || count + more >= UINT32_MAX)
        return false;
    trace->lines = grown;
    for (size_t i = 0; i < count; i++)
        trace->line_count += take_apart(trace, &trace->lines[i], &trace->lines[trace->line_count]);
    return true;
}

static int by_time(const void *left, const void *right)
{
    const struct line *a = left, *b = right;
    if (a->turn_ns != b->turn_ns)
        return a->turn_ns < b->turn_ns ? -1 : 1;
    if (a->reactor != b->reactor)
        return a->reactor < b->reactor ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static void add_child(struct trace *trace, uint32_t parent, uint32_t child)
{
    struct line *above = &trace->lines[parent - 1];
    if (above->last_child)
        trace->lines[above->last_child - 1].next_sibling = child;
    else
        above->first_child = child;
    above->last_child = child;
    trace->lines[child - 1].is_child = true;
}

/* A made event hangs under its cause; what happened to an event (dispatch, deliver) under the event itself. */
static bool link_lines(struct trace *trace)
{
    if (!index_events(trace))
        return false;
    for (uint32_t i = 0; i < trace->line_count; i++) {
        const struct line *line = &trace->lines[i];
        uint64_t above = makes_event(line) ? line->record.cause_id : line->record.id;
        if (above == 0 || line->record.kind == WEIR_RECORD_TURN)
            continue;
        uint32_t parent = *place_of(trace, above);
        if (parent && parent != i + 1 &&
            trace->lines[parent - 1].record.id != (makes_event(line) ? line->record.id : 0))
            add_child(trace, parent, i + 1);
    }
    return true;
}

static void print_what(const struct trace *trace, const struct weir_record *record)
{
    bool named = record->kind == WEIR_RECORD_EMIT || record->kind == WEIR_RECORD_POST ||
                 record->kind == WEIR_RECORD_DISPATCH || record->kind == WEIR_RECORD_STALL;
    const char *kind = weir_record_kind_name(record->kind);
    printf("%s", kind ? kind : "?");
    if (named && record->a < trace->topic_count && trace->topics[record->a])
        printf(" %s", trace->topics[record->a]);
    switch (record->kind) {
    case WEIR_RECORD_EMIT:
        printf(" handlers=%u", record->b);
        break;
    case WEIR_RECORD_POST:
        printf(" to=%d", (int)record->b);
        break;
    case WEIR_RECORD_STALL:
        printf(" us=%u", record->b);
        break;
    case WEIR_RECORD_STEAL:
        printf(" strands=%u", record->b);
        break;
    case WEIR_RECORD_WAKE:
        printf(" reactor=%u", record->a);
        break;
    case WEIR_RECORD_PAUSE:
        printf(" credit-of=%u", record->a);
        break;
    case WEIR_RECORD_DROP:
        printf(" reason=%u count=%u", record->a, record->b);
        break;
    case WEIR_RECORD_OPEN:
        printf(" connection=%u", record->a);
        break;
    case WEIR_RECORD_CLOSE:
        printf(" connection=%u error=%u", record->a, record->b);
        break;
    case WEIR_RECORD_PUBLISH:
    case WEIR_RECORD_DELIVER:
        printf(" topic#%08x receivers=%u", record->a, record->b);
        break;
    default:
        break;
    }
    if (record->id && record->kind != WEIR_RECORD_TURN)
        printf(" id=%llx", (unsigned long long)record->id);
    if (record->kind == WEIR_RECORD_DISPATCH && record->more)
        printf(" and-after-it=%u", record->more);
}

static void print_line(const struct trace *trace, const struct line *line, uint32_t depth)
{
    const char *dim = trace->colour ? "\033[2m" : "", *plain = trace->colour ? "\033[0m" : "";
    if (line->turn_ns == UINT64_MAX)
        printf("%s           -%s", dim, plain);
    else
        printf("%s%12.6f%s", dim, (double)(line->turn_ns - trace->first_ns) / 1e9, plain);
    printf(" r%-3u %*s%s", line->reactor, (int)(2 * depth), "", depth ? "└ " : "");
    print_what(trace, &line->record);
    putchar('\n');
}

/* Depth first without recursion: a chain of causes may be as long as the dump. */
static void print_tree(const struct trace *trace, uint32_t root, uint32_t *stack, uint32_t *depths)
{
    size_t top = 0;
    stack[top] = root;
    depths[top++] = 0;
    while (top > 0) {
        uint32_t at = stack[--top], depth = depths[top];
        const struct line *line = &trace->lines[at - 1];
        print_line(trace, line, depth);
        if (depth > 0 && line->next_sibling) {
            stack[top] = line->next_sibling;
            depths[top++] = depth;
        }
        if (line->first_child) {
            stack[top] = line->first_child;
            depths[top++] = depth + 1;
        }
    }
}

static bool print_all(struct trace *trace)
{
    uint32_t *stack = malloc((trace->line_count + 1) * 2 * sizeof *stack);
    uint32_t *depths = malloc((trace->line_count + 1) * 2 * sizeof *depths);
    if (stack && depths)
        for (uint32_t i = 0; i < trace->line_count; i++) {
            const struct line *line = &trace->lines[i];
            if (!line->is_child && line->record.kind != WEIR_RECORD_TURN)
                print_tree(trace, i + 1, stack, depths);
        }
    bool done = stack && depths;
    free(stack);
    free(depths);
    return done;
}

static uint8_t *read_file(const char *path, size_t *byte_count_out)
{
    FILE *file = fopen(path, "re");
    uint8_t *bytes = NULL;
    size_t room = 0, used = 0;
    while (file && !feof(file) && !ferror(file)) {
        if (used == room) {
            room = room ? room * 2 : 1 << 16;
            uint8_t *grown = realloc(bytes, room);
            if (!grown)
                break;
            bytes = grown;
        }
        used += fread(bytes + used, 1, room - used, file);
    }
    bool good = file && !ferror(file);
    if (file)
        fclose(file);
    if (!good) {
        free(bytes);
        return NULL;
    }
    *byte_count_out = used;
    return bytes;
}

static int print_file(const char *path)
{
    struct trace trace = {.colour = logger_may_colour(STDOUT_FILENO)};
    uint8_t *bytes = read_file(path, &trace.byte_count);
    if (!bytes) {
        fprintf(stderr, "weir trace: cannot read %s: %s\n", path, strerror(errno));
        return 1;
    }
    trace.bytes = bytes;
    bool good = read_dump(&trace) && take_all_apart(&trace);
    if (good) {
        qsort(trace.lines, trace.line_count, sizeof *trace.lines, by_time);
        trace.first_ns = trace.line_count > 0 && trace.lines[0].turn_ns != UINT64_MAX
                             ? trace.lines[0].turn_ns
                             : 0;
        good = link_lines(&trace) && print_all(&trace);
    }
    if (!good)
        fprintf(stderr, "weir trace: %s is not a whole dump of this version of weir\n", path);
    for (uint32_t i = 0; i < trace.topic_count; i++)
        free(trace.topics[i]);
    free(trace.topics);
    free(trace.by_id);
    free(trace.lines);
    free(bytes);
    return good ? 0 : 1;
}

int trace_main(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help, stdout);
        return 0;
    }
    if (argc != 2 || argv[1][0] == '-') {
        fputs(help, stderr);
        return 2;
    }
    return print_file(argv[1]);
}
