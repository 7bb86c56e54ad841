/*
 * wire/kafka/kafka_list_offsets.c - where partitions begin and end: ListOffsets, OffsetForLeaderEpoch, DeleteRecords.
 *
 * All three ask every partition's owner the same kind of question (broker/kept.h: seek), at once, and answer when the last one
 * has come back. What needs no owner - an unknown topic, a place that cannot be - is answered without one.
 *
 *     for each partition: ask_of -> weir_kept_seek ... on_found -> answer_of          the last one: respond
 *
 * Proof: tests/wire/kafka/kafka_session_test.c.
 */
#include <string.h>

#include "broker/kept.h"
#include "wire/kafka/kafka_body.h"
#include "wire/kafka/kafka_handlers.h"

enum { LEADER_EPOCH = 0, UNDEFINED_EPOCH = -1, READ_COMMITTED = 1 };

enum timestamp {
    LATEST = -1,
    EARLIEST = -2,
    MAX_TIMESTAMP = -3,
    EARLIEST_LOCAL = -4,
    LATEST_TIERED = -5
};

struct question { /* of one partition */
    struct weir_kept_seek seek;
    void *answer; /* its struct in the body */
    int64_t asked;
};

struct questions {
    uint32_t away;
    uint32_t used;
    bool whole; /* nothing was left out for want of memory */
    void *body;
    void (*answer)(struct question *question);
    struct question items[];
};

static void let_go(struct weir_kafka_request *request)
{
    struct questions *questions = request->state;
    if (--questions->away > 0)
        return;
    for (uint32_t i = 0; i < questions->used; i++)
        questions->answer(&questions->items[i]);
    weir_kafka_finish(request, questions->body, questions->whole);
}

static void on_found(struct weir_part *part, struct weir_kept_seek *seek)
{
    (void)part;
    let_go(seek->context);
}

/* NULL: the arena is used up, and the request is over. */
static struct questions *begin(struct weir_kafka_request *request, uint32_t count,
                               void (*answer)(struct question *question))
{
    struct questions *questions = weir_kafka_arena_take(
        &request->arena, sizeof *questions + count * sizeof(struct question));
    if (questions)
        questions->body = weir_kafka_body(request);
    if (!questions || !questions->body) {
        weir_kafka_fail(request, "no memory for a request");
        return NULL;
    }
    questions->away = 1; /* us */
    questions->answer = answer;
    request->state = questions;
    return questions;
}

static struct question *next_question(struct weir_kafka_request *request,
                                      const struct weir_kept_topic *topic, int32_t partition,
                                      void *answer)
{
    struct questions *questions = request->state;
    struct question *question = &questions->items[questions->used++];
    question->answer = answer;
    question->seek.topic = topic->id;
    question->seek.partition = (uint32_t)partition;
    question->seek.done = on_found;
    question->seek.context = request;
    return question;
}

static void ask_owner(struct weir_kafka_request *request, struct question *question)
{
    struct questions *questions = request->state;
    questions->away++;
    weir_kept_seek(request->local->part, &question->seek);
}

static bool has_partition(const struct weir_kept_topic *topic, int32_t partition)
{
    return partition >= 0 && (uint32_t)partition < topic->partition_count;
}

/* -1: a client that does not know or care. There is one epoch. */
static int16_t epoch_error(int32_t current_leader_epoch)
{
    if (current_leader_epoch < 0)
        return WEIR_KAFKA_NONE;
    return current_leader_epoch > LEADER_EPOCH ? WEIR_KAFKA_UNKNOWN_LEADER_EPOCH : WEIR_KAFKA_NONE;
}

/* ---- ListOffsets ---- */

/* false: a place that there is not. */
static bool place_of(int64_t timestamp, bool committed, struct weir_kept_seek *seek)
{
    seek->timestamp_ms = timestamp;
    switch (timestamp) {
    case LATEST:
        seek->place_of = committed ? WEIR_PLACE_STABLE : WEIR_PLACE_END;
        return true;
    case EARLIEST:
    case EARLIEST_LOCAL:
        seek->place_of = WEIR_PLACE_START;
        return true;
    case MAX_TIMESTAMP:
        seek->place_of = WEIR_PLACE_MAX_TIME;
        return true;
    default:
        seek->place_of = WEIR_PLACE_TIME;
        return timestamp >= 0;
    }
}

static void answer_offset(struct question *question)
{
    struct weir_kafka_list_offsets_response_partition *answer = question->answer;
    const struct weir_kept_seek *seek = &question->seek;
    answer->error_code = weir_kafka_error_of_kept(seek->result);
    if (seek->result != WEIR_KEPT_DONE || seek->offset == UINT64_MAX)
        return;
    answer->offset = (int64_t)seek->offset;
    answer->leader_epoch = LEADER_EPOCH;
    if (question->asked >= 0 || question->asked == MAX_TIMESTAMP)
        answer->timestamp = seek->found_ms;
}

