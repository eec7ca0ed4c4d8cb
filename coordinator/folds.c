#include "coordinator/folds.h"

#include "coordinator/blobs.h"
#include "coordinator/catalog.h"
#include "coordinator/journal.h"
#include "coordinator/requests.h"
#include "coordinator/tables.h"

#include <stdlib.h>
#include <string.h>

#define EVENTS_OF_A_SLICE 500

struct deferred {
    struct deferred *next;
    char *from;
    uint64_t correlation;
    char *method, *key;
    struct buf payload;
};

struct fold {
    struct uuid execution;
    engine_t *engine;
    uint64_t sequence; /* folded so far */
    bool ready;
    bool busy;      /* what waited for it is being run: it stays until that is done */
    bool gone;      /* while busy: it is nobody's any more */
    struct err err; /* code 0: none */
    uint64_t used;  /* the larger, the later */
    struct deferred *first, **last;
};

struct folds {
    struct fold *list[LIMIT_FOLDS_KEPT];
    struct arena arena;
    uint64_t uses;
    size_t waiting;
};

struct folds *folds_new(void)
{
    return xcalloc(1, sizeof(struct folds));
}

static void deferred_destroy(struct deferred *deferred)
{
    free(deferred->from);
    free(deferred->method);
    free(deferred->key);
    buf_release(&deferred->payload);
    free(deferred);
}

static void fold_destroy(struct fold *fold)
{
    if (fold == NULL)
        return;
    for (struct deferred *deferred = fold->first, *next; deferred != NULL; deferred = next) {
        next = deferred->next;
        deferred_destroy(deferred);
    }
    engine_destroy(&fold->engine);
    free(fold);
}

void folds_destroy(struct folds **self_p)
{
    struct folds *self = *self_p;
    if (self == NULL)
        return;
    for (size_t i = 0; i < LIMIT_FOLDS_KEPT; i++)
        fold_destroy(self->list[i]);
    arena_release(&self->arena);
    free(self);
    *self_p = NULL;
}

static struct fold *find(const struct folds *self, struct uuid execution)
{
    for (size_t i = 0; i < LIMIT_FOLDS_KEPT; i++)
        if (self->list[i] != NULL && !self->list[i]->gone &&
            uuid_equal(self->list[i]->execution, execution))
            return self->list[i];
    return NULL;
}

/* An empty place, or that of the fold that was not used for longest and that nobody waits for. */
static struct fold **find_place(struct folds *self)
{
    struct fold **best = NULL;
    for (size_t i = 0; i < LIMIT_FOLDS_KEPT; i++) {
        struct fold **place = &self->list[i];
        if (*place == NULL)
            return place;
        if ((*place)->ready && !(*place)->busy && (best == NULL || (*place)->used < (*best)->used))
            best = place;
    }
    return best;
}

static int begin(struct coordinator *self, struct uuid execution, struct err *err)
{
    struct fold **place = find_place(self->folds);
    if (place == NULL)
        return err_set(err, ERR_BUSY, "too many ended executions are asked for at once");
    fold_destroy(*place);
    struct fold *fold = xcalloc(1, sizeof *fold);
    fold->execution = execution;
    fold->engine = catalog_new_engine(self);
    fold->last = &fold->first;
    *place = fold;
    return ERR_AGAIN;
}

/* ERR_AGAIN: it is being folded now. */
static int get(struct coordinator *self, struct uuid execution, const engine_t **ret_engine,
               struct err *err)
{
    struct fold *fold = find(self->folds, execution);
    if (fold == NULL)
        return begin(self, execution, err);
    if (!fold->ready)
        return ERR_AGAIN;
    if (fold->err.code < 0) {
        if (err != NULL)
            *err = fold->err;
        return fold->err.code;
    }
    fold->used = ++self->folds->uses;
    *ret_engine = fold->engine;
    return 0;
}

static void defer(struct coordinator *self, struct uuid execution, const struct request *request)
{
    struct fold *fold = find(self->folds, execution);
    struct deferred *deferred = xcalloc(1, sizeof *deferred);
    CHECK(fold != NULL && !fold->ready);
    deferred->from = xstrdup(request->from);
    deferred->correlation = request->correlation;
    deferred->method = xstrdup(request->method);
    deferred->key = xstrdup(request->key);
    buf_append_bytes(&deferred->payload, request->payload);
    *fold->last = deferred;
    fold->last = &deferred->next;
    self->folds->waiting++;
}

