/*
 * broker/window.c - a live subscriber's window: what it does not take yet, and what the policy makes of it.
 *
 * The clock is the part's slow_timer, armed only while somebody has more than WEIR_WINDOW_WATCHED_BYTES waiting. Less than that
 * can stall as well, and keep a page of encodings for each byte of it: whoever was sent anything is looked at once more, a second
 * later, and again while it has not left; LAGGING_MAX of them a second, so a node with many takes longer to come round to each.
 * A flood may come faster than a healthy subscriber's socket takes it. Under `close` publishers then wait, but only while that
 * connection is seen to move: the first MOVING_NS without a byte leaving end the wait, or WAIT_NS_MAX of it, and for PATIENCE_NS
 * there is no other. So a subscriber that keeps reading is not cut off by a burst, one that stalled has cost its publishers a
 * tenth of a second, once, and one that reads a byte now and then a second. What was waited in vain is made good by nine times
 * as long without a wait for anybody of this part: however many stall, it is a tenth of the publishers' time.
 *
 * Proof: tests/broker/window_test.c.
 */
#include "broker/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "broker/part.h"
#include "runtime/probe.h"

#define PATIENCE_NS (10 * WEIR_S_NS)
#define WAIT_NS_MAX WEIR_S_NS /* for a sixteenth of hard_bytes to leave: who is slower only drips */

enum {
    CHECK_NS = 100 * 1000 * 1000,
    LAG_CHECK_NS = 1000 * 1000 * 1000,
    LAGGING_MAX = 4096, /* looked at in one turn */
    MOVING_NS = 100 * 1000 * 1000, /* longer than a busy machine keeps a reader off its CPU */
    ITEMS_FIRST = 16,
    AGAIN_AFTER = 9, /* times what was waited in vain */
    RELIEF_TURNS = 4, /* until a connection that was aborted has given its memory back */
    DROP_REASON_OLDEST = 1,
    DROP_REASON_NEWEST = 2,
};

static uint64_t ahead_bytes(const struct weir_policy *policy)
{
    uint64_t half = policy->hard_bytes / 2;
    return half < WEIR_WINDOW_AHEAD_BYTES ? half : WEIR_WINDOW_AHEAD_BYTES;
}

uint64_t weir_subscriber_waiting_bytes(const struct weir_subscriber *subscriber)
{
    return subscriber->window.byte_count + weir_tcp_unsent_bytes(subscriber->conn);
}

static struct weir_window_item *item_at(const struct weir_window *window, uint32_t place)
{
    return &window->items[(window->first + place) & (window->room - 1)];
}

void weir_subscriber_evict(struct weir_subscriber *subscriber, const char *why)
{
    if (subscriber->evicted)
        return;
    subscriber->evicted = true;
    WEIR_PROBE2(drop, subscriber->part->reactor->index, weir_subscriber_waiting_bytes(subscriber));
    if (subscriber->on_evicted)
        subscriber->on_evicted(subscriber, why);
    weir_tcp_abort(subscriber->conn);
}

static void watch_now_and_then(struct weir_subscriber *subscriber)
{
    struct weir_part *part = subscriber->part;
    if (!weir_list_empty(&subscriber->slow))
        return;
    subscriber->lagging = true;
    weir_list_push_back(&part->lagging, &subscriber->slow);
    if (!weir_wheel_armed(&part->lag_timer))
        weir_wheel_arm(&part->reactor->wheel, &part->lag_timer, part->reactor->now_ns + LAG_CHECK_NS);
}

static void watch(struct weir_subscriber *subscriber)
{
    struct weir_part *part = subscriber->part;
    if (!weir_list_empty(&subscriber->slow) && !subscriber->lagging)
        return;
    weir_list_remove(&subscriber->slow);
    subscriber->lagging = false;
    weir_list_push_back(&part->slow, &subscriber->slow);
    if (!weir_wheel_armed(&part->slow_timer))
        weir_wheel_arm(&part->reactor->wheel, &part->slow_timer, part->reactor->now_ns + CHECK_NS);
}

static int grow(struct weir_window *window)
{
    uint32_t room = window->room ? window->room * 2 : ITEMS_FIRST;
    struct weir_window_item *items = malloc(room * sizeof *items);
    if (!items)
        return -ENOMEM;
    for (uint32_t i = 0; i < window->count; i++)
        items[i] = *item_at(window, i);
    free(window->items);
    window->items = items;
    window->first = 0;
    window->room = room;
    return 0;
}

