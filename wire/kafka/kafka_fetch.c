/*
 * wire/kafka/kafka_fetch.c - Fetch: what there is at once, or what comes within the time.
 *
 *     ask all without waiting --enough, an error, or no time--> answer
 *          \--too little--> ask all again, each to wait for anything new --one has it--> call the others back --> look again
 *
 * Batches are sent from where they lie: the response lists slices, and each slice's reference goes to the connection.
 * No fetch sessions: a session id of 0 is answered, and clients send full fetches then (KIP-227).
 * Proof: tests/clients/kafka_*.
 */
#include "runtime/reactor.h"
#include "wire/kafka/kafka_handlers.h"
#include "wire/kafka/kafka_messages.h"

enum { PARTITIONS_MAX = 20000, COMMITTED = 1, ANSWER_BYTES_MAX = 55 << 20, SHARE_BYTES_MIN = 64 << 10 };
static const uint64_t ms_ns = 1000000;

struct item { /* one partition */
    struct weir_kept_fetch fetch;
    struct fetch *of;
    int16_t error; /* known without asking */
    bool asked;
    bool back;
};

struct fetch {
    struct weir_kafka_request *request;
    uint64_t deadline_ns;
    uint32_t left; /* questions away, and one while they are being asked */
    uint32_t count;
    bool waiting; /* the second kind of question */
    bool hurried; /* the others have been called back */
    bool gone;
    struct item items[];
};

static void release(struct weir_kafka_request *request)
{
    struct fetch *fetch = request->state;
    for (uint32_t i = 0; i < fetch->count; i++)
        if (fetch->items[i].asked)
            weir_kept_fetch_release(request->local->part, &fetch->items[i].fetch);
}

/* ---- The answer ---------------------------------------------------------------------------------------- */

static void put_records(struct weir_kafka_request *request, struct item *item, struct weir_kafka_fetch_response_partition *answered)
{
    struct weir_read *read = &item->fetch.read;
    const void **pieces = weir_kafka_arena_take(&request->arena, (read->slice_count ? read->slice_count : 1) * sizeof *pieces);
    if (!pieces || read->byte_count == 0)
        return;
    for (uint32_t i = 0; i < read->slice_count; i++)
        pieces[i] = &read->slices[i];
    answered->records = (struct weir_kafka_records){.byte_count = (uint32_t)read->byte_count, .pieces = pieces,
                                                    .piece_count = read->slice_count};
    request->local->counters.fetched_bytes += read->byte_count;
}

static void put_aborted(struct weir_kafka_request *request, const struct item *item,
                        struct weir_kafka_fetch_response_partition *answered)
{
    struct weir_kafka_fetch_response_aborted *aborted =
        weir_kafka_items(&request->arena, &weir_kafka_fetch_response_aborted_message, item->fetch.aborted_count,
                         &answered->aborted_transactions);
    for (uint32_t i = 0; i < item->fetch.aborted_count && aborted; i++) {
        aborted[i].producer_id = item->fetch.aborted[i].producer_id;
        aborted[i].first_offset = (int64_t)item->fetch.aborted[i].first_offset;
    }
}

static void put_partition(struct weir_kafka_request *request, struct item *item, struct weir_kafka_fetch_response_partition *answered,
                          bool with_records)
{
    const struct weir_kafka_fetch_request *message = request->message;
    answered->error_code = item->error;
    answered->high_watermark = answered->last_stable_offset = answered->log_start_offset = -1;
    answered->records = (struct weir_kafka_records){.bytes = (const uint8_t *)""}; /* empty, not null: librdkafka */
    if (message->isolation_level != COMMITTED)
        answered->aborted_transactions = (struct weir_kafka_array){0};
    if (item->error != WEIR_KAFKA_NONE)
        return;
    answered->high_watermark = (int64_t)item->fetch.view.high_watermark;
    answered->last_stable_offset = (int64_t)item->fetch.stable_offset;
    answered->log_start_offset = (int64_t)item->fetch.view.start_offset;
    if (!with_records)
        return;
    put_records(request, item, answered);
    if (message->isolation_level == COMMITTED)
        put_aborted(request, item, answered);
}

