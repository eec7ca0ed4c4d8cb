#include "engine/heap.h"
#include "base/err.h"
#include <stdlib.h>

void heap_init(struct heap *self,
               bool (*before)(const struct heap_item *a, const struct heap_item *b))
{
    *self = (struct heap){.before = before};
}

void heap_release(struct heap *self)
{
    free(self->items);
    *self = (struct heap){.before = self->before};
}

static void place(struct heap *self, struct heap_item *item, size_t at)
{
    self->items[at - 1] = item;
    item->place = at;
}

static void sift_up(struct heap *self, struct heap_item *item)
{
    size_t at = item->place;
    while (at > 1 && self->before(item, self->items[at / 2 - 1])) {
        place(self, self->items[at / 2 - 1], at);
        at /= 2;
    }
    place(self, item, at);
}

static void sift_down(struct heap *self, struct heap_item *item)
{
    size_t at = item->place;
    for (;;) {
        size_t child = 2 * at;
        if (child > self->count)
            break;
        if (child < self->count && self->before(self->items[child], self->items[child - 1]))
            child++;
        if (!self->before(self->items[child - 1], item))
            break;
        place(self, self->items[child - 1], at);
        at = child;
    }
    place(self, item, at);
}

void heap_put(struct heap *self, struct heap_item *item)
{
    CHECK(item->place == 0);
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? 2 * self->capacity : 8;
        self->items = xrealloc(self->items, self->capacity * sizeof(*self->items));
    }
    self->count++;
    place(self, item, self->count);
    sift_up(self, item);
}

void heap_moved(struct heap *self, struct heap_item *item)
{
    sift_up(self, item);
    sift_down(self, item);
}

void heap_remove(struct heap *self, struct heap_item *item)
{
    size_t at = item->place;
    if (at == 0)
        return;
    struct heap_item *last = self->items[self->count - 1];
    self->count--;
    item->place = 0;
    if (last != item) {
        place(self, last, at);
        heap_moved(self, last);
    }
}

struct heap_item *heap_top(const struct heap *self)
{
    return self->count ? self->items[0] : NULL;
}
