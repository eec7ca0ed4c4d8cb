#include "coordinator/journal.h"
#include "tests/sim/net.h"
#include "tests/sim/observer.h"
#include "tests/sim/plan.h"
#include "tests/sim/shell_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct batch *batch_at(struct shell *self, size_t place)
{
    return &self->ring[(self->oldest + place) % BATCHES];
}

struct batch *shell_current(struct shell *self)
{
    return batch_at(self, self->in_flight);
}

void batch_clear(struct batch *batch)
{
    decisions_clear(&batch->decisions);
    writes_clear(&batch->writes);
    batch->outgoing_count = batch->acknowledgements_count = 0;
    batch->submitted = batch->committed = false;
}

void batch_release(struct batch *batch)
{
    batch_clear(batch);
    decisions_release(&batch->decisions);
    writes_release(&batch->writes);
    free(batch->stamps);
    free(batch->outgoing);
    free(batch->acknowledgements);
    *batch = (struct batch){0};
}

/* --- invariant 7 ------------------------------------------------------------------------------ */

static void compare(struct shell *self, const engine_t *other, struct uuid execution,
                    const char *what)
{
    uint64_t here = engine_fingerprint(self->engine, execution);
    if (here != engine_fingerprint(other, execution))
        world_fail(self->world, 7, "%s: the fold of the journal of %s is not the state in memory",
                   what, sim_uuid(execution));
}

static void fold_record(struct shell *self, engine_t *engine, const struct record *record)
{
    struct event event;
    struct err err;
    struct arena arena = {0};
    int r = journal_decode(&arena, record->execution, record->sequence, buf_bytes(&record->bytes),
                           &event, &err);
    if (!r)
        r = engine_apply(engine, &event, &err);
    if (r)
        world_fail(self->world, 7, "record %llu of %s can't be folded: %s",
                   (unsigned long long)record->sequence, sim_uuid(record->execution), err.what);
    arena_release(&arena);
}

/* The whole journal anew: what the disk holds, and what is on its way there. */
static void fold_anew(struct shell *self, struct uuid execution)
{
    const struct engine_config config = {
        .epoch = self->epoch, .find_dag = observer_find_dag, .context = self->world};
    engine_t *anew = engine_new(&config);
    const struct journal *journal = store_find(self->world->store, execution);
    uint64_t last = 0;
    for (size_t i = 0; journal && i < journal->count; i++, last++)
        fold_record(self, anew, &journal->records[i]);
    for (size_t i = 0; i <= self->in_flight; i++) {
        const struct writes *writes = &batch_at(self, i)->writes;
        for (size_t n = 0; n < writes->records_count; n++) {
            const struct record *record = &writes->records[n];
            if (!uuid_equal(record->execution, execution) || record->sequence <= last)
                continue;
            fold_record(self, anew, record);
            last = record->sequence;
        }
    }
    compare(self, anew, execution, "anew");
    engine_destroy(&anew);
}

static void write_event(struct shell *self, struct batch *batch, const struct event *event)
{
    struct buf bytes = {0};
    journal_encode(event, &bytes);
    writes_record(&batch->writes, event->execution, event->sequence, &bytes);
    fold_record(self, self->mirror, &batch->writes.records[batch->writes.records_count - 1]);
    observer_decided(self->world, event);
}

static void write_events(struct shell *self, struct batch *batch, size_t from)
{
    const struct decisions *decisions = &batch->decisions;
    for (size_t i = from; i < decisions->events_count; i++)
        write_event(self, batch, &decisions->events[i]);
    for (size_t i = from; i < decisions->events_count; i++) {
        struct uuid execution = decisions->events[i].execution;
        if (i + 1 < decisions->events_count &&
            uuid_equal(execution, decisions->events[i + 1].execution))
            continue;
        compare(self, self->mirror, execution, "with this input");
        if (self->world->thorough)
            fold_anew(self, execution);
    }
}

static struct stamp make_stamp(const struct shell *self, const struct decisions *decisions,
                               size_t events_from, struct uuid execution)
{
    struct execution_view view;
    struct stamp stamp = {0};
    if (engine_execution(self->engine, execution, &view) == 0)
        stamp.sequence = view.sequence;
    for (size_t i = events_from; i < decisions->events_count; i++) {
        const struct event *event = &decisions->events[i];
        bool stops = event->kind == EVENT_FAILING || event->kind == EVENT_CANCEL ||
                     event->kind == EVENT_ENDED;
        stamp.stopped |= stops && uuid_equal(event->execution, execution);
    }
    return stamp;
}

/* --- gathering -------------------------------------------------------------------------------- */

