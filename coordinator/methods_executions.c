#include "base/clock.h"
#include "coordinator/executions.h"
#include "coordinator/folds.h"
#include "coordinator/methods.h"
#include "coordinator/pipeline.h"
#include "coordinator/starts.h"
#include "coordinator/waiters.h"

#include <string.h>

#define TASKS_BY_DEFAULT 1000
#define WAIT_MOST_MS     (24 * 3600 * 1000)

/* --- start ------------------------------------------------------------------------------------ */

static int read_start(const struct request *request, struct start *start, struct err *err)
{
    int rc;
    if ((rc = param_optional_text(request, "workflow", &start->workflow, err)) < 0 ||
        (rc = param_optional_text(request, "agent", &start->agent, err)) < 0 ||
        (rc = param_optional_int(request, "version", 1, UINT32_MAX, &start->version, err)) < 0 ||
        (rc = param_optional_int(request, "timeout_ms", 1, LIMIT_TIME_MAX_US / 1000,
                                 &start->timeout_ms, err)) < 0)
        return rc;
    if ((start->workflow == NULL) == (start->agent == NULL))
        return err_set(err, ERR_INVALID, "one of \"workflow\" and \"agent\" says what to run");
    if (start->agent != NULL && start->version != 0)
        return err_set(err, ERR_INVALID, "an agent alone runs in its newest version");
    start->input = value_get(request->params, "input");
    return 0;
}

static void put_started(struct coordinator *self, const struct start *start, uint32_t version,
                        struct uuid id, struct doc *doc)
{
    char text[TYPEID_TEXT_SIZE];
    struct execution_view view;
    CHECK(engine_execution(self->engine, id, &view) == 0);
    doc_map(doc, NULL);
    doc_string(doc, "id", typeid_text("exec", id, text));
    doc_string(doc, "workflow", start->workflow);
    if (start->workflow == NULL)
        doc_null(doc, "version");
    else
        doc_int(doc, "version", version);
    doc_string(doc, "agent", start->agent);
    doc_string(doc, "status", execution_status_name(view.status));
    doc_end(doc);
}

int method_executions_start(struct coordinator *self, const struct request *request,
                            struct doc *doc, struct err *err)
{
    struct start start = {.by = request->from};
    struct prepared prepared = {0};

    int rc = read_start(request, &start, err);
    if (rc == 0)
        rc = starts_have_room(self, 1, err);
    if (rc == 0)
        rc = start_prepare(self, &start, &prepared, err);
    if (rc == 0)
        rc = start_decide(self, &prepared, err);
    if (rc == 0)
        put_started(self, &start, prepared.version, prepared.id, doc);
    start_release(&prepared);
    return rc;
}

/* --- get and wait ----------------------------------------------------------------------------- */

static int read_options(const struct request *request, struct execution_options *options,
                        struct err *err)
{
    int64_t after = 0, limit = TASKS_BY_DEFAULT;
    int rc;
    *options = (struct execution_options){.tasks = true};
    if ((rc = param_optional_bool(request, "tasks", &options->tasks, err)) < 0 ||
        (rc = param_optional_bool(request, "outputs", &options->outputs, err)) < 0 ||
        (rc = param_optional_int(request, "after", 0, LIMIT_EXECUTION_TASKS, &after, err)) < 0 ||
        (rc = param_optional_int(request, "limit", 1, LIMIT_EXECUTION_TASKS, &limit, err)) < 0)
        return rc;
    options->after = (uint32_t)after;
    options->limit = (uint32_t)limit;
    return 0;
}

int refuse_aside(const struct coordinator *self, struct uuid id, struct err *err)
{
    const char *reason = aside_reason(self, id);
    if (reason == NULL)
        return 0;
    err_set(err, ERR_CORRUPT, "the execution was set aside: %s", reason);
    err_fix(err, "restore the store from a backup, or start the work anew");
    return ERR_CORRUPT;
}

static int get_stored(struct coordinator *self, const struct request *request, struct uuid id,
                      const struct execution_options *options, struct doc *doc, struct err *err)
{
    struct arena arena = {0};
    struct summary summary;
    const engine_t *engine;

    int rc = executions_summary(self, id, &arena, &summary, err);
    bool told = rc == 0 && !options->tasks && execution_status_terminal(summary.status);
    if (told)
        executions_outcome(id, &summary, doc);
    arena_release(&arena);
    if (rc < 0 || told)
        return rc;
    rc = folds_get(self, request, id, &engine, err);
    if (rc == 0)
        executions_document(engine, id, options, doc);
    return rc;
}

int method_executions_get(struct coordinator *self, const struct request *request, struct doc *doc,
                          struct err *err)
{
    struct execution_options options;
    struct execution_view view;
    struct uuid id;
    int rc;

    if ((rc = param_id(request, &id, err)) < 0 || (rc = read_options(request, &options, err)) < 0 ||
        (rc = refuse_aside(self, id, err)) < 0)
        return rc;
    if (self->full || engine_execution(self->engine, id, &view) < 0)
        return get_stored(self, request, id, &options, doc, err);
    executions_document(self->engine, id, &options, doc);
    return 0;
}

