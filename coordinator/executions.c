#include "coordinator/executions.h"

#include "base/map.h"
#include "coordinator/events.h"
#include "coordinator/tables.h"

#include <stdlib.h>
#include <string.h>

/* Tasks are listed until the answer has this size; the client asks on for the rest. */
#define DOCUMENT_SOFT_BYTES (2u << 20)

/* --- tables ----------------------------------------------------------------------------------- */

static void write_status(store_batch_t *writes, enum execution_status status, struct uuid id,
                         bool present)
{
    uint8_t buffer[KEY_STATUS_BYTES];
    struct bytes key = key_status((uint8_t)status, id, buffer);
    if (present)
        store_batch_put(writes, TABLE_BY_STATUS, key, (struct bytes){0});
    else
        store_batch_delete(writes, TABLE_BY_STATUS, key);
}

static void write_summary(store_batch_t *writes, struct uuid id, const struct summary *summary)
{
    struct buf record = {0};
    summary_encode(summary, &record);
    store_batch_put(writes, TABLE_EXECUTIONS, key_uuid(&id), buf_bytes(&record));
    buf_release(&record);
}

struct bytes executions_name_key(const struct summary *summary, struct uuid id, struct buf *out)
{
    bool alone = summary->workflow == NULL || *summary->workflow == '\0';
    return key_name(alone ? 'a' : 'w', alone ? summary->agent : summary->workflow, &id, out);
}

static void write_name(store_batch_t *writes, const struct summary *summary, struct uuid id)
{
    struct buf key = {0};
    store_batch_put(writes, TABLE_BY_NAME, executions_name_key(summary, id, &key),
                    (struct bytes){0});
    buf_release(&key);
}

void executions_write_started(struct coordinator *self, store_batch_t *writes,
                              const struct event *event)
{
    const struct event_started *started = &event->started;
    struct summary summary = {.workflow = started->workflow,
                              .workflow_version = started->workflow_version,
                              .agent = started->agent,
                              .status = EXECUTION_RUNNING,
                              .started_us = event->time_us,
                              .by = started->by,
                              .owner = started->owner,
                              .owner_path = started->owner_path};

    write_summary(writes, event->execution, &summary);
    write_status(writes, EXECUTION_RUNNING, event->execution, true);
    write_name(writes, &summary, event->execution);
    self->counters.starts++;
}

static struct summary summary_of_running(struct coordinator *self, struct uuid id, const char *by)
{
    struct execution_view view;
    CHECK(engine_execution(self->engine, id, &view) == 0);
    return (struct summary){.workflow = view.workflow,
                            .workflow_version = view.workflow_version,
                            .agent = view.agent,
                            .status = EXECUTION_RUNNING,
                            .started_us = view.started_us,
                            .by = by};
}

void executions_write_reopened(struct coordinator *self, store_batch_t *writes,
                               const struct event *event)
{
    struct summary summary = summary_of_running(self, event->execution, event->reopened.by);
    write_summary(writes, event->execution, &summary);
    write_status(writes, event->reopened.was, event->execution, false);
    write_status(writes, EXECUTION_RUNNING, event->execution, true);
}

void executions_write_forked(struct coordinator *self, store_batch_t *writes,
                             const struct event *event)
{
    struct summary summary = summary_of_running(self, event->execution, event->forked.by);
    write_summary(writes, event->execution, &summary);
    write_status(writes, EXECUTION_RUNNING, event->execution, true);
    write_name(writes, &summary, event->execution);
    self->counters.starts++;
}

void executions_write_ended(struct coordinator *self, store_batch_t *writes,
                            const struct event *event)
{
    struct execution_view view;
    const struct event_ended *ended = &event->ended;

    CHECK(engine_execution(self->engine, event->execution, &view) == 0);
    struct summary summary = {.workflow = view.workflow,
                              .workflow_version = view.workflow_version,
                              .agent = view.agent,
                              .status = ended->status,
                              .started_us = view.started_us,
                              .ended_us = event->time_us,
                              .output = ended->output,
                              .failure = ended->failure,
                              .failed_path = ended->path,
                              .tasks = view.tasks,
                              .delegations = view.delegations,
                              .used = view.used,
                              .owner = view.owner,
                              .owner_path = view.owner_path};
    write_summary(writes, event->execution, &summary);
    write_status(writes, EXECUTION_RUNNING, event->execution, false);
    write_status(writes, ended->status, event->execution, true);
}

int executions_summary(struct coordinator *self, struct uuid id, struct arena *arena,
                       struct summary *ret_summary, struct err *err)
{
    char text[TYPEID_TEXT_SIZE];
    store_snapshot_t *snapshot = NULL;
    struct bytes value;