static void respond(struct fetch *fetch)
{
    struct weir_kafka_request *request = fetch->request;
    const struct weir_kafka_fetch_request *message = request->message;
    const struct weir_kafka_fetch_request_topic *topics = message->topics.items;
    struct item *item = fetch->items;
    uint64_t room = message->max_bytes > 0 ? (uint64_t)message->max_bytes : 0, used = 0;
    struct weir_kafka_fetch_response response;
    weir_kafka_defaults(&weir_kafka_fetch_response_message, &response);
    struct weir_kafka_fetch_response_topic *answered =
        weir_kafka_items(&request->arena, &weir_kafka_fetch_response_topic_message, message->topics.count, &response.responses);
    for (uint32_t i = 0; i < message->topics.count && answered; i++) {
        const struct weir_kafka_fetch_request_partition *partitions = topics[i].partitions.items;
        uint32_t count = topics[i].partitions.count;
        struct weir_kafka_fetch_response_partition *results =
            weir_kafka_items(&request->arena, &weir_kafka_fetch_response_partition_message, count, &answered[i].partitions);
        answered[i].topic = topics[i].topic;
        for (uint32_t j = 0; j < count && results; j++, item++) {
            results[j].partition_index = partitions[j].partition;
            put_partition(request, item, &results[j], used == 0 || used + item->fetch.read.byte_count <= room);
            used += results[j].records.byte_count;
        }
    }
    weir_kafka_respond(request, &response);
}

/* ---- Asking --------------------------------------------------------------------------------------------- */

static void look(struct fetch *fetch);

static void one_less(struct fetch *fetch)
{
    if (--fetch->left == 0)
        look(fetch);
}

static void call_back(struct fetch *fetch)
{
    if (fetch->hurried)
        return;
    fetch->hurried = true;
    fetch->left++; /* the end must not come within */
    for (uint32_t i = 0; i < fetch->count; i++)
        if (fetch->items[i].asked && !fetch->items[i].back)
            weir_kept_fetch_cancel(fetch->request->local->part, &fetch->items[i].fetch);
    one_less(fetch);
}

/* Java's consumers know few errors in a fetch: what passes by itself must be one that they try again. */
static int16_t error_of(enum weir_kept_result result)
{
    return result == WEIR_KEPT_LOADING ? WEIR_KAFKA_NOT_LEADER
           : result == WEIR_KEPT_BUSY  ? WEIR_KAFKA_STORAGE_ERROR
                                       : weir_kafka_error_of_kept(result);
}

static void on_fetched(struct weir_part *part, struct weir_kept_fetch *asked)
{
    (void)part;
    struct item *item = asked->context;
    struct fetch *fetch = item->of;
    item->back = true;
    item->error = error_of(asked->result);
    if (fetch->waiting)
        call_back(fetch); /* this one has something, or the time is up */
    one_less(fetch);
}

static uint64_t left_ns(const struct fetch *fetch)
{
    uint64_t now_ns = fetch->request->local->reactor->now_ns;
    return fetch->deadline_ns > now_ns && !fetch->gone ? fetch->deadline_ns - now_ns : 0;
}

static void ask_all(struct fetch *fetch, bool waiting)
{
    struct weir_part *part = fetch->request->local->part;
    fetch->waiting = waiting;
    fetch->hurried = false;
    fetch->left++;
    for (uint32_t i = 0; i < fetch->count; i++) {
        struct item *item = &fetch->items[i];
        if (item->error != WEIR_KAFKA_NONE)
            continue;
        size_t had = item->asked ? item->fetch.read.byte_count : 0;
        if (item->asked)
            weir_kept_fetch_release(part, &item->fetch);
        item->asked = true;
        item->back = false;
        item->fetch.wait_ns = waiting && !fetch->hurried ? left_ns(fetch) : 0; /* one here may have had it already */
        item->fetch.bytes_min = had + 1; /* anything new */
        fetch->left++;
        weir_kept_fetch(part, &item->fetch);
    }
    one_less(fetch);
}

static void look(struct fetch *fetch)
{
    const struct weir_kafka_fetch_request *message = fetch->request->message;
    uint64_t have = 0;
    bool error = fetch->count == 0;
    for (uint32_t i = 0; i < fetch->count; i++) {
        error |= fetch->items[i].error != WEIR_KAFKA_NONE;
        have += fetch->items[i].asked ? fetch->items[i].fetch.read.byte_count : 0;
    }
    bool enough = error || (int64_t)have >= message->min_bytes || (message->max_bytes > 0 && have >= (uint64_t)message->max_bytes);
    if (enough || left_ns(fetch) == 0)
        respond(fetch);
    else
        ask_all(fetch, true);
}

