/* Retries of executions that ended, and forks. */
#include "base/clock.h"
#include "coordinator/blobs.h"
#include "coordinator/catalog.h"
#include "coordinator/executions.h"
#include "coordinator/folds.h"
#include "coordinator/housekeeping.h"
#include "coordinator/journal.h"
#include "coordinator/methods.h"
#include "coordinator/pipeline.h"
#include "coordinator/starts.h"
#include "coordinator/tables.h"

#include <string.h>

/* after: the last event that there was before. */
static void put_running(struct coordinator *self, struct uuid id, uint64_t after, struct doc *doc)
{
    char text[TYPEID_TEXT_SIZE];
    struct execution_view view;
    CHECK(engine_execution(self->engine, id, &view) == 0);
    doc_map(doc, NULL);
    doc_string(doc, "id", typeid_text("exec", id, text));
    doc_string(doc, "workflow", *view.workflow == '\0' ? NULL : view.workflow);
    doc_string(doc, "status", execution_status_name(view.status));
    doc_int(doc, "after", (int64_t)after);
    doc_end(doc);
}

/* --- retry ------------------------------------------------------------------------------------ */

/* Only what has ended can be retried, and its end must be on disk. What is past its retention may
 * be among what the present batch removes. */
static int check_retry(struct coordinator *self, struct uuid id, struct err *err)
{
    char text[TYPEID_TEXT_SIZE];
    struct arena arena = {0};
    struct summary summary;
    struct execution_view view;
    int rc = starts_have_room(self, 1, err);
    if (rc == 0 && engine_execution(self->engine, id, &view) == 0) {
        if (execution_status_terminal(view.status))
            return err_set(err, ERR_BUSY, "the execution is just ending: ask again");
        rc = err_set(err, ERR_CONFLICT, "the execution has not ended: it is %s",
                     execution_status_name(view.status));
        err_fix(err, "wait for its end, or cancel it first");
        return rc;
    }
    if (rc == 0)
        rc = executions_summary(self, id, &arena, &summary, err);
    if (rc == 0 && summary.status == EXECUTION_SUCCEEDED) {
        rc = err_set(err, ERR_CONFLICT, "the execution has succeeded: nothing of it failed");
        err_fix(err, "start it anew, or fork it from a node");
    } else if (rc == 0 && !uuid_is_nil(summary.owner)) {
        rc = err_set(err, ERR_CONFLICT,
                     "the execution is a sub-workflow's: it can't be retried alone");
        err_fix(err, "retry %s, which owns it", typeid_text("exec", summary.owner, text));
    } else if (rc == 0 && housekeeping_removes(self, &summary)) {
        rc = err_set(err, ERR_CONFLICT, "the execution ended so long ago that it is being removed");
        err_fix(err, "start it anew");
    }
    arena_release(&arena);
    return rc;
}

int method_executions_retry(struct coordinator *self, const struct request *request,
                            struct doc *doc, struct err *err)
{
    struct input input = {.kind = INPUT_REOPEN, .reopen = {.by = request->from}};
    struct uuid *id = &input.reopen.execution;
    const engine_t *engine;
    struct execution_view view = {0};
    int rc;

    if ((rc = param_id(request, id, err)) < 0 || (rc = refuse_aside(self, *id, err)) < 0 ||
        (rc = check_retry(self, *id, err)) < 0)
        return rc;
    rc = folds_get(self, request, *id, &engine, err);
    if (rc == 0)
        rc = folds_take(self, *id, err);
    if (rc == 0)
        rc = engine_execution(self->engine, *id, &view);
    if (rc == 0)
        rc = pipeline_decide(self, &input, err);
    if (rc == 0)
        put_running(self, *id, view.sequence, doc);
    return rc;
}

/* --- fork ------------------------------------------------------------------------------------- */

struct fork {
    struct uuid from, to;
    const char *node;
    uint64_t until;    /* the last event that both have */
    uint64_t bytes;    /* of the records of these events */
    engine_t *engine;  /* which folds them */
    struct buf input;  /* packed; empty: as it was */
    struct datum kept; /* that of the other one, which these events don't have; absent: they do */
    struct buf kept_bytes;
};

/* The event from which on the node was let begin. */
static int find_event(const engine_t *engine, struct fork *fork, struct err *err)
{
    struct execution_view view;
    struct task_view task;
    CHECK(engine_execution(engine, fork->from, &view) == 0);
    for (uint32_t i = 0; i < view.tasks; i++) {
        CHECK(engine_task(engine, fork->from, i, &task) == 0);
        if (strcmp(task.path, fork->node) != 0)
            continue;
        if (task.is_item || task.depth > 0)
            break;
        fork->until = task.ready_sequence;
        if (fork->until > 0)
            return 0;
        int rc = err_set(err, ERR_CONFLICT, "the node \"%s\" was never let begin: it is %s",
                         fork->node, task_status_name(task.status));
        err_where(err, "node");
        err_fix(err, "fork from a node that has run");
        return rc;
    }
    int rc = err_set(err, ERR_NOT_FOUND, "the execution has no node \"%s\"", fork->node);
    err_where(err, "node");
    err_fix(err, "name a node of its workflow, not an item of a list or a delegation");
    return rc;
}

/* The other one is a fork, too, and got its input later than these events. */
static void keep_input(const engine_t *engine, struct fork *fork)
{
    struct execution_view view;
    CHECK(engine_execution(engine, fork->from, &view) == 0);
    if (fork->until > view.forked_at)
        return;
    buf_append_bytes(&fork->kept_bytes, view.input.inline_bytes);
    fork->kept = view.input;
    fork->kept.inline_bytes = buf_bytes(&fork->kept_bytes);
}