    int rc = store_snapshot(self->store, &snapshot, err);
    if (rc == 0)
        rc = store_get(snapshot, TABLE_EXECUTIONS, key_uuid(&id), &value, err);
    if (rc == ERR_NOT_FOUND)
        rc = err_set(err, rc, "there is no execution %s", typeid_text("exec", id, text));
    else if (rc == 0)
        rc = summary_decode(arena, value, ret_summary, err);
    store_snapshot_close(&snapshot);
    return rc;
}

/* --- documents -------------------------------------------------------------------------------- */

void executions_failure(struct doc *doc, const char *key, const struct failure *failure)
{
    if (failure->code == NULL) {
        doc_null(doc, key);
        return;
    }
    doc_map(doc, key);
    doc_string(doc, "code", failure->code);
    doc_string(doc, "message", failure->message == NULL ? "" : failure->message);
    if (failure->detail != NULL && *failure->detail != '\0')
        doc_string(doc, "detail", failure->detail);
    doc_bool(doc, "permanent", failure->permanent);
    doc_end(doc);
}

static void put_delegation(struct doc *doc, const struct task_view *task)
{
    doc_string(doc, "parent", task->parent);
    doc_int(doc, "depth", task->depth);
    if (task->is_item)
        doc_int(doc, "item", task->item);
    if (task->depth == 0)
        return;
    doc_datum(doc, "message", &task->message);
    doc_bool(doc, "hand_off", task->hand_off);
}

static int64_t all_tokens(const struct usage *usage)
{
    return events_number(usage->input_tokens + usage->output_tokens);
}

static void put_talk(struct doc *doc, const struct task_view *task)
{
    doc_int(doc, "turns", task->turns);
    doc_int(doc, "children", task->children);
    doc_int(doc, "calls_again", task->calls_again);
    doc_map(doc, "tokens");
    doc_int(doc, "own", all_tokens(&task->own));
    doc_int(doc, "subtree", all_tokens(&task->subtree));
    doc_end(doc);
    doc_map(doc, "cost_microusd");
    doc_int(doc, "own", events_number(task->own.cost_microusd));
    doc_int(doc, "subtree", events_number(task->subtree.cost_microusd));
    doc_end(doc);
}

static void put_waits(struct doc *doc, const struct task_view *task)
{
    doc_string(doc, "waits", events_wait_name(task->waits));
    if (task->waits == WAIT_SIGNAL)
        doc_string(doc, "signal", task->signal);
    doc_time(doc, "due_at", task->due_us);
}

static void put_task(struct doc *doc, const struct task_view *task, bool output)
{
    char text[TYPEID_TEXT_SIZE];
    doc_map(doc, NULL);
    doc_string(doc, "path", task->path);
    doc_string(doc, "node", task->node);
    doc_string(doc, "agent", task->agent);
    doc_int(doc, "agent_version", task->agent_version);
    doc_string(doc, "status", task_status_name(task->status));
    doc_int(doc, "attempt", task->attempt);
    doc_int(doc, "step", task->step);
    doc_int(doc, "losses", task->losses);
    if (*task->reason != '\0')
        doc_string(doc, "reason", task->reason);
    if (task->failure.code != NULL)
        executions_failure(doc, "failure", &task->failure);
    doc_time(doc, "queued_at", task->queued_us);
    doc_time(doc, "started_at", task->started_us);
    doc_time(doc, "ended_at", task->ended_us);
    if (task->status == TASK_RETRYING)
        doc_time(doc, "retry_at", task->retry_at_us);
    if (task->waits != 0)
        put_waits(doc, task);
    doc_string(doc, "instance", task->instance);
    put_delegation(doc, task);
    if (!uuid_is_nil(task->owned))
        doc_string(doc, "execution", typeid_text("exec", task->owned, text));
    if (task->items_begun) {
        doc_int(doc, "items", task->items);
        doc_int(doc, "items_ended", task->items - task->items_open);
    }
    if (task->turns > 0 || task->children > 0 || all_tokens(&task->subtree) > 0)
        put_talk(doc, task);
    doc_int(doc, "output_size", (int64_t)datum_size(&task->output));
    if (output)
        doc_datum(doc, "output", &task->output);
    doc_end(doc);
}

static void put_tasks(const engine_t *engine, const struct execution_view *view,
                      const struct execution_options *options, struct doc *doc)
{
    uint32_t index = options->after, listed = 0;
    size_t begin = doc->out->size;
    struct task_view task;

    doc_list(doc, "tasks");
    for (; index < view->tasks && listed < options->limit &&
           doc->out->size - begin < DOCUMENT_SOFT_BYTES;
         index++, listed++)
        if (engine_task(engine, view->id, index, &task) == 0)
            put_task(doc, &task, options->outputs);
    doc_end(doc);
    if (index < view->tasks)
        doc_int(doc, "tasks_next", index);
}

