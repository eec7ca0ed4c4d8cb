/* Start and stop: the store and its epoch, the fold of what is unfinished, the connections. */
#include "base/clock.h"
#include "base/log.h"
#include "coordinator/blobs.h"
#include "coordinator/catalog.h"
#include "coordinator/executions.h"
#include "coordinator/fleet.h"
#include "coordinator/folds.h"
#include "coordinator/idempotency.h"
#include "coordinator/journal.h"
#include "coordinator/links.h"
#include "coordinator/pipeline.h"
#include "coordinator/publisher.h"
#include "coordinator/record.h"
#include "coordinator/schedules.h"
#include "coordinator/tables.h"
#include "coordinator/waiters.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

void coordinator_read_clocks(struct coordinator *self)
{
    self->mono_us = clock_monotonic_us();
    self->wall_us = clock_utc_us() + self->options.clock_ahead_us;
    self->utc_us = steady_read(&self->steady, self->wall_us, self->mono_us);
}

void coordinator_die(const char *sentence, const struct err *err)
{
    char text[800];
    log_error("COORD-STOPPED", sentence, "reason", err_format(err, text, sizeof text), NULL);
    _exit(1);
}

/* --- the epoch -------------------------------------------------------------------------------- */

static int read_epoch(struct coordinator *self, struct buf *ret_stored, uint64_t *ret_epoch,
                      struct err *err)
{
    store_snapshot_t *snapshot = NULL;
    struct epoch_record record = {0};
    struct bytes value;

