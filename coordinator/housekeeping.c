#include "coordinator/housekeeping.h"

#include "coordinator/executions.h"
#include "coordinator/idempotency.h"
#include "coordinator/pipeline.h"
#include "coordinator/record.h"
#include "coordinator/tables.h"

#define INTERVAL_US       (10 * LIMIT_SECOND_US)
#define EXECUTIONS_AT_ONE 100
#define EVENTS_AT_ONE     2000

/* The events of one execution; false when there are more than may go at once. */
static bool remove_journal(struct coordinator *self, store_snapshot_t *snapshot, struct uuid id,
                           int *budget)
{
    struct store_range range = {.prefix = key_uuid(&id)};
    store_scan_t *scan = NULL;
    struct bytes key = {0}, value;
    int rc = store_scan(snapshot, TABLE_JOURNAL, &range, &scan, NULL);

    while (rc == 0 && *budget > 0) {
        rc = store_scan_next(scan, &key, &value, NULL);
        if (rc == ERR_CORRUPT && key.size > 0)
            rc = 0;
        if (rc == 0) {
            store_batch_delete(pipeline_writes(self), TABLE_JOURNAL, key);
            --*budget;
        }
    }
    store_scan_close(&scan);
    return rc == ERR_NOT_FOUND;
}

static void remove_summary(struct coordinator *self, struct uuid id, const struct summary *summary)
{
    uint8_t buffer[KEY_STATUS_BYTES];
    struct buf key = {0};
    store_batch_t *writes = pipeline_writes(self);

    store_batch_delete(writes, TABLE_EXECUTIONS, key_uuid(&id));
    store_batch_delete(writes, TABLE_BY_STATUS, key_status((uint8_t)summary->status, id, buffer));
    store_batch_delete(writes, TABLE_BY_NAME, executions_name_key(summary, id, &key));
    buf_release(&key);
}

bool housekeeping_removes(const struct coordinator *self, const struct summary *summary)
{
    return execution_status_terminal(summary->status) &&
           summary->ended_us < self->utc_us - LIMIT_RETENTION_US;
}

/* A retry that is not on disk yet. */
static bool is_reopened(const struct coordinator *self, struct uuid id)
{
    struct execution_view view;
    return engine_execution(self->engine, id, &view) == 0;
}

/* Keys are in the order of starts: past the first that started within the retention, all did, and
 * the next sweep begins anew. Until then it goes on where this one ends, so that many that can't
 * go, or can't be read, don't keep the others. The journal goes first, so that what is interrupted
 * is found again. */
static void remove_old(struct coordinator *self, store_snapshot_t *snapshot, store_scan_t *scan)
{
    struct arena arena = {0};
    struct summary summary;
    struct bytes key = {0}, value;
    int64_t before_us = self->utc_us - LIMIT_RETENTION_US;
    int budget = EVENTS_AT_ONE;

    for (int i = 0; i < EXECUTIONS_AT_ONE && budget > 0; i++) {
        int rc = store_scan_next(scan, &key, &value, NULL);
        bool readable = rc == 0 && summary_decode(&arena, value, &summary, NULL) == 0;
        bool last = key.size == 0 || (rc < 0 && rc != ERR_CORRUPT);
        if (last || (readable && summary.started_us >= before_us)) {
            self->swept = (struct uuid){{0}};
            break;
        }
        self->swept = key_last_uuid(key);
        if (readable && housekeeping_removes(self, &summary) && !is_reopened(self, self->swept) &&
            remove_journal(self, snapshot, self->swept, &budget))
            remove_summary(self, self->swept, &summary);
        arena_clear(&arena);
    }
    arena_release(&arena);
}

static void sweep_executions(struct coordinator *self)
{
    struct uuid from = self->swept;
    struct store_range range = {.from = key_uuid(&from)};
    store_snapshot_t *snapshot = NULL;
    store_scan_t *scan = NULL;

    if (store_snapshot(self->store, &snapshot, NULL) == 0 &&
        store_scan(snapshot, TABLE_EXECUTIONS, &range, &scan, NULL) == 0)
        remove_old(self, snapshot, scan);
    store_scan_close(&scan);
    store_snapshot_close(&snapshot);
}

void housekeeping_tick(struct coordinator *self)
{
    if (self->mono_us < self->housekeeping_us || self->full)
        return;
    self->housekeeping_us = self->mono_us + INTERVAL_US;
    idempotency_sweep(self);
    sweep_executions(self);
}

int64_t housekeeping_deadline(const struct coordinator *self)
{
    return self->full ? INT64_MAX : self->housekeeping_us;
}
