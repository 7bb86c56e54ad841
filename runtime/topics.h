/*
 * runtime/topics.h - the topics of one reactor: who listens here, what was posted here.
 *
 * Names are interned once for the runtime (runtime/registry.c, under a lock, never on an event's path). Each reactor keeps,
 * by topic slot, the flat list of its handlers that match: exact ones, patterns and `any`, in order of priority. The
 * list is compiled when it is first used after a change, so an emit on a pattern costs what a plain one does.
 */
#ifndef WEIR_RUNTIME_TOPICS_H
#define WEIR_RUNTIME_TOPICS_H

#include <weir/topic.h>

/* WEIR_RECORD_DROP: why */
enum weir_drop_reason {
    WEIR_DROP_UNHEARD = 1, /* an "error" event that nobody listens to */
    WEIR_DROP_NO_MEMORY,
};

/* WEIR_RECORD_DISPATCH: in place of one subscription's slot */
enum { WEIR_DISPATCH_PINNED = UINT32_MAX };

struct weir_mail;
struct weir_registry;
struct weir_topics;
struct weir_task;
struct weir_class;

int weir_registry_open(uint32_t topics_max, struct weir_registry **registry_out);
void weir_registry_close(struct weir_registry *registry);
/* The name at a slot, for ever the same; NULL: none. Any thread, a signal handler too. */
const char *weir_registry_name(const struct weir_registry *registry, uint32_t slot);
uint32_t weir_registry_count(const struct weir_registry *registry); /* slots in use: 0 .. count - 1 */

int weir_topics_open(struct weir_reactor *reactor, struct weir_topics **topics_out);
void weir_topics_close(struct weir_reactor *reactor, struct weir_topics *topics);

/* The reactor's turn: run what was posted here, up to the budget. Things done; `more_out`: the budget ended it. */
uint32_t weir_topics_run(struct weir_reactor *reactor, bool *more_out);
/* Nothing posted here waits for a turn; while draining: and nothing queued or away either. */
bool weir_topics_idle(const struct weir_reactor *reactor);
/* May those who wait for room in the queue of posts here go on? */
bool weir_topics_has_room(const struct weir_reactor *reactor);
/*
 * A WEIR_MAIL_POST has come, and maybe more behind it: how many of the `count` mails are over, 0: none. A slot that is not
 * taken is credit that its sender does not get back, so a reactor that cannot keep up slows those who post to it. Posts
 * have a ring of their own: everything else, a thief's `done` too, goes past those that are refused. It does not park
 * meanwhile.
 */
uint32_t weir_topics_on_posts(struct weir_reactor *reactor, const struct weir_mail *mails, uint32_t count);
/* A foreign lane's post, on the reactor's own thread: the body is copied. */
int weir_topics_post_here(struct weir_reactor *reactor, struct weir_topic topic, bool keyed, uint64_t key, uint64_t cause_id,
                          const void *body, uint32_t body_bytes);
/* struct weir_sched_options.release: tasks of one handler (events of this reactor, or shares in them) that are over. */
void weir_topics_release(void *reactor, struct weir_class *class, struct weir_task *first, struct weir_task *last,
                         uint32_t count);

#endif
