/*
 * tests/ring/mesh_test.c - credits, lanes, rotation and wake-ups of the mesh; then many threads, all to all.
 *
 * The cases on one thread play several reactors in turn, in both ways of finding work (looking at every
 * tail, and pending bits). The last ones park on an eventfd when idle: a lost wake-up hangs them.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "ring/mesh.h"

enum { SCAN_ALWAYS = WEIR_MESH_REACTORS_MAX, SCAN_NEVER = 0 };

/* ---- Reactors played in turn by one thread ------------------------------------------------------- */

struct seen {
    uint32_t count;
    uint32_t from[256];
    uint64_t value[256];
    uint32_t refuse_from; /* refuses this sender's slots; WEIR_MESH_REACTORS_MAX: none */
    uint64_t refuse_value; /* refuses the slot with it; 0: none */
};

static bool on_slot(void *context, uint32_t from, void *slot)
{
    struct seen *seen = context;
    if (from == seen->refuse_from)
        return false;
    if (seen->refuse_value != 0 && memcmp(&seen->refuse_value, slot, sizeof(uint64_t)) == 0)
        return false;
    assert_true(seen->count < 256);
    seen->from[seen->count] = from;
    memcpy(&seen->value[seen->count++], slot, sizeof(uint64_t));
    return true;
}

static void on_buffer(void *context, uint32_t from, void *buffer)
{
    struct seen *seen = context;
    seen->from[seen->count] = from;
    seen->value[seen->count++] = (uint64_t)(uintptr_t)buffer;
}

struct woken {
    uint32_t count;
    uint32_t last;
};

static void on_wake(void *context, uint32_t reactor)
{
    struct woken *woken = context;
    woken->count++;
    woken->last = reactor;
}

static struct weir_mesh *open_mesh(void **state, uint32_t reactor_count, uint32_t slot_count)
{
    struct weir_mesh *mesh = NULL;
    uint32_t scan_max = *(const uint32_t *)*state;
    assert_int_equal(weir_mesh_open_shaped(reactor_count, slot_count, scan_max, &mesh), 0);
    return mesh;
}

static bool send_value(struct weir_mesh *mesh, uint32_t from, uint32_t to, uint64_t value)
{
    void *slot = weir_mesh_reserve(mesh, from, to, WEIR_LANE_REQUEST);
    if (slot != NULL)
        memcpy(slot, &value, sizeof value);
    return slot != NULL;
}

static uint32_t flush(struct weir_mesh *mesh, uint32_t from)
{
    struct woken woken = {0};
    weir_mesh_flush(mesh, from, on_wake, &woken);
    return woken.count;
}

static void a_count_out_of_range_is_refused(void **state)
{
    (void)state;
    struct weir_mesh *mesh;
    assert_int_equal(weir_mesh_open(0, &mesh), -EINVAL);
    assert_int_equal(weir_mesh_open(WEIR_MESH_REACTORS_MAX + 1, &mesh), -EINVAL);
    assert_int_equal(weir_mesh_open_shaped(2, 48, 0, &mesh), -EINVAL);
    weir_mesh_close(NULL);
}

static void slots_are_shared_out_by_reactor_count(void **state)
{
    (void)state;
    static const uint32_t cases[][2] = {{1, 1024}, {2, 1024}, {4, 1024}, {5, 512},
                                        {16, 256}, {17, 128}, {64, 64},  {128, 64}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weir_mesh *mesh;
        assert_int_equal(weir_mesh_open(cases[i][0], &mesh), 0);
        assert_int_equal(weir_mesh_reactor_count(mesh), cases[i][0]);
        assert_int_equal(weir_mesh_slots(mesh), cases[i][1]);
        weir_mesh_close(mesh);
    }
}

static void a_slot_is_seen_after_the_flush_and_in_order(void **state)
{
    struct weir_mesh *mesh = open_mesh(state, 3, 64);
    struct seen seen = {.refuse_from = WEIR_MESH_REACTORS_MAX};
    for (uint64_t i = 0; i < 5; i++)
        assert_true(send_value(mesh, 0, 2, i));
    assert_int_equal(weir_mesh_drain(mesh, 2, 100, on_slot, &seen), 0);
    assert_int_equal(weir_mesh_depth(mesh, 0, 2), 0);
    assert_int_equal(flush(mesh, 0), 0);
    assert_int_equal(weir_mesh_depth(mesh, 0, 2), 5);
    assert_int_equal(weir_mesh_drain(mesh, 1, 100, on_slot, &seen), 0);
    assert_int_equal(weir_mesh_drain(mesh, 2, 100, on_slot, &seen), 5);
    for (uint64_t i = 0; i < 5; i++) {
        assert_int_equal(seen.from[i], 0);
        assert_int_equal(seen.value[i], i);
    }
    weir_mesh_close(mesh);
}

