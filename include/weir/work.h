/*
 * weir/work.h - blocking work on a thread of a small pool, its end on the reactor; and other threads' way in.
 */
#ifndef WEIR_WORK_H
#define WEIR_WORK_H

#include <weir/base.h>
#include <weir/topic.h>

WEIR_BEGIN

/* `run` is called on a pool thread and may block; then `done` on `reactor`. 0, or -ENOMEM / -EAGAIN (no thread). */
WEIR_API WEIR_MUST_CHECK int weir_work(struct weir_reactor *reactor, void (*run)(void *context), weir_done_fn done,
                                       void *context);

/*
 * A lane: the bounded way in for one foreign thread (one that runs no reactor). It is used by one thread at a time
 * and must be closed before the runtime is.
 */
struct weir_lane;
WEIR_API WEIR_MUST_CHECK int weir_lane_open(struct weir_runtime *runtime, struct weir_lane **lane_out); /* any thread */
/* As weir_post, from outside: `to` an index, WEIR_TO_KEY, or WEIR_TO_HERE for the lane's own reactor. Name look-ups
 * are the caller's: open the topic on a reactor first. 0; -EAGAIN (full: try again later), -EINVAL, -ENOMEM. */
WEIR_API WEIR_MUST_CHECK int weir_lane_post(struct weir_lane *lane, struct weir_topic topic, uint32_t to, bool keyed,
                                            uint64_t key, const void *body, uint32_t body_bytes);
WEIR_API void weir_lane_close(struct weir_lane *lane);

WEIR_END

#endif
