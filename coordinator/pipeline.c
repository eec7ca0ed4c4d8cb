#include "coordinator/pipeline.h"

#include "base/log.h"
#include "coordinator/blobs.h"
#include "coordinator/executions.h"
#include "coordinator/fleet.h"
#include "coordinator/folds.h"
#include "coordinator/journal.h"
#include "coordinator/links.h"
#include "coordinator/publisher.h"
#include "coordinator/requests.h"
#include "coordinator/tables.h"
#include "coordinator/waiters.h"

#include <stdlib.h>
#include <string.h>

/* Batches handed on and not yet released. One commits; a second one waits behind it, so that the
 * committer never waits for the loop; all later work gathers in the current one. */
#define BATCHES_IN_FLIGHT 2
#define BATCHES           (BATCHES_IN_FLIGHT + 1)

struct outgoing {
    char *to;
    uint64_t correlation;
    struct wire_body body;
    size_t payload_at, payload_size; /* in the batch's bytes */
};
struct acknowledgement {
    uint64_t handle, sequence;
};
struct callback {
    pipeline_done_fn done;
    void *argument;
};

struct batch {
    uint64_t number;
    store_batch_t *writes; /* NULL while the store has it */
    bool committed;
    struct decisions decisions;
    struct arena arena;
    struct buf bytes;
    struct outgoing *outgoing;
    size_t outgoing_count, outgoing_capacity;
    struct acknowledgement *acknowledgements;
    size_t acknowledgements_count, acknowledgements_capacity;
    struct callback *callbacks;
    size_t callbacks_count, callbacks_capacity;
};

struct pipeline {
    struct batch ring[BATCHES]; /* oldest first from `oldest`; the last one is the current */
    size_t oldest, in_flight;
    uint64_t numbers;
    struct buf record;
    size_t answers; /* outgoing of all batches */
};

static struct batch *batch_at(struct pipeline *self, size_t place)
{
    return &self->ring[(self->oldest + place) % BATCHES];
}

static struct batch *current(struct coordinator *self)
{
    return batch_at(self->pipeline, self->pipeline->in_flight);
}

static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity == 0 ? 64 : 2 * *capacity;
    return xrealloc(items, *capacity * size);
}

struct pipeline *pipeline_new(void)
{
    struct pipeline *self = xcalloc(1, sizeof *self);
    for (size_t i = 0; i < BATCHES; i++)
        self->ring[i].writes = store_batch_new();
    self->ring[0].number = self->numbers = 1;
    return self;
}

void pipeline_destroy(struct pipeline **self_p)
{
    struct pipeline *self = *self_p;
    if (self == NULL)
        return;
    for (size_t i = 0; i < BATCHES; i++) {
        struct batch *batch = &self->ring[i];
        store_batch_destroy(&batch->writes);
        decisions_release(&batch->decisions);
        arena_release(&batch->arena);
        buf_release(&batch->bytes);
        free(batch->outgoing);
        free(batch->acknowledgements);
        free(batch->callbacks);
    }
    buf_release(&self->record);
    free(self);
    *self_p = NULL;
}

/* --- gathering -------------------------------------------------------------------------------- */

static void write_event(struct coordinator *self, struct batch *batch, const struct event *event)
{
    uint8_t key[KEY_JOURNAL_BYTES];
    struct buf *record = &self->pipeline->record;

    journal_encode(event, record);
    store_batch_put(batch->writes, TABLE_JOURNAL,
                    key_journal(event->execution, event->sequence, key), buf_bytes(record));
    switch (event->kind) {
    case EVENT_STARTED: executions_write_started(self, batch->writes, event); break;
    case EVENT_ENDED: executions_write_ended(self, batch->writes, event); break;
    case EVENT_REOPENED: executions_write_reopened(self, batch->writes, event); break;
    case EVENT_FORKED: executions_write_forked(self, batch->writes, event); break;
    case EVENT_STEP: self->counters.steps++; break;
    case EVENT_LOST: self->counters.losses++; break;
    case EVENT_DELEGATED: self->counters.delegations++; break;
    case EVENT_SETTLED: self->counters.calls_again += event->settled.turn > 0; break;
    default: break;
    }
}

int pipeline_decide(struct coordinator *self, struct input *input, struct err *err)
{
    struct batch *batch = current(self);
    struct decisions *decisions = &batch->decisions;
    size_t events = decisions->events_count, effects = decisions->effects_count;

    input->now_us = self->utc_us;
    int rc = engine_decide(self->engine, input, decisions, err);
    blobs_end_reads(self);
    for (; events < decisions->events_count; events++)
        write_event(self, batch, &decisions->events[events]);
    for (; effects < decisions->effects_count; effects++)
        if (decisions->effects[effects].kind == EFFECT_BLOB)
            blobs_write(self, decisions->effects[effects].blob.hash,
                        decisions->effects[effects].blob.bytes);
    return rc;
}

