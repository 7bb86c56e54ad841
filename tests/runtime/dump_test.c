/* tests/runtime/dump_test.c - the flight recorder's file: its layout as runtime/dump.h says, and causes that lead back. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/runtime/topic_fixture.h"

#include <weir/trace.h>

#include "runtime/dump.h"
#include "runtime/recorder.h"

enum { RECORDS = 1024, ROOM = 4 * RECORDS, TOPICS_MAX = 64 };

struct file {
    uint8_t *bytes;
    size_t byte_count, at;
    struct weir_dump_head head;
    char topics[TOPICS_MAX][64];
};

static void take(struct file *file, void *out, size_t bytes)
{
    assert_true(file->byte_count - file->at >= bytes);
    memcpy(out, file->bytes + file->at, bytes);
    file->at += bytes;
}

static void dump_to(struct file *file, struct weir_runtime *runtime)
{
    int fd = memfd_create("dump", MFD_CLOEXEC);
    struct stat found;
    assert_true(fd >= 0);
    assert_int_equal(weir_trace_dump(runtime, fd), 0);
    assert_int_equal(fstat(fd, &found), 0);
    *file = (struct file){.byte_count = (size_t)found.st_size};
    file->bytes = malloc(file->byte_count);
    assert_int_equal(pread(fd, file->bytes, file->byte_count, 0), file->byte_count);
    close(fd);
    take(file, &file->head, sizeof file->head);
    assert_memory_equal(file->head.magic, WEIR_DUMP_MAGIC, 8);
    assert_int_equal(file->head.record_bytes, sizeof(struct weir_record));
    for (uint32_t i = 0; i < file->head.topic_count; i++) {
        struct weir_dump_topic topic;
        char name[64] = "";
        take(file, &topic, sizeof topic);
        assert_true(topic.name_bytes < sizeof name && topic.slot < TOPICS_MAX);
        take(file, name, topic.name_bytes);
        memcpy(file->topics[topic.slot], name, sizeof name);
    }
}

static struct weir_dump_reactor take_reactor(struct file *file, struct weir_record *records)
{
    struct weir_dump_reactor head;
    take(file, &head, sizeof head);
    assert_true(head.record_count <= ROOM);
    take(file, records, head.record_count * sizeof *records);
    return head;
}

static void emit_on(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)event;
    assert_true(weir_emit_name(on, context, "x", 1) >= 0);
}

static void do_nothing(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)on;
    (void)event;
    (void)context;
}

static const struct weir_record *find(const struct weir_record *records, uint32_t count, enum weir_record_kind kind,
                                      const char (*topics)[64], const char *topic)
{
    for (uint32_t i = 0; i < count; i++)
        if (records[i].kind == (uint16_t)kind && records[i].a < TOPICS_MAX && strcmp(topics[records[i].a], topic) == 0)
            return &records[i];
    return NULL;
}

static void an_event_leads_back_to_its_cause(void **state)
{
    (void)state;
    static struct fixture fixture;
    static struct file file;
    static struct weir_record records[ROOM];
    struct weir_runtime_options options = plain_options(2);
    options.recorder_events = RECORDS;
    open_with(&fixture, options);
    assert_int_equal(weir_on(reactor_at(&fixture, 1), "order", emit_on, "bill"), 0);
    assert_int_equal(weir_on(reactor_at(&fixture, 1), "bill", do_nothing, NULL), 0);
    settle(&fixture);
    assert_int_equal(weir_post(fixture.reactor, topic_of(&fixture, "order"), 1, "x", 1), 0);
    settle(&fixture);
    dump_to(&file, fixture.runtime);
    assert_int_equal(file.head.reactor_count, 2);
    struct weir_dump_reactor first = take_reactor(&file, records);
    assert_int_equal(first.index, 0);
    const struct weir_record *posted = find(records, first.record_count, WEIR_RECORD_POST, file.topics, "order");
    assert_non_null(posted);
    assert_int_equal(posted->b, 1);
    uint64_t order_id = posted->id;
    struct weir_dump_reactor second = take_reactor(&file, records);
    assert_int_equal(second.index, 1);
    assert_int_equal(file.at, file.byte_count);
    const struct weir_record *told = find(records, second.record_count, WEIR_RECORD_DISPATCH, file.topics, "order");
    assert_non_null(told);
    assert_int_equal(told->id, order_id);
    const struct weir_record *emitted = find(records, second.record_count, WEIR_RECORD_EMIT, file.topics, "bill");
    assert_non_null(emitted);
    assert_int_equal(emitted->cause_id, order_id);
    free(file.bytes);
    close_fixture(&fixture);
}

static void the_last_records_are_kept(void **state)
{
    (void)state;
    static struct fixture fixture;
    static struct file file;
    static struct weir_record records[ROOM];
    struct weir_runtime_options options = plain_options(1);
    options.recorder_events = RECORDS;
    open_with(&fixture, options);
    assert_int_equal(weir_on(fixture.reactor, "many", do_nothing, NULL), 0);
    struct weir_topic many = topic_of(&fixture, "many");
    settle(&fixture);
    for (int i = 0; i < 20 * RECORDS; i++)
        assert_int_equal(weir_emit(fixture.reactor, many, "x", 1), 1);
    assert_int_equal(weir_on(fixture.reactor, "last", do_nothing, NULL), 0);
    assert_int_equal(weir_emit(fixture.reactor, topic_of(&fixture, "last"), "x", 1), 1);
    dump_to(&file, fixture.runtime);
    struct weir_dump_reactor head = take_reactor(&file, records);
    assert_true(head.record_count > RECORDS / 2);
    assert_true(head.first_number > 0);
    const struct weir_record *last = find(records, head.record_count, WEIR_RECORD_EMIT, file.topics, "last");
    assert_non_null(last);
    assert_true(last > &records[head.record_count - 8]);
    free(file.bytes);
    close_fixture(&fixture);
}

static void an_error_of_write_is_told(void **state)
{
    (void)state;
    static struct fixture fixture;
    open_fixture(&fixture, 1);
    assert_int_equal(weir_trace_dump(fixture.runtime, -1), -EBADF);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (full >= 0)
        assert_int_equal(weir_trace_dump(fixture.runtime, full), -ENOSPC);
    close(full);
    close_fixture(&fixture);
}

static void every_kind_has_a_name(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < WEIR_RECORD_KINDS; kind++) {
        assert_non_null(weir_record_kind_name(kind));
        for (uint32_t other = 0; other < kind; other++)
            assert_string_not_equal(weir_record_kind_name(kind), weir_record_kind_name(other));
    }
    assert_null(weir_record_kind_name(WEIR_RECORD_KINDS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_leads_back_to_its_cause),
        cmocka_unit_test(the_last_records_are_kept),
        cmocka_unit_test(an_error_of_write_is_told),
        cmocka_unit_test(every_kind_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
