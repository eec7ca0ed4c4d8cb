/* The disk. Batches are committed in order, each as a whole, each taking its time; what is
 * submitted when the coordinator dies may be there afterwards or not, but never a later batch
 * without an earlier one. Journal records are kept as the bytes that coordinator/journal.c makes of
 * them. */
#ifndef AF_TESTS_SIM_STORE_H
#define AF_TESTS_SIM_STORE_H

#include "tests/sim/world.h"

struct record {
    struct uuid execution;
    uint64_t sequence;
    struct buf bytes;
    bool copied; /* from another journal, by a fork */
};
/* A client's idempotency key and what was answered to it. */
struct answered {
    uint64_t key;
    struct uuid execution;
};

/* What is kept of a schedule. Times are those of the clock on the wall. */
struct scheduled {
    uint32_t workflow;
    int64_t next_us, last_us; /* last 0: none */
    struct uuid last;         /* zeros: none */
    int64_t wall_us;          /* when it was written */
};

struct writes {
    uint64_t number; /* of the batch */
    struct record *records;
    size_t records_count, records_capacity;
    struct answered *answers;
    size_t answers_count, answers_capacity;
    struct scheduled *schedules; /* in the order of what they tell of; the last of a workflow counts */
    size_t schedules_count, schedules_capacity;
};
/* Takes the memory of bytes over. */
void writes_record(struct writes *self, struct uuid execution, uint64_t sequence,
                   struct buf *bytes);
/* The same, of an event of another journal. */
void writes_copy(struct writes *self, struct uuid execution, const struct record *from);
void writes_answer(struct writes *self, uint64_t key, struct uuid execution);
void writes_schedule(struct writes *self, const struct scheduled *scheduled);
bool writes_any(const struct writes *self);
void writes_clear(struct writes *self);
void writes_release(struct writes *self);

struct journal {
    struct uuid execution;
    struct record *records;
    size_t count, capacity;
    bool ended;
};

struct store *store_new(struct world *world);
void store_destroy(struct store **self_p);

/* What a restart reads. */
uint64_t store_next_epoch(struct store *self); /* committed when it returns */
const struct journal *store_journal(const struct store *self, size_t index); /* NULL past the end */
const struct journal *store_find(const struct store *self, struct uuid execution);
const struct answered *store_answer(const struct store *self, size_t index);
const struct scheduled *store_scheduled(const struct store *self, uint32_t workflow); /* or NULL */

/* writes stay with the caller, and unchanged, until the batch is committed or the coordinator is
 * dead. Tells shell_committed, shell_full or shell_store_failed. */
void store_submit(struct store *self, const struct writes *writes);
/* The coordinator has died: decides what of its batches the disk holds. */
void store_abandon(struct store *self);

void store_fill(struct store *self, int64_t until_us); /* the disk is full until then */
void store_break(struct store *self);                  /* the next commit fails */

/* Blobs are named by their content: kept as soon as they are written. */
void store_put_blob(struct store *self, const uint8_t hash[DATUM_HASH_BYTES], struct bytes bytes);
bool store_get_blob(const struct store *self, const uint8_t hash[DATUM_HASH_BYTES],
                    struct bytes *ret_bytes);

#endif