store_batch_t *pipeline_writes(struct coordinator *self)
{
    return current(self)->writes;
}

struct arena *pipeline_arena(struct coordinator *self)
{
    return &current(self)->arena;
}

static const char *keep_text(struct arena *arena, const char *text)
{
    return text == NULL || *text == '\0' ? NULL : arena_strdup(arena, text);
}

/* The bodies that go out through a batch, with strings of their own. */
static struct wire_body keep_body(struct arena *arena, const struct wire_body *body)
{
    struct wire_body kept = *body;
    if (body->kind == WIRE_REPLY) {
        kept.reply.error = keep_text(arena, body->reply.error);
        kept.reply.what = keep_text(arena, body->reply.what);
        kept.reply.where = keep_text(arena, body->reply.where);
        kept.reply.fix = keep_text(arena, body->reply.fix);
    } else {
        CHECK(body->kind == WIRE_BLOB_STORED);
        kept.blob_stored.error = keep_text(arena, body->blob_stored.error);
        kept.blob_stored.what = keep_text(arena, body->blob_stored.what);
    }
    return kept;
}

void pipeline_send(struct coordinator *self, const char *to, uint64_t correlation,
                   const struct wire_body *body, struct bytes payload)
{
    struct batch *batch = current(self);
    batch->outgoing = grow(batch->outgoing, batch->outgoing_count, &batch->outgoing_capacity,
                           sizeof(*batch->outgoing));
    batch->outgoing[batch->outgoing_count++] = (struct outgoing){
        .to = arena_strdup(&batch->arena, to),
        .correlation = correlation,
        .body = keep_body(&batch->arena, body),
        .payload_at = batch->bytes.size,
        .payload_size = payload.size,
    };
    buf_append_bytes(&batch->bytes, payload);
    self->pipeline->answers++;
}

void pipeline_acknowledge(struct coordinator *self, uint64_t handle)
{
    struct batch *batch = current(self);
    if (!links_touch(self, handle, batch->number))
        return;
    batch->acknowledgements =
        grow(batch->acknowledgements, batch->acknowledgements_count,
             &batch->acknowledgements_capacity, sizeof(*batch->acknowledgements));
    batch->acknowledgements[batch->acknowledgements_count++] =
        (struct acknowledgement){.handle = handle};
}

void pipeline_at_release(struct coordinator *self, pipeline_done_fn done, void *argument)
{
    struct batch *batch = current(self);
    batch->callbacks = grow(batch->callbacks, batch->callbacks_count, &batch->callbacks_capacity,
                            sizeof(*batch->callbacks));
    batch->callbacks[batch->callbacks_count++] = (struct callback){done, argument};
}

bool pipeline_has_room(const struct coordinator *self)
{
    const struct pipeline *pipeline = self->pipeline;
    const struct batch *batch = &pipeline->ring[(pipeline->oldest + pipeline->in_flight) % BATCHES];
    if (self->full) /* clients are refused; what runs is bounded by the credit given */
        return store_batch_size_bytes(batch->writes) < LIMIT_STORE_BATCH_BYTES / 2;
    return batch->decisions.events_count < LIMIT_BATCH_EVENTS &&
           store_batch_size_bytes(batch->writes) < LIMIT_BATCH_BYTES &&
           batch->decisions.arena.used_bytes < 2 * LIMIT_BATCH_BYTES &&
           batch->bytes.size < LIMIT_BATCH_BYTES;
}

/* --- release ---------------------------------------------------------------------------------- */

static void release_effect(struct coordinator *self, const struct effect *effect)
{
    switch (effect->kind) {
    case EFFECT_WELCOME: links_welcome(self, &effect->welcome); break;
    case EFFECT_BLOB: break;
    default: links_effect(self, effect); break;
    }
}

static void release_one(struct coordinator *self, const struct batch *batch,
                        const struct outgoing *out)
{
    struct wire_route route = {
        .kind = out->body.kind, .to = out->to, .correlation = out->correlation};
    struct bytes payload = {0};
    struct err err;

    if (out->payload_size > 0)
        payload = bytes_of(batch->bytes.data + out->payload_at, out->payload_size);
    int rc = peer_send(self->peer, &route, &out->body, payload, &err);
    if (rc == ERR_TOO_LARGE && out->body.kind == WIRE_REPLY)
        requests_send(self, out->to, out->correlation, &err, (struct bytes){0});
    else if (rc < 0)
        self->counters.unsent++;
}

static void release_outgoing(struct coordinator *self, struct batch *batch)
{
    for (size_t i = 0; i < batch->outgoing_count; i++)
        release_one(self, batch, &batch->outgoing[i]);
}

static void release_ends(struct coordinator *self, const struct decisions *decisions)
{
    for (size_t i = 0; i < decisions->events_count; i++) {
        const struct event *event = &decisions->events[i];
        if (event->kind != EVENT_ENDED)
            continue;
        self->counters.ended++;
        waiters_answer(self, event->execution);
        folds_forget(self, event->execution);
        engine_forget(self->engine, event->execution);
    }
}

