/*
 * sched/wheel.c - hierarchical timing wheel: insert, cancel and expire in O(1).
 *
 * A deadline is a tick number, rounded up. Level l has 64 slots of 64^l ticks; a timer sits on the
 * level of the highest 6-bit digit in which its tick differs from the wheel's, in the slot that
 * this digit names. So a slot of level 0 is one exact tick, and a slot above is entered, as time
 * comes to it, exactly once: its timers then differ in a lower digit and move down, at most LEVELS
 * - 1 times in a timer's life. One occupancy word a level makes the next slot a count of trailing
 * zeros, so an idle wheel jumps over any time at once. What time has reached is spliced onto `due`
 * and fired from there, so a budget can stop anywhere.
 *
 * Eight levels of 6 bits are 2^48 ticks of 2^17 ns: more than 64 bits of ns, so nothing is out of
 * range. Owned by one reactor. Proof: tests/sched/wheel_test.c, against a sorted list.
 */
#include "sched/wheel.h"

#include <assert.h>

#include "base/assert.h"

enum { TICK_BITS = 17, DIGIT_BITS = 6, DIGIT_MASK = WEIR_WHEEL_SLOTS - 1 };

static_assert(WEIR_WHEEL_TICK_NS == 1 << TICK_BITS, "ticks are a shift");
static_assert(WEIR_WHEEL_SLOTS == 1 << DIGIT_BITS, "a digit names a slot");
static_assert(WEIR_WHEEL_LEVELS * DIGIT_BITS + TICK_BITS >= 64, "every deadline has a slot");

/* Up: a timer never fires early. */
static uint64_t tick_of_deadline(uint64_t deadline_ns)
{
    return (deadline_ns >> TICK_BITS) + ((deadline_ns & (WEIR_WHEEL_TICK_NS - 1)) != 0);
}

static uint32_t digit(uint64_t tick, uint32_t level)
{
    return (uint32_t)(tick >> (level * DIGIT_BITS)) & DIGIT_MASK;
}

void weir_wheel_init(struct weir_wheel *wheel, uint64_t now_ns)
{
    wheel->now_ns = now_ns;
    wheel->tick = now_ns >> TICK_BITS;
    wheel->armed_count = 0;
    weir_list_init(&wheel->due);
    for (uint32_t level = 0; level < WEIR_WHEEL_LEVELS; level++) {
        wheel->occupied[level] = 0;
        for (uint32_t slot = 0; slot < WEIR_WHEEL_SLOTS; slot++)
            weir_list_init(&wheel->slots[level][slot]);
    }
}

void weir_wheel_timer_init(struct weir_wheel_timer *timer, weir_wheel_fn fn)
{
    WEIR_ASSERT(fn != NULL);
    weir_list_init(&timer->node);
    timer->deadline_ns = 0;
    timer->fn = fn;
    timer->level = 0;
    timer->slot = 0;
}

bool weir_wheel_armed(const struct weir_wheel_timer *timer)
{
    return !weir_list_empty(&timer->node);
}

static void place(struct weir_wheel *wheel, struct weir_wheel_timer *timer)
{
    uint64_t tick = tick_of_deadline(timer->deadline_ns);
    if (timer->deadline_ns <= wheel->now_ns || tick <= wheel->tick) {
        weir_list_push_back(&wheel->due, &timer->node);
        return;
    }
    uint32_t top_bit = 63 - (uint32_t)__builtin_clzll(tick ^ wheel->tick);
    uint32_t level = top_bit / DIGIT_BITS;
    WEIR_ASSERT(level < WEIR_WHEEL_LEVELS);
    timer->level = (uint8_t)level;
    timer->slot = (uint8_t)digit(tick, level);
    weir_list_push_back(&wheel->slots[level][timer->slot], &timer->node);
    wheel->occupied[level] |= (uint64_t)1 << timer->slot;
}

/* For a timer that is due, level and slot are old; then the bit is what that slot is anyway. */
static void unplace(struct weir_wheel *wheel, struct weir_wheel_timer *timer)
{
    weir_list_remove(&timer->node);
    if (weir_list_empty(&wheel->slots[timer->level][timer->slot]))
        wheel->occupied[timer->level] &= ~((uint64_t)1 << timer->slot);
}

