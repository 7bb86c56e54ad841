/*
 * runtime/on.c - installing and removing handlers: the public face of runtime/handlers.c.
 *
 * A handler's slot and memory are used again, under a new generation, once its last run is over. Bounds: what the caller
 * installs; the leak warning is what tells of a caller that forgets to remove. Proof: tests/runtime/topic_test.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "runtime/handlers.h"

/* Places. */

static struct weir_place *new_place(const struct weir_path *path, uint32_t slot)
{
    struct weir_place *place = calloc(1, sizeof *place);
    if (!place)
        return NULL;
    weir_list_init(&place->node);
    weir_list_init(&place->handlers);
    place->path = path;
    place->slot = slot;
    return place;
}

static struct weir_place *find_pattern(struct weir_topics *topics, const struct weir_path *path)
{
    WEIR_LIST_EACH(node, &topics->patterns) {
        struct weir_place *place = WEIR_CONTAINER(node, struct weir_place, node);
        if (weir_path_equal(place->path, path))
            return place;
    }
    return NULL;
}

static int pattern_place(struct weir_topics *topics, const struct weir_path *path, struct weir_place **place_out)
{
    *place_out = find_pattern(topics, path);
    if (*place_out)
        return 0;
    struct weir_path *copy = weir_path_copy(path);
    *place_out = copy ? new_place(copy, UINT32_MAX) : NULL;
    if (!*place_out) {
        free(copy);
        return -ENOMEM;
    }
    weir_list_push_back(&topics->patterns, &(*place_out)->node);
    return 0;
}

static int topic_place(struct weir_topics *topics, const struct weir_path *path, struct weir_place **place_out)
{
    const struct weir_name *name;
    struct weir_here *here;
    int result = weir_registry_intern(topics->registry, path, &name);
    if (result == 0)
        result = weir_handlers_here(topics, name->topic, &here);
    if (result < 0)
        return result;
    if (!here->place)
        here->place = new_place(name->path, name->topic.slot);
    *place_out = here->place;
    return here->place ? 0 : -ENOMEM;
}

/* Where handlers of `pattern` are installed, made if need be. */
static int place_of(struct weir_topics *topics, const char *pattern, struct weir_place **place_out)
{
    struct weir_path path;
    uint16_t ends[WEIR_PATH_PARTS_MAX];
    int result = weir_path_cut(&path, pattern, ends);
    if (result < 0)
        return result;
    if (weir_path_is_pattern(&path))
        return pattern_place(topics, &path, place_out);
    return topic_place(topics, &path, place_out);
}

/* The same, but nothing is made: NULL when no handler was ever installed there. A NULL `pattern`: everything. */
static struct weir_place *find_place(struct weir_topics *topics, const char *pattern)
{
    struct weir_path path;
    uint16_t ends[WEIR_PATH_PARTS_MAX];
    if (!pattern)
        return &topics->everything;
    if (weir_path_cut(&path, pattern, ends) < 0)
        return NULL;
    if (weir_path_is_pattern(&path))
        return find_pattern(topics, &path);
    const struct weir_name *name = weir_registry_find(topics->registry, path.text, path.byte_count);
    if (!name || name->topic.slot >= topics->here_count)
        return NULL;
    return topics->heres[name->topic.slot].place;
}

/* A pattern's place goes with its last handler; one that never had any goes here. */
static void drop_unused(struct weir_place *place)
{
    if (place->count > 0 || !place->path || place->slot != UINT32_MAX)
        return;
    weir_list_remove(&place->node);
    free((void *)place->path);
    free(place);
}

/* Handlers. */

static int grow_handlers(struct weir_topics *topics)
{
    uint32_t room = topics->handler_room ? topics->handler_room * 2 : 16;
    struct weir_handler **grown = realloc(topics->handlers, room * sizeof(struct weir_handler *));
    if (!grown)
        return -ENOMEM;
    topics->handlers = grown;
    topics->handler_room = room;
    return 0;
}

static struct weir_handler *take_handler(struct weir_topics *topics)
{
    struct weir_list *node = weir_list_pop_front(&topics->free_handlers);
    if (node)
        return WEIR_CONTAINER(node, struct weir_handler, node);
    if (topics->handler_count == topics->handler_room && grow_handlers(topics) < 0)
        return NULL;
    struct weir_handler *handler = calloc(1, sizeof *handler);
    if (!handler)
        return NULL;
    weir_list_init(&handler->node);
    handler->topics = topics;
    handler->generation = 1;
    handler->slot = topics->handler_count;
    topics->handlers[topics->handler_count++] = handler;
    return handler;
}

static void open_class(struct weir_handler *handler, const struct weir_on_options *options)
{
    handler->class = (struct weir_class){
        .execute = weir_delivery_execute,
        .context = handler,
        .on_closed = weir_handlers_on_closed,
        .stealable = options->stealable,
        .priority = options->priority < 0 ? 0 : options->priority == 0 ? 1 : 2,
    };
    weir_sched_class_init(handler->topics->reactor->sched, &handler->class);
    handler->class_open = true;
}

static void warn_of_leak(struct weir_topics *topics, struct weir_place *place)
{
    if (topics->warn_at == 0 || place->count <= topics->warn_at || place->warned)
        return;
    place->warned = true;
    char name[160] = "*any*";
    size_t chars = strlen(name);
    if (place->path)
        chars = weir_bytes_escape(name, sizeof name, place->path->text, place->path->byte_count, NULL);
    weir_reactor_log(topics->reactor, WEIR_LOG_WARN,
                     "msg=\"many handlers on one topic, maybe a leak\" reactor=%u topic=\"%.*s\" handlers=%u",
                     topics->reactor->index, (int)chars, name, place->count);
}