static void ask_offset(struct weir_kafka_request *request, const struct weir_kept_topic *topic,
                       const struct weir_kafka_list_offsets_request_partition *asked,
                       struct weir_kafka_list_offsets_response_partition *answer)
{
    const struct weir_kafka_list_offsets_request *message = request->message;
    answer->error_code = has_partition(topic, asked->partition_index)
                             ? epoch_error(asked->current_leader_epoch)
                             : WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (answer->error_code != WEIR_KAFKA_NONE ||
        asked->timestamp == LATEST_TIERED) /* nothing is tiered: none */
        return;
    struct weir_kept_seek place;
    if (!place_of(asked->timestamp, message->isolation_level == READ_COMMITTED, &place)) {
        answer->error_code = WEIR_KAFKA_UNSUPPORTED_VERSION;
        return;
    }
    struct question *question = next_question(request, topic, asked->partition_index, answer);
    question->asked = asked->timestamp;
    question->seek.place_of = place.place_of;
    question->seek.timestamp_ms = place.timestamp_ms;
    ask_owner(request, question);
}

static bool ask_offsets(struct weir_kafka_request *request,
                        const struct weir_kafka_list_offsets_request_topic *asked,
                        struct weir_kafka_list_offsets_response_topic *to)
{
    const struct weir_kafka_list_offsets_request_partition *partitions = asked->partitions.items;
    struct weir_kafka_list_offsets_response_partition *answers = weir_kafka_items(
        &request->arena, &weir_kafka_list_offsets_response_partition_message,
        asked->partitions.count, &to->partitions);
    int16_t error;
    const struct weir_kept_topic *topic = weir_kafka_topic(request, asked->name, &error);
    to->name = asked->name;
    for (uint32_t i = 0; answers && i < asked->partitions.count; i++) {
        answers[i].partition_index = partitions[i].partition_index;
        if (topic)
            ask_offset(request, topic, &partitions[i], &answers[i]);
        else
            answers[i].error_code = error;
    }
    return answers != NULL;
}

void weir_kafka_list_offsets(struct weir_kafka_request *request)
{
    const struct weir_kafka_list_offsets_request *message = request->message;
    const struct weir_kafka_list_offsets_request_topic *topics = message->topics.items;
    uint32_t count = 0;
    for (uint32_t i = 0; i < message->topics.count; i++)
        count += topics[i].partitions.count;
    struct questions *questions = begin(request, count, answer_offset);
    if (!questions)
        return;
    struct weir_kafka_list_offsets_response *body = questions->body;
    struct weir_kafka_list_offsets_response_topic *answers = weir_kafka_items(
        &request->arena, &weir_kafka_list_offsets_response_topic_message, message->topics.count,
        &body->topics);
    questions->whole = answers != NULL;
    for (uint32_t i = 0; questions->whole && i < message->topics.count; i++)
        questions->whole = ask_offsets(request, &topics[i], &answers[i]);
    let_go(request);
}

/* ---- OffsetForLeaderEpoch: there is one epoch, which ends where the log does ---- */

static void answer_epoch(struct question *question)
{
    struct weir_kafka_offset_for_leader_epoch_response_partition *answer = question->answer;
    answer->error_code = weir_kafka_error_of_kept(question->seek.result);
    if (question->seek.result != WEIR_KEPT_DONE)
        return;
    answer->leader_epoch = LEADER_EPOCH;
    answer->end_offset = (int64_t)question->seek.offset;
}

static void ask_epoch(struct weir_kafka_request *request, const struct weir_kept_topic *topic,
                      const struct weir_kafka_offset_for_leader_epoch_request_partition *asked,
                      struct weir_kafka_offset_for_leader_epoch_response_partition *answer)
{
    answer->error_code = has_partition(topic, asked->partition)
                             ? epoch_error(asked->current_leader_epoch)
                             : WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (answer->error_code != WEIR_KAFKA_NONE || asked->leader_epoch != LEADER_EPOCH)
        return; /* of another epoch nothing is known: -1, -1 */
    struct question *question = next_question(request, topic, asked->partition, answer);
    question->seek.place_of = WEIR_PLACE_END;
    ask_owner(request, question);
}

