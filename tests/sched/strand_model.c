/*
 * tests/sched/strand_model.c - a strand's way to a thief and back, in every order and with every
 * stale read.
 *
 * The sources are the scheduler's and the deque's own. A home exposes half of its keys to hungry
 * thieves and posts on to them meanwhile; it may take them back, or a thief may have one and send
 * `done` through one word, stored with release as the mesh's index is. What a task touches - itself
 * and the state of its key - is plain data: a second run of a strand that is away, or a hand-over
 * that does not order it, is a race here, or a number out of order.
 */
#include "ring/deque.c"
#include "sched/steal.c"
#include "sched/strand.c"
#include "sched/strand_table.c"

enum { TASKS = 8, KEYS = 4, HOME = 0, SEATS = 3 };

struct item {
    struct weir_task task;
    uint32_t key;
    uint32_t number; /* of its key */
    uint32_t released;
};

static struct weir_sched_hub hub;
static struct weir_sched *scheds[SEATS];
static struct weir_class class;
static struct item items[TASKS];
static uint32_t posted;
static uint32_t posted_of_key[KEYS];
static uint32_t ran_of_key[KEYS]; /* plain: what order alone protects */
static uint32_t released;
static uint32_t closed;
static weir_atomic_ptr done_words[SEATS]; /* by thief; each runs one turn, so sends one chain */

static uint32_t seat_numbers[SEATS] = {0, 1, 2};

static uint64_t model_clock(void *on)
{
    (void)on;
    return 1000000;
}

static enum weir_verdict model_execute(void *context, struct weir_task *task, void *on)
{
    (void)context;
    (void)on;
    struct item *item = (struct item *)(void *)task;
    weir_plain_read(item, sizeof *item);
    weir_plain_write(&ran_of_key[item->key], sizeof ran_of_key[0]);
    explore_check(ran_of_key[item->key] == item->number, "tasks of a key run in order, each once");
    ran_of_key[item->key]++;
    return WEIR_TASK_DONE;
}

static void model_release(void *on, struct weir_class *of, struct weir_task *first, struct weir_task *last,
                          uint32_t count)
{
    (void)on;
    (void)of;
    struct weir_task *task = first;
    for (uint32_t i = 0; i < count; i++) {
        struct item *item = (struct item *)(void *)task;
        weir_plain_write(item, sizeof *item);
        explore_check(item->released++ == 0, "a task is released once");
        explore_check((task == last) == (i + 1 == count), "a chain ends where it says");
        task = task->next;
    }
    released += count;
}

static bool model_send_done(void *on, uint32_t home, struct weir_strand *strands)
{
    uint32_t me = *(uint32_t *)on;
    explore_check(home == HOME && me != HOME, "done goes home");
    weir_store(&done_words[me], strands, release);
    return true;
}

static void model_closed(struct weir_class *ended)
{
    explore_check(ended == &class && released == posted,
                  "a class ends after its last task is released");
    closed++;
}

static void post(uint32_t key)
{
    struct item *item = &items[posted++];
    weir_plain_write(item, sizeof *item);
    *item = (struct item){.key = key, .number = posted_of_key[key]++};
    explore_check(weir_sched_post_keyed(scheds[HOME], &class, key, &item->task) == 0,
                  "it is queued");
}

static void setup(void)
{
    posted = released = closed = 0;
    weir_store(&hub.hungry, 1, relaxed);
    weir_store(&hub.searching, 1, relaxed);
    for (uint32_t i = 0; i < KEYS; i++)
        posted_of_key[i] = ran_of_key[i] = 0;
    for (uint32_t i = 0; i < SEATS; i++) {
        weir_store(&done_words[i], NULL, relaxed);
        if (scheds[i] != NULL) { /* of the run before, which may have been cut off anywhere */
            weir_strand_table_deinit(&scheds[i]->table);
            free(scheds[i]->deque_memory);
            free(scheds[i]);
        }
        struct weir_sched_options options = {.hub = &hub,
                                             .reactor_index = i,
                                             .reactor_count = SEATS,
                                             .stealing = true,
                                             .clock = model_clock,
                                             .on = &seat_numbers[i],
                                             .release = model_release,
                                             .send_done = model_send_done,
                                             .strands_warm = 4,
                                             .deque_cells = 2};
        explore_check(weir_sched_open(&options, &scheds[i]) == 0, "it opens");
    }
    class = (struct weir_class){
        .execute = model_execute, .stealable = true, .on_closed = model_closed};
    weir_sched_class_init(scheds[HOME], &class);
    explore_name(&done_words[1], "done of 1");
    explore_name(&done_words[2], "done of 2");
}

static void take_done(void)
{
    for (uint32_t i = 1; i < SEATS; i++) {
        /* acquire: pairs with the thief's release; in production the mesh does both. */
        struct weir_strand *strand = weir_load(&done_words[i], acquire);
        if (strand == NULL)
            continue;
        weir_store(&done_words[i], NULL, relaxed); /* the thief stores once */
        weir_sched_done(scheds[HOME], strand);
    }
}

static void run_until_released(void)
{
    while (released < posted) {
        take_done();
        if (weir_sched_run(scheds[HOME], 1000000) == 0 && released < posted)
            explore_pause();
    }
    explore_check(scheds[HOME]->table.live_count == 0, "idle strands hold no memory");
}

/* Post to so many keys, two tasks to each odd one; expose the odd ones. */
static void expose_half_of(uint32_t keys)
{
    for (uint32_t key = 0; key < keys; key++) {
        post(key);
        if (key % 2 == 1)
            post(key);
    }
    weir_sched_share(scheds[HOME], 100);
    weir_sched_share(scheds[HOME], 1000000); /* now the backlog has stood */
    explore_check(scheds[HOME]->away_count == keys / 2, "half of them are away");
}

static void steal_once(uint32_t me, uint32_t tries)
{
    for (; tries > 0; tries--) {
        if (weir_sched_steal(scheds[me]) == 0)
            continue;
        weir_sched_run(scheds[me], 1000000);
        return;
    }
}

static void one_thief(uint32_t me)
{
    if (me != HOME) {
        steal_once(me, 2);
        return;
    }
    expose_half_of(4);
    post(1);
    run_until_released();
}

static void two_thieves(uint32_t me)
{
    if (me != HOME) {
        steal_once(me, 1);
        return;
    }
    expose_half_of(2);
    post(1);
    run_until_released();
}

static void closing(uint32_t me)
{
    if (me != HOME) {
        steal_once(me, 2);
        return;
    }
    expose_half_of(2);
    explore_check(!weir_sched_class_close(scheds[HOME], &class), "strands are pending");
    run_until_released();
    explore_check(closed == 1, "the end of a class is told once");
}

static void everything_ran(void)
{
    explore_check(released == posted, "nothing is lost");
    for (uint32_t i = 0; i < KEYS; i++)
        explore_check(ran_of_key[i] == posted_of_key[i], "everything ran");
}

static void everything_is_released(void)
{
    explore_check(released == posted, "nothing is lost");
}

int main(void)
{
    const struct explore_model models[] = {
        {"strand: share, steal, done, or take back", 2, setup, one_thief, everything_ran, 0},
        {"strand: two thieves", 3, setup, two_thieves, everything_ran, 0},
        {"strand: closing a class while a strand is away", 2, setup, closing,
         everything_is_released, 0},
    };
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        if (!explore_run(&models[i]))
            return 1;
    return 0;
}
