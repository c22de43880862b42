/* Intrusive doubly linked lists. A node is in at most one list; list_is_linked tells. */
#ifndef LEASED_BASE_LIST_H
#define LEASED_BASE_LIST_H

#include "base/check.h"

#include <stdbool.h>

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *list)
{
    list->next = list;
    list->prev = list;
}

/* A zeroed node counts as not linked too. */
static inline bool list_is_linked(const struct list *node)
{
    return node->next != NULL && node->next != node;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_push_back(struct list *list, struct list *node)
{
    CHECK(!list_is_linked(node));
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}

static inline void list_push_front(struct list *list, struct list *node)
{
    list_push_back(list->next, node);
}

/* Fine on a node that isn't linked. */
static inline void list_remove(struct list *node)
{
    if (list_is_linked(node)) {
        node->prev->next = node->next;
        node->next->prev = node->prev;
    }
    list_init(node);
}

/* To the end of a list, from wherever it is. */
static inline void list_move_back(struct list *list, struct list *node)
{
    list_remove(node);
    list_push_back(list, node);
}

/* The first node, removed; NULL if the list is empty. */
static inline struct list *list_pop_front(struct list *list)
{
    struct list *node = list->next;

    if (node == list) {
        return NULL;
    }
    list_remove(node);
    return node;
}

/* Moves all nodes of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (!list_is_empty(from)) {
        from->next->prev = to->prev;
        to->prev->next = from->next;
        from->prev->next = to;
        to->prev = from->prev;
        list_init(from);
    }
}

#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)

/* `cursor` and `following` are struct list *; the current node may be removed in the body. */
#define LIST_EACH(list, cursor, following)                                                         \
    for ((cursor) = (list)->next, (following) = (cursor)->next; (cursor) != (list);                \
         (cursor) = (following), (following) = (cursor)->next)

#endif