/* Takes a reference of `buffer`. */
static int push(struct weir_subscriber *subscriber, struct weir_buffer *buffer, const uint8_t *bytes, uint32_t byte_count,
                bool droppable)
{
    struct weir_window *window = &subscriber->window;
    if (window->count == window->room && grow(window) < 0)
        return -ENOMEM;
    weir_buffer_hold(subscriber->part->reactor, buffer);
    *item_at(window, window->count++) =
        (struct weir_window_item){.bytes = bytes, .byte_count = byte_count, .droppable = droppable, .buffer = buffer};
    window->byte_count += byte_count;
    subscriber->part->counters.windowed_bytes += byte_count;
    watch(subscriber);
    return 0;
}

static void let_item_go(struct weir_subscriber *subscriber, struct weir_window_item *item)
{
    subscriber->window.byte_count -= item->byte_count;
    subscriber->part->counters.windowed_bytes -= item->byte_count;
    weir_buffer_drop(subscriber->part->reactor, item->buffer);
}

static void count_drop(struct weir_subscriber *subscriber, uint32_t byte_count, uint32_t reason)
{
    struct weir_part *part = subscriber->part;
    subscriber->window.dropped_count++;
    subscriber->window.dropped_bytes += byte_count;
    part->reactor->counters.events_dropped++;
    if (reason == DROP_REASON_OLDEST)
        part->counters.dropped_oldest++;
    else
        part->counters.dropped_newest++;
    weir_record(&part->reactor->recorder, WEIR_RECORD_DROP, 0, 0, reason, 1);
    WEIR_PROBE2(drop, part->reactor->index, byte_count);
}

static void take_first(struct weir_window *window)
{
    window->first = (window->first + 1) & (window->room - 1);
    window->count--;
}

/* The first of the window is the connection's now, or nobody's when that is closing. */
static int move_on(struct weir_subscriber *subscriber)
{
    struct weir_window_item *item = item_at(&subscriber->window, 0);
    int result = weir_tcp_share(subscriber->conn, item->buffer, item->bytes, item->byte_count);
    if (result < 0 && result != -EPIPE)
        return result;
    let_item_go(subscriber, item);
    take_first(&subscriber->window);
    return 0;
}

/*
 * The oldest event that may be dropped goes. What stands before it, replies and events of topics with another policy, never is, so
 * it need not wait here. false: there is none.
 */
static bool drop_oldest(struct weir_subscriber *subscriber)
{
    struct weir_window *window = &subscriber->window;
    while (window->count > 0 && !item_at(window, 0)->droppable)
        if (move_on(subscriber) < 0)
            return false;
    if (window->count == 0)
        return false;
    count_drop(subscriber, item_at(window, 0)->byte_count, DROP_REASON_OLDEST);
    let_item_go(subscriber, item_at(window, 0));
    take_first(window);
    return true;
}

static void check_soft(struct weir_subscriber *subscriber, const struct weir_policy *policy)
{
    struct weir_window *window = &subscriber->window;
    uint64_t now_ns = subscriber->part->reactor->now_ns;
    if (policy->soft_bytes == 0 || weir_subscriber_waiting_bytes(subscriber) <= policy->soft_bytes) {
        window->over_soft_since_ns = 0; /* a burst that was taken in time is forgotten */
        return;
    }
    if (window->over_soft_since_ns == 0)
        window->over_soft_since_ns = now_ns;
    if (policy->action != WEIR_POLICY_CLOSE || now_ns - window->over_soft_since_ns < policy->soft_ns)
        return;
    subscriber->part->counters.evicted_soft++;
    weir_subscriber_evict(subscriber, "over the soft limit for too long");
}

static void start_pausing(struct weir_subscriber *subscriber)
{
    if (subscriber->pausing_since_ns)
        return;
    subscriber->pausing_since_ns = subscriber->part->reactor->now_ns;
    subscriber->part->counters.pauses++;
    weir_windows_pausing(subscriber, true);
}

static void stop_pausing(struct weir_subscriber *subscriber)
{
    if (!subscriber->pausing_since_ns)
        return;
    subscriber->pausing_since_ns = 0;
    weir_windows_pausing(subscriber, false);
}