static void batch_clear(struct batch *batch)
{
    store_batch_clear(batch->writes);
    decisions_clear(&batch->decisions);
    arena_clear(&batch->arena);
    buf_clear(&batch->bytes);
    batch->outgoing_count = batch->acknowledgements_count = batch->callbacks_count = 0;
    batch->committed = false;
}

static void release(struct coordinator *self, struct batch *batch)
{
    for (size_t i = 0; i < batch->acknowledgements_count; i++)
        links_commit(self, batch->acknowledgements[i].handle, batch->acknowledgements[i].sequence);
    for (size_t i = 0; i < batch->decisions.effects_count; i++)
        release_effect(self, &batch->decisions.effects[i]);
    links_flush(self);
    release_outgoing(self, batch);
    publisher_batch(self, &batch->decisions);
    if (batch->decisions.events_count > 0)
        fleet_wake(self);
    release_ends(self, &batch->decisions);
    for (size_t i = 0; i < batch->callbacks_count; i++)
        batch->callbacks[i].done(self, batch->callbacks[i].argument);
    self->pipeline->answers -= batch->outgoing_count;
    self->counters.batches++;
    batch_clear(batch);
}

/* Lets out the oldest batches that are committed. What a release decides anew goes into the current
 * batch, which is never among those in flight. */
static void release_committed(struct coordinator *self)
{
    struct pipeline *pipeline = self->pipeline;
    while (pipeline->in_flight > 0 && pipeline->ring[pipeline->oldest].committed) {
        struct batch *batch = &pipeline->ring[pipeline->oldest];
        release(self, batch);
        pipeline->oldest = (pipeline->oldest + 1) % BATCHES;
        pipeline->in_flight--;
    }
}

/* --- commit ----------------------------------------------------------------------------------- */

static bool batch_has_anything(const struct batch *batch)
{
    return batch->decisions.events_count > 0 || batch->decisions.effects_count > 0 ||
           batch->outgoing_count > 0 || batch->acknowledgements_count > 0 ||
           batch->callbacks_count > 0 || store_batch_operations(batch->writes) > 0;
}

static void submit_writes(struct coordinator *self, struct batch *batch)
{
    struct err err;
    store_batch_require(batch->writes, TABLE_META, bytes_of_string("epoch"),
                        buf_bytes(&self->fence));
    if (store_submit(self->store, &batch->writes, batch->number, &err) < 0)
        coordinator_die("the store takes no more batches", &err);
}

void pipeline_submit(struct coordinator *self)
{
    struct pipeline *pipeline = self->pipeline;
    struct batch *batch = current(self);

    if (pipeline->in_flight == BATCHES_IN_FLIGHT || !batch_has_anything(batch))
        return;
    for (size_t i = 0; i < batch->acknowledgements_count; i++)
        batch->acknowledgements[i].sequence =
            links_received(self, batch->acknowledgements[i].handle);
    if (store_batch_operations(batch->writes) > 0)
        submit_writes(self, batch);
    else
        batch->committed = true;
    pipeline->in_flight++;
    current(self)->number = ++pipeline->numbers;
    release_committed(self);
}

static struct batch *find_batch(struct pipeline *self, uint64_t number)
{
    for (size_t i = 0; i < self->in_flight; i++)
        if (batch_at(self, i)->number == number)
            return batch_at(self, i);
    return NULL;
}

static void note_full(struct coordinator *self, const struct err *err)
{
    char text[600];
    if (!self->full)
        log_error("COORD-STORE-FULL", "no room in the store: new work is refused until there is",
                  "reason", err_format(err, text, sizeof text), "store", self->paths.store, NULL);
    self->full = true;
}

static void note_committed(struct coordinator *self, struct store_completion *completion)
{
    struct batch *batch = find_batch(self->pipeline, completion->tag);
    CHECK(batch != NULL && completion->batch != NULL);
    batch->writes = completion->batch;
    batch->committed = true;
    if (self->full)
        log_warn("COORD-STORE-ROOM", "there is room in the store again", NULL);
    self->full = false;
}

void pipeline_complete(struct coordinator *self)
{
    struct store_completion completion;

    while (store_complete(self->store, &completion)) {
        if (completion.code == ERR_FULL && completion.batch == NULL)
            note_full(self, &completion.err);
        else if (completion.code < 0)
            coordinator_die("a commit failed: nothing of it is released", &completion.err);
        else
            note_committed(self, &completion);
    }
    release_committed(self);
}

bool pipeline_empty(const struct coordinator *self)
{
    const struct pipeline *pipeline = self->pipeline;
    return pipeline->in_flight == 0 && !batch_has_anything(&pipeline->ring[pipeline->oldest]);
}

size_t pipeline_answers_waiting(const struct coordinator *self)
{
    return self->pipeline->answers;
}
