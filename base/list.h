/*
 * base/list.h - intrusive doubly linked list with a sentinel head.
 *
 * A node that is on no list points at itself, so removing it twice is harmless. O(1) but for walks.
 */
#ifndef WEIR_BASE_LIST_H
#define WEIR_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct weir_list {
    struct weir_list *next;
    struct weir_list *prev;
};

#define WEIR_CONTAINER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

#define WEIR_LIST_EACH(cursor, list)                                                               \
    for (struct weir_list *cursor = (list)->next; cursor != (list); cursor = cursor->next)

/* As WEIR_LIST_EACH, and the body may remove `cursor`. */
#define WEIR_LIST_EACH_SAFE(cursor, list)                                                          \
    for (struct weir_list *cursor = (list)->next, *cursor##_next = cursor->next; cursor != (list); \
         cursor = cursor##_next, cursor##_next = cursor->next)

static inline void weir_list_init(struct weir_list *list)
{
    list->next = list;
    list->prev = list;
}

static inline bool weir_list_empty(const struct weir_list *list)
{
    return list->next == list;
}

static inline void weir_list_push_back(struct weir_list *list, struct weir_list *node)
{
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}

static inline void weir_list_push_front(struct weir_list *list, struct weir_list *node)
{
    weir_list_push_back(list->next, node);
}

static inline void weir_list_remove(struct weir_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    weir_list_init(node);
}

/* The first node, taken off; NULL when the list is empty. */
static inline struct weir_list *weir_list_pop_front(struct weir_list *list)
{
    if (weir_list_empty(list))
        return NULL;
    struct weir_list *node = list->next;
    weir_list_remove(node);
    return node;
}

/* Everything on `from` goes to the end of `list`; `from` is empty afterwards. */
static inline void weir_list_splice_back(struct weir_list *list, struct weir_list *from)
{
    if (weir_list_empty(from))
        return;
    from->next->prev = list->prev;
    from->prev->next = list;
    list->prev->next = from->next;
    list->prev = from->prev;
    weir_list_init(from);
}

#endif