/* Where a wait begins (and at half of it, ends). */
static uint64_t pause_bytes(const struct weir_policy *policy)
{
    return policy->action == WEIR_POLICY_CLOSE ? policy->hard_bytes / 8 : policy->hard_bytes;
}

static void be_patient(struct weir_subscriber *subscriber, const struct weir_policy *policy)
{
    if (policy->action == WEIR_POLICY_CLOSE && weir_subscriber_waiting_bytes(subscriber) > pause_bytes(policy) &&
        subscriber->part->reactor->now_ns >= subscriber->patience_from_ns &&
        subscriber->part->reactor->now_ns >= subscriber->part->patience_from_ns &&
        weir_tcp_stuck_ns(subscriber->conn) < MOVING_NS)
        start_pausing(subscriber);
}

static void lose_patience(struct weir_subscriber *subscriber)
{
    uint64_t now_ns = subscriber->part->reactor->now_ns;
    if (subscriber->policy->action != WEIR_POLICY_CLOSE)
        return;
    if (weir_tcp_stuck_ns(subscriber->conn) < MOVING_NS && now_ns - subscriber->pausing_since_ns < WAIT_NS_MAX)
        return;
    subscriber->patience_from_ns = now_ns + PATIENCE_NS;
    subscriber->part->patience_from_ns = now_ns + AGAIN_AFTER * (now_ns - subscriber->pausing_since_ns);
    stop_pausing(subscriber);
}

/* May `byte_count` more wait? Makes room or an end, as the policy says. */
static bool make_room(struct weir_subscriber *subscriber, uint32_t byte_count, const struct weir_policy *policy)
{
    while (weir_subscriber_waiting_bytes(subscriber) + byte_count > policy->hard_bytes) {
        switch (policy->action) {
        case WEIR_POLICY_PAUSE:
            start_pausing(subscriber);
            return true; /* what was under way when the pause was told; bounded by the rings */
        case WEIR_POLICY_CLOSE:
            subscriber->part->counters.evicted_hard++;
            weir_subscriber_evict(subscriber, "over the hard limit");
            return false;
        case WEIR_POLICY_DROP_OLDEST:
            if (drop_oldest(subscriber))
                continue;
            break;
        case WEIR_POLICY_DROP_NEWEST:
            break;
        }
        count_drop(subscriber, byte_count, DROP_REASON_NEWEST);
        return false;
    }
    return true;
}

static void out_of_memory(struct weir_subscriber *subscriber)
{
    subscriber->part->counters.evicted_memory++;
    weir_subscriber_evict(subscriber, "no memory");
}

static void let_wait(struct weir_subscriber *subscriber, struct weir_buffer *buffer, const uint8_t *bytes,
                     uint32_t byte_count, const struct weir_policy *policy)
{
    if (!make_room(subscriber, byte_count, policy))
        return;
    if (push(subscriber, buffer, bytes, byte_count, policy->action == WEIR_POLICY_DROP_OLDEST) < 0) {
        out_of_memory(subscriber);
        return;
    }
    check_soft(subscriber, policy);
    be_patient(subscriber, policy);
}

void weir_subscriber_deliver(struct weir_subscriber *subscriber, struct weir_buffer *buffer, const uint8_t *bytes,
                             uint32_t byte_count, const struct weir_policy *policy)
{
    struct weir_tcp *conn = subscriber->conn;
    if (subscriber->evicted || conn->state != WEIR_TCP_OPEN) /* closing: nothing is owed */
        return;
    if (!subscriber->pausing_since_ns) /* a wait is judged by the policy it began under */
        subscriber->policy = policy;
    subscriber->delivered_count++;
    uint64_t unsent = weir_tcp_unsent_bytes(conn);
    if (subscriber->window.count > 0 || (unsent > 0 && unsent + byte_count > ahead_bytes(policy))) {
        let_wait(subscriber, buffer, bytes, byte_count, policy);
        return;
    }
    int result = weir_tcp_share(conn, buffer, bytes, byte_count);
    if (result < 0)
        out_of_memory(subscriber);
    if (unsent + byte_count > WEIR_WINDOW_WATCHED_BYTES)
        watch(subscriber);
    else
        watch_now_and_then(subscriber);
}

