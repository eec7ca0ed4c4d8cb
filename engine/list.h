/* Intrusive doubly linked lists for queues inside the engine. A head is a struct list of its own; an
 * item that is in no list points to itself. Private to engine/. */
#ifndef AF_ENGINE_LIST_H
#define AF_ENGINE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev, *next;
};

#define LIST_OWNER(item, type, member) ((type *)(void *)((char *)(item)-offsetof(type, member)))

static inline void list_init(struct list *self)
{
    self->prev = self->next = self;
}

static inline bool list_empty(const struct list *self)
{
    return self->next == self;
}

static inline void list_insert_after(struct list *place, struct list *item)
{
    item->prev = place;
    item->next = place->next;
    place->next->prev = item;
    place->next = item;
}

static inline void list_push_back(struct list *head, struct list *item)
{
    list_insert_after(head->prev, item);
}

static inline void list_push_front(struct list *head, struct list *item)
{
    list_insert_after(head, item);
}

/* Behind what the other head has; the first one is empty then. */
static inline void list_move_all(struct list *from, struct list *head)
{
    if (list_empty(from))
        return;
    from->next->prev = head->prev;
    head->prev->next = from->next;
    from->prev->next = head;
    head->prev = from->prev;
    list_init(from);
}

static inline void list_remove(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

#endif
