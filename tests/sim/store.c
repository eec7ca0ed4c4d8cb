#include "tests/sim/store.h"

#include "base/map.h"
#include "tests/sim/observer.h"
#include "tests/sim/plan.h"
#include "tests/sim/shell.h"

#include <stdlib.h>

#define PENDING_MOST 4

struct store {
    struct world *world;
    uint64_t epoch;
    map_t *by_execution;
    struct journal **journals;
    size_t journals_count;
    struct answered *answers;
    size_t answers_count;
    struct scheduled schedules[WORKFLOWS_MOST];
    bool is_scheduled[WORKFLOWS_MOST];
    map_t *blobs;
    const struct writes *pending[PENDING_MOST]; /* oldest first */
    size_t pending_count;
    uint64_t life; /* of the coordinator that submits */
    bool committing, breaks;
    int64_t full_until_us;
};

/* --- writes ----------------------------------------------------------------------------------- */

static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity ? 2 * *capacity : 16;
    return xrealloc(items, *capacity * size);
}

void writes_record(struct writes *self, struct uuid execution, uint64_t sequence, struct buf *bytes)
{
    self->records =
        grow(self->records, self->records_count, &self->records_capacity, sizeof *self->records);
    self->records[self->records_count++] =
        (struct record){.execution = execution, .sequence = sequence, .bytes = *bytes};
    *bytes = (struct buf){0};
}

void writes_copy(struct writes *self, struct uuid execution, const struct record *from)
{
    struct buf bytes = {0};
    buf_append_bytes(&bytes, buf_bytes(&from->bytes));
    writes_record(self, execution, from->sequence, &bytes);
    self->records[self->records_count - 1].copied = true;
}

void writes_answer(struct writes *self, uint64_t key, struct uuid execution)
{
    self->answers =
        grow(self->answers, self->answers_count, &self->answers_capacity, sizeof *self->answers);
    self->answers[self->answers_count++] = (struct answered){key, execution};
}

void writes_schedule(struct writes *self, const struct scheduled *scheduled)
{
    self->schedules = grow(self->schedules, self->schedules_count, &self->schedules_capacity,
                           sizeof *self->schedules);
    self->schedules[self->schedules_count++] = *scheduled;
}

bool writes_any(const struct writes *self)
{
    return self->records_count > 0 || self->answers_count > 0 || self->schedules_count > 0;
}

void writes_clear(struct writes *self)
{
    for (size_t i = 0; i < self->records_count; i++)
        buf_release(&self->records[i].bytes);
    self->records_count = self->answers_count = self->schedules_count = 0;
}

void writes_release(struct writes *self)
{
    writes_clear(self);
    free(self->records);
    free(self->answers);
    free(self->schedules);
    *self = (struct writes){0};
}

/* --- the store -------------------------------------------------------------------------------- */

struct store *store_new(struct world *world)
{
    struct store *self = xcalloc(1, sizeof *self);
    self->world = world;
    self->by_execution = map_new();
    self->blobs = map_new();
    return self;
}

void store_destroy(struct store **self_p)
{
    struct store *self = *self_p;
    *self_p = NULL;
    for (size_t i = 0; i < self->journals_count; i++) {
        for (size_t n = 0; n < self->journals[i]->count; n++)
            buf_release(&self->journals[i]->records[n].bytes);
        free(self->journals[i]->records);
        free(self->journals[i]);
    }
    struct buf *blob;
    for (size_t position = 0; (blob = map_next(self->blobs, &position, NULL));) {
        buf_release(blob);
        free(blob);
    }
    map_destroy(&self->blobs);
    map_destroy(&self->by_execution);
    free((void *)self->journals);
    free(self->answers);
    free(self);
}

uint64_t store_next_epoch(struct store *self)
{
    return ++self->epoch;
}

const struct journal *store_journal(const struct store *self, size_t index)
{
    return index < self->journals_count ? self->journals[index] : NULL;
}

const struct journal *store_find(const struct store *self, struct uuid execution)
{
    return map_get(self->by_execution, execution.bytes, sizeof execution.bytes);
}

const struct answered *store_answer(const struct store *self, size_t index)
{
    return index < self->answers_count ? &self->answers[index] : NULL;
}

const struct scheduled *store_scheduled(const struct store *self, uint32_t workflow)
{
    return self->is_scheduled[workflow] ? &self->schedules[workflow] : NULL;
}

void store_put_blob(struct store *self, const uint8_t hash[DATUM_HASH_BYTES], struct bytes bytes)
{
    if (map_get(self->blobs, hash, DATUM_HASH_BYTES))
        return;
    struct buf *blob = xcalloc(1, sizeof *blob);
    buf_append_bytes(blob, bytes);
    (void)map_put(self->blobs, hash, DATUM_HASH_BYTES, blob);
}

