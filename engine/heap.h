/* An intrusive binary heap: the item that comes before all others is at the top; an item knows its
 * place, so it can be moved or removed in O(log n). Private to engine/. */
#ifndef AF_ENGINE_HEAP_H
#define AF_ENGINE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

struct heap_item {
    size_t place; /* from 1; 0: in no heap */
};

struct heap {
    struct heap_item **items;
    size_t count, capacity;
    /* A strict total order, so that equal keys don't make the order depend on history. */
    bool (*before)(const struct heap_item *a, const struct heap_item *b);
};

void heap_init(struct heap *self,
               bool (*before)(const struct heap_item *a, const struct heap_item *b));
void heap_release(struct heap *self); /* items are the caller's */
void heap_put(struct heap *self, struct heap_item *item);
/* Does nothing for an item that is in no heap. */
void heap_remove(struct heap *self, struct heap_item *item);
/* To be called after the key of an item in the heap has changed. */
void heap_moved(struct heap *self, struct heap_item *item);
struct heap_item *heap_top(const struct heap *self); /* NULL when empty */

#endif