/* Visits the events that both have. The store may not have the last of them yet. */
static int each_event(struct coordinator *self, store_snapshot_t *snapshot, struct fork *fork,
                      int (*visit)(struct coordinator *self, struct fork *fork, uint64_t sequence,
                                   struct bytes record, struct err *err),
                      struct err *err)
{
    struct store_range range = {.prefix = key_uuid(&fork->from)};
    store_scan_t *scan = NULL;
    struct bytes key, value;
    uint64_t sequence = 0;

    int rc = store_scan(snapshot, TABLE_JOURNAL, &range, &scan, err);
    while (rc == 0 && sequence < fork->until) {
        rc = store_scan_next(scan, &key, &value, err);
        if (rc < 0)
            break;
        sequence = key_journal_sequence(key, fork->from);
        rc = visit(self, fork, sequence, value, err);
    }
    store_scan_close(&scan);
    if (rc == ERR_NOT_FOUND)
        return err_set(err, ERR_BUSY, "the events before it are not on disk yet: ask again");
    return rc;
}

static int fold_event(struct coordinator *self, struct fork *fork, uint64_t sequence,
                      struct bytes record, struct err *err)
{
    struct arena arena = {0};
    fork->bytes += record.size;
    if (fork->bytes > LIMIT_FORK_BYTES) {
        err_set(err, ERR_TOO_LARGE, "the events before that node have more than %u bytes",
                LIMIT_FORK_BYTES);
        err_fix(err, "fork from an earlier node, or start the workflow anew");
        return ERR_TOO_LARGE;
    }
    int rc = journal_fold(fork->engine, &arena, fork->to, sequence - 1, sequence, record, err);
    blobs_end_reads(self);
    arena_release(&arena);
    return rc;
}

static int copy_event(struct coordinator *self, struct fork *fork, uint64_t sequence,
                      struct bytes record, struct err *err)
{
    uint8_t key[KEY_JOURNAL_BYTES];
    (void)err;
    store_batch_put(pipeline_writes(self), TABLE_JOURNAL, key_journal(fork->to, sequence, key),
                    record);
    return 0;
}

static int check_input(struct coordinator *self, const struct request *request, struct fork *fork,
                       struct err *err)
{
    const value_t *given = value_get(request->params, "input");
    struct execution_view view;
    CHECK(engine_execution(fork->engine, fork->to, &view) == 0);
    const char *workflow = *view.workflow == '\0' ? NULL : view.workflow;
    uint32_t version = view.workflow_version;
    return given == NULL ? 0 : start_input(self, workflow, &version, given, &fork->input, err);
}

/* Both times from one snapshot: what could be folded is copied whole, whatever is removed
 * meanwhile, and nothing is in the batch of a fork that is refused. */
static int copy_prefix(struct coordinator *self, const struct request *request, struct fork *fork,
                       struct err *err)
{
    store_snapshot_t *snapshot = NULL;
    int rc = store_snapshot(self->store, &snapshot, err);
    if (rc == 0)
        rc = each_event(self, snapshot, fork, fold_event, err);
    if (rc == 0)
        rc = check_input(self, request, fork, err);
    if (rc == 0)
        rc = each_event(self, snapshot, fork, copy_event, err);
    store_snapshot_close(&snapshot);
    return rc;
}

/* All in one batch: a crash leaves the whole fork or nothing of it. */
static int make_fork(struct coordinator *self, const struct request *request, struct fork *fork,
                     struct err *err)
{
    struct input input = {
        .kind = INPUT_FORK,
        .fork = {
            .execution = fork->to, .from = fork->from, .node = fork->node, .by = request->from}};
    int rc = copy_prefix(self, request, fork, err);
    if (rc == 0)
        rc = engine_adopt(self->engine, fork->engine, fork->to, err);
    if (rc < 0)
        return rc;
    input.fork.input =
        fork->input.size > 0 ? blobs_datum(self, buf_bytes(&fork->input)) : fork->kept;
    rc = pipeline_decide(self, &input, err);
    CHECK(rc == 0);
    return 0;
}

int method_executions_fork(struct coordinator *self, const struct request *request, struct doc *doc,
                           struct err *err)
{
    struct fork fork = {.to = uuid_new()};
    struct execution_view view;
    const engine_t *engine = self->engine;
    int rc;

    if ((rc = param_id(request, &fork.from, err)) < 0 ||
        (rc = param_text(request, "node", &fork.node, err)) < 0 ||
        (rc = refuse_aside(self, fork.from, err)) < 0 || (rc = starts_have_room(self, 1, err)) < 0)
        return rc;
    if (engine_execution(engine, fork.from, &view) < 0) {
        struct arena arena = {0};
        struct summary summary;
        rc = executions_summary(self, fork.from, &arena, &summary, err);
        arena_release(&arena);
        if (rc == 0)
            rc = folds_get(self, request, fork.from, &engine, err);
    }
    if (rc == 0)
        rc = find_event(engine, &fork, err);
    if (rc == 0 && fork.until > LIMIT_FORK_EVENTS) {
        rc = err_set(err, ERR_TOO_LARGE, "%llu events are before that node, more than %d",
                     (unsigned long long)fork.until, LIMIT_FORK_EVENTS);
        err_fix(err, "start the workflow anew");
    }
    if (rc != 0)
        return rc;
    keep_input(engine, &fork);
    fork.engine = catalog_new_engine(self);
    rc = make_fork(self, request, &fork, err);
    engine_destroy(&fork.engine);
    buf_release(&fork.input);
    buf_release(&fork.kept_bytes);
    if (rc == 0)
        put_running(self, fork.to, fork.until, doc);
    return rc;
}
