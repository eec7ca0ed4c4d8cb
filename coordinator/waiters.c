#include "coordinator/waiters.h"

#include "base/map.h"
#include "coordinator/requests.h"
#include "coordinator/timers.h"

#include <stdlib.h>
#include <string.h>

struct waiter {
    struct timer timer; /* first, so that a timer that is due leads back to its waiter */
    struct uuid execution;
    char *from;
    uint64_t correlation;
    struct execution_options options;
    struct waiter *next; /* of the same execution */
};

struct waiters {
    map_t *by_execution; /* id -> first struct waiter */
    struct timers timers;
    size_t count;
    struct buf document;
};

struct waiters *waiters_new(void)
{
    struct waiters *self = xcalloc(1, sizeof *self);
    self->by_execution = map_new();
    return self;
}

static void waiter_destroy(struct waiter *waiter)
{
    free(waiter->from);
    free(waiter);
}

void waiters_destroy(struct waiters **self_p)
{
    struct waiters *self = *self_p;
    void *item;
    if (self == NULL)
        return;
    for (size_t position = 0; (item = map_next(self->by_execution, &position, NULL)) != NULL;)
        for (struct waiter *waiter = item, *next; waiter != NULL; waiter = next) {
            next = waiter->next;
            waiter_destroy(waiter);
        }
    map_destroy(&self->by_execution);
    timers_release(&self->timers);
    buf_release(&self->document);
    free(self);
    *self_p = NULL;
}

/* A client that got no answer asks again under the same number: it still gets one. */
static struct waiter *find_same(const struct waiters *self, struct uuid execution, const char *from,
                                uint64_t correlation)
{
    struct waiter *waiter = map_get(self->by_execution, execution.bytes, sizeof execution.bytes);
    while (waiter != NULL &&
           (waiter->correlation != correlation || strcmp(waiter->from, from) != 0))
        waiter = waiter->next;
    return waiter;
}

static struct waiter *add(struct waiters *self, struct uuid execution, const char *from,
                          uint64_t correlation)
{
    struct waiter *waiter = xcalloc(1, sizeof *waiter);
    waiter->execution = execution;
    waiter->from = xstrdup(from);
    waiter->correlation = correlation;
    waiter->next = map_put(self->by_execution, execution.bytes, sizeof execution.bytes, waiter);
    self->count++;
    return waiter;
}

void waiters_add(struct coordinator *self, struct uuid execution, const char *from,
                 uint64_t correlation, int64_t until_us, const struct execution_options *options)
{
    struct waiters *waiters = self->waiters;
    struct waiter *waiter = find_same(waiters, execution, from, correlation);

    if (waiter == NULL)
        waiter = add(waiters, execution, from, correlation);
    waiter->options = *options;
    if (until_us != INT64_MAX)
        timers_set(&waiters->timers, &waiter->timer, until_us);
}

static void answer(struct coordinator *self, struct waiter *waiter)
{
    struct waiters *waiters = self->waiters;
    struct doc doc;

    buf_clear(&waiters->document);
    doc_init(&doc, &waiters->document);
    executions_document(self->engine, waiter->execution, &waiter->options, &doc);
    requests_send(self, waiter->from, waiter->correlation, NULL, buf_bytes(&waiters->document));
    timers_unset(&waiters->timers, &waiter->timer);
    waiter_destroy(waiter);
    waiters->count--;
}

void waiters_answer(struct coordinator *self, struct uuid execution)
{
    struct waiter *waiter =
        map_remove(self->waiters->by_execution, execution.bytes, sizeof execution.bytes);
    for (struct waiter *next; waiter != NULL; waiter = next) {
        next = waiter->next;
        answer(self, waiter);
    }
}

static void unlink_waiter(struct waiters *self, struct waiter *waiter)
{
    const void *key = waiter->execution.bytes;
    struct waiter *first = map_get(self->by_execution, key, sizeof waiter->execution.bytes);

    if (first == waiter && waiter->next == NULL) {
        map_remove(self->by_execution, key, sizeof waiter->execution.bytes);
    } else if (first == waiter) {
        map_put(self->by_execution, key, sizeof waiter->execution.bytes, waiter->next);
    } else {
        while (first->next != waiter)
            first = first->next;
        first->next = waiter->next;
    }
}

void waiters_tick(struct coordinator *self)
{
    struct waiters *waiters = self->waiters;
    struct timer *due;
    struct err err;
    char id[TYPEID_TEXT_SIZE];

    while ((due = timers_due(&waiters->timers, self->mono_us)) != NULL) {
        struct waiter *waiter = (struct waiter *)due;
        err_set(&err, ERR_TIMEOUT, "%s has not ended yet",
                typeid_text("exec", waiter->execution, id));
        err_fix(&err, "wait again, or with a longer timeout_ms");
        requests_send(self, waiter->from, waiter->correlation, &err, (struct bytes){0});
        unlink_waiter(waiters, waiter);
        waiter_destroy(waiter);
        waiters->count--;
    }
}

int64_t waiters_deadline(const struct coordinator *self)
{
    return timers_next(&self->waiters->timers);
}

size_t waiters_count(const struct coordinator *self)
{
    return self->waiters->count;
}