static void requests_leave_the_reserve_to_replies(void **state)
{
    struct weir_mesh *mesh = open_mesh(state, 2, 64);
    uint32_t requests = 0, replies = 0;
    assert_int_equal(weir_mesh_credit(mesh, 0, 1, WEIR_LANE_REQUEST), 64 - WEIR_MESH_REPLY_SLOTS);
    while (send_value(mesh, 0, 1, requests))
        requests++;
    assert_int_equal(requests, 64 - WEIR_MESH_REPLY_SLOTS);
    assert_int_equal(weir_mesh_credit(mesh, 0, 1, WEIR_LANE_REQUEST), 0);
    while (weir_mesh_reserve(mesh, 0, 1, WEIR_LANE_REPLY) != NULL)
        replies++;
    assert_int_equal(replies, WEIR_MESH_REPLY_SLOTS);
    weir_mesh_close(mesh);
}

static void posts_that_are_refused_hold_up_posts_only(void **state)
{
    struct weir_mesh *mesh = open_mesh(state, 2, 64);
    struct seen seen = {.refuse_from = WEIR_MESH_REACTORS_MAX, .refuse_value = 7};
    for (uint64_t i = 7; i < 10; i++)
        *(uint64_t *)weir_mesh_reserve(mesh, 0, 1, WEIR_LANE_POST) = i;
    assert_true(send_value(mesh, 0, 1, 100));
    flush(mesh, 0);
    assert_int_equal(weir_mesh_drain(mesh, 1, 100, on_slot, &seen), 1);
    assert_int_equal(seen.value[0], 100);
    flush(mesh, 1);
    assert_true(weir_mesh_prepare_sleep(mesh, 1)); /* whoever refused knows what it waits for */
    weir_mesh_awake(mesh, 1);
    seen.refuse_value = 0;
    assert_int_equal(weir_mesh_drain(mesh, 1, 100, on_slot, &seen), 3);
    for (uint64_t i = 1; i < 4; i++)
        assert_int_equal(seen.value[i], 6 + i);
    weir_mesh_close(mesh);
}

static void a_ring_full_of_posts_leaves_all_requests_their_room(void **state)
{
    struct weir_mesh *mesh = open_mesh(state, 2, 64);
    while (weir_mesh_reserve(mesh, 0, 1, WEIR_LANE_POST) != NULL)
        ;
    assert_int_equal(weir_mesh_credit(mesh, 0, 1, WEIR_LANE_POST), 0);
    assert_int_equal(weir_mesh_credit(mesh, 0, 1, WEIR_LANE_REQUEST), 64 - WEIR_MESH_REPLY_SLOTS);
    flush(mesh, 0);
    weir_mesh_close(mesh);
}

static void credit_comes_back_with_the_flush_of_who_drained(void **state)
{
    struct weir_mesh *mesh = open_mesh(state, 2, 64);
    struct seen seen = {.refuse_from = WEIR_MESH_REACTORS_MAX};
    while (send_value(mesh, 0, 1, 1))
        ;
    flush(mesh, 0);
    assert_int_equal(weir_mesh_drain(mesh, 1, 3, on_slot, &seen), 3);
    assert_int_equal(weir_mesh_credit(mesh, 0, 1, WEIR_LANE_REQUEST), 0);
    flush(mesh, 1);
    assert_int_equal(weir_mesh_credit(mesh, 0, 1, WEIR_LANE_REQUEST), 3);
    weir_mesh_close(mesh);
}