int shell_decide(struct shell *self, struct input *input, struct err *err)
{
    struct batch *batch = shell_current(self);
    struct decisions *decisions = &batch->decisions;
    size_t events = decisions->events_count, effects = decisions->effects_count;
    input->now_us = self->utc_us;
    int r = engine_decide(self->engine, input, decisions, err);
    if (r && (decisions->events_count > events || decisions->effects_count > effects))
        world_fail(self->world, 0, "a refused input had consequences");
    write_events(self, batch, events);
    batch->stamps = xrealloc(batch->stamps, (decisions->effects_count + 1) * sizeof *batch->stamps);
    for (; effects < decisions->effects_count; effects++) {
        const struct effect *effect = &decisions->effects[effects];
        struct stamp *stamp = &batch->stamps[effects];
        *stamp = (struct stamp){0};
        if (effect->kind == EFFECT_DISPATCH)
            *stamp = make_stamp(self, decisions, events, effect->dispatch.execution);
        if (effect->kind == EFFECT_BLOB)
            store_put_blob(self->world->store, effect->blob.hash, effect->blob.bytes);
        else if (links_early(self, effect))
            links_effect(self, stamp, effect);
    }
    return r;
}

static void send_answer(struct shell *self, const struct outgoing *out)
{
    struct bytes payload = bytes_of(out->execution.bytes, sizeof out->execution.bytes);
    net_send(&self->proc, out->to, out->correlation, &out->body, payload);
}

void shell_answer(struct shell *self, const char *to, uint64_t correlation, int error,
                  struct uuid execution)
{
    struct batch *batch = shell_current(self);
    struct outgoing out = {
        .correlation = correlation, .body = {.kind = WIRE_REPLY}, .execution = execution};
    (void)snprintf(out.to, sizeof out.to, "%s", to);
    if (error)
        out.body.reply.error = err_name(error);
    if (self->world->fault == FAULT_REPLY_EARLY) {
        send_answer(self, &out);
        return;
    }
    batch->outgoing =
        xrealloc(batch->outgoing, (batch->outgoing_count + 1) * sizeof *batch->outgoing);
    batch->outgoing[batch->outgoing_count++] = out;
}

void shell_acknowledge(struct shell *self, struct entry *entry)
{
    struct batch *batch = shell_current(self);
    if (entry->batch == batch->number)
        return;
    entry->batch = batch->number;
    batch->acknowledgements =
        xrealloc(batch->acknowledgements,
                 (batch->acknowledgements_count + 1) * sizeof *batch->acknowledgements);
    batch->acknowledgements[batch->acknowledgements_count++] =
        (struct acknowledgement){.handle = entry->handle};
}

/* --- release ---------------------------------------------------------------------------------- */

static void release_ends(struct shell *self, const struct decisions *decisions)
{
    for (size_t i = 0; i < decisions->events_count; i++) {
        if (decisions->events[i].kind != EVENT_ENDED)
            continue;
        engine_forget(self->engine, decisions->events[i].execution);
        engine_forget(self->mirror, decisions->events[i].execution);
    }
}

static void release(struct shell *self, struct batch *batch)
{
    for (size_t i = 0; i < batch->acknowledgements_count; i++)
        links_commit(self, batch->acknowledgements[i].handle, batch->acknowledgements[i].sequence);
    for (size_t i = 0; i < batch->decisions.effects_count; i++)
        if (!links_early(self, &batch->decisions.effects[i]))
            links_effect(self, &batch->stamps[i], &batch->decisions.effects[i]);
    links_flush(self);
    for (size_t i = 0; i < batch->outgoing_count; i++)
        send_answer(self, &batch->outgoing[i]);
    release_ends(self, &batch->decisions);
    batch_clear(batch);
}

/* The ring moves on after each release, whose doings may decide anew. */
void shell_release_committed(struct shell *self)
{
    while (self->in_flight > 0 && self->ring[self->oldest].committed && !self->proc.dying) {
        release(self, &self->ring[self->oldest]);
        self->oldest = (self->oldest + 1) % BATCHES;
        self->in_flight--;
    }
}

static bool has_anything(const struct batch *batch)
{
    return batch->decisions.events_count > 0 || batch->decisions.effects_count > 0 ||
           batch->outgoing_count > 0 || batch->acknowledgements_count > 0 ||
           writes_any(&batch->writes);
}

void shell_submit(struct shell *self)
{
    struct batch *batch = shell_current(self);
    if (self->in_flight == BATCHES_IN_FLIGHT || !has_anything(batch) || !proc_effect(&self->proc))
        return;
    for (size_t i = 0; i < batch->acknowledgements_count; i++) {
        const struct entry *entry = links_find(self, batch->acknowledgements[i].handle);
        batch->acknowledgements[i].sequence = entry ? link_received(entry->link) : 0;
    }
    batch->submitted = true;
    batch->writes.number = batch->number;
    if (writes_any(&batch->writes))
        store_submit(self->world->store, &batch->writes);
    else
        batch->committed = true;
    self->in_flight++;
    shell_current(self)->number = ++self->numbers;
    shell_release_committed(self);
}

void shell_committed(struct world *world, uint64_t number)
{
    struct shell *self = world->shell;
    for (size_t i = 0; i < self->in_flight; i++)
        if (batch_at(self, i)->number == number)
            batch_at(self, i)->committed = true;
    self->full = false;
    if (proc_effect(&self->proc))
        proc_wake(&self->proc, world->now_us);
    else
        self->proc.die(&self->proc);
}
