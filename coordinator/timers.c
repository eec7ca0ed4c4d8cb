#include "coordinator/timers.h"

#include "base/err.h"

#include <stdlib.h>

void timers_release(struct timers *self)
{
    free(self->heap);
    *self = (struct timers){0};
}

static void place(struct timers *self, struct timer *timer, size_t at)
{
    self->heap[at] = timer;
    timer->place = at;
}

static void rise(struct timers *self, struct timer *timer, size_t at)
{
    while (at > 1 && self->heap[at / 2]->at_us > timer->at_us) {
        place(self, self->heap[at / 2], at);
        at /= 2;
    }
    place(self, timer, at);
}

static void sink(struct timers *self, struct timer *timer, size_t at)
{
    for (;;) {
        size_t child = 2 * at;
        if (child > self->count)
            break;
        if (child < self->count && self->heap[child + 1]->at_us < self->heap[child]->at_us)
            child++;
        if (self->heap[child]->at_us >= timer->at_us)
            break;
        place(self, self->heap[child], at);
        at = child;
    }
    place(self, timer, at);
}

void timers_set(struct timers *self, struct timer *timer, int64_t at_us)
{
    if (timer->place == 0) {
        if (self->count + 2 > self->capacity) {
            self->capacity = self->capacity == 0 ? 64 : 2 * self->capacity;
            self->heap = xrealloc(self->heap, self->capacity * sizeof(*self->heap));
        }
        timer->place = ++self->count;
    }
    timer->at_us = at_us;
    rise(self, timer, timer->place);
    sink(self, timer, timer->place);
}

void timers_unset(struct timers *self, struct timer *timer)
{
    size_t at = timer->place;
    if (at == 0)
        return;
    struct timer *last = self->heap[self->count--];
    timer->place = 0;
    if (last == timer)
        return;
    rise(self, last, at);
    sink(self, last, last->place);
}

int64_t timers_next(const struct timers *self)
{
    return self->count == 0 ? INT64_MAX : self->heap[1]->at_us;
}

struct timer *timers_due(struct timers *self, int64_t now_us)
{
    if (timers_next(self) > now_us)
        return NULL;
    struct timer *due = self->heap[1];
    timers_unset(self, due);
    return due;
}