static void a_refused_slot_stays_and_others_go_on(void **state)
{
    struct weir_mesh *mesh = open_mesh(state, 3, 64);
    struct seen seen = {.refuse_from = 0};
    assert_true(send_value(mesh, 0, 2, 10));
    assert_true(send_value(mesh, 1, 2, 11));
    flush(mesh, 0);
    flush(mesh, 1);
    assert_int_equal(weir_mesh_drain(mesh, 2, 100, on_slot, &seen), 1);
    assert_int_equal(seen.value[0], 11);
    flush(mesh, 2);
    /* Who refused knows what it waits for: the slot does not keep it awake. */
    assert_true(weir_mesh_prepare_sleep(mesh, 2));
    weir_mesh_awake(mesh, 2);
    seen.refuse_from = WEIR_MESH_REACTORS_MAX;
    assert_int_equal(weir_mesh_drain(mesh, 2, 100, on_slot, &seen), 1);
    assert_int_equal(seen.value[1], 10);
    weir_mesh_close(mesh);
}

static void every_sender_has_its_turn_within_a_small_budget(void **state)
{
    struct weir_mesh *mesh = open_mesh(state, 4, 64);
    struct seen seen = {.refuse_from = WEIR_MESH_REACTORS_MAX};
    for (uint32_t from = 0; from < 3; from++) {
        for (uint64_t i = 0; i < 20; i++)
            assert_true(send_value(mesh, from, 3, i));
        flush(mesh, from);
    }
    bool served[3] = {false};
    for (int turn = 0; turn < 3; turn++)
        assert_int_equal(weir_mesh_drain(mesh, 3, 5, on_slot, &seen), 5);
    for (uint32_t i = 0; i < seen.count; i++)
        served[seen.from[i]] = true;
    assert_true(served[0] && served[1] && served[2]);
    while (weir_mesh_drain(mesh, 3, 5, on_slot, &seen) > 0)
        ;
    assert_int_equal(seen.count, 60);
    weir_mesh_close(mesh);
}

static void what_comes_behind_a_leftover_is_found(void **state)
{
    struct weir_mesh *mesh = open_mesh(state, 2, 64);
    struct seen seen = {.refuse_from = WEIR_MESH_REACTORS_MAX};
    assert_true(send_value(mesh, 0, 1, 1));
    assert_true(send_value(mesh, 0, 1, 2));
    flush(mesh, 0);
    assert_int_equal(weir_mesh_drain(mesh, 1, 1, on_slot, &seen), 1);
    assert_true(send_value(mesh, 0, 1, 3));
    flush(mesh, 0);
    assert_int_equal(weir_mesh_drain(mesh, 1, 1, on_slot, &seen), 1);
    assert_int_equal(weir_mesh_drain(mesh, 1, 1, on_slot, &seen), 1);
    assert_int_equal(weir_mesh_drain(mesh, 1, 1, on_slot, &seen), 0);
    weir_mesh_close(mesh);
}

static void a_buffer_behind_one_seen_before_sleep_is_found(void **state)
{
    struct weir_mesh *mesh = open_mesh(state, 2, 64);
    struct seen seen = {0};
    assert_true(weir_mesh_return(mesh, 0, 1, &seen));
    flush(mesh, 0);
    assert_false(weir_mesh_prepare_sleep(mesh, 1));
    assert_true(weir_mesh_return(mesh, 0, 1, &seen));
    flush(mesh, 0);
    uint32_t taken = weir_mesh_collect(mesh, 1, on_buffer, &seen);
    taken += weir_mesh_collect(mesh, 1, on_buffer, &seen);
    assert_int_equal(taken, 2);
    weir_mesh_close(mesh);
}

static void what_the_budget_left_keeps_the_receiver_awake(void **state)
{
    struct weir_mesh *mesh = open_mesh(state, 2, 64);
    struct seen seen = {.refuse_from = WEIR_MESH_REACTORS_MAX};
    assert_true(send_value(mesh, 0, 1, 1));
    assert_true(send_value(mesh, 0, 1, 2));
    flush(mesh, 0);
    assert_int_equal(weir_mesh_drain(mesh, 1, 1, on_slot, &seen), 1);
    flush(mesh, 1);
    assert_false(weir_mesh_prepare_sleep(mesh, 1));
    assert_false(weir_mesh_any_asleep(mesh));
    assert_int_equal(weir_mesh_drain(mesh, 1, 1, on_slot, &seen), 1);
    flush(mesh, 1);
    assert_true(weir_mesh_prepare_sleep(mesh, 1));
    assert_true(weir_mesh_any_asleep(mesh));
    weir_mesh_awake(mesh, 1);
    assert_false(weir_mesh_any_asleep(mesh));
    weir_mesh_close(mesh);
}

