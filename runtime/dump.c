/*
 * runtime/dump.c - the recorders into a file, while their reactors go on. Only write(2): fit for a signal handler.
 */
#include "runtime/dump.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <weir/trace.h>

#include "runtime/runtime.h"
#include "runtime/topics.h"

enum { RECORDS_AT_ONCE = 64 }; /* on the stack: a signal handler may have little */

const char *weir_record_kind_name(uint32_t kind)
{
    static const char *const names[WEIR_RECORD_KINDS] = {
        "none",  "turn", "emit", "post",  "dispatch", "mail", "steal",   "lent",    "park",
        "wake",  "pause", "drop", "open", "close",    "stall", "publish", "deliver",
    };
    return kind < WEIR_RECORD_KINDS ? names[kind] : NULL;
}

static int put(int fd, const void *bytes, size_t byte_count)
{
    const char *at = bytes;
    while (byte_count > 0) {
        ssize_t written = write(fd, at, byte_count);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        at += written;
        byte_count -= (size_t)written;
    }
    return 0;
}

static int put_topics(int fd, const struct weir_registry *registry, uint32_t count)
{
    int result = 0;
    for (uint32_t slot = 0; result == 0 && slot < count; slot++) {
        const char *name = weir_registry_name(registry, slot);
        struct weir_dump_topic topic = {slot, name ? (uint32_t)strlen(name) : 0};
        result = put(fd, &topic, sizeof topic);
        if (result == 0 && topic.name_bytes > 0)
            result = put(fd, name, topic.name_bytes);
    }
    return result;
}

/* What is read while `kept` cells on or more were written may be two cells' halves. */
static void read_cells(const struct weir_recorder *recorder, uint64_t first, struct weir_record *records, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        records[i] = weir_recorder_read(recorder, first + i);
    atomic_thread_fence(memory_order_acquire);
    uint64_t next = weir_load(&recorder->next, relaxed); /* after the cells: the fence */
    for (uint64_t i = 0; i < count; i++)
        if (next + 2 - (first + i) > recorder->mask + 1)
            records[i].kind = WEIR_RECORD_NONE;
}

static int put_reactor(int fd, struct weir_reactor *reactor)
{
    const struct weir_recorder *recorder = &reactor->recorder;
    struct weir_record records[RECORDS_AT_ONCE];
    uint64_t next = weir_load(&recorder->next, acquire); /* pairs with (N) */
    uint64_t count = next - recorder->first < recorder->mask ? next - recorder->first : recorder->mask - 1;
    struct weir_dump_reactor head = {reactor->index, (uint32_t)count, next - count};
    int result = put(fd, &head, sizeof head);
    for (uint64_t number = next - count; result == 0 && number != next;) {
        uint64_t some = next - number < RECORDS_AT_ONCE ? next - number : RECORDS_AT_ONCE;
        read_cells(recorder, number, records, some);
        result = put(fd, records, some * sizeof *records);
        number += some;
    }
    return result;
}

int weir_trace_dump(struct weir_runtime *runtime, int fd)
{
    struct weir_dump_head head = {
        .magic = {'w', 'e', 'i', 'r', 't', 'r', 'c', '1'},
        .reactor_count = runtime->reactor_count,
        .topic_count = weir_registry_count(runtime->registry),
        .record_bytes = sizeof(struct weir_record),
    };
    int result = put(fd, &head, sizeof head);
    if (result == 0)
        result = put_topics(fd, runtime->registry, head.topic_count);
    for (uint32_t i = 0; result == 0 && i < runtime->reactor_count; i++)
        result = put_reactor(fd, runtime->reactors[i]);
    return result;
}