bool store_get_blob(const struct store *self, const uint8_t hash[DATUM_HASH_BYTES],
                    struct bytes *ret_bytes)
{
    const struct buf *blob = map_get(self->blobs, hash, DATUM_HASH_BYTES);
    if (blob)
        *ret_bytes = buf_bytes(blob);
    return blob != NULL;
}

/* --- commit ----------------------------------------------------------------------------------- */

static struct journal *journal_of(struct store *self, struct uuid execution)
{
    struct journal *journal = map_get(self->by_execution, execution.bytes, sizeof execution.bytes);
    if (journal)
        return journal;
    journal = xcalloc(1, sizeof *journal);
    journal->execution = execution;
    (void)map_put(self->by_execution, execution.bytes, sizeof execution.bytes, journal);
    self->journals =
        xrealloc((void *)self->journals, (self->journals_count + 1) * sizeof(struct journal *));
    self->journals[self->journals_count++] = journal;
    return journal;
}

static void keep_record(struct store *self, const struct record *record)
{
    struct journal *journal = journal_of(self, record->execution);
    struct buf bytes = {0};
    buf_append_bytes(&bytes, buf_bytes(&record->bytes));
    journal->records =
        grow(journal->records, journal->count, &journal->capacity, sizeof *journal->records);
    journal->records[journal->count++] = (struct record){
        .execution = record->execution, .sequence = record->sequence, .bytes = bytes};
    journal->ended = observer_committed(self->world, record);
}

static void make_durable(struct store *self, const struct writes *writes)
{
    for (size_t i = 0; i < writes->records_count; i++)
        keep_record(self, &writes->records[i]);
    for (size_t i = 0; i < writes->schedules_count; i++) {
        const struct scheduled *scheduled = &writes->schedules[i];
        self->schedules[scheduled->workflow] = *scheduled;
        self->is_scheduled[scheduled->workflow] = true;
        observer_scheduled(self->world, scheduled);
    }
    observer_batch_committed(self->world);
    for (size_t i = 0; i < writes->answers_count; i++) {
        self->answers = xrealloc(self->answers, (self->answers_count + 1) * sizeof *self->answers);
        self->answers[self->answers_count++] = writes->answers[i];
    }
}

static void drop_first(struct store *self)
{
    self->pending_count--;
    for (size_t i = 0; i < self->pending_count; i++)
        self->pending[i] = self->pending[i + 1];
}

static void commit(struct world *world, void *context, uint64_t life);

static void begin_commit(struct store *self)
{
    struct world *world = self->world;
    if (self->committing || self->pending_count == 0)
        return;
    int64_t most_us = world->calm ? 10 * MS : world->plan->commit_most_us;
    self->committing = true;
    world_at(world, world->now_us + prng_skewed(&world->prng, 200, most_us), commit, self,
             self->life);
}

/* Whether the broken commit is on the disk is known to nobody. */
static void fail_commit(struct store *self)
{
    self->breaks = false;
    self->world->counts.disk_faults++;
    shell_store_failed(self->world);
}

static void commit(struct world *world, void *context, uint64_t life)
{
    struct store *self = context;
    if (life != self->life)
        return;
    self->committing = false;
    if (self->breaks) {
        fail_commit(self);
    } else if (world->now_us < self->full_until_us) {
        shell_full(world);
        self->committing = true;
        world_at(world, world->now_us + LIMIT_STORE_RETRY_US, commit, self, life);
    } else {
        const struct writes *writes = self->pending[0];
        drop_first(self);
        make_durable(self, writes);
        shell_committed(world, writes->number);
        begin_commit(self);
    }
}

void store_submit(struct store *self, const struct writes *writes)
{
    CHECK(self->pending_count < PENDING_MOST);
    self->pending[self->pending_count++] = writes;
    begin_commit(self);
}

void store_abandon(struct store *self)
{
    bool there = true;
    self->life++;
    self->committing = false;
    while (self->pending_count > 0) {
        const struct writes *writes = self->pending[0];
        drop_first(self);
        there = there && prng_chance(&self->world->prng, 500);
        if (there) {
            make_durable(self, writes);
        } else {
            TRACE(self->world, "batch %llu is not on the disk", (unsigned long long)writes->number);
            self->world->counts.torn++;
        }
    }
}

void store_fill(struct store *self, int64_t until_us)
{
    TRACE(self->world, "the disk is full");
    self->world->counts.disk_faults++;
    self->full_until_us = until_us;
}

void store_break(struct store *self)
{
    TRACE(self->world, "the next commit will fail");
    self->breaks = true;
}