static void a_sleeper_is_woken_once_and_only_for_what_concerns_it(void **state)
{
    struct weir_mesh *mesh = open_mesh(state, 3, 64);
    struct woken woken = {0};
    assert_true(weir_mesh_prepare_sleep(mesh, 1));
    assert_true(weir_mesh_prepare_sleep(mesh, 2));
    weir_mesh_flush(mesh, 0, on_wake, &woken);
    assert_int_equal(woken.count, 0);
    assert_true(send_value(mesh, 0, 2, 1));
    assert_true(send_value(mesh, 0, 2, 2));
    assert_true(weir_mesh_return(mesh, 0, 2, &woken));
    weir_mesh_flush(mesh, 0, on_wake, &woken);
    assert_int_equal(woken.count, 1);
    assert_int_equal(woken.last, 2);
    assert_true(send_value(mesh, 0, 2, 3));
    weir_mesh_flush(mesh, 0, on_wake, &woken);
    assert_int_equal(woken.count, 1);
    weir_mesh_awake(mesh, 2);
    assert_true(weir_mesh_any_asleep(mesh)); /* 1 */
    assert_true(weir_mesh_wake_needed(mesh, 1));
    assert_false(weir_mesh_wake_needed(mesh, 1));
    assert_false(weir_mesh_any_asleep(mesh));
    weir_mesh_close(mesh);
}

static void what_came_before_keeps_the_receiver_awake(void **state)
{
    struct weir_mesh *mesh = open_mesh(state, 2, 64);
    struct seen seen = {.refuse_from = WEIR_MESH_REACTORS_MAX};
    assert_true(send_value(mesh, 0, 1, 1));
    flush(mesh, 0);
    assert_false(weir_mesh_prepare_sleep(mesh, 1));
    assert_int_equal(weir_mesh_drain(mesh, 1, 9, on_slot, &seen), 1);
    assert_true(weir_mesh_return(mesh, 0, 1, &seen));
    flush(mesh, 0);
    flush(mesh, 1);
    assert_false(weir_mesh_prepare_sleep(mesh, 1));
    assert_int_equal(weir_mesh_collect(mesh, 1, on_buffer, &seen), 1);
    assert_true(seen.value[1] == (uint64_t)(uintptr_t)&seen);
    flush(mesh, 1);
    assert_true(weir_mesh_prepare_sleep(mesh, 1));
    weir_mesh_close(mesh);
}

static void a_starved_sender_is_woken_by_the_first_credit(void **state)
{
    struct weir_mesh *mesh = open_mesh(state, 2, 64);
    struct seen seen = {.refuse_from = WEIR_MESH_REACTORS_MAX};
    while (send_value(mesh, 0, 1, 1))
        ;
    weir_mesh_want_credit(mesh, 0, 1, WEIR_LANE_REQUEST);
    flush(mesh, 0);
    assert_true(weir_mesh_prepare_sleep(mesh, 0));
    assert_int_equal(weir_mesh_drain(mesh, 1, 1, on_slot, &seen), 1);
    assert_int_equal(flush(mesh, 1), 1);
    weir_mesh_awake(mesh, 0);
    assert_true(send_value(mesh, 0, 1, 2));
    flush(mesh, 0);
    weir_mesh_close(mesh);
}

static void credit_that_nobody_wants_wakes_nobody(void **state)
{
    struct weir_mesh *mesh = open_mesh(state, 2, 64);
    struct seen seen = {.refuse_from = WEIR_MESH_REACTORS_MAX};
    while (send_value(mesh, 0, 1, 1))
        ;
    flush(mesh, 0);
    assert_true(weir_mesh_prepare_sleep(mesh, 0));
    assert_int_equal(weir_mesh_drain(mesh, 1, 9, on_slot, &seen), 9);
    assert_int_equal(flush(mesh, 1), 0);
    weir_mesh_close(mesh);
}