static void on_gone(struct weir_kafka_request *request)
{
    struct fetch *fetch = request->state;
    fetch->gone = true;
    call_back(fetch);
}

/* All partitions together may have max_bytes: what is read and then does not fit was read in vain. */
static size_t share_bytes(const struct fetch *fetch, int32_t partition_max_bytes)
{
    const struct weir_kafka_fetch_request *message = fetch->request->message;
    int64_t share = (message->max_bytes < ANSWER_BYTES_MAX ? message->max_bytes : ANSWER_BYTES_MAX) / (int64_t)fetch->count;
    if (share < SHARE_BYTES_MIN && fetch->count > 1)
        share = SHARE_BYTES_MIN;
    if (share > partition_max_bytes)
        share = partition_max_bytes;
    return share > 0 ? (size_t)share : 0;
}

static void begin_item(struct fetch *fetch, struct item *item, const struct weir_kafka_fetch_request_partition *partition,
                       const struct weir_kept_topic *topic)
{
    const struct weir_kafka_fetch_request *message = fetch->request->message;
    enum weir_kept_result state = weir_kept_state(fetch->request->local->part);
    item->of = fetch;
    if (state != WEIR_KEPT_DONE)
        item->error = error_of(state);
    else if (!topic || partition->partition < 0 || (uint32_t)partition->partition >= topic->partition_count)
        item->error = WEIR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    else if (partition->current_leader_epoch > 0)
        item->error = WEIR_KAFKA_UNKNOWN_LEADER_EPOCH;
    else if (partition->fetch_offset < 0)
        item->error = WEIR_KAFKA_OFFSET_OUT_OF_RANGE;
    if (item->error != WEIR_KAFKA_NONE)
        return;
    item->fetch.topic = topic->id;
    item->fetch.partition = (uint32_t)partition->partition;
    item->fetch.offset = (uint64_t)partition->fetch_offset;
    item->fetch.bytes_max = share_bytes(fetch, partition->partition_max_bytes);
    item->fetch.committed = message->isolation_level == COMMITTED;
    item->fetch.done = on_fetched;
    item->fetch.context = item;
}

/* Everything in flight is read before anything of it is sent: so much may lie here for this one. */
static void expect_answer(const struct fetch *fetch)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < fetch->count; i++)
        bytes += fetch->items[i].fetch.bytes_max;
    weir_kafka_expect(fetch->request, bytes);
}

static void respond_error(struct weir_kafka_request *request, int16_t error)
{
    struct weir_kafka_fetch_response response;
    weir_kafka_defaults(&weir_kafka_fetch_response_message, &response);
    response.error_code = error;
    weir_kafka_respond(request, &response);
}

void weir_kafka_fetch(struct weir_kafka_request *request)
{
    const struct weir_kafka_fetch_request *message = request->message;
    const struct weir_kafka_fetch_request_topic *topics = message->topics.items;
    uint32_t count = 0, next = 0;
    if (message->session_id != 0) {
        respond_error(request, WEIR_KAFKA_FETCH_SESSION_ID_NOT_FOUND);
        return;
    }
    for (uint32_t i = 0; i < message->topics.count; i++)
        count += topics[i].partitions.count;
    struct fetch *fetch = NULL;
    if (count <= PARTITIONS_MAX)
        fetch = weir_kafka_arena_take(&request->arena, sizeof *fetch + count * sizeof(struct item));
    if (!fetch) {
        weir_kafka_fail(request, "more partitions than a request may name");
        return;
    }
    fetch->request = request;
    fetch->count = count;
    fetch->deadline_ns = request->local->reactor->now_ns + (message->max_wait_ms > 0 ? (uint64_t)message->max_wait_ms * ms_ns : 0);
    for (uint32_t i = 0; i < message->topics.count; i++) {
        const struct weir_kafka_fetch_request_partition *partitions = topics[i].partitions.items;
        const struct weir_kept_topic *topic =
            weir_catalog_find(request->local->part, topics[i].topic.bytes, topics[i].topic.byte_count);
        for (uint32_t j = 0; j < topics[i].partitions.count; j++)
            begin_item(fetch, &fetch->items[next++], &partitions[j], topic);
    }
    request->state = fetch;
    request->release = release;
    request->gone = on_gone;
    expect_answer(fetch);
    ask_all(fetch, false);
}