    int rc = store_snapshot(self->store, &snapshot, err);
    if (rc == 0)
        rc = store_get(snapshot, TABLE_META, bytes_of_string("epoch"), &value, err);
    if (rc == 0)
        rc = epoch_decode(value, &record, err);
    if (rc == 0)
        buf_append_bytes(ret_stored, value);
    store_snapshot_close(&snapshot);
    *ret_epoch = record.epoch;
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* Takes the next epoch: committed before anybody can be welcomed under it, and only if the record
 * is still the one that was read. */
static int take_epoch(struct coordinator *self, struct err *err)
{
    struct buf stored = {0};
    struct epoch_record record = {.started_us = self->utc_us};
    store_batch_t *batch = store_batch_new();

    int rc = read_epoch(self, &stored, &self->epoch, err);
    if (rc == 0) {
        record.epoch = ++self->epoch;
        randombytes_buf(&record.nonce, sizeof record.nonce);
        epoch_encode(&record, &self->fence);
        store_batch_require(batch, TABLE_META, bytes_of_string("epoch"),
                            stored.size == 0 ? (struct bytes){0} : buf_bytes(&stored));
        store_batch_put(batch, TABLE_META, bytes_of_string("epoch"), buf_bytes(&self->fence));
        rc = store_apply(self->store, batch, err);
    }
    store_batch_destroy(&batch);
    buf_release(&stored);
    return rc;
}

/* --- the fold --------------------------------------------------------------------------------- */

static int fold_journal(struct coordinator *self, store_snapshot_t *snapshot, struct uuid id,
                        engine_t *engine, struct arena *arena, struct err *err)
{
    struct store_range range = {.prefix = key_uuid(&id)};
    store_scan_t *scan = NULL;
    struct bytes key, value;
    uint64_t last = 0;
    int rc = store_scan(snapshot, TABLE_JOURNAL, &range, &scan, err);

    while (rc == 0) {
        rc = store_scan_next(scan, &key, &value, err);
        if (rc < 0)
            break;
        uint64_t sequence = key_journal_sequence(key, id);
        rc = journal_fold(engine, arena, id, last, sequence, value, err);
        blobs_end_reads(self);
        last = sequence;
    }
    store_scan_close(&scan);
    if (rc == ERR_NOT_FOUND)
        rc = last == 0 ? err_set(err, ERR_CORRUPT, "the execution has no journal") : 0;
    return rc;
}

static void set_aside(struct coordinator *self, struct uuid id, const struct err *err)
{
    char text[TYPEID_TEXT_SIZE], reason[800];
    err_format(err, reason, sizeof reason);
    log_error("COORD-EXECUTION-ASIDE", "an execution can't be folded and is left alone",
              "execution", typeid_text("exec", id, text), "reason", reason, NULL);
    aside_put(self, id, reason);
}

static int fold_unfinished_once(struct coordinator *self, struct err *err)
{
    uint8_t running = EXECUTION_RUNNING;
    struct store_range range = {.prefix = bytes_of(&running, 1)};
    store_snapshot_t *snapshot = NULL;
    store_scan_t *scan = NULL;
    struct arena arena = {0};
    struct err why;
    struct bytes key, value;

    int rc = store_snapshot(self->store, &snapshot, err);
    if (rc == 0)
        rc = store_scan(snapshot, TABLE_BY_STATUS, &range, &scan, err);
    while (rc == 0) {
        rc = store_scan_next(scan, &key, &value, err);
        if (rc == ERR_CORRUPT) {
            log_error("COORD-INDEX-CORRUPT", err->what, "where", err->where, NULL);
            rc = 0;
        } else if (rc == 0 && aside_reason(self, key_last_uuid(key)) == NULL) {
            struct uuid id = key_last_uuid(key);
            if (fold_journal(self, snapshot, id, self->engine, &arena, &why) < 0)
                set_aside(self, id, &why);
        }
    }
    store_scan_close(&scan);
    store_snapshot_close(&snapshot);
    arena_release(&arena);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static void make_engine(struct coordinator *self)
{
    engine_destroy(&self->engine);
    self->engine = catalog_new_engine(self);
}

/* An engine has no way to give up half of an execution: where some could not be folded, all others
 * are folded anew. */
static int fold_unfinished(struct coordinator *self, struct err *err)
{
    make_engine(self);
    int rc = fold_unfinished_once(self, err);
    if (rc == 0 && aside_count(self) > 0) {
        make_engine(self);
        rc = fold_unfinished_once(self, err);
    }
    return rc;
}

/* --- opening ---------------------------------------------------------------------------------- */

static int open_store(struct coordinator *self, struct err *err)
{
    struct store_options options = {.path = self->paths.store,
                                    .tables = tables_all,
                                    .map_bytes_max = self->options.map_bytes_max};
    int rc = run_paths_make(&self->paths, err);
    if (rc == 0)
        rc = store_open(&options, &self->store, err);
    if (rc == 0)
        rc = take_epoch(self, err);
    return rc;
}

static void make_parts(struct coordinator *self)
{
    self->pipeline = pipeline_new();
    self->links = links_new();
    self->catalog = catalog_new();
    self->blobs = blobs_new();
    self->fleet = fleet_new();
    self->waiters = waiters_new();
    self->folds = folds_new();
    self->aside = aside_new();
    self->idempotency = idempotency_new();
    self->schedules = schedules_new();
}

static int fold_all(struct coordinator *self, struct err *err)
{
    struct input resume = {.kind = INPUT_RESUME};
    int rc = catalog_load(self, err);
    if (rc == 0)
        rc = fold_unfinished(self, err);
    if (rc == 0)
        rc = pipeline_decide(self, &resume, err);
    if (rc == 0)
        rc = schedules_load(self, err);
    return rc;
}

static int connect_broker(struct coordinator *self, struct err *err)
{
    const struct coordinator_options *options = &self->options;
    struct peer_options peer = {
        .endpoint = options->broker != NULL ? options->broker : self->paths.broker_endpoint,
        .address = "coordinator",
        .program = "coordinatord " AF_VERSION,
    };
    const char *publish =
        options->publish != NULL ? options->publish : self->paths.publish_endpoint;

    self->zmq_context = zmq_ctx_new();
    CHECK(self->zmq_context != NULL);
    peer.zmq_context = self->zmq_context;
    int rc = publisher_new(self->zmq_context, publish, &self->publisher, err);
    if (rc == 0)
        rc = peer_new(&peer, &self->peer, err);
    return rc;
}

static void log_started(const struct coordinator *self)
{
    char epoch[32], active[32], aside[32];
    snprintf(epoch, sizeof epoch, "%" PRIu64, self->epoch);
    snprintf(active, sizeof active, "%zu", engine_active_executions(self->engine));
    snprintf(aside, sizeof aside, "%zu", aside_count(self));
    log_info("COORD-STARTED", "the coordinator serves", "store", self->paths.store, "epoch", epoch,
             "unfinished", active, "set_aside", aside, NULL);
}

int coordinator_start(struct coordinator *self, const struct coordinator_options *options,
                      struct err *err)
{
    self->options = *options;
    coordinator_read_clocks(self);
    self->started_us = self->mono_us;
    make_parts(self);
    int rc = run_paths_init(&self->paths, options->dir, err);
    if (rc == 0)
        rc = open_store(self, err);
    if (rc == 0)
        rc = connect_broker(self, err);
    if (rc == 0)
        rc = fold_all(self, err);
    if (rc == 0)
        log_started(self);
    return rc;
}

void coordinator_stop(struct coordinator *self)
{
    peer_destroy(&self->peer);
    publisher_destroy(&self->publisher);
    store_close(&self->store);
    links_destroy(&self->links);
    engine_destroy(&self->engine);
    pipeline_destroy(&self->pipeline);
    catalog_destroy(&self->catalog);
    blobs_destroy(&self->blobs);
    fleet_destroy(&self->fleet);
    waiters_destroy(&self->waiters);
    folds_destroy(&self->folds);
    aside_destroy(&self->aside);
    idempotency_destroy(&self->idempotency);
    schedules_destroy(&self->schedules);
    run_paths_release(&self->paths);
    buf_release(&self->fence);
    if (self->zmq_context != NULL)
        zmq_ctx_term(self->zmq_context);
}