static void a_want_is_told_once(void **state)
{
    struct weir_mesh *mesh = open_mesh(state, 2, 64);
    struct seen seen = {.refuse_from = WEIR_MESH_REACTORS_MAX};
    while (send_value(mesh, 0, 1, 1))
        ;
    flush(mesh, 0);
    assert_int_equal(weir_mesh_drain(mesh, 1, 9, on_slot, &seen), 9);
    flush(mesh, 1);
    weir_mesh_want_credit(mesh, 0, 1, WEIR_LANE_REQUEST); /* came before it was wanted, after the look that failed */
    assert_false(weir_mesh_prepare_sleep(mesh, 0));
    assert_true(weir_mesh_prepare_sleep(mesh, 0));
    weir_mesh_close(mesh);
}

static void a_return_without_room_is_refused_and_told_later(void **state)
{
    struct weir_mesh *mesh = open_mesh(state, 2, 64);
    struct seen seen = {0};
    uint32_t sent = 0;
    while (weir_mesh_return(mesh, 1, 0, &seen))
        sent++;
    assert_int_equal(sent, 64 * WEIR_MESH_HOME_PER_SLOT);
    flush(mesh, 1);
    assert_true(weir_mesh_prepare_sleep(mesh, 1));
    assert_int_equal(weir_mesh_collect(mesh, 0, on_buffer, &seen), sent);
    assert_int_equal(flush(mesh, 0), 1);
    weir_mesh_awake(mesh, 1);
    assert_true(weir_mesh_return(mesh, 1, 0, &seen));
    weir_mesh_close(mesh);
}

/* ---- Threads ------------------------------------------------------------------------------------- */

enum { PER_PAIR = 150, BUFFER_EACH = 4, KEPT_MAX = 64 * PER_PAIR };

struct crowd {
    struct weir_mesh *mesh;
    uint32_t thread_count;
    int wake_fd[64];
};

struct message {
    uint64_t sequence;
    uint32_t *buffer; /* sender's, to be sent home; or NULL */
};

struct member {
    struct crowd *crowd;
    uint32_t me;
    uint32_t sent[64];     /* to each */
    uint32_t received[64]; /* from each */
    uint32_t received_all;
    uint32_t buffers_out;
    uint32_t *kept[KEPT_MAX]; /* buffers that found no way home yet */
    uint32_t kept_owner[KEPT_MAX];
    uint32_t kept_count;
    uint32_t bad;
    uint32_t parked;
};

static void wake_member(void *context, uint32_t reactor)
{
    struct crowd *crowd = context;
    uint64_t one = 1;
    if (write(crowd->wake_fd[reactor], &one, sizeof one) != sizeof one)
        abort();
}

static void send_home(struct member *member, uint32_t owner, uint32_t *buffer)
{
    if (weir_mesh_return(member->crowd->mesh, member->me, owner, buffer))
        return;
    member->kept[member->kept_count] = buffer;
    member->kept_owner[member->kept_count++] = owner;
}

static bool on_message(void *context, uint32_t from, void *slot)
{
    struct member *member = context;
    struct message message;
    memcpy(&message, slot, sizeof message);
    if (message.sequence != member->received[from])
        member->bad++;
    member->received[from]++;
    member->received_all++;
    if (message.buffer != NULL) {
        if (*message.buffer != from)
            member->bad++;
        send_home(member, from, message.buffer);
    }
    return true;
}

static void on_home(void *context, uint32_t from, void *buffer)
{
    struct member *member = context;
    (void)from;
    if (*(uint32_t *)buffer != member->me)
        member->bad++;
    free(buffer);
    member->buffers_out--;
}

static void retry_kept(struct member *member)
{
    uint32_t count = member->kept_count;
    member->kept_count = 0;
    for (uint32_t i = 0; i < count; i++)
        send_home(member, member->kept_owner[i], member->kept[i]);
}

/* Send what there is credit for. True: all sent. */
static bool send_some(struct member *member)
{
    struct crowd *crowd = member->crowd;
    bool all = true;
    for (uint32_t to = 0; to < crowd->thread_count; to++) {
        while (to != member->me && member->sent[to] < PER_PAIR) {
            struct message *slot = weir_mesh_reserve(crowd->mesh, member->me, to, WEIR_LANE_REQUEST);
            if (slot == NULL) {
                weir_mesh_want_credit(crowd->mesh, member->me, to, WEIR_LANE_REQUEST);
                all = false;
                break;
            }
            struct message message = {.sequence = member->sent[to]++};
            if (message.sequence % BUFFER_EACH == 0) {
                message.buffer = malloc(sizeof *message.buffer);
                *message.buffer = member->me;
                member->buffers_out++;
            }
            *slot = message;
        }
    }
    return all;
}

