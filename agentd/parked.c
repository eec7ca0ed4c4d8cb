#include "agentd/parked.h"

#include "base/limits.h"
#include <stdlib.h>
#include <string.h>

static void unlink_one(struct parked *self, struct parked_one *one)
{
    if (one->prev)
        one->prev->next = one->next;
    else
        self->first = one->next;
    if (one->next)
        one->next->prev = one->prev;
    else
        self->last = one->prev;
    self->count--;
    self->bytes -= one->bytes;
}

static conversation_t *take(struct parked *self, struct parked_one *one)
{
    conversation_t *conversation = one->conversation;
    unlink_one(self, one);
    free(one->path);
    free(one);
    return conversation;
}

static void forget_oldest(struct parked *self)
{
    conversation_t *conversation = take(self, self->first);
    conversation_destroy(&conversation);
}

void parked_release(struct parked *self)
{
    while (self->first)
        forget_oldest(self);
}

conversation_t *parked_take(struct parked *self, struct uuid execution, const char *path)
{
    struct parked_one *one = self->first;
    while (one && !(uuid_equal(one->execution, execution) && strcmp(one->path, path) == 0))
        one = one->next;
    return one ? take(self, one) : NULL;
}

void parked_put(struct parked *self, struct uuid execution, const char *path,
                conversation_t **conversation_p, int64_t now_us)
{
    conversation_t *before = parked_take(self, execution, path);
    conversation_destroy(&before);
    struct parked_one *one = xcalloc(1, sizeof *one);
    *one = (struct parked_one){.execution = execution,
                               .path = xstrdup(path),
                               .conversation = *conversation_p,
                               .bytes = conversation_bytes(*conversation_p),
                               .since_us = now_us,
                               .prev = self->last};
    *conversation_p = NULL;
    if (self->last)
        self->last->next = one;
    else
        self->first = one;
    self->last = one;
    self->count++;
    self->bytes += one->bytes;
    while (self->count > LIMIT_AGENTD_PARKED || self->bytes > LIMIT_AGENTD_PARKED_BYTES)
        forget_oldest(self);
}

void parked_expire(struct parked *self, int64_t before_us)
{
    while (self->first && self->first->since_us < before_us)
        forget_oldest(self);
}
