#include "coordinator/starts.h"

#include "coordinator/blobs.h"
#include "coordinator/catalog.h"
#include "coordinator/pipeline.h"

#include <sodium.h>

int starts_have_room(const struct coordinator *self, size_t count, struct err *err)
{
    if (engine_active_executions(self->engine) + count <= LIMIT_ACTIVE_EXECUTIONS)
        return 0;
    return err_set(err, ERR_BUSY, "%d executions run already", LIMIT_ACTIVE_EXECUTIONS);
}

static int check_agent(const struct coordinator *self, const char *agent, struct err *err)
{
    if (agent == NULL || catalog_has(self, DEFINITION_AGENT, agent))
        return 0;
    err_set(err, ERR_NOT_FOUND, "there is no agent \"%s\"", agent);
    err_fix(err, "apply its definition first");
    return ERR_NOT_FOUND;
}

static int check_workflow(struct coordinator *self, const char *workflow, uint32_t *in_out_version,
                          const value_t *input, struct buf *out, struct err *err)
{
    value_t *checked = NULL;
    struct catalog_entry *entry =
        catalog_version(self, DEFINITION_WORKFLOW, workflow, *in_out_version, err);
    int rc = entry == NULL ? ERR_NOT_FOUND
                           : workflow_check_input(entry->canonical, input, &checked, err);
    if (rc == 0) {
        value_to_msgpack(checked, out);
        *in_out_version = entry->version;
    }
    value_destroy(&checked);
    catalog_entry_destroy(&entry);
    return rc;
}

int start_input(struct coordinator *self, const char *workflow, uint32_t *in_out_version,
                const value_t *input, struct buf *out, struct err *err)
{
    value_t *null = value_null();
    int rc = 0;
    if (workflow == NULL)
        value_to_msgpack(input == NULL ? null : input, out);
    else
        rc = check_workflow(self, workflow, in_out_version, input, out, err);
    value_destroy(&null);
    if (rc == 0 && out->size > LIMIT_VALUE_BYTES)
        rc = err_set(err, ERR_TOO_LARGE, "the input is larger than %u bytes", LIMIT_VALUE_BYTES);
    return rc;
}

int start_prepare(struct coordinator *self, const struct start *start,
                  struct prepared *ret_prepared, struct err *err)
{
    *ret_prepared = (struct prepared){.start = *start, .id = uuid_new()};
    int rc = check_agent(self, start->agent, err);
    if (start->workflow != NULL)
        ret_prepared->version = (uint32_t)start->version;
    if (rc == 0)
        rc = start_input(self, start->workflow, &ret_prepared->version, start->input,
                         &ret_prepared->input, err);
    if (rc < 0)
        return rc;
    ret_prepared->dag =
        catalog_find_dag(self, start->workflow, ret_prepared->version, start->agent, err);
    if (ret_prepared->dag == NULL)
        return err == NULL ? ERR_NOT_FOUND : err->code;
    rc = catalog_pin(self, ret_prepared->dag, pipeline_arena(self), &ret_prepared->agents,
                     &ret_prepared->agents_count, err);
    if (rc == 0)
        rc = catalog_pin_workflows(self, ret_prepared->dag, pipeline_arena(self),
                                   &ret_prepared->workflows, &ret_prepared->workflows_count, err);
    return rc;
}

static int64_t deadline_of(struct coordinator *self, const struct prepared *prepared)
{
    int64_t limit_us = dag_time_us(prepared->dag);
    int64_t asked_us = prepared->start.timeout_ms * 1000;
    if (limit_us == 0 || (asked_us != 0 && asked_us < limit_us))
        limit_us = asked_us;
    return limit_us == 0 ? 0 : self->utc_us + limit_us;
}

int start_decide(struct coordinator *self, const struct prepared *prepared, struct err *err)
{
    const struct start *start = &prepared->start;
    struct input input = {.kind = INPUT_START, .start = {.execution = prepared->id}};
    struct event_started *started = &input.start.started;

    randombytes_buf(&started->seed, sizeof started->seed);
    started->workflow = start->workflow == NULL ? "" : start->workflow;
    started->workflow_version = prepared->version;
    started->agent = start->agent == NULL ? "" : start->agent;
    started->agents = prepared->agents;
    started->agents_count = prepared->agents_count;
    started->workflows = prepared->workflows;
    started->workflows_count = prepared->workflows_count;
    started->input = blobs_datum(self, buf_bytes(&prepared->input));
    started->deadline_us = deadline_of(self, prepared);
    started->by = start->by;
    return pipeline_decide(self, &input, err);
}

void start_release(struct prepared *self)
{
    dag_destroy(&self->dag);
    buf_release(&self->input);
}