static void *run_member(void *argument)
{
    struct member *member = argument;
    struct crowd *crowd = member->crowd;
    for (;;) {
        uint32_t taken = weir_mesh_drain(crowd->mesh, member->me, 32, on_message, member);
        taken += weir_mesh_collect(crowd->mesh, member->me, on_home, member);
        retry_kept(member);
        bool all = send_some(member);
        weir_mesh_flush(crowd->mesh, member->me, wake_member, crowd);
        if (all && member->kept_count == 0 && member->buffers_out == 0 &&
            member->received_all == (crowd->thread_count - 1) * PER_PAIR)
            return NULL;
        if (taken > 0)
            continue;
        if (weir_mesh_prepare_sleep(crowd->mesh, member->me)) {
            uint64_t signalled;
            if (read(crowd->wake_fd[member->me], &signalled, sizeof signalled) != sizeof signalled)
                abort();
            member->parked++;
        }
        weir_mesh_awake(crowd->mesh, member->me);
    }
}

static void run_crowd(void **state, uint32_t thread_count)
{
    static struct crowd crowd;
    pthread_t threads[64];
    struct member *members = calloc(thread_count, sizeof *members);
    /* Sixteen credits beside the reserve, so that senders starve. */
    crowd = (struct crowd){.mesh = open_mesh(state, thread_count, 32), .thread_count = thread_count};
    for (uint32_t i = 0; i < thread_count; i++)
        crowd.wake_fd[i] = eventfd(0, EFD_CLOEXEC);
    for (uint32_t i = 0; i < thread_count; i++) {
        members[i].crowd = &crowd;
        members[i].me = i;
        assert_int_equal(pthread_create(&threads[i], NULL, run_member, &members[i]), 0);
    }
    uint32_t parked = 0;
    for (uint32_t i = 0; i < thread_count; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(members[i].bad, 0);
        for (uint32_t from = 0; from < thread_count; from++)
            assert_int_equal(members[i].received[from], from == i ? 0 : PER_PAIR);
        parked += members[i].parked;
    }
    for (uint32_t i = 0; i < thread_count; i++)
        close(crowd.wake_fd[i]); /* not before: a late flush may still wake one that has ended */
    assert_true(parked > 0);
    free(members);
    weir_mesh_close(crowd.mesh);
}

static void sixty_four_threads_lose_nothing_and_keep_order(void **state)
{
    run_crowd(state, 64);
}

static void two_threads_lose_nothing_and_keep_order(void **state)
{
    for (int round = 0; round < 50; round++)
        run_crowd(state, 2);
}

static uint32_t scan_always = SCAN_ALWAYS;
static uint32_t scan_never = SCAN_NEVER;

#define BOTH(test)                                             \
    {#test " (every tail)", test, NULL, NULL, &scan_always},   \
    {                                                          \
#test " (pending bits)", test, NULL, NULL, &scan_never \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_count_out_of_range_is_refused),
        cmocka_unit_test(slots_are_shared_out_by_reactor_count),
        BOTH(a_slot_is_seen_after_the_flush_and_in_order),
        BOTH(requests_leave_the_reserve_to_replies),
        BOTH(credit_comes_back_with_the_flush_of_who_drained),
        BOTH(posts_that_are_refused_hold_up_posts_only),
        BOTH(a_ring_full_of_posts_leaves_all_requests_their_room),
        BOTH(a_refused_slot_stays_and_others_go_on),
        BOTH(every_sender_has_its_turn_within_a_small_budget),
        BOTH(what_comes_behind_a_leftover_is_found),
        BOTH(a_buffer_behind_one_seen_before_sleep_is_found),
        BOTH(what_the_budget_left_keeps_the_receiver_awake),
        BOTH(a_sleeper_is_woken_once_and_only_for_what_concerns_it),
        BOTH(what_came_before_keeps_the_receiver_awake),
        BOTH(a_starved_sender_is_woken_by_the_first_credit),
        BOTH(credit_that_nobody_wants_wakes_nobody),
        BOTH(a_want_is_told_once),
        BOTH(a_return_without_room_is_refused_and_told_later),
        BOTH(two_threads_lose_nothing_and_keep_order),
        BOTH(sixty_four_threads_lose_nothing_and_keep_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