static bool ask_epochs(struct weir_kafka_request *request,
                       const struct weir_kafka_offset_for_leader_epoch_request_topic *asked,
                       struct weir_kafka_offset_for_leader_epoch_response_topic *to)
{
    const struct weir_kafka_offset_for_leader_epoch_request_partition *partitions = asked->partitions
                                                                                        .items;
    struct weir_kafka_offset_for_leader_epoch_response_partition *answers = weir_kafka_items(
        &request->arena, &weir_kafka_offset_for_leader_epoch_response_partition_message,
        asked->partitions.count, &to->partitions);
    int16_t error;
    const struct weir_kept_topic *topic = weir_kafka_topic(request, asked->topic, &error);
    to->topic = asked->topic;
    for (uint32_t i = 0; answers && i < asked->partitions.count; i++) {
        answers[i].partition = partitions[i].partition;
        if (topic)
            ask_epoch(request, topic, &partitions[i], &answers[i]);
        else
            answers[i].error_code = error;
    }
    return answers != NULL;
}

void weir_kafka_offset_for_leader_epoch(struct weir_kafka_request *request)
{
    const struct weir_kafka_offset_for_leader_epoch_request *message = request->message;
    const struct weir_kafka_offset_for_leader_epoch_request_topic *topics = message->topics.items;
    uint32_t count = 0;
    for (uint32_t i = 0; i < message->topics.count; i++)
        count += topics[i].partitions.count;
    struct questions *questions = begin(request, count, answer_epoch);
    if (!questions)
        return;
    struct weir_kafka_offset_for_leader_epoch_response *body = questions->body;
    struct weir_kafka_offset_for_leader_epoch_response_topic *answers = weir_kafka_items(
        &request->arena, &weir_kafka_offset_for_leader_epoch_response_topic_message,
        message->topics.count, &body->topics);
    questions->whole = answers != NULL;
    for (uint32_t i = 0; questions->whole && i < message->topics.count; i++)
        questions->whole = ask_epochs(request, &topics[i], &answers[i]);
    let_go(request);
}

/* ---- DeleteRecords ---- */

static void answer_deleted(struct question *question)
{
    struct weir_kafka_delete_records_response_partition *answer = question->answer;
    answer->error_code = weir_kafka_error_of_kept(question->seek.result);
    answer->low_watermark = question->seek.result == WEIR_KEPT_DONE ? (int64_t)question->seek.offset
                                                                    : -1;
}

static void ask_deletion(struct weir_kafka_request *request, const struct weir_kept_topic *topic,
                         const struct weir_kafka_delete_records_request_partition *asked,
                         struct weir_kafka_delete_records_response_partition *answer)
{
    answer->low_watermark = -1;
    if (!has_partition(topic, asked->partition_index))
        answer->error_code = WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    else if (asked->offset < -1)
        answer->error_code = WEIR_KAFKA_OFFSET_OUT_OF_RANGE;
    if (answer->error_code != WEIR_KAFKA_NONE)
        return;
    struct question *question = next_question(request, topic, asked->partition_index, answer);
    question->seek.place_of = WEIR_PLACE_DELETE;
    question->seek.offset = asked->offset == -1 ? UINT64_MAX
                                                : (uint64_t)asked->offset; /* -1: all there is */
    ask_owner(request, question);
}

static bool ask_deletions(struct weir_kafka_request *request,
                          const struct weir_kafka_delete_records_request_topic *asked,
                          struct weir_kafka_delete_records_response_topic *to)
{
    const struct weir_kafka_delete_records_request_partition *partitions = asked->partitions.items;
    struct weir_kafka_delete_records_response_partition *answers = weir_kafka_items(
        &request->arena, &weir_kafka_delete_records_response_partition_message,
        asked->partitions.count, &to->partitions);
    int16_t error;
    const struct weir_kept_topic *topic = weir_kafka_topic(request, asked->name, &error);
    to->name = asked->name;
    for (uint32_t i = 0; answers && i < asked->partitions.count; i++) {
        answers[i].partition_index = partitions[i].partition_index;
        answers[i].low_watermark = -1;
        if (topic)
            ask_deletion(request, topic, &partitions[i], &answers[i]);
        else
            answers[i].error_code = error;
    }
    return answers != NULL;
}

void weir_kafka_delete_records(struct weir_kafka_request *request)
{
    const struct weir_kafka_delete_records_request *message = request->message;
    const struct weir_kafka_delete_records_request_topic *topics = message->topics.items;
    uint32_t count = 0;
    for (uint32_t i = 0; i < message->topics.count; i++)
        count += topics[i].partitions.count;
    struct questions *questions = begin(request, count, answer_deleted);
    if (!questions)
        return;
    struct weir_kafka_delete_records_response *body = questions->body;
    struct weir_kafka_delete_records_response_topic *answers = weir_kafka_items(
        &request->arena, &weir_kafka_delete_records_response_topic_message, message->topics.count,
        &body->topics);
    questions->whole = answers != NULL;
    for (uint32_t i = 0; questions->whole && i < message->topics.count; i++)
        questions->whole = ask_deletions(request, &topics[i], &answers[i]);
    let_go(request);
}
