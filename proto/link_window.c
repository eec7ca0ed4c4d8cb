#include "base/limits.h"
#include "proto/link_core.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 8

static struct link_kept *slot(const struct link_window *self, size_t index)
{
    return &self->frames[(self->head + index) & (self->capacity - 1)];
}

static void drop_oldest(struct link_window *self)
{
    struct link_kept *oldest = slot(self, 0);
    self->size_bytes -= oldest->size;
    free(oldest->data);
    self->head = (self->head + 1) & (self->capacity - 1);
    self->count--;
}

void link_window_reset(struct link_window *self)
{
    while (self->count > 0)
        drop_oldest(self);
    free(self->frames);
    *self = (struct link_window){.next = 1};
}

bool link_window_full(const struct link_window *self, size_t more_bytes)
{
    if (self->count == 0)
        return false;
    return self->count >= LIMIT_LINK_UNACKED ||
           self->size_bytes + more_bytes > LIMIT_LINK_UNACKED_BYTES;
}

static void grow(struct link_window *self)
{
    size_t capacity = self->capacity ? self->capacity * 2 : FIRST_CAPACITY;
    struct link_kept *frames = xcalloc(capacity, sizeof *frames);
    for (size_t i = 0; i < self->count; i++)
        frames[i] = *slot(self, i);
    free(self->frames);
    self->frames = frames;
    self->capacity = capacity;
    self->head = 0;
}

uint64_t link_window_push(struct link_window *self, struct bytes items, int64_t now_us)
{
    if (self->count == self->capacity)
        grow(self);
    struct link_kept *kept = slot(self, self->count);
    kept->data = xmalloc(items.size ? items.size : 1);
    kept->size = items.size;
    kept->sent_us = now_us;
    if (items.size > 0)
        memcpy(kept->data, items.data, items.size);
    self->count++;
    self->size_bytes += items.size;
    return self->next++;
}

int64_t link_window_oldest_us(const struct link_window *self)
{
    return self->count > 0 ? slot(self, 0)->sent_us : LINK_NEVER;
}

struct bytes link_window_at(const struct link_window *self, size_t index, uint64_t *ret_sequence)
{
    CHECK(index < self->count);
    const struct link_kept *kept = slot(self, index);
    *ret_sequence = self->next - self->count + index;
    return bytes_of(kept->data, kept->size);
}

uint64_t link_window_acknowledged(const struct link_window *self)
{
    return self->next - 1 - self->count;
}

bool link_window_acknowledge(struct link_window *self, uint64_t sequence)
{
    if (sequence >= self->next)
        return false;
    while (self->count > 0 && link_window_acknowledged(self) < sequence)
        drop_oldest(self);
    return true;
}