static void install(struct weir_handler *handler, struct weir_place *place, weir_handler_fn fn, void *context,
                    const struct weir_on_options *options)
{
    struct weir_topics *topics = handler->topics;
    handler->fn = fn;
    handler->context = context;
    handler->remaining = options->times;
    handler->priority = options->priority;
    handler->queues = options->stealable || options->keyed;
    handler->on_removed = options->on_removed;
    handler->number = topics->number_next++;
    handler->queued = 0;
    handler->place = place;
    handler->state = WEIR_HANDLER_LISTENING;
    if (handler->queues)
        open_class(handler, options);
    weir_list_push_back(&place->handlers, &handler->node);
    place->count++;
    weir_handlers_changed(topics, place);
    warn_of_leak(topics, place);
}

static bool take_options(struct weir_on_options *options, const struct weir_on_options *given)
{
    *options = (struct weir_on_options){0};
    if (!given)
        return true;
    if (given->size < offsetof(struct weir_on_options, priority) || given->size > 4096)
        return false;
    memcpy(options, given, given->size < sizeof *options ? given->size : sizeof *options);
    return true;
}

/* A NULL `pattern`: everything. */
static int add(struct weir_reactor *reactor, const char *pattern, weir_handler_fn fn, void *context,
               const struct weir_on_options *given, struct weir_subscription *subscription_out)
{
    struct weir_topics *topics = reactor->topics;
    struct weir_on_options options;
    if (!fn || topics->closing || !take_options(&options, given))
        return -EINVAL;
    struct weir_place *place = &topics->everything;
    int result = pattern ? place_of(topics, pattern, &place) : 0;
    if (result < 0)
        return result;
    struct weir_handler *handler = take_handler(topics);
    if (!handler) {
        drop_unused(place);
        return -ENOMEM;
    }
    install(handler, place, fn, context, &options);
    if (subscription_out)
        *subscription_out = (struct weir_subscription){handler->slot, handler->generation};
    return 0;
}

int weir_on_with(struct weir_reactor *reactor, const char *pattern, weir_handler_fn handler, void *context,
                 const struct weir_on_options *options, struct weir_subscription *subscription_out)
{
    return pattern ? add(reactor, pattern, handler, context, options, subscription_out) : -EINVAL;
}

int weir_on(struct weir_reactor *reactor, const char *pattern, weir_handler_fn handler, void *context)
{
    return weir_on_with(reactor, pattern, handler, context, NULL, NULL);
}

int weir_many(struct weir_reactor *reactor, const char *pattern, uint32_t times, weir_handler_fn handler,
              void *context)
{
    struct weir_on_options options = WEIR_OPTIONS(struct weir_on_options);
    options.times = times;
    return times > 0 ? weir_on_with(reactor, pattern, handler, context, &options, NULL) : -EINVAL;
}

int weir_once(struct weir_reactor *reactor, const char *pattern, weir_handler_fn handler, void *context)
{
    return weir_many(reactor, pattern, 1, handler, context);
}

int weir_any(struct weir_reactor *reactor, weir_handler_fn handler, void *context)
{
    return add(reactor, NULL, handler, context, NULL, NULL);
}

/* Removing. */

static int off(struct weir_topics *topics, struct weir_handler *handler)
{
    if (topics->closing || !handler)
        return -ENOENT;
    if (handler->state != WEIR_HANDLER_LISTENING && handler->state != WEIR_HANDLER_SPENT)
        return -ENOENT;
    weir_handlers_remove(handler);
    return 0;
}

int weir_off(struct weir_reactor *reactor, struct weir_subscription subscription)
{
    struct weir_topics *topics = reactor->topics;
    if (subscription.slot >= topics->handler_count)
        return -ENOENT;
    struct weir_handler *handler = topics->handlers[subscription.slot];
    if (handler->generation != subscription.generation)
        return -ENOENT;
    int result = off(topics, handler);
    weir_handlers_settle(topics);
    return result;
}

static struct weir_handler *find_handler(const struct weir_place *place, weir_handler_fn fn, const void *context)
{
    WEIR_LIST_EACH(node, &place->handlers) {
        struct weir_handler *handler = WEIR_CONTAINER(node, struct weir_handler, node);
        if (handler->fn == fn && handler->context == context)
            return handler;
    }
    return NULL;
}

int weir_off_match(struct weir_reactor *reactor, const char *pattern, weir_handler_fn handler, void *context)
{
    struct weir_topics *topics = reactor->topics;
    const struct weir_place *place = find_place(topics, pattern);
    int result = off(topics, place ? find_handler(place, handler, context) : NULL);
    weir_handlers_settle(topics);
    return result;
}

uint32_t weir_off_all(struct weir_reactor *reactor, const char *pattern)
{
    struct weir_topics *topics = reactor->topics;
    const struct weir_place *place = pattern ? find_place(topics, pattern) : NULL;
    uint32_t removed = 0;
    for (uint32_t i = 0; i < topics->handler_count && (place || !pattern); i++) {
        struct weir_handler *handler = topics->handlers[i];
        if (pattern && handler->place != place)
            continue;
        if (off(topics, handler) == 0)
            removed++;
    }
    weir_handlers_settle(topics);
    return removed;
}

/* Asking. */

uint32_t weir_listener_count(struct weir_reactor *reactor, struct weir_topic topic)
{
    struct weir_topics *topics = reactor->topics;
    const struct weir_name *name = weir_registry_at(topics->registry, topic.slot);
    if (!name || name->topic.generation != topic.generation)
        return 0;
    const struct weir_here *here = topic.slot < topics->here_count ? &topics->heres[topic.slot] : NULL;
    return weir_handlers_count(topics, here, name->path);
}

void weir_listeners_warn_at(struct weir_reactor *reactor, uint32_t count)
{
    reactor->topics->warn_at = count;
}