static void put_head(struct doc *doc, struct uuid id, const char *workflow, uint32_t version,
                     const char *agent, enum execution_status status)
{
    char text[TYPEID_TEXT_SIZE];
    bool alone = workflow == NULL || *workflow == '\0';

    doc_string(doc, "id", typeid_text("exec", id, text));
    doc_string(doc, "workflow", alone ? NULL : workflow);
    if (alone)
        doc_null(doc, "version");
    else
        doc_int(doc, "version", version);
    doc_string(doc, "agent", alone ? agent : NULL);
    doc_string(doc, "status", execution_status_name(status));
}

void executions_document(const engine_t *engine, struct uuid id,
                         const struct execution_options *options, struct doc *doc)
{
    struct execution_view view;
    CHECK(engine_execution(engine, id, &view) == 0);
    doc_map(doc, NULL);
    put_head(doc, id, view.workflow, view.workflow_version, view.agent, view.status);
    events_owner(doc, view.owner, view.owner_path);
    doc_time(doc, "started_at", view.started_us);
    doc_time(doc, "ended_at", view.ended_us);
    doc_time(doc, "deadline_at", view.deadline_us);
    doc_int(doc, "sequence", (int64_t)view.sequence);
    doc_datum(doc, "input", &view.input);
    doc_datum(doc, "output", &view.output);
    executions_failure(doc, "failure", &view.failure);
    if (view.failure.code != NULL)
        doc_string(doc, "failed_path", view.failed_path);
    if (view.reopened > 0)
        doc_int(doc, "reopened", view.reopened);
    if (view.forked_at > 0) {
        char from[TYPEID_TEXT_SIZE];
        doc_string(doc, "forked_from", typeid_text("exec", view.forked_from, from));
        doc_int(doc, "forked_at", (int64_t)view.forked_at);
    }
    doc_int(doc, "tasks_count", view.tasks);
    doc_int(doc, "delegations", view.delegations);
    doc_int(doc, "tokens", all_tokens(&view.used));
    doc_int(doc, "cost_microusd", events_number(view.used.cost_microusd));
    doc_int(doc, "tokens_reserved", events_number(view.tokens_reserved));
    if (options->tasks)
        put_tasks(engine, &view, options, doc);
    doc_end(doc);
}

void executions_outcome(struct uuid id, const struct summary *summary, struct doc *doc)
{
    doc_map(doc, NULL);
    put_head(doc, id, summary->workflow, summary->workflow_version, summary->agent,
             summary->status);
    events_owner(doc, summary->owner, summary->owner_path);
    doc_time(doc, "started_at", summary->started_us);
    doc_time(doc, "ended_at", summary->ended_us);
    doc_datum(doc, "output", &summary->output);
    executions_failure(doc, "failure", &summary->failure);
    if (summary->failure.code != NULL)
        doc_string(doc, "failed_path", summary->failed_path);
    doc_int(doc, "tasks_count", summary->tasks);
    doc_int(doc, "delegations", summary->delegations);
    doc_int(doc, "tokens", all_tokens(&summary->used));
    doc_int(doc, "cost_microusd", events_number(summary->used.cost_microusd));
    doc_end(doc);
}

void executions_item(struct uuid id, const struct summary *summary, enum execution_status status,
                     const char *set_aside, struct doc *doc)
{
    doc_map(doc, NULL);
    put_head(doc, id, summary->workflow, summary->workflow_version, summary->agent, status);
    events_owner(doc, summary->owner, summary->owner_path);
    doc_time(doc, "started_at", summary->started_us);
    doc_time(doc, "ended_at", summary->ended_us);
    executions_failure(doc, "failure", &summary->failure);
    if (summary->failure.code != NULL)
        doc_string(doc, "failed_path", summary->failed_path);
    doc_int(doc, "output_size", (int64_t)datum_size(&summary->output));
    if (set_aside != NULL)
        doc_string(doc, "set_aside", set_aside);
    doc_end(doc);
}

/* --- set aside -------------------------------------------------------------------------------- */

struct aside {
    map_t *reasons; /* id -> text */
};

struct aside *aside_new(void)
{
    struct aside *self = xcalloc(1, sizeof *self);
    self->reasons = map_new();
    return self;
}

void aside_destroy(struct aside **self_p)
{
    struct aside *self = *self_p;
    void *reason;
    if (self == NULL)
        return;
    for (size_t position = 0; (reason = map_next(self->reasons, &position, NULL)) != NULL;)
        free(reason);
    map_destroy(&self->reasons);
    free(self);
    *self_p = NULL;
}

void aside_put(struct coordinator *self, struct uuid id, const char *reason)
{
    free(map_put(self->aside->reasons, id.bytes, sizeof id.bytes, xstrdup(reason)));
}

const char *aside_reason(const struct coordinator *self, struct uuid id)
{
    return map_get(self->aside->reasons, id.bytes, sizeof id.bytes);
}

size_t aside_count(const struct coordinator *self)
{
    return map_size(self->aside->reasons);
}