/* What has ended but is not released yet is in the engine still: whoever asks for it waits. */
int method_executions_wait(struct coordinator *self, const struct request *request, struct doc *doc,
                           struct err *err)
{
    struct execution_options options;
    struct execution_view view;
    struct uuid id;
    int64_t timeout_ms = WAIT_MOST_MS;
    int rc;

    if ((rc = param_id(request, &id, err)) < 0 || (rc = read_options(request, &options, err)) < 0 ||
        (rc = param_optional_int(request, "timeout_ms", 1, WAIT_MOST_MS, &timeout_ms, err)) < 0 ||
        (rc = refuse_aside(self, id, err)) < 0)
        return rc;
    if (engine_execution(self->engine, id, &view) < 0)
        return get_stored(self, request, id, &options, doc, err);
    int64_t until_us = self->mono_us + timeout_ms * 1000;
    waiters_add(self, id, request->from, request->correlation, until_us, &options);
    return REQUEST_DEFERRED;
}

/* --- cancel ----------------------------------------------------------------------------------- */

int refuse_ended(struct coordinator *self, struct uuid id, struct err *err)
{
    struct arena arena = {0};
    struct summary summary;
    int rc = executions_summary(self, id, &arena, &summary, err);
    if (rc == 0)
        rc = err_set(err, ERR_CONFLICT, "the execution has ended already: it %s",
                     execution_status_name(summary.status));
    arena_release(&arena);
    return rc;
}

int method_executions_cancel(struct coordinator *self, const struct request *request,
                             struct doc *doc, struct err *err)
{
    char text[TYPEID_TEXT_SIZE];
    struct execution_view view;
    const char *why = "";
    struct uuid id;
    int rc;

    if ((rc = param_id(request, &id, err)) < 0 ||
        (rc = param_optional_text(request, "why", &why, err)) < 0 ||
        (rc = refuse_aside(self, id, err)) < 0)
        return rc;
    struct input input = {.kind = INPUT_CANCEL,
                          .cancel = {.execution = id, .by = request->from, .why = why}};
    rc = pipeline_decide(self, &input, err);
    if (rc == ERR_NOT_FOUND)
        return refuse_ended(self, id, err);
    if (rc < 0)
        return rc;
    CHECK(engine_execution(self->engine, id, &view) == 0);
    doc_map(doc, NULL);
    doc_string(doc, "id", typeid_text("exec", id, text));
    doc_string(doc, "status", execution_status_name(view.status));
    doc_end(doc);
    return 0;
}

/* --- tasks ------------------------------------------------------------------------------------ */

static void put_entry(struct doc *doc, const struct history_entry *entry)
{
    doc_map(doc, NULL);
    doc_string(doc, "kind", entry->kind == STEP_TURN ? "turn" : "tool_result");
    doc_int(doc, "turn", entry->turn);
    if (entry->kind != STEP_TURN)
        doc_int(doc, "call", entry->call);
    if (entry->failure.code != NULL)
        executions_failure(doc, "failure", &entry->failure);
    else
        doc_datum(doc, "output", &entry->output);
    doc_end(doc);
}

static void put_history(struct doc *doc, const struct history_entry *entries, size_t count,
                        uint32_t from, uint32_t total)
{
    doc_map(doc, NULL);
    doc_list(doc, "items");
    for (size_t i = 0; i < count; i++)
        put_entry(doc, &entries[i]);
    doc_end(doc);
    if (from + count < total)
        doc_int(doc, "next", from + (int64_t)count);
    else
        doc_null(doc, "next");
    doc_end(doc);
}

/* What an instance lacks that goes on with a conversation. */
int method_tasks_history(struct coordinator *self, const struct request *request, struct doc *doc,
                         struct err *err)
{
    const struct history_entry *entries;
    const char *execution, *path;
    struct uuid id;
    struct arena arena = {0};
    int64_t attempt = 0, from = 0;
    uint32_t total;
    size_t count;
    int rc;

    if ((rc = param_text(request, "execution", &execution, err)) < 0 ||
        (rc = param_text(request, "path", &path, err)) < 0 ||
        (rc = param_optional_int(request, "attempt", 0, UINT32_MAX, &attempt, err)) < 0 ||
        (rc = param_optional_int(request, "from", 0, UINT32_MAX, &from, err)) < 0 ||
        (rc = typeid_parse_as(execution, "exec", &id, err)) < 0)
        return rc;
    rc = engine_history(self->engine, id, path, (uint32_t)attempt, (uint32_t)from, &arena, &entries,
                        &count, &total, err);
    if (rc == 0)
        put_history(doc, entries, count, (uint32_t)from, total);
    arena_release(&arena);
    return rc;
}

/* --- context ---------------------------------------------------------------------------------- */

int method_executions_context(struct coordinator *self, const struct request *request,
                              struct doc *doc, struct err *err)
{
    struct uuid id;
    const engine_t *engine = self->engine;
    int rc = param_id(request, &id, err);
    if (rc == 0)
        rc = refuse_aside(self, id, err);
    if (rc < 0)
        return rc;
    value_t *context = self->full ? NULL : engine_context(engine, id);
    if (context == NULL) {
        rc = folds_get(self, request, id, &engine, err);
        context = rc == 0 ? engine_context(engine, id) : NULL;
    }
    if (rc != 0)
        return rc;
    doc_map(doc, NULL);
    doc_value(doc, "context", context);
    doc_end(doc);
    value_destroy(&context);
    return 0;
}