int weir_subscriber_reply(struct weir_subscriber *subscriber, const void *bytes, size_t byte_count)
{
    if (subscriber->window.count == 0)
        return weir_tcp_write(subscriber->conn, bytes, byte_count);
    struct weir_reactor *reactor = subscriber->part->reactor;
    struct weir_buffer *buffer = weir_buffer_take(reactor, byte_count);
    if (!buffer)
        return -ENOMEM;
    memcpy(buffer->bytes, bytes, byte_count);
    int result = push(subscriber, buffer, buffer->bytes, (uint32_t)byte_count, false);
    weir_buffer_drop(reactor, buffer);
    return result;
}

static void forget_window(struct weir_window *window)
{
    free(window->items);
    window->items = NULL;
    window->first = window->count = window->room = 0;
}

void weir_subscriber_pump(struct weir_subscriber *subscriber)
{
    struct weir_window *window = &subscriber->window;
    uint64_t ahead = ahead_bytes(subscriber->policy);
    while (window->count > 0 && !subscriber->evicted) {
        struct weir_window_item *item = item_at(window, 0);
        uint64_t unsent = weir_tcp_unsent_bytes(subscriber->conn);
        if (unsent > 0 && unsent + item->byte_count > ahead)
            break;
        if (move_on(subscriber) < 0) {
            out_of_memory(subscriber);
            return;
        }
    }
    if (window->count == 0)
        forget_window(window);
    if (weir_subscriber_waiting_bytes(subscriber) < pause_bytes(subscriber->policy) / 2)
        stop_pausing(subscriber);
}

/* Nothing has left for as long as its policy allows? Then it goes. */
static bool evict_stuck(struct weir_subscriber *subscriber)
{
    const struct weir_policy *policy = subscriber->policy;
    if (policy->stuck_ns == 0 || weir_tcp_stuck_ns(subscriber->conn) <= policy->stuck_ns)
        return false;
    subscriber->part->counters.evicted_stuck++;
    weir_subscriber_evict(subscriber, "no progress");
    return true;
}

static void check(struct weir_subscriber *subscriber)
{
    struct weir_part *part = subscriber->part;
    const struct weir_policy *policy = subscriber->policy;
    uint64_t now_ns = part->reactor->now_ns;
    if (evict_stuck(subscriber))
        return;
    if (subscriber->conn->state != WEIR_TCP_OPEN)
        stop_pausing(subscriber); /* what waits in the window will not be sent */
    if (subscriber->pausing_since_ns)
        lose_patience(subscriber);
    if (subscriber->pausing_since_ns && policy->action == WEIR_POLICY_PAUSE && now_ns - subscriber->pausing_since_ns > policy->pause_deadline_ns) {
        part->counters.evicted_hard++;
        weir_subscriber_evict(subscriber, "publishers waited for it too long");
        return;
    }
    check_soft(subscriber, policy);
    if (subscriber->pausing_since_ns == 0 && subscriber->window.count == 0 &&
        weir_subscriber_waiting_bytes(subscriber) <= WEIR_WINDOW_WATCHED_BYTES) {
        weir_list_remove(&subscriber->slow);
        watch_now_and_then(subscriber);
    }
}

static void on_check(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    struct weir_part *part = WEIR_CONTAINER(timer, struct weir_part, slow_timer);
    WEIR_LIST_EACH_SAFE(node, &part->slow)
    {
        struct weir_subscriber *subscriber = WEIR_CONTAINER(node, struct weir_subscriber, slow);
        if (subscriber->evicted)
            weir_list_remove(&subscriber->slow);
        else
            check(subscriber);
    }
    if (!weir_list_empty(&part->slow))
        weir_wheel_arm(&part->reactor->wheel, timer, part->reactor->now_ns + CHECK_NS);
}

/* Those that have been looked at stand at the end, where the next look comes to them last. */
static void on_lag_check(struct weir_wheel_timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    struct weir_part *part = WEIR_CONTAINER(timer, struct weir_part, lag_timer);
    const struct weir_list *last = part->lagging.prev;
    bool more = !weir_list_empty(&part->lagging);
    for (uint32_t looked = 0; more && looked < LAGGING_MAX; looked++) {
        struct weir_list *node = part->lagging.next;
        struct weir_subscriber *subscriber = WEIR_CONTAINER(node, struct weir_subscriber, slow);
        more = node != last;
        weir_list_remove(node);
        if (!subscriber->evicted && weir_tcp_unsent_bytes(subscriber->conn) > 0 && !evict_stuck(subscriber))
            weir_list_push_back(&part->lagging, node);
    }
    if (!weir_list_empty(&part->lagging))
        weir_wheel_arm(&part->reactor->wheel, timer, part->reactor->now_ns + LAG_CHECK_NS);
}

