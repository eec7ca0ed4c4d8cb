#include "agentd/deadlines.h"

#include "base/err.h"
#include <stdlib.h>

static void put(struct deadlines *self, size_t position, struct deadline *deadline)
{
    self->heap[position] = deadline;
    deadline->position = position;
}

static void sift_up(struct deadlines *self, struct deadline *deadline)
{
    size_t position = deadline->position;
    while (position > 1 && self->heap[position / 2]->at_us > deadline->at_us) {
        put(self, position, self->heap[position / 2]);
        position /= 2;
    }
    put(self, position, deadline);
}

static void sift_down(struct deadlines *self, struct deadline *deadline)
{
    size_t position = deadline->position;
    for (;;) {
        size_t child = position * 2;
        if (child > self->count)
            break;
        if (child < self->count && self->heap[child + 1]->at_us < self->heap[child]->at_us)
            child++;
        if (self->heap[child]->at_us >= deadline->at_us)
            break;
        put(self, position, self->heap[child]);
        position = child;
    }
    put(self, position, deadline);
}

void deadlines_set(struct deadlines *self, struct deadline *deadline, int64_t at_us)
{
    if (!deadline->position) {
        if (self->count + 1 >= self->capacity) {
            self->capacity = self->capacity ? self->capacity * 2 : 16;
            self->heap = xrealloc(self->heap, self->capacity * sizeof self->heap[0]);
        }
        put(self, ++self->count, deadline);
    }
    deadline->at_us = at_us;
    sift_up(self, deadline);
    sift_down(self, deadline);
}

void deadlines_clear(struct deadlines *self, struct deadline *deadline)
{
    if (!deadline->position)
        return;
    struct deadline *last = self->heap[self->count--];
    if (last != deadline) {
        put(self, deadline->position, last);
        sift_up(self, last);
        sift_down(self, last);
    }
    deadline->position = 0;
}

struct deadline *deadlines_first(const struct deadlines *self)
{
    return self->count ? self->heap[1] : NULL;
}

void deadlines_release(struct deadlines *self)
{
    free(self->heap);
    *self = (struct deadlines){0};
}