void weir_wheel_arm(struct weir_wheel *wheel, struct weir_wheel_timer *timer, uint64_t deadline_ns)
{
    if (weir_wheel_armed(timer))
        unplace(wheel, timer);
    else
        wheel->armed_count++;
    timer->deadline_ns = deadline_ns;
    place(wheel, timer);
}

bool weir_wheel_cancel(struct weir_wheel *wheel, struct weir_wheel_timer *timer)
{
    if (!weir_wheel_armed(timer))
        return false;
    WEIR_ASSERT(wheel->armed_count > 0);
    wheel->armed_count--;
    unplace(wheel, timer);
    return true;
}

/* The first tick after the wheel's at which a slot is entered. All of level l comes before
 * anything above it, since that differs in a higher digit. UINT64_MAX: none. */
static uint64_t next_tick(const struct weir_wheel *wheel, uint32_t *level_out)
{
    for (uint32_t level = 0; level < WEIR_WHEEL_LEVELS; level++) {
        if (wheel->occupied[level] == 0)
            continue;
        uint32_t shift = level * DIGIT_BITS;
        uint64_t slot = (uint64_t)__builtin_ctzll(wheel->occupied[level]);
        *level_out = level;
        /* The digits above are the wheel's, this one is the slot's, those below are zero. */
        return (wheel->tick >> shift >> DIGIT_BITS << DIGIT_BITS | slot) << shift;
    }
    return UINT64_MAX;
}

uint64_t weir_wheel_next_ns(const struct weir_wheel *wheel)
{
    if (!weir_list_empty(&wheel->due))
        return wheel->now_ns;
    uint32_t level;
    uint64_t tick = next_tick(wheel, &level);
    /* The very last tick of 64-bit time rounds up beyond it. */
    return tick > UINT64_MAX >> TICK_BITS ? UINT64_MAX : tick << TICK_BITS;
}

/* Time has come to a slot: what it holds is due, or differs from the wheel in a lower digit now. */
static void enter(struct weir_wheel *wheel, uint32_t level)
{
    uint32_t slot = digit(wheel->tick, level);
    wheel->occupied[level] &= ~((uint64_t)1 << slot);
    if (level == 0) {
        weir_list_splice_back(&wheel->due, &wheel->slots[0][slot]);
        return;
    }
    struct weir_list moving;
    weir_list_init(&moving);
    weir_list_splice_back(&moving, &wheel->slots[level][slot]);
    for (struct weir_list *node = weir_list_pop_front(&moving); node != NULL;
         node = weir_list_pop_front(&moving))
        place(wheel, WEIR_CONTAINER(node, struct weir_wheel_timer, node));
}

static void advance(struct weir_wheel *wheel, uint64_t now_ns)
{
    uint64_t target = now_ns >> TICK_BITS;
    wheel->now_ns = now_ns;
    if (target == wheel->tick)
        return;
    uint32_t level;
    for (uint64_t tick; (tick = next_tick(wheel, &level)) <= target;) {
        WEIR_ASSERT(tick > wheel->tick);
        wheel->tick = tick;
        enter(wheel, level);
    }
    wheel->tick = target;
}

uint32_t weir_wheel_expire(struct weir_wheel *wheel, uint64_t now_ns, uint32_t budget)
{
    if (now_ns > wheel->now_ns) /* else time stands still for the wheel */
        advance(wheel, now_ns);
    if (weir_list_empty(&wheel->due))
        return 0;
    struct weir_list firing;
    weir_list_init(&firing);
    weir_list_splice_back(&firing, &wheel->due);
    uint32_t fired = 0;
    while (fired < budget && !weir_list_empty(&firing)) {
        struct weir_wheel_timer *timer = WEIR_CONTAINER(firing.next, struct weir_wheel_timer, node);
        WEIR_ASSERT(timer->deadline_ns <= wheel->now_ns);
        weir_wheel_cancel(wheel, timer);
        fired++;
        timer->fn(timer, now_ns);
    }
    /* What is left stays first: it has waited longer than what the callbacks armed. */
    weir_list_splice_back(&firing, &wheel->due);
    weir_list_splice_back(&wheel->due, &firing);
    return fired;
}