/* The one of a list from which nothing has left for longest, if that is longer than `least_ns`. */
static struct weir_subscriber *find_slowest_of(struct weir_list *list, uint64_t least_ns)
{
    struct weir_subscriber *slowest = NULL;
    uint32_t looked = 0;
    WEIR_LIST_EACH(node, list)
    {
        struct weir_subscriber *subscriber = WEIR_CONTAINER(node, struct weir_subscriber, slow);
        uint64_t stuck_ns = weir_tcp_stuck_ns(subscriber->conn);
        if (looked++ == LAGGING_MAX)
            break;
        if (subscriber->evicted || stuck_ns < least_ns || (slowest && stuck_ns == least_ns))
            continue;
        slowest = subscriber;
        least_ns = stuck_ns;
    }
    return slowest;
}

/* Whose bytes have stood still for longest: one for whom much waits; one with little if it stands longer, or for a while. NULL: nobody. */
static struct weir_subscriber *find_slowest(struct weir_part *part, uint64_t moving_ns)
{
    struct weir_subscriber *slow = find_slowest_of(&part->slow, 0);
    struct weir_subscriber *lagging = find_slowest_of(&part->lagging, slow ? weir_tcp_stuck_ns(slow->conn) + 1 : moving_ns);
    return lagging ? lagging : slow;
}

/* A page of encodings stays while anybody has a byte of it to send, so few events may keep much. */
void weir_windows_relieve(struct weir_part *part)
{
    const struct weir_buffers *buffers = &part->reactor->buffers;
    uint64_t turn = part->reactor->counters.turns;
    uint64_t held = weir_buffers_held_bytes(buffers);
    if (held < buffers->bytes_max / 8 * 7 || turn < part->relief_turn)
        return;
    /* At the very end it is one that stands, however shortly, before those that read. */
    struct weir_subscriber *slowest = find_slowest(part, held < buffers->bytes_max / 16 * 15 ? MOVING_NS : WEIR_MS_NS);
    if (!slowest)
        return;
    part->relief_turn = turn + RELIEF_TURNS;
    out_of_memory(slowest);
}

void weir_windows_init(struct weir_part *part)
{
    weir_list_init(&part->slow);
    weir_wheel_timer_init(&part->slow_timer, on_check);
    weir_list_init(&part->lagging);
    weir_wheel_timer_init(&part->lag_timer, on_lag_check);
}

void weir_windows_pausing(struct weir_subscriber *subscriber, bool pausing)
{
    struct weir_part *part = subscriber->part;
    uint32_t self = part->reactor->index;
    for (uint32_t kind = 0; kind < WEIR_NAME_KINDS; kind++)
        WEIR_LIST_EACH(node, &subscriber->held[kind])
        {
            struct weir_name *name = WEIR_CONTAINER(node, struct weir_membership, node)->name;
            if (!weir_name_may_pause(name))
                continue;
            name->pausing_count += pausing ? 1 : (uint32_t)-1;
            weir_names_set_count(&part->names, name, self, name->member_count, name->pausing_count > 0);
            weir_replica_changed(part, name);
        }
    if (!pausing)
        weir_publish_wake_paused(part);
}

void weir_subscriber_open(struct weir_part *part, struct weir_subscriber *subscriber, struct weir_tcp *conn,
                          const struct weir_format *format)
{
    *subscriber = (struct weir_subscriber){.part = part, .conn = conn, .format = format};
    subscriber->policy = &part->broker->default_policy;
    for (uint32_t kind = 0; kind < WEIR_NAME_KINDS; kind++)
        weir_list_init(&subscriber->held[kind]);
    weir_list_init(&subscriber->node);
    weir_list_init(&subscriber->installing);
    weir_list_init(&subscriber->slow);
}

void weir_subscriber_close(struct weir_subscriber *subscriber)
{
    struct weir_window *window = &subscriber->window;
    stop_pausing(subscriber);
    weir_broker_unsubscribe_all(subscriber);
    for (uint32_t i = 0; i < window->count; i++)
        let_item_go(subscriber, item_at(window, i));
    forget_window(window);
    weir_list_remove(&subscriber->slow);
    weir_list_remove(&subscriber->installing);
    weir_list_remove(&subscriber->node);
}