int folds_get(struct coordinator *self, const struct request *request, struct uuid execution,
              const engine_t **ret_engine, struct err *err)
{
    int rc = get(self, execution, ret_engine, err);
    if (rc != ERR_AGAIN)
        return rc;
    defer(self, execution, request);
    return REQUEST_DEFERRED;
}

static void let_go(struct folds *self, struct fold *fold)
{
    fold->gone = true;
    for (size_t i = 0; i < LIMIT_FOLDS_KEPT && !fold->busy; i++) {
        if (self->list[i] != fold)
            continue;
        self->list[i] = NULL;
        fold_destroy(fold);
        return;
    }
}

int folds_take(struct coordinator *self, struct uuid execution, struct err *err)
{
    struct fold *fold = find(self->folds, execution);
    if (fold == NULL || !fold->ready)
        return err_set(err, ERR_NOT_FOUND, "there is no such fold");
    int rc = engine_adopt(self->engine, fold->engine, execution, err);
    let_go(self->folds, fold);
    return rc;
}

void folds_forget(struct coordinator *self, struct uuid execution)
{
    struct fold *fold = find(self->folds, execution);
    if (fold != NULL && fold->ready)
        let_go(self->folds, fold);
}

bool folds_working(const struct coordinator *self)
{
    for (size_t i = 0; i < LIMIT_FOLDS_KEPT; i++)
        if (self->folds->list[i] != NULL && !self->folds->list[i]->ready)
            return true;
    return false;
}

size_t folds_waiting(const struct coordinator *self)
{
    return self->folds->waiting;
}

/* Folds up to a slice more; ERR_NOT_FOUND at the journal's end. */
static int fold_slice(struct coordinator *self, struct fold *fold, store_snapshot_t *snapshot,
                      struct err *err)
{
    uint8_t from[KEY_JOURNAL_BYTES];
    struct store_range range = {.from = key_journal(fold->execution, fold->sequence + 1, from),
                                .prefix = key_uuid(&fold->execution)};
    store_scan_t *scan = NULL;
    struct bytes key, value;
    int rc = store_scan(snapshot, TABLE_JOURNAL, &range, &scan, err);

    for (int i = 0; rc == 0 && i < EVENTS_OF_A_SLICE; i++) {
        rc = store_scan_next(scan, &key, &value, err);
        if (rc < 0)
            break;
        uint64_t sequence = key_journal_sequence(key, fold->execution);
        rc = journal_fold(fold->engine, &self->folds->arena, fold->execution, fold->sequence,
                          sequence, value, err);
        blobs_end_reads(self);
        fold->sequence = sequence;
    }
    store_scan_close(&scan);
    return rc;
}

static bool fold_is_whole(const struct fold *fold)
{
    struct execution_view view;
    return fold->err.code == 0 && engine_execution(fold->engine, fold->execution, &view) == 0 &&
           execution_status_terminal(view.status);
}

/* Runs what waited for this fold, which stays only when it is the last word. */
static void finish(struct coordinator *self, struct fold *fold)
{
    struct deferred *deferred = fold->first, *next;

    fold->ready = fold->busy = true;
    fold->first = NULL;
    fold->last = &fold->first;
    for (; deferred != NULL; deferred = next) {
        next = deferred->next;
        self->folds->waiting--;
        requests_run(self, deferred->from, deferred->correlation, deferred->method, deferred->key,
                     buf_bytes(&deferred->payload));
        deferred_destroy(deferred);
    }
    fold->busy = false;
    if (fold->gone || !fold_is_whole(fold))
        let_go(self->folds, fold);
}

static void step_one(struct coordinator *self, struct fold *fold)
{
    struct execution_view view;
    store_snapshot_t *snapshot = NULL;
    int rc = store_snapshot(self->store, &snapshot, &fold->err);

    if (rc == 0)
        rc = fold_slice(self, fold, snapshot, &fold->err);
    store_snapshot_close(&snapshot);
    if (rc == ERR_NOT_FOUND) {
        fold->err = (struct err){0};
        if (engine_execution(fold->engine, fold->execution, &view) < 0)
            rc = err_set(&fold->err, ERR_CORRUPT, "the execution has no journal");
    }
    if (rc < 0)
        finish(self, fold);
}

void folds_step(struct coordinator *self)
{
    for (size_t i = 0; i < LIMIT_FOLDS_KEPT; i++)
        if (self->folds->list[i] != NULL && !self->folds->list[i]->ready)
            step_one(self, self->folds->list[i]);
}
